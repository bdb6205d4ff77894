"""Which site a request is for, by the host name in its address.

``staff.<domain>``, ``pupil.<domain>`` and ``endpoint.<domain>``. The bare domain, ``localhost`` and this machine's own
addresses lead to the staff site, because that is how a trial is opened from another machine. Any other name is
refused: a name of somebody else's that leads here is how DNS rebinding begins.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import get_args

from aiohttp import web
from aiohttp.web_urldispatcher import AbstractRuleMatching, _InfoDict

from appliance.hookspecs import Site

SITES: tuple[Site, ...] = get_args(Site)


class Hosts:
    """The host names that this appliance answers to."""

    def __init__(self, domain: str) -> None:
        bare = domain.lower().rstrip(".")
        named: Mapping[str, Site] = {f"{site}.{bare}": site for site in SITES}
        self._sites: Mapping[str, Site] = {"localhost": "staff", bare: "staff", **named}

    def site(self, host: str, own_address: str) -> Site | None:
        """The site of a ``Host`` header; ``None`` for a name that is not ours.

        ``own_address``: the address of this machine that the connection came in at. An address in the header must be
        that one, or a loopback address (a container's port is often passed on from there).
        """
        name = host_name(host)
        if name in self._sites:
            return self._sites[name]
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return None
        if address.is_loopback or address == _address(own_address):
            return "staff"
        return None


def host_name(host: str) -> str:
    """The name or address of a ``Host`` header (RFC 9110 section 7.2): lower case, without port, dot and brackets."""
    text = host.strip().lower()
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0].removesuffix(".")


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None


def own_address(request: web.BaseRequest) -> str:
    """The address of this machine that a request came in at; empty when the connection is gone."""
    name = request.get_extra_info("sockname")
    return str(name[0]) if isinstance(name, tuple) and name else ""


def site_of(request: web.BaseRequest, hosts: Hosts) -> Site | None:
    """The site that a request is for; ``None`` if it names no host of ours, or more than one.

    A whole address as the target of a request (RFC 9112 section 3.2.2) must name the same host as the header.
    """
    named = request.headers.getall("Host", [])
    if len(named) != 1 or host_name(request.host) != host_name(named[0]):
        return None
    return hosts.site(named[0], own_address(request))


class SiteRule(AbstractRuleMatching):
    """Leads requests for one site to that site's own routes, so that no other site's route can answer them."""

    def __init__(self, site: Site, hosts: Hosts) -> None:
        self._site = site
        self._hosts = hosts

    @property
    def canonical(self) -> str:
        """The name of the site, for aiohttp's listings."""
        return self._site

    async def match(self, request: web.Request) -> bool:
        """Whether the request is for this site."""
        return site_of(request, self._hosts) == self._site

    def get_info(self) -> _InfoDict:
        """For aiohttp's listings."""
        return {"domain": self._site}
