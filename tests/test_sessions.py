"""Sessions: what opens content goes when nobody is there; a session that is over is over at once and everywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from accounts import Clock, a_store
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.accounts.sessions import KeyRing, Purpose, Session, Sessions, sha256
from appliance.clock import now, stamp
from appliance.db import Database
from appliance.errors import Refused
from appliance.sealing import Keys, new_pair

IDLE = timedelta(minutes=15)
LIFE = timedelta(hours=10)
BEFORE_IDLE = IDLE - timedelta(seconds=1)
SECOND = timedelta(seconds=1)
ACCOUNTS = ("anna", "bob")


def new_keys(account: str = "anna") -> Keys:
    return Keys(account, new_pair()[0])


@dataclass
class Place:
    """A store with two accounts, and the sessions on it."""

    records: Database
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.ring = KeyRing(self.clock)
        self.sessions = Sessions(self.records, self.ring, IDLE, LIFE)

    async def begin(
        self,
        account: str | None = "anna",
        purpose: Purpose = "work",
        keys: Keys | None = None,
        replaces: Session | None = None,
    ) -> tuple[str, Session]:
        async with self.records.transaction() as tx:
            session_id = await self.sessions.begin(tx, purpose, account, keys, replaces)
        found = self.sessions.find(session_id)
        assert found is not None
        return session_id, found

    async def opened(self, account: str = "anna") -> tuple[str, Session, Keys]:
        keys = new_keys(account)
        return *await self.begin(account, keys=keys), keys

    async def end_all(self, account: str, but: Session | None = None, purpose: Purpose | None = None) -> None:
        async with self.records.transaction() as tx:
            await self.sessions.end_all(tx, account, but=but, purpose=purpose)

    async def end(self, session: Session) -> None:
        async with self.records.transaction() as tx:
            await self.sessions.end(tx, session)

    async def kept(self) -> set[str]:
        return {row[0] for row in await self.records.fetch("SELECT session_sha256 FROM staff_sessions")}


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    database = await a_store(tmp_path)
    async with database.transaction() as tx:
        await tx.executemany(
            "INSERT INTO staff_accounts (id, sign_in_name, name, state, made_at, made_by)"
            " VALUES (?, ?, ?, 'active', '', '')",
            [(account, account, account.title()) for account in ACCOUNTS],
        )
    yield Place(database)
    await database.close()


# What is kept


async def test_an_id_has_256_bits_and_only_its_hash_is_kept(place: Place, tmp_path: Path) -> None:
    ids = [(await place.begin())[0] for _ in range(10)]
    assert len(set(ids)) == 10
    assert all(len(one) >= 43 for one in ids)
    await place.records.copy_to(tmp_path / "copy.db")
    kept = (tmp_path / "copy.db").read_bytes()
    for one in ids:
        assert one.encode() not in kept
        assert sha256(one).encode() in kept


@pytest.mark.parametrize("session_id", ["", "wrong", "\udcff", "x" * 100_000])
async def test_an_unknown_id_is_nobody(place: Place, session_id: str) -> None:
    await place.begin()
    assert place.sessions.find(session_id) is None


async def test_the_hash_of_an_id_is_no_id(place: Place) -> None:
    _, session = await place.begin()
    assert place.sessions.find(session.sha256) is None


async def test_a_session_is_kept_or_lost_with_the_unit_of_work_that_began_it(place: Place) -> None:
    begun, keys = [], new_keys()

    async def fail() -> None:
        async with place.records.transaction() as tx:
            begun.append(await place.sessions.begin(tx, "work", "anna", keys))
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert place.sessions.find(begun[0]) is None
    assert place.ring.all() == []


# Locking


async def test_a_session_nobody_uses_is_locked_and_its_keys_are_wiped(place: Place) -> None:
    session_id, session, keys = await place.opened()
    place.clock.forward(BEFORE_IDLE)
    await place.sessions.lock_idle()
    assert not place.sessions.is_locked(session)
    place.clock.forward(SECOND)
    await place.sessions.lock_idle()
    assert place.sessions.is_locked(session)
    assert keys.is_wiped
    assert place.sessions.keys(session) is None
    assert place.sessions.find(session_id) is session
    assert not session.over.is_set()


async def test_it_is_locked_when_somebody_comes_back_even_if_the_job_has_not_come_by(place: Place) -> None:
    session_id, session, keys = await place.opened()
    place.clock.forward(IDLE)
    assert place.sessions.find(session_id) is session
    assert place.sessions.is_locked(session)
    assert keys.is_wiped


async def test_use_keeps_it_open_and_only_that_one(place: Place) -> None:
    _, used, _ = await place.opened()
    _, left, left_keys = await place.opened()
    for _ in range(3):
        place.clock.forward(BEFORE_IDLE)
        place.sessions.use(used)
        await place.sessions.lock_idle()
    assert not place.sessions.is_locked(used)
    assert place.sessions.is_locked(left)
    assert left_keys.is_wiped


async def test_using_a_locked_one_does_not_open_it(place: Place) -> None:
    _, session, _ = await place.opened()
    place.sessions.lock(session)
    place.sessions.use(session)
    assert place.sessions.is_locked(session)


async def test_a_lock_pressed_wipes_at_once_and_twice_does_no_harm(place: Place) -> None:
    _, session, keys = await place.opened()
    place.sessions.lock(session)
    place.sessions.lock(session)
    assert keys.is_wiped
    with pytest.raises(Refused):
        keys.private  # noqa: B018


async def test_new_keys_wipe_those_before(place: Place) -> None:
    _, session, before = await place.opened()
    after = new_keys()
    place.sessions.open(session, after)
    assert before.is_wiped
    assert not after.is_wiped
    assert place.sessions.keys(session) is after


async def test_keys_for_a_session_that_is_over_are_wiped_and_kept_nowhere(place: Place) -> None:
    _, session, _ = await place.opened()
    await place.end(session)
    late = new_keys()
    place.sessions.open(session, late)
    assert late.is_wiped
    assert place.ring.all() == []


# Ending


Ending = Callable[[Place, Session], Awaitable[None]]


async def by_sign_out(place: Place, session: Session) -> None:
    await place.end(session)


async def by_the_account(place: Place, session: Session) -> None:
    await place.end_all("anna")


async def by_its_purpose(place: Place, session: Session) -> None:
    await place.end_all("anna", purpose="work")


async def by_another_that_replaces_it(place: Place, session: Session) -> None:
    await place.begin(keys=new_keys(), replaces=session)


@pytest.mark.parametrize("ending", [by_sign_out, by_the_account, by_its_purpose, by_another_that_replaces_it])
async def test_what_is_over_is_over_at_once_and_everywhere(place: Place, ending: Ending) -> None:
    session_id, session, keys = await place.opened()
    stream = asyncio.create_task(place.sessions.over(session))
    await asyncio.sleep(0)
    await ending(place, session)
    assert keys.is_wiped
    assert place.sessions.find(session_id) is None
    assert session.sha256 not in await place.kept()
    await asyncio.wait_for(stream, 10)
    await asyncio.wait_for(place.sessions.over(session), 10)


async def test_an_ending_that_was_not_kept_ends_nothing(place: Place) -> None:
    session_id, session, keys = await place.opened()

    async def fail() -> None:
        async with place.records.transaction() as tx:
            await place.sessions.end_all(tx, "anna")
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    assert place.sessions.find(session_id) is session
    assert not keys.is_wiped
    assert not session.over.is_set()


@pytest.mark.parametrize(
    ("spared", "purpose", "left"),
    [
        (None, None, {"bob"}),
        (None, "work", {"bob", "password"}),
        (None, "password", {"bob", "here", "there"}),
        ("here", None, {"bob", "here"}),
        ("here", "work", {"bob", "here", "password"}),
        ("bob", None, {"bob"}),
    ],
)
async def test_which_sessions_of_an_account_end(
    place: Place, spared: str | None, purpose: Purpose | None, left: set[str]
) -> None:
    begun = {
        "here": await place.begin(),
        "there": await place.begin(),
        "password": await place.begin(purpose="password"),
        "bob": await place.begin("bob"),
    }
    await place.end_all("anna", but=begun[spared][1] if spared else None, purpose=purpose)
    assert {name for name, (session_id, _) in begun.items() if place.sessions.find(session_id)} == left


async def test_a_session_that_begins_in_the_same_commit_ends_too(place: Place) -> None:
    """Units of work that wait share one commit: the second must see what the first began."""
    begun: list[str] = []

    async def begin() -> None:
        async with place.records.transaction() as tx:
            begun.append(await place.sessions.begin(tx, "work", "anna", new_keys()))

    await asyncio.gather(begin(), place.end_all("anna"))
    assert place.sessions.find(begun[0]) is None
    assert place.ring.all() == []
    assert await place.kept() == set()


async def test_of_account_are_its_work_sessions(place: Place) -> None:
    _, here = await place.begin()
    await place.begin(purpose="password")
    await place.begin("bob")
    assert place.sessions.of_account("anna") == [here]
    await place.end(here)
    assert place.sessions.of_account("anna") == []


async def test_set_ups_that_made_no_account_end_alone(place: Place) -> None:
    set_up, _ = await place.begin(None, "set-up")
    other, _ = await place.begin(purpose="join")
    async with place.records.transaction() as tx:
        await place.sessions.end_set_ups(tx)
    assert place.sessions.find(set_up) is None
    assert place.sessions.find(other) is not None


# Replacing


async def test_the_one_that_replaces_gets_the_keys_if_none_are_given(place: Place) -> None:
    before_id, before, keys = await place.opened()
    after_id, after = await place.begin(replaces=before)
    assert after_id != before_id
    assert place.sessions.keys(after) is keys
    assert not keys.is_wiped
    assert place.ring.all() == [keys]


async def test_replacing_makes_the_day_no_longer_and_joining_begins_a_new_one(place: Place) -> None:
    _, first = await place.begin()
    _, second = await place.begin(replaces=first)
    assert second.expires_at == first.expires_at
    _, joining = await place.begin(purpose="join")
    assert joining.expires_at - joining.started_at == timedelta(hours=1)
    _, work = await place.begin(replaces=joining)
    assert work.expires_at - work.started_at == LIFE


async def test_a_session_is_replaced_once_even_by_two_tabs_at_the_same_moment(place: Place) -> None:
    _, before, _ = await place.opened()
    found = await asyncio.gather(*(place.begin(replaces=before) for _ in range(3)), return_exceptions=True)
    assert sum(isinstance(one, Refused) for one in found) == 2
    assert len(place.sessions.of_account("anna")) == 1


async def test_one_that_is_over_is_not_replaced(place: Place) -> None:
    _, session, _ = await place.opened()
    await place.end(session)
    with pytest.raises(Refused, match="a moment ago"):
        await place.begin(replaces=session)
    async with place.records.transaction() as tx:
        with pytest.raises(Refused, match="a moment ago"):
            await place.sessions.check(tx, session)


# Growing old


async def test_a_session_is_over_after_its_time_however_busy(place: Place) -> None:
    place.sessions = Sessions(place.records, place.ring, IDLE, timedelta(0))
    keys = new_keys()
    async with place.records.transaction() as tx:
        session_id = await place.sessions.begin(tx, "work", "anna", keys)
    (session,) = place.sessions._known.values()
    place.sessions.use(session)
    assert place.sessions.find(session_id) is None
    assert place.sessions.of_account("anna") == []
    await asyncio.wait_for(place.sessions.over(session), 10)
    await place.sessions.lock_idle()
    assert keys.is_wiped
    assert await place.kept() == set()
    assert place.sessions._known == {}


# After a new start


async def test_sessions_of_an_earlier_run_go_on_but_are_locked(place: Place) -> None:
    session_id, before, _ = await place.opened()
    again = Sessions(place.records, KeyRing(place.clock), IDLE, LIFE)
    await again.start()
    found = again.find(session_id)
    assert found is not None
    assert (found.account, found.purpose, found.expires_at) == ("anna", "work", parsed(before))
    assert again.is_locked(found)


def parsed(session: Session) -> object:
    """Rows hold milliseconds."""
    moment = session.expires_at
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


async def test_after_a_change_of_settings_whoever_is_signed_in_goes_on(place: Place) -> None:
    session_id, _, keys = await place.opened()
    gone_id, gone, gone_keys = await place.opened("bob")
    async with place.records.transaction() as tx:
        await tx.execute("DELETE FROM staff_sessions WHERE session_sha256 = ?", (gone.sha256,))
    again = Sessions(place.records, place.ring, IDLE, LIFE)
    await again.start()
    found = again.find(session_id)
    assert found is not None
    assert again.keys(found) is keys
    assert again.find(gone_id) is None
    assert gone_keys.is_wiped


async def test_what_grew_too_old_meanwhile_is_gone_from_the_store_too(place: Place) -> None:
    session_id, _ = await place.begin()
    async with place.records.transaction() as tx:
        await tx.execute("UPDATE staff_sessions SET expires_at = ?", (stamp(now() - SECOND),))
    again = Sessions(place.records, KeyRing(place.clock), IDLE, LIFE)
    await again.start()
    assert again.find(session_id) is None
    assert await place.kept() == set()


# Keys, whatever is done to them


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["put", "move", "drop", "use", "wait", "keep"]), st.integers(0, 3), st.integers(0, 3)
        ),
        max_size=10,
    )
)
@settings(max_examples=15, deadline=None)  # wiping also collects garbage, which takes its time
def test_every_key_is_in_the_ring_or_wiped(steps: list[tuple[str, int, int]]) -> None:
    clock, made = Clock(), []
    ring = KeyRing(clock)
    for what, one, other in steps:
        if what == "put":
            made.append(new_keys())
            ring.put(str(one), made[-1])
        elif what == "move":
            ring.move(str(one), str(other))
        elif what == "drop":
            ring.drop(str(one))
        elif what == "use":
            ring.use(str(one))
        elif what == "wait":
            clock.seconds += 1
        else:
            ring.keep_only({str(one), str(other)})
        held = ring.all()
        assert all((keys in held) != keys.is_wiped for keys in made)
        assert set(ring.idle(0)) == {name for name in "0123" if ring.get(name) is not None}
