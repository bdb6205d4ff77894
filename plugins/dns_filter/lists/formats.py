"""Reads lists of domains, a megabyte at a time: names as octets with their flags, in batches.

Lists are written by strangers and edited by hand, so one bad line must not cost the rest: it is counted, and the first
few are kept with their line numbers for the page. It needs the standard library only and runs in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from ..answerer.table import ALLOW, BELOW
from ..domains import LONGEST_NAME, SHARED_ENDINGS, NotADomain, normalise
from .dialects import PLAIN, Dialect, Format, NotARule, State, detect, dialects, shown

EXAMPLES_KEPT = 5
"""Rejected lines that are kept for the page."""

LONGEST_LINE = 64 * 1024
"""Octets of one line; a file without line ends cannot fill the memory."""

CHUNK = 1 << 18

_SAMPLE = 1 << 16
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SHARED_ENDINGS = frozenset(name.encode("ascii") for name in SHARED_ENDINGS)

Batch = tuple[int, list[bytes]]
"""Flags, and names in lower-case ASCII without final dot."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line that is not a list entry. ``line`` counts from 1; ``why`` is a phrase: ``'com' is a single word, ...``."""

    line: int
    why: str


@dataclass(slots=True)
class ListReader:
    """Reads one list. After ``batches`` has ended, ``rejected`` and ``examples`` tell what was left out.

    ``format`` becomes the one that was found if it was ``auto``. ``progress`` hears of every chunk's octets.
    """

    format: Format = "auto"
    progress: Callable[[int], None] | None = None
    names: int = 0
    rejected: int = 0
    examples: list[Rejected] = field(default_factory=list)
    _lines: int = 0

    def batches(self, file: BinaryIO) -> Iterator[Batch]:
        """Every domain of the list, as often as it occurs. Bad lines are counted, never raised."""
        known, state = dialects(), State()
        for chunk in self._chunks(file):
            if self.format not in known:
                self.format = detect(chunk[:_SAMPLE], known)  # type: ignore[assignment]  # a key of ``known``
            for flags, names in self._batches(chunk.lower(), known[self.format], state):
                self.names += len(names)
                yield flags, names
            self._lines += chunk.count(b"\n")
            if self.progress is not None:
                self.progress(len(chunk))

    def _chunks(self, file: BinaryIO) -> Iterator[bytes]:
        """The file in pieces of whole lines, each with its line end."""
        rest = file.read(len(_BYTE_ORDER_MARK)).removeprefix(_BYTE_ORDER_MARK)
        while piece := file.read(CHUNK):
            whole, end, rest = (rest + piece).rpartition(b"\n")
            if end:
                yield whole + end
            if len(rest) > LONGEST_LINE:
                self._reject(self._lines + 1, f"the line is longer than {LONGEST_LINE} characters")
                rest = self._after_line(file)
        if rest:
            yield rest + b"\n"

    def _after_line(self, file: BinaryIO) -> bytes:
        """Skip to the end of a line that is too long; what was read of the next one."""
        while piece := file.read(CHUNK):
            _, end, rest = piece.partition(b"\n")
            if end:
                self._lines += 1
                return rest
        return b""

    def _batches(self, chunk: bytes, dialect: Dialect, state: State) -> Iterator[Batch]:
        if dialect.is_plain and PLAIN.fullmatch(chunk):  # nothing but names: three times as quick as line by line
            names = chunk.split()
            if not _refused(dialect.flags[0], names):
                yield dialect.flags[0], names
                return
        *taken, others = zip(*dialect.ordinary.findall(chunk), strict=True)
        refused = set()
        for group, (flags, column) in enumerate(zip(dialect.flags, taken, strict=True), 1):
            names = list(filter(None, column))
            if wrong := _refused(flags, names):
                refused |= {(group, name) for name in wrong}
                names = [name for name in names if name not in wrong]
            if names:
                yield flags, names
        if refused or any(others):
            yield from self._one_by_one(chunk, dialect, state, refused)

    def _one_by_one(
        self, chunk: bytes, dialect: Dialect, state: State, refused: set[tuple[int, bytes]]
    ) -> Iterator[Batch]:
        """The lines that the pattern did not take, and those whose name is no entry: ``refused``, by their group."""
        line, at, groups = self._lines + 1, 0, len(dialect.flags)
        for match in dialect.ordinary.finditer(chunk):
            group = match.lastindex
            if group is None or (group <= groups and (not refused or (group, match[group]) not in refused)):
                continue
            line += chunk.count(b"\n", at, match.start())
            at = match.start()
            try:
                yield from self._rules(match[0].removesuffix(b"\n"), dialect, state)
            except (NotARule, NotADomain) as error:
                self._reject(line, str(error))

    def _rules(self, raw: bytes, dialect: Dialect, state: State) -> Iterator[Batch]:
        try:
            text = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise NotARule("the line is not UTF-8 text") from error
        found = []
        for flags, word in dialect.rules(text, state):
            try:
                name = normalise(word)
            except NotADomain as error:
                raise NotADomain(f"{shown(word)} {error}") from error
            if _refused(flags, [name.encode("ascii")]):
                raise NotARule(f"{shown(name)} is an ending that very many sites share; it would block all of them")
            found.append((flags, [name.encode("ascii")]))
        yield from found

    def _reject(self, line: int, why: str) -> None:
        self.rejected += 1
        if len(self.examples) < EXAMPLES_KEPT:
            self.examples.append(Rejected(line, why))


def _refused(flags: int, names: list[bytes]) -> set[bytes]:
    """Plain names that cannot be entries: those that are too long, and endings below which all would be blocked."""
    endings = _SHARED_ENDINGS if flags & (BELOW | ALLOW) == BELOW else frozenset()
    if len(max(names, key=len, default=b"")) <= LONGEST_NAME and endings.isdisjoint(names):
        return set()
    return {name for name in names if len(name) > LONGEST_NAME or name in endings}


__all__ = ["CHUNK", "EXAMPLES_KEPT", "LONGEST_LINE", "Batch", "Format", "ListReader", "Rejected"]
