"""What the answering processes noted, as records for the main process.

Equal queries between two times of handing over are one row. Many rows are one record::

    {"kind": "queries", "t": UTC stamp, "notes": [...],
     "rows": [client, question, number of the note, how often, client, question, ...]}

because a record for each query would take longer to write than the query to answer. A question is its octets (name,
type, class) as Latin-1 text. ``expanded``, in the main process, makes one record for each row of it again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from appliance.worker_api import stamp

from ..answerer.log import Counts, Note
from ..answerer.notes import FIELDS
from ..answerer.wire import to_text, type_text

MOST_AT_ONCE: Final = 40_000
"""Different rows between two times of handing over; a flood of invented names must not fill the memory."""

ROWS: Final = 250
QUERIES: Final = "queries"

Report = Callable[[Mapping[str, Any], int], None]


class Records:
    """Counts equal ones. ``dropped`` are queries that were answered and are in no record."""

    def __init__(self) -> None:
        self._counted: list[tuple[list[Note], Counts]] = []
        """By the list of notes that their numbers mean: each answering process has its own."""
        self._rows = 0
        self.dropped = 0

    def add(self, notes: list[Note], counts: Counts, dropped: int) -> None:
        """Count what a frame of the log says (``answerer.log``)."""
        self.dropped += dropped
        counted = self._of(notes)
        before = len(counted)
        if self._rows + len(counts) > MOST_AT_ONCE:
            self.dropped += sum(counts.values())
            return
        get = counted.get
        for key, times in counts.items():
            counted[key] = get(key, 0) + times
        self._rows += len(counted) - before

    def _of(self, notes: list[Note]) -> Counts:
        for known, counted in self._counted:
            if known is notes:
                return counted
        self._counted.append((notes, {}))
        return self._counted[-1][1]

    def hand_over(self, report: Report) -> None:
        """Report everything that was counted since the last time."""
        everything, self._counted, self._rows = self._counted, [], 0
        moment = stamp()
        for notes, counted in everything:
            waiting = iter(counted.items())
            while some := list(islice(waiting, ROWS)):
                report(_record(moment, notes, some), len(some))


def _record(moment: str, notes: list[Note], counted: Iterable[tuple[tuple[str, bytes, int], int]]) -> dict[str, Any]:
    numbers: dict[int, int] = {}
    rows: list[Any] = []
    for (client, question, note), times in counted:
        rows += (client, question.decode("latin-1"), numbers.setdefault(note, len(numbers)), times)
    return {"kind": QUERIES, "t": moment, "notes": [notes[number] for number in numbers], "rows": rows}


def expanded(records: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Records of queries as one record each: ``t``, ``client``, ``name``, ``type``, ``count`` and those of the note."""
    for record in records:
        if record.get("kind") != QUERIES:
            yield record
            continue
        notes = [dict(zip(FIELDS, note, strict=True)) for note in record["notes"]]
        rows = iter(record["rows"])
        for client, text, number, times in zip(rows, rows, rows, rows, strict=True):
            question = text.encode("latin-1")
            name, kind = to_text(question[:-4]), type_text(question[-4] << 8 | question[-3])
            shared = {"t": record["t"], "client": client, "name": name, "type": kind, "count": times}
            noted = notes[number]
            yield {**shared, **noted, "rule": rule_of(name, noted["rule"])}


def rule_of(name: str, rule: str | int) -> str:
    """The rule of a note as text: a number means that the name without so many labels is the domain that decided."""
    return rule if isinstance(rule, str) else name.split(".", rule)[-1]
