"""Words of policies that are one letter away from another word.

By a word, and by each form of it with one letter less, the words that it comes from (SymSpell, Garbe 2012). The first
letter is never less: what is looked for has the same. Forms are kept as sorted numbers, each of the hash of a form and
the number of its word: a dictionary of two hundred thousand forms takes ten times the room. What comes out may be
wrong, where two hashes are alike, and has to be compared.

The forms of the words of supplied policies are ``kept``; only those of the school's own words are made at each start.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Sequence
from functools import cache
from zlib import crc32

from ..kept import kept
from ..library.shipped import AROUND, SUPPLIED, supplied_policies
from .folding import Table
from .prepared import BEGINS, neighbour_lines, prepared

FEWEST_LETTERS = 4
"""Words that are shorter are never taken for misspelt ones."""
FORM = 2
"""Of what is kept; another one is made anew."""
_NUMBER_BITS = 24
_NUMBER = (1 << _NUMBER_BITS) - 1


class Near:
    """Which of some words may be meant by a word that is written a little otherwise."""

    def __init__(self, words: Collection[str]) -> None:
        self._words = words
        supplied = _supplied()
        self._parts = (supplied, _Forms.of(_may_be_misspelt(words).difference(supplied.words)))

    def of(self, forms: Iterable[str]) -> list[str]:
        """Words from which one of some forms may come."""
        hashes = [crc32(form.encode("utf-8", "surrogatepass")) for form in forms]
        return [word for part in self._parts for word in part.at(hashes) if word in self._words]


class _Forms:
    """The forms of some words. ``numbers``: sorted."""

    def __init__(self, words: Sequence[str], numbers: array[int]) -> None:
        self.words = words
        self._numbers = numbers

    @classmethod
    def of(cls, words: Iterable[str]) -> _Forms:
        """Made now."""
        ordered = sorted(words)
        numbers = [
            crc32(form.encode()) << _NUMBER_BITS | number
            for number, word in enumerate(ordered)
            for form in (word, *[word[:place] + word[place + 1 :] for place in range(1, len(word))])
        ]
        numbers.sort()
        return cls(ordered, array("Q", numbers))

    def packed(self) -> tuple[Sequence[str], bytes]:
        """As plain data."""
        return self.words, self._numbers.tobytes()

    @classmethod
    def unpacked(cls, packed: tuple[Sequence[str], bytes]) -> _Forms:
        """What ``packed`` gave."""
        numbers = array("Q")
        numbers.frombytes(packed[1])
        return cls(packed[0], numbers)

    def at(self, hashes: Iterable[int]) -> list[str]:
        """The words that have a form with one of these hashes."""
        numbers, words, count = self._numbers, self.words, len(self._numbers)
        found: list[str] = []
        for hashed in hashes:
            first = hashed << _NUMBER_BITS
            place = bisect_left(numbers, first)
            while place < count and numbers[place] <= first | _NUMBER:
                found.append(words[numbers[place] & _NUMBER])
                place += 1
        return found


@cache
def _supplied() -> _Forms:
    source = b"".join(file.read_bytes() for file in sorted(SUPPLIED.glob("*.yaml")))
    return _Forms.unpacked(kept(SUPPLIED / "near", FORM, source, lambda: _Forms.of(_supplied_words()).packed()))


def _supplied_words() -> set[str]:
    """The words of supplied policies, interned: what is kept shares them with the policies."""
    table = Table()
    words: set[str] = set()
    for policy in supplied_policies():
        for term in policy.terms:
            words.update(prepared(term.phrases, table).words)
            for around in AROUND:
                lines = neighbour_lines(getattr(term, around), table)
                words.update(word.removesuffix(BEGINS) for line in lines for word in line.split())
    return set(map(sys.intern, _may_be_misspelt(words)))


def _may_be_misspelt(words: Iterable[str]) -> set[str]:
    return {word for word in words if len(word) >= FEWEST_LETTERS and word.isascii() and word.isalpha()}
