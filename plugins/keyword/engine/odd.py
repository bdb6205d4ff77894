"""Odd words: those that no list has, and what may be meant by them.

A word that is not known may be written with repeated letters ("diiiie"), may have lost the g at its end, may be
misspelt by one letter, or may be two words without a blank. Each reading must be made of words of policies or of plain
English; whether it means anything is decided by the phrases, which must match as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from typing import NamedTuple

from .english import LONGEST_RUN, English

FEWEST_LETTERS = 4
"""Words that are shorter are never taken for misspelt ones."""
FEWEST_JOINED = 4
MOST_RESPLIT = 8
"""Words of a run that are each tried without."""
MOST_EDITS = 4
"""Readings of one odd word as a misspelt one; the commonest words first."""
MOST_SQUEEZED = 3
COMMONEST = 300
"""Words that say nothing by themselves."""
REPEATED, DROPPED_G, EDIT, JOINED = "repeat", "dropped g", "edit", "joined"

_RUN = re.compile(r"(.)\1+")


class Reading(NamedTuple):
    """What may be meant by a word: one word or several, and how it was written."""

    words: str
    how: str


class OddWords:
    """Reads odd words. ``vocabulary``: the words of phrases of policies; ``spoken``: those of text-speak.

    ``pairs``: words that follow each other in phrases.
    """

    def __init__(
        self, vocabulary: Collection[str], spoken: Collection[str], pairs: Collection[tuple[str, str]]
    ) -> None:
        self._english = English([*vocabulary, *spoken])
        self.known = self._english.known
        common = self._english.commonest
        self._vocabulary = frozenset(vocabulary).union(spoken)
        self._telling = self._vocabulary.difference(common[:COMMONEST])
        self._pairs = pairs
        likeliest = sorted(self._vocabulary, key=lambda word: (self._english.rarity(word), word))
        self._squeezed = _by_squeezed([*likeliest, *common])
        self._near = _by_deletion(
            word for word in vocabulary if len(word) >= FEWEST_LETTERS and word.isascii() and word.isalpha()
        )

    def readings(self, word: str) -> tuple[Reading, ...]:
        """What may be meant by a word that is not known, the likeliest first."""
        if not word.isalpha() or len(word) > LONGEST_RUN:
            return ()
        found: dict[str, Reading] = {}
        for reading in self._readings(word):
            found.setdefault(reading.words, reading)
        return tuple(found.values())

    def _readings(self, word: str) -> Iterator[Reading]:
        squeezed = squeeze(word)
        for plain in self._squeezed.get(squeezed, ()):
            if plain != word:
                yield Reading(plain, REPEATED)
        if word.endswith("in") and word + "g" in self.known:
            yield Reading(word + "g", DROPPED_G)
        yield from self._misspelt(word, word)
        if squeezed != word:
            yield from self._misspelt(squeezed, word)
        if len(word) >= FEWEST_JOINED:
            yield from self._joined(word)
        if squeezed != word and len(squeezed) >= FEWEST_JOINED:
            yield from self._joined(squeezed)

    def _misspelt(self, word: str, written: str) -> Iterator[Reading]:
        found = {meant for meant in self._neighbours(word) if meant != written}
        likeliest = sorted(found, key=lambda meant: (self._english.rarity(meant), meant))
        for meant in likeliest[:MOST_EDITS]:
            yield Reading(meant, EDIT)

    def _neighbours(self, word: str) -> Iterator[str]:
        """Words of policies with the same first letter that are one edit away (optimal string alignment)."""
        if len(word) < FEWEST_LETTERS - 1:
            return
        for piece in (word, *_deletions(word)):
            for meant in self._near.get(piece, ()):
                if meant[0] == word[0] and is_one_edit(word, meant):
                    yield meant

    def _joined(self, word: str) -> Iterator[Reading]:
        parts = self._english.split(word)
        yield from self._if_words(word, parts)
        if 1 < len(parts) <= MOST_RESPLIT:  # "hope she", read as "hopes he"; "after school", read as a word
            for part in parts:
                if len(part) > 2:
                    others = self._english.split(word, (part,))
                    if any(pair in self._pairs for pair in pairwise(others)):
                        yield from self._if_words(word, others)

    def _if_words(self, word: str, parts: list[str]) -> Iterator[Reading]:
        if 1 < len(parts) <= 1 + len(word) // 2 and self._may_say_something(parts):
            yield Reading(" ".join(parts), JOINED)

    def _may_say_something(self, parts: list[str]) -> bool:
        return not self._telling.isdisjoint(parts) or any(pair in self._pairs for pair in pairwise(parts))

    def splits(self, run: str) -> list[str]:
        """A run of single letters as words, in every likely way; as it is if it is a word or does not come apart."""
        if run in self.known:
            return [run]
        return [reading.words for reading in self._joined(run)] or [" ".join(self._english.split(run)) or run]


def squeeze(word: str) -> str:
    """A word with each run of the same letter as one."""
    return _RUN.sub(r"\1", word)


def _by_squeezed(words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Words by their squeezed form, in their order, which is the likeliest first."""
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        others = found.get(squeezed := squeeze(word), ())
        if word.isalpha() and len(others) < MOST_SQUEEZED and word not in others:
            found[squeezed] = (*others, word)
    return found


def _by_deletion(words: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """By a word, and by each form of it with one letter less, the words that it comes from (SymSpell, Garbe 2012)."""
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        alone = (word,)
        for piece in {word, *_deletions(word)}:
            others = found.get(piece)
            found[piece] = alone if others is None else (*others, word)
    return found


def _deletions(word: str) -> Iterator[str]:
    return (word[:place] + word[place + 1 :] for place in range(len(word)))


def is_one_edit(one: str, other: str) -> bool:
    """Whether a letter more, less or another, or two neighbours swapped, makes one of the other."""
    if len(one) > len(other):
        one, other = other, one
    if len(other) - len(one) > 1 or one == other:
        return False
    place = next((at for at, (mine, yours) in enumerate(zip(one, other, strict=False)) if mine != yours), len(one))
    if len(one) < len(other):
        return one[place:] == other[place + 1 :]
    rest, others = one[place:], other[place:]
    return rest[1:] == others[1:] or (rest[2:] == others[2:] and rest[:2] == others[1::-1])
