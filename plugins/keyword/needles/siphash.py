"""SipHash-2-4 (Aumasson and Bernstein 2012): a short hash under a key, the same as in ``browser/siphash.js``.

Whoever has the hashes and not the key learns nothing from them. Whoever has both can try words, so it keeps terms from
being read, and not from being guessed one by one.
"""

from __future__ import annotations

from collections.abc import Callable

KEY_BYTES = 16
_MASK = 2**64 - 1


def hasher(key: bytes) -> Callable[[bytes], bytes]:
    """A function from bytes to their hash (8 bytes, little-endian) under a key of 16 bytes."""
    low, high = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:KEY_BYTES], "little")
    return lambda message: _siphash(low, high, message).to_bytes(8, "little")


def _siphash(low: int, high: int, message: bytes) -> int:
    a, b, c, d = (
        low ^ 0x736F6D6570736575, high ^ 0x646F72616E646F6D, low ^ 0x6C7967656E657261, high ^ 0x7465646279746573,
    )  # fmt: skip
    padded = message + bytes(7 - len(message) % 8) + bytes([len(message) & 0xFF])
    for at in range(0, len(padded), 8):
        block = int.from_bytes(padded[at : at + 8], "little")
        a, b, c, d = _round(*_round(a, b, c, d ^ block))
        a ^= block
    c ^= 0xFF
    for _ in range(4):
        a, b, c, d = _round(a, b, c, d)
    return a ^ b ^ c ^ d


def _round(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    a = (a + b) & _MASK
    b = _turned(b, 13) ^ a
    a = _turned(a, 32)
    c = (c + d) & _MASK
    d = _turned(d, 16) ^ c
    a = (a + d) & _MASK
    d = _turned(d, 21) ^ a
    c = (c + b) & _MASK
    b = _turned(b, 17) ^ c
    return a, b, _turned(c, 32), d


def _turned(number: int, bits: int) -> int:
    return (number << bits | number >> 64 - bits) & _MASK
