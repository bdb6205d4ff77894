"""Pictures of captures: each sealed, in a file of its own. On the disk lies nothing that opens without a key."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Protocol

from appliance.whole_files import write_atomically

GRACE_SECONDS = 3600.0
"""A file that no capture names may still get its capture: it is written first."""


LEAST_FREE_BYTES, LEAST_FREE_SHARE = 256 * 2**20, 0.02
"""Room that pictures leave on the disk: what was written or read must still find a place."""


class DiskUsage(Protocol):
    """What ``shutil.disk_usage`` gives."""

    @property
    def total(self) -> int:
        """All bytes of the disk."""

    @property
    def free(self) -> int:
        """Bytes that are free."""


class Pictures:
    """The folder of the sealed files. Every method waits for the disk: call them in a thread.

    ``usage``: how full the disk of a folder is.
    """

    def __init__(self, folder: Path, usage: Callable[[Path], DiskUsage] = shutil.disk_usage) -> None:
        self._folder = folder
        self._usage = usage

    def has_room(self) -> bool:
        """Whether the disk has room for pictures."""
        there = next(folder for folder in (self._folder, *self._folder.parents) if folder.exists())
        disk = self._usage(there)
        return disk.free >= max(LEAST_FREE_BYTES, disk.total * LEAST_FREE_SHARE)

    def write(self, capture: str, sealed: bytes) -> None:
        """Keep a file; it is on the disk, whole, when this returns. Raises ``OSError``, also if it is nearly full."""
        if not self.has_room():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        path = self._path(capture)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, sealed)

    def read(self, capture: str) -> bytes | None:
        """A sealed picture, or ``None`` if it is not there."""
        try:
            return self._path(capture).read_bytes()
        except FileNotFoundError:
            return None

    def remove(self, captures: Collection[str]) -> None:
        """Delete the files of captures; those that have none are passed over."""
        for capture in captures:
            self._path(capture).unlink(missing_ok=True)

    def sweep(self, known: Collection[str]) -> tuple[int, int]:
        """Delete what no capture names and what a stop has left half-written.

        ``known``: the captures that have a picture. Returns how many files went, and how many pictures are missing.
        """
        there: set[str] = set()
        gone = 0
        before = time.time() - GRACE_SECONDS
        for path in list(self._folder.glob("*/*")):
            if path.name in known:
                there.add(path.name)
            elif path.stat().st_mtime < before:
                path.unlink(missing_ok=True)
                gone += 1
        return gone, len(set(known) - there)

    def _path(self, capture: str) -> Path:
        return self._folder / capture[-2:] / capture
