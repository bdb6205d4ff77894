// Every way in which a text may be read, at once: places between words, and from each of them the words that may follow.
//
// The box looks at one view of a text after the other (../engine/engine.py). Here all of them are paths through one
// lattice: a path takes each word as it is, in its plain form or as what may be meant by it; leaves out words that change
// nothing; and takes a disguised stretch or the words that stand there. So whatever the box can read is a path here.
//
// A place is how many letters of words come before it. So what begins with a sign ("$hit") begins at the same place as
// the letters behind it. Places within what several words are read for have numbers above all of those.

import { fewestInPieces, fewestOfPiece, refersBack, self, window } from "./generated/tables.js";
import { listOf } from "./odd.js";
import { OTHER, SPACED } from "./telling.js";

const MOST_CUTS = 5; // places within one word at which a disguised stretch begins or ends
const ENDS_SENTENCE = /[.!?\n;]/;
const REFERS_BACK = new Set(refersBack);
const SELF = new Set(self);
const NONE = [];

// A word that may be read: `text` up to the place `to`; it stands from `start` up to `end` in the folded text, written as
// `how` says (./telling.js). `isFirst`: it begins what counts as one word, or as the next one.
class Step {
  constructor(text, to, { start, end, how }, isFirst) {
    this.text = text;
    this.to = to;
    this.start = start;
    this.end = end;
    this.how = how;
    this.isFirst = isFirst;
  }
}

export class Lattice {
  #text;
  #places;
  #before; // letters of words before each word
  #outer; // the places between words of the text
  #inner; // the next one within what several words are read for
  #reader;
  #open = new Map(); // from the place to where the words before it end and those behind it begin
  #back = null;
  steps = new Map(); // what may be read, by the place where it begins
  skips = new Map(); // places behind words that change nothing, likewise
  #words = new Map(); // all words that may stand there, as they are written or read for a stretch, likewise
  written = new Map(); // words as they are written, likewise
  loops = new Set(); // places at which something is read that has no letters: an emoji
  alone = new Map(); // words that are a whole run of single letters, likewise

  constructor(folded, reader, stretches) {
    this.#text = folded.text;
    this.#reader = reader;
    this.#places = folded.places();
    this.#before = lettersBefore(this.#places);
    this.#outer = this.#before.at(-1) + 1;
    this.#inner = this.#outer;
    this.#addWords(stretches);
    for (const stretch of stretches) this.#addStretch(stretch);
    this.#addPutTogether();
    this.#addYouAre();
  }

  // Words of the text

  #addWords(stretches) {
    const cuts = this.#cuts(stretches);
    for (let at = 0; at < this.#places.length; at += 2) {
      const [start, end] = [this.#places[at], this.#places[at + 1]];
      const edges = [start, ...(cuts.get(at) ?? NONE), end];
      for (const [number, from] of edges.entries()) {
        for (const to of edges.slice(number + 1)) this.#addWord(at, from, to);
      }
    }
  }

  // Where words are cut by stretches and where the box stops to look around one, by the word.
  #cuts(stretches) {
    const found = new Map();
    for (const { start, end } of stretches) {
      for (const place of [start, end, end + window]) {
        const at = this.#wordAt(place);
        if (at < 0 || this.#places[at] >= place || place >= this.#places[at + 1]) continue;
        const others = listOf(found, at);
        if (!others.includes(place) && others.length < MOST_CUTS) others.push(place);
      }
    }
    for (const places of found.values()) places.sort((one, other) => one - other);
    return found;
  }

  #addWord(at, start, end) {
    const from = this.#before[at / 2] + start - this.#places[at];
    const to = this.#before[at / 2] + end - this.#places[at];
    const word = this.#text.slice(start, end);
    const span = { start, end, how: 0 };
    listOf(this.written, from).push(new Step(word, to, span, true));
    this.#addReadings(word, from, to, span);
    this.#note(from, to, start, end);
  }

  // Disguised stretches

  #addStretch(stretch) {
    const { start, end, how, readings } = stretch;
    const [from, to] = [this.#placeOf(start), this.#placeOf(end)];
    if (from === to) this.loops.add(from);
    for (const pieces of readings) {
      let place = from;
      for (const [number, piece] of pieces.entries()) {
        const next = number === pieces.length - 1 ? to : this.#inner++;
        for (const words of piece) this.#addRun(words.split(" "), place, next, stretch);
        place = next;
      }
      if (how === SPACED) this.#addAlone(pieces, from, to, stretch);
    }
    if (stretch.together) this.#addTogether(stretch, from, to);
    this.#note(from, to, start, end);
  }

  // Words within a run without blanks.
  #addTogether(stretch, from, to) {
    const run = stretch.together;
    const places = new Map([[0, from], [run.length, to]]);
    const placeOf = (at) => {
      if (!places.has(at)) places.set(at, this.#inner++);
      return places.get(at);
    };
    for (const [word, start, end] of this.#reader.together(run)) this.#addReadings(word, placeOf(start), placeOf(end), stretch);
  }

  #addRun(words, from, to, stretch) {
    let place = from;
    for (const [number, word] of words.entries()) {
      const next = number === words.length - 1 ? to : this.#inner++;
      this.#addReadings(word, place, next, stretch);
      place = next;
    }
  }

  // A run of single letters that makes one word, or two of which the first has one letter.
  #addAlone(pieces, from, to, stretch) {
    if (pieces.length > 2) return;
    const [first, second] = pieces;
    for (const words of second ? first.flatMap((one) => second.map((other) => `${one} ${other}`)) : first) {
      const parts = words.split(" ");
      if (parts.length > 2 || (parts.length === 2 && parts[0].length > 1)) continue;
      this.#addPath([this.steps, this.alone], parts.map((word) => this.#reader.plain(word)).join(" "), from, to, stretch);
    }
  }

  // What may be meant

  #addReadings(word, from, to, { start, end, how }) {
    listOf(this.#words, from).push({ word, to, start, end, how });
    const { meant, changesNothing } = this.#reader.readings(word);
    for (const [words, also] of meant) this.#addPath([this.steps], words, from, to, { start, end, how: how | also });
    if (changesNothing && from !== to) listOf(this.skips, from).push(to);
  }

  // Add what is read to each of some kinds of steps, over the same places.
  #addPath(kinds, words, from, to, span) {
    const several = words.split(" ");
    let place = from;
    for (const [number, word] of several.entries()) {
      const next = number === several.length - 1 ? to : this.#inner++;
      for (const steps of kinds) listOf(steps, place).push(new Step(word, next, span, number === 0));
      place = next;
    }
  }

  // Two words that are one: "my self", "murd er".
  #addPutTogether() {
    const found = [];
    for (const [from, words] of this.#words) {
      for (const first of words) {
        for (const second of this.#words.get(first.to) ?? NONE) {
          if (second !== first && this.#areOne(first.word, second.word)) found.push([from, first, second]);
        }
      }
    }
    for (const [from, first, second] of found) {
      const span = { start: first.start, end: second.end, how: first.how | second.how | SPACED };
      this.#addReadings(first.word + second.word, from, second.to, span);
    }
  }

  #areOne(first, second) {
    if (SELF.has(second)) return true;
    const length = first.length + second.length;
    return length >= fewestInPieces && Math.min(first.length, second.length) >= fewestOfPiece && this.#reader.arePieces(first, second);
  }

  // "your such a" is "you are such a".
  #addYouAre() {
    for (const [from, steps] of [...this.steps]) {
      for (const step of steps) {
        if (step.text !== "your") continue;
        const follows = this.steps.get(step.to) ?? NONE;
        if (follows.some(({ text }) => this.#reader.meansYouAre(text))) {
          this.#addPath([this.steps], "you are", from, step.to, { ...step, how: step.how | OTHER });
          break;
        }
      }
    }
  }

  // Places

  #wordAt(place) {
    let [low, high] = [0, this.#places.length / 2];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#places[2 * middle] < place) low = middle + 1;
      else high = middle;
    }
    return 2 * (low - 1);
  }

  #placeOf(place) {
    const at = this.#wordAt(place);
    if (at < 0) return 0;
    return this.#before[at / 2] + Math.min(place, this.#places[at + 1]) - this.#places[at];
  }

  #note(from, to, start, end) {
    const [begins, ends] = [this.#gap(from), this.#gap(to)];
    begins.start = Math.min(begins.start, start);
    ends.end = Math.max(ends.end, end);
  }

  #gap(place) {
    let found = this.#open.get(place);
    if (!found) this.#open.set(place, (found = { end: 0, start: Infinity }));
    return found;
  }

  // Whether a place lies within what several words are read for.
  isWithin(place) {
    return place >= this.#outer;
  }

  // Whether a sentence ends at a place, however the words around it are read.
  endsSentence(place) {
    const gap = this.#open.get(place);
    return gap !== undefined && gap.end < gap.start && ENDS_SENTENCE.test(this.#text.slice(gap.end, gap.start));
  }

  // Going on from a place: the places from which words can be read that stand within so many words behind it, in its
  // sentence or in one that goes on about it.
  behind(place, within) {
    const found = new Map();
    const goesOn = (at) => !this.endsSentence(at) || this.#refersBack(at, within);
    if (!goesOn(place)) return found;
    return this.#reach(found, place, within, (at) => this.#onwards(at).filter(({ to, isSkip }) => isSkip || goesOn(to)));
  }

  // The same, whichever sentence they are in.
  onwards(place, within) {
    return this.#reach(new Map(), place, within, (at) => this.#onwards(at));
  }

  #refersBack(place, within) {
    return [...this.onwards(place, within).keys()].some((at) => (this.steps.get(at) ?? NONE).some(({ text }) => REFERS_BACK.has(text)));
  }

  #onwards(place) {
    return [
      ...(this.steps.get(place) ?? NONE).map(({ to, isFirst }) => ({ to, words: isFirst ? 1 : 0, isSkip: false })),
      ...(this.skips.get(place) ?? NONE).map((to) => ({ to, words: 0, isSkip: true })),
    ];
  }

  // Likewise those before it.
  ahead(place, within) {
    this.#back ??= this.#backwards();
    return this.#reach(new Map(), place, within, (at) =>
      (this.#back.get(at) ?? NONE).filter(({ isSkip }) => isSkip || !this.endsSentence(at)),
    );
  }

  #reach(found, place, within, next) {
    found.set(place, 0);
    const waiting = [place];
    for (let at = waiting.shift(); at !== undefined; at = waiting.shift()) {
      for (const { to, words } of next(at)) {
        const count = found.get(at) + words;
        if (count > within || count >= (found.get(to) ?? Infinity)) continue;
        found.set(to, count);
        waiting.push(to);
      }
    }
    return found;
  }

  #backwards() {
    const found = new Map();
    for (const [from, steps] of this.steps) {
      for (const { to, isFirst } of steps) listOf(found, to).push({ to: from, words: isFirst ? 1 : 0, isSkip: false });
    }
    for (const [from, places] of this.skips) {
      for (const to of places) listOf(found, to).push({ to: from, words: 0, isSkip: true });
    }
    return found;
  }
}

function lettersBefore(places) {
  const found = [0];
  for (let at = 0; at < places.length; at += 2) found.push(found.at(-1) + places[at + 1] - places[at]);
  return found;
}
