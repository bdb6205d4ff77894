"""What is kept of each source: the copy in force, the one before it, one that waits for a decision. Written as JSON.

A copy names files of digests beside it by the SHA-256 of their content, so a copy never changes, several may share
files, and going back to an older one is only a matter of naming it. A source that is gone or damaged after a restart
costs nothing but its updates.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from appliance.api import ApplianceError, write_atomically

from ..answerer.table import SUFFIX
from .compiling import DIGESTS
from .formats import Rejected

FOLDER = "lists"
INDEX = "index.json"
NAMES = ".names"

FEW = 100
"""A list of fewer names than this may shrink as it likes, but not to nothing: somebody edits it by hand. Not so a
locked one."""


class ListUnreadable(ApplianceError):
    """A list cannot be used."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Names of which a list says the same: ``flags`` of the table, and the file of their digests."""

    flags: int
    sha256: str
    names: int


@dataclass(frozen=True, slots=True)
class OneList:
    """A list as it was read. ``rejected``: lines that were left out; ``examples``: the first of them."""

    name: str
    category: str
    format: str
    names: int
    rejected: int
    examples: tuple[Rejected, ...]
    layers: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Copy:
    """What a source held when it was read. ``seen`` is how it looked: another look means that it is read again."""

    seen: str
    read_at: str
    lists: tuple[OneList, ...]
    ignored: int = 0

    @property
    def names(self) -> int:
        """Names of all its lists."""
        return sum(each.names for each in self.lists)

    @property
    def digests(self) -> frozenset[str]:
        """The files that it needs."""
        return frozenset(layer.sha256 for each in self.lists for layer in each.layers)


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything that is remembered of a source.

    ``held``: a copy that is not in force because it shrank. ``refused``: how the source looked when somebody went back
    from it. ``locked`` and ``title`` outlive the line or the file that said so.
    """

    current: Copy | None = None
    before: Copy | None = None
    held: Copy | None = None
    refused: str = ""
    etag: str = ""
    modified: str = ""
    checked_at: str = ""
    locked: bool = False
    title: str = ""
    category: str = ""
    provider: str = ""

    @property
    def digests(self) -> frozenset[str]:
        """The files that it needs."""
        return frozenset().union(*(copy.digests for copy in (self.current, self.before, self.held) if copy is not None))


@dataclass(frozen=True, slots=True)
class Index:
    """All sources by name, and the table that was made of them: ``made_of`` says of what."""

    version: int = 2
    sources: Mapping[str, Kept] = field(default_factory=dict)
    table: str = ""
    made_of: str = ""
    names: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)


_TYPE: TypeAdapter[Index] = TypeAdapter(Index)


def read_index(folder: Path) -> Index:
    """What is remembered, as far as its files are still there. A damaged index is as good as none."""
    try:
        return only_whole(folder, _TYPE.validate_json((folder / INDEX).read_bytes()))
    except (OSError, ValidationError):
        return Index()


def only_whole(folder: Path, index: Index) -> Index:
    """The index without copies and tables whose files are gone."""
    there = {path.stem for path in folder.glob(f"*{DIGESTS}")}
    sources = {name: _whole(kept, there) for name, kept in index.sources.items()}
    table = index.table if (folder / (index.table + SUFFIX)).is_file() else ""
    return Index(2, sources, table, index.made_of if table else "", index.names, index.counts)


def _whole(kept: Kept, there: Collection[str]) -> Kept:
    def if_there(copy: Copy | None) -> Copy | None:
        return copy if copy is not None and copy.digests <= frozenset(there) else None

    fields = {name: getattr(kept, name) for name in Kept.__slots__}
    fields |= {name: if_there(fields[name]) for name in ("current", "before", "held")}
    if fields["current"] is None:  # what is asked for again must not be answered with "it is as it was"
        fields |= {"etag": "", "modified": "", "checked_at": ""}
    return Kept(**fields)


def write_index(folder: Path, index: Index) -> None:
    """Remember it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    write_atomically(folder / INDEX, TypeAdapter(dict[str, Any]).dump_json(asdict(index)), 0o640)


def tidy(folder: Path, index: Index, also: Collection[str]) -> None:
    """Delete compiled files that neither the index nor ``also`` (names without ending) needs."""
    needed = {index.table, *also}.union(*(kept.digests for kept in index.sources.values()))
    for path in folder.iterdir():
        if path.suffix in (DIGESTS, SUFFIX) and path.stem not in needed:
            path.unlink(missing_ok=True)


def shrunk(old: Copy | None, new: Copy, locked: bool) -> str:
    """Why the new copy must not take the old one's place by itself, in words; ``""``: it may."""
    if old is None:
        return ""
    now = {each.name: each.names for each in new.lists}
    for before in old.lists:
        left = now.get(before.name, 0)
        is_empty = before.names > 0 and left == 0
        if is_empty or (left * 2 <= before.names and (before.names >= FEW or locked)):
            return f"{before.name} would have {left:,} names instead of {before.names:,}."
    return ""
