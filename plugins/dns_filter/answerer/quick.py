"""The shortest way: for a plain question about a name of which nothing is said, or only that a list blocks it.

A list has a million names, and each of them is new once, so what is thought about a new one is paid often. Most are
blocked by one entry of one list, or are free. Whatever is not as plain as that is left to ``resolving``: this says
exactly what that would say, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .giving import blocked_pieces
from .notes import Note
from .ready import FOR_EVER, Answer
from .rules import CANARIES
from .wire import EDNS, HEADER, LONGEST_LABEL, LONGEST_NAME, TYPE_A, TYPE_AAAA, TYPE_HTTPS, USUAL
from .world import Policy

Quick = Callable[[bytes, bytes, int], "Answer | None"]
"""Packet, its name in lower case, and where the name ends -> the answer; ``FREE``: whatever there is for this name; or
``None``: ask ``resolving``."""
FREE: Final[Answer] = (b"", b"", 0, None, 0)

Plain = tuple[int, int, int, bytes]
"""All that the answer to a plain question about a blocked name depends on: the number of the set that names it in the
table, labels before the name there, the shape of the packet, type and class."""

_TAILS: Final = frozenset(qtype + b"\0\1" for qtype in (TYPE_A, TYPE_AAAA, TYPE_HTTPS))
_SHAPES: Final = {head: shape for head, shape in USUAL.items() if not shape & EDNS}


def quick_way(policy: Policy, number: Callable[[Note], int], answers: dict[Plain, Answer]) -> Quick | None:
    """The function for one policy, or ``None`` if there is no short way.

    ``number`` gives the number of a note; ``answers`` are remembered for as long as these numbers are good.
    """
    table = policy.table
    if table is None:
        return None
    # A locked list decides whatever else is said: all of a blocked name has to be looked at.
    may_block = policy.mode == "block" and not any(listed.locked for listed in policy.listed.values())
    free = None if policy.only or policy.verdicts else FREE
    named, entries, effects, find, below = policy.named, policy.entries, policy.effects, table.find, policy.below
    rewrites = policy.rewrites

    def quick(packet: bytes, name: bytes, end: int) -> Answer | None:  # noqa: PLR0911 - one for each doubt
        shape = _SHAPES.get(packet[2:12])
        if shape is None or packet[end:] not in _TAILS or end > HEADER + LONGEST_NAME:
            return None
        at = labels = 0
        found = found_labels = 0
        try:
            while length := name[at]:
                suffix = name[at:] if at else name
                if suffix in named or suffix in entries or length > LONGEST_LABEL:
                    return None
                at += length + 1
                if not found:
                    found = below(suffix) if labels else find(suffix)
                    found_labels = labels
                labels += 1
        except IndexError:
            return None
        if at + 1 != len(name):
            return None
        if not found:
            return None if name in rewrites or name in CANARIES else free
        if not may_block or found_labels + 1 == labels:
            return None
        known = (found, found_labels, shape, packet[end:])
        answer = answers.get(known)
        if answer is None:
            answer = think(packet, end, shape, found, found_labels)
            if answer is None:
                return None
            answers[known] = answer
        return None if name in CANARIES else answer

    def think(packet: bytes, end: int, shape: int, found: int, labels: int) -> Answer | None:
        effect = effects.get(found if labels else ~found)
        if effect is None:
            effect = policy.effect(found, exact=not labels)
        blocks, lock, excepts = effect
        if not blocks or lock is not None or excepts:
            return None
        verdict, why, listed, _, category, _ = blocks[0][2]
        before, behind = blocked_pieces(packet, end, shape, policy, why)
        note = (verdict, why, listed, labels, category, policy.profile, "", 0.0)
        return before, behind, 0, number(note), FOR_EVER

    return quick
