"""Alerts by mail: category, severity and a link go to the adults who must know, and never what was seen or of whom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from appliance.api import (
    AlertRaised,
    Appliance,
    AuditHeadSigned,
    Check,
    Data,
    Event,
    Every,
    HomeCard,
    Job,
    Menu,
    NoticeMade,
    Page,
    Permission,
    Refused,
    hook,
)

from .connection import Connection
from .health import Standing, checks
from .sender import Sender
from .settings import Settings as MailSettings
from .store import ADDRESSES, OUTBOX, Store
from .tokens import Tokens
from .views import Views
from .words import DEFAULT_SENDER, Stationery, alert_letter, head_letter, notice_letter, staff_base


class Plugin:
    """Mails staff that there is an alert, of which kind, and where to read it."""

    title = "Mail"
    Settings = MailSettings

    def __init__(self, appliance: Appliance, settings: MailSettings) -> None:
        self.appliance = appliance
        self.settings = settings
        core, resolve = appliance.config.settings, appliance.config.place.resolve
        stationery = Stationery(
            sender=settings.sender.address,
            sender_name=settings.sender.name or DEFAULT_SENDER,
            base=staff_base(core.web.domain, core.web.port),
            opens_outside=settings.links_open_outside,
            zone=ZoneInfo(core.school.timezone),
        )
        tokens = Tokens(settings.sign_in, resolve, settings.server.timeout)
        self.store = Store(appliance, settings.waiting_most)
        self.sender = Sender(
            self.store,
            settings,
            stationery,
            lambda: Connection(settings, tokens, core.web.domain, resolve),
            appliance.notices.waiting,
            appliance.health.refresh_soon,
        )
        self.views = Views(appliance, settings, self.store, self.sender, self.standing)

    # What there is

    @hook
    def register_pages(self) -> list[Page]:
        views, see, operate = self.views, Permission.SEE_ALERTS, Permission.OPERATE
        return [
            Page("staff", "GET", "/email_alert", views.index, see),
            Page("staff", "POST", "/email_alert/add", views.add, see),
            Page("staff", "POST", "/email_alert/code", views.confirm, see),
            Page("staff", "POST", "/email_alert/new-code", views.new_code, see),
            Page("staff", "POST", "/email_alert/test", views.test, see),
            Page("staff", "POST", "/email_alert/remove", views.remove, see),
            Page("staff", "GET", "/email_alert/server", views.server, operate),
            Page("staff", "POST", "/email_alert/server", views.try_server, operate),
        ]

    @hook
    def register_panels(self) -> list[Menu | HomeCard]:
        return [
            Menu("Mail", "/email_alert", Permission.SEE_ALERTS, order=66),
            HomeCard("Mail", "email_alert/card.html", self.views.card, Permission.SEE_ALERTS),
        ]

    @hook
    def register_listeners(self) -> dict[type[Event], Callable[[Any], Awaitable[None]]]:
        return {
            AlertRaised: self.on_alert_raised,
            NoticeMade: self.on_notice_made,
            AuditHeadSigned: self.on_audit_head_signed,
        }

    @hook
    def register_jobs(self) -> list[Job]:
        return [
            Job("mails that wait", Every(timedelta(seconds=15)), self.look),
            Job("the mail server", Every(timedelta(minutes=5)), self.sender.look_at_server),
        ]

    @hook
    def register_data(self) -> list[Data]:
        return [
            Data(ADDRESSES, "where alerts are mailed; removed addresses", self.settings.keep_days, "removed_at"),
            Data(OUTBOX, "which mail went where and when, without content", self.settings.keep_days, "queued_at"),
        ]

    # What happens

    @hook
    async def startup(self) -> None:
        self.sender.start()

    @hook
    async def shutdown(self) -> None:
        await self.sender.stop()

    @hook
    async def health(self) -> list[Check]:
        return checks(await self.standing())

    async def standing(self) -> Standing:
        """How it stands with mail."""
        confirmed, refused = await self.store.confirmed_count()
        status, queue = self.sender.status, await self.store.queue()
        return Standing(bool(self.settings.server.host), confirmed, refused, status, queue)

    async def look(self) -> None:
        """The job behind the task that sends."""
        self.sender.look()

    async def on_alert_raised(self, event: AlertRaised) -> None:
        """There is an alert, or nobody has taken one: mail those who are told, and shared mailboxes at first.

        Not what is for some of those alone who read them, such as a capture about one of the leads.
        """
        accounts = [account for account in event.accounts if self._is_active(account)]
        shared = event.step == 0 and event.for_team
        if await self.store.queue_for_accounts(event.id, alert_letter(event), accounts, shared=shared):
            self.sender.wake()

    async def on_notice_made(self, event: NoticeMade) -> None:
        """Somebody has a notice to read."""
        for account in filter(self._is_active, event.accounts):
            await self.store.queue_notice(event.id, account, notice_letter(event.occurred_at))
        self.sender.wake()

    async def on_audit_head_signed(self, event: AuditHeadSigned) -> None:
        """A day's statement goes to whoever keeps it outside."""
        letter = head_letter(event.day, event.statement, event.fingerprint, event.occurred_at)
        await self.store.queue_for_addresses(event.id, letter, self.settings.signed_heads_to)
        self.sender.wake()

    def _is_active(self, account: str) -> bool:
        try:
            return self.appliance.staff.get(account).active
        except Refused:
            return False
