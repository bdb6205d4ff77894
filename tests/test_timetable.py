"""The timetable: tables of days and hours, days when the clock is changed, and what must hold for every timetable."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta, timezone
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.config import Closure, Hours, Term, TimetableSettings
from appliance.timetable import HORIZON, WEEKDAYS, Timetable

LONDON = "Europe/London"
TINY = timedelta(microseconds=1)

AUTUMN = Term(name="Autumn", first_day=date(2023, 9, 4), last_day=date(2023, 12, 20))
SPRING = Term(name="Spring", first_day=date(2024, 1, 8), last_day=date(2024, 3, 28))
HALF_TERM = Closure(first_day=date(2024, 2, 12), last_day=date(2024, 2, 16), why="Half term")
SNOW = Closure(first_day=date(2024, 1, 17), last_day=date(2024, 1, 17), why="Snow")


def hours(start: str, end: str, *weekdays: str) -> dict[Any, Hours]:
    span = Hours(start=time.fromisoformat(start), end=time.fromisoformat(end))
    return dict.fromkeys(weekdays or WEEKDAYS, span)


def year(zone: str = LONDON) -> Timetable:
    """Two terms with a half-term and a snow day, 08:30 to 15:30 on weekdays."""
    settings = TimetableSettings(
        terms=(AUTUMN, SPRING), closures=(HALF_TERM, SNOW), hours=hours("08:30", "15:30", *WEEKDAYS[:5])
    )
    return Timetable(settings, zone)


def every_day(start: str, end: str, zone: str = LONDON) -> Timetable:
    return Timetable(TimetableSettings(hours=hours(start, end)), zone)


def at(text: str, zone: str = LONDON) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


# ------------------------------------------------------------------------------------------------- an ordinary school


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("2023-09-01", False),  # before the first term
        ("2023-09-04", True),  # its first day
        ("2023-12-20", True),  # its last day
        ("2023-12-21", False),
        ("2024-01-05", False),  # between the terms
        ("2024-01-08", True),
        ("2024-01-13", False),  # a Saturday
        ("2024-01-17", False),  # snow
        ("2024-01-18", True),
        ("2024-02-12", False),  # half-term, first and last day
        ("2024-02-16", False),
        ("2024-02-19", True),
        ("2024-03-29", False),  # after the last term
    ],
)
def test_school_days(day: str, expected: bool) -> None:
    assert year().is_school_day(date.fromisoformat(day)) is expected


def test_without_terms_every_weekday_with_hours_counts_but_closures_do_too() -> None:
    settings = TimetableSettings(closures=(HALF_TERM,), hours=hours("08:30", "15:30", "monday", "saturday"))
    timetable = Timetable(settings, LONDON)
    assert timetable.is_school_day(date(2031, 1, 6))  # a Monday
    assert timetable.is_school_day(date(2031, 1, 11))  # a Saturday
    assert not timetable.is_school_day(date(2031, 1, 7))
    assert not timetable.is_school_day(HALF_TERM.first_day)


def test_the_hours_that_nobody_set_are_those_of_a_usual_school() -> None:
    timetable = Timetable(TimetableSettings(), LONDON)
    assert [timetable.is_school_day(date(2024, 1, day)) for day in range(8, 15)] == [True] * 5 + [False] * 2
    assert timetable.in_school(at("2024-01-08T08:30"))
    assert not timetable.in_school(at("2024-01-08T15:30"))


@pytest.mark.parametrize(
    ("moment", "inside", "change", "words"),
    [
        ("2024-01-08T08:29:59.999999", False, "2024-01-08T08:30", "Closed until 08:30"),
        ("2024-01-08T08:30", True, "2024-01-08T15:30", "In school until 15:30"),
        ("2024-01-08T15:29:59.999999", True, "2024-01-08T15:30", "In school until 15:30"),
        ("2024-01-08T15:30", False, "2024-01-09T08:30", "Closed until Tuesday 9 January, 08:30"),
        ("2023-12-20T16:00", False, "2024-01-08T08:30", "Closed until Monday 8 January, 08:30"),
        ("2024-01-16T23:59", False, "2024-01-18T08:30", "Closed until Thursday 18 January, 08:30"),
        ("2024-02-09T15:30", False, "2024-02-19T08:30", "Closed until Monday 19 February, 08:30"),
        ("2024-03-28T15:30", False, None, "Closed, with no school day in the next 400 days"),
    ],
)
def test_an_ordinary_year(moment: str, inside: bool, change: str | None, words: str) -> None:
    timetable = year()
    assert timetable.in_school(at(moment)) is inside
    assert timetable.next_change(at(moment)) == (None if change is None else at(change))
    assert timetable.words(at(moment)) == words


def test_words_say_that_term_dates_are_not_set() -> None:
    timetable = every_day("08:30", "15:30")
    assert timetable.words(at("2024-01-08T09:00")) == "In school until 15:30 (term dates are not set)"


def test_moments_of_any_zone_mean_the_same_and_answers_are_utc() -> None:
    timetable = year()
    elsewhere = datetime(2024, 1, 8, 18, 30, tzinfo=timezone(timedelta(hours=9)))  # 09:30 in London
    assert timetable.in_school(elsewhere)
    assert timetable.words(elsewhere) == "In school until 15:30"
    change = timetable.next_change(elsewhere)
    assert change == utc("2024-01-08T15:30")
    assert change is not None
    assert change.tzinfo is UTC


@pytest.mark.parametrize("ask", [Timetable.in_school, Timetable.next_change, Timetable.words])
def test_a_moment_without_a_zone_is_refused(ask: Callable[[Timetable, datetime], object]) -> None:
    with pytest.raises(ValueError, match="time zone"):
        ask(year(), datetime(2024, 1, 8, 9, 0))  # noqa: DTZ001 - that is what is tested


@pytest.mark.parametrize(("days", "found"), [(399, True), (400, True), (401, False)])
def test_the_next_change_is_looked_for_as_far_as_the_horizon(days: int, found: bool) -> None:
    now = utc("2024-01-01T08:30")
    opening = now.date() + timedelta(days=days)
    term = Term(name="Next", first_day=opening, last_day=opening)
    timetable = Timetable(TimetableSettings(terms=(term,), hours=hours("08:30", "15:30")), "UTC")
    assert timetable.next_change(now) == (now + timedelta(days=days) if found else None)


def test_the_horizon_holds_where_the_clock_was_changed_on_its_way() -> None:
    opening = date(2026, 3, 30)  # begins an hour before 400 days are over
    timetable = Timetable(
        TimetableSettings(
            terms=(Term(name="Next", first_day=opening, last_day=opening),), hours=hours("00:00", "06:00")
        ),
        LONDON,
    )
    assert timetable.next_change(at("2025-02-22T23:30")) == at("2026-03-30T00:00")


# ---------------------------------------------------------------------------------------- past midnight, and all day


@pytest.mark.parametrize(
    ("moment", "inside", "change"),
    [
        ("2024-01-08T19:59", False, "2024-01-08T20:00"),
        ("2024-01-08T20:00", True, "2024-01-09T07:00"),
        ("2024-01-09T00:00", True, "2024-01-09T07:00"),
        ("2024-01-09T06:59", True, "2024-01-09T07:00"),
        ("2024-01-09T07:00", False, "2024-01-09T20:00"),
    ],
)
def test_hours_may_run_past_midnight(moment: str, inside: bool, change: str) -> None:
    timetable = every_day("20:00", "07:00")
    assert timetable.in_school(at(moment)) is inside
    assert timetable.next_change(at(moment)) == at(change)


def test_a_night_belongs_to_the_day_on_which_it_begins() -> None:
    term = Term(name="Short", first_day=date(2024, 1, 8), last_day=date(2024, 1, 8))
    timetable = Timetable(TimetableSettings(terms=(term,), hours=hours("20:00", "07:00")), LONDON)
    assert not timetable.in_school(at("2024-01-08T06:00"))
    assert timetable.in_school(at("2024-01-09T06:00"))
    assert timetable.words(at("2024-01-08T22:00")) == "In school until Tuesday 9 January, 07:00"
    assert timetable.next_change(at("2024-01-09T07:00")) is None


def test_hours_that_end_when_they_begin_are_a_whole_day_and_whole_days_have_no_seam() -> None:
    timetable = Timetable(TimetableSettings(hours=hours("09:00", "09:00", "monday", "tuesday")), LONDON)
    assert timetable.next_change(at("2024-01-07T12:00")) == at("2024-01-08T09:00")
    assert timetable.next_change(at("2024-01-08T09:00")) == at("2024-01-10T09:00")
    always = every_day("00:00", "00:00")
    assert always.in_school(at("2024-01-08T00:00"))
    assert always.next_change(at("2024-01-08T00:00")) is None
    assert always.words(at("2024-01-08T00:00")).startswith("In school, without a break in the next 400 days")


def test_hours_that_overlap_the_next_morning_are_one_stretch() -> None:
    settings = TimetableSettings(hours={**hours("20:00", "09:00", "monday"), **hours("08:00", "15:00", "tuesday")})
    assert Timetable(settings, LONDON).next_change(at("2024-01-08T21:00")) == at("2024-01-09T15:00")


# ---------------------------------------------------------------------------------- days when the clock is changed
# London and Dublin: 29 March 2026, 01:00 UTC, the clock goes from 01:00 to 02:00; 25 October 2026, 01:00 UTC, from
# 02:00 back to 01:00. In Dublin winter is the time with an offset (-1 hour), in law and in the zone's data.


@pytest.mark.parametrize("zone", [LONDON, "Europe/Dublin"])
@pytest.mark.parametrize(
    ("start", "end", "day", "expected"),
    [
        ("08:30", "15:30", "2026-03-28", ("2026-03-28T08:30", "2026-03-28T15:30")),
        ("08:30", "15:30", "2026-03-29", ("2026-03-29T07:30", "2026-03-29T14:30")),
        ("08:30", "15:30", "2026-10-24", ("2026-10-24T07:30", "2026-10-24T14:30")),
        ("08:30", "15:30", "2026-10-25", ("2026-10-25T08:30", "2026-10-25T15:30")),
        # spring: a time that is left out means the moment of the change
        ("00:30", "01:30", "2026-03-29", ("2026-03-29T00:30", "2026-03-29T01:00")),
        ("01:30", "02:15", "2026-03-29", ("2026-03-29T01:00", "2026-03-29T01:15")),
        ("00:30", "02:30", "2026-03-29", ("2026-03-29T00:30", "2026-03-29T01:30")),
        ("22:00", "06:00", "2026-03-28", ("2026-03-28T22:00", "2026-03-29T05:00")),
        ("22:00", "01:30", "2026-03-28", ("2026-03-28T22:00", "2026-03-29T01:00")),
        # autumn: a time that comes twice means the first
        ("00:30", "01:30", "2026-10-25", ("2026-10-24T23:30", "2026-10-25T00:30")),
        ("01:30", "02:30", "2026-10-25", ("2026-10-25T00:30", "2026-10-25T02:30")),
        ("01:15", "01:45", "2026-10-25", ("2026-10-25T00:15", "2026-10-25T00:45")),
        ("22:00", "06:00", "2026-10-24", ("2026-10-24T21:00", "2026-10-25T06:00")),
        ("00:00", "00:00", "2026-10-25", ("2026-10-24T23:00", "2026-10-26T00:00")),
    ],
)
def test_hours_on_days_when_the_clock_is_changed(
    zone: str, start: str, end: str, day: str, expected: tuple[str, str]
) -> None:
    term = Term(name="One day", first_day=date.fromisoformat(day), last_day=date.fromisoformat(day))
    timetable = Timetable(TimetableSettings(terms=(term,), hours=hours(start, end)), zone)
    begins, ends = map(utc, expected)
    assert timetable.next_change(utc("2026-01-01")) == begins
    assert timetable.next_change(begins) == ends
    assert timetable.next_change(ends) is None
    assert timetable.in_school(begins)
    assert not timetable.in_school(ends)


def test_every_minute_that_is_left_out_means_the_moment_of_the_change() -> None:
    for minute in range(60):
        timetable = every_day(f"01:{minute:02d}", "12:00")
        assert timetable.next_change(utc("2026-03-28T12:00")) == utc("2026-03-29T01:00")


def test_hours_that_lie_in_the_hour_that_is_left_out_do_not_happen() -> None:
    timetable = every_day("01:10", "01:50")
    assert timetable.next_change(utc("2026-03-28T02:00")) == utc("2026-03-30T00:10")
    assert not any(timetable.in_school(utc("2026-03-29") + timedelta(minutes=5 * step)) for step in range(12 * 24))


def test_a_day_that_a_country_left_out_makes_no_trouble() -> None:
    """Samoa went from 29 to 31 December 2011 at midnight."""
    timetable = every_day("08:00", "15:00", "Pacific/Apia")
    evening = at("2011-12-29T20:00", "Pacific/Apia")
    assert timetable.next_change(evening) == at("2011-12-31T08:00", "Pacific/Apia")


# ------------------------------------------------------------------------------------------- what holds for all of them

ZONES = (
    *("UTC", LONDON, "Europe/Dublin", "America/New_York", "Asia/Kathmandu"),
    *("Australia/Lord_Howe", "Africa/Casablanca", "Antarctica/Troll", "Pacific/Apia"),
)
CHANGES = [utc(text) for text in ("2026-03-29T01:00", "2026-10-25T01:00", "2026-03-08T07:00", "2026-11-01T06:00")]
CHANGES += [utc("2026-04-04T15:00"), utc("2026-10-03T15:30"), utc("2026-02-15T02:00"), utc("2011-12-30T10:00")]

TIMES = st.builds(time, st.integers(0, 23), st.integers(0, 59))
WEEK = st.dictionaries(st.sampled_from(WEEKDAYS), st.builds(Hours, start=TIMES, end=TIMES), max_size=7)
MOMENTS = st.one_of(
    st.datetimes(datetime(2020, 1, 1), datetime(2045, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 - bounds
    st.builds(
        lambda change, minutes: change + timedelta(minutes=minutes),
        st.sampled_from(CHANGES),
        st.integers(-3 * 1440, 3 * 1440),
    ),
)


@st.composite
def timetables(draw: st.DrawFn) -> Timetable:
    """Any hours; no terms, or one around the days when clocks are changed; perhaps a closure."""
    first = draw(st.dates(date(2026, 1, 1), date(2026, 12, 1)))
    term = Term(name="Term", first_day=first, last_day=first + timedelta(days=draw(st.integers(0, 300))))
    day = draw(st.dates(date(2026, 3, 1), date(2026, 11, 30)))
    closure = Closure(first_day=day, last_day=day + timedelta(days=draw(st.integers(0, 20))), why="Closed")
    settings = TimetableSettings(
        terms=draw(st.sampled_from([(), (term,)])),
        closures=draw(st.sampled_from([(), (closure,)])),
        hours=dict(draw(WEEK)),
    )
    return Timetable(settings, draw(st.sampled_from(ZONES)))


def latest_shown(moment: datetime, zone: ZoneInfo) -> datetime:
    """The latest time that the clock on the wall has shown until now: it stands still while an hour comes again."""
    steps = (moment - timedelta(minutes=minutes) for minutes in range(180))
    return max(step.astimezone(zone).replace(tzinfo=None, fold=0) for step in steps)


@given(timetables(), MOMENTS)
def test_in_school_is_what_a_clock_that_never_goes_back_shows(timetable: Timetable, moment: datetime) -> None:
    moment = moment.replace(second=0, microsecond=0)
    shown = latest_shown(moment, timetable._zone)
    expected = False
    for day in (shown.date(), shown.date() - timedelta(days=1)):
        if timetable.is_school_day(day):
            span = timetable._hours[WEEKDAYS[day.weekday()]]
            end_day = day if span.end > span.start else day + timedelta(days=1)
            expected |= datetime.combine(day, span.start) <= shown < datetime.combine(end_day, span.end)
    assert timetable.in_school(moment) is expected


@given(timetables(), MOMENTS, st.lists(st.floats(0, 1), max_size=20))
@example(every_day("01:30", "01:30"), utc("2026-10-25T00:45"), [0.0, 0.5, 1.0])
def test_the_next_change_is_where_in_school_changes_and_nothing_changes_before(
    timetable: Timetable, moment: datetime, parts: list[float]
) -> None:
    inside = timetable.in_school(moment)
    change = timetable.next_change(moment)
    if change is not None:
        assert moment < change <= moment + HORIZON
        assert timetable.in_school(change) is not inside
        assert timetable.in_school(change - TINY) is inside
    until = (change or moment + HORIZON) - TINY
    for part in parts:
        assert timetable.in_school(moment + (until - moment) * part) is inside


@given(timetables(), MOMENTS, MOMENTS)
def test_a_later_moment_never_has_an_earlier_next_change(
    timetable: Timetable, first: datetime, second: datetime
) -> None:
    first, second = sorted((first, second))
    after_first, after_second = timetable.next_change(first), timetable.next_change(second)
    if after_first is not None and after_first > second:
        assert after_second == after_first
    elif after_first is not None and after_second is not None:
        assert after_first < after_second


@given(timetables(), MOMENTS)
def test_changes_follow_each_other_and_alternate(timetable: Timetable, moment: datetime) -> None:
    changes = [moment]
    while len(changes) < 8 and (change := timetable.next_change(changes[-1])) is not None:
        changes.append(change)
    for earlier, later in pairwise(changes):
        assert earlier < later
        assert timetable.in_school(earlier) is not timetable.in_school(later)


@given(timetables(), MOMENTS)
def test_words_always_say_how_things_stand(timetable: Timetable, moment: datetime) -> None:
    words = timetable.words(moment)
    assert words.startswith("In school" if timetable.in_school(moment) else "Closed")
    change = timetable.next_change(moment)
    if change is not None:
        assert f"{change.astimezone(timetable._zone):%H:%M}" in words
