"""From a one-time link to a signed-in browser: the set-up of the box, and how somebody invited joins.

A link carries its code behind ``#``, which browsers do not send: a script passes it on, or it is typed. Each step is a
page of its own; what was not finished is begun again with the link.
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from appliance.accounts.joining import Joining, Printed
from appliance.accounts.second_factor import provisioning_uri, qr_code, secret_text
from appliance.accounts.sessions import Session
from appliance.errors import ApplianceError, Refused
from appliance.hookspecs import Page, Permission
from appliance.web.pages import (
    SESSION,
    context_of,
    enter,
    read_form,
    redirect,
    render,
    visitor,
)
from appliance.web.signing_in_views import box_clock, end_earlier_session

WRONG_CODE = (
    "This code does not open anything. It may have been used already, be too old, or have been replaced by a newer one."
)
STEPS = {"join": ("Password", "Second factor", "Print"), "password": ("Password", "Print"),
         "factor": ("Password", "Second factor", "Print")}  # fmt: skip
FIRST_PAGE = {
    "set-up": "/set-up/account",
    "join": "/join/password",
    "password": "/join/new-password",
    "factor": "/join/confirm-password",
}


def pages() -> tuple[Page, ...]:
    """The pages of this module."""
    public, join = Permission.PUBLIC, Permission.JOIN
    return (
        Page("staff", "GET", "/set-up", set_up, public),
        Page("staff", "POST", "/set-up", use_code, public),
        Page("staff", "GET", "/join", join_page, public),
        Page("staff", "POST", "/join", use_code, public),
        Page("staff", "GET", "/set-up/account", first_account, join),
        Page("staff", "POST", "/set-up/account", make_first_account, join),
        Page("staff", "GET", "/join/password", password, join),
        Page("staff", "POST", "/join/password", take_password, join),
        Page("staff", "GET", "/join/new-password", new_password, join),
        Page("staff", "POST", "/join/new-password", take_new_password, join),
        Page("staff", "GET", "/join/confirm-password", confirm_password, join),
        Page("staff", "POST", "/join/confirm-password", take_confirm_password, join),
        Page("staff", "GET", "/join/factor", factor, join),
        Page("staff", "POST", "/join/factor", take_factor, join),
        Page("staff", "GET", "/join/keep", keep, join),
        Page("staff", "POST", "/join/keep", show_printed, join),
        Page("staff", "POST", "/join/done", done, join),
    )


def _joining(request: web.Request) -> Joining:
    return context_of(request).appliance.joining


def _name(request: web.Request) -> str:
    account = request[SESSION].account
    return context_of(request).appliance.staff.get(account).name if account is not None else ""


# The code


async def set_up(request: web.Request) -> web.StreamResponse:
    """Where the set-up link leads."""
    return _code_page(request, 200, new_box=True)


async def join_page(request: web.Request) -> web.StreamResponse:
    """Where every other link leads."""
    return _code_page(request, 200, new_box=False)


def _code_page(request: web.Request, status: int, *, new_box: bool, error: str = "") -> web.Response:
    staff = context_of(request).appliance.staff
    return render(request, "join_code.html", status, new_box=new_box, set_up=staff.is_set_up, error=error)


async def use_code(request: web.Request) -> web.StreamResponse:
    """Take the code of a link and go to the first step that it is for."""
    form = await read_form(request)
    new_box = request.path == "/set-up"
    code = form.get("code", "").strip().rpartition("#")[2]  # the whole link may be pasted
    try:
        session_id = await _joining(request).redeem(code, visitor(request))
    except Refused as error:
        return _code_page(request, 429, new_box=new_box, error=str(error))
    if session_id is None:
        return _code_page(request, 403, new_box=new_box, error=WRONG_CODE)
    session = context_of(request).appliance.staff.sessions.find(session_id)
    assert session is not None
    await end_earlier_session(request)
    return enter(redirect(FIRST_PAGE[session.purpose]), session_id)


# IT's own account


async def first_account(request: web.Request) -> web.StreamResponse:
    """Name the school, make one's own account."""
    return _first_account(request, 200, {}, {})


def _first_account(
    request: web.Request, status: int, typed: Mapping[str, str], errors: Mapping[str, str]
) -> web.Response:
    config = context_of(request).appliance.config
    in_file = config.origin("school.name").kind == "file"
    shown = {"school": config.settings.school.name, "name": "", "sign_in_name": "", **typed}
    return render(request, "set_up_account.html", status, typed=shown, errors=errors, school_in_file=in_file)


async def make_first_account(request: web.Request) -> web.StreamResponse:
    """Make IT's account and name the school."""
    form = await read_form(request)
    typed = {key: form.get(key, "") for key in ("school", "name", "sign_in_name")}
    appliance = context_of(request).appliance
    in_file = appliance.config.origin("school.name").kind == "file"
    errors = _passwords_differ(form)
    if not in_file and not 0 < len(typed["school"].strip()) <= 100:
        errors["school"] = "Enter the school’s name, with at most 100 letters."
    if errors:
        return _first_account(request, 422, typed, errors)
    try:
        session_id = await _joining(request).make_first_account(
            request[SESSION], typed["name"], typed["sign_in_name"], form.get("password", "")
        )
    except Refused as error:
        return _first_account(request, 422, typed, {_field_of(error): str(error)})
    if not in_file and typed["school"].strip() != appliance.config.settings.school.name:
        await _name_the_school(request, typed["name"].strip(), typed["school"].strip())
    return enter(redirect("/join/factor"), session_id)


async def _name_the_school(request: web.Request, author: str, name: str) -> None:
    """Set on a page, as any setting can be. The account is made already: a fault here only leaves a step for later."""
    control = context_of(request).appliance.control
    try:
        await control.set_value(author, "school.name", name, "named when the box was set up", None)
    except ApplianceError as error:
        context_of(request).flashes.add(request[SESSION], f"The school’s name was not kept: {error}")


def _field_of(error: Refused) -> str:
    """The field that a refusal is about, by its first words; everything else belongs to the password."""
    if error.what.startswith(("Enter a name", "A name has")):
        return "name"
    if "sign-in name" in error.what:
        return "sign_in_name"
    return "password"


def _passwords_differ(form: Mapping[str, str]) -> dict[str, str]:
    if form.get("password", "") != form.get("again", ""):
        return {"again": "This is not what you entered above. Enter the same password twice."}
    return {}


# Password


async def password(request: web.Request) -> web.StreamResponse:
    """The first password."""
    return await _password(request, 200, {})


async def _password(request: web.Request, status: int, errors: Mapping[str, str], recovery: str = "") -> web.Response:
    before = await _joining(request).was_here_before(request[SESSION])
    return _step(request, "join_password.html", status, 1, errors=errors, before=before, recovery=recovery)


async def take_password(request: web.Request) -> web.StreamResponse:
    """Keep the first password."""
    form = await read_form(request)
    recovery, errors = form.get("recovery", ""), _passwords_differ(form)
    if await _joining(request).was_here_before(request[SESSION]):
        errors |= _no_recovery_key(form)
    if not errors:
        try:
            await _joining(request).set_password(request[SESSION], form.get("password", ""), recovery)
            return redirect("/join/factor")
        except Refused as error:
            errors = {_field_of_reset(error): str(error)}
    return await _password(request, 422, errors, recovery)


async def new_password(request: web.Request) -> web.StreamResponse:
    """Another password, for somebody who has forgotten it but has the second factor."""
    return _new_password(request, 200, {})


def _new_password(request: web.Request, status: int, errors: Mapping[str, str], recovery: str = "") -> web.Response:
    return _step(request, "join_new_password.html", status, 1, errors=errors, recovery=recovery, box_clock=box_clock())


async def take_new_password(request: web.Request) -> web.StreamResponse:
    """Keep another password."""
    form = await read_form(request)
    recovery = form.get("recovery", "")
    errors = _passwords_differ(form) or _no_recovery_key(form)
    if not errors:
        try:
            await _joining(request).reset_password(
                request[SESSION], form.get("code", ""), form.get("password", ""), recovery
            )
            return redirect("/join/keep")
        except Refused as error:
            errors = {_field_of_reset(error): str(error)}
    return _new_password(request, 422, errors, recovery)


def _no_recovery_key(form: Mapping[str, str]) -> dict[str, str]:
    if not form.get("recovery", "").strip() and form.get("without") != "yes":
        return {"recovery": "Enter the recovery key, or tick that you do not have it."}
    return {}


def _field_of_reset(error: Refused) -> str:
    if "ecovery key" in error.what:
        return "recovery"
    return "code" if error.what.startswith("This code") else "password"


async def confirm_password(request: web.Request) -> web.StreamResponse:
    """Before a new second factor: the password that one still has, or a new one."""
    return _confirm_password(request, 200, {})


def _confirm_password(
    request: web.Request, status: int, errors: Mapping[str, str], *, forgotten: bool = False, recovery: str = ""
) -> web.Response:
    return _step(
        request,
        "join_confirm_password.html",
        status,
        1,
        errors=errors,
        forgotten=forgotten or request.query.get("forgotten") == "yes",
        recovery=recovery,
    )


async def take_confirm_password(request: web.Request) -> web.StreamResponse:
    """Go on with the old password, or with a new one."""
    form = await read_form(request)
    forgotten, recovery = form.get("forgotten") == "yes", form.get("recovery", "")
    errors = {**_passwords_differ(form), **_no_recovery_key(form)} if forgotten else {}
    if not errors:
        try:
            if forgotten:
                await _joining(request).replace_password(request[SESSION], form.get("password", ""), recovery)
            else:
                await _joining(request).keep_password(request[SESSION], form.get("password", ""))
            return redirect("/join/factor")
        except Refused as error:
            errors = {"recovery" if "ecovery key" in error.what else "password": str(error)}
    return _confirm_password(request, 422, errors, forgotten=forgotten, recovery=recovery)


# Second factor


async def factor(request: web.Request) -> web.StreamResponse:
    """A new secret for the app, as a picture and as letters."""
    secret, packed = _joining(request).offer_factor(request[SESSION])
    return _factor(request, 200, secret, packed, {})


def _factor(request: web.Request, status: int, secret: bytes, packed: str, errors: Mapping[str, str]) -> web.Response:
    return _step(request, "join_factor.html", status, 2, errors=errors, **factor_offer(request, secret, packed))


def factor_offer(request: web.Request, secret: bytes, packed: str) -> dict[str, object]:
    """What a page needs to offer a second factor to the account of this session."""
    context = context_of(request)
    account = context.appliance.staff.get(request[SESSION].account or "")
    uri = provisioning_uri(secret, account.sign_in_name, context.appliance.config.settings.school.name)
    return {"qr": qr_code(uri), "secret": secret_text(secret), "packed": packed, "box_clock": box_clock()}


async def take_factor(request: web.Request) -> web.StreamResponse:
    """Keep the second factor if the app shows the right code."""
    form = await read_form(request)
    packed, joining, session = form.get("packed", ""), _joining(request), request[SESSION]
    secret = joining.offered(session, packed)
    if await joining.set_factor(session, packed, form.get("code", "")):
        return redirect("/join/keep")
    words = "This code is not right. Enter the six digits that the app shows now for this box."
    return _factor(request, 422, secret, packed, {"code": words})


# What is printed


async def keep(request: web.Request) -> web.StreamResponse:
    """Say what will be shown, before it is shown once."""
    return _step(request, "join_keep.html", 200, _last(request[SESSION]))


async def show_printed(request: web.Request) -> web.StreamResponse:
    """Recovery codes and recovery key, made now. Asking again makes new ones."""
    printed = await _joining(request).print(request[SESSION])
    return _printed(request, 200, printed, {})


def _printed(request: web.Request, status: int, printed: Printed | None, errors: Mapping[str, str]) -> web.Response:
    return _step(request, "join_printed.html", status, _last(request[SESSION]), printed=printed, errors=errors)


async def done(request: web.Request) -> web.StreamResponse:
    """Everything was noted: sign this browser in."""
    form = await read_form(request)
    signed_in = await _joining(request).finish(
        request[SESSION], form.get("check", ""), form.get("typed", ""), visitor(request)
    )
    if signed_in is None:
        words = (
            "These are not the first four letters of the recovery key. What was shown is void now: press the button"
            " for new codes and a new key."
        )
        return _step(request, "join_keep.html", 422, _last(request[SESSION]), errors={"form": words})
    return enter(redirect("/"), signed_in.session, signed_in.browser)


# Around each step


def _last(session: Session) -> int:
    return len(STEPS.get(session.purpose, ()))


def _step(request: web.Request, template: str, status: int, number: int, **context: object) -> web.Response:
    session = request[SESSION]
    steps = STEPS.get(session.purpose, STEPS["join"])
    shown = {"errors": {}, **context}
    return render(request, template, status, name=_name(request), steps=steps, number=number, **shown)
