"""The staff pages, asked for over HTTP from the real server."""

from __future__ import annotations

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
    page = await browser.post("/dns_filter/groups", group="year7", profile="exam", reason="Mock exams", last_day="")
    assert "Year 7 now has the profile exam" in page
    assert "Mock exams" in page
    assert house.profile_at("10.7.2.1") == "exam"
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
    await browser.post("/dns_filter/groups", group="office", profile="staff", reason="Our own", last_day="")
    await browser.post("/dns_filter/groups", group=f"group:{group}", profile="pupil", reason="Like them", last_day="")
    (change,) = await house.appliance.assignments.history(KIND)
    page = await browser.post("/dns_filter/groups/undo", 422, id=change["id"])
    assert "everybody would have the profile pupil" in page
    assert house.profile_at("10.9.0.1") == "staff"
    await browser.post("/dns_filter/groups", group="year7", profile="guest", reason="Apart too", last_day="")
    assert "The change was undone" in await browser.post("/dns_filter/groups/undo", id=change["id"])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"reason": " "}, "Say why"),
        ({"last_day": "soon"}, "year, month and day"),
        ({"last_day": "2020-01-01"}, "lies in the past"),
        ({"group": "office"}, "The settings file fixes this for office"),
        ({"group": "nobody"}, "There is no group"),
        ({"profile": "nothing"}, "is not one of"),
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
