"""Live updates: what happens now, for the pages that are open now. Nothing here is stored or promised."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from appliance.hookspecs import Permission

QUEUE_LIMIT = 200


@dataclass(eq=False)
class Subscriber:
    """One browser's stream: a bounded queue; what does not fit is counted, and the page is told to reload."""

    allowed: Callable[[], frozenset[Permission]]
    account: str = ""
    messages: asyncio.Queue[tuple[str, str]] = field(default_factory=lambda: asyncio.Queue(QUEUE_LIMIT))
    dropped: int = 0


class Live:
    """Fan-out of small JSON messages by topic (``<plugin>.<what>``) to every open stream that may see them."""

    def __init__(self) -> None:
        self._subscribers: set[Subscriber] = set()
        self._closing = asyncio.Event()

    @property
    def watched(self) -> bool:
        """Whether anybody looks; costly messages need not be made when nobody does."""
        return bool(self._subscribers)

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
        if not self._subscribers:
            return
        text = json.dumps(data, separators=(",", ":"))
        for subscriber in self._subscribers:
            if permission not in subscriber.allowed():
                continue
            if accounts is not None and subscriber.account not in accounts:
                continue
            try:
                subscriber.messages.put_nowait((topic, text))
            except asyncio.QueueFull:
                subscriber.dropped += 1

    @asynccontextmanager
    async def subscribe(
        self, allowed: Callable[[], frozenset[Permission]], account: str = ""
    ) -> AsyncIterator[Subscriber]:
        """A stream for the time of the ``with`` block. ``allowed`` is asked anew for every message."""
        subscriber = Subscriber(allowed, account)
        self._subscribers.add(subscriber)
        try:
            yield subscriber
        finally:
            self._subscribers.discard(subscriber)

    def close(self) -> None:
        """Tell every stream to end, so that the appliance can stop at once."""
        self._closing.set()

    async def closing(self) -> None:
        """Return when the appliance stops."""
        await self._closing.wait()
