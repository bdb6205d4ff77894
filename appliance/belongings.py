"""What a plugin keeps in the stores, and taking it out for good (``appliance plugin remove``)."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from appliance.audit import Audit
from appliance.db import Database, Transaction
from appliance.errors import PluginError
from appliance.migrate import CORE
from appliance.plugin_finder import CORE_TABLES, PLUGIN_NAME


@dataclass(frozen=True, slots=True)
class Belongings:
    """What ``plugin remove`` would delete: rows per table, by store; settings set on pages; events that wait."""

    tables: tuple[tuple[str, str, int], ...]
    page_values: int
    waiting_events: int
    folders: tuple[Path, ...]

    def words(self) -> list[str]:
        """One line for each kind of thing."""
        lines = [f"table {table} ({store}): {rows} rows" for store, table, rows in self.tables]
        if self.page_values:
            lines.append(f"{self.page_values} settings that were set on pages")
        if self.waiting_events:
            lines.append(f"{self.waiting_events} events that wait for it")
        lines += [f"its worker's files in {folder}" for folder in self.folders]
        return lines or ["nothing: it keeps no data"]


async def belongings(records: Database, activity: Database, state_dir: Path, name: str) -> Belongings:
    """What a plugin keeps at this moment."""
    tables = []
    for store, database in (("records", records), ("activity", activity)):
        for table in await tables_of(database, name):
            row = await database.fetch_one(f'SELECT count(*) AS n FROM "{table}"')  # noqa: S608 - a name from the store
            tables.append((store, table, row["n"] if row else 0))
    values = await records.fetch_one("SELECT count(*) AS n FROM page_values WHERE instr(path, ?) = 1", (_below(name),))
    waiting = await records.fetch_one("SELECT count(*) AS n FROM deliveries WHERE owner = ?", (name,))
    folders = tuple(worker_folders(state_dir, name))
    return Belongings(tuple(tables), values["n"] if values else 0, waiting["n"] if waiting else 0, folders)


def worker_folders(state_dir: Path, name: str) -> list[Path]:
    """The folders of a plugin's workers."""
    folder = state_dir / "workers"
    return sorted(path for path in folder.glob("*.*") if path.name.split(".")[0] == name) if folder.is_dir() else []


def _below(name: str) -> str:
    return f"plugins.{name}."


async def remove_belongings(
    records: Database, activity: Database, audit: Audit, actor: str, state_dir: Path, name: str
) -> None:
    """Delete everything that a plugin keeps. It must not be running; its name must be a plugin's."""
    if not PLUGIN_NAME.fullmatch(name):
        raise PluginError(f"{name!r} is no plugin's name.", "`appliance plugins` lists them.")
    for database in (activity, records):
        tables = await tables_of(database, name)
        async with database.transaction(schema=True) as tx:
            for table in tables:
                await tx.execute(f'DROP TABLE "{table}"')
            await tx.execute("DELETE FROM migrations WHERE owner = ?", (name,))
            if database is records:
                await _forget(tx, name)
                await audit.record(tx, actor, "removed plugin", name)
    for folder in worker_folders(state_dir, name):
        shutil.rmtree(folder)


async def _forget(tx: Transaction, name: str) -> None:
    await tx.execute("DELETE FROM deliveries WHERE owner = ?", (name,))
    await tx.execute("DELETE FROM subscriptions WHERE owner = ?", (name,))
    await tx.execute("DELETE FROM page_values WHERE instr(path, ?) = 1", (_below(name),))
    await tx.execute("DELETE FROM job_runs WHERE owner = ?", (name,))
    await tx.execute("DELETE FROM plugins_off WHERE name = ?", (name,))


async def tables_of(database: Database, owner: str) -> list[str]:
    """The tables of a plugin in one store: those named after it, but not those of a plugin with a longer name.

    A plugin that never made a table there (no migration of its own) has none, whatever the names say: that is how the
    core's own tables stay out of reach.
    """
    owners = {row["owner"] for row in await database.fetch("SELECT DISTINCT owner FROM migrations")}
    if owner not in owners or owner == CORE:
        return []
    longer = tuple(f"{other}_" for other in owners if other.startswith(f"{owner}_"))
    rows = await database.fetch("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    mine = [row["name"] for row in rows if row["name"].startswith(f"{owner}_")]
    return [name for name in mine if not (longer and name.startswith(longer)) and name not in CORE_TABLES]
