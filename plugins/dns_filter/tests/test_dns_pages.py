"""The staff pages, asked for over HTTP from the real server."""

from __future__ import annotations

import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from appliance.access import Actor, Permission, Role
from appliance.clock import now
from appliance.people.devices import DeviceDetails
from appliance.people.directory import Details
from appliance.testing import sign_in_as
from appliance.trust import Authority, ServerCertificate
from appliance.web.pages import COOKIE
from appliance.web.server import WebServer
from appliance_plugins.dns_filter.profiles.groups import KIND
from appliance_plugins.dns_filter.profiles.views import GroupForm, look_through
from appliance_plugins.dns_filter.settings import Settings

LONDON = ZoneInfo("Europe/London")
KEEPER = Actor("Ida", frozenset({Permission.MANAGE_PEOPLE}))


@dataclass
class Browser:
    """A signed-in browser."""

    session: aiohttp.ClientSession
    base: str

    async def get(self, path: str, status: int = 200) -> str:
        async with self.session.get(self.base + path) as response:
            text = await response.text()
            assert response.status == status, text
            return text

    async def post(self, path: str, status: int = 200, **fields: str) -> str:
        headers = {"Sec-Fetch-Site": "same-origin"}
        async with self.session.post(self.base + path, data=fields, headers=headers) as response:
            text = await response.text()
            assert response.status == status, text
            return text


@pytest.fixture
async def browser(house: Any, tmp_path: Path) -> AsyncIterator[Browser]:
    """The pages over plain HTTP; the certificate is only shown, never used."""
    certificate = ServerCertificate(tmp_path, tmp_path, "12:ab", now(), ("localhost",), (), ())
    authority = Authority.open(tmp_path / "trust", "localhost", "Example School")
    listening = socket.create_server(("127.0.0.1", 0))
    listening.setblocking(False)
    server = WebServer(house.appliance, [listening], None, authority, certificate)
    await server.start()
    port = listening.getsockname()[1]
    client = await sign_in_as(house.appliance, port, Role.IT, name="Ida Technician")
    async with aiohttp.ClientSession(headers={"Cookie": f"{COOKIE}={client.cookie}"}) as session:
        yield Browser(session, f"http://127.0.0.1:{port}")
    await server.stop()
    listening.close()


async def test_a_group_is_given_a_profile_and_it_is_undone(house: Any, browser: Browser) -> None:
    page = await browser.get("/dns_filter/groups")
    assert "Year 7" in page
    assert '<option value="office"' not in page  # the file fixes it
    typed = {"group": "year7", "profile": "guest", "reason": "Mock exams", "last_day": "", "sure": "guest for year7"}
    page = await browser.post("/dns_filter/groups", **typed)
    assert "Year 7 now has the profile Guests" in page
    assert "Mock exams" in page
    assert house.profile_at("10.7.2.1") == "guest"
    (change,) = await house.appliance.assignments.history(KIND)
    assert change["author"] == "Ida Technician"
    page = await browser.post("/dns_filter/groups/undo", id=change["id"])
    assert "The change was undone" in page
    assert house.profile_at("10.7.2.1") == "pupil"
    assert "undone already" in await browser.post("/dns_filter/groups/undo", 422, id=change["id"])


async def test_an_undo_that_would_leave_one_profile_for_all_is_refused(house: Any, browser: Browser) -> None:
    """Staff have the pupils' profile, and the office alone another one, because somebody gave it that on the page."""
    publishing, directory, keeper = house.plugin.profiles.publishing, house.appliance.directory, KEEPER
    publishing.having._settings = Settings(profiles=[{"name": "exam"}])
    publishing.having.declare(publishing.profiles())
    group = await directory.groups.make(keeper, "list", "All staff")
    await directory.groups.add_people(keeper, group, [await directory.add(keeper, Details("staff", "Ada Teacher"))])
    await directory.add(keeper, Details("pupil", "Bea Pupil"))
    typed = {"reason": "Our own", "last_day": "", "sure": "staff for office"}
    await browser.post("/dns_filter/groups", group="office", profile="staff", **typed)
    await browser.post("/dns_filter/groups", group=f"group:{group}", profile="pupil", reason="Like them", last_day="")
    (change,) = await house.appliance.assignments.history(KIND)
    page = await browser.post("/dns_filter/groups/undo", 422, id=change["id"])
    assert "everybody would have the profile pupil" in page
    assert house.profile_at("10.9.0.1") == "staff"
    typed = {"reason": "Apart too", "last_day": "", "sure": "guest for year7"}
    await browser.post("/dns_filter/groups", group="year7", profile="guest", **typed)
    assert "The change was undone" in await browser.post("/dns_filter/groups/undo", id=change["id"])


SURE = "I have read this and mean it"


async def test_whoever_gives_pupils_a_milder_profile_is_asked_first(house: Any, browser: Browser) -> None:
    directory = house.appliance.directory
    pupils = [await directory.add(KEEPER, Details("pupil", name)) for name in ("Bea Pupil", "Cy Pupil")]
    guest = await directory.add(KEEPER, Details("guest", "Gus Guest"))
    await directory.add(KEEPER, Details("staff", "Ada Teacher"))
    form = await directory.groups.make(KEEPER, "list", "7A")
    await directory.groups.add_people(KEEPER, form, [*pupils, guest])
    typed = {"group": f"group:{form}", "profile": "staff", "reason": "A slip", "last_day": ""}
    page = await browser.post("/dns_filter/groups", 422, **typed)
    assert "2 pupils and 1 guest would have a milder profile than now." in page
    assert '<a href="#sure">' in page, "the form stands at the end of a long page"
    assert "Staff is on a trial run: it blocks nothing but what locked lists name." in page
    assert 'value="A slip"' in page
    assert house.appliance.assignments.in_force(KIND) == []
    page = await browser.post("/dns_filter/groups", 422, **{**typed, "sure": f"staff for group:{form}", "reason": ""})
    assert re.search(r'name="sure" value="[^"]+" checked', page), "what was ticked stays ticked"
    page = await browser.post("/dns_filter/groups", **{**typed, "sure": f"staff for group:{form}"})
    assert "7A now has the profile Staff" in page
    page = await browser.post("/dns_filter/groups", **{**typed, "name": "Ada Teacher", "profile": "guest"})
    assert "Ada Teacher now has the profile Guests" in page, "nobody asks where nothing becomes milder"


async def test_a_yes_counts_for_the_choice_that_was_shown_alone(house: Any, browser: Browser) -> None:
    await house.appliance.directory.add(KEEPER, Details("pupil", "Bea Pupil"))
    await house.appliance.directory.devices.add(KEEPER, DeviceDetails("Laptop 1"))
    typed = {"group": "year7", "profile": "staff", "reason": "A slip", "last_day": ""}
    page = await browser.post("/dns_filter/groups", 422, **typed)
    assert "on which nobody is known to be signed in would have a milder profile" in page
    page = await browser.post("/dns_filter/groups", 422, **typed, name="Bea Pupil", sure="staff for year7")
    assert "1 pupil would have a milder profile than now." in page
    page = await browser.post("/dns_filter/groups", 422, **typed, name="Laptop 1", sure="staff for Bea Pupil")
    assert "1 device would have a milder profile than now, whoever uses it." in page
    assert house.appliance.assignments.in_force(KIND) == []
    await browser.post("/dns_filter/groups", **typed, name="Laptop 1", sure="staff for Laptop 1")
    assert len(house.appliance.assignments.in_force(KIND)) == 1


async def test_every_mistake_of_the_form_is_told_at_once_in_its_order(browser: Browser) -> None:
    page = await browser.post(
        "/dns_filter/groups", 422, group="year7", name="Nobody", profile="guest", reason="", last_day="soon"
    )
    assert re.findall(r'<a href="#(\w+)">', page)[-3:] == ["name", "reason", "last_day"]
    for field in ("name", "reason", "last_day"):
        assert f'id="{field}-error"' in page


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"reason": " "}, "Say why"),
        ({"last_day": "soon"}, "year, month and day"),
        ({"last_day": "2020-01-01"}, "lies in the past"),
        ({"group": "office"}, "The settings file fixes this for office"),
        ({"group": "nobody"}, "There is no group"),
        ({"profile": "nothing"}, "There is no such profile any more"),
        ({"name": "Nobody"}, "There is no device and nobody called"),
    ],
)
async def test_a_mistake_in_the_form_loses_nothing(
    house: Any, browser: Browser, fields: dict[str, str], words: str
) -> None:
    typed = {"group": "year7", "profile": "exam", "reason": "Mock exams", "last_day": "", **fields}
    page = await browser.post("/dns_filter/groups", 422, **typed)
    assert words in page
    assert f'value="{typed["reason"].strip()}"' in page
    assert await house.appliance.assignments.history(KIND) == []


def test_the_last_day_ends_at_the_schools_midnight() -> None:
    form = GroupForm("year7", "exam", "Mock exams", "2026-07-01")
    errors, until = look_through(form, LONDON, datetime(2026, 7, 1, 12, tzinfo=UTC))
    assert errors == {}
    assert until == datetime(2026, 7, 1, 23, tzinfo=UTC)
    assert look_through(form, LONDON, until - timedelta(seconds=1))[0] == {}
    assert "last_day" in look_through(form, LONDON, until)[0]
