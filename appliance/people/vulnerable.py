"""The vulnerable list: pupils whom few people watch over with special care. Only its keepers see who is on it.

Keepers are the members of the vault of this name, each for the people in their scope. Why somebody is on the list is
sealed for them; that somebody is, and since when, stands in the store and in no other list, page or count. The audit
names an entry of the list and never the person: only a keeper can tell whom it is about.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from appliance.access import Actor, require, visible
from appliance.audit import Audit
from appliance.clock import new_id, now, stamp
from appliance.db import Database, Row, Transaction
from appliance.errors import Refused
from appliance.hookspecs import Permission
from appliance.people.names import fold
from appliance.sealing import Keys
from appliance.vaults import VULNERABLE_LIST, Vaults

LONGEST_NOTE = 4000
"""In characters."""
FOUND_MOST = 20
_NOTE = "vulnerable note"
_KEEP = Permission.KEEP_VULNERABLE
_ENTRIES = """
SELECT entry.*, person.name, person.kind, person.left_at, person.sort_name
FROM vulnerable_entries entry JOIN people person ON person.id = entry.person_id WHERE {visible} AND {which}
"""


@dataclass(frozen=True, slots=True)
class Dates:
    """When somebody looks at an entry again, and the last day for which it is meant. Both may be left open."""

    review_on: date | None = None
    until_on: date | None = None

    def faults(self, today: date) -> dict[str, str]:
        """What is wrong, by field; empty when they can be kept."""
        faults = {}
        for key in ("review_on", "until_on"):
            day = getattr(self, key)
            if day is not None and day < today:
                faults[key] = "This day is over. Choose a later one or leave it empty."
        return faults

    def texts(self) -> tuple[str | None, str | None]:
        """As they are kept."""
        return (
            self.review_on.isoformat() if self.review_on else None,
            self.until_on.isoformat() if self.until_on else None,
        )


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was written about an entry. ``kind``: reason, note or end."""

    kind: str
    at: str
    author: str
    words: str


class VulnerableList:
    """The store of the list. Every function needs the permission to keep it."""

    def __init__(self, records: Database, audit: Audit, vaults: Vaults, clock: Callable[[], datetime] = now) -> None:
        self._records = records
        self._audit = audit
        self._vaults = vaults
        self._clock = clock

    # Looking

    async def entries(self, actor: Actor) -> list[Row]:
        """Who is on the list now and in the actor's scope: the entry, and name, kind, left_at of the person."""
        return await self._entries(actor, "entry.ended_at IS NULL", "person.sort_name, entry.id")

    async def past(self, actor: Actor) -> list[Row]:
        """Entries that have ended, the newest first."""
        return await self._entries(actor, "entry.ended_at IS NOT NULL", "entry.ended_at DESC, entry.id")

    async def entry(self, actor: Actor, entry_id: str) -> Row | None:
        """One entry, or ``None`` if there is none of this id about somebody in the actor's scope."""
        return next(iter(await self._entries(actor, "entry.id = ?", "entry.id", entry_id)), None)

    async def entry_of(self, actor: Actor, person_id: str) -> Row | None:
        """The entry of a person who is on the list now. For others than keepers there is never one."""
        if not actor.may(_KEEP):
            return None
        which = "entry.ended_at IS NULL AND entry.person_id = ?"
        return next(iter(await self._entries(actor, which, "entry.id", person_id)), None)

    async def _entries(self, actor: Actor, which: str, order: str, *parameters: str) -> list[Row]:
        require(actor, _KEEP)
        people = visible(actor, "entry.person_id")
        return await self._records.fetch(
            f"{_ENTRIES.format(visible=people.sql, which=which)} ORDER BY {order}", (*people.parameters, *parameters)
        )

    async def notes(self, actor: Actor, keys: Keys, entry_id: str) -> list[Note]:
        """What was written about an entry, the oldest first; that it was read goes into the audit."""
        if await self.entry(actor, entry_id) is None:
            return []
        rows = await self._records.fetch(
            "SELECT * FROM vulnerable_notes WHERE entry_id = ? ORDER BY at, id", (entry_id,)
        )
        found = [
            Note(row["kind"], row["at"], row["author"], self._vaults.open(keys, row["sealed"], row["id"]).decode())
            for row in rows
        ]
        async with self._records.transaction() as tx:
            await self._record(tx, actor, "read an entry", entry_id)
        return found

    async def find(self, actor: Actor, words: str) -> list[Row]:
        """People in the actor's scope who can be put on the list: id, name, kind; those whose name holds all words."""
        require(actor, _KEEP)
        people, wanted = visible(actor, "person.id"), fold(words).split()
        named = " AND ".join("instr(person.sort_name, ?)" for _ in wanted) or "0"
        return await self._records.fetch(
            "SELECT person.id, person.name, person.kind FROM people person"  # noqa: S608 - conditions of our own
            f" WHERE person.left_at IS NULL AND {people.sql} AND {named} AND NOT EXISTS ("
            "  SELECT 1 FROM vulnerable_entries entry WHERE entry.person_id = person.id AND entry.ended_at IS NULL)"
            " ORDER BY person.sort_name, person.id LIMIT ?",
            (*people.parameters, *wanted, FOUND_MOST),
        )

    async def keepers(self) -> list[Row]:
        """Who keeps the list: account_id, name, role, state, can_open."""
        return await self._vaults.members(VULNERABLE_LIST)

    # Changing

    async def add(self, actor: Actor, person_id: str, reason: str, dates: Dates) -> str:
        """Put somebody on the list; returns the entry's id. Raises ``Refused`` if nobody could open the reason."""
        require(actor, _KEEP)
        self._must_be_good(dates)
        entry_id = new_id()
        note_id, sealed = await self._sealed(reason)
        people = visible(actor, "id")
        async with self._records.transaction() as tx:
            if not await tx.fetch_one(
                f"SELECT 1 FROM people WHERE id = ? AND {people.sql}",  # noqa: S608
                (person_id, *people.parameters),
            ):
                raise Refused("There is nobody of this name in your scope.", "Look for them again.")
            if await tx.fetch_one(
                "SELECT 1 FROM vulnerable_entries WHERE person_id = ? AND ended_at IS NULL", (person_id,)
            ):
                raise Refused("This pupil is on the list already.", "Add a note to that entry.")
            await tx.execute(
                "INSERT INTO vulnerable_entries (id, person_id, since, added_by, review_on, until_on)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (entry_id, person_id, self._moment(), actor.name, *dates.texts()),
            )
            await self._keep(tx, actor, entry_id, "reason", note_id, sealed)
            await self._record(tx, actor, "put somebody on it", entry_id)
        return entry_id

    async def change_dates(self, actor: Actor, entry_id: str, dates: Dates) -> None:
        """Set when it is looked at again, and its last day."""
        require(actor, _KEEP)
        self._must_be_good(dates)
        async with self._records.transaction() as tx:
            await _must_be_open(tx, actor, entry_id)
            await tx.execute(
                "UPDATE vulnerable_entries SET review_on = ?, until_on = ? WHERE id = ?", (*dates.texts(), entry_id)
            )
            await self._record(tx, actor, "changed the dates of an entry", entry_id)

    async def add_note(self, actor: Actor, entry_id: str, words: str) -> None:
        """Write more about why; what was written before stays."""
        require(actor, _KEEP)
        note_id, sealed = await self._sealed(words)
        async with self._records.transaction() as tx:
            await _must_be_open(tx, actor, entry_id)
            await self._keep(tx, actor, entry_id, "note", note_id, sealed)
            await self._record(tx, actor, "added a note to an entry", entry_id)

    async def end(self, actor: Actor, entry_id: str, reason: str) -> None:
        """Take somebody off the list; who was on it, when and why stays for the keepers."""
        require(actor, _KEEP)
        note_id, sealed = await self._sealed(reason)
        async with self._records.transaction() as tx:
            await _must_be_open(tx, actor, entry_id)
            await tx.execute(
                "UPDATE vulnerable_entries SET ended_at = ?, ended_by = ? WHERE id = ?",
                (self._moment(), actor.name, entry_id),
            )
            await self._keep(tx, actor, entry_id, "end", note_id, sealed)
            await self._record(tx, actor, "took somebody off it", entry_id)

    def _moment(self) -> str:
        return stamp(self._clock())

    def _must_be_good(self, dates: Dates) -> None:
        for words in dates.faults(self._clock().date()).values():
            raise Refused(words)

    async def _sealed(self, words: str) -> tuple[str, bytes]:
        """A note's id and its envelope; sealed before the unit of work, which must not wait for anything else."""
        plain = words.strip()
        if not plain:
            raise Refused("Say why, so that the next person understands.")
        if len(plain) > LONGEST_NOTE:
            raise Refused(f"This is longer than {LONGEST_NOTE:,} characters.", "Shorten it or write two notes.")
        note_id = new_id()
        return note_id, await self._vaults.seal(VULNERABLE_LIST, note_id, _NOTE, plain.encode())

    async def _keep(self, tx: Transaction, actor: Actor, entry_id: str, kind: str, note_id: str, sealed: bytes) -> None:
        await tx.execute(
            "INSERT INTO vulnerable_notes (id, entry_id, kind, at, author, sealed) VALUES (?, ?, ?, ?, ?, ?)",
            (note_id, entry_id, kind, self._moment(), actor.name, sealed),
        )

    async def _record(self, tx: Transaction, actor: Actor, action: str, entry_id: str) -> None:
        await self._audit.record(tx, actor.name, action, VULNERABLE_LIST, {"entry": entry_id})


async def _must_be_open(tx: Transaction, actor: Actor, entry_id: str) -> None:
    people = visible(actor, "person_id")
    if not await tx.fetch_one(
        f"SELECT 1 FROM vulnerable_entries WHERE id = ? AND ended_at IS NULL AND {people.sql}",  # noqa: S608
        (entry_id, *people.parameters),
    ):
        raise Refused("This entry has ended, or there is none.", "Go back to the list.")


def due(entry: Row, today: date) -> str:
    """What has come: ``end`` (its last day is over), ``review`` (it is time to look again), or nothing."""
    if entry["until_on"] is not None and entry["until_on"] < today.isoformat():
        return "end"
    if entry["review_on"] is not None and entry["review_on"] <= today.isoformat():
        return "review"
    return ""
