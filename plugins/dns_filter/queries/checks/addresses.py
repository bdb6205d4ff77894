"""Where the filter's own test asks from, and for which names: addresses and names that nobody else has.

The test asks the running worker like any device. So that it can ask as each profile, the snapshot gives one address of
the box itself (127.83.x.y) to each; what comes from there is neither kept nor handed in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

NETWORK = ipaddress.ip_network("127.83.0.0/16")
"""A part of this machine's own addresses (RFC 1122, 3.2.1.3): nothing outside can have one."""

TEST_DOMAIN = "filter-test.invalid"
"""Below it stands one name for each category. The ending is reserved (RFC 6761): nobody can ever have such a site."""

TEST_NAMES = 1
"""How many such names each list holds."""


def addresses(profiles: Iterable[str]) -> dict[str, str]:
    """An address of its own for each profile: address -> profile."""
    return {str(NETWORK[number]): profile for number, profile in enumerate(profiles, start=1)}


def is_test_client(address: str) -> bool:
    """Whether the filter's own test asked."""
    return address.startswith("127.83.")


def probe_name(category: str) -> str:
    """The name that every list of this category holds for the test, and nothing else."""
    return f"{category.replace('_', '-')}.{TEST_DOMAIN}"
