"""Notices that the code of a plugin has changed on the disk: for whoever writes one while a trial runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from appliance.plugin_finder import find_plugins
from appliance.probed import folder_of, stamp_of


class PluginWatch:
    """Looks at the folders of bundled and drop-in plugins. ``changed`` is asked again and again, from one thread."""

    def __init__(self, drop_ins: Path) -> None:
        self._drop_ins = drop_ins
        found = find_plugins(drop_ins)
        self._bundled = {
            name: folder for name, one in found.items() if one.source == "bundled" and (folder := folder_of(one))
        }
        self._told = self._stamps()
        self._seen = self._told

    def changed(self) -> list[str]:
        """Plugins that are new or have changed since they were told last, and have not gone on changing since the call
        before: several files that are saved one after the other are one change.
        """
        stamps = self._stamps()
        names = [
            name for name, stamp in stamps.items() if stamp == self._seen.get(name) and stamp != self._told.get(name)
        ]
        self._seen = stamps
        self._told = {**self._told, **{name: stamps[name] for name in names}}
        return names

    def _stamps(self) -> Mapping[str, str]:
        folders = dict(self._bundled)
        if self._drop_ins.is_dir():
            folders |= {path.name: path for path in self._drop_ins.iterdir() if path.is_dir()}
        return {name: stamp for name, folder in folders.items() if (stamp := _stamp(folder))}


def _stamp(folder: Path) -> str:
    """Empty while files come and go under our eyes."""
    try:
        return stamp_of(folder)
    except OSError:
        return ""
