"""Words that are one letter away: those of the supplied policies are kept, those of a school are added to them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance_plugins.keyword.engine.near import Near
from appliance_plugins.keyword.engine.odd import is_one_edit

SUPPLIED = ("suicide", "cocaine", "stabbed")
OWN = ("qwertzen", "blorbish")
WORDS = st.text("abcdefghijklmnopqrstuvwxyz", min_size=4, max_size=12)


def forms(word: str) -> list[str]:
    return [word, *[word[:place] + word[place + 1 :] for place in range(1, len(word))]]


@given(st.sets(WORDS, max_size=8), st.data())
def test_every_word_that_is_one_letter_away_is_found(words: set[str], data: st.DataObject) -> None:
    words |= {*SUPPLIED, *OWN}
    near = Near(words)
    meant = data.draw(st.sampled_from(sorted(words)))
    place = data.draw(st.integers(1, len(meant) - 1))
    letter = data.draw(st.sampled_from("aeiou"))
    for written in (
        meant[:place] + meant[place + 1 :],
        meant[:place] + letter + meant[place:],
        meant[:place] + letter + meant[place + 1 :],
    ):
        assert written == meant or is_one_edit(written, meant)
        assert meant in near.of(forms(written))


def test_words_of_supplied_policies_that_are_not_looked_for_are_not_found() -> None:
    near = Near({"cocaine", *OWN})
    assert near.of(["suicde"]) == []
    assert near.of(["suicde", "cocane"]) == ["cocaine"]


@pytest.mark.parametrize("word", ["abc", "héllo", "ab1cd", "self-harm"])
def test_words_that_are_too_short_or_no_plain_words_are_never_meant(word: str) -> None:
    near = Near({word})
    assert near.of(forms(word)) == []


def test_letters_that_are_no_characters_are_looked_for_too() -> None:
    assert Near(OWN).of(["\ud800abc"]) == []
