"""Finding phrases in a text: whole words, in order, folded (``folding``). Every place where one stands is found."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from appliance.api import Surface

from .engine.folding import Word, words

About = TypeVar("About")

EXACTLY = "exactly as it is written in the policy"
OTHER_SIGNS = "with other spaces, hyphens or apostrophes than in the policy"
OTHER_LETTERS = "with other letters or accents than in the policy"


@dataclass(frozen=True, slots=True)
class Needle(Generic[About]):
    """A phrase, where it is looked for, and what it is about (the term, for whoever gets the hit)."""

    id: str
    phrase: str
    surfaces: frozenset[Surface]
    about: About

    @property
    def words(self) -> tuple[str, ...]:
        """The phrase as it is compared."""
        return tuple(word.text for word in words(self.phrase))


@dataclass(frozen=True, slots=True)
class Hit(Generic[About]):
    """A phrase in a text: the code points from ``start`` up to, without, ``end``."""

    needle: Needle[About]
    start: int
    end: int


class Matcher(Generic[About]):
    """Looks for many phrases at once, by their first words."""

    def __init__(self, needles: Iterable[Needle[About]]) -> None:
        self._by_first: dict[str, list[tuple[tuple[str, ...], Needle[About]]]] = defaultdict(list)
        for needle in needles:
            if sought := needle.words:
                self._by_first[sought[0]].append((sought, needle))

    def hits(self, text: str, surface: Surface) -> list[Hit[About]]:
        """Every hit, in the order of the text. Of hits about the same thing, none that lies within another."""
        found = words(text)
        folded = tuple(word.text for word in found)
        return _without_inner([
            _hit(needle, found, number, len(sought))
            for number, word in enumerate(folded)
            for sought, needle in self._by_first.get(word, ())
            if surface in needle.surfaces and folded[number : number + len(sought)] == sought
        ])  # fmt: skip


def _hit(needle: Needle[About], found: list[Word], first: int, count: int) -> Hit[About]:
    return Hit(needle, found[first].start, found[first + count - 1].end)


def _without_inner(hits: list[Hit[About]]) -> list[Hit[About]]:
    """Hits come in the order of their starts; the longest of those with the same start is looked at first."""
    reached: dict[int, int] = {}
    kept: list[Hit[About]] = []
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.end)):
        about = id(hit.needle.about)
        if hit.end > reached.get(about, -1):
            reached[about] = hit.end
            kept.append(hit)
    return kept


def how(phrase: str, written: str) -> str:
    """In words, how a phrase of a policy was written where it was found."""
    if _spaced(written) == _spaced(phrase):
        return EXACTLY
    return OTHER_SIGNS if _letters(written) == _letters(phrase) else OTHER_LETTERS


def _spaced(text: str) -> str:
    return " ".join(text.lower().split())


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text.lower())
