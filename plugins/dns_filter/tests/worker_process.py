"""The DNS worker as a process of its own, as systemd starts it, and a main process that only listens to it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dnslib import EDNS0, DNSRecord

from appliance.testing import free_port
from appliance.whole_files import write_atomically
from appliance_plugins.dns_filter.answerer import table
from appliance_plugins.dns_filter.answerer.wire import to_wire
from appliance_plugins.dns_filter.keeper.records import expanded

NAME = "dns_filter.dns"
PATIENCE = 20.0
"""Seconds after which a test gives up. Nothing waits for them to pass."""

BLOCK = table.EXACT | table.BELOW


def policy(**changes: Any) -> dict[str, Any]:
    return {
        "profile": "pupil",
        "mode": "block",
        "lists": ["bad"],
        "entries": [],
        "services": {},
        "only": False,
        "bypass": True,
        "rewrites": {},
        "answer": "nxdomain",
        "ipv4": "0.0.0.0",
        "ipv6": "::",
        "verdicts": False,
        **changes,
    }


def snapshot(port: int, upstreams: Iterable[tuple[str, int]] = (), **changes: Any) -> dict[str, Any]:
    return {
        "version": 2,
        "listen": ["127.0.0.1"],
        "port": port,
        "processes": 1,
        "allow_from": ["127.0.0.0/8", "::1/128"],
        "block_ttl": 60,
        "rate": {"per_second": 200, "burst": 400},
        "cache": {
            "entries": 1000, "min_ttl": 0, "max_ttl": 3600, "negative_ttl": 300, "stale_seconds": 86400,
            "prefetch": True,
        },
        "upstreams": [{"host": host, "port": number, "tls": ""} for host, number in upstreams],
        "upstream_timeout": 2.0,
        "zones": [],
        "private_names": [],
        "local": {},
        "exempt": ["childline.org.uk"],
        "table": "",
        "lists": {"bad": {"title": "Bad", "category": "adult", "locked": False}},
        "policies": {"pupil": policy()},
        "clients": {},
        "ranges": [],
        "default": [["pupil", None]],
        **changes,
    }  # fmt: skip


class WorkerProcess:
    """``records`` are what it reported, ``problems`` what it said is wrong, the last one last."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / NAME
        self.lists = self.state / "lists"
        self.lists.mkdir(parents=True)
        self.socket = folder / "workers.sock"
        self.port = free_port()
        self.records: list[dict[str, Any]] = []
        self.problems: list[str] = [""]
        self.ready = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._heard = asyncio.Condition()

    # What the main process does

    def compile(self, names: Iterable[str]) -> str:
        """A table with one list; returns its name."""
        wires = [table.digest(to_wire(name)) for name in names]
        return table.build(self.lists, [("bad", BLOCK, wires)]).sha256

    async def publish(self, mapping: Mapping[str, Any]) -> None:
        write_atomically(self.state / "snapshot.json", json.dumps(mapping).encode(), 0o640)
        for writer in self._writers:
            writer.write(b'{"snapshot": 1}\n')

    async def main_comes(self) -> None:
        self._server = await asyncio.start_unix_server(self._listen, self.socket, limit=1 << 22)

    async def main_goes(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._writers:
            writer.close()
        self._writers.clear()
        self.socket.unlink(missing_ok=True)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        while line := await reader.readline():
            message = json.loads(line)
            async with self._heard:
                self.records += expanded(message.get("records", []))
                if message.get("problem") is not None:
                    self.problems.append(message["problem"])
                if message.get("ready"):
                    self.ready.set()
                self._heard.notify_all()

    async def until(self, holds: Any) -> Any:
        """Wait until ``holds()`` is something, each time that the worker has spoken."""
        async with asyncio.timeout(PATIENCE), self._heard:
            while not (found := holds()):
                await self._heard.wait()
            return found

    async def record(self, name: str, **wanted: Any) -> dict[str, Any]:
        """The first record about a name with these values."""
        found: dict[str, Any] = await self.until(
            lambda: next(
                (
                    one
                    for one in self.records
                    if one.get("name") == name and all(one[key] == value for key, value in wanted.items())
                ),
                None,
            )
        )
        return found

    # The process

    async def start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "appliance", "worker", NAME, "--folder", str(self.state), "--socket", str(self.socket)
        )

    async def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    async def stop(self) -> None:
        if self.process is not None and self.process.returncode is None:
            self.process.terminate()
            await self.process.wait()
        if self._server is not None:
            await self.main_goes()

    def answerers(self) -> list[int]:
        """The processes that answer."""
        assert self.process is not None
        found = []
        for children in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            found += [int(text) for text in children.read_text().split()]
        return found

    def kill_answerers(self) -> list[int]:
        pids = self.answerers()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return pids

    # A device

    async def ask(
        self,
        name: str,
        qtype: str = "A",
        *,
        host: str = "127.0.0.1",
        source: str = "",
        port: int = 0,
        tries: int = 60,
        edns: EDNS0 | None = None,
    ) -> DNSRecord:
        """The answer to a query over UDP, sent again while none comes: the port may not be there yet."""
        loop = asyncio.get_running_loop()
        query = DNSRecord.question(name, qtype)
        if edns is not None:
            query.add_ar(edns)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as udp:
            udp.setblocking(False)
            if source:
                udp.bind((source, 0))
            udp.connect((host, port or self.port))
            for _ in range(tries):
                try:
                    await loop.sock_sendall(udp, bytes(query.pack()))
                    async with asyncio.timeout(0.5):
                        return DNSRecord.parse(await loop.sock_recv(udp, 65535))
                except ConnectionError:
                    await asyncio.sleep(0.05)  # nobody listens yet
                except TimeoutError:
                    continue
        raise AssertionError(f"no answer for {name}")


@asynccontextmanager
async def running(folder: Path, *, names: Iterable[str] = (), **changes: Any) -> AsyncIterator[WorkerProcess]:
    """A worker that answers by ``snapshot(**changes)`` and blocks ``names``."""
    worker = WorkerProcess(folder)
    found = worker.compile(names) if names else ""
    await worker.main_comes()
    try:
        await worker.publish(snapshot(worker.port, **{"table": found, **changes}))
        await worker.start()
        async with asyncio.timeout(PATIENCE):
            await worker.ready.wait()
        yield worker
    finally:
        await worker.stop()
