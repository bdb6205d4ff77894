"""The school's decisions about policies, put together: their tables, pages, jobs, and what follows from a change."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import cache
from typing import Any

from appliance.api import (
    Appliance,
    AssignmentChanged,
    Check,
    Circumstances,
    Data,
    Event,
    Every,
    Finding,
    HomeCard,
    Job,
    Observation,
    Page,
    Permission,
    State,
    parse,
)

from ..library.model import Policy
from ..school import School
from .applying import own_term
from .decisions import ASK, EDIT, TermDecisions
from .levels.levels import KIND, Levels
from .levels.model import Rules, Whom, weigh
from .levels.store import Store as LevelStore
from .levels.views import LevelViews
from .library import Library
from .model import Decisions
from .names.names import Names
from .names.store import Store as NameStore
from .names.views import NameViews
from .preview import Previews
from .store import Store
from .suggestions.box import Box
from .suggestions.store import Store as SuggestionStore
from .suggestions.views import QUEUE, SUGGEST, SuggestionViews
from .term_views import TermViews


class Choices:
    """``supplied``: policies of files, asked again by ``refresh``. ``sentences``: made up, for previews.
    ``school()``: what the school adds to policies, with its decisions.

    ``when_changed`` is called after each change of what is looked for, ``when_levels_changed`` after one of for whom.
    """

    def __init__(
        self,
        appliance: Appliance,
        supplied: Callable[[], Sequence[Policy]],
        sentences: Callable[[], Sequence[str]],
        school: Callable[[], Awaitable[School]],
    ) -> None:
        records = appliance.records
        self.when_changed: Callable[[], None] = lambda: None
        self.when_levels_changed: Callable[[], None] = lambda: None
        self.library = Library(supplied)
        self.store, self._level_store = Store(records), LevelStore(records)
        self._name_store, self._suggestion_store = NameStore(records), SuggestionStore(records)
        self._stores = (self.store, self._level_store, self._name_store)
        self._data = [data for store in (*self._stores, self._suggestion_store) for data in store.data()]
        self.levels = Levels(appliance, self._level_store, lambda: self.library.before, self.levels_changed)
        self.decisions = TermDecisions(appliance, self.store, lambda: self.library.before, self.refresh)
        self._names = Names(appliance, self._name_store, self.refresh)
        box = Box(appliance, self._suggestion_store)
        self.previews = Previews(appliance, sentences, school)
        self._terms = TermViews(appliance, self.library, self.store, self.decisions, self.previews, box)
        self._level_views = LevelViews(appliance, self.library, self._level_store, self.levels)
        self._name_views = NameViews(appliance, self._names)
        self._suggestion_views = SuggestionViews(appliance, self.library, self._suggestion_store, box)

    # What follows from it

    async def data_for_detection(self) -> dict[str, Any]:
        """What the detection process needs beside the files, as JSON: ``applying.apply`` takes it."""
        return self.library.data

    async def weigh(
        self, subject: Circumstances, observation: Observation, findings: Sequence[Finding]
    ) -> Sequence[Finding]:
        """What remains of findings, given who it was, where and when."""
        whom = Whom(subject.person, subject.device, subject.address or None)
        names = {one.id for one in self._name_store.watched if parse(one.until) > subject.at}
        rules = Rules(
            level=cache(lambda policy: self.levels.level(policy, whom, subject.at).level),
            changed={f"{one.policy}/{one.term}" for one in self.library.decisions.changed},
            names=names,
            own_surfaces=self.library.own_surfaces,
        )
        return weigh(findings, observation.surface, rules)

    def refresh(self) -> None:
        """Work out again what is in force: after a change of the school's, or of the files."""
        kept = self.store.kept
        before = Decisions(kept.changed, kept.policies, kept.terms, self._name_store.watched)
        self.library.take(before)
        self.levels.declare()
        self.library.take(Decisions(kept.changed, kept.policies, kept.terms, before.names, self.levels.reading()))
        self.when_changed()

    def levels_changed(self) -> None:
        """What is looked for is the same, unless something counts in what is read, or no longer does."""
        self.levels.declare()
        if self.levels.reading() != self.library.decisions.reading:
            self.refresh()
        self.when_levels_changed()

    # What the plugin is made of

    async def startup(self) -> None:
        """Read the tables."""
        for store in self._stores:
            await store.start()
        self.refresh()

    def pages(self) -> list[Page]:
        return [*self._term_pages(), *self._level_pages(), *self._other_pages()]

    def _term_pages(self) -> list[Page]:
        terms, one = self._terms, "/keyword/policies/{name}"
        return [
            Page("staff", "GET", f"{one}/terms/{{term}}", terms.term, ASK),
            Page("staff", "POST", f"{one}/terms/{{term}}", terms.change, ASK),
            Page("staff", "GET", f"{one}/terms/{{term}}/report.yaml", terms.report_term, ASK),
            Page("staff", "GET", "/keyword/requests", terms.requests, ASK),
            Page("staff", "POST", "/keyword/requests/{id}", terms.decide, EDIT),
            Page("staff", "GET", "/keyword/requests/{id}/report.yaml", terms.report, ASK),
            Page("staff", "GET", "/keyword/new", terms.new_policy, EDIT),
            Page("staff", "POST", "/keyword/new", terms.make_policy, EDIT),
            Page("staff", "GET", f"{one}/add", terms.new_term, EDIT),
            Page("staff", "POST", f"{one}/add", terms.add_term, EDIT),
            Page("staff", "GET", f"{one}/own/{{term}}", terms.old_term, EDIT),
            Page("staff", "POST", f"{one}/own/{{term}}", terms.change_term, EDIT),
            Page("staff", "POST", f"{one}/own/{{term}}/end", terms.end_term, EDIT),
        ]

    def _level_pages(self) -> list[Page]:
        levels, see = self._level_views, Permission.SEE_CAPTURES
        return [
            Page("staff", "GET", "/keyword/levels", levels.levels, see),
            Page("staff", "POST", "/keyword/levels", levels.set, EDIT),
            Page("staff", "POST", "/keyword/levels/undo", levels.undo, EDIT),
            Page("staff", "GET", "/keyword/times", levels.times, see),
            Page("staff", "POST", "/keyword/times", levels.add_time, EDIT),
            Page("staff", "POST", "/keyword/times/undo", levels.undo_time, EDIT),
            Page("staff", "GET", "/keyword/explain", levels.explain, see),
            Page("staff", "POST", "/keyword/explain", levels.explained, see),
        ]

    def _other_pages(self) -> list[Page]:
        names, suggestions = self._name_views, self._suggestion_views
        return [
            Page("staff", "GET", "/keyword/names", names.names, EDIT),
            Page("staff", "POST", "/keyword/names", names.ask, EDIT),
            Page("staff", "POST", "/keyword/names/{id}", names.decide, EDIT),
            Page("staff", "GET", QUEUE, suggestions.queue, EDIT),
            Page("staff", "POST", f"{QUEUE}/{{id}}", suggestions.decide, EDIT),
            Page("pupil", "GET", SUGGEST, suggestions.suggest, Permission.PUBLIC),
            Page("pupil", "POST", SUGGEST, suggestions.put, Permission.PUBLIC),
        ]

    def panels(self) -> list[HomeCard]:
        """The card of the home page."""
        return [HomeCard("Policies: waiting for you", "keyword/waiting_card.html", self.waiting, EDIT)]

    async def waiting(self) -> Mapping[str, Any]:
        """How much waits for somebody to decide. ``names``: who asked for each, because somebody else has to agree."""
        return {
            "requests": len(await self.store.requests("open")),
            "names": await self._name_store.waiting(),
            "suggestions": await self._suggestion_store.waiting(),
        }

    def jobs(self) -> list[Job]:
        return [Job("names whose time is over", Every(timedelta(minutes=1)), self._names.end_what_is_over)]

    def listeners(self) -> Mapping[type[Event], Callable[[Any], Any]]:
        return {AssignmentChanged: self.on_assignment_changed}

    def data(self) -> list[Data]:
        return self._data

    async def on_assignment_changed(self, event: AssignmentChanged) -> None:
        """A level was set, undone, or has ended."""
        if event.kind.startswith(KIND):
            self.levels_changed()

    async def health(self) -> list[Check]:
        """Terms of the school's own that the rules of this version do not take any more."""
        terms = self.store.kept.terms
        left_out = [f"{one.policy}/{one.entry['id']}" for one in terms if own_term(one.policy, one.entry) is None]
        if not left_out:
            return []
        words = f"Terms of your own are not looked for, because this version cannot read them: {', '.join(left_out)}."
        return [Check("Terms of your own", State.WARNING, words, "Open each under “Policies” and save it again.")]
