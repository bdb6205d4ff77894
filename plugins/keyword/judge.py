"""What is looked for, made of the policies and the test phrase: needles for browsers, findings for captures."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.api import ApplianceError, Finding, Observation, Severity, Surface

from .matching import Hit, Matcher, Needle, how
from .library.model import Policy, Term, folded

MOST_FINDINGS = 100
"""Of one observation, the worst first: a page that repeats one phrase a thousand times says no more than that."""
BY_SOMEBODY = frozenset({Surface.TYPED, Surface.SEARCH})
"""Where the test phrase counts: somebody has written it. A page that shows it must not raise tests on every device."""
TEST = "test"


@dataclass(frozen=True, eq=False)
class Sought:
    """The term that a phrase belongs to, and its policy; for the test phrase neither."""

    policy: Policy | None = None
    term: Term | None = None


class Judge:
    """Finds the phrases of policies, and the test phrase. Pure once it is made."""

    def __init__(self, policies: Sequence[Policy], test_phrase: str) -> None:
        if not folded(test_phrase):
            raise ApplianceError("detection.test_phrase has no words in it.", "Use words of letters.")
        test = Needle(TEST, test_phrase, BY_SOMEBODY, Sought())
        needles = [test, *_needles(policies)]
        self._matcher = Matcher(needles)
        self._policy, self._policy_for_tests = _as_policy(needles), _as_policy([test])

    def detect(self, observation: Observation) -> list[Finding]:
        """What stands in an observation.

        In the name of a site the words are what stands between dots and hyphens, and only whole ones count, so a county
        is no term. A phrase lies between two dots: ``week-end.it`` ends in a country, and not in "end it".
        """
        hits = self._matcher.hits(observation.text, observation.surface)
        if observation.surface is Surface.NAME:
            hits = [hit for hit in hits if "." not in observation.text[hit.start : hit.end]]
        found = [_finding(hit, observation.text[hit.start : hit.end]) for hit in hits]
        return sorted(found, key=lambda finding: (finding.severity.rank, finding.start))[:MOST_FINDINGS]

    def endpoint_policy(self, monitored: bool) -> dict[str, Any]:
        """What a browser is to notice; the test phrase alone where nobody is monitored."""
        return self._policy if monitored else self._policy_for_tests


def _needles(policies: Sequence[Policy]) -> Iterator[Needle[Sought]]:
    for policy in policies:
        for term in policy.terms:
            sought, surfaces = Sought(policy, term), _where(term)
            for number, phrase in enumerate(term.phrases):
                yield Needle(f"{policy.name}/{term.id}/{number}", phrase, surfaces, sought)


def _where(term: Term) -> frozenset[Surface]:
    """Where a term counts. The name of a site is part of every address there: what counts in these counts in names."""
    surfaces = frozenset(term.surfaces)
    return surfaces | {Surface.NAME} if Surface.ADDRESS in surfaces else surfaces


def _as_policy(needles: Sequence[Needle[Sought]]) -> dict[str, Any]:
    """For browsers, which do not see the names that a device asks for."""
    listed = [
        {"id": needle.id, "words": list(needle.words), "surfaces": sorted(surfaces)}
        for needle in needles
        if (surfaces := needle.surfaces - {Surface.NAME})
    ]
    version = hashlib.sha256(json.dumps(listed).encode()).hexdigest()[:16]
    return {"version": version, "needles": listed}


def _finding(hit: Hit[Sought], written: str) -> Finding:
    policy, term = hit.needle.about.policy, hit.needle.about.term
    found = how(hit.needle.phrase, written)
    if policy is None or term is None:
        return Finding(
            "Test phrase", "", TEST, hit.needle.phrase, TEST, Severity.MINOR,
            "The harmless phrase with which the way from a device to this page is tried. Nothing has to be done.",
            hit.start, hit.end, found, is_test=True,
        )  # fmt: skip
    return Finding(
        policy.title, policy.version, f"{policy.name}/{term.id}", hit.needle.phrase, policy.category, term.severity,
        term.definition, hit.start, hit.end, found,
    )  # fmt: skip
