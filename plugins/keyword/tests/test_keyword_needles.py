"""What devices get: needles made of policies, hidden ones as hashes, picked by levels, brought up to date at once."""

from __future__ import annotations

import asyncio
import dataclasses
import datetime
import json
import sys
import unicodedata
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from accounts import no_store_is_left_open

from appliance.access import Role
from appliance.assignments import Target, TargetKind
from appliance.endpoints.tokens import NewToken
from appliance.observations import EndpointDevice, Severity, Surface
from appliance.people.directory import Details
from appliance.simulated_browser import SimulatedBrowser
from appliance.testing import HELP_SEEKING, Client, Home, Running, free_port, start_in_process
from appliance_plugins.keyword.choices.levels.model import Whom
from appliance_plugins.keyword.choices.model import NAMES, Decisions, Name
from appliance_plugins.keyword.library.model import Matching, Policy, Term
from appliance_plugins.keyword.needles import tables
from appliance_plugins.keyword.needles.making import Making
from appliance_plugins.keyword.needles.phrases import near_form, phrases_of
from appliance_plugins.keyword.needles.siphash import hasher
from appliance_plugins.keyword.needles.surfaces import bits

__all__ = ["no_store_is_left_open"]

loop = pytest.mark.asyncio(loop_scope="module")
KEY = bytes(range(16))
PHRASE = "purple penguins juggle pineapples"


def term(id_: str, *phrases: str, **other: Any) -> Term:
    return dataclasses.replace(Term(id_, phrases, "", Severity.MINOR, frozenset({Surface.TYPED})), **other)


def policy_of(*terms: Term, hidden: bool = False) -> Policy:
    return Policy("a", "A", "bullying", "1", datetime.date.min, "", "", terms, hidden)


# Made of policies


@pytest.mark.parametrize(
    ("message", "hashed"),
    [  # the first, second and last vectors that the authors of SipHash give, for the key 00 01 ... 0f
        (b"", "310e0edd47db6f72"),
        (b"\x00", "fd67dc93c539f874"),
        (bytes(range(15)), "e545be4961ca29a1"),
        (bytes(range(63)), "724506eb4c328a95"),
    ],
)
def test_hashes_are_those_of_siphash(message: bytes, hashed: str) -> None:
    assert hasher(KEY)(message).hex() == hashed


def test_surfaces_are_those_of_a_browser() -> None:
    assert bits({Surface.TYPED, Surface.SEARCH}) == 0b10001
    assert bits({Surface.EMAIL}) == bits({Surface.TYPED})
    assert bits({Surface.NAME, Surface.APPLICATION}) == 0


def test_phrases_are_sorted_by_how_they_are_compared() -> None:
    phrases = ("I'm SAD", "i am sad", "kms", "自杀", "–")  # noqa: RUF001
    assert {kind: list(found) for kind, found in phrases_of(term("x", *phrases)).items()} == {
        "loose": ["i am sad"],
        "short": ["kms"],
        "solid": ["自杀"],
    }
    exact = phrases_of(term("x", "U R", "ur mate", matching=Matching.EXACT))
    assert {kind: list(found) for kind, found in exact.items()} == {"exact": ["u r", "ur mate"]}


@pytest.mark.parametrize(
    ("phrase", "form"), [("hat* u", "hat* you"), ("He's", "he is"), ("Zoë*", "zoe*"), ("a-b* c", "a* be* c"), ("!", "")]
)
def test_what_has_to_stand_near_is_put_in_plain_forms(phrase: str, form: str) -> None:
    assert near_form(phrase) == form


def test_needles_hold_what_is_wanted_and_nothing_else() -> None:
    near = term("near", "pretty knife", near=("stab*",), within=3)
    made = Making([policy_of(term("one", "zorbling", "wub wub"), near, term("other", "blue cheese"))], KEY)
    found = made.needles({"a/one": 1, "a/near": 3, "a/nowhere": 1, "a/other": 0})
    (name,) = found["near"]
    assert found["terms"] == {
        "a/one": {"surfaces": 1, "loose": "zorbling|wub wub"},
        "a/near": {"surfaces": 3, "loose": "pretty knife", "near": name, "within": 3},
    }
    assert found["near"] == {name: "stab*"}
    assert found["taught"] == {"w": "wub", "z": "zorbling"}  # what a list of English has does not need to be taught
    assert "hidden" not in found


def test_hidden_terms_leave_as_hashes_alone() -> None:
    secret = policy_of(
        term("x", "Dark  Márket", "abc", near=("sell*", "buy it"), surfaces=frozenset(Surface), within=5), hidden=True
    )
    made = Making([secret], KEY)
    found = made.needles({"a/x": bits(frozenset(Surface))})
    text = json.dumps(found)
    assert not any(word in text for word in ("dark", "arket", "abc", "sell", "a/x"))
    hidden = found["hidden"]
    assert hidden["words"] == [[1, 2], [2], [2], [2], [2]]  # three letters count where they are typed alone
    (near,) = hidden["near"]
    assert sorted(hidden["hashes"].values()) == [[0b00001, near, 5], [0b11111, near, 5]]
    assert (len(hidden["near"][near]), hidden["longestNear"]) == (2, 2)
    assert made.needles({}).get("hidden") is None
    other = Making([secret], bytes(16)).needles({"a/x": 1})["hidden"]
    assert not set(other["hashes"]) & set(hidden["hashes"])


def test_a_phrase_of_two_hidden_terms_counts_as_one_of_either() -> None:
    both = policy_of(term("x", "dark market", near=("sell",)), term("y", "dark market"), hidden=True)
    found = Making([both], KEY).needles({"a/x": 1, "a/y": 16})["hidden"]
    (ways,) = found["hashes"].values()
    assert {tuple(ways[:3]), tuple(ways[3:])} == {(1, *found["near"], 8), (16, "", 0)}


# In a running appliance


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("needles") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    home.write("groups: [{name: lab, title: The lab, addresses: [10.7.1.0/24]}]\nplugins: {keyword: {}}\n")
    found = await start_in_process(home)
    yield found
    await found.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def lead(running: Running) -> Client:
    found = await running.as_role(Role.LEAD, name="Lena Lead")
    await running.appliance.vaults.start()
    await running.appliance.monitoring.refresh()  # there is somebody now who can open captures
    return found


def plugin(running: Running) -> Any:
    return running.appliance.plugins._registered["keyword"].plugin


async def needles(running: Running, person: str | None = None, *, monitored: bool = True) -> Any:
    device = EndpointDevice("e", None, person, monitored)
    return (await running.appliance.plugins.endpoint_policies(device))["keyword"]


async def policies_of(running: Running, person: str | None = None) -> set[str]:
    return {name.partition("/")[0] for name in (await needles(running, person))["terms"]}


@loop
async def test_a_device_that_is_not_monitored_looks_for_the_test_phrase_alone(running: Running) -> None:
    found = await needles(running, monitored=False)
    assert {name: term["exact"] for name, term in found["terms"].items()} == {"test/test": PHRASE}
    assert "hidden" not in found
    assert found is await needles(running, monitored=False)  # the same object for all that look for the same


@loop
async def test_a_device_looks_for_what_the_levels_of_somebody_ask_for(running: Running, lead: Client) -> None:
    pupil = await running.appliance.directory.add(lead.actor, Details("pupil", "Bea Pupil"))
    assert {"suicide", "bullying", "test"} <= await policies_of(running)
    form = {"group": "everybody", "name": "Bea Pupil", "reason": "Agreed", "last_day": ""}
    assert (await lead.post("/keyword/levels", {**form, "policy": "bullying", "level": "off"})).status == 303
    assert (await lead.post("/keyword/levels", {**form, "policy": "suicide", "level": "severe"})).status == 303
    assert (await lead.post("/keyword/levels", {**form, "policy": "drugs", "level": "reading"})).status == 303
    theirs, others = await needles(running, pupil), await needles(running)
    assert "bullying" not in await policies_of(running, pupil)
    assert "bullying" in await policies_of(running)
    severe = {f"suicide/{one.id}" for one in policy(running, "suicide").terms if one.severity is Severity.SEVERE}
    assert {name for name in theirs["terms"] if name.startswith("suicide/")} == severe
    (a_drug, *_) = (name for name in theirs["terms"] if name.startswith("drugs/"))
    page = bits({Surface.PAGE})
    assert theirs["terms"][a_drug]["surfaces"] & page
    assert theirs["terms"][a_drug]["surfaces"] == others["terms"][a_drug]["surfaces"] | page | bits({Surface.TITLE})


def policy(running: Running, name: str) -> Policy:
    found: Policy = plugin(running).choices.library.policy(name)
    return found


@loop
async def test_what_may_count_at_another_hour_or_address_is_looked_for_too(running: Running, lead: Client) -> None:
    form = {"name": "", "reason": "Exams", "last_day": "", "policy": "weapons"}
    assert (
        await lead.post("/keyword/levels", {**form, "group": "everybody", "level": "off", "sure": "nothing of weapons"})
    ).status == 303
    assert "weapons" not in await policies_of(running)
    at_most = plugin(running).choices.levels.at_most
    night = {
        "policy": "all", "group": "everybody", "level": "severe", "reason": "Nights", "span": "hours", "friday": "yes",
        "start": "23:00", "finish": "23:30", "last_day": "",
    }  # fmt: skip
    assert (await lead.post("/keyword/times", night)).status == 303
    assert at_most("weapons", Whom()) == "severe"
    assert (await lead.post("/keyword/levels", {**form, "group": "networks:lab", "level": "moderate"})).status == 303
    assert at_most("weapons", Whom()) == "moderate"
    assert "weapons" in await policies_of(running)


@loop
async def test_hidden_policies_and_names_that_are_watched_for_leave_as_hashes(running: Running) -> None:
    before = await needles(running)
    assert not any(name.startswith("illegal/") for name in before["terms"])
    watched = Decisions(names=(Name("n1", "Trella the Smella", "2099-01-01T00:00:00.000Z"),))
    plugin(running).choices.library.take(watched)
    plugin(running)._policies_changed()
    async with asyncio.timeout(60):
        while len((await needles(running))["hidden"]["hashes"]) == len(before["hidden"]["hashes"]):
            await asyncio.sleep(0.05)
    found = await needles(running)
    new = set(found["hidden"]["hashes"]) - set(before["hidden"]["hashes"])
    assert [found["hidden"]["hashes"][one] for one in new] == [bits({Surface.TYPED, Surface.SEARCH})]
    assert "trella" not in json.dumps(found)
    assert NAMES not in json.dumps(found)


@loop
async def test_a_change_reaches_a_connected_device_as_what_has_changed(running: Running) -> None:
    endpoints = running.appliance.endpoints
    await endpoints.tokens.make(running.actor, NewToken("Trolley"))
    token = (await endpoints.tokens.all(running.actor))[0]["token"]
    browser = SimulatedBrowser(running.port, endpoints.extension.id, token)
    async with browser.connected():
        await browser.enrol()
        (row,) = await running.appliance.records.fetch("SELECT id FROM endpoints WHERE state = 'waiting'")
        await endpoints.enrolment.approve(running.actor, [row["id"]], "one by one")
        await browser.welcomed()
        (connection,) = endpoints.connections.all()
        on = Target(TargetKind.DEVICE, str(connection.endpoint.device))
        await running.appliance.assignments.assign("a test", "monitoring", on, "on", "a test", None)
        while "suicide/want-to-die" not in browser.policy["plugins"]["keyword"]["terms"]:
            await browser.hear("policy", seconds=30)
        leave_a_term_out(running)
        heard = await browser.hear("policy", seconds=30)
        while "suicide/want-to-die" in browser.policy["plugins"]["keyword"]["terms"]:
            heard = await browser.hear("policy", seconds=30)
        assert heard["patch"]["plugins"]["keyword"]["terms"]["suicide/want-to-die"] is None
        assert len(json.dumps(heard)) < 20_000


def leave_a_term_out(running: Running) -> None:
    """As if the school had switched it off."""
    found = [
        dataclasses.replace(one, terms=tuple(two for two in one.terms if two.id != "want-to-die"))
        for one in plugin(running).choices.library.policies
    ]
    plugin(running).needles.take(tuple(found))


def test_every_digit_of_every_script_is_known() -> None:
    zeros = {code for code in range(sys.maxunicode + 1) if unicodedata.decimal(chr(code), None) == 0}
    assert set(tables._zeros()) == zeros
