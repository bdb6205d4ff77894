"""Whom profiles and entries are for: groups of networks, groups of the directory with their rooms, devices, people."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from ipaddress import ip_network

from appliance.api import Actor, Appliance, Permission, Refused, Target, TargetKind

from ..domains import with_parents
from .clients import Who
from .entries import Entry
from .here import is_within

UNSEEN = "Somebody whom you may not see"


class Targets:
    """Finds them by what is typed, names them as far as somebody may see them, and knows who belongs to them."""

    def __init__(self, appliance: Appliance) -> None:
        self._assignments = appliance.assignments
        self._directory = appliance.directory
        self._looks = appliance.looks

    async def find(self, actor: Actor, group: str, name: str) -> Target:
        """Whom a form means: a group (a name of the settings, or ``group:<id>``), else a device or person by name.

        Raises ``Refused`` in words where that is nobody or several.
        """
        if not name:
            kind, _, found = group.partition(":")
            return Target(TargetKind.GROUP, found) if kind == "group" and found else self._networks(group)
        devices = sorted(await self._directory.devices.called(actor, name))
        people = await self._directory.called(actor, name)
        targets = [Target(TargetKind.DEVICE, one) for one in devices] + [
            Target(TargetKind.PERSON, one) for one in people
        ]
        if not targets:
            raise Refused(
                f"There is no device and nobody called {name!r}.", "Type the whole name, as in the directory."
            )
        if len(targets) > 1:
            raise Refused(f"Several are called {name!r}.", "Use a group with just that one in it.")
        return targets[0]

    def _networks(self, group: str) -> Target:
        if group not in {known.name for known in self._assignments.groups}:
            raise Refused(f"There is no group called {group!r}.", "Groups are defined in the settings file.")
        return Target(TargetKind.NETWORKS, group)

    async def title(self, actor: Actor, target: Target) -> tuple[str, str]:
        """What it is, and what it is called."""
        if target.kind is TargetKind.NETWORKS:
            titles = {one.name: one.title or one.name for one in self._assignments.groups}
            return "Network", titles.get(target.id, target.id)
        if target.kind is TargetKind.GROUP:
            group = await self._directory.groups.group(actor, target.id)
            return "Group", group["name"] if group else UNSEEN
        if target.kind is TargetKind.DEVICE:
            device = await self._directory.devices.device(actor, target.id)
            return "Device", device.row["name"] if device else "A device that you may not see"
        person = await self._directory.person(actor, target.id)
        return "Person", person.row["name"] if person else UNSEEN

    async def may_read_why(self, actor: Actor, target: Target) -> bool:
        """Why something counts for somebody alone may tell about a child: it is for those who see their records."""
        if target.kind is not TargetKind.PERSON:
            return True
        may_see_people = actor.may(Permission.SEE_PEOPLE)
        return may_see_people and (await self._looks.names(actor, [target.id])).get(target.id) is not None

    def counting(self, entries: Iterable[Entry]) -> Callable[[Sequence[Who], str], tuple[Entry, ...]]:
        """Which of these entries for somebody count: asked with who is behind an address, and with that address or a
        network (``""``: it is not known).

        Of what is said of a domain for one, the closest counts: for the person, the device, a group, the network; of
        equally close ones the block. Of several people or devices behind one address a block for one is enough; what is
        allowed must be allowed for each.
        """
        by_target: dict[Target, list[Entry]] = {}
        for one in entries:
            if one.for_whom is not None:
                by_target.setdefault(one.for_whom, []).append(one)
        people, devices = self._directory.memberships()

        def count(behind: Sequence[Who], where: str) -> tuple[Entry, ...]:
            if not by_target:
                return ()
            around = self._around(where)
            each = [_closest(by_target, _belongings(who, around, people, devices)) for who in behind]
            allowed = set.intersection(*({one.domain for one in own if one.action == "allow"} for own in each))
            found = {one.id: one for own in each for one in own if one.action == "block" or one.domain in allowed}
            return tuple(sorted(found.values(), key=lambda one: one.id))

        return count

    def _around(self, where: str) -> list[str]:
        """The groups of networks that hold an address or a whole network, the most specific first."""
        if "/" not in where:
            return self._assignments.groups_of_address(where) if where else []
        network = ip_network(where)
        return [name for one, name in self._assignments.networks() if is_within(network, one)]


def _belongings(
    who: Who,
    around: Sequence[str],
    people: Mapping[str, Collection[str]],
    devices: Mapping[str, Collection[str]],
) -> Mapping[Target, int]:
    """Everything that somebody on a device in some networks belongs to, with how far off it is."""
    found: dict[Target, int] = {Target(TargetKind.NETWORKS, name): 3 + place for place, name in enumerate(around)}
    for own, groups in ((who.person, people), (who.device, devices)):
        if own is not None:
            found.update((Target(TargetKind.GROUP, group), 2) for group in groups.get(own, ()))
    if who.device is not None:
        found[Target(TargetKind.DEVICE, who.device)] = 1
    if who.person is not None:
        found[Target(TargetKind.PERSON, who.person)] = 0
    return found


def _closest(by_target: Mapping[Target, Sequence[Entry]], belongings: Mapping[Target, int]) -> list[Entry]:
    """The entries for somebody that no closer one overrules."""
    by_domain: dict[str, list[tuple[int, Entry]]] = {}
    for target, distance in belongings.items():
        for one in by_target.get(target, ()):
            by_domain.setdefault(one.domain, []).append((distance, one))
    return [
        one
        for said in by_domain.values()
        for distance, one in said
        if not any(
            _overrules(other, nearness, one, distance)
            for domain in with_parents(one.domain)
            for nearness, other in by_domain.get(domain, ())
        )
    ]


def _overrules(other: Entry, nearness: int, one: Entry, distance: int) -> bool:
    """Whether an entry for a domain, or for one above it, makes another one void. A block covers what lies below."""
    is_same, is_block = other.domain == one.domain, other.action == "block"
    if nearness < distance:
        return is_same or is_block
    return nearness == distance and is_same and is_block and one.action == "allow"
