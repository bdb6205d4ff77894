"""The core's own settings: everything in ``appliance.yaml`` but the sections of plugins."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from datetime import date, time
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, Field, ValidationInfo, WithJsonSchema, field_validator, model_validator

from appliance.mistakes import nearest
from appliance.sections import Section, Wrong, WrongSettings, setting

Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

_HOST_NAME = re.compile(r"(?=.{1,200}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


def _time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, not a name at all, a folder of the time zone files
        near = nearest(name, sorted(available_timezones()), likeness=0.75)
        raise WrongSettings(Wrong(f"there is no time zone {name!r}", (), "one such as Europe/London", near)) from None
    return name


def _address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise WrongSettings(Wrong(f"{text!r} is not an IP address", (), "one such as 192.168.1.10 or ::")) from None
    return text


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError:
        expected = "an address or a network such as 10.1.0.0/16"
        raise WrongSettings(Wrong(f"{text!r} is not a network", (), expected, _network_around(text))) from None
    return text


def _network_around(text: str) -> str:
    """``10.1.2.3/16`` -> ``10.1.0.0/16``: the host part of a network is zero."""
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        return ""


def _host_name(text: str) -> str:
    if not _HOST_NAME.fullmatch(text):
        raise WrongSettings(Wrong(f"{text!r} is not a domain name", (), "lower-case letters, digits, hyphens and dots"))
    return text


def _school_time(moment: time) -> time:
    if moment.tzinfo is not None:
        raise WrongSettings(Wrong("a time zone stands in this time", (), "a time alone; the zone is school.timezone"))
    return moment


def _anchored(path: Path, info: ValidationInfo) -> Path:
    """A relative folder starts at the folder of the settings file, wherever the program was started."""
    folder: Path | None = (info.context or {}).get("config_dir")
    return path if folder is None else folder / path


TimeZone = Annotated[str, AfterValidator(_time_zone)]
AddressText = Annotated[str, AfterValidator(_address)]
NetworkText = Annotated[str, AfterValidator(_network)]
HostName = Annotated[str, AfterValidator(_host_name)]
_CLOCK = {"type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?$"}
SchoolTime = Annotated[time, AfterValidator(_school_time), WithJsonSchema(_CLOCK)]  # "time" asks for a zone there
Folder = Annotated[Path, AfterValidator(_anchored)]
Pause = Annotated[float, Field(ge=0, le=604_800)]


class SchoolSettings(Section):
    """The school."""

    name: str = setting("", "Name of the school, shown on every page.", max_length=100)
    banner: str = setting(
        "",
        "A line at the top of every page, for a box that is not in earnest: a demonstration or a test.",
        max_length=200,
    )
    timezone: TimeZone = setting(
        "Europe/London", "Time zone of the school, in which all times here and on pages are meant."
    )


class _Days(Section):
    first_day: date = setting(..., "First day.")
    last_day: date = setting(..., "Last day, which is still part of it.")

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last_day < self.first_day:
            expected = f"{self.first_day} (first_day) or later"
            raise WrongSettings(Wrong(f"{self.last_day} lies before the first day", ("last_day",), expected))
        return self


class Term(_Days):
    """A term: days on which school is in, weekends and closures left out."""

    name: str = setting(..., "Name of the term.", min_length=1, max_length=100)


class Closure(_Days):
    """Days on which school is closed although a term runs."""

    why: str = setting("", "Why school is closed, for pages.", max_length=200)


class Hours(Section):
    """When school is in on a day. An end that is not later than the start lies on the next day."""

    start: SchoolTime = setting(..., "When school begins.")
    end: SchoolTime = setting(..., "When school is over.")


_SCHOOL_HOURS = Hours(start=time(8, 30), end=time(15, 30))


class TimetableSettings(Section):
    """When school is in."""

    terms: tuple[Term, ...] = setting(
        (), "Terms: `name`, `first_day`, `last_day`. Without any, every day that has hours is a school day."
    )
    closures: tuple[Closure, ...] = setting(
        (), "Days on which school is closed within a term: `first_day`, `last_day`, `why`."
    )
    hours: dict[Weekday, Hours] = setting(
        dict.fromkeys(("monday", "tuesday", "wednesday", "thursday", "friday"), _SCHOOL_HOURS),
        "`start` and `end` of school for each weekday that has school. An end that is not later than the start lies "
        "on the next day.",
    )

    @field_validator("terms")
    @classmethod
    def _terms_apart(cls, terms: tuple[Term, ...]) -> tuple[Term, ...]:
        found = [
            Wrong(f"this term overlaps {one.name!r} ({one.first_day} to {one.last_day})", (index,))
            for (_, one), (index, other) in combinations(enumerate(terms), 2)
            if one.first_day <= other.last_day and other.first_day <= one.last_day
        ]
        _raise_if_any(found)
        return terms


class StorageSettings(Section):
    """Where the appliance keeps its files."""

    state_dir: Folder = setting(
        Path("/var/lib/appliance"), "Folder of the databases, backups and keys.", trial="{trial}", page=False
    )
    run_dir: Folder = setting(
        Path("/run/appliance"), "Folder of sockets and notes between processes.", trial="{trial}/run", page=False
    )


class WebSettings(Section):
    """The web pages."""

    listen: tuple[AddressText, ...] = setting(
        ("0.0.0.0", "::"),  # noqa: S104 - every device of the school opens these pages
        "IP addresses on which pages are served; `0.0.0.0` and `::` are all of them.",
        min_length=1,
    )
    port: int = setting(443, "Port of the pages (HTTPS).", trial=8443, ge=1, le=65535)
    http_port: int = setting(
        80,
        "Port for plain HTTP: it leads browsers that were sent here by the web filter to the page that says why a site "
        "is blocked, and everybody else to HTTPS; 0: none.",
        trial=8480,
        ge=0,
        le=65535,
    )
    domain: HostName = setting(
        "safeguarding.internal", "Domain of the pages, as in https://staff.DOMAIN.", trial="localhost"
    )
    header_seconds: float = setting(
        8.0, "How long a browser may take to send the head of a request.", unit="seconds", gt=0, le=600
    )
    body_seconds: float = setting(
        30.0, "How long a browser may take to send the rest of a request.", unit="seconds", gt=0, le=3600
    )
    connections: int = setting(2500, "Most connections at the same time.", ge=1, le=100_000)
    max_body_kib: int = setting(
        1024, "Largest request that is accepted, pictures aside.", unit="KiB", ge=1, le=1024 * 1024
    )

    @model_validator(mode="after")
    def _ports_apart(self) -> Self:
        if self.http_port == self.port:
            message = f"port {self.port} is the one for HTTPS (web.port)"
            raise WrongSettings(Wrong(message, ("http_port",), "another port, or 0 for none"))
        return self


class StaffSettings(Section):
    """Signing in to the staff pages."""

    idle_minutes: int = setting(
        15,
        "After how long a browser that nobody uses is locked. A password opens it again.",
        unit="minutes",
        ge=1,
        le=60,
    )
    session_hours: int = setting(
        10, "How long somebody stays signed in at most, used or not.", unit="hours", ge=1, le=24
    )


class GroupSettings(Section):
    """A group of devices, known by their addresses."""

    name: str = setting(
        ..., "Name of the group in settings: a-z, 0-9, - and _.", pattern=r"^[a-z0-9_-]+$", max_length=40
    )
    title: str = setting("", "Name of the group on pages; empty: its name.", max_length=100)
    addresses: tuple[NetworkText, ...] = setting((), "Addresses and networks of the group's devices.")


class ExemptSettings(Section):
    """Places that nothing reads, pictures, logs or counts."""

    help_seeking_file: Path = setting(
        Path("help_seeking.yaml"),
        "The list of help-seeking sites. A relative path starts at the folder of this file.",
        page=False,
    )


class EventSettings(Section):
    """Messages between the parts of the appliance."""

    retry_pauses: tuple[Pause, ...] = setting(
        (1.0, 5.0, 30.0, 120.0, 600.0, 3600.0),
        "How long to wait before each new try to deliver a message that a part of the appliance could not take. After "
        "the last try it is put aside and shown in red.",
        unit="seconds",
    )
    keep_days: int = setting(30, "How long delivered messages are kept.", unit="days", ge=1, le=3650)


class DetectionSettings(Section):
    """Judging what devices noticed."""

    test_phrase: str = setting(
        "purple penguins juggle pineapples",
        "A harmless phrase that always raises a capture marked Test, on any enrolled device: four words or more that "
        "nobody writes by chance.",
        min_length=12,
        max_length=100,
    )
    judge_seconds: float = setting(
        2.0,
        "How long a detector may take for one observation. One that takes longer is ended and started again.",
        unit="seconds",
        gt=0,
        le=60,
    )
    load_seconds: float = setting(
        60.0,
        "How long the detectors of one plugin may take to be made ready. A small box needs some seconds for "
        "the words of "
        "all policies.",
        unit="seconds",
        ge=0.1,
        le=600,
    )


class AlertSettings(Section):
    """What a responsible adult must look at."""

    escalate_minutes: int = setting(
        15,
        "How long an alert may wait for somebody to take it before it goes on: from the safeguarding lead to the "
        "deputies, then to the head.",
        unit="minutes",
        ge=1,
        le=240,
    )
    silent_minutes: int = setting(
        5,
        "How long a part of the appliance (DNS, mail, detection) may be broken in school hours before an alert is "
        "opened.",
        unit="minutes",
        ge=1,
        le=240,
    )
    silent_device_minutes: int = setting(
        30,
        "How long a monitored device that was in use on this school day may be silent in school hours before an alert "
        "is opened; 0: never.",
        unit="minutes",
        ge=0,
        le=600,
    )


class CaptureSettings(Section):
    """What is kept for people to judge."""

    keep_days: int = setting(365, "How long a capture is kept after it was resolved.", unit="days", ge=1, le=3650)
    categories_file: Path = setting(
        Path("categories.yaml"),
        "What categories are called, whether their pictures are hidden or never kept, and what to do first. A relative "
        "path starts at the folder of this file; where there is no such file, the one that came with the appliance "
        "counts.",
        page=False,
    )


class LimitSettings(Section):
    """How long parts of the appliance may take."""

    hook_seconds: float = setting(10.0, "How long a plugin may take to answer.", unit="seconds", ge=0.1, le=600)
    probe_seconds: float = setting(
        20.0,
        "How long a plugin may take to be loaded; one that comes with the appliance ten times as long, because a small "
        "box reads the words of all policies for the first time.",
        unit="seconds",
        ge=0.1,
        le=600,
    )
    stall_seconds: float = setting(
        10.0,
        "How long the main process may stand still before it is started again without the plugin at fault.",
        unit="seconds",
        ge=1,
        le=600,
    )


class Settings(Section):
    """The settings of the safeguarding appliance."""

    school: SchoolSettings = Field(default_factory=SchoolSettings)
    timetable: TimetableSettings = Field(default_factory=TimetableSettings)
    storage: StorageSettings = Field(default_factory=StorageSettings)
    web: WebSettings = Field(default_factory=WebSettings)
    staff: StaffSettings = Field(default_factory=StaffSettings)
    groups: tuple[GroupSettings, ...] = setting(
        (), "Groups of devices: `name`, `title`, `addresses`. The most specific network that holds an address decides."
    )
    exempt: ExemptSettings = Field(default_factory=ExemptSettings)
    events: EventSettings = Field(default_factory=EventSettings)
    detection: DetectionSettings = Field(default_factory=DetectionSettings)
    captures: CaptureSettings = Field(default_factory=CaptureSettings)
    alerts: AlertSettings = Field(default_factory=AlertSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    plugins: dict[str, dict[str, Any]] = setting(
        {}, "The plugins that run, each with its settings. A plugin that is not named here does not run.", page=False
    )

    @field_validator("groups")
    @classmethod
    def _groups_apart(cls, groups: tuple[GroupSettings, ...]) -> tuple[GroupSettings, ...]:
        _raise_if_any([*_names_used_twice(groups), *_networks_used_twice(groups)])
        return groups


def _names_used_twice(groups: Sequence[GroupSettings]) -> list[Wrong]:
    names = [group.name for group in groups]
    return [
        Wrong(f"another group is called {name!r} too", (index, "name"), "a name of its own")
        for index, name in enumerate(names)
        if name in names[:index]
    ]


def _networks_used_twice(groups: Sequence[GroupSettings]) -> list[Wrong]:
    owners: dict[object, str] = {}
    found = []
    for index, group in enumerate(groups):
        for place, text in enumerate(group.addresses):
            network = ipaddress.ip_network(text)
            if network in owners:
                message = f"{text} belongs to the group {owners[network]!r} already"
                found.append(Wrong(message, (index, "addresses", place), "each network once"))
            owners.setdefault(network, group.name)
    return found


def _raise_if_any(found: Sequence[Wrong]) -> None:
    if found:
        raise WrongSettings(*found)
