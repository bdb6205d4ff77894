"""`appliance demo-run`: the main process of a demonstration, and what happens at the invented school."""

from __future__ import annotations

import argparse
import asyncio

from appliance.config import Place
from appliance.demo.living import Demonstration
from appliance.main_process import MainProcess
from appliance.parents import end_with_supervisor


def demo_run(_options: argparse.Namespace, place: Place) -> int:
    """Serve until a signal."""
    end_with_supervisor()
    assert place.trial_dir is not None
    school = Demonstration(lambda: process.appliance, place.trial_dir, _say)
    process = MainProcess(place, _say, school.run)
    asyncio.run(process.run())
    return 0


def _say(words: str) -> None:
    print(words, flush=True)
