"""The supplied policies, quickly: every process of the appliance reads them when it starts. What was read of one is
``kept``, with what the engine needs of its phrases."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from appliance.api import Severity, Surface, load_shipped_yaml

from ..engine.folding import Table
from ..engine.prepared import Neighbours, Phrases, Prepared, Texts, neighbour_lines, prepared
from ..kept import kept
from .files import SHIPPED, PolicyFile
from .model import Matching, Policy, Term

SUPPLIED = Path(__file__).parents[1] / "policies"
FORM = 11
"""Of what is kept; another one is read anew."""
AROUND = ("near", "unless")


@cache
def supplied_policies() -> tuple[Policy, ...]:
    """All of them, in the order of their names. Raises ``ConfigError`` if a file is damaged."""
    return tuple(map(_policy, sorted(SUPPLIED.glob("*.yaml"))))


def _policy(file: Path) -> Policy:
    return _unpacked(kept(file, FORM, file.read_bytes(), lambda: _packed(file)))


def _packed(file: Path) -> dict[str, Any]:
    policy = PolicyFile.model_validate(load_shipped_yaml(file), context=SHIPPED).policy()
    table = Table()
    ready = [prepared(term.phrases, table) for term in policy.terms]
    plain = as_json(policy)
    for term in plain["terms"]:
        term["phrases"] = Texts.of(term["phrases"]).joined
    return {
        "policy": plain,
        "prepared": [[_as_plain(getattr(one, name)) for name in _PREPARED] for one in ready],
        "around": [neighbour_lines(phrases, table) for phrases in plain["around"]],
    }


_PREPARED = tuple(field.name for field in fields(Prepared))


def _as_plain(part: Any) -> Any:
    return part.joined if isinstance(part, Texts) else part


def _as_prepared(parts: Iterable[Any]) -> Prepared:
    read: list[Any] = [Texts(part) if isinstance(part, str) else part for part in parts]
    return Prepared(*read)


def _unpacked(packed: Mapping[str, Any]) -> Policy:
    terms = zip(packed["policy"]["terms"], packed["prepared"], strict=True)
    ready = [{**term, "phrases": Phrases(term["phrases"], _as_prepared(parts))} for term, parts in terms]
    around = [Neighbours.of(*one) for one in zip(packed["policy"]["around"], packed["around"], strict=True)]
    return of_json({**packed["policy"], "terms": ready, "around": around})


def as_json(policy: Policy) -> dict[str, Any]:
    """A policy as plain data. Many terms have the same neighbours: each list of them is told once, and named by its
    number.
    """
    around: dict[tuple[str, ...], int] = {}
    terms = [
        {
            **_fields(term),
            "phrases": tuple(term.phrases),
            "severity": term.severity.value,
            "matching": term.matching.value,
            "surfaces": sorted(surface.value for surface in term.surfaces),
            **{name: around.setdefault(getattr(term, name), len(around)) for name in AROUND},
        }
        for term in policy.terms
    ]
    told = [tuple(map(sys.intern, phrases)) for phrases in around]  # many have the same words: each is kept once
    return {**_fields(policy), "date": policy.date.isoformat(), "terms": terms, "around": told}


def _fields(one: Policy | Term) -> dict[str, Any]:
    """As ``asdict`` without copying a hundred thousand phrases."""
    return {field.name: getattr(one, field.name) for field in fields(one)}


def of_json(data: Mapping[str, Any]) -> Policy:
    """What ``as_json`` gave. Raises ``ValueError``, ``LookupError`` or ``TypeError`` for anything else."""
    around = list(map(_tuple, data["around"]))
    terms = tuple(_term(term, around) for term in data["terms"])
    plain = {name: value for name, value in data.items() if name != "around"}
    return Policy(**{**plain, "date": datetime.date.fromisoformat(data["date"]), "terms": terms})


def _tuple(phrases: Iterable[str]) -> Any:
    """Phrases that were prepared stay so."""
    return phrases if isinstance(phrases, tuple | Texts) else tuple(phrases)


def _term(data: Mapping[str, Any], around: Sequence[tuple[str, ...]]) -> Term:
    texts = {"phrases": _tuple(data["phrases"]), **{name: around[data[name]] for name in AROUND}}
    severity, matching = Severity(data["severity"]), Matching(data["matching"])
    surfaces = frozenset(map(Surface, data["surfaces"]))
    return Term(**{**data, **texts, "severity": severity, "matching": matching, "surfaces": surfaces})
