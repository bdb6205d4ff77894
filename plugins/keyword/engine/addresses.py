"""Addresses in a text: their words, read as a browser would (RFC 3986), each letter with its place.

An address is cut out of the text and looked at by itself: its escapes become letters, ``+`` in a query a blank. Ids,
tokens and data in it would make words by chance, so what mixes capitals, small letters and digits is passed over, in an
address and elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

MOST_ROUNDS = 3
"""How often an escape may be escaped itself."""

FEWEST_NUMBERS = 3
"""Groups of digits that encoded data has and words with a number behind them have not."""
FEWEST_OF_DATA = 25
"""Letters without a blank from which on a token may be data."""

_MARK = re.compile(r"[:wWdD](?:(?<=:)//|(?<=\b[wW])[wW]{2}\.|(?<=\b[dD])[aA][tT][aA]:)(?=[^\s<>\"])")
_SCHEME = re.compile(r"\b[a-z][a-z0-9+.-]{1,15}://\Z", re.IGNORECASE)
LONGEST_SCHEME = 16
_WRITTEN_ON = re.compile(r"[^\s<>\"]+")
_DATA = re.compile(r"data:[a-z]+/[a-z0-9.+-]+[;,]", re.IGNORECASE)
_ESCAPED = re.compile(r"(?<![^\s<>\"])[^\s<>\"%]*%[0-9A-Fa-f]{2}[^\s<>\"]*")
_NUMBER = re.compile("[0-9]+")
_NUMBERS = re.compile(r"[0-9][^\s0-9]++[0-9]++[^\s0-9]++[0-9]")
_UNBROKEN = re.compile(r"\S+")
_ID_IN_ADDRESS = re.compile(r"[A-Za-z0-9_-]{8,}")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")

_DOT = re.compile(r"\.[a-z]", re.IGNORECASE)
_LABELS = re.compile(r"[\w.-]+")
_HOST = re.compile(r"(?<![\w.@-])((?:[\w-]{1,63}\.){1,6}[a-z]{2,24})\b(?![\w@-])(?:[:/?#][^\s<>\"]*)?", re.IGNORECASE)

MOST_ADDRESSES = 2_000
"""Of one text; further ones are read as they are written."""


@dataclass(frozen=True, slots=True)
class Address:
    """An address: its letters decoded, where each of them begins and ends in the text, and where its query begins."""

    text: str
    starts: list[int]
    ends: list[int]
    query: int


def cut(text: str, *, whole: bool, helping: Container[str] = ()) -> tuple[str, list[Address]]:
    """A text with blanks for its addresses and for what is only data, and the addresses. ``whole``: it is one itself.

    ``helping``: sites where people look for help. No address on one of them, or below it, is read at all.
    """
    if helping:
        text = _blanked(text, _below(text, helping))
    if whole:
        return "", [_address(text, 0)]
    found: list[Address] = []
    if "://" in text or "www." in text.lower() or "data:" in text:
        text = _cut(text, _addresses(text), found)
    if _ESCAPE.search(text):
        text = _cut(text, (match.span() for match in _ESCAPED.finditer(text)), found)
    if _NUMBERS.search(text):
        text = _blanked(text, _data(text))
    return text, found


def _blanked(text: str, places: Iterable[tuple[int, int]]) -> str:
    """A text with blanks at some places, which are in order."""
    pieces: list[str] = []
    reached = 0
    for start, end in places:
        pieces += text[reached:start], " " * (end - start)
        reached = end
    return "".join([*pieces, text[reached:]]) if pieces else text


def _below(text: str, sites: Container[str]) -> Iterator[tuple[int, int]]:
    """Where addresses stand whose host is one of some sites or below one, with a scheme or without.

    What has a dot before a letter is looked at, and nothing else: most texts have few of those.
    """
    reached = 0
    for dot in _DOT.finditer(text):
        if dot.start() < reached:
            continue
        start = dot.start()
        while start > reached and (text[start - 1].isalnum() or text[start - 1] in "_-."):
            start -= 1
        host = _HOST.match(text, start)
        if host is None:
            labels = _LABELS.match(text, dot.start())
            assert labels is not None
            reached = labels.end()
            continue
        if _is_below(host[1], sites):
            scheme = _SCHEME.search(text, max(reached, start - LONGEST_SCHEME - len("://")), start)
            yield (scheme or host).start(), host.end()
        reached = host.end()


def _addresses(text: str) -> Iterator[tuple[int, int]]:
    """Where addresses stand."""
    reached = 0
    for mark in _MARK.finditer(text):
        start = mark.start()
        if start < reached:
            continue
        if text[start] == ":":
            end = start + len("://")
            scheme = _SCHEME.search(text, max(reached, start - LONGEST_SCHEME), end)
            if scheme is None:
                continue
            start = scheme.start()
        written = _WRITTEN_ON.match(text, start)
        assert written is not None
        reached = written.end()
        yield start, reached


def _is_below(host: str, sites: Container[str]) -> bool:
    """Whether a host is one of some sites, or below one."""
    labels = host.lower().split(".")
    return any(".".join(labels[place:]) in sites for place in range(len(labels) - 1))


def _cut(text: str, places: Iterable[tuple[int, int]], found: list[Address]) -> str:
    """A text without what stands at some places, each of which is an address or data."""
    taken = list(islice(places, MOST_ADDRESSES - len(found)))
    found += [_address(text[start:end], start) for start, end in taken if not _DATA.match(text, start, end)]
    return _blanked(text, taken)


def _address(written: str, offset: int) -> Address:
    letters = list(written)
    starts = list(range(offset, offset + len(written)))
    ends = [start + 1 for start in starts]
    mark = written.find("?")
    query = len(written) if mark < 0 else mark
    for place in range(query, len(letters)):
        if letters[place] == "+":
            letters[place] = " "
    text = "".join(letters)
    for _ in range(MOST_ROUNDS):
        if "%" not in text:
            break
        text, starts, ends = _decoded(text, starts, ends)
    begins = next((place for place, start in enumerate(starts) if start >= offset + query), len(text))
    text = _ID_IN_ADDRESS.sub(lambda token: " " * len(token.group()) if _is_id(token.group()) else token.group(), text)
    text = text.replace("&", "\n").replace("=", "\n").replace("?", "\n").replace("://", "  \n")
    return Address(text, starts, ends, begins)


def _decoded(text: str, starts: list[int], ends: list[int]) -> tuple[str, list[int], list[int]]:
    """One round of escapes decoded as UTF-8; what is none is left out."""
    letters: list[str] = []
    begin: list[int] = []
    end: list[int] = []
    at = 0
    for match in (*_ESCAPES.finditer(text), None):
        stop = len(text) if match is None else match.start()
        letters += text[at:stop]
        begin += starts[at:stop]
        end += ends[at:stop]
        if match is None:
            break
        place = match.start()
        for letter in bytes.fromhex(match.group().replace("%", "")).decode(errors="replace"):
            width = 3 * len(letter.encode()) if letter != "\ufffd" else 3
            letters.append(letter)
            begin.append(starts[min(place, match.end() - 1)])
            end.append(ends[min(place + width, match.end()) - 1])
            place += width
        at = match.end()
    return "".join(letters), begin, end


def _data(text: str) -> Iterator[tuple[int, int]]:
    """Where encoded data and tokens stand."""
    reached = 0
    for numbers in _NUMBERS.finditer(text):
        start = numbers.start()
        if start < reached:
            continue
        while start > reached and not text[start - 1].isspace():
            start -= 1
        run = _UNBROKEN.match(text, start)
        assert run is not None
        reached = run.end()
        if reached - start >= FEWEST_OF_DATA and _is_data(run.group()):
            yield start, reached


def _is_data(token: str) -> bool:
    """Whether a long run without blanks is a token or encoded data: digits scattered among letters of both sizes."""
    return _is_mixed(token) and len(_NUMBER.findall(token)) >= FEWEST_NUMBERS


def _is_id(token: str) -> bool:
    """Whether a shorter one in an address is an id."""
    return _is_mixed(token) and len(_NUMBER.findall(token)) >= FEWEST_NUMBERS - 1


def _is_mixed(token: str) -> bool:
    return any(map(str.isupper, token)) and any(map(str.islower, token))
