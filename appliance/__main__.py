"""The command line. ``appliance --help`` lists the commands; errors say what happened and what to do next.

Exit codes: 0 done, 1 it did not work, 2 the settings have mistakes (nothing was started), 75 it
cannot start now (a held port, a store in use).
"""

from __future__ import annotations

import argparse
import asyncio
import ctypes
import getpass
import importlib
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from appliance import __version__
from appliance.app import try_plugin
from appliance.audit import Audit, Noted, Verdict, verify
from appliance.belongings import belongings, remove_belongings
from appliance.bus import parked
from appliance.command_socket import Reply, ask
from appliance.config import ConfigError, Place, Settings, Source, check, find_place, json_schema, read_source
from appliance.db import Database
from appliance.errors import ApplianceError, CannotStart, PluginError, Refused
from appliance.identity.file import Identity
from appliance.identity.restoring import describe, read_code_file, read_identity_file, restore
from appliance.loading import load, page_state, resource
from appliance.main_process import MainProcess
from appliance.migrate import CORE, migrate
from appliance.plugin_finder import find_plugins, import_plugin, settings_model
from appliance.probe import report
from appliance.signed_heads import read_statement
from appliance.signing import PublicKey
from appliance.trial import EXIT_BAD_SETTINGS, EXIT_CANNOT_START, Supervisor
from appliance.workers import WorkerContext

Command = Callable[[argparse.Namespace, Place], int]

PR_SET_PDEATHSIG = 1  # prctl(2)
CONFIG_HELP = "the settings file (default: /etc/appliance/appliance.yaml; in a checkout etc/appliance.yaml)"
CODE_FILE_HELP = "a file that holds the code, instead of typing it"
TRIAL_HELP = "run as a trial that keeps everything in FOLDER (in a checkout: var)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    os.umask(0o027)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    options = parser().parse_args(arguments)
    try:
        place = find_place(options.config, options.trial, os.environ)
        return int(options.run(options, place))
    except ConfigError as error:
        for mistake in error.mistakes:
            print(mistake, file=sys.stderr)
        return EXIT_BAD_SETTINGS
    except CannotStart as error:
        print(error, file=sys.stderr)
        return EXIT_CANNOT_START
    except ApplianceError as error:
        print(error, file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """All commands and options (the reference page is generated from it)."""
    top = argparse.ArgumentParser(prog="appliance", description="The safeguarding appliance.")
    top.add_argument("--version", action="version", version=__version__)
    top.add_argument("--config", type=Path, metavar="FILE", help=CONFIG_HELP)
    top.add_argument("--trial", type=Path, metavar="FOLDER", help=TRIAL_HELP)
    commands = top.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, run: Command, words: str, group: Any = commands) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = group.add_parser(name, help=words, description=words)
        command.set_defaults(run=run)
        return command

    def add_group(name: str, words: str) -> Any:
        return commands.add_parser(name, help=words, description=words).add_subparsers(metavar="COMMAND", required=True)

    add("trial", _trial, "start everything on this machine, as `make run` does; Ctrl-C stops it")
    add("run", _run, "run the main process (systemd and the trial call this)")
    worker = add("worker", _worker, "run one worker process (systemd and the trial call this)")
    worker.add_argument("name", metavar="PLUGIN.NAME")
    add("status", _ask("status"), "print every check of the running appliance; exit code 1 if something is broken")
    add("reload", _ask("reload"), "read the settings file again and apply it, wholly or not at all")
    link = add("setup-link", _setup_link, "make the one-time link with which this box is set up")
    link.add_argument("--again", action="store_true", help="for another IT account on a box that is set up")
    checking = add("check-config", _check_config, "look for mistakes in the settings; starts nothing")
    checking.add_argument("file", nargs="?", type=Path, metavar="FILE", help="another settings file than the usual one")

    config = add_group("config", "show and convert settings")
    add("show", _config_show, "print every setting, its value and where the value comes from", config)
    add("export", _config_export, "print the settings that are not defaults as YAML", config)
    add("schema", _config_schema, "print the JSON Schema of the settings file for editors", config)

    add("plugins", _plugins, "list the plugins on this machine and which are in use")
    plugin = add_group("plugin", "let a plugin in again, or remove what it kept")
    reset = add("reset", _plugin_reset, "let a plugin that was switched off in again", plugin)
    reset.add_argument("name", metavar="NAME")
    remove = add("remove", _plugin_remove, "delete everything that a plugin kept; says first what that is", plugin)
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--yes", action="store_true", help="really delete it")

    identity = add_group("identity", "bring up a new box that takes the place of another one")
    for name, run, words in (
        ("restore", _identity_restore, "give this new box the authority, keys and settings in an identity file"),
        ("show", _identity_show, "print what is in an identity file, without its secrets"),
    ):
        opening = add(name, run, words, identity)
        opening.add_argument("file", type=Path, metavar="FILE", help="the identity file")
        opening.add_argument("--code-file", type=Path, metavar="PATH", help=CODE_FILE_HELP)

    audit = add_group("audit", "check the record of who did what")
    verifying = add("verify", _audit_verify, "walk the whole record; exit code 1 if it was tampered with", audit)
    verifying.add_argument("--noted", default="", metavar="HEAD", help="a head noted earlier; it must still be there")
    verifying.add_argument(
        "--signed",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="signed heads that somebody kept; the record must still hold what they say",
    )
    verifying.add_argument(
        "--public-key", type=Path, metavar="FILE", help="the key of the signed heads (default: this appliance's own)"
    )
    verifying.add_argument("--store", type=Path, metavar="FILE", help="a copy of records.db (default: the one in use)")

    events = add_group("events", "look after events that were not delivered")
    add("parked", _events_parked, "list events that a listener never took", events)
    retry = add("retry", _events_retry, "deliver a parked event again", events)
    retry.add_argument("owner", metavar="PLUGIN")
    retry.add_argument("event", metavar="EVENT_ID")

    probing = commands.add_parser("probe")  # used by the appliance itself; not listed
    probing.set_defaults(run=_probe)
    probing.add_argument("name")
    probing.add_argument("--report", type=int, required=True)
    return top


# Processes


def _trial(_options: argparse.Namespace, place: Place) -> int:
    if place.trial_dir is None:
        raise CannotStart("This is no checkout.", "Give a folder for the trial: appliance --trial FOLDER trial")
    return asyncio.run(Supervisor(place, lambda words: print(words, file=sys.stderr, flush=True)).run())


def _run(_options: argparse.Namespace, place: Place) -> int:
    _end_with_supervisor()
    asyncio.run(MainProcess(place, lambda words: print(words, flush=True)).run())
    return 0


def _worker(options: argparse.Namespace, place: Place) -> int:
    _end_with_supervisor()
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
    storage = _core_settings(place).storage
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


def _core_settings(place: Place) -> Settings:
    """The core's settings; a worker must come up even while the file has mistakes."""
    try:
        return check(read_source(place), {}).settings
    except ConfigError:
        return check(Source(place, {}), {}).settings


def _end_with_supervisor() -> None:
    """If the trial's supervisor is killed, its children must not live on and hold the ports."""
    supervisor = os.environ.get("APPLIANCE_SUPERVISOR")
    if supervisor is None:
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(supervisor):
        sys.exit(0)


def _probe(options: argparse.Namespace, place: Place) -> int:
    """Try one plugin: whatever happens is told through the pipe."""
    try:
        asyncio.run(try_plugin(options.name, place))
    except BaseException as error:  # noqa: BLE001 - the outermost loop of this process: the plugin's own code ran
        report(options.report, error, traceback.format_exc())
    else:
        report(options.report, None)
    return 0


# Talking to the running appliance


def _tell(reply: Reply | None) -> int:
    if reply is None:
        print("The appliance does not run.", file=sys.stderr)
        return 1
    print(reply.words)
    return 0 if reply.good else 1


def _ask(command: str) -> Command:
    def run(_options: argparse.Namespace, place: Place) -> int:
        return _tell(asyncio.run(ask(_core_settings(place).storage.run_dir, command)))

    return run


def _setup_link(options: argparse.Namespace, place: Place) -> int:
    return _tell(asyncio.run(ask(_core_settings(place).storage.run_dir, "setup-link", again=options.again)))


# Settings


def _check_config(options: argparse.Namespace, place: Place) -> int:
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


def _config_show(_options: argparse.Namespace, place: Place) -> int:
    config = asyncio.run(load(place)).config
    for row in config.rows():
        print(f"{row.path} = {json.dumps(row.value, default=str, ensure_ascii=False)}    # {row.origin.words()}")
    for note in config.notes:
        print(f"# {note}")
    return 0


def _config_export(_options: argparse.Namespace, place: Place) -> int:
    print(asyncio.run(load(place)).config.export(), end="")
    return 0


def _config_schema(_options: argparse.Namespace, place: Place) -> int:
    found = find_plugins(place.drop_in_dir)
    bundled = [plugin for plugin in found.values() if plugin.source == "bundled"]
    models = {plugin.name: settings_model(import_plugin(plugin, place.drop_in_dir)) for plugin in bundled}
    print(json.dumps(json_schema(models), indent=2, ensure_ascii=False))
    return 0


# Plugins


def _plugins(_options: argparse.Namespace, place: Place) -> int:
    source = read_source(place)
    off = page_state(source).plugins_off
    for name, found in sorted(find_plugins(place.drop_in_dir).items()):
        state = "in use" if name in source.plugin_names else "not in use"
        state = "switched off" if name in off and name in source.plugin_names else state
        refusal = f": refused, {found.refusal}" if found.refusal else ""
        print(f"{name:24} {found.source:10} {state}{refusal}")
    return 0


def _plugin_reset(options: argparse.Namespace, place: Place) -> int:
    return asyncio.run(_reset(options.name, place))


async def _reset(name: str, place: Place) -> int:
    settings = _core_settings(place)
    reply = await ask(settings.storage.run_dir, "plugin reset", name=name)
    if reply is not None:
        return _tell(reply)
    records = Database(settings.storage.state_dir / "records.db")
    await records.open()
    try:
        await migrate(records, CORE, resource("migrations"))
        async with records.transaction() as tx:
            changed = await tx.execute("DELETE FROM plugins_off WHERE name = ?", (name,))
            await Audit(records).record(tx, "the command line", "let plugin in again", name)
    finally:
        await records.close()
    print(f"{name} is let in again at the next start." if changed else f"{name} was not switched off.")
    return 0


def _plugin_remove(options: argparse.Namespace, place: Place) -> int:
    return asyncio.run(_remove(options.name, options.yes, place))


async def _remove(name: str, really: bool, place: Place) -> int:
    if name in read_source(place).plugin_names:
        raise PluginError(f"{place.config_file} still names {name}.", "Take it out of plugins: there, and reload.")
    storage = _core_settings(place).storage
    await _show_belongings(name, storage.state_dir)
    if not really:
        print("Nothing was deleted. To delete all this for good, add --yes.")
        return 0
    reply = await ask(storage.run_dir, "plugin remove", name=name)
    if reply is not None:
        return _tell(reply)
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


# The identity file


def _identity_restore(options: argparse.Namespace, place: Place) -> int:
    for line in asyncio.run(restore(_open_identity(options), place)):
        print(line)
    print("Start the appliance now. Devices that trusted the box before trust this one.")
    return 0


def _identity_show(options: argparse.Namespace, _place: Place) -> int:
    for line in describe(_open_identity(options)):
        print(line)
    return 0


def _open_identity(options: argparse.Namespace) -> Identity:
    sealed = read_identity_file(options.file)  # first: no code is typed for a file that is no good
    return sealed.open(_code(options.code_file))


def _code(file: Path | None) -> str:
    """The code of an identity file. Never an argument: those stand in histories and in lists of processes."""
    if file is not None:
        return read_code_file(file)
    if not sys.stdin.isatty():
        raise Refused("There is no terminal on which to type the code.", "Give a file that holds it: --code-file PATH")
    return getpass.getpass("Code of the identity file (it is not shown while you type): ")


# The record and the events


def _audit_verify(options: argparse.Namespace, place: Place) -> int:
    state_dir = _core_settings(place).storage.state_dir
    noted = [Noted(options.noted)] if options.noted else []
    if options.signed:
        key = _public_key(options.public_key, state_dir / "trust")
        noted += [read_statement(_read(path).decode("utf-8-sig", "replace"), key).noted for path in options.signed]
    verdict = asyncio.run(_verify(options.store or state_dir / "records.db", noted))
    print(f"{verdict.words}\nHead: {verdict.head}")
    return 0 if verdict.good else 1


async def _verify(store: Path, noted: Sequence[Noted]) -> Verdict:
    records = Database(store, read_only=True)
    await records.open()
    try:
        return await verify(records, noted)
    finally:
        await records.close()


def _public_key(path: Path | None, trust_dir: Path) -> PublicKey:
    key = PublicKey.of_pem(_read(path)) if path is not None else PublicKey.of_box(trust_dir)
    if key is None:
        raise ApplianceError(
            "This machine has no key of its own to check signed heads with.",
            "Give the public key that the audit page offers with --public-key FILE.",
        )
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ApplianceError(f"{path} cannot be read: {error.strerror or error}.") from error


def _events_parked(_options: argparse.Namespace, place: Place) -> int:
    return asyncio.run(_list_parked(place))


async def _list_parked(place: Place) -> int:
    records = Database(_core_settings(place).storage.state_dir / "records.db", read_only=True)
    await records.open()
    try:
        rows = await parked(records)
    finally:
        await records.close()
    for row in rows:
        print(f"{row['owner']}  {row['event_id']}  {row['type']}  {row['tries']} tries  {row['error']}")
    print(f"{len(rows)} parked.")
    return 0


def _events_retry(options: argparse.Namespace, place: Place) -> int:
    run_dir = _core_settings(place).storage.run_dir
    return _tell(asyncio.run(ask(run_dir, "events retry", owner=options.owner, event=options.event)))


if __name__ == "__main__":
    sys.exit(main())
