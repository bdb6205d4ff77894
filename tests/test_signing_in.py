"""Signing in: the same answer for everything that is wrong, tries that run out where they are made and nowhere else,
codes that are good once, and an end to every other session when what one signs in with has changed.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from accounts import HOME, IDLE, NEW, PASSWORD, WRONG, Clock, School, Somebody, a_school
from hypothesis import given
from hypothesis import strategies as st

from appliance.access import LOCKED, Role
from appliance.accounts.credentials import Opened
from appliance.accounts.second_factor import code_at, new_secret, step_of
from appliance.accounts.signing_in import (
    COUNTED_MOST,
    TRIES,
    TRIES_OF_ADDRESS,
    WINDOW_SECONDS,
    Limit,
    Throttle,
    Visitor,
)
from appliance.accounts.signing_in import (
    WRONG as WRONG_WORDS,
)
from appliance.clock import now
from appliance.errors import Refused
from appliance.sealing import Keys, read_header
from appliance.vaults import CAPTURES, VAULT_NAMES

TOO_MANY = "There were too many wrong tries from here."
WINDOW = timedelta(seconds=WINDOW_SECONDS)
ITEM = "0193b3c4-0000-7000-8000-000000000001"
ELSEWHERE = Visitor("10.9.9.9")


@pytest.fixture
async def school(tmp_path: Path) -> AsyncIterator[School]:
    async with a_school(tmp_path) as found:
        yield found


async def words_of(call: object) -> str:
    """What a refusal says, in full."""
    with pytest.raises(Refused) as found:
        await call  # type: ignore[misc]
    return str(found.value)


async def guess(school: School, name: str, visitor: Visitor = HOME, password: str = WRONG, code: str = "000000") -> str:
    return await words_of(school.signing_in.sign_in(name, password, code, visitor))


async def guesses(school: School, name: str, number: int, visitor: Visitor = HOME) -> list[str]:
    """The first words of what each of so many wrong tries was told."""
    return [(await guess(school, name, visitor)).partition(".")[0] + "." for _ in range(number)]


# Right


async def test_name_password_and_code_sign_in(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    signed_in = await school.signing_in.sign_in(f" {teacher.sign_in_name.upper()} ", PASSWORD, teacher.code(), HOME)
    session = school.session(signed_in.session)
    assert (session.account, session.purpose) == (teacher.id, "work")
    assert (await school.staff.actor(session)).permissions == teacher.actor.permissions
    keys = school.sessions.keys(session)
    assert keys is not None
    assert keys.private == teacher.keys.private
    assert school.staff.get(teacher.id).last_sign_in is not None


async def test_what_is_sealed_opens_after_signing_in(school: School) -> None:
    lead = await school.somebody(Role.LEAD)
    envelope = await school.vaults.seal(CAPTURES, ITEM, "note", b"a canary")
    assert read_header(envelope).item_id == ITEM
    await school.start_again()
    keys = school.sessions.keys(school.session((await school.sign_in(lead)).session))
    assert keys is not None
    assert school.vaults.open(keys, envelope) == b"a canary"


async def test_a_password_may_be_typed_on_another_keyboard(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    new = "éclair nuage soleil bateau"
    await school.signing_in.change_password(teacher.session, PASSWORD, new, teacher.visitor)
    assert await school.sign_in(teacher, password=unicodedata.normalize("NFD", new))


# Wrong


async def wrong_tries(school: School) -> dict[str, tuple[str, str, str]]:
    """Name, password and code of every way to be wrong that must look the same."""
    teacher, gone = await school.somebody(Role.TEACHER), await school.somebody(Role.TEACHER, active=False)
    bare, half = await school.somebody(Role.TEACHER), await school.somebody(Role.TEACHER)
    it = await school.somebody(Role.IT)
    invited = await school.staff.invite(it.actor, "Guest", "guest", None)
    async with school.records.transaction() as tx:
        await tx.execute("UPDATE staff_accounts SET totp = NULL, recovery_codes = NULL WHERE id = ?", (bare.id,))
        await tx.execute("UPDATE staff_accounts SET state = 'invited' WHERE id = ?", (half.id,))
        await school.staff.take_after_commit(tx)
    used = teacher.code()
    await school.signing_in.sign_in(teacher.sign_in_name, PASSWORD, used, HOME)
    return {
        "no such name": ("nobody", PASSWORD, teacher.code(1)),
        "no name": ("", PASSWORD, teacher.code(1)),
        "a long name": ("x" * 1_000_000, PASSWORD, teacher.code(1)),
        "a strange name": ("\udcff\0'; --", PASSWORD, teacher.code(1)),
        "wrong password": (teacher.sign_in_name, WRONG, teacher.code(1)),
        "no password": (teacher.sign_in_name, "", teacher.code(1)),
        "a long password": (teacher.sign_in_name, PASSWORD + "x" * 1_000_000, teacher.code(1)),
        "wrong code": (teacher.sign_in_name, PASSWORD, "000000"),
        "a used code": (teacher.sign_in_name, PASSWORD, used),
        "no code": (teacher.sign_in_name, PASSWORD, ""),
        "somebody else's code": (teacher.sign_in_name, PASSWORD, gone.codes[0]),
        "somebody else's recovery key": (teacher.sign_in_name, PASSWORD, gone.recovery_key),
        "disabled": (gone.sign_in_name, PASSWORD, gone.code()),
        "invited": (invited.account.sign_in_name, PASSWORD, "000000"),
        "half-way through joining": (half.sign_in_name, PASSWORD, half.code()),
        "no second factor": (bare.sign_in_name, PASSWORD, ""),
    }


async def test_whatever_is_wrong_gets_the_same_words_after_as_much_work(school: School) -> None:
    tries = await wrong_tries(school)
    sessions = await school.records.fetch("SELECT * FROM staff_sessions")
    school.stretcher.count()
    found = {}
    for why, (name, password, code) in tries.items():
        place = Visitor(f"10.5.0.{len(found)}")
        said = await guess(school, name, place, password, code)
        found[why] = (said, school.stretcher.count())
    assert set(found.values()) == {(found["no such name"][0], 1)}, found
    assert found["no such name"][0].startswith(WRONG_WORDS)
    assert await school.records.fetch("SELECT * FROM staff_sessions") == sessions


async def test_a_browser_cookie_of_ones_own_making_changes_nothing(school: School) -> None:
    tries = await wrong_tries(school)
    school.stretcher.asked.clear()
    said = {
        await guess(school, name, Visitor(f"10.6.0.{number}", "made-up"), password, code)
        for number, (name, password, code) in enumerate(tries.values())
    }
    assert len(said) == 1
    assert school.stretcher.asked == [False] * len(tries)


@pytest.fixture
def opened(school: School, monkeypatch: pytest.MonkeyPatch) -> list[Keys]:
    """Whatever a right password opens from here on."""
    found: list[Keys] = []
    real = school.credentials.open

    async def watched(account: str | None, password: str, *, known: bool = False) -> Opened | None:
        one = await real(account, password, known=known)
        if one is not None:
            found.append(one.keys)
        return one

    monkeypatch.setattr(school.credentials, "open", watched)
    return found


async def test_what_a_password_opened_is_wiped_if_nothing_comes_of_it(school: School, opened: list[Keys]) -> None:
    lead, teacher = await school.somebody(Role.LEAD), await school.somebody(Role.TEACHER)
    signing_in, session, visitor = school.signing_in, teacher.session, teacher.visitor
    await guess(school, teacher.sign_in_name, HOME, PASSWORD)
    assert await signing_in.change_factor(session, PASSWORD, new_secret(), "000000", visitor) is None
    await signing_in.print_anew(session, PASSWORD)
    async with school.stretcher.taking_long(school.sign_in(teacher), signing_in.unlock(session, PASSWORD)) as tasks:
        await school.staff.disable(lead.actor, teacher.id, "suspended")
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(opened) == 5
    assert all(keys.is_wiped for keys in opened)
    assert [keys.account for keys in school.ring.all()] == [lead.id]


# Codes are good once


async def test_a_code_of_the_app_is_good_in_one_browser_once(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    code = teacher.code()
    found = await asyncio.gather(
        *(
            school.signing_in.sign_in(teacher.sign_in_name, PASSWORD, code, Visitor(f"10.0.0.{number}"))
            for number in range(4)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(one, Refused) for one in found) == 3
    assert await guess(school, teacher.sign_in_name, ELSEWHERE, PASSWORD, code)


async def test_a_code_from_before_the_last_one_is_void_and_the_next_one_works(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    before, next_one = teacher.code(-1), teacher.code(1)
    await school.signing_in.sign_in(teacher.sign_in_name, PASSWORD, teacher.code(), HOME)
    assert (await guess(school, teacher.sign_in_name, HOME, PASSWORD, before)).startswith(WRONG_WORDS)
    assert await school.signing_in.sign_in(teacher.sign_in_name, PASSWORD, next_one, HOME)


async def test_every_recovery_code_signs_in_once(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    for left, code in zip(range(7, -1, -1), list(teacher.codes), strict=True):
        typed = f" {code.lower().replace('-', ' ')} "
        assert await school.signing_in.sign_in(teacher.sign_in_name, PASSWORD, typed, HOME)
        assert await school.signing_in.codes_left(teacher.id) == left
        assert (await guess(school, teacher.sign_in_name, ELSEWHERE, PASSWORD, code)).startswith(WRONG_WORDS)
        school.clock.forward(WINDOW)


async def test_a_wrong_password_uses_no_code_up(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    await guess(school, teacher.sign_in_name, HOME, WRONG, teacher.codes[0])
    await guess(school, teacher.sign_in_name, HOME, WRONG, teacher.code())
    assert await school.signing_in.sign_in(teacher.sign_in_name, PASSWORD, teacher.code(), HOME)
    assert await school.sign_in(teacher)


# Too many tries


async def test_ten_tries_per_account_and_address_in_five_minutes(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    assert await guesses(school, teacher.sign_in_name, TRIES + 2) == [WRONG_WORDS] * TRIES + [TOO_MANY] * 2
    school.stretcher.count()
    assert TOO_MANY in await guess(school, teacher.sign_in_name, HOME, PASSWORD, teacher.code())
    assert school.stretcher.count() == 0
    school.clock.forward(WINDOW - timedelta(seconds=1))
    assert TOO_MANY in await guess(school, teacher.sign_in_name)
    school.clock.forward(timedelta(seconds=1))
    assert await school.sign_in(teacher)


async def test_many_tries_at_the_same_moment_are_no_way_around(school: School) -> None:
    """Counted when they are made, not when they were wrong: else a hundred could start before the first is counted."""
    teacher = await school.somebody(Role.TEACHER)
    school.stretcher.count()
    found = await asyncio.gather(
        *(school.signing_in.sign_in(teacher.sign_in_name, WRONG, "000000", HOME) for _ in range(50)),
        return_exceptions=True,
    )
    assert all(isinstance(one, Refused) for one in found)
    assert school.stretcher.count() == TRIES


@pytest.mark.parametrize("wanted", ["session", "change"])
async def test_many_tries_in_a_locked_browser_at_the_same_moment_are_no_way_around(school: School, wanted: str) -> None:
    teacher = await school.somebody(Role.TEACHER)
    school.stretcher.count()
    signing_in, session = school.signing_in, teacher.session
    found = await asyncio.gather(
        *(
            signing_in.unlock(session, WRONG)
            if wanted == "session"
            else signing_in.change_password(session, WRONG, NEW, teacher.visitor)
            for _ in range(50)
        ),
        return_exceptions=True,
    )
    assert all(isinstance(one, Refused) for one in found)
    assert school.stretcher.count() == TRIES
    assert TOO_MANY in await words_of(signing_in.unlock(session, PASSWORD))
    assert await school.sign_in(teacher), "signing in again counts apart"


SPELLINGS = (
    *("account1", " account1 ", "Account1", "ACCOUNT1", "aCCOUNT1", "\taccount1\u3000\n"),
    *("\uff41ccount1", "acc\uff4funt1", "account\uff11", "account\u00b9", "acco\u24e4nt1"),
)


@pytest.mark.parametrize("known", [False, True])
async def test_however_a_name_is_written_its_tries_count_together(school: School, known: bool) -> None:
    teacher = await school.somebody(Role.TEACHER)
    assert teacher.sign_in_name == "account1"
    visitor = teacher.visitor if known else HOME
    for name in SPELLINGS[:TRIES]:
        assert (await guess(school, name, visitor)).startswith(WRONG_WORDS), name
        assert school.staff.named(name) is not None, name
    for name in SPELLINGS:
        assert TOO_MANY in await guess(school, name, visitor), name


async def test_tries_at_names_that_do_not_exist_count_alike(school: School) -> None:
    await school.somebody(Role.TEACHER)
    assert await guesses(school, "nobody", TRIES + 1) == [WRONG_WORDS] * TRIES + [TOO_MANY]
    assert await guesses(school, "account1", 1) == [WRONG_WORDS]
    assert await guesses(school, "x" * 500, TRIES + 1) == [WRONG_WORDS] * TRIES + [TOO_MANY]


async def test_tries_at_many_names_from_one_place_run_out_too(school: School) -> None:
    said = [await guess(school, f"name{number}", HOME) for number in range(TRIES_OF_ADDRESS)]
    assert all(one.startswith(WRONG_WORDS) for one in said)
    assert TOO_MANY in await guess(school, "another", HOME)
    assert (await guess(school, "another", ELSEWHERE)).startswith(WRONG_WORDS)


async def test_a_right_one_gives_its_own_try_back(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    for _ in range(8):
        await school.sign_in(teacher)
    assert await guesses(school, teacher.sign_in_name, TRIES - 1) == [WRONG_WORDS] * (TRIES - 1)
    await school.signing_in.sign_in(teacher.sign_in_name, PASSWORD, teacher.code(), HOME)
    assert await guesses(school, teacher.sign_in_name, TRIES) == [WRONG_WORDS] * TRIES
    wrong = 2 * TRIES - 1
    assert school.throttle.wait(Limit(HOME.place, wrong)) > 0, "the place counts the wrong ones"
    assert school.throttle.wait(Limit(HOME.place, wrong + 1)) == 0, "and nothing but those"


async def test_a_pupil_cannot_lock_the_lead_out(school: School) -> None:
    """Every place that a pupil could try from is used up; the lead's own browser is not, and has a line of its own."""
    lead = await school.somebody(Role.LEAD)
    for place in ("10.7.0.1", "10.7.0.2", HOME.address):
        assert TOO_MANY in await guesses(school, lead.sign_in_name, TRIES + 1, Visitor(place))
    school.stretcher.asked.clear()
    assert await school.sign_in(lead, lead.visitor)
    assert school.stretcher.asked == [True]


async def test_a_known_browser_has_ten_tries_of_its_own(school: School) -> None:
    lead, other = await school.somebody(Role.LEAD), await school.somebody(Role.DEPUTY)
    assert await guesses(school, lead.sign_in_name, TRIES + 1, lead.visitor) == [WRONG_WORDS] * TRIES + [TOO_MANY]
    assert await guesses(school, lead.sign_in_name, 1, HOME) == [WRONG_WORDS]
    assert await guesses(school, other.sign_in_name, 1, lead.visitor) == [WRONG_WORDS]
    assert await school.sign_in(other, other.visitor)


async def test_whoever_has_the_password_cannot_try_codes_from_many_places(school: School) -> None:
    lead = await school.somebody(Role.LEAD)
    for number in range(3 * TRIES):
        place = Visitor(f"10.8.0.{number}")
        assert (await guess(school, lead.sign_in_name, place, PASSWORD, "000000")).startswith(WRONG_WORDS)
    said = await guess(school, lead.sign_in_name, ELSEWHERE, PASSWORD, lead.code())
    assert said.startswith(WRONG_WORDS), "not even the right one, from anywhere new"
    assert await school.signing_in.sign_in(lead.sign_in_name, PASSWORD, lead.code(), lead.visitor)
    school.clock.forward(WINDOW)
    assert await school.sign_in(lead, ELSEWHERE)


async def test_nobody_fills_the_record_or_the_notices_by_trying(school: School) -> None:
    lead = await school.somebody(Role.LEAD)
    before = len(await school.record())
    for place in range(4):
        for _ in range(TRIES + 2):
            await guess(school, lead.sign_in_name, Visitor(f"10.7.0.{place}"))
    for place in range(4):
        await guess(school, lead.sign_in_name, Visitor(f"10.7.1.{place}"), PASSWORD)
    added = (await school.record())[before:]
    assert added == [
        ("somebody", "tried to sign in too often", "account account1", {"from": "10.7.0.0", "tries": TRIES})
    ]
    assert await school.told(lead) == ["wrong code"]
    school.clock.forward(WINDOW)
    await guesses(school, lead.sign_in_name, TRIES)
    await guess(school, lead.sign_in_name, ELSEWHERE, PASSWORD)
    assert len((await school.record())[before:]) == 2
    assert await school.told(lead) == ["wrong code", "wrong code"]


async def test_names_that_do_not_exist_are_not_recorded(school: School) -> None:
    """People type passwords into the field above."""
    await school.somebody(Role.IT)
    before = await school.record()
    await guesses(school, "my secret password", TRIES + 1)
    assert await school.record() == before


# Places


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("fe80::2%eth1", "fe80::/64"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("::1", "::/64"),
        ("", ""),
        ("not an address", "not an address"),
    ],
)
def test_an_ipv6_network_is_one_place(address: str, place: str) -> None:
    assert Visitor(address).place == place


@given(st.ip_addresses(v=6), st.integers(0, 2**64 - 1))
def test_no_address_of_ones_own_network_is_another_place(address: object, host: int) -> None:
    first = int(address)  # type: ignore[call-overload]
    own = type(address)(first >> 64 << 64 | host)
    if getattr(address, "ipv4_mapped", None) is None and getattr(own, "ipv4_mapped", None) is None:
        assert Visitor(str(own)).place == Visitor(str(address)).place


async def test_a_whole_ipv6_network_has_ten_tries(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    for number in range(TRIES):
        await guess(school, teacher.sign_in_name, Visitor(f"2001:db8::{number:x}"))
    assert TOO_MANY in await guess(school, teacher.sign_in_name, Visitor("2001:db8::ffff:1"))
    assert (await guess(school, teacher.sign_in_name, Visitor("2001:db8:0:1::1"))).startswith(WRONG_WORDS)


# The throttle itself


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 2)), max_size=80), st.integers(1, 10))
def test_no_window_holds_more_tries_than_it_may(tries: list[tuple[int, int]], most: int) -> None:
    clock = Clock()
    throttle, taken = Throttle(clock), dict[int, list[float]]()
    for pause, key in tries:
        clock.seconds += pause
        wait = throttle.take(Limit(str(key), most))
        recent = [moment for moment in taken.get(key, []) if moment > clock.seconds - WINDOW_SECONDS]
        assert (wait > 0) == (len(recent) >= most)
        assert wait <= WINDOW_SECONDS
        if wait == 0:
            taken.setdefault(key, []).append(clock.seconds)


def test_several_limits_are_taken_together_or_not_at_all() -> None:
    throttle = Throttle(Clock())
    small, large = Limit("small", 1), Limit("large", 3)
    assert throttle.take(small, large) == 0
    assert throttle.take(small, large) > 0
    assert [throttle.take(large) for _ in range(2)] == [0, 0]
    assert throttle.take(large) > 0
    throttle.give_back(small, large)
    assert throttle.take(small, large) == 0
    throttle.give_back(Limit("never heard of", 1))
    throttle.forget(large)
    assert throttle.wait(large) == 0


def test_the_memory_of_tries_is_bounded() -> None:
    throttle = Throttle(Clock())
    for number in range(COUNTED_MOST + 100):
        throttle.take(Limit(f"place {number}", 1))
    for _ in range(1000):
        throttle.take(Limit("one", 2000))
    assert len(throttle._tries) == COUNTED_MOST
    assert max(len(one) for one in throttle._tries.values()) <= TRIES_OF_ADDRESS
    assert throttle.wait(Limit("place 0", 1)) == 0
    assert throttle.wait(Limit(f"place {COUNTED_MOST}", 1)) > 0


# What the owner is told


async def test_the_owner_is_told_of_a_new_browser_and_of_no_other(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    await school.sign_in(teacher, teacher.visitor)
    assert await school.told(teacher) == []
    found = await school.sign_in(teacher, ELSEWHERE)
    assert await school.told(teacher) == ["new browser"]
    assert found.browser not in (None, teacher.browser)
    again = await school.sign_in(teacher, Visitor("10.4.4.4", found.browser))
    assert again.browser == found.browser
    assert await school.told(teacher) == ["new browser"]
    assert [row[3] for row in await school.record() if row[1] == "signed in"] == [
        {"new browser": new} for new in (False, True, False)
    ]


async def test_a_browser_that_is_known_for_one_account_is_new_for_another(school: School) -> None:
    teacher, other = await school.somebody(Role.TEACHER), await school.somebody(Role.TEACHER)
    school.stretcher.asked.clear()
    signed_in = await school.sign_in(other, teacher.visitor)
    assert school.stretcher.asked == [False]
    assert signed_in.browser != teacher.browser
    assert await school.told(other) == ["new browser"]


async def test_only_hashes_of_browsers_are_kept_and_no_more_than_a_few(school: School, tmp_path: Path) -> None:
    teacher = await school.somebody(Role.TEACHER)
    async with school.records.transaction() as tx:
        made = [
            await school.signing_in.remember(tx, school.staff.get(teacher.id), HOME, known=False) for _ in range(30)
        ]
    rows = await school.records.fetch("SELECT browser_sha256 FROM staff_browsers")
    assert len(rows) <= 21
    await school.records.copy_to(tmp_path / "copy.db")
    assert all(one.encode() not in (tmp_path / "copy.db").read_bytes() for one in made)


async def test_the_owner_is_told_if_somebody_has_the_password_but_no_code(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    await guess(school, teacher.sign_in_name, ELSEWHERE)
    assert await school.told(teacher) == []
    await guess(school, teacher.sign_in_name, ELSEWHERE, PASSWORD)
    (notice,) = await school.notices.all(teacher.actor)
    assert notice["words"].startswith("Somebody entered your right password but no right code.")


# Locked browsers


async def test_a_password_opens_a_locked_browser_under_a_new_id(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    signed_in = await school.sign_in(teacher)
    before = school.session(signed_in.session)
    school.clock.forward(IDLE)
    await school.sessions.lock_idle()
    assert (await school.staff.actor(before)).permissions == LOCKED
    session_id = await school.signing_in.unlock(before, PASSWORD)
    assert session_id != signed_in.session
    assert school.sessions.find(signed_in.session) is None
    assert before.over.is_set()
    after = school.session(session_id)
    assert (await school.staff.actor(after)).permissions == teacher.actor.permissions
    assert after.expires_at == before.expires_at


async def test_what_is_sealed_opens_again_after_unlocking(school: School) -> None:
    lead = await school.somebody(Role.LEAD)
    envelope = await school.vaults.seal(CAPTURES, ITEM, "note", b"a canary")
    school.sessions.lock(lead.session)
    with pytest.raises(Refused):
        school.vaults.open(lead.keys, envelope)
    after = school.session(await school.signing_in.unlock(lead.session, PASSWORD))
    keys = school.sessions.keys(after)
    assert keys is not None
    assert school.vaults.open(keys, envelope) == b"a canary"


async def test_a_wrong_password_leaves_it_locked_and_hammering_is_recorded_once(school: School) -> None:
    teacher, other = await school.somebody(Role.TEACHER), await school.somebody(Role.TEACHER)
    school.sessions.lock(teacher.session)
    for _ in range(TRIES):
        assert "This is not your password" in await words_of(school.signing_in.unlock(teacher.session, WRONG))
    for _ in range(3):
        assert TOO_MANY in await words_of(school.signing_in.unlock(teacher.session, PASSWORD))
    assert school.sessions.is_locked(teacher.session)
    assert (await school.record())[-1] == (
        "somebody",
        "tried to sign in too often",
        f"account {teacher.sign_in_name}",
        {"from": "a browser that is signed in", "tries": TRIES},
    )
    assert (await school.done()).count("tried to sign in too often") == 1
    assert await school.signing_in.unlock(other.session, PASSWORD)


async def test_two_tabs_that_unlock_at_the_same_moment_leave_one_session(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    school.sessions.lock(teacher.session)
    found = await asyncio.gather(
        *(school.signing_in.unlock(teacher.session, PASSWORD) for _ in range(2)), return_exceptions=True
    )
    assert sum(isinstance(one, Refused) for one in found) == 1
    assert len(school.sessions.of_account(teacher.id)) == 1
    assert len(school.ring.all()) == 1


# What is over meanwhile


async def test_who_is_disabled_while_signing_in_does_not_get_in(school: School) -> None:
    """Stretching takes its time, longer when many wait: what was true before it may not be true after it."""
    lead, teacher = await school.somebody(Role.LEAD), await school.somebody(Role.TEACHER)
    works = (
        school.sign_in(teacher),
        school.signing_in.unlock(teacher.session, PASSWORD),
        school.signing_in.change_password(teacher.session, PASSWORD, NEW, teacher.visitor),
        school.signing_in.print_anew(teacher.session, PASSWORD),
    )
    async with school.stretcher.taking_long(*works) as tasks:
        await school.staff.disable(lead.actor, teacher.id, "suspended")
    for task in tasks:
        with pytest.raises(Refused):
            await task
    assert school.sessions.of_account(teacher.id) == []
    assert [keys.account for keys in school.ring.all()] == [lead.id]
    assert not school.staff.get(teacher.id).active


async def test_an_old_password_that_was_being_tried_while_it_was_changed_does_not_get_in(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    async with school.stretcher.taking_long(school.sign_in(teacher)) as (trying,):
        async with school.records.transaction() as tx:
            change = await tx.execute("UPDATE staff_accounts SET verifier = ? WHERE id = ?", (bytes(32), teacher.id))
        assert change == 1
    with pytest.raises(Refused):
        await trying


# Changing what one signs in with


async def change_password(school: School, who: Somebody) -> str | None:
    return await school.signing_in.change_password(who.session, PASSWORD, NEW, who.visitor)


async def change_factor(school: School, who: Somebody) -> str | None:
    secret = new_secret()
    code = code_at(secret, step_of(now()))
    return await school.signing_in.change_factor(who.session, PASSWORD, secret, code, who.visitor)


@pytest.mark.parametrize("change", [change_password, change_factor])
async def test_a_change_ends_every_other_session_and_begins_a_new_one_here(school: School, change: object) -> None:
    teacher, bystander = await school.somebody(Role.TEACHER), await school.somebody(Role.TEACHER)
    elsewhere = school.session((await school.sign_in(teacher, ELSEWHERE)).session)
    streams = [asyncio.create_task(school.sessions.over(one)) for one in (teacher.session, elsewhere)]
    await asyncio.sleep(0)
    it = await school.somebody(Role.IT)
    reset = await school.staff.new_link(it.actor, teacher.id, "password")
    joining = await school.joining.redeem(reset.code, HOME)
    assert joining is not None

    session_id = await change(school, teacher)  # type: ignore[operator]

    await asyncio.wait_for(asyncio.gather(*streams), 10)
    assert session_id is not None
    (left,) = school.sessions.of_account(teacher.id)
    assert left is school.session(session_id)
    assert school.sessions.find(joining) is None
    assert not school.sessions.is_locked(left)
    assert teacher.keys.is_wiped
    assert not bystander.session.over.is_set()
    assert (await school.told(teacher))[-1] == "own account"
    browsers = await school.records.fetch("SELECT 1 FROM staff_browsers WHERE account_id = ?", (teacher.id,))
    assert len(browsers) == 1, "the browsers elsewhere are new ones from now on"


async def test_a_new_password_replaces_the_old_one_and_opens_the_same(school: School) -> None:
    lead = await school.somebody(Role.LEAD)
    envelope = await school.vaults.seal(CAPTURES, ITEM, "note", b"a canary")
    await change_password(school, lead)
    with pytest.raises(Refused):
        await school.sign_in(lead)
    keys = school.sessions.keys(school.session((await school.sign_in(lead, password=NEW)).session))
    assert keys is not None
    assert school.vaults.open(keys, envelope) == b"a canary"


async def test_a_new_factor_replaces_the_old_one(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    old = teacher.code(1)
    await change_factor(school, teacher)
    assert (await guess(school, teacher.sign_in_name, HOME, PASSWORD, old)).startswith(WRONG_WORDS)
    row = await school.records.fetch_one("SELECT totp FROM staff_accounts WHERE id = ?", (teacher.id,))
    assert row is not None
    assert teacher.secret not in row["totp"]


@pytest.mark.parametrize(
    ("password", "new", "words"),
    [
        (WRONG, NEW, "This is not your password"),
        (PASSWORD, "short", "Use at least 12 characters"),
        (PASSWORD, "password12345", "on lists of stolen passwords"),
        (PASSWORD, "Quillfeatherbottom", "too easy to guess"),
    ],
)
async def test_a_password_that_does_not_serve_changes_nothing(
    school: School, password: str, new: str, words: str
) -> None:
    teacher = await school.somebody(Role.TEACHER, "Quinn Quillfeatherbottom")
    before = school.ring.all()
    assert words in await words_of(school.signing_in.change_password(teacher.session, password, new, teacher.visitor))
    assert not teacher.session.over.is_set()
    assert school.ring.all() == before
    assert await school.sign_in(teacher)


async def test_a_wrong_code_changes_no_factor(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    change = school.signing_in.change_factor(teacher.session, PASSWORD, new_secret(), "000000", teacher.visitor)
    assert await change is None
    assert not teacher.session.over.is_set()
    assert await school.signing_in.sign_in(teacher.sign_in_name, PASSWORD, teacher.code(), HOME)


async def test_a_new_sheet_voids_the_one_before(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    printed = await school.signing_in.print_anew(teacher.session, PASSWORD)
    with pytest.raises(Refused):
        await school.sign_in(teacher)
    with pytest.raises(Refused, match="not the newest recovery key"):
        await school.credentials.open_by_recovery(teacher.id, teacher.recovery_key)
    keys = await school.credentials.open_by_recovery(teacher.id, printed.recovery_key.lower().replace("-", " "))
    assert keys.private == teacher.keys.private
    assert await school.signing_in.sign_in(teacher.sign_in_name, PASSWORD, printed.codes[7], HOME)


@pytest.mark.parametrize("text", ["", "7Q2K-M0XD", "U" * 36, "0" * 36, "\udcff"])
async def test_what_is_no_recovery_key_is_refused_in_words(school: School, text: str) -> None:
    teacher = await school.somebody(Role.TEACHER)
    with pytest.raises(Refused, match="recovery key is not right"):
        await school.credentials.open_by_recovery(teacher.id, text)


async def test_signing_out_elsewhere_leaves_this_browser_and_makes_the_others_new_ones(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    found = await school.sign_in(teacher, ELSEWHERE)
    assert await school.signing_in.sign_out_elsewhere(teacher.session, teacher.visitor) == 1
    assert school.sessions.of_account(teacher.id) == [teacher.session]
    told = await school.told(teacher)
    await school.sign_in(teacher, Visitor("10.9.9.9", found.browser))
    assert await school.told(teacher) == [*told, "new browser"]
    await school.sign_in(teacher, teacher.visitor)
    assert await school.told(teacher) == [*told, "new browser"]


async def test_signing_out_wipes_and_is_recorded(school: School) -> None:
    teacher = await school.somebody(Role.TEACHER)
    await school.signing_in.sign_out(teacher.session)
    assert teacher.keys.is_wiped
    assert school.sessions.of_account(teacher.id) == []
    assert (await school.done())[-1] == "signed out"


# Forms that come back


async def test_what_a_form_carries_opens_for_its_account_and_its_step_alone(school: School) -> None:
    teacher, other = await school.somebody(Role.TEACHER), await school.somebody(Role.TEACHER)
    secret = new_secret()
    packed = school.signing_in.pack(teacher.session, secret)
    assert secret.hex() not in packed
    assert school.signing_in.unpack(teacher.session, packed) == secret
    with pytest.raises(Refused, match="not whole any more"):
        school.signing_in.unpack(other.session, packed)
    of_another_step = school.credentials.pack(teacher.id, "sheet", secret)
    for text in (packed[:-2], "not hex", "", of_another_step):
        with pytest.raises(Refused, match="not whole any more"):
            school.signing_in.unpack(teacher.session, text)


# A lead without a vault


async def test_a_lead_begins_what_nobody_can_open_at_the_next_sign_in(school: School) -> None:
    """Who takes over from a lead who has gone has joined already, and does not join again."""
    head, new = await school.somebody(Role.HEAD), await school.somebody(None)
    await school.staff.set_role(head.actor, new.id, Role.LEAD)
    await school.sign_in(new)
    for vault in VAULT_NAMES:
        assert await school.vaults.is_member(new.id, vault)


async def test_nobody_gets_into_a_vault_by_signing_in_while_somebody_can_open_it(school: School) -> None:
    await school.somebody(Role.LEAD)
    other = await school.somebody(Role.LEAD)
    await school.sign_in(other)
    assert not await school.vaults.is_member(other.id, CAPTURES)
