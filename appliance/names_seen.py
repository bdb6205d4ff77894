"""Names of sites that devices of the school asked for: whoever keeps a log of them says so here, others ask.

Names alone, never who asked; places where pupils look for help are in no log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import TypeAlias

Source: TypeAlias = "Callable[[datetime, int], Awaitable[Sequence[str]]]"
"""Names since a moment, each once, those that were asked for most first, so many at most."""


class NamesSeen:
    """One log at a time."""

    def __init__(self) -> None:
        self._source: Source | None = None

    def kept_by(self, source: Source | None) -> None:
        """Say who keeps a log; ``None``: nobody does any more."""
        self._source = source

    async def since(self, moment: datetime, limit: int) -> Sequence[str]:
        """Names since a moment, those that were asked for most first; none if nobody keeps a log."""
        return await self._source(moment, limit) if self._source is not None else ()
