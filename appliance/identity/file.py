"""The identity file: what makes this box this box, for a new one that takes its place without touching any device.

It holds the certificate authority, the keys that are made once and the settings; no account and nothing about anybody.
This module makes and reads the file, and does nothing else::

    safeguarding appliance identity file, version 1
    sealed: hkdf-sha256, aes-256-gcm
    made: 2026-11-26T09:30:00.123Z

    (Base64, 76 letters a line: nonce, then the contents as JSON under the key of the code, bound to the lines above)

    sha256: (of all lines above, to tell a damaged copy from a wrong code; the seal alone is what protects it)

The code is 160 random bits for printing (``sealing.new_recovery_key``), so that nothing slow is needed between it and
the key. It is text because it will go through mail and copying: ends of lines may change on the way.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from appliance.config import Origin
from appliance.errors import Refused
from appliance.keys_on_disk import (
    EXTENSION_KEY,
    FACTOR_KEY,
    FACTOR_KEY_BYTES,
    INTAKE_KEY,
    INTAKE_KEY_BYTES,
    ExtensionKey,
    TrustError,
)
from appliance.sealing import SealError, key_from_recovery, read_recovery_key, unwrap, wrap
from appliance.signing import AUDIT_KEY
from appliance.trust import KeptAuthority
from appliance.yamlfile import Commented, dump_commented

VERSION: Final = 1
LARGEST: Final = 32 * 2**20
"""In bytes. What is larger is no identity file."""
KEYS: Final[Mapping[str, str]] = {
    EXTENSION_KEY: "the key of the browser extension",
    FACTOR_KEY: "the key of second factors",
    INTAKE_KEY: "the key that browsers seal to",
    AUDIT_KEY: "the key that signs the audit",
}
"""The keys that may be in it, by the names of their files."""
AUDIT_KEY_BYTES: Final = 32
_LENGTHS: Final[Mapping[str, int]] = {
    FACTOR_KEY: FACTOR_KEY_BYTES,
    INTAKE_KEY: INTAKE_KEY_BYTES,
    AUDIT_KEY: AUDIT_KEY_BYTES,
}

_TITLE = "safeguarding appliance identity file, version "
_SEALED = "sealed: hkdf-sha256, aes-256-gcm"
_MADE = "made: "
_DIGEST = "sha256: "
_LINE = 76
_FIRST_LINE = re.compile(re.escape(_TITLE) + r"(\d{1,9})")


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        hide_input_in_errors=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )


class NamedFile(_Part):
    """A file that the settings name. ``path`` starts at the folder of the settings file; ``mode``: permissions.

    ``watched``: whether a change of it makes the identity file old. Lists change from day to day, and do not.
    """

    path: str
    content: bytes = Field(repr=False)
    mode: int = Field(ge=0, le=0o777)
    watched: bool

    @model_validator(mode="after")
    def _stays_inside(self) -> Self:
        parts = PurePosixPath(self.path).parts
        if not parts or ".." in parts or parts[0] == "/" or "\0" in self.path:
            raise ValueError("a path that leads elsewhere")
        return self


class PageSetting(_Part):
    """A setting that somebody set on a page, for good: plain data, who, why and since when."""

    path: str
    value: Any
    author: str
    reason: str
    set_at: str


class Identity(_Part):
    """What an identity file holds. Making one checks that its keys are sound and belong together.

    ``settings`` is the text of the settings file; ``left_out`` names files of the settings that are not in here.
    """

    made_at: str
    program: str
    school: str
    authority_certificate: bytes
    authority_key: bytes = Field(repr=False)
    keys: dict[str, bytes] = Field(repr=False)
    settings: str
    files: tuple[NamedFile, ...] = ()
    left_out: tuple[str, ...] = ()
    page_settings: tuple[PageSetting, ...] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        KeptAuthority(self.authority_certificate, self.authority_key)
        if not {EXTENSION_KEY, FACTOR_KEY} <= self.keys.keys() <= KEYS.keys():
            raise ValueError("not the keys that belong here")
        ExtensionKey.from_pem(self.keys[EXTENSION_KEY], Path(EXTENSION_KEY))
        if any(len(self.keys.get(name, bytes(length))) != length for name, length in _LENGTHS.items()):
            raise ValueError("a key of the wrong length")
        return self

    @property
    def authority(self) -> KeptAuthority:
        """The certificate authority."""
        return KeptAuthority(self.authority_certificate, self.authority_key)

    @property
    def extension_id(self) -> str:
        """The id of the browser extension that its key signs."""
        return ExtensionKey.from_pem(self.keys[EXTENSION_KEY], Path(EXTENSION_KEY)).extension_id

    def digests(self) -> dict[str, str]:
        """SHA-256 of each part, by its name in words: tells what has changed since, and nothing else."""
        set_on_pages = {setting.path: setting.value for setting in self.page_settings}
        return {
            "the certificate authority": _sha256(self.authority_certificate + self.authority_key),
            **{KEYS[name]: _sha256(content) for name, content in self.keys.items()},
            "the settings file": _sha256(self.settings.encode()),
            **{f"the file {file.path}": _sha256(file.content) for file in self.files if file.watched},
            "what was set on the Settings page": _sha256(json.dumps(set_on_pages, sort_keys=True).encode()),
        }

    def page_settings_yaml(self) -> str:
        """What was set on pages as YAML, in the way of ``appliance config export``."""
        tree: dict[str, Any] = {}
        for setting in self.page_settings:
            *above, last = setting.path.split(".")
            section = tree
            for key in above:
                section = section.setdefault(key, {})
            origin = Origin("page", None, None, setting.author, setting.reason, setting.set_at)
            section[last] = Commented(setting.value, origin.words())
        return dump_commented(tree)


# Making the file


def seal_identity(identity: Identity, code: str) -> bytes:
    """The identity file, for whoever has the code (``sealing.new_recovery_key``) alone."""
    header = [f"{_TITLE}{VERSION}", _SEALED, f"{_MADE}{identity.made_at}"]
    sealed = wrap(identity.model_dump_json().encode(), _key_of(code), _bound(header))
    text = base64.b64encode(sealed).decode("ascii")
    lines = [*header, "", *(text[start : start + _LINE] for start in range(0, len(text), _LINE)), ""]
    return "".join(f"{line}\n" for line in [*lines, f"{_DIGEST}{_digest_of(lines)}"]).encode("ascii")


def _bound(header: list[str]) -> bytes:
    return "".join(f"{line}\n" for line in header).encode()


def _digest_of(lines: list[str]) -> str:
    return _sha256("".join(f"{line}\n" for line in lines).encode())


def _key_of(code: str) -> bytes:
    try:
        return key_from_recovery(read_recovery_key(code))
    except ValueError:
        raise Refused(
            "There is a slip in this code.",
            "It has nine groups of four letters and digits. Compare each with the paper.",
        ) from None


# Reading the file


@dataclass(frozen=True, slots=True)
class SealedIdentity:
    """An identity file that is whole, and not opened yet. ``made_at`` is not vouched for."""

    made_at: str
    bound: bytes
    sealed: bytes

    @classmethod
    def read(cls, content: bytes) -> SealedIdentity:
        """Raises ``Refused`` if this is no identity file, is damaged, or was made by a newer version."""
        try:
            text = content.removeprefix(codecs.BOM_UTF8)  # Windows' editor puts it there
            lines = [line.rstrip() for line in text.decode("ascii").strip().splitlines()]
        except UnicodeDecodeError:
            raise _no_identity_file() from None
        first = _FIRST_LINE.fullmatch(lines[0]) if lines else None
        if first is None:
            raise _no_identity_file()
        if int(first[1]) > VERSION:
            raise Refused(
                "A newer version of the appliance made this identity file.",
                "Install that version first, then try again.",
            )
        if int(first[1]) != VERSION or lines[-1] != f"{_DIGEST}{_digest_of(lines[:-1])}":
            raise _damaged()
        return cls._of_whole(lines[:-1])

    @classmethod
    def _of_whole(cls, lines: list[str]) -> SealedIdentity:
        if len(lines) < 6 or lines[1] != _SEALED or not lines[2].startswith(_MADE) or lines[3] or lines[-1]:
            raise _damaged()
        try:
            sealed = base64.b64decode("".join(lines[4:-1]), validate=True)
        except binascii.Error:
            raise _damaged() from None
        return cls(lines[2].removeprefix(_MADE), _bound(lines[:3]), sealed)

    def open(self, code: str) -> Identity:
        """What the file holds. Raises ``Refused`` for a code with a slip in it, or of another file."""
        key = _key_of(code)
        try:
            contents = unwrap(self.sealed, key, self.bound)
        except SealError:
            raise Refused(
                "This code is not the one of this identity file.",
                "Each file has a code of its own. Look for the paper with the date on which the file was made.",
            ) from None
        try:
            return Identity.model_validate_json(bytes(contents))
        except (ValidationError, TrustError):
            raise Refused(
                "The code is right, but the box that made this file put something into it that cannot be used.",
                "Make a new identity file on that box, or use an older one.",
            ) from None


def _no_identity_file() -> Refused:
    return Refused(
        "This is no identity file.", "Its first line says what it is. Look for the file that was downloaded."
    )


def _damaged() -> Refused:
    return Refused("This identity file is damaged: it is not as it was when it was made.", "Use another copy of it.")


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
