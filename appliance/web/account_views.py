"""One's own account: password, second factor, recovery sheet, where one is signed in."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from appliance.accounts.second_factor import new_secret
from appliance.accounts.staff import Account
from appliance.errors import Refused
from appliance.hookspecs import Page, Permission
from appliance.vaults import CAPTURES, VULNERABLE_LIST
from appliance.web.joining_views import factor_offer
from appliance.web.pages import SESSION, actor, context_of, enter, flash, read_form, redirect, render, visitor

FEW_CODES = 3


def pages() -> tuple[Page, ...]:
    """The pages of this module."""
    use = Permission.USE
    return (
        Page("staff", "GET", "/account", show, use),
        Page("staff", "POST", "/account/elsewhere", sign_out_elsewhere, use),
        Page("staff", "GET", "/account/password", password, use),
        Page("staff", "POST", "/account/password", take_password, use),
        Page("staff", "GET", "/account/factor", factor, use),
        Page("staff", "POST", "/account/factor", take_factor, use),
        Page("staff", "GET", "/account/sheet", sheet, use),
        Page("staff", "POST", "/account/sheet", take_sheet, use),
    )


def _own(request: web.Request) -> Account:
    return context_of(request).appliance.staff.get(actor(request).account)


async def show(request: web.Request) -> web.StreamResponse:
    """What this account is, may do and can open."""
    appliance = context_of(request).appliance
    account = _own(request)
    return render(
        request,
        "account.html",
        account=account,
        scopes=await appliance.staff.scope_words(actor(request), account.id),
        codes_left=await appliance.signing_in.codes_left(account.id),
        few=FEW_CODES,
        elsewhere=len(appliance.staff.sessions.of_account(account.id)) - 1,
        opens_captures=await appliance.vaults.is_member(account.id, CAPTURES),
        opens_vulnerable=await appliance.vaults.is_member(account.id, VULNERABLE_LIST),
        notices=await appliance.notices.all(actor(request)),
        resets=[
            (row, appliance.staff.get(row["asked_by"]))
            for row in await appliance.staff.factor_resets()
            if row["account_id"] == account.id
        ],
    )


async def sign_out_elsewhere(request: web.Request) -> web.StreamResponse:
    """End this account's sessions in all other browsers."""
    ended = await context_of(request).appliance.signing_in.sign_out_elsewhere(request[SESSION], visitor(request))
    flash(request, "You are signed out everywhere else." if ended else "You were signed in nowhere else.")
    return redirect("/account")


async def password(request: web.Request) -> web.StreamResponse:
    """Change the password."""
    return render(request, "account_password.html", errors={})


async def take_password(request: web.Request) -> web.StreamResponse:
    """Keep a new password; everywhere else this account is signed out."""
    form = await read_form(request)
    errors: Mapping[str, str] = {}
    if form.get("password", "") != form.get("again", ""):
        errors = {"again": "This is not what you entered above. Enter the same password twice."}
    else:
        try:
            session_id = await context_of(request).appliance.signing_in.change_password(
                request[SESSION], form.get("now", ""), form.get("password", ""), visitor(request)
            )
            return _renewed(request, session_id, "Your password is changed. You are signed out everywhere else.")
        except Refused as error:
            errors = {_field_of(error): str(error)}
    return render(request, "account_password.html", 422, errors=errors)


def _field_of(error: Refused) -> str:
    return "now" if error.what.startswith(("This is not your password", "There were too many")) else "password"


def _renewed(request: web.Request, session_id: str, words: str) -> web.Response:
    """Go on with the session that replaces the one that a change has ended."""
    context = context_of(request)
    session = context.appliance.staff.sessions.find(session_id)
    assert session is not None
    context.flashes.add(session, words)
    return enter(redirect("/account"), session_id)


async def factor(request: web.Request) -> web.StreamResponse:
    """Replace the second factor."""
    secret = new_secret()
    packed = context_of(request).appliance.signing_in.pack(request[SESSION], secret)
    return _factor(request, 200, secret, packed, {})


def _factor(request: web.Request, status: int, secret: bytes, packed: str, errors: Mapping[str, str]) -> web.Response:
    return render(request, "account_factor.html", status, errors=errors, **factor_offer(request, secret, packed))


async def take_factor(request: web.Request) -> web.StreamResponse:
    """Keep a new second factor."""
    form = await read_form(request)
    signing_in, session, packed = context_of(request).appliance.signing_in, request[SESSION], form.get("packed", "")
    secret = signing_in.unpack(session, packed)
    try:
        session_id = await signing_in.change_factor(
            session, form.get("now", ""), secret, form.get("code", ""), visitor(request)
        )
    except Refused as error:
        return _factor(request, 422, secret, packed, {"now": str(error)})
    if session_id is None:
        words = "This code is not right. Enter the six digits that the app shows now for this box."
        return _factor(request, 422, secret, packed, {"code": words})
    return _renewed(request, session_id, "Your second factor is changed. You are signed out everywhere else.")


async def sheet(request: web.Request) -> web.StreamResponse:
    """Say what a new recovery sheet means."""
    return render(request, "account_sheet.html", errors={}, secrets=None)


async def take_sheet(request: web.Request) -> web.StreamResponse:
    """New recovery codes and a new recovery key, shown once."""
    form = await read_form(request)
    try:
        secrets = await context_of(request).appliance.signing_in.print_anew(request[SESSION], form.get("now", ""))
    except Refused as error:
        return render(request, "account_sheet.html", 422, errors={"now": str(error)}, secrets=None)
    return render(request, "account_sheet.html", errors={}, secrets=secrets, name=_own(request).name)
