"""Who shows a screen to others right now: alerts stay off that screen for an hour, and go on everywhere else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

from appliance.access import Actor, require
from appliance.audit import Audit
from appliance.clock import parse, stamp
from appliance.db import Database, Transaction
from appliance.hookspecs import Permission

QUIET_FOR = timedelta(hours=1)


class Presenting:
    """Until when each account is presenting. Kept in memory too: every page shows it."""

    def __init__(self, records: Database, audit: Audit, clock: Callable[[], datetime]) -> None:
        self._records = records
        self._audit = audit
        self._now = clock
        self._until: Mapping[str, datetime] = {}

    async def start(self) -> None:
        """Read who is presenting."""
        rows = await self._records.fetch("SELECT account_id, until FROM alert_quiet")
        self._until = {row["account_id"]: parse(row["until"]) for row in rows}

    def until(self, account: str) -> datetime | None:
        """Until when alerts stay quiet for an account, or ``None``."""
        found = self._until.get(account)
        # An end that lies further off than an hour can only come from a clock that was ahead.
        return found if found is not None and self._now() < found <= self._now() + QUIET_FOR else None

    def disturbable(self, accounts: Collection[str]) -> list[str]:
        """Those of ``accounts`` that are not presenting."""
        return [account for account in accounts if self.until(account) is None]

    async def begin(self, actor: Actor) -> None:
        """Keep alerts quiet for this account for an hour from now."""
        require(actor, Permission.SEE_ALERTS)
        until = self._now() + QUIET_FOR
        async with self._records.transaction() as tx:
            await tx.execute(
                "INSERT INTO alert_quiet VALUES (?, ?) ON CONFLICT DO UPDATE SET until = excluded.until",
                (actor.account, stamp(until)),
            )
            await self._record(tx, actor, "kept alerts quiet", {"until": stamp(until)})
            await self._take_after_commit(tx)

    async def end(self, actor: Actor) -> None:
        """Show alerts to this account again."""
        require(actor, Permission.SEE_ALERTS)
        async with self._records.transaction() as tx:
            if await tx.execute("DELETE FROM alert_quiet WHERE account_id = ?", (actor.account,)):
                await self._record(tx, actor, "let alerts be shown again", {})
            await self._take_after_commit(tx)

    async def over(self) -> list[str]:
        """Accounts whose hour is over since this was asked last (a job)."""
        over = [account for account in self._until if self.until(account) is None]
        if over:
            async with self._records.transaction() as tx:
                await tx.executemany("DELETE FROM alert_quiet WHERE account_id = ?", [(one,) for one in over])
                await self._take_after_commit(tx)
        return over

    async def _record(self, tx: Transaction, actor: Actor, action: str, detail: Mapping[str, str]) -> None:
        await self._audit.record(tx, actor.name, action, "on the own screen", detail)

    async def _take_after_commit(self, tx: Transaction) -> None:
        rows = await tx.fetch("SELECT account_id, until FROM alert_quiet")
        until = {row["account_id"]: parse(row["until"]) for row in rows}
        tx.after_commit.append(lambda: self._take(until))

    def _take(self, until: Mapping[str, datetime]) -> None:
        self._until = until
