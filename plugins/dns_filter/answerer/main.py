"""The answering process, started by the keeper: ``main(["CONTROL", "LOG"])`` with two descriptors that it inherits."""

from __future__ import annotations

import ctypes
import gc
import json
import resource
import signal
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .answerer import Answerer
from .control import NUMBER, Control, read_json
from .log import LogWriter
from .reactor import Loop
from .resolving import Resolver
from .table import Table, TableError
from .world import World, WorldError

HEALTH_SECONDS = 5.0
DESCRIPTORS = 8192
"""A query that waits holds up to three sockets."""
_PR_SET_NAME, _PR_SET_PDEATHSIG = 15, 1  # prctl(2)


def main(arguments: Sequence[str]) -> None:
    """Answer until the keeper ends."""
    control, log = (int(text) for text in arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most if most < DESCRIPTORS else DESCRIPTORS, most))
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_NAME, b"dns-answerer")
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the keeper, which ends us
    Process(socket.socket(fileno=control), log).run()


class Reactor:
    """What the resolver may use of this process."""

    def __init__(self, loop: Loop, control: Control) -> None:
        self.watch, self.forget, self.later, self.now = loop.watch, loop.forget, loop.later, loop.now
        self.relay, self.verdict = control.relay, control.verdict

    @staticmethod
    def wall() -> float:
        """Unix time."""
        return time.time()


class Process:
    """Puts the parts together when the first world comes, and does what the keeper says."""

    def __init__(self, keeper: socket.socket, log: int) -> None:
        self._loop = Loop()
        self._control = Control(self._loop, keeper)
        self._log = LogWriter(log)
        self._answerer: Answerer | None = None
        self._listening: list[int] = []
        self._health: dict[str, Any] = {}

    def run(self) -> None:
        """Work until the keeper ends."""
        self._control.start({b"W": self._use, b"L": self._listen, b"C": self._close, b"T": self._answer_stream})
        self._loop.later(HEALTH_SECONDS, self._tell_health)
        self._loop.run()

    def _use(self, body: bytes, descriptors: list[int]) -> None:
        number, path = body[: NUMBER.size], body[NUMBER.size :].decode()
        try:
            table = Table.open(Path(path), known=True) if path else None
            world = World.of(read_json(descriptors[0]), table)
        except (TableError, WorldError, ValueError, OSError, IndexError) as error:
            self._control.send(b"W", number + str(error).encode()[:500])
            return
        if self._answerer is None:
            reactor = Reactor(self._loop, self._control)
            resolver = Resolver(reactor, world, self._health.update)
            self._answerer = Answerer(self._loop, resolver, world, self._log, time.time)
            gc.collect()
            gc.freeze()
            gc.disable()  # nothing on the way of a query makes cycles; see _tell_health
        else:
            self._answerer.use(world)
        self._control.send(b"W", number)

    def _listen(self, _body: bytes, descriptors: list[int]) -> None:
        assert self._answerer is not None, "the keeper sends a world first"
        udp = socket.socket(fileno=descriptors[0])
        udp.setblocking(False)
        self._listening.append(udp.fileno())
        self._answerer.listen(udp)

    def _close(self, body: bytes, _descriptors: list[int]) -> None:
        assert self._answerer is not None, "the keeper sends a world first"
        self._answerer.close(self._listening[NUMBER.unpack(body)[0]])

    def _answer_stream(self, body: bytes, _descriptors: list[int]) -> None:
        assert self._answerer is not None, "the keeper sends a world first"
        number, length = body[: NUMBER.size], body[NUMBER.size]
        at = NUMBER.size + 1

        def done(answer: bytes) -> None:
            self._control.send(b"T", number + answer)

        self._answerer.answer_stream(body[at + length :], body[at : at + length], done)

    def _tell_health(self) -> None:
        self._loop.later(HEALTH_SECONDS, self._tell_health)
        gc.collect(0)  # errors that were raised and caught may have left some
        too_many = self._answerer.too_many if self._answerer is not None else 0
        self._control.send(b"H", json.dumps({**self._health, "too_many": too_many}).encode())
