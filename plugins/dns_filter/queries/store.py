"""All SQL of the log: full rows for some days, then which sites, when first and last, in each quarter of an hour."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from itertools import chain, islice
from typing import Any, NamedTuple

from appliance.api import Database, Row, parse

from .records import STOPPED, QueryRow, minute_of, quarter_of
from .sites import site_of

QUERIES, SITES, TALLY = "dns_filter_queries", "dns_filter_sites", "dns_filter_tally"
CHUNK = 4000
"""Rows that are summed up in one unit of work."""
ALL = -1
"""In place of a limit of ``Store.recent``."""
SPARE = 100
"""Names of a list of the most asked that may be hidden without leaving it short."""
_STOPPED = "verdict IN ('blocked', 'would block')"
"""As in the index of the same name, so that SQLite uses it."""
_COLUMNS = (
    "minute, client, device, person, claim, client_group, name, type, verdict, why, list, rule, category, profile,"
    " upstream, count, first_at, last_at, slowest_ms"
)
_KEY_BYTES = 8
_ADD = (
    f"INSERT INTO dns_filter_queries ({_COLUMNS}, key) VALUES ({', '.join('?' * 20)})"  # noqa: S608 - our own words
    " ON CONFLICT (minute, key) DO UPDATE SET claim = excluded.claim, why = excluded.why,"
    " profile = excluded.profile, count = count + excluded.count,"
    " first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at),"
    " slowest_ms = max(slowest_ms, excluded.slowest_ms)"
)
_TALLY = (
    "INSERT INTO dns_filter_tally (kind, day, what, count, stopped) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (kind, day, what) DO UPDATE SET count = count + excluded.count, stopped = stopped + excluded.stopped"
)


class LedAway(NamedTuple):
    """Why a name was stopped that nothing is said of itself: ``why`` and ``rule`` as in ``QueryRow``, and when."""

    why: str
    rule: str
    at: str


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows to show; what is empty shows all.

    ``who``: an address, or the name of a group; ``devices``: ids of devices that are called so. ``name``: a part of a
    name. ``device``: a device's id, or the address of one that nobody knows; ``person``: an id.
    """

    verdict: str = ""
    who: str = ""
    devices: frozenset[str] = frozenset()
    category: str = ""
    name: str = ""
    device: str = ""
    person: str = ""

    @property
    def is_set(self) -> bool:
        """Whether anything is left out."""
        return bool(self.typed())

    def typed(self) -> dict[str, str]:
        """The fields of the page that leave anything out, as they were typed."""
        fields = {"verdict": self.verdict, "category": self.category, "who": self.who, "name": self.name}
        return {key: text for key, text in fields.items() if text}

    def conditions(self) -> tuple[list[str], list[str]]:
        """For a WHERE clause, with its parameters in order."""
        sql: list[str] = []
        values: list[str] = []

        def add(condition: str, *found: str) -> None:
            sql.append(condition)
            values.extend(found)

        if self.verdict in STOPPED:
            add(f"{_STOPPED} AND verdict = ?", self.verdict)
        elif self.verdict:
            add("verdict = ?", self.verdict)
        if self.who:
            marks = ", ".join("?" * len(self.devices))
            add(f"(client = ? OR client_group = ? OR device IN ({marks}))", self.who, self.who, *sorted(self.devices))
        if self.category:
            add("category = ?", self.category)
        if self.name:
            add("instr(name, ?)", self.name.lower())
        if self.device:
            # Not both at once: with OR, SQLite reads every row.
            kept_as = "device = '' AND client = ?" if is_address(self.device) else "device <> '' AND device = ?"
            add(kept_as, self.device)
        if self.person:
            add("person <> '' AND person = ?", self.person)
        return sql, values


@dataclass(frozen=True, slots=True)
class Summary:
    """Queries since a moment, by verdict; ``answered`` are all of them."""

    answered: int
    blocked: int
    would_block: int


@dataclass(frozen=True, slots=True)
class Counted:
    """Something and how often: a name, or a device (its id, or an address); ``of`` is how often of the same in all."""

    what: str
    count: int
    of: int = 0


@dataclass(frozen=True, slots=True)
class Site:
    """A site on one day (UTC), from what is left of older rows."""

    day: str
    site: str
    count: int
    stopped: int
    first_at: str
    last_at: str
    device: str


def _nothing_hidden(name: str) -> bool:
    del name
    return False


@dataclass(frozen=True, slots=True)
class Store:
    """The tables of the log, in the activity file: best effort, short retention.

    ``hidden``: names that may not be shown whatever the tables hold: a place of help that was added to the list later.
    ``zone``: that of the school's clocks, by which days are counted.
    """

    activity: Database
    hidden: Callable[[str], bool] = field(default=_nothing_hidden)
    zone: tzinfo = UTC

    # Keeping

    async def add(self, rows: Iterable[QueryRow]) -> None:
        """Add rows to what is there, all or none."""
        rows = list(rows)
        tally = self._tally(rows)
        async with self.activity.transaction() as tx:
            await tx.executemany(_ADD, [_values(row) for row in rows])
            await tx.executemany(_TALLY, [(*key, count, stopped) for key, (count, stopped) in tally.items()])

    async def kept(self, rows: Iterable[QueryRow]) -> list[QueryRow]:
        """Rows as they are now, with all that was counted before."""
        keys = [(row.minute, _key_of(row)) for row in rows]
        found = await self.activity.fetch(
            f"WITH wanted (minute, key) AS (VALUES {', '.join(['(?, ?)'] * len(keys))})"  # noqa: S608 - our own words
            f" SELECT {_COLUMNS}, key FROM wanted CROSS JOIN dns_filter_queries USING (minute, key)",
            list(chain.from_iterable(keys)),
        )
        known = {(row["minute"], row["key"]): row for row in found}
        return [_from_table(known[key]) for key in keys if key in known]

    def _tally(self, rows: Iterable[QueryRow]) -> dict[tuple[str, str, str], tuple[int, int]]:
        """What is counted of these rows by day. The row of the rest has no name of its own."""
        days: dict[str, str] = {}
        found: dict[tuple[str, str, str], tuple[int, int]] = {}
        for row in rows:
            day = days.get(row.minute) or days.setdefault(row.minute, self._day(row.minute))
            stopped = row.count if row.is_stopped else 0
            for kind, what in (
                ("name", "" if row.is_rest else row.name),
                ("device", row.device or row.client),
                ("client", row.client),
            ):
                if what:
                    count, before = found.get((kind, day, what), (0, 0))
                    found[kind, day, what] = count + row.count, before + stopped
        return found

    def _day(self, moment: str) -> str:
        """The day at the school of a UTC stamp."""
        return parse(moment).astimezone(self.zone).date().isoformat()

    async def roll_up(self, before: str) -> int:
        """Sum up the oldest full rows of before a moment (UTC stamp) and delete them; how many there were.

        At most ``CHUNK``: whoever calls asks again until there are fewer.
        """
        async with self.activity.transaction() as tx:
            found = await tx.fetch(
                f"SELECT {_COLUMNS}, key FROM dns_filter_queries WHERE minute < ? ORDER BY minute LIMIT ?",  # noqa: S608
                (minute_of(before), CHUNK),
            )
            rows = [_from_table(row) for row in found]
            await tx.executemany(
                "INSERT INTO dns_filter_sites (quarter, device, person, site, count, stopped, first_at, last_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (quarter, device, person, site) DO UPDATE SET"
                " count = count + excluded.count, stopped = stopped + excluded.stopped,"
                " first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at)",
                [_summed(row) for row in rows if not self.hidden(row.name)],
            )
            await tx.executemany(
                "DELETE FROM dns_filter_queries WHERE minute = ? AND key = ?",
                [(row["minute"], row["key"]) for row in found],
            )
        return len(rows)

    # Reading

    async def recent(self, limit: int, filters: Filters, since: str, before: str = "") -> list[QueryRow]:
        """The newest rows since ``since`` (UTC stamp) that the filters let through, newest first.

        ``before``: none of the minute of this stamp, and no later ones.
        """
        conditions, values = filters.conditions()
        if before:
            conditions, values = ["minute < ?", *conditions], [minute_of(before), *values]
        where = " AND ".join(["minute >= ?", *conditions])
        found = await self.activity.fetch(
            f"SELECT {_COLUMNS} FROM dns_filter_queries WHERE {where}"  # noqa: S608  (conditions of ours)
            " ORDER BY minute DESC, last_at DESC LIMIT ?",
            [minute_of(since), *values, limit],
        )
        return [row for row in map(_from_table, found) if not self.hidden(row.name)]

    async def led_away(self, name: str, profile: str, since: str) -> LedAway | None:
        """Why a name was stopped for what it led to, or by a plugin, when it was last asked for since ``since`` (UTC
        stamp)."""
        if self.hidden(name):
            return None
        found = await self.activity.fetch_one(
            f"SELECT why, rule, last_at FROM dns_filter_queries WHERE {_STOPPED} AND minute >= ?"  # noqa: S608 - ours
            " AND name = ? AND profile = ? AND why IN ('cname', 'rebind', 'plugin')"
            " ORDER BY minute DESC, last_at DESC LIMIT 1",
            (minute_of(since), name, profile),
        )
        return None if found is None else LedAway(found["why"], found["rule"], found["last_at"])

    async def summary(self, since: str, filters: Filters | None = None) -> Summary:
        """Queries since the minute of ``since`` (UTC stamp)."""
        conditions, values = (filters or Filters()).conditions()
        where = " AND ".join(["minute >= ?", *conditions])
        found = await self.activity.fetch(
            f"SELECT verdict, sum(count) AS n FROM dns_filter_queries WHERE {where} GROUP BY verdict",  # noqa: S608
            [minute_of(since), *values],
        )
        counts = {row["verdict"]: int(row["n"]) for row in found}
        return Summary(sum(counts.values()), counts.get("blocked", 0), counts.get("would block", 0))

    async def share_of_busiest(self, since: str) -> tuple[str, int, int] | None:
        """The address that asked most since the day of ``since``, how often, and how often all did."""
        found = await self.activity.fetch(
            "SELECT what, sum(count) AS n, sum(sum(count)) OVER () AS of_all FROM dns_filter_tally"
            " WHERE kind = 'client' AND day >= ? GROUP BY what ORDER BY n DESC, what LIMIT 1",
            (self._day(since),),
        )
        return (found[0]["what"], int(found[0]["n"]), int(found[0]["of_all"])) if found else None

    async def askers(self, kind: str, since: str) -> frozenset[str]:
        """Who has asked for anything since the day of ``since``: addresses (``client``), or devices (``device``)."""
        found = await self.activity.fetch(
            "SELECT DISTINCT what FROM dns_filter_tally WHERE kind = ? AND day >= ?", (kind, self._day(since))
        )
        return frozenset(row["what"] for row in found)

    async def top_names(self, since: str, limit: int, *, stopped: bool = False) -> list[Counted]:
        """The names asked for most since the day of ``since``; ``stopped``: blocked most, or would have been."""
        counted = "stopped" if stopped else "count"
        found = await self.activity.fetch(
            f"SELECT what, sum({counted}) AS n FROM dns_filter_tally WHERE kind = 'name' AND day >= ?"  # noqa: S608
            f" AND {counted} > 0 GROUP BY what ORDER BY n DESC, what LIMIT ?",
            (self._day(since), limit + SPARE),
        )
        return self._shown(found, limit)

    async def top_names_of(self, filters: Filters, since: str, limit: int, *, stopped: bool = False) -> list[Counted]:
        """The same of one device or person, since the minute of ``since``."""
        conditions, values = filters.conditions()
        where = " AND ".join(["minute >= ?", "type <> ''", *([_STOPPED] if stopped else []), *conditions])
        found = await self.activity.fetch(
            f"SELECT name AS what, sum(count) AS n FROM dns_filter_queries WHERE {where}"  # noqa: S608
            " GROUP BY name ORDER BY n DESC, name LIMIT ?",
            [minute_of(since), *values, limit + SPARE],
        )
        return self._shown(found, limit)

    def _shown(self, found: Iterable[Row], limit: int) -> list[Counted]:
        shown = (Counted(row["what"], int(row["n"])) for row in found if not self.hidden(row["what"]))
        return list(islice(shown, limit))

    async def top_devices(self, since: str, limit: int) -> list[Counted]:
        """The devices for which most was blocked since the day of ``since``, or would have been; ``of``: all asked."""
        found = await self.activity.fetch(
            "SELECT what, sum(stopped) AS n, sum(count) AS whole FROM dns_filter_tally"
            " WHERE kind = 'device' AND day >= ? GROUP BY what HAVING n > 0 ORDER BY n DESC, what LIMIT ?",
            (self._day(since), limit),
        )
        return [Counted(row["what"], int(row["n"]), int(row["whole"])) for row in found]

    async def sites(self, limit: int, *, device: str = "", person: str = "") -> list[Site]:
        """What is left of older rows of a device or a person, by day and site, the newest day first."""
        condition, value = ("person <> '' AND person = ?", person) if person else ("device = ?", device)
        found = await self.activity.fetch(
            "SELECT substr(quarter, 1, 10) AS day, site, device, sum(count) AS n, sum(stopped) AS stopped,"  # noqa: S608
            f" min(first_at) AS first_at, max(last_at) AS last_at FROM dns_filter_sites WHERE {condition}"
            " GROUP BY day, site, device ORDER BY day DESC, n DESC, site LIMIT ?",
            (value, limit),
        )
        return [
            Site(row["day"], row["site"], row["n"], row["stopped"], row["first_at"], row["last_at"], row["device"])
            for row in found
            if not self.hidden(row["site"])
        ]


def is_address(text: str) -> bool:
    """Whether a text is the address of a client, with or without the interface behind it ("fe80::1%eth0")."""
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _values(row: QueryRow) -> tuple[Any, ...]:
    return (
        *(row.minute, row.client, row.device, row.person, row.claim, row.group, row.name, row.type, row.verdict),
        *(row.why, row.list, row.rule, row.category, row.profile, row.upstream),
        *(row.count, row.first_at, row.last_at, row.slowest_ms, _key_of(row)),
    )


def _key_of(row: QueryRow) -> int:
    """Two different rows of one minute have the same one less than once in thousands of years."""
    whole = "\0".join(row.key).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(whole, digest_size=_KEY_BYTES).digest(), "big", signed=True)


def _summed(row: QueryRow) -> tuple[Any, ...]:
    return (
        *(quarter_of(row.minute), row.device or row.client, row.person, site_of(row.name)),
        *(row.count, row.count if row.is_stopped else 0, row.first_at, row.last_at),
    )


def _from_table(row: Row) -> QueryRow:
    columns = dict(row)
    columns.pop("key", None)
    return QueryRow(group=columns.pop("client_group"), **columns)
