"""The processes that answer: started, given rules and sockets, and started again when they end."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..answerer.control import LARGEST, NUMBER
from ..answerer.log import Counts, LogReader, Note, pipe
from .endpoints import Endpoint

START = (
    "import sys; sys.path.append(sys.argv[1]);"
    " from answerer.main import main; main(sys.argv[2:])"
)  # fmt: skip
"""The answerer alone, without the plugin around it."""

USE_SECONDS = 10.0
AGAIN_SECONDS = 0.02
PAUSES = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)
"""Before a process that ended is started again, for the first time and each further time in a row."""
STEADY_SECONDS = 30.0

Errand = Callable[[bytes, bytes], Awaitable[bytes]]
"""Letter and body -> answer. Errors are the errand's own to deal with."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What a process is to answer by: the snapshot as JSON, and the file of its table, if there is one."""

    snapshot: bytes
    table: Path | None


@dataclass(slots=True)
class Links:
    """Whom a child talks with: who does its errands, who takes its log (frame by frame), who hears how it is."""

    errand: Errand
    log: Callable[[list[Note], Counts, int], None]
    health: Callable[[int, Mapping[str, Any]], None]


@dataclass(eq=False)
class Child:
    """One answering process, whichever it is at the moment. ``number`` tells it from the others."""

    number: int
    links: Links
    rules: Rules | None = None
    refusal: str = ""
    """Why it does not use the newest rules."""
    _sockets: dict[Endpoint, socket.socket] = field(default_factory=dict)
    _process: asyncio.subprocess.Process | None = None
    _control: socket.socket | None = None
    _given: list[Endpoint] = field(default_factory=list)
    _used: dict[int, asyncio.Future[bytes]] = field(default_factory=dict)
    _streams: dict[int, asyncio.Future[bytes]] = field(default_factory=dict)
    _number: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _keeping: asyncio.Task[None] | None = None
    _log: int = -1
    _reader: LogReader | None = None

    # What the keeper wants

    async def use(self, rules: Rules) -> None:
        """Answer by these rules; ``refusal`` says afterwards whether it does. Starts the process the first time."""
        self.rules = rules
        if self._keeping is None:
            first = asyncio.get_running_loop().create_future()
            self._keeping = asyncio.create_task(self._keep(first), name=f"answerer {self.number}")
            await asyncio.wait({first}, timeout=USE_SECONDS)
        elif self._control is not None:
            await self._send_rules()

    def listen(self, sockets: Mapping[Endpoint, socket.socket]) -> None:
        """Listen on exactly these; each is this child's own."""
        for endpoint in [one for one in self._sockets if self._sockets[one] is not sockets.get(one)]:
            self.let_go_of(endpoint)
        for endpoint, udp in sockets.items():
            if endpoint not in self._sockets:
                self._sockets[endpoint] = udp
                self._give(endpoint, udp)

    def let_go_of(self, endpoint: Endpoint) -> None:
        """Listen there no more."""
        if endpoint in self._given:
            at = self._given.index(endpoint)
            self._given[at] = Endpoint("", 0)  # numbers of the others stay what they are
            self._tell(b"C" + NUMBER.pack(at))
        if endpoint in self._sockets:
            self._sockets.pop(endpoint).close()

    async def answer_stream(self, address: bytes, packet: bytes) -> bytes:
        """The answer to a query that came over TCP; empty: silence."""
        self._number += 1
        number = self._number & 0xFFFFFFFF
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._streams[number] = answer
        try:
            if not self._tell(b"T" + NUMBER.pack(number) + bytes([len(address)]) + address + packet):
                return b""
            return await answer
        finally:
            self._streams.pop(number, None)

    @property
    def is_running(self) -> bool:
        """Whether there is a process at this moment."""
        return self._control is not None

    @property
    def pid(self) -> int:
        """Of the process; 0 without one."""
        return self._process.pid if self._process is not None and self._control is not None else 0

    async def end(self) -> None:
        """End the process; its sockets are closed."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait({self._keeping})
        for udp in self._sockets.values():
            udp.close()

    # Keeping the process

    async def _keep(self, first: asyncio.Future[None]) -> None:
        loop = asyncio.get_running_loop()
        tries = 0
        while True:
            began = loop.time()
            try:
                await self._start()
                await self._send_rules()
                for endpoint, udp in self._sockets.items():
                    self._give(endpoint, udp)
                if not first.done():
                    first.set_result(None)
                assert self._process is not None
                await self._process.wait()
            except OSError as error:  # no memory, no descriptors: later there may be some
                self.refusal = f"The process that answers cannot be started: {error.strerror or error}."
            finally:
                self._let_go()
            tries = 0 if loop.time() - began > STEADY_SECONDS else tries + 1
            await asyncio.sleep(PAUSES[min(max(tries - 1, 0), len(PAUSES) - 1)])

    async def _start(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        reading, writing = pipe()
        try:
            ours.setblocking(False)
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-I", "-c", START, str(Path(__file__).parents[1]), str(theirs.fileno()), str(writing),
                pass_fds=(theirs.fileno(), writing),
                stdin=asyncio.subprocess.DEVNULL,
                env={"PATH": os.environ.get("PATH", "")},
            )  # fmt: skip
        except BaseException:
            ours.close()
            os.close(reading)
            raise
        finally:
            theirs.close()
            os.close(writing)
        self._control, self._given = ours, []
        loop = asyncio.get_running_loop()
        loop.add_reader(ours, self._receive)
        self._log, self._reader = reading, LogReader(reading)
        loop.add_reader(reading, self._read_log)

    def _let_go(self) -> None:
        loop = asyncio.get_running_loop()
        if self._control is not None:
            loop.remove_reader(self._control)
            self._control.close()
            self._control = None
            self._read_log()  # what it said last
            loop.remove_reader(self._log)
            os.close(self._log)
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
        self._answer_all_who_wait()

    def _answer_all_who_wait(self) -> None:
        """It has ended and answers nobody."""
        for waiting in (*self._used.values(), *self._streams.values()):
            if not waiting.done():
                waiting.set_result(b"")

    # Talking

    def _tell(self, message: bytes, descriptors: Sequence[int] = ()) -> bool:
        if self._control is None:
            return False
        try:
            socket.send_fds(self._control, [message], list(descriptors))
        except OSError:  # it is behind, or has ended; whoever asks hears that there is no answer
            return False
        return True

    def _give(self, endpoint: Endpoint, udp: socket.socket) -> None:
        if self._tell(b"L", [udp.fileno()]):
            self._given.append(endpoint)
        elif self._process is not None and self._control is not None:
            self._process.kill()  # it does not even listen to us; the next one gets all of them

    async def _send_rules(self) -> None:
        assert self.rules is not None, "use() comes first"
        self._number += 1
        number = self._number & 0xFFFFFFFF
        used = self._used[number] = asyncio.get_running_loop().create_future()
        file = os.memfd_create("snapshot", os.MFD_CLOEXEC)
        try:
            os.write(file, self.rules.snapshot)
            message = b"W" + NUMBER.pack(number) + str(self.rules.table or "").encode()
            async with asyncio.timeout(USE_SECONDS):
                # A flood of queries over TCP fills the socket for a moment; nobody says when it is over.
                while not self._tell(message, [file]) and self._control is not None:  # noqa: ASYNC110
                    await asyncio.sleep(AGAIN_SECONDS)
                self.refusal = (await used).decode()
        except TimeoutError:
            self.refusal = "The process that answers does not take its rules."
        finally:
            os.close(file)
            del self._used[number]

    def _receive(self) -> None:
        assert self._control is not None, "nothing is read after it was let go"
        try:
            message = self._control.recv(LARGEST)
        except BlockingIOError:
            return
        except OSError:
            message = b""
        if not message:
            asyncio.get_running_loop().remove_reader(self._control)  # its end is noticed by whoever waits for it
            self._answer_all_who_wait()
            return
        letter, body = message[:1], message[1:]
        if letter == b"H":
            self.links.health(self.number, json.loads(body))
        elif letter in (b"W", b"T"):
            waiting = (self._used if letter == b"W" else self._streams).get(NUMBER.unpack_from(body)[0])
            if waiting is not None and not waiting.done():
                waiting.set_result(body[NUMBER.size :])
        else:
            task = asyncio.create_task(self._run_errand(letter, body[: NUMBER.size], body[NUMBER.size :]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _run_errand(self, letter: bytes, number: bytes, body: bytes) -> None:
        self._tell(letter + number + await self.links.errand(letter, body))

    def _read_log(self) -> None:
        assert self._reader is not None, "it comes with the process"
        with suppress(EOFError):
            for notes, counts, dropped in self._reader.read():
                self.links.log(notes, counts, dropped)
            return
        asyncio.get_running_loop().remove_reader(self._log)
