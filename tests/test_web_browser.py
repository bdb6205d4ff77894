"""In a real browser: set-up, signing in, locking, every page by axe, live lists, forms; all of it without script."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from base64 import b32decode
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import quote

import pytest
import pytest_asyncio
from barriers import barriers
from browsers import a_chromium
from playwright.async_api import Browser, BrowserContext, Page, Route, expect

from appliance.access import PERMISSIONS, Role
from appliance.accounts.second_factor import code_at, step_of
from appliance.clock import now
from appliance.hookspecs import Permission
from appliance.testing import HELP_SEEKING, Box, Home, free_port
from appliance.web.assets import Assets
from appliance.web.views import core_pages

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATIENCE = 30_000.0  # milliseconds
PLUGIN = '''
from appliance.api import *

class Plugin:
    """Tells who comes."""

    title = "Visitors"

    class Settings(Section):
        """Visitors."""
        badge: bool = setting(True, "Whether visitors wear a badge.")

    def __init__(self, appliance, settings):
        self.appliance = appliance

    @hook
    def register_pages(self):
        return [
            Page("staff", "GET", "/visitors", self.index, Permission.OPERATE),
            Page("staff", "POST", "/visitors", self.arrive, Permission.OPERATE),
            Page("staff", "GET", "/visitors/fails", self.fails, Permission.OPERATE),
        ]

    @hook
    def register_panels(self):
        return [Menu("Visitors", "/visitors", Permission.OPERATE)]

    async def index(self, request):
        return render(request, "visitors/index.html")

    async def arrive(self, request):
        name = (await read_form(request))["name"]
        self.appliance.live.publish("visitors.arrived", {"name": name, "late": "yes"}, Permission.OPERATE)
        flash(request, f"{name} is in.")
        return redirect("/visitors")

    async def fails(self, request):
        raise LookupError("the door bell")
'''
BROKEN = '''
from appliance.api import *

class Plugin:
    """Never starts."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        pass

    @hook
    async def startup(self):
        raise LookupError("the key")
'''
INDEX = """{% extends "layout.html" %}
{% from "macros.html" import tag %}
{% block title %}Visitors{% endblock %}
{% block main %}
<h1>Visitors</h1>
<form method="post" action="/visitors" class="card form">
<div class="field"><label for="name">Name</label><input id="name" name="name"></div>
<button class="button">Arrive</button></form>
<section class="card" aria-label="Arrivals"><table class="stack">
<caption>Arrivals</caption>
<thead><tr><th scope="col">Name</th><th scope="col">When</th></tr></thead>
<tbody data-live-list="visitors.arrived" data-limit="3">
<template><tr><th scope="row" data-label="Name" data-field="name"></th>
<td data-label="When"><span data-when="late=yes">{{ tag("moderate", "Late") }}</span>
<b data-when="late=no">In time</b></td>
</tr></template>
<tr data-live-empty><td colspan="2">Nobody yet.</td></tr>
</tbody></table></section>
{% endblock %}
"""
SCHOOL = "Mill Lane School"
PASSWORD = "crumpet tractor violet lagoon"
NO_PAGE_TO_LOOK_AT = ("/live", "/unlock")
"""A stream; and a page that only a locked browser sees, which has a test of its own. Files have a dot in their name."""
STAFF_PAGES = (
    *(
        page.path
        for page in core_pages(Assets({}))
        if page.site == "staff" and page.method == "GET" and not {"{", "."} & set(page.path)
        if page.permission in {Permission.PUBLIC, *PERMISSIONS[Role.IT]} and page.path not in NO_PAGE_TO_LOOK_AT
    ),
    *("/audit?check=yes", "/help/home", "/help/open/signing-in", "/nothing"),
    *("/applying?next=/settings", "/visitors", "/visitors/fails", "/staff/invite?role=lead"),
    *("/settings/edit?path=web.listen", "/settings/edit?path=plugins.visitors.badge", "/settings/edit?path=web.port"),
)
Look = Callable[[Page], Awaitable[None]]


@dataclass
class Account:
    """What somebody has who has made an account: a name to sign in with, and a sheet of paper."""

    sign_in_name: str
    codes: list[str] = field(default_factory=list)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Box]:
    folder = tmp_path_factory.mktemp("browser") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    plugin = home.add_plugin(PLUGIN, "visitors")
    (plugin / "templates").mkdir(mode=0o755)
    (plugin / "templates" / "index.html").write_text(INDEX, encoding="utf-8")
    home.add_plugin(BROKEN, "broken")
    home.write("plugins: {visitors: {}, broken: {}}\n")
    output = folder / "box.log"
    command = [sys.executable, "-m", "appliance", "--config", str(home.config_file), "--trial", str(home.state)]
    with output.open("w", encoding="utf-8") as file:
        process = subprocess.Popen([*command, "trial"], stdout=file, stderr=file, text=True)
    found = Box(home, process, output)
    try:
        await found.ready()
        await found.until(lambda: printed(found))
        yield found
    finally:
        found.stop()


async def printed(box: Box) -> bool:
    return "/set-up#" in box.printed()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with a_chromium() as found:
        yield found


def staff(box: Box, path: str) -> str:
    return f"https://staff.localhost:{box.home.web_port}{path}"


def pupil(box: Box, path: str) -> str:
    return f"https://pupil.localhost:{box.home.web_port}{path}"


async def set_up(page: Page, link: str, account: Account, look: Look, *, script: bool = True) -> None:
    """The first half of the set-up, typed by hand; it ends at Home. ``look`` looks at each page.

    Without ``script`` the link opens a page on which its code is typed.
    """
    await page.goto(link)
    if not script:
        await page.fill("#code", link)
        await press(page, "Go on")
    await page.wait_for_url("**/set-up/account")
    await look(page)
    await page.fill("#school", SCHOOL)
    await page.fill("#name", f"Ida {account.sign_in_name}")
    await page.fill("#sign_in_name", account.sign_in_name)
    await page.fill("#password", PASSWORD)
    await page.fill("#again", PASSWORD)
    await press(page, "Go on")
    await make_ready(page, account, look)


async def make_ready(page: Page, account: Account, look: Look) -> None:
    """From the second factor to Home, as everybody does it who makes an account ready."""
    await expect(page.locator("h1")).to_have_text("Add a second factor")
    await expect(page.locator("svg.qr")).to_be_visible()
    await look(page)
    secret = b32decode((await page.locator(".secret").inner_text()).replace(" ", ""))
    await page.fill("#code", code_at(secret, step_of(now())))
    await press(page, "Go on")
    await expect(page.locator("h1")).to_have_text("Print your recovery sheet")
    await look(page)
    await press(page, "Show them now")
    await expect(page.locator("h1")).to_have_text("Your recovery sheet")
    await look(page)
    account.codes = await page.locator(".codes code").all_inner_texts()
    await page.fill("#typed", (await page.locator(".secret").inner_text())[:4].lower())
    await press(page, "Finish and sign in")
    await expect(page.locator("h1")).to_have_text("Home")


async def press(page: Page, button: str) -> None:
    await page.get_by_role("button", name=button, exact=True).click()


async def sign_in(page: Page, account: Account) -> None:
    """Fill in the form to sign in that is on the page."""
    await page.fill("#name", account.sign_in_name)
    await page.fill("#password", PASSWORD)
    await page.fill("#code", account.codes.pop())
    await press(page, "Sign in")


async def just_go_on(_page: Page) -> None:
    """Look at nothing."""


@dataclass
class FirstVisit:
    """What was seen while the box was set up."""

    complaints: list[str] = field(default_factory=list)
    wide: list[str] = field(default_factory=list)
    addresses: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def ida() -> Account:
    """Who sets the box up."""
    return Account("ida")


@pytest.fixture(scope="module")
def first_visit() -> FirstVisit:
    """Filled by ``signed_in``."""
    return FirstVisit()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def signed_in(box: Box, browser: Browser, ida: Account, first_visit: FirstVisit) -> AsyncIterator[BrowserContext]:
    """A browser in which the box was set up with the link that was printed, on a small screen."""
    context = await browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(PATIENCE)
    expect.set_options(timeout=PATIENCE)
    page, first_visit.complaints = await watched(context)
    await page.set_viewport_size({"width": 320, "height": 640})

    async def look(page: Page) -> None:
        first_visit.addresses.append(page.url)
        if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            first_visit.wide.append(page.url)

    await set_up(page, staff(box, f"/set-up#{box.setup_code()}"), ida, look)
    await page.close()
    yield context
    await context.close()


async def watched(context: BrowserContext) -> tuple[Page, list[str]]:
    """A new page, and what it complains about: refused by the policy, failed scripts."""
    page = await context.new_page()
    complaints: list[str] = []
    # No complaints: a status of 400 and more, that something was cleared, hints for password managers.
    told = ("Failed to load", "Clear-Site-Data header on", "[DOM]")
    page.on("console", lambda said: None if said.text.startswith(told) else complaints.append(said.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page, complaints


async def test_the_set_up_leads_from_the_printed_link_to_home(
    signed_in: BrowserContext, first_visit: FirstVisit, box: Box
) -> None:
    paths = ["/set-up/account", "/join/factor", "/join/keep", "/join/keep"]
    assert first_visit.addresses == [staff(box, path) for path in paths]  # no code in an address
    assert not first_visit.complaints
    assert not first_visit.wide
    page, complaints = await watched(signed_in)
    await page.goto(staff(box, "/"))
    await expect(page.locator(".school")).to_have_text(SCHOOL)
    await expect(page.get_by_text("no safeguarding lead has joined yet")).to_be_visible()
    await expect(page.locator(".steps-done")).to_contain_text("Give the school’s name")
    kept = {cookie["name"]: cookie for cookie in await signed_in.cookies()}
    assert set(kept) == {"__Host-session", "__Host-browser"}
    assert all(cookie["httpOnly"] and cookie["secure"] and cookie["sameSite"] == "Strict" for cookie in kept.values())
    assert kept["__Host-session"]["expires"] == -1  # it goes when the browser is closed
    assert not complaints
    await page.close()


async def test_a_link_works_once_and_its_code_leaves_the_address(
    signed_in: BrowserContext, browser: Browser, box: Box
) -> None:
    assert signed_in.browser is browser
    other = await browser.new_context(ignore_https_errors=True)
    page, complaints = await watched(other)
    await page.goto(staff(box, f"/set-up#{box.setup_code()}"))
    await expect(page.locator(".error-summary")).to_contain_text("may have been used already")
    await expect(page.locator(".error-summary")).to_be_focused()
    assert "#" not in page.url
    assert not complaints
    await other.close()


async def test_a_stranger_signs_in_and_comes_to_the_page_that_was_wanted(
    signed_in: BrowserContext, browser: Browser, box: Box, ida: Account
) -> None:
    other = await browser.new_context(ignore_https_errors=True)
    page, complaints = await watched(other)
    answer = await page.goto(staff(box, "/settings/edit?path=web.connections"))
    assert answer is not None
    assert answer.status == 403
    await expect(page.locator("h1")).to_have_text("Sign in")
    await page.fill("#name", "ida")
    await page.fill("#password", "not this")
    await press(page, "Sign in")
    await expect(page.locator(".error-summary")).to_be_focused()
    await expect(page.locator(".error-summary")).to_contain_text("Name, password and code do not fit together.")
    assert await page.input_value("#name") == "ida"
    await sign_in(page, ida)
    await page.wait_for_url(staff(box, "/settings/edit?path=web.connections"))
    await expect(page.locator("h1")).to_have_text("Change a setting")
    await page.goto(staff(box, "/sign-out"))
    await press(page, "Sign out")
    await expect(page.locator("h1")).to_have_text("This browser is signed out")
    await page.goto(staff(box, "/settings"))
    await expect(page.locator("h1")).to_have_text("Sign in")
    assert [cookie["name"] for cookie in await other.cookies()] == ["__Host-browser"]
    assert not complaints
    await other.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def away(signed_in: BrowserContext, browser: Browser, box: Box, ida: Account) -> AsyncIterator[BrowserContext]:
    """Another browser of Ida's, in which time passes when a test says so."""
    context = await browser.new_context(ignore_https_errors=True)
    await context.clock.install()
    page = await context.new_page()
    await page.goto(staff(box, "/"))
    await sign_in(page, ida)
    await expect(page.locator("h1")).to_have_text("Home")
    await page.close()
    yield context
    await context.close()


async def test_an_idle_page_is_covered_and_what_was_typed_is_still_there(away: BrowserContext, box: Box) -> None:
    page, complaints = await watched(away)
    await page.goto(staff(box, "/settings/edit?path=web.connections"))
    await page.fill("#reason", "it takes long to write thi")
    await away.clock.fast_forward("14:00")
    await expect(page.get_by_role("dialog")).to_have_count(0)
    async with page.expect_response("**/lock") as locked:
        await away.clock.fast_forward("01:05")
    assert (await locked.value).status == 303
    cover = page.get_by_role("dialog", name="These pages are locked")
    await expect(cover).to_be_visible()
    await expect(cover.get_by_label("Password")).to_be_focused()
    await expect(page.locator("main")).to_be_hidden()
    await page.keyboard.press("Escape")
    await page.keyboard.press("Escape")
    await expect(cover).to_be_visible()
    await cover.get_by_label("Password").fill("not this")
    await press(page, "Open again")
    await expect(cover.get_by_role("alert")).to_contain_text("This is not your password.")
    await expect(cover.get_by_label("Password")).to_have_value("")
    await expect(cover.get_by_label("Password")).to_be_focused()
    behind = await away.new_page()
    await behind.goto(staff(box, "/settings"))
    await expect(behind.locator("h1")).to_have_text("These pages are locked")
    await behind.close()
    await cover.get_by_label("Password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(cover).to_have_count(0)
    await expect(page.locator("main")).to_be_visible()
    assert await page.input_value("#reason") == "it takes long to write thi"
    await page.fill("#value", "many")
    await press(page, "Change it")
    await expect(page.locator(".error-summary")).to_be_focused()
    assert await page.input_value("#reason") == "it takes long to write thi"
    assert not complaints
    await page.close()


async def test_an_idle_page_on_which_nothing_was_typed_goes_and_comes_back(away: BrowserContext, box: Box) -> None:
    page, complaints = await watched(away)
    await page.goto(staff(box, "/audit?before=3"))
    await away.clock.fast_forward("15:05")
    await page.wait_for_url(staff(box, f"/unlock?wanted={quote('/audit?before=3', safe='')}"))
    await expect(page.locator("h1")).to_have_text("These pages are locked")
    assert await page.get_by_role("link", name="Settings").count() == 0
    await page.go_back()
    assert await page.get_by_text("opened a locked browser").count() == 0  # what was shown is not shown again
    await page.goto(staff(box, f"/unlock?wanted={quote('/audit?before=3', safe='')}"))
    await page.fill("#password", "not this")
    await press(page, "Open again")
    await expect(page.locator(".error-summary")).to_be_focused()
    await page.fill("#password", PASSWORD)
    await press(page, "Open again")
    await page.wait_for_url(staff(box, "/audit?before=3"))
    await expect(page.locator("h1")).to_have_text("Audit")
    assert not complaints
    await page.close()


async def test_whoever_types_is_not_locked_out_and_the_box_is_told(away: BrowserContext, box: Box) -> None:
    page, _ = await watched(away)
    await page.goto(staff(box, "/settings/edit?path=web.connections"))
    told: list[str] = []
    page.on("request", lambda asked: told.append(asked.url) if asked.url.endswith(("/awake", "/lock")) else None)
    for minutes in range(20):
        await away.clock.fast_forward("01:30")
        async with page.expect_response("**/awake") as heard:
            await page.locator("#reason").press_sequentially(f"{minutes} ")
        assert (await heard.value).status == 204
    assert told == [staff(box, "/awake")] * 20
    await expect(page.get_by_role("dialog")).to_have_count(0)
    await page.close()


async def test_a_tab_left_behind_does_not_lock_the_one_in_use(away: BrowserContext, box: Box) -> None:
    left, in_use = await away.new_page(), await away.new_page()
    await left.goto(staff(box, "/settings"))
    listen = "() => { window.told = false; new BroadcastChannel('awake').onmessage = () => { window.told = true; }; }"
    for address in (staff(box, "/audit"), "", ""):
        await away.clock.fast_forward("14:00")
        await left.evaluate(listen)
        await (in_use.goto(address) if address else in_use.keyboard.press("Shift"))
        await left.wait_for_function("window.told")
    for page in (left, in_use):
        await expect(page.locator(".covered")).to_have_count(0)
    assert (await left.goto(staff(box, "/settings"))).status == 200  # type: ignore[union-attr]
    await away.clock.fast_forward("15:05")
    for page in (left, in_use):
        await expect(page.locator("h1")).to_have_text("These pages are locked")
    await left.fill("#password", PASSWORD)
    await press(left, "Open again")
    await expect(left.locator("h1")).to_have_text("Settings")
    for page in (left, in_use):
        await page.close()


async def test_whoever_was_signed_out_meanwhile_is_told_and_loses_nothing(
    signed_in: BrowserContext, browser: Browser, box: Box, ida: Account
) -> None:
    other = await browser.new_context(ignore_https_errors=True)
    page, tab = await other.new_page(), await other.new_page()
    await tab.goto(staff(box, "/"))
    await sign_in(tab, ida)
    await expect(tab.locator("h1")).to_have_text("Home")
    await page.clock.install()
    await page.goto(staff(box, "/settings/edit?path=web.connections"))
    await page.fill("#reason", "why")
    await tab.goto(staff(box, "/sign-out"))
    await press(tab, "Sign out")
    await page.clock.fast_forward("15:05")
    cover = page.get_by_role("dialog", name="These pages are locked")
    await cover.get_by_label("Password").fill(PASSWORD)
    await press(page, "Open again")
    await expect(cover.get_by_role("alert")).to_contain_text("You are signed out.")
    await tab.goto(staff(box, "/"))
    await sign_in(tab, ida)
    await expect(tab.locator("h1")).to_have_text("Home")
    await cover.get_by_label("Password").fill(PASSWORD)
    await press(page, "Open again")
    await expect(cover).to_have_count(0)
    assert await page.input_value("#reason") == "why"
    await other.close()


async def test_a_page_notices_that_the_box_has_locked_this_browser(away: BrowserContext, box: Box) -> None:
    page, _ = await watched(away)
    await page.goto(staff(box, "/settings/edit?path=web.connections"))
    await page.fill("#reason", "why")
    elsewhere = await away.new_page()
    await elsewhere.goto(staff(box, "/sign-out"))
    await press(elsewhere, "Lock these pages")
    await expect(elsewhere.locator("h1")).to_have_text("These pages are locked")
    await away.clock.fast_forward("01:30")
    await page.locator("#reason").press("?")
    cover = page.get_by_role("dialog", name="These pages are locked")
    await expect(cover).to_be_visible()
    await cover.get_by_label("Password").fill(PASSWORD)
    await press(page, "Open again")
    await expect(cover).to_have_count(0)
    assert await page.input_value("#reason") == "why?"
    await elsewhere.goto(staff(box, "/settings"))
    await expect(elsewhere.locator("h1")).to_have_text("Settings")
    await elsewhere.close()
    await page.close()


@pytest.mark.parametrize(
    ("off", "said"),
    [
        (timedelta(minutes=5), "5 minutes apart (the box is behind)"),
        (timedelta(minutes=-5), "5 minutes apart (the box is ahead)"),
        (timedelta(seconds=95), "seconds apart (the box is behind)"),
        (timedelta(days=-3), "72 hours apart (the box is ahead)"),
        (timedelta(seconds=10), ""),
        (timedelta(seconds=-10), ""),
    ],
)
async def test_a_clock_that_is_off_is_told_before_any_code_is_tried(
    signed_in: BrowserContext, browser: Browser, box: Box, off: timedelta, said: str
) -> None:
    other = await browser.new_context(ignore_https_errors=True)
    page, complaints = await watched(other)
    await page.clock.install(time=now() + off)
    await page.goto(staff(box, "/status"))
    notice = page.locator(".clock-check")
    if said:
        await expect(notice).to_be_visible()
        await expect(notice).to_contain_text(said)
        await expect(page.get_by_role("status")).to_contain_text("A code from your app may not work.")
    else:
        await expect(page.locator("#name")).to_be_visible()
        await expect(notice).to_be_hidden()
    assert not complaints
    await other.close()


async def test_every_page_is_without_accessibility_faults(
    signed_in: BrowserContext, browser: Browser, box: Box
) -> None:
    # axe is put into the page from outside, which the policy forbids: this context looks past the policy.
    context = await browser.new_context(
        ignore_https_errors=True, bypass_csp=True, storage_state=await signed_in.storage_state()
    )
    page = await context.new_page()
    faults: list[tuple[str, str, int, str]] = []
    for address in (*(staff(box, path) for path in STAFF_PAGES), pupil(box, "/"), pupil(box, "/nothing")):
        await page.goto(address)
        faults += await faults_of(page)
    assert not faults
    await context.close()


RULES_OF_COLOURS = ("color-contrast", "link-in-text-block")
"""All that the dark scheme can change: its style sheet sets nothing but colours, which a test below holds it to."""


async def faults_of(page: Page) -> list[tuple[str, str, int, str]]:
    """What axe finds on this page at two widths, in light and in dark colours."""
    faults = []
    for width in (1280, 375):
        await page.set_viewport_size({"width": width, "height": 900})
        await page.emulate_media(color_scheme="light")
        for scheme, rules in (("light", ()), ("dark", RULES_OF_COLOURS)):
            await page.emulate_media(color_scheme=scheme)
            faults += [(page.url, scheme, width, fault) for fault in await barriers(page, rules)]
    return faults


async def test_axe_finds_what_is_only_wrong_in_the_dark(browser: Browser) -> None:
    page = await browser.new_page()
    await page.set_content("""<html lang="en"><title>Dark</title><main><h1>Dark</h1>
        <style>
            h1 { color: #000; background: #fff; }
            @media (prefers-color-scheme: dark) { h1 { color: #222; background: #000; } }
        </style></main>""")
    found = {(scheme, fault.partition(":")[0]) for _, scheme, _, fault in await faults_of(page)}
    assert found == {("dark", "color-contrast")}
    await page.close()


async def test_the_dark_scheme_changes_nothing_but_colours(signed_in: BrowserContext, box: Box) -> None:
    page, _ = await watched(signed_in)
    await page.goto(staff(box, "/"))
    changed = await page.evaluate("""[...document.styleSheets].flatMap((sheet) => [...sheet.cssRules])
        .filter((rule) => rule.conditionText?.includes("prefers-color-scheme")).flatMap((rule) => [...rule.cssRules])
        .flatMap((rule) => [...rule.style].map((name) => [name, rule.style.getPropertyValue(name).trim()]))
        .map(([name, value]) => [name, CSS.supports("color", value)])""")
    assert ["--ink", True] in changed
    assert {name for name, is_colour in changed if not is_colour} == {"--lift"}  # the shadow below what is raised
    await page.close()


async def test_the_way_in_is_without_accessibility_faults(
    signed_in: BrowserContext, browser: Browser, box: Box
) -> None:
    context = await browser.new_context(ignore_https_errors=True, bypass_csp=True)
    page = await context.new_page()
    faults: list[tuple[str, str, int, str]] = []

    async def look(page: Page) -> None:
        faults.extend(await faults_of(page))

    for path in ("/", "/set-up", "/join"):
        await page.goto(staff(box, path))
        await look(page)
    await press(page, "Go on")  # without a code
    await expect(page.locator(".error-summary")).to_be_visible()
    await look(page)
    await set_up(page, another_link(box), Account("ida-too"), look)
    await page.goto(staff(box, "/sign-out"))
    await look(page)
    await press(page, "Lock these pages")
    await expect(page.locator("h1")).to_have_text("These pages are locked")
    await look(page)
    await press(page, "Open again")  # without a password
    await expect(page.locator(".error-summary")).to_be_visible()
    await look(page)
    assert not faults
    await context.close()


async def test_the_cover_is_without_accessibility_faults(signed_in: BrowserContext, browser: Browser, box: Box) -> None:
    context = await browser.new_context(
        ignore_https_errors=True, bypass_csp=True, storage_state=await signed_in.storage_state()
    )
    page = await context.new_page()
    await page.goto(staff(box, "/sign-in"))  # so that nobody is locked: only this page believes that time has passed
    await page.clock.install()
    await page.goto(staff(box, "/settings/edit?path=web.connections"))
    await page.route("**/lock", lambda route: route.abort())
    await page.fill("#reason", "why")
    await page.clock.fast_forward("15:05")
    await expect(page.get_by_role("dialog")).to_be_visible()
    assert not await faults_of(page)
    await context.close()


def another_link(box: Box) -> str:
    """A link for one more IT account, made at the machine itself."""
    made = box.cli("setup-link", "--again")
    assert made.returncode == 0, made.stdout
    found = re.search(r"https://\S+#\S+", made.stdout)
    assert found is not None, made.stdout
    return found[0]


async def test_every_page_fits_a_small_screen_and_keeps_to_the_policy(signed_in: BrowserContext, box: Box) -> None:
    page, complaints = await watched(signed_in)
    await page.set_viewport_size({"width": 320, "height": 640})
    wide = []
    for address in (*(staff(box, path) for path in STAFF_PAGES), pupil(box, "/"), pupil(box, "/nothing")):
        await page.goto(address)
        if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(address)
    assert not wide
    assert not complaints
    await page.close()


async def test_small_targets_are_large_enough(signed_in: BrowserContext, box: Box) -> None:
    page, _ = await watched(signed_in)
    for address in (staff(box, "/"), staff(box, "/settings"), staff(box, "/visitors")):
        await page.goto(address)
        for button in await page.locator("button:visible, summary:visible, .rail a:visible").all():
            edges = await button.bounding_box()
            assert edges is not None
            assert min(edges["width"], edges["height"]) >= 24
    await page.goto(pupil(box, "/"))
    for link in await page.locator("main a:visible, footer a:visible").all():
        edges = await link.bounding_box()
        assert edges is not None
        assert edges["height"] >= 44
    await page.close()


async def test_the_keyboard_reaches_the_page_itself_first(signed_in: BrowserContext, box: Box) -> None:
    page, _ = await watched(signed_in)
    await page.goto(staff(box, "/status"))
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.className") == "skip"
    await page.keyboard.press("Enter")
    assert await page.evaluate("document.activeElement.id") == "main"
    await page.close()


async def arrive(page: Page, name: str) -> None:
    """Somebody comes, without leaving the page."""
    await page.evaluate("name => fetch('/visitors', {method: 'POST', body: new URLSearchParams({name})})", name)


async def test_a_live_list_shows_what_comes_in_every_tab_over_one_stream(signed_in: BrowserContext, box: Box) -> None:
    first, complaints = await watched(signed_in)
    second, more_complaints = await watched(signed_in)
    streams: list[str] = []
    for page in (first, second):
        page.on("request", lambda asked: streams.append(asked.url) if "/live?" in asked.url else None)
    for page in (first, second):
        await page.goto(staff(box, "/visitors"))
        await expect(page.locator(".live-state")).to_have_text("Live")
    await expect(first.locator("tbody")).to_contain_text("Nobody yet.")
    await arrive(first, "<b>Ada</b>")
    for page in (first, second):
        await expect(page.locator("tbody tr").first).to_contain_text("<b>Ada</b>")
        await expect(page.locator("tbody tr")).to_have_count(1)
        await expect(page.locator("tbody tr").first.locator("td")).to_have_text("Late")
        await expect(page.locator(".live-bar [role=status]")).to_have_text("1 new row")
    assert len(streams) == 1
    async with second.expect_request("**/live?*"):  # the tab that is left takes over
        await first.close()
    await expect(second.locator(".live-state")).to_have_text("Live")
    await arrive(second, "Bo")
    await expect(second.locator("tbody tr").first).to_contain_text("Bo")
    await expect(second.locator(".live-bar")).not_to_contain_text("missing")
    assert not complaints
    assert not more_complaints
    await second.close()


async def test_a_live_list_has_what_came_while_its_page_was_on_the_way(signed_in: BrowserContext, box: Box) -> None:
    first, _ = await watched(signed_in)
    second, complaints = await watched(signed_in)
    go_on = asyncio.Event()

    async def hold_back(route: Route) -> None:
        await go_on.wait()
        await route.continue_()

    for page, name in ((first, "Ada"), (second, "Bo")):  # the second hears of it from the first
        await page.route("**/live.js*", hold_back)
        await page.goto(staff(box, "/visitors"), wait_until="commit")
        await expect(page.locator("tbody")).to_contain_text("Nobody yet.")
        await arrive(page, name)
        go_on.set()
        await expect(page.locator("tbody tr th")).to_have_text([name])
        await expect(page.locator(".live-bar")).not_to_contain_text("missing")
        go_on.clear()
    assert not complaints
    await first.close()
    await second.close()


async def test_a_live_list_can_be_paused_and_stays_short(signed_in: BrowserContext, box: Box) -> None:
    page, _ = await watched(signed_in)
    await page.goto(staff(box, "/visitors"))
    await expect(page.locator(".live-state")).to_have_text("Live")
    await page.get_by_role("button", name="Pause").click()
    for number in range(5):
        await arrive(page, f"visitor {number}")
    await expect(page.locator(".live-state")).to_have_text("Paused, 3 rows waiting")
    assert await page.locator("tbody").get_by_text("visitor").count() == 0
    await page.get_by_role("button", name="Go on").click()
    await expect(page.locator("tbody tr th")).to_have_text(["visitor 4", "visitor 3", "visitor 2"])
    await page.close()


async def test_a_setting_is_changed_shown_and_undone(signed_in: BrowserContext, box: Box) -> None:
    page, complaints = await watched(signed_in)
    await page.goto(staff(box, "/settings/edit?path=school.name"))
    await page.fill("#value", "St Ada's")
    await page.get_by_role("button", name="Change it").click()
    await expect(page.locator(".error-summary")).to_be_focused()
    assert await page.input_value("#value") == "St Ada's"
    await page.fill("#reason", "a name at last")
    await page.get_by_role("button", name="Change it").click()
    await page.wait_for_url("**/settings?said=applied")
    await expect(page.locator(".notice")).to_have_text("The change is in force.")
    await expect(page.locator(".school")).to_have_text("St Ada's")
    await expect(page.locator("tr[id='school.name']")).to_contain_text("a name at last")
    await page.get_by_role("button", name="Undo the change of school.name").first.click()
    await page.wait_for_url("**/settings?said=applied")
    await expect(page.locator(".school")).to_have_text(SCHOOL)
    assert not complaints
    await page.close()


async def test_mistakes_of_the_file_are_listed_and_nothing_changes(signed_in: BrowserContext, box: Box) -> None:
    page, _ = await watched(signed_in)
    before = box.home.config_file.read_text(encoding="utf-8")
    await page.goto(staff(box, "/settings"))
    box.home.write("plugins: {visitors: {}, broken: {}}\nschol: {}\nevents: {keep_days: soon}\n")
    await page.get_by_role("button", name="Read the file again").click()
    summary = page.locator(".error-summary")
    await expect(summary).to_be_focused()
    await expect(summary.locator("li")).to_have_count(2)
    await expect(summary).to_contain_text("Did you mean school?")
    box.home.config_file.write_text(before, encoding="utf-8")
    await page.get_by_role("button", name="Read the file again").click()
    await page.wait_for_url("**/settings?said=applied")
    await page.close()


async def test_a_plugin_that_is_off_can_be_tried_again(signed_in: BrowserContext, box: Box) -> None:
    page, _ = await watched(signed_in)
    await page.goto(staff(box, "/plugins"))
    await expect(page.locator("article").first).to_contain_text("Off")
    await page.get_by_role("button", name="Try again Broken").click()
    await page.wait_for_url("**/plugins?said=applied")
    await expect(page.locator("article").first).to_contain_text("Off")
    await page.close()


async def test_everything_works_without_script(box: Box, browser: Browser, signed_in: BrowserContext) -> None:
    context = await browser.new_context(
        ignore_https_errors=True, java_script_enabled=False, viewport={"width": 375, "height": 800}
    )
    page = await context.new_page()
    await page.goto(staff(box, "/"))
    await expect(page.locator("h1")).to_have_text("Sign in")
    cy = Account("cy")
    await set_up(page, another_link(box), cy, just_go_on, script=False)
    await page.get_by_text("Menu", exact=True).click()
    await page.locator(".menu").get_by_role("link", name="Visitors").click()
    await page.fill("#name", "Cy")
    await press(page, "Arrive")
    await expect(page.locator(".notice")).to_have_text("Cy is in.")
    await page.goto(staff(box, "/settings/edit?path=web.connections"))
    await page.fill("#value", "many")
    await press(page, "Change it")
    await expect(page.locator(".error-summary")).to_contain_text("Say why")
    await page.goto(staff(box, "/applying?next=/status"))
    await page.wait_for_url("**/status?said=applied")
    earlier = await signed_in.new_page()
    await earlier.goto(staff(box, "/"))
    await expect(earlier.locator("h1")).to_have_text("Home")  # nobody else is disturbed
    await earlier.close()
    await page.goto(staff(box, "/sign-out"))
    await press(page, "Lock these pages")
    await page.fill("#password", PASSWORD)
    await press(page, "Open again")
    await expect(page.locator("h1")).to_have_text("Home")
    await page.goto(staff(box, "/sign-out"))
    await press(page, "Sign out")
    await expect(page.locator("h1")).to_have_text("This browser is signed out")
    await page.goto(staff(box, "/audit"))
    await expect(page.locator("h1")).to_have_text("Sign in")
    await sign_in(page, cy)
    await page.wait_for_url(staff(box, "/audit"))
    await context.close()
