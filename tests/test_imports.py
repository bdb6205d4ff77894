"""A file of people becomes what its preview said, in units, and the last import can be taken back exactly."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.access import PERMISSIONS, Actor, Role
from appliance.audit import Audit
from appliance.bus import Bus
from appliance.clock import now
from appliance.db import Database
from appliance.errors import Refused
from appliance.loading import resource
from appliance.migrate import CORE, migrate
from appliance.people import imports
from appliance.people.directory import Details, Directory, Filter
from appliance.people.import_drafts import HELD_FOR, MOST_DRAFTS, Draft
from appliance.people.imports import UNDO_FOR
from appliance.people.matching import NEW, SAME, Plan

IT = Actor("Ian", PERMISSIONS[Role.IT], "it", Role.IT)
HEAD = "UPN,Forename,Surname,Reg Group,Year Group,Class,Email,Username\n"
TABLES = ("people", "groups", "group_people", "person_accounts", "devices", "group_devices")
FIRST = HEAD + (
    "A1,Ada,Lovelace,7A,7,7A/Ma1;7A/En1,ada@a.uk,alovelace\n"
    "A2,Ben,Miller,7A,7,7A/Ma1,,bmiller\n"
    "A3,Cy,Young,7B,7,,,\n"
    "A4,Di,Young,8B,8,,,\n"
    "A5,Ed,Young,8B,8,,,\n"
    "A6,Fay,Young,8B,8,,,\n"
)
SECOND = HEAD + (
    "A1,Ada,Byron,8A,8,8A/Ma1,ada@b.uk,abyron\n"
    "A2,Ben,Miller,7A,7,7A/Ma1,,bmiller\n"
    "A4,Di,Young,8B,8,,,\n"
    "A5,Ed,Young,8B,8,,,\n"
    "A6,Fay,Young,8B,8,,,\n"
    "B1,=Gus,Öz,9Z,9,,,gus\n"
)


async def run_plainly(*_: object) -> None:
    """Nobody listens in these tests."""


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[Database, Directory]]:
    database = Database(folder / "records.db")
    await database.open()
    await migrate(database, CORE, resource("migrations"))
    directory = Directory(database, Bus(database, (), run_plainly), Audit(database))
    await directory.start()
    try:
        yield database, directory
    finally:
        await directory.stop()
        await database.close()


@pytest.fixture
async def both(tmp_path: Path) -> AsyncIterator[tuple[Database, Directory]]:
    async with opened(tmp_path) as found:
        yield found


@pytest.fixture
def records(both: tuple[Database, Directory]) -> Database:
    return both[0]


@pytest.fixture
def directory(both: tuple[Database, Directory]) -> Directory:
    return both[1]


async def planned(directory: Directory, text: str, kind: str = "pupil", for_all: str = "") -> tuple[Draft, Plan]:
    """The file as it stands on the page before it is applied."""
    draft = await directory.imports.drafts.take(IT, kind, "people.csv", text.encode())
    assert await directory.imports.drafts.choose_columns(draft, draft.columns) == {}
    draft.for_all = for_all
    return draft, await directory.imports.plan(IT, draft)


async def applied(directory: Directory, text: str, kind: str = "pupil", *, leave: bool = False) -> str:
    """Take a file in; returns the import's id."""
    draft, plan = await planned(directory, text, kind)
    import_id = await directory.imports.apply(IT, draft, plan, run_plainly, leave=leave)
    await directory.imports.settled()
    return import_id


async def undone(directory: Directory, import_id: str) -> list[tuple[str, str]]:
    """Undo an import; returns what could not be taken back."""
    await directory.imports.undo(IT, import_id)
    await directory.imports.settled()
    return [(row["name"], row["field"]) for row in await directory.imports.left_over(IT, import_id)]


async def picture(records: Database) -> dict[str, set[tuple[object, ...]]]:
    """Everything that the directory holds."""
    return {table: {tuple(row) for row in await records.fetch(f"SELECT * FROM {table}")} for table in TABLES}


async def person_id(directory: Directory, words: str, *, left: bool = False) -> str:
    return str((await directory.find(IT, Filter(words=words, left=left), 1)).rows[0]["id"])


async def last(directory: Directory) -> dict[str, object]:
    row = await directory.imports.last(IT)
    assert row is not None
    return dict(row)


# Applying


async def test_a_file_becomes_people_groups_and_names(directory: Directory, records: Database) -> None:
    await applied(directory, FIRST)
    ada = await directory.person(IT, await person_id(directory, "ada"))
    assert ada is not None
    assert {key: ada.row[key] for key in ("name", "kind", "reference", "email")} == {
        "name": "Ada Lovelace", "kind": "pupil", "reference": "A1", "email": "ada@a.uk",
    }  # fmt: skip
    assert [(group["kind"], group["name"]) for group in ada.groups] == [
        ("class", "7A/En1"), ("class", "7A/Ma1"), ("form", "7A"), ("year", "Year 7"),
    ]  # fmt: skip
    assert [(account["kind"], account["name"]) for account in ada.accounts] == [
        ("browser", "ada@a.uk"), ("system", "alovelace"),
    ]  # fmt: skip
    assert directory.groups_of_person(ada.row["id"]) == {group["id"] for group in ada.groups}
    assert {key: (await last(directory))[key] for key in ("state", "added", "changed", "gone")} == {
        "state": "applied", "added": 6, "changed": 0, "gone": 0,
    }  # fmt: skip
    assert "Lovelace" not in str([tuple(row) for row in await records.fetch("SELECT * FROM audit")])


async def test_taking_the_same_file_in_again_changes_nothing(directory: Directory, records: Database) -> None:
    await applied(directory, FIRST)
    before = await picture(records)
    _, plan = await planned(directory, FIRST)
    assert (plan.same, plan.new, plan.changed, plan.leaving, plan.questions) == (6, (), (), (), ())
    await applied(directory, FIRST, leave=True)
    assert await picture(records) == before


@pytest.mark.parametrize("leave", [True, False])
async def test_people_leave_only_if_somebody_says_so(directory: Directory, *, leave: bool) -> None:
    await applied(directory, FIRST)
    cy = await person_id(directory, "cy")
    groups = directory.groups_of_person(cy)
    await applied(directory, SECOND, leave=leave)
    found = await directory.person(IT, cy)
    assert found is not None
    assert (found.row["left_at"] is not None) is leave
    assert directory.groups_of_person(cy) == groups
    counts = await last(directory)
    assert (counts["added"], counts["changed"], counts["gone"]) == (1, 1, int(leave))
    await applied(directory, FIRST)
    back = await directory.person(IT, cy)
    assert back is not None
    assert back.row["left_at"] is None


@pytest.mark.parametrize(("kind", "told"), [("staff", True), ("pupil", False)])
async def test_staff_who_leave_are_handed_on_at_once(directory: Directory, kind: str, *, told: bool) -> None:
    await applied(directory, "Staff code,Name,UPN\nS1,Mr Young,\nS2,Ms Old,\n", kind)
    young = await person_id(directory, "young")
    draft, plan = await planned(directory, "Staff code,Name,UPN\nS2,Ms Old,\n", kind)
    heard: list[Sequence[str]] = []

    async def end_accounts(people: Sequence[str]) -> None:
        heard.append(people)
        raise Refused("The account of the last lead cannot be ended.")

    await directory.imports.apply(IT, draft, plan, end_accounts, leave=True)
    await directory.imports.settled()
    assert heard == ([[young]] if told else [])
    progress = directory.imports.progress
    assert progress is not None
    assert ("last lead" in progress.trouble) is told
    assert (await last(directory))["state"] == "applied"


async def test_whoever_was_changed_since_the_preview_is_passed_over(directory: Directory, records: Database) -> None:
    await applied(directory, FIRST)
    draft, plan = await planned(directory, SECOND)
    ada, cy = await person_id(directory, "ada"), await person_id(directory, "cy")
    await directory.change(IT, ada, Details("pupil", "Ada King", "A1", "ada@a.uk"))
    await directory.mark_left(IT, cy)
    await directory.add_account(IT, await person_id(directory, "ben"), "system", "gus")
    before = await picture(records)
    await directory.imports.apply(IT, draft, plan, run_plainly, leave=True)
    await directory.imports.settled()
    after = await picture(records)
    assert after["people"] == before["people"]
    assert (await last(directory))["passed_over"] == 3
    assert plan.digest != (await planned(directory, SECOND))[1].digest


async def test_a_big_file_is_applied_in_units(directory: Directory, records: Database) -> None:
    rows = "".join(f"A{number},Pupil,Number {number},F{number % 9},7,,,\n" for number in range(imports.UNIT + 1))
    import_id = await applied(directory, HEAD + rows)
    progress = directory.imports.progress
    assert progress is not None
    assert (progress.done, progress.total, progress.trouble) == (imports.UNIT + 1, imports.UNIT + 1, "")
    units = await records.fetch("SELECT * FROM audit WHERE action = 'imported people'")
    assert len(units) == 2
    assert await undone(directory, import_id) == []
    assert await picture(records) == {table: set() for table in TABLES}


async def test_one_import_at_a_time(directory: Directory) -> None:
    draft, plan = await planned(directory, FIRST)
    other, plan_of_other = await planned(directory, SECOND)
    import_id = await directory.imports.apply(IT, draft, plan, run_plainly)
    assert directory.imports.working(import_id)
    with pytest.raises(Refused, match="Another import"):
        await directory.imports.apply(IT, other, plan_of_other, run_plainly)
    with pytest.raises(Refused, match="Another import"):
        await directory.imports.undo(IT, import_id)
    await directory.imports.settled()
    assert not directory.imports.working(import_id)
    await directory.imports.undo(IT, import_id)
    await directory.imports.settled()


async def test_nobody_else_may_import(directory: Directory) -> None:
    draft, plan = await planned(directory, FIRST)
    head = Actor("Hal", PERMISSIONS[Role.HEAD], "head", Role.HEAD)
    for attempt in (
        directory.imports.plan(head, draft),
        directory.imports.apply(head, draft, plan, run_plainly),
        directory.imports.undo(head, "x"),
        directory.imports.last(head),
        directory.imports.left_over(head, "x"),
    ):
        with pytest.raises(Refused, match="does not allow"):
            await attempt


# Undoing


@pytest.mark.parametrize("for_all", ["", SAME, NEW])
@pytest.mark.parametrize("leave", [True, False])
async def test_undo_restores_exactly(directory: Directory, records: Database, for_all: str, *, leave: bool) -> None:
    await applied(directory, FIRST)
    await directory.mark_left(IT, await person_id(directory, "ben"))
    before = await picture(records)
    without_references = "Name,Form\nAda Lovelace,8A\nCy Young,7B\nNew One,9Z\nBen Miller,7A\n"
    for text in (SECOND, without_references):
        draft, plan = await planned(directory, text, for_all=for_all)
        import_id = await directory.imports.apply(IT, draft, plan, run_plainly, leave=leave)
        await directory.imports.settled()
        assert await picture(records) != before
        assert await undone(directory, import_id) == []
        assert await picture(records) == before
        assert (await last(directory))["state"] == "undone"
        with pytest.raises(Refused, match="no longer"):
            await directory.imports.undo(IT, import_id)


cells = st.sampled_from(["", "7A", "8B"])
rows = st.lists(
    st.tuples(st.sampled_from(["", "A1", "A2", "a3"]), st.sampled_from(["Ada L", "Ben M", "Àda L"]), cells, cells),
    max_size=5,
)


@settings(max_examples=25, deadline=None)
@given(rows, rows, st.booleans(), st.sampled_from(["", SAME, NEW]))
async def test_undo_restores_whatever_the_files_were(
    first: list[tuple[str, ...]],
    second: list[tuple[str, ...]],
    leave: bool,
    for_all: str,
) -> None:
    def file(found: list[tuple[str, ...]]) -> str:
        return "UPN,Name,Form,Class\nZ9,Zed,9Z,\n" + "".join(",".join(row) + "\n" for row in found)

    with tempfile.TemporaryDirectory() as folder:
        async with opened(Path(folder)) as (records, directory):
            await applied(directory, file(first))
            before = await picture(records)
            draft, plan = await planned(directory, file(second), for_all=for_all)
            import_id = await directory.imports.apply(IT, draft, plan, run_plainly, leave=leave)
            await directory.imports.settled()
            after = await picture(records)
            people = {row[0] for row in before["people"]}
            assert people <= {row[0] for row in after["people"]}, "nobody is lost"
            assert len(after["people"]) == len(people) + len(plan.new), "nobody is merged"
            if not (await last(directory))["can_undo"]:
                assert after == before
                return
            assert await undone(directory, import_id) == []
            assert await picture(records) == before


async def test_what_was_changed_since_stays_and_is_named(directory: Directory, records: Database) -> None:
    await applied(directory, FIRST)
    import_id = await applied(directory, SECOND, leave=True)
    ada, gus = await person_id(directory, "ada"), await person_id(directory, "gus")
    form = await directory.groups.make(IT, "form", "9Q")
    await directory.groups.add_people(IT, form, [ada])
    await directory.add_account(IT, gus, "system", "gus2")
    assert await undone(directory, import_id) == [("Ada Lovelace", "form"), ("=Gus Öz", "added")]
    found = await directory.person(IT, ada)
    assert found is not None
    assert {group["name"] for group in found.groups} == {"7A/Ma1", "7A/En1", "8A", "9Q", "Year 7"}
    assert found.row["email"] == "ada@a.uk"
    assert (await directory.find(IT, Filter(words="cy"), 1)).total == 1
    assert (await last(directory))["can_undo"] == 0


@pytest.mark.parametrize("what", ["scope", "reviewer", "choice", "vulnerable"])
async def test_somebody_whom_other_records_name_is_not_taken_out(
    directory: Directory, records: Database, what: str
) -> None:
    import_id = await applied(directory, HEAD + "A1,Ada,Lovelace,7A,7,,,\n")
    ada = await person_id(directory, "ada")
    statements = {
        "scope": ("INSERT INTO staff_scopes VALUES ('x', 'person', ?)", (ada,)),
        "reviewer": ("INSERT INTO staff_reviewers VALUES (?, 'x', '', '')", (ada,)),
        "choice": (
            "INSERT INTO assignments (id, kind, target_kind, target, value, author, reason, set_at)"
            " VALUES ('x', 'monitoring', 'person', ?, 'on', 'a', 'r', '')",
            (ada,),
        ),
        "vulnerable": (
            "INSERT INTO vulnerable_entries (id, person_id, since, added_by) VALUES ('x', ?, '', '')",
            (ada,),
        ),
    }
    async with records.transaction() as tx:
        await tx.execute(
            "INSERT INTO staff_accounts (id, sign_in_name, name, state, made_at, made_by)"
            " VALUES ('x', 'x', 'x', 'active', '', '')"
        )
        await tx.execute(*statements[what])
    assert await undone(directory, import_id) == [("Ada Lovelace", "added")]
    assert [row["name"] for row in await directory.groups.all(IT)] == ["7A", "Year 7"]


async def test_a_group_that_is_in_use_stays(directory: Directory, records: Database) -> None:
    import_id = await applied(directory, HEAD + "A1,Ada,Lovelace,7A,7,7A/Ma1,,\n")
    by_name = {row["name"]: row["id"] for row in await directory.groups.all(IT)}
    async with records.transaction() as tx:
        await tx.execute(
            "INSERT INTO staff_accounts (id, sign_in_name, name, state, made_at, made_by)"
            " VALUES ('x', 'x', 'x', 'active', '', '')"
        )
        await tx.execute("INSERT INTO staff_scopes VALUES ('x', 'group', ?)", (by_name["7A"],))
    eve = await directory.add(IT, Details("pupil", "Eve"))
    await directory.groups.add_people(IT, by_name["Year 7"], [eve])
    assert await undone(directory, import_id) == []
    assert [row["name"] for row in await directory.groups.all(IT)] == ["7A", "Year 7"]


async def test_only_the_last_import_can_be_undone(directory: Directory) -> None:
    first = await applied(directory, FIRST)
    second = await applied(directory, SECOND)
    with pytest.raises(Refused, match="no longer"):
        await directory.imports.undo(IT, first)
    assert await undone(directory, second) == []


async def test_an_import_that_stopped_half_way_says_so_and_can_be_undone(
    directory: Directory, records: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "UNIT", 2)
    await applied(directory, "Name\nAda\nBen\nCy\nDi\n", "staff")
    before = await picture(records)
    draft, plan = await planned(directory, "Name\nEd\n", "staff")

    async def refuse_the_next_unit(_people: Sequence[str]) -> None:
        records.unit_limit = 0

    import_id = await directory.imports.apply(IT, draft, plan, refuse_the_next_unit, leave=True)
    await directory.imports.settled()
    progress = directory.imports.progress
    assert progress is not None
    assert (progress.done, progress.total) == (2, 5)
    assert "held the store" in progress.trouble
    assert ((await last(directory))["state"], (await last(directory))["gone"]) == ("applying", 1)
    records.unit_limit = 10
    assert await undone(directory, import_id) == []
    assert await picture(records) == before


async def test_a_stop_in_the_middle_keeps_whole_units_only(
    directory: Directory, records: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imports, "UNIT", 2)
    draft, plan = await planned(directory, FIRST)
    import_id = await directory.imports.apply(IT, draft, plan, run_plainly)
    while (await directory.find(IT, Filter(), 1)).total == 0:
        pass
    await directory.imports.stop()
    count = (await directory.find(IT, Filter(), 1)).total
    assert count % 2 == 0
    again = Directory(records, Bus(records, (), run_plainly), Audit(records))
    assert not again.imports.working(import_id)
    assert (await last(again))["state"] == ("applied" if count == 6 else "applying")
    await again.imports.undo(IT, import_id)
    await again.imports.settled()
    assert (await picture(records))["people"] == set()


async def test_what_an_import_changed_is_forgotten_after_a_month(records: Database) -> None:
    moment = [now()]
    directory = Directory(records, Bus(records, (), run_plainly), Audit(records), clock=lambda: moment[0])
    await directory.start()
    import_id = await applied(directory, FIRST)
    moment[0] += UNDO_FOR - timedelta(minutes=1)
    await directory.imports.forget_old()
    assert (await last(directory))["can_undo"]
    moment[0] += timedelta(minutes=2)
    await directory.imports.forget_old()
    assert await records.fetch("SELECT * FROM import_changes") == []
    with pytest.raises(Refused, match="no longer"):
        await directory.imports.undo(IT, import_id)


# Files on their way in


async def test_a_file_is_held_for_an_hour_and_for_the_one_who_chose_it() -> None:
    moment = [now()]
    drafts = imports.Drafts(lambda: moment[0])
    draft = await drafts.take(IT, "pupil", "people.csv", FIRST.encode())
    assert drafts.draft(IT, draft.id) is draft
    assert drafts.draft(Actor("Eve", IT.permissions, "eve"), draft.id) is None
    assert drafts.draft(IT, "other") is None
    moment[0] += HELD_FOR
    assert drafts.draft(IT, draft.id) is None


async def test_few_files_are_held_one_for_each_person() -> None:
    drafts = imports.Drafts()
    first = await drafts.take(IT, "pupil", "one.csv", FIRST.encode())
    second = await drafts.take(IT, "pupil", "two.csv", FIRST.encode())
    assert drafts.draft(IT, first.id) is None
    assert drafts.draft(IT, second.id) is second
    for number in range(MOST_DRAFTS):
        await drafts.take(Actor("x", IT.permissions, f"x{number}"), "staff", "x.csv", FIRST.encode())
    assert drafts.draft(IT, second.id) is None
    drafts.drop(second)


async def test_a_file_waits_for_its_columns(directory: Directory) -> None:
    drafts = directory.imports.drafts
    with pytest.raises(Refused, match="who is in the file"):
        await drafts.take(IT, "alien", "x.csv", FIRST.encode())
    draft = await drafts.take(IT, "pupil", "x" * 300 + ".csv", FIRST.encode())
    assert len(draft.file_name) == 100
    with pytest.raises(Refused, match="columns"):
        await directory.imports.plan(IT, draft)
    assert await drafts.choose_columns(draft, {"name": 99}) != {}
    assert draft.reading is None
    assert await drafts.choose_columns(draft, draft.columns) == {}
    draft.answers[2] = NEW
    await drafts.choose_columns(draft, draft.columns)
    assert draft.answers == {}
