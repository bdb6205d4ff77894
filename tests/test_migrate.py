"""Migrations: in order, once, whole or not at all; histories that changed are refused."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.db import Database
from appliance.errors import MigrationError
from appliance.migrate import CORE, migrate, statements


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "store.db")
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "migrations"
    path.mkdir()
    return path


def put(folder: Path, name: str, sql: str) -> None:
    (folder / name).write_text(sql)


async def tables(db: Database) -> set[str]:
    return {row["name"] for row in await db.fetch("SELECT name FROM sqlite_master WHERE type = 'table'")}


async def test_files_are_applied_once_in_order(db: Database, folder: Path) -> None:
    put(folder, "0001_first.sql", "CREATE TABLE visitors_a (x INTEGER);\nINSERT INTO visitors_a VALUES (1);")
    assert await migrate(db, "visitors", folder) == ["0001_first"]
    put(folder, "0002_second.sql", "-- a comment; with a semicolon\nUPDATE visitors_a SET x = x + 1;\n")
    assert await migrate(db, "visitors", folder) == ["0002_second"]
    assert await migrate(db, "visitors", folder) == []
    assert [row[0] for row in await db.fetch("SELECT x FROM visitors_a")] == [2]


async def test_a_failure_leaves_everything_as_it_was(db: Database, folder: Path) -> None:
    put(folder, "0001_first.sql", "CREATE TABLE visitors_a (x INTEGER);")
    put(folder, "0002_bad.sql", "CREATE TABLE visitors_b (x INTEGER);\nINSERT INTO visitors_nowhere VALUES (1);")
    with pytest.raises(MigrationError, match="0002_bad of visitors failed: no such table"):
        await migrate(db, "visitors", folder)
    assert await tables(db) == {"migrations"}


async def test_a_changed_file_is_refused(db: Database, folder: Path) -> None:
    put(folder, "0001_first.sql", "CREATE TABLE visitors_a (x INTEGER);")
    await migrate(db, "visitors", folder)
    put(folder, "0001_first.sql", "CREATE TABLE visitors_a (x TEXT);")
    with pytest.raises(MigrationError, match="was changed after it had been applied"):
        await migrate(db, "visitors", folder)


async def test_a_history_from_a_newer_version_is_refused(db: Database, folder: Path) -> None:
    put(folder, "0001_first.sql", "CREATE TABLE visitors_a (x INTEGER);")
    put(folder, "0002_second.sql", "CREATE TABLE visitors_b (x INTEGER);")
    await migrate(db, "visitors", folder)
    (folder / "0002_second.sql").unlink()
    with pytest.raises(MigrationError, match="newer version"):
        await migrate(db, "visitors", folder)


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("CREATE TABLE other (x);", "it touches other"),
        ("CREATE TABLE visitors_a (x); DROP TABLE audit;", "it touches audit"),
        ("DELETE FROM audit;", "it touches audit"),
        ("INSERT INTO audit VALUES (1);", "it touches audit"),
        ("UPDATE audit SET x = 2;", "it touches audit"),
        ("ALTER TABLE audit ADD COLUMN y;", "it touches audit"),
        ("CREATE INDEX visitors_i ON audit (x);", "it touches audit|INDEX"),
        ("CREATE TRIGGER visitors_t AFTER INSERT ON audit BEGIN SELECT 1; END;", "it touches audit|TRIGGER"),
        ("ATTACH ':memory:' AS x;", "may not attach"),
        ("PRAGMA user_version = 3;", "may not use PRAGMA"),
        ("COMMIT;", "may not begin or end"),
        ("SAVEPOINT x;", "savepoints"),
    ],
)
async def test_a_plugin_touches_only_its_own_tables(db: Database, folder: Path, sql: str, why: str) -> None:
    async with db.transaction(schema=True) as tx:
        await tx.execute("CREATE TABLE audit (x)")
    put(folder, "0001_bad.sql", sql)
    with pytest.raises(MigrationError, match=why):
        await migrate(db, "visitors", folder)
    assert "visitors_a" not in await tables(db)


async def test_a_plugin_may_do_what_it_likes_with_its_own(db: Database, folder: Path) -> None:
    put(
        folder,
        "0001_all.sql",
        "CREATE TABLE visitors_a (id INTEGER PRIMARY KEY AUTOINCREMENT, x TEXT UNIQUE);\n"
        "CREATE INDEX visitors_i ON visitors_a (x);\n"
        "CREATE TRIGGER visitors_t AFTER INSERT ON visitors_a BEGIN\n  DELETE FROM visitors_a WHERE x = 'old';\nEND;\n"
        "CREATE VIEW visitors_v AS SELECT x FROM visitors_a;\n"
        "ALTER TABLE visitors_a ADD COLUMN y TEXT;\n"
        "CREATE TABLE visitors_s (x TEXT NOT NULL) STRICT;\n"
        "ALTER TABLE visitors_s ADD COLUMN y TEXT NOT NULL DEFAULT '' CHECK (y IN ('', 'z'));\n"
        "INSERT INTO visitors_a (x) VALUES ('a;b');\n"
        "DROP VIEW visitors_v;\nDROP INDEX visitors_i;",
    )
    assert await migrate(db, "visitors", folder) == ["0001_all"]
    assert [row["x"] for row in await db.fetch("SELECT x FROM visitors_a")] == ["a;b"]


@pytest.mark.parametrize(
    ("names", "why"),
    [(["0002_x.sql"], "numbered"), (["0001_x.sql", "0003_y.sql"], "numbered"), (["first.sql"], "not named like")],
)
async def test_bad_numbering_is_refused(db: Database, folder: Path, names: list[str], why: str) -> None:
    for name in names:
        put(folder, name, "SELECT 1;")
    with pytest.raises(MigrationError, match=why):
        await migrate(db, "visitors", folder)


async def test_a_script_that_ends_inside_a_statement_is_refused(db: Database, folder: Path) -> None:
    put(folder, "0001_x.sql", "CREATE TABLE visitors_a (x INTEGER")
    with pytest.raises(MigrationError, match="ends inside a statement"):
        await migrate(db, "visitors", folder)


async def test_rows_that_point_to_nothing_are_refused(db: Database, folder: Path) -> None:
    put(
        folder,
        "0001_x.sql",
        "CREATE TABLE visitors_a (id INTEGER PRIMARY KEY);\n"
        "CREATE TABLE visitors_b (a INTEGER REFERENCES visitors_a (id));\n"
        "INSERT INTO visitors_b VALUES (7);",
    )
    with pytest.raises(MigrationError, match=r"point to nothing|FOREIGN KEY"):
        await migrate(db, "visitors", folder)


async def test_a_copy_is_made_before_the_first_change_of_a_store_that_holds_something(
    db: Database, folder: Path, tmp_path: Path
) -> None:
    backups = tmp_path / "backups"
    put(folder, "0001_x.sql", "CREATE TABLE rooms (x INTEGER);\nINSERT INTO rooms VALUES (5);")
    await migrate(db, CORE, folder, backups)
    assert not backups.exists()
    put(folder, "0002_y.sql", "DROP TABLE rooms;")
    await migrate(db, CORE, folder, backups)
    [copy] = backups.glob("*.db")
    connection = sqlite3.connect(copy)
    assert connection.execute("SELECT x FROM rooms").fetchall() == [(5,)]
    connection.close()


async def test_histories_of_owners_are_apart(db: Database, folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    put(folder, "0001_x.sql", "CREATE TABLE visitors_a (x INTEGER);")
    put(other, "0001_x.sql", "CREATE TABLE library_a (x INTEGER);")
    assert await migrate(db, "visitors", folder) == ["0001_x"]
    assert await migrate(db, "library", other) == ["0001_x"]


_WORD = st.text(alphabet="abc ;'-/*\n", max_size=12)


@given(st.lists(_WORD, max_size=6))
def test_splitting_never_loses_or_joins_statements(literals: list[str]) -> None:
    wanted = ["INSERT INTO t VALUES ('" + literal.replace("'", "''") + "');" for literal in literals]
    assert list(statements("\n".join(wanted))) == wanted
