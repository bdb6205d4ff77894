"""The conformance table: for each point of an RFC, a query, what an upstream does, and what the device gets.

Every line is asked over a real socket from a resolver with a scripted upstream, or answered from memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from dnslib import QTYPE, RCODE, DNSRecord
from resolver_bench import ADDRESS, Script, addresses, device, error_of, policy, query, zone

OPT_OCTETS = 11
COOKIE = b"\0\x0a\0\x08abcdefgh"
SUBNET = b"\0\x08\0\x07\0\1\x18\0\x0a\0\0"
SOA = "example. 900 IN SOA ns.example. h.example. 1 2 3 4 120"


@dataclass(frozen=True)
class Point:
    """A line of the table. ``reply`` is the answer without its id; ``b""`` is silence."""

    rfc: str
    what: str
    packet: bytes
    expected: Callable[[bytes], bool]
    script: Script = addresses
    tcp: bool = False
    world: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.rfc}: {self.what}"


def parsed(is_so: Callable[[DNSRecord], bool]) -> Callable[[bytes], bool]:
    return lambda tail: is_so(DNSRecord.parse(b"\x12\x34" + tail))


def rcode(name: str) -> Callable[[bytes], bool]:
    return parsed(lambda reply: reply.header.rcode == getattr(RCODE, name))


def bare(name: str) -> Callable[[bytes], bool]:
    """A header with this code and nothing else: never longer than what came."""
    return lambda tail: len(tail) == 10 and tail[1] & 15 == getattr(RCODE, name) and tail[2:] == bytes(8)


def silence(tail: bytes) -> bool:
    return tail == b""


def nothing() -> Callable[[bytes], bool]:
    return parsed(
        lambda reply: not reply.header.rcode and not reply.rr and [rr.rtype for rr in reply.auth] == [QTYPE.SOA]
    )


def opt_of(reply: DNSRecord) -> Any:
    (found,) = [rr for rr in reply.ar if rr.rtype == QTYPE.OPT]
    return found


LONG = "\n".join(f"long.example. 300 IN A 198.51.{number // 250}.{number % 250}" for number in range(100))
MANY = "\n".join(f"a{n}.example. 60 IN CNAME a{n + 1}.example." for n in range(20))
PLAIN = query("www.example.org")
WITH_EDNS = query("www.example.org", edns=b"")

POINTS = [
    Point("RFC 1035 4.1.1", "the flags of an answer: QR, RD as asked, RA", PLAIN, lambda t: t[:2] == b"\x81\x80"),
    Point("RFC 1035 4.1.1", "RD is not set if it was not", query("a.example", flags=0), lambda t: t[:2] == b"\x80\x80"),
    Point("RFC 1035 4.1.1", "no answer of ours is authoritative", PLAIN, lambda t: not t[0] & 4),
    Point("RFC 1035 4.1.1", "an answer (QR=1) is not answered", query("a.example", flags=0x81), silence),
    Point("RFC 1035 4.1.1", "less than a header is not answered", PLAIN[:11], silence),
    Point("RFC 1035 4.1.1", "a header alone is a format error", PLAIN[:12], bare("FORMERR")),
    Point("RFC 1035 4.1.1", "a question that is cut short", PLAIN[:-2], bare("FORMERR")),
    Point("RFC 1035 4.1.1", "octets behind the question", PLAIN + b"xx", bare("FORMERR")),
    Point("RFC 1035 4.1.1", "inverse queries", query("a.example", flags=0x09), bare("NOTIMP")),
    Point("RFC 1035 4.1.1", "NOTIFY", query("a.example", flags=0x21), bare("NOTIMP")),
    Point("RFC 1035 4.1.1", "UPDATE", query("a.example", flags=0x29), bare("NOTIMP")),
    Point("RFC 9619", "no question", PLAIN[:4] + b"\0\0" + PLAIN[6:12], bare("FORMERR")),
    Point("RFC 9619", "two questions", PLAIN[:4] + b"\0\2" + PLAIN[6:] + PLAIN[12:], bare("FORMERR")),
    Point("RFC 1035 4.1.4", "a pointer in a question", PLAIN[:12] + b"\xc0\x0c\0\1\0\1", bare("FORMERR")),
    Point("RFC 1035 3.1", "an unknown kind of label", PLAIN[:12] + b"\x41a\0\0\1\0\1", bare("FORMERR")),
    Point("RFC 1035 3.1", "a name of 255 octets", query(".".join(["a" * 62] * 4)[:253]), rcode("NOERROR")),
    Point("RFC 1035 3.1", "a name of more than 255 octets", query(".".join(["a" * 63] * 4)), bare("FORMERR")),
    Point("RFC 1035 3.2.5", "classes other than IN", query("a.example", qclass=3), rcode("REFUSED")),
    Point("RFC 5936 6", "transfers of zones", query("a.example", "AXFR"), rcode("REFUSED")),
    Point("RFC 1995", "transfers of changes", query("a.example", 251), rcode("REFUSED")),
    Point("RFC 2181 8", "a TTL with its highest bit set is zero", PLAIN, parsed(lambda r: r.rr[0].ttl == 0),
          lambda m, t: addresses(m, t, 0xFFFFFFFF)),
    Point("RFC 2181 11", "octets that are no letters", PLAIN[:12] + b"\3\0.\xff\0\0\1\0\1",
          lambda t: t[10:19] == b"\3\0.\xff\0\0\1\0\1" and t[4:6] == b"\0\1",
          lambda m, _: [m[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + m[12:21] + b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4\xc0\0\2\1"]),
    Point("RFC 1034 3.7.1", "the root", query("", "NS"), rcode("NOERROR")),
    Point("RFC 2308 2.2", "nothing of this type: the SOA comes along", query("a.example", "MX"), nothing(),
          zone("", auth=SOA)),
    Point("RFC 2308 5", "its TTL is the SOA's minimum", query("a.example", "MX"),
          parsed(lambda r: r.auth[0].ttl == 120), zone("", auth=SOA)),
    Point("RFC 2308 5", "but no more than our bound", query("a.example", "MX"),
          parsed(lambda r: r.auth[0].ttl == 50), zone("", auth=SOA), world={"cache": {"negative_ttl": 50}}),
    Point("RFC 2308 2.1", "no such name", query("a.example"),
          parsed(lambda r: r.header.rcode == 3 and r.auth[0].ttl == 120), zone("", rcode=3, auth=SOA)),
    Point("RFC 6604", "an alias to nothing: the alias, and no such name", query("a.example"),
          parsed(lambda r: r.header.rcode == 3 and r.rr[0].rtype == QTYPE.CNAME and len(r.auth) == 1),
          zone("a.example. 60 IN CNAME b.example.", rcode=3, auth=SOA)),
    Point("RFC 1034 3.6.2", "an alias and where it leads", query("a.example"),
          parsed(lambda r: [rr.rtype for rr in r.rr] == [5, 1] and str(r.rr[1].rdata) == "192.0.2.1"),
          zone("a.example. 60 IN CNAME b.example.\nb.example. 60 IN A 192.0.2.1")),
    Point("RFC 1034 3.6.2", "aliases without end", query("a0.example"), rcode("SERVFAIL"), zone(MANY)),
    Point("RFC 5452 6", "records about names that were not asked", query("a.example"), rcode("SERVFAIL"),
          zone("a.example. 60 IN A 192.0.2.1\nbank.example. 60 IN A 192.0.2.66")),
    Point("RFC 4343 4", "the name comes back in the asker's case", query("wWw.ExAmPlE.oRg"),
          lambda t: t[10:27] == b"\3wWw\7ExAmPlE\3oRg\0"),
    Point("RFC 6891 6.1.1", "no OPT for a device that sent none", PLAIN, parsed(lambda r: not r.ar)),
    Point("RFC 6891 6.1.1", "our own OPT for one that did", WITH_EDNS,
          parsed(lambda r: opt_of(r).edns_len == 1232 and not opt_of(r).rdata)),
    Point("RFC 6891 6.1.1", "two OPT records", WITH_EDNS[:11] + b"\2" + WITH_EDNS[12:] + WITH_EDNS[-OPT_OCTETS:],
          bare("FORMERR")),
    Point("RFC 6891 6.1.2", "an OPT record with a name",
          PLAIN[:11] + b"\1" + PLAIN[12:] + b"\1a\0\0\x29\4\xd0\0\0\0\0\0\0", bare("FORMERR")),
    Point("RFC 6891 6.1.3", "a later version", WITH_EDNS[:-5] + b"\1" + WITH_EDNS[-4:],
          parsed(lambda r: opt_of(r).rdata == [] and opt_of(r).ttl >> 24 == 1 and not r.rr)),
    Point("RFC 6891 6.2.3", "sizes under 512 mean 512", query("long.example", edns=b"", size=100),
          lambda t: t[0] & 2 and len(t) + 2 <= 512, zone(LONG)),
    Point("RFC 6891 6.2.5", "what is longer than 1232 comes over TCP", query("long.example", edns=b"", size=4096),
          parsed(lambda r: r.header.tc == 1 and not r.rr and opt_of(r).edns_len == 1232), zone(LONG)),
    Point("RFC 2181 9", "what is longer than 512 without EDNS too", query("long.example"),
          parsed(lambda r: r.header.tc == 1 and not r.rr and not r.ar), zone(LONG)),
    Point("RFC 7766", "over TCP it is whole", query("long.example"),
          parsed(lambda r: r.header.tc == 0 and len(r.rr) == 100), zone(LONG), tcp=True),
    Point("RFC 7871 6", "a client-subnet option is not answered", query("a.example", edns=SUBNET),
          parsed(lambda r: not opt_of(r).rdata and len(r.rr) == 1)),
    Point("RFC 7873 5.2", "nor is a cookie, which a server may do", query("a.example", edns=COOKIE),
          parsed(lambda r: not opt_of(r).rdata and len(r.rr) == 1)),
    Point("RFC 6891 6.1.2", "an option longer than its record", query("a.example", edns=b"\0\x0a\0\x09abcdefgh"),
          bare("FORMERR")),
    Point("RFC 8482 4.2", "ANY", query("a.example", "ANY"),
          parsed(lambda r: len(r.rr) == 1 and r.rr[0].rtype == 13 and r.rr[0].rdata.data == b"\x07RFC8482\0")),
    Point("RFC 6840 5.7", "AD comes to those who want it", query("a.example", second=0x20), lambda t: t[1] & 0x20,
          lambda m, t: [_checked(addresses(m, t)[0])]),
    Point("RFC 6840 5.7", "or who want signatures", query("a.example", edns=b"", do=True), lambda t: t[1] & 0x20,
          lambda m, t: [_checked(addresses(m, t)[0])]),
    Point("RFC 6840 5.7", "and to nobody else", PLAIN, lambda t: not t[1] & 0x20,
          lambda m, t: [_checked(addresses(m, t)[0])]),
    Point("RFC 4035 3.2.2", "CD comes back", query("a.example", second=0x10), lambda t: t[1] & 0x10),
    Point("RFC 3225", "DO comes back", query("a.example", edns=b"", do=True), parsed(lambda r: opt_of(r).edns_do == 1)),
    Point("RFC 6761 6.3", "localhost is the device", query("a.localhost"),
          parsed(lambda r: str(r.rr[0].rdata) == "127.0.0.1" and str(r.rr[0].rname) == "a.localhost.")),
    Point("RFC 6761 6.3", "on IPv6 too", query("localhost", "AAAA"), parsed(lambda r: str(r.rr[0].rdata) == "::1")),
    Point("RFC 6762 22.1", "names of the link", query("printer.local"), rcode("NXDOMAIN")),
    Point("RFC 7686 2", "onion services", query("a.onion"), rcode("NXDOMAIN")),
    Point("RFC 6303 4", "names of private addresses", query("7.0.0.10.in-addr.arpa", "PTR"), rcode("NXDOMAIN")),
    Point("RFC 6303 4.4", "and of unique local ones", query("0.0.d.f.ip6.arpa", "PTR"), rcode("NXDOMAIN")),
    Point("RFC 8914 4.16", "blocked: why", query("ads.example", edns=b""), parsed(lambda r: error_of(r) == 15),
          world={"policy": policy(entries=[["block", "ads.example", "1"]])}),
    Point("RFC 8914 2", "no words for who cannot read them", query("ads.example"), parsed(lambda r: not r.ar),
          world={"policy": policy(entries=[["block", "ads.example", "1"]])}),
    Point("RFC 8914 4.23", "nobody answers: why", query("a.example", edns=b""),
          parsed(lambda r: r.header.rcode == 2 and error_of(r) == 22), lambda m, t: [],
          world={"upstream_timeout": 0.05}),
    Point("RFC 9460", "HTTPS records are passed on", query("a.example", "HTTPS"), rcode("NOERROR"), zone("", auth=SOA)),
]  # fmt: skip


def _checked(reply: bytes) -> bytes:
    return reply[:3] + bytes((reply[3] | 0x20,)) + reply[4:]


@pytest.mark.parametrize("point", POINTS, ids=str)
def test_conformance(point: Point) -> None:
    with device(point.script, **point.world) as asker:
        got = asker.ask_packet(point.packet, tcp=point.tcp)
    assert point.expected(got.tail), f"{point.packet.hex()} -> {got.tail.hex()}"


NEVER_FORWARDED = [
    query("a.example", "ANY"), query("printer.local"), query("a.onion"), query("localhost", "MX"), query("a.invalid"),
    query("1.0.168.192.in-addr.arpa", "PTR"), query("1.16.172.in-addr.arpa", "PTR"), query("home.arpa", "SOA"),
    query("_dns.resolver.arpa", "SVCB"),
    query("a.example", "AXFR"), query("a.example", flags=0x29), query("a.example", qclass=255),
]  # fmt: skip


def test_what_is_nobodys_business_does_not_leave_the_school() -> None:
    with device(addresses) as asker:
        for packet in NEVER_FORWARDED:
            assert len(asker.send(packet)) == 1, packet  # answered at once, so nobody was asked
        assert not asker.upstreams[0].asked
        assert not asker.bench.watched


def test_what_leaves_the_school_says_nothing_of_the_device() -> None:
    with device(addresses) as asker:
        asker.ask("a.example", edns=COOKIE + SUBNET, size=4096, do=True, second=0x10)
        asker.ask("b.example")
    first, second = (DNSRecord.parse(message) for _, message, _ in asker.upstreams[0].asked)
    assert opt_of(first).edns_len == opt_of(second).edns_len == 1232
    assert not opt_of(first).rdata
    assert (opt_of(first).edns_do, first.header.cd) == (1, 1)
    assert (opt_of(second).edns_do, second.header.cd) == (0, 0)
    assert first.header.rd == second.header.rd == 1


def test_options_neither_split_the_cache_nor_fill_the_ready_answers() -> None:
    with device(addresses) as asker:
        asker.ask("a.example", edns=b"")
        with_cookie = asker.ask_packet(query("a.example", edns=COOKIE))
        with_subnet = asker.ask_packet(query("a.example", edns=SUBNET))
        without = asker.ask_packet(query("a.example", edns=b""))
    assert len(asker.upstreams[0].asked) == 1
    assert with_cookie.seconds == with_subnet.seconds == 0
    assert without.seconds > 0


def test_a_malformed_packet_never_gets_more_than_it_sent() -> None:
    with device(addresses) as asker:
        for cut in range(len(WITH_EDNS)):
            (made,) = asker.send(WITH_EDNS[:cut])
            assert len(made.tail) + 2 <= cut or not made.tail
            assert made.note is None
            assert made.seconds == 0


def test_the_address_of_the_script_is_the_one_of_the_answer() -> None:
    with device(addresses) as asker:
        assert str(asker.ask("a.example").rr[0].rdata) == ADDRESS


@pytest.mark.parametrize("answer", ["page", "address", "refused", "nxdomain"])
@pytest.mark.parametrize("name", ["use-application-dns.net", "mask.icloud.com", "mask-h2.icloud.com"])
@pytest.mark.parametrize("qtype", ["A", "AAAA", "HTTPS"])
def test_a_canary_is_not_there_whatever_other_blocked_names_lead_to(answer: str, name: str, qtype: str) -> None:
    with device(addresses, policy=policy(answer=answer, bypass=True)) as asker:
        for _ in range(2):
            reply = asker.ask(name, qtype)
            assert reply.header.rcode == RCODE.NXDOMAIN
            assert reply.rr == []
