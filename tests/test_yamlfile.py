"""The YAML loader: what values mean, what is refused, in which words and on which line."""

from __future__ import annotations

import math
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from appliance.yamlfile import (
    MAX_BYTES,
    Commented,
    ConfigError,
    Mistake,
    Parsed,
    dump_commented,
    dump_yaml,
    load_yaml,
    parse_yaml,
    path_text,
)

FILE = Path("x.yaml")


def parse(text: str) -> Parsed:
    return parse_yaml(text, FILE)


def said(text: str) -> list[str]:
    """Every mistake of a text."""
    try:
        return [str(mistake) for mistake in parse(text).mistakes]
    except ConfigError as error:
        return str(error).splitlines()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("y", "y"),
        ("~", None),
        ("null", None),
        ("", None),
        ("nULL", "nULL"),
        ("8443", 8443),
        ("-5", -5),
        ("+5", 5),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.e-2", 0.01),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("08:30", "08:30"),
        ("1:30:00", "1:30:00"),
        ("2026-09-01", "2026-09-01"),
        ("2026-09-01T08:30:00Z", "2026-09-01T08:30:00Z"),
        ("=", "="),
        ("'true'", "true"),
        ('"8443"', "8443"),
        ("!!str 8443", "8443"),
        ("!!int '8443'", 8443),
        ("!!map {a: !!null ''}", {"a": None}),
        ("<<: {a: 1}", {"<<": {"a": 1}}),
        ("&x {a: &y [1, 2], b: *y}", {"a": [1, 2], "b": [1, 2]}),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
        ("%YAML 1.2\n---\na: 1\n...\n", {"a": 1}),
    ],
)
def test_values_follow_the_core_schema(text: str, value: Any) -> None:
    parsed = parse(text)
    assert parsed.mistakes == ()
    assert parsed.data == value
    assert type(parsed.data) is type(value)


def test_nan_is_a_number() -> None:
    assert math.isnan(parse(".NaN").data)


@pytest.mark.parametrize(
    ("text", "mistakes"),
    [
        ("a: 1\nb: 2\na: 3\n", ["x.yaml:3: a: this key is written twice (first on line 1)"]),
        (
            "a:\n  - {b: 1, b: 2}\nc: 1\n'c': 2\n",
            [
                "x.yaml:2: a[0].b: this key is written twice (first on line 2)",
                "x.yaml:4: c: this key is written twice (first on line 3)",
            ],
        ),
        ("1: a\n", ['x.yaml:1: the key "1" is not text, expected it in quotes']),
        ("a:\n  true: 1\n", ['x.yaml:2: a: the key "true" is not text, expected it in quotes']),
        ("? [a]\n: 1\n", ["x.yaml:1: a list or a section stands where a key should be, expected text before the `:`"]),
        (
            "a: 1\nb: !!python/object/apply:os.system [id]\n",
            [
                'x.yaml:2: b: the tag "!!python/object/apply:os.system" is not allowed here, '
                "expected a value without a tag; put text that begins with ! in quotes"
            ],
        ),
        (
            "a: !secret x\n",
            [
                'x.yaml:1: a: the tag "!secret" is not allowed here, '
                "expected a value without a tag; put text that begins with ! in quotes"
            ],
        ),
        ("a: !!int abc\n", ['x.yaml:1: a: "abc" does not go with the tag !!int, expected a whole number']),
        ("a: " + "9" * 101, ["x.yaml:1: a: the number is 101 characters long, expected at most 100"]),
        (
            'a: "\\ud83d"\n',
            [
                "x.yaml:1: a: an escape names half a character (U+D800 to U+DFFF), expected the character itself",
            ],
        ),
        (
            "web:\n  port: 1: 2\n",
            ["x.yaml:2: this line has one `:` too many or is indented too far; text with `: ` in it needs quotes"],
        ),
        (
            "a: 1\n  b: 2\n",
            ["x.yaml:2: this line has one `:` too many or is indented too far; text with `: ` in it needs quotes"],
        ),
        ("a:\n\tb: 1\n", ["x.yaml:2: a tab stands at the start of this line; indent with spaces"]),
        ("a: @home\n", ["x.yaml:1: a value cannot begin with this character; put the text in quotes"]),
        ("a:\n  b: 1\n c: 2\n", ["x.yaml:3: this line is not indented like those above it"]),
        ("a: 1\nb: 'x\nc: 1\n", ["x.yaml:2: a quotation mark that is opened here is not closed"]),
        (
            'a: "\\q"\n',
            ["x.yaml:1: `\\` means nothing before this character; use single quotes or write `\\\\`"],
        ),
        ('a: "\\UFFFFFFFF"\n', ["x.yaml: an escape such as \\U names a character that does not exist"]),
        ("a: [1,\nb: 2\n", ["x.yaml:1: a list that is opened here with [ is not closed, or a comma is missing in it"]),
        (
            "a: {b: 1\n",
            ["x.yaml:1: a section that is opened here with { is not closed, or a comma is missing in it"],
        ),
        ("a: - b\n", ["x.yaml:1: a list begins in the middle of this line; begin it on a line of its own"]),
        (
            "a: *b\n",
            ["x.yaml:1: this refers with * to something that no & has named; text that begins with * needs quotes"],
        ),
        ("a: &b 1\nc: &b 2\n", ["x.yaml:2: this name after & was used before"]),
        ("a: 1\n---\nb: 2\n", ["x.yaml:2: a second document begins here (---); a file holds one"]),
        ("a: 1\n\nb: ]\n", ["x.yaml:3: this does not belong here; look at the line above too"]),
        ("a: &b [*b]\n", ["x.yaml:1: *b refers to what it is itself a part of"]),
        ("a: 1\nb: \x07\n", ["x.yaml:2: the character U+0007 is not allowed"]),
        ("a:\n  " + "[" * 60, ["x.yaml:2: this is nested too deeply, expected at most 50 levels"]),
    ],
)
def test_mistakes_have_line_and_words(text: str, mistakes: list[str]) -> None:
    assert said(text) == mistakes


def test_aliases_may_not_unfold_without_bound() -> None:
    names = "abcdefghi"
    bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in pairwise(names))
    assert said(bomb) == ["x.yaml:5: this holds too many values, expected at most 100000, aliases (*) unfolded"]


def test_lists_that_are_deep_are_refused_before_they_cost_time_or_memory() -> None:
    assert said("[" * MAX_BYTES) == ["x.yaml:1: this is nested too deeply, expected at most 50 levels"]


def test_lines_of_keys_items_and_of_what_is_not_there() -> None:
    lines = parse("a:\n  b: 1\n\n  c:\n    - x\n    - d: 1\n      e: 2\n").lines
    table: dict[tuple[str | int, ...], int] = {
        (): 1,
        ("a",): 1,
        ("a", "b"): 2,
        ("a", "c"): 4,
        ("a", "c", 0): 5,
        ("a", "c", 1): 6,
        ("a", "c", 1, "e"): 7,
        ("a", "c", 1, "missing"): 6,
        ("a", "missing", "below"): 1,
        ("missing",): 1,
    }
    assert {path: lines.line(path) for path in table} == table


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ((), ""),
        (("web", "port"), "web.port"),
        (("groups", 0, "addresses", 1), "groups[0].addresses[1]"),
        (("of", "a.b"), 'of."a.b"'),
        (("of", "a\nb"), 'of."a\\nb"'),
        (("x" * 100,), f'"{"x" * 57}..."'),
    ],
)
def test_paths(path: tuple[str | int, ...], text: str) -> None:
    assert path_text(path) == text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: \xff\n", ":1: this is not UTF-8 text, expected a file saved as UTF-8"),
        (b"a: 1\nb: \xe4\n", ":2: this is not UTF-8 text, expected a file saved as UTF-8"),
        ("a: 1\n".encode("utf-16"), ":1: this is not UTF-8 text, expected a file saved as UTF-8"),
        (b"#" * (MAX_BYTES + 1), ": the file is too large, expected at most 1 MiB"),
        (b"a: 1\na: !x y\n", None),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes, message: str | None) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_yaml(file)
    if message is not None:
        assert str(caught.value) == f"{file}{message}"


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        load_yaml(tmp_path / "x.yaml")
    with pytest.raises(ConfigError, match="this is not a file"):
        load_yaml(tmp_path)
    with pytest.raises(ConfigError, match=r"the file cannot be read \(file name too long\)"):
        load_yaml(tmp_path / ("x" * 300))


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    file = tmp_path / "x.yaml"
    file.write_bytes(b"\xef\xbb\xbfa: 1\n")
    data, lines = load_yaml(file)
    assert data == {"a": 1}
    assert lines.line(("a",)) == 1


def test_mistakes_are_sorted_and_said_once() -> None:
    late, early = Mistake(FILE, 9, "b", "wrong"), Mistake(FILE, 2, "a", "wrong", "right", "rihgt")
    error = ConfigError([late, early, late])
    assert error.mistakes == (early, late)
    assert str(error) == "x.yaml:2: a: wrong, expected right; did you mean rihgt?\nx.yaml:9: b: wrong"
    assert str(Mistake(None, None, "web.port", "wrong")) == "web.port: wrong"


INDICATORS = st.text(alphabet=" \n\t-:,[]{}#&*!|>'\"%@`?~<=.\\ab01ouxUéN\u2028\x85\ufeff\x00", max_size=60)


@settings(max_examples=500)
@given(INDICATORS | st.text(max_size=60))
def test_no_text_raises_anything_but_config_errors(text: str) -> None:
    with suppress(ConfigError):
        dump_yaml(parse(text).data)


TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
SCALARS = st.none() | st.booleans() | st.integers(-(10**98), 10**98) | st.floats(allow_nan=False) | TEXTS
TRICKY = st.sampled_from(
    [
        "",
        " ",
        "no",
        "~",
        "0o17",
        "08:30",
        "1e5",
        "<<",
        "=",
        "- a",
        "a: b",
        "#",
        "\n",
        "a\n ",
        "\x85",
        "\ufeff",
        "'",
        "&a",
    ]
)
TREES = st.recursive(
    SCALARS | TRICKY,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(TEXTS | TRICKY, below, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300)
@given(TREES)
def test_what_is_written_is_read_back(tree: Any) -> None:
    parsed = parse(dump_yaml(tree))
    assert parsed.mistakes == ()
    assert parsed.data == tree


@settings(max_examples=200)
@given(st.dictionaries(TEXTS | TRICKY, TREES, min_size=1, max_size=3), TEXTS)
def test_comments_are_no_values(tree: dict[str, Any], comment: str) -> None:
    ends = {key: Commented(value, comment) for key, value in tree.items()}
    text = dump_commented({"section": ends, "empty": {}})
    parsed = parse(text)
    assert parsed.mistakes == ()
    assert parsed.data == {"section": tree, "empty": None}
