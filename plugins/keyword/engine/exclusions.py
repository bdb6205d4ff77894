"""What is innocent by itself: collocations ("slag heap"), names of people and places, titles of set texts, help
services.

A hit within one of these does not count. They are looked for like phrases, in the same pass over the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

from appliance.api import Section, load_shipped_yaml, setting

from ..kept import kept

DATA = Path(__file__).parent / "data" / "exclusions.yaml"
FORM = 2
"""Of what is kept of them; another one is read anew."""


class Innocent(StrEnum):
    """Why something is innocent, in the words of pages."""

    COLLOCATION = "a saying in which these words mean no harm"
    HELP = "the name of a service that helps"
    NAME = "a name from the school’s directory"
    TITLE = "the title of a text that is read in class"


NAMES = "names from the school’s directory"
"""What is told of names that did not apply."""


TELLING = 4
"""Letters of a word by which a saying is told as one that did not apply: nearly every phrase shares an "an" with
some."""


class ExclusionsFile(Section):
    """The supplied exclusions."""

    words: tuple[str, ...] = setting((), "Words that only look like a misspelt or joined word of a policy.")
    collocations: tuple[str, ...] = setting((), "Phrases in which a word of a policy is innocent.")
    help: tuple[str, ...] = setting((), "Names and numbers of services that help.")
    sites: tuple[str, ...] = setting((), "Sites of such services; each covers everything below it.")
    titles: tuple[str, ...] = setting((), "Titles of texts that are read in class.")


@dataclass(frozen=True, slots=True)
class Exclusions:
    """Phrases by the reason why they are innocent. ``sites``: of services that help, no address of which is read.
    ``words``: those that are right as they are written."""

    phrases: tuple[tuple[Innocent, str], ...] = ()
    sites: frozenset[str] = frozenset()
    words: frozenset[str] = frozenset()

    def by_word(self) -> dict[str, tuple[str, ...]]:
        """What is told of phrases that did not apply, by their words. Of names it is said that they are names alone:
        whoever may read a capture need not know everybody who is at the school.
        """
        found: dict[str, dict[str, None]] = {}
        for why, phrase in self.phrases:
            for word in phrase.lower().split():
                if why is Innocent.NAME or len(word) >= TELLING:
                    found.setdefault(word, {})[NAMES if why is Innocent.NAME else phrase] = None
        return {word: tuple(told) for word, told in found.items()}

    def adding(self, why: Innocent, phrases: Iterable[str]) -> Exclusions:
        """These and some more, from the school's directory for example."""
        return replace(self, phrases=(*self.phrases, *((why, phrase) for phrase in phrases)))

    def adding_sites(self, sites: Iterable[str]) -> Exclusions:
        """These and some more sites of services that help."""
        return replace(self, sites=self.sites.union(sites))


@cache
def supplied() -> Exclusions:
    """What comes with the appliance. Raises ``ConfigError`` if the file is damaged."""
    found = ExclusionsFile.model_construct(**kept(DATA, FORM, DATA.read_bytes(), _read))
    all_of_them = Exclusions(words=frozenset(found.words)).adding(Innocent.COLLOCATION, found.collocations)
    all_of_them = all_of_them.adding(Innocent.HELP, found.help)
    return all_of_them.adding(Innocent.TITLE, found.titles).adding_sites(found.sites)


def _read() -> dict[str, Any]:
    return ExclusionsFile.model_validate(load_shipped_yaml(DATA)).model_dump()
