"""Who may open the staff pages. First form, until accounts come: one browser, let in by a one-time link.

A link holds a random code of 128 bits, works once and for an hour, and voids the one before it. Whoever opens it gets a
session of 256 random bits, and the browser that was signed in before is signed out. The store keeps SHA-256 hashes
only: what is hashed is random and long, so a slow hash would add nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hmac import compare_digest

from appliance.audit import Audit
from appliance.clock import now, parse, stamp
from appliance.db import Database, Transaction
from appliance.errors import Refused
from appliance.hookspecs import Permission

LINK_LIFE = timedelta(hours=1)
SESSION_LIFE = timedelta(days=30)
"""Absolute, because it is the trial's; there is no limit for being idle."""
TRIES_AT_ONCE = 20
TRIES_PER_SECOND = 1.0
"""Guessing 128 bits is hopeless anyway; this only keeps a flood of codes away from the store."""
BROWSER = "the set-up browser"
LONGEST_CODE = 200


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: the name that goes into the record, and what is allowed."""

    name: str
    permissions: frozenset[Permission]

    def may(self, permission: Permission) -> bool:
        """Whether this is allowed."""
        return permission in self.permissions


class TokenBucket:
    """Lets ``at_once`` through, then ``per_second`` more. ``clock`` counts seconds and never goes back."""

    def __init__(self, at_once: float, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._size = at_once
        self._rate = per_second
        self._clock = clock
        self._left = at_once
        self._last = clock()

    def take(self) -> bool:
        """Whether one more may go through now."""
        moment = self._clock()
        self._left = min(self._size, self._left + (moment - self._last) * self._rate)
        self._last = moment
        if self._left < 1:
            return False
        self._left -= 1
        return True


@dataclass(eq=False)
class _Session:
    sha256: str
    expires_at: datetime
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Staff:
    """Links and the session. ``records`` must be open before any method is called."""

    def __init__(self, records: Database, audit: Audit) -> None:
        self._records = records
        self._audit = audit
        self._tries = TokenBucket(TRIES_AT_ONCE, TRIES_PER_SECOND)
        self._read = False
        self._session: _Session | None = None

    async def new_link(self, tx: Transaction | None = None) -> str:
        """The code of a new link; links that nobody has used are void from now on. ``tx``: as part of this unit."""
        token = secrets.token_urlsafe(16)
        if tx is not None:
            await self._keep_link(tx, token)
        else:
            async with self._records.transaction() as own:
                await self._keep_link(own, token)
        return token

    async def _keep_link(self, tx: Transaction, token: str) -> None:
        moment = now()
        await tx.execute("DELETE FROM staff_links")
        await tx.execute(
            "INSERT INTO staff_links (token_sha256, made_at, expires_at) VALUES (?, ?, ?)",
            (_sha256(token), stamp(moment), stamp(moment + LINK_LIFE)),
        )
        await self._audit.record(tx, "the appliance", "made a set-up link", "staff pages")

    async def redeem(self, token: str) -> str | None:
        """Use a link up: the id of a new session, or ``None`` if the code is wrong, used, void or too old.

        The browser that was signed in before is signed out. Raises ``Refused`` when wrong codes come too fast; the
        right code always works, so that nobody on the network can lock IT out by guessing.
        """
        if not await self._waits_for(token):
            if not self._tries.take():
                raise Refused("Too many codes were tried in a short time.", "Wait a minute, then try yours again.")
            return None
        session_id = secrets.token_urlsafe(32)
        async with self._records.transaction() as tx:
            link = await tx.fetch_one("SELECT token_sha256, expires_at FROM staff_links")
            if link is None or not compare_digest(link["token_sha256"], _sha256(token)):
                return None
            if link["expires_at"] <= stamp():
                return None
            await tx.execute("DELETE FROM staff_links")
            await self._begin_session(tx, session_id)
        await self._read_session()
        return session_id

    async def _waits_for(self, token: str) -> bool:
        if len(token) > LONGEST_CODE:
            return False
        link = await self._records.fetch_one("SELECT token_sha256 FROM staff_links")
        return link is not None and compare_digest(link["token_sha256"], _sha256(token))

    async def _begin_session(self, tx: Transaction, session_id: str) -> None:
        moment = now()
        if await tx.execute("DELETE FROM staff_sessions"):
            await self._audit.record(tx, "the appliance", "signed out the earlier browser", "staff pages")
        await tx.execute(
            "INSERT INTO staff_sessions (session_sha256, started_at, expires_at) VALUES (?, ?, ?)",
            (_sha256(session_id), stamp(moment), stamp(moment + SESSION_LIFE)),
        )
        await self._audit.record(tx, BROWSER, "opened the set-up link", "staff pages")

    async def session(self, session_id: str) -> Actor | None:
        """Who this session belongs to, or ``None`` if it is unknown, ended or too old."""
        return Actor(BROWSER, frozenset(Permission)) if await self._find(session_id) else None

    async def over(self, session_id: str) -> None:
        """Return as soon as this session is no longer good: signed out, replaced by another browser, or too old."""
        session = await self._find(session_id)
        if session is None:
            return
        seconds = (session.expires_at - now()).total_seconds()
        with suppress(TimeoutError):
            await asyncio.wait_for(session.over.wait(), max(seconds, 0.0))

    async def sign_out(self, session_id: str) -> None:
        """End this session; nothing happens if it is none."""
        if await self._find(session_id) is None:
            return
        async with self._records.transaction() as tx:
            if await tx.execute("DELETE FROM staff_sessions WHERE session_sha256 = ?", (_sha256(session_id),)):
                await self._audit.record(tx, BROWSER, "signed out", "staff pages")
        await self._read_session()

    async def has_session(self) -> bool:
        """Whether some browser is signed in."""
        return _in_force(await self._known()) is not None

    async def _find(self, session_id: str) -> _Session | None:
        session = _in_force(await self._known())
        if session is None or not compare_digest(session.sha256, _sha256(session_id)):
            return None
        return session

    async def _known(self) -> _Session | None:
        """The session as the store has it; read once, then kept, because every request asks."""
        if not self._read:
            await self._read_session()
        return self._session

    async def _read_session(self) -> None:
        row = await self._records.fetch_one("SELECT session_sha256, expires_at FROM staff_sessions")
        before = self._session
        if row is None:
            self._session = None
        elif before is None or before.sha256 != row["session_sha256"]:
            self._session = _Session(row["session_sha256"], parse(row["expires_at"]))
        self._read = True
        if before is not None and before is not self._session:
            before.over.set()


def _in_force(session: _Session | None) -> _Session | None:
    return session if session is not None and now() < session.expires_at else None


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
