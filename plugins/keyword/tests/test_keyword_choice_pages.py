"""The pages of the school's decisions in a real browser: without script, on a phone and wide, and without barriers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from accounts import no_store_is_left_open
from barriers import barriers
from browsers import a_chromium
from playwright.async_api import Page

from appliance.access import Role
from appliance.clock import now
from appliance.testing import HELP_SEEKING, Client, Home, Running, free_port, start_in_process
from appliance_plugins.keyword.tests.test_keyword_choices import HIDDEN, OWN

__all__ = ["no_store_is_left_open"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOCAL = "/keyword/policies/local"
PAGES = (
    "/keyword", "/keyword?words=giant", LOCAL, "/keyword/policies/secret_list", f"{LOCAL}/terms/green-giant",
    f"{LOCAL}/add", "/keyword/new", "/keyword/requests", "/keyword/levels", "/keyword/times", "/keyword/explain",
    "/keyword/names", "/keyword/suggestions",
)  # fmt: skip
WIDTHS = (375, 1280)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("pages") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    (folder / "policies").mkdir()
    (folder / "policies" / "secret.yaml").write_text(HIDDEN, encoding="utf-8")
    (folder / "policies" / "local.yaml").write_text(OWN, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    home.write("groups: [{name: lab, title: The lab, addresses: [10.7.1.0/24]}]\nplugins: {keyword: {}}\n")
    found = await start_in_process(home)
    yield found
    await found.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lead(running: Running) -> Client:
    found = await running.as_role(Role.LEAD, name="Lena Lead")
    await running.appliance.vaults.start()
    return found


@pytest_asyncio.fixture(loop_scope="module")
async def page(running: Running, lead: Client) -> AsyncIterator[Page]:
    async with a_chromium() as browser:
        context = await browser.new_context(
            bypass_csp=True, extra_http_headers={"Cookie": f"__Host-session={lead.cookie}"}
        )
        yield await context.new_page()


TORN = """() => {
  const torn = [];
  for (const cell of document.querySelectorAll(".stack td[data-label], .stack th[data-label]")) {
    const parts = [...cell.childNodes].filter((one) => one.nodeType === 1 || one.textContent.trim());
    if (parts.length > 1) torn.push(cell.textContent.trim());
  }
  for (const cell of document.querySelectorAll(".stack td.empty")) {
    if (cell.firstElementChild.offsetLeft > cell.offsetLeft + 20) torn.push(cell.textContent.trim());
  }
  return torn;
}"""
"""Cells that a phone tears apart: it shows the label of a cell beside its one content."""
BROKEN = """() => {
  const broken = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode;
    if (!text.parentElement.closest("td, th") || text.parentElement.closest(".visually-hidden")) continue;
    for (const word of text.data.matchAll(/[\\p{Script=Latin}\\d’]+/gu)) {
      if (word[0].length > 10) continue;
      const range = document.createRange();
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      if (new Set([...range.getClientRects()].map((one) => Math.round(one.top))).size > 1) broken.push(word[0]);
    }
  }
  return broken;
}"""
"""Everyday words that a table breaks in the middle."""
FONTS = """() => new Set(
  [...document.querySelectorAll("main :is(textarea, select, input):not([type=checkbox], [type=radio], [type=hidden])")]
    .map((one) => getComputedStyle(one).fontFamily)
).size"""
"""In how many fonts fields are written."""


async def look(page: Page, path: str) -> None:
    """No barrier that axe can find, nothing wider than the screen, and no cell or word that is torn apart."""
    for width in WIDTHS:
        await page.set_viewport_size({"width": width, "height": 900})
        assert await page.evaluate("document.documentElement.scrollWidth") <= width, (path, width)
        assert await page.evaluate(TORN) == [], (path, width)
        assert await page.evaluate(BROKEN) == [], (path, width)
        assert await page.evaluate(FONTS) <= 1, path
        assert not await barriers(page), path


async def fill_the_pages(running: Running, lead: Client) -> None:
    """Something of everything that the pages can show."""
    deputy = await running.as_role(Role.DEPUTY, name="Dan Deputy")
    await deputy.post(
        f"{LOCAL}/terms/green-giant", {"change": "off", "because": "harmless", "reason": "Our play is called that"}
    )
    await deputy.post(
        "/keyword/names",
        {"name": "Trella", "reason": "She is laughed at", "last_day": f"{now() + timedelta(days=20):%Y-%m-%d}"},
    )
    await running.post("/keyword/suggest", {"word": "snorp", "meaning": "to hit"}, "pupil", signed_in=False)
    level = {"policy": "local", "level": "severe", "reason": "Exams", "name": ""}
    await lead.post("/keyword/levels", {**level, "group": "everybody"})
    await lead.post("/keyword/levels", {**level, "group": "networks:lab"})
    span = {"policy": "all", "group": "everybody", "level": "off", "span": "out_of_school", "reason": "Loaned devices"}
    await lead.post("/keyword/times", span)


async def test_the_pages_have_no_barriers_on_a_phone_and_wide(running: Running, lead: Client, page: Page) -> None:
    await fill_the_pages(running, lead)
    for path in PAGES:
        answer = await page.goto(f"http://staff.localhost:{running.port}{path}")
        assert answer is not None
        assert answer.status == 200, path
        await look(page, path)
    for path in ("/keyword/suggest", "/keyword/suggest?thanks=yes"):
        await page.goto(f"http://pupil.localhost:{running.port}{path}")
        await look(page, path)


async def test_a_term_is_written_by_hand(running: Running, page: Page) -> None:
    await page.goto(f"http://staff.localhost:{running.port}{LOCAL}/add")
    await page.get_by_role("button", name="Save").click()
    await look(page, "an empty form")
    await page.get_by_label("Words to look for").fill("blue ogre")
    await page.get_by_label("What it means and why it may matter").fill("What pupils call one of them in year 8.")
    await page.get_by_label("Moderate").check()
    await page.get_by_label("Why", exact=True).fill("Heard in year 8")
    await page.get_by_role("button", name="Show what it would have found").click()
    assert "What it would have found" in await page.locator("main").inner_text()
    await look(page, "a preview")
    await page.get_by_role("button", name="Save").click()
    await page.goto(f"http://staff.localhost:{running.port}{LOCAL}")
    assert "blue ogre" in await page.locator("main").inner_text()
