"""The pages about captures: the list, one capture with what to do first, its picture, statuses, and the allow list.

That something was captured is reason enough to open it, so no reason is asked here; who opened what is on record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aiohttp import web

from appliance.captures.judging import MAY_ALLOW, AllowedFor, allowable
from appliance.captures.keeping import NEVER, TOPIC, Captures
from appliance.captures.reading import ANY, OPEN, ORDERS, Filter, Note, Opened, pieces, who_words
from appliance.captures.statuses import CHOICES, Status
from appliance.categories import Categories, Category
from appliance.db import Row
from appliance.errors import Refused
from appliance.hookspecs import Page, Permission
from appliance.observations import Finding, Severity, Surface
from appliance.people.devices import Device
from appliance.vaults import CAPTURES
from appliance.web.directory_pages import number_of, one_of, paging
from appliance.web.pages import actor, context_of, flash, keys, read_form, redirect, render

STATUS_CHOICES: Mapping[str, str] = {
    OPEN: "Not finished",
    ANY: "Any",
    **{status.value: status.label for status in Status},
}
NO_PICTURE: Mapping[str, str] = {
    "hidden": "There is no picture: another page was in front at that moment.",
    "exempt": "There is no picture: a place where pupils look for help was in sight.",
    "secret": "There is no picture: a password could have been read in it.",
    "failed": "There is no picture: the device could not take one, or it could not be kept.",
    "none": "There is no picture: the device sent none.",
    "never": "No picture was kept, as it is set for what was found here.",
    "taken": "The picture is not there any more. Tell IT: a file is missing from the box.",
}
CLAIMS: Mapping[str, str] = {
    "browser profile": "the browser says that this account was signed in",
    "assigned to the device": "the device is theirs",
    "nobody known": "nobody was signed in whom we know",
}
"""How we know who it was."""
HERE, EVERYWHERE = "here", "everywhere"
UNLAWFUL = "No picture was kept. Of this category none ever is, because keeping it may be an offence."


def pages() -> tuple[Page, ...]:
    """The routes."""
    see = Permission.SEE_CAPTURES
    return (
        Page("staff", "GET", "/captures", index, see),
        Page("staff", "POST", "/captures", search, see),
        Page("staff", "GET", "/captures/allowed", allowed, see),
        Page("staff", "POST", "/captures/allowed", take_off, MAY_ALLOW),
        Page("staff", "GET", "/captures/{id}", capture, see),
        Page("staff", "GET", "/captures/{id}/picture", picture, see),
        Page("staff", "POST", "/captures/{id}/status", set_status, see),
        Page("staff", "POST", "/captures/{id}/note", add_note, see),
        Page("staff", "POST", "/captures/{id}/allow", allow, MAY_ALLOW),
    )


def _captures(request: web.Request) -> Captures:
    return context_of(request).appliance.captures


def _categories(request: web.Request) -> Categories:
    return context_of(request).appliance.categories


async def _row_of(request: web.Request) -> Row:
    row = await _captures(request).reading.capture(actor(request), request.match_info["id"])
    if row is None:
        raise web.HTTPNotFound
    return row


# The list


@dataclass(frozen=True, slots=True)
class Line:
    """A capture in a list."""

    row: Row
    who: str
    category: str
    severity: Severity
    surface: Surface
    status: Status


async def index(request: web.Request) -> web.StreamResponse:
    """Captures by what stands in the address."""
    return await _index(request, request.query, "")


async def search(request: web.Request) -> web.StreamResponse:
    """Captures of a person: a form that is sent, so that no name gets into an address."""
    form = await read_form(request)
    return await _index(request, form, form.get("words", "").strip())


async def _index(request: web.Request, fields: Mapping[str, str], words: str) -> web.Response:
    reading, who, categories = _captures(request).reading, actor(request), _categories(request)
    wanted = Filter(
        words,
        one_of(fields.get("status", ""), STATUS_CHOICES) or OPEN,
        one_of(fields.get("severity", ""), list(Severity)),
        fields.get("category", "")[:100],
        fields.get("device", "")[:100],
        one_of(fields.get("surface", ""), list(Surface)),
        tests=fields.get("tests") == "yes",
    )
    order = one_of(fields.get("order", ""), ORDERS) or "severe"
    page = await reading.find(who, wanted, order, number_of(fields.get("page", "")))
    return render(
        request,
        "captures.html",
        wanted=wanted,
        order=order,
        orders=[(key, title) for key, (title, _) in ORDERS.items()],
        paging=paging(page, "/captures", _shown(wanted, order), sent=bool(words)),
        lines=[_line(row, categories) for row in page.rows],
        live=_live_only(wanted) if page.number == 1 and not words else None,
        topic=TOPIC,
        statuses=list(STATUS_CHOICES.items()),
        severities=[("", "Any"), *((one.value, one.label) for one in Severity)],
        categories=_category_choices(categories, wanted.category),
        devices=[("", "Any"), *((row["id"], row["name"]) for row in await reading.devices(who))],
        surfaces=[("", "Any"), *((one.value, one.label.capitalize()) for one in Surface)],
        is_filtered=wanted != Filter(),
        nothing=_why_nothing(request),
    )


def _shown(wanted: Filter, order: str) -> Mapping[str, str]:
    """The filter as fields of a form; those that say nothing are empty."""
    return {
        "words": wanted.words,
        "status": "" if wanted.status == OPEN else wanted.status,
        "severity": wanted.severity,
        "category": wanted.category,
        "device": wanted.device,
        "surface": wanted.surface,
        "tests": "yes" if wanted.tests else "",
        "order": "" if order == "severe" else order,
    }


def _live_only(wanted: Filter) -> Mapping[str, str] | None:
    """What a new row must be like to be added to this list; ``None`` if no new row can fit."""
    if wanted.status not in (OPEN, ANY, Status.UNCLASSIFIED):
        return None
    fields = {
        "severity": wanted.severity,
        "category_key": wanted.category,
        "device_id": wanted.device,
        "surface_key": wanted.surface,
    }
    return {"test": "yes" if wanted.tests else "no", **{key: value for key, value in fields.items() if value}}


def _category_choices(categories: Categories, chosen: str) -> list[tuple[str, str]]:
    """Those of the file and the core's own, and the one that was chosen by a link if it is none of them."""
    known = {one.key: one.title for one in categories.all()}
    if chosen:
        known.setdefault(chosen, categories.title(chosen))
    return [("", "Any"), *known.items()]


def _line(row: Row, categories: Categories) -> Line:
    return Line(
        row,
        who_words(row),
        categories.title(row["category"]),
        Severity(row["severity"]),
        Surface(row["surface"]),
        Status(row["status"]),
    )


def _why_nothing(request: web.Request) -> str:
    """Why nothing can be captured, for a list that is empty; empty if something can be."""
    monitoring = context_of(request).appliance.monitoring
    if not monitoring.can_open():
        return "Nobody can open captures yet, so nothing is captured. The safeguarding lead has to join first."
    if monitoring.words() == "Monitoring is off":
        return "Nobody is monitored, so nothing is captured but tests."
    return ""


# One capture


async def capture(request: web.Request) -> web.StreamResponse:
    """Who, what, where and when; what to do first; and what people have made of it."""
    return await _capture(request, await _row_of(request), {}, {})


async def _capture(request: web.Request, row: Row, typed: Mapping[str, str], errors: Mapping[str, str]) -> web.Response:
    appliance, who, reading = context_of(request).appliance, actor(request), _captures(request).reading
    opened: Opened | None = None
    notes: list[Note] = []
    shut = ""
    try:
        opened = await reading.opened(who, keys(request), row["id"])
        notes = await reading.notes(who, keys(request), row["id"])
    except Refused as refused:
        shut = str(refused)
    person = await appliance.directory.person(who, row["person_id"]) if row["person_id"] else None
    device = await appliance.directory.devices.device(who, row["device_id"]) if row["device_id"] else None
    category = _categories(request).get(row["category"])
    newer, older = await reading.neighbours(who, row)
    return render(
        request,
        "capture.html",
        422 if errors else 200,
        line=_line(row, _categories(request)),
        claim=CLAIMS.get(row["claim"], row["claim"]),
        is_anothers=_is_anothers(row, device),
        category=category,
        person=person,
        device=device,
        alert=await appliance.alerts.of_capture(who, row["id"]) if who.may(Permission.SEE_ALERTS) else None,
        opened=opened,
        parts=pieces(opened.text, opened.findings) if opened else [],
        shut=shut,
        openers=[] if opened else await _openers(request),
        notes=notes,
        openings=await reading.openings(who, row["id"]),
        picture=_picture_state(request, row, category, opened),
        no_picture=_why_no_picture(_categories(request), row, opened),
        choices=_choices(request, row, opened),
        typed=typed,
        errors=errors,
        newer=newer,
        older=older,
    )


def _is_anothers(row: Row, device: Device | None) -> bool:
    """Whether the device is somebody else's than the account's: a shared sign-in, or a borrowed device."""
    return (
        row["claim"] == "browser profile"
        and device is not None
        and bool(device.row["given"])
        and device.row["person_id"] != row["person_id"]
    )


async def _openers(request: web.Request) -> list[str]:
    """Who can let somebody in to what is sealed."""
    members = await context_of(request).appliance.vaults.members(CAPTURES)
    return [row["name"] for row in members if row["can_open"]]


def _picture_state(request: web.Request, row: Row, category: Category, opened: Opened | None) -> str:
    """``none``; ``behind``: shown after a press; ``shown``."""
    if row["picture"] != "taken" or opened is None:
        return "none"
    hidden = any(_categories(request).get(one.category).hide_picture for one in opened.findings)
    return "behind" if (hidden or category.hide_picture) and request.query.get("picture") != "show" else "shown"


def _why_no_picture(categories: Categories, row: Row, opened: Opened | None) -> str:
    found = {one.category for one in opened.findings} if opened is not None else {row["category"]}
    if row["picture"] == NEVER and not all(categories.get(key).keeps_images for key in found):
        return UNLAWFUL
    return NO_PICTURE.get(row["picture"], "")


def _choices(request: web.Request, row: Row, opened: Opened | None) -> list[tuple[str, str]]:
    """The statuses that can be set; the allow list only where it may ever silence this, by whoever may decide so."""
    may_allow = opened is not None and actor(request).may(MAY_ALLOW) and bool(allowable(row, opened))
    return [(one.value, one.label) for one in CHOICES if one is not Status.FALSE_POSITIVE_ALLOW or may_allow]


async def picture(request: web.Request) -> web.StreamResponse:
    """The picture itself, for those whose keys open it. Nothing keeps a copy."""
    row = await _row_of(request)
    found = await _captures(request).reading.picture(actor(request), keys(request), row["id"])
    if found is None:
        raise web.HTTPNotFound
    return web.Response(body=found, content_type="image/jpeg", headers={"Content-Disposition": "inline"})


# Judging


async def set_status(request: web.Request) -> web.StreamResponse:
    """Give a capture a status; before anything goes on the allow list, say what will not be seen any more."""
    row, form = await _row_of(request), await read_form(request)
    chosen = one_of(form.get("status", ""), list(Status))
    if not chosen:
        return await _capture(request, row, form, {"status": "Choose a status."})
    if chosen == Status.FALSE_POSITIVE_ALLOW:
        return await _ask_allow(request, row, form, {})
    try:
        await _captures(request).judging.set_status(
            actor(request), keys(request), row["id"], Status(chosen), form.get("words", "")
        )
    except Refused as refused:
        return await _capture(request, row, form, {"status": str(refused)})
    flash(request, f"The status is “{Status(chosen).label}” now.")
    return redirect(f"/captures/{row['id']}")


async def add_note(request: web.Request) -> web.StreamResponse:
    """Write something about a capture."""
    row, form = await _row_of(request), await read_form(request)
    try:
        await _captures(request).judging.add_note(actor(request), keys(request), row["id"], form.get("note", ""))
    except Refused as refused:
        return await _capture(request, row, form, {"note": str(refused)})
    flash(request, "The note was kept.")
    return redirect(f"/captures/{row['id']}#notes")


# The allow list


async def _ask_allow(
    request: web.Request, row: Row, form: Mapping[str, str], errors: Mapping[str, str]
) -> web.Response:
    """Exactly what will not be captured any more. The note waits in the form: it must not stand in an address."""
    opened = await _captures(request).reading.opened(actor(request), keys(request), row["id"])
    findings: Sequence[Finding] = allowable(row, opened) if opened is not None else ()
    if not findings:
        return await _capture(request, row, form, {"status": "This can never be put on the allow list."})
    return render(
        request,
        "capture_allow.html",
        422 if errors else 200,
        line=_line(row, _categories(request)),
        findings=findings,
        group_choices=[("", "Everybody"), *await _groups_of(request, row)],
        place_choices=_places(row),
        typed=form,
        errors=errors,
    )


def _places(row: Row) -> list[tuple[str, str]]:
    here = [(HERE, f"Only at {row['host']}")] if row["host"] else []
    return [*here, (EVERYWHERE, "Everywhere")]


async def _groups_of(request: web.Request, row: Row) -> list[tuple[str, str]]:
    """Groups to choose from, those first in which the pupil or the device is."""
    directory, who = context_of(request).appliance.directory, actor(request)
    near = {*directory.groups_of_person(row["person_id"] or ""), *directory.groups_of_device(row["device_id"] or "")}
    groups = sorted(await directory.groups.all(who), key=lambda group: group["id"] not in near)
    return [(group["id"], f"Only {group['name']}") for group in groups]


async def allow(request: web.Request) -> web.StreamResponse:
    """Put the terms of a capture on the allow list."""
    row, form = await _row_of(request), await read_form(request)
    whom = AllowedFor(form.get("group", ""), everywhere=form.get("where") == EVERYWHERE)
    try:
        await _captures(request).judging.allow(actor(request), keys(request), row["id"], form.get("words", ""), whom)
    except Refused as refused:
        return await _ask_allow(request, row, form, {"form": str(refused)})
    flash(request, "It is resolved and on the allow list. You can take it off again at any time.")
    return redirect("/captures/allowed")


async def allowed(request: web.Request) -> web.StreamResponse:
    """What raises no further capture."""
    who = actor(request)
    current, gone = await _captures(request).judging.allowed(who, keys(request))
    groups = await context_of(request).appliance.directory.groups.all(who)
    return render(
        request,
        "captures_allowed.html",
        current=current,
        gone=gone,
        surfaces={one.value: one.label for one in Surface},
        groups={group["id"]: group["name"] for group in groups},
        may_change=who.may(MAY_ALLOW),
    )


async def take_off(request: web.Request) -> web.StreamResponse:
    """Hear of it again."""
    form = await read_form(request)
    if await _captures(request).judging.take_off(actor(request), form.get("id", "")):
        flash(request, "It is off the list. From now on it is captured again.")
    return redirect("/captures/allowed")
