"""The school's decisions over supplied policies: what is then looked for, who may decide, and what the record says."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
import pytest_asyncio
from accounts import no_store_is_left_open

from appliance.access import Role
from appliance.captures.keeping import Seen
from appliance.clock import new_id, stamp
from appliance.errors import Refused
from appliance.observations import Finding, Observation, Severity, Surface
from appliance.testing import HELP_SEEKING, Client, Home, Running, free_port, start_in_process
from appliance_plugins.keyword.bundles.running import Material
from appliance_plugins.keyword.choices.applying import apply, own_term
from appliance_plugins.keyword.choices.model import Change, Changed, Decisions, Name, OwnPolicy, OwnTerm
from appliance_plugins.keyword.choices.store import Wish
from appliance_plugins.keyword.judge import Judge
from appliance_plugins.keyword.library.identities import says_who
from appliance_plugins.keyword.library.model import Matching, Policy, Term
from appliance_plugins.keyword.library.shipped import supplied_policies
from appliance_plugins.keyword.views import search

__all__ = ["no_store_is_left_open"]

HIDDEN = """\
name: secret_list
title: Secret list
category: illegal
version: "1"
date: 2026-09-01
owner: An authority
summary: Words that nobody is shown before they are found.
hidden: true
terms:
  - {id: zebra, phrases: [purple zebra stripes, zebra in mauve], severity: severe, definition: A hidden made-up thing.}
  - {id: lion, phrases: [purple lion spots], severity: moderate, definition: Another hidden thing that is never found.}
"""
OWN = """\
name: local
title: Words of our school
category: bullying
version: "3"
date: 2026-09-01
owner: Mrs Khan
summary: Words that only our school knows.
terms:
  - id: green-giant
    phrases: [green giant]
    severity: minor
    surfaces: [typed, page]
    pages_because: It stands on notes that are handed round.
    definition: What a group of year 9 calls one of its members.
"""
ENTRY = {
    "id": "own-1",
    "phrases": ["blue (goblin|ogre)"],
    "definition": "What some pupils call one another here.",
    "severity": "moderate",
    "surfaces": ["typed"],
}


# Pure


@pytest.fixture(scope="module")
def supplied() -> tuple[Policy, ...]:
    """Two policies, so that these tests hold whatever is supplied."""
    day, typed = date(2026, 9, 1), frozenset({Surface.TYPED, Surface.SEARCH})
    read = typed | {Surface.PAGE, Surface.TITLE}
    means = "What it means and why it may matter."
    suicide = (
        Term("want-to-die", ("I want to die",), means, Severity.SEVERE, typed),
        Term("kill-myself", ("kill myself",), means, Severity.MODERATE, typed),
        Term(
            "ways", ("ways to kill myself",), means, Severity.SEVERE, read, pages_because="Nobody reads it by chance."
        ),
    )
    bullying = (Term("loser", ("you are a loser",), means, Severity.MINOR, typed),)
    return (
        Policy("suicide", "Suicide", "suicide", "1.0", day, "the makers", "What a policy holds.", suicide),
        Policy("bullying", "Bullying", "bullying", "1.0", day, "the makers", "What a policy holds.", bullying),
    )


def term_ids(policies: tuple[Policy, ...], name: str) -> set[str]:
    return {term.id for policy in policies if policy.name == name for term in policy.terms}


def decided(**parts: Any) -> dict[str, Any]:
    """As it comes to the detection process: through JSON."""
    return json.loads(json.dumps(Decisions(**parts).as_json()))


def test_without_decisions_everything_is_as_supplied(supplied: tuple[Policy, ...]) -> None:
    assert apply(supplied, {}) == supplied
    assert apply(supplied, decided()) == supplied


def test_a_term_that_is_off_is_not_there_in_any_version(supplied: tuple[Policy, ...]) -> None:
    found = apply(supplied, decided(changed=(Changed("suicide", "want-to-die", Change.OFF),)))
    assert term_ids(supplied, "suicide") - term_ids(found, "suicide") == {"want-to-die"}


def test_a_stricter_copy_takes_the_place_of_a_supplied_term(supplied: tuple[Policy, ...]) -> None:
    found = apply(supplied, decided(changed=(Changed("suicide", "want-to-die", Change.EXACT),)))
    (copy,) = [term for policy in found for term in policy.terms if term.id == "want-to-die-ours"]
    assert copy.matching is Matching.EXACT
    assert "want-to-die" not in term_ids(found, "suicide")


def test_a_copy_that_leaves_pages_out_keeps_titles(supplied: tuple[Policy, ...]) -> None:
    term = next(one for policy in supplied for one in policy.terms if Surface.PAGE in one.surfaces)
    policy = next(one for one in supplied if term in one.terms)
    found = apply(supplied, decided(changed=(Changed(policy.name, term.id, Change.NOT_PAGES),), reading=(policy.name,)))
    (copy,) = [one for other in found for one in other.terms if one.id == f"{term.id}-ours"]
    assert Surface.PAGE not in copy.surfaces
    assert Surface.TITLE in copy.surfaces


def test_where_a_supplied_term_counts_can_be_chosen(supplied: tuple[Policy, ...]) -> None:
    chosen = (Surface.SEARCH, Surface.PAGE)
    change = Changed("suicide", "want-to-die", Change.WHERE, chosen)
    for reading, too in (((), set()), (("suicide",), {Surface.PAGE, Surface.TITLE})):  # who has that level keeps it
        found = apply(supplied, decided(changed=(change,), reading=reading))
        (copy,) = [term for policy in found for term in policy.terms if term.id == "want-to-die-ours"]
        assert copy.surfaces == {*chosen, *too}
    assert change.words == "Only in: search, text on a page"
    before = {"policy": "suicide", "term": "want-to-die", "change": "exact"}
    assert Decisions.of_json({**decided(), "changed": [before]}).changed[0].surfaces == ()


def test_own_policies_own_terms_and_names_are_looked_for(supplied: tuple[Policy, ...]) -> None:
    found = apply(
        supplied,
        decided(
            policies=(OwnPolicy("own_slang", "Slang", "bullying", "Our slang.", "2026-09-01", 2),),
            terms=(OwnTerm("own_slang", ENTRY), OwnTerm("suicide", {**ENTRY, "id": "own-2"})),
            names=(Name("n1", "Bea Pupil", "2026-12-01T00:00:00.000Z"),),
        ),
    )
    by_name = {policy.name: policy for policy in found}
    assert by_name["own_slang"].terms[0].phrases == ("blue goblin", "blue ogre")
    assert "own-2" in term_ids(found, "suicide")
    names = by_name["names_watched_for"]
    assert names.hidden
    assert names.terms[0].matching is Matching.EXACT
    assert names.terms[0].severity is Severity.MODERATE


def test_of_two_terms_with_one_id_the_schools_counts(supplied: tuple[Policy, ...]) -> None:
    """A later version of a policy may bring an id that the school has used before."""
    found = apply(supplied, decided(terms=(OwnTerm("suicide", {**ENTRY, "id": "kill-myself"}),)))
    (suicide,) = [policy for policy in found if policy.name == "suicide"]
    assert [term.id for term in suicide.terms] == ["want-to-die", "ways", "kill-myself"]
    assert suicide.terms[-1].phrases == ("blue goblin", "blue ogre")


def test_a_term_that_no_longer_fits_the_rules_costs_nothing_else(supplied: tuple[Policy, ...]) -> None:
    wrong = {**ENTRY, "id": "own-3", "severity": "mild"}
    found = apply(supplied, decided(terms=(OwnTerm("suicide", wrong), OwnTerm("suicide", ENTRY))))
    assert term_ids(found, "suicide") - term_ids(supplied, "suicide") == {"own-1"}
    assert own_term("suicide", wrong) is None


def test_a_policy_that_counts_in_what_is_read_has_every_term_there(supplied: tuple[Policy, ...]) -> None:
    found = apply(supplied, decided(reading=("bullying",)))
    assert all(Surface.PAGE in term.surfaces for policy in found if policy.name == "bullying" for term in policy.terms)
    assert [policy for policy in found if policy.name != "bullying"] == [
        policy for policy in supplied if policy.name != "bullying"
    ]


def test_what_is_watched_for_stands_in_no_log() -> None:
    assert "Bea" not in repr(Name("n1", "Bea Pupil", ""))


# On a running appliance


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("choices") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    (folder / "policies").mkdir()
    (folder / "policies" / "secret.yaml").write_text(HIDDEN, encoding="utf-8")
    (folder / "policies" / "local.yaml").write_text(OWN, encoding="utf-8")
    home.write("plugins: {keyword: {}}\n")
    found = await start_in_process(home)
    yield found
    await found.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lead(running: Running) -> Client:
    """The first lead, who can open what is sealed."""
    found = await running.as_role(Role.LEAD, name="Lena Lead")
    await running.appliance.vaults.start()
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deputy(running: Running) -> Client:
    return await running.as_role(Role.DEPUTY, name="Dan Deputy")


def plugin(running: Running) -> Any:
    return running.appliance.plugins._registered["keyword"].plugin


async def terms(running: Running, text: str, surface: Surface = Surface.TYPED) -> list[str]:
    """What is found in a text as everything is set now, but for the supplied policies.

    It is made of the data that the detection process gets, as there: ``test_keyword_plugin`` asks the process itself.
    """
    data = json.loads(json.dumps(await plugin(running).data_for_detection()))
    in_force = Material.of_json(data["bundles"]).over(plugin(running)._settings.policies).policies
    supplied = {policy.name for policy in supplied_policies()}
    policies = [policy for policy in apply(in_force, data["choices"]) if policy.name not in supplied]
    found = Judge(policies, "a test").detect(Observation(new_id(), stamp(), surface, text))
    return [finding.term for finding in found]


async def audit(running: Running, action: str) -> list[dict[str, Any]]:
    rows = await running.appliance.records.fetch("SELECT * FROM audit WHERE action = ? ORDER BY seq", (action,))
    return [dict(row) for row in rows]


WISH = {"change": "off", "because": "harmless", "reason": "Our play is called that"}
TERM = "/keyword/policies/local/terms/green-giant"

loop = pytest.mark.asyncio(loop_scope="module")


def told(page: str) -> list[str]:
    """The fields that the summary of a form names, in its order."""
    summary = re.search(r'class="error-summary".*?</ul>', page, re.DOTALL)
    return re.findall(r'href="#([^"]+)"', summary[0]) if summary is not None else []


@loop
async def test_the_lead_decides_whether_a_supplied_term_goes_off(
    running: Running, lead: Client, deputy: Client
) -> None:
    assert "green giant" in (await deputy.get(TERM)).text
    assert told((await deputy.post(TERM, {})).text) == ["change", "because", "reason"]
    assert (await deputy.post(TERM, {**WISH, "reason": " "})).status == 422
    assert (await deputy.post(TERM, WISH)).status == 303
    assert await terms(running, "the green giant") == ["local/green-giant"]
    asked_for = (await deputy.get(TERM)).text
    assert "Somebody has asked the safeguarding lead to change this term already" in asked_for
    assert 'name="change"' not in asked_for
    assert "Look at “Changes of supplied terms”" in (await deputy.post(TERM, WISH)).text
    page = (await lead.get("/keyword/requests")).text
    assert "Our play is called that" in page
    assert "It is mostly found in harmless sentences" in page
    assert "asks to switch off a term" in (await lead.get("/notices")).text
    request = the_id(page)
    assert "Your sign-in does not allow this" in (await decide(deputy, request, "grant")).text
    silent = await decide(lead, request, "grant", "")
    assert (silent.status, told(silent.text)) == (422, [f"reason-{request}"])
    assert f'id="reason-{request}-error"' in silent.text
    assert (await decide(lead, request, "grant")).status == 303
    assert await terms(running, "the green giant") == []
    assert "Switched off by the school" in (await lead.get("/keyword/policies/local")).text
    assert "the term is off" in (await deputy.get("/notices")).text
    assert await running.appliance.notices.unread(lead.actor) == [], "it was decided"
    (asked,) = await audit(running, "asked to change a supplied term")
    (done,) = await audit(running, "switched a supplied term off")
    assert (asked["actor"], done["actor"]) == ("Dan Deputy", "Lena Lead")
    assert "Our play" not in asked["detail"]
    assert (await decide(lead, request, "grant")).status == 422  # it was decided

    report = (await lead.get(f"/keyword/requests/{request}/report.yaml")).text
    for line in ('policy: "local"', 'term: "green-giant"', 'version: "3"', 'reason: "harmless"', "false_positives: 0"):
        assert line in report
    assert "play" not in report

    assert (await decide(deputy, request, "on", "The play is over")).status == 303
    assert await terms(running, "the green giant") == ["local/green-giant"]
    assert "The play is over" in (await lead.get("/keyword/policies/local")).text


def the_id(page: str) -> str:
    found = re.search(r"/keyword/\w+/([0-9a-f-]{36})", page)
    assert found is not None
    return found[1]


async def decide(client: Client, request: str, do: str, reason: str = "Because of the play") -> Any:
    return await client.post(f"/keyword/requests/{request}", {"do": do, "reason": reason})


@loop
async def test_a_noisy_term_is_made_stricter_at_once(running: Running, lead: Client, deputy: Client) -> None:
    assert await terms(running, "the greeen giant") == ["local/green-giant"]
    assert (await deputy.post(TERM, {**WISH, "change": "exact"})).status == 303
    assert await terms(running, "the greeen giant") == []
    assert await terms(running, "the green giant") == ["local/green-giant-ours"]
    page = (await lead.get("/keyword/policies/local")).text
    assert "whole words only" in page
    (row,) = await audit(running, "made a supplied term stricter")
    assert json.loads(row["detail"])["change"] == "exact"
    assert (await decide(deputy, the_id((await lead.get("/keyword/requests")).text), "on")).status == 303


WHERE = {**WISH, "change": "where", "reason": "It is sung in assembly"}


@loop
async def test_a_supplied_term_counts_in_more_places_at_once(running: Running, lead: Client, deputy: Client) -> None:
    everywhere = dict.fromkeys(("on_typed", "on_email", "on_search", "on_page"), "yes")
    assert await terms(running, "the green giant", Surface.SEARCH) == []
    assert (await deputy.post(TERM, WHERE)).status == 422
    assert "Tick where it is to count" in (await deputy.post(TERM, WHERE)).text
    assert (await deputy.post(TERM, {**WHERE, **everywhere})).status == 303
    for surface in (Surface.SEARCH, Surface.TYPED, Surface.PAGE):
        assert (surface, await terms(running, "the green giant", surface)) == (surface, ["local/green-giant-ours"])
    page = (await lead.get("/keyword/requests")).text
    assert "Only in: typed text, email being written, text on a page, search" in page
    (row,) = await audit(running, "made a supplied term count in other places")
    assert json.loads(row["detail"])["surfaces"] == "typed email page search"
    assert (await decide(deputy, the_id(page), "on")).status == 303
    assert await terms(running, "the green giant", Surface.SEARCH) == []


@loop
async def test_the_lead_decides_whether_a_supplied_term_counts_in_fewer_places(
    running: Running, lead: Client, deputy: Client
) -> None:
    answer = await deputy.post(TERM, {**WHERE, "on_search": "yes"})
    assert answer.status == 303
    assert await terms(running, "the green giant") == ["local/green-giant"], "nobody has decided yet"
    assert "asks to change where a term counts of the policy" in (await lead.get("/notices")).text
    page = (await lead.get("/keyword/requests")).text
    assert "Change it so" in page
    assert (await decide(lead, the_id(page), "grant")).status == 303
    assert await terms(running, "the green giant") == []
    assert await terms(running, "the green giant", Surface.SEARCH) == ["local/green-giant-ours"]
    assert "the term counts where you asked for" in (await deputy.get("/notices")).text
    *_, row = await audit(running, "made a supplied term count in other places")
    assert json.loads(row["detail"])["surfaces"] == "search"
    assert (await decide(deputy, the_id((await lead.get("/keyword/requests")).text), "on")).status == 303
    wish = Wish("local", "green-giant", "3", Change.WHERE, "harmless", "x", (Surface.SEARCH,))
    with pytest.raises(Refused, match="the safeguarding lead decides"):
        await plugin(running).choices.decisions.tweak(deputy.actor, wish)
    pastoral = await running.as_role(Role.PASTORAL, name="Pat Pastoral")
    answer = await pastoral.post(TERM, {**WISH, "change": "exact"})
    assert (answer.status, "Your sign-in does not allow this" in answer.text) == (422, True)
    with pytest.raises(Refused, match="Choose where"):
        await plugin(running).choices.decisions.tweak(deputy.actor, replace(wish, surfaces=()))


@loop
async def test_a_school_policy_and_its_term_are_made_changed_and_ended(
    running: Running, lead: Client, deputy: Client
) -> None:
    policy = {"title": "Slang & such", "category": "bullying", "summary": "What pupils say here.", "reason": "New"}
    assert (await deputy.post("/keyword/new", {**policy, "summary": "short"})).status == 422
    for title, words in (
        ("", "Give it a name, such as"),
        ("!!!", "a name with letters in it"),
        ("x" * 101, "The name is too long"),
        ("Suicide", "There is a policy called “Suicide” already."),
        (" words  of our SCHOOL", "There is a policy called “Words of our school” already."),
    ):
        refused = await deputy.post("/keyword/new", {**policy, "title": title})
        assert (refused.status, f'<a href="#title">{words}' in refused.text or words in refused.text) == (422, True)
        assert 'id="title-error"' in refused.text
    answer = await deputy.post("/keyword/new", policy)
    assert answer.headers["Location"] == "/keyword/policies/own_slang_such/add"
    path = "/keyword/policies/own_slang_such"
    term = {
        "phrases": "blue (goblin|ogre)\nthat blue one", "definition": "What some pupils call one another here.",
        "severity": "moderate", "on_typed": "yes", "matching": "loose", "picture": "yes", "reason": "Heard in year 8",
    }  # fmt: skip
    for change, words in (
        ({"phrases": ""}, "one way to say it on each line"),
        ({"definition": "Short."}, "what it means and why it may matter"),
        ({"severity": ""}, "Choose how severe it is"),
        ({"on_typed": None}, "Choose where it is looked for"),
        ({"on_page": "yes"}, "Say why it is also looked for in what is read"),
        ({"phrases": "blue (goblin"}, "do not fit together"),
        ({"clip_seconds": "many"}, "Write a number of seconds"),
        ({"reason": ""}, "Say why, so that"),
    ):
        fields = {name: value for name, value in {**term, **change}.items() if value is not None}
        wrong = await deputy.post(f"{path}/add", fields)
        assert (wrong.status, words in wrong.text) == (422, True), words
        assert "Heard in year 8" in wrong.text or change == {"reason": ""}
    nothing = await deputy.post(f"{path}/add", {"on_page": "yes"})
    assert told(nothing.text) == ["phrases", "definition", "severity", "pages_because", "reason"]
    around = await deputy.post(f"{path}/add", {**term, "near": "hat (", "unless": "x" * 1001, "clip_seconds": "many"})
    assert told(around.text) == ["near", "unless", "clip_seconds"]
    assert "Write every bracket with its partner" in around.text
    assert "A line is too long: write at most 1000 characters" in around.text
    ticked = await deputy.post(f"{path}/add", {**term, "phrases": "", "captures": "yes"})
    assert 'name="captures" value="yes" checked' in ticked.text
    assert (await deputy.post(f"{path}/add", term)).status == 303
    (found,) = await terms(running, "you are a blue ogre")
    page = (await lead.get(path)).text
    assert "that blue one" in page
    assert "Heard in year 8" in page
    edit = f"{path}/own/{found.partition('/')[2]}"
    assert "blue (goblin|ogre)" in (await deputy.get(edit)).text
    sign = await deputy.post(edit, {**term, "phrases": "blue \U0001f921"})
    assert "has a picture sign in it" in sign.text
    rare = {"phrases": "purple \U0001d4efish", "definition": "They put \U0001f351 behind it here."}
    assert (await deputy.post(edit, {**term, **rare})).status == 303
    assert (await deputy.post(edit, {**term, "phrases": "blue ogre", "severity": "severe"})).status == 303
    assert await terms(running, "you are a blue goblin") == []
    assert await terms(running, "you are a blue ogre") == [found]
    for address, what in ((edit, "Stop looking for it"), (path, "End this policy")):
        without = await deputy.post(f"{address}/end", {"reason": " "})
        assert (without.status, "There is a problem" in without.text) == (422, True)
        assert re.search(rf'<details class="card" open>\s*<summary>{what}', without.text)
        assert '<a href="#end-reason">Say why, so that the next person understands.</a>' in without.text
        assert "Say why" not in (await deputy.get(address)).text, "nothing was done that could be told as done"
    assert await terms(running, "you are a blue ogre") == [found]
    assert (await deputy.post(f"{edit}/end", {"reason": "Gone"})).status == 303
    assert await terms(running, "you are a blue ogre") == []
    assert (await deputy.get(edit)).status == 404
    assert (await deputy.post(f"{path}/end", {"reason": "Over"})).status == 303
    assert (await lead.get(path)).status == 404
    assert all(
        "ogre" not in row["detail"] + row["subject"] for row in await audit(running, "wrote a term of the school’s own")
    )


@loop
async def test_a_page_tells_that_a_term_of_the_schools_takes_the_place_of_another(
    running: Running, lead: Client
) -> None:
    entry = {**ENTRY, "id": "green-giant"}  # as if a later version of the policy had brought the same id
    await plugin(running).choices.decisions.put_term(lead.actor, "local", entry, "Ours came first")
    page = (await lead.get("/keyword/policies/local")).text
    assert "An update has brought a term of the same name. Yours counts in its place" in page
    assert await terms(running, "the green giant") == []
    assert await terms(running, "a blue goblin") == ["local/green-giant"]
    await plugin(running).choices.decisions.end_term(lead.actor, "local", "green-giant", "Theirs is better")
    assert await terms(running, "the green giant") == ["local/green-giant"]


@loop
async def test_a_poor_term_is_warned_of_and_tried_first(running: Running, deputy: Client) -> None:
    term = {
        "phrases": "gob", "definition": "A word for a mouth that is used to insult.", "severity": "minor",
        "on_typed": "yes", "reason": "Heard often",
    }  # fmt: skip
    first = await deputy.post("/keyword/policies/local/add", term)
    assert first.status == 422
    for words in (
        "fewer than 4 letters",
        "A single word is found wherever it stands",
        "you are gob",
        "I have read this",
    ):
        assert words in first.text, words
    preview = await deputy.post("/keyword/policies/local/add", {**term, "do": "preview"})
    assert preview.status == 200
    assert "keeps no other text" in preview.text
    assert await terms(running, "shut your gob") == []
    assert (await deputy.post("/keyword/policies/local/add", {**term, "sure": "yes"})).status == 303
    (found,) = await terms(running, "shut your gob")
    await deputy.post(f"/keyword/policies/local/own/{found.partition('/')[2]}/end", {"reason": "A test"})


@pytest.mark.parametrize(
    ("phrase", "alone"),
    [
        *[(phrase, True) for phrase in ("gay", "Muslims", "trans", "a Jew", "Irish Travellers", "autistic children")],
        *[(phrase, True) for phrase in ("non-binary", "black boys", "Jehovah’s Witness", "the gypsies", "Polish")],
        *[(phrase, True) for phrase in ("i am gay", "hes gay", "is Muslim", "my brother is trans", "im autistic")],
        *[
            (phrase, False)
            for phrase in ("you are gay", "that is so gay", "kill all Muslims", "people", "blue ogre", "gay lord")
        ],
    ],
)
def test_a_phrase_that_says_no_more_than_who_somebody_is_is_known(phrase: str, alone: bool) -> None:
    assert says_who(phrase) is alone


@loop
async def test_who_somebody_is_is_no_term(running: Running, deputy: Client) -> None:
    term = {
        "phrases": "blue ogre\n(gay|lesbian)", "definition": "A word that some pupils use to insult others here.",
        "severity": "moderate", "on_typed": "yes", "reason": "Heard often", "sure": "yes",
    }  # fmt: skip
    for do in ("", "preview"):
        refused = await deputy.post("/keyword/policies/local/add", {**term, "do": do})
        assert (refused.status, "only says who somebody is, and pupils write it of themselves" in refused.text) == (
            422,
            True,
        )
    kept = await deputy.post("/keyword/policies/local/add", {**term, "near": "disgusting"})
    assert kept.status == 303
    assert await terms(running, "I am gay") == []
    (found,) = await terms(running, "gay and disgusting")
    await deputy.post(f"/keyword/policies/local/own/{found.partition('/')[2]}/end", {"reason": "A test"})


@loop
async def test_hidden_words_stand_nowhere(running: Running, lead: Client) -> None:
    for path in ("/keyword", "/keyword?words=zebra", "/keyword/policies/secret_list", "/keyword/requests"):
        page = (await lead.get(path)).text
        assert "purple" not in page, path
        assert "A made-up thing" not in page, path
        assert "zebra" not in page or "words=zebra" in path, path
    page = (await lead.get("/keyword/policies/secret_list")).text
    assert "1 Severe" in page
    assert "None of its words was found yet" in page
    assert (await lead.get("/keyword/policies/secret_list/terms/zebra")).status == 404
    assert (await lead.get("/keyword/policies/secret_list/add")).status == 404


@loop
async def test_terms_are_searched(lead: Client) -> None:
    page = (await lead.get("/keyword?words=green giant")).text
    assert 'href="/keyword/policies/local#green-giant"' in page
    assert "0 terms with" in (await lead.get("/keyword?words=nonsense12")).text
    meant = (await lead.get("/keyword?words=group of year 9")).text
    assert "in what it means" in meant
    assert "What a group of year 9 calls one of its" in meant
    many = (await lead.get("/keyword?words=e")).text
    assert "The first 200 stand here." in many
    assert many.count('<li><a href="/keyword/policies/') == 200


def test_a_search_shows_phrases_first_and_where_the_words_stand(supplied: tuple[Policy, ...]) -> None:
    day, typed = date(2026, 9, 1), frozenset({Surface.TYPED})
    terms = (
        Term(
            "far",
            ("compass",),
            "A thing for drawing; some cut themselves with it, or with a knife at home, and hide it.",
            Severity.MINOR,
            typed,
            facts={"note": "Not a knife."},
        ),
        Term("second", ("a blade", "a long knife"), "What it means.", Severity.MINOR, typed),
        Term("first", ("Knife fight",), "What it means.", Severity.MINOR, typed),
    )
    policy = Policy("x", "X", "weapons", "1", day, "somebody", "A summary.", terms)
    hidden = Policy("y", "Y", "weapons", "1", day, "somebody", "A summary.", terms, hidden=True)
    found = search([hidden, policy, *supplied], "knife")
    assert [(hit.term.id, hit.place, hit.text) for hit in found] == [
        ("first", "", "Knife fight"),
        ("second", "as", "a long knife"),
        ("far", "in what it means", "… some cut themselves with it, or with a knife at home, and hide it."),
    ]
    by_fact = search([policy], "not a")
    assert [(hit.place, hit.text) for hit in by_fact] == [("in “Please note”", "Not a knife.")]


@loop
async def test_a_policy_with_many_terms_begins_closed(lead: Client) -> None:
    """The words of a policy with hundreds of terms are a screen or two high, not forty."""
    assert '<details class="card" open>' not in (await lead.get("/keyword/policies/suicide")).text
    assert '<details class="card" open>' in (await lead.get("/keyword/policies/local")).text


@loop
async def test_who_may_not_decide_is_refused_by_the_store_too(running: Running) -> None:
    pastoral = await running.as_role(Role.PASTORAL)
    assert (await pastoral.get("/keyword/new")).status == 403
    assert (await pastoral.get("/keyword/names")).status == 403
    with pytest.raises(Refused):
        await plugin(running).choices.decisions.put_term(pastoral.actor, "local", ENTRY, "x")
    it = await running.as_role(Role.IT)
    assert (await it.get("/keyword/requests")).status == 403


@loop
async def test_names_of_sites_of_the_last_month_are_tried_too(running: Running, deputy: Client) -> None:
    async def log(_since: Any, _limit: int) -> list[str]:
        return ["www.blue-ogre.example", "www.harmless.example"]

    running.appliance.names_seen.kept_by(log)
    term = {
        "phrases": "blue ogre", "definition": "What some pupils call one another here.", "severity": "minor",
        "on_address": "yes", "reason": "Heard often", "do": "preview",
    }  # fmt: skip
    page = (await deputy.post("/keyword/policies/local/add", term)).text
    running.appliance.names_seen.kept_by(None)
    assert "Names of sites of the last 30 days" in page
    assert "1 of 2" in page
    assert "www.blue-ogre.example" in page
    assert "www.harmless.example" not in page


async def capture(running: Running, term: str, text: str) -> None:
    """Somebody wrote it, on a device that nobody knows."""
    found = Finding("A policy", "1", term, text, "illegal", Severity.SEVERE, "What it means.", 0, len(text))
    seen = Observation(new_id(), stamp(), Surface.TYPED, text)
    await running.appliance.captures.keep(Seen(seen, (found,), new_id(), None, None, "nobody", None, "none", stamp()))


@loop
async def test_what_was_found_is_counted_and_found_hidden_words_are_shown_to_those_who_open_captures(
    running: Running, lead: Client, deputy: Client
) -> None:
    await capture(running, "local/green-giant", "green giant")
    await capture(running, "secret_list/zebra", "purple zebra stripes")
    assert re.search(r'data-label="Found">Once<', (await lead.get("/keyword/policies/local")).text)
    hidden = "/keyword/policies/secret_list"
    page = (await lead.get(hidden)).text
    assert "purple zebra stripes" in page
    assert "mauve" not in page, "one that was found tells nothing of the others"
    assert "purple" not in (await deputy.get(hidden)).text  # she was not let in to what is sealed
    assert "purple" not in (await lead.get("/keyword?words=made-up")).text
    term = {
        "phrases": "zebra stripes", "definition": "A made-up thing that is tried here.", "severity": "minor",
        "on_typed": "yes", "reason": "A try", "do": "preview",
    }  # fmt: skip
    assert "captures that you can open" not in (await lead.post("/keyword/policies/local/add", term)).text
    tried = (await lead.post("/keyword/policies/local/add", {**term, "captures": "yes"})).text
    assert "The newest captures that you can open" in tried
    assert "1 of 2." in tried
    assert len(await audit(running, "opened a capture")) == 2


@loop
async def test_a_hidden_term_that_was_found_is_tuned_by_those_who_may_read_it(
    running: Running, lead: Client, deputy: Client
) -> None:
    await capture(running, "secret_list/zebra", "purple zebra stripes")
    policy = "/keyword/policies/secret_list"
    zebra = f"{policy}/terms/zebra"
    wish = {**WISH, "reason": "The zebra of the circus"}
    assert f'href="{zebra}"' in (await lead.get(policy)).text
    assert (await lead.get(f"{policy}/terms/lion")).status == 404  # it was never found
    assert (await deputy.get(zebra)).status == 404  # she cannot open captures
    assert (await deputy.post(zebra, wish)).status == 404
    with pytest.raises(Refused, match="no such term"):
        await plugin(running).choices.decisions.ask(
            deputy.actor, Wish("secret_list", "zebra", "1", Change.OFF, "harmless", "x")
        )

    assert "purple zebra stripes" in (await lead.get(zebra)).text
    assert (await lead.post(zebra, {**wish, "change": "exact"})).status == 303
    assert await terms(running, "purpel zebra stripes") == []
    assert await terms(running, "purple zebra stripes") == ["secret_list/zebra-ours"]
    page = (await lead.get("/keyword/requests")).text
    request = the_id(page)
    assert "“purple zebra stripes”" in page
    assert 'term: "zebra"' in (await lead.get(f"/keyword/requests/{request}/report.yaml")).text
    assert "Changed by the school" in (await lead.get(policy)).text
    await nobody_else_learns_the_words(deputy, request)
    assert (await decide(lead, request, "on")).status == 303
    await nobody_else_learns_the_words(deputy, request)

    assert (await lead.post(zebra, wish)).status == 303
    await nobody_else_learns_the_words(deputy, request)
    request = the_id((await lead.get("/keyword/requests")).text)
    assert (await decide(lead, request, "grant")).status == 303
    assert await terms(running, "purple zebra stripes") == []
    assert "Switched off by the school" in (await lead.get(policy)).text
    await nobody_else_learns_the_words(deputy, request)
    assert (await decide(lead, request, "on")).status == 303
    rows = await running.appliance.records.fetch("SELECT subject, detail FROM audit WHERE subject LIKE '%secret_list%'")
    assert len(rows) == 5
    assert not any("zebra" in row["subject"] + row["detail"] for row in rows)


async def nobody_else_learns_the_words(deputy: Client, request: str) -> None:
    page = (await deputy.get("/keyword/requests")).text
    assert "A hidden term that you may not read" in page
    assert (await deputy.get(f"/keyword/requests/{request}/report.yaml")).status == 404
    for path in ("/keyword/requests", "/keyword/policies/secret_list", "/notices", "/"):
        assert "zebra" not in (await deputy.get(path)).text, path
