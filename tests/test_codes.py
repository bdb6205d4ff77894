"""Codes that people print and type: enough randomness, nothing that looks alike, any way of typing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.codes import ALPHABET, LINK_LETTERS, new_code, plain_code


def test_a_link_has_at_least_128_bits_and_nothing_that_looks_alike() -> None:
    assert LINK_LETTERS * math.log2(len(ALPHABET)) >= 128
    assert len(set(ALPHABET)) == 32
    assert not set("ILOU") & set(ALPHABET)


def test_codes_are_never_the_same_and_use_the_whole_alphabet() -> None:
    codes = [new_code() for _ in range(200)]
    assert len(set(codes)) == 200
    assert set("".join(codes)) == {*ALPHABET, "-"}


@pytest.mark.parametrize(("letters", "group"), [(28, 4), (16, 4), (10, 5), (7, 3), (1, 4)])
def test_codes_stand_in_groups(letters: int, group: int) -> None:
    code = new_code(letters, group)
    assert len(plain_code(code)) == letters
    assert all(len(part) == group for part in code.split("-")[:-1])


@pytest.mark.parametrize(
    "typed",
    [
        "7Q2K-M0XD-A1B1",
        "7q2k-m0xd-a1b1",
        "7Q2KM0XDA1B1",
        "  7Q2K M0XD\tA1B1\n",
        "7Q2K-MOXD-AlBI",
        "7q2k-moxd-aibL",
        "7Q2K\u2011M0XD\u2013A1B1",
        "7Q2K \u2014 M0XD \u2212 A1B1",
        "7Q2K\u00a0M0XD\u2003A1B1",
    ],
)
def test_typing_is_forgiven(typed: str) -> None:
    assert plain_code(typed) == "7Q2KM0XDA1B1"


@pytest.mark.parametrize("typed", ["7Q2K-M0XD-A1B2", "7Q2K-M0XD-A1B", "7Q2K-M0XD-A1BB1", "", "7U2K-M0XD-A1B1"])
def test_slips_are_not(typed: str) -> None:
    assert plain_code(typed) != "7Q2KM0XDA1B1"


@given(st.text())
def test_whatever_is_typed_can_be_compared(text: str) -> None:
    plain = plain_code(text)
    assert plain_code(plain) == plain
    assert "-" not in plain
    assert not any(letter.isspace() for letter in plain)
