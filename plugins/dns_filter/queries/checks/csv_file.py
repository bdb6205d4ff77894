"""The record of checks as a file for a spreadsheet, in which nothing that somebody typed can become a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from appliance.api import Row

from .store import Result

HEADINGS = ("Date", "Person", "Device", "Place", "Group or profile", "What was tested", "Result", "Seen", "Action")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
MARK = "\ufeff"
"""So that spreadsheets read it as UTF-8."""


def plain_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe stands before what could begin one."""
    return f"'{text}" if text.lstrip(" \n").startswith(_FORMULA) else text


def csv_of(rows: Sequence[Row]) -> str:
    """The rows, a line each, with headings."""
    written = io.StringIO()
    lines = csv.writer(written)
    lines.writerow(HEADINGS)
    for row in rows:
        cells = (row["day"], row["who"], row["device"], row["place"], row["profile"], row["what"])
        lines.writerow(map(plain_cell, (*cells, Result(row["result"]).words, row["words"], row["action"])))
    return MARK + written.getvalue()
