"""Queries over TCP (RFC 7766): few connections, short patience, the same answers as over UDP."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import cast

CONNECTIONS = 200
"""Open connections in all, on each address. For one more, the one that has been idle for longest goes (RFC 7766 section
6.2.3): whoever holds hundreds open keeps nobody else out."""

CONNECTIONS_OF_ONE = 20
"""Of which one device may hold so many: an IPv4 address, or an IPv6 network of 64 bits, of which a device has as many
addresses as it likes."""

IDLE_SECONDS = 10.0
"""How long a connection may stay silent, also in the middle of a query (RFC 7766 section 6.2.3)."""

ANSWER_SECONDS = 15.0
"""Longer than any upstream may take."""

_LENGTH = struct.Struct("!H")

Answer = Callable[[bytes, bytes], Awaitable[bytes]]
"""Address (struct in_addr or in6_addr) and packet -> answer; empty is silence."""


class Streams:
    """The connections of one listening socket."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: Counter[bytes] = Counter()
        self._idle: dict[asyncio.Task[None], None] = {}
        """Connections that wait for a query, those that wait for longest first."""
        self._server: asyncio.Server | None = None

    async def start(self, listening: socket.socket) -> None:
        """Take connections from now on."""
        self._server = await asyncio.start_server(self._serve, sock=listening)

    def close(self) -> None:
        """Stop listening and drop what is under way; devices ask again."""
        if self._server is not None:
            self._server.close()
        for task in self._tasks:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peername")
        if peer is None:  # it was reset before we could look
            writer.close()
            return
        address = packed(str(peer[0]))
        device = address if len(address) == 4 else address[:8]
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._tasks.add(task)
        self._connections[device] += 1
        try:
            if self._has_room(device):
                await self._answer_all(reader, writer, address, task)
        except (OSError, asyncio.IncompleteReadError):
            pass  # silent too long, or gone: nobody is left to tell
        finally:
            self._connections -= Counter([device])
            self._tasks.discard(task)
            self._idle.pop(task, None)
            writer.close()

    def _has_room(self, device: bytes) -> bool:
        if self._connections[device] > CONNECTIONS_OF_ONE:
            return False
        if self._connections.total() > CONNECTIONS:
            longest = next(iter(self._idle), None)
            if longest is None:
                return False
            del self._idle[longest]
            longest.cancel()
        return True

    async def _answer_all(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: bytes, task: asyncio.Task[None]
    ) -> None:
        """One query after the other, until the device is silent, ends the connection, or gets no answer."""
        while True:
            self._idle[task] = None
            async with asyncio.timeout(IDLE_SECONDS):
                (length,) = _LENGTH.unpack(await reader.readexactly(2))
                packet = await reader.readexactly(length)
            self._idle.pop(task, None)
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._answer(address, packet)
            if not answer:
                return
            writer.write(_LENGTH.pack(len(answer)) + answer)
            async with asyncio.timeout(IDLE_SECONDS):
                await writer.drain()


def packed(address: str) -> bytes:
    """The octets of an address; IPv4 seen through IPv6 is IPv4."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped.packed
    return parsed.packed
