"""What views use: render a template, read a form, redirect, say something once, know who asks.

Plugins get ``render``, ``redirect``, ``read_form``, ``actor`` and ``flash`` through ``appliance.api``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import jinja2
from aiohttp import web

from appliance.clock import now
from appliance.errors import ApplianceError
from appliance.hookspecs import Menu, Permission, Site, State
from appliance.staff import Actor, Staff
from appliance.trust import Authority, ServerCertificate
from appliance.web.assets import Assets
from appliance.web.deadline import SlowBody
from appliance.web.sites import Hosts, site_of
from appliance.web.texts import Texts

if TYPE_CHECKING:
    from appliance.app import Appliance

FORM_TYPE = "application/x-www-form-urlencoded"
MOST_FIELDS = 500
FLASHES_KEPT = 5

CORE_MENU = (
    Menu("Home", "/", Permission.OPERATE, 0),
    Menu("Status", "/status", Permission.OPERATE, 70),
    Menu("Plugins", "/plugins", Permission.OPERATE, 80),
    Menu("Settings", "/settings", Permission.OPERATE, 90),
    Menu("Audit", "/audit", Permission.READ_AUDIT, 100),
)


class Flashes:
    """Words for the next page that a session opens. In memory: they are about what has just happened."""

    def __init__(self) -> None:
        self._session = ""
        self._words: deque[str] = deque(maxlen=FLASHES_KEPT)

    def add(self, session: str, words: str) -> None:
        """Keep words for a session; there is one session at a time, so those for another one go."""
        if session != self._session:
            self._session = session
            self._words.clear()
        self._words.append(words)

    def take(self, session: str) -> list[str]:
        """The words for this session, once."""
        if session != self._session:
            return []
        words = list(self._words)
        self._words.clear()
        return words


@dataclass(frozen=True)
class Context:
    """What every page can reach."""

    appliance: Appliance
    staff: Staff
    authority: Authority
    certificate: ServerCertificate
    hosts: Hosts
    assets: Assets
    templates: jinja2.Environment
    texts: Texts
    flashes: Flashes = field(default_factory=Flashes)


CONTEXT = web.AppKey("context", Context)
ACTOR = web.RequestKey("actor", Actor)
SESSION = web.RequestKey("session", str)


def context_of(request: web.Request) -> Context:
    """What every page can reach."""
    return request.config_dict[CONTEXT]


def actor(request: web.Request) -> Actor:
    """Who asks; its ``name`` goes into the record. Only on pages that are not public."""
    found: Actor | None = request.get(ACTOR)
    if found is None:
        raise ApplianceError("This page does not know who asks.", "Give it a permission other than public.")
    return found


def render(request: web.Request, template: str, status: int = 200, **context: Any) -> web.Response:
    """A page from a template (``<plugin>/name.html``) and what the template shows.

    Templates extend ``layout.html`` (staff) or ``pupil_layout.html`` (pupils) and fill its blocks ``title`` and
    ``main``. A variable that is not given is an error.
    """
    page = context_of(request)
    shown = page.templates.get_template(template).render({**_around(request, page), **context})
    return web.Response(text=shown, status=status, content_type="text/html")


def redirect(location: str) -> web.Response:
    """Go on to another page of this site after a form was taken (303, RFC 9110 section 15.4.4)."""
    if not location.startswith("/") or location.startswith(("//", "/\\")):
        raise ApplianceError(f"{location!r} is no page of this site.", "Give its path, beginning with one slash.")
    return web.Response(status=303, headers={"Location": location})


def flash(request: web.Request, words: str) -> None:
    """Show these words once, on the next page that this browser opens."""
    session = request.get(SESSION)
    if session is not None:
        context_of(request).flashes.add(session, words)


async def read_form(request: web.Request) -> dict[str, str]:
    """The fields of a form that was sent, as they were typed. The last of several fields of one name counts.

    Answers 400, 408 or 413 in words if it is no form, comes too slowly or is too big.
    """
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
    return {name: value.replace("\r\n", "\n") for name, value in pairs}


@dataclass(frozen=True, slots=True)
class Place:
    """One entry of the rail."""

    title: str
    path: str
    current: bool


def _around(request: web.Request, page: Context) -> dict[str, Any]:
    """What stands around the content of a page."""
    settings = page.appliance.config.settings
    around: dict[str, Any] = {
        "school": settings.school.name,
        "actor": request.get(ACTOR),
        "texts": page.texts.choose(request.headers.get("Accept-Language", "")),
    }
    site: Site | None = site_of(request, page.hosts)
    if site == "staff":
        around |= _around_staff(request, page)
    return around


def _around_staff(request: web.Request, page: Context) -> Mapping[str, Any]:
    found = request.get(ACTOR)
    if found is None:
        return {"places": [], "hours": "", "broken": 0, "flashes": []}
    checks = page.appliance.health.checks()
    return {
        "places": _places(request.path, page, found),
        "hours": page.appliance.timetable.words(now()),
        "broken": sum(check.state is State.BROKEN for check in checks),
        "flashes": page.flashes.take(request[SESSION]),
    }


def _places(path: str, page: Context, found: Actor) -> list[Place]:
    menus = [*CORE_MENU, *(menu for _, menu in page.appliance.plugins.panels(Menu))]
    allowed = sorted((menu for menu in menus if found.may(menu.permission)), key=lambda menu: (menu.order, menu.title))
    here = max((menu.path for menu in allowed if _within(path, menu.path)), key=len, default="")
    return [Place(menu.title, menu.path, menu.path == here) for menu in allowed]


def _within(path: str, menu: str) -> bool:
    return path == menu or (menu != "/" and path.startswith(f"{menu}/"))
