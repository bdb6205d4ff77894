"""Files of people are read whatever they are saved as, and a row that cannot be read costs no other row."""

from __future__ import annotations

import csv
from io import StringIO

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance.errors import Refused
from appliance.people.csv_files import (
    LONGEST_CELL,
    MOST_COLUMNS,
    MOST_ROWS,
    Entry,
    column_faults,
    guess_columns,
    read_rows,
    read_table,
)
from appliance.people.names import exact, fold, natural, sort_name, tidy, year_name

EVERY_FIELD = ("reference", "forename", "surname", "form", "year", "classes", "email", "username")
PUPILS = "UPN,Forename,Legal Surname,Reg Group,Year Group,Class,Email,Username\n"


def entries(text: str, kind: str = "pupil") -> tuple[Entry, ...]:
    table = read_table(text.encode())
    return read_rows(table, guess_columns(table.headings, kind)).entries


def whys(text: str) -> dict[int, str]:
    table = read_table(text.encode())
    return {row.number: row.why for row in read_rows(table, guess_columns(table.headings, "pupil")).unreadable}


# What a file is saved as


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize(("codec", "words"), [("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"), ("cp1252", "Windows-1252")])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_a_file_is_read_whatever_it_is_saved_as(separator: str, codec: str, words: str, line_end: str) -> None:
    rows = [["UPN", "Name"], ["A1", "Zoë O’Hara"], ["A2", "Ben"]]
    table = read_table((line_end.join(separator.join(row) for row in rows) + line_end).encode(codec))
    assert table.headings == ("UPN", "Name")
    assert [line.cells for line in table.lines] == [("A1", "Zoë O’Hara"), ("A2", "Ben")]
    assert table.encoding == words


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \r\n", "empty"),
        (b"UPN,Name\n", "no rows"),
        (b"PK\x03\x04rest", "spreadsheet"),
        ("UPN,Name\nA1,Zoë".encode("utf-16"), "UTF-16"),
        (b"a\0b,c\n1,2\n", "no CSV"),
        (b"UPN,Name\nA1,Ada\nA2,\x81\n", "Line 3"),
        (b'"UPN,Name\nA1,Ada\n', "headings"),
        (",".join(map(str, range(MOST_COLUMNS + 1))).encode() + b"\n1,2\n", f"more than {MOST_COLUMNS} columns"),
        (b"Name\n" + b"Ada\n" * (MOST_ROWS + 1), "more than 10,000 rows"),
    ],
)
def test_what_is_no_such_file_is_refused_in_words(content: bytes, words: str) -> None:
    with pytest.raises(Refused, match=words):
        read_table(content)


def test_a_row_that_cannot_be_read_is_listed_and_costs_no_other() -> None:
    text = (
        PUPILS
        + 'A1,"Ada,Lovelace,7A,7,,,\n'  # a mark that is never closed
        + "A2,Ben,Miller,7A,7,,,\n"
        + ",,,,,,,\n"  # nothing at all
        + "A3,Cy,Young,7A,7,,,,more\n"
        + "A4,,,7A,7,,,\n"
        + f"A5,{'x' * (LONGEST_CELL + 1)},Young,7A,7,,,\n"
        + f"A6,{'x' * 201},Young,7A,7,,,\n"
        + f"{'x' * 65},Di,Young,7A,7,,,\n"
        + "A8,Ed,Young\n"
    )
    found = whys(text)
    assert found.keys() == {2, 5, 6, 7, 8, 9}
    for line, words in {2: "quotation mark", 5: "more cells", 6: "no name", 7: "longer than 4,000"}.items():
        assert words in found[line]
    assert found[8] == "First name is longer than 200 characters."
    assert found[9] == "Reference is longer than 64 characters."
    assert [(entry.name, entry.line) for entry in entries(text)] == [("Ben Miller", 3), ("Ed Young", 10)]


def test_a_cell_may_hold_line_breaks_marks_and_separators() -> None:
    text = 'UPN,Name,Address\nA1,Ada,"1, The ""Lane""\nLondon"\nA2,Ben 5" Miller,x\n'
    assert [entry.name for entry in entries(text)] == ["Ada", 'Ben 5" Miller']
    assert read_table(text.encode()).lines[1].number == 4


def test_a_mark_that_is_never_closed_swallows_nothing_below() -> None:
    text = 'UPN,Name\nA1,"Ada\nA2,Ben"\nA3,Cy\n'
    assert "several lines" in whys(text)[2]
    assert [entry.name for entry in entries(text)] == ["Cy"]
    assert whys('UPN,Name\nA1,"Ada\nA2,"Ben"\nA3,Cy\n').keys() == {2}


cells = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)


@given(
    st.lists(st.tuples(cells, cells), min_size=1, max_size=12), st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"])
)
def test_every_row_is_read_or_listed(rows: list[tuple[str, str]], separator: str, line_end: str) -> None:
    written = StringIO()
    writer = csv.writer(written, delimiter=separator, lineterminator=line_end, quoting=csv.QUOTE_ALL)
    writer.writerows([("UPN", "Name"), *rows])
    table = read_table(written.getvalue().encode("utf-8"))
    assert not table.unreadable
    filled = [row for row in rows if any(cell.strip(f' "{separator}') for cell in row)]
    found = [line.cells for line in table.lines]
    assert [row for row in filled if row not in found] == []


@example(b";")
@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_refused(content: bytes) -> None:
    try:
        table = read_table(content)
    except Refused:
        return
    assert all(len(line.cells) == len(table.headings) for line in table.lines)


@given(st.lists(st.text('a,"\n ', max_size=8), min_size=1, max_size=8))
def test_no_line_with_text_goes_unheard_of(lines: list[str]) -> None:
    """However marks are strewn, each line that holds a letter stands in a row or in the list of what is wrong."""
    text = "h1,h2\n" + "\n".join(lines)
    try:
        table = read_table(text.encode())
    except Refused:
        assert "a" not in text
        return
    rows = [(line.number, "\n".join(line.cells)) for line in table.lines]
    rows += [(row.number, row.text) for row in table.unreadable]
    assert sum(row.count("a") for _, row in rows) == text.count("a")


# Columns


@pytest.mark.parametrize(
    ("headings", "kind", "columns"),
    [
        (
            ["UPN", "Forename", "Legal Surname", "Reg Group", "Year Group", "Class", "Email", "Username"],
            "pupil",
            {
                "reference": 0,
                "forename": 1,
                "surname": 2,
                "form": 3,
                "year": 4,
                "classes": 5,
                "email": 6,
                "username": 7,
            },
        ),
        (
            ["Adno", "Preferred Surname", "Preferred Forename", "Reg", "NC Year"],
            "pupil",
            {"reference": 0, "surname": 1, "forename": 2, "form": 3, "year": 4},
        ),
        (["Admission No", "UPN", "Full name"], "pupil", {"reference": 1, "name": 2}),
        (["Legal Forename", "Forename", "Surname", "Name"], "pupil", {"forename": 1, "surname": 2}),
        (["Staff code", "Display Name", "Work e-mail", "Reg Group"], "staff", {"reference": 0, "name": 1, "email": 2}),
        (["Foo", "Bar"], "pupil", {}),
    ],
)
def test_columns_are_guessed_by_their_headings(headings: list[str], kind: str, columns: dict[str, int]) -> None:
    assert guess_columns(headings, kind) == columns


@pytest.mark.parametrize(
    ("columns", "kind", "fields"),
    [
        ({"name": 0}, "pupil", set()),
        ({"forename": 0, "surname": 1}, "pupil", set()),
        ({"forename": 0}, "pupil", {"surname"}),
        ({"reference": 0}, "pupil", {"surname"}),
        ({"name": 0, "surname": 1}, "pupil", {"name"}),
        ({"name": 0, "email": 0}, "pupil", {"name", "email"}),
        ({"name": 9}, "pupil", {"form"}),
        ({"name": 0, "form": 1}, "staff", {"form"}),
    ],
)
def test_a_choice_of_columns_is_checked(columns: dict[str, int], kind: str, fields: set[str]) -> None:
    assert column_faults(columns, ["a", "b", "c"], kind).keys() == fields


# Rows


def test_a_row_becomes_a_person_and_empty_cells_say_nothing() -> None:
    ada, ben = entries(PUPILS + " a1 ,Ada , Lovelace,7A,7,7A/Ma1; 7A/En2;7a/ma1,ada@a.sch.uk,ALovelace\nA2,Ben,,,,,,\n")
    assert (ada.reference, ada.name, ada.sort_name) == ("a1", "Ada Lovelace", "lovelace ada")
    assert (ada.form, ada.year, ada.classes) == ("7A", "Year 7", ("7a/ma1", "7A/En2"))
    assert (ben.name, ben.form, ben.year, ben.classes, ben.email) == ("Ben", "", "", (), "")


def test_a_full_name_may_stand_either_way_round() -> None:
    found = entries('Name\nAda Lovelace\n"van der Berg, Mary Ann"\n')
    assert [entry.name for entry in found] == ["Ada Lovelace", "Mary Ann van der Berg"]
    assert [entry.sort_name for entry in found] == ["lovelace ada", "van der berg mary ann"]


def test_formulas_and_odd_signs_are_data() -> None:
    odd = [
        "=HYPERLINK(1)",
        "+44",
        "-1",
        "@SUM",
        "<script>alert(1)</script>",
        "Łukasz",
        "李小龙",
        "\u202eevil",
        "O'Neil",
    ]
    assert [entry.name for entry in entries("Name\n" + "\n".join(odd))] == odd


def test_one_row_for_each_class_is_one_person() -> None:
    (ada,) = entries(PUPILS + "A1,Ada,Lovelace,7A,7,7A/Ma1,,\na1,Ada,Lovelace,,,7A/En2,,ada\n")
    assert (ada.lines, ada.form, ada.classes, ada.username) == ((2, 3), "7A", ("7A/Ma1", "7A/En2"), "ada")


@pytest.mark.parametrize(
    ("second", "unreadable", "people"),
    [
        ("A1,Ben,Miller,7A,7,,,", {2, 3}, 0),  # one reference, two names: neither is taken
        ("A1,Ada,Lovelace,7B,7,,,", {3}, 1),
        ("A1,Ada,Lovelace,7A,7,,,other", {3}, 1),
    ],
)
def test_rows_that_contradict_one_another_are_not_taken(second: str, unreadable: set[int], people: int) -> None:
    text = f"{PUPILS}A1,Ada,Lovelace,7A,7,,,ada\n{second}\n"
    assert whys(text).keys() == unreadable
    assert len(entries(text)) == people


# Names


@pytest.mark.parametrize(
    ("name", "folded", "sort"),
    [
        ("Ada Lovelace", "ada lovelace", "lovelace ada"),
        ("Zoë O’Hara-Smith", "zoe ohara smith", "ohara smith zoe"),
        ("  Jürgen \t Groß ", "jurgen gross", "gross jurgen"),
        ("???", "???", "???"),
        ("कि", "कि", "कि"),
        ("", "", ""),
    ],
)
def test_names_are_folded_for_searching_and_sorting(name: str, folded: str, sort: str) -> None:
    assert (fold(name), sort_name(name)) == (folded, sort)


@given(st.text())
def test_tidying_is_done_once(name: str) -> None:
    assert tidy(tidy(name)) == tidy(name)
    assert "\n" not in tidy(name)
    assert exact(name.upper()) == exact(exact(name.upper()))
    assert bool(fold(name)) == bool(exact(name))


@pytest.mark.parametrize(
    ("text", "year"),
    [("7", "Year 7"), ("07", "Year 7"), ("y7", "Year 7"), ("Yr 11", "Year 11"), ("Year 7", "Year 7"),
     ("Reception", "Reception"), ("N1", "N1"), ("", ""), ("0", "Year 0"), ("7A", "7A"), ("123", "123")],
)  # fmt: skip
def test_years_are_called_alike(text: str, year: str) -> None:
    assert year_name(text) == year


def test_numbers_sort_as_numbers() -> None:
    names = ["Year 10", "Year 9", "10B", "9A", "10A"]
    assert sorted(names, key=natural) == ["Year 9", "Year 10", "9A", "10A", "10B"]
