"""The main process: one generation of services after another on the same listening sockets, until told to stop."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import time, timedelta
from pathlib import Path
from typing import Any, TextIO

from appliance.accounts.signing_in import Memory
from appliance.app import Appliance, build, open_stores, start, stop
from appliance.belongings import remove_belongings
from appliance.bench.answering import answer
from appliance.clock import now, stamp
from appliance.command_socket import Command, Reply, serve_commands
from appliance.config import ConfigError, PageValue, Place, Settings, check, read_source
from appliance.containment import Containment, Note, Stall, attribute_tasks, read_stall, watch_for_stalls
from appliance.control import SECOND_CHANCE, Outcome, let_in_since
from appliance.db import Database, refuse_if_used
from appliance.errors import ApplianceError, CannotStart, Refused
from appliance.hookspecs import Check, Daily, Job, State
from appliance.loading import Loaded, load, resource
from appliance.memory import settle
from appliance.migrate import CORE, migrate
from appliance.net import bind_all, bracketed, lan_addresses
from appliance.notify import notify, watchdog_seconds
from appliance.plugin_commands import listed, run_words
from appliance.plugins import TODO, PluginState, write_off
from appliance.trust import Authority, ServerCertificate, ssl_context
from appliance.web.deadline import GREETED
from appliance.web.server import WebServer
from appliance.worker_link import SNAPSHOT

PORT_TODO = "Stop it, or set another port with web.port in {file}."
SWAP_PAUSE_SECONDS = 0.2
"""Long enough for the answer that announces a swap to leave the house."""
BEAT_SECONDS = 1.0

ONE_CHANCE_IN = timedelta(days=1)
SECOND_CHANCE_WORDS = (
    "It is let in again by itself three minutes later, because the box may only have been busy; if it stands still "
    "once more within a day, it stays off."
)

log = logging.getLogger(__name__)


class MainProcess:
    """Everything of ``appliance run``. Also the ``Reloader`` that ``Control`` asks to change what runs."""

    def __init__(
        self, place: Place, announce: Callable[[str], None], companion: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """``companion`` runs beside the services from their start to the end of the process (the demonstration)."""
        self._place = place
        self._announce = announce
        self._companion = companion
        self._loaded: Loaded | None = None
        self._appliance: Appliance | None = None
        self._web: WebServer | None = None
        self._memory = Memory()
        self._sockets: list[socket.socket] = []
        self._plain_sockets: list[socket.socket] = []
        self._plain_trouble: CannotStart | None = None
        self._containment: Containment | None = None
        self._trace_file: TextIO | None = None
        self._stall: Stall | None = None
        self._outcome: Outcome | None = None
        self._changing = asyncio.Lock()
        self._swap: asyncio.Task[None] | None = None
        self._fatal: BaseException | None = None
        self._reload_task: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._certificate: ServerCertificate | None = None
        self._authority: Authority | None = None

    @property
    def appliance(self) -> Appliance:
        """The generation that runs now."""
        assert self._appliance is not None
        return self._appliance

    # Running

    async def run(self) -> None:
        """Start, serve until a signal, stop. Raises ``ConfigError`` or ``CannotStart`` before anything has started."""
        attribute_tasks(asyncio.get_running_loop())
        self._handle_signals()
        await self._blame_stalled_plugin()
        loaded = await load(self._place)
        settings = loaded.config.settings
        _make_folders(settings)
        refuse_if_used(settings.storage.state_dir / "records.db")
        self._sockets = self._bind(settings)
        self._bind_plain(settings)
        self._watch(settings)
        try:
            await self._serve(loaded)
        finally:  # also after a start that failed half-way: the stores' threads would keep the process alive
            await self._stop_generation()
            self._memory.close()
            for listening in (*self._sockets, *self._plain_sockets):
                listening.close()

    async def _serve(self, loaded: Loaded) -> None:
        await self._start_generation(loaded)
        commands = await serve_commands(loaded.config.settings.storage.run_dir, self._commands())
        accompanied: asyncio.Task[None] | None = None
        try:
            await self._say_ready()
            accompanied = asyncio.create_task(self._accompany(), name="companion")
            await self._beat_until_stopped()
            if self._fatal is not None:
                raise self._fatal
        finally:
            notify("STOPPING=1")
            if accompanied is not None:
                accompanied.cancel()
                await asyncio.wait({accompanied})
            commands.close()
            await self._give_up_swap()

    async def _accompany(self) -> None:
        if self._companion is None:
            return
        try:
            await self._companion()
        except (ApplianceError, OSError, sqlite3.Error) as error:
            self._fatal = error
            self.stop_soon()

    async def _give_up_swap(self) -> None:
        if self._swap is not None and not self._swap.done():
            self._swap.cancel()
            await asyncio.wait({self._swap})

    def stop_soon(self) -> None:
        """Let ``run`` come to its end."""
        self._stopping.set()

    def _handle_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop_soon)
        loop.add_signal_handler(signal.SIGHUP, self._reload_for_signal)

    def _reload_for_signal(self) -> None:
        self._reload_task = asyncio.create_task(self._reload_and_tell())

    async def _reload_and_tell(self) -> None:
        outcome = await self.wait_for_swap(await self.appliance.control.reload("a signal (SIGHUP)"))
        log.info("%s %s", outcome.words, "; ".join(map(str, outcome.mistakes)))

    async def _beat_until_stopped(self) -> None:
        period = min(BEAT_SECONDS, (watchdog_seconds() or 60) / 3)
        while not self._stopping.is_set():
            notify("WATCHDOG=1")
            with suppress(TimeoutError):
                async with asyncio.timeout(period):
                    await self._stopping.wait()

    def _bind(self, settings: Settings) -> list[socket.socket]:
        return bind_all(settings.web.listen, settings.web.port, PORT_TODO.format(file=self._place.config_file))

    def _bind_plain(self, settings: Settings) -> None:
        """Listen for plain HTTP, in place of where it was. A held port is no reason not to start."""
        for listening in self._plain_sockets:
            listening.close()
        self._plain_sockets, self._plain_trouble = [], None
        if settings.web.http_port:
            try:
                todo = "Stop it, or set another port with web.http_port, then start the appliance again."
                self._plain_sockets = bind_all(settings.web.listen, settings.web.http_port, todo)
            except CannotStart as error:
                self._plain_trouble = error
                log.warning("Plain HTTP is not answered: %s", error)

    def _watch(self, settings: Settings) -> None:
        note, trace = _watch_files(settings)
        self._containment = Containment(Note(note), settings.limits.hook_seconds)
        self._trace_file = watch_for_stalls(trace)

    # One generation

    async def _start_generation(
        self, loaded: Loaded, forgive: Sequence[str] = (), undo: Callable[[Database], Awaitable[None]] | None = None
    ) -> None:
        """Start ``loaded``; ``undo`` and ``forgive`` first take back what a failed generation left in the store."""
        assert self._containment is not None
        self._containment.seconds = loaded.config.settings.limits.hook_seconds
        appliance = build(loaded.config, loaded.found, self._containment, self, self._memory)
        self._appliance, self._loaded = appliance, loaded
        await open_stores(appliance)
        if undo is not None:
            await undo(appliance.records)
        await _forgive(appliance.records, forgive)
        await self._start_web(appliance)

    async def _start_web(self, appliance: Appliance) -> None:
        settings = appliance.config.settings
        self._authority = Authority.open(
            settings.storage.state_dir / "trust", settings.web.domain, settings.school.name or "A school"
        )
        self._certificate = self._renew()
        assert self._loaded is not None
        await start(appliance, self._loaded.troubles)
        appliance.schedule.add(CORE, Job("certificate", Daily(time(4, 30)), self._renew_if_due))
        appliance.health.add(self._checks)
        context = ssl_context(self._certificate)
        appliance.second_authority.serve_on(context, GREETED.get)
        self._web = WebServer(
            appliance, self._sockets, context, self._authority, self._certificate, self._plain_sockets
        )
        settle()
        await self._web.start()
        await appliance.health.refresh()

    async def _stop_generation(self) -> None:
        if self._web is not None:
            await self._web.stop()
            self._web = None
        if self._appliance is not None:
            await stop(self._appliance)

    def _renew(self) -> ServerCertificate:
        assert self._authority is not None
        assert self._loaded is not None
        domain = self._loaded.config.settings.web.domain
        names = [f"{site}.{domain}" for site in ("staff", "pupil", "endpoint")] + [domain, "localhost"]
        return self._authority.ensure_server_certificate(names, ["127.0.0.1", "::1", *lan_addresses()])

    async def _renew_if_due(self) -> None:
        if self._certificate is None or self._renew().fingerprint == self._certificate.fingerprint:
            return
        async with self.changing():
            self.swap_soon(await self.prepare())

    async def _checks(self) -> list[Check]:
        """What the main process itself knows: how its last run ended, what the settings had to leave out."""
        checks = []
        if self._stall is not None:
            who = f" in the plugin {self._stall.plugin}" if self._stall.plugin else ""
            words = f"The main process stood still{who} ({self._stall.what or 'its own code'}) and was started again."
            checks.append(Check("Last run", State.WARNING, words, "Show this to whoever looks after the appliance."))
        if self._plain_trouble is not None:
            words = f"{self._plain_trouble.what} Nobody is told why a site is blocked."
            checks.append(Check("Plain HTTP", State.WARNING, words, self._plain_trouble.todo))
        checks += [
            Check("Settings", State.WARNING, note, "Undo the change on the Settings page.")
            for note in self.appliance.config.notes
        ]
        if self._outcome is not None and not self._outcome.applied:
            checks.append(Check("Latest change of settings", State.WARNING, self._outcome.words))
        return checks

    # A main loop that stood still

    async def _blame_stalled_plugin(self) -> None:
        """If the last run was ended because a plugin spun, that plugin stays off, before it is even imported."""
        try:
            source = read_source(self._place)
            core = check(source, {})
        except ConfigError:
            return  # load() will say all of it
        self._stall = read_stall(*_watch_files(core.settings))
        if self._stall is None or self._stall.plugin not in source.plugin_names:
            return
        records = Database(core.settings.storage.state_dir / "records.db")
        await records.open()
        try:
            await migrate(records, CORE, resource("migrations"))
            await _write_stall(records, self._stall)
        finally:
            await records.close()

    # Changing what runs (Reloader)

    def last_outcome(self) -> Outcome | None:
        """What became of the latest swap."""
        return self._outcome

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[None]:
        """One change at a time, from looking at it to its swap. Raises ``Refused`` while another is under way."""
        if self._changing.locked() or (self._swap is not None and not self._swap.done()):
            raise Refused("Another change is being applied.", "Try again in a moment.")
        async with self._changing:
            yield

    async def prepare(
        self, page_values: Sequence[PageValue] | None = None, let_in: str = "", changed: str = ""
    ) -> Loaded:
        """Check everything without touching what runs. Raises ``ConfigError`` or ``Refused``."""
        running = [state.name for state in self.appliance.plugins.states() if state.state != "off"]
        loaded = await load(self._place, page_values, running=running, let_in=let_in, changed=changed)
        before, after = self.appliance.config.settings, loaded.config.settings
        if before.storage != after.storage:
            raise Refused(
                "The folders (storage) cannot change while the appliance runs.", "Stop it and start it again."
            )
        for name, trouble in loaded.troubles.items():
            if self.appliance.plugins.is_on(name):
                raise Refused(f"The plugin {name} would not start again: {trouble.reason}")
        return loaded

    def swap_soon(self, loaded: Loaded, roll_back: Callable[[Database], Awaitable[None]] | None = None) -> None:
        """Replace what runs by ``loaded``, after the answer that is being made has been sent."""
        self._swap = asyncio.create_task(self._swap_after_pause(loaded, roll_back), name="swap")
        self._swap.add_done_callback(self._look_at_swap)

    def _look_at_swap(self, swap: asyncio.Task[None]) -> None:
        """Neither the new nor the old generation started: end, so that the supervisor starts this process afresh."""
        if not swap.cancelled() and swap.exception() is not None:
            self._fatal = swap.exception()
            self.stop_soon()

    async def _swap_after_pause(self, loaded: Loaded, roll_back: Callable[[Database], Awaitable[None]] | None) -> None:
        await asyncio.sleep(SWAP_PAUSE_SECONDS)
        await self._swap_now(loaded, roll_back)

    async def _swap_now(
        self, loaded: Loaded, roll_back: Callable[[Database], Awaitable[None]] | None = None
    ) -> Outcome:
        """Stop what runs and start ``loaded``; if that does not start as it should, bring the old one back."""
        assert self._loaded is not None
        before, old_sockets = self._loaded, self._sockets
        plain_moves = _plain(before.config.settings) != _plain(loaded.config.settings)
        was_on = [state.name for state in self.appliance.plugins.states() if state.state == "on"]
        try:
            if before.config.settings.web != loaded.config.settings.web:
                self._sockets = self._rebind(before.config.settings, loaded.config.settings)
            await self._stop_generation()
            if plain_moves:
                self._bind_plain(loaded.config.settings)
            await self._start_generation(loaded)
            fallen = self._fallen(was_on)
        except (ApplianceError, OSError, ValueError, TypeError, LookupError, sqlite3.Error) as error:
            log.exception("The next generation did not start")
            fallen = {}
            reason = str(error) or type(error).__name__
        else:
            reason = "; ".join(f"the plugin {name} would not start: {why}" for name, why in fallen.items())
        if reason:
            await self._stop_generation()
            self._sockets = old_sockets
            if plain_moves:
                self._bind_plain(before.config.settings)
            await self._start_generation(before, forgive=tuple(fallen), undo=roll_back)
            self._outcome = Outcome(False, f"Nothing was changed: {reason}")
        else:
            for listening in set(old_sockets) - set(self._sockets):
                listening.close()
            self._outcome = Outcome(True, f"Settings applied at {stamp()}.")
        log.info("%s", self._outcome.words)
        await self._announce_workers()
        await self.appliance.health.refresh()
        return self._outcome

    def _rebind(self, before: Settings, after: Settings) -> list[socket.socket]:
        """Sockets for the new addresses, bound before the old ones go."""
        if (before.web.listen, before.web.port) == (after.web.listen, after.web.port):
            return self._sockets
        if before.web.port == after.web.port:
            raise Refused("web.listen can only change together with web.port while the appliance runs.")
        return self._bind(after)

    def _fallen(self, was_on: Sequence[str]) -> dict[str, str]:
        return {
            state.name: state.reason
            for state in self.appliance.plugins.states()
            if state.name in was_on and state.state == "off"
        }

    async def wait_for_swap(self, outcome: Outcome) -> Outcome:
        """For the command line, which can wait: what became of a change that was accepted."""
        if not outcome.applied or self._swap is None:
            return outcome
        await asyncio.wait({self._swap})
        if self._swap.cancelled() or self._swap.exception() is not None:
            return Outcome(False, "The change failed, and the appliance is started again.")
        return self._outcome or outcome

    # The command line

    def _commands(self) -> Mapping[str, Command]:
        return {
            "reload": self._command_reload,
            "plugin reset": self._command_plugin_reset,
            "plugin changed": self._command_plugin_changed,
            "plugin remove": self._command_plugin_remove,
            "setup-link": self._command_setup_link,
            "status": self._command_status,
            "events retry": self._command_events_retry,
            "bench": self._command_bench,
            "plugin command": self._command_of_plugin,
            "plugin commands": self._command_list,
        }

    async def _command_reload(self, actor: str, _request: Mapping[str, Any]) -> Reply:
        return _reply(await self.wait_for_swap(await self.appliance.control.reload(actor)))

    async def _command_plugin_reset(self, actor: str, request: Mapping[str, Any]) -> Reply:
        name = str(request["name"])
        outcome = await self.wait_for_swap(await self.appliance.control.plugin_reset(actor, name))
        for state in self.appliance.plugins.states():
            if state.name == name and state.state == "off":
                return Reply(False, f"{name} is off again: {state.reason}")
        if not outcome.applied:
            return _reply(outcome)
        return Reply(True, f"{name} is let in again. What it kept is untouched.")

    async def _command_plugin_changed(self, actor: str, request: Mapping[str, Any]) -> Reply:
        """Of a trial's supervisor: an author has saved a plugin."""
        name = str(request["name"])
        if self._place.trial_dir is None:
            raise Refused("Only a trial reads the code of a plugin anew while it runs.", "Start the appliance again.")
        states = {state.name: state.state for state in self.appliance.plugins.states()}
        if states.get(name, "off") == "off":
            named = name in self.appliance.config.settings.plugins
            return await self._command_plugin_reset(actor, request) if named else Reply(True, f"{name} is not in use.")
        return _reply(await self.wait_for_swap(await self.appliance.control.reload(actor, changed=name)))

    async def _command_plugin_remove(self, actor: str, request: Mapping[str, Any]) -> Reply:
        name, appliance = str(request["name"]), self.appliance
        if name in appliance.config.settings.plugins:
            raise Refused(f"The plugin {name} is in use.", "Take it out of the settings file and reload first.")
        state_dir = appliance.config.settings.storage.state_dir
        await remove_belongings(appliance.records, appliance.activity, appliance.audit, actor, state_dir, name)
        return Reply(True, f"Everything that {name} kept is gone.")

    async def _command_setup_link(self, _actor: str, request: Mapping[str, Any]) -> Reply:
        code = await self.appliance.staff.new_setup_link(again=bool(request.get("again")))
        return Reply(True, f"{self.staff_address()}/set-up#{code}")

    async def _command_status(self, _actor: str, _request: Mapping[str, Any]) -> Reply:
        health = self.appliance.health
        await health.refresh()
        lines = [
            f"{check.state.upper():8} {check.name}: {check.words} {check.todo}".rstrip() for check in health.checks()
        ]
        return Reply(health.worst() is not State.BROKEN, "\n".join(lines))

    async def _command_events_retry(self, actor: str, request: Mapping[str, Any]) -> Reply:
        done = await self.appliance.control.events_retry(actor, str(request["owner"]), str(request["event"]))
        return Reply(done, "It is tried again." if done else "There is no such parked event.")

    async def _command_bench(self, actor: str, request: Mapping[str, Any]) -> Reply:
        return Reply(True, await answer(self.appliance.bench, actor, request))

    async def _command_of_plugin(self, _actor: str, request: Mapping[str, Any]) -> Reply:
        return Reply(True, await run_words(self.appliance.plugins, [str(word) for word in request["words"]]))

    async def _command_list(self, _actor: str, _request: Mapping[str, Any]) -> Reply:
        return Reply(True, listed(self.appliance.plugins.commands()))

    # Telling

    def staff_address(self) -> str:
        """The address of the staff pages on this machine or network."""
        web = self.appliance.config.settings.web
        return f"https://staff.{web.domain}{_port_suffix(web.port)}"

    async def _say_ready(self) -> None:
        await self._announce_workers()
        notify("READY=1")
        self._announce(await self._banner())

    async def _announce_workers(self) -> None:
        """Tell a supervisor which workers there are; those of a plugin that is off go on with what they have."""
        appliance = self.appliance
        off = {state.name for state in appliance.plugins.states() if state.state == "off"}
        snapshots = (appliance.config.settings.storage.state_dir / "workers").glob(f"*.*/{SNAPSHOT}")
        kept = {file.parent.name for file in snapshots if file.parent.name.split(".")[0] in off}
        stall = appliance.config.settings.limits.stall_seconds
        workers = " ".join(sorted({*appliance.workers.names(), *kept}))
        storage = appliance.config.settings.storage
        places = (f"X_STATE_DIR={storage.state_dir}", f"X_RUN_DIR={storage.run_dir}")
        notify(f"X_WORKERS={workers}", *places, f"WATCHDOG_USEC={int(stall * 1_000_000)}")

    async def _banner(self) -> str:
        assert self._certificate is not None
        staff = self.appliance.staff
        web = self.appliance.config.settings.web
        suffix = _port_suffix(web.port)
        lines = ["", "The safeguarding appliance is running.", "", f"  On this machine   {self.staff_address()}/"]
        lines += [f"  On the network    https://{bracketed(address)}{suffix}/" for address in lan_addresses()]
        lines += [f"  Pupil pages       https://pupil.{web.domain}{suffix}/"]
        lines += [
            "",
            "  The browser will warn, because it does not know this box yet. Compare the certificate's fingerprint:",
        ]
        lines += [f"  SHA-256 {self._certificate.fingerprint}", ""]
        if self._companion is not None:
            pass  # it says itself how to sign in
        elif staff.is_set_up:
            lines.append("  The box is set up: sign in with your name, password and code.")
        elif self._place.trial_dir is None:  # this goes to the journal, where no code belongs
            lines.append("  `appliance setup-link` makes the link with which this box is set up.")
        else:
            code = await staff.new_setup_link()
            lines.append("  Set up the box with this link. It works once, in one browser, for an hour:")
            lines.append(f"  {self.staff_address()}/set-up#{code}")
        later = self.appliance.workers.titles()  # workers start after this process says that it is ready
        checks = [check for check in self.appliance.health.checks() if check.name not in later]
        broken = [check for check in checks if check.state is State.BROKEN]
        lines += ["", *(f"  ! {check.name}: {check.words} {check.todo}" for check in broken)]
        if self._place.trial_dir is not None:
            lines += ["  Ctrl-C stops everything.", ""]
        return "\n".join(lines)


def _reply(outcome: Outcome) -> Reply:
    return Reply(outcome.applied, "\n".join([outcome.words, *map(str, outcome.mistakes)]))


def _plain(settings: Settings) -> tuple[tuple[str, ...], int]:
    """Where plain HTTP is answered."""
    return settings.web.listen, settings.web.http_port


def _port_suffix(port: int) -> str:
    return "" if port == 443 else f":{port}"


def _make_folders(settings: Settings) -> None:
    for folder in (settings.storage.state_dir, settings.storage.run_dir):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        except OSError as error:
            raise CannotStart(
                f"The folder {folder} cannot be made: {error.strerror}.", "Set storage in the file."
            ) from error


def _watch_files(settings: Settings) -> tuple[Path, Path]:
    return settings.storage.run_dir / "running.note", settings.storage.run_dir / "stalled.trace"


async def _forgive(records: Database, names: Sequence[str]) -> None:
    if names:
        async with records.transaction() as tx:
            await tx.executemany("DELETE FROM plugins_off WHERE name = ?", [(name,) for name in names])


async def _write_stall(records: Database, stall: Stall) -> None:
    """Leave the plugin off. It may only have been slow on a busy box: unless the process ended by itself, it is let in
    again after some minutes, once in a day."""
    reason = f"{stall.what} stood still and held everything up, so the appliance was started again without it"
    moment, todo, again_at = now(), TODO.format(name=stall.plugin), None
    async with records.transaction() as tx:
        if not stall.is_crash and not await let_in_since(tx, stall.plugin, stamp(moment - ONE_CHANCE_IN)):
            todo, again_at = f"{SECOND_CHANCE_WORDS} {todo}", stamp(moment + SECOND_CHANCE)
        state = PluginState(
            stall.plugin, "off", "", "", "", reason=reason, todo=todo, trace=stall.trace, since=stamp(moment)
        )
        await write_off(tx, state, again_at)
