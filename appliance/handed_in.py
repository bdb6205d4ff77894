"""What a plugin sees on the network: names of sites that devices asked for, judged and kept like what browsers notice.

Nobody waits for an answer, so what is handed in stands in a bounded row in memory. Most of it is nothing: names of
those who are not monitored, and names that no detector knew a moment ago, do not even get into that row.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from appliance.captures.keeping import Captures, Seen
from appliance.clock import new_id, stamp
from appliance.detection import Detection, DetectionAway
from appliance.errors import Refused, StoreError
from appliance.exempt import Exempt, canonical_host
from appliance.hookspecs import Check, State
from appliance.monitoring.switching import Monitored, Monitoring
from appliance.observations import Finding, Observation, Surface
from appliance.weighing import Weighing

WAITING = 2000
"""What may wait to be judged; a detection process that is away for long costs what comes after."""
CLEAN_REMEMBERED = 20_000
CLEAN_SECONDS = 600.0
"""How many names in which nothing was found are remembered, and how long: what is looked for may change."""
AGAIN_SECONDS = 5.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NameAsked:
    """A name that a device asked for. ``at`` is UTC; ``device`` and ``person`` are ids of the directory.

    ``claim``: how we know who it was. ``source``: the plugin that saw it. ``finding``: what that plugin says of the
    name by itself, its place counted in ``host``; ``alert``: whether that is to be an alert whatever its severity.
    ``times``: how often it was asked for.
    """

    at: str
    host: str
    device: str | None
    person: str | None
    claim: str
    source: str
    finding: Finding | None = field(default=None, repr=False)
    alert: bool = False
    times: int = 1


class Presence(Protocol):
    """Who is where, and whether that counts (``Connections``)."""

    async def learn(self) -> None:
        """Learn what has changed in the directory."""

    def monitored(self, person: str | None, device: str | None, at: datetime | None = None) -> Monitored:
        """Whether what is done there counts."""


class HandedIn:
    """``take`` is the way in. ``start`` before use, ``stop`` at the end."""

    def __init__(
        self,
        detection: Detection,
        captures: Captures,
        monitoring: Monitoring,
        exempt: Exempt,
        presence: Presence,
        is_own: Callable[[str], bool],
        weighing: Weighing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``is_own``: whether a host is the box itself."""
        self._detection = detection
        self._captures = captures
        self._monitoring = monitoring
        self._exempt = exempt
        self._presence = presence
        self._is_own = is_own
        self._weighing = weighing
        self._clock = clock
        self._queue: asyncio.Queue[NameAsked] = asyncio.Queue(WAITING)
        self._clean: OrderedDict[str, float] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._lost = 0

    async def start(self) -> None:
        """Begin to judge."""
        self._task = asyncio.create_task(self._work(), name="names that devices asked for")

    async def stop(self) -> None:
        """End. What still waits is given up: whoever handed it in has it in its own log."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def take(self, asked: NameAsked) -> bool:
        """Hand something in; at once, without waiting. Whether it will be looked at."""
        if not self._counts(asked) or (asked.finding is None and self._is_clean(asked.host)):
            return False
        try:
            self._queue.put_nowait(asked)
        except asyncio.QueueFull:
            self._lost += 1
            return False
        return True

    async def settled(self) -> None:
        """Return when everything that was handed in so far was looked at."""
        await self._queue.join()

    def _counts(self, asked: NameAsked) -> bool:
        """Never a place of help or the box itself, and nothing of somebody who is not monitored."""
        host = canonical_host(asked.host)
        if not host or self._is_own(host) or self._exempt.matches(host) is not None:
            return False
        if asked.device is None and asked.person is None:
            return False  # an address that is nobody's says nothing about anybody
        moment = datetime.fromisoformat(asked.at)
        return self._presence.monitored(asked.person, asked.device, moment).on and self._monitoring.can_open()

    def _is_clean(self, host: str) -> bool:
        until = self._clean.get(canonical_host(host))
        return until is not None and self._clock() < until

    def _note_clean(self, host: str) -> None:
        self._clean[canonical_host(host)] = self._clock() + CLEAN_SECONDS
        self._clean.move_to_end(canonical_host(host))
        if len(self._clean) > CLEAN_REMEMBERED:
            self._clean.popitem(last=False)

    async def _work(self) -> None:
        while True:
            asked = await self._queue.get()
            try:
                await self._look_until_done(asked)
            finally:
                self._queue.task_done()

    async def _look_until_done(self, asked: NameAsked) -> None:
        """Again and again while something is away: what waits behind it waits too, and what does not fit is counted."""
        while True:
            try:
                await self._look(asked)
            except DetectionAway:
                await asyncio.sleep(AGAIN_SECONDS)
            except (Refused, StoreError, sqlite3.Error) as error:
                log.warning("A name that a device asked for could not be kept: %s", type(error).__name__)
                self._lost += 1
                return
            else:
                return

    async def _look(self, asked: NameAsked) -> None:
        await self._presence.learn()
        if not self._counts(asked):
            return
        observation = Observation(
            id=new_id(),
            at=asked.at,
            surface=Surface.NAME,
            text=asked.host,
            host=canonical_host(asked.host),
            application=asked.source,
        )
        found: Sequence[Finding] = () if self._is_clean(asked.host) else await self._judged(observation)
        weighed = await self._weighing.weigh(observation, found, person=asked.person, device=asked.device)
        findings = (*([asked.finding] if asked.finding is not None else ()), *weighed)
        if findings:
            await self._captures.keep(_seen(asked, observation, findings), alert=asked.alert, times=asked.times)

    async def _judged(self, observation: Observation) -> Sequence[Finding]:
        found = [one for one in await self._detection.judge(observation) if not one.is_test]
        if not found:
            self._note_clean(observation.host)
        return found

    async def checks(self) -> list[Check]:
        """Whether anything had to be given up; nothing to say as long as nothing was."""
        if not self._lost:
            return []
        words = f"{self._lost:,} names that monitored devices asked for were not looked at since the start."
        return [Check("Names that devices ask for", State.WARNING, words, "Look whether the detection process runs.")]


def _seen(asked: NameAsked, observation: Observation, findings: tuple[Finding, ...]) -> Seen:
    return Seen(
        observation=observation,
        findings=findings,
        endpoint=asked.source,
        device=asked.device,
        person=asked.person,
        claim=asked.claim,
        picture=None,
        picture_state="none",
        received_at=stamp(),
    )
