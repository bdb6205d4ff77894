"""Which policies run: the supplied ones, those of the bundle in force in their place, lists that were handed over.

Pure: the main process and the detection process come to the same. A bundle is handed over as the text of its files,
because one line of a policy may stand for thousands of phrases.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from appliance.api import Severity, Surface

from ..library.model import Matching, Policy, Term
from .opening import read_policy_files


@dataclass(frozen=True, slots=True)
class Running:
    """``policies``: what is looked for. ``trial``: what would be, with the bundle that is on trial; else ``None``."""

    policies: tuple[Policy, ...]
    trial: tuple[Policy, ...] | None = None


@dataclass(frozen=True, slots=True)
class Material:
    """Everything besides the files of the appliance and of the school.

    ``bundle`` and ``trial``: policies by the name of their file, as text. ``supplied``: names of supplied policies,
    whose place a bundle may take.
    """

    supplied: frozenset[str] = frozenset()
    bundle: Mapping[str, str] = field(default_factory=dict, repr=False)
    trial: Mapping[str, str] | None = field(default=None, repr=False)
    imported: tuple[Policy, ...] = field(default=(), repr=False)

    def as_json(self) -> dict[str, Any]:
        """For the detection process."""
        return {
            "supplied": sorted(self.supplied),
            "bundle": dict(self.bundle),
            "trial": None if self.trial is None else dict(self.trial),
            "imported": [policy_as_json(policy) for policy in self.imported],
        }

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Material:
        """What ``as_json`` gave. Raises ``ValueError``, ``KeyError`` or ``TypeError`` for anything else."""
        imported = tuple(map(policy_of_json, data["imported"]))
        return cls(frozenset(data["supplied"]), data["bundle"], data["trial"], imported)

    def over(self, files: Sequence[Policy]) -> Running:
        """What runs. ``files``: the supplied policies and the school's own. Raises ``BundleRefused``."""
        bundle = _read(self.bundle)
        trial = None if self.trial is None else _read(self.trial)
        return Running(
            (*overlay(files, self.supplied, bundle), *self.imported),
            None if trial is None else (*overlay(files, self.supplied, trial), *self.imported),
        )


def _read(texts: Mapping[str, str]) -> tuple[Policy, ...]:
    return read_policy_files({name: text.encode("utf-8") for name, text in texts.items()})


def overlay(files: Sequence[Policy], supplied: Collection[str], bundle: Iterable[Policy]) -> tuple[Policy, ...]:
    """``files`` with policies of a bundle in the place of supplied ones of their name; new ones stand at the end.

    What a bundle does not name stays: a publisher may care for one subject alone.
    """
    named = {policy.name: policy for policy in bundle}
    found = [named.pop(policy.name, policy) if policy.name in supplied else policy for policy in files]
    return (*found, *named.values())


def policy_as_json(policy: Policy) -> dict[str, Any]:
    """A policy as plain data."""
    data = dataclasses.asdict(policy)
    data["date"] = policy.date.isoformat()
    for term in data["terms"]:
        term["surfaces"] = sorted(term["surfaces"])
    return data


def policy_of_json(data: Mapping[str, Any]) -> Policy:
    """What ``policy_as_json`` gave."""
    terms = tuple(map(_term_of_json, data["terms"]))
    return Policy(**{**data, "date": datetime.date.fromisoformat(data["date"]), "terms": terms})


def _term_of_json(data: Mapping[str, Any]) -> Term:
    lists = {name: tuple(data[name]) for name in ("phrases", "near", "unless")}
    surfaces = frozenset(map(Surface, data["surfaces"]))
    known = {"severity": Severity(data["severity"]), "matching": Matching(data["matching"]), "surfaces": surfaces}
    return Term(**{**data, **lists, **known})
