"""The event core: publish inside a transaction, deliver after it until the listener succeeds, park what never does.

Every owner (a plugin) has a lane of its own, so that one that fails or hangs never holds up another. Within a lane an
event that fails waits for its next try while later events go on. Pauses grow; tries and pauses survive restarts.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta

from pydantic import ValidationError

from appliance.clock import now, parse, stamp
from appliance.db import Database, Row, Transaction
from appliance.errors import PluginError, StoreError
from appliance.events import CORE_EVENTS, Event
from appliance.hookspecs import Check, State

Listener = Callable[[Event], Awaitable[None]]
Runner = Callable[[str, str, Callable[[], Awaitable[None]]], Awaitable[None]]
"""``runner(owner, what, call)``: runs a plugin's code contained, with a time limit; raises what went wrong."""

BATCH = 50
IDLE_SECONDS = 30.0
STORE_PAUSE_SECONDS = 1.0

log = logging.getLogger(__name__)


class Bus:
    """Publishes and delivers. ``register`` event classes and ``subscribe`` listeners before ``start``."""

    def __init__(self, records: Database, retry_pauses: tuple[float, ...], runner: Runner) -> None:
        self._records = records
        self._pauses = retry_pauses
        self._runner = runner
        self._types: dict[type[Event], str] = {event: event.__name__ for event in CORE_EVENTS}
        self._listeners: dict[str, dict[str, tuple[type[Event], Listener]]] = {}
        self._lanes: dict[str, asyncio.Task[None]] = {}
        self._wake: dict[str, asyncio.Event] = {}

    def register(self, owner: str, event: type[Event]) -> None:
        """Make ``event`` publishable as ``owner.ClassName``."""
        self._types[event] = f"{owner}.{event.__name__}"

    def type_name(self, event: type[Event]) -> str:
        """The name under which events of this class are stored; raises ``PluginError`` for an unregistered class."""
        try:
            return self._types[event]
        except KeyError:
            raise PluginError(f"{event.__name__} is no registered event.", "Name it in register_events.") from None

    def types(self) -> dict[str, type[Event]]:
        """Every registered class by its name."""
        return {name: event for event, name in self._types.items()}

    async def subscribe(self, owner: str, listeners: Mapping[type[Event], Listener]) -> None:
        """From now on ``owner`` hears of these events; what it subscribed to earlier and left out now is ended."""
        lane = {self.type_name(event): (event, listener) for event, listener in listeners.items()}
        async with self._records.transaction() as tx:
            await tx.execute("DELETE FROM subscriptions WHERE owner = ?", (owner,))
            await tx.executemany("INSERT INTO subscriptions VALUES (?, ?)", [(owner, name) for name in lane])
        self._listeners[owner] = lane

    async def keep_only(self, owners: set[str]) -> None:
        """End the subscriptions of every owner that is not in ``owners`` (no longer named in the settings)."""
        async with self._records.transaction() as tx:
            rows = await tx.fetch("SELECT DISTINCT owner FROM subscriptions")
            gone = [(row["owner"],) for row in rows if row["owner"] not in owners]
            await tx.executemany("DELETE FROM subscriptions WHERE owner = ?", gone)

    # Publishing

    async def publish(self, tx: Transaction, event: Event) -> None:
        """Store the event in ``tx``; listeners hear of it after the commit, at least once."""
        name = self.type_name(type(event))
        payload = event.model_dump_json()
        await tx.execute("INSERT INTO events VALUES (?, ?, ?, ?)", (event.id, name, event.occurred_at, payload))
        await tx.execute(
            "INSERT INTO deliveries (owner, event_id, next_at) SELECT owner, ?, ? FROM subscriptions WHERE type = ?",
            (event.id, stamp(), name),
        )
        tx.after_commit.append(self._wake_all)

    def _wake_all(self) -> None:
        for wake in self._wake.values():
            wake.set()

    # Delivering

    def start(self, owner: str) -> None:
        """Begin to deliver to ``owner``, what waited for it first."""
        self._wake[owner] = asyncio.Event()
        self._lanes[owner] = asyncio.create_task(self._run_lane(owner), name=f"events for {owner}")

    async def stop(self, owner: str) -> None:
        """Stop delivering to ``owner``. What was under way is delivered again after the next start."""
        lane = self._lanes.pop(owner, None)
        if lane is not None:
            lane.cancel()
            await asyncio.wait({lane})
        self._wake.pop(owner, None)

    async def stop_all(self) -> None:
        """Stop delivering to everybody."""
        for owner in list(self._lanes):
            await self.stop(owner)

    async def _run_lane(self, owner: str) -> None:
        wake = self._wake[owner]
        while True:
            wake.clear()
            try:
                due = await self._due(owner)
                for row in due:
                    await self._deliver(owner, row)
                seconds = 0.0 if due else await self._idle_seconds(owner)
            except (StoreError, sqlite3.Error) as error:  # the lane must outlive a full disk
                log.warning("Events for %s wait for the store: %s", owner, error)
                seconds = STORE_PAUSE_SECONDS
            if seconds:
                with suppress(TimeoutError):
                    async with asyncio.timeout(seconds):
                        await wake.wait()

    async def _due(self, owner: str) -> list[Row]:
        moment = now()
        # A time beyond the longest pause can only come from a clock that was ahead: do not wait for it to come again.
        beyond = moment + timedelta(seconds=max(self._pauses, default=0.0) + 60)
        return await self._records.fetch(
            "SELECT d.event_id, d.tries, e.type, e.payload FROM deliveries d JOIN events e ON e.id = d.event_id"
            " WHERE d.owner = ? AND d.parked_at IS NULL AND (d.next_at <= ? OR d.next_at > ?)"
            " ORDER BY d.next_at, d.event_id LIMIT ?",
            (owner, stamp(moment), stamp(beyond), BATCH),
        )

    async def _idle_seconds(self, owner: str) -> float:
        row = await self._records.fetch_one(
            "SELECT min(next_at) AS next_at FROM deliveries WHERE owner = ? AND parked_at IS NULL", (owner,)
        )
        if row is None or row["next_at"] is None:
            return IDLE_SECONDS
        return min(max((parse(row["next_at"]) - now()).total_seconds(), 0.01), IDLE_SECONDS)

    async def _deliver(self, owner: str, row: Row) -> None:
        entry = self._listeners[owner].get(row["type"])
        if entry is None:  # the listener was taken out in a newer version of the plugin
            await self._done(owner, row["event_id"])
            return
        event_class, listener = entry
        try:
            event = _read(event_class, row["payload"])
            await self._runner(owner, f"listener for {row['type']}", lambda: listener(event))
        except Exception as error:  # noqa: BLE001 - whatever it was, it is recorded, shown and tried again
            log.warning("%s did not take %s: %s", owner, row["type"], error)
            await self._failed(owner, row, f"{type(error).__name__}: {error}")
        else:
            await self._done(owner, row["event_id"])

    async def _done(self, owner: str, event_id: str) -> None:
        async with self._records.transaction() as tx:
            await tx.execute("DELETE FROM deliveries WHERE owner = ? AND event_id = ?", (owner, event_id))

    async def _failed(self, owner: str, row: Row, error: str) -> None:
        tries = row["tries"] + 1
        parked = tries > len(self._pauses)
        pause = timedelta(seconds=0 if parked else self._pauses[tries - 1])
        async with self._records.transaction() as tx:
            await tx.execute(
                "UPDATE deliveries SET tries = ?, next_at = ?, parked_at = ?, error = ?"
                " WHERE owner = ? AND event_id = ?",
                (tries, stamp(now() + pause), stamp() if parked else None, error[:2000], owner, row["event_id"]),
            )

    # What a person sees and does

    async def parked(self) -> list[Row]:
        """Deliveries that were given up; see the function ``parked``."""
        return await parked(self._records)

    async def checks(self) -> list[Check]:
        """One line for the status page, red while something was given up."""
        rows, title = await self.parked(), "News between parts"
        if not rows:
            return [Check(title, State.GOOD, "Everything was delivered, or waits for its next try.")]
        owners = ", ".join(sorted({row["owner"] for row in rows}))
        words = f"{len(rows)} could not be delivered to {owners} and were put aside. Everything else goes on."
        todo = "Put the plugin right, then press “Try again” on the status page."
        return [Check(title, State.BROKEN, words, todo)]

    async def waiting(self) -> int:
        """How many deliveries wait for a try."""
        row = await self._records.fetch_one("SELECT count(*) AS n FROM deliveries WHERE parked_at IS NULL")
        return int(row["n"]) if row else 0

    async def retry(self, tx: Transaction, owner: str, event_id: str) -> bool:
        """Let a parked delivery be tried again from the start; false if it is not parked."""
        tx.after_commit.append(self._wake_all)
        changed = await tx.execute(
            "UPDATE deliveries SET parked_at = NULL, tries = 0, next_at = ?"
            " WHERE owner = ? AND event_id = ? AND parked_at IS NOT NULL",
            (stamp(), owner, event_id),
        )
        return bool(changed)

    async def drop(self, tx: Transaction, owner: str, event_id: str) -> bool:
        """Give a parked delivery up for good; false if it is not parked."""
        return bool(
            await tx.execute(
                "DELETE FROM deliveries WHERE owner = ? AND event_id = ? AND parked_at IS NOT NULL", (owner, event_id)
            )
        )

    async def forget(self, tx: Transaction, before: str) -> int:
        """Delete events older than ``before`` that nobody waits for any more; returns how many."""
        return await tx.execute(
            "DELETE FROM events WHERE occurred_at < ? AND NOT EXISTS (SELECT 1 FROM deliveries d"
            " JOIN subscriptions s ON s.owner = d.owner WHERE d.event_id = events.id)",
            (before,),
        )


def _read(event_class: type[Event], payload: str) -> Event:
    """The event of a row; what it holds must not get into a log through an error message."""
    try:
        return event_class.model_validate_json(payload)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise PluginError(f"This version cannot read the event: {wrong}") from None


async def parked(records: Database) -> list[Row]:
    """Deliveries that were given up: owner, event_id, type, tries, error, parked_at, occurred_at."""
    return await records.fetch(
        "SELECT d.owner, d.event_id, e.type, d.tries, d.error, d.parked_at, e.occurred_at FROM deliveries d"
        " JOIN events e ON e.id = d.event_id WHERE d.parked_at IS NOT NULL ORDER BY d.parked_at"
    )
