"""The pages about groups: the list, one group with its people and devices, adding to it, renaming and deleting it."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from appliance.db import Row
from appliance.errors import Refused
from appliance.hookspecs import Page, Permission
from appliance.people.devices import DeviceFilter
from appliance.people.directory import Filter
from appliance.people.names import GROUP_KINDS, PERSON_KINDS
from appliance.web.directory_pages import (
    directory_of,
    in_form,
    may_manage,
    number_of,
    one_of,
    paging,
    ticked,
)
from appliance.web.pages import actor, flash, read_fields, read_form, redirect, render
from appliance.web.templating import plural


def pages() -> tuple[Page, ...]:
    """The routes."""
    see, manage = Permission.SEE_DIRECTORY, Permission.MANAGE_PEOPLE
    return (
        Page("staff", "GET", "/groups", index, see),
        Page("staff", "POST", "/groups", make, manage),
        Page("staff", "GET", "/groups/{id}", group, see),
        Page("staff", "POST", "/groups/{id}/rename", rename, manage),
        Page("staff", "POST", "/groups/{id}/take-out", take_out, manage),
        Page("staff", "GET", "/groups/{id}/people", find_people, manage),
        Page("staff", "POST", "/groups/{id}/people", put_people, manage),
        Page("staff", "GET", "/groups/{id}/devices", find_devices, manage),
        Page("staff", "POST", "/groups/{id}/devices", put_devices, manage),
        Page("staff", "GET", "/groups/{id}/delete", ask_delete, manage),
        Page("staff", "POST", "/groups/{id}/delete", delete, manage),
    )


async def _group_of(request: web.Request) -> Row:
    found = await directory_of(request).groups.group(actor(request), request.match_info["id"])
    if found is None:
        raise web.HTTPNotFound
    return found


# The list


async def index(request: web.Request) -> web.StreamResponse:
    """Groups by kind, with how many people and devices are in each."""
    return await _index(request, {}, "list", "")


async def make(request: web.Request) -> web.StreamResponse:
    """A new group."""
    form = await read_form(request)
    kind, name = form.get("kind", ""), form.get("name", "")
    try:
        group_id = await directory_of(request).groups.make(actor(request), kind, name)
    except Refused as refused:
        return await _index(request, {"name": str(refused)}, kind, name)
    flash(request, "The group was made. Put people or devices into it.")
    return redirect(f"/groups/{group_id}")


async def _index(request: web.Request, errors: Mapping[str, str], kind: str, name: str) -> web.Response:
    only = one_of(request.query.get("kind", ""), GROUP_KINDS)
    groups = await directory_of(request).groups.all(actor(request))
    return render(
        request,
        "groups.html",
        422 if errors else 200,
        groups=[group for group in groups if not only or group["kind"] == only],
        only=only,
        kinds=GROUP_KINDS,
        counts={key: sum(group["kind"] == key for group in groups) for key in GROUP_KINDS},
        errors=errors,
        kind=kind,
        name=name,
        may_manage=may_manage(request),
    )


# One group


async def group(request: web.Request) -> web.StreamResponse:
    """A group with its people and devices."""
    return await _group(request, await _group_of(request), {}, None)


async def _group(request: web.Request, found: Row, errors: Mapping[str, str], name: str | None) -> web.Response:
    groups, who = directory_of(request).groups, actor(request)
    page = await groups.people(who, found["id"], number_of(request.query.get("page", "")))
    return render(
        request,
        "group.html",
        422 if errors else 200,
        group=found,
        kinds=GROUP_KINDS,
        person_kinds=PERSON_KINDS,
        paging=paging(page, f"/groups/{found['id']}", {}, sent=False),
        devices=await groups.devices(who, found["id"]),
        errors=errors,
        name=found["name"] if name is None else name,
        may_manage=may_manage(request),
    )


async def rename(request: web.Request) -> web.StreamResponse:
    """Give it another name."""
    found, name = await _group_of(request), (await read_form(request)).get("name", "")
    try:
        await directory_of(request).groups.rename(actor(request), found["id"], name)
    except Refused as refused:
        return await _group(request, found, {"name": str(refused)}, name)
    flash(request, "The group has its new name.")
    return redirect(f"/groups/{found['id']}")


async def take_out(request: web.Request) -> web.StreamResponse:
    """Take one person or one device out."""
    found, form = await _group_of(request), await read_form(request)
    groups, who = directory_of(request).groups, actor(request)
    if "person" in form:
        await groups.remove_people(who, found["id"], [form["person"]])
    elif "device" in form:
        await groups.remove_devices(who, found["id"], [form["device"]])
    else:
        raise web.HTTPBadRequest
    flash(request, "Taken out. You can put it back at any time." if "device" in form else "Taken out of the group.")
    return redirect(f"/groups/{found['id']}")


# Adding


async def find_people(request: web.Request) -> web.StreamResponse:
    """The search for people to put in."""
    return await _people_page(request, await _group_of(request), "")


async def put_people(request: web.Request) -> web.StreamResponse:
    """Search, or put in who was ticked."""
    found, pairs = await _group_of(request), await read_fields(request)
    form = dict(pairs)
    people = ticked(pairs, "person")
    if form.get("do") != "put":
        return await _people_page(request, found, form.get("words", "").strip())
    if not people:
        return await _people_page(request, found, form.get("words", ""), {"found": "Tick who is to be put in."})
    count = await directory_of(request).groups.add_people(actor(request), found["id"], people)
    flash(request, f"{plural(count, 'person was', 'people were')} put into {found['name']}.")
    return redirect(f"/groups/{found['id']}")


async def _people_page(
    request: web.Request, found: Row, words: str, errors: Mapping[str, str] | None = None
) -> web.Response:
    people = await directory_of(request).find(actor(request), Filter(words, outside=found["id"]), 1)
    return render(
        request,
        "group_put.html",
        422 if errors else 200,
        group=found,
        kinds=GROUP_KINDS,
        what="people",
        words=words,
        found=[(row["id"], row["name"], PERSON_KINDS[row["kind"]], row["forms"] or "") for row in people.rows],
        total=people.total,
        errors=errors or {},
    )


async def find_devices(request: web.Request) -> web.StreamResponse:
    """The search for devices to put in."""
    return await _devices_page(request, await _group_of(request), "")


async def put_devices(request: web.Request) -> web.StreamResponse:
    """Search, or put in what was ticked."""
    found, pairs = await _group_of(request), await read_fields(request)
    form = dict(pairs)
    devices = ticked(pairs, "device")
    if form.get("do") != "put":
        return await _devices_page(request, found, form.get("words", "").strip())
    if not devices:
        return await _devices_page(request, found, form.get("words", ""), {"found": "Tick what is to be put in."})
    count = await directory_of(request).groups.add_devices(actor(request), found["id"], devices)
    flash(request, f"{plural(count, 'device was', 'devices were')} put into {found['name']}.")
    return redirect(f"/groups/{found['id']}")


async def _devices_page(
    request: web.Request, found: Row, words: str, errors: Mapping[str, str] | None = None
) -> web.Response:
    devices = await directory_of(request).devices.find(actor(request), DeviceFilter(words, outside=found["id"]), 1)
    return render(
        request,
        "group_put.html",
        422 if errors else 200,
        group=found,
        kinds=GROUP_KINDS,
        what="devices",
        words=words,
        found=[(row["id"], row["name"], row["serial"] or "", row["person"] or "") for row in devices.rows],
        total=devices.total,
        errors=errors or {},
    )


# Deleting


async def ask_delete(request: web.Request) -> web.StreamResponse:
    """Say what deleting does, or why it cannot be done."""
    return await _delete_page(request, await _group_of(request), {})


async def _delete_page(request: web.Request, found: Row, errors: Mapping[str, str]) -> web.Response:
    groups, who = directory_of(request).groups, actor(request)
    return render(
        request,
        "group_delete.html",
        422 if errors else 200,
        group=found,
        kinds=GROUP_KINDS,
        people=(await groups.people(who, found["id"], 1)).total,
        devices=len(await groups.devices(who, found["id"])),
        use=await groups.use(found["id"]),
        errors=errors,
    )


async def delete(request: web.Request) -> web.StreamResponse:
    """Delete it; people and devices stay."""
    found = await _group_of(request)
    await read_form(request)
    try:
        await directory_of(request).groups.delete(actor(request), found["id"])
    except Refused as refused:
        return await _delete_page(request, found, in_form(refused))
    flash(request, f"{GROUP_KINDS[found['kind']]} {found['name']} was deleted.")
    return redirect("/groups")
