"""DNS messages: reads what devices send, builds our answers, and fits an upstream's answer to the one who asked.

Queries and upstream answers come from anybody who can send a packet, so they are read here octet by octet, within the
bounds of the packet and without following pointers. Our own messages are written by dnslib. Nothing here does I/O.

RFC 1035 (messages), RFC 2308 (negative answers), RFC 6891 (EDNS), RFC 8482 (ANY), RFC 8914 (extended errors).
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dnslib import AAAA, CLASS, EDNS0, QTYPE, RR, SOA, A, DNSHeader, DNSLabel, DNSQuestion, DNSRecord, EDNSOption
from dnslib.dns import RD

from .domains import from_labels
from .policy import Profile

UDP_SIZE: Final = 1232
"""The largest UDP answer we send and accept: fits every path without fragments (DNS flag day 2020)."""

PLAIN_UDP_SIZE: Final = 512
"""The largest UDP answer for a device that does not speak EDNS (RFC 1035 section 4.2.1)."""

TCP_SIZE: Final = 65535

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)
BADVERS: Final = 16

EDE_OPTION: Final = 15
EDE_BLOCKED: Final = 15
"""Blocked by the operator of the server (RFC 8914 section 4.16). 17, Filtered, would mean that the asker wished it."""
EDE_NOT_SUPPORTED: Final = 21
EDE_NO_REACHABLE_AUTHORITY: Final = 22

ANY: Final = 255
ANY_TTL: Final = 3600

_HEADER = struct.Struct("!HHHHHH")
_RECORD = struct.Struct("!HHIH")
_QR, _OPCODE, _AA, _TC, _RD, _RA, _AD, _CD, _RCODE = (
    1 << 15,
    0xF << 11,
    1 << 10,
    1 << 9,
    1 << 8,
    1 << 7,
    1 << 5,
    1 << 4,
    0xF,
)
_DO = 1 << 15
_POINTER = 0xC0
_LONGEST_NAME_OCTETS = 255
_TRANSFERS = frozenset({251, 252})
_NOT_QUESTIONS = frozenset({41, 249, 250, 253, 254})
_IN = 1


@dataclass(frozen=True, slots=True)
class Edns:
    """What the asker's OPT record said: the UDP size it takes, its EDNS version, whether it wants DNSSEC records."""

    size: int
    version: int
    dnssec: bool


@dataclass(frozen=True, slots=True)
class Query:
    """One question. ``question`` are its octets as sent, which go back unchanged; ``name`` is for comparing."""

    id: int
    flags: int
    question: bytes
    labels: tuple[bytes, ...]
    name: str
    qtype: int
    qclass: int
    edns: Edns | None

    @property
    def type_name(self) -> str:
        """``A``, ``HTTPS``, or ``TYPE4711`` for a type without a name (RFC 3597)."""
        return str(QTYPE[self.qtype])

    def udp_limit(self) -> int:
        """Octets that an answer over UDP may have."""
        if self.edns is None:
            return PLAIN_UDP_SIZE
        return max(PLAIN_UDP_SIZE, min(self.edns.size, UDP_SIZE))


class Unanswerable(Exception):
    """The packet is no query to answer in the usual way. ``reply`` is what to send instead; ``None`` is silence."""

    def __init__(self, reply: bytes | None) -> None:
        super().__init__("not an answerable query")
        self.reply = reply


class BadMessage(Exception):
    """An upstream's message is cut short or contradicts itself."""


# Reading a query


def parse(packet: bytes) -> Query:
    """Read a query. Raises ``Unanswerable`` and nothing else, whatever the octets are.

    Silence for anything shorter than a header and for answers (two servers could answer each other for ever); NOTIMP
    for other operations, FORMERR for what cannot be read, BADVERS for a newer EDNS, REFUSED for zone transfers and for
    classes other than IN.
    """
    if len(packet) < _HEADER.size:
        raise Unanswerable(None)
    message_id, flags, questions, *records = _HEADER.unpack_from(packet)
    if flags & _QR:
        raise Unanswerable(None)
    if flags & _OPCODE:
        raise Unanswerable(_bare(message_id, flags, NOTIMP))
    if questions != 1:
        raise Unanswerable(_bare(message_id, flags, FORMERR))
    try:
        labels, end = _plain_name(packet, _HEADER.size)
        qtype, qclass = struct.unpack_from("!HH", packet, end)
        edns = _find_edns(packet, end + 4, records)
    except (BadMessage, struct.error, IndexError):
        raise Unanswerable(_bare(message_id, flags, FORMERR)) from None
    question = packet[_HEADER.size : end + 4]
    query = Query(message_id, flags, question, labels, from_labels(labels), qtype, qclass, edns)
    _refuse_the_unusual(query)
    return query


def _plain_name(packet: bytes, start: int) -> tuple[tuple[bytes, ...], int]:
    """The labels of an uncompressed name and where it ends. Raises ``BadMessage`` or ``IndexError``."""
    labels = []
    offset = start
    while length := packet[offset]:
        if length & _POINTER:
            raise BadMessage("a pointer or an unknown kind of label in a question")
        labels.append(packet[offset + 1 : offset + 1 + length])
        offset += 1 + length
    offset += 1
    if offset - start > _LONGEST_NAME_OCTETS:
        raise BadMessage("a name longer than 255 octets")
    return tuple(labels), offset


def _find_edns(packet: bytes, offset: int, counts: Sequence[int]) -> Edns | None:
    """The one OPT record of the additional section, if there is one (RFC 6891 section 6.1.1)."""
    found: Edns | None = None
    for record in _records(packet, offset, sum(counts)):
        if record.type != QTYPE.OPT:
            continue
        if found is not None or record.owner_octets != 1:
            raise BadMessage("more than one OPT record, or one with a name")
        found = Edns(record.class_, record.ttl >> 16 & 0xFF, bool(record.ttl & _DO))
    return found


def _refuse_the_unusual(query: Query) -> None:
    if query.edns is not None and query.edns.version > 0:
        raise Unanswerable(_pack(query, _answer(query, BADVERS)))
    if query.qtype in _NOT_QUESTIONS:
        raise Unanswerable(_pack(query, _answer(query, NOTIMP)))
    if query.qtype in _TRANSFERS or query.qclass != _IN:
        raise Unanswerable(_pack(query, _answer(query, REFUSED), (EDE_NOT_SUPPORTED, "")))


def _bare(message_id: int, flags: int, rcode: int) -> bytes:
    """A header and nothing else, for packets whose question could not be read."""
    return _HEADER.pack(message_id, _QR | flags & (_OPCODE | _RD) | _RA | rcode, 0, 0, 0, 0)


# Walking over records


@dataclass(frozen=True, slots=True)
class _Record:
    """Where a record lies, and its fixed fields. ``owner_octets`` is the length of its name as written."""

    start: int
    end: int
    owner_octets: int
    type: int
    class_: int
    ttl: int


def _records(packet: bytes, offset: int, count: int) -> list[_Record]:
    """``count`` records from ``offset``. ``BadMessage``, ``struct.error`` or ``IndexError`` if they do not fit."""
    found = []
    for _ in range(count):
        fields_at = _skip_name(packet, offset)
        rtype, rclass, ttl, length = _RECORD.unpack_from(packet, fields_at)
        end = fields_at + _RECORD.size + length
        if end > len(packet):
            raise BadMessage("a record that is longer than its message")
        found.append(_Record(offset, end, fields_at - offset, rtype, rclass, ttl))
        offset = end
    return found


def _skip_name(packet: bytes, offset: int) -> int:
    """Where the name at ``offset`` ends; a pointer ends it and is not followed."""
    while length := packet[offset]:
        if length & _POINTER == _POINTER:
            return offset + 2
        if length & _POINTER:
            raise BadMessage("an unknown kind of label")
        offset += 1 + length
    return offset + 1


# Our own answers


def blocked(query: Query, profile: Profile, ttl: int) -> bytes:
    """The answer for a blocked name, as the profile wants it. ``ttl``: seconds for which devices may remember it."""
    if profile.answer == "refused":
        record = _answer(query, REFUSED)
    elif profile.answer == "address":
        record = _answer(query, NOERROR)
        _add_address(record, query, profile.addresses, ttl)
    else:
        record = _answer(query, NXDOMAIN)
        record.add_auth(_soa(query, ttl))
    return _pack(query, record, (EDE_BLOCKED, "Blocked by the web filter of this network"))


def refuses_any(query: Query) -> bytes:
    """The answer to a question for every type at once, which is only good for attacks (RFC 8482 section 4.2)."""
    record = _answer(query, NOERROR)
    # RFC 8482: CPU is "RFC8482", OS is empty; each is a string with its length before it.
    record.add_answer(RR(_owner(query), QTYPE.HINFO, ttl=ANY_TTL, rdata=RD(b"\x07RFC8482\x00")))
    return _pack(query, record)


def failed(query: Query, why: str) -> bytes:
    """SERVFAIL, with the reason for those who can read it."""
    return _pack(query, _answer(query, SERVFAIL), (EDE_NO_REACHABLE_AUTHORITY, why))


def fit(query: Query, message: bytes, limit: int) -> bytes:
    """The message itself, or one without records that says "ask again over TCP" if it is longer than ``limit``."""
    if len(message) <= limit:
        return message
    flags = _HEADER.unpack_from(message)[1]
    opt = b"" if query.edns is None else _opt_octets(query, 0)
    counts = (1, 0, 0, 1 if opt else 0)
    return _HEADER.pack(query.id, flags | _TC, *counts) + query.question + opt


def _answer(query: Query, rcode: int) -> DNSRecord:
    """An empty answer to the query with our OPT record if the query had one (RFC 6891 section 6.1.1)."""
    flags = _QR | query.flags & (_RD | _CD) | _RA | rcode & _RCODE
    question = DNSQuestion(_owner(query), query.qtype, query.qclass)
    record = DNSRecord(DNSHeader(id=query.id, bitmap=flags), questions=[question])
    if query.edns is not None:
        record.add_ar(_opt(query.edns.dnssec, rcode >> 4))
    return record


def _pack(query: Query, record: DNSRecord, error: tuple[int, str] | None = None) -> bytes:
    if error is not None and query.edns is not None:
        code, words = error
        record.ar[0].rdata.append(EDNSOption(EDE_OPTION, struct.pack("!H", code) + words.encode()))
    return bytes(record.pack())


def _opt(dnssec: bool, extended_rcode: int) -> EDNS0:
    return EDNS0(flags="do" if dnssec else "", ext_rcode=extended_rcode, udp_len=UDP_SIZE)


def _owner(query: Query) -> DNSLabel:
    return DNSLabel(list(query.labels))


def _soa(query: Query, ttl: int) -> RR:
    """Without it devices do not remember a negative answer and ask again at once (RFC 2308 section 5)."""
    times = (1, 3600, 1200, 604800, ttl)
    return RR(_owner(query), QTYPE.SOA, CLASS.IN, ttl, SOA(DNSLabel("localhost"), DNSLabel("nobody.invalid"), times))


def _add_address(record: DNSRecord, query: Query, addresses: tuple[str, str], ttl: int) -> None:
    ipv4, ipv6 = addresses
    if query.qtype == QTYPE.A:
        record.add_answer(RR(_owner(query), QTYPE.A, CLASS.IN, ttl, A(ipv4)))
    elif query.qtype == QTYPE.AAAA:
        record.add_answer(RR(_owner(query), QTYPE.AAAA, CLASS.IN, ttl, AAAA(tuple(ipaddress.IPv6Address(ipv6).packed))))
    else:
        record.add_auth(_soa(query, ttl))


# Asking an upstream and passing its answer on


def question_for_upstream(query: Query, message_id: int, *, edns: bool = True) -> bytes:
    """The query under an id of ours and with an OPT record of ours; what else the device's OPT said stays here.

    ``edns=False`` is for servers that do not know EDNS (RFC 6891 section 7).
    """
    record = DNSRecord(
        DNSHeader(id=message_id, bitmap=query.flags & (_RD | _AD | _CD)),
        questions=[DNSQuestion(_owner(query), query.qtype, query.qclass)],
    )
    if edns:
        record.add_ar(_opt(query.edns is not None and query.edns.dnssec, 0))
    return bytes(record.pack())


def answers(query: Query, message_id: int, message: bytes) -> bool:
    """Whether the message answers exactly what was asked: same id, same question whatever its case (RFC 5452).

    A server that cannot read a query may leave the question out of its FORMERR.
    """
    if len(message) < _HEADER.size:
        return False
    their_id, flags, questions, *_ = _HEADER.unpack_from(message)
    if their_id != message_id or not flags & _QR:
        return False
    if questions == 0:
        return rcode_of(message) == FORMERR
    asked = message[_HEADER.size : _HEADER.size + len(query.question)]
    return questions == 1 and _same_question(asked, query.question)


def is_truncated(message: bytes) -> bool:
    """Whether the rest has to be fetched over TCP."""
    return bool(_HEADER.unpack_from(message)[1] & _TC)


def rcode_of(message: bytes) -> int:
    """The four bits of the header; the eight more of EDNS are for ``relayed``."""
    return int(_HEADER.unpack_from(message)[1] & _RCODE)


def relayed(query: Query, message: bytes) -> bytes:
    """An upstream's answer, for which ``answers`` is true, as the device gets it.

    The device's id and spelling go in; the upstream's OPT record and what follows it (nothing that matters: the
    additional section is optional) go out, and ours comes in if the device sent one. Raises ``BadMessage``.
    """
    _, flags, _, answer_count, authority_count, additional_count = _HEADER.unpack_from(message)
    offset = _HEADER.size + len(query.question)
    try:
        records = _records(message, offset, answer_count + authority_count + additional_count)
    except (struct.error, IndexError):
        raise BadMessage("an answer that is cut short") from None
    kept = _before_opt(records, answer_count + authority_count)
    body = message[offset : kept[-1].end if kept else offset]
    additional = len(kept) - answer_count - authority_count
    opt = b"" if query.edns is None else _opt_octets(query, 0)
    counts = (1, answer_count, authority_count, additional + (1 if opt else 0))
    return _HEADER.pack(query.id, flags & ~_AA | _RA, *counts) + query.question + body + opt


def _before_opt(records: list[_Record], additional_from: int) -> list[_Record]:
    for index, record in enumerate(records):
        if record.type != QTYPE.OPT:
            continue
        if index < additional_from or record.ttl >> 24:
            raise BadMessage("an OPT record in the wrong place, or an error that only it explains")
        return records[:index]
    return records


def _same_question(theirs: bytes, ours: bytes) -> bool:
    """Compare name, type and class. Only the name is compared without case: a type may look like a letter."""
    return theirs[:-4].lower() == ours[:-4].lower() and theirs[-4:] == ours[-4:]


def _opt_octets(query: Query, extended_rcode: int) -> bytes:
    """Our OPT record: root name, type 41, our size, flags, no options."""
    assert query.edns is not None
    ttl = extended_rcode << 24 | (_DO if query.edns.dnssec else 0)
    return b"\x00" + _RECORD.pack(QTYPE.OPT, UDP_SIZE, ttl, 0)
