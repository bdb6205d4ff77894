"""Finding phrases: whole words, every place, in any spelling that folds to the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.observations import Surface
from appliance_plugins.keyword.matching import EXACTLY, OTHER_LETTERS, OTHER_SIGNS, Matcher, Needle, how

TYPED = frozenset({Surface.TYPED})
FULL_WIDTH = "".join(chr(ord(letter) + 0xFEE0) if letter != " " else " " for letter in "green giant")
PHRASES = ("green giant", "don't go", "café", "the green giant wins", "essex")


class About:
    """What a phrase is about."""


def matcher(*phrases: str, surfaces: frozenset[Surface] = TYPED) -> Matcher[About]:
    return Matcher(Needle(str(number), phrase, surfaces, About()) for number, phrase in enumerate(phrases))


def found(text: str, *phrases: str) -> list[tuple[str, str]]:
    hits = matcher(*(phrases or PHRASES)).hits(text, Surface.TYPED)
    return [(hit.needle.phrase, text[hit.start : hit.end]) for hit in hits]


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a green giant.", ["green giant"]),
        ("GREEN\n\tGiant!", ["GREEN\n\tGiant"]),
        ("green-giant, green_giant; green...giant", ["green-giant", "green_giant", "green...giant"]),
        ("g\u200breen gi\u00adant", ["g\u200breen gi\u00adant"]),
        (FULL_WIDTH, [FULL_WIDTH]),
        ("gréén gîant", ["gréén gîant"]),
        ("🐧🐧 green giant 🐧", ["green giant"]),
        ("green giantess", []),
        ("evergreen giant", []),
        ("green big giant", []),
        ("greengiant", []),
        ("giant green", []),
        ("dont go", ["dont go"]),
        ("don’t go", ["don’t go"]),
        ("do not go", []),
        ("Cafe", ["Cafe"]),
        ("cafeteria", []),
        ("Essex", ["Essex"]),
        ("sussex", []),
        ("", []),
    ],
)
def test_whole_words_are_found_where_they_stand(text: str, written: list[str]) -> None:
    assert [piece for _, piece in found(text)] == written


def test_a_phrase_within_another_one_is_found_too() -> None:
    assert found("the green giant wins") == [
        ("the green giant wins", "the green giant wins"),
        ("green giant", "green giant"),
    ]


def test_of_phrases_about_the_same_thing_the_longest_counts() -> None:
    same = About()
    needles = [Needle(phrase, phrase, TYPED, same) for phrase in ("want to go", "i want to go", "to go away")]
    text = "i want to go away, want to go"
    hits = Matcher(needles).hits(text, Surface.TYPED)
    assert [text[hit.start : hit.end] for hit in hits] == ["i want to go", "to go away", "want to go"]


def test_repeated_words_are_found_at_each_place() -> None:
    assert [piece for _, piece in found("no no no", "no no")] == ["no no", "no no"]


def test_a_phrase_is_found_where_it_is_looked_for_only() -> None:
    one = matcher("green giant", surfaces=frozenset({Surface.SEARCH, Surface.PAGE}))
    assert {surface for surface in Surface if one.hits("green giant", surface)} == {Surface.SEARCH, Surface.PAGE}


@given(st.text(max_size=40), st.sampled_from(PHRASES), st.text(max_size=40))
def test_a_phrase_is_found_in_any_company(before: str, phrase: str, after: str) -> None:
    text = f"{before} {phrase} {after}"
    assert (phrase, text[len(before) + 1 : len(before) + 1 + len(phrase)]) in found(text)


@pytest.mark.parametrize(
    ("phrase", "written", "words"),
    [
        ("green giant", "Green \n GIANT", EXACTLY),
        ("I'm", "i'm", EXACTLY),
        ("I'm", "im", OTHER_SIGNS),
        ("green giant", "green-giant", OTHER_SIGNS),
        ("green giant", "gréen giant", OTHER_LETTERS),
        ("café", "cafe", OTHER_LETTERS),
        ("green giant", FULL_WIDTH, OTHER_LETTERS),
    ],
)
def test_how_it_was_written_is_told(phrase: str, written: str, words: str) -> None:
    assert how(phrase, written) == words
