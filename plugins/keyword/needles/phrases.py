"""Phrases of terms by how the browser's code compares them, and what has to stand near them, in plain forms."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from functools import lru_cache

from ..engine.folding import Table, folded_words
from ..engine.prepared import SHORT, UNSPACED
from ..engine.textspeak import canonical
from ..library.model import Matching, Term

LOOSE, EXACT, FEW, SOLID = "loose", "exact", "short", "solid"
MOST_REMEMBERED = 65_536
_TABLE = Table()

Phrases = Mapping[str, Collection[str]]


def phrases_of(term: Term) -> Phrases:
    """The phrases of a term, each once: ``loose`` and ``solid`` ones in plain forms, ``exact`` and ``short`` ones as
    folded.

    ``short``: too few letters for disguises; ``solid``: in a script without blanks.
    """
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for phrase in term.phrases:
        written = folded_words(phrase, _TABLE)
        plain = plain_forms(written)
        if plain:
            kind = _kind(plain, exact=term.matching is Matching.EXACT)
            found[kind][" ".join(written) if kind in (EXACT, FEW) else plain] = None
    return found


def _kind(plain: str, *, exact: bool) -> str:
    if not plain.isascii() and UNSPACED.search(plain):
        return SOLID
    if is_short(plain):
        return FEW
    return EXACT if exact else LOOSE


def is_short(plain: str) -> bool:
    """Whether a phrase has too few letters to be looked for in disguises."""
    return len(plain) - plain.count(" ") < SHORT


def plain_forms(written: Collection[str]) -> str:
    """Folded words in their plain forms, with blanks between them."""
    return " ".join(map(canonical, written))


def longer(term: Term) -> int:
    """By how many letters single words of a term are longer in its policy than in their plain forms, at most."""
    plain = ((phrase, plain_forms(folded_words(phrase, _TABLE))) for phrase in term.phrases if " " not in phrase)
    return max((len(phrase) - len(form) for phrase, form in plain if form and " " not in form), default=0)


@lru_cache(MOST_REMEMBERED)
def near_form(phrase: str) -> str:
    """What has to stand near, in plain forms; "hat*" is every word that begins so."""
    return " ".join(
        plain + "*" * written.endswith("*")
        for written in phrase.split()
        for word in folded_words(written, _TABLE)
        for plain in canonical(word).split()
    )


def near_forms(phrases: Collection[str]) -> list[str]:
    """Everything of which one has to stand near, each once, in order."""
    return sorted({near_form(phrase) for phrase in phrases} - {""})
