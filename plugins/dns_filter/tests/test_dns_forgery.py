"""Upstreams that lie and strangers who guess: nothing that was not asked for ever becomes an answer."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable

import pytest
from dnslib import DNSRecord
from resolver_bench import ADDRESS, Script, addresses, device, query, zone

from appliance_plugins.dns_filter.answerer.upstreams import WRONG_UNTIL_TCP

FORGED = bytes((203, 0, 113, 66))
QUERIES = 2000
GUESSES = 50


def forged(message: bytes, *, number: int | None = None, name: Callable[[bytes], bytes] = lambda name: name) -> bytes:
    """An answer with the forger's address; by default everything else about it is right."""
    end = message.index(b"\0", 12) + 1
    first = message[:2] if number is None else number.to_bytes(2, "big")
    header = b"\x81\x80\0\1\0\1\0\0\0\0"
    record = b"\xc0\x0c\0\1\0\1\0\1\x51\x80\0\4" + FORGED
    return first + header + name(message[12:end]) + message[end : end + 4] + record


def test_a_forged_answer_in_which_everything_is_right_would_be_believed() -> None:
    """Or the other tests would show nothing."""
    with device(lambda message, _: [forged(message)]) as asker:
        assert str(asker.ask("bank.example").rr[0].rdata) == "203.0.113.66"


def test_no_answer_is_poisoned_by_a_hundred_thousand_forged_packets() -> None:
    """From the right address and port, with the question in the right spelling: only the id has to be guessed."""
    chance = random.Random(20)
    sent = 0

    def attacked(message: bytes, over_tcp: bool) -> list[bytes]:
        nonlocal sent
        lie = forged(message)[2:]
        truth = message[:2] + lie[:-4] + socket.inet_aton(ADDRESS)
        if over_tcp:
            return [truth]
        right = int.from_bytes(message[:2], "big")
        guesses = [((right + chance.randrange(1, 65536)) & 0xFFFF).to_bytes(2, "big") + lie for _ in range(GUESSES)]
        sent += len(guesses)
        return [*guesses, truth]

    with device(attacked, cache={"entries": QUERIES * 4}) as asker:
        for number in range(QUERIES):
            made = asker.ask_packet(query(f"bank{number}.example"))
            assert made.tail.endswith(socket.inet_aton(ADDRESS)), number
        assert sent >= 100_000
        for number in range(QUERIES):
            made = asker.ask_packet(query(f"bank{number}.example"))
            assert made.tail.endswith(socket.inet_aton(ADDRESS)), number
        assert len(asker.bench.relays) == QUERIES  # somebody guessed at each port: it was given up


def test_the_last_guess_is_not_heard() -> None:
    """What comes after a few wrong packets is not believed even if it is right."""

    def guessing(message: bytes, over_tcp: bool) -> list[bytes]:
        if over_tcp:
            return addresses(message)
        right = int.from_bytes(message[:2], "big")
        wrong = [forged(message, number=right ^ number) for number in range(1, WRONG_UNTIL_TCP + 1)]
        return [*wrong, forged(message)]

    with device(guessing) as asker:
        assert str(asker.ask("bank.example").rr[0].rdata) == ADDRESS


def _type_of_another(message: bytes) -> bytes:
    end = message.index(b"\0", 12) + 1
    return forged(message).replace(message[end : end + 4], b"\0\x1c\0\1", 1)


LIES: dict[str, Callable[[bytes], bytes]] = {
    "another id": lambda message: forged(message, number=int.from_bytes(message[:2], "big") ^ 1),
    "another name": lambda message: forged(message, name=lambda _: b"\4evil\7example\0"),
    "another spelling": lambda message: forged(message, name=bytes.swapcase),
    "another type": _type_of_another,
    "a query": lambda message: forged(message)[:2] + b"\1" + forged(message)[3:],
    "another operation": lambda message: forged(message)[:2] + b"\xa1" + forged(message)[3:],
    "two questions": lambda message: forged(message)[:5] + b"\2" + forged(message)[6:],
    "no question": lambda message: forged(message)[:5] + b"\0" + forged(message)[6:],
    "nothing but its id": lambda message: message[:2],
    "nothing": lambda _: b"",
    "cut short": lambda message: forged(message)[:20],
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_lie_is_not_heard_and_the_truth_behind_it_is(lie: Callable[[bytes], bytes]) -> None:
    with device(lambda message, _: [lie(message), *addresses(message)]) as asker:
        assert str(asker.ask("a-long-enough-name.example").rr[0].rdata) == ADDRESS


@pytest.mark.parametrize(
    "records",
    [
        "a.example. 60 IN A 192.0.2.1\nbank.example. 60 IN A 203.0.113.66",
        "bank.example. 60 IN A 203.0.113.66",
        "bank.example. 60 IN CNAME evil.example.\nevil.example. 60 IN A 203.0.113.66",
    ],
)
def test_an_upstream_says_nothing_of_names_that_were_not_asked(records: str) -> None:
    with device(zone(records), addresses) as asker:
        assert str(asker.ask("a.example").rr[0].rdata) == ADDRESS  # the next server's
        asker.upstreams[0].script = addresses
        assert str(asker.ask("bank.example").rr[0].rdata) == ADDRESS


def _cut(message: bytes) -> bytes:
    return addresses(message)[0][:-3]


def _own_pointer(message: bytes) -> bytes:
    whole = addresses(message)[0]
    end = message.index(b"\0", 12) + 5
    return whole[:end] + b"\xc0" + bytes((end,)) + whole[end + 2 :]


def _too_many(message: bytes) -> bytes:
    whole = addresses(message)[0]
    return whole[:6] + b"\xff\xff" + whole[8:]


@pytest.mark.parametrize("broken", [_cut, _own_pointer, _too_many])
def test_an_answer_that_cannot_be_read_is_no_answer(broken: Callable[[bytes], bytes]) -> None:
    with device(lambda message, _: [broken(message)], addresses) as asker:
        assert str(asker.ask("a.example").rr[0].rdata) == ADDRESS
        assert len(asker.upstreams[1].asked) == 1


def test_other_ports_of_the_upstream_are_not_heard() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        asked: list[int] = []

        def watched(message: bytes, over_tcp: bool) -> list[bytes]:
            for _, _, port in asker.upstreams[0].asked[-1:]:
                asked.append(port)
                stranger.sendto(forged(message), ("127.0.0.1", port))
            return addresses(message)

        with device(addresses) as asker:
            asker.upstreams[0].script = watched
            assert str(asker.ask("a.example").rr[0].rdata) == ADDRESS
    assert asked


@pytest.mark.parametrize(
    "script",
    [
        lambda message, _: addresses(message) * 3,
        lambda message, _: [*addresses(message), forged(message)],
    ],
)
def test_an_answer_that_comes_twice_is_given_once(script: Script) -> None:
    with device(script) as asker:
        answers = asker.send(query("a.example"))
        asker.bench.run_until(lambda: bool(answers))
        assert str(asker.ask("b.example").rr[0].rdata) == ADDRESS
        assert len(answers) == 1
        assert str(DNSRecord.parse(b"\0\0" + answers[0].tail).rr[0].rdata) == ADDRESS
        asker.bench.run_until(lambda: asker.bench.watched == 0)  # neither port serves anybody else
