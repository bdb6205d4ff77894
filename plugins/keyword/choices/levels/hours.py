"""When a level for certain hours is in force: by the school's clock, across midnight and changes of the clock."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, time
from functools import lru_cache

from appliance.api import Hours, Timetable, TimetableSettings

from .model import Timed

IN_SCHOOL, OUT_OF_SCHOOL, HOURS = "in_school", "out_of_school", "hours"
SPANS = {
    IN_SCHOOL: "While school is in",
    OUT_OF_SCHOOL: "While school is out",
    HOURS: "At certain hours",
}
REMEMBERED = 256


class SchoolClock:
    """``settings``: the school's timetable, in the time zone ``timezone``."""

    def __init__(self, settings: TimetableSettings, timezone: str) -> None:
        self._school = Timetable(settings, timezone)
        self._settings = settings
        self._timezone = timezone
        self._hours = lru_cache(REMEMBERED)(self._timetable_of)

    def in_force(self, timed: Timed, moment: datetime) -> bool:
        """Whether its hours hold this moment: the first moment counts, the last does not."""
        if timed.span == IN_SCHOOL:
            return self._school.in_school(moment)
        if timed.span == OUT_OF_SCHOOL:
            return not self._school.in_school(moment)
        return self._hours(timed.days, timed.start, timed.finish, timed.school_days).in_school(moment)

    def _timetable_of(self, days: Collection[str], start: str, finish: str, school_days: bool) -> Timetable:
        hours = Hours(start=time.fromisoformat(start), end=time.fromisoformat(finish))
        around = self._settings if school_days else TimetableSettings()
        kept = {day: hours for day in days if not school_days or day in self._settings.hours}
        settings = TimetableSettings.model_validate({"terms": around.terms, "closures": around.closures, "hours": kept})
        return Timetable(settings, self._timezone)


def hours_words(timed: Timed) -> str:
    """When, for pages."""
    if timed.span != HOURS:
        return SPANS[timed.span]
    days = ", ".join(day.capitalize() for day in timed.days)
    over = " of the next day" if timed.finish <= timed.start else ""
    school = ", on school days" if timed.school_days else ""
    return f"{days}, {timed.start} to {timed.finish}{over}{school}"
