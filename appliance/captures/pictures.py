"""Pictures of captures: each sealed, in a file of its own. On the disk lies nothing that opens without a key."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path

from appliance.workers import write_atomically

GRACE_SECONDS = 3600.0
"""A file that no capture names may still get its capture: it is written first."""


class Pictures:
    """The folder of the sealed files. Every method waits for the disk: call them in a thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, capture: str, sealed: bytes) -> None:
        """Keep a file; it is on the disk, whole, when this returns."""
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
