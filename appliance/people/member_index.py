"""What somebody is and in which groups, in memory for all who ask without waiting, and read anew after each change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from appliance.bus import Bus
from appliance.db import Database, Row, Transaction
from appliance.events import DirectoryChanged

_PEOPLE = "SELECT person_id AS member, group_id FROM group_people"
_DEVICES = "SELECT device_id AS member, group_id FROM group_devices"
_KINDS = "SELECT id, kind FROM people"
_NONE: frozenset[str] = frozenset()


class MemberIndex:
    """``start`` before use. Whoever changes groups calls ``changed`` in the transaction of the change."""

    def __init__(self, records: Database, bus: Bus) -> None:
        self._records = records
        self._bus = bus
        self.people: Mapping[str, frozenset[str]] = {}
        """Person -> groups, by their ids."""
        self.devices: Mapping[str, frozenset[str]] = {}
        """Device -> groups, by their ids."""
        self.kinds: Mapping[str, str] = {}
        """Person -> what they are."""
        self.changes = 0
        """How often it was read, so that others see that something has changed."""

    async def start(self) -> None:
        """Read who is where."""
        kinds = await self._records.fetch(_KINDS)
        self._take(await self._records.fetch(_PEOPLE), await self._records.fetch(_DEVICES), kinds)

    def groups_of_person(self, person_id: str) -> frozenset[str]:
        """The groups of a person; none for an id that is not known."""
        return self.people.get(person_id, _NONE)

    def groups_of_device(self, device_id: str) -> frozenset[str]:
        """The groups of a device; none for an id that is not known."""
        return self.devices.get(device_id, _NONE)

    def kind_of_person(self, person_id: str) -> str | None:
        """What somebody is (pupil, staff, governor, guest); ``None`` for an id that is not known."""
        return self.kinds.get(person_id)

    async def changed(self, tx: Transaction, what: str) -> None:
        """Say that the directory changes with this unit of work. ``what``: people, groups or devices.

        Memory is renewed before listeners are woken, so that they find what they are told of.
        """
        people, devices, kinds = await tx.fetch(_PEOPLE), await tx.fetch(_DEVICES), await tx.fetch(_KINDS)
        tx.after_commit.append(lambda: self._take(people, devices, kinds))
        await self._bus.publish(tx, DirectoryChanged(what=what))

    def _take(self, people: Sequence[Row], devices: Sequence[Row], kinds: Sequence[Row]) -> None:
        self.people, self.devices = _by_member(people), _by_member(devices)
        self.kinds = {row["id"]: row["kind"] for row in kinds}
        self.changes += 1


def _by_member(rows: Sequence[Row]) -> Mapping[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row["member"], set()).add(row["group_id"])
    return {member: frozenset(groups) for member, groups in found.items()}
