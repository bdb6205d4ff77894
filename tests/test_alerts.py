"""Alerts: opened with what they are about, brought to one after the other, taken, closed; quiet while presenting."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest
from seeding_captures import (
    ILLEGAL,
    MINOR,
    MODERATE,
    SEVERE,
    TEST,
    CaptureSchool,
    Member,
    Story,
    a_capture_school,
    messages,
    seen,
)

from appliance.access import LOCKED, Role
from appliance.alerts.alerting import OUTSIDE_SCHOOL, TOPIC, Alerts, message_of
from appliance.alerts.presenting import QUIET_FOR
from appliance.captures.statuses import Status
from appliance.errors import Refused
from appliance.hookspecs import State
from appliance.loading import resource
from appliance.migrate import read_folder, statements

EVERYONE = ("everyone", "")
PATIENCE = timedelta(minutes=15)


@dataclass
class Team:
    """A lead, a deputy and a head, all of whom may see everybody."""

    school: CaptureSchool
    lead: Member
    deputy: Member
    head: Member

    async def alert(self, *, person: str | None = None) -> str:
        """An alert about a Severe capture; its id."""
        capture = await self.school.keep(seen(SEVERE, person=person))
        return await self.of(capture)

    async def of(self, capture: str) -> str:
        """The id of the alert that a capture belongs to."""
        row = await self.school.records.fetch_one(
            "SELECT alert_id FROM alert_captures WHERE capture_id = ?", (capture,)
        )
        assert row is not None
        return str(row["alert_id"])

    async def steps(self, alert: str, who: Member | None = None) -> list[tuple[str, list[str]]]:
        rows = await self.school.alerts.steps((who or self.lead).actor, alert)
        return [(row["what"], json.loads(row["names"])) for row in rows]


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with a_capture_school(tmp_path) as school:
        lead = await school.member("Lea", Role.LEAD, EVERYONE)
        deputy = await school.member("Dev", Role.DEPUTY, EVERYONE)
        head = await school.member("Hal", Role.HEAD, EVERYONE, opens=False)
        yield Team(school, lead, deputy, head)


@pytest.mark.parametrize(("story", "opens"), [(SEVERE, True), (TEST, True), (MODERATE, False), (MINOR, False)])
async def test_what_is_severe_and_what_is_a_test_opens_an_alert(team: Team, story: object, opens: bool) -> None:
    await team.school.captures.keep(seen(story))  # type: ignore[arg-type]
    assert bool(await team.school.alerts.open(team.lead.actor)) == opens
    assert bool(await team.school.events()) == opens


async def test_an_alert_goes_from_one_to_the_next_until_somebody_takes_it(team: Team) -> None:
    school, alert = team.school, await team.alert()
    assert await team.steps(alert) == [("opened", []), ("told", ["Lea"])]
    school.clock.forward(PATIENCE - timedelta(seconds=1))
    await school.alerts.escalate()
    assert len(await team.steps(alert)) == 2
    school.clock.forward(timedelta(seconds=1))
    await school.alerts.escalate()
    await school.alerts.escalate()
    assert (await team.steps(alert))[2:] == [("told", ["Dev"])]
    school.clock.forward(PATIENCE)
    await school.alerts.escalate()
    assert (await team.steps(alert))[3:] == [("told", ["Hal"])]
    for _ in range(4):
        school.clock.forward(PATIENCE)
        await school.alerts.escalate()
        await school.alerts.escalate()
    assert (await team.steps(alert))[4:] == [("told", [name]) for name in ("Lea", "Dev", "Hal", "Lea")], "round again"
    raised = [json.loads(one) for one in await school.events()]
    assert [(one["step"], one["accounts"]) for one in raised[:4]] == [
        (0, [team.lead.actor.account]), (1, [team.deputy.actor.account]), (2, [team.head.actor.account]),
        (3, [team.lead.actor.account]),
    ]  # fmt: skip
    assert {(one["kind"], one["severity"], one["category"], one["link"]) for one in raised} == {
        ("capture", "severe", "Suicide", f"/alerts/{alert}")
    }
    assert await school.alerts.acknowledge(team.head.actor, alert), "it can be taken however late it is"
    school.clock.forward(PATIENCE * 10)
    await school.alerts.escalate()
    assert len(await school.events()) == len(raised)


async def test_outside_school_hours_an_alert_goes_round_once_an_hour(team: Team) -> None:
    school, in_school = team.school, [False]
    school.alerts._in_school = lambda _: in_school[0]
    alert = await team.alert()
    for _ in range(2):  # the first time everybody hears of it as quickly as ever
        school.clock.forward(PATIENCE)
        await school.alerts.escalate()
    assert len(await team.steps(alert)) == 4
    school.clock.forward(OUTSIDE_SCHOOL - timedelta(seconds=1))
    await school.alerts.escalate()
    assert len(await team.steps(alert)) == 4
    school.clock.forward(timedelta(seconds=1))
    await school.alerts.escalate()
    assert (await team.steps(alert))[4:] == [("told", ["Lea"])]
    school.clock.forward(PATIENCE)
    await school.alerts.escalate()
    assert len(await team.steps(alert)) == 5
    in_school[0] = True  # the first bell
    await school.alerts.escalate()
    assert (await team.steps(alert))[5:] == [("told", ["Dev"])]


async def test_where_nobody_on_the_route_may_see_it_everybody_is_told_who_may(tmp_path: Path) -> None:
    async with a_capture_school(tmp_path) as school:
        ada = await school.person("Ada")
        tutor = await school.member("Tess", Role.PASTORAL, ("person", ada))
        await school.member("Lea", Role.LEAD)
        capture = await school.keep(seen(SEVERE, person=ada))
        for _ in range(2):
            school.clock.forward(PATIENCE)
            await school.alerts.escalate()
        raised = [json.loads(one) for one in await school.events()]
        assert [one["accounts"] for one in raised] == [[tutor.actor.account]] * 3
        (check,) = await school.alerts.checks()
        assert check.state is State.GOOD
        assert await school.alerts.of_capture(tutor.actor, capture) is not None


# What comes together


async def test_what_comes_while_nobody_has_taken_it_is_one_alert(team: Team) -> None:
    """One pupil, or the script of a page, drowns nothing: one alert, one mail, every capture in it."""
    school = team.school
    ada, ben, laptop = await school.person("Ada"), await school.person("Ben"), await school.device("Laptop 7")
    first = await school.keep(seen(SEVERE, person=ada))
    async with school.live.subscribe(lambda: team.lead.actor.permissions, team.lead.actor.account) as leads:
        more = [await school.keep(seen(SEVERE, person=ada, device=laptop)) for _ in range(2)]
        assert [topic for topic, _ in messages(leads)] == ["appliance.captures"] * 2, "rows, and no further bar"
    alert = await team.of(first)
    assert {await team.of(one) for one in more} == {alert}
    assert len(await school.events()) == 1
    rows = await school.alerts.steps(team.lead.actor, alert)
    assert [row["words"] for row in rows if row["what"] == "changed"] == [
        f"A further capture was added: {number} captures now." for number in (2, 3)
    ]
    (row,) = await school.alerts.open(team.lead.actor)
    assert row["captures"] == 3
    assert [one["id"] for one in await school.alerts.captures(team.lead.actor, alert)] == [*reversed(more), first]
    others = [
        await school.keep(seen(SEVERE, person=ben)),
        await school.keep(seen(ILLEGAL, person=ada)),
        await school.keep(seen(SEVERE, device=laptop)),
        await school.keep(seen(SEVERE, endpoint="one")),
        await school.keep(seen(SEVERE, endpoint="two")),
        await school.keep(seen(TEST, person=ada)),
    ]
    assert len({alert, *[await team.of(one) for one in others]}) == 7
    same_device = await school.keep(seen(SEVERE, device=laptop, endpoint="another browser"))
    assert await team.of(same_device) == await team.of(others[2])
    assert ("the appliance", "added a capture to an alert") in await school.done()


async def test_an_alert_that_goes_on_says_how_many_captures_there_are(team: Team) -> None:
    school, ada = team.school, await team.school.person("Ada")
    for _ in range(3):
        await school.keep(seen(SEVERE, person=ada))
    school.clock.forward(PATIENCE)
    await school.alerts.escalate()
    assert [json.loads(one)["captures"] for one in await school.events()] == [1, 3]


async def test_what_comes_after_somebody_has_taken_it_is_an_alert_of_its_own(team: Team) -> None:
    school, ada = team.school, await team.school.person("Ada")
    judged, taken = await school.keep(seen(SEVERE, person=ada)), await team.alert(person=ada)
    await school.captures.judging.set_status(team.lead.actor, team.lead.keys, judged, Status.INVESTIGATION)
    second = await team.alert(person=ada)
    assert second != taken
    assert await school.alerts.acknowledge(team.deputy.actor, second)
    assert await team.alert(person=ada) not in (taken, second)
    assert len(await school.events()) == 3


async def test_an_alert_is_over_when_all_its_captures_are_finished_and_goes_with_the_last(team: Team) -> None:
    school, ada, lead = team.school, await team.school.person("Ada"), team.lead
    one, other = [await school.keep(seen(SEVERE, person=ada)) for _ in range(2)]
    alert = await team.of(one)
    judging = school.captures.judging
    await judging.set_status(lead.actor, lead.keys, one, Status.RESOLVED)
    row = await school.alerts.alert(lead.actor, alert)
    assert row is not None
    assert (row["acknowledged_by"], row["closed_at"]) == ("Lea", None)
    async with school.records.transaction() as tx:
        await tx.execute("DELETE FROM captures WHERE id = ?", (one,))
    row = await school.alerts.alert(lead.actor, alert)
    assert row is not None
    assert (row["captures"], row["capture_id"]) == (1, other)
    await judging.set_status(lead.actor, lead.keys, other, Status.FALSE_POSITIVE)
    row = await school.alerts.alert(lead.actor, alert)
    assert row is not None
    assert row["closed_at"] is not None
    async with school.records.transaction() as tx:
        await tx.execute("DELETE FROM captures WHERE id = ?", (other,))
    assert not await school.records.fetch("SELECT 1 FROM alerts")


async def test_a_test_that_comes_again_within_a_minute_is_the_same_test(team: Team) -> None:
    school, laptop = team.school, await team.school.device("Laptop 7")
    first = await team.of(await school.keep(seen(TEST, device=laptop)))
    school.clock.forward(timedelta(seconds=50))
    assert await team.of(await school.keep(seen(TEST, device=laptop))) == first
    assert await team.of(await school.keep(seen(TEST, endpoint="another"))) != first
    school.clock.forward(timedelta(seconds=11))
    assert await team.of(await school.keep(seen(TEST, device=laptop))) != first
    school.clock.moment -= timedelta(days=3)
    ahead = await team.of(await school.keep(seen(TEST, device=laptop)))
    school.clock.moment -= timedelta(days=3)
    assert await team.of(await school.keep(seen(TEST, device=laptop))) != ahead


async def test_a_flood_is_counted_and_not_written_out_one_by_one(team: Team) -> None:
    school, ada = team.school, await team.school.person("Ada")
    for _ in range(25):
        capture = await school.keep(replace(seen(SEVERE, person=ada), picture=None))
    alert = await team.of(capture)
    (row,) = await school.alerts.open(team.lead.actor)
    assert row["captures"] == 25
    assert len(await school.alerts.steps(team.lead.actor, alert)) == 2 + 19


@pytest.mark.parametrize(
    ("story", "kind", "wanted"),
    [(SEVERE, "pupil", True), (SEVERE, "staff", False), (SEVERE, None, True), (TEST, "staff", True)],
    ids=["a pupil", "a colleague", "nobody known", "a test"],
)
async def test_an_alert_is_for_the_team_if_every_lead_may_see_it(
    team: Team, story: Story, kind: str | None, wanted: bool
) -> None:
    school = team.school
    person = await school.person("Tom", kind) if kind else None
    if person is not None and kind == "staff":
        async with school.records.transaction() as tx:
            await tx.execute(
                "INSERT INTO staff_reviewers VALUES (?, ?, '', 'a test')", (person, team.head.actor.account)
            )
    await school.keep(seen(story, person=person))
    assert [json.loads(one)["for_team"] for one in await school.events()] == [wanted]
    if not wanted:  # a second lead who may see pupils only does not change that, nor does one who left
        async with school.records.transaction() as tx:
            await tx.execute("UPDATE staff_accounts SET state = 'disabled' WHERE role <> 'head'")
        await school.keep(seen(ILLEGAL, person=person))
        assert json.loads((await school.events())[-1])["for_team"], "the head alone is the team now"


async def test_it_is_not_for_the_team_while_one_lead_may_not_see_it(team: Team) -> None:
    school = team.school
    ada = await school.person("Ada")
    await school.member("Len", Role.LEAD, ("person", ada))
    await school.keep(seen(SEVERE, person=await school.person("Ben")))
    await school.keep(seen(SEVERE, person=ada))
    assert [json.loads(one)["for_team"] for one in await school.events()] == [False, True]


async def test_what_was_taken_goes_no_further(team: Team) -> None:
    school, alert = team.school, await team.alert()
    assert school.alerts.waiting(team.lead.actor.account) == school.alerts.waiting(team.head.actor.account) == 1
    assert await school.alerts.acknowledge(team.deputy.actor, alert)
    assert not await school.alerts.acknowledge(team.lead.actor, alert)
    school.clock.forward(PATIENCE * 3)
    await school.alerts.escalate()
    assert [what for what, _ in await team.steps(alert)] == ["opened", "told", "acknowledged"]
    assert school.alerts.waiting(team.lead.actor.account) == school.alerts.waiting(team.head.actor.account) == 0
    row = await school.alerts.alert(team.lead.actor, alert)
    assert row is not None
    assert (row["acknowledged_by"], row["closed_at"]) == ("Dev", None)
    assert ("Dev", "took an alert on") in await school.done()


async def test_a_step_without_anybody_is_passed_over(tmp_path: Path) -> None:
    async with a_capture_school(tmp_path) as school:
        head = await school.member("Hal", Role.HEAD, EVERYONE)
        await school.keep(seen(SEVERE))
        (alert,) = await school.alerts.open(head.actor)
        steps = await school.alerts.steps(head.actor, alert["id"])
        assert [(row["what"], row["names"]) for row in steps] == [("opened", "[]"), ("told", '["Hal"]')]


async def test_an_alert_that_nobody_may_see_says_so(tmp_path: Path) -> None:
    async with a_capture_school(tmp_path) as school:
        await school.member("Lea", Role.LEAD)
        await school.keep(seen(SEVERE))
        rows = await school.records.fetch("SELECT what FROM alert_steps ORDER BY number")
        assert [row["what"] for row in rows] == ["opened", "nobody"]
        (raised,) = await school.events()
        assert json.loads(raised)["accounts"] == []
        assert not json.loads(raised)["for_team"]
        (check,) = await school.alerts.checks()
        assert (check.state, check.alarm) == (State.BROKEN, True)
        assert "Nobody could be told of 1 alert" in check.words
        for _ in range(3):  # it is looked for again and again, and said once
            school.clock.forward(PATIENCE)
            await school.alerts.escalate()
        head = await school.member("Hal", Role.HEAD, EVERYONE)
        school.clock.forward(PATIENCE)
        await school.alerts.escalate()
        rows = await school.records.fetch("SELECT what FROM alert_steps ORDER BY number")
        assert [row["what"] for row in rows] == ["opened", "nobody", "told"]
        assert json.loads((await school.events())[-1])["accounts"] == [head.actor.account]
        (check,) = await school.alerts.checks()
        assert check.state is State.GOOD


async def test_only_those_who_may_see_the_pupil_are_told(team: Team) -> None:
    school = team.school
    ada, tom = await school.person("Ada"), await school.person("Tom", "staff")
    tutor = await school.member("Tess", Role.PASTORAL, ("person", ada))
    about_ada, about_tom, unknown = await team.alert(person=ada), await team.alert(person=tom), await team.alert()
    assert {row["id"] for row in await school.alerts.open(tutor.actor)} == {about_ada}
    assert {row["id"] for row in await school.alerts.open(team.lead.actor)} == {about_ada, unknown}
    for alert in (about_tom, unknown):
        assert await school.alerts.alert(tutor.actor, alert) is None
        assert await school.alerts.steps(tutor.actor, alert) == []
        with pytest.raises(Refused, match="not here any more"):
            await school.alerts.acknowledge(tutor.actor, alert)
    assert await team.steps(about_ada) == [("opened", []), ("told", ["Lea"])], "pastoral staff are on no route"


async def test_somebody_who_was_disabled_is_not_told(team: Team) -> None:
    async with team.school.records.transaction() as tx:
        await tx.execute("UPDATE staff_accounts SET state = 'disabled' WHERE name = 'Lea'")
    assert (await team.steps(await team.alert(), team.deputy))[1] == ("told", ["Dev"])


async def test_roles_without_alerts_may_not_ask(team: Team) -> None:
    teacher = await team.school.member("Theo", Role.TEACHER, EVERYONE)
    for attempt in (team.school.alerts.open(teacher.actor), team.school.alerts.presenting.begin(teacher.actor)):
        with pytest.raises(Refused, match="does not allow"):
            await attempt


async def test_it_sees_tests_and_no_alerts_about_pupils(team: Team) -> None:
    it = await team.school.member("Ida", Role.IT, opens=False)
    await team.alert()
    await team.school.keep(seen(TEST))
    assert [row["kind"] for row in await team.school.alerts.open(it.actor)] == ["test"]
    assert team.school.alerts.waiting(it.actor.account) == 1


async def test_a_test_goes_no_further_and_is_over_once_somebody_has_seen_it(team: Team) -> None:
    school = team.school
    await school.keep(seen(TEST))
    (alert,) = await school.alerts.open(team.lead.actor)
    school.clock.forward(PATIENCE * 5)
    await school.alerts.escalate()
    assert len(await school.events()) == 1
    assert await school.alerts.acknowledge(team.lead.actor, alert["id"])
    assert await school.alerts.open(team.lead.actor) == []
    assert [row["id"] for row in (await school.alerts.closed(team.lead.actor, 1)).rows] == [alert["id"]]


# The clock


@pytest.mark.parametrize("jump", [timedelta(days=-30), timedelta(days=30)], ids=["back", "ahead"])
async def test_a_clock_that_is_set_anew_neither_holds_up_nor_hurries_an_alert(team: Team, jump: timedelta) -> None:
    school, alert = team.school, await team.alert()
    await school.alerts.escalate()
    school.clock.moment += jump
    await school.alerts.escalate()
    assert len(await team.steps(alert)) == 2
    school.clock.seconds += PATIENCE.total_seconds()
    await school.alerts.escalate()
    assert len(await team.steps(alert)) == 3


@pytest.mark.parametrize(
    ("away", "goes_on_after"),
    [
        (timedelta(minutes=5), timedelta(minutes=10)),
        (timedelta(hours=3), timedelta()),
        (timedelta(days=-5), PATIENCE),
    ],
    ids=["a while", "too long", "the clock was set back"],
)
async def test_after_a_restart_an_alert_waits_what_is_left(
    team: Team, away: timedelta, goes_on_after: timedelta
) -> None:
    school, alert = team.school, await team.alert()
    school.clock.moment += away
    school.clock.seconds = 0.0  # another stopwatch
    again = Alerts(school.records, school.audit, school.bus, school.live, 15, school.clock, school.clock.monotonic)
    await again.start()
    assert again.waiting(team.lead.actor.account) == 1
    if goes_on_after:
        await again.escalate()
        school.clock.forward(goes_on_after - timedelta(seconds=1))
        await again.escalate()
        assert len(await team.steps(alert)) == 2
        school.clock.forward(timedelta(seconds=1))
    await again.escalate()
    assert len(await team.steps(alert)) == 3


# One piece of work with the capture


async def test_whoever_judges_the_capture_has_the_alert_in_hand(team: Team) -> None:
    school = team.school
    capture = await school.keep(seen(SEVERE))
    judging = school.captures.judging
    await judging.add_note(team.lead.actor, team.lead.keys, capture, "reading it")
    alert = await school.alerts.of_capture(team.lead.actor, capture)
    assert alert is not None
    assert alert["acknowledged_at"] is None, "a note alone takes nothing on"
    await judging.set_status(team.deputy.actor, team.deputy.keys, capture, Status.INVESTIGATION)
    await judging.set_status(team.lead.actor, team.lead.keys, capture, Status.RESOLVED)
    rows = await school.alerts.steps(team.lead.actor, alert["id"])
    assert [(row["what"], row["author"]) for row in rows][2:] == [("acknowledged", "Dev"), ("closed", "Lea")]
    await judging.set_status(team.lead.actor, team.lead.keys, capture, Status.INVESTIGATION)
    assert len(await school.alerts.steps(team.lead.actor, alert["id"])) == 4


# What pages that are open show


async def test_an_open_page_is_told_nothing_but_kind_and_severity(team: Team) -> None:
    school = team.school
    ada = await school.person("Ada Okafor")
    lead, locked = team.lead.actor, team.deputy.actor
    tutor = await school.member("Tess", Role.PASTORAL, ("person", await school.person("Ben")))
    async with (
        school.live.subscribe(lambda: lead.permissions, lead.account) as leads,
        school.live.subscribe(lambda: LOCKED, locked.account) as locks,
        school.live.subscribe(lambda: tutor.actor.permissions, tutor.actor.account) as tutors,
    ):
        alert = await team.alert(person=ada)
        heard = [json.loads(data) for topic, data in messages(leads) if topic == TOPIC]
        assert heard == [
            {"alert": alert, "kind": "capture", "severity": "severe", "words": "A Severe alert has come in",
             "again": "no"}
        ]  # fmt: skip
        assert [(topic, json.loads(data)) for topic, data in messages(locks)] == [(TOPIC, heard[0])]
        assert messages(tutors) == []
        school.clock.forward(PATIENCE)
        await school.alerts.escalate()
        again = [json.loads(data) for topic, data in messages(locks) if topic == TOPIC]
        assert [one["words"] for one in again] == ["A Severe alert waits for somebody"]
        assert messages(leads) == [], "whoever was told before is not told twice"


def test_an_alert_has_no_name_in_it_whatever_it_is_about() -> None:
    network = {"id": "1", "kind": "network", "severity": "", "category": "A second router", "words": "Of Ada’s laptop."}
    assert message_of(network)["words"] == "On the school’s network: A second router"  # type: ignore[arg-type]
    silence = {"id": "1", "kind": "silence", "severity": "", "category": "DNS", "words": "It does not answer."}
    assert message_of(silence)["words"] == "The appliance fell silent: DNS"  # type: ignore[arg-type]
    test = {"id": "1", "kind": "test", "severity": "severe", "category": "Test", "words": ""}
    assert message_of(test)["words"] == "A test alert has come in"  # type: ignore[arg-type]


# Presenting


async def test_while_presenting_a_screen_stays_quiet_and_everything_else_goes_on(team: Team) -> None:
    school, presenting, lead = team.school, team.school.alerts.presenting, team.lead.actor
    assert presenting.until(lead.account) is None
    await presenting.begin(lead)
    assert presenting.until(lead.account) == school.clock() + QUIET_FOR
    async with school.live.subscribe(lambda: lead.permissions, lead.account) as leads:
        async with school.live.subscribe(lambda: LOCKED, team.deputy.actor.account) as deputies:
            alert = await team.alert()
            assert [topic for topic, _ in messages(leads)] == ["appliance.captures"]
            assert [topic for topic, _ in messages(deputies)] == [TOPIC]
        assert len(await school.events()) == 1, "mail goes on"
        school.clock.forward(PATIENCE)
        await school.alerts.escalate()
        assert (await team.steps(alert))[2] == ("told", ["Dev"])
        school.clock.forward(timedelta(minutes=44))
        await school.alerts.escalate()
        assert messages(leads) == []
        school.clock.forward(timedelta(minutes=1))
        await school.alerts.escalate()
        ((topic, data),) = messages(leads)
        assert (topic, json.loads(data)["words"]) == (TOPIC, "Alerts are waiting")
        await school.alerts.escalate()
        assert messages(leads) == []
    assert presenting.until(lead.account) is None


async def test_presenting_survives_a_restart_and_can_be_ended(team: Team) -> None:
    school, lead = team.school, team.lead.actor
    await school.alerts.presenting.begin(lead)
    again = Alerts(school.records, school.audit, school.bus, school.live, 15, school.clock, school.clock.monotonic)
    await again.start()
    assert again.presenting.until(lead.account) is not None
    await again.presenting.end(lead)
    assert again.presenting.until(lead.account) is None
    assert [action for who, action in await school.done() if who == "Lea" and "alerts" in action] == [
        "kept alerts quiet", "let alerts be shown again",
    ]  # fmt: skip


async def test_a_clock_that_was_ahead_keeps_nobody_quiet_for_days(team: Team) -> None:
    school, lead = team.school, team.lead.actor
    school.clock.moment += timedelta(days=30)
    await school.alerts.presenting.begin(lead)
    school.clock.moment -= timedelta(days=30)
    assert school.alerts.presenting.until(lead.account) is None
    await school.alerts.escalate()
    assert not await school.records.fetch("SELECT 1 FROM alert_quiet")


# An older store


def test_alerts_of_before_are_kept_when_their_table_is_written_anew() -> None:
    """Migration 0012 takes the tables of alerts apart; what stood in them, and what guards them, is still there."""
    folder = resource("migrations")
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as store:
        store.execute("PRAGMA foreign_keys = ON")

        def apply(numbers: range) -> None:
            for migration in read_folder(folder):
                if migration.number in numbers:
                    store.execute("BEGIN")
                    for statement in statements(migration.sql):
                        store.execute(statement)
                    store.execute("COMMIT")

        def schema() -> dict[str, str]:
            rows = store.execute("SELECT name, sql FROM sqlite_schema WHERE tbl_name LIKE 'alert%' AND sql IS NOT NULL")
            return {name: sql.replace('"', "") for name, sql in rows}

        apply(range(1, 12))
        store.execute(
            "INSERT INTO alerts (id, kind, severity, category, opened_at, step_at)"
            " VALUES ('a', 'silence', '', 'DNS', 't', 't')"
        )
        store.execute("INSERT INTO alert_steps (alert_id, number, at, what) VALUES ('a', 1, 't', 'opened')")
        before, rows = schema(), store.execute("SELECT * FROM alerts").fetchall()
        apply(range(12, 13))
        after = schema()
        assert after.pop("alerts").replace(", 'network'", "") == before.pop("alerts")
        assert after == before
        assert store.execute("SELECT * FROM alerts").fetchall() == rows
        assert store.execute("SELECT alert_id, what FROM alert_steps").fetchall() == [("a", "opened")]
        with pytest.raises(sqlite3.IntegrityError, match="cannot be taken away"):
            store.execute("DELETE FROM alert_steps")
        store.execute("DELETE FROM alerts")
        assert store.execute("SELECT count(*) FROM alert_steps").fetchone() == (0,)
