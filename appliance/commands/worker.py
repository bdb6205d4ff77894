"""`appliance worker PLUGIN.NAME`: one worker process of a plugin."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import signal
from collections.abc import Awaitable

from appliance.commands.asking import core_settings
from appliance.config import Place
from appliance.errors import CannotStart
from appliance.plugin_finder import find_plugins, import_plugin
from appliance.trial import end_with_supervisor
from appliance.workers import WorkerContext


def worker(options: argparse.Namespace, place: Place) -> int:
    """Work until a signal."""
    end_with_supervisor()
    return asyncio.run(_run_worker(options.name, place))


async def _run_worker(name: str, place: Place) -> int:
    plugin, _, function = name.partition(".")
    found = find_plugins(place.drop_in_dir).get(plugin)
    if found is None:
        raise CannotStart(f"There is no plugin called {plugin!r}.", "Workers are named PLUGIN.NAME.")
    import_plugin(found, place.drop_in_dir)
    worker = getattr(importlib.import_module(f"{found.module}.worker"), function, None)
    if worker is None:
        raise CannotStart(f"The plugin {plugin} has no worker called {function!r}.")
    storage = core_settings(place).storage
    context = WorkerContext(name, storage.state_dir / "workers" / name, storage.run_dir / "workers.sock")
    context.start()
    try:
        await _until_signal(worker(context))
    finally:
        await context.stop()
    return 0


async def _until_signal(work: Awaitable[None]) -> None:
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await asyncio.wait({task})
    if not task.cancelled():
        task.result()
