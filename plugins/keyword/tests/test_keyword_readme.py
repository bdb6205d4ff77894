"""The policy that the README shows is one that the appliance takes, and shows every field that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.config import section_of
from appliance.observations import Surface
from appliance_plugins.keyword import detect
from appliance_plugins.keyword.engine.engine import Engine
from appliance_plugins.keyword.library.files import Defaults, PolicyFile, TermEntry

README = Path(__file__).parents[1] / "README.md"


def example() -> str:
    (found,) = re.findall(r"^```yaml\n(.*?)^```$", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


def test_the_example_is_taken_and_finds_what_it_says() -> None:
    policy = section_of(example(), README, PolicyFile)[0].policy()
    engine = Engine([policy])
    for text, found in (
        ("here comes the jolly green ogre", ["green-giant"]),
        ("a big green big one, gr33n g0blin", ["green-giant", "green-giant"]),
        ("meeting behind the bike sheds at lunch", ["sheds"]),
        ("bike sheds", []),
        ("bike repair at the bike sheds at lunch", []),
    ):
        assert [hit.term.id for hit in engine.find(text, Surface.TYPED)] == found, text


def test_the_example_shows_every_field() -> None:
    text = example()
    for model in (PolicyFile, Defaults, TermEntry):
        for name in model.model_fields:
            assert re.search(rf"\b{name}:", text), name


@pytest.mark.parametrize("words", ["childline", "samaritans self harm", "childline suicide"])
def test_a_search_for_help_is_never_found(words: str) -> None:
    assert detect(words, "search") == []


@pytest.mark.parametrize("words", ["i want to kill myself childline", "samaritans i want to kill myself"])
def test_what_somebody_says_of_themselves_is_found_whatever_service_is_named_beside_it(words: str) -> None:
    assert "suicide/want-to-kill-myself" in [found.term for found in detect(words, "search")]
