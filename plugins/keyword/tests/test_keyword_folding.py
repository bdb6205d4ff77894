"""Folding: the vectors that the browser's code is held to as well, and what must hold for any text."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from needles_in_chromium import in_chromium

from appliance_plugins.keyword.engine.folding import Table, fold, words

ROOT = Path(__file__).parents[3]
VECTORS = json.loads((ROOT / "tests" / "vectors" / "folding.json").read_text())

KNOWN = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) not in {"Cn", "Co"}]
"""Every character that Python knows; a browser may know newer ones."""

any_text = st.text(st.characters(blacklist_categories=()), max_size=200)
tricky = st.text(st.sampled_from("aBé’'\u200b\u0301ßıİΣς½ﬁ-_ .\n\u00ad🐧हिि\u064bَ\ud800"), max_size=60)  # noqa: RUF001


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["about"])
def test_the_vectors_hold(vector: dict[str, list[object]]) -> None:
    assert [list(word) for word in words(str(vector["text"]))] == vector["tokens"]


@given(any_text | tricky)
def test_each_word_stands_where_it_is_said_to_stand(text: str) -> None:
    end = 0
    for word in words(text):
        assert 0 <= word.start < word.end <= len(text)
        assert word.start >= end - 1  # one character may end a word and begin the next
        end = word.end
        folded = "".join(map(fold, text[word.start : word.end]))
        assert word.text in re.split(r"[\x00-\x2f\x3a-\x60\x7b-\x7f]+", folded)


@given(any_text | tricky)
def test_what_is_folded_stays_as_it_is(text: str) -> None:
    once = " ".join(word.text for word in words(text))
    assert [word.text for word in words(once)] == once.split()


@given(st.text(st.characters(whitelist_categories=("Ll", "Lu", "Nd"), max_codepoint=0x24F), max_size=50))
def test_accents_make_no_difference(text: str) -> None:
    plain = [word.text for word in words(text)]
    assert [word.text for word in words(unicodedata.normalize("NFD", text))] == plain


@given(st.text(st.characters(max_codepoint=0x7F), max_size=50))
def test_capitals_make_no_difference(text: str) -> None:
    assert [word.text for word in words(text.upper())] == [word.text for word in words(text.lower())]


def test_every_character_folds_to_the_same_when_it_is_folded_again() -> None:
    for character in KNOWN:
        folded = fold(character)
        assert "".join(map(fold, folded)) == folded, hex(ord(character))


FOLD_VECTORS = """async (texts) => {
    const { words } = await import('/main.js');
    const points = (text, end) => Array.from(text.slice(0, end)).length;
    return texts.map((text) =>
        words(text).map((word) => [word.text, points(text, word.start), points(text, word.end)]));
}"""
FOLD_ALL = """async (known) => {
    const { words } = await import('/main.js');
    const others = [];
    for (const code of known) {
        const character = String.fromCodePoint(code);
        const folded = words(character).map((word) => word.text).join(" ");
        if (folded !== character) others.push([code, folded]);
    }
    return others;
}"""
"""What folds to something else than itself: a million answers take long to be handed over."""


async def test_the_code_of_the_browser_folds_every_character_alike() -> None:
    codes = list(map(ord, KNOWN))
    async with in_chromium() as chromium:
        theirs = {chr(code): folded for code, folded in await chromium.page.evaluate(FOLD_ALL, codes)}
    table = Table()
    for character in KNOWN:
        ours = " ".join(word.text for word in words(character, table))
        assert theirs.get(character, character) == ours, hex(ord(character))


async def test_the_code_of_the_browser_finds_the_same_words_in_the_vectors() -> None:
    async with in_chromium() as chromium:
        found = await chromium.page.evaluate(FOLD_VECTORS, [vector["text"] for vector in VECTORS])
    for vector, tokens in zip(VECTORS, found, strict=True):
        assert tokens == vector["tokens"], vector["about"]
