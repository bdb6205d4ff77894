"""An example of a detector: notices that somebody writes of a bet with money."""

from __future__ import annotations

import re
from typing import Any

from appliance.api import (
    Appliance,
    Detector,
    EndpointDevice,
    Finding,
    Observation,
    Section,
    Severity,
    Surface,
    Verdict,
    hook,
    setting,
)

BET = re.compile(r"\b(?:bet|stake|wager)\w{0,4}\s{1,3}[£$€]?(\d{1,6})", re.IGNORECASE)

CASINO = re.compile(r"(?:^|[.-])(?:casino|poker)[.-]")


class Plugin:
    """Notices bets with money in what monitored pupils write."""

    title = "Gambling"

    class Settings(Section):
        """Gambling: what counts as a bet."""

        least: int = setting(5, "The smallest bet that is noticed.", unit="pounds", ge=1, le=1000)

    def __init__(self, appliance: Appliance, settings: Settings) -> None:
        self.settings = settings

    @hook
    def register_detectors(self) -> list[Detector]:
        return [Detector("bets", frozenset({Surface.TYPED, Surface.SEARCH}), self.detect)]

    def detect(self, observation: Observation) -> list[Finding]:
        """Every bet in what was written."""
        return [
            Finding(
                policy="Gambling",
                version="1",
                term="bet",
                phrase="a bet with money",
                category="gambling",
                severity=Severity.MINOR,
                definition="The pupil writes of a bet. It may be a game between friends, or gambling with real money.",
                start=found.start(),
                end=found.end(),
                found="the word and an amount",
            )
            for found in BET.finditer(observation.text)
            if int(found[1]) >= self.settings.least
        ]

    @hook
    def dns_verdict(self, name: str, type: str, profile: str) -> Verdict | None:  # noqa: A002 - named by the core
        return Verdict("A gambling site") if profile == "pupil" and CASINO.search(name) else None

    @hook
    async def endpoint_policy(self, device: EndpointDevice) -> dict[str, Any]:
        return {"on": device.monitored}
