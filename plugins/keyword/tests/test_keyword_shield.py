"""Whoever looks for help is nobody's business: not the sites of services that help, and not a search for one."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from appliance.exempt import Exempt, ExemptPlace
from appliance.observations import Surface
from appliance_plugins.keyword.detecting import detect
from appliance_plugins.keyword.engine.engine import Engine
from appliance_plugins.keyword.engine.exclusions import supplied
from appliance_plugins.keyword.innocence.services import ways_of_asking
from appliance_plugins.keyword.innocence.ways import exclusions
from appliance_plugins.keyword.library.shipped import supplied_policies

PLACES = Exempt.load(Path(__file__).parents[3] / "etc" / "help_seeking.yaml").places()


@cache
def engine() -> Engine:
    """The engine of a school that has changed nothing."""
    names = {"people": [], "school": "Bay School", "help": [[place.name, place.host] for place in PLACES]}
    return Engine(supplied_policies(), exclusions(names, (), ()))


def terms(text: str, surface: Surface = Surface.TYPED) -> list[str]:
    return [hit.term.id for hit in engine().find(text, surface)]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.host)
def test_no_address_of_a_place_of_help_is_read(place: ExemptPlace) -> None:
    for address in (
        f"https://www.{place.host}/get-help/i-want-to-kill-myself?q=how+to+cut+yourself",
        f"{place.host}/self-harm/i-want-to-kill-myself",
        place.host.upper(),
    ):
        assert [terms(f"look at {address} ok", surface) for surface in Surface] == [[]] * len(Surface)
        assert terms(address, Surface.ADDRESS) == []


@pytest.mark.parametrize(
    "text",
    [
        "https://notchildline.org.uk/i-want-to-kill-myself",
        "https://childline.org.uk.example.com/i-want-to-kill-myself",
        "https://childline.org.uk@example.com/i-want-to-kill-myself",
        "https://example.com/childline.org.uk/i-want-to-kill-myself",
        "i want to kill myself childline.org.uk",
        "childline.org.uk i want to kill myself",
        "childline.org.uk. i want to kill myself",
    ],
)
def test_what_only_looks_like_one_or_stands_beside_it_is_read(text: str) -> None:
    assert "want-to-kill-myself" in terms(text)


@pytest.mark.parametrize("text", ["https://www.themix.org.uk/how-to-stop-self-harming", "samaritans.org/suicide"])
def test_the_best_known_need_no_school(text: str) -> None:
    assert detect(text) == detect(text, "url") == detect(text, "search") == []


def test_the_best_known_are_among_those_of_the_appliance() -> None:
    assert supplied().sites <= {place.host for place in PLACES}


@pytest.mark.parametrize(
    "text",
    [
        "the mix self harm", "shout self harm", "young minds self harm", "alumina self harm", "beat eating disorder",
        "eating disorder beat", "mind suicidal thoughts", "revenge porn helpline", "national self harm network",
        "childline suicide", "samaritans number suicide", "papyrus suicide prevention", "calm helpline",
    ],
)  # fmt: skip
def test_a_search_for_help_is_nobodys_business(text: str) -> None:
    assert terms(text, Surface.SEARCH) == []


@pytest.mark.parametrize(
    "text", ["calm suicide methods", "shout at him suicide methods", "make up your mind suicide pact"]
)
def test_a_name_that_is_also_a_word_hides_nothing_by_itself(text: str) -> None:
    assert terms(text, Surface.SEARCH)


def test_names_that_nobody_writes_by_chance_need_nothing_beside_them() -> None:
    assert list(ways_of_asking(["Kooth", "Revenge Porn Helpline"])) == ["Kooth", "Revenge Porn Helpline"]
    assert "Mind" not in set(ways_of_asking(["Mind"]))
    assert {"Mind helpline", "text Mind", "Mind self harm"} <= set(ways_of_asking(["Mind"]))
    assert "CALM suicide" not in set(ways_of_asking(["CALM"]))
