"""What other plugins want for single clients: asked in turns, checked, and merged so that the strictest wins."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.api import Overlay, stamp

from ..domains import NotADomain, normalise

MOST_DOMAINS = 5000


@dataclass(frozen=True, slots=True)
class Merged:
    """What all plugins together want for one client, until the first of it ends. Empty: nothing."""

    profile: str = ""
    block: frozenset[str] = frozenset()
    allow: frozenset[str] = frozenset()
    only: bool = False
    everything: bool = False
    why: tuple[str, ...] = ()

    @property
    def changes_rules(self) -> bool:
        """Whether it does more than to name a profile."""
        return bool(self.block or self.allow or self.only or self.everything)


NOTHING = Merged()


def checked(overlay: Overlay, profiles: Collection[str]) -> Overlay:
    """An overlay with its domains as the filter compares them. Raises ``ValueError`` in words."""
    if overlay.profile and overlay.profile not in profiles:
        raise ValueError(f"it names a profile that does not exist: {overlay.profile!r}")
    if len(overlay.block) + len(overlay.allow) > MOST_DOMAINS:
        raise ValueError(f"it names more than {MOST_DOMAINS} domains")
    try:
        block, allow = tuple(map(normalise, overlay.block)), tuple(map(normalise, overlay.allow))
    except NotADomain as error:
        raise ValueError(f"a domain in it {error}") from None
    return Overlay(
        overlay.profile,
        block,
        allow,
        overlay.only,
        overlay.everything,
        overlay.until,
        " ".join(overlay.why.split())[:200],
    )


def merge(overlays: Sequence[Overlay], rank: Callable[[str], int], at: str) -> tuple[Merged, str | None]:
    """What applies at a moment (a stamp), and the moment at which something of it ends."""
    open_ = [one for one in overlays if one.until is None or stamp(one.until) > at]
    if not open_:
        return NOTHING, None
    block = frozenset(domain for one in open_ for domain in one.block)
    limiting = [frozenset(one.allow) for one in open_ if one.only]
    if limiting:
        allow = limiting[0].intersection(*limiting[1:])
    else:
        allow = frozenset(domain for one in open_ for domain in one.allow)
    profile = max((one.profile for one in open_ if one.profile), key=rank, default="")
    ends = [stamp(one.until) for one in open_ if one.until is not None]
    merged = Merged(
        profile=profile,
        block=block,
        allow=allow - block,
        only=bool(limiting),
        everything=any(one.everything for one in open_),
        why=tuple(sorted({one.why for one in open_ if one.why})),
    )
    return merged, min(ends, default=None)


class Overlays:
    """What plugins said last, by address of the client. What they have not said anew stays until it ends.

    The key of what was said: the plugin, and whom it was asked about (behind one address there may be several).
    """

    def __init__(self) -> None:
        self._said: dict[str, dict[Any, Overlay]] = {}

    def of(self, address: str) -> list[Overlay]:
        """What was said about a client."""
        return list(self._said.get(address, {}).values())

    def take(self, address: str, answers: Mapping[Any, Overlay | None], asked: Collection[Any]) -> bool:
        """Keep the answers; whether something is other than before. ``asked``: the keys of all who were asked.

        Who was asked and has not answered keeps what it said; a plugin that is off says nothing any more.
        """
        before = self._said.get(address, {})
        kept = {key: one for key, one in before.items() if key in asked and key not in answers}
        found = kept | {key: one for key, one in answers.items() if one is not None}
        if found:
            self._said[address] = found
        else:
            self._said.pop(address, None)
        return found != before

    def keep_only(self, addresses: Collection[str]) -> bool:
        """Forget clients that are not there any more; whether there were any."""
        gone = self._said.keys() - set(addresses)
        for address in gone:
            del self._said[address]
        return bool(gone)
