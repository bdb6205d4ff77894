"""What views use: render a template, read a form, redirect, say something once, know who asks.

Plugins get ``render``, ``redirect``, ``read_form``, ``actor`` and ``flash`` through ``appliance.api``.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import jinja2
from aiohttp import web

from appliance.access import Actor
from appliance.accounts.sessions import Session
from appliance.accounts.signing_in import Visitor
from appliance.clock import now
from appliance.errors import ApplianceError, Refused
from appliance.hookspecs import Menu, Permission, State
from appliance.sealing import Keys
from appliance.trust import Authority, ServerCertificate
from appliance.web.assets import Assets
from appliance.web.deadline import SlowBody
from appliance.web.help_texts import Help
from appliance.web.sites import Hosts, site_of
from appliance.web.texts import Texts

if TYPE_CHECKING:
    from appliance.app import Appliance

COOKIE = "__Host-session"
BROWSER_COOKIE = "__Host-browser"
"""Tells a browser in which somebody has signed in before from one that is new."""
BROWSER_LIFE_SECONDS = 400 * 24 * 3600
"""As long as browsers keep any cookie (RFC 6265bis)."""
FORM_TYPE = "application/x-www-form-urlencoded"
MOST_FIELDS = 500
FLASHES_KEPT = 5
SESSIONS_KEPT = 500
_PATH = re.compile(r"/(?![/\\])[^\x00-\x1f\x7f]*")

CORE_MENU = (
    Menu("Home", "/", Permission.USE, 0),
    Menu("Captures", "/captures", Permission.SEE_CAPTURES, 10),
    Menu("People", "/people", Permission.SEE_DIRECTORY, 20),
    Menu("Devices", "/devices", Permission.SEE_DIRECTORY, 24),
    Menu("Monitoring", "/monitoring", Permission.SEE_MONITORING, 30),
    Menu("Staff", "/staff", Permission.MANAGE_STAFF, 60),
    Menu("Status", "/status", Permission.OPERATE, 70),
    Menu("Plugins", "/plugins", Permission.OPERATE, 80),
    Menu("Settings", "/settings", Permission.OPERATE, 90),
    Menu("Audit", "/audit", Permission.READ_AUDIT, 100),
)
PART_OF = {"/alerts": "/captures", "/groups": "/people", "/vulnerable": "/people", "/identity": "/status"}
"""Pages that are reached from a place in the rail without lying below its address."""


class Flashes:
    """Words for the next page that a session opens. In memory: they are about what has just happened."""

    def __init__(self) -> None:
        self._words: OrderedDict[str, deque[str]] = OrderedDict()

    def add(self, session: Session, words: str) -> None:
        """Keep words for a session."""
        self._words.setdefault(session.sha256, deque(maxlen=FLASHES_KEPT)).append(words)
        while len(self._words) > SESSIONS_KEPT:
            self._words.popitem(last=False)

    def take(self, session: Session) -> list[str]:
        """The words for this session, once."""
        return list(self._words.pop(session.sha256, ()))


@dataclass(frozen=True)
class Context:
    """What every page can reach."""

    appliance: Appliance
    authority: Authority
    certificate: ServerCertificate
    hosts: Hosts
    assets: Assets
    templates: jinja2.Environment
    texts: Texts
    help: Help
    flashes: Flashes = field(default_factory=Flashes)


CONTEXT = web.AppKey("context", Context)
ACTOR = web.RequestKey("actor", Actor)
SESSION = web.RequestKey("session", Session)
LIVE_PLACE = web.RequestKey("live place", str)
"""Where the live stream was before anything was read for the page: its script asks for what came after."""


def context_of(request: web.Request) -> Context:
    """What every page can reach."""
    return request.config_dict[CONTEXT]


def actor(request: web.Request) -> Actor:
    """Who asks; its ``name`` goes into the record. Only on pages that are not public."""
    found: Actor | None = request.get(ACTOR)
    if found is None:
        raise ApplianceError("This page does not know who asks.", "Give it a permission other than public.")
    return found


def keys(request: web.Request) -> Keys:
    """What opens content for whoever asks; raises ``Refused`` if the browser was locked a moment ago."""
    found = context_of(request).appliance.staff.sessions.keys(request[SESSION])
    if found is None:
        raise Refused("This browser was locked a moment ago.", "Load the page again and enter your password.")
    return found


def render(request: web.Request, template: str, status: int = 200, **context: Any) -> web.Response:
    """A page from a template (``<plugin>/name.html``) and what the template shows.

    Templates extend ``layout.html`` (staff) or ``pupil_layout.html`` (pupils) and fill its blocks ``title`` and
    ``main``. A variable that is not given is an error.
    """
    page = context_of(request)
    shown = page.templates.get_template(template).render({**_around(request, page), **context})
    return web.Response(text=shown, status=status, content_type="text/html")


def stays_here(path: str) -> bool:
    """Whether a path leads to this site, as browsers read it too: ``\\`` is ``/``, tabs and line ends are nothing."""
    return _PATH.fullmatch(path) is not None


def redirect(location: str) -> web.Response:
    """Go on to another page of this site after a form was taken (303, RFC 9110 section 15.4.4)."""
    if not stays_here(location):
        raise ApplianceError(f"{location!r} is no page of this site.", "Give its path, beginning with one slash.")
    return web.Response(status=303, headers={"Location": location})


def flash(request: web.Request, words: str) -> None:
    """Show these words once, on the next page that this browser opens."""
    session = request.get(SESSION)
    if session is not None:
        context_of(request).flashes.add(session, words)


async def read_form(request: web.Request) -> dict[str, str]:
    """The fields of a form that was sent, as they were typed. The last of several fields of one name counts.

    Answers 400, 408 or 413 in words if it is no form, comes too slowly or is too big; raises ``Refused`` if whoever
    sends it was signed out meanwhile.
    """
    return dict(await read_fields(request))


async def read_fields(request: web.Request) -> list[tuple[str, str]]:
    """``read_form`` for forms in which several fields have one name."""
    if request.content_type != FORM_TYPE:
        raise web.HTTPBadRequest
    try:
        body = (await request.read()).decode("utf-8")
        pairs = parse_qsl(body, keep_blank_values=True, errors="strict", max_num_fields=MOST_FIELDS)
    except SlowBody:
        raise web.HTTPRequestTimeout from None
    except (ValueError, web.RequestPayloadError):
        raise web.HTTPBadRequest from None
    if any("\0" in name or "\0" in value for name, value in pairs):
        raise web.HTTPBadRequest
    session = request.get(SESSION)
    if session is not None and session.over.is_set():  # who asks was found out before the form had come
        raise Refused("You were signed out while this was being sent. Nothing was changed.", "Sign in again.")
    return [(name, value.replace("\r\n", "\n")) for name, value in pairs]


def visitor(request: web.Request) -> Visitor:
    """Where a try to sign in comes from."""
    return Visitor(request.remote or "", request.cookies.get(BROWSER_COOKIE))


def enter(response: web.Response, session_id: str, browser: str = "") -> web.Response:
    """Leave the session in the browser until it is closed, and for long what tells this browser again."""
    response.set_cookie(COOKIE, session_id, path="/", secure=True, httponly=True, samesite="Strict")
    if browser:
        response.set_cookie(
            BROWSER_COOKIE,
            browser,
            max_age=BROWSER_LIFE_SECONDS,
            path="/",
            secure=True,
            httponly=True,
            samesite="Strict",
        )
    return response


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the rail."""

    title: str
    path: str
    current: bool


def _around(request: web.Request, page: Context) -> dict[str, Any]:
    """What stands around the content of a page."""
    settings = page.appliance.config.settings
    found = request.get(ACTOR)
    around: dict[str, Any] = {
        "school": settings.school.name,
        "banner": settings.school.banner,
        "actor": found if found is not None and found.may(Permission.USE) else None,
        "texts": page.texts.choose(request.headers.get("Accept-Language", "")),
    }
    if site_of(request, page.hosts) == "staff":
        around |= _around_staff(request, page)
        around["help_path"] = page.help.path_from(request.path, _may_use(request))
    return around


def _may_use(request: web.Request) -> bool:
    found = request.get(ACTOR)
    return found is not None and found.may(Permission.USE)


def _around_staff(request: web.Request, page: Context) -> Mapping[str, Any]:
    found = request.get(ACTOR)
    if found is None or not found.may(Permission.USE):
        return {
            "places": [],
            "hours": "",
            "broken": 0,
            "flashes": [],
            "operates": False,
            "monitoring": "",
            "waiting": 0,
            "alerts": None,
            "idle": 0,
            "live_place": "",
        }
    appliance = page.appliance
    return {
        "places": _places(request.path, page, found),
        "hours": appliance.timetable.words(now()),
        "broken": sum(check.state is State.BROKEN for check in appliance.health.checks()),
        "flashes": page.flashes.take(request[SESSION]),
        "operates": found.may(Permission.OPERATE),
        "monitoring": appliance.monitoring.words(),
        "waiting": appliance.notices.waiting(found.account),
        "alerts": _around_alerts(request, page, found),
        "idle": int(appliance.staff.sessions.idle.total_seconds()),
        "live_place": request[LIVE_PLACE],
    }


@dataclass(frozen=True, slots=True)
class AlertsLine:
    """What the top line says of alerts: how many wait, or until when they stay quiet on this screen.

    ``back``: where the switch leads back to.
    """

    waiting: int
    quiet_until: str
    back: str


def _around_alerts(request: web.Request, page: Context, found: Actor) -> AlertsLine | None:
    """``None`` for whoever is told of no alerts."""
    if not found.may(Permission.SEE_ALERTS):
        return None
    alerts = page.appliance.alerts
    until = alerts.presenting.until(found.account)
    zone = ZoneInfo(page.appliance.config.settings.school.timezone)
    shown = f"{until.astimezone(zone):%H:%M}" if until is not None else ""
    return AlertsLine(alerts.waiting(found.account), shown, request.path if request.method == "GET" else "/")


def _places(path: str, page: Context, found: Actor) -> list[Place]:
    menus = [*CORE_MENU, *(menu for _, menu in page.appliance.plugins.panels(Menu))]
    allowed = sorted((menu for menu in menus if found.may(menu.permission)), key=lambda menu: (menu.order, menu.title))
    shown = next((part for beginning, part in PART_OF.items() if _within(path, beginning)), path)
    here = max((menu.path for menu in allowed if _within(shown, menu.path)), key=len, default="")
    return [Place(menu.title, menu.path, menu.path == here) for menu in allowed]


def _within(path: str, menu: str) -> bool:
    return path == menu or (menu != "/" and path.startswith(f"{menu}/"))
