"""Suggestions in the store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from appliance.api import Data, Database, Refused, Row, Transaction, stamp

SUGGESTIONS = "keyword_suggestions"
MOST_OPEN = 300
KEEP_DAYS = 365


class Store:
    """Reads see what was committed; what is written belongs to the caller's unit of work."""

    def __init__(self, records: Database) -> None:
        self._records = records

    @staticmethod
    def data() -> Sequence[Data]:
        """What the table holds."""
        return [
            Data(
                SUGGESTIONS,
                "Words that pupils suggested, sealed until they were decided; the day, and nothing of who it was.",
                keep_days=KEEP_DAYS,
                time_column="day",
            )
        ]

    async def add(self, tx: Transaction, row_id: str, day: date, sealed: bytes) -> bool:
        """Keep a suggestion; false if too many wait."""
        many = await tx.fetch_one("SELECT count(*) AS n FROM keyword_suggestions WHERE state = 'open'")
        if many is None or many["n"] >= MOST_OPEN:
            return False
        await tx.execute(
            "INSERT INTO keyword_suggestions (id, day, words) VALUES (?, ?, ?)", (row_id, day.isoformat(), sealed)
        )
        return True

    async def open_ones(self) -> list[Row]:
        """What waits, the oldest day first."""
        return await self._records.fetch(
            "SELECT id, day, words FROM keyword_suggestions WHERE state = 'open' ORDER BY day, id LIMIT 300"
        )

    async def open_one(self, row_id: str) -> Row | None:
        """A suggestion that waits."""
        return await self._records.fetch_one(
            "SELECT id, day, words FROM keyword_suggestions WHERE id = ? AND state = 'open'", (row_id,)
        )

    async def decided(self) -> list[Row]:
        """What was decided, the newest first; the words are gone."""
        return await self._records.fetch(
            "SELECT id, day, state, decided_at, decided_by, term FROM keyword_suggestions WHERE state <> 'open'"
            " ORDER BY decided_at DESC, id DESC LIMIT 100"
        )

    async def decide(self, tx: Transaction, row_id: str, state: str, by: str, term: str) -> None:
        """``state``: accepted or declined. What the child wrote goes with it. Raises ``Refused`` if it was decided."""
        decided = await tx.execute(
            "UPDATE keyword_suggestions SET state = ?, words = NULL, decided_at = ?, decided_by = ?, term = ?"
            " WHERE id = ? AND state = 'open'",
            (state, stamp(), by, term, row_id),
        )
        if not decided:
            raise Refused("Somebody has decided this already.", "Load the page again.")

    async def waiting(self) -> int:
        """How many wait."""
        row = await self._records.fetch_one("SELECT count(*) AS n FROM keyword_suggestions WHERE state = 'open'")
        return int(row["n"]) if row is not None else 0
