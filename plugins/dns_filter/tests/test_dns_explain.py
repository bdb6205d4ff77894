"""Why a device would get what it gets: every step in words, nobody's name, and nothing about places of help."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from appliance.access import Actor, Permission
from appliance.api import Refused, Target, TargetKind, now, stamp
from appliance.people.devices import DeviceDetails
from appliance.people.directory import Details
from appliance.plugin_commands import run_words
from appliance_plugins.dns_filter.answerer.rules import Decision
from appliance_plugins.dns_filter.profiles.explain import Led, _led
from appliance_plugins.dns_filter.profiles.explaining import COMMAND_LINE
from appliance_plugins.dns_filter.profiles.having import KIND
from appliance_plugins.dns_filter.profiles.model import Choices
from appliance_plugins.dns_filter.profiles.store import InForce
from appliance_plugins.dns_filter.queries.presenting import why_words
from appliance_plugins.dns_filter.queries.records import QueryRow

KEEPER = Actor("Ida", frozenset({Permission.MANAGE_PEOPLE}))


async def explained(house: Any, name: str, client: str = "") -> tuple[str, str]:
    found = await house.plugin.profiles.explaining.explain(COMMAND_LINE, name, client)
    return found.heading, " ".join(found.steps)


async def test_a_name_of_which_nothing_is_said_is_open(house: Any) -> None:
    heading, steps = await explained(house, "https://www.fine.example/page", "10.7.0.5")
    assert heading == "Open"
    assert "The device at 10.7.0.5 has the profile Pupils: the default." in steps
    assert "no service and no entry of the school names it" in steps


async def test_a_place_of_help_is_never_touched_and_nothing_more_is_said(house: Any) -> None:
    await house.plugin.profiles.store.pause("Jo", "", "pupil", "Pupils", 5, "Fire drill")
    heading, steps = await explained(house, "www.help.example", "10.7.0.5")
    assert heading == "Never touched"
    assert (
        steps == "Places where pupils look for help are open for everybody. They are never blocked, listed or counted."
    )


async def test_an_entry_says_who_made_it_why_and_until_when(house: Any) -> None:
    until = datetime(2099, 1, 2, 0, tzinfo=UTC)
    await house.plugin.profiles.store.add_entry("Jo", "block", "bad.example", "pupil", "Bullying", until)
    heading, steps = await explained(house, "www.bad.example", "pupil")
    assert heading == "Blocked"
    assert (
        "An entry of the school blocks bad.example with everything below it: Bullying (Jo, until 02 January 2099"
        in steps
    )
    assert "led to the page that says why" in steps or "no such site" in steps
    assert (await explained(house, "www.bad.example", "Staff"))[0] == "Open"


async def test_a_service_a_pause_and_a_trial_run_are_said(house: Any) -> None:
    store = house.plugin.profiles.store
    await store.change("Jo", "staff", {"service:tiktok": "on"}, "A test", None)
    heading, steps = await explained(house, "www.tiktok.com", "office")
    assert heading == "Open now; blocked once the trial run is over"
    assert "It belongs to TikTok, which this profile blocks" in steps
    assert "A device of office has the profile Staff: the settings file" in steps
    await store.change("Jo", "staff", {"mode": "block"}, "A test", None)
    assert (await explained(house, "www.tiktok.com", "10.9.0.1"))[0] == "Blocked"
    await store.pause("Jo", "", "staff", "Staff", 5, "Fire drill")
    heading, steps = await explained(house, "www.tiktok.com", "10.9.0.1")
    assert heading == "Open"
    assert "Jo paused this profile until" in steps
    assert "Fire drill" in steps


async def test_safe_search_and_canaries_are_said(house: Any) -> None:
    assert await explained(house, "www.google.com", "guest") == (
        "Open, with safe results",
        "This is for whoever has the profile Guests. This profile is on a trial run: it blocks "
        "nothing and notes what it would have blocked. It is answered by forcesafesearch.google.com, so that results "
        "are safe.",
    )


@pytest.mark.parametrize("name", ["use-application-dns.net", "mask.icloud.com"])
async def test_a_canary_is_said_to_keep_devices_with_the_school_and_leads_to_no_page(house: Any, name: str) -> None:
    heading, steps = await explained(house, name, "staff")
    assert heading == "Open now; blocked once the trial run is over"
    assert f"Browsers and phones ask for {name} to learn whether they may go past the filter." in steps
    assert "The device hears no" not in steps, "on a trial run it is let through"
    for answer in ("page", "nxdomain"):
        changes = {"mode": "block", "answer": answer}
        await house.plugin.profiles.store.change("Jo", "staff", changes, "A test", None)
        heading, steps = await explained(house, name, "staff")
        assert heading == "Blocked"
        assert "The device hears no and keeps asking the school, so the filter works on it." in steps
        assert "led to the page" not in steps
        assert "no such site" not in steps
    await house.plugin.profiles.store.pause("Jo", "jo", "staff", "Staff", 5, "A test")
    heading, steps = await explained(house, name, "staff")
    assert heading == "Blocked"
    assert "That holds in a pause too" in steps
    assert (await explained(house, "nordvpn.com", "staff"))[0] == "Open"


async def test_a_device_and_a_group_are_found_by_their_names_and_people_are_not(house: Any) -> None:
    directory, assignments = house.appliance.directory, house.appliance.assignments
    device = await directory.devices.add(KEEPER, DeviceDetails("Laptop 1"))
    group = await directory.groups.make(KEEPER, "form", "7A")
    pupil = await directory.add(KEEPER, Details("pupil", "Bea Pupil"))
    until = now() + timedelta(days=1)
    for kind, target in ((TargetKind.DEVICE, device), (TargetKind.GROUP, group)):
        await assignments.assign("Jo", KIND, Target(kind, target), "exam", "Mock exams", until)
    for name in ("Laptop 1", "7a"):
        assert "has the profile Exam: set by Jo: Mock exams." in (await explained(house, "fine.example", name))[1]
    assert "The device Laptop 1 has the profile Exam" in (await explained(house, "fine.example", device))[1]
    with pytest.raises(Refused, match=r"Nothing here is called 'Bea Pupil'\. .*ask for their profile"):
        await explained(house, "fine.example", "Bea Pupil")
    assert (
        "A device that is in no group has the profile Pupils: the default."
        in (await explained(house, "fine.example"))[1]
    )
    house.plugin.profiles.clients.sightings = lambda: {"10.7.0.9": device}
    await directory.devices.give(KEEPER, device, pupil)
    await assignments.undo(
        "Jo", KIND, next(row["id"] for target, row in assignments.in_force(KIND) if target.id == device)
    )
    await assignments.assign("Jo", KIND, Target(TargetKind.PERSON, pupil), "exam", "Bea looked for it", None)
    steps = (await explained(house, "fine.example", "10.7.0.9"))[1]
    assert "has the profile Exam: somebody chose so for who is signed in there." in steps
    by_name = (await explained(house, "fine.example", "Laptop 1"))[1]
    assert "The device Laptop 1, which is at 10.7.0.9 now, has the profile Exam: somebody chose so" in by_name
    assert "Bea" not in steps


async def test_ways_around_the_filter_have_one_switch(house: Any) -> None:
    store = house.plugin.profiles.store
    await store.change("Jo", "pupil", {"mode": "block"}, "A test", None)
    assert (await explained(house, "nordvpn.com", "pupil"))[0] == "Blocked"
    await store.change("Jo", "pupil", {"bypass": "off"}, "A test", None)
    assert (await explained(house, "nordvpn.com", "pupil"))[0] == "Open"


def row(name: str, **parts: Any) -> dict[str, Any]:
    return {
        "t": stamp(), "client": "10.7.0.5", "name": name, "type": "A", "verdict": "blocked", "why": "cname", "list": "",
        "rule": "", "category": "", "profile": "pupil", "upstream": "", "ms": 1.0, "count": 1, **parts,
    }  # fmt: skip


async def test_what_an_open_name_led_to_is_said_while_that_is_stopped(house: Any) -> None:
    store, queries = house.plugin.profiles.store, house.plugin.queries
    await store.change("Jo", "pupil", {"mode": "block", "service:tiktok": "on"}, "A test", None)
    entry = await store.add_entry("Jo", "block", "evil.example", "pupil", "A test", None)
    rows = [
        row("listed.example", list="ads", rule="ads.example"),
        row("entered.example", rule=entry),
        row("served.example", rule="tiktok"),
        row("inside.example", why="rebind"),
        row("gone.example", rule="4711"),
    ]
    await queries.receive(rows, 0)
    for name, words in (
        ("listed.example", "But it is another name for ads.example, or for one below it. The list"),
        ("entered.example", "another name for evil.example, or for one below it. An entry of the school blocks"),
        ("served.example", "another name for another site. It belongs to TikTok"),
        ("inside.example", "But it led to an address inside the school"),
    ):
        heading, steps = await explained(house, name, "10.7.0.5")
        assert (name, heading, words in steps) == (name, "Blocked", True), steps
        assert "That was so at" in steps
        assert "led to the page that says why" in steps or "no such site" in steps
        assert (await explained(house, name, "Staff"))[0] == "Open", "it was asked for with another profile"
    assert (await explained(house, "gone.example", "10.7.0.5"))[0] == "Open", "what stopped it is gone"
    await store.add_entry("Jo", "allow", "ads.example", "pupil", "A test", None)
    assert (await explained(house, "listed.example", "10.7.0.5"))[0] == "Open"


def test_what_a_locked_list_holds_is_not_told_by_what_leads_there() -> None:
    led = Led("evil.example", Decision("blocked", "locked list", "iwf", "evil.example", "child_abuse"), stamp())
    words = _led(led, InForce(), Choices((), (), ()), lambda at: at)
    assert words.startswith("But it leads to a site on a locked list")
    assert "evil" not in words
    noted = QueryRow(
        *("", "", "open.example", "A", "blocked", "", "pupil", "iwf", 1, stamp(), stamp(), 0.0),
        why="cname", rule="evil.example", category="child_abuse",
    )  # fmt: skip
    assert why_words(noted) == "It leads to a site that the law does not allow"


async def test_switches_are_called_as_on_the_pages_of_profiles(house: Any) -> None:
    store = house.plugin.profiles.store
    await store.change("Jo", "pupil", {"service:unsafe_search": "on", "service:other_ai": "on"}, "A test", None)
    for name, title in (("mojeek.com", "Search engines without a safe mode"), ("poe.com", "Other AI chats")):
        assert f"It belongs to {title}, which this profile blocks." in (await explained(house, name, "pupil"))[1]


@pytest.mark.parametrize(
    ("why", "rule", "words"),
    [
        ("service", "unsafe_search", "The service Search engines without a safe mode is switched off"),
        ("service", "other_ai", "The service Other AI chats is switched off"),
        ("service", "gone_since", "The service gone_since is switched off"),
        ("cname", "other_ai", "It is another name for Other AI chats, which is blocked"),
        ("cname", "evil.example", "It is another name for evil.example, which is blocked"),
        ("cname", "0f3a", "It is another name for another site, which is blocked"),
    ],
)
def test_the_log_names_services_as_the_pages_of_profiles_do(why: str, rule: str, words: str) -> None:
    noted = QueryRow(
        *("", "", "open.example", "A", "blocked", "", "pupil", "", 1, stamp(), stamp(), 0.0), why=why, rule=rule
    )
    assert why_words(noted) == words


async def test_what_cannot_be_explained_is_said(house: Any) -> None:
    for name, client, words in (
        ("co.uk", "", "very many sites share"),
        ("fine.example", "203.0.113.9", "gets no answer at all"),
        ("fine.example", "nothing like it", "Nothing here is called"),
    ):
        with pytest.raises(Refused, match=words):
            await explained(house, name, client)


async def test_the_command_line_prints_the_same(house: Any) -> None:
    words = await run_words(house.appliance.plugins, ["dns", "explain", "www.help.example", "--client", "10.7.0.5"])
    assert words.startswith("www.help.example: Never touched\n  1. Places where pupils look for help")
