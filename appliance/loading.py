"""From a settings file to checked settings: find the plugins it names, try them in child processes, check it all."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pydantic import BaseModel

from appliance.categories import Categories
from appliance.config import Config, ConfigError, Mistake, PageValue, Place, Source, check, read_source
from appliance.exempt import Exempt
from appliance.page_state import PageState, read_page_state
from appliance.plugin_finder import Found, find_plugins, forget, import_plugin, settings_model
from appliance.probe import Trouble, probe
from appliance.probed import Probed

BUNDLED_PATIENCE = 10
"""So many times longer than others a plugin may take that comes with the appliance."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """Checked settings, every plugin on this machine, and why some that are named cannot be let in."""

    config: Config
    found: Mapping[str, Found]
    troubles: Mapping[str, Trouble]


async def load(
    place: Place,
    page_values: Sequence[PageValue] | None = None,
    *,
    use_store: bool = True,
    running: Collection[str] = (),
    let_in: str = "",
    changed: str = "",
) -> Loaded:
    """Read and check everything; raises ``ConfigError`` with every mistake there is.

    ``page_values``: instead of those in the store (a change that is being considered). ``use_store=False`` looks at the
    files alone. ``running``: plugins that run in this process; the code of all others is read anew. ``let_in``: a
    plugin that is off and shall be tried all the same. ``changed``: one whose code is read anew though it runs, if it
    has got through its trial.
    """
    source = read_source(place)
    found = find_plugins(place.drop_in_dir)
    state = page_state(source) if use_store else PageState()
    off = state.plugins_off - {let_in}
    named = [name for name in source.plugin_names if name in found]
    troubles = await _try_all([name for name in named if name not in off], found, source)
    for name in named:
        if name not in running:
            forget(found[name])
    if changed in named and troubles.get(changed) is None:
        forget(found[changed], even_bundled=True)
    models = _models(found, [name for name in named if _may_import(name, troubles, off)], place)
    values = state.page_values if page_values is None else page_values
    unknown = {name: "" for name in source.plugin_names if name not in found}
    usable = sorted(name for name, plugin in found.items() if not plugin.refusal)
    mistakes = _mistakes_of_lists(source)
    try:
        config = check(source, models, values, unknown, usable)
    except ConfigError as error:
        raise ConfigError([*error.mistakes, *mistakes]) from None
    if mistakes:
        raise ConfigError(mistakes)
    return Loaded(config, found, {name: trouble for name, trouble in troubles.items() if trouble is not None})


def _mistakes_of_lists(source: Source) -> list[Mistake]:
    """Mistakes of the lists that settings name. Without that of help-seeking places nothing starts, so that no helpline
    is ever blocked; without that of categories nobody knows which pictures must never be kept.
    """
    try:
        settings = check(source, {}).settings
    except ConfigError:
        return []  # where the lists lie may be among the mistakes
    found: list[Mistake] = []
    for load_list, file in (
        (Exempt.load, settings.exempt.help_seeking_file),
        (Categories.load, settings.captures.categories_file),
    ):
        try:
            load_list(source.place.resolve(file))
        except ConfigError as error:
            found += error.mistakes
    return found


def page_state(source: Source) -> PageState:
    """What the store says, if the file says where the store is."""
    try:
        core = check(source, {})
    except ConfigError:
        return PageState()
    return read_page_state(core.settings.storage.state_dir / "records.db")


async def _try_all(names: Sequence[str], found: Mapping[str, Found], source: Source) -> dict[str, Trouble | None]:
    """Why each of ``names`` cannot be let in; ``None`` if it can. Code that got through before is not tried again."""
    arguments = source.place.arguments()
    seconds = source.number("limits.probe_seconds", 20.0)
    probed = Probed(_state_dir(source))
    refused = {name: Trouble(f"it was refused: {found[name].refusal}") for name in names if found[name].refusal}
    known = {name: None for name in names if name not in refused and probed.knows(found[name])}
    tried = [name for name in names if name not in refused and name not in known]
    troubles = await asyncio.gather(*(probe(name, arguments, _patience(found[name], seconds)) for name in tried))
    results = dict(zip(tried, troubles, strict=True))
    probed.note({name: found[name] for name, trouble in results.items() if trouble is None})
    return {**refused, **known, **results}


def _patience(found: Found, seconds: float) -> float:
    """What comes with the appliance does not hang; but a slow box reads a hundred thousand phrases for the first time,
    and must not begin its life without them.
    """
    return seconds * BUNDLED_PATIENCE if found.source == "bundled" else seconds


def _state_dir(source: Source) -> Path:
    try:
        return check(source, {}).settings.storage.state_dir
    except ConfigError:
        return check(Source(source.place, {}), {}).settings.storage.state_dir


def _may_import(name: str, troubles: Mapping[str, Trouble | None], off: Collection[str]) -> bool:
    trouble = troubles.get(name)
    return name not in off and (trouble is None or trouble.only_settings)


def _models(found: Mapping[str, Found], names: Sequence[str], place: Place) -> dict[str, type[BaseModel]]:
    return {name: settings_model(import_plugin(found[name], place.drop_in_dir)) for name in names}


def resource(name: str) -> Path:
    """A folder that is installed with the core."""
    return Path(str(resources.files("appliance"))) / name
