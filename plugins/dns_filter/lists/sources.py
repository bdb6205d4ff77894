"""Where lists come from: the settings file, the page, and the folder of locked lists of a provider."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from appliance.api import ApplianceError, ConfigError, Section, read_text, section_of, setting

from .copies import Kept, ListUnreadable
from .formats import Format
from .list_settings import CategoryKey, ListSettings, Sha256
from .shipped import OTHER

LOCKED = "locked-"
_DESCRIPTION = ".yaml"

By = Literal["settings", "page", "provider", "kept"]


@dataclass(frozen=True, slots=True)
class Spec:
    """A source of lists. ``path`` or ``url``; ``row`` is its row if it was added on the page.

    ``by`` is ``kept`` for a locked list whose line or file is gone: its last good copy stays. ``trouble``: why it
    cannot be used, found before it was opened.
    """

    name: str
    by: By
    title: str = ""
    path: Path | None = None
    url: str = ""
    format: Format = "auto"
    category: str = OTHER
    locked: bool = False
    sha256: str = ""
    every: timedelta = timedelta(hours=24)
    provider: str = ""
    licence: str = ""
    keeper: str = ""
    row: str = ""
    trouble: ApplianceError | None = None

    @property
    def where(self) -> str:
        """The path or address, for pages."""
        return self.url or str(self.path or "")


class HandedOver(Section):
    """What a provider says of a locked list, in a file beside it: ``NAME.yaml``."""

    title: str = setting(..., "What the list is called on pages.", min_length=1, max_length=80)
    provider: str = setting(..., "Who handed it over.", min_length=1, max_length=120)
    category: CategoryKey = setting(OTHER, "The category of websites that it is about.")
    format: Format = setting("auto", "How it is written.")
    sha256: Sha256 = setting("", "SHA-256 that the list must have.")


def of_settings(lists: Iterable[ListSettings], resolve: Callable[[Path], Path]) -> Iterator[Spec]:
    """The sources of the settings file."""
    for each in lists:
        place = each.file or each.folder
        yield Spec(
            name=each.name,
            by="settings",
            path=None if place is None else resolve(place),
            url=each.url or "",
            format="ut1" if each.folder is not None else each.format,
            category=each.category,
            locked=each.locked,
            sha256=each.sha256,
            every=timedelta(hours=each.every),
        )


def handed_over(folder: Path) -> Iterator[Spec]:
    """The locked lists that lie in the provider's folder; none if there is no such folder."""
    if not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix == _DESCRIPTION or not path.is_file():
            continue
        stem = path.name.partition(".")[0].lower()
        name = LOCKED + "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in stem)[:30]
        description = path.with_name(path.name.partition(".")[0] + _DESCRIPTION)
        try:
            about = _about(description)
            _only_root(folder, path, description)
        except ApplianceError as error:
            yield Spec(name, "provider", path=path, locked=True, trouble=error)
            continue
        yield Spec(
            name, "provider", about.title, path, format=about.format, category=about.category, locked=True,
            sha256=about.sha256, provider=about.provider,
        )  # fmt: skip


def gone(name: str, kept: Kept) -> Spec:
    """A locked list whose line or file is gone."""
    return Spec(
        name, "kept", kept.title, category=kept.category or OTHER, locked=True, provider=kept.provider,
        trouble=ListUnreadable(
            "The line or file that brought this locked list is gone.",
            "Put it back. A locked list ends only when whoever handed it over replaces it.",
        ),
    )  # fmt: skip


def _about(description: Path) -> HandedOver:
    try:
        return section_of(read_text(description), description, HandedOver)[0]
    except ConfigError as error:
        raise ListUnreadable(
            f"What the provider says of the list cannot be read: {error}",
            f"Put a file {description.name} beside the list, with its title and the provider’s name.",
        ) from error


def _only_root(*paths: Path) -> None:
    """Refuse files that somebody other than root, or whoever owns the installed program, could have changed."""
    trusted = {0, Path(__file__).stat().st_uid}
    for path in paths:
        try:
            found = path.stat()
        except OSError as error:
            raise ListUnreadable(f"{path} cannot be read: {error.strerror}.", "Look at who may read it.") from error
        if found.st_uid not in trusted or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ListUnreadable(
                f"{path} could be changed by others than root, so it is not taken for a locked list.",
                f"Use: chown root {path}; chmod go-w {path}",
            )


def look(spec: Spec) -> str:
    """How the file or folder of a source looks now: another look means that it is read again.

    Raises ``ListUnreadable``.
    """
    assert spec.path is not None
    try:
        if not spec.path.is_dir():
            return _fingerprint(spec, [spec.path])
        return _fingerprint(spec, [path for path in sorted(spec.path.glob("*/domains")) if path.is_file()])
    except OSError as error:
        raise ListUnreadable(
            f"The list {spec.path} cannot be read: {error.strerror}.",
            "Put it back, or take the list out of the settings.",
        ) from error


def _fingerprint(spec: Spec, paths: Iterable[Path]) -> str:
    digest = hashlib.sha256(f"{spec.path} {spec.format} {spec.category} {spec.sha256}".encode(errors="surrogateescape"))
    for path in paths:
        found = path.stat()
        digest.update(os.fsencode(path) + f" {found.st_size} {found.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def checked(spec: Spec) -> None:
    """Raise ``ListUnreadable`` if the file does not have the checksum that it must have. Reads it: call in a thread."""
    if not spec.sha256 or spec.path is None:
        return
    try:
        with spec.path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ListUnreadable(f"The list {spec.path} cannot be read: {error.strerror}.", "Put it back.") from error
    if found != spec.sha256:
        raise wrong_checksum(found, spec.sha256)


def wrong_checksum(found: str, expected: str) -> ListUnreadable:
    """The words for a list that is not the one that was meant."""
    return ListUnreadable(
        f"The list has the SHA-256 {found[:12]}…, not {expected[:12]}… as it must.",
        "Ask whoever keeps the list whether it is right, then change the checksum.",
    )
