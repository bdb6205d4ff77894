"""A policy and its terms, wherever they come from: a file that is supplied, the school's own file, a page."""

from __future__ import annotations

import datetime
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from appliance.api import Severity, Surface

from ..engine.folding import Table, folded_words
from ..engine.textspeak import canonical

CLIP_SECONDS = 30
"""What a severe term records of the screen unless it says otherwise."""
FACTS: Mapping[str, str] = {
    "also_called": "Also called",
    "effects": "Effects",
    "uk_class": "Class in the UK",
    "us_schedule": "Schedule in the USA",
    "uk_listed": "Proscribed in the UK",
    "us_listed": "Designated in the USA",
    "as_of": "As of (check before use)",
    "meaning": "In English",
    "note": "Please note",
}
"""What a term may tell beyond its definition, and what it is called on pages."""

Words = tuple[str, ...]
FEWEST_LOOSE = 4
"""Letters of a phrase from which on it is looked for in disguises."""


class Matching(StrEnum):
    """How strictly a term is compared."""

    LOOSE = "loose"
    """In whatever disguise: misspelt, spaced, joined, in text-speak. What has less than four letters never is."""
    EXACT = "exact"
    """Whole words as they are written; capitals, accents and look-alike letters apart."""


@dataclass(frozen=True, slots=True)
class Term:
    """One thing that is looked for. ``phrases``: every way of saying it, ``near`` and ``unless`` likewise.

    ``personal``: somebody speaks of themselves or to somebody. ``alert``: whether somebody is alerted.
    ``clip_seconds``: how much of the screen is recorded, where that is possible.
    """

    id: str
    phrases: Sequence[str]
    definition: str
    severity: Severity
    surfaces: frozenset[Surface]
    language: str = "en"
    matching: Matching = Matching.LOOSE
    near: tuple[str, ...] = ()
    within: int = 8
    unless: tuple[str, ...] = ()
    personal: bool = False
    pages_because: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    picture: bool = True
    alert: bool = False
    clip_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """What is looked for about one subject. ``hidden``: its terms are shown nowhere until one was found."""

    name: str
    title: str
    category: str
    version: str
    date: datetime.date
    owner: str
    summary: str
    terms: tuple[Term, ...]
    hidden: bool = False


def shortest(phrases: Iterable[str]) -> tuple[str, ...]:
    """Phrases without those that another one of them stands in: whoever finds "kill myself" needs no "to kill myself".

    What has too few letters to be found in a disguise stands for no other.
    """
    by_words = {canonical_words(phrase): phrase for phrase in phrases}
    enough = {words for words in by_words if sum(map(len, words)) >= FEWEST_LOOSE}
    return tuple(phrase for words, phrase in by_words.items() if not _holds_another(words, enough))


def _holds_another(words: Words, others: Container[Words]) -> bool:
    count = len(words)
    return any(
        words[start : start + length] in others for length in range(1, count) for start in range(count - length + 1)
    )


def canonical_words(phrase: str) -> Words:
    """The words of a phrase in their plain forms, as they are compared."""
    return tuple(" ".join(map(canonical, folded(phrase))).split())


def folded(phrase: str) -> Words:
    """The words of a phrase as they are compared."""
    return tuple(folded_words(phrase, Table()))
