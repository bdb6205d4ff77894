"""When no name server answers: who says so, in which words, and when it is taken back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from worker_process import policy, snapshot

from appliance.testing import free_port
from appliance.worker_link import WorkerContext
from appliance_plugins.dns_filter.keeper import silence
from appliance_plugins.dns_filter.keeper.keeper import Keeper
from appliance_plugins.dns_filter.keeper.machine import Troubles
from appliance_plugins.dns_filter.keeper.silence import WHILE_SECONDS, Silence

FIRST, SECOND, ZONE = "10.0.0.1", "[2001:db8::1]:5353", "10.0.0.9"


def said(*states: tuple[str, str]) -> dict[str, Any]:
    """What a process says of name servers."""
    return {"upstreams": [{"server": one, "state": state, "ms": 1.0, "failures": 4} for one, state in states]}


SILENT = said((FIRST, "resting"), (SECOND, "resting"), (ZONE, "up"))


@pytest.fixture
def words() -> list[str]:
    """What the status page was told, the last one last."""
    return [""]


@pytest.fixture
def watch(words: list[str]) -> Silence:
    found = Silence(Troubles(words.append))
    found.follow([FIRST, SECOND], processes=2)
    return found


def test_silence_is_told_after_a_while_with_each_server_and_once(watch: Silence, words: list[str]) -> None:
    watch.take(0, SILENT, 100.0)
    watch.take(0, SILENT, 100.0 + WHILE_SECONDS - 1)
    assert words == [""]
    watch.take(0, SILENT, 100.0 + WHILE_SECONDS)
    watch.take(0, SILENT, 200.0)
    assert len(words) == 2
    assert f"No name server answers: {FIRST} has left 4 queries in a row without an answer, {SECOND} has" in words[-1]
    assert ZONE not in words[-1], "the school's own server answers its own names only"
    watch.take(0, said((FIRST, "resting"), (SECOND, "up")), 201.0)
    assert words[-1] == ""


@pytest.mark.parametrize("state", ["up", "unknown"])
def test_one_that_answers_or_was_not_asked_is_enough(watch: Silence, words: list[str], state: str) -> None:
    for moment in (0.0, 1000.0):
        watch.take(0, said((FIRST, "resting"), (SECOND, state)), moment)
    watch.take(0, {}, 2000.0)
    assert words == [""]


def test_a_process_that_asked_nothing_since_does_not_hide_it(watch: Silence, words: list[str]) -> None:
    for moment in (0.0, WHILE_SECONDS):
        watch.take(1, SILENT, moment)
        watch.take(0, said((FIRST, "up"), (SECOND, "up")), moment)
    assert "No name server answers" in words[-1]
    watch.follow([SECOND, FIRST], processes=1)
    assert words[-1] == "", "the process that heard nothing is no more"


def test_other_servers_are_another_matter(watch: Silence, words: list[str]) -> None:
    for moment in (0.0, WHILE_SECONDS):
        watch.take(0, SILENT, moment)
    watch.follow([ZONE], processes=2)
    assert words[-1] == ""
    watch.take(0, SILENT, WHILE_SECONDS + 1)
    assert words[-1] == ""


async def test_the_keeper_hears_it_from_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "WHILE_SECONDS", 0.0)
    context = WorkerContext("dns_filter.dns", tmp_path, tmp_path / "nobody.sock")
    keeper = Keeper(context)
    mapping = snapshot(free_port(), [("127.0.0.1", 9)], policies={"pupil": policy(lists=[])}, lists={})
    try:
        await keeper.apply(mapping)
        (child,) = keeper._children
        child.links.health(0, said(("127.0.0.1:9", "resting")))
        assert context._problem.startswith("No name server answers: 127.0.0.1:9 has left 4 queries")
        child.links.health(0, said(("127.0.0.1:9", "up")))
        assert context._problem == ""
    finally:
        await keeper.close()
