"""Phrases made into one automaton (Aho and Corasick, 1975), in which a word's boundaries are blanks.

All phrases are looked for at once, and the time does not depend on how many there are. Two automata: one over words
with blanks between them, one over text without any, for scripts that are written so (Chinese, Japanese, Korean, Thai).

The first one looks for two words of each phrase, which many phrases share (``prepared``): it is made in a quarter of
the time that one of all phrases takes. Where it finds some, the phrases with these words are compared with the text.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from ahocorasick_rs import AhoCorasick

from ..library.model import Matching, Policy, Term
from .context import Around
from .exclusions import Exclusions, Innocent
from .folding import Table
from .prepared import (
    BEGINS,
    SHORT,
    UNSPACED,
    anchors,
    canonical_lines,
    is_unspaced,
    neighbour_lines,
    pair_hash,
    prepared,
)
from .textspeak import CANON

ENGLISH = "en"
"""The language of terms in which the odd words of a text are looked for."""
MOST_PLACES = 2000
"""Places of one phrase in one text, in all its views: a text that repeats it more often says no more than that."""
MANY_SHAPES = 8
"""Lengths of phrases, and places of their anchor in them, of which each is compared; more are looked for at once."""


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

    A phrase becomes a ``Needle`` when it is found first, and those with an anchor are gathered when that is: of a
    hundred thousand phrases nearly all never are. ``foreign``: words that stand in terms of other languages alone.
    """

    def __init__(self, policies: Sequence[Policy], exclusions: Exclusions, table: Table) -> None:
        self._table = table
        self._sought: list[Sought] = []
        self._innocent = exclusions.phrases
        self._made: dict[int, Entry] = {}
        self._groups: list[_Group] = []
        self._anchored: dict[int, _Anchored] = {}
        self.vocabulary: set[str] = set()
        self.foreign: set[str] = set()
        self.right = exclusions.words
        self.alone: set[str] = set()
        spaced, unspaced, pairs = _Patterns(" "), _Patterns(""), array("I")
        around: dict[tuple[str, ...], Around] = {}
        terms = [term for policy in policies for term in policy.terms]
        english: set[str] = set()
        for policy in policies:
            for term in policy.terms:
                near, unless = (around.setdefault(one, Around(one)) for one in (term.near, term.unless))
                words = self._add(spaced, unspaced, pairs, Sought(policy, term, near, unless))
                (english if term.language == ENGLISH else self.foreign).update(words)
        innocent_pairs: set[int] = set()
        innocent = list(self._canonical([phrase for _, phrase in exclusions.phrases]))
        self._look_for(spaced, _Group(range(-1, -len(innocent) - 1, -1), innocent, *anchors(innocent)))
        for line in innocent:
            innocent_pairs.update(pair_hash(first, second) for first, second in pairwise(line.split()))
        self._spaced, self._spaced_codes = spaced.automaton()
        self._unspaced, self._unspaced_codes = unspaced.automaton()
        self.pairs = Pairs(pairs)
        self._innocent_pairs = Pairs(innocent_pairs)
        in_english, in_others = (
            self._written(term.near for term in terms if (term.language == ENGLISH) is own) for own in (True, False)
        )
        self.foreign.update(_whole_words(in_others))
        self.foreign -= english.union(_whole_words(in_english))
        beside, against = in_english | in_others, self._written(term.unless for term in terms)
        self._near = set(_whole_words(beside))
        self._beginnings = tuple({word.removesuffix(BEGINS) for word in beside if word.endswith(BEGINS)})
        self.vocabulary |= self._near
        self.vocabulary.update(_whole_words(against - beside))

    def _add(self, spaced: _Patterns, unspaced: _Patterns, pairs: array[int], sought: Sought) -> Sequence[str]:
        """Every way of saying a term; returns its words."""
        first = len(self._sought) << _PHRASE_BITS
        self._sought.append(sought)
        ready = prepared(sought.term.phrases, self._table)
        codes = range(first, first + len(ready.lines))
        self.vocabulary.update(ready.words)
        self.alone.update(ready.alone)
        pairs.frombytes(ready.pairs)
        self._look_for(spaced, _Group(codes, ready.lines, ready.anchors, ready.anchored))
        if not "".join(ready.lines).isascii():
            unspaced.put([line.replace(" ", "") if is_unspaced(line) else "" for line in ready.lines], codes)
        return ready.words

    def _look_for(self, spaced: _Patterns, group: _Group) -> None:
        """Phrases by their anchors. The code of an anchor is made as that of a phrase, of its number in its group."""
        first = len(self._groups) << _PHRASE_BITS
        self._groups.append(group)
        spaced.put(group.anchors, range(first, first + len(group.anchors)))

    def _canonical(self, phrases: Sequence[str]) -> Iterator[str]:
        return canonical_lines(phrases, self._table)

    def words(self, phrase: str) -> list[str]:
        """The canonical words of a phrase."""
        return next(self._canonical([phrase])).split()

    def _written(self, around: Iterable[Sequence[str]]) -> set[str]:
        """The canonical words of neighbours."""
        found: set[str] = set()
        for one in set(around):  # one by one: all of them together are ten megabytes
            found.update(" ".join(neighbour_lines(one, self._table)).split())
        return found

    def may_follow(self, first: str, second: str) -> bool:
        """Whether two words may follow each other in a phrase that is looked for, also in one that is innocent."""
        hashed = pair_hash(first, second)
        return self.pairs.has(hashed) or self._innocent_pairs.has(hashed)

    def may_be_near(self, word: str) -> bool:
        """Whether a word may be one that has to stand near a phrase, or tell of what has to ("to" and "the" do not)."""
        return len(word) > 2 and word != "the" and (word in self._near or word.startswith(self._beginnings))

    def scan(self, words: str, places: Counter[str]) -> Iterator[tuple[Sequence[Entry], int, int]]:
        """Every phrase among canonical words with single blanks between them: what it stands for, and the numbers of
        its first and last word. ``places``: how often each was found in the same text; it is counted on."""
        text = f" {words} "
        count, anchored = text.count, self._anchored
        last = counted = 0
        for number, start, end in self._spaced.find_matches_as_indexes(text, overlapping=True):  # in the order of ends
            last += count(" ", counted + 1, end - 1)
            counted = end - 2
            for line, codes, begin in (anchored.get(number) or self._with_anchor(number)).around(text, start):
                places[line] += 1
                if places[line] <= MOST_PLACES:
                    first = last - count(" ", begin + 1, end - 1)
                    yield self._entries(codes), first, last + count(" ", end, begin + len(line))

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

    def _with_anchor(self, number: int) -> _Anchored:
        """The phrases with an anchor, ready to be compared."""
        found: dict[str, tuple[int, list[int]]] = {}
        for code in self._spaced_codes.of(number):
            group, wanted = self._groups[code >> _PHRASE_BITS], code & _PHRASE
            anchor = f" {group.anchors[wanted]} "
            for own, line, number_of_its in zip(
                group.codes, group.lines, memoryview(group.anchored).cast("I"), strict=True
            ):
                if number_of_its == wanted:
                    padded = f" {line} "
                    found.setdefault(padded, (padded.index(anchor), []))[1].append(own)
        return self._anchored.setdefault(number, _Anchored(found))

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


class _Group(NamedTuple):
    """Phrases with their codes: those of a term, or all that are innocent. ``anchors`` and ``anchored`` as they are
    ``Prepared``."""

    codes: range
    lines: Sequence[str]
    anchors: Sequence[str]
    anchored: bytes


class _Anchored:
    """The phrases with one anchor. By each, with a blank on both sides: where its anchor begins, and its codes."""

    def __init__(self, lines: Mapping[str, tuple[int, Sequence[int]]]) -> None:
        self._lines = lines
        self._shapes = sorted({(before, len(line)) for line, (before, _) in lines.items()})
        self._several = tuple(lines) if len(self._shapes) > MANY_SHAPES else ()
        if self._several:
            self._automaton = AhoCorasick(self._several, store_patterns=False)
            self._before = max(before for before, _ in self._shapes)
            self._after = max(letters - before for before, letters in self._shapes)

    def around(self, text: str, start: int) -> Iterator[tuple[str, Sequence[int], int]]:
        """The phrases, with their codes and where they begin, whose anchor begins at a place of a text."""
        if self._several:
            begin = max(0, start - self._before)
            window = text[begin : start + self._after]
            for number, at, _ in self._automaton.find_matches_as_indexes(window, overlapping=True):
                before, codes = self._lines[line := self._several[number]]
                if begin + at + before == start:
                    yield line, codes, begin + at
            return
        for before, letters in self._shapes:
            begin = start - before
            if begin < 0 or begin + letters > len(text):
                continue  # what is cut off at the end of a text has another shape
            if (found := self._lines.get(line := text[begin : begin + letters])) and found[0] == before:
                yield line, found[1], begin


class _Patterns:
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


def _whole_words(written: Iterable[str]) -> Iterator[str]:
    """Words of neighbours; a beginning such as "hate*" only if it may be a word by itself."""
    for word in written:
        beginning = word.removesuffix(BEGINS)
        if beginning == word:
            yield word
        elif len(beginning) >= SHORT:
            yield from CANON.get(beginning, beginning).split()


def is_exact(needle: Needle) -> bool:
    """Whether a phrase only counts as it is written."""
    return needle.is_short or needle.sought.term.matching is Matching.EXACT
