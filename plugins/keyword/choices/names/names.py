"""Watching for a name: covert, about one child, and so with a reason, an end and a second adult who agrees.

The reason is sealed for those who can open captures. The record says that somebody did it and never whose name it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from appliance.api import Actor, Appliance, Keys, Refused, Role, Row, Transaction, new_id, now, stamp

from ...library.identities import says_who
from ...library.model import folded
from ..decisions import EDIT, require
from .store import Store

VAULT, KIND = "captures", "why a name is watched for"
LONGEST = timedelta(days=92)
"""A term."""
LONGEST_NAME = 60
MOST_REASON = 1000
FEWEST_LETTERS = 3
IN_FULL = "Write the name in full."
SECOND = "Somebody else has to agree: ask another colleague who may change policies."


@dataclass(frozen=True, slots=True)
class Entry:
    """One name as the page shows it. ``reason`` is empty for whoever cannot open it."""

    row: Row
    reason: str = field(repr=False)
    mine: bool


class Names:
    """``changed`` is called after each commit."""

    def __init__(
        self,
        appliance: Appliance,
        store: Store,
        changed: Callable[[], None],
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._appliance = appliance
        self._store = store
        self._changed = changed
        self._now = clock

    async def entries(self, actor: Actor, keys: Keys) -> Sequence[Entry]:
        """All names with why, for whoever may watch for names."""
        require(actor, EDIT)
        return [Entry(row, self._reason(keys, row), row["account"] == actor.account) for row in await self._store.all()]

    def _reason(self, keys: Keys, row: Row) -> str:
        try:
            return self._appliance.vaults.open(keys, row["reason"], row["id"]).decode()
        except Refused:
            return ""

    async def ask(self, actor: Actor, name: str, reason: str, until: datetime) -> None:
        """Ask a second adult to agree. Raises ``Refused`` for what cannot be watched for."""
        require(actor, EDIT)
        for words in self.mistakes(name, reason, until).values():
            raise Refused(words)
        row_id = new_id()
        sealed = await self._appliance.vaults.seal(VAULT, row_id, KIND, reason.strip().encode())
        async with self._appliance.records.transaction() as tx:
            await self._store.ask(tx, row_id, " ".join(name.split()), sealed, actor.name, actor.account, stamp(until))
            await self._record(tx, actor.name, "asked to watch for a name", row_id, until=stamp(until))
            await self._appliance.notices.tell(
                tx,
                words=f"{actor.name} asks for a second adult: a name is to be watched for.",
                kind="policies",
                link=_link(row_id),
                roles=(Role.LEAD, Role.DEPUTY),
                without=(actor.account,),
            )

    async def decide(self, actor: Actor, keys: Keys, row_id: str, *, agree: bool) -> None:
        """A second adult's word. Raises ``Refused`` for whoever asked, and for whoever cannot read why."""
        require(actor, EDIT)
        async with self._appliance.records.transaction() as tx:
            row = await self._store.open_one(tx, row_id)
            if row["account"] == actor.account or not actor.account or self._is_same_person(actor, row["account"]):
                raise Refused("You have asked for this yourself.", SECOND)
            if agree and not self._reason(keys, row):
                raise Refused("You cannot read why, so you cannot agree.", "Ask somebody who can open captures.")
            await self._store.decide(tx, row_id, "watched" if agree else "refused", actor.name)
            await self._appliance.notices.settle(tx, _link(row_id))
            words = "agreed to watch for a name" if agree else "did not agree to watch for a name"
            await self._record(tx, actor.name, words, row_id, asked_by=row["author"])
            await self._in_force(tx)

    def _is_same_person(self, actor: Actor, account: str) -> bool:
        """Whether both accounts belong to one person of the directory."""
        other = next((one for one in self._appliance.staff.all() if one.id == account), None)
        return other is not None and actor.person is not None and other.person == actor.person

    async def end(self, actor: Actor, row_id: str) -> None:
        """Stop watching, or take back what was asked: one adult is enough for that."""
        require(actor, EDIT)
        async with self._appliance.records.transaction() as tx:
            await self._store.end(tx, row_id, actor.name)
            await self._appliance.notices.settle(tx, _link(row_id))
            await self._record(tx, actor.name, "stopped watching for a name", row_id)
            await self._in_force(tx)

    async def end_what_is_over(self) -> None:
        """A job: what came to its end is over by itself, and the record says so."""
        async with self._appliance.records.transaction() as tx:
            over = await self._store.over(tx)
            for row_id in over:
                await self._store.end(tx, row_id, "the appliance")
                await self._appliance.notices.settle(tx, _link(row_id))
                await self._record(
                    tx, "the appliance", "stopped watching for a name", row_id, because="its time is over"
                )
            if over:
                await self._in_force(tx)

    def mistakes(self, name: str, reason: str, until: datetime | None) -> dict[str, str]:
        """What is wrong with a wish, by field, in words. ``until`` is ``None`` where no sound day was given: whoever
        asked says that.
        """
        found = {}
        if sum(map(len, folded(name))) < FEWEST_LETTERS or len(name) > LONGEST_NAME:
            found["name"] = f"A name needs {FEWEST_LETTERS} to {LONGEST_NAME} letters. {IN_FULL}"
        elif says_who(name):
            found["name"] = f"This only says who somebody is: everybody who writes it would be found. {IN_FULL}"
        if not reason.strip() or len(reason) > MOST_REASON:
            found["reason"] = "Say why: the second adult decides by that."
        at = self._now()
        if until is not None and not at < until <= at + LONGEST:
            found["last_day"] = f"It has to end within a term: {LONGEST.days} days at most. Choose an earlier last day."
        return found

    async def _record(self, tx: Transaction, actor: str, action: str, row_id: str, **detail: str) -> None:
        await self._appliance.audit.record(tx, actor, action, f"name {row_id}", detail)

    async def _in_force(self, tx: Transaction) -> None:
        await self._store.take_after_commit(tx)
        tx.after_commit.append(self._changed)


def _link(row_id: str) -> str:
    """Where the page shows it: an address of its own, so that its notice goes when it is decided."""
    return f"/keyword/names#name-{row_id}"
