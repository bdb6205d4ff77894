"""The vulnerable list: kept by few, for people in their scope; nobody else can tell that somebody is on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from appliance.access import PERMISSIONS, Actor, Role
from appliance.audit import Audit
from appliance.bus import Bus
from appliance.clock import new_id, stamp
from appliance.db import Database
from appliance.errors import Refused
from appliance.hookspecs import Permission
from appliance.loading import resource
from appliance.migrate import CORE, migrate
from appliance.people.directory import Details, Directory, Filter
from appliance.people.vulnerable import LONGEST_NOTE, Dates, VulnerableList, due
from appliance.sealing import Keys, new_pair
from appliance.vaults import VULNERABLE_LIST, Vaults

IT = Actor("Ian", PERMISSIONS[Role.IT], "it", Role.IT)
TODAY = date(2026, 11, 24)
CANARY = "lives with an aunt since the spring"


async def run_plainly(*_: object) -> None:
    """Nobody listens in these tests."""


@dataclass
class School:
    """A store with a list, a directory, and one keeper who began the list."""

    records: Database
    directory: Directory
    vaults: Vaults
    list: VulnerableList
    keys: Keys
    keeper: Actor

    async def pupil(self, name: str) -> str:
        return await self.directory.add(IT, Details("pupil", name))

    async def account(self, name: str, kind: str, target: str = "") -> tuple[Actor, Keys]:
        """A member of staff who may keep the list, with a scope and open keys."""
        private, public = new_pair()
        account = new_id()
        async with self.records.transaction() as tx:
            await tx.execute(
                "INSERT INTO staff_accounts (id, sign_in_name, name, role, state, made_at, made_by, public_key)"
                " VALUES (?, ?, ?, 'pastoral', 'active', ?, 'x', ?)",
                (account, name.casefold(), name, stamp(), public),
            )
            await tx.execute("INSERT INTO staff_scopes VALUES (?, ?, ?)", (account, kind, target))
        keys = Keys(account, private)
        await self.vaults.load_keys(keys)
        allowed = PERMISSIONS[Role.PASTORAL] | {Permission.KEEP_VULNERABLE}
        return Actor(name, allowed, account, Role.PASTORAL), keys


@pytest.fixture
async def school(tmp_path: Path) -> AsyncIterator[School]:
    records = Database(tmp_path / "records.db")
    await records.open()
    await migrate(records, CORE, resource("migrations"))
    audit = Audit(records)
    directory, vaults = Directory(records, Bus(records, (), run_plainly), audit), Vaults(records, audit)
    moment = datetime(2026, 11, 24, 9, tzinfo=UTC)
    vulnerable = VulnerableList(records, audit, vaults, lambda: moment)
    found = School(records, directory, vaults, vulnerable, Keys("", bytearray(32)), IT)
    found.keeper, found.keys = await found.account("Kim", "everyone")
    async with records.transaction() as tx:
        await vaults.found(tx, VULNERABLE_LIST, found.keeper.account, found.keys)
    yield found
    await records.close()


async def test_somebody_is_put_on_the_list_with_a_reason_that_only_keepers_open(school: School) -> None:
    ada = await school.pupil("Ada Lovelace")
    entry = await school.list.add(school.keeper, ada, f" {CANARY}\n", Dates(review_on=date(2027, 1, 8)))
    (row,) = await school.list.entries(school.keeper)
    assert {key: row[key] for key in ("id", "person_id", "name", "added_by", "review_on", "until_on")} == {
        "id": entry, "person_id": ada, "name": "Ada Lovelace", "added_by": "Kim", "review_on": "2027-01-08",
        "until_on": None,
    }  # fmt: skip
    (note,) = await school.list.notes(school.keeper, school.keys, entry)
    assert (note.kind, note.author, note.words) == ("reason", "Kim", CANARY)
    assert [row["name"] for row in await school.list.keepers()] == ["Kim"]
    other, keys = await school.account("Lou", "everyone")
    with pytest.raises(Refused):
        await school.list.notes(other, keys, entry)  # no member of the vault: no key opens it


async def test_nothing_outside_the_list_tells_that_somebody_is_on_it(school: School) -> None:
    ada = await school.pupil("Ada Lovelace")
    before = await school.directory.person(IT, ada)
    entry = await school.list.add(school.keeper, ada, CANARY, Dates())
    await school.list.add_note(school.keeper, entry, CANARY)
    await school.list.notes(school.keeper, school.keys, entry)
    await school.list.change_dates(school.keeper, entry, Dates(until_on=date(2027, 1, 8)))
    await school.list.end(school.keeper, entry, CANARY)
    rows = [dict(row) for row in await school.records.fetch("SELECT * FROM audit ORDER BY seq")]
    mine = [row for row in rows if row["subject"] == VULNERABLE_LIST and row["actor"] == "Kim"]
    mine = [row for row in mine if "entry" in row["detail"]]
    assert [row["action"] for row in mine] == [
        "put somebody on it", "added a note to an entry", "read an entry", "changed the dates of an entry",
        "took somebody off it",
    ]  # fmt: skip
    assert not any(ada in str(row) or "Ada" in str(row) for row in mine)
    assert await school.directory.person(IT, ada) == before
    assert CANARY not in str([tuple(row) for row in await school.records.fetch("SELECT * FROM vulnerable_notes")])
    assert await school.records.fetch("SELECT * FROM events WHERE payload LIKE '%vulnerable%'") == []


async def test_only_keepers_reach_it(school: School) -> None:
    ada = await school.pupil("Ada")
    entry = await school.list.add(school.keeper, ada, CANARY, Dates())
    lead = Actor("Lee", PERMISSIONS[Role.LEAD], school.keeper.account, Role.LEAD)
    assert await school.list.entry_of(lead, ada) is None
    for attempt in (
        school.list.entries(lead),
        school.list.past(lead),
        school.list.entry(lead, entry),
        school.list.notes(lead, school.keys, entry),
        school.list.find(lead, "Ada"),
        school.list.add(lead, ada, "x", Dates()),
        school.list.add_note(lead, entry, "x"),
        school.list.change_dates(lead, entry, Dates()),
        school.list.end(lead, entry, "x"),
    ):
        with pytest.raises(Refused, match="does not allow"):
            await attempt


async def test_a_keeper_sees_the_people_in_scope_and_no_others(school: School) -> None:
    ada, ben = await school.pupil("Ada"), await school.pupil("Ben")
    about_ada = await school.list.add(school.keeper, ada, CANARY, Dates())
    tutor, keys = await school.account("Tess", "person", ben)
    assert await school.list.entries(tutor) == []
    assert await school.list.entry(tutor, about_ada) is None
    assert await school.list.entry_of(tutor, ada) is None
    assert await school.list.notes(tutor, keys, about_ada) == []
    assert await school.list.find(tutor, "a") == []
    assert [row["name"] for row in await school.list.find(tutor, "ben")] == ["Ben"]
    for attempt in (
        school.list.add(tutor, ada, "x", Dates()),
        school.list.add(tutor, new_id(), "x", Dates()),
        school.list.add_note(tutor, about_ada, "x"),
        school.list.change_dates(tutor, about_ada, Dates()),
        school.list.end(tutor, about_ada, "x"),
    ):
        with pytest.raises(Refused):
            await attempt
    await school.list.add(tutor, ben, "x", Dates())
    assert [row["name"] for row in await school.list.entries(school.keeper)] == ["Ada", "Ben"]


async def test_notes_are_added_and_what_was_written_stays_after_the_end(school: School) -> None:
    ada = await school.pupil("Ada")
    entry = await school.list.add(school.keeper, ada, "one", Dates())
    await school.list.add_note(school.keeper, entry, "two")
    with pytest.raises(Refused, match="already"):
        await school.list.add(school.keeper, ada, "again", Dates())
    assert await school.list.find(school.keeper, "ada") == []
    await school.list.end(school.keeper, entry, "three")
    assert await school.list.entries(school.keeper) == []
    (past,) = await school.list.past(school.keeper)
    assert (past["id"], past["ended_by"]) == (entry, "Kim")
    notes = await school.list.notes(school.keeper, school.keys, entry)
    assert [(note.kind, note.words) for note in notes] == [("reason", "one"), ("note", "two"), ("end", "three")]
    for attempt in (
        school.list.add_note(school.keeper, entry, "x"),
        school.list.end(school.keeper, entry, "x"),
        school.list.change_dates(school.keeper, entry, Dates()),
    ):
        with pytest.raises(Refused, match="ended"):
            await attempt
    again = await school.list.add(school.keeper, ada, "four", Dates())
    assert (await school.list.entry_of(school.keeper, ada))["id"] == again  # type: ignore[index]


async def test_a_note_that_was_moved_to_another_place_is_refused(school: School) -> None:
    ada, ben = await school.pupil("Ada"), await school.pupil("Ben")
    one = await school.list.add(school.keeper, ada, "one", Dates())
    two = await school.list.add(school.keeper, ben, "two", Dates())
    async with school.records.transaction() as tx:
        await tx.execute(
            "UPDATE vulnerable_notes SET sealed = (SELECT sealed FROM vulnerable_notes WHERE entry_id = ?)"
            " WHERE entry_id = ?",
            (two, one),
        )
    with pytest.raises(Refused):
        await school.list.notes(school.keeper, school.keys, one)


@pytest.mark.parametrize("reason", ["", " \n", "x" * (LONGEST_NOTE + 1)])
async def test_a_reason_is_needed_and_has_a_measure(school: School, reason: str) -> None:
    ada = await school.pupil("Ada")
    entry = await school.list.add(school.keeper, ada, "x" * LONGEST_NOTE, Dates())
    ben = await school.pupil("Ben")
    for attempt in (
        school.list.add(school.keeper, ben, reason, Dates()),
        school.list.add_note(school.keeper, entry, reason),
        school.list.end(school.keeper, entry, reason),
    ):
        with pytest.raises(Refused):
            await attempt
    assert len(await school.list.entries(school.keeper)) == 1


async def test_without_anybody_who_could_open_it_nothing_is_kept(tmp_path: Path, school: School) -> None:
    ada = await school.pupil("Ada")
    async with school.records.transaction() as tx:
        await tx.execute("DELETE FROM vault_grants")
    with pytest.raises(Refused, match="Nobody can open"):
        await school.list.add(school.keeper, ada, CANARY, Dates())
    assert await school.list.entries(school.keeper) == []


YESTERDAY, TOMORROW = TODAY - timedelta(days=1), TODAY + timedelta(days=1)


@pytest.mark.parametrize(
    ("dates", "fields"),
    [
        (Dates(), set()),
        (Dates(TODAY, TOMORROW), set()),
        (Dates(YESTERDAY, TOMORROW), {"review_on"}),
        (Dates(None, YESTERDAY), {"until_on"}),
    ],
)
async def test_days_that_are_over_are_refused(school: School, dates: Dates, fields: set[str]) -> None:
    assert dates.faults(TODAY).keys() == fields
    ada = await school.pupil("Ada")
    if fields:
        with pytest.raises(Refused, match="is over"):
            await school.list.add(school.keeper, ada, "x", dates)
    else:
        await school.list.add(school.keeper, ada, "x", dates)


@pytest.mark.parametrize(
    ("review", "until", "words"),
    [
        (None, None, ""),
        (TOMORROW, TOMORROW, ""),
        (TODAY, TOMORROW, "review"),
        (None, TODAY, ""),  # the last day itself still counts
        (YESTERDAY, YESTERDAY, "end"),
    ],
)
async def test_what_has_come_is_said(school: School, review: date | None, until: date | None, words: str) -> None:
    ada = await school.pupil("Ada")
    entry = await school.list.add(school.keeper, ada, "x", Dates())
    async with school.records.transaction() as tx:
        await tx.execute("UPDATE vulnerable_entries SET review_on = ?, until_on = ?", Dates(review, until).texts())
    found = await school.list.entry(school.keeper, entry)
    assert found is not None
    assert due(found, TODAY) == words


async def test_who_leaves_the_school_stays_on_the_list(school: School) -> None:
    ada = await school.pupil("Ada")
    await school.list.add(school.keeper, ada, "x", Dates())
    await school.directory.mark_left(IT, ada)
    (row,) = await school.list.entries(school.keeper)
    assert row["left_at"] is not None
    assert (await school.directory.find(IT, Filter(), 1)).total == 0
