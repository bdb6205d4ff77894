"""The table of names finds what was put in, says which list means what, and refuses what is damaged."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from appliance_plugins import dns_filter
from appliance_plugins.dns_filter.answerer.table import (
    ALLOW,
    BELOW,
    EXACT,
    IMPORTANT,
    SUFFIX,
    Built,
    Table,
    TableError,
    build,
    digest,
)
from appliance_plugins.dns_filter.answerer.wire import to_wire
from appliance_plugins.dns_filter.lists.compiling import digests_of

BOTH = EXACT | BELOW


def digests(*names: str) -> list[bytes]:
    return [digest(to_wire(name)) for name in names]


def opened(folder: Path, built: Built) -> Table:
    return Table.open(folder / (built.sha256 + SUFFIX))


def test_a_name_is_found_with_the_lists_that_mean_it(tmp_path: Path) -> None:
    built = build(
        tmp_path,
        [
            ("adult", BOTH, digests("a.example", "both.example")),
            ("games", BELOW, digests("both.example", "g.example")),
            ("games", EXACT, digests("g.example")),
            ("games", BOTH | ALLOW, digests("both.example")),
            ("games", BOTH | IMPORTANT, digests("g.example")),
        ],
    )
    table = opened(tmp_path, built)
    assert table.names == built.names == 3
    assert table.sets[table.find(to_wire("a.example"))] == (("adult", BOTH),)
    assert table.sets[table.find(to_wire("both.example"))] == (
        ("adult", BOTH),
        ("games", BELOW),
        ("games", BOTH | ALLOW),
    )
    assert table.sets[table.find(to_wire("g.example"))] == (("games", BOTH), ("games", BOTH | IMPORTANT))
    assert table.find(to_wire("www.a.example")) == 0
    assert table.sets[0] == ()
    table.close()


@given(st.lists(st.text("abc019-_", min_size=1, max_size=63), min_size=1, max_size=4).map(".".join))
@example("a" * 44 + ".org")
@example("a" * 45 + ".org")
@example("a" * 63 + "." + "b" * 48 + ".org")
def test_lists_and_queries_mean_the_same_name(name: str) -> None:
    assert digests_of([name.encode()]) == digest(to_wire(name))


def test_the_wire_form_is_that_of_a_query() -> None:
    assert to_wire("example.org") == b"\x07example\x03org\x00"
    assert to_wire("") == b"\x00"


def test_many_names_are_found_and_no_others(tmp_path: Path) -> None:
    names = [f"n{number}.example" for number in range(5000)]
    built = build(tmp_path, [("many", BOTH, [b"".join(digests(*names[:4000])), *digests(*names[3000:])])])
    table = opened(tmp_path, built)
    assert table.names == 5000
    assert all(table.find(to_wire(name)) == 1 for name in names)
    assert not any(table.find(to_wire(f"m{number}.example")) for number in range(5000))
    table.close()


def test_many_names_of_several_lists_keep_theirs_while_the_table_grows(tmp_path: Path) -> None:
    lists = {"adult": range(1500), "games": range(1000, 4000), "none": range(0), "vpn": range(500, 6000, 7)}
    layers = [(name, BOTH, digests(*[f"n{number}.example" for number in numbers])) for name, numbers in lists.items()]
    built = build(tmp_path, layers)
    table = opened(tmp_path, built)
    for number in range(6100):
        meant = tuple((name, BOTH) for name, numbers in lists.items() if number in numbers)
        assert table.sets[table.find(to_wire(f"n{number}.example"))] == meant
    assert built.lists == {name: len(numbers) for name, numbers in lists.items() if numbers}
    table.close()


def test_a_digest_of_zeros_is_a_name_like_any_other(tmp_path: Path) -> None:
    built = build(tmp_path, [("odd", BOTH, [bytes(8), bytes(8)])])
    assert built.names == 1


def test_no_names_at_all_is_a_table_too(tmp_path: Path) -> None:
    table = opened(tmp_path, build(tmp_path, []))
    assert (table.names, table.find(to_wire("a.example"))) == (0, 0)
    table.close()


def test_the_file_is_named_by_its_content_and_does_not_depend_on_the_process(tmp_path: Path) -> None:
    built = build(tmp_path, [("a", BOTH, digests("a.example", "b.example"))])
    path = tmp_path / (built.sha256 + SUFFIX)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == built.sha256
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    alone = "\n".join(
        (
            "import sys; from answerer.table import Table; from answerer.wire import to_wire",
            "table = Table.open(sys.argv[1])",
            "print(table.sets[table.find(to_wire('b.example'))], 'appliance' in sys.modules, 'idna' in sys.modules)",
        )
    )
    answered = subprocess.run(
        [sys.executable, "-S", "-c", alone, path],
        cwd=tmp_path, env={"PYTHONPATH": str(Path(dns_filter.__file__).parent), "PYTHONHASHSEED": "7"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert answered.stdout == "(('a', 3),) False False\n"


@pytest.mark.parametrize("cut", [0, 20, 500, -1])
def test_a_table_that_was_cut_off_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / (build(tmp_path, [("a", BOTH, digests("a.example"))]).sha256 + SUFFIX)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(TableError):
        Table.open(path)


def test_a_table_with_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / (build(tmp_path, [("a", BOTH, digests("a.example"))]).sha256 + SUFFIX)
    content = bytearray(path.read_bytes())
    content[random.randrange(64, len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(TableError, match="damaged"):
        Table.open(path)


@pytest.mark.parametrize("content", [b"", b"a.example\n" * 100, b"dnstable" + bytes(200)])
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / (hashlib.sha256(content).hexdigest() + SUFFIX)
    path.write_bytes(content)
    with pytest.raises(TableError):
        Table.open(path)


def test_a_table_that_is_gone_is_said_in_words(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be read"):
        Table.open(tmp_path / f"{'0' * 64}.table")
