"""A question on its way to name servers: the question, the servers in the order of asking, and each try."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Protocol

from .ports import Port, Watching
from .servers import Server
from .wire import Ede

TRIES: Final = 3
MOST_TRIES: Final = 6

Plan = tuple[Server, ...]


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """It does not come."""


class Reactor(Watching, Protocol):
    """What the answerer's loop does for us. Everything happens in its thread."""

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Call once, in so many seconds."""
        ...

    def now(self) -> float:
        """Seconds of a clock that nobody can set."""
        ...

    def wall(self) -> float:
        """Seconds since 1970."""
        ...

    def relay(self, job: bytes, done: Callable[[bytes | None], None]) -> None:
        """Ask over TCP or TLS: a line of JSON (host, port, tls, timeout), then the query."""

    def verdict(self, name: str, qtype: str, profile: str, done: Callable[[str | None], None]) -> None:
        """Ask other plugins: ``block: why``, ``allow``, or ``None`` if nobody said so in time."""


class Asking:
    """One question being asked, for whoever waits for it: ``tail`` is its type and class, ``flags`` CD and DO."""

    __slots__ = (
        "began", "blamed", "due", "error", "flags", "has_old", "is_late", "left", "name", "over", "second_best", "tail",
        "tries", "waits",
    )  # fmt: skip

    def __init__(self, name: bytes, tail: bytes, flags: int) -> None:
        self.name = name
        self.tail = tail
        self.flags = flags
        self.is_late = self.over = False
        self.has_old = False
        """Whether there is an answer from before, for which nothing worse shall come."""
        self.waits = 0
        self.tries: list[Try] = []
        self.left: Plan = ()
        self.blamed: Plan = ()
        self.error: Ede | None = None
        self.second_best: tuple[bytes, Server] | None = None
        self.began = self.due = 0.0

    def heard(self, message: bytes, server: Server, at: float) -> bool:
        """The answer. ``False``: it cannot be used, ask another server."""
        raise NotImplementedError

    def gave_up(self, error: Ede, second_best: bytes | None, server: Server | None) -> None:
        """Nobody answered, or only that they could not."""
        raise NotImplementedError

    def late(self) -> None:
        """It takes long."""


class Group:
    """Servers that are asked for the same names, in the school's order, and the order that holds just now."""

    __slots__ = ("plan", "servers")

    def __init__(self, servers: Sequence[Server]) -> None:
        self.servers = tuple(servers)
        self.plan: Plan = ()
        self.look()

    @property
    def all_rest(self) -> bool:
        """Whether none of these servers is known to answer."""
        return all(server.resting_until for server in self.servers)

    def look(self) -> None:
        """A server began to rest or is back: those that rest are asked last."""
        order = tuple(sorted(self.servers, key=_resting))
        if order and not order[0].resting_until:
            order = (order * TRIES)[: max(TRIES, min(len(order), MOST_TRIES))]
        self.plan = order


class Try:
    """One query sent to one server. ``end``: where its question ends; ``port``: where it left, ``None`` for TCP."""

    __slots__ = ("asked_at", "asking", "edns", "end", "message", "open", "plain", "port", "server", "wrong")

    def __init__(
        self, asking: Asking, server: Server, message: bytes, end: int, at: float, plain: bool, edns: bool
    ) -> None:
        self.asking = asking
        self.server = server
        self.message = message
        self.end = end
        self.asked_at = at
        self.plain = plain
        self.edns = edns
        self.port: Port | None = None
        self.open = False
        self.wrong = 0


def _resting(server: Server) -> float:
    return server.resting_until
