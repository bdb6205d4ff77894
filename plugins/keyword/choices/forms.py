"""What forms of these pages share: a last day, and the words of a mistake."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from appliance.api import parse

NO_DAY = "Give the last day as year, month and day, such as 2026-11-27"
SAY_WHY = "Say why, so that the next person understands."
END_REASON = "end-reason"
"""The field of a form that ends something, beside another form with a reason."""


def end_of(last_day: str, zone: ZoneInfo, at: datetime) -> datetime | None:
    """The moment after a last day on the school's clock; ``None`` for no end. Raises ``ValueError`` in words."""
    if not last_day:
        return None
    try:
        until = datetime.combine(date.fromisoformat(last_day) + timedelta(days=1), time(0), zone)
    except (ValueError, OverflowError):
        raise ValueError(f"{NO_DAY}, or leave it empty.") from None
    if until <= at:
        raise ValueError("The last day lies in the past. Choose a later one or leave it empty.")
    return until


def last_moment(until: str) -> datetime:
    """The last moment before an end: its day is the last day that was chosen."""
    return parse(until) - timedelta(seconds=1)
