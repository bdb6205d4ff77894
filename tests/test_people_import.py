"""Matching a file with the directory loses nobody, takes no two people for one, and asks where it is unsure."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.people.csv_files import Entry, Reading, Unreadable
from appliance.people.matching import LEAVE_OUT, NEW, SAME, Known, Plan, Present, make_plan
from appliance.people.names import fold, sort_name


def entry(line: int, name: str, **fields: object) -> Entry:
    blank = Entry((line,), name, sort_name(name), "", "", "", (), "", "")
    return replace(blank, **fields)  # type: ignore[arg-type]


def known(person: str, name: str, reference: str = "", form: str = "", *, left: bool = False) -> Known:
    return Known(person, name, reference, "", left, (form,) if form else ())


def plan(
    entries: list[Entry],
    people: list[Known],
    answers: dict[int, str] | None = None,
    for_all: str = "",
    unreadable: tuple[Unreadable, ...] = (),
    present: Present | None = None,
) -> Plan:
    groups = {("form", form.casefold()): form for person in reversed(people) for form in person.form}
    here = replace(present or Present((), groups), people=tuple(people))
    return make_plan(Reading(tuple(entries), unreadable), here, answers or {}, for_all)


def outcome(found: Plan) -> dict[str, list[str]]:
    """What becomes of whom, in a form that is easy to compare."""
    named = {
        "new": [arrival.entry.name for arrival in found.new],
        "changed": [match.known.id for match in found.changed],
        "back": [match.known.id for match in found.back],
        "leaving": [person.id for person in found.leaving],
        "asked": [question.entry.line for question in found.questions],
        "same": found.same or [],
    }
    return {key: value for key, value in named.items() if value}  # type: ignore[misc]


ADA = known("p1", "Ada Lovelace", "A1", "7A")


@pytest.mark.parametrize(
    ("entries", "people", "expected"),
    [
        pytest.param([entry(2, "Ada")], [], {"new": ["Ada"]}, id="new"),
        pytest.param([], [ADA], {"leaving": ["p1"]}, id="leaving"),
        pytest.param([entry(2, "Ada Lovelace", reference="a1")], [ADA], {"same": 1}, id="by reference"),
        pytest.param([entry(2, "Ada Byron", reference="A1")], [ADA], {"changed": ["p1"]}, id="another surname"),
        pytest.param([entry(2, "Ben Miller", reference="A1")], [ADA], {"asked": [2]}, id="another person's reference"),
        pytest.param([entry(2, "Ada Lovelace", form="7a")], [ADA], {"same": 1}, id="by name and form"),
        pytest.param([entry(2, "Ada Lovelace", form="8A")], [ADA], {"asked": [2]}, id="another form"),
        pytest.param([entry(2, "Ada Lovelace")], [ADA], {"asked": [2]}, id="no form in the file"),
        pytest.param([entry(2, "Ada Lovelace")], [known("p1", "Ada Lovelace")], {"same": 1}, id="no form at all"),
        pytest.param([entry(2, "Àda Lovelace", form="7A")], [ADA], {"asked": [2]}, id="another spelling"),
        pytest.param(
            [entry(2, "Ada Lovelace", reference="B2", form="7A")], [ADA], {"asked": [2]}, id="another reference"
        ),
        pytest.param(
            [entry(2, "Ada Lovelace", reference="A1"), entry(3, "Ada Lovelace", reference="B2", form="7A")],
            [ADA],
            {"new": ["Ada Lovelace"], "same": 1},
            id="both references are in the file: two people",
        ),
        pytest.param(
            [entry(2, "Ada Lovelace", reference="B2", form="7A")],
            [known("p1", "Ada Lovelace", "", "7A")],
            {"changed": ["p1"]},
            id="gets a reference",
        ),
        pytest.param(
            [entry(2, "Ada Lovelace", form="7A")],
            [ADA, known("p2", "Ada Lovelace", "", "7A")],
            {"asked": [2]},
            id="two of this name and form",
        ),
        pytest.param(
            [entry(2, "Ada Lovelace", form="7A"), entry(3, "Ada Lovelace", form="8B")],
            [ADA, known("p2", "Ada Lovelace", "", "8B")],
            {"same": 2},
            id="two of this name in two forms",
        ),
        pytest.param(
            [entry(2, "Ada Lovelace", form="7A"), entry(3, "Ada Lovelace", form="7A")],
            [],
            {"asked": [2, 3]},
            id="twice in the file",
        ),
        pytest.param(
            [entry(2, "Ada Lovelace", form="7A"), entry(3, "Ada Lovelace")],
            [ADA],
            {"asked": [2, 3]},
            id="perhaps twice in the file",
        ),
        pytest.param(
            [entry(2, "Ada Lovelace", reference="A1", form="7A"), entry(3, "Ada Lovelace", form="7A")],
            [ADA],
            {"same": 1, "asked": [3]},
            id="once with and once without a reference",
        ),
        pytest.param(
            [entry(2, "Ada Lovelace", form="7A"), entry(3, "Ada Lovelace", form="7B")],
            [],
            {"new": ["Ada Lovelace", "Ada Lovelace"]},
            id="two forms: two people",
        ),
        pytest.param(
            [entry(2, "Ada Lovelace", reference="A1")], [replace(ADA, left=True)], {"back": ["p1"]}, id="back"
        ),
        pytest.param(
            [entry(2, "Ada Lovelace", form="7A")], [replace(ADA, left=True)], {"asked": [2]}, id="perhaps back"
        ),
        pytest.param([], [replace(ADA, left=True)], {}, id="left already"),
        pytest.param(
            [entry(2, "Ada Lovelace", form="7A")],
            [Known("p1", "Ada Lovelace", "", "", False, ("7A", "7B"))],
            {"changed": ["p1"]},
            id="in two forms",
        ),
    ],
)
def test_who_is_who(entries: list[Entry], people: list[Known], expected: dict[str, object]) -> None:
    assert outcome(plan(entries, people)) == expected


@pytest.mark.parametrize(
    ("answers", "for_all", "expected"),
    [
        ({}, "", {"asked": [2]}),
        ({2: NEW}, "", {"new": ["Ada Lovelace"], "leaving": ["p1"]}),
        ({2: "p1"}, "", {"changed": ["p1"]}),
        ({2: "p9"}, "", {"asked": [2]}),
        ({2: LEAVE_OUT}, SAME, {"asked": [2]}),
        ({}, SAME, {"changed": ["p1"]}),
        ({}, NEW, {"new": ["Ada Lovelace"], "leaving": ["p1"]}),
    ],
)
def test_a_person_decides_what_is_unsure(answers: dict[int, str], for_all: str, expected: dict[str, object]) -> None:
    assert outcome(plan([entry(2, "Ada Lovelace", form="8A")], [ADA], answers, for_all)) == expected


def test_a_reference_of_somebody_else_never_makes_somebody_new() -> None:
    rows = [entry(2, "Ben Miller", reference="A1")]
    assert outcome(plan(rows, [ADA], {2: NEW})) == {"asked": [2]}
    assert outcome(plan(rows, [ADA], {2: "p1"})) == {"changed": ["p1"]}


def test_two_rows_are_never_taken_for_one_person() -> None:
    rows = [entry(2, "Ada Lovelace", form="8A"), entry(3, "Ada Lovelace", form="8B")]
    found = plan(rows, [ADA], {2: "p1", 3: "p1"})
    assert outcome(found) == {"asked": [2, 3]}
    assert "More than one row" in found.questions[0].why
    assert outcome(plan(rows, [ADA], {}, SAME)) == {"asked": [2, 3]}


def test_what_changes_is_named_field_by_field_and_empty_cells_change_nothing() -> None:
    before = Known("p1", "Ada Lovelace", "A1", "a@old.uk", False, ("7A",), ("Year 7",), ("7A/Ma1", "7A/En2"))
    row = entry(2, "Ada Byron", reference="A1", form="8A", classes=("8A/Ma1",), email="a@new.uk", username="abyron")
    (match,) = plan([row], [before]).changed
    assert {(change.field, change.before, change.after) for change in match.changes} == {
        ("name", ("Ada Lovelace",), ("Ada Byron",)),
        ("email", ("a@old.uk",), ("a@new.uk",)),
        ("form", ("7A",), ("8A",)),
        ("classes", ("7A/En2", "7A/Ma1"), ("8A/Ma1",)),
        ("accounts", (), ("abyron", "a@new.uk")),
    }


def test_groups_are_spelled_as_in_the_directory() -> None:
    here = Present((), {("form", "7a"): "7A", ("class", "7a/ma1"): "7A/Ma1"})
    rows = [entry(2, "Ada", form="7a", classes=("7a/MA1",)), entry(3, "Ben", form="9x"), entry(4, "Cy", form="9X")]
    found = [arrival.entry for arrival in plan(rows, [], present=here).new]
    assert [(row.form, row.classes) for row in found] == [("7A", ("7A/Ma1",)), ("9x", ()), ("9x", ())]


def test_a_sign_in_name_is_never_taken_from_somebody_or_given_twice() -> None:
    here = Present((), {}, {("system", "ada"): "p9", ("system", "own"): "p1"})
    rows = [
        entry(2, "Ada Lovelace", reference="A1", username="OWN"),
        entry(3, "Ben", username="ada"),
        entry(4, "Cy", username="both"),
        entry(5, "Di", username="Both"),
        entry(6, "Ed", username="ed", email="Ed@a.uk"),
    ]
    found = plan(rows, [ADA], present=here)
    assert found.same == 1
    assert [arrival.accounts for arrival in found.new] == [(), (), (), (("system", "ed"), ("browser", "ed@a.uk"))]
    assert [(note.line, "somebody else" in note.words) for note in found.notes] == [(3, True), (4, False), (5, False)]


@pytest.mark.parametrize("text", ["A1 ? ?", "x ada, LOVELACE 7A"])
def test_whoever_a_row_that_cannot_be_read_may_mean_does_not_leave(text: str) -> None:
    found = plan([], [ADA, known("p2", "Ben Miller", "B2")], unreadable=(Unreadable(2, "It has no name.", text),))
    assert [person.id for person in found.leaving] == ["p2"]


def test_many_would_leave() -> None:
    people = [known(f"p{number}", f"Pupil {number}", f"A{number}") for number in range(10)]
    rows = [entry(number, f"Pupil {number}", reference=f"A{number}") for number in range(10)]
    assert not plan(rows[:8], people).many_leave
    assert plan(rows[:7], people).many_leave
    assert plan(rows[:8], people).digest != plan(rows[:7], people).digest
    assert plan(rows[:8], people).digest == plan(rows[:8], people).digest


# Whatever the file and the directory are

names = st.sampled_from(["Ada Lovelace", "ada lovelace", "Àda Lovelace", "Ben Miller", "Ben", "=1+1", "李"])
references = st.sampled_from(["", "", "A1", "a1", "B2", "C3"])
forms = st.sampled_from(["", "7A", "8B"])


@st.composite
def directories(draw: st.DrawFn) -> list[Known]:
    found = []
    for number in range(draw(st.integers(0, 6))):
        reference = draw(references)
        if reference.casefold() in {person.reference.casefold() for person in found if person.reference}:
            reference = ""
        found.append(known(f"p{number}", draw(names), reference, draw(forms), left=draw(st.booleans())))
    return found


@st.composite
def files(draw: st.DrawFn) -> list[Entry]:
    found: list[Entry] = []
    for number in range(draw(st.integers(0, 6))):
        reference = draw(references)
        if reference.casefold() in {row.reference.casefold() for row in found if row.reference}:
            reference = ""
        found.append(entry(number + 2, draw(names), reference=reference, form=draw(forms)))
    return found


answers = st.dictionaries(st.integers(2, 8), st.sampled_from([NEW, LEAVE_OUT, "p0", "p1", "p2", "p3"]), max_size=6)


@settings(max_examples=300)
@given(files(), directories(), answers, st.sampled_from(["", SAME, NEW]))
def test_nobody_is_lost_and_no_two_are_taken_for_one(
    rows: list[Entry], people: list[Known], chosen: dict[int, str], for_all: str
) -> None:
    found = plan(rows, people, chosen, for_all)
    matched = [match.known.id for match in (*found.changed, *found.back)]
    lines = [arrival.entry.line for arrival in found.new]
    lines += [match.entry.line for match in (*found.changed, *found.back)]
    lines += [question.entry.line for question in found.questions]
    assert len(lines) + found.same == len(rows), "every row is accounted for"
    assert len(set(lines)) == len(lines), "once"
    assert len(set(matched)) == len(matched), "nobody is matched twice"
    leaving = {person.id for person in found.leaving}
    asked = {person.id for question in found.questions for person in question.candidates}
    assert not leaving & (set(matched) | asked), "whoever is matched or asked about does not leave"
    here = {person.id for person in people if not person.left}
    assert len(here - leaving - set(matched) - asked) <= found.same, "whoever stays has a row"
    for match in (*found.changed, *found.back):
        one, other = match.entry.reference.casefold(), match.known.reference.casefold()
        decided = chosen.get(match.entry.line) == match.known.id or for_all == SAME
        assert decided or not one or not other or one == other, "two references are two people"
        assert decided or one == other != "" or fold(match.entry.name) == fold(match.known.name)


@settings(max_examples=100)
@given(files(), directories())
def test_what_is_sure_does_not_depend_on_the_order_of_rows(rows: list[Entry], people: list[Known]) -> None:
    one, other = plan(rows, people), plan(rows[::-1], people[::-1])
    assert {match.known.id: match.entry.line for match in (*one.changed, *one.back)} == {
        match.known.id: match.entry.line for match in (*other.changed, *other.back)
    }
    assert {question.entry.line for question in one.questions} == {row.entry.line for row in other.questions}
    assert {person.id for person in one.leaving} == {person.id for person in other.leaving}
