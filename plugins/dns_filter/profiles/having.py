"""Who has which profile: what was set for people, devices and groups, and what people have by what they are.

The core's resolver decides (``appliance.assignments``): the person's own, the device's own, groups of the directory,
then networks. Where it knows nothing closer than a network, what somebody is in the directory counts too: a pupil or a
guest who sits in a room with a milder profile keeps the stricter one, and staff get theirs where nothing is set.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from appliance.api import Appliance, Effective, Refused, Target, TargetKind

from ..settings import Settings
from .here import address_in
from .model import Profile, mildest_first

KIND = "dns_profile"
"""What profiles are called among everything that can be set for somebody."""

_KEEP_THE_STRICTER = frozenset({"pupil", "guest"})
KINDS_IN_WORDS = {"pupil": "pupils", "staff": "staff", "governor": "governors", "guest": "guests"}


@dataclass(frozen=True, slots=True)
class Milder:
    """How many would have a milder profile. ``nobodys``: devices of a network on which nobody is signed in, too."""

    pupils: int
    guests: int
    devices: int
    nobodys: bool


class Having:
    """``declare`` before use, and again when profiles have changed: their order says which of several is strictest."""

    def __init__(self, appliance: Appliance, settings: Settings) -> None:
        self._assignments = appliance.assignments
        self._directory = appliance.directory
        self._settings = settings
        self._connections = appliance.endpoints.connections
        self._order: dict[str, int] = {}
        self._profiles: dict[str, Profile] = {}

    def declare(self, profiles: Iterable[Profile]) -> None:
        """Say which profiles there are."""
        self._profiles = {profile.name: profile for profile in profiles}
        names = [profile.name for profile in mildest_first(self._profiles.values())]
        self._order = {name: place for place, name in enumerate(names)}
        self._assignments.declare(
            kind=KIND,
            default=self._settings.default_profile,
            fixed=self._settings.profile_of,
            options=names,
            targets=tuple(TargetKind),
        )

    def rank(self, profile: str) -> int:
        """Greater: stricter. A name that is not known is strictest of all."""
        return self._order.get(profile, len(self._order))

    def profile_of(
        self,
        person: str | None,
        device: str | None,
        address: str | None,
        at: datetime,
        supposing: dict[Target, Effective | None] | None = None,
    ) -> Effective:
        """The profile of somebody on a device at an address, as far as each is known, and why."""
        found = self._assignments.effective(
            KIND, person=person, device=device, address=address, at=at, supposing=supposing
        )
        kind = self._directory.kind_of_person(person) if person is not None else None
        if kind is None or (found.target is not None and found.target.kind is not TargetKind.NETWORKS):
            return found
        own = self._settings.profile_of_person(kind)
        by_kind = Effective(own, f"what {KINDS_IN_WORDS[kind]} have", None, found.until)
        if found.target is None:
            return by_kind
        stricter = kind in _KEEP_THE_STRICTER and self.rank(own) > self.rank(found.value)
        return by_kind if stricter else found

    def refuse_one_for_all(self, at: datetime, supposing: dict[Target, Effective | None]) -> None:
        """Raise ``Refused`` if everybody would have one and the same profile after a change."""
        if len(self._in_use(at, {})) > 1 and len(names := self._in_use(at, supposing)) == 1:
            raise Refused(
                f"Then everybody would have the profile {next(iter(names))}. One profile for all is not allowed.",
                "Let pupils and staff have different ones.",
            )

    def one_for_all(self, at: datetime) -> str:
        """The profile that everybody has, pupils and staff alike; empty if there are several. No page lets that happen;
        settings can, together with what pages have set, because they are checked before anybody is known."""
        names = self._in_use(at, {})
        return next(iter(names)) if len(names) == 1 else ""

    def _in_use(self, at: datetime, supposing: dict[Target, Effective | None]) -> set[str]:
        """Profiles that somebody has: unknown devices, every network, every person, and kinds of people to come."""
        kinds = self._directory.kinds_of_people()
        found = {self._settings.profile_of_person(kind) for kind in ("pupil", "staff") if kind not in kinds.values()}
        found.add(self.profile_of(None, None, None, at, supposing).value)
        for address, _ in self._addresses():
            found.add(self.profile_of(None, None, address, at, supposing).value)
        for person in kinds:
            found.add(self.profile_of(person, None, None, at, supposing).value)
            if len(found) > 1:
                break
        return found

    def of_pupils(self, at: datetime) -> frozenset[str]:
        """Profiles that pupils and guests have, and devices of which nothing is known."""
        found = {self._settings.profile_of_person(kind) for kind in _KEEP_THE_STRICTER}
        found.add(self.profile_of(None, None, None, at).value)
        kinds = self._directory.kinds_of_people()
        found.update(self.profile_of(one, None, None, at).value for one in kinds if kinds[one] in _KEEP_THE_STRICTER)
        return frozenset(found)

    def reaching_pupils(self, at: datetime) -> frozenset[str]:
        """Those of ``of_pupils``, of every network, and of every device that nobody of the staff holds: a pupil who is
        not signed in has what the network or the device has."""
        found = {self.profile_of(None, None, address, at).value for address, _ in self._addresses()}
        _, devices = self._directory.memberships()
        chosen = {target.id for target, _ in self._assignments.in_force(KIND) if target.kind is TargetKind.DEVICE}
        for device in {*devices, *chosen}:
            holder = self._connections.holder(device)
            if holder is None or self._directory.kind_of_person(holder) in {None, *_KEEP_THE_STRICTER}:
                found.add(self.profile_of(holder, device, None, at).value)
        return self.of_pupils(at) | found

    def milder_for(self, target: Target, given: Effective | None, at: datetime) -> Milder:
        """Whom a choice for this target (``None``: that there is none any more) would give less protection than now."""
        supposing = {target: given}

        def is_milder(person: str | None, device: str | None, address: str | None = None) -> bool:
            before = self.profile_of(person, device, address, at).value
            after = self.profile_of(person, device, address, at, supposing).value
            return self._profiles[after].opens_beyond(self._profiles[before])

        kinds = self._directory.kinds_of_people()
        people = [kind for person, kind in kinds.items() if kind in _KEEP_THE_STRICTER and is_milder(person, None)]
        devices = sum(is_milder(self._connections.holder(one), one) for one in self._devices_of(target))
        nobodys = any(
            is_milder(None, None, address)
            for address, group in self._addresses()
            if target == Target(TargetKind.NETWORKS, group)
        )
        return Milder(people.count("pupil"), people.count("guest"), devices, nobodys)

    def _devices_of(self, target: Target) -> Iterable[str]:
        if target.kind is TargetKind.DEVICE:
            return [target.id]
        _, devices = self._directory.memberships()
        return [device for device, groups in devices.items() if target.kind is TargetKind.GROUP and target.id in groups]

    def set_for(self, target: Target) -> Effective | None:
        """What was set for this target itself."""
        return self._assignments.own(KIND, target)

    def _addresses(self) -> Iterable[tuple[str, str]]:
        """Of every network an address in which it decides, with the name of its group."""
        pairs = self._assignments.networks()
        return [(address_in(network, [one for one, _ in pairs]), group) for network, group in pairs]

    def networks(self) -> Sequence[tuple[str, str]]:
        """Every network of every group of the settings, the most specific first, with the name of its group."""
        return [(str(network), group) for network, group in self._assignments.networks()]
