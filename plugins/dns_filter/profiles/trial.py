"""The first week: which profiles are on a trial run still, and for how many days that is suggested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from appliance.api import now, parse

from .model import Profile
from .publishing import Publishing
from .store import Store

SUGGESTED = timedelta(days=7)


class Trial:
    """The card of the home page, and the step of the set-up that is done when no profile is on a trial run."""

    def __init__(self, store: Store, publishing: Publishing) -> None:
        self._store = store
        self._publishing = publishing

    def watching(self) -> Sequence[Profile]:
        """Profiles that block nothing yet. Staff may stay so for ever; pupils and guests should not."""
        return [one for one in self._publishing.profiles() if one.mode == "watch"]

    async def card(self) -> Mapping[str, Any]:
        """For the home page."""
        began = await self._store.began_at()
        left = (parse(began) + SUGGESTED - now()).days + 1 if began else SUGGESTED.days
        return {"watching": self.watching(), "days": max(0, min(left, SUGGESTED.days)), "since": began}

    async def is_over(self) -> bool:
        """Whether pupils have a profile that blocks."""
        return "pupil" not in {one.name for one in self.watching()}
