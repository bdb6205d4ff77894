"""What the kernel lets through to us: a classic packet filter (BPF), so that nothing else is ever copied to Python.

It is written out by hand because compiling an expression would need libpcap on every box. Offsets count from the start
of the Ethernet frame; a load beyond the end of a packet ends the filter with "no".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

SNAP = 4096
"""Bytes of a frame that are handed over at most: enough for a ClientHello that the network card has put together."""

_LDB, _LDH, _LDW = 0x30, 0x28, 0x20
_LDB_X, _LDH_X, _LDW_X = 0x50, 0x48, 0x40
_LDX, _LDX_HEADER = 0x01, 0xB1
_IF_EQUAL, _IF_BITS, _RETURN = 0x15, 0x45, 0x06
_STORE, _LOAD_STORED = 0x02, 0x60
_AND, _SHIFT_RIGHT, _ADD_X, _A_TO_X = 0x54, 0x74, 0x0C, 0x07

_ETHERNET = 14
_TO = _ETHERNET + 2
"""Where the port of the receiver stands, from the start of the header above IP (X)."""
_SYN, _SYN_ACK, _PUSH = 0x02, 0x12, 0x08

Step = tuple[int, int, str, str]
"""Operation, operand, and the labels to go on at if it is true or not; empty: the next step."""

_PROGRAM: Sequence[tuple[str, Step]] = (
    ("", (_LDH, 12, "", "")),
    ("", (_IF_EQUAL, 0x0806, "yes", "")),  # ARP
    ("", (_IF_EQUAL, 0x86DD, "six", "")),
    ("", (_IF_EQUAL, 0x0800, "", "no")),
    ("", (_LDH, 20, "", "")),
    ("", (_IF_BITS, 0x1FFF, "no", "")),  # a later fragment has no ports
    ("", (_LDX_HEADER, _ETHERNET, "", "")),
    ("", (_LDB, 23, "", "")),
    ("", (_IF_EQUAL, 17, "udp", "")),
    ("", (_IF_EQUAL, 6, "tcp", "no")),
    ("six", (_LDX, 40, "", "")),
    ("", (_LDB, 20, "", "")),
    ("", (_IF_EQUAL, 17, "udp", "")),
    ("", (_IF_EQUAL, 6, "tcp", "")),
    ("", (_IF_EQUAL, 58, "", "no")),
    ("", (_LDB, 54, "", "")),
    ("", (_IF_EQUAL, 134, "yes", "no")),  # a router announces itself
    ("udp", (_LDH_X, _TO, "", "")),
    ("", (_IF_EQUAL, 53, "yes", "")),
    ("", (_IF_EQUAL, 853, "yes", "")),
    ("", (_IF_EQUAL, 67, "yes", "")),
    ("", (_IF_EQUAL, 68, "yes", "")),
    ("", (_IF_EQUAL, 546, "yes", "")),
    ("", (_IF_EQUAL, 547, "yes", "")),
    ("", (_IF_EQUAL, 1194, "yes", "")),
    ("", (_IF_EQUAL, 443, "quic", "")),
    ("", (_LDH_X, _ETHERNET + 4, "", "")),
    ("", (_IF_EQUAL, 156, "", "no")),  # a WireGuard handshake always has this length
    ("", (_LDW_X, _ETHERNET + 8, "", "")),
    ("", (_IF_EQUAL, 0x01000000, "yes", "no")),
    ("quic", (_LDB_X, _ETHERNET + 8, "", "")),
    ("", (_IF_BITS, 0x80, "", "no")),  # only the first packets of a connection have a long header
    ("", (_LDW_X, _ETHERNET + 9, "", "")),
    ("", (_IF_EQUAL, 0x00000001, "yes", "")),
    ("", (_IF_EQUAL, 0x6B3343CF, "yes", "no")),
    ("tcp", (_LDB_X, _ETHERNET + 13, "", "")),
    ("", (_STORE, 0, "", "")),
    ("", (_LDH_X, _TO, "", "")),
    ("", (_IF_EQUAL, 853, "begins", "")),
    ("", (_IF_EQUAL, 443, "data", "")),
    ("", (_IF_EQUAL, 53, "data", "no")),
    ("begins", (_LOAD_STORED, 0, "", "")),
    ("", (_AND, _SYN_ACK, "", "")),
    ("", (_IF_EQUAL, _SYN, "yes", "no")),
    ("data", (_STORE, 1, "", "")),  # the port
    ("", (_LDB_X, _ETHERNET + 12, "", "")),
    ("", (_AND, 0xF0, "", "")),
    ("", (_SHIFT_RIGHT, 2, "", "")),
    ("", (_ADD_X, 0, "", "")),
    ("", (_A_TO_X, 0, "", "")),
    ("", (_LOAD_STORED, 1, "", "")),
    ("", (_IF_EQUAL, 53, "pushed", "")),
    ("", (_LDB_X, _ETHERNET, "", "")),
    ("", (_IF_EQUAL, 0x16, "yes", "")),  # a TLS handshake begins
    ("", (_IF_EQUAL, 0x17, "no", "")),  # what follows it, encrypted
    ("", (_IF_EQUAL, 0x14, "no", "")),
    ("", (_IF_EQUAL, 0x15, "no", "pushed")),
    ("pushed", (_LDB_X, _ETHERNET, "", "")),
    ("", (_LOAD_STORED, 0, "", "")),
    ("", (_IF_BITS, _PUSH, "yes", "no")),  # perhaps the second half of a ClientHello
    ("yes", (_RETURN, SNAP, "", "")),
    ("no", (_RETURN, 0, "", "")),
)


def instructions() -> list[tuple[int, int, int, int]]:
    """As the kernel wants them (``struct sock_filter``): operation, steps to skip if true, if not, operand."""
    places = {label: number for number, (label, _) in enumerate(_PROGRAM) if label}
    found = []
    for number, (_, (operation, operand, if_true, if_not)) in enumerate(_PROGRAM):
        jumps = [places[label] - number - 1 if label else 0 for label in (if_true, if_not)]
        found.append((operation, jumps[0], jumps[1], operand))
    return found


def packed() -> bytes:
    """The instructions one after the other, in this machine's byte order."""
    return b"".join(struct.pack("=HBBI", *one) for one in instructions())
