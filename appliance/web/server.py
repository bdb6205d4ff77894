"""The web server: puts sites, pages, guard and door together.

Routes come from ``Page`` objects alone, the core's own as well as the plugins', so there is no route without a site and
a permission. Each site has its own routes, reached by its host name only.

Plain HTTP has a door and an application of its own, in which there is nothing but what is shown under other people's
host names: no slip in a rule about hosts can lead from there to a page of ours.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Iterator, Sequence
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from aiohttp.web_urldispatcher import MatchedSubAppResource

from appliance.app import Appliance
from appliance.hookspecs import Check, Elsewhere, Site, State
from appliance.trust import Authority, ServerCertificate
from appliance.web.assets import Assets
from appliance.web.deadline import Door, Limits
from appliance.web.error_pages import ErrorPages
from appliance.web.guard import Declared, Guard
from appliance.web.help_texts import Help, LeftOut
from appliance.web.pages import CONTEXT, Context
from appliance.web.sites import ELSEWHERE, SITES, Hosts, SiteRule
from appliance.web.templating import make_environment
from appliance.web.texts import Texts
from appliance.web.views import core_pages

STOP_SECONDS = 0.5
"""How long an answer that is being made may take to finish when the server stops; twice that at most."""
PLAIN_SHARE = 5
"""One connection in so many may be plain HTTP: blocked advertisements must not keep anybody from the pages."""

log = logging.getLogger(__name__)


class WebServer:
    """All web pages of one generation of services, on sockets that outlive it."""

    def __init__(
        self,
        appliance: Appliance,
        sockets: Sequence[socket.socket],
        ssl_context: ssl.SSLContext | None,
        authority: Authority,
        certificate: ServerCertificate,
        plain_sockets: Sequence[socket.socket] = (),
    ) -> None:
        """``plain_sockets``: where plain HTTP is answered, for host names that are somebody else's."""
        self._appliance = appliance
        self._sockets = sockets
        self._plain_sockets = plain_sockets
        self._ssl = ssl_context
        settings = appliance.config.settings
        folders = appliance.plugins.folders()
        assets = Assets(folders)
        self._context = Context(
            appliance=appliance,
            authority=authority,
            certificate=certificate,
            hosts=Hosts(settings.web.domain, elsewhere=_any_elsewhere(appliance)),
            assets=assets,
            templates=make_environment(folders, assets, settings.school.timezone),
            texts=Texts(),
            help=Help(folders),
        )
        self._routes: dict[web.AbstractRoute, Declared] = {}
        self._left_out: list[Check] = [_help_left_out(found) for found in self._context.help.left_out]
        self._errors = ErrorPages(self._context)
        self._guard = Guard(self._context, self._routes, self._errors)
        self._runner: web.AppRunner | None = None
        self._plain_runner: web.AppRunner | None = None
        self._doors: list[Door] = []

    async def start(self) -> None:
        """Serve from now on."""
        settings = self._appliance.config.settings.web
        most = settings.connections
        declared = self._declared()
        self._runner = await self._open(
            self._application(self._guard.middlewares(), (*SITES, ELSEWHERE), declared), self._sockets, self._ssl, most
        )
        if self._plain_sockets:
            plain = self._application(self._guard.plain_middlewares(), (ELSEWHERE,), declared)
            self._plain_runner = await self._open(plain, self._plain_sockets, None, max(1, most // PLAIN_SHARE))
        self._appliance.health.add(self._checks)

    async def _open(
        self, application: web.Application, sockets: Sequence[socket.socket], context: ssl.SSLContext | None, most: int
    ) -> web.AppRunner:
        settings = self._appliance.config.settings.web
        runner = web.AppRunner(application, shutdown_timeout=STOP_SECONDS)
        await runner.setup()
        assert runner.server is not None
        limits = Limits(settings.header_seconds, settings.body_seconds, most)
        door = Door(runner.server, limits, context, self._without_route)
        door.open(sockets)
        self._doors.append(door)
        return runner

    async def stop(self) -> None:
        """Stop within two seconds, whatever clients do. Newcomers wait in the sockets' queues for the next server."""
        if self._runner is None:
            return
        for door in self._doors:
            door.stop_accepting()
        self._appliance.live.close()
        await asyncio.gather(*(runner.cleanup() for runner in (self._runner, self._plain_runner) if runner))
        for door in self._doors:
            door.abort_all()
        await asyncio.sleep(0)  # lets the aborted connections say that they are lost
        self._doors = []
        self._runner = self._plain_runner = None

    # Building

    def _application(
        self, middlewares: Sequence[Middleware], sites: Sequence[Site | Elsewhere], declared: Sequence[Declared]
    ) -> web.Application:
        root = web.Application(
            middlewares=middlewares,
            client_max_size=self._appliance.config.settings.web.max_body_kib * 1024,
        )
        root[CONTEXT] = self._context
        root.on_response_prepare.append(self._guard.add_headers)
        for site in sites:
            application = web.Application()
            for route in declared:
                if route.page.site == site:
                    self._add(application, route)
            rule = SiteRule(site, self._context.hosts)
            # What add_domain() does, with our rule for host names in place of its pattern.
            root._add_subapp(partial(MatchedSubAppResource, rule, application), application)
        return root

    def _declared(self) -> list[Declared]:
        """Every page with its owner. The core's addresses cannot be taken by a plugin that is called like one."""
        core = [Declared("", page) for page in core_pages(self._context.assets)]
        taken = {route.page.path.split("/")[1] for route in core}
        found = list(core)
        elsewhere = next(_owners_elsewhere(self._appliance), "")
        for owner, page in self._appliance.plugins.pages():
            if page.path.split("/")[1] in taken:
                self._leave_out(owner, page.path, "the address belongs to the core")
            elif page.site == ELSEWHERE and owner != elsewhere:
                self._leave_out(owner, page.path, f"{elsewhere} has the pages under other people's host names already")
            else:
                found.append(Declared(owner, page))
        return found

    def _add(self, application: web.Application, declared: Declared) -> None:
        page = declared.page
        methods = ("GET", "HEAD") if page.method == "GET" else (page.method,)
        try:
            resource = application.router.add_resource(page.path)
            for method in methods:
                self._routes[resource.add_route(method, self._handler(declared))] = declared
        except (ValueError, RuntimeError) as error:  # a path that aiohttp cannot read, or the same one again
            self._leave_out(declared.owner, page.path, str(error))

    def _leave_out(self, owner: str, path: str, why: str) -> None:
        log.error("The page %s of %s is left out: %s", path, owner, why)
        words = f"The page {path} is left out: {why}."
        self._left_out.append(Check(f"Pages of {owner}", State.WARNING, words, "Tell the plugin's author."))

    def _handler(self, declared: Declared) -> Handler:
        if not declared.owner:
            return declared.page.view

        async def contained(request: web.Request) -> web.StreamResponse:
            return await self._appliance.plugins.run_view(declared.owner, declared.page.view, request)

        return contained

    async def _checks(self) -> list[Check]:
        return self._left_out

    def _without_route(self, request: web.BaseRequest, status: int) -> web.Response:
        response = self._errors.without_route(request, status)
        self._guard.secure(response, None)
        return response


def _owners_elsewhere(appliance: Appliance) -> Iterator[str]:
    return (owner for owner, page in appliance.plugins.pages() if page.site == ELSEWHERE)


def _any_elsewhere(appliance: Appliance) -> bool:
    return any(_owners_elsewhere(appliance))


def _help_left_out(found: LeftOut) -> Check:
    return Check(f"Help of {found.plugin}", State.WARNING, f"It is left out: {found.why}", "Tell the plugin's author.")
