"""The page that shows what was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from appliance.api import Appliance, now, parse, render, stamp

from ..settings import Settings
from .store import MANY_NAMES, ROWS_OF_ONE, Filters, QueryRow, Store

TOPIC = "dns_filter.queries"
"""Under which open pages hear of new queries."""

ROWS_SHOWN = 200

VERDICTS = {
    "allowed": "Allowed",
    "blocked": "Blocked",
    "would block": "Would have been blocked (trial run)",
}


class Views:
    """The page of queries and the home card."""

    def __init__(self, appliance: Appliance, settings: Settings, store: Store) -> None:
        self._appliance = appliance
        self._settings = settings
        self._store = store
        self._zone = ZoneInfo(appliance.config.settings.school.timezone)

    async def queries(self, request: web.Request) -> web.Response:
        """The newest queries of the last day, filtered by verdict and by device or group."""
        verdict, who = request.query.get("verdict", ""), request.query.get("who", "").strip()
        filters = Filters(verdict if verdict in VERDICTS else "", who)
        rows = await self._store.recent(ROWS_SHOWN, filters, since=stamp(now() - timedelta(days=1)))
        return render(
            request,
            "dns_filter/queries.html",
            rows=[self.live_row(row) for row in rows],
            filters=filters,
            verdicts=VERDICTS,
            groups=[group.name for group in self._appliance.assignments.groups],
            topic=TOPIC,
            limit=ROWS_SHOWN,
            rows_of_one=ROWS_OF_ONE,
            many_names=MANY_NAMES,
            port=self._settings.port,
        )

    async def card(self) -> Mapping[str, Any]:
        """The home card: the last hour."""
        summary = await self._store.summary(stamp(now() - timedelta(hours=1)))
        trial = all(profile.mode == "watch" for profile in self._settings.profiles)
        return {"summary": summary, "connected": self._appliance.workers.connected("dns_filter.dns"), "trial": trial}

    def live_row(self, row: QueryRow) -> dict[str, Any]:
        """A row as the page shows it; open pages get the same."""
        return {
            "time": self._time(row.last_at),
            "client": row.client,
            "group": row.group or "no group",
            "name": row.name,
            "type": f"after {ROWS_OF_ONE} in this minute" if row.is_rest else row.type,
            "verdict": row.verdict,
            "list": "not noted" if row.is_rest else row.list or "none",
            "profile": row.profile,
            "count": row.count,
        }

    def _time(self, moment: str) -> str:
        """The time on the school's clocks; with the weekday if it was not today."""
        local = parse(moment).astimezone(self._zone)
        today = now().astimezone(self._zone).date()
        return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%a %H:%M:%S}"
