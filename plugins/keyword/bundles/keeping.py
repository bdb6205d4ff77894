"""Bundles and lists on the disk: written whole or not at all, and checked again whenever they are read."""

from __future__ import annotations

from collections.abc import Callable, Collection
from pathlib import Path

from appliance.api import Refused, load_or_make_secret, write_atomically

from .archive import BundleRefused
from .imported import Kind, TermList, seal, unseal

KEY = "lists.key"
KEY_BYTES = 32


class Shelf:
    """The files in a folder that belongs to the appliance alone. ``find_folder`` makes it, if need be, and names it."""

    def __init__(self, find_folder: Callable[[], Path]) -> None:
        self._find_folder = find_folder

    @property
    def _folder(self) -> Path:
        return self._find_folder()

    # Bundles

    def put(self, id_: str, packed: bytes) -> None:
        """Keep a bundle."""
        write_atomically(self._bundle(id_), packed)

    def get(self, id_: str) -> bytes:
        """A bundle as it came. Raises ``BundleRefused`` if it is not there any more."""
        try:
            return self._bundle(id_).read_bytes()
        except OSError as error:
            raise BundleRefused(
                f"Its file cannot be read: {error.strerror}.", "Look at the disk of the box."
            ) from error

    def tidy(self, needed: Collection[str]) -> None:
        """Delete bundles that nobody needs any more, and what a crash has left."""
        for path in self._folder.glob("*.bundle"):
            if path.stem not in needed:
                path.unlink(missing_ok=True)
        for path in self._folder.glob("*.part"):
            path.unlink(missing_ok=True)

    def _bundle(self, id_: str) -> Path:
        return self._folder / f"{id_}.bundle"

    # Lists that were handed over

    def put_list(self, found: TermList) -> None:
        """Keep a list, sealed, in the place of the one of its kind."""
        write_atomically(self._list(found.kind), seal(found, self.key()))

    def get_list(self, kind: Kind) -> TermList:
        """A list. Raises ``Refused`` if its file or its key is damaged or gone."""
        try:
            return unseal(self._list(kind).read_bytes(), kind, self.key())
        except OSError as error:
            raise Refused(f"Its file cannot be read: {error.strerror}.") from error

    def drop_list(self, kind: Kind) -> None:
        """Delete a list."""
        self._list(kind).unlink(missing_ok=True)

    def key(self) -> bytes:
        """The key that seals lists and makes ids of their terms. Raises ``ApplianceError`` if it was lost."""
        return load_or_make_secret(self._folder, KEY, KEY_BYTES)

    def _list(self, kind: Kind) -> Path:
        return self._folder / f"{kind.value}.list"
