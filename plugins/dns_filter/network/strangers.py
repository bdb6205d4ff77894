"""Devices on networks for managed devices that the directory does not know."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Sequence

from .store import Seen


def strangers(seen: Iterable[Seen], in_use: Collection[str], managed: Iterable[str], since: str) -> Sequence[Seen]:
    """Those seen since a moment with an address in a managed network, and no device of the directory in use."""
    networks = [ipaddress.ip_network(text) for text in managed]
    return [
        one
        for one in seen
        if one.device_id not in in_use
        and any(used >= since and _is_in(address, networks) for address, used in one.addresses.items())
    ]


def _is_in(address: str, networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    found = ipaddress.ip_address(address)
    return any(found.version == network.version and found in network for network in networks)
