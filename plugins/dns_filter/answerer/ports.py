"""Sockets to one name server, each for one query at a time.

A socket is connected, so that only its server can reach it, and leaves from a port that the kernel chose at random
(RFC 5452 section 9.2). Opening and closing one costs more than all the rest of a query. So where many queries are on
their way, a port whose query was answered, and at which nothing else was heard, may serve another one: only while
``SPARE`` others are free, so that neighbours never share one; ``USES`` times; for ``SECONDS``. Who asks now and then
asks from a new port each time, and who guesses has a port for as long as a guess takes.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from .asking import Try
    from .servers import Server

SPARE: Final = 64
USES: Final = 64
SECONDS: Final = 2.0
_DATAGRAMS: Final = int(socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


class Watching(Protocol):
    """What the loop does for sockets."""

    def watch(self, fd: int, ready: Callable[[], None]) -> None:
        """Call ``ready`` while ``fd`` can be read."""

    def forget(self, fd: int) -> None:
        """Call for ``fd`` no more; it is closed next."""


class Port:
    """One socket. ``one``: the query that it serves, if any."""

    __slots__ = ("_udp", "fd", "left", "one", "ports", "receive", "send", "until")

    def __init__(self, ports: Ports, udp: socket.SocketType, until: float) -> None:
        self.ports = ports
        self.one: Try | None = None
        self.until = until
        self.left = USES
        self.fd = udp.fileno()
        self.send, self.receive = udp.send, udp.recv
        self._udp = udp

    def close(self) -> None:
        """Nothing more comes or goes here."""
        self.ports.loop.forget(self.fd)
        self._udp.close()


class Ports:
    """The sockets to a server. ``ready`` is called with a port at which something came."""

    def __init__(self, loop: Watching, server: Server, ready: Callable[[Port], None]) -> None:
        self.loop = loop
        self._server = server
        self._ready = ready
        self._free: deque[Port] = deque()
        self._closed = False

    def __len__(self) -> int:
        return len(self._free)

    def take(self, now: float) -> Port:
        """A port for one query. Raises ``OSError``: too much is open, or there is no way to the server."""
        free = self._free
        while len(free) > SPARE:
            port = free.popleft()
            if port.until > now:
                return port
            port.close()
        udp = socket.SocketType(self._server.family, _DATAGRAMS)
        try:
            udp.connect(self._server.address)
        except OSError:
            udp.close()
            raise
        port = Port(self, udp, now + SECONDS)
        self.loop.watch(port.fd, partial(self._ready, port))
        return port

    def give_back(self, port: Port, now: float) -> None:
        """Its query was answered, and nothing else came."""
        port.left -= 1
        if port.left and port.until > now and not self._closed:
            self._free.append(port)
        else:
            port.close()

    def let_go(self, port: Port) -> None:
        """Something came at a port that serves nobody."""
        if port in self._free:
            self._free.remove(port)
            port.close()

    def close_old(self, now: float) -> None:
        """Close what has had its time. The first ones are the oldest, or nearly."""
        free = self._free
        while free and free[0].until <= now:
            free.popleft().close()

    def close(self) -> None:
        """The server is not asked any more: close what is free, and what is not when it comes back."""
        self._closed = True
        while self._free:
            self._free.popleft().close()
