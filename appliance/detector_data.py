"""What pages have set for detectors: asked of plugins here, and loaded in the detection process.

New data is believed when a process has loaded it. If a plugin cannot give any, or its detectors cannot load what it
gave, they go on with what was loaded last; without such, that plugin's detectors alone are left out. Whatever went
wrong is told without its message, which may hold the name of a pupil.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from appliance.errors import PluginError, PluginOff
from appliance.plugins import Plugins

LARGEST = 16 * 2**20
"""Characters of JSON for one detector."""

log = logging.getLogger(__name__)


class DetectorData:
    """``ask`` before each start of a process, and tell it what became of it: ``loaded`` or ``refused``."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._newest: dict[str, Mapping[str, str]] = {}
        self._loaded: dict[str, Mapping[str, str]] = {}
        self.troubles: dict[str, str] = {}
        """What is wrong at this moment, in words, by plugin."""

    async def ask(self, names: Iterable[str]) -> None:
        """Ask these plugins, which are all that there are now, what pages have set for their detectors."""
        asked = tuple(names)
        self.troubles = {name: words for name, words in self.troubles.items() if name in asked}
        for name in asked:
            try:
                self._newest[name] = await self._asked(name)
            except (PluginError, PluginOff) as error:
                self._fall_back(name, f"What is set for its detectors could not be read. {error}")
            else:
                self.troubles.pop(name, None)

    async def _asked(self, name: str) -> Mapping[str, str]:
        return {
            f"{name}.{one.name}": await self._asked_for(name, one.name, one.data)
            for one in self._plugins.detectors_of(name)
            if one.data is not None
        }

    async def _asked_for(self, name: str, detector: str, data: Callable[[], Awaitable[object]]) -> str:
        doing = f"data of the detector {detector}"
        found = await self._plugins.run(name, doing, data, is_private=True)
        try:
            packed = json.dumps(found)
        except (TypeError, ValueError, RecursionError):
            raise PluginError(f"The {doing} is nothing that JSON can hold.") from None
        if len(packed) > LARGEST:
            raise PluginError(f"The {doing} is larger than {LARGEST / 2**20:g} MiB.")
        return packed

    def of(self, name: str) -> Mapping[str, str] | None:
        """The newest that is of any use, as JSON by ``plugin.name``; ``None``: this plugin's detectors are left out."""
        return self._newest.get(name)

    @property
    def left_out(self) -> frozenset[str]:
        """Plugins whose detectors are left out."""
        return frozenset(name for name in self.troubles if name not in self._newest)

    def loaded(self, name: str) -> None:
        """A process has loaded the newest."""
        if name in self._newest:
            self._loaded[name] = self._newest[name]

    def refused(self, name: str, why: str) -> bool:
        """A process could not load the newest. Whether there is something older to try instead."""
        if not self._newest.get(name):
            return False  # it was not the data
        if self._loaded.get(name) == self._newest[name]:
            del self._loaded[name]
        self._fall_back(name, f"What is set for its detectors could not be loaded. {why}")
        return name in self._newest

    def _fall_back(self, name: str, words: str) -> None:
        log.warning("Detectors of %s: %s", name, words)
        before = self._loaded.get(name)
        if before is None:
            self._newest.pop(name, None)
        else:
            self._newest[name] = before
        goes_on = "They are left out." if before is None else "They go on with what was set before."
        self.troubles[name] = f"{words} {goes_on}"
