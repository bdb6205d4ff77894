"""The worker processes: the one that answers queries, and the one that listens on the network.

Imported without the plugin around it, so that a worker is small and starts in a moment.
"""

from __future__ import annotations

from appliance.worker_api import WorkerContext

from .keeper.keeper import Keeper


async def dns(context: WorkerContext) -> None:
    """Answer queries by the last-good snapshot until cancelled."""
    await Keeper(context).run()


async def sniffer(context: WorkerContext) -> None:
    """Listen on the network, once somebody has switched it on (see ``network/sniffer.py``)."""
    from .network.sniffer import run  # noqa: PLC0415 - the process that answers queries never needs it

    await run(context)
