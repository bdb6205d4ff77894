"""Signing in and out, and opening a locked browser again."""

from __future__ import annotations

import time
from collections.abc import Mapping

from aiohttp import web

from appliance.errors import Refused
from appliance.hookspecs import Page, Permission
from appliance.web.pages import (
    ACTOR,
    COOKIE,
    SESSION,
    actor,
    context_of,
    enter,
    read_form,
    redirect,
    render,
    stays_here,
    visitor,
)


def pages() -> tuple[Page, ...]:
    """The pages of this module."""
    return (
        Page("staff", "GET", "/sign-in", sign_in, Permission.PUBLIC),
        Page("staff", "POST", "/sign-in", take_sign_in, Permission.PUBLIC),
        Page("staff", "GET", "/unlock", unlock, Permission.SIGNED_IN),
        Page("staff", "POST", "/unlock", take_unlock, Permission.SIGNED_IN),
        Page("staff", "POST", "/lock", lock, Permission.SIGNED_IN),
        Page("staff", "POST", "/awake", awake, Permission.USE),
        Page("staff", "GET", "/sign-out", ask_sign_out, Permission.SIGNED_IN),
        Page("staff", "POST", "/sign-out", sign_out, Permission.SIGNED_IN),
    )


# Signing in


async def sign_in(request: web.Request) -> web.StreamResponse:
    """The form; for somebody who is signed in, where to go on."""
    return sign_in_page(request, 200)


def sign_in_page(
    request: web.Request,
    status: int,
    *,
    wanted: str = "",
    typed: str = "",
    errors: Mapping[str, str] | None = None,
) -> web.Response:
    """The form, or how a new box is set up. ``wanted``: the page to go on to."""
    context = context_of(request)
    return render(
        request,
        "sign_in.html",
        status,
        set_up=context.appliance.staff.is_set_up,
        signed_in=ACTOR in request and actor(request).may(Permission.USE),
        wanted=_within(wanted),
        typed=typed,
        errors=errors or {},
        box_clock=box_clock(),
    )


async def take_sign_in(request: web.Request) -> web.StreamResponse:
    """Begin a session if name, password and code are right."""
    form = await read_form(request)
    typed, wanted = form.get("name", ""), form.get("wanted", "")
    try:
        signed_in = await context_of(request).appliance.signing_in.sign_in(
            typed, form.get("password", ""), form.get("code", ""), visitor(request)
        )
    except Refused as error:
        return sign_in_page(request, 403, wanted=wanted, typed=typed, errors={"form": str(error)})
    await end_earlier_session(request)
    return enter(redirect(_within(wanted) or "/"), signed_in.session, signed_in.browser)


async def end_earlier_session(request: web.Request) -> None:
    """A browser that begins a session leaves none behind that nobody sees any more."""
    session = request.get(SESSION)
    if session is not None and not session.over.is_set():
        await context_of(request).appliance.signing_in.sign_out(session)


# Locked browsers


async def unlock(request: web.Request) -> web.StreamResponse:
    """Ask for the password; for a browser that is open, go home."""
    if actor(request).may(Permission.USE):
        return redirect(_within(request.query.get("wanted", "")) or "/")
    return unlock_page(request, 200, wanted=request.query.get("wanted", ""))


def unlock_page(
    request: web.Request, status: int, *, wanted: str = "", errors: Mapping[str, str] | None = None
) -> web.Response:
    """Ask for the password of whoever is signed in here."""
    staff = context_of(request).appliance.staff
    account = staff.get(actor(request).account)
    return render(
        request,
        "unlock.html",
        status,
        account=account,
        minutes=int(staff.sessions.idle.total_seconds() // 60),
        wanted=_within(wanted),
        errors=errors or {},
    )


async def take_unlock(request: web.Request) -> web.StreamResponse:
    """Open this browser again if the password is right. A script asks with ``from=script`` and wants no page."""
    form = await read_form(request)
    by_script = form.get("from") == "script"
    try:
        signing_in = context_of(request).appliance.signing_in
        session_id = await signing_in.unlock(request[SESSION], form.get("password", ""))
    except Refused as error:
        if by_script:
            return web.json_response({"error": str(error)}, status=403)
        return unlock_page(request, 403, wanted=form.get("wanted", ""), errors={"password": str(error)})
    response = web.Response(status=204) if by_script else redirect(_within(form.get("wanted", "")) or "/")
    return enter(response, session_id)


async def lock(request: web.Request) -> web.StreamResponse:
    """Lock this browser now."""
    context_of(request).appliance.staff.sessions.lock(request[SESSION])
    return redirect("/unlock")


async def awake(_request: web.Request) -> web.StreamResponse:
    """Somebody is typing or pointing: the guard has noted that this browser is in use."""
    return web.Response(status=204)


# Signing out


async def ask_sign_out(request: web.Request) -> web.StreamResponse:
    """Say what signing out means before it happens."""
    return render(request, "sign_out.html", done=False)


async def sign_out(request: web.Request) -> web.StreamResponse:
    """End the session and leave nothing in the browser but what tells it again."""
    await context_of(request).appliance.signing_in.sign_out(request[SESSION])
    del request[ACTOR]
    response = render(request, "sign_out.html", done=True)
    response.del_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="Strict")
    response.headers["Clear-Site-Data"] = '"cache", "storage"'
    return response


def box_clock() -> int:
    """The box's clock in milliseconds since 1970, for a script that compares it with the visitor's."""
    return time.time_ns() // 1_000_000


def _within(path: str) -> str:
    """A path of this site; empty for anything else."""
    return path if stays_here(path) else ""
