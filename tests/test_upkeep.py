"""Retention deletes what is over and nothing else; damage of the stores is found and shown."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from appliance.audit import Audit
from appliance.bus import Bus
from appliance.clock import now, stamp
from appliance.clock_jumps import ClockJumps
from appliance.db import Database
from appliance.hookspecs import Data, State
from appliance.loading import resource
from appliance.migrate import CORE, migrate
from appliance.testing import Home, Running
from appliance.upkeep import CHUNK, Retention, Soundness


async def run_plainly(_owner: str, _doing: str, call: Callable[[], Awaitable[None]]) -> None:
    await call()


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[tuple[Database, Database]]:
    records, activity = Database(tmp_path / "records.db"), Database(tmp_path / "activity.db", "normal")
    for database in (records, activity):
        await database.open()
    await migrate(records, CORE, resource("migrations"))
    async with activity.transaction(schema=True) as tx:
        await tx.execute("CREATE TABLE visits (at TEXT NOT NULL, n INTEGER)")
    yield records, activity
    for database in (records, activity):
        await database.close()


def days_ago(days: float) -> str:
    return stamp(now() - timedelta(days=days))


def retention(records: Database, activity: Database, keep_days: int | None) -> Retention:
    data = Data("visits", "visits", keep_days, "at", "activity")
    return Retention(records, activity, Bus(records, (), run_plainly), lambda: [("visitors", data)], 30)


async def test_rows_go_when_their_time_is_over(stores: tuple[Database, Database]) -> None:
    records, activity = stores
    async with activity.transaction() as tx:
        rows = [(days_ago(age), age) for age in (0, 1, 6.9, 7.1, 30, 3650)]
        await tx.executemany("INSERT INTO visits VALUES (?, ?)", rows)
    await retention(records, activity, 7).run()
    assert [row["n"] for row in await activity.fetch("SELECT n FROM visits ORDER BY n")] == [0, 1, 6.9]


@pytest.mark.parametrize("spread", [True, False], ids=["each its own time", "all at one time"])
async def test_more_rows_than_one_chunk_go_too(stores: tuple[Database, Database], spread: bool) -> None:
    records, activity = stores
    count = CHUNK * 2 + 10
    old = now() - timedelta(days=50)
    async with activity.transaction() as tx:
        times = (stamp(old + timedelta(seconds=n if spread else 0)) for n in range(count))
        await tx.executemany("INSERT INTO visits VALUES (?, 1)", ((at,) for at in times))
        await tx.execute("INSERT INTO visits VALUES (?, 2)", (stamp(),))
    await retention(records, activity, 7).run()
    assert [row["n"] for row in await activity.fetch("SELECT n FROM visits")] == [2]


async def test_rows_without_an_end_stay(stores: tuple[Database, Database]) -> None:
    records, activity = stores
    async with activity.transaction() as tx:
        await tx.execute("INSERT INTO visits VALUES (?, 1)", (days_ago(9999),))
    await retention(records, activity, None).run()
    assert len(await activity.fetch("SELECT n FROM visits")) == 1


async def test_a_clock_that_jumps_forward_deletes_nothing(stores: tuple[Database, Database]) -> None:
    records, activity = stores
    async with activity.transaction() as tx:
        await tx.executemany("INSERT INTO visits VALUES (?, ?)", [(days_ago(age), age) for age in (1, 8)])
    moment = now()
    jumps = ClockJumps(records)
    assert await jumps.held_until(moment) is None
    forget = jumps.guarded(retention(records, activity, 7).run, lambda: moment)
    moment += timedelta(days=400)
    for _ in range(3):
        await forget()
        moment += timedelta(hours=20)
    assert len(await activity.fetch("SELECT n FROM visits")) == 2
    moment -= timedelta(days=400)  # somebody has seen it
    await forget()
    assert [row["n"] for row in await activity.fetch("SELECT n FROM visits")] == [1]


async def test_sound_stores_are_good(stores: tuple[Database, Database], tmp_path: Path) -> None:
    records, activity = stores
    soundness = Soundness(records, activity, Audit(records), tmp_path)
    await soundness.run()
    assert {check.state for check in await soundness.checks()} == {State.GOOD}


async def test_a_tampered_audit_is_shown_as_broken(stores: tuple[Database, Database], tmp_path: Path) -> None:
    records, activity = stores
    audit = Audit(records)
    async with records.transaction() as tx:
        await audit.record(tx, "ada", "changed", "x")
    other = sqlite3.connect(records.path)
    other.execute("DROP TRIGGER audit_no_update")
    other.execute("UPDATE audit SET actor = 'eve'")
    other.commit()
    other.close()
    soundness = Soundness(records, activity, audit, tmp_path)
    await soundness.run()
    [broken] = [check for check in await soundness.checks() if check.state is State.BROKEN]
    assert "Row 1 was changed" in broken.words
    assert "backups" in broken.todo


async def test_no_job_deletes_notices_or_looks_while_the_clock_is_not_believed(
    appliance_home: Home, start_appliance: Callable[[Home], Awaitable[Running]]
) -> None:
    running = await start_appliance(appliance_home)
    appliance, me, old = running.appliance, running.actor.account, days_ago(2000)
    jobs = [entry.job for (owner, _), entry in appliance.schedule._entries.items() if owner == CORE]
    deleting = [job.run for job in jobs if job.name in ("old notices", "old looks", "retention")]
    assert len(deleting) == 3

    async def kept() -> int:
        both = "SELECT 1 FROM notices WHERE id = 'old' UNION ALL SELECT 1 FROM unusual_looks"
        return len(await appliance.records.fetch(both))

    async def clock_was_last_seen(at: str) -> None:
        async with appliance.records.transaction() as tx:
            await tx.execute("REPLACE INTO capture_clock VALUES (1, ?, NULL)", (at,))

    async with appliance.records.transaction() as tx:
        await tx.execute("INSERT INTO notices VALUES ('old', ?, 'test', 'Words', '/', ?, NULL)", (me, old))
        await tx.execute(
            "INSERT INTO unusual_looks VALUES (?, ?, 'rule', 'person', ?, 'Words', 0)", (me, old[:10], old)
        )
    for seen, left in ((days_ago(400), 2), (days_ago(0), 0)):
        await clock_was_last_seen(seen)
        for run in deleting:
            await run()
        assert await kept() == left
