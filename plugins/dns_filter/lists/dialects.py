"""How lists are written: for each format a pattern for its ordinary lines, and what to make of all the others.

Nearly every line of a list is ordinary: the pattern takes a megabyte of them at once. Only what it does not take is
looked at one by one, in words. Lines come in lower case.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from ..answerer.table import ALLOW, BELOW, EXACT, IMPORTANT

Format = Literal["auto", "domains", "hosts", "dnsmasq", "rpz", "adblock", "ut1"]

WITH_BELOW = EXACT | BELOW
SPARED = 16
"""Beside ``ALLOW``: an exception of one rule alone. It gives way where another rule names the same domain."""

MACHINE_NAMES = frozenset(
    {
        *("localhost", "localhost.localdomain", "local", "broadcasthost", "0.0.0.0"),  # noqa: S104 - a name, not a bind
        *("ip6-localhost", "ip6-loopback", "ip6-localnet", "ip6-mcastprefix"),
        *("ip6-allnodes", "ip6-allrouters", "ip6-allhosts"),
    }
)
"""What hosts files say of the machine itself; not meant for blocking."""

Rule = tuple[int, str]
"""Flags and a domain, not normalised yet."""

_NAME = rb"((?:[a-z0-9_-]{1,63}\.)+(?:[a-z][a-z0-9]{0,62}|xn--[a-z0-9-]{1,59}))"
"""A plain name: nothing to normalise. Its whole length is checked elsewhere."""

PLAIN = re.compile(rb"(?:(?:[a-z0-9_-]{1,63}+\.)+(?:[a-z][a-z0-9]{0,62}+|xn--[a-z0-9-]{1,59}+)\n)++")
"""Lines of a plain name each, and nothing else: what most chunks of a list of domains are."""

_SPACE = rb"[ \t]"
_END = rb"[ \t\r]*(?:#[^\n]*)?\n"
_REST = rb"([^\n]*)\n"


class NotARule(ValueError):
    """A line that this format does not know, or that means something a filter of names cannot do; in words."""


@dataclass(frozen=True, slots=True)
class Dialect:
    """One format. ``ordinary`` takes one line: a group for each of ``flags``, then one for a line it does not take.

    ``rules`` reads such a line; raises ``NotARule``. ``like``: whether a sample looks like this. ``is_plain``: a name
    alone is a rule.
    """

    ordinary: re.Pattern[bytes]
    flags: tuple[int, ...]
    rules: Callable[[str, State], Iterator[Rule]]
    like: re.Pattern[bytes]
    is_plain: bool = False


@dataclass(slots=True)
class State:
    """What earlier lines said about later ones: the origin of a zone file, and whether a record goes on."""

    origin: str = ""
    open_brackets: bool = False


def dialects() -> Mapping[str, Dialect]:
    """Every format of a single file, in the order in which a tie between them is decided."""
    return {
        "rpz": Dialect(
            re.compile(
                rb"\*\." + _NAME + _RPZ_BLOCK + rb"\n|" + _NAME + _RPZ_BLOCK + rb"\n|[ \t\r]*(?:;[^\n]*)?\n|" + _REST
            ),
            (BELOW, EXACT),
            _rpz,
            re.compile(rb"(?m)^[^\s;#]+(?:\s+\d+)?(?:\s+in)?\s+cname\s+\S+|^\$ttl|^\$origin|\sin\s+soa\s"),
        ),
        "dnsmasq": Dialect(
            re.compile(
                rb"(?:address=/" + _NAME + rb"/(?:#|0\.0\.0\.0|::)?|(?:server|local)=/" + _NAME + rb"/)" + _END + rb"|"
                + _comments(b"#") + _REST
            ),
            (WITH_BELOW, WITH_BELOW),
            _dnsmasq,
            re.compile(rb"(?m)^(?:address|server|local)=/"),
        ),
        "hosts": Dialect(
            re.compile(
                rb"(?:0\.0\.0\.0|127\.0\.0\.1|::1?)" + _SPACE + rb"+" + _NAME + _END + rb"|" + _comments(b"#!") + _REST
            ),
            (WITH_BELOW,),
            _hosts,
            re.compile(rb"(?m)^[ \t]*(?:\d+\.\d+\.\d+\.\d+|[0-9a-f]*:[0-9a-f:]*)[ \t]+[a-z0-9_-]+"),
        ),
        "adblock": Dialect(
            re.compile(rb"\|\|" + _NAME + rb"\^[ \t\r]*\n|" + _comments(b"!") + _REST),
            (WITH_BELOW,),
            _adblock,
            re.compile(rb"(?m)^(?:@@)?\|\|?[^\s|]|^\[adblock|^[^\s]*#@?#"),
        ),
        "domains": Dialect(
            re.compile(rb"[ \t]*(?:\*?\.)?" + _NAME + rb"\.?" + _END + rb"|" + _comments(b"#!") + _REST),
            (WITH_BELOW,),
            _domains,
            re.compile(rb"(?m)^[ \t]*(?:\*?\.)?(?:[a-z0-9_-]+\.)+[a-z0-9-]+\.?[ \t\r]*(?:#.*)?$"),
            is_plain=True,
        ),
    }  # fmt: skip


_RPZ_BLOCK = rb"[ \t]+(?:\d+[ \t]+)?(?:in[ \t]+)?cname[ \t]+(?:\*?\.|rpz-drop\.)[ \t\r]*(?:;[^\n]*)?"


def _comments(signs: bytes) -> bytes:
    return rb"[ \t\r]*(?:[" + signs + rb"][^\n]*)?\n|"


def detect(sample: bytes, known: Mapping[str, Dialect]) -> str:
    """Which format the first lines of a file have: the one that most of them look like; ``domains`` if none does."""
    counted = {name: len(dialect.like.findall(sample.lower())) for name, dialect in known.items()}
    best = max(counted.values())
    return next(name for name, count in counted.items() if count == best) if best else "domains"


def shown(word: str) -> str:
    """A word from a foreign file, quoted and short enough for a page."""
    return repr(word if len(word) <= 60 else word[:57] + "...")


# Domains: one a line


def _domains(line: str, _: State) -> Iterator[Rule]:
    words = line.partition("#")[0].split()
    if not words or words[0].startswith("!"):
        return
    if len(words) > 1:
        raise NotARule(f"there is more than one word after {shown(words[0])}; is this a hosts file?")
    yield WITH_BELOW, words[0].removeprefix("*").removeprefix(".")


# Hosts files


def _hosts(line: str, _: State) -> Iterator[Rule]:
    """Names whose address leads nowhere. A real address is somebody's server, not a block entry."""
    words = line.partition("#")[0].split()
    if not words or words[0].startswith("!"):
        return
    try:
        address = ipaddress.ip_address(words[0].partition("%")[0])
    except ValueError as error:
        raise NotARule(f"{shown(words[0])} is not an address; lines of a hosts file start with one") from error
    names = [word for word in words[1:] if word not in MACHINE_NAMES]
    if names and not (address.is_unspecified or address.is_loopback):
        raise NotARule(f"the address {address} is a real one; only 0.0.0.0, 127.0.0.1, :: and ::1 mean blocking")
    for name in names:
        yield WITH_BELOW, name


# Settings of dnsmasq

_NOWHERE = frozenset({"", "#", "0.0.0.0", "::", "127.0.0.1", "::1"})  # noqa: S104 - what is answered, not a bind


def _dnsmasq(line: str, _: State) -> Iterator[Rule]:
    text = line.partition(" #")[0].strip()
    if not text or text.startswith("#"):
        return
    option, sign, value = text.partition("=")
    if option not in ("address", "server", "local") or not sign:
        raise NotARule(f"{shown(option)} is not address=, server= or local=")
    _before, *names, target = value.split("/") if value.startswith("/") else ("", "")
    if not names:
        raise NotARule(f"{shown(text)} names no domain between slashes")
    if option == "address" and target not in _NOWHERE:
        raise NotARule(f"it gives {shown(target)} as the address, which leads somewhere; that is no block entry")
    if option == "server" and target:
        raise NotARule(f"it asks the server {shown(target)} for these names, which is no block entry")
    for name in names:
        yield WITH_BELOW, name.removeprefix("*").removeprefix(".")


# Response policy zones

_RPZ_RECORD = re.compile(
    r"(?P<owner>\S+)?\s+(?:(?:\d+[smhdw]?|in)\s+){0,2}(?P<type>[a-z][a-z0-9]*)(?:\s+(?P<data>.*))?$"
)
_RPZ_NOWHERE = frozenset({("a", "0.0.0.0"), ("a", "127.0.0.1"), ("aaaa", "::"), ("aaaa", "::1")})  # noqa: S104
_RPZ_OTHER_TRIGGERS = ("rpz-ip", "rpz-nsip", "rpz-nsdname", "rpz-client-ip")
_RPZ_OF_THE_ZONE = frozenset({"soa", "ns", "rrsig", "nsec", "nsec3", "nsec3param", "dnskey", "zonemd"})


def _rpz(line: str, state: State) -> Iterator[Rule]:
    text = line.partition(";")[0].rstrip()
    if state.open_brackets:
        state.open_brackets = ")" not in text
        return
    if not text:
        return
    if text.startswith("$"):
        directive, *rest = text.split()
        if directive == "$origin" and rest:
            state.origin = rest[0].strip(".")
        elif directive != "$ttl":
            raise NotARule(f"{shown(directive)} is not read; only $ORIGIN and $TTL are")
        return
    record = _RPZ_RECORD.match(text)
    if record is None:
        raise NotARule(f"{shown(text)} is not a record of a zone")
    owner, kind, data = record["owner"] or "", record["type"], (record["data"] or "").strip()
    if kind in _RPZ_OF_THE_ZONE:
        if kind == "soa" and not state.origin and owner.endswith(".") and owner != ".":
            state.origin = owner.strip(".")
        state.open_brackets = "(" in text and ")" not in text
        return
    flags = _rpz_action(kind, data)
    name = _below_origin(owner, state.origin)
    if name.rpartition(".")[2] in _RPZ_OTHER_TRIGGERS:
        raise NotARule(f"{shown(owner)} is about addresses or name servers, not about a name")
    yield (BELOW if name.startswith("*.") else EXACT) | flags, name.removeprefix("*.")


def _rpz_action(kind: str, data: str) -> int:
    if (kind == "cname" and data in (".", "*.", "rpz-drop.")) or (kind, data) in _RPZ_NOWHERE:
        return 0
    if kind == "cname" and data == "rpz-passthru.":
        return ALLOW
    if kind == "cname" and data == "rpz-tcp-only.":
        raise NotARule("rpz-tcp-only is not a block entry")
    told = shown(f"{kind} {data}".strip())
    raise NotARule(f"it answers with {told}; only . and *. and addresses such as 0.0.0.0 mean blocking")


def _below_origin(owner: str, origin: str) -> str:
    """The name that an owner is about: zone files write it with or without the name of the zone at its end."""
    if not owner or owner == "@":
        raise NotARule("there is no name before the record")
    if owner.endswith(".") and origin and owner.strip(".").endswith("." + origin):
        return owner.strip(".").removesuffix("." + origin)
    return owner.removesuffix(".")


# Filters of ad blockers

_COSMETIC = re.compile(r"#@?[$%?]{0,2}#")
_HOSTS_LINE = re.compile(r"(?:0\.0\.0\.0|127\.0\.0\.1|::1?)\s")
_RULE = re.compile(r"(?P<bars>\|{0,2})(?P<name>[^\s^/*|$?:=&]+)(?P<end>\^?\|?)(?:\$(?P<options>.*))?$")
_WITHOUT_EFFECT = frozenset({"all", "document", "doc"})


def _adblock(line: str, state: State) -> Iterator[Rule]:
    text = line.strip()
    if not text or text.startswith(("!", "[")) or (text.startswith("#") and not _COSMETIC.match(text)):
        return
    if _COSMETIC.search(text):
        raise NotARule("it hides a part of pages, which a filter of names cannot do")
    if _HOSTS_LINE.match(text):
        yield from _hosts(text, state)
        return
    allow = ALLOW if text.startswith("@@") else 0
    text = text.removeprefix("@@")
    if "/" in text.partition("$")[0]:
        raise NotARule("it is about a part of a site, or a pattern; a filter of names knows whole names only")
    if "*" in text.partition("$")[0].removeprefix("||*.").removeprefix("*."):
        raise NotARule("it is a pattern; a filter of names knows whole names only")
    rule = _RULE.match(text.replace("||*.", "||", 1))
    if rule is None:
        raise NotARule(f"{shown(text)} is not a rule for a name")
    important, spared = _options(rule["options"])
    flags = (EXACT if rule["bars"] == "|" else WITH_BELOW) | allow | important
    yield flags, rule["name"]
    for name in spared:
        yield WITH_BELOW | ALLOW | SPARED, name


def _options(text: str | None) -> tuple[int, list[str]]:
    """Whether the rule insists, and which domains it spares."""
    important, spared = 0, []
    for option in filter(None, (text or "").split(",")):
        name, _, value = option.partition("=")
        if name == "important":
            important = IMPORTANT
        elif name == "denyallow" and value:
            spared += [each.removeprefix("*.") for each in value.split("|")]
        elif name not in _WITHOUT_EFFECT:
            raise NotARule(f"the option {shown('$' + name)} means something that a filter of names cannot do")
    return important, spared
