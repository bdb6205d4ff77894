"""Where phrases stand: a text as words, a match in one of its views, and the words around it."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .context import AROUND
from .folding import Folded
from .hits import ORDER, How

PUT_TOGETHER = frozenset({How.SPACED})
SPEAKS_AGAINST = 10
"""Words on each side of a phrase of which one may speak against it. A child writes forty words without a full stop, and
what else it tells of school or the dog excuses nothing."""
CONJUNCTIONS = frozenset("and but so then because".split())
SUBJECTS = frozenset("i he she they we you my his her their our your".split())
"""Words with which something else is told, after a conjunction."""
REFERS_BACK = frozenset(["they", "them", "their", "theirs", "themselves", "those", "these"])
"""Words with which a sentence goes on about those of the sentence before: "They came back. I like *them*."."""


@dataclass(slots=True)
class Text:
    """Words of a text, where they stand in its folded form, and how some of them were changed.

    ``places`` are found when they are needed first. ``alone``: numbers of words that make up a whole disguised stretch.
    """

    folded: Folded
    words: list[str]
    places: list[tuple[int, int]] | None = None
    hows: dict[int, frozenset[How]] = field(default_factory=dict)
    alone: frozenset[int] = frozenset()
    _last_words: dict[bool, Sequence[int]] = field(default_factory=dict)

    def place(self, number: int) -> tuple[int, int]:
        """Where a word stands in the folded text."""
        return self._all_places()[number]

    def _all_places(self) -> list[tuple[int, int]]:
        if self.places is None:
            self.places = self.folded.places()
        return self.places

    def span(self, first: int, last: int) -> tuple[int, int]:
        """Where words stand in the original text."""
        return self.folded.origin(self.place(first)[0], self.place(last)[1])

    def may_be_one(self, number: int) -> bool:
        """Whether only blanks stand between a word and the next."""
        (_, end), (start, _) = self.place(number), self.place(number + 1)
        between = self.folded.text[end:start]
        return end < start and between.isspace() and "\n" not in between

    def put_together(self, first: int, last: int, numbers: Collection[int]) -> Text:
        """Its words from ``first`` up to ``last``, with some of them and the next each as one."""
        text = Text(self.folded, [], [])
        assert text.places is not None
        joined = -1
        for number in range(first, last):
            (start, end), word = self.place(number), self.words[number]
            if number - 1 in numbers and first < number != joined + 1:
                joined = number
                (start, _), before = text.places.pop(), text.words.pop()
                word = before + word
                text.hows[len(text.words)] = PUT_TOGETHER.union(
                    *[self.hows.get(one, ()) for one in (number - 1, number)]
                )
            elif number in self.hows:
                text.hows[len(text.words)] = self.hows[number]
            text.words.append(word)
            text.places.append((start, end))
        return text

    def last_words(self, *, flowing: bool = False) -> Sequence[int]:
        """The words after each of which a sentence ends, in order. ``flowing``: not where lines were wrapped."""
        if flowing not in self._last_words:
            self._last_words[flowing] = (
                self.folded.last_words(flowing=flowing) if self.places is None else self._last_of(self.places, flowing)
            )
        return self._last_words[flowing]

    def _last_of(self, places: Sequence[tuple[int, int]], flowing: bool) -> list[int]:
        begins = [start for start, _ in places]
        signs = self.folded.ends_of_sentences(begins[0], begins[-1], flowing=flowing)
        before = ((bisect_left(begins, sign) - 1, sign) for sign in signs)
        return sorted({word for word, sign in before if places[word][1] <= sign})


@dataclass(slots=True, eq=False)
class Match:
    """A place in a view where phrases stand: ``words`` are those of the view, none of which has a blank, ``numbers``
    say which words of the text they were, ``hows`` how those were written that were changed. What stands around it is
    looked up once for all terms that have the phrase.
    """

    text: Text
    words: Sequence[str]
    numbers: Sequence[int]
    first: int
    last: int
    hows: tuple[How, ...]
    _beside: dict[int, Sequence[str]] = field(default_factory=dict)
    _near: dict[tuple[int, bool], Sequence[str]] = field(default_factory=dict)
    _sentence: Sequence[str] | None = None
    _clause: Sequence[str] | None = None

    @classmethod
    def of(
        cls, text: Text, words: Sequence[str], numbers: Sequence[int], first: int, last: int, hows: frozenset[How]
    ) -> Match:
        """A match in which words were changed in some ways, and maybe more of them in its text."""
        if text.hows:
            hows = hows.union(*[text.hows[number] for number in numbers[first : last + 1] if number in text.hows])
        in_order = tuple(sorted(hows, key=ORDER.__getitem__)) if hows else ()
        return cls(text, words, numbers, first, last, in_order)

    @property
    def touched(self) -> Sequence[int]:
        """The numbers of its words in the text."""
        return self.numbers[self.first : self.last + 1]

    def said(self) -> str:
        """Its words, as they were read."""
        return " ".join(self.words[self.first : self.last + 1])

    def span(self) -> tuple[int, int]:
        """Where it stands in the original text."""
        return self.text.span(self.numbers[self.first], self.numbers[self.last])

    def begins_sentence(self) -> bool:
        """Whether it is the beginning of a sentence."""
        number = self.numbers[self.first]
        return number == 0 or number - 1 in self.text.last_words()

    def crosses_sentences(self) -> bool:
        """Whether it begins in one sentence and ends in the next: "I want to. Die rolls count twice". What is written
        with a full stop behind every word ("I. Want. To.") is one sentence."""
        numbers = list(dict.fromkeys(self.touched))
        broken = [self._are_apart(first, second) for first, second in pairwise(numbers)]
        return any(broken) and not (all(broken) and self.begins_sentence())

    def _are_apart(self, first: int, second: int) -> bool:
        """Whether a sign that ends a sentence stands between two words, the second of which has a capital."""
        (_, end), (start, stop) = self.text.place(first), self.text.place(second)
        folded = self.text.folded
        if all(folded.text[sign] == "\n" for sign in folded.ends_of_sentences(end, start)):
            return False
        begins, ends = folded.origin(start, stop)
        word = folded.original[begins:ends]
        return word[:1].isupper() and (len(word) == 1 or not word.isupper())

    def beside(self, within: int) -> Sequence[str]:
        """All that ``near`` may give, and more: words of other sentences too. Found in a tenth of the time."""
        if within not in self._beside:
            begin, end = self._reach(within)
            self._beside[within] = self.words[begin:end]
        return self._beside[within]

    def near(self, within: int, length: int) -> Sequence[str]:
        """The words beside it. Those that were written together with it count too: of "sendnudes" the phrase "nudes",
        of one word, is joined to "send".
        """
        said = self.words[self.first : self.last + 1]
        key = within, len(said) > length
        if key not in self._near:
            before, after = self._around(within)
            inside = said if key[1] else []
            self._near[key] = [*before, "|", *inside, "|", *after]
        return self._near[key]

    def sentence(self) -> Sequence[str]:
        """The words beside it, and its own, as far as its sentence goes."""
        if self._sentence is None:
            before, after = self._around(AROUND, flowing=True)
            self._sentence = [*before, *self.words[self.first : self.last + 1], *after]
        return self._sentence

    def clause(self) -> Sequence[str]:
        """Its own words and the few beside it that may speak against it: as far as nothing new is told ("and I ...").

        These may stand on the line above, where the sentence was wrapped; what has to stand near it may not, because
        more is found so in wrapped text that means nothing."""
        if self._clause is None:
            before, after = self._around(SPEAKS_AGAINST, flowing=True)
            own = self.words[self.first : self.last + 1]
            earlier = [*before, own[0]]
            begin = max((at for at in range(1, len(earlier)) if _begins_anew(earlier[at - 1 : at + 1])), default=0)
            end = min((at for at in range(len(after) - 1) if _begins_anew(after[at : at + 2])), default=len(after))
            self._clause = [*before[begin:], *own, *after[:end]]
        return self._clause

    def wider(self) -> Sequence[str]:
        """The words of the view that say what the text is about, whichever sentence they stand in."""
        return self.words[max(0, self.first - AROUND) : self.last + AROUND]

    def _reach(self, within: int) -> tuple[int, int]:
        """From where up to where so many words beside it stand: words as they were written, of which one may be several
        here, and without those that were left out."""
        numbers, first, last = self.numbers, self.first, self.last
        begin, end = first - within, last + 1 + within
        if not isinstance(numbers, range):
            begin = min(begin, bisect_left(numbers, numbers[first] - within))
            end = max(end, bisect_right(numbers, numbers[last] + within))
        return max(0, begin), min(len(self.words), end)

    def _around(self, within: int, *, flowing: bool = False) -> tuple[Sequence[str], Sequence[str]]:
        """The words of the view before and after a phrase, as far as its sentence goes, or the next one goes on about
        it."""
        breaks, numbers = self.text.last_words(flowing=flowing), self.numbers
        earlier = bisect_left(breaks, numbers[self.first])
        begin = bisect_right(numbers, breaks[earlier - 1]) if earlier else 0
        reaches_from, reaches_to = self._reach(within)
        before = max(begin, reaches_from)
        after = reaches_to - 1
        for later in range(bisect_left(breaks, numbers[self.last]), len(breaks)):
            last = bisect_right(numbers, breaks[later]) - 1
            if last >= after:
                break
            if REFERS_BACK.isdisjoint(self.words[last + 1 : last + 1 + within]):
                after = last
                break
        return self.words[before : self.first], self.words[self.last + 1 : after + 1]


def _begins_anew(words: Sequence[str]) -> bool:
    """Whether something else is told from a conjunction on."""
    return words[0] in CONJUNCTIONS and words[1] in SUBJECTS
