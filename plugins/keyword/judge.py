"""What is looked for, made of the policies and the test phrase: findings for captures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from functools import cached_property

from appliance.api import LONGEST_SENTENCE, ApplianceError, Finding, Observation, Severity, Surface

from .engine.engine import Engine
from .engine.exclusions import Exclusions, supplied
from .engine.hits import Hit
from .library.model import FACTS, Matching, Policy, Term, folded

MOST_FINDINGS = 100
"""Of one observation, the worst first: a page that repeats one phrase a thousand times says no more than that."""
TEST = "test"


def test_policy(phrase: str) -> Policy:
    """The harmless phrase as a policy. Raises ``ApplianceError`` if it has no words.

    It counts where somebody has written it: a page that shows it must not raise tests on every device.
    """
    if not folded(phrase):
        raise ApplianceError("detection.test_phrase has no words in it.", "Use words of letters.")
    meaning = "The harmless phrase with which the way from a device to this page is tried. Nothing has to be done."
    by_somebody = frozenset(surface for surface in Surface if surface.is_own_words)
    term = Term(TEST, (phrase,), meaning, Severity.MINOR, by_somebody, matching=Matching.EXACT)
    return Policy(TEST, "Test phrase", TEST, "", date.min, "", "", (term,))


class Judge:
    """Finds the phrases of policies, and the test phrase. Pure; the engine is made when it is needed first.

    ``exclusions``: instead of the supplied ones.
    """

    def __init__(self, policies: Sequence[Policy], test_phrase: str, exclusions: Exclusions | None = None) -> None:
        self._test = test_policy(test_phrase)
        self._policies = (self._test, *policies)
        self._exclusions = exclusions

    @cached_property
    def engine(self) -> Engine:
        """Takes a second to be made: whoever does not judge does without it."""
        return Engine(self._policies, supplied() if self._exclusions is None else self._exclusions)

    def make_ready(self) -> None:
        """Make the engine now, and not while the first observation waits, which has only some seconds."""
        self.engine.find("", Surface.TYPED)

    def detect(self, observation: Observation) -> list[Finding]:
        """What stands in an observation, the worst first.

        In the name of a site the words are what stands between dots and hyphens, and only whole ones count, so a county
        is no term. A phrase lies between two dots: ``week-end.it`` ends in a country, and not in "end it".
        """
        text = observation.text
        hits = self.engine.find(text, observation.surface)
        if observation.surface is Surface.NAME:
            hits = [hit for hit in hits if "." not in text[hit.start : hit.end]]
        return [self._finding(hit, text[hit.start : hit.end]) for hit in _foremost(hits)]

    def _finding(self, hit: Hit, written: str) -> Finding:
        policy, term = hit.policy, hit.term
        is_test = policy is self._test
        return Finding(
            policy.title, policy.version, TEST if is_test else f"{policy.name}/{term.id}", hit.phrase, policy.category,
            hit.severity, term.definition, hit.start, hit.end, found=hit.how.words, is_test=is_test,
            steps=_short(_steps(hit, written)), tried=_short(hit.tried), why_severity=hit.why_severity,
            facts=tuple((FACTS[name], words) for name, words in term.facts.items()),
            picture=term.picture, alert=term.alert and hit.severity is term.severity, clip_seconds=term.clip_seconds,
        )  # fmt: skip


def _foremost(hits: Sequence[Hit]) -> list[Hit]:
    """As many as are told, the worst first. The first place of every term comes before the second of any: one that
    is repeated a hundred times must not crowd out what is said once.
    """
    times: Counter[tuple[str, str]] = Counter()
    numbered: list[tuple[int, Hit]] = []
    for hit in hits:
        key = (hit.policy.name, hit.term.id)
        numbered.append((times[key], hit))
        times[key] += 1
    numbered.sort(key=lambda one: (one[0], one[1].severity.rank, one[1].start))
    told = [hit for _, hit in numbered[:MOST_FINDINGS]]
    return sorted(told, key=lambda hit: (hit.severity.rank, hit.start))


def _short(sentences: Iterable[str]) -> tuple[str, ...]:
    """Sentences that are no longer than those of a finding may be: one that is would cost all findings of its text."""
    return tuple(one if len(one) <= LONGEST_SENTENCE else one[: LONGEST_SENTENCE - 1] + "…" for one in sentences)


def _steps(hit: Hit, written: str) -> tuple[str, ...]:
    """How the text was read, in the order in which it was."""
    steps = [f"It was written {how.words}." for how in hit.hows]
    if hit.read_as and " ".join(written.lower().split()) != hit.read_as:
        steps.append(f"It was read as “{hit.read_as}”.")
    if hit.near:
        steps.append(f"By itself it would not count. It does because of “{hit.near}” beside it.")
    return tuple(steps)
