"""The pages about alerts, and a real browser that is told of one: nothing about anybody stands there."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from barriers import WCAG_AA, barriers
from browsers import a_chromium
from playwright.async_api import Browser, BrowserContext, Page, expect
from seeding_captures import DEVICES, MODERATE, NAMES, SEVERE, TEST, Story, seed, seen
from test_web_live import opened as live_stream

from appliance.access import Role
from appliance.accounts.staff import Scope
from appliance.clock import now
from appliance.errors import Refused
from appliance.people.devices import DeviceDetails
from appliance.people.directory import Details
from appliance.testing import Client, Home, Running
from appliance.web.pages import COOKIE

Start = Callable[[Home], Awaitable[Running]]
PATIENCE = 30_000.0  # milliseconds


@dataclass
class House:
    """A running appliance with a lead and a pupil."""

    running: Running
    lead: Client
    ada: str

    async def keep(self, story: Story, person: str | None = "ada") -> str:
        """Keep a capture; the id of its alert, if it has one."""
        one = seen(story, person=self.ada if person == "ada" else person)
        appliance = self.running.appliance
        await appliance.captures.keep(one)
        row = await appliance.records.fetch_one(
            "SELECT alert_id AS id FROM captures LEFT JOIN alert_captures ON capture_id = captures.id"
            " WHERE observation = ?",
            (one.observation.id,),
        )
        assert row is not None
        return str(row["id"])


@pytest_asyncio.fixture
async def house(appliance_home: Home, start_appliance: Start) -> House:
    running = await start_appliance(appliance_home)
    lead = await running.as_role(Role.LEAD, name="Lea Lead")
    await running.appliance.monitoring.refresh()
    return House(running, lead, await running.appliance.directory.add(lead.actor, Details("pupil", "Ada Okafor")))


def words_of(text: str) -> str:
    text = re.sub(r"<(script|style|template)\b.*?</\1>", "", text, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


# Pages


async def test_alerts_are_listed_taken_and_over(house: House) -> None:
    lead = house.lead
    assert "There has been no alert yet." in (await lead.get("/alerts")).text
    alert = await house.keep(SEVERE)
    listed = await lead.get("/alerts")
    words = words_of(listed.text)
    assert "1 alert is open" in words
    assert "Nobody has taken it on" in words
    assert "Suicide" in words
    page = await lead.get(f"/alerts/{alert}")
    words = words_of(page.text)
    assert "Brought to : Lea Lead" in words.replace("Brought to:", "Brought to :")
    assert "I am dealing with this" in words
    capture = re.search(r'href="/captures/([0-9a-f-]{36})"', page.text)
    assert capture is not None
    for hidden in ("Ada", SEVERE.phrase, SEVERE.host, SEVERE.definition):
        assert hidden not in listed.text + page.text, hidden
    assert (await lead.post(f"/alerts/{alert}/take")).status == 303
    again = await lead.post(f"/alerts/{alert}/take")
    assert again.status == 303
    words = words_of((await lead.get(f"/alerts/{alert}")).text)
    assert "Somebody has taken it on before you." in words
    assert "Taken on by Lea Lead" in words
    assert "Lea Lead is dealing with it" in words_of((await lead.get("/alerts")).text)
    await lead.post(f"/captures/{capture[1]}/status", {"status": "resolved"})
    words = words_of((await lead.get("/alerts")).text)
    assert "0 alerts are open" in words
    assert "Lea Lead dealt with it" in words
    assert "Closed by Lea Lead" in words_of((await lead.get(f"/alerts/{alert}")).text)


async def test_an_alert_lists_its_captures(house: House) -> None:
    lead = house.lead
    alert = await house.keep(SEVERE)
    assert "Open the capture" in (await lead.get(f"/alerts/{alert}")).text
    assert {await house.keep(SEVERE) for _ in range(2)} == {alert}
    words = words_of((await lead.get("/alerts")).text)
    assert "1 alert is open" in words
    assert "Suicide 3 captures" in words
    page = await lead.get(f"/alerts/{alert}")
    captures = re.findall(r'href="/captures/([0-9a-f-]{36})"', page.text)
    assert len(set(captures)) == len(captures) == 3
    assert "A further capture was added: 3 captures now." in words_of(page.text)
    for hidden in ("Ada", SEVERE.phrase, SEVERE.host):
        assert hidden not in page.text, hidden
    for capture in captures:
        assert "I am dealing with this" in (await lead.get(f"/captures/{capture}")).text
    await lead.post(f"/captures/{captures[0]}/status", {"status": "resolved"})
    words = words_of((await lead.get(f"/alerts/{alert}")).text)
    assert "Taken on by Lea Lead" in words
    assert "Resolved" in words
    assert "1 alert is open" in words_of((await lead.get("/alerts")).text)
    for capture in captures[1:]:
        await lead.post(f"/captures/{capture}/status", {"status": "resolved"})
    assert "0 alerts are open" in words_of((await lead.get("/alerts")).text)


async def test_alerts_are_for_those_in_scope(house: House) -> None:
    about_ada, unknown, test = await house.keep(SEVERE), await house.keep(SEVERE, None), await house.keep(TEST)
    tutor = await house.running.as_role(Role.PASTORAL, [Scope("person", house.ada)])
    it = house.running
    for who, seen_by in ((tutor, {about_ada, test}), (house.lead, {about_ada, unknown, test}), (it, {test})):
        for alert in (about_ada, unknown, test):
            status = (await who.get(f"/alerts/{alert}")).status
            assert status == (200 if alert in seen_by else 404)
            if alert not in seen_by:
                assert (await who.post(f"/alerts/{alert}/take")).status == 404
    assert "Open the capture" not in (await it.get(f"/alerts/{test}")).text
    teacher = await house.running.as_role(Role.TEACHER)
    assert (await teacher.get("/alerts")).status == 403
    assert "data-alerts" not in (await teacher.get("/")).text


async def test_the_top_line_counts_and_a_locked_browser_shows_nothing(house: House) -> None:
    await house.keep(SEVERE)
    await house.running.appliance.alerts.refresh()
    top = (await house.lead.get("/people")).text.partition("<main")[0]
    assert re.search(r'<p class="alerts-line" data-alerts="1"><a href="/alerts">', top)
    assert "1 alert<" in top
    await house.lead.post("/lock")
    locked = await house.lead.get("/unlock")
    assert "alerts-line" not in locked.text


async def test_a_locked_browser_is_told_that_there_is_an_alert_and_no_more(house: House) -> None:
    await house.lead.post("/lock")
    async with live_stream(house.lead) as stream:
        await stream.piece()
        alert = await house.keep(SEVERE)
        topic, data = await stream.message()
    assert topic == "appliance.alert"
    assert data == {
        "alert": alert, "kind": "capture", "severity": "severe", "words": "A Severe alert has come in", "again": "no",
    }  # fmt: skip


async def test_presenting_is_a_switch_on_every_page(house: House) -> None:
    lead = house.lead
    assert "I am presenting" in (await lead.get("/people")).text
    await house.keep(SEVERE)
    answer = await lead.post("/alerts/quiet", {"do": "begin", "back": "/people"})
    assert answer.headers["Location"] == "/people"
    page = await lead.get("/people")
    assert re.search(r"Alerts are quiet until \d\d:\d\d", page.text)
    assert re.search(r'<p class="alerts-line" data-alerts="1" hidden>', page.text)
    deputy = await house.running.as_role(Role.DEPUTY)
    assert "I am presenting" in (await deputy.get("/people")).text, "it is for one account alone"
    await lead.post("/alerts/quiet", {"do": "end", "back": "//elsewhere.example"})
    assert "I am presenting" in (await lead.get("/people")).text
    elsewhere = await lead.post("/alerts/quiet", {"do": "end", "back": "https://elsewhere.example"})
    assert elsewhere.headers["Location"] == "/"
    assert (await lead.post("/alerts/quiet", {"do": "odd"})).status == 400


async def test_silence_is_shown_to_those_who_look_after_the_box(house: House) -> None:
    appliance = house.running.appliance
    async with appliance.records.transaction() as tx:
        words = "One device that was in use today is not heard any more: Laptop 7."
        alert = await appliance.alerts.open_within(tx, kind="silence", category="Devices", words=words)
    for who in (house.running, house.lead):
        page = words_of((await who.get(f"/alerts/{alert}")).text)
        assert "The appliance fell silent: Devices" in page
        assert "Laptop 7." in page
    assert "See the alerts" in (await house.running.get("/")).text
    head = await house.running.as_role(Role.HEAD)
    assert (await head.get(f"/alerts/{alert}")).status == 404


# In a real browser


@pytest_asyncio.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with a_chromium() as browser:
        yield browser


async def tab_of(chromium: Browser, client: Client, width: int = 1280) -> tuple[BrowserContext, Page]:
    """A browser in which this account is signed in."""
    context = await chromium.new_context(
        base_url=f"http://staff.localhost:{client.port}", viewport={"width": width, "height": 900}
    )
    context.set_default_timeout(PATIENCE)
    # Set for https, as the cookie's name asks for; Chromium sends it to localhost all the same.
    address = f"https://staff.localhost:{client.port}"
    await context.add_cookies([{"name": COOKIE, "value": client.cookie, "url": address, "secure": True}])
    return context, await context.new_page()


async def test_an_alert_comes_to_every_open_page_and_a_capture_to_the_list(house: House, chromium: Browser) -> None:
    context, page = await tab_of(chromium, house.lead)
    await page.goto("/captures")
    await expect(page.locator(".live-state")).to_have_text("Live")
    other = await context.new_page()
    await other.goto("/people")
    title = await other.title()
    await house.keep(SEVERE)
    for tab in (page, other):
        bar = tab.get_by_role("alert")
        await expect(bar).to_contain_text("A Severe alert has come in.")
        assert "Ada" not in await bar.inner_text()
        await expect(tab.locator(".alerts-line")).to_have_text("1 alert")
    await expect(other).to_have_title(f"(1) {title}")
    assert not await barriers(other)
    row = page.locator("tbody tr").first
    await expect(row).to_contain_text("Ada Okafor")
    await expect(row.locator("td").first).to_have_text("Severe")
    await house.keep(MODERATE)
    await expect(page.locator("tbody tr")).to_have_count(2)
    await expect(page.locator("tbody tr").first.locator("td").first).to_have_text("Severe")
    await house.keep(SEVERE, None)
    await expect(other.get_by_role("alert")).to_contain_text("2 have come.")
    await expect(other.locator(".alerts-line")).to_have_text("2 alerts")
    await other.get_by_role("button", name="Hide").click()
    await expect(other.get_by_role("alert")).to_have_count(0)
    await page.locator("tbody tr").nth(2).get_by_role("link").click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Eating disorders")
    await context.close()


async def test_an_alert_that_came_while_a_page_had_no_stream_is_shown_when_it_has_one(
    house: House, chromium: Browser
) -> None:
    context, page = await tab_of(chromium, house.lead)
    await page.route("**/live?*", lambda route: route.abort())
    await page.goto("/people")
    await house.keep(SEVERE)
    assert await page.get_by_role("alert").count() == 0
    await page.unroute("**/live?*")
    await expect(page.get_by_role("alert")).to_contain_text("Alerts are waiting.")
    await expect(page.locator(".alerts-line")).to_have_text("1 alert")
    await page.goto("/people")  # this page knows of it from the start
    await expect(page.locator(".alerts-line")).to_have_text("1 alert")
    async with page.expect_response("**/live?*"):
        await page.reload()
    assert await page.get_by_role("alert").count() == 0
    await context.close()


async def test_a_screen_that_is_shown_to_others_stays_quiet(house: House, chromium: Browser) -> None:
    context, page = await tab_of(chromium, house.lead)
    await page.goto("/captures?severity=minor")
    await page.get_by_role("button", name="I am presenting").click()
    await expect(page.get_by_text("Alerts are quiet until")).to_be_visible()
    await page.goto("/captures")
    await expect(page.locator(".live-state")).to_have_text("Live")
    await house.keep(SEVERE)
    await expect(page.locator("tbody tr").first).to_contain_text("Suicide")
    await expect(page.get_by_role("alert")).to_have_count(0)
    await expect(page.locator(".alerts-line")).to_be_hidden()
    await page.get_by_role("button", name="Show alerts").click()
    await expect(page.locator(".alerts-line")).to_have_text("1 alert")
    await context.close()


@pytest.mark.parametrize("width", [1280, 375])
async def test_every_page_is_for_everybody(
    house: House, chromium: Browser, width: int, request: pytest.FixtureRequest
) -> None:
    """Axe finds nothing, and no page is wider than the screen."""
    folder = request.config.getoption("--basetemp") and Path(request.config.getoption("--basetemp"))
    paths = await a_busy_school(house)
    context, page = await tab_of(chromium, house.lead, width)
    for name, path in paths.items():
        await page.goto(path)
        assert not await barriers(page, WCAG_AA), path
        wide = await page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        assert not wide, path
        if folder:
            await page.screenshot(path=folder / f"{name}-{width}.png", full_page=True)
    await context.close()


async def a_busy_school(house: House) -> dict[str, str]:
    """Fill the house with what a week brings; the pages to look at, by name."""
    appliance, lead = house.running.appliance, house.lead
    people = [house.ada, *[await appliance.directory.add(lead.actor, Details("pupil", name)) for name in NAMES[1:]]]
    devices = [await appliance.directory.devices.add(lead.actor, DeviceDetails(name)) for name in DEVICES]
    form = await appliance.directory.groups.make(lead.actor, "form", "9 Blue")
    await appliance.directory.groups.add_people(lead.actor, form, people[:4])
    await seed(appliance.captures, people, devices, now(), 24)
    await house.keep(TEST)
    severe = await house.keep(SEVERE)
    assert await house.keep(SEVERE) == severe
    alert = await appliance.alerts.alert(lead.actor, severe)
    assert alert is not None
    rows = await appliance.records.fetch(
        "SELECT id, category FROM captures WHERE person_id IS NOT NULL ORDER BY at DESC, id"
    )
    by = {row["category"]: row["id"] for row in rows}
    await lead.post(f"/captures/{by['drugs']}/status", {"status": "investigation", "words": "Ada wrote about a poem."})
    poem = next(row["id"] for row in rows if row["category"] == "drugs" and row["id"] != by["drugs"])
    await lead.post(f"/captures/{poem}/allow", {"words": "It is a poem."})
    return {
        "home": "/",
        "captures": "/captures",
        "captures-any": "/captures?status=any&order=newest",
        "capture-severe": f"/captures/{alert['capture_id']}",
        "capture-picture": f"/captures/{alert['capture_id']}?picture=show",
        "capture-noted": f"/captures/{by['drugs']}",
        "capture-illegal": f"/captures/{by['illegal']}",
        "allowed": "/captures/allowed",
        "alerts": "/alerts",
        "alert": f"/alerts/{severe}",
    }


async def test_the_lead_may_be_away(house: House) -> None:
    """What was seeded can be opened by nobody else, so nobody else can judge it."""
    await house.keep(SEVERE)
    deputy = await house.running.as_role(Role.DEPUTY)
    (row,) = await house.running.appliance.records.fetch("SELECT id FROM captures")
    assert (await deputy.get(f"/captures/{row['id']}")).status == 200
    session = house.running.appliance.staff.sessions.find(deputy.cookie)
    assert session is not None
    keys = house.running.appliance.staff.sessions.keys(session)
    assert keys is not None
    with pytest.raises(Refused):
        await house.running.appliance.captures.reading.opened(deputy.actor, keys, row["id"])
