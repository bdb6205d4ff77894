"""The help: what its files hold, which page leads to which topic, and that its words become safe markup."""

from __future__ import annotations

import re
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import ChoiceLoader, DictLoader
from markupsafe import Markup

import appliance_plugins
from appliance.config import ConfigError
from appliance.hookspecs import Page, Permission
from appliance.web import help_texts, help_views
from appliance.web.assets import Assets
from appliance.web.help_texts import SIGNED_OUT, TOPIC_OF, Answer, Glossary, Help, Term, Topic, slug
from appliance.web.templating import make_environment
from appliance.web.views import core_pages

FOLDER = Path(help_texts.__file__).parent / "help"
PLUGINS = {path.parent.name: path.parent for path in Path(appliance_plugins.__file__).parent.glob("*/help.yaml")}
HELP = Help(PLUGINS)
TOPICS = sorted(HELP.topics)
ASSETS = Assets({})
CORE = core_pages(ASSETS)
FOR_DEVELOPERS = re.compile(r"\b(users?|events?|payloads?|vaults?|surfaces?|shadows?|null|invalid input)\b", re.I)
NEEDS_NO_TOPIC = {
    "/live": "no page: news for pages that are open",
    "/sign-out": "one question, which explains itself",
    "/static/{name:.+}": "a file",
    "/favicon.svg": "a file",
    "/robots.txt": "a file",
    "/help": "the help itself",
    "/help/{topic}": "the help itself",
    "/help/open/{topic}": "the help itself",
    "/glossary": "the help itself",
}
PUBLIC_TOPICS = ("signing-in", "joining", "setting-up")


def all_texts(topic: Topic) -> list[str]:
    """Everything that a topic says."""
    return [topic.title, topic.summary, *topic.texts(), *(part.ask for part in topic.answers)]


def names_in(text: str) -> list[str]:
    """The terms that a text names."""
    return re.findall(r"\[\[([^\]|]+)", text)


# What the files hold


def test_every_file_is_read_and_every_topic_can_be_found() -> None:
    files = {path.stem for path in FOLDER.glob("*.yaml")} - {"contents", "glossary"}
    listed = [name for shelf in HELP.shelves for name in shelf.topics]
    assert len(listed) == len(set(listed))
    assert set(listed) == set(HELP.topics) == files | {f"plugin-{name}" for name in PLUGINS}
    assert HELP.left_out == ()


@pytest.mark.parametrize("name", TOPICS)
def test_links_between_topics_lead_somewhere(name: str) -> None:
    topic = HELP.topics[name]
    for other in (*topic.related, *(part.see for part in topic.answers if part.see)):
        assert other in HELP.topics, f"{name} leads to {other}"
        assert other != name, f"{name} leads to itself"
        assert name.startswith("plugin-") or not other.startswith("plugin-"), "the core knows no plugin"
    assert topic.related


@pytest.mark.parametrize("name", TOPICS)
def test_every_answer_says_something_and_has_a_place_of_its_own(name: str) -> None:
    topic = HELP.topics[name]
    anchors = [part.anchor for part in topic.answers]
    assert anchors
    assert all(anchors)
    assert len({*anchors, "how", "questions", "words", "related", "main"}) == len(anchors) + 5
    assert all(part.do or part.answer for part in topic.answers)
    assert all(part.do for part in topic.how)
    assert len([text for text in all_texts(topic) if not text.strip()]) == 0


@pytest.mark.parametrize("name", TOPICS)
def test_terms_in_topics_stand_in_the_glossary(name: str) -> None:
    for text in all_texts(HELP.topics[name]):
        missing = [term for term in names_in(text) if HELP.glossary.find(term) is None]
        assert not missing, (name, missing)
        assert "[[" not in str(HELP.glossary.marked(text, HELP.glossary.terms)), text


@pytest.mark.parametrize("name", TOPICS)
def test_topics_use_no_words_that_are_for_developers(name: str) -> None:
    for text in all_texts(HELP.topics[name]):
        assert not FOR_DEVELOPERS.findall(re.sub(r"`[^`]*`", "", text)), text


@pytest.mark.parametrize("name", TOPICS)
def test_marks_for_terms_and_code_stand_in_texts_alone(name: str) -> None:
    topic = HELP.topics[name]
    for words in (topic.title, topic.summary, *(part.ask for part in topic.answers)):
        assert "[[" not in words
        assert "`" not in words


@pytest.mark.parametrize("term", HELP.glossary.terms, ids=lambda term: term.anchor)
def test_the_glossary_uses_no_words_that_are_for_developers(term: Term) -> None:
    words = f"{term.term} {' '.join(term.also)} {term.means}"
    assert not FOR_DEVELOPERS.findall(words)
    assert all(HELP.glossary.find(name) for name in names_in(term.means))


def test_every_name_in_the_glossary_means_one_thing() -> None:
    names = [name.casefold() for term in HELP.glossary.terms for name in (term.term, *term.also)]
    assert sorted(names) == sorted(set(names))
    assert all(HELP.glossary.find(name.upper()) is not None for name in names)


def test_the_glossary_goes_from_a_to_z_and_leaves_nothing_out() -> None:
    letters = HELP.glossary.letters()
    assert list(letters) == sorted(letters)
    assert sum(map(len, letters.values())) == len(HELP.glossary.terms)
    anchors = {term.anchor for term in HELP.glossary.terms}
    assert len(anchors) == len(HELP.glossary.terms)


@pytest.mark.parametrize(
    "asked",
    ["lost my phone", "forgotten my password", "lost my recovery key", "six digits are refused"],
)
def test_staff_find_what_to_do(asked: str) -> None:
    assert any(asked in part.ask for part in HELP.topics["what-if"].answers)


@pytest.mark.parametrize(
    "asked", ["lead is ill", "colleague has left", "lost the phone", "forgotten the password", "my recovery key"]
)
def test_the_lead_finds_what_to_do(asked: str) -> None:
    assert any(asked in part.ask for part in HELP.topics["lead-what-if"].answers)


# Which page leads where


STAFF_PAGES = [page for page in CORE if page.site == "staff" and page.method == "GET"]


@pytest.mark.parametrize("page", STAFF_PAGES, ids=lambda page: page.path)
def test_every_page_of_the_core_has_help(page: Page) -> None:
    has = HELP.topic_of(page.path) is not None
    assert has != (page.path in NEEDS_NO_TOPIC), f"{page.path}: add it to TOPIC_OF in {help_texts.__file__}"


@pytest.mark.parametrize("page", STAFF_PAGES, ids=lambda page: page.path)
def test_public_pages_have_help_that_anybody_can_read(page: Page) -> None:
    name = HELP.path_from(page.path, inside=False).removeprefix("/help/open/")
    assert HELP.topics[name].public
    if page.permission in {Permission.PUBLIC, Permission.JOIN} and page.path not in NEEDS_NO_TOPIC:
        assert HELP.topic_of(page.path) == name


def test_pages_lead_to_topics_that_exist() -> None:
    assert set(TOPIC_OF.values()) <= set(HELP.topics)


def test_exactly_the_topics_about_getting_in_are_public() -> None:
    assert {name for name, topic in HELP.topics.items() if topic.public} == set(PUBLIC_TOPICS)
    assert SIGNED_OUT in PUBLIC_TOPICS


@pytest.mark.parametrize(
    ("path", "topic"),
    [
        ("/", "home"),
        ("/people", "people"),
        ("/people/", "people"),
        ("/people/0190", "people"),
        ("/people/import", "people-import"),
        ("/people/import/7", "people-import"),
        ("/people/imports", "people"),
        ("/peoples", None),
        ("/nothing", None),
        ("/dns_filter", "plugin-dns_filter"),
        ("/dns_filter/lists", "plugin-dns_filter"),
        ("/dns", None),
        ("/settings/edit", "settings"),
    ],
)
def test_the_longest_part_of_an_address_that_fits_counts(path: str, topic: str | None) -> None:
    assert HELP.topic_of(path) == topic


@pytest.mark.parametrize(
    ("path", "inside", "leads_to"),
    [
        ("/settings", True, "/help/settings"),
        ("/nothing", True, "/help"),
        ("/help/settings", True, "/help"),
        ("/settings", False, "/help/open/signing-in"),
        ("/nothing", False, "/help/open/signing-in"),
        ("/set-up", False, "/help/open/setting-up"),
        ("/set-up", True, "/help/setting-up"),
        ("/dns_filter", False, "/help/open/signing-in"),
    ],
)
def test_help_leads_to_what_the_visitor_may_read(path: str, inside: bool, leads_to: str) -> None:
    assert HELP.path_from(path, inside) == leads_to


def test_only_the_pages_for_getting_in_are_public() -> None:
    permissions = {page.path: page.permission for page in help_views.pages()}
    assert [path for path, permission in permissions.items() if permission is Permission.PUBLIC] == [
        "/help/open/{topic}"
    ]


# Plugins


def test_help_of_a_plugin_that_is_wrong_is_left_out_and_named(tmp_path: Path) -> None:
    for name, text in (
        ("good", "title: Good\nsummary: Fine.\npurpose: [To be good.]\n"),
        ("bad", "title: [\n"),
        ("odd", "a: b"),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "help.yaml").write_text(text, encoding="utf-8")
    (tmp_path / "silent").mkdir()
    found = Help({name: tmp_path / name for name in ("good", "bad", "odd", "silent")})
    assert found.topic_of("/good/page") == "plugin-good"
    assert found.topic_of("/bad") is None
    assert [left.plugin for left in found.left_out] == ["bad", "odd"]
    assert "title" in found.left_out[1].why
    assert found.shelves[-1].topics == ("plugin-good",)


def test_without_help_of_plugins_there_is_no_empty_shelf() -> None:
    assert all(shelf.topics for shelf in Help({}).shelves)


def test_a_file_of_the_core_that_is_missing_is_named(tmp_path: Path) -> None:
    (tmp_path / "glossary.yaml").write_text("terms: []\n", encoding="utf-8")
    (tmp_path / "contents.yaml").write_text("groups: [{title: All, topics: [lost]}]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"lost\.yaml"):
        Help({}, tmp_path)


# Words become markup

WORDS = Glossary([Term(term="Recovery code", also=("spare code",), means="x"), Term(term="Scope <b>", means="y")])


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("plain", "plain"),
        ("", ""),
        ("a [[recovery code]].", 'a <a class="term" href="#word-recovery-code">recovery code</a>.'),
        ("[[recovery code|codes & more]]", '<a class="term" href="#word-recovery-code">codes &amp; more</a>'),
        ("[[SPARE CODE]]", '<a class="term" href="#word-recovery-code">SPARE CODE</a>'),
        ("[[scope <b>]]", '<a class="term" href="#word-scope-b">scope &lt;b&gt;</a>'),
        ("[[nothing]] [[nothing|else]]", "nothing else"),
        ("`a <b>`", "<code>a &lt;b&gt;</code>"),
        ("`[[recovery code]]`", "<code>[[recovery code]]</code>"),
        ("<script>", "&lt;script&gt;"),
        ("[[open", "[[open"),
        ("[[[[scope||]]", "[[[[scope||]]"),
    ],
)
def test_terms_become_links_and_everything_else_stays_text(text: str, html: str) -> None:
    assert WORDS.marked(text, WORDS.terms) == Markup(html)


def test_terms_that_are_not_on_the_page_are_words() -> None:
    assert WORDS.marked("a [[recovery code|code]]", ()) == "a code"


class _Reader(HTMLParser):
    """The tags of a piece of HTML, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(
    st.lists(st.sampled_from(["[[", "]]", "|", "`", "recovery code", "<b>", "&amp;", '"', "'", "#", " x "])).map(
        "".join
    )
)
def test_no_text_makes_other_tags_or_other_words(text: str) -> None:
    read = _Reader(str(WORDS.marked(text, WORDS.terms)))
    assert set(read.tags) <= {"a", "code"}
    left = iter(text)
    assert all(letter in left for letter in read.text), "something was added or moved"
    if "`" not in text and "]]" not in text:
        assert read.text == text


@pytest.mark.parametrize(
    ("words", "expected"), [("What is a UPN?", "what-is-a-upn"), ("  “Looks” ", "looks"), ("A & B", "a-b")]
)
def test_anchors_are_plain(words: str, expected: str) -> None:
    assert slug(words) == expected


# Pages

BARE = "<main>{% block main %}{% endblock %}</main>"
"""What stands around a page is tested with the pages."""
ENVIRONMENT = make_environment({}, ASSETS, "Europe/London")
ENVIRONMENT = ENVIRONMENT.overlay(
    loader=ChoiceLoader([DictLoader({"layout.html": BARE, "plain.html": BARE}), ENVIRONMENT.loader])
)


def topic_page(topic: Topic, public: bool) -> str:
    """The page of a topic, as the views make it."""
    links = help_views.links_to(HELP, public)
    template = ENVIRONMENT.get_template("help_topic.html")
    return template.render(**help_views.shown(HELP, topic), links=links, public=public)


@pytest.mark.parametrize(
    ("name", "public"),
    [*((name, False) for name in TOPICS), *((name, True) for name in PUBLIC_TOPICS)],
)
def test_every_link_on_a_topic_leads_to_a_place(name: str, public: bool) -> None:
    html = topic_page(HELP.topics[name], public)
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids)), "an id stands twice"
    places = {link.path for link in help_views.links_to(HELP, public).values()}
    places |= {"/"} if public else {"/help", "/glossary"}
    for href in re.findall(r'href="([^"]+)"', html):
        assert href[1:] in ids if href.startswith("#") else href in places, href


@pytest.mark.parametrize("public", [False, True])
def test_answers_may_be_written_as_steps_or_paragraphs(public: bool) -> None:
    topic = Topic(
        title="T", summary="S", purpose=("P",), questions=(Answer(ask="Q?", do=("one", "more"), answer=("two",)),)
    )
    html = topic_page(topic, public)
    assert html.index("<li>one</li>") < html.index("<p>two</p>")
    assert "Step by step" not in html
    assert "Related help" not in html


def test_texts_are_escaped_wherever_they_stand() -> None:
    mean = "<b>&</b>"
    topic = Topic(title=mean, summary=mean, purpose=(mean,), how=(Answer(ask=mean, do=(mean,), answer=(mean,)),))
    html = topic_page(topic, public=False)
    assert "<b>" not in html
    assert html.count("&lt;b&gt;&amp;&lt;/b&gt;") == 7


def test_the_pages_of_all_topics_and_all_terms_lead_to_every_one() -> None:
    links = help_views.links_to(HELP, public=False)
    shelves = [(shelf, [links[name] for name in shelf.topics]) for shelf in HELP.shelves]
    index = ENVIRONMENT.get_template("help.html").render(shelves=shelves)
    assert all(f'href="{link.path}"' in index for link in links.values())
    asked = {f"{link.path}#{part.anchor}" for link in links.values() for part in link.topic.answers}
    assert all(f'href="{address}"' in index for address in asked)
    words = HELP.glossary
    glossary = ENVIRONMENT.get_template("glossary.html").render(
        letters=words.letters(), marked=partial(words.marked, linked=words.terms)
    )
    assert all(f'id="{term.anchor}"' in glossary for term in words.terms)
