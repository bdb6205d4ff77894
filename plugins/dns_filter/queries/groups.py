"""To which group of networks an address belongs, quickly: a log asks for the same few hundred addresses all day."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

REMEMBERED = 10_000


class GroupsOfAddresses:
    """``networks`` come the most specific first, as ``Assignments.networks`` gives them."""

    def __init__(self, networks: Sequence[tuple[Network, str]]) -> None:
        self._networks = networks
        self._known: dict[str, str] = {}

    def of(self, address: str) -> str:
        """The name of the group, or ``""``."""
        known = self._known.get(address)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[address] = self._find(address)
        return known

    def _find(self, address: str) -> str:
        try:
            client = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return ""
        mapped = client.ipv4_mapped if isinstance(client, ipaddress.IPv6Address) else None
        plain = mapped or client
        return next((name for network, name in self._networks if plain in network), "")
