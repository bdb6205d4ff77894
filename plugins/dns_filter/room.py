"""A room of this plugin: one part of the web filter with its own pages, tables, jobs and checks.

The plugin is too large for one table of contents. Each room owns one subject end to end; ``Plugin`` puts the rooms
together and starts them in order.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from appliance.api import Check, Command, Data, Event, Job, Page, Panel, Worker

Listener = Callable[[Any], Awaitable[None]]


class Room:
    """What a room may bring. Everything is optional; the names are those of the hooks."""

    def pages(self) -> Sequence[Page]:
        """Routes."""
        return ()

    def panels(self) -> Sequence[Panel]:
        """Places in the rail, cards and tasks of the home page."""
        return ()

    def listeners(self) -> Mapping[type[Event], Listener]:
        """Events that it listens to. Several rooms may listen to the same one."""
        return {}

    def jobs(self) -> Sequence[Job]:
        """Work at times."""
        return ()

    def workers(self) -> Sequence[Worker]:
        """Processes of its own."""
        return ()

    def commands(self) -> Sequence[Command]:
        """Commands of the command line."""
        return ()

    def data(self) -> Sequence[Data]:
        """Its tables."""
        return ()

    async def startup(self) -> None:
        """Called in the order of the rooms; may raise ``NotReady``."""

    async def shutdown(self) -> None:
        """Called in the opposite order, also after a ``startup`` that failed."""

    async def health(self) -> Sequence[Check]:
        """Lines of the status page."""
        return ()
