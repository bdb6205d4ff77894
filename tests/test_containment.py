"""Calls into plugins: whatever comes back is an answer or a failure with words, and the note names who runs."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from appliance.containment import Containment, Note, PluginFailure, attribute_tasks, read_stall
from appliance.errors import NotReady, PluginError, Refused


class Fixture:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "note"
        self.note = Note(self.path)
        self.containment = Containment(self.note, seconds=5.0)

    def noted(self) -> str:
        return self.path.read_bytes().split(b"\0", 1)[0].decode()


@pytest.fixture
def box(tmp_path: Path) -> Fixture:
    return Fixture(tmp_path)


def test_a_synchronous_answer_comes_back_and_the_note_is_clean_before_and_after(box: Fixture) -> None:
    assert box.containment.call("printer", "register_pages", box.noted) == "printer register_pages"
    assert box.noted() == ""


@pytest.mark.parametrize("error", [LookupError("no luck"), SystemExit(3), AssertionError(), RecursionError()])
def test_whatever_synchronous_code_raises_is_a_failure(box: Fixture, error: BaseException) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(PluginFailure, match=type(error).__name__) as caught:
        box.containment.call("printer", "register_pages", fail)
    assert "in fail" in caught.value.trace
    assert box.noted() == ""


async def test_the_note_names_a_plugin_only_while_its_own_code_runs(box: Fixture) -> None:
    seen: list[tuple[str, str]] = []
    turns = {"a": asyncio.Event(), "b": asyncio.Event()}

    async def plugin(name: str, other: str) -> None:
        for _ in range(3):
            seen.append((name, box.noted()))
            turns[other].set()
            turns[name].clear()
            await turns[name].wait()
            assert box.noted() == f"{name} startup"
        turns[other].set()

    async def core() -> None:
        for _ in range(10):
            await asyncio.sleep(0)
            assert box.noted() == ""

    await asyncio.gather(
        box.containment.run("a", "startup", lambda: plugin("a", "b")),
        box.containment.run("b", "startup", lambda: plugin("b", "a")),
        core(),
    )
    assert {noted for name, noted in seen if name == "a"} == {"a startup"}
    assert {noted for name, noted in seen if name == "b"} == {"b startup"}
    assert box.noted() == ""


async def test_tasks_that_a_plugin_starts_are_attributed_to_it(box: Fixture) -> None:
    loop = asyncio.get_running_loop()
    attribute_tasks(loop)
    noted: list[str] = []

    async def later() -> None:
        await asyncio.sleep(0)
        noted.append(box.noted())

    async def startup() -> asyncio.Task[None]:
        return asyncio.create_task(later())

    task = await box.containment.run("printer", "startup", startup)
    await task
    await asyncio.create_task(later())
    assert noted == ["printer startup", ""]


async def test_what_an_async_call_returns_and_raises(box: Fixture) -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("no luck")

    async def leave() -> None:
        sys.exit(1)

    async def not_ready() -> None:
        raise NotReady("The printer is cold.")

    assert await box.containment.run("printer", "startup", answer) == 42
    with pytest.raises(PluginFailure, match="failed: LookupError: no luck"):
        await box.containment.run("printer", "startup", fail)
    with pytest.raises(PluginFailure, match="tried to end the whole program"):
        await box.containment.run("printer", "startup", leave)
    with pytest.raises(NotReady):
        await box.containment.run("printer", "startup", not_ready)


async def test_our_own_errors_keep_their_words_and_need_no_trace(box: Fixture) -> None:
    async def refuse() -> None:
        raise Refused("That is not allowed.", "Ask somebody.")

    with pytest.raises(PluginError, match=r"That is not allowed\. Ask somebody\.") as caught:
        await box.containment.run("printer", "page", refuse)
    assert isinstance(caught.value, PluginFailure)
    assert caught.value.trace == ""


async def test_a_caller_that_gives_up_takes_the_plugin_with_it(box: Fixture) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    caller = asyncio.create_task(box.containment.run("printer", "page", wait))
    await started.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    await asyncio.wait_for(cancelled.wait(), 5)
    assert box.noted() == ""


DIES = """
import os, sys
from pathlib import Path
from appliance.containment import Containment, Note, watch_for_stalls
folder = Path(sys.argv[1])
note, file = Note(folder / "note"), watch_for_stalls(folder / "trace")
def spin_for_ever():
    print("spinning", flush=True)
    while True: pass
Containment(note, 1.0).call("printer", "page /printer", spin_for_ever)
"""


@pytest.mark.parametrize(
    ("number", "blamed"),
    [(signal.SIGABRT, True), (signal.SIGSEGV, True), (signal.SIGKILL, False), (signal.SIGTERM, False)],
)
def test_only_a_process_that_was_ended_for_standing_still_leaves_a_culprit(
    tmp_path: Path, number: signal.Signals, blamed: bool
) -> None:
    """A plain kill (a power cut, an admin) in the middle of a plugin's code must not put the blame on the plugin."""
    with subprocess.Popen([sys.executable, "-c", DIES, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "spinning\n"
        os.kill(process.pid, number)
        process.wait(10)
    stall = read_stall(tmp_path / "note", tmp_path / "trace")
    if not blamed:
        assert stall is None
        return
    assert stall is not None
    assert (stall.plugin, stall.what) == ("printer", "page /printer")
    assert "spin_for_ever" in stall.trace


def test_there_was_no_stall_before_the_first_run(tmp_path: Path) -> None:
    assert read_stall(tmp_path / "note", tmp_path / "trace") is None
