"""Text as a reader hears it: case, accents, look-alike letters, apostrophes and invisible signs taken away, places
kept.

The browser's code does exactly the same with the same table, and ``tests/vectors/folding.json`` holds both to it. The
rules, for one character (code point) of the text after the other, so that every letter knows its place in the text:

1. A character in ``APOSTROPHES`` or in ``DROPPED`` is passed over, as if it were not there: "don’t" is the word
   "dont", a hidden character in the middle of a word splits nothing.
2. A character of ``alike.CAPITALS`` becomes its plain letters. Any other becomes NFKD (full-width, bold, ligature and
   accented letters become plain letters and marks; UAX #15), and each character of that again: passed over by rule 1,
   or made small, and replaced by its plain letters if ``alike.SMALL`` has some. Decimal digits of any script become 0
   to 9.
3. What is then a letter, a mark or a number (categories L, M and N) belongs to a word. Everything else ends it: signs
of
   ASCII stay as they are, so that what is written with them can still be seen, everything else becomes a blank.

4. A character of ``alike.AMONG_LETTERS`` beside a letter from a to z, as the text is then, is replaced by its own.

Only accents and vowel points of scripts that are also written without them are dropped (``DROPPED``). Other marks are
part of the word: Hindi, Bengali or Tamil without their vowel signs would be other words.

A word begins where its first letter stands and ends behind its last one. One character can hold the end of one word
and the beginning of the next ("½" is "1" and "2").
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from .alike import AMONG_LETTERS, CAPITALS, SMALL
from .wrapping import wraps

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
    (0x115F, 0x1160),  # fillers of Hangul, which show nothing
    (0x17B4, 0x17B5),  # Khmer vowels that show nothing
    (0x180B, 0x180F),  # Mongolian selectors
    (0x1AB0, 0x1AFF),  # more accents
    (0x1DC0, 0x1DFF),
    (0x200B, 0x200F),  # zero width, direction
    (0x202A, 0x202E),  # direction
    (0x2060, 0x206F),  # invisible signs
    (0x20D0, 0x20FF),  # marks around characters, as on key caps
    (0x3164, 0x3164),  # a filler of Hangul
    (0xFE00, 0xFE0F),  # variation selectors, which follow emoji
    (0xFE20, 0xFE2F),  # half marks
    (0xFEFF, 0xFEFF),  # zero width
    (0xFFA0, 0xFFA0),  # a filler of Hangul, of half width
    (0xFFF0, 0xFFFB),  # invisible signs
    (0x1BCA0, 0x1BCA3),  # of shorthand
    (0x1D173, 0x1D17A),  # of music
    (0xE0000, 0xE0FFF),  # tags and more selectors
)
"""First and last code point of what is passed over: all that Unicode says to leave out where it cannot be shown (the
property Default_Ignorable_Code_Point), and marks."""

_PASSED_OVER = APOSTROPHES | {chr(code) for first, last in DROPPED for code in range(first, last + 1)}
_BLANKS_OF_ASCII = {code: " " for code in range(128) if not chr(code).isalnum()}
_SPLIT_ASCII = {code: None if chr(code) in APOSTROPHES else " " for code in _BLANKS_OF_ASCII}
_SPLIT_LINES = {code: sign for code, sign in _SPLIT_ASCII.items() if code != ord("\n")}
_APOSTROPHES_OF_ASCII = {ord("'"): None, ord("`"): None}

LAST_MARK = 0x1F000
"""Above it Unicode has no marks but those that are dropped."""
MOST_REMEMBERED = 65_536
"""Characters whose folding a table remembers: as many as a text of all scripts holds."""


class Word(NamedTuple):
    """A folded word and where it stands in the text: the code points from ``start`` up to, without, ``end``."""

    text: str
    start: int
    end: int


class Table(dict[int, str]):
    """By the code point of a character, what it is folded to; made as characters are met, for ``str.translate``."""

    def __missing__(self, code: int) -> str:
        folded = fold(chr(code))
        if len(self) < MOST_REMEMBERED:
            self[code] = folded
        return folded


def fold(character: str) -> str:
    """One character as letters of words, or as what stands between words; empty for what is passed over."""
    if character in _PASSED_OVER:
        return ""
    plain = CAPITALS.get(character)
    return "".join(map(_plain, unicodedata.normalize("NFKD", character))) if plain is None else plain


def _plain(part: str) -> str:
    if part in _PASSED_OVER:
        return ""
    small = part.lower()
    letters = SMALL.get(small) or _digit(small) or small
    if unicodedata.category(letters[0])[0] in "LMN" or letters.isascii():
        return letters
    return " "


def _digit(character: str) -> str:
    digit = unicodedata.decimal(character, None) if len(character) == 1 else None
    return "" if digit is None else str(digit)


def _marks() -> str:
    """The marks that belong to words, as ranges of a regular expression: ``\\w`` does not hold them."""
    codes = [code for code in range(LAST_MARK + 1) if unicodedata.category(chr(code))[0] == "M"]
    ranges: list[list[int]] = []
    for code in codes:
        if ranges and code == ranges[-1][1] + 1:
            ranges[-1][1] = code
        else:
            ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


_NOT_ASCII = re.compile("[^\0-\x7f]")
FEW_OTHERS = 24
"""Different characters that are not of ASCII: typographic marks and accents, as English has them."""
_AMONG_LETTERS = re.compile("(?<=[a-z])[{0}]|[{0}](?=[a-z])".format("".join(AMONG_LETTERS)))
_ENDS_SENTENCE = re.compile(r"[.!?\n;]")
_SENTENCES_OF_ASCII = {**_BLANKS_OF_ASCII, **dict.fromkeys(map(ord, ".!?\n;"), "\n")}
_WORDS_OF_ASCII = re.compile("[a-z0-9]+")
_WORDS = re.compile(f"(?:[^\\W_]|[{_marks()}])+")


class Folded:
    """A folded text that knows where each of its letters comes from.

    ``text`` has words of letters, marks and digits, and between them blanks and the signs of ASCII.
    """

    __slots__ = ("_flowing", "_plainly", "_table", "_uneven", "_words", "original", "text")

    def __init__(self, original: str, table: Table) -> None:
        self.original = original
        self._table = table
        self._uneven: _Uneven | None = None
        self._flowing: str | None = None
        self.text = _fold_text(original, table)
        self._plainly = len(self.text) == len(original) and original.isascii()
        self._words = _WORDS_OF_ASCII if self.text.isascii() else _WORDS

    def words(self) -> list[str]:
        """The words, in order."""
        if self._words is _WORDS_OF_ASCII:
            return self.text.translate(_BLANKS_OF_ASCII).split()  # three times as quick
        return self._words.findall(self.text)

    def places(self) -> list[tuple[int, int]]:
        """Where each of its words stands in the folded text."""
        return [word.span() for word in self._words.finditer(self.text)]

    def flowing(self) -> str:
        """The text, with blanks where its lines were wrapped."""
        if self._flowing is None:
            first, *lines = self.text.split("\n")
            ends = (" " if is_wrapped else "\n" for is_wrapped in wraps(self.original))
            self._flowing = "".join([first, *(end + line for end, line in zip(ends, lines, strict=True))])
        return self._flowing

    def last_words(self, *, flowing: bool) -> list[int]:
        """The numbers of the words after each of which a sentence ends. ``flowing``: not where lines were wrapped."""
        text = self.flowing() if flowing else self.text
        if self._words is _WORDS_OF_ASCII:
            lengths = [len(one.split()) for one in text.translate(_SENTENCES_OF_ASCII).split("\n")]
        else:
            lengths = [len(self._words.findall(one)) for one in _ENDS_SENTENCE.split(text)]
        return [count - 1 for count in accumulate(lengths[:-1])]

    def ends_of_sentences(self, start: int, end: int, *, flowing: bool = False) -> Iterator[int]:
        """Where the signs stand, between two places, with which a sentence ends; likewise."""
        text = self.flowing() if flowing else self.text
        return (sign.start() for sign in _ENDS_SENTENCE.finditer(text, start, end))

    def places_within(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Where the words between two places stand in the folded text."""
        return (word.span() for word in self._words.finditer(self.text, start, end))

    def origin(self, start: int, end: int) -> tuple[int, int]:
        """Where the letters from ``start`` up to ``end`` of the folded text stand in the original."""
        if self._plainly:
            return start, end
        if self._uneven is None:
            self._uneven = self._find_uneven()
        return self._origin(start), self._origin(end - 1) + 1

    def place_of(self, number: int) -> int:
        """Where a character of the original that is one letter stands in the folded text."""
        if self._uneven is None:
            self._uneven = self._find_uneven()
        return number + self._uneven.longer[bisect_left(self._uneven.characters, number)]

    def _find_uneven(self) -> _Uneven:
        """The characters that are no single letter of the folded text: passed over, or several letters."""
        lengths = {character: len(self._table[ord(character)]) for character in set(self.original)}
        uneven = sorted(
            (found.start(), length)
            for character, length in lengths.items()
            if length != 1
            for found in re.finditer(re.escape(character), self.original)
        )
        longer = list(accumulate((length - 1 for _, length in uneven), initial=0))
        begins = [at + more for (at, _), more in zip(uneven, longer, strict=False)]
        ends = [begin + length for begin, (_, length) in zip(begins, uneven, strict=True)]
        return _Uneven([at for at, _ in uneven], begins, ends, longer)

    def _origin(self, place: int) -> int:
        """The number of the character that a letter of the folded text comes from."""
        assert self._uneven is not None
        passed = bisect_right(self._uneven.ends, place)
        if passed < len(self._uneven.begins) and self._uneven.begins[passed] <= place:
            return self._uneven.characters[passed]
        return place - self._uneven.longer[passed]


def _among_letters(folded: str) -> str:
    return folded if folded.isascii() else _AMONG_LETTERS.sub(lambda found: AMONG_LETTERS[found[0]], folded)


class _Uneven(NamedTuple):
    """Characters by their number, where the folded form of each begins and ends, and how many letters more than
    characters there are before it."""

    characters: Sequence[int]
    begins: Sequence[int]
    ends: Sequence[int]
    longer: Sequence[int]


def _fold_text(text: str, table: Table) -> str:
    """All characters of a text, folded. Of a text with few that are not of ASCII only those are looked up."""
    rest = text
    if not text.isascii():
        others = set(_NOT_ASCII.findall(text))
        if len(others) > FEW_OTHERS:
            return _among_letters(text.translate(table))
        for other in others:
            rest = rest.replace(other, table[ord(other)])
        if not rest.isascii():
            return _among_letters(text.translate(table))
    return rest.lower().translate(_APOSTROPHES_OF_ASCII)


def folded_words(text: str, table: Table) -> list[str]:
    """The folded words of a text alone."""
    if text.isascii():
        return text.lower().translate(_SPLIT_ASCII).split()
    return Folded(text, table).words()


def folded_lines(lines: Sequence[str], table: Table) -> list[list[str]]:
    """The folded words of each of some texts. Together they take a third of the time, if all are of ASCII."""
    together = "\n".join(lines)
    if together.isascii() and together.count("\n") == len(lines) - 1:
        return [line.split() for line in together.lower().translate(_SPLIT_LINES).split("\n")]
    return [folded_words(line, table) for line in lines]


def words(text: str, table: Table | None = None) -> list[Word]:
    """The folded words of a text with their places, in order."""
    return list(_words_of(Folded(text, Table() if table is None else table)))


def _words_of(folded: Folded) -> Iterator[Word]:
    for start, end in folded.places():
        yield Word(folded.text[start:end], *folded.origin(start, end))
