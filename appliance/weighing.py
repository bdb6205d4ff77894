"""Findings are weighed by who it was, where and when, before anything is kept: each plugin weighs those of its own.

The detection process knows nobody, so it finds by all that anybody looks for. What a plugin drops or changes here is
its own business; whatever goes wrong leaves its findings as they are, because a child may be at risk.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial

from appliance.assignments import Memberships
from appliance.categories import UNJUDGED
from appliance.containment import PluginFailure
from appliance.errors import PluginError, PluginOff
from appliance.finding_rules import NoFinding, check_findings
from appliance.hookspecs import Check, Circumstances, State
from appliance.observations import Finding, Observation
from appliance.plugins import Plugins

HOOK = "weigh_findings"
WEIGH_SECONDS = 1.0
"""Observations wait for it: a plugin answers from memory."""
RED_SECONDS = 600.0
"""How long a failure is shown."""


class Weighing:
    """``weigh`` between judging and keeping."""

    def __init__(self, plugins: Plugins, memberships: Memberships, clock: Callable[[], float] = time.monotonic) -> None:
        self._plugins = plugins
        self._memberships = memberships
        self._clock = clock
        self._failed: dict[str, tuple[float, str]] = {}

    async def weigh(
        self,
        observation: Observation,
        findings: Sequence[Finding],
        *,
        person: str | None,
        device: str | None,
        address: str = "",
    ) -> tuple[Finding, ...]:
        """What remains of ``findings``. Never raises for what a plugin does."""
        subject = Circumstances(
            person, device, self._groups(person, device), address, datetime.fromisoformat(observation.at)
        )
        remain = tuple(findings)
        for plugin in self._plugins.with_hook(HOOK):
            own = tuple(one for one in remain if _is_weighed_by(plugin, one))
            if own:
                others = tuple(one for one in remain if not _is_weighed_by(plugin, one))
                remain = (*others, *await self._weighed(plugin, subject, observation, own))
        return remain

    def _groups(self, person: str | None, device: str | None) -> frozenset[str]:
        of_person = self._memberships.groups_of_person(person) if person is not None else ()
        of_device = self._memberships.groups_of_device(device) if device is not None else ()
        return frozenset({*of_person, *of_device})

    async def _weighed(
        self, plugin: str, subject: Circumstances, observation: Observation, findings: tuple[Finding, ...]
    ) -> Sequence[Finding]:
        ask = partial(self._plugins.weigh, plugin, subject, observation, findings)
        try:
            answer = await self._plugins.run(plugin, HOOK, ask, WEIGH_SECONDS, is_private=True)
            return _checked(answer, observation, findings)
        except PluginOff:
            return findings
        except (PluginError, NoFinding) as error:
            why = error.reason if isinstance(error, PluginFailure) else str(error)
            self._failed[plugin] = (self._clock(), why)
            return findings

    async def checks(self) -> list[Check]:
        """Whether a plugin has failed of late to weigh what its detectors found; nothing to say if none has."""
        return [
            Check(
                f"Weighing of {plugin}",
                State.BROKEN,
                f"It could not say for whom its findings count, so all of them count: it {why}.",
                f"Tell the plugin's author. `appliance plugin reset {plugin}` tries it again.",
                alarm=True,
            )
            for plugin, (since, why) in self._failed.items()
            if self._clock() - since < RED_SECONDS
        ]


def _is_weighed_by(plugin: str, finding: Finding) -> bool:
    """The test phrase must always come through, and what nobody could judge is for a person to read."""
    is_own = finding.detector.partition(".")[0] == plugin
    return is_own and not finding.is_test and finding.category != UNJUDGED


def _checked(answer: object, observation: Observation, given: Sequence[Finding]) -> Sequence[Finding]:
    """What a plugin answered, held to the rules for findings; whose they are stays as it was. Raises ``NoFinding``."""
    if not isinstance(answer, list | tuple) or len(answer) > len(given):
        raise NoFinding("returned no list of at most as many findings as it was given")
    remain: list[Finding] = []
    detectors = {one.detector for one in given}
    for one in answer:
        if not isinstance(one, Finding) or one.detector not in detectors:
            raise NoFinding("returned something that it was not given")
        try:
            plain = json.loads(json.dumps(one.as_json()))
        except (TypeError, ValueError):
            raise NoFinding("returned a finding that holds something odd") from None
        remain += check_findings([plain], observation, one.detector)
    if any(one.is_test or one.category == UNJUDGED for one in remain):
        raise NoFinding("made a test of something real")
    return remain
