"""Frames as devices send them, crafted: what the tests of the listening have in common."""

from __future__ import annotations

import struct
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.dhcp6 import DHCP6_Advertise, DHCP6OptDNSServers
from scapy.layers.dns import DNS, DNSQR
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_RA, ICMPv6NDOptRDNSS, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw

from appliance_plugins.dns_filter.network import quic

MAC, ROUTER, US = "02:11:22:33:44:55", "02:99:99:99:99:99", "02:aa:aa:aa:aa:aa"
PUPIL, BOX, ELSEWHERE = "10.7.0.9", "10.7.0.1", "203.0.113.53"


def ether(above: Any, mac: str = MAC) -> bytes:
    return bytes(Ether(src=mac, dst=US) / above)


def client_hello(name: str, *, filler: int = 0) -> bytes:
    """A ClientHello message (RFC 8446), its server name last, as browsers may order it."""
    host = name.encode()
    server_name = struct.pack("!HBH", len(host) + 3, 0, len(host)) + host
    extensions = struct.pack("!HH", 51, filler) + bytes(filler)
    if name:
        extensions += struct.pack("!HH", 0, len(server_name)) + server_name
    body = (
        b"\x03\x03"
        + bytes(32)
        + b"\0"
        + b"\0\x02\x13\x01"
        + b"\x01\0"
        + struct.pack("!H", len(extensions))
        + extensions
    )
    return b"\x01" + len(body).to_bytes(3, "big") + body


def records(message: bytes, size: int = 16000) -> bytes:
    """A message in TLS records."""
    pieces = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(b"\x16\x03\x01" + struct.pack("!H", len(piece)) + piece for piece in pieces)


def varint(number: int) -> bytes:
    return struct.pack("!H", number | 0x4000) if number < 16384 else struct.pack("!I", number | 0x80000000)


def initial(frames: bytes, version: int = 1, connection: bytes = b"\x83\x94\xc8\xf0\x3e\x51\x57\x08") -> bytes:
    """A client's Initial packet, protected as RFC 9001 section 5 says: the way back of what is tested."""
    keys = quic.initial_keys(version, connection)
    frames += bytes(max(0, 1162 - len(frames)))
    first = 0xC1 if version == 1 else 0xD1
    number = struct.pack("!H", 7)
    header = bytes([first]) + struct.pack("!IB", version, len(connection)) + connection + b"\0" + varint(0)
    header += varint(len(frames) + 2 + 16)
    whole = header + number
    nonce = int.from_bytes(keys.iv, "big") ^ 7
    sealed = AESGCM(keys.key).encrypt(nonce.to_bytes(12, "big"), frames, whole)
    mask = Cipher(AES(keys.header), ECB()).encryptor().update(sealed[2:18])
    hidden = bytes(one ^ other for one, other in zip(number, mask[1:], strict=False))
    return bytes([first ^ (mask[0] & 0x0F)]) + header[1:] + hidden + sealed


def crypto(offset: int, data: bytes) -> bytes:
    return b"\x06" + varint(offset) + varint(len(data)) + data


def query(name: str) -> Any:
    return DNS(id=7, rd=1, qd=DNSQR(qname=name))


def to(target: str, above: Any, source: str = PUPIL) -> bytes:
    return ether(IP(src=source, dst=target) / above)


def asks(name: str = "www.example.org", target: str = ELSEWHERE, source: str = PUPIL) -> bytes:
    return to(target, UDP(sport=4000, dport=53) / query(name), source)


def opens(data: bytes, target: str = ELSEWHERE, *, sequence: int = 100, flags: str = "PA") -> bytes:
    return to(target, TCP(sport=4001, dport=443, seq=sequence, flags=flags) / Raw(data))


WIREGUARD = to(ELSEWHERE, UDP(sport=9, dport=51820) / Raw(b"\x01\0\0\0" + bytes(144)))
DHCP_OFFER = ether(
    IP(src="10.7.0.66", dst="255.255.255.255")
    / UDP(sport=67, dport=68)
    / BOOTP(op=2, yiaddr="10.7.0.77", chaddr=bytes.fromhex(MAC.replace(":", "")))
    / DHCP(options=[("message-type", "ack"), ("server_id", "10.7.0.66"), ("name_server", ELSEWHERE, "9.9.9.9"), "end"]),
    ROUTER,
)
DHCP_REQUEST = ether(
    IP(src="0.0.0.0", dst="255.255.255.255")
    / UDP(sport=68, dport=67)
    / BOOTP(op=1, chaddr=bytes.fromhex(MAC.replace(":", "")))
    / DHCP(options=[("message-type", "request"), ("requested_addr", PUPIL), ("hostname", b"LAPTOP-7"), "end"])
)
ROUTER_SAYS = ether(
    IPv6(src="fe80::66", dst="ff02::1", hlim=255) / ICMPv6ND_RA(routerlifetime=1800)
    / ICMPv6NDOptRDNSS(lifetime=600, dns=["2001:db8::53"]),
    ROUTER,
)  # fmt: skip
DHCP6 = ether(
    IPv6(src="fe80::67", dst="fe80::1") / UDP(sport=547, dport=546)
    / DHCP6_Advertise() / DHCP6OptDNSServers(dnsservers=["2001:db8::54"]),
    ROUTER,
)  # fmt: skip
ARP_SAYS = ether(ARP(op=1, hwsrc=MAC, psrc=PUPIL, pdst=BOX))
