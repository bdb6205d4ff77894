"""`appliance try` with drop-in detectors that find, raise, spin, talk nonsense, or cannot be loaded at all."""

from __future__ import annotations

import subprocess
import sys

import pytest

from appliance.testing import Home, new_home, run_cli

PLUGIN = '''
import re
from appliance.api import *


class Plugin:
    """Finds penguins, and misbehaves when it is told to."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        pass

    def detect(self, observation):
        text = observation.text
        if "raise" in text:
            raise ValueError("what it raised")
        if "spin" in text:
            re.match(r"(a+)+$", "a" * 60 + "b")
        if "nonsense" in text:
            return ["a penguin"]
        return [
            Finding(policy="Birds", version="1", term="bird", phrase="penguin", category="birds", definition="A bird.",
                    severity=Severity.MINOR, start=found.start(), end=found.end(), steps=("It was read as a bird.",),
                    why_severity="Birds are harmless.", tried=("an aquarium",))
            for found in re.finditer("penguin|بطريق", text)
        ]

    @hook
    def register_detectors(self):
        return [Detector("eye", frozenset({Surface.TYPED}), self.detect)]
'''
BROKEN = "raise RuntimeError('no such thing')\n"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """One for all who change nothing: the plugin is tried once."""
    return with_birds(new_home(tmp_path_factory.mktemp("trying") / "home"))


def with_birds(home: Home) -> Home:
    home.add_plugin(PLUGIN, "birds")
    home.write("plugins: {birds: {}}\n")
    return home


def test_of_hidden_categories_no_more_is_told_than_was_given(appliance_home: Home) -> None:
    appliance_home.add_plugin(PLUGIN.replace('category="birds"', 'category="illegal"'), "birds")
    appliance_home.write("plugins: {birds: {}}\n")
    said = run_cli(appliance_home, "try", "two penguins")
    assert said.returncode == 0
    assert "Birds (illegal), a term that is shown nowhere" in said.stdout
    assert not any(word in said.stdout for word in ("term bird", "looked for as", "an aquarium", "read as a bird"))


def test_what_is_found_is_told_with_how_and_time(home: Home) -> None:
    said = run_cli(home, "try", "two penguins")
    assert (said.returncode, said.stderr) == (0, "")
    first, *rest = said.stdout.splitlines()
    assert first.startswith("birds.eye: 1 finding in ")
    assert first.endswith(" ms")
    assert rest == [
        "  Minor: Birds (birds), term bird",
        "    “\u2068penguin\u2069” at 4 to 11, looked for as “\u2068penguin\u2069”",
        "    found exactly as it is written in the policy",
        "    It was read as a bird.",
        "    Birds are harmless.",
        "    exceptions that did not apply: an aquarium",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("nothing",), 0, "birds.eye: 0 findings in "),
        (("رأيت بطريق هنا",), 0, "“\u2068بطريق\u2069” at 5 to 10"),
        (("penguin", "--surface", "page"), 0, "birds.eye: does not look at this (text on a page)"),
        (("penguin", "--surface", "url"), 0, "birds.eye: does not look at this (address of a page)"),
        (("penguin", "--surface", "dns"), 0, "(name of a site that a device asked for)"),
        (("penguin", "--surface", "app"), 0, "(name or window of an application)"),
        (("penguin", "--surface", "sea"), 2, "invalid choice: 'sea'"),
        (("penguin", "--detector", "birds"), 0, "1 finding"),
        (("penguin", "--detector", "birds.eye"), 0, "1 finding"),
        (("penguin", "--detector", "fish"), 1, "There is no detector 'fish'. Known: birds.eye."),
        (("raise",), 1, "birds.eye: failed: it birds.eye failed: ValueError: what it raised"),
        (("nonsense",), 1, "birds.eye: failed: it"),
        (("spin",), 1, "birds.eye: failed: it did not come to an end within 10 seconds"),
    ],
)
def test_every_answer_has_words_and_an_exit_code(home: Home, arguments: tuple[str, ...], code: int, words: str) -> None:
    said = run_cli(home, "try", *arguments)
    assert words in said.stdout + said.stderr
    assert said.returncode == code


def test_an_author_sees_the_line_that_raised(home: Home) -> None:
    assert 'raise ValueError("what it raised")' in run_cli(home, "try", "raise").stdout


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        (b"penguin\n", 0, "at 0 to 7"),
        ("بطريق".encode(), 0, "at 0 to 5"),
        (b"a\xff", 1, "Byte 2 of the text is no UTF-8"),
    ],
)
def test_a_text_can_come_through_standard_input(home: Home, text: bytes, code: int, words: str) -> None:
    command = [sys.executable, "-m", "appliance", "--config", str(home.config_file), "--trial", str(home.state)]
    said = subprocess.run([*command, "try", "-"], input=text, capture_output=True, timeout=60)
    assert words in (said.stdout + said.stderr).decode()
    assert said.returncode == code


def test_a_plugin_that_cannot_be_loaded_does_not_keep_others_from_it(appliance_home: Home) -> None:
    home = with_birds(appliance_home)
    home.add_plugin(BROKEN, "broken")
    home.write("plugins: {broken: {}, birds: {}}\n")
    said = run_cli(home, "try", "penguin")
    assert said.returncode == 1
    assert "broken: is left out: " in said.stdout
    assert "no such thing" in said.stdout
    assert "birds.eye: 1 finding" in said.stdout
    assert run_cli(home, "try", "penguin", "--detector", "birds").returncode == 0


def test_mistakes_in_the_settings_are_told(appliance_home: Home) -> None:
    home = with_birds(appliance_home)
    home.write("plugins: {birds: {colour: red}}\n")
    said = run_cli(home, "try", "penguin")
    assert said.returncode == 2
    assert "colour" in said.stderr


def test_without_detectors_it_says_what_to_do(appliance_home: Home) -> None:
    said = run_cli(appliance_home, "try", "penguin")
    assert said.returncode == 1
    assert "name a plugin with detectors under plugins:" in said.stderr
