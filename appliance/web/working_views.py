"""Is it working? A harmless phrase that anybody may type on any device, and which device has passed when."""

from __future__ import annotations

from aiohttp import web

from appliance.hookspecs import Page, Permission, State
from appliance.web.directory_pages import number_of, paging
from appliance.web.pages import actor, context_of, render


def pages() -> tuple[Page, ...]:
    """The routes."""
    return (Page("staff", "GET", "/devices/working", index, Permission.SEE_ALERTS),)


async def index(request: web.Request) -> web.StreamResponse:
    """The phrase, the parts that have to work for it, and every device that was let in."""
    appliance, who = context_of(request).appliance, actor(request)
    number = number_of(request.query.get("page", ""))
    page = await appliance.endpoints.enrolment.tested(who, number)
    return render(
        request,
        "working.html",
        phrase=appliance.config.settings.detection.test_phrase,
        parts=[check for check in appliance.health.checks() if check.alarm],
        good=State.GOOD,
        paging=paging(page, "/devices/working", {}, sent=False),
        opens=who.may(Permission.SEE_CAPTURES),
        operates=who.may(Permission.OPERATE),
    )
