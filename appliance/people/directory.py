"""The directory: who is at the school, in which groups, with which devices, and under which names devices know them.

People first; ``groups``, ``devices`` and ``imports`` are stores of their own. Nobody is deleted here: who leaves is
marked, and what was known of them, their groups and whose scope they were in stay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from appliance.access import PERMISSIONS, Actor, Condition, listed, require
from appliance.audit import Audit
from appliance.bus import Bus
from appliance.clock import new_id, now, stamp
from appliance.db import Database, Row, Transaction
from appliance.errors import Refused
from appliance.hookspecs import Permission
from appliance.people.devices import Devices
from appliance.people.groups import Groups
from appliance.people.imports import Imports
from appliance.people.listing import Page, in_group, listed_devices, listed_groups, page_of
from appliance.people.member_index import MemberIndex
from appliance.people.names import (
    ACCOUNT_KINDS,
    LONGEST_ADDRESS,
    LONGEST_NAME,
    LONGEST_REFERENCE,
    PERSON_KINDS,
    account_name,
    fold,
    sort_name,
    tidy,
)

WORDS_MOST = 8
"""Words of a search that count; a name has fewer."""
MOST_NAMES = 20_000
"""That detectors get: more than the largest school has."""
_MANAGE = Permission.MANAGE_PEOPLE
_PUPILS = ("pupil", "guest")
_FORMS = """(
    SELECT group_concat(name, ', ') FROM (
        SELECT grp.name FROM group_people member JOIN groups grp ON grp.id = member.group_id
        WHERE member.person_id = person.id AND grp.kind = 'form' ORDER BY grp.name
    )
) AS forms"""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which people to list. ``words``: all in the name, or the reference; ``kind`` and ``group``: empty for any.

    ``outside``: a group that they are not in.
    """

    words: str = ""
    kind: str = ""
    group: str = ""
    left: bool = False
    outside: str = ""

    def conditions(self, actor: Actor) -> list[Condition]:
        """For a query with the table as ``person``."""
        found = [Condition(f"person.left_at IS {'NOT NULL' if self.left else 'NULL'}", ())]
        if self.kind:
            found.append(Condition("person.kind = ?", (self.kind,)))
        if self.group:
            found.append(in_group(actor, "people", "person.id", self.group))
        if self.outside:
            outside = "person.id NOT IN (SELECT person_id FROM group_people WHERE group_id = ?)"
            found.append(Condition(outside, (self.outside,)))
        words = fold(self.words).split()[:WORDS_MOST]
        if words:
            named = " AND ".join("instr(person.sort_name, ?)" for _ in words)
            sql = f"(({named}) OR lower(person.reference) = lower(?))"
            found.append(Condition(sql, (*words, tidy(self.words))))
        return found


@dataclass(frozen=True, slots=True)
class Details:
    """What is typed about a person."""

    kind: str
    name: str
    reference: str = ""
    email: str = ""

    def tidied(self) -> Details:
        """As it is kept."""
        return Details(self.kind, tidy(self.name), tidy(self.reference), tidy(self.email))

    def faults(self) -> dict[str, str]:
        """What is wrong, by field; empty when it can be kept."""
        plain, faults = self.tidied(), {}
        if self.kind not in PERSON_KINDS:
            faults["kind"] = "Choose who it is."
        if not plain.name:
            faults["name"] = "Give the name."
        for key, longest in (("name", LONGEST_NAME), ("reference", LONGEST_REFERENCE), ("email", LONGEST_ADDRESS)):
            if len(getattr(plain, key)) > longest:
                faults[key] = f"This is longer than {longest} characters. Shorten it."
        return faults


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as a page shows them. ``row``: id, kind, name, reference, email, added_at, left_at.

    ``groups`` (id, kind, name) and ``devices`` (id, name) are those that the one who asks may find.
    """

    row: Row
    groups: tuple[Row, ...]
    accounts: tuple[Row, ...]
    devices: tuple[Row, ...]


class Directory:
    """The store of people, and the way to the other stores. ``start`` before use, ``stop`` at the end."""

    def __init__(self, records: Database, bus: Bus, audit: Audit, clock: Callable[[], datetime] = now) -> None:
        self._records = records
        self._audit = audit
        self._index = MemberIndex(records, bus)
        self.groups = Groups(records, audit, self._index)
        self.devices = Devices(records, audit, self._index)
        self.imports = Imports(records, audit, self._index, clock)

    async def start(self) -> None:
        """Read who is in which group."""
        await self._index.start()

    async def stop(self) -> None:
        """End what works in the background; what it has done is kept."""
        await self.imports.stop()

    # From memory, without waiting

    def groups_of_person(self, person_id: str) -> frozenset[str]:
        """Ids of the groups of a person; none for an id that is not known."""
        return self._index.groups_of_person(person_id)

    def groups_of_device(self, device_id: str) -> frozenset[str]:
        """Ids of the groups of a device; none for an id that is not known."""
        return self._index.groups_of_device(device_id)

    def kind_of_person(self, person_id: str) -> str | None:
        """What somebody is (pupil, staff, governor, guest); ``None`` for an id that is not known."""
        return self._index.kind_of_person(person_id)

    def kinds_of_people(self) -> Mapping[str, str]:
        """Person -> what they are, for everybody in the directory."""
        return self._index.kinds

    async def called(self, actor: Actor, name: str) -> list[str]:
        """Ids of people at the school of exactly this name whom ``actor`` may find; capital letters do not matter."""
        people = listed(actor, "person.id")
        rows = await self._records.fetch(
            "SELECT person.id FROM people person WHERE person.left_at IS NULL AND lower(person.name) = lower(?)"  # noqa: S608
            f" AND {people.sql} ORDER BY person.id",
            (tidy(name), *people.parameters),
        )
        return [row["id"] for row in rows]

    async def names_for_detectors(self) -> list[str]:
        """What people at the school are called, each name once: so that a detector takes no name for an insult.

        Everybody's, and so for detectors alone: no page, record or message may show what is made of them.
        """
        rows = await self._records.fetch(
            "SELECT DISTINCT name FROM people WHERE left_at IS NULL ORDER BY name LIMIT ?", (MOST_NAMES,)
        )
        return [row["name"] for row in rows]

    @property
    def changes(self) -> int:
        """A number that grows whenever anything in the directory has changed."""
        return self._index.changes

    def memberships(self) -> tuple[Mapping[str, frozenset[str]], Mapping[str, frozenset[str]]]:
        """Person -> groups and device -> groups, by their ids."""
        return self._index.people, self._index.devices

    # Finding

    async def find(self, actor: Actor, wanted: Filter, number: int) -> Page:
        """A page of people who are listed for ``actor``: id, kind, name, reference, left_at, forms."""
        columns = f"person.id, person.kind, person.name, person.reference, person.left_at, {_FORMS}"
        conditions = (listed(actor, "person.id"), *wanted.conditions(actor))
        order = "person.sort_name, person.id"
        return await page_of(self._records, columns, Condition("people person", ()), conditions, order, number)

    async def counts(self, actor: Actor) -> dict[str, int]:
        """How many people of each kind are at the school, as far as they are listed for ``actor``."""
        people = listed(actor, "person.id")
        rows = await self._records.fetch(
            "SELECT person.kind, count(*) AS n FROM people person"  # noqa: S608
            f" WHERE person.left_at IS NULL AND {people.sql} GROUP BY person.kind",
            people.parameters,
        )
        found = {row["kind"]: row["n"] for row in rows}
        return {kind: found[kind] for kind in PERSON_KINDS if kind in found}

    async def person(self, actor: Actor, person_id: str) -> Person | None:
        """One person, or ``None`` if there is nobody of this id who is listed for ``actor``."""
        people = listed(actor, "person.id")
        row = await self._records.fetch_one(
            "SELECT person.id, person.kind, person.name, person.reference, person.email, person.added_at,"  # noqa: S608
            f" person.left_at FROM people person WHERE person.id = ? AND {people.sql}",
            (person_id, *people.parameters),
        )
        if row is None:
            return None
        groups, devices = listed_groups(actor, "grp"), listed_devices(actor, "device")
        return Person(
            row,
            tuple(
                await self._records.fetch(
                    "SELECT grp.id, grp.kind, grp.name FROM groups grp"  # noqa: S608
                    " JOIN group_people member ON member.group_id = grp.id"
                    f" WHERE member.person_id = ? AND {groups.sql} ORDER BY grp.kind, grp.name",
                    (person_id, *groups.parameters),
                )
            ),
            tuple(
                await self._records.fetch(
                    "SELECT kind, name FROM person_accounts WHERE person_id = ? ORDER BY kind, name", (person_id,)
                )
            ),
            tuple(
                await self._records.fetch(
                    "SELECT device.id, device.name FROM devices device"  # noqa: S608
                    f" WHERE device.person_id = ? AND device.removed_at IS NULL AND {devices.sql}"
                    " ORDER BY device.name, device.id",
                    (person_id, *devices.parameters),
                )
            ),
        )

    async def names_by_account(self, ids: Iterable[str]) -> dict[str, dict[str, str]]:
        """For live pages: each account that sees records about people, and the names of those of ``ids`` it may see."""
        roles = [role for role, allowed in PERMISSIONS.items() if role and Permission.SEE_PEOPLE in allowed]
        accounts = await self._records.fetch(
            "SELECT id FROM staff_accounts WHERE state = 'active'"  # noqa: S608
            f" AND role IN ({', '.join('?' * len(roles))})",
            roles,
        )
        found: dict[str, dict[str, str]] = {row["id"]: {} for row in accounts}
        for person in sorted(set(ids)):  # one by one: so SQLite looks one person up, not everybody's scope
            rows = await self._records.fetch(
                "SELECT seen.account_id, person.name FROM visible_people seen"
                " JOIN people person ON person.id = seen.person_id WHERE seen.person_id = ?",
                (person,),
            )
            for row in rows:
                if row["account_id"] in found:
                    found[row["account_id"]][person] = row["name"]
        return found

    async def find_account(self, kind: str, name: str) -> str | None:
        """The id of the person whom devices (``system``) or browsers (``browser``) know under this name."""
        row = await self._records.fetch_one(
            "SELECT person_id FROM person_accounts WHERE kind = ? AND name = ?", (kind, account_name(name))
        )
        return row["person_id"] if row else None

    # Changing

    async def add(self, actor: Actor, details: Details) -> str:
        """Somebody new; returns the id."""
        require(actor, _MANAGE)
        person_id, plain = new_id(), _checked(details)
        async with self._records.transaction() as tx:
            await _must_be_free(tx, plain, person_id)
            await tx.execute(
                "INSERT INTO people (id, kind, name, sort_name, reference, email, added_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    person_id,
                    plain.kind,
                    plain.name,
                    sort_name(plain.name),
                    plain.reference or None,
                    plain.email,
                    stamp(),
                ),
            )
            await self._record(tx, actor, "added a person", person_id, {"kind": plain.kind})
        return person_id

    async def change(self, actor: Actor, person_id: str, details: Details) -> None:
        """Change name, reference and address. The kind stays: it decides who may see what is known of somebody."""
        require(actor, _MANAGE)
        plain = _checked(details)
        async with self._records.transaction() as tx:
            person = await _existing(tx, person_id)
            if plain.kind != person["kind"]:
                raise Refused("Who somebody is cannot be changed.", "Mark them as left and add them again.")
            await _must_be_free(tx, plain, person_id)
            sort = person["sort_name"] if plain.name == person["name"] else sort_name(plain.name)
            await tx.execute(
                "UPDATE people SET name = ?, sort_name = ?, reference = ?, email = ? WHERE id = ?",
                (plain.name, sort, plain.reference or None, plain.email, person_id),
            )
            changed = [key for key in ("name", "reference", "email") if getattr(plain, key) != (person[key] or "")]
            if changed:
                await self._record(tx, actor, "changed a person", person_id, {"fields": ", ".join(changed)})

    async def mark_left(self, actor: Actor, person_id: str) -> tuple[str, ...]:
        """Somebody has left. Returns their id if they may have an account that has to end at once (adults only)."""
        require(actor, _MANAGE)
        if person_id == actor.person:
            raise Refused("You cannot mark yourself as left.", "Ask somebody else who keeps the directory.")
        async with self._records.transaction() as tx:
            person = await _existing(tx, person_id)
            if person["left_at"] is not None:
                return ()
            await tx.execute("UPDATE people SET left_at = ? WHERE id = ?", (stamp(), person_id))
            await self._record(tx, actor, "marked a person as left", person_id)
        return () if person["kind"] in _PUPILS else (person_id,)

    async def mark_back(self, actor: Actor, person_id: str) -> None:
        """Somebody who had left is at the school again. An account that was ended stays ended."""
        require(actor, _MANAGE)
        async with self._records.transaction() as tx:
            person = await _existing(tx, person_id)
            if person["left_at"] is not None:
                await tx.execute("UPDATE people SET left_at = NULL WHERE id = ?", (person_id,))
                await self._record(tx, actor, "marked a person as back", person_id)

    async def add_account(self, actor: Actor, person_id: str, kind: str, name: str) -> None:
        """A name under which devices or browsers know somebody. Raises ``Refused`` if it is somebody else's."""
        require(actor, _MANAGE)
        plain = account_name(name)
        if kind not in ACCOUNT_KINDS or not plain:
            raise Refused("Choose what it is and give the name.")
        if len(plain) > LONGEST_ADDRESS:
            raise Refused(f"The name is longer than {LONGEST_ADDRESS} characters.", "Shorten it.")
        async with self._records.transaction() as tx:
            await _existing(tx, person_id)
            taken = await tx.fetch_one(
                "SELECT person.id, person.name FROM person_accounts account JOIN people person"
                " ON person.id = account.person_id WHERE account.kind = ? AND account.name = ?",
                (kind, plain),
            )
            if taken is not None and taken["id"] != person_id:
                raise Refused(f"Devices know {taken['name']} under this name.", "Take it off there first.")
            if taken is None:
                await tx.execute("INSERT INTO person_accounts VALUES (?, ?, ?)", (kind, plain, person_id))
                await self._record(tx, actor, "added a name for devices", person_id, {"kind": kind})

    async def remove_account(self, actor: Actor, person_id: str, kind: str, name: str) -> None:
        """Devices no longer know somebody under this name."""
        require(actor, _MANAGE)
        async with self._records.transaction() as tx:
            removed = await tx.execute(
                "DELETE FROM person_accounts WHERE kind = ? AND name = ? AND person_id = ?",
                (kind, account_name(name), person_id),
            )
            if removed:
                await self._record(tx, actor, "removed a name for devices", person_id, {"kind": kind})

    async def _record(
        self, tx: Transaction, actor: Actor, action: str, person_id: str, detail: Mapping[str, str] | None = None
    ) -> None:
        await self._audit.record(tx, actor.name, action, f"person {person_id}", detail)
        await self._index.changed(tx, "people")


def _checked(details: Details) -> Details:
    for words in details.faults().values():
        raise Refused(words)
    return details.tidied()


async def _existing(tx: Transaction, person_id: str) -> Row:
    person = await tx.fetch_one("SELECT * FROM people WHERE id = ?", (person_id,))
    if person is None:
        raise Refused("This person is not in the directory any more.", "Go back to the people.")
    return person


async def _must_be_free(tx: Transaction, plain: Details, person_id: str) -> None:
    """A reference means one person, in whatever case it is typed."""
    other = await tx.fetch_one(
        "SELECT name FROM people WHERE kind = ? AND lower(reference) = lower(?) AND id <> ?",
        (plain.kind, plain.reference, person_id),
    )
    if plain.reference and other is not None:
        raise Refused(f"{other['name']} has this reference.", "A reference is given once. Look which of them it is.")
