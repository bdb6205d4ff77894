"""Which policies run, what a bundle changes, trials, and lists that were handed over: without an appliance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from bundle_bench import BIRDS, FISH, NEW_FISH, policy, term

from appliance.errors import Refused
from appliance.observations import Severity, Surface
from appliance.sealing import SealError
from appliance_plugins.keyword.bundles import imported
from appliance_plugins.keyword.bundles.comparing import Sentence, compare, try_sentences
from appliance_plugins.keyword.bundles.imported import Kind, read_list, seal, unseal
from appliance_plugins.keyword.bundles.opening import read_policy_files
from appliance_plugins.keyword.bundles.previews import Preview, decided
from appliance_plugins.keyword.bundles.running import Material, overlay
from appliance_plugins.keyword.bundles.trial import MOST_NOTES, notes, set_aside
from appliance_plugins.keyword.choices.applying import apply
from appliance_plugins.keyword.choices.model import Change, Changed, Decisions, OwnTerm
from appliance_plugins.keyword.engine.exclusions import Exclusions
from appliance_plugins.keyword.judge import Judge
from appliance_plugins.keyword.library.model import Matching, Policy
from appliance_plugins.keyword.school import Find, School, finder

DAY = date(2026, 11, 26)
KEY = bytes(range(32))


def find_by(policies: Sequence[Policy]) -> Find:
    return finder(Judge(policies, "a harmless test", Exclusions()))


def policies(*texts: str) -> tuple[Policy, ...]:
    return read_policy_files({f"f{number}.yaml": text.encode() for number, text in enumerate(texts)})


OWN = policy("local", term("giant", "green giant"))
FILES = policies(FISH, BIRDS, OWN)
SUPPLIED = frozenset({"fish", "birds"})


# What runs


def test_a_bundle_takes_the_place_of_supplied_policies_of_its_names_alone() -> None:
    bats = policy("bats", term("fruit", "fruit bat"))
    found = overlay(FILES, SUPPLIED, policies(NEW_FISH, bats))
    assert [one.name for one in found] == ["fish", "birds", "local", "bats"]
    assert [term.id for term in found[0].terms] == ["cod", "ray"]
    assert found[1:3] == FILES[1:]


def test_the_detection_process_comes_to_the_same() -> None:
    listed = read_list(b"wicked words\n", Kind.TERRORISM, "CTIRU", DAY).policy(KEY)
    material = Material(SUPPLIED, policies(NEW_FISH), policies(BIRDS.replace("greedy", "angry")), (listed,))
    again = Material.of_json(json.loads(json.dumps(material.as_json())))
    assert again == material
    running = again.over(FILES)
    assert running == material.over(FILES)
    assert running.trial is not None
    assert [one.name for one in running.policies] == ["fish", "birds", "local", "imported_terrorism"]
    assert running.trial[0] == FILES[0]
    assert running.trial[1].terms[0].phrases == ("angry gull",)
    assert running.trial[3] == listed
    assert Material().over(FILES).policies == FILES


def test_what_the_school_has_decided_stays_whatever_a_bundle_brings() -> None:
    decided = Decisions(
        changed=(Changed("fish", "cod", Change.OFF), Changed("birds", "gull", Change.EXACT)),
        policies=(),
        terms=(),
        names=(),
    ).as_json()
    before = {one.name: one for one in apply(FILES, decided)}
    after = {one.name: one for one in apply(overlay(FILES, SUPPLIED, policies(NEW_FISH)), decided)}
    assert "cod" not in {term.id for term in before["fish"].terms}
    assert [term.id for term in after["fish"].terms] == ["ray"]
    assert after["birds"] == before["birds"]
    assert after["birds"].terms[0].matching is Matching.EXACT


# What changes


def test_changes_are_told_term_by_term() -> None:
    (change,) = compare(FILES, overlay(FILES, SUPPLIED, policies(NEW_FISH)))
    assert (change.name, change.whole, change.hidden) == ("fish", "", False)
    assert [one.shown for one in change.new] == ["stinging ray"]
    assert [one.id for one in change.gone] == ["eel"]
    (cod,) = change.changed
    assert cod.fields[0] == "words (1 more, 1 fewer)"
    assert cod.fields[1] == "severity: severe instead of moderate"
    assert compare(FILES, FILES) == []


def test_a_new_policy_is_told_and_a_hidden_one_is_marked() -> None:
    bats = policy("bats", term("fruit", "fruit bat"), hidden=True)
    (change,) = compare(FILES, overlay(FILES, SUPPLIED, policies(bats)))
    assert (change.whole, change.hidden, len(change.new)) == ("new", True, 1)


SENTENCES = [
    Sentence("what a smelly cod", "bullying", "must"),
    Sentence("you rotten cod", "bullying", "must"),
    Sentence("a slippery eel", "bullying", "hard"),
    Sentence("a fruit bat", "bullying", "benign"),
]


def test_sentences_of_the_bench_show_what_would_be_found_more_and_less() -> None:
    bats = policy("bats", term("fruit", "fruit bat"), hidden=True)
    result = try_sentences(SENTENCES, FILES, overlay(FILES, SUPPLIED, policies(NEW_FISH, bats)), find_by)
    assert (result.sentences, result.before, result.after) == (4, 2, 3)
    assert [(one.more, one.fewer, one.still, one.hidden) for one in result.differences] == [
        (("Fish: “smelly cod”",), (), (), False),
        ((), ("Fish: “slippery eel”",), (), False),
        (("Bats: “fruit bat”",), (), (), True),
    ]
    assert (result.first, result.last) == (2, 1)
    assert result.by_kind == [
        ("bullying", "benign", 1, 0), ("bullying", "hard", 0, 1), ("bullying", "must", 1, 0),
    ]  # fmt: skip


def test_a_term_is_tried_where_it_is_looked_for() -> None:
    """One that is looked for in searches alone is found there, and one that is no more in what is typed is not."""
    before = policies(policy("fish", term("cod", "smelly cod"), term("eel", "slippery eel")))
    moved = term("eel", "slippery eel") + "    surfaces: [search]\n"
    asked = term("ray", "rotten cod") + "    surfaces: [search]\n"
    nowhere = term("bat", "fruit bat") + "    surfaces: [address]\n"
    after = policies(policy("fish", term("cod", "smelly cod"), moved, asked, nowhere))
    result = try_sentences(SENTENCES, before, after, find_by)
    assert (result.before, result.after) == (2, 3)
    assert [(one.sentence.text, one.more, one.fewer) for one in result.differences] == [
        ("you rotten cod", ("Fish: “rotten cod” (search)",), ()),
        ("a slippery eel", (), ("Fish: “slippery eel” (typed text)",)),
    ]


def test_a_sentence_that_loses_one_of_its_terms_is_still_found() -> None:
    both = policies(policy("fish", term("cod", "smelly cod"), term("what", "what a smelly")))
    one = policies(policy("fish", term("cod", "smelly cod")))
    result = try_sentences([Sentence("what a smelly cod", "bullying", "leet")], both, one, find_by)
    assert (result.before, result.after, result.first, result.last) == (1, 1, 0, 0)
    (found,) = result.differences
    assert (found.more, found.fewer, found.still) == ((), ("Fish: “what a smelly”",), ("Fish: “smelly cod”",))
    assert result.by_kind == [("bullying", "digits for letters", 0, 1)]


def test_terms_that_begin_with_the_same_phrase_are_told_apart() -> None:
    """With other words near it, one phrase may stand in two terms."""
    near = [f"    near: [{word}]\n" for word in ("what", "smelly")]
    both = policies(policy("fish", term("one", "cod, haddock") + near[0], term("two", "cod, herring") + near[1]))
    (found,) = try_sentences(
        SENTENCES[:1], both, policies(policy("bats", term("fruit", "fruit bat"))), find_by
    ).differences
    assert found.fewer == ("Fish: “cod”", "Fish: “herring”")


def test_what_a_hidden_policy_still_finds_is_not_shown_either() -> None:
    hidden = policy("secret", term("cod", "smelly cod"), hidden=True)
    both = policies(hidden, policy("fish", term("what", "what a smelly")))
    result = try_sentences([Sentence("what a smelly cod", "bullying", "must")], both, policies(hidden), find_by)
    assert [one.hidden for one in result.differences] == [True]


def test_sentences_about_hidden_categories_are_counted_and_not_shown() -> None:
    sentences = [Sentence("a smelly cod", "illegal", "plain"), Sentence("a smelly cod", "none", "plain")]
    result = try_sentences(sentences, (), policies(FISH), find_by)
    assert [(one.sentence.category, one.hidden) for one in result.differences] == [("illegal", True), ("none", False)]
    assert result.by_kind == [("", "plain", 1, 0), ("illegal", "plain", 1, 0)]


DECIDED = Decisions(
    changed=(Changed("fish", "cod", Change.OFF), Changed("fish", "eel", Change.EXACT)),
    terms=(OwnTerm("fish", {"id": "ray"}),),
).as_json()


def test_what_the_school_has_decided_stands_beside_what_changes() -> None:
    (change,) = compare(FILES, overlay(FILES, SUPPLIED, policies(NEW_FISH)), decided(DECIDED))
    assert [one.decided for one in change.changed] == ["switched off at your school, and stays off"]
    assert [one.decided for one in change.gone] == [
        "changed at your school: whole words only, exactly as they are written"
    ]
    assert [one.decided for one in change.new] == ["your school’s own term counts instead"]


def test_what_is_tried_is_what_the_school_would_run_with_its_names_and_titles() -> None:
    off = Decisions(changed=(Changed("fish", "cod", Change.OFF),)).as_json()
    names = {"school": "Rotten Cod School", "people": ["Gulliver Slippery Eel"]}
    school = School(off, names, ("The smelly cod of Rye",), "a harmless test")
    found = finder(school.judge(school.in_force(FILES)))
    assert found("a smelly cod", Surface.TYPED) == set()
    assert found("a slippery eel", Surface.TYPED) == {"fish/eel"}
    assert found("Gulliver Slippery Eel was here", Surface.TYPED) == set()
    everything = School(Decisions().as_json(), names, ("The smelly cod of Rye",), "a harmless test")
    found = finder(everything.judge(everything.in_force(FILES)))
    assert found("a smelly cod", Surface.TYPED) == {"fish/cod"}
    assert found("we read The smelly cod of Rye", Surface.TYPED) == set()
    assert found("a harmless test", Surface.TYPED) == set()
    assert len({school.mark, everything.mark, replace(school, names={**names, "people": []}).mark}) == 3
    assert replace(school).mark == school.mark


# Trials


def test_only_what_the_trial_alone_has_found_is_noted_and_holds_no_text() -> None:
    found = notes({"fish/cod"}, {"fish/cod": "bullying", "fish/ray": "bullying"})
    (one,) = found
    assert (one.phrase, one.start, one.end, one.severity) == ("", 0, 0, Severity.MINOR)
    assert (one.picture, one.alert) == (False, False)
    assert "fish/ray" in one.term
    remain, counts = set_aside(found * 3)
    assert (remain, dict(counts)) == ([], {"fish/ray": 3})
    assert len(notes((), {f"p/{number}": "bullying" for number in range(500)})) == MOST_NOTES


def test_counts_of_hidden_policies_are_numbers_alone() -> None:
    bats = policy("bats", term("fruit", "fruit bat"), term("vampire", "vampire bat"), hidden=True)
    preview = Preview((), None, policies(FISH, bats))
    shown = preview.counted({"bats/fruit": 2, "fish/eel": 4, "bats/vampire": 3, "gone/term": 9})
    assert [(one.policy, one.phrase, one.times) for one in shown] == [("Fish", "slippery eel", 4), ("Bats", "", 5)]


def test_what_a_stricter_copy_of_the_school_found_on_trial_is_told_as_the_term() -> None:
    (shown,) = Preview((), None, policies(FISH)).counted({"fish/eel-ours": 3})
    assert (shown.phrase, shown.times) == ("slippery eel", 3)


# Lists that were handed over


@pytest.mark.parametrize(
    "content",
    [
        "# of 2026\nwicked words\n\n  Bad Things \nwicked  WORDS\n",
        "\ufeffwicked words\r\nBad Things\r\n",
        "Nr;Term;Since\n1;wicked words;2020\n2;Bad Things;2021\n",
        'keyword,note\nwicked words,"a, b"\nBad Things,\n',
    ],
)
def test_a_list_is_read_however_it_was_saved(content: str) -> None:
    for encoding in ("utf-8", "utf-16"):
        assert read_list(content.encode(encoding), Kind.CHILD_ABUSE, "IWF", DAY).terms == ("wicked words", "Bad Things")


def test_a_list_becomes_a_hidden_policy_without_pictures() -> None:
    found = read_list("wicked words\nabcd\nké\nxy\n---\n".encode(), Kind.CHILD_ABUSE, "IWF", DAY)
    assert found.left_out == {"so short as to be found everywhere": 1, "without words": 1}
    made = found.policy(KEY)
    assert (made.name, made.category, made.hidden, made.date) == ("imported_child_abuse", "illegal", True, DAY)
    assert {(one.severity, one.picture, one.alert, one.clip_seconds) for one in made.terms} == {
        (Severity.SEVERE, False, True, 0)
    }
    assert [one.matching for one in made.terms] == [Matching.LOOSE, Matching.EXACT, Matching.EXACT]
    assert made.terms[0].surfaces == {Surface.TYPED, Surface.EMAIL, Surface.SEARCH}
    assert find_by([made])("so w1cked words here", Surface.TYPED)
    assert "wicked" not in repr(found)


def test_ids_of_terms_tell_nothing_and_stay() -> None:
    first = read_list(b"wicked words\nbad things\n", Kind.TERRORISM, "CTIRU", DAY).policy(KEY)
    later = read_list(b"bad things\nWicked, words\nmore of it\n", Kind.TERRORISM, "CTIRU", DAY).policy(KEY)
    elsewhere = read_list(b"wicked words\n", Kind.TERRORISM, "CTIRU", DAY).policy(bytes(32))
    assert {one.id for one in first.terms} < {one.id for one in later.terms}
    assert first.terms[0].id != elsewhere.terms[0].id


@pytest.mark.parametrize(
    ("content", "body", "words"),
    [
        (b"", "IWF", "no term in this file"),
        (b"wicked words", " ", "Say who"),
        (b"wicked words", "x" * 81, "Say who"),
        (b"a" * (imported.LARGEST + 1), "IWF", "larger than 4 MiB"),
        (b"\xff\xfe\x00", "IWF", "no text"),
    ],
)
def test_what_is_no_list_is_refused(content: bytes, body: str, words: str) -> None:
    with pytest.raises(Refused, match=words):
        read_list(content, Kind.TERRORISM, body, DAY)


def test_a_list_is_not_readable_on_the_disk_and_cannot_be_changed_there() -> None:
    found = read_list(b"wicked words\n", Kind.TERRORISM, "CTIRU", DAY)
    sealed = seal(found, KEY)
    assert b"wicked" not in sealed
    assert unseal(sealed, Kind.TERRORISM, KEY) == found
    for spoilt in (sealed[:-1], bytes([sealed[0] ^ 1]) + sealed[1:], b"", sealed[:20] + b"x" + sealed[21:]):
        with pytest.raises(SealError):
            unseal(spoilt, Kind.TERRORISM, KEY)
    for kind, key in ((Kind.CHILD_ABUSE, KEY), (Kind.TERRORISM, bytes(32))):
        with pytest.raises(SealError):
            unseal(sealed, kind, key)


def test_the_appliance_comes_with_no_such_list() -> None:
    shipped = Path(imported.__file__).parents[1] / "policies"
    assert not [path for path in shipped.iterdir() if path.name.startswith("imported")]
