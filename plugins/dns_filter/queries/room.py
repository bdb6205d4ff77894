"""What devices asked for: taken from the worker, kept, and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from appliance.api import Appliance, Data, HomeCard, Menu, Page, Permission, Worker

from .. import worker
from ..room import Room
from ..settings import Settings
from .store import TABLE, RowLimit, Store, aggregate
from .views import TOPIC, Views

LIVE_ROWS = 50
"""Rows that open pages get from one batch; a page that stands for a lesson must not drown."""


class Queries(Room):
    """Declares the worker, because what it reports ends here."""

    def __init__(self, appliance: Appliance, settings: Settings) -> None:
        self._appliance = appliance
        self._settings = settings
        self.store = Store(appliance.activity)
        self.views = Views(appliance, settings, self.store)
        self._limit = RowLimit()

    def pages(self) -> Sequence[Page]:
        return [Page("staff", "GET", "/dns_filter", self.views.queries, Permission.SEE_ACTIVITY)]

    def panels(self) -> Sequence[Menu | HomeCard]:
        return [
            Menu("Web filter", "/dns_filter", Permission.SEE_ACTIVITY, order=30),
            HomeCard("Web filter", "dns_filter/card.html", self.views.card, Permission.SEE_ACTIVITY),
        ]

    def workers(self) -> Sequence[Worker]:
        return [Worker("dns", worker.dns, self.receive, ("CAP_NET_BIND_SERVICE",), title="DNS")]

    def data(self) -> Sequence[Data]:
        return [
            Data(
                TABLE,
                "Which device asked for which name, counted per minute: never a person, never a help-seeking site.",
                keep_days=self._settings.keep_days,
                time_column="minute",
                store="activity",
            )
        ]

    async def receive(self, records: Sequence[Mapping[str, Any]], dropped: int) -> None:
        """Keep what the worker reports and show it on open pages. What it had to drop, the core counts and shows."""
        del dropped
        rows = aggregate(records, self._limit)
        await self.store.add(rows)
        live = self._appliance.live
        if live.watched:
            live.publish(TOPIC, [self.views.live_row(row) for row in rows[-LIVE_ROWS:]], Permission.SEE_ACTIVITY)
