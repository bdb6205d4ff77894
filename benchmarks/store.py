"""How many acknowledged units of work a second the store takes, beside plain SQLite in the same run.

``python -m benchmarks.store`` writes the same rows, each in its own transaction and each on disk before it counts:

- ``one by one``: the standard library's sqlite3, ``synchronous=FULL``, a commit for each row: what we compare with;
- ``200 a commit``: the same with 200 rows in a commit: what the disk could do at best;
- ``our store, N writers``: ``Database.transaction()`` from N tasks at once.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from appliance.db import Database

ROWS = 4000
RUNS = 3
CREATE = "CREATE TABLE rows (n INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT"
INSERT = "INSERT INTO rows (text) VALUES (?)"
TEXT = "x" * 200


def plain(folder: Path, rows_a_commit: int) -> float:
    """Rows a second with the standard library."""
    connection = sqlite3.connect(folder / "plain.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(CREATE)
    started = time.perf_counter()
    for _ in range(ROWS // rows_a_commit):
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(rows_a_commit):
            connection.execute(INSERT, (TEXT,))
        connection.execute("COMMIT")
    seconds = time.perf_counter() - started
    connection.close()
    return ROWS / seconds


def ours(folder: Path, writers: int) -> float:
    """Units of work a second of our store, written by so many tasks at once."""

    async def run() -> float:
        database = Database(folder / "ours.db")
        await database.open()
        async with database.transaction(schema=True) as tx:
            await tx.execute(CREATE)
        started = time.perf_counter()
        await asyncio.gather(*(write(database, ROWS // writers) for _ in range(writers)))
        seconds = time.perf_counter() - started
        await database.close()
        return ROWS / seconds

    return asyncio.run(run())


async def write(database: Database, count: int) -> None:
    """One writer: each row in its own unit of work, each acknowledged before the next."""
    for _ in range(count):
        async with database.transaction() as tx:
            await tx.execute(INSERT, (TEXT,))


def measure(run: Callable[[Path], float]) -> float:
    """The median of a few runs, each in a fresh folder."""
    results = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as folder:
            results.append(run(Path(folder)))
    return median(results)


def main() -> None:
    """Run everything, print the table and the JSON line."""
    cases: dict[str, Callable[[Path], float]] = {
        "one by one": lambda folder: plain(folder, 1),
        "200 a commit": lambda folder: plain(folder, 200),
        **{f"our store, {writers} writers": _ours(writers) for writers in (1, 10, 100, 500)},
    }
    figures = {name: measure(run) for name, run in cases.items()}
    base = figures["one by one"]
    sys.stdout.write(f"{'':28}{'units/s':>10}{'ratio':>8}\n")
    for name, figure in figures.items():
        sys.stdout.write(f"{name:28}{figure:10.0f}{figure / base:8.2f}\n")
    sys.stdout.write(json.dumps({"benchmark": "store", "rows": ROWS, "units_per_second": figures}) + "\n")


def _ours(writers: int) -> Callable[[Path], float]:
    return lambda folder: ours(folder, writers)


if __name__ == "__main__":
    main()
