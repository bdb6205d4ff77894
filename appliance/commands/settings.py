"""Commands about settings: look for mistakes, show and convert."""

from __future__ import annotations

import argparse
import asyncio
import json

from appliance.config import Place, json_schema
from appliance.loading import load
from appliance.plugin_finder import find_plugins, import_plugin, settings_model


def check_config(options: argparse.Namespace, place: Place) -> int:
    """Look for mistakes; start nothing."""
    if options.file is not None:
        place = Place(options.file, place.trial_dir)
    loaded = asyncio.run(load(place, use_store=False))
    if loaded.troubles:
        for name, trouble in loaded.troubles.items():
            print(f"The plugin {name} cannot be loaded, so its settings were not checked: {trouble.reason}")
        print(f"{place.config_file}: no mistakes in the rest.")
        return 1
    print(f"{place.config_file}: no mistakes.")
    return 0


def show(_options: argparse.Namespace, place: Place) -> int:
    """Every setting, its value, and where that comes from."""
    config = asyncio.run(load(place)).config
    for row in config.rows():
        print(f"{row.path} = {json.dumps(row.value, default=str, ensure_ascii=False)}    # {row.origin.words()}")
    for note in config.notes:
        print(f"# {note}")
    return 0


def export(_options: argparse.Namespace, place: Place) -> int:
    """What is no default, as YAML."""
    print(asyncio.run(load(place)).config.export(), end="")
    return 0


def schema(_options: argparse.Namespace, place: Place) -> int:
    """The JSON Schema, with the bundled plugins."""
    found = find_plugins(place.drop_in_dir)
    bundled = [plugin for plugin in found.values() if plugin.source == "bundled"]
    models = {plugin.name: settings_model(import_plugin(plugin, place.drop_in_dir)) for plugin in bundled}
    print(json.dumps(json_schema(models), indent=2, ensure_ascii=False))
    return 0
