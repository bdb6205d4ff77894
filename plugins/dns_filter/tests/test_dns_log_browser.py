"""The pages of the log in a real browser: clicked on a phone, no barrier that axe finds, nothing wider than it."""

from __future__ import annotations

from typing import Any

from barriers import barriers
from browsers import a_chromium
from playwright.async_api import Page

from appliance.clock import stamp
from appliance.people.devices import DeviceDetails
from appliance.people.directory import Details
from appliance_plugins.dns_filter.queries.records import Somebody

WIDTH = 320


async def look(page: Page, path: str) -> None:
    assert not await barriers(page), path
    assert await page.evaluate("document.documentElement.scrollWidth") <= WIDTH, path


async def test_the_lead_follows_the_log_and_writes_down_a_check(house: Any, pages: Any) -> None:
    queries, directory = house.plugin.queries, house.appliance.directory
    ada = await directory.add(pages.lead.actor, Details("pupil", "Ada Okafor"))
    laptop = await directory.devices.add(pages.lead.actor, DeviceDetails("Laptop 7"))
    queries.who = lambda _: Somebody(laptop, ada, "browser profile")

    def record(name: str) -> dict[str, Any]:
        return {
            "t": stamp(), "client": "10.7.0.1", "name": name, "type": "A", "verdict": "blocked", "why": "list",
            "list": "adult-one", "rule": name, "category": "adult", "profile": "pupil", "upstream": "", "ms": 1.0,
            "count": 1,
        }  # fmt: skip

    await queries.receive([record(f"{'a-very-long-label-' * 3}.tracker.example")], 0)
    health = {"server": "10.0.0.1", "state": "resting", "ms": 3.0, "failures": 2}
    await queries.receive([{"kind": "health", "upstreams": [health], "cache": {}, "dropped": 0}], 0)
    base = f"http://staff.localhost:{pages.port}"
    cookie = {"Cookie": f"__Host-session={pages.lead.cookie}"}
    async with a_chromium() as browser:
        page = await (await browser.new_context(bypass_csp=True, extra_http_headers=cookie)).new_page()
        await page.set_viewport_size({"width": WIDTH, "height": 800})
        await page.goto(f"{base}/dns_filter")
        await page.get_by_text("Live", exact=True).first.wait_for()
        moment = stamp()
        await queries.receive([{**record("live.example"), "t": moment}], 0)
        row = page.get_by_role("row").filter(has_text="live.example")
        await row.wait_for()
        for words in ("Ada Okafor", "Laptop 7", "It is on the list adult-one", "Adult content"):
            assert words in await row.inner_text()
        await queries.receive([{**record("live.example"), "t": moment} for _ in range(2)], 0)
        await row.get_by_text("3", exact=True).wait_for()
        assert await row.count() == 1, "it is counted up, and does not stand there again"
        why = row.get_by_role("link", name="Why?")
        assert await why.get_attribute("href") == "/dns_filter/explain?name=live.example&client=10.7.0.1"
        await look(page, "the log")
        await row.get_by_role("link", name="Laptop 7").click()
        await page.wait_for_url(f"**/dns_filter/device?of={laptop}")
        await look(page, "a device")
        for path in ("top?period=week", "upstreams", "told", "coverage"):
            await page.goto(f"{base}/dns_filter/{path}")
            await look(page, path)
        await page.goto(f"{base}/dns_filter/checks")
        await look(page, "checks")
        await page.get_by_label("Device", exact=True).fill("iPad 12")
        await page.get_by_role("button", name="Write it down").click()
        await page.get_by_role("alert").get_by_text("Say where it was").wait_for()
        await look(page, "checks with errors")
        await page.get_by_label("Place", exact=True).fill("Library")
        await page.get_by_label("Group or profile", exact=True).fill("Pupils")
        await page.get_by_label("As it should be", exact=True).check()
        await page.get_by_role("button", name="Write it down").click()
        await page.goto(f"{base}/dns_filter/checks")  # a redirect leaves the header with the cookie behind
        await page.get_by_role("table").get_by_text("Library").wait_for()
        await look(page, "the record")
