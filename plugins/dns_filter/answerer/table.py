"""The table of names: which lists name a domain, for millions of domains, in one file that all processes share.

A name is looked up by the first eight octets of its MD5, in a table with open addressing: one array of 64-bit keys (0:
empty) and beside it one of 16-bit numbers of *sets*. A set says which lists name the domain and what they say of it.
Most domains are in one list, so millions of them share a few sets, kept as JSON at the end.

MD5 because it takes less than half the time of anything else in the standard library that is as good at this: lists are
made of millions of names, and a name that is asked for is looked up label by label. That two names with one digest can
be made on purpose (RFC 6151) helps nobody: whoever writes a list can name both. To have a name taken for one that
somebody else has listed takes 2^64 attempts for each listed name, with any digest of eight octets.

The file never changes once it has its name, ``<SHA-256 of its content>.table``. It is mapped, not read: every process
uses the same memory, and the next table is made ready beside it.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import struct
import sys
import tempfile
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .remembered import Remembered

try:
    from _md5 import md5 as _md5  # type: ignore[import-not-found]  # that of hashlib is OpenSSL's, slow to begin
except ImportError:  # as Python may be built
    from hashlib import md5 as _md5

EXACT = 1
"""The list means the name itself."""
BELOW = 2
"""The list means every name below it."""
ALLOW = 4
"""An exception of that list: it wants the name open."""
IMPORTANT = 8
"""The list insists: it beats the exceptions of other lists."""

SUFFIX = ".table"
DIGEST_OCTETS = 8

_MAGIC = b"dnstable"
_VERSION = 3
_HEADER = struct.Struct("<8sIIQQQQQQ")
"""Magic, version, reserved, slots, names, then where keys, set numbers and trailer begin, and the trailer's length."""
LONGEST_PLAIN_LABEL = 44
DOTTED = bytes(46 if 0 < octet <= LONGEST_PLAIN_LABEL else octet for octet in range(256))
"""Writes dots for the lengths of labels, but for those that are characters of names (45 is a hyphen). So a name of a
list, which has dots, need not be taken apart."""

md5: Callable[[bytes], hashlib._Hash] = _md5
_from_bytes = int.from_bytes
_FIRST_SLOTS = 1024
_MOST_SETS = 1 << 16
_PARENTS = 8192
_CHUNK = 1 << 16
"""Digests taken in at once: half a megabyte."""

Entry = tuple[str, int]
"""A list's name and its flags."""
Set = tuple[Entry, ...]


class TableError(Exception):
    """The table cannot be used or made; the words say why."""


@dataclass(frozen=True, slots=True)
class Built:
    """A finished table: ``sha256`` is its name, ``names`` how many different domains it holds, ``lists`` how many each
    list names."""

    sha256: str
    names: int
    lists: Mapping[str, int]


def digest(wire_name: bytes) -> bytes:
    """The eight octets that stand for a name: the same in every process and on every machine."""
    return md5(wire_name.translate(DOTTED)[1:-1]).digest()[:DIGEST_OCTETS]


class Table:
    """A table that is open. ``sets[number]`` says which lists name a domain; number 0 is "none"."""

    def __init__(self, memory: mmap.mmap, slots: int, names: int, places: tuple[int, int], sets: Sequence[Set]) -> None:
        self.names = names
        self.sets = tuple(sets)
        self._memory = memory
        self._views = [memoryview(memory)]
        self._keys = self._view(places[0], slots * 8, "Q")
        self._numbers = self._view(places[1], slots * 2, "H")
        self._mask = slots - 1
        self.below: Callable[[bytes], int] = Remembered(self.find, _PARENTS).__getitem__
        """As ``find``, for a name that others lie below: it will be asked for again, and is remembered for a while."""

    @classmethod
    def open(cls, path: Path | str, *, known: bool = False) -> Table:
        """Map a table. Raises ``TableError`` if it is gone, cut off or not what its name says.

        ``known``: somebody has compared its content with its name before; that takes long where nothing may wait.
        """
        path = Path(path)
        try:
            with path.open("rb") as file:
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:  # an empty file cannot be mapped
            raise TableError(f"The table of names {path} cannot be read: {error}.") from error
        try:
            return _checked(memory, path, known)
        except TableError:
            memory.close()
            raise

    def find(self, wire_name: bytes) -> int:
        """The number of the set of exactly this name (lower case, wire form); 0: no list names it."""
        octets = md5(wire_name.translate(DOTTED)[1:-1]).digest()[:DIGEST_OCTETS]  # as in ``digest``
        key = _from_bytes(octets, "little") or 1
        keys, mask = self._keys, self._mask
        slot = key & mask
        while (found := keys[slot]) != key:
            if not found:
                return 0
            slot = (slot + 1) & mask
        return self._numbers[slot]

    def close(self) -> None:
        """Let the file go. No ``find`` after this."""
        for view in reversed(self._views):
            view.release()
        self._memory.close()

    def _view(self, start: int, length: int, kind: str) -> memoryview:
        octets = self._views[0][start : start + length]
        numbers: memoryview = octets.cast(kind)  # type: ignore[call-overload]  # the kind is a variable
        self._views += [octets, numbers]
        return numbers


def build(
    folder: Path, layers: Iterable[tuple[str, int, Iterable[bytes]]], *, expected: int = 0, mode: int = 0o640
) -> Built:
    """Write the table of ``layers`` into ``folder``.

    A layer is a list's name, flags, and its digests: pieces of any length that hold eight octets per name. They are
    taken in as they come; only the table itself is in memory. ``expected``: about how many names, to save growing.
    Raises ``TableError`` for what no table can hold and ``OSError`` for the disk.
    """
    growing = _Growing(expected)
    try:
        for name, flags, digests in layers:
            growing.add((name, flags), digests)
        return growing.write(folder, mode)
    finally:
        growing.close()


class _Growing:
    """A table while it is made, in memory of no file: writing at random into a mapped file keeps the disk busy."""

    def __init__(self, expected: int) -> None:
        self._sets: list[Set] = [()]
        self._lists_of: list[frozenset[str]] = [frozenset()]
        self._numbers_of: dict[Set, int] = {(): 0}
        self._names = 0
        self._lists: dict[str, int] = {}
        self._slots = 0
        self._filled = 0
        self._memory: list[mmap.mmap] = []
        self._keys: memoryview = memoryview(b"")
        self._numbers: memoryview = memoryview(b"")
        self._grow(_slots_for(expected))

    def close(self) -> None:
        self._keys.release()
        self._numbers.release()
        for memory in self._memory:
            memory.close()

    def add(self, entry: Entry, digests: Iterable[bytes]) -> None:
        after: dict[int, int] = {}
        for keys in _keys(digests):
            while self._names + len(keys) > self._slots * 6 // 10:
                self._grow(self._slots * 2)
            new, known = self._add(keys, entry, after)
            self._names += new
            self._lists[entry[0]] = self._lists.get(entry[0], 0) + new + known

    def write(self, folder: Path, mode: int) -> Built:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        trailer = json.dumps({"sets": self._sets}).encode("ascii")
        keys_at = _HEADER.size
        numbers_at = keys_at + self._slots * 8
        trailer_at = numbers_at + self._slots * 2
        header = _HEADER.pack(
            _MAGIC, _VERSION, 0, self._slots, self._names, keys_at, numbers_at, trailer_at, len(trailer)
        )
        parts: list[bytes | mmap.mmap] = [header, *self._memory, trailer]
        sha256 = hashlib.sha256()
        for part in parts:
            sha256.update(part)
        _write(folder / (sha256.hexdigest() + SUFFIX), parts, mode)
        return Built(sha256.hexdigest(), self._names, dict(self._lists))

    def _grow(self, slots: int) -> None:
        """Take more room, and put what there is in its new places."""
        before = (self._memory, self._keys, self._numbers) if self._memory else None
        self._slots = slots
        self._memory = [mmap.mmap(-1, slots * 8), mmap.mmap(-1, slots * 2)]
        self._keys = memoryview(self._memory[0]).cast("Q")
        self._numbers = memoryview(self._memory[1]).cast("H")
        self._fill(self._filled)
        if before is not None:
            memories, keys, numbers = before
            for key, number in zip(keys, numbers, strict=True):
                if key:
                    self._put(key, number)
            keys.release()
            numbers.release()
            for memory in memories:
                memory.close()

    def _put(self, key: int, number: int) -> None:
        slot = key & (self._slots - 1)
        while self._keys[slot]:
            slot = (slot + 1) & (self._slots - 1)
        self._keys[slot], self._numbers[slot] = key, number

    def _add(self, keys: Sequence[int], entry: Entry, after: dict[int, int]) -> tuple[int, int]:
        """How many of the keys are new in the table, and how many others are new to this list.

        ``after``: number of a set -> number of that set with ``entry`` added.
        """
        table, numbers, mask, known, of_others = self._keys, self._numbers, self._slots - 1, 0, 0
        alone = self._with(0, entry, after)
        if not self._names:
            self._fill(alone)
        is_filled = alone == self._filled
        for key in keys:
            slot = key & mask
            while found := table[slot]:
                if found == key:
                    number = numbers[slot]
                    if number not in after:
                        self._with(number, entry, after)
                    numbers[slot] = after[number]
                    known += 1
                    of_others += entry[0] not in self._lists_of[number]
                    break
                slot = (slot + 1) & mask
            else:
                table[slot] = key
                if not is_filled:
                    numbers[slot] = alone
        return len(keys) - known, of_others

    def _fill(self, number: int) -> None:
        """Have it beside every key that will be put, and every empty place, of which nobody asks the number: most lists
        are large, and the first one is written in two thirds of the time."""
        self._filled = number
        self._memory[1][:] = array("H", [number]).tobytes() * self._slots

    def _with(self, number: int, entry: Entry, after: dict[int, int]) -> int:
        if number not in after:
            together = _joined(self._sets[number], entry)
            if together not in self._numbers_of:
                if len(self._sets) == _MOST_SETS:
                    raise TableError("The lists overlap in too many different ways. Use fewer lists.")
                self._numbers_of[together] = len(self._sets)
                self._sets.append(together)
                self._lists_of.append(frozenset(name for name, _ in together))
            after[number] = self._numbers_of[together]
        return after[number]


def _joined(members: Set, entry: Entry) -> Set:
    """The set with one entry more. What a list blocks and what it excepts stay apart; the rest is one entry."""
    name, flags = entry
    kind = flags & (ALLOW | IMPORTANT)
    for place, (other, had) in enumerate(members):
        if other == name and had & (ALLOW | IMPORTANT) == kind:
            return (*members[:place], (name, had | flags), *members[place + 1 :])
    return (*members, entry)


def _keys(digests: Iterable[bytes]) -> Iterator[array[int]]:
    """Digests as numbers, a piece at a time. 0 means "empty" in a table, so a digest of zeros becomes 1."""
    for piece in digests:
        for start in range(0, len(piece), _CHUNK * DIGEST_OCTETS):
            keys = array("Q", piece[start : start + _CHUNK * DIGEST_OCTETS])
            if sys.byteorder == "big":
                keys.byteswap()
            if 0 in keys:
                keys = array("Q", (key or 1 for key in keys))
            yield keys


def _slots_for(names: int) -> int:
    slots = _FIRST_SLOTS
    while names > slots * 6 // 10:
        slots *= 2
    return slots


def _write(path: Path, parts: Iterable[bytes | mmap.mmap], mode: int) -> None:
    """Write a file that is either whole or not there, and that the worker's account may read."""
    handle, part_name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(part_name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(part_name).unlink()
        raise


def _checked(memory: mmap.mmap, path: Path, known: bool) -> Table:
    """A table in ``memory``, if it is one and whole."""
    wrong = TableError(f"The table of names {path} is damaged. It is made again within minutes.")
    if len(memory) < _HEADER.size or memory[:8] != _MAGIC:
        raise TableError(f"{path} is not a table of names.")
    _, version, _, slots, names, keys_at, numbers_at, trailer_at, trailer_length = _HEADER.unpack_from(memory)
    if version != _VERSION:
        raise TableError(f"The table of names {path} has format {version}; this program reads {_VERSION}.")
    if sys.byteorder != "little":
        raise TableError("Tables of names can be used on little-endian machines only.")
    if not known and hashlib.sha256(memory).hexdigest() != path.name.removesuffix(SUFFIX):
        raise wrong
    if (numbers_at - keys_at, trailer_at - numbers_at, len(memory) - trailer_at) != (
        slots * 8, slots * 2, trailer_length
    ) or slots & (slots - 1):  # fmt: skip
        raise wrong
    try:
        sets = [
            tuple((str(name), int(flags)) for name, flags in members)
            for members in json.loads(memory[trailer_at:])["sets"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise wrong from error
    return Table(memory, slots, names, (keys_at, numbers_at), sets)
