"""The record of who did what: whatever is changed in it is found."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from appliance.audit import Audit
from appliance.db import Database
from appliance.loading import resource
from appliance.migrate import CORE, migrate


@pytest.fixture
async def records(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database(tmp_path / "records.db")
    await database.open()
    await migrate(database, CORE, resource("migrations"))
    yield database
    await database.close()


async def write_rows(records: Database, count: int) -> Audit:
    audit = Audit(records)
    for number in range(count):
        async with records.transaction() as tx:
            await audit.record(tx, "ada", "changed", f"thing {number}", {"reason": "naïve “quotes”", "n": number})
    return audit


async def test_rows_follow_from_one_another(records: Database) -> None:
    audit = await write_rows(records, 5)
    verdict = await audit.verify()
    assert (verdict.good, verdict.rows) == (True, 5)
    assert (await audit.verify(noted_head=verdict.head)).good


async def test_a_row_is_kept_with_its_change_or_not_at_all(records: Database) -> None:
    audit = Audit(records)
    with pytest.raises(LookupError):
        async with records.transaction() as tx:
            await audit.record(tx, "ada", "changed", "thing", {})
            raise LookupError
    assert await audit.rows(None, 10) == []


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE audit SET actor = 'eve' WHERE seq = 2",
        "DELETE FROM audit WHERE seq = 3",
        "INSERT OR REPLACE INTO audit SELECT seq, at, 'eve', action, subject, detail, previous, hash FROM audit"
        " WHERE seq = 2",
        "INSERT INTO audit VALUES (9, '', 'eve', '', '', '', '', 'x')",
        "INSERT INTO audit VALUES (6, '', 'eve', '', '', '', 'wrong', 'x')",
    ],
)
async def test_the_store_refuses_to_change_it(records: Database, sql: str) -> None:
    await write_rows(records, 5)
    with pytest.raises(sqlite3.IntegrityError, match="audit"):
        async with records.transaction() as tx:
            await tx.execute(sql)


_TAMPERING = {
    "change a word": ("UPDATE audit SET actor = 'eve' WHERE seq = 2", "Row 2 was changed"),
    "change the time": ("UPDATE audit SET at = '2020' WHERE seq = 4", "Row 4 was changed"),
    "take out the middle": ("DELETE FROM audit WHERE seq = 3", "Row 3 is missing"),
    "take out the first": ("DELETE FROM audit WHERE seq = 1", "Row 1 is missing"),
    "take one out and close the gap": (
        "DELETE FROM audit WHERE seq = 3; UPDATE audit SET seq = seq - 1 WHERE seq > 3",
        "Row 3 does not follow",
    ),
    "swap two": (
        "UPDATE audit SET seq = 99 WHERE seq = 2; UPDATE audit SET seq = 2 WHERE seq = 3; "
        "UPDATE audit SET seq = 3 WHERE seq = 99",
        "Row 2 does not follow",
    ),
}


@pytest.mark.parametrize("how", _TAMPERING)
async def test_tampering_with_the_file_is_found_and_named(records: Database, how: str) -> None:
    audit = await write_rows(records, 5)
    sql, words = _TAMPERING[how]
    tamper(records, sql)
    verdict = await audit.verify()
    assert not verdict.good
    assert words in verdict.words


async def test_cutting_off_the_end_is_found_by_a_noted_head(records: Database) -> None:
    audit = await write_rows(records, 5)
    noted = (await audit.verify()).head
    tamper(records, "DELETE FROM audit WHERE seq > 3")
    assert (await audit.verify()).good  # the chain alone cannot tell
    verdict = await audit.verify(noted)
    assert not verdict.good
    assert "cut off" in verdict.words


def tamper(records: Database, sql: str) -> None:
    """As root would: past our triggers, with another program."""
    connection = sqlite3.connect(records.path)
    for trigger in ("audit_no_update", "audit_no_delete", "audit_in_order"):
        connection.execute(f"DROP TRIGGER {trigger}")
    connection.executescript(sql)
    connection.close()
