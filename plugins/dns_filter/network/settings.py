"""The settings of the listening on the network: ``plugins.dns_filter.sniffer``."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator

from appliance.api import Section, setting

from .listening import AUTO


def _address(text: str) -> str:
    return str(ipaddress.ip_address(text))


def _network(text: str) -> str:
    return str(ipaddress.ip_network(text))


Address = Annotated[str, AfterValidator(_address)]
Network = Annotated[str, AfterValidator(_network)]


class SnifferSettings(Section):
    """Listening on the network: which devices go around the web filter, and which are there at all."""

    enabled: bool | None = setting(
        None,
        "Whether this box listens on the network. Left out: what was chosen on the page “Network” of the web filter,"
        " and off until somebody chooses.",
        page=False,
    )
    interface: str = setting(
        AUTO,
        "Where it listens: the name of an interface, such as one at a mirror port of the switch. `auto`: the one over"
        " which this box reaches others.",
        pattern=r"^[A-Za-z0-9._@-]{1,15}$",
    )
    per_second: int = setting(
        1000, "How many packets are looked at in a second; what is more is counted, and not looked at.", ge=10, le=50000
    )
    own_resolvers: tuple[Address, ...] = setting(
        (),
        "Addresses of the school's own name servers that ask this box in their turn, such as domain controllers:"
        " devices may ask them, and DHCP may announce them.",
    )
    other_resolvers: tuple[Address, ...] = setting(
        (), "Addresses of further name servers that you know of. They are named, and using them counts as going around."
    )
    managed_networks: tuple[Network, ...] = setting(
        (), "Networks on which only devices of the directory belong. Any other device there raises a warning."
    )
    alert_after: int = setting(
        1, "How often a device must have gone around the filter within a day before an alert is opened.", ge=1, le=10000
    )
    keep_days: int = setting(
        30, "How long it is kept who went around the filter and which devices were seen.", unit="days", ge=1, le=365
    )
