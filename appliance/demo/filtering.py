"""How the invented school has set its web filter: chosen by its lead on the very pages that a lead uses."""

from __future__ import annotations

import asyncio
import re

import aiohttp

from appliance.app import Appliance
from appliance.clock import now
from appliance.demo.asking import NEEDED, from_address
from appliance.demo.hand import Hand
from appliance.errors import ApplianceError

PUPILS_DO_NOT_OPEN = (
    *("category:adult", "category:gambling", "category:games", "category:social_media"),
    *("service:tiktok", "service:snapchat", "service:chatgpt", "service:character_ai"),
)
ASKED_FOR = ("chess.example", "photos.example")
TRIES, PAUSE = 300, 0.2
"""The lists of a school that has just begun are read and made ready within seconds."""


async def set_filter(appliance: Appliance, cookie: str) -> None:
    """Profiles, an entry, a check and the provider by the lead; two pages are asked for, and one is answered."""
    if NEEDED not in appliance.config.plugins:
        return
    today = now().date().isoformat()
    async with from_address(0) as laptop, aiohttp.ClientSession() as office:
        lead, pupil = Hand(appliance, office, cookie), Hand(appliance, laptop)
        for path, fields in _what_the_lead_writes(today).items():
            await lead.fill(path, fields)
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


async def _ask_for(pupil: Hand, host: str) -> None:
    """As a pupil who has met the block page; the filter must have its lists first."""
    for _ in range(TRIES):
        if await pupil.send("pupil", f"/dns_filter/ask?host={host}", {"purpose": "lesson"}):
            return
        await asyncio.sleep(PAUSE)
    raise ApplianceError(f"{host} is not blocked in the demonstration.", "Its folder is not as it was made: delete it.")


async def _answer_one(lead: Hand) -> None:
    """The page that was asked for first opens until the end of the month."""
    waiting = re.search(r'href="(/dns_filter/requests/[^"]+)"', await lead.get("staff", "/dns_filter/requests"))
    assert waiting is not None
    answer = {
        "choice": "profile", "reason": "The chess club meets on Thursdays.",
        "answer": "Yes: it is open for everybody from today. Have fun!",
    }  # fmt: skip
    await lead.send("staff", waiting[1], answer)
