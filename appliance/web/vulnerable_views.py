"""The pages of the vulnerable list: who is on it, why, until when, and who keeps it. For its keepers alone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from aiohttp import web

from appliance.db import Row
from appliance.errors import Refused
from appliance.hookspecs import Page, Permission
from appliance.people.vulnerable import Dates, VulnerableList, due
from appliance.web.directory_pages import in_form
from appliance.web.monitoring_words import day_words
from appliance.web.pages import actor, context_of, flash, keys, read_form, redirect, render

ALIKE: Mapping[str, str] = {"reason": "Why", "note": "Note", "end": "Taken off the list"}
"""Kinds of notes in words."""
FURTHEST = timedelta(days=3660)


def pages() -> tuple[Page, ...]:
    """The routes."""
    keep = Permission.KEEP_VULNERABLE
    return (
        Page("staff", "GET", "/vulnerable", index, keep),
        Page("staff", "GET", "/vulnerable/add", find, keep),
        Page("staff", "POST", "/vulnerable/add", found, keep),
        Page("staff", "GET", "/vulnerable/add/{id}", new, keep),
        Page("staff", "POST", "/vulnerable/add/{id}", add, keep),
        Page("staff", "GET", "/vulnerable/{id}", entry, keep),
        Page("staff", "POST", "/vulnerable/{id}/note", note, keep),
        Page("staff", "POST", "/vulnerable/{id}/dates", change_dates, keep),
        Page("staff", "POST", "/vulnerable/{id}/end", end, keep),
    )


def _list(request: web.Request) -> VulnerableList:
    return context_of(request).appliance.vulnerable


def _today(request: web.Request) -> date:
    return context_of(request).appliance.looks.today()


async def _entry_of(request: web.Request) -> Row:
    row = await _list(request).entry(actor(request), request.match_info["id"])
    if row is None:
        raise web.HTTPNotFound
    return row


# The list


async def index(request: web.Request) -> web.StreamResponse:
    """Who is on the list, what has come, who was on it, and who keeps it."""
    vulnerable, who, today = _list(request), actor(request), _today(request)
    entries = [{**dict(row), **_days(request, row), "due": due(row, today)} for row in await vulnerable.entries(who)]
    return render(
        request,
        "vulnerable.html",
        entries=sorted(entries, key=lambda entry: not entry["due"]),
        past=await vulnerable.past(who),
        keepers=await vulnerable.keepers(),
    )


def _days(request: web.Request, row: Row) -> Mapping[str, str]:
    """The dates of an entry in words; empty where there is none."""
    zone = context_of(request).appliance.monitoring.zone
    days = {"review": row["review_on"], "until": row["until_on"]}
    return {key: day_words(date.fromisoformat(day), zone) if day else "" for key, day in days.items()}


# Adding


async def find(request: web.Request) -> web.StreamResponse:
    """The search for the pupil."""
    return render(request, "vulnerable_find.html", words="", people=[])


async def found(request: web.Request) -> web.StreamResponse:
    """What the search found. A form that is sent, so that no name gets into an address."""
    words = (await read_form(request)).get("words", "").strip()
    people = await _list(request).find(actor(request), words)
    return render(request, "vulnerable_find.html", words=words, people=people)


async def new(request: web.Request) -> web.StreamResponse:
    """The form for somebody who is not on the list."""
    return await _new(request, {}, {})


async def _new(request: web.Request, typed: Mapping[str, str], errors: Mapping[str, str]) -> web.Response:
    directory, who = context_of(request).appliance.directory, actor(request)
    person = await directory.person(who, request.match_info["id"])
    if person is None:
        raise web.HTTPNotFound
    return render(
        request,
        "vulnerable_new.html",
        422 if errors else 200,
        person=person.row,
        typed=typed,
        errors=errors,
        today=_today(request).isoformat(),
        keepers=await _list(request).keepers(),
    )


async def add(request: web.Request) -> web.StreamResponse:
    """Put somebody on the list."""
    form = await read_form(request)
    errors, dates = _dates(form, _today(request))
    if not form.get("reason", "").strip():
        errors["reason"] = "Say why, so that the next person understands."
    if not errors:
        try:
            entry_id = await _list(request).add(actor(request), request.match_info["id"], form["reason"], dates)
        except Refused as refused:
            errors = in_form(refused)
        else:
            flash(request, "This pupil is on the list now.")
            return redirect(f"/vulnerable/{entry_id}")
    return await _new(request, form, errors)


def _dates(form: Mapping[str, str], today: date) -> tuple[dict[str, str], Dates]:
    """What is wrong with the dates, by field, and the dates."""
    errors: dict[str, str] = {}
    days: dict[str, date | None] = {}
    for key in ("review_on", "until_on"):
        text = form.get(key, "").strip()
        try:
            days[key] = date.fromisoformat(text) if text else None
        except ValueError:
            errors[key] = "Give it as year, month and day, such as 2026-11-27, or leave it empty."
            continue
        if (day := days[key]) is not None and day > today + FURTHEST:
            errors[key] = "Choose a day within ten years, or leave it empty."
    dates = Dates(days.get("review_on"), days.get("until_on"))
    return dates.faults(today) | errors, dates


# One entry


async def entry(request: web.Request) -> web.StreamResponse:
    """Why somebody is on the list, and since when."""
    return await _entry(request, await _entry_of(request), {}, {})


async def _entry(request: web.Request, row: Row, typed: Mapping[str, str], errors: Mapping[str, str]) -> web.Response:
    vulnerable, who, today = _list(request), actor(request), _today(request)
    shut = ""
    try:
        notes = await vulnerable.notes(who, keys(request), row["id"])
    except Refused as refused:
        notes, shut = [], str(refused)
    return render(
        request,
        "vulnerable_entry.html",
        422 if errors else 200,
        entry={**dict(row), **_days(request, row)},
        due=due(row, today) if row["ended_at"] is None else "",
        notes=notes,
        titles=ALIKE,
        shut=shut,
        typed={"review_on": row["review_on"] or "", "until_on": row["until_on"] or "", **typed},
        errors=errors,
        today=today.isoformat(),
    )


async def note(request: web.Request) -> web.StreamResponse:
    """Write more about why."""
    row, form = await _entry_of(request), await read_form(request)
    try:
        await _list(request).add_note(actor(request), row["id"], form.get("note", ""))
    except Refused as refused:
        return await _entry(request, row, form, {"note": str(refused)})
    flash(request, "The note was kept.")
    return redirect(f"/vulnerable/{row['id']}")


async def change_dates(request: web.Request) -> web.StreamResponse:
    """Set when to look again, and the last day."""
    row, form = await _entry_of(request), await read_form(request)
    errors, dates = _dates(form, _today(request))
    if not errors:
        try:
            await _list(request).change_dates(actor(request), row["id"], dates)
        except Refused as refused:
            errors = in_form(refused)
        else:
            flash(request, "The dates were kept.")
            return redirect(f"/vulnerable/{row['id']}")
    return await _entry(request, row, form, errors)


async def end(request: web.Request) -> web.StreamResponse:
    """Take somebody off the list."""
    row, form = await _entry_of(request), await read_form(request)
    try:
        await _list(request).end(actor(request), row["id"], form.get("end", ""))
    except Refused as refused:
        return await _entry(request, row, form, {"end": str(refused)})
    flash(request, "This pupil is off the list. What was written stays for those who keep it.")
    return redirect("/vulnerable")
