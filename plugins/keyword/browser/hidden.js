// Terms that no device is to know in words: it has their hashes, and hashes each run of words of a text that is as long as
// one of them. Found as they are written or in plain forms, in no other disguise. ../needles/hidden.py writes them.

import { fillers, surfaces, unspaced } from "./generated/tables.js";
import { plain } from "./reader.js";
import { hasher } from "./siphash.js";

const UNSPACED = new RegExp(unspaced);
const BLANK = /[\t-\r\x1c-\x20]/;
const FILLERS = new Set(fillers);
const NONE = [];

export class Hidden {
  #terms = new Map(); // [surfaces, what has to stand near, within how many words], by the hash
  #near = new Map();
  #words;
  #letters;
  #hash;

  // `hidden` is missing if no term is hidden.
  constructor(hidden) {
    if (!hidden) return;
    const { key, words, letters, hashes, near } = hidden;
    this.#words = words;
    this.#letters = letters;
    this.#hash = hasher(key);
    for (const [hash, term] of Object.entries(hashes)) this.#terms.set(hash, Array.isArray(term) ? term : [term]);
    for (const [name, hashed] of Object.entries(near)) this.#near.set(name, new Set(hashed));
  }

  find(folded, surface, found) {
    if (this.#terms.size === 0) return;
    const number = surfaces.indexOf(surface);
    const [words, letters] = [this.#words[number] ?? NONE, this.#letters[number] ?? NONE];
    if (words.length > 0) this.#runs(wordsOf(folded), words, " ", found);
    if (letters.length > 0 && UNSPACED.test(folded.text)) this.#runs(lettersOf(folded), letters, "", found);
  }

  #runs(units, lengths, between, found) {
    const known = new Map(); // hashes of the words of this text
    for (const [first, { start }] of units.entries()) {
      for (const length of lengths) {
        const behind = first + length;
        if (behind > units.length) break;
        const hash = this.#hash(units.slice(first, behind).map(({ text }) => text).join(between));
        const [bits, near, within] = this.#terms.get(hash) ?? NONE;
        if (bits === undefined || !found.counts(bits, start)) continue;
        if (near && !this.#isNear(this.#near.get(near), units, first, behind, within, known)) continue;
        found.add(hash, start, units[behind - 1].end);
      }
    }
  }

  #isNear(near, units, first, behind, within, known) {
    return this.#stands(near, units, behind, 1, within, known) || this.#stands(near, units, first - 1, -1, within, known);
  }

  // Whether one of them stands among so many words from a place on, whichever sentence those are in.
  #stands(near, units, from, step, within, known) {
    for (let at = from, count = 0; at >= 0 && at < units.length && count < within; at += step) {
      const { text } = units[at];
      if (!known.has(text)) known.set(text, this.#beginnings(text));
      if (known.get(text).some((hash) => near.has(hash))) return true;
      if (!FILLERS.has(text)) count += 1;
    }
    return false;
  }

  // The hashes of a word and of each beginning of it, with a star.
  #beginnings(word) {
    const starts = Array.from(word, (_, at) => this.#hash(`${word.slice(0, at + 1)}*`));
    return [this.#hash(word), ...starts];
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
    if (!BLANK.test(text)) found.push({ text, start: place, end: place + 1 });
  }
  return found;
}
