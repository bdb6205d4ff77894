"""Detection by itself: the supplied policies on a text, without settings, store or appliance."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from appliance.api import SURFACES_BY_NAME, Severity, Surface

from .engine.engine import Engine
from .engine.exclusions import supplied
from .library.reading import read_policies


class Found(NamedTuple):
    """A finding: id of the term, category, severity, how it was written, and its code points from start up to end."""

    term: str
    category: str
    severity: Severity
    how: str
    start: int
    end: int


@cache
def supplied_engine() -> Engine:
    """The engine with all supplied policies, made once."""
    return Engine(read_policies(None), supplied())


def detect(text: str, surface: str = "typed") -> list[Found]:
    """What the supplied policies find in a text that was seen on a surface, in the order of the text.

    ``surface``: typed, email, search, page, title, address (or url), application (or app), name (or dns). Raises
    ``ValueError`` for any other.
    """
    seen = SURFACES_BY_NAME.get(surface) or Surface(surface)
    return [
        Found(f"{hit.policy.name}/{hit.term.id}", hit.policy.category, hit.severity, hit.how.value, hit.start, hit.end)
        for hit in supplied_engine().find(text, seen)
    ]
