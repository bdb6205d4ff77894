"""DNS messages as octets: reads queries without decoding anything, and puts answers together from ready pieces.

A query is read once, from left to right, and only its bounds are kept. What an answer needs besides the question's own
octets depends on few bits of the query, its *shape*, so headers and OPT records exist once per shape.

RFC 1035 (messages), RFC 2308 (negative answers), RFC 6891 (EDNS), RFC 8482 (ANY), RFC 8914 (extended errors).
"""

from __future__ import annotations

import struct
from typing import Final

UDP_SIZE: Final = 1232
"""The largest UDP answer we send and accept: fits every path without fragments (DNS flag day 2020)."""
PLAIN_UDP_SIZE: Final = 512
"""The largest UDP answer for a device that does not speak EDNS (RFC 1035 section 4.2.1)."""
TCP_SIZE: Final = 65535

NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = range(6)

A, CNAME, SOA, AAAA, DNAME, OPT, RRSIG, SVCB, HTTPS, ANY = 1, 5, 6, 28, 39, 41, 46, 64, 65, 255
TYPE_A: Final = b"\0\1"
TYPE_AAAA: Final = b"\0\x1c"
TYPE_HTTPS: Final = b"\0\x41"
TYPE_SVCB: Final = b"\0\x40"
TYPE_ANY: Final = b"\0\xff"
ADDRESS_TYPES: Final = frozenset({TYPE_A, TYPE_AAAA})
SERVICE_TYPES: Final = frozenset({TYPE_HTTPS, TYPE_SVCB})

EDE_OTHER: Final = 0
EDE_STALE: Final = 3
EDE_BLOCKED: Final = 15
"""Blocked by the operator of the server (RFC 8914 section 4.16). 17, Filtered, would mean that the asker wished it."""
EDE_STALE_NXDOMAIN: Final = 19
EDE_NO_REACHABLE_AUTHORITY: Final = 22
EDE_NETWORK_ERROR: Final = 23

Ede = tuple[int, str]
Query = tuple[int, int, int, bool]
"""Where the name ends; the shape; octets that an answer over UDP may have; whether the packet has nothing unusual, so
that the very same packet may get the same answer again."""

RD, CD, AD, EDNS, DO = 1, 2, 4, 8, 16
"""The bits of a shape. Cookies and client-subnet options (RFC 7873, RFC 7871) leave no trace in it."""
SHAPES: Final = range(32)

HEADER: Final = 12
LONGEST_NAME: Final = 255
LONGEST_LABEL: Final = 63
SILENCE: Final = b""

_OPT_START: Final = b"\0\0\x29"
OPT_OCTETS: Final = 11
_RECORD: Final = struct.Struct("!HHIH")
_OPTION: Final = struct.Struct("!HH")
_TRANSFERS: Final = frozenset({b"\0\xfb", b"\0\xfc"})
_NOT_QUESTIONS: Final = frozenset({b"\0\x29", b"\0\xf9", b"\0\xfa", b"\0\xfd", b"\0\xfe"})
_UNUSUAL_TYPES: Final = _TRANSFERS | _NOT_QUESTIONS
_IN: Final = b"\0\1"
_ONE_QUESTION: Final = b"\0\1"


class BadMessage(Exception):
    """A message that is cut short or contradicts itself; the words say how."""


# Pieces of answers


def flags_of(shape: int, rcode: int, *, ad: bool = False, tc: bool = False) -> bytes:
    """The two octets of flags of an answer: QR, RA, and what the query wants back."""
    first = 0x80 | (0x02 if tc else 0) | (shape & RD)
    second = 0x80 | (0x20 if ad and shape & (AD | DO) else 0) | (0x10 if shape & CD else 0) | rcode
    return bytes((first, second))


def opt(shape: int, error: Ede | None = None, extended_rcode: int = 0) -> bytes:
    """Our OPT record for a query of this shape, or nothing if the query had none (RFC 6891 section 6.1.1)."""
    if not shape & EDNS:
        return b""
    options = b""
    if error is not None:
        words = error[1].encode()
        options = _OPTION.pack(15, 2 + len(words)) + error[0].to_bytes(2, "big") + words
    flags = extended_rcode << 24 | (0x8000 if shape & DO else 0)
    return b"\0" + _RECORD.pack(OPT, UDP_SIZE, flags, len(options)) + options


def soa(ttl: int) -> bytes:
    """An SOA record of ours, owned by the name that was asked. Without it devices do not remember that there is
    nothing, and ask again at once (RFC 2308 section 5)."""
    body = b"\x09localhost\0\x06nobody\x07invalid\0" + struct.pack("!IIIII", 1, 3600, 1200, 604800, ttl)
    return b"\xc0\x0c" + _RECORD.pack(SOA, 1, ttl, len(body)) + body


def record(rtype: int, ttl: int, body: bytes) -> bytes:
    """A record of ours, owned by the name that was asked."""
    return b"\xc0\x0c" + _RECORD.pack(rtype, 1, ttl, len(body)) + body


def head(shape: int, rcode: int, answers: int = 0, authorities: int = 0) -> bytes:
    """Flags and counts of an answer with one question; what stands before the question, without the id."""
    counts = struct.pack("!HHHH", 1, answers, authorities, 1 if shape & EDNS else 0)
    return flags_of(shape, rcode) + counts


ANY_TTL: Final = 3600


def refuses_any(packet: bytes, end: int, shape: int) -> bytes:
    """The answer to a question for every type at once, which is only good for attacks (RFC 8482 section 4.2)."""
    hinfo = record(13, ANY_TTL, b"\x07RFC8482\0")
    return head(shape, NOERROR, 1) + packet[HEADER : end + 4] + hinfo + opt(shape)


def bare(packet: bytes, end: int, shape: int, rcode: int, error: Ede | None = None) -> bytes:
    """An answer with a code and no records."""
    return head(shape, rcode) + packet[HEADER : end + 4] + opt(shape, error)


def truncated(packet: bytes, end: int, shape: int, flags: bytes) -> bytes:
    """Instead of an answer that does not fit: "ask again over TCP"."""
    counts = b"\0\1\0\0\0\0\0\1" if shape & EDNS else b"\0\1\0\0\0\0\0\0"
    return bytes((flags[0] | 0x02, flags[1])) + counts + packet[HEADER : end + 4] + opt(shape)


# Reading queries


def _usual_heads() -> dict[bytes, int]:
    found = {}
    for shape in range(16):
        flags = bytes((shape & RD, (0x20 if shape & AD else 0) | (0x10 if shape & CD else 0)))
        found[flags + b"\0\1\0\0\0\0" + (b"\0\1" if shape & EDNS else b"\0\0")] = shape
    return found


USUAL: Final = _usual_heads()


def read(packet: bytes) -> Query | bytes:  # noqa: PLR0911 - one for each way a query can be wrong
    """Where things lie in a query, or the whole answer (without its id) to what is none; ``b""`` is silence.

    Raises nothing, whatever the octets are.
    """
    shape = USUAL.get(packet[2:12])
    if shape is None:
        return _read_unusual(packet)
    end = HEADER
    try:
        while length := packet[end]:
            if length > LONGEST_LABEL:
                return _error(packet, FORMERR)
            end += length + 1
        end += 1
        if end > HEADER + LONGEST_NAME:
            return _error(packet, FORMERR)
        if shape & EDNS:
            at = end + 4
            if packet[at : at + 3] != _OPT_START or packet[at + 6] or len(packet) != at + OPT_OCTETS or packet[-1]:
                return _read_unusual(packet)
            size = packet[at + 3] << 8 | packet[at + 4]
            size = PLAIN_UDP_SIZE if size < PLAIN_UDP_SIZE else UDP_SIZE if size > UDP_SIZE else size
            if packet[at + 7] & 0x80:
                shape |= DO
        elif len(packet) == end + 4:
            size = PLAIN_UDP_SIZE
        else:
            return _error(packet, FORMERR)
    except IndexError:
        return _error(packet, FORMERR)
    if packet[end + 2 : end + 4] != _IN or packet[end : end + 2] in _UNUSUAL_TYPES:
        return _refuse(packet, end, shape)
    return end, shape, size, True


def _read_unusual(packet: bytes) -> Query | bytes:  # noqa: PLR0911 - the same
    """Everything that ``read`` does not expect: options, more records, odd flags, other operations, nonsense."""
    if len(packet) < HEADER or packet[2] & 0x80:
        return SILENCE  # an answer: two servers could answer each other for ever
    if packet[2] & 0x78:
        return _error(packet, NOTIMP)
    if packet[4:6] != _ONE_QUESTION:
        return _error(packet, FORMERR)
    try:
        end = _end_of_plain_name(packet, HEADER)
        found = _find_opt(packet, end + 4, sum(struct.unpack_from("!HHH", packet, 6)))
    except (BadMessage, struct.error, IndexError):
        return _error(packet, FORMERR)
    shape = (packet[2] & RD) | (AD if packet[3] & 0x20 else 0) | (CD if packet[3] & 0x10 else 0)
    size = PLAIN_UDP_SIZE
    if found is not None:
        size, version, dnssec = found
        size = max(PLAIN_UDP_SIZE, min(size, UDP_SIZE))
        shape |= EDNS | (DO if dnssec else 0)
        if version:
            return head(shape, 0) + packet[HEADER : end + 4] + opt(shape, extended_rcode=1)  # BADVERS
    if packet[end + 2 : end + 4] != _IN or packet[end : end + 2] in _UNUSUAL_TYPES:
        return _refuse(packet, end, shape)
    return end, shape, size, False


def _error(packet: bytes, rcode: int) -> bytes:
    """A header and nothing else, for packets whose question could not be read: never longer than they are."""
    if len(packet) < HEADER or packet[2] & 0x80:
        return SILENCE
    return bytes((0x80 | packet[2] & 0x79, 0x80 | rcode)) + bytes(8)


def _refuse(packet: bytes, end: int, shape: int) -> bytes:
    """Types that are no questions, zone transfers, classes other than IN."""
    rcode = NOTIMP if packet[end : end + 2] in _NOT_QUESTIONS else REFUSED
    return bare(packet, end, shape, rcode)


def _end_of_plain_name(packet: bytes, start: int) -> int:
    at = start
    while length := packet[at]:
        if length > LONGEST_LABEL:
            raise BadMessage("a pointer or an unknown kind of label in a question")
        at += length + 1
    if at + 1 - start > LONGEST_NAME:
        raise BadMessage("a name longer than 255 octets")
    return at + 1


def _find_opt(packet: bytes, at: int, count: int) -> tuple[int, int, bool] | None:
    """Size, version and DO of the one OPT record that may be there (RFC 6891 section 6.1.1)."""
    found: tuple[int, int, bool] | None = None
    if len(packet) < at:
        raise BadMessage("a question that is cut short")
    for _ in range(count):
        owner, at = at, skip_name(packet, at)
        rtype, rclass, ttl, length = _RECORD.unpack_from(packet, at)
        at += _RECORD.size
        if at + length > len(packet):
            raise BadMessage("a record that is longer than its message")
        if rtype == OPT:
            if found is not None or packet[owner]:
                raise BadMessage("more than one OPT record, or one with a name")
            _check_options(packet, at, at + length)
            found = (rclass, ttl >> 16 & 0xFF, bool(ttl & 0x8000))
        at += length
    if at != len(packet):
        raise BadMessage("octets after the last record")
    return found


def _check_options(packet: bytes, at: int, end: int) -> None:
    while at < end:
        _, length = _OPTION.unpack_from(packet, at)
        at += _OPTION.size + length
    if at != end:
        raise BadMessage("an option that is longer than its record")


def skip_name(packet: bytes, at: int) -> int:
    """Where the name at ``at`` ends; a pointer ends it and is not followed. Raises ``IndexError``, ``BadMessage``."""
    while length := packet[at]:
        if length >= 0xC0:
            return at + 2
        if length > LONGEST_LABEL:
            raise BadMessage("an unknown kind of label")
        at += length + 1
    return at + 1


# Names as text


def to_wire(name: str) -> bytes:
    """``"example.org"`` -> ``b"\\x07example\\x03org\\x00"``. Raises ``ValueError`` for what is no name."""
    name = name.lower().removesuffix(".")
    if not name:
        return b"\0"
    labels = name.encode("ascii").split(b".")
    if any(not 0 < len(label) <= LONGEST_LABEL for label in labels) or len(name) + 2 > LONGEST_NAME:
        raise ValueError(f"{name!r} is not a name")
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


_PLAIN_OCTETS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def to_text(wire: bytes) -> str:
    """A name in wire form as text, lower case, ``"."`` for the root.

    Octets that are neither letter, digit, hyphen nor underscore are written ``\\DDD`` (RFC 4343 section 2.1), so no two
    names look alike and nothing a device sends can reach a page or a file as a control character.
    """
    labels = []
    at = 0
    while at < len(wire) and (length := wire[at]):
        label = wire[at + 1 : at + 1 + length]
        labels.append((label if label.isalnum() else _plain(label)).decode("ascii"))
        at += length + 1
    return ".".join(labels).lower() or "."


def _plain(label: bytes) -> bytes:
    return b"".join(bytes((octet,)) if octet in _PLAIN_OCTETS else b"\\%03d" % octet for octet in label)


_TYPES: Final = {
    1: "A", 2: "NS", 5: "CNAME", 6: "SOA", 12: "PTR", 13: "HINFO", 15: "MX", 16: "TXT", 28: "AAAA", 29: "LOC",
    33: "SRV", 35: "NAPTR", 39: "DNAME", 43: "DS", 44: "SSHFP", 46: "RRSIG", 47: "NSEC", 48: "DNSKEY", 50: "NSEC3",
    51: "NSEC3PARAM", 52: "TLSA", 61: "OPENPGPKEY", 64: "SVCB", 65: "HTTPS", 99: "SPF", 255: "ANY", 257: "CAA",
}  # fmt: skip


def type_text(qtype: int) -> str:
    """``A``, ``HTTPS``, or ``TYPE4711`` for a type without a name here (RFC 3597)."""
    return _TYPES.get(qtype) or f"TYPE{qtype}"
