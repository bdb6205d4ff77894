"""From policies to what a browser looks for (``browser/needles.js`` reads it).

::

    terms    by "policy/term": {surfaces, loose, exact, short, solid, near, within, longer}; what is empty is left out
    near     by a name made of its content: what has to stand near a phrase, for all terms that share it
    taught   words of terms that lists of English have rarely or never, so that a run of letters comes apart on the
             device as it does here, whichever terms the device has; by their first letter
    hidden   hashes of terms that no device is to know (``hidden``)

Phrases (``phrases``) stand with a bar between them. Everything is an object of texts and whole numbers, so that a
change of one term is a small difference.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from ..engine.english import LONGEST_WORD, SHORT, TAUGHT, frequencies, is_word
from ..engine.prepared import SHORT as FEWEST_LETTERS
from ..library.model import Policy, Term
from .hidden import Hashes
from .phrases import EXACT, LOOSE, longer, near_form, near_forms, phrases_of, plain_forms

Wanted = Mapping[str, int]
"""By "policy/term", where it is looked for (``surfaces.bits``)."""
BAR = "|"
_NAME_DIGITS = 10


class Making:
    """Everything of policies that a device could get, made once: it takes a second. ``key``: of hashes (16 bytes)."""

    def __init__(self, policies: Sequence[Policy], key: bytes) -> None:
        self._near: dict[str, str] = {}
        shown = [policy for policy in policies if not policy.hidden]
        self._terms = {f"{policy.name}/{term.id}": self._term(term) for policy in shown for term in policy.terms}
        self._hashes = Hashes([policy for policy in policies if policy.hidden], key)
        around = {phrase for policy in shown for term in policy.terms for phrase in (*term.near, *term.unless)}
        self._taught = _by_first_letter(_taught(self._terms.values(), around))

    def needles(self, wanted: Wanted) -> dict[str, Any]:
        """What one device is to have. What is not known is passed over."""
        terms = {
            name: {**self._terms[name], "surfaces": surfaces}
            for name, surfaces in wanted.items()
            if surfaces and name in self._terms
        }
        near = sorted({term["near"] for term in terms.values() if "near" in term})
        found = {"terms": terms, "near": {name: self._near[name] for name in near}, "taught": self._taught}
        hidden = self._hashes.of(wanted)
        return {**found, "hidden": hidden} if hidden else found

    def _term(self, term: Term) -> dict[str, Any]:
        found: dict[str, Any] = {kind: BAR.join(phrases) for kind, phrases in phrases_of(term).items()}
        if extra := longer(term):
            found["longer"] = extra
        if term.near:
            found |= {"near": self._shared(term.near), "within": term.within}
        return found

    def _shared(self, phrases: Collection[str]) -> str:
        """The name of what has to stand near."""
        forms = BAR.join(near_forms(phrases))
        name = hashlib.sha256(forms.encode()).hexdigest()[:_NAME_DIGITS]
        self._near[name] = forms
        return name


def _taught(terms: Iterable[Mapping[str, Any]], around: Iterable[str]) -> set[str]:
    """Words that a run of letters comes apart into more easily, because a policy has them. As in ``compiling``, words
    of what stands around phrases are among them, and their beginnings ("hate*") unless those are short.
    """
    seen = frequencies()
    forms = {word for phrase in around for word in near_form(phrase).split()}
    words = {word.removesuffix("*") for word in forms if not word.endswith("*") or len(word) > FEWEST_LETTERS}
    for term in terms:
        words.update(term.get(LOOSE, "").replace(BAR, " ").split())
        words.update(plain_forms(term.get(EXACT, "").replace(BAR, " ").split()).split())
    return {word for word in words if _may_be_joined(word) and not _is_usual(word, seen)}


def _may_be_joined(word: str) -> bool:
    return word.isalpha() and len(word) <= LONGEST_WORD and (len(word) > 1 or word in SHORT)


def _by_first_letter(words: Iterable[str]) -> Mapping[str, str]:
    return {letter: " ".join(those) for letter, those in groupby(sorted(words), key=itemgetter(0))}


def _is_usual(word: str, seen: Mapping[str, int]) -> bool:
    return is_word(word, seen.get(word, 0)) and seen.get(word, 0) >= TAUGHT
