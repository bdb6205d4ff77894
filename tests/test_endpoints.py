"""Browsers on school devices, over a real socket: who is let in, what they are told, what becomes of what they send."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from accounts import no_store_is_left_open

from appliance.assignments import Target, TargetKind
from appliance.clock import new_id, now, parse, stamp
from appliance.endpoints import connections as connecting
from appliance.endpoints import enrolment as enrolling
from appliance.endpoints import intake as taking
from appliance.endpoints.connections import Connections
from appliance.endpoints.intake import INTAKE_VAULT, IntakeKey, host_of, moment_of
from appliance.endpoints.messages import Malformed, from_base64url, read_alive, read_hello
from appliance.endpoints.pace import Pace, Paces
from appliance.endpoints.tokens import NewToken
from appliance.errors import Refused, StoreError
from appliance.hookspecs import Permission, State
from appliance.people.devices import DeviceDetails
from appliance.people.directory import Details
from appliance.sealing import Recipient, SealError, new_pair, seal
from appliance.simulated_browser import A_PICTURE, Closed, SimulatedBrowser, new_key, observation, to_text
from appliance.testing import HELP_SEEKING, Client, Home, Running, free_port, start_in_process

__all__ = ["no_store_is_left_open"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECONDS = 20.0
TEST_PHRASE = "purple penguins juggle pineapples"
PLUGIN = '''\
"""A detector of knives for the tests of browsers."""

import json
from pathlib import Path

from appliance.api import Detector, Finding, Section, Severity, Surface, hook

NEEDLES = Path(__file__).with_name("needles")


def look(observation):
    found = []
    for word, test in (("knife", False), ("purple penguins juggle pineapples", True)):
        start = observation.text.casefold().find(word)
        if start >= 0:
            found.append(Finding("Knives", "1", "k1", word, "weapons", Severity.SEVERE, "", start, start + len(word),
                                 is_test=test))
    return found


class Plugin:
    """Knives."""

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        self.appliance = appliance

    @hook
    def register_detectors(self):
        return [Detector("knives", frozenset(Surface), look)]

    @hook
    async def endpoint_policy(self, device):
        extra = NEEDLES.read_text().split() if NEEDLES.exists() else []
        return {"needles": ["knife", *extra] if device.monitored else []}
'''


@pytest.fixture(autouse=True, scope="module")
def looks_often() -> Iterator[None]:
    """What takes seconds in a school takes tenths of one here."""
    assert connecting.LOOK_SECONDS < 5
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connecting, "LOOK_SECONDS", 0.2)
        patch.setattr(enrolling, "MOST_ASKS", 1000)  # every browser of these tests comes from one address
        patch.setattr(enrolling, "MOST_WAITING_OF_ONE", 1000)
        yield


@dataclass
class School:
    """An appliance, and what tests do with browsers there."""

    home: Home
    running: Running
    lead: Client

    @property
    def endpoints(self) -> Any:
        return self.running.appliance.endpoints

    @property
    def connections(self) -> Connections:
        found: Connections = self.endpoints.connections
        return found

    @property
    def actor(self) -> Any:
        return self.running.actor

    async def token(self, **other: Any) -> str:
        made = await self.endpoints.tokens.make(self.actor, NewToken("Trolley 1", **other))
        return str(next(row["token"] for row in await self.endpoints.tokens.all(self.actor) if row["id"] == made))

    async def browser(self, token: str | None = None, **other: Any) -> SimulatedBrowser:
        key = await self.token() if token is None else token
        return SimulatedBrowser(self.running.port, self.endpoints.extension.id, key, **other)

    async def row(self, browser: SimulatedBrowser) -> Any:
        found = await self.running.appliance.records.fetch_one(
            "SELECT * FROM endpoints WHERE key_sha256 = ?", (enrolling.key_hash(browser.spki),)
        )
        assert found is not None
        return found

    async def let_in(self, browser: SimulatedBrowser) -> None:
        await self.endpoints.enrolment.approve(self.actor, [(await self.row(browser))["id"]], "one by one")

    async def admitted(self, stack: AsyncExitStack, **other: Any) -> SimulatedBrowser:
        """A browser that is connected and was let in."""
        browser = await self.browser(**other)
        await stack.enter_async_context(browser.connected())
        assert await browser.enrol() == "waiting"
        await self.let_in(browser)
        await browser.welcomed()
        return browser

    async def person(self, name: str, account: str = "") -> str:
        directory = self.running.appliance.directory
        person = await directory.add(self.lead.actor, Details("pupil", name))
        if account:
            await directory.add_account(self.lead.actor, person, "browser", account)
        return str(person)

    async def monitor(self, kind: TargetKind, target: str, value: str = "on") -> None:
        await self.running.appliance.assignments.assign(
            "a test", "monitoring", Target(kind, target), value, "a test", None
        )

    async def captures_of(self, browser: SimulatedBrowser) -> list[Any]:
        return list(
            await self.running.appliance.records.fetch(
                "SELECT * FROM captures WHERE endpoint = ? ORDER BY at", ((await self.row(browser))["id"],)
            )
        )

    async def audit_of(self, subject: str) -> list[str]:
        rows = await self.running.appliance.records.fetch(
            "SELECT action FROM audit WHERE subject = ? ORDER BY seq", (subject,)
        )
        return [row["action"] for row in rows]


async def until(condition: Callable[[], Any]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(SECONDS):
        while True:
            found = condition()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.01)


async def a_school(folder: Path) -> School:
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    home.add_plugin(PLUGIN, "knives")
    home.write("plugins: {knives: {}}\ngroups: [{name: branch, addresses: [203.0.113.0/24]}]\n")
    running = await start_in_process(home)
    lead = await running.as_role("lead")
    await running.appliance.monitoring.refresh()
    return School(home, running, lead)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def school(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[School]:
    found = await a_school(tmp_path_factory.mktemp("endpoints") / "home")
    yield found
    await found.running.stop()


# From asking to being let in


async def test_a_browser_asks_waits_is_let_in_and_is_told_what_to_look_for(school: School) -> None:
    browser = await school.browser(name="LAPTOP-7", serial="SN7")
    async with browser.connected():
        assert await browser.enrol() == "waiting"
        waiting = await school.endpoints.enrolment.waiting(school.actor)
        assert [row["name"] for row in waiting] == ["LAPTOP-7"]
        assert school.connections.of(waiting[0]["id"]) is None
        await school.let_in(browser)
        policy = await browser.welcomed()
        assert browser.welcome["name"] == "LAPTOP-7"
        assert policy["monitored"] is False
        assert policy["exempt"] == ["childline.org.uk"]
        assert {"staff.localhost", "pupil.localhost", "endpoint.localhost"} <= set(policy["own"])
        assert policy["intake"]["vault"] == INTAKE_VAULT
        assert policy["plugins"] == {"knives": {"needles": []}}
        assert (await browser.alive())["time"] == pytest.approx(now().timestamp() * 1000, abs=5000)
        await browser.hear("update")  # its version is not the one that this box gives out
    row = await school.row(browser)
    assert (row["state"], row["how"], row["decided_by"]) == ("approved", "one by one", school.actor.name)
    device = await school.running.appliance.directory.devices.device(school.actor, row["device_id"])
    assert (device.row["name"], device.row["serial"]) == ("LAPTOP-7", "SN7")
    assert await school.audit_of(f"browser {row['id']}") == ["let a browser in"]


async def test_it_comes_back_with_its_key_alone(school: School) -> None:
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack)
    browser.welcome, browser.policy = {}, {}
    browser.version = school.endpoints.extension.version
    async with browser.connected():
        assert await browser.greet() == "welcome"
        assert await browser.welcomed()
        await browser.alive()
        assert "update" not in [message["type"] for message in browser.heard]


async def test_what_was_not_let_in_hears_nothing_and_may_send_nothing(school: School) -> None:
    browser, other = await school.browser(), SimulatedBrowser(0, "")
    async with browser.connected():
        assert await browser.enrol() == "waiting"
        assert [message["type"] for message in browser.heard] == ["challenge", "waiting"]
        assert await browser.alive()
        other.policy = {"intake": {"vault": INTAKE_VAULT, "epoch": 1, "key": to_text(new_pair()[1])}}
        await browser.say(other.envelope(typed="knife"))
        assert await browser.closed() == 1008
    assert not await school.captures_of(browser)


async def uses(school: School, token: str) -> int:
    """How many browsers were let in with a key."""
    rows = await school.endpoints.tokens.all(school.actor)
    return int(next(row["uses"] for row in rows if row["token"] == token))


async def test_a_token_that_is_over_lets_nobody_ask(school: School) -> None:
    once = await school.token(most_uses=1)
    first, second = await school.browser(once), await school.browser(once)
    early = await school.browser(once)
    async with first.connected(), early.connected():
        assert await first.enrol() == "waiting"
        assert await early.enrol() == "waiting", "to ask uses nothing up"
    await school.let_in(first)
    async with second.connected():
        assert await second.enrol() == "refused"
        assert "used up" in second.heard[-1]["words"]
        assert "final" not in second.heard[-1]
    async with early.connected():
        assert await early.enrol() == "waiting"
    enrolment, row = school.endpoints.enrolment, await school.row(early)
    assert await enrolment.approve(school.actor, [row["id"]], "all at once") == 0
    await enrolment.open_window(school.actor, now() + timedelta(minutes=1))
    await enrolment.close_window(school.actor)
    assert (await school.row(early))["state"] == "waiting"
    assert await enrolment.approve(school.actor, [row["id"]], "one by one") == 1, "IT has looked at this one"
    assert await uses(school, once) == 2
    await enrolment.revoke(school.actor, [row["id"]])
    await school.let_in(early)
    assert await uses(school, once) == 2, "it came back"
    revoked = await school.token()
    rows = await school.endpoints.tokens.all(school.actor)
    await school.endpoints.tokens.revoke(school.actor, rows[0]["id"])
    third = await school.browser(revoked)
    async with third.connected():
        assert await third.enrol() == "refused"
        assert "withdrawn" in third.heard[-1]["words"]
        assert third.heard[-1]["seconds"] > 0
        assert await third.closed() == 1000
    ended = await school.token()
    async with school.running.appliance.records.transaction() as tx:
        await tx.execute("UPDATE endpoint_tokens SET expires_at = ? WHERE token = ?", (stamp(), ended))
    fourth = await school.browser(ended)
    async with fourth.connected():
        assert await fourth.enrol() == "refused"
        assert "ended" in fourth.heard[-1]["words"]


async def test_without_a_token_it_is_unknown_and_may_say_hello_again_with_one(school: School) -> None:
    browser = await school.browser()
    async with browser.connected():
        assert await browser.greet() == "unknown"
        assert await browser.enrol() == "waiting"
    wrong = await school.browser("no such key")
    async with wrong.connected():
        assert await wrong.enrol() == "refused"
    poor = await school.browser("")
    async with poor.connected():
        assert await poor.greet() == "unknown"
        assert await poor.greet() == "refused"


async def test_refused_and_revoked_browsers_are_sent_away_at_once_and_can_be_let_in_again(school: School) -> None:
    browser = await school.browser()
    async with browser.connected():
        await browser.enrol()
        row = await school.row(browser)
        assert await school.endpoints.enrolment.refuse(school.actor, [row["id"]]) == 1
        told = await browser.hear("refused")
        assert told["seconds"] >= 600
        assert told["final"] is True
        assert await browser.closed() == 1000
    async with browser.connected():
        assert await browser.enrol() == "refused"
        assert browser.heard[-1]["final"] is True
    await school.let_in(browser)
    async with browser.connected():
        assert await browser.greet() == "welcome"
        assert await school.endpoints.enrolment.revoke(school.actor, [row["id"]]) == 1
        assert (await browser.hear("refused"))["final"] is True
        assert await browser.closed() == 1000
    assert await school.audit_of(f"browser {row['id']}") == [
        "did not let a browser in",
        "let a browser in",
        "took a browser out",
    ]
    assert school.connections.of(row["id"]) is None


async def test_taking_a_device_out_of_use_takes_its_browsers_out(school: School) -> None:
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack, name="LAPTOP-OUT")
        devices, device = school.running.appliance.directory.devices, (await school.row(browser))["device_id"]
        await devices.remove(school.actor, device)
        await browser.hear("refused")
    assert (await school.row(browser))["state"] == "revoked"
    await school.let_in(browser)
    assert (await school.row(browser))["device_id"] != device, "its device is out of use and has no serial number"


async def test_it_finds_its_device_by_serial_number_then_by_name(school: School) -> None:
    devices = school.running.appliance.directory.devices
    by_serial = await devices.add(school.actor, DeviceDetails("Library 1", "SN-LIB-1"))
    by_name = await devices.add(school.actor, DeviceDetails("Library 2"))
    other = await devices.add(school.actor, DeviceDetails("Library 3", "SN-LIB-3"))
    async with AsyncExitStack() as stack:
        one = await school.admitted(stack, name="something else", serial="sn-lib-1")
        two = await school.admitted(stack, name="library 2", serial="SN-LIB-2")
        three = await school.admitted(stack, name="Library 3", serial="SN-OTHER")
        nameless = await school.admitted(stack)
    assert (await school.row(one))["device_id"] == by_serial
    assert one.welcome["name"] == "Library 1"
    assert (await school.row(two))["device_id"] == by_name
    assert (await devices.device(school.actor, by_name)).row["serial"] == "SN-LIB-2"
    assert (await school.row(three))["device_id"] != other
    assert nameless.welcome["name"].startswith(f"Chromium on linux, {now().date()}")


async def test_a_removed_device_that_comes_again_with_its_serial_number_is_brought_back(school: School) -> None:
    devices = school.running.appliance.directory.devices
    device = await devices.add(school.actor, DeviceDetails("Old one", "SN-OLD"))
    await devices.remove(school.actor, device)
    async with AsyncExitStack() as stack:
        await school.admitted(stack, serial="SN-OLD")
    assert (await devices.device(school.actor, device)).row["removed_at"] is None


async def test_devices_come_into_the_group_of_their_key(school: School) -> None:
    groups = school.running.appliance.directory.groups
    group = await groups.make(school.actor, "trolley", f"Trolley {new_id()}")
    browser = await school.browser(await school.token(group=group))
    async with browser.connected():
        await browser.enrol()
        await school.let_in(browser)
        await browser.welcomed()
    device = (await school.row(browser))["device_id"]
    assert [row["id"] for row in await groups.devices(school.actor, group)] == [device]
    assert group in school.running.appliance.directory.groups_of_device(device)


async def test_a_list_of_names_and_serial_numbers_lets_in_those_that_come_and_those_that_wait(school: School) -> None:
    enrolment = school.endpoints.enrolment
    early, late, twin = (
        await school.browser(name="LIST-1"),
        await school.browser(serial="list-sn-2"),
        await school.browser(serial="list-sn-2"),
    )
    async with early.connected(), late.connected(), twin.connected():
        assert await early.enrol() == "waiting"
        added, let_in = await enrolment.expect(school.actor, "list-1\n\n LIST-SN-2 \nlist-sn-2\nLIST-9\n")
        assert (added, let_in) == (3, 1)
        await early.welcomed()
        assert await late.enrol() == "welcome"
        assert await twin.enrol() == "waiting", "each line lets one browser in"
    assert [row["written"] for row in await enrolment.expected(school.actor)] == ["LIST-9"]
    assert (await school.row(early))["how"] == (await school.row(late))["how"] == "a list"
    assert await enrolment.forget_expected(school.actor) == 1
    with pytest.raises(Refused):
        await enrolment.expect(school.actor, " \n\n")


async def test_an_open_window_lets_in_whoever_comes_until_it_is_closed(school: School) -> None:
    enrolment = school.endpoints.enrolment
    early, inside, after, late = [await school.browser() for _ in range(4)]
    async with early.connected(), inside.connected(), after.connected(), late.connected():
        assert await early.enrol() == "waiting"
        await enrolment.open_window(school.actor, now() + timedelta(minutes=15))
        assert (await enrolment.window()).opened_by == school.actor.name
        await early.welcomed()
        assert await inside.enrol() == "welcome"
        changes = school.running.appliance.directory.changes
        await until(lambda: school.running.appliance.directory.changes > changes)
        await enrolment.close_window(school.actor)
        assert await enrolment.window() is None
        assert await after.enrol() == "waiting"
        await enrolment.open_window(school.actor, now() + timedelta(minutes=15))
        async with school.running.appliance.records.transaction() as tx:
            await tx.execute("UPDATE endpoint_windows SET until = ? WHERE closed_at IS NULL", (stamp(),))
        assert await late.enrol() == "waiting", "its time was over"
    assert (await school.row(inside))["how"] == "an open window"


async def test_only_so_many_may_wait(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await school.token()
    waiting = len(await school.endpoints.enrolment.waiting(school.actor))
    monkeypatch.setattr(enrolling, "MOST_WAITING", waiting + 1)
    first, second = await school.browser(token), await school.browser(token)
    async with first.connected(), second.connected():
        assert await first.enrol() == "waiting"
        assert await second.enrol() == "refused"
    assert await uses(school, token) == 0


@pytest.mark.parametrize("limit", ["MOST_ASKS", "MOST_WAITING_OF_ONE"])
async def test_keys_that_one_address_makes_up_fill_neither_the_list_nor_the_key(
    school: School, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    assert (enrolling.MOST_WAITING_OF_ONE, connecting.GREETINGS_OF_ONE) == (1000, 50)
    token, enrolment = await school.token(), school.endpoints.enrolment
    await enrolment.refuse(school.actor, [row["id"] for row in await enrolment.waiting(school.actor)])
    async with school.running.appliance.records.transaction() as tx:
        await tx.execute("UPDATE endpoints SET asked_at = '2026-01-01T00:00:00.000Z'")
    monkeypatch.setattr(enrolling, limit, 2)
    answers = []
    for number in range(4):
        made_up = await school.browser(token, name=f"MADE-UP-{number}")
        async with made_up.connected():
            answers.append(await made_up.enrol())
    assert answers == ["waiting", "waiting", "refused", "refused"]
    waiting = await enrolment.waiting(school.actor)
    assert len(waiting) == 2
    assert await uses(school, token) == 0
    await enrolment.approve(school.actor, [waiting[0]["id"]], "one by one")
    next_one, inside = await school.browser(token), await school.browser(token)
    async with next_one.connected(), inside.connected():
        assert await next_one.enrol() == "waiting", "IT has let one in"
        await enrolment.open_window(school.actor, now() + timedelta(minutes=1))
        assert await inside.enrol() == "welcome", "who is let in at once does not wait"
        await enrolment.close_window(school.actor)


async def framing(school: School, way: str, **claims: str) -> SimulatedBrowser:
    """A browser that says it is another device, while IT lets in those on a list, or everybody."""
    enrolment, browser = school.endpoints.enrolment, await school.browser(**claims)
    if way == "a list":
        await enrolment.expect(school.actor, "\n".join(claims.values()))
    else:
        await enrolment.open_window(school.actor, now() + timedelta(minutes=5))
    async with browser.connected():
        assert await browser.enrol() == "waiting"
        if way == "a list":
            await enrolment.expect(school.actor, "\n".join(claims.values()))
            await enrolment.forget_expected(school.actor)
        else:
            await enrolment.open_window(school.actor, now() + timedelta(minutes=5))
            await enrolment.close_window(school.actor)
        await browser.alive()
    assert (await school.row(browser))["state"] == "waiting"
    return browser


@pytest.mark.parametrize("way", ["a list", "an open window"])
async def test_who_says_that_it_is_a_device_of_somebody_else_waits_for_it(school: School, way: str) -> None:
    enrolment, devices = school.endpoints.enrolment, school.running.appliance.directory.devices
    mark = new_id()
    async with AsyncExitStack() as stack:
        real = await school.admitted(stack, name=f"Real {mark}", serial=f"SN {mark}")
    given = await devices.add(school.lead.actor, DeviceDetails(f"Given {mark}", f"GIVEN {mark}"))
    await devices.give(school.lead.actor, given, await school.person("Holder"))
    empty = await devices.add(school.lead.actor, DeviceDetails(f"Shelf {mark}"))
    by_name = await framing(school, way, name=f"REAL {mark}")
    by_serial = await framing(school, way, name=f"Other {mark}", serial=f"sn {mark}")
    of_holder = await framing(school, way, name=f"given {mark}")
    rows = {row["id"]: row for row in await enrolment.waiting(school.actor)}
    found = [rows[(await school.row(one))["id"]] for one in (by_name, by_serial, of_holder)]
    said = [enrolling.claim_words(row["name"], row["serial"], row["claimed"]) for row in found]
    assert said == [
        f"says that it is REAL {mark}, which has a browser already",
        f"says that it is Other {mark} with the serial number sn {mark}, which has a browser already",
        f"says that it is given {mark}, which belongs to somebody",
    ]
    await school.let_in(by_name)
    assert (await school.row(by_name))["device_id"] == (await school.row(real))["device_id"], "IT has looked at it"
    nobodys = await school.browser(name=f"shelf {mark}")
    await enrolment.open_window(school.actor, now() + timedelta(minutes=5))
    async with nobodys.connected():
        assert await nobodys.enrol() == "welcome"
    await enrolment.close_window(school.actor)
    assert (await school.row(nobodys))["device_id"] == empty
    await enrolment.refuse(school.actor, list(rows))


async def test_what_a_browser_says_of_its_device_is_as_it_first_said(school: School) -> None:
    browser = await school.browser(name="FIRST", serial="SN-FIRST")
    async with browser.connected():
        assert await browser.enrol() == "waiting"
    browser.name, browser.serial = "LAPTOP-7", "SN7"
    async with browser.connected():
        assert await browser.greet() == "waiting"
        await school.let_in(browser)
        await browser.welcomed()
    assert browser.welcome["name"] == "FIRST"
    assert ((await school.row(browser))["name"], (await school.row(browser))["serial"]) == ("FIRST", "SN-FIRST")


async def test_browsers_without_a_name_are_not_taken_for_one_device(school: School) -> None:
    async with AsyncExitStack() as stack:
        one, two = await school.admitted(stack), await school.admitted(stack)
    assert (await school.row(one))["device_id"] != (await school.row(two))["device_id"]
    assert one.welcome["name"] != two.welcome["name"]


# What is hostile


Change = Callable[[SimulatedBrowser], dict[str, Any]]
WRONG_PROOFS: dict[str, Change] = {
    "another nonce": lambda one: {"signature": to_text(one.sign(one.host, bytes(32), one.counter))},
    "another box": lambda one: {"signature": to_text(one.sign("endpoint.evil.example", one.nonce, one.counter))},
    "another port": lambda one: {"signature": to_text(one.sign("endpoint.localhost", one.nonce, one.counter))},
    "another counter": lambda one: {"signature": to_text(one.sign(one.host, one.nonce, one.counter + 1))},
    "another key": lambda one: {"key": to_text(SimulatedBrowser(0, "", key=new_key()).spki)},
    "no signature": lambda one: {"signature": ""},
    "zeros": lambda one: {"signature": to_text(bytes(64))},
    "no key of this kind": lambda one: {"key": to_text(b"\x30\x05hello")},
}


@pytest.mark.parametrize("change", WRONG_PROOFS.values(), ids=WRONG_PROOFS)
async def test_whoever_cannot_prove_its_key_is_sent_away(school: School, change: Change) -> None:
    browser = await school.browser()
    async with browser.connected():
        browser.counter = 5
        await browser.say(browser.hello(token=browser.token, **change(browser)))
        answer = await browser.hear()
        assert answer["type"] == "refused"
        assert "final" not in answer, "who has a policy keeps it"
        assert await browser.closed() == 1000


async def test_what_was_recorded_on_one_connection_is_worth_nothing_on_another(school: School) -> None:
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack)
        recorded = browser.hello()
        await browser.alive()
    async with browser.connected():
        await browser.say(recorded)
        assert (await browser.hear())["type"] == "refused"


NO_HELLO: dict[str, str | bytes | dict[str, Any]] = {
    "no JSON": "{",
    "a list": "[]",
    "nothing": "",
    "deep": "[" * 5000,
    "another type": {"type": "alive", "queued": 0, "dropped": 0, "profile": ""},
    "binary": b"\0" * 100,
    "no key": {"type": "hello", "protocol": 1, "counter": 1, "signature": ""},
    "another protocol": {"type": "hello", "protocol": 2, "key": "", "counter": 1, "signature": ""},
    "a counter as text": {"type": "hello", "protocol": 1, "key": "", "counter": "1", "signature": ""},
    "a huge counter": {"type": "hello", "protocol": 1, "key": "", "counter": 2**60, "signature": ""},
    "a negative counter": {"type": "hello", "protocol": 1, "key": "", "counter": -1, "signature": ""},
    "padding": {"type": "hello", "protocol": 1, "key": "QQ==", "counter": 1, "signature": ""},
    "long": json.dumps({"type": "hello", "name": "x" * 20_000}),
}


@pytest.mark.parametrize("message", NO_HELLO.values(), ids=NO_HELLO)
async def test_what_is_no_hello_ends_the_connection(school: School, message: str | bytes | dict[str, Any]) -> None:
    browser = await school.browser()
    async with browser.connected():
        await browser.say(message)
        assert await browser.closed() == 1008


NO_ALIVE: dict[str, str | dict[str, Any]] = {
    "no JSON": "nothing",
    "hello again": {"type": "hello"},
    "another kind": {"type": "delete everything"},
    "a negative number": {"type": "alive", "queued": -1, "dropped": 0, "profile": ""},
    "a number as text": {"type": "alive", "queued": "1", "dropped": 0, "profile": ""},
}


@pytest.mark.parametrize("message", NO_ALIVE.values(), ids=NO_ALIVE)
async def test_what_is_no_message_of_ours_ends_the_connection_of_a_browser_that_is_in(
    school: School, message: str | dict[str, Any]
) -> None:
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack)
        await browser.say(message)
        assert await browser.closed() == 1008


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "chrome-extension://abcdefghijklmnopabcdefghijklmnop", "null", "none at all"]
)
async def test_another_origin_gets_no_connection(school: School, origin: str) -> None:
    headers = {"Host": f"endpoint.localhost:{school.running.port}"}
    if origin != "none at all":
        headers["Origin"] = origin
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"http://127.0.0.1:{school.running.port}/connect", headers=headers)
    assert refused.value.status == 403


async def test_what_is_no_websocket_is_refused(school: School) -> None:
    headers = {"Host": f"endpoint.localhost:{school.running.port}"}
    headers["Origin"] = f"chrome-extension://{school.endpoints.extension.id}"
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{school.running.port}/connect", headers=headers) as answer,
    ):
        assert answer.status == 400


async def test_the_socket_is_on_the_endpoint_site_alone(school: School) -> None:
    for site in ("staff", "pupil"):
        browser = await school.browser(host=f"{site}.localhost:{school.running.port}")
        with pytest.raises(aiohttp.WSServerHandshakeError):
            async with browser.connected():
                pass


async def test_frames_have_a_largest_size(school: School) -> None:
    browser = await school.browser()
    async with browser.connected():
        await browser.say(b"\0" * 200_000)
        assert await browser.closed() in (1006, None), "before it was let in nothing large is even gathered"
    async with AsyncExitStack() as stack:
        admitted = await school.admitted(stack)
        large = b"\xff\xd8\xff" + bytes(2 * 2**20 - 3)
        assert (await admitted.observe(typed="large", picture=large))["type"] == "kept"
        with suppress(ConnectionError):
            await admitted.say(b"\0" * (4 * 2**20 + 1))
        assert await admitted.closed() in (1009, 1006, None)
    async with admitted.connected():
        assert await admitted.greet() == "welcome"


async def test_who_says_nothing_is_not_kept(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "HANDSHAKE_SECONDS", 0.1)
    monkeypatch.setattr(connecting, "QUIET_SECONDS", 0.1)
    browser = await school.browser()
    async with browser.connected():
        assert await browser.closed() == 1008
    async with browser.connected():
        assert await browser.enrol() == "waiting"
        assert await browser.closed() == 1008


async def test_one_laptop_does_not_hold_every_place(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    token = await school.token()
    monkeypatch.setattr(connecting, "GREETINGS_OF_ONE", 2)
    async with AsyncExitStack() as stack:
        silent = [await stack.enter_async_context((await school.browser(token)).connected()) for _ in range(2)]
        crowded = await school.browser(token)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with crowded.connected():
                pass
        assert refused.value.status == 429
        monkeypatch.setattr(connecting, "GREETINGS_OF_ONE", 50)
        monkeypatch.setattr(connecting, "MOST_GREETINGS", 2)
        async with crowded.connected():
            assert await silent[0].closed() == 1008, "the oldest greeting of whoever has most ends"
            assert await crowded.enrol() == "waiting"
        assert await silent[1].enrol() == "waiting"
    await until(lambda: not school.connections._greetings)


async def test_there_is_a_pace(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "MESSAGE_BURST", 3)
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack)
        with pytest.raises(Closed) as closed:
            for _ in range(10):
                await browser.alive()
        assert closed.value.code == 1008
    monkeypatch.setattr(school.connections, "_paces", Paces(0.0, 1))
    calm = await school.browser()
    async with calm.connected():
        pass
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with calm.connected():
            pass
    assert refused.value.status == 429


async def test_addresses_outside_the_school_are_refused(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = ("10.1.2.3", "172.16.0.9", "192.168.7.1", "127.0.0.1", "::1", "fe80::1%eth0", "fd00::7", "::ffff:10.0.0.1")
    assert all(school.connections.is_from_school(address) for address in (*inside, "203.0.113.9"))
    assert not any(school.connections.is_from_school(one) for one in ("8.8.8.8", "2001:db8::1", "203.0.114.1", "", "x"))
    monkeypatch.setattr(school.connections, "_networks", ())
    browser = await school.browser()
    async with browser.connected():
        assert await browser.enrol() == "refused"
        assert "network" in browser.heard[-1]["words"]
        assert "final" not in browser.heard[-1]


async def test_the_newer_of_two_connections_stays(school: School) -> None:
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack)
        newer = await school.browser(key=browser.key, counter=browser.counter)
        goodbye = asyncio.create_task(browser.closed())
        await stack.enter_async_context(newer.connected())
        assert await newer.greet() == "welcome"
        assert await goodbye == 1000
        await newer.alive()
        assert school.connections.of((await school.row(newer))["id"]) is not None
        assert (await school.row(newer))["copied_at"] is None


async def test_a_copied_profile_is_found_and_shown(school: School) -> None:
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack)
        copy = await school.browser(key=browser.key, counter=browser.counter - 1)
        await stack.enter_async_context(copy.connected())
        assert await copy.greet() == "welcome"
        row = await school.row(browser)
        assert row["copied_at"] is not None
        assert row["counter"] == browser.counter
        check = (await school.endpoints.checks())[0]
        assert check.state is State.WARNING
        assert "copies" in check.words
    await school.endpoints.enrolment.revoke(school.actor, [row["id"]])
    assert (await school.endpoints.checks())[0].state is State.GOOD


# Who is there, and what it is told


async def test_the_account_of_the_profile_comes_before_the_device(school: School) -> None:
    pupil, owner = await school.person("Ada", "ada@school.example"), await school.person("Ben")
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack, name=f"Device {new_id()}", profile="ADA@school.example")
        row = await school.row(browser)
        connection = school.connections.of(row["id"])
        assert connection is not None
        assert (connection.who.person, connection.who.claim) == (pupil, "browser profile")
        await school.running.appliance.directory.devices.give(school.lead.actor, row["device_id"], owner)
        browser.profile = ""
        await browser.alive()
        await until(lambda: connection.who.person == owner)
        assert connection.who.claim == "assigned to the device"
        browser.profile = "nobody@elsewhere.example"
        await browser.alive()
        assert (connection.who.person, connection.who.claim) == (None, "nobody known")


async def test_a_policy_is_sent_within_seconds_of_any_change(school: School) -> None:
    pupil = await school.person("Cleo", "cleo@school.example")
    needles = school.home.place.drop_in_dir / "knives" / "needles"
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack, profile="cleo@school.example")
        assert not browser.policy["monitored"]
        await school.monitor(TargetKind.PERSON, pupil)
        await browser.hear("policy", seconds=5)
        assert browser.policy["monitored"]
        assert browser.policy["plugins"]["knives"]["needles"] == ["knife"]
        needles.write_text("dagger")
        await browser.hear("policy", seconds=5)
        assert browser.policy["plugins"]["knives"]["needles"] == ["knife", "dagger"]
        needles.unlink()
        await browser.hear("policy", seconds=5)
        version = browser.policy_version
        browser.profile = "stranger@elsewhere.example"
        await browser.alive()
        await browser.hear("policy", seconds=5)
        assert not browser.policy["monitored"]
        assert browser.policy_version != version
        connection = school.connections.of((await school.row(browser))["id"])
        assert connection is not None
        assert connection.policy_version == browser.policy_version


async def test_a_browser_whose_clock_is_wrong_is_set_right(school: School) -> None:
    slow = int((now() - timedelta(hours=5)).timestamp() * 1000)
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack)
        await browser.alive(time=slow)
        await browser.observe(typed=TEST_PHRASE, at=slow)
    (row,) = await school.captures_of(browser)
    assert abs(parse(row["at"]) - now()) < timedelta(minutes=1)


async def test_who_was_seen_is_kept(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    pupil = await school.person("Dan", "dan@school.example")
    monkeypatch.setattr(connecting, "NOTE_SECONDS", 0.0)
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack, profile="dan@school.example")
        await browser.alive(queued=3, dropped=2)
        school.connections.look_soon()

        async def kept() -> bool:
            row = await school.row(browser)
            return bool(row["queued"] == 3 and row["person_id"] == pupil)

        await until(kept)
        row = await school.row(browser)
        assert (row["dropped"], row["claim"], row["profile"]) == (2, "browser profile", "dan@school.example")
        assert row["policy_version"] == browser.policy_version
        seen = row["last_seen_at"]
    await until(lambda: school.connections.of(row["id"]) is None)
    school.connections.look_soon()

    async def later() -> bool:
        return bool((await school.row(browser))["last_seen_at"] > seen)

    await until(later)


async def test_half_a_sign_in_a_message_harms_nothing(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    half = "\ud83d"
    monkeypatch.setattr(connecting, "NOTE_SECONDS", 0.0)
    browser = await school.browser(name=f"half {half}", serial=f"sn {half}", profile=half)
    async with browser.connected():
        assert await browser.enrol() == "waiting"
        await browser.alive(profile=half)
        await school.connections.keep_what_was_seen()
        row = await school.row(browser)
        assert (row["name"], row["serial"], row["profile"]) == ("half ?", "sn ?", "?")
    whole = read_alive('{"type": "alive", "profile": "\\ud83d\\ude00"}')
    assert whole.profile == "\U0001f600"


async def test_policies_are_sent_whatever_goes_wrong_in_one_look(
    school: School, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    connections, broken = school.connections, asyncio.Event()
    look = connections._look
    errors: list[type[BaseException]] = [UnicodeError, TypeError, ZeroDivisionError, asyncio.InvalidStateError]

    async def looks() -> None:
        if errors:
            broken.set()
            raise errors.pop(0)("what a child wrote")
        await look()

    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack)
        monkeypatch.setattr(connections, "_look", looks)
        monkeypatch.setattr(connections, "_looked_at", -1000.0)
        await broken.wait()
        assert connections.is_late
        (check,) = await school.endpoints.checks()
        assert (check.state, check.alarm) == (State.BROKEN, True)
        await school.monitor(TargetKind.DEVICE, (await school.row(browser))["device_id"])
        await browser.hear("policy", seconds=10)
        assert browser.policy["monitored"]
        await until(lambda: not connections.is_late)
    assert not errors
    assert "what a child wrote" not in caplog.text


async def test_what_could_not_be_noted_is_noted_later(school: School, monkeypatch: pytest.MonkeyPatch) -> None:
    connections, enrolment = school.connections, school.endpoints.enrolment
    note = enrolment.note_seen
    noted: list[str] = []

    async def fails(seen: Any) -> None:
        raise StoreError("the disk is full")

    async def notes(seen: Any) -> None:
        noted.extend(one.endpoint for one in seen)
        await note(seen)

    async with AsyncExitStack() as stack:
        stays = await school.admitted(stack)
        leaves = await school.browser()
        async with leaves.connected():
            await leaves.enrol()
            await leaves.alive()
        here, gone = (await school.row(stays))["id"], (await school.row(leaves))["id"]
        await until(lambda: gone not in connections._live)
        monkeypatch.setattr(enrolment, "note_seen", fails)
        with pytest.raises(StoreError):
            await connections.keep_what_was_seen()
        monkeypatch.setattr(enrolment, "note_seen", notes)
        await connections.keep_what_was_seen()
    assert {here, gone} <= set(noted)


async def test_signing_in_to_a_private_account_ends_no_monitoring(school: School) -> None:
    holder = await school.person("Fay")
    await school.monitor(TargetKind.PERSON, holder)
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack, name=f"Device {new_id()}")
        device = (await school.row(browser))["device_id"]
        await school.running.appliance.directory.devices.give(school.lead.actor, device, holder)
        await browser.hear("policy")
        assert browser.policy["monitored"]
        browser.profile = "private@mail.example"
        await browser.alive()
        connection = school.connections.of((await school.row(browser))["id"])
        assert connection is not None
        assert (connection.who.person, connection.who.claim) == (None, "nobody known")
        assert connection.monitored.on
        assert (await browser.observe(typed="where to buy a knife"))["type"] == "kept"
        assert browser.policy["monitored"]
        (row,) = await school.captures_of(browser)
        assert (row["person_id"], row["claim"], row["is_test"]) == (None, "nobody known", 0)
        await school.monitor(TargetKind.PERSON, holder, "off")
        await browser.hear("policy")
        assert not browser.policy["monitored"]


# What it sends


async def test_what_a_detector_finds_becomes_a_capture(school: School) -> None:
    pupil = await school.person("Eve", "eve@school.example")
    await school.monitor(TargetKind.PERSON, pupil)
    item = str(uuid.uuid4())
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack, profile="eve@school.example")
        envelope = browser.envelope(item=item, typed="where to buy a knife", picture=A_PICTURE)
        await browser.say(envelope)
        assert await browser.hear("kept", "later", "rejected") == {"type": "kept", "id": item}
        await browser.say(envelope)
        assert (await browser.hear("kept", "later", "rejected"))["type"] == "kept"
        assert (await browser.observe(typed="the weather"))["type"] == "kept"
    found = await school.captures_of(browser)
    assert len(found) == 1
    row = found[0]
    assert (row["person_id"], row["claim"], row["host"]) == (pupil, "browser profile", "chat.example")
    assert (row["observation"], row["severity"], row["is_test"]) == (item, "severe", 0)
    assert row["picture"] == "taken"
    assert row["device_id"] == (await school.row(browser))["device_id"]


async def test_what_is_typed_where_emails_are_written_is_an_email(school: School) -> None:
    pupil = await school.person("Una", "una@school.example")
    await school.monitor(TargetKind.PERSON, pupil)
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack, profile="una@school.example")
        for surface, address in (
            ("typed", "https://mail.google.com/mail/u/0/#inbox?compose=new"),
            ("page", "https://mail.google.com/mail/u/0/#inbox"),
            ("typed", "https://mail.google.com/chat/u/0/"),
        ):
            answer = await browser.observe(surface=surface, text="where to buy a knife", address=address)
            assert answer["type"] == "kept"
        rows = await school.captures_of(browser)
    assert sorted(row["surface"] for row in rows) == ["email", "page", "typed"]


async def test_of_a_child_who_is_not_monitored_nothing_but_the_test_phrase_is_kept(school: School) -> None:
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack)
        assert (await browser.observe(typed="where to buy a knife"))["type"] == "kept"
        assert not await school.captures_of(browser)
        assert (await school.row(browser))["last_test_at"] is None
        assert (await browser.observe(typed=f"knife, {TEST_PHRASE.upper()}"))["type"] == "kept"
        found = await school.captures_of(browser)
        assert [row["is_test"] for row in found] == [1]
        assert (await school.row(browser))["last_test_at"] is not None
    names = await school.running.appliance.records.fetch(
        "SELECT term FROM capture_findings WHERE capture_id = ?", (found[0]["id"],)
    )
    assert len(names) == 1


@pytest.mark.parametrize(
    "address",
    ["https://www.childline.org.uk/get-support", "http://pupil.localhost/confide", "https://staff.localhost/x"],
)
async def test_places_of_help_and_the_pages_of_the_box_are_nobodys_business(school: School, address: str) -> None:
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack)
        assert (await browser.observe(typed=TEST_PHRASE, address=address, picture=A_PICTURE))["type"] == "kept"
        assert not await school.captures_of(browser)


FRAME = bytes.fromhex("ffc0000b080001000101011100")


def sized(width: int, height: int) -> bytes:
    """A JPEG that says that it is so large."""
    return A_PICTURE.replace(FRAME, FRAME[:5] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + FRAME[9:])


PICTURES: dict[str, tuple[dict[str, Any], str]] = {
    "none": ({}, "failed"),
    "taken": ({"picture": A_PICTURE}, "taken"),
    "no JPEG": ({"picture": b"GIF89a" + bytes(40)}, "failed"),
    "too large": ({"picture": A_PICTURE + bytes(2 * 2**20)}, "failed"),
    "of an exempt place": ({"picture": A_PICTURE, "picture_state": "exempt"}, "exempt"),
    "hidden": ({"picture_state": "hidden"}, "hidden"),
    "a password was there": ({"picture_state": "secret"}, "secret"),
    "taken and not there": ({"picture_state": "taken"}, "failed"),
    "40 megapixels": ({"picture": sized(8000, 5000)}, "taken"),
    "more": ({"picture": sized(8000, 5001)}, "failed"),
    "a bomb": ({"picture": sized(65535, 65535)}, "failed"),
    "no width": ({"picture": sized(0, 10)}, "failed"),
    "no height": ({"picture": sized(10, 0)}, "failed"),
    "two frames": ({"picture": A_PICTURE.replace(FRAME, FRAME + FRAME)}, "failed"),
    "no frame": ({"picture": A_PICTURE.replace(FRAME, b"")}, "failed"),
    "a frame that is too short": ({"picture": A_PICTURE.replace(FRAME, FRAME[:-1])}, "failed"),
    "a segment without end": ({"picture": b"\xff\xd8\xff\xe0\xff\xff" + bytes(100)}, "failed"),
    "a segment without length": ({"picture": b"\xff\xd8\xff\xe0\0\0" + A_PICTURE[2:]}, "failed"),
    "the end at once": ({"picture": b"\xff\xd8\xff\xd9"}, "failed"),
    "the beginning alone": ({"picture": b"\xff\xd8\xff"}, "failed"),
    "fill bytes": ({"picture": A_PICTURE.replace(FRAME, b"\xff\xff" + FRAME)}, "taken"),
    "a progressive one": ({"picture": A_PICTURE.replace(FRAME, b"\xff\xc2" + FRAME[2:])}, "taken"),
}


@pytest.mark.parametrize(("what", "state"), PICTURES.values(), ids=PICTURES)
async def test_only_a_picture_that_was_taken_and_is_one_is_kept(
    school: School, what: dict[str, Any], state: str
) -> None:
    opened = taking.read_content(observation(typed="x", **what))
    assert opened.picture_state == state
    assert (opened.picture is not None) == (state == "taken")


def _sealed(kind: str = "observation", vault: str = INTAKE_VAULT, epoch: int = 1, key: bytes = b"") -> bytes:
    recipient = Recipient(vault, epoch, key or new_pair()[1])
    return seal(observation(typed="x"), str(uuid.uuid4()), kind, [recipient])


REJECTED: dict[str, bytes] = {
    "nothing": b"",
    "noise": bytes(range(256)) * 4,
    "short": b"\1\1" + bytes(10),
    "another kind": _sealed("capture"),
    "another vault": _sealed(vault=str(uuid.uuid4())),
    "another epoch": _sealed(epoch=2),
    "another key": _sealed(),
}


async def test_half_a_sign_in_what_was_noticed_is_cleaned(school: School) -> None:
    pupil = await school.person("Gil", "gil@school.example")
    await school.monitor(TargetKind.PERSON, pupil)
    half = "\ud83d"
    opened = taking.read_content(observation(typed=f"a{half}", title=half, address=f"https://a.example/{half}"))
    assert (opened.content.text, opened.content.title) == ("a?", "?")
    assert opened.content.address == "https://a.example/?"
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack, profile="gil@school.example")
        sent = browser.envelope(typed=f"knife {half}", title=half, address=f"https://{half}.example/{half}")
        await browser.say(sent)
        assert (await browser.hear("kept", "later", "rejected"))["type"] == "kept"
        (row,) = await school.captures_of(browser)
    lead = school.lead
    page = await lead.get(f"/captures/{row['id']}")
    assert page.status == 200


async def test_a_test_that_passed_is_noted_though_the_store_was_away_in_between(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    item, intake = str(uuid.uuid4()), school.endpoints.intake
    note = intake._passed_test

    async def away(endpoint: str, observation: str) -> None:
        raise StoreError("the disk is full")

    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack)
        monkeypatch.setattr(intake, "_passed_test", away)
        assert (await browser.observe(item=item, typed=TEST_PHRASE))["type"] == "later"
        assert (await school.row(browser))["last_test_at"] is None
        monkeypatch.setattr(intake, "_passed_test", note)
        assert (await browser.observe(item=item, typed=TEST_PHRASE))["type"] == "kept"
        passed = (await school.row(browser))["last_test_at"]
        assert passed == (await school.captures_of(browser))[0]["received_at"]
        assert (await browser.observe(item=item, typed=TEST_PHRASE))["type"] == "kept"
        assert (await school.row(browser))["last_test_at"] == passed


async def test_what_is_malformed_is_rejected_with_its_id(school: School) -> None:
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack)
        for name, frame in REJECTED.items():
            await browser.say(frame)
            answer = await browser.hear("kept", "later", "rejected")
            assert answer["type"] == "rejected", name
            if len(frame) >= 18:
                assert answer["id"] == str(uuid.UUID(bytes=frame[2:18])), name
        right = {"surface": "typed", "text": "x", "at": 1}
        for wrong in (
            b"",
            b"\0\0\0\xff{}",
            (5).to_bytes(4, "big") + b"hello",
            (2).to_bytes(4, "big") + b"{}",
            *(
                len(text).to_bytes(4, "big") + text
                for text in (
                    json.dumps({**right, **change}).encode()
                    for change in (
                        {"surface": "smell"},
                        {"text": 5},
                        {"at": "now"},
                        {"at": -1},
                        {"at": 2**70},
                        {"picture": "painted"},
                    )
                )
            ),
        ):
            answer = await browser.observe(content=wrong)
            assert answer["type"] == "rejected", wrong
            assert "hello" not in answer["words"]
        assert (await browser.observe(typed="x" * 9000, title="t" * 9000))["type"] == "kept", "too long is cut"


async def test_it_has_to_wait_while_nothing_can_be_judged_or_opened(
    school: School, monkeypatch: pytest.MonkeyPatch
) -> None:
    appliance = school.running.appliance
    item = str(uuid.uuid4())
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack)
        monkeypatch.setattr(appliance.monitoring, "can_open", lambda: False)
        answer = await browser.observe(item=item, typed=TEST_PHRASE)
        assert (answer["type"], answer["id"]) == ("later", item)
        assert answer["seconds"] > 0
        monkeypatch.setattr(appliance.monitoring, "can_open", lambda: True)
        monkeypatch.setattr(appliance.detection, "_running", False)
        assert (await browser.observe(item=item, typed=TEST_PHRASE))["type"] == "later"
        monkeypatch.setattr(appliance.detection, "_running", True)
        assert (await browser.observe(item=item, typed=TEST_PHRASE))["type"] == "kept"
        monkeypatch.setattr(taking, "BURST", 1)
        connection = school.connections.of((await school.row(browser))["id"])
        assert connection is not None
        connection.observations = Pace(0.0, 1)
        assert (await browser.observe(typed="one"))["type"] == "kept"
        assert (await browser.observe(typed="a storm"))["type"] == "later"
    assert len(await school.captures_of(browser)) == 1


async def test_nothing_of_what_a_child_wrote_is_in_the_log(school: School, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    caplog.set_level("DEBUG", "appliance")
    async with AsyncExitStack() as stack:
        browser = await school.admitted(stack, profile="zed@school.example", name="ZED-NOTEBOOK")
        await browser.observe(typed=f"{TEST_PHRASE} wombatword", title="badgertitle", address="https://otter.example/a")
        await browser.observe(content=b"\0\0\0\5wombatword")
        await browser.say("wombatword")
        await browser.closed()
    for word in ("wombatword", "badgertitle", "otter.example", "zed@school", "ZED-NOTEBOOK"):
        assert word not in caplog.text


# Restarts


async def test_a_stop_is_quick_and_what_was_let_in_stays_let_in(tmp_path: Path) -> None:
    school = await a_school(tmp_path / "home")
    async with AsyncExitStack() as stack:
        browsers = [await school.admitted(stack, name=f"Laptop {number}") for number in range(20)]
        vanished = await school.admitted(stack)
        await vanished.vanish()
        goodbyes = [asyncio.create_task(browser.closed()) for browser in browsers]
        loop = asyncio.get_running_loop()
        started = loop.time()
        await school.running.stop()
        assert loop.time() - started < 2
        assert set(await asyncio.gather(*goodbyes)) == {1001}
    running = await start_in_process(school.home)
    again = School(school.home, running, school.lead)
    for browser in browsers[:2]:
        browser.port = running.port
        browser.host = f"endpoint.localhost:{running.port}"
        browser.welcome = {}
        async with browser.connected():
            assert await browser.greet() == "welcome"
            await browser.welcomed()
    assert (await again.row(browsers[5]))["last_seen_at"] >= (await again.row(browsers[5]))["decided_at"]
    await running.stop()


async def test_the_stores_are_closed_whatever_goes_wrong_while_stopping(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    school = await a_school(tmp_path / "home")
    async with AsyncExitStack() as stack:
        await school.admitted(stack)

        async def fails(*_: Any) -> None:
            raise UnicodeEncodeError("utf-8", "x", 0, 1, "a half")

        async def breaks() -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(school.endpoints.enrolment, "note_seen", fails)
        monkeypatch.setattr(school.running.appliance.plugins, "stop", breaks)
        with pytest.raises(ZeroDivisionError):
            await school.running.stop()
    with pytest.raises(StoreError):
        await school.running.appliance.records.fetch("SELECT 1")


# Small parts


async def test_times_are_never_in_the_future_and_never_older_than_a_browser_keeps_anything() -> None:
    def at(moment: Any, offset: float = 0.0) -> Any:
        return moment_of(int(moment.timestamp() * 1000), offset)

    close = timedelta(seconds=1)
    assert abs(at(now() - timedelta(hours=3)) - (now() - timedelta(hours=3))) < close
    assert abs(at(now() + timedelta(days=3)) - now()) < close
    assert abs(at(now() - timedelta(days=400)) - (now() - timedelta(days=14))) < close
    assert abs(moment_of(0, 0.0) - (now() - timedelta(days=14))) < close
    assert abs(moment_of(2**53, 0.0) - now()) < close
    slow = timedelta(hours=5)
    assert abs(at(now() - slow - timedelta(minutes=2), slow.total_seconds()) - (now() - timedelta(minutes=2))) < close
    assert parse(stamp(at(now()))) <= now()


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://Example.ORG:8443/a?b#c", "example.org"),
        ("https://user@www.childline.org.uk./", "www.childline.org.uk"),
        ("http://[::1]/", "::1"),
        ("http://[broken/", ""),
        ("about:blank", ""),
        ("", ""),
    ],
)
async def test_the_host_of_an_address(address: str, host: str) -> None:
    assert host_of(address) == host


async def test_the_intake_key_opens_what_is_sealed_to_it_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "trust").mkdir(mode=0o700)
    key, again = IntakeKey.load(tmp_path / "trust"), IntakeKey.load(tmp_path / "trust")
    told = key.for_browsers()
    assert told == again.for_browsers()
    recipient = Recipient(told["vault"], told["epoch"], from_base64url(told["key"]))
    sealed = seal(b"a secret", str(uuid.uuid4()), "observation", [recipient])
    assert again.open(sealed) == b"a secret"
    with pytest.raises(SealError):
        key.open(_sealed())


async def test_texts_are_put_on_one_line_and_cut() -> None:
    said = read_alive(json.dumps({"type": "alive", "profile": " a\n\tb\0 " + "x" * 999}))
    assert said.profile.startswith("a b xxx")
    assert len(said.profile) == 254
    with pytest.raises(Malformed):
        read_hello('{"type": "hello"}')
    for text in ("A", "QQ==", "Q!", "QR"):
        with pytest.raises(ValueError, match="base64url"):
            from_base64url(text)


async def test_a_pace_fills_by_itself() -> None:
    seconds = 0.0
    pace = Pace(2.0, 3, lambda: seconds)
    assert [pace.take() for _ in range(4)] == [True, True, True, False]
    seconds = 1.0
    assert [pace.take() for _ in range(3)] == [True, True, False]
    many = Paces(1.0, 1, most=2, clock=lambda: seconds)
    assert many.take("a")
    assert not many.take("a")
    assert many.take("b")
    assert many.take("c")
    assert many.take("a"), "it was forgotten"


async def test_only_it_decides_about_browsers(school: School) -> None:
    enrolment, tokens = school.endpoints.enrolment, school.endpoints.tokens
    assert not school.lead.actor.may(Permission.OPERATE)
    for refused in (
        enrolment.approve(school.lead.actor, [], "one by one"),
        enrolment.refuse(school.lead.actor, []),
        enrolment.revoke(school.lead.actor, []),
        enrolment.expect(school.lead.actor, "a"),
        enrolment.forget_expected(school.lead.actor),
        enrolment.expected(school.lead.actor),
        enrolment.open_window(school.lead.actor, now() + timedelta(hours=1)),
        enrolment.close_window(school.lead.actor),
        enrolment.waiting(school.lead.actor),
        enrolment.turned_away(school.lead.actor),
        tokens.all(school.lead.actor),
        tokens.make(school.lead.actor, NewToken("x")),
        tokens.revoke(school.lead.actor, "x"),
    ):
        with pytest.raises(Refused):
            await refused
    for wrong in (NewToken(" "), NewToken("x", most_uses=0), NewToken("x", days=0), NewToken("x", group="none")):
        with pytest.raises(Refused):
            await tokens.make(school.actor, wrong)
