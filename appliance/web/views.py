"""The core's own pages, all but the settings. Each view reads the services and renders; it decides nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web
from markupsafe import Markup

from appliance.db import Row
from appliance.errors import PluginError, PluginOff, Refused
from appliance.hookspecs import Check, HomeCard, Page, Permission, Site, State
from appliance.migrate import CORE
from appliance.staff import SESSION_LIFE
from appliance.web import live, settings_views
from appliance.web.applying import applying, applying_page, latest
from appliance.web.assets import Assets
from appliance.web.guard import COOKIE
from appliance.web.pages import ACTOR, SESSION, Context, actor, context_of, flash, read_form, redirect, render

AUDIT_ROWS = 50
WRONG_CODE = (
    "This code does not open the pages. It may have been used already, be older than an hour, or have been replaced by "
    "a newer one."
)
SOURCES = {
    "bundled": "came with the appliance",
    "package": "installed as a package of its own",
    "drop-in": "put into the folder for plugins",
}


def core_pages(assets: Assets) -> tuple[Page, ...]:
    """Every page of the core, with the site and the permission of each."""
    operate, public = Permission.OPERATE, Permission.PUBLIC
    return (
        Page("staff", "GET", "/", home, operate),
        Page("staff", "GET", "/status", status, operate),
        Page("staff", "POST", "/status/undelivered", undelivered, operate),
        Page("staff", "GET", "/authority.pem", authority, operate),
        Page("staff", "GET", "/plugins", plugins, operate),
        Page("staff", "POST", "/plugins/try-again", try_again, operate),
        *settings_views.pages(),
        applying_page(),
        Page("staff", "GET", "/audit", audit, Permission.READ_AUDIT),
        Page("staff", "GET", "/live", live.stream, operate),
        Page("staff", "GET", "/set-up", set_up, public),
        Page("staff", "POST", "/set-up", use_code, public),
        Page("staff", "GET", "/sign-out", ask_sign_out, operate),
        Page("staff", "POST", "/sign-out", sign_out, operate),
        Page("pupil", "GET", "/", pupil_home, public),
        Page("endpoint", "GET", "/", endpoint_home, public),
        *_files("staff", assets),
        *_files("pupil", assets),
    )


def _files(site: Site, assets: Assets) -> tuple[Page, ...]:
    return (
        Page(site, "GET", "/static/{name:.+}", assets.serve, Permission.PUBLIC),
        Page(site, "GET", "/favicon.svg", assets.serve_icon, Permission.PUBLIC),
        Page(site, "GET", "/robots.txt", robots, Permission.PUBLIC),
    )


# Home


@dataclass(frozen=True, slots=True)
class Step:
    """Something that is still to be done: what, why, and where."""

    title: str
    why: str
    link: str
    link_words: str


@dataclass(frozen=True, slots=True)
class Card:
    """A plugin's card on the home page. ``failed`` says so when it could not be made."""

    title: str
    content: Markup
    failed: str = ""


async def home(request: web.Request) -> web.StreamResponse:
    """Is anything broken, what is my next step, and what plugins have to show."""
    context = context_of(request)
    return render(
        request,
        "home.html",
        checks=_by_state(context.appliance.health.checks()),
        steps=next_steps(context),
        cards=await _cards(request, context),
        trial=context.appliance.config.place.trial_dir,
    )


def next_steps(context: Context) -> list[Step]:
    """What the settings still lack."""
    settings = context.appliance.config.settings
    steps = []
    if not settings.school.name:
        why = "It stands at the top of these pages, so that everybody sees whose box this is."
        steps.append(Step("Give the school's name", why, "/settings/edit?path=school.name", "Set the name"))
    if not settings.timetable.terms:
        why = "Without them every weekday counts as a school day, also in the holidays."
        steps.append(Step("Enter the term dates", why, "/settings#timetable", "See the timetable"))
    if not settings.groups:
        why = "A group is a set of network addresses, such as a room. What applies to whom is set per group."
        steps.append(Step("Say which groups there are", why, "/settings#groups", "See the groups"))
    if not context.appliance.config.plugins:
        why = "The core by itself does nothing for pupils; each feature is a plugin that the settings file names."
        steps.append(Step("Switch a plugin on", why, "/plugins", "See the plugins"))
    return steps


async def _cards(request: web.Request, context: Context) -> list[Card]:
    allowed = actor(request).may
    panels = context.appliance.plugins.panels(HomeCard)
    return list(await asyncio.gather(*(_card(context, *panel) for panel in panels if allowed(panel[1].permission))))


async def _card(context: Context, owner: str, card: HomeCard) -> Card:
    async def make() -> str:
        return context.templates.get_template(card.template).render(await card.data())

    try:
        content = await context.appliance.plugins.run(owner, f"home card {card.title}", make)
    except (PluginError, PluginOff) as error:
        return Card(card.title, Markup(), error.what)
    return Card(card.title, Markup(content))  # noqa: S704 - rendered with autoescape just above


# Status


async def status(request: web.Request) -> web.StreamResponse:
    """How everything is doing, the worst first."""
    context = context_of(request)
    appliance = context.appliance
    return render(
        request,
        "status.html",
        checks=_by_state(appliance.health.checks()),
        off=[state for state in appliance.plugins.states() if state.state == "off"],
        undelivered=await appliance.bus.parked(),
        waiting=await appliance.bus.waiting(),
        runs=await appliance.schedule.runs(),
        core=CORE,
        authority=context.authority,
        certificate=context.certificate,
        latest=latest(request),
    )


def _by_state(checks: tuple[Check, ...]) -> Mapping[str, list[Check]]:
    return {state.value: [check for check in checks if check.state is state] for state in State}


async def undelivered(request: web.Request) -> web.StreamResponse:
    """Try a delivery that was given up again, or drop it for good."""
    form = await read_form(request)
    control, who = context_of(request).appliance.control, actor(request).name
    owner, event_id = form.get("owner", ""), form.get("id", "")
    match form.get("do"):
        case "retry":
            done, words = await control.events_retry(who, owner, event_id), "It is being tried again."
        case "drop":
            done, words = await control.events_drop(who, owner, event_id), "It was given up for good."
        case _:
            raise web.HTTPBadRequest
    flash(request, words if done else "That one was dealt with already.")
    return redirect("/status#undelivered")


async def authority(request: web.Request) -> web.StreamResponse:
    """The authority's certificate, for devices that are to trust this box. ``.crt`` opens in Windows and macOS."""
    disposition = 'attachment; filename="safeguarding-appliance-authority.crt"'
    return web.Response(
        body=context_of(request).authority.certificate_pem,
        content_type="application/x-x509-ca-cert",
        headers={"Content-Disposition": disposition},
    )


# Plugins


async def plugins(request: web.Request) -> web.StreamResponse:
    """Every plugin that the settings name."""
    appliance = context_of(request).appliance
    return render(
        request,
        "plugins.html",
        states=sorted(appliance.plugins.states(), key=lambda state: (state.state != "off", state.title)),
        sources=SOURCES,
        config_file=appliance.config.place.config_file,
        latest=latest(request),
    )


async def try_again(request: web.Request) -> web.StreamResponse:
    """Let a plugin that was switched off in again."""
    name = (await read_form(request)).get("name", "")
    outcome = await context_of(request).appliance.control.plugin_reset(actor(request).name, name)
    if not outcome.applied:
        raise Refused(outcome.words)
    return applying("/plugins")


# Audit


async def audit(request: web.Request) -> web.StreamResponse:
    """The record of who did what, newest first; checked as a whole when asked."""
    before = request.query.get("before", "")
    before_seq = int(before) if before.isdecimal() and len(before) < 16 else None
    record = context_of(request).appliance.audit
    rows = await record.rows(before_seq, AUDIT_ROWS + 1)
    return render(
        request,
        "audit.html",
        rows=[{**dict(row), "details": _details(row)} for row in rows[:AUDIT_ROWS]],
        older=rows[AUDIT_ROWS - 1]["seq"] if len(rows) > AUDIT_ROWS else None,
        newest=before_seq is None,
        verdict=await record.verify() if "check" in request.query else None,
    )


def _details(row: Row) -> list[tuple[str, str]]:
    """What a row says beyond who did what, in the order of its keys. What has no value is left out."""
    found: Mapping[str, Any] = json.loads(row["detail"])
    shown = {key: value for key, value in found.items() if value is not None and value != ""}
    return [
        (key.replace("_", " "), value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for key, value in shown.items()
    ]


# Coming and going


async def set_up(request: web.Request) -> web.StreamResponse:
    """Where the one-time link leads. Browsers do not send what stands behind ``#``: a script passes the code on."""
    return render(request, "set_up.html", closed=False, already=ACTOR in request, error="")


async def use_code(request: web.Request) -> web.StreamResponse:
    """Take the code of a set-up link and open the staff pages for this browser."""
    form = await read_form(request)
    code = form.get("code", "").strip().rpartition("#")[2]  # the whole link may be pasted
    try:
        session_id = await context_of(request).staff.redeem(code)
    except Refused as error:
        return render(request, "set_up.html", 429, closed=False, already=False, error=str(error))
    if session_id is None:
        return render(request, "set_up.html", 403, closed=False, already=ACTOR in request, error=WRONG_CODE)
    response = redirect("/")
    response.set_cookie(
        COOKIE, session_id, max_age=int(SESSION_LIFE.total_seconds()), secure=True, httponly=True, samesite="Strict"
    )
    return response


async def ask_sign_out(request: web.Request) -> web.StreamResponse:
    """Say what signing out means before it happens."""
    return render(request, "sign_out.html", done=False)


async def sign_out(request: web.Request) -> web.StreamResponse:
    """End the session and leave nothing in the browser."""
    await context_of(request).staff.sign_out(request[SESSION])
    del request[ACTOR]
    response = render(request, "sign_out.html", done=True)
    response.del_cookie(COOKIE, secure=True, httponly=True, samesite="Strict")
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


# The other sites


async def pupil_home(request: web.Request) -> web.StreamResponse:
    """What this box is, and who is there to talk to."""
    return render(request, "pupil.html")


async def endpoint_home(_request: web.Request) -> web.StreamResponse:
    """So that a device can see that it has found the appliance."""
    return web.json_response({"service": "safeguarding appliance"})


async def robots(_request: web.Request) -> web.StreamResponse:
    """No page of ours belongs in a search engine (RFC 9309)."""
    return web.Response(text="User-agent: *\nDisallow: /\n")
