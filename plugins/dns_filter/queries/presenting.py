"""Rows of the log in the words of the pages. Who runs the box reads devices and verdicts; a person is for others."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from appliance.api import CLAIMS, now, parse

from ..lists import shipped
from .records import NOT_KEPT, ROWS_OF_ONE, QueryRow

VERDICTS: Mapping[str, str] = MappingProxyType({
    "allowed": "Allowed",
    "blocked": "Blocked",
    "would block": "Would have been blocked (trial run)",
    "rewritten": "Safe search switched on",
    "local": "The school’s own name",
})  # fmt: skip

_WHY: Mapping[str, str] = MappingProxyType({
    "list": "It is on the list {list}",
    "locked list": "It is on the locked list {list}",
    "entry": "The school’s own entry says so",
    "service": "The service {rule} is switched off",
    "only": "Nothing is open but what the school named",
    "bypass": "It leads around the filter",
    "canary": "It asks whether the filter may be left out",
    "safesearch": "Search engines show safe results here",
    "plugin": "Another part of the appliance asked for it",
    "cname": "It is another name for {rule}, which is blocked",
    "rebind": "It led to an address inside the school",
})  # fmt: skip

HIDDEN_PERSON = "Somebody about whom you may not know"
UNKNOWN_WORDS = "Unknown"
KEPT: Mapping[str, str] = MappingProxyType({
    "full": "",
    "no_person": "The school has chosen to keep no person with these lines.",
    "no_device": "The school has chosen to keep neither person nor device with these lines, only the group.",
    "off": "The school has chosen to keep no names: only how much was answered and blocked.",
})  # fmt: skip
"""What the page says of the level of detail that counts from now on."""


def category_title(key: str) -> str:
    """What a category of websites is called on pages."""
    known = shipped.categories().get(key)
    return known.title if known is not None else key


@cache
def _services() -> Mapping[str, str]:
    return {one.key: one.title for one in shipped.services()}


def _decided_by(row: QueryRow) -> str:
    """What the row's rule is called on pages: the title of a service, a domain; an entry's id says nothing there."""
    is_id = row.why == "cname" and "." not in row.rule
    return _services().get(row.rule) or ("another site" if is_id else row.rule)


class Presenting:
    """``zone``: that of the school's clocks."""

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._secret = secrets.token_bytes(16)

    def row(self, row: QueryRow, devices: Mapping[str, str]) -> dict[str, Any]:
        """A row without anybody: for everyone who may see what devices ask for. ``devices``: names by id."""
        device = devices.get(row.device, "")
        return {
            "id": self._id(row),
            "time": self.time(row.last_at),
            "client": row.client or "not kept",
            "of": row.device or row.client,
            "device": device or row.client or "not kept",
            "address": row.client if device else "",
            "group": row.group or "no group",
            "name": row.name or "not kept",
            "type": f"after {ROWS_OF_ONE} in this minute" if row.is_rest else _answered(row),
            "verdict": row.verdict,
            "list": "not noted" if row.is_rest else row.list or "none",
            "category": category_title(row.category) if row.category else "",
            "why": why_words(row),
            "profile": row.profile,
            "count": row.count,
            "links": "no" if row.is_rest or not row.name else "yes",
        }

    def with_person(self, shown: Mapping[str, Any], row: QueryRow, people: Mapping[str, str | None]) -> dict[str, Any]:
        """The same row for whoever may see people. ``people``: names by id of those who may be seen."""
        name = people.get(row.person) if row.person else None
        if name is not None:
            words, how = name, CLAIMS.get(row.claim, row.claim)
        elif row.person:
            words, how = HIDDEN_PERSON, ""
        elif row.claim == NOT_KEPT:
            words, how = "Not kept", ""
        else:
            words, how = UNKNOWN_WORDS, ""
        return {**shown, "person": words, "person_id": row.person if name is not None else "", "claim": how}

    def _id(self, row: QueryRow) -> str:
        """The same for the same row, until the next start. Nobody can work out from it whose row it is."""
        whole = "\0".join(row.key).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(whole, digest_size=8, key=self._secret).hexdigest()

    def day_and_time(self, moment: str) -> str:
        """The day and the time on the school's clocks."""
        return f"{parse(moment).astimezone(self._zone):%Y-%m-%d %H:%M:%S}"

    def time(self, moment: str) -> str:
        """The time on the school's clocks; with the weekday if it was not today."""
        local = parse(moment).astimezone(self._zone)
        today = now().astimezone(self._zone).date()
        return f"{local:%H:%M:%S}" if local.date() == today else f"{local:%a %H:%M:%S}"


def why_words(row: QueryRow) -> str:
    """Why it was so, in a sentence without its dot; empty where nothing has to be said."""
    if row.why == "cname" and row.category in shipped.BY_LAW:
        return "It leads to a site that the law does not allow"
    words = _WHY.get(row.why or ("list" if row.list else ""), "")
    return words.format(list=row.list, rule=_decided_by(row))


def _answered(row: QueryRow) -> str:
    """The type of address that was asked for, and who answered: this box from memory, or a name server."""
    if row.upstream == "cache":
        return f"{row.type}, answered from memory"
    return f"{row.type}, answered by {row.upstream} in {row.slowest_ms:.0f} ms" if row.upstream else row.type
