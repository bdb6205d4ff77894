"""The page that says who has which profile, and its form."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from aiohttp import web

from appliance.api import Appliance, Refused, actor, flash, now, read_form, redirect, render

from ..settings import Settings
from .groups import KIND, Groups, networks


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
    """``publish`` puts changes in force."""

    def __init__(
        self, appliance: Appliance, settings: Settings, groups: Groups, publish: Callable[[], Awaitable[None]]
    ) -> None:
        self._appliance = appliance
        self._settings = settings
        self._groups = groups
        self._publish = publish
        self._zone = ZoneInfo(appliance.config.settings.school.timezone)

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
