"""What the answering processes noted, on its way to the main process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from appliance_plugins.dns_filter.answerer.log import Counts
from appliance_plugins.dns_filter.answerer.wire import to_text, to_wire
from appliance_plugins.dns_filter.keeper import records as module
from appliance_plugins.dns_filter.keeper.records import ROWS, Records, expanded, rule_of

BLOCKED = ("blocked", "list", "ads", 1, "adverts", "pupil", "", 0.0)
ALLOWED = ("allowed", "", "", "", "", "pupil", "10.0.0.1", 3.1)


def question(name: str) -> bytes:
    return to_wire(name) + b"\0\1\0\1"


def handed_over(records: Records) -> list[Mapping[str, Any]]:
    sent: list[Mapping[str, Any]] = []
    weights: list[int] = []

    def report(record: Mapping[str, Any], weight: int) -> None:
        sent.append(json.loads(json.dumps(record)))
        weights.append(weight)

    records.hand_over(report)
    found = list(expanded(sent))
    assert sum(weights) == len(found)
    return found


def counts(*rows: tuple[str, str, int, int]) -> Counts:
    return {(client, question(name), note): times for client, name, note, times in rows}


def test_a_row_says_everything_of_its_note() -> None:
    records, notes = Records(), [ALLOWED, BLOCKED]
    records.add(notes, counts(("10.0.0.7", "www.ads.example", 1, 2)), 0)
    records.add(notes, counts(("10.0.0.7", "www.ads.example", 1, 3), ("10.0.0.8", "Good.example", 0, 1)), 0)
    first, second = handed_over(records)
    assert {key: first[key] for key in first if key != "t"} == {
        "client": "10.0.0.7", "name": "www.ads.example", "type": "A", "count": 5, "verdict": "blocked", "why": "list",
        "list": "ads", "rule": "ads.example", "category": "adverts", "profile": "pupil", "upstream": "", "ms": 0.0,
    }  # fmt: skip
    assert (second["name"], second["upstream"], second["ms"]) == ("good.example", "10.0.0.1", 3.1)
    assert handed_over(records) == []


def test_each_process_has_notes_of_its_own() -> None:
    records = Records()
    records.add([BLOCKED], counts(("10.0.0.7", "www.ads.example", 0, 1)), 0)
    records.add([ALLOWED], counts(("10.0.0.7", "www.ads.example", 0, 1)), 0)
    assert [record["verdict"] for record in handed_over(records)] == ["blocked", "allowed"]


def test_many_rows_are_several_records() -> None:
    records = Records()
    records.add([ALLOWED], counts(*(("10.0.0.7", f"n{number}.example", 0, 1) for number in range(ROWS * 2 + 1))), 0)
    assert len({record["name"] for record in handed_over(records)}) == ROWS * 2 + 1


def test_what_does_not_fit_is_counted(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "MOST_AT_ONCE", 2)
    records, notes = Records(), [ALLOWED]
    records.add(notes, counts(("10.0.0.7", "a.example", 0, 1), ("10.0.0.7", "b.example", 0, 1)), 0)
    records.add(notes, counts(("10.0.0.7", "c.example", 0, 4)), 7)
    assert records.dropped == 11
    assert [(record["name"], record["count"]) for record in handed_over(records)] == [
        ("a.example", 1),
        ("b.example", 1),
    ]
    records.add(notes, counts(("10.0.0.7", "c.example", 0, 4)), 0)
    assert [record["name"] for record in handed_over(records)] == ["c.example"]


def test_other_records_pass_through() -> None:
    assert list(expanded([{"kind": "health"}])) == [{"kind": "health"}]


def test_a_rule_is_a_part_of_the_name_or_a_text() -> None:
    assert [rule_of("a.b.c", rule) for rule in (0, 1, 2, "entry 7")] == ["a.b.c", "b.c", "c", "entry 7"]


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=8))
def test_no_two_names_look_alike(labels: list[bytes]) -> None:
    wire = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    text = to_text(wire)
    assert text.isascii()
    assert text.isprintable()
    assert text.count(".") == len(labels) - 1
