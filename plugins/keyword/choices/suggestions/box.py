"""The box for suggestions: what a pupil writes is sealed before it touches the disk, and nobody learns who it was.

Addresses are counted in memory alone, to keep the box from being flooded, and forgotten after an hour.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from appliance.api import Actor, Appliance, Keys, Permission, Refused, Row, Transaction, now, random_id

from ..decisions import EDIT, require
from .store import Store

VAULT, KIND = "captures", "suggested word"
LONGEST_WORD = 80
LONGEST_MEANING = 400
OF_ONE_ADDRESS = 30
"""In an hour. A whole class may sit behind one address."""
OF_ALL = 120
"""In an hour."""
SPAN = timedelta(hours=1)
MOST_ADDRESSES = 4000
FULL = "The box is full right now. Please tell an adult at school about it."


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a pupil wrote; ``opened`` is false for whoever cannot open it."""

    id: str
    day: str
    word: str = field(default="", repr=False)
    meaning: str = field(default="", repr=False)
    opened: bool = False


class Pace:
    """How often each address, and all of them, have written within the last hour. In memory, and bounded."""

    def __init__(self) -> None:
        self._of: dict[str, list[datetime]] = {}

    def allows(self, address: str, at: datetime) -> bool:
        """Whether one more may come; counts it."""
        self._forget(at - SPAN)
        own = self._of.get(address, [])
        if len(own) >= OF_ONE_ADDRESS or sum(map(len, self._of.values())) >= OF_ALL:
            return False
        if not own and len(self._of) >= MOST_ADDRESSES:
            return False
        self._of[address] = [*own, at]
        return True

    def _forget(self, before: datetime) -> None:
        recent = {address: [one for one in times if one > before] for address, times in self._of.items()}
        self._of = {address: times for address, times in recent.items() if times}


class Box:
    """Takes suggestions, and hands them to those who decide."""

    def __init__(self, appliance: Appliance, store: Store, clock: Callable[[], datetime] = now) -> None:
        self._appliance = appliance
        self._store = store
        self._now = clock
        self._pace = Pace()
        self._zone = ZoneInfo(appliance.config.settings.school.timezone)

    async def put(self, address: str, word: str, meaning: str) -> None:
        """Keep what a pupil wrote. Raises ``Refused`` in a child's words."""
        if not word.strip():
            raise Refused("Write the word.")
        if not self._pace.allows(address, self._now()):
            raise Refused("A lot of words have come in the last hour.", "Try again later, or tell an adult at school.")
        content = json.dumps({"word": word.strip()[:LONGEST_WORD], "meaning": meaning.strip()[:LONGEST_MEANING]})
        row_id = random_id()  # an id with the time in it would say who sat there
        try:
            sealed = await self._appliance.vaults.seal(VAULT, row_id, KIND, content.encode())
        except Refused:
            raise Refused("Nobody can read it yet.", "Please tell an adult at school about it.") from None
        async with self._appliance.records.transaction() as tx:
            if not await self._store.add(tx, row_id, self._now().astimezone(self._zone).date(), sealed):
                raise Refused(FULL)

    async def waiting(self, actor: Actor, keys: Keys) -> list[Suggestion]:
        """What waits, opened for whoever can."""
        require(actor, Permission.SEE_CAPTURES)
        return [self._opened(keys, row) for row in await self._store.open_ones()]

    async def one(self, actor: Actor, keys: Keys, row_id: str) -> Suggestion | None:
        """One that waits."""
        require(actor, Permission.SEE_CAPTURES)
        row = await self._store.open_one(row_id)
        return None if row is None else self._opened(keys, row)

    def _opened(self, keys: Keys, row: Row) -> Suggestion:
        try:
            found = json.loads(self._appliance.vaults.open(keys, row["words"], row["id"]))
        except Refused:
            return Suggestion(row["id"], row["day"])
        return Suggestion(row["id"], row["day"], found["word"], found["meaning"], opened=True)

    async def decline(self, actor: Actor, row_id: str) -> None:
        """No; what was written is deleted."""
        require(actor, EDIT)
        async with self._appliance.records.transaction() as tx:
            await self._decide(tx, actor, row_id, "declined", "")

    async def accept_within(self, tx: Transaction, actor: Actor, row_id: str, term: str) -> None:
        """Yes, as a part of the unit of work that makes the term (``policy/term``)."""
        require(actor, EDIT)
        await self._decide(tx, actor, row_id, "accepted", term)

    async def _decide(self, tx: Transaction, actor: Actor, row_id: str, state: str, term: str) -> None:
        await self._store.decide(tx, row_id, state, actor.name, term)
        await self._appliance.audit.record(
            tx, actor.name, f"{state} a word that a pupil suggested", f"suggestion {row_id}", {"term": term}
        )
