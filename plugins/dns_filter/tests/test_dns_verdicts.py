"""What other plugins say of names, through the whole appliance: processes of its own, a plugin from a folder."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from dnslib import RCODE, DNSRecord
from worker_process import PATIENCE

from appliance.testing import Box, Home

PLUGIN = '''
from appliance.api import Section, Verdict, hook


class Plugin:
    title = "Casino"

    class Settings(Section):
        """Nothing to set."""

    def __init__(self, appliance, settings):
        pass

    @hook
    def dns_verdict(self, name, type, profile):
        if name.startswith("spin."):
            while True:
                pass
        return Verdict(f"a casino, for a {profile}") if "casino" in name else None
'''

SETTINGS = """
plugins:
  casino: {{}}
  dns_filter:
    listen: ["127.0.0.1"]
    port: {port}
    upstreams: ["{upstream}"]
    profiles: [{{name: pupil, mode: block, answer: nxdomain}}]
"""

HELP = """
places:
  - {host: casino-help.example, name: Help, why: Whoever gambles finds help there.}
"""


async def ask(port: int, name: str) -> str:
    """What a device hears of a name."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bytes] = loop.create_future()

    class Device(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, _: object) -> None:
            if not answer.done():
                answer.set_result(data)

    transport, _ = await loop.create_datagram_endpoint(Device, remote_addr=("127.0.0.1", port))
    transport.sendto(bytes(DNSRecord.question(name).pack()))
    try:
        async with asyncio.timeout(PATIENCE):
            return str(RCODE[DNSRecord.parse(await answer).header.rcode])
    finally:
        transport.close()


async def test_plugins_are_asked_and_one_that_spins_costs_nobody_else(
    appliance_home: Home, start_box: Callable[[Home], Box], start_upstream: Callable[..., object]
) -> None:
    upstream = await start_upstream()  # type: ignore[misc]
    home = appliance_home
    (home.folder / "help_seeking.yaml").write_text(HELP)
    home.add_plugin(PLUGIN, "casino")
    home.write(SETTINGS.format(port=home.dns_port, upstream=upstream.endpoint))
    box = start_box(home)
    await box.ready()
    await box.set_up()

    numbers = iter(range(1000))

    async def heard(word: str) -> str:
        return await ask(home.dns_port, f"{word}{next(numbers)}.example")  # a new name each time: answers are kept

    async def blocks_casinos() -> bool:
        return await heard("casino") == "NXDOMAIN"

    await box.until(blocks_casinos)
    assert await heard("other") == "NOERROR"
    assert await ask(home.dns_port, "www.casino-help.example") == "NOERROR", "a place of help is never asked about"

    assert await ask(home.dns_port, "spin.example") == "NOERROR", "it has no say about the name that held it up"

    async def said() -> bool:
        return "casino is not asked about names any more" in (await box.get("/status")).text

    await box.until(said)
    assert await heard("casino") == "NOERROR"
    assert await heard("other") == "NOERROR"
