"""The link between the main process and a worker: snapshots out, records in, neither needs the other to be alive."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from appliance.errors import PluginError, PluginOff
from appliance.hookspecs import State, Worker
from appliance.whole_files import write_atomically
from appliance.worker_link import BUFFER_LIMIT, WorkerContext
from appliance.workers import Workers

NAME = "visitors.printer"


async def printer(_context: WorkerContext) -> None:
    """Stands for the worker's main function, which runs elsewhere."""


class MainSide:
    """The main process's end, which can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records: list[Mapping[str, Any]] = []
        self.dropped = 0
        self.error: Exception | None = None
        self.changed = asyncio.Condition()
        self.workers = self.make()

    def make(self) -> Workers:
        workers = Workers(self.folder / "state", self.folder / "run", self.run)
        workers.register("visitors", Worker("printer", printer, self.receive))
        return workers

    async def run(self, _owner: str, _doing: str, call: Callable[[], Awaitable[None]]) -> None:
        await call()
        if self.error is not None:
            raise self.error

    async def receive(self, records: Sequence[Mapping[str, Any]], dropped: int) -> None:
        async with self.changed:
            self.records.extend(records)
            self.dropped += dropped
            self.changed.notify_all()

    async def until(self, count: int) -> None:
        async with self.changed, asyncio.timeout(10):
            await self.changed.wait_for(lambda: len(self.records) >= count)

    async def start(self) -> None:
        await self.workers.start()

    async def restart(self) -> None:
        await self.workers.stop()
        self.workers = self.make()
        await self.workers.start()


@pytest.fixture
async def main(tmp_path: Path) -> AsyncIterator[MainSide]:
    (tmp_path / "run").mkdir()
    side = MainSide(tmp_path)
    await side.start()
    yield side
    await side.workers.stop()


@pytest.fixture
async def context(main: MainSide) -> AsyncIterator[WorkerContext]:
    found = WorkerContext(NAME, main.workers.folder(NAME), main.folder / "run" / "workers.sock")
    found.start()
    yield found
    await found.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_snapshots_come_in_order_and_only_when_they_change(main: MainSide, context: WorkerContext) -> None:
    snapshots = context.snapshots()
    await main.workers.publish(NAME, {"n": 1})
    assert await anext(snapshots) == {"n": 1}
    waiting = asyncio.ensure_future(anext(snapshots))
    await until(lambda: main.workers.connected(NAME))
    await main.workers.publish(NAME, {"n": 1})
    await main.workers.publish(NAME, {"n": 2})
    assert await asyncio.wait_for(waiting, 10) == {"n": 2}


async def test_a_worker_starts_from_the_last_good_snapshot_without_a_main_process(tmp_path: Path) -> None:
    folder = tmp_path / NAME
    folder.mkdir()
    write_atomically(folder / "snapshot.json", b'{"n": 7}')
    context = WorkerContext(NAME, folder, tmp_path / "nobody.sock")
    assert await anext(context.snapshots()) == {"n": 7}


async def test_records_reach_the_plugin_over_a_restart_of_the_main_process(
    main: MainSide, context: WorkerContext
) -> None:
    for n in range(3):
        context.report({"n": n})
    await main.until(3)
    await main.workers.stop()
    for n in range(3, 6):
        context.report({"n": n})
    await main.restart()
    await main.until(6)
    assert [record["n"] for record in main.records] == list(range(6))
    assert main.dropped == 0


async def test_the_buffer_is_bounded_and_says_what_it_dropped(main: MainSide) -> None:
    context = WorkerContext(NAME, main.workers.folder(NAME), main.folder / "run" / "workers.sock")
    for n in range(BUFFER_LIMIT + 10):
        context.report({"n": n})
    context.start()
    await main.until(BUFFER_LIMIT)
    assert main.dropped == 10
    assert main.records[0] == {"n": 10}
    [check] = await main.workers.checks()
    assert main.workers.dropped(NAME) == 10
    context.ready()
    await context.stop()
    assert check.state is not State.GOOD


@pytest.mark.parametrize("error", [PluginError("ill"), PluginOff("off")])
async def test_a_plugin_that_fails_on_records_does_not_break_the_link(
    main: MainSide, context: WorkerContext, error: Exception
) -> None:
    main.error = error
    context.report({"n": 0})
    await main.until(1)
    main.error = None
    context.report({"n": 1})
    await main.until(2)
    assert [record["n"] for record in main.records] == [0, 1]


async def test_the_status_page_follows_the_worker(main: MainSide, context: WorkerContext) -> None:
    [check] = await main.workers.checks()
    assert check.state is State.BROKEN
    assert "journalctl -u appliance-printer" in check.todo
    context.ready()
    await until(lambda: main.workers.connected(NAME))
    await until_state(main, State.GOOD)
    context.problem("Out of paper.")
    assert (await until_state(main, State.BROKEN)) == "Out of paper."
    context.problem("")
    await until_state(main, State.GOOD)


async def test_a_worker_is_called_as_people_call_it(main: MainSide) -> None:
    """Its line is what an alert is about when it falls silent."""
    main.workers.register("visitors", Worker("gate", printer, main.receive, title="The gate"))
    assert main.workers.titles() == ("Worker visitors.printer", "The gate")
    assert [check.name for check in await main.workers.checks()] == ["Worker visitors.printer", "The gate"]


async def until_state(main: MainSide, state: State) -> str:
    async with asyncio.timeout(10):
        while True:
            [check] = await main.workers.checks()
            if check.state is state:
                return check.words
            await asyncio.sleep(0.01)


async def test_whoever_talks_nonsense_is_cut_off(main: MainSide, context: WorkerContext) -> None:
    for line in (b"nonsense\n", b'{"worker": "nobody"}\n', b"[]\n", b"x" * 100 + b"\n"):
        reader, writer = await asyncio.open_unix_connection(str(main.folder / "run" / "workers.sock"))
        writer.write(line)
        assert await asyncio.wait_for(reader.read(), 10) == b""
        writer.close()
    context.report({"n": 0})
    await main.until(1)


def test_a_file_is_replaced_whole_and_with_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomically(path, b"one", 0o640)
    write_atomically(path, b"two", 0o640)
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]
