"""The door, with real sockets: who is slow goes, others are served. They notice when aiohttp's insides change."""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from weakref import ref

import pytest
from aiohttp import web

from appliance.trust import Authority, ssl_context
from appliance.web.deadline import Door, Limits, SlowBody

SHORT = 0.2
LONG = 60.0
PATIENCE = 20.0
GET = b"GET / HTTP/1.1\r\nHost: box\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nHost: bo"
POST_HALF = b"POST / HTTP/1.1\r\nHost: box\r\nContent-Length: 10\r\n\r\nhalf"
SECRET = b"<script>tell</script>"


@dataclass
class Client:
    """One connection to the door."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> bytes:
        """One whole answer (they all have a Content-Length)."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE)
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        return head + await self.reader.readexactly(int(length.split(b":")[1]))

    async def closed(self) -> bytes:
        """Wait until the door closes the connection; returns what came before that."""
        with suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), PATIENCE)
        return b""


@dataclass
class House:
    """A door with rooms behind it."""

    door: Door
    listener: socket.socket
    tls: ssl.SSLContext | None

    async def client(self, *, tls: bool | None = None) -> Client:
        """Connect; ``tls=False``: without TLS whatever the door speaks."""
        context = None
        if self.tls is not None and tls is not False:
            context = ssl.create_default_context()
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return Client(*await asyncio.open_connection(*self.listener.getsockname()[:2], ssl=context))


Build = Callable[..., Awaitable[House]]
Room = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def hall(_request: web.Request) -> web.StreamResponse:
    return web.Response(text="come in")


def error_page(_request: web.BaseRequest, status: int) -> web.Response:
    return web.Response(status=status, text="sorry")


@pytest.fixture
async def build() -> AsyncIterator[Build]:
    houses: list[tuple[web.AppRunner, House]] = []

    async def make(room: Room = hall, tls: ssl.SSLContext | None = None, **limits: float) -> House:
        app = web.Application()
        app.router.add_route("*", "/", room)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        assert runner.server is not None
        wanted = {"header_seconds": LONG, "body_seconds": LONG, "connections": 50, "idle_seconds": LONG, **limits}
        listener = socket.create_server(("127.0.0.1", 0))
        door = Door(runner.server, Limits(**wanted), tls, error_page)  # type: ignore[arg-type]
        door.open([listener])
        houses.append((runner, House(door, listener, tls)))
        return houses[-1][1]

    yield make
    for runner, house in houses:
        house.door.stop_accepting()
        await runner.cleanup()
        house.door.abort_all()
        house.listener.close()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    authority = Authority.open(tmp_path_factory.mktemp("tls") / "trust", "localhost", "A school")
    return ssl_context(authority.ensure_server_certificate(["localhost"], ["127.0.0.1"]))


async def test_a_client_with_slow_headers_goes_while_another_is_served(build: Build) -> None:
    house = await build(header_seconds=SHORT)
    slow, other = await house.client(), await house.client()

    async def trickle() -> None:
        with suppress(ConnectionError):
            for byte in GET[:-2] * 1000:
                slow.send(bytes([byte]))
                await slow.writer.drain()
                await asyncio.sleep(0.01)

    trickling = asyncio.create_task(trickle())
    other.send(GET)
    assert b"come in" in await other.answer()
    assert await slow.closed() == b""
    trickling.cancel()


async def test_a_client_that_says_nothing_goes(build: Build) -> None:
    house = await build(header_seconds=SHORT)
    assert await (await house.client()).closed() == b""


async def test_the_deadline_counts_for_each_request_of_a_connection(build: Build) -> None:
    house = await build(header_seconds=SHORT)
    client = await house.client()
    for _ in range(3):
        client.send(GET)
        assert b"200 OK" in await client.answer()
    client.send(HALF)
    assert await client.closed() == b""


async def test_a_pause_between_requests_is_no_slow_header(build: Build) -> None:
    house = await build(header_seconds=SHORT)
    client = await house.client()
    client.send(GET)
    await client.answer()
    assert await (await house.client()).closed() == b""  # one deadline has passed meanwhile
    client.send(GET)
    assert b"come in" in await client.answer()


async def test_an_idle_connection_is_closed_after_its_time(build: Build) -> None:
    house = await build(idle_seconds=SHORT)
    client = await house.client()
    client.send(GET)
    await client.answer()
    assert await client.closed() == b""


async def test_a_long_answer_is_nobodys_slow_header(build: Build) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow_room(_request: web.Request) -> web.StreamResponse:
        begun.set()
        await go_on.wait()
        return web.Response(text="at last")

    house = await build(slow_room, header_seconds=SHORT)
    client = await house.client()
    client.send(GET)
    await begun.wait()
    assert await (await house.client()).closed() == b""
    go_on.set()
    assert b"at last" in await client.answer()


async def test_a_slow_body_ends_whoever_reads_it(build: Build) -> None:
    async def reading_room(request: web.Request) -> web.StreamResponse:
        try:
            await request.read()
        except SlowBody:
            return web.Response(status=408, text="too slow")
        return web.Response(text="read")

    house = await build(reading_room, body_seconds=SHORT)
    client = await house.client()
    client.send(POST_HALF)
    assert b"too slow" in await client.closed()


async def test_a_body_in_time_is_read_and_a_deadline_does_not_outlive_it(build: Build) -> None:
    async def reading_room(request: web.Request) -> web.StreamResponse:
        return web.Response(body=await request.read())

    house = await build(reading_room, body_seconds=SHORT, header_seconds=SHORT)
    client = await house.client()
    client.send(POST_HALF + b"-whole")
    assert (await client.answer()).endswith(b"half-whole")
    assert await (await house.client()).closed() == b""
    client.send(GET)
    assert b"200 OK" in await client.answer()


async def test_a_client_that_never_reads_goes(build: Build) -> None:
    ended = asyncio.Event()

    async def endless_room(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        try:
            await response.prepare(request)
            while True:
                await response.write(bytes(1 << 16))
        finally:
            ended.set()

    house = await build(endless_room, body_seconds=SHORT)
    client = await house.client()
    client.writer.transport.pause_reading()  # type: ignore[attr-defined]
    client.send(GET)
    await asyncio.wait_for(ended.wait(), PATIENCE)


async def test_over_the_cap_the_longest_idle_connection_makes_room(build: Build) -> None:
    house = await build(connections=3)
    clients = [await house.client() for _ in range(3)]
    for client in clients:
        client.send(GET)
        await client.answer()
    newcomer = await house.client()
    newcomer.send(GET)
    assert b"come in" in await newcomer.answer()
    assert await clients[0].closed() == b""
    for client in clients[1:]:
        client.send(GET)
        assert b"come in" in await client.answer()


async def test_over_the_cap_with_everybody_busy_the_newcomer_goes(build: Build) -> None:
    begun: asyncio.Queue[None] = asyncio.Queue()
    go_on = asyncio.Event()

    async def busy_room(_request: web.Request) -> web.StreamResponse:
        begun.put_nowait(None)
        await go_on.wait()
        return web.Response(text="done")

    house = await build(busy_room, connections=2)
    clients = [await house.client() for _ in range(2)]
    for client in clients:
        client.send(GET)
        await begun.get()
    newcomer = await house.client()
    assert await newcomer.closed() == b""
    go_on.set()
    for client in clients:
        assert b"done" in await client.answer()


async def test_a_slow_handshake_goes_while_another_client_is_served(build: Build, tls: ssl.SSLContext) -> None:
    house = await build(tls=tls, header_seconds=SHORT)
    silent = await house.client(tls=False)
    other = await house.client()
    other.send(GET)
    assert b"come in" in await other.answer()
    assert await silent.closed() == b""


async def test_unfinished_handshakes_count_and_make_room(build: Build, tls: ssl.SSLContext) -> None:
    house = await build(tls=tls, connections=2)
    silent = [await house.client(tls=False) for _ in range(2)]
    client = await house.client()
    client.send(GET)
    assert b"come in" in await client.answer()
    assert await silent[0].closed() == b""


async def test_what_is_no_tls_is_turned_away(build: Build, tls: ssl.SSLContext) -> None:
    house = await build(tls=tls)
    client = await house.client(tls=False)
    client.send(GET)
    await client.closed()
    other = await house.client()
    other.send(GET)
    assert b"come in" in await other.answer()


async def test_newcomers_wait_for_the_next_door_at_the_same_socket(build: Build) -> None:
    first, second = await build(), await build()
    first.door.stop_accepting()
    client = await first.client()
    client.send(GET)
    second.door.open([first.listener])
    assert b"come in" in await client.answer()


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01" + SECRET + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n" + SECRET + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"X: " + SECRET * 2000 + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
)
async def test_what_cannot_be_read_is_answered_without_repeating_it(build: Build, sent: bytes) -> None:
    house = await build()
    client = await house.client()
    client.send(sent)
    answer = await client.closed()
    assert b"400" in answer.split(b"\r\n")[0]
    assert b"sorry" in answer
    assert SECRET not in answer


async def test_a_room_that_fails_says_sorry_and_the_log_names_no_client(
    build: Build, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken_room(_request: web.Request) -> web.StreamResponse:
        raise LookupError("the floor")

    house = await build(broken_room)
    client = await house.client()
    with caplog.at_level(logging.DEBUG):
        client.send(GET)
        answer = await client.closed()
    assert b"500" in answer
    assert b"sorry" in answer
    assert b"floor" not in answer
    assert "the floor" in caplog.text
    port = str(client.writer.get_extra_info("sockname")[1])
    assert all("127.0.0.1" not in record.getMessage() for record in caplog.records if record.name != "asyncio")
    assert port not in caplog.text


class Heard(logging.Handler):
    """Sets ``heard`` when something is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.set()


class Words(bytearray):
    """Something that can be seen to be gone."""


@pytest.mark.parametrize("reads", [True, False])
async def test_what_was_said_is_let_go_of_while_the_connection_waits(build: Build, reads: bool) -> None:
    requests: list[web.Request] = []
    answers: list[ref[Words]] = []

    async def room(request: web.Request) -> web.StreamResponse:
        if reads:
            assert await request.text() == "a child's words"
        words = Words(b"come in")
        requests.append(request)
        answers.append(ref(words))
        return web.Response(body=words)

    client = await (await build(room)).client()
    for _ in range(2):
        client.send(b"POST / HTTP/1.1\r\nHost: box\r\nContent-Length: 15\r\n\r\na child's words")
        assert b"come in" in await client.answer()
        async with asyncio.timeout(PATIENCE):
            while answers[-1]() is not None:
                await asyncio.sleep(0)
    assert len(requests) == 2
    for request in requests:
        assert request._read_bytes is None
        assert request.content.at_eof()


async def test_without_file_descriptors_newcomers_wait_and_are_served_later(build: Build) -> None:
    house = await build()
    ear = Heard()
    logging.getLogger("appliance.web.deadline").addHandler(ear)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    newcomer = socket.create_connection(house.listener.getsockname())
    newcomer.setblocking(False)
    free = os.dup(0)
    os.close(free)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
        await asyncio.wait_for(ear.heard.wait(), PATIENCE)
    finally:
        logging.getLogger("appliance.web.deadline").removeHandler(ear)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    client = Client(*await asyncio.open_connection(sock=newcomer))
    client.send(GET)
    assert b"come in" in await client.answer()


async def test_many_slow_clients_do_not_keep_others_out(build: Build) -> None:
    house = await build(header_seconds=LONG, connections=50)
    slow = [await house.client() for _ in range(200)]
    for client in slow:
        client.send(HALF)
    for _ in range(20):
        client = await house.client()
        client.send(GET)
        assert b"come in" in await client.answer()
        client.writer.close()
