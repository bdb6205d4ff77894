"""Once a day the appliance signs where the audit stands, so that a copy kept elsewhere proves what it held.

Whoever can write to the disk of the box can write the whole audit anew. They cannot write anew the statement that a
governor has kept: ``appliance audit verify --signed`` compares the two, and needs no more than the store, the statement
and the public key. A statement holds numbers, a hash and kinds of actions; it names nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from appliance.audit import Audit, Noted, Verdict
from appliance.bus import Bus
from appliance.clock import now, parse, stamp
from appliance.db import Database, Row
from appliance.events import AuditHeadSigned
from appliance.hookspecs import Check, State
from appliance.keys_on_disk import TrustError
from appliance.signing import PublicKey, SigningKey

WARN_AFTER = timedelta(days=2)
CHECK_NAME = "Daily signature of the audit"
_DAY, _ROW, _HASH = "Day: ", "Newest row: ", "Its hash: "


@dataclass(frozen=True, slots=True)
class Head:
    """Where the audit stood: the number and the hash of its newest row on this day."""

    day: date
    seq: int
    hash: str

    @property
    def noted(self) -> Noted:
        """For the check of the whole record."""
        return Noted(f"{self.seq}:{self.hash}", f"was signed on {_in_words(self.day)}")


class SignedHeads:
    """Signs, keeps and shows. ``trust_dir``: the folder of keys; ``school``: its name, as it stands in statements."""

    def __init__(
        self,
        records: Database,
        audit: Audit,
        bus: Bus,
        trust_dir: Path,
        timezone: str,
        school: str,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._records = records
        self._audit = audit
        self._bus = bus
        self._trust_dir = trust_dir
        self._zone = ZoneInfo(timezone)
        self._school = school
        self._now = clock
        self._signing_key: SigningKey | None = None
        self._fault = ""

    async def start(self) -> None:
        """Open the key, or make it at the first start. TrustError if it was lost."""
        self._signing_key = SigningKey.open(self._trust_dir)

    @property
    def _key(self) -> SigningKey:
        assert self._signing_key is not None, "start() opens the key"
        return self._signing_key

    @property
    def public_key(self) -> PublicKey:
        """What everybody may have who keeps statements."""
        return self._key.public

    # Signing

    async def sign(self) -> None:
        """Sign where the audit stands, unless that was done today or the audit is not whole (a daily job)."""
        before = await self._newest()
        verdict = await self._audit.verify(f"{before['seq']}:{before['hash']}" if before else "")
        self._fault = "" if verdict.good else verdict.words
        if verdict.good and verdict.rows:
            await self._keep(verdict, before["seq"] if before else 0)

    async def _keep(self, verdict: Verdict, since: int) -> None:
        moment = self._now()
        seq, _, newest_hash = verdict.head.partition(":")
        head = Head(moment.astimezone(self._zone).date(), int(seq), newest_hash)
        day, fingerprint = head.day.isoformat(), self.public_key.fingerprint
        async with self._records.transaction() as tx:
            counts = await tx.fetch(
                "SELECT action, count(*) AS number FROM audit WHERE seq > ? AND seq <= ?"
                " GROUP BY action ORDER BY action",
                (since, head.seq),
            )
            statement = self._key.sign(_content(self._school, head, moment, since, counts))
            added = await tx.execute(
                "INSERT OR IGNORE INTO audit_heads (day, seq, hash, signed_at, fingerprint, statement)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (day, head.seq, head.hash, stamp(moment), fingerprint, statement),
            )
            if added:
                await self._audit.record(tx, "the appliance", "signed the audit", f"up to row {head.seq}")
                await self._bus.publish(tx, AuditHeadSigned(day=day, statement=statement, fingerprint=fingerprint))

    # Showing

    async def _newest(self) -> Row | None:
        return await self._records.fetch_one("SELECT * FROM audit_heads ORDER BY seq DESC LIMIT 1")

    async def rows(self, limit: int, before: str = "") -> list[Row]:
        """What was signed, newest day first, those of days before ``before`` (ISO 8601) if given."""
        return await self._records.fetch(
            "SELECT day, seq, hash, signed_at, fingerprint FROM audit_heads WHERE ? = '' OR day < ?"
            " ORDER BY day DESC LIMIT ?",
            (before, before, limit),
        )

    async def statement(self, day: str) -> str | None:
        """The file of one day (ISO 8601); ``None`` if nothing was signed then."""
        row = await self._records.fetch_one("SELECT statement FROM audit_heads WHERE day = ?", (day,))
        return str(row["statement"]) if row else None

    async def checks(self) -> list[Check]:
        """One line for the status page: broken if the audit is not whole, a warning after two days unsigned."""
        if self._fault:
            words = f"It was not signed, because it is not whole. {self._fault}"
            todo = "Keep a copy of the store as it is, and tell the head and a governor."
            return [Check(CHECK_NAME, State.BROKEN, words, todo)]
        signed, first = await self._last_signed()
        last = signed or first
        if last is not None and self._now() - parse(last) > WARN_AFTER:
            words, todo = f"Nothing was signed since {self._day(last)}.", "“Timed work” on the status page says why."
            return [Check(CHECK_NAME, State.WARNING, words, todo)]
        words = f"Signed on {self._day(signed)}." if signed else "The first one is made tonight."
        return [Check(CHECK_NAME, State.GOOD, words)]

    async def _last_signed(self) -> tuple[str | None, str | None]:
        """When something was signed last (not in a future that a wrong clock saw), and when the record began."""
        row = await self._records.fetch_one(
            "SELECT max(signed_at) AS signed, (SELECT min(at) FROM audit) AS first FROM audit_heads"
            " WHERE signed_at <= ?",
            (stamp(self._now()),),
        )
        return (row["signed"], row["first"]) if row else (None, None)

    def _day(self, moment: str) -> str:
        return _in_words(parse(moment).astimezone(self._zone).date())


def _content(school: str, head: Head, moment: datetime, since: int, counts: Sequence[Row]) -> str:
    lines = [
        f"Where the audit of {_one_line(school) or 'this safeguarding appliance'} stood",
        f"{_DAY}{head.day.isoformat()}",
        f"Signed at: {stamp(moment)}",
        f"Rows: {head.seq}",
        f"{_ROW}{head.seq}",
        f"{_HASH}{head.hash}",
        f"Rows since row {since}, by what was done:",
        *(f"  {row['number']} {_one_line(row['action'])}" for row in counts),
    ]
    return "".join(f"{line}\n" for line in lines)


def read_statement(statement: str, key: PublicKey) -> Head:
    """The head that a statement vouches for. TrustError if ``key`` has not signed it as it stands."""
    found: dict[str, str] = {}
    for line in key.check(statement).splitlines():
        for name in (_DAY, _ROW, _HASH):
            if line.startswith(name):
                found.setdefault(name, line.removeprefix(name))
    try:
        return Head(date.fromisoformat(found[_DAY]), int(found[_ROW]), found[_HASH])
    except (KeyError, ValueError):
        raise TrustError("What was signed here is no head of an audit.", "Give the file of a day.") from None


def _in_words(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _one_line(text: str) -> str:
    return " ".join(text.split())
