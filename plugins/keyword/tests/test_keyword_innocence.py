"""Names of the school's people, its own and titles read in class: what they hide, and what they must not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from appliance.access import PERMISSIONS, Actor, Role
from appliance.clock import new_id, stamp
from appliance.config import ConfigError
from appliance.loading import load
from appliance.observations import Finding, Observation, Surface
from appliance.people.directory import Details
from appliance.testing import Home, Running
from appliance_plugins.keyword.engine.engine import Engine
from appliance_plugins.keyword.engine.exclusions import NAMES
from appliance_plugins.keyword.innocence.ways import exclusions, ways_of_naming
from appliance_plugins.keyword.library.files import PolicyFile

Start = Callable[[Home], Awaitable[Running]]

KEEPER = Actor("Kit Keeper", PERMISSIONS[Role.LEAD], "kit", Role.LEAD)
POLICY = PolicyFile.model_validate(
    {
        "name": "local",
        "title": "Local",
        "category": "bullying",
        "version": "1",
        "date": "2026-09-01",
        "owner": "Mrs Khan",
        "summary": "Words with which names and titles are tried.",
        "defaults": {"severity": "minor"},
        "terms": [
            {"id": "bong", "phrases": ["bong"], "definition": "A pipe for cannabis, and a surname."},
            {"id": "molly", "phrases": ["molly"], "definition": "MDMA, and a first name of many."},
            {"id": "green-giant", "phrases": ["green giant"], "definition": "What somebody is called."},
        ],
    }
).policy()


@pytest.mark.parametrize(
    ("name", "ways"),
    [
        ("Molly Bong", {"Molly Bong", "Mr Bong", "Mrs Bong", "Miss Bong", "Ms Bong", "Dr Bong", "Sir Bong"}),
        ("Molly Ann Bong", {"Molly Ann Bong", "Molly Bong", "Mr Bong"}),
        ("Jan van der Bong", {"Jan van der Bong", "Mr van der Bong"}),
        ("Bong", {"Mr Bong"}),
    ],
)
def test_a_name_is_known_as_people_write_it(name: str, ways: set[str]) -> None:
    found = set(ways_of_naming(name))
    assert ways <= found
    assert all(" " in way for way in found), "no first name and no surname alone"


def test_nobody_is_called_nothing() -> None:
    assert not list(ways_of_naming(" "))


def engine(*people: str, school: str = "", set_texts: tuple[str, ...] = (), watched: tuple[str, ...] = ()) -> Engine:
    return Engine([POLICY], exclusions({"people": people, "school": school}, set_texts, watched))


def terms(engine: Engine, text: str) -> list[str]:
    return [hit.term.id for hit in engine.find(text, Surface.TYPED)]


@pytest.mark.parametrize("text", ["I sit beside Molly Bong", "molly  BONG again", "ask Mr Bong", "miss bong is late"])
def test_a_name_raises_nothing(text: str) -> None:
    assert not terms(engine("Molly Bong"), text)
    assert terms(engine(), text)


@pytest.mark.parametrize(("text", "found"), [("pass the bong", "bong"), ("some molly tonight", "molly")])
def test_a_first_name_or_a_surname_alone_hides_nothing(text: str, found: str) -> None:
    assert terms(engine("Molly Bong"), text) == [found]


def test_whoever_is_called_like_a_whole_term_hides_nothing() -> None:
    assert terms(engine("Green Giant"), "the green giant is back") == ["green-giant"]


@pytest.mark.parametrize("watched", ["bong", "Molly Bong", "MOLLY"])
def test_no_name_hides_one_that_is_watched_for(watched: str) -> None:
    """The term of a watched name is one of a policy like any other."""
    assert "bong" in terms(engine("Molly Bong", watched=(watched,)), "Molly Bong")


def test_the_school_and_its_texts_raise_nothing() -> None:
    told = engine(school="Molly Green School", set_texts=("The Bong Tree Shore",))
    assert not terms(told, "at Molly Green School we read the bong tree shore")
    assert terms(told, "molly from the bong") == ["molly", "bong"]


def test_the_explanation_says_that_names_were_tried_and_no_name() -> None:
    """Whoever reads a capture of one pupil need not learn who else is at the school."""
    (hit,) = engine("Molly Bong", "Ann Bong").find("a bong in the shed", Surface.TYPED)
    assert hit.tried[0] == NAMES
    assert not [told for told in hit.tried if "Molly" in told or "Ann" in told]


def test_explanations_look_words_up() -> None:
    """They do not go through everybody's name for each hit."""
    by_word = exclusions({"people": [f"Molly Sur{number}" for number in range(2000)], "school": ""}, (), ()).by_word()
    assert NAMES in by_word["molly"]
    assert by_word["sur17"] == (NAMES,)


# In a running appliance


@pytest.fixture
async def running(appliance_home: Home, start_appliance: Start) -> Running:
    appliance_home.write(
        "school: {name: Cocaine Hill School}\nplugins: {keyword: {set_texts: [The Opium Eater of Leeds]}}\n"
    )
    return await start_appliance(appliance_home)


async def judged(running: Running, text: str) -> list[Finding]:
    await running.appliance.detection._there.wait()
    return list(await running.appliance.detection.judge(Observation(new_id(), stamp(), Surface.TYPED, text)))


async def test_somebody_new_is_known_within_a_minute(running: Running) -> None:
    text = "I sit beside Ann Cocaine"
    assert await judged(running, text)
    assert not await judged(running, "I go to Cocaine Hill School")
    assert not await judged(running, "we read the opium eater of leeds")
    detection = running.appliance.detection
    launched = detection._child
    for name in ("Ann Cocaine", "Ben Cocaine"):
        person = await running.appliance.directory.add(KEEPER, Details("pupil", name))
    await running.delivered()
    assert (detection._child, detection._timer) == (launched, None), "many changes are one new process, and not at once"
    await running.run_job("keyword", "names of the directory")
    assert detection._timer is not None
    await detection.refresh()
    assert not await judged(running, text)
    assert not await judged(running, "Mrs Cocaine teaches maths")
    found = await judged(running, "he sells cocaine")
    assert any(NAMES in one.tried for one in found)
    await running.appliance.directory.mark_left(KEEPER, person)
    await detection.refresh()
    assert await judged(running, "I sit beside Ben Cocaine")


async def test_groups_and_devices_change_nothing(running: Running) -> None:
    detection = running.appliance.detection
    await judged(running, "hello")
    await running.appliance.directory.groups.make(KEEPER, "form", "10A")
    await running.delivered()
    await running.run_job("keyword", "names of the directory")
    assert detection._timer is None


async def test_a_title_of_one_word_is_refused(appliance_home: Home) -> None:
    appliance_home.write("plugins: {keyword: {set_texts: [Suicide]}}\n")
    with pytest.raises(ConfigError, match="one word"):
        await load(appliance_home.place)
