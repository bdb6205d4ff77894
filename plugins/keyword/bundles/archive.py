"""The outside of a bundle: a tar file of a few small files with plain names. Pure: nothing is unpacked to the disk.

An archive can name files outside itself, hold links and devices, and unpack to a thousand times its size. So it is
opened in memory, every limit is looked at before anything is read, and whatever a bundle does not need is refused.
"""

from __future__ import annotations

import gzip
import io
import re
import tarfile
import zlib
from collections.abc import Mapping, Sequence

from appliance.api import Refused

MANIFEST = "bundle.yaml"
SIGNATURE = "bundle.sig"
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}\.yaml")
"""What files of policies may be called."""
MOST_FILES = 200
LARGEST_FILE = 1024 * 1024
LARGEST = 32 * 1024 * 1024
"""Octets that may come out of a packed bundle."""
_GZIP = b"\x1f\x8b"
_REMADE = "Ask whoever publishes it for a bundle made with `appliance policy pack`."


class BundleRefused(Refused):
    """A bundle that is not taken. ``lines``: every single mistake, if there are several."""

    def __init__(self, what: str, todo: str = "", lines: Sequence[str] = ()) -> None:
        super().__init__(what, todo)
        self.lines = tuple(lines)

    def __str__(self) -> str:
        return "\n".join((super().__str__(), *self.lines))


def unpack(packed: bytes) -> dict[str, bytes]:
    """The files of a bundle by name. Raises ``BundleRefused``."""
    try:
        with tarfile.open(fileobj=io.BytesIO(_plain(packed)), mode="r:") as archive:
            return _files(archive)
    except (tarfile.TarError, ValueError, OverflowError, EOFError, zlib.error) as error:
        why = str(error) or "it was cut off"
        raise BundleRefused(f"This is no tar file, or it is damaged: {why}.", _REMADE) from error


def pack(files: Mapping[str, bytes], *, packed: bool = False) -> bytes:
    """A tar file of these files. The same files give the same octets, on every machine. ``packed``: with gzip."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in sorted(files, key=_order):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(files[name]), 0o644
            archive.addfile(entry, io.BytesIO(files[name]))
    return gzip.compress(written.getvalue(), mtime=0) if packed else written.getvalue()


def is_packed(content: bytes) -> bool:
    """Whether gzip was used."""
    return content.startswith(_GZIP)


def _order(name: str) -> tuple[int, str]:
    """What is read first stands first."""
    return (MANIFEST, SIGNATURE).index(name) if name in (MANIFEST, SIGNATURE) else 2, name


def _plain(packed: bytes) -> bytes:
    if not is_packed(packed):
        return packed
    reader = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    plain = reader.decompress(packed, LARGEST + 1)
    if len(plain) > LARGEST:
        raise BundleRefused(f"It unpacks to more than {LARGEST // 2**20} MiB.", _REMADE)
    if not reader.eof:
        raise EOFError
    return plain


def _files(archive: tarfile.TarFile) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    while (entry := archive.next()) is not None:
        _check(entry, found)
        opened = archive.extractfile(entry)
        content = opened.read() if opened is not None else b""
        if len(content) != entry.size:
            raise EOFError
        found[entry.name] = content
    return found


def _check(entry: tarfile.TarInfo, found: Mapping[str, bytes]) -> None:
    name = entry.name
    if name not in (MANIFEST, SIGNATURE) and not NAME.fullmatch(name):
        raise BundleRefused(f"It holds a file called {name[:80]!r}, which no file of a bundle may be called.", _REMADE)
    if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or entry.sparse is not None:
        raise BundleRefused(f"{name} is a link or something else that is no plain file.", _REMADE)
    if name in found:
        raise BundleRefused(f"It holds {name} twice.", _REMADE)
    if not 0 <= entry.size <= LARGEST_FILE:
        raise BundleRefused(f"{name} is larger than {LARGEST_FILE // 2**20} MiB.", _REMADE)
    if len(found) >= MOST_FILES:
        raise BundleRefused(f"It holds more than {MOST_FILES} files.", _REMADE)
