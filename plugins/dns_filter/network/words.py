"""What pages and alerts say of ways around the filter."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from .known import Known
from .store import Attempt, Guide

WAYS: Mapping[str, str] = {
    "resolver": "Asks another name server",
    "encrypted": "Asks another name server, encrypted (port 853)",
    "doh": "Uses an encrypted name service",
    "vpn": "Opens a VPN, relay or proxy service",
    "tunnel": "Begins a VPN",
}
SURE: Mapping[str, str] = {
    "resolver": "Certain: the question itself was seen",
    "encrypted": "Nearly certain: nothing else uses this port",
    "doh": "Likely: the service was opened by its name or address",
    "vpn": "Perhaps: the service was opened, or only its website",
    "tunnel": "Likely: the first packet looks like it",
}
GAPS: Mapping[str, str] = {
    "resolver": "names that this device asks elsewhere are neither blocked nor in the query log",
    "encrypted": "names that this device asks elsewhere are neither blocked nor in the query log",
    "doh": "names that it asks there are neither blocked nor in the query log",
    "vpn": "nothing that goes through such a service is blocked or in the query log",
    "tunnel": "nothing that goes through a VPN is blocked or in the query log",
}
GUIDES: Mapping[str, str] = {
    "dhcp": "DHCP server",
    "router": "IPv6 router",
    "dhcp6": "DHCPv6 server",
}
AROUND = "A device goes around the web filter"
MANY_AROUND = "Several devices go around the web filter"
_NAMED_MOST = 5


def where(to: str, known: Known) -> str:
    """An address or a host, and whose it is."""
    title = known.title(to)
    return f"{to} ({title})" if title else to


def about_device(name: str, attempts: Sequence[Attempt], known: Known, since: str) -> str:
    """An alert about one device: which, what, since when, how often, and what the filter does not see."""
    what = "; ".join(
        f"{WAYS[one.way].lower()}: {where(one.to, known)}, {times(one.count)}" for one in attempts[:_NAMED_MOST]
    )
    more = len(attempts) - _NAMED_MOST
    gaps = dict.fromkeys(GAPS[one.way] for one in attempts)
    return (
        f"{name}, since {since}: {what}{f'; and {more} more' if more > 0 else ''}."
        f" For the safeguarding lead: while this goes on, {'; '.join(gaps)}. What the browser extension sees is not"
        " affected. For IT: the page “Network” of the web filter says what to do."
    )


def about_many(number: int) -> str:
    """An alert for all devices that have none of their own."""
    return (
        f"{number} further devices go around the web filter. For the safeguarding lead: what they open on these ways is"
        " neither blocked nor in the query log. For IT: the page “Network” of the web filter lists them. Close port 53"
        " and 853 to everybody but this box on the school’s firewall."
    )


def times(count: int) -> str:
    """``once``, ``12 times``."""
    return "once" if count == 1 else f"{count:,} times"


def others_of(guide: Guide, own: Collection[str]) -> list[str]:
    """The name servers that somebody announces beside this box and the school's own."""
    return [address for address in guide.resolvers if address not in own]


def about_guide(guide: Guide, others: Sequence[str], known: Known) -> tuple[str, str]:
    """Category and words of an alert about a DHCP server or router."""
    what = GUIDES[guide.kind]
    article = "An" if what.startswith("I") else "A"
    if others:
        named = ", ".join(where(address, known) for address in others)
        return (
            f"{article} {what} sends devices to another name server",
            f"The {what} {guide.address} (network card {guide.mac}) tells devices to ask {named}. Devices that do"
            " so are not filtered, and nothing they ask for is in the query log. For IT: change what it announces, as"
            " the page “Point your network at the box” says; if it is none of yours, find it and unplug it.",
        )
    return (
        f"A second {what} answers",
        f"Beside the {what} that you have called your own, there is another one: {guide.address} (network card"
        f" {guide.mac}). It can lead devices anywhere, around the web filter too. For IT: if it is yours, say so on the"
        " page “Network” of the web filter. If not, find the port of the switch where this network card is, and unplug"
        " it.",
    )
