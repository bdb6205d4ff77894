"""Odd words: those that no list has, and what may be meant by them.

A word that is not known may be written with repeated letters ("diiiie"), may have lost the g at its end, may be
misspelt by one letter or as it sounds, or may be several words without a blank. Each reading must be made of words of
policies or of plain English; whether it means anything is decided by the phrases, which must match as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice, pairwise, product
from typing import NamedTuple

from .english import LONGEST_RUN, SHORT, English
from .near import FEWEST_LETTERS, Near

FEWEST_JOINED = 3
MOST_RESPLIT = 8
"""Words of a run that are each tried without."""
MOST_EDITS = 4
"""Readings of one odd word as a misspelt one; the commonest words first."""
MOST_SQUEEZED = 3
COMMONEST = 300
"""Words that say nothing by themselves."""
REPEATED, DROPPED_G, EDIT, JOINED = "repeat", "dropped g", "edit", "joined"
SOUNDS = "confused"
RIGHT = ""
"""It is written as it is meant."""
SOUNDING: Mapping[str, tuple[str, ...]] = {
    "ph": ("f",), "k": ("c",), "s": ("c",), "z": ("s",), "x": ("cks", "ks"), "ks": ("x",), "kw": ("qu",),
}  # fmt: skip
"""How else letters are written that sound so."""
FEWEST_SOUNDING = 4
MOST_SOUNDING = 32
LONGEST_PIECE = 12
"""Letters of one of some words without blanks, one of which is masked."""
MOST_CHAINS = 40

_RUN = re.compile(r"(.)\1+")
SOUND = re.compile("ph|ks|kw|[kxz]|^s(?=[eiy])")


class Reading(NamedTuple):
    """What may be meant by a word: one word or several, and how it was written."""

    words: str
    how: str


class OddWords:
    """Reads odd words. ``vocabulary``: the words of phrases of policies; ``spoken``: those of text-speak.

    ``pairs``: words that follow each other in phrases. ``right``: further words that are none.
    """

    def __init__(
        self,
        vocabulary: Collection[str],
        spoken: Collection[str],
        pairs: Container[tuple[str, str]],
        right: Iterable[str] = (),
    ) -> None:
        self._english = English([*vocabulary, *spoken], right)
        self.known = self._english.known
        self.unlisted = self._english.unlisted
        common = self._english.commonest
        self._vocabulary = frozenset(vocabulary).union(spoken)
        self._telling = self._vocabulary.difference(common[:COMMONEST])
        self._pairs = pairs
        self._common = frozenset(common)
        self._doubled = _by_squeezed(_with_runs({*self._vocabulary, *common}))
        self._near = Near(vocabulary)

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
        for plain in self._without_repeats(squeezed):
            if plain != word:
                yield Reading(plain, REPEATED)
        if self.has_lost_g(word):
            yield Reading(word + "g", DROPPED_G)  # "cookin" is no misspelt "cokain"
        else:
            yield from self._misspelt(word, word)
            if squeezed != word:
                yield from self._misspelt(squeezed, word)
        for plain in self._sounding(word):
            yield Reading(plain, SOUNDS)
        if len(word) >= FEWEST_JOINED:
            yield from self._joined(word)
        if squeezed != word and len(squeezed) >= FEWEST_JOINED:
            yield from self._joined(squeezed)

    def has_lost_g(self, word: str) -> bool:
        """Whether a word is another one without the g at its end."""
        return word.endswith("in") and word + "g" in self.known

    def _without_repeats(self, squeezed: str) -> Sequence[str]:
        """Words that may be meant by one without repeated letters, the likeliest first."""
        plain = [squeezed] if squeezed in self._vocabulary or squeezed in self._common else []
        found = sorted([*plain, *self._doubled.get(squeezed, ())], key=self._likelihood)
        return found[:MOST_SQUEEZED]

    def _likelihood(self, word: str) -> tuple[bool, float, str]:
        """By which words are put in order: those of policies first, then the commonest."""
        return word not in self._vocabulary, self._english.rarity(word), word

    def _misspelt(self, word: str, written: str) -> Iterator[Reading]:
        found = {meant for meant in self._neighbours(word) if meant != written}
        likeliest = sorted(found, key=lambda meant: (self._english.rarity(meant), meant))
        for meant in likeliest[:MOST_EDITS]:
            yield Reading(meant, EDIT)

    def _neighbours(self, word: str) -> Iterable[str]:
        """Words of policies with the same first letter that are one edit away (optimal string alignment)."""
        if len(word) < FEWEST_LETTERS - 1:
            return ()
        pieces = [word, *[word[:place] + word[place + 1 :] for place in range(1, len(word))]]
        return (meant for meant in self._near.of(pieces) if meant[0] == word[0] and is_one_edit(word, meant))

    def _sounding(self, word: str) -> Iterator[str]:
        """Words of policies that sound like one."""
        if len(word) >= FEWEST_SOUNDING and SOUND.search(word):
            for meant in spelled(word):
                yield from (one for one in self._without_repeats(squeeze(meant)) if one in self._vocabulary)

    def _joined(self, word: str) -> Iterator[Reading]:
        parts = self._english.split(word)
        yield from self._if_words(word, parts)
        if 1 < len(parts) <= MOST_RESPLIT:  # "hope she", read as "hopes he"; "after school", read as a word
            for part in parts:
                if len(part) > 2:
                    others = self._english.split(word, (part,))
                    if any(pair in self._pairs for pair in pairwise(others)):
                        yield from self._if_words(word, others)

    def together(self, run: str) -> Iterator[str]:
        """Words without blanks, one of which has a sign over a letter, each of which follows the one before it in
        phrases: "k*llmyself"."""
        before, after = self._chains(run, is_beginning=True), self._chains(run, is_beginning=False)
        for (start, first), (end, last) in product(before, after):
            if FEWEST_LETTERS - 1 <= end - start <= LONGEST_PIECE and not self._telling.isdisjoint(first + last):
                for meant in self._neighbours(run[start:end]):
                    parts = [*first, meant, *last]
                    if all(pair in self._pairs for pair in pairwise(parts)):
                        yield " ".join(parts)

    def _chains(self, word: str, *, is_beginning: bool) -> list[tuple[int, tuple[str, ...]]]:
        """Words of phrases that follow each other at the beginning, or the end, of a run, and where they end, or
        begin."""
        edge = 0 if is_beginning else len(word)
        found: list[tuple[int, tuple[str, ...]]] = [(edge, ())]
        for at, chain in found:
            if len(found) >= MOST_CHAINS:
                break
            for length in range(1, min(LONGEST_PIECE, len(word) - at if is_beginning else at) + 1):
                one = word[at : at + length] if is_beginning else word[at - length : at]
                if one in self._vocabulary:
                    longer, reached = ((*chain, one), at + length) if is_beginning else ((one, *chain), at - length)
                    if not chain or (longer[-2:] if is_beginning else longer[:2]) in self._pairs:
                        found.append((reached, longer))
        return found

    def _if_words(self, word: str, parts: list[str]) -> Iterator[Reading]:
        if 1 < len(parts) <= 1 + len(word) // 2 and self._may_say_something(parts) and self._holds(parts):
            yield Reading(" ".join(parts), JOINED)

    def _holds(self, parts: list[str]) -> bool:
        """Whether each word of two letters that stands in many words by chance ("bf", "ed") stands in a phrase beside
        one of its neighbours here."""
        besides = {word for pair in pairwise(parts) if pair in self._pairs for word in pair}
        return all(len(part) != 2 or part in SHORT or part in besides for part in parts)

    def _may_say_something(self, parts: list[str]) -> bool:
        return not self._telling.isdisjoint(parts) or any(pair in self._pairs for pair in pairwise(parts))

    def splits(self, run: str) -> list[str]:
        """A run of single letters as words, in every likely way; as it is if it is a word or does not come apart."""
        if run in self.known:
            return [run]
        return [reading.words for reading in self._joined(run)] or [" ".join(self._english.split(run)) or run]


def squeeze(word: str) -> str:
    """A word with each run of the same letter as one."""
    return "".join([letter for letter, _ in groupby(word)])


def spelled(word: str) -> Iterator[str]:
    """A word in other ways of writing how it sounds."""
    parts = [word[start:end] for start, end in pairwise([0, *_edges(word), len(word)])]
    ways = product(*((part, *SOUNDING.get(part, ())) for part in parts if part))
    next(ways)
    yield from map("".join, islice(ways, MOST_SOUNDING))


def _edges(word: str) -> Iterator[int]:
    for sound in SOUND.finditer(word):
        yield from sound.span()


def _with_runs(words: Iterable[str]) -> Iterator[str]:
    """Those of some words in which a letter is repeated."""
    text = "\n".join(words)
    end = -1
    for run in _RUN.finditer(text):
        if run.start() > end:
            end = text.find("\n", run.start()) % (len(text) + 1)
            yield text[text.rfind("\n", 0, run.start()) + 1 : end]


def _by_squeezed(words: Iterable[str]) -> dict[str, list[str]]:
    """Words by their squeezed form."""
    found: dict[str, list[str]] = {}
    for word in words:
        if word.isalpha():
            found.setdefault(squeeze(word), []).append(word)
    return found


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
