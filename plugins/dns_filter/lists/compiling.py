"""The process that compiles lists: it reads one source, or makes the table of all lists, and ends.

It takes seconds of a whole core, so it is a process of its own with a low priority: neither a page nor an answer waits
for it. It imports the standard library and its neighbours only. Its task comes as JSON on standard input; it answers
with lines of JSON: ``{"octets": ..., "names": ...}`` while it works, then ``{"done": ...}`` or ``{"failed": words}``.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import re
import sys
import tempfile
import time
from array import array
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

from ..answerer.table import DIGEST_OCTETS, LONGEST_PLAIN_LABEL, TableError, build, digest, md5
from ..answerer.wire import to_wire
from .dialects import SPARED
from .formats import Format, ListReader
from .unpacking import Part, Unreadable, parts

NICE = 10
DIGESTS = ".digests2"
"""Another number for another way of making them: what an older version compiled is read from its source again."""
REPORT_SECONDS = 0.5

_FOLDER_NAME = re.compile(r"[a-z0-9_-]{1,36}")
_PIECE = 1 << 20


def main() -> None:
    """Do the task on standard input."""
    with suppress(OSError):  # the unit forbids it; there it has the unit's own share of the processor
        os.nice(NICE)
    gc.disable()  # nothing here goes round in circles, and looking for circles among millions of names takes long
    task = json.load(sys.stdin)
    try:
        done = _compile(task) if task["do"] == "compile" else _table(task)
        _say({"done": done})
    except (Unreadable, TableError) as error:
        _say({"failed": str(error)})
    except OSError as error:
        _say({"failed": f"The compiled list cannot be written: {error.strerror}. Look at the disk."})


def _say(message: Mapping[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def digests_of(names: Iterable[bytes]) -> bytes:
    """What stands for plain names in the table, one after the other. Written for speed: a list has millions."""
    whole = [md5(name).digest() if len(name) <= LONGEST_PLAIN_LABEL else _of_long(name) for name in names]
    return array("Q", b"".join(whole))[::2].tobytes()  # the first eight octets of each sixteen


def _of_long(name: bytes) -> bytes:
    """Of a name in which a label may be so long that its length is a character of names."""
    return digest(to_wire(name.decode("ascii"))) + bytes(DIGEST_OCTETS)


# Reading one source


def _compile(task: Mapping[str, Any]) -> dict[str, Any]:
    """Read ``source`` into files of digests in ``folder``; what is in it, list by list."""
    source, folder = Path(task["source"]), Path(task["folder"])
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    progress = _Progress()
    found: dict[str, dict[str, Any]] = {}
    ignored = 0
    for part in parts(source, task["format"] == "ut1", task["limit"]):
        if part.file is None:
            ignored += 1
        elif not part.folder or _FOLDER_NAME.fullmatch(part.folder):
            found[part.folder] = _one(part, task, folder, progress)
    first = next((each for each in found.values() if each["examples"]), None)
    if not any(each["names"] for each in found.values()) and first is not None:
        line, why = first["examples"][0]
        raise Unreadable(f"{source.name} is no list in the format {first['format']!r}: line {line}: {why}.")
    return {"lists": found, "ignored": ignored}


def _one(part: Part, task: Mapping[str, Any], folder: Path, progress: _Progress) -> dict[str, Any]:
    assert part.file is not None
    format_: Format = "auto" if task["format"] == "ut1" else task["format"]
    reader = ListReader(format_)
    reader.progress = lambda octets: progress.add(octets, reader.names)
    with ExitStack() as stack:
        files: dict[int, IO[bytes]] = {}
        for flags, names in reader.batches(part.file):
            if flags not in files:
                files[flags] = stack.enter_context(tempfile.NamedTemporaryFile(dir=folder, prefix=".part-"))
            files[flags].write(digests_of(names))
        _give_way(files)
        layers = [[flags & ~SPARED, *_keep(file, folder)] for flags, file in sorted(files.items())]
    progress.finished(reader.names)
    return {
        "format": reader.format,
        "names": sum(count for _, _, count in layers),
        "rejected": reader.rejected,
        "examples": [[each.line, each.why] for each in reader.examples],
        "layers": layers,
    }


def _give_way(files: dict[int, IO[bytes]]) -> None:
    """Drop the exceptions of single rules ($denyallow) for which another rule of the list names the very domain."""
    for flags in [each for each in files if each & SPARED]:
        file = files[flags]
        spared = set(_keys(file))
        for other in [each for each in files if not each & SPARED]:
            for key in _keys(files[other]):
                spared.discard(key)
        file.seek(0)
        file.truncate()
        file.write(array("Q", sorted(spared)).tobytes())


def _keys(file: IO[bytes]) -> Iterator[int]:
    file.flush()
    file.seek(0)
    while piece := file.read(_PIECE):
        yield from array("Q", piece)
    file.seek(0, os.SEEK_END)


def _keep(file: IO[bytes], folder: Path) -> tuple[str, int]:
    """Give a finished file its name: the SHA-256 of its content. How many digests it has."""
    file.flush()
    os.fsync(file.fileno())
    os.fchmod(file.fileno(), 0o640)
    size = file.tell()
    file.seek(0)
    sha256 = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # a binary file that is open
    target = folder / (sha256 + DIGESTS)
    with suppress(FileExistsError):
        os.link(file.name, target)
    return sha256, size // DIGEST_OCTETS


class _Progress:
    """Tells how far it is, now and then."""

    def __init__(self) -> None:
        self._octets = 0
        self._names_before = 0
        self._said = time.monotonic()

    def add(self, octets: int, names: int) -> None:
        self._octets += octets
        if time.monotonic() - self._said >= REPORT_SECONDS:
            self._said = time.monotonic()
            _say({"octets": self._octets, "names": self._names_before + names})

    def finished(self, names: int) -> None:
        self._names_before += names


# The table of all lists


def _table(task: Mapping[str, Any]) -> dict[str, Any]:
    """Make the table in ``folder`` of ``layers``: list, flags, and a file of digests or names."""
    folder = Path(task["folder"])
    layers = ((name, flags, _pieces(folder, content)) for name, flags, content in task["layers"])
    built = build(folder, layers, expected=task["expected"])
    return {"sha256": built.sha256, "names": built.names, "lists": built.lists}


def _pieces(folder: Path, content: str | list[str]) -> Iterator[bytes]:
    if isinstance(content, list):
        yield digests_of(name.encode("ascii") for name in content)
        return
    with (folder / (content + DIGESTS)).open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece
