"""Supplied policies and the school's decisions over them become the policies in force. Pure: the detection process and
the main process come to the same.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

from appliance.api import Severity, Surface

from ..library.files import PolicyFile
from ..library.model import Matching, Policy, Term
from .model import NAMES, Change, Changed, Decisions, Name, OwnPolicy, OwnTerm

OURS = "-ours"
"""What the school's stricter copy of a supplied term has behind its id."""
OWN_TERMS_REMEMBERED = 4096
READ = frozenset({Surface.PAGE, Surface.TITLE})
WRITTEN = frozenset(one for one in Surface if one.is_own_words)
THE_SCHOOL = "the school"
NAME_MEANS = (
    "Two adults have agreed to watch for this name for a while, because somebody may be bullied or in trouble. Read "
    "what was written around it, and speak with whoever asked for it before anybody else."
)


def apply(supplied: Sequence[Policy], data: Mapping[str, Any]) -> tuple[Policy, ...]:
    """The policies in force. ``data``: what ``Decisions.as_json`` gave; ``{}``: nothing was decided."""
    decisions = Decisions.of_json(data) if data else Decisions()
    known = {policy.name for policy in supplied}
    own = [_own_policy(one) for one in decisions.policies if one.name not in known]
    found = [_with_own_terms(policy, decisions.terms) for policy in (*supplied, *own)]
    read_too = [_reading(policy) if policy.name in decisions.reading else policy for policy in found]
    changed = [
        _changed(policy, _changes_of(policy, decisions), READ if policy.name in decisions.reading else frozenset())
        for policy in read_too
    ]
    return (*changed, *_names(decisions.names))


def own_terms(policy: str, entries: Iterable[Mapping[str, Any]]) -> Iterator[Term]:
    """Terms of the school's own. One that the rules of policy files no longer take is left out."""
    for entry in entries:
        term = own_term(policy, entry)
        if term is not None:
            yield term


def own_term(policy: str, entry: Mapping[str, Any]) -> Term | None:
    """One term of the school's own, or ``None`` if the rules of policy files do not take it."""
    return _read(policy, json.dumps(entry))


@lru_cache(OWN_TERMS_REMEMBERED)
def _read(policy: str, entry: str) -> Term | None:
    """Every change of one term has all of them read again, and that takes half a millisecond each."""
    try:
        return PolicyFile.model_validate({**_AROUND, "name": policy, "terms": [json.loads(entry)]}).policy().terms[0]
    except ValueError:
        return None


_AROUND: Mapping[str, Any] = {
    "title": "School",
    "category": "school",
    "version": "1",
    "date": datetime.date(2000, 1, 1),
    "owner": THE_SCHOOL,
    "summary": "Around a single term, so that it is checked.",
}


def _own_policy(own: OwnPolicy) -> Policy:
    date = datetime.date.fromisoformat(own.date)
    return Policy(own.name, own.title, own.category, str(own.version), date, THE_SCHOOL, own.summary, ())


def _with_own_terms(policy: Policy, terms: Iterable[OwnTerm]) -> Policy:
    """A policy with the school's terms. Where a later version has one of the same id, the school's counts."""
    own = {term.id: term for term in own_terms(policy.name, [one.entry for one in terms if one.policy == policy.name])}
    others = (term for term in policy.terms if term.id not in own)
    return replace(policy, terms=(*others, *own.values()))


def _reading(policy: Policy) -> Policy:
    """With every term in what is read too; for whom that counts is weighed later."""
    return replace(policy, terms=tuple(replace(term, surfaces=term.surfaces | READ) for term in policy.terms))


def _changes_of(policy: Policy, decisions: Decisions) -> Mapping[str, Changed]:
    return {one.term: one for one in decisions.changed if one.policy == policy.name}


def _changed(policy: Policy, changes: Mapping[str, Changed], read_too: frozenset[Surface]) -> Policy:
    if not changes:
        return policy
    found = (_in_place_of(term, changes.get(term.id), read_too) for term in policy.terms)
    return replace(policy, terms=tuple(term for term in found if term is not None))


def _in_place_of(term: Term, changed: Changed | None, read_too: frozenset[Surface]) -> Term | None:
    return term if changed is None else changed_term(term, changed.change, changed.surfaces, read_too)


def changed_term(
    term: Term, change: Change, surfaces: Iterable[Surface] = (), read_too: frozenset[Surface] = frozenset()
) -> Term | None:
    """What counts in place of a supplied term: the school's copy of it, or nothing. ``read_too``: where it counts for
    those with that level in any case."""
    if change is Change.OFF:
        return None
    ours = replace(term, id=f"{term.id}{OURS}")
    if change is Change.EXACT:
        return replace(ours, matching=Matching.EXACT)
    if change is Change.WHERE:
        return replace(ours, surfaces=frozenset(surfaces) | read_too)
    if Surface.PAGE not in term.surfaces:
        return ours
    return replace(ours, surfaces=term.surfaces - {Surface.PAGE} | {Surface.TITLE})


def _names(names: Sequence[Name]) -> Iterator[Policy]:
    """Names of pupils leave the box as keyed hashes only, like everything that is hidden."""
    if names:
        terms = tuple(
            Term(one.id, (one.name,), NAME_MEANS, Severity.MODERATE, WRITTEN, matching=Matching.EXACT) for one in names
        )
        yield Policy(
            NAMES, "Names watched for", "bullying", "1", datetime.date(2000, 1, 1), THE_SCHOOL,
            "Names that two adults have agreed to watch for, for a while.", terms, hidden=True,
        )  # fmt: skip
