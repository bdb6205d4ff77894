"""Asking name servers: in turn, over UDP and TCP, and believing only the answer to the question."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from dnslib import QTYPE, RR, TXT, DNSQuestion, DNSRecord

from appliance_plugins.dns_filter import messages, upstream
from appliance_plugins.dns_filter.upstream import FAILURES_UNTIL_REST, OF_ONE, Endpoint, NoAnswer, Upstreams, endpoint

Start = Callable[..., Awaitable[Any]]
QUERY = messages.parse(bytes(DNSRecord(q=DNSQuestion("www.example.org")).pack()))
SILENT = messages.parse(bytes(DNSRecord(q=DNSQuestion("silent.example.org")).pack()))
CLIENT = "10.0.0.1"
PATIENCE = 10.0


def asking(*servers: Any, timeout: float = PATIENCE) -> tuple[Upstreams, list[str]]:
    states: list[str] = []
    return Upstreams(tuple(endpoint(server.endpoint) for server in servers), timeout, states.append), states


def rdata(answer: bytes) -> list[str]:
    return [str(rr.rdata) for rr in DNSRecord.parse(answer).rr]


def answer(query: DNSRecord, over_tcp: bool) -> bytes:
    del over_tcp
    reply = query.reply()
    reply.add_answer(*RR.fromZone(f"{query.q.qname} 300 A 192.0.2.53"))
    return bytes(reply.pack())


def with_rcode(rcode: int) -> Callable[[DNSRecord, bool], bytes]:
    def script(query: DNSRecord, over_tcp: bool) -> bytes:
        del over_tcp
        reply = query.reply()
        reply.header.rcode = rcode
        return bytes(reply.pack())

    return script


def silent(query: DNSRecord, over_tcp: bool) -> None:
    del query, over_tcp


def one_name_silent(query: DNSRecord, over_tcp: bool) -> bytes | None:
    return None if str(query.q.qname) == "silent.example.org." else answer(query, over_tcp)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", Endpoint("192.0.2.1")),
        ("192.0.2.1:5353", Endpoint("192.0.2.1", 5353)),
        ("2001:DB8::0:1", Endpoint("2001:db8::1")),
        ("[2001:db8::1]", Endpoint("2001:db8::1")),
        ("[2001:db8::1]:5353", Endpoint("2001:db8::1", 5353)),
    ],
)
def test_endpoints(text: str, expected: Endpoint) -> None:
    assert endpoint(text) == expected
    assert endpoint(str(expected)) == expected


@pytest.mark.parametrize(
    "text",
    ["", "dns.example", "192.0.2.1:", "192.0.2.1:0", "192.0.2.1:65536", "192.0.2.1:x", "[::1]:", "0.0.0.0", "::"],
)
def test_what_is_no_endpoint(text: str) -> None:
    with pytest.raises(ValueError, match=r"address|port"):
        endpoint(text)


async def test_each_query_leaves_from_a_port_of_its_own(start_upstream: Start) -> None:
    server = await start_upstream(answer)
    upstreams, _ = asking(server)
    assert [rdata(each) for each in await asyncio.gather(*(upstreams.ask(QUERY, CLIENT) for _ in range(20)))] == [
        ["192.0.2.53"]
    ] * 20
    assert len(server.ports) > 10


async def test_a_silent_upstream_is_passed_over_and_asked_last_for_a_while(start_upstream: Start) -> None:
    first, second = await start_upstream(silent), await start_upstream(answer)
    upstreams, states = asking(first, second, timeout=0.2)
    for _ in range(FAILURES_UNTIL_REST + 2):
        assert rdata(await upstreams.ask(QUERY, CLIENT)) == ["192.0.2.53"]
    assert (len(first.asked), len(second.asked)) == (FAILURES_UNTIL_REST, FAILURES_UNTIL_REST + 2)
    assert set(states) == {""}


async def test_one_silent_name_does_not_move_the_school(start_upstream: Start) -> None:
    first, second = await start_upstream(one_name_silent), await start_upstream(answer)
    upstreams, states = asking(first, second, timeout=0.2)
    for _ in range(FAILURES_UNTIL_REST + 1):
        await upstreams.ask(SILENT, CLIENT)
        await upstreams.ask(QUERY, CLIENT)
    assert set(second.names) == {"silent.example.org."}
    assert set(states) == {""}


async def test_many_silent_names_at_once_do_not_either(start_upstream: Start) -> None:
    first, second = await start_upstream(one_name_silent), await start_upstream(answer)
    upstreams, _ = asking(first, second, timeout=0.2)
    pupil = asyncio.gather(*(upstreams.ask(SILENT, CLIENT) for _ in range(10)))
    async with asyncio.timeout(PATIENCE):
        while len(first.asked) < 10:
            await asyncio.sleep(0)
    await upstreams.ask(QUERY, "10.0.0.2")
    await pupil  # all were silent after the last answer, but the upstream answered while they waited
    await upstreams.ask(QUERY, "10.0.0.2")
    assert set(second.names) == {"silent.example.org."}


async def test_a_silent_name_of_a_lone_upstream_is_no_problem_to_be_told(start_upstream: Start) -> None:
    upstreams, states = asking(await start_upstream(one_name_silent), timeout=0.2)
    for _ in range(FAILURES_UNTIL_REST + 1):
        await upstreams.ask(QUERY, CLIENT)
        with pytest.raises(NoAnswer, match="was silent"):
            await upstreams.ask(SILENT, CLIENT)
    assert set(states) == {""}


async def test_a_dead_upstream_costs_no_time(start_upstream: Start) -> None:
    dead, alive = await start_upstream(), await start_upstream(answer)
    dead.stop()
    upstreams, _ = asking(dead, alive)
    assert rdata(await upstreams.ask(QUERY, CLIENT)) == ["192.0.2.53"]


async def test_when_all_are_dead_the_words_name_each(start_upstream: Start) -> None:
    dead, mute = await start_upstream(), await start_upstream(silent)
    dead.stop()
    upstreams, states = asking(dead, mute, timeout=0.2)
    words = f"{dead.endpoint} refused the connection, {mute.endpoint} was silent"
    for told in ([], [], [words], [words], [words]):
        with pytest.raises(NoAnswer, match=words):
            await upstreams.ask(QUERY, CLIENT)
        assert states == told


async def test_many_queries_at_once_without_an_answer_are_no_problem_before_two_timeouts(start_upstream: Start) -> None:
    server = await start_upstream(silent)
    upstreams, states = asking(server, timeout=0.1)
    await asyncio.gather(*(upstreams.ask(QUERY, CLIENT) for _ in range(10)), return_exceptions=True)
    assert states == []
    await asyncio.gather(*(upstreams.ask(QUERY, CLIENT) for _ in range(10)), return_exceptions=True)
    assert states == [f"{server.endpoint} was silent"]
    server.script = answer
    await upstreams.ask(QUERY, CLIENT)
    assert states[1:] == [""]


async def test_without_upstreams_there_is_no_answer() -> None:
    with pytest.raises(NoAnswer, match="no name server"):
        await asking()[0].ask(QUERY, CLIENT)


@pytest.mark.parametrize("rcode", [messages.SERVFAIL, messages.REFUSED])
async def test_another_may_know_what_one_cannot_say(start_upstream: Start, rcode: int) -> None:
    first, second = await start_upstream(with_rcode(rcode)), await start_upstream(answer)
    upstreams, _ = asking(first, second)
    assert rdata(await upstreams.ask(QUERY, CLIENT)) == ["192.0.2.53"]


async def test_what_all_say_is_passed_on(start_upstream: Start) -> None:
    servers = [await start_upstream(with_rcode(messages.SERVFAIL)) for _ in range(2)]
    upstreams, states = asking(*servers)
    assert messages.rcode_of(await upstreams.ask(QUERY, CLIENT)) == messages.SERVFAIL
    assert states == []


async def test_a_name_that_is_not_there_is_an_answer(start_upstream: Start) -> None:
    first, second = await start_upstream(with_rcode(messages.NXDOMAIN)), await start_upstream(answer)
    upstreams, _ = asking(first, second)
    assert messages.rcode_of(await upstreams.ask(QUERY, CLIENT)) == messages.NXDOMAIN
    assert second.asked == []


async def test_guesses_are_not_heard(start_upstream: Start) -> None:
    def script(query: DNSRecord, over_tcp: bool) -> list[bytes]:
        good = answer(query, over_tcp)
        forged = query.reply()
        forged.add_answer(*RR.fromZone(f"{query.q.qname} 300 A 203.0.113.66"))
        other_id = struct.pack("!H", query.header.id ^ 1) + bytes(forged.pack())[2:]
        forged.questions = [DNSQuestion("other.example.org", QTYPE.A)]
        return [b"", b"noise", other_id, bytes(forged.pack()), good]

    upstreams, _ = asking(await start_upstream(script))
    assert rdata(await upstreams.ask(QUERY, CLIENT)) == ["192.0.2.53"]


async def test_a_long_answer_is_fetched_over_tcp(start_upstream: Start) -> None:
    def script(query: DNSRecord, over_tcp: bool) -> bytes:
        reply = query.reply()
        if over_tcp:
            reply.add_answer(*(RR(query.q.qname, QTYPE.TXT, rdata=TXT(b"x" * 250)) for _ in range(20)))
        else:
            reply.header.tc = 1
        return bytes(reply.pack())

    server = await start_upstream(script)
    upstreams, _ = asking(server)
    assert len(DNSRecord.parse(await upstreams.ask(QUERY, CLIENT)).rr) == 20
    assert [transport for transport, _ in server.asked] == ["udp", "tcp"]


@pytest.mark.parametrize("over_tcp_it_sends", [b"", b"noise", None])
async def test_an_upstream_that_fails_over_tcp_has_failed(
    start_upstream: Start, over_tcp_it_sends: bytes | None
) -> None:
    def script(query: DNSRecord, over_tcp: bool) -> bytes | None:
        reply = query.reply()
        reply.header.tc = 1
        return over_tcp_it_sends if over_tcp else bytes(reply.pack())

    upstreams, _ = asking(await start_upstream(script), await start_upstream(answer))
    assert rdata(await upstreams.ask(QUERY, CLIENT)) == ["192.0.2.53"]


@pytest.mark.parametrize("with_question", [True, False])
async def test_an_upstream_that_does_not_know_edns_is_asked_without(start_upstream: Start, with_question: bool) -> None:
    def script(query: DNSRecord, over_tcp: bool) -> bytes:
        if not query.ar:
            return answer(query, over_tcp)
        packet = with_rcode(messages.FORMERR)(query, over_tcp)
        return packet if with_question else packet[:4] + bytes(8)

    server = await start_upstream(script)
    upstreams, _ = asking(server)
    assert rdata(await upstreams.ask(QUERY, CLIENT)) == ["192.0.2.53"]
    assert len(server.asked) == 2


async def test_an_answer_that_is_cut_short_is_none(start_upstream: Start) -> None:
    broken = await start_upstream(lambda query, over_tcp: answer(query, over_tcp)[:-1])
    upstreams, _ = asking(broken, await start_upstream(answer))
    assert rdata(await upstreams.ask(QUERY, CLIENT)) == ["192.0.2.53"]


async def test_what_waits_is_bounded(start_upstream: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream, "QUERIES_AT_ONCE", 1)
    heard = asyncio.Event()

    def script(query: DNSRecord, over_tcp: bool) -> None:
        del query, over_tcp
        heard.set()

    upstreams, _ = asking(await start_upstream(script))
    waiting = asyncio.create_task(upstreams.ask(QUERY, CLIENT))
    async with asyncio.timeout(PATIENCE):
        await heard.wait()
    with pytest.raises(NoAnswer, match="wait already"):
        await upstreams.ask(QUERY, CLIENT)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_one_client_cannot_take_all_places(start_upstream: Start) -> None:
    server = await start_upstream(one_name_silent)
    upstreams, _ = asking(server)
    waiting = [asyncio.create_task(upstreams.ask(SILENT, CLIENT)) for _ in range(OF_ONE)]
    async with asyncio.timeout(PATIENCE):
        while len(server.asked) < OF_ONE:
            await asyncio.sleep(0)
    with pytest.raises(NoAnswer, match=f"{OF_ONE} queries of this device wait already"):
        await upstreams.ask(QUERY, CLIENT)
    assert rdata(await upstreams.ask(QUERY, "10.0.0.2")) == ["192.0.2.53"]
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert rdata(await upstreams.ask(QUERY, CLIENT)) == ["192.0.2.53"]
    assert len(upstreams._places) == 0
