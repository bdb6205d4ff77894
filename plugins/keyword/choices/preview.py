"""What a term would have found: in made-up sentences, in names of sites, and in captures for whoever opens them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from appliance.api import Actor, Appliance, CaptureFilter, Keys, Permission, Surface, now

from ..engine.engine import Engine
from ..engine.exclusions import supplied
from ..library.model import Policy

DAYS = timedelta(days=30)
MOST_HOSTS = 20_000
MOST_CAPTURES = 50
SHOWN = 20
MOST_LETTERS = 300

Finds = Callable[[str, Surface], bool]


@dataclass(frozen=True, slots=True)
class Part:
    """One kind of text: how many were tried, how many were found, and some of those."""

    title: str
    tried: int
    found: int
    shown: tuple[str, ...]


class Previews:
    """``sentences()``: those of the test bench."""

    def __init__(
        self,
        appliance: Appliance,
        sentences: Callable[[], Sequence[str]],
    ) -> None:
        self._appliance = appliance
        self._sentences = sentences

    async def of(self, policy: Policy, actor: Actor, keys: Keys | None) -> list[Part]:
        """What a policy of one term would have found. With ``keys`` the newest captures are opened too, on record."""
        finds = finder(policy)
        parts = [_part("Made-up sentences of the test bench", self._sentences(), finds, Surface.TYPED)]
        if actor.may(Permission.SEE_ACTIVITY):
            names = await self._appliance.names_seen.since(now() - DAYS, MOST_HOSTS)
            parts.append(_part("Names of sites of the last 30 days", names, finds, Surface.NAME))
        if keys is not None and actor.may(Permission.SEE_CAPTURES):
            parts.append(await self._captures(finds, actor, keys))
        return [part for part in parts if part.tried]

    async def _captures(self, finds: Finds, actor: Actor, keys: Keys) -> Part:
        """The newest captures in the scope of whoever asks. That each was opened is recorded, as on its own page."""
        reading = self._appliance.captures.reading
        page = await reading.find(actor, CaptureFilter(status="any"), "newest", 1)
        found, tried = [], 0
        for row in page.rows[:MOST_CAPTURES]:
            opened = await reading.opened(actor, keys, row["id"])
            if opened is not None:
                tried += 1
                if finds(opened.text, Surface(row["surface"])):
                    found.append(opened.text[:MOST_LETTERS])
        return Part("The newest captures that you can open", tried, len(found), tuple(found[:SHOWN]))


def finder(policy: Policy) -> Finds:
    """Whether a text has anything of a policy, with the exclusions that are supplied."""
    engine = Engine([policy], supplied())
    return lambda text, surface: bool(engine.find(text, surface))


def _part(title: str, texts: Sequence[str], finds: Finds, surface: Surface) -> Part:
    found = [text for text in texts if finds(text, surface)]
    return Part(title, len(texts), len(found), tuple(found[:SHOWN]))
