"""What profiles can choose from, taken from the lists and from our own short data."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from ..lists.room import Lists
from ..lists.shipped import categories, safesearch, services
from .model import CategoryChoice, Choices, ListChoice, ServiceChoice


@cache
def shipped() -> Choices:
    """Categories, services and safe search, without any list."""
    plain = safesearch("off")
    return Choices(
        categories=tuple(CategoryChoice(one.key, one.title, one.about) for one in categories().values()),
        services=tuple(ServiceChoice(one.key, one.title, one.group, one.note, one.domains) for one in services()),
        safe_search=plain,
        youtube={
            "moderate": _beyond(safesearch("moderate"), plain),
            "strict": _beyond(safesearch("strict"), plain),
        },
    )


def _beyond(found: dict[str, str], plain: dict[str, str]) -> dict[str, str]:
    return {name: target for name, target in found.items() if name not in plain}


def choices_of(lists: Lists) -> Choices:
    """All choices, with the lists as they stand."""
    found = tuple(
        ListChoice(name, facts.title, facts.category, facts.locked, facts.names)
        for name, facts in lists.facts().items()
    )
    return replace(shipped(), lists=found, table=lists.table())
