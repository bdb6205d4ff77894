"""The staff pages: one's own addresses and shared mailboxes, and for IT how it goes with the mail server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from appliance.api import (
    Actor,
    Appliance,
    Permission,
    Refused,
    State,
    actor,
    flash,
    new_id,
    now,
    read_form,
    redirect,
    render,
    stamp,
)

from .addresses import CODE_DIGITS, CODE_LIFE, TRIES_MOST, NotAnAddress, checked_address, new_code
from .connection import ServerTrouble
from .health import Standing, checks
from .sender import Sender
from .settings import Settings
from .store import Store, Target
from .words import code_letter, test_letter

ANSWER_SECONDS = 6.0
"""How long a page waits for the mail server; after that it says so, and the work goes on."""
SHOWN = 30
TOLD_ROLES = ("lead", "deputy", "head")
KINDS = {
    "alert": "Alert",
    "silence": "Something fell silent",
    "network": "Something on the network",
    "test alert": "Safeguarding test",
    "notice": "There is a notice",
    "signed head": "Signed statement",
    "test mail": "Test mail",
}
STATES = {
    "waiting": ("moderate", "Waiting"),
    "sent": ("good", "Taken by the mail server"),
    "refused": ("severe", "Refused for good"),
    "given up": ("severe", "Given up"),
    "dropped": ("moderate", "Dropped: too many waited"),
    "not needed": ("minor", "Not needed any more"),
}


@dataclass(frozen=True, slots=True)
class Form:
    """What was typed, so that nothing is lost when it is shown again; ``errors`` by field, in words."""

    address: str = ""
    shared: bool = False
    code: str = ""
    code_for: str = ""
    errors: Mapping[str, str] = field(default_factory=dict)


class Views:
    """One method for each page."""

    def __init__(
        self,
        appliance: Appliance,
        settings: Settings,
        store: Store,
        sender: Sender,
        standing: Callable[[], Awaitable[Standing]],
    ) -> None:
        self._appliance = appliance
        self._settings = settings
        self._store = store
        self._sender = sender
        self._standing = standing

    # Addresses

    async def index(self, request: web.Request) -> web.StreamResponse:
        """Where alerts are mailed, and how that goes."""
        return await self._page(request, Form())

    async def add(self, request: web.Request) -> web.StreamResponse:
        """Write an address down and mail it a code."""
        fields = await read_form(request)
        form = Form(fields.get("address", "").strip(), shared=fields.get("for") == "shared")
        try:
            checked_address(form.address)
            self._need_server()
            code = new_code()
            row = await self._store.add(actor(request), form.address, shared=form.shared, code=code)
        except NotAnAddress as error:
            errors = {
                "address": f"{error}. It looks like name@school.example." if form.address else "Enter an address."
            }
            return await self._page(request, replace(form, errors=errors), 422)
        except Refused as refused:
            return await self._page(request, replace(form, errors={"address": str(refused)}), 422)
        flash(request, await self._mail_code(row["id"], row["address"], code))
        return redirect("/email_alert")

    async def new_code(self, request: web.Request) -> web.StreamResponse:
        """Mail another code to an address that is not confirmed."""
        fields = await read_form(request)
        try:
            self._need_server()
            code = new_code()
            row = await self._store.new_code(actor(request), fields.get("id", ""), code)
        except Refused as refused:
            return await self._page(request, Form(errors={"form": str(refused)}), 422)
        flash(request, await self._mail_code(row["id"], row["address"], code))
        return redirect("/email_alert")

    async def confirm(self, request: web.Request) -> web.StreamResponse:
        """Take the code of an address."""
        fields = await read_form(request)
        address_id = fields.get("id", "")
        form = Form(code=fields.get("code", "").strip()[:20], code_for=address_id)
        try:
            row = await self._store.confirm(actor(request), address_id, form.code)
        except Refused as refused:
            return await self._page(request, replace(form, errors={f"code-{address_id}": str(refused)}), 422)
        if row is None:
            words = f"This is not the code. After {TRIES_MOST} wrong ones a new code is needed."
            return await self._page(request, replace(form, errors={f"code-{address_id}": words}), 422)
        flash(request, f"{row['address']} is confirmed. Alerts are mailed there from now on.")
        self._appliance.health.refresh_soon()
        return redirect("/email_alert")

    async def test(self, request: web.Request) -> web.StreamResponse:
        """Queue a test mail, on the way that alerts go."""
        fields = await read_form(request)
        try:
            self._need_server()
            row = await self._store.queue_test(actor(request), fields.get("id", ""), test_letter(stamp()))
        except Refused as refused:
            return await self._page(request, Form(errors={"form": str(refused)}), 422)
        self._sender.wake()
        flash(request, f"A test mail to {row['address']} is on its way. The list below says when it was taken.")
        return redirect("/email_alert")

    async def remove(self, request: web.Request) -> web.StreamResponse:
        """Mail nothing there any more."""
        fields = await read_form(request)
        try:
            row = await self._store.remove(actor(request), fields.get("id", ""))
        except Refused as refused:
            return await self._page(request, Form(errors={"form": str(refused)}), 422)
        self._appliance.health.refresh_soon()
        flash(request, f"Nothing is mailed to {row['address']} any more.")
        return redirect("/email_alert")

    def _need_server(self) -> None:
        if not self._settings.server.host:
            raise Refused("There is no mail server yet.", "IT names one in the settings file.")

    async def _mail_code(self, address_id: str, address: str, code: str) -> str:
        """Send the code at once; it is kept nowhere but as a hash. Returns the words for the page."""
        minutes = int(CODE_LIFE.total_seconds() // 60)
        letter = code_letter(code, minutes, stamp())
        # A Message-ID of its own for each code; how it goes is noted at the address.
        problem = await self._sender.send_now(letter, new_id(), address, address_id, ANSWER_SECONDS)
        if problem is None:
            return f"The mail server takes its time. If no code arrives at {address} in a few minutes, send a new one."
        if problem:
            return f"The code for {address} could not be sent. {problem}"
        return f"A code was mailed to {address}. Type it in below within {minutes} minutes."

    async def _page(self, request: web.Request, form: Form, status: int = 200) -> web.Response:
        who = actor(request)
        others = await self._store.of_others(who)
        shared = await self._store.shared(who)
        return render(
            request,
            "email_alert/index.html",
            status,
            own=await self._store.own(who),
            shared=shared,
            colleagues=self._colleagues(who, others),
            leads=who.may(Permission.GRANT_CONTENT),
            operates=who.may(Permission.OPERATE),
            history=await self._store.history(who, SHOWN),
            form=form,
            checks=[check for check in checks(await self._standing()) if check.state is not State.GOOD],
            has_server=bool(self._settings.server.host),
            opens_outside=self._settings.links_open_outside,
            kinds=KINDS,
            states=STATES,
            code_digits=CODE_DIGITS,
            minutes=int(CODE_LIFE.total_seconds() // 60),
        )

    def _colleagues(self, who: Actor, targets: list[Target]) -> list[dict[str, Any]]:
        """For a lead: every colleague who is told of alerts or has an address, with these addresses."""
        by_account: dict[str, list[Target]] = {}
        for target in targets:
            by_account.setdefault(target.account or "", []).append(target)
        if not who.may(Permission.GRANT_CONTENT):
            return []
        return [
            {"name": one.name, "role": one.role.label if one.role else "", "targets": by_account.get(one.id, [])}
            for one in self._appliance.staff.all()
            if one.active and one.id != who.account
            if one.id in by_account or (one.role is not None and one.role.value in TOLD_ROLES)
        ]

    # The mail server

    async def server(self, request: web.Request) -> web.StreamResponse:
        """How it goes with the mail server, for whoever runs the box."""
        return await self._server_page(request)

    async def try_server(self, request: web.Request) -> web.StreamResponse:
        """Connect and sign in now, and say in words how that went."""
        await read_form(request)
        if not self._settings.server.host:
            return await self._server_page(
                request, {"form": "There is no mail server to try. Name one in the settings file."}
            )
        task = self._sender.begin(self._sender.try_connection(), "test of the mail server")
        await asyncio.wait({task}, timeout=ANSWER_SECONDS)
        if not task.done():
            flash(request, "The mail server takes its time. Load this page again in half a minute.")
            return redirect("/email_alert/server")
        try:
            task.result()
        except ServerTrouble as trouble:
            return await self._server_page(request, {"form": str(trouble)})
        flash(request, "The mail server can be reached, is who it says it is, and lets us in.")
        return redirect("/email_alert/server")

    async def _server_page(self, request: web.Request, errors: Mapping[str, str] | None = None) -> web.Response:
        standing = await self._standing()
        return render(
            request,
            "email_alert/server.html",
            422 if errors else 200,
            standing=standing,
            checks=checks(standing),
            settings=self._settings,
            history=await self._store.server_history(SHOWN, self._settings.sender.address),
            errors=errors or {},
            kinds=KINDS,
            states=STATES,
        )

    async def card(self) -> Mapping[str, Any]:
        """The home card: whether mail works, and for how many addresses."""
        standing = await self._standing()
        return {"check": checks(standing, now())[0], "confirmed": standing.confirmed}
