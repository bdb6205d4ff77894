"""Migrations: numbered ``.sql`` files of the core and of each plugin, applied once, in order, in one transaction.

Every applied file is recorded with its SHA-256. A file that changed afterwards, or a history that is longer than the
files at hand (the store was made by a newer version), is refused in words. Before the first change of a store that
holds something, a copy goes to the backups folder.
"""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from appliance.clock import now, stamp
from appliance.db import Database, Row, Transaction
from appliance.errors import MigrationError, StoreError

CORE = "appliance"
BACKUPS_KEPT = 5
_FILE_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_LEDGER = """
CREATE TABLE IF NOT EXISTS migrations (
    owner TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, sha256 TEXT NOT NULL, applied_at TEXT NOT NULL,
    PRIMARY KEY (owner, number)
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, name and text."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_folder(folder: Path) -> list[Migration]:
    """The migrations of a folder in order. Numbers start at 0001 and leave no gap; raises ``MigrationError``."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _FILE_NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path} is not named like 0001_words.sql.", "Rename it.")
        found.append(Migration(int(match[1]), path.stem, _text(path)))
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise MigrationError(
            f"The migrations in {folder} are numbered {numbers}.", "Number them 1, 2, 3 without a gap."
        )
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MigrationError(f"{path} cannot be read: {error}.", "Save it as UTF-8 text.") from error


def statements(sql: str) -> Iterator[str]:
    """The statements of a script, one by one. ``executescript`` would commit what came before, so it is never used."""
    waiting = ""
    for piece in sql.split(";")[:-1]:
        waiting += piece + ";"
        if sqlite3.complete_statement(waiting):
            yield waiting.strip()
            waiting = ""
    waiting += sql.rpartition(";")[2]
    if _has_code(waiting):
        raise MigrationError(
            f"The script ends inside a statement: {waiting.strip()[:60]!r}.", "End it with a semicolon."
        )


def _has_code(text: str) -> bool:
    without_comments = re.sub(r"--[^\n]*|/\*.*?\*/", "", text, flags=re.DOTALL)
    return bool(without_comments.strip(" \t\r\n;"))


async def migrate(database: Database, owner: str, folder: Path, backups: Path | None = None) -> list[str]:
    """Bring ``owner``'s tables up to date; returns the names of what was applied.

    A plugin may only touch tables, indexes, triggers and views named ``<owner>_*``. Raises ``MigrationError`` and
    leaves the store as it was.
    """
    wanted = read_folder(folder) if folder.is_dir() else []
    applied = await _applied(database, owner)
    _check_history(owner, wanted, applied)
    pending = wanted[len(applied) :]
    if not pending:
        return []
    if backups is not None and await database.fetch_one("SELECT 1 FROM migrations"):
        await _back_up(database, backups, f"before-{owner}-{pending[0].number:04d}")
    await _apply(database, owner, pending)
    return [migration.name for migration in pending]


async def _applied(database: Database, owner: str) -> list[Row]:
    async with database.transaction(schema=True) as tx:
        await tx.execute(_LEDGER)
    return await database.fetch("SELECT number, name, sha256 FROM migrations WHERE owner = ? ORDER BY number", (owner,))


def _check_history(owner: str, wanted: list[Migration], applied: list[Row]) -> None:
    for migration, row in zip(wanted, applied, strict=False):
        if migration.sha256 != row["sha256"]:
            raise MigrationError(
                f"Migration {migration.name} of {owner} was changed after it had been applied as {row['name']}.",
                "Put the old file back and write a new migration for the change.",
            )
    if len(applied) > len(wanted):
        raise MigrationError(
            f"The store holds migration {applied[-1]['name']} of {owner}, which this version does not know: "
            "it was written by a newer version.",
            "Install that version again, or put back a copy from the backups folder.",
        )


async def _back_up(database: Database, backups: Path, why: str) -> None:
    moment = stamp(now()).replace(":", "").replace(".", "")
    await database.copy_to(backups / f"{database.path.stem}-{moment}-{why}.db")
    copies = sorted(backups.glob(f"{database.path.stem}-*.db"))
    for old in copies[:-BACKUPS_KEPT]:
        old.unlink()


async def _apply(database: Database, owner: str, pending: list[Migration]) -> None:
    guard = None if owner == CORE else _Guard(owner)
    try:
        async with database.transaction(schema=True) as tx:
            for migration in pending:
                await _run(tx, owner, migration, guard)
                await tx.execute(
                    "INSERT INTO migrations VALUES (?, ?, ?, ?, ?)",
                    (owner, migration.number, migration.name, migration.sha256, stamp()),
                )
            broken = await tx.fetch("PRAGMA foreign_key_check")
            if broken:
                raise MigrationError(f"A migration of {owner} leaves rows of {broken[0][0]} that point to nothing.")
    except StoreError as error:
        raise MigrationError(f"A migration of {owner} could not be kept: {error.what}", error.todo) from error


async def _run(tx: Transaction, owner: str, migration: Migration, guard: _Guard | None) -> None:
    await tx.authorize(guard)
    try:
        for statement in statements(migration.sql):
            await tx.execute(statement)
    except sqlite3.Error as error:
        reason = guard.refusal if guard and guard.refusal else str(error)
        raise MigrationError(
            f"Migration {migration.name} of {owner} failed: {reason}.", "Nothing was changed."
        ) from error
    finally:
        await tx.authorize(None)


_CREATES_AND_DROPS = {
    sqlite3.SQLITE_CREATE_TABLE, sqlite3.SQLITE_CREATE_VIEW, sqlite3.SQLITE_CREATE_INDEX, sqlite3.SQLITE_CREATE_TRIGGER,
    sqlite3.SQLITE_DROP_TABLE, sqlite3.SQLITE_DROP_VIEW, sqlite3.SQLITE_DROP_INDEX, sqlite3.SQLITE_DROP_TRIGGER,
}  # fmt: skip
_CHANGES = {sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE}
_TEMPORARY = "may not make temporary things, which would stay on the one connection that writes"
_FORBIDDEN = {
    sqlite3.SQLITE_ATTACH: "may not attach another file",
    sqlite3.SQLITE_DETACH: "may not detach a file",
    sqlite3.SQLITE_PRAGMA: "may not use PRAGMA",
    sqlite3.SQLITE_TRANSACTION: "may not begin or end a transaction",
    sqlite3.SQLITE_SAVEPOINT: "may not use savepoints",
    sqlite3.SQLITE_CREATE_TEMP_TABLE: _TEMPORARY,
    sqlite3.SQLITE_CREATE_TEMP_INDEX: _TEMPORARY,
    sqlite3.SQLITE_CREATE_TEMP_TRIGGER: _TEMPORARY,
    sqlite3.SQLITE_CREATE_TEMP_VIEW: _TEMPORARY,
    sqlite3.SQLITE_CREATE_VTABLE: "may not make virtual tables",
    sqlite3.SQLITE_DROP_VTABLE: "may not drop virtual tables",
}


class _Guard:
    """SQLite asks it about every step of a plugin's migration (https://sqlite.org/c3ref/set_authorizer.html)."""

    def __init__(self, owner: str) -> None:
        self.prefix = f"{owner}_"
        self.refusal = ""

    def __call__(self, action: int, first: str | None, second: str | None, _file: str | None, _by: str | None) -> int:
        refusal = self._judge(action, first or "", second or "")
        if refusal:
            self.refusal = refusal
            return sqlite3.SQLITE_DENY
        return sqlite3.SQLITE_OK

    def _judge(self, action: int, first: str, second: str) -> str:
        if action == sqlite3.SQLITE_PRAGMA and first == "quick_check":
            return ""  # SQLite itself looks through a STRICT table to which a column is added
        if action in _FORBIDDEN:
            return _FORBIDDEN[action]
        if action == sqlite3.SQLITE_ALTER_TABLE:
            return self._foreign(second)
        if action in _CREATES_AND_DROPS:
            # Indexes and triggers name their table second; SQLite's own (sqlite_autoindex_...) go with that table.
            own_name = "" if first.startswith("sqlite_") else self._foreign(first)
            return own_name or (self._foreign(second) if second else "")
        if action in _CHANGES:
            return "" if first.startswith("sqlite_") else self._foreign(first)
        return ""

    def _foreign(self, name: str) -> str:
        if name.startswith(self.prefix):
            return ""
        return f"it touches {name}, but a plugin may only touch what is named {self.prefix}*"
