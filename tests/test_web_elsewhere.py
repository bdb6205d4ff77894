"""Somebody else's host name leads to the pages made for that and nowhere else; plain HTTP leads to nothing of ours."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from accounts import no_store_is_left_open
from aiohttp import web

from appliance.errors import PluginError
from appliance.hookspecs import Page, Permission
from appliance.registered import Registered, check_registered
from appliance.testing import HELP_SEEKING, Box, Home, Running, free_port, start_in_process
from appliance.web.sites import Hosts

__all__ = ["no_store_is_left_open"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLUGIN = '''
from aiohttp import web
from appliance.api import *

class Plugin:
    """Says that a site is blocked."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        self.appliance = appliance

    @hook
    def register_pages(self):
        return [
            Page("elsewhere", "POST", "/form", self.form, Permission.PUBLIC),
            Page("elsewhere", "GET", "/{anything:.*}", self.blocked, Permission.PUBLIC),
            Page("staff", "GET", "/blocks/secret", self.secret, Permission.PUBLIC),
            Page("staff", "GET", "/blocks/on", self.on, Permission.PUBLIC),
        ]

    async def blocked(self, request):
        answer = web.Response(text=f"{request.host} is blocked", status=403)
        answer.set_cookie("taste", "sweet")
        answer.headers["Cache-Control"] = "public, max-age=600"
        return answer

    async def form(self, request):
        return web.json_response(await read_form(request))

    async def on(self, request):
        self.appliance.second_authority.ask(lambda host, address: address == "127.0.0.1")
        await self.appliance.second_authority.on(Actor("Ida", frozenset({Permission.OPERATE})), "a test", "/blocks")
        return web.Response(text="on")

    async def secret(self, request):
        return web.Response(text="a page of ours")
'''
SECOND = PLUGIN.replace('"/blocks/', '"/second/').replace("is blocked", "is mine")
FOREIGN = "blocked.example"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("elsewhere") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    home.add_plugin(PLUGIN, "blocks")
    home.add_plugin(SECOND, "second")
    home.trust_plugins()
    home.write("plugins: {blocks: {}, second: {}}\n", "web: {domain: box.internal, port: 9443}\n" + EXEMPT)
    found = await start_in_process(home)
    yield found
    await found.stop()


EXEMPT = "exempt: {help_seeking_file: help_seeking.yaml}\n"


async def ask(
    port: int, host: str, path: str = "/", method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], str]:
    data = {"a": "b"} if method == "POST" else None
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.request(
            method,
            f"http://127.0.0.1:{port}{path}",
            data=data,
            headers={"Host": host, **headers},
            allow_redirects=False,
        ) as answer,
    ):
        return answer.status, dict(answer.headers), await answer.text(errors="replace")


async def raw(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    async with asyncio.timeout(10):
        found = await reader.read()
    writer.close()
    return found


@pytest.mark.parametrize(
    "path", ["/", "/a/b?c=d", "/status", "/blocks/secret", "/sign-in", "/live", "//x", "/.git/config"]
)
async def test_any_path_under_a_foreign_name_leads_to_the_plugins_page(running: Running, path: str) -> None:
    for port in (running.http_port, running.port):
        status, _, text = await ask(port, FOREIGN, path)
        assert (status, text) == (403, "blocked.example is blocked")


async def test_nothing_that_is_said_under_a_foreign_name_lasts(running: Running) -> None:
    for port in (running.http_port, running.port):
        _, headers, _ = await ask(port, FOREIGN)
        assert headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in headers
        assert "Strict-Transport-Security" not in headers  # it would bind the real site
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
    _, headers, _ = await ask(running.http_port, FOREIGN, "/static/app.css")
    assert headers["Cache-Control"] == "no-store"


async def test_files_of_the_page_are_there_under_any_name(running: Running) -> None:
    for host in (FOREIGN, "a_b.c.example", "xn--bcher-kva.example"):
        status, headers, text = await ask(running.http_port, host, "/static/app.css")
        assert (status, headers["Content-Type"]) == (200, "text/css; charset=utf-8")
        assert "--paper" in text


@pytest.mark.parametrize("host", ["staff.box.internal", "pupil.box.internal", "endpoint.box.internal", "box.internal"])
@pytest.mark.parametrize("path", ["/", "/blocks/secret?x=1", "/static/app.css", "//evil.example/x"])
async def test_plain_http_leads_our_own_names_to_https(running: Running, host: str, path: str) -> None:
    status, headers, text = await ask(running.http_port, f"{host}:80", path)
    assert (status, text) == (308, "")
    assert headers["Location"] == f"https://{host}:9443{path}"


async def test_an_address_of_ours_is_led_to_https_too(running: Running) -> None:
    _, headers, _ = await ask(running.http_port, f"127.0.0.1:{running.http_port}", "/status")
    assert headers["Location"] == "https://127.0.0.1:9443/status"


async def test_a_form_sent_to_us_in_the_clear_is_not_passed_on(running: Running) -> None:
    status, headers, _ = await ask(running.http_port, "staff.box.internal", "/sign-in", "POST")
    assert status == 421
    assert "Location" not in headers


@pytest.mark.parametrize(
    "host",
    [
        *(
            "other.box.internal",
            "a.staff.box.internal",
            "x.localhost",
            "10.9.9.9",
            "1.2.3",
            "0x7f000001",
            "single",
            "-",
        ),
        *("a..example", "<b>.example", "a b.example", "é.example", f"{'a' * 64}.example", f"{'a.' * 127}example", ""),
    ],
)
async def test_what_is_no_name_of_anybody_is_refused(running: Running, host: str) -> None:
    for port in (running.http_port, running.port):
        found = await raw(port, b"GET /x HTTP/1.1\r\nHost: " + host.encode() + b"\r\nConnection: close\r\n\r\n")
        assert found.split(b" ")[1] in {b"400", b"421"}, found[:200]
        assert b"is blocked" not in found


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: blocked.example\r\nHost: staff.box.internal\r\n",
        b"GET http://staff.box.internal/blocks/secret HTTP/1.1\r\nHost: blocked.example\r\n",
        b"GET http://blocked.example/ HTTP/1.1\r\nHost: staff.box.internal\r\n",
        b"GET /blocks/secret HTTP/1.1\r\nHost: staff.box.internal@blocked.example\r\n",
    ],
)
async def test_two_names_at_once_lead_nowhere(running: Running, head: bytes) -> None:
    for port in (running.http_port, running.port):
        found = await raw(port, head + b"Connection: close\r\n\r\n")
        assert found.split(b" ")[1] in {b"400", b"421"}
        assert b"a page of ours" not in found


async def test_a_cookie_is_worth_nothing_under_a_foreign_name(running: Running) -> None:
    status, _, text = await ask(running.port, FOREIGN, "/", Cookie=f"__Host-session={running.cookie}")
    assert (status, text) == (403, "blocked.example is blocked")


async def test_a_form_under_a_foreign_name_must_come_from_there(running: Running) -> None:
    same = f"http://{FOREIGN}"
    assert (await ask(running.http_port, FOREIGN, "/form", "POST", Origin=same))[2] == '{"a": "b"}'
    for origin in ("https://blocked.example", "http://evil.example", "null"):
        status, _, text = await ask(running.http_port, FOREIGN, "/form", "POST", Origin=origin)
        assert status == 403
        assert "{" not in text
    assert (await ask(running.http_port, FOREIGN, "/form", "POST"))[0] == 403


async def test_the_pages_elsewhere_belong_to_one_plugin(running: Running) -> None:
    assert "is mine" not in (await ask(running.http_port, FOREIGN))[2]
    await running.appliance.health.refresh()
    assert any("blocks has the pages" in check.words for check in running.appliance.health.checks())


async def test_without_such_pages_a_foreign_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    (tmp_path / "home" / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(tmp_path / "home", free_port(), free_port())
    home.write("")
    found = await start_in_process(home)
    try:
        for port, path in ((found.port, "/"), (found.http_port, "/"), (found.http_port, "/static/app.css")):
            assert (await ask(port, FOREIGN, path))[0] == 421
    finally:
        await found.stop()


async def test_a_page_elsewhere_that_is_not_public_is_refused() -> None:
    async def view(_request: web.Request) -> web.Response:
        return web.Response()

    page = Page("elsewhere", "GET", "/x", view, Permission.OPERATE)
    with pytest.raises(PluginError, match="nobody signs in"):
        check_registered(Registered("blocks", None, Path(), "", (), pages=(page,)), {})


async def test_elsewhere_is_there_only_when_somebody_has_pages_for_it() -> None:
    assert not Hosts("box.internal").is_elsewhere(FOREIGN)
    assert Hosts("box.internal", elsewhere=True).is_elsewhere("BLOCKED.Example.:80")


async def test_a_whole_box_goes_on_with_a_held_port_takes_another_one_and_answers_over_tls(
    tmp_path: Path, start_box: Callable[[Home], Box]
) -> None:
    (tmp_path / "home").mkdir(mode=0o755)
    (tmp_path / "home" / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(tmp_path / "home", free_port(), free_port())
    home.add_plugin(PLUGIN, "blocks")
    home.trust_plugins()
    web_settings = 'web: {{listen: ["127.0.0.1"], port: {port}, http_port: {plain}}}\n'
    with socket.create_server(("127.0.0.1", 0)) as holder:
        held = holder.getsockname()[1]
        home.write("plugins: {blocks: {}}\n", web_settings.format(port=home.web_port, plain=held) + EXEMPT)
        box = start_box(home)
        await box.ready()
        assert f"Port {held} is held by" in box.cli("status").stdout
    free = free_port()
    home.write("plugins: {blocks: {}}\n", web_settings.format(port=home.web_port, plain=free) + EXEMPT)
    assert box.cli("reload").returncode == 0
    assert (await ask(free, FOREIGN))[2] == f"{FOREIGN} is blocked"
    _, headers, _ = await ask(free, "staff.localhost", "/sign-in")
    assert headers["Location"] == f"https://staff.localhost:{home.web_port}/sign-in"
    assert "Plain HTTP" not in box.cli("status").stdout

    assert (await box.get("/blocks/on")).text == "on"
    trusted = ssl.create_default_context(cafile=home.state / "trust" / "second" / "certificate.pem")
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.get(
            f"https://127.0.0.1:{home.web_port}/x", headers={"Host": FOREIGN}, ssl=trusted, server_hostname=FOREIGN
        ) as answer,
    ):
        assert await answer.text() == f"{FOREIGN} is blocked"
