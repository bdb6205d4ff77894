// Addresses in a text: their words, read as a browser would, each letter with its place; as ../engine/addresses.py.

import { fewestNumbers, fewestOfData, mostRounds } from "./generated/tables.js";

const BLANK = String.raw`\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000`; // as Python has it
const OUTSIDE = String.raw`[^${BLANK}<>"]`;
const WORD_BEFORE = String.raw`(?<![\p{L}\p{N}_])`;
const SCHEME = String.raw`${WORD_BEFORE}[a-zİı][a-z0-9+.\-İı]{1,15}:\/\/`;
const ADDRESS = new RegExp(`(?:${SCHEME}|${WORD_BEFORE}www\\.|${WORD_BEFORE}data:)${OUTSIDE}+`, "giu");
const DATA = /^data:[a-z]+\/[a-z0-9.+-]+[;,]/i;
const ESCAPED = new RegExp(`(?<!${OUTSIDE})[^${BLANK}<>"%]*%[0-9A-Fa-f]{2}${OUTSIDE}*`, "gu");
const ESCAPES = /(?:%[0-9A-Fa-f]{2})+/g;
const LONG = new RegExp(`[^${BLANK}]{${fewestOfData},}`, "gu");
const ID = /[A-Za-z0-9_-]{8,}/g;

// A text with blanks for its addresses and for what is only data, and the addresses. `whole`: it is one itself.
export function cut(text, whole) {
  if (whole) return { plain: "", addresses: [addressOf(text, 0)] };
  const addresses = [];
  let plain = text;
  if (plain.includes("://") || plain.includes("data:") || plain.toLowerCase().includes("www.")) {
    plain = without(plain, ADDRESS, addresses);
  }
  if (plain.includes("%")) plain = without(plain, ESCAPED, addresses);
  if (/[0-9]/.test(plain)) plain = plain.replace(LONG, (token) => (isData(token) ? " ".repeat(token.length) : token));
  return { plain, addresses };
}

function without(text, pattern, addresses) {
  return text.replace(pattern, (written, place) => {
    if (!DATA.test(written)) addresses.push(addressOf(written, place));
    return " ".repeat(written.length);
  });
}

// {text, starts, ends, query}: its letters decoded, where each begins and ends, and where its query begins.
function addressOf(written, offset) {
  const mark = written.indexOf("?");
  const query = mark < 0 ? written.length : mark;
  let text = written.slice(0, query) + written.slice(query).replaceAll("+", " ");
  let starts = Array.from({ length: text.length }, (_, at) => offset + at);
  let ends = starts.map((start) => start + 1);
  for (let round = 0; round < mostRounds && text.includes("%"); round++) ({ text, starts, ends } = decoded(text, starts, ends));
  const begins = starts.findIndex((start) => start >= offset + query);
  text = text.replace(ID, (token) => (isId(token) ? " ".repeat(token.length) : token));
  text = text.replace(/[&=?]/g, "\n").replaceAll("://", "  \n");
  return { text, starts, ends, query: begins < 0 ? text.length : begins };
}

// One round of escapes decoded as UTF-8.
function decoded(text, starts, ends) {
  const found = { text: "", starts: [], ends: [] };
  let at = 0;
  const take = (from, to) => {
    found.text += text.slice(from, to);
    for (let place = from; place < to; place++) {
      found.starts.push(starts[place]);
      found.ends.push(ends[place]);
    }
  };
  for (const match of text.matchAll(ESCAPES)) {
    take(at, match.index);
    at = match.index + match[0].length;
    let place = match.index;
    for (const letter of new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytesOf(match[0]))) {
      const width = letter === "\ufffd" ? 3 : 3 * new TextEncoder().encode(letter).length;
      found.text += letter;
      for (let unit = 0; unit < letter.length; unit++) {
        found.starts.push(starts[Math.min(place, at - 1)]);
        found.ends.push(ends[Math.min(place + width, at) - 1]);
      }
      place += width;
    }
  }
  take(at, text.length);
  return found;
}

function bytesOf(escapes) {
  return Uint8Array.from(escapes.slice(1).split("%"), (digits) => parseInt(digits, 16));
}

// Whether a long run without blanks is a token or encoded data: digits scattered among letters of both sizes.
function isData(token) {
  return isMixed(token) && numbersIn(token) >= fewestNumbers;
}

// Whether a shorter one in an address is an id.
function isId(token) {
  return isMixed(token) && numbersIn(token) >= fewestNumbers - 1;
}

function isMixed(token) {
  return /\p{Uppercase}/u.test(token) && /\p{Lowercase}/u.test(token);
}

function numbersIn(token) {
  return token.match(/[0-9]+/g)?.length ?? 0;
}
