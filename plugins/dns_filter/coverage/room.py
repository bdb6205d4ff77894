"""The page that says, of each network and each kind of device, whether it is covered: to look at and to print."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from aiohttp import web

from appliance.api import Appliance, HomeCard, Page, Permission, Row, now, render, stamp

from ..blockpage.provider_views import ANSWERS
from ..network.room import Network as Listening
from ..profiles.room import Profiles
from ..queries.checks.store import Result
from ..queries.room import Queries
from ..room import Room
from ..settings import Settings
from .judging import Day, Devices, Line, Network, Place, of_devices, of_place, within

COVERAGE, LIMITS = "/dns_filter/coverage", "/dns_filter/limits"
THIS_BOX = frozenset({"127.0.0.1", "::1"})
"""The box's own questions are no device's."""


class Coverage(Room):
    """Reads what the other rooms know; keeps nothing."""

    def __init__(
        self,
        appliance: Appliance,
        settings: Settings,
        profiles: Profiles,
        queries: Queries,
        listening: Listening,
        providers: Callable[[], Awaitable[Sequence[Row]]],
    ) -> None:
        self._appliance = appliance
        self._settings = settings
        self._profiles = profiles
        self._queries = queries
        self._listening = listening
        self._providers = providers

    def pages(self) -> Sequence[Page]:
        return [Page("staff", "GET", COVERAGE, self.page, Permission.USE)]

    def panels(self) -> Sequence[HomeCard]:
        """For whoever looks after the filtering and has no place for it in the rail, such as a governor."""
        return [HomeCard("Review of the web filter", "dns_filter/review_card.html", self.card, Permission.READ_AUDIT)]

    async def card(self) -> Mapping[str, Any]:
        """Links alone."""
        return {"coverage": COVERAGE, "limits": LIMITS}

    async def page(self, request: web.Request) -> web.Response:
        """Both tables and the evidence. They have numbers, networks and days, and nobody's name."""
        since = stamp(now() - timedelta(days=1))
        day = await self._day(since)
        return render(
            request,
            "dns_filter/coverage.html",
            networks=await self._networks(day),
            devices=of_devices(await self._devices(day, since), day),
            listens=day.listens,
            today=now(),
            **await self._evidence(),
        )

    async def _evidence(self) -> dict[str, Any]:
        """What governors and heads must be shown and may not open elsewhere: days and results, and no person's name."""
        checks = self._queries.checks
        manual = await checks.last_manual()
        return {
            "provider": next(iter(await self._providers()), None),
            "answers": ANSWERS,
            "own": [(row["profile"], row["day"], Result(row["result"])) for row in await checks.last_own()],
            "manual": (manual["day"], Result(manual["result"]), manual["profile"]) if manual is not None else None,
        }

    async def _day(self, since: str) -> Day:
        store, listening = self._queries.store, self._listening
        kept = self._settings.log_detail in ("full", "no_person")
        askers = await store.askers("client", since) - THIS_BOX if kept else None
        around = {one.address for one in await listening.store.attempts(since)}
        seen = {
            address
            for device in await listening.store.devices(since)
            for address, at in device.addresses.items()
            if at >= since
        }
        return Day(askers, around, seen - set(listening.own()), listening.switch.is_on)

    async def _networks(self, day: Day) -> list[Line]:
        """Groups of networks, networks for managed devices that are in none, and all others that may ask."""
        allowed = [ipaddress.ip_network(one) for one in self._settings.allow_from]
        titles = {one.name: one.title for one in self._profiles.publishing.profiles()}
        default = self._profiles.groups.default_row()
        places = [
            Place(row.title, _parsed(row.addresses), titles[row.profile], row.mode)
            for row in await self._profiles.groups.rows()
            if row.addresses
        ]
        grouped = [network for place in places for network in place.networks]
        managed = tuple(
            one
            for one in _parsed(self._settings.sniffer.managed_networks)
            if not any(one.version == other.version and one.subnet_of(other) for other in grouped)  # type: ignore[arg-type]
        )
        if managed:
            places.append(Place("Networks for managed devices", managed, titles[default.profile], default.mode))
        named = (*grouped, *managed)
        rest = Day(
            None if day.askers is None else frozenset(day.askers) - within(day.askers, named),
            frozenset(day.around) - within(day.around, named),
            frozenset(day.seen) - within(day.seen, named),
            day.listens,
        )
        others = Place("All other networks that may ask", tuple(allowed), titles[default.profile], default.mode)
        return [*(of_place(place, allowed, day) for place in places), of_place(others, allowed, rest)]

    async def _devices(self, day: Day, since: str) -> Devices:
        listening = self._listening
        known = frozenset(row["id"] for row in await listening.store.directory())
        asked = await self._queries.store.askers("device", since)
        unknown = [one for one in await listening.store.devices(since) if listening.device_of(one.mac) is None]
        askers = day.askers or ()
        extension = await listening.store.with_extension(since) & known
        return Devices(
            all=known,
            extension=extension,
            asked=asked & known,
            strangers=len(asked - known - THIS_BOX),
            silent=sum(1 for one in unknown if not set(one.addresses) & set(askers)),
            around=len({one.who for one in await listening.store.attempts(since)}),
            lenient=self._lenient(extension & asked),
        )

    def _lenient(self, devices: frozenset[str]) -> dict[str, int]:
        """How many of these devices have which profile that blocks nothing now."""
        having, clients = self._profiles.publishing.having, self._profiles.clients
        holder, at = self._appliance.endpoints.connections.holder, now()
        found = {one: having.profile_of(holder(one), one, None, at).value for one in devices}
        for address, behind in clients.known().items():  # where it is now, its room and who is signed in count too
            for who in behind:
                if who.device in found:
                    found[who.device] = having.profile_of(who.person, who.device, address, at).value
        counted = Counter(found.values())
        lenient = [one for one in self._profiles.publishing.profiles() if one.mode != "block"]
        return {one.title: counted[one.name] for one in lenient if counted[one.name]}


def _parsed(texts: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(one) for one in texts)
