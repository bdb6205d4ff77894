"""What pages have set and which plugins are off, read from the file of the store before the appliance runs."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from appliance.clock import stamp
from appliance.config import PageValue

IN_FORCE = "undone_at IS NULL AND (until IS NULL OR until > ?)"


@dataclass(frozen=True, slots=True)
class PageState:
    """What pages have set and which plugins are off, as the store says before the appliance runs."""

    page_values: tuple[PageValue, ...] = ()
    plugins_off: frozenset[str] = frozenset()


def read_page_state(records: Path) -> PageState:
    """Read from the file of the record store without opening it for writing; empty when there is none yet."""
    if not records.is_file():
        return PageState()
    connection = sqlite3.connect(f"file:{records}?mode=ro", uri=True)
    try:
        values = connection.execute(
            "SELECT path, value, author, reason, set_at, until FROM page_values"  # noqa: S608 - a constant
            f" WHERE {IN_FORCE} ORDER BY set_at, id",
            (stamp(),),
        ).fetchall()
        off = connection.execute("SELECT name FROM plugins_off").fetchall()
    except sqlite3.DatabaseError:  # no store of ours yet, or a broken one: opening it for real says so in words
        return PageState()
    finally:
        connection.close()
    found = {row[0]: PageValue(row[0], json.loads(row[1]), *row[2:]) for row in values}
    return PageState(tuple(found.values()), frozenset(row[0] for row in off))
