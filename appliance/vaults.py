"""Vaults: who can open what is kept sealed, and the keys that make it so.

A vault is a key pair. Everybody may seal to it; its private key exists only sealed to each member's own key (a grant).
When a member goes the vault gets a new pair (*epoch*), sealed to those who stay: what is kept from then on, the one who
went can never open. Old epochs stay, so that old content stays readable for members.

The store alone opens nothing. What opens is in ``Keys``, in memory, for as long as a session is unlocked; so everything
that hands out a key needs the ``Keys`` of a member. ``load_keys`` fills them. ``Vaults`` remembers which it filled, to
give them a new epoch and to take away what a member has lost. After a change of settings there is a new ``Vaults``:
``load_keys`` is called again for whoever is signed in, and until then ``open`` refuses.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from weakref import WeakSet

from appliance.access import Actor
from appliance.audit import Audit
from appliance.clock import new_id, stamp
from appliance.db import Database, Row, Transaction
from appliance.errors import Refused
from appliance.sealing import (
    Keys,
    Recipient,
    SealError,
    new_pair,
    open_envelope,
    open_key,
    public_of,
    read_header,
    seal,
    seal_key,
    wipe,
)

CAPTURES = "captures"
VULNERABLE_LIST = "vulnerable list"
VAULT_NAMES = (CAPTURES, VULNERABLE_LIST)

_ITSELF = "the appliance"
_MEMBERS = """
SELECT member.account_id, account.name, account.sign_in_name, account.role, account.state,
    member.admitted_at, member.admitted_by,
    EXISTS (
        SELECT 1 FROM vault_openers opener
        WHERE opener.vault_id = vault.id AND opener.account_id = member.account_id
    ) AS can_open,
    (SELECT count(*) FROM vault_grants held WHERE held.vault_id = vault.id AND held.account_id = member.account_id)
        = (SELECT count(DISTINCT epoch) FROM vault_grants held WHERE held.vault_id = vault.id) AS complete
FROM vaults vault
JOIN vault_members member ON member.vault_id = vault.id
JOIN staff_accounts account ON account.id = member.account_id
WHERE vault.name = ? ORDER BY account.name, member.account_id
"""
_NEWEST = """
SELECT vault.id, epoch.epoch, epoch.public_key FROM vaults vault JOIN vault_epochs epoch ON epoch.vault_id = vault.id
WHERE vault.name = ? ORDER BY epoch.epoch DESC LIMIT 1
"""
_GRANTS = """
SELECT held.vault_id, held.epoch, held.sealed_key, epoch.public_key, vault.name, account.sign_in_name
FROM vault_grants held
JOIN staff_accounts account ON account.id = held.account_id
JOIN vault_epochs epoch ON epoch.vault_id = held.vault_id AND epoch.epoch = held.epoch
JOIN vaults vault ON vault.id = held.vault_id
WHERE held.account_id = ?
"""
_DUE = """
SELECT vault.id, vault.name FROM vaults vault
JOIN vault_openers opener ON opener.vault_id = vault.id AND opener.account_id = ?
WHERE vault.new_key_due_at IS NOT NULL
"""
_OPENABLE = """
SELECT DISTINCT vault.name FROM vaults vault JOIN vault_openers opener ON opener.vault_id = vault.id
"""
_OPENERS = """
SELECT account.id, account.public_key FROM vault_openers opener JOIN staff_accounts account
ON account.id = opener.account_id WHERE opener.vault_id = ?
"""


class Vaults:
    """Seals, opens, and keeps who can."""

    def __init__(self, records: Database, audit: Audit) -> None:
        self._records = records
        self._audit = audit
        self._filled: WeakSet[Keys] = WeakSet()
        self._openable: frozenset[str] = frozenset()

    async def start(self) -> None:
        """Read which vaults somebody can open; also called now and then, because accounts change elsewhere."""
        self._take(await self._records.fetch(_OPENABLE))

    # Sealing and opening

    async def seal(self, name: str, item_id: str, kind: str, content: bytes) -> bytes:
        """An envelope for the members of a vault.

        ``item_id`` (a UUID) and ``kind`` are readable and bound to the content. Raises ``Refused`` while nobody holds
        the vault's key: what is sealed then could never be opened.
        """
        newest = await self._records.fetch_one(_NEWEST, (name,))
        if newest is None or not await self._records.fetch_one(
            "SELECT 1 FROM vault_grants WHERE vault_id = ? AND epoch = ?", (newest["id"], newest["epoch"])
        ):
            raise Refused(
                f"Nobody can open “{name}” yet, so nothing is kept in it.",
                "The safeguarding lead has to make her account ready first.",
            )
        return seal(content, item_id, kind, [Recipient(newest["id"], newest["epoch"], newest["public_key"])])

    def open(self, keys: Keys, envelope: bytes, item_id: str | None = None) -> bytes:
        """The content of an envelope. Raises ``Refused`` if these keys do not open it.

        ``item_id``: which item this should be; an envelope that was moved here from another one is refused.
        """
        if not keys.is_wiped and keys not in self._filled:
            raise Refused("The keys of this browser are not loaded.", "Lock the browser and type your password.")
        if item_id is not None and read_header(envelope).item_id != item_id:
            raise SealError("This belongs to something else and was moved here.", "Tell IT: the store was changed.")
        return open_envelope(envelope, keys)

    async def load_keys(self, keys: Keys) -> None:
        """Open everything that the account of ``keys`` was granted; make new keys of vaults where that is due.

        Called when somebody signs in or unlocks, and for every unlocked session after a change of settings. A grant
        that does not fit its vault is left out and goes into the record: somebody changed the store.
        """
        async with self._records.transaction() as tx:  # in turn with those who admit and remove
            self._filled.add(keys)
            for grant in await tx.fetch(_GRANTS, (keys.account,)):
                private_key = _open_grant(grant, keys)
                if private_key is not None:
                    keys.put(grant["vault_id"], grant["epoch"], private_key)
                    wipe(private_key)
                else:
                    detail = {"account": grant["sign_in_name"], "epoch": grant["epoch"]}
                    await self._audit.record(tx, _ITSELF, "found a damaged key", _subject(grant["name"]), detail)
            for vault in await tx.fetch(_DUE, (keys.account,)):
                await self._make_epoch(tx, vault["id"])
                await self._audit.record(
                    tx, _ITSELF, "made a new key", _subject(vault["name"]), {"because": "a member had gone"}
                )

    # Asking

    def can_be_opened(self, name: str) -> bool:
        """Whether somebody can open what is sealed now; answered from memory."""
        return name in self._openable

    async def is_member(self, account_id: str, name: str) -> bool:
        """Whether this account can open what is sealed now; not while it is disabled or has to be admitted again."""
        return bool(
            await self._records.fetch_one(
                "SELECT 1 FROM vault_openers opener JOIN vaults vault ON vault.id = opener.vault_id"
                " WHERE opener.account_id = ? AND vault.name = ?",
                (account_id, name),
            )
        )

    async def members(self, name: str) -> list[Row]:
        """Who was admitted: account_id, name, sign_in_name, role, state, admitted_at, admitted_by, and two answers.

        ``can_open``: this account can open what is sealed now; if not, it has to be admitted again. ``complete``: it
        holds every key that anybody holds, so there is no older content that only others can open.
        """
        return await self._records.fetch(_MEMBERS, (name,))

    async def lone(self) -> Mapping[str, int]:
        """Vaults that fewer than two people can open, and how many can: one forgotten password, and all is lost."""
        rows = await self._records.fetch(
            "SELECT vault.name, count(opener.account_id) AS openers FROM vaults vault"
            " LEFT JOIN vault_openers opener ON opener.vault_id = vault.id"
            " GROUP BY vault.id HAVING openers < 2 ORDER BY vault.name"
        )
        return {row["name"]: row["openers"] for row in rows}

    # Changing who can

    async def found(self, tx: Transaction, name: str, account_id: str, keys: Keys) -> None:
        """Begin a vault with its first member, or begin it anew when nobody can open it any more.

        Nothing happens while somebody can open it: they are the ones to admit others. What was kept before a new
        beginning stays shut, unless somebody who holds an old key comes back and admits the others to it.
        """
        vault = await tx.fetch_one("SELECT id FROM vaults WHERE name = ?", (name,))
        if vault is None:
            vault_id, action = new_id(), "made vault"
            await tx.execute("INSERT INTO vaults (id, name, made_at) VALUES (?, ?, ?)", (vault_id, name, stamp()))
        else:
            vault_id, action = vault["id"], "began vault anew"
            if await tx.fetch_one("SELECT 1 FROM vault_openers WHERE vault_id = ?", (vault_id,)):
                return
        account = await _account(tx, account_id)
        await self._add_member(tx, vault_id, account_id, account["name"])
        await self._make_epoch(tx, vault_id, {account_id: public_of(keys.private)})
        detail = {"first member": account["sign_in_name"]}
        await self._audit.record(tx, account["name"], action, _subject(name), detail)

    async def admit(self, actor: Actor, keys: Keys, name: str, account_id: str) -> None:
        """Let another account open everything that ``keys`` open in this vault, old content included.

        Raises ``Refused`` if ``keys`` are not a member's, and for accounts that are not ready, disabled, or can open it
        all already.
        """
        async with self._records.transaction() as tx:
            vault_id = await self._check_can_open(tx, keys, name)
            account = await _account(tx, account_id)
            _check_ready(account)
            held = await tx.fetch(
                "SELECT epoch FROM vault_grants WHERE vault_id = ? AND account_id = ?", (vault_id, account_id)
            )
            missing = keys.of_vault(vault_id).keys() - {row["epoch"] for row in held}
            if not missing:
                raise Refused(f"{account['name']} can open “{name}” already.", "Load the page again.")
            await self._add_member(tx, vault_id, account_id, actor.name)
            for epoch in missing:
                private_key = bytearray(keys.of_vault(vault_id)[epoch])
                await self._grant(tx, vault_id, epoch, {account_id: account["public_key"]}, private_key)
            detail = {"account": account["sign_in_name"]}
            await self._audit.record(tx, actor.name, "admitted a member", _subject(name), detail)

    async def remove(self, actor: Actor, keys: Keys, name: str, account_id: str) -> None:
        """Take a member out: nothing that is kept from now on can be opened by that account.

        Raises ``Refused`` if ``keys`` are not a member's, if the account is no member, and if it alone holds one of the
        vault's keys: what was sealed to that could never be opened again.
        """
        async with self._records.transaction() as tx:
            vault_id = await self._check_can_open(tx, keys, name)
            member = await tx.fetch_one(
                "SELECT account.name, account.sign_in_name FROM vault_members member JOIN staff_accounts account"
                " ON account.id = member.account_id WHERE member.vault_id = ? AND member.account_id = ?",
                (vault_id, account_id),
            )
            if member is None:
                raise Refused(f"This account is not a member of “{name}” any more.", "Load the page again.")
            if await tx.fetch_one(
                "SELECT 1 FROM vault_sole_grants WHERE vault_id = ? AND account_id = ?", (vault_id, account_id)
            ):
                raise Refused(
                    f"{member['name']} is the only one who can open some of “{name}”. It would be lost for ever.",
                    "Admit somebody else first.",
                )
            await self._drop_member(tx, vault_id, account_id)
            await self._make_epoch(tx, vault_id)
            detail = {"account": member["sign_in_name"]}
            await self._audit.record(tx, actor.name, "removed a member", _subject(name), detail)

    async def drop_leaver(self, tx: Transaction, account_id: str) -> None:
        """Take an account out of every vault at once, by somebody who opens nothing. No new key can be made here.

        The next member who signs in makes it. Keys that this account alone holds are kept, sealed to it: a disabled
        account opens nothing, and what was sealed to them is not lost by a slip.
        """
        for vault in await self._vaults_of(tx, account_id):
            await self._drop_member(tx, vault["id"], account_id)
            await tx.execute("UPDATE vaults SET new_key_due_at = ? WHERE id = ?", (stamp(), vault["id"]))
            detail = {"account": vault["sign_in_name"]}
            await self._audit.record(tx, _ITSELF, "dropped a member", _subject(vault["name"]), detail)

    async def forget_member(self, tx: Transaction, account_id: str) -> None:
        """Void what was sealed to an account's old key pair: it got a new one. It has to be admitted again."""
        for vault in await self._vaults_of(tx, account_id):
            await self._drop_grants(tx, vault["id"], account_id)
            detail = {"account": vault["sign_in_name"]}
            await self._audit.record(tx, _ITSELF, "has to be admitted again", _subject(vault["name"]), detail)

    # Steps of a change

    async def _check_can_open(self, tx: Transaction, keys: Keys, name: str) -> str:
        """The id of a vault whose newest key ``keys`` hold."""
        newest = await tx.fetch_one(_NEWEST, (name,))
        if newest is None or newest["epoch"] not in keys.of_vault(newest["id"]):
            raise Refused(f"You cannot open “{name}” yourself.", "Ask somebody who can.")
        return str(newest["id"])

    async def _vaults_of(self, tx: Transaction, account_id: str) -> list[Row]:
        return await tx.fetch(
            "SELECT vault.id, vault.name, account.sign_in_name FROM vaults vault"
            " JOIN vault_members member ON member.vault_id = vault.id AND member.account_id = ?"
            " JOIN staff_accounts account ON account.id = member.account_id",
            (account_id,),
        )

    async def _add_member(self, tx: Transaction, vault_id: str, account_id: str, by: str) -> None:
        await tx.execute(
            "INSERT INTO vault_members (vault_id, account_id, admitted_at, admitted_by) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO UPDATE SET admitted_at = excluded.admitted_at, admitted_by = excluded.admitted_by",
            (vault_id, account_id, stamp(), by),
        )

    async def _drop_member(self, tx: Transaction, vault_id: str, account_id: str) -> None:
        """Delete a member and its grants, but for those that nobody else holds."""
        alone = await tx.fetch(
            "SELECT epoch FROM vault_sole_grants WHERE vault_id = ? AND account_id = ?", (vault_id, account_id)
        )
        await self._drop_grants(tx, vault_id, account_id, keep=[row["epoch"] for row in alone])
        if not alone:
            await tx.execute("DELETE FROM vault_members WHERE vault_id = ? AND account_id = ?", (vault_id, account_id))

    async def _drop_grants(self, tx: Transaction, vault_id: str, account_id: str, keep: Iterable[int] = ()) -> None:
        held = await tx.fetch(
            "SELECT epoch FROM vault_grants WHERE vault_id = ? AND account_id = ?", (vault_id, account_id)
        )
        await tx.executemany(
            "DELETE FROM vault_grants WHERE vault_id = ? AND account_id = ? AND epoch = ?",
            [(vault_id, account_id, row["epoch"]) for row in held if row["epoch"] not in keep],
        )
        tx.after_commit.append(lambda: self._take_away(vault_id, account_id))
        await self._take_after_commit(tx)

    async def _make_epoch(self, tx: Transaction, vault_id: str, holders: Mapping[str, bytes] | None = None) -> None:
        """A new key pair, sealed to ``holders`` (account ids and public keys; default: those who can open now)."""
        if holders is None:
            holders = {row["id"]: row["public_key"] for row in await tx.fetch(_OPENERS, (vault_id,))}
        newest = await tx.fetch_one("SELECT max(epoch) AS epoch FROM vault_epochs WHERE vault_id = ?", (vault_id,))
        epoch = (newest["epoch"] if newest is not None and newest["epoch"] else 0) + 1
        private_key, public_key = new_pair()
        await tx.execute(
            "INSERT INTO vault_epochs (vault_id, epoch, public_key, made_at) VALUES (?, ?, ?, ?)",
            (vault_id, epoch, public_key, stamp()),
        )
        await self._grant(tx, vault_id, epoch, holders, private_key)
        await tx.execute("UPDATE vaults SET new_key_due_at = NULL WHERE id = ?", (vault_id,))

    async def _grant(
        self, tx: Transaction, vault_id: str, epoch: int, holders: Mapping[str, bytes], private_key: bytearray
    ) -> None:
        """Seal a private key to ``holders``, give it to their open sessions, and wipe it."""
        for account_id, public_key in holders.items():
            sealed_key = seal_key(private_key, public_key, _grant_context(vault_id, epoch, account_id))
            await tx.execute(
                "INSERT INTO vault_grants (vault_id, epoch, account_id, sealed_key) VALUES (?, ?, ?, ?)",
                (vault_id, epoch, account_id, sealed_key),
            )
        tx.after_commit.append(lambda: self._hand_out(vault_id, epoch, frozenset(holders), private_key))
        await self._take_after_commit(tx)

    async def _take_after_commit(self, tx: Transaction) -> None:
        rows = await tx.fetch(_OPENABLE)
        tx.after_commit.append(lambda: self._take(rows))

    def _take(self, rows: Iterable[Row]) -> None:
        self._openable = frozenset(row["name"] for row in rows)

    # Sessions that are open meanwhile

    def _hand_out(self, vault_id: str, epoch: int, accounts: frozenset[str], private_key: bytearray) -> None:
        for keys in list(self._filled):
            if keys.account in accounts and not keys.is_wiped:
                keys.put(vault_id, epoch, private_key)
        wipe(private_key)

    def _take_away(self, vault_id: str, account_id: str) -> None:
        for keys in list(self._filled):
            if keys.account == account_id:
                keys.drop(vault_id)


def _subject(name: str) -> str:
    return f"vault {name}"


def _grant_context(vault_id: str, epoch: int, account_id: str) -> bytes:
    return f"vault {vault_id} epoch {epoch} account {account_id}".encode()


def _open_grant(grant: Row, keys: Keys) -> bytearray | None:
    """The private key in a grant; ``None`` if it is damaged or is not the other half of what things are sealed to."""
    context = _grant_context(grant["vault_id"], grant["epoch"], keys.account)
    try:
        private_key = open_key(grant["sealed_key"], keys.private, context)
    except SealError:
        return None
    return private_key if public_of(private_key) == grant["public_key"] else None


async def _account(tx: Transaction, account_id: str) -> Row:
    account = await tx.fetch_one("SELECT * FROM staff_accounts WHERE id = ?", (account_id,))
    if account is None:
        raise Refused("There is no such account.", "Load the page again.")
    return account


def _check_ready(account: Row) -> None:
    """Only somebody who has a key pair, and may sign in, can be admitted."""
    if account["state"] == "disabled":
        raise Refused(f"The account of {account['name']} is disabled.", "Enable it first, if that is right.")
    if account["state"] != "active" or account["public_key"] is None:
        raise Refused(f"{account['name']} has not made the account ready yet.", "Admit them once they have signed in.")
