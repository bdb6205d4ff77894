"""Every hook that a plugin may implement, and the small classes that hooks return.

A hook is a question that the core asks plugins. Whether a hook is sync or async is fixed here and checked when a plugin
is loaded; so are its name and its arguments. Everything that a hook needs beside its subject is on the plugin's
``self``: the services in ``self.appliance``, its own checked settings in ``self.settings``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import pluggy

from appliance.observations import Detector, EndpointDevice, Finding, Observation

if TYPE_CHECKING:  # most commands never answer a request, and it takes a third of a second to import
    from aiohttp import web

PROJECT = "appliance"

hook = pluggy.HookimplMarker(PROJECT)
"""Decorator that marks a method of a plugin as the answer to the hook of the same name."""

_spec = pluggy.HookspecMarker(PROJECT)

Site = Literal["staff", "pupil", "endpoint"]
Elsewhere = Literal["elsewhere"]
"""Any host name that is somebody else's. Whoever opens one and lands here was sent by an answer of the web filter."""
View: TypeAlias = "Callable[[web.Request], Awaitable[web.StreamResponse]]"


class Permission(StrEnum):
    """What a visitor must be allowed to do before a page answers. There is no default: ``PUBLIC`` is written out."""

    PUBLIC = "public"
    JOIN = "join"
    """Make an account ready, with a link that was handed over. Nothing else."""
    SIGNED_IN = "signed in"
    """Be signed in, even while the browser is locked: what shows no content and changes nothing of others."""
    USE = "use the pages"
    """Home, help and one's own account: every account, unlocked."""
    OPERATE = "operate"
    """Run the box: status, plugins, settings, filters. Sees no child's content."""
    SEE_ACTIVITY = "see activity"
    """See what devices asked the network for: names and verdicts, never a person."""
    READ_AUDIT = "read audit"
    """Read the record of who did what. Names of people appear only to those who may see them."""
    MANAGE_PEOPLE = "manage people"
    """Keep the directory: who is at the school, groups, devices. No content about anybody."""
    SEE_DIRECTORY = "see the directory"
    """Open lists of people, groups and devices, and a person's page: who stands there depends on one's scope."""
    SEE_PEOPLE = "see people"
    """See records about the people in one's scope."""
    MANAGE_STAFF = "manage staff"
    """Invite, change and disable accounts that grant no content role."""
    GRANT_CONTENT = "grant content"
    """Give a role that sees content, and a scope: the safeguarding lead alone."""
    SWITCH_MONITORING = "switch monitoring"
    """Decide who is monitored."""
    SEE_MONITORING = "see monitoring"
    """See who is monitored and who was told."""
    SEE_CAPTURES = "see captures"
    """See the captures of the people in one's scope, set statuses and write notes. Opening them needs the vault too."""
    SEE_ALERTS = "see alerts"
    """Be told what a responsible adult must look at, as far as one may see whom or what it is about."""
    CHOOSE_SITES = "choose websites"
    """Say which websites are open for whom, pause a filter, and answer those who ask for a site."""
    KEEP_VULNERABLE = "keep the vulnerable list"
    """See and change who is on the vulnerable list. No role gives it: whoever can open its notes has it."""


@dataclass(frozen=True, slots=True)
class Page:
    """One route. ``path`` follows aiohttp's syntax (``/lists/{name}``); paths of a plugin start with ``/<plugin>``.

    ``elsewhere`` is what a device sees that was led here under somebody else's host name, over plain HTTP too: public
    pages without cookies, at any path, of one plugin alone.
    """

    site: Site | Elsewhere
    method: Literal["GET", "POST"]
    path: str
    view: View
    permission: Permission


@dataclass(frozen=True, slots=True)
class Menu:
    """A place in the narrow rail of the staff pages. ``order``: lower comes first, the core uses 0 to 100."""

    title: str
    path: str
    permission: Permission
    order: int = 50


@dataclass(frozen=True, slots=True)
class HomeCard:
    """A card on the home page: ``template`` (``<plugin>/card.html``) rendered with what ``data`` returns, and with the
    ``actor`` who looks, so that it counts what waits for them.
    """

    title: str
    template: str
    data: Callable[[], Awaitable[Mapping[str, Any]]]
    permission: Permission


@dataclass(frozen=True, slots=True)
class Task:
    """A step of the set-up that stands on the home page of whoever may do it until ``done`` says that it is done."""

    title: str
    why: str
    link: str
    link_words: str
    permission: Permission
    done: Callable[[], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Fact:
    """A line among the facts on the page of each device or each person, which leads to what the plugin knows of them.

    ``title`` and ``words``: "Websites", "See what it asked for". ``path`` ends where the id goes:
    ``/visitors/of?person=``. It is shown to whoever has all of ``permissions``; the page that it leads to decides
    whether they may see that device or person.
    """

    about: Literal["device", "person"]
    title: str
    words: str
    path: str
    permissions: frozenset[Permission]


Panel = Menu | HomeCard | Task | Fact


@dataclass(frozen=True, slots=True)
class Every:
    """At an interval, measured by a clock that nobody can set back."""

    interval: timedelta


@dataclass(frozen=True, slots=True)
class Daily:
    """Once a day at a time of the school's time zone."""

    at: time


@dataclass(frozen=True, slots=True)
class Job:
    """Work at times. ``name`` is unique in its plugin; ``run`` may take up to ``limit``; runs never overlap."""

    name: str
    when: Every | Daily
    run: Callable[[], Awaitable[None]]
    limit: timedelta = timedelta(minutes=5)


WorkerMain = Callable[["Any"], Awaitable[None]]
"""``async def dns(context: WorkerContext) -> None`` in the plugin's ``worker.py``."""

Receive = Callable[[Sequence[Mapping[str, Any]], int], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Worker:
    """A process of its own, without database and web.

    ``main`` is the async function called ``name`` in the plugin's ``worker.py``. ``receive(records, dropped)`` gets, in
    the main process, what the worker reported, in batches, and how many records its bounded buffer had to drop.
    ``capabilities`` are the Linux capabilities that the unit file gives it, for the documents and the status page.
    ``title`` is what people call it, on the status page and in alerts, for example "DNS".
    """

    name: str
    main: WorkerMain
    receive: Receive
    capabilities: tuple[str, ...] = ()
    title: str = ""


@dataclass(frozen=True, slots=True)
class Data:
    """What a table holds and how long. Every table of a plugin must be declared.

    ``time_column`` (UTC, ISO 8601 text) older than ``keep_days`` is deleted by the retention job; ``keep_days=None``
    keeps rows until the plugin itself or ``plugin remove`` deletes them.
    """

    table: str
    holds: str
    keep_days: int | None = None
    time_column: str | None = None
    store: Literal["records", "activity"] = "records"


@dataclass(frozen=True, slots=True)
class Argument:
    """Something that is typed after a command: ``name`` (``client``), ``words`` for its help.

    ``option``: written as ``--name VALUE`` and may be left out; otherwise it is needed and has its place.
    """

    name: str
    words: str
    option: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the command line that asks the running appliance: ``appliance dns explain NAME``.

    ``path``: the words that call it, none of which is a command of the core. ``run`` gets what was typed by name (an
    option that was left out is ``""``) and returns the words to print; it raises ``Refused`` for what it cannot do.
    """

    path: tuple[str, ...]
    words: str
    arguments: tuple[Argument, ...]
    run: Callable[[Mapping[str, str]], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class DnsClient:
    """Something that asks for names: where it is, which device that is and who uses it, as far as they are known."""

    address: str
    device: str | None
    person: str | None


@dataclass(frozen=True, slots=True)
class Overlay:
    """What a plugin wants for one client over its profile, until a moment or until it is asked again.

    ``profile``: this one instead of the client's own. ``block`` and ``allow``: domains with everything below them.
    ``only``: nothing but ``allow``. ``everything``: nothing at all. ``why``: words for those who ask why.
    """

    profile: str = ""
    block: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    only: bool = False
    everything: bool = False
    until: datetime | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A plugin's word that a name is to be blocked, and why."""

    why: str


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Who it was, on which device, where and when, as far as it is known. Ids are those of the directory.

    ``groups``: of the person and of the device. ``address``: of the device in the network; empty if it is not known.
    """

    person: str | None
    device: str | None
    groups: frozenset[str]
    address: str
    at: datetime


class State(StrEnum):
    """How a part of the appliance is doing."""

    GOOD = "good"
    WARNING = "warning"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the status page: what was looked at, how it is, in words, and what to do about it."""

    name: str
    state: State
    words: str
    todo: str = ""
    alarm: bool = False
    """Silence of this part endangers children: while it is broken in school hours, an alert is opened."""


class Hooks:
    """The specifications. Methods take ``self`` only; their docstrings are the reference page."""

    @_spec
    async def startup(self) -> None:
        """Called once after the plugin's tables are there and before its pages, jobs and listeners are used.

        Raise ``NotReady("...")`` when something it needs may come later: the appliance tries again with growing pauses.

        Example::

            @hook
            async def startup(self) -> None:
                await self.publish_snapshot()
        """

    @_spec
    async def shutdown(self) -> None:
        """Called once before the appliance stops or the plugin is switched off.

        Also after a ``startup`` that failed or said ``NotReady``: end what it had begun, and expect only half of it.

        Example::

            @hook
            async def shutdown(self) -> None:
                await self.client.close()
        """

    @_spec
    def register_pages(self) -> Sequence[Page]:  # type: ignore[empty-body]
        """The plugin's pages. Each names its site, method, path, view and permission.

        Merged: all plugins' pages together; a path outside ``/<plugin>`` or used twice is refused.

        Example::

            @hook
            def register_pages(self) -> list[Page]:
                return [Page("staff", "GET", "/visitors", self.views.index, Permission.OPERATE)]
        """

    @_spec
    def register_panels(self) -> Sequence[Panel]:  # type: ignore[empty-body]
        """What the plugin adds to shared pages.

        ``Menu``: the rail. ``HomeCard`` and ``Task``: the home page. ``Fact``: the page of each device or person.

        Merged: sorted by ``order`` and title.

        Example::

            @hook
            def register_panels(self) -> list[Panel]:
                return [Menu("Visitors", "/visitors", Permission.OPERATE)]
        """

    @_spec
    def register_events(self) -> Sequence[type[Any]]:  # type: ignore[empty-body]
        """Event classes that the plugin publishes (subclasses of ``Event``). Other plugins cannot import them.

        Example::

            @hook
            def register_events(self) -> list[type[Event]]:
                return [VisitorArrived]
        """

    @_spec
    def register_listeners(self) -> Mapping[type[Any], Callable[[Any], Awaitable[None]]]:  # type: ignore[empty-body]
        """Event class -> async method. Delivered at least once, after the commit, until the method returns.

        Example::

            @hook
            def register_listeners(self) -> dict[type[Event], Callable]:
                return {SettingChanged: self.on_setting_changed}
        """

    @_spec
    def register_jobs(self) -> Sequence[Job]:  # type: ignore[empty-body]
        """Work at intervals or times of day.

        Example::

            @hook
            def register_jobs(self) -> list[Job]:
                return [Job("sign_out", Daily(time(18, 0)), self.store.sign_everyone_out)]
        """

    @_spec
    def register_workers(self) -> Sequence[Worker]:  # type: ignore[empty-body]
        """Worker processes: for what must go on while the main process restarts, or needs a capability of its own.

        Example::

            @hook
            def register_workers(self) -> list[Worker]:
                return [Worker("dns", worker.dns, self.receive, ("CAP_NET_BIND_SERVICE",))]
        """

    @_spec
    def register_data(self) -> Sequence[Data]:  # type: ignore[empty-body]
        """Every table of the plugin: what it holds and how long. A table that is not named here is refused.

        Example::

            @hook
            def register_data(self) -> list[Data]:
                return [Data("visitors_visits", "who came and went", keep_days=365, time_column="arrived_at")]
        """

    @_spec
    def register_detectors(self) -> Sequence[Detector]:  # type: ignore[empty-body]
        """Detectors: what they find in an observation becomes a capture. A plugin author's main door.

        Asked when the plugin is loaded, so that mistakes show at once, and again in the detection process, where they
        are used: there the plugin is made but not started, and there is no store and no network. All detectors of all
        plugins are asked about every observation of their surfaces. Merged: every finding counts; the most severe one
        gives the capture its name.

        Example::

            @hook
            def register_detectors(self) -> list[Detector]:
                return [Detector("gambling", frozenset({Surface.TYPED, Surface.SEARCH}), detect_gambling)]
        """

    @_spec
    async def weigh_findings(  # type: ignore[empty-body]
        self, subject: Circumstances, observation: Observation, findings: Sequence[Finding]
    ) -> Sequence[Finding]:
        """What remains of the findings of this plugin's own detectors, given who it was, where and when.

        Detectors know nothing of people; here the main process asks before anything is kept. Each finding comes back
        as it is, changed (``dataclasses.replace``), or not at all; none may be added. Answer from memory: it has a
        second. If it fails or is late, the findings stay as they are, and the Status page is red. The test phrase, and
        what could not be judged, are never put to it.

        Merged: each plugin weighs its own findings alone.

        Example::

            @hook
            async def weigh_findings(
                self, subject: Circumstances, observation: Observation, findings: Sequence[Finding]
            ) -> Sequence[Finding]:
                return [] if subject.groups & self.groups_left_out else findings
        """

    @_spec
    async def endpoint_policy(self, device: EndpointDevice) -> Mapping[str, Any]:  # type: ignore[empty-body]
        """What this browser must know to notice something: an object of texts, whole numbers, booleans and lists.

        It reaches the plugin's ``browser/main.js``. To a browser that has one of the last answers only the difference
        is sent, so a large answer is best an object whose keys stay the same, and the same object for all who get it.

        Asked whenever a device connects and again every few seconds: answer from memory, and with a new object when
        something has changed. A change for all devices reaches them within some seconds, one for a single device
        within half a minute, or at once after ``self.appliance.endpoints.connections.look_soon()``. While the device is
        not monitored, nothing but the test phrase may be looked for.

        Example::

            @hook
            async def endpoint_policy(self, device: EndpointDevice) -> dict[str, Any]:
                return {"needles": self.needles if device.monitored else []}
        """

    @_spec
    def browser_files(self) -> Mapping[str, bytes]:  # type: ignore[empty-body]
        """Files for browsers that are made, beside those in the plugin's folder ``browser``: by their path in it.

        Asked once, when the extension is packed at the start of the appliance. So a table that the plugin's Python code
        has need not be written down a second time. If it fails, browsers do without the plugin.

        Example::

            @hook
            def browser_files(self) -> dict[str, bytes]:
                return {"generated/words.js": f"export const words = {json.dumps(WORDS)};".encode()}
        """

    @_spec
    def register_commands(self) -> Sequence[Command]:  # type: ignore[empty-body]
        """Commands of the command line. They run in the appliance that runs; without one they say so.

        Merged: all plugins' commands together; the first plugin that the settings name keeps a command that two have.

        Example::

            @hook
            def register_commands(self) -> list[Command]:
                return [Command(("visitors", "today"), "print who is here", (), self.print_today)]
        """

    @_spec
    async def dns_overlay(self, client: DnsClient) -> Overlay | None:
        """What applies to this client over its web filter profile; ``None``: nothing.

        Asked for each client that is known (a device or a person) when it comes and every few seconds: answer from
        memory. A plugin that fails keeps what it said last, until its ``until``. What it says ends by itself at
        ``until``, even while the appliance does not run; without one it stays in force until it says otherwise.

        Merged: the strictest wins. ``everything`` and ``only`` if one says so; of profiles the strictest; all
        ``block`` together; ``allow`` only where no plugin blocks, and with ``only`` what all who say ``only`` allow.
        Help-seeking sites stay open, and locked lists stay shut, whatever is said.

        Example::

            @hook
            async def dns_overlay(self, client: DnsClient) -> Overlay | None:
                ban = self.bans.get(client.person)
                return Overlay(everything=True, until=ban.ends, why="Internet ban") if ban else None
        """

    @_spec
    def dns_verdict(self, name: str, type: str, profile: str) -> Verdict | None:  # noqa: A002
        """Whether a name (``www.example.org``) is to be blocked for a profile; ``None``: nothing to say.

        Asked beside the DNS worker, in a process of its own in which the plugin is made but not started: there is no
        store and no network. The answer is remembered, so it depends on nothing but its arguments. A plugin that takes
        too long is left out. Names of help-seeking sites are never asked about.

        Merged: the strictest wins: one ``Verdict`` blocks the name.

        Example::

            @hook
            def dns_verdict(self, name: str, type: str, profile: str) -> Verdict | None:
                return Verdict("A gambling site") if "casino" in name and profile == "pupil" else None
        """

    @_spec
    async def health(self) -> Sequence[Check]:  # type: ignore[empty-body]
        """Checks for the status page, asked every half minute. Quick: answer from memory where possible.

        Example::

            @hook
            async def health(self) -> list[Check]:
                return [Check("Visitor printer", State.GOOD, "Answers.")]
        """
