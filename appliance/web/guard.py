"""What every request passes before a page answers, and every answer before it leaves. Deny is the default.

From outside to inside: security headers (on every answer, also errors, 304 and static files), error pages in words,
the host name, who asks, that forms come from our own pages, and the permission that the route declares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from appliance.access import JOINING, LOCKED
from appliance.errors import ApplianceError
from appliance.hookspecs import Elsewhere, Page, Permission, Site
from appliance.net import bracketed
from appliance.web.assets import CACHEABLE
from appliance.web.deadline import SlowBody
from appliance.web.error_pages import ErrorPages
from appliance.web.pages import ACTOR, COOKIE, LIVE_PLACE, SESSION, Context
from appliance.web.sites import ELSEWHERE, SITES, host_name, site_of

NO_USE = frozenset({Permission.PUBLIC, Permission.SIGNED_IN})
"""What a page does by itself (files, the live stream) does not keep a browser from being locked."""
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing (RFC 9110 section 9.2.1)."""

SECURITY_HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self' blob:",
            "font-src 'none'",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": ", ".join(
        f"{feature}=()"
        for feature in (
            *("accelerometer", "autoplay", "browsing-topics", "camera", "display-capture"),
            *("fullscreen", "geolocation", "gyroscope", "hid", "idle-detection", "magnetometer", "microphone", "midi"),
            *("payment", "picture-in-picture", "screen-wake-lock", "serial", "usb", "xr-spatial-tracking"),
        )
    ),
}
STRICT_TRANSPORT = "max-age=31536000"
REFERRER_ELSEWHERE = "same-origin"
"""Over plain HTTP a form says only by its origin where it comes from, and "no-referrer" would leave that out."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A route, as its page declared it. ``owner`` is the plugin, empty for the core."""

    owner: str
    page: Page


Routes = Mapping[web.AbstractRoute, Declared]


class Guard:
    """The middlewares and the header signal of one web server. ``routes`` may still be filled until it starts."""

    def __init__(self, context: Context, routes: Routes, errors: ErrorPages) -> None:
        self._context = context
        self._routes = routes
        self._errors = errors
        settings = context.appliance.config.settings.web
        domain, port = settings.domain, settings.port
        self._port_suffix = "" if port == 443 else f":{port}"
        self._strict_transport = domain != "localhost" and not domain.endswith(".localhost")

    def middlewares(self) -> tuple[Middleware, ...]:
        """Outermost first."""
        return (self.words, self.place, self.identify, self.same_origin, self.permit)

    def plain_middlewares(self) -> tuple[Middleware, ...]:
        """Outermost first, for plain HTTP, where nobody signs in and no page of ours is shown."""
        return (self.words, self.place, self.not_here, self.same_origin, self.permit)

    # On every answer

    async def add_headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """Signal ``on_response_prepare``: runs for every answer that aiohttp sends for a route, errors included."""
        self.secure(response, site_of(request, self._context.hosts))

    def secure(self, response: web.StreamResponse, site: Site | Elsewhere | None) -> None:
        """Set the headers; what a plugin set otherwise is overwritten. ``site``: what the request was for, if anything.

        Under somebody else's name nothing may outlast this one answer: no copy, no cookie, no order to stay with TLS.
        """
        response.headers.update(SECURITY_HEADERS)
        if site == ELSEWHERE:
            response.headers["Referrer-Policy"] = REFERRER_ELSEWHERE
            response.headers.popall("Cross-Origin-Opener-Policy")  # over plain HTTP browsers complain of it
            response.headers.popall("Set-Cookie", None)
            response.cookies.clear()
        if site == ELSEWHERE or not response.get(CACHEABLE, False):
            response.headers["Cache-Control"] = "no-store"
        if self._strict_transport and site in SITES:
            response.headers["Strict-Transport-Security"] = STRICT_TRANSPORT
        response.headers.popall("Server", None)

    # Middlewares

    @web.middleware
    async def words(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Turn every error that we know into a page that says what happened and what to do."""
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return self._errors.of_status(request, error.status, error.headers)
        except SlowBody:
            return self._errors.of_status(request, 408)
        except ApplianceError as error:
            return self._errors.of_error(request, error, self._owner(request))

    @web.middleware
    async def place(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse names that are not ours, and bodies that are too big, before anything is read."""
        if self._site(request) is None:
            return self._errors.misdirected()
        if (request.content_length or 0) > request.client_max_size:
            raise web.HTTPRequestEntityTooLarge(request.client_max_size)
        return await handler(request)

    @web.middleware
    async def not_here(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Plain HTTP: our own pages are not here but behind TLS; a form that was sent in the clear is not passed on."""
        if self._site(request) == ELSEWHERE:
            return await handler(request)
        if request.method not in {"GET", "HEAD"}:
            return self._errors.misdirected()
        own = host_name(request.headers["Host"])
        path = request.rel_url.raw_path_qs
        address = f"https://{bracketed(own)}{self._port_suffix}{path if path.startswith('/') else '/'}"
        return web.Response(status=308, headers={"Location": address})

    @web.middleware
    async def identify(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Find out who asks. Only the staff site knows sessions."""
        session_id = request.cookies.get(COOKIE)
        if session_id and self._site(request) == "staff":
            staff = self._context.appliance.staff
            session = staff.sessions.find(session_id)
            if session is not None:
                request[ACTOR] = await staff.actor(session)
                request[SESSION] = session
                request[LIVE_PLACE] = self._context.appliance.live.expect()
                declared = self._routes.get(request.match_info.route)
                if declared is not None and declared.page.permission not in NO_USE:
                    staff.sessions.use(session)
        return await handler(request)

    @web.middleware
    async def same_origin(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """What changes something must come from a page of the same site (no token: the browser says where from).

        The endpoint site knows no cookies and is not talked to by pages, so there is nothing to forge.
        """
        if request.method not in SAFE_METHODS and self._site(request) != "endpoint" and not _is_same_origin(request):
            return self._errors.foreign_form(request)
        return await handler(request)

    @web.middleware
    async def permit(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let through what the route's permission allows, and nothing else."""
        declared = self._routes.get(request.match_info.route)
        if declared is not None and declared.page.permission is Permission.PUBLIC:
            return await handler(request)
        found = request.get(ACTOR)
        if self._site(request) == "staff" and found is None:
            return self._errors.closed(request)
        if declared is None:
            # No page has declared this route: it is aiohttp's own 404 or 405, which raises, or it must not be there.
            if request.match_info.http_exception is not None:
                raise request.match_info.http_exception
            raise web.HTTPForbidden
        if found is None:
            raise web.HTTPForbidden
        if found.may(declared.page.permission):
            return await handler(request)
        if found.permissions == LOCKED:
            return self._errors.locked(request)
        if found.permissions == JOINING:
            return self._errors.closed(request)
        raise web.HTTPForbidden

    def _site(self, request: web.Request) -> Site | Elsewhere | None:
        return site_of(request, self._context.hosts)

    def _owner(self, request: web.Request) -> str:
        declared = self._routes.get(request.match_info.route)
        return declared.owner if declared is not None else ""


def _is_same_origin(request: web.Request) -> bool:
    """By Fetch Metadata; a browser without it says at least the origin (RFC 6454). Neither is no browser of today."""
    fetch_site = request.headers.get("Sec-Fetch-Site")
    if fetch_site is not None:
        return fetch_site == "same-origin"
    origin = request.headers.get("Origin")
    host = request.headers.get("Host", "")
    return origin is not None and origin.lower() == f"{request.scheme}://{host}".lower()
