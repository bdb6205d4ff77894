"""Answers queries: from what is ready where it can, through the resolver where it must.

Everything happens in one thread. The way of a packet that has an answer ready is ``_drain`` alone, and every line of
it is paid for each query; what is rarer stands in functions of its own.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .batches import BATCH, NAME_LENGTH, NAME_SLOT, SLOT, Batches
from .log import NO_HEAD, Entry, LogWriter
from .quick import FREE, Quick, quick_way
from .reactor import Loop
from .ready import FOR_EVER, SECONDS, Answer, Ready, split
from .remembered import Remembered
from .resolving import Made, Pieces, Resolver
from .wire import HEADER
from .world import Policy, World

ROUNDS: Final = 8
"""Batches that one socket may have before the others' turn."""

CLIENTS: Final = 10_000
"""Addresses that are remembered; then all are looked up anew. Whoever may ask can invent source addresses."""

TICKS_A_SECOND: Final = 4
LOG_MOST: Final = 8192

Wall = Callable[[], float]


class Client:
    """One address that asks: what it gets ready answers from, and how many more queries it may send now."""

    __slots__ = ("left", "policy", "ready", "text", "until")

    def __init__(self, text: str, policy: Policy | None, ready: dict[bytes, Answer], left: float, until: float) -> None:
        self.text = text
        self.policy = policy
        self.ready = ready
        self.left = left
        self.until = until


@dataclass(slots=True)
class Ticket:
    """A query whose answer comes later. Called with the answer, once. ``key``: what it is noted as, if known."""

    answerer: Answerer
    outbox: Outbox
    sender: bytes
    packet: bytes
    key: bytes
    client: Client

    def __call__(self, made: Made | None) -> None:
        if made is not None and made.tail:
            self.answerer.deliver(self, made)


class Outbox:
    """Answers that could not go with their batch, until there is a batch of them or the round is over."""

    def __init__(self, loop: Loop, udp: socket.socket) -> None:
        self._loop = loop
        self._batches = Batches(udp)
        self._filled = 0
        self._closed = False

    def put(self, sender: bytes, message: bytes) -> None:
        """Send a message to a socket address, soon."""
        if self._closed:
            return  # the device asks again
        slot = self._filled
        if not slot:
            self._loop.soon(self.send)
        batches = self._batches
        at = slot * SLOT
        batches.packets[at : at + len(message)] = message
        batches.answer_lengths[slot * 2] = len(message)
        at = slot * NAME_SLOT
        batches.senders[at : at + len(sender)] = sender
        self._filled = slot + 1
        if slot + 1 == BATCH:
            self.send()

    def send(self) -> None:
        """Send what is there."""
        filled, self._filled = self._filled, 0
        if filled:
            self._batches.send(0, filled)  # what could not be sent is asked for again

    def close(self) -> None:
        """Send what is there, and nothing after it: the socket is closed, and its number may be another's."""
        self.send()
        self._closed = True


class Answerer:
    """The sockets, the clients and the ready answers of one process. ``wall`` is the time of day in Unix seconds."""

    def __init__(self, loop: Loop, resolver: Resolver, world: World, log: LogWriter, wall: Wall) -> None:
        self._loop = loop
        self._resolver = resolver
        self._world = world
        self._log_writer = log
        self._wall = wall
        self._ready = Ready()
        self._clients = Remembered(self._find, CLIENTS)
        """By the address as the socket has it (struct in_addr, struct in6_addr)."""
        self._log: list[Entry] = []
        self._quick: dict[str, Quick | None] = {}
        self._sockets: dict[int, tuple[socket.socket, Outbox]] = {}
        self.too_many = 0
        """Queries of clients that sent more than they may."""
        loop.later(1 / TICKS_A_SECOND, self._tick)

    # What is changed from outside

    def use(self, world: World) -> None:
        """Answer by these rules from the next packet on."""
        self._world = world
        self._resolver.use(world)
        self._ready.forget_policies()
        self._clients.clear()
        self._quick.clear()

    def listen(self, udp: socket.socket) -> None:
        """Answer what comes in at a socket that is bound."""
        outbox = Outbox(self._loop, udp)
        self._sockets[udp.fileno()] = (udp, outbox)
        self._loop.watch(udp.fileno(), self._drain(udp, Batches(udp), outbox))

    def close(self, fd: int) -> None:
        """Listen on a socket no more."""
        udp, outbox = self._sockets.pop(fd)
        outbox.close()
        self._loop.unwatch(fd)
        udp.close()

    def answer_stream(self, packet: bytes, address: bytes, done: Callable[[bytes], None]) -> None:
        """Answer a query that came over TCP from ``address`` (struct in_addr or in6_addr); empty: not at all."""
        client = self._clients[address]
        if client.policy is None:
            done(b"")
            return
        client.left -= 1
        if client.left < 0:
            self.too_many += 1
            done(b"")
            return

        def finished(made: Made | None) -> None:
            if made is None or not made.tail:
                done(b"")
                return
            self._note(client, packet, made)
            done(packet[:2] + made.tail)

        made = self._resolver.resolve(packet, client.policy, client.text, None, finished)
        if made is not None:
            assert isinstance(made, Made), "only over UDP there are answers in pieces"
            finished(made)

    # The way of a packet

    def _drain(self, udp: socket.socket, batches: Batches, outbox: Outbox) -> Callable[[], None]:
        """The function that answers what waits at a socket. Names are bound here, because looking them up costs."""
        receive, send = batches.receive, batches.send
        packets, senders, lengths, answer_lengths = (
            batches.packets, batches.senders, batches.lengths, batches.answer_lengths
        )  # fmt: skip
        first, last = (4, 8) if udp.family == socket.AF_INET else (8, 24)  # of the address in the socket address
        sender_octets = NAME_LENGTH[udp.family]
        slots = tuple(
            (
                *(slot, slot * SLOT, slot * SLOT + 2),
                slice(slot * SLOT + 2, slot * SLOT + HEADER),
                slice(slot * NAME_SLOT + first, slot * NAME_SLOT + last),
                *(slot * Batches.LENGTH_STEP + Batches.LENGTH_AT, slot * 2),
            )
            for slot in range(BATCH)
        )
        clients, ready, log, miss = self._clients, self._ready, self._log, self._miss

        def drain() -> None:
            for _ in range(ROUNDS):
                received = receive()
                if not received:
                    break
                tick = ready.tick
                begin = 0
                for slot, at, behind_id, head_at, address_at, length_at, answer_at in slots[:received]:
                    end = at + lengths[length_at]
                    key = packets[behind_id:end].lower()
                    client = clients[senders[address_at]]
                    left = client.left = client.left - 1
                    answer = client.ready.get(key) if left >= 0 else None
                    if answer is None or answer[4] < tick:
                        # Perhaps what stands behind the name looks like a letter, as the type HTTPS (65). A zero inside
                        # a label ends the name early, and such a name goes the long way.
                        exact = packets[behind_id:end]
                        cut = exact.find(0, 10)
                        key = exact[:10] + key[10:cut] + exact[cut:]
                        answer = client.ready.get(key) if left >= 0 else None
                    if answer is None or answer[4] < tick:
                        name_at = slot * NAME_SLOT
                        answer = miss(packets[at:end], key, client, outbox, senders[name_at : name_at + sender_octets])
                        if answer is None:
                            if slot > begin:
                                send(begin, slot - begin)
                            begin = slot + 1
                            continue
                    head, rest, cut, note, _ = answer
                    packets[head_at] = head
                    end += cut
                    stop = end + len(rest)
                    packets[end:stop] = rest
                    answer_lengths[answer_at] = stop - at
                    if note is not None:
                        log.append((client, key, note))
                if received > begin:
                    send(begin, received - begin)
                if len(log) >= LOG_MOST:
                    self._hand_over()
                if received < BATCH:
                    break

        return drain

    def _miss(self, packet: bytes, key: bytes, client: Client, outbox: Outbox, sender: bytes) -> Answer | None:
        """The answer to a packet that has none ready; ``None``: not now, or not in pieces.

        ``key``: the packet without its id, its name in lower case.
        """
        policy = client.policy
        if policy is None:
            return None
        if client.left < 0:
            self.too_many += 1
            return None
        quick = self._quick.get(policy.key)
        free = False
        if quick is not None:
            end = packet.find(0, HEADER) + 1
            name = key[HEADER - 2 : end - 2]
            answer = quick(packet, name, end)
            if answer is FREE:
                free = True
            elif answer is not None:
                self._ready.keep(client.ready, key, answer)
                return answer
        ticket = Ticket(self, outbox, sender, packet, key if free else b"", client)
        made: Made | Pieces | None
        if free:
            made = self._resolver.look_up(packet, name, policy, client.text, ticket)
        else:
            made = self._resolver.resolve(packet, policy, client.text, 0, ticket)
        if made is None:
            return None
        if isinstance(made, tuple):
            head, rest, cut, why = made
            answer = self._ready.share((head, rest, cut, self._log_writer.number(why), FOR_EVER))
            self._ready.keep(client.ready, key, answer)
            return answer
        note = None if made.note is None else self._log_writer.number(made.note)
        answer = split(packet, made.tail, note, self._ready.tick + int(min(made.seconds, SECONDS) * TICKS_A_SECOND))
        if answer is None:
            ticket(made)
        elif made.seconds > 0:
            self._ready.keep(client.ready, key, answer)
        return answer

    def deliver(self, ticket: Ticket, made: Made) -> None:
        """Send an answer that could not go with its batch."""
        if not ticket.key:
            self._note(ticket.client, ticket.packet, made)
        elif made.note is not None:
            self._log.append((ticket.client, ticket.key, self._log_writer.number(made.note)))
        ticket.outbox.put(ticket.sender, ticket.packet[:2] + made.tail)

    def _note(self, client: Client, packet: bytes, made: Made) -> None:
        if made.note is not None:
            end = HEADER
            while length := packet[end]:  # a label may hold any octet, a zero too
                end += length + 1
            key = NO_HEAD + packet[HEADER:end].lower() + packet[end : end + 5]  # a type may look like a letter
            self._log.append((client, key, self._log_writer.number(made.note)))

    # Clients

    def _find(self, address: bytes) -> Client:
        family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
        text = socket.inet_ntop(family, address)
        policy, until = self._world.policy_for(text, self._wall())
        if policy is None:
            return Client(text, None, {}, 0.0, until)
        if policy.key not in self._quick:
            self._quick[policy.key] = quick_way(policy, self._log_writer.number, self._ready.plain_of(policy.key))
        return Client(text, policy, self._ready.of(policy.key), self._world.burst, until)

    def _tick(self) -> None:
        """Time has passed: answers age, clients may ask again, rules end, the log is handed over."""
        self._loop.later(1 / TICKS_A_SECOND, self._tick)
        self._ready.tick += 1
        self._refill()
        if self._log:
            self._hand_over()

    def _refill(self) -> None:
        more, most, wall = self._world.per_second / TICKS_A_SECOND, self._world.burst, self._wall()
        over = []
        for address, client in self._clients.items():
            if client.until <= wall:
                over.append(address)
            elif client.left < most and client.policy is not None:
                client.left = min(most, max(client.left, 0.0) + more)
        for address in over:
            del self._clients[address]

    def _hand_over(self) -> None:
        self._log_writer.write(self._log)
        self._log.clear()  # in place: the drains hold it
        if self._log_writer.is_full:
            self._log_writer.forget()
            self._ready.forget()  # they hold numbers of notes
