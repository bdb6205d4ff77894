"""Decides what happens to a name. Pure: the same name, policy and world always give the same decision.

The order, each step before all later ones:

1. Exempt places, where help is found, are answered, whatever else is said of them.
2. A locked list blocks, whatever the school wrote and whether it pauses or watches.
3. Canary names tell browsers and phones that names are to be asked here. They say so in a pause too: whoever was told
   that another name server may be used would go on using it when the pause is over.
4. Walking up from the name itself, the first domain of which anything is said decides. At one domain: the school's
   allow entry, the school's block entry, a blocked service, a list. An exception of a list speaks for that list only.
5. Where only allowed names may be asked, what no entry allows is blocked; the school's own names are not.
6. SafeSearch: the safe name is answered instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from .table import ALLOW, BELOW, EXACT, IMPORTANT
from .wire import ADDRESS_TYPES, SERVICE_TYPES, to_text, to_wire

if TYPE_CHECKING:
    from .places import Place
    from .world import Policy, World

BYPASS_LIST: Final = "bypass"
"""The list of names that lead around the filter: DoH, DoT, VPN, proxies."""

CANARY_NAMES: Final = (
    # Firefox asks for it before it switches DNS over HTTPS on by itself.
    # https://support.mozilla.org/kb/configuring-networks-disable-dns-over-https
    "use-application-dns.net",
    # iCloud Private Relay asks for them, and says on the device that the network does not allow it.
    # https://developer.apple.com/support/prepare-your-network-for-icloud-private-relay/
    "mask.icloud.com",
    "mask-h2.icloud.com",
)
"""Names that ask whether another name server may be used. They say no by not being there."""
CANARIES: Final = frozenset(map(to_wire, CANARY_NAMES))

REWRITTEN_TYPES: Final = ADDRESS_TYPES | SERVICE_TYPES
"""Types for which a rewritten name is answered by its safe name; others are not how a page is reached."""


class Decision(NamedTuple):
    """What happens to a name, and why.

    ``verdict``: allowed, blocked, would block, exempt, rewritten, local. ``why``: what decided (empty: nothing was said
    of the name); ``rule``: the domain that matched, the id of an entry, or the key of a service.
    """

    verdict: str
    why: str = ""
    list: str = ""
    rule: str = ""
    category: str = ""
    target: str = ""


Judged = tuple[Decision, int, "Place | None", "bytes | None"]
"""A decision as the answerer keeps it: how many labels of the name stand before the rule (-1: ``rule`` is text), where
the name is answered if that is within the school, and the name that is answered instead."""

Effect = tuple[
    tuple[tuple[str, bool, Decision], ...],
    "tuple[str, Decision] | None",
    frozenset[str],
]
"""What a set of the table means for a policy: the lists that block (name, insists, decision), the locked list that
does, and the lists that make an exception."""

NOTHING: Final[Effect] = ((), None, frozenset())
ALLOWED: Final = Decision("allowed")
EXEMPT: Final = Decision("exempt")
LOCAL: Final = Decision("local")
NO_RULE: Final = -1
FREE: Final[Judged] = (ALLOWED, NO_RULE, None, None)
"""Nothing is said of the name."""


def decide(labels_wire: bytes, qtype: int, policy: Policy, world: World) -> Decision:
    """What the policy says of a name in wire form. What plugins say, and where a CNAME leads, is not known here."""
    del world  # the policy knows its world
    name = labels_wire.lower()
    return spelled(judge(name, policy), name, qtype)


def spelled(judged: Judged, name: bytes, qtype: int) -> Decision:
    """The decision for a type, with its rule as text."""
    decision, labels, _, _ = judged
    if decision.verdict == "rewritten" and qtype.to_bytes(2, "big") not in REWRITTEN_TYPES:
        return ALLOWED
    if labels < 0:
        return decision
    return decision._replace(rule=rule_text(name, labels))


def rule_text(name: bytes, labels: int) -> str:
    """The domain that is left when so many labels are taken off the front of a name."""
    at = 0
    for _ in range(labels):
        at += name[at] + 1
    return to_text(name[at:])


def judge(name: bytes, policy: Policy) -> Judged:  # noqa: PLR0911, PLR0912, PLR0915 - the way of every new name: no calls
    """The decision for a name in wire form, lower case."""
    named, entries, effects, find, below = policy.named, policy.entries, policy.effects, policy.find, policy.below
    found: tuple[Decision, int] | None = None
    locked: tuple[Decision, int] | None = None
    place: Place | None = None
    excepted: frozenset[str] | None = None
    exempt = False
    at = labels = 0
    while length := name[at]:
        suffix = name[at:] if at else name
        entry = entries.get(suffix) if entries else None
        if entry is not None and found is None:
            found = (entry, NO_RULE)
        about = named.get(suffix)
        if about is not None:
            exempt = exempt or about.exempt
            if place is None:
                place = about.place if at or about.own is None else about.own
            if found is None:
                for service in about.services:
                    decision = policy.services.get(service)
                    if decision is not None:
                        found = (decision, NO_RULE)
                        break
        at += length + 1
        if find is not None:
            number = below(suffix) if labels else find(suffix)
            if number:
                effect = effects.get(number if labels else ~number)
                if effect is None:
                    effect = policy.effect(number, exact=not labels)
                if effect is not NOTHING:
                    blocks, lock, excepts = effect
                    if excepts:
                        excepted = excepts if excepted is None else excepted | excepts
                    if lock is not None and locked is None and (excepted is None or lock[0] not in excepted):
                        locked = (lock[1], labels)
                    if found is None:
                        for title, insists, decision in blocks:
                            if insists or excepted is None or title not in excepted:
                                found = (decision, labels)
                                break
        labels += 1
    if exempt:
        return EXEMPT, NO_RULE, place, None
    if locked is not None:
        return *locked, place, None
    if policy.bypass and name in CANARIES:
        return policy.canary, NO_RULE, place, None
    target = policy.rewrites.get(name) if policy.rewrites else None
    if found is not None:
        decision, rule = found
        if decision.verdict != "allowed" or target is None:
            return decision, rule, place, None
    elif place is not None:
        return LOCAL, NO_RULE, place, None
    elif policy.only:
        return policy.not_allowed, NO_RULE, place, None
    if target is not None:
        return policy.rewritten(target), NO_RULE, place, target
    return FREE


def effect_of(entries: tuple[tuple[str, int], ...], *, exact: bool, policy: Policy) -> Effect:
    """What a set of the table means for a policy, for the name itself or for names below it."""
    blocks, lock = [], None
    reach = EXACT if exact else BELOW
    listed = [(name, flags) for name, flags in entries if flags & reach and policy.uses(name)]
    excepts = frozenset(name for name, flags in listed if flags & ALLOW)
    for name, flags in listed:
        insists = bool(flags & IMPORTANT)
        if flags & ALLOW or (name in excepts and not insists):
            continue
        category, is_locked = policy.about_list(name)
        if is_locked:
            lock = lock or (name, Decision("blocked", "locked list", name, "", category))
        else:
            why = "bypass" if name == BYPASS_LIST else "list"
            blocks.append((name, insists, Decision(policy.stop, why, name, "", category)))
    if not blocks and lock is None and not excepts:
        return NOTHING
    return tuple(blocks), lock, excepts
