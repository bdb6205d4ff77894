"""Keeps the web filter answering: rules, sockets and processes that follow the snapshot and the machine."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from appliance.worker_api import WorkerContext, local_addresses

from ..answerer.places import Endpoint as NameServer
from .children import Child, Links, Rules
from .endpoints import Endpoint, addresses_to_listen_on, bound
from .machine import NotListening, Troubles, in_words, usable_upstreams
from .records import Records
from .relay import Relay
from .silence import Silence
from .streams import Streams
from .verdicts import Verdicts

VERSION = 2
FOLDER = "lists"
SUFFIX = ".table"

LOOK_SECONDS = 5.0
"""How often the machine's addresses and resolvers are looked at again; until then a new address answers nobody."""

HAND_OVER_SECONDS = 1.0
PROCESSES = 16
"""More of them would only stand in each other's way."""


class Unusable(Exception):
    """A snapshot cannot be put in force; the words say why."""


class NoTable(Unusable):
    """The lists of a snapshot are gone or damaged."""


class Keeper:
    """Everything of the worker process. ``context`` is the link to the main process."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._troubles = Troubles(context.problem)
        self._records = Records()
        self._relay = Relay()
        self._verdicts = Verdicts(context.folder, lambda words: self._troubles.set("verdicts", words))
        self._children: list[Child] = []
        self._udp: dict[Endpoint, list[socket.socket]] = {}
        self._streams: dict[Endpoint, Streams] = {}
        self._changing = asyncio.Lock()
        self._snapshot: Mapping[str, Any] | None = None
        self._checked = ""
        self._health: dict[int, Mapping[str, Any]] = {}
        self._silence = Silence(self._troubles)
        self._turn = 0
        self._ready = False

    async def run(self) -> None:
        """Answer by the last-good snapshot until cancelled."""
        with suppress(OSError):  # where that is forbidden, answers wait a little for the log now and then
            os.sched_setscheduler(0, os.SCHED_BATCH | os.SCHED_RESET_ON_FORK, os.sched_param(0))
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow_machine())
                tasks.create_task(self._hand_over())
                async for mapping in self._context.snapshots():
                    await self.apply(mapping)
        finally:
            await self.close()

    async def close(self) -> None:
        """End the processes and close all sockets."""
        for streams in self._streams.values():
            streams.close()
        self._relay.close()
        await self._verdicts.close()
        await asyncio.gather(*(child.end() for child in self._children))
        self._records.hand_over(self._context.report)

    @property
    def endpoints(self) -> frozenset[Endpoint]:
        """Where we listen."""
        return frozenset(self._udp)

    # Following

    async def apply(self, mapping: Mapping[str, Any]) -> None:
        """Put a snapshot in force. One that cannot be used is named on the status page, and the one before stays."""
        async with self._changing:
            words = ""
            try:
                try:
                    await asyncio.to_thread(self._check, mapping)
                except NoTable as error:
                    if self._snapshot is not None:
                        raise
                    # A school without names has no helplines either: everything but the lists is better than nothing.
                    words = f"{error} Nothing of the lists is in force until they have been made again."
                    mapping = {**mapping, "table": ""}
                await self._put_in_force(mapping)
            except Unusable as error:
                words = f"{error} The rules from before stay in force."
            self._troubles.set("snapshot", words)

    async def look_again(self) -> None:
        """Follow what changed on the machine since the last look."""
        async with self._changing:
            if self._snapshot is not None:
                with suppress(Unusable):  # the same rules were used before
                    await self._put_in_force(self._snapshot)

    async def _follow_machine(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look_again()

    async def _hand_over(self) -> None:
        while True:
            await asyncio.sleep(HAND_OVER_SECONDS)
            self._records.hand_over(self._context.report)
            if self._health:
                self._context.report(_health_of(list(self._health.values()), self._records.dropped))
                self._health.clear()

    # Rules

    def _check(self, mapping: Mapping[str, Any]) -> None:
        if mapping.get("version") != VERSION:
            raise Unusable(f"The snapshot has format {mapping.get('version')!r}, this worker reads {VERSION}.")
        table = self._table(mapping)
        if table is None or self._checked == table.stem:
            return
        try:
            with table.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise NoTable(f"The lists in {table} cannot be read: {error.strerror}.") from error
        if found != table.stem:
            raise NoTable(f"The lists in {table} are damaged.")
        self._checked = table.stem

    def _table(self, mapping: Mapping[str, Any]) -> Path | None:
        name = str(mapping.get("table", ""))
        return self._context.folder / FOLDER / f"{name}{SUFFIX}" if name else None

    async def _put_in_force(self, mapping: Mapping[str, Any]) -> None:
        try:
            addresses = addresses_to_listen_on(mapping["listen"], local_addresses())
            wanted = [Endpoint(address, int(mapping["port"])) for address in addresses]
            processes = min(max(int(mapping["processes"]), 1), PROCESSES)
            upstreams = usable_upstreams(mapping["upstreams"], wanted, self._troubles)
        except (KeyError, TypeError, ValueError) as error:
            raise Unusable(f"The snapshot contradicts itself at {error}.") from error
        rules = Rules(json.dumps({**mapping, "upstreams": upstreams}).encode(), self._table(mapping))
        await self._have_children(processes, rules)
        self._snapshot = mapping
        self._silence.follow([_called(server) for server in upstreams], processes)
        await self._verdicts.follow(mapping)
        await self._listen(wanted, processes)
        if self._udp and not self._ready:
            self._ready = True
            self._context.ready()

    async def _have_children(self, processes: int, rules: Rules) -> None:
        if self._children and len(self._children) != processes:
            # One process does not share its ports, so that nobody else can; so all begin anew, a moment later.
            await asyncio.gather(*(child.end() for child in self._children))
            self._children.clear()
            self._udp.clear()
        links = Links(self._run_errand, self._records.add, self._take_health)
        for number in range(len(self._children), processes):
            self._children.append(Child(number, links))
        changed = [child for child in self._children if child.rules != rules]
        before = [child.rules for child in changed]
        await asyncio.gather(*(child.use(rules) for child in changed))
        refusal = next((child.refusal for child in changed if child.refusal), "")
        if refusal:
            for child, old in zip(changed, before, strict=True):
                if old is not None:  # whoever is started again later is to have what is in force
                    child.rules = old
            raise Unusable(refusal)

    # Sockets

    async def _listen(self, wanted: Sequence[Endpoint], processes: int) -> None:
        """Listen on exactly these, as far as that works.

        New sockets are opened before old ones are closed, and an address on which the new port cannot be had keeps its
        old port: a mistake in the settings must not cut a school off.
        """
        failed = [failure for each in wanted if (failure := await self._open(each, processes)) is not None]
        without = {failure.endpoint.host for failure in failed}
        for endpoint in self.endpoints.difference(wanted):
            if endpoint.host not in without:
                del self._udp[endpoint]  # the child closes its own
                self._streams.pop(endpoint).close()
        for number, child in enumerate(self._children):
            child.listen({endpoint: sockets[number] for endpoint, sockets in self._udp.items()})
        self._troubles.set("listen", await asyncio.to_thread(in_words, failed) if failed else "")

    async def _open(self, endpoint: Endpoint, processes: int) -> NotListening | None:
        if endpoint in self._udp:
            return None
        opened: list[socket.socket] = []
        try:
            for _ in range(processes):
                opened.append(bound(endpoint, socket.SOCK_DGRAM, shared=processes > 1))
            if endpoint not in self._streams:
                streams = Streams(self._answer_stream)
                await streams.start(bound(endpoint, socket.SOCK_STREAM))
                self._streams[endpoint] = streams
        except OSError as error:
            for each in opened:
                each.close()
            return NotListening(endpoint, error)
        self._udp[endpoint] = opened
        return None

    async def _answer_stream(self, address: bytes, packet: bytes) -> bytes:
        running = [child for child in self._children if child.is_running]
        if not running:
            return b""
        self._turn += 1
        return await running[self._turn % len(running)].answer_stream(address, packet)

    # Errands

    def _take_health(self, process: int, health: Mapping[str, Any]) -> None:
        self._health[process] = health
        self._silence.take(process, health, asyncio.get_running_loop().time())

    async def _run_errand(self, letter: bytes, body: bytes) -> bytes:
        return await (self._relay.ask(body) if letter == b"R" else self._verdicts.ask(body))


def _called(server: Mapping[str, Any]) -> str:
    """A name server, as the processes call it."""
    return str(NameServer((server["host"], server["port"], server["tls"])))


def _health_of(found: Sequence[Mapping[str, Any]], dropped: int) -> dict[str, Any]:
    """One record of what the processes say of themselves: the first one's upstreams, everybody's counts."""
    return {"kind": "health", **found[0], "too_many": sum(one.get("too_many", 0) for one in found), "dropped": dropped}
