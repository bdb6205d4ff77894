"""What the engine needs of a term's phrases. It is made once for each term, and kept beside the supplied policies."""

from __future__ import annotations

import re
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .folding import Table, folded_lines
from .textspeak import CANON

SHORT = 4
"""Phrases of fewer letters than this are only compared exactly, as whole words of what is typed."""
BEGINS = "0begins0"
"""Stands for the asterisk of ``hat*`` while phrases are folded."""
UNSPACED = re.compile("[\u0e00-\u0e7f\u1100-\u11ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
"""A letter of a script that is written without blanks."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """``lines``: the canonical words of each phrase; empty for one that has none, or the same as another.

    Of those with blanks that are not short: their ``words``, those that are a whole phrase ``alone``, and by their
    hashes the ``pairs`` of words that follow each other.
    """

    lines: tuple[str, ...]
    words: tuple[str, ...]
    alone: tuple[str, ...]
    pairs: bytes


class Phrases(tuple[str, ...]):
    """Phrases that were prepared before. Nothing but that tells them from any others."""

    prepared: Prepared

    @classmethod
    def of(cls, phrases: Iterable[str], prepared: Prepared) -> Phrases:
        """Phrases with what was made of them."""
        found = cls(phrases)
        found.prepared = prepared
        return found


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
    return Prepared(tuple(lines), tuple(words), tuple(alone), array("I", sorted(pairs)).tobytes())
