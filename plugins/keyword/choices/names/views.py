"""The page of names that are watched for."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from aiohttp import web

from appliance.api import Appliance, Refused, actor, flash, keys, now, read_form, redirect, render

from ..forms import NO_DAY, end_of, last_moment
from .names import LONGEST, LONGEST_NAME, MOST_REASON, Names

PAGE = "/keyword/names"


class NameViews:
    """Asking, agreeing, ending."""

    def __init__(self, appliance: Appliance, names: Names) -> None:
        self._names = names
        self._zone = ZoneInfo(appliance.config.settings.school.timezone)

    async def names(self, request: web.Request) -> web.Response:
        """Everything that waits, is watched for, or has ended."""
        return await self._page(request, {}, {})

    async def ask(self, request: web.Request) -> web.Response:
        """Ask for a second adult."""
        fields = {name: text.strip() for name, text in (await read_form(request)).items()}
        name, reason = fields.get("name", ""), fields.get("reason", "")
        until, wrong_day = self._until(fields.get("last_day", ""))
        errors = self._names.mistakes(name, reason, until) | wrong_day
        if until is not None and not errors:
            try:
                await self._names.ask(actor(request), name, reason, until)
            except Refused as refused:
                errors = {"form": str(refused)}
        if errors:
            return await self._page(request, fields, errors, 422)
        flash(request, "It waits for a second adult. Nothing is watched for yet.")
        return redirect(PAGE)

    def _until(self, last_day: str) -> tuple[datetime | None, dict[str, str]]:
        """The end, or what is wrong with the day."""
        try:
            until = end_of(last_day, self._zone, now())
        except ValueError as wrong:
            return None, {"last_day": str(wrong)}
        return until, {} if until is not None else {"last_day": f"{NO_DAY}."}

    async def decide(self, request: web.Request) -> web.Response:
        """Agree, do not agree, or end it."""
        do, row_id = (await read_form(request)).get("do", ""), request.match_info["id"]
        try:
            if do == "end":
                await self._names.end(actor(request), row_id)
            elif do in ("agree", "refuse"):
                await self._names.decide(actor(request), keys(request), row_id, agree=do == "agree")
            else:
                raise Refused("Choose what is to happen.")
        except Refused as refused:
            return await self._page(request, {}, {"form": str(refused)}, 422)
        done = {
            "end": "It has ended.",
            "agree": "It is watched for and ends by itself.",
            "refuse": "It is turned down.",
        }
        flash(request, done[do])
        return redirect(PAGE)

    async def _page(
        self, request: web.Request, typed: Mapping[str, str], errors: Mapping[str, str], status: int = 200
    ) -> web.Response:
        today = now().astimezone(self._zone)
        return render(
            request,
            "keyword/names.html",
            status,
            entries=await self._names.entries(actor(request), keys(request)),
            typed=typed,
            errors=errors,
            last_moment=last_moment,
            today=f"{today:%Y-%m-%d}",
            latest=f"{today + LONGEST - timedelta(days=1):%Y-%m-%d}",
            longest_name=LONGEST_NAME,
            longest_reason=MOST_REASON,
            days=LONGEST.days,
        )
