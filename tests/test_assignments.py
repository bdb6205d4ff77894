"""The one resolver: the closest choice decides, the file wins over pages, the rest falls to the default."""

from __future__ import annotations

import ipaddress
import sqlite3
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.assignments import Assignments, Effective, Target, TargetKind
from appliance.audit import Audit
from appliance.bus import Bus
from appliance.clock import now, stamp
from appliance.config import GroupSettings
from appliance.db import Database
from appliance.errors import ApplianceError, Refused
from appliance.events import AssignmentChanged
from appliance.loading import resource
from appliance.migrate import CORE, migrate

KIND = "dns_profile"
GROUPS = (
    GroupSettings(name="pupils", addresses=("10.0.0.0/8", "fd00:1::/32")),
    GroupSettings(name="library", addresses=("10.1.0.0/16",)),
    GroupSettings(name="desk", addresses=("10.1.2.3/32",)),
)


async def run_plainly(*_: object) -> None:
    """Nobody listens in these tests."""


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "records.db")
    await database.open()
    await migrate(database, CORE, resource("migrations"))
    yield database
    await database.close()


@dataclass
class School:
    """Who is in which group of the directory."""

    people: Mapping[str, set[str]] = field(default_factory=dict)
    devices: Mapping[str, set[str]] = field(default_factory=dict)

    def groups_of_person(self, person_id: str) -> set[str]:
        return self.people.get(person_id, set())

    def groups_of_device(self, device_id: str) -> set[str]:
        return self.devices.get(device_id, set())


def networks(name: str) -> Target:
    return Target(TargetKind.NETWORKS, name)


LIBRARY = networks("library")


def resolver(records: Database, fixed: dict[str, str] | None = None) -> Assignments:
    found = Assignments(records, Bus(records, (), run_plainly), Audit(records), GROUPS, School())
    found.declare(KIND, "pupil", fixed or {}, ["pupil", "staff", "exam"])
    return found


@pytest.mark.parametrize(
    ("address", "fixed", "value", "group"),
    [
        ("192.168.0.1", {}, "pupil", None),
        ("10.9.9.9", {}, "pupil", None),
        ("10.9.9.9", {"pupils": "exam"}, "exam", "pupils"),
        ("10.1.9.9", {"pupils": "exam"}, "exam", "pupils"),
        ("10.1.9.9", {"pupils": "exam", "library": "staff"}, "staff", "library"),
        ("10.1.2.3", {"library": "staff"}, "staff", "library"),
        ("10.1.2.3", {"library": "staff", "desk": "pupil"}, "pupil", "desk"),
        ("::ffff:10.1.2.3", {"desk": "staff"}, "staff", "desk"),
        ("fd00:1::7", {"pupils": "exam"}, "exam", "pupils"),
        ("fe80::1%eth0", {}, "pupil", None),
    ],
)
async def test_the_most_specific_network_with_a_value_decides(
    records: Database, address: str, fixed: dict[str, str], value: str, group: str | None
) -> None:
    found = resolver(records, fixed).effective(KIND, address=address)
    assert (found.value, found.target) == (value, networks(group) if group else None)


async def test_what_a_page_sets_applies_ends_and_can_be_undone(records: Database) -> None:
    assignments = resolver(records)
    until = now() + timedelta(hours=1)
    await assignments.assign("ada", KIND, LIBRARY, "staff", "open evening", until)
    found = assignments.effective(KIND, address="10.1.9.9")
    assert (found.value, found.origin) == ("staff", "set by ada: open evening")
    assert assignments.effective(KIND, address="10.1.9.9", at=until).value == "pupil"

    again = resolver(records)
    await again.start()
    assert again.effective(KIND, address="10.1.9.9").value == "staff"
    await again.undo("ben", KIND, await history_id(again))
    assert again.effective(KIND, address="10.1.9.9").value == "pupil"
    with pytest.raises(Refused, match="undone already"):
        await again.undo("ben", KIND, await history_id(again))
    assert [row["action"] for row in await Audit(records).rows(None, 9)] == ["undid assignment", "assigned"]


async def history_id(assignments: Assignments) -> str:
    return str((await assignments.history(KIND))[0]["id"])


async def test_a_newer_choice_replaces_an_older_one_and_its_undo_brings_that_back(records: Database) -> None:
    assignments = resolver(records)
    await assignments.assign("ada", KIND, LIBRARY, "staff", "one", None)
    await assignments.assign("ada", KIND, LIBRARY, "exam", "two", None)
    assert assignments.effective(KIND, address="10.1.9.9").value == "exam"
    await assignments.undo("ada", KIND, await history_id(assignments))
    assert assignments.effective(KIND, address="10.1.9.9").value == "staff"


async def test_when_a_choice_ends_the_one_before_it_applies_again(records: Database) -> None:
    assignments = resolver(records)
    until = now() + timedelta(hours=1)
    await assignments.assign("ada", KIND, LIBRARY, "staff", "for good", None)
    await assignments.assign("ada", KIND, LIBRARY, "exam", "this morning", until)
    assert assignments.effective(KIND, address="10.1.9.9").value == "exam"
    assert assignments.effective(KIND, address="10.1.9.9", at=until).value == "staff"


async def test_what_has_ended_is_announced_once(records: Database) -> None:
    assignments = resolver(records)
    await assignments.assign("ada", KIND, LIBRARY, "staff", "short", now() + timedelta(hours=1))
    async with records.transaction() as tx:
        await tx.execute("UPDATE assignments SET until = ?", (stamp(now() + timedelta(milliseconds=1)),))
    await assignments.start()
    while assignments.effective(KIND, address="10.1.9.9").value == "staff":
        pass
    await assignments.end_what_is_over()
    await assignments.end_what_is_over()
    rows = await records.fetch("SELECT payload FROM events WHERE type = 'AssignmentChanged'")
    assert len(rows) == 2  # set, ended


@pytest.mark.parametrize(
    ("group", "value", "reason", "hours", "words"),
    [
        ("nowhere", "staff", "why not", None, "no group called"),
        ("desk", "staff", "why not", None, "The settings file fixes this"),
        ("library", "teacher", "why not", None, "is not one of: pupil, staff, exam"),
        ("library", "staff", "  ", None, "Say why"),
        ("library", "staff", "why not", -1, "lies in the past"),
    ],
)
async def test_what_is_refused_changes_nothing(
    records: Database, group: str, value: str, reason: str, hours: int | None, words: str
) -> None:
    assignments = resolver(records, {"desk": "pupil"})
    until = None if hours is None else now() + timedelta(hours=hours)
    with pytest.raises(Refused, match=words):
        await assignments.assign("ada", KIND, networks(group), value, reason, until)
    assert await assignments.history(KIND) == []
    assert await Audit(records).rows(None, 9) == []


async def test_a_value_that_the_settings_no_longer_know_falls_back(records: Database) -> None:
    assignments = resolver(records)
    await assignments.assign("ada", KIND, LIBRARY, "exam", "summer", None)
    assignments.declare(KIND, "pupil", {}, ["pupil", "staff"])
    assert assignments.effective(KIND, address="10.1.9.9").value == "pupil"


async def test_an_unknown_kind_is_an_error_in_words(records: Database) -> None:
    with pytest.raises(ApplianceError, match="Nothing called 'shoes' can be assigned"):
        resolver(records).effective("shoes", address="10.0.0.1")


_NETWORKS = st.builds(
    lambda bits, length: ipaddress.ip_network((bits & (0xFFFFFFFF << (32 - length)) & 0xFFFFFFFF, length)),
    st.integers(0, 0xFF).map(lambda low: 0x0A000000 | low << 16),
    st.integers(8, 32),
)


@given(
    networks=st.lists(_NETWORKS, min_size=1, max_size=6, unique=True),
    values=st.lists(st.sampled_from(["staff", "exam", None]), min_size=6, max_size=6),
    host=st.integers(0, 0xFFFF),
)
def test_the_resolver_agrees_with_the_rule_read_aloud(
    networks: list[ipaddress.IPv4Network], values: list[str | None], host: int
) -> None:
    groups = [GroupSettings(name=f"g{n}", addresses=(str(net),)) for n, net in enumerate(networks)]
    fixed = {f"g{n}": value for n, value in enumerate(values[: len(networks)]) if value is not None}
    records = Database(Path("nowhere.db"))
    assignments = Assignments(records, Bus(records, (), run_plainly), Audit(records), groups, School())
    assignments.declare(KIND, "pupil", fixed, ["pupil", "staff", "exam"])
    client = ipaddress.ip_address(0x0A000000 | host)
    holding = [(net.prefixlen, f"g{n}") for n, net in enumerate(networks) if client in net and f"g{n}" in fixed]
    expected = fixed[max(holding)[1]] if holding else "pupil"
    assert assignments.effective(KIND, address=str(client)).value == expected


# Groups of the directory, devices and people

WATCH = "watched"
PERSON, DEVICE = Target(TargetKind.PERSON, "ada"), Target(TargetKind.DEVICE, "laptop")
BAND, CHOIR, TROLLEY = (Target(TargetKind.GROUP, name) for name in ("band", "choir", "trolley"))
STRICTER = ("off", "some", "all")


async def put_into_directory(records: Database) -> None:
    """Ada and a laptop; the band, the choir and a trolley. Who is in what, each test says itself."""
    moment = stamp()
    async with records.transaction() as tx:
        await tx.execute(
            "INSERT INTO people (id, kind, name, sort_name, added_at) VALUES ('ada', 'pupil', 'Ada', 'ada', ?)",
            (moment,),
        )
        await tx.execute("INSERT INTO devices (id, name, added_at) VALUES ('laptop', 'L1', ?)", (moment,))
        await tx.executemany(
            "INSERT INTO groups VALUES (?, 'list', ?, ?)",
            [(name, name, moment) for name in ("band", "choir", "trolley")],
        )


def watcher(records: Database) -> Assignments:
    school = School(people={"ada": {"band", "choir"}}, devices={"laptop": {"trolley"}})
    found = Assignments(records, Bus(records, (), run_plainly), Audit(records), GROUPS, school)
    found.declare(WATCH, "off", {"desk": "some"}, STRICTER, TargetKind)
    return found


@pytest.mark.parametrize(
    ("chosen", "value", "target"),
    [
        ({}, "off", None),
        ({LIBRARY: "some"}, "some", LIBRARY),
        ({LIBRARY: "all", BAND: "some"}, "some", BAND),
        ({BAND: "some", CHOIR: "all"}, "all", CHOIR),
        ({BAND: "all", CHOIR: "off"}, "all", BAND),
        ({BAND: "off", TROLLEY: "some"}, "some", TROLLEY),
        ({BAND: "all", DEVICE: "off"}, "off", DEVICE),
        ({DEVICE: "all", PERSON: "some"}, "some", PERSON),
        ({DEVICE: "all", PERSON: "off", BAND: "all"}, "off", PERSON),
    ],
)
async def test_the_closest_choice_decides(
    records: Database, chosen: dict[Target, str], value: str, target: Target | None
) -> None:
    await put_into_directory(records)
    assignments = watcher(records)
    for somebody, choice in chosen.items():
        await assignments.assign("eve", WATCH, somebody, choice, "a reason", None)
    found = assignments.effective(WATCH, person="ada", device="laptop", address="10.1.9.9")
    assert (found.value, found.target) == (value, target)


async def test_a_file_fixes_a_group_of_networks_and_nothing_closer(records: Database) -> None:
    await put_into_directory(records)
    assignments = watcher(records)
    assert assignments.effective(WATCH, person="ada", address="10.1.2.3").origin == "the settings file"
    await assignments.assign("eve", WATCH, CHOIR, "all", "a reason", None)
    assert assignments.effective(WATCH, person="ada", address="10.1.2.3").value == "all"
    assert assignments.effective(WATCH, person="bob", address="10.1.2.3").value == "some"


async def test_somebody_who_is_not_known_gets_what_is_around(records: Database) -> None:
    await put_into_directory(records)
    assignments = watcher(records)
    await assignments.assign("eve", WATCH, PERSON, "all", "a reason", None)
    assert assignments.effective(WATCH, person="nobody", device="nothing", address="192.168.0.1").value == "off"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Target(TargetKind.GROUP, "nowhere"), "no such group"),
        (Target(TargetKind.DEVICE, "nothing"), "no such device"),
        (Target(TargetKind.PERSON, "nobody"), "no such person"),
        (networks("nowhere"), "no group called"),
    ],
)
async def test_nothing_is_set_for_what_is_not_there(records: Database, target: Target, words: str) -> None:
    with pytest.raises(Refused, match=words):
        await watcher(records).assign("eve", WATCH, target, "all", "a reason", None)
    assert await Audit(records).rows(None, 9) == []


async def test_a_kind_says_what_it_can_be_set_for(records: Database) -> None:
    await put_into_directory(records)
    with pytest.raises(Refused, match="cannot be set for a person"):
        await resolver(records).assign("eve", KIND, PERSON, "exam", "a reason", None)


async def test_the_audit_holds_no_name_of_a_person_and_no_reason_that_could(records: Database) -> None:
    await put_into_directory(records)
    assignments = watcher(records)
    for target in (PERSON, DEVICE, BAND):
        await assignments.assign("eve", WATCH, target, "all", "Ada was seen", None)
    rows = await Audit(records).rows(None, 9)
    assert [row["subject"] for row in rows] == [
        f"{WATCH} of {who}" for who in ("group band", "device laptop", "person ada")
    ]
    assert not any("Ada" in row["detail"] for row in rows)
    assert await assignments.history(WATCH) == []  # about networks alone


async def test_a_change_of_another_kind_cannot_be_undone_by_its_id(records: Database) -> None:
    assignments = resolver(records)
    assignments.declare(WATCH, "off", {}, STRICTER, TargetKind)
    await assignments.assign("ada", KIND, LIBRARY, "staff", "one", None)
    with pytest.raises(Refused):
        await assignments.undo("ben", WATCH, await history_id(assignments))
    assert assignments.effective(KIND, address="10.1.9.9").value == "staff"


async def test_a_choice_that_comes_back_by_itself_is_found(records: Database) -> None:
    await put_into_directory(records)
    assignments = watcher(records)
    tomorrow, later = now() + timedelta(days=1), now() + timedelta(days=2)
    await assignments.assign("eve", WATCH, BAND, "all", "for good", None)
    await assignments.assign("eve", WATCH, BAND, "off", "until tomorrow", tomorrow)
    await assignments.assign("eve", WATCH, CHOIR, "all", "until tomorrow", tomorrow)
    await assignments.assign("eve", WATCH, CHOIR, "off", "for longer", later)
    assert assignments.given(WATCH, "all") == frozenset()
    assert assignments.given(WATCH, "all", or_later=True) == {BAND}
    assert assignments.given(WATCH, "off") == {BAND, CHOIR}


async def test_what_a_change_will_do_can_be_asked_before_it_is_made(records: Database) -> None:
    await put_into_directory(records)
    assignments = watcher(records)
    await assignments.assign("eve", WATCH, BAND, "some", "a reason", None)
    supposed = {PERSON: Effective("all", "would be", PERSON), BAND: None}
    assert assignments.effective(WATCH, person="ada", supposing=supposed).value == "all"
    assert assignments.effective(WATCH, person="ada", supposing={BAND: None}).target is None
    assert assignments.effective(WATCH, person="ada").value == "some"
    (row,) = await records.fetch("SELECT id FROM assignments")
    assert assignments.own(WATCH, BAND, without=row["id"]) is None


async def test_what_was_set_for_somebody_goes_with_them(records: Database) -> None:
    await put_into_directory(records)
    await watcher(records).assign("eve", WATCH, PERSON, "all", "Ada was seen", None)
    async with records.transaction() as tx:
        await tx.execute("DELETE FROM people WHERE id = 'ada'")
    assert await records.fetch("SELECT * FROM assignments") == []


_NAMES = st.sampled_from(["band", "choir", "trolley"])
_VALUES = st.sampled_from([*STRICTER, None])


@settings(deadline=None)
@given(
    person=_VALUES,
    device=_VALUES,
    groups=st.dictionaries(_NAMES, st.sampled_from(STRICTER)),
    of_person=st.sets(_NAMES),
    of_device=st.sets(_NAMES),
    networks_value=_VALUES,
)
def test_precedence_is_the_rule_read_aloud(
    person: str | None,
    device: str | None,
    groups: dict[str, str],
    of_person: set[str],
    of_device: set[str],
    networks_value: str | None,
) -> None:
    chosen = {PERSON: person, DEVICE: device, LIBRARY: networks_value}
    chosen |= {Target(TargetKind.GROUP, name): value for name, value in groups.items()}
    records = Database(Path("nowhere.db"))
    school = School({"ada": of_person}, {"laptop": of_device})
    assignments = Assignments(records, Bus(records, (), run_plainly), Audit(records), GROUPS, school)
    assignments.declare(WATCH, "off", {}, STRICTER, TargetKind)
    assignments._take(rows_of(chosen))

    in_groups = [groups[name] for name in of_person | of_device if name in groups]
    expected = (
        person or device or (max(in_groups, key=STRICTER.index) if in_groups else None) or networks_value or "off"
    )
    assert assignments.effective(WATCH, person="ada", device="laptop", address="10.1.9.9").value == expected


def rows_of(chosen: Mapping[Target, str | None]) -> list[sqlite3.Row]:
    """Rows as the store hands them out."""
    connection = sqlite3.connect(":memory:")
    connection.row_factory = sqlite3.Row
    columns = "'1' AS id, ? AS kind, ? AS target_kind, ? AS target, ? AS value, 'eve' AS author, 'why' AS reason,"
    columns += " NULL AS until"
    rows = [
        connection.execute(f"SELECT {columns}", (WATCH, target.kind.value, target.id, value)).fetchone()
        for target, value in chosen.items()
        if value is not None
    ]
    connection.close()
    return rows


async def test_a_store_of_the_old_form_goes_on(tmp_path: Path) -> None:
    """Groups of networks keep what was set for them, and news that waits can be read."""
    old, store = tmp_path / "old", Database(tmp_path / "records.db")
    old.mkdir()
    for path in sorted(resource("migrations").glob("*.sql"))[:5]:
        (old / path.name).write_text(path.read_text())
    await store.open()
    try:
        await migrate(store, CORE, old)
        async with store.transaction() as tx:
            await tx.execute(
                "INSERT INTO assignments VALUES ('1', ?, 'library', 'staff', 'ada', 'why', ?, NULL, NULL, NULL)",
                (KIND, stamp()),
            )
            payload = (
                '{"id": "e", "occurred_at": "2026-11-24T09:30:00.123Z", "kind": "dns_profile", "group": "library"}'
            )
            await tx.execute("INSERT INTO events VALUES ('e', 'AssignmentChanged', ?, ?)", (stamp(), payload))
        await migrate(store, CORE, resource("migrations"))
        assignments = resolver(store)
        await assignments.start()
        assert assignments.effective(KIND, address="10.1.9.9").value == "staff"
        (event,) = await store.fetch("SELECT payload FROM events")
        assert AssignmentChanged.model_validate_json(event["payload"]).target == "library"
    finally:
        await store.close()
