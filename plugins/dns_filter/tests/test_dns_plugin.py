"""The plugin in the main process, with the real services around it: what it publishes, keeps and shows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any

import pytest

from appliance.clock import now, stamp
from appliance.errors import NotReady, Refused
from appliance.hookspecs import HomeCard, Permission, State
from appliance_plugins.dns_filter.profiles.groups import KIND, networks
from appliance_plugins.dns_filter.queries.records import ROWS_OF_ONE
from appliance_plugins.dns_filter.queries.room import LIVE_ROWS
from appliance_plugins.dns_filter.queries.store import Filters
from appliance_plugins.dns_filter.queries.views import TOPIC

PATIENCE = 10.0
WORKER = "dns_filter.dns"


async def everything_heard(house: Any) -> None:
    """Return when no listener has an event before it any more."""
    async with asyncio.timeout(PATIENCE):
        while await house.appliance.bus.waiting():
            pass


async def test_the_snapshot_says_who_gets_what(house: Any) -> None:
    snapshot = house.snapshot()
    assert snapshot["exempt"] == ["help.example"]
    assert snapshot["port"] == 5300
    assert [house.verdict(name, "10.7.1.1") for name in ("ads.example", "help.example")] == ["blocked", "exempt"]
    assert [house.profile_at(address) for address in ("10.7.1.1", "10.7.2.1", "10.9.0.1", "10.1.1.1")] == [
        "pupil",
        "pupil",
        "staff",
        "pupil",
    ]


async def test_a_group_that_is_given_another_profile_has_it_at_once(house: Any) -> None:
    assignments = house.appliance.assignments
    await assignments.assign("Sam", KIND, networks("year7"), "exam", "Mock exams", None)
    await everything_heard(house)
    assert house.profile_at("10.7.2.1") == "exam"
    assert house.profile_at("10.7.1.1") == "exam"  # the lab lies inside
    await assignments.assign("Sam", KIND, networks("lab"), "staff", "Maintenance", None)
    await everything_heard(house)
    assert house.profile_at("10.7.1.1") == "staff"
    (newest, *_) = await assignments.history(KIND)
    await assignments.undo("Sam", KIND, newest["id"])
    await everything_heard(house)
    assert house.profile_at("10.7.1.1") == "exam"


async def test_what_applies_agrees_with_the_one_resolver(house: Any) -> None:
    assignments = house.appliance.assignments
    await assignments.assign("Sam", KIND, networks("year7"), "exam", "Mock exams", None)
    await house.plugin.profiles.publish()
    for address in ("10.7.1.1", "10.7.2.1", "10.9.0.1", "10.1.1.1", "127.0.0.1"):
        assert house.profile_at(address) == assignments.effective(KIND, address=address).value


async def test_what_the_file_fixes_cannot_be_changed(house: Any) -> None:
    with pytest.raises(Refused, match="settings file fixes"):
        await house.appliance.assignments.assign("Sam", KIND, networks("office"), "pupil", "No reason", None)


async def test_the_page_says_where_a_profile_comes_from(house: Any) -> None:
    until_then = now() + timedelta(days=1)
    await house.appliance.assignments.assign("Sam", KIND, networks("year7"), "exam", "Mock exams", until_then)
    rows = {row.name: row for row in await house.plugin.profiles.groups.rows()}
    assert [(name, row.profile, row.origin, row.fixed) for name, row in rows.items()] == [
        ("year7", "exam", "set by Sam: Mock exams", False),
        ("lab", "exam", "the wider group around it", False),
        ("office", "staff", "the settings file", True),
    ]
    assert rows["year7"].row_id
    assert rows["year7"].until == stamp(until_then)
    assert rows["lab"].row_id == ""
    assert house.plugin.profiles.groups.default_row().profile == "pupil"


async def test_records_are_kept_and_shown_live(house: Any) -> None:
    records = [_record(name=f"n{number}.example") for number in range(LIVE_ROWS + 10)]
    live = house.appliance.live
    async with (
        live.subscribe(lambda: frozenset({Permission.SEE_ACTIVITY})) as allowed,
        live.subscribe(lambda: frozenset({Permission.OPERATE})) as other,
    ):
        await house.plugin.queries.receive(records, 0)
        message = allowed.messages.get_nowait()
        assert other.messages.empty()
    rows = json.loads(message.data)
    assert (message.topic, len(rows)) == (TOPIC, LIVE_ROWS)
    assert rows[-1]["name"] == records[-1]["name"]
    assert rows[-1]["verdict"] == "would block"
    card = await _card(house)
    assert (card["summary"].answered, card["summary"].would_block) == (len(records), len(records))


async def test_a_live_row_is_the_whole_row_and_keeps_its_id(house: Any) -> None:
    at, live = stamp(), house.appliance.live
    async with live.subscribe(lambda: frozenset({Permission.SEE_ACTIVITY})) as stream:
        for name in ("a.example", "b.example", "a.example"):
            await house.plugin.queries.receive([_record(t=at, name=name)], 0)
        first, other, second = (json.loads(stream.messages.get_nowait().data)[0] for _ in range(3))
    assert (first["id"], first["count"], second["count"]) == (second["id"], 1, 2)
    assert other["id"] != first["id"]
    rows = await house.plugin.queries.store.recent(10, Filters(), at)
    shown = [house.plugin.queries.views.presenting.row(row, {}) for row in rows]
    assert {row["id"] for row in shown} == {first["id"], other["id"]}, "the page knows which rows it has"


async def test_random_names_are_counted_together(house: Any) -> None:
    at = stamp()
    for batch in range(2):
        names = [f"x{batch}{number}.example" for number in range(500)]
        await house.plugin.queries.receive([_record(t=at, name=name) for name in names], 0)
    rows = await house.plugin.queries.store.recent(2000, Filters(), at)
    assert len(rows) == ROWS_OF_ONE + 1
    assert (await _card(house))["summary"].answered == 1000


async def test_a_list_that_changes_is_in_force_after_the_job(house: Any) -> None:
    (house.folder / "lists" / "ads.txt").write_text("new.example\nmore.example\n")
    await house.plugin.lists.refresh()
    heard = [house.verdict(name, "10.7.1.1") for name in ("new.example", "more.example", "ads.example")]
    assert heard == ["blocked", "blocked", "allowed"]


async def test_a_list_that_goes_is_red_and_its_last_copy_stays(house: Any) -> None:
    (house.folder / "lists" / "ads.txt").unlink()
    await house.plugin.lists.refresh()
    assert house.verdict("ads.example", "10.7.1.1") == "blocked"
    (check_,) = [each for each in await house.appliance.plugins.checks() if each.name == "Web filter list ads"]
    assert check_.state is State.BROKEN
    assert "ads.txt cannot be read" in check_.words
    assert "last good copy stays" in check_.words
    assert "Put it back" in check_.todo


async def test_a_list_that_is_gone_at_the_next_start_stays_in_force(settings_file: Any, run_house: Any) -> None:
    config_file = settings_file()
    async with run_house(config_file) as house:
        assert house.verdict("ads.example", "10.7.1.1") == "blocked"
    (config_file.parent / "lists" / "ads.txt").unlink()
    async with run_house(config_file) as house:
        assert house.verdict("ads.example", "10.7.1.1") == "blocked"


async def test_a_list_that_never_was_there_does_not_stop_the_filter(settings_file: Any, run_house: Any) -> None:
    config_file = settings_file()
    (config_file.parent / "lists" / "ads.txt").unlink()
    async with run_house(config_file) as house:
        assert list(house.snapshot()["lists"]) == ["bypass"]
        assert [check_.state for check_ in await house.plugin.lists.health()] == [State.BROKEN]


async def test_an_unchanged_snapshot_is_not_published_again(house: Any) -> None:
    path = house.appliance.workers.folder(WORKER) / "snapshot.json"
    before = path.stat().st_mtime_ns
    await house.plugin.lists.refresh()
    assert path.stat().st_mtime_ns == before


async def test_rules_that_cannot_be_written_are_red_and_written_later(house: Any) -> None:
    """A folder stands where the snapshot is to go: like a full disk, for whoever writes it."""
    file = house.appliance.workers.folder(WORKER) / "snapshot.json"
    profiles = house.plugin.profiles
    before = file.read_bytes()
    file.unlink()
    file.mkdir()
    await profiles.store.add_entry("Ida", "block", "new.example", "", "A test", None)
    with pytest.raises(NotReady, match="It is kept, but the web filter does not know of it yet"):
        await profiles.publish()
    (check_,) = [one for one in await profiles.health() if one.name == "Rules of the web filter"]
    assert (check_.state, check_.alarm) == (State.BROKEN, True)
    assert "The rules from before stay in force." in check_.words
    file.rmdir()
    file.write_bytes(before)
    async with asyncio.timeout(PATIENCE):
        while house.verdict("new.example", "10.7.1.1") != "blocked":
            await asyncio.sleep(0.05)
        while await profiles.health():
            await asyncio.sleep(0.05)


async def test_old_rows_are_declared_for_deletion(house: Any) -> None:
    declared = {data.table: data for data in house.plugin.register_data()}
    days = {name: (data.keep_days, data.time_column, data.store) for name, data in declared.items()}
    assert days["dns_filter_queries"] == (7, "minute", "activity")
    assert days["dns_filter_sites"] == (90, "quarter", "activity")


def _record(**parts: Any) -> dict[str, Any]:
    return {
        "t": stamp(), "client": "10.7.0.1", "name": "ads.example", "type": "A", "verdict": "would block",
        "why": "list", "list": "ads", "rule": "ads.example", "category": "", "profile": "pupil", "upstream": "",
        "ms": 1.0, "count": 1, **parts,
    }  # fmt: skip


async def _card(house: Any) -> Mapping[str, Any]:
    (card,) = [card for _, card in house.appliance.plugins.panels(HomeCard) if card.template == "dns_filter/card.html"]
    data: Callable[[], Awaitable[Mapping[str, Any]]] = card.data
    return await data()
