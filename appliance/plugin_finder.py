"""Where plugins come from: entry points of installed packages (the bundled ones too) and drop-in folders.

Bundled plugins live in the package ``appliance_plugins``; the drop-in folder is appended to that package's path, so
that a folder dropped there is imported as ``appliance_plugins.<name>`` just like a bundled one.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
import stat
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ValidationError

from appliance.errors import PluginError
from appliance.hookspecs import PROJECT, Hooks

PACKAGE = "appliance_plugins"
GROUP = "appliance"
OWN_PAGES = frozenset(
    {
        *("applying", "audit", "bench", "devices", "glossary", "groups", "help", "live", "monitoring", "people"),
        *("plugins", "settings", "static", "status", "vulnerable"),
    }
)
"""First parts of the core's own addresses: a plugin of such a name could have no pages."""
PLUGIN_NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")
CORE_TABLES = frozenset({
    "events", "bench_runs", "subscriptions", "deliveries", "audit", "plugins_off", "page_values", "assignments",
    "job_runs",
    "monitoring_switches", "monitoring_trials", "monitoring_feedback_days", "monitoring_feedback", "monitoring_told",
    "people", "groups", "group_people", "devices", "group_devices", "person_accounts",
    "imports", "import_changes", "import_groups", "vulnerable_entries", "vulnerable_notes",
    "monitoring_choices", "migrations", "staff_links", "staff_sessions",
})  # fmt: skip
"""The core's own tables: no plugin may have a name that would make one of them look like its own."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A command that works without a running appliance.

    ``words``: what it does, in a line. ``run`` gets everything that was typed and returns what to print; it raises
    ``ApplianceError`` in words.
    """

    words: str
    run: Callable[[Sequence[str]], str]


@dataclass(frozen=True, slots=True)
class Found:
    """A plugin that could be loaded; ``refusal`` says in words why it must not be."""

    name: str
    source: Literal["bundled", "package", "drop-in"]
    module: str
    folder: Path | None = None
    refusal: str = ""


def find_plugins(drop_ins: Path) -> dict[str, Found]:
    """Every plugin on this machine by name, whether or not the settings name it. Imports nothing of them."""
    found: dict[str, Found] = {}
    for entry in entry_points(group=GROUP):
        source: Literal["bundled", "package"] = "bundled" if entry.value.startswith(f"{PACKAGE}.") else "package"
        found[entry.name] = Found(entry.name, source, entry.value)
    for folder in _drop_in_folders(drop_ins):
        name = folder.name
        refusal = _refusal(folder, taken=name in found)
        # A folder that takes an installed plugin's name is shown as refused and does the installed one no harm.
        key = f"{name} (folder)" if name in found else name
        found[key] = Found(name, "drop-in", f"{PACKAGE}.{name}", folder, refusal)
    return found


def _drop_in_folders(drop_ins: Path) -> list[Path]:
    if not drop_ins.is_dir():
        return []
    return sorted(path for path in drop_ins.iterdir() if (path / "__init__.py").is_file())


def _refusal(folder: Path, taken: bool) -> str:
    if taken:
        return f"the name is taken: {folder} cannot replace the installed plugin of that name; rename the folder"
    if any(table.startswith(f"{folder.name}_") for table in CORE_TABLES):
        return f"the name {folder.name} belongs to the appliance's own tables; rename the folder"
    if folder.name in OWN_PAGES:
        return f"the name {folder.name} belongs to the appliance's own pages; rename the folder"
    if not PLUGIN_NAME.fullmatch(folder.name):
        return f"{folder.name!r} is no plugin name: use lower-case letters, digits and _"
    reasons = (_mistrusted(path, folder) for path in (folder.parent, folder, *folder.rglob("*")))
    return next(filter(None, reasons), "")


def _mistrusted(path: Path, folder: Path) -> str:
    """Whoever can write a plugin's files can do whatever the appliance can."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return f"{path} is a link; copy the file itself"
    if status.st_uid not in {0, Path(__file__).stat().st_uid}:
        return f"{path} belongs to another account: run `chown -R root: {folder}`"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others may write {path}: run `chmod -R go-w {folder}`"
    return ""


def open_drop_ins(drop_ins: Path) -> None:
    """Let ``import appliance_plugins.<name>`` find drop-ins, after the bundled plugins."""
    package = importlib.import_module(PACKAGE)
    package.__path__[1:] = [str(drop_ins)]
    importlib.invalidate_caches()


def forget(found: Found, *, even_bundled: bool = False) -> None:
    """Forget the code of a drop-in that does not run, so that the next import reads what its author has mended."""
    if found.source == "drop-in" or even_bundled:
        for name in [name for name in sys.modules if f"{name}.".startswith(f"{found.module}.")]:
            del sys.modules[name]


def import_plugin(found: Found, drop_ins: Path) -> type[Any]:
    """Import a plugin, check it and return its class. Raises ``PluginError``, or whatever the plugin's code raises."""
    if found.refusal:
        raise PluginError(f"It was refused: {found.refusal}.")
    if found.source == "drop-in":
        open_drop_ins(drop_ins)
    module = importlib.import_module(found.module)
    plugin = getattr(module, "Plugin", None)
    if not inspect.isclass(plugin):
        raise PluginError(f"{module.__name__} has no class named Plugin.", "Define it in the folder's __init__.py.")
    check_hooks(plugin)
    settings_model(plugin)
    return plugin


def find_tool(words: Sequence[str], plugins: Mapping[str, Found]) -> Tool | None:
    """The tool that these words begin with."""
    return next((tool for path, tool in tools_of(plugins).items() if tuple(words[: len(path)]) == path), None)


def tools_of(plugins: Mapping[str, Found]) -> Mapping[tuple[str, ...], Tool]:
    """The tools in the ``tools.py`` of installed plugins, by the words that call them; they run where they are typed.

    Tools work on files of whoever types them and need no running appliance, no settings and no store. Drop-ins have
    none: nothing of theirs runs unless the settings name them. A ``tools.py`` has ``TOOLS``: the words that call each
    tool, what it does, and what does it.
    """
    return {
        path: Tool(words, run)
        for found in plugins.values()
        if found.source != "drop-in" and _has_tools(found.module)
        for path, (words, run) in importlib.import_module(f"{found.module}.tools").TOOLS.items()
    }


def _has_tools(module: str) -> bool:
    """Found out without importing the plugin, which takes a second."""
    spec = importlib.util.find_spec(module)
    places = spec.submodule_search_locations if spec is not None else None
    return any((Path(place) / "tools.py").is_file() for place in places or ())


def settings_model(plugin: type[Any]) -> type[BaseModel]:
    """The plugin's settings: its inner class ``Settings``, a ``Section``."""
    model = getattr(plugin, "Settings", None)
    if not (inspect.isclass(model) and issubclass(model, BaseModel)):
        raise PluginError("The class Plugin has no inner class Settings.", "Use `class Settings(Section): ...`.")
    try:
        model.model_validate({})
    except ValidationError as error:
        for fault in error.errors():
            if fault["type"] != "missing":  # what the school must fill in is no fault of the plugin
                where = ".".join(map(str, fault["loc"])) or "a rule between its settings"
                raise PluginError(f"The default of {where} in its Settings is wrong: {fault['msg']}.") from None
    return model


def hook_names() -> tuple[str, ...]:
    """The names of all hooks, in the order of the specifications."""
    return tuple(name for name, member in vars(Hooks).items() if hasattr(member, f"{PROJECT}_spec"))


def implemented_hooks(plugin: type[Any]) -> tuple[str, ...]:
    """The hooks that a plugin class answers."""
    marked = {name for name in dir(plugin) if hasattr(getattr(plugin, name), f"{PROJECT}_impl")}
    return tuple(name for name in hook_names() if name in marked)


def check_hooks(plugin: type[Any]) -> None:
    """Every method marked with ``@hook`` must be a hook, sync or async as specified, with the specified arguments."""
    known = hook_names()
    for name in dir(plugin):
        method = getattr(plugin, name)
        if not hasattr(method, f"{PROJECT}_impl"):
            continue
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else f"The hooks are: {', '.join(known)}."
            raise PluginError(f"{name} is marked as a hook, but there is no hook of that name.", hint)
        spec = getattr(Hooks, name)
        if inspect.iscoroutinefunction(method) != inspect.iscoroutinefunction(spec):
            wanted = "async def" if inspect.iscoroutinefunction(spec) else "def"
            raise PluginError(f"The hook {name} must be written with `{wanted}`.")
        if list(inspect.signature(method).parameters) != list(inspect.signature(spec).parameters):
            raise PluginError(f"The hook {name} must be written as `{name}{inspect.signature(spec)}`.")
