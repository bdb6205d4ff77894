"""Observation, finding, capture: what a device saw, what a detector says of it, and how bad that is.

Pure words of the field, shared by hooks, the detection process, endpoints and captures. An observation holds what a
child wrote or read: its ``repr`` shows none of it, so that no log ever can.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, TypeVar


class Surface(StrEnum):
    """Where something was seen, as it stands in the store. ``label`` is for pages."""

    TYPED = "typed"
    PAGE = "page"
    TITLE = "title"
    ADDRESS = "address"
    SEARCH = "search"
    NAME = "name"

    @property
    def label(self) -> str:
        """Where it was seen, in words."""
        return _SURFACES[self]


_SURFACES: Mapping[Surface, str] = {
    Surface.TYPED: "typed text",
    Surface.PAGE: "text on a page",
    Surface.TITLE: "title of a page",
    Surface.ADDRESS: "address of a page",
    Surface.SEARCH: "search",
    Surface.NAME: "name of a site that a device asked for",
}


class Severity(StrEnum):
    """How bad a finding is. ``rule`` is the sentence by which whoever writes a term chooses."""

    SEVERE = "severe"
    MODERATE = "moderate"
    MINOR = "minor"

    @property
    def rank(self) -> int:
        """0 for the worst."""
        return _RANKS[self]

    @property
    def label(self) -> str:
        """The word that stands on pages."""
        return self.value.capitalize()

    @property
    def rule(self) -> str:
        """What makes a term this severe."""
        return _RULES[self]


_RANKS: Mapping[Severity, int] = {Severity.SEVERE: 0, Severity.MODERATE: 1, Severity.MINOR: 2}
_RULES: Mapping[Severity, str] = {
    Severity.SEVERE: "An immediate threat of violence, death or suicide.",
    Severity.MODERATE: "Offensive or risky, discrimination and some self-harm too, but no immediate threat to life.",
    Severity.MINOR: "Of concern, but neither illegal nor discriminatory.",
}


@dataclass(frozen=True, slots=True)
class Observation:
    """Something seen on a device. ``text`` is a piece around what the device noticed, at most some thousand characters.

    ``id`` is the device's own (a UUID), ``at`` UTC. ``host`` is empty where there is none.
    """

    id: str
    at: str
    surface: Surface
    text: str = field(repr=False)
    title: str = field(default="", repr=False)
    address: str = field(default="", repr=False)
    host: str = ""
    application: str = "browser"

    def as_json(self) -> dict[str, Any]:
        """For the detection process."""
        return asdict(self)

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Observation:
        """What ``as_json`` gave. Raises ``ValueError`` or ``TypeError`` for anything else."""
        return cls(**{**data, "surface": Surface(data["surface"])})


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector says of an observation.

    ``policy`` and ``version`` name the policy, ``term`` the id of its entry (no text: it is kept in clear), ``phrase``
    what staff read; ``start`` and ``end`` are its place in the observation's text in code points; ``found`` says in
    words how it was found. ``category`` is a key of ``categories.yaml``. ``is_test``: the harmless test phrase.
    """

    policy: str
    version: str
    term: str
    phrase: str = field(repr=False)
    category: str
    severity: Severity
    definition: str
    start: int
    end: int
    found: str = "exactly as it is written in the policy"
    is_test: bool = False

    def as_json(self) -> dict[str, Any]:
        """For the pipe of the detection process, and for what is sealed."""
        return asdict(self)

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Finding:
        """What ``as_json`` gave. Raises ``ValueError`` or ``TypeError`` for anything else."""
        return cls(**{**data, "severity": Severity(data["severity"])})


_Words = TypeVar("_Words", Observation, Finding)
_LONE_SURROGATES = re.compile("[\ud800-\udfff]")


def printable(text: str) -> str:
    """A text without lone halves of UTF-16 pairs, which no page can show: each becomes a replacement character.

    One for one, so that the places of findings stay right.
    """
    return _LONE_SURROGATES.sub("\ufffd", text)


def all_printable(words: _Words) -> _Words:
    """The same observation or finding with all its texts ``printable``."""
    found = {one.name: getattr(words, one.name) for one in fields(words)}
    texts = {name: text for name, text in found.items() if type(text) is str}
    changed: dict[str, Any] = {name: printable(text) for name, text in texts.items() if printable(text) != text}
    return replace(words, **changed) if changed else words


Detect = Callable[[Observation], Sequence[Finding]]


@dataclass(frozen=True, slots=True)
class Detector:
    """Judges observations of some surfaces. ``detect`` is a pure function: same observation, same findings.

    It runs in the detection process, which has no store, no network and a time limit; ``name`` is unique in its plugin.
    """

    name: str
    surfaces: frozenset[Surface]
    detect: Detect


@dataclass(frozen=True, slots=True)
class EndpointDevice:
    """For whom a policy is made: one browser of one device. ``device`` and ``person`` are ids of the directory.

    ``monitored``: whether anything but the test phrase may be looked for there at this moment.
    """

    endpoint: str
    device: str | None
    person: str | None
    monitored: bool
