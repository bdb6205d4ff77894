"""Who looked at which child and why, and what is out of the ordinary."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.access import PERMISSIONS, Actor, Role
from appliance.audit import Audit
from appliance.bus import Bus
from appliance.db import Database
from appliance.live import Live
from appliance.loading import resource
from appliance.looks import KEPT, Looks, Reason
from appliance.migrate import CORE, migrate
from appliance.notices import Notices
from appliance.settings import Closure, TimetableSettings
from appliance.timetable import Timetable
from appliance.unusual import (
    MANY_PEOPLE,
    ONE_PERSON_DAYS,
    OUTSIDE_HOURS,
    Access,
    Rule,
    outside_hours,
    unusual,
    words,
)

TUESDAY = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
PUPILS = 40
ACCOUNTS = (
    ("lead", Role.LEAD),
    ("deputy", Role.DEPUTY),
    ("head", Role.HEAD),
    ("head-2", Role.HEAD),
    ("teacher", Role.TEACHER),
    ("governor", Role.GOVERNOR),
    ("dpo", Role.DPO),
    ("it", Role.IT),
)
ROLES = dict(ACCOUNTS)


def actor(account: str) -> Actor:
    return Actor(f"{account.title()} Smith", PERMISSIONS[ROLES[account]], account, ROLES[account])


class Clock:
    """The school's clock, for tests that live through days."""

    def __init__(self) -> None:
        self.moment = TUESDAY

    def __call__(self) -> datetime:
        return self.moment


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[Database]:
    """A school: everybody may see every pupil but the teacher, who has three, and IT, the governor and the officer."""
    database = Database(tmp_path / "records.db")
    await database.open()
    await migrate(database, CORE, resource("migrations"))
    async with database.transaction() as tx:
        people = [(f"pupil-{n:02}", "pupil", f"Pupil Number{n}") for n in range(PUPILS)]
        people += [("guest", "guest", "Some Guest"), ("colleague", "staff", "A Colleague")]
        await tx.executemany(
            "INSERT INTO people (id, kind, name, sort_name, added_at) VALUES (?, ?, ?, ?, '')",
            [(person, kind, name, name) for person, kind, name in people],
        )
        await tx.executemany(
            "INSERT INTO staff_accounts (id, sign_in_name, name, role, state, made_at, made_by)"
            " VALUES (?, ?, ?, ?, 'active', '', '')",
            [(name, name, actor(name).name, role) for name, role in ACCOUNTS],
        )
        await tx.executemany(
            "INSERT INTO staff_scopes VALUES (?, ?, ?)",
            [
                *((account, "everyone", "") for account in ("lead", "deputy", "head", "head-2")),
                *(("teacher", "person", f"pupil-{n:02}") for n in range(3)),
            ],
        )
        await tx.execute("INSERT INTO staff_reviewers VALUES ('colleague', 'head', '', '')")
    yield database
    await database.close()


async def no_plugin(owner: str, what: str, call: object) -> None:
    raise AssertionError(f"{owner} has no listener")


@pytest.fixture
def notices(records: Database) -> Notices:
    return Notices(records, Bus(records, (), no_plugin), Live())


@pytest.fixture
def looks(records: Database, notices: Notices, clock: Clock) -> Looks:
    timetable = Timetable(TimetableSettings(), "Europe/London")
    return Looks(records, Audit(records), notices, timetable, "Europe/London", clock)


async def audited(records: Database) -> list[tuple[str, str, str]]:
    return [(row["actor"], row["action"], row["subject"]) for row in await Audit(records).rows(None, 100)]


# Asking why


@pytest.mark.parametrize(
    ("account", "person", "needed"),
    [
        ("lead", "pupil-00", True),
        ("lead", "guest", True),
        ("teacher", "pupil-02", True),
        ("teacher", "pupil-03", False),  # not in scope: the page is a 404
        ("lead", "nobody", False),
        ("head", "colleague", False),  # what concerns staff is their reviewer's alone
        ("it", "pupil-00", False),  # a page of the directory, without content
        ("governor", "pupil-00", False),
    ],
)
async def test_who_must_say_why(looks: Looks, account: str, person: str, needed: bool) -> None:
    assert await looks.needs_reason(actor(account), person) is needed
    assert await looks.look(actor(account), person, Reason.ROUTINE) is needed
    assert not await looks.needs_reason(actor(account), person)


async def test_an_open_case_is_reason_enough(looks: Looks) -> None:
    assert not await looks.needs_reason(actor("lead"), "pupil-00", open_case=True)


async def test_a_look_is_kept_once_for_each_account_child_and_day(
    records: Database, looks: Looks, clock: Clock
) -> None:
    assert await looks.look(actor("lead"), "pupil-00", Reason.WORRIED)
    assert await looks.look(actor("lead"), "pupil-00", Reason.ROUTINE)  # the first reason stays
    assert await looks.look(actor("lead"), "pupil-01", Reason.ROUTINE)
    assert await looks.look(actor("head"), "pupil-00", Reason.ASKED)
    assert await looks.needs_reason(actor("deputy"), "pupil-00")
    clock.moment += timedelta(days=1)
    assert await looks.needs_reason(actor("lead"), "pupil-00")
    assert await looks.look(actor("lead"), "pupil-00", Reason.REPORTED)
    rows = await Audit(records).rows(None, 100)
    assert [(row["actor"], row["action"], row["subject"], json.loads(row["detail"])["reason"]) for row in rows] == [
        ("Lead Smith", "looked at", "person pupil-00", Reason.REPORTED.words),
        ("Head Smith", "looked at", "person pupil-00", Reason.ASKED.words),
        ("Lead Smith", "looked at", "person pupil-01", Reason.ROUTINE.words),
        ("Lead Smith", "looked at", "person pupil-00", Reason.WORRIED.words),
    ]
    assert not any("Number" in str(tuple(row)) for row in rows)


@pytest.mark.parametrize(
    ("first", "second", "again"),
    [
        # Midnight at the school, which in summer is 23:00 UTC.
        (datetime(2026, 7, 1, 22, 59, tzinfo=UTC), datetime(2026, 7, 1, 23, 1, tzinfo=UTC), True),
        (datetime(2026, 7, 1, 23, 59, tzinfo=UTC), datetime(2026, 7, 2, 0, 1, tzinfo=UTC), False),
    ],
)
async def test_a_day_is_the_school_s_day(
    looks: Looks, clock: Clock, first: datetime, second: datetime, again: bool
) -> None:
    clock.moment = first
    await looks.look(actor("lead"), "pupil-00", Reason.ROUTINE)
    clock.moment = second
    assert await looks.needs_reason(actor("lead"), "pupil-00") is again


# The rules


@pytest.mark.parametrize(
    ("today", "earlier", "met"),
    [
        (MANY_PEOPLE, [], False),
        (MANY_PEOPLE + 1, [], True),
        (MANY_PEOPLE + 1, [1, 1, 2], True),
        (MANY_PEOPLE + 1, [6, 6, 6], False),  # 18 is three times a usual day
        (18, [6, 6, 6], False),
        (19, [6, 6, 6], True),
        (19, [6, 6, 90], True),  # one odd day does not make the next one usual
        (60, [30, 30], False),
    ],
)
def test_many_pupils_in_one_day(today: int, earlier: list[int], met: bool) -> None:
    assert (Rule.MANY in unusual(Access(today, earlier, 0, 1))) is met


@pytest.mark.parametrize(("outside", "met"), [(0, False), (OUTSIDE_HOURS, False), (OUTSIDE_HOURS + 1, True)])
def test_more_than_two_outside_school_hours(outside: int, met: bool) -> None:
    assert (Rule.OUTSIDE in unusual(Access(outside, [], outside, 1))) is met


@pytest.mark.parametrize(("days", "met"), [(0, False), (ONE_PERSON_DAYS - 1, False), (ONE_PERSON_DAYS, True)])
def test_one_pupil_again_and_again(days: int, met: bool) -> None:
    assert (Rule.ONE_PERSON in unusual(Access(1, [1] * days, 0, days))) is met


@given(st.integers(0, 300), st.lists(st.integers(1, 300), max_size=27), st.integers(0, 300), st.integers(0, 28))
def test_fewer_looks_are_never_more_unusual(today: int, earlier: list[int], outside: int, days: int) -> None:
    more = set(unusual(Access(today + 1, earlier, outside + 1, days + 1)))
    assert set(unusual(Access(today, earlier, outside, days))) <= more


@pytest.mark.parametrize("rule", Rule)
def test_words_name_the_member_of_staff_and_their_number(rule: Rule) -> None:
    said = words(rule, "Jo Smith", Access(23, [2, 4, 9], 23, 23))
    assert said.startswith("Jo Smith ")
    assert "23" in said


@pytest.mark.parametrize(
    ("day", "at", "outside"),
    [
        (24, time(10), False),
        (24, time(7, 29), True),
        (24, time(7, 30), False),
        (24, time(17, 29), False),
        (24, time(17, 30), True),
        (24, time(23), True),
        (25, time(11), True),  # closed
        (28, time(11), True),  # a Saturday
    ],
)
def test_outside_school_is_night_weekend_and_closure(day: int, at: time, outside: bool) -> None:
    closure = Closure(first_day=date(2026, 11, 25), last_day=date(2026, 11, 25), why="training")
    timetable = Timetable(TimetableSettings(closures=(closure,)), "Europe/London")
    moment = datetime.combine(date(2026, 11, day), at, tzinfo=UTC)
    assert outside_hours(moment, timetable.in_school) is outside


# Telling


async def open_pages(looks: Looks, account: str, number: int, first: int = 0) -> None:
    for person in range(first, first + number):
        assert await looks.look(actor(account), f"pupil-{person:02}", Reason.ROUTINE)


async def told(notices: Notices) -> set[str]:
    return {name for name, _ in ACCOUNTS if notices.waiting(name)}


@pytest.mark.parametrize(
    ("account", "gone", "expected"),
    [
        ("deputy", [], {"head", "head-2"}),
        ("lead", [], {"head", "head-2"}),
        ("head", [], {"lead", "governor"}),  # a head is no judge of a head
        ("deputy", ["head", "head-2"], {"lead", "governor"}),
        ("lead", ["head", "head-2"], {"governor"}),
        ("lead", ["head", "head-2", "governor"], {"dpo"}),
        ("lead", ["head", "head-2", "governor", "dpo"], set()),
    ],
)
async def test_unusual_access_is_told_to_somebody_else(
    records: Database, looks: Looks, notices: Notices, account: str, gone: list[str], expected: set[str]
) -> None:
    async with records.transaction() as tx:
        await tx.executemany(
            "UPDATE staff_accounts SET state = 'disabled' WHERE id = ?", [(account,) for account in gone]
        )
    await open_pages(looks, account, MANY_PEOPLE + 1)
    assert await told(notices) == expected
    (day,) = await looks.days(actor("governor" if account == "head" else "head"), looks.today())
    assert day["unusual"]
    assert day["told"] == len(expected)


async def test_what_is_told_is_told_once_a_day_and_names_no_pupil(
    records: Database, looks: Looks, notices: Notices, clock: Clock
) -> None:
    await open_pages(looks, "deputy", MANY_PEOPLE)
    assert await told(notices) == set()
    await open_pages(looks, "deputy", 20, first=MANY_PEOPLE)
    (notice,) = await notices.unread(actor("head"))
    assert notice["words"].startswith("Deputy Smith opened the pages of 16 different pupils")
    assert notice["link"] == "/audit/looks?account=deputy&day=2026-11-24"
    assert "Number" not in notice["words"]
    clock.moment += timedelta(days=1)
    await open_pages(looks, "deputy", PUPILS)  # 35 yesterday: three times that is more
    assert len(await notices.unread(actor("head"))) == 1
    clock.moment += timedelta(days=28)
    await open_pages(looks, "deputy", MANY_PEOPLE + 1)
    assert len(await notices.unread(actor("head"))) == 2


async def test_looks_at_night_are_told_of(looks: Looks, notices: Notices, clock: Clock) -> None:
    clock.moment = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)
    await open_pages(looks, "teacher", 3)
    (notice,) = await notices.unread(actor("head"))
    assert "3 pupils" in notice["words"]
    assert "closed" in notice["words"]


@pytest.mark.parametrize(("reason", "notices_made"), [(Reason.WORRIED, 1), (Reason.REPORTED, 0), (Reason.ASKED, 0)])
async def test_one_pupil_day_after_day_is_told_once_in_four_weeks(
    looks: Looks, notices: Notices, clock: Clock, reason: Reason, notices_made: int
) -> None:
    for day in range(ONE_PERSON_DAYS + 5):
        await looks.look(actor("teacher"), "pupil-01", reason if day == 3 else Reason.WORRIED)
        clock.moment += timedelta(days=1)
    found = [row for row in await notices.unread(actor("head")) if "one pupil" in row["words"]]
    assert len(found) == notices_made


async def test_the_audit_does_not_say_whose_access_was_unusual(records: Database, looks: Looks) -> None:
    await open_pages(looks, "deputy", MANY_PEOPLE + 1)
    said = [row for row in await audited(records) if row[1] == "told of unusual access"]
    assert said == [("the appliance", "told of unusual access", "many pupils")]


@pytest.mark.parametrize(
    ("reader", "sees"),
    [("head", True), ("governor", True), ("dpo", True), ("lead", False), ("deputy", False), ("it", False)],
)
async def test_what_was_unusual_is_read_by_those_who_watch_but_not_of_themselves(
    looks: Looks, reader: str, sees: bool
) -> None:
    await open_pages(looks, "lead", MANY_PEOPLE + 1)
    (row,) = await looks.days(actor(reader), looks.today())
    assert (row["people"], bool(row["unusual"]), row["told"]) == (MANY_PEOPLE + 1, sees, 2 if sees else None)


# Reading


async def test_days_are_numbers_and_names_are_for_those_who_may_see_them(looks: Looks, clock: Clock) -> None:
    await looks.look(actor("lead"), "pupil-00", Reason.WORRIED)
    await looks.look(actor("lead"), "pupil-30", Reason.ROUTINE)
    clock.moment = datetime(2026, 11, 24, 22, 0, tzinfo=UTC)
    await looks.look(actor("lead"), "guest", Reason.ASKED)
    today = looks.today()
    for reader in ("head", "it", "dpo", "governor"):
        (row,) = await looks.days(actor(reader), today)
        assert (row["day"], row["name"], row["people"], row["outside"]) == ("2026-11-24", "Lead Smith", 3, 1)
    assert [row["name"] for row in await looks.of_day(actor("head"), "lead", today)] == [
        *("Pupil Number0", "Pupil Number30", "Some Guest"),
    ]
    assert [row["name"] for row in await looks.of_day(actor("teacher"), "lead", today)] == ["Pupil Number0"]
    for reader in ("it", "dpo", "governor"):
        assert await looks.of_day(actor(reader), "lead", today) == []
    assert await looks.of_day(actor("head"), "lead", today - timedelta(days=1)) == []


async def test_days_come_four_weeks_at_a_time(looks: Looks, clock: Clock) -> None:
    await looks.look(actor("lead"), "pupil-00", Reason.WORRIED)
    clock.moment += timedelta(days=27)
    await looks.look(actor("head"), "pupil-00", Reason.WORRIED)
    today = looks.today()
    assert [row["name"] for row in await looks.days(actor("it"), today)] == ["Head Smith", "Lead Smith"]
    assert [row["name"] for row in await looks.days(actor("it"), today, account="lead")] == ["Lead Smith"]
    assert [row["name"] for row in await looks.days(actor("it"), today + timedelta(days=1))] == ["Head Smith"]
    assert await looks.newest_day(today - timedelta(days=1)) == date(2026, 11, 24)
    assert await looks.newest_day(date(2026, 11, 23)) is None
    assert await looks.newest_day(today, "lead") == date(2026, 11, 24)


@pytest.mark.parametrize(
    ("reader", "seen"),
    [
        ("teacher", {"pupil-00": "Pupil Number0"}),
        ("lead", {"pupil-00": "Pupil Number0", "pupil-30": "Pupil Number30"}),
        ("head", {"pupil-00": "Pupil Number0", "pupil-30": "Pupil Number30", "colleague": "A Colleague"}),
        ("it", {}),
    ],
)
async def test_names_are_given_to_those_who_may_see_them(looks: Looks, reader: str, seen: dict[str, str]) -> None:
    found = await looks.names(actor(reader), ["pupil-00", "pupil-30", "colleague", "nobody"])
    assert found == {"pupil-00": None, "pupil-30": None, "colleague": None, **seen}
    assert await looks.names(actor(reader), []) == {}


async def test_looks_are_kept_for_a_school_year_and_the_audit_for_good(
    records: Database, looks: Looks, clock: Clock
) -> None:
    await open_pages(looks, "deputy", MANY_PEOPLE + 1)
    day = looks.today()
    clock.moment += KEPT
    await looks.forget()
    assert len(await looks.of_day(actor("head"), "deputy", day)) == MANY_PEOPLE + 1
    clock.moment += timedelta(days=1)
    await looks.forget()
    assert await looks.of_day(actor("head"), "deputy", day) == []
    assert await records.fetch("SELECT * FROM unusual_looks") == []
    assert len(await audited(records)) == MANY_PEOPLE + 2


async def test_a_person_who_is_erased_takes_the_looks_along(records: Database, looks: Looks) -> None:
    await looks.look(actor("lead"), "pupil-00", Reason.WORRIED)
    async with records.transaction() as tx:
        await tx.execute("DELETE FROM people WHERE id = 'pupil-00'")
    assert await records.fetch("SELECT * FROM looks") == []
