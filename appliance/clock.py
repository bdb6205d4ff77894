"""Times and ids. Rows hold UTC as ISO 8601 text with milliseconds, so that text order is time order."""

from __future__ import annotations

import os
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
    """A UUID of version 7 (RFC 9562 section 5.7): sorts by time, 74 random bits."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (1 << 48) - 1) << 80
    value |= 0x7 << 76
    value |= (random >> 68 & 0xFFF) << 64
    value |= 0b10 << 62
    value |= random & (1 << 62) - 1
    return str(uuid.UUID(int=value))


def random_id() -> str:
    """A UUID of version 4: for everything that must not tell when it was made."""
    return str(uuid.uuid4())
