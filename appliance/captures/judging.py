"""What people make of captures: statuses, notes, and what the school does not want to hear of again.

Only somebody who has the capture open can judge it. What was written stays as it is; the store refuses changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from appliance.access import Actor, captured, require
from appliance.alerts.alerting import Alerts
from appliance.audit import Audit
from appliance.captures.reading import NOTE, Opened, Reading
from appliance.captures.statuses import Status
from appliance.categories import UNJUDGED
from appliance.clock import new_id, stamp
from appliance.db import Database, Row, Transaction
from appliance.errors import Refused
from appliance.hookspecs import Permission
from appliance.observations import Finding, Severity, Surface
from appliance.sealing import Keys
from appliance.vaults import CAPTURES, Vaults

LONGEST_NOTE = 4000
"""In characters."""
ALLOWED_TERM = "allowed term"
"""Kind of the envelope that holds the words of a term on the allow list."""
MAY_ALLOW = Permission.SWITCH_MONITORING
"""Who may put something on the allow list: whoever decides who is monitored, because it is for the whole school."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """Something on the allow list. ``phrase``: its words, empty for whoever cannot open them."""

    row: Row
    phrase: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class AllowedFor:
    """For whom and where something is allowed.

    ``group``: of the directory, for people and devices in it; empty: everybody. ``everywhere``: at every place; else
    only at the one where the capture was seen.
    """

    group: str = ""
    everywhere: bool = False


class Judging:
    """Every change needs a capture that the actor may see and keys that open it."""

    def __init__(
        self,
        records: Database,
        audit: Audit,
        vaults: Vaults,
        alerts: Alerts,
        reading: Reading,
        clock: Callable[[], datetime],
    ) -> None:
        self._records = records
        self._audit = audit
        self._vaults = vaults
        self._alerts = alerts
        self._reading = reading
        self._now = clock

    # Statuses and notes

    async def set_status(self, actor: Actor, keys: Keys, capture_id: str, status: Status, note: str = "") -> None:
        """Give a capture a status, with a note if something was written. Whoever does so has its alert in hand."""
        if status in (Status.UNCLASSIFIED, Status.FALSE_POSITIVE_ALLOW):
            raise Refused("This status cannot be set here.", "Choose another one.")
        await self._opened(actor, keys, capture_id)
        note_id, sealed = await self._sealed(note)
        async with self._records.transaction() as tx:
            before = await _status(actor, tx, capture_id)
            if before is status and sealed is None:
                raise Refused(f"The status is “{status.label}” already.", "Choose another one or write a note.")
            await self._set(tx, actor, capture_id, before, status, note_id, sealed)

    async def add_note(self, actor: Actor, keys: Keys, capture_id: str, note: str) -> None:
        """Write something about a capture; what was written before stays."""
        if not note.strip():
            raise Refused("Nothing was written.", "Write the note, or set a status.")
        await self._opened(actor, keys, capture_id)
        note_id, sealed = await self._sealed(note)
        async with self._records.transaction() as tx:
            await _status(actor, tx, capture_id)
            await self._write(tx, actor, capture_id, note_id, sealed)
            await self._audit.record(tx, actor.name, "wrote about a capture", f"capture {capture_id}")

    async def _opened(self, actor: Actor, keys: Keys, capture_id: str) -> Opened:
        opened = await self._reading.opened(actor, keys, capture_id)
        if opened is None:
            raise Refused("This capture is not here any more.", "Go back to the captures.")
        return opened

    async def _sealed(self, note: str) -> tuple[str, bytes | None]:
        """A note's id and its envelope; sealed before the unit of work, which must not wait for anything else."""
        words, note_id = note.strip(), new_id()
        if len(words) > LONGEST_NOTE:
            raise Refused(f"This is longer than {LONGEST_NOTE:,} characters.", "Shorten it or write two notes.")
        return note_id, await self._vaults.seal(CAPTURES, note_id, NOTE, words.encode()) if words else None

    async def _set(
        self,
        tx: Transaction,
        actor: Actor,
        capture_id: str,
        before: Status,
        after: Status,
        note_id: str,
        sealed: bytes | None,
    ) -> None:
        finished_at = stamp(self._now()) if after.is_finished else None
        await tx.execute(
            "UPDATE captures SET status = ?, finished_at = ? WHERE id = ?", (after.value, finished_at, capture_id)
        )
        await self._write(tx, actor, capture_id, note_id, sealed, before.value, after.value)
        detail = {"from": before.label, "to": after.label}
        await self._audit.record(tx, actor.name, "changed the status of a capture", f"capture {capture_id}", detail)
        await self._alerts.judged_within(tx, actor, capture_id, finished=after.is_finished)

    async def _write(
        self,
        tx: Transaction,
        actor: Actor,
        capture_id: str,
        note_id: str,
        sealed: bytes | None,
        before: str = "",
        after: str = "",
    ) -> None:
        await tx.execute(
            "INSERT INTO capture_notes (id, capture_id, at, account_id, author, from_status, to_status, sealed)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (note_id, capture_id, stamp(self._now()), actor.account, actor.name, before, after, sealed),
        )

    # The allow list

    async def allow(
        self, actor: Actor, keys: Keys, capture_id: str, note: str = "", whom: AllowedFor = AllowedFor()
    ) -> int:
        """Resolve as false positive, and hear no more of these terms, seen in this way, of those and there.

        Returns how many terms are on the list now that were not before.
        """
        require(actor, MAY_ALLOW)
        opened = await self._opened(actor, keys, capture_id)
        row = await self._reading.capture(actor, capture_id)
        findings = allowable(row, opened) if row is not None else ()
        if row is None or not findings:
            raise Refused("This can never be put on the allow list.", "Resolve it as false positive instead.")
        if not row["host"] and not whom.everywhere:
            raise Refused("This was seen at no web page.", "It can be allowed everywhere only.")
        host = "" if whom.everywhere else row["host"]
        note_id, sealed_note = await self._sealed(note)
        sealed = [await self._sealed_term(one) for one in findings]
        async with self._records.transaction() as tx:
            before = await _status(actor, tx, capture_id)
            group = await _group_name(tx, whom.group)
            added = 0
            for one, (entry, words) in zip(findings, sealed, strict=True):
                added += await tx.execute(
                    "INSERT INTO capture_allowed (id, policy, term, surface, host, group_id, sealed, capture_id,"
                    " added_at, added_by) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                    (
                        *(entry, one.policy, one.term, row["surface"], host, whom.group, words, capture_id),
                        *(stamp(self._now()), actor.name),
                    ),
                )
                detail = {
                    **{"policy": one.policy, "term": one.term, "seen": row["surface"]},
                    **{"place": host or "everywhere", "for": group or "everybody"},
                }
                await self._audit.record(tx, actor.name, "put on the allow list", f"allow list {entry}", detail)
            await self._set(tx, actor, capture_id, before, Status.FALSE_POSITIVE_ALLOW, note_id, sealed_note)
        return added

    async def _sealed_term(self, finding: Finding) -> tuple[str, bytes]:
        entry, words = new_id(), json.dumps({"phrase": finding.phrase}, ensure_ascii=False)
        return entry, await self._vaults.seal(CAPTURES, entry, ALLOWED_TERM, words.encode())

    async def allowed(self, actor: Actor, keys: Keys) -> tuple[list[Allowed], list[Allowed]]:
        """The allow list: what is on it, the newest first, and what was taken off. It says nothing about people."""
        require(actor, Permission.SEE_CAPTURES)
        rows = await self._records.fetch("SELECT * FROM capture_allowed ORDER BY added_at DESC, id DESC")
        found = [Allowed(row, self._phrase(row, keys)) for row in rows]
        return (
            [one for one in found if one.row["removed_at"] is None],
            [one for one in found if one.row["removed_at"] is not None],
        )

    def _phrase(self, row: Row, keys: Keys) -> str:
        try:
            return str(json.loads(self._vaults.open(keys, row["sealed"], row["id"]))["phrase"])
        except Refused:
            return ""

    async def take_off(self, actor: Actor, entry: str) -> bool:
        """Hear of it again from now on. False if it was taken off already."""
        require(actor, MAY_ALLOW)
        async with self._records.transaction() as tx:
            changed = await tx.execute(
                "UPDATE capture_allowed SET removed_at = ?, removed_by = ? WHERE id = ? AND removed_at IS NULL",
                (stamp(self._now()), actor.name, entry),
            )
            if changed:
                await self._audit.record(tx, actor.name, "took off the allow list", f"allow list {entry}")
        return bool(changed)


def may_be_allowed(finding: Finding, surface: Surface) -> bool:
    """Whether the allow list may ever silence this. What is severe and comes from the child itself is always kept."""
    severe = finding.severity is Severity.SEVERE and surface.is_own_words
    return not severe and not finding.is_test and finding.category != UNJUDGED


def allowable(row: Row, opened: Opened) -> Sequence[Finding]:
    """The findings of a capture that can be put on the allow list, each term once; none if not all of them can."""
    terms = {(one.policy, one.term): one for one in opened.findings}
    good = all(may_be_allowed(one, Surface(row["surface"])) for one in terms.values())
    return tuple(terms.values()) if good else ()


async def _group_name(tx: Transaction, group: str) -> str:
    """What the record calls a group; empty for everybody. Raises ``Refused`` for one that is not there."""
    if not group:
        return ""
    row = await tx.fetch_one("SELECT name FROM groups WHERE id = ?", (group,))
    if row is None:
        raise Refused("This group is not in the directory any more.", "Choose another one.")
    return str(row["name"])


async def _status(actor: Actor, tx: Transaction, capture_id: str) -> Status:
    """The status of a capture that ``actor`` may see, as this unit of work sees it."""
    seen = captured(actor, "person_id")
    row = await tx.fetch_one(
        f"SELECT status FROM captures WHERE id = ? AND {seen.sql}",  # noqa: S608
        (capture_id, *seen.parameters),
    )
    if row is None:
        raise Refused("This capture is not here any more.", "Go back to the captures.")
    return Status(row["status"])
