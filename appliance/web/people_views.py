"""The pages about people: the list, one person, adding and changing them, and marking them as left."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from appliance.errors import Refused
from appliance.hookspecs import Page, Permission
from appliance.people.directory import Details, Filter, Person
from appliance.people.names import ACCOUNT_KINDS, GROUP_KINDS, PERSON_KINDS
from appliance.web import device_views, group_views, import_views, vulnerable_views
from appliance.web.directory_pages import (
    directory_of,
    facts_of_plugins,
    in_form,
    may_manage,
    number_of,
    one_of,
    paging,
    person_of,
)
from appliance.web.looks_views import gate
from appliance.web.pages import actor, context_of, flash, read_form, redirect, render


def pages() -> tuple[Page, ...]:
    """Every page of the directory."""
    see, manage = Permission.SEE_DIRECTORY, Permission.MANAGE_PEOPLE
    return (
        Page("staff", "GET", "/people", index, see),
        Page("staff", "POST", "/people", search, see),
        Page("staff", "GET", "/people/new", new, manage),
        Page("staff", "POST", "/people/new", add, manage),
        *import_views.pages(),
        Page("staff", "GET", "/people/{id}", person, see),
        Page("staff", "GET", "/people/{id}/edit", edit, manage),
        Page("staff", "POST", "/people/{id}/edit", change, manage),
        Page("staff", "GET", "/people/{id}/left", ask_left, manage),
        Page("staff", "POST", "/people/{id}/left", mark_left, manage),
        Page("staff", "POST", "/people/{id}/back", mark_back, manage),
        Page("staff", "POST", "/people/{id}/groups", change_groups, manage),
        Page("staff", "POST", "/people/{id}/accounts", change_accounts, manage),
        *group_views.pages(),
        *device_views.pages(),
        *vulnerable_views.pages(),
    )


# The list


async def index(request: web.Request) -> web.StreamResponse:
    """People by kind and group; the filter stands in the address."""
    return await _index(request, request.query, "")


async def search(request: web.Request) -> web.StreamResponse:
    """People by name: a form that is sent, so that no name gets into an address."""
    form = await read_form(request)
    return await _index(request, form, form.get("words", "").strip())


async def _index(request: web.Request, fields: Mapping[str, str], words: str) -> web.Response:
    directory, who = directory_of(request), actor(request)
    kind = one_of(fields.get("kind", ""), PERSON_KINDS)
    wanted = Filter(words, kind, fields.get("group", ""), left=fields.get("left") == "yes")
    page = await directory.find(who, wanted, number_of(fields.get("page", "")))
    shown = {"words": words, "kind": kind, "group": wanted.group, "left": "yes" if wanted.left else ""}
    return render(
        request,
        "people.html",
        wanted=wanted,
        paging=paging(page, "/people", shown, sent=bool(words)),
        counts=await directory.counts(who),
        groups=[group for group in await directory.groups.all(who) if group["people"] or group["id"] == wanted.group],
        kinds=PERSON_KINDS,
        group_kinds=GROUP_KINDS,
        may_manage=may_manage(request),
    )


# One person


async def person(request: web.Request) -> web.StreamResponse:
    """Somebody's page. Before anything about a child is shown, whoever may see records says why."""
    found = await person_of(request)
    if (question := await gate(request, found.row)) is not None:
        return question
    return await _person(request, found)


async def _person(
    request: web.Request, found: Person, errors: Mapping[str, str] | None = None, typed: str = ""
) -> web.Response:
    """The page; further panels of other parts have their place at the end of its template."""
    directory, who = directory_of(request), actor(request)
    here = {group["id"] for group in found.groups}
    manage = may_manage(request)
    groups = [group for group in await directory.groups.all(who) if group["id"] not in here] if manage else []
    return render(
        request,
        "person.html",
        422 if errors else 200,
        person=found,
        kinds=PERSON_KINDS,
        group_kinds=GROUP_KINDS,
        account_kinds=ACCOUNT_KINDS,
        groups=groups,
        typed=typed,
        errors=errors or {},
        may_manage=manage,
        may_see_monitoring=who.may(Permission.SEE_MONITORING),
        facts=facts_of_plugins(request, "person"),
        vulnerable=await context_of(request).appliance.vulnerable.entry_of(who, found.row["id"]),
    )


async def new(request: web.Request) -> web.StreamResponse:
    """The form for somebody new."""
    return _form(request, Details("pupil", ""), {}, None)


async def add(request: web.Request) -> web.StreamResponse:
    """Take the form."""
    form = await read_form(request)
    details = _details(form, form.get("kind", ""))
    errors = details.faults()
    if not errors:
        try:
            person_id = await directory_of(request).add(actor(request), details)
        except Refused as refused:
            errors = in_form(refused)
        else:
            flash(request, "The person was added. Groups, devices and sign-in names can be added below.")
            return redirect(f"/people/{person_id}")
    return _form(request, details, errors, None)


async def edit(request: web.Request) -> web.StreamResponse:
    """The form for somebody who is in the directory."""
    row = (await person_of(request)).row
    return _form(request, Details(row["kind"], row["name"], row["reference"] or "", row["email"]), {}, row["id"])


async def change(request: web.Request) -> web.StreamResponse:
    """Take the form."""
    row, form = (await person_of(request)).row, await read_form(request)
    details = _details(form, row["kind"])
    errors = details.faults()
    if not errors:
        try:
            await directory_of(request).change(actor(request), row["id"], details)
        except Refused as refused:
            errors = in_form(refused)
        else:
            flash(request, "The change was kept.")
            return redirect(f"/people/{row['id']}")
    return _form(request, details, errors, row["id"])


def _details(form: Mapping[str, str], kind: str) -> Details:
    return Details(kind, form.get("name", ""), form.get("reference", ""), form.get("email", ""))


def _form(request: web.Request, details: Details, errors: Mapping[str, str], person_id: str | None) -> web.Response:
    return render(
        request,
        "person_edit.html",
        422 if errors else 200,
        details=details,
        errors=errors,
        person_id=person_id,
        kinds=PERSON_KINDS,
    )


# Leaving and coming back


async def ask_left(request: web.Request) -> web.StreamResponse:
    """Say what marking somebody as left does."""
    found = await person_of(request)
    return render(request, "person_left.html", person=found, kinds=PERSON_KINDS)


async def mark_left(request: web.Request) -> web.StreamResponse:
    """Mark somebody as left; the account of an adult ends at once."""
    row, who = (await person_of(request)).row, actor(request)
    await read_form(request)
    left = await directory_of(request).mark_left(who, row["id"])
    ended = await context_of(request).appliance.staff.disable_people(who, left) if left else []
    words = f"{row['name']} is marked as left."
    flash(request, f"{words} The account for these pages has ended." if ended else words)
    return redirect(f"/people/{row['id']}")


async def mark_back(request: web.Request) -> web.StreamResponse:
    """Somebody who had left is back."""
    row = (await person_of(request)).row
    await read_form(request)
    await directory_of(request).mark_back(actor(request), row["id"])
    flash(request, f"{row['name']} is at the school again.")
    return redirect(f"/people/{row['id']}")


# Groups and sign-in names


async def change_groups(request: web.Request) -> web.StreamResponse:
    """Put somebody into a group or take them out."""
    found, form = await person_of(request), await read_form(request)
    groups, who, group = directory_of(request).groups, actor(request), form.get("group", "")
    try:
        match form.get("do"):
            case "add":
                await groups.add_people(who, group, [found.row["id"]])
            case "remove":
                await groups.remove_people(who, group, [found.row["id"]])
            case _:
                raise web.HTTPBadRequest
    except Refused as refused:
        return await _person(request, found, {"group": str(refused)})
    return redirect(f"/people/{found.row['id']}#groups")


async def change_accounts(request: web.Request) -> web.StreamResponse:
    """Add or take off a name under which devices or browsers know somebody."""
    found, form = await person_of(request), await read_form(request)
    directory, who = directory_of(request), actor(request)
    kind, name = form.get("kind", ""), form.get("name", "")
    try:
        match form.get("do"):
            case "add":
                await directory.add_account(who, found.row["id"], kind, name)
            case "remove":
                await directory.remove_account(who, found.row["id"], kind, name)
            case _:
                raise web.HTTPBadRequest
    except Refused as refused:
        return await _person(request, found, {"account": str(refused)}, name)
    return redirect(f"/people/{found.row['id']}#accounts")
