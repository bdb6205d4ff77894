"""Days in the words of the pages."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from appliance.api import local_date, local_time, parse

_ANY_ZONE = ZoneInfo("UTC")


def day_words(day: date | str) -> str:
    """``Fri 27 Nov 2026``, as everywhere on the staff pages; ``day`` may be text such as ``2026-11-27``."""
    found = date.fromisoformat(day) if isinstance(day, str) else day
    return local_date(datetime.combine(found, time(12), _ANY_ZONE), _ANY_ZONE)


def end_words(until: str, zone: ZoneInfo) -> str:
    """``the end of Fri 18 Dec 2026`` for the midnight after a last day that somebody chose, else day and time."""
    local = parse(until).astimezone(zone)
    if local.time() == time(0):
        return f"the end of {local_date(local - timedelta(seconds=1), zone)}"
    return local_time(until, zone)
