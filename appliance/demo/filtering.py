"""How the invented school has set its web filter: chosen by its lead on the very pages that a lead uses."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp

from appliance.app import Appliance
from appliance.clock import now
from appliance.demo.asking import NEEDED, from_address
from appliance.errors import ApplianceError
from appliance.web.pages import COOKIE

PUPILS_DO_NOT_OPEN = (
    *("category:adult", "category:gambling", "category:games", "category:social_media"),
    *("service:tiktok", "service:snapchat", "service:chatgpt", "service:character_ai"),
)
ASKED_FOR = ("chess.example", "photos.example")
TRIES, PAUSE = 300, 0.2
"""The lists of a school that has just begun are read and made ready within seconds."""


@dataclass(frozen=True, slots=True)
class _Hand:
    """Somebody at a browser. ``cookie``: of a session; empty for a pupil."""

    appliance: Appliance
    session: aiohttp.ClientSession
    cookie: str = ""

    async def get(self, site: str, path: str) -> str:
        """The text of a page."""
        return (await self._ask("GET", site, path, None))[1]

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


async def set_filter(appliance: Appliance, cookie: str) -> None:
    """Profiles, an entry, a check and the provider by the lead; two pages are asked for, and one is answered."""
    if NEEDED not in appliance.config.plugins:
        return
    today = now().date().isoformat()
    async with from_address(0) as laptop, aiohttp.ClientSession() as office:
        lead, pupil = _Hand(appliance, office, cookie), _Hand(appliance, laptop)
        for path, fields in _what_the_lead_writes(today).items():
            if not await lead.send("staff", path, fields):
                raise ApplianceError("The demonstration’s web filter was not set.", f"The form at {path} was refused.")
        for host in ASKED_FOR:
            await _ask_for(pupil, host)
        await _answer_one(lead)


def _what_the_lead_writes(today: str) -> dict[str, dict[str, str]]:
    """Form -> what is typed into it."""
    blocked = {"shown": " ".join(PUPILS_DO_NOT_OPEN), **dict.fromkeys(PUPILS_DO_NOT_OPEN, "on")}
    return {
        "/dns_filter/profiles/pupil": {
            **blocked, "mode": "block", "safe_search": "on", "youtube": "moderate",
            "reason": "After a week of trial run: agreed with the heads of year.",
        },
        "/dns_filter/entries": {
            "domain": "blocks.example", "action": "allow", "profile": "pupil", "reason": "Used in computing, year 7.",
        },
        "/dns_filter/provider": {
            "name": "Larkshire County Council (invented)", "product": "Council broadband", "iwf": "yes",
            "ctiru": "unknown", "evidence": "Letter of the council, in the safeguarding folder", "seen_on": today,
            "note": "Asked about the police list; they answer next week.",
        },
        "/dns_filter/checks": {
            "day": today, "device": "LAPTOP-02", "place": "Room 12", "group": "Pupils of 8A",
            "what": "Test Filtering, by SWGfL", "result": "passed", "words": "All four tests were as they should be.",
        },
    }  # fmt: skip


async def _ask_for(pupil: _Hand, host: str) -> None:
    """As a pupil who has met the block page; the filter must have its lists first."""
    for _ in range(TRIES):
        if await pupil.send("pupil", f"/dns_filter/ask?host={host}", {"purpose": "lesson"}):
            return
        await asyncio.sleep(PAUSE)
    raise ApplianceError(f"{host} is not blocked in the demonstration.", "Its folder is not as it was made: delete it.")


async def _answer_one(lead: _Hand) -> None:
    """The page that was asked for first opens until the end of the month."""
    waiting = re.search(r'href="(/dns_filter/requests/[^"]+)"', await lead.get("staff", "/dns_filter/requests"))
    assert waiting is not None
    answer = {
        "choice": "profile", "reason": "The chess club meets on Thursdays.",
        "answer": "Yes: it is open for everybody from today. Have fun!",
    }  # fmt: skip
    await lead.send("staff", waiting[1], answer)
