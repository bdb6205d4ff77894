"""People, groups and devices: who may find whom, what changes, and that nobody is ever lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.access import PERMISSIONS, Actor, Role
from appliance.audit import Audit
from appliance.bus import Bus
from appliance.clock import new_id, now, stamp
from appliance.db import Database
from appliance.errors import Refused
from appliance.events import DirectoryChanged
from appliance.loading import resource
from appliance.migrate import CORE, migrate
from appliance.people.devices import DeviceDetails, DeviceFilter
from appliance.people.directory import Details, Directory, Filter
from appliance.people.listing import PAGE_ROWS


async def run_plainly(*_: object) -> None:
    """Nobody listens in these tests."""


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "records.db")
    await database.open()
    await migrate(database, CORE, resource("migrations"))
    yield database
    await database.close()


@pytest.fixture
async def directory(records: Database) -> AsyncIterator[Directory]:
    bus = Bus(records, (), run_plainly)
    found = Directory(records, bus, Audit(records))
    await bus.subscribe("somebody", {DirectoryChanged: run_plainly})
    await found.start()
    yield found
    await found.stop()


IT = Actor("Ian", PERMISSIONS[Role.IT], "it", Role.IT)
GOVERNOR = Actor("Gwen", PERMISSIONS[Role.GOVERNOR], "governor", Role.GOVERNOR)


async def with_scope(records: Database, role: Role, kind: str = "", target: str = "") -> Actor:
    """An account of this role; ``kind``: of its scope."""
    account = new_id()
    async with records.transaction() as tx:
        await tx.execute(
            "INSERT INTO staff_accounts (id, sign_in_name, name, role, state, made_at, made_by)"
            " VALUES (?, ?, ?, ?, 'active', ?, 'x')",
            (account, account, f"Tess {role}", role, stamp()),
        )
        if kind:
            await tx.execute("INSERT INTO staff_scopes VALUES (?, ?, ?)", (account, kind, target))
    return Actor(f"Tess {role}", PERMISSIONS[role], account, role)


async def pupil(directory: Directory, name: str, reference: str = "", *groups: str) -> str:
    person = await directory.add(IT, Details("pupil", name, reference))
    for group in groups:
        await directory.groups.add_people(IT, group, [person])
    return person


async def names(directory: Directory, actor: Actor, wanted: Filter | None = None) -> list[str]:
    return [row["name"] for row in (await directory.find(actor, wanted or Filter(), 1)).rows]


async def audit(records: Database) -> list[tuple[str, str]]:
    return [(row["action"], row["subject"]) for row in await records.fetch("SELECT * FROM audit ORDER BY seq")]


# Who may find whom


async def test_each_sees_the_people_in_scope_and_whoever_keeps_the_directory_sees_all(
    directory: Directory, records: Database
) -> None:
    form, secret = await directory.groups.make(IT, "form", "7A"), await directory.groups.make(IT, "list", "Worries")
    ada = await pupil(directory, "Ada Lovelace", "A1", form, secret)
    ben = await pupil(directory, "Ben Miller")
    await directory.add(IT, Details("staff", "Mr Young"))
    teacher = await with_scope(records, Role.TEACHER, "group", form)
    tutor = await with_scope(records, Role.PASTORAL, "person", ben)
    lead, nobody = await with_scope(records, Role.HEAD, "everyone"), await with_scope(records, Role.TEACHER)

    assert await names(directory, IT) == ["Ada Lovelace", "Ben Miller", "Mr Young"]
    assert await names(directory, lead) == ["Ada Lovelace", "Ben Miller"]
    assert await names(directory, teacher) == ["Ada Lovelace"]
    assert await names(directory, tutor) == ["Ben Miller"]
    assert await names(directory, nobody) == await names(directory, GOVERNOR) == []
    assert await directory.counts(IT) == {"pupil": 2, "staff": 1}
    assert await directory.counts(teacher) == {"pupil": 1}

    assert await directory.person(teacher, ben) is None
    assert await directory.person(teacher, new_id()) is None
    found = await directory.person(teacher, ada)
    assert found is not None
    assert [group["name"] for group in found.groups] == ["7A"]  # not the list, whose name says more
    assert [row["name"] for row in await directory.groups.all(teacher)] == ["7A"]
    assert await directory.groups.group(teacher, secret) is None
    assert [row["people"] for row in await directory.groups.all(lead)] == [1, 1]
    assert await directory.groups.all(nobody) == await directory.groups.all(GOVERNOR) == []


async def test_devices_are_found_by_who_has_them_and_by_rooms_in_scope(directory: Directory, records: Database) -> None:
    room = await directory.groups.make(IT, "room", "IT 1")
    ada, head = await pupil(directory, "Ada"), await directory.add(IT, Details("staff", "The head"))
    laptop, desk, own = [
        await directory.devices.add(IT, DeviceDetails(name, name)) for name in ("laptop", "desk", "own")
    ]
    await directory.devices.give(IT, laptop, ada)
    await directory.devices.give(IT, own, head)
    await directory.groups.add_devices(IT, room, [desk])
    tutor = await with_scope(records, Role.PASTORAL, "person", ada)
    librarian = await with_scope(records, Role.TEACHER, "group", room)
    lead = await with_scope(records, Role.HEAD, "everyone")

    async def found(actor: Actor) -> list[tuple[str, str | None]]:
        page = await directory.devices.find(actor, DeviceFilter(), 1)
        return [(row["name"], row["person"]) for row in page.rows]

    assert await found(IT) == [("desk", None), ("laptop", "Ada"), ("own", "The head")]
    assert await found(tutor) == [("laptop", "Ada")]
    assert await found(librarian) == [("desk", None)]
    assert await found(lead) == [("desk", None), ("laptop", "Ada"), ("own", None)]  # whose it is stays unsaid
    assert await found(GOVERNOR) == []
    assert await directory.devices.device(librarian, laptop) is None
    shown = await directory.devices.device(librarian, desk)
    assert shown is not None
    assert [group["name"] for group in shown.groups] == ["IT 1"]
    seen = await directory.devices.device(lead, own)
    assert seen is not None
    assert (seen.row["given"], seen.row["person_id"]) == (1, None)


async def test_only_those_who_keep_the_directory_change_it(directory: Directory, records: Database) -> None:
    ada, form = await pupil(directory, "Ada"), await directory.groups.make(IT, "form", "7A")
    device = await directory.devices.add(IT, DeviceDetails("desk"))
    head = await with_scope(records, Role.HEAD, "everyone")
    before = await audit(records)
    tries = (
        directory.add(head, Details("pupil", "Eve")),
        directory.change(head, ada, Details("pupil", "Eve")),
        directory.mark_left(head, ada),
        directory.mark_back(head, ada),
        directory.add_account(head, ada, "system", "eve"),
        directory.remove_account(head, ada, "system", "eve"),
        directory.groups.make(head, "form", "8A"),
        directory.groups.rename(head, form, "8A"),
        directory.groups.add_people(head, form, [ada]),
        directory.groups.remove_people(head, form, [ada]),
        directory.groups.add_devices(head, form, [device]),
        directory.groups.remove_devices(head, form, [device]),
        directory.groups.delete(head, form),
        directory.devices.add(head, DeviceDetails("x")),
        directory.devices.change(head, device, DeviceDetails("x")),
        directory.devices.give(head, device, ada),
        directory.devices.remove(head, device),
        directory.devices.bring_back(head, device),
    )
    for attempt in tries:
        with pytest.raises(Refused, match="does not allow"):
            await attempt
    assert await audit(records) == before


# People


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), ["Ben O’Hara", "Ada van der Berg", "Zoë Smith"]),
        (Filter(words="zoe"), ["Zoë Smith"]),
        (Filter(words="BERG ada"), ["Ada van der Berg"]),
        (Filter(words="o'hara"), ["Ben O’Hara"]),
        (Filter(words="%"), []),
        (Filter(words="a1"), ["Ada van der Berg"]),
        (Filter(words="mith zo"), ["Zoë Smith"]),
        (Filter(kind="staff"), ["Ben O’Hara"]),
        (Filter(kind="guest"), []),
        (Filter(left=True), ["Gone Girl"]),
        (Filter(group="none"), []),
    ],
)
async def test_people_are_found(directory: Directory, wanted: Filter, found: list[str]) -> None:
    await directory.add(IT, Details("pupil", "Ada van der Berg", "A1"))
    await directory.add(IT, Details("pupil", "Zoë Smith"))
    await directory.add(IT, Details("staff", "Ben O’Hara"))
    await directory.mark_left(IT, await directory.add(IT, Details("pupil", "Gone Girl")))
    assert sorted(await names(directory, IT, wanted)) == sorted(found)


async def test_long_lists_have_pages(directory: Directory) -> None:
    for number in range(PAGE_ROWS + 1):
        await directory.add(IT, Details("pupil", f"Pupil {number:03}"))
    first, second = await directory.find(IT, Filter(), 1), await directory.find(IT, Filter(), 2)
    assert (first.total, first.last, len(first.rows), len(second.rows)) == (PAGE_ROWS + 1, 2, PAGE_ROWS, 1)
    assert not {row["id"] for row in first.rows} & {row["id"] for row in second.rows}
    assert (await directory.find(IT, Filter(), 99)).number == 2
    assert (await directory.find(IT, Filter(), -1)).number == 1


async def test_a_person_is_added_changed_marked_and_never_named_in_the_audit(
    directory: Directory, records: Database
) -> None:
    ada = await directory.add(IT, Details("pupil", "  Ada \n Lovelace ", "A1", "ada@a.uk"))
    found = await directory.person(IT, ada)
    assert found is not None
    assert (found.row["name"], found.row["reference"]) == ("Ada Lovelace", "A1")
    await directory.change(IT, ada, Details("pupil", "Ada Byron", "A1", "ada@a.uk"))
    await directory.change(IT, ada, Details("pupil", "Ada Byron", "A1", "ada@a.uk"))  # nothing
    assert await directory.mark_left(IT, ada) == ()
    assert await directory.mark_left(IT, ada) == ()
    await directory.mark_back(IT, ada)
    await directory.mark_back(IT, ada)
    assert await names(directory, IT) == ["Ada Byron"]
    assert await audit(records) == [
        (action, f"person {ada}")
        for action in ("added a person", "changed a person", "marked a person as left", "marked a person as back")
    ]
    whole = "".join(str(tuple(row)) for row in await records.fetch("SELECT * FROM audit"))
    assert "Lovelace" not in whole
    assert "Byron" not in whole
    assert (await records.fetch_one("SELECT count(*) AS n FROM events"))["n"] == 4  # type: ignore[index]


async def test_groups_stay_when_somebody_leaves_and_staff_are_handed_on(directory: Directory) -> None:
    form = await directory.groups.make(IT, "form", "7A")
    ada = await pupil(directory, "Ada", "", form)
    teacher = await directory.add(IT, Details("staff", "Mr Young"))
    await directory.mark_left(IT, ada)
    assert directory.groups_of_person(ada) == {form}
    assert await directory.mark_left(IT, teacher) == (teacher,)
    me = Actor("Ian", IT.permissions, "it", Role.IT, person=ada)
    with pytest.raises(Refused, match="yourself"):
        await directory.mark_left(me, ada)


@pytest.mark.parametrize(
    ("details", "field"),
    [
        (Details("pupil", " \t"), "name"),
        (Details("pupil", "x" * 201), "name"),
        (Details("alien", "Ada"), "kind"),
        (Details("pupil", "Ada", "x" * 65), "reference"),
        (Details("pupil", "Ada", "", "x" * 255), "email"),
    ],
)
async def test_what_cannot_be_kept_is_refused_by_field(directory: Directory, details: Details, field: str) -> None:
    assert details.faults().keys() == {field}
    with pytest.raises(Refused):
        await directory.add(IT, details)


async def test_a_reference_is_given_once_and_a_kind_stays(directory: Directory) -> None:
    ada = await directory.add(IT, Details("pupil", "Ada", "A1"))
    await directory.add(IT, Details("staff", "Mr Young", "A1"))  # staff are counted apart
    with pytest.raises(Refused, match="Ada has this reference"):
        await directory.add(IT, Details("pupil", "Ben", "a1"))
    with pytest.raises(Refused, match="cannot be changed"):
        await directory.change(IT, ada, Details("staff", "Ada", "A1"))
    with pytest.raises(Refused, match="not in the directory"):
        await directory.change(IT, new_id(), Details("pupil", "Ada"))


async def test_devices_know_people_under_names_in_any_case(directory: Directory) -> None:
    ada, ben = await pupil(directory, "Ada"), await pupil(directory, "Ben")
    await directory.add_account(IT, ada, "system", " ALovelace ")
    await directory.add_account(IT, ada, "system", "alovelace")  # she has it already
    assert await directory.find_account("system", "aLOVELACE") == ada
    assert await directory.find_account("browser", "alovelace") is None
    with pytest.raises(Refused, match="know Ada under this name"):
        await directory.add_account(IT, ben, "system", "alovelace")
    await directory.remove_account(IT, ben, "system", "alovelace")  # not his
    assert await directory.find_account("system", "alovelace") == ada
    await directory.remove_account(IT, ada, "system", "ALOVELACE")
    assert await directory.find_account("system", "alovelace") is None
    for kind, name in (("telepathy", "x"), ("system", " "), ("system", "x" * 300)):
        with pytest.raises(Refused):
            await directory.add_account(IT, ada, kind, name)


# Groups


async def test_memory_follows_the_store_and_a_new_start_finds_the_same(directory: Directory, records: Database) -> None:
    form, room = await directory.groups.make(IT, "form", "7A"), await directory.groups.make(IT, "room", "IT 1")
    ada, desk = await pupil(directory, "Ada"), await directory.devices.add(IT, DeviceDetails("desk"))
    assert directory.groups_of_person(ada) == frozenset()
    assert await directory.groups.add_people(IT, form, [ada, ada, new_id()]) == 1
    assert await directory.groups.add_devices(IT, room, [desk]) == 1
    assert directory.groups_of_person(ada) == {form}
    assert directory.groups_of_device(desk) == {room}
    assert directory.kind_of_person(ada) == "pupil"
    again = Directory(records, Bus(records, (), run_plainly), Audit(records))
    await again.start()
    assert again.memberships() == directory.memberships() == ({ada: {form}}, {desk: {room}})
    assert await directory.groups.remove_people(IT, form, [ada]) == 1
    assert await directory.groups.remove_people(IT, form, [ada]) == 0
    assert directory.groups_of_person(ada) == frozenset()
    await directory.groups.delete(IT, room)
    assert directory.groups_of_device(desk) == frozenset()


async def test_groups_are_made_renamed_counted_and_sorted_as_people_count(directory: Directory) -> None:
    nine, ten = [await directory.groups.make(IT, "year", name) for name in ("Year 9", "Year 10")]
    ada, ben = await pupil(directory, "Ada", "", nine), await pupil(directory, "Ben", "", nine)
    await directory.mark_left(IT, ben)
    for name in ("year 9", " YEAR  9 "):
        with pytest.raises(Refused, match="called Year 9 already"):
            await directory.groups.make(IT, "year", name)
        with pytest.raises(Refused, match="already"):
            await directory.groups.rename(IT, ten, name)
    await directory.groups.rename(IT, nine, "YEAR 9")
    await directory.groups.make(IT, "form", "Year 9")  # another kind
    rows = [(row["kind"], row["name"], row["people"]) for row in await directory.groups.all(IT)]
    assert rows == [("form", "Year 9", 0), ("year", "YEAR 9", 1), ("year", "Year 10", 0)]
    assert [row["name"] for row in await directory.groups.all(IT, "form")] == ["Year 9"]
    people = await directory.groups.people(IT, nine, 1)
    assert [(row["id"], row["left_at"] is None) for row in people.rows] == [(ada, True), (ben, False)]
    for kind, name in (("nonsense", "x"), ("form", " "), ("form", "x" * 81)):
        with pytest.raises(Refused):
            await directory.groups.make(IT, kind, name)


async def test_a_group_that_is_a_scope_or_is_decided_about_is_never_deleted(
    directory: Directory, records: Database
) -> None:
    form = await directory.groups.make(IT, "form", "7A")
    ada = await pupil(directory, "Ada", "", form)
    teacher = await with_scope(records, Role.TEACHER, "group", form)
    with pytest.raises(Refused, match=teacher.name):
        await directory.groups.delete(IT, form)
    async with records.transaction() as tx:
        await tx.execute("DELETE FROM staff_scopes")
        await tx.execute(
            "INSERT INTO assignments (id, kind, target_kind, target, value, author, reason, set_at, until)"
            " VALUES ('x', 'dns_profile', 'group', ?, 'v', 'a', 'r', ?, NULL)",
            (form, stamp()),
        )
    with pytest.raises(Refused, match="dns profile"):
        await directory.groups.delete(IT, form)
    async with records.transaction() as tx:
        await tx.execute("UPDATE assignments SET until = ?", (stamp(now()),))
    assert (await directory.groups.use(form)).words == ""
    await directory.groups.delete(IT, form)
    assert await names(directory, IT) == ["Ada"]
    assert directory.groups_of_person(ada) == frozenset()
    with pytest.raises(Refused, match="not in the directory"):
        await directory.groups.delete(IT, form)


# Devices


async def test_a_device_is_added_given_removed_and_brought_back(directory: Directory, records: Database) -> None:
    ada = await pupil(directory, "Ada")
    laptop = await directory.devices.add(IT, DeviceDetails(" Ada’s  laptop ", "S1"))
    await directory.devices.give(IT, laptop, ada)
    await directory.devices.give(IT, laptop, ada)
    found = await directory.person(IT, ada)
    assert found is not None
    assert [device["name"] for device in found.devices] == ["Ada’s laptop"]
    with pytest.raises(Refused, match="serial number"):
        await directory.devices.add(IT, DeviceDetails("other", "s1"))
    await directory.devices.add(IT, DeviceDetails("without"))
    await directory.devices.add(IT, DeviceDetails("without"))
    await directory.devices.change(IT, laptop, DeviceDetails("L-01", "S1"))
    await directory.devices.remove(IT, laptop)
    await directory.devices.remove(IT, laptop)
    assert (await directory.devices.find(IT, DeviceFilter(words="l-01"), 1)).total == 0
    assert (await directory.devices.find(IT, DeviceFilter(words="S1", removed=True), 1)).total == 1
    await directory.devices.bring_back(IT, laptop)
    for wanted, count in (
        (DeviceFilter(holder="somebody"), 1),
        (DeviceFilter(holder="nobody"), 2),
        (DeviceFilter(group="none"), 0),
    ):
        assert (await directory.devices.find(IT, wanted, 1)).total == count
    await directory.mark_left(IT, ada)
    await directory.devices.give(IT, laptop, None)
    for person in (ada, new_id()):
        with pytest.raises(Refused, match="not at the school"):
            await directory.devices.give(IT, laptop, person)
    assert not [subject for _, subject in await audit(records) if "Ada" in subject]


@pytest.mark.parametrize(
    ("details", "field"),
    [
        (DeviceDetails(" "), "name"),
        (DeviceDetails("x" * 201), "name"),
        (DeviceDetails("x", "x" * 65), "serial"),
    ],
)
async def test_a_device_that_cannot_be_kept_is_refused(
    directory: Directory, details: DeviceDetails, field: str
) -> None:
    assert details.faults().keys() == {field}
    with pytest.raises(Refused):
        await directory.devices.add(IT, details)
