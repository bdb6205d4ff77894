"""All SQL about the kinds of sites of which the safeguarding lead wants to hear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from appliance.api import Actor, Appliance, stamp

TABLE = "dns_filter_told"


class Told(StrEnum):
    """What becomes of a question for such a site. ``words``: on pages."""

    NOTHING = "nothing"
    CAPTURE = "capture"
    ALERT = "alert"

    @property
    def words(self) -> str:
        """As somebody chooses it."""
        return _WORDS[self]


_WORDS: Mapping[Told, str] = {
    Told.NOTHING: "Nothing: it stands in the list of queries only",
    Told.CAPTURE: "A capture, to look at when there is time",
    Told.ALERT: "A capture and an alert at once",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """What somebody has chosen, when and who."""

    told: Told
    set_at: str
    set_by: str


class ChoiceStore:
    """The table."""

    def __init__(self, appliance: Appliance) -> None:
        self._records = appliance.records
        self._audit = appliance.audit

    async def all(self) -> dict[str, Choice]:
        """What was chosen, by category of websites."""
        rows = await self._records.fetch("SELECT category, told, set_at, set_by FROM dns_filter_told")
        return {row["category"]: Choice(Told(row["told"]), row["set_at"], row["set_by"]) for row in rows}

    async def choose(self, actor: Actor, wanted: Mapping[str, Told]) -> None:
        """Keep choices; each stands in the record of who did what."""
        moment = stamp()
        async with self._records.transaction() as tx:
            for category, told in wanted.items():
                await tx.execute(
                    "INSERT INTO dns_filter_told (category, told, set_at, set_by) VALUES (?, ?, ?, ?)"
                    " ON CONFLICT (category) DO UPDATE SET told = excluded.told, set_at = excluded.set_at,"
                    " set_by = excluded.set_by",
                    (category, told.value, moment, actor.name),
                )
                await self._audit.record(
                    tx,
                    actor.name,
                    "chose who is told of",
                    f"websites of the kind {category}",
                    {"told": told.value},
                )
