"""The filter's own test, and the record of checks: what was asked, what was found, who hears of it."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import pytest
import pytest_asyncio
from accounts import no_store_is_left_open
from dnslib import EDNS0, QTYPE, RCODE, RR, A, DNSRecord, EDNSOption

from appliance.clock import now
from appliance.errors import Refused
from appliance.hookspecs import Check, State
from appliance_plugins.dns_filter.answerer.rules import CANARY_NAMES
from appliance_plugins.dns_filter.queries.checks import asking
from appliance_plugins.dns_filter.queries.checks.addresses import addresses, is_test_client, probe_name
from appliance_plugins.dns_filter.queries.checks.asking import Answer, ask, read_answer, to_ask
from appliance_plugins.dns_filter.queries.checks.csv_file import HEADINGS
from appliance_plugins.dns_filter.queries.checks.selftest import Plan, plans, run
from appliance_plugins.dns_filter.queries.checks.store import Found, Result
from appliance_plugins.dns_filter.queries.spreadsheet import plain_cell

__all__ = ["no_store_is_left_open"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

SAFE = "192.0.2.120"
TITLES = {"adult": "Adult content", "terrorism": "Terrorist material", "gambling": "Gambling"}
PROFILES = {"pupil": ("Pupils", {"adult", "terrorism"})}
HELPLINE = "help.example"


class FakeFilter(asyncio.DatagramProtocol):
    """A filter on a socket of its own. It answers like a good one, but for what a test takes from it."""

    def __init__(self) -> None:
        self.blocked = {probe_name(key) for key in TITLES}
        self.missing = set(CANARY_NAMES)
        self.addresses = {"www.google.com": {SAFE}, "forcesafesearch.google.com": {SAFE, "192.0.2.121"}}
        self.silent = False
        self.asked: list[tuple[str, str]] = []
        self.transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    @property
    def port(self) -> int:
        assert self.transport is not None
        return int(self.transport.get_extra_info("sockname")[1])

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = DNSRecord.parse(data)
        name = str(query.q.qname).rstrip(".")
        self.asked.append((addr[0], name))
        if self.silent or self.transport is None:
            return
        reply = query.reply(ra=1)
        if name in self.blocked:
            reply.header.rcode = RCODE.NXDOMAIN
            reply.add_ar(EDNS0(udp_len=1232, opts=[EDNSOption(asking.EDE, b"\x00\x0fadult")]))
        elif name in self.missing or name.endswith(".invalid"):
            reply.header.rcode = RCODE.NXDOMAIN
        for address in sorted(self.addresses.get(name, ())):
            reply.add_answer(RR(query.q.qname, QTYPE.A, rdata=A(address), ttl=60))
        self.transport.sendto(b"not an answer", addr)
        self.transport.sendto(bytes(reply.pack()), addr)


@pytest_asyncio.fixture(loop_scope="module")
async def fake() -> AsyncIterator[FakeFilter]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(FakeFilter, local_addr=("127.0.0.1", 0))
    yield protocol
    transport.close()


def snapshot(mode: str = "block", **policy: Any) -> dict[str, Any]:
    written = {
        "profile": "pupil", "mode": mode, "lists": ["adult-one", "casinos"], "only": False, "bypass": True,
        "rewrites": {"google.com": "forcesafesearch.google.com", "www.google.com": "forcesafesearch.google.com"},
        **policy,
    }  # fmt: skip
    return {
        "lists": {
            "adult-one": {"title": "One", "category": "adult", "locked": False},
            "casinos": {"title": "Casinos", "category": "gambling", "locked": False},
            "police": {"title": "Police", "category": "terrorism", "locked": True},
            "spare": {"title": "Spare", "category": "other", "locked": False},
        },
        "policies": {"pupil": written, "pupil+pause": {**written, "mode": "off"}},
        "clients": {"10.0.0.7": [["pupil", None]], "127.83.0.1": [["pupil+pause", 1000.0], ["pupil", None]]},
    }  # fmt: skip


def plan_of(mode: str = "block", at: float = 2000.0, **policy: Any) -> Plan:
    (plan,) = plans(snapshot(mode, **policy), TITLES, PROFILES, HELPLINE, at)
    return plan


async def found_by(fake: FakeFilter, plan: Plan) -> Found:
    async def ask_it(source: str, name: str) -> Answer | None:
        return await ask("127.0.0.1", fake.port, source, name, seconds=5.0 if not fake.silent else 0.01)

    return await run(plan, ask_it, date(2026, 11, 26), "Example School")


# What is asked


async def test_each_profile_has_an_address_of_this_machine_that_nobody_else_has() -> None:
    found = addresses(f"profile{number}" for number in range(300))
    assert len(found) == 300
    assert found["127.83.0.1"] == "profile0"
    assert all(map(is_test_client, found))
    assert not any(map(is_test_client, ("127.0.0.1", "10.127.83.1", "127.8.3.1", "::1")))


async def test_what_is_asked_follows_from_what_the_profile_promises() -> None:
    plan = plan_of()
    assert (plan.address, plan.profile, plan.mode, plan.empty) == ("127.83.0.1", "Pupils", "block", ())
    assert [(case.kind, case.name) for case in plan.cases] == [
        ("blocked", "adult.filter-test.invalid"),
        ("blocked", "terrorism.filter-test.invalid"),  # a locked list counts always
        ("blocked", "gambling.filter-test.invalid"),
        *[("canary", name) for name in CANARY_NAMES],
        ("safe search", "google.com"),
        ("open", HELPLINE),
    ]
    assert plan_of(at=500.0).mode == "off"  # paused until 1000
    without = plan_of(lists=["casinos"], bypass=False, rewrites={})
    assert without.empty == ("Adult content",)
    assert {case.kind for case in without.cases} == {"blocked", "open"}
    assert "safe search" not in {case.kind for case in plan_of(only=True).cases}


async def test_the_address_at_which_the_filter_answers() -> None:
    listens: tuple[list[str], ...] = (["0.0.0.0", "::"], ["10.0.0.2"], ["::", "10.0.0.3"], ["::"], ["::1"], [])
    assert [to_ask(listen) for listen in listens] == ["127.0.0.1", "10.0.0.2", "10.0.0.3", "127.0.0.1", "", ""]


async def test_only_an_answer_to_the_question_is_one() -> None:
    query = DNSRecord.question("a.example")
    assert read_answer(bytes(query.pack()), query.header.id) is None
    assert read_answer(bytes(query.reply().pack()), query.header.id + 1) is None
    assert read_answer(b"", 1) is None
    assert read_answer(bytes(query.reply().pack()), query.header.id) == Answer("NOERROR", False, frozenset())


# What is found


async def test_a_search_engine_that_the_school_blocks_is_safe(fake: FakeFilter) -> None:
    fake.blocked.add("google.com")
    assert (await found_by(fake, plan_of())).result is Result.PASSED


async def test_a_filter_that_does_what_it_promises(fake: FakeFilter) -> None:
    fake.addresses["google.com"] = {SAFE}
    found = await found_by(fake, plan_of())
    assert (found.result, found.profile, found.who, found.place) == (
        Result.PASSED, "Pupils", "the appliance", "Example School",
    )  # fmt: skip
    assert found.words == "8 of 8 as they should be."
    assert {source for source, _ in fake.asked} == {"127.83.0.1"}
    assert not [name for _, name in fake.asked if not name.endswith((".invalid", ".net", ".com", HELPLINE))]


async def test_everything_that_goes_wrong_is_found(fake: FakeFilter) -> None:
    fake.addresses |= {"google.com": {"192.0.2.9"}}
    fake.blocked = {probe_name("adult"), probe_name("gambling"), HELPLINE}  # not what is unlawful, but a place of help
    fake.missing = {CANARY_NAMES[0], CANARY_NAMES[1]}
    found = await found_by(fake, plan_of())
    assert found.result is Result.FAILED
    for words in ("4 of 8", "Terrorist material", CANARY_NAMES[2], "safe search of google.com", f"{HELPLINE} is open"):
        assert words in found.words
    assert "Adult content" not in found.words
    assert found.action


async def test_a_name_that_does_not_exist_is_no_proof_that_it_was_blocked(fake: FakeFilter) -> None:
    fake.blocked = set()
    fake.addresses["google.com"] = {SAFE}
    assert (await found_by(fake, plan_of())).result is Result.FAILED


async def test_without_the_internet_safe_search_could_not_be_tested(fake: FakeFilter) -> None:
    fake.addresses = {}
    found = await found_by(fake, plan_of())
    assert found.result is Result.OPEN
    assert "No answer from outside: safe search of google.com" in found.words


@pytest.mark.parametrize(("mode", "words"), [("watch", "Trial run"), ("off", "paused")])
async def test_a_profile_that_blocks_nothing_is_no_success(fake: FakeFilter, mode: str, words: str) -> None:
    fake.blocked, fake.missing = set(), set()
    fake.addresses["google.com"] = {SAFE}
    found = await found_by(fake, plan_of(mode))
    assert found.result is Result.WATCHING
    assert words in found.words


async def test_a_filter_that_does_not_answer_has_failed(fake: FakeFilter) -> None:
    fake.silent = True
    found = await found_by(fake, plan_of(bypass=False, rewrites={}))
    assert found.result is Result.FAILED
    assert found.words.startswith("0 of ")


async def test_nothing_listens_there() -> None:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    transport.close()
    assert await ask("127.0.0.1", port, "127.83.0.1", "a.example", seconds=5.0) is None


async def test_what_cannot_be_blocked_for_want_of_a_list_is_named(fake: FakeFilter) -> None:
    found = await found_by(fake, plan_of(lists=[], bypass=False, rewrites={}))
    assert "Chosen, but not blocked, because no list says what belongs to it: Adult content." in found.words
    assert found.result is Result.OPEN  # a category that nothing blocks is not as it should be


async def test_a_category_that_nobody_chose_is_not_missed(fake: FakeFilter) -> None:
    fake.addresses["google.com"] = {SAFE}
    (plan,) = plans(snapshot(lists=["casinos"]), TITLES, {"pupil": ("Pupils", {"gambling"})}, HELPLINE, 2000.0)
    assert plan.empty == ()
    assert (await found_by(fake, plan)).result is Result.PASSED


async def test_a_search_engine_that_would_be_blocked_is_no_failure_of_a_trial_run(fake: FakeFilter) -> None:
    """It is asked for from outside as it is: a trial run neither blocks it nor makes it safe."""
    fake.blocked, fake.missing = set(), set()
    fake.addresses["google.com"] = {"192.0.2.9"}

    def would_stop(key: str, name: str) -> bool:
        return (key, name) == ("pupil", "google.com")

    (plan,) = plans(snapshot("watch"), TITLES, PROFILES, HELPLINE, 2000.0, would_stop)
    found = await found_by(fake, plan)
    assert (found.result, "Not as it should be" in found.words) == (Result.WATCHING, False)
    assert (await found_by(fake, plan_of("watch"))).result is Result.FAILED, "one that is not is still one"


async def test_what_a_profile_would_stop_is_known_from_what_was_published(shared: Any) -> None:
    house, _ = shared
    publishing, store = house.plugin.profiles.publishing, house.plugin.profiles.store
    entry = await store.add_entry("Jo", "block", "www.youtube.com", "guest", "A test", None)
    await publishing.publish()
    assert publishing.written["policies"]["guest"]["mode"] == "watch"
    assert publishing.would_stop("guest", "www.youtube.com")
    assert not publishing.would_stop("pupil", "www.youtube.com")
    assert not publishing.would_stop("nobody", "www.youtube.com")
    await store.undo_entry("Jo", entry)
    await publishing.publish()


# In the running plugin


@dataclass
class Box:
    """The plugin of a running appliance with its pages, and a fake filter where its own would be."""

    house: Any
    pages: Any
    fake: FakeFilter

    @property
    def queries(self) -> Any:
        return self.house.plugin.queries

    @property
    def file(self) -> Any:
        return self.house.appliance.workers.folder("dns_filter.dns") / "snapshot.json"

    def write(self, **policy: Any) -> None:
        self.file.write_text(json.dumps(snapshot(**policy)))

    async def checks(self) -> dict[str, Check]:
        return {one.name: one for one in await self.queries.health()}

    async def forget(self) -> None:
        async with self.house.appliance.records.transaction() as tx:
            await tx.execute("DELETE FROM dns_filter_checks")


@pytest_asyncio.fixture(loop_scope="module")
async def box(shared: Any, fake: FakeFilter) -> AsyncIterator[Box]:
    house, pages = shared
    fake.addresses["google.com"] = {SAFE}
    found = Box(house, pages, fake)
    test = house.plugin.queries.self_test
    before, published = test._settings, found.file.read_text()
    test._settings = before.model_copy(update={"port": fake.port})
    found.write()
    yield found
    test._settings = before
    found.file.write_text(published)
    await found.forget()


async def test_the_job_fills_the_record_and_the_status_page_says_how_it_was(box: Box) -> None:
    before = await box.checks()
    assert before["Test of the web filter"].state is State.WARNING
    await box.queries.self_test.every_day()
    (row,) = await box.queries.checks.newest(10)
    assert (row["kind"], row["who"], row["profile"], row["result"], row["account_id"]) == (
        "own", "the appliance", "Pupils", "open", "",
    )  # fmt: skip
    check = (await box.checks())["Test of the web filter"]
    assert (check.state, check.alarm) == (State.WARNING, True)
    assert "Not everything could be tested, or is blocked, for Pupils" in check.words  # nearly nothing has a list here
    box.fake.blocked.discard(probe_name("terrorism"))
    await box.queries.self_test.every_day()
    check = (await box.checks())["Test of the web filter"]
    assert (check.state, check.alarm) == (State.BROKEN, True)
    assert "Pupils" in check.words
    assert len(await box.queries.checks.newest(10)) == 2  # nothing is changed afterwards


async def test_a_record_cannot_be_changed(box: Box) -> None:
    await box.queries.self_test.now()
    with pytest.raises(Exception, match="cannot be changed"):
        async with box.house.appliance.records.transaction() as tx:
            await tx.execute("UPDATE dns_filter_checks SET result = 'passed'")


async def test_without_a_snapshot_or_an_address_there_is_nothing_to_test(box: Box) -> None:
    box.write(profile="pupil")
    box.queries.self_test._settings = box.queries._settings.model_copy(update={"listen": ("::1",)})
    with pytest.raises(Refused, match="IPv4"):
        await box.queries.self_test.now()
    box.file.unlink()
    with pytest.raises(Refused, match="not told anything"):
        await box.queries.self_test.now()
    await box.queries.self_test.every_day()  # the job does not fail for that
    assert await box.queries.checks.newest(10) == []


async def test_what_the_test_asks_reaches_the_real_snapshot(shared: Any) -> None:
    """The snapshot that the profiles publish gives each profile an address for the test."""
    house, _ = shared
    found = plans(house.snapshot(), TITLES, {}, "", now().timestamp())
    names = {one.name for one in house.plugin.queries._settings.profiles}
    assert {plan.profile for plan in found} == names


# The page


TYPED = {
    "day": "2026-11-20", "device": "iPad 12", "place": "Library", "group": "Pupils of year 7",
    "what": "Test Filtering, by SWGfL", "result": "failed", "words": "Adult content was open", "action": "Told IT",
}  # fmt: skip


async def test_a_check_that_a_person_made_is_written_down(box: Box) -> None:
    check = (await box.checks())["Checks of the web filter"]
    assert (check.state, check.alarm) == (State.WARNING, False)
    assert (await box.pages.lead.post("/dns_filter/checks", TYPED)).status == 303
    (row,) = await box.queries.checks.newest(10)
    shown = {key: row[key] for key in ("day", "who", "device", "place", "profile", "result", "words", "action", "kind")}
    assert shown == {
        "day": "2026-11-20", "who": "Lea Lead", "device": "iPad 12", "place": "Library", "profile": "Pupils of year 7",
        "result": "failed", "words": "Adult content was open", "action": "Told IT", "kind": "manual",
    }  # fmt: skip
    page = (await box.pages.lead.get("/dns_filter/checks")).text
    for words in ("Lea Lead", "Library", "Not as it should be", "Told IT", "testfiltering.com"):
        assert words in page
    age = (now().date() - date(2026, 11, 20)).days
    check = (await box.checks())["Checks of the web filter"]
    assert check.state is (State.GOOD if age <= 35 else State.WARNING)


async def test_the_reminder_comes_back(box: Box) -> None:
    test = box.queries.self_test
    for days, state in ((36, State.WARNING), (35, State.GOOD)):
        day = test.today() - timedelta(days=days)
        found = Found(day, "Lea", "iPad", "Library", "pupil", "a test page", Result.PASSED, "", "")
        await box.forget()
        actor = type("Somebody", (), {"account": "1", "name": "Lea"})()
        await box.queries.checks.keep_manual(actor, found)
        assert (await box.checks())["Checks of the web filter"].state is state


@pytest.mark.parametrize(
    ("field_", "value", "words"),
    [
        ("day", "soon", "Give the day"),
        ("day", "2999-01-01", "lies in the future"),
        ("device", " ", "Say which device"),
        ("place", "", "Say where"),
        ("group", "", "for which group"),
        ("what", "", "what was tested"),
        ("result", "wonderful", "Say what came of it"),
        ("action", "", "what you have done about it"),
    ],
)
async def test_a_mistake_loses_nothing(box: Box, field_: str, value: str, words: str) -> None:
    answer = await box.pages.it.post("/dns_filter/checks", {**TYPED, field_: value})
    assert answer.status == 422
    assert words in answer.text
    assert "Adult content was open" in answer.text
    assert await box.queries.checks.newest(10) == []


async def test_test_now(box: Box) -> None:
    assert (await box.pages.it.post("/dns_filter/checks/run")).status == 303
    page = (await box.pages.it.get("/dns_filter/checks")).text
    assert "1 profile tested" in page
    assert "8 of 8 as they should be" in page


async def test_the_file_holds_everything_and_no_formula(box: Box) -> None:
    evil = {**TYPED, "device": "=HYPERLINK(1)", "words": "@x", "action": "+1; -2", "place": 'Room "9", left'}
    assert (await box.pages.it.post("/dns_filter/checks", evil)).status == 303
    answer = await box.pages.it.get("/dns_filter/checks.csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["Content-Disposition"]
    headings, row = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert tuple(headings) == HEADINGS
    assert row == [
        "2026-11-20", "Ida Technician", "'=HYPERLINK(1)", 'Room "9", left', "Pupils of year 7",
        "Test Filtering, by SWGfL", "Not as it should be", "'@x", "'+1; -2",
    ]  # fmt: skip


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", "\r1", " =1", "\n=1"])
async def test_what_could_become_a_formula_gets_an_apostrophe(text: str) -> None:
    assert plain_cell(text) == f"'{text}"
    assert plain_cell(f"a{text}") == f"a{text}"
