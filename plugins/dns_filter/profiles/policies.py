"""Policies as the DNS worker needs them: what each profile says now, and what it says when something has ended. Pure.

A chain is what applies to a client from now on: (key of a policy, until when), the last one without an end. Pauses,
timed changes and overlays are links of such chains, so that they end by themselves while the main process is away.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from appliance.api import Overlay, parse

from ..domains import with_parents
from ..lists.shipped import BYPASS
from ..settings import ProfileSettings
from .entries import Entry
from .here import Pair
from .model import Choices, Profile, profile_of
from .overlays import NOTHING, Merged, merge
from .store import InForce

MOST_LINKS = 8
"""Changes to come that a chain holds; those after them come with a later snapshot."""

Link = tuple[str, "float | None"]
Chain = tuple[Link, ...]
Effective = Callable[[str], "tuple[str, str | None]"]
"""At a moment (a stamp): the name of the profile, and when that choice ends."""


@dataclass(frozen=True, slots=True)
class Basis:
    """All that policies are made of. ``own``: the domain of the box itself; ``verdicts``: whether plugins are asked.

    ``page``: the addresses (IPv4, IPv6) of the page that says why a site is blocked.
    """

    profiles: tuple[ProfileSettings, ...]
    choices: Choices
    in_force: InForce
    own: str = ""
    page: tuple[str, str] = ("", "")
    verdicts: bool = False

    def profile(self, name: str, at: str) -> Profile:
        """What a profile says at a moment, without pauses."""
        written = next(one for one in self.profiles if one.name == name)
        return profile_of(written, self.in_force.changes_of(name, at), self.choices)


class Policies:
    """Collects the policies that chains name. One for each snapshot: ``parts`` is what goes into it."""

    def __init__(self, basis: Basis, at: str, rank: Callable[[str], int]) -> None:
        self._basis = basis
        self._at = at
        self._rank = rank
        self._names = {one.name for one in basis.profiles}
        self._timelines: dict[str, list[tuple[str, str | None]]] = {}
        self._variants: dict[tuple[str, Merged], str] = {}
        self._pages: dict[tuple[str, Pair], str] = {}
        self._plain: dict[tuple[str, Pair | None], Chain] = {}
        self._owned: dict[tuple[str, tuple[Entry, ...]], str] = {}
        self.parts: dict[str, dict[str, Any]] = {}

    def chain(
        self,
        effective: Effective,
        overlays: Sequence[Overlay] = (),
        page: Pair | None = None,
        own: Sequence[Entry] = (),
    ) -> Chain:
        """What applies from now on to whoever has these profiles and overlays.

        ``page``: where the page about blocked sites is found, if not where the basis says. ``own``: entries that are
        for them and not for a profile.
        """
        name, ends = effective(self._at)
        if ends is not None or overlays or own:
            return self._links(effective, overlays, page, own)
        if (name, page) not in self._plain:  # most clients have a profile without an end, and share its chain
            self._plain[name, page] = self._links(lambda _: (name, None), (), page, ())
        return self._plain[name, page]

    def _links(
        self, effective: Effective, overlays: Sequence[Overlay], page: Pair | None, own: Sequence[Entry]
    ) -> Chain:
        links: list[Link] = []
        moment = self._at
        while True:
            name, ends = effective(moment)
            merged, over = merge(overlays, self._rank, moment) if overlays else (NOTHING, None)
            key, changes = self._policy_at(merged.profile or name, moment)
            in_force = tuple(one for one in own if one.until is None or one.until > moment)
            key = self._shown_at(self._with(self._with_own(key, in_force), merged), page)
            own_ends = min((one.until for one in in_force if one.until is not None), default=None)
            end = min((one for one in (ends, over, changes, own_ends) if one is not None), default=None)
            last = end is None or len(links) + 1 >= MOST_LINKS
            seconds = None if last or end is None else parse(end).timestamp()
            if links and links[-1][0] == key:
                links[-1] = (key, seconds)
            else:
                links.append((key, seconds))
            if last or end is None:
                return tuple(links)
            moment = end

    def _policy_at(self, name: str, moment: str) -> tuple[str, str | None]:
        """The policy of a profile at a moment, and when it becomes another one."""
        for key, end in self._timeline(name):
            if end is None or end > moment:
                return key, end
        raise AssertionError("the last link of a timeline has no end")

    def _timeline(self, name: str) -> list[tuple[str, str | None]]:
        if name not in self._timelines:
            ends = self._basis.in_force.ends_of(name, self._at)[:MOST_LINKS]
            moments = [self._at, *ends]
            bodies = [self._part(name, moment) for moment in moments]
            found: list[tuple[str, str | None]] = []
            for body, end in zip(bodies, [*ends, None], strict=True):
                key = name if body == bodies[-1] else f"{name}+{_digest(body)}"
                self.parts[key] = body
                if found and found[-1][0] == key:
                    found[-1] = (key, end)
                else:
                    found.append((key, end))
            self._timelines[name] = found
        return self._timelines[name]

    def _part(self, name: str, at: str) -> dict[str, Any]:
        basis, choices = self._basis, self._basis.choices
        profile = basis.profile(name, at)
        paused = basis.in_force.pause_of(name, at) is not None
        page = profile.answer == "page"
        mode = "off" if paused else profile.mode
        # A pause ends soon, and what a browser was told by a canary name lasts: it is told what holds after the pause.
        bypass = profile.bypass and (mode != "off" or (paused and profile.mode == "block"))
        return {
            "profile": name,
            "mode": mode,
            "lists": sorted(one.name for one in choices.lists if switched_on(profile, one.name, one.category)),
            "entries": self._entries(profile, at),
            "services": {one.key: list(one.domains) for one in choices.services if one.key in profile.services},
            "only": profile.only,
            "bypass": bypass,
            "rewrites": rewrites(profile, choices),
            "answer": profile.answer,
            "ipv4": basis.page[0] if page else profile.ipv4,
            "ipv6": basis.page[1] if page else profile.ipv6,
            "verdicts": basis.verdicts,
        }

    def _entries(self, profile: Profile, at: str) -> list[list[str]]:
        entries = self._basis.in_force.entries_of(profile.name, at)
        found = [["allow", self._basis.own, OWN]] if self._basis.own else []
        found += [["allow", domain, FILE] for domain in profile.allow]
        return [*found, *map(_row, entries)]

    def _with_own(self, key: str, own: tuple[Entry, ...]) -> str:
        """The policy of a client for whom there are entries: what they say of a domain counts before what the profile's
        entries say of it, or of what lies below one that they block; the page of the box stays open."""
        if not own:
            return key
        if (key, own) not in self._owned:
            part, said = self.parts[key], {one.domain for one in own}
            blocked = {one.domain for one in own if one.action == "block"}
            rest = [
                entry
                for entry in part["entries"]
                if entry[2] == OWN or not (entry[1] in said or not blocked.isdisjoint(with_parents(entry[1])))
            ]
            self._owned[key, own] = self._variant({**part, "entries": [*rest, *map(_row, own)]})
        return self._owned[key, own]

    def _variant(self, body: dict[str, Any]) -> str:
        key = f"{body['profile']}+{_digest(body)}"
        self.parts[key] = body
        return key

    def _with(self, key: str, merged: Merged) -> str:
        """The policy of a client for whom plugins want something."""
        if not merged.changes_rules:
            return key
        if (key, merged) not in self._variants:
            self._variants[key, merged] = self._variant(_overlaid(self.parts[key], merged))
        return self._variants[key, merged]

    def _shown_at(self, key: str, page: Pair | None) -> str:
        """The policy of a client who finds the page about blocked sites at another address of the box."""
        if page is None or self.parts[key]["answer"] != "page":
            return key
        if (key, page) not in self._pages:
            self._pages[key, page] = self._variant({**self.parts[key], "ipv4": page[0], "ipv6": page[1]})
        return self._pages[key, page]


def _row(entry: Entry) -> list[str]:
    return [entry.action, entry.domain, entry.id]


OWN, FILE, PLUGIN = "own", "file", "plugin"
"""Ids of entries that nobody made on a page: the box itself, the settings file, a plugin."""


def switched_on(profile: Profile, name: str, category: str) -> bool:
    """Whether a profile blocks a list: by its own switch, or by the switch of its category. Our own list of ways around
    the filter has a switch of its own kind, and no other."""
    if name == BYPASS:
        return profile.bypass or name in profile.lists
    return name in profile.lists or category in profile.categories


def rewrites(profile: Profile, choices: Choices) -> dict[str, str]:
    """Names that are answered by others: safe search, and how much YouTube hides."""
    found = dict(choices.safe_search or {}) if profile.safe_search else {}
    return found | dict((choices.youtube or {}).get(profile.youtube, {}))


def _overlaid(part: Mapping[str, Any], merged: Merged) -> dict[str, Any]:
    """A policy with what plugins want over it. A ban or an allow-list lesson is no trial run and waits for no pause."""
    own = [entry for entry in part["entries"] if entry[2] == OWN]
    if merged.everything:
        return {**part, "mode": "block", "entries": own, "only": True, "rewrites": {}}
    wanted = [["block", domain, PLUGIN] for domain in sorted(merged.block)]
    wanted += [["allow", domain, PLUGIN] for domain in sorted(merged.allow)]
    if merged.only:
        return {**part, "mode": "block", "entries": [*own, *wanted], "only": True}
    said = {entry[1] for entry in wanted}
    rest = [entry for entry in part["entries"] if entry[1] not in said or entry[0] == "block" or entry[2] == OWN]
    return {**part, "entries": [*rest, *wanted]}


def _digest(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
