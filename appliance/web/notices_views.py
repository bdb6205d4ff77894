"""One's own notices: the page that lists them, and "Got it"."""

from __future__ import annotations

from aiohttp import web

from appliance.hookspecs import Page, Permission
from appliance.web.pages import actor, context_of, read_form, redirect, render


def pages() -> tuple[Page, ...]:
    """The routes."""
    return (
        Page("staff", "GET", "/notices", index, Permission.USE),
        Page("staff", "POST", "/notices/got-it", got_it, Permission.USE),
    )


async def index(request: web.Request) -> web.StreamResponse:
    """Every notice of the last 90 days."""
    rows = await context_of(request).appliance.notices.all(actor(request))
    return render(
        request,
        "notices.html",
        unread=[row for row in rows if row["read_at"] is None],
        read=[row for row in rows if row["read_at"] is not None],
    )


async def got_it(request: web.Request) -> web.StreamResponse:
    """Put a notice away, and go back to the page on which it stood."""
    form = await read_form(request)
    await context_of(request).appliance.notices.got_it(actor(request), form.get("id", ""))
    return redirect("/notices" if form.get("back") == "notices" else "/")
