"""`appliance try`: what the detectors say of a text, without a browser, a store or a running appliance.

A detector is asked here as it is in the detection process: its answer is turned into plain data and checked, and it has
as long as there. It is asked twice, because the first time often makes what later ones use; the second is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import TypeVar

from appliance.app import build
from appliance.categories import HIDDEN_CATEGORIES
from appliance.clock import new_id, stamp
from appliance.config import Place
from appliance.containment import Containment, Note, PluginFailure
from appliance.errors import ApplianceError
from appliance.finding_rules import NoFinding, check_findings
from appliance.judging import plain_findings
from appliance.loading import load
from appliance.observations import SURFACES_BY_NAME, Detector, Finding, Observation

FIRST_SECONDS = 10.0
"""For the first question, in which a detector may make ready what it needs."""

T = TypeVar("T")


class _TooSlow(BaseException):
    """It took too long. No ``Exception``, so that no detector catches it by chance."""


class _Failed(Exception):
    """A detector failed: how, in words that follow "it"."""


@dataclass
class _Bench:
    """Every detector by ``plugin.name``, plugins that did not come so far and why, and how long an answer may take."""

    seconds: float
    detectors: dict[str, Detector] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


def try_text(options: argparse.Namespace, place: Place) -> int:
    """Print what each detector of each plugin in the settings finds, how, and how long it took.

    Returns 0 if every one of them that was asked has answered.
    """
    observation = Observation(new_id(), stamp(), SURFACES_BY_NAME[options.surface], _text(options.text))
    with TemporaryDirectory() as folder:
        containment = Containment(Note(Path(folder) / "note"), FIRST_SECONDS)
        bench = asyncio.run(_load(place, containment))
        answers = [
            _answer(name, detector, observation, bench.seconds, containment)
            for name, detector in _wanted(bench, options.detector).items()
        ]
    troubles = [f"{name}: is left out: {why}" for name, why in bench.failed.items() if options.detector in ("", name)]
    print("\n".join([*troubles, *(line for lines, _ in answers for line in lines)]))
    return 0 if not troubles and all(good for _, good in answers) else 1


def _text(typed: str) -> str:
    """The text itself, or what comes through standard input, without the line end that ``echo`` adds."""
    if typed != "-":
        return typed
    try:
        return sys.stdin.buffer.read().decode().removesuffix("\n")
    except UnicodeDecodeError as error:
        raise ApplianceError(f"Byte {error.start + 1} of the text is no UTF-8.", "Give the text in UTF-8.") from None


async def _load(place: Place, containment: Containment) -> _Bench:
    """The detectors as the detection process makes them, without what pages have set."""
    loaded = await load(place, use_store=False)
    bench = _Bench(loaded.config.settings.detection.judge_seconds)
    bench.failed |= {name: trouble.reason for name, trouble in loaded.troubles.items()}
    appliance = build(loaded.config, loaded.found, containment)
    for plugin in loaded.config.plugins:
        if plugin in bench.failed:
            continue
        make = partial(appliance.plugins.load_detectors, plugin, appliance)
        try:
            detectors = containment.call(plugin, "being loaded", make)
        except ApplianceError as failure:
            bench.failed[plugin] = str(failure)
        else:
            bench.detectors |= {f"{plugin}.{detector.name}": detector for detector in detectors}
    return bench


def _wanted(bench: _Bench, name: str) -> Mapping[str, Detector]:
    """Those that are to be asked. Raises ``ApplianceError`` if there is none."""
    found = {key: one for key, one in bench.detectors.items() if name in ("", key, key.partition(".")[0])}
    if not found and name.partition(".")[0] not in bench.failed:
        known = ", ".join(bench.detectors) or "none; name a plugin with detectors under plugins: in the settings file"
        raise ApplianceError(f"There is no detector {name!r}." if name else "There is no detector.", f"Known: {known}.")
    return found


def _answer(
    name: str, detector: Detector, observation: Observation, seconds: float, containment: Containment
) -> tuple[Sequence[str], bool]:
    """The lines to print, and whether the detector has answered."""
    if observation.surface not in detector.surfaces:
        return [f"{name}: does not look at this ({observation.surface.label})"], True
    ask = partial(_ask, name, detector, observation, containment)
    try:
        _within(FIRST_SECONDS, ask)
        before = time.perf_counter()
        findings = _within(seconds, ask)
    except _Failed as failure:
        return [f"{name}: failed: it {failure}"], False
    milliseconds = (time.perf_counter() - before) * 1000
    count = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}"
    told = [line for finding in findings for line in _told(finding, observation.text)]
    return [f"{name}: {count} in {milliseconds:.2f} ms", *told], True


def _ask(name: str, detector: Detector, observation: Observation, containment: Containment) -> Sequence[Finding]:
    try:
        answer = containment.call(name.partition(".")[0], name, partial(plain_findings, detector, observation))
        return check_findings(answer, observation, name)
    except PluginFailure as failure:
        raise _Failed(f"{failure.doing} {failure.reason}\n{failure.trace}".rstrip()) from None
    except NoFinding as nonsense:
        raise _Failed(str(nonsense)) from None


def _within(seconds: float, ask: Callable[[], T]) -> T:
    """Ask, but not for longer than this; a regular expression is stopped too. Raises ``_Failed``."""
    with _alarm(seconds):
        try:
            return ask()
        except _TooSlow:
            raise _Failed(f"did not come to an end within {seconds:g} seconds") from None


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(_number: int, _frame: FrameType | None) -> None:
        raise _TooSlow

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _told(finding: Finding, text: str) -> Iterator[str]:
    written, looked_for = _apart(text[finding.start : finding.end]), _apart(finding.phrase)
    if finding.category in HIDDEN_CATEGORIES:
        yield f"  {finding.severity.label}: {finding.policy} ({finding.category}), a term that is shown nowhere"
        yield f"    “{written}” at {finding.start} to {finding.end}, found {finding.found}"
        return
    yield f"  {finding.severity.label}: {finding.policy} ({finding.category}), term {finding.term}"
    yield f"    “{written}” at {finding.start} to {finding.end}, looked for as “{looked_for}”"
    yield f"    found {finding.found}"
    for step in finding.steps:
        yield f"    {step}"
    if finding.why_severity:
        yield f"    {finding.why_severity}"
    if finding.tried:
        yield f"    exceptions that did not apply: {', '.join(finding.tried)}"


def _apart(text: str) -> str:
    """A text that a terminal shows by itself, so that Arabic or Hebrew does not turn around what stands beside it."""
    return f"\u2068{text}\u2069"
