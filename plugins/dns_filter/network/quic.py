"""The name in a QUIC client's first packets (RFC 9000, RFC 9001 section 5.2; version 2: RFC 9369).

Their keys follow from a number in the packet itself: they keep nobody from reading them, and are not meant to.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from .frames import Malformed, Packet
from .hello import LARGEST, WAITING_MOST, TooShort, name_in_message

_SALTS = {
    1: bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a"),
    0x6B3343CF: bytes.fromhex("0dede3def700a6db819381be6e269dcbf9bd2ed9"),
}
_LABELS = {1: "quic", 0x6B3343CF: "quicv2"}
_INITIAL = {1: 0b00, 0x6B3343CF: 0b01}
_SAMPLE, _TAG = 16, 16
_PIECES_MOST = 64
"""Pieces of one ClientHello; browsers shuffle it into a dozen or two."""


@dataclass(frozen=True, slots=True)
class Keys:
    """What protects the first packets of a client."""

    key: bytes
    iv: bytes
    header: bytes


@lru_cache(maxsize=64)
def initial_keys(version: int, connection: bytes) -> Keys:
    """The client's keys, which follow from the connection id that it has chosen."""
    secret = hmac.digest(_SALTS[version], connection, "sha256")
    client, label = expand(secret, "client in", 32), _LABELS[version]
    return Keys(
        expand(client, f"{label} key", 16), expand(client, f"{label} iv", 12), expand(client, f"{label} hp", 16)
    )


def expand(secret: bytes, label: str, length: int) -> bytes:
    """HKDF-Expand-Label of TLS 1.3 (RFC 8446 section 7.1), for up to 32 octets."""
    name = b"tls13 " + label.encode("ascii")
    info = length.to_bytes(2, "big") + bytes([len(name)]) + name + b"\0"
    return hmac.new(secret, info + b"\x01", hashlib.sha256).digest()[:length]


Piece = tuple[int, bytes]


def pieces_in(datagram: bytes) -> list[Piece]:
    """The pieces (offset, bytes) of the handshake in a datagram's Initial packets. Raises ``Malformed``."""
    found: list[Piece] = []
    at = 0
    while at < len(datagram) and datagram[at] & 0x80:
        payload, at = _packet(datagram, at)
        found += _crypto_frames(payload)
        if len(found) > _PIECES_MOST:
            raise Malformed
    return found


def _packet(datagram: bytes, start: int) -> tuple[bytes, int]:
    """What one long-header packet carries, and where the next one begins; nothing unless it is an Initial."""
    if len(datagram) < start + 7:
        raise Malformed
    version, at = int.from_bytes(datagram[start + 1 : start + 5], "big"), start + 5
    if version not in _SALTS:
        raise Malformed
    connection, at = _counted(datagram, at)
    _, at = _counted(datagram, at)
    if datagram[start] >> 4 & 3 != _INITIAL[version]:
        return b"", len(datagram)  # 0-RTT and later: nothing that has the name
    length, at = _varint(datagram, at)  # of the token
    at += length
    length, at = _varint(datagram, at)
    end = at + length
    if end > len(datagram) or length < 4 + _SAMPLE:
        raise Malformed
    return _opened(datagram[start:end], at - start, initial_keys(version, connection)), end


def _opened(packet: bytes, number_at: int, keys: Keys) -> bytes:
    """Take the protection off a packet whose number begins at ``number_at``."""
    sample = packet[number_at + 4 : number_at + 4 + _SAMPLE]
    # One block, as the protocol wants it: a mask, not an encryption of anything.
    mask = Cipher(AES(keys.header), ECB()).encryptor().update(sample)  # noqa: S305
    first = packet[0] ^ (mask[0] & 0x0F)
    octets = (first & 3) + 1
    number = bytes(one ^ other for one, other in zip(packet[number_at : number_at + octets], mask[1:], strict=False))
    header = bytes([first]) + packet[1:number_at] + number
    nonce = int.from_bytes(keys.iv, "big") ^ int.from_bytes(number, "big")
    try:
        return AESGCM(keys.key).decrypt(nonce.to_bytes(12, "big"), packet[number_at + octets :], header)
    except InvalidTag:
        raise Malformed from None


def _crypto_frames(payload: bytes) -> list[Piece]:
    found, at = [], 0
    while at < len(payload):
        kind = payload[at]
        at += 1
        if kind in (0x00, 0x01):  # padding, ping
            continue
        if kind in (0x02, 0x03):
            at = _past_ack(payload, at, counts=kind == 0x03)
        elif kind == 0x06:
            offset, at = _varint(payload, at)
            length, at = _varint(payload, at)
            if at + length > len(payload) or offset + length > LARGEST:
                raise Malformed
            found.append((offset, payload[at : at + length]))
            at += length
        else:
            break  # a connection that is being closed
    return found


def _past_ack(payload: bytes, at: int, *, counts: bool) -> int:
    _, at = _varint(payload, at)
    _, at = _varint(payload, at)
    ranges, at = _varint(payload, at)
    for _ in range(1 + 2 * min(ranges, len(payload)) + (3 if counts else 0)):
        _, at = _varint(payload, at)
    return at


def _counted(data: bytes, at: int) -> tuple[bytes, int]:
    """A connection id: its length in one octet, at most 20."""
    if at >= len(data) or data[at] > 20 or at + 1 + data[at] > len(data):
        raise Malformed
    end = at + 1 + data[at]
    return data[at + 1 : end], end


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of variable length (RFC 9000 section 16), and where it ends."""
    if at >= len(data):
        raise Malformed
    octets = 1 << (data[at] >> 6)
    if at + octets > len(data):
        raise Malformed
    return int.from_bytes(data[at : at + octets], "big") & ((1 << (8 * octets - 2)) - 1), at + octets


class Handshakes:
    """ClientHellos that come in the pieces of several packets."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[tuple[str, int, str], dict[int, bytes]] = OrderedDict()

    def name(self, packet: Packet) -> str:
        """The server's name once it is all there. Raises ``TooShort`` before that, ``Malformed`` if it never comes."""
        key = (packet.source, packet.source_port, packet.target)
        pieces = self._waiting.pop(key, {}) | dict(pieces_in(packet.payload))
        try:
            return name_in_message(_joined(pieces))
        except TooShort:
            if pieces and len(pieces) <= _PIECES_MOST:
                self._waiting[key] = pieces
                if len(self._waiting) > WAITING_MOST:
                    self._waiting.popitem(last=False)
            raise


def _joined(pieces: dict[int, bytes]) -> bytes:
    """The beginning, as far as it is there without a gap."""
    whole = b""
    for offset in sorted(pieces):
        if offset > len(whole):
            break
        whole += pieces[offset][len(whole) - offset :]
    return whole
