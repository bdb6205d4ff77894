"""All SQL of what was noticed on the network."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from appliance.api import Database, Row, Transaction, new_id, stamp

ADDRESSES_KEPT = 8
"""Addresses of one device that are remembered; the one not used for longest goes first."""
HISTORY = 50
DEVICES_MOST = 10_000
"""Devices that are kept: whoever makes addresses up must not fill the disk. The oldest that nobody knows go first."""
ATTEMPTS_MOST = 20_000
GUIDES_MOST = 500
"""DHCP servers and routers: those known for longest stay, because whoever invents them is the one who came last."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A device on the network. ``addresses``: when each was last used. ``device_id``: who it is in the directory."""

    mac: str
    host: str
    addresses: Mapping[str, str]
    first_at: str
    last_at: str
    device_id: str | None
    matched_by: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """A way around the filter that a device has taken. ``who``: its mac or address. ``to``: an address or a host."""

    who: str
    way: str
    to: str
    address: str
    first_at: str
    last_at: str
    count: int


@dataclass(frozen=True, slots=True)
class Guide:
    """Somebody who tells devices which way to go: a DHCP server (``dhcp``, ``dhcp6``) or an IPv6 router."""

    kind: str
    mac: str
    address: str
    resolvers: tuple[str, ...]
    first_at: str
    last_at: str

    @property
    def subject(self) -> str:
        """How decisions and alerts name it."""
        return f"announcer {self.kind} {self.mac}"


@dataclass(frozen=True, slots=True)
class Store:
    """The tables ``dns_filter_network_*`` and the names of devices in the directory."""

    records: Database

    # What was noticed

    async def see_devices(self, tx: Transaction, seen: Iterable[tuple[str, str, str, str]]) -> None:
        """Keep (mac, address, host, at): an address that moved to another device is no longer the first one's."""
        for mac, address, host, at in seen:
            row = await tx.fetch_one("SELECT * FROM dns_filter_network_devices WHERE mac = ?", (mac,))
            addresses = dict(json.loads(row["addresses"])) if row is not None else {}
            if address:
                addresses[address] = at
            kept = dict(sorted(addresses.items(), key=lambda one: one[1])[-ADDRESSES_KEPT:])
            await tx.execute(
                "INSERT INTO dns_filter_network_devices (mac, host, addresses, first_at, last_at)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (mac) DO UPDATE SET"
                " host = CASE excluded.host WHEN '' THEN host ELSE excluded.host END,"
                " addresses = excluded.addresses, last_at = max(last_at, excluded.last_at)",
                (mac, host, json.dumps(kept), at, at),
            )
        await tx.execute(
            "DELETE FROM dns_filter_network_devices WHERE device_id IS NULL AND mac IN (SELECT mac FROM"
            " dns_filter_network_devices WHERE device_id IS NULL ORDER BY last_at DESC LIMIT -1 OFFSET ?)",
            (DEVICES_MOST,),
        )

    async def add_attempts(self, tx: Transaction, attempts: Iterable[Attempt]) -> None:
        """Add to what is known of each."""
        await tx.executemany(
            "INSERT INTO dns_filter_network_attempts (who, way, went_to, address, first_at, last_at, count)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (who, way, went_to) DO UPDATE SET address = excluded.address,"
            " first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at),"
            " count = count + excluded.count",
            [(one.who, one.way, one.to, one.address, one.first_at, one.last_at, one.count) for one in attempts],
        )
        await tx.execute(
            "DELETE FROM dns_filter_network_attempts WHERE (who, way, went_to) IN (SELECT who, way, went_to FROM"
            " dns_filter_network_attempts ORDER BY last_at DESC LIMIT -1 OFFSET ?)",
            (ATTEMPTS_MOST,),
        )

    async def see_guides(self, tx: Transaction, guides: Iterable[Guide]) -> None:
        """Keep who tells devices which way to go, and what it says now."""
        await tx.executemany(
            "INSERT INTO dns_filter_network_announcers (kind, mac, address, resolvers, first_at, last_at)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (kind, mac) DO UPDATE SET address = excluded.address,"
            " resolvers = excluded.resolvers, last_at = excluded.last_at",
            [
                (one.kind, one.mac, one.address, json.dumps(list(one.resolvers)), one.first_at, one.last_at)
                for one in guides
            ],
        )
        await tx.execute(
            "DELETE FROM dns_filter_network_announcers WHERE (kind, mac) IN (SELECT kind, mac FROM"
            " dns_filter_network_announcers ORDER BY first_at LIMIT -1 OFFSET ?)",
            (GUIDES_MOST,),
        )

    # Reading

    async def devices(self, since: str = "") -> list[Seen]:
        """Every device that was there since a moment, those seen last first."""
        rows = await self.records.fetch(
            "SELECT * FROM dns_filter_network_devices WHERE last_at >= ? ORDER BY last_at DESC, mac", (since,)
        )
        return [
            Seen(row["mac"], row["host"], json.loads(row["addresses"]), row["first_at"], row["last_at"],
                 row["device_id"], row["matched_by"])
            for row in rows
        ]  # fmt: skip

    async def attempts(self, since: str, who: str | None = None) -> list[Attempt]:
        """Ways around the filter that were taken since a moment, the newest first; of one device or of all."""
        rows = await self.records.fetch(
            "SELECT * FROM dns_filter_network_attempts WHERE last_at >= ? AND (? IS NULL OR who = ?)"
            " ORDER BY last_at DESC, who, way, went_to",
            (since, who, who),
        )
        return [_attempt(row) for row in rows]

    async def guides(self, since: str) -> list[Guide]:
        """Who has told devices which way to go since a moment."""
        rows = await self.records.fetch(
            "SELECT * FROM dns_filter_network_announcers WHERE last_at >= ? ORDER BY kind, first_at, mac", (since,)
        )
        return [
            Guide(row["kind"], row["mac"], row["address"], tuple(json.loads(row["resolvers"])), row["first_at"],
                  row["last_at"])
            for row in rows
        ]  # fmt: skip

    # The directory

    async def directory(self) -> list[Row]:
        """The devices in use: id, name, serial."""
        return await self.records.fetch("SELECT id, name, serial FROM devices WHERE removed_at IS NULL")

    async def with_extension(self, since: str) -> frozenset[str]:
        """Devices of the directory on which a browser with the extension has spoken to this box since a moment."""
        rows = await self.records.fetch(
            "SELECT DISTINCT device_id FROM endpoints"
            " WHERE state = 'approved' AND device_id IS NOT NULL AND last_seen_at >= ?",
            (since,),
        )
        return frozenset(row["device_id"] for row in rows)

    async def match(self, tx: Transaction, mac: str, device_id: str, matched_by: str) -> None:
        """Say which device of the directory this is."""
        await tx.execute(
            "UPDATE dns_filter_network_devices SET device_id = ?, matched_by = ? WHERE mac = ?",
            (device_id, matched_by, mac),
        )

    # Decisions

    async def decide(self, tx: Transaction, subject: str, value: str, author: str, reason: str) -> None:
        """A newer decision of the same subject takes the place of the older."""
        await tx.execute(
            "INSERT INTO dns_filter_network_decisions (id, subject, value, author, reason, set_at)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (new_id(), subject, value, author, reason, stamp()),
        )

    async def undo(self, tx: Transaction, decision_id: str, author: str) -> bool:
        """Take a decision back; the one before it counts again. False if there is none to take back."""
        changed = await tx.execute(
            "UPDATE dns_filter_network_decisions SET undone_at = ?, undone_by = ? WHERE id = ? AND undone_at IS NULL",
            (stamp(), author, decision_id),
        )
        return bool(changed)

    async def decisions(self) -> dict[str, Row]:
        """Subject -> the decision in force: id, value, author, reason, set_at."""
        rows = await self.records.fetch(
            "SELECT * FROM dns_filter_network_decisions WHERE undone_at IS NULL ORDER BY set_at, id"
        )
        return {row["subject"]: row for row in rows}

    async def history(self) -> Sequence[Row]:
        """The newest decisions, with those that were taken back."""
        return await self.records.fetch(
            "SELECT * FROM dns_filter_network_decisions ORDER BY set_at DESC, id DESC LIMIT ?", (HISTORY,)
        )

    # Alerts

    async def alerts(self, tx: Transaction) -> dict[str, Row]:
        """Subject -> the alert about it: alert_id, last_at (when what it is about was seen last)."""
        rows = await tx.fetch("SELECT * FROM dns_filter_network_alerts")
        return {row["subject"]: row for row in rows}

    async def keep_alert(self, tx: Transaction, subject: str, alert_id: str, last_at: str) -> None:
        """Remember which alert is about a subject."""
        await tx.execute(
            "INSERT INTO dns_filter_network_alerts VALUES (?, ?, ?)"
            " ON CONFLICT (subject) DO UPDATE SET alert_id = excluded.alert_id, last_at = excluded.last_at",
            (subject, alert_id, last_at),
        )

    async def forget_alert(self, tx: Transaction, subject: str) -> None:
        """There is no open alert about it any more."""
        await tx.execute("DELETE FROM dns_filter_network_alerts WHERE subject = ?", (subject,))


def _attempt(row: Row) -> Attempt:
    return Attempt(
        row["who"], row["way"], row["went_to"], row["address"], row["first_at"], row["last_at"], row["count"]
    )
