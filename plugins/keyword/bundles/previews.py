"""What applying a bundle would change, worked out once for each: it takes seconds."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from ..choices.applying import OURS
from ..choices.model import Change, Changed, Decisions
from ..library.model import Policy
from ..school import School, finder
from .comparing import BenchResult, PolicyChange, Sentence, compare, try_sentences
from .forces import Forces
from .store import Kept

REMEMBERED = 4
PATIENCE_SECONDS = 6.0
"""How long a page waits; a small box works for longer."""


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
        """What a trial has counted."""
        return counted(self.after, counts)


def counted(policies: Sequence[Policy], counts: Mapping[str, int]) -> Sequence[Counted]:
    """What a trial has counted, for a page: terms in clear, of hidden policies one number each."""
    by_name = {policy.name: policy for policy in policies}
    shown: list[Counted] = []
    hidden: Counter[str] = Counter()
    for key, times in counts.items():
        name, _, id_ = key.removesuffix(OURS).partition("/")
        policy = by_name.get(name)
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
        self._known: OrderedDict[tuple[str, int, str], asyncio.Task[Preview]] = OrderedDict()
        self._working = asyncio.Lock()

    async def of(self, kept: Kept) -> Preview | None:
        """What this bundle would change now; ``None`` while that is worked out, which goes on when nobody waits for it.

        Raises ``BundleRefused`` if it cannot run.
        """
        school = await self._school()
        key = kept.id, self._forces.changes, await asyncio.to_thread(lambda: school.mark)
        if key not in self._known:
            work = self._make(kept, self._forces.running.policies, school)
            self._known[key] = asyncio.create_task(work, name="preview of a bundle")
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)[1].cancel()
        task = self._known[key]
        done, _ = await asyncio.wait({task}, timeout=PATIENCE_SECONDS)
        if not done:
            return None
        if task.cancelled() or task.exception() is not None:
            self._known.pop(key, None)
        return task.result()

    async def close(self) -> None:
        """Work on none any more."""
        tasks = list(self._known.values())
        self._known.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def counted(self, counts: Mapping[str, int]) -> Sequence[Counted]:
        """What a trial has counted, by the policies that run now."""
        return counted(self._forces.running.policies, counts)

    async def _make(self, kept: Kept, before: Sequence[Policy], school: School) -> Preview:
        async with self._working:
            after = await self._forces.would_run(kept)
            return await asyncio.to_thread(self._work, before, after, school)

    def _work(self, before: Sequence[Policy], after: Sequence[Policy], school: School) -> Preview:
        sentences, in_force = self._sentences(), (school.in_force(before), school.in_force(after))
        bench = (
            try_sentences(sentences, *in_force, lambda policies: finder(school.judge(policies))) if sentences else None
        )
        return Preview(compare(before, after, decided(school.choices), self._title), bench, after)


def decided(choices: Mapping[str, object]) -> Mapping[str, str]:
    """What the school has decided about terms of others (``policy/term``), in words."""
    decisions = Decisions.of_json(choices)
    changed = {f"{one.policy}/{one.term}": _words(one) for one in decisions.changed}
    own = {f"{one.policy}/{one.entry['id']}": "your school’s own term counts instead" for one in decisions.terms}
    return {**changed, **own}


def _words(changed: Changed) -> str:
    if changed.change is Change.OFF:
        return "switched off at your school, and stays off"
    return f"changed at your school: {changed.words[:1].lower()}{changed.words[1:]}"
