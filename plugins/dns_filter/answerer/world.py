"""All that an answerer knows: the snapshot of the main process, ready for deciding.

The answerer has no database and no settings file. A snapshot that cannot be used changes nothing: ``WorldError`` says
in words what is wrong with it, and the last good one stays.
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from .places import NO_SERVER, NOWHERE, Endpoint, Place, local_places, localhost
from .records import Limits
from .rules import ALLOWED, BYPASS_LIST, Decision, Effect, Judged, effect_of, judge
from .table import Table
from .wire import to_text, to_wire

VERSION: Final = 2
SEARCHED: Final = ("local", "lan", "home", "internal", "localdomain", "home.arpa")
"""What devices put behind a name that was not answered, beside the school's own zones. A place where help is found is
still the place that was meant; none of these leads anywhere in the world."""
MEMO: Final = 8192
"""Decisions that each policy remembers."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Chain = tuple[tuple[str, float], ...]
"""Policy key and until when (Unix seconds), the first that is not over counts."""


class WorldError(Exception):
    """The snapshot cannot be used; the words say why."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A list as the snapshot describes it."""

    title: str = ""
    category: str = ""
    locked: bool = False


@dataclass(slots=True)
class About:
    """What is said of one domain whatever the policy: exempt, in which services, answered within the school.

    ``place`` is for the domain and all below it, ``own`` for exactly this name.
    """

    exempt: bool = False
    services: tuple[int, ...] = ()
    place: Place | None = None
    own: Place | None = None


def _in_no_list(_name: bytes) -> int:
    return 0


@dataclass(slots=True, eq=False)
class Policy:
    """What one kind of client may look up. ``memo`` and ``effects`` fill as names are asked; they end with the policy.

    ``stop`` is the verdict for what is not allowed; ``named``, ``find``, ``below`` belong to the world.
    """

    key: str
    profile: str
    mode: str
    lists: frozenset[str]
    entries: dict[bytes, Decision]
    services: dict[int, Decision]
    only: bool
    bypass: bool
    rewrites: dict[bytes, bytes]
    answer: str
    ipv4: bytes
    ipv6: bytes
    verdicts: bool
    block_ttl: int
    named: Mapping[bytes, About]
    listed: Mapping[str, Listed]
    table: Table | None
    find: Callable[[bytes], int] | None = None
    below: Callable[[bytes], int] = _in_no_list
    stop: str = "blocked"
    canary: Decision = ALLOWED
    not_allowed: Decision = ALLOWED
    effects: dict[int, Effect] = field(default_factory=dict)
    memo: dict[bytes, Judged] = field(default_factory=dict)
    spoken: dict[bytes, Judged | None] = field(default_factory=dict)
    pieces: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    safe: dict[bytes, Decision] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stop = "would block" if self.mode == "watch" else "blocked"
        if self.table is not None:
            self.find, self.below = self.table.find, self.table.below
        self.canary = Decision(self.stop, "canary")
        self.not_allowed = Decision(self.stop, "only")

    def judged(self, name: bytes) -> Judged:
        """The decision for a name in wire form, lower case."""
        found = self.memo.get(name)
        if found is None:
            if len(self.memo) >= MEMO:
                self.memo.clear()
            found = self.memo[name] = judge(name, self)
        return found

    def uses(self, name: str) -> bool:
        """Whether a list counts for this policy."""
        about = self.listed.get(name)
        if about is not None and about.locked:
            return True
        return self.mode != "off" and (name in self.lists or (self.bypass and name == BYPASS_LIST))

    def about_list(self, name: str) -> tuple[str, bool]:
        """The category of a list, and whether it is locked."""
        about = self.listed.get(name)
        return ("", False) if about is None else (about.category, about.locked)

    def effect(self, number: int, *, exact: bool) -> Effect:
        """What a set of the table means here."""
        assert self.table is not None
        effect = effect_of(self.table.sets[number], exact=exact, policy=self)
        self.effects[~number if exact else number] = effect
        return effect

    def rewritten(self, target: bytes) -> Decision:
        """The decision for a name that is answered by a safe one."""
        found = self.safe.get(target)
        if found is None:
            found = self.safe[target] = Decision("rewritten", "safesearch", "", "", "", to_text(target))
        return found


@dataclass(slots=True, eq=False)
class World:
    """The whole snapshot. Attributes are named as there."""

    listen: tuple[str, ...]
    port: int
    processes: int
    allow_from: tuple[Network, ...]
    per_second: float
    burst: float
    entries: int
    limits: Limits
    stale_seconds: float
    prefetch: bool
    upstreams: tuple[Endpoint, ...]
    timeout: float
    zones: Mapping[bytes, Place]
    private_names: frozenset[bytes]
    policies: Mapping[str, Policy]
    clients: Mapping[str, Chain]
    ranges: tuple[tuple[Network, Chain], ...]
    default: Chain

    @staticmethod
    def of(snapshot: Mapping[str, Any], table: Table | None) -> World:
        """The world of a snapshot and its table. Raises ``WorldError`` in words."""
        if snapshot.get("version") != VERSION:
            raise WorldError(f"The snapshot has format {snapshot.get('version')!r}; this program reads {VERSION}.")
        try:
            return _world(snapshot, table)
        except KeyError as error:
            raise WorldError(f"The snapshot lacks {error}, or names it without saying what it is.") from error
        except (ValueError, TypeError, AttributeError) as error:
            raise WorldError(f"The snapshot cannot be used: {error}") from error

    def policy_for(self, address: str, at: float) -> tuple[Policy | None, float]:
        """The policy for a client's address and until when that holds (Unix seconds); ``None``: it may not ask."""
        ip = plain_address(address)
        if not any(ip in network for network in self.allow_from):
            return None, math.inf
        chains = [self.clients.get(str(ip), ()), *(chain for network, chain in self.ranges if ip in network)]
        for chain in (*chains, self.default):
            for key, until in chain:
                if until > at:
                    return self.policies[key], until
        return None, math.inf

    def may_be_private(self, name: bytes) -> bool:
        """Whether a name may lead to private addresses although it is answered by the world's servers."""
        at = 0
        while length := name[at]:
            if name[at:] in self.private_names:
                return True
            at += length + 1
        return False


def plain_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address without zone; IPv4 that came through an IPv6 socket is IPv4."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


# Reading the snapshot


def _world(snapshot: Mapping[str, Any], table: Table | None) -> World:
    zones = {to_wire(zone["zone"]): Place(servers=_endpoints(zone["servers"])) for zone in snapshot["zones"]}
    for name, place in zones.items():
        if not place.servers:
            raise ValueError(f"The zone {name!r} has no servers.")
    named: dict[bytes, About] = {}
    _name_places(named, zones, local_places(snapshot["local"]))
    for name in snapshot["exempt"]:
        _about(named, name).exempt = True
        for suffix in (*SEARCHED, *(to_text(zone) for zone in zones)):
            with suppress(ValueError):  # together they are too long for a name, so nobody can ask for it
                _about(named, f"{name}.{suffix}").exempt = True
    listed = {
        name: Listed(part.get("title", ""), part.get("category", ""), bool(part.get("locked")))
        for name, part in snapshot["lists"].items()
    }
    numbers: dict[tuple[str, tuple[str, ...]], int] = {}
    policies = {}
    for key, part in snapshot["policies"].items():
        services = _services(part, named, numbers)
        policies[key] = _policy(key, part, services, named, listed, table, int(snapshot["block_ttl"]))
    cache = snapshot["cache"]
    return World(
        listen=tuple(snapshot["listen"]),
        port=int(snapshot["port"]),
        processes=int(snapshot.get("processes", 1)),
        allow_from=_networks(snapshot["allow_from"]),
        per_second=float(snapshot["rate"]["per_second"]),
        burst=float(snapshot["rate"]["burst"]),
        entries=int(cache["entries"]),
        limits=Limits(int(cache["min_ttl"]), int(cache["max_ttl"]), int(cache["negative_ttl"])),
        stale_seconds=float(cache["stale_seconds"]),
        prefetch=bool(cache["prefetch"]),
        upstreams=_endpoints(snapshot["upstreams"]),
        timeout=float(snapshot["upstream_timeout"]),
        zones=zones,
        private_names=frozenset(to_wire(name) for name in snapshot["private_names"]),
        policies=policies,
        clients={str(plain_address(text)): _chain(chain, policies) for text, chain in snapshot["clients"].items()},
        ranges=tuple(
            (ipaddress.ip_network(part["network"]), _chain(part["chain"], policies)) for part in snapshot["ranges"]
        ),
        default=_chain(snapshot["default"], policies),
    )


def _about(named: dict[bytes, About], name: str) -> About:
    return named.setdefault(to_wire(name), About())


def _name_places(named: dict[bytes, About], zones: Mapping[bytes, Place], local: Mapping[bytes, Place]) -> None:
    """The closest place counts, so a zone takes the place of what has no server at its own name or below it."""
    nowhere = {to_wire(name): NOWHERE for name in NO_SERVER} | {to_wire("localhost"): localhost()}
    for name, place in nowhere.items():
        if not any(name.endswith(zone) for zone in zones):
            named[name] = About(place=place)
    for name, place in zones.items():
        named[name] = About(place=place)
    for name, place in local.items():
        about = named.setdefault(name, About())
        if about.place is not None and about.place.servers:  # what the school's records lack, the zone's servers know
            place = Place(servers=about.place.servers, answers=place.answers, alias=place.alias)  # noqa: PLW2901
        about.own = place


def _services(
    part: Mapping[str, Any], named: dict[bytes, About], numbers: dict[tuple[str, tuple[str, ...]], int]
) -> dict[str, int]:
    """Service -> its number. The same domains under the same name are one service for all policies."""
    found = {}
    for service, domains in part["services"].items():
        identity = (service, tuple(domains))
        if identity not in numbers:
            numbers[identity] = len(numbers)
            for domain in domains:
                about = _about(named, domain)
                about.services = (*about.services, numbers[identity])
        found[service] = numbers[identity]
    return found


def _policy(
    key: str,
    part: Mapping[str, Any],
    services: Mapping[str, int],
    named: Mapping[bytes, About],
    listed: Mapping[str, Listed],
    table: Table | None,
    block_ttl: int,
) -> Policy:
    mode, answer = part["mode"], part["answer"]
    if mode not in ("block", "watch", "off") or answer not in ("nxdomain", "refused", "page", "address"):
        raise ValueError(f"The policy {key} has the mode {mode!r} and the answer {answer!r}; one is unknown.")
    stop = "would block" if mode == "watch" else "blocked"
    on = mode != "off"
    return Policy(
        key=key,
        profile=part["profile"],
        mode=mode,
        lists=frozenset(part["lists"]),
        entries=_entries(part["entries"], stop) if on else {},
        services={number: Decision(stop, "service", "", name) for name, number in services.items()} if on else {},
        only=bool(part["only"]) and on,
        bypass=bool(part["bypass"]),
        rewrites={to_wire(name): to_wire(safe) for name, safe in part["rewrites"].items()} if on else {},
        answer=answer,
        ipv4=ipaddress.IPv4Address(part.get("ipv4") or "0.0.0.0").packed,  # noqa: S104 - leads nowhere
        ipv6=ipaddress.IPv6Address(part.get("ipv6") or "::").packed,
        verdicts=bool(part["verdicts"]) and on,
        block_ttl=block_ttl,
        named=named,
        listed=listed,
        table=table,
    )


def _entries(entries: Iterable[Sequence[str]], stop: str) -> dict[bytes, Decision]:
    """Domain -> decision; where one domain is allowed and blocked, it is allowed."""
    found: dict[bytes, Decision] = {}
    for kind, domain, identifier in entries:
        if kind not in ("allow", "block"):
            raise ValueError(f"An entry for {domain} says {kind!r}, which is neither allow nor block.")
        name = to_wire(domain)
        if kind == "allow":
            found[name] = Decision("allowed", "entry", "", str(identifier))
        else:
            found.setdefault(name, Decision(stop, "entry", "", str(identifier)))
    return found


def _endpoints(parts: Iterable[Mapping[str, Any]]) -> tuple[Endpoint, ...]:
    return tuple(
        Endpoint((str(ipaddress.ip_address(part["host"])), int(part["port"]), str(part.get("tls") or "")))
        for part in parts
    )


def _networks(texts: Iterable[str]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


def _chain(chain: Iterable[Sequence[Any]], policies: Mapping[str, Policy]) -> Chain:
    found = tuple((str(key), math.inf if until is None else float(until)) for key, until in chain)
    for key, _ in found:
        if key not in policies:
            raise ValueError(f"The policy {key} is named and not described.")
    return found
