"""What applying a bundle would change, worked out once for each: it takes seconds."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..library.model import Policy
from .comparing import BenchResult, MakeFind, PolicyChange, Sentence, compare, try_sentences
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
    """Every policy of which something changes, what the bench says (without sentences nothing), and what would run."""

    changes: Sequence[PolicyChange]
    bench: BenchResult | None
    after: Sequence[Policy]

    def counted(self, counts: Mapping[str, int]) -> Sequence[Counted]:
        """What a trial has counted, for a page: terms in clear, of hidden policies one number each."""
        policies = {policy.name: policy for policy in self.after}
        shown: list[Counted] = []
        hidden: Counter[str] = Counter()
        for key, times in counts.items():
            name, _, id_ = key.partition("/")
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
    """``forces``: what runs now. ``sentences``: those of the test bench."""

    def __init__(self, forces: Forces, sentences: Callable[[], Sequence[Sentence]], make_find: MakeFind) -> None:
        self._forces = forces
        self._sentences = sentences
        self._make_find = make_find
        self._known: OrderedDict[tuple[str, int], Preview] = OrderedDict()
        self._working = asyncio.Lock()

    async def of(self, kept: Kept) -> Preview:
        """What this bundle would change now. Raises ``BundleRefused`` if it cannot run."""
        async with self._working:
            before = self._forces.running.policies
            key = kept.id, self._forces.changes
            found = self._known.get(key)
            if found is None:
                after = await self._forces.would_run(kept)
                found = await asyncio.to_thread(self._work, before, after)
                self._known[key] = found
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
            return found

    def _work(self, before: Sequence[Policy], after: Sequence[Policy]) -> Preview:
        sentences = self._sentences()
        bench = try_sentences(sentences, before, after, self._make_find) if sentences else None
        return Preview(compare(before, after), bench, after)
