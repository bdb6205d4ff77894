"""Keeping captures: sealed before anything reaches the disk, once each, with the alert that goes with it.

The picture's file is written first and the rows after it, in one unit of work with the alert and its events. So a stop
at any moment leaves a whole capture, or nothing but a sealed file that no capture names, which is swept away later.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from appliance.access import viewers
from appliance.alerts.alerting import Alerts
from appliance.audit import Audit
from appliance.captures.judging import Judging, may_be_allowed
from appliance.captures.pictures import Pictures
from appliance.captures.reading import CONTENT, PICTURE, Reading, who_words
from appliance.captures.statuses import Status
from appliance.categories import Categories
from appliance.clock import new_id, now, parse, stamp
from appliance.clock_jumps import ClockJumps
from appliance.db import Database, Row, Transaction
from appliance.errors import StoreError
from appliance.hookspecs import Check, Permission, State
from appliance.live import Live
from appliance.observations import Finding, Observation, Severity, Surface, all_printable
from appliance.vaults import CAPTURES, Vaults

TOPIC = "appliance.captures"
TEST_DAYS = 1
TOGETHER = timedelta(minutes=30)
"""How long after the last one a device's next question for such a site still belongs to the same capture."""
CHUNK = 500
NEVER = "never"
"""State of a picture that was dropped because of what was found, before anything was written."""
_ITSELF = "the appliance"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Seen:
    """Something that a device noticed, with what detectors say of it, and who was there.

    ``claim``: how we know who it was. ``picture``: a JPEG. ``picture_state``: taken, or why there is none: hidden,
    exempt, secret, failed, none.
    """

    observation: Observation
    findings: tuple[Finding, ...]
    endpoint: str
    device: str | None
    person: str | None
    claim: str
    picture: bytes | None = field(repr=False)
    picture_state: str
    received_at: str


class Captures:
    """Everything about captures: ``reading`` them, ``judging`` them, and what is done here: keeping and deleting."""

    def __init__(
        self,
        records: Database,
        audit: Audit,
        vaults: Vaults,
        alerts: Alerts,
        categories: Categories,
        live: Live,
        jumps: ClockJumps,
        state_dir: Path,
        timezone: str,
        keep_days: int,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._records = records
        self._audit = audit
        self._vaults = vaults
        self._alerts = alerts
        self._categories = categories
        self._live = live
        self._zone = ZoneInfo(timezone)
        self._keep_days = keep_days
        self._now = clock
        self._pictures = Pictures(state_dir / "pictures")
        self._jumps = jumps
        self._missing = 0
        self.reading = Reading(records, audit, vaults, self._pictures, timezone, clock)
        self.judging = Judging(records, audit, vaults, alerts, self.reading, clock)

    # Keeping

    async def known(self, endpoint: str, observation: str) -> bool:
        """Whether what this device noticed is kept already."""
        return bool(
            await self._records.fetch_one(
                "SELECT 1 FROM captures WHERE endpoint = ? AND observation = ?", (endpoint, observation)
            )
        )

    async def keep(self, seen: Seen, *, alert: bool = False, times: int = 1) -> None:
        """Keep a capture; it is on the disk when this returns. A second time for the same observation keeps nothing.

        ``alert``: somebody must look at it whatever its severity. ``times``: how often it was seen. Raises ``Refused``
        while nobody could open it, and ``StoreError`` if the disk refuses.
        """
        seen = replace(seen, observation=all_printable(seen.observation), findings=_printable(seen.findings))
        findings = in_order(await self._not_allowed(seen))
        if not findings or await self.known(seen.endpoint, seen.observation.id):
            return
        if seen.observation.surface is Surface.NAME and await self._counted_again(seen, findings[0], times):
            return
        if all(one.is_test for one in findings):
            seen, findings = just_the_phrase(seen, findings)
        capture, worst = new_id(), findings[0]
        content = await self._vaults.seal(CAPTURES, capture, CONTENT, content_of(seen.observation, findings))
        state, picture_bytes = await self._keep_picture(capture, seen, findings)
        values = {**_columns(capture, seen, worst, state, picture_bytes), "times": times}
        try:
            kept = await self._keep_rows(capture, values, content, findings, alert)
        except (StoreError, sqlite3.Error):  # it comes again, and must not leave a picture behind each time
            await asyncio.to_thread(self._pictures.remove, [capture])
            raise
        if not kept and picture_bytes:  # the same one came twice at once, and the other was kept
            await asyncio.to_thread(self._pictures.remove, [capture])

    async def _counted_again(self, seen: Seen, worst: Finding, times: int) -> bool:
        """Whether this belongs to a capture that is there: the same found of the same device, not long before.

        One site asks for dozens of names, and a page that stands open asks for them all day. A capture that somebody
        has finished is over: what comes after it is a new one.
        """
        at = parse(seen.observation.at)
        async with self._records.transaction() as tx:
            return bool(
                await tx.execute(
                    "UPDATE captures SET times = times + ?, last_at = max(ifnull(last_at, at), ?) WHERE id ="
                    " (SELECT id FROM captures WHERE surface = 'name' AND finished_at IS NULL AND device_id IS ?"
                    " AND person_id IS ? AND policy = ? AND term = ? AND category = ? AND at <= ?"
                    " AND ifnull(last_at, at) >= ? ORDER BY at DESC LIMIT 1)",
                    (
                        *(times, seen.observation.at, seen.device, seen.person),
                        *(worst.policy, worst.term, worst.category),
                        *(stamp(at + TOGETHER), stamp(at - TOGETHER)),
                    ),
                )
            )

    async def _keep_rows(
        self,
        capture: str,
        values: dict[str, object],
        content: bytes,
        findings: Sequence[Finding],
        alert: bool,
    ) -> bool:
        """Whether it is new; all of it is on the disk then, with its alert."""
        async with self._records.transaction() as tx:
            kept = await _insert(tx, values)
            if kept:
                await tx.execute("INSERT INTO capture_contents VALUES (?, ?)", (capture, content))
                await tx.executemany(_FINDING, [_finding_row(capture, n, one) for n, one in enumerate(findings)])
                await self._alert(tx, capture, findings, alert)
                await self._show(tx, capture)
        return kept

    async def _not_allowed(self, seen: Seen) -> list[Finding]:
        """The findings without those that the school has put on its allow list for this place and for who this is."""
        observation = seen.observation
        rows = await self._records.fetch(
            "SELECT policy, term FROM capture_allowed WHERE surface = ? AND host IN ('', ?) AND removed_at IS NULL"
            " AND (group_id = '' OR group_id IN (SELECT group_id FROM group_people WHERE person_id = ?)"
            " OR group_id IN (SELECT group_id FROM group_devices WHERE device_id = ?))",
            (observation.surface.value, observation.host.lower(), seen.person, seen.device),
        )
        allowed = {(row["policy"], row["term"]) for row in rows}
        return [
            one
            for one in seen.findings
            if (one.policy, one.term) not in allowed or not may_be_allowed(one, observation.surface)
        ]

    async def _keep_picture(self, capture: str, seen: Seen, findings: Sequence[Finding]) -> tuple[str, int]:
        """Seal and write the picture, if there is one that may be kept; returns its state and the bytes of its file."""
        if not self._may_keep_picture(findings):
            return NEVER, 0
        if seen.picture is None:
            return (seen.picture_state if seen.picture_state != "taken" else "failed"), 0
        sealed = await self._vaults.seal(CAPTURES, capture, PICTURE, seen.picture)
        try:
            await asyncio.to_thread(self._pictures.write, capture, sealed)
        except OSError as error:  # what was written or read matters more than how it looked
            log.error("A picture could not be kept: %s", error.strerror or error)
            return "failed", 0
        return "taken", len(sealed)

    def _may_keep_picture(self, findings: Sequence[Finding]) -> bool:
        """One finding whose pictures must never be kept is enough to keep none; so is it if no finding asks for one."""
        lawful = all(self._categories.get(one.category).keeps_images for one in findings)
        return lawful and any(one.picture for one in findings)

    async def _alert(self, tx: Transaction, capture: str, findings: Sequence[Finding], wanted: bool) -> None:
        worst = findings[0]
        if worst.is_test or wanted or any(one.opens_alert for one in findings if not one.is_test):
            await self._alerts.open_within(
                tx,
                kind="test" if worst.is_test else "capture",
                severity=worst.severity,
                category=self._categories.title(worst.category),
                capture=capture,
            )

    # Live

    async def _show(self, tx: Transaction, capture: str) -> None:
        """Let the lists that are open now show it, to those who may see it."""
        if not self._live.watched:
            return
        row = await tx.fetch_one(_SHOWN, (capture,))
        assert row is not None
        may_see = viewers(row["person_id"])
        accounts = await tx.fetch(
            f"SELECT account.id FROM staff_accounts account WHERE {may_see.sql}",  # noqa: S608
            may_see.parameters,
        )
        told = [one["id"] for one in accounts]
        tx.after_commit.append(
            lambda: self._live.publish(TOPIC, self.live_row(row), Permission.SEE_CAPTURES, accounts=told)
        )

    def live_row(self, row: Row) -> Mapping[str, Any]:
        """A row of the list, as open pages add it."""
        severity = Severity(row["severity"])
        local = parse(row["at"]).astimezone(self._zone)
        return {
            "id": row["id"],
            "at": row["at"],
            "time": f"{local:%a} {local.day} {local:%b} {local.year}, {local:%H:%M}",
            "who": who_words(row),
            "device": row["device"] or "",
            "category": self._categories.title(row["category"]),
            "category_key": row["category"],
            "severity": severity.value,
            "severity_words": severity.label,
            "rank": severity.rank,
            "surface": Surface(row["surface"]).label,
            "surface_key": row["surface"],
            "status": row["status"],
            "status_words": Status(row["status"]).label,
            "test": "yes" if row["is_test"] else "no",
            "device_id": row["device_id"] or "",
        }

    # Deleting

    async def forget(self) -> None:
        """Delete what is over (a job): tests after a day, all others so long after they were finished.

        Nothing is deleted by a clock that has jumped forward: what it takes for old may have been finished today.
        """
        moment = self._now()
        if await self._jumps.held_until(moment) is not None:
            return
        tests, finished = stamp(moment - timedelta(days=TEST_DAYS)), stamp(moment - timedelta(days=self._keep_days))
        while (gone := await self._forget_some(tests, finished)) == CHUNK:
            pass
        if gone:
            await self._alerts.refresh()

    async def _forget_some(self, tests: str, finished: str) -> int:
        async with self._records.transaction() as tx:
            rows = await tx.fetch(
                "SELECT id, is_test, picture_bytes FROM captures WHERE is_test = 1 AND received_at < ?"
                " UNION ALL SELECT id, is_test, picture_bytes FROM captures"
                " WHERE is_test = 0 AND finished_at IS NOT NULL AND finished_at < ? LIMIT ?",
                (tests, finished, CHUNK),
            )
            if not rows:
                return 0
            await tx.executemany("DELETE FROM captures WHERE id = ?", [(row["id"],) for row in rows])
            number_of_tests = sum(row["is_test"] for row in rows)
            detail = {"captures": len(rows) - number_of_tests, "tests": number_of_tests}
            await self._audit.record(tx, _ITSELF, "deleted captures", "whose time was over", detail)
        pictures = [row["id"] for row in rows if row["picture_bytes"]]
        await asyncio.to_thread(self._pictures.remove, pictures)
        return len(rows)

    async def sweep(self) -> None:
        """Delete files of pictures that no capture names (a job), and see whether pictures are missing."""
        rows = await self._records.fetch("SELECT id FROM captures WHERE picture_bytes > 0")
        gone, self._missing = await asyncio.to_thread(self._pictures.sweep, {row["id"] for row in rows})
        if gone:
            log.info("%d files of pictures that no capture names were deleted.", gone)

    # How it is

    async def checks(self) -> list[Check]:
        """How many are kept, how much room their pictures take, and whether anybody could open a new one."""
        row = await self._records.fetch_one(
            "SELECT count(*) AS number, total(picture_bytes) AS bytes, count(nullif(picture_bytes, 0)) AS pictures"
            " FROM captures"
        )
        assert row is not None
        kept = f"{row['number']:,} kept, {row['pictures']:,} with a picture ({row['bytes'] / 1e6:,.1f} MB)."
        if not any(member["can_open"] for member in await self._vaults.members(CAPTURES)):
            words = f"Nobody can open captures, so nothing is captured. {kept}"
            return [Check("Captures", State.WARNING, words, "The safeguarding lead has to join.", alarm=True)]
        if not await asyncio.to_thread(self._pictures.has_room):
            words = f"The disk is nearly full, so captures are kept without their pictures. {kept}"
            return [Check("Captures", State.WARNING, words, "Free some room on the disk.", alarm=True)]
        held_until = await self._jumps.held(self._now())
        if held_until is not None:
            words = f"The clock has jumped, so no old capture is deleted before {stamp(held_until)[:10]}. {kept}"
            return [Check("Captures", State.WARNING, words, "Look whether date and time are right.", alarm=True)]
        if self._missing:
            words = f"{self._missing:,} pictures are missing from the disk. {kept}"
            return [Check("Captures", State.WARNING, words, "Put back the folder “pictures” from a backup.")]
        return [Check("Captures", State.GOOD, kept, alarm=True)]


# What is kept


def _printable(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    return tuple(all_printable(one) for one in findings)


def just_the_phrase(seen: Seen, findings: Sequence[Finding]) -> tuple[Seen, tuple[Finding, ...]]:
    """What is kept of a test: the phrase and the host. What stood around it is nobody's business."""
    first, observation = findings[0], seen.observation
    written = observation.text[first.start : first.end]
    kept = replace(observation, text=written, title="", address="")
    return replace(seen, observation=kept), (replace(first, start=0, end=len(written)),)


def in_order(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The worst first. What is real comes before a test phrase beside it."""
    return tuple(sorted(findings, key=lambda one: (one.is_test, one.severity.rank)))


def content_of(observation: Observation, findings: Sequence[Finding]) -> bytes:
    """What is sealed: what was written or read, and every finding in full."""
    whole = {
        "text": observation.text,
        "title": observation.title,
        "address": observation.address,
        "findings": [one.as_json() for one in findings],
    }
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def _columns(capture: str, seen: Seen, worst: Finding, picture: str, picture_bytes: int) -> dict[str, object]:
    observation = seen.observation
    return {
        "id": capture,
        "endpoint": seen.endpoint,
        "observation": observation.id,
        "at": observation.at,
        "received_at": seen.received_at,
        "device_id": seen.device,
        "person_id": seen.person,
        "claim": seen.claim,
        "surface": observation.surface.value,
        "host": observation.host.lower(),
        "application": observation.application,
        "policy": worst.policy,
        "version": worst.version,
        "term": worst.term,
        "category": worst.category,
        "severity": worst.severity.value,
        "rank": worst.severity.rank,
        "is_test": int(worst.is_test),
        "picture": picture,
        "picture_bytes": picture_bytes,
    }


async def _insert(tx: Transaction, values: dict[str, object]) -> bool:
    """Whether the row is new. A person or device that was deleted meanwhile is nobody, and no reason to lose it."""
    for table, column in (("people", "person_id"), ("devices", "device_id")):
        known = values[column]
        if known is not None and not await tx.fetch_one(f"SELECT 1 FROM {table} WHERE id = ?", (known,)):  # noqa: S608
            values = {**values, column: None}
    return bool(
        await tx.execute(
            f"INSERT INTO captures ({', '.join(values)}) VALUES ({', '.join('?' * len(values))})"  # noqa: S608
            " ON CONFLICT (endpoint, observation) DO NOTHING",
            tuple(values.values()),
        )
    )


def _finding_row(capture: str, number: int, one: Finding) -> tuple[object, ...]:
    return (
        *(capture, number, one.policy, one.version, one.term, one.category),
        *(one.severity.value, int(one.is_test)),
    )


_FINDING = "INSERT INTO capture_findings VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_SHOWN = """
SELECT capture.*, person.name AS person, device.name AS device FROM captures capture
LEFT JOIN people person ON person.id = capture.person_id LEFT JOIN devices device ON device.id = capture.device_id
WHERE capture.id = ?
"""
