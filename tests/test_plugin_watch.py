"""A plugin that somebody is writing while a trial runs is loaded again alone, in the real processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

from test_bench import BIRDS

from appliance.plugin_watch import PluginWatch
from appliance.testing import Box, Home, run_cli


def test_a_change_is_told_once_and_when_it_has_come_to_rest(tmp_path: Path) -> None:
    folder = tmp_path / "birds"
    folder.mkdir()
    file = folder / "__init__.py"
    file.write_text("one")
    watch = PluginWatch(tmp_path)
    assert watch.changed() == []
    file.write_text("the second")
    assert watch.changed() == []
    file.write_text("and the third")
    assert watch.changed() == []
    assert watch.changed() == ["birds"]
    assert watch.changed() == []
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "x.pyc").write_text("compiled")
    assert [watch.changed(), watch.changed()] == [[], []]


async def test_a_plugin_that_is_saved_is_loaded_again(appliance_home: Home, start_box: Callable[[Home], Box]) -> None:
    file = appliance_home.add_plugin(BIRDS, "birds") / "__init__.py"
    appliance_home.write("plugins: {birds: {}}\n")
    own = appliance_home.folder / "own.jsonl"
    own.write_text(json.dumps({"text": "a walrus", "category": "birds"}))
    box = start_box(appliance_home)
    await box.ready()
    assert "0 of 1 sentences were found" in await judged(appliance_home, own)

    file.write_text(BIRDS.replace('"penguin"', '"walrus"'))
    await box.until(lambda: said(box, "Settings applied"))
    assert "The plugin birds has changed and is loaded again." in box.printed()
    assert "1 of 1 sentences were found" in await judged(appliance_home, own)

    file.write_text("a mistake")
    await box.until(lambda: said(box, "The plugin birds would not start again"))
    assert "1 of 1 sentences were found" in await judged(appliance_home, own)

    file.write_text(BIRDS)
    await box.until(lambda: counted(box, "Settings applied", 2))
    assert "0 of 1 sentences were found" in await judged(appliance_home, own)


async def judged(home: Home, own: Path) -> str:
    return (await asyncio.to_thread(run_cli, home, "bench", "--sentences", str(own))).stdout


async def said(box: Box, words: str) -> bool:
    return words in box.printed()


async def counted(box: Box, words: str, times: int) -> bool:
    return box.printed().replace("INFO", "").count(f"\n{words}") >= times
