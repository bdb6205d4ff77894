"""Asks the name servers that we forward to.

One connected UDP socket per query, so that each leaves from a port of its own that only its upstream can reach
(RFC 5452 section 9.2); TCP when the answer does not fit; the next upstream when one is silent. What is unanswered is
bounded, in all and for each client: a dead uplink must not fill the memory of the box, and one device that asks for
names nobody answers must not take the places of all others.
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import struct
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from . import messages
from .messages import BadMessage, Query
from .shares import Full, Places

DNS_PORT = 53

QUERIES_AT_ONCE = 500
"""Queries that may wait for upstreams; more are answered with SERVFAIL at once. Each holds one socket."""

OF_ONE = 40
"""Of which one client may hold so many; see ``shares``."""

REST_SECONDS = 30.0
"""How long an upstream that did not answer is asked last."""

FAILURES_UNTIL_REST = 3
"""In a row, with no answer to any query in between: a single name that nobody answers says nothing of the upstream."""

TIMEOUTS_UNTIL_TOLD = 2
"""For so many timeouts nothing at all was answered before it is a problem to be told."""

_ANOTHER_MAY_KNOW = frozenset({messages.SERVFAIL, messages.REFUSED})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A name server's address and port."""

    host: str
    port: int = DNS_PORT

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DNS_PORT else f"{host}:{self.port}"


class NoAnswer(Exception):
    """No upstream answered; the words say which were tried and what each did."""


def endpoint(text: str) -> Endpoint:
    """``"10.0.0.1"``, ``"10.0.0.1:5353"``, ``"fd00::1"`` or ``"[fd00::1]:5353"``. Raises ``ValueError`` in words."""
    host, port = text.strip(), str(DNS_PORT)
    if host.startswith("["):
        host, _, rest = host[1:].partition("]")
        port = rest.removeprefix(":") if rest else port
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{text!r} is not an address like 192.168.1.1, 192.168.1.1:53 or [fd00::1]:53") from None
    if address.is_unspecified:
        raise ValueError(f"{text!r} stands for every address; name the server's own")
    if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
        raise ValueError(f"{text!r} does not end in a port from 1 to 65535")
    return Endpoint(str(address), int(port))


@dataclass(slots=True)
class _Upstream:
    """One server, how often it failed since its last answer, and until when it is asked last because of that.

    Moments are of the loop's clock.
    """

    endpoint: Endpoint
    failures: int = 0
    answered_at: float = 0.0
    resting_until: float = 0.0

    @property
    def has_failed(self) -> bool:
        return self.failures >= FAILURES_UNTIL_REST

    def answered(self, at: float) -> None:
        self.failures, self.answered_at, self.resting_until = 0, at, 0.0

    def failed(self, asked_at: float, at: float) -> None:
        """It did not answer a query of ``asked_at``; if it answered others since, that was the query's fault."""
        if self.answered_at > asked_at:
            return
        self.failures += 1
        if self.has_failed:
            self.resting_until = at + REST_SECONDS


@dataclass(slots=True)
class Upstreams:
    """The name servers in the order in which they are asked. ``timeout``: seconds for each.

    ``on_state`` is called with words, once, when none of them answers any more, and with ``""`` when one does.
    """

    endpoints: Sequence[Endpoint]
    timeout: float
    on_state: Callable[[str], None]
    _servers: list[_Upstream] = field(init=False)
    _places: Places = field(init=False)
    _unanswered_since: float | None = None
    _told: bool = False

    def __post_init__(self) -> None:
        self._servers = [_Upstream(endpoint) for endpoint in self.endpoints]
        self._places = Places(QUERIES_AT_ONCE, OF_ONE)

    async def ask(self, query: Query, client: str) -> bytes:
        """The answer as the device at the address ``client`` gets it, whatever its size. Raises ``NoAnswer``."""
        if not self._servers:
            raise NoAnswer("there is no name server to ask")
        try:
            with self._places.hold(client):
                return await self._ask_in_turn(query)
        except Full as full:
            raise NoAnswer(str(full)) from None

    async def _ask_in_turn(self, query: Query) -> bytes:
        loop = asyncio.get_running_loop()
        began = loop.time()
        second_best: bytes | None = None
        silent = []
        for server in sorted(self._servers, key=lambda each: each.resting_until > loop.time()):
            asked_at = loop.time()
            try:
                answer = await self._ask_one(server.endpoint, query)
            except (OSError, BadMessage) as error:  # silence is a TimeoutError, which is an OSError
                server.failed(asked_at, loop.time())
                silent.append(f"{server.endpoint} {_what_it_did(error)}")
                continue
            server.answered(loop.time())
            self._unanswered_since = None
            if messages.rcode_of(answer) not in _ANOTHER_MAY_KNOW:
                self._told = False
                self.on_state("")
                return answer
            second_best = answer
        if second_best is not None:
            return second_best
        words = ", ".join(silent)
        self._nothing_answered(began, loop.time(), words)
        raise NoAnswer(words)

    def _nothing_answered(self, began: float, at: float, words: str) -> None:
        """Tell it if it is not this one query: every server has failed, and nothing was answered for a while."""
        if any(server.answered_at > began for server in self._servers):
            return
        if self._unanswered_since is None:
            self._unanswered_since = began
        long_enough = at - self._unanswered_since >= TIMEOUTS_UNTIL_TOLD * self.timeout
        if long_enough and not self._told and all(server.has_failed for server in self._servers):
            self._told = True
            self.on_state(words)

    async def _ask_one(self, server: Endpoint, query: Query) -> bytes:
        async with asyncio.timeout(self.timeout):
            answer = await _fetch(server, query, edns=True)
            if messages.rcode_of(answer) == messages.FORMERR:
                answer = await _fetch(server, query, edns=False)
        return messages.relayed(query, answer)


class _Exchange(asyncio.DatagramProtocol):
    """Waits for the one datagram that answers the query; others are somebody guessing, and are not heard."""

    def __init__(self, query: Query, message_id: int) -> None:
        self._query = query
        self._message_id = message_id
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        del addr  # the socket is connected: the kernel lets only the upstream through
        if not self.answer.done() and messages.answers(self._query, self._message_id, data):
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _fetch(server: Endpoint, query: Query, *, edns: bool) -> bytes:
    """The whole answer: over UDP, or over TCP if it does not fit. Raises ``OSError`` or ``BadMessage``."""
    message_id = secrets.randbits(16)
    question = messages.question_for_upstream(query, message_id, edns=edns)
    answer = await _over_udp(server, query, message_id, question)
    if messages.is_truncated(answer):
        answer = await _over_tcp(server, query, message_id, question)
    return answer


async def _over_udp(server: Endpoint, query: Query, message_id: int, question: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    transport, exchange = await loop.create_datagram_endpoint(
        lambda: _Exchange(query, message_id), remote_addr=(server.host, server.port)
    )
    with closing(transport):
        transport.sendto(question)
        return await exchange.answer


async def _over_tcp(server: Endpoint, query: Query, message_id: int, question: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(server.host, server.port)
    with closing(writer):
        writer.write(struct.pack("!H", len(question)) + question)
        await writer.drain()
        try:
            (length,) = struct.unpack("!H", await reader.readexactly(2))
            answer = await reader.readexactly(length)
        except asyncio.IncompleteReadError:
            raise BadMessage("ended the connection in the middle of its answer") from None
    if not messages.answers(query, message_id, answer):
        raise BadMessage("answered something else over TCP")
    return answer


def _what_it_did(error: Exception) -> str:
    """A phrase after the name of the server."""
    if isinstance(error, TimeoutError):
        return "was silent"
    if isinstance(error, ConnectionRefusedError):
        return "refused the connection"
    if isinstance(error, OSError):
        return f"could not be reached ({error.strerror or error})"
    return f"sent {error}"
