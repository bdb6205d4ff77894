"""The pages about alerts: what waits for somebody, what happened to one, and keeping quiet while presenting."""

from __future__ import annotations

import json
from collections.abc import Mapping

from aiohttp import web

from appliance.alerts.alerting import Alerts, title_of
from appliance.captures.statuses import Status
from appliance.db import Row
from appliance.hookspecs import Page, Permission
from appliance.observations import Severity
from appliance.web.directory_pages import number_of, paging
from appliance.web.pages import actor, context_of, flash, read_form, redirect, render, stays_here

HAPPENED: Mapping[str, str] = {
    "opened": "Opened",
    "told": "Brought to",
    "nobody": "There was nobody to bring it to",
    "acknowledged": "Taken on",
    "changed": "More is known",
    "closed": "Closed",
}


WITHOUT_SEVERITY: Mapping[str, tuple[str, str]] = {
    "silence": ("moderate", "Silence"),
    "network": ("moderate", "Network"),
    "test": ("minor", "Test"),
}
"""Kind of alert -> sign and word beside it."""


def pages() -> tuple[Page, ...]:
    """The routes."""
    see = Permission.SEE_ALERTS
    return (
        Page("staff", "GET", "/alerts", index, see),
        Page("staff", "POST", "/alerts/quiet", quiet, see),
        Page("staff", "GET", "/alerts/{id}", alert, see),
        Page("staff", "POST", "/alerts/{id}/take", take, see),
    )


def _alerts(request: web.Request) -> Alerts:
    return context_of(request).appliance.alerts


async def index(request: web.Request) -> web.StreamResponse:
    """Open alerts first, closed ones below."""
    who = actor(request)
    closed = await _alerts(request).closed(who, number_of(request.query.get("page", "")))
    return render(
        request,
        "alerts.html",
        open=[shown(row) for row in await _alerts(request).open(who)],
        closed=[shown(row) for row in closed.rows],
        paging=paging(closed, "/alerts", {}, sent=False),
    )


def shown(row: Row) -> Mapping[str, object]:
    """An alert in words; what kind of sign stands beside it, and how it stands."""
    severity = Severity(row["severity"]) if row["severity"] and row["kind"] == "capture" else None
    state = "closed" if row["closed_at"] else "taken" if row["acknowledged_at"] else "waiting"
    sign, words = (severity.value, severity.label) if severity else WITHOUT_SEVERITY[row["kind"]]
    about = row["category"] if row["kind"] != "test" else "The test phrase has come through"
    number = f"{row['captures']} captures" if row["captures"] > 1 else ""
    return {**dict(row), "sign": sign, "sign_words": words, "state": state, "about": about, "number": number}


async def alert(request: web.Request) -> web.StreamResponse:
    """One alert: what it is about, and what happened to it."""
    row, who = await _alert_of(request), actor(request)
    steps = await _alerts(request).steps(who, row["id"])
    captures = await _alerts(request).captures(who, row["id"])
    return render(
        request,
        "alert.html",
        alert=shown(row),
        title=title_of(row),
        steps=[
            {**dict(step), "names": json.loads(step["names"]), "happened": HAPPENED[step["what"]]} for step in steps
        ],
        captures=[
            {"id": one["id"], "at": one["at"], "severity": Severity(one["severity"]), "status": Status(one["status"])}
            for one in captures
        ],
    )


async def _alert_of(request: web.Request) -> Row:
    row = await _alerts(request).alert(actor(request), request.match_info["id"])
    if row is None:
        raise web.HTTPNotFound
    return row


async def take(request: web.Request) -> web.StreamResponse:
    """ "I am dealing with this": it goes no further."""
    row = await _alert_of(request)
    await read_form(request)
    if await _alerts(request).acknowledge(actor(request), row["id"]):
        flash(request, "It is yours now, and goes to nobody else.")
    else:
        flash(request, "Somebody has taken it on before you.")
    return redirect(f"/alerts/{row['id']}")


async def quiet(request: web.Request) -> web.StreamResponse:
    """Keep alerts off this screen for an hour, or show them again."""
    form = await read_form(request)
    presenting = _alerts(request).presenting
    match form.get("do"):
        case "begin":
            await presenting.begin(actor(request))
            flash(request, "Alerts stay off your screen for an hour. They go to your mail and to your colleagues.")
        case "end":
            await presenting.end(actor(request))
        case _:
            raise web.HTTPBadRequest
    back = form.get("back", "")
    return redirect(back if stays_here(back) else "/")
