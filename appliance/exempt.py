"""Places that nothing blocks, reads, pictures, lists or counts: where a child looks for help.

One list for every process. It comes from ``help_seeking.yaml``; a file that is missing, empty or wrong in one place
stops the start, because a helpline must never become blocked silently.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from appliance.net import is_address
from appliance.yamlfile import ConfigError, Lines, Mistake, PathKeys, load_yaml, path_text

SHARED_ENDINGS = frozenset(
    f"{ending}.uk" for ending in ("ac", "co", "gov", "ltd", "me", "net", "nhs", "org", "plc", "police", "sch")
)
"""Endings under which everybody registers names: as a place, one of them would exempt half of the country."""

_HOST_LENGTH = 253
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")


@dataclass(frozen=True, slots=True)
class ExemptPlace:
    """One place: its host (with everything below it), what people call it, and who finds help there."""

    host: str
    name: str
    why: str


KEYS = tuple(field.name for field in fields(ExemptPlace))


class Exempt:
    """All places. It is never changed: a changed file makes a new one. ValueError for a host that is not one."""

    def __init__(self, places: Iterable[ExemptPlace]) -> None:
        self._places: dict[str, ExemptPlace] = {}
        for place in places:
            problem = host_problem(place.host)
            if problem:
                raise ValueError(f"{place.host!r} {problem}")
            self._places[canonical_host(place.host)] = place

    @classmethod
    def load(cls, path: Path) -> Exempt:
        """Read ``help_seeking.yaml``. ConfigError names all mistakes, each with file and line."""
        data, lines = load_yaml(path)
        return cls(_Reader(path, lines).places(data))

    def matches(self, host: str) -> ExemptPlace | None:
        """The place that this host belongs to: the host itself or one above it, in any spelling. Never raises.

        ``host`` is a host name alone, without scheme and port; case, a dot at the end and Unicode do not matter.
        """
        name = canonical_host(host)
        while name:
            place = self._places.get(name)
            if place is not None:
                return place
            name = name.partition(".")[2]
        return None

    def hosts(self) -> tuple[str, ...]:
        """Every host in its canonical form (lower case, ASCII), in the order of the file."""
        return tuple(self._places)

    def places(self) -> tuple[ExemptPlace, ...]:
        """Every place, in the order of the file, for a page that lists them."""
        return tuple(self._places.values())


class _Reader:
    """Turns the data of one file into places and collects what is wrong with it, each mistake with its line."""

    def __init__(self, file: Path, lines: Lines) -> None:
        self._file = file
        self._lines = lines
        self._mistakes: list[Mistake] = []

    def places(self, data: Any) -> list[ExemptPlace]:
        entries = self._entries(data)
        places = [self._place(entry, ("places", index)) for index, entry in enumerate(entries)]
        self._refuse_repeated(places)
        if self._mistakes:
            raise ConfigError(self._mistakes)
        return [place for place in places if place is not None]

    def _entries(self, data: Any) -> list[Any]:
        if not isinstance(data, dict):
            self._wrong((), "this is not a list of places", "places: with a list below it")
            return []
        self._refuse_unknown(data, ("places",), ())
        entries = data.get("places")
        if not isinstance(entries, list) or not entries:
            self._wrong(("places",), "no place is listed, so helplines could be blocked", "at least one place")
            return []
        return entries

    def _place(self, entry: Any, path: PathKeys) -> ExemptPlace | None:
        if not isinstance(entry, dict):
            self._wrong(path, "this is not a place", f"lines with {_all_of(KEYS)}")
            return None
        self._refuse_unknown(entry, KEYS, path)
        texts = {key: self._text(entry, key, path) for key in KEYS}
        if not all(texts.values()):
            return None
        problem = host_problem(texts["host"])
        if problem:
            self._wrong((*path, "host"), f"{texts['host']} {problem}")
            return None
        return ExemptPlace(canonical_host(texts["host"]), texts["name"], texts["why"])

    def _text(self, entry: dict[str, Any], key: str, path: PathKeys) -> str:
        """The text of a key; "" after a mistake."""
        value = entry.get(key)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if value is None or value == "":
            self._wrong((*path, key), f"{key} is missing", f"each place to have {_all_of(KEYS)}")
        else:
            self._wrong((*path, key), f"{key} is not text", "text; put it in quotes")
        return ""

    def _refuse_unknown(self, mapping: dict[str, Any], known: tuple[str, ...], path: PathKeys) -> None:
        for key in mapping:
            if key not in known:
                nearest = difflib.get_close_matches(key, known, n=1)
                self._wrong((*path, key), "there is no such key", _all_of(known), "".join(nearest))

    def _refuse_repeated(self, places: list[ExemptPlace | None]) -> None:
        first: dict[str, int] = {}
        for index, place in enumerate(places):
            if place is not None and first.setdefault(place.host, index) != index:
                line = self._lines.line(("places", first[place.host]))
                self._wrong(("places", index, "host"), f"{place.host} is listed twice (first on line {line})")

    def _wrong(self, path: PathKeys, message: str, expected: str = "", nearest: str = "") -> None:
        self._mistakes.append(Mistake(self._file, self._lines.line(path), path_text(path), message, expected, nearest))


def _all_of(keys: tuple[str, ...]) -> str:
    *most, last = keys
    return f"{', '.join(most)} and {last}" if most else last


def canonical_host(host: str) -> str:
    """Lower case, ASCII (IDNA, RFC 3490), without a dot at the end; "" if it cannot be the name of a host."""
    name = host.strip().removesuffix(".")
    if len(name) > _HOST_LENGTH:
        return ""
    if not name.isascii():
        try:
            name = name.encode("idna").decode("ascii")
        except UnicodeError:
            return ""
    return name.lower()


def host_problem(host: str) -> str:
    """What is wrong with a host as a place, in words that follow the host itself; "" if nothing is."""
    if "/" in host or ":" in host:
        return "is the address of a page; write the host alone, such as childline.org.uk"
    if "*" in host:
        return "has a star; leave it out, everything below a host belongs to the place anyway"
    name = canonical_host(host)
    labels = name.split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        return "is not the name of a host"
    if is_address(name):
        return "is an IP address; write the name of the host"
    if len(labels) < 2 or name in SHARED_ENDINGS:
        return "is an ending that many places share; write the whole host"
    return ""
