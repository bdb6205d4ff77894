"""What a profile says at a moment: what it came with, what pages changed, and what the settings file fixes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from ..settings import BUILT_IN, ProfileSettings

PREFIXES: Mapping[str, str] = {"category": "categories", "service": "services", "list": "block"}
"""Switches of one thing each (``category:adult``) -> the setting that holds all of them."""
CHOICES: Mapping[str, tuple[str, ...]] = {
    "mode": ("watch", "block", "off"),
    "youtube": ("off", "moderate", "strict"),
    "answer": ("page", "nxdomain", "refused"),
    "safe_search": ("on", "off"),
    "only": ("on", "off"),
    "bypass": ("on", "off"),
}
"""Every other switch -> what it may be set to on a page."""

AI_GROUP = "AI chat"
"""The group of services that talk by themselves: shut for pupils and guests unless the school opens some of them."""
UNSAFE_SEARCH = "unsafe_search"
"""The service of search engines that have no safe mode: shut where the others are made safe, unless the school says
otherwise of it."""
_HARM = ("child_abuse", "terrorism", "hate", "self_harm", "eating_disorders", "adult", "strangers", "dating", "drugs")
_PUPILS = (*_HARM, "weapons", "violence", "alcohol_tobacco", "gambling", "hacking", "piracy", "cheating", "ai_chat")
_EVERYBODY = ("child_abuse", "terrorism", "adult", "bypass", "malware", "phishing")
TITLES: Mapping[str, str] = {"pupil": "Pupils", "staff": "Staff", "guest": "Guests"}


@dataclass(frozen=True, slots=True)
class ServiceChoice:
    """A service that profiles can block, with its domains."""

    key: str
    title: str
    group: str
    note: str
    domains: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CategoryChoice:
    """A category of websites."""

    key: str
    title: str
    about: str


@dataclass(frozen=True, slots=True)
class ListChoice:
    """A list as profiles know it. ``locked``: nobody can switch it off."""

    name: str
    title: str
    category: str
    locked: bool = False
    names: int = 0


@dataclass(frozen=True, slots=True)
class Choices:
    """All that profiles can choose from, and where SafeSearch leads. ``table``: the compiled names of all lists."""

    categories: tuple[CategoryChoice, ...] = ()
    services: tuple[ServiceChoice, ...] = ()
    lists: tuple[ListChoice, ...] = ()
    safe_search: Mapping[str, str] | None = None
    youtube: Mapping[str, Mapping[str, str]] | None = None
    table: str = ""

    def knows(self, switch: str, value: str) -> bool:
        """Whether a switch is there and may be set to this."""
        kind, _, key = switch.partition(":")
        if kind not in PREFIXES:
            return value in CHOICES.get(switch, ())
        found: Iterable[str] = {
            "category": (one.key for one in self.categories),
            "service": (one.key for one in self.services),
            "list": (one.name for one in self.lists),
        }[kind]
        return value in ("on", "off") and key in set(found)

    def title(self, switch: str) -> str:
        """What a switch is called on pages."""
        kind, _, key = switch.partition(":")
        titles = {
            "category": {one.key: one.title for one in self.categories},
            "service": {one.key: one.title for one in self.services},
            "list": {one.name: one.title or one.name for one in self.lists},
        }.get(kind, _SWITCH_TITLES)
        return titles.get(key or kind, key or kind)


_SWITCH_TITLES: Mapping[str, str] = {
    "mode": "What it does",
    "youtube": "YouTube",
    "answer": "What a device hears of a blocked site",
    "safe_search": "Safe results of search engines",
    "only": "Only what is allowed",
    "bypass": "Ways around the filter",
}


@dataclass(frozen=True, slots=True)
class Change:
    """A switch that somebody set on a page. ``until``: a stamp, or ``None`` for no end."""

    id: str
    profile: str
    switch: str
    value: str
    author: str
    reason: str
    set_at: str
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """What a profile says. ``fixed``: settings that the file fixes, by their names."""

    name: str
    title: str
    mode: str = "watch"
    categories: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()
    lists: frozenset[str] = frozenset()
    allow: tuple[str, ...] = ()
    safe_search: bool = False
    youtube: str = "off"
    only: bool = False
    bypass: bool = True
    answer: str = "page"
    ipv4: str = "0.0.0.0"  # noqa: S104  (an answer that leads nowhere, not a bind)
    ipv6: str = "::"
    fixed: frozenset[str] = frozenset()

    def fixes(self, switch: str) -> bool:
        """Whether the settings file decides this switch."""
        kind = switch.partition(":")[0]
        return PREFIXES.get(kind, kind) in self.fixed

    def has(self, switch: str) -> str:
        """What a switch is set to."""
        kind, _, key = switch.partition(":")
        if kind in PREFIXES:
            held = {"category": self.categories, "service": self.services, "list": self.lists}[kind]
            return "on" if key in held else "off"
        value = getattr(self, kind)
        return ("on" if value else "off") if isinstance(value, bool) else str(value)

    @property
    def gaps(self) -> tuple[str, ...]:
        """Ways past it that it leaves open, in words. Where only chosen sites open, or nothing is blocked, there are
        none to speak of."""
        if self.only or self.mode == "off":
            return ()
        ways = ((self.safe_search, "search engines may show unsafe results"), (self.bypass, "ways around it are open"))
        return tuple(words for is_shut, words in ways if not is_shut)

    def opens_beyond(self, other: Profile) -> bool:
        """Whether this one lets something through that the other stops, or stops less of it at this moment."""
        milder = ("block", "watch", "off").index
        if milder(self.mode) > milder(other.mode) or (other.only and not self.only):
            return True
        if self.only:
            return False
        rank = CHOICES["youtube"].index
        switches = (other.safe_search > self.safe_search, other.bypass > self.bypass)
        shut, was_shut = (one.categories | one.services | one.lists for one in (self, other))
        return any(switches) or rank(self.youtube) < rank(other.youtube) or not was_shut <= shut

    def strictness(self) -> tuple[bool, int, bool, int, bool, str]:
        """Grows with what it blocks, whether it is a trial run or not. The name makes an order of equals."""
        rank = CHOICES["youtube"].index(self.youtube)
        blocked = len(self.categories) + len(self.services) + len(self.lists)
        return (self.only, blocked, self.safe_search, rank, self.bypass, self.name)


def as_it_comes(name: str, choices: Choices) -> Profile:
    """A profile that nobody has changed: pupil, staff and guest have their own beginnings, all others block nothing."""
    title = TITLES.get(name, name.replace("_", " ").replace("-", " ").capitalize())
    known = {one.key for one in choices.categories}
    if name not in BUILT_IN:
        return Profile(name, title)
    if name == "staff":
        return Profile(name, title, categories=frozenset(_EVERYBODY) & known)
    talking = frozenset(one.key for one in choices.services if one.group == AI_GROUP)
    harmful = frozenset({*_PUPILS, *_EVERYBODY}) & known
    return Profile(name, title, "watch", harmful, talking, safe_search=True, youtube="moderate")


def profile_of(written: ProfileSettings, changes: Sequence[Change], choices: Choices) -> Profile:
    """What a profile says. ``changes``: those in force, the oldest first; the settings file wins over all of them."""
    found = as_it_comes(written.name, choices)
    for change in changes:
        found = with_switch(found, change.switch, change.value)
    found = _fixed(found, written)
    is_said = "services" in found.fixed or any(change.switch == f"service:{UNSAFE_SEARCH}" for change in changes)
    return found if is_said else _with_safe_search(found, choices)


def _with_safe_search(profile: Profile, choices: Choices) -> Profile:
    """Safe results are of little use while an engine without them is one click away."""
    if not profile.safe_search or all(one.key != UNSAFE_SEARCH for one in choices.services):
        return profile
    return replace(profile, services=profile.services | {UNSAFE_SEARCH})


def made_milder(profile: Profile, switches: Mapping[str, str]) -> list[str]:
    """Those of the switches through which more would be let through than now; none if all together open nothing."""
    after = profile
    for switch, value in switches.items():
        after = with_switch(after, switch, value)
    if not after.opens_beyond(profile):
        return []
    return [one for one, value in switches.items() if with_switch(profile, one, value).opens_beyond(profile)]


def with_switch(profile: Profile, switch: str, value: str) -> Profile:
    """The profile with one switch set."""
    kind, _, key = switch.partition(":")
    held = {"category": profile.categories, "service": profile.services, "list": profile.lists}.get(kind)
    if held is not None:
        field = "lists" if kind == "list" else PREFIXES[kind]
        return replace(profile, **{field: held | {key} if value == "on" else held - {key}})  # type: ignore[arg-type]
    if kind in ("safe_search", "only", "bypass"):
        return replace(profile, **{kind: value == "on"})  # type: ignore[arg-type]
    return replace(profile, **{kind: value})  # type: ignore[arg-type]


def _fixed(profile: Profile, written: ProfileSettings) -> Profile:
    said = written.model_fields_set
    found = replace(
        profile,
        fixed=frozenset(said - {"name"}),
        allow=written.allow,
        ipv4=written.answer_ipv4,
        ipv6=written.answer_ipv6,
    )
    for field in ("mode", "safe_search", "youtube", "only", "bypass", "answer"):
        if field in said:
            found = replace(found, **{field: getattr(written, field)})
    if "categories" in said:
        found = replace(found, categories=frozenset(written.categories))
    if "services" in said:
        found = replace(found, services=frozenset(written.services))
    if "block" in said:
        found = replace(found, lists=frozenset(written.block))
    return found


def mildest_first(profiles: Iterable[Profile]) -> list[Profile]:
    """From the mildest to the strictest, as the core's resolver wants its options."""
    return sorted(profiles, key=Profile.strictness)
