"""The school's own entries: what may be allowed or blocked, and what is worth a warning. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from appliance.api import Target

from ..domains import SHARED_ENDINGS, NotADomain, normalise, with_parents
from .model import ServiceChoice

BROAD = frozenset({
    "google.com", "google.co.uk", "googleapis.com", "gstatic.com", "googleusercontent.com", "microsoft.com",
    "office.com", "live.com", "windows.net", "azure.com", "amazon.com", "amazonaws.com", "cloudfront.net",
    "apple.com", "icloud.com", "cloudflare.com", "cloudflare.net", "akamai.net", "akamaiedge.net", "akamaized.net",
    "fastly.net", "fbcdn.net", "github.io", "wordpress.com", "blogspot.com", "wixsite.com", "weebly.com",
    "sharepoint.com", "windows.com",
})  # fmt: skip
"""Domains that very many pages need or that hold pages of very many people."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A domain with everything below it. ``profile``: ``""`` for all; ``until``: a stamp, or ``None``.

    ``for_whom``: somebody for whom it counts instead, whatever their profile is.
    """

    id: str
    action: str
    domain: str
    profile: str
    author: str
    reason: str
    made_at: str
    until: str | None = None
    for_whom: Target | None = None


def host_in(text: str) -> str:
    """The host in what people paste: ``https://www.example.org/page?x`` -> ``www.example.org``."""
    plain = text.strip()
    if "://" in plain:
        plain = plain.partition("://")[2]
    plain = plain.replace("\\", "/").partition("/")[0].partition("?")[0].partition("#")[0].rpartition("@")[2]
    host, colon, port = plain.rpartition(":")
    plain = host if colon and port.isdigit() and ":" not in host else plain
    return plain.removeprefix("*.").removeprefix(".")


def read_domain(text: str) -> tuple[str, str]:
    """The domain that somebody typed, and what is wrong with it in words; one of the two is empty."""
    if not text.strip():
        return "", "Type the domain, such as example.org."
    try:
        domain = normalise(host_in(text))
    except NotADomain as error:
        return "", f"This {error}. Type the domain alone, such as example.org."
    if domain in SHARED_ENDINGS:
        return "", f"{domain} is an ending that very many sites share. Type the whole domain, such as example.{domain}."
    return domain, ""


def refusal(action: str, domain: str, exempt: Collection[str]) -> str:
    """Why an entry cannot be made, in words; ``""`` if it can. ``exempt``: hosts where pupils look for help."""
    if action not in ("allow", "block"):
        return "Choose whether the site is allowed or blocked."
    place = next((host for host in with_parents(domain) if host in exempt), "")
    if place and action == "block":
        return (
            f"{place} is a place where pupils look for help. It is never blocked, listed or counted, so this entry "
            "would do nothing."
        )
    if place:
        return f"{place} is a place where pupils look for help. It is open for everybody already."
    return ""


def whole_site(domain: str) -> str:
    """The domain of the whole site to which a name belongs, itself if it is that, or one that many sites share."""
    parents = list(with_parents(domain))
    top = next((place for place, name in enumerate(parents) if name in SHARED_ENDINGS or "." not in name), 0)
    site = parents[max(top - 1, 0)]
    return domain if site in BROAD else site


def advice(action: str, domain: str, services: Iterable[ServiceChoice]) -> list[str]:
    """What stays open although somebody who blocks this name may think that it is blocked."""
    if action != "block":
        return []
    site, found = whole_site(domain), []
    if site != domain:
        found.append(f"This blocks {domain} alone: {site} and other names below it stay open.")
    for service in services:
        others = [one for one in service.domains if one != site]
        if others and any(one in service.domains for one in with_parents(domain)):
            found.append(
                f"{service.title} is reached by other names too, such as {others[0]}. To block all of it, switch on "
                f"“{service.title}” under “Blocked services” of a profile."
            )
    return found


def warnings(action: str, domain: str, locked: Iterable[str], exempt: Collection[str]) -> list[str]:
    """What somebody should know who makes this entry. ``locked``: titles of locked lists that name the domain."""
    found = []
    if domain in BROAD:
        what = "opens" if action == "allow" else "stops"
        found.append(f"{domain} is broad: very many sites and apps need it or lie below it. This {what} all of them.")
    below = next((host for host in exempt if host.endswith(f".{domain}")), "")
    if below and action == "block":
        found.append(f"{below} lies below it and stays open: pupils look for help there.")
    if action == "allow":
        found += [f"The locked list {title} blocks it. No entry opens what a locked list blocks." for title in locked]
    return found
