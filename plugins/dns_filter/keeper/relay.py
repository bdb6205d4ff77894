"""Asks upstreams over TCP and over TLS (RFC 7766, RFC 7858) for the answering processes, which speak UDP alone.

Connections stay open while they are used, and many queries share one: a handshake for each would take longer than the
answer. Each query goes out under an id of this connection's own.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from dataclasses import dataclass, field
from typing import Any

IDLE_SECONDS = 20.0
ON_ONE_CONNECTION = 500
LARGEST = 65535
_LENGTH = struct.Struct("!H")


@dataclass(frozen=True, slots=True)
class Server:
    """Where to connect. ``tls``: the name that its certificate must be for; empty: plain TCP."""

    host: str
    port: int
    tls: str


@dataclass(eq=False)
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    waiting: dict[int, asyncio.Future[bytes]] = field(default_factory=dict)
    next_id: int = 0
    closed: bool = False

    def take_id(self) -> int:
        while self.next_id in self.waiting:
            self.next_id = self.next_id + 1 & 0xFFFF
        taken, self.next_id = self.next_id, self.next_id + 1 & 0xFFFF
        return taken

    def close(self) -> None:
        self.closed = True
        self.writer.close()
        for answer in self.waiting.values():
            if not answer.done():
                answer.set_exception(ConnectionResetError("the name server ended the connection"))


class Relay:
    """``authority``: a file with the certificate of an authority of the school's own, beside those of the system."""

    def __init__(self, authority: str = "") -> None:
        self._authority = authority
        self._connections: dict[Server, _Connection] = {}
        self._opening: dict[Server, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._context: Any = None

    async def ask(self, job: bytes) -> bytes:
        """A line of JSON (host, port, tls, timeout) and the message -> the answer, empty if there is none."""
        line, _, message = job.partition(b"\n")
        wanted = json.loads(line)
        server = Server(wanted["host"], wanted["port"], wanted["tls"])
        try:
            async with asyncio.timeout(wanted["timeout"]):
                return await self._ask(server, message)
        except (OSError, asyncio.IncompleteReadError, ValueError):  # silence, refusal, a wrong certificate
            return b""

    def close(self) -> None:
        """End all connections."""
        for connection in self._connections.values():
            connection.close()
        for task in self._tasks:
            task.cancel()

    async def _ask(self, server: Server, message: bytes) -> bytes:
        connection = await self._connected(server)
        own_id = connection.take_id()
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        connection.waiting[own_id] = answer
        try:
            connection.writer.write(_LENGTH.pack(len(message)) + _LENGTH.pack(own_id) + message[2:])
            await connection.writer.drain()
            return message[:2] + (await answer)[2:]
        finally:
            del connection.waiting[own_id]

    async def _connected(self, server: Server) -> _Connection:
        async with self._opening.setdefault(server, asyncio.Lock()):
            connection = self._connections.get(server)
            if connection is None or connection.closed or len(connection.waiting) >= ON_ONE_CONNECTION:
                reader, writer = await asyncio.open_connection(
                    server.host, server.port, **(self._tls(server) if server.tls else {})
                )
                connection = self._connections[server] = _Connection(reader, writer)
                task = asyncio.create_task(self._read(server, connection))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            return connection

    async def _read(self, server: Server, connection: _Connection) -> None:
        """Hand out answers until nothing is waited for any more, or the other side ends."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                async with asyncio.timeout(IDLE_SECONDS):
                    (length,) = _LENGTH.unpack(await connection.reader.readexactly(2))
                    message = await connection.reader.readexactly(length)
                if length < 2:
                    break
                answer = connection.waiting.get(_LENGTH.unpack_from(message)[0])
                if answer is not None and not answer.done():
                    answer.set_result(message)
        connection.close()
        if self._connections.get(server) is connection:
            del self._connections[server]

    def _tls(self, server: Server) -> dict[str, Any]:
        import ssl  # noqa: PLC0415 - four megabytes, which most schools' filters never need

        if self._context is None:
            context = ssl.create_default_context()
            if self._authority:
                context.load_verify_locations(self._authority)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            self._context = context
        return {"ssl": self._context, "server_hostname": server.tls}
