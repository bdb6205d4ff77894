"""Commands that plugins add to the command line."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from appliance.errors import ApplianceError, PluginError
from appliance.hookspecs import Argument, Command
from appliance.plugin_commands import listed, run_words
from appliance.registered import check_commands
from appliance.testing import Home, Running, run_cli

Start = Callable[[Home], Awaitable[Running]]

PLUGIN = '''
from appliance.api import *

class Plugin:
    """A plugin of the tests."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        pass

    @hook
    def register_commands(self):
        arguments = (Argument("name", "Whom."), Argument("how-often", "How often.", option=True))
        return [Command(("greet", "one"), "greet somebody", arguments, self.greet)]

    async def greet(self, given):
        if given["name"] == "nobody":
            raise Refused("There is nobody to greet.")
        return " ".join([f"Hello {given['name']}."] * int(given["how-often"] or 1))
'''


@pytest.fixture
async def running(appliance_home: Home, start_appliance: Start) -> Running:
    appliance_home.add_plugin(PLUGIN, "greeter")
    appliance_home.write("plugins: {greeter: {}}\n")
    return await start_appliance(appliance_home)


async def test_a_command_gets_what_was_typed(running: Running) -> None:
    plugins = running.appliance.plugins
    assert await run_words(plugins, ["greet", "one", "Ada"]) == "Hello Ada."
    assert await run_words(plugins, ["greet", "one", "Ada", "--how-often", "2"]) == "Hello Ada. Hello Ada."
    with pytest.raises(ApplianceError, match=r"required: name.*\n?.*usage: appliance greet one"):
        await run_words(plugins, ["greet", "one"])
    with pytest.raises(ApplianceError, match="There is nobody to greet"):
        await run_words(plugins, ["greet", "one", "nobody"])
    with pytest.raises(ApplianceError, match=r"no command 'greet all'[^$]*appliance greet one NAME \[--how-often"):
        await run_words(plugins, ["greet", "all"])
    with pytest.raises(ApplianceError, match="invalid literal"):
        await run_words(plugins, ["greet", "one", "Ada", "--how-often", "often"])


def test_the_command_line_hands_unknown_words_on(appliance_home: Home) -> None:
    answer = run_cli(appliance_home, "greet", "one", "Ada")
    assert answer.returncode == 1
    assert "The appliance does not run." in answer.stderr


def test_help_says_how_it_is_called() -> None:
    async def run(_given: object) -> str:
        return ""

    command = Command(("greet",), "greet somebody", (Argument("name", "Whom."),), run)
    assert listed([command]) == "appliance greet NAME\n    greet somebody"
    assert listed([]) == "No plugin adds a command."
    for wrong in (Command((), "x", (), run), Command(("Greet",), "x", (), run), Command(("greet",), "x", (), listed)):
        with pytest.raises(PluginError):
            check_commands([wrong])
    with pytest.raises(PluginError, match="twice"):
        check_commands([command, command])


@pytest.mark.parametrize("words", [["policy"], ["policy", "--help"], ["policy", "-h"]])
def test_the_first_word_of_tools_lists_them(appliance_home: Home, words: list[str]) -> None:
    said = run_cli(appliance_home, *words)
    assert (said.returncode, said.stderr) == (0, "")
    for tool in ("pack", "sign", "verify", "new-key"):
        assert f"appliance policy {tool}\n    " in said.stdout
    assert "need no running appliance" in said.stdout


def test_where_nothing_runs_what_works_without_it_is_named(appliance_home: Home) -> None:
    said = run_cli(appliance_home, "policy", "check")
    assert said.returncode == 1
    assert said.stderr.startswith("The appliance does not run.")
    assert "appliance policy verify\n    check a bundle as a school would" in said.stderr
    assert "usage: appliance policy pack" in run_cli(appliance_home, "policy", "pack", "--help").stdout
    listed_too = run_cli(appliance_home, "commands")
    assert (listed_too.returncode, "appliance policy pack" in listed_too.stdout) == (1, True)
    elsewhere = run_cli(appliance_home, "greet", "one")
    assert (elsewhere.returncode, elsewhere.stderr) == (1, "The appliance does not run.\n")
