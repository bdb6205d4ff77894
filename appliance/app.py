"""The appliance: its services, and the order in which they start and stop. Read it from top to bottom."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from appliance.assignments import Assignments
from appliance.audit import Audit
from appliance.bus import Bus
from appliance.config import Config, Place, check, read_source
from appliance.containment import Containment, Note
from appliance.control import Control, Reloader
from appliance.db import Database
from appliance.errors import ApplianceError
from appliance.exempt import Exempt
from appliance.health import Health
from appliance.hookspecs import Daily, Every, Job
from appliance.live import Live
from appliance.loading import page_state, resource
from appliance.migrate import CORE, migrate
from appliance.plugin_finder import Found, find_plugins, import_plugin, settings_model
from appliance.plugins import Plugins
from appliance.probe import Trouble
from appliance.schedule import Schedule
from appliance.timetable import Timetable
from appliance.upkeep import Retention, Soundness
from appliance.workers import Workers

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Appliance:
    """One generation of services, made from one set of settings. Plugins get it as ``self.appliance``."""

    config: Config
    records: Database
    activity: Database
    audit: Audit
    bus: Bus
    health: Health
    exempt: Exempt
    timetable: Timetable
    assignments: Assignments
    schedule: Schedule
    workers: Workers
    live: Live
    plugins: Plugins
    control: Control


def build(
    config: Config, found: Mapping[str, Found], containment: Containment, reloader: Reloader | None = None
) -> Appliance:
    """Make the services and tell them of each other. Opens nothing and starts nothing."""
    settings = config.settings
    state_dir, run_dir = settings.storage.state_dir, settings.storage.run_dir
    plugins = Plugins(found, containment)
    health = Health()
    records = Database(state_dir / "records.db", "full")
    activity = Database(state_dir / "activity.db", "normal")
    audit = Audit(records)
    bus = Bus(records, settings.events.retry_pauses, plugins.run)
    return Appliance(
        config=config,
        records=records,
        activity=activity,
        audit=audit,
        bus=bus,
        health=health,
        exempt=Exempt.load(config.place.resolve(settings.exempt.help_seeking_file)),
        timetable=Timetable(settings.timetable, settings.school.timezone),
        assignments=Assignments(records, bus, audit, settings.groups),
        schedule=Schedule(settings.school.timezone, records, plugins.run),
        workers=Workers(state_dir, run_dir, plugins.run, health.refresh_soon),
        live=Live(),
        plugins=plugins,
        control=Control(config, records, audit, bus, reloader),
    )


async def try_plugin(name: str, place: Place) -> None:
    """Import one plugin, make it and ask what it registers, on services that never start (the child of ``probe``)."""
    found = find_plugins(place.drop_in_dir)
    models = {name: settings_model(import_plugin(found[name], place.drop_in_dir))}
    source = read_source(place)
    config = check(source, models, page_state(source).page_values)
    with TemporaryDirectory() as folder:
        appliance = build(config, found, Containment(Note(Path(folder) / "note"), seconds=1.0))
        appliance.plugins.load(name, appliance)


async def open_stores(appliance: Appliance) -> None:
    """Open both stores and bring the core's tables up to date. Raises ``CannotStart`` or ``MigrationError``."""
    backups = appliance.config.settings.storage.state_dir / "backups"
    await appliance.records.open()
    await migrate(appliance.records, CORE, resource("migrations"), backups)
    await appliance.activity.open()
    await migrate(appliance.activity, CORE, resource("migrations") / "activity")


async def start(appliance: Appliance, troubles: Mapping[str, Trouble]) -> None:
    """Start everything on open stores. ``troubles``: plugins that failed when they were tried in a child process."""
    await appliance.assignments.start()
    await appliance.workers.start()
    await appliance.plugins.start(appliance, troubles)
    _add_jobs(appliance)
    await appliance.schedule.start()
    await appliance.health.start()


async def stop(appliance: Appliance) -> None:
    """Stop everything, last started first. Safe after a start that failed half-way."""
    appliance.live.close()
    steps = (
        appliance.health.stop, appliance.schedule.stop, appliance.plugins.stop, appliance.bus.stop_all,
        appliance.workers.stop, appliance.activity.close, appliance.records.close,
    )  # fmt: skip
    for step in steps:
        try:
            await step()
        except (ApplianceError, OSError, sqlite3.Error) as error:  # the stores must be closed all the same
            log.error("A part did not stop well: %s", error)


def _add_jobs(appliance: Appliance) -> None:
    settings = appliance.config.settings
    soundness = Soundness(appliance.records, appliance.activity, appliance.audit, settings.storage.state_dir)
    retention = Retention(
        appliance.records, appliance.activity, appliance.bus, appliance.plugins.data, settings.events.keep_days
    )
    for job in (
        Job("retention", Daily(time(3, 30)), retention.run, limit=timedelta(hours=1)),
        Job("integrity check", Daily(time(4, 0)), soundness.run, limit=timedelta(hours=1)),
        Job("assignments that end", Every(timedelta(minutes=1)), appliance.assignments.end_what_is_over),
        Job("settings that end", Every(timedelta(minutes=1)), appliance.control.end_what_is_over),
    ):
        appliance.schedule.add(CORE, job)
    for part in (soundness, appliance.bus, appliance.workers, appliance.plugins, appliance.schedule):
        appliance.health.add(part.checks)
