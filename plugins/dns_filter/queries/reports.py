"""The pages about what was asked for over some time: the most asked, one device, one person, and who answered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any

from aiohttp import web

from appliance.api import Appliance, Permission, actor, gate, now, render, stamp

from ..settings import Settings
from .presenting import KEPT, VERDICTS
from .store import Filters, Store, is_address
from .views import Views
from .worker_health import WorkerHealth

TOP_ROWS = 20
ROWS_OF_DEVICE = 100
SITES_SHOWN = 300
PERIODS: Mapping[str, tuple[str, int]] = MappingProxyType({"day": ("Today", 1), "week": ("The last seven days", 7)})
"""What can be looked at: its words, and how many days that is, today included."""


class Reports:
    """Reads the store; says nothing about anybody whom the one who asks may not see."""

    def __init__(
        self,
        appliance: Appliance,
        settings: Settings,
        store: Store,
        views: Views,
        health: Callable[[], WorkerHealth | None],
    ) -> None:
        self._appliance = appliance
        self._settings = settings
        self._store = store
        self._views = views
        self._health = health

    async def top(self, request: web.Request) -> web.Response:
        """The most asked, the most blocked, and the devices with the most that was blocked."""
        period = request.query.get("period", "")
        period = period if period in PERIODS else "day"
        since = stamp(now() - timedelta(days=PERIODS[period][1] - 1))
        devices = await self._store.top_devices(since, TOP_ROWS)
        names = await self._appliance.directory.devices.names(actor(request), [one.what for one in devices])
        return render(
            request,
            "dns_filter/top.html",
            period=period,
            periods=[(key, title) for key, (title, _) in PERIODS.items()],
            full_days=self._settings.full_days,
            short=PERIODS[period][1] > self._settings.full_days,
            asked=await self._store.top_names(since, TOP_ROWS),
            stopped=await self._store.top_names(since, TOP_ROWS, stopped=True),
            devices=[(one, names.get(one.what, one.what)) for one in devices],
            kept=KEPT[self._settings.log_detail],
        )

    async def device(self, request: web.Request) -> web.Response:
        """One device: a device of the directory by its id, or an address that nobody knows."""
        of = request.query.get("of", "")[:64]
        if not of:
            raise web.HTTPNotFound
        names = await self._appliance.directory.devices.names(actor(request), [of])
        about = await self._about(request, Filters(device=of))
        sites = await self._store.sites(SITES_SHOWN, device=of)
        if of not in names and not about["rows"] and not sites and not is_address(of):
            raise web.HTTPNotFound
        return render(
            request,
            "dns_filter/device.html",
            title=names.get(of, of),
            why_for=of,
            device_page=f"/devices/{of}" if of in names else "",
            person_page="",
            sites=sites,
            **about,
        )

    async def person(self, request: web.Request) -> web.StreamResponse:
        """What somebody's devices asked for while that person was known to be there. Whoever looks says why."""
        person, who = request.query.get("id", "")[:64], actor(request)
        name = (await self._appliance.looks.names(who, [person])).get(person)
        if name is None:
            raise web.HTTPNotFound
        if (question := await gate(request, {"id": person, "name": name})) is not None:
            return question
        async with self._appliance.records.transaction() as tx:
            subject = f"person {person}"
            await self._appliance.audit.record(tx, who.name, "looked at the sites that were asked for by", subject)
        about = await self._about(request, Filters(person=person))
        return render(
            request,
            "dns_filter/device.html",
            title=name,
            why_for=next((row["profile"] for row in about["rows"]), ""),  # nobody's name stands in an address
            device_page="",
            person_page=f"/people/{person}",
            sites=await self._store.sites(SITES_SHOWN, person=person),
            **about,
        )

    async def _about(self, request: web.Request, filters: Filters) -> dict[str, Any]:
        since = stamp(now() - timedelta(days=self._settings.full_days))
        rows = await self._store.recent(ROWS_OF_DEVICE, filters, since)
        who = actor(request)
        return {
            "rows": await self._views.shown(who, rows),
            "limit": ROWS_OF_DEVICE,
            "verdicts": VERDICTS,
            "sees_people": who.may(Permission.SEE_PEOPLE),
            "summary": await self._store.summary(stamp(now() - timedelta(days=1)), filters),
            "asked": await self._store.top_names_of(filters, since, TOP_ROWS),
            "stopped": await self._store.top_names_of(filters, since, TOP_ROWS, stopped=True),
            "full_days": self._settings.full_days,
            "keep_days": self._settings.keep_days,
            "kept": KEPT[self._settings.log_detail],
        }

    async def upstreams(self, request: web.Request) -> web.Response:
        """Who answers what the filter does not know, and how well."""
        return render(
            request,
            "dns_filter/upstreams.html",
            health=self._health(),
            connected=self._appliance.workers.connected("dns_filter.dns"),
        )
