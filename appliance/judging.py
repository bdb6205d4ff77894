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
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from appliance.app import build
from appliance.child_pipes import bound_this_process, lines_of, own_pipes, say
from appliance.config import Config, Place
from appliance.containment import Containment, Note, PluginFailure
from appliance.errors import ApplianceError
from appliance.observations import Detector, Finding, Observation
from appliance.plugin_finder import Found, find_plugins, import_plugin


def serve(place: Place) -> None:
    """Answer until the pipe is closed."""
    bound_this_process()
    questions, answers = own_pipes()
    tell, lines = partial(say, answers), lines_of(questions)
    containment = _containment()
    detectors, failed = asyncio.run(_detectors(place, bytes(next(lines)), containment, tell))
    surfaces = {name: sorted(detector.surfaces) for name, detector in detectors.items()}
    tell({"detectors": surfaces, "failed": failed})
    for line in lines:
        tell(_answer(json.loads(line), detectors, containment))


def _containment() -> Containment:
    with TemporaryDirectory() as folder:  # the note is mapped; nobody needs its file
        return Containment(Note(Path(folder) / "note"), seconds=1.0)


# Making the plugins


async def _detectors(
    place: Place, packed: bytes, containment: Containment, tell: Callable[[Mapping[str, Any]], None]
) -> tuple[dict[str, Detector], dict[str, str]]:
    """Every detector by ``plugin.name``, and the plugins that failed, with the reason."""
    config: Config
    read: dict[str, Any]
    plugins: dict[str, bytes]
    config, read, plugins = pickle.loads(base64.b64decode(packed))  # noqa: S301 - from the main process, by its pipe
    found = find_plugins(place.drop_in_dir)
    settings: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for name in plugins:
        tell({"loading": name})
        with _noting(name, failed):
            unpack = partial(_settings, found[name], place, plugins[name])
            settings[name] = containment.call(name, "being loaded", unpack)
    tell({"loading": ""})
    appliance = build(replace(config, plugins=settings), found, containment, **read)
    detectors: dict[str, Detector] = {}
    for name in settings:
        tell({"loading": name})
        with _noting(name, failed):
            load = partial(appliance.plugins.load_detectors, name, appliance)
            for detector in containment.call(name, "being loaded", load):
                detectors[f"{name}.{detector.name}"] = detector
    return detectors, failed


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
    detect = partial(_findings, detectors[name], observation)
    try:
        findings = containment.call(name.partition(".")[0], name, detect)
    except (PluginFailure, ApplianceError) as failure:
        return {"id": question["id"], "failed": _how(failure.__cause__ or failure)}
    return {"id": question["id"], "findings": findings}


def _findings(detector: Detector, observation: Observation) -> list[Any]:
    """Plain data. What is no list of findings is the detector's failure, like anything that it raises."""
    findings = [_as_finding(item).as_json() for item in detector.detect(observation)]
    return list(json.loads(json.dumps(findings)))


def _as_finding(item: object) -> Finding:
    if not isinstance(item, Finding):
        raise TypeError(f"{type(item).__name__} is no finding")
    return item


def _how(error: BaseException) -> str:
    """What went wrong and where, without the message: it may hold what a child wrote."""
    place = error.__traceback__
    while place is not None and place.tb_next is not None:
        place = place.tb_next
    where = "" if place is None else f" in {Path(place.tb_frame.f_code.co_filename).name}, line {place.tb_lineno}"
    return f"raised {type(error).__name__}{where}"
