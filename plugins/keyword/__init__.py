"""Keyword policies: words and phrases that are looked for in what pupils write and read on school devices."""

from __future__ import annotations

from typing import Any

from appliance.api import Appliance, Detector, EndpointDevice, Menu, Page, Permission, Surface, hook

from .judge import Judge
from .settings import Settings as KeywordSettings
from .views import Views


class Plugin:
    """Looks for the words and phrases of policies in what pupils write and read."""

    title = "Keyword policies"
    Settings = KeywordSettings

    def __init__(self, appliance: Appliance, settings: KeywordSettings) -> None:
        self.judge = Judge(settings.policies, appliance.config.settings.detection.test_phrase)
        self.views = Views(settings.policies, appliance.config.place.resolve(settings.policies_dir))

    @hook
    def register_pages(self) -> list[Page]:
        return [
            Page("staff", "GET", "/keyword", self.views.policies, Permission.SEE_CAPTURES),
            Page("staff", "GET", "/keyword/policies/{name}", self.views.policy, Permission.SEE_CAPTURES),
        ]

    @hook
    def register_panels(self) -> list[Menu]:
        return [Menu("Policies", "/keyword", Permission.SEE_CAPTURES, order=40)]

    @hook
    def register_detectors(self) -> list[Detector]:
        return [Detector("phrases", frozenset(Surface), self.judge.detect)]

    @hook
    async def endpoint_policy(self, device: EndpointDevice) -> dict[str, Any]:
        return self.judge.endpoint_policy(device.monitored)
