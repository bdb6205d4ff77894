"""Which words are English, how common they are, and where a run of letters without blanks comes apart into words.

The list of words is the frequency dictionary that comes with symspellpy (82,765 words; MIT): Google Books n-grams
crossed with SCOWL. Only its file is read.
"""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Iterable, Mapping
from importlib.resources import files
from itertools import islice
from pathlib import Path

from ..kept import kept

FORM = 1
"""Of what is kept of the list; another one is made anew."""
COMMON = 20_000
"""Words of plain English that repeated letters may hide: the commonest."""
LONGEST_RUN = 60
"""Letters of a run that is still taken apart: the work grows with its length."""
LONGEST_WORD = 20
TAUGHT = 300_000
"""How often a word of a policy counts as seen that the list does not have: as often as a word that most people know."""
SHORT = frozenset(
    "a i am an as at be by do go he hi if in is it me my no of oh ok on or so to up us we u ur im".split()
)
"""The words of one and two letters: the list has every pair of letters that somebody ever printed."""
SMALL = frozenset(
    "the a an is are was were i you he she it we they my your his her our their this that of to in on at "
    "for with and or but "
    "not do does did have has had be been am will would can could what who how why when where so like "
    "just me him them us "
    "all no yes if up out go get got from by about as".split()
)
"""Words that stand in every English text, whatever it is about."""
OF_TWO = 5.0
"""What a word of two letters, such as "bf", costs more than others of policies: it stands in many words by chance."""
THREE = 2_000_000
"""How common a word of three letters must be; most rarer ones are abbreviations."""


def frequencies() -> dict[str, int]:
    """By English word, without apostrophes, how often it was seen; the commonest first."""
    listed = _listed()
    found: dict[str, int] = kept(Path(__file__), FORM, listed, lambda: _frequencies(listed))
    return found


def costs() -> tuple[float, dict[str, float]]:
    """The logarithm of how many words were seen, and by word of the list, the commonest first, what it costs: infinity
    if it is no word for us."""
    listed = _listed()
    beside = Path(__file__).with_name("costs")
    found: tuple[float, dict[str, float]] = kept(beside, FORM, listed, lambda: _costs(frequencies()))
    return found


def _listed() -> bytes:
    return (files("symspellpy") / "frequency_dictionary_en_82_765.txt").read_bytes()


def _costs(counts: Mapping[str, int]) -> tuple[float, dict[str, float]]:
    total = math.log(sum(counts.values()))
    return total, {w: total - math.log(count) if is_word(w, count) else math.inf for w, count in counts.items()}


def _frequencies(listed: bytes) -> dict[str, int]:
    found: dict[str, int] = {}
    for line in io.TextIOWrapper(io.BytesIO(listed), encoding="utf-8-sig"):  # all of them at once take ten megabytes
        word, _, count = line.partition(" ")
        found.setdefault(word.replace("'", ""), int(count))
    return found


class English:
    """The words that are known, with what each costs in a run of letters: the rarer, the more.

    ``taught``: words of policies and of text-speak, which no list may have. ``rare``: further words that are known, and
    part of no run. ``unlisted``: those taught that the list does not have.
    """

    def __init__(self, taught: Iterable[str], rare: Iterable[str] = ()) -> None:
        total, cost = costs()
        self.commonest = tuple(islice(cost, COMMON))
        new = total - math.log(TAUGHT)
        self.unlisted = frozenset(word for word in taught if word not in cost)
        for word in taught:
            if len(word) > 2 or word in SHORT:
                cost[word] = min(cost.get(word, math.inf), new)
            else:
                cost[word] = new + OF_TWO if len(word) == 2 and word.isalpha() else math.inf
        for word in rare:
            cost.setdefault(word, math.inf)
        self.known: Mapping[str, float] = cost
        self._longest = min(LONGEST_WORD, max(map(len, cost), default=0))

    def rarity(self, word: str) -> float:
        """By which words are put in order, the commonest first."""
        return self.known.get(word, math.inf)

    def split(self, run: str, without: Collection[str] = ()) -> list[str]:
        """The words of a run of letters, none of ``without``; an empty list if it does not come apart into words."""
        length = len(run)
        if length > LONGEST_RUN:
            return []
        best = [0.0] + [math.inf] * length
        began = [0] * (length + 1)
        cost = self.known.get
        for start in range(length):
            if math.isinf(so_far := best[start]):
                continue  # no words lead up to here
            for end in range(start + 1, min(length, start + self._longest) + 1):
                if so_far < best[end]:
                    own = cost(word := run[start:end])
                    if own is not None and so_far + own < best[end] and word not in without:
                        best[end], began[end] = so_far + own, start
        return [] if math.isinf(best[length]) else _words(run, began)


def is_word(word: str, count: int) -> bool:
    return word in SHORT or len(word) > 3 or (len(word) == 3 and count > THREE)


def _words(run: str, began: list[int]) -> list[str]:
    found: list[str] = []
    end = len(run)
    while end:
        found.append(run[began[end] : end])
        end = began[end]
    return found[::-1]
