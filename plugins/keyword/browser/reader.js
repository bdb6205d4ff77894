// What a single word may mean: its plain form in text-speak, other words for odd ones, and whether it changes anything.

import { canon, confused, fillers, meansYouAre } from "./generated/tables.js";
import { OTHER } from "./telling.js";

const MOST_ODD = 20_000; // odd words of one text that are looked into; a text with more of them is no language
const PLAIN = new Map(Object.entries(canon));
const CONFUSED = new Map(Object.entries(confused));
const FILLERS = new Set(fillers);
const MEANS_YOU_ARE = new Set(meansYouAre);

// The words of text-speak.
export const spoken = new Set([...PLAIN.keys(), ...FILLERS]);
export const spelled = [...PLAIN.keys()];

// The plain form of a folded word: one word or several.
export function plain(word) {
  return PLAIN.get(word) ?? word;
}

// Reads the words of one text.
export class Reader {
  #odd;
  #known = new Map();
  #count = 0;

  constructor(odd) {
    this.#odd = odd;
  }

  plain(word) {
    return plain(word);
  }

  // Whether two words may be one of which a piece is none by itself.
  arePieces(first, second) {
    return (this.#odd.isPiece(first) || this.#odd.isPiece(second)) && !this.#odd.isPiece(first + second);
  }

  meansYouAre(word) {
    return MEANS_YOU_ARE.has(word);
  }

  // {meant, changesNothing}: the forms that are compared, [words, how each was written], and whether phrases may be read
  // without it.
  readings(word) {
    let found = this.#known.get(word);
    if (!found) this.#known.set(word, (found = this.#read(word)));
    return found;
  }

  #read(word) {
    const canonical = plain(word);
    const others = word !== "your" ? (CONFUSED.get(canonical) ?? []) : [];
    const confused = others.map((words) => [words, OTHER]);
    const isOdd = this.#odd.isOdd(word) && ++this.#count <= MOST_ODD;
    const readings = [...confused, ...(isOdd ? this.#odd.readings(word) : [])].map(([words, how]) => [inPlainForms(words), how]);
    const meant = [[canonical, 0], ...readings];
    return { meant, changesNothing: meant.some(([words]) => FILLERS.has(words)) };
  }

  // Where words stand in a run without blanks, one of which has a sign over a letter.
  together(run) {
    return this.#odd.together(run);
  }
}

function inPlainForms(words) {
  return words.split(" ").map(plain).join(" ");
}
