"""The pages of profiles, entries and explanations: over HTTP, and clicked once in a real browser."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from barriers import barriers
from browsers import a_chromium
from playwright.async_api import Page

from appliance.access import Role
from appliance.api import Target, TargetKind
from appliance.testing import Home, Running, free_port, start_in_process
from appliance_plugins.dns_filter.profiles.having import KIND

END = datetime(2099, 12, 19, tzinfo=ZoneInfo("Europe/London"))
HELP = "places: [{host: help.example, name: Somebody, why: Children find help there.}]\n"


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """One appliance for all tests here: each uses profiles, sites and switches of its own."""
    folder = tmp_path_factory.mktemp("profiles") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP)
    home = Home(folder, free_port(), free_port())
    home.write(
        "groups: [{name: lab, addresses: [10.7.1.0/24]}]\n"
        "plugins: {dns_filter: {profiles: [{name: staff, mode: watch, youtube: moderate}, {name: exam}]}}\n"
    )
    found = await start_in_process(home)
    yield found
    await found.stop()


def filter_of(running: Running) -> Any:
    return running.appliance.plugins._registered["dns_filter"].plugin


async def test_profiles_stand_side_by_side_in_plain_words(running: Running) -> None:
    page = (await running.get("/dns_filter/profiles")).text
    for words in ("Pupils", "Staff", "Guests", "Exam", "Trial run: blocks nothing", "ChatGPT", "safe results only"):
        assert words in page
    assert "still block nothing, because no list is about them" in page
    pupils = page.split('id="profile-pupil"')[1].split("</section>")[0]
    blocked, hungry = pupils.split("Chosen, but no list says what belongs to it")
    assert "Child abuse images" not in blocked
    assert "Ways around the filter" in blocked.split("Blocked categories")[1], "our own list is about these"
    assert "Blocks nothing yet" in hungry
    assert "Child abuse images" in hungry
    missing = re.search(r"(\d+) categories still block nothing", page)
    lists = re.search(r"(\d+) categories without a list", (await running.get("/dns_filter/lists")).text)
    assert missing is not None
    assert lists is not None
    assert missing[1] == lists[1]


async def test_home_says_that_it_is_a_trial_run_and_for_how_long(running: Running) -> None:
    page = (await running.get("/")).text
    assert (
        "Pupils, Guests, Exam: nothing is blocked" in page or "Staff, Exam, Pupils, Guests: nothing is blocked" in page
    )
    assert "7 days of the suggested week are left" in page
    assert "Let the web filter block" in page


async def test_a_switch_is_changed_with_a_reason_and_undone(running: Running) -> None:
    profiles = filter_of(running).profiles
    path = "/dns_filter/profiles/pupil"
    page = (await running.get(path)).text
    assert "To let some of them in, untick those" in page
    for words in ("Off: lists, categories and services decide", "On: everything else is blocked", ">Blocked</option>"):
        assert words in page
    shown = {"shown": "service:tiktok service:chatgpt", "service:chatgpt": "on", "service:tiktok": "on"}
    answer = await running.post(path, {**shown, "mode": "block", "reason": ""})
    assert answer.status == 422
    assert "Say why" in answer.text
    assert profiles.store.in_force.changes == ()
    await running.post(path, {**shown, "mode": "block", "reason": "The trial run is over"})
    policy = profiles.publishing.written["policies"]["pupil"]
    assert policy["mode"] == "block"
    assert "tiktok" in policy["services"]
    assert {change.switch for change in profiles.store.in_force.changes} == {"mode", "service:tiktok"}
    page = (await running.get(path)).text
    assert "The trial run is over" in page
    (mode,) = [change.id for change in profiles.store.in_force.changes if change.switch == "mode"]
    await running.post(f"{path}/undo", {"id": mode})
    assert profiles.publishing.written["policies"]["pupil"]["mode"] == "watch"
    assert (await running.post(f"{path}/undo", {"id": mode})).status == 422
    answer = await running.post(path, {"mode": "watch", "reason": "x"})
    assert "every switch is as it was" in answer.text
    assert (await running.get("/dns_filter/profiles/nobody")).status == 404


@pytest.mark.parametrize("shown", ["nothing", "mode", "nobody:knows", "service:nothing", "mode:block"])
async def test_a_form_with_a_switch_that_is_not_there_changes_nothing(running: Running, shown: str) -> None:
    answer = await running.post("/dns_filter/profiles/exam", {"shown": shown, "reason": "An older page"})
    assert answer.status == 422
    assert "every switch is as it was" in answer.text
    assert await filter_of(running).profiles.store.history("exam") == []


async def test_a_search_engine_without_a_safe_mode_is_blocked_or_said_to_be_open(running: Running) -> None:
    profiles = filter_of(running).profiles
    path = "/dns_filter/profiles/guest"
    assert "engines that have no safe mode are blocked" in (await running.get(path)).text
    assert "search.yahoo.com" in profiles.publishing.written["policies"]["guest"]["services"]["unsafe_search"]
    await running.post(path, {"shown": "service:unsafe_search", "reason": "Our own study"})
    assert "unsafe_search" not in profiles.publishing.written["policies"]["guest"]["services"]
    assert "engines that have no safe mode are open here" in (await running.get(path)).text
    assert "but engines without a safe mode are open" in (await running.get("/dns_filter/profiles")).text
    (change,) = [one.id for one in profiles.store.in_force.changes if one.profile == "guest"]
    await running.post(f"{path}/undo", {"id": change})
    assert "unsafe_search" in profiles.publishing.written["policies"]["guest"]["services"]


async def test_what_the_file_fixes_is_shown_and_not_changed(running: Running) -> None:
    page = (await running.get("/dns_filter/profiles/staff")).text
    assert re.search(r"appliance\.yaml, line \d+\) fixes some of this profile", page)
    await running.post("/dns_filter/profiles/staff", {"mode": "block", "youtube": "strict", "reason": "x"})
    assert await filter_of(running).profiles.store.history("staff") == []


async def test_a_pause_is_told_to_the_lead_and_ended(running: Running) -> None:
    lead = await running.as_role(Role.LEAD)
    path = "/dns_filter/profiles/pupil/pause"
    assert "Say why" in (await running.post(path, {"minutes": "15", "reason": ""})).text
    assert "Choose for how many minutes" in (await running.post(path, {"minutes": "600", "reason": "x"})).text
    await running.post(path, {"minutes": "15", "reason": "Fire drill"})
    page = (await running.get("/dns_filter/profiles")).text
    assert "Paused" in page
    assert "Fire drill" in page
    assert "paused the web filter for Pupils for 15 minutes. Locked lists go on." in (await lead.get("/notices")).text
    await running.post(path, {"do": "resume"})
    assert filter_of(running).profiles.store.in_force.pauses == {}


async def test_an_entry_needs_a_reason_and_a_broad_one_a_second_look(running: Running) -> None:
    store = filter_of(running).profiles.store
    path = "/dns_filter/entries"
    assert 'value="bad.example"' in (await running.get(f"{path}?domain=bad.example&action=block")).text
    typed = {"domain": "https://www.bad.example/page", "action": "block", "profile": "pupil", "reason": ""}
    assert "Say why" in (await running.post(path, typed)).text
    await running.post(path, {**typed, "reason": "Bullying", "sure": "yes"})
    (entry,) = store.in_force.entries
    assert (entry.domain, entry.profile, entry.author) == ("www.bad.example", "pupil", running.actor.name)
    assert "Bullying" in (await running.get(path)).text
    for ending, wrong in (("gov.uk", "gov.uk is an ending that very many sites share"), ("com", "a single word")):
        answer = await running.post(path, {**typed, "domain": ending, "reason": "x", "sure": "yes"})
        assert (answer.status, wrong in answer.text) == (422, True)
        assert f'value="{ending}"' in answer.text, "what was typed stands there to be mended"
    answer = await running.post(path, {**typed, "domain": "www.help.example", "reason": "x"})
    assert "It is never blocked, listed or counted" in answer.text
    answer = await running.post(path, {"domain": "google.com", "action": "block", "reason": "x"})
    assert answer.status == 422
    assert "I have read this and mean it" in answer.text
    assert len(store.in_force.entries) == 1
    await running.post(path, {"domain": "google.com", "action": "block", "reason": "x", "sure": "yes"})
    assert len(store.in_force.entries) == 2
    await running.post(f"{path}/undo", {"id": entry.id})
    assert [one.domain for one in store.in_force.entries] == ["google.com"]
    assert "Undone or over (1)" in (await running.get(path)).text


async def test_whoever_blocks_the_address_of_a_page_is_offered_the_whole_site(running: Running) -> None:
    store, path = filter_of(running).profiles.store, "/dns_filter/entries"
    typed = {"domain": "https://www.youtube.com/watch?v=1", "action": "block", "reason": "A test"}
    answer = await running.post(path, typed)
    assert answer.status == 422
    assert "This blocks www.youtube.com alone: youtube.com and other names below it stay open." in answer.text
    assert '<a href="#sure">' in answer.text
    assert 'name="whole" value="youtube.com">Block all of youtube.com instead</button>' in answer.text
    assert "YouTube is reached by other names too" in answer.text
    await running.post(path, {**typed, "whole": "youtube.com"})
    (entry,) = [one for one in store.in_force.entries if one.domain.endswith("youtube.com")]
    assert entry.domain == "youtube.com"
    await running.post(f"{path}/undo", {"id": entry.id})
    answer = await running.post(path, {**typed, "domain": "", "reason": ""})
    assert re.findall(r'<a href="#(domain|reason)">', answer.text) == ["domain", "reason"]


async def test_explain_answers_on_its_page(running: Running) -> None:
    page = (await running.get("/dns_filter/explain?name=www.tiktok.com&client=pupil")).text
    assert "This is for whoever has the profile Pupils." in page
    assert '<a href="/dns_filter/entries?domain=www.tiktok.com">' in page
    page = (await running.get("/dns_filter/explain?name=help.example")).text
    assert "Never touched" in page
    assert "/dns_filter/entries?domain=" not in page
    assert page.count("Never touched") == 1, "it is the same for everybody"
    page = (await running.get("/dns_filter/explain?name=www.tiktok.com")).text
    for title in ("Pupils", "Staff", "Guests", "Exam"):
        assert f"<h3>{title}</h3>" in page, "nobody was named, so every profile answers"
    assert "you asked for it" not in page


@pytest.mark.parametrize(
    ("asked", "field"),
    [("name=uk", "name"), ("name=uk&client=nobody-such", "name"), ("name=fine.example&client=nobody-such", "client")],
)
async def test_what_explain_cannot_answer_is_told_beside_its_field(running: Running, asked: str, field: str) -> None:
    answer = await running.get(f"/dns_filter/explain?{asked}")
    assert answer.status == 422
    assert re.findall(r'<a href="#(name|client)">', answer.text) == [field]
    assert re.findall(r'id="(\w+)-error"', answer.text) == [field]


async def test_the_lead_decides_too_and_a_head_does_not(running: Running) -> None:
    lead, head = await running.as_role(Role.LEAD), await running.as_role(Role.HEAD)
    assert "Allow or block a site" in (await lead.get("/dns_filter/entries")).text
    assert "Change the profile" in (await lead.get("/dns_filter/profiles/pupil")).text
    assert (await head.get("/dns_filter/entries")).status == 403


FALLS_APART = """() => [...document.querySelectorAll(".stack tbody [data-label]")].filter(
    cell => [...cell.childNodes].filter(one => one.nodeType === 1 || one.textContent.trim()).length > 1
).map(cell => cell.textContent.trim())"""
"""Cells of a table with words beside an element, or several elements: on a phone each would be a cell of a grid."""


async def look(page: Page, path: str) -> None:
    """No barrier that axe can find on a phone, nothing wider than it, and no cell in two columns."""
    assert not await barriers(page)
    assert await page.evaluate(FALLS_APART) == [], path
    assert await page.evaluate("document.documentElement.scrollWidth") <= 375, path


async def test_the_pages_are_clicked_and_have_no_barriers(running: Running) -> None:
    base = f"http://staff.localhost:{running.port}"
    async with a_chromium() as browser:
        context = await browser.new_context(
            bypass_csp=True, extra_http_headers={"Cookie": f"__Host-session={running.cookie}"}
        )
        page = await context.new_page()
        await page.set_viewport_size({"width": 375, "height": 800})
        await page.goto(f"{base}/dns_filter/profiles/pupil")
        await page.get_by_label("Netflix").check()
        await page.get_by_label("Why", exact=True).fill("Pupils film each other")
        await page.get_by_role("button", name="Change the profile").click()
        await page.goto(f"{base}/dns_filter/profiles/pupil")  # a redirect leaves the header with the cookie behind
        assert "Pupils film each other" in await page.locator("main").inner_text()
        await page.goto(f"{base}/dns_filter/entries?domain=google.com&action=block")
        await page.get_by_label("Why").fill("A test")
        await page.get_by_role("button", name="Save").click()
        await look(page, "a warning")
        store, lab = filter_of(running).profiles.store, Target(TargetKind.NETWORKS, "lab")
        await store.add_entry("Jo", "block", "bad.example", "", "A test", END)
        await store.add_entry("Jo", "allow", "bad.example", "", "A lesson", END, lab)
        await running.appliance.assignments.assign("Jo", KIND, lab, "guest", "A test", END)
        for path in ("profiles", "profiles/pupil", "entries", "groups", "lists", "explain?name=www.tiktok.com"):
            await page.goto(f"{base}/dns_filter/{path}")
            await look(page, path)
            if path in ("entries", "groups"):
                assert "until the end of Fri 18 Dec 2099" in await page.locator("main").inner_text()
