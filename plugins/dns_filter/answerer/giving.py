"""Answers as one asker gets them: put together from what is kept, after the policy had a look at what is in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .answers import Entry
from .notes import Note, about
from .rules import Judged, rule_text
from .wire import (
    AAAA,
    EDE_BLOCKED,
    EDNS,
    HEADER,
    NOERROR,
    NXDOMAIN,
    REFUSED,
    SHAPES,
    TYPE_A,
    TYPE_AAAA,
    A,
    Ede,
    flags_of,
    head,
    opt,
    record,
    soa,
    truncated,
)
from .world import Policy, World

OWN_HELD: Final = 60.0
BLOCKED_WORDS: Final[Ede] = (EDE_BLOCKED, "Blocked by the web filter of this network")

_OPTS: Final = tuple(opt(shape) for shape in SHAPES)
_EXTRA: Final = tuple(b"\0\1" if shape & EDNS else b"\0\0" for shape in SHAPES)
_FLAGS: Final = tuple(flags_of(shape, rcode, ad=ad) for rcode in range(16) for ad in (False, True) for shape in SHAPES)


@dataclass(slots=True)
class Made:
    """An answer for one packet: everything behind its id, what to note (nothing for exempt places), and how many
    seconds the very same packet may get it (0: this once)."""

    tail: bytes
    note: Note | None
    seconds: float


CANARY: Final = 3
SILENCE: Final = Made(b"", None, 0.0)
Pieces = tuple[bytes, bytes, int, Note]
"""What stands before and behind the packet's own question in the answer to a blocked name, how far before the end of
the packet that question ends (0 or less), and the note. Good for the very same packet as long as the rules are."""
Done = Callable[[Made | None], None]


class Asked:
    """One query: what was read of it, what was decided, and who waits."""

    __slots__ = (
        "began", "client", "done", "end", "judged", "key", "limit", "name", "packet", "plain", "policy", "shape",
    )  # fmt: skip

    def __init__(
        self, packet: bytes, end: int, shape: int, limit: int, plain: bool, name: bytes, policy: Policy, client: str,
        done: Done, judged: Judged, began: float,
    ) -> None:  # fmt: skip
        self.packet = packet
        self.end = end
        self.shape = shape
        self.limit = limit
        self.plain = plain
        self.name = name
        self.policy = policy
        self.client = client
        self.done = done
        self.judged = judged
        self.began = began
        self.key = b""


def give(
    asked: Asked, world: World, entry: Entry, ttl: int, seconds: float, server: str, took: float = 0.0,
    error: Ede | None = None,
) -> Made:  # fmt: skip
    """An entry as this asker gets it. ``ttl``: what it says; ``seconds``: how long the same packet may get it."""
    decision, labels, place, _ = asked.judged
    policy = asked.policy
    verdict, why, listed, rule, category, _ = decision
    if labels >= 0:
        rule = labels  # type: ignore[assignment]
    ms = about(took) if took else 0.0
    note: Note | None = (verdict, why, listed, rule, category, policy.profile, server, ms)
    if entry.targets is not None or (entry.private and place is None):
        stopped = _look_inside(asked, world, entry)
        if stopped is not None:
            stopped_note = (*stopped, policy.profile, server, ms)
            if stopped[0] == "blocked":
                return blocked(asked.packet, asked.end, asked.shape, policy, stopped_note, seconds)
            note = stopped_note
    if verdict == "exempt":
        note = None
    shape, end = asked.shape, asked.end
    error = error or entry.error
    flags = _FLAGS[(entry.rcode << 1 | entry.ad) << 5 | shape]
    tail = b"".join(
        (
            flags,
            b"\0\1",
            entry.counts,
            _EXTRA[shape],
            asked.packet[12 : end + 4],
            ttl.to_bytes(4, "big").join(entry.parts),
            _OPTS[shape] if error is None else opt(shape, error),
        )
    )
    if len(tail) + 2 > asked.limit:
        tail = truncated(asked.packet, end, shape, flags)
    return Made(tail, note, seconds if asked.plain else 0.0)


def _look_inside(asked: Asked, world: World, entry: Entry) -> tuple[str, str, str, str | int, str] | None:
    """Verdict, why, list, rule and category if what an answer leads to is not allowed."""
    decision, _, place, _ = asked.judged
    verdict, why = decision.verdict, decision.why
    policy = asked.policy
    if verdict in ("allowed", "would block"):
        for target in entry.targets or ():
            found, labels, _, _ = policy.judged(target)
            if found.verdict not in ("blocked", "would block"):
                continue
            if found.why != "locked list" and (why == "entry" or verdict != "allowed"):
                continue
            rule = found.rule if labels < 0 else rule_text(target, labels)
            return found.verdict, "cname", found.list, rule, found.category
    if entry.private and place is None and verdict != "exempt" and not world.may_be_private(asked.name):
        return "would block" if policy.mode == "watch" else "blocked", "rebind", "", 0, ""
    return None


def blocked(packet: bytes, end: int, shape: int, policy: Policy, note: Note | None, seconds: float) -> Made:
    """The answer for a blocked name, as the policy wants it."""
    before, behind = blocked_pieces(packet, end, shape, policy, "" if note is None else note[1])
    return Made(before + packet[12 : end + 4] + behind, note, seconds)


def blocked_pieces(packet: bytes, end: int, shape: int, policy: Policy, why: str) -> tuple[bytes, bytes]:
    """What stands before and behind the question in the answer for a blocked name."""
    key = shape << 2
    if why == "canary":
        key |= CANARY
    elif policy.answer in ("page", "address"):
        qtype = packet[end : end + 2]
        key |= 1 if qtype == TYPE_A else 2 if qtype == TYPE_AAAA else 0
    pieces = policy.pieces.get(key)
    if pieces is None:
        pieces = policy.pieces[key] = _blocked_pieces(policy, shape, key & 3)
    return pieces


def nothing(asked: Asked, rcode: int) -> Made:
    """There is no such name, or nothing of this type."""
    shape = asked.shape
    question = asked.packet[HEADER : asked.end + 4]
    tail = head(shape, rcode, 0, 1) + question + soa(asked.policy.block_ttl) + opt(shape)
    return Made(tail, note_of(asked), OWN_HELD if asked.plain else 0.0)


def note_of(asked: Asked) -> Note | None:
    """What is noted of an answer that came from nowhere but here."""
    verdict, why, listed, rule, category, _ = asked.judged[0]
    if verdict == "exempt":
        return None
    labels = asked.judged[1]
    return verdict, why, listed, rule if labels < 0 else labels, category, asked.policy.profile, "", 0.0


def _blocked_pieces(policy: Policy, shape: int, kind: int) -> tuple[bytes, bytes]:
    """What stands around the question in a blocked answer. ``kind``: 1 for A, 2 for AAAA where an address is given.

    A canary name says what it is asked for by not being there, whatever other blocked names lead to.
    """
    ttl = policy.block_ttl
    end = opt(shape, BLOCKED_WORDS)
    if kind == CANARY:
        return head(shape, NXDOMAIN, 0, 1), soa(ttl) + end
    if policy.answer == "refused":
        return head(shape, REFUSED), end
    if kind:
        address = record(A, ttl, policy.ipv4) if kind == 1 else record(AAAA, ttl, policy.ipv6)
        return head(shape, NOERROR, 1), address + end
    rcode = NXDOMAIN if policy.answer == "nxdomain" else NOERROR
    return head(shape, rcode, 0, 1), soa(ttl) + end
