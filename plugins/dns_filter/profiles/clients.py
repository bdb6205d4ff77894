"""Who is behind an address at this moment: browsers that are connected, and devices that were seen on the network.

A person is known only while that sign-in lasts. An address behind which several people or devices are (a terminal
server, a router that hides a room) is nobody's: what is asked from there is not held against any of them, and gets the
strictest of their profiles.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from appliance.api import Appliance

MOST_BEHIND_ONE = 2000
"""People behind one address that are looked at."""


@dataclass(frozen=True, slots=True)
class Who:
    """What is known: ids of device and person, and how the person is known (``""``: nobody is)."""

    device: str | None
    person: str | None
    claim: str


NOBODY = Who(None, None, "")

Index = tuple[dict[str, list[Who]], dict[str, list[Who]]]


def _no_sightings() -> Mapping[str, str]:
    return {}


class Clients:
    """Answers from memory. ``sightings`` and ``device_at`` are set by whoever watches the network.

    ``sightings()``: address -> id of the device there, for all that was seen lately; ``device_at(address)``: one.
    """

    def __init__(self, appliance: Appliance) -> None:
        self._connections = appliance.endpoints.connections
        self._connections.when_changed(self._forget)
        self._index: Index | None = None
        self.sightings: Callable[[], Mapping[str, str]] = _no_sightings
        self.device_at: Callable[[str], str | None] = lambda address: self.sightings().get(address)

    def who(self, address: str) -> Who:
        """Who is behind an address now, for the log: the one device, and the one person who is signed in there."""
        found = self._behind(plain(address))
        devices = {one.device for one in found}
        people = {(one.person, one.claim) for one in found}
        device = devices.pop() if len(devices) == 1 else None
        person, claim = people.pop() if len(people) == 1 else (None, "")
        return Who(device, person, claim if person is not None else "")

    def known(self) -> dict[str, list[Who]]:
        """Everybody who is known, by address, for profiles. A device whose holder is known stands for the holder."""
        by_address, by_device = self._connected()
        found = {address: list(there) for address, there in by_address.items()}
        for address, device in self.sightings().items():
            for who in by_device.get(device) or [Who(device, self._connections.holder(device), "")]:
                _put(found, plain(address), who)
        return found

    def _behind(self, address: str) -> list[Who]:
        by_address, by_device = self._connected()
        found = {address: list(by_address.get(address, ()))}
        device = self.device_at(address)
        if device is not None:
            for who in by_device.get(device) or [Who(device, None, "")]:
                _put(found, address, who)
        return found[address]

    def _connected(self) -> Index:
        """Who is on the browsers that are connected, by address and by device; made anew after a change."""
        if self._index is None:
            by_address: dict[str, list[Who]] = {}
            by_device: dict[str, list[Who]] = {}
            for one in self._connections.all():
                who = Who(one.endpoint.device, one.who.person, one.who.claim)
                _put(by_address, plain(one.wire.address), who)
                if one.endpoint.device is not None:
                    _put(by_device, one.endpoint.device, who)
            self._index = by_address, by_device
        return self._index

    def _forget(self) -> None:
        self._index = None


def _put(found: dict[str, list[Who]], address: str, who: Who) -> None:
    there = found.setdefault(address, [])
    if who not in there and len(there) < MOST_BEHIND_ONE:
        there.append(who)


@lru_cache(maxsize=20_000)
def plain(address: str) -> str:
    """One spelling of each address: IPv4 on an IPv6 socket is IPv4, and no zone stands behind it."""
    try:
        client = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(getattr(client, "ipv4_mapped", None) or client)
