"""Reads the answers of upstreams: whatever the octets are, an entry that can be given out, or ``BadMessage``.

The records of an answer are kept as they came, names compressed against the question, which has the same length in
every answer to the same name. What nobody needs goes: the additional section, and authorities beside a full answer.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from .answers import Entry
from .wire import (
    AAAA,
    CNAME,
    DNAME,
    HEADER,
    HTTPS,
    NOERROR,
    NXDOMAIN,
    OPT,
    RRSIG,
    SOA,
    SVCB,
    A,
    BadMessage,
    skip_name,
)

LONGEST_CHAIN: Final = 16
"""CNAMEs that may follow each other."""
MOST_RECORDS: Final = 2000

_FIXED: Final = struct.Struct("!HHIH").unpack_from
_NUMBER: Final = struct.Struct("!I").unpack_from
_POINTER_TO_QUESTION: Final = b"\xc0\x0c"
_FIRST_PART: Final = {
    b"\xc0\x0c\0\5\0\1": b"\xc0\x0c\0\5\0\1",
    b"\xc0\x0c\0\x41\0\1": b"\xc0\x0c\0\x41\0\1",
}
"""How most other answers begin: kept once."""
_STEP4: Final = 16
_ADDRESSES: Final = {
    b"\xc0\x0c\0\1\0\1": (b"\xc0\x0c\0\1\0\1", b"\0\4", _STEP4),
    b"\xc0\x0c\0\x1c\0\1": (b"\xc0\x0c\0\x1c\0\1", b"\0\x10", 28),
}
"""How a record of the asked name begins and goes on behind its TTL, and its octets."""
_IPV4_HINT, _IPV6_HINT = 4, 6


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: the least and the most that an answer is kept, and the most for "there is nothing"."""

    least: int = 0
    most: int = 3600
    negative: int = 300


def digest(data: bytes, start: int, name: bytes, dnssec: int, limits: Limits) -> Entry:  # noqa: PLR0912, PLR0915
    """The entry for an answer whose question (``name``, lower case) ends at ``start``. Raises ``BadMessage``."""
    rcode = data[3] & 15
    answers = data[6] << 8 | data[7]
    authorities = data[8] << 8 | data[9]
    if answers + authorities > MOST_RECORDS:
        raise BadMessage("more records than an answer can have")
    if rcode not in (NOERROR, NXDOMAIN):
        return Entry(rcode, bytes(4), (b"",), 0)
    if not dnssec and answers and data[start : start + 6] in _ADDRESSES:
        entry = _addresses(data, start, answers, limits)
        if entry is not None:
            return entry
    qtype = data[start - 4] << 8 | data[start - 3]
    end = len(data)
    parts: list[bytes] = []
    owners: list[bytes] = []
    targets: list[bytes] = []
    private = answered = False
    ttl = 0x7FFFFFFF
    at = cut = start
    try:
        for _ in range(answers):
            if data[at : at + 2] == _POINTER_TO_QUESTION:
                owner, at = -1, at + 2
            else:
                owner, at = at, skip_name(data, at)
            rtype, rclass, seconds, length = _FIXED(data, at)
            parts.append(data[cut : at + 4])
            cut = at + 8
            at += 10
            stop = at + length
            if stop > end or rclass != 1 or rtype == OPT:
                raise BadMessage("a record that is cut short or does not belong there")
            if seconds < ttl:
                ttl = seconds
            elif seconds > 0x7FFFFFFF:
                ttl = 0  # RFC 2181 section 8
            if rtype == qtype:
                answered = True
            if rtype == A:
                if length != 4:
                    raise BadMessage("an address of the wrong length")
                private = private or is_private4(data[at], data[at + 1])
            elif rtype == AAAA:
                if length != 16:
                    raise BadMessage("an address of the wrong length")
                private = private or is_private6(data[at:stop])
            elif rtype in (CNAME, DNAME):
                targets.append(expand(data, at))
            elif rtype in (HTTPS, SVCB):
                target, hints = _service(data, at, stop)
                private = private or hints
                if target != b"\0":
                    targets.append(target)
            if owner >= 0 and rtype not in (DNAME, RRSIG):
                owners.append(expand(data, owner))
            at = stop
        has_soa = False
        kept = 0
        behind = at
        if not answered or dnssec:
            here, before, parts_before = at, cut, len(parts)
            for _ in range(authorities):
                at = skip_name(data, at)
                rtype, rclass, seconds, length = _FIXED(data, at)
                parts.append(data[cut : at + 4])
                cut = at + 8
                at += 10 + length
                if at > end or rclass != 1 or rtype == OPT:
                    raise BadMessage("a record that is cut short or does not belong there")
                if rtype == SOA:
                    has_soa = True
                    seconds = min(seconds, _NUMBER(data, at - 4)[0])
                ttl = min(ttl, seconds if seconds <= 0x7FFFFFFF else 0)
            behind = at
            if has_soa or dnssec:
                kept = authorities
            else:  # a referral or nothing of use
                at, cut = here, before
                del parts[parts_before:]
        parts.append(data[cut:at])
        if not answers and _extended_rcode(data, behind):
            raise BadMessage("an error that we cannot pass on")
    except (IndexError, struct.error):
        raise BadMessage("an answer that is cut short") from None
    if owners:
        _check_owners(owners, name, targets)
    if len(targets) > LONGEST_CHAIN:
        raise BadMessage("a chain of aliases that does not end")
    if not answered and not has_soa:
        ttl = 0 if not answers else ttl  # RFC 2308 section 5: without an SOA it is not to be remembered
    most = limits.most if answered else min(limits.negative, limits.most)
    ttl = min(max(ttl, limits.least), most) if ttl < 0x7FFFFFFF else 0
    parts[0] = _FIRST_PART.get(parts[0], parts[0])
    counts = data[6:10] if kept else data[6:8] + b"\0\0"
    return Entry(rcode, counts, tuple(parts), ttl, data[3] >> 5 & 1, tuple(targets) if targets else None, private)


def _addresses(data: bytes, start: int, answers: int, limits: Limits) -> Entry | None:
    """The entry if the answer is nothing but addresses of the name itself, which most are; else ``None``."""
    opening = data[start : start + 6]
    if data[start - 4 : start] != opening[2:]:
        return None
    opening, sizes, step = _ADDRESSES[opening]
    parts = [opening]
    least = b"\x7f\xff\xff\xff"
    private = False
    at = start
    for left in range(answers - 1, -1, -1):
        if data[at : at + 6] != opening or data[at + 10 : at + 12] != sizes or at + step > len(data):
            return None
        if data[at + 6 : at + 10] < least:
            least = data[at + 6 : at + 10]
        elif data[at + 6] > 127:
            return None
        if step == _STEP4:
            private = private or is_private4(data[at + 12], data[at + 13])
        elif not private and not 0x20 < data[at + 12] < 0x40:
            private = is_private6(data[at + 12 : at + step])
        parts.append(data[at + 10 : at + step] + opening if left else data[at + 10 : at + step])
        at += step
    ttl = int.from_bytes(least, "big")
    ttl = limits.least if ttl < limits.least else ttl
    ttl = limits.most if ttl > limits.most else ttl
    return Entry(0, data[6:8] + b"\0\0", tuple(parts), ttl, data[3] >> 5 & 1, None, private)


def through(data: bytes, start: int, target: bytes, limits: Limits) -> Entry:
    """The entry for a name that is answered by ``target``: an alias, then what ``target`` has.

    ``data`` is the answer about ``target`` (whose question ends at ``start``). All names are written out, because the
    question that they were compressed against is another one.
    """
    inner = digest(data, start, target, 0, limits)
    if inner.rcode not in (NOERROR, NXDOMAIN):
        return inner
    parts = [_POINTER_TO_QUESTION + b"\0\5\0\1"]
    rest = struct.pack("!H", len(target)) + target
    answers = 1
    at = start
    for _ in range(data[6] << 8 | data[7]):
        owner = expand(data, at)
        at = skip_name(data, at)
        rtype, _, _, length = _FIXED(data, at)
        at += 10
        body = expand(data, at) if rtype == CNAME else data[at : at + length]
        at += length
        if rtype not in (A, AAAA, CNAME):
            continue
        parts.append(rest + owner + struct.pack("!HH", rtype, 1))
        rest = struct.pack("!H", len(body)) + body
        answers += 1
    parts.append(rest)
    ttl = inner.ttl if answers > 1 else min(inner.ttl or limits.negative, limits.negative)
    # The alias exists, so the name does, whatever became of its target (RFC 6604): the code is the target's.
    return Entry(inner.rcode, struct.pack("!HH", answers, 0), tuple(parts), ttl, 0, inner.targets, inner.private)


def expand(data: bytes, at: int) -> bytes:
    """The name at ``at`` in wire form, lower case, pointers followed. Raises ``BadMessage`` or ``IndexError``."""
    labels = []
    octets = 1
    before = at
    while length := data[at]:
        if length >= 0xC0:
            at = (length & 0x3F) << 8 | data[at + 1]
            if at >= before or at < HEADER:
                raise BadMessage("a name that points to itself or ahead")
            before = at
            continue
        octets += length + 1
        if length > 63 or octets > 255 or at + length >= len(data):
            raise BadMessage("a name that is too long or of an unknown kind")
        labels.append(data[at : at + length + 1])
        at += length + 1
    return b"".join(labels).lower() + b"\0"


def is_private4(first: int, second: int) -> bool:
    """Whether an IPv4 address with these octets leads into a private network, to the device itself or nowhere. So does
    100.64.0.0/10, which a provider shares among its own (RFC 6598) and some schools use within."""
    return (
        first in (0, 10, 127)
        or (first == 192 and second == 168)
        or (first == 172 and second & 0xF0 == 16)
        or (first == 169 and second == 254)
        or (first == 100 and second & 0xC0 == 64)
    )


_MAPPED: Final = bytes(10) + b"\xff\xff"
_NAT64: Final = b"\0\x64\xff\x9b" + bytes(8)
_LOCAL_NAT64: Final = b"\0\x64\xff\x9b\0\1"
"""64:ff9b:1::/48, which a network uses as it likes (RFC 8215)."""
_6TO4: Final = b"\x20\x02"
"""2002::/16, whose next four octets are the IPv4 address to which a packet goes (RFC 3056)."""
_COMPATIBLE: Final = bytes(12)


def is_private6(address: bytes) -> bool:
    """Whether an IPv6 address is unique local, link local, site local, loopback or nothing, or hides such an IPv4."""
    first = address[0]
    if 0x20 <= first < 0x40:
        return address[:2] == _6TO4 and is_private4(address[2], address[3])  # else global unicast
    if first & 0xFE == 0xFC or (first == 0xFE and address[1] >= 0x80):
        return True
    if address[:12] in (_MAPPED, _NAT64, _COMPATIBLE):
        return is_private4(address[12], address[13])  # this is also what :: and ::1 are
    return address[:6] == _LOCAL_NAT64


def _service(data: bytes, at: int, stop: int) -> tuple[bytes, bool]:
    """The target of an HTTPS or SVCB record, and whether one of its address hints is private (RFC 9460)."""
    at += 2
    target = expand(data, at)
    at = skip_name(data, at)
    if at > stop:
        raise BadMessage("a record that is cut short")
    private = False
    while at + 4 <= stop:
        key = data[at] << 8 | data[at + 1]
        length = data[at + 2] << 8 | data[at + 3]
        at += 4
        if at + length > stop:
            raise BadMessage("a parameter that is longer than its record")
        value = data[at : at + length]
        if key == _IPV4_HINT:
            private = private or any(is_private4(value[i], value[i + 1]) for i in range(0, length - 3, 4))
        elif key == _IPV6_HINT:
            private = private or any(is_private6(value[i : i + 16]) for i in range(0, length - 15, 16))
        at += length
    return target, private


def _check_owners(owners: list[bytes], name: bytes, targets: list[bytes]) -> None:
    """Every answer belongs to the name that was asked or to one that an alias leads to; else it is a lie."""
    belongs = {name, *targets}
    for owner in owners:
        if owner not in belongs:
            raise BadMessage("a record about another name")


def _extended_rcode(data: bytes, at: int) -> int:
    """The eight more bits of the code that an OPT record holds, behind the authorities at ``at``."""
    for _ in range(min(data[10] << 8 | data[11], 64)):
        at = skip_name(data, at)
        rtype, _, seconds, length = _FIXED(data, at)
        if rtype == OPT:
            return int(seconds) >> 24
        at += 10 + length
    return 0
