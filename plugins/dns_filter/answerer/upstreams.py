"""Asks the name servers that we forward to.

Each try has a connected UDP socket of its own (see ``ports``), and an id and a spelling at random; what does not repeat
both is not heard, and a port at which somebody guesses is given up for TCP. Servers are asked in the order in which the
school wrote them, those that rest last: often the first is the provider's filter, and a quicker one behind it must not
be the way around it.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from .asking import TRIES, Asking, Group, Reactor, Try
from .outgoing import Writer, is_bare_formerr, same_but_for_case
from .places import Endpoint
from .ports import Port, Ports
from .servers import Server
from .wire import (
    EDE_NETWORK_ERROR,
    EDE_NO_REACHABLE_AUTHORITY,
    FORMERR,
    HEADER,
    REFUSED,
    SERVFAIL,
    Ede,
)

LATE: Final = 0.9
"""After this part of the timeout an old answer is given out instead: 1.8 s of 2 s (RFC 8767 section 5)."""
GIVE_UP: Final = 1.5
"""After so many timeouts a question has no answer."""
WRONG_UNTIL_TCP: Final = 8
"""Datagrams with a wrong id or question at one port until its query goes over TCP: somebody is guessing."""
LONGEST_DATAGRAM: Final = 4096
_TOO_MUCH: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
TICKS: Final = 40
"""So often within a timeout we look what is due."""
SHORTEST_TICK: Final = 0.01


class Upstreams:
    """Asks servers. ``changed`` is called when one begins to rest or is back."""

    def __init__(self, reactor: Reactor, timeout: float, changed: Callable[[], None]) -> None:
        self._reactor = reactor
        self._now = reactor.now
        self._changed = changed
        self._servers: dict[Endpoint, Server] = {}
        self._ports: dict[Server, Ports] = {}
        self._groups: dict[tuple[Endpoint, ...], Group] = {}
        self._asked: dict[Asking, None] = {}
        self._ticking = False
        self._probing: set[Server] = set()
        self._writer = Writer()
        self.timeout = timeout

    def use(self, groups: Iterable[tuple[Endpoint, ...]], timeout: float) -> None:
        """These servers from now on. What is known of those that stay is kept."""
        self.timeout = timeout
        before, self._servers = self._servers, {}
        wanted = dict.fromkeys(groups)
        for endpoint in (endpoint for group in wanted for endpoint in group):
            self._servers[endpoint] = before.get(endpoint) or Server(endpoint)
        for server in self._servers.values():
            if server not in self._ports:
                self._ports[server] = Ports(self._reactor, server, self._ready)
        for server in self._ports.keys() - self._servers.values():
            self._ports.pop(server).close()
        self._groups = {group: Group([self._servers[endpoint] for endpoint in group]) for group in wanted}

    def group(self, endpoints: tuple[Endpoint, ...]) -> Group:
        """The servers of one group that is in use."""
        return self._groups[endpoints]

    def reports(self) -> list[dict[str, object]]:
        """The health of each server."""
        return [server.report() for server in self._servers.values()]

    def ask(self, asking: Asking, group: Group) -> None:
        """Ask; the asking hears ``heard`` or ``gave_up`` exactly once, later (a relay may be quick)."""
        asking.began = now = self._now()
        asking.due = now + self.timeout / TRIES
        asking.left = group.plan
        if not asking.left:
            asking.error = (EDE_NETWORK_ERROR, "there is no name server to ask")
        self._asked[asking] = None
        if not self._ticking:
            self._tick_later()
        self._next(asking, now)

    # One question

    def _next(self, asking: Asking, now: float) -> None:
        """Ask the next server; those that fail at once are passed over."""
        while asking.left and not asking.over:
            server = asking.left[0]
            asking.left = asking.left[1:]
            if self._send(asking, server, now, plain=server.plain_until > now, edns=server.no_edns_until <= now):
                return
        if not asking.waits and not asking.over:
            # From the loop, as always: whoever asked has not finished asking yet.
            self._reactor.later(0.0, partial(self._give_up, asking))

    def _send(self, asking: Asking, server: Server, now: float, *, plain: bool, edns: bool) -> bool:
        ports = self._ports.get(server)
        if ports is None:  # other servers are asked since the question was begun
            return False
        message = self._writer.write(asking.name, asking.tail, asking.flags, plain=plain, edns=edns)
        one = Try(asking, server, message, HEADER + len(asking.name) + 4, now, plain, edns)
        if server.tls:
            self._relay(one)
            return True
        try:
            port = ports.take(now)
        except OSError as error:
            if error.errno in _TOO_MUCH:
                asking.error = (EDE_NETWORK_ERROR, f"too much is open: {error.strerror}")
            else:
                self._unreachable(one, error, now)
            return False
        try:
            port.send(message)
        except OSError as error:
            port.close()
            self._unreachable(one, error, now)
            return False
        one.port, port.one, one.open = port, one, True
        asking.tries.append(one)
        asking.waits += 1
        return True

    def _ready(self, port: Port) -> None:
        one = port.one
        if one is None:
            port.ports.let_go(port)
            return
        try:
            data = port.receive(LONGEST_DATAGRAM)
        except BlockingIOError:
            return
        except OSError as error:  # nobody listens there, or the network is gone
            self._close(one)
            now = self._now()
            self._unreachable(one, error, now)
            self._next(one.asking, now)
            return
        end = one.end
        message = one.message
        if data[12:end] == message[12:end] and data[:2] == message[:2]:
            if data[2] & 0xF8 == 0x80 and data[4:6] == b"\0\1":
                now = self._now()
                if not one.wrong:
                    one.open, port.one = False, None
                    one.asking.waits -= 1
                    port.ports.give_back(port, now)
                self._heard(one, data, now)
                return
        elif one.edns and len(data) >= HEADER and data[:2] == message[:2] and is_bare_formerr(data):
            self._again(one, plain=one.plain, edns=False)  # a server that cannot even repeat the question
            return
        self._wrong(one, data)

    def _wrong(self, one: Try, data: bytes) -> None:
        """Not an answer to this query. Perhaps a server that keeps no case, perhaps somebody who guesses."""
        end, message = one.end, one.message
        if not one.plain and same_but_for_case(data, message, end):
            self._again(one, plain=True, edns=one.edns)
            return
        one.wrong += 1
        if one.wrong >= WRONG_UNTIL_TCP:
            self._close(one)
            self._relay(one)

    def _again(self, one: Try, *, plain: bool, edns: bool) -> None:
        """Ask the same server once more in another way, from another port and with another id."""
        self._close(one)
        if not self._send(one.asking, one.server, self._now(), plain=plain, edns=edns):
            self._next(one.asking, self._now())

    def _heard(self, one: Try, data: bytes, now: float) -> None:
        """A whole answer, or one that has to be fetched over TCP."""
        asking, server = one.asking, one.server
        self._close(one)
        if asking.over:
            return
        if data[2] & 0x02 and one.port is not None:
            self._relay(one)
            return
        rcode = data[3] & 15
        if rcode == FORMERR and one.edns:
            one.edns = False
            self._send_or_next(one, now)
            return
        if not one.edns and rcode != FORMERR and server.no_edns_until <= now:
            server.no_edns_until = now + 3600.0
        if one.plain:
            if server.plain_until <= now:
                server.keeps_no_case(now)
        else:
            server.plain = 0
        if server.answered(now - one.asked_at, now):
            self._look()
        if rcode == SERVFAIL or (rcode == REFUSED and (asking.has_old or not server.heard)):
            # REFUSED from one that answers otherwise is its word on this name, and another must not undo it. Where
            # there was an answer before, it is more likely a router without uplink, and that answer is better.
            asking.second_best = (data, server)
            self._skip(asking, server)
            self._next(asking, now)
            return
        server.heard = True
        if asking.heard(data, server, now):
            if asking.waits:
                self._blame_the_silent(asking, server, now)
            self._end(asking)
        else:
            asking.error = (EDE_NETWORK_ERROR, f"{server.label} sent an answer that cannot be read")
            self._skip(asking, server)
            self._next(asking, now)

    def _send_or_next(self, one: Try, now: float) -> None:
        if not self._send(one.asking, one.server, now, plain=one.plain, edns=one.edns):
            self._next(one.asking, now)

    def _skip(self, asking: Asking, server: Server) -> None:
        """It gave its answer; asking it again brings the same."""
        asking.left = tuple(other for other in asking.left if other is not server)

    def _unreachable(self, one: Try, error: OSError, now: float) -> None:
        what = error.strerror or str(error)
        one.asking.error = (EDE_NETWORK_ERROR, f"{one.server.label}: {what}")
        self._failed(one, now)
        self._skip(one.asking, one.server)

    def _relay(self, one: Try) -> None:
        """Ask over TCP or TLS, through the keeper."""
        host, port, tls = one.server.endpoint
        job = json.dumps({"host": host, "port": port, "tls": tls, "timeout": self.timeout}).encode()
        one.asking.waits += 1
        one.port, one.open = None, True
        if one not in one.asking.tries:
            one.asking.tries.append(one)
        self._reactor.relay(job + b"\n" + one.message, partial(self._relayed, one))

    def _relayed(self, one: Try, data: bytes | None) -> None:
        asking = one.asking
        if asking.over or not one.open:
            return
        end = one.end
        if (
            data is not None
            and same_but_for_case(data, one.message, end)  # nobody can guess into a connection
            and not data[2] & 0x02
        ):
            self._heard(one, data, self._now())
            return
        self._close(one)
        now = self._now()
        self._failed(one, now)
        self._skip(asking, one.server)
        self._next(asking, now)

    def _close(self, one: Try) -> None:
        if one.open:
            one.open = False
            one.asking.waits -= 1
            if one.port is not None:
                one.port.close()

    def _end(self, asking: Asking) -> None:
        asking.over = True
        self._asked.pop(asking, None)
        for one in asking.tries:
            if one.open:
                self._close(one)
        asking.tries.clear()

    def _give_up(self, asking: Asking) -> None:
        if asking.over or asking.waits:
            return
        self._end(asking)
        error = asking.error or (EDE_NO_REACHABLE_AUTHORITY, "no name server answered")
        asking.gave_up(error, *(asking.second_best or (None, None)))

    # Time

    def _tick_later(self) -> None:
        self._ticking = True
        self._reactor.later(max(self.timeout / TICKS, SHORTEST_TICK), self._tick)

    def _tick(self) -> None:
        """What is due: the next try, an old answer, the end."""
        now = self._now()
        for asking in [asking for asking in self._asked if asking.due <= now]:
            if not asking.over:
                self._due(asking, now)
        self._ticking = False
        for ports in self._ports.values():
            ports.close_old(now)
        if self._asked or any(map(len, self._ports.values())):
            self._tick_later()

    def _due(self, asking: Asking, now: float) -> None:
        waited = now - asking.began
        timeout = self.timeout
        for one in asking.tries:
            if one.open and now - one.asked_at >= timeout:
                self._failed(one, now)
        if not asking.is_late and waited >= timeout * LATE:
            asking.is_late = True
            asking.late()
        if waited >= timeout * GIVE_UP:
            for one in asking.tries:
                if one.open:
                    self._failed(one, now)
                    self._close(one)
            self._give_up(asking)
            return
        next_moment = asking.began + timeout * (GIVE_UP if asking.is_late else LATE)
        asking.due = min(now + timeout / TRIES, next_moment)
        if asking.left:
            self._next(asking, now)

    # Health

    def _look(self) -> None:
        """Somebody rests or is back."""
        for group in self._groups.values():
            group.look()
        self._changed()

    def _failed(self, one: Try, now: float) -> None:
        """A server did not answer a question; it is blamed once for each."""
        server, asking = one.server, one.asking
        if server in asking.blamed:
            return
        asking.blamed = (*asking.blamed, server)
        if server.failed(one.asked_at, now):
            self._look()
            self._probe_later(server)

    def _blame_the_silent(self, asking: Asking, server: Server, now: float) -> None:
        """Those that were asked before the one that answered, and had time enough."""
        for one in asking.tries:
            if one.open and one.server is not server and now - one.asked_at >= self.timeout / TRIES:
                self._failed(one, now)

    def _probe_later(self, server: Server) -> None:
        if server not in self._probing and self._servers.get(server.endpoint) is server:
            self._probing.add(server)
            self._reactor.later(server.rest, partial(self._probe, server))

    def _probe(self, server: Server) -> None:
        """Ask a server that rests for the root's servers; whatever it answers, it is back."""
        self._probing.discard(server)
        if self._servers.get(server.endpoint) is not server or not server.resting_until:
            return
        probe = Group([server])
        probe.plan = (server,)
        self._probing.add(server)
        self.ask(_Probe(self, server), probe)

    def probed(self, server: Server) -> None:
        """The end of a probe: if it was not answered, the next one comes later."""
        self._probing.discard(server)
        if server.resting_until:
            server.silent_again(self._now())
            self._probe_later(server)


class _Probe(Asking):
    """Asks a resting server whether it is back."""

    __slots__ = ("_server", "_upstreams")

    def __init__(self, upstreams: Upstreams, server: Server) -> None:
        super().__init__(b"\0", b"\0\2\0\1", 0)
        self._upstreams = upstreams
        self._server = server

    def heard(self, message: bytes, server: Server, at: float) -> bool:
        del message, server, at
        self._upstreams.probed(self._server)
        return True

    def gave_up(self, error: Ede, second_best: bytes | None, server: Server | None) -> None:
        del error, second_best, server
        self._upstreams.probed(self._server)
