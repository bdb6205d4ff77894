"""The web filter: answers the name queries of the school's devices and blocks what the school's lists name."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from appliance.api import (
    Appliance,
    AssignmentChanged,
    Check,
    Data,
    Every,
    HomeCard,
    Job,
    Menu,
    NotReady,
    Page,
    Permission,
    State,
    Worker,
    hook,
)

from . import snapshot, worker
from .catalogue import Catalogue, ListState
from .compiled import FOLDER
from .groups import KIND, Groups
from .settings import Settings as FilterSettings
from .store import TABLE, RowLimit, Store, aggregate
from .views import TOPIC, Views

WORKER = "dns_filter.dns"
LIVE_ROWS = 50
"""Rows that open pages get from one batch; a page that stands for a lesson must not drown."""

STARTUP_PATIENCE = 5.0
"""Seconds that the start waits for lists to be compiled; a list of a million names comes into force a little later."""


class Plugin:
    """Blocks websites by name, per group of devices, and shows what was asked for."""

    title = "Web filter"
    Settings = FilterSettings

    def __init__(self, appliance: Appliance, settings: FilterSettings) -> None:
        self.appliance = appliance
        self.settings = settings
        self.store = Store(appliance.activity)
        self.groups = Groups(appliance, settings)
        self.views = Views(appliance, settings, self.store, self.groups, self.publish, self.list_states)
        self._limit = RowLimit()
        self._catalogue: Catalogue | None = None
        self._compiling: asyncio.Task[None] | None = None
        self._publishing = asyncio.Lock()
        self._published: Mapping[str, Any] = {}

    # What there is

    @hook
    def register_pages(self) -> list[Page]:
        views = self.views
        return [
            Page("staff", "GET", "/dns_filter", views.queries, Permission.SEE_ACTIVITY),
            Page("staff", "GET", "/dns_filter/groups", views.groups, Permission.OPERATE),
            Page("staff", "POST", "/dns_filter/groups", views.assign, Permission.OPERATE),
            Page("staff", "POST", "/dns_filter/groups/undo", views.undo, Permission.OPERATE),
            Page("staff", "GET", "/dns_filter/lists", views.lists, Permission.OPERATE),
        ]

    @hook
    def register_panels(self) -> list[Menu | HomeCard]:
        return [
            Menu("Web filter", "/dns_filter", Permission.SEE_ACTIVITY, order=30),
            HomeCard("Web filter", "dns_filter/card.html", self.views.card, Permission.SEE_ACTIVITY),
        ]

    @hook
    def register_listeners(self) -> dict[type[AssignmentChanged], Any]:
        return {AssignmentChanged: self.on_assignment_changed}

    @hook
    def register_jobs(self) -> list[Job]:
        return [Job("lists", Every(timedelta(minutes=5)), self.refresh, limit=timedelta(minutes=30))]

    @hook
    def register_workers(self) -> list[Worker]:
        return [Worker("dns", worker.dns, self.receive, ("CAP_NET_BIND_SERVICE",), title="DNS")]

    @hook
    def register_data(self) -> list[Data]:
        return [
            Data(
                TABLE,
                "Which device asked for which name, counted per minute: never a person, never a help-seeking site.",
                keep_days=self.settings.keep_days,
                time_column="minute",
                store="activity",
            )
        ]

    # What happens

    @hook
    async def startup(self) -> None:
        try:
            await self._start_lists()
        except OSError as error:
            raise NotReady(f"The lists or the snapshot cannot be written: {error}.", "Look at the disk.") from error

    async def _start_lists(self) -> None:
        folder = self.appliance.workers.folder(WORKER) / FOLDER
        self._catalogue = Catalogue(self.settings.lists, self.appliance.config.place.resolve, folder)
        await self._catalogue.open()
        self._compiling = asyncio.create_task(self.refresh(), name="lists of the web filter")
        await asyncio.wait({self._compiling}, timeout=STARTUP_PATIENCE)
        if self._compiling.done():
            self._compiling.result()
        else:
            await self.publish()  # with the copies of the last run; refresh publishes again

    @hook
    async def shutdown(self) -> None:
        if self._compiling is not None:
            self._compiling.cancel()
            await asyncio.wait({self._compiling})

    @hook
    async def health(self) -> list[Check]:
        # Whether the worker runs, what troubles it and what it had to drop is a line of the core's.
        return [_list_check(state) for state in self.list_states()]

    async def on_assignment_changed(self, event: AssignmentChanged) -> None:
        """Another profile applies somewhere."""
        if event.kind == KIND:
            await self.publish()

    async def refresh(self) -> None:
        """Read the lists that have changed, and tell the worker what is new."""
        if self._catalogue is not None:
            await self._catalogue.refresh()
            await self.publish()
            await self._catalogue.tidy()

    async def publish(self) -> None:
        """Give the worker what applies now, if it is not what it has."""
        async with self._publishing:
            mapping = snapshot.build(
                self.settings, self.groups.ranges(), self.appliance.exempt.hosts(), self._digests()
            )
            if mapping != self._published:
                await self.appliance.workers.publish(WORKER, mapping)
                self._published = mapping

    async def receive(self, records: Sequence[Mapping[str, Any]], dropped: int) -> None:
        """Keep what the worker reports and show it on open pages. What it had to drop, the core counts and shows."""
        del dropped
        rows = aggregate(records, self._limit)
        await self.store.add(rows)
        live = self.appliance.live
        if live.watched:
            live.publish(TOPIC, [self.views.live_row(row) for row in rows[-LIVE_ROWS:]], Permission.SEE_ACTIVITY)

    def list_states(self) -> tuple[ListState, ...]:
        """Every list as it stands; none before the start."""
        return self._catalogue.states if self._catalogue is not None else ()

    def _digests(self) -> dict[str, str]:
        return self._catalogue.digests() if self._catalogue is not None else {}


def _list_check(state: ListState) -> Check:
    name = f"Web filter list {state.settings.name}"
    if state.trouble is not None:
        kept = "The last good copy stays in force." if state.compiled else "Nothing of this list is in force."
        return Check(name, State.BROKEN, f"{state.trouble.what} {kept}", state.trouble.todo)
    if state.compiled is None:
        return Check(name, State.WARNING, "It is being read for the first time.", "Wait a minute.")
    return Check(name, State.GOOD, f"{state.compiled.names} names.")
