"""What a plugin registers, and the rules for it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from appliance.errors import PluginError
from appliance.events import Event
from appliance.hookspecs import Command, Data, Fact, HomeCard, Job, Menu, Page, Panel, Permission, Task, Worker
from appliance.observations import Detector, Surface
from appliance.schedule import check_job
from appliance.workers import check_worker

_WORD = re.compile(r"[a-z][a-z0-9-]{0,39}")
_DETECTOR_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(eq=False)
class Registered:
    """A plugin that was let in, and its answers to the ``register_*`` hooks."""

    name: str
    plugin: Any
    folder: Path
    module: str
    hooks: tuple[str, ...]
    pages: tuple[Page, ...] = ()
    panels: tuple[Panel, ...] = ()
    events: tuple[type[Event], ...] = ()
    listeners: Mapping[type[Event], Callable[[Any], Awaitable[None]]] = field(default_factory=dict)
    jobs: tuple[Job, ...] = ()
    workers: tuple[Worker, ...] = ()
    data: tuple[Data, ...] = ()
    detectors: tuple[Detector, ...] = ()
    commands: tuple[Command, ...] = ()
    begun: bool = False
    """Whether ``startup`` was called, so that ``shutdown`` must be."""


def check_registered(registered: Registered, known_events: Mapping[str, type[Event]]) -> None:
    """The rules for what a plugin registers. Raises ``PluginError``."""
    name = registered.name
    _all_are(registered.pages, Page, "register_pages")
    _all_are(registered.panels, Menu | HomeCard | Task | Fact, "register_panels")
    _all_are(registered.jobs, Job, "register_jobs")
    _all_are(registered.workers, Worker, "register_workers")
    _all_are(registered.data, Data, "register_data")
    _check_pages(name, registered.pages)
    _no_twice([job.name for job in registered.jobs], "job")
    for job in registered.jobs:
        check_job(name, job)
    _no_twice([worker.name for worker in registered.workers], "worker")
    for event in registered.events:
        if not (isinstance(event, type) and issubclass(event, Event)):
            raise PluginError(f"{event!r} is no event class.", "Make it a subclass of Event.")
    allowed = {*known_events.values(), *registered.events}
    for event, listener in registered.listeners.items():
        if event not in allowed:
            raise PluginError(f"It listens for {event!r}, which is neither the core's event nor its own.")
        if not asyncio.iscoroutinefunction(listener):
            raise PluginError(f"The listener for {event.__name__} must be written with `async def`.")
    for worker in registered.workers:
        check_worker(registered.module, worker)
    for data in registered.data:
        if not data.table.startswith(f"{name}_"):
            raise PluginError(f"The table {data.table} must be named {name}_*.")
    check_detectors(registered.detectors)
    check_commands(registered.commands)


def check_commands(commands: Sequence[Command]) -> None:
    """The rules for commands. Raises ``PluginError``."""
    _all_are(commands, Command, "register_commands")
    for command in commands:
        if not command.path or not all(_WORD.fullmatch(word) for word in command.path):
            raise PluginError(f"The command {' '.join(command.path)!r} needs words of lower-case letters and digits.")
        if not asyncio.iscoroutinefunction(command.run):
            raise PluginError(f"The command {' '.join(command.path)} must be written with `async def`.")
        if not all(_WORD.fullmatch(argument.name) for argument in command.arguments):
            raise PluginError(f"The arguments of {' '.join(command.path)} need names of lower-case letters.")
    _no_twice([command.path for command in commands], "command")


def _check_pages(name: str, pages: Sequence[Page]) -> None:
    for page in pages:
        if page.site != "elsewhere" and page.path != f"/{name}" and not page.path.startswith(f"/{name}/"):
            raise PluginError(f"The page {page.path} must lie under /{name}.")
        if not isinstance(page.permission, Permission):
            raise PluginError(f"The page {page.path} names no permission.", "Use one of Permission.")
        if page.site == "elsewhere" and page.permission is not Permission.PUBLIC:
            raise PluginError(f"The page {page.path} is elsewhere, where nobody signs in.", "Use Permission.PUBLIC.")
    _no_twice([(page.site, page.method, page.path) for page in pages], "page")


def check_detectors(detectors: Sequence[Detector]) -> None:
    """The rules for detectors. Raises ``PluginError``."""
    _all_are(detectors, Detector, "register_detectors")
    for detector in detectors:
        if not (isinstance(detector.name, str) and _DETECTOR_NAME.fullmatch(detector.name)):
            raise PluginError(f"The detector {detector.name!r} needs a name of lower-case letters, digits and _.")
        surfaces = detector.surfaces
        if not (isinstance(surfaces, frozenset) and surfaces and all(isinstance(item, Surface) for item in surfaces)):
            raise PluginError(f"The detector {detector.name} must name its surfaces.", "Use a frozenset of Surface.")
        if not callable(detector.detect) or asyncio.iscoroutinefunction(detector.detect):
            raise PluginError(f"The detector {detector.name} needs a function, written with `def`.")
        _check_data(detector)
    _no_twice([detector.name for detector in detectors], "detector")


def _check_data(detector: Detector) -> None:
    if (detector.data is None) != (detector.load is None):
        raise PluginError(f"The detector {detector.name} has one of data and load.", "It needs both or neither.")
    if detector.data is not None and not asyncio.iscoroutinefunction(detector.data):
        raise PluginError(f"The data of the detector {detector.name} must be written with `async def`.")
    if detector.load is not None and (not callable(detector.load) or asyncio.iscoroutinefunction(detector.load)):
        raise PluginError(f"The load of the detector {detector.name} must be written with `def`.")


def _all_are(items: Sequence[Any], wanted: Any, hook: str) -> None:
    for item in items:
        if not isinstance(item, wanted):
            raise PluginError(f"{hook} returned {item!r}.", f"It must return {wanted}.")


def _no_twice(items: Sequence[Any], what: str) -> None:
    for item in items:
        if items.count(item) > 1:
            raise PluginError(f"The {what} {item} is registered twice.")
