"""The school's decisions as data: small enough to hand to the detection process, plain enough for JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from appliance.api import Surface

OFF_LEVEL = "off"
LEVELS: Mapping[str, str] = {
    "off": "Nothing",
    "severe": "Severe only",
    "moderate": "Severe and Moderate",
    "all": "Everything that is written and searched for",
    "reading": "Everything, in what they read too",
}
"""How much of a policy counts, from the mildest to the strictest, and what pages call it."""
DEFAULT_LEVEL = "all"
REASONS: Mapping[str, str] = {
    "harmless": "It is mostly found in harmless sentences",
    "lessons": "It is mostly found in lessons and books",
    "local": "It is a name or a word that means something else here",
    "wrong": "Its meaning or its severity is wrong",
    "outdated": "Nobody says it any more",
    "other": "Something else",
}
"""Why a term is switched off. The key alone leaves the school, in a report that the lead sends on."""
NAMES = "names_watched_for"
"""The policy that holds names of pupils. It is hidden, and made by the appliance."""


class Change(StrEnum):
    """What is done to a supplied term."""

    OFF = "off"
    EXACT = "exact"
    NOT_PAGES = "not_pages"
    WHERE = "where"

    @property
    def words(self) -> str:
        """What it does, for pages."""
        return _CHANGES[self]


_CHANGES: Mapping[Change, str] = {
    Change.OFF: "Off",
    Change.EXACT: "Whole words only, exactly as they are written",
    Change.NOT_PAGES: "Not in what pupils read on pages",
    Change.WHERE: "Only where the school has chosen",
}


@dataclass(frozen=True, slots=True)
class Changed:
    """A supplied term that is off, or in whose place stands a copy of the school's. ``surfaces``: where it counts, if
    that was chosen."""

    policy: str
    term: str
    change: Change
    surfaces: tuple[Surface, ...] = ()

    @property
    def words(self) -> str:
        """What was done, for pages."""
        return words_of(self.change, self.surfaces)


def words_of(change: Change, surfaces: Iterable[Surface]) -> str:
    """What a change does, for pages."""
    if change is not Change.WHERE:
        return change.words
    return f"Only in: {', '.join(one.label for one in surfaces)}"


def _changed(data: Mapping[str, Any]) -> Changed:
    surfaces = tuple(map(Surface, data.get("surfaces", ())))  # bundles keep decisions from before there were any
    return Changed(data["policy"], data["term"], Change(data["change"]), surfaces)


@dataclass(frozen=True, slots=True)
class OwnPolicy:
    """A policy that the school made on a page. ``date``: the day of its last change, ``version``: how many it had."""

    name: str
    title: str
    category: str
    summary: str
    date: str
    version: int


@dataclass(frozen=True, slots=True)
class OwnTerm:
    """A term that the school made on a page. ``entry``: what a policy file would say of it."""

    policy: str
    entry: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Name:
    """A name that is watched for until a moment (a stamp). ``repr`` shows none of it."""

    id: str
    name: str = field(repr=False)
    until: str


@dataclass(frozen=True, slots=True)
class Decisions:
    """Everything that changes what is looked for. ``reading``: policies that count for somebody in what is read too."""

    changed: tuple[Changed, ...] = ()
    policies: tuple[OwnPolicy, ...] = ()
    terms: tuple[OwnTerm, ...] = ()
    names: tuple[Name, ...] = ()
    reading: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For the detection process."""
        return asdict(self)

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Decisions:
        """What ``as_json`` gave. Raises ``ValueError``, ``KeyError`` or ``TypeError`` for anything else."""
        return cls(
            tuple(_changed(one) for one in data["changed"]),
            tuple(OwnPolicy(**one) for one in data["policies"]),
            tuple(OwnTerm(**one) for one in data["terms"]),
            tuple(Name(**one) for one in data["names"]),
            tuple(data["reading"]),
        )
