"""The page that shows what was asked for as it happens, and the card of the home page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from aiohttp import web

from appliance.api import Actor, Appliance, Permission, actor, now, render, stamp

from ..lists import shipped
from ..settings import Settings
from .log_file import csv_of, rows_of
from .presenting import KEPT, VERDICTS, Presenting
from .records import MANY_NAMES, ROWS_OF_ONE, QueryRow
from .store import Filters, Store

TOPIC = "dns_filter.queries"
"""Under which open pages hear of new queries; they name nobody."""
PEOPLE_TOPIC = "dns_filter.queries.people"
"""The same, each account with the names of those whom it may see."""

FILE = "/dns_filter/queries.csv"
ROWS_SHOWN = 200
LONGEST_FILTER = 100

_EVERY_DEVICE = Actor("the web filter", frozenset({Permission.MANAGE_PEOPLE}))
"""For live rows: whoever may see what devices ask for keeps the directory too, and finds every device."""


class Views:
    """The page of queries and the home card."""

    def __init__(self, appliance: Appliance, settings: Settings, store: Store) -> None:
        self._appliance = appliance
        self._settings = settings
        self._store = store
        self.presenting = Presenting(ZoneInfo(appliance.config.settings.school.timezone))

    async def queries(self, request: web.Request) -> web.Response:
        """The newest queries of the last day, filtered by what happened, device, group, category and name."""
        filters = await self._filters(request)
        rows = await self._store.recent(ROWS_SHOWN, filters, since=stamp(now() - timedelta(days=1)))
        sees_people = actor(request).may(Permission.SEE_PEOPLE)
        return render(
            request,
            "dns_filter/queries.html",
            rows=await self.shown(actor(request), rows),
            filters=filters,
            verdicts=VERDICTS,
            categories=[(each.key, each.title) for each in shipped.categories().values()],
            groups=[group.name for group in self._appliance.assignments.groups],
            topic=PEOPLE_TOPIC if sees_people else TOPIC,
            sees_people=sees_people,
            kept=KEPT[self._settings.log_detail],
            limit=ROWS_SHOWN,
            file=f"{FILE}?{urlencode(filters.typed())}".removesuffix("?"),
            full_days=self._settings.full_days,
            rows_of_one=ROWS_OF_ONE,
            many_names=MANY_NAMES,
            port=self._settings.port,
        )

    async def file(self, request: web.Request) -> web.Response:
        """What the page would show of all the days that are kept in full, as a file. That it was taken is on record.

        The lines are made while they are sent, after this has come back: a week takes longer than a page may.
        """
        who, filters, days = actor(request), await self._filters(request), self._settings.full_days
        async with self._appliance.records.transaction() as tx:
            detail = {"days": days, **filters.typed()}
            await self._appliance.audit.record(
                tx, who.name, "looked at, and downloaded, the query log of", "the web filter", detail
            )
        rows = rows_of(self._store, filters, now() - timedelta(days=days), now() + timedelta(minutes=1))
        sees_people = who.may(Permission.SEE_PEOPLE)
        lines = csv_of(rows, partial(self.shown, who), self.presenting.day_and_time, people=sees_people)
        named = f"queries-of-the-web-filter-{self.presenting.day_and_time(stamp())[:10]}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{named}"'}
        return web.Response(body=lines, content_type="text/csv", charset="utf-8", headers=headers)

    async def _filters(self, request: web.Request) -> Filters:
        fields = {key: request.query.get(key, "").strip()[:LONGEST_FILTER] for key in ("who", "name", "category")}
        verdict = request.query.get("verdict", "")
        called = self._appliance.directory.devices.called
        return Filters(
            verdict=verdict if verdict in VERDICTS else "",
            devices=await called(actor(request), fields["who"]) if fields["who"] else frozenset(),
            **fields,
        )

    async def shown(self, who: Actor, rows: Sequence[QueryRow]) -> list[dict[str, Any]]:
        """Rows as ``who`` may see them: with the person only for those who see records about people."""
        devices = await self._appliance.directory.devices.names(who, {row.device for row in rows if row.device})
        shown = [self.presenting.row(row, devices) for row in rows]
        if not who.may(Permission.SEE_PEOPLE):
            return shown
        people = await self._appliance.looks.names(who, {row.person for row in rows if row.person})
        return [self.presenting.with_person(one, row, people) for one, row in zip(shown, rows, strict=True)]

    async def publish(self, rows: Sequence[QueryRow]) -> None:
        """Show rows on the pages that are open now."""
        live, directory = self._appliance.live, self._appliance.directory
        devices = await directory.devices.names(_EVERY_DEVICE, {row.device for row in rows if row.device})
        shown: list[Mapping[str, Any]] = [self.presenting.row(row, devices) for row in rows]
        live.publish(TOPIC, shown, Permission.SEE_ACTIVITY)
        known = await directory.names_by_account({row.person for row in rows if row.person})
        for account, people in known.items():
            pairs = zip(shown, rows, strict=True)
            own: list[Mapping[str, Any]] = [self.presenting.with_person(one, row, people) for one, row in pairs]
            live.publish(PEOPLE_TOPIC, own, Permission.SEE_ACTIVITY, accounts=[account])

    async def card(self) -> Mapping[str, Any]:
        """The home card: the last hour."""
        summary = await self._store.summary(stamp(now() - timedelta(hours=1)))
        return {"summary": summary, "connected": self._appliance.workers.connected("dns_filter.dns")}
