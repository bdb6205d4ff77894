"""Who gets which profile, for the page: groups of networks, groups of the directory, devices and people."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from appliance.api import Actor, Appliance, Effective, Refused, Row, Target, TargetKind, now

from ..settings import Settings
from .having import KIND, Having, Milder
from .model import Profile
from .targets import UNSEEN, Targets

__all__ = ["KIND", "Chosen", "GroupRow", "Groups", "networks"]

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_WHAT_IT_DOES: Mapping[str, str] = {
    "block": "{} lets through some of what their profile stops now.",
    "watch": "{} is on a trial run: it blocks nothing but what locked lists name.",
    "off": "{} blocks nothing but what locked lists name.",
}


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group of networks as the page shows it.

    ``profile`` applies now, because of ``origin`` (words). ``fixed``: the settings file says so and the page cannot
    change it. ``row_id``: the change made on a page that is in force, ``until``: its end (UTC stamp); ``""`` if none.
    """

    name: str
    title: str
    addresses: tuple[str, ...]
    profile: str
    mode: str
    origin: str
    fixed: bool
    row_id: str
    until: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """A choice for a group of the directory, a device or a person that is in force."""

    what: str
    title: str
    profile: str
    mode: str
    origin: str
    row_id: str
    until: str


class Groups:
    """Reads ``assignments`` for the kind ``dns_profile``. ``modes()`` says what each profile does now."""

    def __init__(
        self,
        appliance: Appliance,
        settings: Settings,
        having: Having,
        targets: Targets,
        modes: Callable[[], dict[str, str]],
    ) -> None:
        self._assignments = appliance.assignments
        self._targets = targets
        self._settings = settings
        self._having = having
        self._modes = modes

    async def rows(self) -> list[GroupRow]:
        """Every group of networks, in the order of the settings."""
        changes = {
            target.id: row for target, row in self._assignments.in_force(KIND) if target.kind is TargetKind.NETWORKS
        }
        modes = self._modes()
        return [
            self._row(group.name, group.title, group.addresses, changes.get(group.name), modes)
            for group in self._assignments.groups
        ]

    def default_row(self) -> GroupRow:
        """Every device that is in no group."""
        profile = self._settings.default_profile
        return GroupRow("", "All other devices", (), profile, self._modes()[profile], "the default", True, "", "")

    async def chosen(self, actor: Actor) -> list[Chosen]:
        """Choices for groups of the directory, devices and people, as far as ``actor`` may find them.

        Why somebody has a profile of their own may tell about a child: it is for those who see that person's records.
        """
        modes, found = self._modes(), []
        for target, row in self._assignments.in_force(KIND):
            if target.kind is not TargetKind.NETWORKS and row["value"] in modes:
                what, title = await self._targets.title(actor, target)
                origin = f"set by {row['author']}"
                if title != UNSEEN and await self._targets.may_read_why(actor, target):
                    origin += f": {row['reason']}"
                found.append(
                    Chosen(what, title, row["value"], modes[row["value"]], origin, row["id"], row["until"] or "")
                )
        return found

    async def target(self, actor: Actor, group: str, name: str) -> Target:
        """Whom a form means (``Targets.find``). Raises ``Refused`` in words, also where the settings file decides."""
        target = await self._targets.find(actor, group, name)
        if target.kind is TargetKind.NETWORKS and target.id in self._assignments.kind(KIND).fixed:
            raise Refused(f"The settings file fixes this for {target.id}.", "Change it there.")
        return target

    async def refuse_one_for_all(self, target: Target, profile: str) -> None:
        """Raise ``Refused`` if with this choice everybody had one profile."""
        self._having.refuse_one_for_all(now(), {target: Effective(profile, "would be", target)})

    def warnings(self, target: Target, profile: Profile) -> list[str]:
        """What somebody should know before this choice: how many would be less protected, and what that means."""
        found = self._having.milder_for(target, Effective(profile.name, "would be", target), now())
        parts = _people(found)
        told = [f"{' and '.join(parts)} would have a milder profile than now."] if parts else []
        if found.devices:
            whose = "whoever uses it" if found.devices == 1 else "whoever uses them"
            told.append(f"{_many(found.devices, 'device')} would have a milder profile than now, {whose}.")
        if found.nobodys:
            told.append(
                "Every device of this network on which nobody is known to be signed in would have a milder profile "
                "than now. Pupils and guests who are signed in keep theirs."
            )
        return [*told, _WHAT_IT_DOES[profile.mode].format(profile.title)] if told else []

    def news(self, actor: str, target: Target, given: Effective | None) -> str:
        """What the leads are told of a choice, or of the end of one: by whom and for how many; empty if for nobody. It
        names no group, which may be that of a single child."""
        found = self._having.milder_for(target, given, now())
        whom = [*_people(found), *([_many(found.devices, "device")] if found.devices else [])]
        whom += ["every device of a network on which nobody is signed in"] if found.nobodys else []
        if not whom:
            return ""
        return f"{actor} made a choice by which a milder profile of the web filter counts for {' and '.join(whom)}."

    def without(self, row_id: str) -> tuple[Target, Effective | None] | None:
        """For whom a choice on a page is in force, and what would be set for them if it were undone."""
        target = next((one for one, row in self._assignments.in_force(KIND) if row["id"] == row_id), None)
        return None if target is None else (target, self._assignments.own(KIND, target, without=row_id))

    async def refuse_undo_to_one_for_all(self, row_id: str) -> None:
        """Raise ``Refused`` if everybody had one profile without this change."""
        found = self.without(row_id)
        if found is not None:
            self._having.refuse_one_for_all(now(), dict([found]))

    def _row(
        self, name: str, title: str, addresses: tuple[str, ...], change: Row | None, modes: dict[str, str]
    ) -> GroupRow:
        profile, origin = self._profile_and_origin(name)
        fixed = name in self._settings.profile_of
        return GroupRow(
            name=name,
            title=title or name,
            addresses=addresses,
            profile=profile,
            mode=modes[profile],
            origin=origin,
            fixed=fixed,
            row_id=change["id"] if change is not None and not fixed else "",
            until=(change["until"] or "") if change is not None and not fixed else "",
        )

    def _profile_and_origin(self, group: str) -> tuple[str, str]:
        own = self._having.set_for(networks(group))
        if own is not None:
            return own.value, own.origin
        pairs = self._assignments.networks()
        mine = next((network for network, name in pairs if name == group), None)
        for network, name in pairs:
            if mine is not None and name != group and _contains(network, mine):
                around = self._having.set_for(networks(name))
                if around is not None:
                    return around.value, "the wider group around it"
        return self._settings.default_profile, "the default"


def _people(found: Milder) -> list[str]:
    return [_many(number, what) for number, what in ((found.pupils, "pupil"), (found.guests, "guest")) if number]


def _many(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def networks(group: str) -> Target:
    """A group of networks, as the core's resolver names it."""
    return Target(TargetKind.NETWORKS, group)


def _contains(wide: Network, narrow: Network) -> bool:
    return wide.version == narrow.version and narrow.subnet_of(wide)  # type: ignore[arg-type]
