"""Who wrote a plugin, as far as this machine knows: whoever lets it near pupils' words should be able to ask."""

from __future__ import annotations

import pwd
from collections.abc import Iterable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from appliance.plugin_finder import GROUP

AUTHORS = ("Author", "Author-email", "Maintainer", "Maintainer-email")
"""Fields of a package's metadata that name somebody, the best first."""


def written_by(name: str, source: str, drop_ins: Path) -> str:
    """Words that follow "It was written by"; ``source``: as a plugin's state has it."""
    match source:
        case "bundled":
            return "the makers of the appliance"
        case "drop-in":
            return f"whoever put it into its folder, which belongs to {_owner(drop_ins / name)}"
        case _:
            return author_of_package(name, entry_points(group=GROUP))


def author_of_package(name: str, entries: Iterable[EntryPoint]) -> str:
    """What the package of this plugin says of itself."""
    for entry in entries:
        if entry.name == name and entry.dist is not None:
            about = entry.dist.metadata
            author = next((about[key] for key in AUTHORS if key in about), "")
            package = f"the package {about['Name']} {entry.dist.version}"
            return f"{author} ({package})" if author else f"somebody whom {package} does not name"
    return "somebody unknown"


def _owner(folder: Path) -> str:
    try:
        user = folder.stat().st_uid
    except OSError:
        return "nobody, for it is gone"
    try:
        return f"the account {pwd.getpwuid(user).pw_name}"
    except KeyError:
        return f"the account number {user}"
