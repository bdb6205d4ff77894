"""Plugins: let them in, ask their hooks one by one, and switch off alone whichever fails.

A plugin is tried in a child process first (``probe``): a module that cannot be imported, a constructor that spins or a
hook that is misspelt never reaches the main process. What fails later is caught by ``containment``. A plugin that is
off stays off over restarts until somebody lets it in again; what it missed is kept for it.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pluggy
from aiohttp import web

from appliance.belongings import tables_of
from appliance.clock import stamp
from appliance.containment import Containment, PassThrough, PluginFailure, TooSlow
from appliance.errors import ApplianceError, NotReady, PluginError, PluginOff, StoreError
from appliance.events import PluginSwitchedOff
from appliance.hookspecs import (
    PROJECT,
    Check,
    Circumstances,
    Command,
    Data,
    DnsClient,
    Fact,
    HomeCard,
    Hooks,
    Job,
    Menu,
    Overlay,
    Page,
    State,
    Task,
    View,
)
from appliance.migrate import migrate
from appliance.observations import Detector, EndpointDevice, Finding, Observation
from appliance.plugin_finder import Found, implemented_hooks, import_plugin
from appliance.probe import Trouble
from appliance.registered import Registered, check_detectors, check_registered

if TYPE_CHECKING:
    from appliance.app import Appliance
    from appliance.db import Row, Transaction

T = TypeVar("T")
PanelType = TypeVar("PanelType", Menu, HomeCard, Task, Fact)

STARTUP_PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0)
STARTUP_TIMES = 6
"""How many times as long as another call a plugin's ``startup`` may take: it reads what it works with."""
SLOW_STARTUPS = 3
"""After how many that did not come back a plugin is off: until then the box may only have been busy."""
FAILURES_KEPT = 20
OVERLAY_SECONDS = 1.0
"""Each client is asked about every few seconds, one after the other: a plugin answers from memory."""
MIGRATION_SECONDS = 120.0
TODO = (
    "Put it right, then press “Try again” on the Status page or run `appliance plugin reset {name}`. "
    "To take it out together with its data, take it out of the settings file and run `appliance plugin remove {name}`."
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PluginState:
    """What the pages show of one plugin that the settings name."""

    name: str
    state: Literal["on", "waiting", "off"]
    title: str
    summary: str
    source: str
    folder: Path | None = None
    hooks: tuple[str, ...] = ()
    data: tuple[Data, ...] = ()
    reason: str = ""
    todo: str = ""
    trace: str = ""
    since: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Something of a plugin that is on failed once: a page, a job, a listener, records of a worker."""

    owner: str
    doing: str
    reason: str
    at: str


class Plugins:
    """The plugins that the settings name, in their order."""

    def __init__(self, found: Mapping[str, Found], containment: Containment) -> None:
        self._found = found
        self._containment = containment
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(Hooks)
        self._registered: dict[str, Registered] = {}
        self._states: dict[str, PluginState] = {}
        self._failures: list[Failure] = []
        self._waiting: set[asyncio.Task[None]] = set()
        self._slow: Counter[str] = Counter()
        self._appliance: Appliance | None = None

    # Letting in

    async def start(self, appliance: Appliance, troubles: Mapping[str, Trouble]) -> None:
        """Load, migrate and start every plugin that the settings name; whichever fails is off, alone.

        ``troubles``: those that failed already when they were tried in a child process.
        """
        self._appliance = appliance
        names = tuple(appliance.config.settings.plugins)
        off = {row["name"]: row for row in await appliance.records.fetch("SELECT * FROM plugins_off")}
        for name in names:
            self._states[name] = self._first_state(name, off.get(name))
        refused = [await self._let_in(name, troubles.get(name)) for name in names if name not in off]
        for registered in self._registered.values():  # before anything is published that they may want to hear of
            await appliance.bus.subscribe(registered.name, registered.listeners)
        await appliance.bus.keep_only(set(names))
        for failure in refused:
            if failure is not None:
                await self._switch_off(failure.owner, failure.reason, failure.trace)
        await self._start_all([self._registered[name] for name in names if name in self._registered])

    def _first_state(self, name: str, off: Row | None) -> PluginState:
        found = self._found[name]
        state = PluginState(name, "waiting", name.replace("_", " ").capitalize(), "", found.source)
        if off is None:
            return state
        reason, todo, trace, since = off["reason"], off["todo"], off["trace"], off["since"]
        return replace(state, state="off", reason=reason, todo=todo, trace=trace, since=since)

    async def _let_in(self, name: str, trouble: Trouble | None) -> PluginFailure | None:
        """Load one plugin and make its tables; what stands in its way is returned, not raised."""
        if trouble is not None:
            return PluginFailure(name, "being tried", trouble.reason, trouble.trace)
        try:
            registered = self._containment.call(name, "being loaded", lambda: self.load(name, self._services))
            await self._containment.run(name, "migration", lambda: self._migrate(registered), MIGRATION_SECONDS)
        except PluginFailure as failure:
            return failure
        except ApplianceError as error:
            return PluginFailure(name, "being loaded", str(error))
        self._admit(registered)
        return None

    def load(self, name: str, appliance: Appliance) -> Registered:
        """Import, make and ask one plugin, without starting it. Raises ``PluginError`` or the plugin's own errors."""
        registered = self._make(name, appliance)
        registered.pages = tuple(self._ask(name, "register_pages"))
        registered.panels = tuple(self._ask(name, "register_panels"))
        registered.events = tuple(self._ask(name, "register_events"))
        registered.listeners = dict(self._ask(name, "register_listeners"))
        registered.jobs = tuple(self._ask(name, "register_jobs"))
        registered.workers = tuple(self._ask(name, "register_workers"))
        registered.data = tuple(self._ask(name, "register_data"))
        registered.detectors = tuple(self._ask(name, "register_detectors"))
        registered.commands = tuple(self._ask(name, "register_commands"))
        check_registered(registered, appliance.bus.types())
        return registered

    def load_detectors(self, name: str, appliance: Appliance) -> tuple[Detector, ...]:
        """Make one plugin for the detection process, which asks it for nothing else. Raises as ``load`` does."""
        self._make(name, appliance)
        detectors = tuple(self._ask(name, "register_detectors"))
        check_detectors(detectors)
        return detectors

    def load_verdicts(self, name: str, appliance: Appliance) -> Callable[..., object]:
        """Make one plugin for the process that asks it for nothing but ``dns_verdict``. Raises as ``load`` does."""
        verdict: Callable[..., object] = self._make(name, appliance).plugin.dns_verdict
        return verdict

    def _make(self, name: str, appliance: Appliance) -> Registered:
        found = self._found[name]
        plugin_class = import_plugin(found, appliance.config.place.drop_in_dir)
        module = importlib.import_module(found.module)
        plugin = plugin_class(appliance, appliance.config.plugins[name])
        self._manager.register(plugin, name)
        folder = Path(str(module.__file__)).parent
        return Registered(name, plugin, folder, module.__name__, implemented_hooks(plugin_class))

    def _ask(self, name: str, hook: str) -> Any:
        """One plugin's answer to a synchronous hook; nothing registered is an empty answer."""
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            if implementation.plugin_name == name:
                answer = self._containment.call(name, hook, implementation.function)
                if answer is None:
                    raise PluginError(f"{hook} returned nothing; it must return what it registers.")
                return answer
        return ()

    async def _migrate(self, registered: Registered) -> None:
        appliance = self._services
        folder, backups = registered.folder / "migrations", appliance.config.settings.storage.state_dir / "backups"
        await migrate(appliance.records, registered.name, folder, backups)
        await migrate(appliance.activity, registered.name, folder / "activity")
        declared = {(data.store, data.table) for data in registered.data}
        made = {("records", table) for table in await tables_of(appliance.records, registered.name)}
        made |= {("activity", table) for table in await tables_of(appliance.activity, registered.name)}
        if made - declared:
            store, table = sorted(made - declared)[0]
            raise PluginError(f"The table {table} ({store}) is not named in register_data.", "Say what it holds.")
        if declared - made:
            store, table = sorted(declared - made)[0]
            raise PluginError(f"register_data names {table} ({store}), which no migration makes.")
        for data in registered.data:
            database = appliance.records if data.store == "records" else appliance.activity
            columns = {
                row["name"] for row in await database.fetch("SELECT name FROM pragma_table_info(?)", (data.table,))
            }
            if data.time_column is not None and data.time_column not in columns:
                raise PluginError(f"The table {data.table} has no column {data.time_column} for its retention.")

    def _admit(self, registered: Registered) -> None:
        name, bus, workers = registered.name, self._services.bus, self._services.workers
        self._registered[name] = registered
        for event in registered.events:
            bus.register(name, event)
        for worker in registered.workers:
            workers.register(name, worker)
        doc = (type(registered.plugin).__doc__ or "").strip()
        self._states[name] = replace(
            self._states[name],
            title=str(getattr(registered.plugin, "title", self._states[name].title)),
            summary=doc.splitlines()[0] if doc else "",
            folder=registered.folder,
            hooks=registered.hooks,
            data=registered.data,
        )

    # Starting and stopping

    async def _start_all(self, plugins: Sequence[Registered]) -> None:
        """Start all together. Those that take longer than a call may go on while the others already work."""
        if not plugins:
            return
        starting = {self._later(self._start_one(registered)): registered.name for registered in plugins}
        started, slow = await asyncio.wait(starting, timeout=self._containment.seconds)
        for task in started:
            task.result()
        for task in slow:
            self._wait(starting[task], "It is still starting.")

    def _later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        return task

    def _wait(self, name: str, reason: str) -> None:
        self._states[name] = replace(self._states[name], reason=reason)

    async def _start_one(self, registered: Registered) -> None:
        if not await self._is_settled(registered):
            self._later(self._try_again(registered))

    async def _try_again(self, registered: Registered) -> None:
        for number in count():
            await asyncio.sleep(STARTUP_PAUSES[min(number, len(STARTUP_PAUSES) - 1)])
            if await self._is_settled(registered):
                return

    async def _is_settled(self, registered: Registered) -> bool:
        """Try to start a plugin. Whether it is on or off now, and needs no further try."""
        name = registered.name
        try:
            await self._startup(registered)
        except NotReady as reason:
            self._wait(name, str(reason))
            return False
        except TooSlow as error:
            self._slow[name] += 1
            if self._slow[name] < SLOW_STARTUPS:
                log.warning("The plugin %s: startup %s. It is tried again.", name, error.reason)
                self._wait(name, f"It {error.reason}.")
                await self._shutdown(registered)
                return False
            await self._switch_off(name, error.reason)
        except PluginError as error:
            await self._switch_off(name, _reason(error), _trace(error))
        return True

    async def _startup(self, registered: Registered) -> None:
        name, appliance = registered.name, self._services
        registered.begun = True
        await self._hook(registered, "startup", STARTUP_TIMES * self._containment.seconds)
        for job in registered.jobs:
            appliance.schedule.add(name, job)
        appliance.bus.start(name)
        self._states[name] = replace(self._states[name], state="on", reason="")

    async def stop(self) -> None:
        """Ask every started plugin to shut down, each for a bounded time."""
        for task in tuple(self._waiting):
            task.cancel()
        if self._waiting:
            await asyncio.wait(tuple(self._waiting))
        await asyncio.gather(*(self._shutdown(registered) for registered in self._registered.values()))

    async def _shutdown(self, registered: Registered) -> None:
        if not registered.begun:
            return
        registered.begun = False
        try:
            await self._hook(registered, "shutdown", seconds=2.0)
        except TooSlow as slow:  # it ends now in any case, and starts afresh
            log.warning("The plugin %s: shutdown %s.", registered.name, slow.reason)
        except PluginFailure as failure:
            await self._switch_off(registered.name, failure.reason, failure.trace)
        except NotReady as error:
            await self._switch_off(registered.name, f"shutdown failed: {error}")

    async def _hook(self, registered: Registered, hook: str, seconds: float | None = None) -> Any:
        if hook not in registered.hooks:
            return None
        return await self._containment.run(registered.name, hook, getattr(registered.plugin, hook), seconds)

    async def _switch_off(self, name: str, reason: str, trace: str = "") -> None:
        """Switch one plugin off: no more pages, jobs, events. Its workers go on with what they have."""
        appliance = self._services
        reason = reason if reason.endswith((".", "!", "?")) else f"{reason}."
        log.error("The plugin %s was switched off: %s", name, reason)
        state = replace(
            self._states[name], state="off", reason=reason, todo=TODO.format(name=name), trace=trace, since=stamp()
        )
        self._states[name] = state
        registered = self._registered.get(name)
        appliance.schedule.remove(name)
        appliance.detection.refresh_soon()
        await appliance.bus.stop(name)
        async with appliance.records.transaction() as tx:
            await write_off(tx, state)
            await appliance.audit.record(tx, "the appliance", "switched off plugin", name, {"reason": reason})
            await appliance.bus.publish(tx, PluginSwitchedOff(plugin=name, reason=reason))
        if registered is not None and registered.begun:
            registered.begun = False
            try:
                await self._hook(registered, "shutdown", seconds=2.0)
            except (PluginFailure, NotReady) as error:
                log.warning("%s did not shut down: %s", name, error)

    # Asking

    def states(self) -> list[PluginState]:
        """Every plugin that the settings name."""
        return list(self._states.values())

    def is_on(self, name: str) -> bool:
        """Whether the plugin is let in and not switched off."""
        state = self._states.get(name)
        return state is not None and state.state == "on"

    def pages(self) -> list[tuple[str, Page]]:
        """All plugins' pages with their owners."""
        return [(name, page) for name, registered in self._registered.items() for page in registered.pages]

    def panels(self, kind: type[PanelType]) -> list[tuple[str, PanelType]]:
        """Panels of one kind of the plugins that are on, sorted by order and title."""
        found = [
            (name, panel)
            for name, registered in self._registered.items()
            if self.is_on(name)
            for panel in registered.panels
            if isinstance(panel, kind)
        ]
        return sorted(found, key=lambda pair: (getattr(pair[1], "order", 50), pair[1].title))

    async def endpoint_policies(self, device: EndpointDevice) -> dict[str, Mapping[str, Any]]:
        """What each plugin that is on wants a browser to know, by the plugin's name; one that fails gives nothing."""
        found: dict[str, Mapping[str, Any]] = {}
        for name, registered in self._registered.items():
            if not self.is_on(name) or "endpoint_policy" not in registered.hooks:
                continue
            ask = partial(registered.plugin.endpoint_policy, device=device)
            try:
                found[name] = await self.run(name, "endpoint_policy", ask)
            except (PluginError, PluginOff) as error:
                log.warning("%s has no policy for devices: %s", name, error)
        return found

    def browser_files(self) -> dict[str, Mapping[str, bytes]]:
        """What each plugin that was let in has made for browsers, by its name; one that fails is not in it."""
        found: dict[str, Mapping[str, bytes]] = {}
        for name in self._registered:
            try:
                files = dict(self._ask(name, "browser_files"))
                if any(not isinstance(path, str) or not isinstance(content, bytes) for path, content in files.items()):
                    raise PluginError("browser_files must return bytes by path.")
                found[name] = files
            except (ApplianceError, TypeError, ValueError) as error:
                log.warning("Browsers do without %s: %s", name, error)
        return found

    async def weigh(
        self, name: str, subject: Circumstances, observation: Observation, findings: Sequence[Finding]
    ) -> object:
        """What one plugin answers to ``weigh_findings``, unchecked and uncontained: call it with ``run``."""
        answer: object = await self._registered[name].plugin.weigh_findings(
            subject=subject, observation=observation, findings=findings
        )
        return answer

    def with_hook(self, hook: str) -> list[str]:
        """The plugins that are on and answer this hook."""
        return [name for name, found in self._registered.items() if hook in found.hooks and self.is_on(name)]

    async def dns_overlays(self, client: DnsClient) -> dict[str, Overlay | None]:
        """What each plugin that is on wants for a client, by the plugin's name; one that fails is not in it."""
        found: dict[str, Overlay | None] = {}
        for name in self.with_hook("dns_overlay"):
            ask = partial(self._overlay, name, client)
            try:
                found[name] = await self.run(name, "dns_overlay", ask, OVERLAY_SECONDS)
            except (PluginError, PluginOff) as error:
                log.warning("%s did not say what applies to a client: %s", name, error)
        return found

    async def _overlay(self, name: str, client: DnsClient) -> Overlay | None:
        answer = await self._registered[name].plugin.dns_overlay(client=client)
        if answer is not None and not isinstance(answer, Overlay):
            raise PluginError(f"dns_overlay returned {type(answer).__name__}, not Overlay.")
        return answer

    def command(self, words: Sequence[str]) -> tuple[str, Command] | None:
        """The command of a plugin that is on which these words begin with, and whose it is."""
        for name, registered in self._registered.items():
            for command in registered.commands if self.is_on(name) else ():
                if tuple(words[: len(command.path)]) == command.path:
                    return name, command
        return None

    def commands(self) -> list[Command]:
        """The commands of the plugins that are on."""
        on = [registered for name, registered in self._registered.items() if self.is_on(name)]
        return sorted((one for registered in on for one in registered.commands), key=lambda command: command.path)

    def detectors(self) -> list[str]:
        """The plugins whose detectors are to be asked. One that waits for something to start can judge already."""
        return [name for name in self._with_detectors() if self._states[name].state != "off"]

    def detectors_of(self, name: str) -> tuple[Detector, ...]:
        """The detectors that one plugin has registered."""
        return self._registered[name].detectors

    def silent_detectors(self) -> list[str]:
        """The plugins whose detectors are not asked because they were switched off."""
        return [name for name in self._with_detectors() if self._states[name].state == "off"]

    def _with_detectors(self) -> list[str]:
        return [name for name, registered in self._registered.items() if registered.detectors]

    def folders(self) -> dict[str, Path]:
        """The folders of the plugins that were let in (templates, static files)."""
        return {name: registered.folder for name, registered in self._registered.items()}

    def data(self) -> list[tuple[str, Data]]:
        """What every plugin that was let in keeps, for retention and for the pages."""
        return [(name, data) for name, registered in self._registered.items() for data in registered.data]

    def job(self, owner: str, name: str) -> Job:
        """A job that a plugin registered."""
        return next(job for job in self._registered[owner].jobs if job.name == name)

    async def run(
        self,
        owner: str,
        doing: str,
        call: Callable[[], Awaitable[T]],
        seconds: float | None = None,
        *,
        is_private: bool = False,
    ) -> T:
        """Run a plugin's code contained. A failure is noted for the status page and raised as ``PluginError``.

        ``is_private``: it handles what children write, so that of a failure no message is told or logged.
        """
        if owner in self._states and self._states[owner].state == "off":
            raise PluginOff(f"{self._states[owner].title} is switched off.", "See the status page.")
        try:
            return await self._containment.run(owner, doing, call, seconds)
        except PluginFailure as failure:
            told = failure.without_words() if is_private else failure
            self._note_failure(owner, doing, told.reason)
            raise told from None if is_private else failure.__cause__
        except NotReady as error:
            words = "was not ready" if is_private else str(error)
            self._note_failure(owner, doing, words)
            raise PluginError(words) from None if is_private else error

    def _note_failure(self, owner: str, doing: str, reason: str) -> None:
        log.warning("%s: %s %s", owner, doing, reason)
        self._failures = [*self._failures, Failure(owner, doing, reason, stamp())][-FAILURES_KEPT:]

    async def run_view(self, owner: str, view: View, request: web.Request) -> web.StreamResponse:
        """Let a plugin's view answer; an HTTP exception such as a redirect is an answer."""

        async def answer() -> web.StreamResponse:
            try:
                return await view(request)
            except (web.HTTPException, ApplianceError) as error:
                raise PassThrough(error) from error

        try:
            response = await self.run(owner, f"page {request.path}", answer)
        except PassThrough as passed:
            raise passed.answer from None
        if not isinstance(response, web.StreamResponse):
            raise PluginFailure(owner, f"page {request.path}", "returned no response")
        return response

    async def checks(self) -> list[Check]:
        """The plugins' own checks, and one line for each plugin."""
        answers = await asyncio.gather(*(self._checks_of(registered) for registered in self._registered.values()))
        return [check for found in answers for check in found] + [self._check(state) for state in self._states.values()]

    async def _checks_of(self, registered: Registered) -> list[Check]:
        if not self.is_on(registered.name):
            return []
        try:
            found = list(await self._hook(registered, "health") or ())
            wrong = [item for item in found if not isinstance(item, Check)]
            if wrong:
                raise PluginFailure(registered.name, "health", f"returned {type(wrong[0]).__name__}, not Check")
        except PluginFailure as failure:
            # a busy store, or a busy box, is no fault of the plugin's
            if isinstance(failure, TooSlow) or isinstance(failure.__cause__, StoreError):
                title = f"Plugin {self._states[registered.name].title}"
                return [Check(title, State.BROKEN, f"It cannot say how it is: {failure.reason}", "It is asked again.")]
            await self._switch_off(registered.name, f"health {failure.reason}", failure.trace)
            return []
        except (NotReady, TypeError) as error:
            await self._switch_off(registered.name, f"health failed: {error}")
            return []
        return found

    def _check(self, state: PluginState) -> Check:
        title = f"Plugin {state.title}"
        if state.state == "off":
            return Check(title, State.BROKEN, f"Switched off: {state.reason}", state.todo, alarm=True)
        if state.state == "waiting":
            return Check(title, State.WARNING, f"Waits: {state.reason}", "It tries again by itself.")
        mine = [failure for failure in self._failures if failure.owner == state.name]
        if mine:
            last = mine[-1]
            words = f"{len(mine)} recent failures, the last at {last.at}: {last.doing} {last.reason}"
            return Check(title, State.WARNING, words, "Tell the plugin's author; everything else goes on.")
        return Check(title, State.GOOD, "Works.")

    @property
    def _services(self) -> Appliance:
        assert self._appliance is not None, "start comes first"
        return self._appliance


def _reason(error: PluginError) -> str:
    return error.reason if isinstance(error, PluginFailure) else str(error)


def _trace(error: PluginError) -> str:
    return error.trace if isinstance(error, PluginFailure) else ""


async def write_off(tx: Transaction, state: PluginState, again_at: str | None = None) -> None:
    """Remember over restarts that a plugin is off. ``again_at``: when it is let in again by itself."""
    await tx.execute(
        "INSERT OR REPLACE INTO plugins_off (name, reason, todo, trace, since, again_at) VALUES (?, ?, ?, ?, ?, ?)",
        (state.name, state.reason, state.todo, state.trace, state.since, again_at),
    )
