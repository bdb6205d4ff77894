// Whether a single word says enough, given how it was written: nothing beside it shows that it was meant. As in
// ../engine/judging.py, where the reasons stand.

import { fewestBeside, fewestIfEdited, fewestIfJoined, fewestIfMasked, fewestIfSwapped } from "./generated/tables.js";
import { squeeze } from "./odd.js";

export const [REPEATED, EDIT, JOINED, SPACED, LEET, MASKED, OTHER, EMOJI] = [1, 2, 4, 8, 16, 32, 64, 128];
const GUESSED = REPEATED | EDIT | JOINED | MASKED;

// `written`: what stands in the text; `longer`: letters that the phrase has in its policy and not in its plain form;
// `hasNear`: something has to stand near it, too, so that it may begin a sentence. (Where one begins is not looked at.)
export function isTelling({ text, how }, longer, written, hasNear) {
  if (how & EMOJI) return false;
  if (!(how & GUESSED)) return true;
  if (!hasNear && isName(written)) return false;
  const letters = text.length + longer;
  if (how & EDIT) {
    const isOnlyEdited = how === EDIT;
    const fewest = hasNear ? fewestBeside : fewestIfEdited;
    return isOnlyEdited && (letters >= fewest || (letters >= fewestIfSwapped && isSwapped(text, written)));
  }
  if (how & JOINED) return letters >= (hasNear ? fewestBeside : fewestIfJoined);
  return letters >= fewestIfMasked || !(how & MASKED);
}

function isName(written) {
  const [first, ...others] = written;
  const rest = others.join("");
  return /^\p{Lu}$/u.test(first) && /\p{Lowercase}/u.test(rest) && !/[\p{Uppercase}\p{Lt}]/u.test(rest);
}

function isSwapped(text, written) {
  const sorted = (word) => Array.from(squeeze(word)).sort().join("");
  return sorted(text) === sorted(written.toLowerCase());
}
