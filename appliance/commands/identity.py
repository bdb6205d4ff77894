"""Commands about the identity file: what is in it, and a new box that takes the place of another one."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import sys
from pathlib import Path

from appliance.config import Place
from appliance.errors import Refused
from appliance.identity.file import Identity
from appliance.identity.restoring import describe, read_code_file, read_identity_file, restore


def restore_identity(options: argparse.Namespace, place: Place) -> int:
    """Give this new box what is in an identity file."""
    for line in asyncio.run(restore(_open_identity(options), place)):
        print(line)
    print("Start the appliance now. Devices that trusted the box before trust this one.")
    return 0


def show_identity(options: argparse.Namespace, _place: Place) -> int:
    """What is in an identity file, without secrets."""
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
