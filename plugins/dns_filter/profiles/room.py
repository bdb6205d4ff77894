"""Profiles, who has which, and what the worker is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.api import Appliance, AssignmentChanged, Event, NotReady, Page, Permission

from .. import snapshot
from ..lists.room import WORKER, Lists
from ..room import Listener, Room
from ..settings import Settings
from .groups import KIND, Groups
from .views import Views


class Profiles(Room):
    """Publishes a snapshot whenever something that it says has changed."""

    def __init__(self, appliance: Appliance, settings: Settings, lists: Lists) -> None:
        self._appliance = appliance
        self._settings = settings
        self._lists = lists
        self.groups = Groups(appliance, settings)
        self._views = Views(appliance, settings, self.groups, self.publish)
        self._publishing = asyncio.Lock()
        self._published: Mapping[str, Any] = {}
        lists.when_changed = self.publish

    def pages(self) -> Sequence[Page]:
        views = self._views
        return [
            Page("staff", "GET", "/dns_filter/groups", views.groups, Permission.OPERATE),
            Page("staff", "POST", "/dns_filter/groups", views.assign, Permission.OPERATE),
            Page("staff", "POST", "/dns_filter/groups/undo", views.undo, Permission.OPERATE),
        ]

    def listeners(self) -> Mapping[type[Event], Listener]:
        return {AssignmentChanged: self.on_assignment_changed}

    async def startup(self) -> None:
        try:
            await self.publish()  # with the lists of the last run, if this one's are not read yet
        except OSError as error:
            raise NotReady(f"The snapshot cannot be written: {error}.", "Look at the disk.") from error

    async def on_assignment_changed(self, event: AssignmentChanged) -> None:
        """Another profile applies somewhere."""
        if event.kind == KIND:
            await self.publish()

    async def publish(self) -> None:
        """Give the worker what applies now, if it is not what it has."""
        async with self._publishing:
            mapping = snapshot.build(
                self._settings, self.groups.ranges(), self._appliance.exempt.hosts(), self._lists.digests()
            )
            if mapping != self._published:
                await self._appliance.workers.publish(WORKER, mapping)
                self._published = mapping
