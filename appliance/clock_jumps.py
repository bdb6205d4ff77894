"""Whether the clock can be believed when it says that something is old enough to be deleted.

A clock that jumps forward makes everything old at once. So what it says is compared with what it said when
somebody asked last, which happens every hour. If more than a day was skipped, the clock was set or the box
was off, and which of the two cannot be known: nothing is deleted until as much time as was skipped has passed, two
months at most. That is long enough for somebody to see that the date is wrong; a box that was off for the holidays only
deletes so much later. A clock that is set back takes nothing for old that it did not take for old before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from appliance.clock import now, parse, stamp
from appliance.db import Database

SKIPPED_LEAST = timedelta(days=1)
HELD_LONGEST = timedelta(days=60)


class ClockJumps:
    """``held_until`` is asked each time before something is deleted; ``guarded`` asks for a job that only deletes."""

    def __init__(self, records: Database) -> None:
        self._records = records

    async def held_until(self, moment: datetime) -> datetime | None:
        """Take note of what the clock says now. Until when nothing may be deleted; ``None``: the clock is believed."""
        async with self._records.transaction() as tx:
            row = await tx.fetch_one("SELECT seen_at, held_until FROM capture_clock")
            seen_at = parse(row["seen_at"]) if row is not None else moment
            held = _still_held(row["held_until"] if row is not None else None, moment)
            skipped = moment - seen_at
            if skipped > SKIPPED_LEAST:
                anew = moment + min(skipped, HELD_LONGEST)
                held = anew if held is None else max(held, anew)
            await tx.execute(
                "INSERT INTO capture_clock VALUES (1, ?, ?)"
                " ON CONFLICT DO UPDATE SET seen_at = excluded.seen_at, held_until = excluded.held_until",
                (stamp(moment), stamp(held) if held is not None else None),
            )
        return held

    def guarded(
        self, forget: Callable[[], Awaitable[None]], clock: Callable[[], datetime] = now
    ) -> Callable[[], Awaitable[None]]:
        """A job that deletes what is old, and does nothing while the clock is not believed."""

        async def forget_if_believed() -> None:
            if await self.held_until(clock()) is None:
                await forget()

        return forget_if_believed

    async def held(self, moment: datetime) -> datetime | None:
        """The same without taking note."""
        row = await self._records.fetch_one("SELECT held_until FROM capture_clock")
        return _still_held(row["held_until"], moment) if row is not None else None


def _still_held(until: str | None, moment: datetime) -> datetime | None:
    """An end that lies further off than the longest one was written while the clock was ahead."""
    if until is None or not moment < parse(until) <= moment + HELD_LONGEST:
        return None
    return parse(until)
