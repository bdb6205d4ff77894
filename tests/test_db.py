"""The store: grouped commits, units that fail alone, acknowledged means on disk."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from appliance.db import QUEUE_LIMIT, Database
from appliance.errors import CannotStart, StoreBusy, StoreError


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "store.db")
    await database.open()
    async with database.transaction(schema=True) as tx:
        await tx.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT")
    yield database
    await database.close()


async def write(db: Database, text: str) -> None:
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO notes (text) VALUES (?)", (text,))


async def texts(db: Database) -> list[str]:
    return [row["text"] for row in await db.fetch("SELECT text FROM notes ORDER BY id")]


async def test_a_unit_is_there_when_its_block_is_left(db: Database) -> None:
    await write(db, "one")
    other = sqlite3.connect(db.path)
    assert other.execute("SELECT text FROM notes").fetchall() == [("one",)]
    other.close()


async def test_an_exception_undoes_its_unit_alone(db: Database) -> None:
    async def fails() -> None:
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO notes (text) VALUES ('lost')")
            raise LookupError("changed my mind")

    results = await asyncio.gather(
        *(write(db, str(n)) for n in range(5)), fails(), write(db, "last"), return_exceptions=True
    )
    assert [type(result) for result in results if result is not None] == [LookupError]
    assert await texts(db) == ["0", "1", "2", "3", "4", "last"]


async def test_a_failing_statement_undoes_its_unit_alone(db: Database) -> None:
    await write(db, "same")
    results = await asyncio.gather(write(db, "a"), write(db, "same"), write(db, "b"), return_exceptions=True)
    assert isinstance(results[1], sqlite3.IntegrityError)
    assert await texts(db) == ["same", "a", "b"]


async def test_units_that_wait_share_one_commit(db: Database) -> None:
    before = await page_count_changes(db)
    await asyncio.gather(*(write(db, str(n)) for n in range(100)))
    assert await page_count_changes(db) - before < 20
    assert len(await texts(db)) == 100


async def page_count_changes(db: Database) -> int:
    """How many commits the store has seen: SQLite counts them in data_version as other connections see it."""
    frames = db.path.with_name(db.path.name + "-wal").stat().st_size
    return frames // 4096


@pytest.mark.parametrize("when", ["waiting", "inside", "committing"])
async def test_a_cancelled_writer_does_not_hold_the_others_up(db: Database, when: str) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow() -> None:
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO notes (text) VALUES ('slow')")
            entered.set()
            await leave.wait()

    holder = asyncio.create_task(slow())
    await entered.wait()
    victim = asyncio.create_task(slow())
    await asyncio.sleep(0)
    if when == "waiting":
        victim.cancel()
    elif when == "inside":
        holder.cancel()
    leave.set()
    if when == "committing":
        holder.cancel()
    await asyncio.gather(holder, victim, return_exceptions=True)
    await asyncio.wait_for(write(db, "after"), 5)
    assert "after" in await texts(db)


async def test_a_body_that_waits_for_something_else_is_cut_off(tmp_path: Path) -> None:
    db = Database(tmp_path / "store.db", unit_limit=0.05)
    await db.open()
    with pytest.raises(StoreError, match="held the store"):
        async with db.transaction() as tx:
            await tx.fetch("SELECT 1")
            await asyncio.Event().wait()
    async with db.transaction() as tx:
        assert (await tx.fetch("SELECT 2"))[0][0] == 2
    await db.close()


@pytest.mark.parametrize(
    "sql",
    [
        "COMMIT",
        "BEGIN",
        "ATTACH ':memory:' AS x",
        "PRAGMA synchronous=OFF",
        "DROP TABLE notes",
        "VACUUM",
        "SAVEPOINT x",
    ],
)
async def test_only_data_statements_run_in_a_unit(db: Database, sql: str) -> None:
    with pytest.raises(StoreError, match="Only data statements"):
        async with db.transaction() as tx:
            await tx.execute(sql)


async def test_a_unit_cannot_be_used_after_its_end(db: Database) -> None:
    async with db.transaction() as tx:
        pass
    with pytest.raises(StoreError, match="after it had ended"):
        await tx.execute("DELETE FROM notes")


async def test_readers_cannot_write(db: Database) -> None:
    with pytest.raises(StoreError, match="readonly"):
        await db.fetch("INSERT INTO notes (text) VALUES ('x')")


async def test_a_question_that_takes_too_long_is_ended_and_the_reader_works_again(tmp_path: Path) -> None:
    db = Database(tmp_path / "store.db", read_limit=0.05)
    await db.open()
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
    for _ in range(5):
        with pytest.raises(StoreError, match="took longer"):
            await db.fetch(endless)
    assert (await db.fetch("SELECT 1"))[0][0] == 1
    await db.close()


async def test_the_queue_is_bounded_and_says_so(db: Database) -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with db.transaction():
            entered.set()
            await leave.wait()

    holder = asyncio.create_task(hold())
    await entered.wait()
    waiting = [asyncio.create_task(write(db, str(n))) for n in range(QUEUE_LIMIT)]
    await asyncio.sleep(0)
    with pytest.raises(StoreBusy, match="busy"):
        await write(db, "too much")
    leave.set()
    await asyncio.gather(holder, *waiting)
    assert len(await texts(db)) == QUEUE_LIMIT


async def test_a_full_disk_fails_the_group_and_the_store_recovers(tmp_path: Path) -> None:
    db = Database(tmp_path / "store.db")
    await db.open()
    async with db.transaction(schema=True) as tx:
        await tx.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT")
        await tx.execute("PRAGMA max_page_count=12")
    await write(db, "fits")
    results = await asyncio.gather(*(write(db, f"{n}" * 9000) for n in range(8)), return_exceptions=True)
    kept = [n for n, result in enumerate(results) if result is None]
    assert any(isinstance(result, StoreError | sqlite3.Error) for result in results)
    # The fresh connection has no page limit any more: room has come back.
    await write(db, "after")
    assert await texts(db) == ["fits", *(f"{n}" * 9000 for n in kept), "after"]
    assert db.last_error
    await db.close()


async def test_what_was_told_after_the_commit_is_not_told_without_one(db: Database) -> None:
    told: list[str] = []
    with pytest.raises(LookupError):
        async with db.transaction() as tx:
            tx.after_commit.append(lambda: told.append("lost"))
            raise LookupError
    async with db.transaction() as tx:
        tx.after_commit.append(lambda: told.append("kept"))
        assert told == []
    assert told == ["kept"]


async def test_what_is_told_after_the_commit_may_fail_and_the_store_goes_on(db: Database) -> None:
    told: list[str] = []
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context["exception"]))
    async with db.transaction() as tx:
        tx.after_commit.append(lambda: told.append("first"))
        tx.after_commit.append(lambda: told.pop(99))
        tx.after_commit.append(lambda: told.append("third"))
    assert told == ["first", "third"]
    assert [type(failure) for failure in failures] == [IndexError]
    await write(db, "after")
    assert await texts(db) == ["after"]


async def test_a_second_appliance_is_refused_in_words(db: Database) -> None:
    script = (
        "import asyncio, sys; from pathlib import Path; from appliance.db import Database\n"
        "asyncio.run(Database(Path(sys.argv[1])).open())"
    )
    result = subprocess.run([sys.executable, "-c", script, str(db.path)], capture_output=True, text=True, check=False)
    assert "is in use by another appliance (process" in result.stderr


async def test_a_file_that_is_no_database_is_refused_in_words_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_text("not a database, but somebody's homework" * 100)
    with pytest.raises(CannotStart, match="cannot be read"):
        await Database(path).open()
    assert path.read_text().startswith("not a database")


async def test_a_copy_is_whole(db: Database, tmp_path: Path) -> None:
    await write(db, "copied")
    await db.copy_to(tmp_path / "copies" / "copy.db")
    copy = sqlite3.connect(tmp_path / "copies" / "copy.db")
    assert copy.execute("SELECT text FROM notes").fetchall() == [("copied",)]
    copy.close()


async def test_damage_is_found(db: Database, tmp_path: Path) -> None:
    for n in range(200):
        await write(db, f"{n}" * 100)
    assert await db.integrity() == []
    await db.close()
    content = bytearray(db.path.read_bytes())
    content[2 * 4096 : 2 * 4096 + 200] = b"\xff" * 200
    db.path.write_bytes(content)
    await db.open()
    assert await db.integrity() != []
    db.path.unlink()


async def test_a_read_only_store_takes_no_lock_and_writes_nothing(db: Database) -> None:
    await write(db, "seen")
    other = Database(db.path, read_only=True)
    await other.open()
    assert await texts(other) == ["seen"]
    with pytest.raises(StoreError, match="not open for writing"):
        await write(other, "x")
    await other.close()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plan=st.lists(st.tuples(st.sampled_from(["keep", "raise", "clash", "cancel"]), st.integers(0, 3)), max_size=40))
def test_whatever_happens_to_others_a_success_is_kept_and_a_failure_is_not(
    tmp_path_factory: pytest.TempPathFactory, plan: list[tuple[str, int]]
) -> None:
    async def run() -> None:
        db = Database(tmp_path_factory.mktemp("store") / "store.db")
        await db.open()
        async with db.transaction(schema=True) as tx:
            await tx.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT")
        await write(db, "taken")

        async def unit(number: int, kind: str, pause: int) -> None:
            async with db.transaction() as tx:
                for _ in range(pause):
                    await tx.fetch("SELECT 1")
                await tx.execute("INSERT INTO notes (text) VALUES (?)", ("taken" if kind == "clash" else str(number),))
                if kind == "raise":
                    raise LookupError

        tasks = [asyncio.create_task(unit(number, kind, pause)) for number, (kind, pause) in enumerate(plan)]
        for task, (kind, pause) in zip(tasks, plan, strict=True):
            if kind == "cancel":
                for _ in range(pause):
                    await asyncio.sleep(0)
                task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        present = set(await texts(db))
        for number, result in enumerate(results):
            if result is None:
                assert str(number) in present
            elif not isinstance(result, asyncio.CancelledError):  # a cancelled writer does not know
                assert str(number) not in present
        await db.close()

    asyncio.run(run())
