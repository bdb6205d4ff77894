"""`appliance worker PLUGIN.NAME`: one worker process of a plugin.

A worker of a bundled plugin whose folder and socket were given imports nothing but ``worker.py`` of its plugin and what
that imports: not the plugin's class, not its settings, not the web. So it is small, and back in a moment when it was
killed. Any other worker is found the long way, through the settings file and the checks of drop-in plugins.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import importlib.util
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from appliance.errors import CannotStart
from appliance.parents import end_with_supervisor
from appliance.worker_link import WorkerContext

PACKAGE = "appliance_plugins"

Main = Callable[[WorkerContext], Awaitable[None]]


def worker(options: argparse.Namespace, place: Any = None) -> int:
    """Work until a signal. ``place`` is needed where the folder or the socket was not given."""
    end_with_supervisor()
    plugin, _, function = options.name.partition(".")
    if place is None and is_bundled(plugin):
        module = import_alone(plugin)
        folder, socket = options.folder, options.socket
    else:
        finding = importlib.import_module("appliance.commands.finding_worker")
        module, folder, socket = finding.find(options, plugin, place)
    main: Main | None = getattr(module, function, None)
    if main is None:
        raise CannotStart(f"The plugin {plugin} has no worker called {function!r}.")
    return asyncio.run(_run(main, WorkerContext(options.name, folder, socket)))


def is_bundled(plugin: str) -> bool:
    """Whether the plugin came with the appliance, so that nobody else can have put it there."""
    return plugin.isidentifier() and (_plugins_folder() / plugin / "worker.py").is_file()


def import_alone(plugin: str, module: str = "worker") -> ModuleType:
    """A module of a bundled plugin, without the plugin: its package is there, but its code was not run."""
    package = ModuleType(f"{PACKAGE}.{plugin}")
    package.__path__ = [str(_plugins_folder() / plugin)]
    sys.modules[package.__name__] = package
    return importlib.import_module(f"{package.__name__}.{module}")


def _plugins_folder() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None, "it is installed with the appliance"
    assert spec.origin is not None, "it is a regular package"
    return Path(spec.origin).parent


async def _run(main: Main, context: WorkerContext) -> int:
    context.start()
    try:
        await _until_signal(main(context))
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
