"""From a text to its hits: every way in which a phrase may be written, and what stands around it.

The views, each a list of words in which all phrases are looked for at once (``compiling``):

1. the folded words in their plain forms (``folding``, ``textspeak``);
2. the same without words that change nothing ("really");
3. with odd words replaced by what may be meant (``odd``), and words that sound alike by each other;
4. with disguised stretches replaced by their letters (``disguises``), and then 1 to 3 again around them;
5. addresses, decoded, as texts of their own (``addresses``).

A view beyond the first two only counts where it has changed a word. Then each hit is judged by what stands around it
(``judging``, ``context``, ``exclusions``). An engine is made once and never changes; it keeps no word of what it has
read.
"""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import compress, count, islice, pairwise, product, repeat
from math import prod
from operator import contains, not_
from typing import NamedTuple, TypeVar

from appliance.api import Surface

from ..library.model import Policy
from .addresses import Address, cut
from .compiling import Compiled, Innocence, Needle, Sought
from .disguises import SPACED, Disguises, Stretch
from .exclusions import NAMES, Exclusions
from .folding import Folded, Table
from .hits import ORDER, Hit, How
from .judging import InnocentPlaces, counts_among, is_written_well_enough, severity_of
from .matches import Match, Text
from .odd import EDIT, OddWords, Reading
from .prepared import SHORT
from .remembering import Remembering
from .textspeak import CANON, CONFUSED, FILLERS, MEANS_YOU_ARE, RIGHT_BEFORE

MOST_ODD = 4000
"""Different odd words of one text that are looked into; a text with more of them is no language."""
MOST_ODD_PLACES = 20_000
"""Odd words of one text that are looked into, the same one counted each time."""
MOST_ROUNDS = 5
MOST_COMBINED = 32
"""How many combinations of readings of odd words and stretches are tried, and how many readings if those are more."""
MANY_ODD, FEWEST_COMBINED = 2000, 2
"""Of a text with so many odd words, fewer combinations are tried: nobody writes so, and it would take long."""
NEIGHBOURS = 12
"""Words on each side of an odd one that are looked at with it."""
MOST_TOGETHER = 12
"""Odd words that are looked at together."""
MOST_PASSED = 6
"""Disguised fillers that are passed over when it is asked what stands beside a stretch."""
MOST_READ_TOGETHER = 24
"""Disguised stretches that are read together."""
WINDOW = 90
"""Letters on each side of a disguised stretch that are looked at with it."""
MOST_TRIED = 5
MOST_JUDGED = 200
"""Places of one term in one text that are judged: a text that repeats it more often says no more than that."""
LONGEST_ODD = 60
LONGEST_CHECKED = 8
"""Words of a disguised stretch of which it is checked whether they may be part of a phrase at all."""
SHORT_ON = frozenset({Surface.TYPED, Surface.EMAIL})
"""Where phrases of three letters count: in what is typed."""
WHOLE_ADDRESSES = frozenset({Surface.ADDRESS, Surface.NAME})
_Read = TypeVar("_Read")
_Found = tuple[Match, Needle | Innocence]


class Engine:
    """Looks for the phrases of policies. Raises nothing for any text."""

    def __init__(self, policies: Sequence[Policy], exclusions: Exclusions | None = None) -> None:
        with _no_collecting():
            self._make(policies, Exclusions() if exclusions is None else exclusions)

    def _make(self, policies: Sequence[Policy], exclusions: Exclusions) -> None:
        self._table = Table()
        self._compiled = Compiled(policies, exclusions, self._table)
        vocabulary = self._compiled.vocabulary
        self._sayings = exclusions.by_word()
        self._helping = exclusions.sites
        self._odd = OddWords(vocabulary, [*CANON, *FILLERS], self._compiled.pairs)
        self._disguises = Disguises(vocabulary.union(CANON), self._odd.known, self._odd.splits)
        self._meant = Remembering(self._odd.readings)

    def find(self, text: str, surface: Surface) -> list[Hit]:
        """Every hit, in the order of the text; of one term none that lies within another."""
        plain, addresses = cut(text, whole=surface in WHOLE_ADDRESSES, helping=self._helping)
        found = list(self._find(plain, surface, in_query=False))
        for address in addresses:
            found += self._in_address(address, surface)
        return _distinct(found)

    def _in_address(self, address: Address, surface: Surface) -> Iterator[Hit]:
        for hit in self._find(address.text, surface, in_query=True):
            if surface is Surface.ADDRESS and Surface.ADDRESS not in hit.term.surfaces and hit.start < address.query:
                continue
            yield replace(hit, start=address.starts[hit.start], end=address.ends[hit.end - 1])

    def _find(self, text: str, surface: Surface, *, in_query: bool) -> Iterator[Hit]:
        if not text or text.isspace():
            return
        folded = Folded(text, self._table)
        base = Text(folded, folded.words())
        found = [*self._look(base), *self._in_disguise(folded, base.words)]
        innocent = InnocentPlaces([(match, entry) for match, entry in found if isinstance(entry, Innocence)])
        judged: Counter[Sought] = Counter()
        for match, entry in found:
            if isinstance(entry, Needle) and _counts_on(entry, surface, in_query=in_query):
                judged[entry.sought] += 1
                if judged[entry.sought] <= MOST_JUDGED and (hit := self._judged(match, entry, surface, innocent)):
                    yield hit
        for unspaced, start, end in islice(self._compiled.scan_unspaced(folded.text), MOST_JUDGED):
            if isinstance(unspaced, Needle) and _counts_on(unspaced, surface, in_query=in_query):
                begins, ends = folded.origin(start, end)
                yield _as_written(unspaced, begins, ends)

    def _judged(self, match: Match, needle: Needle, surface: Surface, innocent: InnocentPlaces) -> Hit | None:
        """What a phrase in a view is worth; ``None`` if it does not count."""
        if not counts_among(match, needle):
            return None
        start, end = match.span()
        written = match.text.folded.original[start:end]
        hows = match.hows or (self._how(needle, match, written),)
        if not is_written_well_enough(needle, match, hows, written):
            return None
        sought = needle.sought
        if innocent.covers(start, end, needle) or innocent.is_about_help(surface, sought.term.personal):
            return None
        severity, why = severity_of(needle, hows, match.wider())
        tried = self._tried(needle, innocent.sayings())
        return Hit(sought.policy, sought.term, needle.phrase, start, end, hows, severity, why, tried, match.said())

    def _how(self, needle: Needle, match: Match, written: str) -> How:
        if " ".join(written.lower().split()) == " ".join(needle.phrase.lower().split()):
            return How.EXACT
        plain = Folded(needle.phrase, self._table).words()
        return How.FOLDED if [match.text.words[number] for number in match.touched] == plain else How.TEXT_SPEAK

    def _tried(self, needle: Needle, sayings: Iterable[str]) -> tuple[str, ...]:
        """Exclusions with a word of the phrase in them, and the term's own, none of which applied."""
        saying = [told for word in self._compiled.words(needle.phrase) for told in self._sayings.get(word, ())]
        several = dict.fromkeys((*needle.sought.term.unless, *sayings, *saying))
        return tuple(sorted(several, key=lambda told: told != NAMES))[:MOST_TRIED]

    # Views

    def _look(self, text: Text) -> Iterator[_Found]:
        """Every phrase in a text: as it is, without fillers, with odd words replaced. Of a text with disguised
        stretches only phrases with a word of one, or near one."""
        words = list(map(CANON.get, text.words, text.words))
        view = _View.of(words, 0)
        said = frozenset(word for number in text.hows for word in words[number].split())
        as_it_is = _Change({}, said)
        yield from self._scan(text, view, as_it_is)
        has_fillers = not FILLERS.isdisjoint(view.words)
        if has_fillers:
            yield from self._without_fillers(text, view, as_it_is)
        meant = self._telling(words, self._readings(text.words) | _confused(words))
        most = MOST_COMBINED if len(meant) <= MANY_ODD else FEWEST_COMBINED
        for first, last in _near_each_other(sorted(meant), len(words)):
            odd = [number for number in range(first, last) if number in meant]
            for chosen in _combined([meant[number] for number in odd], most):
                replaced, change = _replaced(words[first:last], first, odd, chosen)
                view = _View.of(replaced, first)
                change = _Change(change.hows, change.words | said)
                yield from self._scan(text, view, change)
                if has_fillers:
                    yield from self._without_fillers(text, view, change)

    def _scan(self, text: Text, view: _View, change: _Change) -> Iterator[_Found]:
        """Every phrase in one view that counts because of a change, if there was one."""
        words, numbers = view
        for entries, first, last in self._compiled.scan(words):
            hows = change.of(numbers[first : last + 1])
            counting = _counting(entries, text, change, hows, numbers[first : last + 1])
            if counting:
                match = Match.of(text, words, numbers, first, last, hows)
                for entry in counting:
                    yield match, entry

    def _without_fillers(self, text: Text, view: _View, change: _Change) -> Iterator[_Found]:
        """Every phrase from which words were left out."""
        words, numbers = view
        left_out = list(compress(count(), map(FILLERS.__contains__, words)))
        gaps = [place - number for number, place in enumerate(left_out) if self._may_go_on(words, place)]
        if not gaps:
            return
        kept = list(compress(count(), map(not_, map(FILLERS.__contains__, words))))
        shorter = [words[place] for place in kept]
        numbers = [numbers[place] for place in kept]
        for begins, ends in _near_each_other(gaps, len(shorter)):
            for entries, begin, end in self._compiled.scan(shorter[begins:ends]):
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

    def _telling(self, words: Sequence[str], meant: Mapping[int, Sequence[Reading]]) -> dict[int, tuple[Reading, ...]]:
        """Readings that may be part of a phrase, going by the words beside them: hardly one of a hundred is."""
        found: dict[int, tuple[Reading, ...]] = {}
        for number, readings in meant.items():
            before = _beside(words, meant, range(number - 1, -1, -1))
            after = _beside(words, meant, range(number + 1, len(words)))
            telling = tuple(one for one in readings if self._may_be_part(one.words, before, after))
            if telling:
                found[number] = telling
        return found

    def _may_be_part(self, read: str, before: Collection[str], after: Collection[str], *, alone: bool = True) -> bool:
        """Whether words, as they were read, may be part of a phrase that goes on beside them; or, unless they were
        guessed twice, say something ``alone``."""
        said = _canonical(read)
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
        for word in set(words).difference(self._odd.known):
            if len(odd) < MOST_ODD and len(word) <= LONGEST_ODD:
                readings = self._meant.of(word)
                if readings:
                    odd[word] = readings
        if not odd:
            return {}
        places = compress(count(), map(odd.__contains__, words))
        return {number: odd[words[number]] for number in islice(places, MOST_ODD_PLACES)}

    def _in_disguise(self, folded: Folded, words: Sequence[str]) -> Iterator[_Found]:
        """Every phrase around disguised stretches that has a word of one."""
        for window in _windows(self._telling_stretches(folded, self._disguises.stretches(folded.text, words))):
            for readings in _combined([stretch.readings for stretch in window], MOST_COMBINED):
                yield from self._look(_read(folded, window, readings))

    def _telling_stretches(self, folded: Folded, stretches: Sequence[Stretch]) -> list[Stretch]:
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


def _canonical(read: str) -> list[str]:
    """Words in their plain forms."""
    return " ".join([CANON.get(word, word) for word in read.split()]).split()


class _Said(NamedTuple):
    """What may be said by a word or stretch: ``words`` of all readings, and whether one of those is fillers alone."""

    words: frozenset[str]
    may_be_filler: bool

    @classmethod
    def of(cls, readings: Iterable[Iterable[tuple[str, str]]]) -> _Said:
        """Of everything that may be meant by some readings."""
        said = [_canonical(meant) for meanings in readings for meant, _ in meanings]
        return cls(frozenset(word for words in said for word in words), any(map(FILLERS.issuperset, said)))


class _View(NamedTuple):
    """Canonical words, none of which has a blank, and the number that each had in its text."""

    words: Sequence[str]
    numbers: Sequence[int]

    @classmethod
    def of(cls, words: Sequence[str], first: int) -> _View:
        """What was written as one word may be several: "do not" for "dont". The first word has the number ``first``."""
        single = " ".join(words).split()
        if len(single) == len(words):
            return cls(single, range(first, first + len(single)))
        numbers: list[int] = []
        reached = 0
        for place in compress(count(), map(contains, words, repeat(" "))):
            numbers += range(first + reached, first + place)
            numbers += [first + place] * (1 + words[place].count(" "))
            reached = place + 1
        return cls(single, [*numbers, *range(first + reached, first + len(words))])


class _Change(NamedTuple):
    """How some words of a text were changed, by their numbers, and all ``words`` that are there because of a change."""

    hows: Mapping[int, How]
    words: frozenset[str]

    def of(self, numbers: Sequence[int]) -> frozenset[How]:
        """How those of some words were written that were changed."""
        return frozenset([self.hows[number] for number in numbers if number in self.hows]) if self.hows else frozenset()


@contextmanager
def _no_collecting() -> Iterator[None]:
    """Hundreds of thousands of objects are made that all stay: looking for garbage among them takes a third of the
    time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


_HOWS = {
    "repeat": How.REPEATED, "dropped g": How.DROPPED_G, "edit": How.EDIT, "joined": How.JOINED,
    "confused": How.CONFUSED, "spaced": How.SPACED, "leet": How.LEET, "masked": How.MASKED,
}  # fmt: skip


def _beside(words: Sequence[str], meant: Mapping[int, Sequence[Reading]], numbers: Iterable[int]) -> set[str]:
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
    words: list[str], first: int, numbers: Iterable[int], readings: Iterable[Reading]
) -> tuple[list[str], _Change]:
    """Words, the first of which has a number, with some of them replaced; and how those were written."""
    hows: dict[int, How] = {}
    meant: list[str] = []
    for number, reading in zip(numbers, readings, strict=True):
        canonical = _canonical(reading.words)
        words[number - first] = " ".join(canonical)
        hows[number] = _HOWS[reading.how]
        meant += canonical
    return words, _Change(hows, frozenset(meant))


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


def _counting(
    entries: Sequence[Needle | Innocence], text: Text, change: _Change, hows: frozenset[How], numbers: Sequence[int]
) -> Sequence[Needle | Innocence]:
    """What counts of a phrase: all, if nothing was changed or one of its words was; else what looks around for
    something that is there now."""
    if (hows or not change.hows) and (not text.hows or any(number in text.hows for number in numbers)):
        return entries
    return [entry for entry in entries if isinstance(entry, Needle) and entry.sought.near.has_one_of(change.words)]


def _counts_on(needle: Needle, surface: Surface, *, in_query: bool) -> bool:
    """Whether a term is looked for where the text was seen. What a search engine was asked stands in an address too."""
    surfaces = needle.sought.term.surfaces
    if needle.is_short and surface not in SHORT_ON:
        return False
    if surface is Surface.NAME:
        return Surface.NAME in surfaces or Surface.ADDRESS in surfaces
    return surface in surfaces or (
        surface is Surface.ADDRESS and in_query and Surface.SEARCH in surfaces and not needle.is_short
    )


def _as_written(needle: Needle, start: int, end: int) -> Hit:
    sought = needle.sought
    severity = sought.term.severity
    return Hit(sought.policy, sought.term, needle.phrase, start, end, (How.EXACT,), severity, severity.rule)


def _distinct(hits: Iterable[Hit]) -> list[Hit]:
    """The plainest hit of each term at each place, and of one term none that lies within another."""
    kept: dict[tuple[str, str], list[Hit]] = {}
    for hit in sorted(hits, key=lambda hit: (ORDER[hit.how], len(hit.hows), hit.start - hit.end)):
        others = kept.setdefault((hit.policy.name, hit.term.id), [])
        if not any(hit.start < other.end and other.start < hit.end for other in others):
            others.append(hit)
    found = [hit for hits_of_term in kept.values() for hit in hits_of_term]
    return sorted(found, key=lambda hit: (hit.start, hit.end, hit.severity.rank))
