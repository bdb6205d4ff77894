"""Ethernet frames, as far down as the ports, read by hand: this is done for every packet, hostile ones among them."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import Literal

_VLANS = (0x8100, 0x88A8)
_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
Kind = Literal["arp", "icmp6", "tcp", "udp"]


class Malformed(ValueError):
    """These bytes are not what they should be. Nothing else is said of them: who sends them may be anybody."""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet. ``below``: the IP packet or ARP message as it came; ``payload``: what TCP or UDP carries."""

    kind: Kind
    mac: str
    below: bytes
    source: str = ""
    target: str = ""
    source_port: int = 0
    target_port: int = 0
    payload: bytes = b""
    begins: bool = False
    """Whether this is the first packet of a TCP connection (SYN)."""
    sequence: int = 0


def read(frame: bytes) -> Packet:
    """One frame. Raises ``Malformed``."""
    if len(frame) < 14:
        raise Malformed
    mac, kind, start = frame[6:12].hex(":"), int.from_bytes(frame[12:14], "big"), 14
    while kind in _VLANS:
        if start > 18 or len(frame) < start + 4:  # two tags at most
            raise Malformed
        kind, start = int.from_bytes(frame[start + 2 : start + 4], "big"), start + 4
    below = frame[start:]
    if kind == _ARP:
        return Packet("arp", mac, below)
    if kind == _IPV4:
        return _ipv4(mac, below)
    if kind == _IPV6:
        return _ipv6(mac, below)
    raise Malformed


def _ipv4(mac: str, data: bytes) -> Packet:
    if len(data) < 20 or data[0] >> 4 != 4:
        raise Malformed
    header, total = (data[0] & 15) * 4, int.from_bytes(data[2:4], "big")
    if header < 20 or len(data) < header or total < header or int.from_bytes(data[6:8], "big") & 0x1FFF:
        raise Malformed
    source, target = (str(ipaddress.IPv4Address(data[at : at + 4])) for at in (12, 16))
    return _above(mac, data, data[9], data[header:total], source, target)  # after its end comes padding


def _ipv6(mac: str, data: bytes) -> Packet:
    if len(data) < 40 or data[0] >> 4 != 6:
        raise Malformed
    length = int.from_bytes(data[4:6], "big")
    source, target = (str(ipaddress.IPv6Address(data[at : at + 16])) for at in (8, 24))
    return _above(mac, data, data[6], data[40 : 40 + length] if length else data[40:], source, target)


def _above(mac: str, below: bytes, protocol: int, data: bytes, source: str, target: str) -> Packet:
    if protocol == 58:
        return Packet("icmp6", mac, below, source, target)
    if len(data) < 8:
        raise Malformed
    source_port, target_port = struct.unpack_from("!HH", data)
    if protocol == 17:
        return Packet("udp", mac, below, source, target, source_port, target_port, data[8:])
    header = (data[12] >> 4) * 4 if protocol == 6 and len(data) >= 20 else 0
    if header < 20 or len(data) < header:
        raise Malformed
    begins, sequence = data[13] & 0x12 == 0x02, int.from_bytes(data[4:8], "big")
    return Packet("tcp", mac, below, source, target, source_port, target_port, data[header:], begins, sequence)


def question(message: bytes) -> str:
    """The name that a DNS query asks for, in lower case and without a dot at the end. Raises ``Malformed``."""
    if len(message) < 17 or message[2] & 0xF8 or message[4:6] != b"\x00\x01":  # a query, and one question
        raise Malformed
    labels, at = [], 12
    while length := message[at]:
        if length > 63 or at + 1 + length >= len(message) or at - 12 + length > 254:
            raise Malformed
        labels.append(message[at + 1 : at + 1 + length])
        at += 1 + length
    if at + 5 > len(message):
        raise Malformed
    return b".".join(labels).decode("ascii", "replace").lower()
