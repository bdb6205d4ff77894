"""The policy that the README shows is one that the appliance takes, and shows every field that there is."""

from __future__ import annotations

import re
from pathlib import Path

from appliance.config import section_of
from appliance.observations import Surface
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
