"""Every way in which a phrase may be written in a text.

The views, each a list of words in which all phrases are looked for at once (``compiling``):

1. the folded words in their plain forms (``folding``, ``textspeak``);
2. the same without words that change nothing ("really");
3. with odd words replaced by what may be meant (``odd``), and words that sound alike by each other;
4. with two words as one that were meant to be ("my self"), and then 1 to 3 again around them;
5. with disguised stretches replaced by their letters (``disguises``), and then 1 to 4 again around them.

A view beyond the first two only counts where it has changed a word, or what stands near a phrase.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import compress, count, product, repeat
from math import prod
from operator import contains, not_
from typing import NamedTuple, TypeVar

from . import emoji
from .compiling import ENGLISH, Compiled, Innocence, Needle
from .disguises import SPACED, Disguises, Stretch, without_overlaps
from .folding import Folded
from .hits import MISREAD, How
from .matches import Match, Text
from .odd import RIGHT, OddWords, Reading
from .telling import WINDOW, Looking, Odd, Telling, canonical_words
from .textspeak import CANON, CONFUSED, FILLERS

MOST_ROUNDS = 5
MOST_COMBINED = 32
"""How many combinations of readings of odd words and stretches are tried, and how many readings if those are more."""
MOST_TRIED = 3000
"""Combinations that are tried of one text. Of what follows only the likeliest is, and no words are put together: a
megabyte of prose takes no more, and what nobody writes would take long."""
NEIGHBOURS = 12
"""Words on each side of a changed one that are looked at with it."""
MOST_TOGETHER = 12
"""Changed words that are looked at together."""
MOST_READ_TOGETHER = 24
"""Disguised stretches that are read together."""
_Read = TypeVar("_Read")
Found = tuple[Match, Needle | Innocence]


class Views:
    """Looks for phrases in all views of a text."""

    def __init__(self, compiled: Compiled) -> None:
        self._compiled = compiled
        odd = OddWords(compiled.vocabulary, [*CANON, *FILLERS], compiled.pairs, compiled.right)
        self._telling = Telling(compiled, odd)
        self._disguises = Disguises(compiled.vocabulary.union(CANON), odd.known, odd.splits, odd.together)

    def look(self, folded: Folded) -> Iterator[Found]:
        """Every phrase, and where it stands."""
        text = Text(folded, folded.words())
        tries = _Tries()
        yield from self._look(text, tries)
        yield from self._in_disguise(folded, tries)

    def _look(self, text: Text, tries: _Tries) -> Iterator[Found]:
        """Every phrase in a text, also with words in two pieces put together. Of a text with disguised stretches only
        phrases with a word of one, or near one."""
        odd = self._telling.odd(text.words)
        yield from self._look_at(text, odd, tries)
        numbers = [number for number in self._telling.in_pieces(odd) if text.may_be_one(number)]
        for first, last in _near_each_other(numbers, len(text.words)):
            if tries.are_over:
                break
            inside = numbers[bisect_left(numbers, first) : bisect_left(numbers, last)]
            whole = text.put_together(first, last, inside)
            yield from self._look_at(whole, self._telling.odd(whole.words), tries)

    def _look_at(self, text: Text, odd: Odd, tries: _Tries) -> Iterator[Found]:
        """Every phrase in a text: as it is, without fillers, with odd words replaced."""
        words = list(map(CANON.get, text.words, text.words))
        view = _View.of(words, 0)
        said = frozenset(word for number in text.hows for word in words[number].split())
        as_it_is = _Change({}, said, said)
        found = list(self._scan(text, view, as_it_is, tries))
        has_fillers = not FILLERS.isdisjoint(view.words)
        if has_fillers:
            found += self._without_fillers(text, view, as_it_is, tries)
        yield from found
        meant = self._telling.of_words(odd, words, _looking(found))
        for first, last in _near_each_other(sorted(meant), len(words)):
            numbers = [number for number in range(first, last) if number in meant]
            for chosen in tries.of([_readings(words[number], meant[number], len(numbers)) for number in numbers]):
                if all(reading.how == RIGHT for reading in chosen):
                    continue
                replaced, change = _replaced(words[first:last], first, numbers, chosen, said)
                view = _View.of(replaced, first)
                yield from self._scan(text, view, change, tries)
                if has_fillers:
                    yield from self._without_fillers(text, view, change, tries)

    def _scan(self, text: Text, view: _View, change: _Change, tries: _Tries) -> Iterator[Found]:
        """Every phrase in one view that counts because of a change, if there was one."""
        words, numbers, joined = view
        for entries, first, last in self._compiled.scan(joined, tries.places):
            hows = change.of(numbers[first : last + 1])
            counting = _counting(entries, text, change, hows, numbers[first : last + 1])
            if counting:
                match = Match.of(text, words, numbers, first, last, hows)
                for entry in counting:
                    yield match, entry

    def _without_fillers(self, text: Text, view: _View, change: _Change, tries: _Tries) -> Iterator[Found]:
        """Every phrase from which words were left out."""
        words = view.words
        are_fillers = list(map(FILLERS.__contains__, words))
        left_out = compress(count(), are_fillers)
        gaps = [place - number for number, place in enumerate(left_out) if self._may_go_on(words, place)]
        if not gaps:
            return
        stay = list(map(not_, are_fillers))
        kept = list(compress(count(), stay))
        shorter = list(compress(words, stay))
        numbers = list(compress(view.numbers, stay))
        for begins, ends in _near_each_other(gaps, len(shorter)):
            for entries, begin, end in self._compiled.scan(" ".join(shorter[begins:ends]), tries.places):
                first, last = begins + begin, begins + end
                if kept[last] - kept[first] > last - first:
                    hows = change.of(numbers[first : last + 1])
                    counting = _counting(entries, text, change, hows, numbers[first : last + 1])
                    if counting:
                        match = Match.of(text, shorter, numbers, first, last, hows | {How.WORDS_BETWEEN})
                        for entry in counting:
                            yield match, entry

    def _may_go_on(self, words: Sequence[str], place: int) -> bool:
        """Whether a filler is the last of those between two words that may follow each other in a phrase."""
        after = place + 1
        if after == len(words) or words[after] in FILLERS:
            return False
        while place >= 0 and words[place] in FILLERS:
            place -= 1
        return place >= 0 and self._compiled.may_follow(words[place], words[after])

    def _in_disguise(self, folded: Folded, tries: _Tries) -> Iterator[Found]:
        """Every phrase around disguised stretches that has a word of one."""
        found = without_overlaps([*self._disguises.stretches(folded.text), *emoji.stretches(folded)])
        for window in _windows(self._telling.of_stretches(folded, found)):
            for readings in tries.of([stretch.readings for stretch in window]):
                yield from self._look(_read(folded, window, readings), tries)


class _View(NamedTuple):
    """Canonical words, none of which has a blank, the number that each had in its text, and all of them joined."""

    words: Sequence[str]
    numbers: Sequence[int]
    joined: str

    @classmethod
    def of(cls, words: Sequence[str], first: int) -> _View:
        """What was written as one word may be several: "do not" for "dont". The first word has the number ``first``."""
        joined = " ".join(words)
        if joined.count(" ") < len(words):
            return cls(words, range(first, first + len(words)), joined)
        numbers: list[int] = []
        reached = 0
        for place in compress(count(), map(contains, words, repeat(" "))):
            numbers += range(first + reached, first + place)
            numbers += [first + place] * (1 + words[place].count(" "))
            reached = place + 1
        return cls(joined.split(), [*numbers, *range(first + reached, first + len(words))], joined)


class _Change(NamedTuple):
    """How some words of a text were changed, by their numbers, and all ``words`` that are there because of a change.
    ``sure``: those of them that are no word of another language, misread."""

    hows: Mapping[int, frozenset[How]]
    words: frozenset[str]
    sure: frozenset[str]

    def of(self, numbers: Sequence[int]) -> frozenset[How]:
        """How those of some words were written that were changed."""
        if not self.hows:
            return frozenset()
        return frozenset().union(*[self.hows[number] for number in numbers if number in self.hows])


_HOWS = {
    "repeat": frozenset({How.REPEATED}), "dropped g": frozenset({How.DROPPED_G}), "edit": frozenset({How.EDIT}),
    "joined": frozenset({How.JOINED}),
    "confused": frozenset({How.CONFUSED}), "spaced": frozenset({How.SPACED}), "leet": frozenset({How.LEET}),
    "masked": frozenset({How.MASKED}), "emoji": frozenset({How.EMOJI}),
}  # fmt: skip


def _readings(word: str, meant: Sequence[Reading], together: int) -> Sequence[Reading]:
    """What may be meant by a word that is looked at with others. One that is often written for another word may be the
    right one: "they are metnally ill"."""
    return [Reading(word, RIGHT), *meant] if word in CONFUSED and together > 1 else meant


def _near_each_other(numbers: Sequence[int], count: int) -> Iterator[tuple[int, int]]:
    """Where words have to be looked at again, with what stands around them: the first word and the one behind the
    last."""
    at = 0
    while at < len(numbers):
        last = at
        while last + 1 < len(numbers) and numbers[last + 1] - numbers[last] <= NEIGHBOURS and last - at < MOST_TOGETHER:
            last += 1
        yield max(0, numbers[at] - NEIGHBOURS), min(count, numbers[last] + NEIGHBOURS + 1)
        at = last + 1


def _replaced(
    words: list[str], first: int, numbers: Iterable[int], readings: Iterable[Reading], said: frozenset[str]
) -> tuple[list[str], _Change]:
    """Words, the first of which has a number, with some of them replaced; and how those were written. ``said``: what is
    there because of another change."""
    hows: dict[int, frozenset[How]] = {}
    meant: list[str] = []
    sure: list[str] = []
    for number, reading in zip(numbers, readings, strict=True):
        if reading.how == RIGHT:
            continue
        canonical = canonical_words(reading.words)
        words[number - first] = " ".join(canonical)
        hows[number] = _HOWS[reading.how]
        meant += canonical
        if MISREAD.isdisjoint(hows[number]):
            sure += canonical
    return words, _Change(hows, said.union(meant), said.union(sure))


class _Tries:
    """The combinations of readings that are tried of one text, and how many were. ``places``: how often each phrase was
    found."""

    def __init__(self) -> None:
        self._tried = 0
        self.places: Counter[str] = Counter()

    @property
    def are_over(self) -> bool:
        """Whether only what is likeliest is tried."""
        return self._tried >= MOST_TRIED

    def of(self, readings: Sequence[Sequence[_Read]]) -> Iterator[tuple[_Read, ...]]:
        """Some combinations of readings."""
        for chosen in _combined(readings, 1 if self.are_over else MOST_COMBINED):
            self._tried += 1
            yield chosen


def _combined(readings: Sequence[Sequence[_Read]], most: int) -> Iterator[tuple[_Read, ...]]:
    """One reading of each: all together if they are few, likely ones first; else the first, the second, ... of all."""
    if prod(map(len, readings)) <= most:
        yield from product(*readings)
        return
    for number in range(min(MOST_ROUNDS, most, max(map(len, readings)))):
        yield tuple(found[min(number, len(found) - 1)] for found in readings)


def _windows(stretches: Sequence[Stretch]) -> Iterator[list[Stretch]]:
    """Stretches that stand so near each other that they are read together."""
    window: list[Stretch] = []
    for stretch in stretches:
        if window and (stretch.start - window[-1].end > WINDOW or len(window) == MOST_READ_TOGETHER):
            yield window
            window = []
        window.append(stretch)
    if window:
        yield window


def _read(folded: Folded, window: Sequence[Stretch], readings: Sequence[str]) -> Text:
    """The words around some stretches, each of which is read as said."""
    text = Text(folded, [], [])
    assert text.places is not None
    alone: set[int] = set()
    at = max(0, window[0].start - WINDOW)
    at = folded.text.rfind(" ", max(0, at - WINDOW), at) + 1 or at  # whole words, where there are any
    for number, stretch in enumerate((*window, None)):
        stop = min(len(folded.text), window[-1].end + WINDOW) if stretch is None else stretch.start
        for start, end in folded.places_within(at, stop):
            text.words.append(folded.text[start:end])
            text.places.append((start, end))
        if stretch is None:
            break
        words = readings[number].split()
        first = len(text.words)
        for word in words:
            text.hows[len(text.words)] = _HOWS[stretch.how]
            text.words.append(word)
            text.places.append((stretch.start, stretch.end))
        if stretch.how == SPACED and (len(words) == 1 or (len(words) == 2 and len(words[0]) == 1)):
            alone.update(range(first, len(text.words)))
        at = stretch.end
    return replace(text, alone=frozenset(alone))


def _looking(found: Iterable[Found]) -> Iterator[Looking]:
    """Those of some phrases that count only beside certain words."""
    for match, entry in found:
        if isinstance(entry, Needle) and entry.sought.term.near:
            yield Looking(match.numbers[match.first], match.numbers[match.last], entry.sought.near)


def _counting(
    entries: Sequence[Needle | Innocence], text: Text, change: _Change, hows: frozenset[How], numbers: Sequence[int]
) -> Sequence[Needle | Innocence]:
    """What counts of a phrase: all, if nothing was changed or one of its words was; else what looks around for
    something that is there now. All words of another language are odd among English ones, and many are one letter away
    from what stands near a phrase of that language: what was guessed does not count there."""
    if (hows or not change.hows) and (not text.hows or any(number in text.hows for number in numbers)):
        return entries
    return [
        entry
        for entry in entries
        if isinstance(entry, Needle)
        and entry.sought.near.has_one_of(change.words if entry.sought.term.language == ENGLISH else change.sure)
    ]
