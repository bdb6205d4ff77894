"""The pages of policy updates: what is in force, what waits and what it would change, and the decisions about it."""

from __future__ import annotations

import datetime
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from aiohttp import web

from appliance.api import Actor, Page, Permission, Refused, actor, flash, read_form, redirect, render

from .bundle_settings import BundleSettings
from .desk import LONGEST_TRIAL, Desk
from .previews import Previews
from .store import PATH, Kept

USUAL_TRIAL = 14
"""Days."""
REFRESH_SECONDS = 10
"""How soon a page looks again whether what a bundle changes is worked out."""
MAY_CHANGE = Permission.SWITCH_MONITORING


class Views:
    """``age``: of the policies in force, in days. ``title``: of a category."""

    def __init__(
        self,
        desk: Desk,
        previews: Previews,
        settings: BundleSettings,
        age: Callable[[], int],
        title: Callable[[str], str],
    ) -> None:
        self._desk = desk
        self._previews = previews
        self._settings = settings
        self._age = age
        self._title = title

    def pages(self) -> Sequence[Page]:
        """Routes."""
        see = Permission.SEE_CAPTURES
        return [
            Page("staff", "GET", PATH, self.all, see),
            Page("staff", "POST", f"{PATH}/look", self.look, MAY_CHANGE),
            Page("staff", "POST", f"{PATH}/back", self.back, MAY_CHANGE),
            Page("staff", "GET", PATH + "/{id}", self.one, see),
            Page("staff", "POST", PATH + "/{id}/apply", self.apply, MAY_CHANGE),
            Page("staff", "POST", PATH + "/{id}/drop", self.drop, MAY_CHANGE),
            Page("staff", "POST", PATH + "/{id}/trial", self.begin_trial, MAY_CHANGE),
        ]

    async def card(self) -> Mapping[str, Any]:
        """What stands on the home page."""
        return await self._state()

    async def all(self, request: web.Request) -> web.Response:
        """What is in force, and what came."""
        return await self._all(request, {})

    async def look(self, request: web.Request) -> web.Response:
        """Look for new bundles now."""

        async def do(who: Actor) -> str:
            looked = await self._desk.look(who.name)
            if not looked.good:
                raise Refused(looked.brief)
            return looked.brief

        return await self._decide(request, do)

    async def back(self, request: web.Request) -> web.Response:
        """Go back to the policies before."""

        async def do(who: Actor) -> str:
            kept = await self._desk.go_back(who)
            return f"{_called(kept)} {'is' if kept else 'are'} in force again."

        return await self._decide(request, do)

    async def one(self, request: web.Request) -> web.Response:
        """What a bundle changes, and what a trial has found."""
        return await self._one(request, {})

    async def apply(self, request: web.Request) -> web.Response:
        """Let a bundle run from now on."""

        async def do(who: Actor) -> str:
            await self._check_is_previewed(request.match_info["id"])
            return f"{_called(await self._desk.apply(who, request.match_info['id']))} is in force."

        return await self._decide(request, do)

    async def _check_is_previewed(self, id_: str) -> None:
        """Nothing is in force before its page can show what it changes; of what runs already nothing is worked out."""
        kept, chosen = await self._desk.store.bundle(id_), await self._desk.chosen()
        if (chosen is None or chosen.id != kept.id) and await self._previews.of(kept) is None:
            raise Refused("What this would change is still being worked out.", "Look at it first, and apply it then.")

    async def drop(self, request: web.Request) -> web.Response:
        """Put a bundle aside."""

        async def do(who: Actor) -> str:
            kept = await self._desk.drop(who, request.match_info["id"])
            return f"{_called(kept)} was put aside. What is in force stays."

        return await self._decide(request, do)

    async def begin_trial(self, request: web.Request) -> web.Response:
        """Let a bundle run silently beside."""
        text = (await read_form(request)).get("days", "").strip()
        days = int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else 0
        if not 1 <= days <= LONGEST_TRIAL:
            return await self._one(request, {"days": f"Type a number of days from 1 to {LONGEST_TRIAL}."}, text)
        try:
            kept = await self._desk.begin_trial(actor(request), request.match_info["id"], days)
        except Refused as refused:
            return await self._one(request, {"form": str(refused)}, text)
        flash(request, f"{_called(kept)} runs silently beside for {days} {'day' if days == 1 else 'days'}.")
        return redirect(f"{PATH}/{kept.id}")

    async def _decide(self, request: web.Request, do: Callable[[Actor], Awaitable[str]]) -> web.Response:
        """Do it and say what was done; or say why not, where it was asked for."""
        await read_form(request)
        try:
            flash(request, await do(actor(request)))
        except Refused as refused:
            errors = {"form": str(refused)}
            return await (self._one(request, errors) if "id" in request.match_info else self._all(request, errors))
        return redirect(PATH)

    async def _state(self) -> dict[str, Any]:
        bundles = await self._desk.store.bundles()
        trial = await self._desk.store.trial()
        chosen = await self._desk.chosen()
        return {
            "chosen": chosen,
            "damaged": self._desk.forces.troubles.get("bundle"),
            "troubles": list(self._desk.forces.troubles.values()),
            "supplied_date": self._desk.forces.supplied_date,
            "beside": self._desk.forces.beside,
            "age": self._age(),
            "is_old": self._age() > self._settings.remind_days,
            "offered": [kept for kept in bundles if kept.state == "waiting"],
            "trial": trial,
            "on_trial": next((kept for kept in bundles if trial is not None and kept.id == trial.bundle), None),
            "day": day_in_words,
            "bundles": bundles,
        }

    async def _all(self, request: web.Request, errors: Mapping[str, str]) -> web.Response:
        store, looking = self._desk.store, self._desk.looking
        return render(
            request,
            "keyword/bundles.html",
            422 if errors else 200,
            **await self._state(),
            errors=errors,
            source=self._settings.source,
            keys=self._settings.trusted,
            has_source=looking.has_source,
            last_look=await store.look(self._settings.source) if looking.has_source else None,
            refusals=await store.refusals(),
            uses=await store.uses(),
            can_go_back=await self._desk.can_go_back(),
            imported=await store.imported(),
            may_change=actor(request).may(MAY_CHANGE),
        )

    async def _one(self, request: web.Request, errors: Mapping[str, str], days: str = "") -> web.Response:
        try:
            kept = await self._desk.store.bundle(request.match_info["id"])
        except Refused:
            raise web.HTTPNotFound from None
        state, trouble, preview = await self._state(), "", None
        chosen: Kept | None = state["chosen"]
        is_in_force = chosen is not None and chosen.id == kept.id
        try:
            preview = None if is_in_force else await self._previews.of(kept)
        except Refused as refused:
            trouble = str(refused)
        is_working = preview is None and not is_in_force and not trouble
        last = await self._desk.store.last_trial(kept.id)
        counts = await self._desk.store.counts(last.id) if last is not None else {}
        response = render(
            request,
            "keyword/bundle.html",
            422 if errors else 200,
            kept=kept,
            day=day_in_words,
            is_in_force=is_in_force,
            is_working=is_working,
            preview=preview,
            trouble=trouble,
            last_trial=last,
            counted=preview.counted(counts) if preview is not None else self._previews.counted(counts),
            title=lambda category: self._title(category) if category else "Harmless",
            errors=errors,
            days=days or str(USUAL_TRIAL),
            longest=LONGEST_TRIAL,
            may_change=actor(request).may(MAY_CHANGE),
        )
        if is_working and not errors:
            response.headers["Refresh"] = str(REFRESH_SECONDS)
        return response


def day_in_words(day: datetime.date | str) -> str:
    """A day for pages: 1 September 2026."""
    found = datetime.date.fromisoformat(day) if isinstance(day, str) else day
    return f"{found.day} {found:%B %Y}"


def _called(kept: Kept | None) -> str:
    return f"Version {kept.version} of {kept.name}" if kept is not None else "The supplied policies"
