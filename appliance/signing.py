"""Signatures: the key with which the appliance signs what others are to keep, and those that browsers make.

The appliance's own are Ed25519 (RFC 8032).

::

    trust/audit.key        the 32 bytes of the private key, made at the first start, never made anew silently

A signed statement is a short text that people can read. Its last two lines name the key and hold the signature over
every line before them, so that ``openssl pkeyutl -verify`` can check it too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from appliance.keys_on_disk import TrustError, load_or_make_secret, read_key

AUDIT_KEY = "audit.key"
_KEY_BYTES = 32
_RSA_BITS_LEAST = 2048
_P256_BYTES = 32
_KEY_LINE = "Signed with the key "
_SIGNATURE_LINE = "Signature: "


class PublicKey:
    """What anybody may have, to check what was signed."""

    def __init__(self, key: ed25519.Ed25519PublicKey) -> None:
        self._key = key

    @classmethod
    def of_pem(cls, pem: bytes) -> PublicKey:
        """The key of a PEM file. TrustError if it is none of ours."""
        try:
            key = serialization.load_pem_public_key(pem)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, ed25519.Ed25519PublicKey):
            raise TrustError("This is no public key of an appliance.", "Download it from the audit page once more.")
        return cls(key)

    @classmethod
    def of_text(cls, text: str) -> PublicKey:
        """The key of its one-line text (see ``text``). TrustError if it is none."""
        try:
            return cls(ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(text, validate=True)))
        except (ValueError, UnsupportedAlgorithm):  # binascii.Error is a ValueError
            raise TrustError("This is no public key: 44 characters that end with =.") from None

    @classmethod
    def of_box(cls, folder: Path) -> PublicKey | None:
        """The public half of the key in ``folder``; ``None`` if there has never been one. TrustError if it was lost."""
        secret = read_key(folder, AUDIT_KEY)
        return SigningKey.of_secret(secret).public if secret is not None else None

    @property
    def pem(self) -> bytes:
        """The key as a PEM file."""
        return self._key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    @property
    def text(self) -> str:
        """The key in one line, for settings files: its 32 bytes in base 64."""
        raw = self._key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return base64.b64encode(raw).decode("ascii")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the key (DER) as ``AB:CD:...``, to compare by eye."""
        der = self._key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(der).digest().hex(":").upper()

    def has_signed(self, signature: bytes, content: bytes) -> bool:
        """Whether this key has signed exactly these bytes (64 bytes, RFC 8032)."""
        try:
            self._key.verify(signature, content)
        except InvalidSignature:
            return False
        return True

    def check(self, statement: str) -> str:
        """The signed part of a statement. TrustError if this key has not signed it as it stands.

        What mail does to a text is forgiven: other ends of lines, spaces at the end of one, empty lines around it.
        """
        lines = [line.rstrip() for line in statement.strip().splitlines()]
        if len(lines) < 3 or not (lines[-2].startswith(_KEY_LINE) and lines[-1].startswith(_SIGNATURE_LINE)):
            raise TrustError("This is no signed statement of an appliance.", "Give the file as it was downloaded.")
        signed_with = lines[-2].removeprefix(_KEY_LINE)
        if signed_with != self.fingerprint:
            raise TrustError(
                f"This was signed with the key {signed_with}, not with {self.fingerprint}.",
                "Give the public key that belongs to it with --public-key.",
            )
        content = "".join(f"{line}\n" for line in lines[:-2])
        try:
            signature = base64.b64decode(lines[-1].removeprefix(_SIGNATURE_LINE), validate=True)
            self._key.verify(signature, content.encode())
        except (binascii.Error, InvalidSignature):
            raise TrustError("This statement was changed after it was signed: its signature does not fit.") from None
        return content


class SigningKey:
    """The private key. Get one with ``SigningKey.open``."""

    def __init__(self, key: ed25519.Ed25519PrivateKey) -> None:
        self._key = key

    @classmethod
    def open(cls, folder: Path) -> SigningKey:
        """Load the key from ``folder``, or make it there if there has never been one. TrustError if it was lost."""
        return cls.of_secret(load_or_make_secret(folder, AUDIT_KEY, _KEY_BYTES))

    @classmethod
    def of_secret(cls, secret: bytes) -> SigningKey:
        """The key of its 32 bytes. TrustError if they are not 32."""
        try:
            return cls(ed25519.Ed25519PrivateKey.from_private_bytes(secret))
        except ValueError as error:
            raise TrustError("The key of the audit is damaged.", "Put audit.key back from a backup.") from error

    @classmethod
    def new(cls) -> SigningKey:
        """A new key of somebody's own, for a file."""
        return cls(ed25519.Ed25519PrivateKey.generate())

    @classmethod
    def of_pem(cls, pem: bytes) -> SigningKey:
        """The key of a PEM file (PKCS #8) without a password. TrustError, which tells nothing of it, if it is none."""
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise TrustError("This is no private key of the kind Ed25519 in PEM without a password.")
        return cls(key)

    @property
    def pem(self) -> bytes:
        """The private key as a PEM file (PKCS #8)."""
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )

    def sign_bytes(self, content: bytes) -> bytes:
        """The signature alone, over exactly these bytes (64 bytes, RFC 8032)."""
        return self._key.sign(content)

    @property
    def public(self) -> PublicKey:
        """The public half."""
        return PublicKey(self._key.public_key())

    def sign(self, content: str) -> str:
        """The statement: ``content`` (lines without spaces at their ends), then the key and the signature."""
        signature = base64.b64encode(self._key.sign(content.encode())).decode("ascii")
        return f"{content}{_KEY_LINE}{self.public.fingerprint}\n{_SIGNATURE_LINE}{signature}\n"


# Signatures of browsers


class BrowserKey:
    """The public half of a key that a browser has made for itself: ECDSA on P-256 with SHA-256 (WebCrypto)."""

    def __init__(self, key: ec.EllipticCurvePublicKey) -> None:
        self._key = key

    @classmethod
    def of_spki(cls, spki: bytes) -> BrowserKey:
        """The key of its DER SubjectPublicKeyInfo. TrustError for any other kind of key, and for another spelling.

        One key has one spelling, because browsers are known by the hash of it.
        """
        try:
            key = serialization.load_der_public_key(spki)
        except (ValueError, UnsupportedAlgorithm):
            key = None
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise TrustError("This is no key of a browser.")
        spelled = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        if spelled != spki:
            raise TrustError("This is no key of a browser.")
        return cls(key)

    def has_signed(self, signature: bytes, message: bytes) -> bool:
        """Whether this key has signed ``message``. ``signature``: r and s, 32 bytes each (IEEE P1363)."""
        if len(signature) != 2 * _P256_BYTES:
            return False
        r, s = (int.from_bytes(half, "big") for half in (signature[:_P256_BYTES], signature[_P256_BYTES:]))
        try:
            self._key.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            return False
        return True


def sign_rs256(pem: str, content: bytes) -> bytes:
    """Sign with somebody else's RSA key (a PEM file), as statements to Google and others want it (RFC 7518, RS256).

    TrustError if it is no such key; the words hold nothing of it.
    """
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey) or key.key_size < _RSA_BITS_LEAST:
        raise TrustError("This is no RSA key of 2048 bits or more.", "Download the key file once more.")
    return key.sign(content, padding.PKCS1v15(), hashes.SHA256())
