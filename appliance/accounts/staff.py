"""Accounts of the staff pages: who may sign in, as what, and about whom.

The rules about granting stand here, in one place (``Roll``): whoever runs the box makes accounts that see no content; a
role that sees content is given by a signed-in safeguarding lead. Secrets of an account are in ``joining`` and
``signing_in``; this module never reads them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from appliance.access import CONTENT_ROLES, JOINING, LOCKED, PERMISSIONS, Actor, Role, listed, require
from appliance.accounts.sessions import Session, Sessions, sha256
from appliance.audit import Audit
from appliance.clock import new_id, now, parse, stamp
from appliance.codes import new_code, plain_code
from appliance.db import Database, Row, Transaction
from appliance.errors import Refused
from appliance.hookspecs import Permission
from appliance.notices import Notices
from appliance.people.listing import listed_groups
from appliance.vaults import VULNERABLE_LIST, Vaults

LinkPurpose = Literal["set-up", "join", "password", "factor"]
ScopeKind = Literal["everyone", "person", "group"]

LINK_LIFE = {
    "set-up": timedelta(hours=1),
    "join": timedelta(days=7),
    "password": timedelta(hours=24),
    "factor": timedelta(hours=24),
}
LONGEST_NAME = 100
EVERYONE_BY_DEFAULT = frozenset({Role.LEAD, Role.DEPUTY, Role.HEAD})
REVIEW_EVERY = timedelta(days=120)
"""A term and a few days."""
WRONG_CODES_MOST = 10
"""Wrong second factors with links for a new password, until a right one or a new factor: who makes such links can else
guess the codes, with one link after the other.
"""
TOO_MANY_WRONG_CODES = "Two people can make a new second factor instead: the page of the account says how."
SET_UP = "the set-up"
"""Who has made the accounts that came by a set-up link."""
_NOBODYS_NAMES = frozenset({SET_UP, "the appliance", "somebody", "whoever opened the set-up link"})
"""Names under which things stand in the record that no account has done."""
_FOLDED_MOST = 200
_MAY_END_THE_LAST_LEAD = frozenset({Role.HEAD, Role.DEPUTY})
_SIGN_IN_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{1,63}")


@dataclass(frozen=True, slots=True)
class Account:
    """One account, without its secrets."""

    id: str
    sign_in_name: str
    name: str
    role: Role | None
    person: str | None
    state: Literal["invited", "active", "disabled"]
    made_at: str
    made_by: str
    joined_at: str | None
    disabled_at: str | None
    last_sign_in: str | None
    has_key: bool

    @property
    def active(self) -> bool:
        """Whether this account can sign in."""
        return self.state == "active"


@dataclass(frozen=True, slots=True)
class Scope:
    """About whom an account may know: everybody, one person, or a group of the directory, by id."""

    kind: ScopeKind
    target: str = ""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What is handed over once: the code of a one-time link, and until when it works (UTC)."""

    account: Account
    code: str
    purpose: LinkPurpose
    expires_at: str


@dataclass(frozen=True, slots=True)
class Roll:
    """All accounts at one moment, and the rules about who may change which. A unit of work makes its own, because
    somebody else may have changed an account just before.
    """

    accounts: Mapping[str, Account]

    def get(self, account: str) -> Account:
        """One account; raises ``Refused`` if there is none of this id."""
        try:
            return self.accounts[account]
        except KeyError:
            raise Refused("There is no such account.", "Go back to the list of accounts.") from None

    def with_role(self, *roles: Role, active: bool = False) -> list[Account]:
        """Accounts of these roles that are invited or active, or only the active ones."""
        states = {"active"} if active else {"active", "invited"}
        return [one for one in self.accounts.values() if one.role in roles and one.state in states]

    def may_grant(self, actor: Actor, role: Role | None) -> bool:
        """Whether ``actor`` may give somebody this role.

        Roles that see content are given by a lead. The first lead is invited by whoever sets the box up. When no lead
        is left, a deputy or the head invites a new one; only if there is neither, IT does.
        """
        if not actor.may(Permission.MANAGE_STAFF):
            return False
        if role not in CONTENT_ROLES or actor.may(Permission.GRANT_CONTENT):
            return True
        if role is not Role.LEAD or self.with_role(Role.LEAD, active=True):
            return False
        return actor.role in (Role.DEPUTY, Role.HEAD) or not self.with_role(Role.DEPUTY, Role.HEAD, active=True)

    def check_grant(self, actor: Actor, role: Role | None) -> None:
        """Raise ``Refused`` unless ``actor`` may give this role."""
        self.check_actor(actor)
        if not self.may_grant(actor, role):
            raise Refused(
                f"Only a safeguarding lead who is signed in can make somebody “{role.label if role else 'no role'}”.",
                "Make the account without a role and ask the lead to give it one.",
            )

    def check_actor(self, actor: Actor) -> None:
        """Raise ``Refused`` if the account of ``actor`` is not any more what it was when the page was asked for."""
        own = self.accounts.get(actor.account)
        if own is None or not own.active or own.role is not actor.role:
            raise Refused("Your own account was changed a moment ago.", "Load the page again.")

    def changeable(self, actor: Actor, account_id: str) -> Account:
        """An account that ``actor`` may do something to; nobody changes their own."""
        account = self.get(account_id)
        self.check_actor(actor)
        if account.id == actor.account:
            raise Refused("Nobody changes their own role or rights.", "Ask a colleague to do it.")
        if not actor.may(Permission.MANAGE_STAFF):
            raise Refused("Your sign-in does not allow this.")
        return account

    def check_content(self, actor: Actor, account: Account) -> None:
        """Raise ``Refused`` if this account sees content and ``actor`` is no lead."""
        if account.role in CONTENT_ROLES and not actor.may(Permission.GRANT_CONTENT):
            raise Refused("Only a safeguarding lead changes an account that sees records about people.")

    def is_last_lead(self, account: Account) -> bool:
        """Whether nobody but this account is a lead who can sign in."""
        return [one.id for one in self.with_role(Role.LEAD, active=True)] == [account.id]

    def keep_a_lead(self, account: Account) -> None:
        """Raise ``Refused`` if this is the last lead."""
        if self.is_last_lead(account):
            raise Refused(
                f"{account.name} is the only safeguarding lead who can sign in.",
                "Make somebody else a lead first, or ask the head or a deputy lead to do this.",
            )


class Staff:
    """All accounts, kept in memory because every request asks; ``start`` reads them."""

    def __init__(self, records: Database, audit: Audit, sessions: Sessions, vaults: Vaults, notices: Notices) -> None:
        self._records = records
        self._audit = audit
        self.sessions = sessions
        self._vaults = vaults
        self._notices = notices
        self._roll = Roll({})

    async def start(self) -> None:
        """Read the accounts."""
        self._take(await self._records.fetch("SELECT * FROM staff_accounts"))

    def _take(self, rows: Sequence[Row]) -> None:
        self._roll = _roll(rows)

    async def _roll_in(self, tx: Transaction) -> Roll:
        return _roll(await tx.fetch("SELECT * FROM staff_accounts"))

    async def take_after_commit(self, tx: Transaction) -> None:
        """Let the accounts in memory follow what this unit of work has done to them so far."""
        rows = await tx.fetch("SELECT * FROM staff_accounts")
        tx.after_commit.append(lambda: self._take(rows))

    # Asking

    def all(self) -> list[Account]:
        """Every account, by name; those that were disabled last."""
        accounts = self._roll.accounts.values()
        return sorted(accounts, key=lambda one: (one.state == "disabled", one.name.casefold(), one.id))

    def get(self, account: str) -> Account:
        """One account; raises ``Refused`` if there is none of this id."""
        return self._roll.get(account)

    def named(self, sign_in_name: str) -> Account | None:
        """The account of a sign-in name, however it is written."""
        wanted = fold_sign_in_name(sign_in_name)
        return next((one for one in self._roll.accounts.values() if one.sign_in_name == wanted), None)

    def with_role(self, role: Role, *, active: bool = False) -> list[Account]:
        """Accounts of a role that are invited or active, or only the active ones."""
        return sorted(self._roll.with_role(role, active=active), key=lambda one: (one.name.casefold(), one.id))

    @property
    def is_set_up(self) -> bool:
        """Whether the first half of the set-up is done: somebody can sign in."""
        return any(one.active for one in self._roll.accounts.values())

    @property
    def has_lead(self) -> bool:
        """Whether the second half is done: a safeguarding lead can sign in."""
        return bool(self.with_role(Role.LEAD, active=True))

    async def actor(self, session: Session) -> Actor:
        """Who a session belongs to, and what is allowed in it at this moment."""
        if session.account is None:
            return Actor("whoever opened the set-up link", JOINING)
        account = self.get(session.account)
        if session.purpose != "work":
            allowed = JOINING
        elif not account.active:
            allowed = frozenset()
        elif self.sessions.is_locked(session):
            allowed = LOCKED
        else:
            allowed = await self._permissions(account)
        return Actor(account.name, allowed, account.id, account.role, account.person)

    async def _permissions(self, account: Account) -> frozenset[Permission]:
        allowed = PERMISSIONS[account.role]
        if account.role in CONTENT_ROLES and await self._vaults.is_member(account.id, VULNERABLE_LIST):
            allowed |= {Permission.KEEP_VULNERABLE}
        return allowed

    async def scopes(self, account: str) -> list[Scope]:
        """About whom an account may know."""
        rows = await self._records.fetch(
            "SELECT kind, target FROM staff_scopes WHERE account_id = ? ORDER BY kind, target", (account,)
        )
        return [Scope(row["kind"], row["target"]) for row in rows]

    async def scope_words(self, actor: Actor, account: str) -> str:
        """About whom an account may know, in words that name only people and groups whom ``actor`` may find."""
        groups, people = listed_groups(actor, "groups"), listed(actor, "people.id")
        rows = await self._records.fetch(
            "SELECT scope.kind, groups.name AS group_name, people.name AS person_name"  # noqa: S608 - our own conditions
            " FROM staff_scopes scope"
            f" LEFT JOIN groups ON scope.kind = 'group' AND groups.id = scope.target AND {groups.sql}"
            f" LEFT JOIN people ON scope.kind = 'person' AND people.id = scope.target AND {people.sql}"
            " WHERE scope.account_id = ? ORDER BY scope.kind, groups.name, people.name",
            (*groups.parameters, *people.parameters, account),
        )
        if any(row["kind"] == "everyone" for row in rows):
            return "Every pupil"
        names = [row["group_name"] or row["person_name"] or "somebody else" for row in rows]
        return ", ".join(dict.fromkeys(names)) or "Nobody"

    async def possible_people(self, actor: Actor) -> list[Row]:
        """Staff and governors of the directory to whom an account may belong: id, name."""
        people = listed(actor, "person.id")
        return await self._records.fetch(
            "SELECT person.id, person.name FROM people person"  # noqa: S608 - our own condition
            f" WHERE person.kind IN ('staff', 'governor') AND person.left_at IS NULL AND {people.sql}"
            " ORDER BY person.sort_name, person.id",
            people.parameters,
        )

    async def person_name(self, account: str) -> str:
        """Who an account belongs to in the directory, empty if nobody said so. A colleague's name, no record."""
        row = await self._records.fetch_one(
            "SELECT person.name FROM staff_accounts account JOIN people person ON person.id = account.person_id"
            " WHERE account.id = ?",
            (account,),
        )
        return row["name"] if row is not None else ""

    # Granting

    def may_grant(self, actor: Actor, role: Role | None) -> bool:
        """Whether ``actor`` may give somebody this role at this moment."""
        return self._roll.may_grant(actor, role)

    async def invite(
        self, actor: Actor, name: str, sign_in_name: str, role: Role | None, scopes: Iterable[Scope] = ()
    ) -> Invitation:
        """Make an account and the link that its owner makes it ready with."""
        wanted = list(scopes)
        if wanted:
            require_granter(actor)
        async with self._records.transaction() as tx:
            (await self._roll_in(tx)).check_grant(actor, role)
            account = await self.add(tx, actor.name, name, sign_in_name, role)
            if role in EVERYONE_BY_DEFAULT and not wanted:
                wanted = [Scope("everyone")]
            await self._write_scopes(tx, account.id, wanted)
            return await self._link(tx, actor.name, account, "join")

    async def add(
        self, tx: Transaction, author: str, name: str, sign_in_name: str, role: Role | None, account_id: str = ""
    ) -> Account:
        """Write a new account that nobody can sign in to yet."""
        folded = checked_sign_in_name(sign_in_name)
        shown = checked_name(name)
        others = (await self._roll_in(tx)).accounts.values()
        if any(one.sign_in_name == folded for one in others):
            raise Refused(f"Somebody has the sign-in name {folded} already.", "Choose another one.")
        if _fold(shown) in {*_NOBODYS_NAMES, *(_fold(one.name) for one in others)}:
            raise Refused(
                "A name has to be one that no other account has or had: the record of who did what goes by names.",
                "Add something that tells the two apart, such as a middle name or a subject.",
            )
        new = account_id or new_id()
        account = Account(new, folded, shown, role, None, "invited", stamp(), author, None, None, None, False)
        await tx.execute(
            "INSERT INTO staff_accounts (id, sign_in_name, name, role, state, made_at, made_by)"
            " VALUES (?, ?, ?, ?, 'invited', ?, ?)",
            (account.id, folded, shown, role, account.made_at, author),
        )
        await self._audit.record(
            tx, author, "made account", f"account {folded}", {"name": shown, "role": role.label if role else None}
        )
        await self.take_after_commit(tx)
        return account

    async def set_role(self, actor: Actor, account_id: str, role: Role | None) -> None:
        """Give another role. Ends the account's sessions.

        An invitation that is still out is void when its account gets a role that sees records: whoever made it could
        have kept a copy, and would join in that person's place.
        """
        async with self._records.transaction() as tx:
            roll = await self._roll_in(tx)
            account = roll.changeable(actor, account_id)
            roll.check_grant(actor, role)
            roll.check_content(actor, account)
            if account.role is role:
                return
            await tx.execute("UPDATE staff_accounts SET role = ? WHERE id = ?", (role, account.id))
            if role in EVERYONE_BY_DEFAULT and account.role not in EVERYONE_BY_DEFAULT:
                await self._write_scopes(tx, account.id, [Scope("everyone")])
            elif role not in EVERYONE_BY_DEFAULT and account.role in EVERYONE_BY_DEFAULT:
                await self._write_scopes(tx, account.id, [])
            if role not in CONTENT_ROLES:
                await self._vaults.drop_leaver(tx, account.id)
            elif account.role not in CONTENT_ROLES:
                await tx.execute("DELETE FROM staff_links WHERE account_id = ? AND purpose = 'join'", (account.id,))
            before, after = (one.label if one else "no role" for one in (account.role, role))
            await self._audit.record(
                tx, actor.name, "changed role", f"account {account.sign_in_name}", {"from": before, "to": after}
            )
            await self._after_change(tx, account)

    async def set_scopes(self, actor: Actor, account_id: str, scopes: Sequence[Scope]) -> None:
        """Say about whom an account may know. Ends its sessions."""
        require_granter(actor)
        async with self._records.transaction() as tx:
            account = (await self._roll_in(tx)).changeable(actor, account_id)
            await self._write_scopes(tx, account.id, scopes)
            detail = {"about": [f"{scope.kind} {scope.target}".strip() for scope in scopes]}
            await self._audit.record(tx, actor.name, "changed about whom", f"account {account.sign_in_name}", detail)
            await self._after_change(tx, account)

    async def _write_scopes(self, tx: Transaction, account: str, scopes: Sequence[Scope]) -> None:
        await tx.execute("DELETE FROM staff_scopes WHERE account_id = ?", (account,))
        for scope in scopes:
            table = {"person": "people", "group": "groups"}.get(scope.kind)
            if table and not await tx.fetch_one(f"SELECT 1 FROM {table} WHERE id = ?", (scope.target,)):  # noqa: S608
                raise Refused("One of the people or groups is not in the directory.", "Load the page again.")
        rows = {(account, scope.kind, scope.target) for scope in scopes}
        await tx.executemany("INSERT INTO staff_scopes (account_id, kind, target) VALUES (?, ?, ?)", sorted(rows))

    async def set_person(self, actor: Actor, account_id: str, person: str | None) -> None:
        """Say who in the directory this is, so that nobody sees records about themselves. Ends the sessions."""
        async with self._records.transaction() as tx:
            roll = await self._roll_in(tx)
            account = roll.changeable(actor, account_id)
            roll.check_content(actor, account)
            if person is not None:
                row = await tx.fetch_one("SELECT kind FROM people WHERE id = ?", (person,))
                if row is None or row["kind"] not in ("staff", "governor"):
                    raise Refused("An account belongs to a member of staff or a governor of the directory.")
                if await tx.fetch_one(
                    "SELECT 1 FROM staff_accounts WHERE person_id = ? AND id <> ?", (person, account.id)
                ):
                    raise Refused("Another account belongs to this person already.")
            await tx.execute("UPDATE staff_accounts SET person_id = ? WHERE id = ?", (person, account.id))
            subject = f"account {account.sign_in_name}"
            await self._audit.record(tx, actor.name, "said who this is", subject, {"person": person})
            await self._after_change(tx, account)

    # Leaving and coming back

    async def disable(self, actor: Actor, account_id: str, reason: str) -> None:
        """End an account at once: sessions, links, and what it could open."""
        if not reason.strip():
            raise Refused("Say why, so that the next person understands.")
        async with self._records.transaction() as tx:
            roll = await self._roll_in(tx)
            account = roll.changeable(actor, account_id)
            if account.state == "disabled":
                return
            if actor.role not in _MAY_END_THE_LAST_LEAD:
                roll.keep_a_lead(account)
            await self._disable(tx, actor, account, reason.strip())

    async def disable_people(self, actor: Actor, people: Sequence[str]) -> list[Account]:
        """End the accounts of people who have left the school; returns which. A leaver has no second chance.

        The last lead stays, unless the head or a deputy does this: whoever keeps the directory could otherwise end a
        lead by a list, and invite another.
        """
        ended = []
        async with self._records.transaction() as tx:
            for account_id in sorted(self._roll.accounts):
                roll = await self._roll_in(tx)
                account = roll.accounts.get(account_id)
                if account is None or account.person not in set(people) or account.state == "disabled":
                    continue
                if roll.is_last_lead(account) and actor.role not in _MAY_END_THE_LAST_LEAD:
                    await self._tell_of_last_lead(tx, account)
                else:
                    await self._disable(tx, actor, account, "left the school")
                    ended.append(account)
        return ended

    async def end_leavers(self) -> None:
        """End accounts whose owner was marked as left when the appliance ended before it came to them (a job)."""
        rows = await self._records.fetch(
            "SELECT account.id, person.id AS person_id FROM staff_accounts account"
            " JOIN people person ON person.id = account.person_id"
            " WHERE account.state <> 'disabled' AND person.left_at IS NOT NULL"
        )
        waiting = [row["person_id"] for row in rows if not self._roll.is_last_lead(self.get(row["id"]))]
        if waiting:
            await self.disable_people(Actor("the appliance", frozenset()), waiting)

    async def _tell_of_last_lead(self, tx: Transaction, account: Account) -> None:
        await self._notices.tell(
            tx,
            roles=[Role.HEAD, Role.DEPUTY, Role.LEAD, Role.IT],
            words=f"{account.name} has left the school by the list, but is the only safeguarding lead who can sign in."
            " Make somebody else a lead, then end this account.",
            link=f"/staff/{account.id}",
            kind="last lead",
        )

    async def _disable(self, tx: Transaction, actor: Actor, account: Account, reason: str) -> None:
        await tx.execute(
            "UPDATE staff_accounts SET state = 'disabled', disabled_at = ? WHERE id = ?", (stamp(), account.id)
        )
        await tx.execute("DELETE FROM staff_links WHERE account_id = ?", (account.id,))
        await tx.execute(
            "UPDATE staff_factor_resets SET ended_at = ? WHERE account_id = ? AND ended_at IS NULL",
            (stamp(), account.id),
        )
        await self._vaults.drop_leaver(tx, account.id)
        subject = f"account {account.sign_in_name}"
        await self._audit.record(tx, actor.name, "disabled account", subject, {"reason": reason})
        if account.role is Role.LEAD:
            await self._notices.tell(
                tx,
                roles=[Role.LEAD, Role.DEPUTY, Role.HEAD, Role.IT],
                without=[actor.account],
                words=f"{actor.name} has ended the account of {account.name}, a safeguarding lead.",
                link="/staff",
                kind="lead ended",
            )
        await self._after_change(tx, account)

    async def enable(self, actor: Actor, account_id: str) -> Invitation:
        """Let somebody back in, with a new invitation: what an earlier password and second factor were is over.

        The printed recovery key is not: what this account alone could open would else be lost by a slip.
        """
        async with self._records.transaction() as tx:
            roll = await self._roll_in(tx)
            account = roll.changeable(actor, account_id)
            roll.check_grant(actor, account.role)
            if account.state != "disabled":
                raise Refused("This account is not disabled.")
            await tx.execute(
                "UPDATE staff_accounts SET state = 'invited', disabled_at = NULL, salt = NULL, verifier = NULL,"
                " key_by_password = NULL, totp = NULL, recovery_codes = NULL WHERE id = ?",
                (account.id,),
            )
            await tx.execute("DELETE FROM staff_browsers WHERE account_id = ?", (account.id,))
            await self._audit.record(tx, actor.name, "let back in", f"account {account.sign_in_name}")
            await self._after_change(tx, account)
            return await self._link(tx, actor.name, account, "join")

    async def _after_change(self, tx: Transaction, account: Account) -> None:
        await self.sessions.end_all(tx, account.id)
        await self.take_after_commit(tx)

    # Joining

    async def before_joining(self, tx: Transaction, account: Account) -> None:
        """What is over once this account is ready: the set-up, and with the first lead every other lead's invitation.

        Whoever invited the first lead could else keep an invitation of the same kind back and use it later.
        """
        if account.made_by == SET_UP:
            await tx.execute("DELETE FROM staff_links WHERE purpose = 'set-up'")
            await self.sessions.end_set_ups(tx)
        roll = await self._roll_in(tx)
        if account.role is Role.LEAD and not roll.with_role(Role.LEAD, active=True):
            for other in roll.with_role(Role.LEAD):
                if other.id != account.id:
                    await tx.execute("DELETE FROM staff_links WHERE account_id = ?", (other.id,))
                    await self.sessions.end_all(tx, other.id)

    async def remove_half_made(self, tx: Transaction) -> None:
        """Remove what a set-up that was begun and left has made: nobody can go on with it, its keys were in memory."""
        for row in await tx.fetch("SELECT id FROM staff_accounts WHERE made_by = ? AND state = 'invited'", (SET_UP,)):
            await self.sessions.end_all(tx, row["id"])
            await tx.execute("DELETE FROM staff_accounts WHERE id = ?", (row["id"],))

    # Links

    async def new_setup_link(self, *, again: bool = False) -> str:
        """The code of a new set-up link; one that was not used is void. Refused once the box is set up, unless
        whoever has the machine itself asks for another IT account (``again``): everybody is told of that.
        """
        if self.is_set_up and not again:
            raise Refused(
                "This box is set up, so there is no set-up link any more.",
                "Sign in on the staff pages. If nobody from IT can: setup-link --again (every account is told).",
            )
        code = new_code()
        async with self._records.transaction() as tx:
            await tx.execute("DELETE FROM staff_links WHERE purpose = 'set-up'")
            await self.sessions.end_set_ups(tx)
            await self._write_link(tx, "the appliance", code, "set-up", None)
            await self._audit.record(tx, "the appliance", "made a set-up link", "staff pages")
            if self.is_set_up:
                await self._notices.tell(
                    tx,
                    accounts=[one.id for one in self.all() if one.active],
                    words="Somebody at the machine itself made a link for a new IT account."
                    " If nobody planned that, speak to IT today.",
                    link="/staff",
                    kind="set-up link",
                )
        return code

    async def new_link(self, actor: Actor, account_id: str, purpose: LinkPurpose) -> Invitation:
        """Another link for somebody who has not joined yet (``join``), or who has forgotten the password."""
        async with self._records.transaction() as tx:
            roll = await self._roll_in(tx)
            account = roll.changeable(actor, account_id)
            if purpose == "join":
                roll.check_grant(actor, account.role)
            wanted = {"join": "invited", "password": "active"}.get(purpose)
            if account.state != wanted:
                raise Refused("This link does not fit the account as it is now.", "Load the page again.")
            if purpose == "password":
                await self._check_wrong_codes(tx, account)
                await self._tell_owner(tx, account, f"{actor.name} has made a link with which you get a new password.")
            return await self._link(tx, actor.name, account, purpose)

    @staticmethod
    async def _check_wrong_codes(tx: Transaction, account: Account) -> None:
        row = await tx.fetch_one("SELECT wrong_codes FROM staff_accounts WHERE id = ?", (account.id,))
        if row is not None and row["wrong_codes"] >= WRONG_CODES_MOST:
            raise Refused(
                f"Too many wrong codes were entered with links for a new password of {account.name}.",
                TOO_MANY_WRONG_CODES,
            )

    async def _tell_owner(self, tx: Transaction, account: Account, words: str) -> None:
        await self._notices.tell(
            tx,
            accounts=[account.id],
            words=f"{words} If you did not ask for that, speak to the safeguarding lead today.",
            link="/account",
            kind="own account",
        )

    async def _link(self, tx: Transaction, author: str, account: Account, purpose: LinkPurpose) -> Invitation:
        code = new_code()
        await tx.execute("DELETE FROM staff_links WHERE account_id = ? AND purpose = ?", (account.id, purpose))
        if purpose != "set-up":
            await self.sessions.end_all(tx, account.id, purpose=purpose)  # the link before may be open in a browser
        expires = await self._write_link(tx, author, code, purpose, account.id)
        await self._audit.record(
            tx, author, f"made a link ({purpose})", f"account {account.sign_in_name}", {"until": expires}
        )
        return Invitation(account, code, purpose, expires)

    async def _write_link(
        self, tx: Transaction, author: str, code: str, purpose: LinkPurpose, account: str | None
    ) -> str:
        moment = now()
        expires = stamp(moment + LINK_LIFE[purpose])
        await tx.execute(
            "INSERT INTO staff_links (token_sha256, purpose, account_id, made_at, made_by, expires_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (sha256(plain_code(code)), purpose, account, stamp(moment), author, expires),
        )
        return expires

    async def open_links(self) -> dict[str, Row]:
        """Links that were not used and still work: account id -> purpose, made_by, expires_at."""
        rows = await self._records.fetch(
            "SELECT account_id, purpose, made_by, expires_at FROM staff_links"
            " WHERE account_id IS NOT NULL AND expires_at > ?",
            (stamp(),),
        )
        return {row["account_id"]: row for row in rows}

    # A new second factor takes two people

    async def ask_factor_reset(self, actor: Actor, account_id: str, reason: str) -> None:
        """First of two people: somebody has lost the second factor and every recovery code."""
        if not reason.strip():
            raise Refused("Say how you know that it is really this person who asks.")
        async with self._records.transaction() as tx:
            account = (await self._roll_in(tx)).changeable(actor, account_id)
            if not account.active:
                raise Refused("This account cannot sign in, so there is nothing to reset.")
            if await tx.fetch_one(
                "SELECT 1 FROM staff_factor_resets WHERE account_id = ? AND ended_at IS NULL", (account.id,)
            ):
                raise Refused("This was asked for already.", "Another person has to agree now.")
            await tx.execute(
                "INSERT INTO staff_factor_resets (id, account_id, asked_by, asked_at, reason) VALUES (?, ?, ?, ?, ?)",
                (new_id(), account.id, actor.account, stamp(), reason.strip()),
            )
            subject = f"account {account.sign_in_name}"
            await self._audit.record(tx, actor.name, "asked for a new second factor", subject, {"reason": reason})
            others = [
                one.id
                for one in self.all()
                if one.active
                and Permission.MANAGE_STAFF in PERMISSIONS[one.role]
                and one.id not in (actor.account, account.id)
            ]
            await self._notices.tell(
                tx,
                accounts=[*others, account.id],
                words=f"{actor.name} asks for a new second factor for {account.name}. A second person has to agree."
                " If this is wrong, say no.",
                link="/staff",
                kind="second factor",
            )

    async def agree_factor_reset(self, actor: Actor, reset_id: str) -> Invitation:
        """Second of two people, one of whom is a lead, deputy or head: the link with which a new one is made."""
        async with self._records.transaction() as tx:
            roll = await self._roll_in(tx)
            reset = await self._waiting_reset(tx, reset_id)
            account = roll.changeable(actor, reset["account_id"])
            if reset["asked_by"] == actor.account:
                raise Refused("You asked for this yourself.", "Another person has to agree.")
            asker = roll.get(reset["asked_by"])
            if not asker.active or Permission.MANAGE_STAFF not in PERMISSIONS[asker.role]:
                raise Refused(f"{asker.name}, who asked for this, may not do that any more.", "Say no, and ask anew.")
            if not {asker.role, actor.role} & {Role.LEAD, Role.DEPUTY, Role.HEAD}:
                raise Refused("One of the two people must be a safeguarding lead, a deputy or the head.")
            await tx.execute(
                "UPDATE staff_factor_resets SET agreed_by = ?, agreed_at = ?, ended_at = ? WHERE id = ?",
                (actor.account, stamp(), stamp(), reset_id),
            )
            subject = f"account {account.sign_in_name}"
            await self._audit.record(tx, actor.name, "agreed to a new second factor", subject, {"with": asker.name})
            await self._tell_owner(tx, account, f"{asker.name} and {actor.name} have agreed to your new second factor.")
            return await self._link(tx, actor.name, account, "factor")

    async def refuse_factor_reset(self, actor: Actor, reset_id: str) -> None:
        """Say no; also open to the one whose account it is."""
        async with self._records.transaction() as tx:
            roll = await self._roll_in(tx)
            reset = await self._waiting_reset(tx, reset_id)
            account = roll.get(reset["account_id"])
            if account.id != actor.account:
                roll.changeable(actor, account.id)
            await tx.execute("UPDATE staff_factor_resets SET ended_at = ? WHERE id = ?", (stamp(), reset_id))
            subject = f"account {account.sign_in_name}"
            await self._audit.record(tx, actor.name, "said no to a new second factor", subject)

    async def factor_resets(self) -> list[Row]:
        """Resets that wait for a second person: id, account_id, asked_by, asked_at, reason."""
        return await self._records.fetch("SELECT * FROM staff_factor_resets WHERE ended_at IS NULL ORDER BY asked_at")

    @staticmethod
    async def _waiting_reset(tx: Transaction, reset_id: str) -> Row:
        row = await tx.fetch_one("SELECT * FROM staff_factor_resets WHERE id = ? AND ended_at IS NULL", (reset_id,))
        if row is None:
            raise Refused("This was decided already.", "Load the page again.")
        return row

    # Review of accounts

    async def sign_review(self, actor: Actor, note: str) -> None:
        """Put one's name to it that every account is right. Once a term."""
        require(actor, Permission.MANAGE_STAFF)
        counted = sum(one.state != "disabled" for one in self.all())
        async with self._records.transaction() as tx:
            await tx.execute(
                "INSERT INTO staff_reviews (id, at, account_id, accounts, note) VALUES (?, ?, ?, ?, ?)",
                (new_id(), stamp(), actor.account, counted, note.strip()),
            )
            detail = {"accounts": counted, "note": note.strip()}
            await self._audit.record(tx, actor.name, "signed the review of accounts", "staff accounts", detail)

    async def reviews(self) -> list[Row]:
        """Signed reviews, newest first: at, account_id, accounts, note."""
        return await self._records.fetch("SELECT * FROM staff_reviews ORDER BY at DESC LIMIT 20")

    async def review_due(self) -> str:
        """When the next review is due (UTC): a term after the last one, or after the lead joined."""
        reviews = await self.reviews()
        joined = [one.joined_at for one in self.with_role(Role.LEAD, active=True) if one.joined_at]
        since = reviews[0]["at"] if reviews else min(joined, default=stamp())
        return stamp(parse(since) + REVIEW_EVERY)


def require_granter(actor: Actor) -> None:
    """Raise ``Refused`` unless ``actor`` is a lead: nobody else says about whom an account may know."""
    if not actor.may(Permission.GRANT_CONTENT):
        raise Refused("Only a safeguarding lead says about whom somebody may know.")


def fold_sign_in_name(text: str) -> str:
    """How sign-in names are compared: case, width and spaces around do not matter. Empty if it is far too long."""
    return _fold(text) if len(text) <= _FOLDED_MOST else ""


def _fold(text: str) -> str:
    return unicodedata.normalize("NFKC", text).strip().casefold()


def checked_sign_in_name(text: str) -> str:
    """The sign-in name as it is kept; raises ``Refused`` in words."""
    name = fold_sign_in_name(text)
    if not _SIGN_IN_NAME.fullmatch(name):
        raise Refused("A sign-in name has 2 to 64 letters without accents, digits, and . _ - + @ between them.")
    return name


def checked_name(text: str) -> str:
    """A person's name as it is kept; raises ``Refused`` in words."""
    name = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    if not name:
        raise Refused("Enter a name.")
    if len(name) > LONGEST_NAME:
        raise Refused(f"A name has at most {LONGEST_NAME} letters.")
    return name


def _roll(rows: Iterable[Row]) -> Roll:
    return Roll({row["id"]: _account(row) for row in rows})


def _account(row: Row) -> Account:
    return Account(
        id=row["id"],
        sign_in_name=row["sign_in_name"],
        name=row["name"],
        role=Role(row["role"]) if row["role"] else None,
        person=row["person_id"],
        state=row["state"],
        made_at=row["made_at"],
        made_by=row["made_by"],
        joined_at=row["joined_at"],
        disabled_at=row["disabled_at"],
        last_sign_in=row["last_sign_in"],
        has_key=row["public_key"] is not None,
    )
