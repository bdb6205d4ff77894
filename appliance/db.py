"""The store: SQLite files in WAL mode, each with one connection that writes and a few that only read.

Units of work that wait for the writer are grouped into one commit: each runs in a SAVEPOINT of its own, fails alone,
and hears of success only after the COMMIT reached the disk (``synchronous=FULL`` for records). There is never a second
connection that writes or checkpoints: SQLite before 3.51.3 can corrupt a WAL that two of them reset at once
(https://sqlite.org/wal.html#walresetbug), and Debian's is older.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import aiosqlite

from appliance.errors import CannotStart, StoreBusy, StoreError

Row = sqlite3.Row
Parameters = Sequence[Any] | Mapping[str, Any]
Authorizer = Callable[[int, str | None, str | None, str | None, str | None], int]

GROUP_LIMIT = 200
"""Units of work in one commit. 200 gave 30 times the rows per second of single commits."""
QUEUE_LIMIT = 2000
READERS = 3
RECONNECT_SECONDS = 0.5
_DATA_STATEMENT = re.compile(r"\s*(select|insert|update|delete|replace|with)\b", re.IGNORECASE)


class Transaction:
    """One unit of work. Its body awaits nothing but these methods: everybody waits for whatever else it waits for."""

    def __init__(self, connection: aiosqlite.Connection, schema: bool, after_commit: list[Callable[[], None]]) -> None:
        self._connection = connection
        self._schema = schema
        self._open = True
        self.after_commit = after_commit
        """Called, in order, once this unit is on disk, also if nobody waits for it any more; never when it failed."""

    async def execute(self, sql: str, parameters: Parameters = ()) -> int:
        """Run one statement; returns how many rows it changed."""
        self._check(sql)
        cursor = await self._connection.execute(sql, parameters)
        return cursor.rowcount  # closing the cursor would cost another trip to the store's thread

    async def executemany(self, sql: str, rows: Iterable[Parameters]) -> int:
        """Run one statement for many rows; returns how many rows it changed."""
        self._check(sql)
        async with self._connection.executemany(sql, rows) as cursor:
            return cursor.rowcount

    async def fetch(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """All rows, as this unit of work sees them."""
        self._check(sql)
        return list(await self._connection.execute_fetchall(sql, parameters))

    async def fetch_one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """The first row, or ``None``."""
        return next(iter(await self.fetch(sql, parameters)), None)

    async def authorize(self, authorizer: Authorizer | None) -> None:
        """Let SQLite ask ``authorizer`` about every statement that follows (schema changes only)."""
        await self._connection.set_authorizer(authorizer)

    def _check(self, sql: str) -> None:
        if not self._open:
            raise StoreError(
                "A unit of work was used after it had ended.", "Keep its statements inside the with block."
            )
        if not self._schema and not _DATA_STATEMENT.match(sql):
            raise StoreError(f"Only data statements may run here, not {sql.strip()[:40]!r}.", "Use a migration.")

    def _end(self) -> None:
        self._open = False


@dataclass(eq=False)
class _Turn:
    """A place in the queue for the writer."""

    started: asyncio.Future[None]
    ended: asyncio.Future[bool]
    committed: asyncio.Future[None]
    after_commit: list[Callable[[], None]] = field(default_factory=list)


def _turn() -> _Turn:
    loop = asyncio.get_running_loop()
    return _Turn(loop.create_future(), loop.create_future(), loop.create_future())


@dataclass(eq=False)
class Database:
    """One SQLite file. ``open`` before use, ``close`` after; every method may be called from any task of the loop.

    ``durability``: ``full`` survives a power cut with everything that was acknowledged; ``normal`` stays consistent but
    may lose the last moments (activity). ``read_only`` looks at a store that another process may be writing.
    """

    path: Path
    durability: Literal["full", "normal"] = "full"
    read_only: bool = False
    unit_limit: float = 10.0
    read_limit: float = 20.0
    _writer: aiosqlite.Connection | None = None
    _lock: int | None = None
    _turns: asyncio.Queue[_Turn] = field(default_factory=lambda: asyncio.Queue(QUEUE_LIMIT))
    _task: asyncio.Task[None] | None = None
    _readers: asyncio.LifoQueue[aiosqlite.Connection] = field(default_factory=asyncio.LifoQueue)
    _replacing: set[asyncio.Task[None]] = field(default_factory=set)
    _reading: bool = False
    last_error: str = ""

    async def open(self) -> None:
        """Open or make the file. Raises ``CannotStart`` if another process writes it or it is no database."""
        if self.read_only:
            if not self.path.is_file():
                raise CannotStart(f"There is no store at {self.path}.", "Start the appliance once.")
        else:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = _lock_file(self.path)
            self.path.touch(mode=0o600)  # its -wal and -shm files get the same rights
        try:
            if not self.read_only:
                self._writer = await self._connect_writer()
            for _ in range(READERS):
                self._readers.put_nowait(await self._connect_reader())
            self._reading = True
        except sqlite3.DatabaseError as error:
            await self.close()
            raise CannotStart(
                f"The store {self.path} cannot be read: {error}.",
                "If the disk is full, free some room. If the file is damaged, put back a copy from the backups folder."
                " Nothing was changed.",
            ) from error
        except BaseException:  # stopped half-way: no thread may stay behind
            await self.close()
            raise
        if not self.read_only:
            self._task = asyncio.create_task(self._write_loop(), name=f"writer of {self.path.name}")

    async def close(self) -> None:
        """Finish the units of work that wait, then let go of the file."""
        if self._task is not None:
            task, self._task = self._task, None
            await self._turns.join()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        self._reading = False
        await asyncio.gather(*self._replacing, return_exceptions=True)
        while not self._readers.empty():
            await self._readers.get_nowait().close()
        if self._writer is not None:
            await self._writer.close()
            self._writer = None
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # Reading

    async def fetch(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        """All rows of a query on a read-only connection; sees what was committed. Ends after ``read_limit`` seconds."""
        if not self._reading:
            raise StoreError(f"The store {self.path.name} is not open.", "Try again in a moment.")
        connection: aiosqlite.Connection | None = None
        finished = False
        try:
            async with asyncio.timeout(self.read_limit):
                connection = await self._readers.get()
                rows = list(await connection.execute_fetchall(sql, parameters))
            finished = True
        except TimeoutError:
            raise StoreError(f"A question to the store took longer than {self.read_limit:g} seconds.") from None
        except sqlite3.Error as error:
            finished = True
            raise StoreError(f"The store {self.path.name} could not answer: {error}.") from error
        finally:
            if connection is None:
                pass
            elif finished and self._reading:
                self._readers.put_nowait(connection)
            else:  # nobody waits any more (a time limit, a closed browser), but the question still runs
                replacing = asyncio.create_task(self._replace(connection))
                self._replacing.add(replacing)
                replacing.add_done_callback(self._replacing.discard)
        return rows

    async def _replace(self, connection: aiosqlite.Connection) -> None:
        """End the question that a connection still works on, and put a fresh connection in its place."""
        await connection.interrupt()
        await connection.close()
        while self._reading:
            try:
                self._readers.put_nowait(await self._connect_reader())
            except sqlite3.Error as error:
                self.last_error = str(error)
                await asyncio.sleep(RECONNECT_SECONDS)
            else:
                return

    async def fetch_one(self, sql: str, parameters: Parameters = ()) -> Row | None:
        """The first row, or ``None``."""
        return next(iter(await self.fetch(sql, parameters)), None)

    async def integrity(self) -> list[str]:
        """What SQLite finds wrong with the file; empty when all is well. Takes its time, on its own connection."""
        connection = await self._connect_reader()
        try:
            found = [row[0] for row in await connection.execute_fetchall("PRAGMA integrity_check(20)")]
            broken = [
                f"{row[0]}: row {row[1]} points to nothing"
                for row in await connection.execute_fetchall("PRAGMA foreign_key_check")
            ]
        except sqlite3.DatabaseError as error:  # so damaged that the check itself cannot go on
            return [str(error)]
        finally:
            await connection.close()
        return [line for line in found if line != "ok"] + broken[:20]

    async def copy_to(self, target: Path) -> None:
        """Write a consistent copy beside the running store (SQLite's online backup), on disk when this returns."""
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        connection = await self._connect_reader()
        copy = sqlite3.connect(part, check_same_thread=False)
        try:
            await connection.backup(copy)
        finally:
            copy.close()
            await connection.close()
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)

    # Writing

    @asynccontextmanager
    async def transaction(self, *, schema: bool = False) -> AsyncIterator[Transaction]:
        """One unit of work: ``async with db.transaction() as tx``.

        Leaving the block without an error returns when everything is on disk. An exception inside undoes this unit
        alone. Raises ``StoreBusy`` when the queue is full and ``StoreError`` when the disk refuses or the body takes
        too long.
        """
        if self._task is None:
            raise StoreError(f"The store {self.path.name} is not open for writing.", "Try again in a moment.")
        turn = _turn()
        try:
            self._turns.put_nowait(turn)
        except asyncio.QueueFull:
            raise StoreBusy("The store is busy: too much waits to be written.", "Try again in a moment.") from None
        await self._wait_for_start(turn)
        assert self._writer is not None
        unit = Transaction(self._writer, schema, turn.after_commit)
        limit = asyncio.timeout(None if schema else self.unit_limit)
        try:
            async with limit:
                yield unit
        except BaseException as error:
            if limit.expired() or isinstance(error, asyncio.CancelledError):
                await self._writer.interrupt()  # its statement may still run, and everybody would wait for it
            turn.ended.set_result(False)
            if limit.expired():
                raise StoreError(f"A unit of work held the store longer than {self.unit_limit:g} seconds.") from error
            raise
        else:
            turn.ended.set_result(True)
        finally:
            unit._end()
        await turn.committed

    async def _wait_for_start(self, turn: _Turn) -> None:
        try:
            await turn.started
        except asyncio.CancelledError:
            if not turn.started.cancelled():  # the turn had come just when the caller gave up
                turn.ended.set_result(False)
            raise

    async def _write_loop(self) -> None:
        while True:
            first = await self._turns.get()
            group = [first]
            try:
                await self._write_group(group)
            finally:
                for _ in group:
                    self._turns.task_done()

    async def _write_group(self, group: list[_Turn]) -> None:
        """Run the first turn and those that wait behind it, and commit them together; ``group`` grows as turns come."""
        assert self._writer is not None
        loop = asyncio.get_running_loop()
        done: list[_Turn] = []
        try:
            await self._writer.execute("BEGIN IMMEDIATE")
            taken = 0
            while taken < len(group):
                if await self._run_unit(self._writer, group[taken]):
                    done.append(group[taken])
                taken += 1
                if taken < GROUP_LIMIT and not self._turns.empty():
                    group.append(self._turns.get_nowait())
            await self._writer.execute("COMMIT")
        except sqlite3.Error as error:
            await self._abandon(group, error)
        else:
            for turn in done:
                for callback in turn.after_commit:
                    loop.call_soon(callback)  # in this order and before the waiter; one that fails fails alone
                if not turn.committed.done():
                    turn.committed.set_result(None)

    async def _run_unit(self, writer: aiosqlite.Connection, turn: _Turn) -> bool:
        await writer.execute("SAVEPOINT unit")
        if turn.started.cancelled():
            await writer.execute("RELEASE unit")
            return False
        turn.started.set_result(None)
        good = await turn.ended
        if not writer.in_transaction:  # SQLite gave up the whole transaction, as it does on a full disk
            raise sqlite3.OperationalError("the disk refused the write")
        if not good:
            await writer.execute("ROLLBACK TO unit")
        await writer.execute("RELEASE unit")
        return good

    async def _abandon(self, group: list[_Turn], error: sqlite3.Error) -> None:
        """Nothing of the group was kept: say so to each, and start again on a fresh connection.

        After a failed write the old connection's idea of the file cannot be trusted (never retry an fsync).
        """
        self.last_error = str(error)
        for turn in group:
            if not turn.started.done():
                turn.started.set_exception(_not_kept(error))
            elif not turn.committed.done():
                turn.committed.set_exception(_not_kept(error))
                turn.committed.exception()  # the waiter may be gone; no warning then
        assert self._writer is not None
        with suppress(sqlite3.Error):
            await self._writer.rollback()
        with suppress(sqlite3.Error):
            await self._writer.close()
        self._writer = await self._reconnect()

    async def _reconnect(self) -> aiosqlite.Connection:
        pause = 0.1
        while True:
            try:
                return await self._connect_writer()
            except sqlite3.Error as error:
                self.last_error = str(error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)

    async def _connect_writer(self) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(self.path, isolation_level=None)
        return await _prepared(
            connection,
            "journal_mode=WAL",
            f"synchronous={self.durability.upper()}",
            "foreign_keys=ON",
            "recursive_triggers=ON",  # without it INSERT OR REPLACE slips past the audit's triggers
            "trusted_schema=OFF",
            "secure_delete=ON",
            "cell_size_check=ON",
            "journal_size_limit=67108864",
            "busy_timeout=5000",
        )

    async def _connect_reader(self) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(f"file:{_uri_path(self.path)}?mode=ro", uri=True, isolation_level=None)
        return await _prepared(
            connection, "query_only=ON", "trusted_schema=OFF", "cell_size_check=ON", "busy_timeout=5000"
        )


async def _prepared(connection: aiosqlite.Connection, *pragmas: str) -> aiosqlite.Connection:
    """The connection with its settings made; closed if the file refuses, because its thread would live on."""
    connection.row_factory = Row
    try:
        for pragma in pragmas:
            await connection.execute(f"PRAGMA {pragma}")
    except BaseException:
        await connection.close()
        raise
    return connection


def _not_kept(error: sqlite3.Error) -> StoreError:
    return StoreError(f"The store could not write: {error}. Nothing was kept.", "Look at the status page for the disk.")


def _uri_path(path: Path) -> str:
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")


def refuse_if_used(path: Path) -> None:
    """Raise ``CannotStart`` if another appliance has this store open."""
    if path.parent.is_dir():
        os.close(_lock_file(path))


def _lock_file(path: Path) -> int:
    """Hold the lock beside the database for as long as this process lives; a second writer would corrupt it."""
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip() or "unknown"
        os.close(lock)
        raise CannotStart(
            f"The store {path} is in use by another appliance (process {holder}).",
            "Stop it first, or give this one a state folder of its own (storage.state_dir).",
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock
