"""Who has signed a bundle: one line of text beside it, and the keys that a school trusts."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.api import PublicKey, SigningKey

from .archive import BundleRefused

_LINE = re.compile(rb"([0-9A-F]{2}(?::[0-9A-F]{2}){31}) ([A-Za-z0-9+/]{86}==)\n")
_WARN = "Do not use it. Tell whoever publishes it, by another way than the one on which it came."


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key, and whose it is."""

    name: str
    key: PublicKey


def signature_line(key: SigningKey, content: bytes) -> bytes:
    """What stands in the file of the signature: the key's fingerprint and the signature over exactly ``content``."""
    signature = base64.b64encode(key.sign_bytes(content)).decode("ascii")
    return f"{key.public.fingerprint} {signature}\n".encode("ascii")


def fingerprint_of(line: bytes) -> str:
    """With which key it was signed, whether or not that is true. Raises ``BundleRefused``."""
    return _read(line)[0]


def check_signature(line: bytes | None, content: bytes, trusted: Sequence[TrustedKey]) -> TrustedKey:
    """Whose signature it is. Raises ``BundleRefused`` unless one of the ``trusted`` has signed exactly ``content``."""
    if line is None:
        raise BundleRefused("It is not signed.", "Ask whoever publishes it for the signed one.")
    fingerprint, signature = _read(line)
    signer = next((one for one in trusted if one.key.fingerprint == fingerprint), None)
    if signer is None:
        raise BundleRefused(
            f"It is signed with a key that this school does not trust: {fingerprint}.",
            "If it is the publisher’s new key, and only after they told you so themselves, IT adds it to the settings "
            "under plugins.keyword.bundle.keys.",
        )
    if not signer.key.has_signed(signature, content):
        raise BundleRefused(f"It was changed after it was signed: it is not what {signer.name} has signed.", _WARN)
    return signer


def _read(line: bytes) -> tuple[str, bytes]:
    match = _LINE.fullmatch(line)
    try:
        signature = base64.b64decode(match[2], validate=True) if match else b""
    except binascii.Error:
        signature = b""
    # One signature has one spelling: the last letter of base 64 has bits that mean nothing.
    if match is None or base64.b64encode(signature) != match[2]:
        raise BundleRefused("Its signature is none.", _WARN)
    return match[1].decode("ascii"), signature
