"""Every answer carries the headers, every route its permission, every form comes from our own pages."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from html import escape
from pathlib import Path

import aiohttp
import pytest
import pytest_asyncio
from accounts import no_store_is_left_open

from appliance.hookspecs import Page, Permission
from appliance.testing import HELP_SEEKING, Answer, Client, Home, Running, free_port, start_in_process
from appliance.web.assets import Assets
from appliance.web.guard import SECURITY_HEADERS
from appliance.web.pages import COOKIE
from appliance.web.views import core_pages

__all__ = ["no_store_is_left_open"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


PLUGIN = '''
import asyncio
from aiohttp import web
from appliance.api import *

class Plugin:
    """Tries everything."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        self.appliance = appliance

    @hook
    def register_pages(self):
        pages = [
            Page("staff", "GET", "/tries/hello", self.hello, Permission.OPERATE),
            Page("staff", "POST", "/tries/form", self.form, Permission.OPERATE),
            Page("staff", "GET", "/tries/public", self.hello, Permission.PUBLIC),
            Page("staff", "GET", "/tries/open", self.open, Permission.PUBLIC),
            Page("staff", "GET", "/tries/loose", self.loose, Permission.OPERATE),
            Page("staff", "GET", "/tries/{broken", self.hello, Permission.OPERATE),
            Page("pupil", "GET", "/tries/hello", self.hello, Permission.PUBLIC),
            Page("pupil", "POST", "/tries/form", self.form, Permission.PUBLIC),
            Page("pupil", "GET", "/tries/staff_only", self.hello, Permission.OPERATE),
            Page("endpoint", "GET", "/tries/hello", self.hello, Permission.PUBLIC),
            Page("endpoint", "POST", "/tries/form", self.form, Permission.PUBLIC),
        ]
        for site in ("staff", "pupil", "endpoint"):
            pages.append(Page(site, "GET", "/tries/fails", self.fails, Permission.PUBLIC))
        return pages

    async def hello(self, request):
        return web.Response(text="hello from a plugin")

    async def open(self, request):
        return render(request, "tries/open.html")

    async def form(self, request):
        return web.json_response(await read_form(request))

    async def loose(self, request):
        return web.Response(text="loose", headers={
            "Content-Security-Policy": "default-src *", "Cache-Control": "public", "Server": "mine"})

    async def fails(self, request):
        raise LookupError("the biscuit tin")
'''


OPEN = '{% extends "layout.html" %}{% block title %}Open{% endblock %}{% block main %}open to all{% endblock %}'
EXEMPT = "exempt: {help_seeking_file: help_seeking.yaml}\n"


def make_home(folder: Path) -> Home:
    """A place for an appliance with the plugin above."""
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    templates = home.add_plugin(PLUGIN, "tries") / "templates"
    templates.mkdir(mode=0o755)
    (templates / "open.html").write_text(OPEN, encoding="utf-8")
    home.write("plugins: {tries: {}}\n")
    return home


@asynccontextmanager
async def started(home: Home) -> AsyncIterator[Running]:
    running = await start_in_process(home)
    yield running
    await running.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    async with started(make_home(tmp_path_factory.mktemp("guard") / "home")) as found:
        yield found


async def ask(
    running: Running, method: str, path: str, headers: Mapping[str, str], data: bytes | None = None
) -> tuple[int, Mapping[str, str], str]:
    """Ask as a stranger with just these headers."""
    url = f"http://127.0.0.1:{running.port}{path}"
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False) as session,
        session.request(method, url, headers=headers, data=data, allow_redirects=False) as response,
    ):
        return response.status, response.headers, await response.text()


def host(running: Running, site: str = "staff") -> str:
    return f"{site}.localhost:{running.port}"


def pages(running: Running) -> Iterator[Page]:
    yield from core_pages(Assets({}))
    yield from (page for _, page in running.appliance.plugins.pages() if "{broken" not in page.path)


def address(page: Page) -> str:
    """The page's path with something in the place of what varies."""
    there = {"name": "app.css", "topic": "signing-in", "to": "on"}
    return re.sub(r"\{(\w+)(:[^}]*)?\}", lambda found: there.get(found[1], "one"), page.path)


async def visit(client: Client, page: Page, signed_in: bool) -> Answer:
    path = address(page)
    if page.method == "GET":
        return await client.get(path, page.site, signed_in=signed_in)
    return await client.post(path, {}, page.site, signed_in=signed_in)


def assert_secured(headers: Mapping[str, str]) -> None:
    for name, value in SECURITY_HEADERS.items():
        assert headers.get(name) == value
    assert "Server" not in headers
    assert "Strict-Transport-Security" not in headers  # the domain is localhost


async def test_every_answer_of_every_route_carries_the_headers(running: Running) -> None:
    visitor = await running.as_role("it")
    # /live never ends, its own test looks; after a lock or a sign-out there is little more to see, so these come last.
    looked_at = [page for page in pages(running) if page.path != "/live"]
    for page in sorted(looked_at, key=lambda page: (page.path == "/lock", page.path == "/sign-out")):
        for signed_in in (False, True):
            answer = await visit(visitor, page, signed_in)
            assert_secured(answer.headers)
            if not page.path.startswith(("/static", "/favicon")):
                assert answer.headers["Cache-Control"] == "no-store", page.path


@pytest.mark.parametrize("site", ["staff", "pupil", "endpoint"])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/", 405),
        ("GET", "/tries/fails", 500),
        ("GET", "/%00", 404),
        ("PUT", "/", 405),
        ("OPTIONS", "/", 405),
    ],
)
async def test_errors_carry_the_headers_and_the_words_of_their_site(
    running: Running, site: str, method: str, path: str, status: int
) -> None:
    headers = {"Host": host(running, site), "Sec-Fetch-Site": "same-origin", "Cookie": f"{COOKIE}={running.cookie}"}
    found, answered, text = await ask(running, method, path, headers)
    assert found == status
    assert_secured(answered)
    assert answered["Cache-Control"] == "no-store"
    assert answered["Content-Type"].startswith("application/json" if site == "endpoint" else "text/html")
    assert "biscuit" not in text or site == "staff"
    if status == 405:
        assert "GET" in answered["Allow"]


async def test_an_answer_that_says_nothing_new_carries_the_headers(running: Running) -> None:
    found = re.search(r'href="(/static/app.css[^"]+)"', (await running.get("/")).text)
    assert found is not None
    own = {"Host": host(running)}
    status, headers, _ = await ask(running, "GET", found[1], own)
    assert status == 200
    assert "immutable" in headers["Cache-Control"]
    status, headers, text = await ask(running, "GET", found[1], {**own, "If-None-Match": headers["ETag"]})
    assert (status, text) == (304, "")
    assert_secured(headers)
    assert "immutable" in headers["Cache-Control"]
    without_hash = await running.get("/static/app.css?v=old")
    assert "immutable" not in without_hash.headers["Cache-Control"]


async def test_what_cannot_be_read_as_a_request_carries_the_headers(running: Running) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.0 400") or answer.startswith(b"HTTP/1.1 400")
    for name, value in SECURITY_HEADERS.items():
        assert f"{name}: {value}".encode() in answer
    assert b"Server:" not in answer


async def test_a_plugin_cannot_loosen_the_headers(running: Running) -> None:
    answer = await running.get("/tries/loose")
    assert answer.text == "loose"
    assert_secured(answer.headers)
    assert answer.headers["Cache-Control"] == "no-store"


SIGN_IN = "<h1>Sign in</h1>"
PROVING = ("/set-up", "/join", "/sign-in", "/connect")
"""Pages that refuse what does not prove anything."""


async def test_without_a_session_only_public_pages_answer(running: Running) -> None:
    for page in pages(running):
        answer = await visit(running, page, signed_in=False)
        if page.permission is Permission.PUBLIC:
            assert (SIGN_IN in answer.text) == (page.path == "/sign-in"), page.path
            assert answer.status != 403 or page.path in PROVING, page.path
        else:
            assert answer.status == 403, page.path
            assert (SIGN_IN in answer.text) == (page.site == "staff"), page.path
            assert "hello from a plugin" not in answer.text


@pytest.mark.parametrize(
    "path", ["/", "/nothing", "/status", "/tries/hello", "/tries/nothing", "/audit?before=3&a=%26"]
)
async def test_the_staff_site_says_how_to_come_in_whatever_was_asked(running: Running, path: str) -> None:
    answer = await running.get(path, signed_in=False)
    assert answer.status == 403
    assert SIGN_IN in answer.text
    assert f'name="wanted" value="{escape(path)}"' in answer.text
    assert 'href="/join"' in answer.text
    assert 'href="/help/open/signing-in"' in answer.text


async def test_a_form_that_a_stranger_sent_is_no_page_to_come_back_to(running: Running) -> None:
    answer = await running.post("/tries/form", signed_in=False)
    assert answer.status == 403
    assert 'name="wanted" value=""' in answer.text


@pytest.mark.parametrize("cookie", ["", "wrong", "é", "a b", "x" * 5000])
async def test_a_cookie_that_is_none_is_a_stranger(running: Running, cookie: str) -> None:
    headers = {"Host": host(running), "Cookie": f"{COOKIE}={cookie}"}
    status, _, text = await ask(running, "GET", "/tries/hello", headers)
    assert (status, SIGN_IN in text) == (403, True)


async def test_a_locked_browser_is_asked_for_the_password_whatever_it_asks_for(running: Running) -> None:
    client = await running.as_role("it", name="Lo <Locked>")
    sent = await client.post("/lock")
    assert (sent.status, sent.headers["Location"]) == (303, "/unlock")
    for path in ("/", "/status?a=1&b=2", "/tries/hello"):
        answer = await client.get(path)
        assert answer.status == 403
        assert "These pages are locked" in answer.text
        assert "Lo &lt;Locked&gt;" in answer.text
        assert f'name="wanted" value="{escape(path)}"' in answer.text
        assert "hello from a plugin" not in answer.text
        assert 'href="/settings"' not in answer.text  # no places either
        assert_secured(answer.headers)
    written = await client.post("/tries/form", {"a": "b"})
    assert (written.status, '"a"' in written.text) == (403, False)
    assert 'name="wanted" value=""' in written.text
    assert (await client.get("/nothing")).status == 404
    assert (await client.get("/tries/public")).text == "hello from a plugin"


async def test_an_idle_browser_is_locked_before_the_next_answer(running: Running) -> None:
    client = await running.as_role("it")
    sessions = running.appliance.staff.sessions
    assert (await client.get("/tries/hello")).status == 200
    clock = sessions._ring.clock
    sessions._ring.clock = lambda: clock() + sessions.idle.total_seconds()
    try:
        answer = await client.get("/tries/hello")
    finally:
        sessions._ring.clock = clock
    assert (answer.status, "These pages are locked" in answer.text) == (403, True)
    running.cookie = (await running.as_role("it")).cookie  # the job that locks idle browsers may have come by


@pytest.mark.parametrize(("path", "kept_open"), [("/tries/hello", True), ("/awake", True), ("/static/app.css", False)])
async def test_only_what_somebody_does_keeps_a_browser_open(running: Running, path: str, kept_open: bool) -> None:
    client = await running.as_role("it")
    sessions = running.appliance.staff.sessions
    clock, half = sessions._ring.clock, sessions.idle.total_seconds() * 0.6
    try:
        sessions._ring.clock = lambda: clock() + half
        await (client.post(path) if path == "/awake" else client.get(path))
        sessions._ring.clock = lambda: clock() + 2 * half
        assert ((await client.get("/tries/hello")).status == 200) == kept_open
    finally:
        sessions._ring.clock = clock
    running.cookie = (await running.as_role("it")).cookie  # as above


async def test_a_page_of_another_site_is_not_there(running: Running) -> None:
    assert (await running.get("/status", "pupil")).status == 404
    assert (await running.get("/tries/loose", "pupil")).status == 404
    assert (await running.get("/set-up", "endpoint")).status == 404
    assert (await running.get("/static/app.css", "endpoint")).status == 404


async def test_a_staff_session_counts_on_no_other_site(running: Running) -> None:
    assert (await running.get("/tries/staff_only", "pupil")).status == 403


@pytest.mark.parametrize("name", ["evil.example", "staff.localhost.evil.example", "", "127.0.0.2.evil", "10.9.8.7"])
async def test_a_name_that_is_not_ours_gets_421_in_words(running: Running, name: str) -> None:
    headers = {"Host": name, "Cookie": f"{COOKIE}={running.cookie}"}
    for path in ("/", "/robots.txt", "/nothing", "/static/app.css"):
        status, answered, text = await ask(running, "GET", path, headers)
        assert status == 421
        assert "does not belong to the safeguarding appliance" in text
        assert "staff.localhost" in text
        assert_secured(answered)


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost", "LOCALHOST."])
async def test_this_machines_own_addresses_lead_to_the_staff_site(running: Running, name: str) -> None:
    status, _, text = await ask(running, "GET", "/", {"Host": f"{name}:{running.port}"})
    assert status == 403
    assert SIGN_IN in text


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("told", "taken"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"}, True),  # no browser sends this
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "none"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "OWN"}, False),
        ({"Origin": "OWN"}, True),
        ({"Origin": "null"}, False),
        ({"Origin": "http://pupil.localhost"}, False),
        ({"Origin": "https://evil.example"}, False),
        ({}, False),
    ],
)
async def test_forms_are_taken_from_our_own_pages_only(running: Running, told: Mapping[str, str], taken: bool) -> None:
    for site in ("staff", "pupil"):
        own = {name: value.replace("OWN", f"http://{host(running, site)}") for name, value in told.items()}
        headers = {"Host": host(running, site), "Cookie": f"{COOKIE}={running.cookie}", **FORM, **own}
        status, _, text = await ask(running, "POST", "/tries/form", headers, b"a=b")
        assert status == (200 if taken else 403), site
        assert ('"a": "b"' in text) == taken
    headers = {"Host": host(running, "endpoint"), **FORM, **told}
    assert (await ask(running, "POST", "/tries/form", headers, b"a=b"))[0] == 200


async def test_every_page_that_changes_something_refuses_a_foreign_form(running: Running) -> None:
    for page in pages(running):
        if page.method == "POST" and page.site != "endpoint":
            headers = {
                "Host": host(running, page.site),
                "Sec-Fetch-Site": "cross-site",
                "Cookie": f"{COOKIE}={running.cookie}",
            }
            status, _, text = await ask(running, "POST", address(page), headers)
            assert (status, "came from another page" in text) == (403, page.site == "staff"), page.path


@pytest.mark.parametrize(
    ("sent", "headers", "status"),
    [
        (b"a=b&c=d%20e", FORM, 200),
        (b"", FORM, 200),
        (b"a=b", {"Content-Type": "text/plain"}, 400),
        (b"{}", {"Content-Type": "application/json"}, 400),
        (b"a=\xff", FORM, 400),
        (b"a=%ff", FORM, 400),
        (b"a=%00", FORM, 400),
        (b"&".join(b"a=b" for _ in range(1000)), FORM, 400),
        (b"a=" + b"b" * 2_000_000, FORM, 413),
    ],
)
async def test_what_is_no_form_is_refused_in_words(
    running: Running, sent: bytes, headers: Mapping[str, str], status: int
) -> None:
    sent_headers = {"Host": host(running, "pupil"), "Sec-Fetch-Site": "same-origin", **headers}
    found, answered, _ = await ask(running, "POST", "/tries/form", sent_headers, sent)
    assert found == status
    assert_secured(answered)


async def first_line(running: Running, *sent: bytes) -> bytes:
    """Send bytes as they are; returns the first line of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    for piece in sent:
        writer.write(piece)
    answer = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    return answer


def form_head(running: Running, more: str) -> bytes:
    return (
        f"POST /tries/form HTTP/1.1\r\nHost: {host(running, 'pupil')}\r\nSec-Fetch-Site: same-origin\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\n{more}\r\n\r\n"
    ).encode()


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("OPTIONS * HTTP/1.1", 404),
        ("GET http://evil.example/ HTTP/1.1", 421),
        ("GET http://staff.localhost/ HTTP/1.1", 200),
        ("GET //evil.example/ HTTP/1.1", 404),
        ("GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1", 404),
        ("GET /status/../../x HTTP/1.1", 404),
        ("CONNECT evil.example:443 HTTP/1.1", 421),
        ("GET / HTTP/1.0", 200),
        ("HEAD / HTTP/1.1", 200),
    ],
)
async def test_strange_request_lines_break_nothing(running: Running, line: str, status: int) -> None:
    head = f"{line}\r\nHost: {host(running)}\r\nCookie: {COOKIE}={running.cookie}\r\n\r\n"
    answer = await first_line(running, head.encode())
    assert answer.split()[1] == str(status).encode()


async def test_a_request_without_a_host_is_refused(running: Running) -> None:
    assert b"421" in await first_line(running, b"GET / HTTP/1.0\r\n\r\n")


async def test_a_public_page_of_the_staff_site_shows_no_places_to_strangers(running: Running) -> None:
    answer = await running.get("/tries/open", signed_in=False)
    assert answer.status == 200
    assert "open to all" in answer.text
    assert "/settings" not in answer.text
    assert "/sign-out" not in answer.text


async def test_a_body_that_grows_too_big_on_the_way_is_refused(running: Running) -> None:
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    assert b"413" in await first_line(running, form_head(running, "Transfer-Encoding: chunked"), *[chunk] * 40)


async def test_a_body_that_says_that_it_is_too_big_is_not_even_read(running: Running) -> None:
    assert b"413" in await first_line(running, form_head(running, "Content-Length: 99999999"))


async def test_a_form_that_comes_too_slowly_is_answered_in_words(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    web = f'web: {{listen: ["127.0.0.1"], port: {home.web_port}, body_seconds: 0.3}}\n'
    home.write("plugins: {tries: {}}\n", web + EXEMPT)
    async with started(home) as running:
        assert b"408" in await first_line(running, form_head(running, "Content-Length: 100"), b"a=b")


async def test_a_page_that_cannot_be_added_is_left_out_alone_and_shown(running: Running) -> None:
    assert (await running.get("/tries/hello")).text == "hello from a plugin"
    status = await running.get("/status")
    assert "The page /tries/{broken is left out" in status.text


async def test_the_log_names_no_client_and_no_address(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        for path in ("/", "/nothing", "/tries/fails", "/status?secret=1"):
            await running.get(path)
        await ask(running, "GET", "/", {"Host": "evil.example", "User-Agent": "a-browser-to-remember"})
    told = "\n".join(record.getMessage() for record in caplog.records if record.name != "asyncio")
    for word in ("127.0.0.1", "a-browser-to-remember", "secret", "evil.example", running.cookie):
        assert word not in told


async def test_the_cookie_is_bound_to_this_host_and_out_of_reach_of_scripts(running: Running) -> None:
    code = await running.appliance.staff.new_setup_link(again=True)
    answer = await running.post("/set-up", {"code": f"https://staff.localhost/set-up#{code}"}, signed_in=False)
    assert (answer.status, answer.headers["Location"]) == (303, "/set-up/account")
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith("__Host-session=")
    for attribute in ("Secure", "HttpOnly", "SameSite=Strict", "Path=/"):
        assert attribute in cookie
    assert "Domain" not in cookie
    assert "Max-Age" not in cookie  # it goes when the browser is closed
    opened = replace(running, cookie=cookie.split(";")[0].partition("=")[2])
    assert (await opened.get("/set-up/account")).status == 200
    assert SIGN_IN in (await opened.get("/tries/hello")).text


async def test_elsewhere_than_on_localhost_browsers_are_told_to_stay_with_tls(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    web = f'web: {{listen: ["127.0.0.1"], port: {home.web_port}, domain: box.internal}}\n'
    home.write("", web + EXEMPT)
    async with started(home) as running:
        status, headers, _ = await ask(running, "GET", "/", {"Host": "pupil.box.internal"})
        assert status == 200
        assert headers["Strict-Transport-Security"].startswith("max-age=31536000")
