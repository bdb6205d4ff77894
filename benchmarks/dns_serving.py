"""Our DNS worker alone, for ``benchmarks.dns`` and for benchmarks from outside. It imports little, to start at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
WORKER = "dns_filter.dns"


def serve(names: Path, port: int, upstream: str, folder: Path | None, processes: int) -> None:
    """Compile a list, write the snapshot, and become the worker. Its log goes to ``records.log`` in the folder."""
    where = folder or Path(tempfile.mkdtemp(prefix="dns-"))
    state = where / WORKER
    (state / "lists").mkdir(parents=True, exist_ok=True)
    write_snapshot(state, compile_into(names, state), port, upstream, processes)
    collect(where / "workers.sock", where / "records.log")
    print(f"The log is {where}/records.log", flush=True)
    os.execv(  # noqa: S606 - nothing of the above stays in memory
        sys.executable,
        [
            sys.executable,
            "-m",
            "appliance",
            "worker",
            WORKER,
            "--folder",
            str(state),
            "--socket",
            f"{where}/workers.sock",
        ],
    )


def compile_into(names: Path, state: Path) -> str:
    """Compile a list into the worker's folder, as the appliance does it; returns the name of the table."""
    folder = str(state / "lists")
    found = _compiler({"do": "compile", "source": str(names), "folder": folder, "format": "domains", "limit": 1 << 40})
    (one,) = found["lists"].values()
    layers = [["bench", flags, digests] for flags, digests, _ in one["layers"]]
    return str(_compiler({"do": "table", "folder": folder, "layers": layers, "expected": one["names"]})["sha256"])


def _compiler(task: Mapping[str, Any]) -> dict[str, Any]:
    """What the process that compiles lists says in the end."""
    code = "from appliance.commands.worker import import_alone; import_alone('dns_filter', 'lists.compiling').main()"
    said = subprocess.run(
        [sys.executable, "-c", code], input=json.dumps(task).encode(), capture_output=True, check=True
    )
    last = json.loads(said.stdout.splitlines()[-1])
    if "done" not in last:
        raise SystemExit(f"The list was not compiled: {last}")
    done: dict[str, Any] = last["done"]
    return done


def write_snapshot(state: Path, table: str, port: int, upstream: str, processes: int) -> None:
    """What the worker is to answer by: one profile for everybody, as many queries as anybody likes."""
    host, _, upstream_port = upstream.rpartition(":")
    snapshot = {
        "version": 2, "listen": [HOST], "port": port, "processes": processes, "allow_from": ["127.0.0.0/8"],
        "block_ttl": 60, "rate": {"per_second": 10_000_000, "burst": 10_000_000},
        "cache": {
            "entries": 20_000, "min_ttl": 0, "max_ttl": 3600, "negative_ttl": 300, "stale_seconds": 86_400,
            "prefetch": True,
        },
        "upstreams": [{"host": host, "port": int(upstream_port), "tls": ""}], "upstream_timeout": 2.0, "zones": [],
        "private_names": [], "local": {}, "exempt": ["childline.org.uk"], "table": table,
        "lists": {"bench": {"title": "Benchmark", "category": "", "locked": False}},
        "policies": {
            "pupil": {
                "profile": "pupil", "mode": "block", "lists": ["bench"], "entries": [], "services": {}, "only": False,
                "bypass": True, "rewrites": {"www.google.com": "forcesafesearch.google.com"}, "answer": "nxdomain",
                "ipv4": "0.0.0.0", "ipv6": "::", "verdicts": False,  # noqa: S104 - leads nowhere
            }
        },
        "clients": {}, "ranges": [{"network": "127.0.0.0/8", "group": "bench", "chain": [["pupil", None]]}],
        "default": [["pupil", None]],
    }  # fmt: skip
    part = state / "snapshot.part"
    part.write_text(json.dumps(snapshot))
    part.replace(state / "snapshot.json")


COLLECTOR = """
import os, select, socket, sys
path, log = sys.argv[1:]
listening = socket.socket(socket.AF_UNIX)
listening.bind(path)
listening.listen(1)
os.mkfifo(path + ".announce")
announced = os.open(path + ".announce", os.O_RDWR)
os.write(1, b"ready")
os.close(1)
link, _ = listening.accept()
with open(log, "ab", buffering=0) as file:
    while True:
        for ready in select.select([link, announced], [], [])[0]:
            if ready is link:
                octets = link.recv(1 << 20)
                if not octets:
                    sys.exit()
                file.write(octets)
            else:
                os.read(announced, 1)
                link.sendall(b'{"snapshot": 1}\\n')
"""


def collect(link: Path, log: Path) -> None:
    """Take what the worker reports and write it to a file, in a small process of its own."""
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", COLLECTOR, str(link), str(log)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.read()


def announce(state: Path) -> None:
    """Say that there is a newer snapshot, as the main process would."""
    with (state.parent / "workers.sock.announce").open("wb") as fifo:
        fifo.write(b"1")
