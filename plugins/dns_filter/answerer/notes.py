"""What is noted of an answered query: why it was answered so. What was asked is in the question's own octets.

Notes are few, so that they can be numbered: one for each reason, not one for each name. A rule that is a domain is
therefore a number: how many labels of the asked name stand before it.
"""

from __future__ import annotations

from typing import Final

Note = tuple[str, str, str, "str | int", str, str, str, float]
"""Verdict, why, list, rule, category, profile, upstream, milliseconds."""

CACHE: Final = "cache"


FIELDS: Final = ("verdict", "why", "list", "rule", "category", "profile", "upstream", "ms")
"""What the parts of a note are called in a record."""


def about(seconds: float) -> float:
    """A duration in milliseconds with two significant digits: enough to see what is slow, and few different ones."""
    ms = seconds * 1000
    if ms < 1:  # ``round`` would take as long as writing the answer
        return int(ms * 100 + 0.5) / 100
    return int(ms * 10 + 0.5) / 10 if ms < 10 else float(f"{ms:.2g}")
