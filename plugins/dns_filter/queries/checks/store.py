"""All SQL of the record of checks: those of the filter itself, and those that people have made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from appliance.api import Actor, Appliance, Row, new_id, stamp

TABLE = "dns_filter_checks"
KEEP_DAYS = 1200
"""Three school years and some: inspectors ask for what was done in the years before."""
THE_APPLIANCE = "the appliance"


class Result(StrEnum):
    """How a check ended, as it stands in the store. ``words`` and ``tag`` are for pages."""

    PASSED = "passed"
    FAILED = "failed"
    OPEN = "open"
    WATCHING = "watching"

    @property
    def words(self) -> str:
        """On pages."""
        return {
            Result.PASSED: "As it should be",
            Result.FAILED: "Not as it should be",
            Result.OPEN: "Could not all be tested",
            Result.WATCHING: "Trial run: nothing is blocked",
        }[self]

    @property
    def tag(self) -> str:
        """Kind of the tag."""
        return {
            Result.PASSED: "good",
            Result.FAILED: "severe",
            Result.OPEN: "moderate",
            Result.WATCHING: "minor",
        }[self]


MANUAL = (Result.PASSED, Result.FAILED, Result.OPEN)
"""What a person can have found."""


@dataclass(frozen=True, slots=True)
class Found:
    """A check that is to be kept. ``profile``: the group or profile that was tested."""

    day: date
    who: str
    device: str
    place: str
    profile: str
    what: str
    result: Result
    words: str
    action: str = ""


class CheckStore:
    """The table."""

    def __init__(self, appliance: Appliance) -> None:
        self._records = appliance.records
        self._audit = appliance.audit

    async def keep_own(self, found: Sequence[Found]) -> None:
        """Keep what the filter's own test has found."""
        async with self._records.transaction() as tx:
            await tx.executemany(_INSERT, [_values("own", "", one) for one in found])

    async def keep_manual(self, actor: Actor, found: Found) -> None:
        """Keep a check that a person has made."""
        async with self._records.transaction() as tx:
            await tx.execute(_INSERT, _values("manual", actor.account, found))
            detail = {"result": found.result.value, "for": found.profile}
            await self._audit.record(tx, actor.name, "noted a check of", "the web filter", detail)

    async def newest(self, limit: int) -> list[Row]:
        """Checks, the newest first."""
        return await self._records.fetch(
            "SELECT * FROM dns_filter_checks ORDER BY day DESC, at DESC, id DESC LIMIT ?", (limit,)
        )

    async def last_own(self) -> list[Row]:
        """What the newest own test has found, one row for each profile."""
        return await self._records.fetch(
            "SELECT * FROM dns_filter_checks WHERE kind = 'own' AND at ="
            " (SELECT max(at) FROM dns_filter_checks WHERE kind = 'own') ORDER BY profile"
        )

    async def last_manual(self) -> Row | None:
        """The newest check that a person has made."""
        return await self._records.fetch_one(
            "SELECT * FROM dns_filter_checks WHERE kind = 'manual' ORDER BY day DESC, at DESC, id DESC LIMIT 1"
        )

    async def last_manual_day(self) -> date | None:
        """When a person has checked last."""
        row = await self._records.fetch_one("SELECT max(day) AS day FROM dns_filter_checks WHERE kind = 'manual'")
        return date.fromisoformat(row["day"]) if row is not None and row["day"] else None


_INSERT = (
    "INSERT INTO dns_filter_checks (id, day, at, kind, account_id, who, device, place, profile, what, result, words,"
    " action) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _values(kind: str, account: str, one: Found) -> tuple[str, ...]:
    return (
        *(new_id(), one.day.isoformat(), stamp(), kind, account, one.who, one.device, one.place, one.profile),
        *(one.what, one.result.value, one.words, one.action),
    )
