"""What each device looks for: made of the policies in force, in its own thread, and picked by the levels of who is
there."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from appliance.api import Appliance, ApplianceError, EndpointDevice, load_or_make_secret

from ..choices.applying import READ
from ..choices.levels.levels import Levels
from ..choices.levels.model import READING, Whom, may_count
from ..choices.model import NAMES
from ..library.model import Policy
from .making import Making
from .siphash import KEY_BYTES
from .surfaces import bits

MOST_PICKED = 64
"""Different answers to devices that are remembered: as many as there are combinations of levels."""
FOLDER, KEY = "keyword.needles", "needles.key"
_Levels = tuple[tuple[str, str], ...]

log = logging.getLogger(__name__)


class Needles:
    """``test``: the policy of the test phrase, for every device. ``take`` before ``of``."""

    def __init__(self, appliance: Appliance, levels: Levels, test: Policy) -> None:
        self._appliance = appliance
        self._levels = levels
        self._test = test
        self._policies: Sequence[Policy] = ()
        self._making: Making | None = None
        self._task: asyncio.Task[None] | None = None
        self._picked: dict[_Levels, Mapping[str, Any]] = {}

    def take(self, policies: Sequence[Policy]) -> None:
        """From now on these are in force: devices hear of it as soon as their needles are made."""
        if policies == self._policies and self._task is not None:
            self.look_soon()
            return
        self._policies = policies
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._make(), name="needles for devices")

    def look_soon(self) -> None:
        """Every device is asked about again at once."""
        self._appliance.endpoints.connections.look_soon()

    async def stop(self) -> None:
        """Make nothing more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _make(self) -> None:
        """Make needles, and once more if the policies have changed meanwhile."""
        made: Sequence[Policy] | None = None
        while made is not self._policies:
            made = self._policies
            self._making = await asyncio.to_thread(Making, (self._test, *made), self._key())
            self._picked = {}
        self.look_soon()

    def _key(self) -> bytes:
        """The key of hashes. One that was lost is made anew: all that follows is that devices get other hashes."""
        try:
            return load_or_make_secret(self._appliance.workers.folder(FOLDER), KEY, KEY_BYTES)
        except ApplianceError as error:
            log.warning("The key of hidden terms cannot be read; there is another one until the next start: %s", error)
            return secrets.token_bytes(KEY_BYTES)

    async def of(self, device: EndpointDevice) -> Mapping[str, Any]:
        """What one device looks for: the same object for all that look for the same."""
        if self._making is None and self._task is not None:
            await asyncio.shield(self._task)
        if self._making is None:
            return {}
        levels = self._levels_of(device) if device.monitored else ()
        if levels not in self._picked:
            if len(self._picked) >= MOST_PICKED:
                self._picked.clear()
            self._picked[levels] = self._making.needles(self._wanted(dict(levels)))
        return self._picked[levels]

    def _levels_of(self, device: EndpointDevice) -> _Levels:
        whom = Whom(device.person, device.device)
        named = (policy.name for policy in self._policies)
        return tuple((name, READING if name == NAMES else self._levels.at_most(name, whom)) for name in named)

    def _wanted(self, levels: Mapping[str, str]) -> dict[str, int]:
        """By "policy/term" where it is looked for. Names count wherever they are written, whatever the level."""
        wanted = {f"{self._test.name}/{term.id}": bits(term.surfaces) for term in self._test.terms}
        for policy in self._policies:
            level = levels.get(policy.name)
            if level is None:
                continue
            read = READ if level == READING and policy.name != NAMES else frozenset()
            for term in policy.terms:
                if may_count(level, term.severity):
                    wanted[f"{policy.name}/{term.id}"] = bits(term.surfaces | read)
        return wanted
