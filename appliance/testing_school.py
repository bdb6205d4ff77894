"""A school at work at a whole ``Box``, made on the real pages: for tests and benchmarks."""

from __future__ import annotations

import re
from datetime import timedelta

from appliance.clock import now
from appliance.simulated_browser import SimulatedBrowser
from appliance.testing import Box, Colleague


async def make_trolley(box: Box, name: str = "Laptops") -> str:
    """IT makes a group for devices; its id."""
    await box.post("/groups", {"kind": "trolley", "name": name})
    return found(r'href="/groups/([0-9a-f-]{36})"', (await box.get("/groups")).text)


async def let_in(box: Box, trolley: str, number: int = 1) -> list[SimulatedBrowser]:
    """Browsers that came with an enrolment key while IT held a window open; none of them is connected now."""
    form = {"do": "make", "name": "Laptops", "group": trolley, "most_uses": f"{number}", "days": "5"}
    await box.post("/devices/add/keys", form)
    await box.post("/devices/add/window", {"do": "open", "for": "15"})
    page = (await box.get("/devices/add/on/google")).text.replace("&#34;", '"')
    token, extension = found(r'"enrolToken": \{\s*"Value": "([^"]+)"', page), found(r">([a-p]{32})<", page)
    port = box.home.web_port
    browsers = [
        SimulatedBrowser(port, extension, token, f"LAPTOP-{one + 1:03}", scheme="https") for one in range(number)
    ]
    for browser in browsers:
        async with browser.connected():
            answer = await browser.enrol()
            assert answer == "welcome", answer
    return browsers


async def begin_trial(lead: Colleague, group: str) -> None:
    """The lead switches monitoring on for a group, as a trial."""
    today = now().date()
    form = {
        "do": "start",
        "group": group,
        "day_1": f"{today + timedelta(days=1)}",
        "day_2": "",
        "day_3": "",
        "last_day": f"{today + timedelta(days=7)}",
        "reason": "To see how it goes",
        "policy": "Online safety policy",
        "policy_date": f"{today}",
        "told": "Everybody",
    }
    answer = await lead.post("/monitoring/trial/new", form)
    assert answer.status == 303, answer.text


def found(pattern: str, text: str) -> str:
    """The group of a pattern that must be there."""
    match = re.search(pattern, text)
    assert match is not None, f"{pattern} is not in: {text[:3000]}"
    return match[1]
