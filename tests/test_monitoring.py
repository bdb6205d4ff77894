"""Who is monitored: the rule as a table, what is refused and in which words, trials, and what is written down."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.access import PERMISSIONS, Actor, Role
from appliance.accounts.sessions import KeyRing, Sessions
from appliance.accounts.staff import Staff
from appliance.assignments import Assignments, Target, TargetKind
from appliance.audit import Audit
from appliance.bus import Bus
from appliance.clock import now, stamp
from appliance.db import Database
from appliance.errors import Refused
from appliance.live import Live
from appliance.loading import resource
from appliance.migrate import CORE, migrate
from appliance.monitoring.papers import APPROACHES, Audience, Choice
from appliance.monitoring.subjects import may_be_same
from appliance.monitoring.switching import KIND, NOBODY_OPENS, NOT_SHOWN, OFF, ON, Monitoring, Switch
from appliance.monitoring.trials import LONGEST
from appliance.notices import Notices
from appliance.people.directory import Directory
from appliance.sealing import Keys, new_pair
from appliance.vaults import CAPTURES, Vaults

PEOPLE = {
    "pia": ("pupil", "Pia Pupil", ["7b"]),
    "paul": ("pupil", "Paul Pupil", ["7b", "8c"]),
    "penny": ("pupil", "Penny Pupil", ["8c"]),
    "tom": ("staff", "Tom Teacher", ["7b"]),
    "tess": ("staff", "Tess Tutor", ["7b"]),
    "gwen": ("governor", "Gwen Governor", ["7b"]),
    "gus": ("guest", "Gus Guest", ["7b"]),
}
DEVICES = {"laptop": ["7b"], "tablet": []}
GROUP, OTHER = Target(TargetKind.GROUP, "7b"), Target(TargetKind.GROUP, "8c")
LAPTOP, TABLET = Target(TargetKind.DEVICE, "laptop"), Target(TargetKind.DEVICE, "tablet")
CHOICE = Choice(
    "11 to 16, some with SEND", "Own phones are not monitored", "English, Polish", "Daily", ("device",), "Risk"
)


def person(name: str) -> Target:
    return Target(TargetKind.PERSON, name)


async def run_plainly(*_: object) -> None:
    """Nobody listens in these tests."""


@dataclass
class School:
    """A school with people, accounts and a real store."""

    records: Database
    assignments: Assignments
    directory: Directory
    staff: Staff
    vaults: Vaults
    monitoring: Monitoring

    async def account(
        self, name: str, role: Role | None, state: str = "active", person: str | None = None, *, scope: str = "everyone"
    ) -> Actor:
        async with self.records.transaction() as tx:
            await tx.execute(
                "INSERT INTO staff_accounts"
                " (id, sign_in_name, name, role, person_id, state, made_at, made_by, public_key)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, 'a test', x'00')",
                (name, name, name.title(), role, person, state, stamp()),
            )
            await tx.execute("INSERT INTO staff_scopes VALUES (?, ?, ?)", (name, *scope.partition(" ")[::2]))
            await self.staff.take_after_commit(tx)
        return Actor(name.title(), PERMISSIONS[role], name, role, person)

    async def change_account(self, name: str, column: str, value: str | None) -> None:
        async with self.records.transaction() as tx:
            await tx.execute(f"UPDATE staff_accounts SET {column} = ? WHERE id = ?", (value, name))
            await self.staff.take_after_commit(tx)

    async def let_somebody_open(self) -> None:
        private, public = new_pair()
        await self.account("opener", Role.DEPUTY)
        async with self.records.transaction() as tx:
            await tx.execute("UPDATE staff_accounts SET public_key = ? WHERE id = 'opener'", (public,))
            await self.vaults.found(tx, CAPTURES, "opener", Keys("opener", private))
        await self.monitoring.refresh()

    async def fill_roles(self) -> None:
        for role in (Role.HEAD, Role.GOVERNOR, Role.IT):
            await self.account(f"the {role.value}", role, "invited")

    async def may_go_live(self, lead: Actor) -> None:
        await self.fill_roles()
        await self.monitoring.choices.add(lead, CHOICE)

    async def name_reviewer(self, lead: Actor, *people: str) -> None:
        if self.staff.named("reviewer") is None:
            await self.account("reviewer", Role.HEAD)
        for one in people:
            await self.monitoring.reviewers.name(lead, one, "reviewer")

    async def set(self, target: Target, value: str) -> None:
        """As a switch of another time would have, past what going live needs."""
        await self.assignments.assign("a test", KIND, target, value, "a reason", None)

    async def rows(self, sql: str) -> list[sqlite3.Row]:
        return await self.records.fetch(sql)


@pytest.fixture
async def school(tmp_path: Path) -> AsyncIterator[School]:
    records = Database(tmp_path / "records.db")
    await records.open()
    await migrate(records, CORE, resource("migrations"))
    moment = stamp()
    async with records.transaction() as tx:
        await tx.executemany(
            "INSERT INTO groups VALUES (?, 'form', ?, ?)", [(n, n.upper(), moment) for n in ("7b", "8c")]
        )
        await tx.executemany(
            "INSERT INTO people (id, kind, name, sort_name, added_at) VALUES (?, ?, ?, lower(?), ?)",
            [(one, kind, name, name, moment) for one, (kind, name, _) in PEOPLE.items()],
        )
        await tx.executemany(
            "INSERT INTO group_people VALUES (?, ?)", [(g, one) for one, (*_, groups) in PEOPLE.items() for g in groups]
        )
        await tx.executemany(
            "INSERT INTO devices (id, name, added_at) VALUES (?, ?, ?)", [(d, d, moment) for d in DEVICES]
        )
        await tx.executemany(
            "INSERT INTO group_devices VALUES (?, ?)", [(g, one) for one, groups in DEVICES.items() for g in groups]
        )
    yield await services(records)
    await records.close()


async def services(records: Database) -> School:
    """A generation of services over a store."""
    audit = Audit(records)
    bus = Bus(records, (), run_plainly)
    vaults = Vaults(records, audit)
    sessions = Sessions(records, KeyRing(), timedelta(minutes=15), timedelta(hours=10))
    staff = Staff(records, audit, sessions, vaults, Notices(records, bus, Live()))
    directory = Directory(records, bus, audit)
    assignments = Assignments(records, bus, audit, (), directory)
    monitoring = Monitoring(records, audit, assignments, directory, staff, vaults, "Europe/London")
    for part in (staff, directory, assignments, monitoring):
        await part.start()
    return School(records, assignments, directory, staff, vaults, monitoring)


@pytest.fixture
async def lead(school: School) -> Actor:
    return await school.account("lea", Role.LEAD)


def on(target: Target, **other: object) -> Switch:
    today = now().date()
    wanted = Switch(target, True, "A year of incidents", None, "Online safety policy", today, "Parents by letter")
    return replace(wanted, **other)  # type: ignore[arg-type]


def end_in(days: int) -> datetime:
    """The end of a day in the school's time zone."""
    zone = ZoneInfo("Europe/London")
    return datetime.combine(now().astimezone(zone).date() + timedelta(days=days + 1), time(0), zone)


# The rule


@pytest.mark.parametrize(
    ("switched", "reviewed", "who", "device", "expected"),
    [
        # Nobody, until it is switched on for a group, a device or a person.
        ({}, (), "pia", None, False),
        ({}, (), "pia", "laptop", False),
        ({GROUP: ON}, (), "pia", None, True),
        ({GROUP: ON}, (), "penny", None, False),
        ({OTHER: ON}, (), "paul", None, True),
        ({GROUP: ON, OTHER: OFF}, (), "paul", None, True),
        ({LAPTOP: ON}, (), "penny", "laptop", True),
        ({LAPTOP: ON}, (), "penny", "tablet", False),
        ({GROUP: ON, LAPTOP: OFF}, (), "pia", "laptop", False),
        ({GROUP: ON}, (), "penny", "laptop", True),
        ({person("penny"): ON}, (), "penny", None, True),
        ({GROUP: ON, LAPTOP: ON, person("pia"): OFF}, (), "pia", "laptop", False),
        # Staff and governors: only with a reviewer, whatever was switched on.
        ({GROUP: ON}, (), "tom", None, False),
        ({LAPTOP: ON}, (), "tom", "laptop", False),
        ({person("tom"): ON}, (), "tom", None, False),
        ({GROUP: ON}, ("tess",), "tom", None, False),
        ({GROUP: ON}, ("tom",), "tom", None, True),
        ({TABLET: ON}, ("tom",), "tom", "tablet", True),
        ({}, ("tom",), "tom", "laptop", False),
        ({GROUP: ON, person("tom"): OFF}, ("tom",), "tom", None, False),
        ({GROUP: ON}, (), "gwen", None, False),
        ({GROUP: ON}, ("gwen",), "gwen", None, True),
        # Guests: only by a choice for them, or for the device itself.
        ({GROUP: ON}, (), "gus", None, False),
        ({GROUP: ON}, (), "gus", "laptop", False),
        ({LAPTOP: ON}, (), "gus", "laptop", True),
        ({person("gus"): ON}, (), "gus", None, True),
        ({LAPTOP: ON, person("gus"): OFF}, (), "gus", "laptop", False),
        # Somebody who is not known counts as a pupil on a device that is on.
        ({LAPTOP: ON}, (), None, "laptop", True),
        ({GROUP: ON}, (), None, "laptop", True),
        ({GROUP: ON}, (), "nobody we know", "laptop", True),
        ({GROUP: ON}, (), None, "tablet", False),
        ({GROUP: ON}, (), "nobody we know", None, False),
        ({GROUP: ON, LAPTOP: ON}, (), None, None, False),
    ],
)
async def test_who_is_monitored(
    school: School,
    lead: Actor,
    switched: dict[Target, str],
    reviewed: Sequence[str],
    who: str | None,
    device: str | None,
    expected: bool,
) -> None:
    await school.let_somebody_open()
    for target, value in switched.items():
        await school.set(target, value)
    await school.name_reviewer(lead, *reviewed)
    assert school.monitoring.is_monitored(who, device).on is expected


async def test_it_says_why(school: School, lead: Actor) -> None:
    await school.set(GROUP, ON)
    assert school.monitoring.is_monitored("pia").origin == NOBODY_OPENS
    await school.let_somebody_open()
    assert school.monitoring.is_monitored("pia").origin == "set by a test: a reason"
    assert school.monitoring.is_monitored("pia").target == GROUP
    assert "until a reviewer is named" in school.monitoring.is_monitored("tom").origin
    assert "guests stay off" in school.monitoring.is_monitored("gus").origin
    assert school.monitoring.is_monitored("penny").origin == "the default"


async def test_nothing_is_captured_before_somebody_can_open_captures(school: School) -> None:
    await school.set(GROUP, ON)
    assert not school.monitoring.is_monitored("pia", "laptop").on
    await school.let_somebody_open()
    assert school.monitoring.is_monitored("pia", "laptop").on
    await school.change_account("opener", "state", "disabled")
    await school.monitoring.refresh()
    assert not school.monitoring.is_monitored("pia", "laptop").on


async def test_a_restart_changes_nothing(school: School, lead: Actor) -> None:
    await school.let_somebody_open()
    await school.set(GROUP, ON)
    await school.name_reviewer(lead, "tom")
    again = (await services(school.records)).monitoring
    assert [again.is_monitored(one).on for one in ("pia", "tom", "tess")] == [True, True, False]


async def test_who_joins_a_group_that_is_on_is_monitored_at_once(school: School) -> None:
    await school.let_somebody_open()
    await school.set(GROUP, ON)
    it = await school.account("ida", Role.IT)
    await school.directory.groups.add_people(it, "7b", ["penny"])
    assert school.monitoring.is_monitored("penny").on


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("state", "disabled", "cannot sign in"),
        ("role", Role.GOVERNOR, "no role that sees records"),
        ("person_id", "tom", "Nobody reviews themselves"),
        ("name", "T. Teacher", "may belong to that very person"),
    ],
)
async def test_a_reviewer_who_can_no_longer_review_does_not_count(
    school: School, lead: Actor, column: str, value: str, words: str
) -> None:
    await school.let_somebody_open()
    await school.set(GROUP, ON)
    await school.name_reviewer(lead, "tom")
    assert school.monitoring.is_monitored("tom").on
    await school.change_account("reviewer", column, value)
    assert not school.monitoring.is_monitored("tom").on
    (reviewed,) = await school.monitoring.reviewers.all(lead)
    assert words in reviewed.trouble


_SWITCH = st.sampled_from([ON, OFF, None])


@settings(deadline=None)
@given(
    kind=st.sampled_from(["pupil", "staff", "governor", "guest", None]),
    of_person=_SWITCH,
    of_device=_SWITCH,
    of_person_group=_SWITCH,
    of_device_group=_SWITCH,
    on_device=st.booleans(),
    reviewed=st.booleans(),
)
def test_the_rule_read_aloud(
    kind: str | None,
    of_person: str | None,
    of_device: str | None,
    of_person_group: str | None,
    of_device_group: str | None,
    on_device: bool,
    reviewed: bool,
) -> None:
    """Against a second telling of the rule, for every kind of person and every choice at every place."""
    switched = {"person": of_person if kind else None, "person's group": of_person_group if kind else None}
    switched |= {"device": of_device, "device's group": of_device_group} if on_device else {}
    monitoring = in_memory(kind, switched, reviewed=reviewed)
    closest = switched["person"] or switched.get("device")
    groups = {switched["person's group"], switched.get("device's group")}
    expected = closest == ON or (closest is None and ON in groups)
    if kind in ("staff", "governor"):
        expected = expected and reviewed
    if kind == "guest":
        expected = closest == ON
    assert monitoring.chosen("somebody", "laptop" if on_device else None).on is expected


def in_memory(kind: str | None, switched: dict[str, str | None], *, reviewed: bool) -> Monitoring:
    """The services without a store: what they would have read is put into their memory."""
    records = Database(Path("nowhere.db"))
    audit, bus = Audit(records), Bus(records, (), run_plainly)
    vaults = Vaults(records, audit)
    sessions = Sessions(records, KeyRing(), timedelta(minutes=15), timedelta(hours=10))
    staff = Staff(records, audit, sessions, vaults, Notices(records, bus, Live()))
    directory = Directory(records, bus, audit)
    kinds = rows("id, kind", [("somebody", kind)] if kind else [])
    directory._index._take(
        rows("member, group_id", [("somebody", "band")]), rows("member, group_id", [("laptop", "trolley")]), kinds
    )
    assignments = Assignments(records, bus, audit, (), directory)
    monitoring = Monitoring(records, audit, assignments, directory, staff, vaults, "Europe/London")
    places = {
        "person": (TargetKind.PERSON, "somebody"),
        "device": (TargetKind.DEVICE, "laptop"),
        "person's group": (TargetKind.GROUP, "band"),
        "device's group": (TargetKind.GROUP, "trolley"),
    }
    chosen = [(place, value) for place, value in switched.items() if value is not None]
    columns = "id, kind, target_kind, target, value, author, reason, until"
    assignments._take(
        rows(columns, [(place, KIND, *places[place], value, "a test", "a reason", None) for place, value in chosen])
    )
    if reviewed:
        monitoring.reviewers._named = {"somebody": ("reviewer", "Sam Body")}
        account = {"id": "reviewer", "sign_in_name": "r", "name": "Rae Reader", "role": "head", "state": "active"}
        empty = dict.fromkeys(
            ("person_id", "made_at", "made_by", "joined_at", "disabled_at", "last_sign_in", "public_key")
        )
        staff._take(rows(", ".join([*account, *empty]), [(*account.values(), *empty.values())]))
    return monitoring


def rows(columns: str, values: Sequence[tuple[object, ...]]) -> list[sqlite3.Row]:
    """Rows as the store hands them out."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    named = ", ".join(f"? AS {column}" for column in columns.split(", "))
    found = [connection.execute(f"SELECT {named}", one).fetchone() for one in values]
    connection.close()
    return found


# Switching


async def test_a_switch_keeps_who_when_why_and_under_which_policy(school: School, lead: Actor) -> None:
    await school.may_go_live(lead)
    await school.monitoring.switch(lead, on(GROUP, until=end_in(3)))
    (entry,) = await school.monitoring.entries(lead)
    assert (entry.subject.name, entry.author, entry.reason) == ("7B", "Lea", "A year of incidents")
    assert (entry.policy, entry.told) == ("Online safety policy", "Parents by letter")
    assert (entry.on, entry.people) == (True, 2)
    assert school.monitoring.last_day(entry.until or "") == school.monitoring.today() + timedelta(days=3)
    row = (await Audit(school.records).rows(None, 1))[0]
    assert (row["actor"], row["subject"]) == ("Lea", "monitoring of group 7B")
    assert "Online safety policy" in row["detail"]


async def test_what_ends_ends_by_itself(school: School, lead: Actor) -> None:
    await school.may_go_live(lead)
    await school.let_somebody_open()
    until = end_in(3)
    await school.monitoring.switch(lead, on(GROUP, until=until))
    assert school.monitoring.is_monitored("pia", at=until - timedelta(seconds=1)).on
    assert not school.monitoring.is_monitored("pia", at=until).on


@pytest.mark.parametrize("missing", [Role.LEAD, Role.HEAD, Role.GOVERNOR, Role.IT])
async def test_going_live_is_refused_while_a_role_is_empty(school: School, lead: Actor, missing: Role) -> None:
    await school.may_go_live(lead)
    for account in school.staff.with_role(missing):
        await school.change_account(account.id, "state", "disabled")
    with pytest.raises(Refused, match=missing.label):
        await school.monitoring.switch(lead, on(GROUP))
    assert await school.monitoring.entries(lead) == []
    holders = {holder.role: len(holder.accounts) for holder in school.monitoring.role_holders()}
    assert holders == {role: int(role is not missing) for role in holders}


async def test_going_live_is_refused_before_the_choice_is_written_down(school: School, lead: Actor) -> None:
    await school.fill_roles()
    with pytest.raises(Refused, match="choice of monitoring"):
        await school.monitoring.switch(lead, on(GROUP))
    await school.monitoring.choices.add(lead, CHOICE)
    await school.monitoring.switch(lead, on(GROUP))


async def test_everything_that_is_missing_is_named_at_once(school: School, lead: Actor) -> None:
    with pytest.raises(Refused) as refused:
        await school.monitoring.switch(lead, on(GROUP))
    for words in ("Head or senior leader", "Governor", "IT", "choice of monitoring"):
        assert words in str(refused.value)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"reason": " "}, "Say why"),
        ({"policy": ""}, "under which policy"),
        ({"policy_date": None}, "which date"),
        ({"policy_date": date(2999, 1, 1)}, "still to come"),
        ({"told": " "}, "who was told"),
        ({"until": now() - timedelta(days=1)}, "lies in the past"),
        ({"target": Target(TargetKind.GROUP, "nowhere")}, "nobody and nothing"),
        ({"target": Target(TargetKind.NETWORKS, "7b")}, "nobody and nothing"),
    ],
)
async def test_what_is_missing_in_a_switch_is_said(
    school: School, lead: Actor, other: dict[str, object], words: str
) -> None:
    await school.may_go_live(lead)
    with pytest.raises(Refused, match=words):
        await school.monitoring.switch(lead, replace(on(GROUP), **other))  # type: ignore[arg-type]
    assert await school.monitoring.entries(lead) == []
    assert await school.rows("SELECT * FROM monitoring_switches") == []


@pytest.mark.parametrize("role", [role for role in Role if role not in (Role.LEAD, Role.DEPUTY)])
async def test_only_a_lead_or_deputy_switches(school: School, lead: Actor, role: Role) -> None:
    await school.may_go_live(lead)
    somebody = await school.account("sam", role)
    for attempt in (
        school.monitoring.switch(somebody, on(GROUP)),
        school.monitoring.start_trial(somebody, on(GROUP, until=end_in(9)), [school.monitoring.today()]),
        school.monitoring.reviewers.name(somebody, "tom", "lea"),
        school.monitoring.undo(somebody, "anything"),
    ):
        with pytest.raises(Refused, match="does not allow"):
            await attempt
    assert not await school.monitoring.anything_on()


async def test_switching_off_needs_nothing_but_a_reason(school: School, lead: Actor) -> None:
    await school.let_somebody_open()
    await school.set(GROUP, ON)
    await school.monitoring.switch(lead, Switch(GROUP, False, "Exams", None))
    assert not school.monitoring.is_monitored("pia").on


async def test_staff_are_switched_on_only_with_a_reviewer(school: School, lead: Actor) -> None:
    await school.may_go_live(lead)
    with pytest.raises(Refused, match="before somebody else is named"):
        await school.monitoring.switch(lead, on(person("tom")))
    await school.name_reviewer(lead, "tom")
    await school.monitoring.switch(lead, on(person("tom")))


async def test_nobody_decides_about_their_own_monitoring(school: School, lead: Actor) -> None:
    await school.may_go_live(lead)
    tom = await school.account("deputy", Role.DEPUTY, person="tom")
    named_alike = await school.account("tess t", Role.DEPUTY)
    for deputy, about in ((tom, "tom"), (named_alike, "tess")):
        for attempt in (
            school.monitoring.switch(deputy, Switch(person(about), False, "I would rather not", None)),
            school.monitoring.reviewers.name(deputy, about, "lea"),
            school.monitoring.reviewers.take_back(deputy, about),
        ):
            with pytest.raises(Refused, match="Nobody decides about their own"):
                await attempt
    for deputy, about in ((tom, "tom"), (named_alike, "tess")):
        await school.set(person(about), OFF)
        (row,) = await school.rows(f"SELECT id FROM assignments WHERE target = '{about}'")
        with pytest.raises(Refused, match="Nobody decides about their own"):
            await school.monitoring.undo(deputy, row["id"])


# Undoing


async def test_an_undone_switch_brings_back_what_was_before(school: School, lead: Actor) -> None:
    await school.may_go_live(lead)
    await school.let_somebody_open()
    await school.monitoring.switch(lead, on(GROUP))
    (entry,) = await school.monitoring.entries(lead)
    await school.monitoring.undo(lead, entry.row_id)
    assert not school.monitoring.is_monitored("pia").on
    assert [row["undone_by"] for row in await school.monitoring.history(lead)] == ["Lea"]
    with pytest.raises(Refused, match="undone already"):
        await school.monitoring.undo(lead, entry.row_id)


async def test_an_undo_that_switches_on_again_is_going_live(school: School, lead: Actor) -> None:
    await school.set(GROUP, ON)
    await school.assignments.assign("a test", KIND, GROUP, OFF, "until tomorrow", end_in(1))
    await school.set(GROUP, OFF)
    newest = (await school.monitoring.history(lead))[0]["id"]
    with pytest.raises(Refused, match="cannot go live yet"):
        await school.monitoring.undo(lead, newest)
    await school.may_go_live(lead)
    await school.monitoring.undo(lead, newest)


async def test_the_change_of_another_kind_is_not_undone_here(school: School, lead: Actor) -> None:
    school.assignments.declare("shoes", "brown", {}, ("brown", "red"), [TargetKind.GROUP])
    await school.assignments.assign("ida", "shoes", GROUP, "red", "a party", None)
    (row,) = await school.rows("SELECT id FROM assignments")
    with pytest.raises(Refused):
        await school.monitoring.undo(lead, row["id"])


# What is said beforehand


async def test_how_many_a_switch_will_reach(school: School, lead: Actor) -> None:
    await school.set(person("paul"), OFF)
    await school.name_reviewer(lead, "tom")
    reach = await school.monitoring.reach(GROUP, ON)
    assert (reach.pupils, reach.staff, reach.guests, reach.devices) == (1, 1, 0, 1)
    assert (reach.without_reviewer, reach.guests_left_out, reach.own_choice, reach.already) == (2, 1, 1, 0)
    assert not await school.monitoring.anything_on()

    await school.set(GROUP, ON)
    reach = await school.monitoring.reach(GROUP, ON)
    assert (reach.people, reach.already) == (0, 2)
    reach = await school.monitoring.reach(GROUP, OFF)
    assert (reach.pupils, reach.staff) == (1, 1)
    assert (await school.monitoring.reach(GROUP, None)).people == 2
    await school.set(OTHER, ON)
    assert (await school.monitoring.reach(OTHER, OFF)).pupils == 1  # Penny; Paul is off by his own choice


async def test_a_device_reaches_whoever_uses_it(school: School) -> None:
    reach = await school.monitoring.reach(TABLET, ON)
    assert (reach.people, reach.devices) == (0, 1)


async def test_who_has_left_is_not_counted(school: School, lead: Actor) -> None:
    await school.directory.mark_left(await school.account("ida", Role.IT), "pia")
    assert (await school.monitoring.reach(GROUP, ON)).pupils == 1
    await school.set(GROUP, ON)
    assert (await school.monitoring.counts()).pupils == 1


# A trial


async def start_trial(school: School, lead: Actor, days: int = 13) -> str:
    today = school.monitoring.today()
    return await school.monitoring.start_trial(lead, on(GROUP, until=end_in(days)), [today, today + timedelta(days=7)])


async def test_a_trial_needs_no_roles_and_no_choice_and_ends_by_itself(school: School, lead: Actor) -> None:
    await school.let_somebody_open()
    await start_trial(school, lead)
    trial = school.monitoring.trial()
    assert trial is not None
    assert (trial.group_name, trial.people, len(trial.days)) == ("7B", 2, 2)
    assert [school.monitoring.is_monitored(one).on for one in ("pia", "paul", "penny", "tom", "gus")] == [
        True, True, False, False, False,
    ]  # fmt: skip
    assert not school.monitoring.is_monitored("pia", at=end_in(13)).on
    day = school.monitoring.today() + timedelta(days=13)
    assert f"trial until {day.day} {day:%b}" in school.monitoring.words()
    assert (await services(school.records)).monitoring.trial() == trial


async def test_in_a_trial_nobody_else_is_switched_on(school: School, lead: Actor) -> None:
    await school.may_go_live(lead)
    await start_trial(school, lead)
    for target in (OTHER, person("penny"), TABLET):
        with pytest.raises(Refused, match="trial with 7B, and its report is not signed"):
            await school.monitoring.switch(lead, on(target))
    with pytest.raises(Refused, match="There is a trial already"):
        await start_trial(school, lead)


async def test_a_trial_begins_while_nobody_is_monitored_or_will_be(school: School, lead: Actor) -> None:
    await school.set(OTHER, ON)
    with pytest.raises(Refused, match="monitored already"):
        await start_trial(school, lead)
    await school.assignments.assign("a test", KIND, OTHER, OFF, "until tomorrow", end_in(1))
    with pytest.raises(Refused, match="comes back by itself"):
        await start_trial(school, lead)
    await school.set(OTHER, OFF)
    await start_trial(school, lead)


@pytest.mark.parametrize(
    ("target", "days", "feedback", "words"),
    [
        (TABLET, 13, [0], "one group"),
        (person("pia"), 13, [0], "one group"),
        (GROUP, None, [0], "needs a last day"),
        (GROUP, -2, [0], "needs a last day"),
        (GROUP, LONGEST.days + 2, [0], "at most 6 weeks"),
        (GROUP, 13, [], "at least one day for feedback"),
        (GROUP, 13, [-1], "at least one day for feedback"),
        (GROUP, 13, [3, 14], "at least one day for feedback"),
    ],
)
async def test_a_trial_is_with_one_group_for_a_while(
    school: School, lead: Actor, target: Target, days: int | None, feedback: list[int], words: str
) -> None:
    wanted = on(target, until=None if days is None else end_in(days))
    today = school.monitoring.today()
    with pytest.raises(Refused, match=words):
        await school.monitoring.start_trial(lead, wanted, [today + timedelta(days=n) for n in feedback])
    assert not await school.monitoring.anything_on()
    assert not await school.monitoring.had_trial()


async def test_a_trial_with_nobody_is_refused(school: School, lead: Actor) -> None:
    async with school.records.transaction() as tx:
        await tx.execute("INSERT INTO groups VALUES ('empty', 'list', 'Empty', ?)", (stamp(),))
    with pytest.raises(Refused, match="Nobody in Empty"):
        await school.monitoring.start_trial(
            lead, on(Target(TargetKind.GROUP, "empty"), until=end_in(9)), [school.monitoring.today()]
        )


async def test_feedback_is_kept_on_the_agreed_days_until_the_report_is_signed(school: School, lead: Actor) -> None:
    trial_id, today = await start_trial(school, lead), school.monitoring.today()
    await school.monitoring.add_feedback(lead, trial_id, today, "Two false alarms in biology.")
    with pytest.raises(Refused, match="not one of the days"):
        await school.monitoring.add_feedback(lead, trial_id, today + timedelta(days=1), "Too early.")
    with pytest.raises(Refused, match="still to come"):
        await school.monitoring.add_feedback(lead, trial_id, today + timedelta(days=7), "Too early.")
    with pytest.raises(Refused, match="what people said"):
        await school.monitoring.add_feedback(lead, trial_id, today, " ")
    await school.monitoring.sign_trial(lead, trial_id, "stop", "Too many false alarms.")
    with pytest.raises(Refused, match="signed already"):
        await school.monitoring.add_feedback(lead, trial_id, today, "Too late.")
    assert [(one.day, one.note) for one in await school.monitoring.trials.feedback(trial_id)] == [
        (today, "Two false alarms in biology.")
    ]


async def test_the_signature_ends_the_trial_and_its_switch(school: School, lead: Actor) -> None:
    await school.let_somebody_open()
    trial_id = await start_trial(school, lead)
    with pytest.raises(Refused, match="what you found"):
        await school.monitoring.sign_trial(lead, trial_id, "go on", "")
    await school.monitoring.sign_trial(lead, trial_id, "go on", "It helped two pupils.")
    assert not school.monitoring.is_monitored("pia").on
    assert school.monitoring.trial() is None
    (trial,) = await school.monitoring.trials.all()
    assert (trial.decision, trial.findings, trial.signed_by) == ("go on", "It helped two pupils.", "Lea")
    assert trial.people_at_end == 2
    assert school.monitoring.words() == "Monitoring is off"
    with pytest.raises(Refused, match="signed already"):
        await school.monitoring.sign_trial(lead, trial_id, "stop", "Changed my mind.")
    with pytest.raises(sqlite3.IntegrityError, match="was signed"):
        async with school.records.transaction() as tx:
            await tx.execute("UPDATE monitoring_trials SET decision = 'stop'")


async def test_a_trial_that_ran_to_its_end_still_waits_for_its_report(school: School, lead: Actor) -> None:
    await school.may_go_live(lead)
    trial_id = await start_trial(school, lead)
    past = stamp(now() - timedelta(minutes=1))
    async with school.records.transaction() as tx:
        await tx.execute("UPDATE assignments SET until = ?", (past,))
        await tx.execute("UPDATE monitoring_trials SET ends_at = ?", (past,))
    again = (await services(school.records)).monitoring
    trial = again.trial()
    assert trial is not None
    assert not trial.runs(now())
    assert not await again.anything_on()
    with pytest.raises(Refused, match="report is not signed"):
        await again.switch(lead, on(OTHER))
    await again.sign_trial(lead, trial_id, "go on", "It went well.")
    assert (await again.trials.get(trial_id)).people_at_end == 2
    await again.switch(lead, on(OTHER))


async def test_what_happened_to_the_switch_of_a_trial_is_on_the_record(school: School, lead: Actor) -> None:
    trial_id = await start_trial(school, lead)
    await school.monitoring.switch(lead, Switch(GROUP, False, "A wrong setting", None))
    assert school.monitoring.words() == "Monitoring is off"
    trial = await school.monitoring.trials.get(trial_id)
    assert [row["value"] for row in await school.monitoring.switches_of(trial)] == [ON, OFF]
    with pytest.raises(Refused, match="belongs to the trial"):
        await school.monitoring.undo(lead, trial.assignment_id)


# Telling people, and the choice


async def test_who_was_told_is_kept_and_who_was_not_is_named(school: School, lead: Actor) -> None:
    monitoring, today = school.monitoring, school.monitoring.today()
    assert await monitoring.told_missing() == ["pupils", "parents", "staff", "governors"]
    await school.set(TABLET, ON)
    assert await monitoring.told_missing() == list(Audience)
    for days in (30, 3):
        day = today - timedelta(days=days)
        await monitoring.told.add(lead, Audience.PUPILS, day, "Assembly", "The head", "", today)
    assert Audience.PUPILS not in await monitoring.told_missing()
    assert (await monitoring.told.latest())[Audience.PUPILS].told_on == today - timedelta(days=3)
    assert len(await monitoring.told.all()) == 2


@pytest.mark.parametrize(
    ("days", "how", "by", "words"),
    [(1, "Letter", "The head", "still to come"), (0, "", "The head", "how they"), (0, "Letter", " ", "who told")],
)
async def test_telling_needs_a_date_a_way_and_a_name(
    school: School, lead: Actor, days: int, how: str, by: str, words: str
) -> None:
    today = school.monitoring.today()
    with pytest.raises(Refused, match=words):
        await school.monitoring.told.add(lead, Audience.STAFF, today + timedelta(days=days), how, by, "", today)
    assert await school.monitoring.told.all() == []


@pytest.mark.parametrize("part", ["ages", "own_devices", "languages", "updates", "approaches", "why"])
async def test_every_part_of_the_choice_is_needed(school: School, lead: Actor, part: str) -> None:
    empty: object = () if part == "approaches" else " "
    with pytest.raises(Refused):
        await school.monitoring.choices.add(lead, replace(CHOICE, **{part: empty}))  # type: ignore[arg-type]
    assert not await school.monitoring.has_choice()


async def test_each_version_of_the_choice_stays(school: School, lead: Actor) -> None:
    choices = school.monitoring.choices
    await choices.add(lead, CHOICE)
    await choices.add(lead, replace(CHOICE, approaches=tuple(APPROACHES), why="After the review"))
    newest, oldest = await choices.all()
    assert (oldest.choice, newest.choice.why, newest.written_by) == (CHOICE, "After the review", "Lea")
    with pytest.raises(Refused, match="at least one way"):
        await choices.add(lead, replace(CHOICE, approaches=("telepathy",)))


@pytest.mark.parametrize("table", ["monitoring_told", "monitoring_choices"])
@pytest.mark.parametrize("sql", ["UPDATE {} SET written_by = 'eve'", "DELETE FROM {}"])
async def test_what_was_written_down_stays(school: School, lead: Actor, table: str, sql: str) -> None:
    today = school.monitoring.today()
    await school.monitoring.told.add(lead, Audience.STAFF, today, "A meeting", "The head", "", today)
    await school.monitoring.choices.add(lead, CHOICE)
    with pytest.raises(sqlite3.IntegrityError, match="cannot be changed"):
        async with school.records.transaction() as tx:
            await tx.execute(sql.format(table))


# Reviewers


@pytest.mark.parametrize(
    ("name", "role", "state", "person_id", "words"),
    [
        ("rae reader", Role.GOVERNOR, "active", None, "no role that sees records"),
        ("rae reader", None, "active", None, "no role that sees records"),
        ("rae reader", Role.HEAD, "invited", None, "cannot sign in"),
        ("rae reader", Role.HEAD, "active", "tom", "Nobody reviews themselves"),
        ("mr teacher", Role.HEAD, "active", None, "may belong to that very person"),
    ],
)
async def test_who_cannot_be_named_as_a_reviewer(
    school: School, lead: Actor, name: str, role: Role | None, state: str, person_id: str | None, words: str
) -> None:
    await school.account(name, role, state, person_id)
    (subject,) = await school.monitoring.subjects.find(lead, TargetKind.PERSON, "tom")
    assert [one.id for one in school.monitoring.reviewers.possible(subject)] == ["lea"]
    with pytest.raises(Refused, match=words):
        await school.monitoring.reviewers.name(lead, "tom", name)
    assert await school.rows("SELECT * FROM staff_reviewers") == []


async def test_an_account_that_is_known_may_review_somebody_of_the_same_name(school: School, lead: Actor) -> None:
    await school.account("tom teacher", Role.HEAD, person="tess")
    await school.monitoring.reviewers.name(lead, "tom", "tom teacher")


async def test_pupils_need_no_reviewer(school: School, lead: Actor) -> None:
    with pytest.raises(Refused, match="Pupils and guests need none"):
        await school.monitoring.reviewers.name(lead, "pia", "lea")


async def test_without_a_reviewer_staff_are_off_again(school: School, lead: Actor) -> None:
    await school.let_somebody_open()
    await school.set(GROUP, ON)
    await school.name_reviewer(lead, "tom")
    await school.monitoring.reviewers.name(lead, "tom", "lea")  # another one
    assert [one.reviewer_name for one in await school.monitoring.reviewers.all(lead)] == ["Lea"]
    await school.monitoring.reviewers.take_back(lead, "tom")
    assert not school.monitoring.is_monitored("tom").on
    with pytest.raises(Refused, match="No reviewer is named"):
        await school.monitoring.reviewers.take_back(lead, "tom")
    subjects = [row["subject"] for row in await Audit(school.records).rows(None, 3)]
    assert subjects[:1] == ["person tom"]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Sam Brown", "Sam Brown", True),
        ("S. Brown", "Sam Brown", True),
        ("Mr Brown", "Sam Brown", True),
        ("Sam", "Sam Brown", True),
        ("Brown, Samantha", "Sam Brown", True),
        ("José Núñez", "Jose Nunez", True),
        ("Dr", "Sam Brown", True),
        ("Sam Green", "Sam Brown", False),
        ("Jane Brown", "Sam Brown", False),
        ("Safeguarding lead", "Sam Brown", False),
    ],
)
def test_names_that_may_be_one_persons(one: str, other: str, same: bool) -> None:
    assert may_be_same(one, other) is same
    assert may_be_same(other, one) is same


# Who sees what


async def test_people_are_seen_by_those_who_may_see_them_and_counted_for_all(school: School, lead: Actor) -> None:
    await school.name_reviewer(lead, "tom")
    for target in (GROUP, TABLET, person("pia"), person("penny"), person("tom")):
        await school.set(target, ON)
    head = await school.account("hal", Role.HEAD, scope="group 8c")
    officer = await school.account("dan", Role.DPO)
    reviewer = Actor("Reviewer", PERMISSIONS[Role.HEAD], "reviewer", Role.HEAD)
    seen = {
        name: {entry.subject.name for entry in await school.monitoring.entries(actor)}
        for name, actor in (("lead", lead), ("head", head), ("officer", officer), ("reviewer", reviewer))
    }
    assert seen["lead"] == {"7B", "tablet", "Pia Pupil", "Penny Pupil", "Tom Teacher"}
    assert seen["head"] == {"7B", "tablet", "Penny Pupil"}
    assert seen["officer"] == {"7B", "tablet"}
    assert "Tom Teacher" in seen["reviewer"]
    counts = await school.monitoring.counts()
    assert (counts.pupils, counts.staff, counts.guests) == (3, 1, 0)
    assert (counts.groups, counts.devices, counts.chosen_people) == (1, 1, 3)
    assert len(await school.monitoring.history(officer)) == 2
    texts = {(one.reason, one.told) for one in await school.monitoring.entries(officer)}
    assert texts == {(NOT_SHOWN, NOT_SHOWN)}  # what was typed may name a child
    assert NOT_SHOWN not in {one.reason for one in await school.monitoring.entries(head)}
    assert await school.monitoring.reviewers.all(head) == []
    with pytest.raises(Refused, match="does not allow"):
        await school.monitoring.entries(await school.account("theo", Role.TEACHER))


async def test_a_person_out_of_sight_and_one_who_is_not_there_give_the_same_answer(school: School, lead: Actor) -> None:
    await school.may_go_live(lead)
    deputy = await school.account("dot", Role.DEPUTY, scope="group 8c")
    await school.set(person("pia"), ON)
    (row,) = await school.rows("SELECT id FROM assignments WHERE target = 'pia'")
    answers = []
    for attempt in (
        school.monitoring.switch(deputy, on(person("pia"))),
        school.monitoring.switch(deputy, on(person("nobody"))),
        school.monitoring.undo(deputy, row["id"]),
        school.monitoring.undo(deputy, "nothing"),
    ):
        with pytest.raises(Refused) as refused:
            await attempt
        answers.append(str(refused.value))
    assert answers[0] == answers[1]
    assert answers[2] == answers[3]
    assert await school.monitoring.subjects.find(deputy, TargetKind.PERSON, "pia") == []


@pytest.mark.parametrize(
    ("kind", "typed", "names"),
    [
        (TargetKind.PERSON, "pupil pau", ["Paul Pupil"]),
        (TargetKind.PERSON, "TEACH", ["Tom Teacher"]),
        (TargetKind.PERSON, "%", []),
        (TargetKind.PERSON, "", []),
        (TargetKind.GROUP, "", ["7B", "8C"]),
        (TargetKind.GROUP, "8", ["8C"]),
        (TargetKind.DEVICE, "lap", ["laptop"]),
    ],
)
async def test_finding_what_to_switch(
    school: School, lead: Actor, kind: TargetKind, typed: str, names: list[str]
) -> None:
    assert [subject.name for subject in await school.monitoring.subjects.find(lead, kind, typed)] == names


async def test_the_top_line(school: School) -> None:
    assert school.monitoring.words() == "Monitoring is off"
    await school.set(GROUP, ON)
    assert school.monitoring.words() == "Monitoring is on for 1 group"
    await school.set(OTHER, ON)
    await school.set(TABLET, ON)
    assert school.monitoring.words() == "Monitoring is on for 2 groups and 1 device"
    await school.set(person("pia"), ON)
    assert school.monitoring.words() == "Monitoring is on for 2 groups, 1 device and 1 person"


async def test_the_record_names_no_pupil(school: School, lead: Actor) -> None:
    await school.may_go_live(lead)
    for target in (GROUP, person("pia")):
        await school.monitoring.switch(lead, on(target, reason="Pia Pupil was bullied", told="Pia Pupil’s parents"))
    for row in await school.rows("SELECT subject, detail FROM audit"):
        assert "Pia" not in row["subject"] + row["detail"]
