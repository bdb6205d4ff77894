"""The name in a TLS ClientHello (RFC 8446, RFC 6066), and putting one together that came in pieces."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from .frames import Malformed, Packet

LARGEST = 8 * 1024
"""Bytes of a ClientHello that are looked at; with the keys of today they have about 1,800."""
WAITING_MOST = 256
"""ClientHellos that wait for their second half; the oldest goes first."""
_HANDSHAKE, _CLIENT_HELLO = 0x16, 0x01
_SERVER_NAME = 0


class TooShort(Malformed):
    """So far it is right, and there must be more."""


class _Reader:
    """Reads onwards and never past the end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, length: int) -> bytes:
        if self._at + length > len(self._data):
            raise TooShort
        self._at += length
        return self._data[self._at - length : self._at]

    def number(self, octets: int) -> int:
        return int.from_bytes(self.take(octets), "big")

    def part(self, octets: int) -> bytes:
        """What follows a length of so many octets."""
        return self.take(self.number(octets))

    @property
    def left(self) -> bool:
        return self._at < len(self._data)


def name_in_records(data: bytes) -> str:
    """The server's name in TLS records; empty if it is not said. Raises ``TooShort`` or ``Malformed``."""
    message, at = b"", 0
    while at + 5 <= len(data):
        if data[at] != _HANDSHAKE or data[at + 1] != 3:
            if at == 0:
                raise Malformed
            break  # something else comes after it
        length = int.from_bytes(data[at + 3 : at + 5], "big")
        if length == 0:
            raise Malformed
        message += data[at + 5 : at + 5 + length]  # the last one may be cut off
        at += 5 + length
    return name_in_message(message)


def name_in_message(message: bytes) -> str:
    """The server's name in a ClientHello itself. Raises ``TooShort`` while it is not all there, or ``Malformed``."""
    reader = _Reader(message)
    if reader.number(1) != _CLIENT_HELLO:
        raise Malformed
    length = reader.number(3)
    if length > LARGEST:
        raise Malformed
    body = _Reader(reader.take(length))
    try:
        return _name_in_body(body)
    except TooShort:  # its own length says that it is whole
        raise Malformed from None


def _name_in_body(body: _Reader) -> str:
    body.take(2 + 32)
    body.part(1)  # session
    body.part(2)  # ciphers
    body.part(1)  # compression
    if not body.left:
        return ""
    extensions = _Reader(body.part(2))
    while extensions.left:
        kind, content = extensions.number(2), extensions.part(2)
        if kind == _SERVER_NAME:
            names = _Reader(_Reader(content).part(2))
            if names.number(1) == 0:
                return _host(names.part(2))
    return ""


def _host(name: bytes) -> str:
    if not 1 <= len(name) <= 253 or not all(0x21 <= octet <= 0x7E for octet in name):
        raise Malformed
    return name.decode("ascii").lower().removesuffix(".")


@dataclass(slots=True)
class _Waiting:
    data: bytes
    next: int


class Streams:
    """The beginnings of TLS connections over TCP whose ClientHello came in several packets."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[tuple[str, int, str, int], _Waiting] = OrderedDict()

    def name(self, packet: Packet) -> str:
        """The server's name, once it is all there. Raises ``TooShort`` before that, ``Malformed`` if it never comes."""
        key = (packet.source, packet.source_port, packet.target, packet.target_port)
        known = self._waiting.pop(key, None)
        if known is not None and packet.sequence != known.next:
            known = None
        if known is None and packet.payload[:1] != bytes([_HANDSHAKE]):
            raise Malformed
        data = (known.data if known else b"") + packet.payload
        try:
            return name_in_records(data[:LARGEST])
        except TooShort:
            if len(data) < LARGEST:
                self._waiting[key] = _Waiting(data, (packet.sequence + len(packet.payload)) % 2**32)
                if len(self._waiting) > WAITING_MOST:
                    self._waiting.popitem(last=False)
            raise
