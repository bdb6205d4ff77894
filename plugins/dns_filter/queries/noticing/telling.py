"""From rows of the log to what is handed in for a person to judge: once for each device, person and kind of site.

Whether anybody is monitored, the core decides; so does it keep help-seeking places out and put repeats together. A page
asks for dozens of names of one kind within a second, and for each name once for each type of address: what came in one
batch is handed in once, with how often it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from appliance.api import Appliance, Finding, NameAsked, Severity

from ...lists.shipped import Category, services
from ...profiles.model import AI_GROUP
from ..records import QueryRow
from .store import Choice, ChoiceStore, Told

SOURCE = "dns_filter"
POLICY = "Web filter"
AI_CHAT = "ai_chat"
BLOCKED_SITE = "blocked_site"
"""The category of captures of kinds of sites that are no sign of harm by themselves."""


class Telling:
    """``take`` gets every row, as it is known and before anything is left out of it."""

    def __init__(self, appliance: Appliance, store: ChoiceStore, categories: Mapping[str, Category]) -> None:
        self._appliance = appliance
        self._store = store
        self.categories = categories
        self._talking = frozenset(each.key for each in services() if each.group == AI_GROUP)
        self.choices: Mapping[str, Choice] = {}

    async def start(self) -> None:
        """Read what was chosen; also after something was."""
        self.choices = await self._store.all()

    def told(self, category: str) -> Told:
        """What becomes of such a site; what comes with the appliance where nobody has chosen."""
        chosen = self.choices.get(category)
        if chosen is not None:
            return chosen.told
        if not self.categories[category].safeguarding:
            return Told.NOTHING
        return Told.ALERT if self.categories[category].alert else Told.CAPTURE

    def take(self, rows: Iterable[QueryRow]) -> None:
        """Hand in what concerns somebody who is known, or a device that is."""
        for asked in self.asked(rows):
            self._appliance.handed_in.take(asked)

    def asked(self, rows: Iterable[QueryRow]) -> list[NameAsked]:
        """What is handed in of these rows: one for each device, person and kind of site, or name."""
        found: dict[tuple[str, str, str], NameAsked] = {}
        for row in rows:
            if row.is_rest or not (row.device or row.person):
                continue
            told = self._told_of(row)
            kind = self._category_of(row)
            key = (row.device, row.person, f"category {kind}" if told is not Told.NOTHING else row.name)
            known = found.get(key)
            if known is None:
                found[key] = self._handed_in(row, told)
            else:
                found[key] = replace(known, times=known.times + row.count)
        return list(found.values())

    def _told_of(self, row: QueryRow) -> Told:
        """Nothing for a site that was not stopped, or is of no such kind: then only its name may say something."""
        category = self._category_of(row)
        if not row.is_stopped or category not in self.categories:
            return Told.NOTHING
        return self.told(category)

    def _category_of(self, row: QueryRow) -> str:
        """Programs that talk are blocked one by one, as services; on the page they are one kind."""
        return AI_CHAT if row.why == "service" and row.rule in self._talking else row.category

    def _handed_in(self, row: QueryRow, told: Told) -> NameAsked:
        return NameAsked(
            at=row.first_at,
            host=row.name,
            device=row.device or None,
            person=row.person or None,
            claim=row.claim,
            source=SOURCE,
            finding=self._finding(row) if told is not Told.NOTHING else None,
            alert=told is Told.ALERT,
            times=row.count,
        )

    def _finding(self, row: QueryRow) -> Finding:
        category = self.categories[self._category_of(row)]
        where = f"is on the list {row.list} of the web filter" if row.list else "belongs to a service that is blocked"
        done = "blocked it" if row.verdict == "blocked" else "did not block it yet, because it is on a trial run"
        return Finding(
            policy=POLICY,
            version="1",
            term=f"category/{category.key}",
            phrase=category.title,
            category=category.safeguarding or BLOCKED_SITE,
            severity=Severity.MODERATE,
            definition=f"{category.about} The device asked for a site of this kind, and the filter {done}. That"
            " somebody opened it on purpose is likely and not certain: advertisements, links and programs ask for names"
            " too.",
            start=0,
            end=len(row.name),
            found=f"the site {where}",
        )
