"""Profiles, who has which, the school's own entries, and what the worker is told of it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, time

from appliance.api import (
    Appliance,
    ApplianceError,
    AssignmentChanged,
    Check,
    Command,
    Daily,
    Data,
    DirectoryChanged,
    Event,
    HomeCard,
    Job,
    NotReady,
    Page,
    Panel,
    Permission,
    State,
    StoreError,
    Task,
    Transaction,
    now,
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
        self.groups = Groups(appliance, settings, self.publishing.having, self.publishing.targets, self.modes)
        self._views = Views(appliance, self.groups, self.store, self.publishing.profiles, self.publish)
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

    def jobs(self) -> Sequence[Job]:
        return [Job("end of the trial run", Daily(time(7, 0)), self._trial.remind)]

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

    async def health(self) -> Sequence[Check]:
        """Whether the worker has what applies, and what pupils have that blocks less than it should."""
        pupils = [*self._one_for_all(), *self._switched_off(), *self._with_gaps(), *await self._trial.health()]
        return [*self._waiting(), *pupils, *self._against_locked_lists()]

    def _waiting(self) -> Sequence[Check]:
        if not self.publishing.trouble:
            return []
        words = f"What applies now cannot be handed to the web filter: {self.publishing.trouble}. The rules from before"
        todo = "Look at the disk. It is tried again all the while."
        return [Check("Rules of the web filter", State.BROKEN, f"{words} stay in force.", todo, alarm=True)]

    def _one_for_all(self) -> Sequence[Check]:
        name = self.publishing.having.one_for_all(now())
        title = next((one.title for one in self.publishing.profiles() if one.name == name), "")
        if not title:
            return []
        words = f"Everybody has the profile {title}, pupils and staff alike. One profile for all is not allowed."
        todo = "Give pupils another one: Web filter, Who has which profile; or in the settings, default_profile."
        return [Check("Profiles of pupils and staff", State.BROKEN, words, todo, alarm=True)]

    def _switched_off(self) -> Sequence[Check]:
        """A pause ends by itself; a profile that was switched off stays so until somebody sees it here."""
        off = [one for one in self.publishing.profiles() if one.mode == "off"]
        theirs = self.publishing.having.of_pupils(now()) if off else frozenset()
        titles = [one.title for one in off if one.name in theirs]
        if not titles:
            return []
        words = f"Pupils, guests or unknown devices have a profile that is switched off: {', '.join(titles)}. Nothing"
        todo = "Let it block again: Web filter, Profiles. For some minutes, pause it instead."
        return [Check("Profiles of pupils", State.WARNING, f"{words} but locked lists is blocked for them.", todo)]

    def _with_gaps(self) -> Sequence[Check]:
        """The daily test proves what a profile promises; what it does not promise any more is said here."""
        gaps = {one.name: one.gaps for one in self.publishing.profiles() if one.gaps}
        theirs = self.publishing.having.of_pupils(now()) if gaps else frozenset()
        said = [
            f"{one.title}: {' and '.join(gaps[one.name])}"
            for one in self.publishing.profiles()
            if one.name in theirs & gaps.keys()
        ]
        if not said:
            return []
        words = f"A profile of pupils, guests or unknown devices leaves gaps. {'; '.join(said)}."
        return [Check("Gaps in profiles of pupils", State.WARNING, words, "Close them: Web filter, Profiles.")]

    def _against_locked_lists(self) -> Sequence[Check]:
        """Places of help win over everything, locked lists included: whoever wrote one down there opens it."""
        try:
            locked = [
                f"{host} ({', '.join(titles)})"
                for host in self._appliance.exempt.hosts()
                if (titles := self.publishing.locked_lists_of(host))
            ]
        except ApplianceError:
            return []  # that the lists cannot be read is a line of theirs
        if not locked:
            return []
        words = f"Locked lists name what help_seeking.yaml keeps open: {'; '.join(locked)}. It is open for everybody."
        todo = "Take it out of help_seeking.yaml, or ask whoever handed the list over, if it is a place of help."
        return [Check("Locked lists", State.BROKEN, words, todo, alarm=True)]

    async def on_assignment_changed(self, event: AssignmentChanged) -> None:
        """Another profile applies somewhere."""
        if event.kind == KIND:
            await self.publish()

    async def on_directory_changed(self, event: DirectoryChanged) -> None:
        """Somebody or something is in another group, or somewhere else."""
        del event
        self.publishing.soon()

    async def publish(self) -> None:
        """Give the worker what applies now, for a page. Raises ``NotReady`` if that has to wait."""
        try:
            await self.publishing.publish()
        except OSError as error:
            raise NotReady(
                f"It is kept, but the web filter does not know of it yet: {error.strerror or error}.",
                "Look at the disk. It is tried again all the while.",
            ) from error

    async def allow_within(
        self, tx: Transaction, actor: str, domain: str, profile: str, reason: str, until: datetime | None
    ) -> str:
        """An allow entry as a part of a unit of work that keeps more (somebody was given the site that they asked for).

        An entry that does as much already is taken for it: whoever asked hears yes, not that nothing can be done.
        Call ``publish`` after the commit.
        """
        there = await self.store.allowed_within(tx, domain, profile, until)
        return there or await self.store.add_entry_within(tx, actor, "allow", domain, profile, reason, until)
