"""Explains by what is in force: finds for whom it is asked, decides as the DNS worker does, and says why."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from appliance.api import Actor, Appliance, Effective, Permission, Refused, Target, TargetKind, now, stamp

from ..answerer.rules import Decision, decide
from ..answerer.wire import to_wire
from ..answerer.world import Policy, World
from ..settings import Settings
from .clients import NOBODY, Who, plain
from .entries import Entry, read_domain
from .explain import Asker, Explanation, Led, explain, on_clock, origins
from .here import address_in
from .policies import Policies
from .publishing import Publishing

if TYPE_CHECKING:
    from ..queries.store import LedAway

A = 1


async def _to_nothing(_name: str, _profile: str, _since: str) -> LedAway | None:
    return None


COMMAND_LINE = Actor("the command line", frozenset({Permission.MANAGE_PEOPLE}))
AskTheLog = Callable[[str, str, str], Awaitable["LedAway | None"]]
"""Name, profile, since when (UTC stamp) -> why the name was stopped for what it led to."""
NO_PEOPLE = (
    "People are not asked for by name, because it would stand in the address of the page: ask for their profile."
)
WHOM = "Give the address of a device, its name in the directory, a group, or a profile."


class Explaining:
    """``explain`` is the only way in."""

    def __init__(self, appliance: Appliance, settings: Settings, publishing: Publishing) -> None:
        self._appliance = appliance
        self._settings = settings
        self._publishing = publishing
        self._zone = ZoneInfo(appliance.config.settings.school.timezone)
        self.led_away: AskTheLog = _to_nothing
        """Asks the log what a name led to."""

    async def explain(self, actor: Actor, name: str, client: str) -> Explanation:
        """What ``client`` would get for a name, and why. Raises ``Refused`` in words for what cannot be explained."""
        domain, wrong = read_domain(name)
        if wrong:
            raise Refused(wrong)
        await self._publishing.publish()
        world = self._publishing.world()
        asker, policy = await self._find(actor, client.strip(), world)
        decision = decide(to_wire(domain), A, policy, world)
        force, choices = self._publishing.store.in_force, self._publishing.choices
        led = await self.led(domain, policy, world) if decision.verdict == "allowed" else None
        return explain(domain, decision, policy, asker, force, choices, stamp(), on_clock(self._zone), led)

    async def led(self, domain: str, policy: Policy, world: World, within: timedelta = timedelta(days=1)) -> Led | None:
        """What an open name led to when it was last asked for, if that is stopped now too; or what a plugin said."""
        row = await self.led_away(domain, policy.profile, stamp(now() - within))
        if row is None:
            return None
        if row.why == "rebind":
            may = world.may_be_private(to_wire(domain))
            return None if may else Led("", Decision(policy.stop, row.why), row.at)
        if row.why == "plugin":
            return Led("", Decision(policy.stop, row.why, "", row.rule), row.at)
        for entry in self._publishing.store.in_force.entries:
            if entry.id == row.rule:
                return self._if_stopped(entry.domain, row, policy, world)
        for decision in policy.services.values():
            if decision.rule == row.rule:
                return Led("", decision, row.at)
        return self._if_stopped(row.rule, row, policy, world)

    def _if_stopped(self, name: str, row: LedAway, policy: Policy, world: World) -> Led | None:
        try:
            decision = decide(to_wire(name), A, policy, world)
        except ValueError:  # an entry that is gone
            return None
        return Led(name, decision, row.at) if decision.verdict == policy.stop else None

    async def _find(self, actor: Actor, client: str, world: World) -> tuple[Asker, Policy]:
        try:
            return self._of_address(plain(str(ipaddress.ip_address(client.partition("%")[0]))), world)
        except ValueError:
            pass
        profiles = {one.name: one.title for one in self._publishing.profiles()}
        if not client:
            name = self._settings.default_profile
            return Asker("A device that is in no group", profiles[name], "the default"), self._policy(name, world)
        for name, title in profiles.items():
            if client.casefold() in (name.casefold(), title.casefold()):
                return Asker("", title), self._policy(name, world)
        target, words = await self._target(actor, client)
        address = self._address_of(target)
        if address:
            asker, policy = self._of_address(address, world)
            return replace(asker, words=f"{words}, which is at {address} now,"), policy
        effective = self._of_target(target)
        asker = Asker(words, profiles[effective.value], effective.origin)
        return asker, self._policy(effective.value, world, self._own(target))

    def _of_address(self, address: str, world: World) -> tuple[Asker, Policy]:
        publishing, at = self._publishing, now()
        policy, _ = world.policy_for(address, at.timestamp())
        if policy is None:
            raise Refused(
                f"{address} gets no answer at all: it lies in none of the networks that may ask.",
                "They are in the settings file, under plugins.dns_filter.allow_from.",
            )
        behind = publishing.clients.known().get(address) or [NOBODY]
        found = [publishing.having.profile_of(who.person, who.device, address, at) for who in behind]
        origin = origins([(one.value, one.origin, _is_personal(one)) for one in found])
        titles = {one.name: one.title for one in publishing.profiles()}
        extra = tuple(
            f"Another part of the appliance wants something else for it: {one.why or 'it does not say why'}."
            for one in publishing.overlays.of(address)
        )
        return Asker(f"The device at {address}", titles[policy.profile], origin, extra), policy

    async def _target(self, actor: Actor, client: str) -> tuple[Target, str]:
        for group in self._appliance.config.settings.groups:
            if client.casefold() in (group.name.casefold(), group.title.casefold()):
                return Target(TargetKind.NETWORKS, group.name), f"A device of {group.title or group.name}"
        for row in await self._appliance.directory.groups.all(actor):
            if row["name"].casefold() == client.casefold():
                return Target(TargetKind.GROUP, row["id"]), f"Whoever is in {row['name']}"
        devices = await self._appliance.directory.devices.called(actor, client)
        if len(devices) == 1:
            return Target(TargetKind.DEVICE, next(iter(devices))), f"The device {client}"
        by_id = await self._appliance.directory.devices.names(actor, [client])
        if client in by_id:  # pages of devices ask so: several may have the same name
            return Target(TargetKind.DEVICE, client), f"The device {by_id[client]}"
        why = f"Several devices are called {client!r}." if devices else f"Nothing here is called {client!r}."
        raise Refused(why, f"{WHOM} {NO_PEOPLE}")

    def _address_of(self, target: Target) -> str:
        """Where a device is now: its room, and who is signed in there, count too."""
        if target.kind is not TargetKind.DEVICE:
            return ""
        known = self._publishing.clients.known().items()
        return next((address for address, behind in known if any(who.device == target.id for who in behind)), "")

    def _of_target(self, target: Target) -> Effective:
        having, at = self._publishing.having, now()
        if target.kind is TargetKind.DEVICE:
            return having.profile_of(None, target.id, None, at)
        own = having.set_for(target)
        if own is not None:
            return own
        if target.kind is TargetKind.NETWORKS:
            for network, group in having.networks():
                if group == target.id:
                    return having.profile_of(None, None, self._address_in(network), at)
        return having.profile_of(None, None, None, at)

    def _address_in(self, network: str) -> str:
        networks = [ipaddress.ip_network(one) for one, _ in self._publishing.having.networks()]
        return address_in(ipaddress.ip_network(network), networks)

    def _own(self, target: Target) -> Sequence[Entry]:
        """The entries for whoever belongs to a target and to nothing else."""
        targets, entries = self._publishing.targets, self._publishing.store.in_force.for_somebody()
        if target.kind is TargetKind.DEVICE:
            return targets.counting(entries)([Who(None, target.id, "")], "")
        return [one for one in entries if one.for_whom == target]

    def _policy(self, profile: str, world: World, own: Sequence[Entry] = ()) -> Policy:
        """The policy of a profile at this moment, without what other plugins want for single devices."""
        policies = Policies(self._publishing.basis(), stamp(), self._publishing.having.rank)
        key = policies.chain(lambda _: (profile, None), own=own)[0][0]
        found = world.policies.get(key) or self._publishing.policy_of(policies.parts, key)
        if found is None:
            raise Refused("What applies has just changed.", "Try again.")
        return found


def _is_personal(effective: Effective) -> bool:
    return effective.target is not None and effective.target.kind is TargetKind.PERSON
