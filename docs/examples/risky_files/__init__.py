"""An example of a detector built from nothing: names of files that hide what they are."""

from __future__ import annotations

import re

from appliance.api import Appliance, Detector, Finding, Observation, Section, Severity, Surface, hook

PROGRAM = re.compile(r"\b[\w-]{1,80}\.(?:pdf|docx?|jpe?g|png|mp4)\.(?:exe|scr|bat|cmd|js|vbs)\b", re.IGNORECASE)


class Plugin:
    """Notices names of programs that pretend to be a document or a picture."""

    title = "Risky file names"

    class Settings(Section):
        """There is nothing to set."""

    def __init__(self, appliance: Appliance, settings: Settings) -> None:
        pass

    @hook
    def register_detectors(self) -> list[Detector]:
        return [Detector("names", frozenset({Surface.TYPED, Surface.SEARCH, Surface.ADDRESS}), detect)]


def detect(observation: Observation) -> list[Finding]:
    """Every such name in a text."""
    return [
        Finding(
            policy="Risky file names",
            version="1",
            term="program-in-disguise",
            phrase="a program that is named like a document",
            category="illegal",
            severity=Severity.MINOR,
            definition="Somebody passes on a program that looks like a document. It may be a prank, or malware.",
            start=found.start(),
            end=found.end(),
            found="two endings, the last of a program",
        )
        for found in PROGRAM.finditer(observation.text)
    ]
