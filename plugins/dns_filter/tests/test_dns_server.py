"""Listening: on which addresses, on which port, and what a connection may do."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from appliance.api import local_addresses
from appliance_plugins.dns_filter import server
from appliance_plugins.dns_filter.server import addresses_to_listen_on

Start = Callable[..., Awaitable[Any]]
LOCAL = ["127.0.0.1", "192.168.1.2", "::1", "fd00::2", "fe80::1"]
PATIENCE = 10.0


@pytest.mark.parametrize(
    ("configured", "expected"),
    [
        (["0.0.0.0"], ("127.0.0.1", "192.168.1.2")),
        (["::"], ("::1", "fd00::2")),
        (["0.0.0.0", "::"], ("127.0.0.1", "192.168.1.2", "::1", "fd00::2")),
        (["192.168.1.2", "0.0.0.0"], ("192.168.1.2", "127.0.0.1")),
        (["10.9.9.9", "FD00::0:2"], ("10.9.9.9", "fd00::2")),
        ([], ()),
    ],
)
def test_addresses(configured: list[str], expected: tuple[str, ...]) -> None:
    assert addresses_to_listen_on(configured, LOCAL) == expected


async def test_every_address_of_the_machine_answers_for_itself(
    start_filter: Start, upstream: Any, device: Start, free_port: Callable[[], int]
) -> None:
    port = free_port()
    await start_filter(
        {
            "listen": ("0.0.0.0", "::"),
            "port": port,
            "upstreams": (upstream.endpoint,),
            "allow_from": ("0.0.0.0/0", "::/0"),
        }
    )
    addresses = addresses_to_listen_on(["0.0.0.0", "::"], local_addresses())
    assert "127.0.0.1" in addresses
    for address in addresses:
        # The socket is connected, so an answer from any other address would not be heard.
        asking = await device(
            port, source="::" if ipaddress.ip_address(address).version == 6 else "0.0.0.0", host=address
        )
        assert (await asking.ask("www.example.org")).header.rcode == 0


async def test_a_new_port_is_opened_before_the_old_one_is_closed(
    start_filter: Start, upstream: Any, device: Start, free_port: Callable[[], int]
) -> None:
    running = await start_filter({"upstreams": (upstream.endpoint,)})
    old, new = running.port, free_port()
    await running.change(port=new)
    assert (await (await device(new)).ask("www.example.org")).header.rcode == 0
    assert {endpoint.port for endpoint in running.service.server.endpoints} == {new}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as freed:
        freed.bind(("127.0.0.1", old))


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
async def test_a_held_port_is_named_and_the_old_one_stays(
    start_filter: Start, upstream: Any, device: Start, free_port: Callable[[], int], kind: socket.SocketKind
) -> None:
    running = await start_filter({"upstreams": (upstream.endpoint,)})
    wanted = free_port()
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", wanted))
        if kind == socket.SOCK_STREAM:
            holder.listen()
        await running.change(port=wanted)
        assert f"Port {wanted} is held by " in running.context.words
        assert (await (await device(running.port)).ask("www.example.org")).header.rcode == 0
    await running.service.look_again()
    assert running.context.words == ""
    assert (await (await device(wanted)).ask("www.example.org")).header.rcode == 0
    assert {endpoint.port for endpoint in running.service.server.endpoints} == {wanted}


async def test_an_address_of_somebody_else_is_named(start_filter: Start, upstream: Any) -> None:
    running = await start_filter({"listen": ("127.0.0.1", "203.0.113.9"), "upstreams": (upstream.endpoint,)})
    assert "203.0.113.9 is not an address of this machine" in running.context.words
    assert running.context.is_ready


async def test_a_service_that_listens_nowhere_is_not_ready(start_filter: Start, upstream: Any) -> None:
    running = await start_filter({"listen": ("203.0.113.9",), "upstreams": (upstream.endpoint,)})
    assert not running.context.is_ready


async def test_several_queries_go_over_one_connection(start_filter: Start, upstream: Any) -> None:
    running = await start_filter({"upstreams": (upstream.endpoint,)})
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    question = bytes.fromhex("0001010000010000000000000377777707657861 6d706c65036f72670000010001".replace(" ", ""))
    async with asyncio.timeout(PATIENCE):
        for number in range(3):
            packet = struct.pack("!H", number) + question[2:]
            writer.write(struct.pack("!H", len(packet))[:1])  # a query may come in pieces
            await writer.drain()
            writer.write(struct.pack("!H", len(packet))[1:] + packet)
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            assert (await reader.readexactly(length))[:2] == struct.pack("!H", number)
    writer.close()


@pytest.mark.parametrize("sent", [b"", b"\x00", b"\x00\x40half a query"])
async def test_a_silent_connection_is_ended(
    start_filter: Start, upstream: Any, monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(server, "TCP_IDLE_SECONDS", 0.05)
    running = await start_filter({"upstreams": (upstream.endpoint,)})
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(sent)
    async with asyncio.timeout(PATIENCE):
        assert await reader.read() == b""
    writer.close()


@pytest.mark.parametrize("cap", ["TCP_CONNECTIONS", "TCP_CONNECTIONS_OF_ONE"])
async def test_connections_are_capped_and_come_free_again(
    start_filter: Start, upstream: Any, ask_over_tcp: Start, monkeypatch: pytest.MonkeyPatch, cap: str
) -> None:
    monkeypatch.setattr(server, cap, 1)
    running = await start_filter({"upstreams": (upstream.endpoint,)})
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    assert await ask_over_tcp(running.port, "www.example.org") is None
    writer.write(b"\x00\x00")  # a packet without content gets no answer, which ends the connection
    async with asyncio.timeout(PATIENCE):
        assert await reader.read() == b""
    assert await ask_over_tcp(running.port, "www.example.org") is not None
    writer.close()


async def test_nothing_that_is_sent_stops_the_answers(start_filter: Start, upstream: Any, device: Start) -> None:
    running = await start_filter({"upstreams": (upstream.endpoint,)})
    asking = await device(running.port)
    for packet in (
        b"",
        b"\x00",
        b"\xff" * 12,
        bytes(12),
        bytes(range(256)) * 5,
        b"\x00\x01\x01\x00\x00\x01" + b"\x00" * 6,
    ):
        asking.send(packet)
    assert (await asking.ask("www.example.org")).header.rcode == 0


async def test_who_asks_too_fast_is_not_heard_and_others_are(
    start_filter: Start, upstream: Any, device: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "QUERIES_IN_A_BURST", 2.0)
    monkeypatch.setattr(server, "QUERIES_PER_SECOND", 0.0)
    running = await start_filter({"upstreams": (upstream.endpoint,)})
    fast = await device(running.port, "127.0.0.1")
    for name in ("one.example.org", "two.example.org"):
        assert (await fast.ask(name)).header.rcode == 0
    fast.send(bytes.fromhex("000101000001000000000000037777770765786d706c65036f72670000010001"))
    assert (await (await device(running.port, "127.0.0.2")).ask("three.example.org")).header.rcode == 0
    assert running.service.server.dropped == 1
    assert upstream.names == ["one.example.org.", "two.example.org.", "three.example.org."]
