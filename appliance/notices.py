"""Words for members of staff: shown at the top of their pages until they press "Got it".

A notice is read on a screen that somebody else may see, and mail may announce it: its words and its link name no pupil.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from appliance.access import Actor, Role
from appliance.bus import Bus
from appliance.clock import new_id, now, stamp
from appliance.db import Database, Row, Transaction
from appliance.events import NoticeMade
from appliance.hookspecs import Permission
from appliance.live import Live

TOPIC = "appliance.notice"
KEPT = timedelta(days=90)
"""Read or not: what nobody has read for so long helps nobody any more."""

_UNREAD = "SELECT account_id, count(*) AS number FROM notices WHERE read_at IS NULL GROUP BY account_id"


class Notices:
    """What was said to whom. How many each account has not read is kept in memory: every page shows it."""

    def __init__(self, records: Database, bus: Bus, live: Live) -> None:
        self._records = records
        self._bus = bus
        self._live = live
        self._unread: Mapping[str, int] = {}

    async def start(self) -> None:
        """Read how many notices wait for whom."""
        self._take(await self._records.fetch(_UNREAD))

    # Telling

    async def tell(
        self,
        tx: Transaction,
        *,
        words: str,
        kind: str,
        link: str = "",
        accounts: Iterable[str] = (),
        roles: Iterable[Role] = (),
        without: Iterable[str] = (),
    ) -> int:
        """Leave ``words`` for these accounts and for every active account of these roles; returns how many were told.

        ``link`` is a path of the staff pages, ``kind`` what it is about in two or three words (mail and filters go by
        it), ``without`` accounts that are not to be told. Neither words nor link may name a pupil. Written in the unit
        of work of what happened, so that both are kept or neither is.
        """
        told = sorted(({*accounts} | await self._of_roles(tx, roles)) - {*without})
        if not told:
            return 0
        moment = stamp()
        await tx.executemany(
            "INSERT INTO notices (id, account_id, kind, words, link, made_at) VALUES (?, ?, ?, ?, ?, ?)",
            [(new_id(), account, kind, words, link, moment) for account in told],
        )
        await self._take_after_commit(tx)
        tx.after_commit.append(lambda: self._show(told))
        await self._bus.publish(tx, NoticeMade(accounts=tuple(told), kind=kind))
        return len(told)

    def _show(self, told: Sequence[str]) -> None:
        """Pages that are open show that there is something, in locked browsers too: it has no content."""
        self._live.publish(TOPIC, {}, Permission.SIGNED_IN, told)

    @staticmethod
    async def _of_roles(tx: Transaction, roles: Iterable[Role]) -> set[str]:
        wanted = [role.value for role in roles]
        marks = ", ".join("?" * len(wanted))
        rows = await tx.fetch(
            f"SELECT id FROM staff_accounts WHERE state = 'active' AND role IN ({marks})",  # noqa: S608 - marks only
            wanted,
        )
        return {row["id"] for row in rows}

    # Reading

    def waiting(self, account: str) -> int:
        """How many notices this account has not read."""
        return self._unread.get(account, 0)

    async def unread(self, actor: Actor) -> list[Row]:
        """This account's own notices that were not read, newest first: id, kind, words, link, made_at."""
        return await self._records.fetch(
            "SELECT id, kind, words, link, made_at FROM notices WHERE account_id = ? AND read_at IS NULL"
            " ORDER BY made_at DESC, id DESC",
            (actor.account,),
        )

    async def all(self, actor: Actor) -> list[Row]:
        """This account's own notices of the last 90 days, newest first; ``read_at`` is empty for those not read."""
        return await self._records.fetch(
            "SELECT id, kind, words, link, made_at, read_at FROM notices WHERE account_id = ?"
            " ORDER BY made_at DESC, id DESC",
            (actor.account,),
        )

    async def got_it(self, actor: Actor, notice: str) -> bool:
        """Note that a notice was read; false if it is none of this account's, or was read before."""
        async with self._records.transaction() as tx:
            changed = await tx.execute(
                "UPDATE notices SET read_at = ? WHERE id = ? AND account_id = ? AND read_at IS NULL",
                (stamp(), notice, actor.account),
            )
            await self._take_after_commit(tx)
        return bool(changed)

    async def settle(self, tx: Transaction, link: str) -> None:
        """Put away for everybody what leads to ``link``, once what it asks for is done, in the unit of work that does.

        Whoever tells of one thing to do gives it a link of its own.
        """
        await tx.execute("UPDATE notices SET read_at = ? WHERE link = ? AND read_at IS NULL", (stamp(), link))
        await self._take_after_commit(tx)

    async def forget(self) -> None:
        """Delete what is older than 90 days (a daily job)."""
        async with self._records.transaction() as tx:
            await tx.execute("DELETE FROM notices WHERE made_at < ?", (stamp(now() - KEPT),))
            await self._take_after_commit(tx)

    async def _take_after_commit(self, tx: Transaction) -> None:
        rows = await tx.fetch(_UNREAD)
        tx.after_commit.append(lambda: self._take(rows))

    def _take(self, rows: Sequence[Row]) -> None:
        self._unread = {row["account_id"]: row["number"] for row in rows}
