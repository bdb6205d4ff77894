"""What this room asks, answered by the room of profiles: decided as the process that answers decides."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from appliance.api import Actor, Transaction, now, stamp

from ..answerer.rules import Decision, decide
from ..answerer.wire import to_wire
from ..answerer.world import Policy
from ..domains import with_parents
from ..profiles.clients import plain
from ..profiles.room import Profiles
from .others import Others

_A = 1
"""The type of the query that a browser sends for a page."""
JUST_NOW = timedelta(minutes=10)
"""How long ago a browser may have asked for the name of a page that it opens now."""
TRIES, PAUSE = 5, 0.3
"""What was answered reaches the log within a second."""


def others_of(profiles: Profiles) -> Others:
    """The other rooms, for the page about blocked sites."""
    publishing = profiles.publishing

    def policy_of(address: str) -> Policy | None:
        return publishing.world().policy_for(plain(address), now().timestamp())[0]

    def why(host: str, address: str) -> Decision | None:
        policy = policy_of(address)
        return decide(to_wire(host), _A, policy, publishing.world()) if policy is not None else None

    async def led(host: str, address: str) -> Decision | None:
        for _ in range(TRIES):
            policy = policy_of(address)
            if policy is None:
                break
            found = await profiles.explaining.led(host, policy, publishing.world(), JUST_NOW)
            if found is not None:
                return found.decision
            await asyncio.sleep(PAUSE)
        return None

    def profile_of(address: str) -> str:
        policy = policy_of(address)
        return policy.profile if policy is not None else ""

    async def allow(
        tx: Transaction, actor: Actor, domain: str, profile: str, reason: str, until: datetime | None
    ) -> str:
        tx.after_commit.append(publishing.soon)
        return await profiles.allow_within(tx, actor.name, domain, profile, reason, until)

    def is_in_force(entry: str) -> bool:
        at = stamp()
        return any(one.id == entry and (not one.until or one.until > at) for one in profiles.store.in_force.entries)

    def blocked_for_some(host: str) -> str:
        at, around = stamp(), set(with_parents(host))
        for one in profiles.store.in_force.for_somebody():
            if one.action == "block" and one.domain in around and (not one.until or one.until > at):
                return one.domain
        return ""

    def profile_title(name: str) -> str:
        return next((one.title for one in publishing.profiles() if one.name == name), name)

    return Others(
        why=why,
        led=led,
        profile_of=profile_of,
        device_of=lambda address: profiles.clients.who(address).device or "",
        allow=allow,
        is_in_force=is_in_force,
        list_title=lambda name: publishing.choices.title(f"list:{name}"),
        category_title=lambda key: publishing.choices.title(f"category:{key}"),
        service_title=lambda key: publishing.choices.title(f"service:{key}"),
        profile_title=profile_title,
        blocked_for_some=blocked_for_some,
    )
