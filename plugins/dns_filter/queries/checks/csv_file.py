"""The record of checks as a file for a spreadsheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from appliance.api import Row

from ..spreadsheet import MARK, lines
from .store import Result

HEADINGS = ("Date", "Person", "Device", "Place", "Group or profile", "What was tested", "Result", "Seen", "Action")


def csv_of(rows: Sequence[Row]) -> str:
    """The rows, a line each, with headings."""
    return MARK + lines([HEADINGS, *_cells(rows)])


def _cells(rows: Sequence[Row]) -> Iterator[Sequence[str]]:
    for row in rows:
        cells = (row["day"], row["who"], row["device"], row["place"], row["profile"], row["what"])
        yield *cells, Result(row["result"]).words, row["words"], row["action"]
