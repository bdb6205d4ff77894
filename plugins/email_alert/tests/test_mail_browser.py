"""The pages of mail in a real browser: no barrier that axe can find, and nothing wider than a phone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from barriers import barriers
from browsers import a_chromium
from playwright.async_api import Page

PICTURES = os.environ.get("PICTURES", "")
"""A folder for pictures of the pages, for whoever wants to look at them."""


@pytest.fixture
async def lived_in(house: Any) -> Any:
    """A house with addresses in every state; returns it with a lead."""
    lead = await house.running.as_role("lead", name="Lena Lead")
    deputy = await house.running.as_role("deputy", name="Dev Deputy")
    await house.running.as_role("head", name="Hope Head")
    await house.reached(lead, "lena.lead-with-a-long-name@primary.school.example")
    await house.reached(lead, "safeguarding@school.example", "shared")
    await lead.post("/email_alert/add", {"address": "not-confirmed@school.example", "for": "me"})
    await house.reached(deputy, "dev@school.example")
    house.mail.refuse["dev@school.example"] = "550 5.1.1 The mailbox does not exist here"
    house.mail.refuse["safeguarding@school.example"] = "451 4.7.1 Greylisted, come again in some minutes"
    await house.raise_alert(lead.account, deputy.account)

    async def is_refused() -> bool:
        return bool(await house.rows("addresses", "permanent = 1"))

    await house.until(is_refused)
    return house, lead


async def look(page: Page, name: str) -> None:
    for width, height in ((1280, 900), (375, 800)):
        await page.set_viewport_size({"width": width, "height": height})
        assert not await barriers(page)
        wide = await page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{name} is {wide} px wide at {width}"
        if PICTURES:
            await page.screenshot(path=Path(PICTURES) / f"{name}-{width}.png", full_page=True)


async def test_the_pages_of_mail_have_no_barriers(lived_in: Any) -> None:
    house, lead = lived_in
    port = house.running.port
    async with a_chromium() as browser:
        for who, paths in ((lead, ("/email_alert", "/")), (house.running, ("/email_alert", "/email_alert/server"))):
            context = await browser.new_context(
                bypass_csp=True, extra_http_headers={"Cookie": f"__Host-session={who.cookie}"}
            )
            page = await context.new_page()
            for path in paths:
                answer = await page.goto(f"http://staff.localhost:{port}{path}")
                assert answer is not None
                assert answer.status == 200
                await look(page, f"{'lead' if who is lead else 'it'}{path.replace('/', '-')}")
            if who is lead:
                await page.goto(f"http://staff.localhost:{port}/email_alert")
                await page.get_by_label("Email address").fill("nonsense")
                await page.get_by_role("button", name="Mail me a code").click()
                assert "is not an email address" in await page.locator(".error-summary").inner_text()
                await look(page, "lead-wrong")
            await context.close()
