"""The main job on real input: what a pupil types in a real Chromium reaches a responsible adult, on page and by mail.

The pupil's Chromium gets the extension by the very policy file that the box made, trusts the box's own authority by it,
asks to be let in, and is let in on the page. Then the box goes away, is killed, and comes back: nothing is lost, and
nothing comes twice.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from browsers import a_chromium
from managed_chromium import ManagedChromium, managed_chromium, why_not
from people_at_work import PATIENCE, Person, somebody
from playwright.async_api import Locator, Page, expect

from appliance.testing import Box, Home
from appliance.testing_mail import MailServer

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

ADDRESS = "lena@school.example"
AWAY_SECONDS = 120.0
BACK = 90_000.0
"""Milliseconds in which a browser comes back: a worker that sleeps is woken once in half a minute."""
FORUM = "forum.test"
HELPLINE = "www.childline.org.uk"
PAGE = """<!doctype html><meta charset=utf-8><title>A forum</title><h1>A forum</h1>
<label>Your words <textarea id=words rows=5 cols=60></textarea></label>
<label>Password <input id=password type=password></label>"""
STORY = """<!doctype html><meta charset=utf-8><title>A story</title><h1>A story</h1><p>In it somebody writes:
go and kill yourself, nobody would miss you.</p>"""


@dataclass
class School:
    """Everything that takes part: the box, its people, the pupil's browser, the mailbox."""

    box: Box
    it: Person
    lead: Person
    mail: MailServer
    pupil: ManagedChromium
    forum: int
    start: Callable[[Home], Box]

    @property
    def forum_page(self) -> str:
        return f"http://{FORUM}:{self.forum}/"


@asynccontextmanager
async def websites() -> AsyncIterator[int]:
    """Pages on loopback that the pupil's browser takes for others'; the port."""

    async def page(request: web.Request) -> web.Response:
        return web.Response(text=STORY if request.path == "/story" else PAGE, content_type="text/html")

    application = web.Application()
    application.router.add_get("/{path:.*}", page)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


async def test_from_a_pupils_browser_to_a_responsible_adult(
    appliance_home: Home, start_box: Callable[[Home], Box], tmp_path: Path
) -> None:
    expect.set_options(timeout=PATIENCE)
    async with MailServer() as mail, websites() as forum, a_chromium() as browser:
        appliance_home.write(f"plugins: {{keyword: {{}}, email_alert: {mail.settings()}}}")
        box = start_box(appliance_home)
        await box.ready()
        base = f"https://staff.localhost:{appliance_home.web_port}"
        it = await somebody(browser, base, "Ida Technician", "wombat ladder teal harbour")
        lead = await somebody(browser, base, "Lena Lead", "pickle orbit velvet canyon")
        await two_people_join(box, it, lead)
        policy = await the_policy_for_linux(it)
        hosts = {FORUM: "127.0.0.1", HELPLINE: "127.0.0.1"}
        async with managed_chromium(tmp_path / "pupil", policy, hosts) as pupil:
            school = School(box, it, lead, mail, pupil, forum, start_box)
            await the_device_is_let_in(school)
            await the_lead_gets_mail(school)
            await the_test_phrase_comes_through(school)
            await the_lead_switches_on(school)
            await what_is_typed_reaches_the_lead(school)
            await what_is_read_reaches_the_lead(school)
            await what_must_not_be_seen_is_not(school)
            await the_box_goes_away_and_comes_back(school)
        for person in (it, lead):
            assert not person.complaints
    assert school.box.stop() == 0
    assert school.box.cli("audit", "verify").returncode == 0


# Setting up


async def two_people_join(box: Box, it: Person, lead: Person) -> None:
    await it.page.goto(f"{it.base}/set-up#{box.setup_code()}")
    await it.page.wait_for_url("**/set-up/account")
    await it.page.fill("#school", "Mill Lane School")
    await it.page.fill("#name", it.name)
    await it.page.fill("#sign_in_name", "ida")
    await it.choose_password()
    await it.add_factor_and_sheet()
    await lead.join(await it.invite(lead.name, "lena", "lead"))


async def the_policy_for_linux(it: Person) -> dict[str, Any]:
    """IT makes a trolley and an enrolment key for it, and takes the policy file that the page offers."""
    await make_trolley(it)
    await it.go("/devices/add")
    await it.accessible()
    await it.page.fill("#name", "Trolley 1")
    await it.page.locator("#group").select_option(label="Trolley 1")
    await it.press("Make the key")
    await it.sees("Works")
    await it.page.get_by_role("link", name="Linux").first.click()
    await it.accessible()
    link = await it.page.locator("a[download]").first.get_attribute("href")
    policy: dict[str, Any] = await it.page.evaluate("link => fetch(link).then(answer => answer.json())", link)
    return policy


async def make_trolley(it: Person) -> None:
    await it.go("/groups")
    await it.page.locator("select[name=kind]").select_option(label="Trolley")
    await it.page.fill("input[name=name]", "Trolley 1")
    await it.page.locator("form", has=it.page.locator("select[name=kind]")).locator("button").click()
    await it.sees("Trolley 1")


async def the_device_is_let_in(school: School) -> None:
    """It has come by itself; it waits on the page, which shows it without being loaded again."""
    it = school.it
    await it.go("/devices/add")
    row = it.page.locator("section", has_text="Let devices in").locator("tbody tr", has_text="Chrom")
    await expect(row.first).to_be_visible()
    await it.go("/devices/add")
    await it.accessible()
    await it.page.get_by_placeholder("Name on its label").fill("LAPTOP-07")
    await it.page.locator("input[name=browser]").check()
    await it.press("Let in those ticked")
    await it.go("/devices")
    await it.sees("LAPTOP-07")


async def the_lead_gets_mail(school: School) -> None:
    """She gives her address; the code that comes by mail shows that it is hers."""
    lead = school.lead
    await lead.go("/email_alert")
    await lead.page.fill("#address", ADDRESS)
    await lead.press("Mail me a code")
    code = re.search(r"\b(\d{3} ?\d{3})\b", (await school.mail.letter(to=ADDRESS)).text)
    assert code is not None
    await lead.page.locator("input[name=code]").fill(code[1])
    await lead.press("Confirm this address")
    await lead.accessible()
    await lead.sees(ADDRESS)


async def the_lead_switches_on(school: School) -> None:
    """A trial for the trolley."""
    lead = school.lead
    await lead.go("/monitoring/trial/new")
    await lead.page.locator("#group").select_option(label="Trolley Trolley 1")
    today = (await lead.page.locator("#policy_date").get_attribute("max")) or time.strftime("%Y-%m-%d")
    await lead.page.fill("#day_1", today)
    await lead.page.fill("#reason", "To see how it works")
    await lead.page.fill("#policy", "Online safety policy")
    await lead.page.fill("#policy_date", today)
    await lead.page.fill("#told", "Everybody, in assembly")
    await lead.press("Go on")
    await lead.press("Begin the trial")
    await lead.sees("Trolley 1")


# What happens in the pupil's browser


async def type_words(school: School, words: str, where: str = "#words") -> Page:
    page = await school.pupil.new_page(school.forum_page)
    await page.locator(where).press_sequentially(words)
    return page


async def the_test_phrase_comes_through(school: School) -> None:
    """Before anybody is monitored: the harmless phrase, on any device that was let in."""
    lead = school.lead
    await lead.go("/captures?tests=yes")
    await expect(lead.page.get_by_text("Live", exact=True)).to_be_visible()
    await school.it.go("/devices/working")
    phrase = await school.it.page.locator("[data-test-phrase]").inner_text()
    await school.it.accessible()
    page = await type_words(school, "i want to die")  # nobody is monitored yet, so this is nobody's business
    await page.locator("#words").fill("")
    await page.locator("#words").press_sequentially(phrase)
    await expect(lead.page.locator("tbody tr", has_text="LAPTOP-07")).to_have_count(1)
    letter = await school.mail.letter(to=ADDRESS, subject="test")
    assert phrase not in letter.raw.decode("utf-8", "replace")
    await lead.go("/captures")
    await expect(lead.page.locator("h1")).to_have_text("Captures")
    await expect(lead.page.locator("tbody tr", has_text="LAPTOP-07")).to_have_count(0)
    await school.it.go("/devices/working")
    await school.it.sees("LAPTOP-07")
    await page.close()


async def what_is_typed_reaches_the_lead(school: School) -> None:
    """Typed, captured, on her open page, in her mailbox; she opens the link, reads, and says how it stands."""
    lead, mail = school.lead, school.mail
    await lead.go("/captures")
    await expect(lead.page.get_by_text("Live", exact=True)).to_be_visible()
    row = lead.page.locator("tbody tr", has_text="LAPTOP-07")
    page = await type_words(school, "honestly i want to die")
    while not await comes(row):  # what to look for reaches a device within some seconds of the switch
        await page.locator("#words").fill("")
        await page.locator("#words").press_sequentially("honestly i want to die")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("Severe")
    await expect(lead.page.locator("[role=alert]")).to_contain_text("alert")
    await expect(lead.page.locator("[role=alert]")).not_to_contain_text("LAPTOP")
    letter = await mail.letter(to=ADDRESS, subject="Severe")
    assert "want to die" not in letter.raw.decode("utf-8", "replace")
    assert "LAPTOP" not in letter.text
    assert "network" in letter.text  # whether its link opens outside the school
    (link,) = {link for link in letter.links if "/alerts/" in link}
    await lead.page.goto(link)
    await lead.accessible()
    await lead.page.get_by_role("link", name="Open the capture").click()
    await expect(lead.page.locator("mark")).to_have_text("want to die")
    await lead.sees("LAPTOP-07")
    await lead.accessible()
    await lead.page.get_by_role("link", name="Show picture").click()
    picture = lead.page.locator("img.picture")
    await expect(picture).to_be_visible()
    assert await picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
    await lead.accessible()
    capture = lead.page.url.split("?")[0].rsplit("/", 1)[1]
    await lead.page.get_by_label("Under investigation").check()
    await lead.page.fill("#words", "I have spoken with the form tutor.")
    await lead.press("Set the status")
    await lead.sees("I have spoken with the form tutor.")
    await lead.go("/audit")
    await lead.sees("Under investigation")
    assert capture
    await page.close()


async def comes(row: Locator) -> bool:
    """Whether a row comes within some seconds."""
    with suppress(AssertionError):
        await expect(row).to_have_count(1, timeout=8000)
        return True
    return False


async def what_is_read_reaches_the_lead(school: School) -> None:
    """Viewing a term raises a capture too."""
    lead = school.lead
    await lead.go("/captures")
    await expect(lead.page.get_by_text("Live", exact=True)).to_be_visible()
    page = await school.pupil.new_page(f"{school.forum_page}story")
    row = lead.page.locator("tbody tr", has_text="text on a page")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text("Bullying")
    await page.close()


async def what_must_not_be_seen_is_not(school: School) -> None:
    """Not a password, and nothing on a site where pupils look for help; what comes after them comes."""
    lead = school.lead
    page = await type_words(school, "i want to die", "#password")
    helpline = await school.pupil.new_page(f"http://{HELPLINE}:{school.forum}/")
    await helpline.locator("#words").press_sequentially("i want to die")
    last = await type_words(school, "goodbye everyone, nobody would miss me, i want to end my life")
    await lead.go("/captures")
    await expect(lead.page.locator("tbody tr", has_text="LAPTOP-07")).to_have_count(3)
    for one in (page, helpline, last):
        await one.close()


# The box goes away


async def the_box_goes_away_and_comes_back(school: School) -> None:
    """Two minutes away, then killed in the middle: everything arrives, once."""
    box, lead = school.box, school.lead
    await school.mail.letter(to=ADDRESS, subject="Severe", number=3)
    await take_the_alert(school)
    before = len(school.mail.found(ADDRESS, "Severe"))
    home = box.home
    assert box.stop() == 0
    page = await type_words(school, "i am going to kill myself")
    gone = time.monotonic()
    while time.monotonic() - gone < AWAY_SECONDS:
        await asyncio.sleep(1)  # what is waited for is the time itself: workers of extensions sleep after half a minute
    school.box = school.start(home)
    await school.box.ready()
    await lead.page.goto(f"{lead.base}/captures")
    await open_again(lead)
    await expect(lead.page.locator("tbody tr", has_text="LAPTOP-07")).to_have_count(4, timeout=BACK)
    await take_the_alert(school)
    await page.close()
    page = await type_words(school, "i want to kill myself")
    school.box.kill_main()
    await school.box.until(school.box.answers)
    await lead.page.goto(f"{lead.base}/captures")
    await open_again(lead)
    await expect(lead.page.locator("tbody tr", has_text="LAPTOP-07")).to_have_count(5, timeout=BACK)
    await school.mail.letter(to=ADDRESS, subject="Severe", number=before + 2)
    letters = school.mail.found(ADDRESS, "Severe")
    assert len({letter.id for letter in letters}) == before + 2
    await page.close()
    page = await type_words(school, "goodbye everyone, i want to end my life")  # nobody has taken the last one yet
    await expect(lead.page.locator("tbody tr", has_text="LAPTOP-07")).to_have_count(6)
    await lead.go("/alerts")
    await lead.sees("2 captures")
    assert len(school.mail.found(ADDRESS, "Severe")) == before + 2
    await page.close()


async def take_the_alert(school: School) -> None:
    """What comes after that is an alert of its own."""
    lead = school.lead
    await lead.go("/alerts")
    row = lead.page.locator("tbody tr", has_text="Suicide").filter(has_text="Nobody has taken it on")
    await expect(row).to_have_count(1)
    await row.get_by_role("link").click()
    await lead.press("I am dealing with this")
    await lead.sees("It is yours now")


async def open_again(lead: Person) -> None:
    """After a start of the box her browser is locked; her password opens it where she was."""
    await lead.page.fill("#password", lead.password)
    await lead.press("Open again")
    await lead.sees("Captures")
