"""Where devices reach this box: the names that it answers with its own addresses, and the page about blocked sites."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence

from appliance.api import lan_addresses

SITES = ("staff", "pupil", "endpoint")
TTL = 300
LOOPBACK = "localhost"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Record = tuple[str, int, str]
Pair = tuple[str, str]
"""An IPv4 and an IPv6 address; empty: there is none."""


def own_addresses(listen: Collection[str]) -> tuple[str, ...]:
    """The addresses at which others reach our pages, today and tomorrow. ``listen``: where the pages are."""
    found = [ipaddress.ip_address(text) for text in lan_addresses()]
    everywhere = {one.version for one in map(ipaddress.ip_address, listen) if one.is_unspecified}
    return tuple(
        str(one) for one in found if not one.is_link_local and (one.version in everywhere or str(one) in listen)
    )


def own_records(domain: str, addresses: Sequence[str]) -> Mapping[str, Sequence[Record]]:
    """The names of our own pages. Nobody else's name server has to know them for a device that asks this box."""
    bare = domain.lower().rstrip(".")
    if bare == LOOPBACK or bare.endswith(f".{LOOPBACK}") or not addresses:
        return {}
    records = [("AAAA" if ":" in text else "A", TTL, text) for text in addresses]
    return dict.fromkeys((bare, *(f"{site}.{bare}" for site in SITES)), records)


def first_of_each(addresses: Sequence[str]) -> Pair:
    """The first address of each kind."""
    return _first(addresses, 4), _first(addresses, 6)


def nearer(networks: Sequence[str], addresses: Sequence[str]) -> dict[str, Pair]:
    """The networks in which, or around which, this box has an address that is not the first: there it is shown by it.

    A device may not reach the others: schools keep their networks apart. ``networks``: the most specific first.
    """
    usual, found = first_of_each(addresses), {}
    parsed = [(text, ipaddress.ip_network(text)) for text in networks]
    for text, network in parsed:
        around = [wide for _, wide in parsed if is_within(network, wide)]
        inside = [one for wide in around for one in addresses if is_in(one, wide)]
        pair = (_first(inside, 4) or usual[0], _first(inside, 6) or usual[1])
        if pair != usual:
            found[text] = pair
    return found


def _first(addresses: Sequence[str], version: int) -> str:
    return next((text for text in addresses if ipaddress.ip_address(text).version == version), "")


def is_within(network: Network, wide: Network) -> bool:
    """Whether a network is another one or a part of it."""
    return network.version == wide.version and network.subnet_of(wide)  # type: ignore[arg-type]


def address_in(network: Network, networks: Iterable[Network]) -> str:
    """An address of a network that lies in none of the more specific ones, if there is one: what counts there is what
    the network itself has."""
    first, last = int(network.network_address), int(network.broadcast_address)
    nested = (one for one in networks if one != network and is_within(one, network))
    at = first
    for begins, ends in sorted((int(one.network_address), int(one.broadcast_address)) for one in nested):
        if at < begins:
            break
        at = max(at, ends + 1)
    return str(network.network_address + (at - first if at <= last else 0))


def is_in(text: str, network: Network) -> bool:
    """Whether an address is one of a network."""
    address = ipaddress.ip_address(text)
    return address.version == network.version and address in network
