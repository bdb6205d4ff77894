"""What a finding must be like: everything that a stranger's detector can say is bounded, and nothing of it is told."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.finding_rules import MOST_FACTS, MOST_FINDINGS, NoFinding, check_findings
from appliance.observations import Finding, Observation, Severity, Surface, all_printable

SEEN = Observation("1", "2026-11-24T10:00:00Z", Surface.TYPED, "a penguin")
WHOLE = Finding(
    policy="Birds",
    version="1",
    term="penguin",
    phrase="penguin",
    category="birds",
    severity=Severity.MINOR,
    definition="A bird.",
    start=2,
    end=9,
    found="another spelling",
    steps=("Accents were left out.", "p3nguin was read as penguin."),
    tried=("the school's own names",),
    why_severity="It is only a bird.",
    facts=(("Also called", "Pingu"), ("Lives in", "the south")),
    picture=False,
    alert=True,
    clip_seconds=20,
)


def checked(**changed: Any) -> Finding:
    data = json.loads(json.dumps(WHOLE.as_json()))
    (finding,) = check_findings([{**data, **changed}], SEEN, "birds.word")
    return finding


def test_a_whole_finding_comes_through_the_pipe_as_it_was_and_says_whose_it_is() -> None:
    assert checked() == replace(WHOLE, detector="birds.word")
    assert checked(detector="others.word").detector == "birds.word", "no detector speaks for another"


def test_what_an_older_version_has_kept_is_read() -> None:
    new = {"steps", "tried", "why_severity", "facts", "picture", "alert", "clip_seconds", "detector"}
    old = {name: value for name, value in WHOLE.as_json().items() if name not in new}
    finding = Finding.of_json(old)
    assert (finding.steps, finding.tried, finding.facts, finding.why_severity) == ((), (), (), "")
    assert (finding.picture, finding.alert, finding.clip_seconds) == (True, None, 0)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", "letters"),
        ("steps", None),
        ("steps", [7]),
        ("steps", [["nested"]]),
        ("steps", ["x"] * 21),
        ("steps", ["x" * 501]),
        ("tried", {"a": "b"}),
        ("tried", ["x"] * 51),
        ("tried", [None]),
        ("why_severity", "x" * 1001),
        ("why_severity", ["x"]),
        ("facts", "ab"),
        ("facts", ["ab"]),
        ("facts", [["one"]]),
        ("facts", [["one", "two", "three"]]),
        ("facts", [["one", 2]]),
        ("facts", [["x" * 201, "words"]]),
        ("facts", [["title", "x" * 2001]]),
        ("facts", [["title", "words"]] * (MOST_FACTS + 1)),
        ("picture", "no"),
        ("picture", None),
        ("picture", 1),
        ("alert", "yes"),
        ("alert", 0),
        ("clip_seconds", -1),
        ("clip_seconds", 121),
        ("clip_seconds", 1.5),
        ("clip_seconds", True),
        ("clip_seconds", None),
        ("category", ["birds"]),
        ("category", "../birds"),
        ("severity", "awful"),
        ("severity", []),
        ("start", True),
        ("end", 10),
        ("is_test", 1),
        ("definition", "x" * 4001),
        ("unheard_of", 1),
    ],
)
def test_what_is_out_of_bounds_is_no_finding(name: str, value: Any) -> None:
    with pytest.raises(NoFinding, match=r"^returned "):
        checked(**{name: value})


@pytest.mark.parametrize("data", [None, "x", {}, [None], [[]], ["x"], [WHOLE.as_json()] * (MOST_FINDINGS + 1)])
def test_what_is_no_list_of_findings_is_refused(data: Any) -> None:
    with pytest.raises(NoFinding):
        check_findings(data, SEEN, "birds.word")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from([one.name for one in fields(Finding)]), _JSON)
def test_whatever_stands_in_a_field_it_is_a_finding_or_refused(name: str, value: Any) -> None:
    try:
        finding = checked(**{name: value})
    except NoFinding:
        return
    assert Finding.of_json(json.loads(json.dumps(finding.as_json()))) == finding


def test_halves_of_characters_are_replaced_wherever_they_stand() -> None:
    half = replace(WHOLE, steps=("a \ud83d",), facts=(("\udc00", "b"),), why_severity="\ud800")
    shown = all_printable(half)
    assert (shown.steps, shown.facts, shown.why_severity) == (("a \ufffd",), (("\ufffd", "b"),), "\ufffd")
    assert all_printable(WHOLE) is WHOLE


def test_what_may_hold_a_childs_words_is_in_no_log() -> None:
    odd = replace(WHOLE, steps=("quokka",), tried=("quokka",), why_severity="quokka", facts=(("quokka", "quokka"),))
    assert "quokka" not in repr(odd)


@pytest.mark.parametrize(
    ("severity", "alert", "opens"),
    [
        (Severity.SEVERE, None, True),
        (Severity.MODERATE, None, False),
        (Severity.SEVERE, False, False),
        (Severity.MINOR, True, True),
    ],
)
def test_a_finding_opens_an_alert_if_it_says_so_or_is_severe(
    severity: Severity, alert: bool | None, *, opens: bool
) -> None:
    assert replace(WHOLE, severity=severity, alert=alert).opens_alert is opens
