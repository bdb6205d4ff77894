"""`appliance probe NAME`: try one plugin in this process, which may be lost."""

from __future__ import annotations

import argparse
import asyncio
import traceback

from appliance.app import try_plugin
from appliance.config import Place
from appliance.probe import report


def probe(options: argparse.Namespace, place: Place) -> int:
    """Try one plugin: whatever happens is told through the pipe."""
    try:
        asyncio.run(try_plugin(options.name, place))
    except BaseException as error:  # noqa: BLE001 - the outermost loop of this process: the plugin's own code ran
        report(options.report, error, traceback.format_exc())
    else:
        report(options.report, None)
    return 0
