"""What devices look for, in a real Chromium: how large it is, how long it takes, and how much ordinary English leaves.

Run ``python -m benchmarks.needles``. It prints figures and ends in one JSON object:

- ``policy``: characters, and bytes as gzip packs them, of all supplied policies as needles; of the tables in the
extension;
- ``load``: milliseconds until they are ready, and MB of memory that they take, tables and all;
- ``ordinary``: of each ordinary text in pieces of 200 characters, how many of a hundred leave a device (typed), and the
  milliseconds of a piece (mean, 99th of 100, worst).
"""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from needles_in_chromium import Chromium, in_chromium

from appliance_plugins.keyword.library.reading import read_policies
from appliance_plugins.keyword.needles.making import Making
from appliance_plugins.keyword.needles.siphash import KEY_BYTES
from appliance_plugins.keyword.needles.surfaces import bits
from appliance_plugins.keyword.needles.tables import tables_module
from benchmarks.detection import ordinary_english, show

PIECE = 200
MOST_PIECES = 20_000
"""Of one text."""
TIME_PIECES = """(pieces) => pieces.map((piece) => {
    const began = performance.now();
    const found = globalThis.find(piece, "typed").length;
    return [found, performance.now() - began];
})"""


async def _figures() -> Mapping[str, Any]:
    policies = read_policies(None)
    before = time.perf_counter()
    made = Making(policies, bytes(KEY_BYTES))
    wanted = {f"{policy.name}/{term.id}": bits(term.surfaces) for policy in policies for term in policy.terms}
    needles = made.needles(wanted)
    seconds = time.perf_counter() - before
    texts = ordinary_english()
    async with in_chromium() as chromium:
        load = await _load(chromium, needles)
        ordinary = {name: await _ordinary(chromium, text) for name, text in texts.items()}
    phrases = sum(len(term.phrases) for policy in policies for term in policy.terms)
    policy = {"phrases": phrases, "making_seconds": round(seconds, 2), **_sizes(json.dumps(needles).encode(), "policy")}
    return {"policy": {**policy, **_sizes(tables_module(), "tables")}, "load": load, "ordinary": ordinary}


def _sizes(content: bytes, name: str) -> dict[str, int]:
    return {f"{name}_bytes": len(content), f"{name}_packed_bytes": len(gzip.compress(content))}


async def _load(chromium: Chromium, needles: Mapping[str, Any]) -> Mapping[str, float]:
    session = await chromium.page.context.new_cdp_session(chromium.page)
    before = await _megabytes(session)
    milliseconds = await chromium.prepare(needles)
    return {"milliseconds": round(milliseconds), "megabytes": round(await _megabytes(session) - before, 1)}


async def _megabytes(session: Any) -> float:
    await session.send("HeapProfiler.collectGarbage")
    found = await session.send("Runtime.getHeapUsage")
    return float(found["usedSize"]) / 1e6


async def _ordinary(chromium: Chromium, text: str) -> Mapping[str, float]:
    plain = " ".join(text.split())
    step = max(PIECE, len(plain) // MOST_PIECES)
    pieces = [plain[start : start + PIECE] for start in range(0, len(plain) - PIECE, step)]
    found: Sequence[tuple[int, float]] = await chromium.page.evaluate(TIME_PIECES, pieces)
    took = sorted(milliseconds for _, milliseconds in found)
    return {
        "pieces": len(pieces),
        "noticed_percent": round(100 * sum(count > 0 for count, _ in found) / len(found), 2),
        "mean_ms": round(sum(took) / len(took), 2),
        "p99_ms": round(took[len(took) * 99 // 100], 2),
        "worst_ms": round(took[-1], 1),
    }


def main() -> None:
    """Measure, print."""
    figures = asyncio.run(_figures())
    show(figures)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
