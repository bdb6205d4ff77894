"""The first week: which profiles are on a trial run still, and for how many days that is suggested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.api import Check, State, now, parse, stamp

from .model import Profile
from .publishing import Publishing
from .store import SUGGESTED, Store


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

    async def overdue(self) -> Sequence[Profile]:
        """Profiles of pupils and guests that block nothing still after the suggested week, with no end in sight."""
        began, moment = await self._store.began_at(), now()
        if not began or parse(began) + SUGGESTED > moment:
            return ()
        endless = [one for one in self.watching() if not self._ends(one.name)]
        theirs = self._publishing.having.of_pupils(moment) if endless else frozenset()
        return [one for one in endless if one.name in theirs]

    def _ends(self, profile: str) -> bool:
        """Whether a page has set a last day for the trial run that goes on now."""
        changes = self._store.in_force.changes_of(profile, stamp())
        return [one.until for one in changes if one.switch == "mode"][-1:] not in ([], [None])

    async def health(self) -> Sequence[Check]:
        """For the status page."""
        titles = ", ".join(one.title for one in await self.overdue())
        if not titles:
            return ()
        words = f"The suggested week is over, and nothing but locked lists is blocked yet for: {titles}."
        todo = (
            "Look through what would have been blocked, then let the profile block: Web filter, Profiles. Or give the "
            "trial run a last day there, and say why."
        )
        return [Check("Trial run of the web filter", State.WARNING, words, todo)]

    async def remind(self) -> None:
        """Tell IT and the leads once (a daily job)."""
        overdue = await self.overdue()
        if overdue:
            await self._store.remind_of_trial([one.title for one in overdue])

    async def is_over(self) -> bool:
        """Whether pupils have a profile that blocks."""
        return "pupil" not in {one.name for one in self.watching()}
