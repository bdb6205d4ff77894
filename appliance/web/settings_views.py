"""The settings pages: every setting and where it comes from, changing one, undoing that, reading the file again."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from itertools import groupby
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from appliance.clock import now, stamp
from appliance.config import Config, ConfigError, Mistake, Row
from appliance.db import Row as StoreRow
from appliance.errors import Refused
from appliance.hookspecs import Page, Permission
from appliance.web.applying import applying, latest
from appliance.web.pages import Context, actor, context_of, read_form, render
from appliance.web.templating import sentence

TITLES: Mapping[str, str] = {
    "web": "Web pages",
    "exempt": "Help-seeking sites",
    "events": "News between parts",
    "limits": "Limits for plugins",
}
"""Sections whose key is no title."""
LONG_TEXT = 80
"""A value longer than this is typed into a larger field."""
_FULL_MINUTE = re.compile(r"^(\d\d:\d\d):00$")


def pages() -> tuple[Page, ...]:
    """The routes."""
    operate = Permission.OPERATE
    return (
        Page("staff", "GET", "/settings", index, operate),
        Page("staff", "GET", "/settings/edit", edit, operate),
        Page("staff", "POST", "/settings/edit", change, operate),
        Page("staff", "POST", "/settings/undo", undo, operate),
        Page("staff", "POST", "/settings/read-file", read_file, operate),
    )


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting as the page shows it. ``lines``: its value in words; empty when nothing is set."""

    row: Row
    lines: tuple[str, ...]
    changeable: bool


@dataclass(frozen=True, slots=True)
class Group:
    """The settings of one section. ``anchor`` is where links lead."""

    title: str
    anchor: str
    settings: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """What was typed into the form for one setting, and what is wrong with it, by field."""

    value: str
    reason: str = ""
    last_day: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


async def index(request: web.Request) -> web.StreamResponse:
    """Every setting, section by section, and what was changed on this page."""
    return await _index(request)


async def _index(
    request: web.Request, status: int = 200, trouble: str = "", mistakes: Sequence[Mistake] = ()
) -> web.StreamResponse:
    context = context_of(request)
    changes = await context.appliance.control.page_rows()
    return render(
        request,
        "settings.html",
        status,
        groups=_groups(context),
        changes=[{**dict(change), "in_force": _in_force(change)} for change in changes],
        place=context.appliance.config.place,
        notes=context.appliance.config.notes,
        latest=latest(request),
        trouble=trouble,
        mistakes=[
            (f"{mistake.file}, line {mistake.line}", mistake.path, mistake_words(mistake)) for mistake in mistakes
        ],
    )


def _in_force(change: StoreRow) -> bool:
    return change["undone_at"] is None and (change["until"] is None or change["until"] > stamp())


def _groups(context: Context) -> list[Group]:
    titles = {state.name: state.title for state in context.appliance.plugins.states()}
    rows = list(context.appliance.config.rows())
    return [
        Group(_title(section, titles), section.replace("plugins.", "plugin-"), tuple(map(_shown, members)))
        for section, members in groupby(rows, key=lambda row: _section(row.path))
    ]


def _section(path: str) -> str:
    """``web`` of ``web.port``, ``plugins.dns_filter`` of ``plugins.dns_filter.upstream``."""
    parts = path.split(".")
    return ".".join(parts[:2]) if parts[0] == "plugins" and len(parts) > 1 else parts[0]


def _title(section: str, titles: Mapping[str, str]) -> str:
    plugin = section.removeprefix("plugins.")
    if plugin != section:
        return f"Plugin: {titles.get(plugin, plugin)}"
    return TITLES.get(section, sentence(section.replace("_", " ")))


def _shown(row: Row) -> Shown:
    return Shown(row, tuple(value_lines(row.value, row.unit)), row.on_page and row.origin.kind != "file")


def value_lines(value: Any, unit: str = "") -> list[str]:
    """A value in words, one line for each entry of a list; none when nothing is set."""
    if value in (None, "", [], (), {}):
        return []
    if isinstance(value, bool):
        return ["yes" if value else "no"]
    if isinstance(value, Mapping):
        return [f"{_words(key)}: {_one_line(inner)}" for key, inner in value.items()]
    if isinstance(value, list | tuple):
        return [_one_line(item) for item in value]
    text = f"{value:g}" if isinstance(value, float) else _FULL_MINUTE.sub(r"\1", str(value))
    return [f"{text} {unit}".strip()]


def _one_line(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(
            f"{_words(key)}: {_one_line(inner)}" for key, inner in value.items() if inner not in ("", None)
        )
    if isinstance(value, list | tuple):
        return ", ".join(map(_one_line, value)) or "none"
    return "".join(value_lines(value))


def _words(key: object) -> str:
    return str(key).replace("_", " ")


# Changing


async def edit(request: web.Request) -> web.StreamResponse:
    """The form for one setting."""
    row = _find(context_of(request), request.query.get("path", ""))
    return _form(request, row, Entry(row.text))


async def change(request: web.Request) -> web.StreamResponse:
    """Take the form. What was typed stays in it until it is right."""
    context, form = context_of(request), await read_form(request)
    row = _find(context, form.get("path", ""))
    entry = Entry(form.get("value", ""), form.get("reason", ""), form.get("last_day", "").strip())
    errors, until = _look_through(entry, context.appliance.config, row.path)
    if not errors:
        try:
            outcome = await context.appliance.control.set_value(
                actor(request).name, row.path, entry.value, entry.reason, until
            )
        except ConfigError as error:
            errors = _by_field(error.mistakes, row.path)
        except Refused as error:
            errors = {"form": str(error)}
        else:
            if outcome.applied:
                return applying("/settings")
            errors = {"form": outcome.words}
    return _form(request, row, replace(entry, errors=errors), 422)


def _find(context: Context, path: str) -> Row:
    for row in context.appliance.config.rows():
        if row.path == path:
            return row
    raise web.HTTPNotFound


def _form(request: web.Request, row: Row, entry: Entry, status: int = 200) -> web.Response:
    shown = _shown(row)
    return render(
        request,
        "setting_edit.html",
        status,
        shown=shown,
        row=row,
        entry=entry,
        choices=_choices(row),
        default=value_lines(row.default, row.unit),
        large=row.kind == "list" or "\n" in entry.value or len(entry.value) > LONG_TEXT,
        today=f"{now().astimezone(ZoneInfo(context_of(request).appliance.config.settings.school.timezone)):%Y-%m-%d}",
    )


def _choices(row: Row) -> tuple[tuple[str, str], ...]:
    """What to choose from: the value that is sent and the words that are shown; empty when it is typed."""
    if row.kind == "bool":
        return (("true", "Yes"), ("false", "No"))
    return tuple((choice, choice) for choice in row.choices) if row.kind == "choice" else ()


def _look_through(entry: Entry, config: Config, path: str) -> tuple[dict[str, str], datetime | None]:
    """What is wrong with the fields, all at once, and the moment at which the change ends."""
    errors: dict[str, str] = {}
    try:
        config.parse_page_text(path, entry.value)
    except ConfigError as error:
        errors |= _by_field(error.mistakes, path)
    if not entry.reason.strip():
        errors["reason"] = "Say why, so that the next person understands."
    until = None
    if entry.last_day:
        try:
            until = _end_of(date.fromisoformat(entry.last_day), ZoneInfo(config.settings.school.timezone))
        except (ValueError, OverflowError):
            errors["last_day"] = "Give the last day as year, month and day, such as 2026-11-27, or leave it empty."
        else:
            if until <= now():
                errors["last_day"] = "The last day lies in the past. Choose a later one or leave it empty."
    return errors, until


def _end_of(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(0), zone)


def _by_field(mistakes: Sequence[Mistake], path: str) -> dict[str, str]:
    """Mistakes of the setting itself stand beside its field; others were caused elsewhere by it."""
    own = [mistake for mistake in mistakes if mistake.path == path or mistake.path.startswith((f"{path}.", f"{path}["))]
    others = [str(mistake) for mistake in mistakes if mistake not in own]
    errors = {}
    if own:
        errors["value"] = " ".join(map(mistake_words, own))
    if others:
        errors["form"] = " ".join(others)
    return errors


def mistake_words(mistake: Mistake) -> str:
    """``8443x is not a number. Expected: a whole number from 1 to 65535.``"""
    words = f"{sentence(mistake.message)}."
    if mistake.expected:
        words += f" Expected: {mistake.expected}."
    if mistake.nearest:
        words += f" Did you mean {mistake.nearest}?"
    return words


async def undo(request: web.Request) -> web.StreamResponse:
    """Take a change back."""
    row_id = (await read_form(request)).get("id", "")
    outcome = await context_of(request).appliance.control.undo_value(actor(request).name, row_id)
    if not outcome.applied:
        raise Refused(outcome.words)
    return applying("/settings")


async def read_file(request: web.Request) -> web.StreamResponse:
    """Read the settings file again; its mistakes are listed, and nothing is applied as long as there is one."""
    await read_form(request)
    outcome = await context_of(request).appliance.control.reload(actor(request).name)
    if outcome.applied:
        return applying("/settings")
    return await _index(request, 422, outcome.words, outcome.mistakes)
