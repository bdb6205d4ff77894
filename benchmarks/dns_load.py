"""What ``benchmarks.dns`` asks: names, queries, an upstream, dnsperf, and a client that measures each answer."""

from __future__ import annotations

import random
import re
import select
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.commands.worker import import_alone
from benchmarks.dns_peers import CLIENT_CORE, HOST, Server, free_port, query

LETTERS = "abcdefghijklmnopqrstuvwxyz"
ENDINGS = ("com", "net", "org", "co", "info", "xyz", "io", "de", "fr", "top")
SHAPES = ((2, 0.52), (3, 0.32), (4, 0.16))
"""How many labels names of real lists have."""

_SENT = re.compile(r"Queries sent:\s+(\d+)")
_DONE = re.compile(r"Queries completed:\s+(\d+)")
_RATE = re.compile(r"Queries per second:\s+([\d.]+)")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of dnsperf. ``cpu_us``: processor time of the server for each answer, in microseconds."""

    per_second: float
    cpu_us: float
    sent: int
    answered: int


@dataclass(frozen=True, slots=True)
class Latency:
    """Times to an answer at a fixed rate, in microseconds, and how many queries had none."""

    p50: float
    p99: float
    worst: float
    lost: int


def make_names(count: int, seed: int = 1) -> list[str]:
    """Names of the shape of a real list, each once."""
    chance = random.Random(seed)
    labels, weights = [number for number, _ in SHAPES], [weight for _, weight in SHAPES]
    found: dict[str, None] = {}
    while len(found) < count:
        shape = chance.choices(labels, weights, k=4096)
        for number in shape:
            parts = ["".join(chance.choices(LETTERS, k=chance.randint(4, 16))) for _ in range(number - 1)]
            found[".".join((*parts, chance.choice(ENDINGS)))] = None
    return list(found)[:count]


def write_queries(folder: Path, blocked: Sequence[str], allowed_names: int, blocked_names: int) -> dict[str, Path]:
    """The files of queries for dnsperf, one for each kind of work, and ``warm``: each name of the others once."""
    chance = random.Random(2)
    some = [_below(name, chance) for name in chance.sample(blocked, min(blocked_names, len(blocked)))]
    allowed = [f"{''.join(chance.choices(LETTERS, k=12))}.allowed.example" for _ in range(allowed_names)]
    cached = allowed[:1000]
    mix = _zipf(allowed, 170_000, chance) + _zipf(some[:20_000], 30_000, chance)
    chance.shuffle(mix)
    kinds = {
        "blocked": some,
        "cached": cached * 20,
        "mix": mix,
        "x20": ["".join(chance.choice((c, c.upper())) for c in name) for name in cached * 20],
        "warm": [*allowed, *some],
        "miss": [f"{number:x}.{''.join(chance.choices(LETTERS, k=8))}.never.example" for number in range(400_000)],
    }
    files = {}
    for kind, names in kinds.items():
        files[kind] = folder / f"{kind}.queries"
        with files[kind].open("w") as out:
            out.writelines(f"{name} {_type_of(name)}\n" for name in names)
    return files


def _type_of(name: str) -> str:
    """One in five is asked for its IPv6 address, always the same ones."""
    return "AAAA" if zlib.crc32(name.lower().encode()) % 5 == 0 else "A"


def _below(name: str, chance: random.Random) -> str:
    return f"www.{name}" if chance.random() < 0.2 else name


def _zipf(names: Sequence[str], count: int, chance: random.Random) -> list[str]:
    return chance.choices(names, [1 / rank for rank in range(1, len(names) + 1)], k=count)


def perf(server: Server, queries: Path, seconds: float = 3600.0, once: bool = False) -> Run:
    """Ask as fast as the server answers. ``once``: no query twice, and an end after the last one."""
    before = server.cpu_seconds()
    command = [
        "taskset", "-c", str(CLIENT_CORE), "dnsperf", "-s", HOST, "-p", str(server.port), "-d", str(queries),
        "-l", str(seconds), "-c", "8", "-T", "1", "-t", "2", *(("-n", "1") if once else ()),
    ]  # fmt: skip
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = server.cpu_seconds() - before
    sent, done = int(_found(_SENT, out)), int(_found(_DONE, out))
    return Run(float(_found(_RATE, out)), used / max(done, 1) * 1e6, sent, done)


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    if match is None:
        raise SystemExit(f"dnsperf said something else:\n{text}")
    return match.group(1)


def at_fixed_rate(server: Server, names: Sequence[str], per_second: int, seconds: float) -> Latency:
    """Send at a rate from 64 sockets, and time each answer."""
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(64)]
    poll = select.epoll()
    by_fd = {}
    for number, udp in enumerate(sockets):
        udp.setblocking(False)
        udp.connect((HOST, server.port))
        poll.register(udp.fileno(), select.EPOLLIN)
        by_fd[udp.fileno()] = (number, udp)
    packets = [query(name)[2:] for name in names]
    waiting: dict[tuple[int, int], float] = {}
    times = []
    total, sent, began = int(per_second * seconds), 0, time.perf_counter()
    while sent < total or (waiting and time.perf_counter() - began < seconds + 1.0):
        due = began + sent / per_second
        moment = time.perf_counter()
        if sent < total and moment >= due:
            number, message_id = sent % 64, sent // 64 & 0xFFFF
            waiting[number, message_id] = time.perf_counter()
            sockets[number].send(struct.pack("!H", message_id) + packets[sent % len(packets)])
            sent += 1
            continue
        for fd, _ in poll.poll(0):
            number, udp = by_fd[fd]
            answer = udp.recv(4096)
            at = waiting.pop((number, int.from_bytes(answer[:2], "big")), None)
            if at is not None:
                times.append(time.perf_counter() - at)
    for udp in sockets:
        udp.close()
    times.sort()
    return Latency(times[len(times) // 2] * 1e6, times[int(len(times) * 0.99)] * 1e6, times[-1] * 1e6, len(waiting))


def start_upstream() -> tuple[subprocess.Popen[bytes], int]:
    """A name server that answers every query at once: an address for A, and that there is nothing else."""
    port = free_port()
    code = f"from benchmarks.dns_load import upstream; upstream({port})"
    process = subprocess.Popen(
        ["taskset", "-c", str(CLIENT_CORE), sys.executable, "-c", code], cwd=Path(__file__).parents[1]
    )
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.settimeout(0.2)
            udp.connect((HOST, port))
            try:
                udp.send(query("ready.example"))
                udp.recv(512)
            except OSError:
                time.sleep(0.05)
            else:
                break
    return process, port


def upstream(port: int) -> None:
    """Answer for ever, many packets at a time, so that whoever asks is what is measured."""
    module = import_alone("dns_filter", "answerer.batches")
    slot_octets, step, at_length = module.SLOT, module.Batches.LENGTH_STEP, module.Batches.LENGTH_AT
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    udp.bind((HOST, port))
    batches = module.Batches(udp)
    address = b"\xc0\x0c\0\1\0\1\0\0\x0e\x10\0\4\xc0\0\2\1"
    soa = b"\0\0\6\0\1\0\0\x0e\x10\0\x16\0\0" + struct.pack("!5I", 1, 3600, 1200, 604800, 3600)
    while True:
        select.select([udp], [], [])
        received = batches.receive()
        for slot in range(received):
            at = slot * slot_octets
            packet = batches.packets[at : at + batches.lengths[slot * step + at_length]]
            end = packet.index(0, 12) + 5
            is_a = packet[end - 4 : end - 2] == b"\0\1"
            counts = b"\0\1\0\1\0\0\0\0" if is_a else b"\0\1\0\0\0\1\0\0"
            answer = packet[:2] + b"\x81\x80" + counts + packet[12:end] + (address if is_a else soa)
            batches.packets[at : at + len(answer)] = answer
            batches.answer_lengths[slot * 2] = len(answer)
        batches.send(0, received)
