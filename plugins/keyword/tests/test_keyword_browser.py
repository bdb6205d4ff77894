"""The browser's part in a real browser: whatever the engine finds is noticed there, and ordinary English seldom is."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from evasions import KINDS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from needles_in_chromium import Case, Chromium, in_chromium

from appliance.observations import Severity, Surface
from appliance_plugins.keyword.engine import addresses, disguises
from appliance_plugins.keyword.engine.engine import Engine
from appliance_plugins.keyword.library.model import Matching, Policy, Term
from appliance_plugins.keyword.library.reading import read_policies
from appliance_plugins.keyword.needles.making import Making
from appliance_plugins.keyword.needles.surfaces import SURFACES, bits

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEY = bytes(range(16))
SEED = 20261126
PER_KIND = 60
AROUND = ("well {} today", "i said {} ok", "{}", "then {} and left", "{}. not now", "https://a.test/b?q={}")
SIGNS = ".,!?;:-_*/\\()<>@#%&+=|~^'\n\u200b\u00ad 😀𝒶½ßİ🔪🪢"
EVERYWHERE = frozenset(SURFACES)


def policy_of(*terms: Term, name: str = "a", hidden: bool = False) -> Policy:
    return Policy(name, name, "suicide", "1", datetime.date.min, "", "", terms, hidden)


def term(id_: str, *phrases: str, **other: object) -> Term:
    return dataclasses.replace(Term(id_, phrases, "", Severity.MINOR, EVERYWHERE), **other)  # type: ignore[arg-type]


OWN = policy_of(
    term("die", "want to die", "wanna end it", "I'm going to hang myself"),
    term("knife", "knife", near=("stab*", "bring to school"), within=4),
    term("people", "those vermin", near=("they",)),
    term("kms", "kms", "gbl"),
    term("name", "Ada Smyth", matching=Matching.EXACT),
    term("you", "you are such a loser"),
    term("shout", "nobodysword"),
    term("chinese", "自杀", "想要自杀了"),
    term("email", "buy vapes", surfaces=frozenset({Surface.EMAIL})),
    term("search", "buy vapes", surfaces=frozenset({Surface.SEARCH})),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chromium() -> AsyncIterator[Chromium]:
    async with in_chromium() as found:
        yield found


@dataclass
class Pair:
    """A device, and the engine that judges what it sends. ``has``: the policies that the device has."""

    chromium: Chromium
    engine: Engine
    has: set[str]

    async def missed(self, cases: Sequence[Case]) -> list[object]:
        """What the engine finds of these policies and the browser does not."""
        theirs = await self.chromium.ids([(text, "typed" if seen == "email" else seen) for text, seen in cases])
        ours = [{one for one in found_by(self.engine, *case) if one.partition("/")[0] in self.has} for case in cases]
        return [(case, mine - found) for case, mine, found in zip(cases, ours, theirs, strict=True) if mine - found]


MADE: dict[tuple[str, ...], dict[str, Any]] = {}
"""What devices were given, by the names of all policies and of those that they have."""


async def prepare(chromium: Chromium, policies: Sequence[Policy], wanted: Sequence[Policy]) -> None:
    """A device that has the terms of ``wanted``, of all these policies; the same one is made once."""
    names = (*(one.name for one in policies), "", *(one.name for one in wanted))
    if names not in MADE:
        terms = {f"{one.name}/{two.id}": bits(two.surfaces) for one in wanted for two in one.terms}
        MADE[names] = Making(policies, KEY).needles(terms)
    await chromium.prepare(MADE[names])


async def look_for(chromium: Chromium, policies: Sequence[Policy], wanted: Sequence[Policy]) -> Pair:
    """Such a device, and an engine beside it."""
    await prepare(chromium, policies, wanted)
    return Pair(chromium, Engine(policies), {policy.name for policy in wanted})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def supplied() -> AsyncIterator[Pair]:
    """A device with every third policy, and an engine with all: the words of one bear on how another is read."""
    policies = [dataclasses.replace(policy, hidden=False) for policy in read_policies(None)]
    async with in_chromium() as found:
        yield await look_for(found, policies, policies[::3])


def found_by(engine: Engine, text: str, surface: str) -> set[str]:
    return {f"{hit.policy.name}/{hit.term.id}" for hit in engine.find(text, Surface(surface))}


# Each way, with its own term


@pytest.mark.parametrize(
    ("text", "surface", "ids"),
    [
        ("I WANT — to\n\N{MATHEMATICAL BOLD SMALL D}ie!", "typed", {"a/die"}),
        ("i really just wnt to fcking die", "page", {"a/die"}),
        ("iwanttodie", "title", {"a/die"}),
        ("w 4 n t  t 0  d 1 3", "typed", {"a/die"}),
        ("going 2 h@ng mys*lf: im going to h*ng myself", "typed", {"a/die"}),
        ("wanting to diet", "typed", set()),
        ("a knife", "typed", set()),
        ("he stabbed me with a knife", "typed", {"a/knife"}),
        ("he stabbed me. A knife lay there", "typed", set()),
        ("a knife to br1ng t0 sch00l", "typed", {"a/knife"}),
        ("Those vermin came back. I hate them and they hate us.", "typed", {"a/people"}),
        ("kms", "typed", {"a/kms"}),
        ("kms", "search", set()),
        ("k m s", "typed", {"a/kms"}),
        ("kmss", "typed", set()),
        ("ADA SMÝTH", "typed", {"a/name"}),
        ("ada smith", "typed", set()),
        ("your such a looser", "typed", set()),
        ("your such a loser", "typed", {"a/you"}),
        ("nobdoysword", "typed", {"a/shout"}),
        ("Nobodyswords", "typed", set()),  # a name, more likely than a misspelt word
        ("我想自杀", "typed", {"a/chinese"}),
        ("想 要 自 杀 了", "page", {"a/chinese"}),
        ("buy vapes", "typed", {"a/email"}),
        ("buy vapes", "search", {"a/search"}),
        ("https://shop.test/buy-vapes?q=old", "address", set()),
        ("https://shop.test/?q=buy+v%61pes", "address", {"a/search"}),
        ("look: https://shop.test/want-to-die ok", "page", {"a/die"}),
        ("want-t0-die", "typed", {"a/die"}),
        ("im going to hang my s3lf", "typed", {"a/die"}),
        ("i <b>want</b> to d<i></i>ie", "page", {"a/die"}),
        ("iwantodie", "typed", {"a/die"}),
        ("w*nttodie", "typed", {"a/die"}),
        ("ìm going to 🪢🪢\ufe0f my s3lf", "typed", {"a/die"}),
        ("bring to school a 🔪 for ĉooking", "typed", set()),
        ("🔪 🪢", "typed", set()),
        ("w\u3164ant to di\uffa0e", "typed", {"a/die"}),
        ("want to d-i-e and wa-nt to die", "typed", {"a/die"}),
        ("山卂几ㄒ ㄒㄖ ᗪ丨乇", "typed", {"a/die"}),
        ("ok\nǝᴉp oʇ ʇuɐʍ", "typed", {"a/die"}),
        ("\u202eeid ot tnaw\u202c ok", "page", {"a/die"}),
        ("eid ot tnaw", "typed", set()),
        ("stabbed with a kni**fe**", "typed", {"a/knife"}),
        ("", "typed", set()),
        ("  \n", "page", set()),
    ],
)
async def test_each_way_of_writing_is_noticed_where_it_counts(
    chromium: Chromium, text: str, surface: str, ids: set[str]
) -> None:
    await prepare(chromium, [OWN], [OWN])
    assert await chromium.ids([(text, surface)]) == [ids]


async def test_what_is_noticed_stands_where_it_is_said_to_stand(chromium: Chromium) -> None:
    await prepare(chromium, [OWN], [OWN])
    texts = ["😀 w@nt to d1e, or https://a.test/?q=w%61nt+to+die", "no. ｗａｎｔ　ｔｏ　ｄｉｅ"]  # noqa: RUF001
    texts.append("😀ﬁ im going to 🪢🪢 myself 😀")
    texts.append("😀\n😀 ǝᴉp oʇ ʇuɐʍ 😀\n")
    found = await chromium.find([(text, "typed") for text in texts])
    units = [text.encode("utf-16-le") for text in texts]
    shown = [
        [unit[2 * start : 2 * end].decode("utf-16-le") for _, start, end in one]
        for unit, one in zip(units, found, strict=True)
    ]
    fullwidth = "ｗａｎｔ　ｔｏ　ｄｉｅ"  # noqa: RUF001
    assert shown == [
        ["w@nt to d1e", "w%61nt+to+die"], [fullwidth], ["im going to 🪢🪢 myself"], ["ǝᴉp oʇ ʇuɐʍ"],
    ]  # fmt: skip


# Never less than the engine


def altered(kind: str, policies: Sequence[Policy]) -> Iterator[Case]:
    """Phrases of policies, most with what has to stand near them, altered in one way, on every surface."""
    source = random.Random(f"{SEED} {kind}")
    alter = KINDS[kind][0] if kind in KINDS else lambda _, text: text
    terms = [term for policy in policies for term in policy.terms]
    for _ in range(PER_KIND):
        text = source.choice(AROUND).format(alter(source, said(source, source.choice(terms))))
        for surface in (*SURFACES, Surface.EMAIL):
            yield text, surface.value


def said(source: random.Random, chosen: Term) -> str:
    """A phrase of a term, with what has to stand near it now and then."""
    phrase = source.choice([one for one in chosen.phrases if len(one) > 3] or ["nothing"]).lower()
    if not chosen.near or source.random() < 0.1:
        return phrase
    gap = source.choices(["really", "just", "so", "the", "a", "and", "my"], k=source.randint(0, chosen.within))
    near = source.choice(chosen.near).replace("*", source.choice(["", "s"]))
    return " ".join(source.choice([[near, *gap, phrase], [phrase, *gap, near]]))


@pytest.mark.parametrize("kind", ["plain", *KINDS])
async def test_whatever_the_engine_finds_of_supplied_policies_is_noticed(supplied: Pair, kind: str) -> None:
    policies = [policy for policy in read_policies(None) if policy.name in supplied.has]
    cases = list(altered(kind, policies))
    assert sum(bool(found_by(supplied.engine, *case)) for case in cases) > PER_KIND
    assert await supplied.missed(cases) == []


words = st.sampled_from(
    "want to die wanna end it knife stab those vermin they them kms gbl ada smyth you your are such loser a "
    "nobodysword really just im going 2 hang myself buy vapes 自杀 想要".split()
)
signs = st.text(st.sampled_from(list(SIGNS)), max_size=3)
pieces = st.tuples(words, st.integers(0, 12), signs, st.sampled_from(["", " ", " ", " ", ". ", "  "]))


def spliced(word: str, at: int, sign: str, after: str) -> str:
    """A word with a sign in it."""
    return word[:at] + sign + word[at + 1 :] + after if sign else word + after


texts = st.lists(pieces.map(lambda piece: spliced(*piece)), min_size=1, max_size=14).map("".join) | st.text(max_size=60)
seen_on = st.sampled_from([surface.value for surface in (*SURFACES, Surface.EMAIL)])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def own() -> AsyncIterator[Pair]:
    async with in_chromium() as found:
        yield await look_for(found, [OWN], [OWN])


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.tuples(texts, st.sampled_from([surface.value for surface in (*SURFACES, Surface.EMAIL)])), min_size=30)
)
async def test_whatever_the_engine_finds_in_any_text_is_noticed(own: Pair, cases: list[Case]) -> None:
    assert await own.missed(cases) == []


async def test_the_rest_of_a_word_in_which_a_phrase_begins_is_no_word_between(chromium: Chromium) -> None:
    policy = policy_of(term("burn", "burn it off", near=("feel sick",), within=4), name="burning")
    pair = await look_for(chromium, [policy], [policy])
    case = ("i feel sick and then myburn it off", "typed")
    assert found_by(pair.engine, *case) == {"burning/burn"}
    assert await pair.missed([case]) == []


async def test_the_patterns_that_the_browser_repeats_are_as_they_were() -> None:
    """If one of these has changed, so must browser/disguises.js or browser/addresses.js; then write it down here."""
    patterns = [
        *(disguises._ONE, disguises._BETWEEN, disguises._SPACED.pattern, disguises._SIGN_BEFORE.pattern),
        *(disguises._SIGN_AFTER.pattern, disguises._TOKEN.pattern, disguises._LEET.pattern, disguises._MASKED.pattern),
        *(disguises._PART.pattern, disguises._IN_PIECES.pattern, disguises._BETWEEN_PIECES.pattern),
        disguises._ONE_MASKED.pattern,
        *(disguises._ALONE.pattern, addresses._MARK.pattern, addresses._SCHEME.pattern, addresses._WRITTEN_ON.pattern),
        *(addresses._ESCAPED.pattern, addresses._UNBROKEN.pattern, addresses._ESCAPES.pattern),
        *(
            addresses._ID_IN_ADDRESS.pattern,
            addresses._DATA.pattern,
        ),
    ]
    assert hashlib.sha256("\n".join(patterns).encode()).hexdigest()[:16] == "27df2431920a53ba"


# Seldom in ordinary English


async def test_ordinary_english_seldom_leaves_a_device(chromium: Chromium, ordinary_english: str) -> None:
    policies = read_policies(None)
    await look_for(chromium, policies, policies)
    pieces = [ordinary_english[start : start + 200] for start in range(0, len(ordinary_english), 200)]
    noticed = sum(map(bool, await chromium.ids([(piece, "typed") for piece in pieces])))
    assert len(pieces) > 1000
    assert noticed <= 0.03 * len(pieces)


# Hidden terms

HIDDEN = policy_of(
    term("way", "how to get round the filter", "dark market"),
    term("proxy", "proxy", near=("school*", "get past"), within=5),
    term("bank", "网上银行卡"),
    name="h",
    hidden=True,
)


@pytest.mark.parametrize(
    ("text", "noticed"),
    [
        ("so how 2 get round the FÍLTER", True),
        ("the dark-market!", True),
        ("the dark really market", False),  # in no disguise
        ("drak market", False),
        ("a proxy", False),
        ("a proxy for my schoolwork", True),
        ("i want to really get past it. With a proxy", False),
        ("i want to really get past it with a proxy", True),
        ("卖网上银行卡的", True),
    ],
)
async def test_hidden_terms_are_noticed_by_their_hashes(chromium: Chromium, text: str, noticed: bool) -> None:
    await prepare(chromium, [OWN, HIDDEN], [HIDDEN])
    assert "filter" not in chromium.policy
    assert "school" not in chromium.policy.replace("bring to school", "")
    assert bool((await chromium.ids([(text, "typed")]))[0]) is noticed
