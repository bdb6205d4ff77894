"""How much of a policy counts for whom and when: the closest choice, the hours, and what is left of findings."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import pytest_asyncio
from accounts import no_store_is_left_open
from hypothesis import given
from hypothesis import strategies as st

from appliance.access import Role
from appliance.api import TimetableSettings
from appliance.clock import new_id, now, stamp
from appliance.hookspecs import Circumstances
from appliance.observations import Finding, Observation, Severity, Surface
from appliance.people.directory import Details
from appliance.testing import HELP_SEEKING, Client, Home, Running, free_port, start_in_process
from appliance_plugins.keyword.choices.levels.hours import SchoolClock, hours_words
from appliance_plugins.keyword.choices.levels.model import Level, Rules, Timed, Whom, decide, weigh
from appliance_plugins.keyword.choices.model import LEVELS

__all__ = ["no_store_is_left_open"]

LONDON = "Europe/London"
TYPED = frozenset({Surface.TYPED})
loop = pytest.mark.asyncio(loop_scope="module")


def finding(term: str = "bullying/loser", severity: Severity = Severity.MINOR, **changed: Any) -> Finding:
    category = changed.pop("category", term.partition("/")[0])
    return Finding("A policy", "1", term, "words", category, severity, "What it means.", 0, 1, **changed)


def rules(level: str = "all", changed: frozenset[str] = frozenset(), names: frozenset[str] = frozenset()) -> Rules:
    return Rules(lambda _: level, changed, names, lambda _: TYPED)


# What is left of findings


@pytest.mark.parametrize(
    ("level", "kept"),
    [
        ("off", []),
        ("severe", ["severe"]),
        ("moderate", ["severe", "moderate"]),
        ("all", ["severe", "moderate", "minor"]),
        ("reading", ["severe", "moderate", "minor"]),
    ],
)
def test_a_level_leaves_what_is_at_least_that_severe(level: str, kept: list[str]) -> None:
    found = weigh([finding(severity=one) for one in Severity], Surface.TYPED, rules(level))
    assert [one.severity.value for one in found] == kept


@given(st.sampled_from(sorted(LEVELS)), st.sampled_from(Surface), st.booleans())
def test_the_test_phrase_always_counts(level: str, surface: Surface, changed: bool) -> None:
    test = finding("test", category="test", is_test=True)
    assert weigh([test], surface, rules(level, frozenset({"test"} if changed else ()))) == [test]


@given(st.sampled_from(sorted(set(LEVELS) - {"off"})), st.sampled_from(["suicide", "self_harm"]))
def test_only_off_takes_severe_findings_about_suicide_away(level: str, category: str) -> None:
    grave = finding(f"{category}/x", Severity.SEVERE)
    assert weigh([grave], Surface.TYPED, rules(level)) == [grave]
    assert weigh([grave], Surface.TYPED, rules("off")) == []


def test_only_the_level_for_reading_counts_what_is_not_looked_for_in_pages() -> None:
    assert weigh([finding()], Surface.PAGE, rules("all")) == []
    assert weigh([finding()], Surface.PAGE, rules("reading")) == [finding()]


def test_what_is_switched_off_or_has_a_copy_does_not_count_even_if_it_was_found() -> None:
    assert weigh([finding()], Surface.TYPED, rules(changed=frozenset({"bullying/loser"}))) == []
    copy = finding("bullying/loser-ours")
    assert weigh([copy], Surface.TYPED, rules(changed=frozenset({"bullying/loser"}))) == [copy]


def test_a_name_counts_while_it_is_watched_for_whatever_the_level() -> None:
    name = finding("names_watched_for/n1", Severity.MODERATE, category="bullying")
    assert weigh([name], Surface.TYPED, rules("off", names=frozenset({"n1"}))) == [name]
    assert weigh([name], Surface.TYPED, rules("reading")) == []


# Which level


def timed(**changed: Any) -> Timed:
    fields: dict[str, Any] = {
        "id": "t", "policy": "", "level": "off", "target_kind": "all", "target": "", "span": "hours", "days": (),
        "start": "", "finish": "", "school_days": False, "author": "Lena", "reason": "x",
    }  # fmt: skip
    return Timed(**{**fields, **changed})


@pytest.mark.parametrize(
    ("lasting", "hours", "level"),
    [
        (Level("all", ""), [], "all"),
        (Level("all", ""), [timed()], "off"),
        (Level("all", "", "group"), [timed()], "all"),
        (Level("all", "", "group"), [timed(target_kind="group", target="g")], "off"),
        (Level("reading", "", "person"), [timed(target_kind="group", target="g")], "reading"),
        (Level("reading", "", "device"), [timed(target_kind="group", target="g")], "reading"),
        (Level("all", "", "networks"), [timed(target_kind="group", target="g")], "off"),
        (Level("all", ""), [timed(), timed(level="severe", policy="bullying")], "severe"),
        (Level("all", ""), [timed(), timed(level="severe", policy="suicide")], "off"),
        (Level("all", ""), [timed(), timed(level="moderate")], "moderate"),
        (Level("all", ""), [timed(level="reading"), timed(target_kind="networks", target="n")], "off"),
    ],
)
def test_the_closest_choice_decides_and_of_two_that_are_equal_the_hour(
    lasting: Level, hours: list[Timed], level: str
) -> None:
    assert decide("bullying", lasting, hours).level == level


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("span", "moment", "inside"),
    [
        (timed(days=("friday",), start="18:00", finish="07:00"), "2026-11-27 17:59:59", False),
        (timed(days=("friday",), start="18:00", finish="07:00"), "2026-11-27 18:00", True),
        (timed(days=("friday",), start="18:00", finish="07:00"), "2026-11-28 06:59:59", True),
        (timed(days=("friday",), start="18:00", finish="07:00"), "2026-11-28 07:00", False),
        (timed(days=("sunday",), start="00:30", finish="02:30"), "2026-03-29 00:30", True),  # the clock goes forward
        (timed(days=("sunday",), start="00:30", finish="02:30"), "2026-03-29 01:29", True),
        (timed(days=("sunday",), start="00:30", finish="02:30"), "2026-03-29 01:30", False),
        (timed(days=("sunday",), start="00:30", finish="01:30"), "2026-10-25 00:29", True),  # and back
        (timed(days=("sunday",), start="00:30", finish="01:30"), "2026-10-25 01:00", False),
        (timed(days=("monday",), start="00:00", finish="00:00"), "2026-11-30 23:59", True),
        (timed(span="in_school"), "2026-11-27 08:30", True),
        (timed(span="in_school"), "2026-11-27 15:30", False),
        (timed(span="out_of_school"), "2026-11-28 10:00", True),
        (
            timed(days=("friday", "saturday"), start="10:00", finish="11:00", school_days=True),
            "2026-11-28 10:30",
            False,
        ),
        (timed(days=("friday", "saturday"), start="10:00", finish="11:00", school_days=True), "2026-11-27 10:30", True),
    ],
)
def test_hours_begin_and_end_at_the_minute_of_the_schools_clock(span: Timed, moment: str, inside: bool) -> None:
    assert SchoolClock(TimetableSettings(), LONDON).in_force(span, at(moment)) is inside


def test_a_closure_is_no_school_day() -> None:
    settings = TimetableSettings.model_validate(
        {"closures": [{"first_day": "2026-11-27", "last_day": "2026-11-27", "why": "Snow"}]}
    )
    span = timed(days=("friday",), start="10:00", finish="11:00", school_days=True)
    assert not SchoolClock(settings, LONDON).in_force(span, at("2026-11-27 10:30"))
    assert SchoolClock(settings, LONDON).in_force(
        timed(**{"days": ("friday",), "start": "10:00", "finish": "11:00"}), at("2026-11-27 10:30")
    )


def test_hours_are_said_in_words() -> None:
    assert hours_words(timed(span="in_school")) == "While school is in"
    span = timed(days=("friday",), start="18:00", finish="07:00", school_days=True)
    assert hours_words(span) == "Friday, 18:00 to 07:00 of the next day, on school days"


# On a running appliance


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("levels") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    home.write("groups: [{name: lab, title: The lab, addresses: [10.7.1.0/24]}]\nplugins: {keyword: {}}\n")
    found = await start_in_process(home)
    yield found
    await found.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lead(running: Running) -> Client:
    return await running.as_role(Role.LEAD, name="Lena Lead")


def choices(running: Running) -> Any:
    return running.appliance.plugins._registered["keyword"].plugin.choices


def level(running: Running, policy: str = "bullying", **whom: str) -> str:
    return str(choices(running).levels.level(policy, Whom(**whom), at("2026-11-27 10:00")).level)


FORM = {"policy": "bullying", "group": "everybody", "name": "", "level": "severe", "reason": "Exams", "last_day": ""}


@loop
async def test_levels_are_set_for_everybody_a_group_a_room_and_a_person_and_undone(
    running: Running, lead: Client
) -> None:
    directory = running.appliance.directory
    pupil = await directory.add(lead.actor, Details("pupil", "Bea Pupil"))
    group = await directory.groups.make(lead.actor, "list", "Year 9")
    await directory.groups.add_people(lead.actor, group, [pupil])
    assert (await lead.post("/keyword/levels", {**FORM, "reason": ""})).status == 422
    assert (await lead.post("/keyword/levels", {**FORM, "policy": "none"})).status == 422
    nobody = await lead.post("/keyword/levels", {**FORM, "name": "Nobody Here", "last_day": "2020-01-01"})
    assert '<a href="#name">There is no device and nobody called' in nobody.text
    assert all(f'id="{field}-error"' in nobody.text for field in ("name", "last_day"))
    ending = await lead.post("/keyword/levels", {**FORM, "last_day": "2099-12-12"})
    assert ending.status == 422
    assert '<a href="#last_day">For everybody there is no last day.' in ending.text
    assert 'id="last_day-error"' in ending.text
    assert 'value="2099-12-12"' in ending.text
    for change, person, expected in (
        ({}, {}, "severe"),
        ({"group": "networks:lab", "level": "moderate"}, {"address": "10.7.1.4"}, "moderate"),
        ({"group": f"group:{group}", "level": "all"}, {"person": pupil, "address": "10.7.1.4"}, "all"),
        ({"name": "Bea Pupil", "level": "reading"}, {"person": pupil}, "reading"),
    ):
        done = await lead.post("/keyword/levels", {**FORM, **change})
        assert done.status == 303, done.text
        assert level(running, **person) == expected
    assert level(running) == "severe"
    assert "bullying" in choices(running).library.decisions.reading
    page = (await lead.get("/keyword/levels")).text
    for words in ("Bea Pupil", "Year 9", "The lab", "Severe only", "Exams"):
        assert words in page
    answer = await lead.post("/keyword/explain", {"person": "Bea Pupil", "device": "", "address": "", "at": ""})
    assert "For Bea Pupil: set by Lena Lead: Exams" in answer.text
    assert "Everything, in what they read too" in answer.text
    nobody = await lead.post("/keyword/explain", {"person": "Nobody Here"})
    assert (nobody.status, "There is nobody called" in nobody.text) == (422, True)
    rows = await running.appliance.records.fetch("SELECT * FROM audit WHERE subject LIKE 'keyword:bullying of person%'")
    assert [("Exams" in row["detail"]) for row in rows] == [False]
    for target, row in running.appliance.assignments.in_force("keyword:bullying"):
        assert (await lead.post("/keyword/levels/undo", {"policy": "bullying", "id": row["id"]})).status == 303, target
    assert level(running, person=pupil) == "severe"
    assert choices(running).library.decisions.reading == ()
    (row_id,) = [one.id for one in choices(running)._level_store.kept.for_all.values()]
    assert (await lead.post("/keyword/levels/undo", {"policy": "bullying", "id": row_id})).status == 303
    assert level(running) == "all"
    assert (await lead.post("/keyword/levels/undo", {"policy": "bullying", "id": row_id})).status == 422


MEANT = "nothing of bullying"
TIME = {
    "policy": "all", "group": "everybody", "level": "off", "reason": "Loaned devices", "span": "hours",
    "friday": "yes", "start": "10:00", "finish": "11:00", "last_day": "",
}  # fmt: skip


@loop
async def test_a_level_for_certain_hours_is_set_and_undone(running: Running, lead: Client) -> None:
    for change, words in (
        ({"span": ""}, "Choose when"),
        ({"friday": None}, "Choose a day"),
        ({"start": "noon"}, "Give a time such as 15:30"),
        ({"reason": ""}, "Say why"),
        ({"last_day": "2020-01-01"}, "lies in the past"),
    ):
        fields = {name: value for name, value in {**TIME, **change}.items() if value is not None}
        wrong = await lead.post("/keyword/times", fields)
        assert (wrong.status, words in wrong.text) == (422, True), words
    empty = (await lead.post("/keyword/times", {})).text
    assert re.findall(r'<a href="#(\w+)">', empty)[-5:] == ["policy", "group", "level", "span", "reason"]
    assert (await lead.post("/keyword/times", TIME)).status == 303
    assert level(running) == "off"
    page = (await lead.get("/keyword/times")).text
    for words in ("Friday, 10:00 to 11:00", "Loaned devices", "All policies", "Everybody"):
        assert words in page
    subject = Circumstances(None, None, frozenset(), "", at("2026-11-27 10:59:59"))
    seen = Observation(new_id(), stamp(), Surface.TYPED, "words")
    assert await choices(running).weigh(subject, seen, [finding()]) == []
    after = Circumstances(None, None, frozenset(), "", at("2026-11-27 11:00"))
    assert await choices(running).weigh(after, seen, [finding()]) == [finding()]
    until = f"until the end of {now() + timedelta(days=9):%a %-d %b %Y}"
    ending = {**TIME, "last_day": f"{now() + timedelta(days=9):%Y-%m-%d}", "span": "hours"}
    (one,) = choices(running)._level_store.kept.timed
    assert (await lead.post("/keyword/times/undo", {"id": one.id})).status == 303
    assert (await lead.post("/keyword/times", ending)).status == 303
    assert until in (await lead.get("/keyword/times")).text
    asked = await lead.post("/keyword/explain", {"at": "2026-11-27T10:30"})
    assert until in asked.text
    (one,) = choices(running)._level_store.kept.timed
    assert (await lead.post("/keyword/times/undo", {"id": one.id})).status == 303
    assert level(running) == "all"


@loop
async def test_who_sees_captures_sees_levels_and_does_not_set_them(running: Running) -> None:
    pastoral = await running.as_role(Role.PASTORAL)
    assert "Set a level" not in (await pastoral.get("/keyword/levels")).text
    assert (await pastoral.post("/keyword/levels", FORM)).status == 403
    assert (await pastoral.post("/keyword/times", TIME)).status == 403


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deputy(running: Running) -> Client:
    return await running.as_role(Role.DEPUTY, name="Dan Deputy")


@loop
async def test_nothing_for_everybody_is_what_the_lead_decides(running: Running, lead: Client, deputy: Client) -> None:
    nothing = {**FORM, "level": "off"}
    hours = {**TIME, "policy": "bullying"}
    for path, fields in (("/keyword/levels", nothing), ("/keyword/times", hours)):
        tried = await deputy.post(path, fields)
        assert (tried.status, "Only the safeguarding lead can choose “Nothing” for everybody" in tried.text) == (
            422,
            True,
        ), path
    assert (await deputy.post("/keyword/times", TIME)).status == 422  # all policies
    assert level(running) == "all"
    for path, fields in (("/keyword/levels", nothing), ("/keyword/times", hours)):  # who will be there?
        assert (await deputy.post(path, {**fields, "group": "networks:lab"})).status == 422, path
    assert (await lead.post("/keyword/levels", {**nothing, "group": "networks:lab"})).status == 303
    assert (level(running), level(running, address="10.7.1.4")) == ("all", "off")
    directory = running.appliance.directory
    pupils = [await directory.add(lead.actor, Details("pupil", f"Pupil {number}")) for number in range(12)]
    groups = [await directory.groups.make(lead.actor, "list", name) for name in ("Most", "Some")]
    for group, members in zip(groups, (pupils, pupils[:3]), strict=True):
        await directory.groups.add_people(lead.actor, group, members)
    for path, fields in (("/keyword/levels", nothing), ("/keyword/times", hours)):
        tried = [(await deputy.post(path, {**fields, "group": f"group:{group}"})).status for group in groups]
        assert tried == [422, 303], path
    assert (await undo_hours(running, deputy)).status == 303
    assert (await deputy.post("/keyword/levels", FORM)).status == 303
    assert level(running) == "severe"
    assert (await undo_for_all(running, deputy)).status == 303  # her own
    asked = await lead.post("/keyword/levels", nothing)
    assert (asked.status, level(running)) == (422, "all")
    assert "would be looked for on any device" in asked.text
    assert '<a href="#sure">' in asked.text
    meant_otherwise = {**nothing, "sure": "nothing of suicide"}
    assert (await lead.post("/keyword/levels", meant_otherwise)).status == 422
    assert (await lead.post("/keyword/levels", {**nothing, "sure": "nothing of bullying"})).status == 303
    assert level(running) == "off"
    told = [row["words"] for row in await running.appliance.notices.all(deputy.actor)]
    assert any("nothing of the policy “Bullying and trolling” counts for anybody" in words for words in told)
    assert not any("counts for anybody" in row["words"] for row in await running.appliance.notices.all(lead.actor))
    assert (await undo_for_all(running, deputy)).status == 303  # more counts without it


@loop
async def test_a_deputy_does_not_undo_what_the_lead_made_stricter(
    running: Running, lead: Client, deputy: Client
) -> None:
    assert (await lead.post("/keyword/levels", {**FORM, "level": "off", "sure": MEANT})).status == 303
    assert (await lead.post("/keyword/levels", {**FORM, "level": "reading"})).status == 303
    tried = await undo_for_all(running, deputy)
    assert (tried.status, "Without this, nothing may count for everybody" in tried.text) == (422, True)
    assert (await lead.post("/keyword/times", {**TIME, "policy": "bullying", "level": "moderate"})).status == 303
    hours = await undo_hours(running, deputy)
    assert hours.status == 303  # it made less count

    assert (await deputy.post("/keyword/levels", {**FORM, "level": "severe"})).status == 303  # said, with a reason
    assert (await lead.post("/keyword/levels", {**FORM, "level": "all"})).status == 303
    tried = await undo_for_all(running, deputy)
    assert (tried.status, "Lena Lead has set this, and less would count without it" in tried.text) == (422, True)
    assert level(running) == "all"
    for _ in range(4):
        assert (await undo_for_all(running, lead)).status == 303
    assert level(running) == "all"


@loop
async def test_hours_in_which_more_counts_are_not_undone_by_a_deputy_either(
    running: Running, lead: Client, deputy: Client
) -> None:
    assert (await lead.post("/keyword/levels", {**FORM, "level": "off", "sure": MEANT})).status == 303
    assert (await deputy.post("/keyword/times", {**TIME, "policy": "bullying", "level": "all"})).status == 303
    tried = await undo_hours(running, deputy)
    assert (tried.status, "nothing may count for everybody" in tried.text) == (422, True)
    assert level(running) == "all"
    assert (await undo_for_all(running, lead)).status == 303
    assert (await undo_hours(running, deputy)).status == 303


async def undo_for_all(running: Running, client: Client) -> Any:
    kept = choices(running)._level_store.kept.for_all["bullying"]
    return await client.post("/keyword/levels/undo", {"policy": "bullying", "id": kept.id})


async def undo_hours(running: Running, client: Client) -> Any:
    (kept,) = choices(running)._level_store.kept.timed
    return await client.post("/keyword/times/undo", {"id": kept.id})
