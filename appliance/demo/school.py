"""The invented school: its staff, pupils and devices. Every name is made up; likenesses are chance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from appliance.access import Actor, Role
from appliance.app import Appliance
from appliance.assignments import Target, TargetKind
from appliance.monitoring.papers import Audience, Choice
from appliance.monitoring.switching import Switch
from appliance.people.devices import DeviceDetails
from appliance.people.directory import Details


@dataclass(frozen=True, slots=True)
class StaffMember:
    """A member of staff with an account."""

    name: str
    sign_in_name: str
    role: Role


STAFF = (
    StaffMember("Ida Okafor", "ida", Role.IT),
    StaffMember("Lena Hartley", "lena", Role.LEAD),
    StaffMember("Dev Parmar", "dev", Role.DEPUTY),
    StaffMember("Helen Marsh", "helen", Role.HEAD),
    StaffMember("Gwen Abbott", "gwen", Role.GOVERNOR),
)
FORMS = ("7A", "7B", "8A", "8B", "9A", "9B")
PUPILS_IN_A_FORM = 12
FORENAMES = (
    *("Ada", "Billy", "Chidi", "Daisy", "Ewan", "Farah", "Gethin", "Hana", "Idris", "Jade", "Kofi", "Lily"),
    *("Mateo", "Nadia", "Owen", "Priya", "Quinn", "Rhys", "Saoirse", "Tariq", "Una", "Vikram", "Wren", "Yusuf"),
)
SURNAMES = (
    *("Ashby", "Bello", "Carver", "Dhillon", "Ellery", "Farrow", "Gill", "Holt", "Iqbal", "Jarvis", "Keane"),
    *("Lomax", "Mistry", "Nolan", "Osei", "Pike", "Quirk", "Rahman", "Sayer", "Tovey", "Underhill", "Vance", "Wick"),
)
DEVICES = 24
PASSWORD_WORDS = (
    *("amber", "badger", "candle", "dapple", "ember", "fiddle", "gravel", "hazel", "inkwell", "juniper", "kettle"),
    *("lantern", "marble", "nettle", "orchid", "pebble", "quarry", "ribbon", "saddle", "thimble", "umber", "velvet"),
    *("walnut", "yonder", "zephyr", "acorn", "bramble", "cobalt", "dormouse", "elder", "flint", "gorse", "heron"),
    *("ivory", "jigsaw", "kestrel", "lupin", "meadow", "nutmeg", "otter", "plover", "quill", "rowan", "sorrel"),
)


@dataclass(frozen=True, slots=True)
class Made:
    """What was written into the directory: ids of devices with the ids of the pupils who have them (or ``None``)."""

    devices: tuple[tuple[str, str, str | None], ...]
    """Id, name, pupil."""


def pupils() -> Iterator[tuple[str, str]]:
    """Name and form of every pupil; no name twice."""
    for number in range(len(FORMS) * PUPILS_IN_A_FORM):
        forename = FORENAMES[number % len(FORENAMES)]
        surname = SURNAMES[(number * 7 + number // len(FORENAMES)) % len(SURNAMES)]
        yield f"{forename} {surname}", FORMS[number // PUPILS_IN_A_FORM]


async def make_directory(appliance: Appliance, actor: Actor) -> Made:
    """Pupils in forms, and laptops: some have a pupil, some stand in a trolley."""
    directory = appliance.directory
    people: list[str] = []
    of_form: dict[str, list[str]] = {form: [] for form in FORMS}
    for name, form in pupils():
        person = await directory.add(actor, Details("pupil", name))
        people.append(person)
        of_form[form].append(person)
    for form, members in of_form.items():
        group = await directory.groups.make(actor, "form", form)
        await directory.groups.add_people(actor, group, members)
    devices: list[tuple[str, str, str | None]] = []
    for number in range(DEVICES):
        name = f"LAPTOP-{number + 1:02}"
        device = await directory.devices.add(actor, DeviceDetails(name, f"LK{4100 + number}"))
        pupil = people[number * 3] if number % 4 else None
        if pupil is not None:
            await directory.devices.give(actor, device, pupil)
        devices.append((device, name, pupil))
    trolley = await directory.groups.make(actor, "trolley", "Library trolley")
    await directory.groups.add_devices(actor, trolley, [device for device, _, pupil in devices if pupil is None])
    return Made(tuple(devices))


async def go_live(appliance: Appliance, lead: Actor) -> None:
    """Write down what a school must before it monitors, then switch on for every form and for the trolley."""
    monitoring = appliance.monitoring
    today = monitoring.today()
    await monitoring.choices.add(
        lead,
        Choice(
            ages="Pupils from 11 to 14.",
            own_devices="Pupils' own devices are not monitored.",
            languages="English; about a tenth speak another language at home.",
            updates="Terms are read through once a term.",
            approaches=("in person", "device"),
            why="An invented school needs an invented reason: staff cannot see every screen.",
        ),
    )
    for audience in (Audience.PUPILS, Audience.PARENTS, Audience.STAFF, Audience.GOVERNORS):
        await monitoring.told.add(lead, audience, today, "A letter and an assembly", "The head", "", today)
    for group in await appliance.directory.groups.all(lead):
        await monitoring.switch(lead, _on(group["id"], today))


def _on(group: str, today: date) -> Switch:
    return Switch(
        Target(TargetKind.GROUP, group),
        on=True,
        reason="The whole school, from the first day of the demonstration.",
        until=None,
        policy="Online safety policy",
        policy_date=today,
        told="Everybody, by letter.",
    )
