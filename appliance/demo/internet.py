"""The invented internet of the demonstration: a name server that knows where every invented site is."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Sequence
from zlib import crc32

_HEADER = struct.Struct(">HHHHHH")
_ANSWER = struct.Struct(">HHHIHBBBB")
HOST = "127.0.0.1"
IPV4 = 1
SECONDS = 60
"""How long its answers may be remembered: short, so that some are remembered and some are asked for anew."""
LONGEST = 4096
RETRY_SECONDS = 2.0

log = logging.getLogger(__name__)


async def answer(upstreams: Sequence[str]) -> None:
    """Answer until cancelled, if the web filter still asks on loopback: the settings may have been changed."""
    host, _, port = (upstreams[0] if upstreams else "").rpartition(":")
    if host == HOST and port.isdecimal():
        await _answer(int(port))


async def _answer(port: int) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.setblocking(False)
        await _bind(listening, port)
        while True:
            packet, address = await loop.sock_recvfrom(listening, LONGEST)
            found = answer_to(packet)
            if found:
                await loop.sock_sendto(listening, found, address)


async def _bind(listening: socket.socket, port: int) -> None:
    """Take the port, as soon as whoever has it lets go of it: a demonstration before this one may still be ending."""
    has_said_so = False
    while True:
        try:
            return listening.bind((HOST, port))
        except OSError as error:
            if not has_said_so:
                log.warning("The invented internet of the demonstration waits for port %d: %s", port, error.strerror)
            has_said_so = True
            await asyncio.sleep(RETRY_SECONDS)


def answer_to(packet: bytes) -> bytes:
    """A message with the question and, for an IPv4 address, one of those kept free for documents (RFC 5737).

    Empty for what is no question.
    """
    end = packet.find(b"\0", _HEADER.size) + 5
    if len(packet) < end or end < _HEADER.size + 5:
        return b""
    question = packet[_HEADER.size : end]
    has_answer = struct.unpack(">H", question[-4:-2])[0] == IPV4
    header = _HEADER.pack(struct.unpack(">H", packet[:2])[0], 0x8180, 1, int(has_answer), 0, 0)
    place = _ANSWER.pack(0xC00C, IPV4, 1, SECONDS, 4, 192, 0, 2, 1 + crc32(question.lower()) % 250)
    return header + question + (place if has_answer else b"")
