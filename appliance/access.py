"""Who may do what, and about whom: roles say what, scopes say about whom, one rule for every way to a record.

Lists, searches, links, exports and live updates all ask ``visible``, whose SQL reads the view ``visible_people``
(migration 0003): pupils and guests for whoever has them in scope, staff and governors for their reviewer alone, nobody
for themselves. A store function that returns rows about people takes an ``Actor`` first and joins that rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from appliance.errors import Refused
from appliance.hookspecs import Permission


class Role(StrEnum):
    """What somebody is at the school, as it stands in the store."""

    LEAD = "lead"
    DEPUTY = "deputy"
    HEAD = "head"
    PASTORAL = "pastoral"
    TEACHER = "teacher"
    DPO = "dpo"
    GOVERNOR = "governor"
    IT = "it"

    @property
    def label(self) -> str:
        """The role in words, for pages."""
        return ROLE_LABELS[self]


ROLE_LABELS: Mapping[Role, str] = {
    Role.LEAD: "Safeguarding lead",
    Role.DEPUTY: "Deputy safeguarding lead",
    Role.HEAD: "Head or senior leader",
    Role.PASTORAL: "Pastoral staff",
    Role.TEACHER: "Teacher",
    Role.DPO: "Data protection officer",
    Role.GOVERNOR: "Governor",
    Role.IT: "IT",
}
CONTENT_ROLES = frozenset({Role.LEAD, Role.DEPUTY, Role.HEAD, Role.PASTORAL, Role.TEACHER})
"""Roles that see records about people. Only a signed-in lead gives them."""

_EVERYBODY = frozenset({Permission.SIGNED_IN, Permission.USE})
_P = Permission
PERMISSIONS: Mapping[Role | None, frozenset[Permission]] = {
    Role.LEAD: _EVERYBODY
    | {_P.SEE_DIRECTORY, _P.SEE_PEOPLE, _P.MANAGE_PEOPLE, _P.MANAGE_STAFF, _P.GRANT_CONTENT, _P.SWITCH_MONITORING}
    | {_P.SEE_MONITORING, _P.READ_AUDIT, _P.SEE_ACTIVITY, _P.SEE_CAPTURES, _P.SEE_ALERTS}
    | {_P.CHOOSE_SITES},
    Role.DEPUTY: _EVERYBODY
    | {_P.SEE_DIRECTORY, _P.SEE_PEOPLE, _P.MANAGE_PEOPLE, _P.MANAGE_STAFF, _P.SWITCH_MONITORING, _P.SEE_MONITORING}
    | {_P.READ_AUDIT, _P.SEE_ACTIVITY, _P.SEE_CAPTURES, _P.SEE_ALERTS, _P.CHOOSE_SITES},
    Role.HEAD: _EVERYBODY
    | {_P.SEE_DIRECTORY, _P.SEE_PEOPLE, _P.MANAGE_STAFF, _P.SEE_MONITORING, _P.READ_AUDIT, _P.SEE_CAPTURES}
    | {_P.SEE_ALERTS},
    Role.PASTORAL: _EVERYBODY | {_P.SEE_DIRECTORY, _P.SEE_PEOPLE, _P.SEE_CAPTURES, _P.SEE_ALERTS},
    Role.TEACHER: _EVERYBODY | {_P.SEE_DIRECTORY, _P.SEE_PEOPLE},
    Role.DPO: _EVERYBODY | {_P.SEE_MONITORING, _P.READ_AUDIT},
    Role.GOVERNOR: _EVERYBODY | {_P.READ_AUDIT},
    Role.IT: _EVERYBODY
    | {_P.SEE_DIRECTORY, _P.OPERATE, _P.SEE_ACTIVITY, _P.MANAGE_STAFF, _P.MANAGE_PEOPLE, _P.READ_AUDIT}
    | {_P.SEE_ALERTS, _P.CHOOSE_SITES},
    None: _EVERYBODY,
}
"""What each role may do; ``None``: an account that has no role yet."""

JOINING = frozenset({Permission.JOIN})
LOCKED = frozenset({Permission.SIGNED_IN})


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks: the name that goes into the record, and what is allowed.

    ``account``: the id of the account, empty for the appliance itself, its command line and a set-up under way.
    ``person``: who this is in the directory, if that is known, so that nobody reviews themselves.
    """

    name: str
    permissions: frozenset[Permission]
    account: str = ""
    role: Role | None = None
    person: str | None = None

    def may(self, permission: Permission) -> bool:
        """Whether this is allowed."""
        return permission in self.permissions


def require(actor: Actor, permission: Permission) -> None:
    """Raise ``Refused`` unless ``actor`` may: a store keeps the rule that its pages declare."""
    if not actor.may(permission):
        raise Refused("Your sign-in does not allow this.", "Ask whoever looks after the accounts.")


@dataclass(frozen=True, slots=True)
class Condition:
    """A piece of SQL for a WHERE clause, with its parameters in order."""

    sql: str
    parameters: tuple[str, ...]


def visible(actor: Actor, column: str) -> Condition:
    """Rows about people whose records ``actor`` may see; ``column`` (our own name) holds the person's id."""
    if not actor.may(Permission.SEE_PEOPLE):
        return Condition("0", ())
    rule = f"{column} IN (SELECT person_id FROM visible_people WHERE account_id = ?)"  # noqa: S608 - our own name
    return Condition(rule, (actor.account,))


def listed(actor: Actor, column: str) -> Condition:
    """Rows of the directory (names, groups, devices; no content) that ``actor`` may see."""
    if actor.may(Permission.MANAGE_PEOPLE):
        return Condition("1", ())
    return visible(actor, column)


def captured(actor: Actor, column: str) -> Condition:
    """Captures that ``actor`` may see; ``column`` holds the person's id, or nothing where nobody knows who it was.

    What nobody is known for may be about anybody: it is for those alone who may see everybody.
    """
    if not actor.may(Permission.SEE_CAPTURES):
        return Condition("0", ())
    people = visible(actor, column)
    everyone = "EXISTS (SELECT 1 FROM staff_scopes WHERE account_id = ? AND kind = 'everyone')"
    return Condition(f"({people.sql} OR {column} IS NULL AND {everyone})", (*people.parameters, actor.account))


def viewers(person: str | None) -> Condition:
    """``captured`` the other way round: rows ``account`` of ``staff_accounts`` that may see captures of a person.

    The person is given, and no column: so SQLite looks that one person up, and does not work out everybody's scope.
    """
    roles = ", ".join(f"'{role}'" for role, allowed in PERMISSIONS.items() if role and _P.SEE_CAPTURES in allowed)
    known = "(SELECT account_id FROM visible_people WHERE person_id = ?)"
    everyone = "(SELECT account_id FROM staff_scopes WHERE kind = 'everyone')"
    return Condition(
        f"account.state = 'active' AND account.role IN ({roles})"
        f" AND account.id IN {everyone if person is None else known}",
        () if person is None else (person,),
    )
