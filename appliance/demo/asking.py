"""Name queries of the invented school's devices, asked of the web filter's worker as any device would.

Each laptop has an address of its own on loopback, from which its browser is connected too: so the filter knows whose
query it is as it would at a school.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import struct
from contextlib import suppress

import aiohttp

from appliance.app import Appliance

NAMES = (
    *("search.example", "documents.example", "lessons.example", "maps.example", "news.example", "library.example"),
    *("search.example", "documents.example", "revision.example", "chat.example", "mail.example", "weather.example"),
    *("games.example", "www.games.example", "social.example", "arcade.example", "bets.example", "www.tiktok.com"),
)
"""What is asked for; what stands here twice, twice as often."""
LEAST_SECONDS, MOST_SECONDS = 0.5, 4.0
OTHERS = 4
"""Devices without the extension, such as a printer: they ask as well, and nobody knows whose they are."""
NEEDED = "dns_filter"


def address_of(number: int) -> str:
    """The address of the laptop with this number."""
    return f"127.0.7.{number + 11}"


def from_address(number: int) -> aiohttp.ClientSession:
    """Connections from that laptop."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(address_of(number), 0)))


async def ask_for_names(appliance: Appliance, devices: int) -> None:
    """One name after the other, until cancelled; nothing if the web filter is not in use."""
    port = getattr(appliance.config.plugins.get(NEEDED), "port", None)
    while port is not None:
        await asyncio.sleep(random.uniform(LEAST_SECONDS, MOST_SECONDS))  # noqa: S311 - nothing to guess here
        device = random.randrange(devices + OTHERS)  # noqa: S311
        with suppress(OSError):
            await _ask(random.choice(NAMES), address_of(device), port)  # noqa: S311


async def _ask(name: str, device: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=(device, 0), remote_addr=("127.0.0.1", port)
    )
    transport.sendto(query(name))
    await asyncio.sleep(0.3)  # its answer is of no interest, but a closed port would be an error to whoever sends it
    transport.close()


def query(name: str) -> bytes:
    """A question for the IPv4 address of a name (RFC 1035 section 4)."""
    labels = b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split("."))
    return (
        struct.pack(">HHHHHH", secrets.randbelow(2**16), 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)
    )
