"""Results of the test bench in the store: the last fifty, with who ran it and why."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from appliance.bench.scoring import BenchResult
from appliance.clock import new_id, stamp
from appliance.db import Database, Row

KEPT = 50


class Why(StrEnum):
    """Why the bench was run, as it stands in the store. ``words`` follows who did it."""

    HAND = "hand"
    COMMAND = "command"
    CHANGE = "change"
    FIRST = "first"

    @property
    def words(self) -> str:
        """The reason, for pages."""
        return _WORDS[self]


_WORDS = {
    Why.HAND: "by hand",
    Why.COMMAND: "by command",
    Why.CHANGE: "after what is looked for had changed",
    Why.FIRST: "so that there is something to compare with",
}


@dataclass(frozen=True, slots=True)
class BenchRun:
    """One run that was kept. ``at``: UTC."""

    id: str
    at: str
    author: str
    why: Why
    result: BenchResult


class BenchStore:
    """The table ``bench_runs``."""

    def __init__(self, records: Database) -> None:
        self._records = records

    async def add(self, author: str, why: Why, result: BenchResult) -> BenchRun:
        """Keep a result; the oldest make room."""
        run = BenchRun(new_id(), stamp(), author, why, result)
        async with self._records.transaction() as tx:
            await tx.execute(
                "INSERT INTO bench_runs (id, at, author, why, result) VALUES (?, ?, ?, ?, ?)",
                (run.id, run.at, author, why, json.dumps(result.as_json(), ensure_ascii=False)),
            )
            await tx.execute(
                "DELETE FROM bench_runs WHERE id NOT IN (SELECT id FROM bench_runs ORDER BY at DESC, id DESC LIMIT ?)",
                (KEPT,),
            )
        return run

    async def latest(self, most: int = KEPT) -> Sequence[BenchRun]:
        """The newest first."""
        rows = await self._records.fetch("SELECT * FROM bench_runs ORDER BY at DESC, id DESC LIMIT ?", (most,))
        return [_run(row) for row in rows]


def _run(row: Row) -> BenchRun:
    return BenchRun(
        row["id"], row["at"], row["author"], Why(row["why"]), BenchResult.of_json(json.loads(row["result"]))
    )
