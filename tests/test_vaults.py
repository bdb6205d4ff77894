"""Vaults: what is sealed opens for members alone; who has gone opens nothing that comes later; nothing is lost."""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from appliance.access import Actor
from appliance.audit import Audit
from appliance.clock import new_id, stamp
from appliance.db import Database
from appliance.errors import Refused
from appliance.loading import resource
from appliance.migrate import CORE, migrate
from appliance.sealing import Keys, new_pair, open_envelope, public_of
from appliance.vaults import CAPTURES, VULNERABLE_LIST, Vaults

CONTENT = b"what a child wrote in the night"


@dataclass
class Somebody:
    """An account, the keys of its open session, and how it stands in the record."""

    id: str
    name: str
    keys: Keys

    @property
    def actor(self) -> Actor:
        return Actor(self.name, frozenset(), self.id)


@dataclass
class School:
    """A store with accounts and vaults."""

    records: Database
    vaults: Vaults = field(init=False)

    def __post_init__(self) -> None:
        self.vaults = Vaults(self.records, Audit(self.records))

    async def somebody(self, name: str, state: str = "active", *, ready: bool = True) -> Somebody:
        """An account that is signed in (its keys are loaded)."""
        private, public = new_pair()
        account = Somebody(new_id(), name, Keys("", private))
        account.keys.account = account.id
        async with self.records.transaction() as tx:
            await tx.execute(
                "INSERT INTO staff_accounts (id, sign_in_name, name, state, made_at, made_by, public_key)"
                " VALUES (?, ?, ?, ?, ?, 'ada', ?)",
                (account.id, name.casefold(), name, state, stamp(), public if ready else None),
            )
        await self.vaults.load_keys(account.keys)
        return account

    async def founder(self, name: str = "Ada", vault: str = CAPTURES) -> Somebody:
        """Somebody who began a vault."""
        account = await self.somebody(name)
        await self.found(account, vault)
        return account

    async def found(self, account: Somebody, vault: str = CAPTURES) -> None:
        async with self.records.transaction() as tx:
            await self.vaults.found(tx, vault, account.id, account.keys)

    async def seal(self, content: bytes = CONTENT, vault: str = CAPTURES) -> bytes:
        return await self.vaults.seal(vault, new_id(), "note", content)

    async def leave(self, account: Somebody) -> None:
        """As when an account is disabled: by somebody who opens nothing."""
        async with self.records.transaction() as tx:
            await tx.execute("UPDATE staff_accounts SET state = 'disabled' WHERE id = ?", (account.id,))
            await self.vaults.drop_leaver(tx, account.id)

    async def come_back(self, account: Somebody) -> None:
        async with self.records.transaction() as tx:
            await tx.execute("UPDATE staff_accounts SET state = 'active' WHERE id = ?", (account.id,))

    async def lose_everything(self, account: Somebody) -> None:
        """As when a password is made anew without the recovery key: a new key pair."""
        private, public = new_pair()
        async with self.records.transaction() as tx:
            await tx.execute("UPDATE staff_accounts SET public_key = ? WHERE id = ?", (public, account.id))
            await self.vaults.forget_member(tx, account.id)
        account.keys = Keys(account.id, private)
        await self.vaults.load_keys(account.keys)

    async def signed_in_anew(self, account: Somebody) -> Keys:
        """The keys of another session of the same account."""
        keys = Keys(account.id, account.keys.private)
        await self.vaults.load_keys(keys)
        return keys

    async def epochs(self, vault: str = CAPTURES) -> int:
        row = await self.records.fetch_one(
            "SELECT count(*) FROM vault_epochs JOIN vaults ON id = vault_id WHERE name = ?", (vault,)
        )
        assert row is not None
        return int(row[0])

    async def audit(self) -> list[tuple[str, str, str, object]]:
        rows = await Audit(self.records).rows(None, 100)
        return [(row["actor"], row["action"], row["subject"], json.loads(row["detail"])) for row in reversed(rows)]


@pytest.fixture
async def school(tmp_path: Path) -> AsyncIterator[School]:
    database = Database(tmp_path / "records.db")
    await database.open()
    await migrate(database, CORE, resource("migrations"))
    yield School(database)
    await database.close()


def opens(school: School, keys: Keys, envelope: bytes) -> bool:
    try:
        return school.vaults.open(keys, envelope) == CONTENT
    except Refused:
        return False


def hoard(keys: Keys, vault_id: str) -> Keys:
    """What a member could have copied while its session was open."""
    copy = Keys(keys.account, keys.private)
    for epoch, private_key in keys.of_vault(vault_id).items():
        copy.put(vault_id, epoch, private_key)
    return copy


async def vault_id(school: School, name: str = CAPTURES) -> str:
    row = await school.records.fetch_one("SELECT id FROM vaults WHERE name = ?", (name,))
    assert row is not None
    return str(row["id"])


# The first member


async def test_nothing_is_sealed_while_nobody_could_open_it(school: School) -> None:
    with pytest.raises(Refused, match="Nobody can open “captures” yet"):
        await school.seal()
    await school.founder()
    assert await school.seal()
    with pytest.raises(Refused, match="vulnerable list"):
        await school.seal(vault=VULNERABLE_LIST)


async def test_a_member_opens_it_and_nobody_else(school: School) -> None:
    ada, eve = await school.founder(), await school.somebody("Eve")
    envelope = await school.seal()
    assert school.vaults.open(ada.keys, envelope) == CONTENT
    assert school.vaults.open(await school.signed_in_anew(ada), envelope) == CONTENT
    with pytest.raises(Refused, match="not among those"):
        school.vaults.open(eve.keys, envelope)
    ada.keys.wipe()
    with pytest.raises(Refused, match="locked"):
        school.vaults.open(ada.keys, envelope)
    assert await school.vaults.is_member(ada.id, CAPTURES)
    assert not await school.vaults.is_member(eve.id, CAPTURES)
    assert not await school.vaults.is_member(ada.id, VULNERABLE_LIST)


async def test_a_vault_that_somebody_can_open_is_not_begun_again(school: School) -> None:
    await school.founder()
    bob = await school.somebody("Bob")
    await school.found(bob)
    assert await school.epochs() == 1
    assert [row["name"] for row in await school.vaults.members(CAPTURES)] == ["Ada"]


async def test_an_envelope_that_was_moved_to_another_row_is_refused(school: School) -> None:
    ada = await school.founder()
    item = new_id()
    envelope = await school.vaults.seal(CAPTURES, item, "note", CONTENT)
    assert school.vaults.open(ada.keys, envelope, item) == CONTENT
    with pytest.raises(Refused, match="moved here"):
        school.vaults.open(ada.keys, envelope, new_id())


async def test_after_a_change_of_settings_keys_open_once_they_are_loaded_again(school: School) -> None:
    """Else the new generation could not take from a session what its account has lost."""
    ada = await school.founder()
    envelope = await school.seal()
    school.vaults = Vaults(school.records, Audit(school.records))
    with pytest.raises(Refused, match="not loaded"):
        school.vaults.open(ada.keys, envelope)
    await school.vaults.load_keys(ada.keys)
    assert school.vaults.open(ada.keys, envelope) == CONTENT


async def test_the_disk_holds_neither_content_nor_what_opens_it(school: School) -> None:
    ada = await school.founder()
    envelope = await school.seal()
    async with school.records.transaction() as tx:
        await tx.execute("UPDATE staff_accounts SET salt = ?", (envelope,))
    files = b"".join(path.read_bytes() for path in school.records.path.parent.iterdir())
    assert envelope in files  # the search does find what is there
    secrets = [ada.keys.private, *ada.keys.of_vault(await vault_id(school)).values()]
    assert len(secrets) == 2
    for secret in secrets:
        assert bytes(secret) not in files
        assert public_of(secret) in files
    assert CONTENT not in files


# Admission


async def test_a_newcomer_opens_old_and_new_at_once_in_every_open_session(school: School) -> None:
    ada, bob = await school.founder(), await school.somebody("Bob")
    before = await school.seal()
    await school.vaults.admit(ada.actor, ada.keys, CAPTURES, bob.id)
    after = await school.seal()
    for keys in (bob.keys, await school.signed_in_anew(bob)):
        assert opens(school, keys, before)
        assert opens(school, keys, after)
    rows = await school.vaults.members(CAPTURES)
    assert [(row["name"], row["admitted_by"], row["can_open"], row["complete"]) for row in rows] == [
        ("Ada", "Ada", 1, 1),
        ("Bob", "Ada", 1, 1),
    ]


async def test_only_whoever_can_open_it_admits(school: School) -> None:
    ada, bob, eve = await school.founder(), await school.somebody("Bob"), await school.somebody("Eve")
    with pytest.raises(Refused, match="cannot open “captures” yourself"):
        await school.vaults.admit(eve.actor, eve.keys, CAPTURES, bob.id)
    with pytest.raises(Refused, match="cannot open"):
        await school.vaults.admit(ada.actor, ada.keys, VULNERABLE_LIST, bob.id)
    with pytest.raises(Refused, match="cannot open"):
        await school.vaults.remove(eve.actor, eve.keys, CAPTURES, ada.id)
    ada.keys.wipe()
    with pytest.raises(Refused, match="locked"):
        await school.vaults.admit(ada.actor, ada.keys, CAPTURES, bob.id)
    assert len(await school.vaults.members(CAPTURES)) == 1


@pytest.mark.parametrize(
    ("state", "ready", "words"),
    [
        ("disabled", True, "is disabled"),
        ("invited", False, "not made the account ready"),
        ("active", False, "not made"),
    ],
)
async def test_who_has_no_key_or_may_not_sign_in_is_not_admitted(
    school: School, state: str, ready: bool, words: str
) -> None:
    ada, bob = await school.founder(), await school.somebody("Bob", state, ready=ready)
    with pytest.raises(Refused, match=words):
        await school.vaults.admit(ada.actor, ada.keys, CAPTURES, bob.id)


async def test_nobody_is_admitted_twice_and_nobody_unknown(school: School) -> None:
    ada = await school.founder()
    with pytest.raises(Refused, match="already"):
        await school.vaults.admit(ada.actor, ada.keys, CAPTURES, ada.id)
    with pytest.raises(Refused, match="no such account"):
        await school.vaults.admit(ada.actor, ada.keys, CAPTURES, new_id())


# Removal


async def test_who_is_removed_opens_nothing_more_and_never_what_comes_later(school: School) -> None:
    ada, bob = await school.founder(), await school.somebody("Bob")
    await school.vaults.admit(ada.actor, ada.keys, CAPTURES, bob.id)
    before = await school.seal()
    copied = hoard(bob.keys, await vault_id(school))
    await school.vaults.remove(ada.actor, ada.keys, CAPTURES, bob.id)
    after = await school.seal()
    assert not opens(school, bob.keys, before)  # the session that was open meanwhile
    assert not opens(school, await school.signed_in_anew(bob), before)
    assert open_envelope(before, copied) == CONTENT  # what was copied while it was allowed, no key can take back
    with pytest.raises(Refused):
        open_envelope(after, copied)
    for keys in (ada.keys, await school.signed_in_anew(ada)):
        assert opens(school, keys, before)
        assert opens(school, keys, after)
    assert not await school.vaults.is_member(bob.id, CAPTURES)
    assert await school.epochs() == 2


async def test_somebody_who_comes_back_opens_everything_again(school: School) -> None:
    ada, bob = await school.founder(), await school.somebody("Bob")
    await school.vaults.admit(ada.actor, ada.keys, CAPTURES, bob.id)
    await school.vaults.remove(ada.actor, ada.keys, CAPTURES, bob.id)
    meanwhile = await school.seal()
    await school.vaults.admit(ada.actor, ada.keys, CAPTURES, bob.id)
    assert opens(school, bob.keys, meanwhile)


async def test_one_may_go_oneself_but_not_as_the_last(school: School) -> None:
    ada, bob = await school.founder(), await school.somebody("Bob")
    with pytest.raises(Refused, match="lost for ever"):
        await school.vaults.remove(ada.actor, ada.keys, CAPTURES, ada.id)
    await school.vaults.admit(ada.actor, ada.keys, CAPTURES, bob.id)
    await school.vaults.remove(ada.actor, ada.keys, CAPTURES, ada.id)
    envelope = await school.seal()
    assert opens(school, bob.keys, envelope)
    assert not opens(school, ada.keys, envelope)
    with pytest.raises(Refused, match="not a member"):
        await school.vaults.remove(bob.actor, bob.keys, CAPTURES, ada.id)
    with pytest.raises(Refused, match="lost for ever"):
        await school.vaults.remove(bob.actor, bob.keys, CAPTURES, bob.id)


async def test_two_who_remove_each_other_at_once_do_not_both_succeed(school: School) -> None:
    ada, bob = await school.founder(), await school.somebody("Bob")
    await school.vaults.admit(ada.actor, ada.keys, CAPTURES, bob.id)
    outcomes = await asyncio.gather(
        school.vaults.remove(ada.actor, ada.keys, CAPTURES, bob.id),
        school.vaults.remove(bob.actor, bob.keys, CAPTURES, ada.id),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 1
    left = [row["account_id"] for row in await school.vaults.members(CAPTURES)]
    stays = ada if left == [ada.id] else bob
    assert opens(school, await school.signed_in_anew(stays), await school.seal())


async def test_a_removal_that_is_not_kept_takes_nothing_away(school: School) -> None:
    ada, bob = await school.founder(), await school.somebody("Bob")
    await school.vaults.admit(ada.actor, ada.keys, CAPTURES, bob.id)
    with pytest.raises(LookupError):
        async with school.records.transaction() as tx:
            await school.vaults.drop_leaver(tx, bob.id)
            raise LookupError
    assert opens(school, bob.keys, await school.seal())
    assert await school.vaults.is_member(bob.id, CAPTURES)


# Leaving without a member at hand


async def test_after_a_leaver_the_next_member_who_signs_in_makes_a_new_key(school: School) -> None:
    ada, bob, cyd = await school.founder(), await school.somebody("Bob"), await school.somebody("Cyd")
    for account in (bob, cyd):
        await school.vaults.admit(ada.actor, ada.keys, CAPTURES, account.id)
    copied = hoard(bob.keys, await vault_id(school))
    before = await school.seal()
    await school.leave(bob)
    assert not await school.vaults.is_member(bob.id, CAPTURES)
    assert not opens(school, bob.keys, before)
    assert not opens(school, await school.signed_in_anew(bob), before)
    assert await school.epochs() == 1
    await asyncio.gather(school.signed_in_anew(cyd), school.signed_in_anew(ada))
    assert await school.epochs() == 2
    after = await school.seal()
    with pytest.raises(Refused):
        open_envelope(after, copied)
    for account in (ada, cyd):
        assert opens(school, account.keys, after)  # in the sessions that were open all the time, too
    await school.signed_in_anew(cyd)
    assert await school.epochs() == 2


async def test_a_key_that_the_leaver_alone_held_is_kept_for_a_change_of_mind(school: School) -> None:
    ada = await school.founder()
    envelope = await school.seal()
    await school.leave(ada)
    assert not opens(school, ada.keys, envelope)
    assert not await school.vaults.is_member(ada.id, CAPTURES)
    assert await school.vaults.lone() == {CAPTURES: 0}
    await school.come_back(ada)
    assert opens(school, await school.signed_in_anew(ada), envelope)


async def test_a_new_beginning_and_the_old_member_who_comes_back(school: School) -> None:
    ada, bob = await school.founder(), await school.somebody("Bob")
    old = await school.seal()
    await school.leave(ada)
    await school.found(bob)
    new = await school.seal()
    assert (opens(school, bob.keys, old), opens(school, bob.keys, new)) == (False, True)
    await school.come_back(ada)
    ada.keys = await school.signed_in_anew(ada)
    assert (opens(school, ada.keys, old), opens(school, ada.keys, new)) == (True, False)
    assert {row["name"]: (row["can_open"], row["complete"]) for row in await school.vaults.members(CAPTURES)} == {
        "Ada": (0, 0),
        "Bob": (1, 0),
    }
    with pytest.raises(Refused, match="the only one who can open some"):
        await school.vaults.remove(bob.actor, bob.keys, CAPTURES, ada.id)
    await school.vaults.admit(bob.actor, bob.keys, CAPTURES, ada.id)
    await school.vaults.admit(ada.actor, ada.keys, CAPTURES, bob.id)
    for account in (ada, bob):
        assert opens(school, account.keys, old)
        assert opens(school, account.keys, new)


# A new key pair after everything was forgotten


async def test_who_lost_password_and_recovery_key_has_to_be_admitted_again(school: School) -> None:
    ada, bob = await school.founder(), await school.somebody("Bob")
    await school.vaults.admit(ada.actor, ada.keys, CAPTURES, bob.id)
    envelope = await school.seal()
    old_keys = bob.keys
    await school.lose_everything(bob)
    assert not opens(school, old_keys, envelope)
    assert not opens(school, bob.keys, envelope)
    assert not await school.vaults.is_member(bob.id, CAPTURES)
    assert {row["name"]: (row["can_open"], row["complete"]) for row in await school.vaults.members(CAPTURES)} == {
        "Ada": (1, 1),
        "Bob": (0, 0),
    }
    cyd = await school.somebody("Cyd")
    await school.vaults.admit(ada.actor, ada.keys, CAPTURES, cyd.id)
    await school.vaults.remove(ada.actor, ada.keys, CAPTURES, cyd.id)
    assert not opens(school, await school.signed_in_anew(bob), await school.seal())  # no new key brings bob back in
    await school.vaults.admit(ada.actor, ada.keys, CAPTURES, bob.id)
    assert opens(school, bob.keys, envelope)
    assert opens(school, bob.keys, await school.seal())


async def test_when_the_only_member_lost_everything_a_new_beginning_is_possible(school: School) -> None:
    ada = await school.founder()
    lost = await school.seal()
    await school.lose_everything(ada)
    with pytest.raises(Refused, match="Nobody can open"):
        await school.seal()
    await school.found(ada)
    assert opens(school, ada.keys, await school.seal())
    assert not opens(school, ada.keys, lost)
    assert [(row["can_open"], row["complete"]) for row in await school.vaults.members(CAPTURES)] == [(1, 1)]


# Warnings and the record


async def test_vaults_with_one_member_are_told(school: School) -> None:
    assert await school.vaults.lone() == {}
    ada = await school.founder()
    await school.found(ada, VULNERABLE_LIST)
    bob = await school.somebody("Bob")
    await school.vaults.admit(ada.actor, ada.keys, CAPTURES, bob.id)
    assert await school.vaults.lone() == {VULNERABLE_LIST: 1}


async def test_every_change_is_in_the_record(school: School) -> None:
    ada, bob, cyd = await school.founder(), await school.somebody("Bob"), await school.somebody("Cyd")
    await school.vaults.admit(ada.actor, ada.keys, CAPTURES, bob.id)
    await school.vaults.admit(bob.actor, bob.keys, CAPTURES, cyd.id)
    await school.vaults.remove(ada.actor, ada.keys, CAPTURES, bob.id)
    await school.lose_everything(ada)
    await school.leave(ada)
    await school.signed_in_anew(cyd)
    subject = "vault captures"
    assert await school.audit() == [
        ("Ada", "made vault", subject, {"first member": "ada"}),
        ("Ada", "admitted a member", subject, {"account": "bob"}),
        ("Bob", "admitted a member", subject, {"account": "cyd"}),
        ("Ada", "removed a member", subject, {"account": "bob"}),
        ("the appliance", "has to be admitted again", subject, {"account": "ada"}),
        ("the appliance", "dropped a member", subject, {"account": "ada"}),
        ("the appliance", "made a new key", subject, {"because": "a member had gone"}),
    ]


# Somebody who writes to the store


TAMPERING = {
    "another public key, to which things would be sealed": "UPDATE vault_epochs SET public_key = zeroblob(32)",
    "a damaged grant": "UPDATE vault_grants SET sealed_key = zeroblob(80)",
    "a grant of another length": "UPDATE vault_grants SET sealed_key = zeroblob(3)",
}


@pytest.mark.parametrize("how", TAMPERING)
async def test_a_key_that_was_changed_in_the_store_is_found_at_the_next_sign_in(school: School, how: str) -> None:
    ada = await school.founder()
    envelope = await school.seal()
    connection = sqlite3.connect(school.records.path)
    connection.execute(TAMPERING[how])
    connection.commit()
    connection.close()
    assert not opens(school, await school.signed_in_anew(ada), envelope)
    found = ("the appliance", "found a damaged key", "vault captures", {"account": "ada", "epoch": 1})
    assert (await school.audit())[-1] == found


async def test_a_grant_that_was_moved_to_another_vault_opens_nothing(school: School) -> None:
    ada = await school.founder()
    await school.found(ada, VULNERABLE_LIST)
    connection = sqlite3.connect(school.records.path)
    connection.execute(
        "UPDATE vault_grants SET sealed_key = (SELECT sealed_key FROM vault_grants other"
        " WHERE other.vault_id <> vault_grants.vault_id) WHERE vault_id = ?",
        (await vault_id(school),),
    )
    connection.commit()
    connection.close()
    keys = await school.signed_in_anew(ada)
    assert keys.of_vault(await vault_id(school)) == {}
    assert len(keys.of_vault(await vault_id(school, VULNERABLE_LIST))) == 1


# Everything at once


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_members_open_everything_and_others_nothing_new(school: School, seed: int) -> None:
    """A walk through admissions, removals, leavers and lost keys. Everybody hoards each key that ever was in reach."""
    dice = random.Random(seed)
    people = [await school.founder("P0"), *[await school.somebody(f"P{number}") for number in range(1, 5)]]
    captures = await vault_id(school)
    hoards = {one.id: Keys(one.id, one.keys.private) for one in people}
    members = {people[0].id}
    gone: dict[str, list[bytes]] = {}
    sealed: list[bytes] = []
    for _ in range(25):
        actor = next(one for one in people if one.id in members)
        other = dice.choice([one for one in people if one is not actor])
        step = dice.choice(("admit", "remove", "leave", "lose"))
        if other.id not in members:
            await school.vaults.admit(actor.actor, actor.keys, CAPTURES, other.id)
            members.add(other.id)
            gone.pop(other.id, None)
        elif step != "admit":
            members.discard(other.id)
            if step == "remove":
                await school.vaults.remove(actor.actor, actor.keys, CAPTURES, other.id)
            elif step == "leave":
                await school.leave(other)
                await school.come_back(other)
                await school.signed_in_anew(actor)
            else:
                await school.lose_everything(other)
            if step != "lose":
                gone[other.id] = []
        envelope = await school.seal()
        sealed.append(envelope)
        for one in people:
            for epoch, private_key in one.keys.of_vault(captures).items():
                hoards[one.id].put(captures, epoch, private_key)
            assert await school.vaults.is_member(one.id, CAPTURES) == (one.id in members)
            assert {opens(school, one.keys, item) for item in sealed} == {one.id in members}
            gone.get(one.id, []).append(envelope)
        for account, later in gone.items():
            for item in later:
                with pytest.raises(Refused):
                    open_envelope(item, hoards[account])
