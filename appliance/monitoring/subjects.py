"""Groups, devices and people as subjects of monitoring: which of them somebody may find and decide about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from appliance.access import Actor, Condition, listed, visible
from appliance.assignments import Target, TargetKind
from appliance.db import Database
from appliance.errors import Refused
from appliance.hookspecs import Permission
from appliance.people.names import fold

MOST_FOUND = 50
ADULTS = ("staff", "governor")

_TITLES = frozenset({"mr", "mrs", "ms", "miss", "mx", "dr", "prof", "sir", "dame", "rev", "fr", "sr"})
_IN_USE: Mapping[TargetKind, str] = {
    TargetKind.GROUP: "SELECT id, name, kind FROM groups WHERE {condition} ORDER BY kind, name",
    TargetKind.DEVICE: "SELECT id, name, '' AS kind FROM devices WHERE removed_at IS NULL AND {condition}"
    " ORDER BY name",
    TargetKind.PERSON: "SELECT id, name, kind FROM people WHERE left_at IS NULL AND {condition} ORDER BY sort_name",
}
_MEMBERS: Mapping[TargetKind, str] = {
    TargetKind.GROUP: "SELECT p.id, p.kind FROM people p JOIN group_people m ON m.person_id = p.id"
    " WHERE m.group_id = ? AND p.left_at IS NULL",
    TargetKind.PERSON: "SELECT p.id, p.kind FROM people p WHERE p.id = ? AND p.left_at IS NULL",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """A group, a device or a person. ``kind``: what sort of group, or what the person is; empty for a device."""

    target: Target
    name: str
    kind: str

    @property
    def is_adult(self) -> bool:
        """Whether this is a member of staff or a governor, who are monitored only with a reviewer."""
        return self.kind in ADULTS


class Subjects:
    """Finds them in the directory."""

    def __init__(self, records: Database) -> None:
        self._records = records

    async def get(self, actor: Actor, target: Target) -> Subject:
        """What a target is called. Raises ``Refused``: one answer for what is not there and what is not to be seen."""
        found = await self._find(actor, target.kind, Condition("id = ?", (target.id,)))
        if not found:
            raise Refused("There is nobody and nothing like that here.", "Go back to the page about monitoring.")
        return found[0]

    async def find(self, actor: Actor, kind: TargetKind, typed: str) -> list[Subject]:
        """Those whose name holds every word of ``typed``; of people, those whom ``actor`` may see, none for no word."""
        words = fold(typed).split()
        if kind is TargetKind.PERSON:
            named = Condition(" AND ".join(["instr(sort_name, ?)"] * len(words)), tuple(words))
            return (await self._find(actor, kind, named))[:MOST_FOUND] if words else []
        found = await self._find(actor, kind, Condition("1", ()))
        return [subject for subject in found if all(word in fold(subject.name) for word in words)]

    async def _find(self, actor: Actor, kind: TargetKind, wanted: Condition) -> list[Subject]:
        if kind not in _IN_USE:
            return []
        seen = decidable(actor, "people") if kind is TargetKind.PERSON else Condition("1", ())
        sql = _IN_USE[kind].format(condition=f"{wanted.sql} AND {seen.sql}")
        rows = await self._records.fetch(sql, (*wanted.parameters, *seen.parameters))
        return [Subject(Target(kind, row["id"]), row["name"], row["kind"]) for row in rows]

    async def people_of(self, target: Target) -> Sequence[tuple[str, str]]:
        """Id and kind of everybody in a group, or of the person; of nobody for a device, because anybody may use it.

        For counting. No page shows what this returns.
        """
        if target.kind not in _MEMBERS:
            return []
        return [(row["id"], row["kind"]) for row in await self._records.fetch(_MEMBERS[target.kind], (target.id,))]

    async def devices_of(self, target: Target) -> int:
        """How many devices are in a group, or are the device itself."""
        if target.kind is not TargetKind.GROUP:
            return int(target.kind is TargetKind.DEVICE)
        row = await self._records.fetch_one(
            "SELECT count(*) AS n FROM group_devices m JOIN devices d ON d.id = m.device_id"
            " WHERE m.group_id = ? AND d.removed_at IS NULL",
            (target.id,),
        )
        return int(row["n"]) if row else 0


def decidable(actor: Actor, people: str) -> Condition:
    """Whose monitoring ``actor`` may see and decide about; ``people``: the name of the table ``people`` in the query.

    Pupils and guests: those whose records they may see. Records about staff and governors are seen by their reviewer
    alone, so whoever switches needs their names from the directory, to name one.
    """
    records, names = visible(actor, f"{people}.id"), listed(actor, f"{people}.id")
    if not actor.may(Permission.SWITCH_MONITORING):
        return records
    sql = f"({records.sql} OR {people}.kind IN ('staff', 'governor') AND {names.sql})"
    return Condition(sql, (*records.parameters, *names.parameters))


def refuse_about_oneself(actor: Actor, subject: Subject) -> None:
    """Raise ``Refused`` if the person is, or may be, the one who decides."""
    same = subject.target == Target(TargetKind.PERSON, actor.person or "")
    unknown = actor.person is None and subject.is_adult and may_be_same(actor.name, subject.name)
    if same or unknown:
        raise Refused("Nobody decides about their own monitoring.", "Ask another safeguarding lead or deputy.")


def may_be_same(name: str, other: str) -> bool:
    """Whether two names may be one person's: each word of the shorter one begins or is begun by a word of the other.

    So ``S. Brown``, ``Mr Brown``, ``Sam`` and ``Brown, Samantha`` all may be ``Sam Brown``. It errs on the safe side.
    """
    shorter, longer = sorted((_words(name), _words(other)), key=len)
    return all(any(one.startswith(two) or two.startswith(one) for two in longer) for one in shorter)


def _words(name: str) -> list[str]:
    return [word for word in fold(name).split() if word not in _TITLES]
