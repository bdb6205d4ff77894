"""Which policies run: the supplied ones, those of the bundle in force in their place, lists that were handed over.

Pure: the main process and the detection process come to the same.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..library.model import Policy
from ..library.shipped import as_json, of_json

QUICKLY = 1
"""The level of packing: the others take longer and win little."""


@dataclass(frozen=True, slots=True)
class Running:
    """``policies``: what is looked for. ``trial``: what would be, with the bundle that is on trial; else ``None``."""

    policies: tuple[Policy, ...]
    trial: tuple[Policy, ...] | None = None


@dataclass(frozen=True, slots=True)
class Material:
    """Everything besides the files of the appliance and of the school.

    ``bundle`` and ``trial``: policies of the bundles in force and on trial. ``supplied``: names of supplied policies,
    whose place a bundle may take. ``imported``: lists that were handed over.
    """

    supplied: frozenset[str] = frozenset()
    bundle: tuple[Policy, ...] = field(default=(), repr=False)
    trial: tuple[Policy, ...] | None = field(default=None, repr=False)
    imported: tuple[Policy, ...] = field(default=(), repr=False)

    def as_json(self) -> dict[str, Any]:
        """For the detection process. With whole bundles it takes a part of a second: best in a thread."""
        return {
            "supplied": sorted(self.supplied),
            "bundle": _packed(self.bundle),
            "trial": None if self.trial is None else _packed(self.trial),
            "imported": _packed(self.imported),
        }

    @classmethod
    def of_json(cls, data: Mapping[str, Any]) -> Material:
        """What ``as_json`` gave. Raises ``ValueError``, ``LookupError`` or ``TypeError`` for anything else."""
        trial = None if data["trial"] is None else _unpacked(data["trial"])
        bundle, imported = _unpacked(data["bundle"]), _unpacked(data["imported"])
        return cls(frozenset(data["supplied"]), bundle, trial, imported)

    def over(self, files: Sequence[Policy]) -> Running:
        """What runs. ``files``: the supplied policies and the school's own."""
        policies = (*overlay(files, self.supplied, self.bundle), *self.imported)
        if self.trial is None:
            return Running(policies)
        return Running(policies, (*overlay(files, self.supplied, self.trial), *self.imported))


def _packed(policies: Sequence[Policy]) -> str:
    """Policies as text that JSON holds as it is. It is a quarter of what it was: phrases of a term are much alike."""
    plain = json.dumps(list(map(as_json, policies)))
    return base64.b64encode(zlib.compress(plain.encode(), QUICKLY)).decode()


def _unpacked(packed: str) -> tuple[Policy, ...]:
    return tuple(map(of_json, json.loads(zlib.decompress(base64.b64decode(packed)))))


def overlay(files: Sequence[Policy], supplied: Collection[str], bundle: Iterable[Policy]) -> tuple[Policy, ...]:
    """``files`` with policies of a bundle in the place of supplied ones of their name; new ones stand at the end.

    What a bundle does not name stays: a publisher may care for one subject alone.
    """
    named = {policy.name: policy for policy in bundle}
    found = [named.pop(policy.name, policy) if policy.name in supplied else policy for policy in files]
    return (*found, *named.values())
