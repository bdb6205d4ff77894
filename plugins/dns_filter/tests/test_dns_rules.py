"""Decisions: what is said of a name, in which order; who gets which policy and until when."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from resolver_bench import policy, snapshot, table

from appliance_plugins.dns_filter.answerer.rules import Decision, decide
from appliance_plugins.dns_filter.answerer.table import ALLOW, BELOW, EXACT, IMPORTANT, Table
from appliance_plugins.dns_filter.answerer.wire import to_wire
from appliance_plugins.dns_filter.answerer.world import World, WorldError

BOTH = EXACT | BELOW
LISTS = {
    "adult": {"title": "Adult", "category": "adult", "locked": False},
    "ads": {"title": "Ads", "category": "advertising", "locked": False},
    "iwf": {"title": "IWF", "category": "illegal", "locked": True},
    "bypass": {"title": "Bypass", "category": "bypass", "locked": False},
}
A, MX, HTTPS, AAAA = 1, 15, 65, 28


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> Table:
    return table(
        tmp_path_factory.mktemp("lists"),
        ("adult", BOTH, ["adult.example", "both.example", "maps.wide.example", "open.example"]),
        ("adult", BOTH | ALLOW, ["health.adult.example"]),
        ("ads", BOTH, ["ads.example", "both.example", "fine.example"]),
        ("ads", EXACT, ["exact.example"]),
        ("ads", BELOW, ["below.example"]),
        ("ads", BOTH | ALLOW, ["fine.example", "good.ads.example", "open.example"]),
        ("ads", BOTH | IMPORTANT, ["insists.example"]),
        ("ads", BOTH | ALLOW, ["insists.example", "www.insists.example"]),
        ("iwf", BOTH, ["illegal.example", "box.example"]),
        ("bypass", BOTH, ["doh.example"]),
        ("adult", BOTH, ["xxx"]),
    )


def verdict(names: Table | None, name: str, qtype: int = A, **parts: Any) -> Decision:
    world_parts = {key: parts.pop(key) for key in ("exempt", "zones", "local") if key in parts}
    world = World.of(snapshot(lists=LISTS, policy=policy(**{"lists": ["adult", "ads"], **parts}), **world_parts), names)
    return decide(to_wire(name), qtype, world.policies["pupil"], world)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("example", Decision("allowed")),
        ("adult.example", Decision("blocked", "list", "adult", "adult.example", "adult")),
        ("a.b.ADULT.example", Decision("blocked", "list", "adult", "adult.example", "adult")),
        ("notadult.example", Decision("allowed")),
        ("any.xxx", Decision("blocked", "list", "adult", "xxx", "adult")),
        ("health.adult.example", Decision("allowed")),
        ("www.health.adult.example", Decision("allowed")),
        ("exact.example", Decision("blocked", "list", "ads", "exact.example", "advertising")),
        ("www.exact.example", Decision("allowed")),
        ("below.example", Decision("allowed")),
        ("www.below.example", Decision("blocked", "list", "ads", "below.example", "advertising")),
        ("fine.example", Decision("allowed")),
        ("good.ads.example", Decision("allowed")),
        ("open.example", Decision("blocked", "list", "adult", "open.example", "adult")),
        ("insists.example", Decision("blocked", "list", "ads", "insists.example", "advertising")),
        ("www.insists.example", Decision("blocked", "list", "ads", "insists.example", "advertising")),
        ("illegal.example", Decision("blocked", "locked list", "iwf", "illegal.example", "illegal")),
        ("doh.example", Decision("allowed")),
        ("", Decision("allowed")),
    ],
)
def test_lists(names: Table, name: str, expected: Decision) -> None:
    assert verdict(names, name) == expected


ENTRIES = [
    ["allow", "adult.example", "1"], ["block", "wide.example", "2"], ["allow", "fine.wide.example", "3"],
    ["block", "same.example", "4"], ["allow", "same.example", "5"], ["allow", "illegal.example", "6"],
    ["allow", "insists.example", "7"], ["block", "health.adult.example", "8"],
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("adult.example", Decision("allowed", "entry", "", "1")),
        ("www.adult.example", Decision("allowed", "entry", "", "1")),
        ("www.wide.example", Decision("blocked", "entry", "", "2")),
        ("fine.wide.example", Decision("allowed", "entry", "", "3")),
        ("maps.wide.example", Decision("blocked", "list", "adult", "maps.wide.example", "adult")),
        ("same.example", Decision("allowed", "entry", "", "5")),
        ("insists.example", Decision("allowed", "entry", "", "7")),
        ("health.adult.example", Decision("blocked", "entry", "", "8")),
        ("illegal.example", Decision("blocked", "locked list", "iwf", "illegal.example", "illegal")),
    ],
)
def test_the_schools_entries(names: Table, name: str, expected: Decision) -> None:
    assert verdict(names, name, entries=ENTRIES) == expected


def test_services(names: Table) -> None:
    services = {"video": ["video.example", "cdn.video.example"], "games": ["adult.example"]}
    assert verdict(names, "www.video.example", services=services) == Decision("blocked", "service", "", "video")
    assert verdict(names, "adult.example", services=services) == Decision("blocked", "service", "", "games")
    entries = [["allow", "lesson.video.example", "1"], ["allow", "cdn.video.example", "2"]]
    assert verdict(names, "lesson.video.example", services=services, entries=entries).verdict == "allowed"
    assert verdict(names, "cdn.video.example", services=services, entries=entries).verdict == "allowed"
    assert verdict(names, "video.example", services=services, entries=entries).verdict == "blocked"
    assert verdict(names, "www.video.example").verdict == "allowed"


def test_services_of_one_name_may_differ_between_policies() -> None:
    world = World.of(
        snapshot(
            policies={
                "pupil": policy(services={"video": ["video.example", "clips.example"]}),
                "staff": policy(services={"video": ["video.example"]}),
                "guest": policy(),
            }
        ),
        None,
    )
    found = {
        key: [decide(to_wire(name), A, each, world).verdict for name in ("video.example", "clips.example")]
        for key, each in world.policies.items()
    }
    assert found == {
        "pupil": ["blocked", "blocked"], "staff": ["blocked", "allowed"], "guest": ["allowed", "allowed"],
    }  # fmt: skip


def test_exempt_places_come_before_everything(names: Table) -> None:
    for parts in (
        {"exempt": ["illegal.example"]},
        {"exempt": ["example"]},
        {"exempt": ["help.example"], "only": True},
        {"exempt": ["help.example"], "entries": [["block", "www.help.example", "1"]]},
        {"exempt": ["help.example"], "mode": "off"},
    ):
        name = "www.illegal.example" if "illegal.example" in parts["exempt"] else "www.help.example"
        assert verdict(names, name, **parts) == Decision("exempt"), parts


def test_a_locked_list_blocks_while_watching_and_pausing_and_if_nobody_chose_it(names: Table) -> None:
    for parts in (
        {"mode": "watch"},
        {"mode": "off"},
        {"lists": []},
        {"entries": [["allow", "www.illegal.example", "1"]]},
    ):
        assert verdict(names, "www.illegal.example", **parts).why == "locked list"
        assert verdict(names, "www.illegal.example", **parts).verdict == "blocked"
    assert verdict(names, "box.example", local={"box.example": [["A", 60, "10.0.0.2"]]}).verdict == "blocked"


def test_watching_stops_nothing_and_says_what_it_would(names: Table) -> None:
    parts = {"mode": "watch", "entries": ENTRIES, "services": {"video": ["video.example"]}, "bypass": True}
    found = {
        name: verdict(names, name, **parts)[:2]
        for name in ("both.example", "wide.example", "video.example", "use-application-dns.net", "other.example")
    }
    assert found == {
        "both.example": ("would block", "list"), "wide.example": ("would block", "entry"),
        "video.example": ("would block", "service"), "use-application-dns.net": ("would block", "canary"),
        "other.example": ("allowed", ""),
    }  # fmt: skip
    assert verdict(names, "other.example", mode="watch", only=True)[:2] == ("would block", "only")


def test_a_pause_stops_nothing_and_notes_nothing(names: Table) -> None:
    parts = {
        "mode": "off", "entries": ENTRIES, "services": {"video": ["video.example"]}, "only": True,
        "rewrites": {"www.search.example": "safe.search.example"},
    }  # fmt: skip
    for name in ("both.example", "wide.example", "video.example", "use-application-dns.net", "www.search.example"):
        assert verdict(names, name, **parts) == Decision("allowed")


def test_in_a_pause_canaries_go_on_saying_no_and_nothing_else_does(names: Table) -> None:
    assert verdict(names, "mask.icloud.com", mode="off", bypass=True) == Decision("blocked", "canary")
    assert verdict(names, "doh.example", mode="off", bypass=True) == Decision("allowed")


@pytest.mark.parametrize("name", ["use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com"])
def test_canaries(names: Table, name: str) -> None:
    assert verdict(names, name, bypass=True) == Decision("blocked", "canary")
    assert verdict(names, name, bypass=True, entries=[["allow", name, "1"]]) == Decision("blocked", "canary")
    assert verdict(names, name).verdict == "allowed"
    assert verdict(names, f"www.{name}", bypass=True).verdict == "allowed"


def test_ways_around(names: Table) -> None:
    assert verdict(names, "doh.example", bypass=True) == Decision(
        "blocked", "bypass", "bypass", "doh.example", "bypass"
    )
    assert verdict(names, "doh.example").verdict == "allowed"
    assert verdict(names, "doh.example", bypass=True, entries=[["allow", "doh.example", "1"]]).verdict == "allowed"


def test_only_what_is_allowed(names: Table) -> None:
    parts = {
        "only": True, "entries": [["allow", "exam.example", "1"], ["block", "chat.exam.example", "2"]],
        "zones": [{"zone": "school.internal", "servers": [{"host": "10.0.0.1", "port": 53, "tls": ""}]}],
        "local": {"box.school": [["A", 60, "10.0.0.2"]]},
    }  # fmt: skip
    found = {
        name: verdict(names, name, **parts)[:2]
        for name in ("www.exam.example", "chat.exam.example", "other.example", "pc.school.internal", "box.school")
    }
    assert found == {
        "www.exam.example": ("allowed", "entry"), "chat.exam.example": ("blocked", "entry"),
        "other.example": ("blocked", "only"), "pc.school.internal": ("local", ""), "box.school": ("local", ""),
    }  # fmt: skip


def test_safe_search(names: Table) -> None:
    parts: dict[str, Any] = {"rewrites": {"www.search.example": "safe.search.example"}}
    safe = Decision("rewritten", "safesearch", target="safe.search.example")
    for qtype in (A, AAAA, HTTPS):
        assert verdict(names, "WWW.search.example", qtype, **parts) == safe
    assert verdict(names, "www.search.example", MX, **parts) == Decision("allowed")
    assert verdict(names, "x.www.search.example", **parts) == Decision("allowed")
    assert verdict(names, "www.search.example", mode="watch", **parts) == safe
    assert verdict(names, "www.search.example", only=True, entries=[["allow", "search.example", "1"]], **parts) == safe
    assert (
        verdict(names, "www.search.example", entries=[["block", "search.example", "1"]], **parts).verdict == "blocked"
    )


def test_without_a_table_entries_still_count() -> None:
    assert verdict(None, "wide.example", entries=ENTRIES).verdict == "blocked"
    assert verdict(None, "adult.example").verdict == "allowed"


def test_the_same_name_is_always_decided_alike(names: Table) -> None:
    world = World.of(snapshot(lists=LISTS, policy=policy(lists=["adult"])), names)
    found = world.policies["pupil"]
    for _ in range(3):
        assert found.judged(to_wire("www.adult.example"))[0].verdict == "blocked"
        assert found.judged(to_wire("www.other.example"))[0].verdict == "allowed"


# Who gets which policy


def chains(**parts: Any) -> World:
    return World.of(
        snapshot(policies={key: policy(profile=key) for key in ("pupil", "staff", "paused")}, **parts), None
    )


def key_for(world: World, address: str, at: float) -> tuple[str | None, float]:
    found, until = world.policy_for(address, at)
    return None if found is None else found.key, until


def test_policies_of_clients_ranges_and_everybody() -> None:
    world = chains(
        clients={"10.0.0.7": [["paused", 100.0], ["staff", 200.0]], "fd00::7": [["staff", None]]},
        ranges=[
            {"network": "10.0.0.0/24", "group": "room", "chain": [["pupil", 300.0]]},
            {"network": "10.0.0.0/16", "group": "school", "chain": [["staff", None]]},
        ],
    )
    assert [key_for(world, "10.0.0.7", at) for at in (50.0, 100.0, 250.0, 300.0)] == [
        ("paused", 100.0), ("staff", 200.0), ("pupil", 300.0), ("staff", math.inf),
    ]  # fmt: skip
    assert key_for(world, "::ffff:10.0.0.7", 50.0) == ("paused", 100.0)
    assert key_for(world, "fd00::7%eth0", 0.0) == ("staff", math.inf)
    assert key_for(world, "10.9.9.9", 0.0) == ("pupil", math.inf)
    assert key_for(world, "192.0.2.1", 0.0) == (None, math.inf)


def test_a_chain_that_is_over_altogether_gives_nothing_away() -> None:
    assert key_for(chains(default=[["pupil", 100.0]]), "10.0.0.1", 200.0) == (None, math.inf)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"version": 1}, "format 1"),
        ({"default": [["nobody", None]]}, "nobody"),
        ({"policy": policy(mode="sleep")}, "sleep"),
        ({"policy": policy(answer="fun")}, "fun"),
        ({"policy": policy(entries=[["perhaps", "a.example", "1"]])}, "perhaps"),
        ({"policy": policy(entries=[["block", "a..example", "1"]])}, "a..example"),
        ({"policy": policy(answer="page", ipv4="10.0.0")}, "10.0.0"),
        ({"upstreams": [{"host": "dns.example", "port": 53}]}, "dns.example"),
        ({"zones": [{"zone": "a.example", "servers": []}]}, "no servers"),
        ({"local": {"a.example": [["A", 60, "nonsense"]]}}, "a.example"),
        ({"local": {"a.example": [["NONSENSE", 60, "1"]]}}, "NONSENSE"),
        ({"local": {"a.example": [["CNAME", 60, "a.example"]]}}, "do not end"),
        ({"allow_from": ["10.0.0.1/8"]}, "10.0.0.1/8"),
        ({"cache": None}, "cannot be used"),
    ],
)
def test_a_snapshot_that_cannot_be_used_is_refused_in_words(parts: dict[str, Any], words: str) -> None:
    cache = "cache" in parts
    whole = snapshot(**({} if cache else parts))
    if cache:
        whole["cache"] = None
    with pytest.raises(WorldError, match=words):
        World.of(whole, None)


@pytest.mark.parametrize("part", sorted(set(snapshot()) - {"version", "processes", "table"}))
def test_a_snapshot_that_lacks_something_is_refused_in_words(part: str, tmp_path: Path) -> None:
    whole = snapshot()
    del whole[part]
    with pytest.raises(WorldError, match=part):
        World.of(whole, None)
