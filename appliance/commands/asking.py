"""Commands that ask the running appliance, and what all commands need to find it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import asdict
from typing import Any

from appliance.bench.sentences import read_sentences
from appliance.command_socket import Reply, ask
from appliance.config import ConfigError, Place, Settings, Source, check, read_source
from appliance.plugin_finder import find_plugins, find_tool


def core_settings(place: Place) -> Settings:
    """The core's settings; a worker must come up even while the file has mistakes."""
    try:
        return check(read_source(place), {}).settings
    except ConfigError:
        return check(Source(place, {}), {}).settings


def tell(reply: Reply | None) -> int:
    """Print what the appliance answered; returns the exit code."""
    if reply is None:
        print("The appliance does not run.", file=sys.stderr)
        return 1
    print(reply.words)
    return 0 if reply.good else 1


def status(_options: argparse.Namespace, place: Place) -> int:
    """Every check of the running appliance."""
    return tell(asyncio.run(ask(core_settings(place).storage.run_dir, "status")))


def commands(_options: argparse.Namespace, place: Place) -> int:
    """The commands of plugins."""
    return tell(asyncio.run(ask(core_settings(place).storage.run_dir, "plugin commands")))


def of_plugin(options: argparse.Namespace, place: Place) -> int:
    """A command of a plugin: one of its tools, which run here, or one that runs in the appliance."""
    tool = find_tool(options.words, find_plugins(place.drop_in_dir))
    if tool is not None:
        print(tool(options.words))
        return 0
    return tell(asyncio.run(ask(core_settings(place).storage.run_dir, "plugin command", words=options.words)))


def bench(options: argparse.Namespace, place: Place) -> int:
    """The test bench, with its own sentences or with somebody's own, which the running appliance does not keep."""
    details: dict[str, Any] = {"detector": options.detector}
    if options.sentences is not None:
        details["sentences"] = [asdict(sentence) for sentence in read_sentences(options.sentences)]
    return tell(asyncio.run(ask(core_settings(place).storage.run_dir, "bench", **details)))


def reload(_options: argparse.Namespace, place: Place) -> int:
    """Apply the settings file again."""
    return tell(asyncio.run(ask(core_settings(place).storage.run_dir, "reload")))


def setup_link(options: argparse.Namespace, place: Place) -> int:
    """A one-time link for setting the box up."""
    return tell(asyncio.run(ask(core_settings(place).storage.run_dir, "setup-link", again=options.again)))
