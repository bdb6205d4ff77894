"""The core's own jobs: delete what has been kept long enough, and look whether the stores are sound."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from appliance.audit import Audit
from appliance.bus import Bus
from appliance.clock import now, stamp
from appliance.db import Database
from appliance.errors import StoreError
from appliance.hookspecs import Check, Data, State

CHUNK = 5000
LOW_DISK_BYTES = 500_000_000
NO_DISK_BYTES = 100_000_000


class Retention:
    """Deletes rows whose time is over, in chunks, so that nothing else waits long for the writer."""

    def __init__(
        self,
        records: Database,
        activity: Database,
        bus: Bus,
        data: Callable[[], Sequence[tuple[str, Data]]],
        events_days: int,
    ) -> None:
        self._stores = {"records": records, "activity": activity}
        self._bus = bus
        self._data = data
        self._events_days = events_days

    async def run(self) -> None:
        """Delete what every plugin declared as over, and events that nobody waits for."""
        failed: StoreError | sqlite3.Error | None = None
        for _, data in self._data():
            if data.keep_days is None or data.time_column is None:
                continue
            try:
                await self._expire(data.store, data.table, data.time_column, data.keep_days)
            except (StoreError, sqlite3.Error) as error:  # one table must not keep the others for ever
                failed = error
        async with self._stores["records"].transaction() as tx:
            await self._bus.forget(tx, _days_ago(self._events_days))
        if failed is not None:
            raise failed

    async def _expire(self, store: str, table: str, column: str, days: int) -> None:
        database, end = self._stores[store], _days_ago(days)
        while True:
            # The names come from the plugin's code and were checked against the store's own list of tables.
            row = await database.fetch_one(
                f'SELECT "{column}" AS cut FROM "{table}" WHERE "{column}" < ?'  # noqa: S608
                f' ORDER BY "{column}" LIMIT 1 OFFSET {CHUNK}',
                (end,),
            )
            # Up to and including the time of the chunk's last row, so that rows of one time cannot hold it up for ever.
            condition, cut = ("<=", row["cut"]) if row else ("<", end)
            async with database.transaction() as tx:
                await tx.execute(f'DELETE FROM "{table}" WHERE "{column}" {condition} ?', (cut,))  # noqa: S608
            if row is None:
                return


class Soundness:
    """Whether the stores and the audit are whole, and whether there is room on the disk."""

    def __init__(self, records: Database, activity: Database, audit: Audit, state_dir: Path) -> None:
        self._records = records
        self._activity = activity
        self._audit = audit
        self._state_dir = state_dir
        self._result: Check | None = None

    async def run(self) -> None:
        """Look through both stores and the whole audit (nightly)."""
        found = [f"records: {line}" for line in await self._records.integrity()]
        found += [f"activity: {line}" for line in await self._activity.integrity()]
        verdict = await self._audit.verify()
        if not verdict.good:
            found.append(f"audit: {verdict.words}")
        if found:
            self._result = Check(
                "Soundness of the store",
                State.BROKEN,
                f"Damage was found: {found[0]}",
                "Stop the appliance and put back a copy from the backups folder. Keep the damaged file.",
            )
        else:
            self._result = Check("Soundness of the store", State.GOOD, f"Checked at {stamp()}; nothing wrong.")

    async def checks(self) -> list[Check]:
        """The latest result, the room on the disk, and the latest error of each writer."""
        checks = [self._disk()]
        if self._result is not None:
            checks.append(self._result)
        for database in (self._records, self._activity):
            if database.last_error:
                name, words = f"Store {database.path.name}", f"A write failed: {database.last_error}."
                checks.append(Check(name, State.WARNING, words, "Nothing was half kept. Look at the disk."))
        return checks

    def _disk(self) -> Check:
        free = shutil.disk_usage(self._state_dir).free
        words = f"{free / 1e9:.1f} GB free."
        if free < NO_DISK_BYTES:
            return Check("Room on the disk", State.BROKEN, words, "Free some room now: nothing can be kept soon.")
        if free < LOW_DISK_BYTES:
            return Check("Room on the disk", State.WARNING, words, "Free some room.")
        return Check("Room on the disk", State.GOOD, words)


def _days_ago(days: int) -> str:
    return stamp(now() - timedelta(days=days))
