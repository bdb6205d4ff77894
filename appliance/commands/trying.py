"""`appliance try`: what the detectors say of a text, without a browser, a store or a running appliance."""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from appliance.app import build
from appliance.clock import new_id, stamp
from appliance.config import Place
from appliance.containment import Containment, Note, PluginFailure
from appliance.errors import ApplianceError
from appliance.loading import load
from appliance.observations import Detector, Finding, Observation, Surface

SECONDS = 10.0
"""How long a detector may take; here nothing ends it, but a failure is said."""


def try_text(options: argparse.Namespace, place: Place) -> int:
    """Print what each detector of each plugin in the settings finds, how, and how long it took."""
    text = sys.stdin.read() if options.text == "-" else options.text
    with TemporaryDirectory() as folder:
        containment = Containment(Note(Path(folder) / "note"), SECONDS)
        detectors = asyncio.run(_detectors(place, containment))
        wanted = _wanted(detectors, options.detector)
        observation = Observation(new_id(), stamp(), Surface(options.surface), text)
        for name, detector in wanted.items():
            print("\n".join(_asked(name, detector, observation, containment)))
    return 0


async def _detectors(place: Place, containment: Containment) -> Mapping[str, Detector]:
    """By ``plugin.name``, as the detection process makes them, without what pages have set."""
    loaded = await load(place, use_store=False)
    appliance = build(loaded.config, loaded.found, containment)
    found: dict[str, Detector] = {}
    for plugin in loaded.config.plugins:
        make = partial(appliance.plugins.load_detectors, plugin, appliance)
        for detector in containment.call(plugin, "being loaded", make):
            found[f"{plugin}.{detector.name}"] = detector
    return found


def _wanted(detectors: Mapping[str, Detector], name: str) -> Mapping[str, Detector]:
    found = {key: detector for key, detector in detectors.items() if not name or name in (key, key.partition(".")[0])}
    if not found:
        known = ", ".join(detectors) or "none: name a plugin with detectors under plugins: in the settings"
        raise ApplianceError(f"There is no detector {name!r}." if name else "There is no detector.", f"Known: {known}.")
    return found


def _asked(name: str, detector: Detector, observation: Observation, containment: Containment) -> Iterator[str]:
    if observation.surface not in detector.surfaces:
        yield f"{name}: does not look at {observation.surface.label}"
        return
    plugin = name.partition(".")[0]
    containment.call(plugin, name, lambda: detector.detect(observation))  # the first call may make what later ones use
    before = time.perf_counter()
    try:
        findings: Sequence[Finding] = containment.call(plugin, name, lambda: detector.detect(observation))
    except PluginFailure as failure:
        yield f"{name}: failed: it {failure.doing} {failure.reason}"
        return
    milliseconds = (time.perf_counter() - before) * 1000
    yield f"{name}: {len(findings)} finding{'' if len(findings) == 1 else 's'} in {milliseconds:.2f} ms"
    for finding in findings:
        yield from _told(finding, observation.text)


def _told(finding: Finding, text: str) -> Iterator[str]:
    written = text[finding.start : finding.end]
    yield f"  {finding.severity.label}: {finding.policy} ({finding.category}), term {finding.term}"
    yield f"    “{written}” at {finding.start}-{finding.end}, looked for as “{finding.phrase}”"
    yield f"    found {finding.found}"
    for step in finding.steps:
        yield f"    {step}"
    if finding.why_severity:
        yield f"    {finding.why_severity}"
    if finding.tried:
        yield f"    exceptions that did not apply: {', '.join(finding.tried)}"
