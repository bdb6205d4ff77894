"""How often somebody may come: a bucket that fills by itself. In memory, by a clock that nobody sets back."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

Clock = Callable[[], float]


class Pace:
    """One bucket: ``burst`` at once, and ``rate`` each second after that."""

    __slots__ = ("_at", "_burst", "_clock", "_left", "_rate")

    def __init__(self, rate: float, burst: int, clock: Clock = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._left = float(burst)
        self._at = clock()

    def take(self) -> bool:
        """Whether there is room for one more; it is taken."""
        moment = self._clock()
        self._left = min(self._burst, self._left + (moment - self._at) * self._rate)
        self._at = moment
        if self._left < 1:
            return False
        self._left -= 1
        return True


class Paces:
    """A bucket for each of many; those that came longest ago are forgotten beyond ``most``."""

    def __init__(self, rate: float, burst: int, most: int = 10_000, clock: Clock = time.monotonic) -> None:
        self._rate = rate
        self._burst = burst
        self._clock = clock
        self._most = most
        self._paces: OrderedDict[str, Pace] = OrderedDict()

    def take(self, who: str) -> bool:
        """Whether there is room for one more of ``who``; it is taken."""
        pace = self._paces.get(who)
        if pace is None:
            pace = self._paces[who] = Pace(self._rate, self._burst, self._clock)
        self._paces.move_to_end(who)
        if len(self._paces) > self._most:
            self._paces.popitem(last=False)
        return pace.take()
