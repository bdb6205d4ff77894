"""The keyword plugin's part for browsers in a real browser: its modules, and its needles prepared from policies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web
from browsers import a_chromium
from playwright.async_api import Page

from appliance_plugins.keyword.needles.tables import PATH, tables_module

FOLDER = Path(__file__).parent.parent / "plugins" / "keyword" / "browser"
PREPARE = """async () => {
    const { prepare } = await import('/main.js');
    const policy = await (await fetch('/policy.json')).text();
    const began = performance.now();
    globalThis.find = prepare(JSON.parse(policy));
    return performance.now() - began;
}"""
FIND = """(cases) => cases.map(([text, surface]) =>
    globalThis.find(text, surface).map(({ id, start, end }) => [id, start, end]))"""

Case = tuple[str, str]
"""A text and the surface it was seen on."""


@dataclass
class Chromium:
    """A page of a browser beside which the plugin's modules are served."""

    page: Page
    policy: str = "{}"

    async def prepare(self, needles: Mapping[str, Any]) -> float:
        """Make needles ready, as the extension does; how many milliseconds it took."""
        self.policy = json.dumps(needles)
        took: float = await self.page.evaluate(PREPARE)
        return took

    async def find(self, cases: Sequence[Case]) -> list[list[tuple[str, int, int]]]:
        """What is found in each text: ids, and places in UTF-16 units. ``prepare`` first."""
        found: list[list[tuple[str, int, int]]] = await self.page.evaluate(FIND, cases)
        return found

    async def ids(self, cases: Sequence[Case]) -> list[set[str]]:
        """What is found in each text, by the ids alone."""
        return [{id_ for id_, _, _ in found} for found in await self.find(cases)]


@asynccontextmanager
async def in_chromium() -> AsyncIterator[Chromium]:
    """A browser, closed at the end."""
    files = {path.name: path.read_bytes() for path in FOLDER.glob("*.js")} | {PATH: tables_module()}
    async with a_chromium() as browser:
        found = Chromium(await browser.new_page())

        async def serve(request: web.Request) -> web.Response:
            path = request.match_info["path"]
            if path == "policy.json":
                return web.Response(text=found.policy, content_type="application/json")
            if path in files:
                return web.Response(body=files[path], content_type="text/javascript")
            return web.Response(text="<!doctype html><title>Needles</title>", content_type="text/html")

        application = web.Application()
        application.router.add_get("/{path:.*}", serve)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        await found.page.goto(f"http://127.0.0.1:{runner.addresses[0][1]}/")
        yield found
        await runner.cleanup()
