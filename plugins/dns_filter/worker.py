"""The process that answers queries. It has no database and no settings file: the snapshot is all that it knows."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.api import WorkerContext, local_addresses, port_holder, resolver_addresses

from .answering import Answering
from .lists.compiled import FOLDER, ListUnreadable, load_names
from .server import NotListening, Server, addresses_to_listen_on
from .snapshot import Clients, Snapshot, SnapshotError, clients_of, read
from .upstream import DNS_PORT, Endpoint, Upstreams, endpoint

LOOK_SECONDS = 5.0
"""How often the machine's addresses and resolvers are looked at again; until then a new address answers nobody."""


async def dns(context: WorkerContext) -> None:
    """Answer queries by the last-good snapshot until cancelled."""
    service = Service(context)
    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(service.follow_machine())
            async for mapping in context.snapshots():
                await service.apply(mapping)
    finally:
        service.server.close()


class Troubles:
    """What is wrong at the moment, by subject; all of it is shown as one text."""

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._words: dict[str, str] = {}

    def set(self, subject: str, words: str) -> None:
        """Say what is wrong with ``subject``; ``""``: nothing is."""
        if self._words.get(subject, "") == words:
            return
        self._words[subject] = words
        self._context.problem(" ".join(filter(None, self._words.values())))


class Service:
    """Holds the listeners and the rules in force, and changes them with each snapshot and with the machine."""

    def __init__(self, context: WorkerContext) -> None:
        self.server = Server(self._answer_when_ready)
        self._context = context
        self._troubles = Troubles(context)
        self._changing = asyncio.Lock()
        self._snapshot: Snapshot | None = None
        self._names: dict[str, frozenset[str]] = {}
        self._clients: Clients | None = None
        self._upstreams = Upstreams((), 0.0, self._upstreams_are)
        self._ready = False
        self._in_force = asyncio.Event()

    async def apply(self, mapping: Mapping[str, Any]) -> None:
        """Put a snapshot in force. One that cannot be used is named on the status page, and the one before stays."""
        async with self._changing:
            try:
                snapshot = read(mapping)
                names = await asyncio.to_thread(self._load, snapshot)
                clients = clients_of(snapshot, {name: names[sha256] for name, sha256 in snapshot.lists.items()})
            except (SnapshotError, ListUnreadable) as error:
                self._troubles.set("snapshot", f"{error} The rules from before stay in force.")
                return
            self._troubles.set("snapshot", "")
            self._snapshot, self._names, self._clients = snapshot, names, clients
            await self._fit_to_machine(snapshot)

    async def follow_machine(self) -> None:
        """Look at the machine's addresses and resolvers again and again."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look_again()

    async def look_again(self) -> None:
        """Follow what changed on the machine since the last look."""
        async with self._changing:
            if self._snapshot is not None:
                await self._fit_to_machine(self._snapshot)

    def _load(self, snapshot: Snapshot) -> dict[str, frozenset[str]]:
        """The names of every list by SHA-256; what is in memory already is not read again."""
        folder = self._context.folder / FOLDER
        wanted = set(snapshot.lists.values())
        return {sha256: self._names.get(sha256) or load_names(folder, sha256) for sha256 in wanted}

    async def _fit_to_machine(self, snapshot: Snapshot) -> None:
        addresses = addresses_to_listen_on(snapshot.listen, local_addresses())
        failed = await self.server.listen([Endpoint(address, snapshot.port) for address in addresses])
        words = await asyncio.to_thread(_not_listening, failed)
        self._troubles.set("listen", words)
        self._ask(self._usable_upstreams(snapshot), snapshot.upstream_timeout)
        self._answer_by(snapshot)
        if self.server.endpoints and not self._ready:
            self._ready = True
            self._context.ready()

    def _answer_by(self, snapshot: Snapshot) -> None:
        assert self._clients is not None, "clients come with the snapshot"
        answering = Answering(self._clients, self._upstreams, snapshot.block_ttl, self._context.report)
        self.server.answer = answering.answer
        self._in_force.set()

    async def _answer_when_ready(self, packet: bytes, address: str, *, over_udp: bool) -> bytes | None:
        """For queries that come between the first socket and the first rules."""
        await self._in_force.wait()
        return await self.server.answer(packet, address, over_udp=over_udp)

    def _usable_upstreams(self, snapshot: Snapshot) -> list[Endpoint]:
        """The configured upstreams, or the machine's own resolvers, without ourselves: that would be a loop."""
        configured = [endpoint(text) for text in snapshot.upstreams]
        candidates = configured or [Endpoint(address, DNS_PORT) for address in resolver_addresses()]
        loops = [each for each in candidates if each in self.server.endpoints]
        self._troubles.set("loop", " ".join(map(_loop, loops)))
        usable = [each for each in candidates if each not in loops]
        self._troubles.set("no upstream", "" if usable else "There is no name server to ask. Set `upstreams`.")
        return usable

    def _ask(self, endpoints: Sequence[Endpoint], timeout: float) -> None:
        """Ask these from now on. The same ones stay as they are, with what is known of who is silent."""
        if (tuple(endpoints), timeout) != (self._upstreams.endpoints, self._upstreams.timeout):
            self._upstreams = Upstreams(tuple(endpoints), timeout, self._upstreams_are)
            self._upstreams_are("")

    def _upstreams_are(self, silent: str) -> None:
        words = f"No name server answers: {silent}. Check the connection to the internet." if silent else ""
        self._troubles.set("upstreams", words)


def _not_listening(failures: Sequence[NotListening]) -> str:
    """All failures in words, each reason once. Looks through /proc for who holds a port."""
    return " ".join(dict.fromkeys(map(not_listening, failures)))


def not_listening(failure: NotListening) -> str:
    """Why an address cannot be listened on, and what to do."""
    where, number = failure.endpoint, failure.error.errno
    if number == errno.EADDRINUSE:
        holder = port_holder("udp", where.port, where.host) or port_holder("tcp", where.port, where.host)
        return f"Port {where.port} is held by {holder or 'another program'}. Stop it, or set another port."
    if number == errno.EADDRNOTAVAIL:
        return f"{where.host} is not an address of this machine. Set `listen` to one that is."
    if number == errno.EACCES:
        return f"The right to listen on port {where.port} is missing. Give it CAP_NET_BIND_SERVICE or a port from 1024."
    return f"Cannot listen on {where}: {failure.error.strerror or failure.error}."


def _loop(ourselves: Endpoint) -> str:
    return f"The name server {ourselves} is this filter itself and is not asked. Set another one in `upstreams`."
