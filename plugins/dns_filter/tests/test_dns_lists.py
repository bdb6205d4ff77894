"""Block lists are read line by line; bad lines are counted and named."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance_plugins.dns_filter.lists.formats import (
    EXAMPLES_KEPT,
    LONGEST_LINE,
    Format,
    ListReader,
    Rejected,
    lines_of,
)


def read(text: bytes, format_: Format) -> tuple[list[str], ListReader]:
    reader = ListReader(format_)
    return list(reader.names(lines_of(io.BytesIO(text)))), reader


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (b"0.0.0.0 ads.example\n127.0.0.1 b.example\n", ["ads.example", "b.example"]),
        (
            b"0.0.0.0\tads.example tracker.example\tthird.example # three\n",
            ["ads.example", "tracker.example", "third.example"],
        ),
        (b":: ads.example\n::1 b.example\n", ["ads.example", "b.example"]),
        (b"\xef\xbb\xbf0.0.0.0 ads.example\r\n\r\n# comment\r\n   \r\n0.0.0.0 b.example", ["ads.example", "b.example"]),
        (b"127.0.0.1 localhost\n::1 ip6-localhost ip6-loopback\n255.255.255.255 broadcasthost\n", []),
        (b"fe80::1%lo0 localhost\n0.0.0.0 0.0.0.0\n127.0.0.1 localhost ads.example\n", ["ads.example"]),
        ("0.0.0.0 bücher.example\n".encode(), ["xn--bcher-kva.example"]),
    ],
)
def test_hosts_files(text: bytes, names: list[str]) -> None:
    found, reader = read(text, "hosts")
    assert found == names
    assert reader.rejected == 0


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (b"ads.example\nB.Example.\n", ["ads.example", "b.example"]),
        (
            b"\xef\xbb\xbfads.example # why\r\n! adblock comment\r\n\r\n*.wild.example\r\n.dotted.example",
            ["ads.example", "wild.example", "dotted.example"],
        ),
        (b"", []),
    ],
)
def test_plain_lists(text: bytes, names: list[str]) -> None:
    found, reader = read(text, "domains")
    assert found == names
    assert reader.rejected == 0


@pytest.mark.parametrize(
    ("text", "format_", "rejected"),
    [
        (b"ads.example\n", "hosts", "'ads.example' is not an address"),
        (b"10.0.0.5 intranet.example\n", "hosts", "10.0.0.5 is a real one"),
        (b"0.0.0.0 com\n", "hosts", "'com' is a single word"),
        (b"0.0.0.0 ads.example\n", "domains", "more than one word after '0.0.0.0'"),
        (b"com\n", "domains", "'com' is a single word"),
        (b"||ads.example^\n", "domains", "which no domain name has"),
        (b"\xff\xfea\x00\n", "domains", "not UTF-8"),
        (b"x" * 200 + b"\n", "domains", "xxx...'"),
    ],
)
def test_a_bad_line_says_what_is_wrong(text: bytes, format_: Format, rejected: str) -> None:
    found, reader = read(text, format_)
    assert found == []
    assert reader.rejected == 1
    assert rejected in reader.examples[0].why


def test_bad_lines_are_counted_and_the_first_kept_with_their_numbers() -> None:
    found, reader = read(b"ok.example\n" + b"nonsense\n" * 10 + b"last.example\n", "domains")
    assert found == ["ok.example", "last.example"]
    assert reader.rejected == 10
    assert [example.line for example in reader.examples] == list(range(2, 2 + EXAMPLES_KEPT))
    assert isinstance(reader.examples[0], Rejected)


def test_names_before_a_bad_word_of_a_line_count() -> None:
    found, reader = read(b"0.0.0.0 good.example bad_\xc3\xbc..example late.example\n", "hosts")
    assert found == ["good.example"]
    assert reader.rejected == 1


def test_a_file_without_line_ends_is_read_in_pieces() -> None:
    pieces = list(lines_of(io.BytesIO(b"x" * (LONGEST_LINE * 2 + 1))))
    assert [len(piece) for piece in pieces] == [LONGEST_LINE, LONGEST_LINE, 1]


@given(st.binary(max_size=400), st.sampled_from(["hosts", "domains"]))
def test_no_file_makes_the_reader_fail(content: bytes, format_: Format) -> None:
    found, reader = read(content, format_)
    assert all("." in name and name == name.lower() for name in found)
    assert len(reader.examples) == min(reader.rejected, EXAMPLES_KEPT)
