"""The web filter: answers the name queries of the school's devices and blocks what the school's lists name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from appliance.api import Appliance, Check, Command, Data, Event, Job, Page, Panel, Worker, hook

from .blockpage.room import BlockPage
from .blockpage.wiring import others_of
from .coverage.room import Coverage
from .lists.room import Lists
from .network.room import Network
from .profiles.room import Profiles
from .queries.room import Queries
from .room import Listener, Room
from .settings import Settings as FilterSettings


class Plugin:
    """Blocks websites by name, per group of devices, and shows what was asked for."""

    title = "Web filter"
    Settings = FilterSettings

    def __init__(self, appliance: Appliance, settings: FilterSettings) -> None:
        self.lists = Lists(appliance, settings)
        self.profiles = Profiles(appliance, settings, self.lists)
        self.queries = Queries(appliance, settings, self.profiles.clients.who)
        self.network = Network(appliance, settings, self.queries.store.share_of_busiest)
        self.profiles.explaining.led_away = self.queries.store.led_away
        self.queries.self_test.profiles = self.profiles.publishing.profiles
        self.queries.self_test.would_stop = self.profiles.publishing.would_stop
        self.queries.told.hungry = self.lists.hungry
        clients = self.profiles.clients
        clients.sightings, clients.device_at = self.network.sightings, self.network.device_at
        self.network.when_changed = self.profiles.publishing.soon
        self.blockpage = BlockPage(appliance, settings, others_of(self.profiles))
        providers = self.blockpage.store.providers
        coverage = Coverage(appliance, settings, self.profiles, self.queries, self.network, providers)
        self._rooms: Sequence[Room] = (
            self.lists,
            self.profiles,
            self.queries,
            self.network,
            self.blockpage,
            coverage,
        )

    @hook
    def register_pages(self) -> list[Page]:
        return [page for room in self._rooms for page in room.pages()]

    @hook
    def register_panels(self) -> list[Panel]:
        return [panel for room in self._rooms for panel in room.panels()]

    @hook
    def register_listeners(self) -> dict[type[Event], Listener]:
        found: dict[type[Event], list[Listener]] = {}
        for room in self._rooms:
            for event, listener in room.listeners().items():
                found.setdefault(event, []).append(listener)
        return {event: _one_after_the_other(listeners) for event, listeners in found.items()}

    @hook
    def register_jobs(self) -> list[Job]:
        return [job for room in self._rooms for job in room.jobs()]

    @hook
    def register_workers(self) -> list[Worker]:
        return [worker for room in self._rooms for worker in room.workers()]

    @hook
    def register_commands(self) -> list[Command]:
        return [command for room in self._rooms for command in room.commands()]

    @hook
    def register_data(self) -> list[Data]:
        return [data for room in self._rooms for data in room.data()]

    @hook
    async def startup(self) -> None:
        for room in self._rooms:
            await room.startup()

    @hook
    async def shutdown(self) -> None:
        for room in reversed(self._rooms):
            await room.shutdown()

    @hook
    async def health(self) -> list[Check]:
        # Whether a worker runs, what troubles it and what it had to drop is a line of the core's.
        return [check for room in self._rooms for check in await room.health()]


def _one_after_the_other(listeners: Sequence[Listener]) -> Listener:
    async def tell(event: Any) -> None:
        for listener in listeners:
            await listener(event)

    return tell
