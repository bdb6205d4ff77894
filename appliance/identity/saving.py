"""Saving the identity file of this box: what goes into it, the code that is shown once, and whether it is still good.

Saving takes three steps, each on the record: the code is shown and noted, the file is downloaded, and somebody says who
keeps which. The code is in memory alone, for one browser, for a quarter of an hour; the file is written nowhere here.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from appliance import __version__
from appliance.audit import Audit
from appliance.clock import new_id, parse, stamp
from appliance.codes import plain_code
from appliance.config import Config, ConfigError, PageValue, Place, Settings, read_source
from appliance.db import Database, Row
from appliance.errors import ApplianceError, Refused
from appliance.hookspecs import Check, State
from appliance.identity.file import KEYS, Identity, NamedFile, PageSetting, seal_identity
from appliance.keys_on_disk import (
    FACTOR_KEY,
    FACTOR_KEY_BYTES,
    INTAKE_KEY,
    INTAKE_KEY_BYTES,
    ExtensionKey,
    TrustError,
    load_or_make_secret,
    read_key,
)
from appliance.page_state import read_page_state
from appliance.sealing import new_recovery_key
from appliance.trust import KeptAuthority
from appliance.yamlfile import read_text

CODE_SECONDS: Final = 15 * 60.0
"""How long a new code is kept in memory."""
ASKED_BACK: Final = 2
"""How many groups of the code are typed back, to show that it was noted."""
LARGEST_FILE: Final = 2 * 2**20
"""In bytes. A larger file that the settings name is left out: big lists come from somewhere else anyway."""
SHIPPED: Final = Path(sys.prefix) / "share" / "appliance" / "etc"
"""Files that came with the program; a new box has them already, perhaps in a newer version."""
CHECK: Final = "Identity file"
PAGE_TODO: Final = "Open Status, then Identity file, and save a new one."


# What goes into it


def collect(place: Place, settings: Settings, page_values: Sequence[PageValue], shipped: Path = SHIPPED) -> Identity:
    """What an identity file of this box would hold now. Reads the disk, makes nothing.

    Settings that were set on a page for a time only are no part of it. Raises ``ConfigError`` if the settings file
    cannot be read, ``TrustError`` if a key was lost or is damaged.
    """
    trust = settings.storage.state_dir / "trust"
    lasting = _lasting(page_values)
    files, left_out = _files(place, settings, lasting, shipped)
    authority = KeptAuthority.read(trust)
    found = {name: read_key(trust, name) for name in KEYS}
    return Identity(
        made_at=stamp(),
        program=__version__,
        school=settings.school.name,
        authority_certificate=authority.certificate_pem,
        authority_key=authority.key_pem,
        keys={name: content for name, content in found.items() if content is not None},
        settings=read_text(place.config_file),
        files=tuple(files),
        left_out=tuple(left_out),
        page_settings=tuple(
            PageSetting(path=one.path, value=one.value, author=one.author, reason=one.reason, set_at=one.set_at)
            for one in lasting
        ),
    )


def _lasting(page_values: Sequence[PageValue]) -> list[PageValue]:
    return [value for value in page_values if value.until is None]


def _files(
    place: Place, settings: Settings, page_values: Sequence[PageValue], shipped: Path
) -> tuple[list[NamedFile], list[str]]:
    """The files that the settings name, and in words those that are left out."""
    written = [{value.path.rpartition(".")[2]: value.value} for value in page_values]
    named = dict([*_named(read_source(place).data), *_named(written)])
    named[str(settings.exempt.help_seeking_file)] = True
    files: list[NamedFile] = []
    left_out: list[str] = []
    for name, watched in sorted(named.items()):
        found = _file(place, name, watched, shipped)
        if isinstance(found, str):
            left_out.append(found)
        elif found is not None:
            files.append(found)
    return files, left_out


def _named(data: Any) -> Iterator[tuple[str, bool]]:
    """The files named anywhere in the settings: ``file`` of a list, and ``..._file``, whose changes count."""
    if isinstance(data, Mapping):
        for key, value in data.items():
            if isinstance(value, str) and (key == "file" or key.endswith("_file")):
                yield value, key != "file"
            else:
                yield from _named(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _named(value)


def _file(place: Place, name: str, watched: bool, shipped: Path) -> NamedFile | str | None:
    """The file, or why it is left out, or ``None`` if a new box needs nothing here."""
    path = Path(os.path.normpath(place.resolve(Path(name))))
    folder = place.config_file.parent
    if not path.is_relative_to(folder):
        return f"{name} (it lies outside the folder of the settings file)"
    try:
        if not path.exists() or _is_same(path, shipped / path.relative_to(folder)):
            return None
        if path.stat().st_size > LARGEST_FILE:
            return f"{name} (it is larger than {LARGEST_FILE // 2**20} MiB)"
        mode = path.stat().st_mode & 0o777
        return NamedFile(
            path=path.relative_to(folder).as_posix(), content=path.read_bytes(), mode=mode, watched=watched
        )
    except OSError as error:
        return f"{name} (it cannot be read: {(error.strerror or str(error)).lower()})"


def _is_same(path: Path, shipped: Path) -> bool:
    """Whether this is a copy of what came with the program, unchanged."""
    return (
        shipped.is_file()
        and not shipped.samefile(path)
        and shipped.stat().st_size == path.stat().st_size
        and shipped.read_bytes() == path.read_bytes()
    )


# The code


@dataclass(frozen=True, slots=True)
class NewCode:
    """A code that one browser is being shown. ``asked``: which of its groups are typed back, counted from 0."""

    text: str = field(repr=False)
    made_at: str
    file_id: str
    asked: tuple[int, ...]
    noted: bool = False

    @property
    def groups(self) -> tuple[str, ...]:
        """The code as it is printed, group by group."""
        return tuple(self.text.split())

    def is_group(self, number: int, typed: str) -> bool:
        """Whether this is what group ``number`` says, however it was typed."""
        return plain_code(typed) == plain_code(self.groups[number])


class Codes:
    """The new codes of all sessions, in memory, forgotten after ``seconds``."""

    def __init__(self, seconds: float = CODE_SECONDS) -> None:
        self._seconds = seconds
        self._codes: dict[str, NewCode] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def make(self, session: str) -> NewCode:
        """A new code for a session, in place of the one it had."""
        text = new_recovery_key()
        drawn = secrets.SystemRandom().sample(range(len(text.split())), ASKED_BACK)
        self.drop(session)
        self._codes[session] = NewCode(text, stamp(), new_id(), tuple(sorted(drawn)))
        self._timers[session] = asyncio.get_running_loop().call_later(self._seconds, self.drop, session)
        return self._codes[session]

    def get(self, session: str) -> NewCode:
        """The code of a session. Raises ``Refused`` if it has none (any more)."""
        found = self._codes.get(session)
        if found is None:
            raise Refused(
                "The new code is not kept any more: it was shown for a quarter of an hour.", "Begin again with step 1."
            )
        return found

    def note(self, session: str) -> NewCode:
        """The code was noted; it goes on waiting for the rest of its time."""
        self._codes[session] = replace(self.get(session), noted=True)
        return self._codes[session]

    def drop(self, session: str) -> None:
        """Forget the code of a session; nothing happens if it has none."""
        self._codes.pop(session, None)
        timer = self._timers.pop(session, None)
        if timer is not None:
            timer.cancel()

    def drop_all(self) -> None:
        """Forget every code."""
        for session in list(self._codes):
            self.drop(session)


# Saving it


@dataclass(frozen=True, slots=True)
class Saved:
    """An identity file that was made. It counts as saved once somebody said who keeps what (``kept_at``)."""

    id: str
    made_at: str
    made_by: str
    digests: Mapping[str, str]
    kept_at: str | None
    kept_by: str | None
    file_with: str
    code_with: str


@dataclass(frozen=True, slots=True)
class Standing:
    """How this box is prepared for its loss.

    ``saved``: the newest file that counts; ``waiting``: a newer one of which nobody has said where it is; ``changed``:
    what is different now, in words; ``fault``: why that cannot be told.
    """

    saved: Saved | None
    waiting: Saved | None
    changed: tuple[str, ...] = ()
    fault: ApplianceError | None = None

    @property
    def good(self) -> bool:
        """Whether a new box would be as this one."""
        return self.saved is not None and not self.changed and self.fault is None


class IdentityFiles:
    """Makes identity files and remembers what they held. ``records`` must be open before any method is called."""

    def __init__(self, config: Config, records: Database, audit: Audit) -> None:
        self._config = config
        self._records = records
        self._audit = audit
        self._making = asyncio.Lock()
        self.codes = Codes()

    async def stop(self) -> None:
        """Forget every code."""
        self.codes.drop_all()

    # Asking

    async def now(self) -> Identity:
        """What a file would hold that was made now. Raises ``TrustError`` or ``ConfigError``."""
        return await asyncio.to_thread(self._collect)

    def _collect(self) -> Identity:
        return collect(self._config.place, self._config.settings, self._page_values())

    async def left_out(self) -> list[str]:
        """In words, the files that the settings name and that are no part of it. Raises ``ConfigError``."""
        return (await asyncio.to_thread(self._named_files))[1]

    def _named_files(self) -> tuple[list[NamedFile], list[str]]:
        config = self._config
        return _files(config.place, config.settings, _lasting(self._page_values()), SHIPPED)

    def _page_values(self) -> Sequence[PageValue]:
        return read_page_state(self._records.path).page_values

    async def standing(self) -> Standing:
        """Whether the file was saved, and what has changed since."""
        rows = await self._records.fetch("SELECT * FROM identity_files ORDER BY made_at DESC, id DESC")
        files = [_saved(row) for row in rows]
        saved = next((file for file in files if file.kept_at is not None), None)
        waiting = files[0] if files and files[0].kept_at is None else None
        if saved is None:
            return Standing(saved, waiting)
        try:
            digests = (await self.now()).digests()
        except (ConfigError, TrustError) as error:
            return Standing(saved, waiting, fault=error)
        return Standing(saved, waiting, _differences(saved.digests, digests))

    async def checks(self) -> list[Check]:
        """One line for the status page."""
        return [_check(await self.standing(), self._day)]

    def _day(self, moment: str) -> str:
        local: datetime = parse(moment).astimezone(ZoneInfo(self._config.settings.school.timezone))
        return f"{local.day} {local:%B %Y}"

    # The three steps. ``actor`` is who does it, for the record; ``session`` is the browser.

    async def begin(self, actor: str, session: str) -> None:
        """Step 1: a new code, to be shown."""
        code = self.codes.make(session)
        async with self._records.transaction() as tx:
            await self._audit.record(tx, actor, "was shown a new code for an identity file", _subject(code.file_id))

    async def note(self, actor: str, session: str) -> None:
        """Step 1 is done: the code was noted, and parts of it typed back."""
        code = self.codes.note(session)
        async with self._records.transaction() as tx:
            await self._audit.record(tx, actor, "noted the code of an identity file", _subject(code.file_id))

    async def make(self, actor: str, session: str) -> tuple[Identity, bytes]:
        """Step 2: the file. Made anew each time while the code is kept, so that a download that failed can be repeated.

        Raises ``Refused`` before the code was noted or once it is forgotten.
        """
        code = self.codes.get(session)
        if not code.noted:
            raise Refused("The code was not noted yet.", "Go back to step 1: nothing else opens the file.")
        async with self._making:  # the keys are made here if nothing has needed them so far
            identity = await asyncio.to_thread(self._collect_with_keys)
        content = await asyncio.to_thread(seal_identity, identity, code.text)
        async with self._records.transaction() as tx:
            await tx.execute(
                "INSERT INTO identity_files (id, made_at, made_by, digests) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (id) DO UPDATE SET made_at = excluded.made_at, made_by = excluded.made_by,"
                " digests = excluded.digests, kept_at = NULL, kept_by = NULL, file_with = '', code_with = ''",
                (code.file_id, identity.made_at, actor, json.dumps(identity.digests())),
            )
            await self._audit.record(tx, actor, "downloaded the identity file", _subject(code.file_id))
        return identity, content

    def _collect_with_keys(self) -> Identity:
        trust = self._config.settings.storage.state_dir / "trust"
        ExtensionKey.open(trust)
        load_or_make_secret(trust, FACTOR_KEY, FACTOR_KEY_BYTES)
        load_or_make_secret(trust, INTAKE_KEY, INTAKE_KEY_BYTES)
        return self._collect()

    async def keep(self, actor: str, session: str, file_id: str, file_with: str, code_with: str) -> None:
        """Step 3: who keeps the file and who keeps its code. The code is forgotten here. Raises ``Refused``."""
        async with self._records.transaction() as tx:
            changed = await tx.execute(
                "UPDATE identity_files SET kept_at = ?, kept_by = ?, file_with = ?, code_with = ?"
                " WHERE id = ? AND kept_at IS NULL",
                (stamp(), actor, file_with, code_with, file_id),
            )
            if not changed:
                raise Refused("This was confirmed already, or there is no such file.", "Load the page again.")
            await self._audit.record(tx, actor, "confirmed who keeps the identity file", _subject(file_id))
        self.codes.drop(session)


def _subject(file_id: str) -> str:
    return f"identity file {file_id}"


def _saved(row: Row) -> Saved:
    return Saved(
        id=row["id"],
        made_at=row["made_at"],
        made_by=row["made_by"],
        digests=json.loads(row["digests"]),
        kept_at=row["kept_at"],
        kept_by=row["kept_by"],
        file_with=row["file_with"],
        code_with=row["code_with"],
    )


def _differences(before: Mapping[str, str], after: Mapping[str, str]) -> tuple[str, ...]:
    """The parts that are new, different or gone."""
    return tuple(part for part in {**after, **before} if before.get(part) != after.get(part))


def _check(standing: Standing, day: Callable[[str], str]) -> Check:
    if standing.saved is None and standing.waiting is None:
        words = "It was never saved. If this box is lost, every device has to be set up again."
        return Check(CHECK, State.WARNING, words, PAGE_TODO)
    if standing.saved is None:
        words = "It was downloaded, but nobody has said that it is kept away from this box."
        return Check(CHECK, State.WARNING, words, "Open Status, then Identity file, and say who keeps it.")
    if isinstance(standing.fault, TrustError):
        return Check(CHECK, State.BROKEN, standing.fault.what, standing.fault.todo)
    if standing.fault is not None:
        words = "Whether it is still good cannot be told: the settings file has mistakes."
        return Check(CHECK, State.WARNING, words, "Run: appliance check-config")
    if standing.changed:
        words = f"It was saved on {day(standing.saved.made_at)}. Changed since: {'; '.join(standing.changed)}."
        return Check(CHECK, State.WARNING, words, PAGE_TODO)
    return Check(CHECK, State.GOOD, f"Saved on {day(standing.saved.made_at)}; nothing in it has changed since.")
