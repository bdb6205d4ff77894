"""Who is behind an address: real browsers that connect, change hands and go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from appliance.endpoints.enrolment import key_hash
from appliance.endpoints.tokens import NewToken
from appliance.people.directory import Details
from appliance.simulated_browser import SimulatedBrowser
from appliance.testing import Home, Running
from appliance_plugins.dns_filter.profiles.clients import Who, plain

HERE = "127.0.0.1"


class House:
    """A running appliance, and browsers that come to it."""

    def __init__(self, running: Running) -> None:
        self.running = running
        self.profiles: Any = running.appliance.plugins._registered["dns_filter"].plugin.profiles

    async def browser(self, stack: AsyncExitStack, name: str, profile: str) -> SimulatedBrowser:
        """A browser that was let in; ``profile``: the account that it is signed in with."""
        endpoints, actor = self.running.appliance.endpoints, self.running.actor
        made = await endpoints.tokens.make(actor, NewToken(name))
        token = next(row["token"] for row in await endpoints.tokens.all(actor) if row["id"] == made)
        browser = SimulatedBrowser(self.running.port, endpoints.extension.id, token, name=name, profile=profile)
        await stack.enter_async_context(browser.connected())
        assert await browser.enrol() == "waiting"
        row = await self.running.appliance.records.fetch_one(
            "SELECT id FROM endpoints WHERE key_sha256 = ?", (key_hash(browser.spki),)
        )
        await endpoints.enrolment.approve(actor, [row["id"]], "one by one")
        await browser.welcomed()
        return browser

    async def person(self, kind: str, name: str, account: str) -> str:
        directory, actor = self.running.appliance.directory, self.running.actor
        person = await directory.add(actor, Details(kind, name))
        await directory.add_account(actor, person, "browser", account)
        return str(person)

    async def chain(self, holds: Callable[[Any], bool]) -> Any:
        """What the worker is told of this address, once it holds."""
        async with asyncio.timeout(20):
            while not holds(found := self.profiles.publishing.written["clients"].get(HERE)):
                await asyncio.sleep(0.02)
        return found


@pytest.fixture
async def house(appliance_home: Home, start_appliance: Any) -> House:
    appliance_home.write("plugins: {dns_filter: {}}\n")
    return House(await start_appliance(appliance_home))


async def test_a_person_is_known_while_that_sign_in_lasts_and_a_shared_address_is_nobodys(house: House) -> None:
    clients = house.profiles.clients
    teacher = await house.person("staff", "Ada Teacher", "ada@school.example")
    pupil = await house.person("pupil", "Bea Pupil", "bea@school.example")
    async with AsyncExitStack() as stack:
        first = await house.browser(stack, "Laptop 1", "ada@school.example")
        await house.chain(lambda found: found == [["staff", None]])
        who = clients.who(HERE)
        assert who.person == teacher
        assert who.device is not None
        first.profile = "bea@school.example"  # somebody else signs in
        await first.alive()
        await house.chain(lambda found: found == [["pupil", None]])
        assert clients.who(HERE).person == pupil
        first.profile = "stranger@elsewhere.example"
        await first.alive()
        async with asyncio.timeout(20):
            while clients.who(HERE).person is not None:
                await asyncio.sleep(0.02)
        assert clients.who(HERE).device == who.device
        first.profile = "ada@school.example"
        await first.alive()
        await house.chain(lambda found: found == [["staff", None]])
        second = await house.browser(stack, "Laptop 2", "bea@school.example")
        await house.chain(lambda found: found == [["pupil", None]])  # the strictest of both
        assert clients.who(HERE) == Who(None, None, "")
        await second.close()
        await house.chain(lambda found: found == [["staff", None]])
        assert clients.who(HERE).person == teacher
    await house.chain(lambda found: found is None)
    assert clients.who(HERE) == Who(None, None, "")


async def test_a_device_that_was_seen_at_another_address_brings_its_person_along(house: House) -> None:
    teacher = await house.person("staff", "Ada Teacher", "ada@school.example")
    async with AsyncExitStack() as stack:
        await house.browser(stack, "Laptop 1", "ada@school.example")
        clients = house.profiles.clients
        device = clients.who(HERE).device
        clients.sightings = lambda: {"fd00::7": device}
        clients.device_at = clients.sightings().get
        assert clients.who("fd00::7").person == teacher
        assert [who.person for who in clients.known()["fd00::7"]] == [teacher]
    async with asyncio.timeout(20):
        while clients.who("fd00::7").person is not None:
            await asyncio.sleep(0.02)
    assert clients.who("fd00::7").device == device


def test_one_address_has_one_spelling() -> None:
    assert [plain(text) for text in ("::ffff:10.0.0.7", "fe80::1%eth0", "FD00::7", "nonsense")] == [
        "10.0.0.7",
        "fe80::1",
        "fd00::7",
        "nonsense",
    ]
