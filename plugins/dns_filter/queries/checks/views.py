"""The page with the record of checks: to read, to add to, to test now, and to take away as a file."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType

from aiohttp import web

from appliance.api import Appliance, Refused, actor, flash, read_form, redirect, render

from ...days import day_words
from ...settings import Settings
from .csv_file import csv_of
from .store import MANUAL, CheckStore, Found, Result
from .testing import SelfTest

SHOWN = 200
IN_FILE = 20_000
LONGEST, LONGEST_WORDS = 100, 1000

OFFICIAL = MappingProxyType({"Test Filtering, by SWGfL": "testfiltering.com"})
"""Test pages that are made for this and are safe to open: a name, and where it is."""

_NEEDED: Mapping[str, str] = MappingProxyType({
    "device": "Say which device it was.",
    "place": "Say where it was, such as the room.",
    "group": "Say for which group or profile it was.",
    "what": "Say what was tested.",
})  # fmt: skip


class CheckViews:
    """Forms in, pages out."""

    def __init__(self, appliance: Appliance, settings: Settings, store: CheckStore, test: SelfTest) -> None:
        self._appliance = appliance
        self._settings = settings
        self._store = store
        self._test = test

    async def index(self, request: web.Request) -> web.Response:
        """The record, and the form for a check that somebody has made."""
        fresh = {"day": self._test.today().isoformat(), "what": next(iter(OFFICIAL))}
        return await self._page(request, fresh, {})

    async def _page(self, request: web.Request, typed: Mapping[str, str], errors: Mapping[str, str]) -> web.Response:
        rows = await self._store.newest(SHOWN)
        return render(
            request,
            "dns_filter/checks.html",
            422 if errors else 200,
            rows=[(row, Result(row["result"])) for row in rows],
            limit=SHOWN,
            typed=typed,
            errors=errors,
            results=[(one.value, one.words) for one in MANUAL],
            official=OFFICIAL,
            last=await self._store.last_manual_day(),
            remind=self._settings.remind_check_days,
            day_words=day_words,
        )

    async def add(self, request: web.Request) -> web.StreamResponse:
        """Keep a check that somebody has made."""
        form = await read_form(request)
        typed = {key: form.get(key, "").strip()[:LONGEST] for key in ("day", "device", "place", "group", "what")}
        typed |= {key: form.get(key, "").strip()[:LONGEST_WORDS] for key in ("words", "action")}
        typed["result"] = form.get("result", "")
        found = self._read(typed, actor(request).name)
        if not isinstance(found, Found):
            return await self._page(request, typed, found)
        await self._store.keep_manual(actor(request), found)
        await self._appliance.health.refresh()
        flash(request, "The check was written down.")
        return redirect("/dns_filter/checks")

    def _read(self, typed: Mapping[str, str], who: str) -> Found | dict[str, str]:
        """What was typed as a check, or what is wrong with it, by field."""
        errors: dict[str, str] = {}
        try:
            day = date.fromisoformat(typed["day"])
        except ValueError:
            errors["day"] = "Give the day of the check."
        else:
            if day > self._test.today():
                errors["day"] = "This day lies in the future."
        errors |= {key: words for key, words in _NEEDED.items() if not typed[key]}
        if typed["result"] not in MANUAL:
            errors["result"] = "Say what came of it."
        elif typed["result"] == Result.FAILED and not typed["action"]:
            errors["action"] = "It was not as it should be. Say what you have done about it, or whom you have told."
        if errors:
            return errors
        return Found(
            day=date.fromisoformat(typed["day"]),
            who=who,
            device=typed["device"],
            place=typed["place"],
            profile=typed["group"],
            what=typed["what"],
            result=Result(typed["result"]),
            words=typed["words"],
            action=typed["action"],
        )

    async def run(self, request: web.Request) -> web.StreamResponse:
        """Test now."""
        await read_form(request)
        try:
            count = await self._test.now()
        except Refused as refused:
            flash(request, f"{refused.what} {refused.todo}".strip())
        else:
            flash(request, f"{count} profile{'' if count == 1 else 's'} tested. What came of it stands below.")
        return redirect("/dns_filter/checks")

    async def file(self, request: web.Request) -> web.Response:
        """The record for a spreadsheet."""
        del request
        text = csv_of(await self._store.newest(IN_FILE))
        named = f"checks-of-the-web-filter-{self._test.today().isoformat()}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{named}"'}
        return web.Response(text=text, content_type="text/csv", charset="utf-8", headers=headers)
