"""Phrases made into one automaton (Aho and Corasick, 1975), in which a word's boundaries are blanks.

All phrases are looked for at once, and the time does not depend on how many there are. Two automata: one over words
with blanks between them, one over text without any, for scripts that are written so (Chinese, Japanese, Korean, Thai).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from ahocorasick_rs import AhoCorasick

from ..library.model import Matching, Policy, Term
from .context import Around
from .exclusions import Exclusions, Innocent
from .folding import Table, folded_words
from .textspeak import CANON

SHORT = 4
"""Phrases of fewer letters than this are only compared exactly, as whole words of what is typed."""
UNSPACED = re.compile("[\u0e00-\u0e7f\u1100-\u11ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True, slots=True, eq=False)
class Sought:
    """A term in its policy, ready to be judged."""

    policy: Policy
    term: Term
    near: Around
    unless: Around


@dataclass(frozen=True, slots=True, eq=False)
class Needle:
    """One phrase of a term. ``words``: how many; ``is_short``: it is only compared exactly."""

    sought: Sought
    phrase: str
    words: int
    is_short: bool


@dataclass(frozen=True, slots=True, eq=False)
class Innocence:
    """A phrase that is innocent by itself."""

    why: Innocent
    phrase: str


Entry = Needle | Innocence
Entries = Entry | list[Entry]
"""What one phrase stands for: nearly always one thing, and a hundred thousand lists take their room."""


class Compiled:
    """Policies and exclusions, ready to be looked for."""

    def __init__(self, policies: Sequence[Policy], exclusions: Exclusions, table: Table) -> None:
        self._table = table
        spaced: dict[str, Entries] = {}
        unspaced: dict[str, Entries] = {}
        around: dict[tuple[str, ...], Around] = {}
        for policy in policies:
            for term in policy.terms:
                near, unless = (around.setdefault(one, Around(one)) for one in (term.near, term.unless))
                sought = Sought(policy, term, near, unless)
                for phrase in term.phrases:
                    self._add(spaced, unspaced, sought, phrase)
        phrases = [key.split() for key, entries in spaced.items() if not _is_short(entries)]
        self.pairs = {pair for words in phrases for pair in pairwise(words)}
        self.vocabulary = {word for words in phrases for word in words}
        self.vocabulary.update(
            self._whole_words({written for one in around for phrase in one for written in phrase.split()})
        )
        for why, phrase in exclusions.phrases:
            _put(spaced, f" {' '.join(self.words(phrase))} ", Innocence(why, phrase))
        self._spaced, self._entries = _automaton(spaced)
        self._unspaced, self._unspaced_entries = _automaton(unspaced)

    def _add(self, spaced: dict[str, Entries], unspaced: dict[str, Entries], sought: Sought, phrase: str) -> None:
        """One way of saying a term; what is canonically the same as another way is left out."""
        joined = " ".join(self.words(phrase))
        if not joined:
            return
        blanks = joined.count(" ")
        is_short = len(joined) - blanks < SHORT
        if joined.isascii() or not UNSPACED.search(joined):
            entries, key = spaced, f" {joined} "
        else:
            entries, key = unspaced, joined.replace(" ", "")
        known = entries.get(key)
        if known is None or not any(isinstance(one, Needle) and one.sought is sought for one in _all(known)):
            _put(entries, key, Needle(sought, phrase, blanks + 1, is_short))

    def words(self, phrase: str) -> list[str]:
        """The canonical words of a phrase."""
        words = folded_words(phrase, self._table)
        return list(map(CANON.get, words, words))

    def _whole_words(self, written: Iterable[str]) -> Iterator[str]:
        """Words of neighbours; a beginning such as "hate*" only if it may be a word by itself."""
        for word in written:
            if not word.endswith("*") or len(word) > SHORT:
                yield from " ".join(self.words(word)).split()

    def scan(self, words: Sequence[str]) -> Iterator[tuple[Entry, int, int]]:
        """Every phrase among canonical words: what it is, and the numbers of its first and last word."""
        matches = self._spaced.find_matches_as_indexes(f" {' '.join(words)} ", overlapping=True)
        if matches:
            starts = list(accumulate((len(word) + 1 for word in words), initial=1))
            for number, start, end in matches:
                first, last = bisect_right(starts, start + 1) - 1, bisect_right(starts, end - 2) - 1
                for entry in _all(self._entries[number]):
                    yield entry, first, last

    def scan_unspaced(self, text: str) -> Iterator[tuple[Entry, int, int]]:
        """Every phrase in folded text of scripts without blanks, with its places there."""
        if UNSPACED.search(text):
            places = [place for place, letter in enumerate(text) if not letter.isspace()]
            solid = "".join(text[place] for place in places)
            for number, start, end in self._unspaced.find_matches_as_indexes(solid, overlapping=True):
                for entry in _all(self._unspaced_entries[number]):
                    yield entry, places[start], places[end - 1] + 1


def _is_short(entries: Entries) -> bool:
    return all(isinstance(one, Needle) and one.is_short for one in _all(entries))


def _all(entries: Entries) -> Sequence[Entry]:
    return entries if isinstance(entries, list) else (entries,)


def _put(entries: dict[str, Entries], key: str, entry: Entry) -> None:
    known = entries.setdefault(key, entry)
    if known is not entry:
        entries[key] = [*_all(known), entry]


def _automaton(entries: dict[str, Entries]) -> tuple[AhoCorasick, list[Entries]]:
    return AhoCorasick(list(entries), store_patterns=False), list(entries.values())


def is_exact(needle: Needle) -> bool:
    """Whether a phrase only counts as it is written."""
    return needle.is_short or needle.sought.term.matching is Matching.EXACT
