"""Everything about browsers on school devices, put together."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

from appliance.audit import Audit
from appliance.captures.keeping import Captures
from appliance.clock import now
from appliance.config import Config, Settings
from appliance.db import Database
from appliance.detection import Detection
from appliance.endpoints.connections import Connections
from appliance.endpoints.enrolment import Enrolment
from appliance.endpoints.extension import Extension
from appliance.endpoints.intake import Intake, IntakeKey
from appliance.endpoints.tokens import Tokens
from appliance.exempt import Exempt
from appliance.hookspecs import Check, Permission, Site, State
from appliance.live import Live
from appliance.monitoring.switching import Monitoring
from appliance.net import lan_addresses
from appliance.people.directory import Directory
from appliance.plugins import Plugins
from appliance.weighing import Weighing

TOPIC = "appliance.endpoints"
"""Live: browsers that have come to wait, or were let in at once."""
ADDRESSES_SECONDS = 60.0
CHECK = "Browsers on devices"


class Endpoints:
    """``tokens``, ``enrolment``, ``extension``, ``intake`` and ``connections``. ``start`` before use."""

    def __init__(
        self,
        records: Database,
        audit: Audit,
        directory: Directory,
        monitoring: Monitoring,
        plugins: Plugins,
        exempt: Exempt,
        live: Live,
        detection: Detection,
        weighing: Weighing,
        captures: Captures,
        config: Config,
    ) -> None:
        settings = config.settings
        self._trust: Path = settings.storage.state_dir / "trust"
        self._live = live
        self._zone = ZoneInfo(settings.school.timezone)
        self._own = _Own(settings)
        self._exempt_hosts = list(exempt.hosts())
        self._key: Mapping[str, Any] = {}
        self.tokens = Tokens(records, audit)
        self.enrolment = Enrolment(records, audit, directory.devices)
        self.enrolment.arrived = self._arrived
        self.extension = Extension(
            records, settings.storage.state_dir, plugins.folders, exempt, config, plugins.browser_files
        )
        self.intake = Intake(
            detection,
            captures,
            monitoring,
            exempt,
            self._own.has,
            self.enrolment.passed_test,
            weighing,
        )
        networks = [ipaddress.ip_network(text) for group in settings.groups for text in group.addresses]
        self.connections = Connections(
            self.enrolment,
            directory,
            monitoring,
            plugins,
            networks,
            self.intake,
            self._common,
            lambda: self.extension.version,
            live.closing,
            self.extension.sign,
        )

    async def start(self) -> None:
        """Load the key, pack the extension, and let browsers come. TrustError if a key was lost."""
        key = IntakeKey.load(self._trust)
        self._key = key.for_browsers()
        self.intake.start(key, self.connections)
        await self.extension.start()
        await self.connections.start()

    def is_own(self, host: str) -> bool:
        """Whether a host is the box's own."""
        return self._own.has(host)

    async def stop(self) -> None:
        """Let everybody go."""
        await self.connections.stop()

    def _common(self) -> Mapping[str, Any]:
        return {"intake": self._key, "exempt": self._exempt_hosts, "own": self._own()}

    def _arrived(self, browser: Mapping[str, str]) -> None:
        shown = {**browser, "time": f"{now().astimezone(self._zone):%H:%M}"}
        self._live.publish(TOPIC, shown, Permission.OPERATE)

    async def checks(self) -> list[Check]:
        """How many browsers are there, and whether one of them is a copy."""
        counts = await self.enrolment.counts()
        if self.connections.is_late:
            words = "Browsers are not told what changes: who is monitored, and what they are to look for."
            return [Check(CHECK, State.BROKEN, words, "Look at the disk and the log.", alarm=True)]
        if not any(counts.values()):
            return []
        words = f"{counts['approved']} let in, {self.connections.count} connected now, {counts['waiting']} waiting."
        if counts["copied"]:
            words += f" {counts['copied']} may be copies of another one: a profile was copied from device to device."
            todo = "Open Devices: those that are copies say so. Remove their profile there and let them come again."
            return [Check(CHECK, State.WARNING, words, todo, alarm=True)]
        return [Check(CHECK, State.GOOD, words, alarm=True)]


class _Own:
    """The hosts and addresses of the box's own pages; addresses are asked for now and then."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        domain = settings.web.domain
        self._names = [f"{site}.{domain}" for site in get_args(Site)]
        self._domain = domain if domain != "localhost" else ""
        self._clock = clock
        self._found: list[str] = []
        self._due = 0.0

    def __call__(self) -> list[str]:
        """The same list as long as nothing has changed."""
        if not self._found or self._clock() >= self._due:
            fresh = [*self._names, *lan_addresses()]
            self._due = self._clock() + ADDRESSES_SECONDS
            if fresh != self._found:
                self._found = fresh
        return self._found

    def has(self, host: str) -> bool:
        """Whether a host is the box's own. Of the bare domain itself alone: below it may be pages of the school."""
        return host == self._domain or any(host == one or host.endswith(f".{one}") for one in self())
