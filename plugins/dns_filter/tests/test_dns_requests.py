"""Asking for a page: what is kept of it, who decides, how the answer comes back, and what a flood cannot do."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from accounts import no_store_is_left_open
from barriers import WCAG_AA, barriers
from browsers import a_chromium
from playwright.async_api import Browser, Page, expect

from appliance.access import Role
from appliance.api import Target, TargetKind
from appliance.clock import now
from appliance.errors import Refused
from appliance.testing import Client, Home, Running, free_port, start_in_process
from appliance.web.pages import COOKIE
from appliance_plugins.dns_filter.blockpage import desk as desk_module
from appliance_plugins.dns_filter.blockpage.desk import OF_ONE_DEVICE, Desk, lasted
from appliance_plugins.dns_filter.tests.test_dns_blockpage import PLACES, SETTINGS, Box

__all__ = ["no_store_is_left_open"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = "I want to read about my aunt Petronella"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Box]:
    folder = tmp_path_factory.mktemp("requests") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(PLACES, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    home.write(SETTINGS.format(port=home.dns_port))
    running = await start_in_process(home)
    found = Box(running)
    for number in range(OF_ONE_DEVICE + 2):
        await found.block(f"blocked{number}.test")
    yield found
    await running.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def lead(box: Box) -> Client:
    """The first lead, who can open what is sealed."""
    found = await box.running.as_role(Role.LEAD)
    await box.running.appliance.vaults.start()
    return found


@pytest_asyncio.fixture(autouse=True, loop_scope="module")
async def nothing_was_asked(box: Box) -> None:
    async with box.running.appliance.records.transaction() as tx:
        await tx.execute("DELETE FROM dns_filter_requests")
        await tx.execute("DELETE FROM notices")


async def rows(running: Running, sql: str) -> list[dict[str, Any]]:
    return [dict(row) for row in await running.appliance.records.fetch(sql)]


async def asked(box: Box, host: str, purpose: str = "lesson") -> str:
    """Ask for a site as a child does; returns the code of the receipt."""
    answer = await box.post(host, "/dns_filter/ask", {"purpose": purpose})
    assert answer.status == 303, answer.text
    found = re.fullmatch(r"/dns_filter/asked\?code=([0-9A-Z-]+)", answer.headers["Location"])
    assert found is not None, answer.headers["Location"]
    return found[1]


async def the_request(box: Box) -> str:
    found = await rows(box.running, "SELECT id FROM dns_filter_requests WHERE state = 'open'")
    assert len(found) == 1, found
    return str(found[0]["id"])


async def decide(client: Client, request: str, **fields: str) -> Any:
    form = {"choice": "profile", "reason": "It is for biology", "answer": "", "last_day": "", **fields}
    return await client.post(f"/dns_filter/requests/{request}", form)


async def test_from_the_block_page_to_the_open_site(box: Box) -> None:
    code = await asked(box, "blocked0.test")
    receipt = await box.open("blocked0.test", f"/dns_filter/asked?code={code}")
    assert code in receipt.text
    assert "A member of staff looks at it" in receipt.text
    again = await box.open("blocked0.test")
    assert "You have asked for it" in again.text
    assert "<form" not in again.text

    queue = (await box.running.get("/dns_filter/requests")).text
    assert "blocked0.test" in queue
    assert "An entry of the school’s own" in queue
    assert "1 time, 1 device" in queue
    done = await decide(box.running, await the_request(box), choice="keep", answer="Use the library’s page instead.")
    assert done.status == 303

    for page in (await box.open("blocked0.test"), await box.pupil(f"/dns_filter/asked?code={code}")):
        assert "Use the library’s page instead." in page.text
    shown = (await box.running.get("/dns_filter/requests")).text
    assert "Stays blocked" in shown
    assert "It is for biology" in shown


async def test_a_site_that_is_opened_opens_for_the_profile_and_is_an_entry_like_any_other(box: Box) -> None:
    await box.running.post(
        "/dns_filter/profiles/pupil", {"switch": "service:instagram", "value": "on", "reason": "a test"}
    )
    running, host = box.running, "www.tiktok.com"
    code = await asked(box, host)
    done = await decide(running, await the_request(box), answer="Enjoy the film.")
    assert done.status == 303, done.text
    (entry,) = await rows(running, f"SELECT * FROM dns_filter_entries WHERE domain = '{host}'")
    assert (entry["action"], entry["profile"], entry["author"]) == ("allow", "pupil", "Ida Technician")
    assert "It is for biology" in entry["reason"]
    (request,) = await rows(running, "SELECT * FROM dns_filter_requests")
    assert (request["state"], request["entry"]) == ("allowed", entry["id"])
    await plugin(running).profiles.publish()
    assert "Nothing blocks this site for you now" in (await box.open(host)).text
    assert "Enjoy the film." in (await box.pupil(f"/dns_filter/asked?code={code}")).text


def plugin(running: Running) -> Any:
    """The filter that runs in this appliance."""
    return running.appliance.plugins._registered["dns_filter"].plugin


async def test_a_decision_without_a_reason_or_an_answer_is_none(box: Box) -> None:
    await asked(box, "blocked1.test")
    request = await the_request(box)
    for fields, words in (
        ({"reason": " "}, "Say why"),
        ({"choice": "keep"}, "Write an answer"),
        ({"choice": "nonsense"}, "Choose what happens"),
        ({"last_day": "2020-01-01"}, "lies in the past"),
        ({"last_day": "soon"}, "Give the last day"),
    ):
        answer = await decide(box.running, request, **fields)
        assert (answer.status, words in answer.text) == (422, True), words
        assert "It is for biology" in answer.text or fields.get("reason") == " "  # nothing typed is lost
    assert await the_request(box) == request


async def test_two_who_decide_at_once_decide_once(box: Box) -> None:
    await asked(box, "blocked2.test")
    request = await the_request(box)
    assert (await decide(box.running, request, choice="keep", answer="No.")).status == 303
    late = await decide(box.running, request, choice="everybody")
    assert late.status == 422
    assert "Somebody has decided this already" in late.text
    assert not await rows(
        box.running, "SELECT 1 FROM dns_filter_entries WHERE domain = 'blocked2.test' AND action = 'allow'"
    )


async def test_a_site_that_somebody_has_opened_meanwhile_is_answered_with_yes(box: Box) -> None:
    host = "blocked4.test"
    code = await asked(box, host)
    await plugin(box.running).profiles.store.add_entry("Lea Lead", "allow", host, "pupil", "for art", None)
    done = await decide(box.running, await the_request(box))
    assert done.status == 303, done.text
    entries = await rows(box.running, f"SELECT id FROM dns_filter_entries WHERE domain = '{host}' AND action = 'allow'")
    (request,) = await rows(box.running, "SELECT state, entry FROM dns_filter_requests")
    assert [(request["state"], request["entry"])] == [("allowed", entry["id"]) for entry in entries]
    assert "Yes: it opens now" in (await box.pupil(f"/dns_filter/asked?code={code}")).text
    await plugin(box.running).profiles.store.undo_entry("Lea Lead", request["entry"])
    assert "It was opened, and that is over" in (await box.pupil(f"/dns_filter/asked?code={code}")).text
    again = (await box.open(host)).text
    assert "That is over" in again
    assert "Ask for this page" in again


async def test_nobody_hears_yes_while_an_entry_for_one_room_goes_on_blocking(box: Box) -> None:
    host, store = "blocked9.test", plugin(box.running).profiles.store
    here = Target(TargetKind.NETWORKS, "here")
    entry = await store.add_entry("Lea Lead", "block", "test", "", "for a while", None, here)
    await asked(box, host)
    request = await the_request(box)
    async with box.running.appliance.records.transaction() as tx:
        await tx.execute("UPDATE dns_filter_requests SET why = 'entry' WHERE id = ?", (request,))
    refused = await decide(box.running, request)
    assert refused.status == 422
    assert "An entry for one group, room, device or person blocks test." in refused.text
    await store.undo_entry("Lea Lead", entry)
    assert (await decide(box.running, request)).status == 303


async def test_an_entry_that_ends_sooner_does_not_stand_for_one_without_an_end(box: Box) -> None:
    host, soon = "blocked5.test", now() + timedelta(hours=1)
    store = plugin(box.running).profiles.store
    first = await store.add_entry("Lea Lead", "allow", host, "", "for an hour", soon)
    async with box.running.appliance.records.transaction() as tx:
        found = [await store.allowed_within(tx, host, "pupil", until) for until in (soon, now(), None)]
    assert found == [first, first, ""]


async def test_opening_for_everybody_answers_whoever_asked_from_another_profile(box: Box) -> None:
    found = desk(box)
    met = found.meet("blocked3.test", "127.0.0.1")
    await found.ask(replace(met, profile="guest", asker="10.0.0.9"), "lesson")
    await found.ask(met, "homework")
    first, _ = await rows(box.running, "SELECT id FROM dns_filter_requests")
    assert (await decide(box.running, first["id"], choice="everybody", answer="Yes.")).status == 303
    decided = await rows(box.running, "SELECT state, answer FROM dns_filter_requests")
    assert decided == [{"state": "allowed", "answer": "Yes."}] * 2
    (entry,) = await rows(
        box.running, "SELECT profile FROM dns_filter_entries WHERE domain = 'blocked3.test' AND action = 'allow'"
    )
    assert entry["profile"] == ""


def desk(box: Box) -> Desk:
    found: Desk = plugin(box.running).blockpage.desk
    return found


async def test_who_may_decide_and_who_may_not(box: Box, lead: Client) -> None:
    await asked(box, "blocked4.test")
    request = await the_request(box)
    for role in (Role.TEACHER, Role.PASTORAL, Role.GOVERNOR, Role.DPO, Role.HEAD):
        somebody = await box.running.as_role(role)
        assert (await somebody.get("/dns_filter/requests")).status == 403
        assert (await decide(somebody, request, choice="keep", answer="No.")).status == 403
    assert (await decide(lead, request, choice="keep", answer="No.")).status == 303


async def test_what_a_child_writes_is_for_the_lead_alone_and_is_nowhere_in_the_clear(box: Box, lead: Client) -> None:
    running = box.running
    answer = await box.pupil("/dns_filter/ask?host=blocked5.test", {"purpose": "other", "words": CANARY})
    assert answer.status == 303, answer.text
    assert "lost" not in answer.headers["Location"]
    request = await the_request(box)

    seen_by_it = (await running.get(f"/dns_filter/requests/{request}")).text
    assert CANARY not in seen_by_it
    assert "Something was written with it" in seen_by_it
    seen_by_lead = (await lead.get(f"/dns_filter/requests/{request}")).text
    assert CANARY in seen_by_lead
    audit = await running.appliance.audit.rows(None, 5)
    assert any(row["action"] == "read what somebody asked for" for row in audit)
    assert CANARY not in str([dict(row) for row in audit])
    state = running.appliance.config.settings.storage.state_dir
    for file in state.rglob("*"):
        assert not file.is_file() or CANARY.encode() not in file.read_bytes(), file


async def test_over_plain_http_no_words_are_taken(box: Box) -> None:
    page = await box.open("blocked6.test")
    assert "<textarea" not in page.text
    assert "Use the private page" in page.text
    answer = await box.post("blocked6.test", "/dns_filter/ask", {"purpose": "other", "words": CANARY})
    assert answer.status == 303
    (asking,) = await rows(box.running, "SELECT words FROM dns_filter_askings")
    assert asking["words"] is None


async def test_pressing_again_is_one_request_with_a_new_receipt(box: Box) -> None:
    first, second = await asked(box, "blocked7.test"), await asked(box, "blocked7.test", "mistake")
    assert first != second
    (request,) = await rows(box.running, "SELECT times FROM dns_filter_requests")
    (asking,) = await rows(box.running, "SELECT purpose, code FROM dns_filter_askings")
    assert (request["times"], asking["purpose"]) == (1, "mistake")
    assert second not in asking["code"]  # only its hash is kept
    assert (await box.pupil(f"/dns_filter/asked?code={second.lower().replace('-', ' ')}")).status == 200
    gone = await box.pupil(f"/dns_filter/asked?code={first}")
    assert gone.status == 404
    assert f'name="code" value="{first}"' in gone.text, "it stands there to be looked at letter by letter"


async def test_one_device_cannot_flood_the_queue(box: Box) -> None:
    for number in range(OF_ONE_DEVICE):
        await asked(box, f"blocked{number}.test")
    refused = await box.post(f"blocked{OF_ONE_DEVICE}.test", "/dns_filter/ask", {"purpose": "lesson"})
    assert refused.status == 422
    assert "You have asked for a lot of pages" in refused.text
    await asked(box, "blocked0.test")  # what it asked for already stays as it is
    assert len(await rows(box.running, "SELECT 1 FROM dns_filter_requests")) == OF_ONE_DEVICE


async def test_many_devices_cannot_flood_it_either(box: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk_module, "MOST_OPEN", 2)
    found = desk(box)
    for number in range(2):
        await found.ask(replace(found.meet(f"blocked{number}.test", "127.0.0.1"), asker=f"10.0.0.{number}"), "lesson")
    with pytest.raises(Refused, match="Too many pages"):
        await found.ask(replace(found.meet("blocked3.test", "127.0.0.1"), asker="10.0.0.9"), "lesson")
    await found.ask(replace(found.meet("blocked1.test", "127.0.0.1"), asker="10.0.0.9"), "lesson")  # merged
    assert [row["devices"] for row in await found._store.waiting(9)] == [1, 2]


async def test_it_is_told_once_when_the_queue_begins(box: Box) -> None:
    await asked(box, "blocked8.test")
    await asked(box, "blocked9.test")
    told = await rows(box.running, "SELECT words, link FROM notices WHERE kind = 'asked for a page'")
    accounts = len(box.running.appliance.staff.with_role(Role.IT))
    assert len(told) == accounts
    assert "blocked8" not in told[0]["words"]


async def test_a_form_with_nothing_chosen_or_from_elsewhere_is_refused(box: Box) -> None:
    answer = await box.post("blocked0.test", "/dns_filter/ask", {"purpose": "<b>"})
    assert answer.status == 422
    assert "Choose why you need it" in answer.text
    foreign = await box._ask(
        "POST",
        box.running.http_port,
        "blocked0.test",
        "/dns_filter/ask",
        {"Origin": "http://evil.test", "Accept": "text/html"},
        {"purpose": "lesson"},
    )
    assert foreign.status == 403
    assert not await rows(box.running, "SELECT 1 FROM dns_filter_requests")


async def test_time_to_decide_is_measured_and_shown(box: Box) -> None:
    times = iter([now() - timedelta(hours=5), now() - timedelta(hours=3), now() - timedelta(hours=3)])
    moments: list[datetime] = []

    def clock() -> datetime:
        moments.append(next(times, now()))
        return moments[-1]

    blockpage = plugin(box.running).blockpage
    slow = Desk(box.running.appliance, blockpage.store, blockpage.desk._others, clock)
    await slow.ask(slow.meet("blocked0.test", "127.0.0.1"), "lesson")
    await slow.decide(box.running.actor, await the_request(box), "keep", "because", "No.")
    await asked(box, "blocked1.test")
    pace = await blockpage.desk.pace()
    assert (pace.decided, pace.waiting) == (1, 1)
    assert pace.median == pace.longest == pytest.approx(7200, abs=5)
    page = (await box.running.get("/dns_filter/requests")).text
    assert "2 hours" in page
    assert "1 page waits" in (await box.running.get("/")).text


async def test_what_was_decided_long_ago_is_deleted_with_its_words(box: Box) -> None:
    await asked(box, "blocked0.test")
    await decide(box.running, await the_request(box), choice="keep", answer="No.")
    await asked(box, "blocked1.test")
    async with box.running.appliance.records.transaction() as tx:
        await tx.execute(
            "UPDATE dns_filter_requests SET decided_at = '2020-01-01T00:00:00.000000Z' WHERE state = 'kept'"
        )
    await box.running.run_job("dns_filter", "requests that were decided long ago")
    assert [row["host"] for row in await rows(box.running, "SELECT host FROM dns_filter_requests")] == ["blocked1.test"]
    assert len(await rows(box.running, "SELECT 1 FROM dns_filter_askings")) == 1


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "1 minute"),
        (59, "1 minute"),
        (1200, "20 minutes"),
        (7200, "2 hours"),
        (86400, "24 hours"),
        (172800, "2 days"),
    ],
)
async def test_spans_in_words(seconds: float, words: str) -> None:
    assert lasted(seconds) == words


# In a real browser


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Browser]:
    """For which blocked names lead to this box, as the answer of the filter would."""
    async with a_chromium("--host-resolver-rules=MAP *.test 127.0.0.1") as browser:
        yield browser


async def faults(page: Page) -> list[str]:
    """What axe finds, and whether the page is wider than a phone."""
    await page.set_viewport_size({"width": 320, "height": 700})
    found = await barriers(page, WCAG_AA)
    wide = await page.evaluate("document.documentElement.scrollWidth > innerWidth")
    return found + (["wider than a phone"] if wide else [])


async def test_a_child_asks_and_hears_the_answer_in_a_real_browser(box: Box, lead: Client, chromium: Browser) -> None:
    site = f"http://blocked6.test:{box.running.http_port}"
    page = await chromium.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    await page.goto(f"{site}/deep/page?with=secrets")
    await expect(page.locator("h1")).to_have_text("This site is blocked here")
    assert (
        await page.evaluate("getComputedStyle(document.querySelector('.button')).minHeight") == "44px"
    )  # it has a style
    assert await faults(page) == []
    await page.check("#purpose-homework")
    await page.click("text=Ask for this page >> nth=-1")
    await expect(page.locator("h1")).to_have_text("You have asked for this page")
    assert await faults(page) == []
    code = await page.locator(".receipt code").inner_text()

    staff = await chromium.new_page()
    address = f"http://staff.localhost:{box.running.port}"
    # Set for https, as the cookie's name asks for; Chromium sends it to localhost all the same.
    secure = address.replace("http:", "https:")
    await staff.context.add_cookies([{"name": COOKIE, "value": lead.cookie, "url": secure, "secure": True}])
    await staff.goto(f"{address}/dns_filter/requests")
    assert await faults(staff) == []
    await staff.click("text=blocked6.test")
    assert await faults(staff) == []
    await staff.check("#choice-keep")
    await staff.click("text=Decide >> nth=-1")
    await expect(staff.locator(".error-summary")).to_contain_text("Say why")
    assert await faults(staff) == []
    await staff.fill("#reason", "It is a game")
    await staff.fill("#answer", "Play it at home.")
    await staff.click("button:has-text('Decide')")
    await expect(staff.locator("h1")).to_have_text("Pages that were asked for")
    await staff.goto(f"{address}/dns_filter/provider")
    assert await faults(staff) == []

    await page.goto(site)
    await expect(page.locator("#earlier")).to_have_text("You asked for it, and it stays blocked")
    await expect(page.locator("section:has(#earlier) p")).to_have_text("Play it at home.")
    await page.goto(f"{site}/dns_filter/asked?code={code}")
    await expect(page.locator("h1")).to_have_text("No: it stays blocked")
    assert await page.context.cookies(site) == []
    assert [words for words in complaints if "403" not in words] == []
    await page.context.close()
    await staff.context.close()
