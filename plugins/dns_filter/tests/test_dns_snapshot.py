"""The snapshot: built from settings, read by the worker, and who gets which profile."""

from __future__ import annotations

import ipaddress
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance_plugins.dns_filter.settings import Settings
from appliance_plugins.dns_filter.shares import plain_address
from appliance_plugins.dns_filter.snapshot import (
    CLIENTS_REMEMBERED,
    RangePart,
    SnapshotError,
    build,
    clients_of,
    read,
    resolve_ranges,
)

SETTINGS = Settings(
    allow_from=("10.0.0.0/8", "fe80::/10"),
    lists=({"name": "ads", "file": "ads.txt"},),
    profiles=({"name": "pupil", "mode": "block", "block": ("ads",)}, {"name": "staff"}),
)


def snapshot(**parts: Any) -> dict[str, Any]:
    ranges = [
        RangePart(network="10.1.2.0/24", group="office", profile="staff"),
        RangePart(network="10.1.0.0/16", group="wifi", profile="pupil"),
    ]
    return {**build(SETTINGS, ranges, ["b.example", "a.example"], {"ads": "12ab"}), **parts}


def test_it_is_json_and_reads_back_as_it_was() -> None:
    mapping = json.loads(json.dumps(snapshot()))
    found = read(mapping)
    assert found.model_dump(mode="json") == mapping
    assert (found.exempt, found.lists) == (("a.example", "b.example"), {"ads": "12ab"})


@pytest.mark.parametrize("parts", [{"version": 0}, {"version": None}, {"port": "many"}, {"more": 1}])
def test_what_cannot_be_read_is_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(SnapshotError):
        read(snapshot(**parts))


@pytest.mark.parametrize(
    ("address", "group", "profile"),
    [
        ("10.1.2.9", "office", "staff"),
        ("10.1.9.9", "wifi", "pupil"),
        ("10.9.9.9", "", "pupil"),
        ("::ffff:10.1.2.9", "office", "staff"),
        ("fe80::1%eth0", "", "pupil"),
    ],
)
def test_the_closest_network_decides(address: str, group: str, profile: str) -> None:
    client = clients_of(read(snapshot()), {"ads": frozenset()}).find(address)
    assert client is not None
    assert (client.group, client.profile.name) == (group, profile)


@pytest.mark.parametrize("address", ["11.1.2.9", "2001:db8::1", "::ffff:11.0.0.1", "::1"])
def test_strangers_are_nobody(address: str) -> None:
    clients = clients_of(read(snapshot()), {"ads": frozenset()})
    assert clients.find(address) is None
    assert clients.find(address) is None  # also from memory


def test_the_memory_of_clients_is_bounded() -> None:
    clients = clients_of(read(snapshot()), {"ads": frozenset()})
    first = int(ipaddress.ip_address("10.0.0.0"))
    for number in range(CLIENTS_REMEMBERED + 1):
        assert clients.find(str(ipaddress.ip_address(first + number))) is not None
    assert len(clients._known) <= CLIENTS_REMEMBERED


def test_a_list_without_a_copy_is_left_out() -> None:
    client = clients_of(read(snapshot()), {}).find("10.9.9.9")
    assert client is not None
    assert client.profile.block == ()


@pytest.mark.parametrize("parts", [{"default_profile": "guest"}, {"allow_from": ["10.0.0.1/8"]}])
def test_a_snapshot_that_contradicts_itself_is_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(SnapshotError, match="contradicts"):
        clients_of(read(snapshot(**parts)), {})


def test_a_group_without_a_profile_of_its_own_has_what_is_around_it() -> None:
    networks = [
        (ipaddress.ip_network("10.1.2.0/24"), "lab"),
        (ipaddress.ip_network("10.1.0.0/16"), "year7"),
        (ipaddress.ip_network("10.2.0.0/16"), "guests"),
        (ipaddress.ip_network("fd00::/8"), "six"),
    ]
    own = {"year7": "strict", "six": "staff"}
    found = resolve_ranges(networks, own.get, "pupil")
    assert [(part.group, part.profile) for part in found] == [
        ("lab", "strict"),
        ("year7", "strict"),
        ("guests", "pupil"),
        ("six", "staff"),
    ]


NETWORKS = st.builds(
    lambda octets, length: ipaddress.ip_network((bytes(octets), length), strict=False),
    st.tuples(st.just(10), st.sampled_from([0, 1]), st.sampled_from([0, 1]), st.sampled_from([0, 1])),
    st.sampled_from([8, 15, 16, 24, 31, 32]),
)


@given(
    st.dictionaries(NETWORKS, st.sampled_from("abc"), max_size=6),
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(["pupil", "staff"])),
    st.tuples(st.just(10), st.sampled_from([0, 1]), st.sampled_from([0, 1]), st.sampled_from([0, 1])),
)
def test_every_address_gets_what_the_one_resolver_says(
    groups: dict[Any, str], own: dict[str, str], octets: tuple[int, ...]
) -> None:
    """Walking outwards from the address, as ``assignments.effective`` does, and looking up the ranges agree."""
    address = ipaddress.ip_address(bytes(octets))
    networks = sorted(groups.items(), key=lambda pair: (-pair[0].prefixlen, str(pair[0])))
    around = [group for network, group in networks if address in network]
    effective = next((own[group] for group in around if group in own), "pupil")
    mapping = build(SETTINGS, resolve_ranges(networks, own.get, "pupil"), (), {})
    client = clients_of(read(mapping), {}).find(str(address))
    assert client is not None
    assert (client.profile.name, client.group) == (effective, around[0] if around else "")


@pytest.mark.parametrize(
    ("text", "plain"), [("10.0.0.1", "10.0.0.1"), ("::ffff:10.0.0.1", "10.0.0.1"), ("fe80::1%eth0", "fe80::1")]
)
def test_plain_addresses(text: str, plain: str) -> None:
    assert str(plain_address(text)) == plain
