"""Plugins whose very code has got through a trial in a child process before, so that a start need not try it again.

A trial costs as much as half a start. Its answer depends on the code: of the plugin, of the core and of Python. While
none of these has changed since the last good answer, there is nothing to find out; what depends on settings is caught
when the plugin is loaded (``plugins``), and a plugin that stands still is left out by the watchdog.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from appliance.plugin_finder import PACKAGE, Found
from appliance.whole_files import write_atomically

FILE = "probed.json"


class Probed:
    """Good answers, kept in a file of ``folder``. A file that is missing or damaged means that nothing is known."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._good = self._read()

    def knows(self, found: Found) -> bool:
        """Whether this code got through before."""
        return self._good.get(found.name) == self._signature(found)

    def note(self, good: Mapping[str, Found]) -> None:
        """Keep that these got through. A disk that refuses is no harm: they are tried again."""
        fresh = {name: signature for name, found in good.items() if (signature := self._signature(found))}
        if fresh and self._file.parent.is_dir() and fresh.items() - self._good.items():
            self._good = {**self._good, **fresh}
            with suppress(OSError):
                write_atomically(self._file, json.dumps(self._good).encode(), 0o640)
                folder = self._file.parent.stat()
                # Who installs is root, and the service is to read it. Never what a link there leads to.
                os.chown(self._file, folder.st_uid, folder.st_gid, follow_symlinks=False)

    def _read(self) -> dict[str, str]:
        try:
            kept = json.loads(self._file.read_bytes())
        except (OSError, ValueError):
            return {}
        return kept if isinstance(kept, dict) else {}

    @cached_property
    def _core(self) -> str:
        """The code of the core. Only looked at where there is a plugin to be tried."""
        return stamp_of(Path(__file__).parent)

    def _signature(self, found: Found) -> str:
        """Empty if it cannot be told what code it is."""
        folder = folder_of(found)
        if folder is None:
            return ""
        return hashlib.sha256(f"{sys.version}\n{self._core}\n{stamp_of(folder)}".encode()).hexdigest()


def folder_of(found: Found) -> Path | None:
    """The folder of a drop-in or of a bundled plugin; other packages may be made of anything, and are always tried."""
    if found.source == "drop-in":
        return found.folder
    if found.source == "bundled":
        package = find_spec(PACKAGE)
        if package is not None and package.origin is not None:
            return Path(package.origin).parent / found.name
    return None


def stamp_of(folder: Path) -> str:
    """Names, sizes and times of all files of a folder but for what Python writes itself."""
    seen = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if "__pycache__" in path.parts or not path.is_file():
            continue
        status = path.stat()
        seen.update(f"{path.relative_to(folder)}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}\n".encode())
    return seen.hexdigest()
