"""The web filter against dnsmasq and unbound: queries a second, processor time, memory, latency, swapping lists.

``python -m benchmarks.dns [--quick]`` blocks a million names with everything below them, with the query log on, server
on one core, clients and upstream on the other, everything on loopback. The others are set up for the same work with
their logs on; pdns-recursor and dnsdist run beside them without ``--quick``. What is missing is installed from Debian
where that is allowed. ``--serve LIST PORT UPSTREAM`` starts our worker alone, for a benchmark from outside.

Kinds of work: ``blocked`` (100,000 different blocked names), ``cached`` (1,000 names that are known), ``mix`` (85 %
of 10,000 allowed, 15 % blocked, the usual few most often), ``x20`` (known names in random case), ``miss`` (names that
nobody has asked before). All but the last are asked for once before; ``--quick`` takes a fifth of the names. Runs
alternate between the servers, so that what else the machine does meets all of them; each number is the median. Ratios
of queries a second are ours to theirs: more is better. Ratios of processor time: less is better. ``log`` says how
many of our answers are in the log: it counts equal queries of a second together.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import dns_load, dns_peers, dns_serving
from benchmarks.dns_load import Latency, Run
from benchmarks.dns_peers import HOST, Server

NAMES = 1_000_000
KINDS = ("blocked", "cached", "mix", "x20", "miss")
RATE = 2000
NXDOMAIN = 3


def main() -> None:
    """Measure, or serve."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dns", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="under a minute: fewer and shorter runs, two peers")
    parser.add_argument("--names", type=int, default=NAMES, help="how many names are blocked")
    parser.add_argument("--serve", nargs=3, metavar=("LIST", "PORT", "UPSTREAM"), help="start our worker alone")
    parser.add_argument("--folder", type=Path, help="where --serve keeps its files (default: a new folder in /tmp)")
    parser.add_argument("--processes", type=int, default=1, help="processes that answer, for --serve")
    options = parser.parse_args()
    if options.serve:
        names, port, upstream = options.serve
        dns_serving.serve(Path(names), int(port), upstream, options.folder, options.processes)
    else:
        print(json.dumps(measure(options.names, quick=options.quick)))


# Measuring


def measure(count: int, *, quick: bool) -> dict[str, Any]:
    """Everything; prints a table as it goes."""
    names = ["dnsmasq", "unbound"] if quick else list(dns_peers.PEERS)
    dns_peers.install(["dnsperf", *names])
    with tempfile.TemporaryDirectory(prefix="dns-bench-") as text:
        folder = Path(text)
        folder.chmod(0o755)
        blocked = dns_load.make_names(count)
        list_file = folder / "blocked.domains"
        list_file.write_text("\n".join(blocked) + "\n")
        os.sched_setaffinity(0, {dns_peers.CLIENT_CORE})  # what we do ourselves is not to be in the server's way
        queries = dns_load.write_queries(folder, blocked, *((2_000, 20_000) if quick else (10_000, 100_000)))
        upstream, upstream_port = dns_load.start_upstream()
        servers: dict[str, Server] = {}
        try:
            servers["ours"] = dns_peers.ours(list_file, upstream_port, blocked[0], folder)
            for name in names:
                servers[name] = dns_peers.PEERS[name](list_file, upstream_port, blocked[0], folder)
            return Measuring(servers, queries, blocked, folder, upstream_port, quick=quick).all()
        finally:
            upstream.kill()
            for server in servers.values():
                server.stop()


class Measuring:
    """The runs. ``servers``: ours and the others, all loaded; only one of them works at a time."""

    def __init__(
        self,
        servers: Mapping[str, Server],
        queries: Mapping[str, Path],
        blocked: Sequence[str],
        folder: Path,
        upstream: int,
        *,
        quick: bool,
    ) -> None:
        self._servers = servers
        self._queries = queries
        self._blocked = blocked
        self._folder = folder
        self._upstream = upstream
        self._quick = quick
        self._seconds = 1.5 if quick else 4.0
        self._rounds = 1 if quick else 3

    def all(self) -> dict[str, Any]:
        """The object that is printed last."""
        loaded = {name: round(server.memory_mb(), 1) for name, server in self._servers.items()}
        result: dict[str, Any] = {"names": len(self._blocked)}
        for server in self._servers.values():
            dns_load.perf(server, self._queries["warm"], once=True)
        runs = {kind: self._runs(kind) for kind in KINDS}
        for kind in KINDS:
            result[kind] = self._ratios(runs[kind], "per_second")
        result["cpu"] = {kind: self._ratios(runs[kind], "cpu_us") for kind in KINDS}
        result["absolute"] = {kind: {name: _absolute(of) for name, of in runs[kind].items()} for kind in KINDS}
        result["lost"] = {kind: _lost(runs[kind]["ours"]) for kind in KINDS}
        result["latency_us"] = self._latencies()
        ours = self._servers["ours"]
        result["memory_mb"] = round(ours.memory_mb(), 1)
        result["memory"] = {
            name: {"loaded": loaded[name], "after": round(server.memory_mb(), 1)}
            for name, server in self._servers.items()
        }
        result["load_seconds"] = {name: round(server.load_seconds, 2) for name, server in self._servers.items()}
        result["swap"] = self._swap(ours)
        result["two_processes"] = self._two_processes(runs["mix"]["ours"])
        time.sleep(2)  # the last second of the log
        assert ours.log is not None
        kept, left_out = dns_peers.read_counts(ours.log)
        result["log"] = {"kept": kept, "left_out": left_out}
        print(f"{'log':8} {kept:,} queries in our log, {left_out:,} left out", file=sys.stderr)
        return result

    def _runs(self, kind: str) -> dict[str, list[Run]]:
        found: dict[str, list[Run]] = {name: [] for name in self._servers}
        for _ in range(self._rounds):
            for name, server in self._servers.items():
                found[name].append(dns_load.perf(server, self._queries[kind], self._seconds, once=kind == "miss"))
        for name, runs in found.items():
            absolute = _absolute(runs)
            print(
                f"{kind:8} {name:14} {absolute['per_second']:>9,.0f}/s {absolute['cpu_us']:7.1f} us"
                f"  lost {sum(run.sent - run.answered for run in runs)}",
                file=sys.stderr,
            )
        return found

    def _ratios(self, runs: Mapping[str, Sequence[Run]], field: str) -> dict[str, float]:
        ours = [getattr(run, field) for run in runs["ours"]]
        return {
            name: round(median(a / b for a, b in zip(ours, (getattr(run, field) for run in of), strict=True)), 2)
            for name, of in runs.items()
            if name != "ours"
        }

    def _latencies(self) -> dict[str, dict[str, int]]:
        names = [line.split()[0] for line in self._queries["mix"].read_text().splitlines()[:20_000]]
        found: dict[str, list[Latency]] = {name: [] for name in self._servers}
        for _ in range(self._rounds):
            for name, server in self._servers.items():
                found[name].append(dns_load.at_fixed_rate(server, names, RATE, 2.0 if self._quick else 5.0))
        shown = {
            name: {
                "p50": round(median(one.p50 for one in of)), "p99": round(median(one.p99 for one in of)),
                "lost": sum(one.lost for one in of),
            }
            for name, of in found.items()
        }  # fmt: skip
        for name, one in shown.items():
            print(
                f"{'latency':8} {name:14} p50 {one['p50']} us, p99 {one['p99']} us, lost {one['lost']}", file=sys.stderr
            )
        return shown

    def _swap(self, ours: Server) -> dict[str, float]:
        """Compile the list with a name more, and put it in force, while queries come at a steady rate."""
        state = next(self._folder.glob(f"ours-*/{dns_serving.WORKER}"))
        newer = self._folder / "newer.domains"
        newer.write_text("\n".join((*self._blocked, "one-more.example")) + "\n")
        code = (
            "from pathlib import Path; from benchmarks import dns_serving as serving;"
            f" state = Path({str(state)!r}); table = serving.compile_into(Path({str(newer)!r}), state);"
            f" serving.write_snapshot(state, table, {ours.port}, '{HOST}:{self._upstream}', 1)"
        )
        names = [line.split()[0] for line in self._queries["mix"].read_text().splitlines()[:20_000]]
        found: list[Latency] = []
        swapped = threading.Event()

        def keep_asking() -> None:
            while not swapped.is_set():
                found.append(dns_load.at_fixed_rate(ours, names, RATE, 1.0))

        asking = threading.Thread(target=keep_asking)
        asking.start()
        began = time.monotonic()
        try:
            subprocess.run(
                ["taskset", "-c", str(dns_peers.SERVER_CORE), sys.executable, "-c", code],
                check=True, cwd=Path(__file__).parents[1],
            )  # fmt: skip
            dns_serving.announce(state)
            while dns_peers.ask(ours.port, "one-more.example")[3] & 0xF != NXDOMAIN:
                time.sleep(0.05)
            seconds = time.monotonic() - began
        finally:
            swapped.set()
            asking.join()
        one = {
            "seconds": round(seconds, 1),
            "lost": sum(run.lost for run in found),
            "worst_ms": round(max(run.worst for run in found) / 1000, 1),
        }
        print(f"{'swap':8} {one}", file=sys.stderr)
        return one

    def _two_processes(self, one: Sequence[Run]) -> dict[str, float]:
        server = dns_peers.ours(self._folder / "blocked.domains", self._upstream, self._blocked[0], self._folder, 2)
        try:
            for kind in ("warm", "warm", "warm", "mix"):  # each process knows what it was asked itself
                dns_load.perf(server, self._queries[kind], self._seconds * 2, once=kind == "warm")
            runs = [dns_load.perf(server, self._queries["mix"], self._seconds) for _ in range(self._rounds)]
        finally:
            server.stop()
        ratio = round(median(run.cpu_us for run in runs) / median(run.cpu_us for run in one), 2)
        print(f"{'two':8} processes on one core: {ratio} of the processor time of one", file=sys.stderr)
        return {"cpu_of_one": ratio}


def _absolute(runs: Sequence[Run]) -> dict[str, float]:
    return {
        "per_second": round(median(run.per_second for run in runs)),
        "cpu_us": round(median(run.cpu_us for run in runs), 1),
    }


def _lost(runs: Sequence[Run]) -> int:
    return sum(run.sent - run.answered for run in runs)


if __name__ == "__main__":
    main()
