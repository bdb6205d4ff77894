"""The words around a hit: whether they make it count, make it innocent, or make it a lesson."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cached_property

from .folding import words
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
    "der die das und ist nicht ein eine mit auf dem den von zu ich du wir ihr sie aber oder wenn hat sind gute "
    "el los las una es en por para con no su que y pero como mi il lo gli di che non un sono per del della "
    "och att det som en pa for med av till ar inte om vi ses han hon jag du hvilket liker best paa "
    "skolen ikke jeg er deg "
    "het een van voor niet ik je zijn naar met nie jest sie na jak co to ze czy pod o os as um uma nao com".split()
)
"""Small words of other languages in which English words of harm are harmless: "en retard", "hvilket fag"."""
ENGLISH = frozenset(
    "the a an is are was were i you he she it we they my your his her our their this that of to in on at "
    "for with and or but "
    "not do does did have has had be been am will would can could what who how why when where so like "
    "just me him them us "
    "all no yes if up out go get got from by about as".split()
)


class Around:
    """Words or phrases of which one must, or must not, stand near a hit. ``hat*`` is every word with hat at its
    start."""

    def __init__(self, phrases: Sequence[str]) -> None:
        self._phrases = phrases

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        """Made when it is needed first: most terms are never found."""
        forms = sorted({_form(phrase) for phrase in self._phrases} - {""}, key=len, reverse=True)
        return re.compile(f" (?:{'|'.join(forms)})(?= )" if forms else r"(?!)")

    def among(self, words: Sequence[str]) -> bool:
        """Whether one of them stands among canonical words."""
        return bool(self._phrases) and self._pattern.search(f" {' '.join(words)} ") is not None


def _form(phrase: str) -> str:
    return " ".join(
        re.escape(canonical(word.text)) + (r"[^ ]*" if phrase[word.end : word.end + 1] == "*" else "")
        for word in words(phrase)
    )


def is_lesson(around: Iterable[str]) -> bool:
    """Whether words around a hit are those of a lesson, a book, news or a game."""
    return not LESSON.isdisjoint(around)


def is_foreign(around: Sequence[str]) -> bool:
    """Whether words around a hit are mostly another language's."""
    foreign = sum(word in FOREIGN and word not in ENGLISH for word in around)
    return foreign > 1 and foreign > sum(word in ENGLISH for word in around)
