// Text as a reader hears it. The rules stand in ../engine/folding.py, the tables come from there, and
// tests/vectors/folding.json holds both to the same answers.

import { amongLetters, apostrophes, capitals, dropped, small, zeros } from "./generated/tables.js";

const KNOWN = 65_536; // characters whose folding is remembered
const OF_A_WORD = /^[\p{L}\p{M}\p{N}]/u;
const ASCII = /^[\x00-\x7f]*$/;
const BEYOND = /[\u{10000}-\u{10ffff}]/u;
const STAND_IN = "\ua015"; // a letter of Yi for each character that takes two units, so that all places count characters
const WORDS = /[\p{L}\p{M}\p{N}]+/gu;
const WORDS_OF_ASCII = /[a-z0-9]+/g;
const APOSTROPHES_OF_ASCII = /['`]/g;
const AMONG = Object.keys(amongLetters).join("");
const AMONG_LETTERS = new RegExp(`(?<=[a-z])[${AMONG}]|[${AMONG}](?=[a-z])`, "g");

const passedOver = new Set(apostrophes);
const known = new Map();

// A folded text that knows where each of its letters comes from. `text` has words of letters, marks and digits, and
// between them blanks and the signs of ASCII; each character takes one unit.
export class Folded {
  #units = null; // the characters, if some of them have a stand-in
  #starts = null; // where each stands in the original; null: at the same place
  #ends = null;

  constructor(original) {
    this.original = original;
    const isAscii = ASCII.test(original);
    this.text = isAscii ? original.toLowerCase().replace(APOSTROPHES_OF_ASCII, "") : "";
    if (!isAscii || this.text.length !== original.length) this.#fold(original);
    this.pattern = ASCII.test(this.text) ? WORDS_OF_ASCII : WORDS;
  }

  #fold(original) {
    const units = [];
    this.#starts = [];
    this.#ends = [];
    let place = 0;
    for (const character of original) {
      for (const unit of fold(character)) {
        units.push(unit);
        this.#starts.push(place);
        this.#ends.push(place + character.length);
      }
      place += character.length;
    }
    const text = units.map((unit) => (unit.length > 1 ? STAND_IN : unit)).join("");
    this.text = text.replace(AMONG_LETTERS, (sign) => amongLetters[sign]);
    if (units.some((unit) => unit.length > 1)) this.#units = units.map((unit, at) => (unit.length > 1 ? unit : this.text[at]));
  }

  // Where each word begins and ends in the folded text: [start, end, start, end, ...].
  places() {
    const found = [];
    for (const match of this.text.matchAll(this.pattern)) found.push(match.index, match.index + match[0].length);
    return found;
  }

  // What really stands there.
  letters(start, end) {
    return this.#units ? this.#units.slice(start, end).join("") : this.text.slice(start, end);
  }

  // Where the last letter stands that begins at a place of the original, or before it.
  placeOf(place) {
    if (!this.#starts) return place;
    let [low, high] = [0, this.#starts.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.#starts[middle] <= place) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // Where the letters from `start` up to `end` stand in the original, in UTF-16 units.
  origin(start, end) {
    return this.#starts ? [this.#starts[start], this.#ends[end - 1]] : [start, end];
  }
}

// The folded words of a text, each with the place where it begins and ends (UTF-16 units, as slice() counts).
export function words(text) {
  const folded = new Folded(text);
  const places = folded.places();
  const found = [];
  for (let at = 0; at < places.length; at += 2) {
    const [start, end] = folded.origin(places[at], places[at + 1]);
    found.push({ text: folded.letters(places[at], places[at + 1]), start, end });
  }
  return found;
}

// Words as they are compared here: those of the box, with stand-ins.
export function compared(words) {
  return BEYOND.test(words) ? words.replace(new RegExp(BEYOND, "gu"), STAND_IN) : words;
}

function fold(character) {
  let folded = known.get(character);
  if (folded === undefined) {
    folded = capitals[character] ?? (isPassedOver(character) ? "" : decomposed(character));
    if (known.size < KNOWN) known.set(character, folded);
  }
  return folded;
}

function decomposed(character) {
  return Array.from(character.normalize("NFKD"), plain).join("");
}

function plain(part) {
  if (isPassedOver(part)) return "";
  const lower = part.toLowerCase();
  const letters = small[lower] ?? digit(lower) ?? lower;
  return OF_A_WORD.test(letters) || ASCII.test(letters) ? letters : " ";
}

function digit(character) {
  if (!/^\p{Nd}$/u.test(character)) return undefined;
  const code = character.codePointAt(0);
  const zero = zeros.findLast((first) => first <= code);
  return code - zero < 10 ? String(code - zero) : undefined;
}

function isPassedOver(character) {
  const code = character.codePointAt(0);
  return passedOver.has(character) || dropped.some(([first, last]) => first <= code && code <= last);
}
