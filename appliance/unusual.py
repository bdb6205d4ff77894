"""When access to pupils' pages is out of the ordinary: three rules, each about one account.

They are few and plain on purpose. Whoever is told must understand at once what was seen, and a rule that cries wolf is
soon ignored. A rule proves nothing: it asks somebody to look.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from statistics import median

WINDOW_DAYS = 28
"""How far back the rules look: four weeks, the present day included."""
MANY_PEOPLE = 15
TIMES_USUAL = 3
OUTSIDE_HOURS = 2
ONE_PERSON_DAYS = 10
BEFORE_SCHOOL = timedelta(hours=1)
AFTER_SCHOOL = timedelta(hours=2)
"""The work on what was reported is done around lessons: an hour before and two after count as school."""


class Rule(StrEnum):
    """What was out of the ordinary, as it stands in the store."""

    MANY = "many pupils"
    OUTSIDE = "outside school hours"
    ONE_PERSON = "one pupil again and again"

    @property
    def about_one_person(self) -> bool:
        """Whether the rule is about one pupil. It is then said once in four weeks, not once a day."""
        return self is Rule.ONE_PERSON


@dataclass(frozen=True, slots=True)
class Access:
    """What one account did, the look just made included.

    ``earlier_days``: how many different pupils on each earlier day of the four weeks on which it opened any.
    ``same_person_days``: on how many days of the four weeks it opened the page of the pupil just opened, if nothing was
    reported and nobody had asked on any of them; else 0.
    """

    people_today: int
    earlier_days: Sequence[int]
    outside_today: int
    same_person_days: int

    @property
    def usual(self) -> int:
        """How many pupils this account opens on a usual day: the median, so that one odd day moves nothing."""
        return round(median(self.earlier_days)) if self.earlier_days else 0


def unusual(access: Access) -> tuple[Rule, ...]:
    """The rules that this access meets."""
    met = {
        Rule.MANY: access.people_today > max(MANY_PEOPLE, TIMES_USUAL * access.usual),
        Rule.OUTSIDE: access.outside_today > OUTSIDE_HOURS,
        Rule.ONE_PERSON: access.same_person_days >= ONE_PERSON_DAYS,
    }
    return tuple(rule for rule in Rule if met[rule])


def words(rule: Rule, name: str, access: Access) -> str:
    """What the head reads. It names the member of staff and never a pupil."""
    match rule:
        case Rule.MANY:
            usual = f"a usual day is {access.usual}" if access.usual else "there was no other day in four weeks"
            return f"{name} opened the pages of {access.people_today} different pupils in one day; {usual}."
        case Rule.OUTSIDE:
            return f"{name} opened the pages of {access.outside_today} pupils in one day while the school was closed."
        case Rule.ONE_PERSON:
            return (
                f"{name} opened the page of one pupil on {access.same_person_days} different days of the last four"
                " weeks. Nothing was reported or captured, and nobody had asked."
            )


def outside_hours(moment: datetime, in_school: Callable[[datetime], bool]) -> bool:
    """Whether a look at this moment lies outside school: at night, at a weekend, on a day that is closed."""
    near = (moment, moment + BEFORE_SCHOOL, moment - AFTER_SCHOOL)
    return not any(in_school(one) for one in near)
