"""Name servers and local records as the settings write them. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..domains import NotADomain, normalise

PORT, TLS_PORT = 53, 853
TTL = 300
MOST_SECONDS = 7 * 24 * 3600
_TLS = re.compile(r"tls://(?P<name>[^@/]+)@(?P<where>.+)")
_TYPES = ("A", "AAAA", "CNAME", "PTR", "TXT")
_TEXT = re.compile(r'"([\x20-\x21\x23-\x7e]{0,255})"|([\x21\x23-\x7e]{1,255})')


@dataclass(frozen=True, slots=True)
class Upstream:
    """A name server to ask. ``tls``: over TLS, and the name that its certificate must have; empty: plain."""

    host: str
    port: int
    tls: str = ""

    def part(self) -> dict[str, object]:
        """For the snapshot."""
        return {"host": self.host, "port": self.port, "tls": self.tls}


def upstream(text: str) -> Upstream:
    """``"10.0.0.1"``, ``"[fd00::1]:5353"`` or ``"tls://dns.example@10.0.0.1"``. Raises ``ValueError`` in words."""
    found = _TLS.fullmatch(text.strip())
    if found is None:
        if "://" in text:
            raise ValueError(f"{text!r} is neither an address nor tls://NAME@ADDRESS")
        return Upstream(*_address_and_port(text.strip(), PORT))
    try:
        name = normalise(found["name"])
    except NotADomain as error:
        raise ValueError(f"{found['name']!r} {error}; a certificate is checked by its name") from None
    return Upstream(*_address_and_port(found["where"], TLS_PORT), name)


def _address_and_port(text: str, default: int) -> tuple[str, int]:
    host, port = text, default
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is not of the form [IPv6 address]:port")
        port = _port(rest[1:]) if rest else default
    elif text.count(":") == 1:
        host, _, rest = text.partition(":")
        port = _port(rest)
    try:
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        raise ValueError(f"{host!r} is not an IP address; a name server is given by its address") from None


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise ValueError(f"{text!r} is not a port from 1 to 65535")
    return int(text)


def zone(text: str) -> str:
    """A zone of the school's own (``school.internal``, ``10.in-addr.arpa``, a single word). Raises ``ValueError``."""
    plain = text.strip().lower().removesuffix(".")
    try:
        return normalise(plain) if "." in plain else normalise(f"{plain}.zone").removesuffix(".zone")
    except NotADomain as error:
        raise ValueError(f"{text!r} {error}") from None


def local_records(lines: Iterable[str]) -> Mapping[str, Sequence[tuple[str, int, str]]]:
    """Name -> (type, ttl, value) of lines such as ``printer.school.internal 300 IN A 10.0.0.9``.

    Raises ``ValueError`` in words, also for a name that has a CNAME and something beside it.
    """
    found: dict[str, list[tuple[str, int, str]]] = {}
    for line in lines:
        name, record = local_record(line)
        found.setdefault(name, []).append(record)
    for name, records in found.items():
        if len(records) > 1 and any(kind == "CNAME" for kind, _, _ in records):
            raise ValueError(f"{name} has a CNAME, so nothing else may stand beside it")
    return found


def local_record(line: str) -> tuple[str, tuple[str, int, str]]:
    """One line: the name, and its (type, ttl, value). Time to live and ``IN`` may be left out."""
    name, *rest = line.split(None, 1)
    words = rest[0].split() if rest else []
    ttl = TTL
    if words and words[0].isascii() and words[0].isdigit():
        ttl = int(words.pop(0))
    if words and words[0].upper() == "IN":
        words.pop(0)
    kind = words.pop(0).upper() if words else ""
    if kind not in _TYPES:
        raise ValueError(f"{line!r} names no type of record that can be kept here: {', '.join(_TYPES)}")
    if ttl > MOST_SECONDS:
        raise ValueError(f"{line!r} is to be remembered for more than a week")
    value = line.rsplit(None, maxsplit=1)[-1] if kind != "TXT" else line[line.upper().index("TXT") + 3 :].strip()
    if not words:
        raise ValueError(f"{line!r} has no value")
    return zone(name), (kind, ttl, _value(kind, value, line))


def _value(kind: str, text: str, line: str) -> str:
    if kind in {"A", "AAAA"}:
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise ValueError(f"{line!r}: {text!r} is not an address") from None
        if address.version != (4 if kind == "A" else 6):
            raise ValueError(f"{line!r}: {text} is an IPv{address.version} address, which {kind} does not hold")
        return str(address)
    if kind == "TXT":
        found = _TEXT.fullmatch(text)
        if found is None:
            raise ValueError(f"{line!r}: a text is one word, or stands in quotes, and has at most 255 plain characters")
        return found[1] if found[1] is not None else found[2]
    return zone(text)
