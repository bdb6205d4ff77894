"""Envelopes and keys: what is sealed here can be opened by the holders of a vault's private key, and by nobody else.

Pure: no files, no store. ``docs/envelope.md`` has the format byte by byte. In short::

    version 1, suite 1, item id, kind | vaults and epochs, each with the item key sealed to it | nonce | content

The content is padded to a bucket, so that its size tells little, and encrypted with AES-256-GCM under a random key of
its own; everything before the nonce is bound to it. That key is sealed to each vault with HPKE in base mode (RFC 9180:
X25519, HKDF-SHA256, AES-256-GCM). A browser can do the same with WebCrypto (``tests/vectors``).

Keys that are kept longer than a call are in bytearrays, which can be overwritten. What ``cryptography`` hands out as
bytes cannot; ``appliance.memory`` sees to what is freed.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import struct
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from appliance.codes import ALPHABET, LOOKS_LIKE
from appliance.errors import Refused

Secret = bytes | bytearray

VERSION = 1
SUITE = 1
"""DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM. Another suite will have another number."""
BUCKETS = (256, 1024, 4096, 16384, 65536)
"""Sizes in bytes that contents are padded to, the four bytes of their length included; above, multiples of the last."""
LARGEST = 64 * 2**20
"""The largest bucket in bytes: an envelope is made and opened as a whole, in memory."""
MOST_RECIPIENTS = 16
KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16
SEALED_KEY_BYTES = KEY_BYTES + KEY_BYTES + TAG_BYTES
"""A key sealed with HPKE: the sender's ephemeral public key, the key, the tag."""
LENGTH_BYTES = 4
NEWEST_EPOCH = 2**32 - 1

RECOVERY_BYTES = 20
RECOVERY_CHECK_BITS = 20
RECOVERY_SYMBOLS = (RECOVERY_BYTES * 8 + RECOVERY_CHECK_BITS) // 5
_BETWEEN_GROUPS = re.compile(r"[\s\-\u2010-\u2015\u2212]+")

_KIND = re.compile(r"[a-z0-9][a-z0-9 ._-]{0,31}")
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
_ITEM_KEY = b"appliance envelope v1 item key\0"
_SEALED_KEY = b"appliance sealed key v1\0"
_WRAPPED = b"appliance wrapped key v1\0"
_RECOVERY_CHECK = b"appliance recovery key v1 check\0"
_RECOVERY_KEY = b"appliance recovery key v1 wrapping key"


class SealError(Refused):
    """Something sealed cannot be opened: it is damaged or was changed, or these keys are not the right ones."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """A vault to seal to: its id, the number of its key pair (epoch) and that pair's public key."""

    vault: str
    epoch: int
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What an envelope tells without being opened. ``recipients``: vault ids and epochs."""

    item_id: str
    kind: str
    recipients: tuple[tuple[str, int], ...]


class Keys:
    """The opened keys of one session: the account's own private key, and private keys of vaults by epoch.

    In memory only. ``wipe`` overwrites all of them; using them afterwards raises ``Refused``.
    """

    __slots__ = ("__weakref__", "_private", "_vaults", "_wiped", "account")

    def __init__(self, account: str, private_key: Secret) -> None:
        self.account = account
        self._private = bytearray(private_key)
        self._vaults: dict[str, dict[int, bytearray]] = {}
        self._wiped = False

    def __repr__(self) -> str:
        return "<Keys>"

    def __reduce__(self) -> str:
        raise TypeError("Keys stay in memory.")

    @property
    def private(self) -> bytearray:
        """The account's own private key, not a copy. Raises ``Refused`` once wiped."""
        self._check()
        return self._private

    @property
    def is_wiped(self) -> bool:
        """Whether these keys are gone."""
        return self._wiped

    def put(self, vault: str, epoch: int, private_key: Secret) -> None:
        """Add a vault's private key. Raises ``Refused`` once wiped."""
        self._check()
        held = self._vaults.setdefault(vault, {})
        if epoch not in held:
            held[epoch] = bytearray(private_key)

    def of_vault(self, vault: str) -> dict[int, bytearray]:
        """The private keys of a vault by epoch, not copies; empty if there are none. Raises ``Refused`` once wiped."""
        self._check()
        return dict(self._vaults.get(vault, {}))

    def drop(self, vault: str) -> None:
        """Wipe what opens a vault: its member was taken out."""
        for private_key in self._vaults.pop(vault, {}).values():
            wipe(private_key)

    def wipe(self) -> None:
        """Overwrite everything with zeros, for good."""
        self._wiped = True
        wipe(self._private)
        for vault in list(self._vaults):
            self.drop(vault)

    def _check(self) -> None:
        if self._wiped:
            raise Refused("This browser is locked, and what it had opened is closed again.", "Type your password.")


def wipe(secret: bytearray) -> None:
    """Overwrite with zeros."""
    secret[:] = bytes(len(secret))


def new_pair() -> tuple[bytearray, bytes]:
    """A new random X25519 key pair, private and public, 32 bytes each. ``wipe`` overwrites the private one."""
    private = X25519PrivateKey.generate()
    return bytearray(private.private_bytes_raw()), private.public_key().public_bytes_raw()


def public_of(private_key: Secret) -> bytes:
    """The public key that belongs to a private one."""
    return X25519PrivateKey.from_private_bytes(private_key).public_key().public_bytes_raw()


# Envelopes


def seal(content: bytes, item_id: str, kind: str, recipients: Sequence[Recipient]) -> bytes:
    """An envelope for ``content``.

    ``item_id`` is a UUID, ``kind`` a short word in lower case; both are readable and bound to the content. Raises
    ``Refused`` if the content is too large, ``ValueError`` for an id, kind or recipients that no envelope can have.
    """
    header = _header_bytes(item_id, kind)
    item_key = bytearray(secrets.token_bytes(KEY_BYTES))
    bound = header + _recipient_bytes(header, item_key, recipients)
    padded = _pad(content)
    nonce = secrets.token_bytes(NONCE_BYTES)
    try:
        return bound + nonce + AESGCM(item_key).encrypt(nonce, padded, bound)
    finally:
        wipe(item_key)
        wipe(padded)


def open_envelope(envelope: bytes, keys: Keys) -> bytes:
    """The content of an envelope. Raises ``SealError`` if it is damaged or these keys open none of its vaults."""
    parts = _parse(envelope)
    item_key = _item_key(parts, keys)
    padded = bytearray(len(parts.ciphertext) - TAG_BYTES)
    try:
        AESGCM(item_key).decrypt_into(parts.nonce, parts.ciphertext, parts.bound, padded)
        return _unpad(padded)
    except InvalidTag:
        raise _damaged("its content does not match its seal") from None
    finally:
        wipe(item_key)
        wipe(padded)


def read_header(envelope: bytes) -> Header:
    """What an envelope tells without being opened; nothing vouches for it yet. Raises ``SealError`` if malformed."""
    return _parse(envelope).header


def _header_bytes(item_id: str, kind: str) -> bytes:
    if not _KIND.fullmatch(kind):
        raise ValueError(f"{kind!r} is no kind: use up to 32 of a-z, 0-9, space, dot, hyphen, underscore.")
    return struct.pack(">BB16sB", VERSION, SUITE, uuid.UUID(item_id).bytes, len(kind)) + kind.encode("ascii")


def _recipient_bytes(header: bytes, item_key: bytearray, recipients: Sequence[Recipient]) -> bytes:
    places = [_place_bytes(recipient.vault, recipient.epoch) for recipient in recipients]
    if not 1 <= len(places) <= MOST_RECIPIENTS or len(set(places)) < len(places):
        raise ValueError(f"An envelope has one to {MOST_RECIPIENTS} different recipients.")
    sealed = bytes([len(places)])
    for place, recipient in zip(places, recipients, strict=True):
        sealed += place + _hpke_seal(item_key, recipient.public_key, _ITEM_KEY + header + place)
    return sealed


def _place_bytes(vault: str, epoch: int) -> bytes:
    if not 1 <= epoch <= NEWEST_EPOCH:
        raise ValueError(f"There is no epoch {epoch}.")
    return uuid.UUID(vault).bytes + struct.pack(">I", epoch)


def _bucket(size: int) -> int:
    """The smallest bucket that holds ``size`` bytes."""
    return next((bucket for bucket in BUCKETS if size <= bucket), -(-size // BUCKETS[-1]) * BUCKETS[-1])


def _pad(content: bytes) -> bytearray:
    size = _bucket(LENGTH_BYTES + len(content))
    if size > LARGEST:
        raise Refused(f"This is too large to be kept: {len(content)} bytes.", f"At most {LARGEST // 2**20} MiB can be.")
    padded = bytearray(size)
    struct.pack_into(">I", padded, 0, len(content))
    padded[LENGTH_BYTES : LENGTH_BYTES + len(content)] = content
    return padded


def _unpad(padded: bytearray) -> bytes:
    (length,) = struct.unpack_from(">I", padded)
    end = LENGTH_BYTES + length
    if _bucket(end) != len(padded) or padded.count(0, end) != len(padded) - end:
        raise _damaged("its padding is not as it should be")
    with memoryview(padded) as view:
        return bytes(view[LENGTH_BYTES:end])


@dataclass(frozen=True, slots=True)
class _Place:
    """One vault and epoch of an envelope, and the item key sealed to it."""

    vault: str
    epoch: int
    info: bytes
    sealed_key: bytes


@dataclass(frozen=True, slots=True)
class _Parts:
    header: Header
    places: tuple[_Place, ...]
    bound: bytes
    nonce: bytes
    ciphertext: bytes


class _Reader:
    """Takes an envelope apart from the front."""

    def __init__(self, envelope: bytes) -> None:
        self.envelope = bytes(envelope)
        self.at = 0

    def take(self, size: int) -> bytes:
        piece = self.envelope[self.at : self.at + size]
        if len(piece) < size:
            raise _damaged("it ends too early")
        self.at += size
        return piece

    def number(self) -> int:
        return self.take(1)[0]

    def rest(self) -> bytes:
        return self.envelope[self.at :]


def _parse(envelope: bytes) -> _Parts:
    reader = _Reader(envelope)
    if (reader.number(), reader.number()) != (VERSION, SUITE):
        raise SealError("This was sealed in a way that this version does not know.", "Update the appliance.")
    item_id = str(uuid.UUID(bytes=reader.take(16)))
    kind = reader.take(reader.number()).decode("latin-1")
    if not _KIND.fullmatch(kind):
        raise _damaged("it does not say what it holds")
    header_bytes = reader.envelope[: reader.at]
    places = tuple(_parse_place(reader, header_bytes) for _ in range(_count(reader)))
    recipients = tuple((place.vault, place.epoch) for place in places)
    if len(set(recipients)) < len(recipients):
        raise _damaged("it names the same recipient twice")
    bound = reader.envelope[: reader.at]
    parts = _Parts(Header(item_id, kind, recipients), places, bound, reader.take(NONCE_BYTES), reader.rest())
    size = len(parts.ciphertext) - TAG_BYTES
    if not 0 < size <= LARGEST or _bucket(size) != size:
        raise _damaged("its length is not one that sealing makes")
    return parts


def _count(reader: _Reader) -> int:
    count = reader.number()
    if not 1 <= count <= MOST_RECIPIENTS:
        raise _damaged("the number of its recipients is wrong")
    return count


def _parse_place(reader: _Reader, header: bytes) -> _Place:
    place = reader.take(20)
    vault, epoch = str(uuid.UUID(bytes=place[:16])), int.from_bytes(place[16:], "big")
    if epoch == 0:
        raise _damaged("it names a key that cannot be")
    return _Place(vault, epoch, _ITEM_KEY + header + place, reader.take(SEALED_KEY_BYTES))


def _item_key(parts: _Parts, keys: Keys) -> bytearray:
    for place in parts.places:
        private_key = keys.of_vault(place.vault).get(place.epoch)
        if private_key is not None:
            return _hpke_open(place.sealed_key, private_key, place.info)
    raise SealError("You are not among those who can open this.", "Ask one of them to let you in.")


def _damaged(how: str) -> SealError:
    return SealError(
        f"This cannot be opened: {how}. It was damaged or changed.", "Look for it in a backup, and tell IT."
    )


# Keys sealed to keys, and keys under keys


def seal_key(private_key: Secret, public_key: bytes, context: bytes) -> bytes:
    """A private key, sealed to the holder of ``public_key`` (80 bytes). ``context``: what for; it is bound to it."""
    return _hpke_seal(private_key, public_key, _SEALED_KEY + context)


def open_key(sealed: bytes, private_key: Secret, context: bytes) -> bytearray:
    """What ``seal_key`` sealed. Raises ``SealError`` for another key, another context, or damage."""
    return _hpke_open(sealed, private_key, _SEALED_KEY + context)


def wrap(secret: Secret, key: Secret, context: bytes) -> bytes:
    """``secret`` under a 32-byte key, with a nonce in front. ``context``: what it is; it is bound to it."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, secret, _WRAPPED + context)


def unwrap(wrapped: bytes, key: Secret, context: bytes) -> bytearray:
    """What ``wrap`` wrapped. Raises ``SealError`` for another key, another context, or damage."""
    nonce, ciphertext = wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:]
    try:
        return bytearray(AESGCM(key).decrypt(nonce, ciphertext, _WRAPPED + context))
    except (InvalidTag, ValueError):  # ValueError: so short that even the nonce is incomplete
        raise SealError("This key does not open it.", "Use the newest one.") from None


def _hpke_seal(secret: Secret, public_key: bytes, info: bytes) -> bytes:
    return _SUITE.encrypt(secret, X25519PublicKey.from_public_bytes(public_key), info)


def _hpke_open(sealed: bytes, private_key: Secret, info: bytes) -> bytearray:
    try:
        secret = bytearray(_SUITE.decrypt(sealed, X25519PrivateKey.from_private_bytes(private_key), info))
    except InvalidTag:
        raise _damaged("its key does not match its seal") from None
    if len(secret) != KEY_BYTES:
        raise _damaged("its key is not one that sealing makes")
    return secret


# The recovery key, printed on paper


def new_recovery_key() -> str:
    """160 random bits for printing: nine groups of four letters and digits (Crockford's base 32).

    The last group tells a slip in typing from another key; a slip gets through once in a million.
    """
    secret = secrets.token_bytes(RECOVERY_BYTES)
    number = int.from_bytes(secret, "big") << RECOVERY_CHECK_BITS | _recovery_check(secret)
    symbols = [ALPHABET[number >> 5 * place & 31] for place in reversed(range(RECOVERY_SYMBOLS))]
    return " ".join("".join(symbols[start : start + 4]) for start in range(0, RECOVERY_SYMBOLS, 4))


def read_recovery_key(text: str) -> bytes:
    """The 20 bytes of a recovery key that somebody typed, in any case, with or without spaces and hyphens.

    ``O`` is read as 0, ``I`` and ``L`` as 1. Raises ``ValueError``, in words, if a slip was made.
    """
    symbols = _BETWEEN_GROUPS.sub("", unicodedata.normalize("NFKC", text)).upper().translate(LOOKS_LIKE)
    strange = next((symbol for symbol in symbols if symbol not in ALPHABET), None)
    if strange is not None:
        raise ValueError(f"There is no “{strange}” in a recovery key. Look at the paper again.")
    if len(symbols) != RECOVERY_SYMBOLS:
        raise ValueError(
            f"A recovery key has {RECOVERY_SYMBOLS} letters and digits, nine groups of four. You typed {len(symbols)}."
        )
    number = 0
    for symbol in symbols:
        number = number << 5 | ALPHABET.index(symbol)
    secret = (number >> RECOVERY_CHECK_BITS).to_bytes(RECOVERY_BYTES, "big")
    if number & (1 << RECOVERY_CHECK_BITS) - 1 != _recovery_check(secret):
        raise ValueError("There is a slip in it. Compare each group with the paper.")
    return secret


def key_from_recovery(secret: Secret) -> bytes:
    """The 32-byte key that a recovery key stands for. 160 random bits cannot be guessed, so nothing slow is needed."""
    return HKDF(algorithm=hashes.SHA256(), length=KEY_BYTES, salt=None, info=_RECOVERY_KEY).derive(secret)


def _recovery_check(secret: bytes) -> int:
    return int.from_bytes(hashlib.sha256(_RECOVERY_CHECK + secret).digest()[:4], "big") >> 32 - RECOVERY_CHECK_BITS
