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

from appliance.access import Role
from appliance.clock import now, stamp
from appliance.testing import sign_in_as
from appliance.trust import Authority, ServerCertificate
from appliance.web.pages import COOKIE
from appliance.web.server import WebServer
from appliance_plugins.dns_filter.profiles.groups import KIND
from appliance_plugins.dns_filter.profiles.views import GroupForm, look_through
from appliance_plugins.dns_filter.queries.store import MANY_NAMES, ROWS_OF_ONE, aggregate

LONDON = ZoneInfo("Europe/London")


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


def record(**parts: Any) -> dict[str, Any]:
    return {
        "t": stamp(), "client": "10.7.0.1", "group": "year7", "name": "ads.example", "type": "A",
        "verdict": "blocked", "list": "ads", "profile": "pupil", "ms": 1.0, **parts,
    }  # fmt: skip


async def test_an_empty_page_says_what_to_do(browser: Browser) -> None:
    page = await browser.get("/dns_filter")
    assert "dig @127.0.0.1 -p 5300 www.example.org" in page
    assert 'data-live-list="dns_filter.queries"' in page


async def test_the_rest_of_many_names_is_shown_plainly(house: Any, browser: Browser) -> None:
    second = stamp().removesuffix("Z")[:-3]
    records = [record(t=f"{second}{number:03}Z", name=f"x{number}.example") for number in range(ROWS_OF_ONE + 42)]
    await house.plugin.queries.receive(records, 0)
    page = await browser.get("/dns_filter")
    assert f'{MANY_NAMES} <br><span class="muted">after {ROWS_OF_ONE} in this minute</span>' in page
    assert '<td data-label="Times" class="number">42</td>' in page
    assert f"more than {ROWS_OF_ONE} names in one minute" in page


async def test_queries_are_shown_and_filtered(house: Any, browser: Browser) -> None:
    await house.plugin.queries.store.add(
        aggregate([record(), record(name="news.example", verdict="allowed", client="10.9.0.1", group="office")])
    )
    page = await browser.get("/dns_filter")
    assert "ads.example" in page
    assert "news.example" in page
    assert "</svg>Blocked</span>" in page
    for query in ("verdict=blocked", "who=10.7.0.1", "who=year7", "verdict=blocked&who=year7"):
        page = await browser.get(f"/dns_filter?{query}")
        assert "ads.example" in page
        assert "news.example" not in page
        assert "data-live-list" not in page
    assert "Nothing like this" in await browser.get("/dns_filter?who=nobody")
    assert "news.example" in await browser.get("/dns_filter?verdict=nonsense")


async def test_a_name_cannot_become_markup(house: Any, browser: Browser) -> None:
    await house.plugin.queries.store.add(aggregate([record(name="<b>x</b>.example")]))
    page = await browser.get("/dns_filter?who=%3Cscript%3E")
    assert "<script>" not in page
    assert "&lt;b&gt;x&lt;/b&gt;.example" in await browser.get("/dns_filter")


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


async def test_a_row_of_another_day_says_so(house: Any) -> None:
    (today, earlier) = aggregate([record(), record(t=stamp(now() - timedelta(days=3)))])
    assert len(house.plugin.queries.views.live_row(today)["time"]) == len("09:30:00")
    assert len(house.plugin.queries.views.live_row(earlier)["time"]) == len("Tue 09:30:00")


async def test_lists_show_what_was_left_out(house: Any, browser: Browser) -> None:
    page = await browser.get("/dns_filter/lists")
    assert "lists/ads.txt" in page
    assert "Line 2: &#39;nonsense&#39; is a single word" in page
    assert "pupil, exam" in page
    (house.folder / "lists" / "ads.txt").unlink()
    await house.plugin.lists.refresh()
    page = await browser.get("/dns_filter/lists")
    assert "ads.txt cannot be read" in page
    assert "The last good copy stays in force" in page


async def test_the_card_is_on_the_home_page(house: Any, browser: Browser) -> None:
    assert "No device has asked in the last hour" in await browser.get("/")
    rows = aggregate([record()] * 1234 + [record(verdict="would block", profile="staff")])
    await house.plugin.queries.store.add(rows)
    page = await browser.get("/")
    assert "1,235" in page
    assert "1,234" in page
    assert "This card could not be made" not in page
