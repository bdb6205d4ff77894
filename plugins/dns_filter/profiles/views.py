"""The page that says who has which profile, and its form."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

from aiohttp import web

from appliance.api import (
    Actor,
    Appliance,
    Effective,
    Permission,
    Refused,
    Target,
    actor,
    flash,
    now,
    read_form,
    redirect,
    render,
)

from ..days import end_words
from .forms import SECOND_LOOK, GroupForm, in_order, reason_and_end
from .groups import KIND, Groups
from .model import Profile
from .store import News, Store

__all__ = ["GroupForm", "Views", "look_through"]

FIELDS = ("sure", "group", "name", "profile", "reason", "last_day")
"""In the order of the form."""


class Views:
    """``publish`` puts changes in force; ``profiles()`` are the profiles as they are now."""

    def __init__(
        self,
        appliance: Appliance,
        groups: Groups,
        store: Store,
        profiles: Callable[[], list[Profile]],
        publish: Callable[[], Awaitable[None]],
    ) -> None:
        self._appliance = appliance
        self._groups = groups
        self._store = store
        self._profiles = profiles
        self._publish = publish
        self._zone = ZoneInfo(appliance.config.settings.school.timezone)

    async def groups(self, request: web.Request) -> web.Response:
        """Who gets which profile, and the form to change it."""
        return await self._groups_page(request, GroupForm(profile=request.query.get("profile", "")))

    async def assign(self, request: web.Request) -> web.Response:
        """Give somebody a profile. What was typed stays in the form until it is right."""
        form = GroupForm.of(await read_form(request))
        errors, until = look_through(form, self._zone, now())
        profile = next((one for one in self._profiles() if one.name == form.profile), None)
        if profile is None:
            errors["profile"] = "There is no such profile any more. Choose another one."
        target = await self._target(request, form, errors)
        told: tuple[str, ...] = ()
        if profile is not None and target is not None:
            told = tuple(self._groups.warnings(target, profile))
            if not errors and (form.is_sure or not told):
                errors = await self._assign(actor(request), target, form, until)
        if told and not form.is_sure:
            errors["sure"] = SECOND_LOOK
        if errors:
            form = replace(form, errors=in_order(errors, FIELDS), warnings=told)
            return await self._groups_page(request, form, status=422)
        await self._publish()
        title = profile.title if profile is not None else form.profile
        flash(request, f"{await self._whom(request, form)} now has the profile {title}.")
        return redirect("/dns_filter/groups")

    async def _target(self, request: web.Request, form: GroupForm, errors: dict[str, str]) -> Target | None:
        try:
            return await self._groups.target(actor(request), form.group, form.name)
        except Refused as refused:
            errors["name" if form.name else "group"] = str(refused)
            return None

    async def _assign(self, who: Actor, target: Target, form: GroupForm, until: datetime | None) -> dict[str, str]:
        given = Effective(form.profile, "would be", target)
        try:
            await self._groups.refuse_one_for_all(target, form.profile)
            news, assignments = self._news(who, target, given), self._appliance.assignments
            async with self._appliance.records.transaction() as tx:
                await assignments.assign_within(tx, who.name, KIND, target, form.profile, form.reason, until)
                await self._store.tell_within(tx, news)
        except Refused as refused:
            return {"form": str(refused)}
        return {}

    def _news(self, who: Actor, target: Target, given: Effective | None) -> News | None:
        words = self._groups.news(who.name, target, given)
        return News(words, "/dns_filter/groups", who.account) if words else None

    async def _whom(self, request: web.Request, form: GroupForm) -> str:
        if form.name:
            return form.name
        titles = {row.name: row.title for row in await self._groups.rows()}
        titles |= {f"group:{row['id']}": row["name"] for row in await self._of_directory(request)}
        return titles.get(form.group, "The group")

    async def undo(self, request: web.Request) -> web.Response:
        """Take back a change that was made on the page."""
        fields, who = await read_form(request), actor(request)
        row_id = fields.get("id", "")
        try:
            await self._groups.refuse_undo_to_one_for_all(row_id)
            found = self._groups.without(row_id)
            news = self._news(who, *found) if found is not None else None
            async with self._appliance.records.transaction() as tx:
                await self._appliance.assignments.undo_within(tx, who.name, KIND, row_id)
                await self._store.tell_within(tx, news)
        except Refused as refused:
            return await self._groups_page(request, GroupForm(errors={"form": str(refused)}), status=422)
        await self._publish()
        flash(request, "The change was undone.")
        return redirect("/dns_filter/groups")

    async def _of_directory(self, request: web.Request) -> list[Mapping[str, str]]:
        return [dict(row) for row in await self._appliance.directory.groups.all(actor(request))]

    async def _groups_page(self, request: web.Request, form: GroupForm, status: int = 200) -> web.Response:
        rows = await self._groups.rows()
        return render(
            request,
            "dns_filter/groups.html",
            status,
            rows=[*rows, self._groups.default_row()],
            chosen=await self._groups.chosen(actor(request)),
            changeable=[row for row in rows if not row.fixed],
            of_directory=await self._of_directory(request),
            profiles=self._profiles(),
            may_change=actor(request).may(Permission.CHOOSE_SITES),
            form=form,
            end_words=partial(end_words, zone=self._zone),
            today=f"{now().astimezone(self._zone):%Y-%m-%d}",
        )


def look_through(form: GroupForm, zone: ZoneInfo, at: datetime) -> tuple[dict[str, str], datetime | None]:
    """What is wrong with reason and last day, by field, and the moment at which the change ends (``None``: never)."""
    return reason_and_end(form.reason, form.last_day, zone, at)
