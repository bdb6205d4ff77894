"""The supplied policies, quickly: every process of the appliance reads them when it starts.

As Python keeps its compiled modules beside their sources, what was read of a policy is kept in ``__pycache__`` beside
its file, under the digest of the file, if that folder may be written. It is as trustworthy as the modules beside it.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from appliance.api import Severity, Surface, load_shipped_yaml, write_atomically

from .files import SHIPPED, PolicyFile
from .model import Matching, Policy, Term

SUPPLIED = Path(__file__).parents[1] / "policies"
FORM = 4
"""Of what is kept; another one is read anew."""
AROUND = ("near", "unless")


@cache
def supplied_policies() -> tuple[Policy, ...]:
    """All of them, in the order of their names. Raises ``ConfigError`` if a file is damaged."""
    return tuple(map(_policy, sorted(SUPPLIED.glob("*.yaml"))))


def _policy(file: Path) -> Policy:
    digest = f"{FORM} {hashlib.sha256(file.read_bytes()).hexdigest()}"
    kept = file.parent / "__pycache__" / f"{file.stem}.json"
    with suppress(OSError, ValueError, LookupError, TypeError):
        data = json.loads(kept.read_text(encoding="utf-8"))
        if data["digest"] == digest:
            return of_json(data["policy"])
    policy = PolicyFile.model_validate(load_shipped_yaml(file), context=SHIPPED).policy()
    with suppress(OSError):
        kept.parent.mkdir(exist_ok=True)
        content = json.dumps({"digest": digest, "policy": as_json(policy)}, ensure_ascii=False)
        write_atomically(kept, content.encode(), 0o644)
    return policy


def as_json(policy: Policy) -> dict[str, Any]:
    """A policy as plain data. Many terms have the same neighbours: each list of them is told once, and named by its
    number.
    """
    around: dict[tuple[str, ...], int] = {}
    terms = [
        {
            **_fields(term),
            "surfaces": sorted(term.surfaces),
            **{name: around.setdefault(getattr(term, name), len(around)) for name in AROUND},
        }
        for term in policy.terms
    ]
    return {**_fields(policy), "date": policy.date.isoformat(), "terms": terms, "around": list(around)}


def _fields(one: Policy | Term) -> dict[str, Any]:
    """As ``asdict`` without copying a hundred thousand phrases."""
    return {field.name: getattr(one, field.name) for field in fields(one)}


def of_json(data: Mapping[str, Any]) -> Policy:
    """What ``as_json`` gave. Raises ``ValueError``, ``LookupError`` or ``TypeError`` for anything else."""
    around = [tuple(phrases) for phrases in data["around"]]
    terms = tuple(_term(term, around) for term in data["terms"])
    plain = {name: value for name, value in data.items() if name != "around"}
    return Policy(**{**plain, "date": datetime.date.fromisoformat(data["date"]), "terms": terms})


def _term(data: Mapping[str, Any], around: Sequence[tuple[str, ...]]) -> Term:
    texts = {"phrases": tuple(data["phrases"]), **{name: around[data[name]] for name in AROUND}}
    severity, matching = Severity(data["severity"]), Matching(data["matching"])
    surfaces = frozenset(map(Surface, data["surfaces"]))
    return Term(**{**data, **texts, "severity": severity, "matching": matching, "surfaces": surfaces})
