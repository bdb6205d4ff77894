"""The record of who did what: append-only, each row carrying the hash of the one before, in the change's transaction.

``hash = SHA-256(JSON array of all other columns, previous hash included)``. Altering, removing or inserting a row
breaks the chain at that place. Cutting off the end is found by comparing with a head that was noted elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
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

    async def rows(self, before_seq: int | None, limit: int) -> list[Row]:
        """Newest first, those with a number below ``before_seq`` if given."""
        return await self._records.fetch(
            "SELECT * FROM audit WHERE seq < ? ORDER BY seq DESC LIMIT ?", (before_seq or 2**62, limit)
        )

    async def verify(self, noted_head: str = "") -> Verdict:
        """Walk the whole chain; ``noted_head`` (``seq:hash``) must still be in it. Says where it breaks."""
        return await verify(self._records, noted_head)


async def verify(records: Database, noted_head: str = "") -> Verdict:
    """``Audit.verify`` for a store that nothing else uses."""
    seq, head = 0, ""
    noted_seq, _, noted_hash = noted_head.partition(":")
    found_noted = not noted_head
    while chunk := await records.fetch("SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?", (seq, CHUNK)):
        for row in chunk:
            fault = _fault(row, seq, head)
            if fault:
                return Verdict(False, seq, fault, f"{seq}:{head}")
            seq, head = row["seq"], row["hash"]
            found_noted = found_noted or (str(seq) == noted_seq and head == noted_hash)
    if not found_noted:
        return Verdict(
            False,
            seq,
            f"The noted head {noted_head} is not in the record: its end was cut off or replaced.",
            f"{seq}:{head}",
        )
    return Verdict(True, seq, f"All {seq} rows follow from one another.", f"{seq}:{head}")


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
