"""Changing a running appliance: settings set on pages, reading the file again, letting a plugin in again.

A change is checked whole, then applied whole: the running generation of services is stopped and the next one started in
the same process, on the same listening sockets. If the next one does not start as it should, the old one comes back.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from appliance.audit import Audit
from appliance.bus import Bus
from appliance.clock import new_id, now, stamp
from appliance.config import Config, ConfigError, Mistake, PageValue
from appliance.db import Database, Row, Transaction
from appliance.errors import ApplianceError, Refused
from appliance.events import SettingChanged
from appliance.page_state import IN_FORCE

if TYPE_CHECKING:
    from appliance.loading import Loaded


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a change: whether it is applied (or being applied), in words, and the mistakes that stopped it."""

    applied: bool
    words: str
    mistakes: tuple[Mistake, ...] = ()


class Reloader(Protocol):
    """The main process, as far as changes need it."""

    def changing(self) -> AbstractAsyncContextManager[None]:
        """One change at a time; raises ``Refused`` while another is being applied."""

    async def prepare(
        self, page_values: Sequence[PageValue] | None = None, let_in: str = "", changed: str = ""
    ) -> Loaded:
        """Check everything without touching what runs. Raises ``ConfigError`` or ``Refused``.

        ``let_in``: a plugin that is off and shall be tried again. ``changed``: one whose code is read anew.
        """

    def swap_soon(self, loaded: Loaded, roll_back: Callable[[Database], Awaitable[None]] | None = None) -> None:
        """Replace what runs, once the answer that is being made has been sent."""

    def last_outcome(self) -> Outcome | None:
        """What became of the latest swap."""


SECOND_CHANCE = timedelta(minutes=3)
"""How long a plugin that held everything up is off before it is let in again."""
BY_ITSELF = "the appliance"
LET_IN = "let plugin in again"

log = logging.getLogger(__name__)


class Control:
    """What the pages and the command line ask of a running appliance. ``actor`` is who asks, for the record."""

    def __init__(self, config: Config, records: Database, audit: Audit, bus: Bus, reloader: Reloader | None) -> None:
        self._config = config
        self._records = records
        self._audit = audit
        self._bus = bus
        self._main_process = reloader

    @property
    def _reloader(self) -> Reloader:
        assert self._main_process is not None, "only the main process changes what runs"
        return self._main_process

    @property
    def last_outcome(self) -> Outcome | None:
        """What became of the latest change."""
        return self._reloader.last_outcome()

    async def reload(self, actor: str, changed: str = "") -> Outcome:
        """Read the settings file again and apply it, wholly or not at all; of ``changed``, a plugin, the code too."""
        try:
            async with self._reloader.changing():
                loaded = await self._reloader.prepare(changed=changed)
                async with self._records.transaction() as tx:
                    await self._audit.record(tx, actor, "read settings again", str(self._config.place.config_file))
                self._reloader.swap_soon(loaded)
        except ConfigError as error:
            return Outcome(False, "Nothing was changed: the settings file has mistakes.", error.mistakes)
        except ApplianceError as error:
            return Outcome(False, f"Nothing was changed. {error}")
        return Outcome(True, "The settings file was read and is being applied.")

    # Settings on pages

    async def page_rows(self, limit: int = 100) -> list[Row]:
        """What was set on pages, newest first: id, path, value (JSON), author, reason, set_at, until, undone_at, ..."""
        return await self._records.fetch("SELECT * FROM page_values ORDER BY set_at DESC, id DESC LIMIT ?", (limit,))

    async def set_value(self, actor: str, path: str, text: str, reason: str, until: datetime | None) -> Outcome:
        """Set a setting that the file leaves out. Raises ``ConfigError`` (the value) or ``Refused`` (the rest)."""
        value = self._config.parse_page_text(path, text)
        if not reason.strip():
            raise Refused("Say why, so that the next person understands.")
        if until is not None and until <= now():
            raise Refused("The end lies in the past.", "Choose a later time or leave it empty.")
        ends = stamp(until) if until else None
        row = PageValue(path, value, actor, reason.strip(), stamp(), ends)
        async with self._reloader.changing():
            await self._set(row)
        return Outcome(True, f"{path} was changed and is being applied.")

    async def _set(self, row: PageValue) -> None:
        path, actor = row.path, row.author
        loaded = await self._reloader.prepare([*await self._in_force(without=path), row])
        if loaded.config.origin(path).kind != "page":
            raise Refused(f"{path} cannot be set here.", "; ".join(loaded.config.notes))
        row_id = new_id()
        async with self._records.transaction() as tx:
            await tx.execute(
                "INSERT INTO page_values (id, path, value, author, reason, set_at, until) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (row_id, path, json.dumps(row.value), actor, row.reason, row.set_at, row.until),
            )
            detail = {"value": row.value, "reason": row.reason, "until": row.until}
            await self._audit.record(tx, actor, "changed setting", path, detail)
            await self._bus.publish(tx, SettingChanged(path=path, author=actor))
        self._reloader.swap_soon(loaded, lambda records: _undo(records, row_id, path))

    async def undo_value(self, actor: str, row_id: str) -> Outcome:
        """Take back a change. What was set before it, or the default, applies again."""
        row = await self._records.fetch_one("SELECT * FROM page_values WHERE id = ? AND undone_at IS NULL", (row_id,))
        if row is None:
            raise Refused("This change was undone already.", "Load the page again.")
        async with self._reloader.changing():
            loaded = await self._reloader.prepare(await self._in_force(without_id=row_id))
            async with self._records.transaction() as tx:
                await tx.execute(_UNDO, (stamp(), actor, row_id))
                await self._audit.record(tx, actor, "undid setting", row["path"], {"id": row_id})
                await self._bus.publish(tx, SettingChanged(path=row["path"], author=actor))
            self._reloader.swap_soon(loaded, lambda records: _redo(records, row_id, row["path"]))
        return Outcome(True, f"The change of {row['path']} was undone.")

    async def end_what_is_over(self) -> None:
        """Apply the settings again when a value that was set until now has come to its end (a job, every minute)."""
        for row in self._config.rows():
            if row.origin.kind == "page" and row.origin.until and row.origin.until <= stamp():
                async with self._reloader.changing():
                    loaded = await self._reloader.prepare()
                    async with self._records.transaction() as tx:
                        await self._audit.record(tx, BY_ITSELF, "setting ended", row.path)
                        await self._bus.publish(tx, SettingChanged(path=row.path, author=BY_ITSELF))
                    self._reloader.swap_soon(loaded)
                return

    async def _in_force(self, without: str = "", without_id: str = "") -> list[PageValue]:
        rows = await self._records.fetch(
            f"SELECT * FROM page_values WHERE {IN_FORCE} AND path <> ? AND id <> ? ORDER BY set_at, id",  # noqa: S608
            (stamp(), without, without_id),
        )
        found = {
            row["path"]: PageValue(
                row["path"], json.loads(row["value"]), row["author"], row["reason"], row["set_at"], row["until"]
            )
            for row in rows
        }
        return list(found.values())

    # Plugins and events

    async def plugin_reset(self, actor: str, name: str) -> Outcome:
        """Let a plugin that was switched off in again."""
        if name not in self._config.settings.plugins:
            raise Refused(f"The settings file names no plugin {name!r}.")
        async with self._reloader.changing():
            loaded = await self._reloader.prepare(let_in=name)
            async with self._records.transaction() as tx:
                await tx.execute("DELETE FROM plugins_off WHERE name = ?", (name,))
                await self._audit.record(tx, actor, LET_IN, name)
            self._reloader.swap_soon(loaded)
        return Outcome(True, f"{name} is being let in again.")

    async def let_in_what_is_due(self) -> None:
        """Give a plugin that held everything up its second chance (a job, every ten seconds)."""
        due = "SELECT name FROM plugins_off WHERE again_at <= ? ORDER BY again_at, name"
        for row in await self._records.fetch(due, (stamp(),)):
            if row["name"] in self._config.settings.plugins:
                try:
                    await self.plugin_reset(BY_ITSELF, row["name"])
                except ApplianceError as error:  # the box may be busy still, and a try is work
                    log.warning("The plugin %s is not let in again yet: %s", row["name"], error)
                    await self._put_off(row["name"])
                else:
                    return  # everything is made anew; the next one has its turn after that

    async def _put_off(self, name: str) -> None:
        async with self._records.transaction() as tx:
            later = stamp(now() + SECOND_CHANCE)
            await tx.execute("UPDATE plugins_off SET again_at = ? WHERE name = ?", (later, name))

    async def events_retry(self, actor: str, owner: str, event_id: str) -> bool:
        """Try a parked delivery again."""
        async with self._records.transaction() as tx:
            await self._audit.record(tx, actor, "tried delivery again", event_id, {"for": owner})
            return await self._bus.retry(tx, owner, event_id)

    async def events_drop(self, actor: str, owner: str, event_id: str) -> bool:
        """Give a parked delivery up."""
        async with self._records.transaction() as tx:
            await self._audit.record(tx, actor, "gave delivery up", event_id, {"for": owner})
            return await self._bus.drop(tx, owner, event_id)


_UNDO = "UPDATE page_values SET undone_at = ?, undone_by = ? WHERE id = ?"


async def let_in_since(tx: Transaction, name: str, moment: str) -> bool:
    """Whether a plugin was let in again by itself since a moment."""
    wanted = (BY_ITSELF, LET_IN, name, moment)
    asked = "SELECT 1 FROM audit WHERE actor = ? AND action = ? AND subject = ? AND at >= ?"
    return await tx.fetch_one(asked, wanted) is not None


async def _undo(records: Database, row_id: str, path: str) -> None:
    """The change could not be applied: take it back, on the record."""
    async with records.transaction() as tx:
        await tx.execute(_UNDO, (stamp(), BY_ITSELF, row_id))
        await Audit(records).record(tx, BY_ITSELF, "took back setting", path, {"id": row_id})


async def _redo(records: Database, row_id: str, path: str) -> None:
    """The undoing could not be applied: the change is in force as before."""
    async with records.transaction() as tx:
        await tx.execute(_UNDO, (None, None, row_id))
        await Audit(records).record(tx, BY_ITSELF, "put back setting", path, {"id": row_id})
