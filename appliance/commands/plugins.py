"""Commands about plugins: list them, let one in again, remove what one kept."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from appliance.audit import Audit
from appliance.belongings import belongings, remove_belongings
from appliance.command_socket import ask
from appliance.commands.asking import core_settings, tell
from appliance.config import Place, read_source
from appliance.control import LET_IN
from appliance.db import Database
from appliance.errors import PluginError
from appliance.loading import page_state, resource
from appliance.migrate import CORE, migrate
from appliance.plugin_finder import find_plugins


def list_plugins(_options: argparse.Namespace, place: Place) -> int:
    """The plugins on this machine."""
    source = read_source(place)
    off = page_state(source).plugins_off
    for name, found in sorted(find_plugins(place.drop_in_dir).items()):
        state = "in use" if name in source.plugin_names else "not in use"
        state = "switched off" if name in off and name in source.plugin_names else state
        refusal = f": refused, {found.refusal}" if found.refusal else ""
        print(f"{name:24} {found.source:10} {state}{refusal}")
    return 0


def reset(options: argparse.Namespace, place: Place) -> int:
    """Let a plugin in again."""
    return asyncio.run(_reset(options.name, place))


async def _reset(name: str, place: Place) -> int:
    settings = core_settings(place)
    reply = await ask(settings.storage.run_dir, "plugin reset", name=name)
    if reply is not None:
        return tell(reply)
    records = Database(settings.storage.state_dir / "records.db")
    await records.open()
    try:
        await migrate(records, CORE, resource("migrations"))
        async with records.transaction() as tx:
            changed = await tx.execute("DELETE FROM plugins_off WHERE name = ?", (name,))
            await Audit(records).record(tx, "the command line", LET_IN, name)
    finally:
        await records.close()
    print(f"{name} is let in again at the next start." if changed else f"{name} was not switched off.")
    return 0


def remove(options: argparse.Namespace, place: Place) -> int:
    """Delete what a plugin kept, after showing it."""
    return asyncio.run(_remove(options.name, options.yes, place))


async def _remove(name: str, really: bool, place: Place) -> int:
    if name in read_source(place).plugin_names:
        raise PluginError(f"{place.config_file} still names {name}.", "Take it out of plugins: there, and reload.")
    storage = core_settings(place).storage
    await _show_belongings(name, storage.state_dir)
    if not really:
        print("Nothing was deleted. To delete all this for good, add --yes.")
        return 0
    reply = await ask(storage.run_dir, "plugin remove", name=name)
    if reply is not None:
        return tell(reply)
    records, activity = Database(storage.state_dir / "records.db"), Database(storage.state_dir / "activity.db")
    await records.open()
    await activity.open()
    try:
        await remove_belongings(records, activity, Audit(records), "the command line", storage.state_dir, name)
    finally:
        await activity.close()
        await records.close()
    print(f"Everything that {name} kept is gone.")
    return 0


async def _show_belongings(name: str, state_dir: Path) -> None:
    stores = [Database(state_dir / file, read_only=True) for file in ("records.db", "activity.db")]
    for store in stores:
        await store.open()
    try:
        kept = await belongings(stores[0], stores[1], state_dir, name)
    finally:
        for store in stores:
            await store.close()
    print(f"{name} keeps:")
    for line in kept.words():
        print(f"  {line}")
