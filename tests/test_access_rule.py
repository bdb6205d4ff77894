"""Whoever asks the store about people gets those whom the access rule gives, and nobody else.

The first half reads the program: every function whose SQL reads a table about people, and which returns something,
takes the ``Actor`` first and joins the rule of ``appliance/access.py``, or stands in ``EXCEPTIONS`` with the reason.

The second half asks: each of these functions, on one school, for every role with every kind of scope. What may be seen
is worked out here once more, from plain lists and without SQL, and what comes back must be about exactly those people.
"""

from __future__ import annotations

import ast
import asyncio
import re
import shutil
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from appliance.access import PERMISSIONS, Actor, Role
from appliance.accounts.sessions import KeyRing, Sessions
from appliance.accounts.staff import Staff
from appliance.alerts.alerting import Alerts
from appliance.assignments import Assignments, Target, TargetKind
from appliance.audit import Audit
from appliance.bus import Bus
from appliance.captures.judging import _status
from appliance.captures.keeping import Captures, Seen
from appliance.captures.reading import ANY
from appliance.captures.reading import Filter as CaptureFilter
from appliance.captures.statuses import Status
from appliance.categories import Categories
from appliance.clock import stamp
from appliance.clock_jumps import ClockJumps
from appliance.config import TimetableSettings
from appliance.db import Database, Row
from appliance.endpoints.enrolment import Enrolment
from appliance.errors import Refused
from appliance.hookspecs import Permission
from appliance.live import Live
from appliance.loading import resource
from appliance.looks import Looks, Reason
from appliance.migrate import CORE as CORE_TABLES
from appliance.migrate import migrate
from appliance.monitoring.switching import KIND, Monitoring
from appliance.notices import Notices
from appliance.observations import Finding, Observation, Severity, Surface
from appliance.people.devices import DeviceFilter
from appliance.people.directory import Directory, Filter
from appliance.people.vulnerable import Dates, VulnerableList
from appliance.sealing import Keys, new_pair
from appliance.timetable import Timetable
from appliance.vaults import CAPTURES, VULNERABLE_LIST, Vaults

ROOT = Path(__file__).parent.parent
MODULES = sorted(
    path for folder in ("appliance", "plugins") for path in (ROOT / folder).rglob("*.py") if "tests" not in path.parts
)

# ---------------------------------------------------------------------------------------------------------------------
# What the program reads
# ---------------------------------------------------------------------------------------------------------------------

UNDER_ANOTHER_NAME: Mapping[str, str] = {
    "assignments": "target: whom it was set for, if that is a person",
    "monitoring_switches": "why somebody is monitored, beside an assignment",
    "staff_scopes": "target: about whom an account may know, if that is one person",
    "groups": "a list may be called after what its members need help with",
    "group_devices": "which devices are in a group; each may be somebody's",
    "vulnerable_notes": "why somebody is on the vulnerable list, by the id of the entry",
    "capture_contents": "what somebody wrote or read, sealed, by the id of the capture",
    "capture_notes": "what was made of a capture, sealed, by its id",
    "capture_openings": "whose captures were opened, by the ids of the captures",
    "alerts": "which capture must be looked at",
    "alert_steps": "what became of that",
    "audit": "subject and detail: the ids of people",
    "events": "payload: the ids of people whom a change was about",
    "monitoring_trials": "the group that was watched over in a trial",
}
"""Tables about people that their columns do not tell of."""
ONLY_BY_COLUMN = {"staff_accounts": re.compile(r"\bperson|\*")}
"""Accounts of colleagues; about somebody in the directory only where the SQL asks for this."""
GENERIC_READERS = frozenset({"page_of"})
"""Functions of the house that run a query for whoever calls them."""

EXCEPTIONS: Mapping[str, tuple[str, ...]] = {
    "tables in which something names a group, so that it is not deleted": ("people.naming.named_in_force",),
    "for whom an entry is, for the record: names of groups and devices, which everybody finds who reads it, and ids of"
    " people": ("dns_filter.profiles.store._for_record",),
    "whether a plugin was let in again by itself; nobody of the directory is in that": ("control.let_in_since",),
    "it runs whatever query its caller has made; the caller is looked at": ("people.listing.page_of",),
    "which accounts may see an alert, by the same rule the other way round; none of it is about a person": (
        "alerts.alerting.Alerts._read_untaken",
        "alerts.alerting._row",
        "alerts.alerting._who_may_see",
        "alerts.alerting._untaken_about_the_same",
    ),
    "names of everybody, for detectors alone, which must not take a name for an insult: what they tell of these is that"
    " there are such names, and no page gets one": ("people.directory.Directory.names_for_detectors",),
    "silence of devices, for alerts to those who look after the box: names of devices alone": (
        "alerts.silence.Silence._open_alerts",
        "alerts.silence.Silence.silent_devices",
        "alerts.silence._open_alert",
    ),
    "whether an alert that the box has opened itself is open still, for the plugin that opened it": (
        "alerts.alerting.Alerts.is_open_within",
    ),
    "names of devices alone, to match them with what the network shows; who sees what devices do finds every device": (
        "dns_filter.network.store.Store.directory",
    ),
    "the web filter's own lists and switches, by whom and why: nobody of the directory is in these tables": (
        "dns_filter.lists.store.Store.open",
        "dns_filter.lists.store.Store.removed",
        "dns_filter.lists.store.Store.remove",
        "dns_filter.lists.store.Store.put_back",
        "dns_filter.profiles.store._open",
    ),
    "whether it is kept already, how many are kept, and how many went": (
        "captures.keeping.Captures.known",
        "captures.keeping.Captures.checks",
        "captures.keeping.Captures._forget_some",
        "captures.keeping.Captures._counted_again",
        "captures.keeping._insert",
    ),
    "findings that the school does not want to hear of, taken away before anything is kept": (
        "captures.keeping.Captures._not_allowed",
    ),
    "for live pages: it asks the rule itself, for every account that sees records about people": (
        "people.directory.Directory.names_by_account",
    ),
    "the log of the web filter is a file of its own and names people by their ids alone; its pages ask `Looks.names`": (
        "dns_filter.queries.store.Store.kept",
        "dns_filter.queries.store.Store.recent",
        "dns_filter.queries.store.Store.sites",
    ),
    "why a site was stopped and by which rule, and nothing of who asked for it": (
        "dns_filter.queries.store.Store.led_away",
    ),
    "names of sites and devices, and how often: its pages find out first whether a person may be asked about": (
        "dns_filter.queries.store.Store.roll_up",
        "dns_filter.queries.store.Store.summary",
        "dns_filter.queries.store.Store.top_names_of",
    ),
    "it looks at tables of a plugin, or for references, and says which there are": (
        "belongings.belongings",
        "people.import_steps.referred_to",
        "people.naming.named_in_any",
    ),
    "the record names people by their ids alone; `Looks.names` says by the rule who that is": (
        "audit.Audit.rows",
        "audit.Audit.actors",
        "audit.Audit.actions",
        "audit.verify",
        "signed_heads.SignedHeads._last_signed",
    ),
    "events hold ids, for listeners; a page shows which kind waits, and for whom": ("bus.Bus._due", "bus.parked"),
    "about accounts of colleagues, not about people of the directory": (
        "accounts.credentials.Credentials._row",
        "accounts.staff.Staff._roll_in",
        "vaults.Vaults.members",
        "vaults._account",
    ),
    "a colleague's own name, beside the name of the account, for whoever looks after the accounts": (
        "accounts.staff.Staff.person_name",
    ),
    "ids, for the form in which the lead says about whom an account may know, and for whether anybody did": (
        "accounts.staff.Staff.scopes",
    ),
    "a part of a change by somebody who keeps the whole directory: is it there, is it free, how many are there?": (
        "people.devices._existing",
        "people.devices._of_serial",
        "people.devices._in_use",
        "people.devices._of_name",
        "endpoints.enrolment._existing",
        "people.directory._existing",
        "people.groups._existing",
        "people.groups.Groups._put",
        "people.groups._people_in",
        "people.groups._use",
    ),
    "imports are for whoever keeps the whole directory; anybody else is refused": (
        "people.import_steps.present",
        "people.import_steps.states",
        "people.import_steps._taken",
        "people.import_steps._group_ids",
        "people.import_steps.undo_unit",
        "people.import_steps._can_be_again",
        "people.imports.Imports.last",
        "people.imports.Imports.left_over",
    ),
    "who somebody is on a device, for what has to know that without anybody asking": (
        "people.directory.Directory.find_account",
        "endpoints.enrolment.Enrolment.whereabouts",
    ),
    "a browser that has just proved its key, and what its device is called: it is told, and no page": (
        "endpoints.enrolment.Enrolment.greet",
        "endpoints.enrolment.Enrolment.state",
        "endpoints.enrolment.Enrolment.device_name",
        "endpoints.enrolment._too_many",
    ),
    "browsers before or after they belong to a device, and keys, for whoever runs the box; anybody else is refused": (
        "endpoints.enrolment.Enrolment.waiting",
        "endpoints.enrolment.Enrolment.turned_away",
        "endpoints.enrolment.Enrolment.expect",
        "endpoints.enrolment._claimed",
        "endpoints.enrolment._free_name",
        "endpoints.tokens.Tokens.all",
        "endpoints.tokens.Tokens.make",
    ),
    "domains of many accounts, for the policy files of whoever runs the box: whose they are, they do not say": (
        "endpoints.enrolment.Enrolment.account_domains",
    ),
    "what applies to groups of networks": ("assignments.Assignments.history",),
    "a part of a change that the caller has allowed: is it there, and what does the record call it?": (
        "assignments.Assignments.assign_within",
        "assignments._subject",
        "captures.judging._group_name",
        "monitoring.switching.Monitoring._is_on_beneath",
        "monitoring.trials.open_trial",
    ),
    "numbers, or ids for counting that no page gets": (
        "dns_filter.network.store.Store.with_extension",
        "looks.Looks.days",
        "looks.Looks.newest_day",
        "looks._access",
        "endpoints.enrolment.Enrolment.counts",
        "endpoints.enrolment.Enrolment.was_tested",
        "looks._was_said",
        "monitoring.switching.Monitoring._monitored_people",
        "monitoring.subjects.Subjects.people_of",
        "monitoring.subjects.Subjects.devices_of",
    ),
    "which groups and devices are monitored is shown to everybody who may see monitoring, with numbers of people": (
        "monitoring.switching.Monitoring.switches_of",
        "monitoring.trials.Trials.all",
    ),
}
"""Functions that need no rule, by the reason. Each reason is about what they return and who gets to see it."""

_READ = re.compile(r"(?<!DELETE )\b(?:FROM|JOIN)\s+\"?(\w+|\{\})")
_TODO = (
    "Take `actor: Actor` first and join visible(actor, ...) (records), listed(actor, ...) (names), or a condition that"
    " is made of them, into its SQL. If nobody gets to see what it returns, or if it is for somebody who sees all there"
    f" are, name it in EXCEPTIONS of {Path(__file__).name} with the reason."
)


def tables_about_people(store: Path) -> set[str]:
    """``people``, every table or view that refers to it or has a column that is called after it, and the others."""
    found = set(UNDER_ANOTHER_NAME)
    with closing(sqlite3.connect(store)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view')"):
            columns = {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
            refers = {row[2] for row in connection.execute(f"PRAGMA foreign_key_list({name})")}
            if name == "people" or "people" in refers or columns & {"person", "person_id"}:
                found.add(name)
    return found


@dataclass
class Function:
    """A function of the program, read and not run."""

    place: str
    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef
    texts: tuple[str, ...]
    """Every text in it; of a text with holes the holes are ``{}``."""

    @property
    def returns(self) -> str:
        return ast.unparse(self.node.returns) if self.node.returns is not None else "None"

    @property
    def takes_actor_first(self) -> bool:
        arguments = [argument for argument in self.node.args.args if argument.arg not in ("self", "cls")]
        first = arguments[0] if arguments else None
        return (
            first is not None
            and first.arg == "actor"
            and first.annotation is not None
            and (ast.unparse(first.annotation) == "Actor")
        )

    def calls_with_actor(self) -> set[str]:
        """What it calls with ``actor`` as the first argument; methods of its own as ``Class.method``."""
        own = self.name.rpartition(".")[0]
        found = set()
        for node in ast.walk(self.node):
            if isinstance(node, ast.Call) and node.args and ast.unparse(node.args[0]) == "actor":
                called = ast.unparse(node.func)
                found.add(called.replace("self.", f"{own}.") if called.startswith("self.") else called)
        return found

    def reads(self, tables: Collection[str]) -> set[str]:
        """Which of ``tables`` its SQL reads; ``{}`` if it reads one that is filled in when it runs."""
        found: set[str] = set()
        for text in self.texts:
            found.update(
                table
                for table in _READ.findall(text)
                if table == "{}" or (table in tables and ONLY_BY_COLUMN.get(table, re.compile("")).search(text))
            )
        called = {ast.unparse(node.func) for node in ast.walk(self.node) if isinstance(node, ast.Call)}
        return found | ({"{}"} if called & GENERIC_READERS else set())


def functions_of(source: str, place: str, module: str) -> Iterator[Function]:
    """Every function and method of a module; constants that it names count as its own texts."""
    tree = ast.parse(source)
    constants = {}
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            constants[ast.unparse(target)] = node.value
    for name, node in _definitions(tree, module):
        yield Function(f"{place}:{node.lineno}", name, node, tuple(_texts(node, constants)))


def _definitions(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{prefix}.{inner.name}", inner
        elif isinstance(inner, ast.ClassDef):
            yield from _definitions(inner, f"{prefix}.{inner.name}")


def _texts(node: ast.AST, constants: Mapping[str, ast.AST], seen: frozenset[str] = frozenset()) -> Iterator[str]:
    inside = {id(part) for one in ast.walk(node) if isinstance(one, ast.JoinedStr) for part in one.values}
    for one in ast.walk(node):
        if isinstance(one, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in one.values)
        elif isinstance(one, ast.Constant) and isinstance(one.value, str) and id(one) not in inside:
            yield one.value
        elif isinstance(one, ast.Name) and one.id in constants and one.id not in seen:
            yield from _texts(constants[one.id], constants, seen | {one.id})


def whole_program() -> list[Function]:
    return [
        function
        for path in MODULES
        for function in functions_of(path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix(), _module(path))
    ]


def _module(path: Path) -> str:
    """``looks`` for the core's own modules, ``dns_filter.store`` for those of plugins."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts[1:])


@dataclass
class Findings:
    """What the walk found: functions that return something of a table about people, by whether they keep the rule."""

    keeping: dict[str, Function] = field(default_factory=dict)
    others: dict[str, Function] = field(default_factory=dict)

    def faults(self, tables: Collection[str], exceptions: Collection[str]) -> list[str]:
        return [
            f"{one.place}: {name} reads {', '.join(sorted(one.reads(tables)))} and returns {one.returns}. {_TODO}"
            for name, one in self.others.items()
            if name not in exceptions
        ]


def walk(functions: Iterable[Function], tables: Collection[str]) -> Findings:
    """Sort out who reads about people and whether the rule is kept.

    A function that returns a ``Condition`` is a piece of somebody else's SQL: made of the rule, it is as good as the
    rule. A function may also first ask another one that keeps it.
    """
    all_of_them = list(functions)
    conditions = [one for one in all_of_them if "Condition" in one.returns]
    rules, before = {"visible", "listed"}, 0
    while len(rules) > before:
        before = len(rules)
        rules |= {
            one.name.rpartition(".")[2]
            for one in conditions
            if one.takes_actor_first and one.calls_with_actor() & rules
        }
    keepers, before = set(rules), 0
    while len(keepers) > before:
        before = len(keepers)
        keepers |= {one.name for one in all_of_them if one.takes_actor_first and one.calls_with_actor() & keepers}
    readers = [one for one in all_of_them if one.returns != "None" and one not in conditions and one.reads(tables)]
    return Findings(
        {one.name: one for one in readers if one.name in keepers},
        {one.name: one for one in readers if one.name not in keepers},
    )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("world")
    return asyncio.run(make_world(folder))


def test_every_function_that_returns_something_about_people_keeps_the_rule(world: World) -> None:
    findings = walk(whole_program(), world.about_people)
    excused = {name for names in EXCEPTIONS.values() for name in names}
    faults = findings.faults(world.about_people, excused)
    assert not faults, "\n".join(faults)
    stale = excused - findings.others.keys()
    assert not stale, (
        f"These keep the rule, read nothing about people or are gone; take them out of EXCEPTIONS: {stale}"
    )
    assert findings.keeping.keys() <= CALLS.keys(), f"Say how to call: {findings.keeping.keys() - CALLS.keys()}"
    assert CALLS.keys() <= findings.keeping.keys() | excused, "CALLS names functions that the walk did not find"


SAMPLE = """
_LISTED = "SELECT name FROM people WHERE {condition}"

class Store:
    async def good(self, actor: Actor, word: str) -> list[Row]:
        seen = visible(actor, "id")
        return await self._records.fetch(_LISTED.format(condition=seen.sql), seen.parameters)

    async def asks_first(self, actor: Actor, person: str) -> list[Row]:
        if not await self.good(actor, person):
            return []
        return await self._records.fetch("SELECT * FROM looks WHERE person_id = ?", (person,))

    async def uses_a_piece(self, actor: Actor) -> Page:
        return await page_of(self._records, "name", here(actor), (), "name", 1)

    async def account(self, account: str) -> Row | None:
        return await self._records.fetch_one("SELECT name FROM staff_accounts WHERE id = ?", (account,))

    async def write(self, person: str) -> int:
        return await self._records.execute("DELETE FROM people WHERE id = ?", (person,))

    async def nothing(self) -> None:
        self._known = await self._records.fetch("SELECT * FROM people")

def here(actor: Actor) -> Condition:
    found = listed(actor, "person.id")
    return Condition(f"people person WHERE {found.sql}", found.parameters)
"""
WRONG = (
    "async def all(self) -> list[Row]:\n    return await self.records.fetch('SELECT * FROM people')",
    "async def all(self, actor: Actor) -> list[Row]:\n    return await self.records.fetch('SELECT * FROM looks')",
    "async def all(self, word: str, actor: Actor) -> list[Row]:\n"
    "    return await self.records.fetch(f'SELECT * FROM people WHERE {visible(actor, 1).sql}')",
    "async def all(self, actor: str) -> list[Row]:\n"
    "    return await self.records.fetch(f'SELECT * FROM people WHERE {visible(actor, 1).sql}')",
    "async def all(self, actor: Actor) -> int:\n"
    "    return await self.records.fetch(f'SELECT 1 FROM groups LEFT JOIN people WHERE {visible(other, 1).sql}')",
    "async def all(self, table: str) -> list[Row]:\n    return await self.records.fetch(f'SELECT * FROM {table}')",
    "async def all(self) -> Page:\n    return await page_of(self.records, 'name', mine, (), 'name', 1)",
    "ALL = {1: 'SELECT name FROM ' 'people'}\n\n"
    "def all(self, kind: int) -> list[Row]:\n    return self.fetch(ALL[kind])",
    "async def who(self, account: str) -> Row:\n    return await self.fetch('SELECT person_id FROM staff_accounts')",
    "def here(word: str) -> Condition:\n    return Condition('people person', ())\n\n"
    "async def all(self, actor: Actor) -> Page:\n    return await page_of(self.records, '', here(actor), (), '', 1)",
)


def test_the_walk_knows_who_keeps_the_rule(world: World) -> None:
    found = walk(functions_of(SAMPLE, "sample.py", "sample"), world.about_people)
    assert found.keeping.keys() == {"sample.Store.good", "sample.Store.asks_first", "sample.Store.uses_a_piece"}
    assert not found.others


@pytest.mark.parametrize("source", WRONG)
def test_the_walk_finds_who_does_not(world: World, source: str) -> None:
    found = walk(functions_of(source, "sample.py", "sample"), world.about_people)
    assert not found.keeping
    (fault,) = found.faults(world.about_people, ())
    assert fault.startswith("sample.py:")
    assert "actor: Actor" in fault


def test_every_place_where_somebody_of_the_directory_is_named_is_known(world: World) -> None:
    """Nobody can tell from a schema alone what is put into a column: so the filled store is searched."""
    with closing(sqlite3.connect(world.path)) as store:
        tables = [row[0] for row in store.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        naming = {table for table in tables if about(store.execute(f"SELECT * FROM {table}").fetchall())}
    assert naming <= world.about_people, "A table names people: add it to UNDER_ANOTHER_NAME, with what names them"
    assert UNDER_ANOTHER_NAME.keys() <= set(tables)


# ---------------------------------------------------------------------------------------------------------------------
# What comes back
# ---------------------------------------------------------------------------------------------------------------------

ROLES: tuple[Role | None, ...] = (None, *Role)
SEES_RECORDS = {Role.LEAD, Role.DEPUTY, Role.HEAD, Role.PASTORAL, Role.TEACHER}
KEEPS_DIRECTORY = {Role.LEAD, Role.DEPUTY, Role.IT}
SEES_MONITORING = {Role.LEAD, Role.DEPUTY, Role.HEAD, Role.DPO}
SWITCHES = {Role.LEAD, Role.DEPUTY}
SEES_CAPTURES = {Role.LEAD, Role.DEPUTY, Role.HEAD, Role.PASTORAL}
"""What the table in docs/security.md says, once more."""


@dataclass(frozen=True)
class Somebody:
    """Somebody in the directory, with everything by which they could be known."""

    kind: str
    groups: tuple[str, ...] = ()
    left: bool = False


PEOPLE: Mapping[str, Somebody] = {
    "anna": Somebody("pupil", ("7a", "y7", "maths", "counselling")),
    "ben": Somebody("pupil", ("7a", "y7")),
    "cleo": Somebody("pupil", ("8b",)),
    "dora": Somebody("pupil"),
    "eve": Somebody("pupil", ("8b", "counselling"), left=True),
    "fay": Somebody("pupil", ("7a",), left=True),
    "gus": Somebody("guest"),
    "hilda": Somebody("guest", ("visitors",)),
    "tom": Somebody("staff", ("maths",)),
    "sam": Somebody("staff", left=True),
    "wendy": Somebody("governor", ("visitors",)),
    **{f"self{role or 'none'}": Somebody("staff") for role in ROLES},
    **{f"reviewed{role or 'none'}": Somebody("staff") for role in ROLES},
}
HERE = frozenset(one for one, somebody in PEOPLE.items() if not somebody.left)
CHILDREN = frozenset(one for one, somebody in PEOPLE.items() if somebody.kind in ("pupil", "guest"))
GROUPS = {
    "7a": "form", "8b": "form", "y7": "year", "maths": "class",
    "counselling": "list", "visitors": "list", "lab": "room", "blue": "trolley",
}  # fmt: skip
DEVICES: Mapping[str, tuple[str | None, tuple[str, ...], bool]] = {
    "dev1": ("anna", (), False),
    "dev2": ("tom", ("blue",), False),
    "dev3": ("gus", (), False),
    "dev4": (None, ("blue",), False),
    "dev5": (None, ("lab",), False),
    "dev6": ("cleo", ("lab", "counselling"), False),
    "dev7": ("ben", ("lab",), True),
}
"""Who has it, in which groups it is, whether it was removed."""
BROWSING = {"dev1": "ben", "dev2": "gus", "dev4": "dora", "dev5": "anna", "dev6": "tom"}
"""Who was last at the browser of a device."""
ON_LIST = {"anna": True, "gus": True, "cleo": False, "reviewedlead": True, "eve": True}
"""The vulnerable list: whether the entry is open."""
SWITCHED = ("anna", "gus", "tom", "eve")
CAPTURED = ("anna", "ben", "eve", "gus", "tom", "reviewedlead", "reviewedpastoral", "selfdeputy", None)
"""Whose captures there are; one of nobody known. All are severe, so each has an alert."""
LOOKED_AT = ("anna", "cleo", "gus", "eve")
IMPORTED = ("ben", "tom")
_MARKS = {one: re.compile(rf"\b{one}\b") for one in PEOPLE}


@dataclass(frozen=True)
class Asking:
    """Somebody who asks, and what the rule gives them."""

    actor: Actor
    label: str
    scopes: tuple[tuple[str, str], ...] = ()
    reviews: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.actor.role or 'no role'} with {self.label}"

    @property
    def everyone(self) -> bool:
        return ("everyone", "") in self.scopes

    @property
    def in_scope(self) -> set[str]:
        """Groups that are a scope of theirs."""
        return {target for kind, target in self.scopes if kind == "group"}

    @property
    def seen(self) -> set[str]:
        """Whose records."""
        if self.actor.role not in SEES_RECORDS:
            return set()
        children = {
            one
            for one in CHILDREN
            if self.everyone or ("person", one) in self.scopes or self.in_scope & set(PEOPLE[one].groups)
        }
        return children | (self.reviews - {self.actor.person})

    @property
    def listed(self) -> set[str]:
        """Whose names."""
        return set(PEOPLE) if self.actor.role in KEEPS_DIRECTORY else self.seen

    @property
    def decidable(self) -> set[str]:
        """Whose monitoring."""
        return self.seen | ((set(PEOPLE) - CHILDREN) if self.actor.role in SWITCHES else set())

    @property
    def groups(self) -> set[str]:
        if self.actor.role in KEEPS_DIRECTORY or (self.actor.role in SEES_RECORDS and self.everyone):
            return set(GROUPS)
        if self.actor.role not in SEES_RECORDS:
            return set()
        of_people = {group for one in self.seen for group in PEOPLE[one].groups}
        return self.in_scope | {group for group in of_people if GROUPS[group] in ("form", "year", "class")}

    @property
    def devices(self) -> set[str]:
        if self.actor.role in KEEPS_DIRECTORY or (self.actor.role in SEES_RECORDS and self.everyone):
            return set(DEVICES)
        if self.actor.role not in SEES_RECORDS:
            return set()
        return {one for one, (who, groups, _) in DEVICES.items() if who in self.seen or self.in_scope & set(groups)}

    @property
    def captured(self) -> set[str | None]:
        """Whose captures; nobody known may be anybody."""
        if self.actor.role not in SEES_CAPTURES:
            return set()
        return (self.seen | ({None} if self.everyone else set())) & set(CAPTURED)

    @property
    def keeps(self) -> bool:
        """Whether they keep the vulnerable list."""
        return self.actor.may(Permission.KEEP_VULNERABLE)


SCOPES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "everyone": (("everyone", ""),),
    "everyone, not keeping the list": (("everyone", ""),),
    "one pupil": (("person", "cleo"),),
    "one guest": (("person", "gus"),),
    "a pupil who has left": (("person", "eve"),),
    "a member of staff": (("person", "tom"),),
    "a form": (("group", "7a"),),
    "a class with its teacher in it": (("group", "maths"),),
    "a list": (("group", "counselling"),),
    "a room and a pupil": (("group", "lab"), ("person", "dora")),
    "themselves": (),
    "nobody": (),
    "nobody, reviewing somebody": (),
}


def askers() -> Iterator[Asking]:
    for role, (label, scopes) in product(ROLES, SCOPES.items()):
        end = role or "none"
        own = f"self{end}" if label == "themselves" else None
        permissions = PERMISSIONS[role]
        if role in SEES_RECORDS and label != "everyone, not keeping the list":
            permissions |= {Permission.KEEP_VULNERABLE}
        reviews = {"themselves": {own or ""}, "nobody, reviewing somebody": {f"reviewed{end}"}}.get(label, set())
        name = f"{end} {list(SCOPES).index(label)}"
        scope = scopes if own is None else (("person", own),)
        yield Asking(Actor(name, permissions, name, role, own), label, scope, frozenset(reviews))


ASKERS = tuple(askers())
WATCHED = ASKERS[1].actor.account
"""Whose looks are asked for."""
TODAY = date(2026, 11, 25)


def about(answer: object) -> set[str]:
    """Who is named anywhere in what came back, by name, id, reference, address or the name that devices know."""
    text = " ".join(_texts_in(answer)).casefold()
    return {one for one, mark in _MARKS.items() if mark.search(text)}


def _texts_in(answer: object) -> Iterator[str]:
    if isinstance(answer, str | bytes):
        yield answer if isinstance(answer, str) else answer.decode("latin-1")
    elif isinstance(answer, Mapping):
        for item in answer.items():
            yield from _texts_in(item)
    elif is_dataclass(answer) and not isinstance(answer, type):
        for field_ in fields(answer):
            yield from _texts_in(getattr(answer, field_.name))
    elif isinstance(answer, Iterable):
        for one in answer:
            yield from _texts_in(one)


# The school, on a real store


@dataclass
class World:
    """The filled store, and the key that opens what is sealed in it."""

    path: Path
    about_people: set[str]
    private_key: bytes
    entries: Mapping[str, str]
    """Whose entry in the vulnerable list has which id."""
    captures: Mapping[str | None, str] = field(default_factory=dict)
    """Whose capture has which id."""


@dataclass
class School:
    """Services on a copy of the store that a test may change."""

    world: World
    records: Database
    keys: Keys
    directory: Directory
    staff: Staff
    monitoring: Monitoring
    looks: Looks
    vulnerable: VulnerableList
    audit: Audit
    assignments: Assignments
    vaults: Vaults
    alerts: Alerts
    captures: Captures
    enrolment: Enrolment


async def _no_plugin(owner: str, what: str, call: object) -> None:
    raise AssertionError("there is none")


def clock() -> datetime:
    return datetime.combine(TODAY, time(12), UTC)


async def services(world: World, path: Path) -> School:
    records = Database(path)
    await records.open()
    audit, bus = Audit(records), Bus(records, (), _no_plugin)
    vaults, notices = Vaults(records, audit), Notices(records, bus, Live())
    sessions = Sessions(records, KeyRing(), timedelta(minutes=15), timedelta(hours=10))
    staff = Staff(records, audit, sessions, vaults, notices)
    directory = Directory(records, bus, audit)
    assignments = Assignments(records, bus, audit, (), directory)
    monitoring = Monitoring(records, audit, assignments, directory, staff, vaults, "Europe/London")
    timetable = Timetable(TimetableSettings(), "Europe/London")
    looks = Looks(records, audit, notices, timetable, "Europe/London", clock)
    vulnerable = VulnerableList(records, audit, vaults, clock)
    alerts = Alerts(records, audit, bus, Live(), 15, clock)
    state, categories = path.parent / "state", Categories(())
    jumps = ClockJumps(records)
    captures = Captures(records, audit, vaults, alerts, categories, Live(), jumps, state, "Europe/London", 365, clock)
    for part in (notices, staff, directory, assignments, monitoring, alerts):
        await part.start()
    keys = Keys("keeper", world.private_key)
    await vaults.load_keys(keys)
    return School(
        *(world, records, keys, directory, staff, monitoring, looks, vulnerable, audit, assignments, vaults),
        *(alerts, captures, Enrolment(records, audit, directory.devices)),
    )


@pytest.fixture
async def school(world: World, tmp_path: Path) -> AsyncIterator[School]:
    copy = tmp_path / "records.db"
    shutil.copy(world.path, copy)
    shutil.copytree(world.path.parent / "state", tmp_path / "state")
    found = await services(world, copy)
    yield found
    await found.records.close()


async def make_world(folder: Path) -> World:
    path = folder / "records.db"
    records, activity = Database(path), Database(folder / "activity.db")
    for store, own in ((records, ""), (activity, "activity")):
        await store.open()
        await migrate(store, CORE_TABLES, resource("migrations") / own)
        for plugin in (ROOT / "plugins").iterdir():
            if (plugin / "migrations" / own).is_dir():
                await migrate(store, plugin.name, plugin / "migrations" / own)
        await store.close()
    tables = tables_about_people(path) | (tables_about_people(activity.path) - UNDER_ANOTHER_NAME.keys())
    private, public = new_pair()
    world = World(path, tables, bytes(private), {})
    await _fill_directory(path, public)
    school = await services(world, path)
    await _fill_the_rest(school)
    await school.records.close()
    with closing(sqlite3.connect(path)) as store:
        entries = dict(store.execute("SELECT person_id, id FROM vulnerable_entries").fetchall())
        captures = dict(store.execute("SELECT person_id, id FROM captures").fetchall())
        store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return replace(world, entries=entries, captures=captures)


async def _fill_directory(path: Path, public_key: bytes) -> None:
    moment = stamp()
    accounts = [(who.actor.account, who.actor.role, who.actor.person, None) for who in ASKERS]
    records = Database(path)
    await records.open()
    async with records.transaction() as tx:
        await tx.executemany(
            "INSERT INTO groups VALUES (?, ?, 'Group ' || ?, ?)", [(g, kind, g, moment) for g, kind in GROUPS.items()]
        )
        await tx.executemany(
            "INSERT INTO people VALUES"
            " (?1, ?2, ?3 || ' Canary', ?1 || ' canary', 'ref ' || ?1, ?1 || '@school.example', ?4, ?5)",
            [(one, who.kind, one.title(), moment, moment if who.left else None) for one, who in PEOPLE.items()],
        )
        await tx.executemany(
            "INSERT INTO group_people VALUES (?, ?)", [(g, one) for one, who in PEOPLE.items() for g in who.groups]
        )
        await tx.executemany(
            "INSERT INTO person_accounts VALUES ('system', 'pc-' || ?1, ?1)", [(one,) for one in PEOPLE]
        )
        await tx.executemany(
            "INSERT INTO devices VALUES (?1, 'Laptop ' || ?1, 'sn ' || ?1, ?2, ?3, ?4)",
            [(one, who, moment, moment if removed else None) for one, (who, _, removed) in DEVICES.items()],
        )
        await tx.executemany(
            "INSERT INTO group_devices VALUES (?, ?)",
            [(g, one) for one, (_, groups, _) in DEVICES.items() for g in groups],
        )
        await tx.execute(
            "INSERT INTO endpoint_tokens (id, name, token, most_uses, made_at, made_by, expires_at)"
            " VALUES ('key', 'A key', 'key', 9, ?1, 'a test', ?1)",
            (moment,),
        )
        await tx.executemany(
            "INSERT INTO endpoints (id, key_sha256, public_key, state, token_id, device_id, name, serial, platform,"
            " browser, version, asked_at, asked_from, last_seen_at, counter, profile, person_id)"
            " VALUES ('browser ' || ?1, ?1, x'', 'approved', 'key', ?1, '', '', '', '', '1', ?3, '', ?3, 1,"
            " coalesce(?2 || '@school.example', ''), ?2)",
            [(one, BROWSING.get(one), moment) for one in DEVICES],
        )
        await tx.executemany(
            "INSERT INTO staff_accounts (id, sign_in_name, name, role, person_id, state, made_at, made_by, public_key)"
            " VALUES (?1, ?1, 'Colleague ' || ?1, ?2, ?3, 'active', '2026', 'a test', ?4)",
            [*accounts, ("keeper", Role.LEAD, None, public_key)],
        )
        await tx.executemany(
            "INSERT INTO staff_scopes VALUES (?, ?, ?)",
            [(who.actor.account, *scope) for who in ASKERS for scope in who.scopes],
        )
        await tx.execute("INSERT INTO staff_scopes VALUES ('keeper', 'everyone', '')")
        await tx.executemany(
            "INSERT INTO staff_reviewers VALUES (?, ?, ?, 'a test')",
            [(one, who.actor.account, moment) for who in ASKERS for one in who.reviews],
        )
    await records.close()


async def _fill_the_rest(school: School) -> None:
    records, keeper = school.records, Actor("Keeper", PERMISSIONS[Role.LEAD] | {Permission.KEEP_VULNERABLE}, "keeper")
    async with records.transaction() as tx:
        await school.vaults.found(tx, VULNERABLE_LIST, "keeper", school.keys)
        await school.vaults.found(tx, CAPTURES, "keeper", school.keys)
    for one in CAPTURED:
        await school.captures.keep(_seen(one))
    await _write_about_captures(school)
    for one, is_open in ON_LIST.items():
        actor = keeper if one in CHILDREN else next(who.actor for who in ASKERS if one in who.reviews)
        entry = await school.vulnerable.add(actor, one, f"{one} told us something", Dates())
        if not is_open:
            await school.vulnerable.end(actor, entry, f"{one} is well")
    await school.assignments.assign("a test", KIND, Target(TargetKind.PERSON, SWITCHED[0]), "on", "a reason", None)
    others = [*(("person", one) for one in SWITCHED[1:]), ("group", "counselling"), ("device", "dev1")]
    async with records.transaction() as tx:
        await tx.executemany(
            "INSERT INTO assignments (id, kind, target_kind, target, value, author, reason, set_at)"
            " VALUES ('switch ' || ?1 || ?2, 'monitoring', ?1, ?2, 'on', 'a test', 'a reason', '2026')",
            others,
        )
        await tx.executemany(
            "INSERT INTO looks VALUES (?, ?, ?, ?, 'worried', 0)",
            [(WATCHED, one, TODAY.isoformat(), stamp(clock())) for one in LOOKED_AT],
        )
        await tx.execute(
            "INSERT INTO unusual_looks VALUES (?, ?, 'same person', 'anna', ?, 'Colleague looked often', 1)",
            (WATCHED, TODAY.isoformat(), stamp(clock())),
        )
        await tx.execute(
            "INSERT INTO imports (id, kind, file_name, author, state, began_at)"
            " VALUES ('import', 'pupil', 'pupils.csv', 'a test', 'undone', '2026')"
        )
        await tx.executemany("INSERT INTO import_changes VALUES ('import', ?, 'email', '\"\"', '\"\"')", zip(IMPORTED))


def _seen(person: str | None) -> Seen:
    text = f"{person or 'somebody'} wrote this"
    finding = Finding("a policy", "1", "t", "wrote", "suicide", Severity.SEVERE, "a word", text.index("wrote"), 4)
    observation = Observation(f"observation of {person or 'nobody'}", stamp(clock()), Surface.TYPED, text)
    return Seen(
        observation, (finding,), "endpoint", "dev4", person, "browser profile", b"JPEG", "taken", stamp(clock())
    )


async def _write_about_captures(school: School) -> None:
    """A note about each, as somebody would write it who may see them all; there is nobody like that."""
    rows = await school.records.fetch("SELECT id, person_id FROM captures")
    async with school.records.transaction() as tx:
        for row in rows:
            words = f"about {row['person_id'] or 'nobody'}".encode()
            sealed = await _sealed_note(school, row["id"], words)
            await tx.execute(
                "INSERT INTO capture_notes (id, capture_id, at, account_id, author, sealed)"
                " VALUES (?1, ?1, ?2, 'keeper', 'Keeper', ?3)",
                (row["id"], stamp(clock()), sealed),
            )
            await tx.execute(
                "INSERT INTO capture_openings VALUES (?, 'keeper', '2026-11-24', 'content', ?)",
                (row["id"], stamp(clock())),
            )
    await school.records.fetch("SELECT 1")


async def _sealed_note(school: School, item: str, words: bytes) -> bytes:
    return await school.vaults.seal(CAPTURES, item, "capture note", words)


# How each function is called, and what has to come back


Claims = AsyncIterator[tuple[object, object]]
"""What came back, as it is compared, and what had to."""
Call = Callable[[School, Asking], Claims]
CALLS: dict[str, Call] = {}


def asks(*names: str) -> Callable[[Call], Call]:
    """This is how these functions are called."""

    def keep(call: Call) -> Call:
        CALLS.update(dict.fromkeys(names, call))
        return call

    return keep


async def unless_refused(question: Awaitable[Any]) -> Any:
    """What a function answers; ``None`` if it refuses, for want of a permission or of somebody to be seen."""
    try:
        return await question
    except Refused:
        return None


def ids(rows: Iterable[Row] | None) -> set[str]:
    return {row["id"] for row in rows or ()}


@asks("people.directory.Directory.find")
async def find(school: School, who: Asking) -> Claims:
    for left in (False, True):
        wanted = who.listed - HERE if left else who.listed & HERE
        yield about(await school.directory.find(who.actor, Filter(left=left), 1)), wanted
    yield about(await school.directory.find(who.actor, Filter("CLEO"), 1)), who.listed & {"cleo"}
    yield about(await school.directory.find(who.actor, Filter("ref dora"), 1)), who.listed & {"dora"}
    for group in GROUPS:
        found = await school.directory.find(who.actor, Filter(group=group), 1)
        yield about(found), members(who, group) & HERE


def members(who: Asking, group: str) -> set[str]:
    """Who is in a group, for somebody who asks: nobody if they may not find the group itself."""
    inside = {one for one in who.listed if group in PEOPLE[one].groups}
    return inside if group in who.groups else set()


@asks("people.directory.Directory.counts")
async def counts(school: School, who: Asking) -> Claims:
    yield await school.directory.counts(who.actor), Counter(PEOPLE[one].kind for one in who.listed & HERE)


@asks("people.directory.Directory.person")
async def person(school: School, who: Asking) -> Claims:
    for one in PEOPLE:
        found = await school.directory.person(who.actor, one)
        yield about(found), who.listed & {one}
        if found is not None:
            yield ids(found.groups), who.groups & set(PEOPLE[one].groups)
            yield (
                ids(found.devices),
                who.devices & {d for d, (has, _, gone) in DEVICES.items() if has == one and not gone},
            )


@asks("people.directory.Directory.called")
async def people_called(school: School, who: Asking) -> Claims:
    for one in PEOPLE:
        yield set(await school.directory.called(who.actor, f"{one} CANARY")), who.listed & HERE & {one}


@asks("people.devices.Devices.find")
async def find_devices(school: School, who: Asking) -> Claims:
    for removed in (False, True):
        found = await school.directory.devices.find(who.actor, DeviceFilter(removed=removed), 1)
        wanted = {one for one in who.devices if DEVICES[one][2] is removed}
        yield ids(found.rows), wanted
        yield about(found), who.listed & {DEVICES[one][0] for one in wanted}
    for group in GROUPS:
        found = await school.directory.devices.find(who.actor, DeviceFilter(group=group), 1)
        yield ids(found.rows), devices_in(who, group)


def devices_in(who: Asking, group: str) -> set[str]:
    """The devices in use in a group, for somebody who asks."""
    inside = {one for one in who.devices if group in DEVICES[one][1] and not DEVICES[one][2]}
    return inside if group in who.groups else set()


@asks("people.devices.Devices.device")
async def device(school: School, who: Asking) -> Claims:
    for one, (holder, groups, _) in DEVICES.items():
        found = await school.directory.devices.device(who.actor, one)
        yield found is not None, one in who.devices
        yield about(found), who.listed & {holder} if one in who.devices else set()
        yield ids(found.groups if found else ()), who.groups & set(groups) if one in who.devices else set()


@asks("people.devices.Devices.names")
async def names_of_devices(school: School, who: Asking) -> Claims:
    found = await school.directory.devices.names(who.actor, [*DEVICES, "nobody's"])
    yield found, {one: f"Laptop {one}" for one in who.devices}


@asks("people.devices.Devices.called")
async def devices_called(school: School, who: Asking) -> Claims:
    for one in DEVICES:
        yield await school.directory.devices.called(who.actor, f"LAPTOP {one}"), who.devices & {one}


@asks("endpoints.enrolment.Enrolment.of_device")
async def browsers_of(school: School, who: Asking) -> Claims:
    for one in DEVICES:
        found = await school.enrolment.of_device(who.actor, one)
        yield len(found), int(one in who.devices)
        yield about(found), who.listed & {BROWSING.get(one)} if one in who.devices else set()


@asks("endpoints.enrolment.Enrolment.of_devices")
async def browsers_of_devices(school: School, who: Asking) -> Claims:
    found = await school.enrolment.of_devices(who.actor, list(DEVICES))
    yield set(found), who.devices
    yield about(list(found.values())), set()


@asks("endpoints.enrolment.Enrolment.tested")
async def devices_with_tests(school: School, who: Asking) -> Claims:
    found = await school.enrolment.tested(who.actor, 1)
    yield ids(found.rows), {one for one in who.devices if not DEVICES[one][2]}
    yield about(found), set()


@asks("people.groups.Groups.all")
async def all_groups(school: School, who: Asking) -> Claims:
    found = await school.directory.groups.all(who.actor)
    yield about(found), set()
    yield (
        {row["id"]: (row["people"], row["devices"]) for row in found},
        {group: (len(members(who, group) & HERE), len(devices_in(who, group))) for group in who.groups},
    )


@asks("people.groups.Groups.group")
async def group_of(school: School, who: Asking) -> Claims:
    for group in GROUPS:
        yield (await school.directory.groups.group(who.actor, group)) is not None, group in who.groups


@asks("people.groups.Groups.people")
async def people_in(school: School, who: Asking) -> Claims:
    for group in GROUPS:
        yield about(await school.directory.groups.people(who.actor, group, 1)), members(who, group)


@asks("people.groups.Groups.devices")
async def group_devices(school: School, who: Asking) -> Claims:
    for group in GROUPS:
        yield ids(await school.directory.groups.devices(who.actor, group)), devices_in(who, group)


@asks("people.imports.Imports.left_over")
async def left_over(school: School, who: Asking) -> Claims:
    found = await unless_refused(school.directory.imports.left_over(who.actor, "import"))
    yield about(found), who.listed & set(IMPORTED) if who.actor.role in KEEPS_DIRECTORY else set()


@asks("looks.Looks.needs_reason")
async def needs_reason(school: School, who: Asking) -> Claims:
    looked_at = set(LOOKED_AT) if who.actor.account == WATCHED else set()
    asked = {one for one in PEOPLE if await school.looks.needs_reason(who.actor, one)}
    yield asked, (who.seen & CHILDREN) - looked_at


@asks("looks.Looks.look")
async def look(school: School, who: Asking) -> Claims:
    for one in ("anna", "dora", "gus", "tom", who.actor.person or "sam"):
        yield await school.looks.look(who.actor, one, Reason.WORRIED), one in who.seen & CHILDREN


@asks("looks.Looks.of_day")
async def looks_of_day(school: School, who: Asking) -> Claims:
    yield about(await school.looks.of_day(who.actor, WATCHED, TODAY)), who.seen & set(LOOKED_AT)


@asks("looks.Looks.names")
async def names(school: School, who: Asking) -> Claims:
    found = await school.looks.names(who.actor, PEOPLE)
    yield about([name for name in found.values() if name]), who.seen


@asks("looks.Looks.days", "looks.Looks.newest_day")
async def days_of_looks(school: School, who: Asking) -> Claims:
    yield about(await school.looks.days(who.actor, TODAY)), set()
    yield await school.looks.newest_day(TODAY), TODAY


@asks("monitoring.switching.Monitoring._rows")
async def switches(school: School, who: Asking) -> Claims:
    seen = who.decidable & set(SWITCHED) if who.actor.role in SEES_MONITORING else set()
    yield about(await unless_refused(school.monitoring.entries(who.actor))), seen
    yield about(await unless_refused(school.monitoring.history(who.actor))), seen
    for one in SWITCHED[1:]:
        found = await unless_refused(school.monitoring.entry(who.actor, f"switch person{one}"))
        yield about(found), seen & {one}


@asks("monitoring.switching.Monitoring._monitored_people")
async def monitored(school: School, who: Asking) -> Claims:
    """Anna, and Gus, for whom it was chosen; not Tom, whom nobody reviews, and not Eve, who has left."""
    found = await school.monitoring.counts()
    yield (found.pupils, found.staff, found.guests), (1, 0, 1)


@asks("monitoring.reviewers.Reviewers.all")
async def reviewers(school: School, who: Asking) -> Claims:
    reviewed = {one for asker in ASKERS for one in asker.reviews}
    found = await unless_refused(school.monitoring.reviewers.all(who.actor))
    yield about(found), who.decidable & reviewed if who.actor.role in SEES_MONITORING else set()


@asks("monitoring.subjects.Subjects._find")
async def subjects(school: School, who: Asking) -> Claims:
    subjects_ = school.monitoring.subjects
    yield about(await subjects_.find(who.actor, TargetKind.PERSON, "canary")), who.decidable & HERE
    for one in PEOPLE:
        found = await unless_refused(subjects_.get(who.actor, Target(TargetKind.PERSON, one)))
        yield about(found), who.decidable & HERE & {one}
    for kind in (TargetKind.GROUP, TargetKind.DEVICE):
        yield about(await subjects_.find(who.actor, kind, "")), set()


@asks("accounts.staff.Staff.possible_people")
async def possible_people(school: School, who: Asking) -> Claims:
    yield about(await school.staff.possible_people(who.actor)), (who.listed & HERE) - CHILDREN


@asks("accounts.staff.Staff.scope_words")
async def scope_words(school: School, who: Asking) -> Claims:
    for other in (one for one in ASKERS if one.actor.role is Role.TEACHER):
        words = await school.staff.scope_words(who.actor, other.actor.account)
        yield about(words), who.listed & {target for kind, target in other.scopes if kind == "person"}
        yield {group for group in GROUPS if f"Group {group}" in words}, who.groups & other.in_scope


@asks("people.vulnerable.VulnerableList._entries")
async def entries(school: School, who: Asking) -> Claims:
    mine = who.seen if who.keeps else set()
    yield (
        about(await unless_refused(school.vulnerable.entries(who.actor))),
        mine & {p for p, now in ON_LIST.items() if now},
    )
    yield (
        about(await unless_refused(school.vulnerable.past(who.actor))),
        mine & {p for p, now in ON_LIST.items() if not now},
    )
    for one, entry in school.world.entries.items():
        yield about(await unless_refused(school.vulnerable.entry(who.actor, entry))), mine & {one}
    for one in PEOPLE:
        yield about(await school.vulnerable.entry_of(who.actor, one)), mine & {one} if ON_LIST.get(one) else set()


@asks("people.vulnerable.VulnerableList.notes")
async def notes(school: School, who: Asking) -> Claims:
    for one, entry in school.world.entries.items():
        found = await unless_refused(school.vulnerable.notes(who.actor, school.keys, entry))
        yield about(found), who.seen & {one} if who.keeps else set()


@asks("people.vulnerable.VulnerableList.find")
async def find_for_list(school: School, who: Asking) -> Claims:
    free = HERE - {one for one, is_open in ON_LIST.items() if is_open}
    yield (
        about(await unless_refused(school.vulnerable.find(who.actor, "canary"))),
        who.seen & free if who.keeps else set(),
    )


@asks("people.vulnerable.VulnerableList.add")
async def add_to_list(school: School, who: Asking) -> Claims:
    for one in ("ben", "dora", "tom"):
        entry = await unless_refused(school.vulnerable.add(who.actor, one, "a reason", Dates()))
        yield entry is not None, who.keeps and one in who.seen
        if entry is not None:
            await school.vulnerable.end(who.actor, entry, "the next one tries")


def whose(rows: Iterable[Row] | None) -> set[str | None]:
    return {row["person_id"] for row in rows or ()}


@asks("captures.reading.Reading.find")
async def find_captures(school: School, who: Asking) -> Claims:
    reading = school.captures.reading
    for wanted in (CaptureFilter(), CaptureFilter(status=ANY), CaptureFilter(words="canary")):
        found = await reading.find(who.actor, wanted, "severe", 1)
        yield whose(found.rows), who.captured - ({None} if wanted.words else set())
        yield found.total, len(found.rows)


@asks("captures.reading.Reading.capture", "captures.reading.Reading.opened", "captures.judging._status")
async def one_capture(school: School, who: Asking) -> Claims:
    reading = school.captures.reading
    for one, capture in school.world.captures.items():
        row = await reading.capture(who.actor, capture)
        yield row is not None, one in who.captured
        opened = await reading.opened(who.actor, school.keys, capture)
        yield about(opened.text if opened else ""), {one} & who.captured - {None}
        picture = await reading.picture(who.actor, school.keys, capture)
        yield picture == b"JPEG", one in who.captured
        async with school.records.transaction() as tx:
            status = await unless_refused(_status(who.actor, tx, capture))
        yield status is Status.UNCLASSIFIED, one in who.captured


@asks("captures.reading.Reading.neighbours")
async def neighbours(school: School, who: Asking) -> Claims:
    by_id = {capture: one for one, capture in school.world.captures.items()}
    for row in await school.records.fetch("SELECT * FROM captures"):
        found = await school.captures.reading.neighbours(who.actor, row)
        yield {by_id[one] for one in found if one} <= who.captured, True


@asks("captures.reading.Reading.waiting")
async def waiting_captures(school: School, who: Asking) -> Claims:
    yield (await school.captures.reading.waiting(who.actor)).number, len(who.captured)


@asks("captures.reading.Reading.term_counts")
async def counted_terms(school: School, who: Asking) -> Claims:
    found = await school.captures.reading.term_counts(who.actor, clock() - timedelta(days=9))
    yield [count.hits for count in found.values()], [len(who.captured)] if who.captured else []


@asks("captures.reading.Reading.devices")
async def captured_on(school: School, who: Asking) -> Claims:
    yield ids(await school.captures.reading.devices(who.actor)), {"dev4"} if who.captured else set()


@asks("captures.reading.Reading.openings", "captures.reading.Reading.notes")
async def what_was_made_of_captures(school: School, who: Asking) -> Claims:
    reading = school.captures.reading
    for one, capture in school.world.captures.items():
        yield bool(await reading.openings(who.actor, capture)), one in who.captured
        notes = await reading.notes(who.actor, school.keys, capture)
        yield [note.words for note in notes], [f"about {one or 'nobody'}"] if one in who.captured else []


@asks("alerts.alerting.Alerts.open", "alerts.alerting.Alerts.closed")
async def alerts_of(school: School, who: Asking) -> Claims:
    of = {capture: one for one, capture in school.world.captures.items()}
    found = await unless_refused(school.alerts.open(who.actor))
    yield {of[row["capture_id"]] for row in found or ()}, who.captured
    yield about(found), set()
    closed = await unless_refused(school.alerts.closed(who.actor, 1))
    yield closed.total if closed else 0, 0
    yield school.alerts.waiting(who.actor.account), len(who.captured)


@asks(
    *("alerts.alerting.Alerts.alert", "alerts.alerting.Alerts.of_capture", "alerts.alerting.Alerts.steps"),
    *("alerts.alerting.Alerts.captures", "alerts.alerting.Alerts.acknowledge"),
)
async def one_alert(school: School, who: Asking) -> Claims:
    for one, capture in school.world.captures.items():
        alert = await unless_refused(school.alerts.of_capture(who.actor, capture))
        yield alert is not None, one in who.captured
        row = await school.records.fetch_one(
            "SELECT alert_id AS id FROM alert_captures WHERE capture_id = ?", (capture,)
        )
        assert row is not None
        listed = await unless_refused(school.alerts.captures(who.actor, row["id"]))
        yield bool(listed), one in who.captured
        yield await unless_refused(school.alerts.alert(who.actor, row["id"])) is not None, one in who.captured
        yield bool(await unless_refused(school.alerts.steps(who.actor, row["id"]))), one in who.captured
        taken = await unless_refused(school.alerts.acknowledge(who.actor, row["id"]))
        yield taken is not None, one in who.captured


@asks("audit.Audit.rows")
async def record(school: School, who: Asking) -> Claims:
    """Ids, and nobody's name."""
    yield "Canary" in " ".join(_texts_in(await school.audit.rows(None, 1000))), False


@pytest.mark.parametrize("name", CALLS)
async def test_everybody_gets_those_whom_the_rule_gives_them(school: School, name: str) -> None:
    for who in ASKERS:
        number = 0
        async for answer, wanted in CALLS[name](school, who):
            number += 1
            assert answer == wanted, f"{name}, answer {number}, asked by {who}"
        assert number


def test_the_rule_worked_out_here_is_no_empty_one() -> None:
    """Somebody sees nobody, somebody sees everybody, and those between see some."""
    assert {len(who.seen) for who in ASKERS} >= {0, 1, 2, len(CHILDREN)}
    assert {who.actor.role for who in ASKERS if who.seen} == SEES_RECORDS
    assert not any(who.actor.person in who.seen for who in ASKERS)
