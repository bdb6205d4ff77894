"""The staff pages: what was asked for, who gets which profile, and the lists."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from appliance.api import Appliance, Refused, actor, flash, now, parse, read_form, redirect, render, stamp

from .catalogue import ListState
from .groups import KIND, Groups, networks
from .settings import Settings
from .store import MANY_NAMES, ROWS_OF_ONE, Filters, QueryRow, Store

TOPIC = "dns_filter.queries"
"""Under which open pages hear of new queries."""

ROWS_SHOWN = 200

VERDICTS = {
    "allowed": "Allowed",
    "blocked": "Blocked",
    "would block": "Would have been blocked (trial run)",
}


@dataclass(frozen=True, slots=True)
class GroupForm:
    """What was typed into the form, so that nothing is lost when it is shown again; ``errors`` by field, in words."""

    group: str = ""
    profile: str = ""
    reason: str = ""
    last_day: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> GroupForm:
        """From the fields of a form; missing ones are empty."""
        group, profile, reason, last_day = (
            fields.get(name, "").strip() for name in ("group", "profile", "reason", "last_day")
        )
        return cls(group, profile, reason, last_day)


class Views:
    """One method for each page. ``publish`` puts changes in force; ``list_states`` tells about the lists."""

    def __init__(
        self,
        appliance: Appliance,
        settings: Settings,
        store: Store,
        groups: Groups,
        publish: Callable[[], Awaitable[None]],
        list_states: Callable[[], tuple[ListState, ...]],
    ) -> None:
        self._appliance = appliance
        self._settings = settings
        self._store = store
        self._groups = groups
        self._publish = publish
        self._list_states = list_states
        self._zone = ZoneInfo(appliance.config.settings.school.timezone)

    async def queries(self, request: web.Request) -> web.Response:
        """The newest queries of the last day, filtered by verdict and by device or group."""
        verdict, who = request.query.get("verdict", ""), request.query.get("who", "").strip()
        filters = Filters(verdict if verdict in VERDICTS else "", who)
        rows = await self._store.recent(ROWS_SHOWN, filters, since=stamp(now() - timedelta(days=1)))
        return render(
            request,
            "dns_filter/queries.html",
            rows=[self.live_row(row) for row in rows],
            filters=filters,
            verdicts=VERDICTS,
            groups=[group.name for group in self._appliance.assignments.groups],
            topic=TOPIC,
            limit=ROWS_SHOWN,
            rows_of_one=ROWS_OF_ONE,
            many_names=MANY_NAMES,
            port=self._settings.port,
        )

    async def groups(self, request: web.Request) -> web.Response:
        """Who gets which profile, and the form to change it."""
        return await self._groups_page(request, GroupForm())

    async def assign(self, request: web.Request) -> web.Response:
        """Give a group a profile. What was typed stays in the form until it is right."""
        form = GroupForm.of(await read_form(request))
        errors, until = look_through(form, self._zone, now())
        if not errors:
            try:
                await self._appliance.assignments.assign(
                    actor(request).name, KIND, networks(form.group), form.profile, form.reason, until
                )
            except Refused as refused:
                errors = {"form": str(refused)}
        if errors:
            return await self._groups_page(request, replace(form, errors=errors), status=422)
        await self._publish()
        titles = {row.name: row.title for row in await self._groups.rows()}
        flash(request, f"{titles[form.group]} now has the profile {form.profile}.")
        return redirect("/dns_filter/groups")

    async def undo(self, request: web.Request) -> web.Response:
        """Take back a change that was made on the page."""
        fields = await read_form(request)
        try:
            await self._appliance.assignments.undo(actor(request).name, KIND, fields.get("id", ""))
        except Refused as refused:
            return await self._groups_page(request, GroupForm(errors={"form": str(refused)}), status=422)
        await self._publish()
        flash(request, "The change was undone.")
        return redirect("/dns_filter/groups")

    async def lists(self, request: web.Request) -> web.Response:
        """The lists, where they come from and what was left out of them."""
        return render(request, "dns_filter/lists.html", lists=self._list_states(), profiles=self._settings.profiles)

    async def card(self) -> Mapping[str, Any]:
        """The home card: the last hour."""
        summary = await self._store.summary(stamp(now() - timedelta(hours=1)))
        trial = all(profile.mode == "watch" for profile in self._settings.profiles)
        return {"summary": summary, "connected": self._appliance.workers.connected("dns_filter.dns"), "trial": trial}

    def live_row(self, row: QueryRow) -> dict[str, Any]:
        """A row as the page shows it; open pages get the same."""
        return {
            "time": self._time(row.last_at),
            "client": row.client,
            "group": row.group or "no group",
            "name": row.name,
            "type": f"after {ROWS_OF_ONE} in this minute" if row.is_rest else row.type,
            "verdict": row.verdict,
            "list": "not noted" if row.is_rest else row.list or "none",
            "profile": row.profile,
            "count": row.count,
        }

    def _time(self, moment: str) -> str:
        """The time on the school's clocks; with the weekday if it was not today."""
        local = parse(moment).astimezone(self._zone)
        today = now().astimezone(self._zone).date()
        return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%a %H:%M:%S}"

    async def _groups_page(self, request: web.Request, form: GroupForm, status: int = 200) -> web.Response:
        rows = await self._groups.rows()
        return render(
            request,
            "dns_filter/groups.html",
            status,
            rows=[*rows, self._groups.default_row()],
            changeable=[row for row in rows if not row.fixed],
            profiles=self._settings.profiles,
            form=form,
            today=f"{now().astimezone(self._zone):%Y-%m-%d}",
        )


def look_through(form: GroupForm, zone: ZoneInfo, at: datetime) -> tuple[dict[str, str], datetime | None]:
    """What is wrong with reason and last day, by field, and the moment at which the change ends (``None``: never)."""
    errors = {}
    if not form.reason:
        errors["reason"] = "Say why, so that the next person understands."
    until = None
    if form.last_day:
        try:
            until = datetime.combine(date.fromisoformat(form.last_day) + timedelta(days=1), time(0), zone)
        except (ValueError, OverflowError):
            errors["last_day"] = "Give the last day as year, month and day, such as 2026-11-27, or leave it empty."
        else:
            if until <= at:
                errors["last_day"] = "The last day lies in the past. Choose a later one or leave it empty."
    return errors, until
