"""All SQL of the lists: which sources were added on the page, by whom and why. Every change is on the record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from appliance.api import Actor, Appliance, Data, Permission, Refused, Row, new_id, stamp

from .formats import Format
from .shipped import OTHER, categories
from .sources import Spec

TABLE = "dns_filter_sources"
KEEP_DAYS = 400
SHOWN = 50
_FIELDS = "id, name, title, url, format, category, sha256, every_hours, keeper, licence, added_at, added_by, reason"


@dataclass(frozen=True, slots=True)
class Added:
    """A source that was added on the page."""

    id: str
    name: str
    title: str
    url: str
    format: Format
    category: str
    sha256: str
    every_hours: int
    keeper: str
    licence: str
    added_at: str
    added_by: str
    reason: str

    @property
    def spec(self) -> Spec:
        """What the catalogue needs."""
        return Spec(
            self.name, "page", self.title, url=self.url, format=self.format,
            category=self.category if self.category in categories() else OTHER, sha256=self.sha256,
            every=timedelta(hours=self.every_hours), keeper=self.keeper, licence=self.licence, row=self.id,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class NewSource:
    """What is asked for on the page, looked through already."""

    name: str
    title: str
    url: str
    format: Format
    category: str
    sha256: str = ""
    every_hours: int = 24
    keeper: str = ""
    licence: str = ""


class Store:
    """Reads and writes."""

    def __init__(self, appliance: Appliance) -> None:
        self._records = appliance.records
        self._audit = appliance.audit

    @staticmethod
    def data() -> Sequence[Data]:
        """What the table holds."""
        return [Data(TABLE, "Lists of websites that were added on a page, by whom and why.", KEEP_DAYS, "removed_at")]

    async def open(self) -> tuple[Added, ...]:
        """The sources that count, the oldest first."""
        rows = await self._records.fetch(
            f"SELECT {_FIELDS} FROM {TABLE} WHERE removed_at IS NULL ORDER BY added_at, id"  # noqa: S608 - our own words
        )
        return tuple(Added(**dict(row)) for row in rows)

    async def removed(self) -> list[Row]:
        """The sources that were taken out, the newest first."""
        return await self._records.fetch(
            f"SELECT {_FIELDS}, removed_at, removed_by, removed_reason FROM {TABLE}"  # noqa: S608 - our own words
            " WHERE removed_at IS NOT NULL ORDER BY removed_at DESC, id LIMIT ?",
            (SHOWN,),
        )

    async def add(self, actor: Actor, new: NewSource, reason: str) -> None:
        """Let a source count from now on. Raises ``Refused`` if there is one of that name."""
        _may(actor)
        async with self._records.transaction() as tx:
            if await tx.fetch_one(f"SELECT 1 FROM {TABLE} WHERE removed_at IS NULL AND name = ?", (new.name,)):  # noqa: S608
                raise Refused(f"There is a list called {new.name} already.", "Give it another name.")
            await tx.execute(
                f"INSERT INTO {TABLE} ({_FIELDS}) VALUES ({', '.join('?' * 13)})",  # noqa: S608 - our own words
                (
                    new_id(), new.name, new.title, new.url, new.format, new.category, new.sha256, new.every_hours,
                    new.keeper, new.licence, stamp(), actor.name, reason,
                ),
            )  # fmt: skip
            detail = {"address": new.url, "category": new.category, "reason": reason}
            await self._audit.record(tx, actor.name, "chose a web filter list", new.name, detail)

    async def remove(self, actor: Actor, id_: str, reason: str) -> Added:
        """Take a source out. Raises ``Refused`` if it is not there any more."""
        _may(actor)
        async with self._records.transaction() as tx:
            row = await tx.fetch_one(f"SELECT {_FIELDS} FROM {TABLE} WHERE id = ? AND removed_at IS NULL", (id_,))  # noqa: S608
            if row is None:
                raise Refused("This list was taken out already.", "Look at the page again.")
            await tx.execute(
                f"UPDATE {TABLE} SET removed_at = ?, removed_by = ?, removed_reason = ? WHERE id = ?",  # noqa: S608
                (stamp(), actor.name, reason, id_),
            )
            await self._audit.record(tx, actor.name, "took out a web filter list", row["name"], {"reason": reason})
        return Added(**dict(row))

    async def put_back(self, actor: Actor, id_: str, reason: str) -> str:
        """Undo that a source was taken out: it counts again, as a row of its own; its name."""
        _may(actor)
        row = await self._records.fetch_one(f"SELECT {_FIELDS} FROM {TABLE} WHERE id = ?", (id_,))  # noqa: S608
        if row is None:
            raise Refused("Nothing is known of this list any more.", "Add it again.")
        old = Added(**dict(row))
        new = NewSource(
            old.name, old.title, old.url, old.format, old.category, old.sha256, old.every_hours,
            old.keeper, old.licence,
        )  # fmt: skip
        await self.add(actor, new, reason)
        return old.name

    async def note(self, actor: Actor, action: str, name: str, reason: str, numbers: str) -> None:
        """Write down what somebody decided about a copy of a list."""
        _may(actor)
        async with self._records.transaction() as tx:
            await self._audit.record(tx, actor.name, action, name, {"reason": reason, "names": numbers})


def _may(actor: Actor) -> None:
    if not actor.may(Permission.OPERATE):
        raise Refused("Your sign-in does not allow this.", "Ask IT.")
