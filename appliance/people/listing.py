"""Lists of the directory: pages of rows, and which groups and devices somebody may find in them.

People follow ``access.listed``. A group shows more than its people do (a list may be called after what its members need
help with), so whoever does not keep the directory finds forms, years and classes of people in scope, and of the other
groups only those that are a scope of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from appliance.access import Actor, Condition, visible
from appliance.db import Database, Row
from appliance.hookspecs import Permission

PAGE_ROWS = 50

MEMBERS: Mapping[str, str] = {"people": "person_id", "devices": "device_id"}
"""What can be in a group: the end of the table's name, and the column."""

_GROUPS = """(
    EXISTS (SELECT 1 FROM staff_scopes WHERE account_id = ? AND kind = 'everyone')
    OR {alias}.id IN (SELECT target FROM staff_scopes WHERE account_id = ? AND kind = 'group')
    OR {alias}.kind IN ('form', 'year', 'class') AND {alias}.id IN (
        SELECT member.group_id FROM group_people member WHERE {people}
    )
)"""
_DEVICES = """(
    EXISTS (SELECT 1 FROM staff_scopes WHERE account_id = ? AND kind = 'everyone')
    OR {alias}.id IN (
        SELECT member.device_id FROM staff_scopes scope JOIN group_devices member ON member.group_id = scope.target
        WHERE scope.account_id = ? AND scope.kind = 'group'
    )
    OR {people}
)"""


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a list. ``number``: which page, from 1; ``total``: rows on all pages."""

    rows: Sequence[Row]
    number: int
    total: int

    @property
    def last(self) -> int:
        """The number of the last page."""
        return max(1, -(-self.total // PAGE_ROWS))


def listed_groups(actor: Actor, alias: str) -> Condition:
    """Groups that ``actor`` may find; ``alias``: of the table of groups in the query."""
    people = visible(actor, "member.person_id")
    return _listed(actor, _GROUPS.format(alias=alias, people=people.sql), people)


def listed_devices(actor: Actor, alias: str) -> Condition:
    """Devices that ``actor`` may find; ``alias``: of the table of devices in the query."""
    people = visible(actor, f"{alias}.person_id")
    return _listed(actor, _DEVICES.format(alias=alias, people=people.sql), people)


def in_group(actor: Actor, what: Literal["people", "devices"], column: str, group_id: str) -> Condition:
    """Rows whose ``column`` holds somebody or something in a group, if ``actor`` may find that group; otherwise none.

    That somebody is in a group may say as much as its name does.
    """
    groups = listed_groups(actor, "grp")
    sql = (
        f"{column} IN (SELECT inside.{MEMBERS[what]} FROM group_{what} inside"  # noqa: S608 - our own names
        f" JOIN groups grp ON grp.id = inside.group_id WHERE grp.id = ? AND {groups.sql})"
    )
    return Condition(sql, (group_id, *groups.parameters))


def _listed(actor: Actor, sql: str, people: Condition) -> Condition:
    if actor.may(Permission.MANAGE_PEOPLE):
        return Condition("1", ())
    if not actor.may(Permission.SEE_PEOPLE):
        return Condition("0", ())
    return Condition(sql, (actor.account, actor.account, *people.parameters))


async def page_of(
    records: Database, columns: str, table: Condition, conditions: Iterable[Condition], order: str, number: int
) -> Page:
    """One page of the rows that meet every condition. A number beyond the last page gives the last one.

    ``table``: what stands after FROM, with the parameters of its joins.
    """
    joined = list(conditions)
    source = f"{table.sql} WHERE {' AND '.join(condition.sql for condition in joined)}"
    parameters = [*table.parameters, *(value for condition in joined for value in condition.parameters)]
    counted = await records.fetch_one(f"SELECT count(*) AS n FROM {source}", parameters)  # noqa: S608
    total = counted["n"] if counted is not None else 0
    number = min(max(number, 1), Page((), 1, total).last)
    rows = await records.fetch(
        f"SELECT {columns} FROM {source} ORDER BY {order} LIMIT ? OFFSET ?",  # noqa: S608
        [*parameters, PAGE_ROWS, (number - 1) * PAGE_ROWS],
    )
    return Page(rows, number, total)
