"""The appliance: its services, and the order in which they start and stop. Read it from top to bottom."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from appliance.accounts.credentials import Credentials
from appliance.accounts.joining import Joining
from appliance.accounts.second_factor import FactorKey
from appliance.accounts.sessions import Sessions
from appliance.accounts.signing_in import Memory, SigningIn
from appliance.accounts.staff import Staff
from appliance.alerts.alerting import Alerts
from appliance.alerts.silence import Silence
from appliance.assignments import Assignments
from appliance.audit import Audit
from appliance.bench.keeping import BenchStore
from appliance.bench.running import Bench
from appliance.bus import Bus
from appliance.captures.keeping import Captures
from appliance.categories import Categories
from appliance.clock_jumps import ClockJumps
from appliance.config import Config, Place, check, read_source
from appliance.containment import Containment, Note
from appliance.control import Control, Reloader
from appliance.db import Database
from appliance.detection import Detection
from appliance.endpoints.endpoints import Endpoints
from appliance.errors import ApplianceError
from appliance.exempt import Exempt
from appliance.handed_in import HandedIn
from appliance.health import Health
from appliance.hookspecs import Daily, Every, Job
from appliance.identity.saving import IdentityFiles
from appliance.keys_on_disk import FACTOR_KEY, FACTOR_KEY_BYTES, load_or_make_secret
from appliance.live import Live
from appliance.loading import page_state, resource
from appliance.looks import Looks
from appliance.migrate import CORE, migrate
from appliance.monitoring.switching import Monitoring
from appliance.names_seen import NamesSeen
from appliance.notices import Notices
from appliance.people.directory import Directory
from appliance.people.vulnerable import VulnerableList
from appliance.plugin_finder import Found, find_plugins, import_plugin, settings_model
from appliance.plugins import Plugins
from appliance.probe import Trouble
from appliance.schedule import Schedule
from appliance.second_authority import SecondAuthority
from appliance.signed_heads import SignedHeads
from appliance.timetable import Timetable
from appliance.upkeep import Retention, Soundness
from appliance.vaults import Vaults
from appliance.weighing import Weighing
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
    detection: Detection
    control: Control
    directory: Directory
    monitoring: Monitoring
    vaults: Vaults
    notices: Notices
    staff: Staff
    signing_in: SigningIn
    joining: Joining
    identity: IdentityFiles
    looks: Looks
    vulnerable: VulnerableList
    signed_heads: SignedHeads
    categories: Categories
    alerts: Alerts
    captures: Captures
    clock_jumps: ClockJumps
    endpoints: Endpoints
    second_authority: SecondAuthority
    handed_in: HandedIn
    names_seen: NamesSeen
    weighing: Weighing
    bench: Bench


def build(
    config: Config,
    found: Mapping[str, Found],
    containment: Containment,
    reloader: Reloader | None = None,
    memory: Memory | None = None,
    exempt: Exempt | None = None,
    categories: Categories | None = None,
) -> Appliance:
    """Make the services and tell them of each other. Opens nothing and starts nothing.

    ``memory``: what the generation before has kept of who is signed in. ``exempt`` and ``categories``:
    instead of those in their files, which may have changed since the settings were checked.
    """
    settings = config.settings
    state_dir, run_dir = settings.storage.state_dir, settings.storage.run_dir
    plugins = Plugins(found, containment)
    exempt = exempt or Exempt.load(config.place.resolve(settings.exempt.help_seeking_file))
    health = Health()
    records = Database(state_dir / "records.db", "full")
    activity = Database(state_dir / "activity.db", "normal")
    audit = Audit(records)
    bus = Bus(records, settings.events.retry_pauses, plugins.run)
    held, live = memory or Memory(), Live()
    vaults, notices = Vaults(records, audit), Notices(records, bus, live)
    idle, life = timedelta(minutes=settings.staff.idle_minutes), timedelta(hours=settings.staff.session_hours)
    staff = Staff(records, audit, Sessions(records, held.ring, idle, life), vaults, notices)
    factor_key = FactorKey(lambda: load_or_make_secret(state_dir / "trust", FACTOR_KEY, FACTOR_KEY_BYTES))
    credentials = Credentials(records, vaults, factor_key, held.stretcher)
    signing_in = SigningIn(records, audit, staff, credentials, vaults, notices, held.throttle)
    timetable, timezone = Timetable(settings.timetable, settings.school.timezone), settings.school.timezone
    directory = Directory(records, bus, audit)
    assignments = Assignments(records, bus, audit, settings.groups, directory)
    categories = categories or Categories.load(config.place.resolve(settings.captures.categories_file))
    alerts = Alerts(records, audit, bus, live, settings.alerts.escalate_minutes, in_school=timetable.in_school)
    kept_for = settings.captures.keep_days
    jumps = ClockJumps(records)
    captures = Captures(records, audit, vaults, alerts, categories, live, jumps, state_dir, timezone, kept_for)
    read = {"exempt": exempt, "categories": categories}
    detection = Detection(config, plugins, read, health.refresh_soon)
    monitoring = Monitoring(records, audit, assignments, directory, staff, vaults, timezone)
    weighing = Weighing(plugins, directory)
    endpoints = Endpoints(
        records, audit, directory, monitoring, plugins, exempt, live, detection, weighing, captures, config
    )
    handed_in = HandedIn(detection, captures, monitoring, exempt, endpoints.connections, endpoints.is_own, weighing)
    return Appliance(
        config=config,
        records=records,
        activity=activity,
        audit=audit,
        bus=bus,
        health=health,
        exempt=exempt,
        timetable=timetable,
        assignments=assignments,
        schedule=Schedule(settings.school.timezone, records, plugins.run),
        workers=Workers(state_dir, run_dir, plugins.run, health.refresh_soon),
        live=live,
        plugins=plugins,
        detection=detection,
        control=Control(config, records, audit, bus, reloader),
        directory=directory,
        monitoring=monitoring,
        vaults=vaults,
        notices=notices,
        staff=staff,
        signing_in=signing_in,
        identity=IdentityFiles(config, records, audit),
        joining=Joining(records, audit, staff, credentials, signing_in, vaults, notices, held.throttle),
        looks=Looks(records, audit, notices, timetable, timezone),
        vulnerable=VulnerableList(records, audit, vaults),
        signed_heads=SignedHeads(records, audit, bus, state_dir / "trust", timezone, settings.school.name),
        categories=categories,
        alerts=alerts,
        captures=captures,
        clock_jumps=jumps,
        endpoints=endpoints,
        second_authority=SecondAuthority(
            state_dir / "trust", records, audit, notices, exempt, settings.web.domain, settings.school.name
        ),
        handed_in=handed_in,
        names_seen=NamesSeen(),
        weighing=weighing,
        bench=Bench(detection, BenchStore(records)),
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
    await appliance.signed_heads.start()
    await appliance.notices.start()
    await appliance.second_authority.start()
    await appliance.staff.start()
    await appliance.staff.sessions.start()
    for keys in appliance.staff.sessions.opened():  # of the generation before
        await appliance.vaults.load_keys(keys)
    await appliance.directory.start()
    await appliance.assignments.start()
    await appliance.monitoring.start()
    await appliance.alerts.start()
    await appliance.workers.start()
    await appliance.plugins.start(appliance, troubles)
    await appliance.detection.start()
    await appliance.endpoints.start()
    await appliance.handed_in.start()
    _add_jobs(appliance)
    await appliance.schedule.start()
    await appliance.health.start()


async def stop(appliance: Appliance) -> None:
    """Stop everything, last started first. Safe after a start that failed half-way."""
    appliance.live.close()
    steps = (
        appliance.health.stop, appliance.schedule.stop, appliance.bench.stop,
        appliance.handed_in.stop, appliance.endpoints.stop,
        appliance.detection.stop,
        appliance.plugins.stop,
        appliance.bus.stop_all, appliance.identity.stop, appliance.directory.stop,
        appliance.workers.stop, appliance.activity.close, appliance.records.close,
    )  # fmt: skip
    async with AsyncExitStack() as stack:  # whatever a step raises, those after it are done, and the stores are closed
        for step in reversed(steps):
            stack.push_async_callback(_stop_part, step)


async def _stop_part(step: Callable[[], Awaitable[None]]) -> None:
    try:
        await step()
    except (ApplianceError, OSError, sqlite3.Error) as error:
        log.error("A part did not stop well: %s", error)
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError) as error:  # a mistake of ours
        log.error("A part did not stop well: %s", type(error).__name__)


def _add_jobs(appliance: Appliance) -> None:
    settings = appliance.config.settings
    soundness = Soundness(appliance.records, appliance.activity, appliance.audit, settings.storage.state_dir)
    retention = Retention(
        appliance.records, appliance.activity, appliance.bus, appliance.plugins.data, settings.events.keep_days
    )
    guarded = appliance.clock_jumps.guarded
    silence = Silence(
        appliance.records,
        appliance.alerts,
        appliance.health.checks,
        appliance.timetable,
        settings.school.timezone,
        settings.alerts.silent_minutes,
        settings.alerts.silent_device_minutes,
        is_connected=lambda endpoint: appliance.endpoints.connections.of(endpoint) is not None,
        is_monitored=lambda person, device: appliance.monitoring.is_monitored(person, device).on,
    )
    for job in (
        Job("retention", Daily(time(3, 30)), guarded(retention.run), limit=timedelta(hours=1)),
        Job("integrity check", Daily(time(4, 0)), soundness.run, limit=timedelta(hours=1)),
        Job("assignments that end", Every(timedelta(minutes=1)), appliance.assignments.end_what_is_over),
        Job("who is monitored", Every(timedelta(minutes=1)), appliance.monitoring.refresh),
        Job("second chances", Every(timedelta(seconds=10)), appliance.control.let_in_what_is_due),
        Job("settings that end", Every(timedelta(minutes=1)), appliance.control.end_what_is_over),
        Job("idle browsers", Every(timedelta(seconds=15)), appliance.staff.sessions.lock_idle),
        Job("leavers", Every(timedelta(minutes=5)), appliance.staff.end_leavers),
        Job("old notices", Daily(time(3, 45)), guarded(appliance.notices.forget)),
        Job("old imports", Every(timedelta(minutes=10)), appliance.directory.imports.forget_old),
        Job("old looks", Daily(time(3, 50)), guarded(appliance.looks.forget)),
        Job("alerts that nobody took", Every(timedelta(seconds=10)), appliance.alerts.escalate),
        Job("numbers of alerts", Every(timedelta(minutes=1)), appliance.alerts.refresh),
        Job("silence", Every(timedelta(minutes=1)), silence.look),
        Job("old captures", Every(timedelta(hours=1)), appliance.captures.forget, limit=timedelta(minutes=30)),
        Job("pictures without a capture", Daily(time(3, 55)), appliance.captures.sweep, limit=timedelta(minutes=30)),
        Job("test bench", Every(timedelta(minutes=1)), appliance.bench.run_if_due),
        Job("signing the audit", Daily(time(4, 15)), appliance.signed_heads.sign, limit=timedelta(hours=1)),
    ):
        appliance.schedule.add(CORE, job)
    for part in (
        soundness, appliance.bus, appliance.workers, appliance.plugins, appliance.detection, appliance.schedule
    ):  # fmt: skip
        appliance.health.add(part.checks)
    appliance.health.add(appliance.identity.checks)
    appliance.health.add(appliance.signed_heads.checks)
    appliance.health.add(appliance.second_authority.checks)
    appliance.health.add(appliance.captures.checks)
    appliance.health.add(appliance.handed_in.checks)
    appliance.health.add(appliance.weighing.checks)
    appliance.health.add(appliance.alerts.checks)
    appliance.health.add(appliance.endpoints.checks)
