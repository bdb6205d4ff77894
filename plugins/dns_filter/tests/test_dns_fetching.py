"""Lists are fetched over HTTPS: only if changed, bounded, and never from inside the school."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from appliance.clock import now, stamp
from appliance.trust import Authority, ssl_context
from appliance_plugins.dns_filter.answerer.table import SUFFIX, Table
from appliance_plugins.dns_filter.answerer.wire import to_wire
from appliance_plugins.dns_filter.lists import catalogue as catalogue_module
from appliance_plugins.dns_filter.lists.catalogue import Catalogue, SourceState
from appliance_plugins.dns_filter.lists.fetching import Fetched, Fetcher, Known, Unreachable
from appliance_plugins.dns_filter.lists.sources import Spec

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Keeper:
    """Somebody who keeps a list on a server with a certificate of our own."""

    base: str
    trusted: ssl.SSLContext
    stranger: ssl.SSLContext
    asked: list[web.BaseRequest] = field(default_factory=list)
    content: bytes = b"a.example\n"
    etag: str = '"one"'
    answer: Answer | None = None

    def fetcher(self, most: int = 10_000, private: tuple[str, ...] = ("localhost",), proxy: str = "") -> Fetcher:
        return Fetcher(proxy, most, private, self.trusted)

    async def reply(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        if self.answer is not None:
            return await self.answer(request)
        if request.headers.get("If-None-Match") == self.etag:
            return web.Response(status=304)
        headers = {"ETag": self.etag, "Last-Modified": "Mon, 02 Nov 2026 10:00:00 GMT"}
        return web.Response(body=self.content, headers=headers)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    folder = tmp_path_factory.mktemp("keeper")
    made = Authority.open(folder / "trust", "localhost", "Keeper")
    certificate = made.ensure_server_certificate(("localhost",), ("127.0.0.1",))
    return ssl_context(certificate), ssl.create_default_context(cadata=made.certificate_pem.decode())


@pytest.fixture
async def keeper(authority: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[Keeper]:
    server_side, trusted = authority
    app = web.Application()
    found = Keeper("", trusted, ssl.create_default_context())
    app.router.add_get("/{path:.*}", found.reply)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=server_side)
    await site.start()
    found.base = f"https://localhost:{site._server.sockets[0].getsockname()[1]}"  # type: ignore[union-attr]
    yield found
    await runner.cleanup()


async def fetch(fetcher: Fetcher, url: str, folder: Path, known: Known | None = None) -> tuple[Fetched, bytes]:
    into = folder / "fetched"
    got = await fetcher.fetch(url, known or Known(), into, lambda octets, total: None)
    return got, into.read_bytes() if into.exists() else b""


async def refused(fetcher: Fetcher, url: str, folder: Path) -> str:
    with pytest.raises(Unreachable) as caught:
        await fetch(fetcher, url, folder)
    assert caught.value.todo
    return caught.value.what


async def test_what_has_not_changed_is_not_sent_again(keeper: Keeper, tmp_path: Path) -> None:
    got, content = await fetch(keeper.fetcher(), f"{keeper.base}/list", tmp_path)
    assert (got.changed, got.etag, content) == (True, '"one"', b"a.example\n")
    (tmp_path / "fetched").unlink()
    again, content = await fetch(keeper.fetcher(), f"{keeper.base}/list", tmp_path, Known(got.etag, got.modified))
    assert (again, content) == (Fetched(False, got.etag, got.modified), b"")
    assert keeper.asked[1].headers["If-Modified-Since"] == got.modified


async def test_what_cannot_be_reached_is_said_in_words_that_promise_no_copy(keeper: Keeper, tmp_path: Path) -> None:
    with pytest.raises(Unreachable) as caught:
        await fetch(keeper.fetcher(), "https://nobody.invalid/a", tmp_path)
    assert caught.value.what == (
        "The name nobody.invalid was not found: either it is wrong, or this box does not reach the internet."
    )
    assert caught.value.todo == "It is tried again within the hour."
    with socket.socket() as held:  # a port at which nobody listens
        held.bind(("127.0.0.1", 0))
        fetcher, url = keeper.fetcher(private=("127.0.0.1",)), f"https://127.0.0.1:{held.getsockname()[1]}/a"
        assert await refused(fetcher, url, tmp_path) == "127.0.0.1 cannot be reached: connection refused."


async def test_progress_is_told(keeper: Keeper, tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    keeper.content = b"a.example\n" * 500
    await keeper.fetcher().fetch(keeper.base, Known(), tmp_path / "f", lambda *each: heard.append(each))
    assert heard[-1] == (5000, 5000)


@pytest.mark.parametrize("says_how_long", [True, False])
async def test_a_list_that_is_too_large_is_refused(keeper: Keeper, tmp_path: Path, says_how_long: bool) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        if says_how_long:
            response.content_length = 10_000_000
        await response.prepare(request)
        while True:
            await response.write(b"x" * 1000)

    keeper.answer = endless
    assert "larger than 1 MB" in await refused(keeper.fetcher(1_000_000), keeper.base, tmp_path)


async def test_private_addresses_are_not_asked_unless_the_settings_name_them(keeper: Keeper, tmp_path: Path) -> None:
    fetcher = keeper.fetcher(private=())
    assert "localhost is at " in await refused(fetcher, keeper.base, tmp_path)
    for host in (
        *("127.0.0.1", "10.0.0.1", "[::1]", "[::ffff:192.168.1.1]", "169.254.169.254", "[fd00::1]", "0.0.0.0"),
        *("127.1", "2130706433", "0177.0.0.1", "0x7f.1", "127.0.0.1."),  # the system takes them for 127.0.0.1
        *("[64:ff9b::a00:1]", "[2002:a00:1::1]", "[64:ff9b:1::a00:1]", "[::7f00:1]"),  # an IPv4 address in them
    ):
        assert "not an address of the internet" in await refused(fetcher, f"https://{host}/list", tmp_path)
    assert "not written in plain letters" in await refused(fetcher, "https://①②⑦.0.0.1/list", tmp_path)
    assert keeper.asked == []


async def test_redirects_are_followed_to_https_alone_and_never_inside(keeper: Keeper, tmp_path: Path) -> None:
    targets = {
        "/moved": "/list",
        "/plain": "http://localhost/list",
        "/inside": "https://10.0.0.1/list",
        "/round": "/round",
    }

    async def lead(request: web.Request) -> web.StreamResponse:
        target = targets.get(request.path)
        return (
            web.Response(body=b"a.example\n")
            if target is None
            else web.Response(status=302, headers={"Location": target})
        )

    keeper.answer = lead
    _, content = await fetch(keeper.fetcher(), f"{keeper.base}/moved", tmp_path)
    assert content == b"a.example\n"
    assert "not HTTPS" in await refused(keeper.fetcher(), f"{keeper.base}/plain", tmp_path)
    assert "10.0.0.1" in await refused(keeper.fetcher(), f"{keeper.base}/inside", tmp_path)
    assert "without end" in await refused(keeper.fetcher(), f"{keeper.base}/round", tmp_path)
    assert "not HTTPS" in await refused(keeper.fetcher(), "http://localhost/list", tmp_path)


async def test_a_certificate_must_be_one_to_trust(keeper: Keeper, tmp_path: Path) -> None:
    assert (
        "certificate"
        in (await refused(Fetcher("", 1000, ("localhost",), keeper.stranger), keeper.base, tmp_path)).lower()
    )


async def test_other_answers_and_broken_connections_are_said_in_words(keeper: Keeper, tmp_path: Path) -> None:
    async def gone(request: web.Request) -> web.StreamResponse:
        if request.path == "/cut":
            response = web.StreamResponse()
            response.content_length = 1000
            await response.prepare(request)
            await response.write(b"a.example\n")
            assert request.transport is not None
            request.transport.abort()
            return response
        return web.Response(status=404)

    keeper.answer = gone
    assert "answers 404 Not Found." in await refused(keeper.fetcher(), keeper.base, tmp_path)
    assert "cannot be fetched" in await refused(keeper.fetcher(), f"{keeper.base}/cut", tmp_path)
    assert "localhost cannot be reached" in await refused(keeper.fetcher(), "https://localhost:1/", tmp_path)


async def test_a_proxy_is_used(keeper: Keeper, tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        words = await refused(keeper.fetcher(proxy=f"http://127.0.0.1:{port}"), "https://lists.example/list", tmp_path)
    assert asked == [b"CONNECT lists.example:443 HTTP/1.1\r\n"]
    assert "lists.example" in words


# Together with what is kept


class Box:
    """A catalogue with one list of the keeper."""

    def __init__(self, folder: Path, keeper: Keeper, **fields: Any) -> None:
        self.folder = folder
        self.spec = replace(Spec("ads", "page", url=f"{keeper.base}/list", every=timedelta(hours=24)), **fields)
        self.catalogue = Catalogue(folder / "lists", keeper.fetcher(), 1)

    async def open(self) -> Box:
        await self.catalogue.open()
        self.catalogue.use([self.spec])
        await self.catalogue.refresh()
        return self

    @property
    def state(self) -> SourceState:
        return self.catalogue.states[0]

    def blocks(self, name: str) -> bool:
        table = Table.open(self.folder / "lists" / (self.catalogue.table + SUFFIX))
        try:
            return table.find(to_wire(name)) != 0
        finally:
            table.close()


async def test_a_fetched_list_is_looked_at_again_when_it_is_due(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper.content = gzip.compress(b"0.0.0.0 a.example\n")
    box = await Box(tmp_path, keeper).open()
    assert box.blocks("a.example")
    await box.catalogue.refresh()
    box = await Box(tmp_path, keeper).open()  # nor after a restart
    assert len(keeper.asked) == 1
    monkeypatch.setattr(catalogue_module, "now", lambda: now() + timedelta(hours=27))
    await box.catalogue.refresh()
    assert [request.headers.get("If-None-Match") for request in keeper.asked] == [None, '"one"']
    keeper.content, keeper.etag = b"0.0.0.0 b.example\n", '"two"'
    await box.catalogue.refresh(anyway=True)
    assert (box.blocks("a.example"), box.blocks("b.example")) == (False, True)
    assert list((tmp_path / "lists" / "fetched").iterdir()) == []


async def test_a_fault_of_the_keeper_costs_only_updates(
    keeper: Keeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = await Box(tmp_path, keeper).open()
    keeper.content, keeper.etag = b"<html><title>Gone</title></html>", '"page"'
    await box.catalogue.refresh(anyway=True)
    assert box.state.trouble is not None
    assert box.blocks("a.example")
    asked = len(keeper.asked)
    await box.catalogue.refresh()
    assert len(keeper.asked) == asked  # not again at once
    monkeypatch.setattr(catalogue_module, "now", lambda: now() + timedelta(minutes=61))
    keeper.content, keeper.etag = b"b.example\n", '"good"'
    await box.catalogue.refresh()
    assert box.state.trouble is None
    assert box.blocks("b.example")


async def test_another_category_or_address_is_not_answered_with_as_it_was(keeper: Keeper, tmp_path: Path) -> None:
    await Box(tmp_path, keeper, category="games").open()
    box = await Box(tmp_path, keeper, category="adult").open()
    assert box.catalogue.facts()["ads"].category == "adult"


async def test_a_checksum_must_fit(keeper: Keeper, tmp_path: Path) -> None:
    box = await Box(tmp_path, keeper, sha256="0" * 64).open()
    assert "SHA-256" in str(box.state.trouble)
    assert not box.blocks("a.example")


async def test_going_back_lasts_until_the_keeper_changes_something(keeper: Keeper, tmp_path: Path) -> None:
    box = await Box(tmp_path, keeper).open()
    keeper.content, keeper.etag = b"b.example\n", '"two"'
    await box.catalogue.refresh(anyway=True)
    box.catalogue.go_back("ads")
    await box.catalogue.rebuild()
    await box.catalogue.refresh(anyway=True)
    assert (box.blocks("a.example"), box.blocks("b.example")) == (True, False)
    keeper.content, keeper.etag = b"c.example\n", '"three"'
    await box.catalogue.refresh(anyway=True)
    assert box.blocks("c.example")
    assert box.state.kept.checked_at <= stamp()
