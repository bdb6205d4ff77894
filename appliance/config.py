"""From the settings file to checked settings: where it lies, what it says, what applies and where each value came from.

Layers, from the bottom: the built-in default, the default of a trial, what somebody set on a page, the file. The file
always wins and is never written. Every mistake of a file is reported at once, with one exception: rules that compare
settings with each other are looked at once the settings of that section are right one by one.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from appliance.errors import ApplianceError
from appliance.mistakes import mistakes_in, nearest, one_of, shown
from appliance.schema import json_schema
from appliance.sections import (
    UNSET,
    Kind,
    Leaf,
    Section,
    Shape,
    Wrong,
    WrongFile,
    WrongSettings,
    is_secret,
    leaves,
    setting,
)
from appliance.settings import (
    Closure,
    EventSettings,
    ExemptSettings,
    GroupSettings,
    Hours,
    LimitSettings,
    SchoolSettings,
    Settings,
    StorageSettings,
    Term,
    TimetableSettings,
    WebSettings,
    Weekday,
)
from appliance.yamlfile import (
    Commented,
    ConfigError,
    Key,
    Lines,
    Mistake,
    PathKeys,
    comment_line,
    dump_commented,
    load_yaml,
    parse_yaml,
    path_text,
    read_text,
)

__all__ = [
    "UNSET",
    "Closure",
    "Config",
    "ConfigError",
    "EventSettings",
    "ExemptSettings",
    "GroupSettings",
    "Hours",
    "LimitSettings",
    "Lines",
    "Mistake",
    "Origin",
    "PageValue",
    "Place",
    "Row",
    "SchoolSettings",
    "Section",
    "Settings",
    "Source",
    "StorageSettings",
    "Term",
    "TimetableSettings",
    "WebSettings",
    "Weekday",
    "Wrong",
    "WrongFile",
    "WrongSettings",
    "check",
    "find_place",
    "json_schema",
    "load_yaml",
    "read_source",
    "read_text",
    "section_of",
    "setting",
    "source_of",
]

INSTALLED: Final = Path("/etc/appliance/appliance.yaml")
CHECKOUT: Final = Path(__file__).resolve().parent.parent
"""The folder above the package: a checkout if it holds ``pyproject.toml`` and ``etc/appliance.yaml``."""

SectionType = TypeVar("SectionType", bound=Section)

PLUGINS = "plugins"
ROUNDS = 5
"""How often a section is looked at again without what was wrong."""


# Where


@dataclass(frozen=True, slots=True)
class Place:
    """Where the settings lie. With ``trial_dir`` the defaults of a trial apply and everything is kept there."""

    config_file: Path
    trial_dir: Path | None = None

    @property
    def drop_in_dir(self) -> Path:
        """Where plugins may be dropped."""
        return (self.trial_dir or self.config_file.parent) / "plugins"

    def arguments(self) -> list[str]:
        """The command-line options that lead another process to the same place."""
        arguments = ["--config", str(self.config_file)]
        if self.trial_dir is not None:
            arguments += ["--trial", str(self.trial_dir)]
        return arguments

    def resolve(self, path: Path) -> Path:
        """A path of the settings file: relative ones start at the folder of that file."""
        return self.config_file.parent / path


def find_place(
    config: Path | None,
    trial: Path | None,
    environ: Mapping[str, str],
    *,
    checkout: Path = CHECKOUT,
    installed: Path = INSTALLED,
) -> Place:
    """Find the settings. What is given comes first, then ``APPLIANCE_CONFIG`` and ``APPLIANCE_TRIAL``.

    If neither names a file: in a checkout the checkout's own, if the folder of a trial is given or nothing is installed
    (the trial then lives in ``var``); otherwise the installed one.
    """
    config = config or _path_of(environ.get("APPLIANCE_CONFIG", ""))
    trial = trial or _path_of(environ.get("APPLIANCE_TRIAL", ""))
    own = checkout / "etc" / "appliance.yaml"
    is_checkout = (checkout / "pyproject.toml").is_file() and own.is_file()
    if config is None and is_checkout and (trial is not None or not installed.exists()):
        config, trial = own, trial or checkout / "var"
    return Place(_absolute(config or installed), None if trial is None else _absolute(trial))


def _path_of(text: str) -> Path | None:
    return Path(text) if text else None


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100 - Path.absolute() keeps ".."


# What the file says


@dataclass(frozen=True, slots=True)
class Source:
    """The file as it was read, before its settings are checked. ``mistakes`` is what reading it found wrong."""

    place: Place
    data: Mapping[str, Any]
    lines: Lines = field(default_factory=Lines)
    mistakes: tuple[Mistake, ...] = ()

    @property
    def plugin_names(self) -> tuple[str, ...]:
        """The plugins that the file names, in its order."""
        plugins = self.data.get(PLUGINS)
        return tuple(plugins) if isinstance(plugins, dict) else ()

    def number(self, path: str, default: float) -> float:
        """A number above 0 that is needed before the file is checked; ``default`` if there is none of use."""
        value: Any = self.data
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        usable = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
        return float(value) if usable else default

    def mistake(self, path: PathKeys, wrong: Wrong) -> Mistake:
        """Say where in the file something is wrong."""
        line = self.lines.line(path)
        return Mistake(self.place.config_file, line, path_text(path), wrong.message, wrong.expected, wrong.nearest)


def read_source(place: Place) -> Source:
    """Read the settings file. Raises ``ConfigError`` if it cannot be read as YAML or does not hold sections.

    Keys written twice and the like are kept in ``mistakes``, so that ``check`` reports them together with all others.
    """
    return source_of(read_text(place.config_file), place)


def source_of(text: str, place: Place) -> Source:
    """The settings file of ``place``, if it held this text. Raises ``ConfigError``, as ``read_source`` does."""
    parsed = parse_yaml(text, place.config_file)
    data = {} if parsed.data is None else parsed.data
    if not isinstance(data, dict):
        raise ConfigError([Mistake(place.config_file, 1, "", "this holds no settings", "sections such as `school:`")])
    return Source(place, data, parsed.lines, parsed.mistakes)


# What applies


@dataclass(frozen=True, slots=True)
class PageValue:
    """A value that somebody set on a page: plain data, who, why, since when and until when (UTC stamps)."""

    path: str
    value: Any
    author: str
    reason: str
    set_at: str
    until: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a value came from."""

    kind: Literal["default", "trial", "page", "file"]
    file: Path | None = None
    line: int | None = None
    author: str = ""
    reason: str = ""
    set_at: str = ""
    until: str = ""

    def words(self) -> str:
        """For a page: "set on a page by Jo on 2026-11-24 09:30 UTC: exam week"."""
        if self.kind == "file":
            return f"{self.file}, line {self.line}"
        if self.kind == "page":
            until = f" until {_minute(self.until)}" if self.until else ""
            return f"set on a page by {self.author} on {_minute(self.set_at)}{until}: {self.reason}"
        return "the default" if self.kind == "default" else "the default of a trial"


def _minute(stamp: str) -> str:
    return f"{stamp[:16].replace('T', ' ')} UTC"


DEFAULT: Final = Origin("default")
TRIAL: Final = Origin("trial")


@dataclass(frozen=True, slots=True)
class Row:
    """One setting for a page or a listing. ``value`` and ``default`` are plain data as JSON knows it."""

    path: str
    value: Any
    origin: Origin
    description: str
    unit: str
    default: Any
    on_page: bool
    kind: Kind
    choices: tuple[str, ...]

    @property
    def text(self) -> str:
        """The value as a form shows it and ``Config.parse_page_text`` reads it."""
        if isinstance(self.value, list) and self.kind == "list":
            return "\n".join(map(_plain_text, self.value))
        return _plain_text(self.value)


def _plain_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Branch:
    """The core's settings, or those of one plugin: a model, and what the file says at its place."""

    prefix: tuple[str, ...]
    model: type[BaseModel]
    written: Any
    place: Place
    context: Mapping[str, Any]

    def leaves(self) -> dict[str, Leaf]:
        """The settings by full path."""
        found = leaves(self.model, self.prefix)
        return {leaf.path: leaf for leaf in found if leaf.path != PLUGINS}

    def layered(self, page_values: Iterable[PageValue] = ()) -> Any:
        """Everything that is not left to the built-in defaults: file over page over the defaults of a trial."""
        data = copy.deepcopy(self.written)
        known = self.leaves()
        for value in page_values:
            _put(data, known[value.path].keys, value.value)
        for leaf in known.values():
            trial = leaf.trial(self.place.trial_dir)
            if trial is not UNSET:
                _put(data, leaf.keys, trial)
        return data

    def check(self, data: Any) -> BaseModel:
        """The checked settings. Raises ``ValidationError``."""
        return self.model.model_validate_json(json.dumps(data), strict=True, context=dict(self.context))

    def fits(self, page_values: Iterable[PageValue]) -> bool:
        """Whether everything is right with these values."""
        try:
            self.check(self.layered(page_values))
        except ValidationError:
            return False
        return True

    def sets(self, leaf: Leaf) -> bool:
        """Whether the file sets this itself."""
        return _get(self.written, leaf.keys) is not UNSET


@dataclass(frozen=True, slots=True)
class Checked:
    """A branch after checking: the data of all layers but the built-in defaults, and the settings made of it."""

    branch: Branch
    data: Any
    settings: BaseModel
    leaves: Mapping[str, Leaf]
    origins: Mapping[str, Origin]


@dataclass(frozen=True, slots=True)
class Config:
    """Checked settings. ``plugins`` has those of each plugin whose model was given, in the order of the file.

    ``notes`` say which values that were set on pages had to be left out, and why.
    """

    place: Place
    settings: Settings
    plugins: Mapping[str, BaseModel]
    notes: tuple[str, ...] = ()
    branches: tuple[Checked, ...] = ()

    def rows(self) -> Iterator[Row]:
        """Every setting of the core and of the plugins, in the order of their models."""
        for checked in self.branches:
            values = checked.settings.model_dump(mode="json")
            for leaf in checked.leaves.values():
                yield self._row(leaf, _get(values, leaf.keys), checked.origins[leaf.path])

    def _row(self, leaf: Leaf, value: Any, origin: Origin) -> Row:
        description, default = leaf.field.description or "", leaf.default(self.place.trial_dir)
        unit, on_page = leaf.about.unit, leaf.on_page and origin.kind != "file"
        return Row(leaf.path, value, origin, description, unit, default, on_page, leaf.kind, leaf.choices)

    def data(self) -> dict[str, Any]:
        """Everything that is not a built-in default, as plain data. Checked at the same place it gives the same."""
        tree: dict[str, Any] = {}
        for checked in self.branches:
            section = _grow(tree, checked.branch.prefix)
            for leaf in checked.leaves.values():
                value = _get(checked.data, leaf.keys)
                if value is not UNSET:
                    *above, key = leaf.keys
                    _grow(section, above)[key] = copy.deepcopy(value)
        return tree

    def origin(self, path: str) -> Origin:
        """Where the value of a setting came from. Raises ``ApplianceError`` if there is no such setting."""
        for checked in self.branches:
            if path in checked.origins:
                return checked.origins[path]
        raise ApplianceError(f"There is no setting {path}.")

    def parse_page_text(self, path: str, text: str) -> Any:
        """Plain data of what somebody typed: lists have one entry a line, yes-or-no settings are true or false.

        Raises ``ConfigError`` in words if the setting cannot be set on a page or the value is not right, also if it
        does not go together with the other settings that apply now.
        """
        checked, leaf = self._settable(path)
        try:
            text.encode("utf-8")  # halves of characters, which no file and no database can hold, are refused here
            value = leaf.read(text)
        except ValueError:
            raise ConfigError(
                [Mistake(None, None, path, f"{shown(text)} cannot be used", leaf.shape.words())]
            ) from None
        data = copy.deepcopy(checked.data)
        _replace(data, leaf.keys, value)
        try:
            checked.branch.check(data)
        except ValidationError as error:

            def place(at: PathKeys, wrong: Wrong) -> Mistake:
                where = path_text((*checked.branch.prefix, *at))
                return Mistake(None, None, where, wrong.message, wrong.expected, wrong.nearest)

            raise ConfigError(mistakes_in(error, checked.branch.model, data, place)) from None
        return value

    def _settable(self, path: str) -> tuple[Checked, Leaf]:
        for checked in self.branches:
            leaf = checked.leaves.get(path)
            if leaf is None:
                continue
            origin = checked.origins[path]
            if origin.kind == "file":
                raise ConfigError([Mistake(None, None, path, f"{origin.words()} sets this; change it there")])
            if not leaf.on_page:
                raise ConfigError([Mistake(None, None, path, f"this can only be set in {self.place.config_file}")])
            return checked, leaf
        near = nearest(path, [known for checked in self.branches for known in checked.leaves])
        raise ConfigError([Mistake(None, None, path, "there is no such setting", "", near)])

    def export(self) -> str:
        """YAML of everything that is not a built-in default, each with its origin. Put in a file it gives the same."""
        tree: dict[str, Any] = {}
        for checked in self.branches[:1]:
            _hang(tree, checked)
        for name, section in self.settings.plugins.items():
            plugin = _grow(tree, (PLUGINS, name))
            if name not in self.plugins:
                plugin.update({key: Commented(value, "from the file, not checked") for key, value in section.items()})
        for checked in self.branches[1:]:
            _hang(_grow(tree, checked.branch.prefix), checked)
        head = f"Settings of {self.place.config_file}. What is not listed has its default."
        return comment_line(head) + "\n" + dump_commented(tree)


def _hang(tree: dict[str, Any], checked: Checked) -> None:
    """Put every value that is not a built-in default into the tree."""
    for path, leaf in checked.leaves.items():
        value = _get(checked.data, leaf.keys)
        if value is not UNSET:
            *above, key = leaf.keys
            _grow(tree, above)[key] = Commented(value, checked.origins[path].words())


def _grow(tree: dict[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """The section under ``keys``, made if it is not there yet."""
    for key in keys:
        tree = tree.setdefault(key, {})
    return tree


# Checking


def check(
    source: Source,
    plugin_models: Mapping[str, type[BaseModel]],
    page_values: Sequence[PageValue] = (),
    unknown_plugins: Mapping[str, str] | None = None,
    known_plugins: Sequence[str] = (),
) -> Config:
    """Check everything. Raises ``ConfigError`` with every mistake of the file.

    ``plugin_models``: the settings model of each plugin that could be looked at; sections of others stay unchecked.
    ``unknown_plugins``: names in the file that are no plugin, with the reason if there is one to tell;
    ``known_plugins`` are the names that could have been meant. Values set on pages never stop anything: those that are
    not right any more are left out and named in ``notes``.
    """
    branches = _branches(source, plugin_models)
    mistakes = [*source.mistakes, *_secrets(source), *_unknown_plugins(source, unknown_plugins or {}, known_plugins)]
    for branch in branches:
        mistakes += _mistakes_of(branch, source)
    if mistakes:
        raise ConfigError(mistakes)
    notes: list[str] = []
    values = _known_values(branches, source, page_values, notes)
    checked = tuple(_checked(branch, source, values, notes) for branch in branches)
    settings = checked[0].settings
    assert isinstance(settings, Settings)
    plugins = {found.branch.prefix[-1]: found.settings for found in checked[1:]}
    return Config(source.place, settings, plugins, tuple(notes), checked)


def section_of(text: str, file: Path, model: type[SectionType]) -> tuple[SectionType, Lines]:
    """A file of its own that holds one section, such as a policy, and its lines.

    Raises ``ConfigError`` with every mistake, as for settings.
    """
    source = source_of(text, Place(file))
    branch = Branch((), model, _tidy(model, source.data), source.place, {})
    with suppress(ValidationError):
        if not source.mistakes:
            checked = branch.check(branch.written)
            assert isinstance(checked, model)
            return checked, source.lines
    raise ConfigError([*source.mistakes, *_mistakes_of(branch, source)])


def _branches(source: Source, plugin_models: Mapping[str, type[BaseModel]]) -> list[Branch]:
    context = {"groups": _group_names(source.data), "config_dir": source.place.config_file.parent}
    core = dict(source.data)
    plugins = core.get(PLUGINS)
    if isinstance(plugins, dict):
        core[PLUGINS] = {name: {} if section is None else section for name, section in plugins.items()}
    branches = [Branch((), Settings, _tidy(Settings, core), source.place, context)]
    for name in source.plugin_names:
        section = core[PLUGINS][name]
        if name in plugin_models and isinstance(section, dict):
            model = plugin_models[name]
            branches.append(Branch((PLUGINS, name), model, _tidy(model, section), source.place, context))
    return branches


def _group_names(data: Mapping[str, Any]) -> frozenset[str] | None:
    """The names of the groups as far as they can be known before they are checked; ``None`` if they cannot."""
    groups = data.get("groups") or []
    if not isinstance(groups, list):
        return None
    names = [group.get("name") if isinstance(group, dict) else None for group in groups]
    return frozenset(str(name) for name in names) if all(isinstance(name, str) for name in names) else None


def _tidy(model: type[BaseModel], data: Any) -> Any:
    """What the file says, with every section there; a key of a section or a list without anything below is left out."""
    if data is None:
        return {}
    if not isinstance(data, dict):
        return data
    tidy = dict(data)
    for name, about in model.model_fields.items():
        section = Shape.of_field(about).section
        if section is not None:
            tidy[name] = _tidy(section, data.get(name))
    for leaf in leaves(model):
        if len(leaf.keys) == 1 and leaf.collection and tidy.get(leaf.keys[0], UNSET) is None:
            del tidy[leaf.keys[0]]
    return tidy


def _mistakes_of(branch: Branch, source: Source) -> list[Mistake]:
    """Every mistake of a section. Rules between settings are only looked at once each value is right by itself: so what
    is wrong is left out and the rest is looked at again, until nothing new is found."""

    def place(path: PathKeys, wrong: Wrong) -> Mistake:
        return source.mistake((*branch.prefix, *path), wrong)

    data = branch.layered()
    found: list[Mistake] = []
    for _ in range(ROUNDS):
        try:
            branch.check(data)
        except ValidationError as error:
            # What a value was left out of (a list that is too short now) is not wrong by itself.
            told = tuple(mistake.path for mistake in found if mistake.file == source.place.config_file)
            new = list(mistakes_in(error, branch.model, data, place))
            found += [mistake for mistake in new if not any(path.startswith(mistake.path) for path in told)]
            faults = error.errors(include_url=False, include_input=False)
            left_out = [_leave_out(data, fault["loc"], fault["type"] == "extra_forbidden") for fault in faults]
            if not any(left_out):
                break
        else:
            break
    return found


def _leave_out(data: Any, where: Sequence[Key], whole: bool) -> bool:
    """Take what is wrong at a place out of ``data``: a single value, or with ``whole`` whatever stands there."""
    try:
        for key in where[:-1]:
            data = data[key]
        if not whole and isinstance(data[where[-1]], dict | list):
            return False
        del data[where[-1]]
    except (LookupError, TypeError):
        return False
    return True


def _secrets(source: Source) -> Iterator[Mistake]:
    """Secrets do not belong into a file that people copy, mail and put under version control."""
    for path in _paths(source.data):
        key = path[-1]
        if isinstance(key, str) and is_secret(key):
            message = "a secret must not stand in this file: write it into a file of its own, readable for root alone"
            yield source.mistake(path, Wrong(message, (), f"{key}_file with the path of that file"))


def _paths(data: Any, above: PathKeys = ()) -> Iterator[tuple[Key, ...]]:
    pairs: Iterable[tuple[Key, Any]] = ()
    if isinstance(data, dict):
        pairs = data.items()
    elif isinstance(data, list):
        pairs = enumerate(data)
    for key, value in pairs:
        yield (*above, key)
        yield from _paths(value, (*above, key))


def _unknown_plugins(source: Source, unknown: Mapping[str, str], known: Sequence[str]) -> Iterator[Mistake]:
    for name, reason in unknown.items():
        why = f" ({reason})" if reason else ""
        expected = one_of(known) if known else ""
        yield source.mistake(
            (PLUGINS, name), Wrong(f"there is no plugin of this name{why}", (), expected, nearest(name, known))
        )


# Values set on pages


def _known_values(
    branches: Sequence[Branch], source: Source, page_values: Sequence[PageValue], notes: list[str]
) -> list[PageValue]:
    """Those whose setting exists, may be set on a page and is not set by the file; of several for one the last."""
    known = {path: (branch, leaf) for branch in branches for path, leaf in branch.leaves().items()}
    found = []
    for value in {value.path: value for value in page_values}.values():
        if value.path not in known:
            if not _of_plugin_not_looked_at(value.path, branches, source):
                notes.append(_note(value, "there is no such setting any more"))
            continue
        branch, leaf = known[value.path]
        if not leaf.on_page:
            notes.append(_note(value, "it can only be set in the file"))
        elif not branch.sets(leaf):
            found.append(value)
    return found


def _of_plugin_not_looked_at(path: str, branches: Sequence[Branch], source: Source) -> bool:
    looked_at = {branch.prefix for branch in branches}
    names = [name for name in source.plugin_names if (PLUGINS, name) not in looked_at]
    return any(path.startswith(f"{path_text((PLUGINS, name))}.") for name in names)


def _note(value: PageValue, why: str) -> str:
    return f"What {value.author} set for {value.path} on a page is left out: {why}."


def _checked(branch: Branch, source: Source, page_values: Sequence[PageValue], notes: list[str]) -> Checked:
    known = branch.leaves()
    taken = _fitting(branch, [value for value in page_values if value.path in known], notes)
    data = branch.layered(taken)
    origins = {path: _origin(branch, source, leaf) for path, leaf in known.items()}
    origins |= {value.path: _page_origin(value) for value in taken}
    return Checked(branch, data, branch.check(data), known, origins)


def _fitting(branch: Branch, values: list[PageValue], notes: list[str]) -> list[PageValue]:
    """The values that are right, alone and together; settings may have changed since they were set."""
    if branch.fits(values):
        return values
    taken: list[PageValue] = []
    left = values
    while fit := next((value for value in left if branch.fits([*taken, value])), None):
        taken.append(fit)
        left = [value for value in left if value is not fit]
    notes += [_note(value, f"{shown(value.value)} is not right any more") for value in left]
    return taken


def _origin(branch: Branch, source: Source, leaf: Leaf) -> Origin:
    if branch.sets(leaf):
        return Origin("file", source.place.config_file, source.lines.line((*branch.prefix, *leaf.keys)))
    return DEFAULT if leaf.trial(source.place.trial_dir) is UNSET else TRIAL


def _page_origin(value: PageValue) -> Origin:
    return Origin("page", None, None, value.author, value.reason, value.set_at, value.until or "")


# Nested data


def _get(data: Any, keys: Sequence[str]) -> Any:
    for key in keys:
        if not isinstance(data, dict) or key not in data:
            return UNSET
        data = data[key]
    return data


def _put(data: Any, keys: Sequence[str], value: Any) -> None:
    """Set a value where there is none yet. A section that is not one is a mistake that is found elsewhere."""
    for key in keys[:-1]:
        data = data.get(key) if isinstance(data, dict) else None
    if isinstance(data, dict):
        data.setdefault(keys[-1], value)


def _replace(data: Any, keys: Sequence[str], value: Any) -> None:
    for key in keys[:-1]:
        data = data[key]
    data[keys[-1]] = value
