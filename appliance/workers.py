"""Worker processes: what must go on while the main process restarts, or needs a capability that the rest must not have.

The main process writes an atomic last-good snapshot for each worker and announces it over a Unix socket; the worker
reports records back in batches through a bounded, counted buffer. Neither needs the other to be alive. Lines of JSON::

    worker -> main   {"worker": "dns_filter.dns", "pid": 812}                      first line
                     {"records": [...], "dropped": 0} | {"problem": "..."} | {"ready": true}
    main -> worker   {"snapshot": 7}                                               read the file again
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.bus import Runner
from appliance.errors import ApplianceError, PluginError, PluginOff
from appliance.hookspecs import Check, State, Worker
from appliance.net import open_unix, start_unix_server
from appliance.notify import notify

SNAPSHOT = "snapshot.json"
LINE_LIMIT = 4 * 1024 * 1024
BUFFER_LIMIT = 20_000
BATCH = 500
FLUSH_SECONDS = 0.25
RECONNECT_SECONDS = 0.5

log = logging.getLogger(__name__)


@dataclass
class _Link:
    """What the main process knows of one worker."""

    worker: Worker
    owner: str
    writer: asyncio.StreamWriter | None = None
    pid: int = 0
    ready: bool = False
    problem: str = ""
    dropped: int = 0
    version: int = 0


class Workers:
    """The main process's side: snapshots out, records in."""

    def __init__(
        self, state_dir: Path, run_dir: Path, runner: Runner, on_change: Callable[[], None] = lambda: None
    ) -> None:
        self._folder = state_dir / "workers"
        self._socket = run_dir / "workers.sock"
        self._runner = runner
        self._on_change = on_change
        self._links: dict[str, _Link] = {}
        self._server: asyncio.Server | None = None

    def register(self, owner: str, worker: Worker) -> None:
        """Expect a worker called ``owner.name``."""
        self._links[f"{owner}.{worker.name}"] = _Link(worker, owner)

    def names(self) -> tuple[str, ...]:
        """All expected workers as ``plugin.name``."""
        return tuple(self._links)

    def folder(self, name: str) -> Path:
        """Where a worker finds its snapshot; files that the snapshot points to may lie beside it."""
        path = self._folder / name
        path.mkdir(parents=True, exist_ok=True, mode=0o750)
        return path

    def connected(self, name: str) -> bool:
        """Whether the worker is linked to the main process at this moment."""
        link = self._links.get(name)
        return link is not None and link.writer is not None

    def dropped(self, name: str) -> int:
        """How many records the worker had to drop since it was started."""
        return self._links[name].dropped

    async def publish(self, name: str, snapshot: Mapping[str, Any]) -> None:
        """Make ``snapshot`` (JSON) the last-good one and announce it. It is on disk when this returns."""
        path = self.folder(name) / SNAPSHOT
        text = json.dumps(snapshot, separators=(",", ":"))
        await asyncio.to_thread(write_atomically, path, text.encode(), 0o640)
        link = self._links.get(name)
        if link is not None:
            link.version += 1
            await self._announce(link)

    async def start(self) -> None:
        """Listen for workers."""
        self._server = await start_unix_server(self._serve, self._socket, mode=0o660, limit=LINE_LIMIT)

    async def stop(self) -> None:
        """Let go of the workers; they go on with their last-good snapshot."""
        if self._server is not None:
            self._server.close()
            for link in self._links.values():
                if link.writer is not None:
                    link.writer.close()
            self._server = None

    async def checks(self) -> list[Check]:
        """One line for each worker."""
        return [self._check(name, link) for name, link in self._links.items()]

    def titles(self) -> tuple[str, ...]:
        """What their lines are called."""
        return tuple(_title(name, link) for name, link in self._links.items())

    def _check(self, name: str, link: _Link) -> Check:
        title = _title(name, link)
        if link.problem:
            return Check(title, State.BROKEN, link.problem, alarm=True)
        if link.writer is None or not link.ready:
            todo = (
                f"If it stays away, look at its log: journalctl -u appliance-{link.worker.name} (trial: this window)."
            )
            return Check(title, State.BROKEN, "It does not run, or has not answered.", todo, alarm=True)
        if link.dropped:
            words = f"It runs, but had to leave out {link.dropped} records because too many came at once."
            return Check(title, State.WARNING, words, "Nothing to do if this was a short rush.", alarm=True)
        return Check(title, State.GOOD, f"It runs (process {link.pid}).", alarm=True)

    async def _announce(self, link: _Link) -> None:
        if link.writer is None:
            return
        with suppress(ConnectionError):
            link.writer.write(json.dumps({"snapshot": link.version}).encode() + b"\n")
            await link.writer.drain()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link: _Link | None = None
        try:
            hello = _message(await reader.readline())
            link = self._links.get(str(hello.get("worker")))
            if link is None:
                return
            link.writer, link.pid, link.ready, link.problem = writer, int(str(hello.get("pid", 0))), False, ""
            await self._announce(link)
            while line := await reader.readline():
                await self._take(link, _message(line))
        except (ConnectionError, ValueError, TypeError, asyncio.LimitOverrunError) as error:
            log.warning("A worker was cut off: %s", error)
        finally:
            if link is not None and link.writer is writer:
                link.writer = None
                self._on_change()
            writer.close()

    async def _take(self, link: _Link, message: Mapping[str, Any]) -> None:
        if "ready" in message:
            link.ready = bool(message["ready"])
        if "problem" in message:
            link.problem = str(message["problem"])[:500]
            self._on_change()
        if "records" in message:
            records, dropped = list(message["records"]), int(str(message.get("dropped", 0)))
            link.dropped += dropped
            with suppress(PluginError, PluginOff):  # the runner has recorded it; a plugin that is off keeps nothing
                await self._runner(
                    link.owner, f"records of {link.worker.name}", lambda: link.worker.receive(records, dropped)
                )


def _title(name: str, link: _Link) -> str:
    return link.worker.title or f"Worker {name}"


class WorkerContext:
    """The worker's side. Handed to the worker's ``main``.

    ``name`` is ``plugin.worker``; ``folder`` holds the snapshot and what it points to, read-only for the worker.
    """

    def __init__(self, name: str, folder: Path, socket: Path) -> None:
        self.name = name
        self.folder = folder
        self._socket = socket
        self._buffer: deque[Mapping[str, Any]] = deque()
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
            with suppress(FileNotFoundError):
                text = await asyncio.to_thread((self.folder / SNAPSHOT).read_bytes)
                if text != seen:
                    seen = text
                    try:
                        snapshot = _message(text)
                    except ValueError:
                        self.problem("The snapshot is damaged; what was in force stays in force.")
                    else:
                        yield snapshot
                        continue
            await self._changed.wait()

    def report(self, record: Mapping[str, Any]) -> None:
        """Hand a record (JSON) to the main process, some time. Never waits; the oldest go when the buffer is full."""
        if len(self._buffer) >= BUFFER_LIMIT:
            self._buffer.popleft()
            self._dropped += 1
        self._buffer.append(record)

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
            await _send(writer, {"worker": self.name, "pid": os.getpid()})
            await _send(writer, {"ready": self._ready, "problem": self._problem})
            while not listening.done():
                with suppress(TimeoutError):
                    async with asyncio.timeout(FLUSH_SECONDS):
                        await self._state_changed.wait()
                if self._state_changed.is_set():
                    self._state_changed.clear()
                    await _send(writer, {"ready": self._ready, "problem": self._problem})
                await self._flush(writer)
        finally:
            listening.cancel()
            writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            if "snapshot" in _message(line):
                self._changed.set()

    async def _flush(self, writer: asyncio.StreamWriter) -> None:
        while self._buffer:
            batch = [self._buffer.popleft() for _ in range(min(BATCH, len(self._buffer)))]
            dropped, self._dropped = self._dropped, 0
            try:
                await _send(writer, {"records": batch, "dropped": dropped})
            except OSError:
                self._buffer.extendleft(reversed(batch))
                self._dropped += dropped
                raise


def _message(line: bytes) -> dict[str, Any]:
    """One line as a message. Raises ``ValueError`` for anything else."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not a message")
    return message


async def _send(writer: asyncio.StreamWriter, message: Mapping[str, Any]) -> None:
    writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")
    await writer.drain()


def write_atomically(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace ``path`` by ``content``; after a crash the file holds the old or the new content, whole."""
    part = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")  # two writers must not share it
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        os.fchmod(descriptor, mode)
        with os.fdopen(descriptor, "wb", closefd=False) as file:
            file.write(content)
        os.fsync(descriptor)
        part.replace(path)
    finally:
        os.close(descriptor)
        part.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def check_worker(owner_module: str, worker: Worker) -> None:
    """``main`` must be the async function of that name in the plugin's ``worker.py``: its process finds it so."""
    main: Callable[..., Any] = worker.main
    if main.__module__ != f"{owner_module}.worker" or main.__name__ != worker.name:
        raise ApplianceError(
            f"The worker {worker.name} must be the function {worker.name} in worker.py, "
            f"not {main.__module__}.{main.__name__}."
        )
    if not asyncio.iscoroutinefunction(main):
        raise ApplianceError(f"The worker {worker.name} must be written with `async def`.")
