"""The room of bundles: puts its parts together and answers the hooks of the plugin.

Whoever puts the plugin together

* takes ``running.policies`` wherever policies from files are meant: the supplied ones or those of the bundle in force,
  the school's own files, and lists that were handed over,
* sets ``when_changed``, which is called after each change of them and at the end of the start,
* gives ``material.as_json()`` to the detection process, where ``Material.of_json(data).over(files)`` makes the same
  policies of it, and those of a trial (``Running.trial``),
* adds ``trial.notes`` to the findings there, and passes what ``weigh_findings`` gets through ``weigh`` first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import date, time, timedelta

from appliance.api import (
    Appliance,
    Check,
    Command,
    Daily,
    Data,
    Every,
    Finding,
    HomeCard,
    Job,
    NotReady,
    Page,
    Permission,
    State,
    StoreError,
    now,
)

from ..library.model import Policy
from ..library.shipped import supplied_policies
from ..school import School
from .bundle_settings import BundleSettings
from .commands import Commands
from .comparing import Sentence
from .desk import Desk
from .forces import Forces
from .import_views import ImportViews
from .keeping import Shelf
from .looking import Looking
from .previews import Previews
from .running import Material, Running
from .sources import FilePlace, Place, WebPlace
from .store import PATH, Store
from .views import Views

FOLDER = "keyword.bundles"
THE_APPLIANCE = "the appliance"


def no_sentences() -> Sequence[Sentence]:
    """Before there is a bench."""
    return ()


class Bundles:
    """Keeps bundles. ``files``: the supplied policies, then the school's own.

    ``school()``: what the school adds to them. ``sentences``: those of the test bench. ``place``: where bundles come
    from, if not as the settings say. ``taken``: names of policies that the school has made on pages.
    """

    def __init__(
        self,
        appliance: Appliance,
        settings: BundleSettings,
        files: Sequence[Policy],
        school: Callable[[], Awaitable[School]],
        sentences: Callable[[], Sequence[Sentence]] = no_sentences,
        place: Place | None = None,
        taken: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._settings = settings
        self._store = Store(appliance)
        shelf = Shelf(lambda: appliance.workers.folder(FOLDER))
        trusted = settings.trusted
        self._forces = Forces(files, shelf, trusted, taken)
        place = place or place_of(appliance, settings)
        self._looking = Looking(self._store, shelf, self._forces, place, settings.source, trusted)
        self.desk = Desk(self._store, shelf, self._forces, self._looking, self._told)
        title = appliance.categories.title
        self._previews = Previews(self._forces, sentences, school, title)
        self._views = Views(self.desk, self._previews, settings, self.age, title)
        self._import_views = ImportViews(self.desk)
        self._commands = Commands(self.desk)
        self.when_changed: Callable[[], None] = _nothing

    # What the plugin asks

    @property
    def running(self) -> Running:
        """The policies that run, without the school's decisions over them; before the start those of the files."""
        return self._forces.running

    @property
    def material(self) -> Material:
        """What the detection process needs to come to the same policies."""
        return self._forces.material

    def weigh(self, findings: Sequence[Finding]) -> Sequence[Finding]:
        """The findings that count. Those of a trial are counted, and are gone."""
        return self.desk.weigh(findings)

    def pages(self) -> Sequence[Page]:
        """Routes."""
        return [*self._views.pages(), *self._import_views.pages()]

    def panels(self) -> Sequence[HomeCard]:
        """The card of the home page."""
        return [HomeCard("Policy updates", "keyword/bundle_card.html", self._views.card, Permission.SWITCH_MONITORING)]

    def commands(self) -> Sequence[Command]:
        """Commands of the command line that need the appliance."""
        return self._commands.all()

    def data(self) -> Sequence[Data]:
        """Its tables."""
        return self._store.data()

    def jobs(self) -> Sequence[Job]:
        """Work at times."""
        return [
            Job("new policies", Daily(time(5, 15)), self.look_daily),
            Job("policies on trial", Every(timedelta(minutes=1)), self.desk.keep_counts),
        ]

    async def startup(self) -> None:
        """Read and verify what runs. What is damaged is told; the supplied policies run in its place."""
        try:
            self._forces.know_supplied({policy.name for policy in supplied_policies()})
            await self.desk.start()
        except (OSError, StoreError) as error:
            raise NotReady(f"The policies in force cannot be read: {error}.", "It is tried again.") from error
        self.when_changed()

    async def shutdown(self) -> None:
        """Keep what was counted."""
        await self._previews.close()
        await self.desk.stop()

    async def health(self) -> Sequence[Check]:
        """Whether the policies run that should, and how old they are."""
        broken = [
            Check(one.name, State.BROKEN, one.what, one.todo, alarm=True) for one in self._forces.troubles.values()
        ]
        return [*broken, await self._age_check()]

    async def _age_check(self) -> Check:
        name, days = "Policy updates", self.age()
        old = f"{self._in_force}, {days} day{'' if days == 1 else 's'} old"
        look = await self._store.look(self._settings.source) if self._looking.has_source else None
        if days > self._settings.remind_days:
            return Check(
                name, State.WARNING, f"{old}, which is more than a term.", f"Look at {PATH}, or update the appliance."
            )
        if look is not None and not look["good"]:
            return Check(name, State.WARNING, str(look["words"]), f"Look at {PATH}.")
        return Check(name, State.GOOD, f"{old}.")

    @property
    def _in_force(self) -> str:
        bundle = self._forces.bundle
        if bundle is None:
            return "In force: the policies that came with the appliance"
        return f"In force: version {bundle.version} of {bundle.name}"

    def age(self) -> int:
        """How old the policies in force are, in days: the bundle, or else the newest that is supplied."""
        bundle = self._forces.bundle
        day = bundle.date if bundle is not None else self.supplied_date
        return max((now().date() - day).days, 0)

    @property
    def supplied_date(self) -> date:
        """The day of the newest supplied policy."""
        return self._forces.supplied_date

    async def look_daily(self) -> None:
        """Look for new bundles (a job)."""
        if self._looking.has_source:
            await self.desk.look(THE_APPLIANCE)

    def _told(self) -> None:
        self.when_changed()


def place_of(appliance: Appliance, settings: BundleSettings) -> Place | None:
    """Where bundles come from; ``None`` if the settings do not say."""
    most = settings.max_mb * 1_000_000
    if not settings.source:
        return None
    if settings.is_address:
        return WebPlace(settings.source, settings.proxy, most)
    return FilePlace(appliance.config.place.resolve(settings.path), most)


def _nothing() -> None:
    """Before anybody needs to hear of changes."""
