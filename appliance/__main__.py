"""The command line. ``appliance --help`` lists the commands; errors say what happened and what to do next.

Exit codes: 0 done, 1 it did not work, 2 the settings have mistakes (nothing was started), 75 it
cannot start now (a held port, a store in use).
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from appliance import __version__
from appliance.config import ConfigError, Place, find_place
from appliance.errors import ApplianceError, CannotStart
from appliance.trial import EXIT_BAD_SETTINGS, EXIT_CANNOT_START

Command = Callable[[argparse.Namespace, Place], int]

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

    def add(name: str, run: str, words: str, group: Any = commands) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = group.add_parser(name, help=words, description=words)
        command.set_defaults(run=_command(run))
        return command

    def add_group(name: str, words: str) -> Any:
        return commands.add_parser(name, help=words, description=words).add_subparsers(metavar="COMMAND", required=True)

    add("trial", "trial:trial", "start everything on this machine, as `make run` does; Ctrl-C stops it")
    demo = add("demo", "demo:demo", "start a demonstration with an invented school, as `make demo` does")
    demo.add_argument("folder", nargs="?", type=Path, metavar="FOLDER", help="where it is kept (in a checkout: var/demo)")
    add("run", "run:run", "run the main process (systemd and the trial call this)")
    worker = add("worker", "worker:worker", "run one worker process (systemd and the trial call this)")
    worker.add_argument("name", metavar="PLUGIN.NAME")
    add("status", "asking:status", "print every check of the running appliance; exit code 1 if something is broken")
    add("reload", "asking:reload", "read the settings file again and apply it, wholly or not at all")
    link = add("setup-link", "asking:setup_link", "make the one-time link with which this box is set up")
    link.add_argument("--again", action="store_true", help="for another IT account on a box that is set up")
    checking = add("check-config", "settings:check_config", "look for mistakes in the settings; starts nothing")
    checking.add_argument("file", nargs="?", type=Path, metavar="FILE", help="another settings file than the usual one")

    config = add_group("config", "show and convert settings")
    add("show", "settings:show", "print every setting, its value and where the value comes from", config)
    add("export", "settings:export", "print the settings that are not defaults as YAML", config)
    add("schema", "settings:schema", "print the JSON Schema of the settings file for editors", config)

    add("plugins", "plugins:list_plugins", "list the plugins on this machine and which are in use")
    plugin = add_group("plugin", "let a plugin in again, or remove what it kept")
    reset = add("reset", "plugins:reset", "let a plugin that was switched off in again", plugin)
    reset.add_argument("name", metavar="NAME")
    remove = add("remove", "plugins:remove", "delete everything that a plugin kept; says first what that is", plugin)
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--yes", action="store_true", help="really delete it")

    identity = add_group("identity", "bring up a new box that takes the place of another one")
    for name, run, words in (
        ("restore", "restore_identity", "give this new box the authority, keys and settings in an identity file"),
        ("show", "show_identity", "print what is in an identity file, without its secrets"),
    ):
        opening = add(name, f"identity:{run}", words, identity)
        opening.add_argument("file", type=Path, metavar="FILE", help="the identity file")
        opening.add_argument("--code-file", type=Path, metavar="PATH", help=CODE_FILE_HELP)

    audit = add_group("audit", "check the record of who did what")
    verifying = add(
        "verify", "records:verify_audit", "walk the whole record; exit code 1 if it was tampered with", audit
    )
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
    add("parked", "records:list_parked", "list events that a listener never took", events)
    retry = add("retry", "records:retry", "deliver a parked event again", events)
    retry.add_argument("owner", metavar="PLUGIN")
    retry.add_argument("event", metavar="EVENT_ID")

    playing = commands.add_parser("demo-run")  # the main process of a demonstration; not listed
    playing.set_defaults(run=_command("demo_run:demo_run"))
    probing = commands.add_parser("probe")  # used by the appliance itself; not listed
    probing.set_defaults(run=_command("probe:probe"))
    probing.add_argument("name")
    probing.add_argument("--report", type=int, required=True)
    detecting = commands.add_parser("detect")  # likewise
    detecting.set_defaults(run=_command("detect:detect"))
    detecting.add_argument("--parent", type=int, required=True)
    return top


def _command(where: str) -> Command:
    """``module:function`` of ``appliance.commands``, imported when it is run: most commands need little of the rest."""
    module, _, function = where.partition(":")

    def run(options: argparse.Namespace, place: Place) -> int:
        command: Command = getattr(importlib.import_module(f"appliance.commands.{module}"), function)
        return command(options, place)

    return run


if __name__ == "__main__":
    sys.exit(main())
