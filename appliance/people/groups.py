"""Groups of the directory: forms, years, classes, lists, rooms and trolleys, with the people and devices in them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from appliance.access import Actor, Condition, listed, require
from appliance.audit import Audit
from appliance.clock import new_id, stamp
from appliance.db import Database, Row, Transaction
from appliance.errors import Refused
from appliance.hookspecs import Permission
from appliance.people.listing import MEMBERS, Page, in_group, listed_devices, listed_groups, page_of
from appliance.people.member_index import MemberIndex
from appliance.people.names import GROUP_KINDS, LONGEST_GROUP, natural, tidy
from appliance.people.naming import named_in_force

_MANAGE = Permission.MANAGE_PEOPLE


@dataclass(frozen=True, slots=True)
class Use:
    """What keeps a group from being deleted: the accounts whose scope it is, and what else is set for it."""

    accounts: tuple[str, ...]
    choices: tuple[str, ...]

    @property
    def words(self) -> str:
        """Both in words; empty if there is neither."""
        parts = []
        if self.accounts:
            parts.append(f"It says about whom these people may know: {', '.join(self.accounts)}.")
        if self.choices:
            parts.append(f"It still decides about: {', '.join(choice.replace('_', ' ') for choice in self.choices)}.")
        return " ".join(parts)


class Groups:
    """The store of groups. Every change needs the permission to keep the directory."""

    def __init__(self, records: Database, audit: Audit, index: MemberIndex) -> None:
        self._records = records
        self._audit = audit
        self._index = index

    # Finding

    async def all(self, actor: Actor, kind: str = "") -> list[Row]:
        """Groups that ``actor`` may find: id, kind, name, people (at the school, listed) and devices (in use)."""
        people, devices = listed(actor, "person.id"), listed_devices(actor, "device")
        groups = listed_groups(actor, "grp")
        rows = await self._records.fetch(
            "SELECT grp.id, grp.kind, grp.name,"  # noqa: S608 - conditions of our own
            " (SELECT count(*) FROM group_people member JOIN people person ON person.id = member.person_id"
            f"  WHERE member.group_id = grp.id AND person.left_at IS NULL AND {people.sql}) AS people,"
            " (SELECT count(*) FROM group_devices member JOIN devices device ON device.id = member.device_id"
            f"  WHERE member.group_id = grp.id AND device.removed_at IS NULL AND {devices.sql}) AS devices"
            f" FROM groups grp WHERE {groups.sql} AND (? = '' OR grp.kind = ?)",
            [*people.parameters, *devices.parameters, *groups.parameters, kind, kind],
        )
        kinds = tuple(GROUP_KINDS)
        return sorted(rows, key=lambda row: (kinds.index(row["kind"]), natural(row["name"]), row["name"]))

    async def group(self, actor: Actor, group_id: str) -> Row | None:
        """One group (id, kind, name, made_at), or ``None`` if there is none that ``actor`` may find."""
        groups = listed_groups(actor, "grp")
        return await self._records.fetch_one(
            f"SELECT grp.* FROM groups grp WHERE grp.id = ? AND {groups.sql}",  # noqa: S608
            (group_id, *groups.parameters),
        )

    async def people(self, actor: Actor, group_id: str, number: int) -> Page:
        """A page of the people in a group who are listed for ``actor``, those who have left included."""
        return await page_of(
            self._records,
            "person.id, person.kind, person.name, person.left_at",
            Condition("people person", ()),
            (listed(actor, "person.id"), in_group(actor, "people", "person.id", group_id)),
            "person.left_at IS NOT NULL, person.sort_name, person.id",
            number,
        )

    async def devices(self, actor: Actor, group_id: str) -> list[Row]:
        """The devices in a group that ``actor`` may find and that are in use: id, name, serial."""
        devices, member = listed_devices(actor, "device"), in_group(actor, "devices", "device.id", group_id)
        return await self._records.fetch(
            "SELECT device.id, device.name, device.serial FROM devices device"  # noqa: S608
            f" WHERE device.removed_at IS NULL AND {devices.sql} AND {member.sql} ORDER BY device.name, device.id",
            (*devices.parameters, *member.parameters),
        )

    # Changing

    async def make(self, actor: Actor, kind: str, name: str) -> str:
        """A new, empty group; returns its id."""
        require(actor, _MANAGE)
        if kind not in GROUP_KINDS:
            raise Refused("Choose what kind of group it is.")
        group_id, plain = new_id(), _plain(name)
        async with self._records.transaction() as tx:
            await _must_be_free(tx, kind, plain, group_id)
            await tx.execute("INSERT INTO groups VALUES (?, ?, ?, ?)", (group_id, kind, plain, stamp()))
            await self._audit.record(tx, actor.name, "made a group", f"group {plain}", {"kind": kind})
            await self._index.changed(tx, "groups")
        return group_id

    async def rename(self, actor: Actor, group_id: str, name: str) -> None:
        """Give a group another name; who is in it and whose scope it is stay."""
        require(actor, _MANAGE)
        plain = _plain(name)
        async with self._records.transaction() as tx:
            group = await _existing(tx, group_id)
            await _must_be_free(tx, group["kind"], plain, group_id)
            await tx.execute("UPDATE groups SET name = ? WHERE id = ?", (plain, group_id))
            await self._audit.record(tx, actor.name, "renamed a group", f"group {group['name']}", {"to": plain})
            await self._index.changed(tx, "groups")

    async def add_people(self, actor: Actor, group_id: str, people: Collection[str]) -> int:
        """Put people into a group; returns how many were not in it."""
        return await self._put(actor, group_id, "people", people, into=True)

    async def remove_people(self, actor: Actor, group_id: str, people: Collection[str]) -> int:
        """Take people out of a group; returns how many were in it."""
        return await self._put(actor, group_id, "people", people, into=False)

    async def add_devices(self, actor: Actor, group_id: str, devices: Collection[str]) -> int:
        """Put devices into a group; returns how many were not in it."""
        return await self._put(actor, group_id, "devices", devices, into=True)

    async def remove_devices(self, actor: Actor, group_id: str, devices: Collection[str]) -> int:
        """Take devices out of a group; returns how many were in it."""
        return await self._put(actor, group_id, "devices", devices, into=False)

    async def _put(self, actor: Actor, group_id: str, what: str, members: Collection[str], *, into: bool) -> int:
        require(actor, _MANAGE)
        column = MEMBERS[what]
        sql = (
            f"INSERT OR IGNORE INTO group_{what} (group_id, {column})"  # noqa: S608 - from our own table of names
            f" SELECT ?, id FROM {what} WHERE id = ?"
            if into
            else f"DELETE FROM group_{what} WHERE group_id = ? AND {column} = ?"  # noqa: S608
        )
        async with self._records.transaction() as tx:
            group = await _existing(tx, group_id)
            moved = [member for member in members if await tx.execute(sql, (group_id, member))]
            if moved:
                action = f"{'put' if into else 'took'} {what} {'into' if into else 'out of'} a group"
                await self._audit.record(tx, actor.name, action, f"group {group['name']}", {what: moved})
                await self._index.changed(tx, "groups")
        return len(moved)

    # Deleting

    async def use(self, group_id: str) -> Use:
        """What keeps a group from being deleted."""
        return await _use(self._records, group_id)

    async def delete(self, actor: Actor, group_id: str) -> None:
        """Delete a group; people and devices in it stay. Raises ``Refused`` while it is in use."""
        require(actor, _MANAGE)
        async with self._records.transaction() as tx:
            group = await _existing(tx, group_id)
            use = await _use(tx, group_id)
            if use.words:
                raise Refused(f"{group['name']} cannot be deleted. {use.words}", "Change that first.")
            detail = {"kind": group["kind"], "people": await _people_in(tx, group_id)}
            await tx.execute("DELETE FROM groups WHERE id = ?", (group_id,))
            await self._audit.record(tx, actor.name, "deleted a group", f"group {group['name']}", detail)
            await self._index.changed(tx, "groups")


def _plain(name: str) -> str:
    plain = tidy(name)
    if not plain:
        raise Refused("Give the group a name.")
    if len(plain) > LONGEST_GROUP:
        raise Refused(f"The name is longer than {LONGEST_GROUP} characters.", "Shorten it.")
    return plain


async def _existing(tx: Transaction, group_id: str) -> Row:
    group = await tx.fetch_one("SELECT * FROM groups WHERE id = ?", (group_id,))
    if group is None:
        raise Refused("This group is not in the directory any more.", "Go back to the groups.")
    return group


async def _must_be_free(tx: Transaction, kind: str, name: str, group_id: str) -> None:
    """7A and 7a are the same group to people."""
    for row in await tx.fetch("SELECT id, name FROM groups WHERE kind = ?", (kind,)):
        if row["id"] != group_id and row["name"].casefold() == name.casefold():
            raise Refused(f"There is a {GROUP_KINDS[kind].casefold()} called {row['name']} already.", "Use that one.")


async def _people_in(tx: Transaction, group_id: str) -> int:
    row = await tx.fetch_one("SELECT count(*) AS n FROM group_people WHERE group_id = ?", (group_id,))
    return int(row["n"]) if row else 0


async def _use(store: Database | Transaction, group_id: str) -> Use:
    accounts = await store.fetch(
        "SELECT account.name FROM staff_scopes scope JOIN staff_accounts account ON account.id = scope.account_id"
        " WHERE scope.kind = 'group' AND scope.target = ? ORDER BY account.name",
        (group_id,),
    )
    choices = await store.fetch(
        "SELECT DISTINCT kind FROM assignments WHERE target_kind = 'group' AND target = ? AND undone_at IS NULL"
        " AND (until IS NULL OR until > ?) ORDER BY kind",
        (group_id, stamp()),
    )
    others = await named_in_force(store, "group", group_id)
    return Use(tuple(row["name"] for row in accounts), (*(row["kind"] for row in choices), *others))
