"""The lists of the web filter: kept up to date, and shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

from aiohttp import web

from appliance.api import Appliance, Check, Every, Job, NotReady, Page, Permission, State, render

from ..room import Room
from ..settings import Settings
from .catalogue import Catalogue, ListState
from .compiled import FOLDER

WORKER = "dns_filter.dns"

STARTUP_PATIENCE = 5.0
"""Seconds that the start waits for lists to be compiled; a list of a million names comes into force a little later."""


class Lists(Room):
    """Keeps compiled copies beside the worker's snapshot. Whoever needs them sets ``when_changed``."""

    def __init__(self, appliance: Appliance, settings: Settings) -> None:
        self._appliance = appliance
        self._settings = settings
        self._catalogue: Catalogue | None = None
        self._compiling: asyncio.Task[None] | None = None
        self.when_changed: Callable[[], Awaitable[None]] = _nothing

    def pages(self) -> Sequence[Page]:
        return [Page("staff", "GET", "/dns_filter/lists", self.page, Permission.OPERATE)]

    def jobs(self) -> Sequence[Job]:
        return [Job("lists", Every(timedelta(minutes=5)), self.refresh, limit=timedelta(minutes=30))]

    async def startup(self) -> None:
        try:
            folder = self._appliance.workers.folder(WORKER) / FOLDER
            self._catalogue = Catalogue(self._settings.lists, self._appliance.config.place.resolve, folder)
            await self._catalogue.open()
            self._compiling = asyncio.create_task(self.refresh(), name="lists of the web filter")
            await asyncio.wait({self._compiling}, timeout=STARTUP_PATIENCE)
            if self._compiling.done():
                self._compiling.result()
        except OSError as error:
            raise NotReady(f"The lists cannot be written: {error}.", "Look at the disk.") from error

    async def shutdown(self) -> None:
        if self._compiling is not None:
            self._compiling.cancel()
            await asyncio.wait({self._compiling})

    async def health(self) -> Sequence[Check]:
        return [_check(state) for state in self.states()]

    async def refresh(self) -> None:
        """Read the lists that have changed, and say so."""
        if self._catalogue is not None:
            await self._catalogue.refresh()
            await self.when_changed()
            await self._catalogue.tidy()

    def states(self) -> tuple[ListState, ...]:
        """Every list as it stands; none before the start."""
        return self._catalogue.states if self._catalogue is not None else ()

    def digests(self) -> dict[str, str]:
        """List name -> SHA-256 of its compiled copy."""
        return self._catalogue.digests() if self._catalogue is not None else {}

    async def page(self, request: web.Request) -> web.Response:
        """The lists, where they come from and what was left out of them."""
        return render(request, "dns_filter/lists.html", lists=self.states(), profiles=self._settings.profiles)


async def _nothing() -> None:
    """Before anybody needs to hear of changes."""


def _check(state: ListState) -> Check:
    name = f"Web filter list {state.settings.name}"
    if state.trouble is not None:
        kept = "The last good copy stays in force." if state.compiled else "Nothing of this list is in force."
        return Check(name, State.BROKEN, f"{state.trouble.what} {kept}", state.trouble.todo)
    if state.compiled is None:
        return Check(name, State.WARNING, "It is being read for the first time.", "Wait a minute.")
    return Check(name, State.GOOD, f"{state.compiled.names} names.")
