"""Asking the running filter like a device would, and what its answer says."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass

from dnslib import EDNS0, QTYPE, RCODE, DNSError, DNSHeader, DNSQuestion, DNSRecord

SECONDS = 3.0
TRIES = 2
EDE = 15
"""Option code of an extended error (RFC 8914)."""
BLOCKED_CODES = frozenset({15, 16, 17})
"""Extended errors of an answer that was blocked, censored or filtered (RFC 8914, 4.16 to 4.18)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. ``code``: NOERROR, NXDOMAIN...; ``blocked``: whether it says that it was blocked."""

    code: str
    blocked: bool
    addresses: frozenset[str]


def to_ask(listen: Sequence[str]) -> str:
    """The address of this machine at which the filter answers IPv4; empty if it listens to none."""
    for text in listen:
        address = ipaddress.ip_address(text)
        if address.version == 4:
            return "127.0.0.1" if address.is_unspecified else text
    return "127.0.0.1" if "::" in listen else ""


async def ask(host: str, port: int, source: str, name: str, seconds: float = SECONDS) -> Answer | None:
    """Ask for the IPv4 address of a name from an address of this machine; ``None`` if nothing came back."""
    query = DNSRecord(DNSHeader(rd=1), q=DNSQuestion(name, QTYPE.A))
    query.add_ar(EDNS0(udp_len=1232))
    packet = bytes(query.pack())
    for _ in range(TRIES):
        try:
            async with asyncio.timeout(seconds):
                return await _once(host, port, source, packet, int(query.header.id))
        except (TimeoutError, OSError):
            continue
    return None


class _Heard(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.packets: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        del addr
        self.packets.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        self.packets.put_nowait(exc)


async def _once(host: str, port: int, source: str, packet: bytes, number: int) -> Answer:
    loop = asyncio.get_running_loop()
    transport, heard = await loop.create_datagram_endpoint(_Heard, local_addr=(source, 0), remote_addr=(host, port))
    try:
        transport.sendto(packet)
        while True:
            came = await heard.packets.get()
            if isinstance(came, OSError):
                raise came
            if isinstance(came, bytes) and (answer := read_answer(came, number)) is not None:
                return answer
    finally:
        transport.close()


def read_answer(packet: bytes, number: int) -> Answer | None:
    """What a packet says; ``None`` if it is no answer to the question of this number."""
    try:
        reply = DNSRecord.parse(packet)
    except DNSError:
        return None
    if reply.header.id != number or not reply.header.qr:
        return None
    addresses = frozenset(str(one.rdata) for one in reply.rr if one.rtype == QTYPE.A)
    return Answer(str(RCODE.get(reply.header.rcode)), bool(BLOCKED_CODES & _errors(reply)), addresses)


def _errors(reply: DNSRecord) -> set[int]:
    options = [option for one in reply.ar if one.rtype == QTYPE.OPT for option in one.rdata]
    return {int.from_bytes(one.data[:2], "big") for one in options if one.code == EDE and len(one.data) >= 2}
