"""The extension's life: installed by policy, let in, cut off, killed, updated, taken out. In a real Chromium."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from managed_chromium import ManagedChromium, focus, managed_chromium, school_policy, why_not
from playwright.async_api import Page
from protocol_box import KEYWORD, NEEDLES, TOKEN, WAIT_SECONDS, ProtocolBox

from appliance.access import Role
from appliance.db import Row
from appliance.endpoints.messages import to_base64url
from appliance.endpoints.policies import signed_bytes
from appliance.endpoints.tokens import NewToken
from appliance.keys_on_disk import ExtensionKey
from appliance.testing import Home, Running
from appliance_plugins.keyword.needles.tables import tables_module

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

HOSTS = {"forum.test": "127.0.0.1", "other.test": "127.0.0.1"}
TERM = "want to die"
FORUM = "<!doctype html><title>Forum</title><textarea id='say'></textarea>"
TEST_PHRASE = "purple penguins juggle pineapples"


LONGEST_TEST = 240.0


@pytest.fixture(autouse=True)
async def ends_in_time() -> AsyncIterator[None]:
    """End a test that hangs, wherever it does: a browser can stop answering at any question."""
    test = asyncio.current_task()
    assert test is not None
    timer = asyncio.get_running_loop().call_later(LONGEST_TEST, test.cancel)
    yield
    timer.cancel()


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[ProtocolBox]:
    box = ProtocolBox(ExtensionKey.open(tmp_path / "trust"))
    await box.start()
    box.pages["/"] = FORUM
    yield box
    await box.stop()


def policy_of(box: ProtocolBox, **device: str) -> dict[str, object]:
    return school_policy(box.key.extension_id, box.url, TOKEN, **device)


async def forum(browser: ManagedChromium, box: ProtocolBox) -> Page:
    return await browser.new_page(f"http://forum.test:{box.port}/")


async def write(page: Page, words: str = TERM) -> None:
    """Write something and leave the field, so that it is read at once."""
    await page.locator("#say").fill("")
    await page.locator("#say").press_sequentially(words)
    await page.locator("#say").press("Tab")


async def reading(browser: ManagedChromium, box: ProtocolBox, page: Page) -> None:
    """Wait until the policy is there: until something that is written is noticed, and forget that again."""
    for number in range(60):
        words = f"{TERM}, try {number}"
        await write(page, words)
        with suppress(TimeoutError):
            await box.until(lambda words=words: any(one.content["text"] == words for one in box.received), 1.0)
            box.received.clear()
            return
    raise AssertionError("nothing is read")


async def shows(browser: ManagedChromium, *words: str) -> None:
    """Wait until the toolbar says these words. Needs a policy under which workers may be looked into."""
    async with asyncio.timeout(WAIT_SECONDS):
        worker = browser.context.service_workers[0]
        shown = ""
        while not all(some in shown for some in words):
            shown = await worker.evaluate("chrome.action.getTitle({})")
            await asyncio.sleep(0.05)


# Being let in


async def test_a_browser_waits_until_it_is_let_in_and_says_so(tmp_path: Path, box: ProtocolBox) -> None:
    box.let_in = False
    policy = {**policy_of(box, deviceName="Laptop 7", deviceSerial="S-7"), "DeveloperToolsAvailability": 1}
    async with managed_chromium(tmp_path / "chromium", policy, HOSTS) as browser:
        await box.until(lambda: box.hellos)
        hello = box.hellos[0]
        assert (hello["name"], hello["serial"], hello["token"]) == ("Laptop 7", "S-7", TOKEN)
        assert hello["browser"].startswith("Chromium ")
        assert hello["platform"] == "linux"
        assert box.origins == [f"chrome-extension://{box.key.extension_id}"]  # one connection, whatever wakes it
        page = await forum(browser, box)
        await write(page)
        await shows(browser, "waiting to be let in: nothing on it is looked at yet")
        assert not box.received
        box.let_in = True
        await reading(browser, box, page)
        await shows(browser, "looked after by your school", "looks for signs that somebody is in danger")
        await box.tell({"type": "refused", "words": "Taken out.", "seconds": 3600, "final": True})
        await shows(browser, "It has not been let in: nothing on it is looked at")
        await write(page, f"I {TERM}")
        worker = browser.context.service_workers[0]
        async with asyncio.timeout(WAIT_SECONDS):
            assert await worker.evaluate("chrome.storage.local.get()") == {"policySerial": 1}
        assert not box.received


async def test_a_browser_shows_the_same_key_for_ever_and_the_enrolment_key_once(
    tmp_path: Path, box: ProtocolBox
) -> None:
    async with managed_chromium(tmp_path / "chromium", policy_of(box), HOSTS) as browser:
        await box.until(lambda: box.hellos)
        page = await forum(browser, box)
        await reading(browser, box, page)
        version = box.version_sent
        await browser.kill()
        await browser.start()
        await box.until(lambda: len(box.hellos) == 2)
        first, second = box.hellos
        assert second["key"] == first["key"]
        assert second["counter"] > first["counter"]
        assert "token" not in second
        assert (second["policy"], second["policySerial"]) == (version, 1)
        box.knows.clear()  # the box was set up anew, and asks again
        await box.stop()
        await box.start()
        await box.until(lambda: len(box.hellos) == 4)
        assert ["token" in hello for hello in box.hellos[2:]] == [False, True]
        assert box.hellos[3]["counter"] == box.hellos[2]["counter"] > second["counter"]


async def test_a_browser_that_is_turned_away_for_now_keeps_its_policy_and_what_it_notices(
    tmp_path: Path, box: ProtocolBox
) -> None:
    policy = {**policy_of(box), "DeveloperToolsAvailability": 1}
    async with managed_chromium(tmp_path / "chromium", policy, HOSTS) as browser:
        await box.until(lambda: box.hellos)
        page = await forum(browser, box)
        await reading(browser, box, page)
        await box.tell({"type": "refused", "words": "The box is not ready.", "seconds": 5})
        await shows(browser, "looks for signs that somebody is in danger", "cannot be reached at the moment")
        await write(page, f"Meanwhile I {TERM}")
        await box.until(lambda: box.received)
        assert len(box.hellos) == 2  # it came again, after so long
        assert [one.content["text"] for one in box.received] == [f"Meanwhile I {TERM}"]


# Nothing is lost


async def test_a_clock_that_is_set_back_does_not_stop_anything(tmp_path: Path, box: ProtocolBox) -> None:
    policy = {**policy_of(box), "DeveloperToolsAvailability": 1}
    async with managed_chromium(tmp_path / "chromium", policy, HOSTS) as browser:
        await box.until(lambda: box.hellos)
        page = await forum(browser, box)
        await reading(browser, box, page)
        box.answer = lambda received: {"type": "later", "id": received.id, "seconds": 3}
        await write(page, f"Once I {TERM}")
        await box.until(lambda: box.received)
        box.answer = lambda received: {"type": "kept", "id": received.id}
        async with asyncio.timeout(WAIT_SECONDS):  # what setting the clock does, without setting that of the machine
            await browser.context.service_workers[0].evaluate("""() => {
                const rightNow = Date.now;
                Date.now = () => rightNow() - 3_600_000;
            }""")
        await box.until(lambda: len(box.received) == 2)
        await box.tell({"type": "refused", "words": "Not now.", "seconds": 2})
        await box.until(lambda: len(box.hellos) == 2)
        await write(page, f"Twice I {TERM}")
        await box.until(lambda: len(box.received) == 3)


BUSY = "() => { for (const until = Date.now() + 4_000; Date.now() < until; ); }"
"""Keeps the worker from saying that a page may be read."""

SENDS = """<!doctype html><title>Sends</title><input id="line"><script>
  const line = document.querySelector("#line");
  line.addEventListener("keydown", (event) => {
    if (event.key === "Enter") line.value = "";
  });
</script>"""


async def test_what_is_sent_before_anything_may_be_read_is_read_then(tmp_path: Path, box: ProtocolBox) -> None:
    box.pages["/sends"] = SENDS
    policy = {**policy_of(box), "DeveloperToolsAvailability": 1}
    async with managed_chromium(tmp_path / "chromium", policy, HOSTS) as browser:
        await box.until(lambda: box.hellos)
        await reading(browser, box, await forum(browser, box))
        page = await browser.context.new_page()
        client = await page.context.new_cdp_session(page)
        worker = browser.context.service_workers[0]
        busy = asyncio.create_task(worker.evaluate(BUSY))
        with suppress(TimeoutError):
            await asyncio.wait_for(worker.evaluate("1"), 0.5)  # answered once it is not busy any more
        await page.goto(f"http://forum.test:{box.port}/sends", wait_until="commit")
        await focus(client, "line")
        for text in ("First", "Second"):
            await client.send("Input.insertText", {"text": f"{text}, I {TERM}"})
            for kind in ("keyDown", "keyUp"):
                await client.send("Input.dispatchKeyEvent", {"type": kind, "key": "Enter", "code": "Enter"})
        assert not busy.done()  # it has answered nobody so far
        await busy
        await box.until(lambda: len(box.received) == 2)
        assert {one.content["text"] for one in box.received} == {f"First, I {TERM}", f"Second, I {TERM}"}


async def test_what_is_noticed_while_the_box_is_away_survives_a_browser_that_is_killed(
    tmp_path: Path, box: ProtocolBox
) -> None:
    async with managed_chromium(tmp_path / "chromium", policy_of(box), HOSTS) as browser:
        await box.until(lambda: box.hellos)
        page = await forum(browser, box)
        await reading(browser, box, page)
        other = ProtocolBox(box.key)  # pages are still there
        await box.stop()
        await other.start()
        other.pages["/"] = FORUM
        page = await browser.new_page(f"http://other.test:{other.port}/")
        await write(page, f"First I {TERM}")
        await page.wait_for_timeout(1_000)  # nothing outside can tell that it is on the disk
        await browser.kill()
        await box.start()
        await browser.start()
        await box.until(lambda: box.received)
        assert [one.content["text"] for one in box.received] == [f"First I {TERM}"]
        assert box.received[0].content["picture"] == "taken"
        await other.stop()


async def test_an_observation_is_sent_until_the_box_has_kept_it_and_never_again(
    tmp_path: Path, box: ProtocolBox
) -> None:
    async with managed_chromium(tmp_path / "chromium", policy_of(box), HOSTS) as browser:
        await box.until(lambda: box.hellos)
        page = await forum(browser, box)
        await reading(browser, box, page)
        box.answer = lambda received: {"type": "later", "id": received.id, "seconds": 1}
        await write(page, f"Once I {TERM}")
        await box.until(lambda: len(box.received) == 2)
        box.answer = lambda received: None  # the answer is lost
        await box.until(lambda: len(box.received) == 3)
        await box.stop()
        box.answer = lambda received: {"type": "kept", "id": received.id}
        await box.start()
        await box.until(lambda: len(box.received) == 4)
        assert len({one.id for one in box.received}) == 1
        await write(page, f"Twice I {TERM}")
        await box.until(lambda: len(box.received) == 5)
        assert box.received[4].id != box.received[3].id
        box.answer = lambda received: {"type": "rejected", "id": received.id, "words": "it is malformed"}
        await write(page, f"Thrice I {TERM}")
        await write(page, f"At last I {TERM}")
        await box.until(lambda: len(box.received) == 7)
        assert [one.content["text"] for one in box.received[5:]] == [f"Thrice I {TERM}", f"At last I {TERM}"]


async def test_pages_stay_read_when_the_disk_is_wiped_or_something_fails(tmp_path: Path, box: ProtocolBox) -> None:
    box.pages["/around"] = f'<!doctype html><title>Around</title><iframe srcdoc="{FORUM}"></iframe>'
    policy = {**policy_of(box), "DeveloperToolsAvailability": 1}
    async with managed_chromium(tmp_path / "chromium", policy, HOSTS) as browser:
        await box.until(lambda: box.hellos)
        page = await forum(browser, box)
        await reading(browser, box, page)
        client = await page.context.new_cdp_session(page)
        origin = f"chrome-extension://{box.key.extension_id}"
        await client.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "indexeddb"})
        await write(page, f"First I {TERM}")
        await write(page, f"Second I {TERM}")
        await box.until(lambda: len(box.received) == 2)
        around = await browser.new_page(f"http://forum.test:{box.port}/around")
        async with asyncio.timeout(WAIT_SECONDS):
            await browser.context.service_workers[0].evaluate("""() => {
                const { getFrame } = chrome.webNavigation;
                let fails = 7; // more often than a page tries at once
                chrome.webNavigation.getFrame = (...asked) => {
                    if (fails > 0 && fails--) throw new Error('as something may');
                    return getFrame.apply(chrome.webNavigation, asked);
                };
            }""")
        field = around.frame_locator("iframe").locator("#say")
        await field.press_sequentially(f"Third I {TERM}")
        await box.until(lambda: len(box.received) == 3)
        texts = [one.content["text"] for one in box.received]
        assert texts == [f"First I {TERM}", f"Second I {TERM}", f"Third I {TERM}"]


# Changes


async def test_a_new_version_comes_at_once_and_reads_pages_that_are_open(tmp_path: Path, box: ProtocolBox) -> None:
    async with managed_chromium(tmp_path / "chromium", policy_of(box), HOSTS) as browser:
        await box.until(lambda: box.hellos)
        page = await forum(browser, box)
        await reading(browser, box, page)
        box.version = "2026.1124.901"
        await box.tell({"type": "update"})
        await box.until(lambda: box.hellos[-1]["version"] == box.version)
        await reading(browser, box, page)  # the page was not loaded again
        await write(page, f"Now I {TERM}")
        await box.until(lambda: box.received)
        await write(page, "Something else")
        await write(page, f"And I {TERM}")
        await box.until(lambda: len(box.received) == 2)
        assert [one.content["text"] for one in box.received] == [f"Now I {TERM}", f"And I {TERM}"]


async def test_pages_that_were_open_before_the_extension_came_are_read_too(tmp_path: Path, box: ProtocolBox) -> None:
    async with managed_chromium(tmp_path / "chromium", {}, HOSTS) as browser:
        page = await forum(browser, box)
        assert not box.hellos
        async with asyncio.timeout(120):
            while not box.hellos:  # Chromium looks away while it starts, and for some seconds after each change
                browser.write_policy(policy_of(box))
                with suppress(TimeoutError):
                    await box.until(lambda: box.hellos, 15)
        await reading(browser, box, page)


async def test_a_new_policy_applies_to_open_pages(tmp_path: Path, box: ProtocolBox) -> None:
    async with managed_chromium(tmp_path / "chromium", policy_of(box), HOSTS) as browser:
        await box.until(lambda: box.hellos)
        page = await forum(browser, box)
        await reading(browser, box, page)
        box.needles = ({"id": "x", "words": ["blue", "cheese"], "surfaces": ["typed"]},)
        await box.send_policy()
        async with asyncio.timeout(WAIT_SECONDS):
            while "blue cheese" not in {one.content["text"] for one in box.received}:
                await write(page, "blue cheese")
        box.received.clear()
        await write(page, TERM)
        await write(page, "Some blue cheese")
        await box.until(lambda: any(one.content["text"] == "Some blue cheese" for one in box.received))
        assert TERM not in {one.content["text"] for one in box.received}
        box.needles, box.exempt = NEEDLES, ("forum.test",)
        await box.send_policy()
        other = await browser.new_page(f"http://other.test:{box.port}/")
        await reading(browser, box, other)
        await page.bring_to_front()
        await write(page)
        await other.bring_to_front()
        await write(other, f"Here I {TERM}")
        await box.until(lambda: box.received)
        assert [one.content["text"] for one in box.received] == [f"Here I {TERM}"]


async def test_what_has_changed_is_enough_and_what_is_forged_or_old_is_refused(
    tmp_path: Path, box: ProtocolBox
) -> None:
    async with managed_chromium(tmp_path / "chromium", policy_of(box), HOSTS) as browser:
        await box.until(lambda: box.hellos)
        page = await forum(browser, box)
        await reading(browser, box, page)
        box.sends_changes = True
        box.needles = (*NEEDLES, {"id": "x", "words": ["blue", "cheese"], "surfaces": ["typed"]})
        change = box.policy()
        assert "policy" not in change
        assert list(change["patch"]["plugins"]["keyword"]["terms"]) == ["x"]
        await box.tell(change)
        await until_noticed(box, page, "Some blue cheese")
        # nothing of these is taken: the one before stays
        box.sends_changes, box.needles = False, ()
        good = box.policy()
        other_browser = {**good, "signature": to_base64url(box.key.sign(signed("AAAA", good)))}
        other_box = {**good, "signature": to_base64url(bytes(256))}
        older = {**good, "serial": 1, "signature": to_base64url(box.key.sign(signed(box.hellos[-1]["key"], good, 1)))}
        other_content = {**good, "policy": {**good["policy"], "monitored": False}}
        for forged in (other_browser, other_box, older, other_content):
            await box.tell(forged)
        await until_noticed(box, page, "More blue cheese")
        # what does not fit is asked for as a whole
        await box.tell({**change, "serial": 99, "from": "of another one"})
        await box.until(lambda: box.asked_for_whole)
        await browser.kill()
        await browser.start()
        await box.until(lambda: len(box.hellos) == 2)
        assert box.hellos[-1]["policySerial"] == change["serial"]
        assert box.hellos[-1]["policy"] == change["version"]


def signed(browser: str, message: Mapping[str, Any], serial: int | None = None) -> bytes:
    return signed_bytes(browser, message["serial"] if serial is None else serial, message["version"])


async def until_noticed(box: ProtocolBox, page: Page, words: str) -> None:
    async with asyncio.timeout(WAIT_SECONDS):
        while words not in {one.content["text"] for one in box.received}:
            await write(page, words)


# The whole box


async def test_a_browser_gets_the_extension_from_a_real_box_and_what_it_notices_becomes_a_capture(
    tmp_path: Path, appliance_home: Home, start_appliance: Callable[[Home], Awaitable[Running]], box: ProtocolBox
) -> None:
    watcher = tmp_path / "watcher"
    shutil.copytree(KEYWORD / "browser", watcher / "browser")
    tables = tmp_path / "tables.js"
    tables.write_bytes(tables_module())
    (watcher / "__init__.py").write_text(PLUGIN.replace("TABLES", str(tables)), encoding="utf-8")
    appliance_home.add_plugin(watcher)
    appliance_home.write("plugins: {watcher: {}}")
    running = await start_appliance(appliance_home)
    await running.as_role(Role.LEAD)
    await running.appliance.monitoring.refresh()  # there is somebody now who can open captures
    appliance, base = running.appliance, f"http://endpoint.localhost:{running.port}"
    endpoints = appliance.endpoints
    await endpoints.tokens.make(running.actor, NewToken("Trolley"))
    token = (await endpoints.tokens.all(running.actor))[0]["token"]
    policy = school_policy(endpoints.extension.id, base, token, deviceName="Laptop 3")
    async with managed_chromium(tmp_path / "chromium", policy, HOSTS) as browser:
        page = await forum(browser, box)
        waiting = await rows(running, "SELECT id FROM endpoints WHERE state = 'waiting'")
        await endpoints.enrolment.approve(running.actor, [waiting[0]["id"]], "one by one")
        captures = await rows(running, "SELECT * FROM captures", page)
    capture = captures[0]
    assert (capture["surface"], capture["host"], capture["is_test"]) == ("typed", "forum.test", 1)
    assert capture["picture"] == "taken"
    device = await appliance.records.fetch_one("SELECT name FROM devices WHERE id = ?", (capture["device_id"],))
    assert device is not None
    assert device["name"] == "Laptop 3"


async def rows(running: Running, question: str, page: Page | None = None) -> list[Row]:
    """What the store answers, once there is something; until then the test phrase is written on a page, if given."""
    async with asyncio.timeout(60):
        while not (found := await running.appliance.records.fetch(question)):
            if page is not None:
                await write(page, f"Well, {TEST_PHRASE}.")
            await asyncio.sleep(0.2)
    return found


PLUGIN = f'''\
"""Notices the test phrase."""

from pathlib import Path

from appliance.api import Detector, Finding, Section, Severity, Surface, hook

PHRASE = "{TEST_PHRASE}"


def look(observation):
    start = observation.text.casefold().find(PHRASE)
    if start < 0:
        return []
    end = start + len(PHRASE)
    return [Finding("Test", "1", "t1", PHRASE, "test", Severity.MINOR, "", start, end, is_test=True)]


class Plugin:
    """Notices the test phrase."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        self.appliance = appliance

    @hook
    def register_detectors(self):
        return [Detector("test", frozenset(Surface), look)]

    @hook
    async def endpoint_policy(self, device):
        return {{"terms": {{"t1": {{"loose": PHRASE, "surfaces": 1}}}}, "near": {{}}, "taught": {{}}}}

    @hook
    def browser_files(self):
        return {{"generated/tables.js": Path("TABLES").read_bytes()}}
'''
