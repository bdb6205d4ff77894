"""The policies in force, in memory: the supplied ones and the school's files, with the school's decisions over them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from appliance.api import Surface

from ..library.model import Policy, Term
from .applying import apply
from .model import NAMES, Decisions


class Library:
    """``supplied`` gives supplied policies and those of the school's files; call ``take`` when either has changed."""

    def __init__(self, supplied: Callable[[], Sequence[Policy]]) -> None:
        self._supplied = supplied
        self.decisions = Decisions()
        self.policies: tuple[Policy, ...] = tuple(supplied())
        """What is looked for, names too."""
        self.before: Mapping[str, Policy] = {policy.name: policy for policy in self.policies}
        """By name, with the school's own terms, as if no supplied term were changed; without names."""
        self._surfaces: Mapping[str, frozenset[Surface]] = {}

    def take(self, decisions: Decisions) -> None:
        """Work out what is in force now."""
        supplied = tuple(self._supplied())
        undisturbed = replace(decisions, changed=(), names=(), reading=())
        self.decisions = decisions
        self.before = {policy.name: policy for policy in apply(supplied, undisturbed.as_json())}
        self.policies = apply(supplied, replace(decisions, reading=()).as_json())
        self._surfaces = {
            f"{policy.name}/{term.id}": term.surfaces for policy in self.policies for term in policy.terms
        }

    @property
    def data(self) -> dict[str, Any]:
        """For the detection process, where ``apply`` makes the same policies of it."""
        return self.decisions.as_json()

    def is_supplied(self, name: str) -> bool:
        """Whether a policy comes from a file."""
        return name in {policy.name for policy in self._supplied()}

    def supplied_term(self, policy: str, term: str) -> Term | None:
        """A term as its file has it."""
        found = next((one for one in self._supplied() if one.name == policy), None)
        return None if found is None else next((one for one in found.terms if one.id == term), None)

    def policy(self, name: str) -> Policy | None:
        """A policy in force by its name. Names that are watched for are none of these."""
        return next((one for one in self.policies if one.name == name and name != NAMES), None)

    def own_surfaces(self, term: str) -> frozenset[Surface] | None:
        """Where ``policy/term`` is looked for unless somebody's level says in everything; ``None``: not known here."""
        return self._surfaces.get(term)
