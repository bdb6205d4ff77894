"""The page on which pupils suggest words, and the queue in which staff decide about them."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from appliance.api import Appliance, Refused, actor, flash, keys, read_form, redirect, render

from ..decisions import EDIT
from ..library import Library
from .box import LONGEST_MEANING, LONGEST_WORD, Box
from .store import Store

SUGGEST, THANKS, QUEUE = "/keyword/suggest", "/keyword/suggest?thanks=yes", "/keyword/suggestions"


class SuggestionViews:
    """One page for pupils, one for staff."""

    def __init__(self, appliance: Appliance, library: Library, store: Store, box: Box) -> None:
        web_settings = appliance.config.settings.web
        port = "" if web_settings.port == 443 else f":{web_settings.port}"
        self._address = f"https://pupil.{web_settings.domain}{port}{SUGGEST}"
        self._library = library
        self._store = store
        self._box = box

    async def suggest(self, request: web.Request) -> web.Response:
        """The form for pupils, or thanks."""
        return self._suggest(request, {}, "", thanks=request.query.get("thanks") == "yes")

    async def put(self, request: web.Request) -> web.Response:
        """Take what a pupil wrote."""
        fields = await read_form(request)
        try:
            await self._box.put(request.remote or "", fields.get("word", ""), fields.get("meaning", ""))
        except Refused as refused:
            return self._suggest(request, fields, str(refused), status=422)
        return redirect(THANKS)

    @staticmethod
    def _suggest(
        request: web.Request, typed: dict[str, str], error: str, *, thanks: bool = False, status: int = 200
    ) -> web.Response:
        return render(
            request,
            "keyword/suggest.html",
            status,
            typed=typed,
            error=error,
            thanks=thanks,
            longest_word=LONGEST_WORD,
            longest_meaning=LONGEST_MEANING,
        )

    async def queue(self, request: web.Request) -> web.Response:
        """What waits and what was decided."""
        return await self._queue(request, {})

    async def decide(self, request: web.Request) -> web.Response:
        """Decline, or go on to the form of a term with what the pupil wrote filled in."""
        fields, row_id = await read_form(request), request.match_info["id"]
        if fields.get("do") == "accept":
            policy = self._library.before.get(fields.get("policy", ""))
            if policy is None or policy.hidden or not row_id.replace("-", "").isalnum():
                return await self._queue(request, {f"policy-{row_id}": "Choose the policy that it belongs to."}, 422)
            return redirect(f"/keyword/policies/{policy.name}/add?suggestion={row_id}")
        try:
            await self._box.decline(actor(request), row_id)
        except Refused as refused:
            return await self._queue(request, {"form": str(refused)}, 422)
        flash(request, "It is declined, and what was written is deleted.")
        return redirect(QUEUE)

    async def _queue(self, request: web.Request, errors: Mapping[str, str], status: int = 200) -> web.Response:
        who = actor(request)
        return render(
            request,
            "keyword/suggestions.html",
            status,
            suggested=await self._box.waiting(who, keys(request)),
            decided=[dict(row) for row in await self._store.decided()],
            policies=[policy for policy in self._library.before.values() if not policy.hidden],
            may_edit=who.may(EDIT),
            address=self._address,
            errors=errors,
        )
