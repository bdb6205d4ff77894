"""Name servers and services that are known to carry devices past the filter: read from ``resolvers.yaml``."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from appliance.api import Section, read_text, section_of, setting

from ..lists.shipped import bypass

NAME_SERVERS = "name_servers"
"""The group of ways around that are encrypted name servers; the others are VPNs, relays and proxies."""
SUPPLIED = Path(__file__).parent / "resolvers.yaml"
Title = Annotated[str, Field(min_length=1, max_length=60)]
Host = Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$")]


class Resolver(Section):
    """Who answers anybody's name queries."""

    title: Title = setting(..., "What it is called on pages.")
    addresses: tuple[str, ...] = setting((), "Addresses of its plain name servers.")
    names: tuple[Host, ...] = setting((), "Hosts of its encrypted service, with everything below them.")


class KnownFile(Section):
    """The file."""

    resolvers: tuple[Resolver, ...] = setting(..., "Name servers that answer anybody.")


@dataclass(frozen=True, slots=True)
class Known:
    """``resolvers``: address -> title. ``services``: host -> how it goes around. ``titles``: host -> title."""

    resolvers: Mapping[str, str] = field(default_factory=dict)
    services: Mapping[str, Literal["doh", "vpn"]] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)

    def title(self, to: str) -> str:
        """What an address or a host is called; empty if it is not known."""
        return self.resolvers.get(to) or self.titles.get(to, "")

    def with_resolvers(self, addresses: Iterable[str]) -> Known:
        """The same with further name servers that the school knows of."""
        more = dict.fromkeys(addresses, "named in the settings")
        return Known({**more, **self.resolvers}, self.services, self.titles)


@cache
def supplied() -> Known:
    """What the files say: this room's, and the names of the list of ways around."""
    found, _ = section_of(read_text(SUPPLIED), SUPPLIED, KnownFile)
    services: dict[str, Literal["doh", "vpn"]] = {}
    titles: dict[str, str] = {}
    for group in bypass().groups:
        services |= dict.fromkeys(group.domains, "doh" if group.key == NAME_SERVERS else "vpn")
        titles |= dict.fromkeys(group.domains, group.title)
    for one in found.resolvers:
        services |= dict.fromkeys(one.names, "doh")
        titles |= dict.fromkeys(one.names, one.title)
    addresses = {str(ipaddress.ip_address(address)): one.title for one in found.resolvers for address in one.addresses}
    return Known(addresses, services, titles)
