"""The words around a hit: whether they make it count, make it innocent, or make it a lesson."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from .folding import Table, folded_words
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


class Around:
    """Words or phrases of which one must, or must not, stand near a hit. ``hat*``: whatever begins with hat."""

    def __init__(self, phrases: Sequence[str]) -> None:
        self._phrases = phrases

    @cached_property
    def _sought(self) -> tuple[frozenset[str], tuple[str, ...], Mapping[str, Sequence[Sequence[_Part]]]]:
        """Single words, single beginnings, and phrases by their first letter. Made when they are needed first: most
        terms are never found. No regular expression: of some thousand phrases it takes seconds to be made.
        """
        words: set[str] = set()
        beginnings: set[str] = set()
        phrases: dict[str, list[Sequence[_Part]]] = defaultdict(list)
        table = Table()
        for parts in {_parts(phrase, table) for phrase in self._phrases} - {()}:
            if len(parts) > 1:
                phrases[parts[0].word[0]].append(parts)
            elif parts[0].is_beginning:
                beginnings.add(parts[0].word)
            else:
                words.add(parts[0].word)
        return frozenset(words), tuple(beginnings), phrases

    def among(self, words: Sequence[str]) -> bool:
        """Whether one of them stands among canonical words."""
        if not self._phrases:
            return False
        singles, beginnings, phrases = self._sought
        plain = " ".join(words).split()
        return (
            not singles.isdisjoint(plain)
            or any(word.startswith(beginnings) for word in plain)
            or any(
                _stands(parts, plain[number : number + len(parts)])
                for number, word in enumerate(plain)
                for parts in phrases.get(word[0], ())
            )
        )


def _stands(parts: Sequence[_Part], words: Sequence[str]) -> bool:
    return len(words) == len(parts) and all(part.fits(word) for part, word in zip(parts, words, strict=True))


def _parts(phrase: str, table: Table) -> tuple[_Part, ...]:
    return tuple(
        _Part(plain, written.endswith("*"))
        for written in phrase.split()
        for word in folded_words(written, table)
        for plain in canonical(word).split()
    )


def is_lesson(around: Iterable[str]) -> bool:
    """Whether words around a hit are those of a lesson, a book, news or a game."""
    return not LESSON.isdisjoint(around)


def is_foreign(around: Sequence[str]) -> bool:
    """Whether words around a hit are mostly another language's."""
    foreign = sum(word in FOREIGN and word not in ENGLISH for word in around)
    return foreign > 1 and foreign > sum(word in ENGLISH for word in around)
