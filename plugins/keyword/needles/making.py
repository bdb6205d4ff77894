"""From policies to what a browser looks for (``browser/needles.js`` reads it).

::

    terms    by "policy/term": {surfaces, loose, exact, short, solid, near, within}; what is empty is left out
    near     by a name made of its content: what has to stand near a phrase, for all terms that share it
    taught   words of terms that lists of English have rarely or never, so that a run of letters comes apart on the device
             as it does here, whichever terms the device has

Phrases stand with a bar between them. ``loose`` ones are canonical words; ``exact`` and ``short`` ones (which have too few
letters for disguises) folded words; ``solid`` ones canonical words of scripts without blanks. Everything is an object of
texts and whole numbers, so that a change of one term is a small difference. Hidden policies are left out: ``hidden`` has
their hashes.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ..engine.compiling import SHORT as FEWEST_LETTERS
from ..engine.compiling import UNSPACED, Compiled
from ..engine.english import SHORT, TAUGHT, frequencies, is_word
from ..engine.exclusions import Exclusions
from ..engine.folding import Table, folded_words, words
from ..engine.textspeak import canonical
from ..library.model import Matching, Policy, Term
from .surfaces import bits

_TABLE = Table()
_NAME_DIGITS = 10


class Making:
    """Everything of policies that a device could get, made once. ``needles`` picks what one device is to have."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self._near: dict[str, str] = {}
        self._terms = {f"{policy.name}/{term.id}": self._term(term) for policy, term in _visible(policies)}
        self.taught = _taught([policy for policy in policies if not policy.hidden])

    def needles(self, wanted: Mapping[str, int]) -> dict[str, Any]:
        """``wanted``: by "policy/term" where it is looked for (``surfaces``). What is not known is passed over."""
        terms = {
            name: {**self._terms[name], "surfaces": surfaces}
            for name, surfaces in wanted.items()
            if surfaces and name in self._terms
        }
        near = {term["near"] for term in terms.values() if "near" in term}
        return {"terms": terms, "near": {name: self._near[name] for name in near}, "taught": self.taught}

    def _term(self, term: Term) -> dict[str, Any]:
        found: dict[str, Any] = {kind: "|".join(phrases) for kind, phrases in _phrases(term).items()}
        if term.near:
            found |= {"near": self._shared(term.near), "within": term.within}
        return found

    def _shared(self, phrases: Sequence[str]) -> str:
        """The name of what has to stand near."""
        forms = "|".join(sorted({_form(phrase) for phrase in phrases} - {""}))
        name = hashlib.sha256(forms.encode()).hexdigest()[:_NAME_DIGITS]
        self._near[name] = forms
        return name


def _visible(policies: Sequence[Policy]) -> Iterator[tuple[Policy, Term]]:
    return ((policy, term) for policy in policies if not policy.hidden for term in policy.terms)


def _phrases(term: Term) -> Mapping[str, Collection[str]]:
    """The phrases of a term by how they are compared, each once."""
    found: dict[str, dict[str, None]] = defaultdict(dict)
    for phrase in term.phrases:
        written = folded_words(phrase, _TABLE)
        plain = " ".join(map(canonical, written)).split()
        letters = sum(map(len, plain))
        if not letters:
            continue
        if UNSPACED.search(phrase):
            found["solid"][" ".join(plain)] = None
        elif letters < FEWEST_LETTERS:
            found["short"][" ".join(written)] = None
        elif term.matching is Matching.EXACT:
            found["exact"][" ".join(written)] = None
        else:
            found["loose"][" ".join(plain)] = None
    return found


def _form(phrase: str) -> str:
    """What has to stand near, in plain forms; "hat*" is every word that begins so."""
    return " ".join(
        canonical(word.text) + ("*" if phrase[word.end : word.end + 1] == "*" else "") for word in words(phrase, _TABLE)
    )


def _taught(policies: Sequence[Policy]) -> str:
    """Words that a run of letters comes apart into more easily, because a policy has them."""
    seen = frequencies()
    vocabulary = Compiled(policies, Exclusions(), _TABLE).vocabulary
    return " ".join(sorted(word for word in vocabulary if (len(word) > 2 or word in SHORT) and not _is_usual(word, seen)))


def _is_usual(word: str, seen: Mapping[str, int]) -> bool:
    return is_word(word, seen.get(word, 0)) and seen.get(word, 0) >= TAUGHT
