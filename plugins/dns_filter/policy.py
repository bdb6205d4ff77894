"""Decides what happens to a name. Pure: the same name and profile always give the same decision."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Literal

from .domains import with_parents

Mode = Literal["watch", "block"]
Answer = Literal["nxdomain", "refused", "address"]
Verdict = Literal["allowed", "blocked", "would block", "exempt"]

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NamedList:
    """A list and its names. Anything that can say ``name in names`` will do, however a million names are stored."""

    name: str
    names: Container[str]


@dataclass(frozen=True, slots=True)
class Profile:
    """What one group of devices may look up, ready for deciding. All names are normalised.

    ``exempt`` are the places that nothing may touch; they are part of every profile. ``answer`` says how a blocked
    query is answered; ``addresses`` (IPv4, IPv6) are used when that is ``"address"``.
    """

    name: str
    mode: Mode = "watch"
    block: tuple[NamedList, ...] = ()
    allow: Container[str] = NOTHING
    exempt: Container[str] = NOTHING
    answer: Answer = "nxdomain"
    addresses: tuple[str, str] = ("0.0.0.0", "::")  # noqa: S104  (an answer that leads nowhere, not a bind)


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict and, where a list matched, the name of that list."""

    verdict: Verdict
    list: str = field(default="")


def decide(name: str, profile: Profile) -> Decision:
    """What the profile says of a normalised name.

    Exempt places come first, and no list can reach them. Then the entry closest to the name wins: an allowed
    ``maps.example.org`` stays open under a listed ``example.org``, and a listed ``ads.example.org`` stays shut under an
    allowed ``example.org``. Where both name the same domain, allowing wins. In mode ``watch`` a listed name is answered
    and noted as ``would block``.
    """
    candidates = tuple(with_parents(name))
    if any(candidate in profile.exempt for candidate in candidates):
        return Decision("exempt")
    for candidate in candidates:
        if candidate in profile.allow:
            return Decision("allowed")
        for listed in profile.block:
            if candidate in listed.names:
                return Decision("blocked" if profile.mode == "block" else "would block", listed.name)
    return Decision("allowed")
