"""The words around a hit: whether they make it count, make it innocent, or make it a lesson."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from .folding import Table, folded_lines
from .textspeak import canonical

AROUND = 30
"""Words on each side that say what a text is about."""

LESSON = frozenset(
    "essay essays chapter shakespeare macbeth hamlet romeo juliet poem poems poet poetry century bbc "
    "museum treaty parliament "
    "homework worksheet revision gcse textbook paragraph discuss analyse analyze playwright historian "
    "historians empire "
    "medieval victorian tudor leaflet leaflets campaign charity awareness prevention helpline helplines "
    "researchers research "
    "documentary newspaper journalist minister convicted sentenced jailed minecraft fortnite roblox gta "
    "respawn respawning "
    "lyrics pshe synonym grammar species evolution bible gospel psalm apartheid holocaust nuremberg reich chancellor "
    "author novel novels playwrights quotation protagonist symbolism theme themes".split()
)
"""Words that stand in lessons, news, books and games far more often than where a child is in danger."""

FOREIGN = frozenset(
    "le la les des une est dans pour pas avec sur je tu nous vous ils elle mais ou et du au aux ce cette mon ma ses "
    "der das und ist nicht ein eine mit auf dem von zu ich du wir ihr sie aber oder wenn sind gute "
    "el los las una es en por para con su que y pero como mi il lo gli di che non un sono per del della "
    "och att det som en pa med av till ar inte vi ses han hon jag du hvilket liker paa "
    "skolen ikke jeg er deg "
    "het een van voor niet ik je zijn naar nie jest sie na jak co to ze czy pod o os as um uma nao com".split()
)
"""Small words of other languages in which English words of harm are harmless: "en retard", "hvilket fag"."""
ENGLISH = frozenset(
    "the a an is are was were i you he she it we they my your his her our their this that of to in on at "
    "for with and or but "
    "not do does did have has had be been am will would can could what who how why when where so like "
    "just me him them us "
    "all no yes if up out go get got from by about as".split()
)


class _Part(NamedTuple):
    """A word of a neighbour; or, with ``is_beginning``, every word that begins so."""

    word: str
    is_beginning: bool

    def fits(self, word: str) -> bool:
        """Whether a word of a text is meant."""
        return word.startswith(self.word) if self.is_beginning else word == self.word


_Phrase = tuple[_Part, ...]
_MARK = "0begins0"
"""Stands for the asterisk while phrases are folded."""


class _After:
    """What goes on after the first word of phrases."""

    def __init__(self, phrases: Sequence[_Phrase]) -> None:
        plain = [phrase for phrase in phrases if not any(part.is_beginning for part in phrase)]
        self._texts = frozenset([" ".join([part.word for part in phrase]) for phrase in plain])
        self._lengths = sorted({len(phrase) for phrase in plain})
        self._loose = [phrase for phrase in phrases if any(part.is_beginning for part in phrase)]

    def stands(self, words: Sequence[str], at: int) -> bool:
        """Whether it stands among words from a place on."""
        return any(" ".join(words[at : at + length]) in self._texts for length in self._lengths) or any(
            _goes_on(phrase, words, at) for phrase in self._loose
        )


class _Sought(NamedTuple):
    """Single words, single beginnings, phrases by their first word, and the few that start with a beginning.

    ``longest``: the single words and the longest of each phrase, one of which must be there; ``may_begin``: the same
    for beginnings.
    """

    words: frozenset[str]
    beginnings: tuple[str, ...]
    phrases: Mapping[str, _After]
    loose: Sequence[_Phrase]
    longest: frozenset[str]
    may_begin: tuple[str, ...]


class Around:
    """Words or phrases of which one must, or must not, stand near a hit. ``hat*``: whatever begins with hat."""

    def __init__(self, phrases: Sequence[str]) -> None:
        self._phrases = phrases

    @cached_property
    def _sought(self) -> _Sought:
        """Made when it is needed first: most terms are never found. No regular expression: of some thousand phrases it
        takes seconds to be made.
        """
        words: set[str] = set()
        beginnings: set[str] = set()
        after: dict[str, list[_Phrase]] = {}
        loose: list[_Phrase] = []
        longest: set[_Part] = set()
        for phrase in filter(None, _parts_of_all(self._phrases)):
            first, *rest = phrase
            longest.add(max(phrase, key=_length))
            if not rest:
                (beginnings if first.is_beginning else words).add(first.word)
            elif first.is_beginning:
                loose.append(phrase)
            else:
                after.setdefault(first.word, []).append(tuple(rest))
        return _Sought(
            frozenset(words),
            tuple(beginnings),
            {word: _After(rests) for word, rests in after.items()},
            loose,
            frozenset(one.word for one in longest if not one.is_beginning),
            tuple({one.word for one in longest if one.is_beginning}),
        )

    def may_be_among(self, words: Sequence[str]) -> bool:
        """Whether the longest word of one of them stands there, which is rarely so and quickly seen."""
        if not self._phrases:
            return False
        sought = self._sought
        return not sought.longest.isdisjoint(words) or (
            bool(sought.may_begin) and any(word.startswith(sought.may_begin) for word in words)
        )

    def among(self, words: Sequence[str]) -> bool:
        """Whether one of them stands among canonical words, each of which is one word."""
        if not self.may_be_among(words):
            return False
        sought = self._sought
        return (
            not sought.words.isdisjoint(words)
            or (bool(sought.beginnings) and any(word.startswith(sought.beginnings) for word in words))
            or any(sought.phrases[word].stands(words, at) for at, word in enumerate(words, 1) if word in sought.phrases)
            or any(
                word.startswith(first.word) and _goes_on(rest, words, at)
                for first, *rest in sought.loose
                for at, word in enumerate(words, 1)
            )
        )


def _length(part: _Part) -> int:
    return len(part.word)


def _goes_on(rest: Sequence[_Part], words: Sequence[str], at: int) -> bool:
    return len(words) - at >= len(rest) and all(part.fits(words[at + place]) for place, part in enumerate(rest))


def _parts_of_all(phrases: Sequence[str]) -> set[_Phrase]:
    """Phrases in their parts."""
    marked = [phrase.replace("*", _MARK) for phrase in phrases]
    return {
        tuple(
            _Part(plain, written.endswith(_MARK))
            for written in words
            for plain in canonical(written.removesuffix(_MARK)).split()
        )
        for words in folded_lines(marked, Table())
    }


def is_lesson(around: Iterable[str]) -> bool:
    """Whether words around a hit are those of a lesson, a book, news or a game."""
    return not LESSON.isdisjoint(around)


def is_foreign(around: Sequence[str]) -> bool:
    """Whether words around a hit are mostly another language's."""
    foreign = sum(word in FOREIGN and word not in ENGLISH for word in around)
    return foreign > 1 and foreign > sum(word in ENGLISH for word in around)
