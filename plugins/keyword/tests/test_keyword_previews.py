"""What pages promise of a term is what happens at this school: previews of a term, and a report about one."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Awaitable, Callable, Iterator
from datetime import date

import pytest

from appliance.access import Role
from appliance.observations import Severity, Surface
from appliance.testing import Client, Home, Running
from appliance_plugins.keyword import _sentences
from appliance_plugins.keyword.choices.applying import changed_term
from appliance_plugins.keyword.choices.model import Change, Decisions
from appliance_plugins.keyword.choices.preview import Previews, in_names, in_sentences
from appliance_plugins.keyword.library.model import Policy, Term
from appliance_plugins.keyword.school import Find, School, finder

Start = Callable[[Home], Awaitable[Running]]
OWN = """\
name: local
title: Words of our school
category: bullying
version: "3"
date: 2026-09-01
owner: Mrs Khan
summary: Words that only our school knows.
defaults: {severity: minor}
terms:
  - id: giant
    phrases: [green giant]
    definition: What a group of year 9 calls one of its members.
  - id: ogre
    phrases: [blue ogre]
    surfaces: [typed, page]
    pages_because: It stands on notes that are handed round.
    definition: What a group of year 8 calls one of its members.
"""
TERM = "/keyword/policies/local/terms"


def find_by(*surfaces: Surface) -> tuple[Find, frozenset[Surface]]:
    """Whoever finds "blue ogre" where it is looked for."""
    term = Term("ogre", ("blue ogre",), "What it means.", Severity.MINOR, frozenset(surfaces))
    policy = Policy("local", "Local", "bullying", "1", date(2026, 9, 1), "somebody", "What it holds.", (term,))
    school = School(Decisions().as_json(), {"school": "A school", "people": ["Ada Blue Ogre"]}, (), "a harmless test")
    return finder(school.judge([policy])), frozenset(surfaces)


def test_sentences_are_tried_where_the_term_is_looked_for() -> None:
    sentences = ["you are a blue ogre", "Ada Blue Ogre is new here", "nothing of it"]
    typed = in_sentences(sentences, *find_by(Surface.SEARCH, Surface.TYPED))
    assert (typed.found, typed.tried, typed.shown) == (1, 3, ("you are a blue ogre",)), (
        "a name of the directory is none"
    )
    assert typed.tried_as == "typed text and search"
    searched = in_sentences(sentences, *find_by(Surface.SEARCH, Surface.ADDRESS))
    assert (searched.found, searched.tried_as) == (1, "search")
    nowhere = in_sentences(sentences, *find_by(Surface.ADDRESS))
    assert (nowhere.tried, nowhere.why_not) == (
        0, "It is looked for in addresses and names of sites alone, which are no sentences.",
    )  # fmt: skip


def test_names_of_sites_are_tried_only_if_the_term_is_looked_for_there() -> None:
    names = ["www.blue-ogre.example", "blue.ogre.example", "www.harmless.example"]
    for surface in (Surface.ADDRESS, Surface.NAME):
        part = in_names(names, *find_by(surface, Surface.TYPED))
        assert (part.found, part.tried, part.shown) == (1, 3, ("www.blue-ogre.example",)), (
            "a phrase is between two dots"
        )
    untried = in_names(names, *find_by(Surface.TYPED))
    assert (untried.tried, untried.why_not) == (0, "It is not looked for in the names of sites.")


def test_no_made_up_sentence_about_what_is_shown_nowhere_reaches_a_preview() -> None:
    assert "i dont want to wake up tomorrow" in _sentences()
    assert not [one for one in _sentences() if "keygen" in one]


def test_a_copy_that_leaves_pages_out_counts_in_titles_though_the_term_did_not() -> None:
    def surfaces(*of: Surface) -> frozenset[Surface]:
        term = Term("ogre", ("blue ogre",), "What it means.", Severity.MINOR, frozenset(of))
        copy = changed_term(term, Change.NOT_PAGES)
        assert copy is not None
        return copy.surfaces

    assert surfaces(Surface.TYPED, Surface.PAGE) == {Surface.TYPED, Surface.TITLE}
    assert surfaces(Surface.PAGE) == {Surface.TITLE}
    assert surfaces(Surface.TYPED) == {Surface.TYPED}, "nothing is looked for in more places than before"


# On a running appliance


@pytest.fixture
async def running(appliance_home: Home, start_appliance: Start) -> Running:
    (appliance_home.folder / "policies").mkdir()
    (appliance_home.folder / "policies" / "local.yaml").write_text(OWN, encoding="utf-8")
    appliance_home.write("plugins: {keyword: {set_texts: [Why are you even alive]}}\n")
    return await start_appliance(appliance_home)


def words(page: str) -> str:
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", page)))


async def previewed(client: Client, **fields: str) -> str:
    form = {"definition": "What some pupils call one another here.", "severity": "minor", "reason": "x", "sure": "yes"}
    answer = await client.post("/keyword/policies/local/add", {**form, **fields, "do": "preview"})
    assert answer.status == 200
    return words(answer.text)


async def test_a_preview_knows_the_school(running: Running) -> None:
    lead = await running.as_role(Role.LEAD)
    page = await previewed(lead, phrases="waste of space", on_search="yes")
    assert re.search(r"Made-up sentences of the test bench 1 of \d+, tried as search\.", page)
    assert "Names of sites of the last 30 days It is not looked for in the names of sites." in page
    assert "0 of 0" not in page
    # a title that is read in class is no hit
    assert "Made-up sentences of the test bench 0 of" in await previewed(lead, phrases="even alive", on_typed="yes")
    illegal = await previewed(lead, phrases="cracked games", on_typed="yes")
    assert "0 of" in illegal
    assert "keygen" not in illegal


class Noting(list[str]):
    """Sentences that know by which threads they were read."""

    def __init__(self, *sentences: str) -> None:
        super().__init__(sentences)
        self.readers: set[threading.Thread] = set()

    def __iter__(self) -> Iterator[str]:
        self.readers.add(threading.current_thread())
        return super().__iter__()


async def test_a_preview_holds_nobody_up(running: Running) -> None:
    plugin = running.appliance.plugins._registered["keyword"].plugin
    sentences = Noting("you are a blue ogre", "nothing of it")
    previews = Previews(running.appliance, lambda: sentences, plugin.school)
    (ogre,) = [policy for policy in plugin.choices.library.policies if policy.name == "local"]
    (part,) = await previews.of(ogre, (await running.as_role(Role.PASTORAL)).actor, None)
    assert (part.found, part.tried) == (1, 2)
    assert len(sentences.readers) == 1
    assert threading.main_thread() not in sentences.readers


async def test_every_supplied_term_can_be_reported_whatever_was_decided(running: Running) -> None:
    lead, deputy = await running.as_role(Role.LEAD), await running.as_role(Role.DEPUTY)
    page = words((await deputy.get(f"{TERM}/giant")).text)
    assert "Tell the authors" in page
    report = await deputy.get(f"{TERM}/giant/report.yaml?wrong=harmless")
    assert report.headers["Content-Disposition"] == 'attachment; filename="report-local-giant.yaml"'
    for line in ('policy: "local"', 'term: "giant"', 'version: "3"', 'reason: "harmless"', "found_in_a_year: 0"):
        assert line in report.text
    assert "change" not in report.text
    assert 'reason: ""' in (await deputy.get(f"{TERM}/giant/report.yaml?wrong=Bea+Pupil")).text
    assert (await deputy.get(f"{TERM}/none/report.yaml")).status == 404

    wish = {"change": "off", "because": "harmless", "reason": "Our play is called that"}
    assert (await deputy.post(f"{TERM}/giant", wish)).status == 303
    for done, state in ((None, "asked for"), ("refuse", "refused")):
        requests = (await lead.get("/keyword/requests")).text
        (link,) = re.findall(r"/keyword/requests/[\w-]+/report\.yaml", requests)
        if done is not None:
            await lead.post(link.removesuffix("/report.yaml"), {"do": done, "reason": "It stays"})
            assert link in (await lead.get("/keyword/requests")).text
        report = await lead.get(link)
        assert f'change_is: "{state}"' in report.text
        assert "play" not in report.text


async def test_leaving_pages_out_is_offered_for_what_is_looked_for_there(running: Running) -> None:
    deputy = await running.as_role(Role.DEPUTY)
    offer = "Do not count it in what pupils read on pages."
    assert offer not in (await deputy.get(f"{TERM}/giant")).text
    assert offer in (await deputy.get(f"{TERM}/ogre")).text
    wish = {"change": "not_pages", "because": "harmless", "reason": "x"}
    refused = await deputy.post(f"{TERM}/giant", wish)
    assert (refused.status, "It is not looked for on pages." in refused.text) == (422, True)
    assert (await deputy.post(f"{TERM}/ogre", wish)).status == 303
    assert "title of a page" in (await deputy.get("/keyword/policies/local")).text
