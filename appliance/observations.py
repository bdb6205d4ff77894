"""Observation, finding, capture: what a device saw, what a detector says of it, and how bad that is.

Pure words of the field, shared by hooks, the detection process, endpoints and captures. An observation holds what a
child wrote or read: its ``repr`` shows none of it, so that no log ever can.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, TypeVar


class Surface(StrEnum):
    """Where something was seen, as it stands in the store. ``label`` is for pages."""

    TYPED = "typed"
    EMAIL = "email"
    """Text of an email that is being written. Browsers call it typed; the box tells by the site what it is."""
    PAGE = "page"
    TITLE = "title"
    ADDRESS = "address"
    SEARCH = "search"
    NAME = "name"
    APPLICATION = "application"

    @property
    def label(self) -> str:
        """Where it was seen, in words."""
        return _SURFACES[self]

    @property
    def is_own_words(self) -> bool:
        """Whether somebody has written it themselves, and not only come across it."""
        return self in _OWN_WORDS


_OWN_WORDS = frozenset({Surface.TYPED, Surface.EMAIL, Surface.SEARCH})
_SURFACES: Mapping[Surface, str] = {
    Surface.TYPED: "typed text",
    Surface.EMAIL: "email being written",
    Surface.PAGE: "text on a page",
    Surface.TITLE: "title of a page",
    Surface.ADDRESS: "address of a page",
    Surface.SEARCH: "search",
    Surface.NAME: "name of a site that a device asked for",
    Surface.APPLICATION: "name or window of an application",
}


SURFACES_BY_NAME: Mapping[str, Surface] = {
    **{one.value: one for one in Surface},
    "url": Surface.ADDRESS,
    "app": Surface.APPLICATION,
    "dns": Surface.NAME,
}
"""Surfaces by what people type: their own names, and what the field also calls them."""


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
    Severity.SEVERE: (
        "An immediate threat: of violence, death or suicide, of a child being exploited, or of hate aimed at somebody."
    ),
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

    The rest is there for whoever asks why it was found. ``steps``: how the text was read, one step after the other.
    ``tried``: exceptions that were tried and did not apply. ``why_severity``: why it is this severe; empty: by the rule
    of its severity. ``facts``: what is good to know about it, each a title and words, such as a drug's other names.

    ``picture``: whether it is a reason to keep a picture. ``alert``: whether it opens an alert (``None``: if it is
    Severe). ``clip_seconds``: how long a clip of the screen it asks for, from devices that can make one; 0: none.
    ``detector``: whose finding it is, as ``plugin.name``. The core writes that; a detector leaves it empty.
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
    steps: tuple[str, ...] = field(default=(), repr=False)
    tried: tuple[str, ...] = field(default=(), repr=False)
    why_severity: str = field(default="", repr=False)
    facts: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    picture: bool = True
    alert: bool | None = None
    clip_seconds: int = 0
    detector: str = ""

    @property
    def opens_alert(self) -> bool:
        """Whether somebody has to look at it now."""
        return self.severity is Severity.SEVERE if self.alert is None else self.alert

    def as_json(self) -> dict[str, Any]:
        """For the pipe of the detection process, and for what is sealed."""
        return asdict(self)

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Finding:
        """What ``as_json`` gave, of older versions too. Raises ``ValueError`` or ``TypeError`` for anything else."""
        rows = {name: _rows(data[name]) for name in ("steps", "tried", "facts") if name in data}
        return cls(**{**data, **rows, "severity": Severity(data["severity"])})


def _rows(data: object) -> tuple[Any, ...]:
    """Lists, and lists in them, as tuples. Raises ``TypeError`` for what is no list."""
    if not isinstance(data, list | tuple):
        raise TypeError
    return tuple(_rows(one) if isinstance(one, list | tuple) else one for one in data)


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
    changed = {name: shown for name, value in found.items() if (shown := _printable(value)) != value}
    return replace(words, **changed) if changed else words


def _printable(value: Any) -> Any:
    if type(value) is str:
        return printable(value)
    return tuple(map(_printable, value)) if isinstance(value, tuple) else value


Detect = Callable[[Observation], Sequence[Finding]]


@dataclass(frozen=True, slots=True)
class Detector:
    """Judges observations of some surfaces. ``detect`` is a pure function: same observation, same findings.

    It runs in the detection process, which has no store, no network and a time limit; ``name`` is unique in its plugin.

    ``data`` and ``load``, both or neither, are for a detector that depends on what pages have set. ``data`` is asked in
    the main process before each start of the detection process and gives something that JSON can hold; there ``load``
    gets it once, before the first question. After a change the plugin calls ``appliance.detection.refresh_soon()``.
    """

    name: str
    surfaces: frozenset[Surface]
    detect: Detect
    data: Callable[[], Awaitable[object]] | None = None
    load: Callable[[Any], None] | None = None


@dataclass(frozen=True, slots=True)
class EndpointDevice:
    """For whom a policy is made: one browser of one device. ``device`` and ``person`` are ids of the directory.

    ``monitored``: whether anything but the test phrase may be looked for there at this moment.
    """

    endpoint: str
    device: str | None
    person: str | None
    monitored: bool
