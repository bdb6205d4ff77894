"""All SQL of this plugin: what devices asked for, one row per minute, client, name, type and verdict."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from appliance.api import Database

TABLE = "dns_filter_queries"

ROWS_OF_ONE = 300
"""Rows of one client and minute; a device that invents names must not fill the disk."""

MINUTES_KNOWN = 3
"""Minutes of which it is remembered who has how many rows: records come late, but not that late."""

MANY_NAMES = "(many other names)"
"""The name, with an empty type, under which the rest of that minute is counted."""


@dataclass(frozen=True, slots=True)
class QueryRow:
    """Equal queries of one minute. Times are UTC stamps; ``group`` is ``""`` for a client in none."""

    minute: str
    client: str
    name: str
    type: str
    verdict: str
    group: str
    profile: str
    list: str
    count: int
    last_at: str
    slowest_ms: float

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What makes queries equal: the primary key of the table."""
        return (self.minute, self.client, self.name, self.type, self.verdict)

    @property
    def is_rest(self) -> bool:
        """Whether it counts names that were too many for rows of their own. No query has an empty type."""
        return (self.name, self.type) == (MANY_NAMES, "")


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows to show; ``""`` shows all. ``who`` is a client's address or the name of a group."""

    verdict: str = ""
    who: str = ""


@dataclass(frozen=True, slots=True)
class Summary:
    """Queries since a moment, by verdict; ``answered`` are all of them."""

    answered: int
    blocked: int
    would_block: int


@dataclass(slots=True)
class RowLimit:
    """Lets ``ROWS_OF_ONE`` rows through for each client and minute; what is more becomes the row of the rest."""

    _keys: OrderedDict[str, dict[str, set[tuple[str, ...]]]] = field(default_factory=OrderedDict)

    def __call__(self, row: QueryRow) -> QueryRow:
        """The row itself, or the same query without its name and list."""
        keys = self._minute(row.minute).setdefault(row.client, set())
        if row.key not in keys:
            if len(keys) >= ROWS_OF_ONE:
                return replace(row, name=MANY_NAMES, type="", list="")
            keys.add(row.key)
        return row

    def _minute(self, minute: str) -> dict[str, set[tuple[str, ...]]]:
        """What is known of a minute. Forgets the one not used for longest: clocks may be set back."""
        clients = self._keys.setdefault(minute, {})
        self._keys.move_to_end(minute)
        if len(self._keys) > MINUTES_KNOWN:
            self._keys.popitem(last=False)
        return clients


def _as_it_is(row: QueryRow) -> QueryRow:
    return row


def aggregate(
    records: Iterable[Mapping[str, Any]], limit: Callable[[QueryRow], QueryRow] = _as_it_is
) -> list[QueryRow]:
    """The worker's records (see ``answering``) as rows, each passed through ``limit``, the latest last."""
    rows: dict[tuple[str, ...], QueryRow] = {}
    for record in records:
        row = limit(_row(record))
        known = rows.pop(row.key, None)
        rows[row.key] = row if known is None else _both(known, row)
    return list(rows.values())


@dataclass(frozen=True, slots=True)
class Store:
    """The table of queries, in the activity file: best effort, short retention."""

    activity: Database

    async def add(self, rows: Iterable[QueryRow]) -> None:
        """Add rows to what is there, all or none."""
        async with self.activity.transaction() as tx:
            await tx.executemany(
                "INSERT INTO dns_filter_queries (minute, client, name, type, verdict, client_group, profile, list,"
                " count, last_at, slowest_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (minute, client, name, type, verdict) DO UPDATE SET"
                " client_group = excluded.client_group, profile = excluded.profile, list = excluded.list,"
                " count = count + excluded.count, last_at = max(last_at, excluded.last_at),"
                " slowest_ms = max(slowest_ms, excluded.slowest_ms)",
                [(*row.key, row.group, row.profile, row.list, row.count, row.last_at, row.slowest_ms) for row in rows],
            )

    async def recent(self, limit: int, filters: Filters, since: str) -> list[QueryRow]:
        """The newest rows since ``since`` (UTC stamp) that the filters let through, newest first."""
        conditions = ["minute >= :since"]
        if filters.verdict == "allowed":
            conditions.append("verdict = 'allowed'")
        elif filters.verdict:
            # The first half says nothing new; it is what lets SQLite use the small index.
            conditions.append("verdict <> 'allowed' AND verdict = :verdict")
        if filters.who:
            conditions.append("(client = :who OR client_group = :who)")
        found = await self.activity.fetch(
            f"SELECT * FROM dns_filter_queries WHERE {' AND '.join(conditions)}"  # noqa: S608  (constants of ours)
            " ORDER BY minute DESC, last_at DESC LIMIT :limit",
            {"since": minute_of(since), "verdict": filters.verdict, "who": filters.who, "limit": limit},
        )
        return [_from_table(dict(row)) for row in found]

    async def summary(self, since: str) -> Summary:
        """Queries since the minute of ``since`` (UTC stamp)."""
        found = await self.activity.fetch(
            "SELECT verdict, sum(count) AS n FROM dns_filter_queries WHERE minute >= ? GROUP BY verdict",
            (minute_of(since),),
        )
        counts = {row["verdict"]: int(row["n"]) for row in found}
        return Summary(sum(counts.values()), counts.get("blocked", 0), counts.get("would block", 0))


def minute_of(moment: str) -> str:
    """The stamp of the minute in which the stamp ``moment`` lies."""
    return moment[: len("2026-11-24T09:30")] + ":00.000Z"


def _row(record: Mapping[str, Any]) -> QueryRow:
    return QueryRow(
        minute=minute_of(record["t"]),
        client=record["client"],
        name=record["name"],
        type=record["type"],
        verdict=record["verdict"],
        group=record["group"],
        profile=record["profile"],
        list=record["list"],
        count=1,
        last_at=record["t"],
        slowest_ms=float(record["ms"]),
    )


def _both(earlier: QueryRow, later: QueryRow) -> QueryRow:
    return replace(
        later,
        count=earlier.count + later.count,
        last_at=max(earlier.last_at, later.last_at),
        slowest_ms=max(earlier.slowest_ms, later.slowest_ms),
    )


def _from_table(columns: dict[str, Any]) -> QueryRow:
    return QueryRow(group=columns.pop("client_group"), **columns)
