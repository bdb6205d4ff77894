"""What the supplied policies find in plain writing they still find when it is disguised."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator

import pytest
from evasions import KINDS

from appliance.observations import Surface
from appliance_plugins.keyword.detecting import supplied_engine
from appliance_plugins.keyword.library.reading import read_policies

PER_KIND = 200
SEED = 20261126
AROUND = ("well {} today", "i said {} ok", "{}", "then {} and left")
FEWEST_LETTERS = 8
PLAIN = re.compile("[a-z ]+")


def lines() -> Iterator[tuple[str, str, str]]:
    """Category, phrase, and a line around it, of phrases of several words that are found in plain writing."""
    source = random.Random(SEED)
    phrases = [
        (policy.category, phrase.lower())
        for policy in read_policies(None)
        for term in policy.terms
        if term.language == "en" and not term.near and Surface.TYPED in term.surfaces
        for phrase in term.phrases
        if PLAIN.fullmatch(phrase.lower()) and " " in phrase and len(phrase.replace(" ", "")) >= FEWEST_LETTERS
    ]
    source.shuffle(phrases)
    for category, phrase in phrases:
        around = source.choice(AROUND)
        if is_found(category, around.format(phrase)):
            yield category, phrase, around


def is_found(category: str, text: str) -> bool:
    return any(hit.policy.category == category for hit in supplied_engine().find(text, Surface.TYPED))


@pytest.mark.parametrize("kind", KINDS)
def test_altered_phrases_are_still_found(kind: str) -> None:
    alter, wanted = KINDS[kind]
    source = random.Random(SEED)
    missed: list[str] = []
    tried = 0
    for category, phrase, around in lines():
        text = around.format(alter(source, phrase))
        tried += 1
        if not is_found(category, text):
            missed.append(text)
        if tried == PER_KIND:
            break
    assert tried == PER_KIND
    assert 100 * (tried - len(missed)) >= wanted * tried, missed
