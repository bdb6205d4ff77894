"""Whom profiles and entries are for: groups of networks, groups of the directory with their rooms, devices, people."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

from appliance.api import Actor, Appliance, Permission, Refused, Target, TargetKind

from .clients import Who
from .entries import Entry

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

    def counting(self, entries: Iterable[Entry], behind: Sequence[Who], address: str | None) -> tuple[Entry, ...]:
        """Those entries for somebody that count for a client. Of several people or devices behind one address it is
        enough for a block that it is for one of them; what is allowed must be allowed for each."""
        entries = tuple(entries)
        if not entries:
            return ()
        around = self._assignments.groups_of_address(address) if address is not None else ()
        people, devices = self._directory.memberships()
        each = [_of(who, around, people, devices) for who in behind]
        some = frozenset().union(*each)
        allowed = [{one.domain for one in entries if one.action == "allow" and one.for_whom in own} for own in each]
        for_all = set.intersection(*allowed)
        return tuple(
            one for one in entries if one.for_whom in some and (one.action == "block" or one.domain in for_all)
        )


def _of(
    who: Who,
    around: Iterable[str],
    people: Mapping[str, Collection[str]],
    devices: Mapping[str, Collection[str]],
) -> frozenset[Target]:
    """Everything that somebody on a device in some networks belongs to."""
    found = {Target(TargetKind.NETWORKS, name) for name in around}
    for own, kind, groups in ((who.person, TargetKind.PERSON, people), (who.device, TargetKind.DEVICE, devices)):
        if own is not None:
            found.add(Target(kind, own))
            found.update(Target(TargetKind.GROUP, group) for group in groups.get(own, ()))
    return frozenset(found)
