"""Why somebody opens a child's page: asked before it is shown. And the page that shows who looked, in numbers first."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from aiohttp import web

from appliance.db import Row
from appliance.hookspecs import Page, Permission
from appliance.looks import PAGE_DAYS, Looks, Reason
from appliance.web.pages import actor, context_of, read_form, redirect, render

NO_REASON = "Choose why you are opening this page."


def pages() -> tuple[Page, ...]:
    """The routes."""
    return (
        Page("staff", "POST", "/people/{id}/look", look, Permission.SEE_PEOPLE),
        Page("staff", "GET", "/audit/looks", index, Permission.READ_AUDIT),
    )


# Before the page of a child


async def gate(request: web.Request, person: Row | Mapping[str, str]) -> web.StreamResponse | None:
    """What to answer in place of a page about ``person`` (a row with ``id`` and ``name``), or ``None`` to show it.

    Called by every page that shows records about one person, once it is known that the actor may see that person::

        if (question := await gate(request, person)) is not None:
            return question

    The answer asks for the reason, once for each account, child and day. Whoever sees no records about this person
    (a page of the directory) is not asked.
    """
    if not await _looks(request).needs_reason(actor(request), person["id"]):
        return None
    return _ask(request, person["id"], person["name"])


async def look(request: web.Request) -> web.StreamResponse:
    """Keep the reason that was given, then show the page."""
    looks, who, person = _looks(request), actor(request), request.match_info["id"]
    reason = (await read_form(request)).get("reason", "")
    if reason not in list(Reason):
        name = (await looks.names(who, [person])).get(person)
        if name is None:
            raise web.HTTPNotFound
        return _ask(request, person, name, NO_REASON)
    if not await looks.look(who, person, Reason(reason)):
        raise web.HTTPNotFound
    return redirect(f"/people/{person}")


def _ask(request: web.Request, person: str, name: str, wrong: str = "") -> web.Response:
    errors = {"reason": wrong} if wrong else {}
    return render(
        request, "look.html", 422 if wrong else 200, person=person, name=name, reasons=list(Reason), errors=errors
    )


# Who looked


async def index(request: web.Request) -> web.StreamResponse:
    """Who looked at how many children on which day; one account and day in detail when asked."""
    looks, who = _looks(request), actor(request)
    account = request.query.get("account", "")
    day = _day(request.query.get("day", ""))
    if account and day is not None:
        return await _one_day(request, account, day)
    until = _day(request.query.get("until", "")) or looks.today()
    return render(
        request,
        "audit_looks.html",
        rows=[_dated(row) for row in await looks.days(who, until, account)],
        account=account,
        older=await looks.newest_day(until - timedelta(days=PAGE_DAYS), account),
        newest=until == looks.today(),
    )


async def _one_day(request: web.Request, account: str, day: date) -> web.StreamResponse:
    looks, who = _looks(request), actor(request)
    rows = [row for row in await looks.days(who, day, account) if row["day"] == day.isoformat()]
    if not rows:
        raise web.HTTPNotFound
    seen = await looks.of_day(who, account, day)
    return render(
        request,
        "audit_looks_day.html",
        row=_dated(rows[0]),
        looks=[{**dict(one), "reason": Reason(one["reason"]).words} for one in seen],
        hidden=rows[0]["people"] - len(seen),
    )


def _dated(row: Row) -> dict[str, object]:
    day = date.fromisoformat(row["day"])
    return {**dict(row), "day_words": f"{day:%a} {day.day} {day:%b} {day.year}"}


def _day(text: str) -> date | None:
    """The day of its ISO 8601 form; ``None`` if it is none, or lies far from all days of a school."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if date(1970, 1, 1) <= day < date(9999, 1, 1) else None


def _looks(request: web.Request) -> Looks:
    return context_of(request).appliance.looks
