"""What an import does to the store, in units of some hundreds of people, and how each unit is taken back.

Everything about a person that an import can change is one ``Values``: field -> JSON text. The difference between two of
them is what is written, what is kept for the undo, and what tells whether somebody has changed it since.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from appliance.clock import new_id, stamp
from appliance.db import Database, Row, Transaction
from appliance.people.matching import GROUP_FIELDS, Arrival, Known, Match, Present, groups_of
from appliance.people.names import GROUP_KINDS
from appliance.people.naming import named_in_any

Step = Arrival | Match | Known
"""Somebody new, somebody who changes or is back, somebody who leaves."""
Values = dict[str, str]
ADDED = "added"
"""In place of a field: the whole person was added."""
NOTHING = "null"

_PEOPLE = """
SELECT id, kind, name, sort_name, reference, email, left_at FROM people
WHERE {which} ORDER BY sort_name, id
"""
_MEMBERS = """
SELECT member.person_id, grp.kind, grp.id, grp.name FROM group_people member JOIN groups grp ON grp.id = member.group_id
WHERE member.person_id IN (SELECT id FROM people WHERE {which}) ORDER BY grp.name, grp.id
"""
_THESE = "id IN (SELECT value FROM json_each(?))"
_REFERRING = """
SELECT referring.name AS "table", keys."from" AS "column"
FROM sqlite_schema referring JOIN pragma_foreign_key_list(referring.name) keys
WHERE referring.type = 'table' AND keys."table" = ?
"""
_OWN_TABLES = frozenset({"group_people", "group_devices", "person_accounts", "import_changes", "import_groups"})
"""Rows that an import makes itself, or that are looked at as values."""
_NAMED_BY_ID: Mapping[str, tuple[str, ...]] = {
    "people": ("SELECT target FROM staff_scopes WHERE kind = 'person' AND target IN (SELECT value FROM json_each(?))",),
    "groups": (
        "SELECT target FROM staff_scopes WHERE kind = 'group' AND target IN (SELECT value FROM json_each(?))",
        "SELECT group_id FROM group_people WHERE group_id IN (SELECT value FROM json_each(?))",
        "SELECT group_id FROM group_devices WHERE group_id IN (SELECT value FROM json_each(?))",
    ),
}
"""What names people and groups by their id without a foreign key, and what is in a group."""
_KINDS: Mapping[str, str] = {"people": "person", "groups": "group"}
"""What records with a ``target_kind`` call them (``naming``)."""


@dataclass
class Tally:
    """What a unit did. ``passed_over``: people who were changed by somebody else since the preview."""

    added: int = 0
    changed: int = 0
    back: int = 0
    gone: int = 0
    passed_over: int = 0
    left: list[str] = field(default_factory=list)
    """Ids of people who were marked as left."""


# Reading


async def present(records: Database, kind: str) -> Present:
    """The directory as an import of this kind of people finds it."""
    people = await records.fetch(_PEOPLE.format(which="kind = ?"), (kind,))
    names: dict[str, dict[str, list[str]]] = {}
    for row in await records.fetch(_MEMBERS.format(which="kind = ?"), (kind,)):
        names.setdefault(row["person_id"], {}).setdefault(row["kind"], []).append(row["name"])
    groups = await records.fetch("SELECT kind, name FROM groups ORDER BY id")
    accounts = await records.fetch("SELECT kind, name, person_id FROM person_accounts")
    return Present(
        tuple(_known(row, names.get(row["id"], {})) for row in people),
        {(row["kind"], row["name"].casefold()): row["name"] for row in groups},
        {(row["kind"], row["name"]): row["person_id"] for row in accounts},
    )


def _known(row: Row, names: Mapping[str, Sequence[str]]) -> Known:
    groups = {key: tuple(names.get(kind, ())) for key, kind in GROUP_FIELDS.items()}
    left = row["left_at"] is not None
    return Known(row["id"], row["name"], row["reference"] or "", row["email"], left, **groups)


@dataclass(frozen=True, slots=True)
class State:
    """Somebody as the unit of work finds them: as the plan knew them, and as values."""

    known: Known
    kind: str
    values: Values


async def states(tx: Transaction, ids: Iterable[str]) -> dict[str, State]:
    """People by their id; whoever is not there is left out."""
    these = json.dumps(list(ids))
    members: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for row in await tx.fetch(_MEMBERS.format(which=_THESE), (these,)):
        members.setdefault(row["person_id"], {}).setdefault(row["kind"], []).append((row["id"], row["name"]))
    accounts: dict[str, list[tuple[str, str]]] = {}
    for row in await tx.fetch(
        "SELECT kind, name, person_id FROM person_accounts WHERE person_id IN (SELECT value FROM json_each(?))",
        (these,),
    ):
        accounts.setdefault(row["person_id"], []).append((row["kind"], row["name"]))
    found = {}
    for row in await tx.fetch(_PEOPLE.format(which=_THESE), (these,)):
        groups = members.get(row["id"], {})
        names = {kind: [name for _, name in pairs] for kind, pairs in groups.items()}
        group_ids = {kind: [group_id for group_id, _ in pairs] for kind, pairs in groups.items()}
        plain = (row["name"], row["sort_name"], row["reference"], row["email"], row["left_at"])
        values = _values(*plain, group_ids, accounts.get(row["id"], []))
        found[row["id"]] = State(_known(row, names), row["kind"], values)
    return found


def _values(
    name: str,
    sort: str,
    reference: str | None,
    email: str,
    left_at: str | None,
    groups: Mapping[str, Sequence[str]],
    accounts: Sequence[tuple[str, str]],
) -> Values:
    plain = {"name": [name, sort], "reference": reference, "email": email, "left": left_at}
    of_groups = {kind: sorted(groups.get(kind, ())) for kind in GROUP_KINDS}
    return {key: json.dumps(value) for key, value in {**plain, **of_groups, "accounts": sorted(accounts)}.items()}


# Applying


async def apply_unit(tx: Transaction, import_id: str, kind: str, steps: Sequence[Step]) -> Tally:
    """Carry out some steps of a plan. Whoever is not as the plan knew them is passed over."""
    tally = Tally()
    here = await states(tx, (_id_of(step) for step in steps if not isinstance(step, Arrival)))
    group_ids = await _group_ids(tx, import_id, steps)
    taken = await _taken(tx, kind, steps)
    added: list[tuple[str, Values]] = []
    changed: list[tuple[str, Values, Values]] = []
    for step in steps:
        if isinstance(step, Arrival):
            if taken & _claims(step.entry.reference, step.accounts):
                tally.passed_over += 1
            else:
                added.append((new_id(), _arrived(step, group_ids)))
            continue
        person_id = _id_of(step)
        state = here.get(person_id)
        known = step if isinstance(step, Known) else step.known
        if state is None or not _as_planned(state.known, known):
            tally.passed_over += 1
        elif isinstance(step, Known):
            changed.append((person_id, state.values, {**state.values, "left": json.dumps(stamp())}))
            tally.left.append(person_id)
        elif taken & _claims(_new_reference(step), step.accounts):
            tally.passed_over += 1
        else:
            changed.append((person_id, state.values, _matched(step, state.values, group_ids)))
            tally.back += known.left
            tally.changed += not known.left
    tally.added, tally.gone = len(added), len(tally.left)
    await _add(tx, import_id, kind, added)
    await _write(tx, changed)
    await _keep(tx, import_id, changed)
    return tally


def _id_of(step: Match | Known) -> str:
    return step.id if isinstance(step, Known) else step.known.id


def _as_planned(found: Known, planned: Known) -> bool:
    """The same but for the order of groups."""
    plain = ("name", "reference", "email", "left")
    same_groups = all(set(getattr(found, key)) == set(getattr(planned, key)) for key in GROUP_FIELDS)
    return same_groups and all(getattr(found, key) == getattr(planned, key) for key in plain)


def _new_reference(match: Match) -> str:
    return match.entry.reference if any(change.field == "reference" for change in match.changes) else ""


def _claims(reference: str, accounts: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    claims = set(accounts)
    return claims | {("reference", reference)} if reference else claims


async def _taken(tx: Transaction, kind: str, steps: Sequence[Step]) -> set[tuple[str, str]]:
    """References and accounts that these steps would give out and that somebody has got meanwhile."""
    references = [step.entry.reference for step in steps if isinstance(step, Arrival)]
    references += [_new_reference(step) for step in steps if isinstance(step, Match)]
    names = [name for step in steps if not isinstance(step, Known) for _, name in step.accounts]
    taken = {
        ("reference", row["reference"])
        for row in await tx.fetch(
            "SELECT reference FROM people WHERE kind = ? AND reference IN (SELECT value FROM json_each(?))",
            (kind, json.dumps(references)),
        )
    }
    rows = await tx.fetch(
        "SELECT kind, name FROM person_accounts WHERE name IN (SELECT value FROM json_each(?))", (json.dumps(names),)
    )
    return taken | {(row["kind"], row["name"]) for row in rows}


async def _group_ids(tx: Transaction, import_id: str, steps: Sequence[Step]) -> dict[tuple[str, str], str]:
    """(kind, case-folded name) -> id of every group; those that the steps name and that are missing are made."""
    rows = await tx.fetch("SELECT id, kind, name FROM groups ORDER BY id")
    found = {(row["kind"], row["name"].casefold()): row["id"] for row in rows}
    wanted: dict[tuple[str, str], str] = {}
    for step in steps:
        if not isinstance(step, Known):
            for key, names in groups_of(step.entry).items():
                wanted |= {(GROUP_FIELDS[key], name.casefold()): name for name in names}
    made = [(new_id(), kind, name, folded) for (kind, folded), name in wanted.items() if (kind, folded) not in found]
    await tx.executemany(
        "INSERT INTO groups VALUES (?, ?, ?, ?)", [(group_id, kind, name, stamp()) for group_id, kind, name, _ in made]
    )
    await tx.executemany("INSERT INTO import_groups VALUES (?, ?)", [(import_id, group[0]) for group in made])
    return found | {(kind, folded): group_id for group_id, kind, _, folded in made}


def _arrived(arrival: Arrival, group_ids: Mapping[tuple[str, str], str]) -> Values:
    entry = arrival.entry
    groups = {GROUP_FIELDS[key]: _ids(key, names, group_ids) for key, names in groups_of(entry).items()}
    return _values(entry.name, entry.sort_name, entry.reference or None, entry.email, None, groups, arrival.accounts)


def _matched(match: Match, values: Values, group_ids: Mapping[tuple[str, str], str]) -> Values:
    """What becomes of somebody's values."""
    after = {**values, "left": NOTHING}
    for change in match.changes:
        if change.field == "name":
            after["name"] = json.dumps([match.entry.name, match.entry.sort_name])
        elif change.field in ("reference", "email"):
            after[change.field] = json.dumps(change.after[0])
        elif change.field in GROUP_FIELDS:
            ids = _ids(change.field, change.after, group_ids)
            after[GROUP_FIELDS[change.field]] = json.dumps(sorted(ids))
        elif change.field == "accounts":
            known = [tuple(account) for account in json.loads(values["accounts"])]
            after["accounts"] = json.dumps(sorted([*known, *match.accounts]))
    return after


def _ids(key: str, names: Iterable[str], group_ids: Mapping[tuple[str, str], str]) -> list[str]:
    return [group_ids[GROUP_FIELDS[key], name.casefold()] for name in names]


async def _add(tx: Transaction, import_id: str, kind: str, added: Sequence[tuple[str, Values]]) -> None:
    moment, rows = stamp(), []
    for person_id, values in added:
        name, sort = json.loads(values["name"])
        plain = (json.loads(values["reference"]), json.loads(values["email"]))
        rows.append((person_id, kind, name, sort, *plain, moment))
    await tx.executemany(
        "INSERT INTO people (id, kind, name, sort_name, reference, email, added_at) VALUES (?, ?, ?, ?, ?, ?, ?)", rows
    )
    await _write_members(tx, [(person_id, {}, values) for person_id, values in added])
    await tx.executemany(
        "INSERT INTO import_changes VALUES (?, ?, ?, ?, ?)",
        [(import_id, person_id, ADDED, NOTHING, json.dumps(values)) for person_id, values in added],
    )


async def _keep(tx: Transaction, import_id: str, changed: Sequence[tuple[str, Values, Values]]) -> None:
    rows = [
        (import_id, person_id, key, before[key], after[key])
        for person_id, before, after in changed
        for key in before
        if before[key] != after[key]
    ]
    await tx.executemany("INSERT INTO import_changes VALUES (?, ?, ?, ?, ?)", rows)


async def _write(tx: Transaction, changed: Sequence[tuple[str, Values, Values]]) -> None:
    """Bring people from one set of values to another."""
    rows = []
    for person_id, before, after in changed:
        keys = ("name", "reference", "email", "left")
        if any(before[key] != after[key] for key in keys):
            (name, sort), reference, email, left = (json.loads(after[key]) for key in keys)
            rows.append((name, sort, reference, email, left, person_id))
    await tx.executemany(
        "UPDATE people SET name = ?, sort_name = ?, reference = ?, email = ?, left_at = ? WHERE id = ?", rows
    )
    await _write_members(tx, changed)


async def _write_members(tx: Transaction, changed: Sequence[tuple[str, Values, Values]]) -> None:
    """Groups and accounts: rows that are there on one side only."""
    group_pairs = [(person_id, _members(before), _members(after)) for person_id, before, after in changed]
    await tx.executemany(
        "DELETE FROM group_people WHERE group_id = ? AND person_id = ?",
        [(group, person_id) for person_id, before, after in group_pairs for group in before - after],
    )
    await tx.executemany(
        "INSERT INTO group_people (group_id, person_id) VALUES (?, ?)",
        [(group, person_id) for person_id, before, after in group_pairs for group in after - before],
    )
    account_pairs = [(person_id, _accounts(before), _accounts(after)) for person_id, before, after in changed]
    await tx.executemany(
        "DELETE FROM person_accounts WHERE kind = ? AND name = ?",
        [account for _, before, after in account_pairs for account in before - after],
    )
    await tx.executemany(
        "INSERT INTO person_accounts VALUES (?, ?, ?)",
        [(*account, person_id) for person_id, before, after in account_pairs for account in after - before],
    )


def _members(values: Values) -> set[str]:
    return {group for kind in GROUP_KINDS if kind in values for group in json.loads(values[kind])}


def _accounts(values: Values) -> set[tuple[str, str]]:
    return {(kind, name) for kind, name in json.loads(values.get("accounts", "[]"))}


# Taking back


async def undo_unit(tx: Transaction, import_id: str, people: Sequence[str]) -> int:
    """Give people back what an import changed, field by field; returns how many fields were changed since.

    What was taken back is forgotten; what could not be stays in ``import_changes``.
    """
    here = await states(tx, people)
    groups = {row["id"] for row in await tx.fetch("SELECT id FROM groups")}
    in_use = await referred_to(tx, "people", people)
    rows = await tx.fetch(
        "SELECT person_id, field, before, after FROM import_changes"
        " WHERE import_id = ? AND person_id IN (SELECT value FROM json_each(?))",
        (import_id, json.dumps(list(people))),
    )
    delete: list[str] = []
    back: dict[str, Values] = {}
    done: list[tuple[str, str, str]] = []
    for row in rows:
        person_id, key = row["person_id"], row["field"]
        state = here[person_id]
        if key == ADDED:
            if state.values == json.loads(row["after"]) and person_id not in in_use:
                delete.append(person_id)
                done.append((import_id, person_id, key))
        elif state.values[key] == row["after"] and await _can_be_again(tx, state, key, row["before"], groups):
            back.setdefault(person_id, dict(state.values))[key] = row["before"]
            done.append((import_id, person_id, key))
    await tx.executemany("DELETE FROM import_changes WHERE import_id = ? AND person_id = ? AND field = ?", done)
    await tx.executemany("DELETE FROM people WHERE id = ?", [(person_id,) for person_id in delete])
    await _write(tx, [(person_id, here[person_id].values, values) for person_id, values in back.items()])
    return len(rows) - len(done)


async def _can_be_again(tx: Transaction, state: State, key: str, before: str, groups: set[str]) -> bool:
    """Whether an old value can still stand: its groups are there, its reference is nobody else's."""
    value = json.loads(before)
    if key in GROUP_KINDS:
        return groups >= set(value)
    if key == "reference" and value is not None:
        return not await tx.fetch_one(
            "SELECT 1 FROM people WHERE kind = ? AND reference = ? AND id <> ?", (state.kind, value, state.known.id)
        )
    return True


async def undo_groups(tx: Transaction, import_id: str) -> None:
    """Take out the groups that an import made and that nothing uses."""
    rows = await tx.fetch("SELECT group_id FROM import_groups WHERE import_id = ?", (import_id,))
    made = [row["group_id"] for row in rows]
    in_use = await referred_to(tx, "groups", made)
    await tx.executemany("DELETE FROM groups WHERE id = ?", [(group,) for group in made if group not in in_use])


async def referred_to(tx: Transaction, table: str, ids: Sequence[str]) -> set[str]:
    """Those of ``ids`` that other records name. Reads the foreign keys of every table, so that no part is forgotten."""
    these = json.dumps(list(ids))
    questions = list(_NAMED_BY_ID[table])
    for row in await tx.fetch(_REFERRING, (table,)):
        if row["table"] not in _OWN_TABLES:
            questions.append(
                f'SELECT "{row["column"]}" FROM "{row["table"]}"'  # noqa: S608 - names from the store's own schema
                f' WHERE "{row["column"]}" IN (SELECT value FROM json_each(?))'
            )
    named = await named_in_any(tx, _KINDS[table], these)
    return {found[0] for question in questions for found in await tx.fetch(question, (these,))}.union(named)
