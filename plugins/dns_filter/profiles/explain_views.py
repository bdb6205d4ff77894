"""The page and the command that say what a device would get for a name, and why."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from appliance.api import Appliance, ApplianceError, Argument, Command, actor, render

from .explaining import COMMAND_LINE, WHOM, Explaining
from .publishing import Publishing


class ExplainViews:
    """The page, and ``appliance dns explain``."""

    def __init__(self, appliance: Appliance, publishing: Publishing, explaining: Explaining) -> None:
        self._appliance = appliance
        self._publishing = publishing
        self._explaining = explaining

    async def page(self, request: web.Request) -> web.Response:
        """The form and, once a name was typed, the answer."""
        name, client = request.query.get("name", "").strip(), request.query.get("client", "").strip()
        explanation, errors = None, {}
        if name:
            try:
                explanation = await self._explaining.explain(actor(request), name, client)
            except ApplianceError as refused:
                errors = {"name": str(refused)}
        return render(
            request,
            "dns_filter/explain.html",
            422 if errors else 200,
            name=name,
            client=client,
            explanation=explanation,
            errors=errors,
            profiles=self._publishing.profiles(),
        )

    def command(self) -> Command:
        """For the command line."""
        return Command(
            ("dns", "explain"),
            "say what a device would get for a name, and why",
            (Argument("name", "The name of a site."), Argument("client", WHOM, option=True)),
            self._explain,
        )

    async def _explain(self, given: Mapping[str, str]) -> str:
        return (await self._explaining.explain(COMMAND_LINE, given["name"], given["client"])).text()
