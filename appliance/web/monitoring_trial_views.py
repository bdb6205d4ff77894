"""Trials of monitoring: begin one, write feedback down, read its report and sign it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import get_args

from aiohttp import web

from appliance.assignments import Target, TargetKind
from appliance.clock import now
from appliance.errors import Refused
from appliance.hookspecs import Page, Permission
from appliance.monitoring.subjects import Subject
from appliance.monitoring.switching import ON, Monitoring
from appliance.monitoring.trials import LONGEST, USUAL_LENGTH, Decision, Trial
from appliance.people.names import GROUP_KINDS
from appliance.web.monitoring_switch_views import SWITCH_FIELDS, SwitchForm, first_form, look_through, wanted
from appliance.web.monitoring_words import (
    AUDIENCES,
    DATE_HINT,
    and_words,
    change_words,
    day_words,
    end_words,
    parse_day,
)
from appliance.web.pages import actor, context_of, flash, read_form, redirect, render
from appliance.web.templating import local_time, plural

FEEDBACK_DAYS = 3
"""How many days for feedback the form has fields for."""


def pages() -> tuple[Page, ...]:
    """The pages of this module."""
    see, change = Permission.SEE_MONITORING, Permission.SWITCH_MONITORING
    return (
        Page("staff", "GET", "/monitoring/trial", index, see),
        Page("staff", "GET", "/monitoring/trial/new", ask, change),
        Page("staff", "POST", "/monitoring/trial/new", start, change),
        Page("staff", "GET", "/monitoring/trial/{id}", show, see),
        Page("staff", "POST", "/monitoring/trial/{id}/feedback", write_feedback, change),
        Page("staff", "GET", "/monitoring/trial/{id}/sign", ask_sign, change),
        Page("staff", "POST", "/monitoring/trial/{id}/sign", sign, change),
    )


async def index(request: web.Request) -> web.StreamResponse:
    """What a trial is, and every trial there was."""
    monitoring = _monitoring(request)
    return render(
        request,
        "monitoring_trials.html",
        trials=[(one, _last_day(monitoring, one)) for one in await monitoring.trials.all()],
        open_trial=monitoring.trial(),
        anything_on=await monitoring.anything_on(),
        may_switch=actor(request).may(Permission.SWITCH_MONITORING),
        longest=LONGEST.days // 7,
    )


def _monitoring(request: web.Request) -> Monitoring:
    return context_of(request).appliance.monitoring


def _last_day(monitoring: Monitoring, trial: Trial) -> str:
    return day_words(monitoring.last_day(trial.ends_at), monitoring.zone)


# Beginning


@dataclass(frozen=True, slots=True)
class TrialForm:
    """What was typed into the form of a trial: the group, the days for feedback, and the form of its switch."""

    group: str
    days: tuple[str, ...]
    switch: SwitchForm
    errors: Mapping[str, str] = field(default_factory=dict)


async def ask(request: web.Request) -> web.StreamResponse:
    """The form of a trial, with the usual length."""
    today = _monitoring(request).today()
    last_day = today + USUAL_LENGTH
    days = (f"{today + USUAL_LENGTH / 2}", f"{last_day}", "")
    return await _form_page(request, TrialForm("", days, await first_form(request, last_day)))


async def _form_page(request: web.Request, form: TrialForm) -> web.Response:
    monitoring = _monitoring(request)
    groups = await monitoring.subjects.find(actor(request), TargetKind.GROUP, "")
    return render(
        request,
        "monitoring_trial_new.html",
        422 if form.errors else 200,
        form=form.switch,
        group=form.group,
        days=form.days,
        groups=[(one.target.id, f"{GROUP_KINDS[one.kind]} {one.name}") for one in groups],
        errors=form.errors,
        today=monitoring.today().isoformat(),
        latest=(monitoring.today() + LONGEST).isoformat(),
        longest=LONGEST.days // 7,
        open_trial=monitoring.trial(),
        anything_on=await monitoring.anything_on(),
    )


async def start(request: web.Request) -> web.StreamResponse:
    """Check the form, show what it will do, and begin when that was confirmed."""
    monitoring, typed = _monitoring(request), await read_form(request)
    days = tuple(typed.get(f"day_{number}", "").strip() for number in range(1, FEEDBACK_DAYS + 1))
    form = TrialForm(typed.get("group", ""), days, SwitchForm.of(typed))
    errors, found = _look_through(form, monitoring.today())
    group = await _group(request, form.group)
    if group is None:
        errors = {"group": "Choose a group.", **errors}
    if group is None or errors or typed.get("do") not in ("check", "start"):
        return await _form_page(request, replace(form, errors=errors))
    if typed["do"] == "check":
        return await _summary_page(request, group, form, found)
    switch = wanted(form.switch, group.target, monitoring, on=True)
    try:
        trial_id = await monitoring.start_trial(actor(request), switch, found)
    except Refused as refused:
        return await _form_page(request, replace(form, errors={"form": str(refused)}))
    flash(request, f"The trial with {group.name} has begun.")
    return redirect(f"/monitoring/trial/{trial_id}")


async def _group(request: web.Request, group_id: str) -> Subject | None:
    try:
        return await _monitoring(request).subjects.get(actor(request), Target(TargetKind.GROUP, group_id))
    except Refused:
        return None


def _look_through(form: TrialForm, today: date) -> tuple[dict[str, str], list[date]]:
    """What is wrong, by field, and the days for feedback."""
    errors = look_through(form.switch, today, on=True)
    last_day = None if "last_day" in errors else parse_day(form.switch.last_day)
    if "last_day" not in errors and (last_day is None or last_day > today + LONGEST):
        errors["last_day"] = f"Choose a last day, at most {LONGEST.days // 7} weeks from now."
    try:
        days = sorted({day for text in form.days if (day := parse_day(text)) is not None})
    except ValueError:
        return {**errors, "day_1": DATE_HINT}, []
    if not days:
        errors["day_1"] = "Name at least one day on which you will ask how it goes."
    elif days[0] < today or (last_day is not None and days[-1] > last_day):
        errors["day_1"] = "Days for feedback lie between today and the last day of the trial."
    return errors, days


async def _summary_page(request: web.Request, group: Subject, form: TrialForm, days: Sequence[date]) -> web.Response:
    monitoring, zone = _monitoring(request), _monitoring(request).zone
    reach = await monitoring.reach(group.target, ON)
    last_day, policy_date = parse_day(form.switch.last_day), parse_day(form.switch.policy_date)
    assert policy_date is not None
    named = [(f"day_{number}", text) for number, text in enumerate(form.days, 1)]
    return render(
        request,
        "monitoring_confirm.html",
        title="Begin the trial?",
        sentences=[
            *change_words(group, reach, on=True, end=end_words(last_day, zone)),
            "Nobody else is monitored while the trial lasts.",
        ],
        facts=[
            ("Feedback on", and_words([day_words(day, zone) for day in days])),
            ("Why", form.switch.reason),
            ("Under which policy", f"{form.switch.policy}, of {day_words(policy_date, zone)}"),
            ("Who was told", form.switch.told),
        ],
        hidden=[("group", form.group), *named, *((name, getattr(form.switch, name)) for name in SWITCH_FIELDS)],
        action="/monitoring/trial/new",
        do="start",
        button="Begin the trial",
        undo="It ends by itself. You can end it earlier by signing its report.",
    )


# One trial


async def show(request: web.Request) -> web.StreamResponse:
    """The report of a trial, as far as it has come."""
    return await _show(request, await _trial(request), {}, {})


async def _trial(request: web.Request) -> Trial:
    try:
        return await _monitoring(request).trials.get(request.match_info["id"])
    except Refused:
        raise web.HTTPNotFound from None


async def _show(
    request: web.Request, trial: Trial, typed: Mapping[str, str], errors: Mapping[str, str]
) -> web.Response:
    monitoring, zone = _monitoring(request), _monitoring(request).zone
    notes = await monitoring.trials.feedback(trial.id)
    told = await monitoring.told.latest(trial.signed_at)
    may_switch = actor(request).may(Permission.SWITCH_MONITORING)
    today = monitoring.today()
    return render(
        request,
        "monitoring_trial.html",
        422 if errors else 200,
        trial=trial,
        last_day=_last_day(monitoring, trial),
        runs=trial.runs(now()),
        told=[
            (words, day_words(one.told_on, zone), one.how) if (one := told.get(audience)) else (words, "", "")
            for audience, words in AUDIENCES.items()
        ],
        feedback=[
            (day_words(day, zone), day > today, [note for note in notes if note.day == day]) for day in trial.days
        ],
        days=[(day.isoformat(), day_words(day, zone)) for day in trial.days if day <= today],
        happened=await _happened(monitoring, trial),
        typed=typed,
        errors=errors,
        may_write=may_switch and trial.signed_at is None,
        may_switch=may_switch,
    )


async def _happened(monitoring: Monitoring, trial: Trial) -> list[str]:
    """What happened to the switch, sentence by sentence."""
    zone = monitoring.zone
    first, *later = await monitoring.switches_of(trial)
    words = [f"Switched on by {first['author']} on {local_time(first['set_at'], zone)}."]
    words += [f"Switched {row['value']} by {row['author']} on {local_time(row['set_at'], zone)}." for row in later]
    if first["undone_at"]:
        words.append(f"Ended with the signature on {local_time(first['undone_at'], zone)}.")
    elif not trial.runs(now()):
        words.append(f"Ended by itself at the end of {_last_day(monitoring, trial)}.")
    return words


async def write_feedback(request: web.Request) -> web.StreamResponse:
    """Keep what people said."""
    trial, typed = await _trial(request), await read_form(request)
    try:
        day = parse_day(typed.get("day", ""))
        if day is None or not typed.get("note", "").strip():
            return await _show(request, trial, typed, {"note": "Choose the day and write down what people said."})
        await _monitoring(request).add_feedback(actor(request), trial.id, day, typed["note"])
    except ValueError:
        raise web.HTTPBadRequest from None
    except Refused as refused:
        return await _show(request, trial, typed, {"note": str(refused)})
    flash(request, "The feedback was kept.")
    return redirect(f"/monitoring/trial/{trial.id}")


async def ask_sign(request: web.Request) -> web.StreamResponse:
    """What signing does, and the decision."""
    return await _sign_page(request, await _trial(request), {}, {})


async def _sign_page(
    request: web.Request, trial: Trial, typed: Mapping[str, str], errors: Mapping[str, str]
) -> web.Response:
    if trial.signed_at is not None:
        return redirect(f"/monitoring/trial/{trial.id}")
    given = {one.day for one in await _monitoring(request).trials.feedback(trial.id)}
    without = [day for day in trial.days if day not in given]
    return render(
        request,
        "monitoring_trial_sign.html",
        422 if errors else 200,
        trial=trial,
        runs=trial.runs(now()),
        people=plural(trial.people, "person", "people"),
        without_feedback=and_words([day_words(day, _monitoring(request).zone) for day in without]),
        typed=typed,
        errors=errors,
        actor_name=actor(request).name,
    )


async def sign(request: web.Request) -> web.StreamResponse:
    """Sign the report, which ends the trial."""
    trial, typed = await _trial(request), await read_form(request)
    decision, findings = typed.get("decision", ""), typed.get("findings", "").strip()
    errors = {}
    if decision not in get_args(Decision):
        errors["decision"] = "Choose whether to go on or to stop."
    if not findings:
        errors["findings"] = "Say what you found, and why you decide so."
    if errors:
        return await _sign_page(request, trial, typed, errors)
    try:
        await _monitoring(request).sign_trial(actor(request), trial.id, _decision(decision), findings)
    except Refused as refused:
        return await _sign_page(request, trial, typed, {"form": str(refused)})
    flash(request, "The report is signed, and the trial has ended.")
    return redirect(f"/monitoring/trial/{trial.id}")


def _decision(text: str) -> Decision:
    return "go on" if text == "go on" else "stop"
