"""The whole box in processes of its own: changes reach devices, and what breaks around the filter does not stop it."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from dnslib import RCODE

from appliance.testing import Box, Home

YAML = """
plugins:
  dns_filter:
    listen: ["127.0.0.1"]
    port: {port}
    upstreams: ["{upstream}"]
    lists: [{{name: games, file: games.domains, format: domains}}]
    profiles: [{{name: pupil, mode: block, block: [games], answer: nxdomain}}]
"""
FINE = "192.0.2.53"
PATIENCE = 20.0


class Devices:
    """Devices that ask the box. Each asks for what it hears in these words: an address, or the name of a code."""

    def __init__(self, device: Any) -> None:
        self._device = device
        self.answered = 0

    async def heard(self, name: str) -> str:
        answer = await self._device.ask(name)
        return str(answer.a.rdata) if answer.rr else str(RCODE[answer.header.rcode])

    async def until(self, name: str, words: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while await self.heard(name) != words:
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def asking(self, wanted: dict[str, str]) -> AsyncIterator[None]:
        """Ask all the while, and fail if anything else than ``wanted`` is heard, or nothing."""
        ended = asyncio.Event()

        async def ask() -> None:
            while not ended.is_set():
                for name, words in wanted.items():
                    assert await self.heard(name) == words
                    self.answered += 1
                await asyncio.sleep(0.05)  # well below what one device may ask

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask())
            yield
            ended.set()


async def test_changes_reach_devices_and_what_breaks_around_it_does_not(
    appliance_home: Home, start_box: Callable[[Home], Box], upstream: Any, device: Any
) -> None:
    (appliance_home.folder / "games.domains").write_text("games.example\n")
    appliance_home.write(YAML.format(port=appliance_home.dns_port, upstream=upstream.endpoint))
    box = start_box(appliance_home)
    await box.ready()
    await box.set_up()
    devices = Devices(await device(appliance_home.dns_port))
    await devices.until("games.example", "NXDOMAIN")

    # An entry that is made on the page changes what is said of a name that was asked for before.
    assert [await devices.heard("site.example") for _ in range(2)] == [FINE, FINE]
    assert [name.lower() for name in upstream.names] == ["site.example."], "the second answer was remembered"
    assert (await entry(box, "block", "site.example")).status == 303
    await devices.until("site.example", "NXDOMAIN")

    # The main process is killed while devices ask: each query is answered.
    assert await devices.heard("kept.example") == FINE
    known = {"kept.example": FINE, "site.example": "NXDOMAIN", "www.games.example": "NXDOMAIN"}
    async with devices.asking(known):
        old = box.kill_main()
        await box.until(lambda: _is_back(box, old))
    assert devices.answered > len(known)
    await box.it.unlock()

    # The disk is full: neither the database nor the snapshot can be written. What was in force stays in force.
    with _no_room(box.main_pid()):
        async with devices.asking(known):
            refused = await entry(box, "block", "kept.example")
            assert refused.status >= 400
        assert await devices.heard("new.example") == FINE
    assert (await entry(box, "block", "kept.example")).status == 303
    await devices.until("kept.example", "NXDOMAIN")

    # A changed settings file.
    text = appliance_home.config_file.read_text(encoding="utf-8")
    appliance_home.config_file.write_text(text.replace("mode: block", "mode: watch"), encoding="utf-8")
    applied = await asyncio.to_thread(box.cli, "reload")
    assert applied.returncode == 0, applied.stdout
    await devices.until("www.games.example", FINE)


async def entry(box: Box, action: str, domain: str) -> Any:
    """Make an entry on the page."""
    form = {"action": action, "domain": domain, "profile": "", "reason": "A test", "last_day": ""}
    return await box.post("/dns_filter/entries", form)


async def _is_back(box: Box, old: int) -> bool:
    return box.main_pid() != old and await box.answers()


class _no_room:  # noqa: N801 - read as a phrase
    """A process that cannot write another byte to any file, as on a full disk."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = resource.prlimit(pid, resource.RLIMIT_FSIZE)

    def __enter__(self) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (0, self._before[1]))

    def __exit__(self, *_: object) -> None:
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, self._before)
