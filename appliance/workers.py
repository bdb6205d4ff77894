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
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.bus import Runner
from appliance.errors import ApplianceError, PluginError, PluginOff
from appliance.hookspecs import Check, State, Worker
from appliance.net import start_unix_server
from appliance.whole_files import write_atomically
from appliance.worker_link import LINE_LIMIT, SNAPSHOT, SOCKET, message_of

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
        self._socket = run_dir / SOCKET
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

    async def leave(self, name: str, file: str, content: Mapping[str, Any]) -> None:
        """Leave a file (JSON) beside a worker's snapshot, whole or not at all."""
        text = json.dumps(content, separators=(",", ":"))
        await asyncio.to_thread(write_atomically, self.folder(name) / file, text.encode(), 0o640)

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
            hello = message_of(await reader.readline())
            link = self._links.get(str(hello.get("worker")))
            if link is None:
                return
            link.writer, link.pid, link.ready, link.problem = writer, int(str(hello.get("pid", 0))), False, ""
            await self._announce(link)
            while line := await reader.readline():
                await self._take(link, message_of(line))
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
