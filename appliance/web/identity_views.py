"""The pages about the identity file: how things stand, and the three steps of saving one."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from appliance.errors import Refused
from appliance.hookspecs import Page, Permission
from appliance.identity.file import Identity
from appliance.identity.saving import IdentityFiles, NewCode, Saved
from appliance.sealing import read_recovery_key
from appliance.web.pages import SESSION, actor, context_of, flash, read_form, redirect, render

STEPS = ("Note the code", "Download the file", "Put both away")
LONGEST_KEEPER = 100
SAME_KEEPER = "Whoever has both can pretend to be this box. Somebody else, or another place, must keep the code."


def pages() -> tuple[Page, ...]:
    """The routes."""
    operate = Permission.OPERATE
    return (
        Page("staff", "GET", "/identity", index, operate),
        Page("staff", "POST", "/identity/code", begin, operate),
        Page("staff", "GET", "/identity/code", code, operate),
        Page("staff", "GET", "/identity/print", print_view, operate),
        Page("staff", "GET", "/identity/noted", ask_back, operate),
        Page("staff", "POST", "/identity/noted", noted, operate),
        Page("staff", "GET", "/identity/file", file, operate),
        Page("staff", "POST", "/identity/file", download, operate),
        Page("staff", "GET", "/identity/kept", ask_keepers, operate),
        Page("staff", "POST", "/identity/kept", kept, operate),
    )


def _files(request: web.Request) -> IdentityFiles:
    return context_of(request).appliance.identity


def _session(request: web.Request) -> str:
    return request[SESSION].sha256


def _code(request: web.Request, *, noted: bool = False) -> NewCode:
    """The code that this browser is being shown; back to the beginning if there is none, or it was not noted."""
    try:
        found = _files(request).codes.get(_session(request))
    except Refused as error:
        flash(request, str(error))
        raise web.HTTPSeeOther("/identity") from None
    if noted and not found.noted:
        raise web.HTTPSeeOther("/identity/noted")
    return found


# How things stand


async def index(request: web.Request) -> web.StreamResponse:
    """What the file is for, whether it was saved, and what has changed since."""
    files = _files(request)
    standing = await files.standing()
    left_out = [] if standing.fault else await files.left_out()
    return render(request, "identity.html", standing=standing, left_out=left_out)


# Step 1: the code


async def begin(request: web.Request) -> web.StreamResponse:
    """Make a new code."""
    await read_form(request)
    await _files(request).begin(actor(request).name, _session(request))
    return redirect("/identity/code")


async def code(request: web.Request) -> web.StreamResponse:
    """Show the new code."""
    return render(request, "identity_code.html", code=_code(request), steps=STEPS, number=1)


async def print_view(request: web.Request) -> web.StreamResponse:
    """The same on a sheet of its own, for printing."""
    return render(request, "identity_print.html", code=_code(request))


async def ask_back(request: web.Request) -> web.StreamResponse:
    """Ask for two groups of the code, which is not shown here."""
    return _ask_back(request, _code(request), {}, {})


def _ask_back(
    request: web.Request, code: NewCode, typed: Mapping[str, str], errors: Mapping[str, str]
) -> web.StreamResponse:
    fields = [(f"group-{number + 1}", number + 1) for number in code.asked]
    return render(
        request,
        "identity_noted.html",
        422 if errors else 200,
        fields=[(field, number, typed.get(field, "")) for field, number in fields],
        count=len(code.groups),
        errors=errors,
        steps=STEPS,
        number=1,
    )


async def noted(request: web.Request) -> web.StreamResponse:
    """Compare what was typed back."""
    form, found = await read_form(request), _code(request)
    errors = {
        f"group-{number + 1}": f"This is not group {number + 1} of the code. Compare it with what you noted."
        for number in found.asked
        if not found.is_group(number, form.get(f"group-{number + 1}", ""))
    }
    if errors:
        return _ask_back(request, found, form, errors)
    await _files(request).note(actor(request).name, _session(request))
    return redirect("/identity/file")


# Step 2: the file


async def file(request: web.Request) -> web.StreamResponse:
    """Offer the download."""
    found = _code(request, noted=True)
    waiting = (await _files(request).standing()).waiting
    again = waiting is not None and waiting.id == found.file_id
    return render(request, "identity_file.html", again=again, steps=STEPS, number=2)


async def download(request: web.Request) -> web.StreamResponse:
    """The file itself."""
    await read_form(request)
    _code(request, noted=True)
    identity, content = await _files(request).make(actor(request).name, _session(request))
    return web.Response(
        body=content,
        content_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{_file_name(identity)}"'},
    )


def _file_name(identity: Identity) -> str:
    return f"safeguarding-appliance-{identity.made_at[:10]}.identity"


# Step 3: who keeps what


async def ask_keepers(request: web.Request) -> web.StreamResponse:
    """Ask who keeps the file and who keeps the code."""
    return _ask_keepers(request, await _waiting(request), {}, {})


async def _waiting(request: web.Request) -> Saved:
    waiting = (await _files(request).standing()).waiting
    if waiting is None:
        flash(request, "No identity file waits for this. Begin with step 1.")
        raise web.HTTPSeeOther("/identity")
    return waiting


def _ask_keepers(
    request: web.Request, waiting: Saved, typed: Mapping[str, str], errors: Mapping[str, str]
) -> web.StreamResponse:
    return render(
        request,
        "identity_kept.html",
        422 if errors else 200,
        downloaded=waiting,
        typed={field: _shown_again(typed.get(field, "")) for field in ("file_with", "code_with", "away")},
        errors=errors,
        steps=STEPS,
        number=3,
    )


async def kept(request: web.Request) -> web.StreamResponse:
    """Note who keeps what."""
    form = await read_form(request)
    file_with, code_with = form.get("file_with", "").strip(), form.get("code_with", "").strip()
    errors = _look_through(file_with, code_with, form.get("away", ""))
    if errors:
        return _ask_keepers(request, await _waiting(request), form, errors)
    files = _files(request)
    await files.keep(actor(request).name, _session(request), form.get("id", ""), file_with, code_with)
    context_of(request).appliance.health.refresh_soon()
    return redirect("/identity")


def _look_through(file_with: str, code_with: str, away: str) -> dict[str, str]:
    errors: dict[str, str] = {}
    for field, text, what in (("file_with", file_with, "file"), ("code_with", code_with, "code")):
        if not text:
            errors[field] = f"Say who keeps the {what}, or where it is kept."
        elif len(text) > LONGEST_KEEPER:
            errors[field] = f"At most {LONGEST_KEEPER} letters."
        elif _is_a_code(text):
            errors[field] = "This is the code itself, which must stand nowhere on this box. Say who keeps it."
    if not errors and file_with.casefold() == code_with.casefold():
        errors["code_with"] = SAME_KEEPER
    if away != "yes":
        errors["away"] = "Put the file somewhere else first, then say so here."
    return errors


def _shown_again(text: str) -> str:
    """What was typed, for the form; a code is not sent back."""
    return "" if _is_a_code(text) else text


def _is_a_code(text: str) -> bool:
    try:
        read_recovery_key(text)
    except ValueError:
        return False
    return True
