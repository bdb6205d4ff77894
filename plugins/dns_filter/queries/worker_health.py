"""What the worker says now and then of itself: who answers it, how quickly, and what it could not hand over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

KIND = "health"

STATES: Mapping[str, tuple[str, str]] = MappingProxyType({
    "up": ("good", "Answers"),
    "resting": ("severe", "Does not answer"),
    "unknown": ("minor", "Not asked yet"),
})  # fmt: skip
"""State -> kind of tag and words."""


@dataclass(frozen=True, slots=True)
class UpstreamHealth:
    """One name server that the filter asks. ``tag`` and ``words`` are for pages; ``ms`` is ``None`` if not known."""

    server: str
    tag: str
    words: str
    ms: float | None
    failures: int


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """The newest record. ``cache``: counters by name, as the worker calls them."""

    at: str
    upstreams: tuple[UpstreamHealth, ...]
    cache: Mapping[str, int]
    dropped: int

    @property
    def hits(self) -> int | None:
        """How many of a hundred questions were answered from memory; ``None`` while there were none."""
        found, missed = self.cache.get("hits", 0), self.cache.get("misses", 0)
        return round(100 * found / (found + missed)) if found + missed else None


def is_health(record: Mapping[str, Any]) -> bool:
    """Whether this record says how the worker is, and not what was asked."""
    return record.get("kind") == KIND


def health_of(record: Mapping[str, Any], at: str) -> WorkerHealth:
    """A record of the worker as it is shown."""
    return WorkerHealth(
        at=at,
        upstreams=tuple(_upstream(one) for one in record.get("upstreams", ())),
        cache={str(key): int(value) for key, value in record.get("cache", {}).items()},
        dropped=int(record.get("dropped", 0)),
    )


def _upstream(one: Mapping[str, Any]) -> UpstreamHealth:
    tag, words = STATES.get(str(one["state"]), ("minor", str(one["state"]).capitalize()))
    ms = one.get("ms")
    return UpstreamHealth(str(one["server"]), tag, words, None if ms is None else float(ms), int(one["failures"]))
