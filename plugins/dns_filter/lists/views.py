"""The pages of lists: what is in force, what is missing, and the decisions that are a person's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Protocol

from aiohttp import web

from appliance.api import Actor, Permission, Refused, actor, flash, read_form, redirect, render

from .catalogue import Catalogue, SourceState
from .copies import Kept
from .forms import FORMATS, ListForm, wrong_reason
from .shipped import BYPASS, OTHER, bypass, categories, sources
from .store import Store

PATH = "/dns_filter/lists"


class Changing(Protocol):
    """What the room does for its pages."""

    @property
    def catalogue(self) -> Catalogue | None:
        """The lists, once the room has started."""

    def hungry(self) -> list[str]:
        """Categories of which no list names anything."""

    async def take_up(self) -> None:
        """Sources were added or taken out: put that in force, and fetch what is new in the background."""

    async def decided(self) -> None:
        """Somebody decided about a copy: put that in force."""

    def look_again(self, name: str) -> None:
        """Read a source again in the background, due or not."""


class Views:
    """``room`` puts changes in force."""

    def __init__(self, room: Changing, store: Store) -> None:
        self._room = room
        self._store = store

    async def all(self, request: web.Request) -> web.Response:
        """Every list, and the categories that block nothing yet."""
        catalogue = self._catalogue()
        facts = catalogue.facts()
        known = {key: [each for each in sources() if each.category == key] for key in categories()}
        return render(
            request,
            "dns_filter/lists.html",
            states=catalogue.states,
            names=catalogue.names,
            table_trouble=catalogue.table_trouble,
            ours=facts[BYPASS],
            groups=bypass().groups,
            categories=categories(),
            hungry=[(categories()[key], known[key]) for key in self._room.hungry()],
            whole=next((each for each in sources() if each.format == "ut1" and each.category == OTHER), None),
            removed=[dict(row) for row in await self._store.removed()],
            may_change=actor(request).may(Permission.OPERATE),
        )

    async def one(self, request: web.Request) -> web.Response:
        """One source: its lists, its age, what was left out, and what can be decided."""
        return await self._one(request, request.match_info["name"], {}, "")

    async def adding(self, request: web.Request) -> web.Response:
        """The form for a new list; ``?source=`` fills it in with a known one."""
        return self._add_page(request, ListForm.of(request.query))

    async def add(self, request: web.Request) -> web.Response:
        """Let a list count. What was typed stays in the form until it is right."""
        catalogue = self._catalogue()
        taken = {state.spec.name for state in catalogue.states} | set(catalogue.facts())
        form = ListForm.of(await read_form(request)).look_through(taken)
        if not form.errors:
            try:
                await self._store.add(actor(request), form.new, form.reason)
            except Refused as refused:
                form = replace(form, errors={"form": str(refused)})
        if form.errors:
            return self._add_page(request, form, 422)
        await self._room.take_up()
        flash(request, f"The list {form.name} was added. It is fetched now; that takes a few minutes at most.")
        return redirect(f"{PATH}/{form.name}")

    async def remove(self, request: web.Request) -> web.Response:
        """Take out a list that was added on the page."""
        state = self._state(request.match_info["name"])

        async def do(who: Actor, reason: str) -> str:
            if not state.spec.row or state.spec.locked:
                raise Refused("This list was not added on this page.", "Take it out where it was put in.")
            await self._store.remove(who, state.spec.row, reason)
            await self._room.take_up()
            return f"The list {state.spec.name} was taken out. It blocks nothing any more."

        return await self._decide(request, state, do, PATH, "remove")

    async def restore(self, request: web.Request) -> web.Response:
        """Undo that a list was taken out."""
        fields = await read_form(request)
        try:
            name = await self._store.put_back(actor(request), fields.get("id", ""), "Undone.")
        except Refused as refused:
            flash(request, str(refused))
            return redirect(PATH)
        await self._room.take_up()
        flash(request, f"The list {name} counts again. It is fetched now.")
        return redirect(f"{PATH}/{name}")

    async def accept(self, request: web.Request) -> web.Response:
        """Take the copy that shrank after all."""
        action = "accepted a smaller web filter list"
        return await self._copy(request, "accept", action, Catalogue.accept, "is in force now")

    async def back(self, request: web.Request) -> web.Response:
        """Go back to the copy before."""
        action = "went back to the web filter list from before"
        return await self._copy(request, "back", action, Catalogue.go_back, "is back")

    async def look(self, request: web.Request) -> web.Response:
        """Read it again now."""
        state = self._state(request.match_info["name"])
        await read_form(request)
        self._room.look_again(state.spec.name)
        flash(request, f"{state.spec.name} is looked at again. Load this page in a minute to see what came of it.")
        return redirect(f"{PATH}/{state.spec.name}")

    async def _copy(
        self, request: web.Request, form: str, action: str, change: Callable[[Catalogue, str], Kept], done: str
    ) -> web.Response:
        state = self._state(request.match_info["name"])

        async def do(who: Actor, reason: str) -> str:
            names = 0 if state.kept.current is None else state.kept.current.names
            kept = change(self._catalogue(), state.spec.name)
            now = 0 if kept.current is None else kept.current.names
            await self._store.note(who, action, state.spec.name, reason, f"{now} instead of {names}")
            await self._room.decided()
            return f"The copy of {state.spec.name} with {now:,} names {done}."

        return await self._decide(request, state, do, f"{PATH}/{state.spec.name}", form)

    async def _decide(
        self,
        request: web.Request,
        state: SourceState,
        do: Callable[[Actor, str], Awaitable[str]],
        then: str,
        form: str,
    ) -> web.Response:
        """Whatever needs a reason: look for it, do it, and say what was done. ``form``: which of the forms it was."""
        reason = (await read_form(request)).get("reason", "").strip()
        errors = {f"{form}-{field}": words for field, words in wrong_reason(reason).items()}
        if not errors:
            try:
                flash(request, await do(actor(request), reason))
                return redirect(then)
            except Refused as refused:
                errors = {"form": str(refused)}
        return await self._one(request, state.spec.name, errors, reason, 422)

    async def _one(
        self, request: web.Request, name: str, errors: Mapping[str, str], reason: str, status: int = 200
    ) -> web.Response:
        state = self._state(name)
        return render(
            request,
            "dns_filter/list.html",
            status,
            state=state,
            formats=FORMATS,
            categories=categories(),
            facts=self._catalogue().facts(),
            errors=errors,
            reason=reason,
            may_change=actor(request).may(Permission.OPERATE),
        )

    def _add_page(self, request: web.Request, form: ListForm, status: int = 200) -> web.Response:
        return render(
            request,
            "dns_filter/list_add.html",
            status,
            form=form,
            known=form.known,
            formats=FORMATS,
            categories=list(categories().values()),
            sources=sources(),
        )

    def _catalogue(self) -> Catalogue:
        if self._room.catalogue is None:
            raise web.HTTPServiceUnavailable(
                text="The lists of the web filter are not ready yet. Try again in a minute."
            )
        return self._room.catalogue

    def _state(self, name: str) -> SourceState:
        found = next((each for each in self._catalogue().states if each.spec.name == name), None)
        if found is None:
            raise web.HTTPNotFound
        return found
