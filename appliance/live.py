"""Live updates: what happens now, for pages that are open now.

Nothing here is promised, and little is kept: the last messages, for pages that were made before them and listen after.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from appliance.hookspecs import Permission

QUEUE_LIMIT = 200
MOST_KEPT = 200
"""Messages of each topic that are kept for pages that were made before them and listen after them."""
EXPECTED_SECONDS = 60.0
"""How long after a page was made its script may come to listen."""
_PLACE = re.compile(r"([0-9a-f]+)-([0-9]{1,15})")


@dataclass(frozen=True, slots=True)
class Message:
    """``number`` counts the messages of this start of the appliance. ``data`` is JSON without line breaks.

    ``accounts``: whom it is for, ``None`` for everybody with the permission.
    """

    number: int
    topic: str
    data: str
    permission: Permission
    accounts: Collection[str] | None

    def is_for(self, account: str, permissions: frozenset[Permission]) -> bool:
        """Whether a stream may see it."""
        return self.permission in permissions and (self.accounts is None or account in self.accounts)


@dataclass(eq=False)
class Subscriber:
    """One browser's stream: a bounded queue; what does not fit is counted, and the page is told to reload.

    ``missed``: what came after the page was made and before it listened.
    """

    allowed: Callable[[], frozenset[Permission]]
    account: str = ""
    messages: asyncio.Queue[Message] = field(default_factory=lambda: asyncio.Queue(QUEUE_LIMIT))
    dropped: int = 0
    missed: deque[Message] = field(default_factory=deque)


class Live:
    """Fan-out of small JSON messages by topic (``<plugin>.<what>``) to every open stream that may see them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._subscribers: set[Subscriber] = set()
        self._closing = asyncio.Event()
        self._start = secrets.token_hex(4)
        self._number = 0
        self._kept: dict[str, deque[Message]] = {}
        self._gone = 0
        self._expected_until = clock()

    @property
    def watched(self) -> bool:
        """Whether anybody looks or is about to; costly messages need not be made when nobody does."""
        return bool(self._subscribers) or self._clock() < self._expected_until

    def place(self, number: int | None = None) -> str:
        """Where the stream is now, or at a number, as ``subscribe`` takes it."""
        return f"{self._start}-{self._number if number is None else number}"

    def expect(self) -> str:
        """A page is being made that will listen: where the stream is before anything is read for it."""
        self._expected_until = self._clock() + EXPECTED_SECONDS
        return self.place()

    def publish(
        self,
        topic: str,
        data: Mapping[str, Any] | list[Mapping[str, Any]],
        permission: Permission,
        accounts: Collection[str] | None = None,
    ) -> None:
        """Send one message to every stream with this permission, or to those of ``accounts`` among them. Never waits.

        A message about a person names the accounts that may see that person (``access.visible``).
        """
        if not self.watched:
            return
        self._number += 1
        message = Message(self._number, topic, json.dumps(data, separators=(",", ":")), permission, accounts)
        self._keep(message)
        for subscriber in self._subscribers:
            if not message.is_for(subscriber.account, subscriber.allowed()):
                continue
            try:
                subscriber.messages.put_nowait(message)
            except asyncio.QueueFull:
                subscriber.dropped += 1

    def _keep(self, message: Message) -> None:
        kept = self._kept.setdefault(message.topic, deque())
        kept.append(message)
        if len(kept) > MOST_KEPT:
            self._gone = max(self._gone, kept.popleft().number)

    @asynccontextmanager
    async def subscribe(
        self, allowed: Callable[[], frozenset[Permission]], account: str = "", since: str = ""
    ) -> AsyncIterator[Subscriber]:
        """A stream for the time of the ``with`` block. ``allowed`` is asked anew for every message.

        ``since``: where the stream was when the page was made, or at the last message that it heard (``place``). What
        came after it is in ``missed``; if that is not known any more, it counts as dropped.
        """
        subscriber = Subscriber(allowed, account)
        if since:
            self._catch_up(subscriber, since)
        self._subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)

    def _catch_up(self, subscriber: Subscriber, since: str) -> None:
        found = _PLACE.fullmatch(since)
        if found is None or found[1] != self._start or not self._gone <= int(found[2]) <= self._number:
            subscriber.dropped += 1
            return
        number = int(found[2])
        permissions = subscriber.allowed()
        later = (one for kept in self._kept.values() for one in kept if one.number > number)
        subscriber.missed.extend(
            sorted((one for one in later if one.is_for(subscriber.account, permissions)), key=lambda one: one.number)
        )

    def close(self) -> None:
        """Tell every stream to end, so that the appliance can stop at once."""
        self._closing.set()

    async def closing(self) -> None:
        """Return when the appliance stops."""
        await self._closing.wait()
