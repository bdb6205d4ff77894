"""What profiles say: as they come, as pages changed them, as the file fixes them; and who has which."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from appliance.access import Actor, Permission
from appliance.api import Refused, State, Target, TargetKind, now
from appliance.people.devices import DeviceDetails
from appliance.people.directory import Details
from appliance_plugins.dns_filter.profiles import model
from appliance_plugins.dns_filter.profiles.choices import shipped
from appliance_plugins.dns_filter.profiles.having import KIND
from appliance_plugins.dns_filter.profiles.model import AI_GROUP, Change, as_it_comes, mildest_first, profile_of
from appliance_plugins.dns_filter.profiles.profile_views import in_plain_words
from appliance_plugins.dns_filter.queries.checks.addresses import probe_name
from appliance_plugins.dns_filter.settings import BUILT_IN, ProfileSettings, Settings
from appliance_plugins.dns_filter.tests.conftest import YAML

KEEPER = Actor("Ida", frozenset({Permission.MANAGE_PEOPLE}))
CHOICES = shipped()


def change(switch: str, value: str) -> Change:
    return Change("1", "pupil", switch, value, "Jo", "x", "2026-11-24T09:30:00.000Z")


def test_ai_chat_is_shut_for_pupils_and_guests_and_open_for_staff() -> None:
    talking = {one.key for one in CHOICES.services if one.group == AI_GROUP}
    assert {"chatgpt", "character_ai"} <= talking
    for name in ("pupil", "guest"):
        assert as_it_comes(name, CHOICES).services == talking
        assert "ai_chat" in as_it_comes(name, CHOICES).categories
    assert not as_it_comes("staff", CHOICES).services


def test_every_category_that_a_profile_begins_with_is_one_of_ours() -> None:
    known = {one.key for one in CHOICES.categories}
    assert {*model._PUPILS, *model._EVERYBODY} <= known
    assert [as_it_comes(name, CHOICES).mode for name in BUILT_IN] == ["watch"] * 3
    assert as_it_comes("exam", CHOICES).categories == frozenset()


def test_one_service_is_let_in_while_the_rest_stays_shut() -> None:
    found = profile_of(ProfileSettings(name="pupil"), [change("service:chatgpt", "off")], CHOICES)
    assert "chatgpt" not in found.services
    assert "character_ai" in found.services


def test_search_engines_without_a_safe_mode_are_shut_with_safe_search_unless_the_school_says_otherwise() -> None:
    def says(written: ProfileSettings, *changes: Change) -> bool:
        return model.UNSAFE_SEARCH in profile_of(written, changes, CHOICES).services

    pupil, staff = ProfileSettings(name="pupil"), ProfileSettings(name="staff")
    assert says(pupil)
    assert not says(pupil, change("safe_search", "off"))
    assert not says(pupil, change("service:unsafe_search", "off"))
    assert not says(staff)
    assert says(staff, change("safe_search", "on"))
    assert says(staff, change("service:unsafe_search", "on"))
    assert says(ProfileSettings(name="exam", safe_search=True))
    assert not says(ProfileSettings(name="exam", safe_search=True, services=("tiktok",))), "the file has the last word"


def test_the_file_fixes_only_what_it_says() -> None:
    written = ProfileSettings(name="pupil", mode="block", services=("tiktok",))
    changes = [change("mode", "off"), change("service:tiktok", "off"), change("category:games", "on")]
    found = profile_of(written, changes, CHOICES)
    assert (found.mode, found.services) == ("block", {"tiktok"})
    assert "games" in found.categories
    assert (found.fixes("mode"), found.fixes("service:netflix"), found.fixes("category:games")) == (True, True, False)


def test_what_blocks_more_is_stricter_whether_it_is_a_trial_run_or_not() -> None:
    mild = profile_of(ProfileSettings(name="staff", mode="block"), [], CHOICES)
    strict = profile_of(ProfileSettings(name="pupil", mode="watch"), [], CHOICES)
    only = profile_of(ProfileSettings(name="exam", only=True), [], CHOICES)
    assert [one.name for one in mildest_first([only, strict, mild])] == ["staff", "pupil", "exam"]


@pytest.mark.parametrize(
    ("change", "opens"),
    [
        ({}, False),
        ({"mode": "watch"}, True),
        ({"mode": "off"}, True),
        ({"only": True, "safe_search": False}, False),
        ({"categories": frozenset({"adult", "games"})}, False),
        ({"categories": frozenset({"games", "dating"})}, True),
        ({"services": frozenset()}, True),
        ({"safe_search": False}, True),
        ({"youtube": "moderate"}, True),
        ({"bypass": False}, True),
        ({"answer": "refused"}, False),
    ],
)
def test_a_profile_opens_what_another_one_stops(change: dict[str, Any], opens: bool) -> None:
    strict = model.Profile(
        "pupil", "Pupils", "block", frozenset({"adult"}), frozenset({"tiktok"}), safe_search=True, youtube="strict"
    )
    assert replace(strict, name="other", **change).opens_beyond(strict) is opens
    only = replace(strict, only=True)
    assert strict.opens_beyond(only)
    assert not only.opens_beyond(strict)


def test_one_profile_for_pupils_and_staff_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="pupils and staff would have the same profile, pupil; one profile for all"):
        Settings(profile_of_people={"staff": "pupil"})
    with pytest.raises(ValueError, match="one profile for all"):
        Settings(profile_of_people={"pupil": "staff"})
    assert Settings(profile_of_people={"guest": "pupil"}).profile_of_person("guest") == "pupil"


async def person(house: Any, kind: str, name: str) -> str:
    return await house.appliance.directory.add(KEEPER, Details(kind, name))  # type: ignore[no-any-return]


async def give(house: Any, kind: TargetKind, target: str, profile: str) -> None:
    await house.appliance.assignments.assign("Jo", KIND, Target(kind, target), profile, "a test", None)


async def test_people_have_the_profile_of_what_they_are(house: Any) -> None:
    having, at = house.plugin.profiles.publishing.having, now()
    teacher, pupil = await person(house, "staff", "Ada Teacher"), await person(house, "pupil", "Bea Pupil")
    assert having.profile_of(teacher, None, None, at).value == "staff"
    assert having.profile_of(pupil, None, None, at).value == "pupil"
    assert having.profile_of(None, None, None, at).value == "pupil"
    assert having.profile_of(pupil, None, "10.9.0.1", at).value == "pupil"  # in the office, whose profile is milder
    assert having.profile_of(None, None, "10.9.0.1", at).value == "staff"
    await give(house, TargetKind.NETWORKS, "lab", "exam")
    assert having.profile_of(teacher, None, "10.7.1.1", at).value == "exam"  # what a room has counts for all in it
    await give(house, TargetKind.PERSON, pupil, "staff")
    assert having.profile_of(pupil, None, "10.7.1.1", at).value == "staff"


async def test_the_strictest_of_several_groups_counts_and_the_device_comes_first(house: Any) -> None:
    having, directory = house.plugin.profiles.publishing.having, house.appliance.directory
    pupil = await person(house, "pupil", "Bea Pupil")
    device = await directory.devices.add(KEEPER, DeviceDetails("Laptop 1"))
    for name, profile in (("7A", "exam"), ("Choir", "staff")):
        group = await directory.groups.make(KEEPER, "list", name)
        await directory.groups.add_people(KEEPER, group, [pupil])
        await give(house, TargetKind.GROUP, group, profile)
    strictest = max(("exam", "staff"), key=having.rank)
    assert having.profile_of(pupil, device, None, now()).value == strictest
    await give(house, TargetKind.DEVICE, device, "guest")
    assert having.profile_of(pupil, device, None, now()).value == "guest"


async def test_a_choice_that_would_give_everybody_one_profile_is_refused(house: Any) -> None:
    profiles, directory = house.plugin.profiles, house.appliance.directory
    teacher = await person(house, "staff", "Ada Teacher")
    await person(house, "pupil", "Bea Pupil")
    group = await directory.groups.make(KEEPER, "list", "All staff")
    await directory.groups.add_people(KEEPER, group, [teacher])
    target = Target(TargetKind.GROUP, group)
    await profiles.groups.refuse_one_for_all(target, "pupil")  # the office still has another one
    profiles.publishing.having._settings = Settings(profiles=[{"name": "exam"}], profile_of={}, default_profile="pupil")
    profiles.publishing.having.declare(profiles.publishing.profiles())
    with pytest.raises(Refused, match=r"Then everybody would have the profile pupil\. One profile for all"):
        await profiles.groups.refuse_one_for_all(target, "pupil")
    await profiles.groups.refuse_one_for_all(target, "guest")


async def test_switches_pauses_and_entries_are_kept_with_author_reason_and_end(house: Any) -> None:
    store = house.plugin.profiles.store
    with pytest.raises(Refused, match="Say why"):
        await store.change("Jo", "pupil", {"mode": "block"}, " ", None)
    with pytest.raises(Refused, match="lies in the past"):
        await store.change("Jo", "pupil", {"mode": "block"}, "x", now() - timedelta(seconds=1))
    await store.change("Jo", "pupil", {"service:tiktok": "on", "only": "on"}, "A test", now() + timedelta(days=1))
    first, second = store.in_force.changes
    assert {first.switch, second.switch} == {"service:tiktok", "only"}
    await store.undo_change("Ada", first.id)
    assert store.in_force.changes == (second,)
    with pytest.raises(Refused, match="undone already"):
        await store.undo_change("Ada", first.id)
    rows = await store.history("pupil")
    assert {row["undone_by"] for row in rows} == {"Ada", None}
    await store.start()
    assert store.in_force.changes == (second,)


async def test_a_pause_is_on_the_record_and_another_one_takes_its_place(house: Any) -> None:
    store = house.plugin.profiles.store
    await store.pause("Jo", "", "pupil", "Pupils", 60, "Fire drill")
    pause = await store.pause("Ada", "", "pupil", "Pupils", 5, "Shorter")
    assert store.in_force.pauses == {"pupil": pause}
    await store.resume("Jo", "pupil")
    assert store.in_force.pauses == {}
    with pytest.raises(Refused, match="not paused any more"):
        await store.resume("Jo", "pupil")
    actions = [row["action"] for row in await house.appliance.audit.rows(None, 10)]
    assert actions[:3] == ["resumed a web filter profile", "paused a web filter profile", "paused a web filter profile"]


async def test_a_category_whose_only_list_is_empty_blocks_nothing_and_is_said_to(
    settings_file: Any, run_house: Any
) -> None:
    yaml = YAML.replace(
        "    profiles:\n", "      - {name: empty, file: lists/empty.txt, category: dating}\n    profiles:\n", 1
    )
    path = settings_file(yaml)
    (path.parent / "lists" / "empty.txt").write_text("# nothing yet\n")
    async with run_house(path) as house:
        publishing = house.plugin.profiles.publishing
        (pupil,) = [one for one in publishing.profiles() if one.name == "pupil"]
        assert "Dating" in in_plain_words(pupil, publishing.choices)["hungry"]
        assert "dating" in house.plugin.lists.hungry()
        assert house.verdict(probe_name("dating"), "10.7.0.1") != "blocked", "the daily test is not taken in either"
        (line,) = [one for one in await house.plugin.health() if one.name == "Web filter list empty"]
        assert (line.state, line.words) == (
            State.WARNING, "It is in force and names nothing, so nothing is blocked by it.",
        )  # fmt: skip


async def test_a_change_reaches_the_worker_by_itself(house: Any) -> None:
    """Whatever says that something has changed: nobody calls publish here."""
    profiles = house.plugin.profiles
    path = house.appliance.workers.folder("dns_filter.dns") / "snapshot.json"

    async def until(holds: Any) -> None:
        async with asyncio.timeout(10):
            while not holds(json.loads(path.read_text())):
                await asyncio.sleep(0.02)

    device = await house.appliance.directory.devices.add(KEEPER, DeviceDetails("Laptop 1"))
    profiles.clients.sightings = lambda: {"10.7.0.9": device}
    profiles.publishing.soon()
    await until(lambda found: found["clients"].get("10.7.0.9") == [["pupil", None]])
    await give(house, TargetKind.DEVICE, device, "exam")
    await until(lambda found: found["clients"].get("10.7.0.9") == [["exam", None]])
    pupil = await person(house, "pupil", "Bea Pupil")
    await give(house, TargetKind.PERSON, pupil, "guest")
    await until(lambda found: found["clients"].get("10.7.0.9") == [["exam", None]])
    await house.appliance.directory.devices.give(KEEPER, device, pupil)
    await until(lambda found: found["clients"].get("10.7.0.9") == [["guest", None]])
    assert "Bea" not in path.read_text()
    assert device not in path.read_text()
