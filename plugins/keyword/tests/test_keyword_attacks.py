"""What somebody tries who wants detection to be silent, or to learn what it looks for."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from accounts import no_store_is_left_open
from bundle_bench import NEW_FISH, Publisher, policy, supplied, term

from appliance.access import Role
from appliance.clock import new_id, stamp
from appliance.finding_rules import LONGEST_CLIP, LONGEST_SENTENCE, check_findings
from appliance.observations import Observation, Surface
from appliance.people.directory import Details
from appliance.testing import HELP_SEEKING, Client, Home, Running, free_port, start_in_process
from appliance_plugins.keyword.bundles.archive import BundleRefused
from appliance_plugins.keyword.bundles.comparing import compare
from appliance_plugins.keyword.bundles.forces import Forces
from appliance_plugins.keyword.bundles.keeping import Shelf
from appliance_plugins.keyword.bundles.opening import open_bundle, read_policy_files
from appliance_plugins.keyword.detecting import detect, supplied_engine
from appliance_plugins.keyword.engine.engine import Engine
from appliance_plugins.keyword.engine.exclusions import Exclusions, Innocent
from appliance_plugins.keyword.innocence.ways import exclusions
from appliance_plugins.keyword.judge import Judge
from appliance_plugins.keyword.library.files import PolicyFile
from appliance_plugins.keyword.library.shipped import supplied_policies

__all__ = ["no_store_is_left_open"]

loop = pytest.mark.asyncio(loop_scope="module")
PLEA = "I want to kill myself tonight"


# Bundles of a hostile publisher

SAME_TWICE = policy("secrets", term("one", "nasty newt"), term("two", "nasty newt"), hidden=True)


@pytest.mark.parametrize(
    "written",
    [
        "hidden: True",
        "hidden: TRUE",
        '"hidden": true',
        "hidden : true",
        "? hidden\n: true",
        "hidden: yes",
        "hidden: !!bool true",
    ],
)
def test_mistakes_of_a_hidden_policy_show_nothing_however_it_says_so(written: str) -> None:
    text = SAME_TWICE.replace("hidden: true", written)
    with pytest.raises(BundleRefused) as refused:
        read_policy_files({"secrets.yaml": text.encode()})
    assert "newt" not in str(refused.value)


def test_mistakes_of_a_policy_that_is_not_hidden_are_told() -> None:
    with pytest.raises(BundleRefused, match="nasty newt"):
        read_policy_files(
            {"secrets.yaml": SAME_TWICE.replace("hidden: true", "hidden: false  # all can see it").encode()}
        )


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("hidden", True, "its terms are hidden from now on"),
        ("category", "grooming", "what it is about: “grooming” instead of “bullying”"),
        ("title", "Flowers", "name: “Flowers” instead of “Fish”"),
        ("owner", "Mallory", "who answers for it: “Mallory” instead of “somebody”"),
        ("summary", "Something else.", "what it says of itself"),
    ],
)
def test_a_preview_tells_what_changes_beside_the_terms(field: str, value: object, words: str) -> None:
    (before,) = read_policy_files({"fish.yaml": NEW_FISH.encode()})
    (change,) = compare([before], [replace(before, **{field: value})])
    assert change.fields == (words,)


@pytest.mark.parametrize("category", ["test", "unjudged"])
def test_no_policy_of_a_bundle_is_in_a_category_that_levels_do_not_reach(category: str) -> None:
    text = policy("fish", term("cod", "smelly cod")).replace("category: bullying", f"category: {category}")
    with pytest.raises(BundleRefused, match="the appliance’s own"):
        read_policy_files({"fish.yaml": text.encode()})


@pytest.mark.parametrize("name", ["names_watched_for", "imported_child_abuse", "imported_terrorism"])
def test_no_policy_of_a_bundle_passes_for_one_that_the_appliance_makes(tmp_path: Path, name: str) -> None:
    acme = Publisher()
    bundle = open_bundle(acme.bundle(1, {"any": policy(name, term("cod", "smelly cod"))}), [acme.trusted])
    forces = Forces((), Shelf(lambda: tmp_path), [acme.trusted], tuple)
    with pytest.raises(BundleRefused, match="which only the appliance makes"):
        forces.check_names(bundle)


# Words as a cloak


def severe(engine: Engine, text: str, surface: Surface = Surface.TYPED) -> set[str]:
    return {hit.policy.category for hit in engine.find(text, surface) if hit.severity.value == "severe"}


# Open, in engine or innocence: Who may change settings (IT) or names of the directory blinds detection of suicide.
@pytest.mark.parametrize("title", [PLEA, "I want to kill myself", "To want to kill myself tonight"])
def test_no_set_text_hides_what_somebody_says_of_themselves(title: str) -> None:
    engine = Engine(supplied_policies(), exclusions({"people": [], "school": "Bay School"}, [title], ()))
    assert "suicide" in severe(engine, f"So {PLEA}")


# Open, in engine or innocence:
def test_no_name_of_the_directory_hides_what_somebody_says_of_themselves() -> None:
    data = {"people": ["I Kill Myself", "I Want To Die", "Want To Kill Myself Tonight"], "school": "Want to Die School"}
    engine = Engine(supplied_policies(), exclusions(data, [], ()))
    assert "suicide" in severe(engine, PLEA)
    assert "suicide" in severe(engine, "I want to die")


# Open, in engine: One small word that is another language's, or none, beside a single word of harm.
@pytest.mark.parametrize("text", ["um kms", "kms um", "ma kms"])
def test_one_small_word_is_no_other_language(text: str) -> None:
    assert detect(text)


# Open, in engine: A run of 25 letters with capitals and one digit is taken for data.
@pytest.mark.parametrize(
    "text", ["IWantToKillMyselfTonight1", "I_Want_To_Kill_Myself_4ever", "data:I-want-to-kill-myself"]
)
def test_words_run_together_with_capitals_and_a_digit_are_no_data(text: str) -> None:
    assert any(found.category == "suicide" for found in detect(text))


# Open, in engine: The same search is Severe as a search and nothing as an address.
def test_what_somebody_is_about_to_do_counts_in_the_address_of_a_search_too() -> None:
    query = "i want to kill myself tonight childline"
    assert "suicide" in severe(supplied_engine(), query, Surface.SEARCH)
    address = f"https://www.google.com/search?q={query.replace(' ', '+')}"
    assert "suicide" in severe(supplied_engine(), address, Surface.ADDRESS)


# Open, in judge: what is found most often crowds out the rest before anything is weighed. Where weapons are off for
# somebody, nothing remains.
def test_a_hundred_findings_of_one_term_leave_room_for_others() -> None:
    text = "i will bomb the school. " * 150 + PLEA
    judge = Judge(supplied_policies(), "the harmless test phrase", Exclusions())
    found = judge.detect(Observation(new_id(), stamp(), Surface.TYPED, text))
    assert "suicide" in {one.category for one in found}


# Open, in engine: Python keeps the last patterns that it compiled, so letters that a child wrote stay.
def test_no_letters_of_a_masked_word_stay_in_memory() -> None:
    re.purge()
    supplied_engine().find("zq*xw is a secret of mine", Surface.TYPED)
    kept = [key[1] for key in re._cache if isinstance(key[1], str)]  # type: ignore[attr-defined]
    assert not [pattern for pattern in kept if "zq" in pattern]


def test_an_explanation_names_nobody_else_of_the_directory() -> None:
    innocent = Exclusions().adding(Innocent.NAME, ["Robin Kill", "Mr Kill"])
    hits = Engine(supplied_policies(), innocent).find(PLEA, Surface.TYPED)
    assert hits
    assert not [tried for hit in hits for tried in hit.tried if "Kill" in tried]


# On a running appliance


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    folder = tmp_path_factory.mktemp("attacks") / "home"
    folder.mkdir(mode=0o755)
    (folder / "help_seeking.yaml").write_text(HELP_SEEKING, encoding="utf-8")
    home = Home(folder, free_port(), free_port())
    home.write("plugins: {keyword: {}}\n")
    with supplied(folder / "supplied"):
        grave = policy("gloom", term("end", "end of the fish", "severe")).replace("bullying", "suicide")
        (folder / "supplied" / "gloom.yaml").write_text(grave)
        found = await start_in_process(home)
        yield found
        await found.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lead(running: Running) -> Client:
    return await running.as_role(Role.LEAD, name="Lena Lead")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deputy(running: Running) -> Client:
    return await running.as_role(Role.DEPUTY, name="Dan Deputy")


LEVEL = {"policy": "gloom", "group": "everybody", "name": "", "level": "off", "reason": "Quiet", "last_day": ""}
TIME = {
    "policy": "gloom", "group": "everybody", "level": "off", "reason": "Quiet", "last_day": "", "span": "out_of_school",
}  # fmt: skip
REFUSED = "Only the safeguarding lead can switch off what is about suicide and self-harm"


@loop
async def test_nobody_but_the_lead_switches_suicide_off(running: Running, lead: Client, deputy: Client) -> None:
    directory = running.appliance.directory
    pupil = await directory.add(lead.actor, Details("pupil", "Bea Pupil"))
    group = await directory.groups.make(lead.actor, "list", "Just Bea")
    await directory.groups.add_people(lead.actor, group, [pupil])
    for path, fields in (
        ("/keyword/levels", LEVEL),
        ("/keyword/levels", {**LEVEL, "group": f"group:{group}"}),
        ("/keyword/levels", {**LEVEL, "name": "Bea Pupil"}),
        ("/keyword/times", TIME),
        ("/keyword/times", {**TIME, "policy": "all"}),
        ("/keyword/times", {**TIME, "group": f"group:{group}"}),
    ):
        tried = await deputy.post(path, fields)
        assert (tried.status, REFUSED in tried.text) == (422, True), fields
    for path, fields in (
        ("/keyword/levels", {**LEVEL, "level": "severe", "name": "Bea Pupil"}),
        ("/keyword/levels", {**LEVEL, "policy": "birds", "name": "Bea Pupil"}),
        ("/keyword/times", {**TIME, "policy": "birds", "group": f"group:{group}"}),
    ):
        assert (await deputy.post(path, fields)).status == 303, fields
    assert (await lead.post("/keyword/levels", {**LEVEL, "name": "Bea Pupil", "reason": "Asked for"})).status == 303


@loop
async def test_the_record_of_an_undone_level_says_of_which_policy_it_was(running: Running, lead: Client) -> None:
    assert (await lead.post("/keyword/levels", {**LEVEL, "level": "reading"})).status == 303
    kept = choices(running)._level_store.kept.for_all["gloom"]
    assert (await lead.post("/keyword/levels/undo", {"policy": "birds", "id": kept.id})).status == 303
    rows = await running.appliance.records.fetch(
        "SELECT subject FROM audit WHERE action = 'undid a level for everybody'"
    )
    assert [row["subject"] for row in rows] == ["policy gloom"]


def choices(running: Running) -> Any:
    return running.appliance.plugins._registered["keyword"].plugin.choices


def test_a_term_at_its_limits_costs_no_other_finding() -> None:
    """What a policy may say is never more than a finding may: else all findings of the text would be refused."""
    entry = {
        "id": "giant",
        "phrases": [" ".join(["green"] * 13 + ["giant"]), "green giant"],
        "definition": "d" * 2000,
        "severity": "severe",
        "clip_seconds": LONGEST_CLIP,
        "unless": ["x" * 1000],
        "facts": dict.fromkeys(("also_called", "effects", "note"), "f" * 600),
    }
    policy = PolicyFile.model_validate(
        {
            "name": "local",
            "title": "t" * 100,
            "category": "bullying",
            "version": "1" * 50,
            "date": "2026-09-01",
            "owner": "Mrs Khan",
            "summary": "Words that are as long as they may be.",
            "terms": [entry],
        }
    ).policy()
    observation = Observation(new_id(), stamp(), Surface.TYPED, f"the {'green ' * 13}giant")
    found = Judge([policy], "a test").detect(observation)
    kept = check_findings([finding.as_json() for finding in found], observation, "keyword.phrases")
    assert [finding.clip_seconds for finding in kept] == [LONGEST_CLIP]
    assert max(map(len, kept[0].tried)) == LONGEST_SENTENCE
