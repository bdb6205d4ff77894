"""What one client may take: thinking only, with a clock that the test steps."""

from __future__ import annotations

import pytest

from appliance_plugins.dns_filter import server
from appliance_plugins.dns_filter.server import Server
from appliance_plugins.dns_filter.shares import Full, Pace, Places, share_of


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "::ffff:10.0.0.1", True),
        ("fd00::1", "fd00::ffff:0:0:1", False),
        ("fd00::1", "fd00:0:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", False),
        ("0.0.0.0", "::", False),
    ],
)
def test_whose_share(one: str, other: str, same: bool) -> None:
    assert (share_of(one) == share_of(other)) is same


def test_places_come_free_and_are_forgotten() -> None:
    places = Places(in_all=3, of_one=2)
    with places.hold("fd00::1"), places.hold("fd00::1"):
        with pytest.raises(Full, match="2 queries of this device"), places.hold("fd00::1"):
            pass
        with places.hold("10.0.0.1"), pytest.raises(Full, match="3 queries wait"), places.hold("10.0.0.2"):
            pass
        assert len(places) == 1
    assert len(places) == 0


def test_a_pace_allows_a_burst_and_then_so_many_a_second() -> None:
    pace = Pace(per_second=200.0, burst=400.0)
    assert [pace.allows("10.0.0.1", 5.0) for _ in range(401)] == [True] * 400 + [False]
    assert pace.allows("10.0.0.2", 5.0)
    assert [pace.allows("10.0.0.1", 5.5) for _ in range(101)] == [True] * 100 + [False]
    assert sum(pace.allows("10.0.0.1", 3600.0) for _ in range(1000)) == 400


def test_a_room_that_shares_a_64_does_not_share_a_pace() -> None:
    pace = Pace(per_second=1.0, burst=1.0)
    assert [pace.allows(f"fd00::{number}", 0.0) for number in (1, 2, 1, 2)] == [True, True, False, False]


def test_a_pace_forgets_the_longest_idle() -> None:
    pace = Pace(per_second=1.0, burst=1.0, clients_kept=2)
    assert pace.allows("10.0.0.1", 0.0)
    assert pace.allows("10.0.0.2", 0.0)
    assert not pace.allows("10.0.0.1", 0.1)
    assert pace.allows("10.0.0.3", 0.2)  # 10.0.0.2 goes: it is idle for longer
    assert not pace.allows("10.0.0.1", 0.3)
    assert len(pace) == 2
    for number in range(1000):
        pace.allows(f"10.0.1.{number % 256}", 1.0)
    assert len(pace) == 2


def test_the_server_counts_what_it_drops() -> None:
    now = 1000.0

    async def answer(packet: bytes, address: str, *, over_udp: bool) -> bytes | None:
        raise AssertionError

    served = Server(answer, clock=lambda: now)
    burst = int(server.QUERIES_IN_A_BURST)
    assert sum(served.has_pace_left("10.0.0.1") for _ in range(burst + 7)) == burst
    assert served.dropped == 7
    assert served.has_pace_left("10.0.0.2")
    now += 1.0
    assert sum(served.has_pace_left("10.0.0.1") for _ in range(burst)) == int(server.QUERIES_PER_SECOND)
