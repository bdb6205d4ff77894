"""Which device of the directory a device on the network is, and which device has an address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from appliance.api import Row, stamp

from .store import Seen

SURE = ("browser", "IT")
"""Ways to know a device that it cannot bring about by itself. A name or number that it gives itself is for the eye:
by it, anybody could take another's profile, or leave tracks in another's name."""
ADDRESS_LASTS = timedelta(hours=12)
"""An address that was not used for so long may be another device's by now."""


@dataclass(frozen=True, slots=True)
class Match:
    """A device on the network is this one of the directory; ``by``: how that is known."""

    mac: str
    device_id: str
    by: str


def matches(
    seen: Iterable[Seen], directory: Sequence[Row], connected: Mapping[str, Iterable[str]], at: datetime
) -> list[Match]:
    """What can be said of devices that are not known yet, the surest way first.

    ``connected``: device -> the addresses from which its browser extension is linked to this box at this moment.
    """
    seen = list(seen)
    used_now = Counter(address for one in seen for address, used in one.addresses.items() if used >= _recent(at))
    at_address: dict[str, set[str]] = {}
    for device, addresses in connected.items():
        for address in addresses:
            at_address.setdefault(address, set()).add(device)
    by_serial = _only_ones((row["serial"], row["id"]) for row in directory if row["serial"])
    by_name = _only_ones((row["name"], row["id"]) for row in directory)
    in_use = {row["id"] for row in directory}
    found = []
    for one in seen:
        if one.device_id in in_use:
            continue
        # An address that two network cards call their own says nothing: one of them may be lying.
        mine = [address for address, used in one.addresses.items() if used >= _recent(at) and used_now[address] == 1]
        linked = set().union(*(at_address.get(address, set()) for address in mine))
        host = one.host.casefold().partition(".")[0]
        if len(linked) == 1:  # several behind one address: nobody can tell
            found.append(Match(one.mac, linked.pop(), "browser"))
        elif host and host in by_serial:
            found.append(Match(one.mac, by_serial[host], "serial"))
        elif host and host in by_name:
            found.append(Match(one.mac, by_name[host], "name"))
    return found


def _recent(at: datetime) -> str:
    return stamp(at - timedelta(minutes=30))


def _only_ones(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Folded text -> id, without those that several have."""
    found: dict[str, set[str]] = {}
    for text, device in pairs:
        found.setdefault(text.casefold(), set()).add(device)
    return {text: devices.pop() for text, devices in found.items() if len(devices) == 1}


class Addresses:
    """Which network card uses which address now, from memory.

    ``in_use``: the devices of the directory. ``routers``: network cards behind which others stand.
    """

    def __init__(self, seen: Sequence[Seen] = (), in_use: Collection[str] = (), routers: Iterable[str] = ()) -> None:
        self._last: dict[str, tuple[str, str]] = {}
        self._used: dict[tuple[str, str], str] = {}
        self._device = {one.mac: one.device_id for one in seen if one.device_id in in_use}
        self._sure = {one.mac for one in seen if one.matched_by in SURE}
        self._routers = frozenset(routers)
        for one in seen:
            for address, used in one.addresses.items():
                self._used[one.mac, address] = used
                if used >= self._last.get(address, ("", ""))[0]:
                    self._last[address] = (used, one.mac)

    def mac_at(self, address: str, at: datetime) -> str | None:
        """The network card that used an address last, if that is not too long ago."""
        used, mac = self._last.get(address, ("", ""))
        return mac if used >= stamp(at - ADDRESS_LASTS) and mac else None

    def uses(self, mac: str, address: str, at: datetime) -> bool:
        """Whether a network card has said lately that an address is its own."""
        return self._used.get((mac, address), "") >= stamp(at - ADDRESS_LASTS)

    def device_at(self, address: str, at: datetime) -> str | None:
        """The device of the directory that has an address, as far as that is known for sure."""
        mac = self.mac_at(address, at)
        return self._device.get(mac) if mac in self._sure else None

    def sightings(self, at: datetime) -> dict[str, str]:
        """Address -> device, for all that is known for sure."""
        found = {address: self.device_at(address, at) for address in self._last}
        return {address: device for address, device in found.items() if device is not None}

    def device_of(self, mac: str) -> str | None:
        """The device of the directory with this network card, be it by the name that it gives itself."""
        return self._device.get(mac)

    def is_sure(self, mac: str) -> bool:
        """Whether it is known by more than what the device says of itself."""
        return mac in self._sure

    def shows_the_way(self, mac: str) -> bool:
        """Whether a network card is a router's, so that what comes from it may come from others."""
        return mac in self._routers


def is_random(mac: str) -> bool:
    """Whether a network card has made its address up, as phones do: the next time it may be another one."""
    return bool(int(mac[:2], 16) & 2)
