"""`appliance run`: the main process."""

from __future__ import annotations

import argparse
import asyncio

from appliance.config import Place
from appliance.main_process import MainProcess
from appliance.parents import end_with_supervisor


def run(_options: argparse.Namespace, place: Place) -> int:
    """Serve until a signal."""
    end_with_supervisor()
    asyncio.run(MainProcess(place, lambda words: print(words, flush=True)).run())
    return 0
