"""Policies as files: what is looked for, how bad it is, what it means. Every mistake of every file is told at once."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from appliance.api import (
    ConfigError,
    Mistake,
    Section,
    Severity,
    Surface,
    Wrong,
    WrongSettings,
    read_text,
    section_of,
    setting,
)

from .folding import words

SUPPLIED = Path(__file__).parent / "policies"
ENDINGS = (".yaml", ".yml")
FEWEST_LETTERS = 3
MOST_WORDS = 12
FILES_REMEMBERED = 64

Phrase = Annotated[str, Field(min_length=1, max_length=200)]
Words = tuple[str, ...]


class Term(Section):
    """One thing that is looked for, in one or several ways of writing it."""

    id: str = setting(
        ...,
        "Name of the term that never changes: captures that are kept name it. Lower-case letters, digits and -.",
        pattern=r"^[a-z0-9][a-z0-9-]{1,59}$",
    )
    phrases: tuple[Phrase, ...] = setting(
        ..., "The words to look for, and other ways to write them.", min_length=1, max_length=200
    )
    severity: Severity = setting(..., "How bad it is.")
    surfaces: tuple[Surface, ...] = setting(..., "Where it is looked for.", min_length=1)
    definition: str = setting(
        ...,
        "What it means and why it may matter, for a teacher who is no expert.",
        min_length=20,
        max_length=2000,
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        found = [
            Wrong(message, ("phrases", number), expected)
            for number, phrase in enumerate(self.phrases)
            for message, expected in _trouble_with(phrase)
        ]
        if not self.definition.strip():
            found.append(Wrong("the definition is empty", ("definition",), "what the term means, in a sentence or two"))
        if found:
            raise WrongSettings(*found)
        return self


class Policy(Section):
    """A policy file."""

    name: str = setting(..., "Name of the policy, used in addresses.", pattern=r"^[a-z][a-z0-9_]{1,39}$")
    title: str = setting(..., "What it is called on pages.", min_length=1, max_length=100)
    category: str = setting(..., "Key of a category in categories.yaml.", pattern=r"^[a-z][a-z0-9_]{1,59}$")
    version: str = setting(..., "Version of the policy, in quotes.", min_length=1, max_length=50)
    date: datetime.date = setting(..., "The day on which this version was made.")
    owner: str = setting(..., "Who answers for it.", min_length=1, max_length=100)
    summary: str = setting(..., "What it holds, in plain words.", min_length=20, max_length=1000)
    terms: tuple[Term, ...] = setting(..., "What is looked for.", min_length=1, max_length=10_000)

    @model_validator(mode="after")
    def _nothing_stands_twice(self) -> Self:
        found = [*self._ids_used_twice(), *self._phrases_used_twice()]
        if found:
            raise WrongSettings(*found)
        return self

    def _ids_used_twice(self) -> Iterator[Wrong]:
        seen: set[str] = set()
        for number, term in enumerate(self.terms):
            if term.id in seen:
                yield Wrong(f"the id {term.id} is used twice", ("terms", number, "id"), "an id of its own")
            seen.add(term.id)

    def _phrases_used_twice(self) -> Iterator[Wrong]:
        seen: dict[Words, str] = {}
        for number, term in enumerate(self.terms):
            for place, phrase in enumerate(term.phrases):
                first = seen.setdefault(folded(phrase), term.id)
                if first != term.id or folded(phrase) in map(folded, term.phrases[:place]):
                    at = ("terms", number, "phrases", place)
                    yield Wrong(f"the phrase {phrase!r} is in the term {first} already", at, "each phrase once")


def folded(phrase: str) -> Words:
    """The words of a phrase as they are compared."""
    return tuple(word.text for word in words(phrase))


def _trouble_with(phrase: str) -> Iterator[tuple[str, str]]:
    found = folded(phrase)
    if sum(map(len, found)) < FEWEST_LETTERS:
        yield (
            f"the phrase {phrase!r} is so short that it would be found everywhere",
            f"{FEWEST_LETTERS} letters or more",
        )
    elif len(found) > MOST_WORDS:
        yield f"the phrase {phrase!r} is too long", f"at most {MOST_WORDS} words"


def read_policies(own: Path | None) -> tuple[Policy, ...]:
    """The supplied policies, then the school's ``own``: a folder, which need not be there.

    Raises ``ConfigError`` with every mistake of every file.
    """
    found: list[tuple[Path, Policy, int]] = []
    mistakes: list[Mistake] = []
    for file in _files(own, mistakes):
        try:
            policy, line = _read(file, read_text(file))
        except ConfigError as error:
            mistakes += error.mistakes
        else:
            found.append((file, policy, line))
    mistakes += _names_used_twice(found)
    if mistakes:
        raise ConfigError(mistakes)
    return tuple(policy for _, policy, _ in found)


def _files(own: Path | None, mistakes: list[Mistake]) -> list[Path]:
    files = _files_in(SUPPLIED)
    if own is not None and own.exists():
        try:
            files += _files_in(own)
        except OSError as error:
            mistakes.append(Mistake(own, None, "", f"this folder cannot be read: {error.strerror}", "a folder"))
    return files


def _files_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in ENDINGS)


@lru_cache(FILES_REMEMBERED)
def _read(file: Path, text: str) -> tuple[Policy, int]:
    """A policy, and the line of its name. Settings are looked at several times at a start, files are parsed once."""
    policy, lines = section_of(text, file, Policy)
    return policy, lines.line(("name",))


def _names_used_twice(found: Iterable[tuple[Path, Policy, int]]) -> Iterator[Mistake]:
    first: dict[str, Path] = {}
    for file, policy, line in found:
        if first.setdefault(policy.name, file) != file:
            message = f"{first[policy.name]} has the name {policy.name} already"
            yield Mistake(file, line, "name", message, "a name of its own")
