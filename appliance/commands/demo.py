"""`appliance demo`: the trial with an invented school."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from pathlib import Path

from appliance.config import CHECKOUT, Place
from appliance.demo.settings import LISTS, SETTINGS
from appliance.errors import CannotStart
from appliance.trial import Supervisor

FOLDER = Path("var") / "demo"
FILE = "appliance.yaml"


def demo(options: argparse.Namespace, place: Place) -> int:
    """Supervise the demonstration until Ctrl-C. It lives in a folder of its own."""
    return asyncio.run(Supervisor(_place(options, place), _say, main=("demo-run",)).run())


def _place(options: argparse.Namespace, place: Place) -> Place:
    """The demonstration's own settings, written at its first start, with the lists that it names beside them."""
    if options.folder is None and not (CHECKOUT / "pyproject.toml").is_file():
        raise CannotStart("This is no checkout.", "Give a folder for the demonstration: appliance demo FOLDER")
    folder = (options.folder or CHECKOUT / FOLDER).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / FILE
    if not settings.exists():
        for supplied in ("help_seeking.yaml", "categories.yaml"):
            shutil.copy(place.config_file.parent / supplied, folder)
        shutil.copytree(place.config_file.parent / "lists", folder / "lists", dirs_exist_ok=True)
        settings.write_text(SETTINGS, encoding="utf-8")
    (folder / "lists").mkdir(exist_ok=True)
    for name, text in LISTS.items():
        if not (folder / "lists" / name).exists():
            (folder / "lists" / name).write_text(text, encoding="utf-8")
    return Place(settings, folder / "data")


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)
