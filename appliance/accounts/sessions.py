"""Browsers that are signed in: sessions, their opened keys, and how both end.

A session id is 256 random bits; the store keeps its SHA-256. What opens content (``Keys``) is in memory alone: it is
wiped when nobody used the session for a while (the browser is *locked* and a password opens it again), when the session
ends, and when the process does. A session that was replaced, signed out or too old is over at once, open streams too.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import secrets
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from appliance.clock import now, parse, stamp
from appliance.db import Database, Row, Transaction
from appliance.errors import Refused
from appliance.memory import forget
from appliance.sealing import Keys

Purpose = Literal["work", "set-up", "join", "password", "factor"]
"""What a session is for: work, or one of the ways to make an account ready (with the link of that purpose)."""

JOINING_LIFE = timedelta(hours=1)
SWEEP_SECONDS = 60.0
"""No answer is under way for so long: a client has half a minute (``web.body_seconds``) to read what it asked for."""


@dataclass(eq=False)
class _Opened:
    keys: Keys
    used: float


class KeyRing:
    """The opened keys of all sessions. Outlives a change of settings, never the process; nothing of it is written."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._dropped_at = -math.inf
        self._opened: dict[str, _Opened] = {}

    def put(self, session: str, keys: Keys) -> None:
        """Keep the keys of a session, in place of those it had."""
        self.drop(session)
        self._opened[session] = _Opened(keys, self.clock())

    def get(self, session: str) -> Keys | None:
        """The keys of a session; ``None`` while it is locked."""
        found = self._opened.get(session)
        return found.keys if found is not None else None

    def move(self, before: str, after: str) -> None:
        """Hand the keys of one session to the one that replaces it."""
        found = self._opened.pop(before, None)
        if found is not None:
            self.drop(after)
            self._opened[after] = found

    def use(self, session: str) -> None:
        """Note that somebody is there."""
        found = self._opened.get(session)
        if found is not None:
            found.used = self.clock()

    def all(self) -> list[Keys]:
        """The keys of every session that is not locked."""
        return [found.keys for found in self._opened.values()]

    def idle(self, seconds: float) -> list[str]:
        """Sessions that nobody has used for this long."""
        moment = self.clock()
        return [session for session, found in self._opened.items() if moment - found.used >= seconds]

    def drop(self, *sessions: str) -> None:
        """Wipe the keys of sessions, and free what they have opened; nothing happens to those that have none."""
        dropped = [self._opened.pop(session) for session in sessions if session in self._opened]
        for found in dropped:
            found.keys.wipe()
        if dropped:
            self._dropped_at = self.clock()
            forget()

    def sweep(self) -> None:
        """Free what answers that were under way when keys were dropped have left behind since (a job)."""
        if self.clock() - self._dropped_at <= SWEEP_SECONDS:
            forget()

    def keep_only(self, sessions: Iterable[str]) -> None:
        """Wipe the keys of every other session."""
        self.drop(*(set(self._opened) - set(sessions)))


@dataclass(eq=False)
class Session:
    """One browser. ``sha256``: the hash of its id; ``account`` is ``None`` before a set-up has made one.

    ``has_new_factor``: a second factor was set in this very session, not in another one that was left behind.
    """

    sha256: str
    purpose: Purpose
    account: str | None
    started_at: datetime
    expires_at: datetime
    over: asyncio.Event = field(default_factory=asyncio.Event)
    has_new_factor: bool = False


class Sessions:
    """Every session that is in force, kept in memory because every request asks; ``start`` reads them."""

    def __init__(self, records: Database, ring: KeyRing, idle: timedelta, life: timedelta) -> None:
        self._records = records
        self._ring = ring
        self._idle = idle
        self._life = life
        self._known: dict[str, Session] = {}

    @property
    def idle(self) -> timedelta:
        """After how long a browser that nobody uses is locked."""
        return self._idle

    async def start(self) -> None:
        """Read the sessions of an earlier run. They are locked: their keys went with that process."""
        async with self._records.transaction() as tx:
            await tx.execute("DELETE FROM staff_sessions WHERE expires_at <= ?", (stamp(),))
            rows = await tx.fetch("SELECT * FROM staff_sessions")
        self._known = {row["session_sha256"]: _session(row) for row in rows}
        self._ring.keep_only(self._known)

    # Asking

    def find(self, session_id: str) -> Session | None:
        """The session of an id, ``None`` if it is unknown, ended or too old."""
        session = self._known.get(sha256(session_id))
        if session is None or session.expires_at <= now():
            return None
        if self._ring.get(session.sha256) is not None and session.sha256 in self._ring.idle(self._idle.total_seconds()):
            self._ring.drop(session.sha256)  # the job that looks for idle sessions has not come by yet
        return session

    def of_account(self, account: str) -> list[Session]:
        """The work sessions of an account that are in force."""
        moment = now()
        return [
            session
            for session in self._known.values()
            if session.account == account and session.purpose == "work" and session.expires_at > moment
        ]

    def keys(self, session: Session) -> Keys | None:
        """What opens content in this session; ``None`` while it is locked."""
        return self._ring.get(session.sha256)

    def opened(self) -> list[Keys]:
        """The keys of every session that is not locked."""
        return self._ring.all()

    def is_locked(self, session: Session) -> bool:
        """Whether nobody has used this session for a while, or the appliance was started again since."""
        return self._ring.get(session.sha256) is None

    def use(self, session: Session) -> None:
        """Note that somebody is there."""
        self._ring.use(session.sha256)

    async def over(self, session: Session) -> None:
        """Return as soon as this session is no longer good."""
        seconds = (session.expires_at - now()).total_seconds()
        with suppress(TimeoutError):
            await asyncio.wait_for(session.over.wait(), max(seconds, 0.0))

    # Changing

    async def begin(
        self,
        tx: Transaction,
        purpose: Purpose,
        account: str | None,
        keys: Keys | None = None,
        replaces: Session | None = None,
    ) -> str:
        """The id of a new session. ``replaces``: the one that ends with it, whose keys go over if none are given.

        Raises ``Refused`` if that one is over already.
        """
        if replaces is not None:
            await self.check(tx, replaces)
        session_id = secrets.token_urlsafe(32)
        moment = now()
        life = self._life if purpose == "work" else JOINING_LIFE
        expires = moment + life
        if replaces is not None and replaces.purpose == purpose == "work":
            expires = replaces.expires_at  # opening a locked browser does not make the day longer
        session = Session(sha256(session_id), purpose, account, moment, expires)
        await tx.execute(
            "INSERT INTO staff_sessions (session_sha256, purpose, account_id, started_at, expires_at, last_used)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (session.sha256, purpose, account, stamp(moment), stamp(session.expires_at), stamp(moment)),
        )
        if replaces is not None:
            await tx.execute("DELETE FROM staff_sessions WHERE session_sha256 = ?", (replaces.sha256,))
        tx.after_commit.append(lambda: self._began(session, keys, replaces))
        return session_id

    def _began(self, session: Session, keys: Keys | None, replaces: Session | None) -> None:
        self._known[session.sha256] = session
        if keys is not None:
            self._ring.put(session.sha256, keys)
        elif replaces is not None:
            self._ring.move(replaces.sha256, session.sha256)
        if replaces is not None:
            self._forget(replaces.sha256)

    async def check(self, tx: Transaction, session: Session) -> None:
        """Raise ``Refused`` if this session is over.

        What takes long asks again before it writes: meanwhile the account may have been disabled, its password changed
        or its link opened in another browser, and each of these ends the sessions that were there before.
        """
        if not await tx.fetch_one("SELECT 1 FROM staff_sessions WHERE session_sha256 = ?", (session.sha256,)):
            raise Refused(
                "This browser was signed out, or opened in another tab, a moment ago.",
                "Load the page again. If you came with a link, open the link again.",
            )

    async def note_factor(self, tx: Transaction, session: Session) -> None:
        """Note that a second factor was set in this session."""

        def noted() -> None:
            session.has_new_factor = True

        await tx.execute("UPDATE staff_sessions SET has_new_factor = 1 WHERE session_sha256 = ?", (session.sha256,))
        tx.after_commit.append(noted)

    def open(self, session: Session, keys: Keys) -> None:
        """Give a session its keys; they are wiped if it is over."""
        if session.over.is_set():
            keys.wipe()
        else:
            self._ring.put(session.sha256, keys)

    def lock(self, session: Session) -> None:
        """Wipe the keys of a session; it goes on, and a password opens it again."""
        self._ring.drop(session.sha256)

    async def lock_idle(self) -> None:
        """Lock what nobody uses, free what was opened, and forget what is too old (a job, every 15 seconds)."""
        self._ring.drop(*self._ring.idle(self._idle.total_seconds()))
        self._ring.sweep()
        moment = now()
        old = [session.sha256 for session in self._known.values() if session.expires_at <= moment]
        if old:
            async with self._records.transaction() as tx:
                await self._delete(tx, old)

    async def end(self, tx: Transaction, session: Session) -> None:
        """End one session."""
        await self._delete(tx, [session.sha256])

    async def end_all(
        self, tx: Transaction, account: str, *, but: Session | None = None, purpose: Purpose | None = None
    ) -> None:
        """End every session of an account, of one ``purpose`` if given, but one."""
        rows = await tx.fetch("SELECT session_sha256, purpose FROM staff_sessions WHERE account_id = ?", (account,))
        kept = but.sha256 if but is not None else ""
        ended = [
            row["session_sha256"] for row in rows if row["session_sha256"] != kept and purpose in (None, row["purpose"])
        ]
        await self._delete(tx, ended)

    async def end_set_ups(self, tx: Transaction) -> None:
        """End every session that a set-up link has begun and that has made no account yet."""
        rows = await tx.fetch("SELECT session_sha256 FROM staff_sessions WHERE purpose = 'set-up'")
        await self._delete(tx, [row["session_sha256"] for row in rows])

    async def _delete(self, tx: Transaction, sessions: list[str]) -> None:
        await tx.executemany("DELETE FROM staff_sessions WHERE session_sha256 = ?", [(one,) for one in sessions])
        tx.after_commit.append(lambda: self._forget(*sessions))

    def _forget(self, *sessions: str) -> None:
        self._ring.drop(*sessions)
        for session in sessions:
            found = self._known.pop(session, None)
            if found is not None:
                found.over.set()


def _session(row: Row) -> Session:
    return Session(
        row["session_sha256"],
        row["purpose"],
        row["account_id"],
        parse(row["started_at"]),
        parse(row["expires_at"]),
        has_new_factor=bool(row["has_new_factor"]),
    )


def sha256(secret: str) -> str:
    """What the store keeps of a random id. It is long and random, so a slow hash would add nothing."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
