"""What the invented school has decided about policies, typed into the very forms of its lead, a deputy and pupils."""

from __future__ import annotations

import re
from datetime import timedelta

import aiohttp

from appliance.app import Appliance
from appliance.clock import now
from appliance.demo.hand import Hand
from appliance.errors import ApplianceError

NEEDED = "keyword"
OWN_TERMS = (
    {
        "phrases": "swamp donkey\nswamp (girl|boy)", "severity": "moderate",
        "definition": "What a group in year 8 calls pupils from the estate by the river. Two of them have complained.",
        "reason": "Came up in the meeting of the heads of year.",
    },
    {
        "phrases": "meet (by|behind) the bike sheds\nbike sheds at (lunch|four)", "severity": "minor",
        "definition": "Where fights are arranged. Look who else is named, and tell whoever is on duty.",
        "reason": "Three fights since half-term.",
    },
)  # fmt: skip
SUGGESTED = (
    {"word": "melt", "meaning": "when someone is being soft, they say it all the time to one boy"},
    {"word": "do a Larkfield", "meaning": "bunk off after registration"},
)
WATCHED = "Trella the Smella"
WHY_WATCHED = "A form tutor has seen it on two bags. We want to know whether it goes on, and who begins it."


async def set_policies(appliance: Appliance, lead_cookie: str, deputy_cookie: str) -> None:
    """A policy of the school's own, a request, a watched name, suggestions, a level and a timetabled one."""
    if NEEDED not in appliance.config.plugins:
        return
    async with aiohttp.ClientSession() as session:
        lead, deputy = Hand(appliance, session, lead_cookie), Hand(appliance, session, deputy_cookie)
        await _write_policy(deputy)
        await _ask_to_switch_off(deputy)
        await _watch_for_a_name(lead, deputy)
        await _set_levels(lead)
        for suggestion in SUGGESTED:
            await Hand(appliance, session).send("pupil", "/keyword/suggest", suggestion)


async def _write_policy(deputy: Hand) -> None:
    about = {
        "title": "Words of our school", "category": "bullying",
        "summary": "Names and places that only mean something at Larkfield.",
        "reason": "Agreed with the heads of year.",
    }  # fmt: skip
    await deputy.fill("/keyword/new", about)
    for term in OWN_TERMS:
        ticked = {"on_typed": "yes", "on_email": "yes", "on_search": "yes", "matching": "loose", "picture": "yes"}
        await deputy.fill("/keyword/policies/own_words_of_our_school/add", {**term, **ticked})


async def _ask_to_switch_off(deputy: Hand) -> None:
    """The mildest term of the policy: it waits for the lead to decide."""
    page = await deputy.get("staff", "/keyword/policies/bullying")
    term = _last(r'href="(/keyword/policies/bullying/terms/[^"]+)"', page)
    wish = {"change": "off", "because": "lessons", "reason": "It is a line of the play that year 9 is rehearsing."}
    await deputy.fill(term, wish)


async def _watch_for_a_name(lead: Hand, deputy: Hand) -> None:
    last_day = f"{now() + timedelta(days=21):%Y-%m-%d}"
    await deputy.fill("/keyword/names", {"name": WATCHED, "reason": WHY_WATCHED, "last_day": last_day})
    page = await lead.get("staff", "/keyword/names")
    await lead.fill(_last(r'action="(/keyword/names/[^"]+)"', page), {"do": "agree"})


async def _set_levels(lead: Hand) -> None:
    page = await lead.get("staff", "/keyword/levels")
    form = _last(r'<option value="(group:[^"]+)"[^>]*>9A<', page)
    closer = {"policy": "eating_disorder", "level": "reading", "group": form, "reason": "Two pupils are being helped."}
    await lead.fill("/keyword/levels", closer)
    milder = {
        "policy": "bullying", "level": "moderate", "group": "everybody", "span": "out_of_school",
        "reason": "At home, banter among friends is for parents.",
    }  # fmt: skip
    await lead.fill("/keyword/times", milder)


def _last(pattern: str, page: str) -> str:
    found = re.findall(pattern, page)
    if not found:
        raise ApplianceError("The demonstration could not be made ready.", "A page of policies is not as it was.")
    return str(found[-1])
