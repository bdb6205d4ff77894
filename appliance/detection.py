"""Judging what devices noticed: every plugin's detectors, asked in a process of their own.

A detector is a stranger's code on a child's words: it may raise, never come to an end, or take its process with it. A
regular expression holds the interpreter, so that no limit inside a process can stop it. So the detectors live in a
child process (``judging``) that gets one observation for one detector at a time. One that overruns is killed with its
process, the next process is started at once, and the culprit is known. Nothing is lost by that: what a detector could
not judge becomes a finding that asks a person to look.

Lines of JSON go through two pipes. Nothing of them is ever logged, and what is said of a failure names a place in the
code, not what was read there.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import os
import pickle
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from appliance.categories import UNJUDGED
from appliance.config import Config
from appliance.detector_data import DetectorData
from appliance.errors import ApplianceError
from appliance.finding_rules import NoFinding, check_findings
from appliance.hookspecs import Check, State
from appliance.observations import Finding, Observation, Severity, Surface
from appliance.plugins import Plugins

WAITING = 200
"""Observations that may wait for their turn; devices keep what is more and send it again."""
PATIENCE_SECONDS = 30.0
"""How long observations wait for a process that is being started, and the status page before it turns red."""
FAILURES, WINDOW_SECONDS = 3, 600.0
"""A detector that fails this often in this time is left out."""
SOON_SECONDS, AGAIN_SECONDS = 0.5, 30.0
"""How long a refresh waits for more changes, and after how long one that did not get through is tried again."""
RESTART_PAUSES = (0.0, 0.5, 1.0, 2.0, 5.0)
STARTS_SPOILT = 2
"""A plugin during whose loading the process has ended this often is left out."""
END_SECONDS = 1.0
LINE_LIMIT = 4 * 1024 * 1024
GIVEN_UP_KEPT = 1000
NAME = "Detection"

log = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")


class DetectionAway(ApplianceError):
    """Nothing can be judged at this moment, and nothing was: ask again a little later."""


class _Gone(Exception):
    """The process ended, or said what none of ours says, while it was asked."""


class _Failed(Exception):
    """A detector failed: how, in words that hold nothing of what it read."""


@dataclass(eq=False)
class _Child:
    """One detection process. ``surfaces``: its detectors as ``plugin.name``, and what each of them judges."""

    process: asyncio.subprocess.Process
    surfaces: Mapping[str, frozenset[Surface]] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    """Plugins that did not load what pages have set for them, and why."""
    questions: int = 0
    ready: bool = False

    async def tell(self, line: bytes) -> None:
        """Send a line. Raises ``_Gone``."""
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line + b"\n")
            await self.process.stdin.drain()
        except (ConnectionError, RuntimeError) as error:  # RuntimeError: the pipe is being closed
            raise _Gone from error

    async def hear(self) -> dict[str, Any]:
        """The next line. Raises ``_Gone`` if there is none, or if it is not what a process of ours says."""
        assert self.process.stdout is not None
        try:
            message = json.loads(await self.process.stdout.readline())
        except (ValueError, ConnectionError, RecursionError) as error:
            raise _Gone from error
        if not isinstance(message, dict):
            raise _Gone
        return message

    def kill(self) -> None:
        """End it, and whatever it has started, at once."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    async def end(self) -> None:
        """Let it end; one that does not is killed. So is, at once, one that is still being loaded: it holds nothing."""
        assert self.process.stdin is not None
        if not self.ready:
            self.kill()
        self.process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(END_SECONDS):
                await self.process.wait()
        self.kill()
        await self.process.wait()


class Detection:
    """The main process's side. ``judge`` is the only way in.

    ``read``: what ``app.build`` has read of files, by its argument, for a process that must not read them again.
    """

    def __init__(
        self, config: Config, plugins: Plugins, read: Mapping[str, object], on_change: Callable[[], None]
    ) -> None:
        self._config = config
        self._plugins = plugins
        self._read = dict(read)
        self._on_change = on_change
        self._child: _Child | None = None
        self._there = asyncio.Event()
        self._away_since = time.monotonic()
        self._trouble = ""
        self._turn = asyncio.Lock()
        self._asking = asyncio.Lock()
        self._launching = asyncio.Lock()
        self._judging: set[asyncio.Task[Sequence[Finding]]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._alive: set[_Child] = set()
        self._failures: dict[str, deque[float]] = {}
        self._left_out: dict[str, str] = {}
        self._not_built: dict[str, str] = {}
        self._spoilt: Counter[str] = Counter()
        self._given_up: dict[tuple[str, str], Finding] = {}
        self._data = DetectorData(plugins)
        self._timer: asyncio.TimerHandle | None = None
        self._waits_for_refresh = False
        self._running = False
        self.changes = 0
        """How often a process with other detectors, or other things to look for, has taken over."""

    # Starting and stopping

    async def start(self) -> None:
        """Begin to start the process, without waiting for it. Without any detector there is none."""
        self._running = True
        self._away_since = time.monotonic()
        if self._owners():
            self._spawn(self._keep(), "detection")

    async def stop(self) -> None:
        """End the process. Whoever still waits hears ``DetectionAway``."""
        self._running = False
        if self._timer is not None:
            self._timer.cancel()
        self._child = None
        self._there.set()
        for task in tuple(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(tuple(self._tasks))
        await asyncio.gather(*(child.end() for child in self._alive))
        self._alive.clear()
        if self._judging:
            await asyncio.wait(tuple(self._judging))

    async def refresh(self) -> None:
        """A new process, with the detectors of the plugins that are on now and what pages have set for them now.

        The old one goes when the new one is there.
        """
        async with self._launching:
            self._waits_for_refresh = False
            wanted = bool(self._owners())
            child = await self._launch() if wanted else None
            if child is not None or not wanted:  # one that did not start is no reason to let go of the old one
                async with self._asking:
                    self._seat(child)
            else:
                self._refresh_after(AGAIN_SECONDS)

    def refresh_soon(self) -> None:
        """``refresh`` without waiting for it: a plugin was switched off, or what its detectors look for has changed.

        Several calls in a moment become one. Nothing happens before the start: that asks anyway.
        """
        self._refresh_after(SOON_SECONDS)

    def _refresh_after(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        if not self._running or (self._timer is not None and self._timer.when() <= loop.time() + seconds):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_later(seconds, self._refresh_now)

    def _refresh_now(self) -> None:
        """What changes while a process is being started is for one more, however often it changes."""
        self._timer = None
        if not self._waits_for_refresh:
            self._waits_for_refresh = True
            self._spawn(self.refresh(), "refresh of detection")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    @property
    def detectors(self) -> Mapping[str, frozenset[Surface]]:
        """The detectors that are there now, as ``plugin.name``, and what each judges."""
        return self._child.surfaces if self._child is not None else {}

    def _owners(self) -> list[str]:
        """The plugins whose detectors the process is to have."""
        return [name for name in self._plugins.detectors() if name not in self._not_built]

    # Judging

    async def judge(self, observation: Observation) -> Sequence[Finding]:
        """What all detectors find, each in its turn. Raises ``DetectionAway`` when it is to be tried again later."""
        if len(self._judging) >= WAITING:
            raise DetectionAway("Too many observations wait to be judged.")
        task = asyncio.create_task(self._in_turn(observation), name="judging")
        self._judging.add(task)
        task.add_done_callback(self._judged)
        return await asyncio.shield(task)  # an answer that nobody waits for any more must still be read from the pipe

    def _judged(self, task: asyncio.Task[Sequence[Finding]]) -> None:
        self._judging.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may be gone

    async def _in_turn(self, observation: Observation) -> Sequence[Finding]:
        async with self._turn:
            found: list[Finding] = []
            asked: set[str] = set()
            while name := self._next(await self._ready(), observation.surface, asked):
                asked.add(name)
                found += await self._find(name, observation)
            return found or self._unasked(observation)

    def _unasked(self, observation: Observation) -> Sequence[Finding]:
        """If a detector that is out of action might have found something, somebody has to look: nothing is lost."""
        surfaces = self._child.surfaces if self._child is not None else {}
        left_out = {name for name in self._left_out if observation.surface in surfaces.get(name, frozenset())}
        silent = set(self._plugins.silent_detectors()) | self._data.left_out
        for name in sorted(left_out | self._not_built.keys() | silent):
            return [unjudged(name, "is out of action", observation)]
        return []

    def _next(self, child: _Child, surface: Surface, asked: set[str]) -> str:
        """A detector of this surface that was not asked yet."""
        owners = self._plugins.detectors()
        for name, surfaces in child.surfaces.items():
            usable = name not in self._left_out and name.partition(".")[0] in owners
            if usable and surface in surfaces and name not in asked:
                return name
        return ""

    async def _ready(self) -> _Child:
        """The process, once it is there."""
        while True:
            if not self._running or not self._owners():
                raise DetectionAway("Nothing judges what devices notice at this moment.")
            if self._child is not None:
                return self._child
            left = PATIENCE_SECONDS - (time.monotonic() - self._away_since)
            if left <= 0:
                raise DetectionAway("The detection process does not run.")
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._there.wait()

    async def _find(self, name: str, observation: Observation) -> Sequence[Finding]:
        """What one detector finds. A process that is killed from outside is no fault of the detector: it is asked
        once more. What it cannot judge is not put to it again.
        """
        given_up = self._given_up.get((observation.id, name))
        if given_up is not None:
            return [given_up]
        why = ""
        for _ in range(2):
            child = await self._ready()
            if name not in child.surfaces:
                why = "is not there any more"
                break
            try:
                return await self._ask(child, name, observation)
            except _Gone:
                self._lose(child)
                why = "ended the process in which it ran"
            except _Failed as failure:
                why = str(failure)
                break
        self._blame(name, why)
        return [self._give_up(name, why, observation)]

    async def _ask(self, child: _Child, name: str, observation: Observation) -> Sequence[Finding]:
        seconds = self._config.settings.detection.judge_seconds
        child.questions += 1
        question = {"id": child.questions, "detector": name, "observation": observation.as_json()}
        try:
            async with self._asking, asyncio.timeout(seconds):
                await child.tell(json.dumps(question).encode())
                answer = await child.hear()
        except TimeoutError:
            self._lose(child)
            raise _Failed(f"did not come to an end within {seconds:g} seconds") from None
        if answer.get("id") != question["id"]:
            raise _Gone
        if "failed" in answer:
            raise _Failed(str(answer["failed"])[:300])
        try:
            return check_findings(answer.get("findings"), observation, name)
        except NoFinding as nonsense:
            raise _Failed(str(nonsense)) from None

    def _blame(self, name: str, why: str) -> None:
        log.warning("The detector %s failed: it %s", name, why)
        failures = self._failures.setdefault(name, deque(maxlen=FAILURES))
        failures.append(time.monotonic())
        if len(failures) == FAILURES and failures[-1] - failures[0] <= WINDOW_SECONDS:
            self._left_out[name] = f"It failed {FAILURES} times in {WINDOW_SECONDS / 60:g} minutes: it {why}."
        self._on_change()

    def _give_up(self, name: str, why: str, observation: Observation) -> Finding:
        finding = unjudged(name, why, observation)
        self._given_up[observation.id, name] = finding
        while len(self._given_up) > GIVEN_UP_KEPT:
            del self._given_up[next(iter(self._given_up))]
        return finding

    # The process

    async def _keep(self) -> None:
        """See to it that there is always a process."""
        tries = 0
        while True:
            child = self._child
            if child is None:
                await asyncio.sleep(RESTART_PAUSES[min(tries, len(RESTART_PAUSES) - 1)])
                tries += 1
                await self._launch_if_away()
                continue
            await child.process.wait()
            self._lose(child)
            self._alive.discard(child)
            if child.questions:
                tries = 0

    async def _launch_if_away(self) -> None:
        async with self._launching:
            if self._child is None and self._owners():
                self._seat(await self._launch())

    def _seat(self, child: _Child | None) -> None:
        """Ask ``child`` from now on, and let go of the one before."""
        before, self._child = self._child, child
        if child is not None:
            self._trouble = ""
            self._there.set()
        elif before is not None:
            self._away()
        if before is not None:
            self.changes += 1
            self._spawn(self._end(before), "end of a detection process")
        self._on_change()

    async def _end(self, child: _Child) -> None:
        await child.end()
        self._alive.discard(child)

    def _lose(self, child: _Child) -> None:
        """This process is of no more use; ``_keep`` hears of its end and starts another."""
        child.kill()
        if self._child is child:
            self._child = None
            self._away()
            self._on_change()

    def _away(self) -> None:
        self._there.clear()
        self._away_since = time.monotonic()

    async def _launch(self) -> _Child | None:
        """Start a process and wait until its detectors are there; ``None`` if that failed, which the checks tell."""
        await self._data.ask(self._owners())
        child = await self._launch_with_data()
        if self._data.troubles:
            self._refresh_after(AGAIN_SECONDS)
            self._on_change()
        return child

    async def _launch_with_data(self) -> _Child | None:
        """What was set newly may be what detectors cannot load: then they get what they had before."""
        while True:
            child = _Child(await _start_process(self._config))
            self._alive.add(child)
            if not await self._load(child):
                return None
            older = [self._data.refused(name, why) for name, why in child.refused.items()]
            if not any(older):
                return child
            await self._end(child)

    async def _load(self, child: _Child) -> bool:
        """Whether its detectors are there now; one that does not come so far is ended."""
        loading = ""
        try:
            await self._told_in_time(child.tell(self._packed()))
            while "detectors" not in (message := await self._told_in_time(child.hear())):
                loading = str(message.get("loading", ""))
            self._take(child, message)
        except (TimeoutError, _Gone, ValueError, TypeError, LookupError, AttributeError) as error:
            late = isinstance(error, TimeoutError)
            await self._end(child)
            self._not_started(loading, "did not finish being loaded" if late else "ended it while being loaded")
            return False
        return True

    async def _told_in_time(self, telling: Awaitable[_Answer]) -> _Answer:
        """Each step of loading, one plugin at a time, has its own limit. Raises ``TimeoutError``."""
        async with asyncio.timeout(self._config.settings.detection.load_seconds):
            return await telling

    def _packed(self) -> bytes:
        """The very settings that run here, for a process that must not read files which were changed since."""
        plugins: dict[str, bytes] = {}
        data: dict[str, str] = {}
        for name in self._owners():
            set_for_it = self._data.of(name)
            if set_for_it is None:
                continue
            try:
                plugins[name] = pickle.dumps(self._config.plugins[name])
            except (pickle.PicklingError, TypeError, AttributeError) as error:
                self._not_built[name] = f"Its settings cannot be handed over ({type(error).__name__})."
            data.update(set_for_it)
        core = replace(self._config, plugins={}, notes=(), branches=())
        return base64.b64encode(pickle.dumps((core, self._read, plugins, data)))

    def _take(self, child: _Child, message: Mapping[str, Any]) -> None:
        child.surfaces = {
            str(name): frozenset(map(Surface, surfaces)) for name, surfaces in message["detectors"].items()
        }
        child.refused = {str(name): str(why)[:500] for name, why in message["refused"].items()}
        child.ready = True
        for name in {key.partition(".")[0] for key in child.surfaces}:
            self._data.loaded(name)
        for name, reason in message["failed"].items():
            self._not_built[str(name)] = str(reason)[:500]

    def _not_started(self, loading: str, why: str) -> None:
        self._trouble = f"The plugin {loading} {why}." if loading else "It ended before it was ready."
        if not (loading and self._data.refused(loading, self._trouble)):
            self._spoilt[loading] += 1
        if loading and self._spoilt[loading] >= STARTS_SPOILT:
            self._not_built[loading] = self._trouble
        log.warning("The detection process did not start. %s", self._trouble)
        self._on_change()

    # Telling

    async def checks(self) -> list[Check]:
        """Whether what devices notice is judged. What is red here endangers children."""
        if not self._plugins.states():
            return []  # an appliance without plugins says so on its home page
        checks = [self._process_check()]
        for name, why in self._left_out.items():
            checks.append(_broken(f"Detector {name}", f"It is left out. {why}", name.partition(".")[0]))
        for name, why in self._not_built.items():
            checks.append(_broken(f"Detectors of {name}", why, name))
        for name, why in self._data.troubles.items():
            if name not in self._not_built:
                checks.append(_broken(f"Detectors of {name}", why, name))
        for name in self._plugins.silent_detectors():
            checks.append(_broken(f"Detectors of {name}", "The plugin is switched off.", name))
        return checks

    def _process_check(self) -> Check:
        if not self._owners():
            if silent := self._plugins.silent_detectors():
                words = f"Nothing is looked for on devices: the plugin {silent[0]} is switched off."
                todo = f"Look at what is said of it. `appliance plugin reset {silent[0]}` tries it again."
                return Check(NAME, State.BROKEN, words, todo, alarm=True)
            words = "Nothing is looked for on devices: no plugin that is on judges what they notice."
            todo = "Name such a plugin under plugins: in the settings file, `keyword` for example."
            return Check(NAME, State.WARNING, words, todo, alarm=True)
        if self._child is not None:
            count = len(self._child.surfaces)
            detectors = f"{count} detector{'' if count == 1 else 's'}"
            words = f"It runs with {detectors} (process {self._child.process.pid})."
            if self._trouble:
                words += f" What was changed since has not reached them. {self._trouble}"
                return Check(NAME, State.BROKEN, words, "It is tried again and again. Look at the log.", alarm=True)
            return Check(NAME, State.GOOD, words, alarm=True)
        if time.monotonic() - self._away_since < PATIENCE_SECONDS:
            todo = "Nothing to do; it takes some seconds."
            return Check(NAME, State.WARNING, "It is being started.", todo, alarm=True)
        words = f"What devices notice is not judged; they keep it and send it later. {self._trouble}".strip()
        return Check(NAME, State.BROKEN, words, "It is started again and again. Look at the log.", alarm=True)


def _broken(title: str, words: str, plugin: str) -> Check:
    todo = f"Tell the plugin's author. `appliance plugin reset {plugin}` tries it again."
    return Check(title, State.BROKEN, words, todo, alarm=True)


async def _start_process(config: Config) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "appliance", *config.place.arguments(), "detect", "--parent", str(os.getpid()),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,  # a detector that prints what it reads must not fill the log with it
        start_new_session=True, limit=LINE_LIMIT,
        env={**os.environ, "SSL_CERT_FILE": os.devnull},  # it calls nobody, and reading whom to trust takes its time
    )  # fmt: skip


def unjudged(name: str, why: str, observation: Observation) -> Finding:
    """So that nothing is lost: the finding that stands for what a detector could not judge."""
    return Finding(
        policy="Not judged",
        version="",
        term=name,
        phrase="Nobody knows yet whether there is something in this",
        category=UNJUDGED,
        severity=Severity.MINOR,
        definition=f"The detector {name} {why}. It may be nothing, or it may be what this detector looks for: please "
        "read it yourself.",
        start=0,
        end=len(observation.text),
        found="not found by any detector: it was kept because it could not be judged",
        detector=name,
    )
