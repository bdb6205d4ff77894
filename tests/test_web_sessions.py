"""Cookies, forms and streams: a session is in a cookie and nowhere else, and what it may do ends when it ends."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import aiohttp
import pytest
import pytest_asyncio
from accounts import NEW, PASSWORD, WRONG, Guest, invite, joined, make_home, no_store_is_left_open, quick_passwords
from multidict import CIMultiDictProxy

from appliance.access import LOCKED, Role
from appliance.accounts.second_factor import code_at, step_of
from appliance.accounts.sessions import sha256
from appliance.clock import now
from appliance.hookspecs import Page, Permission
from appliance.testing import Client, Running, start_in_process
from appliance.web.assets import Assets
from appliance.web.guard import SAFE_METHODS
from appliance.web.pages import BROWSER_COOKIE, BROWSER_LIFE_SECONDS, COOKIE
from appliance.web.views import core_pages

__all__ = ["no_store_is_left_open", "quick_passwords"]

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATIENCE = 10
FORM = "application/x-www-form-urlencoded"
PAGES = [page for page in core_pages(Assets({})) if page.site != "endpoint"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    found = await start_in_process(make_home(tmp_path_factory.mktemp("sessions") / "home"))
    async with found.kept_alive():
        yield found
    await found.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lead(running: Running) -> Client:
    return await running.as_role(Role.LEAD, name="Lea Lead")


@pytest_asyncio.fixture(loop_scope="module")
async def guest(running: Running, lead: Client, request: pytest.FixtureRequest) -> Guest:
    """Somebody who has joined, and is signed in."""
    name = re.sub(r"\W+", " ", request.node.name.removeprefix("test_"))[:50].strip()
    return await joined(running, lead, f"{name.title()} {len(running.appliance.staff.all())}"[:58])


async def raw(
    running: Running, method: str, path: str, headers: Mapping[str, str], data: object = None, site: str = "staff"
) -> tuple[int, CIMultiDictProxy[str], str]:
    """Ask with just these headers; every header of the answer."""
    url = f"http://127.0.0.1:{running.port}{path}"
    own = {"Host": f"{site}.localhost:{running.port}", **headers}
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.request(method, url, headers=own, data=data, allow_redirects=False) as response,
    ):
        return response.status, response.headers, await response.text(errors="replace")


def address(page: Page) -> str:
    """Of a page whose address has blanks, one that fits."""
    return re.sub(r"{\w+:?([^}|]*)[^}]*}", lambda found: found[1] if found[1].isalnum() else "x", page.path)


# Cookies


Begin = Callable[[Running, Client, Guest], Awaitable[tuple[str, str, dict[str, str]]]]
"""Where a session begins: the path, the cookie that is sent, the form."""


async def by_sign_in(running: Running, lead: Client, guest: Guest) -> tuple[str, str, dict[str, str]]:
    return "/sign-in", "", {"name": guest.sign_in_name, "password": PASSWORD, "code": guest.sheet.pop()}


async def by_unlock(running: Running, lead: Client, guest: Guest) -> tuple[str, str, dict[str, str]]:
    return "/unlock", guest.cookie, {"password": PASSWORD}


async def by_invitation(running: Running, lead: Client, guest: Guest) -> tuple[str, str, dict[str, str]]:
    return "/join", "", {"code": (await invite(running, lead, f"Friend of {guest.sign_in_name[:40]}"))[1]}


async def by_set_up_link(running: Running, lead: Client, guest: Guest) -> tuple[str, str, dict[str, str]]:
    return "/set-up", "", {"code": await running.appliance.staff.new_setup_link(again=True)}


async def by_joining(running: Running, lead: Client, guest: Guest) -> tuple[str, str, dict[str, str]]:
    friend, code = await invite(running, lead, f"Fellow of {guest.sign_in_name[:40]}")
    await friend.open(code)
    await friend.choose("/join/password")
    page = (await friend.get("/join/factor")).text
    (packed,), (shown,) = re.findall(r'name="packed" value="(\w+)"', page), re.findall(r'"secret">([A-Z2-7 ]+)<', page)
    friend.factor = shown
    await friend.post("/join/factor", {"packed": packed, "code": code_at(friend.secret, step_of(now()))})
    page = (await friend.post("/join/keep")).text
    (check,), (key,) = re.findall(r'name="check" value="(\w+)"', page), re.findall(r'"secret">([0-9A-Z -]+)<', page)
    return "/join/done", friend.cookie, {"check": check, "typed": key[:4]}


async def by_new_password(running: Running, lead: Client, guest: Guest) -> tuple[str, str, dict[str, str]]:
    return "/account/password", guest.cookie, {"now": PASSWORD, "password": NEW, "again": NEW}


async def by_new_factor(running: Running, lead: Client, guest: Guest) -> tuple[str, str, dict[str, str]]:
    page = (await guest.get("/account/factor")).text
    (packed,), (guest.factor,) = (
        re.findall(r'name="packed" value="(\w+)"', page),
        re.findall(r'"secret">([A-Z2-7 ]+)<', page),
    )
    return (
        "/account/factor",
        guest.cookie,
        {"now": PASSWORD, "packed": packed, "code": code_at(guest.secret, step_of(now()))},
    )


BEGINNINGS: Mapping[Begin, bool] = {
    by_sign_in: True,
    by_joining: True,
    by_unlock: False,
    by_invitation: False,
    by_set_up_link: False,
    by_new_password: False,
    by_new_factor: False,
}
"""And whether the browser is known from then on."""


@pytest.mark.parametrize("begin", BEGINNINGS, ids=lambda one: one.__name__)
async def test_every_session_is_in_a_cookie_of_this_host_out_of_reach_of_scripts(
    running: Running, lead: Client, guest: Guest, begin: Begin
) -> None:
    path, before, form = await begin(running, lead, guest)
    headers = {"Sec-Fetch-Site": "same-origin", **({"Cookie": f"{COOKIE}={before}"} if before else {})}
    status, answered, text = await raw(running, "POST", path, headers, form)
    assert status == 303, text
    cookies = {one.partition("=")[0]: one for one in answered.getall("Set-Cookie")}
    assert set(cookies) == ({COOKIE, BROWSER_COOKIE} if BEGINNINGS[begin] else {COOKIE})
    for name, cookie in cookies.items():
        value, *attributes = cookie.partition("=")[2].split("; ")
        assert name.startswith("__Host-")
        wanted = {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"}
        lasting = {f"Max-Age={BROWSER_LIFE_SECONDS}"} if name == BROWSER_COOKIE else set()
        assert set(attributes) == wanted | lasting
        assert len(value) >= 43
        assert value not in answered["Location"]
        assert value != before
    session_id = cookies[COOKIE].partition("=")[2].partition(";")[0]
    sessions = running.appliance.staff.sessions
    assert sessions.find(session_id) is not None
    assert before == "" or sessions.find(before) is None
    assert answered["Cache-Control"] == "no-store"


async def test_signing_out_takes_the_session_from_the_browser_and_keeps_what_tells_it_again(
    running: Running, guest: Guest
) -> None:
    headers = {"Sec-Fetch-Site": "same-origin", "Cookie": f"{COOKIE}={guest.cookie}"}
    status, answered, _ = await raw(running, "POST", "/sign-out", headers)
    assert status == 200
    (cookie,) = answered.getall("Set-Cookie")
    assert cookie.startswith(f'{COOKIE}="";')
    for attribute in ("Max-Age=0", "Path=/", "Secure", "HttpOnly", "SameSite=Strict"):
        assert attribute in cookie
    assert answered["Clear-Site-Data"] == '"cache", "storage"'
    assert running.appliance.staff.sessions.find(guest.cookie) is None


async def test_no_page_shows_what_a_cookie_holds(running: Running, lead: Client) -> None:
    for page in PAGES:
        if page.site != "staff" or page.method != "GET" or page.path == "/live":
            continue
        answer = await lead.get(address(page))
        for secret in (lead.cookie, sha256(lead.cookie)):
            assert secret not in answer.text, page.path
            assert secret not in str(dict(answer.headers)), page.path


async def test_no_log_holds_ids_passwords_or_codes(
    running: Running, lead: Client, guest: Guest, caplog: pytest.LogCaptureFixture
) -> None:
    code = guest.sheet[-1]
    with caplog.at_level(logging.DEBUG):
        again = guest.another()
        await again.sign_in()
        await again.post("/lock")
        await again.post("/unlock", {"password": WRONG})
        await again.unlock()
        await again.get("/nothing")
        await again.post("/sign-in", {"name": guest.sign_in_name, "password": WRONG, "code": "123"})
        friend, link = await invite(running, lead, "Lou Logged")
        await friend.open(link)
        await again.post("/sign-out")
    told = "\n".join(record.getMessage() for record in caplog.records)
    for secret in (guest.cookie, again.cookie, friend.cookie, lead.cookie, PASSWORD, WRONG, code, link):
        assert secret not in told


@pytest.mark.parametrize("value", ["", "x", "x" * 4000, '"', "a b", "%00", "\u00fc"])
async def test_a_cookie_that_is_none_of_ours_is_nobody(running: Running, value: str) -> None:
    status, _, text = await raw(running, "GET", "/account", {"Cookie": f"{COOKIE}={value}"})
    assert (status, "<h1>Sign in</h1>" in text) == (403, True)


async def test_a_session_under_another_cookies_name_is_nobody(running: Running, lead: Client) -> None:
    for name in ("session", "Host-session", BROWSER_COOKIE, COOKIE.lower()):
        assert (await raw(running, "GET", "/account", {"Cookie": f"{name}={lead.cookie}"}))[0] == 403


async def test_a_session_in_an_address_or_a_form_is_nobody(running: Running, lead: Client) -> None:
    assert (await running.get(f"/account?{COOKIE}={lead.cookie}", signed_in=False)).status == 403
    assert (await running.post("/account/elsewhere", {COOKIE: lead.cookie}, signed_in=False)).status == 403


async def test_a_browser_that_signs_in_leaves_no_session_behind(running: Running, lead: Client, guest: Guest) -> None:
    before = guest.cookie
    await guest.sign_in()
    assert guest.cookie != before
    assert running.appliance.staff.sessions.find(before) is None
    now_in = guest.cookie
    _, link = await invite(running, lead, "Lynn Leaves")
    await guest.open(link)
    assert running.appliance.staff.sessions.find(now_in) is None


# Forms from elsewhere


async def marks(running: Running) -> list[tuple[object, ...]]:
    """What every change leaves: the record, accounts, sessions and links."""
    found: list[tuple[object, ...]] = []
    for table in ("audit", "staff_accounts", "staff_sessions", "staff_links", "notices", "staff_scopes"):
        found += [tuple(row) for row in await running.appliance.records.fetch(f"SELECT * FROM {table}")]
    return found


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "OWN"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://pupil.localhost"},
        {"Origin": "OWN.evil.example"},
    ],
    ids=str,
)
async def test_no_page_takes_a_form_from_elsewhere(running: Running, lead: Client, told: Mapping[str, str]) -> None:
    posts = [page for page in PAGES if page.method not in SAFE_METHODS]
    assert len(posts) > 30
    before = await marks(running)
    for page in posts:
        own = f"http://{page.site}.localhost:{running.port}"
        headers = {name: value.replace("OWN", own) for name, value in told.items()}
        headers |= {"Cookie": f"{COOKIE}={lead.cookie}", "Content-Type": FORM}
        status, _, text = await raw(running, page.method, address(page), headers, b"a=b", page.site)
        assert status == 403, page.path
        assert "That came from another page" in text, page.path
    assert await marks(running) == before


async def test_no_address_that_is_opened_changes_anything(running: Running, lead: Client) -> None:
    before = await marks(running)
    for page in PAGES:
        if page.site == "staff" and page.path != "/live" and page.method == "GET":
            await lead.get(address(page))
    assert await marks(running) == before


@pytest.mark.parametrize(
    "wanted",
    [
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "https://evil.example",
        "evil",
        "javascript:1",
    ],
)
async def test_nobody_is_led_elsewhere_after_signing_in(running: Running, guest: Guest, wanted: str) -> None:
    form = {"name": guest.sign_in_name, "password": PASSWORD, "code": guest.sheet.pop(), "wanted": wanted}
    answer = await guest.post("/sign-in", form)
    assert (answer.status, answer.headers["Location"]) == (303, "/")
    guest.enter(answer)
    answer = await guest.post("/unlock", {"password": PASSWORD, "wanted": wanted})
    assert (answer.status, answer.headers["Location"]) == (303, "/")


async def test_one_is_led_where_one_wanted_to_go(running: Running, guest: Guest) -> None:
    closed = await guest.get("/account/password?from=mail", signed_in=False)
    assert 'name="wanted" value="/account/password?from=mail"' in closed.text
    form = {"name": guest.sign_in_name, "password": PASSWORD, "code": guest.sheet.pop()}
    answer = await guest.post("/sign-in", {**form, "wanted": "/account/password?from=mail"})
    assert answer.headers["Location"] == "/account/password?from=mail"


# Rights that end while something is under way


async def send_slowly(
    running: Running, client: Client, path: str, form: bytes, between: Callable[[], Awaitable[object]]
) -> bytes:
    """Send the head of a form and half of it, do something, send the rest; the first line of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    head = (
        f"POST {path} HTTP/1.1\r\nHost: staff.localhost:{running.port}\r\nSec-Fetch-Site: same-origin\r\n"
        f"Cookie: {COOKIE}={client.cookie}\r\nContent-Type: {FORM}\r\nContent-Length: {len(form)}\r\n\r\n"
    )
    writer.write(head.encode() + form[:3])
    await writer.drain()
    async with asyncio.timeout(PATIENCE):
        while not any(waits(task) for task in asyncio.all_tasks()):
            await asyncio.sleep(0)
    await between()
    writer.write(form[3:])
    line = await asyncio.wait_for(reader.readline(), PATIENCE)
    writer.close()
    return line


def waits(task: asyncio.Task[object]) -> bool:
    """Whether a view waits for the rest of a form in this task."""
    found = task.get_coro()
    while found is not None:
        if getattr(found, "__name__", "") == "read_fields":
            return True
        found = getattr(found, "cr_await", None)
    return False


async def test_a_form_that_was_under_way_when_the_account_ended_changes_nothing(running: Running, lead: Client) -> None:
    other, subject = await running.as_role(Role.LEAD), await running.as_role(None)
    staff = running.appliance.staff

    async def end() -> None:
        await staff.disable(lead.actor, other.account, "suspended")

    line = await send_slowly(running, other, f"/staff/{subject.account}/role", b"role=lead", end)
    assert b" 409 " in line
    assert staff.get(subject.account).role is None


@asynccontextmanager
async def stream(running: Running, client: Client) -> AsyncIterator[aiohttp.StreamReader]:
    """A live stream that is open."""
    headers = {"Host": f"staff.localhost:{running.port}", "Cookie": f"{COOKIE}={client.cookie}"}
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.get(f"http://127.0.0.1:{running.port}/live", headers=headers) as response,
    ):
        assert response.status == 200
        await asyncio.wait_for(response.content.readuntil(b"\n\n"), PATIENCE)
        yield response.content


async def password_changes(running: Running, lead: Client, guest: Guest) -> None:
    elsewhere = guest.another()
    await elsewhere.sign_in()
    answer = await elsewhere.post("/account/password", {"now": PASSWORD, "password": NEW, "again": NEW})
    assert answer.status == 303


async def signed_out_elsewhere(running: Running, lead: Client, guest: Guest) -> None:
    elsewhere = guest.another()
    await elsewhere.sign_in()
    assert (await elsewhere.post("/account/elsewhere")).status == 303


async def signed_out(running: Running, lead: Client, guest: Guest) -> None:
    assert (await guest.post("/sign-out")).status == 200


async def opened_again(running: Running, lead: Client, guest: Guest) -> None:
    await guest.post("/lock")
    await guest.unlock()


async def role_changes(running: Running, lead: Client, guest: Guest) -> None:
    account = running.appliance.staff.named(guest.sign_in_name)
    assert account is not None
    assert (await lead.post(f"/staff/{account.id}/role", {"role": "none"})).status == 303


async def account_ends(running: Running, lead: Client, guest: Guest) -> None:
    account = running.appliance.staff.named(guest.sign_in_name)
    assert account is not None
    assert (await lead.post(f"/staff/{account.id}/disable", {"reason": "left"})).status == 303


@pytest.mark.parametrize(
    "ending", [password_changes, signed_out_elsewhere, signed_out, opened_again, role_changes, account_ends]
)
async def test_an_open_stream_ends_with_its_session(
    running: Running, lead: Client, guest: Guest, ending: Callable[[Running, Client, Guest], Awaitable[None]]
) -> None:
    watcher = Guest(guest.port, guest.cookie, guest.sign_in_name, guest.password)
    async with stream(running, watcher) as content:  # type: ignore[arg-type]
        await ending(running, lead, guest)
        await asyncio.wait_for(content.read(), PATIENCE)
    assert (await watcher.get("/account")).status == 403


async def test_a_locked_browser_keeps_its_stream_but_gets_no_content(running: Running, guest: Guest) -> None:
    live = running.appliance.live
    async with stream(running, guest) as content:  # type: ignore[arg-type]
        await guest.post("/lock")
        assert (await running.appliance.staff.actor(session_of(running, guest))).permissions == LOCKED
        live.publish("test.hidden", {"word": "canary"}, Permission.USE)
        live.publish("test.plain", {}, Permission.SIGNED_IN)
        told = await asyncio.wait_for(content.readuntil(b"test.plain"), PATIENCE)
        assert b"canary" not in told


def session_of(running: Running, guest: Guest) -> object:
    found = running.appliance.staff.sessions.find(guest.cookie)
    assert found is not None
    return found


async def test_a_locked_browser_opens_its_few_pages_and_no_other(running: Running, guest: Guest) -> None:
    await guest.post("/lock")
    for page in PAGES:
        if page.site != "staff" or page.permission in (Permission.PUBLIC, Permission.SIGNED_IN):
            continue
        answer = await (guest.get(address(page)) if page.method == "GET" else guest.post(address(page)))
        assert answer.status == 403, page.path
        assert "These pages are locked" in answer.text or "<h1>Sign in</h1>" in answer.text, page.path


# Who takes whom out


async def test_a_lead_takes_others_out_and_everybody_themselves(running: Running, lead: Client) -> None:
    """A member could else take out every other one, the lead first, and be the only one who can open it."""
    vaults = running.appliance.vaults
    teacher, deputy = await running.as_role(Role.TEACHER), await running.as_role(Role.DEPUTY)
    for client in (teacher, deputy):
        admit = {"list": "captures", "account": client.account}
        assert (await lead.post("/staff/who-can-open/admit", admit)).status == 303
    for victim in (lead, deputy):
        answer = await teacher.post("/staff/who-can-open/remove", {"list": "captures", "account": victim.account})
        assert (answer.status, "Only a safeguarding lead takes somebody else out" in answer.text) == (422, True)
        assert await vaults.is_member(victim.account, "captures")
    assert (await teacher.get("/staff/who-can-open")).text.count('small">Take out') == 1
    own = {"list": "captures", "account": teacher.account}
    assert (await teacher.post("/staff/who-can-open/remove", own)).status == 303
    assert (
        await lead.post("/staff/who-can-open/remove", {"list": "captures", "account": deputy.account})
    ).status == 303
    assert not await vaults.is_member(deputy.account, "captures")
