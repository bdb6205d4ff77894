"""The second factor: one-time codes from an authenticator app (TOTP, RFC 6238) and printed recovery codes.

Secrets are kept encrypted under ``factor.key``, a file beside the store, so that a copy of the store alone gives nobody
a second factor. A code counts once: the time step of the last one that was taken is kept, and only later steps count.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import b32encode
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import cached_property
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from appliance.codes import new_code, plain_code

STEP_SECONDS = 30
DIGITS = 6
SECRET_BYTES = 20
"""RFC 4226 section 4 recommends 160 bits."""
CODES = 8
_CODE_LETTERS = 16
"""80 bits: too many to guess, also for whoever has the store."""


def new_secret() -> bytes:
    """A secret for an authenticator app."""
    return secrets.token_bytes(SECRET_BYTES)


def step_of(moment: datetime) -> int:
    """The number of the 30-second step that holds this moment."""
    return int(moment.timestamp()) // STEP_SECONDS


def code_at(secret: bytes, step: int) -> str:
    """The six digits of one step."""
    return _totp(secret).generate(step * STEP_SECONDS).decode()


def step_for(secret: bytes, code: str, moment: datetime, last_step: int) -> int | None:
    """The step that a code belongs to, of this one and its neighbours; ``None`` if it fits none or was used already."""
    digits = "".join(code.split())
    now = step_of(moment)
    for step in (now, now - 1, now + 1):
        if step > last_step and hmac.compare_digest(code_at(secret, step).encode(), digits.encode("utf-8", "replace")):
            return step
    return None


def provisioning_uri(secret: bytes, account: str, school: str) -> str:
    """What the QR code holds (the Key URI format that authenticator apps read)."""
    return _totp(secret).get_provisioning_uri(account, school or "Safeguarding appliance")


def secret_text(secret: bytes) -> str:
    """The secret for typing it in, in groups of four (RFC 4648 base 32, as apps want it)."""
    text = b32encode(secret).decode().rstrip("=")
    return " ".join(text[place : place + 4] for place in range(0, len(text), 4))


def qr_code(text: str) -> str:
    """A QR code as an SVG picture without styles of its own, for putting into a page."""
    import segno  # noqa: PLC0415 - the one place, and rarely come to

    return str(segno.make(text, micro=False).svg_inline(svgclass="qr", lineclass=None, omitsize=True, border=4))


def new_codes() -> list[str]:
    """Recovery codes, each good once, in groups of four letters."""
    return [new_code(_CODE_LETTERS) for _ in range(CODES)]


class FactorKey:
    """Encrypts second-factor secrets for the store, each bound to its account. ``read`` reads the key when needed."""

    def __init__(self, read: Callable[[], bytes]) -> None:
        self._read = read

    @cached_property
    def _key(self) -> bytes:
        return self._read()

    @cached_property
    def _aead(self) -> AESGCM:
        return AESGCM(self._key)

    @cached_property
    def _code_key(self) -> bytes:
        return hmac.digest(self._key, b"appliance recovery codes v1", sha256)

    def seal(self, account: str, secret: bytes) -> bytes:
        """For the row of ``account``."""
        nonce = secrets.token_bytes(12)
        return nonce + self._aead.encrypt(nonce, secret, account.encode())

    def open(self, account: str, sealed: bytes) -> bytes:
        """The secret again; raises ``cryptography.exceptions.InvalidTag`` for another account's row or another key."""
        return self._aead.decrypt(sealed[:12], sealed[12:], account.encode())

    def open_or_refuse(self, account: str, sealed: bytes) -> bytes:
        """``open`` for what came from outside; raises ``ValueError`` for anything else."""
        try:
            return self.open(account, sealed)
        except (InvalidTag, ValueError) as error:
            raise ValueError("not sealed by this appliance") from error

    def hash_codes(self, account: str, codes: Sequence[str]) -> bytes:
        """The hashes of all recovery codes in one value, 32 bytes each."""
        return b"".join(self._hash_code(account, code) for code in codes)

    def use_code(self, account: str, hashes_: bytes, code: str) -> bytes | None:
        """What is left of ``hashes_`` once this code was used; ``None`` if it is none of them."""
        wanted = self._hash_code(account, code)
        parts = [hashes_[place : place + 32] for place in range(0, len(hashes_), 32)]
        fitting = [hmac.compare_digest(part, wanted) for part in parts]
        if not any(fitting):
            return None
        return b"".join(part for part, fits in zip(parts, fitting, strict=True) if not fits)

    def _hash_code(self, account: str, code: str) -> bytes:
        return hmac.digest(self._code_key, f"{account} {plain_code(code)}".encode("utf-8", "replace"), sha256)


def _totp(secret: bytes) -> TOTP:
    # SHA-1 is what every authenticator app knows; in HMAC its weakness does not matter (RFC 6238 section 1.2).
    return TOTP(secret, DIGITS, hashes.SHA1(), STEP_SECONDS)  # noqa: S303
