"""What is covered: each network and each kind of device, from what was seen; and the page that is printed."""

from __future__ import annotations

import ipaddress
from datetime import date
from typing import Any

import pytest

from appliance.access import Actor, Permission, Role
from appliance.api import Target, TargetKind
from appliance.clock import stamp
from appliance.people.devices import DeviceDetails
from appliance.testing import sign_in_as
from appliance_plugins.dns_filter.coverage.judging import Day, Devices, Line, Place, State, of_devices, of_place, within
from appliance_plugins.dns_filter.profiles.having import KIND
from appliance_plugins.dns_filter.queries.checks.store import THE_APPLIANCE, Found, Result

KEEPER = Actor("Ida", frozenset({Permission.MANAGE_PEOPLE}))
ALLOWED = [ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8")]
QUIET = Day(askers=frozenset({"10.1.0.7", "10.2.0.9", "not an address"}), around=(), seen=(), listens=True)


def place(network: str = "10.1.0.0/16", mode: str = "block") -> Place:
    return Place("Room 1", (ipaddress.ip_network(network),), "Pupils", mode)


def test_a_network_whose_devices_ask_is_covered_and_they_are_counted() -> None:
    line = of_place(place(), ALLOWED, QUIET)
    assert (line.state, line.number) == (State.COVERED, 1)
    assert line.why == ("1 device asked this box since yesterday, counted by address.",)


@pytest.mark.parametrize(
    ("where", "day", "state", "words"),
    [
        (place("192.168.5.0/24"), QUIET, State.NOT, "may not ask this box"),
        (place("10.9.0.0/16"), QUIET, State.NOT, "No device on it has asked"),
        (place(mode="watch"), QUIET, State.PARTLY, "Pupils, is on a trial run"),
        (place(mode="off"), QUIET, State.PARTLY, "blocks nothing but locked lists"),
        (place(), Day(QUIET.askers, {"10.1.0.8"}, (), True), State.PARTLY, "1 device went around the filter"),
        (place(), Day(QUIET.askers, (), {"10.1.0.8", "10.1.0.9"}, True), State.PARTLY, "2 devices on it did not ask"),
        (place(), Day(None, (), (), True), State.UNKNOWN, "keep no addresses"),
        (place(), Day(QUIET.askers, (), (), False), State.COVERED, "the listening on the network is off"),
    ],
)
def test_what_is_missing_is_said(where: Place, day: Day, state: State, words: str) -> None:
    line = of_place(where, ALLOWED, day)
    assert line.state is state
    assert words in " ".join(line.why)


def test_addresses_of_both_kinds_are_told_apart() -> None:
    assert within({"fd00::5", "10.0.0.5"}, [ipaddress.ip_network("fd00::/8")]) == {"fd00::5"}


DEVICES = Devices(frozenset("abcd"), frozenset("ab"), frozenset("ac"), strangers=5, silent=2, around=1)


def by_title(lines: list[Line]) -> dict[str, tuple[State, int | None]]:
    return {line.title: (line.state, line.number) for line in lines}


def test_every_known_device_is_in_one_line() -> None:
    found = by_title(of_devices(DEVICES, QUIET))
    known = [number for title, (_, number) in found.items() if title.startswith("Known")]
    assert known == [1, 1, 1, 1]
    assert found["Not known, asking this box"] == (State.PARTLY, 5)
    assert found["Going around the filter"] == (State.NOT, 1)


def test_nothing_is_claimed_of_what_nobody_looks_at() -> None:
    deaf = by_title(of_devices(DEVICES, Day(QUIET.askers, (), (), False)))
    assert deaf["Going around the filter"] == deaf["Not known, not asking this box"] == (State.UNKNOWN, None)
    unkept = by_title(of_devices(DEVICES, Day(None, (), (), True)))
    assert {state for title, (state, _) in unkept.items() if title.startswith("Known")} == {State.UNKNOWN}


def test_a_trial_run_is_no_full_cover_of_any_device() -> None:
    trial = Devices(DEVICES.all, DEVICES.extension, DEVICES.asked, 0, 0, 0, lenient={"Staff": 2})
    line = of_devices(trial, QUIET)[0]
    assert line.state is State.PARTLY
    assert line.why[0] == "Nothing but locked lists is blocked for 2 devices with the profile Staff."


async def test_a_lenient_profile_counts_for_the_devices_that_have_it_alone(house: Any) -> None:
    coverage = house.plugin._rooms[-1]
    devices = house.appliance.directory.devices
    first, second = [await devices.add(KEEPER, DeviceDetails(name)) for name in ("Laptop 1", "Laptop 2")]
    assert coverage._lenient(frozenset({first, second})) == {}, "both have the pupils' profile, which blocks"
    await house.appliance.assignments.assign(
        "Jo", KIND, Target(TargetKind.DEVICE, first), "guest", "A visitor has it", None
    )
    assert coverage._lenient(frozenset({first, second})) == {"Guests": 1}
    house.plugin.profiles.clients.sightings = lambda: {"10.9.0.7": second}
    assert coverage._lenient(frozenset({first, second})) == {"Guests": 1, "Staff": 1}, "it is in the office now"


async def test_the_page_says_what_was_seen_and_names_nobody(house: Any, pages: Any) -> None:
    record = {
        "t": stamp(), "client": "10.7.0.1", "name": "secret-name.example", "type": "A", "verdict": "allowed", "why": "",
        "list": "", "rule": "", "category": "", "profile": "pupil", "upstream": "cache", "ms": 1.0, "count": 1,
    }  # fmt: skip
    await house.plugin.queries.receive([record], 0)
    page = (await pages.lead.get("/dns_filter/coverage")).text
    assert "1 device asked this box since yesterday" in page
    assert "the listening on the network is off" in page
    assert "secret-name" not in page
    assert "10.7.0.1<" not in page


async def test_head_and_governor_read_the_evidence_and_nobody_s_name(house: Any, pages: Any) -> None:
    readers = [await sign_in_as(house.appliance, pages.port, role, name=role) for role in (Role.HEAD, Role.GOVERNOR)]
    for reader in readers:
        assert (await reader.get("/dns_filter/checks")).status == 403
        page = (await reader.get("/dns_filter/coverage")).text
        assert page.count("None yet") == 2
        assert "Nobody has written down who it is" in page
    provider = {"name": "Acme Filters", "iwf": "yes", "ctiru": "unknown", "evidence": "A letter"}
    assert (await pages.it.post("/dns_filter/provider", {**provider, "seen_on": "2026-01-09"})).status == 303
    checks = house.plugin.queries.checks
    own = Found(date(2026, 3, 2), THE_APPLIANCE, "", "", "Pupils", "its own test", Result.PASSED, "")
    await checks.keep_own([own])
    made = Found(date(2026, 2, 3), "Ida Technician", "iPad 4", "Room 2", "Year 7", "a page", Result.FAILED, "")
    await checks.keep_manual(pages.it.actor, made)
    for reader in readers:
        page = (await reader.get("/dns_filter/coverage")).text
        for words in ("Acme Filters", "A letter, looked at on 2026-01-09", "Pupils, 2026-03-02", "Year 7, 2026-02-03",
                      "Not as it should be", "Not known yet"):  # fmt: skip
            assert words in page
        assert "Ida Technician" not in page
