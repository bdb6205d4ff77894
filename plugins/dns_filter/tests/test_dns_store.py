"""The table of queries: counted per minute, filtered, summed up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.db import Database
from appliance.migrate import migrate
from appliance_plugins import dns_filter
from appliance_plugins.dns_filter.queries.store import (
    MANY_NAMES,
    MINUTES_KNOWN,
    ROWS_OF_ONE,
    Filters,
    RowLimit,
    Store,
    Summary,
    aggregate,
)

MIGRATIONS = Path(dns_filter.__file__).parent / "migrations" / "activity"
EVERYTHING = Filters()
LONG_AGO = "2026-01-01T00:00:00.000Z"


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    activity = Database(tmp_path / "activity.db", "normal")
    await activity.open()
    await migrate(activity, "dns_filter", MIGRATIONS)
    yield Store(activity)
    await activity.close()


def record(second: str = "09:30:01", **parts: Any) -> dict[str, Any]:
    return {
        "t": f"2026-11-24T{second}.000Z", "client": "10.0.0.1", "group": "year7", "name": "www.example.org",
        "type": "A", "verdict": "allowed", "list": "", "profile": "pupil", "ms": 1.5, **parts,
    }  # fmt: skip


def test_equal_queries_of_a_minute_are_one_row() -> None:
    rows = aggregate([record("09:30:01"), record("09:30:59", ms=9.0), record("09:30:30", ms=2.0), record("09:31:00")])
    assert [(row.minute, row.count, row.last_at, row.slowest_ms) for row in rows] == [
        ("2026-11-24T09:30:00.000Z", 3, "2026-11-24T09:30:59.000Z", 9.0),
        ("2026-11-24T09:31:00.000Z", 1, "2026-11-24T09:31:00.000Z", 1.5),
    ]


async def test_batches_add_up(store: Store) -> None:
    await store.add(aggregate([record("09:30:01"), record("09:30:40", ms=7.0)]))
    await store.add(aggregate([record("09:30:20"), record("09:30:21", verdict="blocked", list="ads")]))
    rows = await store.recent(10, EVERYTHING, LONG_AGO)
    assert [(row.verdict, row.list, row.count, row.last_at[11:19], row.slowest_ms) for row in rows] == [
        ("allowed", "", 3, "09:30:40", 7.0),
        ("blocked", "ads", 1, "09:30:21", 1.5),
    ]


async def test_the_newest_come_first_and_not_more_than_asked_for(store: Store) -> None:
    await store.add(aggregate([record(f"09:{minute}:00") for minute in (30, 45, 31, 44)]))
    rows = await store.recent(3, EVERYTHING, LONG_AGO)
    assert [row.minute[11:16] for row in rows] == ["09:45", "09:44", "09:31"]
    assert await store.recent(3, EVERYTHING, "2026-11-24T09:46:00.000Z") == []


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        (Filters(), ["d", "c", "b", "a"]),
        (Filters(verdict="allowed"), ["c", "a"]),
        (Filters(verdict="blocked"), ["b"]),
        (Filters(verdict="would block"), ["d"]),
        (Filters(who="10.0.0.2"), ["c"]),
        (Filters(who="office"), ["d", "c"]),
        (Filters(verdict="allowed", who="office"), ["c"]),
        (Filters(who="' OR 1=1 --"), []),
    ],
)
async def test_filters(store: Store, filters: Filters, names: list[str]) -> None:
    await store.add(
        aggregate(
            [
                record("09:30:01", name="a"),
                record("09:31:01", name="b", verdict="blocked"),
                record("09:32:01", name="c", client="10.0.0.2", group="office"),
                record("09:33:01", name="d", client="10.0.0.3", group="office", verdict="would block"),
            ]
        )
    )
    assert [row.name for row in await store.recent(10, filters, LONG_AGO)] == names


async def test_the_summary_counts_queries_not_rows(store: Store) -> None:
    assert await store.summary(LONG_AGO) == Summary(0, 0, 0)
    await store.add(
        aggregate(
            [
                record("08:30:00"),
                *[record("09:30:00")] * 5,
                *[record("09:31:00", verdict="blocked")] * 2,
                record("09:32:00", verdict="would block"),
            ]
        )
    )
    assert await store.summary("2026-11-24T09:30:45.000Z") == Summary(8, 2, 1)


async def test_rows_come_back_as_they_went_in(store: Store) -> None:
    rows = aggregate([record(name="ä\\000.example", group="")])
    await store.add(rows)
    assert await store.recent(1, EVERYTHING, LONG_AGO) == rows


@given(st.lists(st.tuples(st.integers(0, 59), st.sampled_from(["a", "b"]), st.sampled_from(["allowed", "blocked"]))))
def test_nothing_is_lost_by_counting(queries: list[tuple[int, str, str]]) -> None:
    rows = aggregate([record(f"09:30:{second:02}", name=name, verdict=verdict) for second, name, verdict in queries])
    assert sum(row.count for row in rows) == len(queries)
    assert len({row.key for row in rows}) == len(rows)


async def test_random_names_of_one_client_fill_few_rows_and_are_all_counted(store: Store) -> None:
    limit = RowLimit()
    pupil = [record(name=f"x{number}.example") for number in range(1000)]
    for batch in range(0, 1000, 100):  # the limit holds over batches
        other = record("09:30:02", name=f"n{batch}.example", client="10.0.0.2")
        await store.add(aggregate([*pupil[batch : batch + 100], other], limit))
    await store.add(aggregate([record(name="x7.example"), record(name="x999.example", verdict="blocked")], limit))
    rows = await store.recent(2000, Filters(who="10.0.0.1"), LONG_AGO)
    rest = {row.verdict: row.count for row in rows if row.is_rest}
    assert rest == {"allowed": 1000 - ROWS_OF_ONE, "blocked": 1}
    assert len(rows) == ROWS_OF_ONE + 2
    assert {row.count for row in rows if row.name == "x7.example"} == {2}
    assert len(await store.recent(2000, Filters(who="10.0.0.2"), LONG_AGO)) == 10
    assert await store.summary(LONG_AGO) == Summary(1012, 1, 0)


def test_every_minute_begins_anew_and_old_ones_are_forgotten() -> None:
    limit = RowLimit()
    for minute in range(10, 20):
        rows = aggregate([record(f"09:{minute}:00", name=f"x{n}.example") for n in range(ROWS_OF_ONE + 5)], limit)
        assert len(rows) == ROWS_OF_ONE + 1
        assert (rows[-1].name, rows[-1].type, rows[-1].count) == (MANY_NAMES, "", 5)
    assert len(limit._keys) == MINUTES_KNOWN


def test_the_limit_holds_when_the_clock_was_set_back() -> None:
    limit = RowLimit()
    aggregate([record(f"10:{minute}:00") for minute in (10, 11, 12, 13)], limit)
    rows = aggregate([record("08:00:00", name=f"x{number}.example") for number in range(1000)], limit)
    assert len(rows) == ROWS_OF_ONE + 1
