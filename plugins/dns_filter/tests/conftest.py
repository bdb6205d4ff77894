"""What the tests of the web filter share: an upstream that follows a script, devices that ask, a worker's context."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dnslib import EDNS0, QTYPE, RR, A, DNSHeader, DNSQuestion, DNSRecord

from appliance import app
from appliance.config import Place, check, read_source
from appliance.containment import Containment, Note
from appliance.plugin_finder import find_plugins
from appliance_plugins.dns_filter import Plugin
from appliance_plugins.dns_filter.lists.compiled import FOLDER, compile_list, load_names, look_at
from appliance_plugins.dns_filter.settings import Settings
from appliance_plugins.dns_filter.snapshot import RangePart, build, clients_of, read
from appliance_plugins.dns_filter.worker import Service

ANSWER = "192.0.2.53"
PATIENCE = 10.0
"""Seconds after which a test gives up. Nothing waits for them to pass."""

Script = Callable[[DNSRecord, bool], "bytes | list[bytes] | None"]


def address_answer(query: DNSRecord, over_tcp: bool = False) -> bytes:
    """The script of an upstream in good health."""
    del over_tcp
    reply = query.reply(aa=0)
    if query.q.qtype == QTYPE.A:
        reply.add_answer(RR(query.q.qname, QTYPE.A, rdata=A(ANSWER), ttl=300))
    return bytes(reply.pack())


@dataclass
class ScriptedUpstream:
    """A name server on loopback, UDP and TCP. ``script(query, over_tcp)`` gives the packets to send, or none."""

    host: str = "127.0.0.1"
    port: int = 0
    script: Script = address_answer
    asked: list[tuple[str, str]] = field(default_factory=list)
    ports: set[int] = field(default_factory=set)
    _udp: asyncio.DatagramTransport | None = None
    _tcp: asyncio.Server | None = None

    @property
    def endpoint(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def names(self) -> list[str]:
        return [name for _, name in self.asked]

    async def start(self) -> None:
        self._tcp = await asyncio.start_server(self._serve, self.host, 0)
        self.port = self._tcp.sockets[0].getsockname()[1]
        outer = self

        class Datagrams(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                outer.ports.add(addr[1])
                for reply in outer._replies(data, False):
                    outer._udp.sendto(reply, addr)

        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=(self.host, self.port))

    def stop(self) -> None:
        self._udp.close()
        self._tcp.close()

    def _replies(self, packet: bytes, over_tcp: bool) -> list[bytes]:
        query = DNSRecord.parse(packet)
        self.asked.append(("tcp" if over_tcp else "udp", str(query.q.qname)))
        replies = self.script(query, over_tcp)
        return replies if isinstance(replies, list) else [] if replies is None else [replies]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack("!H", await reader.readexactly(2))
        for reply in self._replies(await reader.readexactly(length), True):
            writer.write(struct.pack("!H", len(reply)) + reply)
        await writer.drain()
        writer.close()


class Device:
    """A device with an address of its own that asks over UDP."""

    def __init__(self, transport: asyncio.DatagramTransport, received: asyncio.Queue[bytes]) -> None:
        self.transport = transport
        self.received = received

    def send(self, packet: bytes) -> None:
        self.transport.sendto(packet)

    async def hear(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.received.get()

    async def ask(self, name: str, qtype: str = "A", *, edns: Mapping[str, Any] | None = None) -> DNSRecord:
        query = question(name, qtype, edns=edns)
        self.send(bytes(query.pack()))
        while True:
            reply = DNSRecord.parse(await self.hear())
            if reply.header.id == query.header.id:
                return reply


def question(name: str, qtype: str = "A", *, edns: Mapping[str, Any] | None = None) -> DNSRecord:
    query = DNSRecord(DNSHeader(rd=1), q=DNSQuestion(name, getattr(QTYPE, qtype)))
    if edns is not None:
        query.add_ar(EDNS0(**{"udp_len": 1232, **edns}))
    return query


class RecordingContext:
    """What the worker sees of the main process: a folder of its own, and somebody who listens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: list[Mapping[str, Any]] = []
        self.words = ""
        self.is_ready = False

    def report(self, record: Mapping[str, Any]) -> None:
        self.records.append(record)

    def problem(self, words: str) -> None:
        self.words = words

    def ready(self) -> None:
        self.is_ready = True


@dataclass
class Filter:
    """A running service, and the snapshot that it was given last."""

    service: Service
    context: RecordingContext
    port: int
    snapshot: dict[str, Any]

    async def change(self, **parts: Any) -> None:
        """Give the service another snapshot, put in force when this returns."""
        self.snapshot = {**self.snapshot, **parts}
        await self.service.apply(self.snapshot)


@pytest.fixture
async def start_upstream() -> AsyncIterator[Callable[..., Awaitable[ScriptedUpstream]]]:
    """``await start_upstream(script)``: another name server."""
    started = []

    async def start(script: Script = address_answer) -> ScriptedUpstream:
        upstream = ScriptedUpstream(script=script)
        await upstream.start()
        started.append(upstream)
        return upstream

    yield start
    for upstream in started:
        upstream.stop()


@pytest.fixture
async def upstream(start_upstream: Callable[..., Awaitable[ScriptedUpstream]]) -> ScriptedUpstream:
    """A name server in good health."""
    return await start_upstream()


@pytest.fixture
async def device() -> AsyncIterator[Callable[..., Awaitable[Device]]]:
    """``await device(port, source="127.0.0.2")``: a device with this address that asks the filter at ``host``."""
    transports = []

    async def make(port: int, source: str = "127.0.0.1", host: str = "127.0.0.1") -> Device:
        received: asyncio.Queue[bytes] = asyncio.Queue()

        class Datagrams(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, _: object) -> None:
                received.put_nowait(data)

        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(Datagrams, local_addr=(source, 0), remote_addr=(host, port))
        transports.append(transport)
        return Device(transport, received)

    yield make
    for transport in transports:
        transport.close()


@pytest.fixture
async def ask_over_tcp() -> Callable[..., Awaitable[DNSRecord | None]]:
    """``await ask_over_tcp(port, name)``: the answer, or ``None`` if the connection was ended without one."""

    async def ask(port: int, name: str, qtype: str = "A", host: str = "127.0.0.1", source: str = "127.0.0.1") -> Any:
        reader, writer = await asyncio.open_connection(host, port, local_addr=(source, 0))
        packet = bytes(question(name, qtype).pack())
        writer.write(struct.pack("!H", len(packet)) + packet)
        async with asyncio.timeout(PATIENCE):
            try:
                (length,) = struct.unpack("!H", await reader.readexactly(2))
                return DNSRecord.parse(await reader.readexactly(length))
            except (asyncio.IncompleteReadError, ConnectionResetError):
                return None
            finally:
                writer.close()

    return ask


@pytest.fixture
def free_port() -> Callable[[], int]:
    """``free_port()``: a port that nobody holds on any loopback address, UDP or TCP."""
    return _free_port


def _free_port() -> int:
    while True:
        with ExitStack() as stack:
            first = stack.enter_context(socket.socket())
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                for family, host, kind in (
                    (socket.AF_INET, "127.0.0.1", socket.SOCK_DGRAM),
                    (socket.AF_INET6, "::1", socket.SOCK_STREAM),
                    (socket.AF_INET6, "::1", socket.SOCK_DGRAM),
                ):
                    stack.enter_context(socket.socket(family, kind)).bind((host, port))
            except OSError:
                continue
            return port


@pytest.fixture
def list_file(tmp_path: Path) -> Callable[..., str]:
    """``list_file("ads.example", ...)``: a compiled list in the worker's folder; returns its SHA-256."""

    def make(*names: str) -> str:
        source = tmp_path / "source.txt"
        source.write_text("\n".join(names), encoding="utf-8")
        return compile_list(look_at(source, "domains"), tmp_path / "worker" / FOLDER, "2026-11-24T09:30:00.000Z").sha256

    return make


@pytest.fixture
async def start_filter(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Filter]]]:
    """``await start_filter(settings, ...)``: a running filter on loopback."""
    running = []

    async def start(settings: Mapping[str, Any], **parts: Any) -> Filter:
        settings = {"listen": ("127.0.0.1",), "port": _free_port(), "upstream_timeout": PATIENCE, **settings}
        checked = Settings(**settings)
        ranges = [
            RangePart(network=network, group=group, profile=profile)
            for network, group, profile in parts.pop("ranges", [])
        ]
        mapping = build(checked, ranges, parts.pop("exempt", ()), parts.pop("lists", {}))
        context = RecordingContext(tmp_path / "worker")
        service = Service(context)
        filter_ = Filter(service, context, checked.port, mapping)
        running.append(filter_)
        await filter_.change(**parts)
        return filter_

    yield start
    for filter_ in running:
        filter_.service.server.close()


# The plugin in the main process

WORKER = "dns_filter.dns"
HELP = """
places:
  - host: help.example
    name: Somebody to talk to
    why: Children find help there.
"""
YAML = """
school: {name: "Example School"}
groups:
  - {name: year7, title: "Year 7", addresses: [10.7.0.0/16]}
  - {name: lab, addresses: [10.7.1.0/24]}
  - {name: office, addresses: [10.9.0.0/16]}
exempt: {help_seeking_file: help.yaml}
plugins:
  dns_filter:
    lists:
      - {name: ads, file: lists/ads.txt}
    profiles:
      - {name: pupil, mode: block, block: [ads]}
      - {name: staff}
      - {name: exam, mode: block, block: [ads], answer: refused}
    profile_of: {office: staff}
"""


@dataclass
class House:
    """A running appliance with this plugin only."""

    appliance: app.Appliance
    plugin: Plugin
    folder: Path

    def snapshot(self) -> dict[str, Any]:
        path = self.appliance.workers.folder(WORKER) / "snapshot.json"
        return json.loads(path.read_text())  # type: ignore[no-any-return]

    def profile_at(self, address: str) -> str:
        found = read(self.snapshot())
        client = clients_of(found, {name: frozenset() for name in found.lists}).find(address)
        assert client is not None
        return client.profile.name

    def names_in_force(self) -> frozenset[str]:
        return load_names(self.appliance.workers.folder(WORKER) / FOLDER, self.snapshot()["lists"]["ads"])


def _settings_in(tmp_path: Path, yaml: str = YAML) -> Path:
    folder = tmp_path / "etc"
    (folder / "lists").mkdir(parents=True, exist_ok=True)
    (folder / "appliance.yaml").write_text(yaml)
    (folder / "help.yaml").write_text(HELP)
    if not (folder / "lists" / "ads.txt").exists():
        (folder / "lists" / "ads.txt").write_text("ads.example\nnonsense\nhelp.example\n")
    return folder / "appliance.yaml"


@asynccontextmanager
async def _running(tmp_path: Path, config_file: Path) -> AsyncIterator[House]:
    place = Place(config_file, tmp_path / "var")
    found = find_plugins(place.drop_in_dir)
    config = check(read_source(place), {"dns_filter": Plugin.Settings})
    (tmp_path / "var" / "run").mkdir(parents=True, exist_ok=True)
    appliance = app.build(config, found, Containment(Note(tmp_path / "var" / "run" / "note"), 10.0), None)  # type: ignore[arg-type]
    async with AsyncExitStack() as stack:
        stack.push_async_callback(app.stop, appliance)
        await app.open_stores(appliance)
        await appliance.assignments.start()
        await appliance.workers.start()
        await appliance.plugins.start(appliance, {})
        (state,) = appliance.plugins.states()
        assert state.state == "on", state
        plugin = appliance.plugins._registered["dns_filter"].plugin
        yield House(appliance, plugin, config_file.parent)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with _running(tmp_path, _settings_in(tmp_path)) as found:
        yield found


@pytest.fixture
def settings_file(tmp_path: Path) -> Callable[..., Path]:
    """``settings_file()``: the settings, the help-seeking places and a list, written as files."""
    return partial(_settings_in, tmp_path)


@pytest.fixture
def run_house(tmp_path: Path) -> Callable[[Path], AbstractAsyncContextManager[House]]:
    """``async with run_house(config_file)``: an appliance with these settings, on what the last one left."""
    return partial(_running, tmp_path)
