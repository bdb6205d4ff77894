"""Jobs: when they run, that no step of the clock loses or doubles them, and what is kept of them."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import appliance
from appliance.containment import Containment, Note
from appliance.db import Database
from appliance.errors import PluginError
from appliance.hookspecs import Daily, Every, Job, State
from appliance.migrate import CORE, migrate
from appliance.schedule import Clock, JobRun, Schedule, daily_moment, every_delay, latest_day, served_day, when_words

LONDON = ZoneInfo("Europe/London")
GUARD_SECONDS = 20
"""For waits that end at once when all is well."""


@dataclass
class Hands:
    """A clock that a test sets: time goes by on both hands, a step moves the wall's alone."""

    wall: datetime = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    monotonic: float = 1000.0

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.wall, lambda: self.monotonic)

    def go(self, **length: float) -> None:
        self.wall += timedelta(**length)
        self.monotonic += timedelta(**length).total_seconds()

    def step(self, **length: float) -> None:
        self.wall += timedelta(**length)

    def reboot(self, **off: float) -> None:
        self.wall += timedelta(**off)
        self.monotonic = 5.0


@dataclass
class Work:
    """What a job does in these tests: count its runs, and hold on or fail when told to."""

    runs: int = 0
    at_once: int = 0
    most_at_once: int = 0
    error: Exception | None = None
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.go_on.set()

    async def run(self) -> None:
        self.runs += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.go_on.wait()
        finally:
            self.at_once -= 1
        if self.error is not None:
            raise self.error


class Box:
    """A schedule on real stores with real containment and a clock of the test's own; may be switched off and on."""

    def __init__(self, records: Database, containment: Containment) -> None:
        self.records = records
        self.containment = containment
        self.hands = Hands()
        self.schedule = self._new()

    def _new(self) -> Schedule:
        return Schedule("Europe/London", self.records, self.containment.run, self.hands.clock)

    async def restart(self, job: Job, **off: float) -> None:
        await self.schedule.stop()
        self.hands.reboot(**off)
        self.schedule = self._new()
        self.schedule.add("visitors", job)
        await self.schedule.start()
        await settle()

    async def begin(self, *jobs: Job) -> None:
        for job in jobs:
            self.schedule.add("visitors", job)
        await self.schedule.start()
        await settle()

    async def look(self) -> None:
        self.schedule.look()
        await settle()

    async def state(self, name: str = "tidy") -> JobRun:
        return next(run for run in await self.schedule.runs() if run.name == name)


async def settle() -> None:
    """Wait until what was started has come to its end, or to where the test holds it."""
    for prefix in ("note of ", "job "):
        tasks = {task for task in asyncio.all_tasks() if task.get_name().startswith(prefix)}
        if tasks:
            await asyncio.wait_for(asyncio.wait(tasks), GUARD_SECONDS)


@pytest.fixture
async def box(tmp_path: Path) -> AsyncIterator[Box]:
    records = Database(tmp_path / "records.db")
    await records.open()
    await migrate(records, CORE, Path(appliance.__file__).parent / "migrations")
    box = Box(records, Containment(Note(tmp_path / "note"), 10))
    yield box
    await box.schedule.stop()
    await records.close()


def hourly(work: Work) -> Job:
    return Job("tidy", Every(timedelta(hours=1)), work.run)


def at_six(work: Work) -> Job:
    return Job("tidy", Daily(time(18, 0)), work.run)


# Intervals


async def test_an_interval_job_runs_at_once_and_then_after_each_interval(box: Box) -> None:
    work = Work()
    await box.begin(hourly(work))
    assert work.runs == 1
    box.hands.go(minutes=59, seconds=59)
    await box.look()
    assert work.runs == 1
    box.hands.go(seconds=1)
    await box.look()
    assert work.runs == 2


@pytest.mark.parametrize("step", [-400, -1, -0.01, 0.01, 1, 400], ids=lambda days: f"{days} days")
async def test_a_step_of_the_clock_neither_delays_nor_hastens_an_interval_job(box: Box, step: float) -> None:
    work = Work()
    await box.begin(hourly(work))
    box.hands.go(minutes=30)
    box.hands.step(days=step)
    await box.look()
    assert work.runs == 1
    box.hands.go(minutes=30)
    await box.look()
    assert work.runs == 2


@pytest.mark.parametrize(
    ("off", "then", "runs"),
    [
        pytest.param({"minutes": 20}, {"minutes": 39}, 1, id="not yet"),
        pytest.param({"minutes": 20}, {"minutes": 40}, 2, id="the rest of the interval"),
        pytest.param({"hours": 7}, {}, 2, id="overdue, at once"),
        pytest.param({"days": -3}, {"minutes": 59}, 1, id="the last start lies in the future: not at once"),
        pytest.param({"days": -3}, {"minutes": 60}, 2, id="the last start lies in the future: one interval"),
    ],
)
async def test_an_interval_goes_on_over_a_restart(
    box: Box, off: dict[str, float], then: dict[str, float], runs: int
) -> None:
    work = Work()
    await box.begin(hourly(work))
    await box.restart(hourly(work), **off)
    box.hands.go(**then)
    await box.look()
    assert work.runs == runs


# Times of day (the box's clock starts at 12:00 on 24 November, in London too)


async def test_a_daily_job_whose_time_is_over_when_it_is_first_seen_was_not_missed(box: Box) -> None:
    work = Work()
    await box.begin(Job("tidy", Daily(time(3, 30)), work.run))
    assert work.runs == 0
    assert (await box.state()).next == datetime(2026, 11, 25, 3, 30, tzinfo=UTC)


async def test_a_daily_job_runs_once_a_day(box: Box) -> None:
    work = Work()
    await box.begin(at_six(work))
    counts = []
    for _ in range(48):
        box.hands.go(hours=1)
        await box.look()
        counts.append(work.runs)
    assert counts == [0] * 5 + [1] * 24 + [2] * 19


async def test_a_time_missed_while_the_box_was_off_is_caught_up_once(box: Box) -> None:
    work = Work()
    await box.begin(at_six(work))
    await box.restart(at_six(work), days=3)
    assert work.runs == 1
    assert (await box.state()).next == datetime(2026, 11, 27, 18, 0, tzinfo=UTC)
    await box.restart(at_six(work), minutes=10)
    assert work.runs == 1
    box.hands.go(hours=6)
    await box.look()
    assert work.runs == 2


async def test_a_job_seen_first_after_its_time_is_caught_up_when_the_box_is_off_over_the_next(box: Box) -> None:
    work = Work()
    early = Job("tidy", Daily(time(3, 30)), work.run)
    await box.begin(early)
    await box.restart(early, hours=20)
    assert work.runs == 1


async def test_a_clock_that_jumps_over_a_time_catches_it_up_and_back_again_does_not_repeat_it(box: Box) -> None:
    work = Work()
    await box.begin(at_six(work))
    box.hands.step(hours=8)
    await box.look()
    assert work.runs == 1
    box.hands.step(hours=-8)
    await box.look()
    box.hands.go(hours=7)
    await box.look()
    assert work.runs == 1
    box.hands.go(days=1)
    await box.look()
    assert work.runs == 2


async def test_a_clock_that_was_years_ahead_does_not_silence_a_daily_job_for_years(box: Box) -> None:
    work = Work()
    await box.begin(at_six(work))
    box.hands.step(days=3650)
    await box.look()
    assert work.runs == 1
    box.hands.step(days=-3650)
    await box.look()
    assert (await box.state()).next == datetime(2026, 11, 24, 18, 0, tzinfo=UTC)
    box.hands.go(hours=6)
    await box.look()
    assert work.runs == 2


@pytest.mark.parametrize(
    ("at", "day", "moment"),
    [
        pytest.param(time(1, 30), date(2026, 3, 28), "2026-03-28T01:30Z", id="the day before summer time"),
        pytest.param(time(1, 30), date(2026, 3, 29), "2026-03-29T01:30Z", id="skipped by summer time: 02:30 BST"),
        pytest.param(time(2, 30), date(2026, 3, 29), "2026-03-29T01:30Z", id="after the change to summer time"),
        pytest.param(time(1, 30), date(2026, 10, 25), "2026-10-25T00:30Z", id="comes twice: the first"),
        pytest.param(time(2, 30), date(2026, 10, 25), "2026-10-25T02:30Z", id="after the change to winter time"),
        pytest.param(time(0, 0), date(2026, 7, 1), "2026-06-30T23:00Z", id="midnight in summer"),
        pytest.param(time(23, 59, 59), date(2026, 12, 31), "2026-12-31T23:59:59Z", id="the end of the year"),
    ],
)
def test_the_moment_of_a_daily_job(at: time, day: date, moment: str) -> None:
    midday_before = datetime.combine(day - timedelta(days=1), time(12), LONDON)
    served = latest_day(at, LONDON, midday_before.astimezone(UTC))
    asked_at = midday_before if served == day - timedelta(days=1) else midday_before + timedelta(hours=12)
    found = daily_moment(at, LONDON, asked_at.astimezone(UTC), day - timedelta(days=1))
    assert found == datetime.fromisoformat(moment)


zones = st.sampled_from(["Europe/London", "America/St_Johns", "Australia/Lord_Howe", "UTC"]).map(ZoneInfo)
starts = st.integers(0, 3650 * 86400).map(lambda seconds: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds))


def walk(at: time, zone: ZoneInfo, walls: list[datetime]) -> list[date]:
    """The days that a daily job serves when it is looked at at these times, one after the other."""
    days: list[date] = []
    served: date | None = None
    for wall in walls:
        served = served_day(at, zone, wall, served)
        if daily_moment(at, zone, wall, served) <= wall:
            served = latest_day(at, zone, wall)
            days.append(served)
        assert daily_moment(at, zone, wall, served) > wall
    return days


@given(at=st.times(), zone=zones, start=starts, moves=st.lists(st.integers(-12 * 3600, 3 * 86400), max_size=30))
def test_no_day_is_served_twice(at: time, zone: ZoneInfo, start: datetime, moves: list[int]) -> None:
    """While the clock is never set back by more than a day in all: what a wrong zone or summer time can do."""
    walls = [start]
    for seconds in moves:
        walls.append(max(walls[-1] + timedelta(seconds=seconds), max(walls) - timedelta(hours=23)))
    days = walk(at, zone, walls)
    assert days == sorted(set(days))


@given(
    at=st.times(),
    zone=zones,
    start=starts,
    steps=st.lists(st.timedeltas(timedelta(-9000), timedelta(9000)), max_size=5),
)
def test_whatever_the_clock_did_a_daily_job_runs_each_day_again(
    at: time, zone: ZoneInfo, start: datetime, steps: list[timedelta]
) -> None:
    walls = [start, *(start + step for step in steps)]
    first = walls[-1].astimezone(zone).date() + timedelta(days=3)
    walls += [walls[-1] + timedelta(hours=hours) for hours in range(24 * 6)]
    assert {first, first + timedelta(days=1)} <= set(walk(at, zone, walls))


@given(
    interval=st.timedeltas(timedelta(seconds=1), timedelta(days=400)),
    since=st.timedeltas(timedelta(days=-4000), timedelta(days=4000)),
)
def test_an_interval_after_a_start_is_never_longer_than_itself(interval: timedelta, since: timedelta) -> None:
    wall = datetime(2026, 11, 24, tzinfo=UTC)
    delay = every_delay(interval, wall, wall - since)
    assert 0 <= delay <= interval.total_seconds()
    assert (delay == 0) == (since >= interval)


# Running


async def start_held(box: Box, work: Work, job: Job) -> None:
    """Start the job and leave it in the middle of its work."""
    work.go_on.clear()
    begun = asyncio.Event()

    async def run() -> None:
        begun.set()
        await work.run()

    box.schedule.add("visitors", Job(job.name, job.when, run, job.limit))
    await box.schedule.start()
    await asyncio.wait_for(begun.wait(), GUARD_SECONDS)


async def test_runs_never_overlap_and_those_missed_meanwhile_become_one(box: Box) -> None:
    work = Work()
    await start_held(box, work, hourly(work))
    for _ in range(3):
        box.hands.go(hours=1)
        box.schedule.look()
    assert (await box.state()).running
    work.go_on.set()
    await settle()
    await settle()
    assert (work.runs, work.most_at_once) == (2, 1)


async def test_a_run_that_exceeds_its_limit_is_stopped_recorded_and_tried_again(box: Box) -> None:
    work = Work()
    work.go_on.clear()
    await box.begin(Job("tidy", Every(timedelta(hours=1)), work.run, limit=timedelta(milliseconds=1)))
    state = await box.state()
    assert (work.at_once, state.failures, state.running) == (0, 1, False)
    assert "did not come back within 0.001 seconds" in state.error
    work.go_on.set()
    box.hands.go(hours=1)
    await box.look()
    assert work.runs == 2


async def test_a_failure_is_recorded_shown_and_forgotten_after_the_next_good_run(box: Box) -> None:
    work = Work(error=ValueError("the printer is out of paper"))
    await box.begin(hourly(work))
    box.hands.go(hours=1)
    await box.look()
    state = await box.state()
    assert state.failures == 2
    assert state.last_ok is None
    assert "ValueError: the printer is out of paper" in state.error
    [check] = await box.schedule.checks()
    assert check.state is State.WARNING
    assert check.name == "Timed work: tidy (visitors)"
    assert check.words.startswith("Failed 2 times in a row: ")
    assert check.words.endswith("It is tried again at 14:00 on 24 November.")

    await box.restart(hourly(work), minutes=1)
    assert (await box.state()).failures == 2

    work.error = None
    box.hands.go(hours=1)
    await box.look()
    state = await box.state()
    assert (state.failures, state.error, state.last_ok) == (0, "", box.hands.wall)
    assert [check.state for check in await box.schedule.checks()] == [State.GOOD]


async def test_what_is_told_of_a_job(box: Box) -> None:
    work = Work()
    await box.begin(hourly(work), Job("sign out", Daily(time(18, 0)), work.run))
    noon = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    six = noon + timedelta(hours=6)
    assert await box.schedule.runs() == [
        JobRun("visitors", "sign out", "every day at 18:00", None, None, "", 0, six, False),
        JobRun("visitors", "tidy", "every hour", noon, noon, "", 0, noon + timedelta(hours=1), False),
    ]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-3600, "The clock jumped back by 1 hour."),
        (90, "The clock jumped forward by 90 seconds."),
        (2 * 86400 + 3.25, "The clock jumped forward by 2 days."),
    ],
)
async def test_a_jump_of_the_clock_is_shown_for_an_hour(box: Box, seconds: float, words: str) -> None:
    await box.begin()
    box.hands.go(seconds=5)
    box.hands.step(seconds=seconds)
    await box.look()
    clock = (await box.schedule.checks())[-1]
    assert (clock.name, clock.state) == ("Clock", State.WARNING)
    assert clock.words.startswith(words)
    box.hands.go(hours=1)
    await box.look()
    assert [check.name for check in await box.schedule.checks()] == ["Timed work"]


async def test_time_that_goes_by_is_no_jump(box: Box) -> None:
    await box.begin()
    box.hands.go(days=3)
    box.hands.step(seconds=0.5)
    await box.look()
    assert [check.name for check in await box.schedule.checks()] == ["Timed work"]


# Adding, removing, stopping


async def test_a_job_added_after_the_start_runs_too_and_not_in_the_context_of_who_added_it(box: Box) -> None:
    caller = contextvars.ContextVar("caller", default="nobody")
    seen: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def run() -> None:
        seen.set_result(caller.get())

    await box.begin()
    caller.set("a plugin")
    box.schedule.add("visitors", Job("tidy", Every(timedelta(hours=1)), run))
    assert await asyncio.wait_for(seen, GUARD_SECONDS) == "nobody"


async def test_removing_an_owner_stops_what_runs_and_forgets_its_jobs_alone(box: Box) -> None:
    work, other = Work(), Work()
    box.schedule.add("postbox", Job("collect", Every(timedelta(hours=1)), other.run))
    await start_held(box, work, hourly(work))
    box.schedule.remove("visitors")
    await settle()
    assert work.at_once == 0
    assert [run.owner for run in await box.schedule.runs()] == ["postbox"]
    box.hands.go(hours=2)
    await box.look()
    assert (work.runs, other.runs) == (1, 2)


async def test_a_ring_that_comes_after_the_removal_starts_nothing(box: Box) -> None:
    """Both jobs are due within moments of the real clock, so APScheduler rings for both, the removed one first."""
    work, rang = Work(), asyncio.Event()

    async def ring() -> None:
        if box.hands.monotonic > 2000:
            rang.set()

    box.schedule.add("postbox", Job("later", Every(timedelta(hours=1, seconds=0.1)), ring))
    await box.begin(hourly(work))
    box.hands.go(hours=1, seconds=-0.05)
    await box.look()
    box.hands.go(seconds=1)
    box.schedule.remove("visitors")
    await asyncio.wait_for(rang.wait(), GUARD_SECONDS)
    await settle()
    row = await box.records.fetch_one("SELECT last_started FROM job_runs WHERE owner = 'visitors'")
    assert (work.runs, row and row["last_started"]) == (1, "2026-11-24T12:00:00.000Z")


async def test_a_job_whose_run_leads_to_the_removal_of_its_owner_is_not_cut_off(box: Box) -> None:
    ended = asyncio.Event()

    async def switch_itself_off() -> None:
        box.schedule.remove("visitors")
        await asyncio.get_running_loop().run_in_executor(None, str)
        ended.set()

    await box.begin(Job("tidy", Every(timedelta(hours=1)), switch_itself_off))
    assert ended.is_set()


async def test_a_job_that_comes_back_waits_for_its_old_run(tmp_path: Path, box: Box) -> None:
    """Removed and added again (a plugin that is let in again) while the old run still tidies up."""
    work = Work()
    begun = asyncio.Event()

    async def slow_to_stop() -> None:
        work.runs += 1
        work.at_once += 1
        work.most_at_once = max(work.most_at_once, work.at_once)
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        await work.go_on.wait()
        work.at_once -= 1

    async def uncontained(owner: str, what: str, function: Callable[[], Awaitable[None]], seconds: float) -> None:
        await function()

    schedule = Schedule("UTC", box.records, uncontained, box.hands.clock)
    work.go_on.clear()
    schedule.add("visitors", Job("tidy", Every(timedelta(hours=1)), slow_to_stop))
    await schedule.start()
    await asyncio.wait_for(begun.wait(), GUARD_SECONDS)
    schedule.remove("visitors")
    schedule.add("visitors", Job("tidy", Every(timedelta(hours=1)), work.run))
    box.hands.go(hours=2)
    schedule.look()
    assert work.runs == 1
    work.go_on.set()
    await settle()
    await settle()
    assert (work.runs, work.most_at_once) == (2, 1)
    await schedule.stop()


async def test_stopping_cancels_what_runs_and_the_next_start_says_so(box: Box) -> None:
    work = Work()
    await start_held(box, work, hourly(work))
    await box.schedule.stop()
    assert work.at_once == 0
    await box.restart(hourly(work), minutes=5)
    state = await box.state()
    assert (state.error, state.failures) == ("the appliance stopped while it ran", 1)
    assert state.next == datetime(2026, 11, 24, 13, 0, tzinfo=UTC)


async def test_after_stop_nothing_starts(box: Box) -> None:
    work = Work()
    await box.begin(hourly(work))
    await box.schedule.stop()
    box.hands.go(hours=2)
    await box.look()
    assert work.runs == 1


async def test_stop_without_start_is_safe(box: Box) -> None:
    await box.schedule.stop()


async def test_jobs_go_on_while_the_store_refuses(box: Box) -> None:
    work = Work()
    await box.begin(hourly(work))
    await box.records.close()
    box.hands.go(hours=1)
    await box.look()
    assert work.runs == 2
    assert (await box.state()).last_ok == box.hands.wall


@pytest.mark.parametrize(
    ("job", "words"),
    [
        (Job("tidy", Every(timedelta(0)), Work.run), "has no interval"),  # type: ignore[arg-type]
        (Job("tidy", Every(timedelta(seconds=-1)), Work.run), "has no interval"),  # type: ignore[arg-type]
        (Job("tidy", Daily(time(1, 0, tzinfo=UTC)), Work.run), "names a time zone"),  # type: ignore[arg-type]
        (Job("tidy", Daily(time(1, 0)), Work.run, timedelta(0)), "has no time to run"),  # type: ignore[arg-type]
    ],
)
async def test_a_job_that_cannot_be_planned_is_refused_in_words(box: Box, job: Job, words: str) -> None:
    with pytest.raises(PluginError, match=words):
        box.schedule.add("visitors", job)


async def test_two_jobs_of_one_name_are_refused(box: Box) -> None:
    work = Work()
    box.schedule.add("visitors", hourly(work))
    box.schedule.add("postbox", hourly(work))
    with pytest.raises(PluginError, match="visitors has two jobs called 'tidy'"):
        box.schedule.add("visitors", at_six(work))


@pytest.mark.parametrize(
    ("when", "words"),
    [
        (Every(timedelta(seconds=0.5)), "every 0.5 seconds"),
        (Every(timedelta(seconds=1)), "every second"),
        (Every(timedelta(seconds=90)), "every 90 seconds"),
        (Every(timedelta(minutes=1)), "every minute"),
        (Every(timedelta(minutes=90)), "every 90 minutes"),
        (Every(timedelta(hours=24)), "every day"),
        (Every(timedelta(days=7)), "every 7 days"),
        (Daily(time(7, 5)), "every day at 07:05"),
    ],
)
def test_when_in_words(when: Every | Daily, words: str) -> None:
    assert when_words(when) == words


async def test_on_the_real_clock_a_job_runs_again_and_again(box: Box) -> None:
    thrice = asyncio.Event()
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs == 3:
            thrice.set()

    schedule = Schedule("Europe/London", box.records, box.containment.run)
    schedule.add("visitors", Job("tidy", Every(timedelta(milliseconds=20)), run))
    await schedule.start()
    await asyncio.wait_for(thrice.wait(), GUARD_SECONDS)
    await schedule.stop()
