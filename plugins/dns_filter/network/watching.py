"""What is made of packets: who goes around the filter, which devices are there, and who shows them the way.

Nothing of a packet is kept but what stands in a ``Finding``: never what was asked for, only whom. A name is read to
leave out places where children look for help, and to tell services that are known; then it is forgotten.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from .frames import Malformed, Packet, question, read
from .hello import Streams, TooShort
from .quic import Handshakes

Way = Literal["resolver", "encrypted", "doh", "vpn", "tunnel"]
"""How a device goes around the filter: asks another name server; the same encrypted (port 853); opens an encrypted name
service by its name or address; opens the site of a VPN or proxy; begins a VPN."""
FINDINGS_MOST = 2000
"""Different findings between two reports; more are counted together as not looked at."""
SAID_MOST = 8192
"""Announcements that are remembered, so that each is told once in a while only."""
SAY_AGAIN_SECONDS = 600.0
"""A device that says the same again is told of no oftener than this."""
_DNS, _DNS_ENCRYPTED, _HTTPS, _OPENVPN = 53, 853, 443, 1194
_DHCP, _DHCP6, _DHCP6_SERVER = (67, 68), 546, 547
_OPENVPN_RESETS = (0x38, 0x50)
"""What the first packet of OpenVPN begins with: a reset by the client, version 2 or 3."""


class Announced(Protocol):
    """The module that takes announcements apart, or what stands for it in a test."""

    def of_arp(self, packet: Packet) -> Collection[Any]: ...
    def of_dhcp(self, packet: Packet) -> Collection[Any]: ...
    def of_router(self, packet: Packet) -> Collection[Any]: ...
    def of_dhcp6(self, packet: Packet) -> Collection[Any]: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What the main process says: all of it may change at any time.

    ``box``: this box's own addresses; ``own``: the school's other name servers. ``exempt``: hosts of which nothing is
    noted. ``services``: a host, with everything below it, and how it goes around the filter (``doh`` or ``vpn``).
    ``resolvers``: addresses of name servers that answer anybody. ``networks``: whose packets are looked at.
    """

    box: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    exempt: frozenset[str] = frozenset()
    services: Mapping[str, Way] = field(default_factory=dict)
    resolvers: frozenset[str] = frozenset()
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()


@dataclass(slots=True)
class Finding:
    """One way around the filter that one device has taken, so many times since the last report."""

    way: Way
    mac: str
    address: str
    to: str
    count: int
    first: str
    last: str


class Watcher:
    """``clock`` gives seconds that never go back. ``report`` gets records for the main process (JSON)."""

    def __init__(self, announced: Announced, report: Callable[[Mapping[str, Any]], None]) -> None:
        self.rules = Rules()
        self.looked_at = 0
        self.malformed = 0
        self.left_out = 0
        self._announced = announced
        self._report = report
        self._streams = Streams()
        self._handshakes = Handshakes()
        self._findings: dict[tuple[str, str, str, str], Finding] = {}
        self._said: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def look(self, frame: bytes, at: str, moment: float) -> None:
        """Look at one frame that came at ``at`` (a stamp). Whatever it holds, this returns."""
        self.looked_at += 1
        try:
            packet = read(frame)
            if packet.source not in self.rules.box:
                self._packet(packet, at, moment)
        except TooShort:
            return  # the rest of a ClientHello is to come
        except Malformed:
            self.malformed += 1

    def tell(self) -> None:
        """Hand over what was found since the last time."""
        findings, self._findings = self._findings, {}
        for one in findings.values():
            self._report(
                {
                    "kind": "attempt", "way": one.way, "mac": one.mac, "address": one.address, "to": one.to,
                    "count": one.count, "first": one.first, "last": one.last,
                }
            )  # fmt: skip

    def _packet(self, packet: Packet, at: str, moment: float) -> None:
        if packet.kind in ("arp", "icmp6"):
            # Said again and again in the same words; taking them apart is the costly part.
            if self._is_new(("as it came", hashlib.blake2b(packet.mac.encode() + packet.below).hexdigest()), moment):
                read_one = self._announced.of_arp if packet.kind == "arp" else self._announced.of_router
                self._say(read_one(packet), at, moment)
        elif packet.kind == "udp" and packet.target_port in _DHCP:
            self._say(self._announced.of_dhcp(packet), at, moment)
        elif packet.kind == "udp" and packet.target_port in (_DHCP6, _DHCP6_SERVER):
            self._say(self._announced.of_dhcp6(packet), at, moment)
        elif self._concerns_us(packet):
            found = self._way(packet)
            if found is not None:
                self._note(packet, *found, at)

    # Ways around the filter

    def _concerns_us(self, packet: Packet) -> bool:
        """From a device of the school, to somebody else than this box and the school's own name servers."""
        source, target = ipaddress.ip_address(packet.source), ipaddress.ip_address(packet.target)
        if target.is_multicast or packet.target in self.rules.box or packet.target == "255.255.255.255":
            return False
        is_name_query = packet.target_port in (_DNS, _DNS_ENCRYPTED)
        if is_name_query and packet.target in self.rules.own:
            return False
        return any(source.version == one.version and source in one for one in self.rules.networks)

    def _way(self, packet: Packet) -> tuple[Way, str] | None:
        port = packet.target_port
        if port == _DNS:
            message = packet.payload[2:] if packet.kind == "tcp" else packet.payload
            return None if self._is_exempt(question(message)) else ("resolver", packet.target)
        if port == _DNS_ENCRYPTED:
            return ("encrypted", packet.target) if packet.kind == "udp" or packet.begins else None
        if port == _HTTPS:
            return self._opened(packet)
        if packet.kind == "udp" and packet.payload[:1] and _is_tunnel(port, packet.payload):
            return "tunnel", packet.target
        return None

    def _opened(self, packet: Packet) -> tuple[Way, str] | None:
        """A connection to a service that is known, by the name that the device says, or else by its address."""
        name = (self._streams if packet.kind == "tcp" else self._handshakes).name(packet)
        if self._is_exempt(name):
            return None
        for host in _and_above(name):
            if host in self.rules.services:
                return self.rules.services[host], host
        return ("doh", packet.target) if packet.target in self.rules.resolvers else None

    def _is_exempt(self, name: str) -> bool:
        return any(host in self.rules.exempt for host in _and_above(name))

    def _note(self, packet: Packet, way: Way, to: str, at: str) -> None:
        key = (way, packet.mac, packet.source, to)
        known = self._findings.get(key)
        if known is not None:
            known.count, known.last = known.count + 1, at
        elif len(self._findings) < FINDINGS_MOST:
            self._findings[key] = Finding(way, packet.mac, packet.source, to, 1, at, at)
        else:
            self.left_out += 1

    # Devices, and who shows them the way

    def _say(self, found: Collection[Any], at: str, moment: float) -> None:
        for one in found:
            is_device = not hasattr(one, "by")
            if is_device and (one.mac == "00:00:00:00:00:00" or int(one.mac[:2], 16) & 1):
                continue  # no device has such an address
            if is_device:
                record = {"kind": "device", "mac": one.mac, "address": one.address, "host": one.host}
            elif one.address in self.rules.box:
                continue
            else:
                record = {
                    "kind": "announcer", "by": one.by, "mac": one.mac, "address": one.address,
                    "resolvers": list(one.resolvers),
                }  # fmt: skip
            if self._is_new(tuple(map(str, record.values())), moment):
                self._report({**record, "at": at})

    def _is_new(self, key: tuple[str, ...], moment: float) -> bool:
        """Whether this was not said lately. What was not said for longest is forgotten first."""
        said = self._said.pop(key, None)
        is_new = said is None or moment - said >= SAY_AGAIN_SECONDS
        self._said[key] = moment if said is None or is_new else said
        if len(self._said) > SAID_MOST:
            self._said.popitem(last=False)
        return is_new


def _is_tunnel(port: int, payload: bytes) -> bool:
    """A WireGuard handshake at any port, or the first packet of OpenVPN at its own."""
    wireguard = len(payload) == 148 and payload[:4] == b"\x01\0\0\0"
    return wireguard or (port == _OPENVPN and payload[0] in _OPENVPN_RESETS and len(payload) >= 14)


def _and_above(name: str) -> list[str]:
    """A name and every domain above it."""
    labels = name.split(".") if name else []
    return [".".join(labels[number:]) for number in range(len(labels))]
