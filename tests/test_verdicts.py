"""The process that asks plugins about names: real plugins, real pipes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from appliance.testing import Home

HEAD = '''
from appliance.api import *

class Plugin:
    """A plugin of the tests."""

    class Settings(Section):
        """One word."""

        word: str = setting("casino", "The word.")

    def __init__(self, appliance, settings):
        self.settings = settings

    @hook
    def dns_verdict(self, name, type, profile):
        {body}
'''
BLOCKS = 'return Verdict(f"has {self.settings.word}") if self.settings.word in name and profile == "pupil" else None'


@dataclass
class Child:
    """A running child and its lines."""

    process: subprocess.Popen[bytes]
    note: Path

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def tell(self, name: str, profile: str = "pupil") -> None:
        assert self.process.stdin is not None
        question = {"id": 1, "name": name, "type": "A", "profile": profile}
        self.process.stdin.write(json.dumps(question).encode() + b"\n")
        self.process.stdin.flush()

    def ask(self, name: str, profile: str = "pupil") -> dict[str, Any]:
        self.tell(name, profile)
        return self.hear()


@contextmanager
def started(home: Home, settings: dict[str, Any], *without: str) -> Iterator[Child]:
    file, note = home.folder / "verdicts.json", home.folder / "verdicts.note"
    file.write_text(json.dumps({"plugins": list(settings), "settings": {"plugins": settings}}))
    command = [sys.executable, "-m", "appliance", "--config", str(home.config_file)]
    command += ["--trial", str(home.state), "verdicts", "--parent", str(os.getpid()), "--file", str(file)]
    command += ["--note", str(note), *(["--without", *without] if without else [])]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Child(process, note)
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def home(appliance_home: Home) -> Home:
    appliance_home.add_plugin(HEAD.format(body=BLOCKS), "bets")
    appliance_home.add_plugin(HEAD.format(body='raise LookupError("no luck")'), "broken")
    appliance_home.add_plugin(HEAD.format(body="return 5"), "odd")
    appliance_home.write("plugins: {bets: {}, broken: {}, odd: {}}\n")
    return appliance_home


def test_one_verdict_blocks_whatever_others_do(home: Home) -> None:
    with started(home, {"odd": {}, "broken": {}, "bets": {"word": "poker"}}) as child:
        assert child.hear() == {"plugins": ["odd", "broken", "bets"], "failed": {}}
        failed = {"odd": "raised TypeError", "broken": "raised LookupError"}
        blocked = {"id": 1, "verdict": "block", "why": "has poker", "plugin": "bets", "failed": failed}
        assert child.ask("www.poker.example") == blocked
        nothing = {"id": 1, "verdict": None, "why": "", "plugin": "", "failed": failed}
        assert child.ask("www.poker.example", "staff") == nothing
        assert child.ask("casino.example") == nothing


def test_the_note_names_who_overruns_and_the_next_child_does_without(home: Home) -> None:
    home.add_plugin(HEAD.format(body="\n        while True: pass"), "spins")
    settings = {"spins": {}, "bets": {}}
    with started(home, settings) as child:
        assert child.hear()["plugins"] == ["spins", "bets"]
        child.tell("casino.example")
        while not (culprit := child.note.read_bytes().split(b"\0", 1)[0]):
            assert child.process.poll() is None
        assert culprit.split()[0] == b"spins"
    with started(home, settings, "spins") as child:
        assert child.hear()["plugins"] == ["bets"]
        assert child.ask("casino.example")["verdict"] == "block"


def test_what_cannot_be_loaded_is_named_and_the_others_answer(home: Home) -> None:
    home.add_plugin("raise ImportError('no such library')", "away")
    with started(home, {"away": {}, "bets": {}}) as child:
        first = child.hear()
        assert first["plugins"] == ["bets"]
        assert "no such library" in first["failed"]["away"]
        assert child.ask("casino.example")["verdict"] == "block"


def test_settings_that_are_not_right_are_said(home: Home) -> None:
    with started(home, {"bets": {"word": 5}}) as child:
        first = child.hear()
        assert first["plugins"] == []
        assert "plugins.bets.word" in first["failed"][""]
        assert child.process.wait(10) == 0
