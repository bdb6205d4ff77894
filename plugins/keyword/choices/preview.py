"""What a term would have found: in made-up sentences, in names of sites, and in captures for whoever opens them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from appliance.api import Actor, Appliance, CaptureFilter, Keys, Permission, Surface, now

from ..library.model import Policy
from ..school import WHERE_SENTENCES_STAND, Find, School, finder

DAYS = timedelta(days=30)
MOST_HOSTS = 20_000
MOST_CAPTURES = 50
SHOWN = 20
MOST_LETTERS = 300
IN_NAMES = frozenset({Surface.NAME, Surface.ADDRESS})
"""What is looked for in addresses is looked for in the names of sites too."""


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of text: how many were tried, how many were found, and some of those.

    ``tried_as``: where they were tried, in words. ``why_not``: why none was tried, in a sentence; empty: they were.
    """

    title: str
    tried: int = 0
    found: int = 0
    shown: tuple[str, ...] = ()
    tried_as: str = ""
    why_not: str = ""


class Previews:
    """``sentences()``: those of the test bench that may be shown. ``school()``: what the school adds to policies."""

    def __init__(
        self,
        appliance: Appliance,
        sentences: Callable[[], Sequence[str]],
        school: Callable[[], Awaitable[School]],
    ) -> None:
        self._appliance = appliance
        self._sentences = sentences
        self._school = school

    async def of(self, policy: Policy, actor: Actor, keys: Keys | None) -> list[Part]:
        """What a policy of one term would have found. With ``keys`` the newest captures are opened too, on record."""
        school = await self._school()
        finds = await asyncio.to_thread(lambda: finder(school.judge([policy])))
        surfaces = frozenset[Surface]().union(*(term.surfaces for term in policy.terms))
        parts = [await asyncio.to_thread(in_sentences, self._sentences(), finds, surfaces)]
        if actor.may(Permission.SEE_ACTIVITY):
            names = await self._appliance.names_seen.since(now() - DAYS, MOST_HOSTS) if surfaces & IN_NAMES else ()
            parts.append(await asyncio.to_thread(in_names, names, finds, surfaces))
        if keys is not None and actor.may(Permission.SEE_CAPTURES):
            opened = await self._captures(actor, keys)
            parts.append(await asyncio.to_thread(_part, "The newest captures that you can open", opened, finds))
        return [part for part in parts if part.tried or part.why_not]

    async def _captures(self, actor: Actor, keys: Keys) -> list[tuple[str, Sequence[Surface]]]:
        """The newest captures in the scope of whoever asks. That each was opened is recorded, as on its own page."""
        reading = self._appliance.captures.reading
        page = await reading.find(actor, CaptureFilter(status="any"), "newest", 1)
        found: list[tuple[str, Sequence[Surface]]] = []
        for row in page.rows[:MOST_CAPTURES]:
            opened = await reading.opened(actor, keys, row["id"])
            if opened is not None:
                found.append((opened.text, (Surface(row["surface"]),)))
        return found


def in_sentences(sentences: Sequence[str], finds: Find, surfaces: frozenset[Surface]) -> Part:
    """Sentences, tried wherever a term is looked for and sentences can be. It may take a second."""
    title = "Made-up sentences of the test bench"
    places = [surface for surface in WHERE_SENTENCES_STAND if surface in surfaces]
    if not places:
        return Part(title, why_not="It is looked for in addresses and names of sites alone, which are no sentences.")
    words = " and ".join(filter(None, (", ".join(one.label for one in places[:-1]), places[-1].label)))
    return _part(title, [(sentence, places) for sentence in sentences], finds, words)


def in_names(names: Sequence[str], finds: Find, surfaces: frozenset[Surface]) -> Part:
    """Names of sites that devices have asked for. It may take some seconds."""
    title = "Names of sites of the last 30 days"
    if not surfaces & IN_NAMES:
        return Part(title, why_not="It is not looked for in the names of sites.")
    return _part(title, [(name, (Surface.NAME,)) for name in names], finds)


def _part(title: str, texts: Sequence[tuple[str, Sequence[Surface]]], finds: Find, tried_as: str = "") -> Part:
    found = [text for text, places in texts if any(finds(text, surface) for surface in places)]
    return Part(title, len(texts), len(found), tuple(text[:MOST_LETTERS] for text in found[:SHOWN]), tried_as)
