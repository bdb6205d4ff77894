"""Everything that a plugin may use: the only module of the core that plugins import. It holds no code."""

from appliance.access import Actor, Role
from appliance.app import Appliance
from appliance.assignments import Effective, Target, TargetKind
from appliance.audit import Audit
from appliance.bench.keeping import BenchRun
from appliance.bench.scoring import Score as BenchScore
from appliance.bench.sentences import BenchSentence, bench_sentences
from appliance.bus import Bus
from appliance.captures.reading import Filter as CaptureFilter
from appliance.captures.reading import TermCount
from appliance.categories import HIDDEN_CATEGORIES
from appliance.clock import new_id, now, parse, random_id, stamp
from appliance.codes import new_code, plain_code
from appliance.config import (
    ConfigError,
    Hours,
    Mistake,
    Section,
    TimetableSettings,
    Wrong,
    WrongFile,
    WrongSettings,
    read_text,
    section_of,
    setting,
)
from appliance.db import Database, Row, Transaction
from appliance.endpoints.connections import CLAIMS
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
from appliance.finding_rules import LONGEST_CLIP, LONGEST_SENTENCE
from appliance.handed_in import NameAsked
from appliance.hookspecs import (
    Argument,
    Check,
    Circumstances,
    Command,
    Daily,
    Data,
    DnsClient,
    Every,
    Fact,
    HomeCard,
    Job,
    Menu,
    Overlay,
    Page,
    Panel,
    Permission,
    State,
    Task,
    Verdict,
    Worker,
    hook,
)
from appliance.keys_on_disk import load_or_make_secret, read_private
from appliance.live import Live
from appliance.net import lan_addresses, local_addresses, port_holder, resolver_addresses
from appliance.observations import SURFACES_BY_NAME, Detector, EndpointDevice, Finding, Observation, Severity, Surface
from appliance.people.devices import DeviceDetails
from appliance.sealing import Keys, unwrap, wrap
from appliance.signing import PublicKey, SigningKey, sign_rs256
from appliance.timetable import Timetable
from appliance.web.looks_views import gate
from appliance.web.pages import actor, flash, keys, read_form, redirect, render
from appliance.web.templating import local_date, local_time
from appliance.web.uploads import read_upload
from appliance.whole_files import write_atomically
from appliance.worker_link import WorkerContext
from appliance.yamlfile import load_shipped_yaml

__all__ = [
    "CLAIMS",
    "HIDDEN_CATEGORIES",
    "LONGEST_CLIP",
    "LONGEST_SENTENCE",
    "SURFACES_BY_NAME",
    "Actor",
    "AlertRaised",
    "Appliance",
    "ApplianceError",
    "Argument",
    "AssignmentChanged",
    "Audit",
    "AuditHeadSigned",
    "BenchRun",
    "BenchScore",
    "BenchSentence",
    "Bus",
    "CannotStart",
    "CaptureFilter",
    "Check",
    "Circumstances",
    "Command",
    "ConfigError",
    "Daily",
    "Data",
    "Database",
    "Detector",
    "DeviceDetails",
    "DirectoryChanged",
    "DnsClient",
    "Effective",
    "EndpointDevice",
    "Event",
    "Every",
    "ExemptPlace",
    "Fact",
    "Finding",
    "HomeCard",
    "Hours",
    "Job",
    "Keys",
    "Live",
    "Menu",
    "Mistake",
    "NameAsked",
    "NotReady",
    "NoticeMade",
    "Observation",
    "Overlay",
    "Page",
    "Panel",
    "Permission",
    "PluginSwitchedOff",
    "PublicKey",
    "Refused",
    "Role",
    "Row",
    "Section",
    "SettingChanged",
    "Severity",
    "SigningKey",
    "State",
    "StoreBusy",
    "StoreError",
    "Surface",
    "Target",
    "TargetKind",
    "Task",
    "TermCount",
    "Timetable",
    "TimetableSettings",
    "Transaction",
    "Verdict",
    "Worker",
    "WorkerContext",
    "Wrong",
    "WrongFile",
    "WrongSettings",
    "actor",
    "bench_sentences",
    "flash",
    "gate",
    "hook",
    "keys",
    "lan_addresses",
    "load_or_make_secret",
    "load_shipped_yaml",
    "local_addresses",
    "local_date",
    "local_time",
    "new_code",
    "new_id",
    "now",
    "parse",
    "plain_code",
    "port_holder",
    "random_id",
    "read_form",
    "read_private",
    "read_text",
    "read_upload",
    "redirect",
    "render",
    "resolver_addresses",
    "section_of",
    "setting",
    "sign_rs256",
    "stamp",
    "unwrap",
    "wrap",
    "write_atomically",
]
