"""Silence is an alarm: parts that stop and devices that are not heard any more, in school hours and not at night."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from seeding_captures import CaptureSchool, Member, a_capture_school

from appliance.access import Role
from appliance.alerts.alerting import KEEPERS_OF_THE_BOX
from appliance.alerts.silence import DEVICES, Silence
from appliance.clock import new_id, stamp
from appliance.hookspecs import Check, State
from appliance.settings import TimetableSettings
from appliance.timetable import Timetable

MINUTE = timedelta(minutes=1)
EVERYONE = ("everyone", "")
NIGHT = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
MORNING = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def check(name: str, state: State, *, alarm: bool = True) -> Check:
    return Check(name, state, "It does not answer.", alarm=alarm)


@dataclass
class House:
    """A school, its checks and its devices."""

    school: CaptureSchool
    lead: Member
    it: Member
    checks: list[Check] = field(default_factory=list)
    connected: set[str] = field(default_factory=set)
    unmonitored: set[str] = field(default_factory=set)
    watched_people: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.silence = Silence(
            self.school.records,
            self.school.alerts,
            lambda: self.checks,
            Timetable(TimetableSettings(), "Europe/London"),
            "Europe/London",
            5,
            30,
            is_connected=lambda endpoint: endpoint in self.connected,
            is_monitored=lambda person, device: device not in self.unmonitored or person in self.watched_people,
            clock=self.school.clock,
            monotonic=self.school.clock.monotonic,
        )

    async def minutes(self, number: int) -> None:
        """The job, as often as it comes in so many minutes."""
        for _ in range(number):
            self.school.clock.forward(MINUTE)
            await self.silence.look()

    async def open(self) -> dict[str, str]:
        """What is open: what fell silent, and what is said of it."""
        return {row["category"]: row["words"] for row in await self.school.alerts.open(self.it.actor)}

    async def closed(self) -> list[str]:
        return [row["category"] for row in (await self.school.alerts.closed(self.it.actor, 1)).rows]

    async def steps(self, category: str = DEVICES) -> list[tuple[str, str]]:
        rows = await self.school.records.fetch(
            "SELECT what, step.words FROM alert_steps step JOIN alerts ON alerts.id = alert_id WHERE category = ?"
            " ORDER BY opened_at, alert_id, number",
            (category,),
        )
        return [tuple(row) for row in rows if row["what"] != "told"]

    async def endpoint(self, name: str, seen_ago: timedelta, state: str = "approved", device: str = "") -> str:
        """A browser on a device of this name, seen last so long ago; the id of the device."""
        device = device or await self.school.device(name)
        endpoint, at = new_id(), stamp(self.school.clock() - seen_ago)
        async with self.school.records.transaction() as tx:
            await tx.execute(
                "INSERT INTO endpoint_tokens (id, name, token, most_uses, made_at, made_by, expires_at)"
                " VALUES (?1, 'x', ?1, 9, '', '', '')",
                (endpoint,),
            )
            await tx.execute(
                "INSERT INTO endpoints (id, key_sha256, public_key, state, token_id, device_id, name, serial, platform,"
                " browser, version, asked_at, asked_from, last_seen_at, counter)"
                " VALUES (?1, ?1, x'00', ?2, ?1, ?3, ?4, '', '', '', '', '', '', ?5, 1)",
                (endpoint, state, device, name, at),
            )
        self.last_endpoint = endpoint
        return device


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with a_capture_school(tmp_path) as school:
        lead = await school.member("Lea", Role.LEAD, EVERYONE)
        it = await school.member("Ida", Role.IT, opens=False)
        await school.member("Hal", Role.HEAD, EVERYONE)
        yield House(school, lead, it)


# Parts of the appliance


async def test_a_part_that_is_broken_for_some_minutes_opens_one_alert(house: House) -> None:
    house.checks = [check("DNS", State.BROKEN), check("Disk", State.BROKEN, alarm=False), check("Mail", State.WARNING)]
    await house.minutes(5)
    assert await house.open() == {}
    await house.minutes(10)
    assert await house.open() == {"DNS": "It does not answer."}
    (alert,) = await house.school.alerts.open(house.lead.actor)
    rows = await house.school.alerts.steps(house.it.actor, alert["id"])
    assert [(row["what"], row["names"]) for row in rows] == [("opened", "[]"), ("told", '["Ida", "Lea"]')]
    assert len(await house.school.events()) == 1


async def test_it_closes_itself_when_the_part_works_again(house: House) -> None:
    house.checks = [check("DNS", State.BROKEN)]
    await house.minutes(7)
    (alert,) = await house.school.alerts.open(house.lead.actor)
    await house.school.alerts.acknowledge(house.it.actor, alert["id"])
    await house.minutes(3)
    assert list(await house.open()) == ["DNS"], "taken is not mended"
    house.checks = [check("DNS", State.GOOD)]
    await house.minutes(1)
    assert (await house.open(), await house.closed()) == ({}, ["DNS"])
    assert (await house.steps("DNS"))[-1] == ("closed", "It works again.")
    house.checks = [check("DNS", State.BROKEN)]
    await house.minutes(7)
    assert list(await house.open()) == ["DNS"]
    house.checks = []
    await house.minutes(1)
    assert (await house.steps("DNS"))[-1] == ("closed", "It is not there any more.")


async def test_a_short_stop_is_no_silence(house: House) -> None:
    for _ in range(5):
        house.checks = [check("DNS", State.BROKEN)]
        await house.minutes(4)
        house.checks = [check("DNS", State.GOOD)]
        await house.minutes(1)
    assert (await house.open(), await house.closed()) == ({}, [])


async def test_at_night_nobody_is_called_and_in_the_morning_somebody_is(house: House) -> None:
    house.school.clock.moment = NIGHT
    house.checks = [check("DNS", State.BROKEN)]
    await house.minutes(60)
    assert await house.open() == {}
    house.school.clock.moment = MORNING
    await house.minutes(4)
    assert await house.open() == {}
    await house.minutes(2)
    assert list(await house.open()) == ["DNS"]


# Devices


async def test_devices_that_fall_silent_are_one_alert(house: House) -> None:
    await house.silence.look()
    await house.minutes(31)
    for name in ("Laptop 7", "Laptop 4"):
        await house.endpoint(name, timedelta(minutes=31))
    await house.endpoint("Still heard", timedelta(minutes=5))
    await house.endpoint("Not let in", timedelta(minutes=40), "waiting")
    await house.endpoint("Yesterday", timedelta(days=1))
    await house.endpoint("Connected", timedelta(minutes=40))
    house.connected.add(house.last_endpoint)
    house.unmonitored.add(await house.endpoint("Not monitored", timedelta(minutes=40)))
    await house.minutes(1)
    words = "2 devices that were in use today are not heard any more: Laptop 4, Laptop 7."
    assert await house.open() == {DEVICES: words}
    await house.minutes(3)
    assert await house.steps() == [("opened", words)]


async def test_where_nobody_knows_the_account_the_holder_counts(house: House) -> None:
    """A device whose account nobody knows, of somebody who is monitored, is missed like any other."""
    ada, ben = await house.school.person("Ada"), await house.school.person("Ben")
    house.watched_people.add(ada)
    hers = await house.endpoint("Laptop 4", timedelta(minutes=40))
    lent = await house.endpoint("Laptop 7", timedelta(minutes=40))
    house.unmonitored |= {hers, lent}
    assert await house.silence.silent_devices() == []
    async with house.school.records.transaction() as tx:
        await tx.execute("UPDATE devices SET person_id = ?", (ada,))
        await tx.execute("UPDATE endpoints SET person_id = ? WHERE device_id = ?", (ben, lent))
    assert [one.id for one in await house.silence.silent_devices()] == [hers]


async def test_each_device_is_named_once_a_day(house: House) -> None:
    await house.silence.look()
    await house.minutes(31)
    four = await house.endpoint("Laptop 4", timedelta(minutes=31))
    first = house.last_endpoint
    await house.minutes(1)
    await house.endpoint("Laptop 7", timedelta(minutes=31))
    await house.minutes(1)
    assert (await house.steps())[-1] == ("changed", "Silent now too: Laptop 7.")
    house.connected |= {first, house.last_endpoint}
    await house.minutes(1)
    assert await house.closed() == [DEVICES]
    assert (await house.steps())[-1] == ("closed", "All of them are heard again.")
    house.connected.clear()
    await house.minutes(1)
    assert await house.open() == {}, "they were named today"
    assert (await house.silence.silent_devices())[0].id == four
    await house.endpoint("Laptop 9", timedelta(minutes=31))
    await house.minutes(1)
    assert "3 devices" in (await house.open())[DEVICES]
    assert len(await house.school.events()) == 2


async def test_a_device_with_one_browser_that_is_heard_is_not_silent(house: House) -> None:
    device = await house.endpoint("Laptop 4", timedelta(hours=1))
    await house.endpoint("Laptop 4", timedelta(), device=device)
    assert await house.silence.silent_devices() == []


async def test_before_school_has_gone_on_for_a_while_no_device_is_silent(house: House) -> None:
    house.school.clock.moment = datetime(2026, 11, 24, 8, 25, tzinfo=UTC)
    await house.endpoint("Laptop 4", timedelta(hours=1))
    await house.minutes(30)
    assert await house.open() == {}
    await house.minutes(10)
    assert list(await house.open()) == [DEVICES]


async def test_after_school_it_closes(house: House) -> None:
    await house.silence.look()
    await house.minutes(31)
    await house.endpoint("Laptop 4", timedelta(minutes=31))
    await house.minutes(1)
    house.school.clock.moment = datetime(2026, 11, 24, 18, 0, tzinfo=UTC)
    await house.minutes(1)
    assert (await house.open(), await house.closed()) == ({}, [DEVICES])
    assert (await house.steps())[-1] == ("closed", "The school day is over.")


async def test_nought_minutes_mean_never(house: House) -> None:
    house.silence._device_patience = timedelta()
    await house.endpoint("Laptop 4", timedelta(hours=1))
    await house.minutes(90)
    assert await house.open() == {}


async def test_silence_is_for_those_who_look_after_the_box_and_no_others(house: House) -> None:
    house.checks = [check("DNS", State.BROKEN)]
    await house.minutes(7)
    rows = await house.school.records.fetch("SELECT id, role FROM staff_accounts")
    for row in rows:
        wanted = int(row["role"] in KEEPERS_OF_THE_BOX)
        assert house.school.alerts.waiting(row["id"]) == wanted, row["role"]
