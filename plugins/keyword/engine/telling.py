"""Which readings of odd words and disguised stretches may be part of a phrase, going by what stands beside them.

Hardly one of a hundred may: names, numbers and versions are what most of them are. What is left is looked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import compress, count, islice, pairwise
from typing import NamedTuple

from .compiling import Compiled
from .disguises import SPACED, Stretch
from .folding import Folded
from .odd import EDIT, OddWords, Reading
from .prepared import SHORT
from .remembering import Remembering
from .textspeak import CANON, CONFUSED, FILLERS, MEANS_YOU_ARE, RIGHT_BEFORE

MOST_ODD = 4000
"""Different odd words of one text that are looked into; a text with more of them is no language."""
MOST_ODD_PLACES = 20_000
"""Odd words of one text that are looked into, the same one counted each time."""
MOST_PASSED = 6
"""Disguised fillers that are passed over when it is asked what stands beside a stretch."""
WINDOW = 90
"""Letters on each side of a disguised stretch that are looked at with it."""
LONGEST_ODD = 60
LONGEST_CHECKED = 8
"""Words of a disguised stretch of which it is checked whether they may be part of a phrase at all."""

Readings = Mapping[int, Sequence[Reading]]
"""By the number of a word, what may be meant by it, the likeliest first."""


class Telling:
    """Reads odd words and disguised stretches, and leaves out the readings that are part of no phrase."""

    def __init__(self, compiled: Compiled, odd: OddWords) -> None:
        self._compiled = compiled
        self._known = odd.known
        self._meant = Remembering(odd.readings)

    def of_words(self, written: Sequence[str], canonical: Sequence[str]) -> Readings:
        """The readings of odd words, and of words that sound like others. ``canonical``: the same words in their plain
        forms."""
        meant = self._readings(written) | _confused(canonical)
        found: dict[int, tuple[Reading, ...]] = {}
        for number, readings in meant.items():
            before = _beside(canonical, meant, range(number - 1, -1, -1))
            after = _beside(canonical, meant, range(number + 1, len(canonical)))
            telling = tuple(one for one in readings if self._may_be_part(one.words, before, after))
            if telling:
                found[number] = telling
        return found

    def _may_be_part(self, read: str, before: Collection[str], after: Collection[str], *, alone: bool = True) -> bool:
        """Whether words, as they were read, may be part of a phrase that goes on beside them; or, unless they were
        guessed twice, say something ``alone``."""
        said = canonical_words(read)
        compiled = self._compiled
        pairs = compiled.pairs
        return (
            (alone and any(word in compiled.alone or compiled.may_be_near(word) for word in said))
            or any(pair in pairs for pair in pairwise(said))
            or any((word, said[0]) in pairs for word in before)
            or any((said[-1], word) in pairs for word in after)
        )

    def _readings(self, words: Sequence[str]) -> dict[int, tuple[Reading, ...]]:
        """By the number of an odd word, what may be meant by it."""
        odd: dict[str, tuple[Reading, ...]] = {}
        for word in set(words).difference(self._known):
            if len(odd) < MOST_ODD and len(word) <= LONGEST_ODD:
                readings = self._meant.of(word)
                if readings:
                    odd[word] = readings
        if not odd:
            return {}
        places = compress(count(), map(odd.__contains__, words))
        return {number: odd[words[number]] for number in islice(places, MOST_ODD_PLACES)}

    def of_stretches(self, folded: Folded, stretches: Sequence[Stretch]) -> list[Stretch]:
        """Stretches with a reading that may be part of a phrase, going by the words beside them: numbers, versions and
        names of files are none."""
        said = [_Said.of(map(self._meanings, stretch.readings)) for stretch in stretches]
        found: list[Stretch] = []
        for number, stretch in enumerate(stretches):
            before = self._beside_stretch(folded, stretches, said, number, -1)
            after = self._beside_stretch(folded, stretches, said, number, 1)
            telling = tuple(
                one
                for one in stretch.readings
                if (stretch.how == SPACED and len(one) < SHORT)
                or one.count(" ") >= LONGEST_CHECKED
                or before is None
                or after is None
                or any(self._may_be_part(meant, before, after, alone=how != EDIT) for meant, how in self._meanings(one))
            )
            if telling:
                found.append(replace(stretch, readings=telling) if len(telling) < len(stretch.readings) else stretch)
        return found

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
                beside = _Said.of([self._meanings(word)])
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

    def _meanings(self, read: str) -> Iterator[tuple[str, str]]:
        """What was read, and the same with one of its words as it may be meant, and how that was written."""
        yield read, ""
        words = read.split()
        if len(words) > LONGEST_CHECKED:
            return
        for number, readings in (self._readings(words) | _confused(words)).items():
            for reading in readings:
                yield " ".join([*words[:number], reading.words, *words[number + 1 :]]), reading.how


def canonical_words(read: str) -> list[str]:
    """Words in their plain forms."""
    return " ".join([CANON.get(word, word) for word in read.split()]).split()


class _Said(NamedTuple):
    """What may be said by a word or stretch: ``words`` of all readings, and whether one of those is fillers alone."""

    words: frozenset[str]
    may_be_filler: bool

    @classmethod
    def of(cls, readings: Iterable[Iterable[tuple[str, str]]]) -> _Said:
        """Of everything that may be meant by some readings."""
        said = [canonical_words(meant) for meanings in readings for meant, _ in meanings]
        return cls(frozenset(word for words in said for word in words), any(map(FILLERS.issuperset, said)))


def _beside(words: Sequence[str], meant: Readings, numbers: Iterable[int]) -> set[str]:
    """What may stand beside an odd word, on the side of those numbers: the next word, and those after it as far as they
    are fillers, in all their readings."""
    found: set[str] = set()
    for number in numbers:
        found.update(words[number].split())
        for reading in meant.get(number, ()):
            found.update(word for one in reading.words.split() for word in CANON.get(one, one).split())
        if words[number] not in FILLERS:
            break
    return found


def _confused(words: Sequence[str]) -> dict[int, tuple[Reading, ...]]:
    """Words that are often written for another one."""
    if CONFUSED.keys().isdisjoint(words):
        return {}
    return {
        number: tuple(Reading(meant, "confused") for meant in CONFUSED[word])
        for number, word in enumerate(words)
        if word in CONFUSED and _may_be_confused(word, "".join(words[number + 1 : number + 2]))
    }


def _may_be_confused(word: str, following: str) -> bool:
    """Whether the word after one that is often confused lets it be another one."""
    if word == "your":
        return following in MEANS_YOU_ARE
    return following not in RIGHT_BEFORE.get(word, ())
