"""`appliance verdicts`: the process that asks plugins about names. The DNS worker starts it; it is not listed."""

from __future__ import annotations

import argparse
import signal

from appliance.config import Place
from appliance.parents import end_with
from appliance.verdicts import serve


def verdicts(options: argparse.Namespace, place: Place) -> int:
    """Answer until the worker closes the pipe, or is gone."""
    end_with(options.parent, signal.SIGKILL)  # a plugin that spins hears nothing else
    serve(place, options.file, options.note, options.without)
    return 0
