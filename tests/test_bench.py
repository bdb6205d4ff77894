"""The test bench: its sentences, its counting, and whole runs over real detectors."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

from appliance.access import Role
from appliance.bench.keeping import KEPT, Why
from appliance.bench.running import Bench, BenchFailed
from appliance.bench.scoring import BenchResult, Hit, Judged, Score, judged, of_one_detector, result
from appliance.bench.sentences import FILE, BenchSentence, bench_sentences, check_sentences, read_sentences
from appliance.bench.words import difference, percent, told
from appliance.categories import UNJUDGED, Categories
from appliance.errors import ApplianceError, Refused
from appliance.observations import Finding, Severity
from appliance.plugin_authors import author_of_package
from appliance.testing import Box, Home, Running, run_cli
from appliance.yamlfile import ConfigError

Start = Callable[[Home], Awaitable[Running]]
ROOT = Path(__file__).parent.parent

BIRDS = '''
from appliance.api import *


class Plugin:
    """Notices birds, and a cage that breaks it."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        pass

    def detect(self, observation):
        text = observation.text
        if "cage" in text:
            raise ValueError(text)
        return [
            Finding(policy="Birds", version="7", term="bird", phrase="a bird", category=category, definition="A bird.",
                    severity=Severity.MINOR, start=text.find(word), end=text.find(word) + len(word))
            for word, category in (("penguin", "birds"), ("shark", "fish"), ("purple", "test"))
            if word in text
        ]

    @hook
    def register_detectors(self):
        return [Detector("eye", frozenset({Surface.TYPED}), self.detect)]
'''
SENTENCES = (
    BenchSentence("a penguin", "birds", "plain"),
    BenchSentence("a pengwin", "birds", "misspelt"),
    BenchSentence("a shark that is a bird", "birds", "misspelt"),
    BenchSentence("a shark", "fish", "plain"),
    BenchSentence("the penguin is a chocolate bar", "none", "sweets"),
    BenchSentence("good morning", "none", "greetings"),
)


@pytest.fixture
async def running(appliance_home: Home, start_appliance: Start) -> Running:
    appliance_home.add_plugin(BIRDS, "birds")
    appliance_home.write("plugins: {birds: {}}\n")
    return await start_appliance(appliance_home)


def bench_of(running: Running, sentences: Sequence[BenchSentence] = SENTENCES, seconds: float = 60) -> Bench:
    """The running appliance's own bench, with other sentences."""
    bench = running.appliance.bench
    bench._sentences = lambda: sentences
    bench._run_seconds = seconds
    return bench


# Sentences


def test_the_sentences_that_are_shipped_are_whole() -> None:
    sentences = read_sentences(FILE)
    assert sentences == bench_sentences()
    assert len({one.text for one in sentences}) == len(sentences)
    known = {one.key for one in Categories.load(ROOT / "etc" / "categories.yaml").all()}
    assert {one.category for one in sentences} - known == {"none"}
    assert all(one.kind for one in sentences)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("own.yaml", "- {text: a penguin, category: birds, kind: plain, id: 7}\n- {text: hello, category: none}\n"),
        (
            "own.jsonl",
            '{"text": "a penguin", "category": "birds", "kind": "plain"}\n\n{"text": "hello", "category": "none"}\n',
        ),
    ],
)
def test_a_set_of_ones_own_is_read(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_sentences(tmp_path / name) == (
        BenchSentence("a penguin", "birds", "plain"),
        BenchSentence("hello", "none", ""),
    )


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("own.jsonl", "{nonsense}", "line 1: this is no JSON"),
        ("own.jsonl", "", "There are no sentences"),
        ("own.yaml", "text: a\n", "There are no sentences"),
        ("own.yaml", "- a penguin\n", "Sentence 1 is no mapping"),
        ("own.yaml", "- {text: secret}\n", "Sentence 1 has no category"),
        ("own.yaml", "- {text: secret, category: No Such}\n", "Sentence 1 has no category"),
        ("own.yaml", "- {text: '', category: birds}\n", "Sentence 1 has no text"),
        ("own.yaml", "- {text: secret, category: birds, kind: 7}\n", "The kind of sentence 1"),
    ],
)
def test_what_is_wrong_with_a_set_is_said(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ApplianceError) as caught:
        read_sentences(tmp_path / name)
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError):
        read_sentences(tmp_path / "none.yaml")


def test_a_set_may_not_be_too_large() -> None:
    with pytest.raises(ApplianceError, match="more than 5,000"):
        check_sentences([{"text": "a", "category": "none"}] * 5001)


# Counting


def one(category: str, *found: str, kind: str = "plain", detector: str = "a.b") -> Judged:
    return Judged(
        BenchSentence(f"{category} {found}", category, kind), tuple(Hit(detector, "P", "1", each) for each in found)
    )


def test_recall_and_precision_are_counted() -> None:
    found = result(
        [one("birds", "birds"), one("birds", "fish"), one("birds"), one("fish", "birds", "fish"), one("none", "birds")],
        ["a.b", "c.d"],
        1.234,
    )
    assert found.by_category["birds"] == Score(3, found=1, found_at_all=2, fired=3, false_alarms=1)
    assert found.by_category["birds"].precision == pytest.approx(2 / 3)
    assert found.by_category["fish"] == Score(1, found=1, found_at_all=1, fired=2, false_alarms=0)
    assert found.total == Score(4, found=2, found_at_all=3, fired=4, false_alarms=1)
    assert [wrong.found for wrong in found.missed] == [("fish",), ()]
    assert [wrong.category for wrong in found.false_alarms] == ["none"]
    assert BenchResult.of_json(json.loads(json.dumps(found.as_json()))) == found


def test_a_detector_is_measured_by_what_it_finds() -> None:
    found = result([one("birds", "birds"), one("birds"), one("fish", detector="c.d")], ["a.b"], 0)
    assert found.by_detector["a.b"].score == Score(2, 1, 1, 1, 0)
    assert found.by_policy["P"].score == Score(2, 1, 1, 1, 0)
    assert "c.d" not in found.by_detector


def test_where_there_is_nothing_there_is_no_number() -> None:
    assert Score(0, 0, 0, 0, 0).recall is None
    assert Score(0, 0, 0, 0, 0).precision is None


def finding(**more: object) -> Finding:
    given = {
        "policy": "P", "version": "1", "term": "t", "phrase": "p", "category": "birds", "severity": Severity.MINOR,
        "definition": "", "start": 0, "end": 1, "detector": "a.b",
    }  # fmt: skip
    return Finding(**{**given, **more})  # type: ignore[arg-type]


def test_what_is_no_finding_of_the_text_does_not_count() -> None:
    sentence = BenchSentence("x", "birds", "")
    notes = [finding(is_test=True), finding(phrase="", end=0), finding(category=UNJUDGED)]
    assert judged(sentence, notes) == Judged(sentence, (), ("a.b",))
    assert len(judged(sentence, [finding(), finding(term="u")]).hits) == 1


def test_one_detector_can_be_looked_at_alone() -> None:
    everything = [one("birds", "birds", detector="a.b"), one("birds", "birds", detector="c.d")]
    for name in ("a", "a.b"):
        assert [len(each.hits) for each in of_one_detector(everything, name)] == [1, 0]


@pytest.mark.parametrize(
    ("now", "before", "words"),
    [
        (Score(100, 90, 0, 0, 0), Score(100, 85, 0, 0, 0), "↑ 5 more in a hundred"),
        (Score(100, 80, 0, 0, 0), Score(100, 85, 0, 0, 0), "↓ 5 fewer in a hundred"),
        (Score(100, 80, 0, 0, 0), Score(50, 40, 0, 0, 0), "= as before"),
        (Score(100, 80, 0, 0, 0), None, " no result before"),
    ],
)
def test_a_difference_is_an_arrow_and_words(now: Score, before: Score | None, words: str) -> None:
    change = difference(now, before)
    assert f"{change.arrow} {change.words}" == words


@pytest.mark.parametrize(
    ("part", "words"), [(None, "-"), (1.0, "100 %"), (0.999, "99 %"), (0.29, "29 %"), (0.0, "0 %")]
)
def test_only_everything_is_a_hundred_per_cent(part: float | None, words: str) -> None:
    assert percent(part) == words


def test_sentences_about_illegal_content_are_numbers_only() -> None:
    found = told(result([one("illegal"), one("none", "illegal"), one("birds")], ["a.b"], 0))
    assert "illegal ()" not in found
    assert "none ('illegal',)" not in found
    assert "birds ()" in found
    assert found.count("and 1 about what is shown nowhere") == 2


# Running


async def test_a_run_judges_with_the_live_detectors_and_is_kept(running: Running) -> None:
    run = await bench_of(running).run("Ada", Why.HAND)
    assert (run.result.total, run.result.detectors) == (Score(4, 2, 3, 4, 1), ("birds.eye",))
    assert run.result.by_policy["Birds"].version == "7"
    assert await running.appliance.bench.latest() == run
    assert await running.appliance.records.fetch("SELECT * FROM captures") == []


async def test_fifty_results_are_kept(running: Running) -> None:
    bench = bench_of(running, SENTENCES[:1])
    for number in range(KEPT + 2):
        last = await bench.run(f"number {number}", Why.HAND)
    runs = await bench.runs()
    assert (len(runs), runs[0]) == (KEPT, last)


async def test_one_run_at_a_time(running: Running) -> None:
    bench = bench_of(running)
    task = bench.begin("Ada")
    with pytest.raises(Refused, match="running already"):
        bench.begin("Ben")
    await asyncio.sleep(0)
    with pytest.raises(Refused, match="running already"):
        await bench.run("Ben", Why.HAND)
    await task
    assert len(await bench.runs()) == 1


async def test_a_run_that_takes_too_long_is_stopped(running: Running) -> None:
    with pytest.raises(BenchFailed, match="The run was stopped"):
        await bench_of(running, seconds=0).run("Ada", Why.HAND)
    assert running.appliance.bench.progress is None
    assert await running.appliance.bench.latest() is None


async def test_sentences_that_cannot_be_judged_are_counted(running: Running) -> None:
    bench = bench_of(running, (*SENTENCES, BenchSentence("a cage", "birds", "plain")))
    assert (await bench.run("Ada", Why.HAND)).result.unjudged == 1
    with pytest.raises(BenchFailed, match="No sentence could be judged"):
        await bench.try_sentences("Ada", [BenchSentence("a cage", "birds", "plain")])


async def test_without_detectors_there_is_no_result(appliance_home: Home, start_appliance: Start) -> None:
    running = await start_appliance(appliance_home)
    with pytest.raises(BenchFailed, match="Nothing judges what devices notice"):
        await bench_of(running).run("Ada", Why.HAND)
    lead = await running.as_role(Role.LEAD)
    page = (await lead.get("/bench")).text
    assert "came to no result" in page
    assert "has not been run yet" in page


async def test_it_runs_by_itself_once_and_after_a_change(running: Running) -> None:
    bench = bench_of(running)
    await bench.try_sentences("a test", SENTENCES[:1])  # now the detectors are there
    for _ in range(2):
        await bench.run_if_due()
    assert [run.why for run in await bench.runs()] == [Why.FIRST]
    await running.appliance.detection.refresh()
    for _ in range(2):
        await bench.run_if_due()
    assert [run.why for run in await bench.runs()] == [Why.CHANGE, Why.FIRST]


# The page


async def test_the_page_shows_a_result_beside_the_one_before(running: Running) -> None:
    bench, lead = bench_of(running), await running.as_role(Role.LEAD, name="Lena Lead")
    assert "has not been run yet" in (await lead.get("/bench")).text
    assert (await lead.post("/bench")).status == 303
    page = (await lead.get("/bench")).text
    assert "2 of 4 sentences were found (50 %), and 1 more with another category" in page
    assert "Lena Lead, by hand" in page
    assert "There is no earlier run" in page
    assert "the penguin is a chocolate bar" in page
    bench_of(running, SENTENCES[:1])
    await lead.post("/bench")
    page = (await lead.get("/bench")).text
    assert "67 more in a hundred" in page
    assert bench.progress is None


async def test_the_page_is_for_those_who_see_policies(running: Running) -> None:
    assert (await running.get("/bench")).status == 403
    assert (await running.post("/bench")).status == 403


# The command line


async def test_the_command_prints_the_same(appliance_home: Home, start_box: Callable[[Home], Box]) -> None:
    appliance_home.add_plugin(BIRDS, "birds")
    appliance_home.write("plugins: {birds: {}}\n")
    assert "does not run" in run_cli(appliance_home, "bench").stderr
    box = start_box(appliance_home)
    await box.ready()
    own = appliance_home.folder / "own.jsonl"
    own.write_text(
        "".join(json.dumps({"text": s.text, "category": s.category, "kind": s.kind}) + "\n" for s in SENTENCES)
    )
    said = await asyncio.to_thread(run_cli, appliance_home, "bench", "--sentences", str(own))
    assert (said.returncode, said.stderr) == (0, "")
    assert "2 of 4 sentences were found (50 %)" in said.stdout
    said = await asyncio.to_thread(run_cli, appliance_home, "bench", "--detector", "fish")
    assert said.returncode == 1
    assert "There is no detector 'fish'. There are: birds.eye." in said.stdout
    said = await asyncio.to_thread(run_cli, appliance_home, "bench")
    assert said.returncode == 0
    assert f"{len(bench_sentences())} sentences in" in said.stdout


# Other pages


async def test_the_plugins_page_says_what_a_plugin_reads_and_how_good_it_is(running: Running) -> None:
    bench = bench_of(running)
    page = (await running.get("/plugins")).text
    assert "It can read what children type" in page
    assert "Whoever put it into its folder, which belongs to the account" in page
    assert "There is no result yet: run the test bench" in page
    await bench.run("Ada", Why.HAND)
    page = (await running.get("/plugins")).text
    assert "birds.eye</code>: it found 2 of 4 sentences (50 %); 1 false alarm" in page
    assert "There is no result yet" not in page


async def test_a_policy_is_told_its_own_result(running: Running) -> None:
    bench = bench_of(running)
    assert "has not been run" in await bench.policy_words("Birds", "birds", "7")
    await bench.run("Ada", Why.HAND)
    assert await bench.policy_words("Cats", "fish", "1") == "On the test bench it found none of 1 sentences."
    assert await bench.policy_words("Cats", "cats", "1") == "The test bench has nothing for it."
    assert "version 7" in await bench.policy_words("Birds", "birds", "8")


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ("Author: Ada Byron", "Ada Byron (the package birds 2.0)"),
        ("Author-email: Ada <ada@example.org>", "Ada <ada@example.org> (the package birds 2.0)"),
        ("Summary: none", "somebody whom the package birds 2.0 does not name"),
    ],
)
def test_a_package_says_who_wrote_it(tmp_path: Path, metadata: str, words: str) -> None:
    folder = tmp_path / "birds-2.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: birds\nVersion: 2.0\n{metadata}\n")
    (folder / "entry_points.txt").write_text("[appliance]\nbirds = birds_plugin\n")
    entries = PathDistribution(folder).entry_points
    assert author_of_package("birds", entries) == words
    assert author_of_package("cats", entries) == "somebody unknown"
