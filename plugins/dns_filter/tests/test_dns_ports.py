"""The ports from which servers are asked: new ones, or ones at which nobody has guessed."""

from __future__ import annotations

import pytest
from resolver_bench import ADDRESS, Device, addresses, device, query

from appliance_plugins.dns_filter.answerer.ports import SECONDS, SPARE, USES


def ports(asker: Device) -> list[int]:
    return [port for _, _, port in asker.upstreams[0].asked]


def ask_one_after_the_other(asker: Device, count: int, letter: str = "n") -> None:
    for number in range(count):
        asker.ask(f"{letter}{number}.example")


def test_who_asks_now_and_then_asks_from_a_new_port_each_time() -> None:
    with device(addresses) as asker:
        ask_one_after_the_other(asker, SPARE)
        assert len(set(ports(asker))) == SPARE


def test_where_many_ask_a_port_serves_again_but_never_a_neighbour() -> None:
    count = SPARE * 6
    with device(addresses) as asker:
        ask_one_after_the_other(asker, count)
        used = ports(asker)
        assert len(set(used)) < count / 2
        assert all(len(set(used[at : at + SPARE])) == SPARE for at in range(count - SPARE))


def test_a_port_serves_so_often_and_then_no_more() -> None:
    with device(addresses) as asker:
        ask_one_after_the_other(asker, SPARE)
        first = asker.free_ports
        assert {port.left for port in first} == {USES - 1}
        for port in first:
            port.left = 1
        ask_one_after_the_other(asker, SPARE * 2, "m")  # every other one from a new port
        assert not set(first) & set(asker.free_ports)
        assert len(asker.free_ports) == SPARE


def test_no_query_shares_its_port_with_another_one_on_its_way() -> None:
    with device(lambda message, over_tcp: []) as asker:
        for number in range(SPARE * 3):
            asker.client = f"10.0.0.{number % 100}"
            asker.send(query(f"n{number}.example"))
        asker.bench.run_until(lambda: len(asker.upstreams[0].asked) == SPARE * 3)
        assert len(set(ports(asker))) == SPARE * 3


def test_a_port_at_which_somebody_guessed_serves_nobody_else() -> None:
    with device(lambda message, over_tcp: [b"x" + message[1:], *addresses(message)]) as asker:
        ask_one_after_the_other(asker, 5)
        assert not asker.free_ports
        assert asker.bench.watched == 0


def test_a_port_that_nobody_needs_is_closed_after_a_while() -> None:
    with device(addresses) as asker:
        ask_one_after_the_other(asker, 5)
        assert len(asker.free_ports) == 5
        asker.bench.skip(SECONDS)
        asker.bench.run_until(lambda: asker.bench.watched == 0)
        assert not asker.free_ports


def test_a_question_to_a_server_that_is_not_asked_any_more_ends() -> None:
    with device(lambda message, over_tcp: [], addresses) as asker:
        both = asker.upstreams
        asker.upstreams = both[:1]
        asker.use()
        answers = asker.send(query("a.example"))
        asker.bench.run_until(lambda: bool(both[0].asked))
        asker.upstreams = both[1:]
        asker.use()
        asker.upstreams = both

        def is_answered() -> bool:
            asker.bench.skip(0.05)
            return bool(answers)

        asker.bench.run_until(is_answered)
        assert str(asker.ask("b.example").rr[0].rdata) == ADDRESS
        asker.leaves_nothing_open()


@pytest.mark.parametrize("answered", [True, False])
def test_ports_to_a_server_that_is_not_asked_any_more_are_closed(answered: bool) -> None:
    with device(addresses, addresses) as asker:
        if answered:
            asker.ask("a.example")
        else:
            asker.send(query("a.example"))
        before = asker.upstreams
        asker.upstreams = before[1:]
        asker.use()
        asker.upstreams = before
        asker.bench.run_until(lambda: asker.bench.watched == 0)
