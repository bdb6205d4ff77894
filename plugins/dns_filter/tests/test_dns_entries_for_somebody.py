"""Entries for one network, group, room, device or person: whom they reach, what they come before, who reads why."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import pytest

from appliance.access import Actor, Permission
from appliance.api import Refused, Target, TargetKind, now
from appliance.people.devices import DeviceDetails
from appliance.people.directory import Details
from appliance_plugins.dns_filter.profiles.clients import Who
from appliance_plugins.dns_filter.profiles.having import KIND
from appliance_plugins.dns_filter.profiles.here import address_in
from appliance_plugins.dns_filter.tests.conftest import YAML

KEEPER = Actor("Ida", frozenset({Permission.MANAGE_PEOPLE}))
LAPTOP, OTHER, UNKNOWN = "10.7.0.9", "10.7.0.10", "10.7.0.11"
SITE = "www.site.example"


@pytest.fixture
async def school(house: Any) -> Any:
    """Two laptops on which two pupils are signed in; the first is in a room. Pupils' profile blocks."""
    directory, profiles = house.appliance.directory, house.plugin.profiles
    house.people = [await directory.add(KEEPER, Details("pupil", name)) for name in ("Bea Pupil", "Cem Pupil")]
    house.devices = [await directory.devices.add(KEEPER, DeviceDetails(name)) for name in ("Laptop 1", "Laptop 2")]
    house.room = await directory.groups.make(KEEPER, "room", "Room 12")
    await directory.groups.add_devices(KEEPER, house.room, house.devices[:1])
    house.form = await directory.groups.make(KEEPER, "form", "7A")
    await directory.groups.add_people(KEEPER, house.form, house.people[:1])
    behind = {
        address: [Who(device, person, "")]
        for address, device, person in zip((LAPTOP, OTHER), house.devices, house.people, strict=True)
    }
    house.behind = behind
    profiles.clients.known = lambda: behind
    await profiles.store.change("Jo", "pupil", {"mode": "block"}, "A test", None)
    return house


async def enter(house: Any, action: str, for_whom: Target | None, domain: str = "site.example", **more: Any) -> str:
    profiles = house.plugin.profiles
    given = {"profile": "", "reason": "A test", "until": None, **more}
    entry = await profiles.store.add_entry("Jo", action, domain, **given, for_whom=for_whom)
    await profiles.publish()
    return str(entry)


def heard(house: Any, name: str = SITE) -> list[str]:
    return [house.verdict(name, address) for address in (LAPTOP, OTHER, UNKNOWN)]


@pytest.mark.parametrize("whom", ["person", "device", "room", "form"])
async def test_an_entry_counts_for_one_and_for_nobody_else(school: Any, whom: str) -> None:
    target = {
        "person": Target(TargetKind.PERSON, school.people[0]),
        "device": Target(TargetKind.DEVICE, school.devices[0]),
        "room": Target(TargetKind.GROUP, school.room),
        "form": Target(TargetKind.GROUP, school.form),
    }[whom]
    entry = await enter(school, "block", target)
    assert heard(school) == ["blocked", "allowed", "allowed"]
    assert school.profile_at(LAPTOP) == "pupil"
    written = str(school.snapshot())
    assert entry in written
    assert target.id not in written, "the worker knows no person and no device"
    await school.plugin.profiles.store.undo_entry("Ada", entry)
    await school.plugin.profiles.publish()
    assert heard(school) == ["allowed"] * 3


async def test_a_network_counts_for_all_in_it_also_for_whom_nobody_knows(school: Any) -> None:
    await enter(school, "block", Target(TargetKind.NETWORKS, "lab"))  # it lies within that of year 7
    assert school.verdict(SITE, "10.7.1.99") == "blocked"
    assert heard(school) == ["allowed"] * 3
    await enter(school, "allow", Target(TargetKind.NETWORKS, "year7"))
    assert school.verdict(SITE, "10.7.1.99") == "blocked", "the closer network counts"
    await enter(school, "block", Target(TargetKind.NETWORKS, "year7"), "other.example")
    assert school.verdict("other.example", "10.7.1.99") == "blocked"
    assert heard(school, "other.example") == ["blocked"] * 3


async def test_a_network_with_the_same_first_address_is_not_the_one_around_it(
    settings_file: Any, run_house: Any
) -> None:
    path = settings_file(YAML.replace("addresses: [10.7.1.0/24]", "addresses: [10.7.0.0/24]"))
    async with run_house(path) as house:
        await house.plugin.profiles.store.change("Jo", "pupil", {"mode": "block"}, "A test", None)
        lab = Target(TargetKind.NETWORKS, "lab")
        await enter(house, "block", lab)
        assert [house.verdict(SITE, one) for one in ("10.7.0.9", "10.7.55.5")] == ["blocked", "allowed"]
        await house.appliance.assignments.assign("Jo", KIND, lab, "guest", "A test", None)
        await house.plugin.profiles.publish()
        assert [house.profile_at(one) for one in ("10.7.0.9", "10.7.55.5")] == ["guest", "pupil"]


@pytest.mark.parametrize(
    ("networks", "address"),
    [
        (["10.7.0.0/16"], "10.7.0.0"),
        (["10.7.0.0/16", "10.7.1.0/24"], "10.7.0.0"),
        (["10.7.0.0/16", "10.7.0.0/24"], "10.7.1.0"),
        (["10.7.0.0/16", "10.7.0.0/24", "10.7.1.0/24", "10.7.0.0/25"], "10.7.2.0"),
        (["10.7.0.0/16", "10.7.0.0/17", "10.7.128.0/17"], "10.7.0.0"),  # nobody is left in it
        (["255.255.255.0/24", "255.255.255.0/25"], "255.255.255.128"),
        (["fd00::/64", "fd00::/65", "10.0.0.0/8"], "fd00::8000:0:0:0"),
    ],
)
def test_an_address_of_a_network_lies_in_none_of_the_nearer_ones(networks: list[str], address: str) -> None:
    wide, *others = map(ip_network, networks)
    assert address_in(wide, [wide, *others]) == address


async def test_the_closest_of_several_counts_and_of_equals_the_block(school: Any) -> None:
    person, device = Target(TargetKind.PERSON, school.people[0]), Target(TargetKind.DEVICE, school.devices[0])
    form, room = Target(TargetKind.GROUP, school.form), Target(TargetKind.GROUP, school.room)
    await enter(school, "allow", form)
    await enter(school, "block", room)
    assert heard(school)[0] == "blocked", "one of two groups"
    await enter(school, "allow", device)
    assert heard(school)[0] == "allowed"
    await enter(school, "block", person)
    assert heard(school)[0] == "blocked"
    await enter(school, "allow", device, "www.site.example")
    assert heard(school)[0] == "blocked", "a closer block covers what lies below"
    await enter(school, "allow", person, "www.site.example")
    assert heard(school)[0] == "allowed", "it was opened for the same one on purpose"


async def test_a_block_for_one_covers_what_a_profile_allows_below_it(school: Any) -> None:
    await enter(school, "allow", None, "www.site.example")
    await enter(school, "block", Target(TargetKind.PERSON, school.people[0]))
    assert heard(school) == ["blocked", "allowed", "allowed"]


async def test_what_is_gone_gets_no_entry_and_what_has_one_is_not_deleted(school: Any) -> None:
    room = Target(TargetKind.GROUP, school.room)
    entry = await enter(school, "block", room)
    groups = school.appliance.directory.groups
    with pytest.raises(Refused, match="It still decides about: dns filter entries"):
        await groups.delete(KEEPER, school.room)
    await school.plugin.profiles.store.undo_entry("Jo", entry)
    await groups.delete(KEEPER, school.room)
    with pytest.raises(Refused, match="no such group any more"):
        await enter(school, "block", room)


async def test_what_is_said_for_one_comes_before_what_is_said_for_a_profile(school: Any) -> None:
    await enter(school, "block", None, profile="pupil")
    assert heard(school) == ["blocked"] * 3
    await enter(school, "allow", Target(TargetKind.PERSON, school.people[0]))
    assert heard(school) == ["allowed", "blocked", "blocked"]
    await enter(school, "allow", None, "other.example", profile="pupil")
    await enter(school, "block", Target(TargetKind.DEVICE, school.devices[1]), "other.example")
    assert heard(school, "other.example") == ["allowed", "blocked", "allowed"]


async def test_behind_one_address_a_block_for_one_is_enough_and_an_allowance_must_be_for_all(school: Any) -> None:
    school.behind[LAPTOP] += school.behind[OTHER]
    person = Target(TargetKind.PERSON, school.people[0])
    await enter(school, "block", person)
    await enter(school, "block", None, "other.example", profile="pupil")
    await enter(school, "allow", person, "other.example")
    assert heard(school) == ["blocked", "allowed", "allowed"]
    assert heard(school, "other.example") == ["blocked"] * 3
    await enter(school, "allow", Target(TargetKind.PERSON, school.people[1]), "other.example")
    assert heard(school, "other.example") == ["allowed", "allowed", "blocked"]
    await enter(school, "block", Target(TargetKind.PERSON, school.people[1]), "www.other.example")
    assert heard(school, "www.other.example") == ["blocked", "blocked", "blocked"]


async def test_it_ends_by_itself_while_the_main_process_is_away(school: Any) -> None:
    until = now() + timedelta(hours=1)
    await enter(school, "block", Target(TargetKind.DEVICE, school.devices[0]), until=until)
    (first, seconds), (then, none) = school.snapshot()["clients"][LAPTOP]
    assert (first == "pupil", then, none) == (False, "pupil", None)
    assert seconds == pytest.approx(until.timestamp(), abs=0.01)


async def test_no_locked_list_and_no_place_of_help_is_touched(school: Any) -> None:
    await enter(school, "block", Target(TargetKind.PERSON, school.people[0]), "help.example")
    assert school.verdict("help.example", LAPTOP) == "exempt"


async def test_the_same_is_not_said_twice_for_one_and_may_be_for_several(school: Any) -> None:
    first, second = (Target(TargetKind.DEVICE, one) for one in school.devices)
    await enter(school, "block", first)
    with pytest.raises(Refused, match="already"):
        await enter(school, "block", first)
    await enter(school, "block", second)
    await enter(school, "block", None)


async def test_why_for_a_person_stands_in_no_record_and_in_no_explanation(school: Any) -> None:
    for kind, target in ((TargetKind.PERSON, school.people[0]), (TargetKind.GROUP, school.room)):
        await enter(school, "block", Target(kind, target), f"{kind}.example", reason="Bea is afraid of it")
    rows = [dict(row) for row in await school.appliance.audit.rows(None, 20)]
    assert "Bea" not in str(rows)
    explaining = school.plugin.profiles.explaining
    told = await explaining.explain(KEEPER, "person.example", LAPTOP)
    assert "An entry of the school for whoever is signed in there blocks person.example" in str(told)
    assert "afraid" not in str(told)
    told = await explaining.explain(KEEPER, "group.example", "Room 12")
    assert "An entry of the school for one group or room blocks group.example" in str(told)
    assert "afraid of it" in str(told)
    assert "blocks group.example" in str(await explaining.explain(KEEPER, "group.example", "Laptop 1"))
    assert (await explaining.explain(KEEPER, "group.example", "Laptop 2")).heading == "Open"


async def test_an_answer_for_a_profile_is_not_given_by_what_is_allowed_for_one(school: Any) -> None:
    await enter(school, "allow", Target(TargetKind.PERSON, school.people[0]))
    async with school.appliance.records.transaction() as tx:
        assert await school.plugin.profiles.store.allowed_within(tx, "site.example", "pupil", None) == ""


async def test_the_page_names_them_as_far_as_somebody_may_see_them(school: Any, pages: Any) -> None:
    path, typed = "/dns_filter/entries", {"domain": "site.example", "action": "block", "reason": "Bea is afraid"}
    wrong = await pages.it.post(path, {**typed, "name": "Nobody Known"})
    assert (wrong.status, "nobody called" in wrong.text) == (422, True)
    assert 'value="Nobody Known"' in wrong.text
    gone = await pages.it.post(path, {**typed, "profile": "networks:gone"})
    assert (gone.status, "There is no group called" in gone.text) == (422, True)
    assert (await pages.it.post(path, {**typed, "profile": f"group:{school.room}"})).status == 303
    assert (await pages.it.post(path, {**typed, "profile": "pupil", "name": "Laptop 2"})).status == 303
    assert (await pages.lead.post(path, {**typed, "name": "Bea Pupil"})).status == 303
    kinds = [one.for_whom.kind.value for one in school.plugin.profiles.store.in_force.for_somebody()]
    assert kinds == ["group", "device", "person"]
    for_lead, for_it = [(await one.get(path)).text for one in (pages.lead, pages.it)]
    for words in ("Room 12", "Laptop 2", "Bea Pupil"):
        assert words in for_lead
    assert for_lead.count("Bea is afraid") == 3
    assert for_it.count("Bea is afraid") == 2
