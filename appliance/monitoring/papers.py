"""What a school writes down about its monitoring: who was told on which date, and which monitoring it chose and why.

Both are append-only: what stands there stays, and a correction is a new entry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from appliance.access import Actor
from appliance.audit import Audit
from appliance.clock import new_id, stamp
from appliance.db import Database, Row
from appliance.errors import Refused

LONGEST_LINE = 200
LONGEST_TEXT = 4000
"""In characters."""


class Audience(StrEnum):
    """Who has to know that there is monitoring."""

    PUPILS = "pupils"
    PARENTS = "parents"
    STAFF = "staff"
    GOVERNORS = "governors"
    GUESTS = "guests"


APPROACHES: Mapping[str, str] = {
    "in person": "Staff watch screens and walk round the room",
    "network": "Somebody reads what the web filter and the network have logged",
    "device": "Software on devices watches for signs of harm and tells the safeguarding lead",
}
"""The ways to monitor that the UK Safer Internet Centre's guide to appropriate monitoring names, and their words."""


@dataclass(frozen=True, slots=True)
class Telling:
    """One time that an audience was told."""

    id: str
    audience: Audience
    told_on: date
    how: str
    told_by: str
    note: str
    written_at: str
    written_by: str


class Told:
    """When each audience was told that there is monitoring."""

    def __init__(self, records: Database, audit: Audit) -> None:
        self._records = records
        self._audit = audit

    async def add(
        self, actor: Actor, audience: Audience, told_on: date, how: str, told_by: str, note: str, today: date
    ) -> None:
        """Write down that an audience was told. Raises ``Refused`` if something is missing or lies in the future."""
        if told_on > today:
            raise Refused("They cannot have been told on a day that is still to come.", "Write it down afterwards.")
        said = (line(how, "how they were told"), line(told_by, "who told them"), text(note, ""))
        row = (new_id(), audience.value, told_on.isoformat(), *said, stamp(), actor.name)
        async with self._records.transaction() as tx:
            await tx.execute("INSERT INTO monitoring_told VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
            detail = {"on": told_on.isoformat()}
            await self._audit.record(tx, actor.name, "wrote down who was told", audience.value, detail)

    async def all(self, until: str | None = None) -> list[Telling]:
        """Everything that was written down (before a stamp), the newest day first."""
        rows = await self._records.fetch(
            "SELECT * FROM monitoring_told WHERE written_at <= ? ORDER BY told_on DESC, written_at DESC, id DESC",
            (until or "9999",),
        )
        return [_telling(row) for row in rows]

    async def latest(self, until: str | None = None) -> Mapping[Audience, Telling]:
        """The newest day on which each audience was told; audiences that never were are left out."""
        return {telling.audience: telling for telling in reversed(await self.all(until))}


def _telling(row: Row) -> Telling:
    return Telling(
        row["id"],
        Audience(row["audience"]),
        date.fromisoformat(row["told_on"]),
        row["how"],
        row["told_by"],
        row["note"],
        row["written_at"],
        row["written_by"],
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """Which monitoring a school chose, by the risks it sees. ``approaches``: keys of ``APPROACHES``."""

    ages: str
    own_devices: str
    languages: str
    updates: str
    approaches: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Version:
    """A choice as it was written down."""

    id: str
    choice: Choice
    written_at: str
    written_by: str


class Choices:
    """Every version of the school's choice of monitoring."""

    def __init__(self, records: Database, audit: Audit) -> None:
        self._records = records
        self._audit = audit

    async def add(self, actor: Actor, choice: Choice) -> None:
        """Write a new version. Raises ``Refused`` if a part is empty."""
        parts = [
            text(choice.ages, "the ages of your pupils"),
            text(choice.own_devices, "what applies to people’s own devices"),
            text(choice.languages, "which languages your pupils use"),
            text(choice.updates, "how often the terms are updated"),
            ",".join(_known(choice.approaches)),
            text(choice.why, "why you chose this"),
        ]
        async with self._records.transaction() as tx:
            version = (new_id(), *parts, stamp(), actor.name)
            await tx.execute("INSERT INTO monitoring_choices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", version)
            detail = {"approaches": list(choice.approaches)}
            await self._audit.record(tx, actor.name, "chose the monitoring", "the whole school", detail)

    async def all(self) -> list[Version]:
        """Every version, the newest first."""
        rows = await self._records.fetch("SELECT * FROM monitoring_choices ORDER BY written_at DESC, id DESC")
        return [_version(row) for row in rows]

    async def is_made(self) -> bool:
        """Whether there is a version at all."""
        return await self._records.fetch_one("SELECT 1 FROM monitoring_choices LIMIT 1") is not None


def _known(approaches: Sequence[str]) -> Sequence[str]:
    if not approaches or set(approaches) - APPROACHES.keys():
        raise Refused("Choose at least one way of monitoring.")
    return approaches


def _version(row: Row) -> Version:
    parts = (row["ages"], row["own_devices"], row["languages"], row["updates"], tuple(row["approaches"].split(",")))
    return Version(row["id"], Choice(*parts, row["why"]), row["written_at"], row["written_by"])


def line(typed: str, missing: str) -> str:
    """What was typed into a small field, on one line. Raises ``Refused`` ("Say <missing>.") if it is empty."""
    return _typed(" ".join(typed.split()), missing, LONGEST_LINE)


def text(typed: str, missing: str) -> str:
    """What was typed into a large field. Raises ``Refused`` if it is empty, unless ``missing`` is."""
    return _typed(typed.strip(), missing, LONGEST_TEXT)


def _typed(kept: str, missing: str, longest: int) -> str:
    if missing and not kept:
        raise Refused(f"Say {missing}.")
    if len(kept) > longest:
        raise Refused(f"One of the texts is longer than {longest:,} characters.", "Shorten it.")
    return kept
