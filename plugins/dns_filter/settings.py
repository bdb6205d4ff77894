"""The plugin's settings: ``plugins.dns_filter`` in appliance.yaml."""

from __future__ import annotations

import difflib
import ipaddress
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from appliance.api import Section, Wrong, WrongSettings, setting

from .domains import NotADomain, normalise
from .lists.formats import Format
from .policy import Answer, Mode
from .upstream import endpoint

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
EndpointText = Annotated[str, _checked(endpoint)]
Domain = Annotated[str, AfterValidator(_domain)]


class ListSettings(Section):
    """A list of domains to block."""

    name: Name = setting(..., "Name of the list, used in profiles and on pages: a-z, 0-9, - and _.")
    file: Path = setting(..., "The list itself. A relative path starts at the folder of the settings file.")
    format: Format = setting(
        "domains", "`domains`: one domain a line. `hosts`: a hosts file, `0.0.0.0 domain` on each line."
    )


class ProfileSettings(Section):
    """What one kind of device may look up."""

    name: Name = setting(..., "Name of the profile: a-z, 0-9, - and _.")
    mode: Mode = setting(
        "watch", "`watch`: block nothing and note what would have been blocked (trial run). `block`: block it."
    )
    block: tuple[str, ...] = setting((), "Names of the lists whose domains are blocked, with everything below them.")
    allow: tuple[Domain, ...] = setting(
        (), "Domains that stay open, with everything below them. A list that names a closer domain still wins."
    )
    answer: Answer = setting(
        "nxdomain",
        "What a device hears of a blocked name. `nxdomain`: there is no such name. `refused`: the server refuses. "
        "`address`: the addresses below.",
    )
    answer_ipv4: Annotated[str, _checked(_ipv4)] = setting(
        "0.0.0.0",  # noqa: S104  (an answer that leads nowhere, not a bind)
        "IPv4 address given for blocked names when `answer` is `address`.",
    )
    answer_ipv6: Annotated[str, _checked(_ipv6)] = setting(
        "::", "IPv6 address given for blocked names when `answer` is `address`."
    )


class Settings(Section):
    """The web filter: answers the name queries of the school's devices."""

    listen: tuple[AddressText, ...] = setting(
        ("0.0.0.0", "::"),  # noqa: S104  (devices all over the school ask; allow_from says who gets an answer)
        "Addresses to answer on. `0.0.0.0` and `::` stand for all addresses of this machine.",
    )
    port: int = setting(53, "Port to answer on, UDP and TCP.", trial=5300, ge=1, le=65535)
    upstreams: tuple[EndpointText, ...] = setting(
        (),
        "Name servers to ask, in this order: `address`, `address:port` or `[IPv6 address]:port`. "
        "Empty: the ones this machine itself uses.",
    )
    upstream_timeout: float = setting(
        2.0, "How long to wait for one name server before the next is asked.", unit="seconds", gt=0, le=30
    )
    allow_from: tuple[NetworkText, ...] = setting(
        LOCAL_NETWORKS, "Networks whose devices get answers; nobody else gets any, not even a refusal."
    )
    block_ttl: int = setting(
        60, "How long devices may remember that a name is blocked.", unit="seconds", ge=1, le=86400
    )
    lists: tuple[ListSettings, ...] = setting((), "Lists of domains to block.")
    profiles: tuple[ProfileSettings, ...] = setting(
        (ProfileSettings(name="pupil"), ProfileSettings(name="staff")), "What groups of devices may look up."
    )
    profile_of: dict[str, str] = setting({}, "Which group gets which profile: `group: profile`.")
    default_profile: str = setting("pupil", "Profile of every device that is in no group with a profile.")
    keep_days: int = setting(90, "How long the table of queries is kept.", unit="days", ge=1, le=3650)

    @model_validator(mode="after")
    def _names_refer_to_something(self, info: ValidationInfo) -> Self:
        found = [*self._names_used_twice(), *self._unknown_lists(), *self._unknown_profiles()]
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
                if name not in known:
                    yield _unknown(name, known, "list", ("profiles", number, "block", place))

    def _unknown_profiles(self) -> Iterator[Wrong]:
        known = [entry.name for entry in self.profiles]
        for group, name in self.profile_of.items():
            if name not in known:
                yield _unknown(name, known, "profile", ("profile_of", group))
        if self.default_profile not in known:
            yield _unknown(self.default_profile, known, "profile", ("default_profile",))


def _unknown(name: str, known: Iterable[str], what: str, at: tuple[str | int, ...]) -> Wrong:
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1)
    return Wrong(f"there is no {what} called {name!r}", at, ", ".join(names) or f"no {what} is defined", *nearest)
