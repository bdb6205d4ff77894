// Tags between letters and words; as ../engine/markup.py.

import { nothing, tags } from "./generated/tables.js";

const TAG = new RegExp(tags, "gi");

// A text as long, in which tags are nothing, or the end of a line.
export function withoutTags(text) {
  return text.replace(TAG, (tag, ofLines) => (ofLines ? "\n".padEnd(tag.length) : nothing.repeat(tag.length)));
}
