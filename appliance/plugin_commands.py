"""Commands of plugins, as they were typed: find the one that is meant, read its arguments, and run it contained."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence

from appliance.errors import ApplianceError
from appliance.hookspecs import Command
from appliance.plugins import Plugins

SECONDS = 60.0


async def run_words(plugins: Plugins, words: Sequence[str]) -> str:
    """What the command prints. Raises ``ApplianceError`` in words if there is none, or if it cannot do it."""
    found = plugins.command(words)
    if found is None:
        known = listed(plugins.commands())
        raise ApplianceError(f"There is no command {shlex.join(words)!r}.", f"Commands of plugins:\n{known}")
    owner, command = found
    given = _read(command, words[len(command.path) :])
    return str(await plugins.run(owner, f"command {' '.join(command.path)}", lambda: command.run(given), SECONDS))


def listed(commands: Sequence[Command]) -> str:
    """A line for each: how it is called, and what it does."""
    if not commands:
        return "No plugin adds a command."
    return "\n".join(f"appliance {_usage(command)}\n    {command.words}" for command in commands)


def _usage(command: Command) -> str:
    needed = [argument.name.upper() for argument in command.arguments if not argument.option]
    options = [f"[--{one.name} {one.name.upper()}]" for one in command.arguments if one.option]
    return " ".join((*command.path, *needed, *options))


def _read(command: Command, words: Sequence[str]) -> Mapping[str, str]:
    reader = _Reader(prog=f"appliance {' '.join(command.path)}", description=command.words, add_help=False)
    for argument in command.arguments:
        if argument.option:
            reader.add_argument(f"--{argument.name}", default="", metavar=argument.name.upper(), help=argument.words)
        else:
            reader.add_argument(argument.name, help=argument.words)
    if {"-h", "--help"} & set(words):
        raise ApplianceError(reader.format_help().strip())
    given = vars(reader.parse_args(list(words)))
    return {argument.name: given[argument.name.replace("-", "_") if argument.option else argument.name]
            for argument in command.arguments}  # fmt: skip


class _Reader(argparse.ArgumentParser):
    """Raises in words instead of ending the appliance, whose process this is."""

    def error(self, message: str) -> None:  # type: ignore[override]  # argparse would end the process here
        raise ApplianceError(f"{message[:1].upper()}{message[1:]}.", self.format_usage().strip())
