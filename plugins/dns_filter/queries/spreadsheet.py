"""Lines of a file for a spreadsheet (CSV, RFC 4180), in which nothing that somebody typed can become a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

MARK = "\ufeff"
"""Stands at the beginning of the file, so that spreadsheets read it as UTF-8."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def lines(rows: Iterable[Iterable[object]]) -> str:
    """Each row as a line, its cells as plain text."""
    written = io.StringIO()
    csv.writer(written).writerows([plain_cell(str(cell)) for cell in row] for row in rows)
    return written.getvalue()


def plain_cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula: an apostrophe stands before what could begin one."""
    return f"'{text}" if text.lstrip(" \n").startswith(_FORMULA) else text
