"""What the pages about monitoring say: what a change will do, to how many, and until when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from appliance.assignments import TargetKind
from appliance.monitoring.papers import Audience, Telling
from appliance.monitoring.subjects import Subject
from appliance.monitoring.switching import OFF, ON, Missing, Reach
from appliance.web.templating import local_date, plural

AUDIENCES: Mapping[Audience, str] = {
    Audience.PUPILS: "Pupils",
    Audience.PARENTS: "Parents and carers",
    Audience.STAFF: "Staff",
    Audience.GOVERNORS: "Governors",
    Audience.GUESTS: "Guests",
}
FIXES: Mapping[str, tuple[str, str]] = {
    "role": ("/staff", "Invite somebody on the page Staff"),
    "choice": ("/monitoring/choice", "Write down the choice of monitoring"),
    "trial": ("/monitoring/trial", "Go to the trial"),
}
"""Where what stands in the way of going live is put right."""
DATE_HINT = "Give it as year, month and day, such as 2026-11-27."


def day_words(day: date, zone: ZoneInfo) -> str:
    """``Fri 12 Dec 2026``."""
    return local_date(datetime.combine(day, time(12), zone), zone)


def end_words(last_day: date | None, zone: ZoneInfo) -> str:
    """``until the end of Fri 12 Dec 2026``, or that there is no end."""
    return f"until the end of {day_words(last_day, zone)}" if last_day else "until somebody switches it again"


def end_of(day: date, zone: ZoneInfo) -> datetime:
    """The midnight that ends a day."""
    return datetime.combine(day + timedelta(days=1), time(0), zone)


def parse_day(typed: str) -> date | None:
    """What was typed into a field for a date; ``None`` if it is empty. Raises ``ValueError``."""
    return date.fromisoformat(typed) if typed else None


def people_words(pupils: int, staff: int, guests: int) -> str:
    """``27 pupils and 1 member of staff or governor``; empty for nobody."""
    counted = (
        (pupils, plural(pupils, "pupil")),
        (staff, plural(staff, "member of staff or governor", "members of staff or governors")),
        (guests, plural(guests, "guest")),
    )
    return and_words([words for number, words in counted if number])


def and_words(parts: Sequence[str]) -> str:
    """``a, b and c``."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def change_words(subject: Subject, reach: Reach, *, on: bool, end: str) -> list[str]:
    """What a switch will do, sentence by sentence, before it is made. ``end``: as ``end_words`` says it."""
    verb = "switches monitoring on" if on else "switches monitoring off"
    if subject.target.kind is TargetKind.DEVICE:
        return [f"This {verb} for whoever uses {subject.name}, {end}.", *(_DEVICE_ON if on else ())]
    if subject.target.kind is TargetKind.PERSON:
        return [f"This {verb} for {subject.name}, {end}."] if reach.people else _no_change(subject, on=on, end=end)
    people = people_words(reach.pupils, reach.staff, reach.guests)
    first = f"This {verb} for {people} in {subject.name}, {end}."
    if not people:
        first = f"This {verb} for {subject.name}, {end}. At this moment that changes nothing for anybody in it."
    return [first, *_devices(reach, on=on), *_left_out(reach, on=on)]


_DEVICE_ON = (
    "That is pupils, guests, and anybody who is not known, who counts as a pupil.",
    "Staff and governors only if a reviewer is named for them. What was chosen for a person alone counts first.",
)


def _no_change(subject: Subject, *, on: bool, end: str) -> list[str]:
    state = "monitored already" if on else "not monitored now"
    return [f"{subject.name} is {state}. From now on that is a choice for this person alone, {end}."]


def _devices(reach: Reach, *, on: bool) -> list[str]:
    if not reach.devices:
        return []
    devices = plural(reach.devices, "device")
    if on:
        return [f"On {devices} in it, whoever is not known counts as a pupil and is monitored too."]
    return [f"The same goes for {devices} in it."]


def _left_out(reach: Reach, *, on: bool) -> list[str]:
    state = "monitored" if on else "not monitored"
    counted = (
        (reach.already, f"{state} already"),
        (reach.without_reviewer, "not monitored, because no reviewer is named for them"),
        (reach.guests_left_out, "a guest, and guests are chosen one by one or by their device"),
        (reach.own_choice, "switched off by a choice for that person alone, which counts first"),
    )
    return [f"{plural(number, 'person', 'people')}: {words}." for number, words in counted if number]


def undo_words(subject: Subject, reach: Reach, *, was_on: bool, value: str | None) -> list[str]:
    """What it will do to undo a switch; ``value``: what is set for the subject then."""
    people = people_words(reach.pupils, reach.staff, reach.guests)
    verb = "switches monitoring off" if was_on else "switches monitoring on again"
    after = {
        None: f"After that nothing is set for {subject.name} itself, and what is set for groups counts.",
        ON: "The switch before it, which is on, applies again.",
        OFF: "The switch before it, which is off, applies again.",
    }
    if people:
        return [f"This {verb} for {people}.", after[value]]
    if subject.target.kind is TargetKind.DEVICE:
        return [after[value]]
    return ["At this moment this changes nothing for anybody.", after[value]]


def missing_words(missing: Sequence[Missing]) -> list[tuple[str, str, str]]:
    """What stands in the way of going live: words, where it is put right, and the words of that link."""
    return [(one.words, *FIXES[one.part]) for one in missing]


def told_words(latest: Mapping[Audience, Telling], zone: ZoneInfo) -> str:
    """Who was told, for the form of a switch: ``Pupils on Fri 12 Dec 2026 (assembly); ...``."""
    parts = [
        f"{AUDIENCES[one.audience]} on {day_words(one.told_on, zone)} ({one.how})"
        for one in sorted(latest.values(), key=lambda one: list(Audience).index(one.audience))
    ]
    return "; ".join(parts)
