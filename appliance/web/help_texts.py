"""The help: its topics, the glossary, which page leads to which topic, and the markup of their words.

Topics are files in ``help/``, named like the topic; ``contents.yaml`` says in which order they stand and who reads them
first, ``glossary.yaml`` has the terms. A plugin may bring one topic for all its pages, ``help.yaml`` in its folder; it
is called ``plugin-<name>``. In every text ``[[term]]`` or ``[[term|other words]]`` names a term of the glossary, and
backticks stand around code.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from markupsafe import Markup, escape
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from appliance.config import load_yaml
from appliance.errors import ApplianceError

TOPIC_OF: Mapping[str, str] = {
    "/": "home",
    "/sign-in": "signing-in",
    "/unlock": "signing-in",
    "/join": "joining",
    "/set-up": "setting-up",
    "/account": "own-account",
    "/notices": "notices",
    "/status": "status",
    "/authority.pem": "status",
    "/plugins": "plugins",
    "/bench": "test-bench",
    "/settings": "settings",
    "/applying": "settings",
    "/identity": "identity-file",
    "/alerts": "alerts",
    "/audit": "audit",
    "/captures": "captures",
    "/captures/allowed": "allow-list",
    "/audit/looks": "looks",
    "/people": "people",
    "/people/import": "people-import",
    "/groups": "groups",
    "/devices": "devices",
    "/devices/add": "adding-devices",
    "/devices/working": "is-it-working",
    "/vulnerable": "vulnerable-list",
    "/monitoring": "monitoring",
    "/monitoring/trial": "trial",
    "/monitoring/told": "telling-people",
    "/monitoring/choice": "choosing-monitoring",
    "/staff": "staff-accounts",
    "/staff/invite": "invitations",
    "/staff/who-can-open": "opening-captures",
    "/staff/review": "account-review",
}
"""The beginning of a page's address, and the topic about it: the longest that fits counts. Plugins are not here."""

SIGNED_OUT = "signing-in"
"""The topic for whoever may not open the staff pages now, on pages without a public topic of their own."""

PLUGIN_TOPIC = "plugin-"
PLUGIN_FILE = "help.yaml"

_FOLDER = Path(__file__).parent / "help"
_MARK = re.compile(r"`(?P<code>[^`]+)`|\[\[(?P<term>[^\[\]|]+)(?:\|(?P<words>[^\[\]|]+))?\]\]")

log = logging.getLogger(__name__)


class HelpText(BaseModel):
    """The base of what the help files hold. Unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Answer(HelpText):
    """A question with its answer: ``do`` in numbered steps, ``answer`` in paragraphs. ``see``: the topic with more."""

    ask: str
    do: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    see: str = ""

    @property
    def anchor(self) -> str:
        """Where links to this answer lead on its page."""
        return slug(self.ask)


class Topic(HelpText):
    """One page of help. ``public``: it can be read without signing in."""

    title: str
    summary: str
    public: bool = False
    purpose: tuple[str, ...]
    how: tuple[Answer, ...] = ()
    questions: tuple[Answer, ...] = ()
    related: tuple[str, ...] = ()

    @property
    def answers(self) -> tuple[Answer, ...]:
        """Everything that can be asked, in the order of the page."""
        return (*self.how, *self.questions)

    def texts(self) -> Iterator[str]:
        """Every piece of text that may name terms."""
        yield from self.purpose
        for part in self.answers:
            yield from (*part.do, *part.answer)


class Term(HelpText):
    """A word that staff meet. ``also``: what else it is called."""

    term: str
    also: tuple[str, ...] = ()
    means: str

    @property
    def anchor(self) -> str:
        """Where links to this term lead in a list of terms."""
        return f"word-{slug(self.term)}"


class Shelf(HelpText):
    """Topics that the same people read first."""

    title: str
    topics: tuple[str, ...]


class _Contents(HelpText):
    groups: tuple[Shelf, ...]


class _Terms(HelpText):
    terms: tuple[Term, ...]

    @field_validator("terms")
    @classmethod
    def _sorted(cls, terms: tuple[Term, ...]) -> tuple[Term, ...]:
        return tuple(sorted(terms, key=lambda term: term.term.casefold()))


class Glossary:
    """All terms from A to Z, found by every name they have, in any case."""

    def __init__(self, terms: Iterable[Term]) -> None:
        self.terms = tuple(terms)
        self._by_name = {name.casefold(): term for term in self.terms for name in (*term.also, term.term)}

    def find(self, name: str) -> Term | None:
        """The term of this name, if there is one."""
        return self._by_name.get(name.casefold())

    def letters(self) -> dict[str, list[Term]]:
        """The terms by their first letter; letters without a term are left out."""
        found: dict[str, list[Term]] = {}
        for term in self.terms:
            found.setdefault(term.term[0].upper(), []).append(term)
        return found

    def named_in(self, texts: Iterable[str]) -> tuple[Term, ...]:
        """The terms that texts name, from A to Z, each once."""
        named = {found["term"] for text in texts for found in _MARK.finditer(text) if found["term"]}
        wanted = {term for term in map(self.find, named) if term is not None}
        return tuple(term for term in self.terms if term in wanted)

    def marked(self, text: str, linked: Iterable[Term]) -> Markup:
        """A text as HTML: code as code, and each term that is ``linked`` as a link to its place on the same page."""
        targets = frozenset(linked)
        pieces: list[Markup] = []
        end = 0
        for found in _MARK.finditer(text):
            pieces += [escape(text[end : found.start()]), self._piece(found, targets)]
            end = found.end()
        return Markup().join([*pieces, escape(text[end:])])

    def _piece(self, found: re.Match[str], targets: frozenset[Term]) -> Markup:
        if found["code"]:
            return Markup("<code>{}</code>").format(found["code"])
        words = found["words"] or found["term"]
        term = self.find(found["term"])
        if term is None or term not in targets:
            return escape(words)
        return Markup('<a class="term" href="#{}">{}</a>').format(term.anchor, words)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A plugin whose help could not be read, and why."""

    plugin: str
    why: str


class Help:
    """All topics, read once: those of the core and those of the plugins in ``folders`` (name -> folder).

    Raises ``ConfigError`` or pydantic's ``ValidationError`` for a file of the core; what is wrong with a plugin's file
    stands in ``left_out``.
    """

    def __init__(self, folders: Mapping[str, Path], folder: Path = _FOLDER) -> None:
        self.glossary, shelves, topics = _of_the_core(folder)
        of_plugins, self.left_out = _read_plugins(folders)
        self.topics: Mapping[str, Topic] = {**topics, **of_plugins}
        more = (Shelf(title="For what your school has switched on", topics=tuple(of_plugins)),) if of_plugins else ()
        self.shelves = (*shelves, *more)

    def topic_of(self, path: str) -> str | None:
        """The name of the topic about the page at ``path``, or ``None``."""
        fitting = [start for start in TOPIC_OF if _within(path, start)]
        if fitting:
            return TOPIC_OF[max(fitting, key=len)]
        name = PLUGIN_TOPIC + path.strip("/").partition("/")[0]
        return name if name in self.topics else None

    def path_from(self, path: str, inside: bool) -> str:
        """Where Help leads from the page at ``path``. ``inside``: whoever asks may open the staff pages now."""
        name = self.topic_of(path)
        if inside:
            return f"/help/{name}" if name else "/help"
        return f"/help/open/{name if name and self.topics[name].public else SIGNED_OUT}"


def _within(path: str, start: str) -> bool:
    return path == start or (start != "/" and path.startswith(f"{start}/"))


def slug(words: str) -> str:
    """``What is a UPN?`` -> ``what-is-a-upn``, for anchors."""
    return re.sub(r"[^a-z0-9]+", "-", words.casefold()).strip("-")


Model = TypeVar("Model", bound=HelpText)


def _read(path: Path, model: type[Model]) -> Model:
    data: Any = load_yaml(path)[0]
    return model.model_validate(data)


@cache
def _of_the_core(folder: Path) -> tuple[Glossary, tuple[Shelf, ...], Mapping[str, Topic]]:
    """The core's own files, which do not change while it runs: a reload of the settings need not read them again."""
    shelves = _read(folder / "contents.yaml", _Contents).groups
    topics = {name: _read(folder / f"{name}.yaml", Topic) for shelf in shelves for name in shelf.topics}
    return Glossary(_read(folder / "glossary.yaml", _Terms).terms), shelves, topics


def _read_plugins(folders: Mapping[str, Path]) -> tuple[dict[str, Topic], tuple[LeftOut, ...]]:
    topics: dict[str, Topic] = {}
    left_out: list[LeftOut] = []
    for name, folder in folders.items():
        path = folder / PLUGIN_FILE
        if not path.exists():
            continue
        try:
            topics[PLUGIN_TOPIC + name] = _read(path, Topic)
        except (ApplianceError, ValidationError) as error:
            log.error("The help of the plugin %s is left out: %s", name, error)
            left_out.append(LeftOut(name, " ".join(str(error).split())))
    return topics, tuple(left_out)
