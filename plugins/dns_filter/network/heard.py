"""How the listening is doing, as its worker says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Heard:
    """``looked_at``: packets since it began; ``skipped``: those that had to be left out. ``known``: it has spoken."""

    listening: bool = False
    interface: str = ""
    looked_at: int = 0
    skipped: int = 0
    known: bool = False

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Self:
        """From what the worker reported."""
        looked_at, skipped = int(record.get("looked_at", 0)), int(record.get("skipped", 0))
        return cls(bool(record["listening"]), str(record["interface"]), looked_at, skipped, True)
