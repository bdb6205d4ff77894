"""From a text to its hits: every way in which a phrase may be written, and what stands around it.

The views, each a list of words in which all phrases are looked for at once (``compiling``):

1. the folded words in their plain forms (``folding``, ``textspeak``);
2. the same without words that change nothing ("really");
3. with odd words replaced by what may be meant (``odd``), and words that sound alike by each other;
4. with disguised stretches replaced by their letters (``disguises``), and then 1 to 3 again around them;
5. addresses, decoded, as texts of their own (``addresses``).

A view beyond the first two only counts where it has changed a word. Then each hit is judged by what stands around it
(``context``, ``exclusions``). An engine is made once and never changes; it keeps nothing of what it has read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import filterfalse, islice, product
from math import prod
from typing import TypeVar

from appliance.api import Severity, Surface

from ..library.model import Policy, Term
from .addresses import Address, cut
from .compiling import UNSPACED, Compiled, Innocence, Needle, Sought, is_exact
from .context import AROUND, is_foreign, is_lesson
from .disguises import SPACED, Disguises, Stretch
from .exclusions import NAMES, Exclusions, Innocent
from .folding import Folded, Table
from .hits import Hit, How
from .odd import OddWords, Reading, squeeze
from .textspeak import CANON, CONFUSED, FILLERS, MEANS_YOU_ARE, RIGHT_BEFORE

MOST_ODD = 4000
"""Different odd words of one text that are looked into; a text with more of them is no language."""
MOST_ROUNDS = 5
MOST_COMBINED = 32
"""How many combinations of readings of odd words and stretches are tried, and how many readings if those are more."""
NEIGHBOURS = 12
"""Words on each side of an odd one that are looked at with it."""
MOST_TOGETHER = 12
"""Odd words that are looked at together."""
REFERS_BACK = frozenset(["they", "them", "their", "theirs", "themselves", "those", "these"])
"""Words with which a sentence goes on about those of the sentence before: "They came back. I like *them*."."""
WINDOW = 90
"""Letters on each side of a disguised stretch that are looked at with it."""
MOST_EMPTY = 100_000
"""Odd words, by their hash alone, of which is remembered that nothing may be meant by them."""
MOST_TRIED = 5
MOST_JUDGED = 200
"""Places of one term in one text that are judged: a text that repeats it more often says no more than that."""
MOST_INNOCENT = 1000
LONGEST_ODD = 60
SHORT_ON = frozenset({Surface.TYPED, Surface.EMAIL, Surface.ADDRESS, Surface.NAME})
"""Where phrases of three letters count: in what is typed, and in addresses for a school that has asked for it."""
WHOLE_ADDRESSES = frozenset({Surface.ADDRESS, Surface.NAME})
FEWEST_IF_SWAPPED, FEWEST_IF_EDITED, FEWEST_IF_JOINED, FEWEST_IF_MASKED = 5, 6, 6, 4
"""Letters of a phrase of one word that was written in these ways."""
GUESSED = frozenset({How.EDIT, How.REPEATED, How.JOINED, How.MASKED})
SELF = frozenset({"suicide", "self_harm"})
"""Categories in which a misspelt word is no reason to think less of it."""
_Read = TypeVar("_Read")
_LOWER = {Severity.SEVERE: Severity.MODERATE, Severity.MODERATE: Severity.MINOR, Severity.MINOR: Severity.MINOR}


@dataclass(slots=True)
class _Text:
    """Words of a text, where they stand in its folded form, and how some of them were changed.

    ``places`` are found when they are needed first. ``alone``: numbers of words that make up a whole disguised stretch.
    """

    folded: Folded
    words: list[str]
    places: list[tuple[int, int]] | None = None
    hows: dict[int, How] = field(default_factory=dict)
    alone: frozenset[int] = frozenset()

    def place(self, number: int) -> tuple[int, int]:
        if self.places is None:
            self.places = self.folded.places()
        return self.places[number]

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Where words stand in the original text."""
        return self.folded.origin(self.place(first)[0], self.place(last)[1])

    def ends_sentence(self, number: int) -> bool:
        """Whether a sentence ends between a word and the one after it."""
        between = self.folded.text[self.place(number)[1] : self.place(number + 1)[0]]
        return any(sign in between for sign in ".!?\n;")


@dataclass(frozen=True, slots=True)
class _Raw:
    """A phrase in a view: ``words`` are those of the view, ``numbers`` say which words of the text they were."""

    entry: Needle | Innocence
    text: _Text
    words: Sequence[str]
    numbers: Sequence[int]
    first: int
    last: int
    hows: tuple[How, ...]

    def span(self) -> tuple[int, int]:
        return self.text.span(self.numbers[self.first], self.numbers[self.last])


class Engine:
    """Looks for the phrases of policies. Raises nothing for any text."""

    def __init__(self, policies: Sequence[Policy], exclusions: Exclusions | None = None) -> None:
        self._table = Table()
        exclusions = Exclusions() if exclusions is None else exclusions
        self._compiled = Compiled(policies, exclusions, self._table)
        vocabulary = self._compiled.vocabulary
        self._sayings = exclusions.by_word()
        self._odd = OddWords(vocabulary, [*CANON, *FILLERS], self._compiled.pairs)
        self._disguises = Disguises(vocabulary.union(CANON), self._odd.known, self._odd.splits)
        self._empty: set[int] = set()

    def find(self, text: str, surface: Surface) -> list[Hit]:
        """Every hit, in the order of the text; of one term none that lies within another."""
        plain, addresses = cut(text, whole=surface in WHOLE_ADDRESSES)
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
        base = _Text(folded, folded.words())
        raws = [*self._look(base), *self._in_disguise(folded, base.words)]
        if not raws and not UNSPACED.search(folded.text):
            return
        innocent = [(raw.span(), raw.entry) for raw in raws if isinstance(raw.entry, Innocence)][:MOST_INNOCENT]
        judged: Counter[Sought] = Counter()
        for raw in raws:
            if isinstance(raw.entry, Needle) and _counts_on(raw.entry, surface, in_query=in_query):
                judged[raw.entry.sought] += 1
                if judged[raw.entry.sought] <= MOST_JUDGED:
                    hit = self._judged(raw, raw.entry, surface, innocent)
                    if hit is not None:
                        yield hit
        for entry, start, end in islice(self._compiled.scan_unspaced(folded.text), MOST_JUDGED):
            if isinstance(entry, Needle) and _counts_on(entry, surface, in_query=in_query):
                begins, ends = folded.origin(start, end)
                yield _as_written(entry, begins, ends)

    # Views

    def _look(self, text: _Text) -> Iterator[_Raw]:
        """Every phrase in a text: as it is, without fillers, with odd words replaced."""
        words = list(map(CANON.get, text.words, text.words))
        whole = range(len(words))
        yield from self._scan(text, words, whole, ())
        has_fillers = not FILLERS.isdisjoint(words)
        if has_fillers:
            yield from self._without_fillers(text, words, {}, 0)
        meant = self._readings(text.words) | _confused(words)
        for first, last in _near_each_other(sorted(meant), len(words)):
            numbers = range(first, last)
            odd = [number for number in numbers if number in meant]
            for chosen in _combined([meant[number] for number in odd]):
                changed, hows = _replaced(words[first:last], first, odd, chosen)
                yield from self._scan(text, changed, numbers, hows, only_changed=True)
                if has_fillers:
                    yield from self._without_fillers(text, changed, hows, first)

    def _scan(
        self, text: _Text, words: Sequence[str], numbers: Sequence[int], changed: Mapping[int, How] | tuple[()],
        *, only_changed: bool = False, between: bool = False,
    ) -> Iterator[_Raw]:  # fmt: skip
        """Every phrase in one view. ``changed`` says which words of the text were replaced, and how."""
        for entry, first, last in self._compiled.scan(words):
            touched = numbers[first : last + 1]
            hows = {changed[number] for number in touched if number in changed} if changed else set()
            if only_changed and not hows and not _looks_around(entry):
                continue
            if between:
                if touched[-1] - touched[0] == last - first:
                    continue
                hows.add(How.WORDS_BETWEEN)
            hows.update(text.hows[number] for number in touched if number in text.hows)
            yield _Raw(entry, text, words, numbers, first, last, tuple(sorted(hows, key=_ORDER.__getitem__)))

    def _without_fillers(
        self, text: _Text, words: Sequence[str], hows: Mapping[int, How], first: int
    ) -> Iterator[_Raw]:
        shorter = list(filterfalse(FILLERS.__contains__, words))
        if 1 < len(shorter) < len(words) and any(True for _ in self._compiled.scan(shorter)):
            kept = [number for number, word in enumerate(words, first) if word not in FILLERS]
            yield from self._scan(text, shorter, kept, hows, only_changed=bool(hows), between=True)

    def _readings(self, words: Sequence[str]) -> dict[int, tuple[Reading, ...]]:
        """By the number of an odd word, what may be meant by it."""
        odd: dict[str, tuple[Reading, ...]] = {}
        for word in set(words).difference(self._odd.known):
            if len(odd) < MOST_ODD and len(word) <= LONGEST_ODD and hash(word) not in self._empty:
                if readings := self._odd.readings(word):
                    odd[word] = readings
                elif len(self._empty) < MOST_EMPTY:
                    self._empty.add(hash(word))
        if not odd:
            return {}
        return {number: odd[word] for number, word in enumerate(words) if word in odd}

    def _in_disguise(self, folded: Folded, words: Sequence[str]) -> Iterator[_Raw]:
        """Every phrase around disguised stretches that has a word of one."""
        for window in _windows(self._disguises.stretches(folded.text, words)):
            for readings in _combined([stretch.readings for stretch in window]):
                text = _read(folded, window, readings)
                for raw in self._look(text):
                    touched = raw.numbers[raw.first : raw.last + 1]
                    if _looks_around(raw.entry) or any(number in text.hows for number in touched):
                        yield raw

    # Judging

    def _judged(
        self, raw: _Raw, needle: Needle, surface: Surface, innocent: Sequence[tuple[tuple[int, int], Innocence]]
    ) -> Hit | None:
        """What a phrase in a view is worth; ``None`` if it does not count."""
        start, end = raw.span()
        written = raw.text.folded.original[start:end]
        hows = raw.hows or (self._how(needle, raw, written),)
        if not _is_written_well_enough(needle, raw, hows, written) or not _counts_among(raw, needle):
            return None
        term = needle.sought.term
        if any(_covers(span, innocence, start, end, term) for span, innocence in innocent):
            return None
        if _is_about_help(surface, term.personal, innocent):
            return None
        severity, why = _severity(needle, hows, _wider(raw))
        tried = self._tried(needle, innocent)
        return Hit(
            needle.sought.policy, term, needle.phrase, start, end, hows, severity, why, tried,
            " ".join(raw.words[raw.first : raw.last + 1]),
        )  # fmt: skip

    def _how(self, needle: Needle, raw: _Raw, written: str) -> How:
        if " ".join(written.lower().split()) == " ".join(needle.phrase.lower().split()):
            return How.EXACT
        plain = Folded(needle.phrase, self._table).words()
        numbers = raw.numbers[raw.first : raw.last + 1]
        return How.FOLDED if [raw.text.words[number] for number in numbers] == plain else How.TEXT_SPEAK

    def _tried(self, needle: Needle, innocent: Iterable[tuple[tuple[int, int], Innocence]]) -> tuple[str, ...]:
        """Exclusions with a word of the phrase in them, and the term's own, none of which applied."""
        saying = [told for word in self._compiled.words(needle.phrase) for told in self._sayings.get(word, ())]
        around = (innocence.phrase for _, innocence in innocent if innocence.why is not Innocent.NAME)
        several = dict.fromkeys((*needle.sought.term.unless, *around, *saying))
        return tuple(sorted(several, key=lambda told: told != NAMES))[:MOST_TRIED]


_HOWS = {
    "repeat": How.REPEATED, "dropped g": How.DROPPED_G, "edit": How.EDIT, "joined": How.JOINED,
    "confused": How.CONFUSED, "spaced": How.SPACED, "leet": How.LEET, "masked": How.MASKED,
}  # fmt: skip
_ORDER = {how: number for number, how in enumerate(How)}


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
) -> tuple[list[str], dict[int, How]]:
    """Words, the first of which has a number, with some of them replaced; and how those were written."""
    hows: dict[int, How] = {}
    for number, reading in zip(numbers, readings, strict=True):
        words[number - first] = " ".join(CANON.get(word, word) for word in reading.words.split())
        hows[number] = _HOWS[reading.how]
    return words, hows


def _combined(readings: Sequence[Sequence[_Read]]) -> Iterator[tuple[_Read, ...]]:
    """One reading of each: all together if they are few, likely ones first; else the first, the second, ... of all."""
    if prod(map(len, readings)) <= MOST_COMBINED:
        yield from product(*readings)
        return
    for number in range(min(MOST_ROUNDS, max(map(len, readings)))):
        yield tuple(found[min(number, len(found) - 1)] for found in readings)


def _windows(stretches: Sequence[Stretch]) -> Iterator[list[Stretch]]:
    """Stretches that stand so near each other that they are read together."""
    window: list[Stretch] = []
    for stretch in stretches:
        if window and stretch.start - window[-1].end > WINDOW:
            yield window
            window = []
        window.append(stretch)
    if window:
        yield window


def _read(folded: Folded, window: Sequence[Stretch], readings: Sequence[str]) -> _Text:
    """The words around some stretches, each of which is read as said."""
    text = _Text(folded, [], [])
    assert text.places is not None
    alone: set[int] = set()
    at = max(0, window[0].start - WINDOW)
    at = folded.text.rfind(" ", 0, at) + 1 if at else 0
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


def _looks_around(entry: Needle | Innocence) -> bool:
    """Whether a word that was changed near a phrase may make it count."""
    return isinstance(entry, Needle) and bool(entry.sought.term.near)


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


def _is_written_well_enough(needle: Needle, raw: _Raw, hows: Sequence[How], written: str) -> bool:
    """Whether a phrase that was written in this way still says enough."""
    return _strict_enough(needle, raw, hows) and (needle.words > 1 or _is_telling(needle, hows, written))


def _counts_among(raw: _Raw, needle: Needle) -> bool:
    """Whether the words around a phrase let it count."""
    sought, term = needle.sought, needle.sought.term
    if term.near:
        before, after = _around(raw, term.within)
        if not sought.near.among([*before, "|", *_joined_to(raw, needle), "|", *after]):
            return False
    sentence = _sentence(raw)
    if sought.unless.among(sentence):
        return False
    may_be_foreign = needle.words == 1 and term.language == "en" and sought.policy.category not in SELF
    return not (may_be_foreign and is_foreign(sentence))


def _joined_to(raw: _Raw, needle: Needle) -> Sequence[str]:
    """Words that were written together with the phrase: of "sendnudes" the phrase "nudes" is joined to "send"."""
    inside = " ".join(raw.words[raw.first : raw.last + 1]).split()
    return inside if len(inside) > needle.words else ()


def _strict_enough(needle: Needle, raw: _Raw, hows: Sequence[How]) -> bool:
    """Short phrases count only as they are written, or as a whole run of single letters."""
    if not is_exact(needle):
        return True
    if all(how in (How.EXACT, How.FOLDED) for how in hows):
        return True
    numbers = raw.numbers[raw.first : raw.last + 1]
    return needle.is_short and hows == (How.SPACED,) and all(number in raw.text.alone for number in numbers)


def _is_telling(needle: Needle, hows: Sequence[How], written: str) -> bool:
    """Whether a single word, written in this way, says enough: nothing beside it shows that it was meant.

    A word of five letters may have two neighbours swapped or a letter doubled, one of six any letter wrong, and be
    joined to another word. What was guessed in two ways at once may be anything. A word with a capital is a name more
    often than a misspelt word.
    """
    if not GUESSED.intersection(hows):
        return True
    if written[:1].isupper() and written[1:].islower():
        return False
    letters = len(needle.phrase)
    if How.EDIT in hows:
        same = sorted(squeeze(written.lower())) == sorted(squeeze(needle.phrase.lower()))
        return len(hows) == 1 and (letters >= FEWEST_IF_EDITED or (letters >= FEWEST_IF_SWAPPED and same))
    if How.JOINED in hows:
        return letters >= FEWEST_IF_JOINED
    return letters >= FEWEST_IF_MASKED or How.MASKED not in hows


def _around(raw: _Raw, within: int) -> tuple[Sequence[str], Sequence[str]]:
    """The words of the view before and after a phrase, as far as its sentence goes, or the next one goes on about
    it."""
    before, after = raw.first, raw.last
    while before > 0 and raw.first - before < within and not _breaks(raw, before - 1):
        before -= 1
    while after < len(raw.words) - 1 and after - raw.last < within:
        if _breaks(raw, after) and REFERS_BACK.isdisjoint(raw.words[after + 1 : after + 1 + within]):
            break
        after += 1
    return raw.words[before : raw.first], raw.words[raw.last + 1 : after + 1]


def _breaks(raw: _Raw, number: int) -> bool:
    return raw.text.ends_sentence(raw.numbers[number])


def _sentence(raw: _Raw) -> Sequence[str]:
    before, after = _around(raw, AROUND)
    return [*before, *raw.words[raw.first : raw.last + 1], *after]


def _wider(raw: _Raw) -> Sequence[str]:
    """The words of the view that say what the text is about, whichever sentence they stand in."""
    return raw.words[max(0, raw.first - AROUND) : raw.last + AROUND]


def _covers(span: tuple[int, int], innocence: Innocence, start: int, end: int, term: Term) -> bool:
    """Whether a hit lies within something innocent.

    Whoever watches for a name finds it, though it is a name. What the school itself names, a pupil or a book, never
    covers what somebody says of their own life.
    """
    if not (span[0] <= start and end <= span[1]):
        return False
    if innocence.why is Innocent.NAME and span == (start, end):
        return False
    is_plea = term.personal and term.severity is Severity.SEVERE
    return not (is_plea and innocence.why in (Innocent.NAME, Innocent.TITLE))


def _is_about_help(surface: Surface, personal: bool, innocent: Iterable[tuple[tuple[int, int], Innocence]]) -> bool:
    """Whether somebody looks for help: nothing of that is anybody's business, unless they say what they are about to
    do."""
    if surface in (Surface.TYPED, Surface.EMAIL) or (personal and surface in (Surface.SEARCH, Surface.ADDRESS)):
        return False
    return any(innocence.why is Innocent.HELP for _, innocence in innocent)


def _severity(needle: Needle, hows: Sequence[How], around: Sequence[str]) -> tuple[Severity, str]:
    policy, term = needle.sought.policy, needle.sought.term
    severity = term.severity
    if not term.personal and severity is not Severity.MINOR and is_lesson(around):
        return (
            Severity.MINOR,
            f"The term is {severity.label}; the words around it are those of a lesson, a book, news or a game.",
        )
    guessed = any(how.is_guess for how in hows)
    if guessed and not term.personal and policy.category not in SELF and severity is not Severity.MINOR:
        lower = _LOWER[severity]
        return lower, f"The term is {severity.label}; one step less, because another word may have been meant."
    return severity, severity.rule


def _as_written(needle: Needle, start: int, end: int) -> Hit:
    sought = needle.sought
    severity = sought.term.severity
    return Hit(sought.policy, sought.term, needle.phrase, start, end, (How.EXACT,), severity, severity.rule)


def _distinct(hits: Iterable[Hit]) -> list[Hit]:
    """The plainest hit of each term at each place, and of one term none that lies within another."""
    kept: dict[tuple[str, str], list[Hit]] = {}
    for hit in sorted(hits, key=lambda hit: (_ORDER[hit.how], len(hit.hows), hit.start - hit.end)):
        others = kept.setdefault((hit.policy.name, hit.term.id), [])
        if not any(hit.start < other.end and other.start < hit.end for other in others):
            others.append(hit)
    found = [hit for hits_of_term in kept.values() for hit in hits_of_term]
    return sorted(found, key=lambda hit: (hit.start, hit.end, hit.severity.rank))
