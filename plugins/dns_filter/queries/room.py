"""What devices asked for: taken from the worker, kept, shown, handed in where it concerns safeguarding, and proved."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from appliance.api import (
    Appliance,
    Check,
    Daily,
    Data,
    Every,
    Fact,
    HomeCard,
    Job,
    Menu,
    Page,
    Permission,
    Worker,
    now,
    stamp,
)

from .. import worker
from ..keeper.records import expanded
from ..lists import shipped
from ..room import Room
from ..settings import Settings
from .checks.addresses import is_test_client
from .checks.store import KEEP_DAYS, CheckStore
from .checks.store import TABLE as CHECKS
from .checks.testing import SelfTest
from .checks.views import CheckViews
from .groups import GroupsOfAddresses
from .noticing.store import TABLE as TOLD
from .noticing.store import ChoiceStore
from .noticing.telling import Telling
from .noticing.views import ToldViews
from .records import RowLimit, Who, anonymised, counted, nobody_knows, row_of
from .reports import Reports
from .store import CHUNK, QUERIES, SITES, TALLY, Store
from .views import FILE, Views
from .worker_health import WorkerHealth, health_of, is_health

LIVE_ROWS = 50
"""Rows that open pages get from one batch; a page that stands for a lesson must not drown."""
SLICE = 200
"""Records that are looked at before whatever else the process does has its turn."""
MOST_CHUNKS = 100
"""What one run of the job sums up; the next one comes in a quarter of an hour."""
EARLIER = timedelta(hours=2)
"""Rows are summed up that long before their days are over, so that nothing is deleted that was not."""


class Queries(Room):
    """Declares the worker, because what it reports ends here."""

    def __init__(self, appliance: Appliance, settings: Settings, who: Who = nobody_knows) -> None:
        """``who``: who is at an address at this moment."""
        self._appliance = appliance
        self._settings = settings
        self.who = who
        self._groups = GroupsOfAddresses(appliance.assignments.networks())
        zone = ZoneInfo(appliance.config.settings.school.timezone)
        self.store = Store(appliance.activity, self._is_exempt, zone)
        self.views = Views(appliance, settings, self.store)
        self.reports = Reports(appliance, settings, self.store, self.views, lambda: self._health)
        choices = ChoiceStore(appliance)
        self.telling = Telling(appliance, choices, shipped.categories())
        self.told = ToldViews(self.telling, choices)
        self.checks = CheckStore(appliance)
        self.self_test = SelfTest(appliance, settings, self.checks)
        self._check_views = CheckViews(appliance, settings, self.checks, self.self_test)
        self._limit = RowLimit()
        self._health: WorkerHealth | None = None

    def _is_exempt(self, name: str) -> bool:
        return self._appliance.exempt.matches(name) is not None

    def pages(self) -> Sequence[Page]:
        see, switch = Permission.SEE_ACTIVITY, Permission.SWITCH_MONITORING
        views, reports, checks = self.views, self.reports, self._check_views
        return [
            Page("staff", "GET", "/dns_filter", views.queries, see),
            Page("staff", "GET", FILE, views.file, see),
            Page("staff", "GET", "/dns_filter/top", reports.top, see),
            Page("staff", "GET", "/dns_filter/device", reports.device, see),
            Page("staff", "GET", "/dns_filter/person", reports.person, see),
            Page("staff", "GET", "/dns_filter/upstreams", reports.upstreams, see),
            Page("staff", "GET", "/dns_filter/told", self.told.index, switch),
            Page("staff", "POST", "/dns_filter/told", self.told.choose, switch),
            Page("staff", "GET", "/dns_filter/checks", checks.index, see),
            Page("staff", "POST", "/dns_filter/checks", checks.add, see),
            Page("staff", "POST", "/dns_filter/checks/run", checks.run, see),
            Page("staff", "GET", "/dns_filter/checks.csv", checks.file, see),
        ]

    def panels(self) -> Sequence[Menu | HomeCard | Fact]:
        see, people = Permission.SEE_ACTIVITY, Permission.SEE_PEOPLE
        return [
            Fact("device", "Websites", "See what it asked for", "/dns_filter/device?of=", frozenset({see})),
            Fact("person", "Websites", "See what was asked for", "/dns_filter/person?id=", frozenset({see, people})),
            Menu("Web filter", "/dns_filter", see, order=30),
            HomeCard("Web filter", "dns_filter/card.html", self.views.card, see),
        ]

    def workers(self) -> Sequence[Worker]:
        return [Worker("dns", worker.dns, self.receive, ("CAP_NET_BIND_SERVICE",), title="DNS")]

    def jobs(self) -> Sequence[Job]:
        return [
            Job("older queries", Every(timedelta(minutes=15)), self.roll_up, limit=timedelta(minutes=10)),
            Job("test of the filter", Daily(time(6, 30)), self.self_test.every_day, limit=timedelta(minutes=20)),
        ]

    def data(self) -> Sequence[Data]:
        return [
            Data(
                QUERIES,
                "Which device asked for which name, counted per minute, with the person where one was known: never a "
                "help-seeking site. Then it becomes a row of the sites.",
                keep_days=self._settings.full_days,
                time_column="minute",
                store="activity",
            ),
            Data(
                SITES,
                "Which site a device asked for, with the person where one was known: first, last and how often in each "
                "quarter of an hour.",
                keep_days=max(self._settings.keep_days, self._settings.full_days),
                time_column="quarter",
                store="activity",
            ),
            Data(
                TALLY,
                "How often each name, device and address came up on each day. It does not say who asked for what.",
                keep_days=self._settings.full_days,
                time_column="day",
                store="activity",
            ),
            Data(
                CHECKS,
                "Checks of the filter: its own of every day, and those that people have made, with who made them.",
                keep_days=KEEP_DAYS,
                time_column="day",
            ),
            Data(TOLD, "Of which kinds of sites the safeguarding lead wants to hear, and who chose it."),
        ]

    async def startup(self) -> None:
        await self.telling.start()
        self._appliance.names_seen.kept_by(self._names_seen)

    async def shutdown(self) -> None:
        self._appliance.names_seen.kept_by(None)

    async def _names_seen(self, since: datetime, limit: int) -> Sequence[str]:
        return [one.what for one in await self.store.top_names(stamp(since), limit)]

    async def health(self) -> Sequence[Check]:
        return await self.self_test.checks()

    async def receive(self, records: Sequence[Mapping[str, Any]], dropped: int) -> None:
        """Keep what the worker reports and show it on open pages. What it had to drop, the core counts and shows."""
        del dropped
        records = list(expanded(records))
        for record in filter(is_health, records):
            self._health = health_of(record, stamp())
        known = []
        for begin in range(0, len(records), SLICE):
            known += [
                row_of(record, self.who(record["client"]), self._groups.of(record["client"]))
                for record in records[begin : begin + SLICE]
                if self._may_be_kept(record)
            ]
            await asyncio.sleep(0)
        self.telling.take(counted(known))
        rows = counted(anonymised(self._limit(row), self._settings.log_detail) for row in known)
        if not rows:
            return
        await self.store.add(rows)
        if self._appliance.live.watched:
            await self.views.publish(await self.store.kept(rows[-LIVE_ROWS:]))

    def _may_be_kept(self, record: Mapping[str, Any]) -> bool:
        """Never a place of help, whatever the worker says, nor the filter's own test."""
        if is_health(record) or is_test_client(record["client"]):
            return False
        return record["verdict"] != "exempt" and not self._is_exempt(record["name"])

    async def roll_up(self) -> None:
        """Make rows of sites of those whose days are over, in bounded steps (a job)."""
        before = stamp(now() - timedelta(days=self._settings.full_days) + EARLIER)
        for _ in range(MOST_CHUNKS):
            if await self.store.roll_up(before) < CHUNK:
                return
