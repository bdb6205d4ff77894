"""What the running appliance answers to ``appliance bench``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from appliance.bench.keeping import Why
from appliance.bench.running import Bench
from appliance.bench.sentences import bench_sentences, check_sentences
from appliance.bench.words import told


async def answer(bench: Bench, actor: str, request: Mapping[str, Any]) -> str:
    """Run the bench. Only a whole run of its own sentences is kept. Raises ``ApplianceError`` if there is no result."""
    detector = str(request.get("detector", ""))
    if "sentences" in request:
        own = check_sentences(request["sentences"])
        return told(await bench.try_sentences(actor, own, detector))
    if detector:
        return told(await bench.try_sentences(actor, bench_sentences(), detector))
    return told((await bench.run(actor, Why.COMMAND)).result)
