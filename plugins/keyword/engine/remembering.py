"""What was found out about words before, by their hash alone: no word that was read is kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

MOST = 20_000
"""Answers that are kept, and as many older ones."""

_Answer = TypeVar("_Answer")


class Remembering(Generic[_Answer]):
    """Asks ``find`` for each word once, as long as it is met now and then.

    Two generations: when the new one is full, it becomes the old one, and what was not asked for since is forgotten.
    """

    def __init__(self, find: Callable[[str], _Answer], most: int = MOST) -> None:
        self._find = find
        self._most = most
        self._new: dict[int, _Answer] = {}
        self._old: dict[int, _Answer] = {}

    def of(self, word: str) -> _Answer:
        """What is known about a word. Raises what ``find`` raises."""
        hashed = hash(word)
        if hashed in self._new:
            return self._new[hashed]
        answer = self._old[hashed] if hashed in self._old else self._find(word)
        if len(self._new) >= self._most:
            self._old, self._new = self._new, {}
        self._new[hashed] = answer
        return answer
