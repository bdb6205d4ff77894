"""What every query pays for: batches of packets, ready answers, the log that never waits."""

from __future__ import annotations

import os
import socket
import struct
from typing import Any

import pytest

from appliance_plugins.dns_filter.answerer import log as log_module
from appliance_plugins.dns_filter.answerer.batches import BATCH, NAME_SLOT, SLOT, Batches
from appliance_plugins.dns_filter.answerer.log import LogReader, LogWriter, pipe
from appliance_plugins.dns_filter.answerer.reactor import Loop
from appliance_plugins.dns_filter.answerer.ready import FOR_EVER, Ready, split

QUESTION = b"\3www\7example\3org\0\0\1\0\1"
HEAD = b"\1\0\0\1\0\0\0\0\0\0"
OPT = b"\0\0\x29\4\xd0\0\0\0\0\0\0"


def packet(message_id: bytes = b"\1\2", question: bytes = QUESTION, opt: bytes = b"") -> bytes:
    head = HEAD if not opt else HEAD[:-1] + b"\1"
    return message_id + head + question + opt


class Who:
    def __init__(self, text: str) -> None:
        self.text = text


# Batches


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["IPv4", "IPv6"])
def pair(request: pytest.FixtureRequest) -> Any:
    family, host = request.param
    with socket.socket(family, socket.SOCK_DGRAM) as server, socket.socket(family, socket.SOCK_DGRAM) as client:
        server.bind((host, 0))
        client.connect(server.getsockname()[:2])
        client.settimeout(5)
        yield server, client


def received(batches: Batches, count: int) -> list[bytes]:
    return [
        batches.packets[slot * SLOT : slot * SLOT + batches.lengths[slot * Batches.LENGTH_STEP + Batches.LENGTH_AT]]
        for slot in range(count)
    ]


def put(batches: Batches, slot: int, octets: bytes) -> None:
    batches.packets[slot * SLOT : slot * SLOT + len(octets)] = octets
    batches.answer_lengths[slot * 2] = len(octets)


def test_packets_come_and_answers_go_back_to_whom_they_came_from(pair: Any) -> None:
    server, client = pair
    batches = Batches(server)
    sent = [bytes([number]) * (number + 1) for number in range(5)]
    for octets in sent:
        client.send(octets)
    assert batches.receive() == 5
    assert received(batches, 5) == sent
    for slot in range(5):
        put(batches, slot, b"answer" + bytes([slot]))
    assert batches.send(0, 5) == 5
    assert [client.recv(100) for _ in range(5)] == [b"answer" + bytes([slot]) for slot in range(5)]


def test_nothing_waits(pair: Any) -> None:
    assert Batches(pair[0]).receive() == 0


def test_more_than_a_batch_stays_for_the_next_one(pair: Any) -> None:
    server, client = pair
    batches = Batches(server)
    for number in range(BATCH + 3):
        client.send(bytes([number]))
    assert batches.receive() == BATCH
    assert batches.receive() == 3
    assert received(batches, 3) == [bytes([BATCH + number]) for number in range(3)]


def test_an_answer_that_cannot_be_sent_does_not_stop_the_others(pair: Any) -> None:
    server, client = pair
    batches = Batches(server)
    for number in range(3):
        client.send(bytes([number]))
    assert batches.receive() == 3
    for slot in range(3):
        put(batches, slot, bytes([slot]))
    batches.senders[NAME_SLOT : NAME_SLOT + 2] = b"\xff\xff"  # the second one came from no family that there is
    assert batches.send(0, 3) == 2
    assert [client.recv(10) for _ in range(2)] == [b"\0", b"\2"]


def test_a_packet_longer_than_its_slot_is_cut(pair: Any) -> None:
    server, client = pair
    batches = Batches(server)
    client.send(b"x" * (SLOT + 100))
    assert batches.receive() == 1
    assert received(batches, 1) == [b"x" * SLOT]


# Ready answers


def answer_to(question: bytes, rest: bytes, opt: bytes = b"") -> bytes:
    return b"\x81\x83\0\1\0\0\0\1\0" + (b"\1" if opt else b"\0") + question + rest + opt


@pytest.mark.parametrize("opt", [b"", OPT], ids=["plain", "EDNS"])
def test_the_pieces_give_the_answer_back(opt: bytes) -> None:
    asked = packet(opt=opt)
    whole = answer_to(QUESTION, b"rest", opt)
    answer = split(asked, whole, 7, FOR_EVER)
    assert answer is not None
    head, rest, cut, note, until = answer
    assert asked[:2] + head + asked[12 : len(asked) + cut] + rest == asked[:2] + whole
    assert (note, until) == (7, FOR_EVER)


@pytest.mark.parametrize(
    ("asked", "whole"),
    [
        (packet(), answer_to(QUESTION.upper(), b"")),  # another spelling
        (packet(), b"\x81\x81\0\0\0\0\0\0\0\0"),  # an error without the question
        (packet(opt=OPT + b"\0\3\0\5\0\0"), answer_to(QUESTION, b"")),  # an option: every packet is another one
        (b"\1\2\3", b"anything at all, longer than that"),
        (packet(question=b""), b"\x81\x81\0\0\0\0\0\0\0\0"),
    ],
)
def test_what_does_not_repeat_the_question_is_not_kept_in_pieces(asked: bytes, whole: bytes) -> None:
    assert split(asked, whole, None, 0) is None


def test_equal_answers_to_blocked_names_are_kept_once() -> None:
    ready = Ready()
    one, other = (
        (("he" + "ad").encode(), ("re" + "st").encode(), None, 0, FOR_EVER),
        (b"head", b"rest", None, 0, FOR_EVER),
    )
    assert ready.share(one) is one
    assert ready.share(other) is one


@pytest.mark.parametrize(
    ("question", "opt", "kept"),
    [
        (QUESTION, b"", True),
        (QUESTION[:-4] + b"\0\x41\0\1", b"", True),  # HTTPS
        (QUESTION[:-4] + b"\0\x61\0\1", b"", False),  # TYPE97 would be found for HTTPS
        (QUESTION, OPT, True),
        (QUESTION, OPT[:3] + b"\x04\x61" + OPT[5:], False),  # 1121 octets would be found for 1089
    ],
)
def test_what_could_be_taken_for_another_question_is_not_kept(question: bytes, opt: bytes, kept: bool) -> None:
    ready = Ready()
    answers = ready.of("pupil")
    ready.keep(answers, packet(question=question, opt=opt)[2:], (b"", b"", 0, None, 0))
    assert bool(answers) == kept


def test_when_it_is_full_it_begins_anew_and_clients_keep_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("appliance_plugins.dns_filter.answerer.ready.ENTRIES", 3)
    ready = Ready()
    answers, others = ready.of("pupil"), ready.of("staff")
    for number in range(3):
        ready.keep(answers, bytes([number]), (b"", b"", 0, None, 0))
    ready.keep(others, b"\xff", (b"", b"", 0, None, 0))
    assert list(answers) == []
    assert list(others) == [b"\xff"]
    assert ready.of("pupil") is answers


def test_other_rules_leave_nothing_ready() -> None:
    ready = Ready()
    answers = ready.of("pupil")
    ready.keep(answers, b"x", (b"", b"", 0, None, FOR_EVER))
    ready.forget_policies()
    assert answers == {}
    assert ready.of("pupil") is not answers


# The log


def heard(reader: LogReader) -> list[tuple[str, bytes, Any, int]]:
    """Client, question, note and how often, of all that has come."""
    return [
        (client, question, notes[number], times)
        for notes, counts, _ in reader.read()
        for (client, question, number), times in counts.items()
    ]


def test_equal_queries_are_one_record() -> None:
    reading, writing = pipe()
    writer, reader, who = LogWriter(writing), LogReader(reading), Who("10.0.0.7")
    allowed, blocked = writer.number(("allowed",)), writer.number(("blocked", "list"))
    plain, with_opt, other = packet()[2:], packet(opt=OPT)[2:], packet(question=b"\0\0\2\0\1")[2:]
    writer.write([(who, plain, allowed), (who, other, blocked), (who, plain, allowed), (who, with_opt, allowed)])
    assert heard(reader) == [
        ("10.0.0.7", QUESTION, ("allowed",), 3),
        ("10.0.0.7", b"\0\0\2\0\1", ("blocked", "list"), 1),
    ]
    assert heard(reader) == []
    writer.write([(who, plain, allowed)])
    assert heard(reader) == [("10.0.0.7", QUESTION, ("allowed",), 1)]


def test_a_keeper_that_does_not_read_costs_records_and_they_are_counted() -> None:
    reading, writing = pipe()
    writer, reader, who = LogWriter(writing), LogReader(reading), Who("10.0.0.7")
    note = writer.number(("allowed",))
    asked = 0
    while writer.dropped == 0:
        writer.write([(who, bytes(10) + struct.pack("!Q", asked + number) * 8, note) for number in range(1000)])
        asked += 1000
    found = told = 0
    for _ in range(10):  # while it catches up, more comes, and with it the number of those that were lost
        writer.write([(who, bytes(14), note)])
        asked += 1
        for _, counts, dropped in reader.read():
            found += sum(counts.values())
            told += dropped
    assert told > 0
    assert found + told == asked


def test_notes_are_told_anew_after_they_were_forgotten() -> None:
    reading, writing = pipe()
    writer, reader, who = LogWriter(writing), LogReader(reading), Who("10.0.0.7")
    writer.write([(who, bytes(14), writer.number(("old",)))])
    writer.forget()
    writer.write([(who, bytes(14), writer.number(("new",)))])
    assert [note for _, _, note, _ in heard(reader)] == [("old",), ("new",)]


def test_many_notes_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "NOTES_KNOWN", 3)
    _, writing = pipe()
    writer = LogWriter(writing)
    for number in range(3):
        assert not writer.is_full
        writer.number((number,))
    assert writer.is_full


def test_the_reader_hears_of_the_end() -> None:
    reading, writing = pipe()
    os.close(writing)
    with pytest.raises(EOFError):
        list(LogReader(reading).read())


# The loop


def test_a_fault_costs_the_one_who_met_it_alone(caplog: pytest.LogCaptureFixture) -> None:
    loop, calls = Loop(), []
    reading, writing = os.pipe()
    os.write(writing, b"ab")

    def ready() -> None:
        if os.read(reading, 1) == b"a":
            raise ValueError("nobody expected this")
        loop.unwatch(reading)
        loop.later(0.0, lambda: calls.append("later"))
        cancelled = loop.later(0.0, lambda: calls.append("cancelled"))
        cancelled.cancel()
        loop.later(0.001, loop.stop)

    loop.watch(reading, ready)
    loop.run()
    assert calls == ["later"]
    assert loop.faults == 1
    assert "nobody expected this" in caplog.text
