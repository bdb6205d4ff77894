"""Work at times: jobs at intervals and at times of day, which nobody loses when the clock of the box is set.

APScheduler rings; what is due is worked out here, because APScheduler counts on the wall clock alone: after a step back
of an hour its interval jobs stand still for that hour (measured with 3.11). Here ``Every`` is measured by the monotonic
clock, which nobody can set, ``Daily`` by the wall clock and by the day that was last served, and both are looked at
anew every few seconds, so that no ring of APScheduler's is ever trusted for long.

What ran, when and how it ended is kept in the table ``job_runs``, so that a box which is switched off every night
still gets its daily and its long-interval jobs done.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from time import monotonic
from zoneinfo import ZoneInfo

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.date import DateTrigger

from appliance.clock import now, parse, stamp
from appliance.db import Database, Row
from appliance.errors import ApplianceError, PluginError, StoreError
from appliance.hookspecs import Check, Daily, Every, Job, State

LOOK_SECONDS = 5.0
"""How often the clocks are compared and every job is looked at."""
JUMP_SECONDS = 2.0
"""A wall clock that moves this much against the monotonic one between two looks was set, not slewed."""
JUMP_SHOWN_SECONDS = 3600.0
STOP_SECONDS = 3.0
"""How long a cancelled run may go on tidying up before ``stop`` goes on without it."""
_ONE_DAY = timedelta(days=1)

Runner = Callable[[str, str, Callable[[], Awaitable[None]], float], Awaitable[None]]
"""``runner(owner, what, function, seconds)`` runs the function contained; raises when it fails or takes longer."""
_Key = tuple[str, str]

log = logging.getLogger(__name__)

_inside: contextvars.ContextVar[_Entry | None] = contextvars.ContextVar("inside", default=None)


@dataclass(frozen=True, slots=True)
class Clock:
    """Where the time comes from: ``wall`` (aware datetimes) may be set, ``monotonic`` (seconds) only goes forward."""

    wall: Callable[[], datetime] = now
    monotonic: Callable[[], float] = monotonic


@dataclass(frozen=True, slots=True)
class JobRun:
    """How a job is doing, for the status page. Times are aware; ``None`` means never, for ``next`` not yet known."""

    owner: str
    name: str
    when: str
    """In words: "every 6 hours", "every day at 18:00"."""
    last_started: datetime | None
    last_ok: datetime | None
    error: str
    """Why the last run failed; empty when it did not."""
    failures: int
    """How many runs have failed in a row."""
    next: datetime | None
    running: bool


@dataclass(frozen=True, slots=True)
class _Past:
    """A row of ``job_runs``. ``day`` is the local day that a daily job has last served."""

    started: datetime | None = None
    ended: datetime | None = None
    ok: datetime | None = None
    error: str = ""
    failures: int = 0
    day: date | None = None


@dataclass(eq=False, slots=True)
class _Entry:
    """A job that was added. ``due`` (monotonic seconds) is for ``Every``, infinite until the job was planned."""

    owner: str
    job: Job
    due: float = math.inf
    work: asyncio.Task[None] | None = None

    @property
    def key(self) -> _Key:
        return self.owner, self.job.name


class Schedule:
    """Starts jobs when they are due. The runs of a job never overlap; runs that were missed become one.

    A run that fails or takes longer than its limit is recorded, shown by ``checks`` and tried again at its next time.
    ``timezone`` is the school's; ``runner`` contains what it runs.
    """

    def __init__(self, timezone: str, records: Database, runner: Runner, clock: Clock | None = None) -> None:
        self._zone = ZoneInfo(timezone)
        self._records = records
        self._runner = runner
        self._clock = clock or Clock()
        self._alarm = AsyncIOScheduler(timezone=UTC)
        self._entries: dict[_Key, _Entry] = {}
        self._pasts: dict[_Key, _Past] = {}
        self._runs: dict[_Key, asyncio.Task[None]] = {}
        self._notes: set[asyncio.Task[None]] = set()
        self._next_look: asyncio.TimerHandle | None = None
        self._context = contextvars.copy_context()
        self._offset = 0.0
        self._jump = (0.0, -math.inf)
        """By how much the wall clock has last jumped, and when (monotonic)."""

    # Adding and removing

    def add(self, owner: str, job: Job) -> None:
        """Plan a job; before or after ``start``. Raises ``PluginError`` for a second one of the same name."""
        check_job(owner, job)
        entry = _Entry(owner, job)
        if entry.key in self._entries:
            raise PluginError(f"{owner} has two jobs called {job.name!r}.", "Give each its own name.")
        self._entries[entry.key] = entry
        if self._started:
            # Not in the caller's context: what comes of it would be attributed to him for ever.
            asyncio.get_running_loop().call_soon(self._plan, entry, context=self._context)

    def remove(self, owner: str) -> None:
        """Forget the jobs of ``owner``. A run that is under way is cancelled, unless the call comes from inside it."""
        for key in [key for key in self._entries if key[0] == owner]:
            entry = self._entries.pop(key)
            if entry.work is not None and _inside.get() is not entry:
                entry.work.cancel()

    async def start(self) -> None:
        """Read what ran before, and begin. Raises ``StoreError``."""
        rows = await self._records.fetch("SELECT * FROM job_runs")
        self._pasts = {(row["owner"], row["name"]): _past(row) for row in rows}
        logging.getLogger("apscheduler").setLevel(logging.WARNING)  # it tells of every ring
        self._alarm.start()
        self._context = contextvars.copy_context()
        self._offset = self._measure_offset()
        for entry in self._entries.values():
            self._plan(entry)
        self._look_again()

    async def stop(self) -> None:
        """Start nothing any more, and cancel what runs. Safe without ``start``."""
        if not self._started:
            return
        assert self._next_look is not None
        self._next_look.cancel()
        self._next_look = None
        self._alarm.shutdown()
        for run in self._runs.values():
            run.cancel()
        unfinished = {*self._runs.values(), *self._notes}
        if unfinished:
            await asyncio.wait(unfinished)

    @property
    def _started(self) -> bool:
        return self._next_look is not None

    # Telling

    async def runs(self) -> list[JobRun]:
        """Every job, sorted by owner and name."""
        return [self._tell(self._entries[key]) for key in sorted(self._entries)]

    async def checks(self) -> list[Check]:
        """One line for all jobs, one for each that fails, and one while a jump of the clock is news."""
        failing = [run for run in await self.runs() if run.error]
        lines = [self._failing_check(run) for run in failing]
        if not failing:
            lines.append(Check("Timed work", State.GOOD, f"{len(self._entries)} jobs; none failed when it last ran."))
        seconds, at = self._jump
        if self._clock.monotonic() - at < JUMP_SHOWN_SECONDS:
            lines.append(_jump_check(seconds))
        return lines

    def _tell(self, entry: _Entry) -> JobRun:
        past = self._pasts.get(entry.key, _Past())
        delay = self._delay(entry)
        return JobRun(
            owner=entry.owner,
            name=entry.job.name,
            when=when_words(entry.job.when),
            last_started=past.started,
            last_ok=past.ok,
            error=past.error,
            failures=past.failures,
            next=None if math.isinf(delay) else self._clock.wall() + timedelta(seconds=max(0.0, delay)),
            running=entry.key in self._runs,
        )

    def _failing_check(self, run: JobRun) -> Check:
        times = "once" if run.failures == 1 else f"{run.failures} times in a row"
        again = f" It is tried again at {run.next.astimezone(self._zone):%H:%M on %d %B}." if run.next else ""
        return Check(f"Timed work: {run.name} ({run.owner})", State.WARNING, f"Failed {times}: {run.error}{again}")

    # Looking

    def look(self) -> None:
        """Compare the clocks and start what is due. Happens every few seconds by itself, after ``start``."""
        offset = self._measure_offset()
        jumped, self._offset = offset - self._offset, offset
        if abs(jumped) >= JUMP_SECONDS:
            self._jump = (jumped, self._clock.monotonic())
            log.warning("%s", _jump_check(jumped).words)
        for entry in tuple(self._entries.values()):
            self._look_at(entry)

    def _look_again(self) -> None:
        loop = asyncio.get_running_loop()
        self._next_look = loop.call_later(LOOK_SECONDS, self._look_again, context=self._context)
        self.look()

    def _measure_offset(self) -> float:
        return self._clock.wall().timestamp() - self._clock.monotonic()

    def _plan(self, entry: _Entry) -> None:
        """Work out when a job that was just added is due for the first time, and look at it."""
        if isinstance(entry.job.when, Every):
            started = self._pasts.get(entry.key, _Past()).started
            delay = every_delay(entry.job.when.interval, self._clock.wall(), started)
            entry.due = self._clock.monotonic() + delay
        self._look_at(entry)

    def _look_at(self, entry: _Entry) -> None:
        """Start the job if it is due, else have APScheduler ring if that is soon; a ring only leads to another look."""
        if not self._started or self._entries.get(entry.key) is not entry or entry.key in self._runs:
            return
        self._mend_day(entry)
        delay = self._delay(entry)
        if delay <= 0:
            self._start_run(entry)
        elif delay <= 2 * LOOK_SECONDS:  # what is further away, a later look will find
            self._alarm.add_job(
                self._ring,
                DateTrigger(datetime.now(UTC) + timedelta(seconds=delay), UTC),
                args=[entry],
                id="/".join(entry.key),
                replace_existing=True,
                misfire_grace_time=None,
            )

    async def _ring(self, entry: _Entry) -> None:
        self._look_at(entry)

    def _mend_day(self, entry: _Entry) -> None:
        """Keep the day from which a daily job counts where none is known yet or the one that is cannot be true."""
        past, when = self._pasts.get(entry.key, _Past()), entry.job.when
        if isinstance(when, Every):
            return
        day = served_day(when.at, self._zone, self._clock.wall(), past.day)
        if day != past.day:
            self._pasts[entry.key] = replace(past, day=day)
            note = asyncio.create_task(self._keep(entry.key), name=f"note of the job {entry.job.name}")
            self._notes.add(note)
            note.add_done_callback(self._notes.discard)

    def _delay(self, entry: _Entry) -> float:
        """Seconds until the job is due; zero or less when it is; infinite before it was planned."""
        when = entry.job.when
        if isinstance(when, Every):
            return entry.due - self._clock.monotonic()
        day = self._pasts.get(entry.key, _Past()).day
        if day is None:
            return math.inf
        wall = self._clock.wall()
        return (daily_moment(when.at, self._zone, wall, day) - wall).total_seconds()

    # Running

    def _start_run(self, entry: _Entry) -> None:
        wall, when = self._clock.wall(), entry.job.when
        past = replace(self._pasts.get(entry.key, _Past()), started=wall, ended=None)
        if isinstance(when, Every):
            entry.due = self._clock.monotonic() + when.interval.total_seconds()
        else:
            past = replace(past, day=latest_day(when.at, self._zone, wall))
        self._pasts[entry.key] = past
        run = asyncio.create_task(self._run(entry), name=f"job {entry.job.name} of {entry.owner}")
        self._runs[entry.key] = run
        run.add_done_callback(partial(self._ended, entry))

    async def _run(self, entry: _Entry) -> None:
        # The start is on disk before the work begins: a job that takes the whole process down must not do so for ever.
        await self._keep(entry.key)
        if self._entries.get(entry.key) is not entry:
            return
        entry.work = asyncio.create_task(self._contained(entry), name=f"work of {entry.job.name} of {entry.owner}")
        entry.work.add_done_callback(_failure_of)  # looked at even if nobody waits any more: no warning then
        try:
            await asyncio.wait({entry.work})
        except asyncio.CancelledError:
            entry.work.cancel()
            await asyncio.wait({entry.work}, timeout=STOP_SECONDS)
            raise
        await self._note(entry, _failure_of(entry.work))

    async def _contained(self, entry: _Entry) -> None:
        _inside.set(entry)
        job = entry.job
        await self._runner(entry.owner, f"job {job.name}", job.run, job.limit.total_seconds())

    async def _note(self, entry: _Entry, error: str) -> None:
        past, wall = self._pasts[entry.key], self._clock.wall()
        if error:
            log.warning("The job %s of %s failed: %s", entry.job.name, entry.owner, error)
            past = replace(past, ended=wall, error=error, failures=past.failures + 1)
        else:
            past = replace(past, ended=wall, ok=wall, error="", failures=0)
        self._pasts[entry.key] = past
        await self._keep(entry.key)

    def _ended(self, entry: _Entry, run: asyncio.Task[None]) -> None:
        del self._runs[entry.key]
        successor = self._entries.get(entry.key)
        if successor is not None:
            self._look_at(successor)
        if not run.cancelled() and (error := run.exception()) is not None:
            log.error("The job %s could not be looked after.", entry.job.name, exc_info=error)

    async def _keep(self, key: _Key) -> None:
        """Write what is known of a job. A store that refuses is shown by others; the work goes on from memory."""
        past = self._pasts[key]
        times = (_stamp(past.started), _stamp(past.ended), _stamp(past.ok))
        day = past.day.isoformat() if past.day else None
        try:
            async with self._records.transaction() as tx:
                await tx.execute(_KEEP, (*key, *times, past.error, past.failures, day))
        except StoreError as error:
            log.error("How the job %s of %s ran could not be kept: %s", key[1], key[0], error)


_KEEP = """
INSERT INTO job_runs (owner, name, last_started, last_ended, last_ok, error, failures, last_day)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (owner, name) DO UPDATE SET
    last_started = excluded.last_started, last_ended = excluded.last_ended, last_ok = excluded.last_ok,
    error = excluded.error, failures = excluded.failures, last_day = excluded.last_day
"""


# When: pure functions


def every_delay(interval: timedelta, wall: datetime, last_started: datetime | None) -> float:
    """Seconds until an interval job is due in a process that has just started.

    At once if it never ran or its time came while the box was off; a last start that lies in the future was written
    while the clock was wrong, and counts as now.
    """
    if last_started is None:
        return 0.0
    since = max(timedelta(0), wall - last_started)
    return max(0.0, (interval - since).total_seconds())


def latest_day(at: time, zone: ZoneInfo, wall: datetime) -> date:
    """The local day whose ``at`` was passed most recently."""
    today = wall.astimezone(zone).date()
    return today if _moment(today, at, zone) <= wall else today - _ONE_DAY


def served_day(at: time, zone: ZoneInfo, wall: datetime, remembered: date | None) -> date:
    """The local day from which a daily job counts: the one it last ran for, if that is known and can be true.

    A job that is seen for the first time has not missed today's time. A day further ahead than tomorrow was written
    while the clock was wrong; to believe it could mean years of silence.
    """
    if remembered is None or remembered > wall.astimezone(zone).date() + _ONE_DAY:
        return latest_day(at, zone, wall)
    return remembered


def daily_moment(at: time, zone: ZoneInfo, wall: datetime, served: date) -> datetime:
    """When a daily job that last ran for the local day ``served`` is due next; in the past if it was missed.

    A day is served once, so a clock that steps back over its time brings no second run.
    """
    return _moment(max(latest_day(at, zone, wall), served + _ONE_DAY), at, zone)


def _moment(day: date, at: time, zone: ZoneInfo) -> datetime:
    """``at`` on that day. A time that daylight saving skips comes as much later; of one that comes twice, the first."""
    return datetime.combine(day, at, zone).astimezone(UTC)


def when_words(when: Every | Daily) -> str:
    """``every 6 hours``, ``every day at 18:00``."""
    if isinstance(when, Daily):
        return f"every day at {when.at:%H:%M}"
    return f"every {_length_words(when.interval, one='')}"


def _length_words(length: timedelta, one: str = "1 ") -> str:
    """The largest unit that fits without a rest: ``90 seconds``, ``6 hours``; ``one`` stands before a single unit."""
    seconds = length.total_seconds()
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= size and seconds % size == 0:
            number = int(seconds // size)
            return f"{one}{unit}" if number == 1 else f"{number} {unit}s"
    return f"{one}second" if seconds == 1 else f"{seconds:g} seconds"


def _jump_check(seconds: float) -> Check:
    size = abs(seconds)
    unit = 1 if size < 3600 else 60 if size < 86400 else 3600
    rounded = timedelta(seconds=round(size / unit) * unit)
    direction = "forward" if seconds > 0 else "back"
    return Check(
        "Clock",
        State.WARNING,
        f"The clock jumped {direction} by {_length_words(rounded)}. Timed work was planned anew.",
        "If this happens again, look at the time service and at the battery of the clock.",
    )


def check_job(owner: str, job: Job) -> None:
    """The rules for a job's times. Raises ``PluginError``."""
    if isinstance(job.when, Every) and job.when.interval <= timedelta(0):
        raise PluginError(f"The job {job.name!r} of {owner} has no interval.", "Give Every a length above zero.")
    if isinstance(job.when, Daily) and job.when.at.tzinfo is not None:
        raise PluginError(
            f"The job {job.name!r} of {owner} names a time zone.", "Daily times are always in the school's time zone."
        )
    if job.limit <= timedelta(0):
        raise PluginError(f"The job {job.name!r} of {owner} has no time to run.", "Give it a limit above zero.")


def _failure_of(work: asyncio.Task[None]) -> str:
    if work.cancelled():
        return "it was stopped while it ran"
    error = work.exception()
    if error is None:
        return ""
    return str(error) if isinstance(error, ApplianceError) else f"{type(error).__name__}: {error}"


def _past(row: Row) -> _Past:
    past = _Past(
        started=_parse(row["last_started"]),
        ended=_parse(row["last_ended"]),
        ok=_parse(row["last_ok"]),
        error=row["error"],
        failures=row["failures"],
        day=date.fromisoformat(row["last_day"]) if row["last_day"] else None,
    )
    if past.started is not None and past.ended is None:
        return replace(past, error="the appliance stopped while it ran", failures=past.failures + 1)
    return past


def _parse(text: str | None) -> datetime | None:
    return parse(text) if text else None


def _stamp(moment: datetime | None) -> str | None:
    return stamp(moment) if moment else None
