"""The snapshot that the worker of format 2 reads: pure, complete, and without anybody's name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.api import Effective, Overlay, stamp
from appliance_plugins.dns_filter.answerer.rules import decide
from appliance_plugins.dns_filter.answerer.wire import to_wire
from appliance_plugins.dns_filter.answerer.world import World
from appliance_plugins.dns_filter.profiles.clients import Who
from appliance_plugins.dns_filter.profiles.entries import Entry
from appliance_plugins.dns_filter.profiles.here import own_records
from appliance_plugins.dns_filter.profiles.model import CategoryChoice, Change, Choices, ListChoice, ServiceChoice
from appliance_plugins.dns_filter.profiles.policies import Basis
from appliance_plugins.dns_filter.profiles.snapshot import School, build
from appliance_plugins.dns_filter.profiles.store import InForce, Pause
from appliance_plugins.dns_filter.settings import Settings

NOW = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
PROFILES = ("staff", "guest", "pupil")
RANK = {name: place for place, name in enumerate(PROFILES)}
CHOICES = Choices(
    categories=(CategoryChoice("adult", "Adult", "For adults."), CategoryChoice("games", "Games", "To play.")),
    services=(ServiceChoice("tube", "Tube", "Video", "", ("tube.example",)),),
    lists=(ListChoice("porn", "Porn", "adult"), ListChoice("police", "Police", "other", locked=True)),
    safe_search={"www.search.example": "safe.search.example"},
    youtube={"strict": {"www.tube.example": "strict.tube.example"}, "moderate": {}},
)


def at(minutes: float) -> str:
    return stamp(NOW + timedelta(minutes=minutes))


def seconds(minutes: float) -> float:
    return (NOW + timedelta(minutes=minutes)).timestamp()


def entry(action: str, domain: str, profile: str = "", until: float | None = None) -> Entry:
    return Entry(
        f"{action}-{domain}", action, domain, profile, "Jo", "why", at(-5), None if until is None else at(until)
    )


def school(
    written: Mapping[str, Any] | None = None,
    in_force: InForce | None = None,
    clients: Mapping[str, Sequence[Who]] | None = None,
    profiles: Mapping[str | None, Any] | None = None,
    **more: Any,
) -> School:
    """``profiles``: person or device -> name of a profile, or a list of (name, until)."""
    known = profiles or {}

    def decide_for(person: str | None, device: str | None, _: str | None, moment: datetime) -> Effective:
        found = known.get(person) or known.get(device) or "pupil"
        if isinstance(found, str):
            return Effective(found, "a test", None)
        for name, until in found:
            if until is None or until > stamp(moment):
                return Effective(name, "a test", None, until)
        raise AssertionError

    checked = Settings(**(written or {}))
    basis = Basis(checked.profiles, CHOICES, in_force or InForce(), "box.internal", ("10.0.0.2", ""))
    return School(
        checked, basis, ["help.example"], [], clients or {}, decide_for, lambda name: RANK.get(name, 99), **more
    )


def verdict(snapshot: Mapping[str, Any], address: str, name: str, minutes: float = 0) -> str:
    world = World.of(snapshot, None)
    policy, _ = world.policy_for(address, seconds(minutes))
    assert policy is not None
    return decide(to_wire(name), 1, policy, world).verdict


BLOCKING = {"profiles": [{"name": name, "mode": "block"} for name in PROFILES]}


def test_three_profiles_are_there_whatever_the_file_says() -> None:
    found = build(school({"profiles": [{"name": "exam", "only": True}]}), NOW)
    assert set(found["policies"]) == {"pupil", "staff", "guest", "exam"}
    assert found["default"] == [["pupil", None]]
    assert found["policies"]["pupil"]["lists"] == ["porn"]
    assert found["policies"]["exam"]["lists"] == []
    assert found["policies"]["exam"]["only"] is True
    assert found["policies"]["pupil"]["mode"] == "watch"
    assert found["policies"]["pupil"]["ipv4"] == "10.0.0.2"


def test_a_network_is_shown_the_page_at_the_address_that_the_box_has_there() -> None:
    networks = [("10.9.1.0/24", "lab"), ("10.9.0.0/16", "office"), ("10.7.0.0/16", "year7"), ("fd09::/64", "six")]
    clients = {address: [Who("d", None, "")] for address in ("10.9.1.7", "10.9.2.7", "10.7.0.7", "fd09::7", "10.1.1.1")}
    here = school(BLOCKING, clients=clients, reached_at=["10.0.0.2", "10.9.0.2", "fd00::2", "fd09::2"])
    found = build(replace(here, networks=networks), NOW)
    world = World.of(found, None)

    def page(address: str) -> tuple[str, str]:
        policy, _ = world.policy_for(address, seconds(0))
        assert policy is not None
        part = found["policies"][policy.key]
        return part["ipv4"], part["ipv6"]

    for known in ("10.9.2.7", "10.9.2.8", "10.9.1.7", "10.9.1.8"):
        assert page(known) == ("10.9.0.2", "fd00::2")
    for usual in ("10.7.0.7", "10.7.0.8", "10.1.1.1", "10.1.1.2"):
        assert page(usual)[0] == "10.0.0.2", "the box has no address of its own there"
    assert page("fd09::8")[1] == page("fd09::7")[1] == "fd09::2"


@pytest.mark.parametrize("domain", ["localhost", "Localhost.", "box.localhost"])
def test_names_of_a_trial_are_the_devices_own(domain: str) -> None:
    assert own_records(domain, ["10.0.0.2"]) == {}


def test_the_box_answers_for_its_own_pages_unless_the_settings_do() -> None:
    ours = own_records("Box.Internal.", ["10.0.0.2", "fd00::2"])
    assert set(ours) == {"box.internal", "staff.box.internal", "pupil.box.internal", "endpoint.box.internal"}
    written = {"local_records": ["pupil.box.internal A 10.0.0.80"]}
    local = build(school(written, extra_local=ours), NOW)["local"]
    assert local["staff.box.internal"] == [["A", 300, "10.0.0.2"], ["AAAA", 300, "fd00::2"]]
    assert local["pupil.box.internal"] == [["A", 300, "10.0.0.80"]]
    assert own_records("box.internal", []) == {}


def test_upstreams_zones_and_records_are_written_as_the_worker_reads_them() -> None:
    written = {
        "upstreams": ["10.0.0.1", "[fd00::1]:5353", "tls://dns.example@10.0.0.9"],
        "zones": [
            {"zone": "School.Internal.", "servers": ["10.0.0.3:5300"]},
            {"zone": "local", "servers": ["10.0.0.4"]},
        ],
        "local_records": ["printer.school.internal 60 IN A 10.0.0.7", 'printer.school.internal TXT "first floor"'],
        "private_names": ["intranet.example"],
        "rate": {"per_second": 5},
        "cache": {"entries": 7},
    }
    found = build(school(written), NOW)
    assert found["upstreams"] == [
        {"host": "10.0.0.1", "port": 53, "tls": ""},
        {"host": "fd00::1", "port": 5353, "tls": ""},
        {"host": "10.0.0.9", "port": 853, "tls": "dns.example"},
    ]
    assert [zone["zone"] for zone in found["zones"]] == ["school.internal", "local"]
    assert found["local"] == {"printer.school.internal": [["A", 60, "10.0.0.7"], ["TXT", 300, "first floor"]]}
    assert found["rate"] == {"per_second": 5, "burst": 400}
    assert found["cache"]["entries"] == 7
    assert World.of(found, None).timeout == 2.0
    assert verdict(found, "10.0.0.5", "printer.school.internal") == "local"


@pytest.mark.parametrize(
    "wrong",
    [
        {"upstreams": ["dns.example"]},
        {"upstreams": ["tls://10.0.0.1@10.0.0.1"]},
        {"upstreams": ["https://dns.example"]},
        {"local_records": ["printer 10.0.0.7"]},
        {"local_records": ["a.example AAAA 10.0.0.7"]},
        {"local_records": ["a.example CNAME b.example", "a.example A 10.0.0.7"]},
        {"zones": [{"zone": "a..b", "servers": ["10.0.0.1"]}]},
        {"profile_of_people": {"staff": "pupil"}},
        {"profile_of_people": {"staff": "nobody"}},
    ],
)
def test_what_cannot_be_used_is_refused_when_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Settings(**wrong)


def test_a_pause_ends_by_itself_and_locked_lists_are_named_all_the_while() -> None:
    pause = Pause("1", "pupil", "Jo", "fire drill", at(-1), at(14))
    found = build(school(BLOCKING, InForce((), (entry("block", "bad.example"),), {"pupil": pause})), NOW)
    ((paused, until), last) = found["default"]
    assert until == seconds(14)
    assert last == ["pupil", None]
    assert found["policies"][paused]["mode"] == "off"
    assert found["lists"]["police"]["locked"] is True
    assert verdict(found, "10.0.0.5", "bad.example") == "allowed"
    assert verdict(found, "10.0.0.5", "bad.example", 14) == "blocked"


@pytest.mark.parametrize(
    ("mode", "during", "after"),
    [("block", "blocked", "blocked"), ("watch", "allowed", "would block"), ("off", "allowed", "allowed")],
)
def test_in_a_pause_a_canary_says_what_holds_after_it(mode: str, during: str, after: str) -> None:
    pause = Pause("1", "pupil", "Jo", "fire drill", at(-1), at(14))
    found = build(school({"profiles": [{"name": "pupil", "mode": mode}]}, InForce((), (), {"pupil": pause})), NOW)
    assert verdict(found, "10.0.0.5", "use-application-dns.net") == during
    assert verdict(found, "10.0.0.5", "use-application-dns.net", 14) == after


def test_entries_and_changes_end_by_themselves_in_order() -> None:
    changes = (
        Change("1", "pupil", "mode", "watch", "Jo", "x", at(-9), at(30)),
        Change("2", "pupil", "service:tube", "on", "Jo", "x", at(-8)),
        Change("3", "pupil", "service:tube", "off", "Jo", "x", at(-7), at(10)),
    )
    written = {"profiles": [{"name": "staff", "mode": "block"}]}
    base = (Change("0", "pupil", "mode", "block", "Jo", "x", at(-99)),)
    in_force = InForce(
        (*base, *changes), (entry("allow", "bad.example", "pupil", until=20), entry("block", "bad.example"))
    )
    found = build(school(written, in_force), NOW)
    assert [until for _, until in found["default"]] == [seconds(10), seconds(20), seconds(30), None]
    assert found["default"][-1][0] == "pupil"
    asked = [verdict(found, "10.0.0.5", "www.tube.example", minutes) for minutes in (0, 10, 20, 30)]
    assert asked == ["allowed", "would block", "would block", "blocked"]
    asked = [verdict(found, "10.0.0.5", "bad.example", minutes) for minutes in (0, 19, 20, 30)]
    assert asked == ["allowed", "allowed", "would block", "blocked"]


def test_what_the_file_says_wins_over_pages() -> None:
    changes = (
        Change("1", "pupil", "mode", "off", "Jo", "x", at(-9)),
        Change("2", "pupil", "category:games", "on", "Jo", "x", at(-8)),
    )
    written = {"profiles": [{"name": "pupil", "mode": "block", "allow": ["fine.example"]}]}
    body = build(school(written, InForce(changes)), NOW)["policies"]["pupil"]
    assert body["mode"] == "block"
    assert ["allow", "fine.example", "file"] in body["entries"]
    assert ["allow", "box.internal", "own"] in body["entries"]


def test_somebody_whose_choice_ends_gets_what_was_before() -> None:
    clients = {"10.0.0.7": [Who("d", "p", "signed in")]}
    found = build(school(BLOCKING, None, clients, {"p": [("staff", at(40)), ("pupil", None)]}), NOW)
    assert found["clients"] == {"10.0.0.7": [["staff", seconds(40)], ["pupil", None]]}


def test_an_address_of_several_gets_the_strictest_at_each_moment() -> None:
    clients = {"10.0.0.7": [Who("d", "teacher", "x"), Who("e", "child", "x")]}
    profiles = {"teacher": "staff", "child": [("pupil", at(10)), ("staff", None)]}
    found = build(school(BLOCKING, None, clients, profiles), NOW)
    assert found["clients"] == {"10.0.0.7": [["pupil", seconds(10)], ["staff", None]]}


def test_overlays_are_variants_that_end_by_themselves() -> None:
    clients = {"10.0.0.7": [Who("d", "p", "x")], "10.0.0.8": [Who("e", None, "")]}
    wanted = {
        "10.0.0.7": [
            Overlay(everything=True, until=NOW + timedelta(minutes=5), why="Ban"),
            Overlay(block=("music.example",), until=NOW + timedelta(minutes=50)),
            Overlay(only=True, allow=("maths.example",), until=NOW + timedelta(minutes=20)),
        ],
        "10.0.0.8": [Overlay(profile="guest"), Overlay(profile="staff")],
    }
    found = build(school(BLOCKING, None, clients, overlays=lambda address: wanted.get(address, ())), NOW)
    names = ("maths.example", "music.example", "other.example", "help.example", "www.box.internal")
    for minutes, verdicts in {
        0: ["blocked", "blocked", "blocked", "exempt", "allowed"],
        5: ["allowed", "blocked", "blocked", "exempt", "allowed"],
        20: ["allowed", "blocked", "allowed", "exempt", "allowed"],
        50: ["allowed", "allowed", "allowed", "exempt", "allowed"],
    }.items():
        assert [verdict(found, "10.0.0.7", name, minutes) for name in names] == verdicts, minutes
    assert found["clients"]["10.0.0.8"] == [["guest", None]]
    assert len({key for key, _ in found["clients"]["10.0.0.7"]}) == 4


def test_a_lesson_with_a_list_of_sites_ends_a_trial_run_for_those_in_it() -> None:
    wanted = [Overlay(only=True, allow=("maths.example",))]
    found = build(school({}, None, {"10.0.0.7": [Who("d", None, "")]}, overlays=lambda _: wanted), NOW)
    assert verdict(found, "10.0.0.7", "other.example") == "blocked"
    assert verdict(found, "10.0.0.9", "other.example") == "allowed"


names = st.sampled_from(["a.example", "b.example", "www.a.example", "help.example", "c.test"])
ends = st.one_of(st.none(), st.integers(1, 120))
entries = st.builds(entry, st.sampled_from(["allow", "block"]), names, st.sampled_from(["", *PROFILES]), ends)
choices = st.lists(st.tuples(st.sampled_from(PROFILES), st.integers(1, 120)), max_size=3)


@st.composite
def schools(draw: st.DrawFn) -> School:
    people = {f"person-{number}": sorted(draw(choices), key=lambda one: one[1]) for number in range(3)}
    profiles: dict[str | None, Any] = {
        name: [*((profile, at(until)) for profile, until in chosen), (draw(st.sampled_from(PROFILES)), None)]
        for name, chosen in people.items()
    }
    addresses = draw(st.lists(st.integers(1, 9), max_size=5, unique=True))
    clients = {
        f"10.0.0.{number}": [Who(f"device-{number}", draw(st.sampled_from([None, *people])), "x")]
        for number in addresses
    }
    pauses = {
        name: Pause("i", name, "Jo", "x", at(-1), at(draw(st.integers(1, 60))))
        for name in draw(st.sets(st.sampled_from(PROFILES)))
    }
    in_force = InForce((), tuple(draw(st.lists(entries, max_size=5))), pauses)
    made = school(BLOCKING, in_force, clients, profiles)
    return replace(made, networks=[("10.0.0.0/29", "room"), ("10.0.0.0/24", "floor")])


@settings(max_examples=60, deadline=None)
@given(schools(), names, st.integers(0, 130))
def test_whatever_is_set_the_worker_can_read_it_and_it_names_nobody(made: School, name: str, minutes: int) -> None:
    found = json.loads(json.dumps(build(made, NOW)))
    assert found == build(made, NOW)
    world = World.of(found, None)
    text = json.dumps(found)
    assert "person-" not in text
    assert "device-" not in text
    for chain in [*found["clients"].values(), *(part["chain"] for part in found["ranges"]), found["default"]]:
        assert [until for _, until in chain] == [*sorted(until for _, until in chain[:-1]), None]
        assert {key for key, _ in chain} <= set(found["policies"])
    for address, behind in made.clients.items():
        policy, _ = world.policy_for(address, seconds(minutes))
        assert policy is not None
        if len(found["clients"][address]) < 8:  # more links come with a later snapshot
            (who,) = behind
            wanted = made.decide(who.person, who.device, address, NOW + timedelta(minutes=minutes)).value
            assert policy.profile == wanted
            paused = made.basis.in_force.pause_of(wanted, at(minutes)) is not None
            assert (policy.mode == "off") is paused
        if name == "help.example":
            assert decide(to_wire(name), 1, policy, world).verdict == "exempt"


def test_a_school_of_a_thousand_devices_and_three_hundred_networks_is_one_pass() -> None:
    """Work that is done for each client anew would show here as policies without end."""
    clients = {f"10.{number // 250}.1.{number % 250}": [Who(f"d{number}", None, "")] for number in range(1000)}
    many = InForce((), tuple(entry("block", f"n{number}.example") for number in range(500)))
    made = replace(
        school(BLOCKING, many, clients), networks=[(f"10.{number}.0.0/16", f"g{number}") for number in range(255)]
    )
    found = build(made, NOW)
    assert len(found["clients"]) == 1000
    assert set(found["policies"]) == set(PROFILES)
