"""The worker's side of the link to the main process; ``workers`` has the other side and says what they send.

A worker is small and starts quickly, so this module imports the standard library and next to nothing of ours.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from appliance.net import open_unix
from appliance.notify import notify

SNAPSHOT = "snapshot.json"
SOCKET = "workers.sock"
LINE_LIMIT = 4 * 1024 * 1024
BUFFER_LIMIT = 20_000
BATCH = 500
FLUSH_SECONDS = 0.25
RECONNECT_SECONDS = 0.5

log = logging.getLogger(__name__)


class WorkerContext:
    """The worker's side. Handed to the worker's ``main``.

    ``name`` is ``plugin.worker``; ``folder`` holds the snapshot and what it points to, read-only for the worker.
    """

    def __init__(self, name: str, folder: Path, socket: Path) -> None:
        self.name = name
        self.folder = folder
        self._socket = socket
        self._buffer: deque[tuple[Mapping[str, Any], int]] = deque()
        self._buffered = 0
        self._dropped = 0
        self._ready = False
        self._problem = ""
        self._changed = asyncio.Event()
        self._state_changed = asyncio.Event()
        self._link: asyncio.Task[None] | None = None

    async def snapshots(self) -> AsyncIterator[dict[str, Any]]:
        """The last-good snapshot first, then each newer one. Waits while there is none; never yields half a file."""
        seen: bytes | None = None
        while True:
            self._changed.clear()
            with suppress(OSError):  # not there yet, or not to be read now: what is in force stays in force
                text = await asyncio.to_thread((self.folder / SNAPSHOT).read_bytes)
                if text != seen:
                    seen = text
                    try:
                        snapshot = message_of(text)
                    except ValueError:
                        self.problem("The snapshot is damaged; what was in force stays in force.")
                    else:
                        yield snapshot
                        continue
            await self._changed.wait()

    def report(self, record: Mapping[str, Any], weight: int = 1) -> None:
        """Hand a record (JSON) to the main process, some time. Never waits; the oldest go when the buffer is full.

        ``weight``: of how many it speaks, where one record holds several.
        """
        while self._buffer and self._buffered + weight > BUFFER_LIMIT:
            self.lose(self._buffer[0][1])
            self._buffered -= self._buffer.popleft()[1]
        self._buffer.append((record, weight))
        self._buffered += weight

    def lose(self, number: int) -> None:
        """Say that so many could not be reported."""
        self._dropped += number

    def problem(self, words: str) -> None:
        """Show ``words`` in red on the status page until called again; ``""`` clears it."""
        if words != self._problem:
            if words:
                log.warning("%s: %s", self.name, words)
            self._problem = words
            self._state_changed.set()

    def ready(self) -> None:
        """Say that the worker now does its work."""
        notify("READY=1")
        self._ready = True
        self._state_changed.set()

    def start(self) -> None:
        """Keep a link to the main process, now and whenever it comes back."""
        self._link = asyncio.create_task(self._keep_link(), name="link to the main process")

    async def stop(self) -> None:
        """Let go of the link."""
        if self._link is not None:
            self._link.cancel()
            with suppress(asyncio.CancelledError):
                await self._link

    async def _keep_link(self) -> None:
        while True:
            with suppress(OSError, ValueError):
                await self._talk(*await open_unix(self._socket, limit=LINE_LIMIT))
            await asyncio.sleep(RECONNECT_SECONDS)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listening = asyncio.create_task(self._listen(reader))
        try:
            await send(writer, {"worker": self.name, "pid": os.getpid()})
            await send(writer, {"ready": self._ready, "problem": self._problem})
            while not listening.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(FLUSH_SECONDS):
                        await self._state_changed.wait()
                if self._state_changed.is_set():
                    self._state_changed.clear()
                    await send(writer, {"ready": self._ready, "problem": self._problem})
                await self._flush(writer)
        finally:
            listening.cancel()
            writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            if "snapshot" in message_of(line):
                self._changed.set()

    async def _flush(self, writer: asyncio.StreamWriter) -> None:
        while self._buffer:
            batch, size = [self._buffer.popleft()], 0
            while self._buffer and (size := size + batch[-1][1]) < BATCH:
                batch.append(self._buffer.popleft())
            weight = sum(one[1] for one in batch)
            self._buffered -= weight
            dropped, self._dropped = self._dropped, 0
            try:
                await send(writer, {"records": [record for record, _ in batch], "dropped": dropped})
            except OSError:
                self._buffer.extendleft(reversed(batch))
                self._buffered += weight
                self._dropped += dropped
                raise


def message_of(line: bytes) -> dict[str, Any]:
    """One line as a message. Raises ``ValueError`` for anything else."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not a message")
    return message


async def send(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
    await writer.drain()
