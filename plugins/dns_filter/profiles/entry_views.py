"""The page of the school's own entries: sites that are allowed or blocked, whatever lists say."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from zoneinfo import ZoneInfo

from aiohttp import web

from appliance.api import (
    Appliance,
    Permission,
    Refused,
    Target,
    actor,
    flash,
    now,
    read_form,
    redirect,
    render,
    stamp,
)

from ..days import end_words
from .entries import Entry, advice, read_domain, refusal, warnings, whole_site
from .forms import SECOND_LOOK, EntryForm, in_order, reason_and_end
from .publishing import Publishing
from .store import entry_of
from .targets import UNSEEN

FIELDS = ("domain", "profile", "name", "reason", "last_day")
"""In the order of the form."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An entry with whom it is for, as the page shows both. ``what``: what that is, if it is no profile."""

    entry: Entry
    whom: str
    what: str = ""


class EntryViews:
    """``publish`` puts changes in force."""

    def __init__(self, appliance: Appliance, publishing: Publishing, publish: Callable[[], Awaitable[None]]) -> None:
        self._appliance = appliance
        self._publishing = publishing
        self._publish = publish
        self._zone = ZoneInfo(appliance.config.settings.school.timezone)

    async def entries(self, request: web.Request) -> web.Response:
        """What is in force, what is over, and the form; ``?domain=`` comes from a list of queries."""
        return await self._page(request, EntryForm.of(request.query))

    async def add(self, request: web.Request) -> web.Response:
        """Allow or block a site. A broad one is asked about once more."""
        form = EntryForm.of(await read_form(request))
        errors, until = reason_and_end(form.reason, form.last_day, self._zone, now())
        domain, wrong = read_domain(form.domain)
        if wrong:
            errors["domain"] = wrong
        elif refused := refusal(form.action, domain, set(self._appliance.exempt.hosts())):
            errors["domain"] = refused
        for_whom = await self._for_whom(request, form, errors)
        told = tuple(self._told(form, domain)) if domain and "domain" not in errors else ()
        if told and not form.sure and not errors:
            site = whole_site(domain) if form.action == "block" else domain
            form = replace(form, errors={"sure": SECOND_LOOK}, warnings=told, whole=site if site != domain else "")
            return await self._page(request, form, status=422)
        if not errors:
            try:
                who = actor(request).name
                profile = "" if for_whom else form.profile
                await self._publishing.store.add_entry(who, form.action, domain, profile, form.reason, until, for_whom)
            except Refused as refused_:
                errors["form"] = str(refused_)
        if errors:
            form = replace(form, errors=in_order(errors, FIELDS), warnings=told, whole="")
            return await self._page(request, form, status=422)
        await self._publish()
        whom = ""
        if for_whom is not None:
            whom = f" for {(await self._publishing.targets.title(actor(request), for_whom))[1]}"
        flash(request, f"{domain} is now {'allowed' if form.action == 'allow' else 'blocked'}{whom}.")
        return redirect("/dns_filter/entries")

    async def _for_whom(self, request: web.Request, form: EntryForm, errors: dict[str, str]) -> Target | None:
        """The one group, device or person that a form means, if it means no profile."""
        if form.group or form.name:
            try:
                return await self._publishing.targets.find(actor(request), form.group, form.name)
            except Refused as refused:
                errors["name" if form.name else "profile"] = str(refused)
        elif form.profile and form.profile not in {one.name for one in self._publishing.profiles()}:
            errors["profile"] = "There is no such profile any more. Choose another one."
        return None

    async def undo(self, request: web.Request) -> web.Response:
        """Take an entry back."""
        fields = await read_form(request)
        try:
            row = await self._publishing.store.undo_entry(actor(request).name, fields.get("id", ""))
        except Refused as refused:
            return await self._page(request, EntryForm(errors={"form": str(refused)}), status=422)
        await self._publish()
        flash(request, f"The entry for {row['domain']} was undone.")
        return redirect("/dns_filter/entries")

    def _told(self, form: EntryForm, domain: str) -> list[str]:
        services = () if form.whole else self._publishing.choices.services  # whoever chose the whole site has read it
        return [*advice(form.action, domain, services), *self.warnings(form.action, domain)]

    def warnings(self, action: str, domain: str) -> list[str]:
        """What somebody should know before this entry is made."""
        return warnings(action, domain, self._publishing.locked_lists_of(domain), self._appliance.exempt.hosts())

    async def _page(self, request: web.Request, form: EntryForm, status: int = 200) -> web.Response:
        store, moment = self._publishing.store, stamp()
        in_force = [one for one in store.in_force.entries if one.until is None or one.until > moment]
        profiles = self._publishing.profiles()
        titles = {"": "All profiles", **{one.name: one.title for one in profiles}}
        return render(
            request,
            "dns_filter/entries.html",
            status,
            entries=[await self._shown(request, one, titles) for one in reversed(in_force)],
            over=[(await self._shown(request, entry_of(row), titles), dict(row)) for row in await store.over()],
            profiles=profiles,
            networks=[(one.name, one.title or one.name) for one in self._appliance.assignments.groups],
            of_directory=[dict(row) for row in await self._appliance.directory.groups.all(actor(request))],
            may_change=actor(request).may(Permission.CHOOSE_SITES),
            form=form,
            end_words=partial(end_words, zone=self._zone),
            today=f"{now().astimezone(self._zone):%Y-%m-%d}",
        )

    async def _shown(self, request: web.Request, entry: Entry, titles: Mapping[str, str]) -> Shown:
        """An entry as somebody may see it. ``titles``: of the profiles, by their names."""
        if entry.for_whom is None:
            return Shown(entry, titles.get(entry.profile, entry.profile))
        targets, who = self._publishing.targets, actor(request)
        what, title = await targets.title(who, entry.for_whom)
        may_read = title != UNSEEN and await targets.may_read_why(who, entry.for_whom)
        return Shown(entry if may_read else replace(entry, reason=""), title, what)
