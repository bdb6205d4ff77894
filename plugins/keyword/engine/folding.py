"""Text as the words that a reader hears: case, accents, apostrophes and invisible signs taken away, places kept.

``browser/main.js`` does exactly the same, and ``tests/vectors/folding.json`` holds both to it. The rules, for one
character (code point) of the text after the other, so that every letter of a word knows its place in the text:

1. A character in ``APOSTROPHES`` or in ``DROPPED`` is passed over, as if it were not there: "don’t" is the word
   "dont", a hidden character in the middle of a word splits nothing.
2. What is left becomes NFKD (full-width, bold, ligature and accented letters become plain letters and marks), and each
   character of that again: passed over by rule 1, or made small, or replaced by its ``PLAIN`` letters.
3. What is then a letter, a mark or a number (categories L, M and N) belongs to a word. Everything else ends it.

Only accents and vowel points of scripts that are also written without them are dropped (``DROPPED``). Other marks are
part of the word: Hindi, Bengali or Tamil without their vowel signs would be other words.

A word begins where its first letter stands and ends behind its last one. One character can hold the end of one word
and the beginning of the next ("½" is "1" and "2").
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import NamedTuple

APOSTROPHES = frozenset("'`´ʻʼ‘’‛′")  # noqa: RUF001 - all that people type for one

DROPPED = (
    (0x00AD, 0x00AD),  # soft hyphen
    (0x0300, 0x036F),  # accents
    (0x0591, 0x05BD),  # Hebrew points
    (0x05BF, 0x05BF),
    (0x05C1, 0x05C2),
    (0x05C4, 0x05C5),
    (0x05C7, 0x05C7),
    (0x0610, 0x061A),  # Arabic signs
    (0x061C, 0x061C),  # direction mark
    (0x0640, 0x0640),  # tatweel, which stretches Arabic words
    (0x064B, 0x065F),  # Arabic vowel points
    (0x0670, 0x0670),
    (0x06D6, 0x06DC),
    (0x06DF, 0x06E4),
    (0x06E7, 0x06E8),
    (0x06EA, 0x06ED),
    (0x180B, 0x180F),  # Mongolian selectors
    (0x1AB0, 0x1AFF),  # more accents
    (0x1DC0, 0x1DFF),
    (0x200B, 0x200F),  # zero width, direction
    (0x202A, 0x202E),  # direction
    (0x2060, 0x206F),  # invisible signs
    (0x20D0, 0x20FF),  # marks around characters, as on key caps
    (0xFE00, 0xFE0F),  # variation selectors, which follow emoji
    (0xFE20, 0xFE2F),  # half marks
    (0xFEFF, 0xFEFF),  # zero width
    (0xE0000, 0xE0FFF),  # tags and more selectors
)
"""First and last code point of what is passed over."""

_PASSED_OVER = APOSTROPHES | {chr(code) for first, last in DROPPED for code in range(first, last + 1)}

PLAIN = {"ß": "ss", "ς": "σ", "ı": "i", "ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe"}  # noqa: RUF001 - on purpose
"""Small letters that NFKD leaves as they are, and how people write them without their own keyboard."""

KNOWN = 8192
"""Characters whose folding is remembered."""


class Word(NamedTuple):
    """A folded word and where it stands in the text: the code points from ``start`` up to, without, ``end``."""

    text: str
    start: int
    end: int


def words(text: str) -> list[Word]:
    """The folded words of a text with their places, in order."""
    found: list[Word] = []
    letters: list[str] = []
    start = end = 0
    for place, character in enumerate(text):
        for piece in fold(character):
            if piece == " ":
                if letters:
                    found.append(Word("".join(letters), start, end))
                    letters = []
            else:
                if not letters:
                    start = place
                letters.append(piece)
                end = place + 1
    if letters:
        found.append(Word("".join(letters), start, end))
    return found


@lru_cache(KNOWN)
def fold(character: str) -> str:
    """One character as letters of words, with a blank for whatever ends a word; empty for what is passed over."""
    if character in _PASSED_OVER:
        return ""
    return "".join(_plain(part) for part in unicodedata.normalize("NFKD", character))


def _plain(part: str) -> str:
    if part in _PASSED_OVER:
        return ""
    small = part.lower()
    letters = PLAIN.get(small, small)
    return letters if unicodedata.category(letters[0])[0] in "LMN" else " "
