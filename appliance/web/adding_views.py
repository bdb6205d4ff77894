"""Add devices: the school's own policy files for each system, enrolment keys, and the browsers that wait."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode

from aiohttp import web

from appliance.clock import now, stamp
from appliance.db import Row
from appliance.endpoints import browser_policies as policy_files
from appliance.endpoints.browser_policies import EDGE, LINUX_FOLDERS, File, School
from appliance.endpoints.endpoints import TOPIC, Endpoints
from appliance.endpoints.enrolment import claim_words
from appliance.endpoints.extension import base_url
from appliance.endpoints.tokens import FIRST_DAYS, FIRST_USES, MOST_DAYS, MOST_USES, NewToken, is_over
from appliance.errors import Refused
from appliance.hookspecs import Page, Permission
from appliance.net import lan_addresses
from appliance.people.names import GROUP_KINDS
from appliance.web.directory_pages import directory_of, in_form, ticked
from appliance.web.pages import actor, context_of, flash, read_fields, read_form, redirect, render
from appliance.web.sites import SITES
from appliance.web.templating import plural

OLDEST_BROWSER = 133
"""Of Chrome, Edge and Chromium: before, browsers could not agree on a key by X25519."""
ROWS = 100
"""Browsers that are shown at once while they wait; all of them can be let in with one button."""
WINDOWS: Mapping[str, str] = {"15": "For 15 minutes", "60": "For an hour", "day": "Until the end of the school day"}
SYSTEMS: Mapping[str, str] = {
    "google": "Chromebooks, and browsers in Google Admin",
    "windows": "Windows: group policy, Intune or one computer",
    "mac": "Mac",
    "linux": "Linux",
}
"""How a school manages its browsers, as a page each."""

Make = Callable[[School], File]
FILES: Mapping[str, Make] = {
    "linux": policy_files.linux,
    "linux-edge": lambda school: policy_files.linux(school, EDGE),
    "reg": policy_files.reg,
    "reg-remove": policy_files.reg_to_remove,
    "group-policy": policy_files.group_policy,
    "script": policy_files.script,
    "script-remove": policy_files.script_to_remove,
    "mac": policy_files.mac,
    "google": policy_files.google,
}
"""Files that hold an enrolment key, or belong to those that do."""
AUTHORITY_TYPE = "application/x-x509-ca-cert"


@dataclass(frozen=True, slots=True)
class ShownToken:
    """An enrolment key on the page. ``over``: why nobody comes with it any more, in words; empty while it works."""

    row: Row
    over: str


def pages() -> tuple[Page, ...]:
    """The routes."""
    operate = Permission.OPERATE
    return (
        Page("staff", "GET", "/devices/add", index, operate),
        Page("staff", "POST", "/devices/add/keys", change_keys, operate),
        Page("staff", "POST", "/devices/add/window", change_window, operate),
        Page("staff", "POST", "/devices/add/list", change_list, operate),
        Page("staff", "POST", "/devices/add/waiting", decide, operate),
        Page("staff", "GET", "/devices/add/authority/{form}", authority, operate),
        Page("staff", "GET", "/devices/add/files/{file}", download, operate),
        Page("staff", "GET", "/devices/add/on/{system}", system, operate),
        Page("staff", "POST", "/devices/{id}/browsers", change_browser, operate),
    )


def _endpoints(request: web.Request) -> Endpoints:
    return context_of(request).appliance.endpoints


# The page with its steps


async def index(request: web.Request) -> web.StreamResponse:
    """Everything about adding devices, step by step."""
    return await _index(request, {})


async def _index(
    request: web.Request, errors: Mapping[str, str], wanted: NewToken | None = None, listed: str = ""
) -> web.Response:
    context, endpoints, who = context_of(request), _endpoints(request), actor(request)
    waiting = await endpoints.enrolment.waiting(who)
    settings = context.appliance.config.settings
    return render(
        request,
        "adding.html",
        422 if errors else 200,
        errors=errors,
        tokens=await _tokens(request),
        wanted=wanted or NewToken("", "", FIRST_USES, FIRST_DAYS),
        most_uses=MOST_USES,
        most_days=MOST_DAYS,
        groups=await directory_of(request).groups.all(who),
        group_kinds=GROUP_KINDS,
        fingerprint_of=context.authority.fingerprint,
        systems=SYSTEMS,
        names=[f"{site}.{settings.web.domain}" for site in SITES],
        addresses=lan_addresses(),
        port=settings.web.port,
        shown=waiting[:ROWS],
        number_waiting=len(waiting),
        number_for_all=sum(not row["claimed"] for row in waiting),
        claim_words=claim_words,
        oldest_browser=OLDEST_BROWSER,
        away=await endpoints.enrolment.turned_away(who),
        window=await endpoints.enrolment.window(),
        windows=[choice for choice in WINDOWS.items() if choice[0] != "day" or _end_of_day(request) is not None],
        expected=await endpoints.enrolment.expected(who),
        listed=listed,
        connected=endpoints.connections.count,
        topic=TOPIC,
        rows=ROWS,
    )


async def _tokens(request: web.Request) -> list[ShownToken]:
    rows, moment = await _endpoints(request).tokens.all(actor(request)), stamp()
    return [ShownToken(row, is_over(row, moment)) for row in rows]


# Enrolment keys


async def change_keys(request: web.Request) -> web.StreamResponse:
    """Make a key, or withdraw one."""
    form, tokens = await read_form(request), _endpoints(request).tokens
    match form.get("do"):
        case "make":
            wanted = NewToken(
                form.get("name", ""), form.get("group", ""), _number(form.get("most_uses")), _number(form.get("days"))
            )
            errors = wanted.faults()
            if not errors:
                try:
                    await tokens.make(actor(request), wanted)
                except Refused as refused:
                    errors = in_form(refused)
            if errors:
                return await _index(request, errors, wanted)
            flash(request, "The key was made. Now give your browsers the policy: it holds the key.")
        case "withdraw":
            await tokens.revoke(actor(request), form.get("id", ""))
            flash(request, "The key was withdrawn. Devices that were let in stay; nobody new comes with it.")
        case _:
            raise web.HTTPBadRequest
    return redirect("/devices/add#keys")


def _number(text: str | None) -> int:
    """A number that was typed; 0, which is none of those allowed, for anything else."""
    plain = (text or "").strip()
    return int(plain) if plain.isascii() and plain.isdecimal() and len(plain) < 7 else 0


# Letting in


async def change_window(request: web.Request) -> web.StreamResponse:
    """Let everybody in who comes, for a while; or no longer."""
    form, enrolment = await read_form(request), _endpoints(request).enrolment
    if form.get("do") == "close":
        await enrolment.close_window(actor(request))
        flash(request, "From now on devices wait again until you let them in.")
        return redirect("/devices/add#waiting")
    until = _until(request, form.get("for", ""))
    if until is None:
        return await _index(request, {"for": "Choose how long."})
    await enrolment.open_window(actor(request), until)
    flash(request, "Every device that comes with a key is let in at once, until this ends.")
    return redirect("/devices/add#waiting")


def _until(request: web.Request, chosen: str) -> datetime | None:
    if chosen == "day":
        return _end_of_day(request)
    return now() + timedelta(minutes=int(chosen)) if chosen in WINDOWS else None


def _end_of_day(request: web.Request) -> datetime | None:
    """When school is over today; ``None`` outside school hours."""
    timetable, moment = context_of(request).appliance.timetable, now()
    return timetable.next_change(moment) if timetable.in_school(moment) else None


async def change_list(request: web.Request) -> web.StreamResponse:
    """Name devices that are let in when they come, or empty the list."""
    form, enrolment = await read_form(request), _endpoints(request).enrolment
    if form.get("do") == "empty":
        gone = await enrolment.forget_expected(actor(request))
        flash(request, f"{plural(gone, 'line was', 'lines were')} taken off the list.")
        return redirect("/devices/add#list")
    try:
        added, let_in = await enrolment.expect(actor(request), form.get("listed", ""))
    except Refused as refused:
        return await _index(request, {"listed": str(refused)}, listed=form.get("listed", ""))
    flash(
        request,
        f"{plural(added, 'line is', 'lines are')} new on the list. "
        f"{plural(let_in, 'device', 'devices')} that waited {'was' if let_in == 1 else 'were'} let in.",
    )
    return redirect("/devices/add#list")


async def decide(request: web.Request) -> web.StreamResponse:
    """Let in or turn away those that were ticked, or let everybody in that waits."""
    fields, enrolment, who = await read_fields(request), _endpoints(request).enrolment, actor(request)
    form = dict(fields)
    chosen = ticked(fields, "browser")
    if form.get("do") == "all":
        all_of_them = [row["id"] for row in await enrolment.waiting(who) if not row["claimed"]]
        number = await enrolment.approve(who, all_of_them, "all at once", _names(form))
        flash(request, _let_in_words(number, len(all_of_them)))
        return redirect("/devices/add#waiting")
    if not chosen:
        return await _index(request, {"browser": "Tick the devices first."})
    match form.get("do"):
        case "in":
            how = "one by one" if len(chosen) == 1 else "all at once"
            number = await enrolment.approve(who, chosen, how, _names(form))  # type: ignore[arg-type]
            flash(request, _let_in_words(number, len(chosen)))
        case "out":
            number = await enrolment.refuse(who, chosen)
            flash(request, f"{plural(number, 'device was', 'devices were')} turned away.")
        case _:
            raise web.HTTPBadRequest
    return redirect("/devices/add#waiting")


def _let_in_words(number: int, wanted: int) -> str:
    words = f"{plural(number, 'device was', 'devices were')} let in."
    if number == wanted:
        return words
    left = plural(wanted - number, "was", "were")
    return f"{words} {left} not, because the key is used up, or because it was done already. One by one it still goes."


def _names(form: Mapping[str, str]) -> dict[str, str]:
    return {name.removeprefix("name-"): text for name, text in form.items() if name.startswith("name-")}


async def change_browser(request: web.Request) -> web.StreamResponse:
    """Take a browser of a device out, or let it in again."""
    found = await directory_of(request).devices.device(actor(request), request.match_info["id"])
    if found is None:
        raise web.HTTPNotFound
    form, enrolment = await read_form(request), _endpoints(request).enrolment
    here = {row["id"] for row in await enrolment.of_device(actor(request), found.row["id"])}
    browser = form.get("browser", "")
    if browser not in here:
        raise Refused("This browser is not known any more.", "Load the page again.")
    match form.get("do"):
        case "out":
            await enrolment.revoke(actor(request), [browser])
            flash(request, "The browser was taken out. It is no longer connected.")
        case "in":
            await enrolment.approve(actor(request), [browser], "one by one")
            flash(request, "The browser was let in again.")
        case _:
            raise web.HTTPBadRequest
    return redirect(f"/devices/{found.row['id']}#browsers")


# Files


async def authority(request: web.Request) -> web.StreamResponse:
    """The authority's certificate, in the form that a system wants."""
    context = context_of(request)
    match request.match_info["form"]:
        case "pem":
            return _answer(f"{policy_files.FILE}-authority.pem", context.authority.certificate_pem, AUTHORITY_TYPE)
        case "der":
            return _answer(f"{policy_files.FILE}-authority.cer", context.authority.certificate_der, AUTHORITY_TYPE)
        case "profile":
            file = policy_files.authority_profile(await _school(request, ""))
            return _answer(file.name, file.content, file.content_type)
    raise web.HTTPNotFound


async def download(request: web.Request) -> web.StreamResponse:
    """A policy file. The address holds the id of an enrolment key, never the key."""
    make = FILES.get(request.match_info["file"])
    if make is None:
        raise web.HTTPNotFound
    token = await _token_of(request)
    if token is None:
        raise Refused("Choose an enrolment key first.", "Open Add devices and make one.")
    file = make(await _school(request, token.row["token"], strict=request.query.get("strict") == "yes"))
    return _answer(file.name, file.content, file.content_type)


def _answer(name: str, content: bytes, content_type: str) -> web.Response:
    disposition = f'attachment; filename="{name}"'
    return web.Response(body=content, content_type=content_type, headers={"Content-Disposition": disposition})


async def _token_of(request: web.Request) -> ShownToken | None:
    """The key that was chosen, else the newest that works."""
    working = [token for token in await _tokens(request) if not token.over]
    chosen = request.query.get("key", "")
    return next((token for token in working if token.row["id"] == chosen), working[0] if working else None)


async def _school(request: web.Request, token: str, *, strict: bool = False) -> School:
    context = context_of(request)
    settings = context.appliance.config.settings
    return School(
        name=settings.school.name,
        extension=_endpoints(request).extension.id,
        server=base_url(settings),
        token=token,
        authority=context.authority.certificate_der,
        strict=strict,
        domains=tuple(await _endpoints(request).enrolment.account_domains(actor(request))),
    )


# A page for each way in which schools manage browsers


async def system(request: web.Request) -> web.StreamResponse:
    """What to do on one system, with the school's values filled in, and how to take it all away again."""
    name = request.match_info["system"]
    if name not in SYSTEMS:
        raise web.HTTPNotFound
    token = await _token_of(request)
    strict = request.query.get("strict") == "yes"
    school = await _school(request, token.row["token"] if token is not None else "", strict=strict)
    chosen = {"key": token.row["id"] if token is not None else "", **({"strict": "yes"} if strict else {})}
    return render(
        request,
        "adding_system.html",
        system=name,
        systems=SYSTEMS,
        tokens=[one for one in await _tokens(request) if not one.over],
        token=token,
        strict=strict,
        school_values=school,
        files={key: make(school) for key, make in FILES.items()},
        query=urlencode(chosen),
        explained=policy_files.explained(school),
        folders=LINUX_FOLDERS,
        edge=EDGE,
        fingerprint_of=context_of(request).authority.fingerprint,
    )
