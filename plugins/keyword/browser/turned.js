// Lines that are written upside down or backwards, the right way round; as ../engine/turned.py.

import { backwards, fewestTurned, forwards, mostTurned, turnedLetters, upright } from "./generated/tables.js";

const TURNED = new RegExp(`[${turnedLetters}]`, "gu");
const LINE = /[^\n]+/gu;
const BACKWARDS = new RegExp(`(?<=${backwards})[^${forwards}${backwards}]+`, "gu");

// {text, starts, ends}: they, one below the other, and where each letter stands in the original; null: there are none.
export function turned(text) {
  if (!text.match(TURNED) && !text.includes(backwards)) return null;
  const found = { text: "", starts: [], ends: [] };
  for (const line of text.matchAll(LINE)) {
    if ((line[0].match(TURNED)?.length ?? 0) >= fewestTurned) add(found, line, upright);
  }
  for (const run of text.matchAll(BACKWARDS)) add(found, run, {});
  return found;
}

function add(found, line, letters) {
  const room = 2 * mostTurned - found.text.length; // the box counts characters, of which some take two units
  const written = Array.from(line[0].slice(0, Math.max(0, room)));
  let end = line.index + written.join("").length;
  for (const character of written.reverse()) {
    put(found, letters[character] ?? character, end - character.length, end);
    end -= character.length;
  }
  put(found, "\n", end, end);
}

function put(found, letter, start, end) {
  for (let unit = 0; unit < letter.length; unit++) {
    found.starts.push(start);
    found.ends.push(end);
  }
  found.text += letter;
}
