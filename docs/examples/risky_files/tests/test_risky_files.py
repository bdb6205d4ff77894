"""The detector by itself, and in a real appliance."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from appliance.bench.sentences import read_sentences
from appliance.clock import new_id, stamp
from appliance.observations import Observation, Surface
from appliance.testing import Home, Running, run_cli

Start = Callable[[Home], Awaitable[Running]]

FOLDER = Path(__file__).parent.parent


@pytest.fixture
def home(appliance_home: Home) -> Home:
    appliance_home.add_plugin(FOLDER)
    appliance_home.write("plugins: {risky_files: {}}\n")
    return appliance_home


async def test_a_disguise_is_seen_through(home: Home, start_appliance: Start) -> None:
    running = await start_appliance(home)
    text = "open holiday.jpg.exe now"
    findings = await running.appliance.detection.judge(Observation(new_id(), stamp(), Surface.TYPED, text))
    assert [text[finding.start : finding.end] for finding in findings] == ["holiday.jpg.exe"]


async def test_it_finds_its_own_sentences_and_is_never_wrong(home: Home, start_appliance: Start) -> None:
    bench = (await start_appliance(home)).appliance.bench
    total = (await bench.try_sentences("a test", read_sentences(FOLDER / "sentences.jsonl"), "risky_files")).total
    assert (total.found, total.sentences, total.false_alarms) == (2, 2, 0)


def test_it_can_be_tried_from_the_command_line(home: Home) -> None:
    said = run_cli(home, "try", "open holiday.jpg.exe now", "--detector", "risky_files")
    assert said.returncode == 0
    assert "risky_files.names: 1 finding in" in said.stdout
