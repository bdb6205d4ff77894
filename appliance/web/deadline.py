"""The door of the web pages: accepts connections, and ends those that keep others waiting.

What aiohttp lacks (3.14, to which the project is pinned): a deadline for slow request headers, one for slow bodies and
for clients that never read, and a cap on connections. Five hundred slow clients held an aiohttp server's connections
for as long as they liked; here each of them is gone after ``Limits.header_seconds``.

What was said on a connection is let go of as soon as it was sent; aiohttp keeps the last form and the last answer until
the next request comes, and with them what somebody has read who has signed out since.

``Connection`` reads these private parts of ``aiohttp.web_protocol.RequestHandler``: ``_waiter`` (a pending future while
it waits for a request), ``_request_count`` and ``_messages`` (requests whose headers are complete). It empties
``_read_bytes`` and ``_post`` of a request. The tests of this module use real sockets, so that an aiohttp that changes
them is noticed.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial

from aiohttp import web
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler

IDLE_SECONDS = 75.0
LINGER_SECONDS = 2.0
"""How long the rest of a body that nobody wanted is read, so that the client gets to see the answer."""
GOODBYE_SECONDS = 1.0
"""How long a client may take to end TLS properly."""
ACCEPTS_AT_ONCE = 64
ACCEPT_PAUSE_SECONDS = 0.5
"""When the process has no file descriptor left, new connections wait this long in the kernel's queue."""

ErrorPage = Callable[[web.BaseRequest, int], web.Response]
"""``error_page(request, status)``: what to answer when there is no route to ask, or when a core page failed."""

GREETED: ContextVar[str] = ContextVar("greeted", default="")
"""The address whose handshake is under way, for whatever chooses a certificate; TLS itself does not tell."""

log = logging.getLogger(__name__)


class BareResponse(web.Response):
    """An answer without the name and version of aiohttp, for where no signal of an application takes it out."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Server", None)


class SlowBody(TimeoutError):
    """The body of a request did not come in time; raised by whatever reads it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Times in seconds. ``header_seconds`` counts for the TLS handshake, too."""

    header_seconds: float
    body_seconds: float
    connections: int
    idle_seconds: float = IDLE_SECONDS


class Deadline:
    """Calls a function unless it is stopped in time; may be started again."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None

    @property
    def running(self) -> bool:
        """Whether the clock ticks."""
        return self._timer is not None

    def start(self, seconds: float, call: Callable[[], None]) -> None:
        """Begin anew."""
        self.stop()
        self._timer = self._loop.call_later(seconds, self._reached, call)

    def stop(self) -> None:
        """All is well, for now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _reached(self, call: Callable[[], None]) -> None:
        self._timer = None
        call()


class Connection(RequestHandler):
    """One connection of a browser, with deadlines."""

    __slots__ = ("_allowance", "_body", "_door", "_headers", "_reading", "_wire", "waiting_since")

    def __init__(self, door: Door, server: web.Server, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=door.limits.idle_seconds,
            lingering_time=LINGER_SECONDS,
            auto_decompress=False,  # forms come plain; what unpacks to gigabytes is nobody's friend
            access_log=None,  # type: ignore[arg-type]  # None means no access log: it would name every client
        )
        self._door = door
        self._wire: asyncio.Transport | None = None
        self._allowance: int | None = None
        self._headers, self._body, self._reading = Deadline(loop), Deadline(loop), Deadline(loop)
        self.waiting_since = loop.time()

    @property
    def waits_for_request(self) -> bool:
        """Whether nothing is being answered: the next request has not begun, or its headers are not complete."""
        return self._waiter is not None and not self._waiter.done()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The handshake is done; the first request's headers are due."""
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        self._wire = transport
        self._headers.start(self._door.limits.header_seconds, self._headers_too_slow)
        self._door.opened(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came: stop the clock for headers when they are complete, start it with their first byte."""
        if self._allowance is not None:
            self._allowance -= len(data)
            if self._allowance < 0:
                self.abort()
                return
        complete_before = self._request_count
        super().data_received(data)
        if self._request_count > complete_before:
            self._headers.stop()
            self.waiting_since = self._loop.time()
            self._watch_body()
        elif data and not self._headers.running and self.waits_for_request:
            self._headers.start(self._door.limits.header_seconds, self._headers_too_slow)

    def pause_writing(self) -> None:
        """The client does not read what it asked for; it must go on before long."""
        super().pause_writing()
        self._reading.start(self._door.limits.body_seconds, self.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        self._reading.stop()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone."""
        for deadline in (self._headers, self._body, self._reading):
            deadline.stop()
        self._wire = None
        super().connection_lost(exc)
        self._door.lost(self)

    def allow(self, most: int | None) -> None:
        """End the connection if more than so many bytes come before this is called again; ``None``: any number.

        For WebSockets, whose messages are gathered in memory before anybody can look at them.
        """
        self._allowance = most

    def abort(self) -> None:
        """End the connection at once, whatever is still to be sent."""
        if self._wire is not None:
            self._wire.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it repeats what the client sent
    ) -> web.StreamResponse:
        """Answer what no page can answer, in words; the log names neither the client nor what it sent."""
        if status >= 500:
            log.error("A page failed: %s %s", request.method, request.rel_url.raw_path, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("part of the answer was sent already")
        answer = self._door.error_page(request, status)
        answer.force_close()
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer, then let go of what it said and of what was typed."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            _empty(request, resp)

    def _headers_too_slow(self) -> None:
        if self.waits_for_request:
            self.abort()

    def _watch_body(self) -> None:
        """The newest request may have a body that is still to come."""
        body = self._messages[-1][1] if self._messages else None
        if body is not None and not body.is_eof():
            self._body.start(self._door.limits.body_seconds, partial(_give_up, body))


def _empty(request: web.BaseRequest, response: web.StreamResponse) -> None:
    request._read_bytes = request._post = None
    if request.content.exception() is None:
        request.content.read_nowait()  # a form that no page has asked for
    if isinstance(response, web.Response):
        response.body = None


def _give_up(body: StreamReader) -> None:
    if not body.is_eof():
        body.set_exception(SlowBody("the body of the request came too slowly"))


class Door:
    """Accepts connections at listening sockets, which stay open when the door is closed."""

    def __init__(
        self, server: web.Server, limits: Limits, ssl_context: ssl.SSLContext | None, error_page: ErrorPage
    ) -> None:
        self.limits = limits
        self.error_page = error_page
        self._server = server
        self._ssl = ssl_context
        self._loop = asyncio.get_running_loop()
        self._listeners: list[socket.socket] = []
        self._greetings: dict[asyncio.Task[None], float] = {}
        self._connections: set[Connection] = set()

    def open(self, sockets: Sequence[socket.socket]) -> None:
        """Accept from now on. Each socket is duplicated: the next door can open at the same one."""
        for original in sockets:
            listener = original.dup()
            listener.setblocking(False)
            self._listeners.append(listener)
            self._loop.add_reader(listener, self._accept, listener)

    def stop_accepting(self) -> None:
        """Leave newcomers in the kernel's queue, where the next door finds them; end unfinished handshakes."""
        for listener in self._listeners:
            self._loop.remove_reader(listener)
            listener.close()
        self._listeners.clear()
        for greeting in self._greetings:
            greeting.cancel()

    def abort_all(self) -> None:
        """End what is still open."""
        for connection in tuple(self._connections):
            connection.abort()

    def opened(self, connection: Connection) -> None:
        """A handshake is done."""
        self._connections.add(connection)

    def lost(self, connection: Connection) -> None:
        """A connection has ended."""
        self._connections.discard(connection)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPTS_AT_ONCE):
            try:
                wire, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:  # no file descriptor is left: the others need theirs more than a newcomer
                log.warning("New connections must wait: %s", error.strerror)
                self._pause(listener)
                return
            if self._has_room():
                greeting = self._loop.create_task(self._greet(wire, str(address[0])))
                self._greetings[greeting] = self._loop.time()
                greeting.add_done_callback(partial(self._greeted, wire))
            else:
                wire.close()

    def _pause(self, listener: socket.socket) -> None:
        self._loop.remove_reader(listener)
        self._loop.call_later(ACCEPT_PAUSE_SECONDS, self._resume, listener)

    def _resume(self, listener: socket.socket) -> None:
        if listener in self._listeners:
            self._loop.add_reader(listener, self._accept, listener)

    async def _greet(self, wire: socket.socket, address: str) -> None:
        """Do the handshake, if there is one; ``Connection`` takes over from there."""
        GREETED.set(address)
        seconds = self.limits.header_seconds if self._ssl else None
        goodbye = GOODBYE_SECONDS if self._ssl else None
        with suppress(OSError):  # ssl.SSLError too: the client left, was too slow, or does not speak TLS
            await self._loop.connect_accepted_socket(
                lambda: Connection(self, self._server, self._loop),
                wire,
                ssl=self._ssl,
                ssl_handshake_timeout=seconds,
                ssl_shutdown_timeout=goodbye,
            )

    def _greeted(self, wire: socket.socket, greeting: asyncio.Task[None]) -> None:
        self._greetings.pop(greeting, None)
        if greeting.cancelled():  # perhaps before it had begun; nobody else closes the socket then
            wire.close()

    def _has_room(self) -> bool:
        """Whether a newcomer may come in: if all places are taken, whoever has kept one waiting for longest must go."""
        if len(self._greetings) + len(self._connections) < self.limits.connections:
            return True
        idle = min(
            (connection for connection in self._connections if connection.waits_for_request),
            key=lambda connection: connection.waiting_since,
            default=None,
        )
        greeting = next(iter(self._greetings.items()), None)
        if greeting is not None and (idle is None or greeting[1] < idle.waiting_since):
            self._greetings.pop(greeting[0])
            greeting[0].cancel()
            return True
        if idle is not None:
            self._connections.discard(idle)
            idle.abort()
            return True
        return False
