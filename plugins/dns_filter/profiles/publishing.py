"""Gives the DNS worker what applies now, soon after anything has changed, and never twice the same."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from appliance.api import Appliance, ApplianceError, DnsClient, now, stamp

from ..answerer.rules import judge
from ..answerer.table import Table, TableError
from ..answerer.wire import to_wire
from ..answerer.world import Policy, World, WorldError
from ..lists.room import WORKER, Lists
from ..queries.checks.addresses import addresses
from ..settings import Settings
from .choices import choices_of
from .clients import Clients, Who
from .having import Having
from .here import first_of_each, own_addresses, own_records
from .model import Choices, Profile, profile_of
from .overlays import Overlays, checked
from .policies import Basis
from .snapshot import School, build
from .store import Store
from .targets import Targets

SETTLE_SECONDS = 0.2
"""How long changes are collected before they are written: a class that signs in is one change."""
ASK_SECONDS = 3.0
"""How often other plugins are asked what they want for each client."""
LATEST_SECONDS = 60.0
"""It is looked again after this time in any case."""
SLICE = 50
VERDICTS_FILE = "verdicts.json"
FAILURES = (ApplianceError, OSError, sqlite3.Error)

log = logging.getLogger(__name__)


class Publishing:
    """``start`` before use. ``reached_at``: the addresses at which devices reach this box."""

    def __init__(self, appliance: Appliance, settings: Settings, lists: Lists, store: Store) -> None:
        self._appliance = appliance
        self._settings = settings
        self._lists = lists
        self.store = store
        self.having = Having(appliance, settings)
        self.targets = Targets(appliance)
        self.clients = Clients(appliance)
        self.reached_at: Callable[[], Sequence[str]] = partial(own_addresses, appliance.config.settings.web.listen)
        self.overlays = Overlays()
        self.written: Mapping[str, Any] = {}
        self.trouble = ""
        """Why the worker does not have what applies; empty: it has."""
        self._world: World | None = None
        self._table: Table | None = None
        self._table_name = ""
        self._changed = asyncio.Event()
        self._publishing = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None
        self.having.declare(self.profiles())

    # What applies

    @property
    def choices(self) -> Choices:
        """What profiles can choose from now."""
        return choices_of(self._lists)

    def basis(self) -> Basis:
        """What policies are made of now."""
        return Basis(
            profiles=self._settings.profiles,
            choices=self.choices,
            in_force=self.store.in_force,
            own=self._own_domain(),
            page=first_of_each(self.reached_at()),
            verdicts=self._asks_verdicts(),
        )

    def profiles(self) -> list[Profile]:
        """Every profile as it is now, in the order of the settings."""
        basis, moment = self.basis(), stamp()
        return [basis.profile(one.name, moment) for one in self._settings.profiles]

    def profile_without(self, name: str, change_id: str) -> Profile:
        """A profile as it would be if one change of it were undone, with all that is undone with it."""
        written = next(one for one in self._settings.profiles if one.name == name)
        changes = self.store.in_force.changes_of(name, stamp())
        undone = {(one.switch, one.set_at) for one in changes if one.id == change_id}
        return profile_of(written, [one for one in changes if (one.switch, one.set_at) not in undone], self.choices)

    def school(self) -> School:
        """Everything that the snapshot is made of."""
        reached_at, for_somebody = self.reached_at(), self.store.in_force.for_somebody()
        return School(
            settings=self._settings,
            basis=self.basis(),
            exempt=self._appliance.exempt.hosts(),
            networks=self.having.networks(),
            clients=self.clients.known(),
            decide=self.having.profile_of,
            rank=self.having.rank,
            overlays=self.overlays.of,
            own=self.targets.counting(for_somebody),
            reached_at=reached_at,
            extra_local=own_records(self._appliance.config.settings.web.domain, reached_at),
            self_test=addresses(one.name for one in self._settings.profiles),
        )

    def mapping(self) -> dict[str, Any]:
        """The snapshot of this moment."""
        self.having.declare(self.profiles())  # a switch may have changed which profile is the strictest
        return build(self.school(), now())

    def _own_domain(self) -> str:
        domain = self._appliance.config.settings.web.domain
        return domain if "." in domain else ""

    def _asks_verdicts(self) -> bool:
        return bool(self._appliance.plugins.with_hook("dns_verdict"))

    def _verdicts_in_force(self) -> bool:
        return _asked_in(self.written)

    # Publishing

    async def start(self) -> None:
        """Read what was set, publish, and go on doing so."""
        await self.store.start()
        self._appliance.endpoints.connections.when_changed(self.soon)
        await self.publish()
        self._task = asyncio.create_task(self._keep_up(), name="snapshots of the web filter")
        self._asking = asyncio.create_task(self._keep_asking(), name="overlays of the web filter")

    async def stop(self) -> None:
        """End what goes on."""
        tasks = [task for task in (self._task, self._asking) if task is not None]
        self._task = self._asking = None
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def soon(self) -> None:
        """Something has changed."""
        self._changed.set()

    async def publish(self) -> None:
        """Give the worker what applies now, if it is not what it has. What cannot be written is tried again."""
        async with self._publishing:
            try:
                await self._appliance.endpoints.connections.learn()
                mapping = self.mapping()
                if mapping != self.written:
                    await self._write_verdicts(mapping)
                    await self._appliance.workers.publish(WORKER, mapping)
                    self.written, self._world = mapping, None
            except FAILURES as error:
                self.trouble = str(error)
                self.soon()
                raise
            self.trouble = ""

    async def _write_verdicts(self, mapping: Mapping[str, Any]) -> None:
        """Settings and names of the plugins that the verdict process is to ask, for ``appliance verdicts``."""
        if _asked_in(mapping):
            plugins = self._appliance.plugins.with_hook("dns_verdict")
            data = {"plugins": plugins, "settings": self._appliance.config.data()}
            await self._appliance.workers.leave(WORKER, VERDICTS_FILE, data)

    async def _keep_up(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds_to_next_end()):
                    await self._changed.wait()
                    await asyncio.sleep(SETTLE_SECONDS)
            self._changed.clear()
            try:
                await self.publish()
            except FAILURES as error:
                log.warning("What applies to devices could not be written: %s", error)
                await asyncio.sleep(1.0)
                self._changed.set()

    def _seconds_to_next_end(self) -> float:
        """Until the first link of a chain is over, so that pages and the log name what applies."""
        chains = [*self.written.get("clients", {}).values(), self.written.get("default", [])]
        chains += [part["chain"] for part in self.written.get("ranges", ())]
        ends = [link[1] for chain in chains for link in chain[:1] if link[1] is not None]
        left = min(ends, default=float("inf")) - now().timestamp()
        return min(max(left, 0.05), LATEST_SECONDS)

    # What other plugins want

    async def _keep_asking(self) -> None:
        while True:
            try:
                if await self.ask_plugins() or self._asks_verdicts() != self._verdicts_in_force():
                    self.soon()
            except FAILURES as error:
                log.warning("Plugins could not be asked about clients: %s", error)
            await asyncio.sleep(ASK_SECONDS)

    async def ask_plugins(self) -> bool:
        """Ask every plugin about every client that is known; whether something is other than before."""
        plugins = self._appliance.plugins.with_hook("dns_overlay")
        known = self.clients.known() if plugins else {}
        changed = self.overlays.keep_only(known)
        names = {profile.name for profile in self._settings.profiles}
        for number, (address, behind) in enumerate(known.items()):
            changed |= await self._ask_about(address, behind, plugins, names)
            if number % SLICE == 0:
                await asyncio.sleep(0)
        return changed

    async def _ask_about(self, address: str, behind: list[Who], plugins: list[str], names: set[str]) -> bool:
        answers = {}
        for who in behind:
            given = await self._appliance.plugins.dns_overlays(DnsClient(address, who.device, who.person))
            for plugin, overlay in given.items():
                try:
                    answers[plugin, who] = checked(overlay, names) if overlay is not None else None
                except ValueError as error:
                    log.warning("What %s wants for a client is left out: %s", plugin, error)
        return self.overlays.take(address, answers, {(plugin, who) for plugin in plugins for who in behind})

    # For explaining

    def world(self) -> World:
        """What the worker decides by. Raises ``ApplianceError`` in words if it cannot be read here."""
        if self._world is None:
            try:
                self._world = World.of(self.written, self.table())
            except WorldError as error:
                raise ApplianceError(f"What applies cannot be read: {error}") from error
        return self._world

    def policy_of(self, parts: Mapping[str, Any], key: str) -> Policy | None:
        """A policy that nobody has at this moment, made of its parts."""
        try:
            policies = {**self.written["policies"], **parts}
            return World.of({**self.written, "policies": policies}, self.table()).policies.get(key)
        except (WorldError, KeyError):
            return None

    def would_stop(self, key: str, name: str) -> bool:
        """Whether a policy blocks a name, or would if it were no trial run; no if that cannot be known here."""
        try:
            policy = self.world().policies.get(key)
        except ApplianceError:
            return False
        return policy is not None and judge(to_wire(name), policy)[0].verdict == policy.stop

    def table(self) -> Table | None:
        """The names of all lists, as the worker has them; ``None``: there is no list. Raises ``ApplianceError``."""
        name = str(self.written.get("table", ""))
        if name != self._table_name:
            try:
                self._table = (
                    Table.open(self._appliance.workers.folder(WORKER) / "lists" / f"{name}.table") if name else None
                )
            except (TableError, OSError) as error:
                raise ApplianceError(f"The lists cannot be read: {error}") from error
            self._table_name = name
        return self._table

    def locked_lists_of(self, domain: str) -> list[str]:
        """Titles of the locked lists that name a domain or something above it."""
        locked = {one.name: one.title or one.name for one in self.choices.lists if one.locked}
        table = self.table() if locked else None
        if table is None:
            return []
        found = set()
        name = to_wire(domain)
        while name != b"\0":
            for listed, _ in table.sets[table.find(name)] if table.find(name) else ():
                found.add(listed)
            name = name[name[0] + 1 :]
        return [title for listed, title in locked.items() if listed in found]


def _asked_in(mapping: Mapping[str, Any]) -> bool:
    return any(part["verdicts"] for part in mapping.get("policies", {}).values())
