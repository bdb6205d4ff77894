// Stretches of a text that are written to be overlooked: spaced letters, digits for letters, masked letters, words with a
// sign in them; as ../engine/disguises.py, but with every stretch and every reading, whichever is likeliest.

import {
  aroundToken,
  fewestLettersInPieces,
  leet,
  leetPlainly,
  longestToken,
  mostAmbiguous,
  mostLookedAt,
  nearLeet,
} from "./generated/tables.js";
import { isLetters, listOf, squeeze } from "./odd.js";
import { LEET, MASKED, SPACED } from "./telling.js";

const ONE = String.raw`(?:[\p{L}\p{N}]|[@$!+|(])`;
const BLANK = String.raw`[\t\v\f\r\x1c-\x20]`; // but for ends of lines
const BETWEEN = String.raw`(?:${BLANK}?[\-._*\/\\,:;~=#^>&]{1,2}${BLANK}{0,2}|${BLANK}{1,3})`;
const atomic = (name, pattern) => `(?=(?<${name}>${pattern}))\\k<${name}>`;
const UNIT = new RegExp(`(?<between>${atomic("sign", BETWEEN)})(?<one>${ONE})`, "gu");
const NEXT = atomic("unit", `${atomic("sign", BETWEEN)}${ONE}(?![\\p{L}\\p{N}])`);
const SINGLES = new RegExp(`(?<![\\p{L}\\p{N}@$|])${ONE}${atomic("rest", `(?:${NEXT}){2,120}`)}`, "gu");
const SIGN_BEFORE = /[-.0-9@$!+|(*#%^~?_=][a-z]/g;
const SIGN_AFTER = /(?<=\p{L})[0-9@$+|*#%^~!]{1,4}(?![\p{L}\p{N}_@$+|*#%^~!])/gu;
const TOKEN = /[^\t-\r\x1c-\x20,;:/\\"()[\]{}<>]+/g;
const WITH_SIGNS = /^(?=[a-z0-9@$!+|(]*[a-z])(?=[a-z]*[0-9@$!+|(])[a-z0-9@$!+|(]{2,30}$/;
const WITH_MASK = /^(?:[a-z]{0,12}(?:[*#%^~?]{1,4}[a-z]{1,12}|[_\-.=+][a-z]{1,12}){1,4}|[a-z]{1,12}[*#%^~]{1,4})$/;
const PART = /[^\-_.=+]+/g;
const IN_PIECES = /^[*_~|]{0,2}[a-z0-9@$!]+(?:[\-_.=+*#%^~|]{1,2}[a-z0-9@$!]+){1,5}[*_~|]{0,2}$/;
const ONE_MASKED = /^[a-z]+[*#%^~][a-z]+$/;
const BETWEEN_PIECES = /[\-_.=+*#%^~]|\|\|/g;
const ALONE = /(?<![\p{L}\p{N}_@$!|])[0-9@$!|+]{1,6}(?![\p{L}\p{N}_@$!|])/gu;
const MOST_WHOLE = 32; // ways to write a run of single letters

// Finds disguised stretches. `vocabulary`: words of terms and of text-speak.
export class Disguises {
  #vocabulary;
  #odd;
  #byShape = new Map();

  constructor(vocabulary, odd) {
    this.#vocabulary = vocabulary;
    this.#odd = odd;
    for (const word of vocabulary) {
      if (!isLetters(word)) continue;
      listOf(this.#byShape, word[0] + word.length).push(word);
      listOf(this.#byShape, word.length).push(word);
    }
  }

  // All of them: {start, end, how, readings}. A reading is a list of pieces, a piece a list of what it may say. `together`:
  // words without blanks, one of which has a sign over a letter.
  stretches(text) {
    return [...this.#spaced(text), ...this.#withSigns(text)];
  }

  // Single letters with signs between them

  *#spaced(text) {
    let count = 0;
    for (const match of text.matchAll(SINGLES)) {
      if (++count > mostLookedAt) return;
      const readings = this.#ofSingleLetters(match[0]);
      if (readings.length > 0) yield { start: match.index, end: match.index + match[0].length, how: SPACED, readings };
    }
  }

  #ofSingleLetters(run) {
    const { letters, signs } = apart(run);
    if (letters.filter(isLetters).length * 2 < letters.length) return [];
    const words = inPieces(letters, signs);
    const plain = words.map((word) => this.#plain(word));
    const readings = [plain.map((forms) => forms.flatMap((form) => this.#odd.splits(form)))];
    for (const whole of combined(plain)) {
      if (words.length > 1) readings.push([this.#odd.splits(whole)]);
      const squeezed = squeeze(whole);
      if (squeezed !== whole) readings.push([this.#odd.splits(squeezed)]);
      if (letters.length > 3 && "ai".includes(letters[0]) && words.length === 1) {
        readings.push([[letters[0]], this.#odd.splits(whole.slice(1))]);
      }
    }
    return readings;
  }

  #plain(word) {
    const found = this.#ofLeet(word);
    return found.length > 0 ? found : [word];
  }

  // Digits and signs for letters, or over them

  #withSigns(text) {
    const found = [];
    const around = [];
    let count = 0;
    for (const { start, end } of tokens(text)) {
      if (++count > mostLookedAt) break;
      for (const stretch of this.#ofToken(text.slice(start, end), start)) {
        found.push(stretch);
        if (stretch.how === LEET) around.push(stretch);
      }
    }
    for (const { start, end } of around) found.push(...this.#alone(text, start - nearLeet, end + nearLeet));
    return found;
  }

  // Signs and digits that stand alone are letters too where others are.
  *#alone(text, from, to) {
    const offset = Math.max(0, from);
    for (const match of text.slice(offset, to).matchAll(ALONE)) {
      const meant = this.#ofLeet(match[0]).filter((word) => this.#isKnown(word));
      const start = offset + match.index;
      if (meant.length > 0) yield { start, end: start + match[0].length, how: LEET, readings: [[meant]] };
    }
  }

  *#ofToken(token, start) {
    const shown = stripped(token);
    if (shown) {
      const at = start + token.indexOf(shown);
      const end = at + shown.length;
      if (WITH_SIGNS.test(shown)) yield* stretchOf(at, end, this.#ofLeet(shown), LEET);
      if (WITH_MASK.test(shown)) yield* stretchOf(at, end, this.#ofMasked(shown), MASKED);
      if (ONE_MASKED.test(shown)) yield { start: at, end, how: MASKED, readings: [], together: shown };
      if (IN_PIECES.test(shown)) yield* stretchOf(at, end, this.#ofPieces(shown), SPACED);
      const parts = [...shown.matchAll(PART)].filter((part) => part[0] !== shown && !isLetters(part[0]));
      for (const part of parts) yield* this.#ofToken(part[0], at + part.index);
    }
    for (const bare of new Set([token, strippedBehind(token)])) {
      if (!/^!|!$/.test(bare) || !WITH_SIGNS.test(bare)) continue;
      const meant = this.#ofLeet(bare).filter((word) => this.#vocabulary.has(word));
      yield* stretchOf(start, start + bare.length, meant, LEET);
    }
  }

  // What a word with digits or signs for letters may be: the known ones, and the likeliest two if there are none.
  #ofLeet(token) {
    if (isLetters(token)) return [token];
    const candidates = lettersOf(token).filter(isLetters);
    const good = candidates.filter((word) => this.#isKnown(word) || this.#vocabulary.has(squeeze(word)));
    return good.length > 0 ? good : candidates.slice(0, 2);
  }

  #isKnown(word) {
    return this.#vocabulary.has(word) || this.#odd.isKnown(word);
  }

  #ofMasked(token) {
    const letters = token.replace(/[^a-z]/g, "").length;
    const wild = token.length - letters;
    if (letters < 2 || wild > letters || (token.length < 4 && wild && ".-+=".includes(token[1]))) return [];
    if (this.#isCompound(token)) return [];
    const shape = new RegExp(`^${token.replace(/[^a-z]/g, ".")}$`, "u");
    const others = this.#byShape.get(/^[a-z]/.test(token) ? token[0] + token.length : token.length) ?? [];
    return others.filter((word) => shape.test(word));
  }

  // Words with signs in them that hide no letter.
  #ofPieces(token) {
    const whole = token.replace(BETWEEN_PIECES, "");
    return whole.length < fewestLettersInPieces ? [] : this.#ofLeet(whole).filter((word) => this.#vocabulary.has(word));
  }

  // Whether a hyphen or the like joins words: "well-known" masks nothing.
  #isCompound(token) {
    if (/[*#%^~?]/.test(token)) return false;
    return token.split(/[^a-z]+/).every((part) => !part || (part.length > 2 && this.#isKnown(part)));
  }
}

function* stretchOf(start, end, words, how) {
  if (words.length > 0) yield { start, end, how, readings: [[words]] };
}

// The single letters of a run, and what stands between them.
function apart(run) {
  const [first] = run;
  const units = [...run.slice(first.length).matchAll(UNIT)];
  return { letters: [first, ...units.map(({ groups }) => groups.one)], signs: units.map(({ groups }) => groups.between) };
}

// Letters put together where the usual sign stands between them.
function inPieces(letters, signs) {
  const counts = new Map();
  for (const sign of signs) counts.set(sign, (counts.get(sign) ?? 0) + 1);
  const most = Math.max(...counts.values());
  const usual = [...counts.keys()].find((sign) => counts.get(sign) === most);
  const pieces = [letters[0]];
  for (const [at, sign] of signs.entries()) {
    if (sign === usual) pieces[pieces.length - 1] += letters[at + 1];
    else pieces.push(letters[at + 1]);
  }
  return pieces;
}

// One of each list, put together in every way, up to a bound.
function combined(lists) {
  let found = [""];
  for (const list of lists) found = found.flatMap((begun) => list.map((next) => begun + next)).slice(0, MOST_WHOLE);
  return found;
}

// Where what has no blank in it and has a sign stands, each once.
function* tokens(text) {
  const places = new Set();
  for (const match of text.matchAll(SIGN_BEFORE)) places.add(match.index + match[0].length - 1);
  for (const match of text.matchAll(SIGN_AFTER)) places.add(match.index);
  let reached = 0;
  for (const place of [...places].sort((one, other) => one - other)) {
    if (place < reached) continue;
    const from = Math.max(0, place - longestToken);
    for (const match of text.slice(from, place + longestToken).matchAll(TOKEN)) {
      const [start, end] = [from + match.index, from + match.index + match[0].length];
      if (end <= place) continue;
      if (start <= place) yield { start, end };
      reached = end;
      break;
    }
  }
}

function stripped(token) {
  let start = 0;
  while (start < token.length && aroundToken.includes(token[start])) start++;
  return strippedBehind(token.slice(start));
}

function strippedBehind(token) {
  let end = token.length;
  while (end > 0 && aroundToken.includes(token[end - 1])) end--;
  return token.slice(0, end);
}

function lettersOf(token) {
  const signs = Array.from(token);
  const ambiguous = signs.filter((sign) => leet[sign]?.length > 1).length;
  if (ambiguous > mostAmbiguous) return [signs.map((sign) => leetPlainly[sign] ?? sign).join("")];
  let found = [""];
  for (const sign of signs.slice(0, longestToken)) {
    const meant = Array.from(leet[sign] ?? sign);
    found = found.flatMap((begun) => meant.map((next) => begun + next));
  }
  return [...new Set(found)];
}
