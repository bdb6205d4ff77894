"""Reads block lists: hosts files (``0.0.0.0 ads.example tracker.example``) and plain lists with one domain a line.

Lists are written by strangers and edited by hand, so one bad line must not cost the rest: it is counted, and the first
few are kept with their line numbers for the page. Lines come as a stream; a million names are never one string.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, Literal

from ..domains import NotADomain, normalise

Format = Literal["hosts", "domains"]

EXAMPLES_KEPT = 5
"""Rejected lines that are kept for the page."""

LONGEST_LINE = 64 * 1024
"""Octets read as one line; a file without line ends cannot fill the memory."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"

MACHINE_NAMES = frozenset(
    {
        *("localhost", "localhost.localdomain", "local", "broadcasthost", "0.0.0.0"),  # noqa: S104 - a name, not a bind
        *("ip6-localhost", "ip6-loopback", "ip6-localnet", "ip6-mcastprefix"),
        *("ip6-allnodes", "ip6-allrouters", "ip6-allhosts"),
    }
)
"""What hosts files say of the machine itself; not meant for blocking."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that is not a list entry. ``line`` counts from 1; ``why`` is a phrase: ``'com' is a single word, ...``."""

    line: int
    why: str


@dataclass(slots=True)
class ListReader:
    """Reads one list. After ``names`` has ended, ``rejected`` and ``examples`` tell what was left out."""

    format: Format
    rejected: int = 0
    examples: list[Rejected] = field(default_factory=list)

    def names(self, lines: Iterable[bytes]) -> Iterator[str]:
        """Every domain of the list, normalised, as often as it occurs. Bad lines are counted, never raised."""
        for number, raw in enumerate(lines, start=1):
            try:
                yield from self._line(raw.removeprefix(BYTE_ORDER_MARK) if number == 1 else raw)
            except NotADomain as error:
                self._reject(number, str(error))

    def _line(self, raw: bytes) -> Iterator[str]:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise NotADomain("the line is not UTF-8 text") from error
        words = text.partition("#")[0].split()
        if not words or words[0].startswith("!"):
            return
        yield from map(_entry, _hosts_names(words) if self.format == "hosts" else _single(words))

    def _reject(self, number: int, why: str) -> None:
        self.rejected += 1
        if len(self.examples) < EXAMPLES_KEPT:
            self.examples.append(Rejected(number, why))


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """The lines of an open file, none longer than ``LONGEST_LINE``."""
    return iter(lambda: file.readline(LONGEST_LINE), b"")


def _hosts_names(words: list[str]) -> Iterator[str]:
    """The names of a hosts line whose address leads nowhere. A real address is somebody's server, not a block entry."""
    try:
        address = ipaddress.ip_address(words[0].partition("%")[0])
    except ValueError as error:
        raise NotADomain(f"{_shown(words[0])} is not an address; lines of a hosts file start with one") from error
    names = [word for word in words[1:] if word.lower() not in MACHINE_NAMES]
    if names and not (address.is_unspecified or address.is_loopback):
        raise NotADomain(f"the address {address} is a real one; only 0.0.0.0, 127.0.0.1, :: and ::1 mean blocking")
    return iter(names)


def _single(words: list[str]) -> Iterator[str]:
    if len(words) > 1:
        raise NotADomain(f"there is more than one word after {_shown(words[0])}; is this a hosts file?")
    return iter(words)


def _entry(word: str) -> str:
    """One name; ``*.example.org`` and ``.example.org`` mean what ``example.org`` means here: it and all below."""
    try:
        return normalise(word.removeprefix("*").removeprefix("."))
    except NotADomain as error:
        raise NotADomain(f"{_shown(word)} {error}") from error


def _shown(word: str) -> str:
    """A word from a foreign file, quoted and short enough for a page."""
    return repr(word if len(word) <= 60 else word[:57] + "...")
