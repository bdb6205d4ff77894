"""What the answering processes noted, as records for the main process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from appliance.worker_api import stamp

from ..answerer.notes import fields

MOST_AT_ONCE: Final = 10_000
"""Different records between two times of handing over; a flood of invented names must not fill the memory."""

Report = Callable[[Mapping[str, Any]], None]
Key = tuple[str, bytes, Sequence[Any]]


class Records:
    """Counts equal ones. ``dropped`` are queries that were answered and are in no record."""

    def __init__(self) -> None:
        self._counted: dict[Key, int] = {}
        self.dropped = 0

    def add(self, client: str, question: bytes, note: Sequence[Any], times: int) -> None:
        """Count a query ``times`` times. An empty note: so many were lost on the way."""
        if not note:
            self.dropped += times
            return
        key = (client, question, note)
        before = self._counted.get(key)
        if before is None and len(self._counted) >= MOST_AT_ONCE:
            self.dropped += times
            return
        self._counted[key] = (before or 0) + times

    def hand_over(self, report: Report) -> None:
        """Report everything that was counted since the last time."""
        counted, self._counted = self._counted, {}
        moment = stamp()
        for (client, question, note), times in counted.items():
            report(record_of(moment, client, question, note, times))


def record_of(moment: str, client: str, question: bytes, note: Any, times: int) -> dict[str, Any]:
    """One record. ``question`` is as it was on the wire: name, type, class."""
    return {"t": moment, "client": client, **fields(question, note), "count": times}
