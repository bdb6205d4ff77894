"""One thread that waits for sockets and moments. Smaller and quicker than asyncio, and all that an answerer needs."""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Final

MOST_AT_ONCE: Final = 64
LONGEST_WAIT: Final = 1.0
FAULTS_SHOWN: Final = 20
"""Whoever finds a packet that we cannot bear must not fill the log with it."""

Call = Callable[[], None]

log = logging.getLogger(__name__)


class Timer:
    """A call that is still to come."""

    __slots__ = ("call",)

    def __init__(self, call: Call | None) -> None:
        self.call = call

    def cancel(self) -> None:
        """It does not come."""
        self.call = None


class Loop:
    """Calls back when a socket can be read and when a moment has come, one after the other."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._ready: dict[int, Call] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._soon: list[Call] = []
        self._numbers = count()
        self._stopping = False
        self.faults = 0
        """Calls that raised what nobody expected."""

    now = staticmethod(time.monotonic)
    """Seconds of a clock that nobody can set."""

    def watch(self, fd: int, ready: Call) -> None:
        """Call ``ready`` while ``fd`` has something to read, or has broken."""
        self._ready[fd] = ready
        self._poll.register(fd, select.EPOLLIN)

    def unwatch(self, fd: int) -> None:
        """Call for ``fd`` no more. To be done before it is closed."""
        if self._ready.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def forget(self, fd: int) -> None:
        """Call for ``fd`` no more, which is closed next: then the kernel forgets it by itself, and one call is saved.

        Not for a socket that another process holds too.
        """
        self._ready.pop(fd, None)

    def later(self, seconds: float, call: Call) -> Timer:
        """Call once, in so many seconds."""
        timer = Timer(call)
        heappush(self._timers, (time.monotonic() + seconds, next(self._numbers), timer))
        return timer

    def soon(self, call: Call) -> None:
        """Call once, when all that can be read now has been."""
        self._soon.append(call)

    def stop(self) -> None:
        """Return from ``run`` after what is being done."""
        self._stopping = True

    def run(self) -> None:
        """Work until ``stop``."""
        poll, ready = self._poll.poll, self._ready
        while not self._stopping:
            for fd, _ in poll(self._wait(), MOST_AT_ONCE):
                call = ready.get(fd)
                if call is not None:  # another call of this round may have let go of it
                    self._contained(call)
            self._call_what_is_due()
            while self._soon:
                self._contained(self._soon.pop())

    def _contained(self, call: Call) -> None:
        """A fault of ours costs the packet that met it, never the service."""
        try:
            call()
        except Exception:
            self.faults += 1
            if self.faults <= FAULTS_SHOWN:
                log.exception("an answer failed")

    def _wait(self) -> float:
        if not self._timers:
            return LONGEST_WAIT
        return min(max(self._timers[0][0] - time.monotonic(), 0.0), LONGEST_WAIT)

    def _call_what_is_due(self) -> None:
        timers = self._timers
        while timers and timers[0][0] <= time.monotonic():
            timer = heappop(timers)[2]
            if timer.call is not None:
                self._contained(timer.call)
