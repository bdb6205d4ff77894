"""Where staff decide what becomes of a page that was asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from appliance.api import Appliance, Permission, Refused, Row, actor, flash, keys, now, read_form, redirect, render

from .desk import LONGEST_REASON, PURPOSES, Desk, Pace, lasted
from .others import Others
from .store import Store
from .words import staff_words

REQUESTS = "/dns_filter/requests"
SHOWN = 200
CHOICES = ("profile", "everybody", "keep")


@dataclass(frozen=True, slots=True)
class DecisionForm:
    """What was typed, so that nothing is lost when it is shown again; ``errors`` by field, in words."""

    choice: str = ""
    reason: str = ""
    answer: str = ""
    last_day: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> DecisionForm:
        """From the fields of a form; missing ones are empty."""
        names = ("choice", "reason", "answer", "last_day")
        choice, reason, answer, last_day = (fields.get(name, "").strip() for name in names)
        return cls(choice, reason[:LONGEST_REASON], answer[:LONGEST_REASON], last_day)


class StaffViews:
    """The queue, and one request with its form."""

    def __init__(self, appliance: Appliance, store: Store, desk: Desk, others: Others) -> None:
        self._appliance = appliance
        self._store = store
        self._desk = desk
        self._others = others
        self._zone = ZoneInfo(appliance.config.settings.school.timezone)

    async def requests(self, request: web.Request) -> web.Response:
        """What waits, the oldest first, what was decided, and how long that took."""
        return render(
            request,
            "dns_filter/requests.html",
            one=None,
            open_ones=[self._shown(row) for row in await self._store.waiting(SHOWN)],
            decided=[self._shown(row) for row in await self._store.decided(SHOWN)],
            pace=pace_words(await self._desk.pace()),
            limit=SHOWN,
        )

    async def one(self, request: web.Request) -> web.Response:
        """One request: why it is blocked, what was written with it, and the form."""
        return await self._one(request, DecisionForm(choice="profile"))

    async def decide(self, request: web.Request) -> web.Response:
        """Open it, or keep it blocked."""
        form = DecisionForm.of(await read_form(request))
        errors, until = look_through(form, self._zone, now())
        if not errors:
            try:
                host = await self._desk.decide(
                    actor(request), request.match_info["id"], form.choice, form.reason, form.answer, until
                )
            except Refused as refused:
                errors = {"form": str(refused)}
        if errors:
            return await self._one(request, replace(form, errors=errors), 422)
        done = "stays blocked" if form.choice == "keep" else "opens now"
        flash(request, f"{host} {done}. Whoever asked for it is told on the page and by the receipt.")
        return redirect(REQUESTS)

    async def card(self) -> Mapping[str, Any]:
        """For the home page."""
        return {"pace": pace_words(await self._desk.pace())}

    async def _one(self, request: web.Request, form: DecisionForm, status: int = 200) -> web.Response:
        row = await self._store.request(request.match_info["id"])
        if row is None:
            raise web.HTTPNotFound
        who = actor(request)
        askings = await self._store.askings(row["id"])
        may_read = who.may(Permission.SEE_CAPTURES)
        words = await self._desk.words(who, keys(request), askings) if may_read else {}
        return render(
            request,
            "dns_filter/requests.html",
            status,
            one=self._shown(row),
            askings=[
                {
                    "at": asking["at"],
                    "purpose": PURPOSES.get(asking["purpose"], asking["purpose"]),
                    "sealed": asking["words"] is not None,
                    "words": words.get(asking["id"], ""),
                }
                for asking in askings
            ],
            may_read=may_read,
            form=form,
            today=f"{now().astimezone(self._zone):%Y-%m-%d}",
            longest=LONGEST_REASON,
        )

    def _shown(self, row: Row) -> dict[str, Any]:
        names = ("id", "host", "profile", "state", "first_at", "last_at", "times", "devices", "until")
        return {
            **{name: row[name] for name in (*names, "decided_at", "decided_by", "reason", "answer")},
            "profile_title": self._others.profile_title(row["profile"]) if row["profile"] else "none",
            "because": staff_words(row["why"], row["list"], row["category"], self._others),
        }


def pace_words(pace: Pace) -> Mapping[str, Any]:
    """The pace as pages show it."""
    return {
        "waiting": pace.waiting,
        "oldest": pace.oldest,
        "decided": pace.decided,
        "median": lasted(pace.median),
        "longest": lasted(pace.longest),
    }


def look_through(form: DecisionForm, zone: ZoneInfo, at: datetime) -> tuple[dict[str, str], datetime | None]:
    """What is wrong with the form, by field, and the moment at which the decision ends (``None``: never)."""
    errors: dict[str, str] = {}
    until = None
    if form.choice not in CHOICES:
        errors["choice"] = "Choose what happens with the site."
    if not form.reason:
        errors["reason"] = "Say why, so that the next person understands."
    if form.choice == "keep":
        if not form.answer:
            errors["answer"] = "Write an answer: whoever asked has a right to know why not."
    elif form.last_day:
        try:
            until = datetime.combine(date.fromisoformat(form.last_day) + timedelta(days=1), time(0), zone)
        except (ValueError, OverflowError):
            errors["last_day"] = "Give the last day as year, month and day, such as 2026-11-27, or leave it empty."
        else:
            if until <= at:
                errors["last_day"] = "The last day lies in the past. Choose a later one or leave it empty."
    return errors, until
