"""The steps of one query: who asks, what do they ask, may they, what do they hear, and what is noted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from appliance.api import stamp

from . import messages
from .messages import Query, Unanswerable
from .policy import Decision, decide
from .shares import plain_address
from .snapshot import Client, Clients
from .upstream import NoAnswer, Upstreams

Report = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Answering:
    """Answers queries by one snapshot. ``report`` gets one record for each answered query that is not exempt."""

    clients: Clients
    upstreams: Upstreams
    block_ttl: int
    report: Report

    async def answer(self, packet: bytes, address: str, *, over_udp: bool) -> bytes | None:
        """The answer to a packet from ``address``, or ``None`` for silence. Never raises because of the packet."""
        client = self.clients.find(address)
        if client is None:
            return None
        try:
            query = messages.parse(packet)
        except Unanswerable as refused:
            return refused.reply
        began = time.perf_counter()
        decision = decide(query.name, client.profile)
        message = await self._message(query, address, client, decision)
        if decision.verdict != "exempt":
            self.report(_record(query, address, client, decision, time.perf_counter() - began))
        return messages.fit(query, message, query.udp_limit() if over_udp else messages.TCP_SIZE)

    async def _message(self, query: Query, address: str, client: Client, decision: Decision) -> bytes:
        if decision.verdict == "blocked":
            return messages.blocked(query, client.profile, self.block_ttl)
        if query.qtype == messages.ANY:
            return messages.refuses_any(query)
        try:
            return await self.upstreams.ask(query, address)
        except NoAnswer as error:
            return messages.failed(query, str(error))


def _record(query: Query, address: str, client: Client, decision: Decision, seconds: float) -> dict[str, Any]:
    """What the main process is told: ``t`` UTC, ``ms`` until the answer was ready."""
    return {
        "t": stamp(),
        "client": str(plain_address(address)),
        "group": client.group,
        "name": query.name or ".",
        "type": query.type_name,
        "verdict": decision.verdict,
        "list": decision.list,
        "profile": client.profile.name,
        "ms": round(seconds * 1000, 1),
    }
