"""What other plugins want for single clients: real plugins, asked by the real core."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.api import DnsClient, Overlay, stamp
from appliance.testing import Home, Running
from appliance_plugins.dns_filter.profiles.clients import Who
from appliance_plugins.dns_filter.profiles.overlays import Merged, Overlays, checked, merge

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
RANK = ("staff", "guest", "pupil").index
BANS = '''
from appliance.api import *

class Plugin:
    """A plugin of the tests: bans one device."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        self.fails = False

    @hook
    async def dns_overlay(self, client):
        if self.fails:
            raise LookupError("no luck")
        return Overlay(everything=True, why="Internet ban") if client.address == "10.0.0.7" else None

    @hook
    def dns_verdict(self, name, type, profile):
        return None
'''
ODD = BANS.replace(
    'return Overlay(everything=True, why="Internet ban") if client.address == "10.0.0.7" else None', "return 5"
)


def test_the_strictest_wins_and_what_is_over_is_nothing() -> None:
    ban = Overlay(everything=True, until=NOW + timedelta(minutes=5), why="Ban")
    lesson = Overlay("guest", ("a.example",), ("a.example", "b.example", "c.example"), only=True, why="Lesson")
    other = Overlay("staff", allow=("b.example",), only=True, until=NOW + timedelta(minutes=9))
    merged, ends = merge([ban, lesson, other], RANK, stamp(NOW))
    assert merged == Merged("guest", frozenset({"a.example"}), frozenset({"b.example"}), True, True, ("Ban", "Lesson"))
    assert ends == stamp(NOW + timedelta(minutes=5))
    merged, ends = merge([ban, lesson, other], RANK, stamp(NOW + timedelta(minutes=5)))
    assert (merged.everything, ends) == (False, stamp(NOW + timedelta(minutes=9)))
    assert merge([ban], RANK, stamp(NOW + timedelta(minutes=5))) == (Merged(), None)


def test_an_overlay_is_looked_at_before_it_counts() -> None:
    assert checked(Overlay(block=("BAD.Example.",), why=" a \n b "), ()).block == ("bad.example",)
    for wrong in (Overlay(profile="nobody"), Overlay(block=("10.0.0.1",)), Overlay(allow=("com",))):
        with pytest.raises(ValueError, match=r"^it names a profile|^a domain in it"):
            checked(wrong, {"pupil"})


def test_who_does_not_answer_keeps_what_was_said_and_who_is_gone_does_not() -> None:
    found, who, other = Overlays(), Who("d", "p", "x"), Who("d", "q", "x")
    ban = Overlay(everything=True)
    assert found.take("10.0.0.7", {("bans", who): ban}, {("bans", who)})
    assert not found.take("10.0.0.7", {}, {("bans", who)})  # it failed
    assert found.of("10.0.0.7") == [ban]
    assert found.take("10.0.0.7", {}, {("bans", other)})  # somebody else is there now
    assert found.of("10.0.0.7") == []
    found.take("10.0.0.7", {("bans", who): ban}, {("bans", who)})
    assert found.take("10.0.0.7", {("bans", who): None}, {("bans", who)})
    found.take("10.0.0.7", {("bans", who): ban}, {("bans", who)})
    assert found.keep_only(["10.0.0.8"])
    assert found.of("10.0.0.7") == []


@pytest.fixture
async def running(appliance_home: Home, start_appliance: Any) -> Running:
    appliance_home.add_plugin(BANS, "bans")
    appliance_home.add_plugin(ODD, "odd")
    appliance_home.write("plugins: {dns_filter: {}, bans: {}, odd: {}}\n")
    return await start_appliance(appliance_home)  # type: ignore[no-any-return]


async def test_a_plugin_bans_a_device_and_one_that_fails_changes_nothing(running: Running) -> None:
    plugins = running.appliance.plugins
    plugin = plugins._registered["dns_filter"].plugin
    publishing = plugin.profiles.publishing
    publishing.clients.sightings = lambda: {"10.0.0.7": "device-1", "10.0.0.8": "device-2"}
    assert await plugins.dns_overlays(DnsClient("10.0.0.7", None, None)) == {
        "bans": Overlay(everything=True, why="Internet ban")
    }
    assert await publishing.ask_plugins()
    await publishing.publish()
    ((key, until),) = publishing.written["clients"]["10.0.0.7"]
    assert publishing.written["policies"][key]["only"] is True
    assert until is None
    assert publishing.written["clients"]["10.0.0.8"] == [["pupil", None]]
    plugins._registered["bans"].plugin.fails = True
    assert not await publishing.ask_plugins()
    assert publishing.overlays.of("10.0.0.7")
    states = {state.name: state.state for state in plugins.states()}
    assert states["odd"] == "on"  # it failed, alone
    await running.appliance.health.refresh()
    assert "dns_overlay" in (await running.get("/status")).text


async def test_plugins_with_verdicts_are_named_for_the_process_that_asks_them(running: Running) -> None:
    publishing = running.appliance.plugins._registered["dns_filter"].plugin.profiles.publishing
    await publishing.publish()
    assert all(part["verdicts"] for part in publishing.written["policies"].values())
    written = running.appliance.workers.folder("dns_filter.dns") / "verdicts.json"
    assert '"plugins":["bans","odd"]' in written.read_text()
