"""DNS messages: whatever comes in, what goes out is a proper answer or silence."""

from __future__ import annotations

import struct
from typing import Any

import dnslib
import pytest
from dnslib import EDNS0, QTYPE, RR, DNSHeader, DNSLabel, DNSQuestion, DNSRecord, EDNSOption
from hypothesis import given
from hypothesis import strategies as st

from appliance_plugins.dns_filter import messages
from appliance_plugins.dns_filter.messages import BadMessage, Query, Unanswerable
from appliance_plugins.dns_filter.policy import Answer, Profile


def ask(name: str = "www.Example.org", qtype: str = "A", *, edns: dict[str, Any] | None = None, **header: int) -> bytes:
    record = DNSRecord(DNSHeader(id=4711, rd=1, **header), q=DNSQuestion(name, getattr(QTYPE, qtype)))
    if edns is not None:
        record.add_ar(EDNS0(**{"udp_len": 1400, **edns}))
    return bytes(record.pack())


def refusal(packet: bytes) -> bytes | None:
    with pytest.raises(Unanswerable) as caught:
        messages.parse(packet)
    return caught.value.reply


def parsed_or_refused(packet: bytes) -> Query | bytes | None:
    try:
        return messages.parse(packet)
    except Unanswerable as refused:
        return refused.reply


def options(record: DNSRecord) -> list[tuple[int, bytes]]:
    return [(option.code, option.data) for rr in record.ar if rr.rtype == QTYPE.OPT for option in rr.rdata]


def extended_error(record: DNSRecord) -> int | None:
    return next((struct.unpack_from("!H", data)[0] for code, data in options(record) if code == 15), None)


# Reading


def test_a_query_is_read() -> None:
    query = messages.parse(ask(edns={"flags": "do"}))
    assert (query.id, query.name, query.type_name, query.qclass) == (4711, "www.example.org", "A", 1)
    assert query.edns == messages.Edns(1400, 0, True)
    assert query.question == b"\x03www\x07Example\x03org\x00\x00\x01\x00\x01"


def test_a_type_without_a_name_is_shown_by_its_number() -> None:
    packet = ask()[:-4] + struct.pack("!HH", 65280, 1)
    assert messages.parse(packet).type_name == "TYPE65280"


@pytest.mark.parametrize(
    ("edns", "limit"), [(None, 512), ({"udp_len": 0}, 512), ({"udp_len": 900}, 900), ({"udp_len": 65535}, 1232)]
)
def test_the_limit_over_udp(edns: dict[str, Any] | None, limit: int) -> None:
    assert messages.parse(ask(edns=edns)).udp_limit() == limit


@pytest.mark.parametrize("packet", [b"", b"\x00" * 11, ask(qr=1), ask(qr=1, opcode=4)])
def test_silence(packet: bytes) -> None:
    assert refusal(packet) is None


POINTER_NAME = ask()[:12] + b"\xc0\x0c\x00\x01\x00\x01"
LONG_NAME = ask()[:12] + (b"\x3f" + b"a" * 63) * 4 + b"\x00\x00\x01\x00\x01"


@pytest.mark.parametrize(
    ("packet", "rcode"),
    [
        (ask(opcode=4), messages.NOTIMP),
        (ask(opcode=5), messages.NOTIMP),
        (ask()[:-1], messages.FORMERR),
        (ask()[:12], messages.FORMERR),
        (ask()[:4] + b"\x00\x00" + ask()[6:], messages.FORMERR),
        (ask()[:4] + b"\x00\x02" + ask()[6:], messages.FORMERR),
        (POINTER_NAME, messages.FORMERR),
        (LONG_NAME, messages.FORMERR),
        (ask()[:12] + b"\x41" + b"a" * 65 + b"\x00\x00\x01\x00\x01", messages.FORMERR),
        (ask()[:10] + b"\x00\x01" + ask()[12:], messages.FORMERR),  # an additional record that is not there
        (ask(edns={})[:10] + b"\x00\x02" + ask(edns={})[12:] + ask(edns={})[-11:], messages.FORMERR),  # OPT twice
    ],
)
def test_what_cannot_be_read_is_answered_by_a_header(packet: bytes, rcode: int) -> None:
    reply = refusal(packet)
    assert reply is not None
    assert len(reply) == 12
    header = DNSRecord.parse(reply).header
    assert (header.id, header.qr, header.rcode) == (4711, 1, rcode)
    assert header.opcode == DNSHeader.parse(dnslib.DNSBuffer(packet)).opcode


def test_a_newer_edns_is_answered_with_our_version() -> None:
    reply = DNSRecord.parse(refusal(ask(edns={"version": 1})))
    opt = reply.ar[0]
    assert (opt.edns_rcode << 4 | reply.header.rcode, opt.edns_ver) == (messages.BADVERS, 0)
    assert str(reply.q.qname) == "www.Example.org."


@pytest.mark.parametrize(
    ("qtype", "rcode"), [("AXFR", messages.REFUSED), ("IXFR", messages.REFUSED), ("TSIG", messages.NOTIMP)]
)
def test_transfers_and_signatures_are_not_for_us(qtype: str, rcode: int) -> None:
    assert DNSRecord.parse(refusal(ask(qtype=qtype))).header.rcode == rcode


def test_only_the_internet_class_is_served() -> None:
    reply = DNSRecord.parse(
        refusal(ask(edns={})[:12] + b"\x07version\x04bind\x00\x00\x10\x00\x03" + ask(edns={})[-11:])
    )
    assert reply.header.rcode == messages.REFUSED
    assert extended_error(reply) == messages.EDE_NOT_SUPPORTED


@given(st.binary(max_size=600))
def test_no_packet_makes_parsing_fail(packet: bytes) -> None:
    found = parsed_or_refused(packet)
    if isinstance(found, Query):
        assert found.id == struct.unpack_from("!H", packet)[0]
        assert packet[12:].startswith(found.question)
    elif found is not None:
        assert found[:2] == packet[:2]
        assert DNSRecord.parse(found).header.qr == 1


@given(st.binary(max_size=40), st.integers(0, 100), st.binary(max_size=3))
def test_no_damaged_query_makes_parsing_fail(noise: bytes, at: int, flip: bytes) -> None:
    packet = ask(edns={"opts": [EDNSOption(10, b"12345678")]})
    damaged = packet[: at % len(packet)] + flip + packet[at % len(packet) + len(flip) :] + noise
    found = parsed_or_refused(damaged)
    assert found is None or isinstance(found, Query) or found[:2] == damaged[:2]


# Our answers


@pytest.mark.parametrize("qtype", ["A", "AAAA", "HTTPS", "TXT", "MX"])
def test_nxdomain_may_be_remembered_for_the_time_that_is_set(qtype: str) -> None:
    reply = DNSRecord.parse(messages.blocked(messages.parse(ask(qtype=qtype)), Profile("p"), 77))
    assert (reply.header.rcode, reply.header.ra, reply.header.rd, reply.rr) == (messages.NXDOMAIN, 1, 1, [])
    assert (reply.auth[0].rtype, reply.auth[0].ttl, reply.auth[0].rdata.times[-1]) == (QTYPE.SOA, 77, 77)
    assert reply.ar == []


def test_refused_has_no_records() -> None:
    reply = DNSRecord.parse(messages.blocked(messages.parse(ask()), Profile("p", answer="refused"), 60))
    assert (reply.header.rcode, reply.rr, reply.auth) == (messages.REFUSED, [], [])


@pytest.mark.parametrize(("qtype", "address"), [("A", "192.0.2.1"), ("AAAA", "2001:db8::1")])
def test_an_address_is_given_for_both_kinds_of_address(qtype: str, address: str) -> None:
    profile = Profile("p", answer="address", addresses=("192.0.2.1", "2001:db8::1"))
    reply = DNSRecord.parse(messages.blocked(messages.parse(ask(qtype=qtype)), profile, 60))
    assert (reply.header.rcode, str(reply.rr[0].rdata), reply.rr[0].ttl) == (messages.NOERROR, address, 60)


def test_other_types_have_no_data_where_an_address_is_given() -> None:
    reply = DNSRecord.parse(messages.blocked(messages.parse(ask(qtype="HTTPS")), Profile("p", answer="address"), 60))
    assert (reply.header.rcode, reply.rr, reply.auth[0].rtype) == (messages.NOERROR, [], QTYPE.SOA)


@pytest.mark.parametrize("answer", ["nxdomain", "refused", "address"])
def test_who_speaks_edns_hears_why(answer: Answer) -> None:
    query = messages.parse(ask(edns={"flags": "do"}))
    reply = DNSRecord.parse(messages.blocked(query, Profile("p", answer=answer), 60))
    assert extended_error(reply) == messages.EDE_BLOCKED
    assert (reply.ar[0].edns_len, reply.ar[0].edns_do) == (1232, 1)


def test_a_failure_says_that_nobody_could_be_reached() -> None:
    reply = DNSRecord.parse(messages.failed(messages.parse(ask(edns={})), "192.0.2.1 was silent"))
    assert reply.header.rcode == messages.SERVFAIL
    assert options(reply) == [(15, b"\x00\x16192.0.2.1 was silent")]
    assert DNSRecord.parse(messages.failed(messages.parse(ask()), "silent")).ar == []


def test_any_gets_one_harmless_record() -> None:
    reply = DNSRecord.parse(messages.refuses_any(messages.parse(ask(qtype="ANY"))))
    assert [(rr.rtype, rr.rdata.data) for rr in reply.rr] == [(QTYPE.HINFO, b"\x07RFC8482\x00")]


@st.composite
def queries(draw: st.DrawFn) -> Query:
    labels = draw(
        st.lists(st.binary(min_size=1, max_size=63), max_size=8).filter(lambda all_: len(b".".join(all_)) < 254)
    )
    qtype = draw(st.integers(1, 65535).filter(lambda number: number not in {41, 249, 250, 251, 252, 253, 254}))
    name = b"".join(bytes([len(label)]) + label for label in labels) + b"\x00"
    size = draw(st.none() | st.integers(0, 65535))
    opt = b"" if size is None else b"\x00" + struct.pack("!HHIH", 41, size, draw(st.sampled_from([0, 0x8000])), 0)
    header = struct.pack(
        "!HHHHHH", draw(st.integers(0, 65535)), draw(st.sampled_from([0, 0x100, 0x110])), 1, 0, 0, bool(opt)
    )
    return messages.parse(header + name + struct.pack("!HH", qtype, 1) + opt)


def every_answer(query: Query) -> list[bytes]:
    profiles = [Profile("p", answer=answer) for answer in ("nxdomain", "refused", "address")]
    return [
        *(messages.blocked(query, profile, 60) for profile in profiles),
        messages.refuses_any(query),
        messages.failed(query, "why " * 20),
    ]


@given(queries())
def test_every_answer_echoes_id_and_question(query: Query) -> None:
    for answer in every_answer(query):
        message_id, flags, questions, *_ = struct.unpack_from("!HHHHHH", answer)
        assert (message_id, flags >> 15, questions) == (query.id, 1, 1)
        assert answer[12:].startswith(query.question)


@given(queries(), st.integers(0, 65000))
def test_no_answer_is_longer_than_the_device_can_take(query: Query, extra: int) -> None:
    longest = upstream_answer(query, 1, extra)
    for answer in [*every_answer(query), messages.relayed(query, longest)]:
        fitted = messages.fit(query, answer, query.udp_limit())
        assert len(fitted) <= query.udp_limit()
        assert fitted[:2] == answer[:2]
        assert fitted[12:].startswith(query.question)
        truncated = bool(fitted[2] & 0x02)
        assert truncated == (len(answer) > query.udp_limit())
        if truncated:
            assert struct.unpack_from("!HHHH", fitted, 4) == (1, 0, 0, 0 if query.edns is None else 1)
            assert messages.fit(query, answer, messages.TCP_SIZE) == answer


# Upstreams


def upstream_answer(query: Query, message_id: int, octets: int, opt_ttl: int = 0) -> bytes:
    """An answer with one record of so many octets of data, and an OPT record."""
    header = struct.pack("!HHHHHH", message_id, 0x8180, 1, 1, 0, 1)
    record = b"\xc0\x0c" + struct.pack("!HHIH", 65280, 1, 300, octets) + b"x" * octets
    return header + query.question + record + b"\x00" + struct.pack("!HHIH", 41, 4096, opt_ttl, 0)


def test_an_upstream_sees_nothing_of_the_device_but_its_question() -> None:
    query = messages.parse(ask(edns={"flags": "do", "opts": [EDNSOption(8, b"\x00\x01\x18\x00\x0a\x00\x00")]}))
    sent = DNSRecord.parse(messages.question_for_upstream(query, 99))
    assert (sent.header.id, sent.header.rd, str(sent.q.qname)) == (99, 1, "www.Example.org.")
    assert options(sent) == []
    assert (sent.ar[0].edns_len, sent.ar[0].edns_do) == (1232, 1)


def test_what_answers_a_question() -> None:
    query = messages.parse(ask())
    good = DNSRecord(DNSHeader(id=99, qr=1), q=DNSQuestion("WWW.eXample.ORG", QTYPE.A))
    assert messages.answers(query, 99, bytes(good.pack()))


@pytest.mark.parametrize(
    "record",
    [
        DNSRecord(DNSHeader(id=98, qr=1), q=DNSQuestion("www.example.org", QTYPE.A)),
        DNSRecord(DNSHeader(id=99, qr=0), q=DNSQuestion("www.example.org", QTYPE.A)),
        DNSRecord(DNSHeader(id=99, qr=1), q=DNSQuestion("www.example.com", QTYPE.A)),
        DNSRecord(DNSHeader(id=99, qr=1), q=DNSQuestion("www.example.org", QTYPE.AAAA)),
        DNSRecord(DNSHeader(id=99, qr=1), q=DNSQuestion("www.example.org", QTYPE.A, 3)),
        DNSRecord(DNSHeader(id=99, qr=1)),
    ],
)
def test_what_does_not_answer_a_question(record: DNSRecord) -> None:
    assert not messages.answers(messages.parse(ask()), 99, bytes(record.pack()))


def test_a_type_is_not_compared_like_a_letter() -> None:
    query = messages.parse(ask(qtype="HTTPS"))  # type 65 is the octet "A", type 97 the octet "a"
    other = DNSRecord(DNSHeader(id=99, qr=1), q=DNSQuestion("www.example.org", 97))
    assert not messages.answers(query, 99, bytes(other.pack()))


def test_an_answer_is_passed_on_under_the_devices_id_and_spelling() -> None:
    query = messages.parse(ask("wWw.example.ORG"))
    reply = DNSRecord(DNSHeader(id=99, qr=1, aa=1, ra=1, rd=1), q=DNSQuestion("www.example.org", QTYPE.A))
    reply.add_answer(*RR.fromZone("www.example.org 300 CNAME web.example.org\nweb.example.org 300 A 192.0.2.7"))
    reply.add_auth(*RR.fromZone("example.org 300 NS ns.example.org"))
    reply.add_ar(*RR.fromZone("ns.example.org 300 A 192.0.2.8"))
    reply.add_ar(EDNS0(udp_len=4096, opts=[EDNSOption(10, b"cookie")]))
    passed = DNSRecord.parse(messages.relayed(query, bytes(reply.pack())))
    assert (passed.header.id, passed.header.aa, str(passed.q.qname)) == (4711, 0, "wWw.example.ORG.")
    # Names in the answer point into the question, so they take on its spelling.
    assert [str(rr.rdata).lower() for rr in passed.rr] == ["web.example.org.", "192.0.2.7"]
    assert [str(rr.rdata).lower() for rr in passed.auth + passed.ar] == ["ns.example.org.", "192.0.2.8"]


def test_a_device_with_edns_gets_our_opt_record_in_place_of_the_upstreams() -> None:
    query = messages.parse(ask(edns={"flags": "do"}))
    reply = DNSRecord(DNSHeader(id=99, qr=1), q=DNSQuestion("www.example.org", QTYPE.A))
    reply.add_ar(EDNS0(udp_len=4096, opts=[EDNSOption(10, b"cookie")]))
    reply.add_ar(*RR.fromZone("ns.example.org 300 A 192.0.2.8"))  # behind the OPT record: goes with it
    passed = DNSRecord.parse(messages.relayed(query, bytes(reply.pack())))
    assert len(passed.ar) == 1
    assert (passed.ar[0].edns_len, passed.ar[0].edns_do, passed.ar[0].rdata) == (1232, 1, [])


def test_an_error_that_only_edns_explains_is_no_answer() -> None:
    query = messages.parse(ask())
    with pytest.raises(BadMessage):
        messages.relayed(query, upstream_answer(query, 1, 4, opt_ttl=1 << 24))


@given(st.binary(max_size=200), st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 65535))
def test_no_upstream_makes_passing_on_fail(noise: bytes, answers: int, authorities: int, additionals: int) -> None:
    query = messages.parse(ask(edns={}))
    packet = struct.pack("!HHHHHH", 99, 0x8180, 1, answers, authorities, additionals) + query.question + noise
    assert messages.answers(query, 99, packet)
    try:
        passed = messages.relayed(query, packet)
    except BadMessage:
        return
    assert passed[:2] == struct.pack("!H", 4711)
    assert passed[12:].startswith(query.question)


def test_labels_of_any_octets_survive() -> None:
    labels = [b"\xff\x00", b"a.b", b"org"]
    query = messages.parse(bytes(DNSRecord(DNSHeader(id=1), q=DNSQuestion(DNSLabel(labels))).pack()))
    assert query.labels == tuple(labels)
    assert messages.question_for_upstream(query, 2)[12:].startswith(query.question)
