// Which words are English, how common they are, and where a run of letters without blanks comes apart into words.

import { common, english, longestRun, longestWord, shortWords, taughtCount, threeLetters } from "./generated/tables.js";

// By English word, how often it was seen.
export const seen = new Map();
for (const line of english.split("\n")) {
  const blank = line.indexOf(" ");
  seen.set(line.slice(0, blank), parseInt(line.slice(blank + 1), 36));
}

const SHORT = new Set(shortWords);

// Whether a word is one of those that repeated letters may hide.
export function isCommon(word) {
  return (seen.get(word) ?? 0) >= common;
}

// Takes runs of letters apart, as the most likely sequence of words (unigram model, Viterbi). `taught`: words that no
// list has; `total`: how often all words were seen, as the box counts.
export class Segmenter {
  #taught;
  #total;

  constructor(taught, total) {
    this.#taught = new Set();
    this.#total = Math.log(total);
    for (const word of taught) if (word.length > 2 || SHORT.has(word)) this.#taught.add(word);
  }

  // The words of a run of letters, none of `without`; none at all if it does not come apart into words.
  split(run, without = []) {
    const { length } = run;
    if (length > longestRun) return [];
    const best = new Float64Array(length + 1).fill(Infinity);
    const began = new Int32Array(length + 1);
    best[0] = 0;
    for (let end = 1; end <= length; end++) {
      for (let start = Math.max(0, end - longestWord); start < end; start++) {
        if (best[start] >= best[end]) continue;
        const word = run.slice(start, end);
        const cost = best[start] + this.#cost(word);
        if (cost < best[end] && !without.includes(word)) {
          best[end] = cost;
          began[end] = start;
        }
      }
    }
    return best[length] === Infinity ? [] : wordsOf(run, began);
  }

  #cost(word) {
    const count = seen.get(word);
    if (count !== undefined && isWord(word, count)) return this.#total - Math.log(count);
    return this.#taught.has(word) ? this.#total - Math.log(taughtCount) : Infinity;
  }
}

function isWord(word, count) {
  return word.length > 3 || SHORT.has(word) || (word.length === 3 && count > threeLetters);
}

function wordsOf(run, began) {
  const found = [];
  for (let end = run.length; end > 0; end = began[end]) found.unshift(run.slice(began[end], end));
  return found;
}
