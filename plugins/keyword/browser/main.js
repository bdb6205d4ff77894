// Notices needles in what a browser shows it. The box judges again: here, only nothing may be missed.
//
// The policy: {needles: [{id, words: ["want", "to", "die"], surfaces: ["typed", "search"]}]}. Words come folded from
// the box; ../folding.py has the rules of folding, and tests/vectors/folding.json holds both to them.

export const name = "keyword";

export function prepare(policy) {
  const needles = needlesByFirstWord(policy.needles);
  return (text, surface) => occurrences(words(text), needles, surface);
}

function needlesByFirstWord(needles) {
  const found = new Map();
  for (const { id, words, surfaces } of needles) {
    if (words.length === 0) continue;
    const others = found.get(words[0]);
    const needle = { id, words, surfaces: new Set(surfaces) };
    if (others) others.push(needle);
    else found.set(words[0], [needle]);
  }
  return found;
}

function occurrences(found, needles, surface) {
  const all = [];
  for (let at = 0; at < found.length; at++) {
    for (const { id, words, surfaces } of needles.get(found[at].text) ?? []) {
      if (surfaces.has(surface) && words.every((word, number) => found[at + number]?.text === word)) {
        all.push({ id, start: found[at].start, end: found[at + words.length - 1].end });
      }
    }
  }
  return all;
}

// Folding

const APOSTROPHES = new Set("'`´ʻʼ‘’‛′");
const DROPPED = [
  [0x00ad, 0x00ad], // soft hyphen
  [0x0300, 0x036f], // accents
  [0x0591, 0x05bd], // Hebrew points
  [0x05bf, 0x05bf],
  [0x05c1, 0x05c2],
  [0x05c4, 0x05c5],
  [0x05c7, 0x05c7],
  [0x0610, 0x061a], // Arabic signs
  [0x061c, 0x061c], // direction mark
  [0x0640, 0x0640], // tatweel, which stretches Arabic words
  [0x064b, 0x065f], // Arabic vowel points
  [0x0670, 0x0670],
  [0x06d6, 0x06dc],
  [0x06df, 0x06e4],
  [0x06e7, 0x06e8],
  [0x06ea, 0x06ed],
  [0x180b, 0x180f], // Mongolian selectors
  [0x1ab0, 0x1aff], // more accents
  [0x1dc0, 0x1dff],
  [0x200b, 0x200f], // zero width, direction
  [0x202a, 0x202e], // direction
  [0x2060, 0x206f], // invisible signs
  [0x20d0, 0x20ff], // marks around characters, as on key caps
  [0xfe00, 0xfe0f], // variation selectors, which follow emoji
  [0xfe20, 0xfe2f], // half marks
  [0xfeff, 0xfeff], // zero width
  [0xe0000, 0xe0fff], // tags and more selectors
];
const PLAIN = { ß: "ss", ς: "σ", ı: "i", ł: "l", ø: "o", đ: "d", æ: "ae", œ: "oe" };
const OF_A_WORD = /^[\p{L}\p{M}\p{N}]/u;
const KNOWN = 8192;

const known = new Map(); // characters whose folding is remembered

// The folded words of a text, each with the place where it begins and ends (UTF-16 units, as slice() counts).
export function words(text) {
  const found = [];
  let letters = "";
  let start = 0;
  let end = 0;
  let place = 0;
  for (const character of text) {
    for (const piece of fold(character)) {
      if (piece !== " ") {
        if (!letters) start = place;
        letters += piece;
        end = place + character.length;
      } else if (letters) {
        found.push({ text: letters, start, end });
        letters = "";
      }
    }
    place += character.length;
  }
  if (letters) found.push({ text: letters, start, end });
  return found;
}

function fold(character) {
  let folded = known.get(character);
  if (folded === undefined) {
    folded = isPassedOver(character) ? "" : Array.from(character.normalize("NFKD"), plain).join("");
    if (known.size < KNOWN) known.set(character, folded);
  }
  return folded;
}

function plain(part) {
  if (isPassedOver(part)) return "";
  const small = part.toLowerCase();
  const letters = PLAIN[small] ?? small;
  return OF_A_WORD.test(letters) ? letters : " ";
}

function isPassedOver(character) {
  const code = character.codePointAt(0);
  return APOSTROPHES.has(character) || DROPPED.some(([first, last]) => first <= code && code <= last);
}
