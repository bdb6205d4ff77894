"""Domain names as people write them, in lists, settings and forms: made lower case, ASCII, without a final dot.

What devices ask for, labels of arbitrary octets, is read by ``answerer.wire``; as text both look the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

LONGEST_NAME = 253
"""Characters of a name as text: 255 octets on the wire (RFC 1035 section 2.3.4) less the first length and the root."""

LONGEST_LABEL = 63
"""Octets of one label (RFC 1035 section 2.3.4)."""

_OF_MANY_COUNTRIES = "com edu gov net org"
_ENDINGS_BY_COUNTRY = {
    **dict.fromkeys(
        (
            *("bd", "bh", "br", "cn", "co", "cy", "do", "ec", "eg", "gh", "gi", "gr", "hk", "jm", "lb", "lk", "mt"),
            *("my", "ng", "np", "om", "ph", "pk", "pl", "pt", "qa", "sa", "sg", "tw", "ua", "vn"),
        ),
        _OF_MANY_COUNTRIES,
    ),
    "ae": "ac co gov net org sch",
    "ar": "com edu gob gov net org",
    "at": "ac co gv or",
    "au": "asn com edu gov id net org",
    "es": "com edu gob nom org",
    "fr": "asso com gouv nom",
    "id": "ac co go net or sch web",
    "il": "ac co gov k12 muni net org",
    "in": "ac co edu firm gen gov ind net nic org res",
    "jp": "ac ad co ed go gr lg ne or",
    "ke": "ac co go me ne or sc",
    "kr": "ac co es go hs kg ms ne or pe re sc",
    "mx": "com edu gob net org",
    "nz": "ac co geek gen govt health iwi kiwi maori mil net org school",
    "pe": "com edu gob net org",
    "th": "ac co go in net or",
    "tr": "av bel com edu gen gov k12 net org pol web",
    "tz": "ac co go ne or sc",
    "ug": "ac co go ne or sc",
    "uk": "ac co gov ltd me mod net nhs org plc police sch",
    "za": "ac co edu gov law net nom org school web",
    "zm": "ac co gov net org sch",
    "zw": "ac co gov org",
}

SHARED_ENDINGS = frozenset(
    f"{part}.{country}" for country, parts in _ENDINGS_BY_COUNTRY.items() for part in parts.split()
)
"""Endings of two labels under which everybody registers names: one of them would stand for a large part of a country.

The well-known ones, written by hand; an ending of one label (``com``) is no domain for ``normalise``.
"""

_PLAIN_NAME = re.compile(r"(?:[a-z0-9_-]{1,63}\.)+[a-z0-9_-]{1,63}")
_ODD_CHARACTER = re.compile(r"[^a-z0-9_.-]")


class NotADomain(ValueError):
    """The text is not a domain name that a list or a setting can hold; the words say why."""


def normalise(text: str) -> str:
    """``"BÜCHER.example."`` -> ``"xn--bcher-kva.example"``.

    Names outside ASCII become punycode as browsers do it (IDNA 2008 with UTS 46, RFC 5890). One final dot is dropped.
    Raises ``NotADomain`` for addresses, for names of a single label (``com`` would catch half of the internet) and for
    whatever breaks the lengths of RFC 1035.
    """
    name = text.strip().lower().removesuffix(".")
    if not name.isascii():
        name = _punycode(name)
    if not _PLAIN_NAME.fullmatch(name) or len(name) > LONGEST_NAME or _ends_in_number(name):
        raise NotADomain(_why_not(name))
    return name


def with_parents(name: str) -> Iterator[str]:
    """The name itself, then each parent domain: ``a.b.c`` -> ``a.b.c``, ``b.c``, ``c``. The root yields nothing."""
    while name:
        yield name
        name = name.partition(".")[2]


def _punycode(name: str) -> str:
    import idna  # noqa: PLC0415 - few lists need it, and the process that reads them is short-lived

    try:
        return idna.encode(name, uts46=True, transitional=False).decode("ascii")
    except idna.IDNAError as error:
        raise NotADomain(f"cannot be written as an international domain name ({error})") from error


def _ends_in_number(name: str) -> bool:
    return name.rpartition(".")[2].isdigit()


def _why_not(name: str) -> str:  # noqa: PLR0911 - a table with conditions
    """Why a name in lower-case ASCII was refused: the first of the rules that it breaks."""
    labels = name.split(".")
    if not name:
        return "is empty"
    if odd := _ODD_CHARACTER.search(name):
        what = "a space" if odd.group() == " " else repr(odd.group())
        return f"holds {what}, which no domain name has"
    if "" in labels:
        return "has an empty part between two dots"
    if len(name) > LONGEST_NAME:
        return f"is longer than {LONGEST_NAME} characters"
    if max(map(len, labels)) > LONGEST_LABEL:
        return f"has a part longer than {LONGEST_LABEL} characters"
    if _ends_in_number(name):
        return "is a number or an address, not a name"
    return "is a single word, which would stand for a whole top-level domain"
