"""Commands that ask the running appliance, and what all commands need to find it."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from appliance.bench.sentences import read_sentences
from appliance.command_socket import Reply, ask
from appliance.config import ConfigError, Place, Settings, Source, check, read_source
from appliance.plugin_finder import Tool, find_plugins, find_tool, tools_of


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
    """The commands of plugins: those that need no running appliance, and those of the one that runs."""
    print(_told(tools_of(find_plugins(place.drop_in_dir))))
    return tell(asyncio.run(ask(core_settings(place).storage.run_dir, "plugin commands")))


def of_plugin(options: argparse.Namespace, place: Place) -> int:
    """A command of a plugin: one of its tools, which run here, or one that runs in the appliance."""
    plugins = find_plugins(place.drop_in_dir)
    tool = find_tool(options.words, plugins)
    if tool is not None:
        print(tool.run(options.words))
        return 0
    near = {path: one for path, one in tools_of(plugins).items() if path[0] == options.words[0]}
    if near and _asks_what_there_is(options.words, near):
        print(f"{_told(near)}\n\nWhat else begins with “{options.words[0]}”, `appliance commands` says while it runs.")
        return 0
    reply = asyncio.run(ask(core_settings(place).storage.run_dir, "plugin command", words=options.words))
    code = tell(reply)
    if reply is None and near:
        print(_told(near), file=sys.stderr)
    return code


def _asks_what_there_is(words: Sequence[str], tools: Mapping[tuple[str, ...], Tool]) -> bool:
    """Whether somebody typed the beginning of tools and no more, or asked for help with it."""
    typed = tuple(word for word in words if word not in ("-h", "--help"))
    return any(path[: len(typed)] == typed for path in tools)


def _told(tools: Mapping[tuple[str, ...], Tool]) -> str:
    """A line for each tool and one for what it does, as ``appliance commands`` tells of others."""
    lines = [f"appliance {' '.join(path)}\n    {tool.words}" for path, tool in tools.items()]
    return "\n".join(["These need no running appliance; --help behind one says more:", *lines])


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
