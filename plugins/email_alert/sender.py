"""The task that empties the outbox: one connection, the most urgent mail first, each with pauses of its own.

A mail is marked as sent only after the server's 250. If the appliance dies between that and the mark, the mail goes
again with the same Message-ID, so that mail programs show it once. Trouble of the server (away, no sign-in) pauses the
whole task, for a minute at most, and leaves the mails as they are; trouble of one mail pauses that mail.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic
from typing import Any, TypeVar

from appliance.api import ApplianceError, StoreError, now, parse, stamp

from .connection import AddressRefused, Connection, NotNow, ServerTrouble
from .settings import Settings
from .store import Store, Waiting
from .words import Letter, Stationery, compose

SERVER_PAUSES = (2.0, 5.0, 10.0, 20.0, 40.0, 60.0)
"""Between tries to reach a server that gave trouble. Never longer than a minute: an alert may wait."""
REST_SECONDS = 2.0
"""A connection that has rested for longer is asked before it is used."""
KEEP_SECONDS = 45.0
"""How long a connection is kept open without a mail."""
LOOK_SECONDS = 15.0
STOP_SECONDS = 1.0
"""How long a mail that is on its way may take when the appliance stops."""
TRIALS_MOST = 4
"""Codes and tests of the connection under way at once."""
GIVE_UP_LEAST_SECONDS = 3600.0
"""How long the mail server must have been in trouble, by a clock that nobody sets, before old mails are given up."""
GIVEN_UP = "The mail server did not take it in time."

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Status:
    """How it goes with the mail server. ``trouble``: what the last try met with; ``None`` after one that went well."""

    trouble: ServerTrouble | None = None
    since: str | None = None
    last_ok_at: str | None = None
    tried: bool = False


class Sender:
    """``start``, ``stop``; ``wake`` when there is something new."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        stationery: Stationery,
        connect: Callable[[], Connection],
        unread: Callable[[str], int],
        on_change: Callable[[], None],
    ) -> None:
        self._store = store
        self._settings = settings
        self._stationery = stationery
        self._connect = connect
        self._unread = unread
        self._on_change = on_change
        self._connection = connect()
        self._used = 0.0
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._trials: set[asyncio.Task[Any]] = set()
        self._accepted: dict[str, tuple[Waiting, str]] = {}
        self._failures = 0
        self._paused_until = 0.0
        self._trouble_began = 0.0
        self.status = Status()

    # Starting and stopping

    def start(self) -> None:
        """Begin; nothing happens without a mail server."""
        if self._settings.server.host and self._task is None:
            self._task = asyncio.create_task(self._run(), name="mail")
            self.begin(self.look_at_server(), "first look at the mail server")

    async def stop(self) -> None:
        """Let the mail that is on its way arrive if it is quick, then end."""
        self._stopping = True
        self._news.set()
        tasks = {task for task in (self._task, *self._trials) if task is not None}
        if tasks:
            await asyncio.wait(tasks, timeout=STOP_SECONDS)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self._task = None

    def wake(self) -> None:
        """There is something new in the outbox."""
        self._news.set()

    def look(self) -> None:
        """The job behind the task: wake it, and say so and begin anew if it has died of a mistake of ours."""
        self._news.set()
        task = self._task
        if task is None or not task.done() or self._stopping:
            return
        self._task = None
        self.start()
        task.result()

    # The task

    async def _run(self) -> None:
        try:
            while not self._stopping:
                self._news.clear()
                try:
                    seconds = await self._step()
                except (StoreError, sqlite3.Error) as error:
                    log.warning("Mail waits for the store: %s", error)
                    seconds = 1.0
                if seconds > 0:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(seconds):
                            await self._news.wait()
        finally:
            await self._connection.close()

    async def _step(self) -> float:
        """Do one thing; returns how long there is nothing to do unless somebody wakes us."""
        await self._write_down_what_was_taken()
        mail = await self._store.next_due(max(self._settings.retry_pauses))
        if mail is None:
            return await self._rest()
        if mail.letter.kind == "notice" and mail.account is not None and not self._unread(mail.account):
            await self._store.not_needed(mail)
            return 0.0
        paused = self._paused_until - monotonic()
        if paused > 0:
            return paused
        try:
            await self._be_connected()
        except ServerTrouble as trouble:
            self._note(trouble)
            if monotonic() - self._trouble_began > GIVE_UP_LEAST_SECONDS:
                await self._give_up()
            return max(self._paused_until - monotonic(), 0.0)
        await self._send(mail)
        return 0.0

    async def _rest(self) -> float:
        if self._connection.is_open and monotonic() - self._used > KEEP_SECONDS:
            await self._connection.close()
        at = await self._store.next_time()
        wait = (parse(at) - now()).total_seconds() if at is not None else LOOK_SECONDS
        return min(max(wait, 0.05), LOOK_SECONDS)

    async def _be_connected(self) -> None:
        rested = monotonic() - self._used > REST_SECONDS
        if self._connection.is_open and (not rested or await self._connection.ask()):
            return
        await self._connection.open()
        self._let_in()

    async def _send(self, mail: Waiting) -> None:
        letter = compose(mail.letter, mail.id, mail.address, self._stationery, parse(mail.queued_at))
        try:
            await self._connection.send(self._stationery.sender, mail.address, letter)
        except ServerTrouble as trouble:
            self._note(trouble)
            await self._store.later(mail, str(trouble), self._pause(mail))
        except AddressRefused as refused:
            log.warning("An address was refused for good by the mail server.")
            await self._store.refused(mail, refused.what)
            self._on_change()
        except NotNow as problem:
            await self._store.later(mail, problem.what, self._pause(mail))
            await self._give_up(tries_least=len(self._settings.retry_pauses))
            if not self._connection.is_open:
                self._note_pause()  # the next mail must not run into the same wall at once
        else:
            self._accepted[mail.id] = (mail, stamp())
            self._good()
            await self._write_down_what_was_taken()
        self._used = monotonic()

    async def _write_down_what_was_taken(self) -> None:
        """Until it is written down nothing else is sent: what the server has taken must not go a second time."""
        for mail_id, (mail, at) in list(self._accepted.items()):
            await self._store.sent(mail, at)
            del self._accepted[mail_id]

    async def _give_up(self, tries_least: int = 0) -> None:
        """Give up what is too old. Only what was really tried: a clock that is set forward makes nothing old."""
        before = stamp(now() - timedelta(hours=self._settings.give_up_hours))
        if await self._store.give_up(before, GIVEN_UP, tries_least):
            self._on_change()

    def _pause(self, mail: Waiting) -> float:
        pauses = self._settings.retry_pauses
        return pauses[min(mail.tries, len(pauses) - 1)]

    # How it goes

    def _note(self, trouble: ServerTrouble) -> None:
        log.warning("The mail server gives trouble%s.", " with the sign-in" if trouble.sign_in else "")
        if self.status.trouble is None:
            self._trouble_began = monotonic()
        since = self.status.since if self.status.trouble is not None else stamp()
        self.status = Status(trouble, since, self.status.last_ok_at, True)
        self._note_pause()
        self._on_change()

    def _note_pause(self) -> None:
        pause = SERVER_PAUSES[min(self._failures, len(SERVER_PAUSES) - 1)]
        self._failures += 1
        self._paused_until = monotonic() + pause

    def _let_in(self) -> None:
        """The server can be reached and lets us in."""
        trouble = self.status.trouble
        if trouble is None or not trouble.sender:
            self._good()

    def _good(self) -> None:
        was_in_trouble = self.status.trouble is not None or not self.status.tried
        self._failures, self._paused_until = 0, 0.0
        self.status = Status(None, None, stamp(), True)
        if was_in_trouble:
            self._on_change()

    # On a connection of its own

    async def try_connection(self) -> None:
        """Connect and sign in as for a mail. Raises ``ServerTrouble``; what comes of it is kept."""
        connection = self._connect()
        try:
            await connection.open()
        except ServerTrouble as trouble:
            self._note(trouble)
            raise
        else:
            self._let_in()
            self.wake()
        finally:
            await connection.close()

    async def look_at_server(self) -> None:
        """The job: see whether the mail server would let us in, unless a mail has just shown it."""
        last = self.status.last_ok_at
        fresh = last is not None and timedelta() <= now() - parse(last) < timedelta(minutes=4)
        if self._settings.server.host and not (fresh and self.status.trouble is None):
            with suppress(ServerTrouble):
                await self.try_connection()

    async def send_now(
        self, letter: Letter, letter_id: str, address: str, address_id: str, seconds: float
    ) -> str | None:
        """Send a letter that is never kept (a code). Returns what went wrong, empty if nothing; ``None``: not known."""
        if len(self._trials) >= TRIALS_MOST:
            return "Too much is being sent at this moment. Try again in a minute."
        task = self.begin(self._send_and_note(letter, letter_id, address, address_id), "mail with a code")
        await asyncio.wait({task}, timeout=seconds)
        return task.result() if task.done() and not task.cancelled() else None

    def begin(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Work that goes on when nobody waits for it any more, until ``stop``."""
        task = asyncio.create_task(work, name=name)
        self._trials.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._trials.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits hears of it; if nobody does, the status tells

    async def _send_and_note(self, letter: Letter, letter_id: str, address: str, address_id: str) -> str:
        problem = await self._send_alone(letter, letter_id, address)
        try:
            await self._store.note_code(address_id, problem)
        except (StoreError, sqlite3.Error) as error:
            log.warning("How the mail with a code went could not be kept: %s", error)
        return problem

    async def _send_alone(self, letter: Letter, letter_id: str, address: str) -> str:
        connection = self._connect()
        mail = compose(letter, letter_id, address, self._stationery, now())
        try:
            await connection.open()
            await connection.send(self._stationery.sender, address, mail)
        except ApplianceError as error:
            if isinstance(error, ServerTrouble):
                self._note(error)
            return str(error)
        finally:
            await connection.close()
        self._good()
        return ""
