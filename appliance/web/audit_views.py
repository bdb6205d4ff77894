"""The audit pages: who did what, and what was signed of it day by day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from aiohttp import web

from appliance.audit import Wanted
from appliance.clock import stamp
from appliance.hookspecs import Page, Permission
from appliance.web.audit_words import KINDS, OTHER, ids_in, kind_of, tell
from appliance.web.pages import actor, context_of, render

ROWS = 50
HEADS = 100


def pages() -> tuple[Page, ...]:
    """The routes."""
    read = Permission.READ_AUDIT
    return (
        Page("staff", "GET", "/audit", index, read),
        Page("staff", "GET", "/audit/signed", signed, read),
        Page("staff", "GET", "/audit/signed/{day}", statement, read),
        Page("staff", "GET", "/audit/public-key.pem", public_key, read),
    )


@dataclass(frozen=True, slots=True)
class Filter:
    """What was chosen above the list, as it was typed, and what is wrong with it, by field."""

    who: str = ""
    kind: str = ""
    first: str = ""
    last: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)

    @property
    def chosen(self) -> bool:
        """Whether anything is left out."""
        return bool(self.who or self.kind or self.first or self.last)

    def address(self, **more: object) -> str:
        """The page with this choice, and what is given."""
        values = {"who": self.who, "kind": self.kind, "first": self.first, "last": self.last, **more}
        query = urlencode({name: value for name, value in values.items() if value})
        return f"/audit?{query}" if query else "/audit"

    def wanted(self, zone: ZoneInfo, actions: Sequence[str]) -> Wanted:
        """For the store: days become moments of the school's time zone, a kind those of ``actions`` that are of it."""
        first, last = _day(self.first), _day(self.last)
        return Wanted(
            actor=self.who,
            actions=[action for action in actions if kind_of(action).key == self.kind] if self.kind else None,
            since=_midnight(first, zone) if first else "",
            before=_midnight(last + timedelta(days=1), zone) if last else "",
        )


async def index(request: web.Request) -> web.StreamResponse:
    """The record of who did what, newest first; checked as a whole when asked."""
    appliance = context_of(request).appliance
    chosen = _filter(request.query)
    before = request.query.get("before", "")
    before_seq = int(before) if before.isdecimal() and len(before) < 16 else None
    zone = ZoneInfo(appliance.config.settings.school.timezone)
    wanted = chosen.wanted(zone, await appliance.audit.actions())
    rows = await appliance.audit.rows(before_seq, ROWS + 1, wanted)
    shown = rows[:ROWS]
    people = await appliance.looks.names(actor(request), ids_in(shown))
    return render(
        request,
        "audit.html",
        rows=[tell(row, people) for row in shown],
        older=chosen.address(before=shown[-1]["seq"]) if len(rows) > ROWS else "",
        newest=before_seq is None,
        chosen=chosen,
        kinds=(*KINDS, OTHER),
        actors=await appliance.audit.actors(),
        verdict=await appliance.audit.verify() if "check" in request.query else None,
    )


def _filter(query: Mapping[str, str]) -> Filter:
    typed = {name: query.get(name, "").strip() for name in ("who", "kind", "first", "last")}
    errors = {
        name: "Give a day as year, month and day, for example 2026-11-24."
        for name in ("first", "last")
        if typed[name] and _day(typed[name]) is None
    }
    return Filter(**typed, errors=errors)


def _day(text: str) -> date | None:
    """The day of its ISO 8601 form; ``None`` if it is none, or lies at the end of all days."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if date(1970, 1, 1) <= day < date(9999, 1, 1) else None


def _midnight(day: date, zone: ZoneInfo) -> str:
    return stamp(datetime.combine(day, time(), zone))


# What was signed


async def signed(request: web.Request) -> web.StreamResponse:
    """Where the audit stood on each day, signed, to be kept elsewhere."""
    heads = context_of(request).appliance.signed_heads
    rows = await heads.rows(HEADS + 1, request.query.get("before", ""))
    return render(
        request,
        "audit_signed.html",
        rows=rows[:HEADS],
        older=rows[HEADS - 1]["day"] if len(rows) > HEADS else "",
        newest="before" not in request.query,
        fingerprint=heads.public_key.fingerprint,
    )


async def statement(request: web.Request) -> web.StreamResponse:
    """The file of one day, as it is to be kept."""
    day = request.match_info["day"]
    text = await context_of(request).appliance.signed_heads.statement(day)
    if text is None:
        raise web.HTTPNotFound
    return _download(text, "text/plain", f"audit-{day}.txt")


async def public_key(request: web.Request) -> web.StreamResponse:
    """The key that checks what was signed."""
    pem = context_of(request).appliance.signed_heads.public_key.pem
    return _download(pem.decode("ascii"), "application/x-pem-file", "audit-public-key.pem")


def _download(text: str, content_type: str, name: str) -> web.Response:
    return web.Response(
        text=text, content_type=content_type, headers={"Content-Disposition": f'attachment; filename="{name}"'}
    )
