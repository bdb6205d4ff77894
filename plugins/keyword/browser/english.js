// Which words are English, how common they are, and where a run of letters without blanks comes apart into words.

import { allCounts, common, english, longestRun, longestWord, ofTwo, shortWords, taughtCount, threeLetters } from "./generated/tables.js";

// By English word, how often it was seen.
export const seen = new Map();
for (const line of english.split("\n")) {
  const blank = line.indexOf(" ");
  seen.set(line.slice(0, blank), parseInt(line.slice(blank + 1), 36));
}

const SHORT = new Set(shortWords);
const ALL = Math.log(allCounts);
const TAUGHT = ALL - Math.log(taughtCount);

// Whether a word is one of those that repeated letters may hide.
export function isCommon(word) {
  return (seen.get(word) ?? 0) >= common;
}

// Takes runs of letters apart, as the most likely sequence of words (unigram model, Viterbi). `taught`: words that no
// list has, or few texts.
export class Segmenter {
  #taught = new Set();

  constructor(taught) {
    for (const word of taught) if (word.length > 1 || SHORT.has(word)) this.#taught.add(word);
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

  // Whether it is a word of which runs are made.
  has(word) {
    return this.#cost(word) !== Infinity;
  }

  #cost(word) {
    const count = seen.get(word);
    const own = count !== undefined && isWord(word, count) ? ALL - Math.log(count) : Infinity;
    const taught = word.length > 2 || SHORT.has(word) ? TAUGHT : TAUGHT + ofTwo;
    return own > taught && this.#taught.has(word) ? taught : own;
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
