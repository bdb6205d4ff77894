"""The lists of the web filter: kept up to date, put together into one table, and shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from appliance.api import Appliance, Check, Data, Every, Job, NotReady, Page, Permission, State, StoreError

from ..room import Room
from ..settings import Settings
from .catalogue import Catalogue, Facts, SourceState
from .copies import FOLDER
from .fetching import Fetcher
from .forms import fed
from .sources import Spec, handed_over, of_settings
from .store import Store
from .views import PATH, Views

WORKER = "dns_filter.dns"

STARTUP_PATIENCE = 5.0
"""Seconds that the start waits for lists to be compiled; a list of a million names comes into force a little later."""


class Lists(Room):
    """Keeps the table of all lists beside the worker's snapshot. Whoever must hear of changes sets ``when_changed``.

    ``fetcher``: how lists are fetched, if not as the settings say.
    """

    def __init__(self, appliance: Appliance, settings: Settings, fetcher: Fetcher | None = None) -> None:
        self._appliance = appliance
        self._settings = settings
        self._fetcher = fetcher or Fetcher(
            settings.lists_proxy, settings.lists_max_mb * 1_000_000, settings.lists_private_hosts
        )
        self.store = Store(appliance)
        self.catalogue: Catalogue | None = None
        self._views = Views(self, self.store)
        self._tasks: set[asyncio.Task[None]] = set()
        self.when_changed: Callable[[], Awaitable[None]] = _nothing

    def pages(self) -> Sequence[Page]:
        see, operate, views = Permission.SEE_ACTIVITY, Permission.OPERATE, self._views
        return [
            Page("staff", "GET", PATH, views.all, see),
            Page("staff", "GET", "/dns_filter/add_list", views.adding, operate),
            Page("staff", "POST", "/dns_filter/add_list", views.add, operate),
            Page("staff", "POST", "/dns_filter/restore_list", views.restore, operate),
            Page("staff", "GET", PATH + "/{name}", views.one, see),
            Page("staff", "POST", PATH + "/{name}/accept", views.accept, operate),
            Page("staff", "POST", PATH + "/{name}/back", views.back, operate),
            Page("staff", "POST", PATH + "/{name}/look", views.look, operate),
            Page("staff", "POST", PATH + "/{name}/remove", views.remove, operate),
        ]

    def jobs(self) -> Sequence[Job]:
        return [Job("lists", Every(timedelta(minutes=5)), self.refresh, limit=timedelta(minutes=60))]

    def data(self) -> Sequence[Data]:
        return self.store.data()

    async def startup(self) -> None:
        try:
            folder = self._appliance.workers.folder(WORKER) / FOLDER
            catalogue = Catalogue(folder, self._fetcher, self._settings.lists_max_mb)
            await catalogue.open()
            catalogue.use(await self._specs())
            self.catalogue = catalogue
            first = self._begin(self.refresh(), "lists of the web filter")
            await asyncio.wait({first}, timeout=STARTUP_PATIENCE)
            if first.done():
                first.result()
        except OSError as error:
            raise NotReady(f"The lists cannot be written: {error}.", "Look at the disk.") from error
        except StoreError as error:
            raise NotReady(
                f"The lists that were added on the page cannot be read: {error}", "It is tried again."
            ) from error

    async def shutdown(self) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def health(self) -> Sequence[Check]:
        trouble = None if self.catalogue is None else self.catalogue.table_trouble
        table = (
            []
            if trouble is None
            else [Check("Web filter table", State.BROKEN, f"{trouble.what} {_KEPT}", trouble.todo)]
        )
        return [*table, *(_check(state) for state in self.states())]

    async def refresh(self) -> None:
        """Read the lists that have changed, and say so."""
        await self._refresh(None, anyway=False)

    async def take_up(self) -> None:
        """Sources were added or taken out: put that in force, and fetch what is new in the background."""
        if self.catalogue is None:
            return
        before = {state.spec.name for state in self.catalogue.states}
        self.catalogue.use(await self._specs())
        new = {state.spec.name for state in self.catalogue.states} - before
        await self.decided()
        if new:
            self._begin(self._refresh(new, anyway=True), "new lists of the web filter")

    async def decided(self) -> None:
        """Put in force what somebody decided."""
        if self.catalogue is not None:
            await self.catalogue.rebuild()
            await self.when_changed()

    def look_again(self, name: str) -> None:
        """Read a source again in the background, due or not."""
        self._begin(self._refresh({name}, anyway=True), f"web filter list {name}")

    def states(self) -> tuple[SourceState, ...]:
        """Every source as it stands; none before the start."""
        return self.catalogue.states if self.catalogue is not None else ()

    def table(self) -> str:
        """The SHA-256 of the table in force, beside the snapshot in ``lists/``; ``""`` before there is one."""
        return self.catalogue.table if self.catalogue is not None else ""

    def facts(self) -> dict[str, Facts]:
        """List name -> title, category, whether it is locked, how many names."""
        return self.catalogue.facts() if self.catalogue is not None else {}

    def hungry(self) -> list[str]:
        """Categories of which no list names anything: whatever is chosen, nothing of them is blocked or noticed."""
        return fed({each.category for each in self.facts().values() if each.names})

    async def _refresh(self, only: set[str] | None, *, anyway: bool) -> None:
        if self.catalogue is None:
            return
        self.catalogue.use(await self._specs())
        if await self.catalogue.refresh(only, anyway=anyway):
            await self.when_changed()
        with suppress(OSError):  # what is left over is deleted the next time
            await self.catalogue.tidy()

    async def _specs(self) -> list[Spec]:
        """All sources. Locked lists come last, so that nothing else takes their names."""
        resolve = self._appliance.config.place.resolve
        folder = resolve(Path(self._settings.locked_lists))
        added = [row.spec for row in await self.store.open()]
        return [*added, *of_settings(self._settings.lists, resolve), *await asyncio.to_thread(_all, folder)]

    def _begin(self, work: Awaitable[None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(_awaited(work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


_KEPT = "What was in force before stays."


def _all(folder: Path) -> list[Spec]:
    return list(handed_over(folder))


async def _awaited(work: Awaitable[None]) -> None:
    await work


async def _nothing() -> None:
    """Before anybody needs to hear of changes."""


def _check(state: SourceState) -> Check:
    name = f"Web filter list {state.spec.name}"
    if state.shrank:
        todo = (
            "Ask whoever handed it over; a smaller locked list is taken with its SHA-256 only."
            if state.spec.locked
            else f"Look at {PATH}/{state.spec.name} and accept it, or leave it."
        )
        return Check(
            name, State.BROKEN, f"It shrank by half or more: {state.shrank} The old copy stays in force.", todo
        )
    if state.trouble is not None:
        kept = "The last good copy stays in force." if state.kept.current else "Nothing of this list is in force."
        return Check(name, State.BROKEN, f"{state.trouble.what} {kept}", state.trouble.todo)
    if state.kept.current is None:
        return Check(name, State.WARNING, "It is being read for the first time.", "Wait a minute.")
    if not state.kept.current.names:
        todo = f"Look at {PATH}/{state.spec.name}, and ask whoever keeps the list."
        return Check(name, State.WARNING, "It is in force and names nothing, so nothing is blocked by it.", todo)
    return Check(name, State.GOOD, f"{state.kept.current.names:,} names.")
