"""Levels: how much of a policy counts for whom at which hour, where that came from, and what it leaves of findings.

The closest choice decides: the person's own, the device's own, groups of the directory, groups of networks, everybody.
Of two that are equally close the one for certain hours decides, and of two of these the one for this policy alone, then
the stricter.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from appliance.api import Effective, Finding, Severity, Surface, TargetKind

from ..model import LEVELS, NAMES, OFF_LEVEL

STRICTNESS: Mapping[str, int] = {level: place for place, level in enumerate(LEVELS)}
READING = "reading"
FOR_ALL = "all"
"""What a level is set for that is set for nobody in particular, beside the kinds of targets."""
GRAVE = frozenset({"suicide", "self_harm"})
"""Categories whose severe findings no level but ``off`` takes away."""
_MILDEST: Mapping[str, int] = {
    OFF_LEVEL: -1,
    "severe": Severity.SEVERE.rank,
    "moderate": Severity.MODERATE.rank,
    "all": Severity.MINOR.rank,
    "reading": Severity.MINOR.rank,
}
_CLOSENESS: Mapping[str, int] = {
    TargetKind.PERSON: 4,
    TargetKind.DEVICE: 3,
    TargetKind.GROUP: 2,
    TargetKind.NETWORKS: 1,
    FOR_ALL: 0,
}


@dataclass(frozen=True, slots=True)
class Whom:
    """Somebody on a device at an address, as far as each is known."""

    person: str | None = None
    device: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Timed:
    """A level for certain hours. ``policy`` is empty for all policies; ``target_kind``: all, group or networks."""

    id: str
    policy: str
    level: str
    target_kind: str
    target: str
    span: str
    days: tuple[str, ...]
    start: str
    finish: str
    school_days: bool
    author: str
    reason: str
    until: str | None = None

    def closeness(self, policy: str) -> tuple[int, bool, int]:
        """Greater: it decides."""
        return _CLOSENESS[self.target_kind], self.policy == policy, STRICTNESS[self.level]


@dataclass(frozen=True, slots=True)
class Level:
    """How much of a policy counts, and why, in words. ``kind`` and ``target``: whose choice it is (``all``,
    without a target: everybody's). ``until``: when that ends.
    """

    level: str
    origin: str
    kind: str = FOR_ALL
    target: str = ""
    until: str | None = None

    @property
    def words(self) -> str:
        """What pages call it."""
        return LEVELS[self.level]


def of_assignment(found: Effective) -> Level:
    """What was set without hours."""
    if found.target is None:
        return Level(found.value, found.origin)
    return Level(found.value, found.origin, found.target.kind.value, found.target.id, found.until)


def decide(policy: str, lasting: Level, timed: Sequence[Timed]) -> Level:
    """``timed``: what is in force at the moment for whoever it is about."""
    counting = [one for one in timed if one.policy in ("", policy)]
    if not counting:
        return lasting
    closest = max(counting, key=lambda one: one.closeness(policy))
    if _CLOSENESS[closest.target_kind] < _CLOSENESS[lasting.kind]:
        return lasting
    origin = f"set for certain hours by {closest.author}: {closest.reason}"
    return Level(closest.level, origin, closest.target_kind, closest.target, closest.until)


@dataclass(frozen=True, slots=True)
class Rules:
    """What findings are weighed by.

    ``level(policy)`` of the subject at the moment. ``changed``: supplied terms (``policy/term``) that are off or have a
    stricter copy. ``names``: ids of the names that are watched for. ``own_surfaces(term)``: where a term is looked for
    below the level ``reading``; ``None``: unknown.
    """

    level: Callable[[str], str]
    changed: Collection[str]
    names: Collection[str]
    own_surfaces: Callable[[str], frozenset[Surface] | None]

    def keeps(self, finding: Finding, surface: Surface) -> bool:
        """Whether a finding counts."""
        if finding.is_test:
            return True
        policy, _, term = finding.term.partition("/")
        if policy == NAMES:
            return term in self.names
        if finding.term in self.changed:
            return False
        level = self.level(policy)
        if level == OFF_LEVEL or not self._is_looked_for(finding, surface, level):
            return False
        return _is_grave(finding) or finding.severity.rank <= _MILDEST[level]

    def _is_looked_for(self, finding: Finding, surface: Surface, level: str) -> bool:
        if level == READING:
            return True
        own = self.own_surfaces(finding.term)
        return own is None or surface not in (Surface.PAGE, Surface.TITLE) or surface in own


def may_count(level: str, severity: Severity) -> bool:
    """Whether a term of a severity may count at a level: its findings are as severe or less."""
    return severity.rank <= _MILDEST[level]


def _is_grave(finding: Finding) -> bool:
    return finding.severity is Severity.SEVERE and finding.category in GRAVE


def weigh(findings: Sequence[Finding], surface: Surface, rules: Rules) -> list[Finding]:
    """Those that count, in their order. The test phrase always does."""
    return [one for one in findings if rules.keeps(one, surface)]
