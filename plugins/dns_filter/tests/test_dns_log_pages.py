"""What was asked for, on pages and live: who sees which device, and who sees a person; help-seeking places nowhere."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio
from accounts import no_store_is_left_open

from appliance.access import PERMISSIONS, Role
from appliance.accounts.staff import Scope
from appliance.clock import now, stamp
from appliance.hookspecs import Permission
from appliance.looks import Reason
from appliance.people.devices import DeviceDetails
from appliance.people.directory import Details
from appliance.testing import Client, sign_in_as
from appliance_plugins.dns_filter.queries.log_file import PIECE, rows_of
from appliance_plugins.dns_filter.queries.records import MANY_NAMES, ROWS_OF_ONE, RowLimit, Somebody, row_of
from appliance_plugins.dns_filter.queries.store import Filters
from appliance_plugins.dns_filter.queries.views import PEOPLE_TOPIC, TOPIC

__all__ = ["no_store_is_left_open"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


def record(name: str = "ads.example", **parts: Any) -> dict[str, Any]:
    return {
        "t": stamp(), "client": "10.7.0.1", "name": name, "type": "A", "verdict": "blocked", "why": "list",
        "list": "ads", "rule": name, "category": "gambling", "profile": "pupil", "upstream": "", "ms": 1.0, "count": 1,
        **parts,
    }  # fmt: skip


@dataclass
class Log:
    """The web filter of a school, Ada on her laptop, and those who look at it."""

    house: Any
    port: int
    it: Client
    lead: Client
    ada: str
    laptop: str

    @property
    def queries(self) -> Any:
        return self.house.plugin.queries

    async def receive(self, *records: dict[str, Any]) -> None:
        await self.queries.receive(list(records), 0)

    async def page(self, who: Client, path: str, status: int = 200) -> str:
        answer = await who.get(path)
        assert answer.status == status, answer.text
        return answer.text

    async def kept(self) -> str:
        """Everything in the activity file, as text."""
        found = []
        for table in ("dns_filter_queries", "dns_filter_sites", "dns_filter_tally"):
            found += await self.house.appliance.activity.fetch(f"SELECT * FROM {table}")
        return str([tuple(row) for row in found])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made(shared: Any) -> Log:
    house, pages = shared
    directory = house.appliance.directory
    ada = await directory.add(pages.lead.actor, Details("pupil", "Ada Okafor"))
    laptop = await directory.devices.add(pages.lead.actor, DeviceDetails("Laptop 7"))
    there = {"10.7.0.1": Somebody(laptop, ada, "browser profile"), "10.7.0.2": Somebody(laptop)}
    house.plugin.queries.who = lambda address: there.get(address, Somebody())
    return Log(house, pages.port, pages.it, pages.lead, ada, laptop)


@pytest_asyncio.fixture(loop_scope="module")
async def log(made: Log) -> AsyncIterator[Log]:
    """With nothing in the log."""
    queries = made.queries
    before = queries._settings
    yield made
    queries._settings = queries.views._settings = before
    queries._limit, queries._health = RowLimit(), None
    async with made.house.appliance.activity.transaction() as tx:
        for table in ("dns_filter_queries", "dns_filter_sites", "dns_filter_tally"):
            await tx.execute(f"DELETE FROM {table}")


# Who sees whom


async def test_it_sees_device_and_verdict_and_never_the_person(log: Log) -> None:
    await log.receive(record())
    page = await log.page(log.it, "/dns_filter")
    for words in ("Laptop 7", "10.7.0.1", "year7", "ads.example", "</svg>Blocked</span>", "It is on the list ads"):
        assert words in page
    assert "Gambling" in page
    for path in ("/dns_filter", f"/dns_filter/device?of={log.laptop}", "/dns_filter/top", "/dns_filter?who=Laptop+7"):
        page = await log.page(log.it, path)
        assert "Ada" not in page
        assert log.ada not in page
        assert '<th scope="col">Who</th>' not in page
    await log.page(log.it, f"/dns_filter/person?id={log.ada}", 404)


async def test_the_lead_sees_who_it_was_and_how_that_is_known(log: Log) -> None:
    await log.receive(record(), record("b.example", client="10.7.0.2"), record("c.example", client="10.9.0.9"))
    page = await log.page(log.lead, "/dns_filter")
    assert f'<a href="/dns_filter/person?id={log.ada}"><bdi>Ada Okafor</bdi></a>' in page
    assert "by the account that the browser is signed in with" in page
    assert page.count("Unknown <br>") == 2  # somebody on her laptop, and somebody on a device that nobody knows


async def test_somebody_out_of_scope_has_no_name(log: Log) -> None:
    directory = log.house.appliance.directory
    ben = await directory.add(log.lead.actor, Details("pupil", "Ben Whitlock"))
    deputy = await sign_in_as(log.house.appliance, log.port, Role.DEPUTY, [Scope("person", ben)], "Dee Deputy")
    await log.receive(record())
    for path in ("/dns_filter", f"/dns_filter/device?of={log.laptop}"):
        page = await log.page(deputy, path)
        assert "Somebody about whom you may not know" in page
        assert "Ada" not in page
    await log.page(deputy, f"/dns_filter/person?id={log.ada}", 404)


async def test_whoever_sees_activity_finds_every_device() -> None:
    """Live rows name devices for all of them at once."""
    for role, allowed in PERMISSIONS.items():
        assert Permission.SEE_ACTIVITY not in allowed or Permission.MANAGE_PEOPLE in allowed, role


async def test_live_rows_name_somebody_only_to_those_who_may_see_them(log: Log) -> None:
    appliance = log.house.appliance
    teacher = await sign_in_as(appliance, log.port, Role.TEACHER, [Scope("person", log.ada)], "Tom Teacher")
    deputy = await sign_in_as(appliance, log.port, Role.DEPUTY, [Scope("person", "nobody")], "Dee Deputy")
    clients = (log.it, log.lead, deputy, teacher)
    heard: list[dict[str, Any]] = []
    live = appliance.live
    async with (
        live.subscribe(lambda: clients[0].actor.permissions, clients[0].account) as one,
        live.subscribe(lambda: clients[1].actor.permissions, clients[1].account) as two,
        live.subscribe(lambda: clients[2].actor.permissions, clients[2].account) as three,
        live.subscribe(lambda: clients[3].actor.permissions, clients[3].account) as four,
    ):
        await log.receive(record())
        for subscriber in (one, two, three, four):
            found = {}
            while not subscriber.messages.empty():
                message = subscriber.messages.get_nowait()
                found[message.topic] = json.loads(message.data)
            heard.append(found)
    of_it, of_lead, of_deputy, of_teacher = heard
    assert of_it.keys() == {TOPIC}
    assert log.ada not in str(of_it)
    assert "Ada" not in str(of_it)
    assert (of_it[TOPIC][0]["device"], of_it[TOPIC][0]["name"]) == ("Laptop 7", "ads.example")
    assert of_lead[PEOPLE_TOPIC][0]["person"] == "Ada Okafor"
    assert of_deputy[PEOPLE_TOPIC][0]["person"] == "Somebody about whom you may not know"
    assert log.ada not in str(of_deputy)
    assert of_teacher == {}


async def test_the_page_about_somebody_asks_why_and_is_on_record(log: Log) -> None:
    await log.receive(record(), record("b.example", client="10.7.0.2"))
    path = f"/dns_filter/person?id={log.ada}"
    page = await log.page(log.lead, path)
    assert Reason.WORRIED.words in page
    assert "ads.example" not in page
    await log.house.appliance.looks.look(log.lead.actor, log.ada, Reason.WORRIED)
    page = await log.page(log.lead, path)
    assert "ads.example" in page
    assert "b.example" not in page  # somebody else on her laptop
    rows = await log.house.appliance.records.fetch("SELECT action, subject FROM audit ORDER BY seq DESC LIMIT 1")
    assert tuple(rows[0]) == ("looked at the sites that were asked for by", f"person {log.ada}")
    await log.page(log.lead, "/dns_filter/person?id=nobody", 404)
    await log.page(log.lead, "/dns_filter/person", 404)


async def test_the_directory_leads_to_what_was_asked_for(log: Log) -> None:
    of_laptop, of_ada = f'href="/dns_filter/device?of={log.laptop}"', f'href="/dns_filter/person?id={log.ada}"'
    for client in (log.it, log.lead):
        assert of_laptop in await log.page(client, f"/devices/{log.laptop}")
    await log.house.appliance.looks.look(log.lead.actor, log.ada, Reason.WORRIED)
    assert of_ada in await log.page(log.lead, f"/people/{log.ada}")
    assert of_ada not in await log.page(log.it, f"/people/{log.ada}")
    for link in (of_laptop, of_ada):
        await log.page(log.lead, link.removeprefix('href="').removesuffix('"'))


# The log as a file


async def lines_of(who: Client, query: str = "") -> list[dict[str, str]]:
    answer = await who.get(f"/dns_filter/queries.csv{query}")
    assert answer.status == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))


async def test_the_file_says_what_the_page_says_of_all_kept_days(log: Log) -> None:
    old, too_old = (stamp(now() - timedelta(days=days)) for days in (6, 8))
    await log.receive(
        record(count=3), record("mojeek.com", t=old, why="service", rule="unsafe_search", list="", category=""),
        record("gone.example", t=too_old), record("b.example", client="10.9.0.9", t=stamp(now() - timedelta(hours=1))),
    )  # fmt: skip
    first, second, third = await lines_of(log.it)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", first.pop("Time"))
    assert first == {
        "Device": "Laptop 7", "Address": "10.7.0.1", "Group": "year7", "Profile": "pupil", "Name": "ads.example",
        "Query": "A", "What happened": "Blocked", "Why": "It is on the list ads", "Kind of site": "Gambling",
        "Times": "3",
    }  # fmt: skip
    assert (second["Device"], second["Address"], second["Name"]) == ("10.9.0.9", "", "b.example")
    assert (third["Name"], third["Why"]) == (
        "mojeek.com", "The service Search engines without a safe mode is switched off",
    )  # fmt: skip


async def test_the_file_has_the_same_filters_and_the_page_leads_to_it(log: Log) -> None:
    await log.receive(record(), record("news.example", verdict="allowed", client="10.9.0.1", list="", category=""))
    for query in ("verdict=blocked", "who=10.7.0.1", "who=laptop+7", "category=gambling", "name=ADS"):
        assert [line["Name"] for line in await lines_of(log.it, f"?{query}")] == ["ads.example"], query
    assert await lines_of(log.it, "?who=nobody") == []
    page = await log.page(log.it, "/dns_filter?verdict=blocked&who=laptop+7&name=%26x")
    assert 'href="/dns_filter/queries.csv?verdict=blocked&amp;who=laptop+7&amp;name=%26x"' in page
    assert "Download what fits of the last 7 days" in page
    page = await log.page(log.it, "/dns_filter")
    assert '<a href="/dns_filter/queries.csv">Download everything of the last 7 days (CSV)</a>' in page


async def test_the_file_names_nobody_whom_the_page_would_not_name(log: Log) -> None:
    cat = await log.house.appliance.directory.add(log.lead.actor, Details("pupil", "Cat Whitlock"))
    deputy = await sign_in_as(log.house.appliance, log.port, Role.DEPUTY, [Scope("person", cat)], "Dan Deputy")
    teacher = await sign_in_as(log.house.appliance, log.port, Role.TEACHER, [Scope("person", log.ada)], "Tim Teacher")
    await log.receive(record(), record("b.example", client="10.7.0.2"))
    by_name = {line["Name"]: (line["Who"], line["How that is known"]) for line in await lines_of(log.lead)}
    assert by_name == {
        "ads.example": ("Ada Okafor", "by the account that the browser is signed in with"),
        "b.example": ("Unknown", ""),
    }
    of_deputy = {line["Name"]: line["Who"] for line in await lines_of(deputy)}
    assert of_deputy == {"ads.example": "Somebody about whom you may not know", "b.example": "Unknown"}
    for line in await lines_of(log.it):
        assert "Who" not in line
        assert "Ada" not in str(line)
    assert (await teacher.get("/dns_filter/queries.csv")).status == 403
    assert (await log.it.get("/dns_filter/queries.csv", signed_in=False)).status in (303, 401, 403)


async def test_no_line_of_the_file_can_become_a_formula(log: Log) -> None:
    await log.receive(record('=HYPERLINK("x").example'), record("-odd.example"), record("@a.example"))
    names = {line["Name"] for line in await lines_of(log.it)}
    assert names == {'\'=HYPERLINK("x").example', "'-odd.example", "'@a.example"}


async def test_a_place_of_help_is_not_in_the_file_and_what_is_not_kept_is_not_there(log: Log) -> None:
    rows = [row async for row in _rows_of(log, record("www.help.example"))]
    await log.queries.store.add(rows)
    changed = log.queries._settings.model_copy(update={"log_detail": "no_device"})
    log.queries._settings = log.queries.views._settings = changed
    await log.receive(record())
    (line,) = await lines_of(log.lead)
    assert (line["Device"], line["Address"], line["Who"]) == ("not kept", "", "Not kept")


async def test_taking_the_file_is_on_record_with_what_was_asked_for(log: Log) -> None:
    await lines_of(log.it, "?verdict=blocked&name=ads")
    found = await log.house.appliance.records.fetch(
        "SELECT actor, action, subject, detail FROM audit ORDER BY seq DESC LIMIT 1"
    )
    *who_and_what, detail = found[0]
    assert who_and_what == [log.it.actor.name, "looked at, and downloaded, the query log of", "the web filter"]
    assert json.loads(detail) == {"days": 7, "verdict": "blocked", "name": "ads"}


async def test_a_long_file_comes_in_pieces_each_line_once_and_the_newest_first(log: Log) -> None:
    start = now() - timedelta(days=2)
    records = [
        record(f"x{number}.example", t=stamp(start + timedelta(seconds=7 * number)), client=f"10.9.{number % 5}.1")
        for number in range(3 * PIECE)
    ]
    records += [
        record(f"y{number}.example", t=records[0]["t"], client=f"10.8.0.{number % 9}") for number in range(PIECE)
    ]
    await log.receive(*records)
    found = rows_of(log.queries.store, Filters(), now() - timedelta(days=7), now() + timedelta(minutes=1))
    sizes = [len(some) async for some in found]
    assert len(sizes) > 30
    assert max(sizes) <= PIECE
    lines = await lines_of(log.it)
    assert sorted(line["Name"] for line in lines) == sorted(one["name"] for one in records)
    assert [line["Time"] for line in lines] == sorted((line["Time"] for line in lines), reverse=True)


# Help-seeking places, and the filter's own test


async def test_a_help_seeking_place_is_nowhere_even_if_the_worker_reports_it(log: Log) -> None:
    live = log.house.appliance.live
    async with live.subscribe(lambda: log.it.actor.permissions, log.it.account) as stream:
        await log.receive(
            record("www.help.example", verdict="allowed"), record("HELP.example"), record("x.example", verdict="exempt")
        )
        assert stream.messages.empty()
    kept = await log.kept()
    assert "help" not in kept.lower()
    assert "x.example" not in kept
    assert (await log.queries.store.summary("2020-01-01T00:00:00.000Z")).answered == 0


async def test_a_place_that_becomes_one_later_is_not_shown_any_more(log: Log) -> None:
    rows = [row async for row in _rows_of(log, record("www.help.example"), record("news.example"))]
    await log.queries.store.add(rows)
    paths = ["/dns_filter", "/dns_filter?name=help.example", "/dns_filter/top", f"/dns_filter/device?of={log.laptop}"]
    for path in paths:
        page = await log.page(log.it, path)
        assert "www.help.example" not in page, path
    assert "news.example" in page


async def _rows_of(log: Log, *records: dict[str, Any]) -> AsyncIterator[Any]:
    """Rows as they stand in the store, however they came there."""
    for one in records:
        yield row_of(one, log.queries.who(one["client"]), "year7")


async def test_the_filter_s_own_test_is_not_in_the_log(log: Log) -> None:
    await log.receive(record(client="127.83.0.1"), record("news.example", client="127.0.0.1"))
    kept = await log.kept()
    assert "127.83.0.1" not in kept
    assert "news.example" in kept


# Levels of detail


@pytest.mark.parametrize(
    ("detail", "words", "gone"),
    [
        ("no_person", "keep no person", ["ADA"]),
        ("no_device", "only the group", ["ADA", "LAPTOP", "10.7.0.1"]),
        ("off", "keep no names", ["ADA", "LAPTOP", "10.7.0.1", "ads.example", "year7"]),
    ],
)
async def test_a_lower_level_counts_from_then_on_and_the_page_says_so(
    log: Log, detail: str, words: str, gone: list[str]
) -> None:
    changed = log.queries._settings.model_copy(update={"log_detail": detail})
    log.queries._settings = log.queries.views._settings = changed
    await log.receive(record(count=3))
    kept = await log.kept()
    for one in gone:
        assert {"ADA": log.ada, "LAPTOP": log.laptop}.get(one, one) not in kept
    page = await log.page(log.lead, "/dns_filter")
    assert words in page
    assert "Not kept" in page
    assert (await log.queries.store.summary("2020-01-01T00:00:00.000Z")).blocked == 3


# The pages


async def test_an_empty_page_says_what_to_do(log: Log) -> None:
    page = await log.page(log.it, "/dns_filter")
    assert "dig @127.0.0.1 -p 5300 www.example.org" in page
    assert f'data-live-list="{TOPIC}"' in page
    assert f'data-live-list="{PEOPLE_TOPIC}"' in await log.page(log.lead, "/dns_filter")
    assert "Nothing was blocked in this time" in await log.page(log.it, "/dns_filter/top")
    assert "Nothing was asked for" in await log.page(log.it, "/dns_filter/device?of=10.9.9.9")
    await log.page(log.it, "/dns_filter/device", 404)
    await log.page(log.it, "/dns_filter/device?of=nosuch", 404)


async def test_why_is_asked_for_the_device_that_it_was_and_names_nobody(log: Log) -> None:
    await log.receive(record(), record("b.example", client="10.9.0.9"))
    page = await log.page(log.it, f"/dns_filter/device?of={log.laptop}")
    assert f'href="/dns_filter/explain?name=ads.example&amp;client={log.laptop}"' in page
    explained = await log.page(log.it, f"/dns_filter/explain?name=ads.example&client={log.laptop}")
    assert "The device Laptop 7" in explained
    assert 'name="client" value="Laptop 7"' in explained
    page = await log.page(log.it, "/dns_filter/device?of=10.9.0.9")
    assert 'href="/dns_filter/explain?name=b.example&amp;client=10.9.0.9"' in page
    await log.house.appliance.looks.look(log.lead.actor, log.ada, Reason.WORRIED)
    page = await log.page(log.lead, f"/dns_filter/person?id={log.ada}")
    assert "explain?name=ads.example&amp;client=pupil" in page
    assert "client=Ada" not in page


async def test_queries_are_filtered(log: Log) -> None:
    news = record("News.example", verdict="allowed", client="10.9.0.1", list="", category="", why="")
    await log.receive(record(), news)
    page = await log.page(log.it, "/dns_filter")
    assert "ads.example" in page
    assert "News.example" in page
    for query in (
        "verdict=blocked", "who=10.7.0.1", "who=year7", "who=laptop+7", "category=gambling", "name=ADS",
        "verdict=blocked&who=year7",
    ):  # fmt: skip
        page = await log.page(log.it, f"/dns_filter?{query}")
        assert "ads.example" in page, query
        assert "News.example" not in page, query
        assert "data-live-list" not in page
    assert "Nothing like this" in await log.page(log.it, "/dns_filter?who=nobody")
    assert "News.example" in await log.page(log.it, "/dns_filter?verdict=nonsense")


async def test_a_name_cannot_become_markup(log: Log) -> None:
    await log.receive(record("<b>x</b>.example"))
    page = await log.page(log.it, "/dns_filter?who=%3Cscript%3E&name=%22%3E%3Ci%3E")
    assert "<script>" not in page
    assert '"><i>' not in page
    for path in ("/dns_filter", "/dns_filter/top", f"/dns_filter/device?of={log.laptop}"):
        page = await log.page(log.it, path)
        assert "&lt;b&gt;x&lt;/b&gt;.example" in page
        assert "<b>x</b>" not in page


async def test_the_rest_of_many_names_is_shown_plainly(log: Log) -> None:
    second = stamp().removesuffix("Z")[:-3]
    records = [record(t=f"{second}{number:03}Z", name=f"x{number}.example") for number in range(ROWS_OF_ONE + 42)]
    await log.receive(*records)
    page = await log.page(log.it, "/dns_filter")
    assert f'{MANY_NAMES} <br><span class="muted">after {ROWS_OF_ONE} in this minute</span>' in page
    assert '<td data-label="Times" class="number">42</td>' in page
    assert f"more than {ROWS_OF_ONE} names in one minute" in page


async def test_the_most_asked_and_the_devices(log: Log) -> None:
    old = stamp(now() - timedelta(days=3))
    await log.receive(record(count=1234), record("old.example", t=old), record("b.example", client="10.9.0.1"))
    page = await log.page(log.it, "/dns_filter/top")
    assert "1,234" in page
    assert f'<a href="/dns_filter/device?of={log.laptop}"><bdi>Laptop 7</bdi></a>' in page
    assert '<a href="/dns_filter/device?of=10.9.0.1"><bdi>10.9.0.1</bdi></a>' in page
    assert "old.example" not in page
    assert "old.example" in await log.page(log.it, "/dns_filter/top?period=week")


async def test_one_device_from_the_newest_query_to_the_oldest_site(log: Log) -> None:
    await log.receive(record(), record("www.older.example", t=stamp(now() - timedelta(days=8))))
    await log.queries.roll_up()
    page = await log.page(log.it, f"/dns_filter/device?of={log.laptop}")
    assert f'href="/devices/{log.laptop}"' in page
    earlier = page[page.index('id="earlier"') :]
    assert "older.example" in earlier
    assert "www.older.example" not in page
    assert "ads.example" in page[: page.index('id="earlier"')]
    assert "ads.example" not in earlier


async def test_a_row_of_another_day_says_so(log: Log) -> None:
    times = [log.queries.views.presenting.time(stamp(now() - timedelta(days=days))) for days in (0, 3)]
    assert [bool(re.match(r"[A-Z][a-z]{2} \d\d:", time)) for time in times] == [False, True]


async def test_the_card_is_on_the_home_page(log: Log) -> None:
    assert "No device has asked in the last hour" in await log.page(log.it, "/")
    await log.receive(record(count=1234), record(verdict="would block", profile="staff"))
    page = await log.page(log.it, "/")
    assert "1,235" in page
    assert "1,234" in page
    assert "This card could not be made" not in page


async def test_how_the_name_servers_are(log: Log) -> None:
    assert "has not said yet" in await log.page(log.it, "/dns_filter/upstreams")
    servers = [
        {"server": "10.0.0.1", "state": "up", "ms": 3.2, "failures": 0},
        {"server": "10.0.0.2", "state": "resting", "ms": 0.0, "failures": 17},
    ]
    health = {"kind": "health", "upstreams": servers, "cache": {"hits": 75, "misses": 25}, "dropped": 1234}
    await log.receive(health, record())
    page = await log.page(log.it, "/dns_filter/upstreams")
    for words in ("10.0.0.2", "Does not answer", "Answers", "3 ms", "75 of 100", "1,234"):
        assert words in page
    assert "ads.example" in await log.kept()


async def test_the_lead_chooses_of_what_she_is_told(log: Log) -> None:
    await log.page(log.it, "/dns_filter/told", 403)
    page = await log.page(log.lead, "/dns_filter/told")
    assert re.search(r'name="adult".*?value="capture" selected', page, re.DOTALL)
    for key in ("bypass", "gambling", "hacking", "alcohol_tobacco", "ai_chat"):
        assert re.search(rf'name="{key}".*?</select>', page, re.DOTALL)[0].count('value="nothing" selected') == 1
    form = {"adult": "alert", "drugs": "nothing", "weapons": "capture", "gambling": "alert", "dating": "nonsense"}
    assert (await log.lead.post("/dns_filter/told", form)).status == 303
    kinds = ("adult", "drugs", "weapons", "dating", "gambling", "bypass")
    told = {key: log.queries.telling.told(key).value for key in kinds}
    assert told == {
        "adult": "alert", "drugs": "nothing", "weapons": "capture", "dating": "capture", "gambling": "alert",
        "bypass": "nothing",
    }  # fmt: skip
    rows = await log.house.appliance.records.fetch("SELECT category, set_by FROM dns_filter_told ORDER BY category")
    assert [tuple(row) for row in rows] == [(key, "Lea Lead") for key in ("adult", "drugs", "gambling")]  # the changes
    page = await log.page(log.lead, "/dns_filter/told")
    assert "Chosen by Lea Lead" in page
    await log.page(log.lead, "/dns_filter")  # takes the word about the change
    assert (await log.lead.post("/dns_filter/told", {"adult": "alert"})).status == 303
    assert "Nothing was changed" in await log.page(log.lead, "/dns_filter/told")


async def test_of_what_no_list_is_about_she_reads_that_it_is_never_noticed(log: Log) -> None:
    page = await log.page(log.lead, "/dns_filter/told")
    assert "you are told nothing, whatever you choose: no list says which websites belong to them" in page
    assert re.search(r'id="child_abuse-hint">Not noticed yet: no list is about it', page)
    log.queries.told.hungry = tuple
    assert "Not noticed yet" not in await log.page(log.lead, "/dns_filter/told")


async def test_who_answered_is_said_in_words(log: Log) -> None:
    await log.receive(record(upstream="cache"), record("b.example", upstream="10.0.0.1", ms=12.0))
    page = await log.page(log.it, "/dns_filter")
    assert "A, answered from memory" in page
    assert "A, answered by 10.0.0.1 in 12 ms" in page
