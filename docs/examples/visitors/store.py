"""All SQL of this plugin, and the event that goes with it. Tables are named visitors_*; times are UTC stamps."""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from appliance.api import Appliance, Event, Row, new_id, stamp


class VisitorArrived(Event):
    """Somebody has signed in. It names the visit, not the person: events outlive what the book deletes."""

    visit: str = Field(description="Id of the visit.")


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit. ``host`` is whom they came to see."""

    id: str
    name: str
    host: str
    arrived_at: str


class Store:
    """The book."""

    def __init__(self, appliance: Appliance) -> None:
        self._records = appliance.records
        self._bus = appliance.bus
        self._audit = appliance.audit

    async def sign_in(self, actor: str, name: str, host: str) -> None:
        """Write a visit down; the event and the row in the record are kept with it, or none of them is."""
        visit = new_id()
        async with self._records.transaction() as tx:
            await tx.execute(
                "INSERT INTO visitors_visits (id, name, host, arrived_at) VALUES (?, ?, ?, ?)",
                (visit, name, host, stamp()),
            )
            await self._audit.record(tx, actor, "signed a visitor in", visit)
            await self._bus.publish(tx, VisitorArrived(visit=visit))

    async def sign_out(self, actor: str, visit: str) -> bool:
        """End a visit; false if it had ended already."""
        async with self._records.transaction() as tx:
            done = await tx.execute(
                "UPDATE visitors_visits SET left_at = ? WHERE id = ? AND left_at IS NULL", (stamp(), visit)
            )
            if done:
                await self._audit.record(tx, actor, "signed a visitor out", visit)
        return bool(done)

    async def sign_everyone_out(self) -> int:
        """End all visits; returns how many there were."""
        async with self._records.transaction() as tx:
            return await tx.execute("UPDATE visitors_visits SET left_at = ? WHERE left_at IS NULL", (stamp(),))

    async def on_site(self) -> list[Visit]:
        """Who is there now, the latest first."""
        rows = await self._records.fetch(
            "SELECT * FROM visitors_visits WHERE left_at IS NULL ORDER BY arrived_at DESC, id DESC"
        )
        return [_visit(row) for row in rows]

    async def count_on_site(self, before: str = "9999") -> int:
        """How many are there who came before this moment."""
        row = await self._records.fetch_one(
            "SELECT count(*) AS n FROM visitors_visits WHERE left_at IS NULL AND arrived_at < ?", (before,)
        )
        return int(row["n"]) if row else 0

    async def visit(self, visit: str) -> Visit | None:
        """One visit, while it is kept."""
        row = await self._records.fetch_one("SELECT * FROM visitors_visits WHERE id = ?", (visit,))
        return _visit(row) if row else None

    async def count_day(self, day: str, start: str, end: str) -> None:
        """Bring a day's number up to date. It is counted anew, not added to, so doing it twice changes nothing."""
        async with self._records.transaction() as tx:
            await tx.execute(
                "INSERT OR REPLACE INTO visitors_days (day, visits)"
                " SELECT ?, count(*) FROM visitors_visits WHERE arrived_at >= ? AND arrived_at < ?",
                (day, start, end),
            )

    async def days(self, limit: int) -> list[Row]:
        """How many came on the latest days."""
        return await self._records.fetch("SELECT day, visits FROM visitors_days ORDER BY day DESC LIMIT ?", (limit,))

    async def note(self, words: str, note_id: str = "") -> None:
        """Leave a note for the front desk. A note with an id is left once, however often this is called."""
        async with self._records.transaction() as tx:
            await tx.execute(
                "INSERT OR IGNORE INTO visitors_notes (id, at, words) VALUES (?, ?, ?)",
                (note_id or new_id(), stamp(), words),
            )

    async def notes(self, since: str) -> list[Row]:
        """The notes since a moment, the latest first."""
        return await self._records.fetch("SELECT * FROM visitors_notes WHERE at >= ? ORDER BY at DESC", (since,))


def _visit(row: Row) -> Visit:
    return Visit(row["id"], row["name"], row["host"], row["arrived_at"])
