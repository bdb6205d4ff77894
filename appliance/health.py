"""How the appliance is doing: checks of every part, asked again and again, for the status page and the watchdog."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from appliance.errors import ApplianceError
from appliance.hookspecs import Check, State

PERIOD_SECONDS = 30.0
PAUSE_SECONDS = 0.2
"""Between two rounds at the least, however much changes."""
Provider = Callable[[], Awaitable[Sequence[Check]]]

_ORDER = {State.BROKEN: 0, State.WARNING: 1, State.GOOD: 2}


class Health:
    """Collects the checks of all providers."""

    def __init__(self) -> None:
        self._providers: list[Provider] = []
        self._checks: tuple[Check, ...] = ()
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()

    def add(self, provider: Provider) -> None:
        """Ask ``provider`` from now on."""
        self._providers.append(provider)

    async def start(self) -> None:
        """Ask everybody once, then every half minute."""
        await self.refresh()
        self._task = asyncio.create_task(self._loop(), name="health")

    async def stop(self) -> None:
        """Stop asking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def refresh(self) -> None:
        """Ask everybody now."""
        found: list[Check] = []
        for answers in await asyncio.gather(*(_ask(provider) for provider in self._providers)):
            found.extend(answers)
        self._checks = tuple(sorted(found, key=lambda check: (_ORDER[check.state], check.name)))

    def refresh_soon(self) -> None:
        """Ask everybody at once: something has changed. Many calls in a row cost one round."""
        self._changed.set()

    def checks(self) -> tuple[Check, ...]:
        """The latest answers, the worst first."""
        return self._checks

    def worst(self) -> State:
        """The worst state of all."""
        return self._checks[0].state if self._checks else State.GOOD

    async def _loop(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(PERIOD_SECONDS):
                    await self._changed.wait()
            self._changed.clear()
            await self.refresh()
            await asyncio.sleep(PAUSE_SECONDS)


async def _ask(provider: Provider) -> Sequence[Check]:
    """A provider's answer; a part that cannot even say how it is, is broken, and the others are asked all the same."""
    try:
        return await provider()
    except (ApplianceError, OSError, sqlite3.Error) as error:
        return [Check("Health", State.BROKEN, f"A part cannot say how it is: {error}", "Look at the disk and the log.")]
