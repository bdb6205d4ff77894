"""Ids: they sort by time, and in one process by the order in which they were made."""

from __future__ import annotations

import itertools
import time
import uuid

from appliance import clock


def test_ids_of_one_millisecond_sort_in_the_order_of_the_calls() -> None:
    ids = [clock.new_id() for _ in range(20_000)]
    moments = [uuid.UUID(one).int >> 80 for one in ids]
    assert len({*moments}) < len(ids) / 10, "many of them are of the same millisecond, so this test tells something"
    assert all(one < other for one, other in itertools.pairwise(ids))


def test_an_id_is_a_uuid_of_version_7_with_the_time_and_a_random_rest() -> None:
    before = time.time_ns() // 1_000_000
    ids = [uuid.UUID(clock.new_id()) for _ in range(2_000)]
    after = time.time_ns() // 1_000_000
    assert {(one.version, one.variant) for one in ids} == {(7, uuid.RFC_4122)}
    assert all(before <= one.int >> 80 <= after for one in ids)
    steps = {other.int - one.int for one, other in itertools.pairwise(ids)}
    assert len(steps) == len(ids) - 1, "nobody can tell the next id from the last two"
