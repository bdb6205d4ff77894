"""The process that hears the network. While it is off it holds no raw socket and has not loaded scapy."""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from appliance.worker_api import WorkerContext, local_addresses, stamp

from .listening import CannotListen, Listener, listen
from .packet_filter import SNAP
from .watching import Rules, Watcher

TICK_SECONDS = 0.1
"""How often new packets may be looked at, so many each time: what is more waits in the kernel, or is dropped there."""
TELL_SECONDS = 1.0
STATE_SECONDS = 10.0
TRY_AGAIN_SECONDS = 10.0
"""An interface that is down or gone is looked for again."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the main process wants: whether to listen, where, and how much of it to look at."""

    on: bool
    interface: str
    per_second: int
    rules: Rules

    @classmethod
    def of(cls, snapshot: Mapping[str, Any]) -> Wanted:
        """From a snapshot. Raises ``ValueError`` or ``LookupError`` if it is not one of ours."""
        rules = Rules(
            own=frozenset(map(str, snapshot["own"])),
            exempt=frozenset(map(str, snapshot["exempt"])),
            services={str(host): way for host, way in snapshot["services"].items()},
            resolvers=frozenset(map(str, snapshot["resolvers"])),
            networks=tuple(ipaddress.ip_network(text) for text in snapshot["networks"]),
        )
        return cls(bool(snapshot["on"]), str(snapshot["interface"]), int(snapshot["per_second"]), rules)


async def run(context: WorkerContext) -> None:
    """Do what the last-good snapshot says, until cancelled."""
    listening: asyncio.Task[None] | None = None
    try:
        async for snapshot in context.snapshots():
            try:
                wanted = Wanted.of(snapshot)
            except (ValueError, LookupError, TypeError, AttributeError):
                context.problem("What it was told to do cannot be read. What it did before goes on.")
                continue
            await _ended(listening)
            context.problem("")
            listening = asyncio.create_task(_listen_again_and_again(context, wanted)) if wanted.on else None
            if not wanted.on:
                context.report({"kind": "state", "listening": False, "interface": ""})
            context.ready()
    finally:
        await _ended(listening)


async def _ended(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _listen_again_and_again(context: WorkerContext, wanted: Wanted) -> None:
    # scapy takes a second to load and nobody needs it before: in a thread, so that signals are heard meanwhile.
    announced: Any = await asyncio.to_thread(importlib.import_module, ".announced", __package__)
    watcher = Watcher(announced, context.report)
    while True:
        try:
            await Hearing(context, wanted, watcher, listen(wanted.interface)).go_on()
        except CannotListen as trouble:
            context.problem(str(trouble))
        context.report({"kind": "state", "listening": False, "interface": ""})
        await asyncio.sleep(TRY_AGAIN_SECONDS)


@dataclass(eq=False)
class Hearing:
    """One open socket, as long as it lasts."""

    context: WorkerContext
    wanted: Wanted
    watcher: Watcher
    listener: Listener
    _may: int = 0
    """How many more packets may be looked at before the next tick."""
    _skipped: int = 0
    _broken: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    async def go_on(self) -> None:
        """Hear, until the interface is gone (``CannotListen``) or this is cancelled."""
        loop, number = asyncio.get_running_loop(), self.listener.socket.fileno()
        self._look_at_own_addresses()
        self.context.problem("")
        tasks = [asyncio.create_task(work()) for work in (self._tick, self._tell, self._say_how_it_is)]
        try:
            await self._broken
        finally:
            for task in tasks:
                task.cancel()
            loop.remove_reader(number)
            self.watcher.tell()
            self.listener.close()

    def _look_at_own_addresses(self) -> None:
        self.watcher.rules = Rules(
            frozenset(local_addresses()),
            *(getattr(self.wanted.rules, name) for name in ("own", "exempt", "services", "resolvers", "networks")),
        )

    async def _tick(self) -> None:
        loop, number = asyncio.get_running_loop(), self.listener.socket.fileno()
        while True:
            self._may = max(1, int(self.wanted.per_second * TICK_SECONDS))
            loop.add_reader(number, self._hear)
            await asyncio.sleep(TICK_SECONDS)

    def _hear(self) -> None:
        """Look at what has come, as much as may be."""
        while self._may > 0:
            try:
                frame = self.listener.socket.recv(SNAP)
            except BlockingIOError:
                return
            except OSError as error:
                self._break(error)
                return
            self._may -= 1
            self.watcher.look(frame, stamp(), time.monotonic())
        asyncio.get_running_loop().remove_reader(self.listener.socket.fileno())

    def _break(self, error: OSError) -> None:
        asyncio.get_running_loop().remove_reader(self.listener.socket.fileno())
        if not self._broken.done():
            words = f"The interface {self.listener.interface} went away: {error.strerror or error}."
            self._broken.set_exception(CannotListen(words))

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            self.watcher.tell()

    async def _say_how_it_is(self) -> None:
        while True:
            self._look_at_own_addresses()
            self._skipped += self.listener.dropped()
            self.context.report(
                {
                    "kind": "state", "listening": True, "interface": self.listener.interface,
                    "looked_at": self.watcher.looked_at, "skipped": self._skipped + self.watcher.left_out,
                    "malformed": self.watcher.malformed, "at": stamp(),
                }
            )  # fmt: skip
            await asyncio.sleep(STATE_SECONDS)
