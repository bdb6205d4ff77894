"""Folding: the vectors that the browser's code is held to as well, and what must hold for any text."""

from __future__ import annotations

import json
import re
import shutil
import sys
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from playwright.async_api import async_playwright

from appliance_plugins.keyword.engine.folding import APOSTROPHES, DROPPED, PLAIN, fold, words

ROOT = Path(__file__).parents[3]
VECTORS = json.loads((ROOT / "tests" / "vectors" / "folding.json").read_text())
BROWSER = ROOT / "plugins" / "keyword" / "browser" / "main.js"

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
        pieces = "".join(map(fold, text[word.start : word.end])).split(" ")
        assert word.text in pieces


@given(any_text | tricky)
def test_no_letter_is_lost(text: str) -> None:
    assert "".join(word.text for word in words(text)) == "".join(map(fold, text)).replace(" ", "")


@given(any_text | tricky)
def test_what_is_folded_stays_as_it_is(text: str) -> None:
    once = " ".join(word.text for word in words(text))
    assert [word.text for word in words(once)] == once.split()


@given(st.text(st.characters(whitelist_categories=("Ll", "Lu", "Nd"), max_codepoint=0x24F), max_size=50))
def test_capitals_and_accents_make_no_difference(text: str) -> None:
    plain = [word.text for word in words(text)]
    assert [word.text for word in words(unicodedata.normalize("NFD", text))] == plain
    assert [word.text for word in words(text.lower())] == plain


def test_every_character_folds_to_the_same_when_it_is_folded_again() -> None:
    for character in KNOWN:
        folded = fold.__wrapped__(character)
        assert "".join(map(fold.__wrapped__, folded)) == folded, hex(ord(character))


def test_the_browser_has_the_same_tables() -> None:
    code = BROWSER.read_text()
    ranges = [(int(first, 16), int(last, 16)) for first, last in re.findall(r"\[(0x[0-9a-f]+), (0x[0-9a-f]+)\]", code)]
    assert ranges == list(DROPPED)
    apostrophes = re.search(r'APOSTROPHES = new Set\("(.*)"\)', code)
    plain = re.search(r"PLAIN = \{(.*)\};", code)
    assert apostrophes is not None
    assert plain is not None
    assert frozenset(apostrophes[1]) == APOSTROPHES
    assert dict(re.findall(r'(\w): "(\w+)"', plain[1])) == PLAIN


FOLD_ALL = """async (code) => {
    const { words } = await import(`data:text/javascript,${encodeURIComponent(code)}`);
    return Array.from({ length: 0x110000 }, (_, number) =>
        words(String.fromCodePoint(number)).map((word) => word.text).join(" "));
}"""


async def test_the_code_of_the_browser_folds_every_character_alike() -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = await browser.new_page()
        theirs = await page.evaluate(FOLD_ALL, BROWSER.read_text())
        await browser.close()
    for character in KNOWN:
        assert theirs[ord(character)] == " ".join(word.text for word in words(character)), hex(ord(character))
