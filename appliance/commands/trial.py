"""`appliance trial`: everything on this machine, supervised."""

from __future__ import annotations

import argparse
import asyncio
import sys

from appliance.config import Place
from appliance.errors import CannotStart
from appliance.plugin_watch import PluginWatch
from appliance.trial import Supervisor


def trial(_options: argparse.Namespace, place: Place) -> int:
    """Supervise until Ctrl-C."""
    if place.trial_dir is None:
        raise CannotStart("This is no checkout.", "Give a folder for the trial: appliance --trial FOLDER trial")
    watch = PluginWatch(place.drop_in_dir)
    return asyncio.run(Supervisor(place, lambda words: print(words, file=sys.stderr, flush=True), watch=watch).run())
