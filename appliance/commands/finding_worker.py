"""Finds a worker by the settings file: for plugins that are not bundled, and where no folder was given."""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path
from types import ModuleType

from appliance.commands.asking import core_settings
from appliance.config import Place, find_place
from appliance.errors import CannotStart
from appliance.plugin_finder import find_plugins, import_plugin
from appliance.worker_link import SOCKET


def find(options: argparse.Namespace, plugin: str, place: Place | None) -> tuple[ModuleType, Path, Path]:
    """``worker.py`` of a plugin, the folder of the worker, and the main process's socket. Raises ``CannotStart``."""
    where = place or find_place(options.config, options.trial, os.environ)
    found = find_plugins(where.drop_in_dir).get(plugin)
    if found is None:
        raise CannotStart(f"There is no plugin called {plugin!r}.", "Workers are named PLUGIN.NAME.")
    import_plugin(found, where.drop_in_dir)
    module = importlib.import_module(f"{found.module}.worker")
    storage = core_settings(where).storage
    folder = options.folder or storage.state_dir / "workers" / options.name
    return module, folder, options.socket or storage.run_dir / SOCKET
