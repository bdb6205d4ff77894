"""Findings are weighed by who it was, where and when: a plugin decides about its own, and a bad one about nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from appliance import weighing
from appliance.clock import new_id
from appliance.hookspecs import State
from appliance.observations import Finding, Observation, Severity, Surface
from appliance.people.devices import DeviceDetails
from appliance.people.directory import Details
from appliance.testing import Home, Running

Start = Callable[[Home], Awaitable[Running]]

PLUGIN = '''
import asyncio
from dataclasses import replace

from appliance.api import Finding, Section, Severity, hook


class Plugin:
    """Weighs what it is given."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        self.asked = []

    @hook
    async def weigh_findings(self, subject, observation, findings):
        self.asked.append((subject, observation, findings))
        how = observation.text.split()[0]
        if how == "drop":
            return []
        if how == "lower":
            return [replace(one, severity=Severity.MINOR, alert=False) for one in findings]
        if how == "raise":
            raise ValueError(observation.text)
        if how == "hang":
            await asyncio.sleep(60)
        return {
            "nothing": None,
            "text": "hello",
            "objects": [object()],
            "more": [*findings, *findings],
            "others": [replace(one, detector="other.word") for one in findings],
            "place": [replace(one, end=10_000) for one in findings],
            "test": [replace(one, is_test=True) for one in findings],
            "odd": [replace(one, phrase=b"bytes") for one in findings],
        }.get(how, findings)
'''
BAD = ("raise", "nothing", "text", "objects", "more", "others", "place", "test", "odd")
FOUND = Finding("A policy", "1", "t", "a phrase", "drugs", Severity.SEVERE, "Words.", 0, 1, detector="scales.word")


def seen(text: str) -> Observation:
    return Observation(new_id(), "2026-11-24T10:00:00.000000Z", Surface.TYPED, text, host="chat.example")


@pytest.fixture
async def running(appliance_home: Home, start_appliance: Start) -> Running:
    appliance_home.add_plugin(PLUGIN, "scales")
    appliance_home.add_plugin(PLUGIN, "other")
    appliance_home.trust_plugins()
    appliance_home.write("plugins: {scales: {}, other: {}}\n")
    return await start_appliance(appliance_home)


async def weighed(running: Running, text: str, *findings: Finding) -> tuple[Finding, ...]:
    given = findings or (FOUND,)
    return await running.appliance.weighing.weigh(seen(text), given, person=None, device=None)


async def test_a_plugin_hears_who_it_was_where_and_when(running: Running) -> None:
    appliance = running.appliance
    lead = await running.as_role("lead")
    ada = await appliance.directory.add(lead.actor, Details("pupil", "Ada Okafor"))
    laptop = await appliance.directory.devices.add(lead.actor, DeviceDetails("Laptop 7"))
    form = await appliance.directory.groups.make(lead.actor, "form", "9 Blue")
    room = await appliance.directory.groups.make(lead.actor, "room", "Library")
    await appliance.directory.groups.add_people(lead.actor, form, [ada])
    await appliance.directory.groups.add_devices(lead.actor, room, [laptop])
    one = seen("keep this")
    found = await appliance.weighing.weigh(one, [FOUND], person=ada, device=laptop, address="10.0.0.7")
    assert found == (FOUND,)
    ((subject, observation, findings),) = appliance.plugins._registered["scales"].plugin.asked
    assert (subject.person, subject.device, subject.groups) == (ada, laptop, {form, room})
    assert (subject.address, subject.at.isoformat()) == ("10.0.0.7", "2026-11-24T10:00:00+00:00")
    assert (observation, findings) == (one, (FOUND,))
    assert appliance.plugins._registered["other"].plugin.asked == [], "nothing of its own was found"


async def test_it_drops_and_changes_its_own_findings_alone(running: Running) -> None:
    others = replace(FOUND, detector="third.word")
    assert await weighed(running, "drop it", FOUND) == ()
    assert await weighed(running, "drop it", FOUND, others) == (others,)
    (lowered,) = await weighed(running, "lower it")
    assert (lowered.severity, lowered.alert, lowered.detector) == (Severity.MINOR, False, "scales.word")
    assert await running.appliance.weighing.checks() == []


async def test_the_test_phrase_and_what_nobody_could_judge_are_never_dropped(running: Running) -> None:
    safe = (replace(FOUND, is_test=True), replace(FOUND, category="unjudged"))
    assert await weighed(running, "drop it", FOUND, *safe) == safe


@pytest.mark.parametrize("how", BAD)
async def test_a_plugin_that_fails_changes_nothing_and_the_check_is_red(
    running: Running, caplog: pytest.LogCaptureFixture, how: str
) -> None:
    assert await weighed(running, f"{how} Mia's secret") == (FOUND,)
    (check,) = await running.appliance.weighing.checks()
    assert (check.name, check.state, check.alarm) == ("Weighing of scales", State.BROKEN, True)
    told = [one.words for one in await running.appliance.plugins.checks()]
    assert "Mia" not in caplog.text + check.words + "".join(told)
    assert await weighed(running, "drop it") == (), "it is asked the next time as usual"


async def test_a_plugin_that_is_slow_changes_nothing(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "WEIGH_SECONDS", 0.1)
    assert await weighed(running, "hang") == (FOUND,)
    (check,) = await running.appliance.weighing.checks()
    assert "did not come back within 0.1 seconds" in check.words


async def test_a_failure_is_forgotten_after_a_while(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    await weighed(running, "raise")
    later = running.appliance.weighing._clock() + weighing.RED_SECONDS
    monkeypatch.setattr(running.appliance.weighing, "_clock", lambda: later)
    assert await running.appliance.weighing.checks() == []
