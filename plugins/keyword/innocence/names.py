"""Names of the school and its people for the detection process, which is told anew when they have changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from appliance.api import Appliance, DirectoryChanged, Event, Every, Job


class SchoolNames:
    """Keeps what the detection process was told last, and asks for a new one when that is no longer true.

    A directory changes in many small steps, and a new process takes seconds: so it is asked for at most once a minute.
    """

    def __init__(self, appliance: Appliance) -> None:
        self._directory = appliance.directory
        self._detection = appliance.detection
        self._school = appliance.config.settings.school.name
        self._help = [[place.name, place.host] for place in appliance.exempt.places()]
        self._told: list[str] | None = None
        self._has_changed = False

    async def data_for_detection(self) -> dict[str, Any]:
        """As JSON: the names of ``people`` and of the ``school``, and by name the ``help`` that nobody watches."""
        self._has_changed = False
        self._told = await self._directory.names_for_detectors()
        return {"school": self._school, "people": self._told, "help": self._help}

    def listeners(self) -> Mapping[type[Event], Callable[[Any], Any]]:
        return {DirectoryChanged: self.on_directory_changed}

    def jobs(self) -> list[Job]:
        return [Job("names of the directory", Every(timedelta(minutes=1)), self.tell_what_has_changed)]

    async def on_directory_changed(self, event: DirectoryChanged) -> None:
        """Groups and devices have no names that matter here."""
        if event.what == "people":
            self._has_changed = True

    async def tell_what_has_changed(self) -> None:
        """Have the detection process told (a job)."""
        if self._has_changed:
            self._has_changed = False
            if await self._directory.names_for_detectors() != self._told:
                self._detection.refresh_soon()
