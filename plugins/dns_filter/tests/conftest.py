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
import pytest_asyncio
from dnslib import EDNS0, QTYPE, RR, A, DNSHeader, DNSQuestion, DNSRecord

from appliance import app
from appliance.access import Role
from appliance.clock import now
from appliance.config import Place, check, read_source
from appliance.containment import Containment, Note
from appliance.plugin_finder import find_plugins
from appliance.testing import Client, sign_in_as
from appliance.trust import Authority, ServerCertificate
from appliance.web.server import WebServer
from appliance_plugins.dns_filter import Plugin
from appliance_plugins.dns_filter.answerer.rules import decide
from appliance_plugins.dns_filter.answerer.table import SUFFIX, Table
from appliance_plugins.dns_filter.answerer.wire import to_wire
from appliance_plugins.dns_filter.answerer.world import World

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

    def world(self) -> World:
        """What the worker would read."""
        found = self.snapshot()
        lists = self.appliance.workers.folder(WORKER) / "lists"
        return World.of(found, Table.open(lists / f"{found['table']}{SUFFIX}") if found["table"] else None)

    def profile_at(self, address: str) -> str:
        policy, _ = self.world().policy_for(address, now().timestamp())
        assert policy is not None
        return policy.profile

    def verdict(self, name: str, address: str) -> str:
        """What a device hears of a name."""
        world = self.world()
        policy, _ = world.policy_for(address, now().timestamp())
        assert policy is not None
        return decide(to_wire(name), 1, policy, world).verdict


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


@dataclass
class StaffPages:
    """The staff pages of a ``house`` over plain HTTP, and two who are signed in."""

    port: int
    it: Client
    lead: Client


@asynccontextmanager
async def _staff_pages(house: House, folder: Path) -> AsyncIterator[StaffPages]:
    certificate = ServerCertificate(folder, folder, "12:ab", now(), ("localhost",), (), ())
    authority = Authority.open(folder / "trust", "localhost", "Example School")
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    server = WebServer(house.appliance, [listening], None, authority, certificate)
    await server.start()
    port = listening.getsockname()[1]
    it = await sign_in_as(house.appliance, port, Role.IT, name="Ida Technician")
    lead = await sign_in_as(house.appliance, port, Role.LEAD, name="Lea Lead")
    yield StaffPages(port, it, lead)
    await server.stop()
    listening.close()


@pytest.fixture
async def pages(house: House, tmp_path: Path) -> AsyncIterator[StaffPages]:
    async with _staff_pages(house, tmp_path) as found:
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[House, StaffPages]]:
    """A ``house`` with its ``pages`` for all tests of a module, which run in one loop and clean up what they kept."""
    folder = tmp_path_factory.mktemp("shared")
    async with _running(folder, _settings_in(folder)) as house, _staff_pages(house, folder) as pages:
        yield house, pages
