"""Templates: the environment that renders them, and the filters that turn times and numbers into words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import jinja2
from jinja2.bccache import Bucket
from markupsafe import Markup, escape

from appliance.clock import now, parse
from appliance.web.assets import Assets

_FOLDER = Path(__file__).parent / "templates"
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BACKTICKS = re.compile(r"`([^`]+)`")
_STEPS = ((60.0, 1.0, "second"), (3600.0, 60.0, "minute"), (86400.0, 3600.0, "hour"), (math.inf, 86400.0, "day"))


class _Compiled(jinja2.BytecodeCache):
    """Templates that were compiled before in this process: each generation of the appliance has an environment of its
    own, with the same templates."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Give ``bucket`` what was kept; it looks itself whether the source is still the same."""
        if bucket.key in self._kept:
            bucket.bytecode_from_string(self._kept[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        self._kept[bucket.key] = bucket.bytecode_to_string()


_COMPILED = _Compiled()


def make_environment(folders: Mapping[str, Path], assets: Assets, timezone: str) -> jinja2.Environment:
    """Core templates by their name, a plugin's as ``<plugin>/name.html``. A plugin cannot replace a core template."""
    plugins = {name: jinja2.FileSystemLoader(folder / "templates") for name, folder in folders.items()}
    environment = jinja2.Environment(
        loader=jinja2.ChoiceLoader([jinja2.FileSystemLoader(_FOLDER), jinja2.PrefixLoader(plugins)]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        bytecode_cache=_COMPILED,
    )
    zone = ZoneInfo(timezone)
    environment.filters["local_time"] = lambda value: local_time(value, zone)
    environment.filters["local_date"] = lambda value: local_date(value, zone)
    environment.filters["ago"] = lambda value: ago(value, now())
    environment.filters["plural"] = plural
    environment.filters["sentence"] = sentence
    environment.filters["code_spans"] = code_spans
    environment.globals["static_url"] = assets.url
    return environment


def local_time(value: str | datetime | None, zone: ZoneInfo) -> str:
    """``Tue 24 Nov 2026, 09:30`` in the school's time zone; empty for nothing."""
    if not value:
        return ""
    return f"{local_date(value, zone)}, {_moment(value).astimezone(zone):%H:%M}"


def local_date(value: str | datetime | None, zone: ZoneInfo) -> str:
    """``Tue 24 Nov 2026`` in the school's time zone; empty for nothing."""
    if not value:
        return ""
    local = _moment(value).astimezone(zone)
    return f"{_DAYS[local.weekday()]} {local.day} {_MONTHS[local.month - 1]} {local.year}"


def ago(value: str | datetime | None, moment: datetime) -> str:
    """``3 minutes ago``, ``just now``, ``in 2 days``; empty for nothing."""
    if not value:
        return ""
    seconds = (moment - _moment(value)).total_seconds()
    if abs(seconds) < 10:
        return "just now"
    size, name = next((size, name) for limit, size, name in _STEPS if abs(seconds) < limit)
    words = plural(int(abs(seconds) // size), name)
    return f"{words} ago" if seconds > 0 else f"in {words}"


def plural(number: int, one: str, many: str = "") -> str:
    """``1 row``, ``1,204 rows``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def sentence(words: str) -> str:
    """The words with a capital at the start; unlike Jinja's ``capitalize`` it leaves the others alone."""
    return words[:1].upper() + words[1:]


def code_spans(words: str) -> Markup:
    """What stands between backticks, as code."""
    return Markup(_BACKTICKS.sub(r"<code>\1</code>", str(escape(words))))  # noqa: S704 - escaped just here


def _moment(value: str | datetime) -> datetime:
    return parse(value) if isinstance(value, str) else value
