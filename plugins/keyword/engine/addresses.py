"""Addresses in a text: their words, read as a browser would (RFC 3986), each letter with its place.

An address is cut out of the text and looked at by itself: its escapes become letters, ``+`` in a query a blank. Ids,
tokens and data in it would make words by chance, so what mixes capitals, small letters and digits is passed over, in an
address and elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass

MOST_ROUNDS = 3
"""How often an escape may be escaped itself."""

FEWEST_NUMBERS = 3
"""Groups of digits that encoded data has and words with a number behind them have not."""
FEWEST_OF_DATA = 25
"""Letters without a blank from which on a token may be data."""

_ADDRESS = re.compile(r"(?:\b[a-z][a-z0-9+.-]{1,15}://|\bwww\.|\bdata:)[^\s<>\"]+", re.IGNORECASE)
_DATA = re.compile(r"data:[a-z]+/[a-z0-9.+-]+[;,]", re.IGNORECASE)
_ESCAPED = re.compile(r"(?<![^\s<>\"])[^\s<>\"%]*%[0-9A-Fa-f]{2}[^\s<>\"]*")
_DIGIT = re.compile("[0-9]")
_NUMBER = re.compile("[0-9]+")
_BLOB = re.compile(rf"[^\s]{{{FEWEST_OF_DATA},}}")
_ID_IN_ADDRESS = re.compile(r"[A-Za-z0-9_-]{8,}")
_ESCAPES = re.compile(r"(?:%[0-9A-Fa-f]{2})+")

_HOST = re.compile(
    r"(?:\b[a-z][a-z0-9+.-]{1,15}://)?(?<![\w.@-])((?:[\w-]{1,63}\.){1,6}[a-z]{2,24})\b(?![\w@-])"
    r"(?:[:/?#][^\s<>\"]*)?",
    re.IGNORECASE,
)
_DOTTED = re.compile(r"\w\.[a-z]", re.IGNORECASE)

MOST_ADDRESSES = 10_000
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
    if helping and _DOTTED.search(text):
        text = _HOST.sub(lambda found: _blank(found) if _is_below(found[1], helping) else found[0], text)
    if whole:
        return "", [_address(text, 0)]
    found: list[Address] = []
    if "://" in text or "www." in text.lower() or "data:" in text:
        text = _cut(text, _ADDRESS, found)
    if "%" in text and _ESCAPES.search(text):
        text = _cut(text, _ESCAPED, found)
    if _DIGIT.search(text) and max(map(len, text.split()), default=0) >= FEWEST_OF_DATA:
        text = _BLOB.sub(lambda blob: " " * len(blob.group()) if _is_data(blob.group()) else blob.group(), text)
    return text, found


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])


def _is_below(host: str, sites: Container[str]) -> bool:
    """Whether a host is one of some sites, or below one."""
    labels = host.lower().split(".")
    return any(".".join(labels[place:]) in sites for place in range(len(labels) - 1))


def _cut(text: str, pattern: re.Pattern[str], found: list[Address]) -> str:
    def taken(match: re.Match[str]) -> str:
        if len(found) >= MOST_ADDRESSES:
            return match.group()
        if not _DATA.match(match.group()):
            found.append(_address(match.group(), match.start()))
        return " " * len(match.group())

    return pattern.sub(taken, text)


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


def _is_data(token: str) -> bool:
    """Whether a long run without blanks is a token or encoded data: digits scattered among letters of both sizes."""
    return _is_mixed(token) and len(_NUMBER.findall(token)) >= FEWEST_NUMBERS


def _is_id(token: str) -> bool:
    """Whether a shorter one in an address is an id."""
    return _is_mixed(token) and len(_NUMBER.findall(token)) >= FEWEST_NUMBERS - 1


def _is_mixed(token: str) -> bool:
    return any(map(str.isupper, token)) and any(map(str.islower, token))
