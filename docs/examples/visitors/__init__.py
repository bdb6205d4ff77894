"""The visitors' book: who is on the school's site, who was, and whom they came to see."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import time
from typing import Any

from appliance.api import (
    Appliance,
    Check,
    Daily,
    Data,
    Event,
    HomeCard,
    Job,
    Menu,
    Page,
    Permission,
    PluginSwitchedOff,
    Section,
    State,
    hook,
    setting,
)

from .store import Store, VisitorArrived
from .times import Clock, SignOutTime
from .views import TOPIC, Views

NOTES_DAYS = 30


class Plugin:
    """Who is on site: visitors sign in at the front desk and sign out when they leave."""

    title = "Visitors"

    class Settings(Section):
        """The visitors' book."""

        sign_out_at: SignOutTime = setting(time(18, 0), "When everybody who is still signed in is signed out.")
        keep_days: int = setting(365, "How long visits are kept.", unit="days", ge=1, le=3650)

    def __init__(self, appliance: Appliance, settings: Settings) -> None:
        self.appliance = appliance
        self.settings = settings
        self.clock = Clock(appliance.config.settings.school.timezone)
        self.store = Store(appliance)
        self.views = Views(self.store, self.clock)

    # What there is

    @hook
    def register_pages(self) -> list[Page]:
        views = self.views
        return [
            Page("staff", "GET", "/visitors", views.index, Permission.OPERATE),
            Page("staff", "POST", "/visitors", views.sign_in, Permission.OPERATE),
            Page("staff", "POST", "/visitors/sign-out", views.sign_out, Permission.OPERATE),
        ]

    @hook
    def register_panels(self) -> list[Menu | HomeCard]:
        return [
            Menu("Visitors", "/visitors", Permission.OPERATE),
            HomeCard("Visitors", "visitors/card.html", self.views.card, Permission.OPERATE),
        ]

    @hook
    def register_events(self) -> list[type[Event]]:
        return [VisitorArrived]

    @hook
    def register_listeners(self) -> dict[type[Event], Callable[[Any], Awaitable[None]]]:
        return {VisitorArrived: self.on_visitor_arrived, PluginSwitchedOff: self.on_plugin_switched_off}

    @hook
    def register_jobs(self) -> list[Job]:
        return [Job("sign everyone out", Daily(self.settings.sign_out_at), self.sign_everyone_out)]

    @hook
    def register_data(self) -> list[Data]:
        return [
            Data("visitors_visits", "who came, when, and whom they came to see", self.settings.keep_days, "arrived_at"),
            Data("visitors_days", "how many came on each day, without names"),
            Data("visitors_notes", "what the front desk should know", NOTES_DAYS, "at"),
        ]

    # What happens

    @hook
    async def health(self) -> list[Check]:
        left_over = await self.store.count_on_site(before=self.clock.start_of_today())
        if left_over:
            words = f"{left_over} still signed in from an earlier day."
            return [Check("Visitors' book", State.WARNING, words, "Sign them out on the Visitors page.")]
        return [Check("Visitors' book", State.GOOD, f"{await self.store.count_on_site()} on site.")]

    async def sign_everyone_out(self) -> None:
        """The job: whoever forgot to sign out is signed out, and the front desk is told."""
        count = await self.store.sign_everyone_out()
        if count:
            await self.store.note(f"{count} had not signed out. The book did it at the end of the day.")

    async def on_visitor_arrived(self, event: VisitorArrived) -> None:
        """Somebody came: bring the day's number up to date and tell pages that are open."""
        visit = await self.store.visit(event.visit)
        if visit is None:
            return
        day, start, end = self.clock.day_of(visit.arrived_at)
        await self.store.count_day(day, start, end)
        self.appliance.live.publish(TOPIC, self.views.row(visit), Permission.OPERATE)

    async def on_plugin_switched_off(self, event: PluginSwitchedOff) -> None:
        """Part of the appliance failed: somebody sits at the front desk, so the note goes there."""
        await self.store.note(f"Tell IT: {event.plugin} was switched off.", note_id=event.id)
