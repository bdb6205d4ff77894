"""What of the log concerns the safeguarding lead: how it is handed in, and that little of it is."""

from __future__ import annotations

from typing import Any

import pytest

from appliance.observations import Severity
from appliance_plugins.dns_filter.lists import shipped
from appliance_plugins.dns_filter.queries.noticing.store import Choice, Told
from appliance_plugins.dns_filter.queries.noticing.telling import Telling
from appliance_plugins.dns_filter.queries.records import MANY_NAMES, QueryRow, Somebody, row_of

ADA = Somebody("laptop-7", "ada", "browser profile")


@pytest.fixture
def telling() -> Telling:
    return Telling(None, None, shipped.categories())  # type: ignore[arg-type]  # asked for rows only


def row(name: str = "www.adult.example", who: Somebody = ADA, **parts: Any) -> QueryRow:
    record = {
        "t": "2026-11-24T09:30:01.000Z", "client": "10.7.0.1", "name": name, "type": "A", "verdict": "blocked",
        "why": "list", "list": "adult-one", "rule": "adult.example", "category": "adult", "profile": "pupil",
        "upstream": "", "ms": 1.0, "count": 1, **parts,
    }  # fmt: skip
    return row_of(record, who, "year7")


def test_every_category_that_concerns_safeguarding_is_one_of_the_appliance(tmp_path: Any) -> None:
    from pathlib import Path  # noqa: PLC0415

    from appliance.categories import Categories  # noqa: PLC0415

    known = {one.key for one in Categories.load(Path(__file__).parents[3] / "etc" / "categories.yaml").all()}
    assert {each.safeguarding for each in shipped.categories().values() if each.safeguarding} <= known


def test_a_page_with_its_trackers_and_types_is_handed_in_once(telling: Telling) -> None:
    rows = [row(f"t{number}.adult.example", type=type_) for number in range(20) for type_ in ("A", "AAAA", "HTTPS")]
    (asked,) = telling.asked(rows)
    assert (asked.host, asked.times, asked.device, asked.person, asked.claim, asked.source) == (
        "t0.adult.example", 60, "laptop-7", "ada", "browser profile", "dns_filter",
    )  # fmt: skip
    finding = asked.finding
    assert finding is not None
    assert (finding.category, finding.policy, finding.term, finding.severity) == (
        "adult", "Web filter", "category/adult", Severity.MODERATE,
    )  # fmt: skip
    assert (finding.start, finding.end) == (0, len(asked.host))
    assert "blocked it" in finding.definition


def test_what_would_have_been_blocked_counts_and_says_so(telling: Telling) -> None:
    (asked,) = telling.asked([row(verdict="would block")])
    assert asked.finding is not None
    assert "trial run" in asked.finding.definition


@pytest.mark.parametrize(
    ("parts", "why"),
    [
        ({"verdict": "allowed"}, "it was open"),
        ({"category": "gambling"}, "a kind that concerns nobody who has not chosen to hear of it"),
        ({"category": ""}, "the school's own entry"),
        ({"category": "unheard-of"}, "a kind that is not known"),
    ],
)
def test_only_the_name_of_other_sites_is_judged(telling: Telling, parts: dict[str, Any], why: str) -> None:
    (asked,) = telling.asked([row(**parts), row(**parts, type="AAAA")])
    assert (asked.finding, asked.alert, asked.times) == (None, False, 2), why


def test_nobody_known_on_no_known_device_is_not_handed_in(telling: Telling) -> None:
    assert telling.asked([row(who=Somebody())]) == []
    assert telling.asked([row(MANY_NAMES, type="")]) == []
    (asked,) = telling.asked([row(who=Somebody("laptop-7"))])
    assert (asked.device, asked.person) == ("laptop-7", None)


def test_two_pupils_and_two_kinds_are_handed_in_apart(telling: Telling) -> None:
    ben = Somebody("laptop-7", "ben", "browser profile")
    rows = [row(), row(who=ben), row(category="drugs"), row("news.example", verdict="allowed")]
    assert len(telling.asked(rows)) == 4


@pytest.mark.parametrize(
    ("category", "told", "finding", "alert"),
    [
        ("adult", None, True, False),  # what comes with the appliance
        ("self_harm", None, True, True),
        ("adult", Told.ALERT, True, True),
        ("self_harm", Told.CAPTURE, True, False),
        ("adult", Told.NOTHING, False, False),
    ],
)
def test_the_lead_s_choice_counts(
    telling: Telling, category: str, told: Told | None, finding: bool, alert: bool
) -> None:
    if told is not None:
        telling.choices = {category: Choice(told, "2026-11-24T09:00:00.000Z", "Lea Lead")}
    (asked,) = telling.asked([row(category=category)])
    assert (asked.finding is not None, asked.alert) == (finding, alert)


@pytest.mark.parametrize(
    ("category", "parts", "found"),
    [
        ("gambling", {}, "is on the list adult-one"),
        ("bypass", {}, "is on the list adult-one"),
        ("hacking", {}, "is on the list adult-one"),
        ("ai_chat", {"category": "", "why": "service", "rule": "chatgpt", "list": ""}, "belongs to a service"),
    ],
)
def test_she_may_choose_to_hear_of_kinds_that_are_no_sign_of_harm(
    telling: Telling, category: str, parts: dict[str, Any], found: str
) -> None:
    site = row(**{"category": category, **parts})
    assert [one.finding for one in telling.asked([site])] == [None]
    telling.choices = {category: Choice(Told.ALERT, "2026-11-24T09:00:00.000Z", "Lea Lead")}
    (asked,) = telling.asked([site])
    assert asked.alert
    assert asked.finding is not None
    assert (asked.finding.category, asked.finding.term) == ("blocked_site", f"category/{category}")
    assert found in asked.finding.found


async def test_what_the_worker_reports_reaches_the_captures(house: Any, pages: Any) -> None:
    """From a record of the worker to a capture and an alert of a pupil who is monitored."""
    from appliance.assignments import Target, TargetKind  # noqa: PLC0415
    from appliance.clock import stamp  # noqa: PLC0415
    from appliance.people.devices import DeviceDetails  # noqa: PLC0415
    from appliance.people.directory import Details  # noqa: PLC0415

    appliance, queries = house.appliance, house.plugin.queries
    ada = await appliance.directory.add(pages.lead.actor, Details("pupil", "Ada Okafor"))
    laptop = await appliance.directory.devices.add(pages.lead.actor, DeviceDetails("Laptop 7"))
    queries.who = lambda _: Somebody(laptop, ada, "browser profile")
    await appliance.monitoring.start()
    await appliance.alerts.start()
    target = Target(TargetKind.PERSON, ada)
    record = {
        "t": stamp(), "client": "10.7.0.1", "name": "bad.example", "type": "A", "verdict": "blocked", "why": "list",
        "list": "bad", "rule": "bad.example", "category": "self_harm", "profile": "pupil", "upstream": "", "ms": 1.0,
        "count": 3,
    }  # fmt: skip
    await queries.receive([record], 0)
    assert appliance.handed_in._queue.empty()  # she is not monitored
    await appliance.assignments.assign("a test", "monitoring", target, "on", "a test", None)
    await appliance.monitoring.refresh()
    own, helps = {**record, "client": "127.83.0.1"}, {**record, "name": "www.help.example"}
    await queries.receive([record, {**record, "type": "AAAA"}, own, helps], 0)
    asked = appliance.handed_in._queue.get_nowait()
    assert appliance.handed_in._queue.empty()
    assert (asked.host, asked.times, asked.person, asked.device, asked.alert) == ("bad.example", 6, ada, laptop, True)
    assert asked.finding.category == "suicide"
