"""The page between a change and its effect: the running generation of services ends and the next one answers.

The answer to a form is sent before the swap, so the page that follows must not be asked of the old generation. This
page waits a moment in the browser; what it then asks for stays in the kernel's queue until the next one listens.
"""

from __future__ import annotations

from dataclasses import dataclass

from aiohttp import web

from appliance.hookspecs import Page, Permission
from appliance.web.pages import context_of, redirect, render

SECONDS = 2
GOES_ON_TO = ("/settings", "/plugins", "/status")


@dataclass(frozen=True, slots=True)
class Notice:
    """What became of the latest change."""

    good: bool
    words: str


def applying_page() -> Page:
    """``/applying?next=/settings``"""
    return Page("staff", "GET", "/applying", _show, Permission.OPERATE)


def applying(goes_on_to: str) -> web.Response:
    """Answer a form whose change is being applied."""
    return redirect(f"/applying?next={goes_on_to}")


async def _show(request: web.Request) -> web.StreamResponse:
    wanted = request.query.get("next", "")
    goes_on_to = f"{wanted if wanted in GOES_ON_TO else GOES_ON_TO[0]}?said=applied"
    response = render(request, "applying.html", goes_on_to=goes_on_to)
    response.headers["Refresh"] = f"{SECONDS}; url={goes_on_to}"
    return response


def latest(request: web.Request) -> Notice | None:
    """What became of the change that led to this page; ``None`` if none did."""
    if request.query.get("said") != "applied":
        return None
    outcome = context_of(request).appliance.control.last_outcome
    if outcome is None:
        return None
    return Notice(True, "The change is in force.") if outcome.applied else Notice(False, outcome.words)
