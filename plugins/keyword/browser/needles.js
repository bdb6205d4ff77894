// The terms of the box, and where they stand in a text. ../needles/ writes what is read here.

import { fewestCompared, surfaces, unspaced } from "./generated/tables.js";
import { Disguises } from "./disguises.js";
import { emojiIn } from "./emoji.js";
import { Segmenter } from "./english.js";
import { Folded, compared } from "./folding.js";
import { Hidden } from "./hidden.js";
import { Lattice } from "./lattice.js";
import { OddWords, listOf } from "./odd.js";
import { Reader, plain, spelled, spoken } from "./reader.js";
import { isTelling } from "./telling.js";
import { Trie } from "./trie.js";

const UNSPACED = new RegExp(unspaced);
const BIT = new Map(surfaces.map((surface, place) => [surface, 1 << place]));
const ADDRESS = BIT.get("address");
const SHORT_ON = BIT.get("typed");
const SEARCH = BIT.get("search");
const LONGEST = 12; // words of a phrase
const NONE = [];

// How a term counts. `bits`: the surfaces on which it does; `near`: nodes of what has to stand near it, if anything;
// `longer`: by how many letters its single words are longer in policies than in their plain forms.
class Needle {
  constructor(id, bits, near, within, longer) {
    this.longer = longer;
    this.id = id;
    this.bits = bits;
    this.near = near;
    this.within = within;
  }
}

export class Needles {
  #numbers = new Map(); // words of terms, each by its number
  #loose = new Trie(); // phrases in plain forms
  #exact = new Trie(); // phrases as they are written
  #short = new Trie(); // short ones in plain forms, for runs of single letters
  #solid = new Trie(); // letters of phrases in scripts without blanks
  #near = new Trie();
  #nears = new Map();
  #vocabulary = new Set();
  #odd;
  #disguises;
  #hidden;

  constructor({ terms, near, taught, hidden }) {
    for (const [name, forms] of Object.entries(near)) this.#nears.set(name, this.#nearOf(forms));
    for (const [id, term] of Object.entries(terms)) this.#addTerm(id, term);
    this.#hidden = new Hidden(hidden);
    this.#odd = new OddWords(this.#vocabulary, spoken, new Segmenter([...wordsOf(taught), ...spoken]));
    this.#disguises = new Disguises(new Set([...this.#vocabulary, ...spelled]), this.#odd);
  }

  // Terms

  #addTerm(id, { surfaces: bits, loose, exact, short, solid, near, within, longer = 0 }) {
    const needle = new Needle(id, bits, near ? this.#nears.get(near) : null, within, longer);
    for (const phrase of phrasesOf(loose)) this.#loose.add(this.#numbered(this.#taken(phrase)), needle);
    for (const phrase of phrasesOf(exact)) {
      this.#exact.add(this.#numbered(phrase), needle);
      this.#taken(inPlainForms(phrase));
    }
    if (solid) for (const phrase of phrasesOf(solid)) this.#addSolid(phrase, needle);
    if (short) this.#addShort(phrasesOf(short), new Needle(id, bits & SHORT_ON, needle.near, within, longer));
  }

  #addSolid(words, needle) {
    const letters = Array.from(words.join(""));
    const isShort = letters.length < fewestCompared;
    const counting = isShort ? new Needle(needle.id, needle.bits & SHORT_ON, needle.near, needle.within, needle.longer) : needle;
    this.#solid.add(this.#numbered(letters), counting);
  }

  // Too short for disguises, but for a whole run of single letters.
  #addShort(phrases, needle) {
    for (const phrase of phrases) {
      this.#exact.add(this.#numbered(phrase), needle);
      this.#short.add(this.#numbered(inPlainForms(phrase)), needle);
    }
  }

  // Words of terms are words that are known.
  #taken(words) {
    for (const word of words) this.#vocabulary.add(word);
    return words;
  }

  // What has to stand near: "hat*" is every word that begins so.
  #nearOf(forms) {
    const found = new Set();
    for (const words of phrasesOf(forms)) {
      found.add(this.#near.add(this.#numbered(words), words));
      for (const word of words) {
        if (!word.endsWith("*")) this.#vocabulary.add(word);
        else if (word.length > fewestCompared) this.#vocabulary.add(word.slice(0, -1));
      }
    }
    return found;
  }

  #numbered(words) {
    const numbers = new Array(words.length);
    for (let at = 0; at < words.length; at++) {
      let number = this.#numbers.get(words[at]);
      if (number === undefined) this.#numbers.set(words[at], (number = this.#numbers.size + 1));
      numbers[at] = number;
    }
    return numbers;
  }

  // Looking

  // Where terms stand in a text: [{id, start, end}], in UTF-16 units, in the order of the text.
  find(text, surface, query) {
    if (!text.trim()) return NONE;
    const folded = new Folded(text);
    const found = new Found(folded, BIT.get(surface) ?? 0, query);
    const stretches = [...this.#disguises.stretches(folded.text), ...emojiIn(folded)];
    const lattice = new Lattice(folded, new Reader(this.#odd), stretches);
    this.#scan(lattice.steps, lattice.skips, this.#loose, lattice, found);
    this.#scan(lattice.written, null, this.#exact, lattice, found);
    this.#scan(lattice.alone, null, this.#short, lattice, found);
    if (UNSPACED.test(folded.text)) this.#scanSolid(folded.text, found);
    this.#hidden.find(folded, surface, found);
    return found.inOrder();
  }

  // Every phrase of a trie along steps; `skips` may be left out.
  #scan(steps, skips, trie, lattice, found) {
    if (trie.isEmpty) return;
    for (const [place, first] of steps) {
      for (const step of first) {
        const node = trie.child(0, this.#numbers.get(step.text) ?? 0);
        if (node !== 0) this.#follow(steps, skips, trie, node, step, place, lattice, found);
      }
    }
  }

  #follow(steps, skips, trie, node, first, place, lattice, found) {
    const isOneWord = trie === this.#loose;
    const waiting = [[node, first.to, first]];
    const beenAt = new Map(); // places, by the node
    const goTo = (next, to, step) => {
      const places = listOf(beenAt, next);
      if (places.includes(to)) return;
      places.push(to);
      waiting.push([next, to, step]);
    };
    while (waiting.length > 0) {
      const [at, from, last] = waiting.pop();
      for (const needle of trie.values(at) ?? NONE) {
        if (!found.counts(needle.bits, first.start)) continue;
        if (isOneWord && at === node && !found.tells(first, needle)) continue;
        if (this.#isNear(needle, place, from, lattice)) found.add(needle.id, first.start, last.end);
      }
      for (const step of steps.get(from) ?? NONE) {
        const next = trie.child(at, this.#numbers.get(step.text) ?? 0);
        if (next !== 0) goTo(next, step.to, step);
      }
      for (const to of skips?.get(from) ?? NONE) goTo(at, to, last);
    }
  }

  // Whether something stands near a phrase that makes it count.
  #isNear({ near, within }, from, to, lattice) {
    if (near === null) return true;
    for (const [place, count] of lattice.behind(to, within)) {
      if (count < within && this.#begins(near, place, lattice)) return true;
    }
    const own = lattice.isWithin(from) ? 1 : 0; // the rest of the word in which it begins is no word between
    for (const place of lattice.ahead(from, within + own).keys()) {
      if ((place !== from || lattice.loops.has(from)) && this.#begins(near, place, lattice)) return true;
    }
    return (lattice.isWithin(from) || lattice.isWithin(to)) && this.#isJoined(near, from, within, lattice);
  }

  // Whether it stands within what a phrase was written together with: of "sendnudes" the phrase "nudes".
  #isJoined(near, from, within, lattice) {
    for (const place of lattice.onwards(from, within + LONGEST).keys()) {
      if (this.#begins(near, place, lattice)) return true;
    }
    return false;
  }

  #begins(near, place, lattice) {
    const waiting = [[0, place]];
    const beenAt = new Map();
    while (waiting.length > 0) {
      const [node, from] = waiting.pop();
      for (const step of lattice.steps.get(from) ?? NONE) {
        for (const next of this.#nearAfter(node, step)) {
          if (near.has(next)) return true;
          const places = listOf(beenAt, next);
          if (places.includes(step.to)) continue;
          places.push(step.to);
          waiting.push([next, step.to]);
        }
      }
      if (node === 0) continue;
      for (const to of lattice.skips.get(from) ?? NONE) {
        const places = listOf(beenAt, node);
        if (places.includes(to)) continue;
        places.push(to);
        waiting.push([node, to]);
      }
    }
    return false;
  }

  *#nearAfter(node, { text }) {
    const whole = this.#near.child(node, this.#numbers.get(text) ?? 0);
    if (whole !== 0) yield whole;
    for (let length = 1; length <= text.length; length++) {
      const begun = this.#numbers.get(`${text.slice(0, length)}*`);
      const next = begun === undefined ? 0 : this.#near.child(node, begun);
      if (next !== 0) yield next;
    }
  }

  #scanSolid(text, found) {
    const places = [];
    for (let place = 0; place < text.length; place++) if (!/[\t-\r\x1c-\x20]/.test(text[place])) places.push(place);
    for (const [first, start] of places.entries()) {
      let node = 0;
      for (let at = first; at < places.length; at++) {
        node = this.#solid.child(node, this.#numbers.get(text[places[at]]) ?? 0);
        if (node === 0) break;
        for (const needle of this.#solid.values(node) ?? NONE) {
          if (found.counts(needle.bits, start)) found.add(needle.id, start, places[at] + 1);
        }
      }
    }
  }
}

function phrasesOf(phrases = "") {
  return phrases === "" ? NONE : compared(phrases).split("|").map((phrase) => phrase.split(" "));
}

function wordsOf(byLetter) {
  return Object.values(byLetter).flatMap((words) => compared(words).split(" "));
}

function inPlainForms(words) {
  return words.map(plain).join(" ").split(" ");
}

// What was found in one text, of a term none that overlaps another.
class Found {
  #folded;
  #bit;
  #query;
  #all = [];

  // `query`: the place from which on it holds what a search engine was asked, if it is an address.
  constructor(folded, bit, query) {
    this.#folded = folded;
    this.#bit = bit;
    this.#query = query;
  }

  // Whether a term with these surfaces counts here.
  counts(bits, start) {
    if (bits & this.#bit) return true;
    return this.#bit === ADDRESS && (bits & SEARCH) !== 0 && this.#folded.origin(start, start + 1)[0] >= this.#query;
  }

  // Whether a single word, written in this way, says enough.
  tells(step, { longer, near }) {
    if (!step.how) return true;
    const [start, end] = this.#folded.origin(step.start, Math.max(step.end, step.start + 1));
    return isTelling(step, longer, this.#folded.original.slice(start, end), near !== null);
  }

  add(id, start, end) {
    this.#all.push({ id, start, end: Math.max(end, start + 1) });
  }

  inOrder() {
    const last = new Map();
    const kept = [];
    for (const one of this.#all.sort((one, other) => one.start - other.start || other.end - one.end)) {
      if (one.start < (last.get(one.id) ?? 0)) continue;
      last.set(one.id, one.end);
      const [start, end] = this.#folded.origin(one.start, one.end);
      kept.push({ id: one.id, start, end });
    }
    return kept;
  }
}
