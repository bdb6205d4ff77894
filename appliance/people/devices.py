"""Devices of the directory: what the school owns, who has each, and in which rooms and trolleys it is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from appliance.access import Actor, Condition, listed, require
from appliance.audit import Audit
from appliance.clock import new_id, stamp
from appliance.db import Database, Row, Transaction
from appliance.errors import Refused
from appliance.hookspecs import Permission
from appliance.people.listing import Page, in_group, listed_devices, listed_groups, page_of
from appliance.people.member_index import MemberIndex
from appliance.people.names import LONGEST_NAME, LONGEST_REFERENCE, tidy

HOLDERS: Mapping[str, str] = {"": "Anybody or nobody", "somebody": "A person", "nobody": "Nobody"}
"""Choices of the filter by who has a device."""
Removed = Callable[[Transaction, str, str], Awaitable[None]]
"""``removed(tx, who, device_id)``: a part of the unit of work that takes a device out of use."""
AT_ONCE = 500
"""Ids in one question to the store."""
_MANAGE = Permission.MANAGE_PEOPLE
_COLUMNS = (
    "device.id, device.name, device.serial, device.added_at, device.removed_at, device.person_id IS NOT NULL AS given,"
    " person.id AS person_id, person.name AS person"
)


@dataclass(frozen=True, slots=True)
class DeviceFilter:
    """Which devices to list. ``words``: in the name or the serial number; ``holder``: a key of ``HOLDERS``.

    ``outside``: a group that they are not in.
    """

    words: str = ""
    group: str = ""
    holder: str = ""
    removed: bool = False
    outside: str = ""

    def conditions(self, actor: Actor) -> list[Condition]:
        """For a query with the table as ``device``."""
        found = [Condition(f"device.removed_at IS {'NOT NULL' if self.removed else 'NULL'}", ())]
        found += [
            Condition("(instr(lower(device.name), ?) OR instr(lower(device.serial), ?))", (word, word))
            for word in tidy(self.words).lower().split()
        ]
        if self.group:
            found.append(in_group(actor, "devices", "device.id", self.group))
        if self.outside:
            outside = "device.id NOT IN (SELECT device_id FROM group_devices WHERE group_id = ?)"
            found.append(Condition(outside, (self.outside,)))
        if self.holder in ("somebody", "nobody"):
            found.append(Condition(f"device.person_id IS {'NOT NULL' if self.holder == 'somebody' else 'NULL'}", ()))
        return found


@dataclass(frozen=True, slots=True)
class DeviceDetails:
    """What is typed about a device."""

    name: str
    serial: str = ""

    def tidied(self) -> DeviceDetails:
        """As it is kept."""
        return DeviceDetails(tidy(self.name), tidy(self.serial))

    def faults(self) -> dict[str, str]:
        """What is wrong, by field; empty when it can be kept."""
        plain, faults = self.tidied(), {}
        if not plain.name:
            faults["name"] = "Give the device a name, such as the one on its label."
        if len(plain.name) > LONGEST_NAME:
            faults["name"] = f"The name is longer than {LONGEST_NAME} characters. Shorten it."
        if len(plain.serial) > LONGEST_REFERENCE:
            faults["serial"] = f"The serial number is longer than {LONGEST_REFERENCE} characters. Shorten it."
        return faults


@dataclass(frozen=True, slots=True)
class Device:
    """One device as it is shown. ``row``: id, name, serial, added_at, removed_at, given, person_id, person.

    ``given``: whether somebody has it; ``person_id`` and ``person`` are empty if it is nobody who may be shown.
    """

    row: Row
    groups: tuple[Row, ...]


class Devices:
    """The store of devices. Every change needs the permission to keep the directory."""

    def __init__(self, records: Database, audit: Audit, index: MemberIndex) -> None:
        self._records = records
        self._audit = audit
        self._index = index
        self._when_removed: list[Removed] = []

    def when_removed(self, removed: Removed) -> None:
        """Have this done whenever a device is taken out of use."""
        self._when_removed.append(removed)

    # Finding

    async def find(self, actor: Actor, wanted: DeviceFilter, number: int) -> Page:
        """A page of devices that ``actor`` may find; columns as in ``Device.row``."""
        conditions = (listed_devices(actor, "device"), *wanted.conditions(actor))
        order = "lower(device.name), device.id"
        return await page_of(self._records, _COLUMNS, _with_holder(actor), conditions, order, number)

    async def device(self, actor: Actor, device_id: str) -> Device | None:
        """One device with its groups, or ``None`` if there is none that ``actor`` may find."""
        table, found = _with_holder(actor), listed_devices(actor, "device")
        row = await self._records.fetch_one(
            f"SELECT {_COLUMNS} FROM {table.sql} WHERE device.id = ? AND {found.sql}",  # noqa: S608
            (*table.parameters, device_id, *found.parameters),
        )
        if row is None:
            return None
        groups = listed_groups(actor, "grp")
        rows = await self._records.fetch(
            "SELECT grp.id, grp.kind, grp.name FROM groups grp"  # noqa: S608
            " JOIN group_devices member ON member.group_id = grp.id"
            f" WHERE member.device_id = ? AND {groups.sql} ORDER BY grp.kind, grp.name",
            (device_id, *groups.parameters),
        )
        return Device(row, tuple(rows))

    async def names(self, actor: Actor, ids: Iterable[str]) -> dict[str, str]:
        """The name of each of ``ids`` that is a device which ``actor`` may find."""
        wanted, found = sorted(set(ids)), listed_devices(actor, "device")
        named: dict[str, str] = {}
        for first in range(0, len(wanted), AT_ONCE):
            some = wanted[first : first + AT_ONCE]
            rows = await self._records.fetch(
                f"SELECT device.id, device.name FROM devices device WHERE {found.sql}"  # noqa: S608
                f" AND device.id IN ({', '.join('?' * len(some))})",
                (*found.parameters, *some),
            )
            named.update({row["id"]: row["name"] for row in rows})
        return named

    async def called(self, actor: Actor, name: str) -> frozenset[str]:
        """Ids of devices of exactly this name that ``actor`` may find; capital letters do not matter."""
        found = listed_devices(actor, "device")
        rows = await self._records.fetch(
            f"SELECT device.id FROM devices device WHERE lower(device.name) = lower(?) AND {found.sql}",  # noqa: S608
            (tidy(name), *found.parameters),
        )
        return frozenset(row["id"] for row in rows)

    # Changing

    async def add(self, actor: Actor, details: DeviceDetails) -> str:
        """A new device; returns its id."""
        require(actor, _MANAGE)
        device_id, plain = new_id(), _checked(details)
        async with self._records.transaction() as tx:
            await _must_be_free(tx, plain.serial, device_id)
            await tx.execute(
                "INSERT INTO devices (id, name, serial, added_at) VALUES (?, ?, ?, ?)",
                (device_id, plain.name, plain.serial or None, stamp()),
            )
            await self._record(tx, actor, "added a device", device_id)
        return device_id

    async def change(self, actor: Actor, device_id: str, details: DeviceDetails) -> None:
        """Change name and serial number."""
        require(actor, _MANAGE)
        plain = _checked(details)
        async with self._records.transaction() as tx:
            await _existing(tx, device_id)
            await _must_be_free(tx, plain.serial, device_id)
            await tx.execute(
                "UPDATE devices SET name = ?, serial = ? WHERE id = ?", (plain.name, plain.serial or None, device_id)
            )
            await self._record(tx, actor, "changed a device", device_id)

    async def give(self, actor: Actor, device_id: str, person_id: str | None) -> None:
        """Say who has a device; ``None``: nobody."""
        require(actor, _MANAGE)
        async with self._records.transaction() as tx:
            device = await _existing(tx, device_id)
            if person_id is not None:
                await _must_be_here(tx, person_id)
            if device["person_id"] == person_id:
                return
            await tx.execute("UPDATE devices SET person_id = ? WHERE id = ?", (person_id, device_id))
            detail = {"from": device["person_id"], "to": person_id}
            await self._record(tx, actor, "gave a device" if person_id else "took a device back", device_id, detail)

    async def remove(self, actor: Actor, device_id: str) -> None:
        """Mark a device as no longer in use. What is known of it stays, and so do its groups and who had it."""
        await self._mark(actor, device_id, stamp(), "removed a device")

    async def bring_back(self, actor: Actor, device_id: str) -> None:
        """A device that was removed is in use again."""
        await self._mark(actor, device_id, None, "brought a device back")

    async def _mark(self, actor: Actor, device_id: str, removed_at: str | None, action: str) -> None:
        require(actor, _MANAGE)
        async with self._records.transaction() as tx:
            device = await _existing(tx, device_id)
            if (device["removed_at"] is None) == (removed_at is None):
                return
            await tx.execute("UPDATE devices SET removed_at = ? WHERE id = ?", (removed_at, device_id))
            if removed_at is not None:
                for removed in self._when_removed:
                    await removed(tx, actor.name, device_id)
            await self._record(tx, actor, action, device_id)

    # Browsers that are let in

    async def of_endpoint(
        self, tx: Transaction, who: str, details: DeviceDetails, group: str | None, before: str | None
    ) -> str:
        """The device on which a browser runs that ``who`` lets in; it is put into ``group``.

        By its serial number, else the one it was on ``before``, else by its name, else a new one. The caller says with
        ``changed_within`` that the directory has changed.
        """
        plain = _checked(details)
        found = await _of_serial(tx, plain.serial) or await _in_use(tx, before) or await _of_name(tx, plain)
        device_id = found["id"] if found is not None else new_id()
        if found is None:
            await tx.execute(
                "INSERT INTO devices (id, name, serial, added_at) VALUES (?, ?, ?, ?)",
                (device_id, plain.name, plain.serial or None, stamp()),
            )
            await self._audit.record(tx, who, "added a device", f"device {device_id}")
        elif found["removed_at"] is not None:
            await tx.execute("UPDATE devices SET removed_at = NULL WHERE id = ?", (device_id,))
            await self._audit.record(tx, who, "brought a device back", f"device {device_id}")
        elif plain.serial and found["serial"] is None:
            await tx.execute("UPDATE devices SET serial = ? WHERE id = ?", (plain.serial, device_id))
            await self._audit.record(tx, who, "changed a device", f"device {device_id}")
        if group is not None:
            await tx.execute("INSERT OR IGNORE INTO group_devices VALUES (?, ?)", (group, device_id))
        return device_id

    async def changed_within(self, tx: Transaction) -> None:
        """Say that devices change with this unit of work."""
        await self._index.changed(tx, "devices")

    async def _record(
        self, tx: Transaction, actor: Actor, action: str, device_id: str, detail: Mapping[str, str | None] | None = None
    ) -> None:
        """By its id: a device may be called after the child who has it."""
        await self._audit.record(tx, actor.name, action, f"device {device_id}", detail)
        await self._index.changed(tx, "devices")


def _with_holder(actor: Actor) -> Condition:
    people = listed(actor, "person.id")
    return Condition(
        f"devices device LEFT JOIN people person ON person.id = device.person_id AND {people.sql}", people.parameters
    )


def _checked(details: DeviceDetails) -> DeviceDetails:
    for words in details.faults().values():
        raise Refused(words)
    return details.tidied()


async def _of_serial(tx: Transaction, serial: str) -> Row | None:
    if not serial:
        return None
    return await tx.fetch_one("SELECT * FROM devices WHERE lower(serial) = lower(?)", (serial,))


async def _in_use(tx: Transaction, device_id: str | None) -> Row | None:
    return await tx.fetch_one("SELECT * FROM devices WHERE id = ? AND removed_at IS NULL", (device_id,))


async def _of_name(tx: Transaction, plain: DeviceDetails) -> Row | None:
    """The one device in use that is called so, unless it has another serial number or several are called so."""
    rows = await tx.fetch(
        "SELECT * FROM devices WHERE lower(name) = lower(?) AND removed_at IS NULL LIMIT 2", (plain.name,)
    )
    if len(rows) != 1 or (plain.serial and rows[0]["serial"] is not None):
        return None
    return rows[0]


async def _existing(tx: Transaction, device_id: str) -> Row:
    device = await tx.fetch_one("SELECT * FROM devices WHERE id = ?", (device_id,))
    if device is None:
        raise Refused("This device is not in the directory any more.", "Go back to the devices.")
    return device


async def _must_be_free(tx: Transaction, serial: str, device_id: str) -> None:
    other = await tx.fetch_one(
        "SELECT name, removed_at FROM devices WHERE lower(serial) = lower(?) AND id <> ?", (serial, device_id)
    )
    if serial and other is not None:
        todo = "Bring that one back." if other["removed_at"] else "Look at that one."
        raise Refused(f"The device {other['name']} has this serial number.", todo)


async def _must_be_here(tx: Transaction, person_id: str) -> None:
    if not await tx.fetch_one("SELECT 1 FROM people WHERE id = ? AND left_at IS NULL", (person_id,)):
        raise Refused("This person is not at the school.", "Choose somebody else.")
