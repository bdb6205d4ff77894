"""Silence is an alarm: what stops working in school hours, and devices that are not heard any more, open an alert.

A part of the appliance counts once it has been broken for some minutes. Devices are put together in one alert, and each
is named once a day: a laptop that is shut for lunch may be silent too, and whoever reads this shall not tire of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from datetime import time as time_of_day
from typing import Protocol
from zoneinfo import ZoneInfo

from appliance.alerts.alerting import Alerts
from appliance.clock import now, parse, stamp
from appliance.db import Database, Row, Transaction
from appliance.hookspecs import Check, State

DEVICES = "Devices"
"""What an alert about devices is called."""
NAMED_MOST = 20
_APPROVED = """
SELECT endpoint.id, endpoint.device_id, endpoint.person_id, device.person_id AS holder_id, endpoint.last_seen_at,
device.name
FROM endpoints endpoint JOIN devices device ON device.id = endpoint.device_id
WHERE endpoint.state = 'approved' AND device.removed_at IS NULL AND endpoint.last_seen_at >= ?
ORDER BY device.name, device.id
"""


class SchoolHours(Protocol):
    """When the school is in."""

    def in_school(self, moment: datetime) -> bool:
        """Whether it is at this moment."""


@dataclass(frozen=True, slots=True)
class SilentDevice:
    """A device that was in use today and is not heard any more."""

    id: str
    name: str


class Silence:
    """``checks``: how the parts are. ``is_connected``: of an endpoint, by id. ``is_monitored``: a person on a device.

    ``minutes`` and ``device_minutes``: how long silence lasts before it counts; 0 for devices: never.
    """

    def __init__(
        self,
        records: Database,
        alerts: Alerts,
        checks: Callable[[], Sequence[Check]],
        hours: SchoolHours,
        timezone: str,
        minutes: int,
        device_minutes: int,
        is_connected: Callable[[str], bool],
        is_monitored: Callable[[str | None, str], bool],
        clock: Callable[[], datetime] = now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._records = records
        self._alerts = alerts
        self._checks = checks
        self._hours = hours
        self._zone = ZoneInfo(timezone)
        self._seconds = minutes * 60.0
        self._device_patience = timedelta(minutes=device_minutes)
        self._is_connected = is_connected
        self._is_monitored = is_monitored
        self._now = clock
        self._monotonic = monotonic
        self._broken_since: dict[str, float] = {}
        self._in_school_since: float | None = None

    async def look(self) -> None:
        """See what is silent, and what is heard again (a job, every minute)."""
        in_school = self._hours.in_school(self._now())
        self._in_school_since = (self._in_school_since or self._monotonic()) if in_school else None
        await self._parts(in_school)
        if self._device_patience:
            await self._devices(in_school)

    # Parts of the appliance

    async def _parts(self, in_school: bool) -> None:
        checks = [check for check in self._checks() if check.alarm]
        moment = self._monotonic()
        broken = {check.name: check for check in checks if check.state is State.BROKEN}
        since = self._broken_since if in_school else {}  # what broke at night counts from the first bell
        self._broken_since = {name: since.get(name, moment) for name in broken}
        for name, check in broken.items():
            if in_school and moment - self._broken_since[name] >= self._seconds:
                await self._open(name, check.words)
        known = {check.name for check in checks}
        for alert in await self._open_alerts():
            name = alert["category"]
            if name != DEVICES and name not in broken:
                words = "It works again." if name in known else "It is not there any more."
                await self._close(alert["id"], words)

    async def _open(self, name: str, words: str) -> None:
        async with self._records.transaction() as tx:
            if await _open_alert(tx, name) is None:
                await self._alerts.open_within(tx, kind="silence", category=name, words=words)

    async def _close(self, alert_id: str, words: str) -> None:
        async with self._records.transaction() as tx:
            await self._alerts.close_within(tx, alert_id, words)

    async def _open_alerts(self) -> list[Row]:
        return await self._records.fetch(
            "SELECT id, category, words FROM alerts WHERE kind = 'silence' AND closed_at IS NULL"
        )

    # Devices

    async def silent_devices(self) -> list[SilentDevice]:
        """Monitored devices that were in use on this school day and have been silent for too long since."""
        moment = self._now()
        local = moment.astimezone(self._zone)
        morning = datetime.combine(local.date(), time_of_day(), self._zone)
        rows = await self._records.fetch(_APPROVED, (stamp(morning),))
        heard = {row["device_id"] for row in rows if self._is_heard(row, moment)}
        return [
            SilentDevice(device, name)
            for device, name in {row["device_id"]: row["name"] for row in rows}.items()
            if device not in heard
            and any(self._is_anybody_monitored(row) for row in rows if row["device_id"] == device)
        ]

    def _is_anybody_monitored(self, row: Row) -> bool:
        """Whoever was there last, and where nobody knows who that was, whoever has the device."""
        who = row["person_id"] if row["person_id"] is not None else row["holder_id"]
        return self._is_monitored(row["person_id"], row["device_id"]) or self._is_monitored(who, row["device_id"])

    def _is_heard(self, row: Row, moment: datetime) -> bool:
        return self._is_connected(row["id"]) or moment - parse(row["last_seen_at"]) < self._device_patience

    async def _devices(self, in_school: bool) -> None:
        if not in_school:
            await self._end_of_the_day()
            return
        assert self._in_school_since is not None
        if self._monotonic() - self._in_school_since < self._device_patience.total_seconds():
            return  # who came early and shut the laptop until the first lesson is not silent yet
        silent = await self.silent_devices()
        day = self._now().astimezone(self._zone).date().isoformat()
        async with self._records.transaction() as tx:
            alert = await _open_alert(tx, DEVICES)
            named = {row["device_id"] for row in await tx.fetch(_NAMED, (day,))}
            new = [device for device in silent if device.id not in named]
            if alert is None and new:
                alert_id = await self._alerts.open_within(tx, kind="silence", category=DEVICES, words=_words(silent))
                await _name(tx, alert_id, silent, day)
            elif alert is not None and not silent:
                await self._alerts.close_within(tx, alert["id"], "All of them are heard again.")
            elif alert is not None and (new or alert["words"] != _words(silent)):
                added = f"Silent now too: {_names(new)}." if new else ""
                await self._alerts.change_within(tx, alert["id"], _words(silent), added=added)
                await _name(tx, alert["id"], new, day)

    async def _end_of_the_day(self) -> None:
        for alert in await self._open_alerts():
            if alert["category"] == DEVICES:
                await self._close(alert["id"], "The school day is over.")


_NAMED = "SELECT DISTINCT device_id FROM alert_devices WHERE day = ?"


async def _open_alert(tx: Transaction, name: str) -> Row | None:
    return await tx.fetch_one(
        "SELECT id, words FROM alerts WHERE kind = 'silence' AND category = ? AND closed_at IS NULL", (name,)
    )


async def _name(tx: Transaction, alert_id: str, devices: Sequence[SilentDevice], day: str) -> None:
    await tx.executemany(
        "INSERT INTO alert_devices VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        [(alert_id, device.id, day) for device in devices],
    )


def _words(devices: Sequence[SilentDevice]) -> str:
    one = len(devices) == 1
    return (
        f"{'One device that was' if one else f'{len(devices)} devices that were'} in use today"
        f" {'is' if one else 'are'} not heard any more: {_names(devices)}."
    )


def _names(devices: Sequence[SilentDevice]) -> str:
    shown = [device.name for device in devices[:NAMED_MOST]]
    more = len(devices) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")
