"""Passwords: which ones serve, that a stretched one is what it was, and that a flood holds nobody up."""

from __future__ import annotations

import asyncio
import unicodedata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from zxcvbn.matching import L33T_TABLE, enumerate_l33t_subs, relevant_l33t_subtable

from appliance.accounts.passwords import LONGEST, SHORTEST, WAITING_MOST, Stretcher, _judged, fault, stretch
from appliance.errors import Refused

SALT = b"0123456789abcdef"
SHORT = f"Use at least {SHORTEST} characters"
STOLEN = "is on lists of stolen passwords"
EASY = "This is too easy to guess"


@pytest.mark.parametrize(
    ("password", "wrong"),
    [
        ("", SHORT),
        ("x7!Qm2$vK9z", SHORT),  # eleven, however strange
        ("e\u0301" * 11, SHORT),  # eleven letters, typed in two parts each
        ("password1234", STOLEN),
        ("Password1234", STOLEN),
        ("p4ssw0rd1234", STOLEN),
        ("drowssap4321", STOLEN),
        ("iloveyou2024", STOLEN),
        ("qwertyuiop123", STOLEN),
        ("letmein-letmein", STOLEN),
        ("123456789012", STOLEN),
        ("abcdefghijkl", EASY),
        ("zxcvbnm,./zxc", EASY),
        ("20 04 1983 20 04 1983", EASY),
        ("aaaaaaaaaaaaaaaa", "Use more different letters"),
        ("abababababababab", "Use more different letters"),
        ("abcabcabcabcabc", "Use more different letters"),
        ("sunshine sunshine", STOLEN),
        ("wombat ladder teal harbour", ""),
        ("otter chisel mauve orchard", ""),
        ("Xk7#mQ9$vB2z", ""),
        ("ручка тигр синий дом", ""),
        ("e\u0301clair nuage soleil bateau", ""),
        ("wombat ladder teal harbour " * 7, ""),  # 189 letters
        ("wombat ladder teal harbour " * 8, f"Use at most {LONGEST} characters"),
    ],
)
def test_which_passwords_serve(password: str, wrong: str) -> None:
    found = fault(password)
    assert found.startswith(wrong) or wrong in found
    assert bool(found) == bool(wrong)


@pytest.mark.parametrize("name", ["Marigold Featherstonehaugh", "m.featherstonehaugh"])
@pytest.mark.parametrize(
    "password", ["featherstonehaugh", "Featherstonehaugh12", "marigoldfeatherstonehaugh", "haugh.m.featherstonehaugh"]
)
def test_ones_own_name_is_easy_to_guess(name: str, password: str) -> None:
    about = ("Marigold Featherstonehaugh", "m.featherstonehaugh", name)
    assert fault(password, about) != ""


def test_names_count_for_that_account_alone() -> None:
    assert fault("quillfeatherbottom", ("Quillfeatherbottom",)) != ""
    assert fault("quillfeatherbottom", ()) == ""


@given(st.text(max_size=250))
@settings(max_examples=60, deadline=None)
def test_every_text_gets_an_answer_and_both_ways_of_typing_the_same(text: str) -> None:
    assert fault(unicodedata.normalize("NFD", text)) == fault(unicodedata.normalize("NFC", text))


@given(st.text(st.sampled_from("4@8({[<3691!|70$5+7%2abz"), min_size=12, max_size=100))
@settings(max_examples=60, deadline=None)
def test_no_password_keeps_the_judge_busy(text: str) -> None:
    """zxcvbn reads signs as letters in every way there is. It takes half a minute if nobody stops it."""
    judged = _judged(text)
    assert text.startswith(judged)
    ways = len(enumerate_l33t_subs(relevant_l33t_subtable(judged, L33T_TABLE)))
    assert ways * len(judged) ** 2 <= 500_000


def test_what_is_left_out_makes_no_password_look_better() -> None:
    assert EASY in fault("12345678901234567890" * 3)
    assert fault("[!7$238[4(!50$(98[65|7{0" * 3) == ""


# Stretching


def test_a_password_that_was_stretched_once_is_right_for_ever() -> None:
    """Whoever changes how passwords are stretched locks everybody out, and for good out of what is sealed."""
    stretched = stretch("wombat ladder teal harbour", SALT)
    assert stretched.verifier.hex() == "251c59f4aec91e852d739b1c005320f2da03227cc4b7c588642c280d4167f5e9"
    assert stretched.key.hex() == "101a8b3a3f13ce859f6838666703ba0ab3619b8839e488f464fcd079f9416651"


def test_the_two_halves_change_with_password_and_salt_and_are_never_the_same() -> None:
    found = [stretch(password, salt) for password in ("wombat", "wombat ") for salt in (SALT, SALT[::-1])]
    halves = [half for one in found for half in (one.verifier, one.key)]
    assert len(set(halves)) == 8
    assert all(len(half) == 32 for half in halves)
    assert "wombat" not in repr(found[0])
    assert repr(found[0].key) not in repr(found[0])


@given(st.text(st.sampled_from("éàöñçÅΩ가각aZ ﬁ²"), min_size=1, max_size=30))
@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
def test_a_password_is_the_same_however_a_keyboard_sends_its_accents(text: str) -> None:
    composed, apart = (stretch(unicodedata.normalize(form, text), SALT) for form in ("NFC", "NFD"))
    assert composed.matches(apart.verifier)
    assert composed.key == apart.key


def test_a_long_password_in_two_parts_each_is_not_cut_short() -> None:
    password = "é" * 150 + "wombat"
    assert stretch(unicodedata.normalize("NFD", password), SALT).matches(stretch(password, SALT).verifier)
    assert not stretch("é" * 150 + "badger", SALT).matches(stretch(password, SALT).verifier)


@pytest.mark.parametrize("text", ["\udcff", "\0", "x" * 1_000_000])
def test_whatever_is_typed_can_be_stretched(text: str) -> None:
    assert len(stretch(text, SALT).verifier) == 32


async def test_a_flood_from_strangers_is_bounded_and_holds_up_nobody_who_is_known() -> None:
    stretcher = Stretcher()
    strangers = [asyncio.create_task(stretcher.stretch(f"guess {number}", SALT)) for number in range(WAITING_MOST)]
    await asyncio.sleep(0)
    with pytest.raises(Refused, match="Too many people are signing in"):
        await stretcher.stretch("one more", SALT)
    assert (await stretcher.stretch("wombat", SALT, known=True)).matches(stretch("wombat", SALT).verifier)
    assert not all(task.done() for task in strangers)
    stretcher.close()
    await asyncio.gather(*strangers, return_exceptions=True)


async def test_there_is_room_again_after_a_flood() -> None:
    stretcher = Stretcher()
    try:
        flood = [asyncio.create_task(stretcher.fault(f"wombat ladder {number}")) for number in range(100)]
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="Too many"):
            await stretcher.fault("one more")
        await asyncio.gather(*flood)
        assert STOLEN in await stretcher.fault("123456789012")
    finally:
        stretcher.close()
