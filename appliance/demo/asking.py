"""Name queries of the invented school's devices, asked of the web filter's worker as any device would."""

from __future__ import annotations

import asyncio
import random
import secrets
import struct
from contextlib import suppress

from appliance.app import Appliance

NAMES = ("games.example", "social.example", "search.example", "chat.example", "documents.example", "www.games.example")
LEAST_SECONDS, MOST_SECONDS = 2.0, 12.0
NEEDED = "dns_filter"


async def ask_for_names(appliance: Appliance) -> None:
    """One name after the other, until cancelled; nothing if the web filter is not in use."""
    settings = appliance.config.plugins.get(NEEDED)
    port = getattr(settings, "port", None)
    while port is not None:
        await asyncio.sleep(random.uniform(LEAST_SECONDS, MOST_SECONDS))  # noqa: S311 - nothing to guess here
        with suppress(OSError):
            await _ask(random.choice(NAMES), port)  # noqa: S311


async def _ask(name: str, port: int) -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, remote_addr=("127.0.0.1", port))
    transport.sendto(query(name))
    await asyncio.sleep(1)  # its answer is of no interest, but a closed port would be an error to whoever sends it
    transport.close()


def query(name: str) -> bytes:
    """A question for the IPv4 address of a name (RFC 1035 section 4)."""
    labels = b"".join(bytes([len(label)]) + label.encode("ascii") for label in name.split("."))
    return (
        struct.pack(">HHHHHH", secrets.randbelow(2**16), 0x0100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", 1, 1)
    )
