"""Writes the reference pages from the code: ``python -m docs.build`` (``make docs``).

``pages()`` gives every page by its path below ``docs/``; the tests compare that with what is on disk. Words come from
docstrings and descriptions, so a page is put right where the code is.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined, to_jsonable_python

from appliance import __main__ as command_line
from appliance import api, hookspecs
from appliance.events import CORE_EVENTS, Event
from appliance.plugin_finder import find_plugins, hook_names, import_plugin, settings_model, tools_of
from appliance.sections import UNSET, About, Leaf, Shape, leaves
from appliance.settings import Settings

FOLDER = Path(__file__).parent
NO_FOLDER = Path("/nonexistent")
NOTE = "<!-- Written by `make docs` from the code. Change the code, not this page. -->\n"

SMALL_CLASSES = (
    (hookspecs.Page, hookspecs.Permission),
    (hookspecs.Menu, hookspecs.HomeCard),
    (hookspecs.Job, hookspecs.Every, hookspecs.Daily),
    (hookspecs.Worker,),
    (hookspecs.Data,),
    (hookspecs.Argument, hookspecs.Command),
    (hookspecs.Circumstances,),
    (hookspecs.DnsClient, hookspecs.Overlay, hookspecs.Verdict),
    (hookspecs.Check, hookspecs.State),
)
"""What hooks return, in the order in which the page describes them."""


def pages() -> dict[str, str]:
    """Path below ``docs/`` -> text."""
    written = {"hooks": hooks_page, "events": events_page, "settings": settings_page, "commands": commands_page}
    return {f"reference/{name}.md": _tidy(page()) for name, page in written.items()}


def main() -> int:
    """Write every page that is not as it should be."""
    for name, text in pages().items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print(f"Wrote {path}")
    return 0


# Hooks


def hooks_page() -> str:
    """Every hook, and the small classes that hooks return."""
    names = hook_names()
    parts = [
        "# Hooks",
        NOTE,
        "A hook is a question that the appliance asks plugins. A plugin answers by having a method of that name, "
        "marked with `@hook`. Besides what a question is about, a hook takes nothing but `self`: the constructor keeps "
        "the services and the plugin's own settings there. Names, arguments and `async` are checked when a plugin is "
        "loaded. [Writing a plugin](../plugin-authors.md) says when to use which.",
        _list(f"[`{name}`](#{name})" for name in names),
        *(_hook(name) for name in names),
        "## What hooks return",
        "Small classes that cannot be changed once they are made. All of them come from `appliance.api`.",
        *(_class(kind) for group in SMALL_CLASSES for kind in group),
        "## What else `appliance.api` offers",
        "A plugin imports `appliance.api`, the modules of its own folder, and libraries: nothing else of the "
        "appliance. Its [events](events.md) are on a page of their own.",
        _table(("Name", "What it is"), ((f"`{name}`", _summary(name)) for name in _other_names())),
    ]
    return "\n\n".join(parts)


def _hook(name: str) -> str:
    method = getattr(hookspecs.Hooks, name)
    kind = "async def" if inspect.iscoroutinefunction(method) else "def"
    words, example = _split_example(inspect.getdoc(method) or "")
    signature = f"{kind} {name}{_signature(method)}"
    sort = "Asynchronous" if kind == "async def" else "Synchronous"
    return f"## {name}\n\n```text\n{signature}\n```\n\n{sort}. {_plain(words)}\n\nExample:\n\n```python\n{example}\n```"


def _signature(method: Callable[..., Any]) -> str:
    signature = inspect.signature(method)
    taken = (f"{one.name}: {one.annotation}" for one in list(signature.parameters.values())[1:])
    return f"({', '.join(('self', *taken))}) -> {signature.return_annotation}"


def _split_example(doc: str) -> tuple[str, str]:
    words, _, example = doc.partition("Example::")
    return words.strip(), textwrap.dedent(example).strip()


def _class(kind: type) -> str:
    body = _members(kind) if issubclass(kind, StrEnum) else _fields(kind)
    return f"### {kind.__name__}\n\n{_plain(inspect.getdoc(kind) or '')}\n\n{body}"


def _members(kind: type[StrEnum]) -> str:
    words = _attribute_docs(kind)
    rows = ((f"`{kind.__name__}.{member.name}`", _plain(words.get(member.name, ""))) for member in kind)
    if not words:
        return _list(cell for cell, _ in rows)
    return _table(("Value", "What it allows"), rows)


def _attribute_docs(kind: type) -> dict[str, str]:
    """The docstrings below the members of an enumeration."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for before, after in zip(tree.body, tree.body[1:], strict=False):
        if not (isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)):
            continue
        if isinstance(before, ast.Assign) and isinstance(before.targets[0], ast.Name):
            found[before.targets[0].id] = inspect.cleandoc(str(after.value.value))
    return found


def _fields(kind: Any) -> str:
    return _table(
        ("Field", "Type", "Default"),
        ((f"`{field.name}`", f"`{field.type}`", _field_default(field.default)) for field in fields(kind)),
    )


def _field_default(default: Any) -> str:
    if default is MISSING:
        return "must be given"
    if isinstance(default, timedelta):
        return f"{default.total_seconds() / 60:g} minutes"
    return f"`{default!r}`"


def _other_names() -> Iterator[str]:
    """What the page has not described yet, in the order of ``appliance.api``."""
    described = {kind.__name__ for group in SMALL_CLASSES for kind in group} | {event.__name__ for event in CORE_EVENTS}
    yield from (name for name in api.__all__ if name not in _ALIASES and name not in described)


_ALIASES = frozenset({"Panel", "Row"})
"""``Menu | HomeCard``, and the standard library's ``sqlite3.Row``: nothing of their own to say."""


def _summary(name: str) -> str:
    """The first sentence of a docstring."""
    said = {
        "hook": "Decorator that marks a method of a plugin as the answer to the hook of the same name.",
        "CLAIMS": "How it is known who is on a device -> the words for it.",
        "HIDDEN_CATEGORIES": "Categories whose words are shown to nobody: of made-up sentences only numbers are told.",
        "LONGEST_CLIP": "The most seconds that a clip of the screen may have.",
        "LONGEST_SENTENCE": "The most characters that a sentence of a finding may have.",
        "SURFACES_BY_NAME": "What people type -> the surface: its own name, and `url`, `app` and `dns`.",
    }
    if name in said:
        return said[name]
    first = " ".join((inspect.getdoc(getattr(api, name)) or "").split("\n\n")[0].split())
    return _plain(re.split(r"(?<=[.])\s", first)[0])


# Events


def events_page() -> str:
    """The events of the core."""
    base = Event.model_fields
    parts = [
        "# Events",
        NOTE,
        "An event is a fact that has happened. It is stored in the same unit of work as what caused it, then delivered "
        "to every listener, at least once, until the listener returns. [How it works](../how-it-works.md#an-event) "
        "tells what happens to one that a listener does not take.",
        "These are the events of the core. Any plugin may listen for them. A plugin's own events are named in "
        "`register_events`, are stored as `<plugin>.<Class>`, and only that plugin listens for them.",
        "Every event has:",
        _event_fields(base),
        *(_event(event) for event in CORE_EVENTS),
    ]
    return "\n\n".join(parts)


def _event(event: type[Event]) -> str:
    own = {name: field for name, field in event.model_fields.items() if name not in Event.model_fields}
    return f"## {event.__name__}\n\n{_plain(inspect.getdoc(event) or '')}\n\n{_event_fields(own)}"


def _event_fields(found: Mapping[str, Any]) -> str:
    rows = ((f"`{name}`", Shape.of_field(field).words(), field.description or "") for name, field in found.items())
    return _table(("Field", "Holds", "What it says"), rows)


# Settings


@dataclass(frozen=True, slots=True)
class Branch:
    """The settings under one top-level key of the file, or those of one plugin."""

    title: str
    words: str
    leaves: tuple[Leaf, ...]


def settings_page() -> str:
    """Every setting of the core and of the plugins that come with the appliance."""
    found = list(_branches())
    parts = [
        "# Settings",
        NOTE,
        "Everything that may stand in `appliance.yaml`. `etc/appliance.yaml` has all of it with comments, and "
        "`etc/appliance.schema.json` lets an editor complete and check it. `appliance check-config` names every "
        "mistake with its line; `appliance config show` tells what applies and where each value comes from.",
        "What the file sets always wins. What the file leaves out may be set on the Settings page, unless this page "
        "says that it can only be set in the file. Relative paths start at the folder of the file.",
        _list(f"[`{branch.title}`](#{anchor(branch.title)})" for branch in found),
        *(_branch(branch) for branch in found),
    ]
    return "\n\n".join(parts)


def bundled_models() -> dict[str, type[BaseModel]]:
    """The settings of every plugin that comes with the appliance."""
    found = find_plugins(NO_FOLDER)
    bundled = sorted(name for name, plugin in found.items() if plugin.source == "bundled")
    return {name: settings_model(import_plugin(found[name], NO_FOLDER)) for name in bundled}


def _branches() -> Iterator[Branch]:
    core = tuple(leaves(Settings))
    for name, field in Settings.model_fields.items():
        section = Shape.of_field(field).section
        words = inspect.getdoc(section) if section is not None else ""
        yield Branch(name, words or "", tuple(leaf for leaf in core if leaf.keys[0] == name))
    for name, model in bundled_models().items():
        yield Branch(f"plugins.{name}", inspect.getdoc(model) or "", tuple(leaves(model, ("plugins", name))))


def _branch(branch: Branch) -> str:
    return "\n\n".join([f"## {branch.title}", branch.words, *map(_setting, branch.leaves)])


def _setting(leaf: Leaf) -> str:
    facts = [f"Holds: {leaf.shape.words()}."]
    if leaf.about.unit:
        facts.append(f"Unit: {leaf.about.unit}.")
    facts.append(f"Default: {_value(leaf.default(None))}.")
    trial = leaf.trial(Path("var"))
    if trial is not UNSET:
        facts.append(f"Default of a trial: {_value(trial)}.")
    facts.append("May be set on the Settings page." if leaf.on_page else "Can only be set in the file.")
    parts = [f"### `{leaf.path}`", leaf.field.description or "", _list(facts)]
    entry = _entry_section(leaf.shape)
    if entry is not None:
        parts += ["Each entry has:", _entry_table(entry)]
    return "\n\n".join(parts)


def _entry_section(shape: Shape) -> type[BaseModel] | None:
    """The section that an entry of a list or a mapping is, if it is one."""
    for member in shape.members:
        inner: Shape | None = member.item or (member.entry[1] if member.entry else None)
        section: type[BaseModel] | None = inner.section if inner is not None else None
        if section is not None:
            return section
    return None


def _entry_table(section: type[BaseModel]) -> str:
    rows = []
    for name, field in section.model_fields.items():
        about = field.json_schema_extra
        unit = f" Unit: {about.unit}." if isinstance(about, About) and about.unit else ""
        default = field.get_default(call_default_factory=True)
        shown = "must be written" if default is PydanticUndefined else _value(to_jsonable_python(default))
        rows.append((f"`{name}`", Shape.of_field(field).words(), shown, f"{field.description or ''}{unit}"))
    return _table(("Key", "Holds", "Default", "What it is for"), rows)


def _value(value: Any) -> str:
    if value in ([], {}, ""):
        return "empty"
    return f"`{json.dumps(_short_times(value), ensure_ascii=False)}`"


def _short_times(value: Any) -> Any:
    """``08:30:00`` as people write it."""
    if isinstance(value, str):
        return re.sub(r"^(\d\d:\d\d):00$", r"\1", value)
    if isinstance(value, list):
        return [_short_times(item) for item in value]
    if isinstance(value, dict):
        return {key: _short_times(item) for key, item in value.items()}
    return value


# Commands


@dataclass(frozen=True, slots=True)
class Command:
    """One command: ``words`` (``config show``), what it does, its own arguments."""

    words: str
    does: str
    arguments: tuple[argparse.Action, ...]


def commands(parser: argparse.ArgumentParser | None = None, above: str = "") -> Iterator[Command]:
    """Every command that ``--help`` lists, those of groups included."""
    parser = parser or command_line.parser()
    for action in parser._actions:
        if not isinstance(action, argparse._SubParsersAction):
            continue
        for listed in action._choices_actions:
            words, inner = f"{above} {listed.dest}".strip(), action.choices[listed.dest]
            if any(isinstance(own, argparse._SubParsersAction) for own in inner._actions):
                yield from commands(inner, words)
            else:
                yield Command(words, listed.help or "", tuple(_own_arguments(inner)))


def _own_arguments(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    hidden = (argparse._HelpAction, argparse._SubParsersAction)
    yield from (action for action in parser._actions if not isinstance(action, hidden))


def commands_page() -> str:
    """The command line."""
    top = command_line.parser()
    found = list(commands())
    parts = [
        "# Commands",
        NOTE,
        "In a checkout the program is `.venv/bin/appliance`. Options stand before the command: "
        "`appliance --trial FOLDER status`.",
        "## Options",
        _arguments(tuple(_own_arguments(top))),
        "## Exit codes",
        _table(("Code", "Meaning"), exit_codes()),
        "## Every command",
        _table(
            ("Command", "What it does"), ((f"[`{each.words}`](#{anchor(each.words)})", each.does) for each in found)
        ),
        *(_command(each) for each in found),
        "## Commands of plugins",
        "These need no running appliance. `--help` behind one tells its arguments.",
        _table(("Command", "What it does"), ((f"`{words}`", does) for words, does in tools())),
        "Others are for the appliance that runs. `appliance commands` lists them all.",
    ]
    return "\n\n".join(parts)


def tools() -> list[tuple[str, str]]:
    """The tools of bundled plugins, as they are typed, and what each does."""
    return [(f"appliance {' '.join(path)}", tool.words) for path, tool in tools_of(find_plugins(NO_FOLDER)).items()]


def exit_codes() -> list[tuple[str, str]]:
    """What the module of the command line says: ``Exit codes: 0 done, 1 it did not work, ...``."""
    doc = " ".join((command_line.__doc__ or "").split())
    listed = doc.partition("Exit codes: ")[2].removesuffix(".")
    assert listed, "the docstring of appliance/__main__.py lists the exit codes"
    return [(f"`{code}`", words) for code, words in re.findall(r"(\d+) (.+?)(?:[,.] (?=\d)|$)", listed)]


def _command(command: Command) -> str:
    usage = " ".join(["appliance", command.words, *map(_usage, command.arguments)])
    parts = [f"## {command.words}", f"```text\n{usage}\n```", f"{_capital(command.does)}."]
    if command.arguments:
        parts.append(_arguments(command.arguments))
    return "\n\n".join(parts)


def _usage(action: argparse.Action) -> str:
    if not action.option_strings:
        return f"[{action.metavar}]" if action.nargs == "?" else str(action.metavar)
    value = "" if action.nargs == 0 else f" {action.metavar}"
    return f"[{action.option_strings[-1]}{value}]"


def _arguments(actions: Sequence[argparse.Action]) -> str:
    rows = (
        (f"`{_usage(action).strip('[]')}`", _capital(action.help or _ARGUMENTS[str(action.metavar)]))
        for action in actions
    )
    return _table(("Argument", "What it is"), rows)


_ARGUMENTS = {
    "PLUGIN.NAME": "the plugin and its worker, such as `dns_filter.dns`",
    "NAME": "the plugin",
    "PLUGIN": "the plugin whose listener did not take it",
    "EVENT_ID": "the event, as `events parked` lists it",
}
"""Words for arguments that have no help of their own."""


# Markdown


def _plain(text: str) -> str:
    """Docstrings are written with double backticks."""
    return re.sub(r"``([^`]+)``", r"`\1`", " ".join(text.split()) if "\n\n" not in text else _paragraphs(text))


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _list(items: Any) -> str:
    return "\n".join(f"- {item}" for item in items)


def _table(head: Sequence[str], rows: Any) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def anchor(title: str) -> str:
    """GitHub's name for a heading."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _tidy(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


if __name__ == "__main__":
    sys.exit(main())
