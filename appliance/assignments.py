"""What applies to whom: the one resolver for everything that is set per group, device or person.

The closest choice decides: the person's own, then the device's own, then the groups of the directory that the person or
the device is in (among several the strictest value, by the order that the kind declares), then the group of networks
(``groups`` in the settings) whose most specific network holds the address, and at the end the default. What a file
fixes for a group of networks wins over what a page set for it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

from appliance.audit import Audit
from appliance.bus import Bus
from appliance.clock import new_id, now, parse, stamp
from appliance.config import GroupSettings
from appliance.db import Database, Row, Transaction
from appliance.errors import ApplianceError, Refused
from appliance.events import AssignmentChanged

_IN_FORCE = "SELECT * FROM assignments WHERE undone_at IS NULL AND (until IS NULL OR until > ?) ORDER BY set_at, id"
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class TargetKind(StrEnum):
    """What a value can be set for."""

    NETWORKS = "networks"
    GROUP = "group"
    DEVICE = "device"
    PERSON = "person"


_KNOWN: Mapping[TargetKind, str] = {
    TargetKind.GROUP: "SELECT name FROM groups WHERE id = ?",
    TargetKind.DEVICE: "SELECT name FROM devices WHERE id = ? AND removed_at IS NULL",
    TargetKind.PERSON: "SELECT name FROM people WHERE id = ? AND left_at IS NULL",
}


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a value is set for. ``id``: for networks the group's name in the settings, else an id of the directory."""

    kind: TargetKind
    id: str


@dataclass(frozen=True, slots=True)
class Effective:
    """A value, where it came from in words, and whose choice decided (``None``: the default)."""

    value: str
    origin: str
    target: Target | None
    until: str | None = None
    """When this choice ends (a stamp), and what is around it applies again."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Something that can be set: its default, what the files fix for groups of networks, and the values to choose from.

    ``options`` go from the mildest to the strictest: among several groups of the directory the strictest counts.
    ``targets``: what it can be set for.
    """

    default: str
    fixed: Mapping[str, str]
    options: tuple[str, ...]
    targets: frozenset[TargetKind]


class Memberships(Protocol):
    """Who is in which group of the directory, by ids, answered from memory. An id that is not known is in none."""

    def groups_of_person(self, person_id: str) -> Collection[str]:
        """The groups of a person."""

    def groups_of_device(self, device_id: str) -> Collection[str]:
        """The groups of a device."""


class Assignments:
    """Kinds are declared by whoever uses them when it is made; rows set on pages are read by ``start``."""

    def __init__(
        self,
        records: Database,
        bus: Bus,
        audit: Audit,
        groups: Sequence[GroupSettings],
        memberships: Memberships,
    ) -> None:
        self._records = records
        self._bus = bus
        self._audit = audit
        self.groups = tuple(groups)
        self._networks = _by_specificity(groups)
        self._around = _by_length(self._networks)
        self._memberships = memberships
        self._kinds: dict[str, Kind] = {}
        self._rows: dict[tuple[str, Target], list[Row]] = {}
        self._announced = stamp()
        """Ends before this moment have been announced (or came while the appliance did not run)."""

    async def start(self) -> None:
        """Read what pages have set."""
        self._take(await self._records.fetch(_IN_FORCE, (self._announced,)))

    def _take(self, rows: Sequence[Row]) -> None:
        self._rows = {}
        for row in rows:
            self._rows.setdefault((row["kind"], _target(row)), []).append(row)

    async def _take_after_commit(self, tx: Transaction) -> None:
        """Let listeners find what they are told of: called before ``publish``, whose wake-up then comes second."""
        rows = await tx.fetch(_IN_FORCE, (self._announced,))
        tx.after_commit.append(lambda: self._take(rows))

    def declare(
        self,
        kind: str,
        default: str,
        fixed: Mapping[str, str],
        options: Sequence[str],
        targets: Collection[TargetKind] = (TargetKind.NETWORKS,),
    ) -> None:
        """Make ``kind`` assignable to ``targets``. ``fixed``: what the settings file says, by group of networks.

        ``options`` go from the mildest to the strictest.
        """
        self._kinds[kind] = Kind(default, dict(fixed), tuple(options), frozenset(targets))

    def kind(self, name: str) -> Kind:
        """What was declared; raises ``ApplianceError`` for an unknown name."""
        try:
            return self._kinds[name]
        except KeyError:
            raise ApplianceError(f"Nothing called {name!r} can be assigned.") from None

    # Asking

    def networks(self) -> tuple[tuple[Network, str], ...]:
        """Every network of every group, the most specific first."""
        return self._networks

    def effective(
        self,
        kind: str,
        *,
        person: str | None = None,
        device: str | None = None,
        address: str | None = None,
        at: datetime | None = None,
        supposing: Mapping[Target, Effective | None] | None = None,
    ) -> Effective:
        """What applies to a person on a device at an address, as far as each is known (default: now).

        ``supposing``: as if this had been set for these targets (``None``: nothing), to say beforehand what a change
        will do.
        """
        declared, moment = self.kind(kind), stamp() if at is None else _stamped(at)
        supposed = supposing or {}
        for targets in self._closest_first(person, device, address):
            own = [supposed[one] if one in supposed else self._own(kind, declared, one, moment) for one in targets]
            found = [one for one in own if one is not None]
            if found:
                return max(found, key=lambda one: declared.options.index(one.value))
        return Effective(declared.default, "the default", None)

    def _closest_first(self, person: str | None, device: str | None, address: str | None) -> Iterator[list[Target]]:
        """Whose choices count, the closest first; those that count alike stand together."""
        groups: set[str] = set()
        if person is not None:
            yield [Target(TargetKind.PERSON, person)]
            groups.update(self._memberships.groups_of_person(person))
        if device is not None:
            yield [Target(TargetKind.DEVICE, device)]
            groups.update(self._memberships.groups_of_device(device))
        yield [Target(TargetKind.GROUP, group) for group in sorted(groups)]
        if address is not None:
            yield from ([Target(TargetKind.NETWORKS, name)] for name in self._groups_around(_plain(address)))

    def groups_of_address(self, address: str) -> list[str]:
        """The groups of networks that hold an address, the most specific first."""
        return list(self._groups_around(_plain(address)))

    def _groups_around(self, client: Address) -> Iterator[str]:
        """The groups of networks that hold an address, the most specific first: one look for each length of prefix."""
        for version, shift, names in self._around:
            if version == client.version and (name := names.get(int(client) >> shift)) is not None:
                yield name

    def own(
        self, kind: str, target: Target, at: datetime | None = None, *, without: str | None = None
    ) -> Effective | None:
        """What was set for this target itself (default: now); ``None`` if it gets what is around it.

        ``without``: as if the row of this id had been undone.
        """
        return self._own(kind, self.kind(kind), target, stamp(at or now()), without)

    def _own(
        self, kind: str, declared: Kind, target: Target, moment: str, without: str | None = None
    ) -> Effective | None:
        if target.kind is TargetKind.NETWORKS and target.id in declared.fixed:
            return Effective(declared.fixed[target.id], "the settings file", target)
        rows = self._rows.get((kind, target), ())
        in_force = [row for row in rows if row["id"] != without and (row["until"] is None or row["until"] > moment)]
        if not in_force:
            return None
        row = in_force[-1]
        if row["value"] not in declared.options:  # it named something that the settings no longer know
            return None
        return Effective(row["value"], f"set by {row['author']}: {row['reason']}", target, row["until"])

    def in_force(self, kind: str) -> list[tuple[Target, Row]]:
        """What pages have set for this kind and what applies now, by target: the newest row of each, newest first."""
        moment = stamp()
        found = [
            (target, open_[-1])
            for (named, target), rows in self._rows.items()
            if named == kind and (open_ := [row for row in rows if row["until"] is None or row["until"] > moment])
        ]
        return sorted(found, key=lambda pair: (pair[1]["set_at"], pair[1]["id"]), reverse=True)

    def given(self, kind: str, value: str, *, or_later: bool = False) -> frozenset[Target]:
        """For whom a page has set ``value``, in force now.

        ``or_later``: also where it will apply again by itself, once a passing choice over it has ended.
        """
        start = now()
        found = set()
        for target in [target for named, target in self._rows if named == kind]:
            ends = [parse(row["until"]) for row in self._rows[kind, target] if row["until"]] if or_later else []
            chosen = [self.own(kind, target, moment) for moment in (start, *(end for end in ends if end > start))]
            if any(own is not None and own.value == value for own in chosen):
                found.add(target)
        return frozenset(found)

    async def history(self, kind: str, limit: int = 50) -> list[Row]:
        """What was set on pages for groups of networks, newest first. It is never about people."""
        return await self._records.fetch(
            "SELECT * FROM assignments WHERE kind = ? AND target_kind = 'networks'"
            " ORDER BY set_at DESC, id DESC LIMIT ?",
            (kind, limit),
        )

    # Changing

    async def assign(
        self, actor: str, kind: str, target: Target, value: str, reason: str, until: datetime | None
    ) -> None:
        """Set a value for a target. Raises ``Refused`` if the file fixes it or something is missing or unknown."""
        async with self._records.transaction() as tx:
            await self.assign_within(tx, actor, kind, target, value, reason, until)

    async def assign_within(
        self,
        tx: Transaction,
        actor: str,
        kind: str,
        target: Target,
        value: str,
        reason: str,
        until: datetime | None,
        note: Mapping[str, str] | None = None,
    ) -> str:
        """``assign`` as a part of a unit of work that keeps more; returns the id of the row.

        ``note``: what the record is to say besides. It must not name a pupil.
        """
        self._check(kind, target, value, reason, until)
        if target.kind is not TargetKind.NETWORKS and await tx.fetch_one(_KNOWN[target.kind], (target.id,)) is None:
            raise Refused(f"There is no such {target.kind.value}.", "Load the page again.")
        row_id = new_id()
        ends = stamp(until) if until else None
        await tx.execute(
            "INSERT INTO assignments (id, kind, target_kind, target, value, author, reason, set_at, until)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (row_id, kind, target.kind.value, target.id, value, actor, reason, stamp(), ends),
        )
        detail = {**(note or {}), "value": value, "until": ends}
        if target.kind is TargetKind.NETWORKS:  # others may name a child: their reason stays in the row alone
            detail["reason"] = reason
        await self._record_and_announce(tx, actor, "assigned", kind, target, detail)
        return row_id

    async def undo(self, actor: str, kind: str, row_id: str) -> None:
        """Take back what a page set. Raises ``Refused`` if it was undone already."""
        async with self._records.transaction() as tx:
            await self.undo_within(tx, actor, kind, row_id)

    async def undo_within(self, tx: Transaction, actor: str, kind: str, row_id: str) -> None:
        """``undo`` as a part of a unit of work that keeps more."""
        row = await tx.fetch_one(
            "SELECT * FROM assignments WHERE id = ? AND kind = ? AND undone_at IS NULL", (row_id, kind)
        )
        if row is None:
            raise Refused("This change was undone already.", "Load the page again.")
        await tx.execute("UPDATE assignments SET undone_at = ?, undone_by = ? WHERE id = ?", (stamp(), actor, row_id))
        await self._record_and_announce(tx, actor, "undid assignment", kind, _target(row), {"id": row_id})

    async def _record_and_announce(
        self, tx: Transaction, actor: str, action: str, kind: str, target: Target, detail: Mapping[str, str | None]
    ) -> None:
        await self._audit.record(tx, actor, action, f"{kind} of {await _subject(tx, target)}", detail)
        await self._take_after_commit(tx)
        await self._bus.publish(tx, AssignmentChanged(kind=kind, target_kind=target.kind.value, target=target.id))

    async def end_what_is_over(self) -> None:
        """Publish ``AssignmentChanged`` for what came to its end since the last call (a job, every minute)."""
        moment = stamp()
        rows = [row for found in self._rows.values() for row in found]
        over = [row for row in rows if row["until"] is not None and self._announced < row["until"] <= moment]
        if not over:
            return
        async with self._records.transaction() as tx:
            tx.after_commit.append(lambda: setattr(self, "_announced", moment))
            for row in over:
                await self._record_and_announce(
                    tx, "the appliance", "assignment ended", row["kind"], _target(row), {"id": row["id"]}
                )

    def _check(self, kind: str, target: Target, value: str, reason: str, until: datetime | None) -> None:
        declared = self.kind(kind)
        if target.kind not in declared.targets:
            raise Refused(f"This cannot be set for a {target.kind.value}.")
        if target.kind is TargetKind.NETWORKS:
            self._check_networks(declared, target.id)
        if value not in declared.options:
            raise Refused(f"{value!r} is not one of: {', '.join(declared.options)}.")
        if not reason.strip():
            raise Refused("Say why, so that the next person understands.")
        if until is not None and until <= now():
            raise Refused("The end lies in the past.", "Choose a later time or leave it empty.")

    def _check_networks(self, declared: Kind, group: str) -> None:
        if group not in {known.name for known in self.groups}:
            raise Refused(f"There is no group called {group!r}.", "Groups are defined in the settings file.")
        if group in declared.fixed:
            raise Refused(f"The settings file fixes this for {group}.", "Change it there.")


def _target(row: Row) -> Target:
    return Target(TargetKind(row["target_kind"]), row["target"])


async def _subject(tx: Transaction, target: Target) -> str:
    """What the record calls a target: people and devices by their ids, so that it never holds a name of a pupil."""
    if target.kind is TargetKind.NETWORKS:
        return target.id
    if target.kind is TargetKind.GROUP:
        row = await tx.fetch_one(_KNOWN[target.kind], (target.id,))
        return f"group {row['name'] if row else target.id}"
    return f"{target.kind.value} {target.id}"


def _by_specificity(groups: Sequence[GroupSettings]) -> tuple[tuple[Network, str], ...]:
    pairs = [(ipaddress.ip_network(text), group.name) for group in groups for text in group.addresses]
    return tuple(sorted(pairs, key=lambda pair: (-pair[0].prefixlen, str(pair[0]))))


def _by_length(networks: Sequence[tuple[Network, str]]) -> tuple[tuple[int, int, Mapping[int, str]], ...]:
    """Version, bits that do not count, and the names of the networks of that length by the bits that do."""
    found: dict[tuple[int, int], dict[int, str]] = {}
    for network, name in networks:  # the most specific first, and so are the lengths
        shift = network.max_prefixlen - network.prefixlen
        found.setdefault((network.version, shift), {})[int(network.network_address) >> shift] = name
    return tuple((version, shift, names) for (version, shift), names in found.items())


@lru_cache(maxsize=64)
def _stamped(moment: datetime) -> str:
    """Thousands are asked about at one moment."""
    return stamp(moment)


@lru_cache(maxsize=20_000)
def _plain(address: str) -> Address:
    """The address; an IPv4 client seen on an IPv6 socket (``::ffff:10.0.0.1``) is an IPv4 client."""
    client = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped is not None:
        return client.ipv4_mapped
    return client
