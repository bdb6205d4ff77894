"""What applies to whom: the one resolver for everything that is set per group.

First form: a group is a set of networks (``groups`` in the settings). The most specific network that holds an address
decides; what a file fixes for a group wins over what a page set; a group for which nothing is set hands over to the
next wider one, and at the end stands the default.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from appliance.audit import Audit
from appliance.bus import Bus
from appliance.clock import new_id, now, stamp
from appliance.config import GroupSettings
from appliance.db import Database, Row, Transaction
from appliance.errors import ApplianceError, Refused
from appliance.events import AssignmentChanged

_IN_FORCE = "SELECT * FROM assignments WHERE undone_at IS NULL AND (until IS NULL OR until > ?) ORDER BY set_at, id"
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Effective:
    """A value, where it came from in words, and the group that decided (``None``: the default)."""

    value: str
    origin: str
    group: str | None


@dataclass(frozen=True, slots=True)
class Kind:
    """Something that can be set per group: its default, what the files fix, and the values to choose from."""

    default: str
    fixed: Mapping[str, str]
    options: tuple[str, ...]


class Assignments:
    """Kinds are declared by plugins when they are made; rows set on pages are read by ``start``."""

    def __init__(self, records: Database, bus: Bus, audit: Audit, groups: Sequence[GroupSettings]) -> None:
        self._records = records
        self._bus = bus
        self._audit = audit
        self.groups = tuple(groups)
        self._networks = _by_specificity(groups)
        self._kinds: dict[str, Kind] = {}
        self._rows: dict[tuple[str, str], list[Row]] = {}
        self._announced = stamp()
        """Ends before this moment have been announced (or came while the appliance did not run)."""

    async def start(self) -> None:
        """Read what pages have set."""
        self._take(await self._records.fetch(_IN_FORCE, (self._announced,)))

    def _take(self, rows: Sequence[Row]) -> None:
        self._rows = {}
        for row in rows:
            self._rows.setdefault((row["kind"], row["group"]), []).append(row)

    async def _take_after_commit(self, tx: Transaction) -> None:
        """Let listeners find what they are told of: called before ``publish``, whose wake-up then comes second."""
        rows = await tx.fetch(_IN_FORCE, (self._announced,))
        tx.after_commit.append(lambda: self._take(rows))

    def declare(self, kind: str, default: str, fixed: Mapping[str, str], options: Sequence[str]) -> None:
        """Make ``kind`` assignable. ``fixed`` is what the settings file says, group by group."""
        self._kinds[kind] = Kind(default, dict(fixed), tuple(options))

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

    def effective(self, kind: str, address: str, at: datetime | None = None) -> Effective:
        """What applies to a client at this address (default: now)."""
        client = _plain(address)
        for network, group in self._networks:
            if client in network:
                found = self._of_group(kind, group, at)
                if found is not None:
                    return found
        return Effective(self.kind(kind).default, "the default", None)

    def for_group(self, kind: str, group: str, at: datetime | None = None) -> Effective:
        """What applies to a group as such: its own value, or the default."""
        return self._of_group(kind, group, at) or Effective(self.kind(kind).default, "the default", None)

    def _of_group(self, kind: str, group: str, at: datetime | None) -> Effective | None:
        declared = self.kind(kind)
        if group in declared.fixed:
            return Effective(declared.fixed[group], "the settings file", group)
        moment = stamp(at or now())
        in_force = [row for row in self._rows.get((kind, group), []) if row["until"] is None or row["until"] > moment]
        if not in_force:
            return None
        row = in_force[-1]
        if row["value"] not in declared.options:  # it named something that the settings no longer know
            return None
        return Effective(row["value"], f"set by {row['author']}: {row['reason']}", group)

    async def history(self, kind: str, limit: int = 50) -> list[Row]:
        """What was set on pages, newest first."""
        return await self._records.fetch(
            "SELECT * FROM assignments WHERE kind = ? ORDER BY set_at DESC, id DESC LIMIT ?", (kind, limit)
        )

    # Changing

    async def assign(self, actor: str, kind: str, group: str, value: str, reason: str, until: datetime | None) -> None:
        """Set a value for a group. Raises ``Refused`` if the file fixes it or something is missing or unknown."""
        self._check(kind, group, value, reason, until)
        row_id = new_id()
        ends = stamp(until) if until else None
        async with self._records.transaction() as tx:
            await tx.execute(
                'INSERT INTO assignments (id, kind, "group", value, author, reason, set_at, until)'
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (row_id, kind, group, value, actor, reason, stamp(), ends),
            )
            detail = {"value": value, "reason": reason, "until": ends}
            await self._audit.record(tx, actor, "assigned", f"{kind} of {group}", detail)
            await self._take_after_commit(tx)
            await self._bus.publish(tx, AssignmentChanged(kind=kind, group=group))

    async def undo(self, actor: str, row_id: str) -> None:
        """Take back what a page set. Raises ``Refused`` if it was undone already."""
        async with self._records.transaction() as tx:
            row = await tx.fetch_one("SELECT * FROM assignments WHERE id = ? AND undone_at IS NULL", (row_id,))
            if row is None:
                raise Refused("This change was undone already.", "Load the page again.")
            await tx.execute(
                "UPDATE assignments SET undone_at = ?, undone_by = ? WHERE id = ?", (stamp(), actor, row_id)
            )
            await self._audit.record(tx, actor, "undid assignment", f"{row['kind']} of {row['group']}", {"id": row_id})
            await self._take_after_commit(tx)
            await self._bus.publish(tx, AssignmentChanged(kind=row["kind"], group=row["group"]))

    async def end_what_is_over(self) -> None:
        """Publish ``AssignmentChanged`` for what came to its end since the last call (a job, every minute)."""
        moment = stamp()
        rows = [row for found in self._rows.values() for row in found]
        over = [row for row in rows if row["until"] is not None and self._announced < row["until"] <= moment]
        if not over:
            return
        async with self._records.transaction() as tx:
            tx.after_commit.append(lambda: setattr(self, "_announced", moment))
            await self._take_after_commit(tx)
            for row in over:
                await self._audit.record(
                    tx, "the appliance", "assignment ended", f"{row['kind']} of {row['group']}", {"id": row["id"]}
                )
                await self._bus.publish(tx, AssignmentChanged(kind=row["kind"], group=row["group"]))

    def _check(self, kind: str, group: str, value: str, reason: str, until: datetime | None) -> None:
        declared = self.kind(kind)
        if group not in {known.name for known in self.groups}:
            raise Refused(f"There is no group called {group!r}.", "Groups are defined in the settings file.")
        if group in declared.fixed:
            raise Refused(f"The settings file fixes this for {group}.", "Change it there.")
        if value not in declared.options:
            raise Refused(f"{value!r} is not one of: {', '.join(declared.options)}.")
        if not reason.strip():
            raise Refused("Say why, so that the next person understands.")
        if until is not None and until <= now():
            raise Refused("The end lies in the past.", "Choose a later time or leave it empty.")


def _by_specificity(groups: Sequence[GroupSettings]) -> tuple[tuple[Network, str], ...]:
    pairs = [(ipaddress.ip_network(text), group.name) for group in groups for text in group.addresses]
    return tuple(sorted(pairs, key=lambda pair: (-pair[0].prefixlen, str(pair[0]))))


def _plain(address: str) -> Address:
    """The address; an IPv4 client seen on an IPv6 socket (``::ffff:10.0.0.1``) is an IPv4 client."""
    client = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(client, ipaddress.IPv6Address) and client.ipv4_mapped is not None:
        return client.ipv4_mapped
    return client
