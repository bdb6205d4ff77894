"""Phrases made into one automaton (Aho and Corasick, 1975), in which a word's boundaries are blanks.

All phrases are looked for at once, and the time does not depend on how many there are. Two automata: one over words with
blanks between them, one over text without any, for scripts that are written so (Chinese, Japanese, Korean, Thai).
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from ahocorasick_rs import AhoCorasick

from ..library.model import Matching, Policy, Term
from .context import Around
from .english import frequencies
from .exclusions import Exclusions, Innocent
from .folding import Folded, Table
from .textspeak import canonical

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


class Compiled:
    """Policies and exclusions, ready to be looked for."""

    def __init__(self, policies: Sequence[Policy], exclusions: Exclusions, table: Table) -> None:
        self._table = table
        spaced: dict[str, list[Entry]] = defaultdict(list)
        unspaced: dict[str, list[Entry]] = defaultdict(list)
        self.vocabulary: set[str] = set()
        self.pairs: set[tuple[str, str]] = set()
        for entry, phrase in _entries(policies, exclusions):
            words = self.words(phrase)
            joined = " ".join(words)
            if not joined:
                continue
            if isinstance(entry, Sought):
                letters = sum(map(len, words))
                needle: Entry = Needle(entry, phrase, len(joined.split()), letters < SHORT)
                if not needle.is_short:
                    self.vocabulary.update(plain := joined.split())
                    self.pairs.update(pairwise(plain))
            else:
                needle = entry
            if UNSPACED.search(joined):
                unspaced["".join(words)].append(needle)
            else:
                spaced[f" {joined} "].append(needle)
        nears = {phrase for policy in policies for term in policy.terms for phrase in term.near}
        self.vocabulary.update(word for phrase in nears for word in self._whole_words(phrase))
        self._spaced, self._entries = _automaton(spaced)
        self._unspaced, self._unspaced_entries = _automaton(unspaced)

    def words(self, phrase: str) -> list[str]:
        """The canonical words of a phrase."""
        return [canonical(word) for word in Folded(phrase, self._table).words()]

    def _whole_words(self, phrase: str) -> Iterator[str]:
        """The words of a neighbour; of a beginning such as "hat*" only if it is a word by itself."""
        for written in phrase.split():
            plain = " ".join(self.words(written)).split()
            if not written.endswith("*") or written[:-1] in frequencies():
                yield from plain

    def scan(self, words: Sequence[str]) -> Iterator[tuple[Entry, int, int]]:
        """Every phrase among canonical words: what it is, and the numbers of its first and last word."""
        matches = self._spaced.find_matches_as_indexes(f" {' '.join(words)} ", overlapping=True)
        if matches:
            starts = list(accumulate((len(word) + 1 for word in words), initial=1))
            for number, start, end in matches:
                first, last = bisect_right(starts, start + 1) - 1, bisect_right(starts, end - 2) - 1
                for entry in self._entries[number]:
                    yield entry, first, last

    def scan_unspaced(self, text: str) -> Iterator[tuple[Entry, int, int]]:
        """Every phrase in folded text of scripts without blanks, with its places there."""
        if UNSPACED.search(text):
            places = [place for place, letter in enumerate(text) if not letter.isspace()]
            solid = "".join(text[place] for place in places)
            for number, start, end in self._unspaced.find_matches_as_indexes(solid, overlapping=True):
                for entry in self._unspaced_entries[number]:
                    yield entry, places[start], places[end - 1] + 1


def _automaton(entries: dict[str, list[Entry]]) -> tuple[AhoCorasick, list[list[Entry]]]:
    return AhoCorasick(list(entries), store_patterns=False), list(entries.values())


def _entries(policies: Sequence[Policy], exclusions: Exclusions) -> Iterator[tuple[Sought | Innocence, str]]:
    arounds: dict[tuple[str, ...], Around] = {}  # many terms share their neighbours, and these take long to make
    for policy in policies:
        for term in policy.terms:
            for phrases in (term.near, term.unless):
                if phrases not in arounds:
                    arounds[phrases] = Around(phrases)
            sought = Sought(policy, term, arounds[term.near], arounds[term.unless])
            for phrase in term.phrases:
                yield sought, phrase
    for why, phrase in exclusions.phrases:
        yield Innocence(why, phrase), phrase


def is_exact(needle: Needle) -> bool:
    """Whether a phrase only counts as it is written."""
    return needle.is_short or needle.sought.term.matching is Matching.EXACT
