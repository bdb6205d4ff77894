"""What the pages of the directory share: pages of lists, what was ticked, and where links between them lead."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from aiohttp import web

from appliance.errors import Refused
from appliance.hookspecs import Fact, Permission
from appliance.people.directory import Directory, Person
from appliance.people.listing import Page
from appliance.web.pages import actor, context_of


@dataclass(frozen=True, slots=True)
class Paging:
    """A page of a list and how to get to the others. ``fields``: the filter that goes with it.

    ``sent``: the filter holds what must not stand in an address, so other pages are asked for with a form.
    """

    page: Page
    path: str
    fields: Mapping[str, str]
    sent: bool

    def link(self, number: int) -> str:
        """The address of another page."""
        return f"{self.path}?{urlencode({**self.fields, 'page': number})}"


def paging(page: Page, path: str, fields: Mapping[str, str], *, sent: bool) -> Paging:
    """With the fields that say something."""
    return Paging(page, path, {name: value for name, value in fields.items() if value}, sent)


def number_of(text: str) -> int:
    """The number of a page; the first for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else 1


def one_of(text: str, allowed: Iterable[str]) -> str:
    """What was chosen, or nothing if there is no such choice."""
    return text if text in set(allowed) else ""


def ticked(pairs: Iterable[tuple[str, str]], name: str) -> list[str]:
    """The values of all fields of one name."""
    return [value for field, value in pairs if field == name]


def directory_of(request: web.Request) -> Directory:
    """The directory."""
    return context_of(request).appliance.directory


def facts_of_plugins(request: web.Request, about: Literal["device", "person"]) -> list[Fact]:
    """What plugins add to the facts of each device or person, as far as the reader may see it."""
    who, plugins = actor(request), context_of(request).appliance.plugins
    return [fact for _, fact in plugins.panels(Fact) if fact.about == about and fact.permissions <= who.permissions]


def may_manage(request: web.Request) -> bool:
    """Whether the visitor keeps the directory."""
    return actor(request).may(Permission.MANAGE_PEOPLE)


async def person_of(request: web.Request) -> Person:
    """The person whom the address names; 404 if there is none, or none whom the visitor may find."""
    found = await directory_of(request).person(actor(request), request.match_info["id"])
    if found is None:
        raise web.HTTPNotFound
    return found


def in_form(refused: Refused) -> dict[str, str]:
    """Why a form was refused, for the summary above it."""
    return {"form": str(refused)}
