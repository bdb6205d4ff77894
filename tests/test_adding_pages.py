"""The pages about adding devices, as browsers of different people see them, and what device pages say of browsers."""

from __future__ import annotations

import json
import plistlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from appliance.access import Role
from appliance.accounts.staff import Scope
from appliance.assignments import Target, TargetKind
from appliance.clock import now
from appliance.people.directory import Details
from appliance.simulated_browser import SimulatedBrowser
from appliance.testing import Answer, Home, Running

Start = Callable[[Home], Awaitable[Running]]


@pytest.fixture
async def running(appliance_home: Home, start_appliance: Start) -> AsyncIterator[Running]:
    box = await start_appliance(appliance_home)
    async with box.kept_alive():
        yield box


def words(page: str) -> str:
    """What a page says, on one line."""
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


async def make_key(running: Running, name: str = "Trolley 2", **other: str) -> str:
    """Make an enrolment key on the page; the key."""
    form = {"do": "make", "name": name, "group": "", "most_uses": "30", "days": "90", **other}
    assert (await running.post("/devices/add/keys", form)).status == 303
    rows = await running.appliance.endpoints.tokens.all(running.actor)
    return str(rows[0]["token"])


def browser(running: Running, token: str, **other: str) -> SimulatedBrowser:
    return SimulatedBrowser(running.port, running.appliance.endpoints.extension.id, token, **other)


async def waiting(running: Running) -> list[str]:
    return [row["id"] for row in await running.appliance.endpoints.enrolment.waiting(running.actor)]


async def decide(running: Running, do: str, *browsers: str, **names: str) -> Answer:
    fields = [("do", do), *(("browser", one) for one in browsers), *names.items()]
    return await running.post("/devices/add/waiting", fields)


# The steps


async def test_the_page_leads_from_a_key_to_the_devices(running: Running) -> None:
    assert 'href="/devices/add"' in (await running.get("/devices")).text
    page = (await running.get("/devices/add")).text
    assert "There is no key yet" in words(page)
    authority = (await running.get("/status")).text
    for piece in re.findall(r"<span>((?:[0-9A-F]{2}:){7}[0-9A-F]{2})</span>", page):
        assert piece in authority
    for name in ("staff.localhost", "pupil.localhost", "endpoint.localhost"):
        assert name in page
    assert f"TCP {running.appliance.config.settings.web.port}" in page
    assert 'href="/help/adding-devices"' in page
    await make_key(running)
    page = (await running.get("/devices/add")).text
    assert "Trolley 2" in page
    assert "0 of 30" in page


@pytest.mark.parametrize(
    ("field", "typed"),
    [("name", ""), ("most_uses", "0"), ("most_uses", "many"), ("days", "-1"), ("days", "999999999999")],
)
async def test_a_key_that_is_wrong_is_not_made_and_nothing_typed_is_lost(
    running: Running, field: str, typed: str
) -> None:
    form = {"do": "make", "name": "Year 7", "group": "", "most_uses": "30", "days": "90", field: typed}
    answer = await running.post("/devices/add/keys", form)
    assert answer.status == 422
    assert f'href="#{field}"' in answer.text
    if field != "name":
        assert 'value="Year 7"' in answer.text
    assert not await running.appliance.endpoints.tokens.all(running.actor)


async def test_a_key_is_withdrawn(running: Running) -> None:
    await make_key(running)
    (row,) = await running.appliance.endpoints.tokens.all(running.actor)
    assert (await running.post("/devices/add/keys", {"do": "withdraw", "id": row["id"]})).status == 303
    assert "Withdrawn" in words((await running.get("/devices/add")).text)
    assert (await running.post("/devices/add/keys", {"do": "withdraw", "id": row["id"]})).status == 409
    assert (await running.post("/devices/add/keys", {"do": "anything"})).status == 400
    audit = words((await running.get("/audit?kind=people")).text)
    assert "made an enrolment key" in audit
    assert "withdrew an enrolment key" in audit


# Files


FILES = ("linux", "linux-edge", "reg", "reg-remove", "group-policy", "script", "script-remove", "mac", "google")


async def fetch(running: Running, path: str) -> tuple[bytes, str]:
    """The bytes of a download and the name that it gets."""
    headers = {"Host": f"staff.localhost:{running.port}", "Cookie": f"__Host-session={running.cookie}"}
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.get(f"http://127.0.0.1:{running.port}{path}", headers=headers) as answer,
    ):
        assert answer.status == 200, path
        return await answer.read(), str(re.findall(r'filename="([^"]+)"', answer.headers["Content-Disposition"])[0])


async def test_the_files_hold_the_schools_own_values(running: Running) -> None:
    token = await make_key(running)
    extension, port = running.appliance.endpoints.extension.id, running.appliance.config.settings.web.port
    server = f"https://endpoint.localhost:{port}"
    linux = json.loads((await fetch(running, "/devices/add/files/linux"))[0])
    assert linux["ExtensionSettings"][extension]["update_url"] == f"{server}/extension/updates.xml"
    own = {"serverUrl": server, "enrolToken": token, "deviceName": ""}
    assert linux["3rdparty"]["extensions"][extension] == own
    strict = json.loads((await fetch(running, "/devices/add/files/linux?strict=yes"))[0])
    assert "URLBlocklist" in strict
    assert "URLBlocklist" not in linux
    names = {file: (await fetch(running, f"/devices/add/files/{file}"))[1] for file in FILES}
    assert len(set(names.values())) == len(FILES)
    other = await make_key(running, "Room 12")
    rows = await running.appliance.endpoints.tokens.all(running.actor)
    for row in rows:
        content, _ = await fetch(running, f"/devices/add/files/google?key={row['id']}")
        assert json.loads(content)["enrolToken"]["Value"] == row["token"]
    assert other != token
    assert (await running.get("/devices/add/files/nothing")).status == 404


async def test_the_authority_comes_in_three_forms(running: Running) -> None:
    pem, _ = await fetch(running, "/devices/add/authority/pem")
    der, name = await fetch(running, "/devices/add/authority/der")
    assert name.endswith(".cer")
    assert x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER) == der
    profile = plistlib.loads((await fetch(running, "/devices/add/authority/profile"))[0])
    assert profile["PayloadContent"][0]["PayloadContent"] == der
    assert (await running.get("/devices/add/authority/nothing")).status == 404


@pytest.mark.parametrize("system", ["google", "windows", "mac", "linux"])
async def test_each_system_has_its_page_and_says_how_to_take_it_out_again(running: Running, system: str) -> None:
    page = (await running.get(f"/devices/add/on/{system}")).text
    assert "no enrolment key that works" in words(page)
    assert "Take it out again" in words(page)
    token = await make_key(running)
    plain = (await running.get(f"/devices/add/on/{system}")).text
    strict = (await running.get(f"/devices/add/on/{system}?strict=yes")).text
    assert token in plain
    assert ("devtools" in strict) or system == "google"
    assert "strict=yes" in strict or system == "google"
    for link in re.findall(r'href="(/devices/add/[^"#]+)"', plain):
        assert token not in link
        if "/on/" not in link:
            assert (await running.get(link.replace("&amp;", "&"))).status == 200, link
    assert (await running.get("/devices/add/on/amiga")).status == 404


async def test_without_a_key_there_is_no_file(running: Running) -> None:
    assert (await running.get("/devices/add/files/linux")).status == 409


# Letting in


async def test_devices_are_let_in_and_turned_away_on_the_page(running: Running) -> None:
    token = await make_key(running)
    one, two, three = (
        browser(running, token),
        browser(running, token, name="SHELF-2"),
        browser(running, token, name="S3"),
    )
    async with AsyncExitStack() as stack:
        for each in (one, two, three):
            await stack.enter_async_context(each.connected())
            assert await each.enrol() == "waiting"
        first, second, third = await waiting(running)
        page = (await running.get("/devices/add")).text
        assert "3 devices wait" in words(page)
        assert "SHELF-2" in page
        assert (await decide(running, "in")).status == 422
        assert (await decide(running, "in", first, **{f"name-{first}": "Shelf 1"})).status == 303
        await one.welcomed()
        assert one.welcome["name"] == "Shelf 1"
        assert (await decide(running, "out", third)).status == 303
        assert (await three.hear("refused"))["seconds"]
        assert (await decide(running, "all")).status == 303
        await two.welcomed()
        assert (await decide(running, "in", "nothing")).status == 409
        assert (await decide(running, "strange", second)).status == 400
    page = words((await running.get("/devices/add")).text)
    assert "1 browser was turned away or taken out" in page
    assert (await decide(running, "in", third)).status == 303
    assert not await waiting(running)


async def test_a_device_that_is_there_already_is_named_and_let_in_only_by_its_tick(running: Running) -> None:
    token = await make_key(running)
    real, frame, other = (browser(running, token, name="LAPTOP-07") for _ in range(3))
    other.name = "LAPTOP-08"
    async with real.connected():
        await real.enrol()
        await decide(running, "in", *await waiting(running))
        await real.welcomed()
    live = running.appliance.live
    async with live.subscribe(lambda: running.actor.permissions) as seen, frame.connected(), other.connected():
        assert await frame.enrol() == "waiting"
        told = json.loads((await seen.messages.get()).data)
        assert told["claims"] == "says that it is LAPTOP-07, which has a browser already"
        assert await other.enrol() == "waiting"
        first, _ = await waiting(running)
        page = (await running.get("/devices/add")).text
        assert "says that it is LAPTOP-07, which has a browser already" in words(page)
        assert 'value="all"' not in page
        assert (await decide(running, "all")).status == 303
        assert await waiting(running) == [first]
        await other.welcomed()
        assert (await decide(running, "in", first)).status == 303
        await frame.welcomed()
        assert frame.welcome["name"] == "LAPTOP-07"


async def test_the_pages_say_how_old_browsers_may_be_and_which_accounts_they_take(running: Running) -> None:
    await make_key(running)
    assert "Chrome, Edge or Chromium 133 or newer" in words((await running.get("/devices/add")).text)
    strict = json.loads((await fetch(running, "/devices/add/files/linux?strict=yes"))[0])
    assert strict["BrowserSignin"] == 0
    lead, directory = await running.as_role(Role.LEAD), running.appliance.directory
    for number in range(11):
        pupil = await directory.add(lead.actor, Details("pupil", f"Pupil {number}"))
        await directory.add_account(lead.actor, pupil, "browser", f"p{number}@school.example")
    await directory.add_account(lead.actor, pupil, "browser", "p10@private.example")
    strict = json.loads((await fetch(running, "/devices/add/files/linux?strict=yes"))[0])
    assert strict["RestrictSigninToPattern"] == r".*@school\.example"
    assert "BrowserSignin" not in strict
    assert "school.example: check" in words((await running.get("/devices/add/on/google")).text)


async def test_a_list_and_a_window(running: Running) -> None:
    token = await make_key(running)
    assert (await running.post("/devices/add/list", {"do": "add", "listed": "\n \n"})).status == 422
    assert (await running.post("/devices/add/list", {"do": "add", "listed": "LIST-1\nLIST-2"})).status == 303
    listed = browser(running, token, name="list-1")
    async with listed.connected():
        assert await listed.enrol() == "welcome"
    page = words((await running.get("/devices/add")).text)
    assert "1 line has not come yet" in page
    assert "LIST-2" in page
    assert (await running.post("/devices/add/list", {"do": "empty"})).status == 303
    assert "not come yet" not in words((await running.get("/devices/add")).text)
    assert (await running.post("/devices/add/window", {"do": "open", "for": ""})).status == 422
    assert (await running.post("/devices/add/window", {"do": "open", "for": "99999"})).status == 422
    assert (await running.post("/devices/add/window", {"do": "open", "for": "15"})).status == 303
    assert "let in at once, until" in words((await running.get("/devices/add")).text)
    inside, late = browser(running, token), browser(running, token)
    async with inside.connected(), late.connected():
        assert await inside.enrol() == "welcome"
        assert (await running.post("/devices/add/window", {"do": "close"})).status == 303
        assert await late.enrol() == "waiting"


async def test_the_end_of_the_school_day_can_be_chosen_while_school_is_in(
    appliance_home: Home, start_appliance: Start
) -> None:
    days = ", ".join(
        f"{day}: {{start: '00:00', end: '23:59'}}"
        for day in ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    )
    appliance_home.write(f"timetable: {{hours: {{{days}}}}}\n")
    running = await start_appliance(appliance_home)
    ends = running.appliance.timetable.next_change(now())
    if not running.appliance.timetable.in_school(now()):
        return  # the last minute of a day
    assert "end of the school day" in (await running.get("/devices/add")).text
    assert (await running.post("/devices/add/window", {"do": "open", "for": "day"})).status == 303
    window = await running.appliance.endpoints.enrolment.window()
    assert window is not None
    assert ends is not None
    assert window.until == ends.strftime("%Y-%m-%dT%H:%M:%S.000Z")


async def test_what_comes_to_wait_is_told_live_to_it_alone(running: Running) -> None:
    token = await make_key(running)
    live, lead = running.appliance.live, await running.as_role(Role.LEAD)
    async with (
        live.subscribe(lambda: running.actor.permissions) as seen,
        live.subscribe(lambda: lead.actor.permissions) as unseen,
    ):
        one = browser(running, token, name="LIVE-1", profile="child@school.example")
        async with one.connected():
            await one.enrol()
            message = await seen.messages.get()
    assert message.topic == "appliance.endpoints"
    told = json.loads(message.data)
    assert (told["name"], told["state"], told["from"]) == ("LIVE-1", "waiting", "127.0.0.1")
    assert "child" not in message.data
    assert unseen.messages.empty()


# What device pages say


async def test_a_device_says_what_its_browser_is_doing(running: Running) -> None:
    token = await make_key(running)
    lead = await running.as_role(Role.LEAD)
    ada = await running.appliance.directory.add(lead.actor, Details("pupil", "Ada Lovelace"))
    await running.appliance.directory.add_account(lead.actor, ada, "browser", "ada@school.example")
    one = browser(running, token, name="DESK-1", serial="SN-DESK", profile="ada@school.example")
    async with one.connected():
        await one.enrol()
        await decide(running, "in", *await waiting(running))
        await one.welcomed()
        (device,) = await running.appliance.records.fetch("SELECT id FROM devices")
        address = f"/devices/{device['id']}"
        page = words((await running.get(address)).text)
        for said in ("Connected", "Ada Lovelace", "by the account that the browser is signed in with", "Monitored No"):
            assert said in page
        assert "It has the newest" in page
        assert "Passed a test Never" in page
        assert one.policy_version[:12] in page
        listing = words((await running.get("/devices")).text)
        assert one.version in listing
        assert "Monitored" in listing
        assert "DESK-1" in (await lead.get("/devices")).text
        assert "Take this browser out" not in (await lead.get(address)).text
        (row,) = await running.appliance.records.fetch("SELECT id FROM endpoints")
        form = {"do": "out", "browser": row["id"]}
        assert (await lead.post(f"{address}/browsers", form)).status == 403
        assert (await running.post(f"{address}/browsers", {**form, "browser": "another"})).status == 409
        assert (await running.post(f"{address}/browsers", {**form, "do": "strange"})).status == 400
        assert (await running.post(f"{address}/browsers", form)).status == 303
        await one.hear("refused")
    page = words((await running.get(address)).text)
    assert "Taken out" in page
    assert "It is told nothing" in page
    assert (await running.post(f"{address}/browsers", {"do": "in", "browser": row["id"]})).status == 303
    page = words((await running.get(address)).text)
    assert "Not connected" in page
    assert (await running.post("/devices/nothing/browsers", {"do": "in"})).status == 404


async def test_who_is_there_is_told_by_the_rule_of_the_directory(running: Running) -> None:
    token = await make_key(running)
    lead = await running.as_role(Role.LEAD)
    directory = running.appliance.directory
    group = await directory.groups.make(lead.actor, "trolley", "Trolley 9")
    ada = await directory.add(lead.actor, Details("pupil", "Ada Lovelace"))
    await directory.add_account(lead.actor, ada, "browser", "ada@school.example")
    one = browser(running, token, name="T9-1", profile="ada@school.example")
    async with one.connected():
        await one.enrol()
        await decide(running, "in", *await waiting(running))
        await one.welcomed()
        (device,) = await running.appliance.records.fetch("SELECT id FROM devices")
        await directory.groups.add_devices(lead.actor, group, [device["id"]])
        teacher = await running.as_role(Role.TEACHER, [Scope("group", group)])
        page = words((await teacher.get(f"/devices/{device['id']}")).text)
        assert "Somebody about whom you may not know" in page
        assert "Ada" not in page
        assert "Monitored" not in page
        assert "Monitored" not in words((await teacher.get("/devices")).text)


async def test_a_private_account_stands_on_the_device_and_ends_no_monitoring(running: Running) -> None:
    token = await make_key(running)
    lead, directory = await running.as_role(Role.LEAD), running.appliance.directory
    await running.appliance.monitoring.refresh()
    ada = await directory.add(lead.actor, Details("pupil", "Ada Lovelace"))
    await running.appliance.assignments.assign(
        "a test", "monitoring", Target(TargetKind.PERSON, ada), "on", "a test", None
    )
    one = browser(running, token, name="DESK-2", profile="ada@private.example")
    async with one.connected():
        await one.enrol()
        await decide(running, "in", *await waiting(running))
        await one.welcomed()
        (device,) = await running.appliance.records.fetch("SELECT id FROM devices")
        address = f"/devices/{device['id']}"
        assert "Monitored No" in words((await running.get(address)).text)
        await directory.devices.give(lead.actor, device["id"], ada)
        await one.hear("policy")
        page = words((await running.get(address)).text)
        assert "Nobody who is known signed in with an account that nobody has in the directory" in page
        assert "Monitored Yes" in page
    assert "Monitored Yes" in words((await running.get(address)).text)


async def test_a_copied_profile_stands_on_the_device_and_on_the_status_page(running: Running) -> None:
    token = await make_key(running)
    one = browser(running, token, name="COPY-1")
    async with one.connected():
        await one.enrol()
        await decide(running, "in", *await waiting(running))
        await one.welcomed()
    one.counter = 0
    async with one.connected():
        assert await one.greet() == "welcome"
        (device,) = await running.appliance.records.fetch("SELECT id FROM devices")
        assert "This may be a copy" in words((await running.get(f"/devices/{device['id']}")).text)
        await running.appliance.health.refresh()
        status = words((await running.get("/status")).text)
        assert "1 may be copies of another one" in status


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.IT])
async def test_it_alone_adds_devices(running: Running, role: Role) -> None:
    somebody = await running.as_role(role)
    for path in ("/devices/add", "/devices/add/on/linux", "/devices/add/files/linux", "/devices/add/authority/pem"):
        assert (await somebody.get(path)).status == 403
    for path in ("keys", "window", "list", "waiting"):
        assert (await somebody.post(f"/devices/add/{path}", {"do": "all"})).status == 403
    assert 'href="/devices/add"' not in (await somebody.get("/devices")).text
