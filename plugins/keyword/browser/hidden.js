// Terms that no device is to know in words: it has their hashes, and hashes each run of words of a text that is as long as
// one of them. Found as they are written or in plain forms, in no other disguise. ../needles/hidden.py writes them.

import { fillers, refersBack as referring, surfaces, unspaced } from "./generated/tables.js";
import { plain } from "./reader.js";
import { hasher, numberOf } from "./siphash.js";

const UNSPACED = new RegExp(unspaced);
const BLANK = /[\t-\r\x1c-\x20]/;
const FILLERS = new Set(fillers);
const REFERS_BACK = new Set(referring);
const ENDS_SENTENCE = /[.!?\n;]/;
const NONE = [];

export class Hidden {
  #terms = new Map(); // {id, ways}, by the hash; each way: surfaces, what has to stand near, within how many words
  #near = new Map();
  #longestNear = 0;
  #words;
  #letters;
  #hash;

  // `hidden` is missing if no term is hidden.
  constructor(hidden) {
    if (!hidden) return;
    const { key, words, letters, hashes, near, longestNear } = hidden;
    this.#words = words;
    this.#letters = letters;
    this.#longestNear = longestNear;
    this.#hash = hasher(key);
    for (const [hash, term] of Object.entries(hashes)) this.#terms.set(numberOf(hash), { id: hash, ways: waysOf(term) });
    for (const [name, hashed] of Object.entries(near)) this.#near.set(name, new Set(hashed.map(numberOf)));
  }

  find(folded, surface, found) {
    if (this.#terms.size === 0) return;
    const number = surfaces.indexOf(surface);
    const [words, letters] = [this.#words[number] ?? NONE, this.#letters[number] ?? NONE];
    if (words.length > 0) this.#runs(wordsOf(folded), words, " ", found);
    if (letters.length > 0 && UNSPACED.test(folded.text)) this.#runs(lettersOf(folded), letters, "", found);
  }

  #runs(units, lengths, between, found) {
    for (const [first, { start }] of units.entries()) {
      for (const length of lengths) {
        const behind = first + length;
        if (behind > units.length) break;
        const term = this.#terms.get(this.#hashOf(units, first, behind, between));
        if (term === undefined) continue;
        const counts = ([bits, near, within]) =>
          found.counts(bits, start) &&
          (!near || between === "" || this.#isNear(this.#near.get(near), units, first, behind, within));
        if (term.ways.some(counts)) found.add(term.id, start, units[behind - 1].end);
      }
    }
  }

  #hashOf(units, first, behind, between, more = "") {
    let text = units[first].text;
    for (let at = first + 1; at < behind; at++) text += between + units[at].text;
    return this.#hash(text + more);
  }

  // Whether one of them stands among so many words before or behind, as far as the sentence goes or is gone on with.
  #isNear(near, units, first, behind, within) {
    let count = 0;
    for (let at = behind; at < units.length && count < within; at++) {
      const before = units[at - 1];
      if (before.endsSentence && (at === behind || !FILLERS.has(before.text)) && !refersBack(units, at, within)) break;
      if (this.#begins(near, units, at)) return true;
      if (!FILLERS.has(units[at].text)) count += 1;
    }
    count = 0;
    for (let at = first - 1; at >= 0 && count < within; at--) {
      if (!FILLERS.has(units[at].text)) {
        if (units[at].endsSentence) break;
        count += 1;
      }
      if (this.#begins(near, units, at)) return true;
    }
    const isPart = units[first - 1]?.start === units[first].start || units[behind]?.start === units[behind - 1].start;
    return isPart && units.slice(first, behind).some((_, at) => this.#begins(near, units, first + at));
  }

  // Whether one of them begins at a word; a star stands for the rest of a word.
  #begins(near, units, first) {
    for (let length = 1; length <= this.#longestNear && first + length <= units.length; length++) {
      const last = first + length - 1;
      if (near.has(this.#hashOf(units, first, last + 1, " "))) return true;
      const before = length > 1 ? `${units.slice(first, last).map(({ text }) => text).join(" ")} ` : "";
      const { text } = units[last];
      for (let end = 1; end <= text.length; end++) {
        if (near.has(this.#hash(`${before}${text.slice(0, end)}*`))) return true;
      }
    }
    return false;
  }
}

function waysOf(term) {
  if (!Array.isArray(term)) return [[term, "", 0]];
  const found = [];
  for (let at = 0; at < term.length; at += 3) found.push(term.slice(at, at + 3));
  return found;
}

// Whether a sentence goes on about those of the one before.
function refersBack(units, from, within) {
  for (let at = from, count = 0; at < units.length && count < within; at++) {
    if (REFERS_BACK.has(units[at].text)) return true;
    if (!FILLERS.has(units[at].text)) count += 1;
  }
  return false;
}

function wordsOf(folded) {
  const places = folded.places();
  const found = [];
  for (let at = 0; at < places.length; at += 2) {
    const [start, end] = [places[at], places[at + 1]];
    const endsSentence = ENDS_SENTENCE.test(folded.text.slice(end, places[at + 2]));
    const words = plain(folded.letters(start, end)).split(" ");
    for (const [number, text] of words.entries()) {
      found.push({ text, start, end, endsSentence: endsSentence && number === words.length - 1 });
    }
  }
  return found;
}

function lettersOf(folded) {
  const found = [];
  for (let place = 0; place < folded.text.length; place++) {
    const text = folded.letters(place, place + 1);
    if (!BLANK.test(text)) found.push({ text, start: place, end: place + 1, endsSentence: false });
  }
  return found;
}
