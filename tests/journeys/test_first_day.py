"""The first day with the trial, as a stranger lives it: a browser, `dig`, and the real processes."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from base64 import b32decode
from collections.abc import Callable
from pathlib import Path

from barriers import barriers
from browsers import a_chromium
from playwright.async_api import Page, expect

from appliance.accounts.second_factor import code_at, step_of
from appliance.clock import now
from appliance.testing import Box, Home

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 30_000.0  # milliseconds
PASSWORD = "crumpet tractor violet lagoon"
SETTINGS = """
groups:
  - {{name: library, addresses: [127.0.0.9/32]}}
plugins:
  dns_filter:
    listen: ["127.0.0.1"]
    port: {dns_port}
    upstreams: ["127.0.0.1:9"]
    lists: [{{name: example, file: example.domains, format: domains}}]
    profiles:
      - {{name: pupil, mode: block, block: [example], answer: nxdomain}}
      - {{name: staff, mode: watch, block: [example]}}
"""


def dig(home: Home, name: str, source: str = "127.0.0.1") -> str:
    command = ["dig", "@127.0.0.1", "-p", str(home.dns_port), "-b", source, name, "+time=2", "+tries=1"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout


async def set_up(page: Page) -> None:
    """An account of IT: a password, an app that shows codes, and a sheet that is printed."""
    await page.get_by_label("Name of the school").fill("Mill Lane Scool")
    await page.get_by_label("Your name").fill("Ida Technician")
    await page.get_by_label("Your sign-in name").fill("ida")
    await page.get_by_label("Password", exact=True).fill(PASSWORD)
    await page.get_by_label("The same password again").fill(PASSWORD)
    await page.get_by_role("button", name="Go on").click()
    secret = b32decode((await page.locator(".offer .secret").inner_text()).replace(" ", ""))
    await page.get_by_label("Code").fill(code_at(secret, step_of(now())))
    await page.get_by_role("button", name="Go on").click()
    await page.get_by_role("button", name="Show them now").click()
    key = await page.locator(".sheet .secret").inner_text()
    await page.get_by_label("First four letters of the recovery key").fill(key[:4])
    await page.get_by_role("button", name="Finish and sign in").click()


async def give_and_mean_it(page: Page) -> None:
    """What is milder for everybody in a room on whom nothing is known is asked about first."""
    await page.locator("main form button").last.click()
    await expect(page.locator("main")).to_contain_text("would have a milder profile than now")
    assert not await barriers(page)
    await page.get_by_label("I have read this and mean it").check()
    await page.locator("main form button").last.click()


async def test_the_first_day(appliance_home: Home, start_box: Callable[[Home], Box]) -> None:
    shutil.copy(ROOT / "etc" / "lists" / "example.domains", appliance_home.folder)
    appliance_home.write(SETTINGS.format(dns_port=appliance_home.dns_port))
    box = start_box(appliance_home)
    await box.ready()

    async with a_chromium() as browser:
        context = await browser.new_context(ignore_https_errors=True)
        context.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page = await context.new_page()
        base = f"https://staff.localhost:{appliance_home.web_port}"

        # The link that was printed leads to an account of one's own, and to Home.
        await page.goto(f"{base}/set-up#{box.setup_code()}")
        await set_up(page)
        await expect(page.get_by_role("heading", name="Home", exact=True)).to_be_visible()
        await expect(page.locator("main")).to_contain_text("Until then nothing is captured.")
        assert not await barriers(page)

        # What devices ask for appears while one looks.
        await page.goto(f"{base}/dns_filter")
        await expect(page.get_by_text("Live", exact=True)).to_be_visible()
        await box.until(lambda: asyncio.to_thread(lambda: "NXDOMAIN" in dig(appliance_home, "games.example")))
        row = page.locator("tbody tr", has_text="games.example").first
        await expect(row).to_contain_text("Blocked")
        assert not await barriers(page)

        # The help line is neither blocked nor listed.
        assert "SERVFAIL" in dig(appliance_home, "www.childline.org.uk")
        assert "NXDOMAIN" in dig(appliance_home, "social.example")
        await expect(page.locator("tbody tr", has_text="social.example").first).to_be_visible()
        await expect(page.locator("tbody")).not_to_contain_text("childline")

        # Another profile for a group, with a reason; it applies to that group's addresses alone, and can be undone.
        await page.goto(f"{base}/dns_filter/groups")
        assert not await barriers(page)
        await page.locator("select#group").select_option("library")
        await page.locator("select[name=profile]").select_option("staff")
        await page.locator("[name=reason]").fill("staff work here")
        await give_and_mean_it(page)
        await expect(page.locator("main table").first).to_contain_text("staff work here")
        await box.until(
            lambda: asyncio.to_thread(lambda: "SERVFAIL" in dig(appliance_home, "games.example", "127.0.0.9"))
        )
        assert "NXDOMAIN" in dig(appliance_home, "games.example")
        await page.get_by_role("button", name="Undo").first.click()
        await box.until(
            lambda: asyncio.to_thread(lambda: "NXDOMAIN" in dig(appliance_home, "games.example", "127.0.0.9"))
        )

        # A setting that the file leaves out is set on its page, applied, and in the record.
        await expect(page.locator("header")).to_contain_text("Mill Lane Scool")
        await page.goto(f"{base}/settings/edit?path=school.name")
        await page.locator("[name=value]").fill("Mill Lane School")
        await page.locator("[name=reason]").fill("a slip")
        await page.locator("main form button").last.click()
        await expect(page.locator("header")).to_contain_text("Mill Lane School")
        await page.goto(f"{base}/audit")
        await expect(page.locator("main")).to_contain_text("school.name")
        assert not await barriers(page)
    assert box.stop() == 0
    assert box.cli("audit", "verify").returncode == 0
