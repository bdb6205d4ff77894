"""What the DNS worker must know, as one JSON object of format 2. Pure: the same school gives the same snapshot.

It holds addresses, networks, names of profiles and of groups: never a person, never a device.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_network
from typing import Any

from appliance.api import Effective, Overlay, parse, stamp

from ..settings import Settings
from .clients import NOBODY, Who
from .entries import Entry
from .here import Pair, address_in, is_in, nearer
from .policies import Basis, Chain, Policies
from .upstreams import local_records, upstream

VERSION = 2

Decide = Callable[["str | None", "str | None", "str | None", datetime], Effective]
"""Person, device, address, moment -> the profile (``Having.profile_of``)."""


@dataclass(frozen=True, slots=True)
class School:
    """Everything that a snapshot is made of. ``networks``: (network, group), the most specific first."""

    settings: Settings
    basis: Basis
    exempt: Collection[str]
    networks: Sequence[tuple[str, str]]
    clients: Mapping[str, Sequence[Who]]
    decide: Decide
    rank: Callable[[str], int]
    overlays: Callable[[str], Sequence[Overlay]] = lambda address: ()  # noqa: ARG005 - nobody wants anything
    own: Callable[[Sequence[Who], str], Sequence[Entry]] = lambda behind, where: ()  # noqa: ARG005 - nobody has any
    """Who is behind an address, and the address or network -> the entries that are for them."""
    extra_local: Mapping[str, Sequence[tuple[str, int, str]]] = field(default_factory=dict)
    """Names that the appliance itself answers for, beside those of the settings."""
    reached_at: Sequence[str] = ()
    """The addresses of the box, for the page that says why a site is blocked."""
    self_test: Mapping[str, str] = field(default_factory=dict)
    """Addresses of the box itself from which the filter's own test asks -> the profile that it has there."""


def build(school: School, at: datetime) -> dict[str, Any]:
    """The snapshot that applies from this moment on."""
    settings, choices = school.settings, school.basis.choices
    moment = stamp(at)
    policies = Policies(school.basis, moment, school.rank)
    chains = _Chains(school, policies, at)
    clients = {address: _json(chain) for address, chain in chains.of_clients().items()}
    ranges = [
        {"network": network, "group": group, "chain": _json(chains.of_network(network))}
        for network, group in school.networks
    ]
    for one in settings.profiles:  # those that nobody has too: they can be asked about
        policies.chain(_always(one.name))
    clients |= {address: _json(policies.chain(_always(name))) for address, name in school.self_test.items()}
    default = _json(policies.chain(chains.effective(None, None, None)))
    return {
        "version": VERSION,
        "listen": list(settings.listen),
        "port": settings.port,
        "processes": settings.processes,
        "allow_from": list(settings.allow_from),
        "block_ttl": settings.block_ttl,
        "rate": settings.rate.model_dump(),
        "cache": settings.cache.model_dump(),
        "upstreams": [upstream(text).part() for text in settings.upstreams],
        "upstream_timeout": settings.upstream_timeout,
        "zones": [
            {"zone": one.zone, "servers": [upstream(text).part() for text in one.servers]} for one in settings.zones
        ],
        "private_names": list(settings.private_names),
        "local": _local(school),
        "exempt": sorted(school.exempt),
        "table": choices.table,
        "lists": {
            one.name: {"title": one.title, "category": one.category, "locked": one.locked} for one in choices.lists
        },
        "policies": policies.parts,
        "clients": clients,
        "ranges": ranges,
        "default": default,
    }


class _Chains:
    """Chains of clients and networks; those who are alike share the work."""

    def __init__(self, school: School, policies: Policies, at: datetime) -> None:
        self._school = school
        self._policies = policies
        self._moments: dict[str, datetime] = {stamp(at): at}
        self._pages = nearer([network for network, _ in school.networks], school.reached_at)

    def of_clients(self) -> dict[str, Chain]:
        """Address -> chain. Of several people or devices behind one address the strictest counts at each moment."""
        school, found = self._school, {}
        for address, behind in school.clients.items():
            each = [self.effective(who.person, who.device, address) for who in behind]
            overlays = school.overlays(address)
            effective = each[0] if len(each) == 1 else self._strictest(each)
            own = school.own(behind, address)
            found[address] = self._policies.chain(effective, overlays, self._page_for(address), own)
        return found

    def of_network(self, network: str) -> Chain:
        """What whoever is not known has in a network."""
        address = address_in(ip_network(network), [ip_network(one) for one, _ in self._school.networks])
        effective, own = self.effective(None, None, address), self._school.own((NOBODY,), network)
        return self._policies.chain(effective, page=self._pages.get(network), own=own)

    def _page_for(self, address: str) -> Pair | None:
        """Where a client finds the page about blocked sites, if that is not where everybody does."""
        if not self._pages:
            return None
        networks = (network for network, _ in self._school.networks)  # the most specific first
        return self._pages.get(next((one for one in networks if is_in(address, ip_network(one))), ""))

    def effective(self, person: str | None, device: str | None, address: str | None) -> Callable[[str], Any]:
        """The profile of somebody, moment by moment."""
        decide = self._school.decide

        def at(moment: str) -> tuple[str, str | None]:
            found = decide(person, device, address, self._moment(moment))
            return found.value, found.until

        return at

    def _strictest(self, each: Sequence[Callable[[str], Any]]) -> Callable[[str], Any]:
        rank = self._school.rank

        def at(moment: str) -> tuple[str, str | None]:
            found = [one(moment) for one in each]
            ends = [end for _, end in found if end is not None]
            return max((name for name, _ in found), key=rank), min(ends, default=None)

        return at

    def _moment(self, moment: str) -> datetime:
        if moment not in self._moments:
            self._moments[moment] = parse(moment)
        return self._moments[moment]


def _local(school: School) -> dict[str, list[list[Any]]]:
    """Names that the box answers for itself. What the settings say of a name counts alone."""
    records = {**school.extra_local, **local_records(school.settings.local_records)}
    return {name: [list(record) for record in found] for name, found in records.items()}


def _always(profile: str) -> Callable[[str], tuple[str, str | None]]:
    return lambda _: (profile, None)


def _json(chain: Chain) -> list[list[Any]]:
    return [list(link) for link in chain]
