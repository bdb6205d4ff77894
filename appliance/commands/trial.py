"""`appliance trial`: everything on this machine, supervised."""

from __future__ import annotations

import argparse
import asyncio
import sys

from appliance.config import Place
from appliance.errors import CannotStart
from appliance.trial import Supervisor


def trial(_options: argparse.Namespace, place: Place) -> int:
    """Supervise until Ctrl-C."""
    if place.trial_dir is None:
        raise CannotStart("This is no checkout.", "Give a folder for the trial: appliance --trial FOLDER trial")
    return asyncio.run(Supervisor(place, lambda words: print(words, file=sys.stderr, flush=True)).run())
