"""Addresses, data and tokens in a text: what is cut out, what is read by itself, what stays."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance_plugins.keyword.engine.addresses import cut
from appliance_plugins.keyword.engine.remembering import Remembering

HELPING = frozenset({"helpers.example", "line.helpers.org"})

CUT = [
    ("nothing here. At all.", "nothing here. At all.", []),
    (
        "see https://fish.example/a?q=b+c now",
        "see                              now",
        ["https  \nfish.example/a\nq\nb c"],
    ),
    ("see WWW.fish.example now", "see                  now", ["WWW.fish.example"]),
    ("no scheme ://www.fish.example", "no scheme ://" + " " * 16, ["www.fish.example"]),
    ("a://b is none", "a://b is none", []),
    ("xwww.fish.example", "xwww.fish.example", []),
    ("data:text/plain;base64,aGk= so", " " * 27 + " so", []),
    ("the price is 5%20 off", "the price is      off", ["5 "]),
    ("call helpers.example/chat today", "call " + " " * 20 + " today", []),
    ("call https://www.helpers.example/chat?q=x today", "call " + " " * 36 + " today", []),
    ("call helpers.org today", "call helpers.org today", []),
    ("mail me@helpers.example today", "mail me@helpers.example today", []),
    ("not.helpers.example.fish is below nobody", "not.helpers.example.fish is below nobody", []),
    ("fish.example/?q=helpers.example is no help", "fish.example/?q=helpers.example is no help", []),
    ("1.2.helpers.example,helpers.example", " " * 19 + "," + " " * 15, []),
    ("key aB3dE5gH7jK9lM1nO3pQ5rS7tU here", "key " + " " * 26 + " here", []),
    ("room 12b, 13c and 14d are long-but-no-data-at-all", "room 12b, 13c and 14d are long-but-no-data-at-all", []),
]


@pytest.mark.parametrize(("text", "rest", "addresses"), CUT)
def test_addresses_and_data_are_cut_out_and_what_leads_to_help_is_not_read(
    text: str, rest: str, addresses: list[str]
) -> None:
    left, found = cut(text, whole=False, helping=HELPING)
    assert left == rest
    assert [address.text for address in found] == addresses


@given(st.lists(st.sampled_from(["http://", "www.", "data:", "a.b", "://", "é", "1a", "%20", " ", "helpers.example"])))
def test_every_letter_keeps_its_place(parts: list[str]) -> None:
    text = "".join(parts)
    left, found = cut(text, whole=False, helping=HELPING)
    assert len(left) == len(text)
    assert all(mine in (" ", yours) for mine, yours in zip(left, text, strict=True))
    for address in found:
        assert len(address.text) == len(address.starts) == len(address.ends)
        assert all(0 <= start < end <= len(text) for start, end in zip(address.starts, address.ends, strict=True))


def test_what_was_found_out_is_remembered_and_forgotten_when_nobody_asks_any_more() -> None:
    asked: list[str] = []
    words = Remembering(lambda word: asked.append(word) or word.upper(), most=2)
    for word in ("one", "two", "three", "one", "four", "one", "five", "one", "two"):
        assert words.of(word) == word.upper()
    assert asked.count("one") == 1  # asked for again and again
    assert asked.count("two") == 2  # forgotten meanwhile
