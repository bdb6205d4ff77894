"""The school's own policies, from files. The supplied ones are read by ``shipped``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from appliance.api import ConfigError, Mistake, read_text, section_of

from .files import PolicyFile
from .model import Policy
from .shipped import SUPPLIED, supplied_policies

ENDINGS = (".yaml", ".yml")
FILES_REMEMBERED = 64


def read_policies(own: Path | None) -> tuple[Policy, ...]:
    """The supplied policies, then the school's ``own``: a folder, which need not be there.

    Raises ``ConfigError`` with every mistake of every file.
    """
    return (*supplied_policies(), *read_own_policies(own))


def read_own_policies(folder: Path | None) -> tuple[Policy, ...]:
    """The school's own policies: ``folder`` need not be there. Raises ``ConfigError`` with every mistake."""
    found: list[tuple[Path, Policy, int]] = []
    mistakes: list[Mistake] = []
    for file in _files(folder, mistakes):
        try:
            policy, line = _read(file, read_text(file))
        except ConfigError as error:
            mistakes += error.mistakes
        else:
            found.append((file, policy, line))
    mistakes += _names_used_twice(found)
    if mistakes:
        raise ConfigError(mistakes)
    return tuple(policy for _, policy, _ in found)


def _files(folder: Path | None, mistakes: list[Mistake]) -> list[Path]:
    if folder is None or not folder.exists():
        return []
    try:
        return sorted(path for path in folder.iterdir() if path.suffix in ENDINGS)
    except OSError as error:
        mistakes.append(Mistake(folder, None, "", f"this folder cannot be read: {error.strerror}", "a folder"))
        return []


@lru_cache(FILES_REMEMBERED)
def _read(file: Path, text: str) -> tuple[Policy, int]:
    """A policy, and the line of its name. Settings are looked at several times at a start, files are parsed once."""
    found, lines = section_of(text, file, PolicyFile)
    return found.policy(), lines.line(("name",))


def _names_used_twice(found: Iterable[tuple[Path, Policy, int]]) -> Iterator[Mistake]:
    first = {policy.name: SUPPLIED / f"{policy.name}.yaml" for policy in supplied_policies()}
    for file, policy, line in found:
        if first.setdefault(policy.name, file) != file:
            message = f"{first[policy.name]} has the name {policy.name} already"
            yield Mistake(file, line, "name", message, "a name of its own")
