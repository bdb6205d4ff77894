"""Switching monitoring on and off: find whom, say why, read what it will do, and only then do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from aiohttp import web

from appliance.assignments import Target, TargetKind
from appliance.errors import Refused
from appliance.hookspecs import Page, Permission
from appliance.monitoring.subjects import Subject
from appliance.monitoring.switching import KIND, OFF, ON, TARGETS, Monitoring, Switch
from appliance.people.names import GROUP_KINDS, PERSON_KINDS
from appliance.web.monitoring_words import (
    DATE_HINT,
    change_words,
    day_words,
    end_of,
    end_words,
    missing_words,
    parse_day,
    told_words,
    undo_words,
)
from appliance.web.pages import actor, context_of, flash, read_form, redirect, render

KIND_WORDS = {TargetKind.GROUP: "group", TargetKind.DEVICE: "device", TargetKind.PERSON: "person"}


def pages() -> tuple[Page, ...]:
    """The pages of this module."""
    see, change = Permission.SEE_MONITORING, Permission.SWITCH_MONITORING
    return (
        Page("staff", "GET", "/monitoring/find", find, change),
        Page("staff", "POST", "/monitoring/find", found, change),
        Page("staff", "GET", "/monitoring/of/{kind}/{id}", about, see),
        Page("staff", "GET", "/monitoring/of/{kind}/{id}/{to:on|off}", ask, change),
        Page("staff", "POST", "/monitoring/of/{kind}/{id}/{to:on|off}", switch, change),
        Page("staff", "POST", "/monitoring/of/person/{id}/reviewer", name_reviewer, change),
        Page("staff", "GET", "/monitoring/undo/{id}", ask_undo, change),
        Page("staff", "POST", "/monitoring/undo/{id}", undo, change),
    )


# Finding


async def find(request: web.Request) -> web.StreamResponse:
    """Groups to choose from, and a search for devices and people."""
    return await _find_page(request, TargetKind.GROUP, "")


async def found(request: web.Request) -> web.StreamResponse:
    """What the search found. A form that is sent, so that no name of a pupil gets into an address."""
    form = await read_form(request)
    return await _find_page(request, _kind(form.get("kind", "")), form.get("typed", "").strip())


async def _find_page(request: web.Request, kind: TargetKind, typed: str) -> web.Response:
    subjects = await _monitoring(request).subjects.find(actor(request), kind, typed)
    return render(
        request,
        "monitoring_find.html",
        kind=kind.value,
        typed=typed,
        subjects=[(one, _sort_words(one)) for one in subjects],
        kinds={
            TargetKind.GROUP.value: "A group",
            TargetKind.DEVICE.value: "A device",
            TargetKind.PERSON.value: "A person",
        },
    )


def _kind(text: str) -> TargetKind:
    try:
        kind = TargetKind(text)
    except ValueError:
        raise web.HTTPNotFound from None
    if kind not in TARGETS:
        raise web.HTTPNotFound
    return kind


def _sort_words(subject: Subject) -> str:
    return GROUP_KINDS.get(subject.kind) or PERSON_KINDS.get(subject.kind, "Device")


def _monitoring(request: web.Request) -> Monitoring:
    return context_of(request).appliance.monitoring


async def _subject(request: web.Request) -> Subject:
    """Whom the address names; 404 for what is not there and for whom the visitor may not see."""
    target = Target(_kind(request.match_info.get("kind", "person")), request.match_info["id"])
    try:
        return await _monitoring(request).subjects.get(actor(request), target)
    except Refused:
        raise web.HTTPNotFound from None


def _path(subject: Subject) -> str:
    return f"/monitoring/of/{subject.target.kind.value}/{subject.target.id}"


# One group, device or person


async def about(request: web.Request) -> web.StreamResponse:
    """Whether it is monitored, why, and what can be done."""
    return await _about(request, await _subject(request))


async def _about(request: web.Request, subject: Subject, status: int = 200, trouble: str = "") -> web.Response:
    monitoring, who = _monitoring(request), actor(request)
    person = subject.target.kind is TargetKind.PERSON
    assignments = context_of(request).appliance.assignments
    own = assignments.own(KIND, subject.target)
    state = monitoring.chosen(subject.target.id) if person else None
    reviewed = next((one for one in await monitoring.reviewers.all(who) if one.person.target == subject.target), None)
    return render(
        request,
        "monitoring_of.html",
        status,
        subject=subject,
        sort=_sort_words(subject),
        path=_path(subject),
        own=own,
        is_on=state.on if state else own is not None and own.value == ON,
        origin=_origin_words(state.target if state else None, subject, state.origin if state else ""),
        people=await monitoring.people_on(subject.target),
        devices=await monitoring.subjects.devices_of(subject.target),
        reviewed=reviewed,
        possible=monitoring.reviewers.possible(subject) if subject.is_adult else [],
        may_switch=who.may(Permission.SWITCH_MONITORING),
        errors={"reviewer": trouble} if trouble else {},
    )


def _origin_words(decided: Target | None, subject: Subject, origin: str) -> str:
    if decided is None:
        return "nothing is set for this person or their groups"
    where = "for this person alone" if decided == subject.target else f"for a {KIND_WORDS[decided.kind]} of this person"
    return f"{where}: {origin}"


async def name_reviewer(request: web.Request) -> web.StreamResponse:
    """Name who reviews a member of staff or a governor, or take that back."""
    subject, form = await _subject(request), await read_form(request)
    reviewers, who = _monitoring(request).reviewers, actor(request)
    try:
        match form.get("do"):
            case "name":
                await reviewers.name(who, subject.target.id, form.get("reviewer", ""))
                flash(request, f"The reviewer for {subject.name} is named.")
            case "take-back":
                await reviewers.take_back(who, subject.target.id)
                flash(request, f"No reviewer is named for {subject.name} any more, who is not monitored now.")
            case _:
                raise web.HTTPBadRequest
    except Refused as refused:
        return await _about(request, subject, 422, str(refused))
    return redirect(_path(subject))


# Switching


@dataclass(frozen=True, slots=True)
class SwitchForm:
    """What was typed into the form of a switch, and what is wrong with it, by field."""

    reason: str = ""
    last_day: str = ""
    policy: str = ""
    policy_date: str = ""
    told: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, typed: Mapping[str, str]) -> SwitchForm:
        """From the fields that were sent."""
        reason, last_day, policy, policy_date, told = (typed.get(name, "").strip() for name in SWITCH_FIELDS)
        return cls(reason, last_day, policy, policy_date, told)


SWITCH_FIELDS = ("reason", "last_day", "policy", "policy_date", "told")


async def first_form(request: web.Request, last_day: date | None = None) -> SwitchForm:
    """A form with what can be known: the policy of the last switch, and who was told."""
    monitoring = _monitoring(request)
    rows = await monitoring.history(actor(request), 200)
    row = next((row for row in rows if row["policy"]), None)
    return SwitchForm(
        last_day=f"{last_day}" if last_day else "",
        policy=row["policy"] if row else "",
        policy_date=row["policy_date"] if row else "",
        told=told_words(await monitoring.told.latest(), monitoring.zone),
    )


def look_through(form: SwitchForm, today: date, *, on: bool) -> dict[str, str]:
    """What is wrong with the fields, all at once."""
    errors = {}
    if not form.reason:
        errors["reason"] = "Say why, so that the next person understands."
    try:
        last_day = parse_day(form.last_day)
    except ValueError:
        errors["last_day"] = f"{DATE_HINT} Or leave it empty."
    else:
        if last_day is not None and not today <= last_day <= today + timedelta(days=3660):
            errors["last_day"] = "Choose a day from today on, within ten years, or leave it empty."
    return errors | (_policy_faults(form, today) if on else {})


def _policy_faults(form: SwitchForm, today: date) -> dict[str, str]:
    errors = {}
    if not form.policy:
        errors["policy"] = "Name the school’s policy that says so."
    try:
        policy_date = parse_day(form.policy_date)
    except ValueError:
        errors["policy_date"] = DATE_HINT
    else:
        if policy_date is None:
            errors["policy_date"] = f"Say which date the policy bears. {DATE_HINT}"
        elif policy_date > today:
            errors["policy_date"] = "That date is still to come. Switch on once the policy is in force."
    if not form.told:
        errors["told"] = "Say who was told, and how."
    return errors


def wanted(form: SwitchForm, target: Target, monitoring: Monitoring, *, on: bool) -> Switch:
    """The switch of a form in which nothing is wrong."""
    last_day = parse_day(form.last_day)
    return Switch(
        target,
        on,
        form.reason,
        end_of(last_day, monitoring.zone) if last_day else None,
        form.policy,
        parse_day(form.policy_date) if on else None,
        form.told,
    )


async def ask(request: web.Request) -> web.StreamResponse:
    """The form, or what stands in the way."""
    subject = await _subject(request)
    form = await first_form(request) if request.match_info["to"] == "on" else SwitchForm()
    return await _form_page(request, subject, form)


async def _form_page(request: web.Request, subject: Subject, form: SwitchForm) -> web.Response:
    monitoring, on = _monitoring(request), request.match_info["to"] == "on"
    without_reviewer = on and subject.is_adult and not monitoring.reviewers.has_one(subject.target.id)
    return render(
        request,
        "monitoring_switch.html",
        422 if form.errors else 200,
        subject=subject,
        path=_path(subject),
        on=on,
        form=form,
        errors=form.errors,
        missing=missing_words(await monitoring.missing()) if on else [],
        without_reviewer=without_reviewer,
        today=monitoring.today().isoformat(),
    )


async def switch(request: web.Request) -> web.StreamResponse:
    """Check the form, show what it will do, and do it when that was confirmed."""
    subject, monitoring = await _subject(request), _monitoring(request)
    on, typed = request.match_info["to"] == "on", await read_form(request)
    form = SwitchForm.of(typed)
    errors = look_through(form, monitoring.today(), on=on)
    if errors or typed.get("do") not in ("check", "switch"):
        return await _form_page(request, subject, replace(form, errors=errors))
    if typed["do"] == "check":
        return await _summary_page(request, subject, form, on=on)
    try:
        await monitoring.switch(actor(request), wanted(form, subject.target, monitoring, on=on))
    except Refused as refused:
        return await _form_page(request, subject, replace(form, errors={"form": str(refused)}))
    flash(request, f"Monitoring is switched {'on' if on else 'off'} for {subject.name}.")
    return redirect("/monitoring")


async def _summary_page(request: web.Request, subject: Subject, form: SwitchForm, *, on: bool) -> web.Response:
    monitoring = _monitoring(request)
    last_day = parse_day(form.last_day)
    reach = await monitoring.reach(subject.target, ON if on else OFF)
    policy_date = parse_day(form.policy_date) if on else None
    return render(
        request,
        "monitoring_confirm.html",
        title="Switch monitoring on?" if on else "Switch monitoring off?",
        sentences=change_words(subject, reach, on=on, end=end_words(last_day, monitoring.zone)),
        facts=_facts(form, day_words(policy_date, monitoring.zone) if policy_date else "", on=on),
        hidden=[(name, getattr(form, name)) for name in SWITCH_FIELDS],
        action=f"{_path(subject)}/{'on' if on else 'off'}",
        do="switch",
        button="Switch it on" if on else "Switch it off",
        undo="You can undo it on the page Monitoring. What was kept until then stays kept.",
    )


def _facts(form: SwitchForm, policy_date: str, *, on: bool) -> list[tuple[str, str]]:
    facts = [("Why", form.reason)]
    if on:
        facts += [("Under which policy", f"{form.policy}, of {policy_date}"), ("Who was told", form.told)]
    return facts


# Undoing


async def ask_undo(request: web.Request) -> web.StreamResponse:
    """What will apply if a switch is undone."""
    monitoring, row_id = _monitoring(request), request.match_info["id"]
    try:
        entry = await monitoring.entry(actor(request), row_id)
    except Refused:
        raise web.HTTPNotFound from None
    value = monitoring.value_without(entry)
    reach = await monitoring.reach(entry.subject.target, value)
    return render(
        request,
        "monitoring_confirm.html",
        title="Undo this switch?",
        sentences=undo_words(entry.subject, reach, was_on=entry.on, value=value),
        facts=[
            ("Switch", f"{'On' if entry.on else 'Off'} for {entry.subject.name}"),
            ("Set by", f"{entry.author}: {entry.reason}"),
        ],
        hidden=[],
        action=f"/monitoring/undo/{row_id}",
        do="undo",
        button="Undo it",
        undo="What was kept while it was on stays kept. You can switch again at any time.",
    )


async def undo(request: web.Request) -> web.StreamResponse:
    """Undo a switch."""
    await read_form(request)
    await _monitoring(request).undo(actor(request), request.match_info["id"])
    flash(request, "The switch was undone.")
    return redirect("/monitoring")
