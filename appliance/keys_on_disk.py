"""Keys that lie on the disk of the box, in files that nobody but their owner may read, written whole or not at all.

::

    trust/extension.key        signs the browser extension (RSA 2048, PKCS #8, PEM)
    trust/factor.key           32 bytes that seal the second factors of accounts in the store
    trust/intake.key           32 bytes (X25519): browsers seal to it what they noticed, before it leaves them
    trust/<name>.made          since when there is such a key: one that was lost is never made anew silently

All files are 0600 and all folders 0700; a key with wider permissions is refused.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from appliance.clock import stamp
from appliance.errors import ApplianceError

EXTENSION_KEY = "extension.key"
FACTOR_KEY = "factor.key"
FACTOR_KEY_BYTES = 32
INTAKE_KEY = "intake.key"
INTAKE_KEY_BYTES = 32

_RSA_BITS = 2048
_ID_BYTES = 16
_ID_ALPHABET = str.maketrans("0123456789abcdef", "abcdefghijklmnop")


class TrustError(ApplianceError):
    """The authority, a certificate or a key cannot be used; nothing was changed."""


# Keys that are made once


def load_or_make_secret(folder: Path, name: str, length: int) -> bytes:
    """The secret ``length`` random bytes in the file ``name``, made there if there has never been one.

    TrustError if it was lost, damaged or may be read by others: whatever it sealed cannot be opened with another one.
    """
    secret = _load_or_make(folder, name, lambda: secrets.token_bytes(length))
    if len(secret) != length:
        raise _damaged(folder / name)
    return secret


def keep_key(folder: Path, name: str, content: bytes) -> None:
    """Write a key, and that there is one from now on. TrustError if the disk refuses."""
    with in_words(folder):
        check_folder(folder)
        write_private(folder / name, content)
        _note_that_there_is_one(folder / name)


def read_key(folder: Path, name: str) -> bytes | None:
    """The content of a key's file; ``None`` if there has never been one. TrustError if it was lost."""
    path = folder / name
    with in_words(folder):
        if path.exists():
            return read_private(path)
        if _note_of(path).exists():
            raise TrustError(
                f"The key {path} has gone, but there was one (made {_note_of(path).read_text('ascii').strip()}).",
                f"Put it back from a backup or the identity file. Only if that is impossible: delete {_note_of(path)}; "
                "a new key is made, and nothing that needed the old one works with it.",
            )
    return None


def _load_or_make(folder: Path, name: str, make: Callable[[], bytes]) -> bytes:
    found = read_key(folder, name)
    if found is None:
        found = make()
        keep_key(folder, name, found)
    elif not _note_of(folder / name).exists():  # the power went between the two files
        with in_words(folder):
            _note_that_there_is_one(folder / name)
    return found


def _note_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.made")


def _note_that_there_is_one(path: Path) -> None:
    write_private(_note_of(path), f"{stamp()}\n".encode("ascii"))


def _damaged(path: Path) -> TrustError:
    return TrustError(f"The key {path} is damaged.", "Put it back from a backup or the identity file.")


# The browser extension


@dataclass(frozen=True, slots=True)
class ExtensionKey:
    """The key that signs the browser extension. Another key means another extension for every browser policy."""

    extension_id: str
    """How browsers and policies name the extension: 32 letters from a to p."""
    public_key: bytes = field(repr=False)
    """DER SubjectPublicKeyInfo."""
    _key: rsa.RSAPrivateKey = field(repr=False, compare=False)

    @classmethod
    def open(cls, folder: Path) -> ExtensionKey:
        """Load the key from ``folder``, or make it there if there has never been one. TrustError if it was lost."""
        found = cls._read(_load_or_make(folder, EXTENSION_KEY, _new_extension_key), folder / EXTENSION_KEY, known=True)
        if not _is_whole(found._key.private_numbers()):
            raise _damaged(folder / EXTENSION_KEY)
        return found

    @classmethod
    def from_pem(cls, pem: bytes, path: Path) -> ExtensionKey:
        """The key in a file's content. TrustError, which names ``path``, if it is not an RSA key of 2048 bits."""
        return cls._read(pem, path, known=False)

    @classmethod
    def _read(cls, pem: bytes, path: Path, *, known: bool) -> ExtensionKey:
        """``known``: it is this box's own, so the long look whether its primes are prime is left out at each start."""
        try:
            key = serialization.load_pem_private_key(pem, password=None, unsafe_skip_rsa_key_validation=known)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise _damaged(path) from error
        if not isinstance(key, rsa.RSAPrivateKey) or key.key_size != _RSA_BITS:
            raise _damaged(path)
        public_key = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return cls(extension_id(public_key), public_key, key)

    @property
    def crx_id(self) -> bytes:
        """The extension's id as it stands in its file."""
        return _id_bytes(self.public_key)

    def sign(self, content: bytes) -> bytes:
        """RSASSA-PKCS1-v1_5 with SHA-256, as browsers want it: the same content has always the same signature."""
        return self._key.sign(content, padding.PKCS1v15(), hashes.SHA256())


def extension_id(public_key: bytes) -> str:
    """The id that Chromium gives an extension with this key (DER SubjectPublicKeyInfo).

    The first 128 bits of its SHA-256 in hexadecimal digits, with a to p in place of 0 to f
    (``components/crx_file/id_util.cc`` of Chromium).
    """
    return _id_bytes(public_key).hex().translate(_ID_ALPHABET)


def _id_bytes(public_key: bytes) -> bytes:
    return hashlib.sha256(public_key).digest()[:_ID_BYTES]


def _is_whole(key: rsa.RSAPrivateNumbers) -> bool:
    """Whether all numbers of a key belong together (RFC 8017 section 3.2): one that was damaged does not fit."""
    both = key.d * key.public_numbers.e
    return (
        key.p * key.q == key.public_numbers.n
        and both % (key.p - 1) == both % (key.q - 1) == 1
        and (key.dmp1, key.dmq1) == (key.d % (key.p - 1), key.d % (key.q - 1))
        and key.iqmp * key.q % key.p == 1
    )


def _new_extension_key() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


# Files


def check_folder(folder: Path) -> None:
    """Make the folder, or check that nobody else can put files into it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if stat.S_IMODE(folder.stat().st_mode) & 0o022:
        raise TrustError(f"Others than its owner may write to {folder}.", f"Run: chmod 700 {folder}")


@contextmanager
def in_words(folder: Path) -> Iterator[None]:
    """Errors of the file system as TrustError."""
    try:
        yield
    except OSError as error:
        raise TrustError(
            f"{error.filename or folder}: {error.strerror or error}.",
            f"{folder} and what is in it must belong to the account of the appliance, on a disk with free space.",
        ) from error


def read_private(path: Path) -> bytes:
    """Read a file that nobody but its owner may read; TrustError if others may."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & ~0o600:
            raise TrustError(
                f"{path} has the permissions {mode:04o}, so others than its owner may use it.",
                f"Run: chmod 600 {path}. If somebody may have copied the key already, it must be replaced.",
            )
        return file.read()


def write_private(path: Path, content: bytes) -> None:
    """Write a file with the permissions 0600, whole or not at all; on the disk when this returns."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
