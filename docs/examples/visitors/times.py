"""Times of the school: rows hold UTC, people read the clock on the wall."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

from appliance.api import now, parse, stamp


def _without_zone(moment: time) -> time:
    if moment.tzinfo is not None:
        raise ValueError("a time zone stands in this time; it is always the school's")
    return moment


SignOutTime = Annotated[time, AfterValidator(_without_zone)]


class Clock:
    """Turns stamps (UTC text) into days and times of the school's time zone, and back."""

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)

    def words(self, moment: str) -> str:
        """``14:05`` of a stamp; with the date if it was not today."""
        local = parse(moment).astimezone(self._zone)
        if local.date() == now().astimezone(self._zone).date():
            return f"{local:%H:%M}"
        return f"{local:%a} {local.day} {local:%b}, {local:%H:%M}"

    def start_of_today(self) -> str:
        """When today began, as a stamp."""
        return self.day_of(stamp())[1]

    def day_of(self, moment: str) -> tuple[str, str, str]:
        """The local day of a stamp, and the stamps of its first moment and of the next day's."""
        day = parse(moment).astimezone(self._zone).date()
        start, end = (datetime.combine(each, time(0), self._zone) for each in (day, day + timedelta(days=1)))
        return day.isoformat(), stamp(start), stamp(end)
