"""Bringing up a box that has never started with the identity of another one: its authority, its keys, its settings.

Everything is prepared beside its place and put there at the end, so that a box has its new identity or none. Settings
files are written where the place expects them, and never over a file that says something else. Each file belongs to
whoever owns the folder that it is put into, so that root can do this for the service.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Final

from appliance.audit import Audit
from appliance.clock import new_id, now, stamp
from appliance.config import ConfigError, PageValue, Place, Settings, check, read_source, source_of
from appliance.db import Database
from appliance.errors import Refused
from appliance.identity.file import LARGEST, Identity, SealedIdentity
from appliance.keys_on_disk import in_words, keep_key, sync_folder
from appliance.loading import resource
from appliance.migrate import CORE, migrate

WHO: Final = "the command line"
LARGEST_CODE_FILE: Final = 4096
_WORKSHOP = ".identity-"
_SETTINGS_MODE = 0o640
_FOLDER_MODE = 0o750


def read_identity_file(path: Path) -> SealedIdentity:
    """The identity file at ``path``, not opened yet. Raises ``Refused``."""
    content = _read(path, LARGEST + 1)
    if len(content) > LARGEST:
        raise Refused(f"{path} is too large for an identity file.", "Look for the one that was downloaded.")
    return SealedIdentity.read(content)


def read_code_file(path: Path) -> str:
    """The code that somebody wrote into a file. Raises ``Refused``."""
    return _read(path, LARGEST_CODE_FILE).decode("utf-8", "replace").strip()


def _read(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(most)
    except OSError as error:
        raise Refused(f"{path} cannot be read: {(error.strerror or str(error)).lower()}.") from error


def describe(identity: Identity) -> Iterator[str]:
    """What is in the file, line by line, without its secrets."""
    authority = identity.authority
    yield f"Identity file of {identity.school or 'a school without a name'}"
    yield f"Made:              {identity.made_at} by version {identity.program}"
    yield f"Authority:         SHA-256 {authority.fingerprint}"
    yield f"                   for {' and '.join(authority.domains)}, until {authority.not_after:%Y-%m-%d}"
    yield f"Browser extension: {identity.extension_id}"
    yield f"Keys:              {', '.join(sorted(identity.keys))}"
    for file in identity.files:
        yield f"File:              {file.path}, {len(file.content)} bytes"
    for name in identity.left_out:
        yield f"Not in it:         {name}"
    yield ""
    yield "# The settings file"
    yield from identity.settings.splitlines()
    yield ""
    yield "# Set on pages"
    yield from identity.page_settings_yaml().splitlines()


async def restore(identity: Identity, place: Place) -> list[str]:
    """Give the box at ``place`` this identity; returns what was done, in words.

    Raises ``Refused`` if the box has been started before, ``TrustError`` if the authority could not work here,
    ``ConfigError`` if the settings file that lies here has mistakes. Nothing was changed then.
    """
    settings = _settings_here(identity, place)
    state_dir = settings.storage.state_dir
    _refuse_if_started(state_dir)
    identity.authority.check(settings.web.domain, now())
    with in_words(state_dir):
        _make_folder(state_dir)
        for left_behind in state_dir.glob(f"{_WORKSHOP}*"):
            shutil.rmtree(left_behind)
        workshop = Path(tempfile.mkdtemp(prefix=_WORKSHOP, dir=state_dir))  # 0700
        try:
            _write_keys(identity, workshop / "trust")
            await _make_store(identity, workshop / "records.db")
            _give(workshop, state_dir)
            words = list(_put_settings(identity, place))
            (workshop / "records.db").rename(state_dir / "records.db")
            (workshop / "trust").rename(state_dir / "trust")
            sync_folder(state_dir)
        finally:
            shutil.rmtree(workshop)
    return [f"The authority, {len(identity.keys)} keys and what was set on pages are in {state_dir}.", *words]


def _settings_here(identity: Identity, place: Place) -> Settings:
    """What will apply at the next start: the file that lies here, or the one that is put there."""
    if not place.config_file.exists():
        return _settings_inside(identity, place)
    here = check(read_source(place), {}, _page_values(identity)).settings
    try:
        there = _settings_inside(identity, place).storage.state_dir
    except Refused:
        return here  # those of the identity file only lie beside it, for reading
    if there != here.storage.state_dir:
        # Whoever uses the other file later would start a box with a new authority.
        raise Refused(
            f"{place.config_file} keeps everything in {here.storage.state_dir}, the identity file in {there}.",
            f"Set storage.state_dir to {there} in the file here, or take that file away; then try again.",
        )
    return here


def _settings_inside(identity: Identity, place: Place) -> Settings:
    """The settings of the identity file, if they were those of this place."""
    try:
        return check(source_of(identity.settings, place), {}, _page_values(identity)).settings
    except ConfigError as error:
        raise Refused(
            f"The settings in the identity file are not right for this version: {error.mistakes[0]}",
            f"Write {place.config_file} yourself first; those of the identity file are then put beside it.",
        ) from None


def _page_values(identity: Identity) -> Sequence[PageValue]:
    return [PageValue(one.path, one.value, one.author, one.reason, one.set_at) for one in identity.page_settings]


def _refuse_if_started(state_dir: Path) -> None:
    trust = state_dir / "trust"
    found = [path for path in (state_dir / "records.db", state_dir / "activity.db") if path.exists()]
    found += [trust] if trust.is_dir() and any(trust.iterdir()) else []
    if found:
        raise Refused(
            f"This box has been started before: there is {' and '.join(map(str, found))}.",
            "An identity is for a new box. If this one may lose what it keeps, stop it and move all that away first.",
        )


# The parts


def _write_keys(identity: Identity, trust: Path) -> None:
    identity.authority.put_back(trust)
    for name, content in identity.keys.items():
        keep_key(trust, name, content)


async def _make_store(identity: Identity, path: Path) -> None:
    """A store that holds what was set on pages, and that the identity file is saved already."""
    records = Database(path)
    await records.open()
    try:
        await migrate(records, CORE, resource("migrations"))
        async with records.transaction() as tx:
            await tx.executemany(
                "INSERT INTO page_values (id, path, value, author, reason, set_at) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (new_id(), one.path, json.dumps(one.value), one.author, one.reason, one.set_at)
                    for one in identity.page_settings
                ],
            )
            await tx.execute(
                "INSERT INTO identity_files (id, made_at, made_by, digests, kept_at, kept_by)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (new_id(), identity.made_at, "the box before", json.dumps(identity.digests()), stamp(), WHO),
            )
            detail = {"made": identity.made_at, "version": identity.program}
            await Audit(records).record(tx, WHO, "restored an identity file", "this box", detail)
    finally:
        await records.close()
    path.with_name(f"{path.name}.lock").unlink()


def _put_settings(identity: Identity, place: Place) -> Iterator[str]:
    folder = place.config_file.parent
    yield _put(place.config_file, identity.settings.encode(), _SETTINGS_MODE)
    for file in identity.files:
        yield _put(folder / file.path, file.content, file.mode)
    for name in identity.left_out:
        yield f"Not in the identity file: {name}. Copy it from the box before, or do without."


def _put(path: Path, content: bytes, mode: int) -> str:
    """Write a file, or leave it alone if it is there already; what differs is written beside it."""
    if not path.exists():
        _write_new(path, content, mode)
        return f"{path} is in place."
    if path.read_bytes() == content:
        return f"{path} is here already, the same."
    beside = next(name for name in _names_beside(path) if not name.exists())
    _write_new(beside, content, mode)
    return f"{path} says something else here, and stays. What the identity file has is in {beside}: compare them."


def _names_beside(path: Path) -> Iterator[Path]:
    yield path.with_name(f"{path.name}.restored")
    yield from (path.with_name(f"{path.name}.restored-{number}") for number in count(2))


def _write_new(path: Path, content: bytes, mode: int) -> None:
    _make_folder(path.parent)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _give(path, path.parent)


def _make_folder(folder: Path) -> None:
    if not folder.exists():
        _make_folder(folder.parent)
        folder.mkdir(mode=_FOLDER_MODE)
        _give(folder, folder.parent)


def _give(path: Path, folder: Path) -> None:
    """Let ``path`` and all below it belong to whoever owns ``folder``, as far as this account may do that."""
    if os.geteuid() != 0:
        return
    owner = folder.stat()
    for each in (path, *path.rglob("*")):
        os.chown(each, owner.st_uid, owner.st_gid)
