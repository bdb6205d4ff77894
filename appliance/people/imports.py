"""Imports of people: a file becomes a plan, the plan is applied in the background, and the last one can be undone."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from appliance.access import Actor, require
from appliance.audit import Audit
from appliance.clock import new_id, now, stamp
from appliance.db import Database, Row, Transaction
from appliance.errors import ApplianceError, Refused
from appliance.hookspecs import Permission
from appliance.people.import_drafts import Draft, Drafts
from appliance.people.import_steps import Step, Tally, apply_unit, present, undo_groups, undo_unit
from appliance.people.matching import Plan, make_plan
from appliance.people.member_index import MemberIndex

UNIT = 300
"""People in one unit of work."""
UNDO_FOR = timedelta(days=30)
"""How long what an import changed is kept, if no other import comes."""
LEFT_OVERS_SHOWN = 200
_MANAGE = Permission.MANAGE_PEOPLE
_Item = TypeVar("_Item")

AfterLeaving = Callable[[Sequence[str]], Awaitable[None]]
"""Gets the ids of members of staff who were marked as left: their accounts end at once."""

log = logging.getLogger(__name__)


@dataclass
class Progress:
    """What works in the background, or did last. ``trouble``: why it stopped half-way, in words."""

    import_id: str
    total: int
    undoing: bool
    done: int = 0
    trouble: str = ""


class Imports:
    """``drafts`` holds files; here they become changes. One import or undo at a time."""

    def __init__(
        self, records: Database, audit: Audit, index: MemberIndex, clock: Callable[[], datetime] = now
    ) -> None:
        self._records = records
        self._audit = audit
        self._index = index
        self._clock = clock
        self.drafts = Drafts(clock)
        self.progress: Progress | None = None
        self._task: asyncio.Task[None] | None = None
        self._at_work = False

    async def plan(self, actor: Actor, draft: Draft) -> Plan:
        """What applying the file would do now. Raises ``Refused`` before the columns were chosen."""
        require(actor, _MANAGE)
        if draft.reading is None:
            raise Refused("Say first what the columns hold.")
        here = await present(self._records, draft.kind)
        return await asyncio.to_thread(make_plan, draft.reading, here, dict(draft.answers), draft.for_all)

    # Applying

    async def apply(
        self, actor: Actor, draft: Draft, plan: Plan, after_leaving: AfterLeaving, *, leave: bool = False
    ) -> str:
        """Begin to apply a plan in the background; returns the import's id. The file is forgotten.

        ``leave``: mark those as left whom the file does not have. People who were changed since the plan was made are
        passed over. Raises ``Refused`` while another import works.
        """
        require(actor, _MANAGE)
        steps: list[Step] = [*plan.new, *plan.changed, *plan.back, *(plan.leaving if leave else ())]
        progress = self._claim(Progress(new_id(), len(steps), undoing=False))
        try:
            await self._begin(actor, draft, progress.import_id)
        except BaseException:
            self._at_work = False
            raise
        self.drafts.drop(draft)
        self._start(progress, lambda: self._apply(actor, draft.kind, progress, steps, after_leaving))
        return progress.import_id

    async def _begin(self, actor: Actor, draft: Draft, import_id: str) -> None:
        async with self._records.transaction() as tx:
            await tx.execute("DELETE FROM import_changes")
            await tx.execute("DELETE FROM import_groups")
            await tx.execute(
                "INSERT INTO imports (id, kind, file_name, author, state, began_at) VALUES (?, ?, ?, ?, 'applying', ?)",
                (import_id, draft.kind, draft.file_name, actor.name, stamp(self._clock())),
            )
            await self._audit.record(tx, actor.name, "began an import", f"import {import_id}", {"kind": draft.kind})

    async def _apply(
        self, actor: Actor, kind: str, progress: Progress, steps: Sequence[Step], after_leaving: AfterLeaving
    ) -> None:
        for unit in _units(steps):
            async with self._records.transaction() as tx:
                tally = await apply_unit(tx, progress.import_id, kind, unit)
                await self._count(tx, actor, progress.import_id, tally)
            progress.done += len(unit)
            if tally.left and kind == "staff":
                await _end_accounts(progress, after_leaving, tally.left)
        async with self._records.transaction() as tx:
            await tx.execute(
                "UPDATE imports SET state = 'applied', ended_at = ? WHERE id = ?",
                (stamp(self._clock()), progress.import_id),
            )

    async def _count(self, tx: Transaction, actor: Actor, import_id: str, tally: Tally) -> None:
        counts = (tally.added, tally.changed, tally.back, tally.gone, tally.passed_over)
        await tx.execute(
            "UPDATE imports SET added = added + ?, changed = changed + ?, back = back + ?, gone = gone + ?,"
            " passed_over = passed_over + ? WHERE id = ?",
            (*counts, import_id),
        )
        detail = {"added": tally.added, "changed": tally.changed, "back": tally.back, "left": tally.gone}
        await self._audit.record(tx, actor.name, "imported people", f"import {import_id}", detail)
        for person_id in tally.left:
            await self._audit.record(tx, actor.name, "marked a person as left", f"person {person_id}")
        await self._index.changed(tx, "people")

    # Undoing

    async def last(self, actor: Actor) -> Row | None:
        """The newest import, or ``None``. ``can_undo``: whether what it changed is still kept."""
        require(actor, _MANAGE)
        return await self._records.fetch_one(
            "SELECT imports.*, state <> 'undone' AND EXISTS ("
            " SELECT 1 FROM import_changes WHERE import_id = imports.id) AS can_undo"
            " FROM imports ORDER BY began_at DESC, id DESC LIMIT 1"
        )

    async def undo(self, actor: Actor, import_id: str) -> None:
        """Begin to take the last import back in the background. What was changed since stays as it is."""
        require(actor, _MANAGE)
        progress = self._claim(Progress(import_id, 0, undoing=True))
        try:
            row = await self.last(actor)
            if row is None or row["id"] != import_id or not row["can_undo"]:
                raise Refused("This import can no longer be undone.", "Only the last one can, for 30 days.")
            people = await self._records.fetch(
                "SELECT DISTINCT person_id FROM import_changes WHERE import_id = ? ORDER BY person_id", (import_id,)
            )
        except BaseException:
            self._at_work = False
            raise
        progress.total = len(people)
        ids = [person["person_id"] for person in people]
        self._start(progress, lambda: self._undo(actor, progress, ids))

    async def _undo(self, actor: Actor, progress: Progress, people: Sequence[str]) -> None:
        for unit in _units(people):
            async with self._records.transaction() as tx:
                await tx.execute("UPDATE imports SET state = 'undoing' WHERE id = ?", (progress.import_id,))
                stays = await undo_unit(tx, progress.import_id, unit)
                detail = {"people": len(unit), "changed since": stays}
                await self._audit.record(tx, actor.name, "undid an import", f"import {progress.import_id}", detail)
                await self._index.changed(tx, "people")
            progress.done += len(unit)
        async with self._records.transaction() as tx:
            await undo_groups(tx, progress.import_id)
            await tx.execute(
                "UPDATE imports SET state = 'undone', undone_at = ?, undone_by = ? WHERE id = ?",
                (stamp(self._clock()), actor.name, progress.import_id),
            )
            await self._index.changed(tx, "groups")

    async def left_over(self, actor: Actor, import_id: str) -> list[Row]:
        """What the undo could not take back: person_id, name, field; the first of them."""
        require(actor, _MANAGE)
        return await self._records.fetch(
            "SELECT change.person_id, person.name, change.field FROM import_changes change"
            " JOIN people person ON person.id = change.person_id"
            " WHERE change.import_id = ? ORDER BY person.sort_name, change.field LIMIT ?",
            (import_id, LEFT_OVERS_SHOWN),
        )

    async def forget_old(self) -> None:
        """Forget files whose hour has passed, and what imports changed a month ago (a job, every ten minutes)."""
        self.drafts.forget_old()
        async with self._records.transaction() as tx:
            old = "import_id IN (SELECT id FROM imports WHERE began_at < ?)"
            moment = stamp(self._clock() - UNDO_FOR)
            await tx.execute(f"DELETE FROM import_changes WHERE {old}", (moment,))  # noqa: S608
            await tx.execute(f"DELETE FROM import_groups WHERE {old}", (moment,))  # noqa: S608

    # In the background

    def working(self, import_id: str) -> bool:
        """Whether this import is being applied or undone at this moment."""
        return self._at_work and self.progress is not None and self.progress.import_id == import_id

    async def settled(self) -> None:
        """Return when nothing works in the background."""
        if self._task is not None:
            await asyncio.wait({self._task})

    async def stop(self) -> None:
        """Stop; units of work that were done are kept, and the page says that it stopped half-way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def _claim(self, progress: Progress) -> Progress:
        if self._at_work:
            raise Refused("Another import is at work.", "Wait until it has finished; its page shows how far it is.")
        self._at_work, self.progress = True, progress
        return progress

    def _start(self, progress: Progress, work: Callable[[], Awaitable[None]]) -> None:
        self._task = asyncio.create_task(self._work(progress, work), name="import of people")

    async def _work(self, progress: Progress, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (ApplianceError, sqlite3.Error) as error:  # the page shows it; what was done so far is kept
            progress.trouble = str(error)
            log.error("An import of people stopped half-way: %s", error)
        finally:
            self._at_work = False


async def _end_accounts(progress: Progress, after_leaving: AfterLeaving, people: Sequence[str]) -> None:
    """People who left lose their accounts at once; if that fails the import goes on and says so."""
    try:
        await after_leaving(people)
    except ApplianceError as error:
        progress.trouble = f"Accounts of people who left are still open: {error} End them on the Staff page."


def _units(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    for start in range(0, len(items), UNIT):
        yield items[start : start + UNIT]
