"""A policy file: what may stand in it. Every mistake of a file is told at once; what is right becomes a ``Policy``."""

from __future__ import annotations

import datetime
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, model_validator

from appliance.api import LONGEST_CLIP, Section, Severity, Surface, Wrong, WrongSettings, setting

from .identities import says_who
from .model import CLIP_SECONDS, FACTS, Matching, Policy, Term, Words, folded, shortest
from .phrases import WrongPhrase, forms

FEWEST_LETTERS = 3
FEWEST_OF_ANY_SCRIPT = 2
"""Letters of a phrase that is not of ASCII: a Chinese word has two."""
MOST_WORDS = 14
SHIPPED = "shipped"
"""Context in which a file is read that came with the program and was checked before."""
OF_THE_APPLIANCE = frozenset({"test", "unjudged"})
"""Categories of findings that no policy makes."""
MOST_PHRASES = 20_000
"""What all lines of a policy may stand for together: phrases that differ."""

Phrase = Annotated[str, Field(min_length=1, max_length=1000)]
ListName = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,39}$")]
FactName = Annotated[str, Field(pattern=f"^({'|'.join(FACTS)})$")]
Fact = Annotated[str, Field(min_length=1, max_length=600)]


class TermEntry(Section):
    """One thing that is looked for, in one or several ways of saying it."""

    id: str = setting(
        ...,
        "Name of the term that never changes: captures that are kept name it. Lower-case letters, digits and -.",
        pattern=r"^[a-z0-9][a-z0-9-]{1,59}$",
    )
    phrases: tuple[Phrase, ...] = setting(
        ...,
        "The words to look for, and other ways to say them. (a|b) is one of several, {name} is a list of the policy.",
        min_length=1,
        max_length=2000,
    )
    definition: str = setting(
        ..., "What it means and why it may matter, for a teacher who is no expert.", min_length=20, max_length=2000
    )
    severity: Severity | None = setting(None, "How bad it is. Without it, what the policy says under defaults.")
    surfaces: tuple[Surface, ...] = setting(
        (), "Where it is looked for. Without it, what the policy says under defaults."
    )
    language: str = setting("en", "Language of the phrases: two letters (ISO 639-1).", pattern=r"^[a-z]{2,3}$")
    matching: Matching = setting(
        Matching.LOOSE, "loose: misspelt, spaced, joined and so on too. exact: whole words as they are written."
    )
    near: tuple[Phrase, ...] = setting(
        (), "It only counts with one of these near it, in the same sentence. `hat*` is every word that begins with hat."
    )
    within: int = setting(8, "How near.", unit="words", ge=1, le=40)
    unless: tuple[Phrase, ...] = setting(
        (), "It does not count with one of these within ten words, before anything else is told (`and I`, `but she`)."
    )
    personal: bool = setting(
        False, "Somebody speaks of themselves, or to somebody: as severe in a lesson and misspelt as ever."
    )
    pages_because: str = setting("", "Why it is also looked for in what is read. Needed with page or title.")
    facts: dict[FactName, Fact] = setting(
        {}, "What else is known: a drug’s other names, effects and class for example."
    )
    picture: bool = setting(True, "Whether a picture of the page is kept.")
    alert: bool | None = setting(None, "Whether somebody is alerted. Without it: if it is severe.")
    clip_seconds: int | None = setting(
        None,
        f"What is recorded of the screen, where that is possible. Without it: {CLIP_SECONDS} if it is severe.",
        unit="seconds",
        ge=0,
        le=LONGEST_CLIP,
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.definition.strip():
            raise WrongSettings(Wrong("the definition is empty", ("definition",), "what the term means, in a sentence"))
        return self


class Defaults(Section):
    """What a term has that does not say otherwise."""

    severity: Severity | None = setting(None, "How bad a term is.")
    surfaces: tuple[Surface, ...] = setting(
        (Surface.TYPED, Surface.EMAIL, Surface.SEARCH), "Where a term is looked for.", min_length=1
    )


class PolicyFile(Section):
    """A policy file."""

    name: str = setting(..., "Name of the policy, used in addresses.", pattern=r"^[a-z][a-z0-9_]{1,39}$")
    title: str = setting(..., "What it is called on pages.", min_length=1, max_length=100)
    category: str = setting(..., "Key of a category in categories.yaml.", pattern=r"^[a-z][a-z0-9_]{1,59}$")
    version: str = setting(..., "Version of the policy, in quotes.", min_length=1, max_length=50)
    date: datetime.date = setting(..., "The day on which this version was made.")
    owner: str = setting(..., "Who answers for it.", min_length=1, max_length=100)
    summary: str = setting(..., "What it holds, in plain words.", min_length=20, max_length=1000)
    hidden: bool = setting(
        False, "Its terms are shown nowhere until one was found, and leave the box only as keyed hashes."
    )
    defaults: Defaults = setting(Defaults(), "What a term has that does not say otherwise.")
    lists: dict[ListName, tuple[Phrase, ...]] = setting({}, "Words that phrases of this policy name as {name}.")
    terms: tuple[TermEntry, ...] = setting(..., "What is looked for.", min_length=1, max_length=10_000)

    @model_validator(mode="after")
    def _terms_are_right(self, info: ValidationInfo) -> Self:
        if info.context == SHIPPED:
            return self
        found = [*self._wrong_category(), *self._wrong_ids(), *self._wrong_terms()]
        count = 0 if found else len({form for term in self.terms for form in self._forms(term.phrases)})
        if count > MOST_PHRASES:
            words = f"all phrases together stand for {count:,}; every device has to hold them"
            found.append(Wrong(words, ("terms",), f"at most {MOST_PHRASES:,}"))
        if found:
            raise WrongSettings(*found)
        return self

    def _wrong_category(self) -> Iterator[Wrong]:
        """What is in these is handled as no other finding is: without levels, or as nothing that matters."""
        if self.category in OF_THE_APPLIANCE:
            yield Wrong(f"the category {self.category} is the appliance’s own", ("category",), "another one")

    def _wrong_ids(self) -> Iterator[Wrong]:
        seen: set[str] = set()
        for number, term in enumerate(self.terms):
            if term.id in seen:
                yield Wrong(f"the id {term.id} is used twice", ("terms", number, "id"), "an id of its own")
            seen.add(term.id)

    def _wrong_terms(self) -> Iterator[Wrong]:
        seen: dict[Words, str] = {}
        for number, term in enumerate(self.terms):
            if term.severity is None and self.defaults.severity is None:
                yield Wrong("the severity is missing", ("terms", number), "severe, moderate or minor")
            if {Surface.PAGE, Surface.TITLE} & self._surfaces(term) and not term.pages_because.strip():
                yield Wrong(
                    "the term is looked for in what is read, and does not say why", ("terms", number),
                    "pages_because with a reason, because most of what is read was written by somebody else",
                )  # fmt: skip
            known = {} if term.near else seen  # with other neighbours the same phrase says another thing
            for part in ("phrases", "near", "unless"):
                for place, phrase in enumerate(getattr(term, part)):
                    at = ("terms", number, part, place)
                    yield from (Wrong(words, at, right) for words, right in self._trouble(phrase, part, term, known))

    def _trouble(self, phrase: str, part: str, term: TermEntry, seen: dict[Words, str]) -> Iterator[tuple[str, str]]:
        """What is wrong with one phrase; notes what it stands for in ``seen``."""
        try:
            written = forms(phrase, self.lists)
        except WrongPhrase as wrong:
            yield str(wrong), "pairs of brackets, and names that stand under lists"
            return
        if part != "phrases":
            return
        for form in written:
            found = folded(form)
            fewest = FEWEST_LETTERS if form.isascii() else FEWEST_OF_ANY_SCRIPT
            if sum(map(len, found)) < fewest and (found or form.isascii()):
                yield f"the phrase {form!r} is so short that it would be found everywhere", f"{fewest} letters"
            elif any(unicodedata.category(sign) == "So" for sign in form):
                yield f"the phrase {form!r} has a picture sign in it, which is not compared", "words"
            elif not found:
                yield f"the phrase {form!r} has no words in it", "words"
            elif len(found) > MOST_WORDS:
                yield f"the phrase {form!r} is too long", f"at most {MOST_WORDS} words"
            elif not term.near and says_who(form):
                yield (
                    f"the phrase {form!r} only says who somebody is, and pupils write it of themselves too",
                    "words beside it on the line, or what must stand near it",
                )
            elif seen.setdefault(found, term.id) != term.id:
                yield f"the phrase {form!r} is in the term {seen[found]} already", "each phrase in one term"

    def policy(self) -> Policy:
        """What stands in the file, complete: defaults filled in, phrases said in every way."""
        return Policy(
            self.name, self.title, self.category, self.version, self.date, self.owner, " ".join(self.summary.split()),
            tuple(map(self._term, self.terms)), self.hidden,
        )  # fmt: skip

    def _surfaces(self, term: TermEntry) -> frozenset[Surface]:
        """Where a term is looked for. What is typed at webmail is an email, and is typed all the same."""
        surfaces = frozenset(term.surfaces or self.defaults.surfaces)
        return surfaces | {Surface.EMAIL} if Surface.TYPED in surfaces else surfaces

    def _term(self, term: TermEntry) -> Term:
        severity = term.severity or self.defaults.severity
        assert severity is not None
        severe = severity is Severity.SEVERE
        return Term(
            term.id, shortest(self._forms(term.phrases)), " ".join(term.definition.split()), severity,
            self._surfaces(term),
            term.language, term.matching, self._forms(term.near), term.within, self._forms(term.unless), term.personal,
            term.pages_because, dict(term.facts), term.picture, severe if term.alert is None else term.alert,
            (CLIP_SECONDS if severe else 0) if term.clip_seconds is None else term.clip_seconds,
        )  # fmt: skip

    def _forms(self, phrases: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(form for phrase in phrases for form in forms(phrase, self.lists)))
