"""Names that are answered within the school: records of its own, zones with their own servers, names of no server.

What is here never reaches the upstreams: the school's own names are nobody else's business, and private addresses have
no owner in the world's tree (RFC 6303).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from .answers import Entry
from .records import Limits, digest
from .wire import HEADER, NOERROR, TYPE_A, TYPE_AAAA, to_text, to_wire

LONGEST_ALIAS_CHAIN: Final = 8
KINDS: Final = ("A", "AAAA", "CNAME", "PTR", "TXT", "SRV", "MX")
HOLD: Final = 0x7FFFFFFF

_PRIVATE_REVERSE: Final = (
    *("0", "10", "127", "254.169", "168.192", "2.0.192", "100.51.198", "113.0.203", "255.255.255.255"),
    *(f"{second}.172" for second in range(16, 32)),
    *(f"{second}.100" for second in range(64, 128)),  # RFC 7793
)
_PRIVATE_REVERSE_6: Final = (
    ".".join("0" * 32), ".".join("1" + "0" * 31), "c.f", "d.f", "8.e.f", "9.e.f", "a.e.f", "b.e.f", "8.b.d.0.1.0.0.2",
)  # fmt: skip
NO_SERVER: Final = (
    *(f"{network}.in-addr.arpa" for network in _PRIVATE_REVERSE),
    *(f"{network}.ip6.arpa" for network in _PRIVATE_REVERSE_6),
    "onion",  # RFC 7686
    "local",  # RFC 6762: asked on the link itself
    "invalid",  # RFC 6761
    "home.arpa",  # RFC 8375
    "alt",  # RFC 9476
    "resolver.arpa",  # RFC 9462: devices would learn of another name server there, and of its encrypted ways
)
"""Names that no server in the world answers for; the school's zones and records come first."""


class Endpoint(tuple[str, int, str]):
    """A name server: address, port, and the name in its certificate if it is asked over TLS."""

    __slots__ = ()

    def __str__(self) -> str:
        host, port, tls = self
        host = f"[{host}]" if ":" in host else host
        return host if port == (853 if tls else 53) else f"{host}:{port}"


class Place:
    """Where a name is answered within the school. One of: ``servers``, ``answers`` (and ``alias``), or neither: there
    is no such name."""

    __slots__ = ("alias", "answers", "servers")

    def __init__(
        self, *, servers: Sequence[Endpoint] = (), answers: Mapping[bytes, Entry] | None = None,
        alias: bytes | None = None,
    ) -> None:  # fmt: skip
        self.servers = tuple(servers)
        self.answers = answers
        self.alias = alias


NOWHERE: Final = Place()


def localhost() -> Place:
    """``localhost`` and all below it are the device itself (RFC 6761 section 6.3)."""
    ipv4 = Entry(NOERROR, b"\0\1\0\0", (b"\xc0\x0c" + TYPE_A + b"\0\1", b"\0\4\x7f\0\0\1"), 3600)
    ipv6 = Entry(NOERROR, b"\0\1\0\0", (b"\xc0\x0c" + TYPE_AAAA + b"\0\1", b"\0\x10" + bytes(15) + b"\1"), 3600)
    return Place(answers={TYPE_A: ipv4, TYPE_AAAA: ipv6})


def local_places(local: Mapping[str, Iterable[Sequence[Any]]]) -> dict[bytes, Place]:
    """The places of the school's own records: name -> rows of type, TTL and value. Raises ``ValueError`` in words."""
    if not local:
        return {}
    from dnslib import QTYPE, RR, DNSError  # noqa: PLC0415 - only where there are records

    known: dict[bytes, list[Any]] = {}
    for name, rows in local.items():
        for row in rows:
            try:
                kind, ttl, value = row
                if kind not in KINDS or not str(value).isprintable():
                    raise ValueError(f"only {', '.join(KINDS)} can be local records, and values are one line")
                to_wire(name)
                records = RR.fromZone(f"{name.rstrip('.')}. {int(ttl)} IN {kind} {_value(kind, str(value))}")
            except (ValueError, TypeError, IndexError, KeyError, DNSError) as error:
                raise ValueError(f"The record {list(row)} of {name} cannot be read: {error}.") from error
            if [QTYPE.get(record.rtype) for record in records] != [kind]:
                raise ValueError(f"The record {list(row)} of {name} cannot be read.")
            known.setdefault(to_wire(name), []).extend(records)
    return {name: _place(name, known) for name in known}


def _value(kind: str, value: str) -> str:
    """A value as zone files have it: names end in a dot, text stands in quotes."""
    if kind == "TXT" and not value.startswith('"'):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return " ".join(f'"{escaped[at : at + 200]}"' for at in range(0, len(escaped), 200)) or '""'
    if kind in ("CNAME", "PTR", "MX", "SRV", "NS"):
        return value if value.endswith(".") else value + "."
    return value


def _place(name: bytes, known: Mapping[bytes, Sequence[Any]]) -> Place:
    chain, end = _follow(name, known)
    finals = known.get(end, ())
    answers = {}
    for rtype in {record.rtype for record in (*chain, *finals)}:
        records = [*chain, *(record for record in finals if record.rtype == rtype)]
        if chain and rtype == 5:
            records = chain[:1]
        if len(records) > len(chain) or rtype == 5:
            answers[struct.pack("!H", rtype)] = _entry(name, rtype, records)
    return Place(answers=answers, alias=end if chain and not finals else None)


def _follow(name: bytes, known: Mapping[bytes, Sequence[Any]]) -> tuple[list[Any], bytes]:
    """The aliases from a name on, and the name where they end."""
    chain: list[Any] = []
    while alias := next((record for record in known.get(name, ()) if record.rtype == 5), None):
        if len(chain) >= LONGEST_ALIAS_CHAIN:
            raise ValueError(f"The aliases of {to_text(name)} do not end.")
        chain.append(alias)
        name = to_wire(str(alias.rdata.label))
    return chain, name


def _entry(name: bytes, rtype: int, records: Iterable[Any]) -> Entry:
    from dnslib import DNSHeader, DNSLabel, DNSQuestion, DNSRecord  # noqa: PLC0415

    labels = to_text(name)
    message = DNSRecord(DNSHeader(qr=1, ra=1), q=DNSQuestion(DNSLabel(labels), rtype), rr=list(records)).pack()
    entry = digest(bytes(message), HEADER + len(name) + 4, name, 0, Limits(most=HOLD))
    entry.targets, entry.private = None, False
    return entry
