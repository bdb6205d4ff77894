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
from contextlib import suppress
from pathlib import Path
from typing import Any

from appliance import __version__
from appliance.errors import EXIT_BAD_SETTINGS, EXIT_CANNOT_START, ApplianceError, BadSettings, CannotStart
from appliance.observations import SURFACES_BY_NAME

Command = Callable[[argparse.Namespace], int]

CONFIG_HELP = "the settings file (default: /etc/appliance/appliance.yaml; in a checkout etc/appliance.yaml)"
CODE_FILE_HELP = "a file that holds the code, instead of typing it"
MORE = "Plugins add commands of their own: `appliance commands` lists them, also those that need no running appliance."
TRIAL_HELP = "run as a trial that keeps everything in FOLDER (in a checkout: var)"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    os.umask(0o027)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    options = _options(list(sys.argv[1:] if arguments is None else arguments))
    try:
        return int(options.run(options))
    except BadSettings as error:
        print(error, file=sys.stderr)
        return EXIT_BAD_SETTINGS
    except CannotStart as error:
        print(error, file=sys.stderr)
        return EXIT_CANNOT_START
    except ApplianceError as error:
        print(error, file=sys.stderr)
        return 1


def _options(arguments: list[str]) -> argparse.Namespace:
    """What was typed. Words that no command of ours begins with are for a plugin of the running appliance."""
    top = parser()
    first = argparse.ArgumentParser(add_help=False, exit_on_error=False)
    first.add_argument("--config", type=Path)
    first.add_argument("--trial", type=Path)
    first.add_argument("words", nargs=argparse.REMAINDER)
    with suppress(argparse.ArgumentError):
        found = first.parse_known_args(arguments)
        words = found[0].words
        if not found[1] and words and not words[0].startswith("-") and words[0] not in _names(top):
            found[0].run = _command("asking:of_plugin")
            return found[0]
    return top.parse_args(arguments)


def _names(top: argparse.ArgumentParser) -> set[str]:
    """The words that commands of ours begin with."""
    return {name for action in top._actions if action.choices for name in action.choices}


def parser() -> argparse.ArgumentParser:
    """All commands and options (the reference page is generated from it)."""
    top = argparse.ArgumentParser(prog="appliance", description="The safeguarding appliance.", epilog=MORE)
    top.add_argument("--version", action="version", version=__version__)
    top.add_argument("--config", type=Path, metavar="FILE", help=CONFIG_HELP)
    top.add_argument("--trial", type=Path, metavar="FOLDER", help=TRIAL_HELP)
    commands = _Commands(top.add_subparsers(metavar="COMMAND", required=True))
    _add_processes(commands)
    _add_settings(commands)
    _add_plugins(commands)
    _add_identity(commands)
    _add_records(commands)
    return top


class _Commands:
    """A group of commands under construction."""

    def __init__(self, group: Any) -> None:
        self._group = group

    def add(self, name: str, run: str, words: str) -> argparse.ArgumentParser:
        """A command; ``run`` is ``module:function`` of ``appliance.commands``."""
        command: argparse.ArgumentParser = self._group.add_parser(name, help=words, description=words)
        command.set_defaults(run=_command(run))
        return command

    def add_unlisted(self, name: str, run: str) -> argparse.ArgumentParser:
        """A command that the appliance itself uses."""
        command: argparse.ArgumentParser = self._group.add_parser(name)
        command.set_defaults(run=_command(run))
        return command

    def add_group(self, name: str, words: str) -> _Commands:
        """Commands below a word of their own."""
        group = self._group.add_parser(name, help=words, description=words)
        return _Commands(group.add_subparsers(metavar="COMMAND", required=True))


def _add_processes(commands: _Commands) -> None:
    add = commands.add
    add("trial", "trial:trial", "start everything on this machine, as `make run` does; Ctrl-C stops it")
    demo = add("demo", "demo:demo", "start a demonstration with an invented school, as `make demo` does")
    demo.add_argument(
        "folder", nargs="?", type=Path, metavar="FOLDER", help="where it is kept (in a checkout: var/demo)"
    )
    add("run", "run:run", "run the main process (systemd and the trial call this)")
    worker = add("worker", "worker:worker", "run one worker process (systemd and the trial call this)")
    worker.add_argument("name", metavar="PLUGIN.NAME")
    worker.add_argument("--folder", type=Path, help="where its snapshot is (default: where the settings file says)")
    worker.add_argument("--socket", type=Path, help="the main process's socket for workers (default: as above)")
    add("commands", "asking:commands", "print the commands that plugins add; most need the running appliance")
    add("status", "asking:status", "print every check of the running appliance; exit code 1 if something is broken")
    trying = add("try", "trying:try_text", "print what the detectors say of a text; needs no running appliance")
    trying.add_argument("text", metavar="TEXT", help="the text; - reads it from standard input")
    places = ", ".join(SURFACES_BY_NAME)
    words = f"where it was seen: {places} (default: typed)"
    trying.add_argument("--surface", choices=[*SURFACES_BY_NAME], default="typed", metavar="PLACE", help=words)
    trying.add_argument("--detector", default="", metavar="NAME", help="a plugin, or one detector as PLUGIN.NAME")
    bench = add("bench", "asking:bench", "run the detectors in force over the sentences of the test bench")
    bench.add_argument("--detector", default="", metavar="NAME", help="a plugin, or one detector as PLUGIN.NAME")
    words = "a set of your own instead (YAML or JSON lines: text, category, kind); it is kept nowhere"
    bench.add_argument("--sentences", type=Path, metavar="FILE", help=words)
    add("reload", "asking:reload", "read the settings file again and apply it, wholly or not at all")
    link = add("setup-link", "asking:setup_link", "make the one-time link with which this box is set up")
    link.add_argument("--again", action="store_true", help="for another IT account on a box that is set up")

    commands.add_unlisted("demo-run", "demo_run:demo_run")
    probe = commands.add_unlisted("probe", "probe:probe")
    probe.add_argument("name")
    probe.add_argument("--report", type=int, required=True)
    detect = commands.add_unlisted("detect", "detect:detect")
    detect.add_argument("--parent", type=int, required=True)
    verdicts = commands.add_unlisted("verdicts", "verdicts:verdicts")
    verdicts.add_argument("--parent", type=int, required=True)
    verdicts.add_argument("--file", type=Path, required=True)
    verdicts.add_argument("--note", type=Path, required=True)
    verdicts.add_argument("--without", nargs="*", default=[])


def _add_settings(commands: _Commands) -> None:
    checking = commands.add(
        "check-config", "settings:check_config", "look for mistakes in the settings; starts nothing"
    )
    checking.add_argument("file", nargs="?", type=Path, metavar="FILE", help="another settings file than the usual one")
    config = commands.add_group("config", "show and convert settings")
    config.add("show", "settings:show", "print every setting, its value and where the value comes from")
    config.add("export", "settings:export", "print the settings that are not defaults as YAML")
    config.add("schema", "settings:schema", "print the JSON Schema of the settings file for editors")


def _add_plugins(commands: _Commands) -> None:
    commands.add("plugins", "plugins:list_plugins", "list the plugins on this machine and which are in use")
    plugin = commands.add_group("plugin", "let a plugin in again, or remove what it kept")
    reset = plugin.add("reset", "plugins:reset", "let a plugin that was switched off in again")
    reset.add_argument("name", metavar="NAME")
    remove = plugin.add("remove", "plugins:remove", "delete everything that a plugin kept; says first what that is")
    remove.add_argument("name", metavar="NAME")
    remove.add_argument("--yes", action="store_true", help="really delete it")


def _add_identity(commands: _Commands) -> None:
    identity = commands.add_group("identity", "bring up a new box that takes the place of another one")
    for name, run, words in (
        ("restore", "restore_identity", "give this new box the authority, keys and settings in an identity file"),
        ("show", "show_identity", "print what is in an identity file, without its secrets"),
    ):
        opening = identity.add(name, f"identity:{run}", words)
        opening.add_argument("file", type=Path, metavar="FILE", help="the identity file")
        opening.add_argument("--code-file", type=Path, metavar="PATH", help=CODE_FILE_HELP)


def _add_records(commands: _Commands) -> None:
    audit = commands.add_group("audit", "check the record of who did what")
    words = "walk the whole record; exit code 1 if it was tampered with"
    verifying = audit.add("verify", "records:verify_audit", words)
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
    events = commands.add_group("events", "look after events that were not delivered")
    events.add("parked", "records:list_parked", "list events that a listener never took")
    retry = events.add("retry", "records:retry", "deliver a parked event again")
    retry.add_argument("owner", metavar="PLUGIN")
    retry.add_argument("event", metavar="EVENT_ID")


def _command(where: str) -> Command:
    """``module:function`` of ``appliance.commands``, imported when it is run: most commands need little of the rest.

    So is what reads the settings: a worker that was told where its files are starts in a fraction of the time.
    """
    module, _, function = where.partition(":")

    def run(options: argparse.Namespace) -> int:
        command = getattr(importlib.import_module(f"appliance.commands.{module}"), function)
        return int(command(options, *_place(options)))

    return run


def _place(options: argparse.Namespace) -> tuple[Any, ...]:
    """Where settings and stores are, for every command but a worker that knows its own folder and socket."""
    if "socket" in options and None not in (options.folder, options.socket):
        return ()
    return (importlib.import_module("appliance.config").find_place(options.config, options.trial, os.environ),)


if __name__ == "__main__":
    sys.exit(main())
