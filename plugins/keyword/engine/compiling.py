"""Phrases made into one automaton (Aho and Corasick, 1975), in which a word's boundaries are blanks.

All phrases are looked for at once, and the time does not depend on how many there are. Two automata: one over words
with blanks between them, one over text without any, for scripts that are written so (Chinese, Japanese, Korean, Thai).
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from ahocorasick_rs import AhoCorasick

from ..library.model import Matching, Policy, Term
from .context import Around
from .exclusions import Exclusions, Innocent
from .folding import Table
from .prepared import SHORT, UNSPACED, canonical_lines, is_unspaced, pair_hash, prepared


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
    """A phrase that is innocent by itself. ``words``: how many."""

    why: Innocent
    phrase: str
    words: int


Entry = Needle | Innocence


class Compiled:
    """Policies and exclusions, ready to be looked for.

    A phrase is kept as a number, and becomes a ``Needle`` when it is found first: of a hundred thousand phrases nearly
    all never are.
    """

    def __init__(self, policies: Sequence[Policy], exclusions: Exclusions, table: Table) -> None:
        self._table = table
        self._sought: list[Sought] = []
        self._innocent = exclusions.phrases
        self._made: dict[int, Entry] = {}
        self.vocabulary: set[str] = set()
        self.right = exclusions.words
        self.alone: set[str] = set()
        spaced, unspaced, pairs = _Phrases(" "), _Phrases(""), array("I")
        around: dict[tuple[str, ...], Around] = {}
        for policy in policies:
            for term in policy.terms:
                near, unless = (around.setdefault(one, Around(one)) for one in (term.near, term.unless))
                self._add(spaced, unspaced, pairs, Sought(policy, term, near, unless))
        innocent_pairs: set[int] = set()
        innocent = list(self._canonical([phrase for _, phrase in exclusions.phrases]))
        spaced.put(innocent, range(-1, -len(innocent) - 1, -1))
        for line in innocent:
            innocent_pairs.update(pair_hash(first, second) for first, second in pairwise(line.split()))
        self._spaced, self._spaced_codes = spaced.automaton()
        self._unspaced, self._unspaced_codes = unspaced.automaton()
        self.pairs = Pairs(pairs)
        self._innocent_pairs = Pairs(innocent_pairs)
        beside = _written({term.near for policy in policies for term in policy.terms})
        self._near = set(self._whole_words(beside))
        self._beginnings = tuple({word[:-1].lower() for word in beside if word.endswith("*")})
        self.vocabulary |= self._near
        self.vocabulary.update(self._whole_words(_written(around) - beside))

    def _add(self, spaced: _Phrases, unspaced: _Phrases, pairs: array[int], sought: Sought) -> None:
        """Every way of saying a term."""
        first = len(self._sought) << _PHRASE_BITS
        self._sought.append(sought)
        ready = prepared(sought.term.phrases, self._table)
        codes = range(first, first + len(ready.lines))
        self.vocabulary.update(ready.words)
        self.alone.update(ready.alone)
        pairs.frombytes(ready.pairs)
        if "".join(ready.lines).isascii():
            spaced.put(ready.lines, codes)
            return
        spaced.put(["" if is_unspaced(line) else line for line in ready.lines], codes)
        unspaced.put([line.replace(" ", "") if is_unspaced(line) else "" for line in ready.lines], codes)

    def _canonical(self, phrases: Sequence[str]) -> Iterator[str]:
        return canonical_lines(phrases, self._table)

    def words(self, phrase: str) -> list[str]:
        """The canonical words of a phrase."""
        return next(self._canonical([phrase])).split()

    def _whole_words(self, written: Iterable[str]) -> Iterator[str]:
        """Words of neighbours; a beginning such as "hate*" only if it may be a word by itself."""
        whole = [word for word in written if not word.endswith("*") or len(word) > SHORT]
        for joined in self._canonical(whole):
            yield from joined.split()

    def may_follow(self, first: str, second: str) -> bool:
        """Whether two words may follow each other in a phrase that is looked for, also in one that is innocent."""
        hashed = pair_hash(first, second)
        return self.pairs.has(hashed) or self._innocent_pairs.has(hashed)

    def may_be_near(self, word: str) -> bool:
        """Whether a word may be one that has to stand near a phrase, or tell of what has to ("to" and "the" do not)."""
        return len(word) > 2 and word != "the" and (word in self._near or word.startswith(self._beginnings))

    def scan(self, words: str) -> Iterator[tuple[Sequence[Entry], int, int]]:
        """Every phrase among canonical words with single blanks between them: what it stands for, and the numbers of
        its first and last word."""
        text = f" {words} "
        count = text.count
        last = counted = 0
        for number, start, end in self._spaced.find_matches_as_indexes(text, overlapping=True):  # in the order of ends
            last += count(" ", counted + 1, end - 1)
            counted = end - 2
            yield self._entries(self._spaced_codes.of(number)), last - count(" ", start + 1, end - 1), last

    def scan_unspaced(self, text: str) -> Iterator[tuple[Entry, int, int]]:
        """Every phrase in folded text of scripts without blanks, with its places there."""
        if not text.isascii() and UNSPACED.search(text):
            places = [place for place, letter in enumerate(text) if not letter.isspace()]
            solid = "".join(text[place] for place in places)
            for number, start, end in self._unspaced.find_matches_as_indexes(solid, overlapping=True):
                for entry in self._entries(self._unspaced_codes.of(number)):
                    yield entry, places[start], places[end - 1] + 1

    def _entries(self, codes: Iterable[int]) -> list[Entry]:
        return [self._made.get(code) or self._entry(code) for code in codes]

    def _entry(self, code: int) -> Entry:
        entry: Entry
        if code < 0:
            why, phrase = self._innocent[-code - 1]
            entry = Innocence(why, phrase, len(self.words(phrase)))
        else:
            sought = self._sought[code >> _PHRASE_BITS]
            phrase = sought.term.phrases[code & _PHRASE]
            words = self.words(phrase)
            entry = Needle(sought, phrase, len(words), sum(map(len, words)) < SHORT)
        return self._made.setdefault(code, entry)


class Pairs:
    """Words that follow each other in phrases, as sorted hashes: a tenth of the room of a set."""

    def __init__(self, hashes: Iterable[int]) -> None:
        self._hashes = array("I", sorted(hashes))  # those of each term are: to sort them is quicker than to compare all

    def __contains__(self, pair: object) -> bool:
        return isinstance(pair, tuple) and self.has(pair_hash(*pair))

    def has(self, hashed: int) -> bool:
        """Whether two words with this hash follow each other."""
        place = bisect_left(self._hashes, hashed)
        return place < len(self._hashes) and self._hashes[place] == hashed


_PHRASE_BITS = 24
_PHRASE = (1 << _PHRASE_BITS) - 1
"""A phrase's code: the number of its term, and in the low bits its own number there; below zero it is innocent."""


class _Codes:
    """By the number of a pattern, the codes of phrases that it stands for: nearly always one."""

    def __init__(self, first: array[int], more: Mapping[int, Sequence[int]]) -> None:
        self._first = first
        self._more = more

    def of(self, number: int) -> Sequence[int]:
        first = (self._first[number],)
        return (*first, *self._more[number]) if number in self._more else first


class _Phrases:
    """Patterns with the codes of what they stand for. ``edge``: what a text must have on both sides of them."""

    def __init__(self, edge: str) -> None:
        self._edge = edge
        self._numbers: dict[str, int] = {}
        self._first = array("q")
        self._more: dict[int, list[int]] = {}

    def put(self, patterns: Sequence[str], codes: range) -> None:
        """Patterns with the code of each. Empty ones are passed over."""
        numbers, first = self._numbers, self._first
        found = dict(zip(patterns, range(len(first), len(first) + len(patterns)), strict=True))
        if len(found) == len(patterns) and "" not in found and numbers.keys().isdisjoint(found):  # nearly always
            numbers.update(found)
            first.extend(codes)
            return
        for pattern, own in zip(patterns, codes, strict=True):
            if pattern:
                number = numbers.setdefault(pattern, len(first))
                if number == len(first):
                    first.append(own)
                else:
                    self._more.setdefault(number, []).append(own)

    def automaton(self) -> tuple[AhoCorasick, _Codes]:
        """Made once, when all have been put."""
        lines, self._numbers = list(self._numbers), {}  # most memory is taken while it is made
        patterns = (f"{self._edge}{line}{self._edge}" for line in lines)
        return AhoCorasick(patterns, store_patterns=False), _Codes(self._first, self._more)


def _written(around: Iterable[Sequence[str]]) -> set[str]:
    return set(" ".join([" ".join(phrases) for phrases in around]).split())


def is_exact(needle: Needle) -> bool:
    """Whether a phrase only counts as it is written."""
    return needle.is_short or needle.sought.term.matching is Matching.EXACT
