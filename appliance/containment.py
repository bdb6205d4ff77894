"""Containing plugins: their code may fail, hang or spin, and the rest goes on.

An exception is caught at the call. A hook that hangs is cut off by a time limit. Code that spins holds the interpreter,
and nothing inside the process can stop it: so the name of the plugin that runs right now stands in a small mapped file,
a watchdog outside the process (systemd's, or the trial's supervisor) ends a main loop that stands still with SIGABRT,
Python's ``faulthandler`` writes the stack as its last deed, and the next start reads both and leaves that plugin off.
"""

from __future__ import annotations

import asyncio
import faulthandler
import mmap
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, TypeVar

from appliance.errors import ApplianceError, NotReady, PluginError

T = TypeVar("T")

NOTE_BYTES = 256
ABANDON_SECONDS = 1.0
"""How long a cancelled call may go on tidying up before it is left behind."""

_owner: ContextVar[tuple[Note, str] | None] = ContextVar("owner", default=None)


class Note:
    """A mapped file that holds who runs right now: ``plugin what``, or nothing while the core itself runs."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(NOTE_BYTES))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), NOTE_BYTES)
        self._current = b""

    def enter(self, who: str) -> bytes:
        """Write ``who``; returns what stood there, for ``leave``."""
        before = self._current
        self._write(who.encode("utf-8", "replace")[: NOTE_BYTES - 1])
        return before

    def leave(self, before: bytes) -> None:
        """Put back what stood there before ``enter``."""
        self._write(before)

    def _write(self, text: bytes) -> None:
        self._current = text
        self._map[: len(text) + 1] = text + b"\0"


@dataclass(frozen=True, slots=True)
class Stall:
    """What the last run left behind when it was ended for standing still: whose code ran (may be empty), the stack."""

    plugin: str
    what: str
    trace: str

    @property
    def is_crash(self) -> bool:
        """Whether the process ended by itself, in native code; else the watchdog has ended it (SIGABRT)."""
        return not self.trace.startswith("Fatal Python error: Aborted")


def read_stall(note: Path, trace: Path) -> Stall | None:
    """Whether the last run was ended while it stood still or crashed in native code; ``None`` after any other end."""
    try:
        text = trace.read_text(encoding="utf-8", errors="replace").strip()
        who = note.read_bytes().split(b"\0", 1)[0].decode("utf-8", "replace")
    except FileNotFoundError:
        return None
    if not text:
        return None
    plugin, _, what = who.partition(" ")
    return Stall(plugin, what, text[:8000])


def watch_for_stalls(trace: Path) -> TextIO:
    """Have the stack written to ``trace`` when the watchdog's SIGABRT comes; keep the file open as long as you live."""
    file = trace.open("w", encoding="utf-8")
    faulthandler.enable(file=file)
    return file


class PluginFailure(PluginError):
    """A call into a plugin failed: ``owner``, ``doing`` and the trace for the status page."""

    def __init__(self, owner: str, doing: str, reason: str, trace: str = "") -> None:
        super().__init__(f"{owner}: {doing} {reason}")
        self.owner = owner
        self.doing = doing
        self.reason = reason
        self.trace = trace

    def without_words(self) -> PluginFailure:
        """The same without the message of what was raised: where plugins handle what children write, it may hold it."""
        reason = self.reason if self.__cause__ is None else raised_where(self.__cause__)
        return PluginFailure(self.owner, self.doing, reason)


class TooSlow(PluginFailure):
    """It did not come back in time. That may be the plugin's fault, or the box was busy: the same call may yet work."""


def raised_where(error: BaseException) -> str:
    """What was raised and where, without the message: it may hold what a child wrote."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = "" if place is None else f" in {Path(place.tb_frame.f_code.co_filename).name}, line {place.tb_lineno}"
    return f"raised {type(error).__name__}{where}"


class Containment:
    """Calls into plugins, one by one, each contained and attributed."""

    def __init__(self, note: Note, seconds: float) -> None:
        self._note = note
        self.seconds = seconds
        self._abandoned: set[asyncio.Task[Any]] = set()

    def call(self, owner: str, doing: str, function: Callable[[], T]) -> T:
        """Run synchronous plugin code. Raises ``PluginFailure`` for whatever it raised, ``NotReady`` as it is."""
        before = self._note.enter(f"{owner} {doing}")
        try:
            return function()
        except (NotReady, PluginFailure):
            raise
        except (Exception, SystemExit) as error:
            raise _failure(owner, doing, error) from error
        finally:
            self._note.leave(before)

    async def run(
        self, owner: str, doing: str, function: Callable[[], Awaitable[T]], seconds: float | None = None
    ) -> T:
        """Run asynchronous plugin code for at most ``seconds`` (default: the setting ``limits.hook_seconds``)."""
        limit = seconds or self.seconds
        task = asyncio.ensure_future(self._attributed(owner, doing, function))
        try:
            await asyncio.wait({task}, timeout=limit)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not task.done():
            await self._abandon(task)
            raise TooSlow(owner, doing, f"did not come back within {limit:g} seconds")
        return self._result(owner, doing, task)

    def _result(self, owner: str, doing: str, task: asyncio.Task[T]) -> T:
        if task.cancelled():
            raise PluginFailure(owner, doing, "cancelled itself")
        error = task.exception()
        if error is None:
            return task.result()
        if isinstance(error, NotReady | PassThrough):
            raise error
        raise _failure(owner, doing, error) from error

    async def _attributed(self, owner: str, doing: str, function: Callable[[], Awaitable[T]]) -> T:
        who = f"{owner} {doing}"
        _owner.set((self._note, who))
        before = self._note.enter(who)
        try:
            awaitable = function()
        finally:
            self._note.leave(before)
        return await _Steps(awaitable, self._note, who)

    async def _abandon(self, task: asyncio.Task[Any]) -> None:
        """Cancel, wait a moment, and leave behind what swallows the cancellation."""
        task.cancel()
        await asyncio.wait({task}, timeout=ABANDON_SECONDS)
        if not task.done():
            self._abandoned.add(task)
            task.add_done_callback(self._abandoned.discard)


class PassThrough(ApplianceError):
    """Wraps an exception that is an answer rather than a failure (an HTTP redirect from a view)."""

    def __init__(self, answer: Exception) -> None:
        super().__init__(str(answer))
        self.answer = answer


def _failure(owner: str, doing: str, error: BaseException) -> PluginFailure:
    if isinstance(error, ApplianceError):  # it says in words what is wrong; a stack adds nothing
        return PluginFailure(owner, doing, str(error))
    trace = "".join(traceback.format_exception(error))
    return PluginFailure(owner, doing, f"failed: {type(error).__name__}: {error}", trace[-8000:])


class _Steps(Awaitable[T]):
    """Drives an awaitable and notes its owner only while its own code runs, not while it waits for others."""

    def __init__(self, awaitable: Awaitable[T], note: Note, who: str) -> None:
        self._awaitable = awaitable
        self._note = note
        self._who = who

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._awaitable.__await__()
        value: Any = None
        error: BaseException | None = None
        while True:
            before = self._note.enter(self._who)
            try:
                waits_for = steps.send(value) if error is None else steps.throw(error)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            except (SystemExit, KeyboardInterrupt) as leave:
                raise RuntimeError(f"tried to end the whole program ({type(leave).__name__})") from leave
            finally:
                self._note.leave(before)
            try:
                value, error = (yield waits_for), None
            except BaseException as thrown:  # noqa: BLE001 - a cancellation on its way in is handed to the plugin
                value, error = None, thrown


def attribute_tasks(loop: asyncio.AbstractEventLoop) -> None:
    """From now on a task that a plugin starts is attributed to that plugin as well."""

    def factory(
        loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        owner = _owner.get(None)
        if owner is not None:
            coroutine = _driven(coroutine, *owner)
        return asyncio.Task(coroutine, loop=loop, **options)

    loop.set_task_factory(factory)  # type: ignore[arg-type]


async def _driven(coroutine: Coroutine[Any, Any, T], note: Note, who: str) -> T:
    return await _Steps(coroutine, note, who)
