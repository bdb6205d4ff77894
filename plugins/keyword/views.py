"""The staff pages: which policies are in force, and what each of them looks for."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from aiohttp import web

from appliance.api import Severity, render

from .library.model import Policy, Term


class Views:
    """One method for each page. ``own_folder``: where the school's own policies lie, or would lie."""

    def __init__(self, policies: Sequence[Policy], own_folder: Path) -> None:
        self._policies = policies
        self._own_folder = own_folder

    async def policies(self, request: web.Request) -> web.Response:
        """Every policy in force."""
        rows = [(policy, _counts(policy)) for policy in self._policies]
        return render(
            request, "keyword/policies.html", rows=rows, severities=Severity, own_folder=self._own_folder, day=_day
        )

    async def policy(self, request: web.Request) -> web.Response:
        """One policy: its terms, the worst first."""
        name = request.match_info["name"]
        policy = next((policy for policy in self._policies if policy.name == name), None)
        if policy is None:
            raise web.HTTPNotFound
        terms = sorted(policy.terms, key=lambda term: term.severity.rank)
        return render(
            request,
            "keyword/policy.html",
            policy=policy,
            counts=_counts(policy),
            severities=Severity,
            day=_day,
            terms=[(term, _places(term)) for term in terms],
        )


def _counts(policy: Policy) -> list[tuple[Severity, int]]:
    """How many terms there are of each severity, the worst first."""
    found = Counter(term.severity for term in policy.terms)
    return [(severity, found[severity]) for severity in Severity if found[severity]]


def _day(date: datetime.date) -> str:
    return f"{date.day} {date:%B %Y}"


def _places(term: Term) -> list[str]:
    """Where a term is looked for, in words."""
    return [surface.label for surface in term.surfaces]
