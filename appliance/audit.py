"""The record of who did what: append-only, each row carrying the hash of the one before, in the change's transaction.

``hash = SHA-256(JSON array of all other columns, previous hash included)``. Altering, removing or inserting a row
breaks the chain at that place. Cutting off the end is found by comparing with a head that was noted elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.clock import stamp
from appliance.db import Database, Row, Transaction

CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a check of the whole chain found. ``head`` is ``seq:hash`` of the newest row, to be noted elsewhere."""

    good: bool
    rows: int
    words: str
    head: str


@dataclass(frozen=True, slots=True)
class Noted:
    """A head (``seq:hash``) that somebody kept elsewhere; ``how`` says of its row where it is known from."""

    head: str
    how: str = "was noted elsewhere"

    @property
    def seq(self) -> int:
        """The number of its row; 0 if this is no head."""
        number = self.head.partition(":")[0]
        return int(number) if number.isascii() and number.isdigit() else 0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows of the record: by whom, which actions (``None``: all), from when until before when (stamps)."""

    actor: str = ""
    actions: Sequence[str] | None = None
    since: str = ""
    before: str = ""

    def condition(self) -> tuple[str, list[str]]:
        """For a WHERE clause: words of our own and question marks, and what they stand for, in order."""
        among = f"action IN ({', '.join('?' * len(self.actions or ()))})"
        parts: list[tuple[str, Sequence[str]]] = [
            *([("actor = ?", [self.actor])] if self.actor else []),
            *([(among, self.actions)] if self.actions is not None else []),
            *([("at >= ?", [self.since])] if self.since else []),
            *([("at < ?", [self.before])] if self.before else []),
        ]
        return " AND ".join(sql for sql, _ in parts) or "1", [value for _, values in parts for value in values]


class Audit:
    """Write and check the record."""

    def __init__(self, records: Database) -> None:
        self._records = records

    async def record(
        self, tx: Transaction, actor: str, action: str, subject: str, detail: Mapping[str, Any] | None = None
    ) -> None:
        """Add a row to the unit of work that makes the change: both are kept or neither is."""
        last = await tx.fetch_one("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
        seq, previous = (last["seq"] + 1, last["hash"]) if last else (1, "")
        fields = (seq, stamp(), actor, action, subject, _canonical(detail or {}), previous)
        await tx.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*fields, _hash(fields)))

    async def rows(self, before_seq: int | None, limit: int, wanted: Wanted | None = None) -> list[Row]:
        """Newest first, those with a number below ``before_seq`` if given, and of those only the ``wanted``."""
        condition, parameters = (wanted or Wanted()).condition()
        return await self._records.fetch(
            f"SELECT * FROM audit WHERE seq < ? AND {condition} ORDER BY seq DESC LIMIT ?",  # noqa: S608 - see Wanted
            (before_seq or 2**62, *parameters, limit),
        )

    async def actors(self) -> list[str]:
        """Everybody who stands in the record as having done something, by name."""
        return [row["actor"] for row in await self._records.fetch("SELECT DISTINCT actor FROM audit ORDER BY actor")]

    async def actions(self) -> list[str]:
        """Everything that stands in the record as having been done."""
        return [row["action"] for row in await self._records.fetch("SELECT DISTINCT action FROM audit")]

    async def verify(self, noted_head: str = "") -> Verdict:
        """Walk the whole chain; ``noted_head`` (``seq:hash``) must still be in it. Says where it breaks."""
        return await verify(self._records, [Noted(noted_head)] if noted_head else [])


async def verify(records: Database, noted: Sequence[Noted] = ()) -> Verdict:
    """``Audit.verify`` for a store that nothing else uses, with any number of heads that were kept elsewhere."""
    seq, head, kept = 0, "", ""
    waiting = {one.seq: [other for other in noted if other.seq == one.seq] for one in noted}
    while chunk := await records.fetch("SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?", (seq, CHUNK)):
        for row in chunk:
            due = waiting.pop(row["seq"], [])
            fault = _fault(row, seq, head) or _replaced(row, due, kept)
            if fault:
                return Verdict(False, seq, fault, f"{seq}:{head}")
            seq, head = row["seq"], row["hash"]
            kept = f" (after row {seq}, which {due[0].how})" if due else kept
    if waiting:
        return Verdict(False, seq, _cut_off(waiting[min(waiting)][0], seq), f"{seq}:{head}")
    return Verdict(True, seq, f"All {seq} rows follow from one another.", f"{seq}:{head}")


def _replaced(row: Row, noted: Sequence[Noted], kept: str) -> str:
    for one in noted:
        if one.head != f"{row['seq']}:{row['hash']}":
            return f"Row {row['seq']} is not the one that {one.how}: it or rows before it{kept} were replaced."
    return ""


def _cut_off(noted: Noted, seq: int) -> str:
    if noted.seq < 1:
        return f"{noted.head!r} is no head: a head is the number of a row, a colon and its hash."
    return f"The record ends with row {seq}, but row {noted.seq} {noted.how}: its end was cut off."


def _fault(row: Row, seq: int, head: str) -> str:
    if row["seq"] != seq + 1:
        return f"Row {seq + 1} is missing."
    if row["previous"] != head:
        return f"Row {row['seq']} does not follow row {seq}: one of them was replaced."
    if row["hash"] != _hash(tuple(row)[:-1]):
        return f"Row {row['seq']} was changed after it was written."
    return ""


def _canonical(detail: Mapping[str, Any]) -> str:
    return json.dumps(detail, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _hash(fields: tuple[Any, ...]) -> str:
    return hashlib.sha256(json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()
