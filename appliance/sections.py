"""How settings are described: sections, the settings in them, what each may hold and how a page shows it.

A section is a pydantic model. A setting that is itself a section leads further down; every other setting is a *leaf*,
the unit that a file or a page sets as a whole.
"""

from __future__ import annotations

import ipaddress
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from enum import Enum
from pathlib import Path, PurePath
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, to_jsonable_python

from appliance.yamlfile import Mistake, PathKeys, path_text

Kind = Literal["bool", "int", "float", "text", "choice", "list", "other"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNSET: Final[Any] = PydanticUndefined
"""Says that a setting has no default of its own for trials."""

_SECRET = re.compile(r"(?:.*[_-])?(?:password|passphrase|secret|token|api[_-]?key|private[_-]?key)", re.IGNORECASE)


class Section(BaseModel):
    """The base of everything in a settings file. Unknown keys are mistakes; sections do not change once they are made.

    Values from files and pages are checked strictly (``"8443"`` in quotes is no number); sections that a program makes
    may be given what Python offers, a list for a tuple for example. How they are checked is worked out when one is
    checked first: most processes never do, and would begin a fifth later.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, validate_default=True, protected_namespaces=(),
        defer_build=True,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class About:
    """What a setting says of itself beyond its type."""

    unit: str = ""
    trial: Any = UNSET
    page: bool = True

    def __call__(self, schema: dict[str, Any]) -> None:
        """Called by pydantic when it makes the JSON Schema: the unit belongs to the description there."""
        if self.unit:
            schema["description"] = f"{schema.get('description', '')} Unit: {self.unit}."


def setting(
    default: Any, description: str, *, unit: str = "", trial: Any = UNSET, page: bool = True, **constraints: Any
) -> Any:
    """Declare a setting of a section: its default (``...``: it must be written), what it is for, and its unit.

    ``trial`` is the default under ``make run``; ``{trial}`` in its text stands for the folder of the trial.
    ``page=False``: it can only be set in the file. ``constraints`` are those of pydantic's ``Field``, such as ``ge``.
    """
    about = About(unit, trial, page)
    return Field(_as_written(default), description=description, json_schema_extra=about, **constraints)


def _as_written(default: Any) -> Any:
    """Defaults are checked as if they stood in the file, where paths and addresses are text."""
    if isinstance(default, PurePath | Address | Network):
        return str(default)
    if isinstance(default, tuple):
        return tuple(map(_as_written, default))
    return default


@dataclass(frozen=True, slots=True)
class Wrong:
    """One mistake that a validator found: where (below what it checks), what, and what would be right."""

    message: str
    at: PathKeys = ()
    expected: str = ""
    nearest: str = ""


class WrongSettings(ValueError):
    """Raised by a validator that knows better than its own place what is wrong, or that found several mistakes."""

    def __init__(self, *found: Wrong) -> None:
        hints = (f"; did you mean {wrong.nearest!r}?" if wrong.nearest else "" for wrong in found)
        super().__init__("; ".join(wrong.message + hint for wrong, hint in zip(found, hints, strict=True)))
        self.found = found


class WrongFile(ValueError):
    """Raised by a validator that has read another file: what is wrong stands in that file, by its lines."""

    def __init__(self, found: Sequence[Mistake]) -> None:
        super().__init__("\n".join(map(str, found)))
        self.found = tuple(found)


def is_secret(key: str) -> bool:
    """Whether a setting of this name would hold a secret. Those are read from files: ``<key>_file``."""
    return _SECRET.fullmatch(key) is not None


# Types


@dataclass(frozen=True, slots=True)
class Shape:
    """A type without its annotations, and those annotations: limits, patterns."""

    type: Any
    limits: tuple[Any, ...] = ()

    @classmethod
    def of(cls, annotation: Any, limits: Sequence[Any] = ()) -> Shape:
        """Unpack ``Annotated[int, Field(ge=1)]``."""
        found = list(limits)
        while get_origin(annotation) is Annotated:
            annotation, *more = get_args(annotation)
            for item in more:
                found += item.metadata if isinstance(item, FieldInfo) else [item]
        return cls(annotation, tuple(found))

    @classmethod
    def of_field(cls, field: FieldInfo) -> Shape:
        """The shape of a setting."""
        return cls.of(field.annotation, field.metadata)

    @property
    def section(self) -> type[BaseModel] | None:
        """The section that this leads to, if it is one."""
        return self.type if isinstance(self.type, type) and issubclass(self.type, BaseModel) else None

    @property
    def members(self) -> tuple[Shape, ...]:
        """The types of ``int | str``; of anything else the shape itself."""
        if get_origin(self.type) in {Union, types.UnionType}:
            return tuple(Shape.of(argument, self.limits) for argument in get_args(self.type))
        return (self,)

    @property
    def nullable(self) -> bool:
        """Whether nothing (``null``) is a value of its own."""
        return any(member.type in {None, type(None)} for member in self.members)

    @property
    def item(self) -> Shape | None:
        """What a list is made of."""
        origin, arguments = get_origin(self.type), get_args(self.type)
        if origin in {list, set, frozenset, Sequence} or (origin is tuple and arguments[1:] == (...,)):
            return Shape.of(arguments[0])
        return None

    @property
    def entry(self) -> tuple[Shape, Shape] | None:
        """Keys and values of a mapping."""
        if get_origin(self.type) in {dict, Mapping}:
            key, value = get_args(self.type)
            return Shape.of(key), Shape.of(value)
        return None

    @property
    def options(self) -> tuple[Any, ...]:
        """The values of a ``Literal`` or an enumeration."""
        if get_origin(self.type) is Literal:
            return get_args(self.type)
        if isinstance(self.type, type) and issubclass(self.type, Enum):
            return tuple(member.value for member in self.type)
        return ()

    @property
    def choices(self) -> tuple[str, ...]:
        """The options if all of them are texts, which is what pages can offer."""
        return self.options if all(isinstance(option, str) for option in self.options) else ()

    def below(self, key: str | int) -> Shape | None:
        """What stands under a key or an index, if anything may."""
        for member in self.members:
            if member.section is not None:
                field = member.section.model_fields.get(str(key))
                if field is not None:
                    return Shape.of_field(field)
            elif member.entry is not None:
                return member.entry[1]
            elif member.item is not None:
                return member.item
        return None

    def limit(self, name: str) -> Any:
        """A limit such as ``ge``, ``min_length`` or ``pattern``, or ``None``."""
        return next((getattr(limit, name) for limit in self.limits if getattr(limit, name, None) is not None), None)

    def words(self) -> str:
        """What may be written here: "a whole number from 1 to 65535", "one of: watch, block"."""
        return " or ".join(dict.fromkeys(member._own_words() for member in self.members))

    def _own_words(self) -> str:  # noqa: PLR0911 - a table with conditions
        if self.options:
            return f"one of: {', '.join(map(str, self.options))}"
        if self.section is not None or (self.entry is not None and self.entry[1].type is Any):
            return "a section (`key: value` lines)"
        if self.entry is not None:
            return f"a section (`key: value` lines), each value {self.entry[1].words()}"
        if self.item is not None:
            return f"a list{_length_words(self)}, each entry {self.item.words()}"
        if self.type in {int, float}:
            return f"{_PLAIN_WORDS[self.type]}{_range_words(self)}"
        if self.type is str and self.limit("pattern") is not None:
            return f"text of the form {str(self.limit('pattern')).removeprefix('^').removesuffix('$')}"
        if self.type is str:
            return f"text{_length_words(self)}"
        return _PLAIN_WORDS.get(self.type, "another value")


_PLAIN_WORDS: Mapping[Any, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
    date: "a date such as 2026-09-01",
    time: "a time of day such as 08:30",
    timedelta: "a length of time such as PT5M",
    type(None): "nothing",
    None: "nothing",
}


def _range_words(shape: Shape) -> str:
    low, above, high, under = (shape.limit(name) for name in ("ge", "gt", "le", "lt"))
    if low is not None and high is not None:
        return f" from {low} to {high}"
    words = {"at least": low, "above": above, "at most": high, "below": under}
    parts = [f"{word} {limit}" for word, limit in words.items() if limit is not None]
    return f" {' and '.join(parts)}" if parts else ""


def _length_words(shape: Shape) -> str:
    low, high = shape.limit("min_length"), shape.limit("max_length")
    what = "characters" if shape.type is str else "entries"
    if low == 1 and high is None:
        return " that is not empty"
    parts = [f"at least {low}"] * (low is not None) + [f"at most {high}"] * (high is not None)
    return f" of {' and '.join(parts)} {what}" if parts else ""


# Leaves


@dataclass(frozen=True, slots=True)
class Leaf:
    """A setting that a file or a page sets as a whole. ``keys`` begin at the model that it was found in."""

    keys: tuple[str, ...]
    path: str
    field: FieldInfo
    about: About

    @property
    def shape(self) -> Shape:
        """What it may hold."""
        return Shape.of_field(self.field)

    @property
    def kind(self) -> Kind:
        """How a page shows it."""
        kinds = {_kind(member) for member in self.shape.members if not member.nullable}
        return kinds.pop() if len(kinds) == 1 else "other"

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts to choose from, also for a list of choices."""
        first = self._values[0]
        return first.choices or (first.item.choices if first.item else ())

    @property
    def on_page(self) -> bool:
        """Whether it may be set on a page."""
        return self.about.page and self.kind != "other" and not is_secret(self.keys[-1])

    @property
    def collection(self) -> bool:
        """A list or a mapping: a key with nothing below it leaves it out."""
        return not self.shape.nullable and all(member.item or member.entry for member in self.shape.members)

    @property
    def _values(self) -> tuple[Shape, ...]:
        return tuple(member for member in self.shape.members if not member.nullable)

    def default(self, trial_dir: Path | None) -> Any:
        """What applies when nobody sets it, as plain data; in a trial that may be something else."""
        trial = self.trial(trial_dir)
        return to_jsonable_python(self.field.get_default(call_default_factory=True)) if trial is UNSET else trial

    def trial(self, trial_dir: Path | None) -> Any:
        """The default of a trial as plain data, or ``UNSET``."""
        if trial_dir is None or self.about.trial is UNSET:
            return UNSET
        value = to_jsonable_python(self.about.trial)
        return value.replace("{trial}", str(trial_dir)) if isinstance(value, str) else value

    def read(self, text: str) -> Any:
        """What somebody typed into a form, as plain data: lists have one entry a line. Raises ``ValueError``."""
        if self.shape.nullable and not text.strip():
            return None
        shape = self._values[0]
        if self.kind == "list" and shape.item is not None:
            item = _kind(shape.item)
            return [_read(item, line) for line in text.splitlines() if line.strip()]
        return _read(self.kind, text)


def leaves(model: type[BaseModel], prefix: PathKeys = ()) -> Iterator[Leaf]:
    """Every leaf of a section, those of the sections in it included, in the order of the model."""
    for keys, field in _walk(model):
        about = field.json_schema_extra
        yield Leaf(keys, path_text((*prefix, *keys)), field, about if isinstance(about, About) else About())


def _walk(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    for name, field in model.model_fields.items():
        section = Shape.of_field(field).section
        if section is None:
            yield (*above, name), field
        else:
            yield from _walk(section, (*above, name))


def _kind(shape: Shape) -> Kind:
    plain: dict[Any, Kind] = {bool: "bool", int: "int", float: "float", str: "text", Path: "text"}
    plain |= {date: "text", time: "text", timedelta: "text"}
    if shape.choices:
        return "choice"
    if shape.type in plain:
        return plain[shape.type]
    if shape.type in {*get_args(Address), *get_args(Network)}:
        return "text"
    if shape.item is not None and _kind(shape.item) not in {"list", "other"}:
        return "list"
    return "other"


def _read(kind: Kind, text: str) -> Any:
    text = text.strip()
    if kind == "bool":
        return {"true": True, "false": False}[text.lower()] if text.lower() in {"true", "false"} else _refuse(text)
    if kind == "int":
        return int(text) if re.fullmatch(r"[-+]?[0-9]{1,100}", text) else _refuse(text)
    if kind == "float":
        return float(text) if re.fullmatch(r"[-+]?[0-9]{1,100}(\.[0-9]{0,100})?", text) else _refuse(text)
    return text


def _refuse(text: str) -> Any:
    raise ValueError(text)
