"""Policy files: those that are supplied, and every mistake that a school can make in its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.categories import Categories
from appliance.errors import ApplianceError
from appliance.observations import Finding, Observation, Severity, Surface
from appliance.yamlfile import ConfigError
from appliance_plugins.keyword.judge import Judge
from appliance_plugins.keyword.policies import SUPPLIED, Policy, Term, folded, read_policies

ROOT = Path(__file__).parents[3]
TEST_PHRASE = "purple penguins juggle pineapples"
POLICIES = read_policies(None)
JUDGE = Judge(POLICIES, TEST_PHRASE)
TERMS = [(policy, term) for policy in POLICIES for term in policy.terms]
GOOD = """\
name: local
title: Local words
category: bullying
version: "3"
date: 2026-09-01
owner: Mrs Khan
summary: Words that only our school knows.
terms:
  - id: green-giant
    phrases: [green giant, the giant]
    severity: minor
    surfaces: [typed, search]
    definition: What a group of year 9 calls one of its members.
"""


def seen(text: str, surface: Surface = Surface.TYPED) -> list[Finding]:
    return JUDGE.detect(Observation("1", "", surface, text))


def own(tmp_path: Path, text: str, name: str = "local.yaml") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path


def mistakes(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_policies(folder)
    return [str(mistake).replace(str(folder), "") for mistake in caught.value.mistakes]


# Supplied


def test_the_supplied_policies_are_there() -> None:
    assert [policy.name for policy in POLICIES] == ["bullying", "suicide"]
    assert sorted(path.name for path in SUPPLIED.iterdir()) == ["bullying.yaml", "suicide.yaml"]
    assert all(20 <= len(policy.terms) <= 40 for policy in POLICIES)


def test_the_category_of_each_is_known() -> None:
    known = {category.key for category in Categories.load(ROOT / "etc" / "categories.yaml").all()}
    assert {policy.category for policy in POLICIES} <= known


@pytest.mark.parametrize(("policy", "term"), TERMS, ids=lambda item: getattr(item, "id", getattr(item, "name", "")))
def test_a_supplied_term_is_found_in_each_of_its_words_and_places(policy: Policy, term: Term) -> None:
    assert len(term.definition.split()) >= 8
    for phrase in term.phrases:
        assert sum(map(len, folded(phrase))) >= 4, phrase
        for surface in Surface:
            text = f"Well, {phrase.upper()}."
            terms = [finding.term for finding in seen(text, surface)]
            place = Surface.ADDRESS if surface is Surface.NAME else surface  # a name is part of an address
            assert (f"{policy.name}/{term.id}" in terms) == (place in term.surfaces), phrase


def test_some_terms_are_looked_for_in_what_is_read() -> None:
    for policy in POLICIES:
        assert any(Surface.PAGE in term.surfaces for term in policy.terms)
        assert {term.severity for term in policy.terms} == set(Severity)


ORDINARY = """
The gamekeeper in Essex and a girl from Scunthorpe read Sussex Life in Penistone.
I'm dying to see the new film, the suspense is killing me.
Mum says she'll kill me if I'm late. My feet are killing me. I died laughing.
He killed the dragon at the end of level four and won.
You killed it on stage last night!
To be or not to be, that is the question. Romeo takes poison, and Juliet stabs herself with a dagger.
The poet's suicide in 1963 changed how her work is read. Suicide rates fell in the last decade.
Suicide Squad is on television tonight. They called it career suicide.
Hang on, I'll hang the picture myself. Just hang it up yourself.
Jump in the pool! Let's jump on the bus. Never jump in front of a bus.
Nobody told me there was homework. Everybody loves you. No one likes rain.
Beat the eggs. Our team will beat you on Saturday. You can't beat that.
Dad will get you after school. Wait till after school. See you after school.
What a freak accident. The ugly duckling. A fat cat. Loser pays.
Watch your head. Keep an eye on your back when you lift.
In my life I have loved them all. It's the end of an era. End of my essay.
How do I end my letter? How to kill weeds myself. How to kill time by myself.
I want to dye my hair. I wish I was taller. I wish I were a bird.
The overdose of caffeine in energy drinks: a project. The pills are in the cupboard.
Cut the paper yourself. Go cut the cake yourself.
I have a life to live and a reason to be happy. Living with diabetes.
Please don't leave me. I need some space. I can't wait any more.
""".strip().splitlines()
HELP = """
Childline 0800 1111. You can talk to us about anything.
Samaritans: call free on 116 123, day or night, every day of the year.
Papyrus HOPELINE247 is there for children and young people under 35 who think of suicide.
The Mix, Kooth, Young Minds, Beat, Shout 85258. Text SHOUT.
If you are thinking about killing yourself, or a friend is, call Samaritans.
How can I help a friend who feels suicidal? How to talk about suicide.
How do I tell my teacher that I feel sad? Who can I talk to?
I need help. Please help me. Can I talk to somebody? helpline for young people
counsellor near me, school nurse, how to make a doctor's appointment
Suicide prevention. Staying safe. What to do if you are being bullied. National Bullying Helpline.
how to stop bullying, am I being bullied, how to report bullying on my phone
""".strip().splitlines()


@pytest.mark.parametrize("text", [*ORDINARY, *HELP])
def test_ordinary_words_and_looking_for_help_are_not_found(text: str) -> None:
    assert [(surface, finding.term) for surface in Surface for finding in seen(text, surface)] == []


def test_the_worst_comes_first_and_says_what_it_is() -> None:
    text = "sorry 🙁 i hate my life and I WANNA DIE"
    first, second = seen(text)
    assert (first.policy, first.version, first.term) == ("Suicide", "1.0", "suicide/want-to-die")
    assert (first.severity, first.category, first.phrase) == (Severity.SEVERE, "suicide", "I wanna die")
    assert text[first.start : first.end] == "I WANNA DIE"
    assert "wish to be dead" in first.definition
    assert second.severity is Severity.MINOR
    assert not first.is_test


@pytest.mark.parametrize("surface", Surface)
def test_the_test_phrase_is_found_where_somebody_has_written_it(surface: Surface) -> None:
    """A page that shows it, such as help about it, raises no test on every device that opens it."""
    found = seen("Purple PENGUINS juggle\npineapples", surface)
    if surface not in (Surface.TYPED, Surface.SEARCH):
        assert not found
        return
    (finding,) = found
    assert finding.is_test
    assert (finding.category, finding.severity, finding.version) == ("test", Severity.MINOR, "")


def test_a_text_that_repeats_itself_gives_no_flood() -> None:
    findings = seen("i want to die " * 500 + "hate my life, i hate my life")
    assert len(findings) == 100
    assert {finding.severity for finding in findings} == {Severity.SEVERE}


def test_a_browser_is_told_what_to_look_for() -> None:
    policy = JUDGE.endpoint_policy(monitored=True)
    needles = {needle["id"]: needle for needle in policy["needles"]}
    assert needles["suicide/want-to-die/0"] == {
        "id": "suicide/want-to-die/0",
        "words": ["i", "want", "to", "die"],
        "surfaces": ["search", "typed"],
    }
    assert len(needles) == 1 + sum(len(term.phrases) for _, term in TERMS)
    assert policy["version"] == Judge(POLICIES, TEST_PHRASE).endpoint_policy(monitored=True)["version"]
    assert policy["version"] != Judge(POLICIES, "four other harmless words").endpoint_policy(monitored=True)["version"]


def test_where_nobody_is_monitored_the_test_phrase_alone_is_looked_for() -> None:
    policy = JUDGE.endpoint_policy(monitored=False)
    assert [needle["words"] for needle in policy["needles"]] == [TEST_PHRASE.split()]
    assert policy["needles"][0]["surfaces"] == ["search", "typed"]
    assert policy["version"] != JUDGE.endpoint_policy(monitored=True)["version"]


def test_a_test_phrase_without_words_is_refused() -> None:
    with pytest.raises(ApplianceError, match="no words"):
        Judge(POLICIES, "!!! ??? !!! ???")


# The school's own


def test_a_school_has_its_own_beside_the_supplied_ones(tmp_path: Path) -> None:
    policies = read_policies(own(tmp_path, GOOD))
    assert [policy.name for policy in policies] == ["bullying", "suicide", "local"]
    (finding,) = Judge(policies, TEST_PHRASE).detect(Observation("1", "", Surface.SEARCH, "who is the GIANT?"))
    assert (finding.term, finding.phrase) == ("local/green-giant", "the giant")


def test_words_of_any_script_can_be_looked_for(tmp_path: Path) -> None:
    policies = read_policies(own(tmp_path, GOOD.replace("green giant, the giant", "كتاب قديم, मैं मरना")))
    judge = Judge(policies, TEST_PHRASE)
    for text in ("هذا كِتـاب قديم", "मैं मरना चाहता हूँ"):
        assert len(judge.detect(Observation("1", "", Surface.TYPED, text))) == 1
    assert judge.detect(Observation("1", "", Surface.TYPED, "मैं मरन")) == []


def test_the_folder_need_not_be_there(tmp_path: Path) -> None:
    assert read_policies(tmp_path / "none") == POLICIES
    assert read_policies(tmp_path) == POLICIES
    (tmp_path / "notes.txt").write_text("no policy")
    assert read_policies(tmp_path) == POLICIES


def test_a_file_in_place_of_the_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "policies").write_text("")
    assert mistakes(tmp_path / "policies") == [": this folder cannot be read: Not a directory, expected a folder"]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("severity: minor", "severity: sever", ":11: terms[0].severity: \"sever\" is not one of the choices, expected "
         "one of: severe, moderate, minor; did you mean severe?"),
        ("    severity: minor\n", "", ":9: terms[0].severity: this is missing, expected one of: severe"),
        ("    definition: What a group of year 9 calls one of its members.\n", "", ":9: terms[0].definition: this is "
         "missing"),
        ("What a group of year 9 calls one of its members.", "\"                        \"", ":13: terms[0]."
         "definition: the definition is empty, expected what the term means"),
        ("What a group of year 9 calls one of its members.", "A name.", ":13: terms[0].definition: \"A name.\" is too "
         "short"),
        ("  - id: green-giant\n    phrases", "  - phrases", ":9: terms[0].id: this is missing"),
        ("id: green-giant", "id: Green Giant", ":9: terms[0].id: \"Green Giant\" does not have the right form"),
        ("[typed, search]", "[typed, screen]", ":12: terms[0].surfaces[1]: \"screen\" is not one of the choices"),
        ("[typed, search]", "[]", ":12: terms[0].surfaces: this is too short"),
        ("[green giant, the giant]", "[]", ":10: terms[0].phrases: this is too short"),
        ("green giant,", "'?!',", ":10: terms[0].phrases[0]: the phrase '?!' is so short that it would be found "
         "everywhere, expected 3 letters or more"),
        ("green giant,", "ok,", ":10: terms[0].phrases[0]: the phrase 'ok' is so short"),
        ("green giant,", "a b c d e f g h i j k l m n,", ":10: terms[0].phrases[0]: the phrase 'a b c d e f g h i j k "
         "l m n' is too long, expected at most 12 words"),
        ("green giant,", "THE Giant,", ":10: terms[0].phrases[1]: the phrase 'the giant' is in the term green-giant "
         "already"),
        ("surfaces:", "surface:", ":12: terms[0].surface: there is no such setting, expected one of: id, phrases, "
         "severity, surfaces, definition; did you mean surfaces?"),
        ("name: local", "name: suicide", ":1: name: "),
        ("date: 2026-09-01", "date: soon", ":5: date: \"soon\" is not a date"),
        ('version: "3"', "version: 3", ":4: version: this is a number (3)"),
        ("terms:", "words:", ":8: words: there is no such setting"),
        ("summary: Words that only our school knows.\n", "", ":1: summary: this is missing"),
        (GOOD, "- a\n- list\n", ":1: this holds no settings"),
        (GOOD, "", ":1: name: this is missing"),
        ("title: Local words", "title: [", ""),
        ("title: Local words", "title: a\ntitle: b", ":3: title: this key is written twice (first on line 2)"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_file_line_and_what_is_expected(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in GOOD
    found = mistakes(own(tmp_path, GOOD.replace(old, new)))
    assert any(f"/local.yaml{told}" in line for line in found), found


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    own(tmp_path, GOOD.replace("minor", "mild").replace("2026-09-01", "soon"), "a.yaml")
    own(tmp_path, GOOD.replace("typed", "spoken"), "b.yml")
    found = mistakes(tmp_path)
    assert [re.sub(": .*", "", line) for line in found] == ["/a.yaml:5", "/a.yaml:11", "/b.yml:12"]


def test_two_files_of_one_name_are_told(tmp_path: Path) -> None:
    own(tmp_path, GOOD, "a.yaml")
    own(tmp_path, GOOD, "b.yaml")
    assert mistakes(tmp_path) == ["/b.yaml:1: name: /a.yaml has the name local already, expected a name of its own"]
