"""The engine on policies of a few terms: every way of writing, what stands around, places, and texts made to be
slow."""

from __future__ import annotations

import datetime
import gc
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from appliance.observations import Severity, Surface
from appliance_plugins.keyword.engine.compiling import MOST_PLACES, Compiled
from appliance_plugins.keyword.engine.engine import Engine
from appliance_plugins.keyword.engine.exclusions import Exclusions, Innocent
from appliance_plugins.keyword.engine.folding import Table
from appliance_plugins.keyword.engine.hits import Hit, How
from appliance_plugins.keyword.library.model import Matching, Policy, Term

OWN = frozenset({Surface.TYPED, Surface.EMAIL, Surface.SEARCH})


def term(name: str, *phrases: str, severity: Severity = Severity.MODERATE, **more: Any) -> Term:
    return Term(name, phrases, f"What {name} means to a teacher.", severity, more.pop("surfaces", OWN), **more)


def policy(*terms: Term, category: str = "bullying") -> Policy:
    return Policy("local", "Local", category, "1", datetime.date(2026, 9, 1), "Mrs Khan", "Words.", terms)


ENGINE = Engine(
    [
        policy(
            term("giant", "green giant"),
            term("hurt", "want to hurt you", personal=True),
            term("you-are", "you are an idiot"),
            term("kys", "kys", surfaces=frozenset(Surface)),
            term("slag", "slag"),
            term("late", "retard"),
            term("group", "martians", "martian people", near=("hate*", "vermin", "go home"), unless=("not",), within=6),
            term("exact", "purple rain", matching=Matching.EXACT),
            term("arabic", "أريد أن أموت", language="ar"),
            term("hindi", "मैं मरना चाहता हूँ", language="hi"),
            term("chinese", "我想自杀", language="zh"),
            term("chinese-group", "火星人", near=("讨厌", "滚出去"), unless=("反对",), within=4, language="zh"),
            term("german", "marsmenschen", near=("vergasen",), within=6, language="de"),
            term("blade", "sharp blade", severity=Severity.SEVERE),
            term("page", "secret club", surfaces=frozenset({Surface.PAGE})),
            term("name", "bad club", surfaces=frozenset({Surface.ADDRESS})),
            term("self", "myself harshly", "give yourself up"),
            term("sound", "flat roof", "cold as ice", "pink rhinoceros"),
        )
    ],
    Exclusions(((Innocent.COLLOCATION, "slag heap"), (Innocent.NAME, "Martian Slag"), (Innocent.HELP, "Childline"))),
)


def find(text: str, surface: Surface = Surface.TYPED) -> Sequence[Hit]:
    return ENGINE.find(text, surface)


@pytest.mark.parametrize(
    ("text", "written", "how"),
    [
        ("a green giant.", "green giant", How.EXACT),
        ("a GREEN-Giant", "GREEN-Giant", How.FOLDED),
        ("grëën g\u200biant", "grëën g\u200biant", How.FOLDED),
        ("ｇｒｅｅｎ giant", "ｇｒｅｅｎ giant", How.FOLDED),
        ("grееn giаnt", "grееn giаnt", How.FOLDED),
        ("i wanna hurt u", "wanna hurt u", How.TEXT_SPEAK),
        ("green really giant", "green really giant", How.WORDS_BETWEEN),
        ("greeeen giaaaant", "greeeen giaaaant", How.REPEATED),
        ("gren gaint", "gren gaint", How.EDIT),
        ("the greengiant", "greengiant", How.JOINED),
        ("your an idiot", "your an idiot", How.CONFUSED),
        ("so g r e e n  g i a n t", "g r e e n  g i a n t", How.SPACED),
        ("so g.r.e.e.n g.i.a.n.t", "g.r.e.e.n g.i.a.n.t", How.SPACED),
        ("gr33n g14nt", "gr33n g14nt", How.LEET),
        ("gr*en gi#nt", "gr*en gi#nt", How.MASKED),
        ("لا أُريد ان امـوت", "أُريد ان امـوت", How.FOLDED),
        ("मैं मरना चाहता हूँ", "मैं मरना चाहता हूँ", How.EXACT),
        ("你好我想自杀了", "我想自杀", How.EXACT),
        ("k y s", "k y s", How.SPACED),
        # words of several parts, one of which is disguised
        ("green-g14nt", "green-g14nt", How.LEET),
        ("gr33n_giant", "gr33n_giant", How.LEET),
        ("the.gr*en.giant", "gr*en.giant", How.MASKED),
        ("gr-een giant", "gr-een giant", How.SPACED),
        ("gr**ee**n giant", "gr**ee**n giant", How.SPACED),
        ("green gi**ant**", "green gi**ant", How.SPACED),
        ("~~gr~~een giant", "gr~~een giant", How.SPACED),
        # one word in two pieces
        ("look at my self harshly", "my self harshly", How.SPACED),
        ("look at my s3lf harshly", "my s3lf harshly", How.LEET),
        ("give ya self up", "give ya self up", How.SPACED),
        ("a pink rhi noceros", "pink rhi noceros", How.SPACED),
        ("a pink rhi n0ceros", "pink rhi n0ceros", How.LEET),
        # several words in one, with a mistake
        ("wantohurtyou", "wantohurtyou", How.JOINED),
        ("gr*engiant", "gr*engiant", How.MASKED),
        # as it sounds
        ("a phlat rooph", "phlat rooph", How.CONFUSED),
        ("kold as ice", "kold as ice", How.CONFUSED),
        # letters that show nothing
        ("g\u3164re\uffa0en\u115f gi\u2064ant", "g\u3164re\uffa0en\u115f gi\u2064ant", How.FOLDED),
        (
            "g\u2800r\u2800e\u2800e\u2800n\u2800\u2800giant",
            "g\u2800r\u2800e\u2800e\u2800n\u2800\u2800giant",
            How.SPACED,
        ),
        # tags
        ("<b>gre</b>en <I>giant</I>!", "gre</b>en <I>giant", How.FOLDED),
        ("green<br/>giant", "green<br/>giant", How.EXACT),
        ("gr[i]een[/i] gi<wbr>ant", "gr[i]een[/i] gi<wbr>ant", How.FOLDED),
        # letters that sites make
        ("a ⒢⒭⒠⒠⒩ 🄖🄘🄐🄝🄣", "⒢⒭⒠⒠⒩ 🄖🄘🄐🄝🄣", How.FOLDED),
        ("₲ⱤɆɆ₦ ₲i₳₦₮", "₲ⱤɆɆ₦ ₲i₳₦₮", How.FOLDED),
        ("Ꮆ尺乇乇几 Ꮆ丨卂几ㄒ", "Ꮆ尺乇乇几 Ꮆ丨卂几ㄒ", How.FOLDED),
        ("GᖇEEᑎ GIᗩᑎT", "GᖇEEᑎ GIᗩᑎT", How.FOLDED),
        ("one line\nʇuɐᴉƃ uǝǝɹƃ ɐ", "ʇuɐᴉƃ uǝǝɹƃ", How.TURNED),
        ("⊥u∀ᴉ⅁ uǝƎɹƃ", "⊥u∀ᴉ⅁ uǝƎɹƃ", How.TURNED),
        ("a \u202etnaig neerg\u202c.", "tnaig neerg", How.TURNED),
        ("green\n\u202etnaig neerg 41", "tnaig neerg", How.TURNED),
    ],
)
def test_a_phrase_is_found_and_said_how_it_was_written(text: str, written: str, how: How) -> None:
    (hit,) = find(text)
    assert text[hit.start : hit.end] == written
    assert hit.how is how
    assert hit.how.words


@pytest.mark.parametrize(
    "text",
    [
        "the evergreen giants",
        "green is a giant colour",
        "kysut and sky s",  # part of words
        "kyss",
        "a k-y.s? no: sky",
        "purple raain",  # only exactly
        "p u r p l e  r a i n",
        "the slag heap is old",
        "Mr Martian Slag hates me",
        "Je suis en retard dans le bus",
        "we do not hate martians",
        "martians live on mars",
        "I hate rain. It is late.\nmartians",
        "eyJhbGciOiJIUzI1NiJ9.gr33nG14nt.4nTsf4gg0tAAA",
        "data:image/png;base64,iVBORw0KGgogreen/giant",
        "secret club",
        "evergreen-g14nts",
        "the task-g14nt runs",
        "green@g14nt.example is my address",
        "re-greened gi-ants",
        "a gr<hr>een giant <giant class=green>",  # not written together; no simple tag
        "gr eat gi raffe",
        "wantohurt",  # too few words that are right
        "tnaig neerg",  # nobody reads a line backwards
        "ııı tnaıg nəərg ɔɔɔ",  # letters of Turkish, Azerbaijani and Twi, the right way round
        "山千几 giant",
    ],
)
def test_what_is_innocent_is_left_alone(text: str) -> None:
    assert [hit.term.id for hit in find(text)] == []


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("https://search.example/?q=the+green+giant&ei=k1llZ0d13", "green+giant"),
        ("see https://chat.example/x?msg=gr%65en%20giant now", "gr%65en%20giant"),
        ("https://a.example/?q=gr%2565en%2520giant", "gr%2565en%2520giant"),
        ("www.greengiant.example", "greengiant"),
        ("https://a.example/?q=%D8%A3%D8%B1%D9%8A%D8%AF+%D8%A3%D9%86+%D8%A3%D9%85%D9%88%D8%AA", None),
    ],
)
def test_addresses_are_read_as_a_browser_would(text: str, written: str | None) -> None:
    (hit,) = find(text)
    assert written is None or text[hit.start : hit.end] == written
    assert [one.term.id for one in find(text, Surface.ADDRESS)] == ([hit.term.id] if "?" in text else [])


EMOJI = Engine(
    [
        policy(
            term("stab", "want to stab", "stab you", "knife", severity=Severity.SEVERE),
            term("me", "stab myself", severity=Severity.SEVERE, personal=True),
            term("drugs", "anyone got", near=("weed", "pills"), within=4, severity=Severity.SEVERE),
            term("sold", "selling pills"),
            category="weapons",
        )
    ]
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("i want to 🔪 him", {("stab", Severity.MODERATE, "want to 🔪")}),  # another word may have been meant
        ("i will 🔪\ufe0f🔪 you", {("stab", Severity.MODERATE, "🔪\ufe0f🔪 you")}),
        ("🗡\U0001f3fd\u200d🗡myself", {("me", Severity.SEVERE, "🗡\U0001f3fd\u200d🗡myself")}),
        ("s3lling 💊!", {("sold", Severity.MINOR, "s3lling 💊")}),
        ("anyone got 🍃 😂", {("drugs", Severity.MINOR, "anyone got")}),  # only an emoji stands near it
        ("anyone got 🍃 or pills", {("drugs", Severity.SEVERE, "anyone got")}),
        ("🔪", set()),
        ("🔪🔪 🔪 💊 🔫", set()),
        ("💀💀 im dead 😭", set()),
        ("apples 🔪🍎", set()),
        ("that test killed me 🔫😂", set()),
    ],
)
def test_an_emoji_is_read_as_a_word_beside_others(text: str, found: set[tuple[str, Severity, str]]) -> None:
    hits = EMOJI.find(text, Surface.TYPED)
    assert {(hit.term.id, hit.severity, text[hit.start : hit.end]) for hit in hits} == found


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("all elvs are vermin", "elvs"),  # of five letters: what stands beside it shows that it was meant
        ("elvesare vermin", "elvesare"),
        ("I hate Maritans", "Maritans"),  # two letters swapped: no name
        ("I hate Martines", None),
        ("sll dwarves", None),  # nothing stands beside it
        ("martins are mortally ill", None),
        ("martains are mortally ill", "martains"),  # "ill" is right, and not "i will"
        ("martians are mrotally ill", "martians"),
    ],
)
def test_a_misspelt_word_counts_if_what_stands_beside_it_shows_what_is_meant(text: str, written: str | None) -> None:
    near = ("hate*", "vermin", "mortally ill")
    engine = Engine([policy(term("group", "martians", "elves", near=near, within=6), term("word", "salls"))])
    assert [text[hit.start : hit.end] for hit in engine.find(text, Surface.TYPED)] == ([written] if written else [])


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("room N055 is upstairs", None),  # the name of a room
        ("who has n055", "n055"),
        ("THE N055 IS HERE", "N055"),
        ("the enemy's land", None),  # something of somebody
        ("the enmeas again", "enmeas"),
        ("let's get cookin", None),  # without its g
        ("who has cokian", "cokian"),
        ("*Rome is old", None),  # stressed
        ("on er*me", "er*me"),
        ("are you-in", None),  # two words
    ],
)
def test_what_only_looks_disguised_is_left_alone(text: str, written: str | None) -> None:
    engine = Engine([policy(term("a", "noss"), term("b", "enemas"), term("c", "cokain"), term("d", "erome", "youpin"))])
    assert [text[hit.start : hit.end] for hit in engine.find(text, Surface.TYPED)] == ([written] if written else [])


def test_a_word_that_lost_its_g_in_one_phrase_is_read_in_others() -> None:
    engine = Engine([policy(term("one", "teasin me"), term("other", "teasing my brother"))])
    assert [hit.term.id for hit in engine.find("they are teasin my brother", Surface.TYPED)] == ["other"]
    assert [hit.term.id for hit in engine.find("they are teasin me", Surface.TYPED)] == ["one"]


@pytest.mark.parametrize(
    ("text", "read_as"),
    [("k.y.s", "k y s"), ("i wanna hurt u", "want to hurt you"), ("gr33n really giant", "green giant")],
)
def test_what_was_understood_is_told_as_the_policy_writes_it(text: str, read_as: str) -> None:
    engine = Engine([policy(term("a", "k y s"), term("b", "want to hurt you"), term("c", "green giant"))])
    (hit,) = engine.find(text, Surface.TYPED)
    assert hit.read_as == read_as


def test_neighbours_make_a_word_count() -> None:
    assert [hit.term.id for hit in find("I hated those martians")] == ["group"]
    assert [hit.term.id for hit in find("martians should go home")] == ["group"]
    assert [hit.term.id for hit in find("I haet all the martians")] == ["group"]


@pytest.mark.parametrize(
    ("text", "severity"),
    [
        ("bring a sharp blade", Severity.SEVERE),
        ("bring a shapr blade", Severity.MODERATE),  # another word may have been meant
        ("my essay has a sharp blade in it", Severity.MINOR),
        ("i want to hurt you, says my essay", Severity.MODERATE),  # somebody speaks to somebody
        ("i want to hurtt you", Severity.MODERATE),
    ],
)
def test_severity_is_lowered_for_a_reason(text: str, severity: Severity) -> None:
    (hit,) = find(text)
    assert hit.severity is severity
    assert hit.why_severity


ABOVE = "There is a long story about the people next door, that we do not say"
BELOW = "martians we hate because of what they are and where they come from"


@pytest.mark.parametrize(
    ("text", "goes_on"),
    [
        (f"{ABOVE}\n{BELOW}.", True),
        (f"{ABOVE} \r\n  {BELOW}\r\nor so.", True),
        (f"> {ABOVE}\n> {BELOW}", True),
        (f"{ABOVE}\n{BELOW.capitalize()}", False),  # a new sentence
        (f"{ABOVE}.\n{BELOW}", False),
        (f"{ABOVE}:\n{BELOW}", False),
        (f"{ABOVE}\n\n{BELOW}", False),  # a new paragraph
        ("we do not say\nmartians we hate\nok", False),  # a chat
        (f"we do not say\n{BELOW}", False),  # there was room for more
        (f"{ABOVE}\n- {BELOW}", False),  # a list
    ],
)
def test_a_sentence_goes_on_where_its_line_was_wrapped(text: str, goes_on: bool) -> None:
    assert [hit.term.id for hit in find(text)] == ([] if goes_on else ["group"])


@pytest.mark.parametrize(
    ("text", "beside"),
    [
        ("我讨厌火星人", "讨厌"),
        ("火星人都给我滚出去", "滚出去"),
        ("火星人，都给我们滚 出 去！", "滚出去"),
        ("我喜欢火星人", None),
        ("讨厌\n火星人来了", None),  # another line
        ("讨厌的作业今天好多啊怎么办呢火星人来了", None),  # too far away
        ("我们反对讨厌火星人", None),
        ("火星人", None),
    ],
)
def test_what_stands_near_counts_in_scripts_without_blanks(text: str, beside: str | None) -> None:
    hits = [(hit.term.id, hit.near) for hit in find(text)]
    assert hits == ([] if beside is None else [("chinese-group", beside)])


@pytest.mark.parametrize(
    ("text", "is_excused"),
    [
        ("i do not hate martians", True),
        ("it is not one two three four five six that we martians hate", True),
        ("it is not one two three four five six seven eight that we martians hate", False),
        ("martians are who we hate one two three four five not", True),
        ("martians are who we hate one two three four five six seven not", False),
        ("i did not go and i hate martians", False),
        ("did not go but my hate of martians", False),
        ("not you and me, i hate martians", True),
        ("i hate martians because they are not nice", False),
        ("i hate martians and not you", True),
    ],
)
def test_what_else_is_told_excuses_nothing(text: str, is_excused: bool) -> None:
    assert [hit.term.id for hit in find(text)] == ([] if is_excused else ["group"])


def test_what_stands_near_is_guessed_in_no_other_language() -> None:
    assert find("marsmenschen verlasen") == []
    assert [hit.term.id for hit in find("marsmenschen vergasen")] == ["german"]


def test_exclusions_that_did_not_apply_are_told() -> None:
    (hit,) = find("she is a slag")
    assert "slag heap" in hit.tried


def test_a_search_for_help_is_nobodys_business() -> None:
    assert find("childline green giant", Surface.SEARCH) == []
    assert [hit.term.id for hit in find("childline is a green giant")] == ["giant"]


def test_a_term_counts_only_where_it_is_looked_for() -> None:
    assert [hit.term.id for hit in find("secret club green giant", Surface.PAGE)] == ["page"]
    assert [hit.term.id for hit in find("bad-club.example", Surface.NAME)] == ["name"]
    assert [find("kys", surface) for surface in (Surface.SEARCH, Surface.ADDRESS, Surface.NAME)] == [[], [], []]
    assert [hit.term.id for hit in find("https://example.com/bad-club", Surface.ADDRESS)] == ["name"]
    assert find("https://kys.example.com/kys?q=kys", Surface.ADDRESS) == []


texts = st.text(st.characters(), max_size=300) | st.text(
    st.sampled_from("gren iat1!@$*.-_k y s \u200b\u0301Ggо٤我死ह\n%2e&?=:/'\u0301"), max_size=300
)


@given(texts, st.sampled_from(Surface))
@settings(max_examples=300)
def test_any_text_gives_hits_with_places_in_it(text: str, surface: Surface) -> None:
    for hit in find(text, surface):
        assert 0 <= hit.start < hit.end <= len(text)


@given(texts)
def test_the_same_text_gives_the_same_hits(text: str) -> None:
    assert find(text) == find(text)


few_words = st.lists(st.sampled_from("no go on yes we it zoo".split()), min_size=1, max_size=6).map(" ".join)


@given(st.lists(few_words, min_size=1, max_size=30, unique=True), st.lists(few_words, min_size=1, max_size=9))
@example(["no no", "no no no"], ["no no"])
@settings(max_examples=300, deadline=None)
def test_every_phrase_is_found_wherever_it_stands(phrases: Sequence[str], parts: Sequence[str]) -> None:
    """Many phrases have the same two words, some of them twice."""
    own = policy(*[term(str(number), *phrases[number : number + 9]) for number in range(0, len(phrases), 9)])
    compiled = Compiled([own], Exclusions(), Table())
    words = " ".join(parts).split()
    found = [
        (entry.phrase, first, last)
        for entries, first, last in compiled.scan(" ".join(words), Counter())
        for entry in entries
    ]
    assert sorted(found) == sorted(
        (" ".join(words[first : last + 1]), first, last)
        for first in range(len(words))
        for last in range(first, len(words))
        if " ".join(words[first : last + 1]) in phrases
    )


def test_a_phrase_that_is_repeated_without_end_is_found_so_often() -> None:
    compiled = Compiled([policy(term("go", "go on", "on"))], Exclusions(), Table())
    places: Counter[str] = Counter()
    found = [len(list(compiled.scan("go on " * times + "stop", places))) for times in (3, MOST_PLACES, 1)]
    assert found == [6, 2 * (MOST_PLACES - 3), 0]


TRAPS = {
    "a ": "a ", "*a": "*a", "a*": "a*", "@": "@", "@ ": "@ ", "k.i.l.l.": "k.i.l.l.", "one word": "a",
    "digits": "1", "1a": "1a",
    "%25": "%25", "http://": "http://a.b/", "a.": "a.", "accents": "e\u0301\u0323", "joined": "greengiant",
    "odd": "grenn gaint ",
    "parts": "k-1ll_y0ur.s3lf", "pieces": "my s3lf gi ant ", "in pieces": "gr**ee**n ", "tags": "<b>a", "<": "<",
    "together": "wantohurtyou ", "masked together": "gr*engiant ", "sounds": "kzxkszph",
    "emoji": "🔪", "emoji and words": "stab 🔪 ", "many emoji": "🔪💊",
    "addresses": "http://a.b/?q=green+giant ", "my self": "my self ", "odd in pieces": "wnat grenn gi ant my self ",
    "hit": "green giant ", "near": "martians hate ", "chinese": "我想自杀", "mixed": "g r33n_g!4nt %41 ", "!": "!",
    "-": "-a", "newlines": "a\n", "spaced": "g r e e n  g i a n t ", "leet": "gr33n ", "leet filler": "re4lly ",
}  # fmt: skip


@pytest.mark.parametrize("name", TRAPS)
def test_no_text_of_a_megabyte_stops_the_engine(name: str) -> None:
    """The bound is far above what a quiet machine takes (two seconds, which ``benchmarks/detection`` measures): it is
    there for what grows with the square of the length, which would take minutes.
    """
    text = (TRAPS[name] * 1_000_000)[:1_000_000]
    started = time.process_time()
    find(text)
    assert time.process_time() - started < 20


def test_no_odd_word_that_was_read_stays_in_memory() -> None:
    engine = Engine([policy(term("hurt", "kill myself", personal=True))], Exclusions())
    odd = "Zxquorvlintha"
    engine.find(f"well {odd} k.i.l.l m*yself {odd} really {odd.upper()}", Surface.TYPED)
    gc.collect()
    held = [text for text in _strings_held(engine) if odd.lower() in text.lower()]
    assert held == []


def _strings_held(root: object) -> Iterator[str]:
    """Every text that is reached from an object."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        one = waiting.pop()
        if id(one) in seen or isinstance(one, type | ModuleType):
            continue
        seen.add(id(one))
        if isinstance(one, str):
            yield one
        waiting += gc.get_referents(one)
