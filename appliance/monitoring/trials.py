"""Trials of monitoring: one group for a few weeks, feedback on agreed days, and a report that a person signs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal

from appliance.access import Actor
from appliance.audit import Audit
from appliance.clock import new_id, parse, stamp
from appliance.db import Database, Row, Transaction
from appliance.errors import Refused
from appliance.monitoring.papers import text

USUAL_LENGTH = timedelta(weeks=2)
LONGEST = timedelta(weeks=6)
"""A trial needs less than going live does, so it must not become the way to monitor for good."""

Decision = Literal["go on", "stop"]


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial. ``people``: how many it watched over at its start, ``people_at_end``: when it was signed.

    ``assignment_id`` is the switch that it turned. Times are UTC stamps; ``signed_at`` is empty while it is open.
    """

    id: str
    group_id: str
    group_name: str
    people: int
    assignment_id: str
    started_at: str
    started_by: str
    ends_at: str
    signed_at: str | None
    signed_by: str | None
    people_at_end: int | None
    decision: Decision | None
    findings: str | None
    days: tuple[date, ...]

    def runs(self, moment: datetime) -> bool:
        """Whether it is neither over nor signed."""
        return self.signed_at is None and stamp(moment) < self.ends_at

    @property
    def length(self) -> timedelta:
        """From its start to the end that was planned."""
        return parse(self.ends_at) - parse(self.started_at)


@dataclass(frozen=True, slots=True)
class Feedback:
    """What people said on one of the agreed days."""

    day: date
    note: str
    written_at: str
    written_by: str


class Trials:
    """Keeps what trials there were. Turning the switch is the business of ``Monitoring``."""

    def __init__(self, records: Database, audit: Audit) -> None:
        self._records = records
        self._audit = audit

    async def all(self) -> list[Trial]:
        """Every trial, the newest first."""
        rows = await self._records.fetch("SELECT * FROM monitoring_trials ORDER BY started_at DESC, id DESC")
        days = await self._records.fetch("SELECT * FROM monitoring_feedback_days ORDER BY day")
        return [_trial(row, [day["day"] for day in days if day["trial_id"] == row["id"]]) for row in rows]

    async def get(self, trial_id: str) -> Trial:
        """One trial; raises ``Refused`` if there is none of this id."""
        found = next((trial for trial in await self.all() if trial.id == trial_id), None)
        if found is None:
            raise Refused("There is no such trial.", "Go back to the page about monitoring.")
        return found

    async def feedback(self, trial_id: str) -> list[Feedback]:
        """What people said, by day."""
        rows = await self._records.fetch(
            "SELECT * FROM monitoring_feedback WHERE trial_id = ? ORDER BY day, written_at, id", (trial_id,)
        )
        return [
            Feedback(date.fromisoformat(row["day"]), row["note"], row["written_at"], row["written_by"]) for row in rows
        ]

    async def start_within(
        self,
        tx: Transaction,
        actor: Actor,
        group: Mapping[str, str],
        people: int,
        assignment_id: str,
        ends: datetime,
        days: Collection[date],
    ) -> str:
        """Keep a trial that begins now (``group``: its id and name); returns its id."""
        trial_id = new_id()
        await tx.execute(
            "INSERT INTO monitoring_trials"
            " (id, group_id, group_name, people, assignment_id, started_at, started_by, ends_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (trial_id, group["id"], group["name"], people, assignment_id, stamp(), actor.name, stamp(ends)),
        )
        await tx.executemany(
            "INSERT INTO monitoring_feedback_days VALUES (?, ?)", [(trial_id, day.isoformat()) for day in sorted(days)]
        )
        detail = {"until": stamp(ends), "people": people, "feedback": [day.isoformat() for day in sorted(days)]}
        await self._audit.record(tx, actor.name, "started a trial of monitoring", f"group {group['name']}", detail)
        return trial_id

    async def add_feedback(self, actor: Actor, trial_id: str, day: date, note: str, today: date) -> None:
        """Write down what people said on one of the agreed days. Nothing can be added once the report is signed."""
        kept = text(note, "what people said")
        async with self._records.transaction() as tx:
            trial = await open_trial(tx, trial_id)
            if not await tx.fetch_one(
                "SELECT 1 FROM monitoring_feedback_days WHERE trial_id = ? AND day = ?", (trial_id, day.isoformat())
            ):
                raise Refused("This is not one of the days that were agreed for feedback.", "Choose one of them.")
            if day > today:
                raise Refused("That day is still to come.", "Write the feedback down on the day or afterwards.")
            row = (new_id(), trial_id, day.isoformat(), kept, stamp(), actor.name)
            await tx.execute("INSERT INTO monitoring_feedback VALUES (?, ?, ?, ?, ?, ?)", row)
            subject = f"group {trial['group_name']}"
            await self._audit.record(tx, actor.name, "wrote down feedback", subject, {"day": day.isoformat()})

    async def sign_within(
        self, tx: Transaction, actor: Actor, trial: Row, people: int, decision: Decision, findings: str
    ) -> None:
        """Sign the report of an open trial."""
        await tx.execute(
            "UPDATE monitoring_trials SET signed_at = ?, signed_by = ?, people_at_end = ?, decision = ?, findings = ?"
            " WHERE id = ?",
            (stamp(), actor.name, people, decision, findings, trial["id"]),
        )
        subject = f"group {trial['group_name']}"
        await self._audit.record(tx, actor.name, "signed the report of a trial", subject, {"decision": decision})


async def open_trial(tx: Transaction, trial_id: str) -> Row:
    """The row of a trial whose report is not signed; raises ``Refused`` otherwise."""
    row = await tx.fetch_one("SELECT * FROM monitoring_trials WHERE id = ? AND signed_at IS NULL", (trial_id,))
    if row is None:
        raise Refused("The report of this trial was signed already.", "Load the page again.")
    return row


def _trial(row: Row, days: Sequence[str]) -> Trial:
    fields = {key: row[key] for key in row.keys()}  # noqa: SIM118 - a Row iterates over its values
    return Trial(**fields, days=tuple(map(date.fromisoformat, days)))
