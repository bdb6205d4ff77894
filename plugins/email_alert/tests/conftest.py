"""What the tests of mail share: an appliance with this plugin, a real mail server, people with confirmed addresses."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from appliance.events import AlertRaised
from appliance.testing import Client, Home, Running
from appliance.testing_mail import MailServer
from appliance_plugins.email_alert import Plugin

QUICK = [0.05, 0.1]
"""Pauses of tests: nobody waits for minutes."""


@dataclass
class House:
    """An appliance that mails through ``mail``."""

    running: Running
    mail: MailServer

    @property
    def plugin(self) -> Plugin:
        found = self.running.appliance.plugins._registered["email_alert"].plugin
        assert isinstance(found, Plugin)
        return found

    async def raise_alert(self, *accounts: str, **parts: Any) -> AlertRaised:
        """Publish an alert as the core does."""
        fields = {
            **{"alert": "0190a0b0", "kind": "capture", "severity": "severe", "category": "Suicide", "step": 0},
            **{"accounts": accounts, "link": "/alerts/0190a0b0", "for_team": True, **parts},
        }
        event = AlertRaised(**fields)
        await self.publish(event)
        return event

    async def publish(self, event: Any) -> None:
        appliance = self.running.appliance
        async with appliance.records.transaction() as tx:
            await appliance.bus.publish(tx, event)

    async def reached(self, who: Client, address: str, kind: str = "me") -> str:
        """Add an address and confirm it with the code that was mailed; returns its id."""
        before = len(self.mail.found(to=address))
        answer = await who.post("/email_alert/add", {"address": address, "for": kind})
        assert answer.status == 303, answer.text
        letter = await self.mail.letter(to=address, number=before + 1)
        address_id = await self.id_of(address)
        answer = await who.post("/email_alert/code", {"id": address_id, "code": code_in(letter.text)})
        assert answer.status == 303, answer.text
        return address_id

    async def id_of(self, address: str) -> str:
        rows = await self.rows("addresses", "address = ? AND removed_at IS NULL", address)
        return str(rows[-1]["id"])

    async def rows(self, table: str, condition: str = "1", *parameters: Any) -> list[Any]:
        return await self.running.appliance.records.fetch(
            f"SELECT * FROM email_alert_{table} WHERE {condition} ORDER BY id", parameters
        )

    async def until(self, condition: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(seconds):
            while not await condition():
                await asyncio.sleep(0.01)

    async def states(self) -> list[str]:
        return [row["state"] for row in await self.rows("outbox")]

    async def check(self) -> Any:
        """The first line of this plugin on the status page, asked now."""
        return (await self.plugin.health())[0]


def code_in(text: str) -> str:
    found = re.search(r"Code: (\d{6})", text)
    assert found is not None, text
    return found[1]


StartHouse = Callable[..., Awaitable[House]]


@pytest.fixture
async def start_house(appliance_home: Home, start_appliance: Callable[[Home], Awaitable[Running]]) -> StartHouse:
    """``await start_house(mail, **settings)``: an appliance whose mails go to this server."""

    async def start(mail: MailServer, **settings: Any) -> House:
        settings.setdefault("retry_pauses", QUICK)
        appliance_home.write(f"plugins: {{email_alert: {mail.settings(**settings)}}}\n")
        house = House(await start_appliance(appliance_home), mail)
        state = next(one for one in house.running.appliance.plugins.states() if one.name == "email_alert")
        assert state.state == "on", state
        return house

    return start


@pytest.fixture
async def house(start_house: StartHouse, mail_server: MailServer) -> House:
    return await start_house(mail_server)
