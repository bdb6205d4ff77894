"""What is noted of an answered query: why it was answered so. What was asked is in the question's own octets.

Notes are few, so that they can be numbered: one for each reason, not one for each name. A rule that is a domain is
therefore a number: how many labels of the asked name stand before it.
"""

from __future__ import annotations

from typing import Any, Final

from .rules import rule_text
from .wire import to_text, type_text

Note = tuple[str, str, str, "str | int", str, str, str, float]
"""Verdict, why, list, rule, category, profile, upstream, milliseconds."""

CACHE: Final = "cache"


def fields(question: bytes, note: Note) -> dict[str, Any]:
    """The record of a query: ``question`` is its name, type and class as the device sent them."""
    name, qtype = question[:-4], int.from_bytes(question[-4:-2], "big")
    verdict, why, listed, rule, category, profile, upstream, ms = note
    return {
        "name": to_text(name),
        "type": type_text(qtype),
        "verdict": verdict,
        "why": why,
        "list": listed,
        "rule": rule_text(name, rule) if isinstance(rule, int) else rule,
        "category": category,
        "profile": profile,
        "upstream": upstream,
        "ms": ms,
    }


def about(seconds: float) -> float:
    """A duration in milliseconds with two significant digits: enough to see what is slow, and few different ones."""
    ms = seconds * 1000
    if ms < 10:
        return round(ms, 1) if ms >= 1 else round(ms, 2)
    return float(round(ms)) if ms < 100 else float(round(ms, -1))
