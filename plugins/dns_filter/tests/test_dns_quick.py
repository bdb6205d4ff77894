"""The short way says what the long way says, or nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from resolver_bench import query
from worker_process import BLOCK, policy, snapshot

from appliance_plugins.dns_filter.answerer import table
from appliance_plugins.dns_filter.answerer.quick import FREE, quick_way
from appliance_plugins.dns_filter.answerer.resolving import Made, Resolver
from appliance_plugins.dns_filter.answerer.rules import FREE as FREE_JUDGED
from appliance_plugins.dns_filter.answerer.table import ALLOW, EXACT, Table
from appliance_plugins.dns_filter.answerer.wire import to_wire
from appliance_plugins.dns_filter.answerer.world import World

LAYERS = [
    ("bad", BLOCK, ["bad.example", "deep.in.bad.example", "help.example", "mine.example", "game.example", "com"]),
    ("bad", BLOCK, ["use-application-dns.net", "local", "printer.local", "box.school.example"]),
    ("bad", EXACT, ["exact.example"]),
    ("bad", table.BELOW, ["below.example"]),
    ("bad", BLOCK | ALLOW, ["fine.bad.example"]),
    ("other", BLOCK, ["other.example", "both.example"]),
    ("bad", BLOCK, ["both.example"]),
]
NAMES = [
    *("bad.example", "www.bad.example", "fine.bad.example", "www.fine.bad.example", "x.deep.in.bad.example"),
    *("help.example", "www.help.example", "mine.example", "a.mine.example", "game.example", "x.game.example"),
    *("use-application-dns.net", "printer.local", "local", "box.school.example", "exact.example", "x.exact.example"),
    *("below.example", "x.below.example", "other.example", "both.example", "example.com", "com", "nothing.example"),
]
LABEL = st.text("abcxyz019-_", min_size=1, max_size=63)


class Nothing:
    """A reactor for queries that go nowhere."""

    def __init__(self) -> None:
        self.now = time.monotonic
        self.wall = time.time

    def later(self, *_: Any) -> None:
        return None

    watch = forget = relay = verdict = later


def made_world(folder: Path, **changes: Any) -> World:
    layers = [(name, flags, [table.digest(to_wire(one)) for one in names]) for name, flags, names in LAYERS]
    built = table.build(folder, layers)
    whole = snapshot(
        53,
        exempt=["help.example"],
        local={"box.school.example": [["A", 60, "10.0.0.2"]]},
        lists={
            "bad": {"title": "Bad", "category": "adult", "locked": False},
            "other": {"title": "Other", "category": "", "locked": bool(changes.pop("locked", False))},
        },
        policies={
            "pupil": policy(entries=[["allow", "mine.example", "7"]], services={"games": ["game.example"]}, **changes)
        },
    )
    return World.of(whole, Table.open(folder / f"{built.sha256}.table"))


def both(world: World, packet: bytes) -> tuple[Any, Any]:
    """What the short way says, and what the long way says, as whole answers with their notes."""
    found, _ = world.policy_for("127.0.0.1", time.time())
    assert found is not None
    notes: list[Any] = []

    def number(note: Any) -> int:
        notes.append(note)
        return len(notes) - 1

    quick = quick_way(found, number, {})
    end = packet.find(0, 12) + 1
    short = None if quick is None else quick(packet, packet[12:end].lower(), end)
    if short is FREE:
        assert found.judged(packet[12:end].lower()) is FREE_JUDGED
        assert not found.verdicts
        short = None
    if short is not None:
        assert short[3] is not None
        short = (short[0] + packet[12 : len(packet) + short[2]] + short[1], notes[short[3]])
    long = Resolver(Nothing(), world, lambda _: None).resolve(packet, found, "127.0.0.1", 0, lambda _: None)  # type: ignore[arg-type]
    if isinstance(long, tuple):
        long = (long[0] + packet[12 : len(packet) + long[2]] + long[1], long[3])
    elif isinstance(long, Made):
        long = (long.tail, long.note)
    return short, long


@pytest.mark.parametrize("changes", [{}, {"answer": "page", "ipv4": "10.0.0.2"}, {"mode": "watch"}, {"only": True}])
@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize("qtype", ["A", "AAAA", "HTTPS", "TXT"])
def test_both_ways_agree(tmp_path: Path, changes: dict[str, Any], locked: bool, qtype: str) -> None:
    world = made_world(tmp_path, locked=locked, **changes)
    quick = 0
    for name in NAMES:
        for spelling in (name, name.upper()):
            short, long = both(world, query(spelling, qtype))
            if short is not None:
                quick += 1
                assert short == long, name
    usual = qtype != "TXT" and not locked and changes.get("mode") != "watch"
    assert bool(quick) == usual, "there is a short way where it is plain, and only there"


@pytest.mark.parametrize("locked", [False, True])
@pytest.mark.parametrize(
    ("changes", "free"),
    [
        ({}, True),
        ({"mode": "watch"}, True),
        ({"mode": "off"}, True),
        ({"only": True}, False),
        ({"verdicts": True}, False),
        ({"rewrites": {"nothing.example": "safe.example"}}, False),
    ],
)
def test_a_name_of_which_nothing_is_said_is_free(
    tmp_path: Path, changes: dict[str, Any], free: bool, locked: bool
) -> None:
    found, _ = made_world(tmp_path, locked=locked, **changes).policy_for("127.0.0.1", time.time())
    assert found is not None
    quick = quick_way(found, lambda _: 0, {})
    assert quick is not None
    wanted = {"nothing.example", "a.b.c.nothing.example"} if free else set()
    if "rewrites" in changes:
        wanted = {"a.b.c.nothing.example"}
    said = {}
    for name in (*NAMES, "x.local", "a.b.c.nothing.example"):
        packet = query(name)
        said[name] = quick(packet, packet[12:-4], len(packet) - 4) is FREE
    assert {name for name, is_free in said.items() if is_free} == wanted


@given(st.lists(LABEL, max_size=4), st.sampled_from(NAMES))
@example([], "www.bad.example")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_stands_before_a_name(tmp_path_factory: pytest.TempPathFactory, labels: list[str], name: str) -> None:
    world = made_world(tmp_path_factory.mktemp("world"))
    whole = ".".join([*labels, name])
    if len(whole) <= 250:
        short, long = both(world, query(whole, "A"))
        assert short is None or short == long


@given(st.binary(max_size=80))
def test_no_octets_lead_it_astray(tmp_path_factory: pytest.TempPathFactory, octets: bytes) -> None:
    world = made_world(tmp_path_factory.mktemp("world"))
    packet = b"\1\2\1\0\0\1\0\0\0\0\0\0" + octets + b"\7example\0\0\1\0\1"
    short, long = both(world, packet)
    assert short is None or short == long
