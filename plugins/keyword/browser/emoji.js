// Emoji that stand for a word; as ../engine/emoji.py.

import { emoji, emojiRun } from "./generated/tables.js";
import { EMOJI } from "./telling.js";

const RUN = new RegExp(emojiRun, "gu");

// Where they stand in a text, as ./disguises.js has it.
export function* emojiIn(folded) {
  for (const run of folded.original.matchAll(RUN)) {
    const start = folded.placeOf(run.index);
    const last = folded.placeOf(run.index + run[0].length - 1);
    yield { start, end: last + 1, how: EMOJI, readings: [[emoji[run[1]]]] };
  }
}
