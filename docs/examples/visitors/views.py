"""The page: read the form, call the store, render."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from appliance.api import actor, flash, read_form, redirect, render

from .store import Store, Visit
from .times import Clock

TOPIC = "visitors.arrivals"
"""Under which open pages hear of arrivals."""

DAYS_SHOWN = 7
LONGEST = 100


@dataclass(frozen=True, slots=True)
class Form:
    """What was typed, so that nothing is lost when it is shown again; ``errors`` by field, in words."""

    name: str = ""
    host: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


class Views:
    """One method for each page."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def index(self, request: web.Request) -> web.StreamResponse:
        """Who is on site, and the form."""
        return await self._page(request, Form())

    async def sign_in(self, request: web.Request) -> web.StreamResponse:
        """Take the form. What was typed stays in it until it is right."""
        fields = await read_form(request)
        form = look_through(fields.get("name", "").strip(), fields.get("host", "").strip())
        if form.errors:
            return await self._page(request, form, status=422)
        await self._store.sign_in(actor(request).name, form.name, form.host)
        flash(request, f"{form.name} is signed in.")
        return redirect("/visitors")

    async def sign_out(self, request: web.Request) -> web.StreamResponse:
        """End one visit."""
        fields = await read_form(request)
        done = await self._store.sign_out(actor(request).name, fields.get("id", ""))
        flash(request, "Signed out." if done else "They were signed out already.")
        return redirect("/visitors")

    async def card(self) -> Mapping[str, Any]:
        """The card on the home page."""
        return {"count": await self._store.count_on_site()}

    def row(self, visit: Visit) -> dict[str, Any]:
        """A visit as the page shows it; open pages get the same."""
        return {"id": visit.id, "name": visit.name, "host": visit.host, "since": self._clock.words(visit.arrived_at)}

    async def _page(self, request: web.Request, form: Form, status: int = 200) -> web.Response:
        return render(
            request,
            "visitors/index.html",
            status,
            visits=[self.row(visit) for visit in await self._store.on_site()],
            notes=await self._store.notes(since=self._clock.start_of_today()),
            days=await self._store.days(DAYS_SHOWN),
            form=form,
            topic=TOPIC,
            longest=LONGEST,
        )


def look_through(name: str, host: str) -> Form:
    """The form, with what is wrong with it."""
    errors = {}
    if not name:
        errors["name"] = "Enter the visitor's name."
    if not host:
        errors["host"] = "Enter whom they came to see."
    return Form(name[:LONGEST], host[:LONGEST], errors)
