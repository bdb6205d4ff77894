"""Hands at a browser: what the demonstration has set is typed into the very forms that people use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from appliance.app import Appliance
from appliance.errors import ApplianceError
from appliance.web.pages import COOKIE


@dataclass(frozen=True, slots=True)
class Hand:
    """Somebody at a browser. ``cookie``: of a session; empty for a pupil."""

    appliance: Appliance
    session: aiohttp.ClientSession
    cookie: str = ""

    async def get(self, site: str, path: str) -> str:
        """The text of a page."""
        return (await self._ask("GET", site, path, None))[1]

    async def fill(self, path: str, fields: Mapping[str, str]) -> None:
        """Send a form of the staff pages that must be taken."""
        if not await self.send("staff", path, fields):
            raise ApplianceError("The demonstration could not be made ready.", f"The form at {path} was refused.")

    async def send(self, site: str, path: str, fields: Mapping[str, str]) -> bool:
        """Send a form; whether it was taken."""
        return (await self._ask("POST", site, path, fields))[0] in (200, 303)

    async def _ask(self, method: str, site: str, path: str, fields: Mapping[str, str] | None) -> tuple[int, str]:
        settings = self.appliance.config.settings.web
        headers = {"Host": f"{site}.{settings.domain}:{settings.port}", "Sec-Fetch-Site": "same-origin"}
        if self.cookie:
            headers["Cookie"] = f"{COOKIE}={self.cookie}"
        async with self.session.request(
            method, f"https://127.0.0.1:{settings.port}{path}",
            data=fields, headers=headers, ssl=False, allow_redirects=False,
        ) as response:  # fmt: skip
            return response.status, await response.text()
