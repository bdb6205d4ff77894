"""Detectors in their own process: real ones, that find, raise, spin, end the process, talk nonsense."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from appliance import detection
from appliance.clock import new_id, stamp
from appliance.detection import DetectionAway
from appliance.hookspecs import Check, State
from appliance.observations import Finding, Observation, Severity, Surface
from appliance.testing import Home, Running

Start = Callable[[Home], Awaitable[Running]]

PLUGIN = '''
import os, re, signal, time
from pathlib import Path
from appliance.api import *

EVERYWHERE = frozenset(Surface)


class Plugin:
    """Detectors of all kinds."""

    class Settings(Section):
        """How it behaves."""

        word: str = setting("penguin", "What to look for.")

    def __init__(self, appliance, settings):
        self.settings = settings

    def finding(self, observation, start, end, **more):
        given = dict(policy="Birds", version="1", term="bird", phrase="a bird", category="birds",
                     severity=Severity.MINOR, definition="A bird.", start=start, end=end)
        return Finding(**{**given, **more})

    def word(self, observation):
        start = observation.text.find(self.settings.word)
        return [self.finding(observation, start, start + len(self.settings.word))] if start >= 0 else []

    def misbehave(self, observation):
        text = observation.text
        if "spin" in text:
            while True:
                pass
        if "regex" in text:
            re.match(r"(a+)+$", "a" * 60 + "b")
        if "raise" in text:
            raise ValueError(text)
        if "exit" in text:
            os._exit(3)
        if "crash" in text:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "leave" in text:
            raise SystemExit(text)
        if "memory" in text:
            return ["x" * (4 << 30)]
        if "garbage" in text:
            for descriptor in range(3, 20):
                try:
                    os.write(descriptor, b"garbage\\n")
                except OSError:
                    pass
        if "print" in text:
            print(text, flush=True)
            os.write(1, text.encode())
            os.write(2, text.encode())
        if "slow" in text:
            time.sleep(0.3)
        if "wrong" in text:
            return self.wrong(observation, text.split()[-1])
        if "read" in text:
            return [self.finding(observation, 0, 1, found=repr(input()))]
        return []

    def wrong(self, observation, how):
        return {
            "none": None,
            "text": "hello",
            "object": [object()],
            "many": [self.finding(observation, 0, 1)] * 201,
            "start": [self.finding(observation, -1, 1)],
            "end": [self.finding(observation, 0, len(observation.text) + 1)],
            "order": [self.finding(observation, 3, 1)],
            "place": [self.finding(observation, 0.5, 1)],
            "yes": [self.finding(observation, True, 1)],
            "severity": [self.finding(observation, 0, 1, severity="awful")],
            "phrase": [self.finding(observation, 0, 1, phrase=7)],
            "long": [self.finding(observation, 0, 1, definition="x" * 4001)],
            "huge": [self.finding(observation, 0, 1, definition="x" * (5 << 20))],
            "category": [self.finding(observation, 0, 1, category="../birds")],
            "unhashable": [self.finding(observation, 0, 1, category=["birds"])],
            "test": [self.finding(observation, 0, 1, is_test="no")],
            "bytes": [self.finding(observation, 0, 1, phrase=b"bird")],
            "steps": [self.finding(observation, 0, 1, steps="letters")],
            "tried": [self.finding(observation, 0, 1, tried={"a set"})],
            "facts": [self.finding(observation, 0, 1, facts=(("a title",),))],
            "picture": [self.finding(observation, 0, 1, picture="no")],
            "alert": [self.finding(observation, 0, 1, alert="yes")],
            "clip": [self.finding(observation, 0, 1, clip_seconds=1e9)],
        }[how]

    @hook
    def register_detectors(self):
        return [
            Detector("word", frozenset({Surface.TYPED, Surface.SEARCH}), self.word),
            Detector("misbehave", EVERYWHERE, self.misbehave),
        ]
'''
QUIET = '''
from appliance.api import *

class Plugin:
    """Looks for nothing."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        pass
'''


def seen(text: str, surface: Surface = Surface.TYPED) -> Observation:
    return Observation(new_id(), stamp(), surface, text)


async def running_with(home: Home, start: Start, settings: str = "{}", more: str = "") -> Running:
    home.add_plugin(PLUGIN, "birds")
    home.write(f"detection: {{judge_seconds: 0.5}}\n{more}plugins: {{birds: {settings}}}\n")
    home.trust_plugins()
    running = await start(home)
    await there(running)
    return running


async def there(running: Running) -> None:
    """Wait until the process answers."""
    async with asyncio.timeout(30):
        while "runs with" not in (await line(running)).words:
            await asyncio.sleep(0.01)


async def line(running: Running) -> Check:
    return next(check for check in await running.appliance.detection.checks() if check.name == "Detection")


async def judged(running: Running, text: str, surface: Surface = Surface.TYPED) -> list[Finding]:
    return list(await running.appliance.detection.judge(seen(text, surface)))


async def process_of(running: Running) -> int:
    found = re.search(r"process (\d+)", (await line(running)).words)
    assert found is not None
    return int(found[1])


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or before it was read
        return False
    return state not in {"Z", "X"}


async def gone(pid: int) -> None:
    async with asyncio.timeout(10):
        while is_alive(pid):
            await asyncio.sleep(0.01)


async def test_what_the_detectors_of_a_surface_find_comes_back(appliance_home: Home, start_appliance: Start) -> None:
    running = await running_with(appliance_home, start_appliance)
    (finding,) = await judged(running, "\ud83d a 🐧 penguin")
    assert (finding.start, finding.end) == (6, 13)
    assert finding.severity is Severity.MINOR
    assert finding.definition == "A bird."
    assert await judged(running, "a sparrow") == []
    for surface in Surface:
        found = await judged(running, "a penguin", surface)
        assert len(found) == (surface in (Surface.TYPED, Surface.SEARCH)), surface


async def test_the_process_has_the_settings_that_run_and_not_those_of_the_file(
    appliance_home: Home, start_appliance: Start
) -> None:
    running = await running_with(appliance_home, start_appliance, "{word: puffin}")
    appliance_home.write("detection: nonsense\n")
    for name in ("help_seeking.yaml", "categories.yaml"):
        (appliance_home.folder / name).write_text("nonsense")
    await running.appliance.detection.refresh()
    assert len(await judged(running, "a puffin")) == 1


async def test_a_detector_that_never_ends_is_killed_and_a_person_asked_to_look(
    appliance_home: Home, start_appliance: Start
) -> None:
    running = await running_with(appliance_home, start_appliance)
    for how in ("spin", "regex"):
        before = await process_of(running)
        first, second = await judged(running, f"a penguin, {how}")
        assert first.policy == "Birds"
        assert (second.category, second.severity, second.term) == ("unjudged", Severity.MINOR, "birds.misbehave")
        assert "within 0.5 seconds" in second.definition
        assert (second.start, second.end) == (0, len(f"a penguin, {how}"))
        await gone(before)
        assert len(await judged(running, "a penguin")) == 1
        assert await process_of(running) != before


FAILING = {
    "raise": "raised ValueError in __init__.py, line",
    "leave": "raised SystemExit in",
    "memory": "raised MemoryError",
    "exit": "ended the process",
    "crash": "ended the process",
    "garbage": "ended the process",
    "read": "raised EOFError",
}
NONSENSE = (
    "none", "text", "object", "many", "start", "end", "order", "place", "yes", "severity", "phrase", "long", "huge",
    "category", "unhashable", "test", "bytes", "steps", "tried", "facts", "picture", "alert", "clip",
)  # fmt: skip


async def test_a_detector_that_fails_is_contained_and_says_nothing_of_what_it_read(
    appliance_home: Home, start_appliance: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(detection, "FAILURES", 100)
    running = await running_with(appliance_home, start_appliance)
    for how, words in FAILING.items():
        first, second = await judged(running, f"Mia's penguin, {how}")
        assert first.policy == "Birds"
        assert second.category == "unjudged"
        assert words in second.definition
        assert "Mia" not in second.definition
        assert len(await judged(running, "a penguin")) == 1
    assert "Mia" not in caplog.text


async def test_nonsense_is_a_failure_of_the_detector(
    appliance_home: Home, start_appliance: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection, "FAILURES", 100)
    running = await running_with(appliance_home, start_appliance)
    for how in NONSENSE:
        assert [finding.category for finding in await judged(running, f"wrong {how}")] == ["unjudged"], how
    assert len(await judged(running, "a penguin")) == 1


async def test_what_a_detector_prints_goes_nowhere(
    appliance_home: Home, start_appliance: Start, capfd: pytest.CaptureFixture[str]
) -> None:
    running = await running_with(appliance_home, start_appliance)
    assert len(await judged(running, "print a penguin")) == 1
    assert len(await judged(running, "a penguin")) == 1
    shown = capfd.readouterr()
    assert "penguin" not in shown.out + shown.err


async def test_a_detector_that_fails_three_times_is_left_out_and_alarms(
    appliance_home: Home, start_appliance: Start
) -> None:
    running = await running_with(appliance_home, start_appliance)
    for _ in range(3):
        assert len(await judged(running, "raise")) == 1
    assert [finding.category for finding in await judged(running, "raise")] == ["unjudged"]  # nothing is lost by that
    assert [finding.category for finding in await judged(running, "a penguin")] != ["unjudged"]
    (check,) = [check for check in await running.appliance.detection.checks() if "misbehave" in check.name]
    assert (check.state, check.alarm) == (State.BROKEN, True)
    assert "3 times in 10 minutes" in check.words
    assert "appliance plugin reset birds" in check.todo


async def test_what_a_detector_could_not_judge_is_not_put_to_it_again(
    appliance_home: Home, start_appliance: Start
) -> None:
    running = await running_with(appliance_home, start_appliance)
    observation = seen("spin")
    first = await running.appliance.detection.judge(observation)
    before = await process_of(running)
    assert await running.appliance.detection.judge(observation) == first
    assert await process_of(running) == before


async def test_observations_are_judged_in_their_order(appliance_home: Home, start_appliance: Start) -> None:
    running = await running_with(appliance_home, start_appliance)
    done: list[int] = []

    async def one(number: int) -> None:
        await judged(running, "slow" if number == 0 else "quick")
        done.append(number)

    await asyncio.gather(*(one(number) for number in range(20)))
    assert done == list(range(20))


async def test_the_line_is_bounded(appliance_home: Home, start_appliance: Start) -> None:
    running = await running_with(appliance_home, start_appliance)
    answers = await asyncio.gather(
        *(judged(running, "slow" if number == 0 else "a penguin") for number in range(detection.WAITING + 5)),
        return_exceptions=True,
    )
    assert [type(answer) for answer in answers[-5:]] == [DetectionAway] * 5
    assert [len(answer) for answer in answers[1:-5] if isinstance(answer, list)] == [1] * (detection.WAITING - 1)


async def test_nobody_needs_to_wait_for_an_answer_for_the_next_to_be_right(
    appliance_home: Home, start_appliance: Start
) -> None:
    running = await running_with(appliance_home, start_appliance)
    impatient = asyncio.create_task(judged(running, "slow penguin"))
    await asyncio.sleep(0)
    next_one = asyncio.create_task(judged(running, "a sparrow"))
    await asyncio.sleep(0.05)
    impatient.cancel()
    assert await next_one == []


async def test_nothing_is_lost_when_the_process_is_killed_in_between(
    appliance_home: Home, start_appliance: Start
) -> None:
    running = await running_with(appliance_home, start_appliance)
    asked = [asyncio.create_task(judged(running, f"a penguin, slow {number}")) for number in range(8)]
    await asyncio.sleep(0.1)
    os.kill(await process_of(running), signal.SIGKILL)
    assert [[finding.policy for finding in findings] for findings in await asyncio.gather(*asked)] == [["Birds"]] * 8


async def test_a_process_that_is_killed_while_idle_is_started_again(
    appliance_home: Home, start_appliance: Start
) -> None:
    running = await running_with(appliance_home, start_appliance)
    before = await process_of(running)
    os.kill(before, signal.SIGKILL)
    await gone(before)
    assert len(await judged(running, "a penguin")) == 1
    assert await process_of(running) != before


async def test_while_it_does_not_start_observations_are_sent_back_and_an_alarm_is_shown(
    appliance_home: Home, start_appliance: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = await running_with(appliance_home, start_appliance)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setattr(detection, "PATIENCE_SECONDS", 0.2)
    before = await process_of(running)
    os.kill(before, signal.SIGKILL)
    await gone(before)
    with pytest.raises(DetectionAway):
        async with asyncio.timeout(10):
            while True:
                await judged(running, "a penguin")
    check = await line(running)
    assert (check.state, check.alarm) == (State.BROKEN, True)
    monkeypatch.undo()
    await there(running)
    assert len(await judged(running, "a penguin")) == 1


async def test_a_refresh_changes_the_process_without_a_gap(appliance_home: Home, start_appliance: Start) -> None:
    running = await running_with(appliance_home, start_appliance)
    before = await process_of(running)
    asked = [asyncio.create_task(judged(running, "a penguin")) for _ in range(50)]
    await running.appliance.detection.refresh()
    assert [len(found) for found in await asyncio.gather(*asked)] == [1] * 50
    assert await process_of(running) != before
    await gone(before)


async def test_a_plugin_that_is_switched_off_judges_no_more_and_alarms(
    appliance_home: Home, start_appliance: Start
) -> None:
    appliance_home.add_plugin(
        PLUGIN
        + """
    @hook
    async def health(self):
        if Path(__file__).with_name("ill").exists():
            raise LookupError("ill")
        return []
""",
        "birds",
    )
    appliance_home.add_plugin(PLUGIN, "other")
    appliance_home.trust_plugins()
    appliance_home.write("plugins: {birds: {}, other: {}}\n")
    running = await start_appliance(appliance_home)
    await there(running)
    assert len(await judged(running, "a penguin")) == 2
    (appliance_home.place.drop_in_dir / "birds" / "ill").write_text("")
    await running.appliance.health.refresh()
    assert len(await judged(running, "a penguin")) == 1
    (check,) = [check for check in await running.appliance.detection.checks() if check.state is State.BROKEN]
    assert check.name == "Detectors of birds"
    async with asyncio.timeout(20):
        while "2 detectors" not in (await line(running)).words:
            await asyncio.sleep(0.01)


async def test_it_ends_with_the_appliance(appliance_home: Home, start_appliance: Start) -> None:
    running = await running_with(appliance_home, start_appliance)
    pid = await process_of(running)
    waiting = [asyncio.create_task(judged(running, "slow")) for _ in range(5)]
    await asyncio.sleep(0)
    await running.stop()
    assert not is_alive(pid)
    for answer in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(answer, list | DetectionAway)


PARENT = """
import asyncio, sys
from pathlib import Path
from appliance.observations import Observation, Surface
from appliance.testing import Home, start_in_process

async def main():
    home = Home(Path(sys.argv[1]), 0, 0)
    running = await start_in_process(home)
    while (child := running.appliance.detection._child) is None:
        await asyncio.sleep(0.01)
    print(child.process.pid, flush=True)
    await running.appliance.detection.judge(Observation("1", "", Surface.TYPED, "spin"))

asyncio.run(main())
"""


async def test_a_detector_that_spins_does_not_outlive_a_main_process_that_is_killed(appliance_home: Home) -> None:
    appliance_home.add_plugin(PLUGIN, "birds")
    appliance_home.write("detection: {judge_seconds: 60}\nplugins: {birds: {}}\n")
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(appliance_home.folder)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(await asyncio.to_thread(parent.stdout.readline))
        assert is_alive(pid)
        parent.kill()
    await gone(pid)


async def test_without_detectors_there_is_no_process(appliance_home: Home, start_appliance: Start) -> None:
    appliance_home.add_plugin(QUIET, "quiet")
    appliance_home.write("plugins: {quiet: {}}\n")
    running = await start_appliance(appliance_home)
    check = await line(running)
    assert check.state is State.WARNING
    with pytest.raises(DetectionAway):
        await judged(running, "a penguin")


BROKEN = {
    '["word"]': "register_detectors returned 'word'",
    '[Detector("A Word", frozenset(Surface), print)]': "needs a name of lower-case letters",
    '[Detector("word", frozenset(), print)]': "must name its surfaces",
    '[Detector("word", frozenset({"typed"}), print)]': "must name its surfaces",
    '[Detector("word", Surface.TYPED, print)]': "must name its surfaces",
    '[Detector("word", frozenset(Surface), None)]': "needs a function",
    '[Detector("word", frozenset(Surface), self.health)]': "needs a function",
    '[Detector("word", frozenset(Surface), print)] * 2': "registered twice",
    "1 / 0": "ZeroDivisionError",
}
BROKEN_HOOKS = """
    @hook
    def register_detectors(self):
        return {registered}

    @hook
    async def health(self):
        return []
"""


async def test_a_plugin_with_a_broken_detector_is_refused(appliance_home: Home, start_appliance: Start) -> None:
    for number, registered in enumerate(BROKEN):
        appliance_home.add_plugin(QUIET + BROKEN_HOOKS.format(registered=registered), f"birds{number}")
    named = ", ".join(f"birds{number}: {{}}" for number in range(len(BROKEN)))
    appliance_home.write(f"plugins: {{{named}}}\n")
    running = await start_appliance(appliance_home)
    for state, words in zip(running.appliance.plugins.states(), BROKEN.values(), strict=True):
        assert state.state == "off"
        assert words in state.reason
    assert (await line(running)).state is State.WARNING
    assert all(check.alarm for check in await running.appliance.plugins.checks())


ILL = """
    @hook
    def register_detectors(self):
        import os, sys, time
        if "detect" in sys.argv and __name__.endswith("hangs"):
            time.sleep(600)
        if "detect" in sys.argv and __name__.endswith("exits"):
            os._exit(1)
        if "detect" in sys.argv:
            raise LookupError("not here")
        return [Detector("word", frozenset(Surface), print)]
"""


async def test_plugins_that_fail_in_the_process_only_are_left_out_and_the_others_judge(
    appliance_home: Home, start_appliance: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection, "STARTS_SPOILT", 1)
    monkeypatch.setattr(detection, "RESTART_PAUSES", (0.0,))
    for name in ("hangs", "exits", "raises"):
        appliance_home.add_plugin(QUIET + ILL, name)
    appliance_home.add_plugin(PLUGIN, "birds")
    appliance_home.trust_plugins()  # in a trial they are well
    appliance_home.write("detection: {load_seconds: 8}\nplugins: {exits: {}, raises: {}, hangs: {}, birds: {}}\n")
    running = await start_appliance(appliance_home)
    await there(running)
    assert [finding.policy for finding in await judged(running, "a penguin")] == ["Birds"]
    assert [finding.category for finding in await judged(running, "nothing of birds")] == ["unjudged"]
    red = {check.name: check for check in await running.appliance.detection.checks() if check.state is State.BROKEN}
    assert set(red) == {"Detectors of hangs", "Detectors of exits", "Detectors of raises"}
    assert "did not finish" in red["Detectors of hangs"].words
    assert "ended" in red["Detectors of exits"].words
    assert "LookupError" in red["Detectors of raises"].words


async def test_the_start_does_not_wait_for_it(appliance_home: Home, start_appliance: Start) -> None:
    appliance_home.add_plugin(PLUGIN, "birds")
    appliance_home.trust_plugins()
    appliance_home.write("plugins: {birds: {}}\n")
    running = await start_appliance(appliance_home)
    assert (await line(running)).words == "It is being started."
    assert len(await judged(running, "a penguin")) == 1  # what comes in that moment waits for it


LEARNING = '''
import os, time
from pathlib import Path
from appliance.api import *

HERE = Path(__file__).parent


class Plugin:
    """Looks for what stands in a file, as it would stand in a row of the store."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        self.words = ()

    @hook
    def register_detectors(self):
        return [Detector("words", frozenset(Surface), self.detect, data=self.data, load=self.load)]

    async def data(self):
        words = (HERE / "words").read_text().split()
        with (HERE / "asked").open("a") as asked:
            asked.write("x")
        if words[0] == "unreadable":
            raise LookupError("Mia")
        return {"words": {"Mia"}} if words[0] == "odd" else {"words": words}

    def load(self, data):
        if "unloadable" in data["words"]:
            raise ValueError("Mia")
        if "deadly" in data["words"]:
            os._exit(1)
        self.words = data["words"]

    def detect(self, observation):
        return [
            Finding("Words", "1", word, word, "birds", Severity.MINOR, "A word.", start, start + len(word))
            for word in self.words
            if (start := observation.text.find(word)) >= 0
        ]
'''


class Learning:
    """A running appliance with a plugin whose words change, and one beside it."""

    def __init__(self, running: Running, folder: Path) -> None:
        self.running = running
        self.folder = folder

    def set(self, words: str) -> None:
        (self.folder / "words").write_text(words)

    async def found(self, text: str) -> list[str]:
        return [f"{one.detector} {one.term}" for one in await judged(self.running, text)]

    async def red(self) -> dict[str, str]:
        checks = await self.running.appliance.detection.checks()
        return {check.name: check.words for check in checks if check.state is State.BROKEN}


async def learning_with(home: Home, start: Start, words: str) -> Learning:
    home.add_plugin(LEARNING, "learner")
    home.add_plugin(PLUGIN, "birds")
    learning_folder = home.place.drop_in_dir / "learner"
    (learning_folder / "words").write_text(words)
    home.trust_plugins()
    home.write("plugins: {learner: {}, birds: {}}\n")
    running = await start(home)
    await there(running)
    return Learning(running, learning_folder)


async def test_a_detector_knows_what_pages_have_set_and_hears_of_a_change(
    appliance_home: Home, start_appliance: Start
) -> None:
    school = await learning_with(appliance_home, start_appliance, "puffin auk")
    assert await school.found("a puffin, an auk and a penguin") == [
        "learner.words puffin", "learner.words auk", "birds.word bird",
    ]  # fmt: skip
    school.set("gull")
    school.running.appliance.detection.refresh_soon()
    async with asyncio.timeout(20):
        while await school.found("a gull") != ["learner.words gull"]:
            await asyncio.sleep(0.01)
    assert await school.found("a puffin") == []
    assert await school.red() == {}


async def test_several_changes_in_a_moment_are_one_refresh(appliance_home: Home, start_appliance: Start) -> None:
    school = await learning_with(appliance_home, start_appliance, "puffin")
    asked = school.folder / "asked"
    asked.write_text("")
    before = await process_of(school.running)
    for _ in range(50):
        school.running.appliance.detection.refresh_soon()
    await gone(before)
    assert asked.read_text() == "x"


async def test_changes_while_a_process_is_started_are_one_more_refresh(
    appliance_home: Home, start_appliance: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detection, "SOON_SECONDS", 0.0)
    school = await learning_with(appliance_home, start_appliance, "puffin")
    asked = school.folder / "asked"
    asked.write_text("")
    judging = school.running.appliance.detection
    async with judging._launching:  # as if one were being started
        for _ in range(5):
            judging.refresh_soon()
            while judging._timer is not None:
                await asyncio.sleep(0)
    async with asyncio.timeout(20):
        while not asked.read_text():
            await asyncio.sleep(0.01)
    async with judging._launching:
        assert asked.read_text() == "x"


@pytest.mark.parametrize("words", ["unreadable", "odd"])
async def test_a_plugin_whose_data_fails_is_left_out_alone_until_it_does_not(
    appliance_home: Home,
    start_appliance: Start,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    words: str,
) -> None:
    monkeypatch.setattr(detection, "AGAIN_SECONDS", 0.1)
    school = await learning_with(appliance_home, start_appliance, words)
    assert await school.found("a penguin") == ["birds.word bird"]
    assert [one.category for one in await judged(school.running, "nothing of birds")] == ["unjudged"]
    assert set(await school.red()) == {"Detectors of learner"}
    assert "They are left out." in (await school.red())["Detectors of learner"]
    assert "Mia" not in caplog.text + "".join((await school.red()).values())
    school.set("puffin")
    async with asyncio.timeout(20):
        while await school.found("a puffin") != ["learner.words puffin"]:
            await asyncio.sleep(0.01)
    assert await school.red() == {}


@pytest.mark.parametrize("words", ["unreadable", "odd", "unloadable", "deadly"])
async def test_what_cannot_be_loaded_leaves_the_detectors_with_what_they_knew(
    appliance_home: Home, start_appliance: Start, caplog: pytest.LogCaptureFixture, words: str
) -> None:
    school = await learning_with(appliance_home, start_appliance, "puffin")
    school.set(words)
    for _ in range(2):  # once for a process that it has ended
        await school.running.appliance.detection.refresh()
    assert await school.found("a puffin") == ["learner.words puffin"]
    assert "They go on with what was set before." in (await school.red())["Detectors of learner"]
    assert "Mia" not in caplog.text + "".join((await school.red()).values())
    school.set("gull")
    await school.running.appliance.detection.refresh()
    assert await school.found("a gull") == ["learner.words gull"]
    assert await school.red() == {}


async def test_a_refresh_that_does_not_get_through_is_told_and_tried_again(
    appliance_home: Home, start_appliance: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    school = await learning_with(appliance_home, start_appliance, "puffin")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/bin/false")
        await school.running.appliance.detection.refresh()
        assert "has not reached them" in (await school.red())["Detection"]
        assert await school.found("a puffin") == ["learner.words puffin"]
        patch.setattr(detection, "AGAIN_SECONDS", 0.1)
        await school.running.appliance.detection.refresh()
        before = await process_of(school.running)
    await gone(before)
    assert await school.red() == {}


def test_an_observation_shows_nothing_in_a_log() -> None:
    assert "penguin" not in repr(Observation("1", stamp(), Surface.TYPED, "penguin", "penguin", "penguin"))
