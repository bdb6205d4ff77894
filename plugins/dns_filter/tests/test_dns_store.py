"""The log: counted per minute, with who it was, filtered, summed up, and made small when its days are over."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.db import Database
from appliance.migrate import migrate
from appliance_plugins import dns_filter
from appliance_plugins.dns_filter.queries.groups import GroupsOfAddresses, Network
from appliance_plugins.dns_filter.queries.records import (
    MANY_NAMES,
    MINUTES_KNOWN,
    NOT_KEPT,
    ROWS_OF_ONE,
    UNKNOWN,
    QueryRow,
    RowLimit,
    Somebody,
    anonymised,
    counted,
    quarter_of,
    row_of,
)
from appliance_plugins.dns_filter.queries.sites import site_of
from appliance_plugins.dns_filter.queries.store import CHUNK, Counted, Filters, Store, Summary

MIGRATIONS = Path(dns_filter.__file__).parent / "migrations" / "activity"
EVERYTHING = Filters()
LONG_AGO = "2026-01-01T00:00:00.000Z"
ADA = Somebody("laptop-7", "ada", "browser profile")


@pytest.fixture
async def activity(tmp_path: Path) -> AsyncIterator[Database]:
    activity = Database(tmp_path / "activity.db", "normal")
    await activity.open()
    await migrate(activity, "dns_filter", MIGRATIONS)
    yield activity
    await activity.close()


@pytest.fixture
def store(activity: Database) -> Store:
    return Store(activity)


def record(second: str = "09:30:01", **parts: Any) -> dict[str, Any]:
    return {
        "t": f"2026-11-24T{second}.000Z", "client": "10.0.0.1", "name": "www.example.org", "type": "A",
        "verdict": "allowed", "why": "", "list": "", "rule": "", "category": "", "profile": "pupil",
        "upstream": "10.0.0.53", "ms": 1.5, "count": 1, **parts,
    }  # fmt: skip


def rows_of(records: Iterable[dict[str, Any]], who: Somebody | None = None, group: str = "year7") -> list[QueryRow]:
    return counted(row_of(one, who or Somebody(), group) for one in records)


# Rows


def test_equal_queries_of_a_minute_are_one_row() -> None:
    rows = rows_of([record("09:30:01"), record("09:30:59", ms=9.0, count=4), record("09:30:30"), record("09:31:00")])
    assert [(row.minute, row.count, row.first_at, row.last_at, row.slowest_ms) for row in rows] == [
        ("2026-11-24T09:30:00.000Z", 6, "2026-11-24T09:30:01.000Z", "2026-11-24T09:30:59.000Z", 9.0),
        ("2026-11-24T09:31:00.000Z", 1, "2026-11-24T09:31:00.000Z", "2026-11-24T09:31:00.000Z", 1.5),
    ]


@pytest.mark.parametrize(
    "parts",
    [
        {"client": "10.0.0.2"}, {"name": "other.example"}, {"type": "AAAA"}, {"verdict": "blocked"}, {"list": "ads"},
        {"rule": "example.org"}, {"category": "adult"}, {"upstream": "cache"},
    ],
)  # fmt: skip
def test_what_is_not_equal_is_another_row(parts: dict[str, Any]) -> None:
    assert len(rows_of([record(), record(**parts)])) == 2


def test_the_same_query_of_another_person_is_another_row() -> None:
    both = counted([row_of(record(), ADA, ""), row_of(record(), Somebody("laptop-7", "ben", "browser profile"), "")])
    assert [(row.person, row.count) for row in both] == [("ada", 1), ("ben", 1)]


@given(st.lists(st.tuples(st.integers(0, 59), st.sampled_from(["a", "b"]), st.integers(1, 9))))
def test_nothing_is_lost_by_counting(queries: list[tuple[int, str, int]]) -> None:
    rows = rows_of([record(f"09:30:{second:02}", name=name, count=count) for second, name, count in queries])
    assert sum(row.count for row in rows) == sum(count for _, _, count in queries)
    assert len({row.key for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("detail", "kept"),
    [
        ("full", ("10.0.0.1", "laptop-7", "ada", "browser profile", "bad.example", "year7")),
        ("no_person", ("10.0.0.1", "laptop-7", "", NOT_KEPT, "bad.example", "year7")),
        ("no_device", ("", "", "", NOT_KEPT, "bad.example", "year7")),
        ("off", ("", "", "", NOT_KEPT, "", "")),
    ],
)
def test_each_level_keeps_less(detail: Any, kept: tuple[str, ...]) -> None:
    row = anonymised(row_of(record(name="bad.example", verdict="blocked", list="ads", count=3), ADA, "year7"), detail)
    assert (row.client, row.device, row.person, row.claim, row.name, row.group) == kept
    assert (row.verdict, row.count) == ("blocked", 3)


@pytest.mark.parametrize(
    ("why", "rule", "kept"),
    [
        ("entry", "0193a1b2", ""),
        ("cname", "0193a1b2", ""),
        ("cname", "ads.example", "ads.example"),
        ("service", "tiktok", "tiktok"),
    ],
)
def test_the_entry_for_one_does_not_say_who_it_was_where_nobody_is_kept(why: str, rule: str, kept: str) -> None:
    row = row_of(record(name="bad.example", verdict="blocked", why=why, rule=rule), ADA, "year7")
    assert anonymised(row, "full").rule == rule
    for detail in ("no_person", "no_device"):
        assert anonymised(row, detail).rule == kept


def test_the_group_of_an_address_is_the_narrowest_around_it() -> None:
    import ipaddress  # noqa: PLC0415

    networks: list[tuple[Network, str]] = [
        (ipaddress.ip_network("10.7.1.0/24"), "lab"),
        (ipaddress.ip_network("10.7.0.0/16"), "year7"),
    ]
    groups = GroupsOfAddresses(networks)
    asked = ["10.7.1.9", "10.7.2.9", "10.8.0.1", "::ffff:10.7.1.9", "fe80::1%eth0", "nonsense", "10.7.1.9"]
    assert [groups.of(one) for one in asked] == ["lab", "year7", "", "lab", "", "", "lab"]


@pytest.mark.parametrize(
    ("name", "site"),
    [
        ("www.example.org", "example.org"), ("example.org", "example.org"), ("localhost", "localhost"), ("", ""),
        ("cdn.news.bbc.co.uk", "bbc.co.uk"), ("bbc.co.uk", "bbc.co.uk"), ("co.uk", "co.uk"), ("t.co", "t.co"),
        ("a.b.com.au", "b.com.au"), ("www.oakfield.kent.sch.uk", "oakfield.kent.sch.uk"),
        ("ada.blogspot.com", "ada.blogspot.com"), ("x.ada.blogspot.com", "ada.blogspot.com"), (MANY_NAMES, MANY_NAMES),
    ],
)  # fmt: skip
def test_the_site_of_a_name(name: str, site: str) -> None:
    assert site_of(name) == site


def test_quarters_of_an_hour() -> None:
    found = [quarter_of(f"2026-11-24T09:{minute:02}:59.999Z")[11:16] for minute in (0, 14, 15, 44, 45, 59)]
    assert found == ["09:00", "09:00", "09:15", "09:30", "09:45", "09:45"]


# The limit


async def test_random_names_of_one_client_fill_few_rows_and_are_all_counted(store: Store) -> None:
    limit = RowLimit()

    async def add(records: list[dict[str, Any]]) -> None:
        await store.add(counted(limit(row_of(one, Somebody(), "")) for one in records))

    pupil = [record(name=f"x{number}.example") for number in range(1000)]
    for batch in range(0, 1000, 100):  # the limit holds over batches
        other = record("09:30:02", name=f"n{batch}.example", client="10.0.0.2")
        await add([*pupil[batch : batch + 100], other])
    await add([record(name="x7.example"), record(name="x999.example", verdict="blocked", list="ads")])
    rows = await store.recent(2000, Filters(who="10.0.0.1"), LONG_AGO)
    rest = {row.verdict: row.count for row in rows if row.is_rest}
    assert rest == {"allowed": 1000 - ROWS_OF_ONE, "blocked": 1}
    assert len(rows) == ROWS_OF_ONE + 2
    assert {row.count for row in rows if row.name == "x7.example"} == {2}
    assert len(await store.recent(2000, Filters(who="10.0.0.2"), LONG_AGO)) == 10
    assert await store.summary(LONG_AGO) == Summary(1012, 1, 0)
    assert MANY_NAMES not in {one.what for one in await store.top_names(LONG_AGO, 1000)}


def test_every_minute_begins_anew_and_old_ones_are_forgotten() -> None:
    limit = RowLimit()
    for minute in range(10, 20):
        records = [record(f"09:{minute}:00", name=f"x{n}.example") for n in range(ROWS_OF_ONE + 5)]
        rows = counted(limit(row_of(one, Somebody(), "")) for one in records)
        assert len(rows) == ROWS_OF_ONE + 1
        assert (rows[-1].name, rows[-1].type, rows[-1].count) == (MANY_NAMES, "", 5)
    assert len(limit._keys) == MINUTES_KNOWN


def test_the_limit_holds_when_the_clock_was_set_back() -> None:
    limit = RowLimit()
    for minute in (10, 11, 12, 13):
        limit(row_of(record(f"10:{minute}:00"), Somebody(), ""))
    old = [record("08:00:00", name=f"x{number}.example") for number in range(1000)]
    assert len(counted(limit(row_of(one, Somebody(), "")) for one in old)) == ROWS_OF_ONE + 1


# Full rows


async def test_batches_add_up(store: Store) -> None:
    await store.add(rows_of([record("09:30:10"), record("09:30:40", ms=7.0)]))
    await store.add(rows_of([record("09:30:05"), record("09:30:21", verdict="blocked", list="ads")]))
    rows = await store.recent(10, EVERYTHING, LONG_AGO)
    assert [(row.verdict, row.list, row.count, row.first_at[11:19], row.last_at[11:19]) for row in rows] == [
        ("allowed", "", 3, "09:30:05", "09:30:40"),
        ("blocked", "ads", 1, "09:30:21", "09:30:21"),
    ]


async def test_rows_come_back_as_they_went_in(store: Store) -> None:
    parts = {"name": "ä\\000.example", "verdict": "blocked", "why": "list", "list": "ads", "rule": "example"}
    rows = rows_of([record(**parts, category="adult")], ADA)
    await store.add(rows)
    assert await store.recent(1, EVERYTHING, LONG_AGO) == rows


async def test_the_newest_come_first_and_not_more_than_asked_for(store: Store) -> None:
    await store.add(rows_of([record(f"09:{minute}:00") for minute in (30, 45, 31, 44)]))
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
        (Filters(who="Laptop 7", devices=frozenset({"laptop-7"})), ["b"]),
        (Filters(verdict="allowed", who="office"), ["c"]),
        (Filters(who="' OR 1=1 --"), []),
        (Filters(category="adult"), ["b"]),
        (Filters(name="C"), ["c"]),
        (Filters(device="laptop-7"), ["b"]),
        (Filters(device="10.0.0.3"), ["d"]),
        (Filters(device="10.0.0.9"), []),  # that address had a device that is known
        (Filters(person="ada"), ["b"]),
    ],
)
async def test_filters(store: Store, filters: Filters, names: list[str]) -> None:
    blocked = record("09:31:01", name="b", verdict="blocked", category="adult", client="10.0.0.9")
    await store.add([
        *rows_of([record("09:30:01", name="a"),]),
        *rows_of([blocked], ADA),
        *rows_of([record("09:32:01", name="c", client="10.0.0.2")], group="office"),
        *rows_of([record("09:33:01", name="d", client="10.0.0.3", verdict="would block")], group="office"),
    ])  # fmt: skip
    assert [row.name for row in await store.recent(10, filters, LONG_AGO)] == names


async def test_the_summary_counts_queries_not_rows(store: Store) -> None:
    assert await store.summary(LONG_AGO) == Summary(0, 0, 0)
    blocked, watched = record("09:31:00", verdict="blocked", count=2), record("09:32:00", verdict="would block")
    await store.add(rows_of([record("08:30:00"), record("09:30:00", count=5), blocked, watched]))
    assert await store.summary("2026-11-24T09:30:45.000Z") == Summary(8, 2, 1)
    assert await store.summary(LONG_AGO, Filters(verdict="blocked")) == Summary(2, 2, 0)


async def test_lists_of_the_most(store: Store) -> None:
    await store.add([
        *rows_of([record(name="a.example", count=7), record(name="b.example", verdict="blocked", count=3)], ADA),
        *rows_of([record(name="b.example", client="10.0.0.2", verdict="would block", count=2)]),
        *rows_of([record(name="c.example", client="10.0.0.3", count=20)]),
    ])  # fmt: skip
    asked = [(one.what, one.count) for one in await store.top_names(LONG_AGO, 2)]
    assert asked == [("c.example", 20), ("a.example", 7)]
    assert await store.top_names(LONG_AGO, 9, stopped=True) == [Counted("b.example", 5)]
    assert await store.top_devices(LONG_AGO, 9) == [Counted("laptop-7", 3, 10), Counted("10.0.0.2", 2, 2)]
    assert await store.top_names_of(Filters(person="ada"), LONG_AGO, 9, stopped=True) == [Counted("b.example", 3)]


async def test_what_is_hidden_is_in_no_list(activity: Database) -> None:
    store = Store(activity, lambda name: name.endswith("help.example"))
    names = ["www.help.example", "news.example"]
    await store.add(rows_of([record(name=name, verdict="blocked", count=9) for name in names], ADA))
    assert [row.name for row in await store.recent(9, EVERYTHING, LONG_AGO)] == ["news.example"]
    for stopped in (True, False):
        assert [one.what for one in await store.top_names(LONG_AGO, 1, stopped=stopped)] == ["news.example"]
    await store.roll_up("2026-12-01T00:00:00.000Z")
    assert [one.site for one in await store.sites(9, device="laptop-7")] == ["news.example"]
    assert not await activity.fetch("SELECT 1 FROM dns_filter_sites WHERE site LIKE '%help%'")


# When their days are over


async def test_old_rows_become_sites_and_new_ones_stay(store: Store, activity: Database) -> None:
    await store.add([
        *rows_of([record("09:31:00", name="www.a.example", count=2), record("09:44:30", name="a.example")], ADA),
        *rows_of([record("09:45:00", name="cdn.a.example", verdict="blocked", count=4)], ADA),
        *rows_of([record("09:46:00", name="a.example", client="10.0.0.2")]),
        *rows_of([record("10:30:00", name="late.example")], ADA),
    ])  # fmt: skip
    assert await store.roll_up("2026-11-24T10:00:30.000Z") == 4
    rows = await activity.fetch("SELECT * FROM dns_filter_sites ORDER BY quarter, device")
    shown = [tuple(one[11:16] if str(one).startswith("2026-11-24T") else one for one in row) for row in rows]
    assert shown == [
        ("09:30", "laptop-7", "ada", "a.example", 3, 0, "09:31", "09:44"),
        ("09:45", "10.0.0.2", "", "a.example", 1, 0, "09:46", "09:46"),
        ("09:45", "laptop-7", "ada", "a.example", 4, 4, "09:45", "09:45"),
    ]
    assert [row.name for row in await store.recent(9, EVERYTHING, LONG_AGO)] == ["late.example"]
    (site,) = await store.sites(9, person="ada")
    assert (site.day, site.site, site.count, site.stopped) == ("2026-11-24", "a.example", 7, 4)
    assert [one.count for one in await store.sites(9, device="10.0.0.2")] == [1]


async def test_late_rows_of_a_quarter_that_was_summed_up_are_added(store: Store) -> None:
    for second in ("09:40:00", "09:31:00", "09:35:00"):
        await store.add(rows_of([record(second)], ADA))
        assert await store.roll_up("2026-11-25T00:00:00.000Z") == 1
    (site,) = await store.sites(9, device="laptop-7")
    assert (site.count, site.first_at[11:16], site.last_at[11:16]) == (3, "09:31", "09:40")


async def test_a_step_is_bounded_and_no_query_is_lost(store: Store, activity: Database) -> None:
    names = [record(f"09:{30 + number % 30}:00", name=f"x{number}.example") for number in range(CHUNK + 10)]
    await store.add(rows_of(names, ADA))
    assert await store.roll_up("2026-11-25T00:00:00.000Z") == CHUNK
    assert await store.roll_up("2026-11-25T00:00:00.000Z") == 10
    assert await store.roll_up("2026-11-25T00:00:00.000Z") == 0
    row = await activity.fetch_one("SELECT sum(count) AS n FROM dns_filter_sites")
    assert row is not None
    assert row["n"] == CHUNK + 10


async def test_what_an_earlier_version_has_kept_is_still_there(tmp_path: Path) -> None:
    """Its table is made anew by the second migration."""
    before = tmp_path / "before"
    before.mkdir()
    (before / "0001_queries.sql").write_bytes((MIGRATIONS / "0001_queries.sql").read_bytes())
    activity = Database(tmp_path / "activity.db", "normal")
    await activity.open()
    await migrate(activity, "dns_filter", before)
    async with activity.transaction() as tx:
        await tx.execute(
            "INSERT INTO dns_filter_queries VALUES ('2026-11-24T09:30:00.000Z', '10.0.0.1', 'ads.example', 'A',"
            " 'blocked', 'year7', 'pupil', 'ads', 4, '2026-11-24T09:30:07.000Z', 2.5)"
        )
    await migrate(activity, "dns_filter", MIGRATIONS)
    store = Store(activity)
    (row,) = await store.recent(9, Filters(verdict="blocked"), LONG_AGO)
    tallied = await store.top_names(LONG_AGO, 9, stopped=True), await store.top_devices(LONG_AGO, 9)
    await activity.close()
    assert tallied == ([Counted("ads.example", 4)], [Counted("10.0.0.1", 4, 4)])
    assert (row.client, row.name, row.group, row.list, row.count, row.claim) == (
        "10.0.0.1", "ads.example", "year7", "ads", 4, UNKNOWN,
    )  # fmt: skip


async def test_days_are_those_of_the_school_s_clocks(activity: Database) -> None:
    store = Store(activity, zone=ZoneInfo("Pacific/Auckland"))
    evening, morning = "2026-11-24T10:30:00.000Z", "2026-11-24T12:30:00.000Z"
    await store.add(rows_of([record(name="a.example", t=evening), record(name="b.example", t=morning)]))
    assert [one.what for one in await store.top_names(morning, 9)] == ["b.example"]
    assert await store.share_of_busiest(morning) == ("10.0.0.1", 1, 1)
    assert await store.share_of_busiest(evening) == ("10.0.0.1", 2, 2)


@pytest.mark.parametrize(
    ("detail", "kinds"), [("no_person", {"name", "device", "client"}), ("no_device", {"name"}), ("off", set())]
)
async def test_the_tally_keeps_no_more_than_the_rows(
    store: Store, activity: Database, detail: Any, kinds: set[str]
) -> None:
    await store.add([anonymised(row, detail) for row in rows_of([record(verdict="blocked")], ADA)])
    assert {row["kind"] for row in await activity.fetch("SELECT kind FROM dns_filter_tally")} == kinds


@pytest.mark.parametrize(
    ("filters", "index"),
    [
        (Filters(device="laptop-7"), "of_devices"),
        (Filters(device="10.0.0.1"), "of_unknown"),
        (Filters(device="fe80::1%eth0"), "of_unknown"),
        (Filters(person="ada"), "of_people"),
    ],
)
async def test_the_page_of_one_reads_an_index_and_not_everything(
    activity: Database, filters: Filters, index: str
) -> None:
    conditions, values = filters.conditions()
    sql = f"EXPLAIN QUERY PLAN SELECT * FROM dns_filter_queries WHERE minute >= ? AND {' AND '.join(conditions)}"
    with sqlite3.connect(activity.path) as connection:
        plan = " ".join(str(row[3]) for row in connection.execute(sql, [LONG_AGO, *values]))
    assert f"dns_filter_queries_{index}" in plan


async def test_reading_what_was_stopped_uses_its_index(activity: Database) -> None:
    conditions, values = Filters(verdict="blocked").conditions()
    sql = f"EXPLAIN QUERY PLAN SELECT * FROM dns_filter_queries WHERE minute >= ? AND {' AND '.join(conditions)}"
    with sqlite3.connect(activity.path) as connection:
        plan = " ".join(str(row[3]) for row in connection.execute(sql, [LONG_AGO, *values]))
    assert "dns_filter_queries_stopped" in plan
