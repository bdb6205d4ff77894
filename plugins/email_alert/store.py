"""All SQL of the plugin: addresses, and the outbox. Who may touch which address is decided here.

Own addresses belong to their account. Shared mailboxes belong to the safeguarding leads together (``GRANT_CONTENT``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from appliance.api import Actor, Appliance, Permission, Refused, Row, Transaction, new_id, now, parse, stamp

from .addresses import (
    CODE_LIFE,
    TRIES_MOST,
    checked_address,
    code_hash,
    is_code,
    same_address,
    without_addresses,
)
from .words import LATER, Letter

ADDRESSES = "email_alert_addresses"
OUTBOX = "email_alert_outbox"
ADDRESSES_OF_ONE = 5
SHARED_MOST = 20
CODES_AN_HOUR = 10
"""Codes that one account may have mailed in an hour: nobody is to be flooded through this page."""
NOTICE_EVERY = timedelta(hours=1)
CLOCK_SLACK = timedelta(minutes=5)
PROBLEM_LONGEST = 400
Done = Literal["sent", "refused", "given up", "dropped", "not needed"]


@dataclass(frozen=True, slots=True)
class Target:
    """An address of a page: whose it is and how it has been doing."""

    id: str
    address: str
    account: str | None
    verified: bool
    code_open: bool
    last_ok_at: str | None
    problem: str
    problem_at: str | None
    permanent: bool
    dropped: int
    waiting: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """A mail that is due."""

    id: str
    address_id: str | None
    address: str
    account: str | None
    letter: Letter
    queued_at: str
    due_at: str
    tries: int


@dataclass(frozen=True, slots=True)
class Queue:
    """How many mails wait, since when the oldest of those that may go, and how many were given up of late."""

    waiting: int
    oldest_due: str | None
    given_up: int
    sent: int


class Store:
    """Addresses and mails."""

    def __init__(self, appliance: Appliance, waiting_most: int) -> None:
        self._appliance = appliance
        self._records = appliance.records
        self._audit = appliance.audit
        self._waiting_most = waiting_most

    # Addresses: pages

    async def own(self, actor: Actor) -> list[Target]:
        """The addresses of whoever asks."""
        return await self._targets("a.account_id = ?", (actor.account,))

    async def shared(self, actor: Actor) -> list[Target]:
        """Shared mailboxes, for a lead; nobody else sees them."""
        return await self._targets("a.account_id IS NULL", ()) if actor.may(Permission.GRANT_CONTENT) else []

    async def of_others(self, actor: Actor) -> list[Target]:
        """The addresses of colleagues, for a lead: whom an alert does not reach has to be known."""
        if not actor.may(Permission.GRANT_CONTENT):
            return []
        return await self._targets("a.account_id IS NOT NULL AND a.account_id <> ?", (actor.account,))

    async def _targets(self, condition: str, parameters: Sequence[str]) -> list[Target]:
        rows = await self._records.fetch(
            "SELECT a.*, (SELECT count(*) FROM email_alert_outbox o"  # noqa: S608 - our own conditions
            " WHERE o.address_id = a.id AND o.state = 'waiting') AS waiting"
            f" FROM email_alert_addresses a WHERE a.removed_at IS NULL AND {condition} ORDER BY a.address, a.id",
            parameters,
        )
        return [_target(row) for row in rows]

    async def add(self, actor: Actor, typed: str, *, shared: bool, code: str) -> Row:
        """Write an address down with the hash of the code that is about to be mailed there. Returns its row."""
        address = checked_address(typed)
        async with self._records.transaction() as tx:
            account = None if shared else actor.account
            self._check_shared(actor, account)
            there = await tx.fetch(
                "SELECT address FROM email_alert_addresses WHERE removed_at IS NULL AND account_id IS ?", (account,)
            )
            if any(same_address(row["address"]) == same_address(address) for row in there):
                raise Refused("This address stands in the list already.", "Look at it there.")
            if len(there) >= (SHARED_MOST if shared else ADDRESSES_OF_ONE):
                raise Refused("There are too many addresses.", "Remove one first.")
            new = new_id()
            await tx.execute(
                "INSERT INTO email_alert_addresses (id, address, account_id, added_by, added_at)"
                " VALUES (?, ?, ?, ?, ?)",
                (new, address, account, actor.account, stamp()),
            )
            await self._open_code(tx, actor, new, code)
            await self._audit.record(
                tx, actor.name, "added a mail address", f"address {new}", {"address": address, "shared": shared}
            )
            return await self._may_touch(tx, actor, new)

    async def new_code(self, actor: Actor, address_id: str, code: str) -> Row:
        """Void the old code of an address and keep the hash of a new one."""
        async with self._records.transaction() as tx:
            row = await self._may_touch(tx, actor, address_id)
            if row["verified_at"] is not None:
                raise Refused("This address is confirmed already.")
            await self._open_code(tx, actor, row["id"], code)
            return row

    async def _open_code(self, tx: Transaction, actor: Actor, address_id: str, code: str) -> None:
        since = stamp(now() - timedelta(hours=1))
        row = await tx.fetch_one(
            "SELECT coalesce(sum(codes), 0) AS n FROM email_alert_addresses WHERE added_by = ? AND added_at > ?",
            (actor.account, since),
        )
        own = await tx.fetch_one("SELECT codes FROM email_alert_addresses WHERE id = ?", (address_id,))
        if (row and row["n"] >= CODES_AN_HOUR) or (own and own["codes"] >= CODES_AN_HOUR):
            raise Refused("Too many codes were mailed.", "Remove the address and add it again in an hour.")
        await tx.execute(
            "UPDATE email_alert_addresses SET code_sha256 = ?, code_expires_at = ?, tries = 0, codes = codes + 1"
            " WHERE id = ?",
            (code_hash(address_id, code), stamp(now() + CODE_LIFE), address_id),
        )

    async def confirm(self, actor: Actor, address_id: str, typed: str) -> Row | None:
        """Take the code of an address. ``None`` if it is wrong; raises ``Refused`` if there is none to take."""
        async with self._records.transaction() as tx:
            row = await self._may_touch(tx, actor, address_id)
            if row["verified_at"] is not None:
                raise Refused("This address is confirmed already.")
            moment = now()
            over = row["code_expires_at"] is None or parse(row["code_expires_at"]) < moment
            # An end further away than a code lives can only come from a clock that was ahead.
            over = over or parse(row["code_expires_at"]) > moment + CODE_LIFE + CLOCK_SLACK
            if row["code_sha256"] is None or over or row["tries"] >= TRIES_MOST:
                raise Refused("This code is not good any more.", "Send a new code.")
            if not is_code(row["id"], typed, row["code_sha256"]):
                await tx.execute("UPDATE email_alert_addresses SET tries = tries + 1 WHERE id = ?", (row["id"],))
                return None
            await tx.execute(
                "UPDATE email_alert_addresses SET verified_at = ?, code_sha256 = NULL, code_expires_at = NULL,"
                " last_problem = '', last_problem_at = NULL, permanent = 0 WHERE id = ?",
                (stamp(), row["id"]),
            )
            subject = f"address {row['id']}"
            await self._audit.record(tx, actor.name, "confirmed a mail address", subject, {"address": row["address"]})
            if row["account_id"] is None:
                words = f"{actor.name} has made {row['address']} a shared mailbox for alerts. Is that right?"
                await self._tell_leaders(tx, words, without=actor.account)
            return row

    async def _tell_leaders(self, tx: Transaction, words: str, without: str) -> None:
        told = [
            one.id
            for one in self._appliance.staff.all()
            if one.active and one.role is not None and one.role.value in ("lead", "deputy", "head")
        ]
        await self._appliance.notices.tell(
            tx, accounts=told, without=[without], words=words, link="/email_alert", kind="shared mailbox"
        )

    async def remove(self, actor: Actor, address_id: str) -> Row:
        """Send nothing there any more; what waits for it is dropped."""
        async with self._records.transaction() as tx:
            row = await self._may_touch(tx, actor, address_id)
            await tx.execute(
                "UPDATE email_alert_addresses SET removed_at = ?, code_sha256 = NULL WHERE id = ?", (stamp(), row["id"])
            )
            await tx.execute(
                "UPDATE email_alert_outbox SET state = 'not needed', done_at = ?"
                " WHERE address_id = ? AND state = 'waiting'",
                (stamp(), row["id"]),
            )
            subject = f"address {row['id']}"
            await self._audit.record(tx, actor.name, "removed a mail address", subject, {"address": row["address"]})
            return row

    async def _may_touch(self, tx: Transaction, actor: Actor, address_id: str) -> Row:
        row = await tx.fetch_one(
            "SELECT * FROM email_alert_addresses WHERE id = ? AND removed_at IS NULL", (address_id,)
        )
        if row is None or (row["account_id"] is not None and row["account_id"] != actor.account):
            raise Refused("There is no such address.", "Load the page again.")
        self._check_shared(actor, row["account_id"])
        return row

    @staticmethod
    def _check_shared(actor: Actor, account: str | None) -> None:
        if account is None and not actor.may(Permission.GRANT_CONTENT):
            raise Refused("Only a safeguarding lead looks after shared mailboxes.")

    # Queueing

    async def queue_for_accounts(self, event_id: str, letter: Letter, accounts: Iterable[str], *, shared: bool) -> int:
        """One mail for each confirmed address of these accounts, and of shared mailboxes; returns how many are new."""
        async with self._records.transaction() as tx:
            targets = await self._confirmed(tx, list(accounts), shared=shared)
            made = 0
            for row in targets:
                made += await self._insert(tx, f"{event_id}:{same_address(row['address'])}", row, letter, stamp())
            return made

    @staticmethod
    async def _confirmed(tx: Transaction, accounts: Sequence[str], *, shared: bool) -> list[Row]:
        """Confirmed addresses, each once however many have it."""
        marks = ", ".join("?" * len(accounts))
        rows = await tx.fetch(
            "SELECT * FROM email_alert_addresses WHERE verified_at IS NOT NULL AND removed_at IS NULL"  # noqa: S608
            f" AND (account_id IN ({marks}) OR (? AND account_id IS NULL)) ORDER BY added_at, id",
            (*accounts, shared),
        )
        return list({same_address(row["address"]): row for row in reversed(rows)}.values())[::-1]

    async def queue_notice(self, event_id: str, account: str, letter: Letter) -> None:
        """One mail an hour at most about notices; one that comes within the hour goes when it is over."""
        async with self._records.transaction() as tx:
            for row in await self._confirmed(tx, [account], shared=False):
                if row["permanent"]:
                    continue
                last = await tx.fetch_one(
                    "SELECT state, due_at FROM email_alert_outbox WHERE address_id = ? AND kind = 'notice'"
                    " AND state IN ('waiting', 'sent') ORDER BY due_at DESC LIMIT 1",
                    (row["id"],),
                )
                if last is not None and last["state"] == "waiting":
                    continue
                due = now()
                if last is not None and parse(last["due_at"]) <= due:
                    due = max(due, parse(last["due_at"]) + NOTICE_EVERY)
                await self._insert(tx, f"{event_id}:{same_address(row['address'])}", row, letter, stamp(due))

    async def queue_for_addresses(self, event_id: str, letter: Letter, addresses: Iterable[str]) -> None:
        """One mail for each of these addresses of the settings."""
        async with self._records.transaction() as tx:
            for address in dict.fromkeys(map(same_address, addresses)):
                await self._write(tx, f"{event_id}:{address}", None, address, None, letter, stamp())

    async def queue_test(self, actor: Actor, address_id: str, letter: Letter) -> Row:
        """A test mail for a confirmed address."""
        async with self._records.transaction() as tx:
            row = await self._may_touch(tx, actor, address_id)
            if row["verified_at"] is None:
                raise Refused("This address is not confirmed yet.", "Type the code in first.")
            await self._insert(tx, f"test:{new_id()}", row, letter, stamp())
            await self._audit.record(tx, actor.name, "sent a test mail to address", f"address {row['id']}")
            return row

    async def _insert(self, tx: Transaction, key: str, row: Row, letter: Letter, due: str) -> int:
        if await tx.fetch_one("SELECT 1 FROM email_alert_outbox WHERE key = ?", (key,)):
            return 0
        if not await self._make_room(tx, row["id"], letter):
            await self._count_dropped(tx, row["id"])
            return 0
        return await self._write(tx, key, row["id"], row["address"], row["account_id"], letter, due)

    @staticmethod
    async def _write(
        tx: Transaction, key: str, address_id: str | None, address: str, account: str | None, letter: Letter, due: str
    ) -> int:
        return await tx.execute(
            "INSERT OR IGNORE INTO email_alert_outbox (id, key, address_id, address, account_id, kind, urgency, about,"
            " queued_at, due_at, next_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *(new_id(), key, address_id, address, account, letter.kind, letter.urgency),
                *(json.dumps(letter.as_json(), ensure_ascii=False), stamp(), due, due),
            ),
        )

    async def _make_room(self, tx: Transaction, address_id: str, letter: Letter) -> bool:
        """Drop what matters least of what waits for an address; false if there is no room for this letter.

        A severe alert always has room, and is never dropped.
        """
        row = await tx.fetch_one(
            "SELECT count(*) AS n FROM email_alert_outbox WHERE address_id = ? AND state = 'waiting'", (address_id,)
        )
        if row is None or row["n"] < self._waiting_most:
            return True
        oldest = await tx.fetch_one(
            "SELECT id FROM email_alert_outbox WHERE address_id = ? AND state = 'waiting'"
            " AND coalesce(about ->> 'severity', '') <> 'severe' AND urgency >= ?"
            " ORDER BY kind NOT IN ('test mail', 'test alert'), urgency DESC, queued_at, id LIMIT 1",
            (address_id, letter.urgency),
        )
        if oldest is None:
            return letter.severity == "severe"
        await tx.execute(
            "UPDATE email_alert_outbox SET state = 'dropped', done_at = ?, problem = ? WHERE id = ?",
            (stamp(), "Too many mails waited.", oldest["id"]),
        )
        await self._count_dropped(tx, address_id)
        return True

    @staticmethod
    async def _count_dropped(tx: Transaction, address_id: str) -> None:
        await tx.execute("UPDATE email_alert_addresses SET dropped = dropped + 1 WHERE id = ?", (address_id,))

    # Sending

    async def next_due(self, longest_pause: float) -> Waiting | None:
        """The mail that goes next: the most urgent of those that are due, and of these the oldest."""
        moment = now()
        beyond = max(timedelta(seconds=longest_pause), NOTICE_EVERY) + CLOCK_SLACK
        # A time beyond the longest pause can only come from a clock that was ahead: do not wait for it to come again.
        row = await self._records.fetch_one(
            "SELECT * FROM email_alert_outbox WHERE state = 'waiting' AND (next_at <= ? OR next_at > ?)"
            " ORDER BY urgency, queued_at, id LIMIT 1",
            (stamp(moment), stamp(moment + beyond)),
        )
        return _waiting(row) if row is not None else None

    async def next_time(self) -> str | None:
        """When the next mail is due."""
        row = await self._records.fetch_one("SELECT min(next_at) AS at FROM email_alert_outbox WHERE state = 'waiting'")
        return row["at"] if row is not None else None

    async def sent(self, mail: Waiting, at: str) -> None:
        """The server has taken it."""
        async with self._records.transaction() as tx:
            await self._done(tx, mail.id, "sent", "", at)
            await self._went_well(tx, mail.address_id, at)

    async def later(self, mail: Waiting, problem: str, pause: float) -> None:
        """It is tried again after a pause."""
        async with self._records.transaction() as tx:
            await tx.execute(
                "UPDATE email_alert_outbox SET tries = tries + 1, next_at = ?, problem = ? WHERE id = ?",
                (stamp(now() + timedelta(seconds=pause)), problem[:PROBLEM_LONGEST], mail.id),
            )
            await self._problem(tx, mail.address_id, problem)

    async def refused(self, mail: Waiting, problem: str) -> bool:
        """Nobody has this address. Returns whether that is news; then its owner is told on the pages."""
        async with self._records.transaction() as tx:
            await self._done(tx, mail.id, "refused", problem, stamp())
            await self._problem(tx, mail.address_id, problem)
            news = await tx.execute(
                "UPDATE email_alert_addresses SET permanent = 1 WHERE id = ? AND permanent = 0", (mail.address_id,)
            )
            if news:
                words = f"Mail to {mail.address} does not arrive: the mail server says that there is no such address."
                await self._tell_owner(tx, mail, words)
            return bool(news)

    async def give_up(self, before: str, problem: str, tries_least: int = 0) -> int:
        """Give up what has waited since before a moment and was tried so often; returns how many that were.

        Their owners are told on the pages.
        """
        rows = await self._records.fetch(
            "SELECT * FROM email_alert_outbox WHERE state = 'waiting' AND due_at < ? AND tries >= ? LIMIT 200",
            (before, tries_least),
        )
        for row in rows:
            mail = _waiting(row)
            async with self._records.transaction() as tx:
                await self._done(tx, mail.id, "given up", row["problem"] or problem, stamp())
                if mail.letter.urgency < LATER:
                    words = f"A mail about an alert could not be sent to {mail.address}. It stands on your pages."
                    await self._tell_owner(tx, mail, words)
        return len(rows)

    async def not_needed(self, mail: Waiting) -> None:
        """What it wanted to tell was seen meanwhile."""
        async with self._records.transaction() as tx:
            await self._done(tx, mail.id, "not needed", "", stamp())

    async def note_code(self, address_id: str, problem: str) -> None:
        """How the mail with the code went; empty: it was taken."""
        async with self._records.transaction() as tx:
            if problem:
                await self._problem(tx, address_id, problem)
            else:
                await self._went_well(tx, address_id, stamp())

    async def _tell_owner(self, tx: Transaction, mail: Waiting, words: str) -> None:
        if mail.account is not None:
            await self._appliance.notices.tell(
                tx, accounts=[mail.account], words=words, link="/email_alert", kind="mail address"
            )
        elif mail.address_id is not None:
            await self._tell_leaders(tx, words, without="")

    @staticmethod
    async def _done(tx: Transaction, mail_id: str, state: Done, problem: str, at: str) -> None:
        await tx.execute(
            "UPDATE email_alert_outbox SET state = ?, done_at = ?, problem = ? WHERE id = ? AND state = 'waiting'",
            (state, at, problem[:PROBLEM_LONGEST], mail_id),
        )

    @staticmethod
    async def _went_well(tx: Transaction, address_id: str | None, at: str) -> None:
        await tx.execute(
            "UPDATE email_alert_addresses SET last_ok_at = ?, last_problem = '', last_problem_at = NULL, permanent = 0"
            " WHERE id = ?",
            (at, address_id),
        )

    @staticmethod
    async def _problem(tx: Transaction, address_id: str | None, problem: str) -> None:
        await tx.execute(
            "UPDATE email_alert_addresses SET last_problem = ?, last_problem_at = ? WHERE id = ?",
            (problem[:PROBLEM_LONGEST], stamp(), address_id),
        )

    # How it stands

    async def queue(self) -> Queue:
        """How many mails wait, and how the last day went."""
        row = await self._records.fetch_one(
            "SELECT count(*) FILTER (WHERE state = 'waiting') AS waiting,"
            " min(due_at) FILTER (WHERE state = 'waiting' AND due_at <= ?) AS oldest,"
            " count(*) FILTER (WHERE state = 'given up') AS given_up, count(*) FILTER (WHERE state = 'sent') AS sent"
            " FROM email_alert_outbox WHERE state = 'waiting' OR queued_at > ?",
            (stamp(), stamp(now() - timedelta(days=2))),
        )
        assert row is not None
        return Queue(row["waiting"], row["oldest"], row["given_up"], row["sent"])

    async def confirmed_count(self) -> tuple[int, int]:
        """How many addresses are confirmed, and how many of these are refused for good."""
        row = await self._records.fetch_one(
            "SELECT count(*) AS n, coalesce(sum(permanent), 0) AS refused FROM email_alert_addresses"
            " WHERE verified_at IS NOT NULL AND removed_at IS NULL"
        )
        return (row["n"], row["refused"]) if row is not None else (0, 0)

    async def history(self, actor: Actor, limit: int) -> list[Row]:
        """The latest mails to whoever asks, and for a lead those to shared mailboxes.

        Not those to others, and of those to shared mailboxes none about an alert that this lead may not see: what is
        not for everybody must not be told of by a list of mails.
        """
        rows = await self._records.fetch(
            "SELECT kind, address, account_id, about ->> 'subject' AS subject, about ->> 'link' AS link, queued_at,"
            " state, done_at, tries, problem FROM email_alert_outbox"
            " WHERE account_id = ? OR (? AND account_id IS NULL AND address_id IS NOT NULL)"
            " ORDER BY queued_at DESC, id DESC LIMIT ?",
            (actor.account, actor.may(Permission.GRANT_CONTENT), limit),
        )
        return [row for row in rows if row["account_id"] is not None or await self._may_hear_of(actor, row)]

    async def _may_hear_of(self, actor: Actor, row: Row) -> bool:
        """Whether a lead may see what a mail to a shared mailbox was about."""
        if row["kind"] != "alert":
            return True
        return await self._appliance.alerts.alert(actor, row["link"].rpartition("/")[2]) is not None

    async def server_history(self, limit: int, sender: str) -> list[dict[str, Any]]:
        """The same for whoever runs the box: when, how it ended, and why; not to whom and not about what.

        ``sender``: the one address that may stand in the words of the mail server.
        """
        rows = await self._records.fetch(
            "SELECT kind, queued_at, state, done_at, tries, problem FROM email_alert_outbox"
            " WHERE problem <> '' ORDER BY queued_at DESC, id DESC LIMIT ?",
            (limit,),
        )
        return [{**dict(row), "problem": without_addresses(row["problem"], sender)} for row in rows]


def _target(row: Row) -> Target:
    open_until = row["code_expires_at"]
    return Target(
        id=row["id"],
        address=row["address"],
        account=row["account_id"],
        verified=row["verified_at"] is not None,
        code_open=row["code_sha256"] is not None and open_until > stamp() and row["tries"] < TRIES_MOST,
        last_ok_at=row["last_ok_at"],
        problem=row["last_problem"],
        problem_at=row["last_problem_at"],
        permanent=bool(row["permanent"]),
        dropped=row["dropped"],
        waiting=row["waiting"],
    )


def _waiting(row: Row) -> Waiting:
    return Waiting(
        id=row["id"],
        address_id=row["address_id"],
        address=row["address"],
        account=row["account_id"],
        letter=Letter.of(json.loads(row["about"])),
        queued_at=row["queued_at"],
        due_at=row["due_at"],
        tries=row["tries"],
    )
