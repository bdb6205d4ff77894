"""The pages about the network: who goes around the filter, how to point devices at it, and what it cannot do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from aiohttp import web

from appliance.api import (
    Appliance,
    DeviceDetails,
    Permission,
    Refused,
    Row,
    actor,
    flash,
    lan_addresses,
    now,
    read_form,
    redirect,
    render,
    stamp,
)

from ..settings import Settings
from .matching import is_random
from .store import Attempt, Guide, Seen
from .telling import subject_of, trouble_with
from .words import GUIDES, SURE, WAYS, others_of, where

if TYPE_CHECKING:
    from .room import Network

HERE = "/dns_filter/network"
SHOWN = 200
SHOWN_FOR = timedelta(days=7)
MOST_FROM_ONE = 0.6
"""From this share of all queries on, one address speaks for the others behind it."""
FEWEST_QUERIES = 200
"""With fewer, nothing can be said of shares."""


@dataclass(frozen=True, slots=True)
class Around:
    """A device that went around the filter, with all its ways. ``decision``: what IT has said of it."""

    who: str
    name: str
    device_id: str | None
    attempts: Sequence[Attempt]
    decision: Row | None


@dataclass(frozen=True, slots=True)
class ShownGuide:
    """A DHCP server or router. ``others``: the name servers it announces beside those that devices may ask."""

    guide: Guide
    title: str
    others: Sequence[str]
    resolvers: Sequence[str]
    decision: Row | None
    is_trouble: bool


@dataclass(frozen=True, slots=True)
class Stranger:
    """A device that the directory does not know. ``managed``: it is on a network for managed devices."""

    seen: Seen
    address: str
    managed: bool
    random: bool


class Views:
    """The pages. ``busiest``: as in ``Network``."""

    def __init__(
        self,
        appliance: Appliance,
        room: Network,
        settings: Settings,
        busiest: Callable[[str], Awaitable[tuple[str, int, int] | None]],
    ) -> None:
        self._appliance = appliance
        self._room = room
        self._settings = settings
        self._busiest = busiest

    async def network(self, request: web.Request) -> web.Response:
        """Who goes around the filter, who shows devices the way, and which devices nobody knows."""
        return await self._page(request)

    async def switch(self, request: web.Request) -> web.Response:
        """Switch the listening on or off, with a reason."""
        form = await read_form(request)
        on, reason = form.get("on") == "yes", form.get("reason", "")
        if form.get("on") not in ("yes", "no"):
            return await self._page(request, {"form": "Choose whether to switch it on or off."}, reason=reason)
        try:
            await self._room.switch.choose(actor(request).name, reason, on=on)
        except Refused as refused:
            key = "form" if self._room.switch.fixed is not None else "reason"
            return await self._page(request, {key: str(refused)}, reason=reason)
        await self._room.publish()
        flash(request, "This box listens on the network now." if on else "This box does not listen any more.")
        return redirect(HERE)

    async def decide(self, request: web.Request) -> web.Response:
        """Say that a device goes around with leave, or that a router is the school's own."""
        form = await read_form(request)
        subject, value, reason = form.get("subject", ""), form.get("value", ""), form.get("reason", "").strip()
        if subject not in await self._subjects(value):
            return await self._page(request, {"form": "It is not in the list any more. Nothing was changed."})
        if not reason:
            return await self._page(request, {"form": "Say why, so that the next person understands."})
        store, who = self._room.store, actor(request).name
        async with store.records.transaction() as tx:
            await store.decide(tx, subject, value, who, reason)
            action = f"noted a network device as {value}:"
            await self._appliance.audit.record(tx, who, action, subject, {"reason": reason})
            if value == "expected":
                await self._room.telling.end_within(tx, subject, f"{who} has said that this is expected: {reason}")
        await self._room.telling.of_guides()
        flash(request, "It was noted. You can take it back below.")
        return redirect(HERE)

    async def _subjects(self, value: str) -> set[str]:
        """What can be called so."""
        if value == "expected":
            return {subject_of(one.who) for one in await self._room.store.attempts("")}
        return {one.subject for one in await self._room.store.guides("")} if value == "ours" else set()

    async def undo(self, request: web.Request) -> web.Response:
        """Take back what was said of a device or a router."""
        decision, who = (await read_form(request)).get("id", ""), actor(request).name
        store = self._room.store
        in_force = (await store.decisions()).values()
        found = [row for row in in_force if row["id"] == decision and row["value"] in ("expected", "ours")]
        if not found:
            return await self._page(request, {"form": "This was taken back already. Nothing was changed."})
        async with store.records.transaction() as tx:
            await store.undo(tx, decision, who)
            await self._appliance.audit.record(tx, who, "took back what was noted of", found[0]["subject"])
        await self._room.telling.of_guides()
        flash(request, "It was taken back.")
        return redirect(HERE)

    async def add(self, request: web.Request) -> web.Response:
        """Add a device to the directory, or say which one of it this is."""
        form = await read_form(request)
        mac, name = form.get("mac", ""), form.get("name", "").strip()
        store, directory = self._room.store, self._appliance.directory.devices
        if mac not in {one.mac for one in await store.devices()}:
            return await self._page(request, {"form": "This device is not in the list any more. Nothing was changed."})
        details = DeviceDetails(name)
        field = f"name-{mac.replace(':', '')}"
        for words in details.faults().values():
            return await self._page(request, {field: words}, typed=name)
        known = [row["id"] for row in await store.directory() if row["name"].casefold() == name.casefold()]
        if len(known) > 1:
            words = f"Several devices of the directory are called {name}. Give one of them another name first."
            return await self._page(request, {field: words}, typed=name)
        device = known[0] if known else await directory.add(actor(request), details)
        async with store.records.transaction() as tx:
            await store.match(tx, mac, device, "IT")
            who, detail = actor(request).name, {"network card": mac}
            await self._appliance.audit.record(tx, who, "recognised a device", f"device {device}", detail)
        await self._room.look_again()
        flash(request, f"It is {name} of the directory from now on.")
        return redirect(HERE)

    async def _page(
        self, request: web.Request, errors: Mapping[str, str] | None = None, reason: str = "", typed: str = ""
    ) -> web.Response:
        room, moment = self._room, now()
        since = stamp(moment - SHOWN_FOR)
        decisions = await room.store.decisions()
        unknown = await self._unknown(since)
        return render(
            request,
            "dns_filter/network.html",
            422 if errors else 200,
            errors=errors or {},
            reason=reason,
            typed=typed,
            switch=room.switch,
            connected=self._appliance.workers.connected("dns_filter.sniffer"),
            heard=room.heard,
            interface=self._settings.sniffer.interface,
            per_second=self._settings.sniffer.per_second,
            managed=self._settings.sniffer.managed_networks,
            around=await self._around(since, decisions),
            guides=await self._guides(since, decisions),
            unknown=unknown[:SHOWN],
            more_unknown=len(unknown) - SHOWN,
            ways=WAYS,
            sure=SURE,
            where=lambda to: where(to, room.known),
            keep_days=self._settings.sniffer.keep_days,
            may=actor(request).may(Permission.OPERATE),
        )

    async def _around(self, since: str, decisions: Mapping[str, Row]) -> list[Around]:
        by_device: dict[str, list[Attempt]] = {}
        for one in await self._room.store.attempts(since):
            by_device.setdefault(one.who, []).append(one)
        room = self._room
        return [
            Around(who, room.name_of(who), room.device_of(who), attempts, decisions.get(subject_of(who)))
            for who, attempts in list(by_device.items())[:SHOWN]
        ]

    async def _guides(self, since: str, decisions: Mapping[str, Row]) -> list[ShownGuide]:
        room = self._room
        found, own = await room.store.guides(since), room.own()
        return [
            ShownGuide(
                guide,
                GUIDES[guide.kind],
                [where(address, room.known) for address in others_of(guide, own)],
                [where(address, room.known) for address in guide.resolvers],
                decisions.get(guide.subject),
                trouble_with(guide, found, decisions, own, room.known) is not None,
            )
            for guide in found
        ]

    async def _unknown(self, since: str) -> list[Stranger]:
        """Devices that the directory does not know, those on networks for managed devices first."""
        managed = {one.mac for one in self._room.strangers}
        found = [
            Stranger(one, max(one.addresses, key=lambda address: one.addresses[address], default=""),
                     one.mac in managed, is_random(one.mac))
            for one in await self._room.store.devices(since)
            if self._room.addresses.device_of(one.mac) is None
        ]  # fmt: skip
        return sorted(found, key=lambda one: not one.managed)

    # Without the listening

    async def point(self, request: web.Request) -> web.Response:
        """How to make devices ask this box, and whether one address asks for all."""
        found = await self._busiest(stamp(now() - timedelta(days=1)))
        one_for_all = found is not None and found[2] >= FEWEST_QUERIES and found[1] >= MOST_FROM_ONE * found[2]
        addresses = lan_addresses()
        return render(
            request,
            "dns_filter/point.html",
            four=[address for address in addresses if ":" not in address],
            six=[address for address in addresses if ":" in address],
            port=self._settings.port,
            busiest=found if one_for_all else None,
            share=round(100 * found[1] / found[2]) if found is not None and one_for_all else 0,
            own_resolvers=self._settings.sniffer.own_resolvers,
            asked=found is not None,
        )

    async def limits(self, request: web.Request) -> web.Response:
        """What the filter does and does not do, to be printed."""
        return render(
            request,
            "dns_filter/limits.html",
            listens=self._room.switch.is_on,
            today=now(),
        )
