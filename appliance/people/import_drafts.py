"""Files of people on their way in: in memory, each for the one who chose it, until applied or an hour has passed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from appliance.access import Actor
from appliance.clock import new_id, now
from appliance.errors import Refused
from appliance.people.csv_files import Reading, Table, column_faults, guess_columns, read_rows, read_table
from appliance.people.names import PERSON_KINDS, tidy

HELD_FOR = timedelta(hours=1)
MOST_DRAFTS = 10
IMPORT_KINDS = ("pupil", "staff")
LONGEST_FILE_NAME = 100


@dataclass
class Draft:
    """One file, what its columns were said to hold, and the answers that were given about its rows."""

    id: str
    account: str
    kind: str
    file_name: str
    table: Table
    columns: dict[str, int]
    until: datetime
    reading: Reading | None = None
    """Its people; ``None`` until the columns were chosen."""
    answers: dict[int, str] = field(default_factory=dict)
    for_all: str = ""


class Drafts:
    """Holds files. Nothing of them reaches the disk before somebody says so."""

    def __init__(self, clock: Callable[[], datetime] = now) -> None:
        self._clock = clock
        self._held: dict[str, Draft] = {}

    async def take(self, actor: Actor, kind: str, file_name: str, content: bytes) -> Draft:
        """Read a file and hold it. Raises ``Refused`` in words if it cannot be read as a table."""
        if kind not in IMPORT_KINDS:
            raise Refused(
                "Say who is in the file.", f"Choose {' or '.join(PERSON_KINDS[one] for one in IMPORT_KINDS)}."
            )
        table = await asyncio.to_thread(read_table, content)
        columns = guess_columns(table.headings, kind)
        name = tidy(file_name)[:LONGEST_FILE_NAME]
        draft = Draft(new_id(), actor.account, kind, name, table, columns, self._clock() + HELD_FOR)
        self.forget_old()
        self._held = {key: held for key, held in self._held.items() if held.account != actor.account}
        while len(self._held) >= MOST_DRAFTS:
            del self._held[next(iter(self._held))]
        self._held[draft.id] = draft
        return draft

    def draft(self, actor: Actor, draft_id: str) -> Draft | None:
        """The file that this person chose, or ``None`` if it is not theirs or no longer held."""
        self.forget_old()
        found = self._held.get(draft_id)
        return found if found is not None and found.account == actor.account else None

    async def choose_columns(self, draft: Draft, columns: Mapping[str, int]) -> dict[str, str]:
        """Say what the columns hold; returns what is wrong, by field, and takes them if nothing is."""
        faults = column_faults(columns, draft.table.headings, draft.kind)
        if not faults:
            draft.reading = await asyncio.to_thread(read_rows, draft.table, columns)
            draft.columns, draft.answers, draft.for_all = dict(columns), {}, ""
        return faults

    def drop(self, draft: Draft) -> None:
        """Forget a file."""
        self._held.pop(draft.id, None)

    def forget_old(self) -> None:
        """Forget every file whose hour has passed."""
        moment = self._clock()
        self._held = {key: draft for key, draft in self._held.items() if draft.until > moment}
