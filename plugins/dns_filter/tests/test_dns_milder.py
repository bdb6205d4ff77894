"""Whoever lets pupils open more is seen: the leads are told, and the status page says what does not end by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.access import Actor, Permission
from appliance.api import State, Target, TargetKind
from appliance.people.devices import DeviceDetails
from appliance.people.directory import Details
from appliance_plugins.dns_filter.profiles.groups import KIND, networks
from appliance_plugins.dns_filter.tests.conftest import YAML

KEEPER = Actor("Ida", frozenset({Permission.MANAGE_PEOPLE}))


async def told(pages: Any) -> str:
    return (await pages.lead.get("/notices")).text  # type: ignore[no-any-return]


async def lines(house: Any, name: str) -> list[Any]:
    return [one for one in await house.plugin.health() if one.name == name]


async def test_the_lead_is_told_of_a_profile_of_pupils_that_lets_through_more(house: Any, pages: Any) -> None:
    path = "/dns_filter/profiles/pupil"
    answer = await pages.it.post(path, {"bypass": "off", "safe_search": "off", "answer": "refused", "reason": "A slip"})
    assert answer.status == 303
    page = await told(pages)
    assert "Ida Technician changed the web filter profile Pupils, which lets through more now" in page
    assert "Ways around the filter: Open" in page
    assert "Safe results of search engines: Off" in page
    assert "What a device hears" not in page, "that lets nothing through"
    assert "A slip" not in page, "a reason may name a pupil"
    assert f'href="{path}"' in page


async def test_nobody_is_told_of_what_is_stricter_or_of_staff_alone(house: Any, pages: Any) -> None:
    await pages.it.post("/dns_filter/profiles/pupil", {"youtube": "strict", "reason": "Stricter"})
    await pages.it.post("/dns_filter/profiles/exam", {"bypass": "off", "reason": "Nobody has it"})
    assert "lets through more" not in await told(pages)
    await pages.lead.post("/dns_filter/profiles/pupil", {"youtube": "off", "reason": "Her own choice"})
    assert "lets through more" not in await told(pages), "who did it knows of it"


async def test_a_change_is_undone_on_the_page_of_its_profile_and_the_lead_hears_what_it_opens(
    house: Any, pages: Any
) -> None:
    await pages.it.post("/dns_filter/profiles/pupil", {"youtube": "strict", "reason": "Stricter"})
    (change,) = house.plugin.profiles.store.in_force.changes
    assert (await pages.it.post("/dns_filter/profiles/exam/undo", {"id": change.id})).status == 422
    assert (await pages.it.post("/dns_filter/profiles/pupil/undo", {"id": change.id})).status == 303
    assert "undid a change of the web filter profile Pupils, which lets through more now" in await told(pages)


async def test_the_lead_is_told_of_a_milder_profile_for_pupils_a_device_or_a_room(house: Any, pages: Any) -> None:
    directory = house.appliance.directory
    pupil = await directory.add(KEEPER, Details("pupil", "Bea Pupil"))
    form = await directory.groups.make(KEEPER, "list", "Bea alone")
    await directory.groups.add_people(KEEPER, form, [pupil])
    await directory.devices.add(KEEPER, DeviceDetails("Laptop 1"))
    for group, name, words in (
        (f"group:{form}", "", "counts for 1 pupil."),
        ("year7", "", "counts for every device of a network on which nobody is signed in."),
        ("year7", "Laptop 1", "counts for 1 device."),
    ):
        typed = {"group": group, "name": name, "profile": "staff", "reason": "A slip", "last_day": ""}
        assert (
            await pages.it.post("/dns_filter/groups", {**typed, "sure": f"staff for {name or group}"})
        ).status == 303
        assert words in await told(pages)
    assert "Bea" not in await told(pages), "a notice names no pupil, and no group of one"


async def test_the_lead_is_told_when_what_was_undone_was_stricter(house: Any, pages: Any) -> None:
    await house.appliance.directory.add(KEEPER, Details("pupil", "Bea Pupil"))
    waiting, account = house.appliance.notices.waiting, pages.lead.actor.account
    typed = {"group": "year7", "name": "Bea Pupil", "reason": "Exams", "last_day": ""}
    await pages.it.post("/dns_filter/groups", {**typed, "profile": "staff", "sure": "staff for Bea Pupil"})
    assert waiting(account) == 1
    await pages.it.post("/dns_filter/groups", {**typed, "profile": "pupil"})
    assert waiting(account) == 1, "that was stricter"
    ((_, row),) = house.appliance.assignments.in_force(KIND)
    await pages.it.post("/dns_filter/groups/undo", {"id": row["id"]})
    assert waiting(account) == 2


async def test_a_profile_of_pupils_that_is_switched_off_stands_on_the_status_page(house: Any, pages: Any) -> None:
    assert not await lines(house, "Profiles of pupils")
    await pages.it.post("/dns_filter/profiles/exam", {"mode": "off", "reason": "Fixed by the file"})
    await pages.it.post("/dns_filter/profiles/staff", {"mode": "off", "reason": "Adults"})
    assert not await lines(house, "Profiles of pupils"), "no pupil has it"
    await pages.it.post("/dns_filter/profiles/guest", {"mode": "off", "reason": "A slip"})
    (line,) = await lines(house, "Profiles of pupils")
    assert line.state is State.WARNING
    assert "switched off: Guests." in line.words
    assert "What it does: Block nothing" in await told(pages)


async def test_gaps_of_a_profile_of_pupils_stand_on_the_status_page(house: Any, pages: Any) -> None:
    assert not await lines(house, "Gaps in profiles of pupils")
    await pages.it.post("/dns_filter/profiles/staff", {"bypass": "off", "reason": "Adults"})
    assert not await lines(house, "Gaps in profiles of pupils"), "no pupil has it"
    await pages.it.post("/dns_filter/profiles/pupil", {"bypass": "off", "safe_search": "off", "reason": "A slip"})
    (line,) = await lines(house, "Gaps in profiles of pupils")
    assert line.state is State.WARNING
    assert "Pupils: search engines may show unsafe results and ways around it are open." in line.words
    await pages.it.post("/dns_filter/profiles/guest", {"mode": "off", "bypass": "off", "reason": "Another one"})
    (line,) = await lines(house, "Gaps in profiles of pupils")
    assert "Guests" not in line.words, "that it is off is said already"


@pytest.mark.parametrize("device", ["", "held"])
async def test_a_profile_of_a_device_counts_as_that_of_pupils_unless_staff_hold_it(
    house: Any, pages: Any, device: str
) -> None:
    directory = house.appliance.directory
    laptop = await directory.devices.add(KEEPER, DeviceDetails("Laptop 1"))
    if device == "held":
        await directory.devices.give(KEEPER, laptop, await directory.add(KEEPER, Details("staff", "Ada Teacher")))
    typed = {"group": "year7", "name": "Laptop 1", "profile": "exam", "reason": "Exams", "last_day": ""}
    await pages.it.post("/dns_filter/groups", {**typed, "sure": "exam for Laptop 1"})
    await pages.it.post("/dns_filter/profiles/exam", {"bypass": "off", "reason": "A slip"})
    assert ("web filter profile Exam, which lets through more" in await told(pages)) == (device == "")


async def test_settings_that_leave_one_profile_for_all_are_a_broken_line(
    settings_file: Callable[..., Path], run_house: Any
) -> None:
    """The way around the page: each group by itself, then the default, which no page of the filter can refuse."""
    yaml = YAML.replace("    profile_of: {office: staff}\n", "")
    async with run_house(settings_file(yaml)) as house:
        directory, assignments = house.appliance.directory, house.appliance.assignments
        everybody = await directory.groups.make(KEEPER, "list", "Everybody")
        people = [await directory.add(KEEPER, Details(kind, f"A {kind}")) for kind in ("pupil", "staff")]
        await directory.groups.add_people(KEEPER, everybody, people)
        given = [Target(TargetKind.GROUP, everybody), *(networks(one) for one in ("year7", "lab", "office"))]
        for target in given:
            await assignments.assign("Ida", KIND, target, "staff", "A slip", None)
        assert not await lines(house, "Profiles of pupils and staff"), "unknown devices have the pupils' one still"
    async with run_house(settings_file(f"{yaml}    default_profile: staff\n")) as house:
        await house.appliance.directory.start()
        (line,) = await lines(house, "Profiles of pupils and staff")
        assert line.state is State.BROKEN
        assert "Everybody has the profile Staff, pupils and staff alike." in line.words
