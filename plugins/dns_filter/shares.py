"""What one client may take, so that one pupil cannot take the name service from all. Pure: no clock, no socket."""

from __future__ import annotations

import ipaddress
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

Share = tuple[int, int]
"""Whose share it is: the version of IP, and the IPv4 address or the first half of the IPv6 address."""

CLIENTS_KEPT = 4096
"""Clients of which the pace is remembered. Whoever is forgotten starts with a full bucket."""


def plain_address(text: str) -> Address:
    """An address without its interface; IPv4 seen through IPv6 (``::ffff:10.0.0.1``) is IPv4."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def share_of(text: str) -> Share:
    """Whose share a query from this address uses: the address's own.

    A device can give itself many IPv6 addresses, but a whole room shares one /64: counted together, one pupil would
    take the service from all of them.
    """
    address = plain_address(text)
    return address.version, int(address)


class Full(Exception):
    """There is no place left; the words say for whom."""


@dataclass(slots=True)
class Places:
    """Places that are held for a while: ``in_all`` of them, and ``of_one`` for each client."""

    in_all: int
    of_one: int
    _held: Counter[Share] = field(default_factory=Counter)
    _held_in_all: int = 0

    @contextmanager
    def hold(self, client: str) -> Iterator[None]:
        """Hold one place. Raises ``Full``."""
        share = share_of(client)
        if self._held[share] >= self.of_one:
            raise Full(f"{self.of_one} queries of this device wait already")
        if self._held_in_all >= self.in_all:
            raise Full(f"{self.in_all} queries wait already")
        self._held[share] += 1
        self._held_in_all += 1
        try:
            yield
        finally:
            self._held_in_all -= 1
            self._held[share] -= 1
            if not self._held[share]:
                del self._held[share]

    def __len__(self) -> int:
        """Clients that hold a place."""
        return len(self._held)


@dataclass(slots=True)
class Pace:
    """A token bucket for each client: ``per_second`` in the long run, ``burst`` at once. Forgets the longest idle."""

    per_second: float
    burst: float
    clients_kept: int = CLIENTS_KEPT
    _buckets: OrderedDict[Share, tuple[float, float]] = field(default_factory=OrderedDict)

    def allows(self, client: str, at: float) -> bool:
        """Whether ``client`` may ask once more at ``at``, in seconds of a clock that never goes back."""
        share = share_of(client)
        tokens, since = self._buckets.pop(share, (self.burst, at))
        tokens = min(self.burst, tokens + (at - since) * self.per_second)
        allowed = tokens >= 1.0
        self._buckets[share] = (tokens - 1.0 if allowed else tokens, at)
        if len(self._buckets) > self.clients_kept:
            self._buckets.popitem(last=False)
        return allowed

    def __len__(self) -> int:
        """Clients that are remembered."""
        return len(self._buckets)
