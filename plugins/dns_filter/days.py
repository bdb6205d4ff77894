"""Days in the words of the pages."""

from __future__ import annotations

from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

from appliance.api import parse

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def day_words(day: date | str) -> str:
    """``Fri 27 Nov 2026``, as everywhere on the staff pages; ``day`` may be text such as ``2026-11-27``."""
    found = date.fromisoformat(day) if isinstance(day, str) else day
    return f"{_DAYS[found.weekday()]} {found.day} {_MONTHS[found.month - 1]} {found.year}"


def end_words(until: str, zone: ZoneInfo) -> str:
    """``the end of Fri 18 Dec 2026`` for the midnight after a last day that somebody chose, else day and time."""
    local = parse(until).astimezone(zone)
    if local.time() == time(0):
        return f"the end of {day_words(local.date() - timedelta(days=1))}"
    return f"{day_words(local.date())}, {local:%H:%M}"
