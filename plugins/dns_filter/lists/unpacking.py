"""Opens what a list came as: a file or a folder, packed or not, and the layout of Toulouse: a folder per category.

A few kilobytes can unpack to gigabytes, and an archive can name files outside itself. So nothing is unpacked to the
disk, what comes out is counted, and of an archive only the files that are wanted are read.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

MOST_MEMBERS = 5000
"""Files of one archive or folder that are looked at."""

_DOMAINS = "domains"
_IGNORED = ("urls", "expressions")
_ZIP_TAIL = 1 << 16
"""A zip file ends with at most so many octets about itself, and one of a single list needs no longer a directory."""


class Unreadable(Exception):
    """What came is no list that can be opened; the words say why."""


@dataclass(frozen=True, slots=True)
class Part:
    """A list within what came. ``folder``: its folder in the layout of Toulouse, ``""`` for a single file.

    ``file`` is ``None`` for addresses of pages, which a filter of names has to leave aside.
    """

    folder: str
    file: BinaryIO | None


def parts(source: Path, folders: bool, limit: int) -> Iterator[Part]:
    """Every list in ``source``, open, one after the other; each is closed when the next one is asked for.

    ``folders``: the layout of Toulouse is wanted; otherwise it is taken if it is there. ``limit``: octets that may come
    out altogether. Raises ``Unreadable``.
    """
    try:
        with ExitStack() as stack:
            if source.is_dir():
                yield from _folder(source, _Budget(limit))
            else:
                opened = stack.enter_context(_unpacked(source, limit))
                if _is_tar(opened):
                    yield from _archive(opened)
                elif folders:
                    raise Unreadable(f"{source.name} is no folder and no archive with a folder for each category.")
                else:
                    yield Part("", cast(BinaryIO, opened))
    except (EOFError, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile, gzip.BadGzipFile) as error:
        raise Unreadable(f"{source.name} is damaged or was cut off: {error}.") from error
    except OSError as error:
        if error.errno is None:  # bz2 says what it finds in the content with OSError
            raise Unreadable(f"{source.name} is damaged: {error}.") from error
        raise Unreadable(f"{source} cannot be read: {error.strerror}.") from error


class _Budget:
    """What may still be read."""

    def __init__(self, octets: int) -> None:
        self._octets = octets
        self._left = octets

    def spend(self, octets: int) -> None:
        self._left -= octets
        if self._left < 0:
            raise Unreadable(
                f"It unpacks to more than {self._octets // 1_000_000} MB. If that is right, raise `lists_max_mb`."
            )


class _Counted(io.RawIOBase):
    """A file of which every octet that comes out is counted."""

    def __init__(self, file: BinaryIO, budget: _Budget) -> None:
        self._file = file
        self._budget = budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._file.read(len(buffer))
        self._budget.spend(len(piece))
        buffer[: len(piece)] = piece
        return len(piece)


@contextmanager
def _unpacked(path: Path, limit: int) -> Iterator[io.BufferedReader]:
    """A file without its packing, however it is called."""
    with ExitStack() as stack:
        file: BinaryIO = stack.enter_context(path.open("rb"))
        start = file.read(6)
        file.seek(0)
        if start.startswith(b"\x1f\x8b"):
            file = cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=file)))
        elif start.startswith(b"BZh"):
            file = cast(BinaryIO, stack.enter_context(bz2.BZ2File(file)))
        elif start == b"\xfd7zXZ\0":
            file = cast(BinaryIO, stack.enter_context(lzma.LZMAFile(file)))
        elif start.startswith(b"PK\x03\x04"):
            _check_directory(file)
            file = stack.enter_context(_only_member(stack.enter_context(zipfile.ZipFile(file))))
        yield stack.enter_context(io.BufferedReader(_Counted(file, _Budget(limit)), 1 << 16))


def _check_directory(file: BinaryIO) -> None:
    """Refuse an archive whose table of contents alone would fill the memory, before it is read."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(size - _ZIP_TAIL, 0))
    tail = file.read()
    file.seek(0)
    at = tail.rfind(b"PK\5\6")
    directory = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if directory > _ZIP_TAIL or b"PK\6\7" in tail:  # the latter: one that is too long for the usual form
        raise Unreadable("The zip file holds too many files; a list is a single one.")


def _only_member(archive: zipfile.ZipFile) -> BinaryIO:
    files = [each for each in archive.infolist() if not each.is_dir()]
    if len(files) != 1:
        raise Unreadable(f"The zip file holds {len(files)} files; a list is a single one.")
    if files[0].flag_bits & 1:
        raise Unreadable("The zip file needs a password.")
    return cast(BinaryIO, archive.open(files[0]))


def _is_tar(file: io.BufferedReader) -> bool:
    return file.peek(512)[257:262] == b"ustar"


def _archive(file: io.BufferedReader) -> Iterator[Part]:
    found = False
    with tarfile.open(fileobj=file, mode="r|") as archive:
        for number, member in enumerate(archive):
            if number >= MOST_MEMBERS:
                raise Unreadable(f"The archive holds more than {MOST_MEMBERS} files.")
            path = PurePosixPath(member.name)
            folder = path.parent.name.lower()
            if not folder or not member.isreg():
                continue
            if path.name in _IGNORED:
                yield Part(folder, None)
            elif path.name == _DOMAINS and (opened := archive.extractfile(member)) is not None:
                found = True
                yield Part(folder, cast(BinaryIO, opened))
    if not found:
        raise Unreadable("The archive holds no folder with a file called domains.")


def _folder(source: Path, budget: _Budget) -> Iterator[Part]:
    found = False
    for number, path in enumerate(sorted(source.glob("*/*"))):
        if number >= MOST_MEMBERS:
            raise Unreadable(f"{source} holds more than {MOST_MEMBERS} files.")
        folder = path.parent.name.lower()
        # Toulouse gives some folders a second name that way. A mirrored file must not stand for one of the box's own.
        if path.parent.is_symlink() or path.is_symlink() or not path.is_file():
            continue
        if path.name in _IGNORED:
            yield Part(folder, None)
        elif path.name == _DOMAINS:
            found = True
            with path.open("rb") as file:
                yield Part(folder, cast(BinaryIO, io.BufferedReader(_Counted(file, budget))))
    if not found:
        raise Unreadable(f"{source} holds no folder with a file called domains.")
