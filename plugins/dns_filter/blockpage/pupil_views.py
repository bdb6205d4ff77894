"""What a browser sees that was led here in place of a blocked site, and the receipt of whoever asked for one.

The page is shown with status 403: browsers show it all the same, and a program, a picture or a script that was asked
for under a blocked name takes it for nothing else than a refusal. It works under any host name, because all that it
loads comes from the same one. It never repeats the path that was opened.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from aiohttp import web

from appliance.api import Appliance, Refused, Row, read_form, redirect, render

from ..domains import NotADomain, normalise
from .desk import LONGEST_WORDS, PURPOSES, Desk, Met
from .words import help_places

FORBIDDEN = 403
ASK = "/dns_filter/ask"
ASKED = "/dns_filter/asked"
_REFUSAL = "This site is blocked by the school.\n"


class PupilViews:
    """Pages for whoever met a block. No script, no cookie."""

    def __init__(self, appliance: Appliance, desk: Desk) -> None:
        self._appliance = appliance
        self._desk = desk

    # Under the name of a blocked site

    async def blocked(self, request: web.Request) -> web.Response:
        """Why this site is blocked. What is no page for people gets one line."""
        if "text/html" not in request.headers.get("Accept", ""):
            return web.Response(status=FORBIDDEN, text=_REFUSAL)
        met = await self._desk.meet_there(_own_host(request), request.remote or "")
        return await self._page(request, met, FORBIDDEN, private=request.secure)

    async def ask_here(self, request: web.Request) -> web.Response:
        """The form of the page above."""
        met = await self._desk.meet_there(_own_host(request), request.remote or "")
        return await self._ask(request, met, private=request.secure)

    # On the pupil site

    async def ask_page(self, request: web.Request) -> web.Response:
        """The same page, which nobody on the way can read: here something can be written."""
        return await self._page(request, await self._named(request), 200, private=True, action=self._action(request))

    async def ask(self, request: web.Request) -> web.Response:
        """The form of the page above."""
        return await self._ask(request, await self._named(request), private=True, action=self._action(request))

    async def asked(self, request: web.Request) -> web.Response:
        """What became of it, for whoever has the receipt."""
        code = request.query.get("code", "")[:64]
        found = await self._desk.receipt(code)
        return render(
            request,
            "dns_filter/asked.html",
            404 if code and found is None else 200,
            found=found,
            is_over=self._desk.is_over(found),
            code=code if found is not None else "",
            typed=code,
            missing=bool(code) and found is None,
            address=self._pupil_site(ASKED),
            lost=request.query.get("lost") == "yes",
        )

    # Both

    async def _named(self, request: web.Request) -> Met:
        try:
            return await self._desk.meet_there(normalise(request.query.get("host", "")), request.remote or "")
        except NotADomain:
            raise web.HTTPNotFound from None

    @staticmethod
    def _action(request: web.Request) -> str:
        return f"{ASK}?host={quote(request.query.get('host', ''))}"

    async def _ask(self, request: web.Request, met: Met, *, private: bool, action: str = ASK) -> web.Response:
        """What is written is taken only where nobody on the way can read it."""
        fields = await read_form(request)
        purpose, error = fields.get("purpose", ""), "Choose why you need it."
        if purpose in PURPOSES:
            try:
                receipt = await self._desk.ask(met, purpose, fields.get("words", "") if private else "")
            except Refused as refused:
                error = str(refused)
            else:
                return redirect(f"{ASKED}?code={receipt.code}{'' if receipt.words_kept else '&lost=yes'}")
        return await self._page(request, met, 422, private=private, action=action, error=error, typed=fields)

    async def _page(
        self,
        request: web.Request,
        met: Met,
        status: int,
        *,
        private: bool,
        action: str = ASK,
        error: str = "",
        typed: Mapping[str, str] | None = None,
    ) -> web.Response:
        category = met.decided.category if met.decided is not None else ""
        earlier = await self._desk.earlier(met) if met.told.may_ask else None
        return render(
            request,
            "dns_filter/blocked.html",
            status,
            host=met.host,
            told=met.told,
            help_sites=help_places(self._appliance.exempt.places(), met.told.kind, category),
            purposes=PURPOSES,
            typed=typed or {},
            error=error,
            earlier=earlier,
            is_over=self._desk.is_over(earlier),
            may_ask=met.told.may_ask and not _is_open(earlier),
            private=private,
            private_page=self._pupil_site(f"{ASK}?host={quote(met.host)}"),
            action=action,
            most=LONGEST_WORDS,
        )

    def _pupil_site(self, path: str) -> str:
        """A page of the pupil site, as it is typed."""
        web_settings = self._appliance.config.settings.web
        port = "" if web_settings.port == 443 else f":{web_settings.port}"
        return f"https://pupil.{web_settings.domain}{port}{path}"


def _own_host(request: web.Request) -> str:
    """Under which name this was opened; the core lets nothing through but the name of a host."""
    return request.host.partition(":")[0].lower().removesuffix(".")


def _is_open(earlier: Row | None) -> bool:
    return earlier is not None and earlier["state"] == "open"
