"""Listens for queries, over UDP and TCP, on every address of the machine that the settings ask for.

One socket per address, never a wildcard: a machine with several addresses would answer from another one than was asked,
and devices drop such answers. So addresses that come and go have to be followed, see ``Server.listen``.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from .shares import Pace
from .upstream import Endpoint

QUERIES_PER_SECOND = 200.0
"""Of one client over UDP in the long run, on all addresses together; see ``shares``. More is dropped without a word."""

QUERIES_IN_A_BURST = 400.0
"""Of one client at once, after it was quiet for a while."""

Sender = tuple[Any, ...]
"""An address as sockets have it: text and port, and for IPv6 two numbers more."""

TCP_CONNECTIONS = 200
"""Open connections in all, on each address; more are closed at once."""

TCP_CONNECTIONS_OF_ONE = 20
"""Of which one client address may hold so many."""

TCP_IDLE_SECONDS = 10.0
"""How long a connection may stay silent, also in the middle of a query (RFC 7766 section 6.2.3)."""


class Answer(Protocol):
    """Answers one packet; ``None`` is silence."""

    def __call__(self, packet: bytes, address: str, *, over_udp: bool) -> Awaitable[bytes | None]: ...


@dataclass(frozen=True, slots=True)
class NotListening:
    """An address on which we cannot listen, and the error."""

    endpoint: Endpoint
    error: OSError


def addresses_to_listen_on(configured: Iterable[str], local: Sequence[str]) -> tuple[str, ...]:
    """``0.0.0.0`` and ``::`` replaced by this machine's own addresses, each address once.

    IPv6 link-local addresses are left out of ``::``: they mean nothing without the interface, and every device that has
    one reaches us on another address.
    """
    found: dict[str, None] = {}
    for text in configured:
        address = ipaddress.ip_address(text)
        own = _own(local, address.version) if address.is_unspecified else [str(address)]
        found.update(dict.fromkeys(own))
    return tuple(found)


def _own(local: Sequence[str], version: int) -> Iterator[str]:
    for text in local:
        address = ipaddress.ip_address(text)
        if address.version == version and not (version == 6 and address.is_link_local):
            yield text


@dataclass(slots=True)
class Server:
    """All listeners. ``answer`` may be exchanged at any moment; the next packet gets the new one.

    ``clock`` gives seconds and never goes back. ``dropped`` counts datagrams of clients that sent too many.
    """

    answer: Answer
    clock: Callable[[], float] = time.monotonic
    dropped: int = 0
    _pace: Pace = field(default_factory=lambda: Pace(QUERIES_PER_SECOND, QUERIES_IN_A_BURST))
    _listeners: dict[Endpoint, Listener] = field(default_factory=dict)

    @property
    def endpoints(self) -> frozenset[Endpoint]:
        """Where we listen."""
        return frozenset(self._listeners)

    async def listen(self, wanted: Sequence[Endpoint]) -> list[NotListening]:
        """Listen on exactly these, as far as that works; returns where it does not.

        New sockets are opened before old ones are closed, and an address on which the new port cannot be had keeps its
        old port: a mistake in the settings must not cut a school off.
        """
        failed = [failure for each in wanted if (failure := await self._open(each)) is not None]
        without = {failure.endpoint.host for failure in failed}
        for endpoint in self.endpoints.difference(wanted):
            if endpoint.host not in without:
                self._listeners.pop(endpoint).close()
        return failed

    def close(self) -> None:
        """Stop listening."""
        while self._listeners:
            self._listeners.popitem()[1].close()

    def has_pace_left(self, address: str) -> bool:
        """Whether a datagram from ``address`` is to be answered; if not, it is counted."""
        if self._pace.allows(address, self.clock()):
            return True
        self.dropped += 1
        return False

    async def _open(self, endpoint: Endpoint) -> NotListening | None:
        if endpoint in self._listeners:
            return None
        try:
            self._listeners[endpoint] = await Listener.open(endpoint, self._answer, self.has_pace_left)
        except OSError as error:
            return NotListening(endpoint, error)
        return None

    def _answer(self, packet: bytes, address: str, *, over_udp: bool) -> Awaitable[bytes | None]:
        return self.answer(packet, address, over_udp=over_udp)


class Listener:
    """One address and port, UDP and TCP. ``may_ask`` says whether a datagram from an address is looked at."""

    def __init__(self, answer: Answer, may_ask: Callable[[str], bool]) -> None:
        self._answer = answer
        self._may_ask = may_ask
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: Counter[str] = Counter()
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    @classmethod
    async def open(cls, endpoint: Endpoint, answer: Answer, may_ask: Callable[[str], bool]) -> Listener:
        """Both sockets or, with an ``OSError``, none."""
        listener = cls(answer, may_ask)
        try:
            await listener._open(endpoint)
        except OSError:
            listener.close()
            raise
        return listener

    def close(self) -> None:
        """Close the sockets and drop what is under way; devices ask again."""
        if self._udp is not None:
            self._udp.close()
        if self._tcp is not None:
            self._tcp.close()
        for task in self._tasks:
            task.cancel()

    async def _open(self, endpoint: Endpoint) -> None:
        loop = asyncio.get_running_loop()
        udp = _bound(endpoint, socket.SOCK_DGRAM)
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self._take_datagram), sock=udp)
        tcp = _bound(endpoint, socket.SOCK_STREAM)
        self._tcp = await asyncio.start_server(self._serve_connection, sock=tcp, backlog=TCP_CONNECTIONS)

    # UDP

    def _take_datagram(self, packet: bytes, sender: Sender) -> None:
        """Answer in a task of its own. Tasks cannot pile up: those that wait for upstreams are bounded there."""
        if not self._may_ask(sender[0]):
            return
        task = asyncio.get_running_loop().create_task(self._answer_datagram(packet, sender))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_datagram(self, packet: bytes, sender: Sender) -> None:
        reply = await self._answer(packet, sender[0], over_udp=True)
        if reply is not None and self._udp is not None and not self._udp.is_closing():
            self._udp.sendto(reply, sender)

    # TCP

    async def _serve_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if peer is None:  # it was reset before we could look
            writer.close()
            return
        address = str(peer[0])
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._tasks.add(task)
        self._connections[address] += 1
        try:
            if self._has_room(address):
                await self._answer_stream(reader, writer, address)
        except (OSError, asyncio.IncompleteReadError):
            pass  # silent too long, or gone: nobody is left to tell
        finally:
            self._connections -= Counter([address])
            self._tasks.discard(task)
            writer.close()

    def _has_room(self, address: str) -> bool:
        return self._connections.total() <= TCP_CONNECTIONS and self._connections[address] <= TCP_CONNECTIONS_OF_ONE

    async def _answer_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str) -> None:
        """One query after the other, until the device is silent, ends the connection, or gets no answer."""
        while True:
            async with asyncio.timeout(TCP_IDLE_SECONDS):
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                packet = await reader.readexactly(length)
            reply = await self._answer(packet, address, over_udp=False)
            if reply is None:
                return
            writer.write(struct.pack("!H", len(reply)) + reply)
            async with asyncio.timeout(TCP_IDLE_SECONDS):
                await writer.drain()


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, take: Callable[[bytes, Sender], None]) -> None:
        self._take = take

    def datagram_received(self, data: bytes, addr: Sender) -> None:
        self._take(data, addr)


def _bound(endpoint: Endpoint, kind: socket.SocketKind) -> socket.socket:
    """A bound socket that does not block. Raises ``OSError``."""
    version = ipaddress.ip_address(endpoint.host).version
    bound = socket.socket(socket.AF_INET6 if version == 6 else socket.AF_INET, kind)
    try:
        bound.setblocking(False)
        if kind == socket.SOCK_STREAM:
            # Connections of the process before us may linger for a minute; they must not keep us from the port.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((endpoint.host, endpoint.port))
        if kind == socket.SOCK_STREAM:
            bound.listen(TCP_CONNECTIONS)
    except OSError:
        bound.close()
        raise
    return bound
