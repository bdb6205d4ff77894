"""The staff pages that show policies: all of them with a search, and one with its terms and what the school changed.

The words of hidden policies stand nowhere; of these only counts, and the terms that were found, for whoever may see
captures of them.
"""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import web

from appliance.api import Appliance, Refused, Row, Severity, Surface, actor, flash, read_form, redirect, render

from .choices.applying import OURS
from .choices.decisions import EDIT
from .choices.forms import END_REASON, SAY_WHY
from .choices.hidden import Readable, readable
from .choices.model import LEVELS, Change
from .choices.room import Choices
from .library.model import FACTS, Policy, Term

MOST_FOUND = 200
AROUND = 40
"""Letters on each side of what a search has found in a longer text."""
FEW = 40
"""Terms that the page of a policy shows at once. Of more terms, the worst are open if they are that few."""


class Views:
    """One method for each page. ``own_folder``: where the school's own files lie, or would lie."""

    def __init__(self, appliance: Appliance, choices: Choices, own_folder: Path) -> None:
        self._appliance = appliance
        self._choices = choices
        self._library = choices.library
        self._own_folder = own_folder

    async def policies(self, request: web.Request) -> web.Response:
        """Every policy in force, and a search through what may be shown."""
        policies = self._shown()
        own = {one.name for one in self._choices.store.kept.policies}
        words = request.query.get("words", "").strip()[:100]
        return render(
            request,
            "keyword/policies.html",
            rows=[
                (policy, _counts(policy), policy.name in own, await self._on_the_bench(policy)) for policy in policies
            ],
            words=words,
            found=search(policies, words) if words else [],
            most_found=MOST_FOUND,
            hidden=[policy.title for policy in policies if policy.hidden],
            severities=Severity,
            own_folder=self._own_folder,
            may_edit=actor(request).may(EDIT),
            day=_day,
        )

    async def policy(self, request: web.Request) -> web.Response:
        """One policy: its terms, the worst first, and what the school has changed."""
        return await self._policy(request, {})

    async def end_policy(self, request: web.Request) -> web.Response:
        """End a policy of the school's own."""
        reason = (await read_form(request)).get("reason", "").strip()
        if not reason:
            return await self._policy(request, {END_REASON: SAY_WHY}, 422)
        try:
            await self._choices.decisions.end_policy(actor(request), request.match_info["name"], reason)
        except Refused as refused:
            return await self._policy(request, {"form": str(refused)}, 422)
        flash(request, "The policy has ended, with its terms. Captures stay as they are.")
        return redirect("/keyword")

    async def _policy(self, request: web.Request, errors: Mapping[str, str], status: int = 200) -> web.Response:
        policy = self._library.policy(request.match_info["name"])
        if policy is None:
            raise web.HTTPNotFound
        may_read = await readable(self._appliance, actor(request))
        store = self._choices.store
        requests, own_terms = await store.requests_of(policy.name), await store.terms_of(policy.name)
        return render(
            request,
            "keyword/policy.html",
            status,
            errors=errors,
            policy=policy,
            counts=_counts(policy),
            level=LEVELS[self._choices.levels.for_everybody(policy.name)],
            severities=Severity,
            day=_day,
            terms=[self._term(policy, term, may_read.found) for term in _shown(policy, may_read)],
            off=[term for term in self._off(policy) if may_read.may_read(policy, term.id)],
            history=history(
                [row for row in requests if may_read.may_read(policy, row["term"])],
                [row for row in own_terms if may_read.may_read(policy, row["term"])],
            ),
            few=FEW,
            own_policy=policy.name in {one.name for one in store.kept.policies},
            may_edit=actor(request).may(EDIT),
        )  # fmt: skip

    async def _on_the_bench(self, policy: Policy) -> str:
        return await self._appliance.bench.policy_words(policy.title, policy.category, policy.version)

    def _shown(self) -> list[Policy]:
        """Policies for pages: all but the names that are watched for, which have a page of their own."""
        return [policy for policy in self._library.policies if self._library.policy(policy.name) is not None]

    def _term(self, policy: Policy, term: Term, counts: Mapping[str, tuple[int, int]]) -> dict[str, Any]:
        own = {one.entry["id"] for one in self._choices.store.kept.terms if one.policy == policy.name}
        return {
            "term": term,
            "places": [surface.label for surface in Surface if surface in term.surfaces],
            "facts": [(FACTS[key], words) for key, words in term.facts.items()],
            "own": term.id in own,
            "change": term.id.endswith(OURS),
            "replaces": term.id in own and self._library.supplied_term(policy.name, term.id) is not None,
            "supplied": self._library.supplied_term(policy.name, term.id) is not None,
            "found_words": found_words(*counts.get(f"{policy.name}/{term.id}", (0, 0))),
        }

    def _off(self, policy: Policy) -> list[Term]:
        changed = self._library.decisions.changed
        off = {one.term for one in changed if one.policy == policy.name and one.change is Change.OFF}
        return [term for term in self._library.before[policy.name].terms if term.id in off]


def _shown(policy: Policy, may_read: Readable) -> list[Term]:
    """The terms that stand on the page, the worst first; of a hidden policy those in captures that one may open."""
    terms = sorted(policy.terms, key=lambda term: term.severity.rank)
    return [term for term in terms if may_read.may_read(policy, term.id)]


def found_words(hits: int, false_positives: int) -> str:
    """How often a term was found within a year, for pages."""
    if not hits:
        return "Never"
    times = "Once" if hits == 1 else f"{hits} times"
    return f"{times}, {false_positives} false" if false_positives else times


@dataclass(frozen=True, slots=True)
class Hit:
    """A term that a search has found. ``place``: where the words stand, if not in what is shown of it first."""

    policy: Policy
    term: Term
    place: str
    text: str
    rank: int


def search(policies: Sequence[Policy], words: str) -> list[Hit]:
    """Terms that have these letters in their words, definitions or facts, in this order; never those of hidden
    policies.
    """
    wanted = words.casefold()
    found = (_hit(policy, term, wanted) for policy in policies if not policy.hidden for term in policy.terms)
    return sorted(filter(None, found), key=lambda hit: hit.rank)


def _hit(policy: Policy, term: Term, wanted: str) -> Hit | None:
    """Where a term has these letters first."""
    places = [
        *(("" if number == 0 else "as", phrase, min(number, 1)) for number, phrase in enumerate(term.phrases)),
        ("in what it means", term.definition, 2),
        *((f"in “{FACTS[key]}”", text, 3) for key, text in term.facts.items()),
    ]
    for place, text, rank in places:
        at = text.casefold().find(wanted)
        if at >= 0:
            return Hit(policy, term, place, _around(text, at, len(wanted)), rank)
    return None


def _around(text: str, at: int, length: int) -> str:
    """Some words around a place of a text."""
    start, end = max(at - AROUND, 0), at + length + AROUND
    begin = text.find(" ", start) + 1 if start else 0
    stop = text.rfind(" ", at + length, end) if end < len(text) else len(text)
    return f"{'… ' if begin else ''}{text[begin : max(stop, at + length)]}{' …' if stop < len(text) else ''}"


def history(requests: Sequence[Row], terms: Sequence[Row]) -> list[dict[str, str]]:
    """What the school has changed about a policy, the newest first, in words."""
    found = [
        *(line for row in requests for line in _of_request(row)),
        *(line for row in terms for line in _of_term(row)),
    ]
    return sorted(found, key=lambda line: line["at"], reverse=True)


def _of_request(row: Row) -> list[dict[str, str]]:
    what = f"“{row['term']}”"
    lines = [(row["asked_at"], f"{row['author']} asked for {what}: {Change(row['change']).words}. {row['reason']}")]
    if row["decided_at"]:
        done = "left it on" if row["state"] == "refused" else "agreed"
        lines.append((row["decided_at"], f"{row['decided_by']} {done} ({what}). {row['answer']}"))
    if row["ended_at"]:
        words = f"{row['ended_by']} let {what} count again as supplied. {row['ended_because']}"
        lines.append((row["ended_at"], words))
    return [{"at": at, "words": words} for at, words in lines]


def _of_term(row: Row) -> list[dict[str, str]]:
    lines = [(row["made_at"], f"{row['author']} wrote {row['term']}. {row['reason']}")]
    if row["ended_at"] and row["ended_because"] != "changed":
        lines.append((row["ended_at"], f"{row['ended_by']} ended {row['term']}. {row['ended_because']}"))
    return [{"at": at, "words": words} for at, words in lines]


def _counts(policy: Policy) -> list[tuple[Severity, int]]:
    """How many terms there are of each severity, the worst first."""
    found = Counter(term.severity for term in policy.terms)
    return [(severity, found[severity]) for severity in Severity if found[severity]]


def _day(date: datetime.date) -> str:
    return f"{date.day} {date:%B %Y}"
