"""The filter's own test: what a profile promises, asked of the running filter, and what came of it.

It uses names of our own that every list of a category holds, the names that browsers ask to learn whether they may
leave a filter out, the search engines, and one help-seeking site. It never asks for a real site of any category.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, Literal

from ...answerer.rules import CANARY_NAMES
from ...lists.shipped import BYPASS
from .addresses import is_test_client, probe_name
from .asking import Answer
from .store import THE_APPLIANCE, Found, Result

Ask = Callable[[str, str], Awaitable[Answer | None]]
"""Source address and name -> the answer."""
WouldStop = Callable[[str, str], bool]
"""Key of a policy and name -> whether the policy would block it if it were no trial run."""
Kind = Literal["blocked", "canary", "safe search", "open"]
MOST_NAMED = 6
"""Failures that are told by name in one line."""


@dataclass(frozen=True, slots=True)
class Case:
    """One question. ``title``: what it is about, in words; ``target``: for safe search, where the name is to lead.

    ``would_stop``: the school blocks the search engine, which a trial run only notes.
    """

    kind: Kind
    title: str
    name: str
    target: str = ""
    would_stop: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be tested for one profile, and from which address.

    ``profile``: its title; ``empty``: categories that were chosen for it, with no list to block by.
    """

    address: str
    profile: str
    mode: str
    cases: tuple[Case, ...]
    empty: tuple[str, ...] = ()


def plans(
    snapshot: Mapping[str, Any],
    titles: Mapping[str, str],
    profiles: Mapping[str, tuple[str, Collection[str]]],
    exempt: str,
    now: float,
    would_stop: WouldStop = lambda key, name: False,  # noqa: ARG005 - the school blocks no search engine
) -> list[Plan]:
    """What is to be tested by a snapshot.

    ``titles``: of the categories; ``profiles``: name -> title, and the categories that were chosen for it;
    ``exempt``: a help-seeking site; ``would_stop``: whether a policy would block a name if it were no trial run.
    """
    found = []
    for address, chain in snapshot.get("clients", {}).items():
        if not is_test_client(address):
            continue
        key = next((key for key, until in chain if until is None or until > now), "")
        policy = snapshot["policies"].get(key)
        if policy is not None:
            found.append(_plan(address, policy, snapshot["lists"], titles, profiles, exempt, partial(would_stop, key)))
    return sorted(found, key=lambda plan: plan.profile)


def _plan(
    address: str,
    policy: Mapping[str, Any],
    lists: Mapping[str, Mapping[str, Any]],
    titles: Mapping[str, str],
    profiles: Mapping[str, tuple[str, Collection[str]]],
    exempt: str,
    would_stop: Callable[[str], bool],
) -> Plan:
    chosen = set(policy["lists"])
    on = {one["category"] for name, one in lists.items() if one["locked"] or name in chosen} - {BYPASS}
    if policy["bypass"] and BYPASS in lists:  # a switch of its own
        on.add(BYPASS)
    cases = [Case("blocked", title, probe_name(key)) for key, title in titles.items() if key in on]
    if policy["bypass"]:
        cases += [Case("canary", f"ways around ({name})", name) for name in CANARY_NAMES]
    if not policy["only"]:  # where only named sites are open, search engines are not
        cases += [
            Case("safe search", f"safe search of {name}", name, target, policy["mode"] == "watch" and would_stop(name))
            for name, target in _engines(policy)
        ]
    if exempt:
        cases.append(Case("open", f"help-seeking site {exempt} is open", exempt))
    title, categories = profiles.get(policy["profile"], (policy["profile"], ()))
    empty = (
        () if policy["only"] else tuple(words for key, words in titles.items() if key in categories and key not in on)
    )
    return Plan(address, title, policy["mode"], tuple(cases), empty)


def _engines(policy: Mapping[str, Any]) -> list[tuple[str, str]]:
    """One name for each place to which safe search leads."""
    first: dict[str, str] = {}
    for name, target in policy["rewrites"].items():
        if target not in first or name.startswith("www."):
            first.setdefault(target, name)
    return [(name, target) for target, name in first.items()]


async def run(plan: Plan, ask: Ask, day: date, place: str) -> Found:
    """Ask everything and put together what came of it."""
    outcomes = [(case, await _outcome(plan, case, ask)) for case in plan.cases]
    results = [result for _, result in outcomes]
    result = _worst(results, plan)
    return Found(
        day=day,
        who=THE_APPLIANCE,
        device="this box",
        place=place,
        profile=plan.profile,
        what=_what(plan),
        result=result,
        words=_words(outcomes, plan),
        action="IT reads it on the status page; in school hours an alert is opened" if result is Result.FAILED else "",
    )


async def _outcome(plan: Plan, case: Case, ask: Ask) -> Result:
    answer = await ask(plan.address, case.name)
    if answer is None:
        return Result.FAILED  # the filter itself always answers, with an error if nobody outside does
    if case.kind == "open":
        return Result.FAILED if answer.blocked else Result.PASSED
    if case.kind == "safe search":
        return await _safe(plan, case, answer, ask)
    # What browsers ask before they leave a filter out must not be there: an address, also that of the block page, says
    # the opposite. A name made for the test never is, so that its answer must say that it was blocked.
    stopped = answer.code == "NXDOMAIN" if case.kind == "canary" else answer.blocked
    if stopped:
        return Result.PASSED
    return Result.FAILED if plan.mode == "block" else Result.WATCHING


async def _safe(plan: Plan, case: Case, answer: Answer, ask: Ask) -> Result:
    """Whether the engine's name has the addresses of its safe one, which nobody but its keeper knows."""
    if answer.blocked:
        return Result.PASSED  # the school has blocked it, which is safe too
    if case.would_stop:
        return Result.WATCHING  # it is to be blocked, not made safe, and a trial run does neither
    wanted = await ask(plan.address, case.target)
    if wanted is None or not wanted.addresses:
        return Result.OPEN
    if not answer.addresses:
        return Result.OPEN
    return Result.PASSED if answer.addresses <= wanted.addresses else Result.FAILED


def _worst(results: Sequence[Result], plan: Plan) -> Result:
    if Result.FAILED in results:
        return Result.FAILED
    if plan.mode != "block":
        return Result.WATCHING
    if Result.OPEN in results or not results or plan.empty:  # what nothing blocks is not as it should be
        return Result.OPEN
    return Result.PASSED


def _what(plan: Plan) -> str:
    numbers = {kind: sum(case.kind == kind for case in plan.cases) for kind in ("blocked", "canary", "safe search")}
    parts = [
        f"{numbers['blocked']} categories by their test names",
        f"{numbers['safe search']} search engines",
        f"{numbers['canary']} ways around",
        *(["a help-seeking site"] if any(case.kind == "open" for case in plan.cases) else []),
    ]
    return ", ".join(parts)


def _words(outcomes: Sequence[tuple[Case, Result]], plan: Plan) -> str:
    passed = sum(result is Result.PASSED for _, result in outcomes)
    parts = [f"{passed} of {len(outcomes)} as they should be."]
    for result, words in ((Result.FAILED, "Not as it should be"), (Result.OPEN, "No answer from outside")):
        named = [case.title for case, one in outcomes if one is result]
        if named:
            more = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
            parts.append(f"{words}: {', '.join(named[:MOST_NAMED])}{more}.")
    if plan.mode == "watch":
        parts.append("Trial run: nothing is blocked for this profile.")
    if plan.mode == "off":
        parts.append("The profile is switched off or paused: only locked lists block.")
    if plan.empty:
        parts.append(f"Chosen, but not blocked, because no list says what belongs to it: {', '.join(plan.empty)}.")
    return " ".join(parts)
