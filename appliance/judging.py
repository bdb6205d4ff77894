"""The child's side of ``detection``: make the plugins, start nothing, and answer one question after the other.

It gets the settings through its pipe and reads no settings file: what is judged by is what the main process runs with,
even if files were changed since. It opens no store and no network. Whatever a detector prints goes nowhere.
"""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from appliance.app import build
from appliance.child_pipes import bound_this_process, lines_of, own_pipes, say
from appliance.config import Config, Place
from appliance.containment import Containment, Note, PluginFailure, raised_where
from appliance.errors import ApplianceError
from appliance.memory import settle
from appliance.observations import Detector, Finding, Observation
from appliance.plugin_finder import Found, find_plugins, import_plugin


def serve(place: Place) -> None:
    """Answer until the pipe is closed."""
    bound_this_process()
    questions, answers = own_pipes()
    tell, lines = partial(say, answers), lines_of(questions)
    containment = _containment()
    handed = _Handed(*pickle.loads(base64.b64decode(bytes(next(lines)))))  # noqa: S301 - from the main process
    made = asyncio.run(_make(place, handed, containment, tell))
    settle()
    surfaces = {name: sorted(detector.surfaces) for name, detector in made.detectors.items()}
    tell({"detectors": surfaces, "failed": made.failed, "refused": made.refused})
    for line in lines:
        tell(_answer(json.loads(line), made.detectors, containment))


def _containment() -> Containment:
    with TemporaryDirectory() as folder:  # the note is mapped; nobody needs its file
        return Containment(Note(Path(folder) / "note"), seconds=1.0)


# Making the plugins


@dataclass(frozen=True, slots=True)
class _Handed:
    """What the main process hands over.

    ``read``: what it has read of files. ``plugins``: the settings of each, pickled. ``data``: what detectors are to
    ``load``, as JSON, by ``plugin.name``.
    """

    config: Config
    read: Mapping[str, Any]
    plugins: Mapping[str, bytes]
    data: Mapping[str, str]


@dataclass
class _Made:
    """Every detector by ``plugin.name``; plugins that failed, and those that refused what pages have set, with why."""

    detectors: dict[str, Detector] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


async def _make(
    place: Place, handed: _Handed, containment: Containment, tell: Callable[[Mapping[str, Any]], None]
) -> _Made:
    found = find_plugins(place.drop_in_dir)
    settings: dict[str, Any] = {}
    made = _Made()
    for name, packed in handed.plugins.items():
        tell({"loading": name})
        with _noting(name, made.failed):
            unpack = partial(_settings, found[name], place, packed)
            settings[name] = containment.call(name, "being loaded", unpack)
    tell({"loading": ""})
    appliance = build(replace(handed.config, plugins=settings), found, containment, **handed.read)
    for name in settings:
        tell({"loading": name})
        with _noting(name, made.failed):
            load = partial(appliance.plugins.load_detectors, name, appliance)
            detectors = {f"{name}.{one.name}": one for one in containment.call(name, "being loaded", load)}
            _hand_over(name, detectors, handed.data, containment, made)
    return made


def _hand_over(
    name: str, detectors: Mapping[str, Detector], data: Mapping[str, str], containment: Containment, made: _Made
) -> None:
    """Give a plugin's detectors what pages have set. If one does not take it, none of them is used."""
    try:
        for key, detector in detectors.items():
            if detector.load is not None:
                containment.call(name, key, partial(detector.load, json.loads(data[key])))
    except (PluginFailure, ApplianceError) as failure:
        made.refused[name] = f"It {raised_where(failure.__cause__ or failure)}."
    else:
        made.detectors.update(detectors)


def _settings(found: Found, place: Place, packed: bytes) -> Any:
    import_plugin(found, place.drop_in_dir)
    return pickle.loads(packed)  # noqa: S301 - as above


@contextmanager
def _noting(name: str, failed: dict[str, str]) -> Iterator[None]:
    try:
        yield
    except PluginFailure as failure:
        failed[name] = f"The plugin {failure.doing} {failure.reason}"
    except ApplianceError as error:
        failed[name] = str(error)


# Answering


def _answer(question: Mapping[str, Any], detectors: Mapping[str, Detector], containment: Containment) -> dict[str, Any]:
    name = str(question["detector"])
    observation = Observation.of_json(question["observation"])
    detect = partial(plain_findings, detectors[name], observation)
    try:
        findings = containment.call(name.partition(".")[0], name, detect)
    except (PluginFailure, ApplianceError) as failure:
        return {"id": question["id"], "failed": raised_where(failure.__cause__ or failure)}
    return {"id": question["id"], "findings": findings}


def plain_findings(detector: Detector, observation: Observation) -> list[Any]:
    """Plain data. What is no list of findings is the detector's failure, like anything that it raises."""
    findings = [_as_finding(item).as_json() for item in detector.detect(observation)]
    return list(json.loads(json.dumps(findings)))


def _as_finding(item: object) -> Finding:
    if not isinstance(item, Finding):
        raise TypeError(f"{type(item).__name__} is no finding")
    return item
