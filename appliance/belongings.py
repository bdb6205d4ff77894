"""What a plugin keeps in the stores, and taking it out for good (``appliance plugin remove``)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from appliance.audit import Audit
from appliance.db import Database


@dataclass(frozen=True, slots=True)
class Belongings:
    """What ``plugin remove`` would delete: rows per table, by store; settings set on pages; events that wait."""

    tables: tuple[tuple[str, str, int], ...]
    page_values: int
    waiting_events: int
    folder: Path | None

    def words(self) -> list[str]:
        """One line for each kind of thing."""
        lines = [f"table {table} ({store}): {rows} rows" for store, table, rows in self.tables]
        if self.page_values:
            lines.append(f"{self.page_values} settings that were set on pages")
        if self.waiting_events:
            lines.append(f"{self.waiting_events} events that wait for it")
        if self.folder is not None:
            lines.append(f"its worker's files in {self.folder}")
        return lines or ["nothing: it keeps no data"]


async def belongings(records: Database, activity: Database, state_dir: Path, name: str) -> Belongings:
    """What a plugin keeps at this moment."""
    tables = []
    for store, database in (("records", records), ("activity", activity)):
        for table in await tables_of(database, name):
            row = await database.fetch_one(f'SELECT count(*) AS n FROM "{table}"')  # noqa: S608 - a name from sqlite_master
            tables.append((store, table, row["n"] if row else 0))
    values = await records.fetch_one("SELECT count(*) AS n FROM page_values WHERE path LIKE ?", (f"plugins.{name}.%",))
    waiting = await records.fetch_one("SELECT count(*) AS n FROM deliveries WHERE owner = ?", (name,))
    folders = sorted((state_dir / "workers").glob(f"{name}.*"))
    return Belongings(
        tuple(tables), values["n"] if values else 0, waiting["n"] if waiting else 0, folders[0] if folders else None
    )


async def remove_belongings(records: Database, activity: Database, audit: Audit, actor: str, name: str) -> None:
    """Delete everything that a plugin keeps in the stores. It must not be running."""
    for database in (activity, records):
        tables = await tables_of(database, name)
        async with database.transaction(schema=True) as tx:
            for table in tables:
                await tx.execute(f'DROP TABLE "{table}"')
            await tx.execute("DELETE FROM migrations WHERE owner = ?", (name,))
    async with records.transaction() as tx:
        await tx.execute("DELETE FROM deliveries WHERE owner = ?", (name,))
        await tx.execute("DELETE FROM subscriptions WHERE owner = ?", (name,))
        await tx.execute("DELETE FROM page_values WHERE path LIKE ?", (f"plugins.{name}.%",))
        await tx.execute("DELETE FROM plugins_off WHERE name = ?", (name,))
        await audit.record(tx, actor, "removed plugin", name)


async def tables_of(database: Database, owner: str) -> list[str]:
    """The tables of a plugin in one store."""
    pattern = owner.replace("_", r"\_") + r"\_%"
    rows = await database.fetch(
        r"SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE ? ESCAPE '\' ORDER BY name", (pattern,)
    )
    return [row["name"] for row in rows]
