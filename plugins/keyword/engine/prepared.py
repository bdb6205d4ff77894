"""What the engine needs of a term's phrases. It is made once for each term, and kept beside the supplied policies."""

from __future__ import annotations

import re
import sys
import zlib
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import overload

from .english import SMALL
from .folding import Table, folded_lines
from .textspeak import CANON

SHORT = 4
"""Phrases of fewer letters than this are only compared exactly, as whole words of what is typed."""
TELLING = 6
"""Letters, but for those of small words, of two words by which little is found that is no phrase."""
NO_ANCHOR = (1 << 32) - 1
BEGINS = "0begins0"
"""Stands for the asterisk of ``hat*`` while phrases are folded."""
UNSPACED = re.compile("[\u0e00-\u0e7f\u1100-\u11ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
"""A letter of a script that is written without blanks."""


class Texts(Sequence[str]):
    """Texts without line ends, kept as one: a third of the room of a tuple of them, for what is seldom looked at.

    ``joined``: all of them, each with a line end behind it. It equals any sequence of the same texts.
    """

    __slots__ = ("joined",)

    def __init__(self, joined: str) -> None:
        self.joined = joined

    @classmethod
    def of(cls, texts: Iterable[str]) -> Texts:
        """Texts as one."""
        return cls("".join([f"{text}\n" for text in texts]))

    def _apart(self) -> list[str]:
        return self.joined.split("\n")[:-1]

    def __len__(self) -> int:
        return self.joined.count("\n")

    def __iter__(self) -> Iterator[str]:
        return iter(self._apart())

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...

    def __getitem__(self, place: int | slice) -> str | Sequence[str]:
        return self._apart()[place]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Texts):
            return self.joined == other.joined
        return isinstance(other, list | tuple) and self._apart() == list(other)

    def __hash__(self) -> int:
        return hash(tuple(self._apart()))

    def __repr__(self) -> str:
        return f"Texts.of({self._apart()})"


@dataclass(frozen=True, slots=True)
class Prepared:
    """``lines``: the canonical words of each phrase; empty for one that has none, or the same as another.

    Of those with blanks that are not short: their ``words``, those that are a whole phrase ``alone``, and by their
    hashes the ``pairs`` of words that follow each other. Those with blanks are looked for by ``anchors``; ``anchored``
    has of each phrase the number of its anchor, of 32 bits, or ``NO_ANCHOR``.
    """

    lines: Sequence[str]
    words: tuple[str, ...]
    alone: tuple[str, ...]
    pairs: bytes
    anchors: Sequence[str]
    anchored: bytes


class Phrases(Texts):
    """Phrases that were prepared before. Nothing but that tells them from any others."""

    __slots__ = ("prepared",)

    def __init__(self, joined: str, prepared: Prepared) -> None:
        super().__init__(joined)
        self.prepared = prepared


class Neighbours(tuple[str, ...]):
    """Words and phrases that stand near others, with their canonical words. Nothing else tells them from any others."""

    lines: tuple[str, ...]

    @classmethod
    def of(cls, phrases: Iterable[str], lines: tuple[str, ...]) -> Neighbours:
        """Phrases with what was made of them."""
        found = cls(phrases)
        found.lines = lines
        return found


def neighbour_lines(phrases: Sequence[str], table: Table) -> tuple[str, ...]:
    """The canonical words of each phrase, with ``BEGINS`` for an asterisk."""
    if isinstance(phrases, Neighbours):
        return phrases.lines
    return tuple(canonical_lines([phrase.replace("*", BEGINS) for phrase in phrases], table))


def prepared(phrases: Sequence[str], table: Table) -> Prepared:
    """What the engine needs of phrases."""
    return phrases.prepared if isinstance(phrases, Phrases) else _prepare(phrases, table)


def canonical_lines(phrases: Sequence[str], table: Table) -> Iterator[str]:
    """The canonical words of each phrase."""
    for phrase, words in zip(phrases, folded_lines(phrases, table), strict=True):
        line = " ".join(map(CANON.get, words, words))
        yield phrase if line == phrase else line  # one text in memory instead of two


def anchors(lines: Sequence[str]) -> tuple[tuple[str, ...], bytes]:
    """A few words by which many phrases are looked for, and of each phrase the number of its own (``Prepared``).

    Of each phrase the two words that most of the others have too, among those by which little else would be found:
    "kill myself" of all that say so, and not "want to"; or its only word.
    """
    pairs: list[list[tuple[str, ...]]] = [[*pairwise(line.split())] or [(line,)] for line in lines]
    shared = Counter(chain.from_iterable(pairs))
    numbers: dict[str, int] = {}
    anchored = array("I")
    for line, several in zip(lines, pairs, strict=True):
        anchor = several[0] if len(several) == 1 else _anchor(several, shared)
        anchored.append(numbers.setdefault(" ".join(anchor), len(numbers)) if line else NO_ANCHOR)
    return tuple(map(sys.intern, numbers)), anchored.tobytes()


def _anchor(pairs: Sequence[tuple[str, ...]], shared: Mapping[tuple[str, ...], int]) -> tuple[str, ...]:
    letters = [sum(len(word) for word in pair if word not in SMALL) for pair in pairs]
    fewest = min(TELLING, max(letters))
    return max((shared[pair], count, pair) for pair, count in zip(pairs, letters, strict=True) if count >= fewest)[2]


def is_unspaced(line: str) -> bool:
    """Whether it is in a script that is written without blanks."""
    return not line.isascii() and UNSPACED.search(line) is not None


def pair_hash(first: str, second: str) -> int:
    """The number by which two words that follow each other are kept, of 32 bits."""
    return zlib.crc32(f"{first} {second}".encode())


def _prepare(phrases: Sequence[str], table: Table) -> Prepared:
    lines: list[str] = []
    known: set[str] = {""}
    words: set[str] = set()
    alone: set[str] = set()
    pairs: set[int] = set()
    for line in canonical_lines(phrases, table):
        lines.append("" if line in known else line)
        if line in known:
            continue
        known.add(line)
        found = list(map(sys.intern, line.split()))  # one text of each word, also in what is kept
        if not is_unspaced(line) and sum(map(len, found)) >= SHORT:
            words.update(found)
            pairs.update(pair_hash(first, second) for first, second in pairwise(found))
            if len(found) == 1:
                alone.add(line)
    spaced = ["" if is_unspaced(line) else line for line in lines]
    several, anchored = anchors(spaced)
    hashes = array("I", sorted(pairs)).tobytes()
    return Prepared(Texts.of(lines), tuple(words), tuple(alone), hashes, Texts.of(several), anchored)
