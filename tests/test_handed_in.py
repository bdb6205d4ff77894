"""Names that devices asked for, handed in by a plugin: judged, kept once, told; of nobody who is not monitored."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from accounts import no_store_is_left_open

from appliance import handed_in
from appliance.assignments import Target, TargetKind
from appliance.clock import now, stamp
from appliance.detection import DetectionAway
from appliance.handed_in import NameAsked
from appliance.observations import Finding, Severity
from appliance.people.devices import DeviceDetails
from appliance.people.directory import Details
from appliance.testing import HELP_SEEKING, Client, Home, Running, free_port, start_in_process

__all__ = ["no_store_is_left_open"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLUGIN = '''
"""Looks for knives in the names of sites."""

from appliance.api import Detector, Finding, Section, Severity, Surface, hook


def look(observation):
    place = observation.text.find("knife")
    if place < 0:
        return []
    weapons = "weapons"
    return [Finding("Weapons", "1", "knife", "knife", weapons, Severity.SEVERE, "A blade.", place, place + 5)]


class Plugin:
    """Knives."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        self.appliance = appliance

    @hook
    def register_detectors(self):
        return [Detector("knives", frozenset({Surface.NAME}), look)]
'''


@dataclass
class School:
    """An appliance; Ada is monitored on her laptop, Ben is not on his."""

    running: Running
    lead: Client
    ada: str
    adas: str
    ben: str
    bens: str

    @property
    def service(self) -> handed_in.HandedIn:
        return self.running.appliance.handed_in

    async def hand_in(self, host: str, **other: Any) -> bool:
        """As Ada on her laptop, unless something else is said; looked at when this returns."""
        asked = {"at": stamp(), "device": self.adas, "person": self.ada, "claim": "browser profile", **other}
        taken = self.service.take(NameAsked(host=host, source="dns_filter", **asked))
        await self.service.settled()
        return taken

    async def captures(self) -> list[Any]:
        return list(await self.running.appliance.records.fetch("SELECT * FROM captures ORDER BY at, id"))

    async def alerts(self) -> list[Any]:
        return list(await self.running.appliance.records.fetch("SELECT * FROM alerts"))


def finding(host: str, category: str = "adult") -> Finding:
    return Finding(
        "Web filter", "1", f"category/{category}", "Adult content", category, Severity.MODERATE, "A site.", 0, len(host)
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[School]:
    folder: Path = tmp_path_factory.mktemp("handed_in") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    home.add_plugin(PLUGIN, "knives")
    home.write("plugins: {knives: {}}\n")
    running = await start_in_process(home)
    lead = await running.as_role("lead")
    directory = running.appliance.directory
    ada, ben = [await directory.add(lead.actor, Details("pupil", name)) for name in ("Ada Okafor", "Ben Whitlock")]
    devices = [await directory.devices.add(lead.actor, DeviceDetails(name)) for name in ("Laptop 7", "Laptop 8")]
    await running.appliance.assignments.assign(
        "a test", "monitoring", Target(TargetKind.PERSON, ada), "on", "a test", None
    )
    await running.appliance.monitoring.refresh()
    yield School(running, lead, ada, devices[0], ben, devices[1])
    await running.stop()


@pytest_asyncio.fixture(loop_scope="module")
async def school(made: School) -> AsyncIterator[School]:
    """Without captures from the test before."""
    yield made
    async with made.running.appliance.records.transaction() as tx:
        await tx.execute("DELETE FROM captures")


async def test_a_name_in_which_a_detector_finds_something_is_a_capture_and_an_alert(school: School) -> None:
    assert await school.hand_in("www.best-knife.example")
    (row,) = await school.captures()
    assert (row["surface"], row["host"], row["person_id"], row["device_id"], row["claim"], row["endpoint"]) == (
        "name", "www.best-knife.example", school.ada, school.adas, "browser profile", "dns_filter",
    )  # fmt: skip
    assert (row["picture"], row["times"], row["severity"]) == ("none", 1, "severe")
    assert len(await school.alerts()) == 1
    page = (await school.lead.get(f"/captures/{row['id']}")).text
    assert "What was asked for" in page
    assert "name of a site that a device asked for" in page
    assert "www.best-<mark>knife</mark>.example" in page


async def test_a_plugin_s_own_finding_is_kept_and_told_only_if_it_is_wanted(school: School) -> None:
    assert await school.hand_in("adult.example", finding=finding("adult.example"), times=12)
    (row,) = await school.captures()
    assert (row["category"], row["policy"], row["times"], row["severity"]) == (
        "adult", "Web filter", 12, "moderate",
    )  # fmt: skip
    assert await school.alerts() == []
    drugs = finding("drugs.example", "drugs")
    assert await school.hand_in("drugs.example", finding=drugs, alert=True)
    (alert,) = await school.alerts()
    assert (alert["kind"], alert["severity"]) == ("capture", "moderate")


@pytest.mark.parametrize(
    "host", ["childline.org.uk", "www.CHILDLINE.org.uk.", "staff.localhost", "knife.childline.org.uk", "", "x" * 300]
)
async def test_places_of_help_and_the_box_itself_are_never_taken(school: School, host: str) -> None:
    assert not await school.hand_in(host, finding=finding(host))
    assert await school.captures() == []


async def test_nothing_of_somebody_who_is_not_monitored(school: School) -> None:
    host = "knife.example"
    assert not await school.hand_in(host, person=school.ben, device=school.bens)
    assert not await school.hand_in(host, person=None, device=school.bens, claim="", finding=finding(host))
    assert not await school.hand_in(host, person=None, device=None, claim="", finding=finding(host))
    assert await school.captures() == []


async def test_somebody_unknown_on_a_monitored_device_is_captured_as_that(school: School) -> None:
    assign = school.running.appliance.assignments
    await assign.assign("a test", "monitoring", Target(TargetKind.DEVICE, school.bens), "on", "a test", None)
    assert await school.hand_in("knife.example", person=None, device=school.bens, claim="nobody known")
    (row,) = await school.captures()
    assert (row["person_id"], row["device_id"]) == (None, school.bens)
    await assign.assign("a test", "monitoring", Target(TargetKind.DEVICE, school.bens), "off", "a test", None)


async def test_a_page_with_forty_trackers_is_one_capture(school: School) -> None:
    begin = now() - timedelta(hours=3)
    for number in range(40):
        host = f"t{number}.adult.example"
        await school.hand_in(host, finding=finding(host), at=stamp(begin + timedelta(minutes=number)), times=2)
    (row,) = await school.captures()
    assert (row["host"], row["times"]) == ("t0.adult.example", 80)
    assert row["last_at"] == stamp(begin + timedelta(minutes=39))
    page = (await school.lead.get(f"/captures/{row['id']}")).text
    assert "80 times" in page
    late = stamp(begin + timedelta(minutes=39 + 31))
    await school.hand_in("adult.example", finding=finding("adult.example"), at=late)
    assert [one["times"] for one in await school.captures()] == [80, 1]


async def test_another_kind_and_what_comes_after_one_that_was_finished_are_captures_of_their_own(
    school: School,
) -> None:
    host = "adult.example"
    await school.hand_in(host, finding=finding(host))
    await school.hand_in(host, finding=finding(host, "drugs"))
    await school.hand_in("a-knife.example")
    await school.hand_in("b-knife.example")  # the same term
    assert [row["times"] for row in await school.captures()] == [1, 1, 2]
    first = (await school.captures())[0]
    assert (await school.lead.post(f"/captures/{first['id']}/status", {"status": "resolved"})).status == 303
    await school.hand_in(host, finding=finding(host))
    assert [row["times"] for row in await school.captures()] == [1, 1, 2, 1]


async def test_names_in_which_nothing_was_found_are_not_judged_again_for_a_while(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = [1000.0]
    monkeypatch.setattr(school.service, "_clock", lambda: seconds[0])
    assert await school.hand_in("news.example")
    assert not await school.hand_in("NEWS.example.")
    assert await school.hand_in("news.example", finding=finding("news.example"))
    seconds[0] += handed_in.CLEAN_SECONDS + 1
    assert await school.hand_in("news.example")
    assert len(await school.captures()) == 1


async def test_while_the_detection_is_away_names_wait(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    appliance = school.running.appliance
    judge, tries = appliance.detection.judge, []

    async def away_once(observation: Any) -> Any:
        tries.append(observation.host)
        if len(tries) == 1:
            raise DetectionAway("away")
        return await judge(observation)

    monkeypatch.setattr(appliance.detection, "judge", away_once)
    monkeypatch.setattr(handed_in, "AGAIN_SECONDS", 0.0)
    assert await school.hand_in("late-knife.example")
    assert tries == ["late-knife.example"] * 2
    assert len(await school.captures()) == 1


async def test_what_does_not_fit_is_counted_and_said(school: School) -> None:
    service = school.service
    assert await service.checks() == []
    hosts = [f"x{number}.example" for number in range(handed_in.WAITING + 7)]
    taken = [
        service.take(NameAsked(stamp(), host, school.adas, school.ada, "browser profile", "dns_filter"))
        for host in hosts
    ]
    assert taken.count(False) == 7
    (check,) = await service.checks()
    assert "7 names" in check.words
    service._lost = 0
    while not service._queue.empty():  # nobody has to judge two thousand names
        service._queue.get_nowait()
        service._queue.task_done()
    await service.settled()
