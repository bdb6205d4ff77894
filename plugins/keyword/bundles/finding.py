"""Which terms an engine finds in a text, for comparisons and trials."""

from __future__ import annotations

from collections.abc import Sequence

from appliance.api import Surface

from ..engine.engine import Engine
from ..engine.exclusions import Exclusions, supplied
from ..library.model import Policy
from .comparing import Find


def finder(policies: Sequence[Policy], exclusions: Exclusions | None = None) -> Find:
    """Finds by these policies. ``exclusions``: instead of those that are supplied."""
    engine = Engine(policies, supplied() if exclusions is None else exclusions)

    def find(text: str, surface: Surface) -> frozenset[str]:
        return frozenset(f"{hit.policy.name}/{hit.term.id}" for hit in engine.find(text, surface))

    return find
