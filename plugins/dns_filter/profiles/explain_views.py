"""The page and the command that say what a device would get for a name, and why."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from appliance.api import Actor, Appliance, ApplianceError, Argument, Command, actor, render

from .entries import read_domain
from .explain import Explanation
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
        explanations: list[tuple[str, Explanation]] = []
        errors: Mapping[str, str] = {}
        if name:
            explanations, errors = await self._answers(actor(request), name, client)
        return render(
            request,
            "dns_filter/explain.html",
            422 if errors else 200,
            name=name,
            client=(await self._appliance.directory.devices.names(actor(request), [client])).get(client, client),
            explanations=explanations,
            errors=errors,
            profiles=self._publishing.profiles(),
        )

    async def _answers(
        self, who: Actor, name: str, client: str
    ) -> tuple[list[tuple[str, Explanation]], Mapping[str, str]]:
        """What is to be shown, and what is wrong by field."""
        if wrong := read_domain(name)[1]:
            return [], {"name": wrong}
        try:
            return await self._explanations(who, name, client), {}
        except ApplianceError as refused:
            return [], {"client" if client else "form": str(refused)}

    async def _explanations(self, who: Actor, name: str, client: str) -> list[tuple[str, Explanation]]:
        """Heading and answer: for the client, or one for each profile where nobody was named."""
        if client:
            return [("", await self._explaining.explain(who, name, client))]
        profiles = self._publishing.profiles()
        found = [(one.title, await self._explaining.explain(who, name, one.name)) for one in profiles]
        return [("", found[0][1])] if found[0][1].is_for_all else found

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
