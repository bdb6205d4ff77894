"""Somebody on the network who wants to take the answers from others, or to see what nobody may see."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import worker_process
from dnslib import RCODE, DNSRecord
from resolver_bench import policy, snapshot

from appliance_plugins.dns_filter.answerer.answers import LONG, Answers, Entry
from appliance_plugins.dns_filter.answerer.records import is_private6
from appliance_plugins.dns_filter.answerer.rules import decide
from appliance_plugins.dns_filter.answerer.wire import to_wire
from appliance_plugins.dns_filter.answerer.world import World
from appliance_plugins.dns_filter.keeper import streams as module
from appliance_plugins.dns_filter.keeper.streams import Streams

PATIENCE = 10.0


def test_long_answers_that_somebody_publishes_do_not_fill_the_memory() -> None:
    answers = Answers(1000)
    for number in range(3000):
        answers.put(b"%d" % number, Entry(0, bytes(4), (bytes(60_000),), 300))
    assert len(answers) * 60_000 < 4 * 1000 * LONG
    for number in range(3000):
        answers.put(b"short %d" % number, Entry(0, bytes(4), (bytes(100),), 300))
    assert len(answers) >= 500


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("64:ff9b::10.0.0.1", True),
        ("64:ff9b::192.0.2.1", False),
        ("64:ff9b:1::192.0.2.1", True),
        ("::ffff:192.168.1.1", True),
        ("::192.168.1.1", True),
        ("::", True),
        ("::1", True),
        ("2001:db8::1", False),
        ("2002:a00:1::1", True),
        ("2002:6440:1::1", True),
        ("2002:c000:201::1", False),
    ],
)
def test_private_addresses_in_another_dress_are_seen(address: str, private: bool) -> None:
    assert is_private6(socket.inet_pton(socket.AF_INET6, address)) is private


@pytest.mark.parametrize("suffix", ["local", "lan", "home.arpa", "school.example"])
def test_a_place_of_help_stays_one_when_the_device_puts_a_suffix_behind_it(suffix: str) -> None:
    zones = [{"zone": "school.example", "servers": [{"host": "127.0.0.1", "port": 5353, "tls": ""}]}]
    world = World.of(snapshot(policy=policy(), exempt=["childline.org.uk"], zones=zones), None)
    rules = world.policies["pupil"]
    assert decide(to_wire(f"www.childline.org.uk.{suffix}"), 1, rules, world).verdict == "exempt"
    assert decide(to_wire(f"www.{suffix}"), 1, rules, world).verdict != "exempt"
    assert decide(to_wire("www.childline.org.uk.evil.example"), 1, rules, world).verdict == "allowed"


@asynccontextmanager
async def listening() -> AsyncIterator[int]:
    async def answer(_: bytes, packet: bytes) -> bytes:
        return packet

    udp = socket.socket()
    udp.setblocking(False)
    udp.bind(("127.0.0.1", 0))
    udp.listen()
    streams = Streams(answer)
    await streams.start(udp)
    try:
        yield udp.getsockname()[1]
    finally:
        streams.close()


async def test_whoever_holds_all_connections_open_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECTIONS", 4)
    monkeypatch.setattr(module, "CONNECTIONS_OF_ONE", 2)
    async with listening() as port, asyncio.timeout(PATIENCE):
        held = []
        for source in ("127.0.0.2", "127.0.0.2", "127.0.0.3", "127.0.0.3"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
            writer.write(b"\0\2ab\0")  # one query, and the beginning of another
            assert await reader.readexactly(4) == b"\0\2ab"
            held.append((reader, writer))
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
        assert await reader.read() == b""  # of one device there are too many
        writer.close()
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.4", 0))
            writer.write(b"\0\2cd")
            assert await reader.readexactly(4) == b"\0\2cd"
            held.append((reader, writer))
        assert await held[0][0].read() == b""  # the one that was idle for longest made room
        for _, writer in held:
            writer.close()


def is_handing_over_rules(pid: int) -> bool:
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            if "memfd:snapshot" in str(path.readlink()):
                return True
    return False


async def test_a_flood_over_tcp_does_not_keep_new_rules_out(tmp_path: Path) -> None:
    async with worker_process.running(tmp_path, names=["bad.example"], policies={"pupil": policy()}) as worker:
        assert worker.process is not None
        (answerer,) = worker.answerers()
        os.kill(answerer, signal.SIGSTOP)
        flood = []
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", worker.port)
            writer.write(struct.pack("!H", 60_000) + bytes(60_000))
            await writer.drain()
            flood.append(writer)
        pupil = policy(lists=["bad"], answer="address")
        table = worker.compile(["bad.example"])
        changed = worker_process.snapshot(worker.port, table=table, policies={"pupil": pupil})
        await worker.publish(changed)
        async with asyncio.timeout(PATIENCE):
            while not is_handing_over_rules(worker.process.pid):
                await asyncio.sleep(0.01)
        os.kill(answerer, signal.SIGCONT)
        await is_blocked(worker, "bad.example")
        for writer in flood:
            writer.close()


async def is_blocked(worker: worker_process.WorkerProcess, name: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while not (answer := await worker.ask(name)).rr or str(answer.a.rdata) != "10.0.0.2":
            await asyncio.sleep(0.05)


async def test_names_with_any_octet_in_them_do_not_end_the_worker(tmp_path: Path) -> None:
    async with worker_process.running(tmp_path, names=["bad.example"]) as worker:
        assert worker.process is not None
        reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        for label in (b"a\0b", b"\0\0\0", b"a.b", bytes(range(60))):
            name = b"".join(bytes((len(each),)) + each for each in (label, b"c", b"d", b"bad", b"example")) + b"\0"
            packet = DNSRecord.question("x").pack()[:12] + name + b"\0\1\0\1"
            writer.write(struct.pack("!H", len(packet)) + packet)
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            assert (await reader.readexactly(length))[3] & 15 == RCODE.NXDOMAIN
        writer.close()
        await worker.ask("bad.example")
        await worker.record("bad.example")
        assert worker.process.returncode is None
