"""The page about monitoring: who is monitored, under which policy, who was told, who answers for it, and why so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from aiohttp import web

from appliance.errors import Refused
from appliance.hookspecs import Page, Permission
from appliance.monitoring.papers import APPROACHES, Audience, Choice
from appliance.monitoring.switching import Entry, Monitoring
from appliance.people.names import GROUP_KINDS, PERSON_KINDS
from appliance.web import monitoring_switch_views, monitoring_trial_views
from appliance.web.monitoring_words import AUDIENCES, DATE_HINT, day_words, missing_words, parse_day, people_words
from appliance.web.pages import actor, context_of, flash, read_fields, read_form, redirect, render


def pages() -> tuple[Page, ...]:
    """The pages about monitoring."""
    see, change = Permission.SEE_MONITORING, Permission.SWITCH_MONITORING
    return (
        Page("staff", "GET", "/monitoring", index, see),
        Page("staff", "GET", "/monitoring/history", history, see),
        Page("staff", "GET", "/monitoring/told", told, see),
        Page("staff", "POST", "/monitoring/told", write_told, change),
        Page("staff", "GET", "/monitoring/choice", choice, see),
        Page("staff", "POST", "/monitoring/choice", write_choice, change),
        *monitoring_switch_views.pages(),
        *monitoring_trial_views.pages(),
    )


# The page


@dataclass(frozen=True, slots=True)
class Shown:
    """A switch as the page shows it. ``end``: its last day in words, empty if it has none; ``kind``: what it is for."""

    entry: Entry
    kind: str
    policy_date: str
    end: str
    of_trial: bool


async def index(request: web.Request) -> web.StreamResponse:
    """Who is monitored, and everything around it."""
    monitoring, who = _monitoring(request), actor(request)
    await monitoring.refresh()
    trial, counts = monitoring.trial(), await monitoring.counts()
    trial_days = trial.days if trial else ()
    entries = [_shown(monitoring, entry) for entry in await monitoring.entries(who)]
    people = [shown for shown in entries if shown.entry.on and shown.kind in PERSON_KINDS.values()]
    return render(
        request,
        "monitoring.html",
        words=monitoring.words(),
        anything_on=await monitoring.anything_on(),
        counts=counts,
        people_words=people_words(counts.pupils, counts.staff, counts.guests),
        entries=[shown for shown in entries if shown.entry.on],
        switched_off=[shown for shown in entries if not shown.entry.on],
        hidden=counts.chosen_people - len(people),
        can_open=monitoring.can_open(),
        trial=trial,
        trial_end=day_words(monitoring.last_day(trial.ends_at), monitoring.zone) if trial else "",
        trial_next=next((_day(monitoring, day) for day in trial_days if day >= monitoring.today()), ""),
        trial_over=trial is not None and monitoring.last_day(trial.ends_at) < monitoring.today(),
        missing=missing_words(await monitoring.missing()),
        told=await _told_lines(monitoring),
        told_missing=[AUDIENCES[audience] for audience in await monitoring.told_missing()],
        holders=monitoring.role_holders(),
        reviewed=await monitoring.reviewers.all(who),
        person_kinds=PERSON_KINDS,
        choices=await monitoring.choices.all(),
        may_switch=who.may(Permission.SWITCH_MONITORING),
    )


def _monitoring(request: web.Request) -> Monitoring:
    return context_of(request).appliance.monitoring


def _day(monitoring: Monitoring, day: date) -> str:
    return day_words(day, monitoring.zone)


def _shown(monitoring: Monitoring, entry: Entry) -> Shown:
    trial = monitoring.trial()
    return Shown(
        entry,
        GROUP_KINDS.get(entry.subject.kind) or PERSON_KINDS.get(entry.subject.kind, "Device"),
        _day(monitoring, date.fromisoformat(entry.policy_date)) if entry.policy_date else "",
        _day(monitoring, monitoring.last_day(entry.until)) if entry.until else "",
        trial is not None and trial.assignment_id == entry.row_id,
    )


@dataclass(frozen=True, slots=True)
class ToldLine:
    """An audience, and when and how it was told last (empty: never)."""

    audience: str
    on: str
    how: str
    by: str


async def _told_lines(monitoring: Monitoring) -> list[ToldLine]:
    latest = await monitoring.told.latest()
    lines = []
    for audience, words in AUDIENCES.items():
        one = latest.get(audience)
        lines.append(ToldLine(words, _day(monitoring, one.told_on), one.how, one.told_by) if one else _never(words))
    return lines


def _never(words: str) -> ToldLine:
    return ToldLine(words, "", "", "")


async def history(request: web.Request) -> web.StreamResponse:
    """What was switched, undone and ended, newest first."""
    monitoring, who = _monitoring(request), actor(request)
    rows = await monitoring.history(who, 200)
    return render(request, "monitoring_history.html", rows=rows, people=who.may(Permission.SEE_PEOPLE))


# Telling people


@dataclass(frozen=True, slots=True)
class ToldForm:
    """What was typed about telling an audience, and what is wrong with it, by field."""

    audience: str = ""
    told_on: str = ""
    how: str = ""
    told_by: str = ""
    note: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


TOLD_FIELDS = ("audience", "told_on", "how", "told_by", "note")


async def told(request: web.Request) -> web.StreamResponse:
    """Everything that was written down about telling people, and the form for more."""
    return await _told_page(request, ToldForm(told_on=f"{_monitoring(request).today()}"))


async def _told_page(request: web.Request, form: ToldForm, status: int = 200) -> web.Response:
    monitoring = _monitoring(request)
    return render(
        request,
        "monitoring_told.html",
        status,
        form=form,
        errors=form.errors,
        audiences=[(audience.value, words) for audience, words in AUDIENCES.items()],
        rows=[(one, AUDIENCES[one.audience], _day(monitoring, one.told_on)) for one in await monitoring.told.all()],
        never=[AUDIENCES[audience] for audience in await monitoring.told_missing()],
        anything_on=await monitoring.anything_on(),
        may_write=actor(request).may(Permission.SWITCH_MONITORING),
    )


async def write_told(request: web.Request) -> web.StreamResponse:
    """Keep that an audience was told."""
    monitoring, typed = _monitoring(request), await read_form(request)
    audience, told_on, how, told_by, note = (typed.get(name, "").strip() for name in TOLD_FIELDS)
    form = ToldForm(audience, told_on, how, told_by, note)
    errors, day = _told_faults(form, monitoring.today())
    if day is not None and not errors:
        who = Audience(form.audience)
        try:
            await monitoring.told.add(actor(request), who, day, form.how, form.told_by, form.note, monitoring.today())
        except Refused as refused:
            errors = {"form": str(refused)}
        else:
            flash(request, f"Kept: {AUDIENCES[who].lower()} were told on {_day(monitoring, day)}.")
            return redirect("/monitoring/told")
    return await _told_page(request, replace(form, errors=errors), 422)


def _told_faults(form: ToldForm, today: date) -> tuple[dict[str, str], date | None]:
    errors, day = {}, None
    if form.audience not in set(Audience):
        errors["audience"] = "Choose who was told."
    try:
        day = parse_day(form.told_on)
    except ValueError:
        errors["told_on"] = DATE_HINT
    else:
        if day is None:
            errors["told_on"] = f"Say on which day. {DATE_HINT}"
        elif day > today:
            errors["told_on"] = "That day is still to come. Write it down once they have been told."
    if not form.how:
        errors["how"] = "Say how they were told."
    if not form.told_by:
        errors["told_by"] = "Say who told them."
    return errors, day


# The choice of monitoring

QUESTIONS: Mapping[str, tuple[str, str, str]] = {
    "ages": (
        "Pupils",
        "How old are your pupils, and what makes some of them more vulnerable?",
        "Ages, special needs, English as another language, what happens around the school. No pupil by name.",
    ),
    "own_devices": (
        "Own devices",
        "Who uses a device of their own, and what applies to it?",
        "Pupils, staff and guests: phones and laptops that the school does not manage are not monitored by this box.",
    ),
    "languages": (
        "Languages",
        "Which languages do your pupils use?",
        "Think of what they write to each other, not only of lessons.",
    ),
    "updates": (
        "Updates",
        "How often are the terms that are watched for, and the software on devices, brought up to date?",
        "And who does it.",
    ),
}
"""Parts of the choice: their names in short, the questions, and hints."""


async def choice(request: web.Request) -> web.StreamResponse:
    """The school's choice of monitoring, every version, and the form for a new one."""
    versions = await _monitoring(request).choices.all()
    last = versions[0].choice if versions else Choice("", "", "", "", (), "")
    return await _choice_page(request, last, {})


async def _choice_page(
    request: web.Request, typed: Choice, errors: Mapping[str, str], status: int = 200
) -> web.Response:
    return render(
        request,
        "monitoring_choice.html",
        status,
        typed=typed,
        errors=errors,
        questions=QUESTIONS,
        approaches=APPROACHES,
        versions=await _monitoring(request).choices.all(),
        may_write=actor(request).may(Permission.SWITCH_MONITORING),
    )


async def write_choice(request: web.Request) -> web.StreamResponse:
    """Keep a new version."""
    fields = await read_fields(request)
    texts = dict(fields)
    approaches = tuple(value for name, value in fields if name == "approaches" and value in APPROACHES)
    ages, own_devices, languages, updates = (texts.get(name, "").strip() for name in QUESTIONS)
    typed = Choice(ages, own_devices, languages, updates, approaches, texts.get("why", "").strip())
    errors = {name: "Answer this question." for name in QUESTIONS if not getattr(typed, name)}
    if not approaches:
        errors["approaches"] = "Choose at least one way."
    if not typed.why:
        errors["why"] = "Say why you chose this."
    if not errors:
        try:
            await _monitoring(request).choices.add(actor(request), typed)
        except Refused as refused:
            errors = {"form": str(refused)}
        else:
            flash(request, "The choice of monitoring was written down.")
            return redirect("/monitoring/choice")
    return await _choice_page(request, typed, errors, 422)
