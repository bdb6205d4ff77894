"""The page that says why a site is blocked, asking for one, and who provides the school's own filter."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time

from appliance.api import Appliance, Daily, Data, HomeCard, Job, Page, Panel, Permission, Task

from ..room import Room
from ..settings import Settings
from .desk import Desk
from .https_views import HTTPS, HttpsViews
from .others import Others
from .provider_views import PROVIDER, ProviderViews
from .pupil_views import ASK, ASKED, PupilViews
from .staff_views import REQUESTS, StaffViews
from .store import ASKINGS, PROVIDERS, Store
from .store import REQUESTS as REQUESTS_TABLE


class BlockPage(Room):
    """``others``: what the other rooms know."""

    def __init__(self, appliance: Appliance, settings: Settings, others: Others) -> None:
        self._appliance = appliance
        self._settings = settings
        self.store = Store(appliance.records)
        self.desk = Desk(appliance, self.store, others)
        self._pupil = PupilViews(appliance, self.desk)
        self._staff = StaffViews(appliance, self.store, self.desk, others)
        self._provider = ProviderViews(appliance, self.store)
        self._https = HttpsViews(appliance)

    def pages(self) -> Sequence[Page]:
        public, choose, operate = Permission.PUBLIC, Permission.CHOOSE_SITES, Permission.OPERATE
        pupil, staff, provider, https = self._pupil, self._staff, self._provider, self._https
        return [
            Page("elsewhere", "POST", ASK, pupil.ask_here, public),
            Page("elsewhere", "GET", ASKED, pupil.asked, public),
            Page("elsewhere", "GET", "/{anything:.*}", pupil.blocked, public),
            Page("elsewhere", "POST", "/{anything:.*}", pupil.blocked, public),
            Page("pupil", "GET", ASK, pupil.ask_page, public),
            Page("pupil", "POST", ASK, pupil.ask, public),
            Page("pupil", "GET", ASKED, pupil.asked, public),
            Page("staff", "GET", REQUESTS, staff.requests, choose),
            Page("staff", "GET", f"{REQUESTS}/{{id}}", staff.one, choose),
            Page("staff", "POST", f"{REQUESTS}/{{id}}", staff.decide, choose),
            Page("staff", "GET", PROVIDER, provider.show, choose),
            Page("staff", "POST", PROVIDER, provider.write, choose),
            Page("staff", "GET", HTTPS, https.show, Permission.SEE_ACTIVITY),
            Page("staff", "POST", HTTPS, https.switch, operate),
            Page("staff", "GET", f"{HTTPS}/certificate.crt", https.certificate, operate),
        ]

    def panels(self) -> Sequence[Panel]:
        choose = Permission.CHOOSE_SITES
        return [
            HomeCard("Pages that were asked for", "dns_filter/asked_card.html", self._staff.card, choose),
            Task(
                "Say who provides the school’s web filter",
                "This box sits beside that filter and does not hold the lists of the IWF and the police.",
                PROVIDER,
                "Write it down",
                choose,
                self._provider.answered,
            ),
        ]

    def jobs(self) -> Sequence[Job]:
        return [
            Job(
                "requests that were decided long ago",
                Daily(time(3, 40)),
                self._appliance.clock_jumps.guarded(self.forget),
            )
        ]

    def data(self) -> Sequence[Data]:
        days = self._settings.requests_keep_days
        return [
            Data(REQUESTS_TABLE, f"Sites that were asked for, and decisions; deleted {days} days after the decision."),
            Data(
                ASKINGS, "Which device asked, what for, and what was written with it, sealed; deleted with the request."
            ),
            Data(PROVIDERS, "Who provides the school’s own filter and the evidence for it, with who wrote it down."),
        ]

    async def startup(self) -> None:
        self._appliance.second_authority.ask(self.desk.is_blocked)

    async def shutdown(self) -> None:
        self._appliance.second_authority.ask(None)

    async def forget(self) -> None:
        """Delete what was decided long ago."""
        await self.desk.forget(self._settings.requests_keep_days)
