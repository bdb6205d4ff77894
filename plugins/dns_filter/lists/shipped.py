"""Our own short data beside the lists: categories of websites, services, safe search, ways around, known sources.

Each is a YAML file in this folder; what is wrong in one is told with its line, every mistake at once. Nobody's list of
domains is shipped: the files name what a school asks for by name, and where lists may be had.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, model_validator

from appliance.api import Section, Wrong, WrongSettings, read_text, section_of, setting

from ..domains import NotADomain, normalise
from .formats import Format

BYPASS = "bypass"
BY_LAW = frozenset({"child_abuse", "terrorism"})
"""Categories of what is against the law: what is on such a list must not be found out by trying."""
"""The built-in list of ways around the filter, and its category."""

OTHER = "other"
"""The category of lists for which nobody has named one."""

YouTube = Literal["strict", "moderate", "off"]
Key = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


def _domain(text: str) -> str:
    try:
        return normalise(text)
    except NotADomain as error:
        raise ValueError(f"{text!r} {error}") from None


Domain = Annotated[str, AfterValidator(_domain)]


class Category(Section):
    """What lists of domains are about. ``safeguarding``: the category of captures that it belongs to, or ``""``."""

    key: Key = setting(..., "How lists and profiles name it.")
    title: str = setting(..., "What it is called on pages.", min_length=1, max_length=60)
    about: str = setting(..., "What it is, in a sentence.", min_length=10, max_length=200)
    safeguarding: str | None = setting(None, "Key of a category of captures, or nothing.")
    ut1: tuple[str, ...] = setting((), "Folders of the lists of Toulouse that belong here.")
    alert: bool = setting(
        False, "Whether the safeguarding lead is told of what is blocked, unless she chose otherwise."
    )


class Service(Section):
    """What a profile blocks with one switch. ``domains``: each with everything below it."""

    key: Key = setting(..., "How profiles name it.")
    title: str = setting(..., "What it is called on pages.", min_length=1, max_length=60)
    group: str = setting(..., "Heading on the page.", min_length=1, max_length=40)
    note: str = setting("", "What else stops, or what cannot be stopped.", max_length=300)
    domains: tuple[Domain, ...] = setting(..., "What is blocked, with everything below.", min_length=1)


class Engine(Section):
    """A search engine with safe results: what it asks for is led to ``target``."""

    key: Key = setting(..., "Name in tests and logs.")
    title: str = setting(..., "What it is called on pages.", min_length=1, max_length=60)
    target: Domain = setting(..., "The name whose addresses are given instead.")
    source: str = setting(..., "Where its keeper documents it.", min_length=10)
    choice: Literal["", "strict", "moderate"] = setting("", "For YouTube: which of the two this is.")
    names: tuple[Domain, ...] = setting((), "Host names, exactly.")
    domains: tuple[Domain, ...] = setting((), "Domains, each alone and with www. before it.")

    @property
    def hosts(self) -> tuple[str, ...]:
        """Every host name that is led to ``target``."""
        return (*self.names, *(host for domain in self.domains for host in (domain, f"www.{domain}")))


class BypassGroup(Section):
    """Ways around of one kind."""

    key: Key = setting(..., "Name in logs.")
    title: str = setting(..., "What it is called on pages.", min_length=1, max_length=60)
    domains: tuple[Domain, ...] = setting(..., "What is blocked, with everything below.", min_length=1)


class Bypass(Section):
    """Names that devices ask for when they go around the filter."""

    groups: tuple[BypassGroup, ...] = setting(..., "What is blocked.", min_length=1)

    @property
    def domains(self) -> tuple[str, ...]:
        """The names of all groups."""
        return tuple(domain for group in self.groups for domain in group.domains)


class Source(Section):
    """A public list that a school may choose. Facts only; nothing is fetched before somebody chooses it."""

    name: Key = setting(..., "Name that the list gets.")
    title: str = setting(..., "What it is called on pages.", min_length=1, max_length=80)
    keeper: str = setting(..., "Who keeps it.", min_length=1, max_length=80)
    licence: str = setting(..., "Under which terms.", min_length=1, max_length=80)
    size: str = setting(..., "How large it is, in words.", min_length=1, max_length=80)
    category: Key = setting(..., "What it is about.")
    format: Format = setting("auto", "How it is written.")
    url: str = setting(..., "Where it is.", pattern=r"^https://[^\s]+$")
    home: str = setting(..., "The keeper's page.", pattern=r"^https://[^\s]+$")
    note: str = setting("", "What one should know before choosing it.", max_length=300)


def _once(key: str, names: list[str], field: str) -> None:
    found = [
        Wrong(f"the key {name!r} is used twice", (key, place, field), "a key of its own")
        for place, name in enumerate(names)
        if name in names[:place]
    ]
    if found:
        raise WrongSettings(*found)


class _Categories(Section):
    categories: tuple[Category, ...] = setting(..., "The categories.", min_length=1)

    @model_validator(mode="after")
    def _keys_once(self) -> Self:
        _once("categories", [each.key for each in self.categories], "key")
        return self


class _Services(Section):
    services: tuple[Service, ...] = setting(..., "The services.", min_length=1)

    @model_validator(mode="after")
    def _keys_once(self) -> Self:
        _once("services", [each.key for each in self.services], "key")
        return self


class _Engines(Section):
    engines: tuple[Engine, ...] = setting(..., "The search engines.", min_length=1)

    @model_validator(mode="after")
    def _keys_once(self) -> Self:
        _once("engines", [each.key for each in self.engines], "key")
        return self


class _Sources(Section):
    sources: tuple[Source, ...] = setting(..., "The sources.", min_length=1)

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        _once("sources", [each.name for each in self.sources], "name")
        return self


_Model = TypeVar("_Model", bound=Section)


def _read(name: str, model: type[_Model]) -> _Model:
    file = Path(__file__).parent / name
    return section_of(read_text(file), file, model)[0]


@cache
def categories() -> Mapping[str, Category]:
    """Every category by its key, in the order of the file."""
    return {each.key: each for each in _read("categories.yaml", _Categories).categories}


@cache
def services() -> tuple[Service, ...]:
    """Every service, in the order of the file: group by group."""
    return _read("services.yaml", _Services).services


@cache
def engines() -> tuple[Engine, ...]:
    """Every search engine with safe results; YouTube stands there once for each of its two choices."""
    return _read("safesearch.yaml", _Engines).engines


def safesearch(youtube: YouTube = "strict") -> dict[str, str]:
    """Host name -> the name whose addresses are given instead, for all engines."""
    return {
        host: engine.target
        for engine in engines()
        if not engine.choice or engine.choice == youtube
        for host in engine.hosts
    }


@cache
def bypass() -> Bypass:
    """Ways around the filter."""
    return _read("bypass.yaml", Bypass)


@cache
def sources() -> tuple[Source, ...]:
    """Public lists that a school may choose."""
    return _read("sources.yaml", _Sources).sources
