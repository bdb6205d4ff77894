"""Times and ids. Rows hold UTC as ISO 8601 text with milliseconds, so that text order is time order."""

from __future__ import annotations

import secrets
import time
import uuid
from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def stamp(moment: datetime | None = None) -> str:
    """``2026-11-24T09:30:00.123Z`` of an aware datetime (default: now)."""
    value = (moment or now()).astimezone(UTC)
    return value.strftime("%Y-%m-%dT%H:%M:%S.") + f"{value.microsecond // 1000:03d}Z"


def parse(text: str) -> datetime:
    """The aware datetime of a ``stamp``."""
    return datetime.fromisoformat(text)


def new_id() -> str:
    """A UUID of version 7 (RFC 9562 section 5.7): 48 bits of milliseconds, 74 random bits.

    Sorts by time, and in one process by the order of the calls: within a millisecond each is the last one plus a random
    step (section 6.2, method 2), so that what was written first in a unit of work also sorts first.
    """
    return str(_ids.next())


class _Ids:
    """The ids of one process; remembers the last one."""

    RANDOM_BITS = 74
    STEP_BITS = 60

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> uuid.UUID:
        start = time.time_ns() // 1_000_000 << self.RANDOM_BITS
        last = self._last
        if start <= last < start + (1 << self.RANDOM_BITS):
            value = last + 1 + secrets.randbits(self.STEP_BITS)
        else:
            # The top bit stays free for the steps of this millisecond.
            value = start | secrets.randbits(self.RANDOM_BITS - 1)
        self._last = value
        high, low = value >> 62, value & (1 << 62) - 1
        return uuid.UUID(int=high >> 12 << 80 | 0x7 << 76 | (high & 0xFFF) << 64 | 0b10 << 62 | low)


_ids = _Ids()


def random_id() -> str:
    """A UUID of version 4: for everything that must not tell when it was made."""
    return str(uuid.uuid4())
