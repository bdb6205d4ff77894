"""The queries that we send: an id and a spelling at random, nothing of the device; and what counts as their answer.

RFC 5452 (answers that are hard to forge), draft-vixie-dnsext-dns0x20 (spelling at random).
"""

from __future__ import annotations

import os
from typing import Final

from .wire import CD, DO, EDNS, FORMERR, opt

_POOL: Final = 4096
"""Octets of chance that are fetched at once."""
_LETTERS: Final = bytes(0x20 if 97 <= octet <= 122 else 0 for octet in range(256))
"""The bit that makes a small letter a capital one; lengths of labels are no letters, they end at 63."""
_OPTS: Final = {flags: opt(EDNS | flags) for flags in (0, DO)}
_FLAGS: Final = {flags: bytes((1, 0x30 if flags & CD else 0x20)) for flags in (0, CD, DO, CD | DO)}
"""RD, and AD: "tell me whether you checked it" (RFC 6840 section 5.7)."""


class Writer:
    """Writes queries. Chance comes from the kernel, some at a time."""

    def __init__(self) -> None:
        self._pool = b""
        self._at = _POOL

    def write(self, name: bytes, tail: bytes, flags: int, *, plain: bool, edns: bool) -> bytes:
        """A query for a name (wire form, lower case) with type and class ``tail``; ``flags``: CD and DO.

        ``plain``: in lower case; else each letter is large or small by chance.
        """
        length = len(name)
        at = self._at
        if at + length + 2 > _POOL:
            self._pool, at = os.urandom(_POOL), 0
        end = self._at = at + length + 2
        pool = self._pool
        if not plain:
            change = int.from_bytes(name.translate(_LETTERS), "big") & int.from_bytes(pool[at + 2 : end], "big")
            name = (int.from_bytes(name, "big") ^ change).to_bytes(length, "big")
        if edns:
            return pool[at : at + 2] + _FLAGS[flags] + b"\0\1\0\0\0\0\0\1" + name + tail + _OPTS[flags & DO]
        return pool[at : at + 2] + _FLAGS[flags] + b"\0\1\0\0\0\0\0\0" + name + tail


def same_but_for_case(data: bytes, message: bytes, end: int) -> bool:
    """Whether ``data`` answers ``message``, whose question ends at ``end``, with the name in any case."""
    return (
        data[:2] == message[:2]
        and data[2:3] >= b"\x80"
        and data[2] & 0x78 == 0
        and data[4:6] == b"\0\1"
        and data[12 : end - 4].lower() == message[12 : end - 4].lower()
        and data[end - 4 : end] == message[end - 4 : end]
    )


def is_bare_formerr(data: bytes) -> bool:
    """Whether it is "I cannot read that" without the question."""
    return data[2] >= 0x80 and data[3] & 15 == FORMERR and data[4:6] == b"\0\0"
