"""Policy files: those that are supplied, and every mistake that a school can make in its own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from appliance.categories import Categories
from appliance.config import section_of
from appliance.errors import ApplianceError
from appliance.observations import Finding, Observation, Severity, Surface
from appliance.yamlfile import ConfigError, read_text
from appliance_plugins.keyword.engine.exclusions import DATA, ExclusionsFile, supplied
from appliance_plugins.keyword.judge import Judge
from appliance_plugins.keyword.library.files import PolicyFile
from appliance_plugins.keyword.library.model import FACTS, folded
from appliance_plugins.keyword.library.reading import read_own_policies, read_policies
from appliance_plugins.keyword.library.shipped import SUPPLIED, supplied_policies

ROOT = Path(__file__).parents[3]
TEST_PHRASE = "purple penguins juggle pineapples"
POLICIES = read_policies(None)
JUDGE = Judge(POLICIES, TEST_PHRASE, supplied())
BY_NAME = {policy.name: policy for policy in POLICIES}
THIRTEEN = {
    "adult": 100, "bullying": 150, "drugs": 150, "eating_disorder": 60, "grooming": 100, "hate_lgbt": 80,
    "hate_race_religion": 100, "illegal": 100, "radicalisation": 100, "self_harm": 60, "sexting": 60, "suicide": 100,
    "weapons": 100,
}  # fmt: skip
"""The supplied policies, and how many terms each has at least."""
PER_POLICY = 400
"""Phrases of each policy that are tried one by one."""
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


def test_the_thirteen_policies_are_there_with_depth() -> None:
    assert sorted(BY_NAME) == sorted(THIRTEEN)
    assert [name for name, fewest in THIRTEEN.items() if len(BY_NAME[name].terms) < fewest] == []
    assert {policy.name: policy.category for policy in POLICIES if policy.category != policy.name} == {}
    assert {policy.name for policy in POLICIES if policy.hidden} == {"illegal"}


def test_the_category_of_each_is_known() -> None:
    known = {category.key for category in Categories.load(ROOT / "etc" / "categories.yaml").all()}
    assert {policy.category for policy in POLICIES} <= known


@pytest.mark.parametrize("file", sorted(SUPPLIED.glob("*.yaml")), ids=lambda file: file.stem)
def test_a_supplied_file_stands_up_to_every_check(file: Path) -> None:
    """They are read without checks when the appliance starts, so here they are checked as the school's own are."""
    policy, _ = section_of(read_text(file), file, PolicyFile)
    assert policy.policy() == BY_NAME[file.stem]


def test_the_supplied_exclusions_stand_up_to_every_check() -> None:
    exclusions, _ = section_of(read_text(DATA), DATA, ExclusionsFile)
    assert exclusions.help
    assert len(supplied().phrases) == sum(map(len, (exclusions.collocations, exclusions.help, exclusions.titles)))


@pytest.mark.parametrize("name", THIRTEEN)
def test_each_term_has_a_definition_of_its_own(name: str) -> None:
    terms = BY_NAME[name].terms
    assert [term.id for term in terms if len(term.definition.split()) < 8] == []
    assert len({term.definition for term in terms}) == len(terms)


@pytest.mark.parametrize("name", THIRTEEN)
def test_supplied_terms_are_found_where_they_are_looked_for(name: str) -> None:
    policy = BY_NAME[name]
    alone = [(term, phrase) for term in policy.terms if not term.near for phrase in term.phrases]
    missed = []
    tried = alone[:: max(1, len(alone) // PER_POLICY)]
    for term, phrase in tried:
        found = seen(f"Well, {phrase}.", Surface.TYPED)
        if Surface.TYPED in term.surfaces and f"{name}/{term.id}" not in {finding.term for finding in found}:
            missed.append(f"{term.id}: {phrase}")
    assert len(missed) * 50 <= len(tried), missed  # some lie within a saying that is innocent, or a name of a place


def test_supplied_terms_start_with_what_somebody_writes() -> None:
    read = {Surface.PAGE, Surface.TITLE}
    for policy in POLICIES:
        for term in policy.terms:
            assert not read & term.surfaces or term.pages_because, f"{policy.name}/{term.id}"


@pytest.mark.parametrize("surface", [one for one in Surface if one not in (Surface.TYPED, Surface.EMAIL)])
def test_no_short_term_is_found_outside_typed_text(surface: Surface) -> None:
    short = {
        phrase for policy in POLICIES for term in policy.terms for phrase in term.phrases
        if sum(map(len, folded(phrase))) < 4 and phrase.isascii()
    }  # fmt: skip
    assert short
    found = {phrase for phrase in short for one in seen(phrase, surface) if folded(one.phrase) == folded(phrase)}
    assert found == set()


@pytest.mark.parametrize("word", [
    "gay", "lesbian", "bisexual", "trans", "transgender", "queer", "Muslim", "Muslims", "Islam", "Jew", "Jews",
    "Jewish",
    "Christian", "Hindu", "Sikh", "black", "white", "Asian", "African", "immigrant", "refugees", "disabled", "autistic",
    "women", "girls", "Gypsy", "Traveller", "Pakistani", "Polish", "jihad", "Quran", "hijab", "mosque", "xxx",
    "Ana", "88",
])  # fmt: skip
def test_who_somebody_is_is_never_found(word: str) -> None:
    for text in (word, f"I am {word}", f"my friend is {word}", f"{word} people in our town", f"what does {word} mean"):
        assert [finding.term for finding in seen(text, Surface.TYPED)] == []


def test_drugs_and_groups_have_their_facts() -> None:
    classes = [term for term in BY_NAME["drugs"].terms if "uk_class" in term.facts]
    listed = [term for term in BY_NAME["radicalisation"].terms if "uk_listed" in term.facts]
    assert len(classes) >= 20
    assert len(listed) >= 40
    assert [term.id for term in listed if not {"as_of", "note"} <= set(term.facts)] == []
    assert [term.id for term in classes if not {"also_called", "effects", "us_schedule"} <= set(term.facts)] == []
    arabic = [term for term in BY_NAME["radicalisation"].terms if term.language == "ar"]
    assert len(arabic) >= 10
    assert [term.id for term in arabic if "meaning" not in term.facts] == []
    assert {name for policy in POLICIES for term in policy.terms for name in term.facts} <= set(FACTS)


def test_hidden_terms_keep_no_picture() -> None:
    assert [term.id for term in BY_NAME["illegal"].terms if term.picture] == []


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
Dad will get you after school. See you after school.
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
    found = [(surface, finding.term) for surface in Surface for finding in seen(text, surface)]
    assert found == []


def test_the_worst_comes_first_and_says_what_it_is() -> None:
    text = "sorry 🙁 i hate my life and I WANNA DIE"
    first, *others = seen(text)
    assert (first.policy, first.version, first.term) == ("Suicide", BY_NAME["suicide"].version, "suicide/want-to-die")
    assert (first.severity, first.category) == (Severity.SEVERE, "suicide")
    assert text[first.start : first.end].endswith("WANNA DIE")
    assert "wish to be dead" in first.definition
    assert first.alert
    assert first.steps
    assert not first.is_test
    assert [one.severity.rank for one in others] == sorted(one.severity.rank for one in others)


@pytest.mark.parametrize("surface", Surface)
def test_the_test_phrase_is_found_where_somebody_has_written_it(surface: Surface) -> None:
    """A page that shows it, such as help about it, raises no test on every device that opens it."""
    found = seen("Purple PENGUINS juggle\npineapples", surface)
    if not surface.is_own_words:
        assert not found
        return
    (finding,) = found
    assert finding.is_test
    assert (finding.category, finding.severity, finding.version) == ("test", Severity.MINOR, "")


def test_a_text_that_repeats_itself_gives_no_flood() -> None:
    findings = seen("i want to die " * 500 + "hate my life, i hate my life")
    assert len(findings) == 100
    assert [finding.severity.rank for finding in findings] == sorted(finding.severity.rank for finding in findings)
    assert {finding.term for finding in findings} >= {"suicide/want-to-die"}


def test_a_test_phrase_without_words_is_refused() -> None:
    with pytest.raises(ApplianceError, match="no words"):
        Judge(POLICIES, "!!! ??? !!! ???")


# The school's own


def test_a_school_has_its_own_beside_the_supplied_ones(tmp_path: Path) -> None:
    policies = read_policies(own(tmp_path, GOOD))
    assert [policy.name for policy in policies] == [*sorted(THIRTEEN), "local"]
    (finding,) = Judge(policies, TEST_PHRASE).detect(Observation("1", "", Surface.SEARCH, "who is the GIANT?"))
    assert (finding.term, finding.phrase) == ("local/green-giant", "the giant")


def test_words_of_any_script_can_be_looked_for(tmp_path: Path) -> None:
    own_policies = read_own_policies(own(tmp_path, GOOD.replace("green giant, the giant", "كتاب قديم, मैं मरना")))
    judge = Judge(own_policies, TEST_PHRASE)
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
         "one of: severe, moderate, minor"),
        ("    severity: minor\n", "", ":9: terms[0]: the severity is missing, expected severe, moderate or minor"),
        ("    definition: What a group of year 9 calls one of its members.\n", "", ":9: terms[0].definition: this is "
         "missing"),
        ("What a group of year 9 calls one of its members.", "\"                        \"", ":13: terms[0]."
         "definition: the definition is empty, expected what the term means"),
        ("What a group of year 9 calls one of its members.", "A name.", ":13: terms[0].definition: \"A name.\" is too "
         "short"),
        ("  - id: green-giant\n    phrases", "  - phrases", ":9: terms[0].id: this is missing"),
        ("id: green-giant", "id: Green Giant", ":9: terms[0].id: \"Green Giant\" does not have the right form"),
        ("[typed, search]", "[typed, screen]", ":12: terms[0].surfaces[1]: \"screen\" is not one of the choices"),
        ("[typed, search]", "[typed, page]", ":9: terms[0]: the term is looked for in what is "
         "read, and does not say why"),
        ("[green giant, the giant]", "[]", ":10: terms[0].phrases: this is too short"),
        ("green giant,", "'?!',", ":10: terms[0].phrases[0]: the phrase '?!' is so short that it would be found "
         "everywhere, expected 3 letters"),
        ("green giant,", "the (gay|trans) pupil,", ":10: terms[0].phrases[0]: the phrase 'the gay pupil' only says who "
         "somebody is, and pupils write it of themselves too, expected words beside it"),
        ("green giant,", "ok,", ":10: terms[0].phrases[0]: the phrase 'ok' is so short"),
        ("green giant,", "\u5988,", ":10: terms[0].phrases[0]: the phrase '\u5988' is so short"),
        ("green giant,", "a b c d e f g h i j k l m n o,", ":10: terms[0].phrases[0]: the phrase 'a b c d e f g h i "
         "j k l m n o' is too long, expected at most 14 words"),
        ("surfaces:", "surface:", ":12: terms[0].surface: there is no such setting, expected one of: id, phrases, "
         "definition, severity"),
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


def test_what_is_looked_for_in_what_is_typed_is_looked_for_in_emails() -> None:
    typed = [term for policy in supplied_policies() for term in policy.terms if Surface.TYPED in term.surfaces]
    assert len(typed) > 1000
    assert all(Surface.EMAIL in term.surfaces for term in typed)


@pytest.mark.parametrize(
    "text",
    [
        "why dont u go kill yourself",
        "i dont like you go kill yourself",
        "you can go kill yourself",
        "i dont care go drink bleach",
        "you nearly made me cry kill yourself fatty",
        "everyone is laughing at you go kill yourself",
        "nobody likes u dont come back go hang urself",
        "thanks for nothing kys",
        "go kill yourself fortnite noob",
        "do ur homework then go kill yourself",
        "grammar nazi go kill yourself",
        "go rope urself",
        "there is a bomb in the school. cancel the gcse",
        "we went to watch a film and I want to shoot up the school",
        "had football then my friend came round and shes going to kill herself on Friday anyway see you in class",
        "had training and my sister tried to take her own life in the summer and now i feel the same",
    ],
)
def test_what_else_a_line_says_does_not_excuse_it(text: str) -> None:
    assert Severity.SEVERE in {finding.severity for finding in seen(text, Surface.TYPED)}


@pytest.mark.parametrize(
    "text",
    [
        "don't kill yourself over it",
        "please don't kill yourself",
        "you will kill yourself laughing",
        "you could kill yourself with that drill",
        "do not drink bleach, it is poisonous",
        "top yourself up with water",
        "you'll shoot yourself in the foot",
        "you might get run over",
        "buy a rope for camping",
        "what is bulimia",
        "my manifesto for head girl",
        "i am writing my manifesto for school council",
        "i wrote a note for my mum to sign",
        "see you on the other side of the field",
        "our little secret santa",
        "how do i die less in fortnite",
        "i want to die in this game",
        "i want to dye tshirts in dt",
        "my mum needles knitting",
        "cut class today",
        "take your top off the pile",
        "i'll bring the cake knife",
        "you're dead when the timer runs out",
        "remove kebab from the grill",
        "i hate my body spray",
        "i am high on sugar",
        "great replacement teacher",
        "proud boys and girls of year 6",
        "i should die my hair",
        "you should die your hair blue",
        "she takes iron tablets for her anemia",
        "there is sediment on the brake pedal of my bike",
        "in my last message to the committee i asked for more time",
        "we have to hold the line on prices this year",
        "can you add the razor files to the spam filter",
        "the shank of the anchor is made of iron",
        "hitler wanted to exterminate the jews of europe",
        "the germans were annihilated in the forest by arminius",
        "i hope that americans everywhere can see the match",
        "our business and our markets were growing",
        "the only way out of the maze is on the left",
        "what is the most painless way to upgrade my laptop",
        "every playgoer wants a seat near the front",
        "spirochetes are bacteria that look like corkscrews",
        "the brown rat lives in sewers",
        "that is the only reason i didn't go to the cinema",
        "someone whose job is to dye cloth",
        "send them back to the shop if they do not fit",
        "how much do you charge for lunch",
        "the tracks made the train run off and derailed it",
        "they shall be free forever",
        "you could get run over by that bike",
        "we gave guns and bombs to their army",
        "i made the picture with the GIMP program",
        "choose the combo list box",
        "Dim sText As String",
        "the PKIs are evolving",
        "the MNG file format",
        "as a trainee he counted the tiles in simcity",
        "delete this message it is spam",
        "i got 13/50 in the maths test",
        "come over my parents are out till 6 we can play fifa",
        "i threw up on the bus this morning",
        "how to tie a noose knot for scouts",
        "that file should not exist",
        "the women who’re going to marry",
        "he'll be there and she'll come too",
        "my carpet smells like piss and i need a new one",
    ],
)
def test_what_only_sounds_like_it_is_not_found(text: str) -> None:
    assert [finding.term for finding in seen(text, Surface.TYPED)] == []


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("im being bullied", "bullying"),
        ("im getting beat up every day after school", "bullying"),
        ("they all said i should die", "bullying"),
        ("im being forced to marry", "grooming"),
        ("they took me to get circumcised", "grooming"),
        ("pay me or i send ur pics to everyone", "sexting"),
        ("he has pics of me and says hell post them", "sexting"),
        ("i drank bleach", "suicide"),
        ("im gonna od", "suicide"),
        ("how many paracetamol does it take", "suicide"),
        ("carving myself", "self_harm"),
        ("cuts in class with a blade", "self_harm"),
        ("party with no parents", "grooming"),
        ("food is poison to me", "eating_disorder"),
        ("i should just die", "suicide"),
        ("im coming to join u grandad", "suicide"),
        ("you should just die", "bullying"),
        ("im scared to go home", "bullying"),
        ("i dont feel safe at home", "bullying"),
        ("they pulled my skirt up and filmed it", "bullying"),
        ("i think im pregnant and im 13", "grooming"),
        ("he told me to lie about my age", "grooming"),
        ("im on day 4 of my fast", "eating_disorder"),
        ("how to make cuts heal faster before pe", "self_harm"),
        ("goodbye this is my last message to you all", "suicide"),
        ("I. Want. To. Die.", "suicide"),
        ("Kill. Yourself.", "bullying"),
        ("i want to. die", "suicide"),
        ("all i want is to die", "suicide"),
        ("muslims deserve a bullet", "hate_race_religion"),
        ("can not wait to see them all suffer those gays", "hate_lgbt"),
        ("he works in the trap every weekend he is always stuck in the trap", "drugs"),
        ("he said he will pay you for pics", "grooming"),
        ("the olders made him hold a county line phone", "grooming"),
        ("how many paracetamol would it take", "suicide"),
        ("if i jumped would it hurt", "suicide"),
        ("i dont think ill make it to my birthday", "suicide"),
        ("tell my mum i love her when im gone", "suicide"),
        ("i get beaten up on the way home", "bullying"),
        ("they all moved tables when i sat down", "bullying"),
        ("he says im mature for my age and hes 27", "grooming"),
        ("he bought me a phone so we can talk in secret", "grooming"),
        ("someone is giving me money to carry stuff on the train", "grooming"),
        ("i sent him a pic and now its all round school", "sexting"),
        ("i carry because i dont feel safe", "weapons"),
        ("i want to go and join the fighters in syria", "radicalisation"),
        ("i keep wanting to die", "suicide"),
        ("whats the point im not even gonna be alive for mocks", "suicide"),
        ("i might step in front of a train tomorrow", "suicide"),
        ("i dinnae want to live", "suicide"),
        ("i cutt my rist", "suicide"),
        ("i used the razor on my legs again", "self_harm"),
        ("i have to burn it all off before bed or im disgusting", "eating_disorder"),
        ("day 3 of my fast, nearly fainted", "eating_disorder"),
        ("dont tell anyone i was at yours", "grooming"),
        ("he says my friends dont love me like he does", "grooming"),
        ("her boyfriend is 27 and shes in year 9", "grooming"),
        ("he screenshotted my nude", "sexting"),
        ("they keep taking photos up our skirts", "sexting"),
        ("they wrote dyke on my locker", "hate_lgbt"),
        ("martyrs go straight to paradise so im not scared", "radicalisation"),
        ("he sed he will stab me wiv a nife", "weapons"),
    ],
)
def test_what_a_child_tells_is_found(text: str, category: str) -> None:
    assert category in {finding.category for finding in seen(text, Surface.TYPED)}


@pytest.mark.parametrize(
    ("text", "beside"),
    [
        ("kill all women", "kill all"),
        ("gay people should die", "should die"),
        ("my mum hits me when shes drunk", "is drunk"),
        ("paracetamol overdose", "overdose"),
    ],
)
def test_what_made_a_word_count_is_told(text: str, beside: str) -> None:
    steps = [step for finding in seen(text, Surface.TYPED) for step in finding.steps]
    assert f"By itself it would not count. It does because of “{beside}” beside it." in steps


def test_what_counts_by_itself_says_nothing_of_what_stands_beside_it() -> None:
    assert not any("By itself" in step for finding in seen("go kill yourself") for step in finding.steps)


FORMAL = (
    "The commission considered several alternative arrangements concerning international transportation and "
    "reported that {} according to established administrative procedures, recommending additional expenditure for "
    "municipal infrastructure, agricultural development and the improvement of navigation throughout the territory."
)


@pytest.mark.parametrize("said", ["the tablets were taken all at once", "there are too many women in that district"])
def test_words_near_each_other_say_nothing_in_a_report(said: str) -> None:
    assert [finding.term for finding in seen(FORMAL.format(said), Surface.TYPED)] == []
    assert seen(said, Surface.TYPED)


@pytest.mark.parametrize(
    "text",
    [
        "two birds with one stone",
        "Villa got absolutely battered by Liverpool on Saturday",
        "the doctor gave me pills for my cold",
        "you look drop dead gorgeous in that",
        "day 3 of my fast for Ramadan",
        "take the bacon on the left and put it in the pan",
        "he stood in front of the train for a photo",
        "Get the update, it is only 600k.",
        "C makes it easy to shoot yourself in the foot.",
        "Please stop dealing with it by yourself.",
        "You open a file, then start up GIMP and choose a brush.",
    ],
)
def test_new_words_are_quiet_where_they_are_harmless(text: str) -> None:
    assert not [finding for finding in seen(text, Surface.TYPED) if finding.severity is not Severity.MINOR]


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("ever since my dog died i keep wanting to die", "suicide"),
        ("i feel suicidal and nobody supports people like me", "suicide"),
        ("i hide my scars at the charity shop", "self_harm"),
        ("i wonder if im being bullied because of my hair", "bullying"),
        ("she called me a cow and pushed me down the stairs", "bullying"),
        ("we had no condom, forgot to use a condom", "adult"),
        ("he shared my nudes even though it is illegal to", "sexting"),
        ("this man gave me pills and i ended up at the doctor", "grooming"),
        ("my uncle gets in my bed with me when the dog is out", "grooming"),
        ("dont tell anyone i was at yours after the football", "grooming"),
        ("i got drunk after football and lost my phone", "drugs"),
    ],
)
def test_a_word_that_happens_to_stand_there_excuses_nothing(text: str, category: str) -> None:
    assert category in {finding.category for finding in seen(text, Surface.TYPED)}


def test_a_report_about_oneself_is_read_as_a_disclosure() -> None:
    said = (
        "I respectfully request an appointment concerning my considerable difficulties: since September my "
        "circumstances deteriorated, my medication increased, and I swallowed my tablets all at once because I "
        "experienced overwhelming hopelessness that my psychiatrist considered temporary, and I regret nothing"
    )
    assert "suicide" in {finding.category for finding in seen(said, Surface.TYPED)}


@pytest.mark.parametrize("text", ["I want to. Die rolls count twice", "who will you fight? You are next to play"])
def test_a_phrase_that_ends_in_another_sentence_is_none(text: str) -> None:
    assert seen(text, Surface.TYPED) == []


@pytest.mark.parametrize(
    ("text", "category"),
    [
        ("noone would miss me", "suicide"),
        ("no1 would miss me", "suicide"),
        ("мисля за самоубийство", "suicide"),
        ("не казвай на вашите това е нашата тайна", "grooming"),  # noqa: RUF001
        ("ne mondd el a szüleidnek ez a mi titkunk", "grooming"),
        ("rozmyslam o samovrazde", "suicide"),
        ("nehovor rodičom, to je naše tajomstvo", "grooming"),
        ("zabij se", "bullying"),
        ("σκέφτομαι να αυτοκτονήσω", "suicide"),  # noqa: RUF001
        ("tha se spasw sto ksylo meta to sxoleio", "bullying"),
        ("xwe bikuje kes ji te hez nake", "bullying"),
        ("தற்கொலை பண்ணிக்க போறேன்", "suicide"),
        ("thaniya irukiya", "grooming"),
        ("minh dang nghi den tu tu", "suicide"),
        ("đừng nói với bố mẹ nhé đây là bí mật của tụi mình", "grooming"),
        ("ba mhaith liom bás a fháil", "suicide"),
        ("مور او پلار ته مه وایه دا زموږ راز دی", "grooming"),
        ("چجوری بمب بسازم", "weapons"),
        ("ta de la beuh? jveux pecho", "drugs"),
        ("haste gras? will 2g kaufen", "drugs"),
        ("cómo hago una bomba", "weapons"),
    ],
)
def test_what_pupils_say_in_other_languages_and_as_they_write_it(text: str, category: str) -> None:
    assert category in {finding.category for finding in seen(text, Surface.TYPED)}


def test_everyday_sentences_raise_nothing() -> None:
    """Of people who looked for false alarms, or who knew no policy: what children, teachers and families say."""
    lines = (Path(__file__).parent / "everyday.txt").read_text(encoding="utf-8").splitlines()
    assert len(lines) > 2000
    loud = [line for line in lines if any(hit.severity is not Severity.MINOR for hit in seen(line, Surface.TYPED))]
    assert loud == []


def test_ordinary_english_raises_little_and_hardly_anything_severe(ordinary_english: str) -> None:
    pieces = [ordinary_english[start : start + 4000] for start in range(0, len(ordinary_english), 4000)]
    found = [finding for piece in pieces for finding in seen(piece, Surface.TYPED)]
    ten_thousand = len(ordinary_english.split()) / 10_000
    assert len(found) <= 1.5 * ten_thousand
    assert sum(one.severity is Severity.SEVERE for one in found) <= 0.25 * ten_thousand
