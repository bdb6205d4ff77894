"""The words around a hit: whether they make it count, make it innocent, or make it a lesson."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import NamedTuple

from .english import SMALL
from .folding import Table
from .prepared import BEGINS, neighbour_lines
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
    "documentary newspaper journalist minister convicted sentenced jailed "
    "lyrics pshe synonym grammar species evolution bible gospel psalm apartheid holocaust nuremberg reich chancellor "
    "author novel novels playwrights quotation protagonist symbolism theme themes".split()
)
"""Words that stand in lessons, news and books far more often than where a child is in danger."""
GAMES = frozenset("minecraft fortnite roblox gta respawn respawning".split())
PLAYED = frozenset({"weapons", "drugs", "illegal", "suicide", "self_harm"})
"""What there is in games. What is said to each other in their chats is said to a child as anywhere else."""

FOREIGN = frozenset(
    "le la les des une est dans pour pas avec sur je tu nous vous ils elle mais ou et du au aux ce cette mon ma ses "
    "der das und ist nicht ein eine mit auf dem von zu ich du wir ihr sie aber oder wenn sind gute "
    "el los las una es en por para con su que y pero como mi il lo gli di che non un sono per del della "
    "och att det som en pa med av till ar inte vi ses han hon jag du hvilket liker paa "
    "skolen ikke jeg er deg "
    "het een van voor niet ik je zijn naar nie jest sie na jak co to ze czy pod o os as um uma nao com".split()
)
"""Small words of other languages in which English words of harm are harmless: "en retard", "hvilket fag"."""
LONG = 6
"""Letters of words that are not long yet."""
LONG_SHARE = 0.2
"""What pupils write to each other has half as many long words, reports and speeches have more."""
MYSELF = frozenset("i me my myself mine".split())
MYSELF_SHARE = 0.04
FEWEST_FORMAL = 40
"""Words from which on a share says something."""
OLD = frozenset("thee thou thy thine hath hast doth saith unto shalt whosoever behold wherefore".split())
FEWEST_OLD = 2
"""Words that nobody says any more, of which one alone may be a joke."""


class _Part(NamedTuple):
    """A word of a neighbour; or, with ``is_beginning``, every word that begins so."""

    word: str
    is_beginning: bool

    def fits(self, word: str) -> bool:
        """Whether a word of a text is meant."""
        return word.startswith(self.word) if self.is_beginning else word == self.word


_Phrase = tuple[_Part, ...]


class _Sought(NamedTuple):
    """Single words, single beginnings, what follows the first word of phrases, and the few with a beginning in them.

    ``lengths``: how many words may follow. ``longest``: the single words and the longest of each phrase, one of which
    must be there; ``may_begin``: the same for beginnings. ``every``, ``every_beginning``: all that occur.
    """

    words: frozenset[str]
    beginnings: tuple[str, ...]
    after: Mapping[str, Collection[str]]
    lengths: Sequence[int]
    loose: Sequence[_Phrase]
    longest: frozenset[str]
    may_begin: tuple[str, ...]
    every: frozenset[str]
    every_beginning: tuple[str, ...]


class Around:
    """Words or phrases of which one must, or must not, stand near a hit. ``hat*``: whatever begins with hat."""

    def __init__(self, phrases: Sequence[str]) -> None:
        self._phrases = phrases

    @cached_property
    def _sought(self) -> _Sought:
        """Made when it is needed first: most terms are never found. No regular expression: of some thousand phrases it
        takes seconds to be made.
        """
        lines = neighbour_lines(self._phrases, Table())
        plain = [line for line in lines if line and BEGINS not in line]
        loose = [_parts(line) for line in lines if BEGINS in line]
        words = {line for line in plain if " " not in line}
        after: dict[str, set[str]] = {}
        lengths: set[int] = set()
        longest = set(words)
        for line in plain:
            first, _, rest = line.partition(" ")
            if rest:
                after.setdefault(first, set()).add(rest)
                lengths.add(rest.count(" ") + 1)
                longest.add(max(line.split(), key=len))
        longest_loose = [max(parts, key=_length) for parts in loose]
        every_loose = {part for parts in loose for part in parts}
        return _Sought(
            frozenset(words),
            tuple({parts[0].word for parts in loose if len(parts) == 1}),
            after,
            sorted(lengths),
            [parts for parts in loose if len(parts) > 1],
            frozenset(longest.union(one.word for one in longest_loose if not one.is_beginning)),
            tuple({one.word for one in longest_loose if one.is_beginning}),
            frozenset(" ".join(plain).split()).union(one.word for one in every_loose if not one.is_beginning),
            tuple({one.word for one in every_loose if one.is_beginning}),
        )

    def has_one_of(self, words: Collection[str]) -> bool:
        """Whether one of some words is a word of them."""
        return bool(self._phrases) and (
            not self._sought.every.isdisjoint(words) or _any_begins(words, self._sought.every_beginning)
        )

    def may_be_among(self, words: Sequence[str]) -> bool:
        """Whether the longest word of one of them stands there, which is rarely so and quickly seen."""
        if not self._phrases:
            return False
        sought = self._sought
        return not sought.longest.isdisjoint(words) or _any_begins(words, sought.may_begin)

    def among(self, words: Sequence[str]) -> bool:
        """Whether one of them stands among canonical words, each of which is one word."""
        if not self.may_be_among(words):
            return False
        sought = self._sought
        return (
            not sought.words.isdisjoint(words)
            or _any_begins(words, sought.beginnings)
            or any(
                " ".join(words[at : at + length]) in sought.after[word]
                for at, word in enumerate(words, 1)
                if word in sought.after
                for length in sought.lengths
            )
            or any(_stands(phrase, words, at) for phrase in sought.loose for at in range(len(words)))
        )

    def within_unspaced(self, text: str) -> str:
        """The first of them that stands in text without blanks; empty if none does."""
        return next((one for one in self._solid if one in text), "")

    @cached_property
    def _solid(self) -> Sequence[str]:
        """Without blanks."""
        lines = neighbour_lines(self._phrases, Table())
        return [line.replace(" ", "").replace(BEGINS, "") for line in lines if line]

    def which(self, words: Sequence[str]) -> str:
        """The first of them that stands among canonical words, as it stands there; empty if none does."""
        sought = self._sought
        for at, word in enumerate(words):
            for length in reversed(sought.lengths if word in sought.after else ()):
                if " ".join(words[at + 1 : at + 1 + length]) in sought.after[word]:
                    return " ".join(words[at : at + 1 + length])
            for phrase in sought.loose:
                if _stands(phrase, words, at):
                    return " ".join(words[at : at + len(phrase)])
            if word in sought.words or word.startswith(sought.beginnings):
                return word
        return ""


def _any_begins(words: Iterable[str], beginnings: tuple[str, ...]) -> bool:
    return bool(beginnings) and any(word.startswith(beginnings) for word in words)


def _length(part: _Part) -> int:
    return len(part.word)


def _stands(phrase: _Phrase, words: Sequence[str], at: int) -> bool:
    return len(words) - at >= len(phrase) and all(part.fits(words[at + place]) for place, part in enumerate(phrase))


def _parts(line: str) -> _Phrase:
    """A phrase in its parts, at least one of which is a beginning."""
    return tuple(
        _Part(plain, written.endswith(BEGINS))
        for written in line.split()
        for plain in canonical(written.removesuffix(BEGINS)).split()
    )


def is_lesson(around: Iterable[str], category: str) -> bool:
    """Whether words around a hit of a category are those of a lesson, a book, news, or a game that has such things."""
    around = list(around)
    return not LESSON.isdisjoint(around) or (category in PLAYED and not GAMES.isdisjoint(around))


def is_formal(around: Sequence[str]) -> bool:
    """Whether words around a hit are those of a report, a law, news or a dictionary, and nobody speaks of themselves;
    or of an old book.

    Goes by the share of long words (more than six letters), as the readability index LIX does (Björnsson 1968).
    """
    if sum(word in OLD for word in around) >= FEWEST_OLD:
        return True
    if len(around) < FEWEST_FORMAL:
        return False
    long = sum(len(word) > LONG for word in around)
    return long >= len(around) * LONG_SHARE and sum(word in MYSELF for word in around) < len(around) * MYSELF_SHARE


def is_foreign(around: Sequence[str]) -> bool:
    """Whether words around a hit are mostly another language's."""
    foreign, english = _small_words(around)
    return foreign > 1 and foreign > english


def is_english(around: Sequence[str]) -> bool:
    """Whether words around a hit are mostly English ones."""
    foreign, english = _small_words(around)
    return english > foreign


def _small_words(around: Sequence[str]) -> tuple[int, int]:
    """How many small words are of other languages alone, and how many are English."""
    return sum(word in FOREIGN and word not in SMALL for word in around), sum(word in SMALL for word in around)
