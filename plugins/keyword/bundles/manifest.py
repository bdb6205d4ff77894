"""``bundle.yaml``: what a bundle says of itself, and the only thing in it that is signed. The hashes sign the rest."""

from __future__ import annotations

import datetime
import hashlib
import json
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import model_validator

from appliance.api import ConfigError, Refused, Section, Wrong, WrongSettings, section_of, setting

from .archive import MANIFEST, MOST_FILES, BundleRefused

NEWEST_VERSION = 2**31 - 1
LONGEST_NOTES = 20_000


class FileEntry(Section):
    """A file of the bundle."""

    name: str = setting(..., "Its name.", pattern=r"^[a-z0-9][a-z0-9_-]{0,59}\.yaml$")
    sha256: str = setting(..., "SHA-256 of its octets, in hexadecimal.", pattern=r"^[0-9a-f]{64}$")


class Manifest(Section):
    """What a bundle says of itself."""

    format: Literal[1] = setting(..., "The number of this format.")
    name: str = setting(
        ..., "What the publisher calls these policies; it never changes.", pattern=r"^[a-z0-9][a-z0-9-]{1,59}$"
    )
    version: int = setting(..., "A number higher than that of every bundle before.", ge=1, le=NEWEST_VERSION)
    date: datetime.date = setting(..., "The day on which it was made.")
    notes: str = setting(..., "What has changed, for a safeguarding lead.", min_length=1, max_length=LONGEST_NOTES)
    files: tuple[FileEntry, ...] = setting(..., "The files of policies.", min_length=1, max_length=MOST_FILES)

    @model_validator(mode="after")
    def _each_file_once(self) -> Self:
        names = [file.name for file in self.files]
        twice = [Wrong(f"{name} is named twice", ("files", at)) for at, name in enumerate(names) if name in names[:at]]
        if MANIFEST in names:
            twice.append(Wrong(f"{MANIFEST} cannot name itself", ("files", names.index(MANIFEST))))
        if twice:
            raise WrongSettings(*twice)
        return self


def read_manifest(content: bytes) -> Manifest:
    """Read it. Raises ``BundleRefused`` with every mistake."""
    try:
        return section_of(content.decode("utf-8"), Path(MANIFEST), Manifest)[0]
    except UnicodeDecodeError:
        raise BundleRefused(f"{MANIFEST} is no text in UTF-8.") from None
    except ConfigError as error:
        raise BundleRefused(f"{MANIFEST} has mistakes.", "", tuple(map(str, error.mistakes))) from None


def check_files(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Whether ``files`` (without those about the bundle itself) are the ones that were signed. ``BundleRefused``."""
    named = {entry.name: entry.sha256 for entry in manifest.files}
    lines = [f"{name}: it is missing." for name in named if name not in files]
    lines += [f"{name}: {MANIFEST} does not name it." for name in files if name not in named]
    lines += [
        f"{name}: it was changed after it was signed."
        for name, content in files.items()
        if name in named and hashlib.sha256(content).hexdigest() != named[name]
    ]
    if lines:
        raise BundleRefused("Its files are not those that were signed.", "Do not use it.", sorted(lines))


def write_manifest(name: str, version: int, date: datetime.date, notes: str, files: Mapping[str, bytes]) -> bytes:
    """``bundle.yaml`` of these files; the same for the same. Raises ``Refused`` or ``BundleRefused``."""
    text = notes_of(notes)
    lines = [
        "format: 1",
        f"name: {json.dumps(name)}",
        f"version: {version}",
        f"date: {date.isoformat()}",
        "notes: |-",
        *(f"  {line}".rstrip() for line in text.split("\n")),
        "files:",
        *(f"  - {{name: {file}, sha256: {hashlib.sha256(files[file]).hexdigest()}}}" for file in sorted(files)),
    ]
    content = "".join(f"{line}\n" for line in lines).encode("utf-8")
    read_manifest(content)
    return content


def notes_of(text: str) -> str:
    """Notes as they are kept: no signs that pages cannot show, no empty lines around. Raises ``Refused``."""
    lines = [line.rstrip() for line in text.removeprefix("\ufeff").replace("\r\n", "\n").strip().split("\n")]
    for number, line in enumerate(lines, 1):
        if any(unicodedata.category(sign) in ("Cc", "Cs", "Cn", "Zl", "Zp") for sign in line):
            raise Refused(f"Line {number} of the notes holds a sign that no page can show.", "Take it out: tabs too.")
    if not any(lines):
        raise Refused("The notes are empty.", "Say what has changed, in words for a safeguarding lead.")
    return "\n".join(lines)
