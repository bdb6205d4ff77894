"""The page on which the safeguarding lead chooses of which kinds of sites she hears, and how."""

from __future__ import annotations

from collections.abc import Callable, Collection

from aiohttp import web

from appliance.api import actor, flash, read_form, redirect, render

from .store import ChoiceStore, Told
from .telling import AI_CHAT, Telling


class ToldViews:
    """Reads and changes the choices."""

    def __init__(self, telling: Telling, store: ChoiceStore) -> None:
        self._telling = telling
        self._store = store
        self.hungry: Callable[[], Collection[str]] = tuple
        """Categories that no list feeds, so that nothing of them is ever told."""

    async def index(self, request: web.Request) -> web.Response:
        """Each kind of site, with what becomes of it: those that concern safeguarding come first."""
        telling = self._telling
        return render(
            request,
            "dns_filter/told.html",
            kinds=[
                (each, telling.told(each.key), telling.choices.get(each.key)) for each in telling.categories.values()
            ],
            choices=[(one.value, one.words) for one in Told],
            hungry=set(self.hungry()) & set(telling.categories) - {AI_CHAT},  # its services are noticed without a list
        )

    async def choose(self, request: web.Request) -> web.StreamResponse:
        """Keep what is other than before."""
        form, telling = await read_form(request), self._telling
        wanted = {
            key: Told(form[key])
            for key in telling.categories
            if form.get(key) in list(Told) and Told(form[key]) is not telling.told(key)
        }
        if wanted:
            await self._store.choose(actor(request), wanted)
            await telling.start()
            flash(request, "It is kept. It counts from now on.")
        else:
            flash(request, "Nothing was changed: everything stays as it was.")
        return redirect("/dns_filter/told")
