// Terms that no device is to know in words: it has their hashes under a key of its own, and hashes each run of words of a
// text that is as long as one of them. Found as they are written or in plain forms, in no other disguise.

import { unspaced } from "./generated/tables.js";
import { plain } from "./reader.js";
import { hasher } from "./siphash.js";

const UNSPACED = new RegExp(unspaced);

export class Hidden {
  #bits = new Map(); // surfaces, by the hash
  #words = [];
  #letters = [];
  #hash = null;

  // {key, words, letters, hashes}: the numbers of words, or of letters in scripts without blanks, that occur; surfaces by
  // hash. Nothing at all if no term is hidden.
  constructor(hidden) {
    if (!hidden) return;
    const { key, words, letters, hashes } = hidden;
    this.#words = words;
    this.#letters = letters;
    this.#hash = hasher(key);
    for (const [hash, bits] of Object.entries(hashes)) this.#bits.set(hash, bits);
  }

  find(folded, found) {
    if (this.#bits.size === 0) return;
    this.#runs(wordsOf(folded), this.#words, " ", found);
    if (this.#letters.length > 0 && UNSPACED.test(folded.text)) this.#runs(lettersOf(folded), this.#letters, "", found);
  }

  #runs(units, lengths, between, found) {
    for (const [first, { start }] of units.entries()) {
      for (const length of lengths) {
        if (first + length > units.length) break;
        const run = units.slice(first, first + length);
        const hash = this.#hash(run.map(({ text }) => text).join(between));
        const bits = this.#bits.get(hash);
        if (bits !== undefined && found.counts(bits, start)) found.add(hash, start, run.at(-1).end);
      }
    }
  }
}

function wordsOf(folded) {
  const places = folded.places();
  const found = [];
  for (let at = 0; at < places.length; at += 2) {
    const [start, end] = [places[at], places[at + 1]];
    for (const text of plain(folded.letters(start, end)).split(" ")) found.push({ text, start, end });
  }
  return found;
}

function lettersOf(folded) {
  const found = [];
  for (let place = 0; place < folded.text.length; place++) {
    const text = folded.letters(place, place + 1);
    if (!/[\t-\r\x1c-\x20]/.test(text)) found.push({ text, start: place, end: place + 1 });
  }
  return found;
}
