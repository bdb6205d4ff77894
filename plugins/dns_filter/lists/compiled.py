"""Compiled lists: each list as a file that the worker can take in quickly, named by the SHA-256 of its content.

A file never changes once it has its name, so the worker may read while the main process compiles, and a list that did
not change is not loaded again. ``index.json`` remembers, per list, the last good copy and the source it came from: a
source that is gone or damaged after a restart costs nothing but its updates.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from appliance.api import ApplianceError

from .formats import Format, ListReader, Rejected, lines_of

FOLDER = "lists"
_INDEX = "index.json"


class ListUnreadable(ApplianceError):
    """A list or its compiled copy cannot be used."""


@dataclass(frozen=True, slots=True)
class Source:
    """Which file a copy was made from, and how the file looked; another look means: compile again."""

    file: str
    format: Format
    size: int
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Compiled:
    """One list: its file (``sha256``), how many names it has, what was left out, and when it was read (UTC stamp)."""

    sha256: str
    names: int
    rejected: int
    examples: tuple[Rejected, ...]
    source: Source
    read_at: str


_INDEX_TYPE = TypeAdapter(dict[str, Compiled])


def look_at(file: Path, format_: Format) -> Source:
    """How a list file looks now. Raises ``ListUnreadable``."""
    try:
        found = file.stat()
    except OSError as error:
        raise _unreadable(file, error) from error
    return Source(str(file), format_, found.st_size, found.st_mtime_ns)


def compile_list(source: Source, folder: Path, read_at: str) -> Compiled:
    """Read a list and write its compiled copy into ``folder``. Takes seconds for a million names: call it in a thread.

    Raises ``ListUnreadable``, also for a file that has lines but not one domain: a page saved in place of a list.
    """
    file = Path(source.file)
    reader = ListReader(source.format)
    try:
        with file.open("rb") as opened:
            names = set(reader.names(lines_of(opened)))
    except OSError as error:
        raise _unreadable(file, error) from error
    if not names and reader.rejected:
        first = reader.examples[0]
        raise ListUnreadable(
            f"{file} is no list in the format {source.format!r}: line {first.line}: {first.why}.",
            "Check the file and its format in the settings.",
        )
    try:
        digest = _write_names(names, folder)
    except OSError as error:
        raise ListUnreadable(f"The copy of {file} cannot be written: {error.strerror}.", "Look at the disk.") from error
    return Compiled(digest, len(names), reader.rejected, tuple(reader.examples), source, read_at)


def load_names(folder: Path, sha256: str) -> frozenset[str]:
    """The names of a compiled list. Raises ``ListUnreadable`` if the file is gone or not what its name says."""
    path = _path(folder, sha256)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ListUnreadable(f"The compiled list {path} cannot be read: {error.strerror}.") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ListUnreadable(f"The compiled list {path} is damaged.", "Delete it; it is made again within minutes.")
    return frozenset(content.decode("ascii").split())


def is_there(folder: Path, compiled: Compiled) -> bool:
    """Whether the copy still lies in the folder."""
    return _path(folder, compiled.sha256).is_file()


def read_index(folder: Path) -> dict[str, Compiled]:
    """List name -> last good copy, as far as the copies are still there. A damaged index is as good as none."""
    try:
        index = _INDEX_TYPE.validate_json((folder / _INDEX).read_bytes())
    except (OSError, ValidationError):
        return {}
    return {name: compiled for name, compiled in index.items() if is_there(folder, compiled)}


def write_index(folder: Path, index: Mapping[str, Compiled]) -> None:
    """Remember the last good copies."""
    content = TypeAdapter(dict[str, object]).dump_json({name: asdict(compiled) for name, compiled in index.items()})
    _write(folder, _INDEX, [content])


def forget_others(folder: Path, needed: Collection[str]) -> None:
    """Delete the compiled lists that are not among ``needed`` (SHA-256 digests)."""
    for path in folder.glob("*.names"):
        if path.stem not in needed:
            path.unlink(missing_ok=True)


def _write_names(names: Iterable[str], folder: Path) -> str:
    lines = [f"{name}\n".encode("ascii") for name in sorted(names)]
    digest = hashlib.sha256()
    for line in lines:
        digest.update(line)
    _write(folder, _path(folder, digest.hexdigest()).name, lines)
    return digest.hexdigest()


def _write(folder: Path, name: str, content: Iterable[bytes]) -> None:
    """Write a file that is either whole or not there, readable by the worker's account through its group."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".part-", delete=False) as part:
        try:
            part.writelines(content)
            part.flush()
            os.fchmod(part.fileno(), 0o640)
            os.fsync(part.fileno())
            Path(part.name).replace(folder / name)
        except BaseException:
            Path(part.name).unlink(missing_ok=True)
            raise


def _path(folder: Path, sha256: str) -> Path:
    return folder / f"{sha256}.names"


def _unreadable(file: Path, error: OSError) -> ListUnreadable:
    return ListUnreadable(
        f"The list file {file} cannot be read: {error.strerror}.",
        "Put it back, or take the list out of the settings.",
    )
