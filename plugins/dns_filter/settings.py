"""The plugin's settings: ``plugins.dns_filter`` in appliance.yaml."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationInfo, field_validator, model_validator

from appliance.api import Section, Wrong, WrongSettings, setting

from .domains import NotADomain, normalise
from .lists.list_settings import ListSettings, ProxyText
from .lists.shipped import categories, services
from .network.settings import SnifferSettings
from .profiles.upstreams import local_record, local_records, upstream, zone

BUILT_IN = ("pupil", "staff", "guest")
"""Profiles that exist from the start, whatever the settings file says."""

PROFILE_OF_PEOPLE = MappingProxyType({"pupil": "pupil", "staff": "staff", "governor": "staff", "guest": "guest"})
"""What people are in the directory -> their profile, unless the settings say otherwise."""

LOCAL_NETWORKS = (
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "169.254.0.0/16",
    "fe80::/10",
    "fc00::/7",
)
"""Loopback, private networks (RFC 1918), link-local addresses and unique local addresses (RFC 4193)."""


def _checked(check: Callable[[str], object]) -> AfterValidator:
    """Let ``check`` refuse a text by raising ``ValueError``; the text itself stays as it was written."""

    def keep(text: str) -> str:
        check(text)
        return text

    return AfterValidator(keep)


def _ipv4(text: str) -> None:
    if ipaddress.ip_address(text).version != 4:
        raise ValueError(f"{text!r} is not an IPv4 address")


def _ipv6(text: str) -> None:
    if ipaddress.ip_address(text).version != 6:
        raise ValueError(f"{text!r} is not an IPv6 address")


def _domain(text: str) -> str:
    try:
        return normalise(text)
    except NotADomain as error:
        raise ValueError(f"{text!r} {error}") from None


Name = Annotated[str, Field(pattern=r"^[a-z0-9_-]{1,40}$")]
AddressText = Annotated[str, _checked(ipaddress.ip_address)]
NetworkText = Annotated[str, _checked(ipaddress.ip_network)]
UpstreamText = Annotated[str, _checked(upstream)]
ZoneText = Annotated[str, AfterValidator(zone)]
LocalRecord = Annotated[str, _checked(local_record)]
Domain = Annotated[str, AfterValidator(_domain)]


Mode = Literal["watch", "block", "off"]
Answer = Literal["page", "nxdomain", "refused", "address"]
YouTube = Literal["off", "moderate", "strict"]
LogDetail = Literal["full", "no_person", "no_device", "off"]
PersonKind = Literal["pupil", "staff", "governor", "guest"]


class ProfileSettings(Section):
    """What one kind of people or device may open. What is left out of `pupil`, `staff` and `guest` is as these come, or
    as it was set on the page of the profile; what is written here counts, and the page shows it only."""

    name: Name = setting(..., "Name of the profile: a-z, 0-9, - and _.")
    mode: Mode = setting(
        "watch",
        "`watch`: block nothing and note what would have been blocked (trial run). `block`: block it. `off`: neither. "
        "Locked lists block in any case.",
    )
    categories: tuple[Name, ...] = setting((), "Categories of websites that are blocked, such as `adult`, `gambling`.")
    services: tuple[Name, ...] = setting((), "Services that are blocked, such as `youtube`, `tiktok`, `chatgpt`.")
    block: tuple[str, ...] = setting(
        (), "Names of single lists whose domains are blocked, with everything below them, beside those of categories."
    )
    allow: tuple[Domain, ...] = setting(
        (), "Domains that stay open, with everything below them. A list that names a closer domain still wins."
    )
    safe_search: bool = setting(False, "Search engines show safe results only.")
    youtube: YouTube = setting("off", "How much YouTube hides: `strict`, `moderate`, or `off` for nothing.")
    only: bool = setting(False, "Nothing is open but what is allowed, here or by an entry of the school.")
    bypass: bool = setting(
        True, "Block known ways around the filter, and tell browsers not to use name servers of their own."
    )
    answer: Answer = setting(
        "page",
        "What a device hears of a blocked name. `page`: the address of the page that says why. `nxdomain`: there is no "
        "such name. `refused`: the server refuses. `address`: the addresses below.",
    )
    answer_ipv4: Annotated[str, _checked(_ipv4)] = setting(
        "0.0.0.0",  # noqa: S104  (an answer that leads nowhere, not a bind)
        "IPv4 address given for blocked names when `answer` is `address`.",
    )
    answer_ipv6: Annotated[str, _checked(_ipv6)] = setting(
        "::", "IPv6 address given for blocked names when `answer` is `address`."
    )


class ZoneSettings(Section):
    """A zone of the school's own, such as that of its domain controllers."""

    zone: ZoneText = setting(..., "The zone: `school.internal`, or `10.in-addr.arpa` for names of addresses.")
    servers: tuple[UpstreamText, ...] = setting(..., "Name servers to ask for it, as in `upstreams`.", min_length=1)


class RateSettings(Section):
    """How much one device may ask over UDP."""

    per_second: int = setting(200, "Questions of one device each second.", ge=1, le=1_000_000)
    burst: int = setting(400, "Questions of one device at once.", ge=1, le=1_000_000)


class CacheSettings(Section):
    """What is remembered of answers."""

    entries: int = setting(20_000, "How many answers are remembered; 0: none.", ge=0, le=500_000)
    min_ttl: int = setting(0, "Shortest time an answer is remembered.", unit="seconds", ge=0, le=3600)
    max_ttl: int = setting(3600, "Longest time an answer is remembered.", unit="seconds", ge=1, le=604_800)
    negative_ttl: int = setting(
        300, "Longest time that something is remembered not to exist.", unit="seconds", ge=1, le=86_400
    )
    stale_seconds: int = setting(
        86_400,
        "How long an answer that is out of date is still given while no name server answers; 0: never.",
        unit="seconds",
        ge=0,
        le=604_800,
    )
    prefetch: bool = setting(True, "Ask again for names that are asked often, before their answers are out of date.")


class Settings(Section):
    """The web filter: answers the name queries of the school's devices."""

    listen: tuple[AddressText, ...] = setting(
        ("0.0.0.0", "::"),  # noqa: S104  (devices all over the school ask; allow_from says who gets an answer)
        "Addresses to answer on. `0.0.0.0` and `::` stand for all addresses of this machine.",
    )
    port: int = setting(53, "Port to answer on, UDP and TCP.", trial=5300, ge=1, le=65535)
    upstreams: tuple[UpstreamText, ...] = setting(
        (),
        "Name servers to ask, in this order: `address`, `address:port` or `[IPv6 address]:port`; over TLS "
        "`tls://NAME@ADDRESS`, where NAME is the one in its certificate. Empty: the ones this machine itself uses.",
    )
    upstream_timeout: float = setting(
        2.0, "How long to wait for one name server before the next is asked.", unit="seconds", gt=0, le=30
    )
    allow_from: tuple[NetworkText, ...] = setting(
        LOCAL_NETWORKS, "Networks whose devices get answers; nobody else gets any, not even a refusal."
    )
    zones: tuple[ZoneSettings, ...] = setting(
        (), "Zones that name servers of the school answer for: `zone`, `servers`. They may have private addresses."
    )
    local_records: tuple[LocalRecord, ...] = setting(
        (),
        "Names that this box answers for itself, one a line: `printer.school.internal 300 IN A 10.0.0.9`. Types: A, "
        "AAAA, CNAME, PTR, TXT.",
    )
    private_names: tuple[Domain, ...] = setting(
        (),
        "Domains outside of `zones` that may have private addresses. Other names that lead into the school's own "
        "network are not answered.",
    )
    rate: RateSettings = Field(default_factory=RateSettings, description="How much one device may ask over UDP.")
    cache: CacheSettings = Field(default_factory=CacheSettings, description="What is remembered of answers.")
    sniffer: SnifferSettings = Field(
        default_factory=SnifferSettings, description="Listening on the network for devices that ask others."
    )
    processes: int = setting(1, "Processes that answer. More than one helps on a box with cores to spare.", ge=1, le=16)
    block_ttl: int = setting(
        60, "How long devices may remember that a name is blocked.", unit="seconds", ge=1, le=86400
    )
    lists: tuple[ListSettings, ...] = setting((), "Lists of domains to block.")
    lists_proxy: ProxyText = setting(
        "", "Proxy for fetching lists, such as `http://proxy.school.internal:3128`. Empty: none."
    )
    lists_max_mb: int = setting(
        1000, "Largest list: what is fetched, and what it unpacks to.", unit="megabytes", ge=1, le=20_000
    )
    lists_private_hosts: tuple[str, ...] = setting(
        (),
        "Hosts within the school, by name or address, that lists may be fetched from. No other private address is "
        "asked.",
    )
    locked_lists: Path = setting(
        Path("locked-lists"),
        "Folder with lists that a provider hands over and that nobody can switch off. It belongs to root.",
    )
    profiles: tuple[ProfileSettings, ...] = setting(
        (ProfileSettings(name="pupil"), ProfileSettings(name="staff"), ProfileSettings(name="guest")),
        "What people and devices may open. `pupil`, `staff` and `guest` are always there.",
        page=False,
    )
    profile_of_people: dict[PersonKind, str] = setting(
        dict(PROFILE_OF_PEOPLE),
        "Which profile people have who are signed in on a device, by what they are in the directory. Pupils and staff "
        "never have the same one.",
    )
    profile_of: dict[str, str] = setting({}, "Which group gets which profile: `group: profile`.")
    default_profile: str = setting("pupil", "Profile of every device that is in no group with a profile.")
    full_days: int = setting(
        7,
        "How long every query is kept in full. After that, only which site, when first and last.",
        unit="days",
        ge=1,
        le=90,
    )
    keep_days: int = setting(
        90, "How long it is kept which sites were asked for, after the full rows.", unit="days", ge=1, le=3650
    )
    log_detail: LogDetail = setting(
        "full",
        "How much is kept of each query. `full`: person, device and name. `no_person`: no person. `no_device`: neither "
        "person nor device, only the group. `off`: only how much was answered and blocked. It counts from the change "
        "on.",
    )
    requests_keep_days: int = setting(
        90,
        "How long it is kept that somebody asked for a blocked site, after it was decided.",
        unit="days",
        ge=1,
        le=400,
    )
    remind_check_days: int = setting(
        35, "After how long without a check by a person the status page reminds of one.", unit="days", ge=1, le=400
    )

    @field_validator("profiles")
    @classmethod
    def _some_are_always_there(cls, profiles: tuple[ProfileSettings, ...]) -> tuple[ProfileSettings, ...]:
        named = {profile.name for profile in profiles}
        return (*profiles, *(ProfileSettings(name=name) for name in BUILT_IN if name not in named))

    @field_validator("local_records")
    @classmethod
    def _records_go_together(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        local_records(lines)
        return lines

    @model_validator(mode="after")
    def _names_refer_to_something(self, info: ValidationInfo) -> Self:
        found = [*self._names_used_twice(), *self._unknown_lists(), *self._unknown_profiles()]
        found += [*self._unknown_switches(), *self._one_for_all()]
        groups = (info.context or {}).get("groups")
        if groups is not None:
            found += [
                _unknown(group, groups, "group", ("profile_of", group))
                for group in self.profile_of
                if group not in groups
            ]
        if found:
            raise WrongSettings(*found)
        return self

    def _names_used_twice(self) -> Iterator[Wrong]:
        for key, entries in (("lists", self.lists), ("profiles", self.profiles)):
            names = [entry.name for entry in entries]
            for number, name in enumerate(names):
                if name in names[:number]:
                    yield Wrong(f"the name {name!r} is used twice", (key, number, "name"), "a name of its own")

    def _unknown_lists(self) -> Iterator[Wrong]:
        known = [entry.name for entry in self.lists]
        for number, profile in enumerate(self.profiles):
            for place, name in enumerate(profile.block):
                if name not in known and not name.startswith(_several(self.lists)):
                    yield _unknown(name, known, "list", ("profiles", number, "block", place))

    def _unknown_profiles(self) -> Iterator[Wrong]:
        known = [entry.name for entry in self.profiles]
        for field in ("profile_of", "profile_of_people"):
            for key, name in getattr(self, field).items():
                if name not in known:
                    yield _unknown(name, known, "profile", (field, key))
        if self.default_profile not in known:
            yield _unknown(self.default_profile, known, "profile", ("default_profile",))

    def _unknown_switches(self) -> Iterator[Wrong]:
        known = {"categories": list(categories()), "services": [each.key for each in services()]}
        for number, profile in enumerate(self.profiles):
            for field, names in known.items():
                for place, name in enumerate(getattr(profile, field)):
                    if name not in names:
                        what = {"categories": "category", "services": "service"}[field]
                        yield _unknown(name, names, what, ("profiles", number, field, place))

    def _one_for_all(self) -> Iterator[Wrong]:
        if self.profile_of_person("pupil") == self.profile_of_person("staff"):
            name = self.profile_of_person("pupil")
            message = f"pupils and staff would have the same profile, {name}; one profile for all is not allowed"
            yield Wrong(message, ("profile_of_people",), "another one for staff")

    def profile_of_person(self, kind: str) -> str:
        """The profile of somebody for whom nothing else was chosen; ``kind`` as in the directory."""
        chosen: dict[str, str] = {**PROFILE_OF_PEOPLE, **dict(self.profile_of_people.items())}
        return chosen.get(kind, self.default_profile)


def _several(lists: Iterable[ListSettings]) -> tuple[str, ...]:
    """How the names of lists begin that a folder or an archive turns into several."""
    return tuple(f"{each.name}-" for each in lists if each.folder is not None or each.format == "ut1")


def _unknown(name: str, known: Iterable[str], what: str, at: tuple[str | int, ...]) -> Wrong:
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1)
    return Wrong(f"there is no {what} called {name!r}", at, ", ".join(names) or f"no {what} is defined", *nearest)
