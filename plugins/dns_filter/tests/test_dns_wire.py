"""Octets: what we read and write, and what dnslib reads and writes, are the same; and nothing makes us fall."""

from __future__ import annotations

import random
import string
import struct

import pytest
from dnslib import AAAA, CAA, CNAME, EDNS0, MX, NS, PTR, QTYPE, RR, SOA, SRV, TXT, A, DNSHeader, DNSQuestion, DNSRecord
from hypothesis import given, settings
from hypothesis import strategies as st
from resolver_bench import device, policy, query

from appliance_plugins.dns_filter.answerer.answers import Entry
from appliance_plugins.dns_filter.answerer.records import Limits, digest, expand, through
from appliance_plugins.dns_filter.answerer.wire import (
    AD,
    CD,
    DO,
    EDNS,
    HEADER,
    RD,
    SHAPES,
    BadMessage,
    read,
    to_text,
    to_wire,
)

NAME = to_wire("www.example.org")


def a_name(chance: random.Random) -> str:
    letters = string.ascii_letters + string.digits + "-_"
    return ".".join("".join(chance.choices(letters, k=chance.randint(1, 12))) for _ in range(chance.randint(1, 5)))


def records(chance: random.Random, name: str, kind: int) -> list[RR]:
    """An answer as an upstream may give it: perhaps aliases, then records of the type."""
    found = []
    for _ in range(chance.choice((0, 0, 1, 3))):
        target = a_name(chance)
        found.append(RR(name, QTYPE.CNAME, rdata=CNAME(target), ttl=chance.randint(1, 5000)))
        name = target
    make = {
        1: lambda: A(f"192.0.2.{chance.randint(1, 200)}"),
        28: lambda: AAAA(f"2001:db8::{chance.randint(1, 200):x}"),
        2: lambda: NS(a_name(chance)),
        12: lambda: PTR(a_name(chance)),
        15: lambda: MX(a_name(chance), chance.randint(0, 50)),
        16: lambda: TXT(["x" * chance.randint(0, 200) for _ in range(chance.randint(1, 3))]),
        33: lambda: SRV(1, 2, 389, a_name(chance)),
        257: lambda: CAA(0, "issue", "ca.example"),
    }[kind]
    for _ in range(chance.randint(1, 12)):
        found.append(RR(name, kind, rdata=make(), ttl=chance.randint(1, 5000)))
    return found


def rebuilt(entry: Entry, message: bytes, name: bytes, ttl: int) -> DNSRecord:
    start = HEADER + len(name) + 4
    octets = message[:2] + bytes((0x81, 0x80 | entry.rcode)) + b"\0\1" + entry.counts + b"\0\0"
    return DNSRecord.parse(octets + message[HEADER:start] + ttl.to_bytes(4, "big").join(entry.parts))


def spoken(record: RR) -> tuple[str, int, str]:
    return str(record.rname).lower(), record.rtype, str(record.rdata).lower()


def test_answers_written_by_dnslib_are_read_as_dnslib_reads_them() -> None:
    chance = random.Random(5)
    for _ in range(600):
        name, kind = a_name(chance), chance.choice((1, 28, 2, 12, 15, 16, 33, 257))
        message = DNSRecord(DNSHeader(qr=1, ra=1, id=7), q=DNSQuestion(name, kind))
        message.add_answer(*records(chance, name, kind))
        message.add_auth(RR("example", QTYPE.NS, rdata=NS("ns.example"), ttl=5))
        message.add_ar(EDNS0(udp_len=1232))
        octets, wire = bytes(message.pack()), to_wire(name)
        entry = digest(octets, HEADER + len(wire) + 4, wire, 0, Limits())
        theirs = DNSRecord.parse(octets)
        assert entry.ttl == min(3600, *(rr.ttl for rr in theirs.rr))
        ours = rebuilt(entry, octets, wire, 77)
        assert [spoken(rr) for rr in ours.rr] == [spoken(rr) for rr in theirs.rr]
        assert {rr.ttl for rr in ours.rr} == {77}
        assert not ours.auth
        targets = [str(rr.rdata).lower() for rr in theirs.rr if rr.rtype == QTYPE.CNAME]
        assert [to_text(target) + "." for target in entry.targets or ()] == targets


def test_negative_answers_too() -> None:
    chance = random.Random(6)
    for _ in range(150):
        name, rcode, minimum, ttl = (
            a_name(chance),
            chance.choice((0, 3)),
            chance.randint(1, 900),
            chance.randint(1, 900),
        )
        message = DNSRecord(DNSHeader(qr=1, ra=1, rcode=rcode), q=DNSQuestion(name))
        soa = SOA("ns.example", "h.example", (1, 2, 3, 4, minimum))
        message.add_auth(RR(name.partition(".")[2] or "example", QTYPE.SOA, rdata=soa, ttl=ttl))
        octets, wire = bytes(message.pack()), to_wire(name)
        entry = digest(octets, HEADER + len(wire) + 4, wire, 0, Limits())
        assert (entry.rcode, entry.ttl) == (rcode, min(minimum, ttl, 300))
        assert [spoken(rr) for rr in rebuilt(entry, octets, wire, 9).auth] == [spoken(rr) for rr in message.auth]


def test_an_answer_through_a_safe_name_reads_the_same() -> None:
    chance = random.Random(8)
    name = to_wire("www.search.example")
    for _ in range(150):
        safe, kind = a_name(chance), chance.choice((1, 28))
        message = DNSRecord(DNSHeader(qr=1, ra=1), q=DNSQuestion(safe, kind))
        message.add_answer(*records(chance, safe, kind))
        octets, wire = bytes(message.pack()), to_wire(safe)
        entry = through(octets, HEADER + len(wire) + 4, wire, Limits())
        asked = query("www.search.example", kind)
        ours = rebuilt(entry, asked, name, 5)
        assert spoken(ours.rr[0]) == ("www.search.example.", 5, safe.lower() + ".")
        assert [spoken(rr) for rr in ours.rr[1:]] == [spoken(rr) for rr in DNSRecord.parse(octets).rr]


def test_queries_written_by_dnslib_are_read_as_dnslib_reads_them() -> None:
    chance = random.Random(7)
    for _ in range(600):
        name = a_name(chance)
        flags = {flag: chance.randint(0, 1) for flag in ("rd", "ad", "cd")}
        packet = DNSRecord(DNSHeader(**flags), q=DNSQuestion(name, chance.choice((1, 28, 65, 16))))
        size, dnssec = chance.choice((0, 512, 1232, 4096)), chance.randint(0, 1)
        edns = chance.randint(0, 1)
        if edns:
            packet.add_ar(EDNS0(udp_len=size, flags="do" if dnssec else ""))
        octets = bytes(packet.pack())
        found = read(octets)
        assert isinstance(found, tuple)
        end, shape, limit, plain = found
        assert octets[12:end].lower() == to_wire(name)
        bits = (shape & RD, shape & AD, shape & CD, shape & EDNS, shape & DO)
        assert tuple(map(bool, bits)) == (flags["rd"], flags["ad"], flags["cd"], edns, edns and dnssec)
        assert limit == (min(max(size, 512), 1232) if edns else 512)
        assert plain


@pytest.mark.parametrize("answer", ["nxdomain", "refused", "page"])
def test_our_own_answers_are_read_by_dnslib_in_every_shape(answer: str) -> None:
    with device(policy=policy(entries=[["block", "bad.example", "1"]], answer=answer)) as asker:
        for shape in SHAPES:
            edns = b"" if shape & EDNS else None
            packet = query(
                "WWW.bad.example", edns=edns, do=bool(shape & DO), flags=shape & RD,
                second=(0x20 if shape & AD else 0) | (0x10 if shape & CD else 0),
            )  # fmt: skip
            (made,) = asker.send(packet)
            reply = DNSRecord.parse(packet[:2] + made.tail)
            assert bytes(reply.pack())[:12] == packet[:2] + made.tail[:10]
            assert str(reply.q.qname) == "WWW.bad.example."
            assert (reply.header.rd, reply.header.cd) == (shape & RD, bool(shape & CD))
            assert len(made.tail) + 2 <= 512


# Nothing makes us fall

OCTETS = st.binary(max_size=300)
QUERY = query("www.Example.org", edns=b"\0\x0a\0\x08abcdefgh")


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """A message with some octets changed, cut off or put in."""
    octets = bytearray(whole)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, max(len(octets) - 1, 0)))
        kind = draw(st.sampled_from(("change", "change", "change", "cut", "insert")))
        if kind == "change" and octets:
            octets[at] = draw(st.integers(0, 255))
        elif kind == "cut":
            del octets[at:]
        else:
            octets[at:at] = draw(st.binary(max_size=8))
    return bytes(octets)


def _may_be_sent(packet: bytes, tail: bytes) -> None:
    if not tail:
        return
    assert len(packet) >= HEADER
    assert not packet[2] & 0x80
    assert tail[0] & 0x80
    limit = 1232
    assert len(tail) + 2 <= limit
    if tail[1] & 15 in (1, 4):  # what could not be read gets no more than it sent
        assert len(tail) + 2 <= max(len(packet), HEADER)


@given(packet=st.one_of(OCTETS, damaged(QUERY), OCTETS.map(lambda octets: QUERY[:12] + octets)))
@settings(max_examples=300)
def test_any_packet_is_answered_refused_or_not_heard(packet: bytes) -> None:
    found = read(packet)
    if isinstance(found, bytes):
        _may_be_sent(packet, found)
        return
    end, shape, limit, _ = found
    assert 13 <= end <= len(packet) - 4
    assert packet[end - 1] == 0
    assert shape in SHAPES
    assert 512 <= limit <= 1232


@given(packet=st.one_of(OCTETS, damaged(QUERY)))
@settings(max_examples=100)
def test_any_packet_gets_one_answer_within_its_bounds(packet: bytes) -> None:
    with device() as asker:  # no server to ask: everything is answered from memory or not at all
        made = asker.ask_packet(packet)
        _may_be_sent(packet, made.tail)
        assert asker.resolver._held == {}


ANSWER = bytes(
    DNSRecord(
        DNSHeader(qr=1, ra=1, id=7),
        q=DNSQuestion("www.example.org"),
        rr=[
            RR("www.example.org", QTYPE.CNAME, rdata=CNAME("a.example.org"), ttl=60),
            RR("a.example.org", QTYPE.A, rdata=A("192.0.2.1"), ttl=60),
        ],
        auth=[RR("example.org", QTYPE.SOA, rdata=SOA("ns.example.org", "h.example.org", (1, 2, 3, 4, 5)), ttl=60)],
        ar=[EDNS0(udp_len=1232)],
    ).pack()
)
SERVICE = struct.pack("!HHIH", 65, 1, 60, 18) + b"\0\1\0\0\4\0\4\xc0\0\2\1\0\1\0\3\2h2"


@given(
    message=st.one_of(
        damaged(ANSWER),
        OCTETS.map(lambda octets: ANSWER[:12] + NAME + b"\0\1\0\1" + octets),
        damaged(SERVICE).map(lambda part: ANSWER[:7] + b"\1" + bytes(4) + NAME + b"\0\x41\0\1\xc0\x0c" + part),
    ),
    dnssec=st.sampled_from((0, DO)),
)
@settings(max_examples=300)
def test_any_answer_of_an_upstream_is_kept_within_bounds_or_not_at_all(message: bytes, dnssec: int) -> None:
    start = HEADER + len(NAME) + 4
    if len(message) < start:  # never gets here: its question would not be ours
        return
    for made in (
        lambda: digest(message, start, NAME, dnssec, Limits()),
        lambda: through(message, start, NAME, Limits()),
    ):
        try:
            entry = made()
        except BadMessage:
            continue
        assert 0 <= entry.ttl <= 3600
        assert sum(map(len, entry.parts)) <= 20 * len(message)
        assert len(entry.parts) <= sum(struct.unpack("!HH", entry.counts)) + 1
        for target in entry.targets or ():
            assert len(target) <= 255


def test_an_upstream_that_sends_nonsense_behind_the_question_harms_nobody() -> None:
    """Through real sockets: every query gets exactly one answer, and nothing stays open."""
    chance = random.Random(11)

    def nonsense(message: bytes, over_tcp: bool) -> list[bytes]:
        del over_tcp
        end = message.index(b"\0", 12) + 5
        octets = bytearray(message[:2] + ANSWER[2:12] + message[12:end] + ANSWER[12 + len(NAME) + 4 :])
        for _ in range(chance.randint(1, 8)):
            octets[chance.choice((2, 3, 7, 9, 11, *range(end, len(octets))))] = chance.randrange(256)
        octets[2] |= 0x80
        octets[2] &= 0x87
        return [bytes(octets[: chance.choice((len(octets), len(octets), chance.randint(end, len(octets))))])]

    with device(nonsense) as asker:
        for number in range(300):
            made = asker.ask_packet(query(f"n{number:02}.example.org", edns=b""))
            assert made.tail[0] & 0x80
            assert len(made.tail) + 2 <= 1232
        asker.leaves_nothing_open()


@given(octets=OCTETS, at=st.integers(0, 300))
def test_names_with_pointers_end(octets: bytes, at: int) -> None:
    try:
        name = expand(octets, at)
    except (BadMessage, IndexError):
        return
    assert len(name) <= 255
    assert name[-1:] == b"\0"


@pytest.mark.parametrize(
    ("wire", "text"),
    [(b"\0", "."), (b"\3wWw\7example\0", "www.example"), (b"\3a.b\1c\0", "a\\046b.c"), (b"\2\0\xff\0", "\\000\\255")],
)
def test_names_as_text(wire: bytes, text: str) -> None:
    assert to_text(wire) == text


@pytest.mark.parametrize("text", ["a..b", ".a", "a" * 64, ".".join(["a" * 60] * 5), "bücher.example"])
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        to_wire(text)
