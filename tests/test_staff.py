"""One link opens the staff pages in one browser, once; the store keeps hashes only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.audit import Audit
from appliance.clock import now, stamp
from appliance.db import Database
from appliance.errors import Refused
from appliance.hookspecs import Permission
from appliance.loading import resource
from appliance.migrate import CORE, migrate
from appliance.staff import BROWSER, TRIES_AT_ONCE, Staff, TokenBucket


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "records.db")
    await database.open()
    await migrate(database, CORE, resource("migrations"))
    yield database
    await database.close()


@pytest.fixture
def staff(records: Database) -> Staff:
    return Staff(records, Audit(records))


async def sign_in(staff: Staff) -> str:
    session_id = await staff.redeem(await staff.new_link())
    assert session_id is not None
    return session_id


async def actions(records: Database) -> list[str]:
    return [row["action"] for row in await records.fetch("SELECT action FROM audit ORDER BY seq")]


async def test_a_link_opens_the_pages_with_every_permission(staff: Staff) -> None:
    actor = await staff.session(await sign_in(staff))
    assert actor is not None
    assert actor.name == BROWSER
    assert all(actor.may(permission) for permission in Permission)


async def test_a_link_works_once(staff: Staff) -> None:
    token = await staff.new_link()
    assert await staff.redeem(token) is not None
    assert await staff.redeem(token) is None


async def test_a_link_works_once_even_if_two_browsers_open_it_at_the_same_moment(staff: Staff) -> None:
    token = await staff.new_link()
    opened = await asyncio.gather(*(staff.redeem(token) for _ in range(5)))
    assert sum(session_id is not None for session_id in opened) == 1


async def test_a_new_link_voids_the_one_before(staff: Staff) -> None:
    first = await staff.new_link()
    second = await staff.new_link()
    assert await staff.redeem(first) is None
    assert await staff.redeem(second) is not None


async def test_a_link_ends_after_its_time(staff: Staff, records: Database) -> None:
    token = await staff.new_link()
    async with records.transaction() as tx:
        await tx.execute("UPDATE staff_links SET expires_at = ?", (stamp(now() - timedelta(seconds=1)),))
    assert await staff.redeem(token) is None


@pytest.mark.parametrize("token", ["", "wrong", "x" * 100_000, "\udcff", "ü" * 22])
async def test_a_wrong_code_opens_nothing_and_uses_nothing_up(staff: Staff, token: str) -> None:
    right = await staff.new_link()
    assert await staff.redeem(token) is None
    assert await staff.redeem(right) is not None


async def test_a_link_is_kept_or_lost_with_the_unit_of_work_that_made_it(staff: Staff, records: Database) -> None:
    async with records.transaction() as tx:
        kept = await staff.new_link(tx)
    lost = []

    async def fail() -> None:
        async with records.transaction() as tx:
            lost.append(await staff.new_link(tx))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert await staff.redeem(lost[0]) is None
    assert await staff.redeem(kept) is not None


async def test_codes_and_sessions_are_long_and_never_the_same(staff: Staff) -> None:
    tokens = {await staff.new_link() for _ in range(20)}
    assert len(tokens) == 20
    assert all(len(token) >= 22 for token in tokens)  # 128 bits in base 64
    assert len(await sign_in(staff)) >= 43  # 256 bits


async def test_the_store_holds_hashes_only(staff: Staff, records: Database, tmp_path: Path) -> None:
    waiting = await staff.new_link()
    used = await staff.new_link()
    session_id = await staff.redeem(used)
    assert session_id is not None
    later = await staff.new_link()
    await records.copy_to(tmp_path / "copy.db")
    kept = (tmp_path / "copy.db").read_bytes()
    for secret in (waiting, used, session_id, later):
        assert secret.encode() not in kept


async def test_a_second_browser_ends_the_first(staff: Staff) -> None:
    first = await sign_in(staff)
    second = await sign_in(staff)
    assert await staff.session(first) is None
    assert await staff.session(second) is not None


@pytest.mark.parametrize("session_id", ["", "wrong", "\udcff", "x" * 100_000])
async def test_an_unknown_session_is_nobody(staff: Staff, session_id: str) -> None:
    await sign_in(staff)
    assert await staff.session(session_id) is None


async def test_signing_out_ends_the_session_and_nothing_else(staff: Staff, records: Database) -> None:
    session_id = await sign_in(staff)
    await staff.sign_out("another")
    assert await staff.session(session_id) is not None
    await staff.sign_out(session_id)
    assert await staff.session(session_id) is None
    assert not await staff.has_session()
    await staff.sign_out(session_id)
    assert (await actions(records)).count("signed out") == 1


async def test_a_session_outlives_a_restart(staff: Staff, records: Database) -> None:
    session_id = await sign_in(staff)
    next_one = Staff(records, Audit(records))
    assert await next_one.has_session()
    assert await next_one.session(session_id) is not None


async def test_a_session_ends_after_its_time(staff: Staff, records: Database) -> None:
    session_id = await sign_in(staff)
    async with records.transaction() as tx:
        await tx.execute("UPDATE staff_sessions SET expires_at = ?", (stamp(now() - timedelta(seconds=1)),))
    next_one = Staff(records, Audit(records))
    assert await next_one.session(session_id) is None
    assert not await next_one.has_session()
    await asyncio.wait_for(next_one.over(session_id), 10)


async def test_nobody_is_signed_in_before_a_link_was_opened(staff: Staff) -> None:
    assert not await staff.has_session()
    await staff.new_link()
    assert not await staff.has_session()


async def test_what_happens_is_on_the_record(staff: Staff, records: Database) -> None:
    await sign_in(staff)
    await staff.sign_out(await sign_in(staff))
    assert await actions(records) == [
        "made a set-up link",
        "opened the set-up link",
        "made a set-up link",
        "signed out the earlier browser",
        "opened the set-up link",
        "signed out",
    ]


async def test_streams_hear_that_their_session_is_over(staff: Staff) -> None:
    first = await sign_in(staff)
    replaced = asyncio.create_task(staff.over(first))
    await asyncio.sleep(0)
    second = await sign_in(staff)
    await asyncio.wait_for(replaced, 10)
    signed_out = asyncio.create_task(staff.over(second))
    await asyncio.sleep(0)
    await staff.sign_out(second)
    await asyncio.wait_for(signed_out, 10)
    await asyncio.wait_for(staff.over("nobody's"), 10)


async def test_a_flood_of_codes_is_refused_in_words(staff: Staff) -> None:
    for _ in range(TRIES_AT_ONCE):
        assert await staff.redeem("wrong") is None
    with pytest.raises(Refused, match="Wait a minute"):
        await staff.redeem("wrong")


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@given(
    at_once=st.integers(1, 20),
    per_second=st.floats(0.1, 10),
    pauses=st.lists(st.floats(0, 20), min_size=1, max_size=60),
)
def test_a_bucket_never_lets_more_through_than_it_says(at_once: int, per_second: float, pauses: list[float]) -> None:
    clock = Clock()
    bucket = TokenBucket(at_once, per_second, clock)
    let_through = 0
    for pause in pauses:
        clock.seconds += pause
        let_through += bucket.take()
        assert let_through <= at_once + per_second * clock.seconds + 1e-6


def test_a_bucket_fills_up_again_but_not_beyond_its_size() -> None:
    clock = Clock()
    bucket = TokenBucket(2, 1, clock)
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    clock.seconds = 1
    assert [bucket.take() for _ in range(2)] == [True, False]
    clock.seconds = 1000
    assert [bucket.take() for _ in range(3)] == [True, True, False]
