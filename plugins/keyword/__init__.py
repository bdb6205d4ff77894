"""Keyword policies: words and phrases that are looked for in what pupils write and read on school devices."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from appliance.api import (
    HIDDEN_CATEGORIES,
    Appliance,
    Check,
    Circumstances,
    Command,
    Data,
    Detector,
    EndpointDevice,
    Event,
    Finding,
    Job,
    Menu,
    Observation,
    Page,
    Panel,
    Permission,
    Surface,
    bench_sentences,
    hook,
)

from .bundles.room import Bundles
from .bundles.running import Material
from .bundles.trial import notes
from .choices.decisions import EDIT
from .choices.room import Choices
from .detecting import Found, detect
from .innocence.names import SchoolNames
from .judge import Judge, test_policy
from .needles.room import Needles
from .needles.tables import PATH, tables_module
from .school import School
from .settings import Settings as KeywordSettings
from .views import Views

__all__ = ["Found", "Plugin", "detect"]


def _sentences() -> Sequence[str]:
    """What is tried in previews of a term: those that may be shown."""
    return [one.text for one in bench_sentences() if one.category not in HIDDEN_CATEGORIES]


class Plugin:
    """Looks for the words and phrases of policies in what pupils write and read."""

    title = "Keyword policies"
    Settings = KeywordSettings

    def __init__(self, appliance: Appliance, settings: KeywordSettings) -> None:
        self._appliance = appliance
        self._settings = settings
        self._test_phrase = appliance.config.settings.detection.test_phrase
        self.judge = Judge(settings.policies, self._test_phrase)
        self.trial: Judge | None = None
        self.bundles = Bundles(
            appliance, settings.bundle, settings.policies, self.school, bench_sentences, taken=self._own_names
        )
        self.choices = Choices(appliance, lambda: self.bundles.running.policies, _sentences, self.school)
        self.school_names = SchoolNames(appliance)
        self._names: Mapping[str, Any] | None = None
        self.needles = Needles(appliance, self.choices.levels, test_policy(self._test_phrase))
        self.choices.when_changed = self._policies_changed
        self.choices.when_levels_changed = self.needles.look_soon
        self.bundles.when_changed = self.choices.refresh
        self.views = Views(appliance, self.choices, appliance.config.place.resolve(settings.policies_dir))

    @hook
    async def startup(self) -> None:
        await self.choices.startup()
        await self.bundles.startup()

    @hook
    async def shutdown(self) -> None:
        await self.needles.stop()
        await self.bundles.shutdown()

    def _own_names(self) -> frozenset[str]:
        return frozenset(policy.name for policy in self.choices.store.kept.policies)

    async def school(self) -> School:
        """What the school adds to policies, as the detection process knows it."""
        names = self._names if self._names is not None else await self.school_names.data_for_detection()
        return self._school_of(await self.choices.data_for_detection(), names)

    def _school_of(self, choices: Mapping[str, Any], names: Mapping[str, Any]) -> School:
        return School(choices, names, self._settings.set_texts, self._test_phrase)

    def _policies_changed(self) -> None:
        self.judge = Judge(self.choices.library.policies, self._test_phrase)
        self.needles.take(self.choices.library.policies)
        self._appliance.detection.refresh_soon()

    @hook
    def register_pages(self) -> list[Page]:
        return [
            Page("staff", "GET", "/keyword", self.views.policies, Permission.SEE_CAPTURES),
            Page("staff", "GET", "/keyword/policies/{name}", self.views.policy, Permission.SEE_CAPTURES),
            Page("staff", "POST", "/keyword/policies/{name}/end", self.views.end_policy, EDIT),
            *self.choices.pages(),
            *self.bundles.pages(),
        ]

    @hook
    def register_panels(self) -> list[Panel]:
        return [
            Menu("Policies", "/keyword", Permission.SEE_CAPTURES, order=40),
            *self.choices.panels(),
            *self.bundles.panels(),
        ]

    @hook
    def register_jobs(self) -> list[Job]:
        return [*self.choices.jobs(), *self.bundles.jobs(), *self.school_names.jobs()]

    @hook
    def register_commands(self) -> list[Command]:
        return [*self.bundles.commands()]

    @hook
    def register_data(self) -> list[Data]:
        return [*self.choices.data(), *self.bundles.data()]

    @hook
    def register_listeners(self) -> Mapping[type[Event], Callable[[Any], Awaitable[None]]]:
        return {**self.choices.listeners(), **self.school_names.listeners()}

    @hook
    async def health(self) -> list[Check]:
        return [*await self.choices.health(), *await self.bundles.health()]

    @hook
    def register_detectors(self) -> list[Detector]:
        return [Detector("phrases", frozenset(Surface), self.detect, self.data_for_detection, self.load_for_detection)]

    def detect(self, observation: Observation) -> Sequence[Finding]:
        """By the policies in force. What a bundle on trial alone has found is noted, to be counted."""
        found = self.judge.detect(observation)
        if self.trial is None:
            return found
        on_trial = {one.term: one.category for one in self.trial.detect(observation) if not one.is_test}
        return [*found, *notes({one.term for one in found}, on_trial)]

    async def data_for_detection(self) -> dict[str, Any]:
        """What the detection process needs beside the files, as JSON."""
        self._names = await self.school_names.data_for_detection()
        return {
            "bundles": await asyncio.to_thread(self.bundles.material.as_json),
            "choices": await self.choices.data_for_detection(),
            "names": self._names,
        }

    def load_for_detection(self, data: Mapping[str, Any]) -> None:
        """In the detection process: the same policies as in the main process."""
        running = Material.of_json(data["bundles"]).over(self._settings.policies)
        school = self._school_of(data["choices"], data["names"])
        self.judge = school.judge(school.in_force(running.policies))
        self.trial = school.judge(school.in_force(running.trial)) if running.trial is not None else None
        for judge in filter(None, (self.judge, self.trial)):
            judge.make_ready()

    @hook
    async def weigh_findings(
        self, subject: Circumstances, observation: Observation, findings: Sequence[Finding]
    ) -> Sequence[Finding]:
        return await self.choices.weigh(subject, observation, self.bundles.weigh(findings))

    @hook
    async def endpoint_policy(self, device: EndpointDevice) -> Mapping[str, Any]:
        return await self.needles.of(device)

    @hook
    def browser_files(self) -> Mapping[str, bytes]:
        return {PATH: tables_module()}
