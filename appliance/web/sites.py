"""Which site a request is for, by the host name in its address.

``staff.<domain>``, ``pupil.<domain>`` and ``endpoint.<domain>``. The bare domain, ``localhost`` and this machine's own
addresses lead to the staff site, because that is how a trial is opened from another machine.

A name of somebody else's that leads here is how DNS rebinding begins, and how the web filter shows why a site is
blocked. It leads to ``elsewhere``, a site that has no page but those made for that, knows no cookies, and is there only
while a plugin has such pages; otherwise the name is refused. Names below our own domain are never somebody else's.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import get_args

from aiohttp import web
from aiohttp.web_urldispatcher import AbstractRuleMatching, _InfoDict

from appliance.hookspecs import Elsewhere, Site

SITES: tuple[Site, ...] = get_args(Site)
ELSEWHERE: Elsewhere = "elsewhere"

_FOREIGN = re.compile(r"(?=.{1,253}\Z)([a-z0-9_-]{1,63}\.)+(?!-)[a-z][a-z0-9-]{0,62}")
"""A host name as browsers send it (RFC 1123, with the underscore that some sites have); never an address."""


class Hosts:
    """The host names that this appliance answers to."""

    def __init__(self, domain: str, *, elsewhere: bool = False) -> None:
        """``elsewhere``: whether there are pages for host names of others."""
        bare = domain.lower().rstrip(".")
        named: Mapping[str, Site] = {f"{site}.{bare}": site for site in SITES}
        self._sites: Mapping[str, Site] = {"localhost": "staff", bare: "staff", **named}
        self._own = (bare, "localhost")
        self._elsewhere = elsewhere

    def is_elsewhere(self, host: str) -> bool:
        """Whether a ``Host`` header names somebody else's host and there are pages for such."""
        name = host_name(host)
        below_us = any(name == own or name.endswith(f".{own}") for own in self._own)
        return self._elsewhere and not below_us and _FOREIGN.fullmatch(name) is not None

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


def site_of(request: web.BaseRequest, hosts: Hosts) -> Site | Elsewhere | None:
    """The site that a request is for; ``None`` if it names no host that leads anywhere, or more than one.

    A whole address as the target of a request (RFC 9112 section 3.2.2) must name the same host as the header.
    """
    named = request.headers.getall("Host", [])
    if len(named) != 1 or host_name(request.host) != host_name(named[0]):
        return None
    own = hosts.site(named[0], own_address(request))
    return ELSEWHERE if own is None and hosts.is_elsewhere(named[0]) else own


class SiteRule(AbstractRuleMatching):
    """Leads requests for one site to that site's own routes, so that no other site's route can answer them."""

    def __init__(self, site: Site | Elsewhere, hosts: Hosts) -> None:
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
