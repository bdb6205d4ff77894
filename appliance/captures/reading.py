"""Reading captures: lists of facts for whoever may see the person, the content for those whose keys open it.

Opening a capture asks for no reason: that something was captured is the reason. It stands in the record of who did
what, once for each account, capture and day, and so does looking at its picture.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

from appliance.access import Actor, Condition, captured
from appliance.audit import Audit
from appliance.captures.pictures import Pictures
from appliance.captures.statuses import Status
from appliance.clock import stamp
from appliance.db import Database, Row
from appliance.observations import Finding, Severity, all_printable, printable
from appliance.people.listing import PAGE_ROWS, Page
from appliance.people.names import fold
from appliance.sealing import Keys, SealError, read_header
from appliance.vaults import Vaults

CONTENT = "capture"
PICTURE = "picture"
NOTE = "capture note"
"""Kinds of envelopes."""
ORDERS: Mapping[str, tuple[str, str]] = {
    "severe": ("Severe first", "capture.rank, capture.at DESC, capture.id DESC"),
    "newest": ("Newest first", "capture.at DESC, capture.id DESC"),
    "oldest": ("Oldest first", "capture.at, capture.id"),
}
OPEN, ANY = "open", "any"
"""Besides one status: everything that is not finished, or all."""
_OPEN = "capture.finished_at IS NULL"
_WHOSE = "+capture.person_id"
"""The plus keeps SQLite from going through every person in scope: it reads a list in its order and asks row by row."""
_COLUMNS = "capture.*, person.name AS person, person.kind AS person_kind, device.name AS device"
_TABLE = """captures capture LEFT JOIN people person ON person.id = capture.person_id
LEFT JOIN devices device ON device.id = capture.device_id"""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which captures. ``words``: in the name of the person; empty texts: any."""

    words: str = ""
    status: str = OPEN
    severity: str = ""
    category: str = ""
    device: str = ""
    surface: str = ""
    tests: bool = False

    def conditions(self) -> list[Condition]:
        """For a WHERE clause on the list."""
        named = [Condition("instr(person.sort_name, ?)", (word,)) for word in fold(self.words).split()]
        chosen = [
            Condition(f"capture.{column} = ?", (value,))
            for column, value in (
                ("severity", self.severity),
                ("category", self.category),
                ("device_id", self.device),
                ("surface", self.surface),
                ("status", self.status if self.status not in (OPEN, ANY) else ""),
            )
            if value
        ]
        unfinished = [Condition(_OPEN, ())] if self.status == OPEN else []
        return [*named, *chosen, *unfinished, Condition(f"capture.is_test = {int(self.tests)}", ())]


@dataclass(frozen=True, slots=True)
class TermCount:
    """In how many captures a term was found, and how many of those were resolved as false positives."""

    hits: int
    false_positives: int


@dataclass(frozen=True, slots=True)
class Opened:
    """What a capture holds: what was written or read, and every finding, the worst first."""

    text: str = field(repr=False)
    title: str = field(repr=False)
    address: str = field(repr=False)
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """What somebody wrote about a capture, or which status it got, or both. ``words`` is empty without any."""

    at: str
    author: str
    before: Status | None
    after: Status | None
    words: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What nobody has looked at, by severity, and what is open in all. Tests are not counted."""

    unclassified: Mapping[Severity, int]
    open: int

    @property
    def number(self) -> int:
        """How many wait."""
        return sum(self.unclassified.values())


def who_words(row: Row) -> str:
    """The person of a capture, or that nobody knows who it was."""
    if row["person_id"] is not None:
        return str(row["person"])
    return f"Unknown person on {row['device'] or 'an unknown device'}"


class Reading:
    """Every function takes who asks, and gives what that account may see."""

    def __init__(
        self,
        records: Database,
        audit: Audit,
        vaults: Vaults,
        pictures: Pictures,
        timezone: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._records = records
        self._audit = audit
        self._vaults = vaults
        self._pictures = pictures
        self._zone = ZoneInfo(timezone)
        self._now = clock

    # Facts

    async def find(self, actor: Actor, wanted: Filter, order: str, number: int) -> Page:
        """A page of captures: their columns, and person, person_kind and device by name."""
        table = "captures capture JOIN people person ON person.id = capture.person_id" if wanted.words else ""
        conditions = (captured(actor, _WHOSE), *wanted.conditions())
        where = " AND ".join(one.sql for one in conditions)
        parameters = [value for one in conditions for value in one.parameters]
        counted = await self._records.fetch_one(
            f"SELECT count(*) AS n FROM {table or 'captures capture'} WHERE {where}",  # noqa: S608 - our own conditions
            parameters,
        )
        total = counted["n"] if counted is not None else 0
        number = min(max(number, 1), Page((), 1, total).last)
        rows = await self._records.fetch(
            f"SELECT {_COLUMNS} FROM {_TABLE} WHERE {where} ORDER BY {ORDERS[order][1]} LIMIT ? OFFSET ?",  # noqa: S608
            [*parameters, PAGE_ROWS, (number - 1) * PAGE_ROWS],
        )
        return Page(rows, number, total)

    async def capture(self, actor: Actor, capture_id: str) -> Row | None:
        """The facts of one capture, or ``None`` if there is none of this id that ``actor`` may see."""
        seen = captured(actor, "capture.person_id")
        return await self._records.fetch_one(
            f"SELECT {_COLUMNS} FROM {_TABLE} WHERE capture.id = ? AND {seen.sql}",  # noqa: S608
            (capture_id, *seen.parameters),
        )

    async def term_counts(self, actor: Actor, since: datetime) -> Mapping[tuple[str, str], TermCount]:
        """How often terms were found since then, by policy and term, in the captures that ``actor`` may see."""
        seen = captured(actor, _WHOSE)
        rows = await self._records.fetch(
            "SELECT finding.policy, finding.term, count(DISTINCT capture.id) AS hits,"  # noqa: S608
            " count(DISTINCT CASE WHEN capture.status IN ('false_positive', 'false_positive_allow') THEN capture.id"
            " END) AS false_positives FROM captures capture"
            " JOIN capture_findings finding ON finding.capture_id = capture.id"
            f" WHERE capture.is_test = 0 AND finding.is_test = 0 AND capture.at >= ? AND {seen.sql}"
            " GROUP BY finding.policy, finding.term",
            (stamp(since), *seen.parameters),
        )
        return {(row["policy"], row["term"]): TermCount(row["hits"], row["false_positives"]) for row in rows}

    async def neighbours(self, actor: Actor, row: Row) -> tuple[str | None, str | None]:
        """The ids of the next newer and the next older capture; among tests, of the next tests."""
        seen = captured(actor, _WHOSE)
        found: list[str | None] = []
        for compares, order in ((">", "capture.at, capture.id"), ("<", "capture.at DESC, capture.id DESC")):
            near = await self._records.fetch_one(
                f"SELECT capture.id FROM captures capture WHERE (capture.at, capture.id) {compares} (?, ?)"  # noqa: S608
                f" AND capture.is_test = ? AND {seen.sql} ORDER BY {order} LIMIT 1",
                (row["at"], row["id"], row["is_test"], *seen.parameters),
            )
            found.append(near["id"] if near else None)
        return found[0], found[1]

    async def waiting(self, actor: Actor) -> Waiting:
        """How much waits for somebody, for the home page."""
        seen = captured(actor, _WHOSE)
        rows = await self._records.fetch(
            "SELECT capture.severity, capture.status, count(*) AS number FROM captures capture"  # noqa: S608
            # The plus leaves one index only: that of the open ones, which holds all that is asked for.
            f" WHERE +capture.is_test = 0 AND {_OPEN} AND {seen.sql} GROUP BY capture.severity, capture.status",
            seen.parameters,
        )
        unclassified = {
            Severity(row["severity"]): row["number"] for row in rows if row["status"] == Status.UNCLASSIFIED
        }
        return Waiting(
            {one: unclassified[one] for one in Severity if one in unclassified}, sum(row["number"] for row in rows)
        )

    async def devices(self, actor: Actor) -> list[Row]:
        """Devices to filter by (id, name): those on which anything was captured."""
        seen = captured(actor, _WHOSE)
        return await self._records.fetch(
            "SELECT device.id, device.name FROM devices device WHERE EXISTS ("  # noqa: S608
            f"SELECT 1 FROM captures capture WHERE capture.device_id = device.id AND {seen.sql})"
            " ORDER BY lower(device.name), device.id",
            seen.parameters,
        )

    async def openings(self, actor: Actor, capture_id: str) -> list[Row]:
        """Who has opened a capture: name, first and last time, the first first."""
        if await self.capture(actor, capture_id) is None:
            return []
        return await self._records.fetch(
            "SELECT account.name, min(opening.at) AS first, max(opening.at) AS last FROM capture_openings opening"
            " JOIN staff_accounts account ON account.id = opening.account_id"
            " WHERE opening.capture_id = ? GROUP BY opening.account_id ORDER BY first",
            (capture_id,),
        )

    # Content

    async def opened(self, actor: Actor, keys: Keys, capture_id: str) -> Opened | None:
        """What a capture holds; that it was opened is recorded. Raises ``Refused`` if these keys do not open it."""
        row = await self.capture(actor, capture_id)
        sealed = await self._records.fetch_one(
            "SELECT sealed FROM capture_contents WHERE capture_id = ?", (capture_id,)
        )
        if row is None or sealed is None:
            return None
        found = json.loads(self._open(keys, sealed["sealed"], capture_id, CONTENT).decode("utf-8", "surrogatepass"))
        await self._record_opening(actor, row, "content")
        # What was kept before this was seen to when it is kept must not cost anybody the page.
        findings = tuple(all_printable(Finding.of_json(one)) for one in found["findings"])
        return Opened(printable(found["text"]), printable(found["title"]), printable(found["address"]), findings)

    async def picture(self, actor: Actor, keys: Keys, capture_id: str) -> bytes | None:
        """The picture of a capture as JPEG, or ``None`` if there is none; that it was looked at is recorded."""
        row = await self.capture(actor, capture_id)
        if row is None or row["picture"] != "taken":
            return None
        sealed = await asyncio.to_thread(self._pictures.read, capture_id)
        if sealed is None:
            return None
        picture = self._open(keys, sealed, capture_id, PICTURE)
        await self._record_opening(actor, row, "picture")
        return picture

    async def notes(self, actor: Actor, keys: Keys, capture_id: str) -> list[Note]:
        """What was written about a capture and which statuses it got, the oldest first."""
        if await self.capture(actor, capture_id) is None:
            return []
        rows = await self._records.fetch(
            "SELECT * FROM capture_notes WHERE capture_id = ? ORDER BY at, id", (capture_id,)
        )
        return [self._note(keys, row) for row in rows]

    def _note(self, keys: Keys, row: Row) -> Note:
        words = self._open(keys, row["sealed"], row["id"], NOTE).decode() if row["sealed"] is not None else ""
        before, after = (Status(row[key]) if row[key] else None for key in ("from_status", "to_status"))
        return Note(row["at"], row["author"], before, after, words)

    def _open(self, keys: Keys, envelope: bytes, item: str, kind: str) -> bytes:
        content = self._vaults.open(keys, envelope, item)
        if read_header(envelope).kind != kind:
            raise SealError("This is something else and was put here.", "Tell IT: the store was changed.")
        return content

    async def _record_opening(self, actor: Actor, row: Row, what: Literal["content", "picture"]) -> None:
        moment = self._now()
        action = {"content": "opened a capture", "picture": "looked at the picture of a capture"}[what]
        async with self._records.transaction() as tx:
            first = await tx.execute(
                "INSERT INTO capture_openings (capture_id, account_id, day, what, at) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (row["id"], actor.account, moment.astimezone(self._zone).date().isoformat(), what, stamp(moment)),
            )
            if first:
                about = f"person {row['person_id']}" if row["person_id"] else "nobody known"
                await self._audit.record(tx, actor.name, action, f"capture {row['id']}", {"about": about})


def pieces(text: str, findings: Sequence[Finding]) -> list[tuple[str, bool]]:
    """A text cut where findings begin and end, each piece with whether it is part of one. Spans may overlap."""
    marked = [False] * len(text)
    for one in findings:
        for place in range(max(one.start, 0), min(one.end, len(text))):
            marked[place] = True
    cut: list[tuple[str, bool]] = []
    begin = 0
    for place in range(1, len(text) + 1):
        if place == len(text) or marked[place] != marked[begin]:
            cut.append((text[begin:place], marked[begin]))
            begin = place
    return cut
