"""All SQL of this room: who asked for what, what was decided, and who provides the school's filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from appliance.api import Database, Row, Transaction, new_id, stamp

REQUESTS = "dns_filter_requests"
ASKINGS = "dns_filter_askings"
PROVIDERS = "dns_filter_providers"

_REQUEST = """
SELECT request.*,
    (SELECT count(*) FROM dns_filter_askings asking WHERE asking.request = request.id) AS devices
FROM dns_filter_requests request
"""
_ANSWER = """
SELECT request.host, request.profile, request.state, request.first_at, request.decided_at, request.answer,
    request.until, request.entry, asking.at
FROM dns_filter_askings asking JOIN dns_filter_requests request ON request.id = asking.request
"""


@dataclass(frozen=True, slots=True)
class Asking:
    """One device that asks. ``code``: the hash of the code on its receipt; ``words``: sealed, ``None`` without any."""

    id: str
    asker: str
    purpose: str
    code: str
    words: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The site that is asked for, and what blocked it."""

    host: str
    profile: str
    why: str
    list: str
    category: str


@dataclass(frozen=True, slots=True)
class Busy:
    """``own``: sites that this device asked for lately; ``open`` requests and ``askings`` of everybody."""

    own: int
    open: int
    askings: int


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided. ``state``: ``allowed`` or ``kept``."""

    state: str
    by: str
    reason: str
    answer: str
    until: datetime | None = None
    entry: str = ""


class Store:
    """Reads see what was committed; what is written belongs to the caller's unit of work."""

    def __init__(self, records: Database) -> None:
        self._records = records

    # Asking

    async def how_busy(self, tx: Transaction, asker: str, since: datetime) -> Busy:
        """What is there already, to keep the queue from being flooded."""
        row = await tx.fetch_one(
            "SELECT (SELECT count(*) FROM dns_filter_askings WHERE asker = ? AND at > ?) AS own,"
            " (SELECT count(*) FROM dns_filter_requests WHERE state = 'open') AS open,"
            " (SELECT count(*) FROM dns_filter_askings) AS askings",
            (asker, stamp(since)),
        )
        return Busy(row["own"], row["open"], row["askings"]) if row is not None else Busy(0, 0, 0)

    async def asked_at(self, tx: Transaction, request: str, asker: str) -> str:
        """When this device asked for it; empty: never."""
        row = await tx.fetch_one("SELECT at FROM dns_filter_askings WHERE request = ? AND asker = ?", (request, asker))
        return str(row["at"]) if row is not None else ""

    async def open_request(self, tx: Transaction, host: str, profile: str) -> Row | None:
        """The request for this site that waits for a decision."""
        return await tx.fetch_one(
            f"{_REQUEST} WHERE request.state = 'open' AND request.host = ? AND request.profile = ?",
            (host, profile),
        )

    async def begin(self, tx: Transaction, wanted: Wanted, at: datetime) -> str:
        """A new request; returns its id."""
        request = new_id()
        await tx.execute(
            "INSERT INTO dns_filter_requests (id, host, profile, why, list, category, first_at, last_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (request, wanted.host, wanted.profile, wanted.why, wanted.list, wanted.category, stamp(at), stamp(at)),
        )
        return request

    async def count(self, tx: Transaction, request: str, at: datetime) -> None:
        """Somebody asked once more."""
        await tx.execute(
            "UPDATE dns_filter_requests SET times = times + 1, last_at = ? WHERE id = ?", (stamp(at), request)
        )

    async def ask(self, tx: Transaction, request: str, asking: Asking, at: datetime) -> None:
        """Note who asked. A device that asks again has a new receipt, and what it wrote now counts."""
        await tx.execute(
            "INSERT INTO dns_filter_askings (id, request, asker, at, purpose, code, words) VALUES (?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (request, asker) DO UPDATE SET"
            " code = excluded.code, at = excluded.at, purpose = excluded.purpose,"
            " id = iif(excluded.words IS NULL, id, excluded.id), words = coalesce(excluded.words, words)",
            (asking.id, request, asking.asker, stamp(at), asking.purpose, asking.code, asking.words),
        )

    # Answers

    async def by_code(self, code: str) -> Row | None:
        """What became of what was asked for with this receipt."""
        return await self._records.fetch_one(f"{_ANSWER} WHERE asking.code = ?", (code,))

    async def of_device(self, asker: str, host: str, since: datetime) -> Row | None:
        """What became of this site, for a device that asked for it and came back."""
        return await self._records.fetch_one(
            f"{_ANSWER} WHERE asking.asker = ? AND request.host = ?"
            " AND (request.decided_at IS NULL OR request.decided_at > ?) ORDER BY request.first_at DESC LIMIT 1",
            (asker, host, stamp(since)),
        )

    # Deciding

    async def waiting(self, limit: int) -> list[Row]:
        """What waits for a decision, the oldest first."""
        return await self._records.fetch(
            f"{_REQUEST} WHERE request.state = 'open' ORDER BY request.first_at, request.id LIMIT ?",
            (limit,),
        )

    async def decided(self, limit: int) -> list[Row]:
        """What was decided, the newest first."""
        return await self._records.fetch(
            f"{_REQUEST} WHERE request.decided_at IS NOT NULL ORDER BY request.decided_at DESC, request.id LIMIT ?",
            (limit,),
        )

    async def request(self, request: str) -> Row | None:
        """One request."""
        return await self._records.fetch_one(f"{_REQUEST} WHERE request.id = ?", (request,))

    async def askings(self, request: str) -> list[Row]:
        """Who asked for it: id, at, purpose, words (sealed)."""
        return await self._records.fetch(
            "SELECT id, request, at, purpose, words FROM dns_filter_askings WHERE request = ? ORDER BY at, id",
            (request,),
        )

    async def waiting_one(self, tx: Transaction, request: str) -> Row | None:
        """A request, if it still waits."""
        return await tx.fetch_one("SELECT * FROM dns_filter_requests WHERE id = ? AND state = 'open'", (request,))

    async def decide(self, tx: Transaction, request: str, host: str, decision: Decision, at: datetime) -> None:
        """Write a decision down, for everything that waits for ``host`` too, unless that is empty."""
        await tx.execute(
            "UPDATE dns_filter_requests SET"
            " state = ?, decided_at = ?, decided_by = ?, reason = ?, answer = ?, until = ?, entry = ?"
            " WHERE state = 'open' AND (id = ? OR host = ?)",
            (
                decision.state,
                stamp(at),
                decision.by,
                decision.reason,
                decision.answer,
                stamp(decision.until) if decision.until is not None else None,
                decision.entry,
                request,
                host,
            ),
        )

    async def spans(self, since: datetime) -> Sequence[tuple[str, str]]:
        """When it was asked and when it was decided, of everything decided since then."""
        rows = await self._records.fetch(
            "SELECT first_at, decided_at FROM dns_filter_requests WHERE decided_at > ?", (stamp(since),)
        )
        return [(row["first_at"], row["decided_at"]) for row in rows]

    async def open_ones(self) -> tuple[int, str]:
        """How many wait, and since when the oldest one does; empty if none waits."""
        row = await self._records.fetch_one(
            "SELECT count(*) AS number, min(first_at) AS oldest FROM dns_filter_requests WHERE state = 'open'"
        )
        return (row["number"], row["oldest"] or "") if row is not None else (0, "")

    async def forget(self, tx: Transaction, before: datetime) -> None:
        """Delete what was decided before then, with everything that was written with it."""
        await tx.execute("DELETE FROM dns_filter_requests WHERE decided_at < ?", (stamp(before),))

    # The school's own filter

    async def providers(self) -> list[Row]:
        """Every answer to who provides the school's filter, the newest first."""
        return await self._records.fetch("SELECT * FROM dns_filter_providers ORDER BY written_at DESC, id DESC")

    async def add_provider(self, tx: Transaction, author: str, values: Sequence[str | None], at: datetime) -> None:
        """Another answer. ``values``: name, product, iwf, ctiru, evidence, seen_on, note."""
        await tx.execute(
            "INSERT INTO dns_filter_providers"
            " (name, product, iwf, ctiru, evidence, seen_on, note, id, author, written_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*values, new_id(), author, stamp(at)),
        )
