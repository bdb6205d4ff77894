"""Everything that a plugin may use: the only module of the core that plugins import. It holds no code."""

from appliance.access import Actor
from appliance.app import Appliance
from appliance.assignments import Effective, Target, TargetKind
from appliance.audit import Audit
from appliance.bus import Bus
from appliance.clock import new_id, now, parse, random_id, stamp
from appliance.config import (
    ConfigError,
    Mistake,
    Section,
    Wrong,
    WrongFile,
    WrongSettings,
    read_text,
    section_of,
    setting,
)
from appliance.db import Database, Row, Transaction
from appliance.errors import ApplianceError, CannotStart, NotReady, Refused, StoreBusy, StoreError
from appliance.events import (
    AlertRaised,
    AssignmentChanged,
    AuditHeadSigned,
    DirectoryChanged,
    Event,
    NoticeMade,
    PluginSwitchedOff,
    SettingChanged,
)
from appliance.exempt import ExemptPlace
from appliance.hookspecs import (
    Check,
    Daily,
    Data,
    Every,
    HomeCard,
    Job,
    Menu,
    Page,
    Panel,
    Permission,
    State,
    Worker,
    hook,
)
from appliance.live import Live
from appliance.net import local_addresses, port_holder, resolver_addresses
from appliance.observations import Detector, EndpointDevice, Finding, Observation, Severity, Surface
from appliance.signing import sign_rs256
from appliance.web.pages import actor, flash, read_form, redirect, render
from appliance.workers import WorkerContext, write_atomically

__all__ = [
    "Actor",
    "AlertRaised",
    "Appliance",
    "ApplianceError",
    "AssignmentChanged",
    "Audit",
    "AuditHeadSigned",
    "Bus",
    "CannotStart",
    "Check",
    "ConfigError",
    "Daily",
    "Data",
    "Database",
    "Detector",
    "DirectoryChanged",
    "Effective",
    "EndpointDevice",
    "Event",
    "Every",
    "ExemptPlace",
    "Finding",
    "HomeCard",
    "Job",
    "Live",
    "Menu",
    "Mistake",
    "NotReady",
    "NoticeMade",
    "Observation",
    "Page",
    "Panel",
    "Permission",
    "PluginSwitchedOff",
    "Refused",
    "Row",
    "Section",
    "SettingChanged",
    "Severity",
    "State",
    "StoreBusy",
    "StoreError",
    "Surface",
    "Target",
    "TargetKind",
    "Transaction",
    "Worker",
    "WorkerContext",
    "Wrong",
    "WrongFile",
    "WrongSettings",
    "actor",
    "flash",
    "hook",
    "local_addresses",
    "new_id",
    "now",
    "parse",
    "port_holder",
    "random_id",
    "read_form",
    "read_text",
    "redirect",
    "render",
    "resolver_addresses",
    "section_of",
    "setting",
    "sign_rs256",
    "stamp",
    "write_atomically",
]
