"""The live stream, and a server that stops in time whatever clients do."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from appliance.access import Role
from appliance.clock import now
from appliance.hookspecs import Permission
from appliance.live import EXPECTED_SECONDS, MOST_KEPT, QUEUE_LIMIT, Live
from appliance.sealing import Keys, new_pair
from appliance.testing import Client, Home, Running
from appliance.web import live
from appliance.web.guard import SECURITY_HEADERS
from appliance.web.pages import COOKIE
from appliance.web.server import WebServer

Start = Callable[[Home], Awaitable[Running]]

PATIENCE = 20.0
STOP_SECONDS = 2.0

PLUGIN = """
import asyncio
from aiohttp import web
from appliance.api import *

class Plugin:
    class Settings(Section):
        pass

    def __init__(self, appliance, settings):
        pass

    @hook
    def register_pages(self):
        return [Page("staff", "GET", "/stuck", self.stuck, Permission.PUBLIC)]

    async def stuck(self, request):
        for _ in range(2):  # it does not listen the first times
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass
        return web.Response()
"""


class Stream:
    """An open ``/live``, as a browser holds it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.head = b""
        self.last: dict[str, Any] = {}

    async def piece(self) -> str:
        """The next piece up to an empty line, without the framing of chunks."""
        while True:
            found = await asyncio.wait_for(self.reader.readuntil(b"\n\n"), PATIENCE)
            text = found.split(b"\r\n")[-1].decode().strip()
            if text:
                return text

    async def message(self) -> tuple[str, object]:
        """The next message: its topic and data."""
        while True:
            _, is_one, data = (await self.piece()).rpartition("data: ")
            if is_one:
                self.last = json.loads(data)
                return self.last["topic"], self.last["data"]

    async def ended(self) -> None:
        """Wait until the server ends the stream."""
        with suppress(asyncio.IncompleteReadError):  # the last chunk is empty, unless the connection ends before it
            await asyncio.wait_for(self.reader.readuntil(b"\r\n0\r\n\r\n"), PATIENCE)


@asynccontextmanager
async def opened(client: Client, cookie: str | None = None, since: str = "", heard: str = "") -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", client.port)
    cookie = client.cookie if cookie is None else cookie
    writer.write(
        f"GET /live?since={since} HTTP/1.1\r\nHost: staff.localhost:{client.port}\r\n"
        f"Cookie: {COOKIE}={cookie}\r\nLast-Event-ID: {heard}\r\n\r\n".encode()
    )
    stream = Stream(reader, writer)
    stream.head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
    yield stream
    writer.close()


async def test_what_happens_comes_at_once(appliance_home: Home, start_appliance: Start) -> None:
    running = await start_appliance(appliance_home)
    async with opened(running) as stream:
        assert b"200 OK" in stream.head
        assert b"text/event-stream" in stream.head
        for name, value in SECURITY_HEADERS.items():
            assert f"{name}: {value}".encode() in stream.head
        assert b"Cache-Control: no-store" in stream.head
        assert (await stream.piece()).startswith("retry: ")
        running.appliance.live.publish("visitors.arrived", {"name": "line\nbreak </script>"}, Permission.OPERATE)
        running.appliance.live.publish("visitors.left", [{"name": "Bo"}], Permission.SEE_ACTIVITY)
        assert await stream.message() == ("visitors.arrived", {"name": "line\nbreak </script>"})
        assert await stream.message() == ("visitors.left", [{"name": "Bo"}])


async def test_nobody_without_a_session_gets_a_stream(appliance_home: Home, start_appliance: Start) -> None:
    running = await start_appliance(appliance_home)
    async with opened(running, cookie="wrong") as stream:
        assert b"403" in stream.head


async def test_a_browser_on_its_way_to_an_account_gets_no_stream(appliance_home: Home, start_appliance: Start) -> None:
    running = await start_appliance(appliance_home)
    code = await running.appliance.staff.new_setup_link(again=True)
    answer = await running.post("/set-up", {"code": code}, signed_in=False)
    async with opened(running, cookie=answer.headers["Set-Cookie"].split(";")[0].partition("=")[2]) as stream:
        assert b"403" in stream.head


async def test_a_stream_ends_when_its_session_does(appliance_home: Home, start_appliance: Start) -> None:
    running = await start_appliance(appliance_home)
    staff, lead, other = running.appliance.staff, await running.as_role("lead"), await running.as_role("dpo")
    async with opened(lead) as signed_out, opened(other) as disabled, opened(running) as still_good:
        for stream in (signed_out, disabled, still_good):
            await stream.piece()
        await staff.disable(lead.actor, other.account, "left the school")
        await disabled.ended()
        assert (await lead.post("/sign-out")).status == 200
        await signed_out.ended()
        running.appliance.live.publish("visitors.left", {}, Permission.OPERATE)
        assert await still_good.message() == ("visitors.left", {})


async def test_a_change_of_role_ends_the_streams_of_that_account(appliance_home: Home, start_appliance: Start) -> None:
    running = await start_appliance(appliance_home)
    lead, deputy = await running.as_role("lead"), await running.as_role("deputy")
    async with opened(deputy) as stream:
        await stream.piece()
        await running.appliance.staff.set_role(lead.actor, deputy.account, Role.TEACHER)
        await stream.ended()
    async with opened(deputy) as stream:
        assert b"403" in stream.head


async def test_a_session_is_over_when_it_is_too_old(appliance_home: Home, start_appliance: Start) -> None:
    running = await start_appliance(appliance_home)
    sessions = running.appliance.staff.sessions
    session = sessions.find(running.cookie)
    assert session is not None
    waiting = asyncio.create_task(sessions.over(session))
    await asyncio.sleep(0)
    assert not waiting.done()
    waiting.cancel()
    session.expires_at = now()
    await asyncio.wait_for(sessions.over(session), PATIENCE)
    async with opened(running) as stream:
        assert b"403" in stream.head


async def test_a_locked_browser_goes_on_hearing_what_shows_no_content(
    appliance_home: Home, start_appliance: Start
) -> None:
    running = await start_appliance(appliance_home)
    hub, staff = running.appliance.live, running.appliance.staff
    lead = await running.as_role("lead")
    session = staff.sessions.find(lead.cookie)
    assert session is not None
    async with opened(lead) as stream:
        await stream.piece()
        hub.publish("captures.new", {"who": "Ada"}, Permission.SEE_PEOPLE)
        assert await stream.message() == ("captures.new", {"who": "Ada"})
        assert (await lead.post("/lock")).status == 303
        hub.publish("captures.new", {"who": "Bo"}, Permission.SEE_PEOPLE)
        hub.publish("visitors.left", {}, Permission.USE)
        hub.publish("alerts.waiting", {"count": 1}, Permission.SIGNED_IN)
        assert await stream.message() == ("alerts.waiting", {"count": 1})
        staff.sessions.open(session, Keys(lead.account, new_pair()[0]))  # as the password does
        hub.publish("captures.new", {"who": "Cy"}, Permission.SEE_PEOPLE)
        assert await stream.message() == ("captures.new", {"who": "Cy"})
    async with opened(lead) as again:
        await again.piece()
        assert (await lead.post("/lock")).status == 303
    async with opened(lead) as while_locked:
        assert b"200 OK" in while_locked.head
        await while_locked.piece()
        hub.publish("captures.new", {"who": "Di"}, Permission.SEE_PEOPLE)
        hub.publish("alerts.waiting", {"count": 2}, Permission.SIGNED_IN)
        assert await while_locked.message() == ("alerts.waiting", {"count": 2})


async def test_a_message_about_somebody_goes_to_those_who_may_see_them(
    appliance_home: Home, start_appliance: Start
) -> None:
    running = await start_appliance(appliance_home)
    hub, lead, teacher = running.appliance.live, await running.as_role("lead"), await running.as_role("teacher")
    async with opened(lead) as told, opened(teacher) as not_told:
        await told.piece()
        await not_told.piece()
        hub.publish("captures.new", {"who": "Ada"}, Permission.SEE_PEOPLE, [lead.account])
        hub.publish("captures.count", {"count": 1}, Permission.SEE_PEOPLE)
        assert [await told.message() for _ in range(2)] == [
            ("captures.new", {"who": "Ada"}),
            ("captures.count", {"count": 1}),
        ]
        assert await not_told.message() == ("captures.count", {"count": 1})


async def test_a_stream_ends_when_the_appliance_stops(appliance_home: Home, start_appliance: Start) -> None:
    running = await start_appliance(appliance_home)
    async with opened(running) as stream:
        await stream.piece()
        running.appliance.live.close()
        await stream.ended()


async def test_whoever_reads_too_slowly_is_told_that_something_is_missing() -> None:
    hub = Live()
    async with hub.subscribe(lambda: frozenset(Permission)) as subscriber:
        for number in range(QUEUE_LIMIT + 7):
            hub.publish("visitors.arrived", {"number": number}, Permission.OPERATE)
        first = await live._next(hub, subscriber)
        assert json.loads(first.removeprefix(b"data: ")) == {
            "topic": live.DROPPED,
            "data": {"count": 7},
            "from": hub.place(QUEUE_LIMIT + 7),
        }
        second = await live._next(hub, subscriber)
        assert second.startswith(f"id: {hub.place(1)}\ndata: ".encode())
        assert json.loads(second.partition(b"data: ")[2]) == {
            "topic": "visitors.arrived",
            "data": {"number": 0},
            "place": hub.place(1),
        }


async def test_a_quiet_stream_shows_that_it_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.01)
    hub = Live()
    async with hub.subscribe(frozenset) as subscriber:
        hub.publish("visitors.arrived", {}, Permission.OPERATE)
        assert await live._next(hub, subscriber) == f"id: {hub.place(1)}\n\n".encode()  # it was not for this one


async def test_the_server_stops_in_time_with_streams_and_stuck_clients(
    appliance_home: Home, start_appliance: Start
) -> None:
    appliance_home.add_plugin(PLUGIN, "stuck")
    appliance_home.write("plugins: {stuck: {}}\n")
    running = await start_appliance(appliance_home)
    head = f"Host: staff.localhost:{running.port}\r\n\r\n".encode()
    silent = await asyncio.open_connection("127.0.0.1", running.port)
    half = await asyncio.open_connection("127.0.0.1", running.port)
    half[1].write(b"GET / HTTP/1.1\r\nHost:")
    waiting = await asyncio.open_connection("127.0.0.1", running.port)
    waiting[1].write(b"GET /stuck HTTP/1.1\r\n" + head)
    unread = await asyncio.open_connection("127.0.0.1", running.port)
    unread[1].transport.pause_reading()  # type: ignore[attr-defined]
    async with opened(running) as first, opened(running) as second:
        unread[1].write((b"GET /static/app.css HTTP/1.1\r\n" + head) * 500)
        await first.piece()
        await second.piece()
        begun = time.monotonic()
        await running._web.stop()
        assert time.monotonic() - begun < STOP_SECONDS
        await first.ended()
        await second.ended()
    for reader, writer in (silent, half, waiting):
        assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        writer.close()
    unread[1].transport.abort()


async def test_the_next_server_takes_over_at_the_same_socket(appliance_home: Home, start_appliance: Start) -> None:
    running = await start_appliance(appliance_home)
    first, context = running._web, running._web._context
    await first.stop()
    waiting, _ = await asyncio.gather(asyncio.open_connection("127.0.0.1", running.port), asyncio.sleep(0))
    running._sockets[0].settimeout(PATIENCE)
    running._sockets[0].accept()[0].close()  # nobody had taken it out of the queue
    waiting[1].close()
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(f"GET / HTTP/1.1\r\nHost: pupil.localhost:{running.port}\r\n\r\n".encode())
    await writer.drain()
    parts = (running.appliance, running._sockets, None, context.authority, context.certificate)
    second = running._web = WebServer(*parts)
    await second.start()
    assert b"200 OK" in await asyncio.wait_for(reader.readline(), PATIENCE)
    writer.close()
    await second.stop()
    await second.stop()  # nothing happens a second time


async def test_only_what_a_stream_may_see_is_sent_to_it() -> None:
    hub = Live()
    allowed = frozenset({Permission.OPERATE})
    async with hub.subscribe(lambda: allowed, "one") as subscriber:
        hub.publish("visitors.left", {}, Permission.SEE_ACTIVITY)
        hub.publish("visitors.arrived", {}, Permission.OPERATE)
        hub.publish("visitors.greeted", {}, Permission.OPERATE, ["another"])
        hub.publish("visitors.greeted", {}, Permission.OPERATE, [])
        hub.publish("visitors.greeted", {}, Permission.SEE_ACTIVITY, ["one"])
        hub.publish("visitors.seen", {}, Permission.OPERATE, ["another", "one"])
        assert [subscriber.messages.get_nowait().topic for _ in range(2)] == ["visitors.arrived", "visitors.seen"]
        allowed = frozenset({Permission.SEE_ACTIVITY})  # asked anew for every message
        hub.publish("visitors.arrived", {}, Permission.OPERATE)
        hub.publish("visitors.left", {}, Permission.SEE_ACTIVITY)
        assert subscriber.messages.get_nowait().topic == "visitors.left"
        assert subscriber.messages.empty()
    assert not hub.watched


async def test_a_page_is_told_what_came_between_it_and_its_stream(appliance_home: Home, start_appliance: Start) -> None:
    running = await start_appliance(appliance_home)
    hub = running.appliance.live
    hub.publish("visitors.arrived", {"name": "before the page"}, Permission.OPERATE)
    page = (await running.get("/")).text
    found = re.search(r'data-live-place="([0-9a-f]+-\d+)"', page)
    assert found
    hub.publish("visitors.arrived", {"name": "in between"}, Permission.OPERATE)
    hub.publish("visitors.left", {}, Permission.OPERATE, ["somebody else"])
    async with opened(running, since=found[1]) as stream:
        assert await stream.message() == ("visitors.arrived", {"name": "in between"})
        assert stream.last["late"] is True
        hub.publish("visitors.arrived", {"name": "now"}, Permission.OPERATE)
        assert await stream.message() == ("visitors.arrived", {"name": "now"})
        assert "late" not in stream.last
        heard = str(stream.last["place"])
    hub.publish("visitors.arrived", {"name": "while it was away"}, Permission.OPERATE)
    async with opened(running, since=found[1], heard=heard) as stream:
        assert await stream.message() == ("visitors.arrived", {"name": "while it was away"})
        assert stream.last["late"] is True


@pytest.mark.parametrize(
    "since", ["0-0", "nonsense", "{start}-", "{start}-x", "{start}-2", "{start}-\u0663", "{start}-1" + "0" * 5000]
)
async def test_whoever_comes_from_a_place_that_is_not_known_hears_that_something_may_be_missing(since: str) -> None:
    hub = Live()
    start = hub.expect().partition("-")[0]
    hub.publish("visitors.arrived", {}, Permission.OPERATE)
    async with hub.subscribe(lambda: frozenset(Permission), since=since.format(start=start)) as subscriber:
        assert not subscriber.missed
        assert subscriber.dropped == 1


async def test_what_is_kept_of_each_topic_is_bounded() -> None:
    hub = Live()
    place = hub.expect()
    hub.publish("captures.new", {}, Permission.OPERATE)
    for _ in range(MOST_KEPT):
        hub.publish("visitors.arrived", {}, Permission.OPERATE)
    async with hub.subscribe(lambda: frozenset(Permission), since=place) as subscriber:
        assert [one.number for one in subscriber.missed] == list(range(1, MOST_KEPT + 2))
        assert not subscriber.dropped
    hub.publish("visitors.arrived", {}, Permission.OPERATE)
    async with hub.subscribe(lambda: frozenset(Permission), since=place) as subscriber:
        assert subscriber.dropped == 1


async def test_nothing_is_made_when_nobody_looks_or_is_about_to() -> None:
    moment = 0.0
    hub = Live(lambda: moment)
    place = hub.place()
    hub.publish("visitors.arrived", {}, Permission.OPERATE)
    assert hub.place() == place
    hub.expect()
    assert hub.watched
    moment = EXPECTED_SECONDS
    assert not hub.watched
