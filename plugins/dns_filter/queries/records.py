"""What the worker reports, as rows of the log: who it was is added here, at the moment of receipt, and never later."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

ROWS_OF_ONE = 300
"""Rows of one client and minute; a device that invents names must not fill the disk."""

MINUTES_KNOWN = 3
"""Minutes of which it is remembered who has how many rows: records come late, but not that late."""

MANY_NAMES = "(many other names)"
"""The name, with an empty type, under which the rest of that minute is counted."""

UNKNOWN = "nobody known"
"""The claim of a query of which nobody knows who made it. It is written, never left blank."""
NOT_KEPT = "not kept"
"""The claim where the school has chosen to keep no person."""

STOPPED = ("blocked", "would block")

Detail = Literal["full", "no_person", "no_device", "off"]


class Known(Protocol):
    """Who is at an address: ids of the directory, and how we know (``appliance.api.CLAIMS``)."""

    @property
    def device(self) -> str | None:
        """The device."""

    @property
    def person(self) -> str | None:
        """The person, only while that sign-in lasts."""

    @property
    def claim(self) -> str:
        """How we know who it is."""


@dataclass(frozen=True, slots=True)
class Somebody:
    """Whoever it is: the ``Known`` of an address of which nothing is known."""

    device: str | None = None
    person: str | None = None
    claim: str = UNKNOWN


Who = Callable[[str], Known]


def nobody_knows(address: str) -> Known:
    """The answer where nobody can be asked."""
    del address
    return Somebody()


@dataclass(frozen=True, slots=True)
class QueryRow:
    """Equal queries of one minute. Times are UTC stamps; ``group`` is ``""`` for a client in none.

    ``device`` and ``person`` are ids, ``""`` where ``claim`` says that nobody is known or nothing is kept.
    """

    minute: str
    client: str
    name: str
    type: str
    verdict: str
    group: str
    profile: str
    list: str
    count: int
    first_at: str
    last_at: str
    slowest_ms: float
    device: str = ""
    person: str = ""
    claim: str = UNKNOWN
    why: str = ""
    rule: str = ""
    category: str = ""
    upstream: str = ""

    @property
    def key(self) -> tuple[str, ...]:
        """What makes queries equal."""
        return (
            *(self.minute, self.client, self.name, self.type, self.verdict, self.device, self.person, self.group),
            *(self.list, self.rule, self.category, self.upstream),
        )

    @property
    def is_rest(self) -> bool:
        """Whether it counts names that were too many for rows of their own. No query has an empty type."""
        return (self.name, self.type) == (MANY_NAMES, "")

    @property
    def is_stopped(self) -> bool:
        """Whether it was blocked, or would have been."""
        return self.verdict in STOPPED


@dataclass(slots=True)
class RowLimit:
    """Lets ``ROWS_OF_ONE`` rows through for each client and minute; what is more becomes the row of the rest."""

    _keys: OrderedDict[str, dict[str, set[tuple[str, ...]]]] = field(default_factory=OrderedDict)

    def __call__(self, row: QueryRow) -> QueryRow:
        """The row itself, or the same query without what makes it one of many."""
        keys = self._minute(row.minute).setdefault(row.client, set())
        if row.key not in keys:
            if len(keys) >= ROWS_OF_ONE:
                return replace(row, name=MANY_NAMES, type="", why="", list="", rule="", category="", upstream="")
            keys.add(row.key)
        return row

    def _minute(self, minute: str) -> dict[str, set[tuple[str, ...]]]:
        """What is known of a minute. Forgets the one not used for longest: clocks may be set back."""
        clients = self._keys.setdefault(minute, {})
        self._keys.move_to_end(minute)
        if len(self._keys) > MINUTES_KNOWN:
            self._keys.popitem(last=False)
        return clients


def row_of(record: Mapping[str, Any], who: Known, group: str) -> QueryRow:
    """A record of the worker as a row of its minute."""
    return QueryRow(
        minute=minute_of(record["t"]),
        client=record["client"],
        name=record["name"],
        type=record["type"],
        verdict=record["verdict"],
        group=group,
        profile=record["profile"],
        list=record["list"],
        count=int(record["count"]),
        first_at=record["t"],
        last_at=record["t"],
        slowest_ms=float(record["ms"]),
        device=who.device or "",
        person=who.person or "",
        claim=who.claim or UNKNOWN,
        why=record["why"],
        rule=record["rule"],
        category=record["category"],
        upstream=record["upstream"],
    )


def counted(rows: Iterable[QueryRow]) -> list[QueryRow]:
    """Equal ones together, the latest last."""
    found: dict[tuple[str, ...], QueryRow] = {}
    for row in rows:
        known = found.pop(row.key, None)
        found[row.key] = row if known is None else _both(known, row)
    return list(found.values())


def anonymised(row: QueryRow, detail: Detail) -> QueryRow:
    """What is kept of a row at this level of detail."""
    if detail == "full":
        return row
    # The id of an entry that is for one person or device says who that was.
    tells = row.why == "entry" or (row.why == "cname" and "." not in row.rule)
    without_person = replace(row, person="", claim=NOT_KEPT, rule="" if tells else row.rule)
    if detail == "no_person":
        return without_person
    without_device = replace(without_person, client="", device="")
    if detail == "no_device":
        return without_device
    return QueryRow(
        minute=row.minute, client="", name="", type="", verdict=row.verdict, group="", profile="", list="",
        count=row.count, first_at=row.first_at, last_at=row.last_at, slowest_ms=row.slowest_ms, claim=NOT_KEPT,
    )  # fmt: skip


def minute_of(moment: str) -> str:
    """The stamp of the minute in which the stamp ``moment`` lies."""
    return moment[: len("2026-11-24T09:30")] + ":00.000Z"


def quarter_of(moment: str) -> str:
    """The stamp of the quarter of an hour in which the stamp ``moment`` lies."""
    hour, minute = moment[: len("2026-11-24T09")], int(moment[len("2026-11-24T09:") : len("2026-11-24T09:30")])
    return f"{hour}:{minute // 15 * 15:02}:00.000Z"


def _both(earlier: QueryRow, later: QueryRow) -> QueryRow:
    return replace(
        later,
        count=earlier.count + later.count,
        first_at=min(earlier.first_at, later.first_at),
        last_at=max(earlier.last_at, later.last_at),
        slowest_ms=max(earlier.slowest_ms, later.slowest_ms),
    )
