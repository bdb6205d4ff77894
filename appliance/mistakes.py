"""What pydantic finds wrong, in words for whoever wrote the file: where, what, what was expected, what comes near."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_core.core_schema import ErrorType

from appliance.sections import Shape, Wrong, WrongFile, WrongSettings, is_secret, leaves
from appliance.yamlfile import Key, Mistake, PathKeys

Place = Callable[[PathKeys, Wrong], Mistake]
"""Makes a mistake of a path and what is wrong there; knows the file and its lines."""

LONGEST_LIST = 15
"""Names shown at most when a key is unknown."""

_KNOWN_TYPES = frozenset(get_args(ErrorType))

# pydantic's types of error in our words. Types that are not here say what stands there instead.
_MESSAGES = {
    "missing": "this is missing",
    "greater_than": "{value} is too small",
    "greater_than_equal": "{value} is too small",
    "less_than": "{value} is too large",
    "less_than_equal": "{value} is too large",
    "multiple_of": "{value} does not fit",
    "finite_number": "{value} is not a number to count with",
    "too_short": "this is too short",
    "too_long": "this is too long",
    "string_too_short": "{value} is too short",
    "string_too_long": "{value} is too long",
    "string_pattern_mismatch": "{value} does not have the right form",
    "enum": "{value} is not one of the choices",
    "literal_error": "{value} is not one of the choices",
    "date_parsing": "{value} is not a date",
    "date_from_datetime_parsing": "{value} is not a date",
    "date_from_datetime_inexact": "{value} is not a date alone",
    "time_parsing": "{value} is not a time of day",
    "datetime_parsing": "{value} is not a date and time",
    "datetime_from_date_parsing": "{value} is not a date and time",
    "time_delta_parsing": "{value} is not a length of time",
}


def mistakes_in(error: ValidationError, model: type[BaseModel], data: Any, place: Place) -> Iterator[Mistake]:
    """Every mistake of a failed check of ``data`` against ``model``, each path and each message once."""
    seen: set[tuple[PathKeys, str]] = set()
    for details in error.errors(include_url=False):
        if _counts_only_what_is_right(details):
            continue
        raised = details.get("ctx", {}).get("error")
        if isinstance(raised, WrongFile):
            yield from raised.found
            continue
        path, several = _clean(details["loc"], data, details["type"])
        for wrong in _wrongs(details, path, model):
            key = (path, "" if several else wrong.message)
            if key not in seen and not any(is_secret(str(name)) for name in path):
                seen.add(key)
                yield place((*path, *wrong.at), wrong)


def _counts_only_what_is_right(details: ErrorDetails) -> bool:
    """pydantic calls a list too short whose entries are wrong, which is told already."""
    return details["type"] == "too_short" and len(details["input"]) >= details.get("ctx", {}).get("min_length", 0)


def _clean(loc: Sequence[Key], data: Any, kind: str) -> tuple[PathKeys, bool]:
    """The path in the file. pydantic puts names of types between the keys where a value may have several types."""
    path: list[Key] = []
    several = False
    for index, key in enumerate(loc):
        last = index == len(loc) - 1
        if isinstance(data, dict) and (key in data or (last and kind == "missing")):
            path.append(key)
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, int) and 0 <= key < len(data):
            path.append(key)
            data = data[key]
        elif key != "[key]":
            several = True
    return tuple(path), several


def _wrongs(details: ErrorDetails, path: PathKeys, model: type[BaseModel]) -> Iterable[Wrong]:
    kind, found = details["type"], details.get("ctx", {}).get("error")
    if isinstance(found, WrongSettings):
        return found.found
    if kind in {"value_error", "assertion_error"}:
        return [Wrong(" ".join(str(found).split()) or "this cannot be used")]
    if kind not in _KNOWN_TYPES:  # a plugin's own, in its own words
        return [Wrong(" ".join(details["msg"].split()))]
    if kind == "extra_forbidden":
        return [_unknown_key(path, model)]
    if details["loc"][-1:] == ("[key]",):
        return [_wrong_key(path, model)]
    shape = _shape(model, path)
    value = details["input"]
    return [Wrong(_message(kind, value), (), _expected(shape, value, kind), _near_value(shape, value))]


def _message(kind: str, value: Any) -> str:
    message = _MESSAGES.get(kind, "{value}")
    if "{value}" not in message:
        return message
    if value is None:
        return "there is no value"
    if kind not in _MESSAGES or isinstance(value, list | dict):
        return f"this is {_what(value)}"
    return message.format(value=shown(value))


def _shape(model: type[BaseModel], path: PathKeys) -> Shape | None:
    shape: Shape | None = Shape(model)
    for key in path:
        shape = None if shape is None else shape.below(key)
    return shape


def _expected(shape: Shape | None, value: Any, kind: str) -> str:
    if shape is None:
        return ""
    words = shape.words()
    if shape.type is str and kind == "string_type" and isinstance(value, bool | int | float):
        return f"{words}; put it in quotes"
    return words


def _near_value(shape: Shape | None, value: Any) -> str:
    """The value that was probably meant: a choice spelt otherwise, a number in quotes, ``yes`` for ``true``."""
    if shape is None or not isinstance(value, str):
        return ""
    if shape.choices:
        return nearest(value, shape.choices)
    if shape.type in {int, float} and re.fullmatch(r"[-+]?[0-9]+(\.[0-9]+)?", value):
        return value
    if shape.type is bool:
        return {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(value.lower(), "")
    return ""


def _unknown_key(path: PathKeys, model: type[BaseModel]) -> Wrong:
    shape = _shape(model, path[:-1])
    section = next((member.section for member in shape.members if member.section), None) if shape else None
    if section is None:
        return Wrong("there is no such setting")
    name = str(path[-1])
    known = tuple(section.model_fields)
    return Wrong("there is no such setting", (), one_of(known), nearest(name, known) or _elsewhere(name, model))


def _elsewhere(name: str, model: type[BaseModel]) -> str:
    """The full path of a setting that has this name in another section."""
    return next((leaf.path for leaf in leaves(model) if leaf.keys[-1] == name), "")


def _wrong_key(path: PathKeys, model: type[BaseModel]) -> Wrong:
    shape = _shape(model, path[:-1])
    keys = shape.entry[0] if shape is not None and shape.entry is not None else Shape(str)
    return Wrong("this key cannot be used here", (), keys.words(), nearest(str(path[-1]), keys.choices))


def nearest(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """The known name that is most like this one (1: the same but for case), or nothing."""
    plain = {other.lower().replace("-", "_"): other for other in known}
    found = get_close_matches(name.lower().replace("-", "_"), plain, n=1, cutoff=likeness)
    return plain[found[0]] if found else ""


def one_of(known: Sequence[str]) -> str:
    """The names to choose from, in words."""
    if len(known) <= LONGEST_LIST:
        return f"one of: {', '.join(known)}"
    return f"one of: {', '.join(known[:LONGEST_LIST])} and {len(known) - LONGEST_LIST} more"


def shown(value: Any) -> str:
    """A value as it could stand in the file, short enough for a message of one line."""
    text = json.dumps(value, ensure_ascii=not (isinstance(value, str) and value.isprintable()), default=str)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _what(value: Any) -> str:
    if isinstance(value, dict):
        return "a section"
    if isinstance(value, list):
        return "a list"
    kind = "text" if isinstance(value, str) else "true or false" if isinstance(value, bool) else "a number"
    return f"{kind} ({shown(value)})"
