"""`appliance detect`: the process in which detectors run. The main process starts it; it is not listed."""

from __future__ import annotations

import argparse
import signal

from appliance.config import Place
from appliance.judging import serve
from appliance.parents import end_with


def detect(options: argparse.Namespace, place: Place) -> int:
    """Judge until the main process closes the pipe, or is gone."""
    end_with(options.parent, signal.SIGKILL)  # a detector that spins hears nothing else
    serve(place)
    return 0
