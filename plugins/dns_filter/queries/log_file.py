"""The query log as a file for a spreadsheet: what the page would show of each line, a piece at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from appliance.api import stamp

from .presenting import VERDICTS
from .records import QueryRow
from .spreadsheet import MARK, lines
from .store import ALL, Filters, Store

WINDOW = timedelta(minutes=5)
"""What is read at once: a school's week does not fit into the memory."""
PIECE = 500
"""Lines that are made before whatever else the process does has its turn."""

_DEVICE: Mapping[str, str] = {"device": "Device", "address": "Address", "group": "Group", "profile": "Profile"}
_PERSON: Mapping[str, str] = {"person": "Who", "claim": "How that is known"}
_QUERY: Mapping[str, str] = {
    "name": "Name", "type": "Query", "verdict": "What happened", "why": "Why", "category": "Kind of site",
    "count": "Times",
}  # fmt: skip

Shown = Callable[[Sequence[QueryRow]], Awaitable[list[dict[str, Any]]]]
"""Rows as whoever asks may see them."""


async def rows_of(store: Store, filters: Filters, since: datetime, until: datetime) -> AsyncIterator[list[QueryRow]]:
    """All rows from ``since`` to the minute before that of ``until``, newest first, some at a time."""
    end = until
    while end > since:
        begin = max(since, end - WINDOW)
        found = await store.recent(ALL, filters, stamp(begin), stamp(end))
        for first in range(0, len(found), PIECE):
            yield found[first : first + PIECE]
        end = begin


async def csv_of(
    rows: AsyncIterator[list[QueryRow]], shown: Shown, on_clock: Callable[[str], str], *, people: bool
) -> AsyncIterator[bytes]:
    """The file in pieces, each of whole lines. ``on_clock``: a stamp on the school's clocks."""
    columns = {**_DEVICE, **(_PERSON if people else {}), **_QUERY}
    yield (MARK + lines([("Time", *columns.values())])).encode()
    async for some in rows:
        told = [{**one, "verdict": VERDICTS.get(one["verdict"], one["verdict"])} for one in await shown(some)]
        cells = ((on_clock(row.last_at), *(one[key] for key in columns)) for row, one in zip(some, told, strict=True))
        yield lines(cells).encode("utf-8", "replace")
