"""The pages of profiles: all side by side, and one with its switches, its history and its pause."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from appliance.api import Actor, Appliance, Permission, Refused, actor, flash, now, read_form, redirect, render, stamp

from ..days import end_words
from ..lists.forms import fed
from ..lists.shipped import BYPASS
from .forms import reason_and_end
from .model import CHOICES, UNSAFE_SEARCH, Choices, Profile, made_milder
from .policies import switched_on
from .publishing import Publishing
from .store import News

PAUSES = (5, 15, 60)
"""Minutes that somebody may pause a profile."""
MOST_TOLD = 5
"""Switches that a notice names."""
DO_THIS: Mapping[str, Mapping[str, str]] = {
    "mode": {"watch": "Trial run: block nothing, note what would be blocked", "block": "Block", "off": "Block nothing"},
    "youtube": {"off": "Everything", "moderate": "Moderate", "strict": "Strict"},
    "only": {"on": "On: everything else is blocked", "off": "Off: lists, categories and services decide"},
    "bypass": {"on": "Blocked", "off": "Open"},
    "answer": {
        "page": "A page that says why",
        "nxdomain": "There is no such site",
        "refused": "The question is refused",
        "address": "The address in the settings file",
    },
}


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch as the page shows it."""

    name: str
    title: str
    value: str
    about: str
    fixed: bool


class ProfileViews:
    """``publish`` puts changes in force."""

    def __init__(self, appliance: Appliance, publishing: Publishing, publish: Callable[[], Awaitable[None]]) -> None:
        self._appliance = appliance
        self._publishing = publishing
        self._publish = publish
        self._zone = ZoneInfo(appliance.config.settings.school.timezone)

    async def all(self, request: web.Request) -> web.Response:
        """The profiles side by side, in plain words."""
        moment, force = stamp(), self._publishing.store.in_force
        profiles = self._publishing.profiles()
        return render(
            request,
            "dns_filter/profiles.html",
            profiles=profiles,
            pauses={one.name: force.pause_of(one.name, moment) for one in profiles},
            plain={one.name: in_plain_words(one, self._publishing.choices) for one in profiles},
            empty=self._empty_categories(),
            may_change=actor(request).may(Permission.CHOOSE_SITES),
            minutes=PAUSES,
            errors={},
        )

    def _empty_categories(self) -> frozenset[str]:
        return frozenset(hungry(self._publishing.choices))

    async def one(self, request: web.Request) -> web.Response:
        """One profile."""
        return await self._page(request, self._profile(request))

    async def change(self, request: web.Request) -> web.Response:
        """Set the switches that are other than before."""
        profile, fields = self._profile(request), await read_form(request)
        reason, last_day = fields.get("reason", "").strip(), fields.get("last_day", "").strip()
        errors, until = reason_and_end(reason, last_day, self._zone, now())
        wanted = wanted_switches(fields, profile, self._publishing.choices)
        if not wanted and last_day and fields.get("mode") == profile.mode == "watch" and not profile.fixes("mode"):
            wanted = {"mode": "watch"}  # nothing else was changed: the last day is meant for the trial run
        if not wanted:
            errors = {"form": "Nothing was changed: every switch is as it was."}
        if not errors:
            try:
                news = self._news(actor(request), profile, wanted)
                await self._publishing.store.change(actor(request).name, profile.name, wanted, reason, until, news)
            except Refused as refused:
                errors = {"form": str(refused)}
        if errors:
            return await self._page(request, profile, errors, fields, status=422)
        await self._publish()
        flash(request, f"{profile.title}: changed. It is in force.")
        return redirect(f"/dns_filter/profiles/{profile.name}")

    def _news(self, who: Actor, profile: Profile, wanted: Mapping[str, str]) -> News | None:
        """What the leads are told, if pupils could open more with these switches than now."""
        milder, link = made_milder(profile, wanted), f"/dns_filter/profiles/{profile.name}"
        is_longer = wanted.get("mode") == profile.mode == "watch"
        if not (milder or is_longer) or profile.name not in self._publishing.having.reaching_pupils(now()):
            return None
        if is_longer:
            words = f"{who.name} gave another last day to the trial run of the web filter profile {profile.title}."
            return News(f"{words} It blocks nothing until then.", link, who.account)
        choices = self._publishing.choices
        each = [f"{choices.title(one)}: {said(one, wanted[one])}" for one in milder[:MOST_TOLD]]
        more = f"; and {len(milder) - MOST_TOLD} more" if len(milder) > MOST_TOLD else ""
        words = f"{who.name} changed the web filter profile {profile.title}, which lets through more now"
        return News(f"{words}: {'; '.join(each)}{more}.", link, who.account)

    def _news_of_undoing(self, who: Actor, profile: Profile, change_id: str) -> News | None:
        after = self._publishing.profile_without(profile.name, change_id)
        reaches = profile.name in self._publishing.having.reaching_pupils(now())
        if not reaches or not after.opens_beyond(profile):
            return None
        words = f"{who.name} undid a change of the web filter profile {profile.title}, which lets through more now."
        return News(words, f"/dns_filter/profiles/{profile.name}", who.account)

    async def undo(self, request: web.Request) -> web.Response:
        """Take one change back."""
        profile, fields, who = self._profile(request), await read_form(request), actor(request)
        change_id = fields.get("id", "")
        try:
            if not any(
                one.id == change_id for one in self._publishing.store.in_force.changes_of(profile.name, stamp())
            ):
                raise Refused("This was undone already, or is over.", "Load the page again.")
            news = self._news_of_undoing(who, profile, change_id)
            await self._publishing.store.undo_change(who.name, change_id, news)
        except Refused as refused:
            return await self._page(request, profile, {"form": str(refused)}, status=422)
        await self._publish()
        flash(request, "The change was undone.")
        return redirect(f"/dns_filter/profiles/{profile.name}")

    async def pause(self, request: web.Request) -> web.Response:
        """Pause a profile for some minutes, or end its pause."""
        profile, fields, who = self._profile(request), await read_form(request), actor(request)
        store = self._publishing.store
        try:
            if fields.get("do") == "resume":
                await store.resume(who.name, profile.name)
                words = f"{profile.title}: the pause is over."
            else:
                minutes = next((one for one in PAUSES if str(one) == fields.get("minutes")), 0)
                if not minutes:
                    raise Refused("Choose for how many minutes.")
                reason = fields.get("reason", "").strip()
                await store.pause(who.name, who.account, profile.name, profile.title, minutes, reason)
                words = f"{profile.title}: paused for {minutes} minutes. Locked lists go on."
        except Refused as refused:
            return await self._page(request, profile, {"pause_reason": str(refused)}, fields, status=422)
        await self._publish()
        flash(request, words)
        return redirect(f"/dns_filter/profiles/{profile.name}")

    def _profile(self, request: web.Request) -> Profile:
        name = request.match_info["name"]
        found = next((one for one in self._publishing.profiles() if one.name == name), None)
        if found is None:
            raise web.HTTPNotFound
        return found

    async def _page(
        self,
        request: web.Request,
        profile: Profile,
        errors: Mapping[str, str] | None = None,
        fields: Mapping[str, str] | None = None,
        status: int = 200,
    ) -> web.Response:
        store, choices, moment = self._publishing.store, self._publishing.choices, stamp()
        history = [dict(row) for row in await store.history(profile.name)]
        origin = self._appliance.config.origin("plugins.dns_filter.profiles")
        return render(
            request,
            "dns_filter/profile.html",
            status,
            profile=profile,
            pause=store.in_force.pause_of(profile.name, moment),
            categories=switches(profile, "category", [(one.key, one.title, one.about) for one in choices.categories]),
            services=service_groups(profile, choices),
            lists=switches(
                profile,
                "list",
                [
                    (one.name, one.title or one.name, "")
                    for one in choices.lists
                    if not one.locked and one.name != BYPASS
                ],
            ),
            locked=[one for one in choices.lists if one.locked],
            single=single_switches(profile),
            unsafe_search_open=unsafe_search_open(profile),
            empty=self._empty_categories(),
            in_force={one.id for one in store.in_force.changes_of(profile.name, moment)},
            history=[
                {**row, "title": choices.title(row["switch"]), "words": said(row["switch"], row["value"])}
                for row in history
            ],
            origin=origin,
            may_change=actor(request).may(Permission.CHOOSE_SITES),
            typed=fields or {},
            minutes=PAUSES,
            errors=errors or {},
            end_words=partial(end_words, zone=self._zone),
            today=f"{now().astimezone(self._zone):%Y-%m-%d}",
        )


def switches(profile: Profile, kind: str, found: Sequence[tuple[str, str, str]]) -> list[Switch]:
    """Switches of one kind: key, title and words about each."""
    return [
        Switch(f"{kind}:{key}", title, profile.has(f"{kind}:{key}"), about, profile.fixes(f"{kind}:{key}"))
        for key, title, about in found
    ]


def service_groups(profile: Profile, choices: Choices) -> list[tuple[str, list[Switch]]]:
    """Services under their headings, in the order of their file."""
    grouped = groupby(sorted(choices.services, key=lambda one: _place(choices, one.group)), key=lambda one: one.group)
    return [
        (group, switches(profile, "service", [(one.key, one.title, one.note) for one in found]))
        for group, found in grouped
    ]


def _place(choices: Choices, group: str) -> int:
    return [one.group for one in choices.services].index(group)


def single_switches(profile: Profile) -> list[tuple[Switch, list[tuple[str, str]]]]:
    """Switches with a value of their own, and what each may be set to: (value, words)."""
    found = []
    for name, values in CHOICES.items():
        words = DO_THIS.get(name, {"on": "On", "off": "Off"})
        value = profile.has(name)
        shown = [*values, *([] if value in values else [value])]
        switch = Switch(name, Choices().title(name), value, "", profile.fixes(name))
        found.append((switch, [(one, words[one]) for one in shown]))
    return found


def wanted_switches(fields: Mapping[str, str], profile: Profile, choices: Choices) -> dict[str, str]:
    """What a form sets to something else than it is. A box that is not ticked is not sent: ``shown`` names them all.

    A name that nobody knows, or knows no more since the page was loaded, says nothing."""
    boxes = [one for one in fields.get("shown", "").split() if ":" in one]
    values = {one: "on" if fields.get(one) == "on" else "off" for one in boxes}
    values |= {one: fields[one] for one in CHOICES if one in fields}
    wanted = {}
    for name, value in values.items():
        if choices.knows(name, value) and value != profile.has(name) and not profile.fixes(name):
            wanted[name] = value
    return wanted


def said(switch: str, value: str) -> str:
    """A value in words."""
    kind = switch.partition(":")[0]
    if kind in ("category", "service", "list"):
        return "blocked" if value == "on" else "not blocked"
    return DO_THIS.get(kind, {"on": "On", "off": "Off"}).get(value, value)


def in_plain_words(profile: Profile, choices: Choices) -> dict[str, Any]:
    """What a profile does, for a table of all of them."""
    names = [one.title or one.name for one in choices.lists if switched_on(profile, one.name, one.category)]
    without = hungry(choices)
    chosen = [one for one in choices.categories if one.key in profile.categories]
    return {
        "categories": [one.title for one in chosen if one.key not in without],
        "hungry": [one.title for one in chosen if one.key in without],
        "services": [one.title for one in choices.services if one.key in profile.services],
        "lists": names,
        "youtube": DO_THIS["youtube"][profile.youtube],
        "answer": DO_THIS["answer"][profile.answer],
        "unsafe_search_open": unsafe_search_open(profile),
    }


def hungry(choices: Choices) -> list[str]:
    """Categories of which no list names anything yet."""
    return fed({one.category for one in choices.lists if one.names})


def unsafe_search_open(profile: Profile) -> bool:
    """Whether results are safe, but not those of search engines that have no safe mode."""
    return profile.safe_search and UNSAFE_SEARCH not in profile.services
