"""When the filter tests itself, what it notes, and what the status page says of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from appliance.api import Appliance, Check, Refused, State, now, parse

from ...days import day_words
from ...lists import shipped
from ...profiles.model import Profile
from ...settings import Settings
from . import asking
from .selftest import WouldStop, plans, run
from .store import CheckStore, Result

WORKER = "dns_filter.dns"
OWN, MANUAL = "Test of the web filter", "Checks of the web filter"
LATE = timedelta(hours=50)
"""After how long without a test the status page says so: a day that was missed and some hours."""
_TODO = "Open Web filter, Checks: it says what was not as it should be."


class SelfTest:
    """``now`` runs the test; ``checks`` says how the last one ended."""

    def __init__(self, appliance: Appliance, settings: Settings, store: CheckStore) -> None:
        self._appliance = appliance
        self._settings = settings
        self._store = store
        self._zone = ZoneInfo(appliance.config.settings.school.timezone)
        self._running = asyncio.Lock()
        self.profiles: Callable[[], Sequence[Profile]] = tuple
        """The profiles as they are now."""
        self.would_stop: WouldStop = lambda key, name: False  # noqa: ARG005 - set by whoever knows the policies

    def today(self) -> date:
        """The day at the school."""
        return now().astimezone(self._zone).date()

    async def every_day(self) -> None:
        """The job; nothing to test is no failure of the job."""
        try:
            await self.now()
        except Refused:
            await self._appliance.health.refresh()

    async def now(self) -> int:
        """Test every profile against the running filter and keep what came of it; how many were tested.

        Raises ``Refused`` where there is nothing to ask.
        """
        async with self._running:
            snapshot = await asyncio.to_thread(self._snapshot)
            host = asking.to_ask(self._settings.listen)
            if not host:
                raise Refused("The filter listens to no IPv4 address, so it cannot be asked.", "Look at `listen`.")
            titles = {key: each.title for key, each in shipped.categories().items()}
            profiles = {one.name: (one.title, one.categories) for one in self.profiles()}
            exempt = next(iter(self._appliance.exempt.hosts()), "")
            wanted = plans(snapshot, titles, profiles, exempt, now().timestamp(), self.would_stop)
            if not wanted:
                raise Refused("The filter has no profile that can be tested yet.", "Wait until it runs.")

            async def ask(source: str, name: str) -> asking.Answer | None:
                return await asking.ask(host, self._settings.port, source, name)

            place = self._appliance.config.settings.school.name
            found = [await run(plan, ask, self.today(), place) for plan in wanted]
            await self._store.keep_own(found)
        await self._appliance.health.refresh()
        return len(found)

    def _snapshot(self) -> Mapping[str, Any]:
        """What the worker was told last."""
        try:
            text = (self._appliance.workers.folder(WORKER) / "snapshot.json").read_text(encoding="utf-8")
        except OSError:
            raise Refused("The filter was not told anything yet.", "Wait until it runs.") from None
        found: Mapping[str, Any] = json.loads(text)
        return found

    # Telling

    async def checks(self) -> Sequence[Check]:
        """How the last own test ended, and whether a person has checked not too long ago."""
        return [await self._own_check(), await self._manual_check()]

    async def _own_check(self) -> Check:
        rows = await self._store.last_own()
        if not rows:
            words = "The filter has not tested itself yet. It does so every morning."
            return Check(OWN, State.WARNING, words, "Open Web filter, Checks, to test it now.", alarm=True)
        failed = [row["profile"] for row in rows if row["result"] == Result.FAILED]
        when = parse(rows[0]["at"])
        day = f"{when.astimezone(self._zone):%a %d %b, %H:%M}"
        if failed:
            words = f"The filter does not do what it promises for {', '.join(failed)} ({day})."
            return Check(OWN, State.BROKEN, words, _TODO, alarm=True)
        if now() - when > LATE:
            return Check(
                OWN, State.WARNING, f"The last test was {day}.", "Test it now: Web filter, Checks.", alarm=True
            )
        untested = [row["profile"] for row in rows if row["result"] == Result.OPEN]
        if untested:
            words = f"Not everything could be tested, or is blocked, for {', '.join(untested)} ({day})."
            return Check(OWN, State.WARNING, words, "Open Web filter, Checks: it says what and why.", alarm=True)
        watching = [row["profile"] for row in rows if row["result"] == Result.WATCHING]
        words = f"Every profile does what it promises ({day})."
        if watching:
            words += f" Trial run, nothing is blocked: {', '.join(watching)}."
        return Check(OWN, State.GOOD, words, alarm=True)

    async def _manual_check(self) -> Check:
        last, days = await self._store.last_manual_day(), self._settings.remind_check_days
        todo = "Open Web filter, Checks, and check on a pupil’s device. It takes five minutes."
        if last is None:
            return Check(MANUAL, State.WARNING, "Nobody has checked the filter on a device yet.", todo)
        if (self.today() - last).days > days:
            words = f"The last check by a person was on {day_words(last)}, more than {days} days ago."
            return Check(MANUAL, State.WARNING, words, todo)
        return Check(MANUAL, State.GOOD, f"Somebody last checked it on a device on {day_words(last)}.")
