"""The trial's supervisor: a small systemd. ``make run`` starts it; it starts the main process and the workers.

It does what the units in ``systemd/`` ask of systemd: one process each, started again when it ends, ended with SIGABRT
when its watchdog falls silent. So that the processes behave in the trial as they do on an installed box.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from appliance import memory
from appliance.command_socket import ask
from appliance.config import Place
from appliance.errors import EXIT_BAD_SETTINGS, EXIT_CANNOT_START
from appliance.notify import Message, NotifySocket
from appliance.plugin_watch import PluginWatch
from appliance.worker_link import SOCKET

STOP_SECONDS = 3.0
"""From SIGTERM to SIGKILL: Ctrl-C must have stopped everything within five seconds."""
ABORT_SECONDS = 2.0
LOOK_SECONDS = 1.0
"""How often folders of plugins are looked at for changes."""
STALL_SECONDS = 10.0
"""Until the main process has said what ``limits.stall_seconds`` is."""
RESTART_PAUSES = (0.1, 0.5, 1.0, 2.0, 5.0)
STEADY_SECONDS = 30.0
FINAL = (0, EXIT_BAD_SETTINGS, EXIT_CANNOT_START)


@dataclass(eq=False)
class Child:
    """One supervised process and the task that keeps it running."""

    name: str
    arguments: Sequence[str]
    watchdog: float | None
    environment: Mapping[str, str] = field(default_factory=dict)
    process: asyncio.subprocess.Process | None = None
    keeper: asyncio.Task[int] | None = None
    heard: float = field(default_factory=time.monotonic)
    ready: bool = False


class Supervisor:
    """Runs the main process and whatever workers it names until it is told to stop, or one of them cannot start."""

    def __init__(
        self,
        place: Place,
        say: Callable[[str], None],
        main: Sequence[str] = ("run",),
        watch: PluginWatch | None = None,
    ) -> None:
        """``main``: the command that is the main process. ``watch``: plugins that are loaded again when they change."""
        self._plugins = watch
        self._run_dir: Path | None = None
        self._place = place
        self._stall_seconds = STALL_SECONDS
        self._say = say
        self._main = Child("the main process", main, STALL_SECONDS, memory.ENVIRONMENT)
        self._workers: dict[str, Child] = {}
        self._stopping = asyncio.Event()
        self._exit_code = 0

    async def run(self) -> int:
        """Supervise; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stopping.set)
        async with NotifySocket() as notifications:
            self._keep(self._main, notifications.address)
            listening = asyncio.create_task(self._listen(notifications))
            watching = asyncio.create_task(self._watch())
            reloading = asyncio.create_task(self._reload_what_changes(notifications.address))
            await self._stopping.wait()
            for task in (listening, watching, reloading):
                task.cancel()
            await self._stop_all()
        return self._exit_code

    # Keeping processes running

    def _keep(self, child: Child, address: str) -> None:
        child.keeper = asyncio.create_task(self._run_again_and_again(child, address), name=child.name)

    async def _run_again_and_again(self, child: Child, address: str) -> int:
        tries = 0
        while True:
            started = time.monotonic()
            code = await self._run_once(child, address)
            if code in FINAL:
                self._end(child, code)
                return code
            if time.monotonic() - started > STEADY_SECONDS:
                tries = 0
            self._say(f"{child.name.capitalize()} ended ({_how(code)}) and is started again.")
            await asyncio.sleep(RESTART_PAUSES[min(tries, len(RESTART_PAUSES) - 1)])
            tries += 1

    async def _run_once(self, child: Child, address: str) -> int:
        environment = {**os.environ, **child.environment}
        environment |= {"NOTIFY_SOCKET": address, "APPLIANCE_SUPERVISOR": str(os.getpid())}
        if child.watchdog is not None:
            environment["WATCHDOG_USEC"] = str(int(child.watchdog * 1_000_000))
        child.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "appliance", *self._place.arguments(), *child.arguments,
            env=environment, stdin=asyncio.subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C reaches only the supervisor, which stops the others in order
        )  # fmt: skip
        child.ready, child.heard = False, time.monotonic()
        return await child.process.wait()

    def _end(self, child: Child, code: int) -> None:
        """The main process's end, or a worker that cannot start, is the end of the trial."""
        if child is self._main or code == EXIT_CANNOT_START:
            self._exit_code = self._exit_code or code
            self._stopping.set()

    async def _stop_all(self) -> None:
        children = [self._main, *self._workers.values()]
        await asyncio.gather(*(self._stop(child) for child in children))

    async def _stop(self, child: Child) -> None:
        if child.keeper is None:
            return
        child.keeper.cancel()
        process = child.process
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await process.wait()
            if process.returncode is None:
                process.kill()
                await process.wait()

    # Listening to them

    async def _listen(self, notifications: NotifySocket) -> None:
        while True:
            message = await notifications.receive()
            child = self._child_of(message)
            if child is None:
                continue
            child.heard = time.monotonic()
            child.ready = child.ready or message.values.get("READY") == "1"
            if message.values.get("WATCHDOG_USEC", "").isdecimal():
                self._stall_seconds = int(message.values["WATCHDOG_USEC"]) / 1_000_000
            if child is self._main and "X_WORKERS" in message.values:
                self._run_dir = Path(message.values["X_RUN_DIR"])
                await self._have_workers(message.values, notifications.address)

    def _child_of(self, message: Message) -> Child | None:
        for child in (self._main, *self._workers.values()):
            if child.process is not None and child.process.pid == message.pid:
                return child
        return None

    async def _have_workers(self, said: Mapping[str, str], address: str) -> None:
        names = said["X_WORKERS"].split()
        for name in sorted(set(self._workers) - set(names)):
            await self._stop(self._workers.pop(name))
        for name in sorted(set(names) - set(self._workers)):
            folder, socket = Path(said["X_STATE_DIR"], "workers", name), Path(said["X_RUN_DIR"], SOCKET)
            arguments = ["worker", name, "--folder", str(folder), "--socket", str(socket)]
            self._workers[name] = Child(f"the worker {name}", arguments, None)
            self._keep(self._workers[name], address)

    # Plugins that somebody is writing

    async def _reload_what_changes(self, address: str) -> None:
        while self._plugins is not None:
            await asyncio.sleep(LOOK_SECONDS)
            for name in await asyncio.to_thread(self._plugins.changed):
                if self._run_dir is not None and self._main.ready:  # before that it is read for the first time anyway
                    await self._load_again(name, self._run_dir, address)

    async def _load_again(self, plugin: str, run_dir: Path, address: str) -> None:
        """Its detectors, pages and all else through the main process, its own processes by starting them again."""
        self._say(f"The plugin {plugin} has changed and is loaded again.")
        for name in [name for name in self._workers if name.partition(".")[0] == plugin]:
            child = self._workers.pop(name)
            await self._stop(child)
            self._workers[name] = Child(child.name, child.arguments, None)
            self._keep(self._workers[name], address)
        try:
            reply = await ask(run_dir, "plugin changed", name=plugin)
        except OSError as error:  # it is being started again at this moment, and reads everything anew
            self._say(f"It could not be told: {error}.")
        else:
            self._say(
                reply.words if reply is not None else "It is loaded with the main process, which is not there yet."
            )

    async def _watch(self) -> None:
        """End the main process when its watchdog message stays away; its exit tells who held it up."""
        while True:
            await asyncio.sleep(min(0.5, self._stall_seconds / 4))
            child = self._main
            silent = time.monotonic() - child.heard
            if child.ready and child.process is not None and silent > self._stall_seconds:
                self._say(f"{child.name.capitalize()} has stood still for {silent:.0f} seconds and is ended.")
                child.ready = False
                await _abort(child.process)


async def _abort(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGABRT)
    with suppress(TimeoutError):
        async with asyncio.timeout(ABORT_SECONDS):
            await process.wait()
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.kill()


def _how(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"
