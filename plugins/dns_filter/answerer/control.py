"""The answerer's end of the socket to the keeper, which has the answerer's rules and does its slow errands.

Messages of an AF_UNIX SOCK_SEQPACKET socket, each a letter and what belongs to it. Numbers are four octets.

======  ====================  =========================================================================================
letter  from keeper           from answerer
======  ====================  =========================================================================================
``W``   use this world: path  it is used: number of the message; or why not: number, text
        of the table; with a
        descriptor of the
        snapshot
``L``   listen on the socket  listening: nothing
        that comes with it
``C``   number of a socket,
        in the order of
        their coming: close
        it
``T``   query over TCP:       its answer: number, message; empty for silence
        number, length of
        the address, address,
        message
``R``   answer of a relayed   relay this: number, one line of JSON, message
        query: number,
        message; empty: none
``V``   verdict: number,      ask the plugins: number, JSON
        text, or empty
``H``                         how the upstreams are: JSON
======  ====================  =========================================================================================
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

from .reactor import Loop

LARGEST: Final = 70_000
"""A DNS message over TCP and what stands around it."""

WAITING: Final = 2000
"""Errands that may be under way; more are refused at once."""

NUMBER: Final = struct.Struct("!I")


class Control:
    """Sends errands and hands their answers on. What comes from the keeper goes to the functions given to ``start``."""

    def __init__(self, loop: Loop, keeper: socket.socket) -> None:
        self._loop = loop
        self._keeper = keeper
        keeper.setblocking(False)
        self._number = 0
        self._waiting: dict[int, Callable[[bytes], None]] = {}
        self._orders: dict[bytes, Callable[[bytes, list[int]], None]] = {}

    def start(self, orders: dict[bytes, Callable[[bytes, list[int]], None]]) -> None:
        """Listen to the keeper. ``orders``: letter -> function of the rest of the message and its descriptors."""
        self._orders = orders
        self._loop.watch(self._keeper.fileno(), self._receive)

    def send(self, letter: bytes, body: bytes) -> bool:
        """Say something; ``False`` if the keeper does not take it now."""
        try:
            self._keeper.send(letter + body)
        except (BlockingIOError, ConnectionError):
            return False
        return True

    # Errands

    def relay(self, job: bytes, done: Callable[[bytes | None], None]) -> None:
        """Ask an upstream over TCP or TLS. ``job``: a line of JSON and the message."""
        self._errand(b"R", job, lambda answer: done(answer or None))

    def verdict(self, name: str, qtype: str, profile: str, done: Callable[[str | None], None]) -> None:
        """What plugins say of a name: ``block: why`` or ``allow``; ``None``: nobody said so in time."""
        question = json.dumps({"name": name, "type": qtype, "profile": profile}).encode()
        self._errand(b"V", question, lambda words: done(words.decode() or None))

    def _errand(self, letter: bytes, body: bytes, done: Callable[[bytes], None]) -> None:
        if len(self._waiting) >= WAITING:
            done(b"")
            return
        self._number = self._number + 1 & 0xFFFFFFFF
        self._waiting[self._number] = done
        if not self.send(letter, NUMBER.pack(self._number) + body):
            del self._waiting[self._number]
            done(b"")

    # What the keeper says

    def _receive(self) -> None:
        try:
            message, descriptors, _, _ = socket.recv_fds(self._keeper, LARGEST, 4)
        except BlockingIOError:
            return
        except ConnectionError:
            message, descriptors = b"", []
        if not message:  # the keeper has ended
            self._loop.stop()
            return
        letter, body = message[:1], message[1:]
        if letter in (b"R", b"V"):
            done = self._waiting.pop(NUMBER.unpack_from(body)[0], None)
            if done is not None:
                done(body[NUMBER.size :])
        elif letter in self._orders:
            self._orders[letter](body, list(descriptors))
        else:
            for descriptor in descriptors:
                os.close(descriptor)


def read_json(descriptor: int) -> dict[str, Any]:
    """The JSON object in a file that came as a descriptor; closes it. Raises ``ValueError``."""
    with os.fdopen(descriptor, "rb") as file:
        file.seek(0)
        found = json.loads(file.read())
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found
