"""Records that name people, groups and devices by a kind and an id: in any table with the columns ``target_kind`` and
``target``, of the core or of a plugin, so that no part is forgotten."""

from __future__ import annotations

from collections.abc import Iterable

from appliance.clock import stamp
from appliance.db import Database, Transaction

_TABLES = """
SELECT t.name, 2 = (SELECT count(*) FROM pragma_table_info(t.name) WHERE name IN ('undone_at', 'until')) AS ends
FROM sqlite_schema t
WHERE t.type = 'table' AND 2 = (SELECT count(*) FROM pragma_table_info(t.name) WHERE name IN ('target_kind', 'target'))
ORDER BY t.name
"""
_THESE = "target_kind = ? AND target IN (SELECT value FROM json_each(?))"
_IN_FORCE = "undone_at IS NULL AND (until IS NULL OR until > ?)"


async def named_in_any(tx: Transaction, kind: str, these: str) -> Iterable[str]:
    """Those of some ids (``these``: JSON) that any record names, also one that is over."""
    found: set[str] = set()
    for table in await tx.fetch(_TABLES):
        sql = f'SELECT DISTINCT target FROM "{table["name"]}" WHERE {_THESE}'  # noqa: S608 - the store's own names
        found.update(row["target"] for row in await tx.fetch(sql, (kind, these)))
    return found


async def named_in_force(store: Database | Transaction, kind: str, one: str) -> list[str]:
    """The tables (with ``undone_at`` and ``until``) in which something in force names somebody, but for
    ``assignments``, which says more."""
    found = []
    for table in await store.fetch(_TABLES):
        if table["name"] != "assignments" and table["ends"]:
            sql = f'SELECT 1 FROM "{table["name"]}" WHERE target_kind = ? AND target = ? AND {_IN_FORCE} LIMIT 1'  # noqa: S608
            if await store.fetch(sql, (kind, one, stamp())):
                found.append(str(table["name"]))
    return found
