"""Reading a file of people: text, separators, headings and rows. Pure: bytes in, tables and rows out.

Nothing is lost on the way: a row that cannot be read is listed with its line and why, and every other row is read.
Signs that a spreadsheet would take for a formula, and any Unicode text, are data.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO

from appliance.errors import Refused
from appliance.people.names import (
    LONGEST_ADDRESS,
    LONGEST_GROUP,
    LONGEST_NAME,
    LONGEST_REFERENCE,
    fold,
    sort_name,
    tidy,
    year_name,
)

MOST_ROWS = 10_000
MOST_COLUMNS = 100
LONGEST_CELL = 4000
"""In characters; cells of columns that are not used count as well."""
LINES_IN_A_ROW = 20
"""A cell may hold line breaks. A quotation mark that is not closed after this many lines is a slip."""
MOST_CLASSES = 60
SEPARATORS: Mapping[str, str] = {",": "commas", ";": "semicolons", "\t": "tabs"}
_CLASSES_APART = re.compile(r"[;,|\n]")
_NOT_A_LETTER = re.compile(r"[^a-z0-9]")


@dataclass(frozen=True, slots=True)
class Field:
    """Something that a column can hold. ``headings``: by which it is recognised, the best first."""

    key: str
    title: str
    hint: str
    longest: int
    headings: str
    kinds: tuple[str, ...] = ("pupil", "staff")


FIELDS = (
    Field(
        "reference",
        "Reference",
        "The UPN or the number in the school's information system: it never changes and is never given twice.",
        LONGEST_REFERENCE,
        "upn uniquepupilnumber misid reference pupilid studentid personid externalid admissionnumber admissionno admno"
        " adno staffid staffcode employeeid id",
    ),
    Field(
        "forename",
        "First name",
        "",
        LONGEST_NAME,
        "forename firstname preferredforename preferredfirstname chosenforename chosenname preferredname legalforename"
        " legalfirstname givenname",
    ),
    Field(
        "surname",
        "Surname",
        "",
        LONGEST_NAME,
        "surname lastname preferredsurname preferredlastname legalsurname legallastname familyname",
    ),
    Field(
        "name",
        "Full name",
        "Only if there are no columns for first name and surname.",
        LONGEST_NAME,
        "fullname name displayname pupilname studentname staffname pupil student",
    ),
    Field(
        "form",
        "Form",
        "",
        LONGEST_GROUP,
        "reggroup registrationgroup form formgroup tutorgroup registrationform registration reg tutor",
        ("pupil",),
    ),
    Field(
        "year",
        "Year",
        "7, Y7 and Year 7 are the same.",
        LONGEST_GROUP,
        "yeargroup year ncyear ncyeargroup nationalcurriculumyear yeartaught",
        ("pupil",),
    ),
    Field(
        "classes",
        "Class",
        "Several classes in one cell are kept apart by semicolons or commas.",
        LONGEST_CELL,
        "class classes classname teachinggroup teachinggroups teachingset",
        ("pupil",),
    ),
    Field(
        "email",
        "School e-mail address",
        "Browsers at school know people by it.",
        LONGEST_ADDRESS,
        "schoolemail workemail email emailaddress mainemail primaryemail studentemail mail",
    ),
    Field(
        "username",
        "Sign-in name",
        "The name that is typed to sign in to a school computer.",
        LONGEST_ADDRESS,
        "username signinname loginname login networkusername networklogin samaccountname",
    ),
)
BY_KEY: Mapping[str, Field] = {field.key: field for field in FIELDS}


def fields_of(kind: str) -> tuple[Field, ...]:
    """What columns of a file of this kind of people can hold."""
    return tuple(field for field in FIELDS if kind in field.kinds)


# The table


@dataclass(frozen=True, slots=True)
class Line:
    """A row as cells; ``number``: the line of the file on which it begins, from 1."""

    number: int
    cells: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row that could not be read, and why, in words. ``text``: what it holds, to see who may be meant."""

    number: int
    why: str
    text: str


@dataclass(frozen=True, slots=True)
class Table:
    """A file as it was read. ``separator``: in words."""

    headings: tuple[str, ...]
    lines: tuple[Line, ...]
    unreadable: tuple[Unreadable, ...]
    encoding: str
    separator: str


def read_table(content: bytes) -> Table:
    """The file as a table. Raises ``Refused`` in words if it is no such file, empty or too big."""
    text, encoding = _decode(content)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise Refused("The file is empty.", "Choose a file with a line of headings and a line for each person.")
    if "\0" in text:
        raise Refused("This is no CSV file.", "In the spreadsheet, choose “Save as” and then “CSV UTF-8”.")
    separator = _separator(text)
    numbered = _numbered(text.split("\n"), separator)
    headings = next(numbered, None)
    if headings is None:  # nothing but separators
        raise Refused("The file is empty.", "Choose a file with a line of headings and a line for each person.")
    if isinstance(headings, Unreadable):
        raise Refused(f"The headings cannot be read: {headings.why}", "Put the first line right and choose it again.")
    if len(headings.cells) > MOST_COLUMNS:
        raise Refused(f"The file has more than {MOST_COLUMNS} columns.", "Keep those that are needed.")
    return _table(headings, numbered, encoding, SEPARATORS[separator])


def _table(headings: Line, rest: Iterator[Line | Unreadable], encoding: str, separator: str) -> Table:
    lines: list[Line] = []
    unreadable: list[Unreadable] = []
    for found in rest:
        if len(lines) + len(unreadable) >= MOST_ROWS:
            raise Refused(f"The file has more than {MOST_ROWS:,} rows.", "Split it, one year group after another.")
        if isinstance(found, Unreadable):
            unreadable.append(found)
        elif any(cell.strip() for cell in found.cells[len(headings.cells) :]):
            why = f"It has more cells than there are headings ({len(headings.cells)})."
            unreadable.append(Unreadable(found.number, why, " ".join(found.cells)))
        else:
            missing = len(headings.cells) - len(found.cells)
            lines.append(Line(found.number, (*found.cells[: len(headings.cells)], *[""] * missing)))
    if not lines and not unreadable:
        raise Refused("The file has headings and no rows.", "Choose a file with a line for each person.")
    return Table(tuple(map(tidy, headings.cells)), tuple(lines), tuple(unreadable), encoding, separator)


def _decode(content: bytes) -> tuple[str, str]:
    if content.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF")):
        raise Refused(
            "This is a spreadsheet or a document, no CSV file.",
            "Open it, choose “Save as” and then “CSV UTF-8 (comma delimited)”.",
        )
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Refused("The file is saved as UTF-16.", "Save it again as “CSV UTF-8 (comma delimited)”.")
    try:
        return content.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError:
        pass
    try:
        return content.decode("cp1252"), "Windows-1252"
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise Refused(
            f"Line {line} of the file is neither UTF-8 nor Windows-1252.", "Save it again as “CSV UTF-8”."
        ) from None


def _separator(text: str) -> str:
    """The separator that is there most often in the first line that holds anything, outside quotation marks."""
    first = next(line for line in text.split("\n") if line.strip())
    outside = re.sub(r'"[^"]*"', "", first)
    return max(SEPARATORS, key=outside.count)


def _numbered(lines: Sequence[str], separator: str) -> Iterator[Line | Unreadable]:
    """Rows one after another, the headings first. A row that cannot be read ends with its line."""
    at, width = 0, 0
    while at < len(lines):
        if not lines[at].strip(f" {separator}"):
            at += 1
            continue
        cells, taken = _row(lines, at, separator, width)
        number, at = at + 1, at + taken
        if not cells:
            yield Unreadable(number, "A quotation mark is not closed, or stands inside a cell.", lines[number - 1])
        elif any(len(cell) > LONGEST_CELL for cell in cells):
            yield Unreadable(number, f"A cell is longer than {LONGEST_CELL:,} characters.", " ".join(cells))
        else:
            yield Line(number, tuple(cells))
        width = width or len(cells)


def _row(lines: Sequence[str], at: int, separator: str, width: int) -> tuple[list[str], int]:
    """The cells of the row that begins here, and how many lines it takes; no cells and one line if it is broken.

    A row that goes on over several lines must have ``width`` cells: else a mark that was never closed would swallow
    the rows below it.
    """
    for end in range(at + 1, min(at + LINES_IN_A_ROW, len(lines)) + 1):
        reader = csv.reader(StringIO("\n".join(lines[at:end]), newline=""), delimiter=separator, strict=True)
        try:
            cells = next(reader)
        except csv.Error as error:
            if "unexpected end of data" not in str(error):
                break
        else:
            return (cells, reader.line_num) if reader.line_num == 1 or len(cells) == (width or len(cells)) else ([], 1)
    return [], 1


# The columns


def guess_columns(headings: Sequence[str], kind: str) -> dict[str, int]:
    """Which column holds what, by its heading: ``{"surname": 2}``. No column is used twice."""
    plain = [_NOT_A_LETTER.sub("", heading.casefold()) for heading in headings]
    found: dict[str, int] = {}
    for field in fields_of(kind):
        for heading in field.headings.split():
            if heading in plain:
                found[field.key] = plain.index(heading)
                break
    if "forename" in found and "surname" in found:
        found.pop("name", None)
    return found


def column_faults(columns: Mapping[str, int], headings: Sequence[str], kind: str) -> dict[str, str]:
    """What is wrong with a choice of columns, by field; ``form`` belongs to none. Empty when it can be used."""
    faults = {}
    keys = {field.key for field in fields_of(kind)}
    for key, column in columns.items():
        if key not in keys or not 0 <= column < len(headings):
            faults["form"] = "One of the columns is not in this file. Choose again."
    twice = sorted(key for key, column in columns.items() if list(columns.values()).count(column) > 1)
    for key in twice:
        faults[key] = "This column is chosen twice. Choose it once."
    if "name" not in columns and not {"forename", "surname"} <= columns.keys():
        faults["surname"] = "Choose the columns of first name and surname, or the one of the full name."
    elif "name" in columns and columns.keys() & {"forename", "surname"}:
        faults["name"] = "Choose either the full name or first name and surname."
    return faults


# The rows


@dataclass(frozen=True, slots=True)
class Entry:
    """One person as the file has them. An empty field says nothing. ``lines``: where they stand."""

    lines: tuple[int, ...]
    name: str
    sort_name: str
    reference: str
    form: str
    year: str
    classes: tuple[str, ...]
    email: str
    username: str

    @property
    def line(self) -> int:
        """Where they stand first."""
        return self.lines[0]


@dataclass(frozen=True, slots=True)
class Reading:
    """Everybody whom the file names, and the rows that could not be read."""

    entries: tuple[Entry, ...]
    unreadable: tuple[Unreadable, ...]


def read_rows(table: Table, columns: Mapping[str, int]) -> Reading:
    """People from rows. Rows with the same reference and name are one person in several classes."""
    unreadable = list(table.unreadable)
    entries = []
    for line in table.lines:
        found = _entry(line, columns)
        if isinstance(found, Unreadable):
            unreadable.append(found)
        else:
            entries.append(found)
    together, clashing = _put_together(entries)
    texts = {line.number: " ".join(line.cells) for line in table.lines}
    unreadable += [Unreadable(number, why, texts[number]) for number, why in clashing]
    return Reading(tuple(together), tuple(sorted(unreadable, key=lambda row: row.number)))


def _entry(line: Line, columns: Mapping[str, int]) -> Entry | Unreadable:
    values = {key: line.cells[column] for key, column in columns.items()}
    one_line = {key: tidy(value) for key, value in values.items()}
    for key, value in one_line.items():
        if key != "classes" and "\n" in values[key].strip():
            return _unreadable(line, f"{BY_KEY[key].title} goes on over several lines: is a quotation mark missing?")
        if len(value) > BY_KEY[key].longest:
            return _unreadable(line, f"{BY_KEY[key].title} is longer than {BY_KEY[key].longest} characters.")
    name, sort = _name(one_line)
    if not name:
        return _unreadable(line, "It has no name.")
    if len(name) > LONGEST_NAME:
        return _unreadable(line, f"The name is longer than {LONGEST_NAME} characters.")
    classes = _classes(values.get("classes", ""))
    if len(classes) > MOST_CLASSES or any(len(one) > LONGEST_GROUP for one in classes):
        return _unreadable(
            line, f"Class has more than {MOST_CLASSES} names, or one of more than {LONGEST_GROUP} signs."
        )
    return Entry(
        (line.number,),
        name,
        sort,
        one_line.get("reference", ""),
        one_line.get("form", ""),
        year_name(one_line.get("year", "")),
        classes,
        one_line.get("email", ""),
        one_line.get("username", ""),
    )


def _unreadable(line: Line, why: str) -> Unreadable:
    return Unreadable(line.number, why, " ".join(line.cells))


def _name(values: Mapping[str, str]) -> tuple[str, str]:
    """The name as it is said, and as it is sorted; empty if there is none. ``Lovelace, Ada`` is turned round."""
    if "name" in values:
        surname, comma, forename = values["name"].partition(",")
        if not comma:
            return values["name"], sort_name(values["name"])
        surname, forename = surname.strip(), forename.strip()
    else:
        surname, forename = values["surname"], values["forename"]
    name = f"{forename} {surname}".strip()
    return name, fold(f"{surname} {forename}".strip()) if name else ""


def _classes(cell: str) -> tuple[str, ...]:
    names = (tidy(name) for name in _CLASSES_APART.split(cell))
    return tuple({name.casefold(): name for name in names if name}.values())


def _put_together(entries: Sequence[Entry]) -> tuple[list[Entry], list[tuple[int, str]]]:
    """One entry for each reference, and the lines that contradict another one, with why."""
    together: list[Entry] = []
    clashing: list[tuple[int, str]] = []
    for rows in _by_reference(entries):
        first, others = rows[0], rows[1:]
        different = next((row for row in others if fold(row.name) != fold(first.name)), None)
        if different is not None:
            why = f"Lines {first.line} and {different.line} have the same reference and different names."
            clashing += [(row.line, why) for row in rows]
            continue
        for row in others:
            fault = _contradiction(first, row)
            if fault:
                clashing.append((row.line, fault))
            else:
                first = _joined(first, row)
        together.append(first)
    return together, clashing


def _by_reference(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Rows with the same reference together; a row without one stays alone."""
    rows: dict[str, list[Entry]] = {}
    for entry in entries:
        key = f"reference {entry.reference.casefold()}" if entry.reference else f"line {entry.line}"
        rows.setdefault(key, []).append(entry)
    return list(rows.values())


def _contradiction(first: Entry, row: Entry) -> str:
    for key in ("form", "year", "email", "username"):
        one, other = getattr(first, key), getattr(row, key)
        if one and other and one.casefold() != other.casefold():
            return f"{BY_KEY[key].title} is not the same as on line {first.line}, which has the same reference."
    return ""


def _joined(first: Entry, row: Entry) -> Entry:
    classes = {name.casefold(): name for name in (*first.classes, *row.classes)}
    return Entry(
        (*first.lines, *row.lines),
        first.name,
        first.sort_name,
        first.reference,
        first.form or row.form,
        first.year or row.year,
        tuple(classes.values()),
        first.email or row.email,
        first.username or row.username,
    )
