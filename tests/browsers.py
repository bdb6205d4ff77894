"""The Chromium of this machine, with which tests look at pages as people do."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@asynccontextmanager
async def a_chromium(*more: str) -> AsyncIterator[Browser]:
    """A browser with an empty profile, closed at the end. ``more``: further arguments of its command line."""
    found = shutil.which("chromium")
    assert found is not None, "There is no Chromium on this machine: apt-get install chromium."
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=found, args=[*ARGUMENTS, *more])
        yield browser
        await browser.close()
