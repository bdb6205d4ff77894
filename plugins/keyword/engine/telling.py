"""Which readings of odd words and disguised stretches may be part of a phrase, going by what stands beside them.

Hardly one of a hundred may: names, numbers and versions are what most of them are. What is left is looked for.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import compress, count, islice, pairwise
from math import inf
from operator import attrgetter
from typing import NamedTuple

from .compiling import Compiled
from .context import Around
from .disguises import SPACED, Stretch
from .folding import Folded
from .odd import EDIT, RIGHT, SOUNDS, OddWords, Reading
from .prepared import SHORT
from .remembering import Remembering
from .textspeak import CANON, CONFUSED, FILLERS, MEANS_YOU_ARE, RIGHT_BEFORE

MOST_ODD = 4000
"""Different odd words of one text that are looked into; a text with more of them is no language."""
COMMON = 4000
"""The commonest words, which most of a text are: they are passed over going by a set that stays in the cache."""
MOST_READ = 5000
"""What stretches and words beside them may say is remembered for so many of them."""
MOST_ODD_PLACES = 20_000
"""Odd words of one text that are looked into, the same one counted each time."""
MOST_PASSED = 6
"""Disguised fillers that are passed over when it is asked what stands beside a stretch."""
FEWEST_IN_PIECES, FEWEST_OF_PIECE = 6, 2
"""Letters of a word in two pieces, and of one of them."""
SELF = frozenset({"self", "selves"})
"""What most people write apart who write words apart."""
WINDOW = 90
"""Letters on each side of a disguised stretch that are looked at with it."""
IN_REACH = 24
"""Words on each side of an odd one in which a phrase is that counts because of it, with all that was changed between
them."""
FEWEST_FOREIGN = 5
"""Letters of a word of policies that is none of the English list and may still be meant otherwise: one of another
language may be a misspelt English one ("terorist" is Turkish), and one may have lost its g in one phrase ("bullyin me")
and in others not."""
LONGEST_ODD = 60
LONGEST_CHECKED = 8
"""Words of a disguised stretch of which it is checked whether they may be part of a phrase at all."""

Readings = Mapping[int, Sequence[Reading]]
"""By the number of a word, what may be meant by it, the likeliest first."""


class Telling:
    """Reads odd words and disguised stretches, and leaves out the readings that are part of no phrase."""

    def __init__(self, compiled: Compiled, odd: OddWords) -> None:
        self._compiled = compiled
        self._common = frozenset(islice(odd.known, COMMON)).difference(SELF)
        self._known = odd.known
        doubtful = (word for word in odd.unlisted if word in compiled.foreign or odd.has_lost_g(word))
        self._doubtful = {word for word in doubtful if len(word) >= FEWEST_FOREIGN and word not in CANON}
        self._rare = {word for word, cost in odd.known.items() if cost == inf}.union(SELF)
        self._vocabulary = compiled.vocabulary.union(CANON)
        self._meant = Remembering(lambda word: tuple(map(self._meaning, odd.readings(word))))
        self._confused = {
            word: tuple(self._meaning(Reading(meant, "confused")) for meant in readings)
            for word, readings in CONFUSED.items()
        }
        self._remembered_meanings = Remembering(lambda read: tuple(self._all_meanings(read)), MOST_READ)
        self._remembered_said = Remembering(self._find_said, MOST_READ)

    def odd(self, words: Sequence[str]) -> Odd:
        """Those of some words that are looked at closer."""
        uncommon = set(words).difference(self._common)
        unknown = uncommon.difference(self._known) | (uncommon & self._doubtful)
        closer = unknown | (uncommon & self._rare)
        return Odd(words, unknown, list(compress(count(), map(closer.__contains__, words))) if closer else [])

    def of_words(self, odd: Odd, canonical: Sequence[str], phrases: Iterable[Looking]) -> Readings:
        """The readings of odd words, and of words that sound like others. ``canonical``: the same words in their plain
        forms; ``phrases``: those that were found among them and count only beside certain words."""
        meant = self._readings(odd) | self._readings_of_confused(canonical)
        found: dict[int, Sequence[Reading]] = {}
        beside: dict[int, Sequence[_Meaning]] = {}
        for number, meanings in meant.items():
            telling = [one for one in meanings if one.tells]
            if len(telling) < len(meanings):
                before = _beside(canonical, meant, range(number - 1, -1, -1))
                after = _beside(canonical, meant, range(number + 1, len(canonical)))
                telling = [one for one in meanings if one.tells or self._goes_on(one, before, after)]
            if telling:
                found[number] = [one.reading for one in telling]
            if any(one.is_near and one not in telling for one in meanings):
                beside[number] = [one for one in meanings if one.is_near or one in telling]
        if beside:
            strong = sorted(found)
            for number, said in _looked_for(beside, sorted(phrases, key=attrgetter("end")), strong):
                found[number] = said
        return found

    def in_pieces(self, odd: Odd) -> list[int]:
        """The numbers of words that may be the beginning of one that goes on with the next: "my self", "murd er". One
        of both is no word by itself."""
        words, last = odd.words, len(odd.words) - 1
        places = {
            first
            for number in odd.numbers
            for first in (number - 1, number)
            if 0 <= first < last and words[first] + words[first + 1] in self._vocabulary
        }
        return sorted(number for number in places if self._are_pieces(words[number], words[number + 1]))

    def _is_piece(self, word: str) -> bool:
        return len(word) >= FEWEST_OF_PIECE and (word not in self._known or word in self._rare)

    def _are_pieces(self, first: str, second: str) -> bool:
        """Whether two words may be one of policies or text-speak."""
        whole = first + second
        if whole not in self._vocabulary or first in SELF or second in SELF:
            return whole in self._vocabulary and second in SELF
        return (
            len(whole) >= FEWEST_IN_PIECES
            and min(len(first), len(second)) >= FEWEST_OF_PIECE
            and whole.isalpha()
            and (self._is_piece(first) or self._is_piece(second))
        )

    def _meaning(self, reading: Reading, *, alone: bool = True) -> _Meaning:
        """What a reading says in itself: a phrase, or a part of one that is no mere word; or, unless it was guessed
        twice, a word that says something ``alone``."""
        said = canonical_words(reading.words)
        compiled = self._compiled
        tells = (alone and not compiled.alone.isdisjoint(said)) or any(
            pair in compiled.pairs for pair in pairwise(said)
        )
        return _Meaning(reading, tuple(said), tells, alone and any(map(compiled.may_be_near, said)))

    def _goes_on(self, meaning: _Meaning, before: Iterable[str], after: Iterable[str]) -> bool:
        """Whether what may be meant may be part of a phrase that goes on beside it."""
        pairs, said = self._compiled.pairs, meaning.said
        if self._vocabulary.isdisjoint((said[0], said[-1])):
            return False  # as most words that a name comes apart into
        return any((word, said[0]) in pairs for word in before) or any((said[-1], word) in pairs for word in after)

    def _readings(self, odd: Odd) -> dict[int, tuple[_Meaning, ...]]:
        """By the number of an odd word, what may be meant by it."""
        read: dict[str, tuple[_Meaning, ...]] = {}
        for word in odd.unknown:
            if len(read) < MOST_ODD and len(word) <= LONGEST_ODD:
                meanings = self._meant.of(word)
                if meanings:
                    read[word] = meanings
        if not read:
            return {}
        numbers = (number for number in odd.numbers if odd.words[number] in read)
        return {number: read[odd.words[number]] for number in islice(numbers, MOST_ODD_PLACES)}

    def _readings_of_confused(self, words: Sequence[str]) -> dict[int, tuple[_Meaning, ...]]:
        """By the number of a word that is often written for another one, what may be meant by it."""
        return {
            number: self._confused[words[number]]
            for number in compress(count(), map(CONFUSED.__contains__, words))
            if _may_be_confused(words[number], "".join(words[number + 1 : number + 2]))
        }

    def of_stretches(self, folded: Folded, stretches: Sequence[Stretch]) -> list[Stretch]:
        """Stretches with a reading that may be part of a phrase, going by the words beside them: numbers, versions and
        names of files are none."""
        said = [_Said.of(map(self._meanings, stretch.readings)) for stretch in stretches]
        found: list[Stretch] = []
        for number, stretch in enumerate(stretches):
            telling = tuple(one for one in stretch.readings if self._tells(stretch, one))
            if len(telling) < len(stretch.readings):
                before = self._beside_stretch(folded, stretches, said, number, -1)
                after = self._beside_stretch(folded, stretches, said, number, 1)
                if before is None or after is None:
                    telling = stretch.readings
                else:
                    telling = tuple(
                        one
                        for one in stretch.readings
                        if one in telling
                        or any(self._goes_on(each, before, after) for each in self._meanings(one))
                        or self._is_part(one, before, after)
                    )
            if telling:
                found.append(replace(stretch, readings=telling) if len(telling) < len(stretch.readings) else stretch)
        return found

    def _is_part(self, read: str, before: Iterable[str], after: Iterable[str]) -> bool:
        """Whether what was read may be one word with what stands beside it."""
        return (
            read in SELF
            or any(self._are_pieces(word, read) for word in before)
            or any(self._are_pieces(read, word) for word in after)
        )

    def _tells(self, stretch: Stretch, read: str) -> bool:
        """Whether what a stretch may say has to be looked for whatever stands beside it."""
        return (
            (stretch.how == SPACED and len(read) < SHORT)
            or read.count(" ") >= LONGEST_CHECKED
            or any(one.tells or one.is_near for one in self._meanings(read))
        )

    def _beside_stretch(
        self, folded: Folded, stretches: Sequence[Stretch], said: Sequence[_Said], number: int, step: int
    ) -> set[str] | None:
        """What may stand before (``step`` -1) or behind (1) a stretch: words in all their readings up to the first that
        is no filler; ``None`` if that is far away."""
        found: set[str] = set()
        for _ in range(MOST_PASSED):
            following = number + step
            is_there = 0 <= following < len(stretches)
            if step < 0:
                end = stretches[number].start
                start = max(stretches[following].end if is_there else 0, end - WINDOW)
            else:
                start = stretches[number].end
                end = min(stretches[following].start if is_there else len(folded.text), start + WINDOW)
            words = [folded.text[first:last] for first, last in folded.places_within(start, end)]
            for word in words[::step]:
                beside = self._said(word)
                found |= beside.words
                if not beside.may_be_filler:
                    return found
            if not is_there:
                return found
            found |= said[following].words
            if not said[following].may_be_filler:
                return found
            number = following
        return None

    def _said(self, word: str) -> _Said:
        """What may be said by a word. Remembered of words that are in lists alone: of others, what they say is kept
        nowhere."""
        return self._remembered_said.of(word) if word in self._known else self._find_said(word)

    def _find_said(self, word: str) -> _Said:
        return _Said.of([self._meanings(word)])

    def _meanings(self, read: str) -> Sequence[_Meaning]:
        """What may be meant by what was read; remembered as above."""
        if all(word in self._known for word in read.split()):
            return self._remembered_meanings.of(read)
        return tuple(self._all_meanings(read))

    def _all_meanings(self, read: str) -> Iterator[_Meaning]:
        """What was read, and the same with one of its words as it may be meant."""
        yield self._meaning(Reading(read, RIGHT))
        words = read.split()
        if len(words) > LONGEST_CHECKED:
            return
        for number, meanings in (self._readings(self.odd(words)) | self._readings_of_confused(words)).items():
            for one in meanings:
                meant = " ".join([*words[:number], one.reading.words, *words[number + 1 :]])
                yield self._meaning(Reading(meant, one.reading.how), alone=one.reading.how not in (EDIT, SOUNDS))


def canonical_words(read: str) -> list[str]:
    """Words in their plain forms."""
    return " ".join([CANON.get(word, word) for word in read.split()]).split()


class Odd(NamedTuple):
    """Words, those of them that no list has, and the numbers of these and of others that may be pieces of words."""

    words: Sequence[str]
    unknown: set[str]
    numbers: Sequence[int]


class _Meaning(NamedTuple):
    """A reading, its words in their plain forms, whether it tells something by itself, and whether it may be what a
    phrase has to stand beside."""

    reading: Reading
    said: Sequence[str]
    tells: bool
    is_near: bool


class Looking(NamedTuple):
    """A phrase that counts only beside certain words: the numbers of its first and last word, and those words."""

    begin: int
    end: int
    words: Around


class _Said(NamedTuple):
    """What may be said by a word or stretch: ``words`` of all readings, and whether one of those is fillers alone."""

    words: frozenset[str]
    may_be_filler: bool

    @classmethod
    def of(cls, readings: Iterable[Iterable[_Meaning]]) -> _Said:
        """Of everything that may be meant by some readings."""
        said = [one.said for meanings in readings for one in meanings]
        return cls(frozenset(word for words in said for word in words), any(map(FILLERS.issuperset, said)))


def _looked_for(
    meant: Mapping[int, Sequence[_Meaning]], phrases: Sequence[Looking], strong: Sequence[int]
) -> Iterator[tuple[int, Sequence[Reading]]]:
    """Words of which a reading may be what a phrase has to stand beside, and those readings: where such a phrase stands
    in reach, or may (``strong``: the numbers of words that may be part of one). ``phrases``: in the order of their
    ends."""
    ends = [phrase.end for phrase in phrases]
    for number, meanings in meant.items():
        first, last = number - IN_REACH, number + IN_REACH
        may_be_one = bisect_left(strong, first) < bisect_right(strong, last)
        in_reach = phrases[bisect_left(ends, first) : bisect_right(ends, last + IN_REACH)]
        said = {word for one in meanings for word in one.said}
        if may_be_one or any(phrase.begin <= last and phrase.words.has_one_of(said) for phrase in in_reach):
            yield number, [one.reading for one in meanings]


def _beside(words: Sequence[str], meant: Mapping[int, Sequence[_Meaning]], numbers: Iterable[int]) -> set[str]:
    """What may stand beside an odd word, on the side of those numbers: the next word, and those after it as far as they
    are fillers, in all their readings."""
    found: set[str] = set()
    for number in numbers:
        found.update(words[number].split())
        for one in meant.get(number, ()):
            found.update(one.said)
        if words[number] not in FILLERS:
            break
    return found


def _may_be_confused(word: str, following: str) -> bool:
    """Whether the word after one that is often confused lets it be another one."""
    if word == "your":
        return following in MEANS_YOU_ARE
    return following not in RIGHT_BEFORE.get(word, ())
