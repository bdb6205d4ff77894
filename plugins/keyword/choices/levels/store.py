"""Levels in the store: those for everybody, and those for certain hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from appliance.api import Data, Database, Refused, Row, Transaction, new_id, stamp

from .model import Timed

LEVELS, TIMES = "keyword_levels", "keyword_times"
MOST_TIMES = 200
_LEVELS = "SELECT * FROM keyword_levels WHERE undone_at IS NULL ORDER BY set_at, id"
_TIMES = "SELECT * FROM keyword_times WHERE undone_at IS NULL AND (until IS NULL OR until > ?) ORDER BY set_at, id"


@dataclass(frozen=True, slots=True)
class ForAll:
    """What was set for everybody."""

    id: str
    policy: str
    level: str
    author: str
    reason: str
    set_at: str


@dataclass(frozen=True, slots=True)
class Kept:
    """What is in force: by policy, the newest of each; and what has hours, the oldest first."""

    for_all: Mapping[str, ForAll] = field(default_factory=dict)
    timed: tuple[Timed, ...] = ()


class Store:
    """``start`` before use; ``kept`` is as new as the last commit. What is written belongs to the caller's unit."""

    def __init__(self, records: Database) -> None:
        self._records = records
        self.kept = Kept()

    @staticmethod
    def data() -> Sequence[Data]:
        """What the tables hold."""
        return [
            Data(LEVELS, "How much of a policy counts for everybody, set by whom and why."),
            Data(TIMES, "How much of a policy counts at certain hours, set by whom and why."),
        ]

    async def start(self) -> None:
        """Read what is in force."""
        self._take(await self._records.fetch(_LEVELS), await self._records.fetch(_TIMES, (stamp(),)))

    def _take(self, levels: Sequence[Row], times: Sequence[Row]) -> None:
        for_all = {
            row["policy"]: ForAll(*(row[name] for name in ("id", "policy", "level", "author", "reason", "set_at")))
            for row in levels
        }
        self.kept = Kept(for_all, tuple(map(_timed, times)))

    async def take_after_commit(self, tx: Transaction) -> None:
        """Have ``kept`` hold what this unit of work has written, once it is kept."""
        levels, times = await tx.fetch(_LEVELS), await tx.fetch(_TIMES, (stamp(),))
        tx.after_commit.append(lambda: self._take(levels, times))

    async def set_for_all(self, tx: Transaction, author: str, policy: str, level: str, reason: str) -> None:
        """Set the level of a policy for everybody."""
        await tx.execute(
            "INSERT INTO keyword_levels (id, policy, level, author, reason, set_at) VALUES (?, ?, ?, ?, ?, ?)",
            (new_id(), policy, level, author, reason, stamp()),
        )

    async def before(self, tx: Transaction, policy: str, row_id: str) -> str | None:
        """The level for everybody that would count if a row were undone; ``None``: nothing else was set."""
        row = await tx.fetch_one(
            "SELECT level FROM keyword_levels WHERE policy = ? AND id != ? AND undone_at IS NULL"
            " ORDER BY set_at DESC, id DESC LIMIT 1",
            (policy, row_id),
        )
        return None if row is None else str(row["level"])

    async def undo_for_all(self, tx: Transaction, author: str, row_id: str) -> None:
        """Take back what was set for everybody: what was set before it counts again."""
        undone = await tx.execute(
            "UPDATE keyword_levels SET undone_at = ?, undone_by = ? WHERE id = ? AND undone_at IS NULL",
            (stamp(), author, row_id),
        )
        _must_be_one(undone)

    async def add_timed(self, tx: Transaction, timed: Timed) -> None:
        """Keep a level for certain hours."""
        many = await tx.fetch_one("SELECT count(*) AS n FROM keyword_times WHERE undone_at IS NULL")
        if many is not None and many["n"] >= MOST_TIMES:
            raise Refused(f"There are {MOST_TIMES} of these already.", "Undo one first.")
        await tx.execute(
            "INSERT INTO keyword_times (id, policy, level, target_kind, target, span, days, start, finish, school_days,"
            " author, reason, set_at, until) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(timed.id, timed.policy, timed.level, timed.target_kind, timed.target, timed.span),
                *(",".join(timed.days), timed.start, timed.finish, timed.school_days),
                *(timed.author, timed.reason, stamp(), timed.until),
            ),
        )

    async def undo_timed(self, tx: Transaction, author: str, row_id: str) -> None:
        """Take back a level for certain hours."""
        undone = await tx.execute(
            "UPDATE keyword_times SET undone_at = ?, undone_by = ? WHERE id = ? AND undone_at IS NULL",
            (stamp(), author, row_id),
        )
        _must_be_one(undone)

    def timed_at(self, moment: datetime) -> list[Timed]:
        """What has not come to its end at a moment."""
        at = stamp(moment)
        return [one for one in self.kept.timed if one.until is None or one.until > at]


def _must_be_one(undone: int) -> None:
    if not undone:
        raise Refused("This was undone already.", "Load the page again.")


def _timed(row: Row) -> Timed:
    return Timed(
        row["id"], row["policy"], row["level"], row["target_kind"], row["target"], row["span"],
        tuple(filter(None, row["days"].split(","))), row["start"], row["finish"], bool(row["school_days"]),
        row["author"], row["reason"], row["until"],
    )  # fmt: skip
