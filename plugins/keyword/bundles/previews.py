"""What applying a bundle would change, worked out once for each: it takes seconds."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from ..choices.applying import OURS
from ..choices.model import Change, Decisions
from ..library.model import Policy
from ..school import School, finder
from .comparing import BenchResult, PolicyChange, Sentence, compare, try_sentences
from .forces import Forces
from .store import Kept

REMEMBERED = 4


@dataclass(frozen=True, slots=True)
class Counted:
    """How often a trial alone has found a term. Without ``phrase``: all terms of a hidden policy together."""

    policy: str
    phrase: str
    severity: str
    times: int


@dataclass(frozen=True, slots=True)
class Preview:
    """Every policy of which something changes, what the bench says (without sentences nothing), and what would run,
    as it is published.
    """

    changes: Sequence[PolicyChange]
    bench: BenchResult | None
    after: Sequence[Policy]

    def counted(self, counts: Mapping[str, int]) -> Sequence[Counted]:
        """What a trial has counted, for a page: terms in clear, of hidden policies one number each."""
        policies = {policy.name: policy for policy in self.after}
        shown: list[Counted] = []
        hidden: Counter[str] = Counter()
        for key, times in counts.items():
            name, _, id_ = key.removesuffix(OURS).partition("/")
            policy = policies.get(name)
            term = next((term for term in policy.terms if term.id == id_), None) if policy is not None else None
            if policy is None or term is None:
                continue
            if policy.hidden:
                hidden[policy.title] += times
            else:
                shown.append(Counted(policy.title, term.phrases[0], term.severity, times))
        return [*shown, *(Counted(title, "", "", times) for title, times in hidden.items())]


class Previews:
    """``forces``: what runs now. ``sentences``: those of the test bench. ``school()``: what the school adds.
    ``title``: of a category.
    """

    def __init__(
        self,
        forces: Forces,
        sentences: Callable[[], Sequence[Sentence]],
        school: Callable[[], Awaitable[School]],
        title: Callable[[str], str],
    ) -> None:
        self._forces = forces
        self._sentences = sentences
        self._school = school
        self._title = title
        self._known: OrderedDict[tuple[str, int, str], Preview] = OrderedDict()
        self._working = asyncio.Lock()

    async def of(self, kept: Kept) -> Preview:
        """What this bundle would change now. Raises ``BundleRefused`` if it cannot run."""
        async with self._working:
            before, school = self._forces.running.policies, await self._school()
            key = kept.id, self._forces.changes, await asyncio.to_thread(lambda: school.mark)
            found = self._known.get(key)
            if found is None:
                after = await self._forces.would_run(kept)
                found = await asyncio.to_thread(self._work, before, after, school)
                self._known[key] = found
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
            return found

    def _work(self, before: Sequence[Policy], after: Sequence[Policy], school: School) -> Preview:
        sentences, in_force = self._sentences(), (school.in_force(before), school.in_force(after))
        bench = (
            try_sentences(sentences, *in_force, lambda policies: finder(school.judge(policies))) if sentences else None
        )
        return Preview(compare(before, after, decided(school.choices), self._title), bench, after)


def decided(choices: Mapping[str, object]) -> Mapping[str, str]:
    """What the school has decided about terms of others (``policy/term``), in words."""
    decisions = Decisions.of_json(choices)
    changed = {f"{one.policy}/{one.term}": _words(one.change) for one in decisions.changed}
    own = {f"{one.policy}/{one.entry['id']}": "your school’s own term counts instead" for one in decisions.terms}
    return {**changed, **own}


def _words(change: Change) -> str:
    if change is Change.OFF:
        return "switched off at your school, and stays off"
    return f"stricter at your school: {change.words[:1].lower()}{change.words[1:]}"
