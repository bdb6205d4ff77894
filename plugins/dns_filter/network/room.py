"""The network around the filter: told to the worker that listens, heard from it, and shown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from appliance.api import (
    Appliance,
    Check,
    Data,
    DirectoryChanged,
    Event,
    Every,
    Job,
    NotReady,
    Page,
    Permission,
    State,
    StoreBusy,
    Worker,
    local_addresses,
    now,
    parse,
    stamp,
)

from .. import worker
from ..room import Listener, Room
from ..settings import Settings
from .heard import Heard
from .known import supplied
from .matching import Addresses, matches
from .store import Attempt, Guide, Seen, Store
from .strangers import strangers
from .switch import Switch
from .telling import Telling
from .views import Views

WORKER = "dns_filter.sniffer"
TITLE = "Listening on the network"
LEARNED_AT_ONCE = 3000
"""Network cards. With more than so many, such as somebody may invent, learning takes a moment of the whole box (0.1 s
here, several times that on a small one) and is left to the job of every minute."""


class Network(Room):
    """``busiest``: which address asked for most names since a moment, how many, and how many all did."""

    def __init__(
        self,
        appliance: Appliance,
        settings: Settings,
        busiest: Callable[[str], Awaitable[tuple[str, int, int] | None]],
    ) -> None:
        self._appliance = appliance
        self._settings = settings.sniffer
        self._allow_from = settings.allow_from
        self.store = Store(appliance.records)
        self.known = supplied().with_resolvers(settings.sniffer.other_resolvers)
        self.switch = Switch(settings.sniffer.enabled, self.store, appliance.audit)
        self.addresses = Addresses()
        self.when_changed: Callable[[], None] = lambda: None
        """Called when another device has an address, for whoever decides by devices."""
        self._names: Mapping[str, str] = {}
        self.strangers: Sequence[Seen] = ()
        self.heard = Heard()
        self._zone = ZoneInfo(appliance.config.settings.school.timezone)
        self.telling = Telling(
            appliance, self.store, self.known, settings.sniffer.alert_after, self.name_of, self._told, self.own
        )
        self._views = Views(appliance, self, settings, busiest)
        self._learning = asyncio.Lock()
        self._hosts: Mapping[str, str] = {}

    def pages(self) -> Sequence[Page]:
        views, operate = self._views, Permission.OPERATE
        return [
            Page("staff", "GET", "/dns_filter/network", views.network, Permission.SEE_ACTIVITY),
            Page("staff", "POST", "/dns_filter/network/switch", views.switch, operate),
            Page("staff", "POST", "/dns_filter/network/decide", views.decide, operate),
            Page("staff", "POST", "/dns_filter/network/undo", views.undo, operate),
            Page("staff", "POST", "/dns_filter/network/add", views.add, operate),
            Page("staff", "GET", "/dns_filter/point", views.point, operate),
            Page("staff", "GET", "/dns_filter/limits", views.limits, Permission.USE),
        ]

    def jobs(self) -> Sequence[Job]:
        return [Job("network", Every(timedelta(minutes=1)), self.look_again)]

    def workers(self) -> Sequence[Worker]:
        return [Worker("sniffer", worker.sniffer, self.receive, ("CAP_NET_RAW",), title=TITLE)]

    def listeners(self) -> Mapping[type[Event], Listener]:
        return {DirectoryChanged: self.on_directory_changed}

    def data(self) -> Sequence[Data]:
        days = self._settings.keep_days
        return [
            Data("dns_filter_network_devices", "network cards, their addresses and the names they give themselves",
                 days, "last_at"),
            Data("dns_filter_network_attempts", "which device went around the web filter, how, first, last, how often",
                 days, "last_at"),
            Data("dns_filter_network_announcers", "DHCP servers and routers, and the name servers they announce", days,
                 "last_at"),
            Data("dns_filter_network_decisions", "what IT has decided about the listening, with author and reason"),
            Data("dns_filter_network_alerts", "which open alert is about which device or router"),
        ]  # fmt: skip

    async def startup(self) -> None:
        try:
            await self.switch.read()
            await self._learn()
            await self.publish()
        except (StoreBusy, OSError) as error:
            raise NotReady(f"The listening on the network cannot begin: {error}.", "Look at the disk.") from error

    async def health(self) -> Sequence[Check]:
        if not self.strangers:
            return []
        number = len(self.strangers)
        words = (
            f"{'One device' if number == 1 else f'{number} devices'} that the directory does not know"
            f" {'was' if number == 1 else 'were'} on a network for managed devices within a day."
        )
        return [Check("Unknown devices", State.WARNING, words, "Look at “Network” of the web filter.")]

    # What others ask

    def device_at(self, address: str) -> str | None:
        """The device of the directory that has an address now, as far as the network has told. From memory."""
        return self.addresses.device_at(address, now())

    def sightings(self) -> Mapping[str, str]:
        """Address -> device of the directory, for all that was seen lately and is known for sure. From memory."""
        return self.addresses.sightings(now())

    def own(self) -> Collection[str]:
        """The name servers that devices may ask: this box and the school's own."""
        return frozenset(local_addresses()) | frozenset(self._settings.own_resolvers)

    def device_of(self, who: str) -> str | None:
        """The device of the directory behind a network card or an address."""
        return self.addresses.device_of(who) or self.device_at(who)

    def name_of(self, who: str) -> str:
        """What a device is called: as in the directory, or by its address."""
        name = self._names.get(self.device_of(who) or "")
        if name is None:
            return f"A device that the directory does not know ({who})"
        return name if self.device_at(who) or self.addresses.is_sure(who) else f"{name} (as the device calls itself)"

    # To the worker

    async def publish(self) -> None:
        """Tell the worker what it is to do."""
        await self._appliance.workers.publish(
            WORKER,
            {
                "version": 1,
                "on": self.switch.is_on,
                "interface": self._settings.interface,
                "per_second": self._settings.per_second,
                "own": list(self._settings.own_resolvers),
                "exempt": list(self._appliance.exempt.hosts()),
                "services": dict(self.known.services),
                "resolvers": list(self.known.resolvers),
                "networks": list(self._allow_from),
            },
        )

    # From the worker

    async def receive(self, records: Sequence[Mapping[str, Any]], dropped: int) -> None:
        """What the worker has noticed."""
        del dropped  # a line of the core's
        by_kind: dict[str, list[Mapping[str, Any]]] = {}
        for record in records:
            by_kind.setdefault(str(record.get("kind")), []).append(record)
        for record in by_kind.get("state", ()):
            self.heard = Heard.of(record)
        await self._see(by_kind.get("device", ()), by_kind.get("announcer", ()))
        attempts = self._attempts(by_kind.get("attempt", ()))
        if attempts:
            async with self.store.records.transaction() as tx:
                await self.store.add_attempts(tx, attempts)
            await self.telling.of_devices(attempts)

    async def _see(self, devices: Iterable[Mapping[str, Any]], guides: Iterable[Mapping[str, Any]]) -> None:
        seen = [(one["mac"], one["address"], one["host"], one["at"]) for one in devices]
        told = [
            Guide(one["by"], one["mac"], one["address"], tuple(one["resolvers"]), one["at"], one["at"])
            for one in guides
        ]
        if seen or told:
            async with self.store.records.transaction() as tx:
                await self.store.see_devices(tx, seen)
                await self.store.see_guides(tx, told)
            if told or not all(self._knows(mac, address, host) for mac, address, host, _ in seen):
                await self._learn_unless_busy()
        if told:
            await self.telling.of_guides()

    def _attempts(self, records: Iterable[Mapping[str, Any]]) -> list[Attempt]:
        """Findings of the worker, by device: several addresses of one network card are one device."""
        found: dict[tuple[str, str, str], Attempt] = {}
        for one in records:
            who, moment = self._who(one["mac"], one["address"]), (one["first"], one["last"])
            key = (who, one["way"], one["to"])
            known = found.get(key)
            first, last = (min(known.first_at, moment[0]), max(known.last_at, moment[1])) if known else moment
            count = one["count"] + (known.count if known else 0)
            found[key] = Attempt(who, one["way"], one["to"], one["address"], first, last, count)
        return list(found.values())

    def _who(self, mac: str, address: str) -> str:
        """The network card, unless others stand behind it, such as behind a router: then the address."""
        if self.addresses.uses(mac, address, now()):
            return mac
        return mac if ":" in address and not self.addresses.shows_the_way(mac) else address

    # Who is who

    async def on_directory_changed(self, event: DirectoryChanged) -> None:
        """A device was added, renamed or taken out of use."""
        if event.what == "devices":
            await self._learn()

    async def look_again(self) -> None:
        """Match devices with the directory, and close alerts about what is over (a job)."""
        await self._learn()
        await self.telling.end_what_is_over()

    def _knows(self, mac: str, address: str, host: str) -> bool:
        """Whether this was said before. That it was said again, the job takes up."""
        if mac not in self._hosts or host not in ("", self._hosts[mac]):
            return False
        return not address or self.addresses.mac_at(address, now()) == mac

    async def _learn_unless_busy(self) -> None:
        """Learn at once; with very many devices no oftener than the job."""
        if len(self._hosts) <= LEARNED_AT_ONCE:
            await self._learn()

    async def _learn(self) -> None:
        async with self._learning:
            directory = await self.store.directory()
            connected: dict[str, list[str]] = {}
            for device, links in self._appliance.endpoints.connections.by_device().items():
                connected[device] = [link.wire.address for link in links]
            found = matches(await self.store.devices(), directory, connected, now())
            if found:
                async with self.store.records.transaction() as tx:
                    for one in found:
                        await self.store.match(tx, one.mac, one.device_id, one.by)
            seen, guides = await self.store.devices(), await self.store.guides("")
            in_use = {row["id"] for row in directory}
            self._names = {row["id"]: row["name"] for row in directory}
            before = self.sightings()
            self.addresses = Addresses(seen, in_use, [guide.mac for guide in guides if guide.kind == "router"])
            self.strangers = strangers(seen, in_use, self._settings.managed_networks, stamp(now() - timedelta(days=1)))
            self._hosts = {one.mac: one.host for one in seen}
            if self.sightings() != before:
                self.when_changed()

    def _told(self, moment: str) -> str:
        local = parse(moment).astimezone(self._zone)
        return f"{local:%A} {local.day} {local:%B, %H:%M}"
