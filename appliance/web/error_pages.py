"""Error pages: what happened and what to do next, in the words of each site. Nothing that was sent is repeated."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass

from aiohttp import web

from appliance.errors import ApplianceError, NotReady, PluginError, PluginOff, Refused, StoreBusy
from appliance.web.deadline import BareResponse
from appliance.web.pages import ACTOR, Context, render
from appliance.web.signing_in_views import sign_in_page, unlock_page
from appliance.web.sites import ELSEWHERE, site_of


@dataclass(frozen=True, slots=True)
class Fault:
    """What an error page of the staff site says."""

    title: str
    what: str
    todo: str


FAULTS: Mapping[int, Fault] = {
    400: Fault(
        "That could not be understood",
        "What your browser sent is not what this page expects.",
        "Go back, load the page again, and try once more.",
    ),
    403: Fault("This page is not open to you", "Your sign-in does not allow it.", "Ask whoever set up the appliance."),
    404: Fault(
        "Page not found",
        "There is no page at this address.",
        "If you typed it, look for a slip. If you followed a link here, the page may have moved.",
    ),
    405: Fault(
        "That does not work here",
        "This address does not take what your browser sent.",
        "Go back and use the buttons of the page.",
    ),
    408: Fault("That came too slowly", "Your browser took too long to send the form.", "Go back and send it again."),
    413: Fault("That is too much", "What your browser sent is bigger than the appliance takes.", "Send less at once."),
    500: Fault(
        "Something has gone wrong",
        "This page failed. The appliance has noted what happened; everything else goes on.",
        "Try again. If it happens once more, tell whoever looks after the appliance.",
    ),
    503: Fault("Not at this moment", "The appliance cannot answer at this moment.", "Try again in a minute."),
}
_FOREIGN = Fault(
    "That came from another page",
    "The appliance only takes forms from its own pages, so nothing was changed.",
    "Open the page here and send the form again.",
)
_MISDIRECTED = "421 - This name does not belong to the safeguarding appliance.\n\nOpen {address} instead.\n"

log = logging.getLogger(__name__)


class ErrorPages:
    """Makes the pages, per site."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def of_status(
        self, request: web.Request, status: int, headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """The page for a status; ``Allow`` of a 405 is kept (RFC 9110 section 15.5.6)."""
        off = self._switched_off(request) if status == 404 else None
        if off is not None:
            return self._plugin_off(request, off)
        response = self._page(request, status, FAULTS.get(status, FAULTS[500 if status >= 500 else 400]))
        if headers is not None and "Allow" in headers:
            response.headers["Allow"] = headers["Allow"]
        return response

    def of_error(self, request: web.Request, error: ApplianceError, owner: str) -> web.StreamResponse:
        """The page for an error that carries words. ``owner``: the plugin whose page it was, if any."""
        match error:
            case PluginOff():
                return self._plugin_off(request, error)
            case PluginError():
                return self._plugin_failed(request, error, owner)
            case Refused():
                return self._page(request, 409, Fault("This cannot be done", error.what, error.todo))
            case StoreBusy() | NotReady():
                return self._page(request, 503, Fault("Not at this moment", error.what, error.todo))
        log.error("A page failed: %s %s: %s", request.method, request.rel_url.raw_path, error)
        return self._page(request, 500, Fault("Something has gone wrong", error.what, error.todo))

    def foreign_form(self, request: web.Request) -> web.StreamResponse:
        """A form came from somewhere else."""
        return self._page(request, 403, _FOREIGN)

    def _plugin_failed(self, request: web.Request, error: PluginError, owner: str) -> web.StreamResponse:
        """A page of a plugin failed."""
        todo = f"Look at the Status page, and show it to whoever looks after the plugin {owner or 'concerned'}."
        fault = Fault("This part has stopped working", "Everything else goes on.", todo)
        return self._page(request, 500, fault, detail=error.what, link="/status", link_words="Go to Status")

    def _plugin_off(self, request: web.Request, error: PluginOff) -> web.StreamResponse:
        """A page of a plugin that is switched off."""
        fault = Fault("This part is switched off", error.what, "The Plugins page says why, and what to do.")
        return self._page(request, 503, fault, link="/plugins", link_words="Go to Plugins")

    def closed(self, request: web.Request) -> web.StreamResponse:
        """The staff pages, to a browser that is not signed in."""
        return sign_in_page(request, 403, wanted=_page_to_come_back_to(request))

    def locked(self, request: web.Request) -> web.StreamResponse:
        """The staff pages, to a browser that nobody has used for a while."""
        return unlock_page(request, 403, wanted=_page_to_come_back_to(request))

    def misdirected(self) -> web.Response:
        """A name that is not ours (421, RFC 9110 section 15.5.20). Plain text: no page of ours works under it."""
        web_settings = self._context.appliance.config.settings.web
        port = "" if web_settings.port == 443 else f":{web_settings.port}"
        address = f"https://staff.{web_settings.domain}{port}/"
        return web.Response(status=421, text=_MISDIRECTED.format(address=address))

    def without_route(self, request: web.BaseRequest, status: int) -> BareResponse:
        """For the door: what could not be read as a request, or a core page that failed. Needs no template to work."""
        fault = FAULTS.get(status, FAULTS[500])
        if status >= 500 and site_of(request, self._context.hosts) == "endpoint":
            answer = json.dumps({"error": f"{fault.title}. {fault.what}", "status": status})
            return BareResponse(status=status, text=answer, content_type="application/json")
        return BareResponse(status=status, text=f"{status} - {fault.title}\n\n{fault.what}\n{fault.todo}\n")

    def _page(
        self,
        request: web.Request,
        status: int,
        fault: Fault,
        detail: str = "",
        link: str = "/",
        link_words: str = "Go to Home",
    ) -> web.Response:
        site = site_of(request, self._context.hosts)
        if site == "endpoint":
            words = f"{fault.title}. {fault.what} {fault.todo}".strip()
            return web.json_response({"error": words, "status": status}, status=status)
        if site in ("pupil", ELSEWHERE):
            return render(request, "pupil_error.html", status, missing=status == 404)
        known = request.get(ACTOR) is not None
        shown = {"fault": fault, "detail": detail if known else "", "link": link, "link_words": link_words}
        return render(request, "error.html", status, **shown)

    def _switched_off(self, request: web.Request) -> PluginOff | None:
        """A plugin that could not be let in has no pages; whoever looks for them is told why."""
        if request.get(ACTOR) is None:
            return None
        name = request.path.strip("/").partition("/")[0]
        for state in self._context.appliance.plugins.states():
            if state.name == name and state.state == "off":
                return PluginOff(f"{state.title} is switched off: {state.reason}")
        return None


def _page_to_come_back_to(request: web.Request) -> str:
    """Where somebody wanted to go, if going there again changes nothing."""
    return request.rel_url.raw_path_qs if request.method == "GET" else ""
