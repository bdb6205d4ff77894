"""In a real browser: signing in, every page by axe, live lists, forms, and all of it without script."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from appliance.testing import HELP_SEEKING, Box, Home, free_port

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHROMIUM = shutil.which("chromium")
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
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
STAFF_PAGES = (
    *("/", "/status", "/plugins", "/settings", "/audit", "/audit?check=yes", "/sign-out", "/set-up", "/nothing"),
    *("/applying?next=/settings", "/visitors", "/visitors/fails"),
    *("/settings/edit?path=web.listen", "/settings/edit?path=plugins.visitors.badge", "/settings/edit?path=web.port"),
)


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
    if CHROMIUM is None:
        pytest.fail("There is no Chromium on this machine: apt-get install chromium.")
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield found
        await found.close()


def staff(box: Box, path: str) -> str:
    return f"https://staff.localhost:{box.home.web_port}{path}"


def pupil(box: Box, path: str) -> str:
    return f"https://pupil.localhost:{box.home.web_port}{path}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def signed_in(box: Box, browser: Browser) -> AsyncIterator[BrowserContext]:
    """A browser that has opened the link, as somebody would who clicks on it in the terminal."""
    context = await browser.new_context(ignore_https_errors=True)
    context.set_default_timeout(PATIENCE)
    page = await context.new_page()
    await page.goto(staff(box, f"/set-up#{box.setup_code()}"))
    await page.wait_for_url(staff(box, "/"))
    await page.close()
    yield context
    await context.close()


async def watched(context: BrowserContext) -> tuple[Page, list[str]]:
    """A new page, and what it complains about: refused by the policy, failed scripts."""
    page = await context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if "Failed to load" not in said.text else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return page, complaints


async def test_the_link_signs_in_and_its_code_leaves_the_address(signed_in: BrowserContext, box: Box) -> None:
    page, complaints = await watched(signed_in)
    await page.goto(staff(box, "/"))
    await expect(page.locator("h1")).to_have_text("Home")
    assert "#" not in page.url
    assert any(cookie["name"] == "__Host-session" and cookie["httpOnly"] for cookie in await signed_in.cookies())
    assert signed_in.browser is not None
    other = await signed_in.browser.new_context(ignore_https_errors=True)
    second = await other.new_page()
    await second.goto(staff(box, f"/set-up#{box.setup_code()}"))
    await expect(second.locator(".error-summary")).to_contain_text("may have been used already")
    await expect(second.locator(".error-summary")).to_be_focused()
    assert "#" not in second.url
    assert not complaints
    await other.close()
    await page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_is_without_accessibility_faults(
    signed_in: BrowserContext, browser: Browser, box: Box, scheme: str
) -> None:
    # axe is put into the page from outside, which the policy forbids: this context looks past the policy.
    context = await browser.new_context(
        ignore_https_errors=True,
        bypass_csp=True,
        color_scheme="dark" if scheme == "dark" else "light",
        storage_state=await signed_in.storage_state(),
    )
    page = await context.new_page()
    faults = []
    for address in (*(staff(box, path) for path in STAFF_PAGES), pupil(box, "/"), pupil(box, "/nothing")):
        for width in (1280, 375):
            await page.set_viewport_size({"width": width, "height": 900})
            await page.goto(address)
            results = await Axe().run(page)
            faults += [(address, width, fault["id"]) for fault in results.response["violations"]]
    assert not faults
    await context.close()


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
        page.on("request", lambda asked: streams.append(asked.url) if asked.url.endswith("/live") else None)
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
    async with second.expect_request("**/live"):  # the tab that is left takes over
        await first.close()
    await expect(second.locator(".live-state")).to_have_text("Live")
    await expect(second.locator(".live-bar")).to_contain_text("Some rows were missed")
    await arrive(second, "Bo")
    await expect(second.locator("tbody tr").first).to_contain_text("Bo")
    assert not complaints
    assert not more_complaints
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
    await page.get_by_role("button", name="Undo the change of school.name").click()
    await page.wait_for_url("**/settings?said=applied")
    await expect(page.locator(".school")).to_have_text("No school name yet")
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
    await expect(page.locator("h1")).to_have_text("These are the staff pages")
    link = box.cli("setup-link").stdout.strip()
    await page.fill("#code", link)
    await page.get_by_role("button", name="Open the staff pages").click()
    await expect(page.locator("h1")).to_have_text("Home")
    await page.get_by_text("Menu", exact=True).click()
    await page.locator(".menu").get_by_role("link", name="Visitors").click()
    await page.fill("#name", "Cy")
    await page.get_by_role("button", name="Arrive").click()
    await expect(page.locator(".notice")).to_have_text("Cy is in.")
    await page.goto(staff(box, "/settings/edit?path=web.connections"))
    await page.fill("#value", "many")
    await page.get_by_role("button", name="Change it").click()
    await expect(page.locator(".error-summary")).to_contain_text("Say why")
    await page.goto(staff(box, "/applying?next=/status"))
    await page.wait_for_url("**/status?said=applied")
    # The link opened the pages in this browser, so the first one is signed out.
    earlier = await signed_in.new_page()
    await earlier.goto(staff(box, "/"))
    await expect(earlier.locator("h1")).to_have_text("These are the staff pages")
    await page.goto(staff(box, "/sign-out"))
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.locator("h1")).to_have_text("This browser is signed out")
    await page.goto(staff(box, "/"))
    await expect(page.locator("h1")).to_have_text("These are the staff pages")
    await context.close()
