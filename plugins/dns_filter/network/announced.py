"""What devices and routers announce of themselves (ARP, DHCP, router advertisements, DHCPv6), taken apart by scapy.

The only module that imports scapy, and itself imported only once somebody has switched the listening on. Only these
layers are loaded: no ``scapy.all``, no settings file of scapy's, no extensions. scapy's own sockets are not used.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from scapy.error import Scapy_Exception
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import DHCP6_Advertise, DHCP6_Reply, DHCP6OptDNSServers
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptRDNSS, IPv6
from scapy.layers.l2 import ARP

from .frames import Malformed, Packet

By = Literal["dhcp", "router", "dhcp6"]
LONGEST = 1500
"""Octets that are taken apart; more does not fit into one packet."""
_RESOLVERS_MOST = 8
_REQUEST, _REPLY = 1, 2
_OFFER, _ACK = 2, 5
_ETHERNET_AND_IPV4 = b"\0\x01\x08\0\x06\x04"
_FAULTS = (
    Scapy_Exception, struct.error, ValueError, LookupError, TypeError, AttributeError, OverflowError, AssertionError,
    RecursionError, OSError,
)  # fmt: skip
"""What scapy's layers raise for bytes that are not what they should be."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device has said where it is, and perhaps what it is called."""

    mac: str
    address: str
    host: str = ""


@dataclass(frozen=True, slots=True)
class Announcer:
    """Somebody tells devices which way to go: ``address`` is its own, ``resolvers`` whom it tells them to ask."""

    by: By
    mac: str
    address: str
    resolvers: tuple[str, ...] = ()


Announced = Device | Announcer


def of_arp(packet: Packet) -> list[Announced]:
    """Who has which address. Raises ``Malformed``."""
    return _guarded(_arp, packet)


def of_dhcp(packet: Packet) -> list[Announced]:
    """A device's name, or a server with what it hands out. Raises ``Malformed``."""
    return _guarded(_dhcp, packet)


def of_router(packet: Packet) -> list[Announced]:
    """An IPv6 router with the name servers that it announces. Raises ``Malformed``."""
    return _guarded(_router, packet)


def of_dhcp6(packet: Packet) -> list[Announced]:
    """A DHCPv6 server with the name servers that it hands out. Raises ``Malformed``."""
    return _guarded(_dhcp6, packet)


def _guarded(read: Callable[[Packet], Iterable[Announced]], packet: Packet) -> list[Announced]:
    try:
        return list(read(packet))
    except _FAULTS:
        raise Malformed from None


def _arp(packet: Packet) -> Iterable[Announced]:
    if len(packet.below) < 28 or packet.below[:6] != _ETHERNET_AND_IPV4:
        return  # other kinds of addresses; scapy would look some of them up
    found = ARP(packet.below[:28])
    mac, address = str(found.hwsrc).lower(), str(found.psrc)
    if address != "0.0.0.0" and mac == packet.mac:  # noqa: S104 - a question whether an address is free
        yield Device(mac, address)


def _dhcp(packet: Packet) -> Iterable[Announced]:
    found = BOOTP(packet.payload[:LONGEST])
    if DHCP not in found or found.hlen != 6:
        return
    options = _options(found[DHCP].options)
    mac = bytes(found.chaddr)[:6].hex(":")
    if found.op == _REQUEST:
        address = str(found.ciaddr)  # in use; what it only wishes for may be another's
        yield Device(mac, "" if address == "0.0.0.0" else address, _host(options.get("hostname")))  # noqa: S104
    elif found.op == _REPLY and options.get("message-type") in (_OFFER, _ACK):
        resolvers = options.get("name_server") or ()
        listed = (resolvers,) if isinstance(resolvers, str) else tuple(resolvers)
        yield Announcer("dhcp", packet.mac, str(options.get("server_id") or packet.source), _first(listed))
        if options["message-type"] == _ACK and str(found.yiaddr) != "0.0.0.0":  # noqa: S104
            yield Device(mac, str(found.yiaddr))


def _options(options: Iterable[Any]) -> dict[str, Any]:
    """By name; the value, or all of them where there are several."""
    pairs = [one for one in options if isinstance(one, tuple) and len(one) >= 2]
    return {str(one[0]): one[1] if len(one) == 2 else one[1:] for one in pairs}


def _host(raw: Any) -> str:
    """A host name as a device gives it: printable, and not longer than names are."""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else ""
    return "".join(letter for letter in text if letter.isprintable())[:63].strip()


def _router(packet: Packet) -> Iterable[Announced]:
    whole = IPv6(packet.below[:LONGEST])
    if ICMPv6ND_RA not in whole or whole.hlim != 255 or not packet.source.startswith("fe80:"):
        return  # what comes from further away than this network is no announcement (RFC 4861 section 6.1.2)
    resolvers: list[str] = []
    part = whole[ICMPv6ND_RA].payload
    while part and len(resolvers) < _RESOLVERS_MOST:
        if isinstance(part, ICMPv6NDOptRDNSS) and part.lifetime:
            resolvers += map(str, part.dns)
        part = part.payload
    if whole[ICMPv6ND_RA].routerlifetime or resolvers:
        yield Announcer("router", packet.mac, packet.source, _first(resolvers))


def _dhcp6(packet: Packet) -> Iterable[Announced]:
    kind = packet.payload[:1]
    if kind not in (b"\x02", b"\x07"):
        return
    whole = (DHCP6_Advertise if kind == b"\x02" else DHCP6_Reply)(packet.payload[:LONGEST])
    resolvers = [str(one) for one in whole[DHCP6OptDNSServers].dnsservers] if DHCP6OptDNSServers in whole else []
    yield Announcer("dhcp6", packet.mac, packet.source, _first(resolvers))


def _first(resolvers: Iterable[str]) -> tuple[str, ...]:
    return tuple(resolvers)[:_RESOLVERS_MOST]
