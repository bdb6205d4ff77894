// Words that no list has, and what may be meant by them: as ../engine/odd.py, but every reading instead of the likeliest.
// This device may know fewer terms than the box, so what is likeliest here may not be what is likeliest there.

import {
  fewestForeign,
  fewestLetters,
  fewestSounding,
  longestPiece,
  longestRun,
  longestWord,
  mostResplit,
  mostSounding,
  sound,
  sounding,
} from "./generated/tables.js";
import { isCommon, seen } from "./english.js";
import { EDIT, JOINED, OTHER, REPEATED } from "./telling.js";

const OF_LETTERS = /^\p{L}+$/u;
const SOUND = new RegExp(`(${sound})`);

export class OddWords {
  #vocabulary;
  #spoken;
  #segmenter;
  #doubled = new Map(); // words with repeated letters, by what they are without
  #byShape = new Map(); // words of terms, by their first letter and length

  // `vocabulary`: the words of terms; `spoken`: those of text-speak.
  constructor(vocabulary, spoken, segmenter) {
    this.#vocabulary = vocabulary;
    this.#spoken = spoken;
    this.#segmenter = segmenter;
    for (const word of vocabulary) {
      this.#note(word);
      if (word.length >= fewestLetters && isLetters(word)) listOf(this.#byShape, word[0] + word.length).push(word);
    }
    for (const word of spoken) this.#note(word);
    for (const word of seen.keys()) if (isCommon(word)) this.#note(word);
  }

  #note(word) {
    const squeezed = squeeze(word);
    if (squeezed === word || !isLetters(word)) return;
    const others = listOf(this.#doubled, squeezed);
    if (!others.includes(word)) others.push(word);
  }

  isKnown(word) {
    return seen.has(word) || this.#vocabulary.has(word) || this.#spoken.has(word);
  }

  // Whether a word may be another one, misspelt. A word of a term may: those of other languages are there too.
  isOdd(word) {
    return !this.isKnown(word) || (word.length >= fewestForeign && !seen.has(word) && !this.#spoken.has(word));
  }

  // What may be meant by a word that is not known: [words with blanks between them, how they are written].
  readings(word) {
    if (!isLetters(word) || word.length > longestRun) return [];
    const squeezed = squeeze(word);
    const found = this.#repeated(squeezed).map((meant) => [meant, REPEATED]);
    if (word.endsWith("in") && this.isKnown(`${word}g`)) found.push([`${word}g`, OTHER]);
    for (const meant of this.#sounding(word)) found.push([meant, OTHER]);
    for (const form of new Set([word, squeezed])) {
      for (const meant of this.#misspelt(form)) found.push([meant, EDIT]);
      for (const parts of this.#comeApart(form)) {
        if (parts.length > 1 && parts.length <= 1 + Math.floor(form.length / 2)) found.push([parts.join(" "), JOINED]);
      }
    }
    return found.filter(([meant]) => meant !== word);
  }

  // A run of single letters as words, in every likely way; as it is, too.
  splits(run) {
    if (this.isKnown(run)) return [run];
    return [...new Set([...this.#comeApart(run).map((parts) => parts.join(" ")), run])];
  }

  #repeated(squeezed) {
    const found = this.#doubled.get(squeezed) ?? [];
    const isWord = isCommon(squeezed) || this.#vocabulary.has(squeezed) || this.#spoken.has(squeezed);
    return isWord ? [squeezed, ...found] : found;
  }

  // Words of terms with the same first letter that are one edit away.
  *#misspelt(word) {
    if (word.length < fewestLetters - 1) return;
    for (const length of [word.length - 1, word.length, word.length + 1]) {
      for (const meant of this.#byShape.get(word[0] + length) ?? []) if (isOneEdit(word, meant)) yield meant;
    }
  }

  // Words that sound like one.
  #sounding(word) {
    if (word.length < fewestSounding || !SOUND.test(word)) return [];
    return spelled(word).flatMap((meant) => this.#repeated(squeeze(meant)));
  }

  // Where words stand in a run without blanks, one of which has a sign over a letter: [text, start, end], every one that may
  // be a part.
  *together(run) {
    const begun = this.#reached(run, false);
    const ended = this.#reached(run, true);
    for (const start of begun) {
      for (let end = start + 1; end <= Math.min(run.length, start + longestWord); end++) {
        const word = run.slice(start, end);
        if ((begun.has(end) || ended.has(end)) && this.#isWord(word)) yield [word, start, end];
      }
    }
    for (const end of ended) {
      for (let start = Math.max(0, end - longestWord); start < end; start++) {
        const word = run.slice(start, end);
        if (ended.has(start) && !begun.has(start) && this.#isWord(word)) yield [word, start, end];
      }
    }
    for (const start of begun) {
      for (const end of ended) {
        const length = end - start;
        if (length < fewestLetters - 1 || length > longestPiece || length === run.length) continue;
        for (const meant of this.#misspelt(run.slice(start, end))) yield [meant, start, end];
      }
    }
  }

  // The places of a run that words from its beginning, or its end, lead to.
  #reached(run, fromEnd) {
    const reached = new Set([fromEnd ? run.length : 0]);
    for (const place of reached) {
      for (let length = 1; length <= longestWord; length++) {
        const next = fromEnd ? place - length : place + length;
        if (next < 0 || next > run.length) break;
        if (!reached.has(next) && this.#isWord(fromEnd ? run.slice(next, place) : run.slice(place, next))) reached.add(next);
      }
    }
    return reached;
  }

  #isWord(word) {
    return this.#vocabulary.has(word) || this.#segmenter.has(word);
  }

  // Whether a word is none by itself, but may be a piece of one.
  isPiece(word) {
    return !this.#segmenter.has(word);
  }

  // Ways in which a run comes apart: the likeliest, and without each of its words.
  #comeApart(run) {
    const parts = this.#segmenter.split(run);
    if (parts.length === 0) return [];
    const others = parts.length <= mostResplit ? parts.filter((part) => part.length > 2) : [];
    return [parts, ...others.map((part) => this.#segmenter.split(run, [part]))].filter((found) => found.length > 0);
  }
}

// A word in other ways of writing how it sounds.
function spelled(word) {
  let found = [""];
  for (const part of word.split(SOUND)) {
    const ways = [part, ...(sounding[part] ?? [])];
    found = found.flatMap((begun) => ways.map((way) => begun + way)).slice(0, mostSounding + 1);
  }
  return found.slice(1);
}

// A word with each run of the same letter as one.
export function squeeze(word) {
  return word.replace(/(.)\1+/gu, "$1");
}

export function isLetters(word) {
  return OF_LETTERS.test(word);
}

// The list that a map has under a key, made if there is none.
export function listOf(map, key) {
  let found = map.get(key);
  if (!found) map.set(key, (found = []));
  return found;
}

// Whether a letter more, less or another, or two neighbours swapped, makes one of the other.
export function isOneEdit(one, other) {
  if (one.length > other.length) [one, other] = [other, one];
  if (other.length - one.length > 1 || one === other) return false;
  let place = 0;
  while (place < one.length && one[place] === other[place]) place++;
  if (one.length < other.length) return one.slice(place) === other.slice(place + 1);
  if (one.slice(place + 1) === other.slice(place + 1)) return true;
  const isSwapped = one[place] === other[place + 1] && one[place + 1] === other[place];
  return isSwapped && one.slice(place + 2) === other.slice(place + 2);
}
