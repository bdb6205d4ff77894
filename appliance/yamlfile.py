"""Reading and writing YAML files: the core schema of YAML 1.2, lines for messages, nothing that runs or explodes.

Differences to plain PyYAML, each because of a mistake that people make or an attack that they do not:

* ``no``, ``on`` and ``yes`` are text, ``08:30`` and ``2026-09-01`` are text, ``0o17`` is octal and ``017`` is not.
* A key that is written twice is a mistake; so is a key that is not text, and a tag such as ``!!python/object``.
* What aliases unfold to is bounded, and so are the size of a file, its depth and the length of a number.

This is the only module that uses PyYAML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer

from appliance.errors import BadSettings

MAX_BYTES = 1024 * 1024
"""Largest file that is read; lists that are longer than that are files of their own."""

MAX_DEPTH = 50
"""Deepest nesting."""

MAX_VALUES = 100_000
"""Most values that a file may hold, aliases unfolded."""

MAX_DIGITS = 100
"""Longest number. Python refuses to print numbers of more than 4,300 digits."""

LONGEST_SHOWN = 60
"""Longest piece of a file, in characters, that a message repeats."""

Key = str | int
PathKeys = tuple[Key, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


def path_text(path: Iterable[Key]) -> str:
    """``("groups", 0, "addresses", 1)`` -> ``groups[0].addresses[1]``; a key with odd characters stands in quotes."""
    text = ""
    for key in path:
        if isinstance(key, int):
            text += f"[{key}]"
        else:
            name = key if _PLAIN_KEY.fullmatch(key) and len(key) <= LONGEST_SHOWN else _short(key)
            text += f".{name}" if text else name
    return text


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something wrong in a file, or (``file`` is ``None``) in a value that a page sent."""

    file: Path | None
    line: int | None
    path: str
    message: str
    expected: str = ""
    nearest: str = ""

    def __str__(self) -> str:
        """``etc/appliance.yaml:12: web.prot: there is no such setting, expected one of: ...; did you mean port?``"""
        place = "" if self.file is None else f"{self.file}: " if self.line is None else f"{self.file}:{self.line}: "
        path = f"{self.path}: " if self.path else ""
        expected = f", expected {self.expected}" if self.expected else ""
        nearest = f"; did you mean {self.nearest}?" if self.nearest else ""
        return f"{place}{path}{self.message}{expected}{nearest}"


class ConfigError(BadSettings):
    """A settings file, or a value for one, holds mistakes. ``str(error)`` has one mistake a line."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = tuple(sorted(dict.fromkeys(mistakes), key=_order))
        super().__init__("\n".join(map(str, self.mistakes)))


def _order(mistake: Mistake) -> tuple[str, int, str]:
    return str(mistake.file or ""), mistake.line or 0, mistake.path


@dataclass(frozen=True, slots=True)
class Lines:
    """On which line each value of a file begins, counted from 1."""

    found: Mapping[PathKeys, int] = field(default_factory=dict)

    def line(self, path: PathKeys) -> int:
        """The line of the value; of the nearest section around it if the file does not hold it."""
        while path and path not in self.found:
            path = path[:-1]
        return self.found.get(path, 1)


@dataclass(frozen=True, slots=True)
class Parsed:
    """A YAML file: plain data (dict with text keys, list, str, int, float, bool, None), its lines, and what is wrong.

    ``mistakes`` are those beside which the rest could still be read: a key written twice, a tag. Of a key that is
    written twice the first value counts.
    """

    file: Path
    data: Any
    lines: Lines
    mistakes: tuple[Mistake, ...]


def load_yaml(path: Path) -> tuple[Any, Lines]:
    """Read a YAML file. Raises ``ConfigError`` with all its mistakes, or that the file cannot be read."""
    parsed = parse_yaml(read_text(path), path)
    if parsed.mistakes:
        raise ConfigError(parsed.mistakes)
    return parsed.data, parsed.lines


def read_text(path: Path) -> str:
    """The text of a file. Raises ``ConfigError`` if it is missing, unreadable, too large or not UTF-8."""
    try:
        if path.exists() and not path.is_file():
            raise ConfigError([Mistake(path, None, "", "this is not a file")])
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError([Mistake(path, None, "", "there is no such file")]) from None
    except OSError as error:
        reason = (error.strerror or "reading failed").lower()
        raise ConfigError([Mistake(path, None, "", f"the file cannot be read ({reason})")]) from error
    if len(raw) > MAX_BYTES:
        raise ConfigError([Mistake(path, None, "", "the file is too large", "at most 1 MiB")])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError([Mistake(path, line, "", "this is not UTF-8 text", "a file saved as UTF-8")]) from error


def parse_yaml(text: str, file: Path) -> Parsed:
    """Read YAML text that came from ``file``. Raises ``ConfigError`` if it cannot be read at all."""
    try:
        root = _root(text)
    except _Refused as error:
        raise ConfigError([Mistake(file, error.line, "", error.message, error.expected)]) from None
    except yaml.YAMLError as error:
        line, words = _syntax_words(error, text)
        raise ConfigError([Mistake(file, line, "", words)]) from error
    except (ValueError, OverflowError) as error:  # PyYAML turns "\UFFFFFFFF" into a character without a look at it
        words = "an escape such as \\U names a character that does not exist"
        raise ConfigError([Mistake(file, None, "", words)]) from error
    builder = _Builder(file)
    data = None if root is None else builder.value(root, ())
    return Parsed(file, data, Lines(builder.lines), tuple(dict.fromkeys(builder.mistakes)))


def load_shipped_yaml(path: Path) -> Any:
    """The data of a file that came with the program: ten times as quick as ``load_yaml``, without lines for mistakes.

    A test has read it with all checks before it was shipped. Raises ``ConfigError`` if it cannot be read at all.
    """
    text = read_text(path)
    if _FastLoader is None:
        return parse_yaml(text, path).data
    try:
        return _FastLoader(text).get_single_data()
    except (yaml.YAMLError, _Refused, ValueError, OverflowError) as error:
        raise ConfigError([Mistake(path, None, "", "this file is damaged", "the file as it was installed")]) from error


def _root(text: str) -> yaml.Node | None:
    """The tree of a text, read by libyaml where PyYAML has it: a tenth of the time, and a start reads many files.

    What libyaml does not take is read again in Python, whose words for mistakes are better.
    """
    if _FastLoader is not None:
        with suppress(yaml.YAMLError, ValueError, OverflowError):
            fast: yaml.Node | None = _FastLoader(text).get_single_node()
            return fast
    return _Loader(text).get_single_node()


# The core schema of YAML 1.2 (section 10.3.2)

_TAG = "tag:yaml.org,2002:"
_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_SCHEMA = (
    ("null", _NULL, ["~", "n", "N", ""]),
    ("bool", _BOOL, list("tTfF")),
    ("int", _INT, list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
)
_WORDS = {"null": "nothing", "bool": "true or false", "int": "a whole number", "float": "a number"}


class _Refused(Exception):
    """The file asks for more than is reasonable. Raised while the tree is built, before it grows."""

    def __init__(self, mark: yaml.Mark, message: str, expected: str = "") -> None:
        super().__init__(message)
        self.line = mark.line + 1
        self.message = message
        self.expected = expected


class _Limits(Composer):
    """Builds the tree of nodes within our limits. Values are made by ``_Builder``."""

    check_event: Any  # of the parser that this is put together with
    peek_event: Any
    _depth = 0

    def limit(self) -> None:
        """Begin to count."""
        self._sizes: dict[int, int] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """One node and all below it, within the limits."""
        if self.check_event(yaml.AliasEvent):
            return self._alias(parent, index)
        self._depth += 1
        mark = self._next_event().start_mark
        if self._depth > MAX_DEPTH:
            raise _Refused(mark, "this is nested too deeply", f"at most {MAX_DEPTH} levels")
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None:
            self._sizes[id(node)] = size = 1 + sum(self._sizes[id(child)] for child in _children(node))
            if size > MAX_VALUES:
                raise _Refused(mark, "this holds too many values", f"at most {MAX_VALUES}, aliases (*) unfolded")
        return node

    def _next_event(self) -> Any:
        return self.peek_event()

    def _alias(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self._next_event()
        node = super().compose_node(parent, index)
        if id(node) not in self._sizes:
            raise _Refused(event.start_mark, f"*{event.anchor} refers to what it is itself a part of")
        return node


class _Loader(_Limits, yaml.SafeLoader):
    """All in Python."""

    def __init__(self, text: str) -> None:
        yaml.SafeLoader.__init__(self, text)
        self.limit()


def _fast_loader() -> Any:
    """The same on libyaml's parser; ``None`` where PyYAML was built without it."""
    if not yaml.__with_libyaml__:
        return None

    class Fast(_Limits, yaml.CSafeLoader):
        def __init__(self, text: str) -> None:
            yaml.CSafeLoader.__init__(self, text)
            Composer.__init__(self)
            self.limit()

    return Fast


_FastLoader = _fast_loader()


class _Dumper(yaml.SafeDumper):
    """Writes what ``_Loader`` reads back as the same values."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        """Write values again rather than refer to them."""
        return True


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    # Characters that do not print, line breaks of all kinds among them, are only sure to survive as escapes.
    return dumper.represent_scalar(f"{_TAG}str", text, style=None if text.isprintable() else '"')


_Dumper.add_representer(str, _text_node)

for _class in (_Loader, _Dumper, *([_FastLoader] if _FastLoader else [])):
    _class.yaml_implicit_resolvers = {}
    for _name, _pattern, _first in _SCHEMA:
        _class.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"(?:{_pattern.pattern})$"), _first)


def dump_yaml(data: Any) -> str:
    """YAML text of plain data, in block style, that ``parse_yaml`` reads back as the same data."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf")))


@dataclass(frozen=True, slots=True)
class Commented:
    """A value with the comment that is to stand above it."""

    value: Any
    comment: str


def dump_commented(tree: Mapping[str, Any], indent: str = "") -> str:
    """YAML text of nested sections whose ends are ``Commented`` values."""
    text = ""
    for key, node in tree.items():
        if isinstance(node, Commented):
            text += indent + comment_line(node.comment)
            text += re.sub(r"^(?=.)", indent, dump_yaml({key: node.value}), flags=re.MULTILINE)
        else:
            text += indent + dump_yaml({key: None}).removesuffix(" null\n") + "\n"
            text += dump_commented(node, f"{indent}  ")
    return text


def comment_line(text: str) -> str:
    """A comment of one line, whatever the text holds: what people type as a reason must not become settings."""
    return f"# {''.join(character if character.isprintable() else ' ' for character in text).strip()}\n"


def _children(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value


class _Builder:
    """Turns nodes into values, notes their lines and collects mistakes."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.lines: dict[PathKeys, int] = {}
        self.mistakes: list[Mistake] = []

    def value(self, node: yaml.Node, path: PathKeys) -> Any:
        """The value of a node; ``path`` is where it stands in the file."""
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            self._check_tag(node, path, "map")
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            self._check_tag(node, path, "seq")
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: PathKeys) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            below = (*path, key)
            if key in mapping:
                first = self.lines[below]
                self._wrong(key_node, below, f"this key is written twice (first on line {first})")
                continue
            self.lines[below] = key_node.start_mark.line + 1
            mapping[key] = self.value(value_node, below)
        return mapping

    def _key(self, node: yaml.Node, path: PathKeys) -> str | None:
        if not isinstance(node, yaml.ScalarNode):
            self._wrong(node, path, "a list or a section stands where a key should be", "text before the `:`")
            return None
        value = self._scalar(node, path)
        if isinstance(value, str):
            return value
        self._wrong(node, path, f"the key {_short(node.value)} is not text", "it in quotes")
        return None

    def _scalar(self, node: yaml.Node, path: PathKeys) -> Any:
        name = node.tag.removeprefix(_TAG)
        text = str(node.value)
        if name == "str":
            return self._text(node, path, text)
        for known, pattern, _ in _SCHEMA:
            if name == known:
                if pattern.fullmatch(text):
                    return self._of_schema(node, path, name, text)
                self._wrong(node, path, f"{_short(text)} does not go with the tag !!{name}", _WORDS[name])
                return None
        self._check_tag(node, path, "str")
        return text

    def _text(self, node: yaml.Node, path: PathKeys, text: str) -> str:
        if _SURROGATE.search(text):
            self._wrong(node, path, "an escape names half a character (U+D800 to U+DFFF)", "the character itself")
            return _SURROGATE.sub("\ufffd", text)
        return text

    def _of_schema(self, node: yaml.Node, path: PathKeys, name: str, text: str) -> Any:
        if name == "null":
            return None
        if name == "bool":
            return text.lower() == "true"
        if len(text) > MAX_DIGITS:
            self._wrong(node, path, f"the number is {len(text)} characters long", f"at most {MAX_DIGITS}")
            return 0
        if name == "int":
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            return int(text, base)
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))

    def _check_tag(self, node: yaml.Node, path: PathKeys, allowed: str) -> None:
        if node.tag != f"{_TAG}{allowed}":
            tag = node.tag.replace(_TAG, "!!", 1)
            expected = "a value without a tag; put text that begins with ! in quotes"
            self._wrong(node, path, f"the tag {_short(tag)} is not allowed here", expected)

    def _wrong(self, node: yaml.Node, path: PathKeys, message: str, expected: str = "") -> None:
        line = node.start_mark.line + 1
        self.mistakes.append(Mistake(self._file, line, path_text(path), message, expected))


def _short(text: str) -> str:
    """A piece of a file, fit for a message of one line."""
    text = text if len(text) <= LONGEST_SHOWN else f"{text[: LONGEST_SHOWN - 3]}..."
    return json.dumps(text, ensure_ascii=not text.isprintable())


# PyYAML's messages in words for people who do not know its grammar; the first that is found counts.
_SYNTAX = (
    (
        "mapping values are not allowed",
        "this line has one `:` too many or is indented too far; text with `: ` in it needs quotes",
    ),
    ("could not find expected ':'", "this line has no `:` after its key"),
    ("character '\\t'", "a tab stands at the start of this line; indent with spaces"),
    ("that cannot start any token", "a value cannot begin with this character; put the text in quotes"),
    ("but found '<block", "this line is not indented like those above it"),
    ("unknown escape character", "`\\` means nothing before this character; use single quotes or write `\\\\`"),
    ("while scanning a quoted scalar", "a quotation mark that is opened here is not closed"),
    ("while parsing a flow sequence", "a list that is opened here with [ is not closed, or a comma is missing in it"),
    ("while parsing a flow mapping", "a section that is opened here with { is not closed, or a comma is missing in it"),
    ("undefined alias", "this refers with * to something that no & has named; text that begins with * needs quotes"),
    ("duplicate anchor", "this name after & was used before"),
    ("single document", "a second document begins here (---); a file holds one"),
    ("sequence entries are not allowed", "a list begins in the middle of this line; begin it on a line of its own"),
    ("but found", "this does not belong here; look at the line above too"),
)
_OPENED = ("quoted scalar", "flow sequence", "flow mapping")
"""Where the beginning says more than the place at which reading stopped."""


def _syntax_words(error: yaml.YAMLError, text: str) -> tuple[int, str]:
    """The line and, in words, what is wrong."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return line, f"the character U+{ord(text[error.position]):04X} is not allowed"
    if not isinstance(error, yaml.MarkedYAMLError):
        return 1, "this cannot be read as YAML"
    said = f"{error.context or ''}; {error.problem or ''}"
    mark = error.problem_mark or error.context_mark
    if error.context_mark is not None and any(what in said for what in _OPENED):
        mark = error.context_mark
    words = next((words for sign, words in _SYNTAX if sign in said), f"this cannot be read as YAML ({error.problem})")
    return (1 if mark is None else mark.line + 1), words
