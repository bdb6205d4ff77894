"""Words for members of staff: who gets them, how long they stay, what others may know of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.access import PERMISSIONS, Actor, Role
from appliance.bus import Bus
from appliance.clock import now, stamp
from appliance.db import Database
from appliance.live import Live
from appliance.loading import resource
from appliance.migrate import CORE, migrate
from appliance.notices import KEPT, Notices

ACCOUNTS = (
    ("lead", Role.LEAD, "active"),
    ("head", Role.HEAD, "active"),
    ("head-2", Role.HEAD, "active"),
    ("head-gone", Role.HEAD, "disabled"),
    ("head-invited", Role.HEAD, "invited"),
    ("no-role", None, "active"),
)


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "records.db")
    await database.open()
    await migrate(database, CORE, resource("migrations"))
    async with database.transaction() as tx:
        await tx.executemany(
            "INSERT INTO staff_accounts (id, sign_in_name, name, role, state, made_at, made_by)"
            " VALUES (?, ?, ?, ?, ?, '', '')",
            [(name, name, name.title(), role, state) for name, role, state in ACCOUNTS],
        )
    yield database
    await database.close()


async def no_plugin(owner: str, what: str, call: object) -> None:
    raise AssertionError(f"{owner} has no listener")


@pytest.fixture
async def notices(records: Database) -> Notices:
    found = Notices(records, Bus(records, (), no_plugin), Live())
    await found.start()
    return found


def actor(account: str) -> Actor:
    role = {name: role for name, role, _ in ACCOUNTS}[account]
    return Actor(account.title(), PERMISSIONS[role], account, role)


async def told(notices: Notices) -> dict[str, int]:
    return {name: notices.waiting(name) for name, _, _ in ACCOUNTS if notices.waiting(name)}


@pytest.mark.parametrize(
    ("accounts", "roles", "without", "expected"),
    [
        (["lead"], [], [], {"lead"}),
        ([], [Role.HEAD], [], {"head", "head-2"}),
        (["head"], [Role.HEAD], [], {"head", "head-2"}),
        (["no-role"], [Role.LEAD, Role.HEAD], ["head"], {"no-role", "lead", "head-2"}),
        ([], [Role.GOVERNOR], [], set()),
        (["lead"], [], ["lead"], set()),
        ([], [], [], set()),
    ],
)
async def test_who_is_told(
    records: Database, notices: Notices, accounts: list[str], roles: list[Role], without: list[str], expected: set[str]
) -> None:
    async with records.transaction() as tx:
        number = await notices.tell(
            tx, words="Words.", kind="test", accounts=accounts, roles=roles, without=without, link="/somewhere"
        )
    assert number == len(expected)
    assert await told(notices) == dict.fromkeys(expected, 1)
    events = await records.fetch("SELECT payload FROM events WHERE type = 'NoticeMade'")
    assert len(events) == bool(expected)
    assert not any("Words" in row["payload"] or "somewhere" in row["payload"] for row in events)


async def test_nobody_hears_of_what_was_taken_back(records: Database, notices: Notices) -> None:
    with pytest.raises(LookupError):
        async with records.transaction() as tx:
            await notices.tell(tx, words="Words.", kind="test", accounts=["lead"])
            raise LookupError
    assert await told(notices) == {}
    assert await notices.unread(actor("lead")) == []


async def test_got_it_takes_one_notice_away_and_keeps_it_in_the_list(records: Database, notices: Notices) -> None:
    for words in ("first", "second"):
        async with records.transaction() as tx:
            await notices.tell(tx, words=words, kind="test", accounts=["lead", "head"])
    newest, oldest = await notices.unread(actor("lead"))
    assert (newest["words"], oldest["words"]) == ("second", "first")
    assert await notices.got_it(actor("lead"), newest["id"])
    assert [row["words"] for row in await notices.unread(actor("lead"))] == ["first"]
    assert [(row["words"], row["read_at"] is None) for row in await notices.all(actor("lead"))] == [
        ("second", False),
        ("first", True),
    ]
    assert await told(notices) == {"lead": 1, "head": 2}
    assert not await notices.got_it(actor("lead"), newest["id"])


async def test_what_is_settled_is_put_away_for_everybody_and_stays_in_the_list(
    records: Database, notices: Notices
) -> None:
    for link in ("/one", "/two"):
        async with records.transaction() as tx:
            await notices.tell(tx, words=link, kind="test", accounts=["lead", "head"], link=link)
    async with records.transaction() as tx:
        await notices.settle(tx, "/one")
    assert await told(notices) == {"lead": 1, "head": 1}
    assert [row["words"] for row in await notices.unread(actor("lead"))] == ["/two"]
    assert len(await notices.all(actor("lead"))) == 2


async def test_a_notice_of_somebody_else_cannot_be_read_or_put_away(records: Database, notices: Notices) -> None:
    async with records.transaction() as tx:
        await notices.tell(tx, words="Words.", kind="test", accounts=["lead"])
    (row,) = await notices.unread(actor("lead"))
    assert await notices.unread(actor("head")) == await notices.all(actor("head")) == []
    assert not await notices.got_it(actor("head"), row["id"])
    assert await told(notices) == {"lead": 1}


async def test_a_restart_knows_what_waits_for_whom(records: Database, notices: Notices) -> None:
    async with records.transaction() as tx:
        await notices.tell(tx, words="Words.", kind="test", accounts=["lead"])
    after = Notices(records, Bus(records, (), no_plugin), Live())
    await after.start()
    assert await told(after) == {"lead": 1}


@pytest.mark.parametrize(("age", "stays"), [(KEPT - timedelta(hours=1), True), (KEPT + timedelta(hours=1), False)])
async def test_notices_are_kept_for_90_days(records: Database, notices: Notices, age: timedelta, stays: bool) -> None:
    async with records.transaction() as tx:
        await notices.tell(tx, words="Words.", kind="test", accounts=["lead"])
        await tx.execute("UPDATE notices SET made_at = ?", (stamp(now() - age),))
    await notices.forget()
    assert len(await notices.all(actor("lead"))) == stays
    assert await told(notices) == ({"lead": 1} if stays else {})


async def test_an_account_takes_its_notices_along(records: Database, notices: Notices) -> None:
    async with records.transaction() as tx:
        await notices.tell(tx, words="Words.", kind="test", accounts=["lead"])
        await tx.execute("DELETE FROM staff_accounts WHERE id = 'lead'")
    assert await records.fetch("SELECT * FROM notices") == []
