"""What the tests of the resolver share: a loop whose clock can be moved, an upstream on a thread that follows a script,
a snapshot, and a device that asks."""

from __future__ import annotations

import json
import math
import random
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from typing import Any

from dnslib import QTYPE, RR, A, DNSQuestion, DNSRecord

from appliance_plugins.dns_filter.answerer.ports import SECONDS, Port
from appliance_plugins.dns_filter.answerer.resolving import Made, Resolver
from appliance_plugins.dns_filter.answerer.table import Table, build, digest
from appliance_plugins.dns_filter.answerer.wire import to_wire
from appliance_plugins.dns_filter.answerer.world import World

PATIENCE = 10.0
ADDRESS = "192.0.2.53"
CLIENT = "10.0.0.7"

Script = Callable[[bytes, bool], "list[bytes]"]


class Timer:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        self.call = None


class Bench:
    """The loop. ``skip`` moves its clock; ``relays`` are the jobs that went over TCP."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._ready: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = count()
        self._ahead = 0.0
        self.relays: list[dict[str, Any]] = []
        self.verdicts: dict[str, str | None] = {}
        self.asked_verdicts: list[tuple[str, str, str]] = []

    def now(self) -> float:
        return time.monotonic() + self._ahead

    def wall(self) -> float:
        return time.time() + self._ahead

    def skip(self, seconds: float) -> None:
        self._ahead += seconds

    def watch(self, fd: int, ready: Callable[[], None]) -> None:
        self._ready[fd] = ready
        self._poll.register(fd, select.EPOLLIN)

    def forget(self, fd: int) -> None:
        del self._ready[fd]
        self._poll.unregister(fd)

    @property
    def watched(self) -> int:
        return len(self._ready)

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        timer = Timer(call)
        heappush(self._timers, (self.now() + seconds, next(self._numbers), timer))
        return timer

    def relay(self, job: bytes, done: Callable[[bytes | None], None]) -> None:
        line, _, message = job.partition(b"\n")
        self.relays.append(json.loads(line))
        where = (self.relays[-1]["host"], self.relays[-1]["port"])
        try:
            with socket.create_connection(where, PATIENCE) as tcp:
                tcp.sendall(struct.pack("!H", len(message)) + message)
                answer = _read_tcp(tcp)
        except OSError:
            answer = None
        self.later(0.0, lambda: done(answer))

    def verdict(self, name: str, qtype: str, profile: str, done: Callable[[str | None], None]) -> None:
        self.asked_verdicts.append((name, qtype, profile))
        self.later(0.0, lambda: done(self.verdicts.get(name, "allow")))

    def run_until(self, is_so: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Work until something is so."""
        end = time.monotonic() + patience
        while not is_so():
            assert time.monotonic() < end, "nothing came of it"
            wait = min(max(self._timers[0][0] - self.now(), 0.0), 0.2) if self._timers else 0.2
            for fd, _ in self._poll.poll(wait, 64):
                call = self._ready.get(fd)
                if call is not None:
                    call()
            while self._timers and self._timers[0][0] <= self.now():
                timer = heappop(self._timers)[2]
                if timer.call is not None:
                    timer.call()


def _read_tcp(tcp: socket.socket) -> bytes | None:
    data = b""
    while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
        piece = tcp.recv(65536)
        if not piece:
            return None
        data += piece
    return data[2:]


def addresses(message: bytes, over_tcp: bool = False, ttl: int = 300) -> list[bytes]:
    """The script of an upstream in good health: every name has one address and nothing else."""
    del over_tcp
    query = DNSRecord.parse(message)
    reply = query.reply(aa=0)
    if query.q.qtype == QTYPE.A:
        reply.add_answer(RR(query.q.qname, QTYPE.A, rdata=A(ADDRESS), ttl=ttl))
    return [_as_asked(message, bytes(reply.pack()))]


def zone(text: str, *, rcode: int = 0, auth: str = "") -> Script:
    """A script that answers with these records, whatever is asked; the question's case is kept."""

    def answer(message: bytes, over_tcp: bool) -> list[bytes]:
        del over_tcp
        reply = DNSRecord.parse(message).reply(aa=0)
        reply.header.rcode = rcode
        if text:
            reply.add_answer(*RR.fromZone(text))
        if auth:
            reply.add_auth(*RR.fromZone(auth))
        return [_as_asked(message, bytes(reply.pack()))]

    return answer


def _as_asked(message: bytes, reply: bytes) -> bytes:
    """dnslib keeps the case, except where it compresses against a name it knows; the question goes back as it came."""
    end = message.index(b"\0", 12) + 5
    return reply[:12] + message[12:end] + reply[end:]


class Upstream:
    """A name server on a thread. ``asked`` are the questions (``udp``/``tcp``, message, port they came from)."""

    def __init__(self, script: Script = addresses, host: str = "127.0.0.1") -> None:
        self.script = script
        self.host = host
        self.asked: list[tuple[str, bytes, int]] = []
        self.port = 0
        self._stop_reading, self._stop = socket.socketpair()
        self._tcp, self._udp = _both_sockets(host)
        self.port = self._udp.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def names(self) -> list[str]:
        return [str(DNSRecord.parse(message).q.qname).lower() for _, message, _ in self.asked]

    def part(self) -> dict[str, Any]:
        """As the snapshot has it."""
        return {"host": self.host, "port": self.port, "tls": ""}

    def close(self) -> None:
        self._stop.send(b"x")
        self._thread.join(PATIENCE)
        for one in (self._tcp, self._udp, self._stop, self._stop_reading):
            one.close()

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self._udp, self._tcp, self._stop_reading], [], [])
            if self._stop_reading in ready:
                return
            if self._udp in ready:
                message, sender = self._udp.recvfrom(4096)
                self.asked.append(("udp", message, sender[1]))
                for reply in self.script(message, False):
                    self._udp.sendto(reply, sender)
            if self._tcp in ready:
                with self._tcp.accept()[0] as tcp:
                    message = _read_tcp(tcp) or b""
                    self.asked.append(("tcp", message, tcp.getpeername()[1]))
                    for reply in self.script(message, True):
                        tcp.sendall(struct.pack("!H", len(reply)) + reply)


def _both_sockets(host: str) -> tuple[socket.socket, socket.socket]:
    while True:
        tcp = socket.create_server((host, 0))
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind((host, tcp.getsockname()[1]))
        except OSError:
            tcp.close()
            udp.close()
            continue
        return tcp, udp


def a_closed_port() -> int:
    """A port at which nobody listens."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        return int(udp.getsockname()[1])


def policy(**parts: Any) -> dict[str, Any]:
    """A policy as the snapshot has it."""
    return {
        "profile": "pupil", "mode": "block", "lists": [], "entries": [], "services": {}, "only": False, "bypass": False,
        "rewrites": {}, "answer": "nxdomain", "ipv4": "10.0.0.2", "ipv6": "fd00::2", "verdicts": False, **parts,
    }  # fmt: skip


def snapshot(*upstreams: Upstream, **parts: Any) -> dict[str, Any]:
    """A snapshot with one policy, ``policy``, for everybody."""
    only = parts.pop("policy", policy())
    cache = {
        "entries": 1000, "min_ttl": 0, "max_ttl": 3600, "negative_ttl": 300, "stale_seconds": 86400, "prefetch": True,
        **parts.pop("cache", {}),
    }  # fmt: skip
    return {
        "version": 2, "listen": ["127.0.0.1"], "port": 53, "processes": 1, "allow_from": ["10.0.0.0/8", "fd00::/8"],
        "block_ttl": 60, "rate": {"per_second": 200, "burst": 400}, "cache": cache,
        "upstreams": [each.part() for each in upstreams], "upstream_timeout": 2.0, "zones": [], "private_names": [],
        "local": {}, "exempt": [], "table": "", "lists": {}, "policies": {"pupil": only}, "clients": {}, "ranges": [],
        "default": [["pupil", None]], **parts,
    }  # fmt: skip


def table(folder: Path, *layers: tuple[str, int, list[str]]) -> Table:
    """A table of names: list, flags, names."""
    built = build(
        folder, [(name, flags, [b"".join(digest(to_wire(one)) for one in names)]) for name, flags, names in layers]
    )
    return Table.open(folder / f"{built.sha256}.table")


@dataclass
class Device:
    """Somebody who asks a resolver."""

    bench: Bench
    resolver: Resolver
    world: World
    health: list[dict[str, Any]]
    upstreams: tuple[Upstream, ...]
    client: str = CLIENT
    chance: random.Random = field(default_factory=lambda: random.Random(4))

    @property
    def policy(self) -> Any:
        found, _ = self.world.policy_for(self.client, self.bench.wall())
        return found

    def send(self, packet: bytes, *, tcp: bool = False) -> list[Made]:
        """Hand over a packet; the answer is in the list when it is there."""
        answers: list[Made] = []
        made = self.resolver.resolve(packet, self.policy, self.client, None if tcp else 0, answers.append)
        if isinstance(made, tuple):
            before, behind, end, note = made
            made = Made(before + packet[12 : len(packet) + end] + behind, note, math.inf)
        if made is not None:
            answers.append(made)
        return answers

    def ask_packet(self, packet: bytes, *, tcp: bool = False) -> Made:
        answers = self.send(packet, tcp=tcp)
        self.bench.run_until(lambda: bool(answers))
        assert len(answers) == 1
        return answers[0]

    def ask(self, name: str, qtype: str = "A", **parts: Any) -> DNSRecord:
        """Ask as a device does and read the answer as a device does."""
        tcp = parts.pop("tcp", False)
        packet = query(name, qtype, **parts)
        return DNSRecord.parse(packet[:2] + self.ask_packet(packet, tcp=tcp).tail)

    @property
    def in_flight(self) -> int:
        """Questions on their way to servers."""
        return len(self.resolver._upstreams._asked)

    @property
    def free_ports(self) -> list[Port]:
        """Ports that wait for a query."""
        return [port for ports in self.resolver._upstreams._ports.values() for port in ports._free]

    def leaves_nothing_open(self) -> None:
        """No question is on its way, nobody holds a place, and every socket is closed in the end."""
        assert not self.in_flight
        assert self.resolver._held == {}
        self.bench.skip(SECONDS)
        self.bench.run_until(lambda: not self.bench.watched)

    def use(self, **parts: Any) -> None:
        """Another snapshot."""
        self.world = World.of(snapshot(*self.upstreams, **parts), None)
        self.resolver.use(self.world)


@contextmanager
def device(*scripts: Script, names: Table | None = None, **parts: Any) -> Iterator[Device]:
    """A resolver with an upstream for each script."""
    upstreams = tuple(Upstream(script) for script in scripts)
    bench = Bench()
    health: list[dict[str, Any]] = []
    world = World.of(snapshot(*upstreams, **parts), names)
    try:
        yield Device(bench, Resolver(bench, world, health.append), world, health, upstreams)
    finally:
        for upstream in upstreams:
            upstream.close()


def query(
    name: str, qtype: str | int = "A", *, edns: bytes | None = None, size: int = 1232, do: bool = False, flags: int = 1,
    second: int = 0, qclass: int = 1,
) -> bytes:  # fmt: skip
    """A query as octets. ``edns``: options (``b""`` for none), or ``None`` for a device without EDNS."""
    number = qtype if isinstance(qtype, int) else getattr(QTYPE, qtype)
    packet = struct.pack("!HBBHHHH", 0x1234, flags, second, 1, 0, 0, 0 if edns is None else 1)
    packet += _spelled(name) + struct.pack("!HH", number, qclass)
    if edns is not None:
        packet += b"\0\0\x29" + struct.pack("!HIH", size, 0x8000 if do else 0, len(edns)) + edns
    return packet


def _spelled(name: str) -> bytes:
    labels = [label for label in name.encode().split(b".") if label]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def question(name: str, qtype: str = "A") -> DNSQuestion:
    return DNSQuestion(name, getattr(QTYPE, qtype))


def error_of(record: DNSRecord) -> int | None:
    """The code of the extended error in an answer, if there is one (RFC 8914)."""
    for extra in record.ar:
        if extra.rtype == QTYPE.OPT:
            for option in extra.rdata:
                if option.code == 15:
                    return int.from_bytes(option.data[:2], "big")
    return None
