"""Answers from upstream that are kept for everybody, and what one of them looks like.

The key is name, type and what of the query changes the answer (DO, CD): who asked is no part of it, and neither are
options that devices send. What a policy makes of an answer is decided each time it is given out.
"""

from __future__ import annotations

from typing import Final

from .wire import Ede

SLOWEST_CLEARING: Final = 2
"""Old answers that go for each new one, so that no query waits for thousands of them."""

LONG: Final = 1024
"""Octets that one answer may have; one of 64 kB, which anybody can publish, takes the room of 64."""

Targets = tuple[bytes, ...]


class Entry:
    """One answer. ``parts`` are its records, cut where the TTLs go: all of them get the same, the lowest.

    ``ad``: the server says that it checked it (0 or 1). ``counts`` are the numbers of answers and authorities as a
    message has them. ``targets`` are the names that aliases lead to. ``private``: an address in it lies in a private
    network. ``expires`` and ``retry_at`` are moments of the loop's clock. ``asked``: how often it was given out since.
    """

    __slots__ = (
        "ad", "asked", "counts", "error", "expires", "parts", "private", "rcode", "retry_at", "targets", "ttl",
    )  # fmt: skip

    def __init__(
        self, rcode: int, counts: bytes, parts: tuple[bytes, ...], ttl: int, ad: int = 0,
        targets: Targets | None = None, private: bool = False, error: Ede | None = None,
    ) -> None:  # fmt: skip
        self.rcode = rcode
        self.counts = counts
        self.parts = parts
        self.ttl = ttl
        self.ad = ad
        self.targets = targets
        self.private = private
        self.error = error
        self.expires = 0.0
        self.retry_at = 0.0
        self.asked = 0


class Answers:
    """At most ``entries`` answers; those not asked for longest go first. A long answer counts as several.

    Two generations: what is asked for moves to the young one; when that is full, the old one goes and the young one
    is the old one.
    """

    def __init__(self, entries: int) -> None:
        self._most = max(entries // 2, 1)
        self._extra = 0
        self._young: dict[bytes, Entry] = {}
        self._old: dict[bytes, Entry] = {}
        self._going: dict[bytes, Entry] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old) + len(self._going)

    def get(self, key: bytes) -> Entry | None:
        """The answer, expired or not."""
        entry = self._young.get(key)
        if entry is None:
            entry = self._old.pop(key, None)
            if entry is not None:
                self.put(key, entry)
        return entry

    def put(self, key: bytes, entry: Entry) -> None:
        """Keep an answer in place of one that may be there."""
        young, going = self._young, self._going
        young[key] = entry
        if (octets := sum(map(len, entry.parts))) > LONG:
            self._extra += octets // LONG
        for _ in range(SLOWEST_CLEARING):
            if not going:
                break
            going.popitem()
        if len(young) + self._extra >= self._most:
            self._extra = 0
            self._going = self._old
            self._old = young
            self._young = {}

    def resize(self, entries: int) -> None:
        """Another bound, from the next answers on."""
        self._most = max(entries // 2, 1)

    def clear(self) -> None:
        """Nothing is known any more."""
        self._young, self._old, self._going = {}, {}, {}
        self._extra = 0
