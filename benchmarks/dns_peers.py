"""The servers that ``benchmarks.dns`` compares: ours, and others set up for the same work with their logs on."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
SERVER_CORE, CLIENT_CORE = 0, 1
READY_SECONDS = 120.0
_TICKS = os.sysconf("SC_CLK_TCK")

PACKAGES = {
    "dnsmasq": "dnsmasq-base",
    "unbound": "unbound",
    "pdns_recursor": "pdns-recursor",
    "dnsdist": "dnsdist",
    "dnsperf": "dnsperf",
}


def install(programs: Sequence[str]) -> None:
    """Install what is missing from Debian, if this account may."""
    missing = [PACKAGES[program] for program in programs if shutil.which(program) is None]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(
            ["apt-get", "install", "-y", "-q", "--no-install-recommends", *missing],
            check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )  # fmt: skip


def free_port() -> int:
    """A UDP and TCP port that nobody has at the moment."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((HOST, 0))
        return int(udp.getsockname()[1])


def query(name: str, qtype: int = 1) -> bytes:
    """A plain query."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return secrets.token_bytes(2) + b"\x01\x00\x00\x01\0\0\0\0\0\0" + labels + b"\0" + struct.pack("!HH", qtype, 1)


def ask(port: int, name: str, seconds: float = 1.0) -> bytes:
    """One answer. Raises ``OSError``."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(seconds)
        udp.connect((HOST, port))
        udp.send(query(name))
        return udp.recv(4096)


@dataclass
class Server:
    """A running server and its processes. ``load_seconds``: from its start until a blocked name was blocked."""

    name: str
    port: int
    process: subprocess.Popen[bytes]
    load_seconds: float = 0.0
    log: Path | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def pids(self) -> list[int]:
        """The process and everything below it."""
        found, waiting = [], [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                waiting += [int(text) for text in task.read_text().split()]
        return found

    def cpu_seconds(self) -> float:
        """Processor time of all of them so far, with what ended below them."""
        total = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:15]))
        return total / _TICKS

    def memory_mb(self) -> float:
        """Proportional set size of all of them: memory that is shared counts once."""
        kilobytes = 0
        for pid in self.pids():
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    kilobytes += int(line.split()[1])
        return kilobytes / 1024

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def started(
    name: str, port: int, command: Sequence[str], blocked: str, folder: Path, core: int = SERVER_CORE
) -> Server:
    """Start a server on its core, and wait until it blocks a name."""
    began = time.monotonic()
    with (folder / f"{name}.out").open("wb") as out:
        process = subprocess.Popen(
            ["taskset", "-c", str(core), *command], stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=folder
        )
    server = Server(name, port, process)
    while time.monotonic() - began < READY_SECONDS:
        try:
            answer = ask(port, blocked, 0.2)
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.02)
            continue
        if answer[3] & 0xF == 3:
            server.load_seconds = time.monotonic() - began
            return server
        time.sleep(0.02)
    server.stop()
    raise SystemExit(f"{name} does not block {blocked}:\n{(folder / f'{name}.out').read_text()[-2000:]}")


# Others


def dnsmasq(names: Path, upstream: int, blocked: str, folder: Path, cache: int = 10_000) -> Server:
    """dnsmasq with an ``address=/name/`` line for each name, and its query log in a file."""
    port = free_port()
    servers = folder / "dnsmasq.servers"
    if not servers.exists():
        with names.open() as lines, servers.open("w") as out:
            out.writelines(f"address=/{line.strip()}/\n" for line in lines)
    config = folder / f"dnsmasq-{cache}.conf"
    config.write_text(
        f"port={port}\nlisten-address={HOST}\nbind-interfaces\nno-resolv\nno-hosts\nserver={HOST}#{upstream}\n"
        f"conf-file={servers}\ncache-size={cache}\nlog-queries\nlog-facility={folder}/dnsmasq.log\nlog-async=100\n"
        "keep-in-foreground\nuser=root\npid-file=\ndns-forward-max=10000\n"
    )
    return started("dnsmasq", port, ["dnsmasq", f"--conf-file={config}"], blocked, folder)


def unbound(names: Path, upstream: int, blocked: str, folder: Path) -> Server:
    """unbound with a local zone for each name, and its log of replies in a file."""
    port = free_port()
    zones = folder / "unbound.zones"
    if not zones.exists():
        with names.open() as lines, zones.open("w") as out:
            out.write("server:\n")
            out.writelines(f'local-zone: "{line.strip()}." always_nxdomain\n' for line in lines)
    config = folder / "unbound.conf"
    config.write_text(
        f"server:\n  interface: {HOST}@{port}\n  do-daemonize: no\n"
        f'  username: ""\n  chroot: ""\n  directory: "{folder}"\n'
        f'  pidfile: ""\n  use-syslog: no\n  logfile: "{folder}/unbound.log"\n  log-replies: yes\n  verbosity: 0\n'
        "  num-threads: 1\n  module-config: iterator\n  do-not-query-localhost: no\n"
        "  access-control: 127.0.0.0/8 allow\n"
        "  outgoing-range: 4096\n  num-queries-per-thread: 2048\n  so-rcvbuf: 0\n  so-sndbuf: 0\n"
        f"include: {zones}\n"
        f'forward-zone:\n  name: "."\n  forward-addr: {HOST}@{upstream}\n'
    )
    return started("unbound", port, ["unbound", "-d", "-c", str(config)], blocked, folder)


def pdns_recursor(names: Path, upstream: int, blocked: str, folder: Path) -> Server:
    """PowerDNS Recursor with the names as a response policy zone, and its log of queries on."""
    port = free_port()
    zone = folder / "pdns.rpz"
    if not zone.exists():
        with names.open() as lines, zone.open("w") as out:
            out.write("$TTL 60\n@ SOA localhost. nobody.invalid. 1 3600 1200 604800 60\n@ NS localhost.\n")
            for line in lines:
                out.write(f"{line.strip()} CNAME .\n*.{line.strip()} CNAME .\n")
    (folder / "pdns.lua").write_text(f'rpzFile("{zone}", {{defpol=Policy.NXDOMAIN, policyName="bench"}})\n')
    command = [
        "pdns_recursor", "--daemon=no", f"--local-address={HOST}", f"--local-port={port}", f"--config-dir={folder}",
        f"--forward-zones-recurse=.={HOST}:{upstream}", f"--lua-config-file={folder}/pdns.lua", "--threads=1",
        "--quiet=no", "--loglevel=6", "--disable-syslog=yes", "--dnssec=off", f"--socket-dir={folder}",
        "--dont-query=", "--setuid=", "--setgid=", "--write-pid=no",
    ]  # fmt: skip
    return started("pdns_recursor", port, command, blocked, folder)


def dnsdist(names: Path, upstream: int, blocked: str, folder: Path) -> Server:
    """dnsdist with a suffix tree of the names, a packet cache, and its log action on."""
    port = free_port()
    config = folder / "dnsdist.conf"
    config.write_text(
        f'setLocal("{HOST}:{port}")\nnewServer({{address="{HOST}:{upstream}", checkInterval=3600}})\n'
        'pc = newPacketCache(100000)\ngetPool(""):setCache(pc)\nsmn = newSuffixMatchNode()\n'
        f'for line in io.lines("{names}") do smn:add(newDNSName(line)) end\n'
        f'addAction(AllRule(), LogAction("{folder}/dnsdist.log", true, true, true))\n'
        "addAction(SuffixMatchNodeRule(smn), RCodeAction(DNSRCode.NXDOMAIN))\n"
    )
    command = ["dnsdist", "--supervised", "--disable-syslog", "-C", str(config)]
    return started("dnsdist", port, command, blocked, folder)


# Ours


def ours(
    names: Path, upstream: int, blocked: str, folder: Path, processes: int = 1, core: str = str(SERVER_CORE)
) -> Server:
    """Our worker, started as a stranger would: ``python -m benchmarks.dns --serve LIST PORT UPSTREAM``."""
    port = free_port()
    where = Path(tempfile.mkdtemp(prefix="ours-", dir=folder))
    command = [
        sys.executable, "-m", "benchmarks.dns", "--serve", str(names), str(port), f"{HOST}:{upstream}",
        "--folder", str(where), "--processes", str(processes),
    ]  # fmt: skip
    environment_folder = Path(__file__).parents[1]
    began = time.monotonic()
    out = (folder / "ours.out").open("wb")
    process = subprocess.Popen(
        ["taskset", "-c", core, *command], stdout=out, stderr=out, stdin=subprocess.DEVNULL, cwd=environment_folder
    )
    server = Server("ours", port, process, log=where / "records.log")
    while time.monotonic() - began < READY_SECONDS:
        try:
            if ask(port, blocked, 0.2)[3] & 0xF == 3:
                server.load_seconds = time.monotonic() - began
                return server
        except OSError:
            if process.poll() is not None:
                break
        time.sleep(0.02)
    server.stop()
    raise SystemExit(f"ours does not block {blocked}:\n{(folder / 'ours.out').read_text()[-3000:]}")


PEERS: dict[str, Callable[[Path, int, str, Path], Server]] = {
    "dnsmasq": dnsmasq,
    "unbound": unbound,
    "pdns_recursor": pdns_recursor,
    "dnsdist": dnsdist,
}


def read_counts(log: Path) -> tuple[int, int]:
    """How many queries our log holds, and how many it says were left out."""
    kept = left_out = 0
    with log.open("rb") as lines:
        for line in lines:
            for record in json.loads(line).get("records", ()):
                if record.get("kind") == "health":
                    left_out = record.get("dropped", left_out)
                else:
                    kept += sum(record["rows"][3::4])
    return kept, left_out
