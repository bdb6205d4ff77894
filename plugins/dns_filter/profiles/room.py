"""Profiles, who has which, the school's own entries, and what the worker is told of it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from appliance.api import (
    Appliance,
    AssignmentChanged,
    Command,
    Data,
    DirectoryChanged,
    Event,
    HomeCard,
    NotReady,
    Page,
    Panel,
    Permission,
    StoreError,
    Task,
    Transaction,
)

from ..lists.room import Lists
from ..room import Listener, Room
from ..settings import Settings
from .clients import Clients
from .entry_views import EntryViews
from .explain_views import ExplainViews
from .explaining import Explaining
from .groups import KIND, Groups
from .profile_views import ProfileViews
from .publishing import Publishing
from .store import Store
from .trial import Trial
from .views import Views


class Profiles(Room):
    """Publishes a snapshot whenever something that it says has changed."""

    def __init__(self, appliance: Appliance, settings: Settings, lists: Lists) -> None:
        self._appliance = appliance
        self.store = Store(appliance)
        self.publishing = Publishing(appliance, settings, lists, self.store)
        self.groups = Groups(appliance, settings, self.publishing.having, self.modes)
        self._views = Views(appliance, self.groups, self.publishing.profiles, self.publish)
        self._profile_views = ProfileViews(appliance, self.publishing, self.publish)
        self._entry_views = EntryViews(appliance, self.publishing, self.publish)
        self.explaining = Explaining(appliance, settings, self.publishing)
        self._trial = Trial(self.store, self.publishing)
        self._explain_views = ExplainViews(appliance, self.publishing, self.explaining)
        lists.when_changed = self.publish

    @property
    def clients(self) -> Clients:
        """Who is behind an address at this moment."""
        return self.publishing.clients

    def modes(self) -> dict[str, str]:
        """Profile -> what it does now: watch, block or off."""
        return {profile.name: profile.mode for profile in self.publishing.profiles()}

    def pages(self) -> Sequence[Page]:
        see, choose = Permission.SEE_ACTIVITY, Permission.CHOOSE_SITES
        profiles, entries, views = self._profile_views, self._entry_views, self._views
        return [
            Page("staff", "GET", "/dns_filter/profiles", profiles.all, see),
            Page("staff", "GET", "/dns_filter/profiles/{name}", profiles.one, see),
            Page("staff", "POST", "/dns_filter/profiles/{name}", profiles.change, choose),
            Page("staff", "POST", "/dns_filter/profiles/{name}/undo", profiles.undo, choose),
            Page("staff", "POST", "/dns_filter/profiles/{name}/pause", profiles.pause, choose),
            Page("staff", "GET", "/dns_filter/groups", views.groups, see),
            Page("staff", "POST", "/dns_filter/groups", views.assign, choose),
            Page("staff", "POST", "/dns_filter/groups/undo", views.undo, choose),
            Page("staff", "GET", "/dns_filter/entries", entries.entries, see),
            Page("staff", "POST", "/dns_filter/entries", entries.add, choose),
            Page("staff", "POST", "/dns_filter/entries/undo", entries.undo, choose),
            Page("staff", "GET", "/dns_filter/explain", self._explain_views.page, see),
        ]

    def panels(self) -> Sequence[Panel]:
        see, choose = Permission.SEE_ACTIVITY, Permission.CHOOSE_SITES
        return [
            HomeCard("Trial run of the web filter", "dns_filter/trial_card.html", self._trial.card, see),
            Task(
                "Let the web filter block",
                "Profiles begin with a trial run, so that no lesson is disturbed. After about a week, look through "
                "what would have been blocked, then let the pupils’ profile block.",
                "/dns_filter/profiles",
                "Look at the profiles",
                choose,
                self._trial.is_over,
            ),
        ]

    def commands(self) -> Sequence[Command]:
        return [self._explain_views.command()]

    def listeners(self) -> Mapping[type[Event], Listener]:
        return {AssignmentChanged: self.on_assignment_changed, DirectoryChanged: self.on_directory_changed}

    def data(self) -> Sequence[Data]:
        return self.store.data()

    async def startup(self) -> None:
        try:
            await self.publishing.start()  # with the lists of the last run, if this one's are not read yet
        except OSError as error:
            raise NotReady(f"The snapshot cannot be written: {error}.", "Look at the disk.") from error
        except StoreError as error:
            raise NotReady(f"What pages have set cannot be read: {error}", "It is tried again.") from error

    async def shutdown(self) -> None:
        await self.publishing.stop()

    async def on_assignment_changed(self, event: AssignmentChanged) -> None:
        """Another profile applies somewhere."""
        if event.kind == KIND:
            await self.publish()

    async def on_directory_changed(self, event: DirectoryChanged) -> None:
        """Somebody or something is in another group, or somewhere else."""
        del event
        self.publishing.soon()

    async def publish(self) -> None:
        """Give the worker what applies now, if it is not what it has."""
        await self.publishing.publish()

    async def allow_within(
        self, tx: Transaction, actor: str, domain: str, profile: str, reason: str, until: datetime | None
    ) -> str:
        """An allow entry as a part of a unit of work that keeps more (somebody was given the site that they asked for).

        Call ``publish`` after the commit.
        """
        return await self.store.add_entry_within(tx, actor, "allow", domain, profile, reason, until)
