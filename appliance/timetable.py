"""When the school is in: terms, closures, the hours of each weekday. UTC outside, the school's time zone inside.

Hours are what the clock on the wall shows. Each becomes the first moment at which that clock shows it or has gone past
it, so that hours never turn round, overlap or leave a hole on the two days when the clock is changed: 01:30 in the
hour that is left out means the moment of the change, 01:30 in the hour that comes twice means the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from appliance.config import Hours, TimetableSettings

HORIZON = timedelta(days=400)
"""How far ahead the next change is looked for: past the longest holiday and into the next school year."""

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")

_DAY = timedelta(days=1)


class Timetable:
    """The school's timetable. It is never changed: new settings make a new timetable.

    ``timezone`` is an IANA name such as ``Europe/London``. All moments are aware datetimes; a naive one is a
    ``ValueError``, because it could mean the box's zone, the school's or UTC.
    """

    def __init__(self, settings: TimetableSettings, timezone: str) -> None:
        self._settings = settings
        self._zone = ZoneInfo(timezone)
        self._hours: dict[str, Hours] = {str(weekday): hours for weekday, hours in settings.hours.items()}

    def is_school_day(self, day: date) -> bool:
        """Whether school begins on this day: in a term (where terms are set), in no closure, with hours."""
        if WEEKDAYS[day.weekday()] not in self._hours:
            return False
        terms = self._settings.terms
        if terms and not any(term.first_day <= day <= term.last_day for term in terms):
            return False
        return not any(closure.first_day <= day <= closure.last_day for closure in self._settings.closures)

    def in_school(self, moment: datetime) -> bool:
        """Whether the school is in at this moment. The first moment of the hours counts, the last does not."""
        local = self._local(moment)
        yesterday = local.date() - _DAY
        return any(start <= moment < end for start, end in self._spans(yesterday, local.date()))

    def next_change(self, moment: datetime) -> datetime | None:
        """The next moment, in UTC, at which ``in_school`` becomes something else; None if not within 400 days."""
        local = self._local(moment)
        horizon = moment.astimezone(UTC) + HORIZON
        change = self._first_edge_after(moment, local.date())
        return change if change is not None and change <= horizon else None

    def words(self, moment: datetime) -> str:
        """How things stand, for a page: "In school until 15:30", "Closed until Monday 8 January, 08:30"."""
        inside = self.in_school(moment)
        change = self.next_change(moment)
        if change is not None:
            text = f"{'In school' if inside else 'Closed'} until {self._when(change, moment)}"
        elif inside:
            text = f"In school, without a break in the next {HORIZON.days} days"
        else:
            text = f"Closed, with no school day in the next {HORIZON.days} days"
        return text if self._settings.terms else f"{text} (term dates are not set)"

    def _local(self, moment: datetime) -> datetime:
        if moment.utcoffset() is None:
            raise ValueError("a timetable needs a moment with its time zone")
        return moment.astimezone(self._zone)

    def _first_edge_after(self, moment: datetime, today: date) -> datetime | None:
        """The start of the first span after ``moment``, or the end of the span that it lies in."""
        for start, end in self._merged(self._spans(today - _DAY, today + HORIZON + _DAY)):
            if moment < start:
                return start
            if moment < end:
                return end
        return None

    @staticmethod
    def _merged(spans: Iterator[tuple[datetime, datetime]]) -> Iterator[tuple[datetime, datetime]]:
        """Spans in order of time, those that touch or overlap made into one."""
        current: tuple[datetime, datetime] | None = None
        for start, end in spans:
            if current is None:
                current = start, end
            elif start <= current[1]:
                current = current[0], max(current[1], end)
            else:
                yield current
                current = start, end
        if current is not None:
            yield current

    def _spans(self, first: date, last: date) -> Iterator[tuple[datetime, datetime]]:
        """When school is in, for each school day from ``first`` to ``last``: [start, end) in UTC, in order of start."""
        day = first
        while day <= last:
            if self.is_school_day(day):
                hours = self._hours[WEEKDAYS[day.weekday()]]
                past_midnight = hours.end <= hours.start
                start = self._reached(day, hours.start)
                end = self._reached(day + _DAY if past_midnight else day, hours.end)
                if start < end:  # both can lie in the hour that is left out in spring
                    yield start, end
            day += _DAY

    def _reached(self, day: date, wall: time) -> datetime:
        """The first moment, in UTC, at which the school's clock shows ``wall`` on ``day`` or has gone past it."""
        wanted = datetime.combine(day, wall)
        first = wanted.replace(tzinfo=self._zone).astimezone(UTC)  # fold=0: of two moments the first
        if self._shown(first) == wanted:
            return first
        # The clock skips this time. fold=1 reads it with the offset after the change, which gives a moment before it.
        before = wanted.replace(tzinfo=self._zone, fold=1).astimezone(UTC)
        low, high = int(before.timestamp()), int(first.timestamp())
        while high - low > 1:  # the clock is changed at a whole second between the two
            middle = (low + high) // 2
            if self._shown(datetime.fromtimestamp(middle, UTC)) < wanted:
                low = middle
            else:
                high = middle
        return datetime.fromtimestamp(high, UTC)

    def _shown(self, moment: datetime) -> datetime:
        """What the school's clock shows, as a naive datetime."""
        return moment.astimezone(self._zone).replace(tzinfo=None, fold=0)

    def _when(self, change: datetime, moment: datetime) -> str:
        """A moment in words: the time alone if it is on the same day, else weekday, day and month before it."""
        local = change.astimezone(self._zone)
        same_day = local.date() == moment.astimezone(self._zone).date()
        return f"{local:%H:%M}" if same_day else f"{local:%A} {local.day} {local:%B}, {local:%H:%M}"
